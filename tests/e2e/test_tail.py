"""`wsgateway connections tail`: one connection, live, as an operator sees it."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import socket
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
from websockets.asyncio.client import ClientConnection, connect

from tests import prefork
from tests.harness import PATIENCE, Backend, Gateway, backend, gateway, heard, http, raw

pytestmark = pytest.mark.anyio

DEFINITION = """
apis:
  chat:
    protocolType: WEBSOCKET
    routeSelectionExpression: $request.body.action
    stages: {{dev: {{}}}}
    limits: {{pingIntervalSeconds: 3600}}
    routes:
      say: {{integration: {{integrationType: HTTP_PROXY, integrationUri: "http://127.0.0.1:{port}/say"}}}}
      ask:
        routeResponse: true
        integration: {{integrationType: HTTP_PROXY, integrationUri: "http://127.0.0.1:{port}/ask"}}
"""


@pytest.fixture
async def asked() -> AsyncIterator[Backend]:
    async with backend() as running:
        yield running


@pytest.fixture
async def running(asked: Backend, tmp_path: Path) -> AsyncIterator[Gateway]:
    async with gateway(DEFINITION.format(port=asked.port), tmp_path, "--drain-window", "0") as running:
        yield running


class Tail:
    """A running `connections tail`."""

    def __init__(self, process: prefork.Process) -> None:
        self.process = process

    async def line(self) -> str:
        assert self.process.stdout is not None
        async with asyncio.timeout(PATIENCE):
            return (await self.process.stdout.readline()).decode().rstrip("\n")

    async def event(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(await self.line())
        return found

    async def ended(self) -> tuple[int, str, str]:
        async with asyncio.timeout(PATIENCE):
            out, err = await self.process.communicate()
        assert self.process.returncode is not None
        assert b"Traceback" not in err
        return self.process.returncode, out.decode(), err.decode()


@dataclass
class Elsewhere:
    """What is asked in the gateway's place."""

    internal: str


@asynccontextmanager
async def tailing(
    running: Gateway | Elsewhere, connection_id: str, *flags: str, begun: bool = True
) -> AsyncIterator[Tail]:
    process = await prefork.wsgateway(
        "connections", "tail", connection_id, "--endpoint", running.internal, *flags, stdout=PIPE, stderr=PIPE
    )
    tail = Tail(process)
    try:
        if begun and "json" in flags:
            assert (await tail.event())["connectionId"] == connection_id
        elif begun:
            assert process.stderr is not None
            async with asyncio.timeout(PATIENCE):
                assert f"tailing {connection_id}: API chat, stage dev".encode() in await process.stderr.readline()
        yield tail
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def id_of(running: Gateway) -> str:
    """The id of the only connection."""
    (item,) = (await http(running.internal_port, "GET", "/dev/@connections")).json()["items"]
    return str(item["connectionId"])


@asynccontextmanager
async def client(running: Gateway) -> AsyncIterator[tuple[ClientConnection, str]]:
    async with connect(running.ws()) as opened:
        yield opened, await id_of(running)


async def tails(running: Gateway) -> float:
    return (await running.metrics())["wsgateway_tails"]


async def until_none(running: Gateway) -> None:
    async with asyncio.timeout(PATIENCE):
        while await tails(running):
            pass


async def test_it_shows_what_happens_for_people(running: Gateway, asked: Backend) -> None:
    async with client(running) as (talker, connection_id), tailing(running, connection_id) as tail:
        await talker.send('{"action":"ask",\n"text":"\u202e"}')
        await heard(talker)
        lines = [await tail.line() for _ in range(3)]
        asked.answers("/say", (503, {}, b"busy"))
        await talker.send('{"action":"say"}')
        lines += [await tail.line() for _ in range(2)]
        await talker.send('{"action":"nosuch"}')
        await heard(talker)
        lines += [await tail.line() for _ in range(3)]
        await talker.close(4001, "bye")
        code, rest, _ = await tail.ended()

    time = r"\d\d:\d\d:\d\d\.\d\d\d  "
    for line, pattern in zip(
        [*lines, *rest.splitlines()],
        [
            r'message  #1     ask  30 B  \{"action":"ask",\\n"text":"\\x202e"\}',
            r"answer   #1     ask  200  \d+\.\d+ ms",
            r'reply    #1     30 B  \{"action":"ask",\\n.*',
            r'message  #2     say  16 B  \{"action":"say"\}',
            r"answer   #2     say  503  \d+\.\d+ ms",
            r'message  #3     \$default  19 B  \{"action":"nosuch"\}',
            r"error    #3     \$default  403  \d+\.\d+ ms  ACCESS_DENIED: no route of the API matches .*",
            r'reply    #3     \d+ B  \{"message": "Forbidden", .*',
            r"close           4001 bye",
        ],
        strict=True,
    ):
        assert re.fullmatch(time + pattern, line), line
    assert code == 0


async def test_pushes_of_the_sdk(running: Gateway) -> None:
    api = boto3.client(
        "apigatewaymanagementapi",
        endpoint_url=f"{running.internal}/dev",
        region_name="us-east-1",
        aws_access_key_id="x",
        aws_secret_access_key="x",
    )
    async with client(running) as (talker, connection_id), tailing(running, connection_id, "--output", "json") as tail:
        await asyncio.to_thread(lambda: api.post_to_connection(ConnectionId=connection_id, Data="grüß".encode()))
        assert await heard(talker) == "grüß"
        event = await tail.event()
        assert (event["event"], event["status"], event["bytes"], event["body"]) == ("push", 200, 6, "grüß")
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", event["at"])

        await asyncio.to_thread(lambda: api.delete_connection(ConnectionId=connection_id))
        end = await tail.event()
        assert (end["event"], end["code"], end["reason"]) == ("close", 1000, "Connection Closed Normally")
        assert (await tail.ended())[0] == 0


async def test_two_tails_and_ctrl_c(running: Gateway) -> None:
    async with client(running) as (talker, connection_id), tailing(running, connection_id, "--output", "json") as one:
        async with tailing(running, connection_id, "--output", "json") as two:
            assert await tails(running) == 2
            await talker.send('{"action":"say"}')
            assert (await one.event())["number"] == (await two.event())["number"] == 1
            two.process.send_signal(signal.SIGINT)
            assert (await two.ended())[0::2] == (0, "")
        async with asyncio.timeout(PATIENCE):
            while await tails(running) > 1:  # it is noticed before anything happens on the connection
                pass
        assert (await one.event())["event"] == "answer"
        await talker.send('{"action":"say"}')
        assert (await one.event())["number"] == 2


async def test_a_reload_goes_on_under_it(running: Gateway, asked: Backend, tmp_path: Path) -> None:
    async with client(running) as (talker, connection_id), tailing(running, connection_id, "--output", "json") as tail:
        (tmp_path / "routes.yaml").write_text(DEFINITION.format(port=asked.port).replace("say:", "tell:"))
        running.reload()
        await running.logged("definition deployed")

        await talker.send('{"action":"tell"}')
        assert (await tail.event())["route"] == "tell"


async def test_a_drain_closes_the_connection_and_that_ends_the_tail(running: Gateway) -> None:
    async with client(running) as (_, connection_id), tailing(running, connection_id, "--output", "json") as tail:
        running.terminate()
        end = await tail.event()
        assert (end["event"], end["code"]) == ("close", 1001)
        assert (await tail.ended())[0] == 0
        assert await running.wait() == 0


async def test_a_drain_waits_for_no_reader(running: Gateway) -> None:
    """One that doesn't read, on a connection that has more to tell than sockets hold."""
    async with client(running) as (talker, connection_id):
        slow = socket.socket()
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.connect(("127.0.0.1", running.internal_port))
        reader, writer = await asyncio.open_connection(sock=slow, limit=1)
        writer.write(f"GET {running.callback(connection_id)}/tail HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        async with asyncio.timeout(PATIENCE):
            await reader.readexactly(12)
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        target = running.callback(connection_id)
        for _ in range(40):
            pushes = [http(running.internal_port, "POST", target, b"x" * 4096) for _ in range(50)]
            assert {answer.status for answer in await asyncio.gather(*pushes)} == {200}
            for _ in range(50):
                await heard(talker)
        assert await tails(running) == 1

        running.terminate()
        assert await running.wait() == 0
        writer.close()


async def test_a_gateway_that_is_killed_is_told(running: Gateway) -> None:
    async with client(running) as (_, connection_id), tailing(running, connection_id) as tail:
        running.process.kill()
        code, out, err = await tail.ended()

    assert (code, out) == (1, "")
    assert err.startswith("wsgateway: ")
    assert err.count("\n") == 1


async def test_a_reader_that_is_gone_is_noticed_at_once(running: Gateway) -> None:
    async with client(running) as (_, connection_id):
        _, writer = await asyncio.open_connection("127.0.0.1", running.internal_port)
        writer.write(f"GET {running.callback(connection_id)}/tail HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        async with asyncio.timeout(PATIENCE):
            while not await tails(running):
                pass
        writer.close()
        await until_none(running)
        line = json.loads(await running.logged('"event":"tail"'))
        assert (line["connection_id"], line["source"]) == (connection_id, "127.0.0.1")


async def test_who_may_not_tail_what(running: Gateway) -> None:
    async with client(running) as (talker, connection_id):
        path = f"{running.callback(connection_id)}/tail"
        for port, target, method, status, kind in [
            (running.port, path, "GET", 403, "ForbiddenException"),
            (running.internal_port, path, "POST", 403, "ForbiddenException"),
            (running.internal_port, path, "HEAD", 403, "ForbiddenException"),
            (running.internal_port, path + "s", "GET", 403, "ForbiddenException"),
            (running.internal_port, path + "/x", "GET", 403, "ForbiddenException"),
            (running.internal_port, "/nosuch/@connections/x/tail", "GET", 403, "ForbiddenException"),
            (running.internal_port, "/dev/@connections/x/tail", "GET", 400, "BadRequestException"),
        ]:
            answer = await http(port, method, target)
            assert (answer.status, answer.header("x-amzn-errortype")) == (status, kind), (port, target, method)
        # For the public listener it is any path that no API knows.
        unknown, tail = [await http(running.port, "GET", target) for target in (path + "s", path)]
        assert unknown.body == tail.body
        await talker.close()
        gone = await http(running.internal_port, "GET", path)
        assert (gone.status, gone.header("x-amzn-errortype")) == (410, "GoneException")


async def test_the_answer_is_json_lines_in_chunks(running: Gateway) -> None:
    async with client(running) as (talker, connection_id):
        request = f"GET {running.callback(connection_id)}/tail HTTP/1.1\r\nHost: a\r\n\r\n".encode()
        reading = asyncio.ensure_future(
            raw(running.internal_port, request.replace(b"Host", b"Connection: close\r\nHost"))
        )
        async with asyncio.timeout(PATIENCE):
            while not await tails(running):
                pass
        await talker.close()
        data = await reading
    head, _, body = data.partition(b"\r\n\r\n")
    assert b"Content-Type: application/x-ndjson\r\n" in head
    assert b"Transfer-Encoding: chunked" in head
    assert body.partition(b"0\r\n\r\n")[0].count(b'"event":') == 2


async def test_no_more_tails_than_a_node_has(running: Gateway) -> None:
    async with client(running) as (_, connection_id):
        request = f"GET {running.callback(connection_id)}/tail HTTP/1.1\r\nHost: a\r\n\r\n".encode()
        writers = []
        for _ in range(64):
            reader, writer = await asyncio.open_connection("127.0.0.1", running.internal_port)
            writers.append(writer)
            writer.write(request)
            async with asyncio.timeout(PATIENCE):
                await reader.readuntil(b'"event":"tail"')
        answer = await http(running.internal_port, "GET", f"{running.callback(connection_id)}/tail")
        assert (answer.status, answer.header("x-amzn-errortype")) == (429, "LimitExceededException")
        for writer in writers:
            writer.close()
        await until_none(running)


async def test_an_endpoint_that_is_no_gateway() -> None:
    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\nhello\n")
        writer.close()

    server = await asyncio.start_server(greet, "127.0.0.1", 0)
    async with server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with tailing(Elsewhere(url), "x", begun=False) as tail:
            code, out, err = await tail.ended()

    assert (code, out) == (1, "")
    assert err == "wsgateway: the endpoint answers, but not as the gateway's internal listener does\n"


async def test_a_pipe_that_nobody_reads_any_more(running: Gateway) -> None:
    async with client(running) as (_, connection_id), tailing(running, connection_id, "--output", "json") as tail:
        assert tail.process.stdout is not None
        tail.process.stdout._transport.close()  # type: ignore[attr-defined]
        await http(running.internal_port, "POST", running.callback(connection_id), b"x")
        assert await tail.ended() == (1, "", "")


@pytest.mark.parametrize(
    ("connection_id", "why"),
    [
        pytest.param("nosuch", "answered 400: ", id="no id at all"),
        pytest.param("../x", "answered 400: ", id="a path"),
    ],
)
async def test_mistakes_are_one_line(running: Gateway, connection_id: str, why: str) -> None:
    async with tailing(running, connection_id, begun=False) as tail:
        code, out, err = await tail.ended()

    assert (code, out) == (1, "")
    assert why in err
    assert err.count("\n") == 1


async def test_a_connection_that_is_gone(running: Gateway) -> None:
    async with client(running) as (talker, connection_id):
        await talker.close()
    async with tailing(running, connection_id, begun=False) as tail:
        assert await tail.ended() == (1, "", "wsgateway: the connection is gone (410)\n")
