"""Pushes that come in at a node which does not hold the connection, over real connections between nodes."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from socket import SO_LINGER, SOL_SOCKET
from typing import Any

import pytest

from tests.e2e.test_cli import wsgateway
from tests.faults import LINGER_NOT
from tests.harness import PATIENCE, Answer, http
from tests.relays import Relaying, Stranger
from tests.unit.dataplane.installation import Installation, Node, without_disconnect
from wsgateway.dataplane.batch import MAX_BODY, pack
from wsgateway.dataplane.hub import Sent
from wsgateway.dataplane.peers import Standing
from wsgateway.dataplane.relay import CALL_SECONDS, HOP_SECONDS
from wsgateway.dataplane.relayed import RelayedCalls
from wsgateway.dataplane.seals import PREFIX, Verb
from wsgateway.errors import IntegrationFailure
from wsgateway.messages import HttpRequest, HttpResponse, Message
from wsgateway.registry.base import NodeEntry
from wsgateway.transport.head import Incoming
from wsgateway.transport.http import HttpConnection

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def nodes(*names: str, secrets: tuple[bytes | None, ...] = ()) -> AsyncIterator[list[Relaying]]:
    """Nodes that know one another."""
    installation = Installation()
    made = [
        Relaying(Node(installation, name), secret)
        for name, secret in zip(names, secrets or (None,) * len(names), strict=True)
    ]
    try:
        for node in made:
            await node.start()
            installation.nodes.append(node.node)
        await installation.pass_time(12)
        yield made
        assert [node.faults for node in made] == [[] for _ in made]
    finally:
        for node in made:
            await node.stop()


@pytest.fixture
async def two() -> AsyncIterator[list[Relaying]]:
    async with nodes("a", "b") as made:
        yield made


def path(connection_id: str) -> str:
    return f"/dev/@connections/{connection_id.replace('=', '%3D')}"


async def push(node: Relaying, connection_id: str, body: bytes = b"hi", query: str = "") -> Answer:
    return await http(node.port, "POST", path(connection_id) + query, body)


async def call(node: Relaying, method: str, connection_id: str) -> Answer:
    return await http(node.port, method, path(connection_id))


async def both(two: list[Relaying], method: str, connection_id: str, body: bytes = b"") -> tuple[Any, Any]:
    """The answers of the owner and of the other node, without what differs between any two answers."""

    def seen(answer: Answer) -> Any:
        fresh = {"x-amzn-requestid", "x-amz-apigw-id", "x-amzn-trace-id"}
        names = [name for name, _ in answer.headers]
        assert fresh.issubset(names) or answer.status == 413
        assert len(set(names)) == len(names)
        return answer.status, sorted(pair for pair in answer.headers if pair[0] not in fresh | {"date"}), answer.body

    first, second = [await http(node.port, method, path(connection_id), body) for node in two]
    return seen(first), seen(second)


async def test_a_push_through_another_node_arrives(two: list[Relaying]) -> None:
    a, b = two
    connection_id, socket = await a.connect()

    answer = await push(b, connection_id, "grüß".encode())

    assert (answer.status, answer.body) == (200, b"")
    assert socket.sent == [Message("grüß".encode())]
    assert b.gateway.counters.relays == {200: 1}
    assert b.gateway.counters.pushes == {200: 1}
    assert a.gateway.counters.relayed_in == {200: 1}
    assert a.gateway.counters.pushes == {}


@pytest.mark.parametrize(
    ("query", "body", "message"),
    [
        pytest.param("", b"", Message(b""), id="nothing"),
        pytest.param("?type=binary", b"\x00\xff", Message(b"\x00\xff", True), id="binary"),
        pytest.param("", b"a\xffb", Message("a\ufffdb".encode()), id="not UTF-8"),
        pytest.param("", b"x" * 1_048_576, Message(b"x" * 1_048_576), id="1 MiB"),
    ],
)
async def test_every_body_arrives_as_it_would_at_the_owner(
    two: list[Relaying], query: str, body: bytes, message: Message
) -> None:
    connection_id, socket = await two[0].connect()

    assert (await push(two[1], connection_id, body, query)).status == 200
    assert socket.sent == [message]


@pytest.mark.parametrize(("method", "status"), [("POST", 200), ("GET", 200), ("PUT", 403)])
async def test_the_answer_is_the_owners_to_the_byte(two: list[Relaying], method: str, status: int) -> None:
    connection_id, _ = await two[0].connect()

    first, second = await both(two, method, connection_id)

    assert first[0] == status
    if method != "GET":  # which tells how long ago something happened
        assert first == second
    assert json.loads(first[2] or b"{}").keys() == json.loads(second[2] or b"{}").keys()


@pytest.mark.parametrize("method", ["POST", "GET", "DELETE"])
async def test_a_closed_connection_is_gone_at_every_node_at_once(two: list[Relaying], method: str) -> None:
    connection_id, socket = await two[0].connect()
    socket.close(1000, "")

    first, second = await both(two, method, connection_id)

    assert first == second
    assert first[0] == 410
    assert ("x-amzn-errortype", "GoneException") in first[1]


async def test_a_full_outbox_is_429_at_every_node(two: list[Relaying]) -> None:
    connection_id, socket = await two[0].connect()
    socket.send = lambda message: Sent.FULL  # type: ignore[method-assign]

    first, second = await both(two, "POST", connection_id, b"x")

    assert first == second
    assert first[0] == 429


async def test_too_large_a_push_is_refused_where_it_comes_in(two: list[Relaying]) -> None:
    connection_id, _ = await two[0].connect()

    first, second = await both(two, "POST", connection_id, b"x" * 1_048_577)

    assert first == second
    assert first[0] == 413
    assert two[0].gateway.counters.relayed_in == {}


async def test_delete_through_another_node_closes_it(two: list[Relaying]) -> None:
    connection_id, socket = await two[0].connect()

    answer = await call(two[1], "DELETE", connection_id)

    assert (answer.status, answer.body) == (204, b"")
    assert socket.closed == (1000, "Connection Closed Normally")
    assert (await call(two[1], "DELETE", connection_id)).status == 410


async def test_pushes_in_sequence_through_changing_nodes_arrive_in_order() -> None:
    async with nodes("a", "b", "c") as three:
        connection_id, socket = await three[0].connect()
        for number in range(60):
            assert (await push(three[number * 7 % 3], connection_id, b"%d" % number)).status == 200

        assert [message.data for message in socket.sent] == [b"%d" % number for number in range(60)]


async def test_an_id_nobody_made_is_refused_before_anything(two: list[Relaying]) -> None:
    a, b = two
    connection_id, _ = await a.connect()
    wrong = connection_id[:10] + ("A" if connection_id[10] != "A" else "B") + connection_id[11:]

    assert (await push(b, wrong)).status == 400
    assert a.gateway.counters.relayed_in == {}


async def test_an_id_of_this_node_that_is_not_here_is_gone(two: list[Relaying]) -> None:
    assert (await push(two[1], two[1].gateway.ids.new("chat"))).status == 410
    assert two[1].gateway.counters.relays == {}


# Nodes that can't be reached


def doubt(answer: Answer) -> None:
    assert answer.status == 503
    assert answer.header("retry-after") == "1"
    assert answer.header("x-amzn-errortype") == "ServiceUnavailableException"
    assert answer.json()["message"] == "Service Unavailable"


async def test_a_killed_owner_is_503_until_it_is_known_to_be_dead_and_then_410(two: list[Relaying]) -> None:
    a, b = two
    connection_id, _ = await a.connect()
    installation = a.node.installation
    await a.stop()
    seen = []

    for _ in range(40):
        await installation.pass_time(1)
        answer = await push(b, connection_id)
        if answer.status == 503:
            doubt(answer)
        seen.append(answer.status)

    assert seen == [503] * seen.count(503) + [410] * seen.count(410)
    assert 15 + 10 - 2 <= seen.count(503) <= 15 + 15
    assert b.gateway.counters.relay_doubts["unreachable"] > 0
    assert len(b.node.events("node can't be relayed to")) >= 1


async def test_a_node_that_is_only_cut_off_from_the_registry_is_not_given_up(two: list[Relaying]) -> None:
    """No record tells of a connection whose stage has no $disconnect: its node alone knows."""
    a, b = two
    a.node.stage.current = without_disconnect(a.node.stage.current)
    connection_id, socket = await a.connect()
    gone, closed = await a.connect()
    closed.close(1000, "")
    a.node.link.up = False

    await b.node.installation.pass_time(40)

    assert b.node.peers.standing(a.node.slot) is Standing.DEAD
    assert (await push(b, connection_id)).status == 200
    assert socket.sent == [Message(b"hi")]
    assert (await push(b, gone)).status == 410
    assert a.node.slot not in b.node.installation.store.retired
    assert len(b.node.events("a node without a lease answers, and is not given up")) == 1

    await a.stop()
    await b.node.installation.pass_time(1)

    assert a.node.slot in b.node.installation.store.retired
    assert (await push(b, connection_id)).status == 410


async def test_a_node_that_has_left_in_order_is_gone_at_once(two: list[Relaying]) -> None:
    a, b = two
    connection_id, socket = await a.connect()
    socket.close(1001, "Going away")
    a.node.ledger.leave(connection_id)  # its $disconnect is answered
    await a.node.tick()
    await a.node.lease.leave()
    await a.stop()

    assert (await push(b, connection_id)).status == 410


@pytest.mark.parametrize("known", [True, False])
async def test_while_the_registry_is_away_the_kept_addresses_are_called(two: list[Relaying], known: bool) -> None:
    a, b = two
    connection_id, socket = await a.connect()
    b.node.link.up = False
    await a.node.installation.pass_time(3)
    assert b.node.peers.away
    if not known:
        connection_id = "Zm9v" + connection_id[4:]
        b.gateway.ids.valid = lambda *_: True  # type: ignore[method-assign]

    answer = await push(b, connection_id)

    if known:
        assert answer.status == 200
        assert len(socket.sent) == 1
    else:
        doubt(answer)


@asynccontextmanager
async def replaced(node: Relaying, answer: bytes | None) -> AsyncIterator[Stranger]:
    """Something else has a node's port."""
    port = node.port
    node.internal.close()
    await asyncio.sleep(0)
    stranger = Stranger(answer, port)
    await stranger.start()
    try:
        yield stranger
    finally:
        await stranger.stop()


ANSWERS = {
    "stranger": b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    "moved": b"HTTP/1.1 421 X\r\nContent-Length: 0\r\n\r\n",
    "broken": b"",
    "silent": None,
}


@pytest.mark.parametrize(("cause", "answer"), ANSWERS.items(), ids=ANSWERS)
async def test_whoever_is_not_the_owner_leaves_doubt(two: list[Relaying], cause: str, answer: bytes | None) -> None:
    a, b = two
    connection_id, _ = await a.connect()
    async with replaced(a, answer) as stranger:
        begun = time.monotonic()

        doubt(await push(b, connection_id))

        assert time.monotonic() - begun < 3
        assert b.gateway.counters.relay_doubts == {cause: 1}
        targets = {asked.split(b" ")[1] for asked in stranger.asked}
        assert len(targets) == 1, "a repeated call has the same number"
        assert len(stranger.asked) == {"stranger": 1, "moved": 2, "broken": 2, "silent": 1}[cause]


async def test_a_slot_that_another_node_has_not_got_is_refused(two: list[Relaying]) -> None:
    """A port is reused by another node of the installation."""
    a, b = two
    connection_id, _ = await a.connect()
    a.gateway.ids.slot = b"ZZZ"

    doubt(await push(b, connection_id))

    assert a.gateway.counters.relayed_in == {421: 2}
    assert b.gateway.counters.relay_doubts == {"moved": 1}


async def test_a_node_with_another_secret_is_refused_and_doubted() -> None:
    async with nodes("a", "b", secrets=(b"one secret", b"another secret")) as (a, b):
        connection_id, socket = await a.connect()

        doubt(await push(b, connection_id))

        assert a.gateway.counters.relayed_in == {403: 1}
        assert b.gateway.counters.relay_doubts == {"stranger": 1}
        assert socket.sent == []
        assert a.node.events("a relayed call is refused: not sealed with this installation's secret")


async def test_a_node_that_has_not_heard_of_a_new_secret_is_served(two: list[Relaying]) -> None:
    a, b = two
    connection_id, _ = await a.connect()
    a.secret = lambda: b"the new one"
    await a.node.tick()

    assert (await push(b, connection_id)).status == 200


async def test_a_caller_that_leaves_leaves_nothing_behind(two: list[Relaying]) -> None:
    a, b = two
    connection_id, held = await a.connect()
    async with replaced(a, None) as stranger:
        writers = []
        for _ in range(5):
            _, writer = await asyncio.open_connection("127.0.0.1", b.port)
            writer.write(b"POST %b HTTP/1.1\r\nHost: b\r\nContent-Length: 1\r\n\r\nx" % path(connection_id).encode())
            await writer.drain()
            writers.append(writer)
        async with asyncio.timeout(PATIENCE):
            while len(stranger.asked) < 2:
                await asyncio.sleep(0)
            for writer in writers:
                writer.get_extra_info("socket").setsockopt(SOL_SOCKET, SO_LINGER, LINGER_NOT)
                writer.transport.abort()
            (link,) = b.relay._links.values()
            while link.busy or link.gathered:
                await asyncio.sleep(0)
        doubt(await push(b, connection_id))
    assert b.gateway.counters.relays == {503: 1}
    assert held.sent == []


# Once


async def relayed(b: Relaying, connection_id: str) -> bytes:
    """The target of a call by b, as it stands on the wire."""
    signed = b"%bt%b%x/chat/%b" % (
        connection_id[:4].encode(), b.gateway.ids.begin.encode(), 999, connection_id.encode(),
    )  # fmt: skip
    return b.seals.target(signed)


async def test_a_call_that_comes_twice_is_done_once(two: list[Relaying]) -> None:
    a, b = two
    connection_id, socket = await a.connect()
    target = (await relayed(b, connection_id)).decode()

    answers = [await http(a.port, "POST", target, b"once") for _ in range(3)]

    assert [answer.status for answer in answers] == [200, 200, 200]
    assert len(socket.sent) == 1


async def test_a_copy_that_is_read_while_the_first_still_comes_is_the_one_that_counts(two: list[Relaying]) -> None:
    a, b = two
    connection_id, socket = await a.connect()
    target = await relayed(b, connection_id)
    reader, writer = await asyncio.open_connection("127.0.0.1", a.port)
    writer.write(b"POST %b HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\non" % target)
    await writer.drain()

    assert (await http(a.port, "POST", target.decode(), b"once")).status == 200
    writer.write(b"ce")
    assert (await reader.readline()).startswith(b"HTTP/1.1 200 ")

    assert len(socket.sent) == 1
    writer.close()


async def test_a_gone_connection_stays_gone_for_a_copy(two: list[Relaying]) -> None:
    a, b = two
    connection_id, socket = await a.connect()
    socket.close(1000, "")
    target = (await relayed(b, connection_id)).decode()

    assert [(await http(a.port, "POST", target)).status for _ in range(2)] == [410, 410]


@pytest.mark.parametrize("change", ["connection", "seal"])
async def test_a_call_that_is_not_sealed_right_does_nothing(two: list[Relaying], change: str) -> None:
    a, b = two
    connection_id, socket = await a.connect()
    target = (await relayed(b, connection_id)).decode()
    wrong = target.replace("/chat/", "/other/") if change == "connection" else target[:8] + "0" * 32 + target[40:]

    assert (await http(a.port, "POST", wrong, b"x")).status == 403
    assert socket.sent == []


async def test_a_relayed_call_is_never_passed_on() -> None:
    """One that reaches a node which does not hold the connection ends there."""
    async with nodes("a", "b", "c") as (a, b, c):
        connection_id, socket = await a.connect()
        target = (await relayed(b, connection_id)).decode()

        assert (await http(c.port, "POST", target, b"x")).status == 421
        assert socket.sent == []
        assert c.gateway.counters.relays == {}


# Many at once


def statuses(answers: list[Answer]) -> list[int]:
    return [answer.status for answer in answers]


async def test_pushes_at_once_each_get_their_own_answer(two: list[Relaying]) -> None:
    a, b = two
    made = [await a.connect() for _ in range(12)]
    for _, socket in made[:4]:
        socket.close(1000, "")
    for _, socket in made[4:8]:
        socket.send = lambda message: Sent.FULL  # type: ignore[method-assign]

    async def one(number: int) -> Answer:
        return await push(b, made[number % 12][0], b"%d" % number, "?type=binary" if number % 2 else "")

    answers = await asyncio.gather(*map(one, range(240)))

    assert statuses(answers) == [(410, 429, 200)[number % 12 // 4] for number in range(240)]
    for index, (_, socket) in enumerate(made[8:], 8):
        wanted = {Message(b"%d" % number, number % 2 == 1) for number in range(index, 240, 12)}
        assert len(socket.sent) == len(wanted) == 20
        assert set(socket.sent) == wanted
    assert a.gateway.counters.relayed_in == {410: 80, 429: 80, 200: 80}
    assert b.gateway.counters.relays == {410: 80, 429: 80, 200: 80}


async def test_pushes_at_once_travel_together(two: list[Relaying], monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = two
    connection_id, socket = await a.connect()
    requests = 0
    many = RelayedCalls._many

    def counting(self: RelayedCalls, request: HttpRequest, body: bytes) -> HttpResponse:
        nonlocal requests
        requests += 1
        return many(self, request, body)

    monkeypatch.setattr(RelayedCalls, "_many", counting)
    calls = [b.relay.call(Verb.TEXT, "chat", connection_id, b"%d" % number) for number in range(1 + 64 + 64 + 1)]

    answers = [answer if isinstance(answer, HttpResponse) else await answer for answer in calls]

    assert [answer.status for answer in answers] == [200] * 130
    assert requests == 2, "one finds nobody on the way, two full loads, and one alone"
    assert sorted(int(message.data) for message in socket.sent) == list(range(130))


async def test_large_pushes_at_once_arrive(two: list[Relaying]) -> None:
    a, b = two
    connection_id, socket = await a.connect()

    answers = await asyncio.gather(*(push(b, connection_id, bytes([65 + number]) * 200_000) for number in range(10)))

    assert statuses(answers) == [200] * 10
    assert {message.data[:1] for message in socket.sent} == {bytes([65 + number]) for number in range(10)}


@pytest.mark.parametrize(("cause", "answer"), ANSWERS.items(), ids=ANSWERS)
async def test_pushes_at_once_to_whoever_is_not_the_owner_are_all_doubted(
    two: list[Relaying], cause: str, answer: bytes | None
) -> None:
    a, b = two
    connection_id, _ = await a.connect()
    async with replaced(a, answer):
        answers = await asyncio.gather(*(push(b, connection_id) for _ in range(50)))

        for each in answers:
            doubt(each)
        causes = b.gateway.counters.relay_doubts
        assert sum(causes.values()) == 50
        assert causes[cause]
        # What ends a connection before it has read everything resets it, answer and all.
        assert causes.keys() <= {cause, "broken"}


async def test_pushes_at_once_to_a_crashed_node_are_all_doubted(two: list[Relaying]) -> None:
    a, b = two
    connection_id, _ = await a.connect()
    await a.stop()

    for _ in range(3):
        for answer in await asyncio.gather(*(push(b, connection_id) for _ in range(60))):
            doubt(answer)


async def test_pushes_whose_connection_broke_are_sent_again_and_done_once(two: list[Relaying]) -> None:
    """The owner has done them, and its answer was lost."""
    a, b = two
    connection_id, socket = await a.connect()
    await push(b, connection_id, b"first")
    lost = 0
    answer = HttpConnection.respond

    def losing(self: HttpConnection, incoming: Incoming, response: HttpResponse) -> None:
        nonlocal lost
        if incoming.target.startswith(PREFIX) and lost < 2:
            lost += 1
            self.transport.abort()
        else:
            answer(self, incoming, response)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(HttpConnection, "respond", losing)
        calls = [b.relay.call(Verb.TEXT, "chat", connection_id, b"%d" % number) for number in range(20)]
        answers = [answer if isinstance(answer, HttpResponse) else await answer for answer in calls]

    assert lost == 2
    assert [answer.status for answer in answers] == [200] * 20
    assert sorted(message.data for message in socket.sent[1:]) == sorted(b"%d" % number for number in range(20))


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"\xc1", id="no MessagePack"),
        pytest.param(b"\x93\x01\x02\x03", id="no pushes"),
        pytest.param(b"\x91" * 5000 + b"\x01", id="deep"),
    ],
)
async def test_many_that_are_nothing_of_ours_are_refused(two: list[Relaying], body: bytes) -> None:
    a, b = two
    signed = b"%bm%b1" % (a.gateway.ids.begin.encode(), b.gateway.ids.begin.encode())

    answer = await http(a.port, "POST", b.seals.target(signed, body).decode(), body)

    assert answer.status == 400


async def test_many_are_sealed_with_what_they_say(two: list[Relaying]) -> None:
    a, b = two
    connection_id, socket = await a.connect()
    signed = b"%bm%b1" % (a.gateway.ids.begin.encode(), b.gateway.ids.begin.encode())
    body = pack([("call", "chat", connection_id, b"x")])

    for target in (b.seals.target(signed, body + b"!"), b.seals.target(signed)):
        assert (await http(a.port, "POST", target.decode(), body)).status == 403
    assert (await http(a.port, "POST", b.seals.target(signed).decode(), b"x" * (MAX_BODY + 1))).status == 403
    assert socket.sent == []


# People


async def test_the_list_has_the_connections_of_all_nodes_in_order() -> None:
    async with nodes("a", "b", "c") as three:
        made = {}
        for number in range(20):
            node = three[number % 3]
            made[(await node.connect())[0]] = node.node.name
        for entry in three:
            found: list[dict[str, Any]] = []
            token = ""
            while True:
                page = (await http(entry.port, "GET", f"/dev/@connections?maxResults=3&nextToken={token}")).json()
                assert "incomplete" not in page
                found += page["items"]
                token = page.get("nextToken", "")
                if not token:
                    break

            assert [item["connectionId"] for item in found] == sorted(made)
            assert {item["connectionId"]: item["node"] for item in found} == made


async def test_a_node_that_does_not_answer_is_named_in_the_list(two: list[Relaying]) -> None:
    a, b = two
    await a.connect()
    connection_id, _ = await b.connect()
    slot = a.gateway.ids.begin
    async with replaced(a, b'HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n{"items":[]}'):
        page = (await http(b.port, "GET", "/dev/@connections")).json()

        assert [item["connectionId"] for item in page["items"]] == [connection_id]
        assert page["incomplete"] == [{"node": "a", "slot": slot, "address": a.address}]


async def test_a_token_that_is_none_is_refused(two: list[Relaying]) -> None:
    answer = await http(two[0].port, "GET", "/dev/@connections?nextToken=%20HTTP/1.1%0d%0a")

    assert answer.status == 400


async def test_the_nodes_are_listed_with_what_they_hold(two: list[Relaying]) -> None:
    a, b = two
    for _ in range(3):
        await a.connect()

    page = (await http(b.port, "GET", "/nodes")).json()

    assert page["registry"] == "present"
    assert [(node["name"], node["state"], node["connections"]) for node in page["nodes"]] == [
        ("a", "live", 3), ("b", "live", 0),
    ]  # fmt: skip
    assert page["nodes"][0]["slot"] == a.gateway.ids.begin
    assert page["nodes"][0]["address"] == a.address


async def test_what_is_said_of_a_node_that_is_gone(two: list[Relaying]) -> None:
    a, b = two
    await a.connect()
    await a.stop()
    states = []
    for _ in range(32):
        await a.node.installation.pass_time(1)
        page = (await http(b.port, "GET", "/nodes")).json()
        states += [node["state"] for node in page["nodes"] if node["name"] == "a"]
        assert all(node["connections"] is None for node in page["nodes"] if node["name"] == "a")

    assert list(dict.fromkeys(states)) == ["live", "lease lost", "being taken over"][: len(set(states))]
    assert "lease lost" in states


async def test_a_tail_says_where_the_connection_is(two: list[Relaying]) -> None:
    a, b = two
    connection_id, socket = await a.connect()

    answer = await http(b.port, "GET", path(connection_id) + "/tail")

    assert answer.status == 409
    assert (answer.json()["node"], answer.json()["address"]) == ("a", a.address)
    socket.close(1000, "")
    assert (await http(b.port, "GET", path(connection_id) + "/tail")).status == 410


async def test_verbs_work_through_any_node(two: list[Relaying]) -> None:
    a, b = two
    connection_id, socket = await a.connect()
    at = ("--endpoint", f"http://127.0.0.1:{b.port}")

    (row,) = json.loads((await wsgateway("connections", "ls", *at, "--output", "json")).out)
    assert (row["connectionId"], row["node"]) == (connection_id, "a")
    assert "sourceIp" in (await wsgateway("connections", "get", connection_id, *at)).out
    assert (await wsgateway("connections", "send", connection_id, "hi", *at)).code == 0
    assert socket.sent == [Message(b"hi")]
    rows = (await wsgateway("nodes", *at)).out.splitlines()
    assert [row.split()[1] for row in rows] == ["name", "a", "b"]
    assert (await wsgateway("connections", "close", connection_id, *at)).code == 0
    assert socket.closed == (1000, "Connection Closed Normally")


async def test_a_tail_follows_to_the_node_of_the_connection(two: list[Relaying]) -> None:
    a, b = two
    connection_id, socket = await a.connect()
    tail = asyncio.ensure_future(
        wsgateway("connections", "tail", connection_id, "--endpoint", f"http://127.0.0.1:{b.port}")
    )
    async with asyncio.timeout(PATIENCE):
        while not a.gateway.tails.running:
            await asyncio.sleep(0)
    socket.close(1000, "bye")

    ended = await tail

    assert ended.code == 0
    assert "1000 bye" in ended.out


async def test_a_list_that_lacks_a_node_fails_and_names_it(two: list[Relaying]) -> None:
    a, b = two
    async with replaced(a, ANSWERS["stranger"]):
        ended = await wsgateway("connections", "ls", "--endpoint", f"http://127.0.0.1:{b.port}")

        assert ended.code == 1
        assert f"a at {a.address}" in ended.err


async def test_integrations_can_not_call_other_nodes(two: list[Relaying]) -> None:
    a, b = two
    with pytest.raises(IntegrationFailure, match="other nodes"):
        b.egress.check("x", "127.0.0.1", a.port, trusted=True)

    b.egress.check("x", "127.0.0.1", a.port ^ 1, trusted=True)


async def test_a_name_that_cant_be_looked_up_lets_no_other_node_be_called(
    two: list[Relaying], monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = two
    found: dict[str, str] = {}
    asked: list[str] = []

    async def getaddrinfo(host: str, port: object, **_: object) -> list[Any]:
        asked.append(host)
        if host not in found:
            raise OSError("no such name")
        return [(0, 0, 0, "", (found[host], 0))]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)
    store = b.node.installation.store
    store.nodes[b"xyz"] = NodeEntry(slot=b"xyz", address="c.example:9090", name="c")

    def refused(address: str, port: int) -> bool:
        try:
            b.egress.check("x", address, port, trusted=True)
        except IntegrationFailure:
            return True
        return False

    for _ in range(3):
        await b.node.lease.tick()
        await asyncio.sleep(0)
        assert refused("127.0.0.1", a.port)
    assert asked[:2] == ["c.example"] * 2, "it is tried again"
    found["c.example"] = "10.9.9.9"
    await b.node.lease.tick()
    await asyncio.sleep(0)

    assert refused("10.9.9.9", 9090)
    assert refused("127.0.0.1", a.port)


def test_the_limits_keep_the_promise_of_three_seconds() -> None:
    assert HOP_SECONDS == 2
    assert CALL_SECONDS < 3


async def test_every_node_forgets_what_authorizers_said_or_is_named(two: list[Relaying]) -> None:
    a, b = two
    forgotten: list[tuple[str, str, str]] = []

    def forget(name: str, api_id: str, stage: str) -> int:
        forgotten.append((name, api_id, stage))
        return 1

    for name, node in (("a", a), ("b", b)):
        node.gateway.forget_authorizations = partial(forget, name)
    assert await a.directory.forget_authorizations("chat", "a/b") == []
    assert sorted(forgotten) == [("a", "chat", "a/b"), ("b", "chat", "a/b")]

    b.internal.close()
    assert await a.directory.forget_authorizations("chat", "dev") == [b.node.name]
    assert forgotten[2:] == [("a", "chat", "dev")]
