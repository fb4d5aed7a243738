"""Pushes through any of several gateways with one Redis, as backends make them, while what can fail does."""

from __future__ import annotations

import asyncio
import signal
import time
from pathlib import Path

import pytest
from botocore.exceptions import ClientError
from websockets.asyncio.client import ClientConnection

from tests.aws.test_boto3 import Management
from tests.e2e.test_many_nodes import Site, becomes, site  # noqa: F401 - a fixture
from tests.faults import free_port, link
from tests.harness import PATIENCE, Answer, Gateway, closed, heard, http

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(90)]

LONG = ("--lease-ttl", "15")
"""A lease that outlives a test: what fails is the hop alone."""


async def push(node: Gateway, connection_id: str, body: bytes = b"hi", query: str = "") -> Answer:
    return await http(node.internal_port, "POST", node.callback(connection_id) + query, body)


async def reaches(node: Gateway, connection_id: str) -> bool:
    """Whether the node knows the connection's by now."""
    return (await http(node.internal_port, "GET", node.callback(connection_id))).status == 200


@pytest.fixture
async def three(site: Site) -> list[Gateway]:  # noqa: F811
    return [await site.node() for _ in range(3)]


async def in_time(node: Gateway, connection_id: str) -> Answer:
    """The answer to a push, within 3 s."""
    begun = time.monotonic()
    answer = await push(node, connection_id)
    assert time.monotonic() - begun < 3
    return answer


def doubt(answer: Answer) -> None:
    assert answer.status == 503
    assert answer.header("retry-after") == "1"


async def test_sdks_push_look_at_and_close_through_every_node(site: Site, three: list[Gateway]) -> None:  # noqa: F811
    client, connection_id = await site.client(three[0])
    apis = [Management(f"{node.internal}/dev") for node in three]
    for number, api in enumerate(apis):
        await api.call("post_to_connection", ConnectionId=connection_id, Data=b"%d" % number)
        assert await heard(client) == str(number)
        facts = await api.call("get_connection", ConnectionId=connection_id)
        assert facts["Identity"]["UserAgent"] == "tests/1"

    await apis[1].call("delete_connection", ConnectionId=connection_id)

    assert await closed(client) == (1000, "Connection Closed Normally")
    for api in apis:
        gone = await api.refusal("post_to_connection", ConnectionId=connection_id, Data=b"x")
        assert isinstance(gone, ClientError)
        assert gone.response["Error"]["Code"] == "GoneException"


@pytest.mark.parametrize(
    ("query", "body", "message"),
    [
        pytest.param("", b"x" * 1_048_576, "x" * 1_048_576, id="1 MiB"),
        pytest.param("?type=binary", b"\xff\x00" * 500_000, b"\xff\x00" * 500_000, id="binary"),
        pytest.param("", b"", "", id="nothing"),
    ],
)
async def test_every_push_arrives_through_another_node(
    site: Site,  # noqa: F811
    query: str,
    body: bytes,
    message: str | bytes,
) -> None:
    a, b = await site.node(), await site.node()
    client, connection_id = await site.client(a)

    assert (await push(b, connection_id, body, query)).status == 200
    assert await heard(client) == message


async def test_a_connection_that_has_just_opened_or_closed_is_known_as_that_at_once(
    site: Site,  # noqa: F811
    three: list[Gateway],
) -> None:
    for number in range(5):
        client, connection_id = await site.client(three[number % 3])
        assert [(await push(node, connection_id)).status for node in three] == [200] * 3
        await client.close()
        assert [(await push(node, connection_id)).status for node in three] == [410] * 3


async def test_pushes_in_sequence_through_changing_nodes_arrive_in_order(
    site: Site,  # noqa: F811
    three: list[Gateway],
) -> None:
    client, connection_id = await site.client(three[0])
    for number in range(60):
        assert (await push(three[number % 3], connection_id, b"%d" % number)).status == 200

    assert [await heard(client) for _ in range(60)] == [str(number) for number in range(60)]


async def test_a_killed_owners_connections_are_in_doubt_and_then_gone(site: Site, three: list[Gateway]) -> None:  # noqa: F811
    a, *others = three
    _, connection_id = await site.client(a)
    a.process.kill()
    await a.wait()
    begun = time.monotonic()
    seen: list[int] = []
    while seen[-2:] != [410, 410]:
        for node in others:
            answer = await in_time(node, connection_id)
            seen.append(answer.status)
        assert time.monotonic() - begun < PATIENCE
        await asyncio.sleep(0.02)

    assert set(seen) == {503, 410}
    assert site.disconnects(connection_id), "410 came behind the take-over"


async def test_a_stopped_owner_is_in_doubt_within_three_seconds_and_comes_back(site: Site) -> None:  # noqa: F811
    a, b = await site.node(*LONG), await site.node(*LONG)
    client, connection_id = await site.client(a)
    assert (await push(b, connection_id, b"before")).status == 200
    a.process.send_signal(signal.SIGSTOP)

    for answer in await asyncio.gather(*(in_time(b, connection_id) for _ in range(20))):
        doubt(answer)

    a.process.send_signal(signal.SIGCONT)
    assert await heard(client) == "before"
    assert (await push(b, connection_id, b"after")).status == 200
    while await heard(client) != "after":  # what was in doubt may arrive
        pass
    assert (await b.metrics())['wsgateway_relay_503_total{cause="silent"}'] == 20


async def test_a_link_between_nodes_that_fails_leaves_doubt_and_no_second_copy(site: Site) -> None:  # noqa: F811
    port = free_port()
    async with link(port) as between:
        at = ("--internal-port", str(port), "--advertise", f"127.0.0.1:{between.port}")
        a, b = await site.node(*LONG, *at), await site.node(*LONG)
        client, connection_id = await site.client(a)
        assert (await push(b, connection_id, b"1")).status == 200
        assert between.accepted

        between.hole(answers_only=True)
        doubt(await in_time(b, connection_id))
        between.cut()
        await between.heal()
        assert (await push(b, connection_id, b"2")).status == 200
        between.cut()
        assert (await push(b, connection_id, b"3")).status == 200
        between.hole()
        doubt(await in_time(b, connection_id))
        between.cut()
        await between.refuse()
        doubt(await in_time(b, connection_id))
        await between.heal()
        await becomes(lambda: reaches(b, connection_id))
        assert (await push(b, connection_id, b"4")).status == 200

        said = [await heard(client) for _ in range(5)]
        assert said == ["1", "hi", "2", "3", "4"], "the first in doubt had arrived, once"
        await b.logged("node can't be relayed to")
        await b.logged("node is relayed to again")


async def test_while_redis_is_away_pushes_through_any_node_go_on(site: Site) -> None:  # noqa: F811
    a, b = await site.node(), await site.node()
    client, connection_id = await site.client(a)
    await becomes(lambda: reaches(b, connection_id))
    await site.redis.kill()
    await b.logged("registry away")

    for number in range(5):
        assert (await push(b, connection_id, b"%d" % number)).status == 200
        assert await heard(client) == str(number)
    await client.close()
    assert (await push(b, connection_id)).status == 410

    await site.redis.start()
    await b.logged("registry back")
    await becomes(lambda: _gone(b, connection_id))


async def _gone(node: Gateway, connection_id: str) -> bool:
    answer = await in_time(node, connection_id)
    assert answer.status in (503, 410)
    return answer.status == 410


async def test_an_emptied_redis_makes_no_living_connection_gone(site: Site) -> None:  # noqa: F811
    a, b = await site.node(), await site.node()
    client, connection_id = await site.client(a)
    for _ in range(3):
        await site.redis.wipe()
        for number in range(20):
            answer = await in_time(b, connection_id)
            assert answer.status == 200, number
            assert await heard(client) == "hi"


async def test_nodes_of_different_secrets_do_not_serve_one_another(site: Site, tmp_path: Path) -> None:  # noqa: F811
    flags = []
    for name in ("one", "another"):
        (tmp_path / name).write_text(name * 10)
        flags.append(("--installation-secret-file", str(tmp_path / name)))
    a, b = await site.node(*flags[0]), await site.node(*flags[1])
    client, connection_id = await site.client(a)

    doubt(await in_time(b, connection_id))

    await a.logged("a relayed call is refused")
    assert (await a.metrics())['wsgateway_relayed_in_total{status="403"}'] >= 1
    assert (await b.metrics())['wsgateway_relay_503_total{cause="stranger"}'] == 1
    assert (await push(a, connection_id, b"at its own")).status == 200
    assert await heard(client) == "at its own"


async def test_relayed_calls_mean_nothing_on_the_public_listener(site: Site) -> None:  # noqa: F811
    a = await site.node()

    answer = await http(a.port, "POST", f"/@relay/{'0' * 32}/AAAAtBBBB1/chat/AAAA", b"x")

    assert answer.status == 403
    assert b"Forbidden" in answer.body
    assert "wsgateway_relayed_in_total" not in str(await a.metrics())


async def test_an_entry_that_is_told_to_leave_answers_what_it_took(site: Site) -> None:  # noqa: F811
    a, b = await site.node(), await site.node()
    client, connection_id = await site.client(a)
    await becomes(lambda: reaches(b, connection_id))
    statuses: list[int] = []

    async def pushes(lane: int) -> None:
        for number in range(10_000):
            try:
                answer = await push(b, connection_id, b"%d/%d" % (lane, number))
            except (OSError, ValueError, IndexError):
                return  # b is gone: it never took this one
            statuses.append(answer.status)
            if answer.status == 200:
                accepted.add(f"{lane}/{number}")

    accepted: set[str] = set()
    arrived: list[str] = []

    async def hear(client: ClientConnection) -> None:
        async for message in client:
            arrived.append(str(message))

    hearing = asyncio.ensure_future(hear(client))
    lanes = [asyncio.ensure_future(pushes(lane)) for lane in range(8)]
    await becomes(lambda: _async(len(accepted) >= 50))
    b.terminate()
    assert await b.wait() == 0
    await asyncio.gather(*lanes)
    await becomes(lambda: _async(accepted <= set(arrived)))

    assert set(statuses) == {200}
    assert len(arrived) == len(set(arrived))
    assert (await push(a, connection_id)).status == 200
    hearing.cancel()


async def _async(value: bool) -> bool:
    return value


async def test_an_owner_that_leaves_in_order_is_gone_at_once(site: Site) -> None:  # noqa: F811
    a, b = await site.node(), await site.node()
    client, connection_id = await site.client(a)
    await becomes(lambda: reaches(b, connection_id))
    seen: set[int] = set()
    a.terminate()
    while a.process.returncode is None:
        seen.add((await in_time(b, connection_id)).status)
    assert await closed(client) == (1001, "Going away")

    assert (await in_time(b, connection_id)).status == 410
    assert seen <= {200, 410, 503}


async def test_a_new_node_at_the_port_of_a_dead_one_is_not_taken_for_it(site: Site) -> None:  # noqa: F811
    port = str(free_port())
    a, b = await site.node(*LONG, "--internal-port", port), await site.node(*LONG)
    _, connection_id = await site.client(a)
    await becomes(lambda: reaches(b, connection_id))
    a.process.kill()
    await a.wait()

    c = await site.node(*LONG, "--internal-port", port)

    doubt(await in_time(b, connection_id))
    assert (await c.metrics())['wsgateway_relayed_in_total{status="421"}'] >= 1


async def test_nodes_and_connections_are_listed_by_any(site: Site, three: list[Gateway]) -> None:  # noqa: F811
    made = {(await site.client(three[number % 3]))[1] for number in range(9)}
    for node in three:
        await becomes(lambda node=node: _knows(node, 3))  # type: ignore[misc]
        page = (await http(node.internal_port, "GET", "/dev/@connections")).json()
        assert [item["connectionId"] for item in page["items"]] == sorted(made)
        assert len({item["node"] for item in page["items"]}) == 3
        found = (await http(node.internal_port, "GET", "/nodes")).json()["nodes"]
        assert [(one["state"], one["connections"]) for one in found] == [("live", 3)] * 3


async def _knows(node: Gateway, number: int) -> bool:
    return len((await http(node.internal_port, "GET", "/nodes")).json()["nodes"]) == number
