"""Several gateways with one Redis: what a crash, a sleep, an outage or a wipe does to clients and their $disconnect."""

from __future__ import annotations

import asyncio
import json
import signal
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
from redis.asyncio import Redis
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus

from tests import prefork
from tests.faults import Link, link
from tests.harness import PATIENCE, Backend, Gateway, Request, backend, closed, gateway, heard, http
from tests.redis import RedisServer, redis_server

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(90)]

CONTEXT = [
    "connectionId", "connectedAt", "domainName", "disconnectStatusCode", "disconnectReason", "requestId",
    "identity.sourceIp", "identity.userAgent", "callbackUrl", "stage", "apiId",
]  # fmt: skip
DEFINITION = """
apis:
  chat:
    protocolType: WEBSOCKET
    routeSelectionExpression: $request.body.action
    stages: {{dev: {{}}}}
    integrations:
      message: {{integrationType: HTTP_PROXY, integrationUri: "http://127.0.0.1:{port}/message"}}
      connect:
        integrationType: HTTP_PROXY
        integrationUri: http://127.0.0.1:{port}/connect
        requestParameters: {{{headers}}}
      disconnect:
        integrationType: HTTP_PROXY
        integrationUri: http://127.0.0.1:{port}/disconnect
        requestParameters: {{{headers}}}
    routes:
      $connect: {{integration: connect}}
      {disconnect}
      $default: {{integration: message, routeResponse: true}}
"""
WITH_DISCONNECT = "$disconnect: {integration: disconnect}"


def definition(port: int, disconnect: str = WITH_DISCONNECT) -> str:
    headers = ", ".join(f"integration.request.header.X-{name.replace('.', '-')}: context.{name}" for name in CONTEXT)
    return DEFINITION.format(port=port, headers=headers, disconnect=disconnect)


def said(request: Request, name: str) -> str:
    """What an event said of its context."""
    value = request.header(f"x-{name.replace('.', '-').lower()}")
    assert value is not None
    return value


class Site:
    """A Redis, a backend, and nodes that are started as the test needs them."""

    def __init__(self, stack: AsyncExitStack, folder: Path, redis: RedisServer, asked: Backend) -> None:
        self._stack = stack
        self._folder = folder
        self.redis = redis
        self.backend = asked
        self.definition = definition(asked.port)

    async def node(self, *flags: str, url: str = "") -> Gateway:
        """A node with a lease of one second, or as `flags` say."""
        lease = () if "--lease-ttl" in flags else ("--lease-ttl", "1.5")
        common = ("--redis-url", url or self.redis.url, "--drain-window", "0")
        return await self._stack.enter_async_context(gateway(self.definition, self._folder, *common, *lease, *flags))

    async def client(self, node: Gateway) -> tuple[ClientConnection, str]:
        """A connected client and its connection's id."""
        before = self.backend.count("/connect")
        client = await self._stack.enter_async_context(connect(node.ws(), user_agent_header="tests/1"))
        return client, said(await self.backend.saw("/connect", before + 1), "connectionId")

    def disconnects(self, connection_id: str) -> list[Request]:
        return [
            request
            for request in self.backend.requests
            if request.target == "/disconnect" and said(request, "connectionId") == connection_id
        ]

    async def records(self) -> int:
        """How many Redis holds, wherever it keeps them."""
        async with Redis(host="127.0.0.1", port=self.redis.port) as client:
            hashes = [key for key in await client.keys() if await client.type(key) == b"hash"]
            return sum([record.count(b"domain_name") for key in hashes for record in await client.hvals(key)])


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with (
        backend() as asked,
        redis_server(tmp_path / "redis") as redis,
        AsyncExitStack() as stack,
    ):
        yield Site(stack, tmp_path, redis, asked)


async def becomes(good: Callable[[], Awaitable[bool]]) -> None:
    """Look again and again until it is so."""
    async with asyncio.timeout(PATIENCE):
        while not await good():
            await asyncio.sleep(0.02)


async def talks(client: ClientConnection) -> bool:
    await client.send("hello")
    return await heard(client) == "hello"


async def refused(node: Gateway) -> InvalidStatus | None:
    try:
        async with connect(node.ws()):
            return None
    except InvalidStatus as error:
        return error


# A node dies


async def test_a_killed_nodes_disconnects_run_once_elsewhere_with_the_whole_event(site: Site) -> None:
    a, b, c = await site.node(), await site.node(), await site.node()
    held = [await site.client(a) for _ in range(5)]
    other, other_id = await site.client(b)
    opened = {said(request, "connectionId"): request for request in site.backend.requests}

    a.process.kill()
    for _, connection_id in held:
        await becomes(lambda connection_id=connection_id: _async(bool(site.disconnects(connection_id))))  # type: ignore[misc]
    await becomes(lambda: _finished(b, c))

    for client, connection_id in held:
        assert (await closed(client))[0] == 1006
        (event,) = site.disconnects(connection_id)
        assert said(event, "disconnectStatusCode") == "1006"
        assert said(event, "disconnectReason") == "Connection closed abnormally"
        for name in ("connectedAt", "domainName", "identity.sourceIp", "identity.userAgent", "callbackUrl", "apiId"):
            assert said(event, name) == said(opened[connection_id], name)
        assert event.header("x-forwarded-for") == opened[connection_id].header("x-forwarded-for")
    assert not site.disconnects(other_id)
    assert await talks(other)
    assert await site.records() == 1
    taken = [(await node.metrics())["wsgateway_taken_over_total"] for node in (b, c)]
    assert sum(taken) == 5
    assert (await b.metrics())["wsgateway_nodes"] == 2


async def _async(value: bool) -> bool:
    return value


async def _finished(*nodes: Gateway) -> bool:
    return any("a dead node is finished" in line for node in nodes for line in node.log)


async def test_what_a_dead_node_owed_waits_for_its_backend(site: Site) -> None:
    a, b = await site.node(), await site.node()
    _, connection_id = await site.client(a)
    site.backend.answers("/disconnect", (503, {}, b""))
    a.process.kill()
    first = await site.backend.saw("/disconnect")
    assert await site.records() == 1, "it is owed until it was answered"

    site.backend.answers("/disconnect", (200, {}, b""))
    second = await site.backend.saw("/disconnect", 2)
    await b.logged("a dead node is finished")

    assert said(first, "requestId") == said(second, "requestId")
    assert said(second, "connectionId") == connection_id
    assert await site.records() == 0


async def test_a_second_claimer_finishes_what_a_first_one_left(site: Site) -> None:
    a, b = await site.node(), await site.node()
    _, connection_id = await site.client(a)
    answered = asyncio.Event()
    site.backend.answers("/disconnect", lambda request: _when(answered))
    a.process.kill()
    await site.backend.saw("/disconnect")
    c = await site.node()
    b.process.kill()

    second = await site.backend.saw("/disconnect", 2)
    answered.set()
    await c.logged("a dead node is finished")

    assert said(second, "connectionId") == connection_id
    assert said(second, "requestId") == said(site.disconnects(connection_id)[0], "requestId")


async def _when(event: asyncio.Event) -> tuple[int, dict[str, str], bytes]:
    await event.wait()
    return 200, {}, b""


async def test_whoever_starts_next_finishes_what_all_left(site: Site) -> None:
    a = await site.node()
    _, connection_id = await site.client(a)
    a.process.kill()
    await a.wait()
    assert await site.records() == 1

    await site.node()

    assert said(await site.backend.saw("/disconnect"), "connectionId") == connection_id


async def test_a_handshake_cut_by_a_crash_gets_its_disconnect(site: Site) -> None:
    """Its $connect may have said yes, and nobody else knows."""
    a, _ = await site.node(), await site.node()
    site.backend.answers("/connect", lambda request: _when(asyncio.Event()))
    opening = asyncio.ensure_future(refused(a))
    asked = await site.backend.saw("/connect")

    a.process.kill()

    assert said(await site.backend.saw("/disconnect"), "connectionId") == said(asked, "connectionId")
    with pytest.raises((OSError, EOFError, Exception)):
        await opening


# A node sleeps


async def test_a_node_that_slept_ends_what_was_taken_over_and_keeps_the_rest(site: Site) -> None:
    a = await site.node()
    taken, taken_id = await site.client(a)
    a.process.send_signal(signal.SIGSTOP)
    b = await site.node()
    await site.backend.saw("/disconnect")
    await b.logged("a dead node is finished")
    await taken.send("while it sleeps")

    a.process.send_signal(signal.SIGCONT)

    assert await closed(taken) == (1001, "Going away")
    await a.logged("this node slept past its lease")
    client, _ = await site.client(a)
    assert await talks(client)
    assert len(site.disconnects(taken_id)) == 1
    assert site.backend.count("/message") == 1, "what was sent meanwhile reached nobody"
    metrics = await a.metrics()
    assert metrics["wsgateway_fenced_connections_total"] == 1
    assert metrics["wsgateway_lease_misses_total"] == 1
    await becomes(lambda: _nodes(b, 2))


async def test_a_node_that_slept_keeps_what_nobody_took_over(site: Site) -> None:
    site.definition = definition(site.backend.port, "")
    a, b = await site.node(), await site.node()
    client, _ = await site.client(a)
    a.process.send_signal(signal.SIGSTOP)
    await b.logged("a dead node is finished")

    await client.send("while it sleeps")
    a.process.send_signal(signal.SIGCONT)

    assert await heard(client) == "while it sleeps"
    await a.logged("lease was lost and is held again")
    assert await talks(client)
    await becomes(lambda: _nodes(b, 2))


async def _nodes(node: Gateway, number: int) -> bool:
    return (await node.metrics())["wsgateway_nodes"] == number


# Redis


async def test_an_emptied_redis_is_filled_again_and_nobody_notices(site: Site) -> None:
    a, b = await site.node(), await site.node()
    clients = [await site.client(node) for node in (a, a, b)]

    await site.redis.wipe()
    async with asyncio.timeout(10):
        await becomes(lambda: _records(site, 3))

    for node in (a, b):
        await node.logged("records entered anew")
        await becomes(lambda node=node: _nodes(node, 2))  # type: ignore[misc]
    for client, connection_id in clients:
        assert await talks(client)
        await client.close()
        await becomes(lambda connection_id=connection_id: _async(len(site.disconnects(connection_id)) == 1))  # type: ignore[misc]
    await becomes(lambda: _records(site, 0))


async def _records(site: Site, number: int) -> bool:
    return await site.records() == number


@pytest.mark.parametrize("data", [True, False], ids=["with its data", "without"])
async def test_an_outage_refuses_new_clients_and_spares_the_others(site: Site, data: bool) -> None:
    a, b = await site.node(), await site.node()
    clients = [await site.client(node) for node in (a, b)]
    await site.redis.kill()
    for node in (a, b):
        await node.logged("registry away")

    error = await refused(a)

    assert error is not None
    assert error.response.status_code == 503
    assert 1 <= int(error.response.headers["Retry-After"]) <= 5
    for client, _ in clients:
        assert await talks(client)
    assert (await http(a.internal_port, "GET", "/readyz")).status == 200
    metrics = await a.metrics()
    assert metrics["wsgateway_registry_up"] == 0
    assert metrics['wsgateway_admission_refused_total{api="chat",cause="registry_away"}'] == 1

    if not data:
        site.redis.forget()
    await site.redis.start()
    await a.logged("registry back")
    await b.logged("registry back")
    await becomes(lambda: _records(site, 2))
    new, _ = await site.client(a)
    assert await talks(new)
    for client, connection_id in clients:
        assert await talks(client)
        assert not site.disconnects(connection_id)
    await becomes(lambda: _nodes(b, 2))


async def test_a_close_during_an_outage_leaves_nothing_behind(site: Site) -> None:
    a = await site.node()
    client, connection_id = await site.client(a)
    await site.redis.kill()
    await a.logged("registry away")
    await client.close()
    assert said(await site.backend.saw("/disconnect"), "connectionId") == connection_id

    await site.redis.start()
    await a.logged("registry back")
    await becomes(lambda: _records(site, 0))
    assert len(site.disconnects(connection_id)) == 1


async def test_accepted_during_an_outage_is_recorded_after_it(site: Site) -> None:
    a = await site.node("--redis-away", "accept")
    await site.redis.kill()
    await a.logged("registry away")

    client, _ = await site.client(a)
    assert await talks(client)

    await site.redis.start()
    await becomes(lambda: _records(site, 1))


@asynccontextmanager
async def a_link(site: Site) -> AsyncIterator[tuple[Link, str]]:
    """A way to Redis that can be cut, and its URL."""
    async with link(site.redis.port) as way:
        yield way, f"redis://127.0.0.1:{way.port}"


async def test_a_silent_redis_refuses_a_handshake_within_a_second_or_so(site: Site) -> None:
    async with a_link(site) as (way, url):
        a = await site.node("--lease-ttl", "30", url=url)
        client, _ = await site.client(a)
        way.hole()

        async with asyncio.timeout(5):
            error = await refused(a)

        assert error is not None
        assert error.response.status_code == 503
        assert site.backend.count("/connect") == 1, "nobody heard of it"
        assert await talks(client)
        await way.heal()
        await becomes(lambda: _records(site, 1))


async def test_a_node_cut_off_serves_on_and_ends_what_was_taken_over(site: Site) -> None:
    async with a_link(site) as (way, url):
        a, b = await site.node(url=url), await site.node()
        client, connection_id = await site.client(a)
        way.hole()
        await site.backend.saw("/disconnect")
        assert await talks(client)
        await b.logged("a node without a lease answers, and is not given up")

        way.cut()
        await way.heal()

        assert await closed(client) == (1001, "Going away")
        assert len(site.disconnects(connection_id)) == 1
        await becomes(lambda: _nodes(b, 2))


async def test_a_node_starts_before_its_redis(site: Site) -> None:
    await site.redis.kill()
    ready = site._folder / "ready.json"
    (site._folder / "routes.yaml").write_text(site.definition)
    process = await prefork.wsgateway(
        "serve", site._folder / "routes.yaml", "--port", "0",
        "--internal-port", "0", "--lease-ttl", "1.5", "--redis-url", site.redis.url, "--ready-file", str(ready),
        stdout=PIPE, stderr=PIPE,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        assert process.stderr is not None
        async with asyncio.timeout(PATIENCE):
            while "registry away" not in (line := (await process.stderr.readline()).decode()):
                assert line
        assert json.loads(line)["meanwhile"] == "no slot is claimed yet"
        assert not ready.exists()

        await site.redis.start()
        async with asyncio.timeout(PATIENCE):
            assert (await process.stdout.readline()).startswith(b"wsgateway ready")
        process.terminate()
        async with asyncio.timeout(PATIENCE):
            assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def test_a_node_that_waits_for_its_redis_can_be_ended(site: Site) -> None:
    await site.redis.kill()
    (site._folder / "routes.yaml").write_text(site.definition)
    process = await prefork.wsgateway(
        "serve", site._folder / "routes.yaml", "--port", "0",
        "--internal-port", "0", "--redis-url", site.redis.url,
        stdout=PIPE, stderr=PIPE,
    )  # fmt: skip
    try:
        assert process.stderr is not None
        async with asyncio.timeout(PATIENCE):
            while "registry away" not in (await process.stderr.readline()).decode():
                pass
            process.terminate()
            out, _ = await process.communicate()
        assert (process.returncode, out) == (0, b"")
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


# A node leaves


async def test_a_node_that_drained_left_nothing_and_is_gone_at_once(site: Site) -> None:
    a, b = await site.node("--lease-ttl", "60"), await site.node("--lease-ttl", "60")
    client, connection_id = await site.client(a)
    await becomes(lambda: _nodes(b, 2))
    a.terminate()

    assert await closed(client) == (1001, "Going away")
    assert await a.wait() == 0
    assert len(site.disconnects(connection_id)) == 1
    assert await site.records() == 0
    await becomes(lambda: _nodes(b, 1))


async def test_a_drain_leaves_what_its_backend_does_not_take_to_the_others(site: Site) -> None:
    a, b = await site.node(), await site.node()
    client, connection_id = await site.client(a)
    site.backend.answers("/disconnect", (503, {}, b""))
    a.terminate()
    await closed(client)
    first = await site.backend.saw("/disconnect")
    assert await a.wait() == 0
    assert json.loads(await a.logged("left to other nodes"))["own"] == 1

    site.backend.answers("/disconnect", (200, {}, b""))
    await b.logged("a dead node is finished")

    events = site.disconnects(connection_id)
    assert len(events) >= 2
    assert {said(event, "requestId") for event in events} == {said(first, "requestId")}
    assert await site.records() == 0


async def test_a_deployment_brings_records_and_takes_them_away(site: Site) -> None:
    site.definition = definition(site.backend.port, "")
    a = await site.node()
    client, _ = await site.client(a)
    assert await site.records() == 0

    (site._folder / "routes.yaml").write_text(definition(site.backend.port))
    a.reload()
    await becomes(lambda: _records(site, 1))

    (site._folder / "routes.yaml").write_text(site.definition)
    a.reload()
    await becomes(lambda: _records(site, 0))
    assert await talks(client)
