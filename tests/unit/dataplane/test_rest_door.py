"""Requests that may not go on: what is counted of them, and what operators are told."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from tests.unit.requests import method_request
from wsgateway.dataplane.counters import Counters
from wsgateway.dataplane.rest_compiled import CompiledMethod, CompiledRestStage
from wsgateway.dataplane.rest_door import LEFT, REFUSED_BURST, Door
from wsgateway.errors import AccessDenied, AuthorizerFailure, GatewayError, InvalidApiKey, Throttled, Unauthorized
from wsgateway.messages import HttpResponse
from wsgateway.method_request import MethodRequest

STAGE = cast("CompiledRestStage", SimpleNamespace(api_id="shop", name="v1", max_body_bytes=10))


class Doors:
    """A door, what is behind it, and what it told."""

    def __init__(self, *, asking: bool = True) -> None:
        self.counters = Counters()
        self.log: list[dict[str, Any]] = []
        self.ran = 0
        gateway: Any = SimpleNamespace(
            counters=self.counters,
            log=lambda event, **facts: self.log.append({"event": event} | facts),
            loop=SimpleNamespace(time=lambda: 0.0),
        )
        self.door = Door(gateway, self, asking)

    def go_on(self, stage: object, method: object, invocation: object, codings: object) -> HttpResponse:
        self.ran += 1
        return HttpResponse(200)

    def failed(self, stage: object, invocation: object, error: Exception) -> HttpResponse:
        return HttpResponse(error.status if isinstance(error, GatewayError) else 500)

    def left(self, stage: object, invocation: object, status: int = LEFT) -> None:
        raise AssertionError("nobody leaves")

    def enter(self, error: Exception | None = None, *, authorizer: str = "users", known: bool = False) -> int:
        def admit(invocation: Any) -> None:
            invocation.identified = known
            if error is not None:
                raise error

        method = cast("CompiledMethod", SimpleNamespace(authorizer=authorizer, claimed=None))
        answer = self.door.enter(STAGE, method, admit, _request(), ())
        assert isinstance(answer, HttpResponse)
        return answer.status


def _request() -> MethodRequest:
    return method_request("/pets/{id}", {"id": "7"})


@pytest.mark.parametrize(
    ("error", "known", "said", "told"),
    [
        pytest.param(None, True, "allow", False, id="let in"),
        pytest.param(Unauthorized("no token"), False, "unauthorized", True, id="nobody"),
        pytest.param(AccessDenied("its policy denies it"), False, "deny", True, id="denied"),
        pytest.param(AuthorizerFailure("it broke"), False, "error", False, id="an authorizer that breaks"),
        pytest.param(ValueError("a bug"), False, "error", False, id="a bug"),
        pytest.param(AccessDenied("the API's policy"), True, "allow", True, id="known, and not allowed by the API"),
        pytest.param(InvalidApiKey("no key"), True, "allow", True, id="known, without a key"),
        pytest.param(Throttled("too many"), True, "allow", False, id="known, and beyond a limit"),
        pytest.param(Throttled("too many"), False, None, False, id="beyond a limit, before anybody is asked"),
    ],
)
def test_what_is_counted_and_told(error: Exception | None, known: bool, said: str | None, told: bool) -> None:
    doors = Doors()

    doors.enter(error, known=known)

    assert doors.ran == (error is None)
    assert doors.counters.authorizations == ({} if said is None else {("shop", "users", said): 1})
    assert [line["event"] for line in doors.log] == ["client not let in"] * told
    for line in doors.log:
        assert (line["route"], line["error"], line["source"]) == ("GET /pets/{id}", str(error), "203.0.113.7")


def test_a_flood_of_refusals_is_few_lines() -> None:
    doors = Doors()

    assert {doors.enter(Unauthorized("no token")) for _ in range(100)} == {401}
    assert len(doors.log) == REFUSED_BURST
    assert doors.counters.authorizations["shop", "users", "unauthorized"] == 100


def test_where_nobody_is_to_be_asked_everybody_goes_on() -> None:
    doors = Doors(asking=False)

    assert doors.enter(Unauthorized("no token")) == 200
    assert not doors.counters.authorizations
