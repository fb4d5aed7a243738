"""More than a stage lets in: what clients and backends get, at one node, and at three whose Redis dies.

API Gateway developer guide, "Throttle requests to your WebSocket APIs".
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from websockets.asyncio.client import ClientConnection, connect

from tests.aws.test_boto3 import Management
from tests.harness import Gateway, closed, gateway, handshake, heard, http, parse_answer, raw
from tests.redis import RedisServer, redis_server

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(90)]

MOCK = """
      reply:
        integrationType: MOCK
        requestTemplates: {$default: '{"statusCode": 200}'}
        integrationResponses: {$default: {responseTemplates: {$default: $context.connectionId}}}
"""
API = """
apis:
  chat:
    protocolType: WEBSOCKET
    routeSelectionExpression: $request.body.action
    stages: {stages}
    integrations:
{mock}
    routes:
      say: {{integration: reply, routeResponse: true}}
      join: {{integration: reply, routeResponse: true}}
{account}
"""
FEW = "{rateLimit: 0.001, burstLimit: %d}"
"""So many, and the next one in a quarter of an hour."""
SAY, JOIN = '{"action": "say"}', '{"action": "join"}'


def define(stages: str, account: str = "") -> str:
    return API.format(stages=stages, mock=MOCK.strip("\n"), account=account and f"account: {{throttle: {account}}}")


def error_of(frame: str | bytes) -> str:
    return str(json.loads(frame)["message"])


async def test_what_is_beyond_a_limit_is_answered_dropped_or_ends_the_connection(tmp_path: Path) -> None:
    two = "routeSettings: {say: {throttlingRateLimit: 0.001, throttlingBurstLimit: 2}}"
    stages = (
        f"{{dev: {{{two}}}, drop: {{{two}, throttle: {{onLimit: DROP}}}},"
        f" close: {{throttle: {{perConnection: {FEW % 2}, onLimit: CLOSE}}}}, door: {{throttle: {FEW % 1}}}}}"
    )
    async with gateway(define(stages), tmp_path) as running:
        async with connect(running.ws()) as client:
            for _ in range(3):
                await client.send(SAY)
            connection_id = await heard(client)
            assert await heard(client) == connection_id
            refusal = await heard(client)
            # As AWS's other error frames, spaced like this.
            assert re.fullmatch(
                rf'\{{"message": "Too Many Requests", "connectionId":"{connection_id}", "requestId":"[\w=-]{{16}}"\}}',
                str(refusal),
            )
            await client.send(JOIN)
            assert await heard(client) == connection_id, "another route has its own"

        async with connect(running.ws("/drop")) as client:
            for message in (SAY, SAY, SAY, SAY, "no route", JOIN):
                await client.send(message)
            frames = [await heard(client) for _ in range(4)]
            assert frames[0] == frames[1] == frames[3]
            assert error_of(frames[2]) == "Forbidden", "nothing was said of two of them; other faults are told"

        async with connect(running.ws("/close")) as client:
            for _ in range(3):
                await client.send(JOIN)
            for _ in range(2):
                await heard(client)
            assert await closed(client) == (1008, "Too Many Requests")

        async with connect(running.ws("/door")) as client:
            answer = parse_answer(await raw(running.port, handshake("/door")))
            assert answer.status == 429
            ids = rb'"connectionId":"[\w=-]{28}", "requestId":"[\w=-]{16}"'
            assert re.fullmatch(rb'\{"message": "Too Many Requests", ' + ids + rb"\}", answer.body)
            assert 1 <= int(answer.header("retry-after") or 0) <= 5
            await client.send(JOIN)
            assert error_of(await heard(client)) == "Too Many Requests", "messages and handshakes are the stage's alike"

        metrics = await running.metrics()
        expected = {("dev", "route"): 1, ("drop", "route"): 2, ("close", "connection"): 1, ("door", "stage"): 2}
        for (stage, level), number in expected.items():
            assert metrics[f'wsgateway_throttled_total{{api="chat",level="{level}",stage="{stage}"}}'] == number
        told = json.loads(await running.logged("a limit is reached"))
        assert (told["api"], told["stage"], told["limit"]) == ("chat", "dev", "route")
        assert (told["route"], told["connection_id"]) == ("say", connection_id)
        assert told["error"] == "the limit of the route: 0.001 a second, 2 at once"
        assert sum("a limit is reached" in line for line in running.log) == 4


async def test_a_deployment_keeps_what_is_left(tmp_path: Path) -> None:
    async with (
        gateway(define(f"{{dev: {{throttle: {FEW % 5}}}}}"), tmp_path) as running,
        connect(running.ws()) as client,
    ):
        for _ in range(2):
            await client.send(SAY)
            await heard(client)
        (tmp_path / "routes.yaml").write_text(define(f"{{dev: {{throttle: {FEW % 4}}}}}"))
        running.reload()
        await running.logged("definition deployed")
        for _ in range(3):
            await client.send(SAY)
        frames = [await heard(client) for _ in range(3)]
        assert ["Too Many" in str(frame) for frame in frames] == [False, False, True]


async def test_the_account_is_all_there_is_for_clients_and_backends(tmp_path: Path) -> None:
    async with gateway(define("{dev: {}}", FEW % 4), tmp_path) as running:
        async with connect(running.ws()) as client:
            await client.send(SAY)
            connection_id = str(await heard(client))
            api = Management(f"{running.internal}/dev")
            await api.call("post_to_connection", ConnectionId=connection_id, Data=b"pushed")
            assert await heard(client) == "pushed"
            await api.call("get_connection", ConnectionId=connection_id)

            refusal = await api.refusal("post_to_connection", ConnectionId=connection_id, Data=b"x")
            assert refusal.response["Error"]["Code"] == "LimitExceededException"
            answer = await http(running.internal_port, "DELETE", running.callback(connection_id))
            assert (answer.status, answer.json()) == (429, {"message": "Too Many Requests"})
            await client.send(SAY)
            assert error_of(await heard(client)) == "Too Many Requests"
            assert parse_answer(await raw(running.port, handshake())).status == 429
        metrics = await running.metrics()
        assert metrics['wsgateway_throttled_total{api="chat",level="account",stage="dev"}'] >= 4
        assert metrics['wsgateway_pushes_total{status="429"}'] >= 1


# Three nodes

RATE, BURST, NODES = 60.0, 30, 3


@dataclass
class Flood:
    """Clients that send as fast as they are answered, and when each of their messages that passed was let in."""

    running: bool = True
    passed: list[tuple[float, float]] = field(default_factory=list)
    """When it was sent, and when its answer came: it was let in between the two."""
    refused: int = 0

    async def client(self, node: Gateway) -> None:
        clock = asyncio.get_running_loop().time
        async with connect(node.ws()) as client:
            while self.running:
                sent = clock()
                await client.send(SAY)
                if "Too Many" in str(await heard(client)):
                    self.refused += 1
                else:
                    self.passed.append((sent, clock()))

    def most(self, seconds: float) -> int:
        """The most that were surely let in within any such time."""
        return max(
            sum(begin <= sent and answered <= begin + seconds for sent, answered in self.passed)
            for begin, _ in self.passed
        )

    async def until(self, at: float) -> None:
        """Until messages are answered after this loop time."""
        while not self.passed or self.passed[-1][1] < at:
            await asyncio.sleep(0.01)


@dataclass
class Three:
    nodes: list[Gateway]
    redis: RedisServer


@pytest.fixture
async def three(tmp_path: Path) -> AsyncIterator[Three]:
    limit = f"{{throttlingRateLimit: {RATE}, throttlingBurstLimit: {BURST}}}"
    definition = define(f"{{dev: {{routeSettings: {{say: {limit}}}}}}}")
    async with redis_server(tmp_path / "redis") as redis, AsyncExitStack() as stack:
        flags = ("--redis-url", redis.url, "--drain-window", "0", "--lease-ttl", "1.5")
        nodes = [await stack.enter_async_context(gateway(definition, tmp_path, *flags)) for _ in range(NODES)]
        yield Three(nodes, redis)


async def know_one_another(nodes: list[Gateway]) -> None:
    for node in nodes:
        while (await node.metrics())["wsgateway_nodes"] != NODES:
            await asyncio.sleep(0.02)


async def test_three_nodes_hold_one_limit_though_redis_dies_and_comes_back(three: Three) -> None:
    """In any time T there pass burst + rate × (T + 1 s) at most: over 10 s, 1.1 times the rate."""
    await know_one_another(three.nodes)
    flood = Flood()
    clock = asyncio.get_running_loop().time
    async with asyncio.TaskGroup() as clients:
        for node in three.nodes:
            for _ in range(3):
                clients.create_task(flood.client(node))
        await flood.until(clock() + 2.0)
        before, messages = len(flood.passed), len(flood.passed) + flood.refused
        calls = (await three.redis.run("INFO", "commandstats"))["cmdstat_evalsha"]["calls"]
        await three.redis.kill()
        for node in three.nodes:
            await node.logged("limits are held by each node's share")
            assert (await node.metrics())["wsgateway_limits_alone"] == 1
        away = clock()
        at_first = len(flood.passed)
        await flood.until(away + 2.0)
        alone = (len(flood.passed) - at_first) / (clock() - away)
        await three.redis.restart(data=False)
        for node in three.nodes:
            await node.logged("limits are held together again")
        await flood.until(clock() + 1.0)
        flood.running = False

    for seconds in (0.5, 1.0, 2.0, 4.0, 6.0, 10.0):
        assert flood.most(seconds) <= BURST + RATE * (seconds + 1.0), f"within {seconds:g} s"
    assert before >= 0.7 * (BURST + 2.0 * RATE), "what there is, is used"
    assert 0.7 * RATE <= alone <= 1.1 * RATE + BURST, "each node has a third of it, and no more"
    assert flood.refused > len(flood.passed)
    assert calls < messages / 5, "messages don't ask Redis"


async def test_the_limit_of_a_user_is_one_whichever_node_they_are_at(tmp_path: Path) -> None:
    definition = define(f"{{dev: {{throttle: {{perSource: {FEW % 6}}}}}}}")
    async with redis_server(tmp_path / "redis") as redis, AsyncExitStack() as stack:
        flags = ("--redis-url", redis.url, "--drain-window", "0")
        nodes = [await stack.enter_async_context(gateway(definition, tmp_path, *flags)) for _ in range(2)]
        clients: list[ClientConnection] = [await stack.enter_async_context(connect(node.ws())) for node in nodes]
        frames: list[str] = []
        for number in range(6):
            await clients[number % 2].send(SAY)
            frames.append(str(await heard(clients[number % 2])))
        assert ["Too Many" in frame for frame in frames] == [False] * 4 + [True] * 2, "two handshakes and four messages"
