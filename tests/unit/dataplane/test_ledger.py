"""Records of connections: when they are written and removed, what they hold, and how the registry's are mended."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.dataplane.installation import Installation, Node, id_of, without_disconnect
from tests.unit.dataplane.values import client, handshake
from wsgateway.authorizers.base import Identity
from wsgateway.dataplane.compiled import Operation
from wsgateway.dataplane.identity import slot_text
from wsgateway.dataplane.ledger import client_of, record_of
from wsgateway.dataplane.websocket import Accepted, WebSocketApis
from wsgateway.errors import AccessDenied, RegistryAway
from wsgateway.invocation import Client, Invocation
from wsgateway.messages import EndpointResponse, HttpResponse

pytestmark = pytest.mark.anyio


async def shake(node: Node) -> HttpResponse | Accepted:
    answer = WebSocketApis(node.gateway).connect(handshake())
    return answer if isinstance(answer, HttpResponse | Accepted) else await answer


def asks(node: Node, call: Callable[[Invocation], EndpointResponse]) -> None:
    node.stage.current = replace(node.stage.current, connect=Operation("$connect", (), call, False))


# What a record holds


def facts(of: Client) -> dict[str, object]:
    return {name: getattr(of, name) for name in Client.__slots__}


def test_a_record_holds_all_that_the_event_says_of_its_connection() -> None:
    for original in (client(), client(user_agent=None), client(domain_name="täst", stage="prod")):
        read = client_of(original.connection_id, record_of(original))

        assert facts(read) == facts(original)


def test_a_record_of_a_later_version_with_more_in_it_can_be_read() -> None:
    more = msgspec.msgpack.decode(record_of(client())) | {"principal": {"id": 1}}

    assert client_of("x", msgspec.msgpack.encode(more)).source_ip == "203.0.113.9"


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"v": 2}, id="another version"),
        pytest.param({"stage": None}, id="a wrong type"),
        pytest.param({"connected_at": "now"}, id="a text for a time"),
        pytest.param({"forwarded": b"X-Forwarded-For: 1\r\nHost: evil\r\n"}, id="a line of its own"),
        pytest.param({"forwarded": b"X-Forwarded-For: 1\n\r\n"}, id="a line end within a line"),
        pytest.param({"forwarded": b"X-Forwarded-For: 1\r\n\r\n"}, id="the end of a head"),
        pytest.param({"forwarded": b"X-Forwarded-For: 1"}, id="no whole line"),
        pytest.param({"user_agent": "x" * 65_536}, id="more than any handshake says"),
    ],
)
def test_what_is_no_record_is_refused(change: dict[str, object]) -> None:
    changed = msgspec.msgpack.decode(record_of(client())) | change

    with pytest.raises(ValueError, match=r"."):
        client_of("x", msgspec.msgpack.encode(changed))


@given(st.binary())
def test_any_bytes_are_a_record_or_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        client_of("x", data)


def test_deep_nesting_is_refused() -> None:
    with pytest.raises(ValueError, match=r"."):
        client_of("x", b"\x81\xa1x" + b"\x91" * 100_000)


# When it is written and removed


async def test_a_record_is_there_before_connect_is_called_and_stays() -> None:
    installation = Installation()
    (a,) = await installation.start("a")
    seen: list[int] = []

    def connect(invocation: Invocation) -> EndpointResponse:
        seen.append(len(installation.records(a)))
        return EndpointResponse(200)

    asks(a, connect)

    answer = await shake(a)

    assert isinstance(answer, Accepted)
    assert seen == [1]
    assert installation.records(a) == {answer.connection.client.connection_id}


def raises(invocation: Invocation) -> EndpointResponse:
    raise AccessDenied


@pytest.mark.parametrize("call", [lambda invocation: EndpointResponse(403), raises], ids=["refused", "failed"])
async def test_a_handshake_that_is_refused_leaves_no_record(call: Callable[[Invocation], EndpointResponse]) -> None:
    installation = Installation()
    (a,) = await installation.start("a")
    asks(a, call)

    answer = await shake(a)

    assert isinstance(answer, HttpResponse)
    assert answer.status == 403
    assert not installation.records(a)
    assert not len(a.ledger)
    assert a.gateway.opening == 0


async def test_a_stage_without_a_disconnect_to_be_delivered_costs_nothing() -> None:
    installation = Installation()
    (a,) = await installation.start("a")
    a.stage.current = without_disconnect(a.stage.current)

    answer = WebSocketApis(a.gateway).connect(handshake())

    assert isinstance(answer, Accepted), "nothing is waited for"
    answer.connection.opened(a.open(answer.connection))
    assert not installation.store.records.get(a.slot)


async def test_parameters_that_are_missing_are_told_before_anything_is_written() -> None:
    installation = Installation()
    (a,) = await installation.start("a")

    def check(invocation: Invocation) -> None:
        raise AccessDenied

    a.stage.current = replace(
        a.stage.current, connect=Operation("$connect", (check,), lambda invocation: EndpointResponse(200), False)
    )

    assert isinstance(WebSocketApis(a.gateway).connect(handshake()), HttpResponse)
    assert not installation.store.records.get(a.slot)


async def test_a_handshake_whose_write_fails_is_503_and_calls_nobody() -> None:
    installation = Installation()
    (a,) = await installation.start("a")
    asks(a, lambda invocation: pytest.fail("called"))
    a.link.up = False  # nobody has noticed yet

    answer = await shake(a)

    assert isinstance(answer, HttpResponse)
    assert answer.status == 503
    assert not len(a.ledger)
    assert a.gateway.opening == 0
    assert not a.gateway.admission._unfinished.count("203.0.113.9")


async def test_a_write_that_is_not_acknowledged_in_time_is_given_up_and_then_removed() -> None:
    installation = Installation()
    (a,) = await installation.start("a")
    add = a.orphans.add

    def silent(slot: bytes, connection_id: str, record: bytes) -> asyncio.Future[None]:
        add(slot, connection_id, record)  # done, and nobody is told
        answer = asyncio.get_running_loop().create_future()
        answer.set_exception(RegistryAway("no answer within 1 s"))
        return answer

    a.orphans.add = silent  # type: ignore[method-assign]
    answer = await shake(a)
    assert isinstance(answer, HttpResponse)
    assert answer.status == 503
    assert len(installation.records(a)) == 1

    await installation.pass_time(1)

    assert not installation.records(a), "it was not taken, so nothing is owed"


async def test_where_connections_are_accepted_meanwhile_the_record_is_written_later() -> None:
    installation = Installation()
    (a,) = await installation.start("a", accepting=True)
    a.link.up = False

    answer = await shake(a)
    assert isinstance(answer, Accepted)
    await installation.pass_time(30)
    a.link.up = True
    await installation.pass_time(1)

    assert installation.records(a) == {answer.connection.client.connection_id}


async def test_a_removal_that_failed_is_made_up_for() -> None:
    installation = Installation()
    (a,) = await installation.start("a")
    socket = await a.connect()
    a.link.up = False
    a.ledger.leave(id_of(socket))
    await installation.pass_time(1)
    assert len(installation.records(a)) == 1

    a.link.up = True
    await installation.pass_time(1)

    assert not installation.records(a)


# What is known of a client changes


def known(installation: Installation, node: Node, of: str) -> object:
    """What the registry's record says of the client."""
    record = installation.store.records[node.slot][of]
    return client_of(of, record).authorizer


async def test_a_record_follows_what_is_known_of_its_client() -> None:
    installation = Installation()
    (a,) = await installation.start("a")
    socket = await a.connect()

    socket.connection.renewed(Identity({"principalId": "ann", "claims": {"role": "admin"}}, {}))
    await installation.pass_time(1)

    assert known(installation, a, id_of(socket)) == {"principalId": "ann", "claims": {"role": "admin"}}
    assert a.ledger.mended == 0


async def test_a_change_that_could_not_be_written_is_made_up_for() -> None:
    installation = Installation()
    (a,) = await installation.start("a")
    socket, gone = await a.connect(), await a.connect()
    a.link.up = False
    for each in (socket, gone):
        each.connection.renewed(Identity({"principalId": "ann"}, {}))
    await installation.pass_time(2)
    assert known(installation, a, id_of(socket)) == {}
    a.ledger.leave(id_of(gone))

    a.link.up = True
    await installation.pass_time(1)

    assert known(installation, a, id_of(socket)) == {"principalId": "ann"}
    assert installation.records(a) == {id_of(socket)}
    await installation.pass_time(30)
    assert a.ledger.mended == 2  # one written, one removed, and no more


async def test_a_connection_that_others_have_is_not_written_again() -> None:
    installation = Installation()
    (a,) = await installation.start("a")
    socket = await a.connect()
    a.ledger.leave(id_of(socket))
    socket.connection.renewed(Identity({"principalId": "ann"}, {}))
    await installation.pass_time(10)

    assert not installation.records(a)


# Compared


async def test_a_renewal_finds_a_record_that_was_lost() -> None:
    installation = Installation()
    (a,) = await installation.start("a")
    sockets = [await a.connect() for _ in range(3)]
    installation.store.records[a.slot].clear()

    await installation.pass_time(6)

    assert installation.records(a) == {id_of(socket) for socket in sockets}
    assert a.ledger.mended == 3
    assert a.events("records entered anew") == [
        {"event": "records entered anew", "slot": slot_text(a.slot), "written": 3, "removed": 0}
    ]


async def test_as_long_as_the_counts_agree_nothing_is_read() -> None:
    installation = Installation()
    (a,) = await installation.start("a")
    await a.connect()
    await installation.pass_time(5)

    async def read(slot: bytes) -> frozenset[str]:
        pytest.fail("all ids are read")

    a.orphans.ids = read  # type: ignore[method-assign]
    await installation.pass_time(30)


async def test_a_connection_that_ends_while_records_are_compared_leaves_none() -> None:
    installation = Installation()
    (a,) = await installation.start("a")
    socket = await a.connect()
    installation.store.records[a.slot].clear()
    ids = a.orphans.ids

    async def meanwhile(slot: bytes) -> frozenset[str]:
        found = await ids(slot)
        a.ledger.leave(id_of(socket))
        return found

    a.orphans.ids = meanwhile  # type: ignore[method-assign]
    a.ledger.compare()
    await a.ledger.mend()

    assert not installation.records(a)


async def test_comparing_while_the_registry_is_away_is_done_again_later() -> None:
    installation = Installation()
    (a,) = await installation.start("a")
    socket = await a.connect()
    installation.store.records[a.slot].clear()
    a.link.up = False
    a.ledger.compare()
    with pytest.raises(RegistryAway):
        await a.ledger.mend()

    a.link.up = True
    await a.ledger.mend()

    assert installation.records(a) == {id_of(socket)}


# Deployments


async def test_a_deployment_that_brings_a_disconnect_brings_records() -> None:
    installation = Installation()
    (a,) = await installation.start("a")
    stage = a.stage.current
    a.stage.current = without_disconnect(stage)
    socket = await a.connect()
    assert not installation.store.records.get(a.slot)

    a.stage.current = stage
    a.ledger.deployed()
    await installation.pass_time(1)
    assert installation.records(a) == {id_of(socket)}

    a.stage.current = without_disconnect(stage)
    a.ledger.deployed()
    await installation.pass_time(1)
    assert not installation.records(a)


async def test_a_disconnect_that_is_deployed_during_connect_brings_a_record() -> None:
    installation = Installation()
    (a,) = await installation.start("a")
    stage = a.stage.current
    a.stage.current = without_disconnect(stage)
    answer = await shake(a)
    assert isinstance(answer, Accepted)
    a.stage.current = stage

    a.open(answer.connection)
    await installation.pass_time(1)

    assert installation.records(a) == {answer.connection.client.connection_id}


def test_a_record_keeps_what_an_authorizer_said() -> None:
    known = client()
    known.authorizer = {"principalId": "ann", "claims": {"role": "admin"}}

    known.identity = {"userArn": "arn:aws:iam::123456789012:user/ann"}

    found = client_of(known.connection_id, record_of(known))

    assert found.authorizer == known.authorizer
    assert found.identity == known.identity
