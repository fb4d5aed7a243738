"""Methods whose answers are kept (API Gateway developer guide, "Cache settings for REST APIs")."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

import pytest

from wsgateway.dataplane.cached_method import INVALIDATE, WARNING, cached
from wsgateway.dataplane.response_cache import HAD, KEPT, LINES_BURST, PUTS_AT_ONCE, ResponseCache
from wsgateway.errors import AccessDenied, IntegrationTimeout, RegistryAway
from wsgateway.invocation import Client, EventType, Invocation
from wsgateway.messages import EndpointResponse, HttpRequest
from wsgateway.method_request import MethodRequest
from wsgateway.model.rest import RestApi
from wsgateway.registry.answers import MOST_BYTES, NO_MARK, Looked, MemoryAnswers, Stage

pytestmark = pytest.mark.anyio

ANEW = (b"Cache-Control", b"no-transform, Max-Age=0")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Backend:
    """A Call whose answers a test gives, at once or later."""

    def __init__(self) -> None:
        self.calls: list[asyncio.Future[EndpointResponse]] = []
        self.at_once: EndpointResponse | None = None

    def __call__(self, request: Invocation) -> EndpointResponse | Awaitable[EndpointResponse]:
        answer: asyncio.Future[EndpointResponse] = asyncio.get_running_loop().create_future()
        self.calls.append(answer)
        return answer if self.at_once is None else self.at_once


class Elsewhere(MemoryAnswers):
    """A store that answers later; and not at all while it is away."""

    away = False

    def held(self, stage: Stage, digest: bytes) -> None:  # type: ignore[override]  # as the Protocol allows
        """It has to be asked."""

    async def get(self, stage: Stage, digest: bytes) -> Looked:
        await asyncio.sleep(0)
        if self.away:
            raise RegistryAway("it is away")
        return super().held(stage, digest)

    async def put(  # type: ignore[override]  # as the Protocol allows
        self, stage: Stage, digest: bytes, data: bytes, *, mark: bytes, ttl: float, most: int
    ) -> None:
        await asyncio.sleep(0)
        if self.away:
            raise RegistryAway("it is away")
        super().put(stage, digest, data, mark=mark, ttl=ttl, most=most)


class Method:
    """A cached method."""

    def __init__(self, store: MemoryAnswers | None = None, secret: bytes | None = None, **settings: object) -> None:
        self.log: list[str] = []
        self.backend = Backend()
        self.cache = ResponseCache(lambda event, **facts: self.log.append(event), store or MemoryAnswers(1 << 22))
        self.cache.encrypt_with(secret)
        stage = {"cacheClusterEnabled": True, "methodSettings": {"*/*": {"cachingEnabled": True} | settings}}
        integration = {"type": "MOCK", "cacheKeyParameters": ["method.request.querystring.q"]}
        get = {"integration": integration, "requestParameters": {"method.request.querystring.q": False}}
        api = RestApi.model_validate({"protocolType": "REST", "stages": {"v1": stage}, "paths": {"/a": {"GET": get}}})
        method = api.paths["/a"]["GET"]
        call = cached(
            self.backend, self.cache, ("shop", "v1"), api.stages["v1"], api, "/a", "GET", api.integration_of(method)
        )
        assert call is not None
        self.call = call

    def ask(self, query: str = "q=1", *headers: tuple[bytes, bytes]) -> asyncio.Future[EndpointResponse]:
        return self.send(request(query, *headers))

    def send(self, sent: MethodRequest) -> asyncio.Future[EndpointResponse]:
        """Its answer; the backend has been asked, if it is, on return."""
        answer = self.call(sent)
        if isinstance(answer, EndpointResponse):
            there: asyncio.Future[EndpointResponse] = asyncio.get_running_loop().create_future()
            there.set_result(answer)
            return there
        return asyncio.ensure_future(answer)

    async def given(self, answer: EndpointResponse, *asked: asyncio.Future[EndpointResponse]) -> list[EndpointResponse]:
        """What those get whose call the backend answers now."""
        for call in self.backend.calls:
            if not call.done():
                call.set_result(answer)
        return await asyncio.gather(*asked)

    @property
    def counts(self) -> tuple[int, int]:
        """Hits and misses."""
        results = self.cache.results
        return results.get(("shop", "v1", "hit"), 0), results.get(("shop", "v1", "miss"), 0)


def request(query: str = "q=1", *headers: tuple[bytes, bytes]) -> MethodRequest:
    client = Client(
        api_id="shop", stage="v1", connection_id="", connected_at=0, domain_name="h", source_ip="1.2.3.4",
        user_agent=None, callback_url="", forwarded=b"",
    )  # fmt: skip
    return MethodRequest(
        client, EventType.REQUEST, "GET /a", {}, request=HttpRequest("GET", f"/v1/a?{query}", "h", headers),
        resource="/a", http_method="GET", path="/v1/a", tail="a", path_parameters={}, account_id="000000000000",
    )  # fmt: skip


async def settle() -> None:
    """Whatever can go on has gone on."""
    for _ in range(20):
        await asyncio.sleep(0)


def ok(body: bytes = b"1", status: int = 200, *headers: tuple[bytes, bytes]) -> EndpointResponse:
    return EndpointResponse(status, ((b"X-Of", b"backend"), *headers), body)


async def test_a_get_with_a_body_shares_nothing() -> None:
    method = Method()
    sent = request()
    sent.payload = b"what one client wrote"

    await method.given(EndpointResponse(200, body=b"that"), method.send(sent))
    (answer,) = await method.given(EndpointResponse(200, body=b"this"), method.ask())
    assert answer.body == b"this"

    (answer,) = await method.given(EndpointResponse(200, body=b"that"), method.send(sent))
    assert answer.body == b"that"
    assert (await method.ask()).body == b"this"


async def test_an_answer_is_kept_for_who_asks_the_same() -> None:
    method = Method()
    first = method.ask()
    assert await method.given(ok(), first) == [ok()]
    sent = request()

    assert await method.send(sent) == ok()
    assert sent.kept
    assert (len(method.backend.calls), method.counts) == (1, (1, 1))
    other = method.ask("q=2")
    assert await method.given(ok(b"2"), other) == [ok(b"2")]
    assert method.counts == (1, 2)


async def test_what_is_answered_at_once_is_kept_too() -> None:
    method = Method()
    method.backend.at_once = ok()

    assert (await method.ask(), await method.ask()) == (ok(), ok())
    assert len(method.backend.calls) == 1


@pytest.mark.parametrize(
    ("answer", "kept"),
    [
        pytest.param(ok(status=404), True, id="not found"),
        pytest.param(ok(b"x" * (MOST_BYTES - 1000)), True, id="large"),
        pytest.param(EndpointResponse(200, (), b"", length=7), True, id="of a HEAD"),
        pytest.param(ok(b"x" * (MOST_BYTES + 1)), False, id="too large"),
        pytest.param(ok(status=500), False, id="a fault"),
        pytest.param(ok(status=206), False, id="a part"),
        pytest.param(ok(status=304), False, id="an answer to a condition"),
        pytest.param(ok(b"1", 200, (b"set-cookie", b"s=1")), False, id="a cookie"),
        pytest.param(EndpointResponse(200, (), b"", failure="function-error"), False, id="a failed function"),
    ],
)
async def test_what_is_kept(answer: EndpointResponse, kept: bool) -> None:
    method = Method()
    method.backend.at_once = answer

    assert (await method.ask(), await method.ask()) == (answer, answer)
    assert len(method.backend.calls) == (1 if kept else 2)


async def test_several_at_a_time_are_one_call() -> None:
    method = Method()
    asked = [method.ask() for _ in range(5)]
    await settle()

    assert await method.given(ok(), *asked) == [ok()] * 5
    assert (len(method.backend.calls), method.counts) == (1, (4, 1))


async def test_what_fails_fails_for_all_who_wait_and_is_not_kept() -> None:
    method = Method()
    asked = [method.ask() for _ in range(3)]
    await settle()
    method.backend.calls[0].set_exception(IntegrationTimeout("late"))
    outcome = await asyncio.gather(*asked, return_exceptions=True)

    assert [type(each) for each in outcome] == [IntegrationTimeout] * 3
    again = method.ask()
    assert await method.given(ok(), again) == [ok()]


async def test_a_cookie_is_for_the_one_who_asked() -> None:
    method = Method()
    asked = [method.ask() for _ in range(3)]
    await settle()
    method.backend.calls[0].set_result(ok(b"1", 200, (b"Set-Cookie", b"s=1")))
    await settle()

    assert len(method.backend.calls) == 3
    method.backend.calls[1].set_result(ok(b"2"))
    method.backend.calls[2].set_result(ok(b"3"))
    assert sorted([answer.body or b"" for answer in await asyncio.gather(*asked)]) == [b"1", b"2", b"3"]


async def test_the_call_goes_on_while_somebody_waits() -> None:
    method = Method()
    first, second = method.ask(), method.ask()
    await settle()
    first.cancel()
    await settle()
    assert not method.backend.calls[0].cancelled()
    assert await method.given(ok(), second) == [ok()]

    third, fourth = method.ask("q=3"), method.ask("q=3")
    await settle()
    third.cancel()
    fourth.cancel()
    await settle()
    assert method.backend.calls[1].cancelled()
    fifth = method.ask("q=3")
    assert await method.given(ok(), fifth) == [ok()]


# Cache-Control: max-age=0


async def test_a_client_that_may_has_it_anew() -> None:
    method = Method(requireAuthorizationForCacheControl=False)
    first = method.ask()
    await method.given(ok(b"old"), first)
    anew = method.ask("q=1", ANEW)
    assert await method.given(ok(b"new"), anew) == [ok(b"new")]

    assert await method.ask() == ok(b"new")
    assert method.counts == (1, 2)


async def test_what_was_asked_for_before_does_not_replace_what_was_made_anew() -> None:
    method = Method(requireAuthorizationForCacheControl=False)
    old = method.ask()
    anew = method.ask("q=1", ANEW)
    await settle()
    method.backend.calls[1].set_result(ok(b"new"))
    assert await anew == ok(b"new")
    method.backend.calls[0].set_result(ok(b"old"))

    assert await old == ok(b"old")
    assert await method.ask() == ok(b"new")


@pytest.mark.parametrize(
    ("strategy", "headers"),
    [
        pytest.param({}, (WARNING,), id="as it is without a word"),
        pytest.param(
            {"unauthorizedCacheControlHeaderStrategy": "SUCCEED_WITH_RESPONSE_HEADER"}, (WARNING,), id="with a header"
        ),
        pytest.param(
            {"unauthorizedCacheControlHeaderStrategy": "SUCCEED_WITHOUT_RESPONSE_HEADER"}, (), id="without a header"
        ),
    ],
)
async def test_others_get_what_is_kept(strategy: dict[str, object], headers: tuple[tuple[bytes, bytes], ...]) -> None:
    method = Method(**strategy)
    first = method.ask("q=1", ANEW)
    assert await method.given(ok(), first) == [ok(b"1", 200, *headers)]

    assert await method.ask("q=1", ANEW) == ok(b"1", 200, *headers)
    assert await method.ask() == ok()
    assert len(method.backend.calls) == 1


async def test_or_403_or_what_their_policy_says() -> None:
    method = Method(unauthorizedCacheControlHeaderStrategy="FAIL_WITH_403")
    with pytest.raises(AccessDenied) as refusal:
        method.ask("q=1", ANEW)
    assert refusal.value.detail == "User is not authorized to access this resource"
    may = request("q=1", ANEW)
    may.permits = lambda action: action == INVALIDATE
    asked = method.send(may)

    assert await method.given(ok(), asked) == [ok()]


@pytest.mark.parametrize(
    "value", [b"max-age=00", b"max-age=1", b"no-cache", b"s-maxage=0", b"x-max-age=0", b"max-age", b""]
)
async def test_nothing_else_asks_for_it(value: bytes) -> None:
    method = Method(requireAuthorizationForCacheControl=False)
    first = method.ask()
    await method.given(ok(), first)

    assert await method.ask("q=1", (b"cache-control", value)) == ok()
    assert len(method.backend.calls) == 1


# The store


async def test_a_store_elsewhere_is_asked_once_for_all_who_ask() -> None:
    method = Method(Elsewhere(1 << 22))
    asked = [method.ask() for _ in range(3)]
    await settle()
    assert await method.given(ok(), *asked) == [ok()] * 3
    await settle()
    again = [request() for _ in range(3)]

    assert await asyncio.gather(*map(method.send, again)) == [ok()] * 3
    assert all(each.kept for each in again)
    assert (len(method.backend.calls), method.counts) == (1, (5, 1))
    await method.cache.aclose()


async def test_a_store_that_is_away_is_never_an_error() -> None:
    store = Elsewhere(1 << 22)
    method = Method(store)
    store.away = True
    for _ in range(2):
        asked = method.ask()
        await settle()
        assert await method.given(ok(), asked) == [ok()]
    assert method.cache.failures == 2
    store.away = False
    asked = method.ask()
    await settle()
    store.away = True
    assert await method.given(ok(), asked) == [ok()]
    await settle()
    store.away = False
    asked = method.ask()
    await settle()
    assert await method.given(ok(), asked) == [ok()]

    await settle()
    assert await method.ask() == ok()

    assert method.log == [*HAD, *KEPT]


async def test_a_store_that_comes_and_goes_is_no_flood_of_lines() -> None:
    store = Elsewhere(1 << 22)
    method = Method(store)
    for number in range(50):
        store.away = number % 2 == 0
        asked = method.ask(f"q={number}")
        await settle()
        await method.given(ok(), asked)
        await settle()

    assert len(method.log) <= 2 * LINES_BURST


async def test_a_trace_hears_whose_answer_it_is() -> None:
    method = Method()
    method.backend.at_once = ok()
    await method.ask()
    sent = request()
    heard: list[tuple[str, object]] = []

    class Trace:
        def note(self, step: str, value: object) -> None:
            heard.append((step, value))

    sent.trace = Trace()
    await method.send(sent)

    assert heard == [("kept answer", ok())]


async def test_puts_under_way_are_bounded() -> None:
    method = Method(Elsewhere(1 << 22))
    for number in range(PUTS_AT_ONCE + 5):
        method.cache.put(("shop", "v1"), bytes([number]) * 16, b"", mark=NO_MARK, ttl=1, most=1 << 20)
    await settle()

    assert method.cache.store.bytes_held == MemoryAnswers(1 << 22).bytes_held + 256 * PUTS_AT_ONCE
    method.cache.put(("shop", "v1"), b"x" * 16, b"", mark=NO_MARK, ttl=1, most=1 << 20)
    await method.cache.aclose()


@pytest.mark.parametrize("kept", [b"", b"\x80", b"\x95\x02\xcc\xc8\x90\xc4\x00\xc0", b"no msgpack"])
async def test_what_nobody_of_us_wrote_is_passed_over(kept: bytes) -> None:
    method = Method()
    method.backend.at_once = ok()
    await method.ask()
    store = method.cache.store
    assert isinstance(store, MemoryAnswers)
    (digest,) = store._stages["shop", "v1"].entries
    store.put(("shop", "v1"), digest, kept, mark=NO_MARK, ttl=9, most=1 << 20)

    assert await method.ask() == ok()
    assert (len(method.backend.calls), method.cache.unreadable) == (2, 1)


async def test_encrypted_it_is_read_by_who_has_the_secret() -> None:
    store = MemoryAnswers(1 << 22)
    nodes = [Method(store, secret, cacheDataEncrypted=True) for secret in (b"a" * 32, b"a" * 32, b"b" * 32, None)]
    for node in nodes:
        node.backend.at_once = ok(b"a secret of the backend's")
        await node.ask()
    kept = [data for _, data in store._stages["shop", "v1"].entries.values()]

    assert [len(node.backend.calls) for node in nodes] == [1, 0, 1, 1]
    assert len(kept) == 3
    assert not any(b"secret" in data for data in kept)
    plain = Method(store)
    plain.backend.at_once = ok(b"a secret of the backend's")
    await plain.ask()
    assert any(b"secret" in data for _, data in store._stages["shop", "v1"].entries.values())
