"""Retries, breakers and dead letters around a backend that does as it is told; time is handed in."""

from __future__ import annotations

import asyncio
import dataclasses
import heapq
from collections.abc import Callable
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.dataplane.values import connecting, disconnecting, message, quotas
from wsgateway.errors import (
    UNSENT,
    ApiConfigurationError,
    BadGateway,
    BadRequest,
    GatewayError,
    IntegrationFailure,
    IntegrationTimeout,
    ServiceUnavailable,
)
from wsgateway.integrations import retries
from wsgateway.integrations.base import Site
from wsgateway.integrations.breaker import State
from wsgateway.integrations.resilience import Resilience, backend_name
from wsgateway.integrations.retries import Tries
from wsgateway.invocation import EventType, Invocation
from wsgateway.messages import EndpointResponse
from wsgateway.model.integration import Integration

Outcome = EndpointResponse | BaseException
OK = EndpointResponse(200)
BUSY = EndpointResponse(503)
URI = "http://user.example:8000/ws"


def refused() -> GatewayError:
    return IntegrationFailure("refused the connection", failure=UNSENT)


class Loop:
    """An event loop as futures and timers need it, whose time passes when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._soon: list[asyncio.Handle] = []
        self._number = 0
        self.pauses: list[float] = []

    def time(self) -> float:
        return self.now

    def get_debug(self) -> bool:
        return False

    def call_soon(self, callback: Callable[..., object], *args: Any, context: Any = None) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, cast("asyncio.AbstractEventLoop", self), context)
        self._soon.append(handle)
        return handle

    def call_later(self, delay: float, callback: Callable[..., object], *args: Any) -> asyncio.TimerHandle:
        self.pauses.append(delay)
        self._number += 1
        loop = cast("asyncio.AbstractEventLoop", self)
        handle = asyncio.TimerHandle(self.now + delay, callback, args, loop)
        heapq.heappush(self._timers, (handle.when(), self._number, handle))
        return handle

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None: ...

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        raise AssertionError(context)

    def turn(self) -> None:
        """Run what is due now."""
        while self._soon:
            handles, self._soon = self._soon, []
            for handle in handles:
                if not handle.cancelled():
                    handle._run()

    def passes(self, seconds: float) -> None:
        """Let time go by, running what falls due meanwhile."""
        end = self.now + seconds
        self.turn()
        while self._timers and self._timers[0][0] <= end:
            self.now, _, handle = heapq.heappop(self._timers)
            if not handle.cancelled():
                handle._run()
            self.turn()
        self.now = end


class Backend:
    """An Attempt that ends as its script says, at once or when it is told; then with 200."""

    def __init__(self, loop: Loop, *script: Outcome) -> None:
        self.loop = loop
        self.script = list(script)
        self.asked: list[float] = []
        self.held: list[asyncio.Future[EndpointResponse]] = []
        self.holds = False
        self.at_once = False

    def __call__(self, invocation: Invocation, *more: Any, seconds: float = 29.0) -> asyncio.Future[EndpointResponse]:
        self.asked.append(seconds)
        future: asyncio.Future[EndpointResponse] = asyncio.Future(loop=cast("asyncio.AbstractEventLoop", self.loop))
        if self.holds:
            self.held.append(future)
            return future
        outcome = self.script.pop(0) if self.script else OK
        if self.at_once and isinstance(outcome, BaseException):
            raise outcome
        end(future, outcome)
        return future


def end(future: asyncio.Future[EndpointResponse], outcome: Outcome) -> None:
    if isinstance(outcome, EndpointResponse):
        future.set_result(outcome)
    else:
        future.set_exception(outcome)


class Setting:
    """A resilience and what it logs."""

    def __init__(self, jitter: float = 0.0) -> None:
        self.loop = Loop()
        self.log: list[tuple[str, dict[str, object]]] = []
        self.resilience = Resilience(cast("asyncio.AbstractEventLoop", self.loop), self._log, jitter=lambda: jitter)

    def _log(self, event: str, **facts: object) -> None:
        self.log.append((event, facts))

    def around(
        self, backend: Backend, *, where: Site | None = None, seconds: float = 29.0, **settings: Any
    ) -> Callable[..., asyncio.Future[EndpointResponse]]:
        return self.resilience.around(backend, integration(**settings), where or site(), seconds=seconds)

    def backend(self, *script: Outcome) -> Backend:
        return Backend(self.loop, *script)


@pytest.fixture
def setting() -> Setting:
    return Setting()


def integration(uri: str = URI, **settings: Any) -> Integration:
    return Integration.model_validate({"integrationType": "HTTP_PROXY", "integrationUri": uri, **settings})


def site(
    event_type: EventType = EventType.MESSAGE, *, name: str = "backend", api_id: str = "chat", **variables: str
) -> Site:
    return Site(
        api_id=api_id,
        definition=("integrations", name),
        route_key="say",
        event_type=event_type,
        stage_variables=variables,
        quotas=quotas(),
        two_way=False,
    )


Called = Callable[..., asyncio.Future[EndpointResponse]]


def ask(call: Called, invocation: Invocation | None = None) -> asyncio.Future[EndpointResponse]:
    """The answer of a call; what it raises at once is one, too."""
    try:
        answer = call(invocation or message())
    except Exception as error:
        answer = asyncio.Future(loop=cast("asyncio.AbstractEventLoop", Loop()))
        answer.set_exception(error)
        answer.exception()  # whoever asks hears of it
        return answer
    answer.add_done_callback(lambda future: future.cancelled() or future.exception())
    return answer


def outcome_of(future: asyncio.Future[EndpointResponse]) -> Outcome:
    assert future.done()
    return future.exception() or future.result()


# Nothing configured


def test_an_integration_that_asks_for_nothing_has_nothing_around_it(setting: Setting) -> None:
    backend = setting.backend()

    assert setting.around(backend) is backend
    assert setting.around(backend, where=site(EventType.DISCONNECT), retry={}) is backend
    assert setting.around(backend, where=site(EventType.CONNECT), deadLetter={}) is backend


# Retries


@pytest.mark.parametrize("at_once", [True, False], ids=["raised at once", "later"])
def test_where_there_was_no_connection_it_is_asked_again_after_growing_pauses(setting: Setting, at_once: bool) -> None:
    backend = setting.backend(refused(), refused())
    backend.at_once = at_once
    answer = setting.around(backend, retry={})(message("hi"))

    setting.loop.passes(0.099)
    assert len(backend.asked) == 1
    assert setting.resilience.waiting == 1
    setting.loop.passes(0.001)
    assert len(backend.asked) == 2
    setting.loop.passes(0.2)

    assert outcome_of(answer) is OK
    assert setting.loop.pauses == pytest.approx([0.1, 0.2])
    assert setting.resilience.retries == {("chat", "backend"): 2}
    assert setting.resilience.waiting == 0


def test_the_last_failure_is_the_calls(setting: Setting) -> None:
    failures = [refused() for _ in range(3)]
    backend = setting.backend(*failures)
    answer = setting.around(backend, retry={"maxAttempts": 3})(message())
    setting.loop.passes(1)

    assert outcome_of(answer) is failures[-1]
    assert len(backend.asked) == 3


@pytest.mark.parametrize(
    ("on", "outcome", "again"),
    [
        pytest.param(["connect-failure"], refused(), True, id="no connection"),
        pytest.param(["connect-failure"], BadGateway("closed first"), False, id="sent, so not by default"),
        pytest.param(["connect-failure"], BUSY, False, id="503 is an answer"),
        pytest.param(["reset"], BadGateway("closed first"), True, id="a reset"),
        pytest.param(["reset"], refused(), False, id="a reset is no connect-failure"),
        pytest.param([503, 502], BUSY, True, id="503"),
        pytest.param([503], EndpointResponse(504), False, id="504 for 503"),
        pytest.param([503], ServiceUnavailable("5 calls are under way"), False, id="our own 503"),
        pytest.param([504], IntegrationTimeout("slow"), False, id="our own 504"),
        pytest.param([502], BadGateway("closed first"), False, id="our own 502"),
        pytest.param([429], BadGateway("function f: throttled", failure=429), True, id="Lambda throttles"),
        pytest.param([500, 502, 503, 504], ApiConfigurationError("mapped"), False, id="the definition's fault"),
        pytest.param([500, 502, 503, 504], ValueError("a bug"), False, id="a bug of ours"),
    ],
)
def test_what_is_asked_again(setting: Setting, on: list[Any], outcome: Outcome, again: bool) -> None:
    backend = setting.backend(outcome)
    answer = setting.around(backend, retry={"on": on})(message())
    setting.loop.passes(1)

    assert len(backend.asked) == (2 if again else 1)
    assert outcome_of(answer) is (OK if again else outcome)


def test_a_function_that_failed_is_asked_again_where_that_is_said(setting: Setting) -> None:
    failed = BadGateway("function f failed", transient=False, failure="function-error")
    backend = setting.backend(failed)
    call = setting.resilience.around(
        backend,
        integration("function:f", integrationType="AWS_PROXY", retry={"on": ["function-error"]}),
        site(),
        seconds=29.0,
    )
    answer = call(message())
    setting.loop.passes(1)

    assert outcome_of(answer) is OK


def test_all_attempts_have_one_deadline(setting: Setting) -> None:
    """A retry has what is left; one that would have next to nothing isn't made."""
    backend = setting.backend(*[refused() for _ in range(10)])
    answer = setting.around(backend, seconds=1.0, retry={"maxAttempts": 10, "backoffMillis": 300})(message())
    setting.loop.passes(5)

    assert isinstance(outcome_of(answer), IntegrationFailure)
    assert setting.loop.pauses == pytest.approx([0.3, 0.6])
    assert backend.asked == pytest.approx([1.0, 0.7, 0.1], abs=1 / retries.PARTS)
    assert backend.asked[1] <= 0.7


def test_a_slow_attempt_leaves_less_time(setting: Setting) -> None:
    backend = setting.backend()
    backend.holds = True
    answer = setting.around(backend, seconds=10.0, retry={"backoffMillis": 0})(message())
    setting.loop.passes(6)
    backend.held[0].set_exception(refused())
    setting.loop.passes(0)
    assert 3.8 < backend.asked[1] <= 4.0
    setting.loop.passes(3.99)
    backend.held[1].set_exception(refused())
    setting.loop.passes(1)

    assert isinstance(outcome_of(answer), IntegrationFailure)
    assert len(backend.asked) == 2


def test_an_attempt_may_have_a_time_of_its_own(setting: Setting) -> None:
    backend = setting.backend(IntegrationTimeout("slow"), IntegrationTimeout("slow"))
    retry = {"on": ["timeout"], "attemptTimeoutMillis": 400, "backoffMillis": 0}
    setting.around(backend, seconds=29.0, retry=retry)(message())
    setting.loop.passes(1)

    assert backend.asked == [0.4, 0.4, 0.4]


@pytest.mark.parametrize(
    ("headers", "pause"),
    [
        pytest.param(((b"Retry-After", b"2"),), 2.0, id="longer than our own"),
        pytest.param(((b"retry-after", b"0"),), 0.1, id="shorter"),
        pytest.param(((b"Retry-After", b"Fri, 31 Dec 2027 23:59:59 GMT"),), 0.1, id="a date"),
        pytest.param(((b"Retry-After", b"-1"),), 0.1, id="nonsense"),
        pytest.param(((b"Retry-After", "²".encode()),), 0.1, id="a digit of another kind"),
        pytest.param(((b"Retry-After", b"30"),), None, id="longer than there is time"),
        pytest.param(((b"Retry-After", b"9" * 400),), 0.1, id="a huge number"),
    ],
)
def test_a_backend_may_ask_to_be_left_alone(setting: Setting, headers: Any, pause: float | None) -> None:
    backend = setting.backend(EndpointResponse(503, headers))
    setting.around(backend, retry={"on": [503]})(message())
    setting.loop.turn()

    assert setting.loop.pauses == ([] if pause is None else [pytest.approx(pause)])


def test_pauses_are_up_to_half_shorter_at_random() -> None:
    setting = Setting(jitter=1.0)
    setting.around(setting.backend(refused(), refused()), retry={})(message())
    setting.loop.passes(1)

    assert setting.loop.pauses == pytest.approx([0.05, 0.1])


def test_cancelled_while_it_waits_it_asks_nobody(setting: Setting) -> None:
    backend = setting.backend(refused())
    answer = setting.around(backend, retry={})(connecting())
    setting.loop.turn()
    answer.cancel()
    setting.loop.passes(5)

    assert len(backend.asked) == 1
    assert setting.resilience.waiting == 0


def test_cancelled_while_it_asks_it_ends_the_attempt(setting: Setting) -> None:
    backend = setting.backend()
    backend.holds = True
    answer = setting.around(backend, retry={})(connecting())
    answer.cancel()
    setting.loop.passes(5)

    assert backend.held[0].cancelled()
    assert len(backend.held) == 1


def test_an_attempt_that_is_cancelled_ends_the_call(setting: Setting) -> None:
    backend = setting.backend()
    backend.holds = True
    answer = setting.around(backend, retry={})(message())
    backend.held[0].cancel()
    setting.loop.passes(5)

    assert answer.cancelled()


def test_no_more_than_so_many_wait(setting: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retries, "MOST_WAITING", 3)
    backend = setting.backend(*[refused() for _ in range(5)])
    call = setting.around(backend, retry={})
    answers = [ask(call) for _ in range(5)]
    setting.loop.turn()

    assert [answer.done() for answer in answers] == [False, False, False, True, True]
    assert setting.resilience.waiting == 3
    setting.loop.passes(1)
    assert {outcome_of(answer) for answer in answers[:3]} == {OK}


def test_closing_ends_what_waits_and_lets_nothing_wait(setting: Setting) -> None:
    backend = setting.backend(refused(), refused())
    call = setting.around(backend, retry={})
    waiting = call(message())
    setting.loop.turn()
    setting.resilience.close()
    after = call(message())
    setting.loop.passes(5)

    assert isinstance(outcome_of(waiting), ServiceUnavailable)
    assert isinstance(outcome_of(after), IntegrationFailure)
    assert len(backend.asked) == 2


@given(
    st.lists(st.sampled_from(["refused", "reset", "busy", "ok"]), max_size=12),
    st.integers(2, 10),
    st.integers(0, 5000),
    st.floats(0.05, 30),
)
def test_attempts_and_time_are_never_exceeded(kinds: list[str], most: int, backoff: int, seconds: float) -> None:
    setting = Setting(jitter=0.5)
    made: dict[str, Callable[[], Outcome]] = {
        "refused": refused, "reset": lambda: BadGateway("r"), "busy": lambda: BUSY, "ok": lambda: OK,
    }  # fmt: skip
    backend = setting.backend(*[made[kind]() for kind in kinds])
    retry = {"on": ["connect-failure", 503], "maxAttempts": most, "backoffMillis": backoff}
    began = setting.loop.now
    answer = ask(setting.around(backend, seconds=seconds, retry=retry))
    ends: list[float] = []
    answer.add_done_callback(lambda _: ends.append(setting.loop.now))
    setting.loop.passes(seconds)

    assert answer.done()
    assert ends[0] <= began + seconds + 1e-6
    assert len(backend.asked) <= most
    assert setting.resilience.waiting == 0
    for kind in kinds[: len(backend.asked) - 1]:
        assert kind in ("refused", "busy"), "only what may be asked again was"


# Breakers


def test_an_open_breaker_refuses_at_once_and_lets_one_try(setting: Setting) -> None:
    backend = setting.backend(*[refused() for _ in range(3)])
    call = setting.around(backend, circuitBreaker={"failureThreshold": 3, "openSeconds": 10})
    for _ in range(3):
        ask(call)
        setting.loop.turn()

    with pytest.raises(ServiceUnavailable, match="the circuit breaker of http://user"):
        call(message())
    assert len(backend.asked) == 3
    key = ("chat", "backend")
    assert (setting.resilience.opened, setting.resilience.refused) == ({key: 1}, {key: 1})
    assert setting.resilience.breakers == {(*key, "http://user.example:8000"): State.OPEN}
    setting.loop.passes(10)
    assert setting.resilience.breakers == {(*key, "http://user.example:8000"): State.HALF_OPEN}
    assert outcome_of(call(message())) is OK
    setting.loop.turn()
    assert setting.resilience.breakers == {(*key, "http://user.example:8000"): State.CLOSED}
    told = {"api": "chat", "integration": "backend", "backend": "http://user.example:8000"}
    assert setting.log == [
        ("circuit breaker opens", told | {"error": "refused the connection"}),
        ("circuit breaker closes", told | {"after_seconds": 10.0}),
    ]


@pytest.mark.parametrize(
    ("outcome", "state"),
    [
        pytest.param(refused(), State.OPEN, id="no connection"),
        pytest.param(BadGateway("reset"), State.OPEN, id="no usable answer"),
        pytest.param(IntegrationTimeout("slow"), State.OPEN, id="timeout"),
        pytest.param(EndpointResponse(502), State.OPEN, id="502"),
        pytest.param(BUSY, State.OPEN, id="503"),
        pytest.param(EndpointResponse(504), State.OPEN, id="504"),
        pytest.param(EndpointResponse(500), State.CLOSED, id="500 may be the message's fault"),
        pytest.param(EndpointResponse(429), State.CLOSED, id="429 is somebody's throttle"),
        pytest.param(BadGateway("f failed", failure="function-error"), State.CLOSED, id="a function's error"),
        pytest.param(ServiceUnavailable("5 calls are under way"), State.CLOSED, id="our own cap"),
        pytest.param(ApiConfigurationError("mapped"), State.CLOSED, id="the definition's fault"),
        pytest.param(ValueError("bug"), State.CLOSED, id="a bug of ours"),
    ],
)
@pytest.mark.parametrize("at_once", [True, False], ids=["at once", "later"])
def test_what_opens_a_breaker(setting: Setting, outcome: Outcome, state: State, at_once: bool) -> None:
    backend = setting.backend(outcome)
    backend.at_once = at_once
    call = setting.around(backend, circuitBreaker={"failureThreshold": 1})
    answer = ask(call)
    setting.loop.turn()

    assert outcome_of(answer) is outcome

    assert list(setting.resilience.breakers.values()) == [state]


@pytest.mark.parametrize("way", ["cancelled", "capped"])
def test_a_probe_without_news_lets_another_one_try(setting: Setting, way: str) -> None:
    backend = setting.backend(refused())
    call = setting.around(backend, circuitBreaker={"failureThreshold": 1, "openSeconds": 1})
    ask(call)
    setting.loop.passes(1)
    backend.holds = True
    call(message())
    with pytest.raises(ServiceUnavailable):
        call(message())
    if way == "cancelled":
        backend.held[0].cancel()
    else:
        backend.held[0].set_exception(ServiceUnavailable("5 calls are under way"))
        backend.held[0].exception()
    setting.loop.turn()

    call(message())
    assert len(backend.held) == 2


@pytest.mark.parametrize(
    ("where", "more", "shared"),
    [
        pytest.param(site(EventType.DISCONNECT), {}, True, id="another event"),
        pytest.param(site(stage="x"), {}, True, id="another stage that calls the same backend"),
        pytest.param(site(), {"uri": "http://user.example:8000/other"}, True, id="another path of it"),
        pytest.param(site(), {"uri": "http://user.example:8001/ws"}, False, id="another port"),
        pytest.param(site(), {"uri": "https://user.example:8000/ws"}, False, id="another scheme"),
        pytest.param(site(name="other"), {}, False, id="another integration"),
        pytest.param(site(api_id="news"), {}, False, id="another API"),
        pytest.param(site(), {"connectionType": "VPC_LINK", "connectionId": "x"}, False, id="a VPC link"),
        pytest.param(
            site(), {"circuitBreaker": {"failureThreshold": 1, "openSeconds": 9}}, False, id="another setting"
        ),
    ],
)
def test_one_breaker_is_for_an_integration_and_a_backend(
    setting: Setting, where: Site, more: dict[str, Any], shared: bool
) -> None:
    settings: dict[str, Any] = {"circuitBreaker": {"failureThreshold": 1}}
    ask(setting.around(setting.backend(refused()), **settings))
    setting.loop.turn()
    there = setting.around(setting.backend(), where=where, **{**settings, **more})

    if shared:
        with pytest.raises(ServiceUnavailable):
            there(message())
    else:
        assert outcome_of(there(message())) is OK


def test_a_breaker_stays_as_it_is_over_a_reload_that_leaves_it_alone(setting: Setting) -> None:
    settings: dict[str, Any] = {"circuitBreaker": {"failureThreshold": 1}}
    ask(setting.around(setting.backend(refused()), **settings))
    setting.loop.turn()
    again = setting.around(setting.backend(), **settings)
    setting.resilience.keep_only([(integration(**settings), site())])

    with pytest.raises(ServiceUnavailable):
        again(message())
    setting.resilience.keep_only([(integration(), site())])
    key = ("chat", "backend")
    assert (setting.resilience.opened, setting.resilience.refused) == ({key: 1}, {key: 1}), "counts stay"
    assert setting.resilience.breakers == {}
    assert outcome_of(setting.around(setting.backend(), **settings)(message())) is OK


# Together


def test_a_retry_passes_the_breaker_and_an_open_one_ends_the_call_as_its_last_attempt_did(setting: Setting) -> None:
    backend = setting.backend(BUSY, BUSY, BUSY)
    settings: dict[str, Any] = {"retry": {"on": [503], "maxAttempts": 5}, "circuitBreaker": {"failureThreshold": 2}}
    answer = setting.around(backend, **settings)(message())
    setting.loop.passes(5)

    assert outcome_of(answer) is BUSY
    assert len(backend.asked) == 2
    assert setting.resilience.refused == {("chat", "backend"): 0}, "nobody was refused"
    refusal = outcome_of(setting.around(backend, **settings)(message()))
    assert isinstance(refusal, ServiceUnavailable)
    assert len(backend.asked) == 2


def test_disconnect_is_not_retried_here_but_passes_the_breaker(setting: Setting) -> None:
    backend = setting.backend(refused())
    settings: dict[str, Any] = {"retry": {}, "deadLetter": {}, "circuitBreaker": {"failureThreshold": 1}}
    call = setting.around(backend, where=site(EventType.DISCONNECT), **settings)
    answer = call(disconnecting())
    setting.loop.passes(5)

    assert isinstance(outcome_of(answer), IntegrationFailure)
    assert len(backend.asked) == 1
    with pytest.raises(ServiceUnavailable) as refusal:
        call(disconnecting())
    assert refusal.value.transient, "so it is tried again later, as while a backend is down"
    assert [event for event, _ in setting.log] == ["circuit breaker opens"]


# Dead letters


@pytest.mark.parametrize(
    ("outcome", "cause"),
    [
        pytest.param(refused(), "refused the connection", id="no connection"),
        pytest.param(IntegrationTimeout("took longer than 1 s"), "took longer than 1 s", id="timeout"),
        pytest.param(ServiceUnavailable("5 calls are under way"), "5 calls are under way", id="a cap"),
        pytest.param(ApiConfigurationError("can't be sent"), "can't be sent", id="a head that can't be written"),
        pytest.param(ValueError("inside"), "unexpected ValueError", id="a bug says nothing of the inside"),
        pytest.param(EndpointResponse(500), "the backend answered 500", id="500"),
        pytest.param(EndpointResponse(429), "the backend answered 429", id="429"),
        pytest.param(
            EndpointResponse(400, failure=429), "the backend answered 400", id="throttled, by whatever status"
        ),
        pytest.param(
            EndpointResponse(200, failure="function-error"),
            "the backend failed: function-error",
            id="a function's error",
        ),
        pytest.param(EndpointResponse(404), None, id="404 is an answer"),
        pytest.param(OK, None, id="200"),
        pytest.param(BadRequest("no"), None, id="the client's fault"),
    ],
)
@pytest.mark.parametrize("at_once", [True, False], ids=["at once", "later"])
def test_a_message_that_failed_in_the_end_is_written_down(
    setting: Setting, outcome: Outcome, cause: str | None, at_once: bool
) -> None:
    backend = setting.backend(outcome)
    backend.at_once = at_once
    invocation = message('{"secret": 1}')
    answer = ask(setting.around(backend, deadLetter={}), invocation)
    setting.loop.turn()

    assert outcome_of(answer) is outcome

    if cause is None:
        assert setting.log == []
        return
    ((event, facts),) = setting.log
    assert (event, facts["cause"], facts["attempts"]) == ("message dead letter", cause, 1)
    assert (facts["api"], facts["stage"], facts["route"]) == ("chat", "dev", "say")
    assert facts["integration"] == "backend"
    assert facts["connection_id"] == invocation.client.connection_id
    assert facts["request_id"] == invocation.request_id
    assert facts["bytes"] == 13
    assert "secret" not in str(facts)
    assert setting.resilience.dead_letters == {("chat", "say"): 1}


def test_it_is_written_down_once_behind_all_attempts(setting: Setting) -> None:
    backend = setting.backend(refused(), refused(), refused())
    ask(setting.around(backend, deadLetter={}, retry={}))
    setting.loop.passes(5)

    ((_, facts),) = setting.log
    assert facts["attempts"] == 3


@pytest.mark.parametrize(
    ("data", "binary", "found"),
    [
        pytest.param("grüß", False, {"payload": "grüß"}, id="text"),
        pytest.param(b"\x00\xff", True, {"payload_base64": "AP8="}, id="binary"),
    ],
)
def test_the_message_stands_there_only_if_asked_for(
    setting: Setting, data: str | bytes, binary: bool, found: dict[str, str]
) -> None:
    backend = setting.backend(refused())
    call = setting.around(backend, deadLetter={"includePayload": True})
    ask(call, message(data, binary=binary))
    setting.loop.turn()

    ((_, facts),) = setting.log
    assert {key: facts[key] for key in facts if key.startswith("payload")} == found


def test_what_the_end_of_the_gateway_cuts_off_is_written_down(setting: Setting) -> None:
    backend = setting.backend()
    backend.holds = True
    setting.around(backend, deadLetter={})(message())
    backend.held[0].cancel()
    setting.loop.turn()

    ((_, facts),) = setting.log
    assert facts["cause"] == "the gateway is closing"


# Names


@pytest.mark.parametrize(
    ("uri", "name"),
    [
        pytest.param("http://a.example:8000/ws?x=1", "http://a.example:8000", id="a URL"),
        pytest.param("http://a.example?x=/y", "http://a.example", id="without a path"),
        pytest.param("https://${stageVariables.host}/ws", "https://b.example", id="by a stage variable"),
        pytest.param("redis://user:secret@r.example:6379/0", "redis://r.example:6379", id="never a password"),
        pytest.param("function:chat", "function:chat", id="a function"),
    ],
)
def test_how_a_backend_is_called(uri: str, name: str) -> None:
    found = dataclasses.replace(site(), stage_variables={"host": "b.example"})

    assert backend_name(integration().model_copy(update={"integration_uri": uri}), found) == name


def test_of_tries_the_number_is_known(setting: Setting) -> None:
    answer = setting.around(setting.backend(refused()), retry={})(message())
    setting.loop.passes(1)

    assert isinstance(answer, Tries)
    assert answer.made == 2
