"""`@connections` calls that have to wait, and what is deployed meanwhile."""

from __future__ import annotations

import asyncio
from asyncio import Future
from typing import cast

import pytest

from tests.unit.dataplane.test_websocket import Socket, World
from tests.unit.dataplane.values import client
from wsgateway.authorizers.policy import Policy
from wsgateway.authorizers.signed import Signer, Signers
from wsgateway.dataplane.buckets import Buckets, Limit
from wsgateway.dataplane.connection import Connection
from wsgateway.dataplane.connections import ConnectionsApi
from wsgateway.messages import HttpRequest, HttpResponse
from wsgateway.trace import Mark, Trace

pytestmark = pytest.mark.anyio

SIGNATURE = (
    b"AWS4-HMAC-SHA256 Credential=AKIA/20261123/us-east-1/execute-api/aws4_request, SignedHeaders=host, Signature="
)
HEADERS = ((b"Authorization", SIGNATURE + b"a" * 64), (b"X-Amz-Date", b"20261123T000000Z"))


class Empty:
    """Buckets whose store has to be asked."""

    def __init__(self) -> None:
        self.answer: Future[bool] = asyncio.get_running_loop().create_future()

    def bucket(self, name: object, limit: object) -> Empty:
        return self

    def take(self) -> Future[bool]:
        return self.answer


class Callers:
    """Signers whose sessions have to be looked up."""

    def __init__(self) -> None:
        self.answer: Future[Signer] = asyncio.get_running_loop().create_future()
        self.marks: list[Mark | None] = []

    def signer_of(self, claim: object, request: object, body: object, now: object, mark: Mark | None) -> Future[Signer]:
        self.marks.append(mark)
        return self.answer

    def let_manage(self, *asked: object) -> None: ...


ANN = Signer("AKIA", "", "arn:aws:iam::123456789012:user/ann", Policy(()), {}, {})


class Told(Trace):
    """Hears of one call, which has a span."""

    marks = True
    mark = Mark(b"00-a-b-01", b"Root=a")

    def __init__(self) -> None:
        self.steps: list[object] = []

    def note(self, step: str, value: object) -> None:
        self.steps.append(value.status if isinstance(value, HttpResponse) else (step, value))


class Tracer:
    """Has every event traced."""

    ratio = 1.0

    def __init__(self) -> None:
        self.told = Told()

    def parent(self, request: object) -> object:
        return self

    def begin(self, invocation: object, parent: object) -> Trace:
        return self.told


def call(world: World, method: str, socket: Socket | None = None, *, signed: bool = False) -> Future[HttpResponse]:
    """A call for a connection that is open."""
    connection_id = world.gateway.ids.new("chat")
    Connection(world.gateway, world.ref, client(connection_id=connection_id)).opened(socket or Socket())
    request = HttpRequest(method, f"/dev/@connections/{connection_id}", "h", HEADERS if signed else (), body=b"hello")
    return asyncio.ensure_future(cast("Future[HttpResponse]", ConnectionsApi(world.gateway, signed=signed)(request)))


@pytest.mark.parametrize(("method", "status"), [("POST", 200), ("GET", 200), ("DELETE", 204)])
async def test_the_stage_may_go_while_the_account_is_asked(method: str, status: int) -> None:
    world, empty = World(), Empty()
    world.gateway.buckets = cast("Buckets", empty)
    world.swap(account=Limit(1.0, 1.0))
    answer = call(world, method)
    world.gateway.stages = {}
    empty.answer.set_result(True)

    assert (await answer).status == status


async def test_the_stage_may_go_while_a_session_is_looked_up() -> None:
    world, callers, socket = World(), Callers(), Socket()
    world.gateway.callers = cast("Signers", callers)
    world.swap(account=Limit(1.0, 1.0))
    answer = call(world, "POST", socket, signed=True)
    world.gateway.stages = {}
    callers.answer.set_result(ANN)

    assert (await answer).status == 200
    assert [message.data for message in socket.sent] == [b"hello"]


async def test_a_trace_hears_of_what_a_call_waits_for() -> None:
    world, callers, empty = World(), Callers(), Empty()
    world.gateway.callers, world.gateway.buckets = cast("Signers", callers), cast("Buckets", empty)
    world.gateway.tracing = tracer = Tracer()
    world.swap(account=Limit(1.0, 1.0))
    answer = call(world, "POST", signed=True)
    callers.answer.set_result(ANN)
    empty.answer.set_result(True)

    assert (await answer).status == 200
    assert callers.marks == [Told.mark]
    waits = [(step, what) for what in ("session", "limits") for step in ("waits", "waited")]
    assert tracer.told.steps == [*waits, 200]
