"""`serve --workers`: several processes at one port, kept running by one that is told what to do with them."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import pty
import re
import signal
import socket
import sys
import termios
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect

from tests import prefork
from tests.certificates import Authority
from tests.harness import (
    PATIENCE,
    Answer,
    Backend,
    Gateway,
    Request,
    backend,
    closed,
    connection_of,
    gateway,
    heard,
    http,
    raw,
)
from tests.redis import redis_server
from wsgateway.telemetry.merge import packed

pytestmark = pytest.mark.anyio

DEFINITION = """
apis:
  chat:
    protocolType: WEBSOCKET
    routeSelectionExpression: $request.body.action
    stages: {{dev: {{}}}}
    integrations:
      echo: {{integrationType: HTTP_PROXY, integrationUri: "http://127.0.0.1:{port}/echo"}}
      disconnect: {{integrationType: HTTP_PROXY, integrationUri: "http://127.0.0.1:{port}/disconnect"}}
    routes:
      echo: {{integration: echo, routeResponse: true}}
      $disconnect: {{integration: disconnect}}
"""
ECHO = '{"action": "echo"}'
VARIABLE = "WSGATEWAY_WORKER="


@pytest.fixture
async def asked() -> AsyncIterator[Backend]:
    async with backend() as running:
        yield running


@pytest.fixture
async def redis_url(tmp_path: Path) -> AsyncIterator[str]:
    async with redis_server(tmp_path / "redis") as server:
        yield server.url


@asynccontextmanager
async def workers(
    definition: str, folder: Path, redis_url: str, *flags: str, number: int = 2
) -> AsyncIterator[Gateway]:
    """A gateway of so many workers."""
    several = ("--workers", str(number), "--redis-url", redis_url, "--drain-window", "0")
    async with gateway(definition, folder, *several, *flags) as running:
        yield running


def seats(pid: int) -> dict[int, dict[str, Any]]:
    """Of a supervisor's workers, by process id, what each was told at its start."""
    found = {}
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        environ = Path(f"/proc/{child}/environ").read_text().split("\0")
        text = next((one for one in environ if one.startswith(VARIABLE)), "")
        if text:
            found[int(child)] = json.loads(text.removeprefix(VARIABLE))
    return found


async def samples(port: int) -> dict[str, float]:
    return samples_of(await http(port, "GET", "/metrics"))


def samples_of(answer: Answer) -> dict[str, float]:
    lines = answer.body.decode().splitlines()
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if line[:1] != "#")}


async def own_samples(running: Gateway) -> list[dict[str, float]]:
    """Of each worker its own."""
    ports = [seat["node_ports"][seat["index"]] for seat in seats(running.pid).values()]
    return [await samples(port) for port in ports]


async def worker_of(client: ClientConnection, running: Gateway) -> int:
    """The process that holds a client's connection."""
    slot = (await connection_of(client))[:4]
    for pid, seat in seats(running.pid).items():
        nodes = (await http(seat["node_ports"][seat["index"]], "GET", "/nodes")).json()["nodes"]
        if any(node["slot"] == slot and node["name"].endswith(f":{pid}") for node in nodes):
            return pid
    raise AssertionError(f"nobody has {slot}")


async def one_on_each(running: Gateway, number: int = 2) -> dict[int, ClientConnection]:
    """A client of each worker, by its process."""
    found: dict[int, ClientConnection] = {}
    async with asyncio.timeout(PATIENCE):
        while len(found) < number:
            client = await connect(running.ws())
            pid = await worker_of(client, running)
            if pid in found:
                await client.close()
            else:
                found[pid] = client
    return found


async def echoes(client: ClientConnection) -> bool:
    await client.send(ECHO)
    return await heard(client) == ECHO


def there(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


async def ended(pid: int) -> None:
    """Wait until a process that is not ours is gone."""
    descriptor = os.pidfd_open(pid)
    loop = asyncio.get_running_loop()
    gone = asyncio.Event()
    loop.add_reader(descriptor, gone.set)
    try:
        async with asyncio.timeout(PATIENCE):
            await gone.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)


class Held:
    """Answers when it is told to go on."""

    def __init__(self) -> None:
        self.go = asyncio.Event()

    async def __call__(self, request: Request) -> Any:
        await self.go.wait()
        return 200, {}, b""


# Serving


async def test_connections_are_spread_and_counted_together(asked: Backend, tmp_path: Path, redis_url: str) -> None:
    async with workers(DEFINITION.format(port=asked.port), tmp_path, redis_url) as running:
        clients = [await connect(running.ws()) for _ in range(200)]

        each = [one["wsgateway_connections"] for one in await own_samples(running)]
        assert len(each) == 2
        assert min(each) > 0
        assert sum(each) == 200
        whole = await running.metrics()
        assert whole["wsgateway_connections"] == 200
        assert whole['wsgateway_connects_total{result="101"}'] == 200
        assert whole["wsgateway_definition_valid"] == 1
        assert whole['wsgateway_workers{state="ready"}'] == 2
        assert whole["wsgateway_worker_restarts_total"] == 0
        assert "wsgateway_workers" not in "".join((await own_samples(running))[0])
        assert all([await echoes(client) for client in clients[:20]])
        assert (await http(running.internal_port, "GET", "/readyz")).body == b"ok\n"

        running.terminate()
        assert {await closed(client) for client in clients} == {(1001, "Going away")}
        assert await running.wait() == 0
    assert asked.count("/disconnect") == 200


async def test_the_ready_line_is_one_and_the_supervisors(asked: Backend, tmp_path: Path, redis_url: str) -> None:
    ready = tmp_path / "ready.json"
    flags = ("--ready-file", str(ready))
    async with workers(DEFINITION.format(port=asked.port), tmp_path, redis_url, *flags, number=3) as running:
        assert json.loads(ready.read_text()) == {
            "public": running.public,
            "internal": running.internal,
            "pid": running.pid,
        }
        found = list(seats(running.pid).values())
        assert sorted(seat["index"] for seat in found) == [0, 1, 2]
        assert {seat["port"] for seat in found} == {running.port}
        assert {seat["internal_port"] for seat in found} == {running.internal_port}
        assert len(set(found[0]["node_ports"])) == 3

        running.terminate()
        assert await running.wait() == 0
        assert running.process.stdout is not None
        assert await running.process.stdout.read() == b""


async def test_max_connections_are_those_of_all(asked: Backend, tmp_path: Path, redis_url: str) -> None:
    flags = ("--max-connections", "101")
    async with workers(DEFINITION.format(port=asked.port), tmp_path, redis_url, *flags) as running:
        assert sorted(one["wsgateway_connections_limit"] for one in await own_samples(running)) == [50, 51]
        assert (await running.metrics())["wsgateway_connections_limit"] == 101


async def test_a_push_through_any_worker_reaches_the_clients_of_all(
    asked: Backend, tmp_path: Path, redis_url: str
) -> None:
    async with workers(DEFINITION.format(port=asked.port), tmp_path, redis_url) as running:
        clients = await one_on_each(running)
        ports = [seat["node_ports"][seat["index"]] for seat in seats(running.pid).values()]
        for client in clients.values():
            target = running.callback(await connection_of(client))
            for port in (*ports, *[running.internal_port] * 8):  # of the shared one a worker by chance
                assert (await http(port, "POST", target, b"pushed")).status == 200
                assert await heard(client) == "pushed"


# Crashes


async def test_a_killed_worker_is_replaced_and_the_others_connections_do_not_notice(
    asked: Backend, tmp_path: Path, redis_url: str
) -> None:
    async with workers(DEFINITION.format(port=asked.port), tmp_path, redis_url) as running:
        clients = await one_on_each(running)
        (victim, lost), (other, kept) = clients.items()
        before = await running.metrics()

        os.kill(victim, signal.SIGKILL)

        assert (await closed(lost))[0] == 1006
        line = json.loads(await running.logged("worker ended"))
        assert (line["ended"], line["starts_again_in"]) == ("was ended by SIGKILL", 0)
        assert await echoes(kept)
        await running.logged("worker serves again")
        assert other in seats(running.pid)
        assert victim not in seats(running.pid)
        again = await one_on_each(running)
        assert all([await echoes(client) for client in (*again.values(), kept)])

        after = await running.metrics()
        assert after["wsgateway_worker_restarts_total"] == 1
        assert after['wsgateway_workers{state="ready"}'] == 2
        falling = {
            name for name, value in before.items() if re.search(r"_total\b", name) and after.get(name, 0) < value
        }
        assert falling == set(), "what was counted stays counted"
        opened = 'wsgateway_connects_total{result="101"}'
        assert after[opened] >= before[opened] + 2


async def test_what_thousands_of_methods_have_counted_is_summed_and_outlives_a_worker(
    tmp_path: Path, redis_url: str
) -> None:
    """Such a page is larger than what the socket between a worker and its supervisor takes in one piece."""
    paths = [sha256(str(number).encode()).hexdigest() for number in range(170)]
    answer = """{type: MOCK, requestTemplates: {application/json: '{"statusCode": 200}'}}"""
    method_lines = "".join(f"      /{path}: {{ANY: {{integration: {answer}}}}}\n" for path in paths)
    definition = f"apis:\n  shop:\n    protocolType: REST\n    stages: {{v1: {{}}}}\n    paths:\n{method_lines}"
    verbs = ("DELETE", "GET", "OPTIONS", "PATCH", "POST", "PUT")
    requests = [f"{verb} /v1/{path} HTTP/1.1\r\nHost: shop\r\n" for path in paths for verb in verbs]
    data = "Content-Length: 0\r\n\r\n".join([*requests, "GET /v1 HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n"])

    def counted(page: dict[str, float]) -> list[float]:
        return [number for name, number in page.items() if name.startswith("wsgateway_route_latency_seconds_count")]

    async with workers(definition, tmp_path, redis_url) as running:
        times = 0
        async with asyncio.timeout(PATIENCE):
            while not all(map(counted, await own_samples(running))):
                await raw(running.port, f"{data}Content-Length: 0\r\n\r\n".encode())
                times += 1
        page = await http(running.internal_port, "GET", "/metrics")
        assert counted(samples_of(page)) == [times] * len(requests)
        assert len(packed(page.body)) > 212_992, "net.core.wmem_default"

        os.kill(next(iter(seats(running.pid))), signal.SIGKILL)
        await running.logged("worker serves again")

        assert counted(await running.metrics()) == [times] * len(requests)


async def test_who_keeps_dying_waits_longer_and_longer(asked: Backend, tmp_path: Path, redis_url: str) -> None:
    async with workers(DEFINITION.format(port=asked.port), tmp_path, redis_url) as running:
        index = 0
        for _ in range(2):
            pid = next(pid for pid, seat in seats(running.pid).items() if seat["index"] == index)
            told = len(running.log)
            os.kill(pid, signal.SIGKILL)
            while not any("serves again" in line for line in running.log[told:]):
                await running.more_log()

        lines = [json.loads(line) for line in running.log if "worker ended" in line]
        assert [line["starts_again_in"] for line in lines] == [0, 1]
        assert {line["worker"] for line in lines} == {index}


async def test_a_worker_that_can_not_start_again_says_why_and_is_tried_until_it_can(
    asked: Backend, tmp_path: Path, redis_url: str
) -> None:
    definition = DEFINITION.format(port=asked.port)
    async with workers(definition, tmp_path, redis_url) as running:
        file = tmp_path / "routes.yaml"
        file.write_text(definition.replace("HTTP_PROXY", "HTPP_PROXY"))
        os.kill(next(iter(seats(running.pid))), signal.SIGKILL)

        line = json.loads(await running.logged("is none of"))
        assert (line["event"], line["ended"]) == ("worker ended", "exited with 1")
        assert f"{file}:8: " in line["reason"]
        readiness = await http(running.internal_port, "GET", "/readyz")
        assert (readiness.status, readiness.body[:8]) == (200, b"ok, but ")
        told = (await http(running.internal_port, "GET", "/readyz?verbose")).body.decode()
        assert sorted(re.findall(r"^\[.\] worker \d: (\w+)", told, re.MULTILINE)) in (
            ["down", "ready"],
            ["ready", "starting"],
        )
        assert re.search(r"^\[\+\] registry of worker \d: answers$", told, re.MULTILINE)
        client = await connect(running.ws())
        assert await echoes(client)

        file.write_text(definition)
        await running.logged("worker serves again")
        assert (await http(running.internal_port, "GET", "/readyz")).body == b"ok\n"


async def test_a_worker_that_hangs_is_counted_and_holds_nobody_up(
    asked: Backend, tmp_path: Path, redis_url: str
) -> None:
    async with workers(DEFINITION.format(port=asked.port), tmp_path, redis_url, number=3) as running:
        hung, asking, third = seats(running.pid)
        clients = await one_on_each(running, 3)
        assert all([await echoes(client) for client in clients.values()])
        port = seats(running.pid)[asking]["internal_port"]
        counted = 'wsgateway_messages_total{direction="in"}'
        before = (await samples(port))[counted]
        os.kill(hung, signal.SIGSTOP)
        try:
            # A third of the connections are given to who hangs, so some are asked at once.
            async with asyncio.timeout(PATIENCE):
                asking_all = [asyncio.ensure_future(samples(port)) for _ in range(16)]
                whole = await next(asyncio.as_completed(asking_all))
            for other in asking_all:
                other.cancel()
            await asyncio.gather(*asking_all, return_exceptions=True)
            assert whole['wsgateway_workers{state="silent"}'] == 1
            assert whole['wsgateway_workers{state="ready"}'] == 2
            assert whole["wsgateway_connections"] == 2
            assert whole[counted] == before  # a count that fell would be taken for one that began anew
            assert await echoes(clients[third])
        finally:
            os.kill(hung, signal.SIGCONT)
        assert await echoes(clients[hung])


# Orders


async def test_a_reload_reaches_every_worker(asked: Backend, tmp_path: Path, redis_url: str) -> None:
    definition = DEFINITION.format(port=asked.port)
    async with workers(definition, tmp_path, redis_url) as running:
        clients = await one_on_each(running)
        (tmp_path / "routes.yaml").write_text(definition.replace("echo: {integration:", "twice: {integration:"))

        running.reload()

        await running.logged('"worker":0,"digest"')
        await running.logged('"worker":1,"digest"')
        for client in clients.values():
            await client.send('{"action": "twice"}')
            assert await heard(client) == '{"action": "twice"}'


async def test_one_worker_can_be_drained_alone_and_is_replaced(asked: Backend, tmp_path: Path, redis_url: str) -> None:
    held = Held()
    asked.answers("/disconnect", held)
    async with workers(DEFINITION.format(port=asked.port), tmp_path, redis_url) as running:
        clients = await one_on_each(running)
        (leaving, gone), (_, kept) = clients.items()

        os.kill(leaving, signal.SIGTERM)

        assert await closed(gone) == (1001, "Going away")
        await asked.saw("/disconnect")
        async with asyncio.timeout(PATIENCE):
            while (await running.metrics())['wsgateway_workers{state="draining"}'] != 1:
                pass
        for _ in range(20):  # new ones all go to the other
            async with connect(running.ws()) as client:
                assert await worker_of(client, running) != leaving
        readiness = await http(running.internal_port, "GET", "/readyz")
        assert (readiness.status, readiness.body[:8]) == (200, b"ok, but ")
        held.go.set()
        line = json.loads(await running.logged("worker ended"))
        assert line["ended"] == "exited with 0"
        await running.logged("worker serves again")
        assert await echoes(kept)


async def test_a_signal_to_all_processes_at_once_is_one_signal(asked: Backend, tmp_path: Path, redis_url: str) -> None:
    """As service managers send it to a whole control group (systemd.kill, KillMode=control-group)."""
    held = Held()
    asked.answers("/disconnect", held)
    async with workers(DEFINITION.format(port=asked.port), tmp_path, redis_url) as running:
        clients = await one_on_each(running)
        for pid in (*seats(running.pid), running.pid):
            os.kill(pid, signal.SIGTERM)

        assert [await closed(client) for client in clients.values()] == [(1001, "Going away")] * 2
        await asked.saw("/disconnect", 2)
        assert running.process.returncode is None
        held.go.set()
        assert await running.wait() == 0
    assert not any("at once" in line for line in running.log)


async def test_a_second_signal_ends_all_at_once(asked: Backend, tmp_path: Path, redis_url: str) -> None:
    asked.answers("/disconnect", Held())
    async with workers(DEFINITION.format(port=asked.port), tmp_path, redis_url) as running:
        clients = await one_on_each(running)
        running.terminate()
        await running.logged("draining")  # two signals at once may be delivered as one
        processes = list(seats(running.pid))

        running.terminate()

        assert await running.wait() == 1
        assert not any(there(pid) for pid in processes)
        for client in clients.values():
            client.transport.abort()


async def test_a_worker_that_hangs_does_not_outlive_a_second_signal(
    asked: Backend, tmp_path: Path, redis_url: str
) -> None:
    async with workers(DEFINITION.format(port=asked.port), tmp_path, redis_url) as running:
        hung = next(iter(seats(running.pid)))
        os.kill(hung, signal.SIGSTOP)
        try:
            running.terminate()
            await running.logged("draining")  # two signals at once may be delivered as one
            running.terminate()

            assert await running.wait() == 1
            assert not there(hung)
        finally:
            with suppress(ProcessLookupError):
                os.kill(hung, signal.SIGCONT)
        await running.logged("worker is killed")


async def test_workers_drain_when_their_supervisor_is_gone_and_leave_the_port(
    asked: Backend, tmp_path: Path, redis_url: str
) -> None:
    held = Held()
    asked.answers("/disconnect", held)
    definition = DEFINITION.format(port=asked.port)
    async with workers(definition, tmp_path, redis_url) as running:
        clients = await one_on_each(running)
        processes = list(seats(running.pid))

        running.process.kill()

        assert [await closed(client) for client in clients.values()] == [(1001, "Going away")] * 2
        await asked.saw("/disconnect", 2)
        assert "the supervisor is gone" in await running.logged("draining")
        flags = ("--port", str(running.port))  # while the old workers wait for their $disconnect
        (tmp_path / "next").mkdir()
        async with workers(definition, tmp_path / "next", redis_url, *flags) as successor:
            async with connect(successor.ws()) as client:
                assert await echoes(client)
            assert all(there(pid) for pid in processes)
            waits = [asyncio.ensure_future(ended(pid)) for pid in processes]
            held.go.set()
            await asyncio.gather(*waits)
            successor.terminate()
            assert await successor.wait() == 0


# At a terminal


@asynccontextmanager
async def terminal(definition: str, folder: Path, redis_url: str) -> AsyncIterator[tuple[Gateway, Callable[[], None]]]:
    """Two workers at a terminal, and what Ctrl-C does there."""
    file = folder / "routes.yaml"
    file.write_text(definition)
    ready = folder / "ready.json"
    master, slave = pty.openpty()

    def own_terminal() -> None:
        os.setsid()
        fcntl.ioctl(slave, termios.TIOCSCTTY, 0)

    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "wsgateway", "serve", str(file), "--port", "0", "--internal-port", "0",
        "--workers", "2", "--redis-url", redis_url, "--drain-window", "0", "--ready-file", str(ready),
        stdin=slave, stdout=slave, stderr=slave, preexec_fn=own_terminal,
    )  # fmt: skip
    os.close(slave)
    loop = asyncio.get_running_loop()
    seen = asyncio.Event()
    shown = bytearray()

    def readable() -> None:
        try:
            data = os.read(master, 4096)
        except OSError:  # Linux: nobody has the other end any more
            data = b""
        if not data:
            loop.remove_reader(master)
        shown.extend(data)
        if b"wsgateway ready" in shown or not data:
            seen.set()

    loop.add_reader(master, readable)
    try:
        async with asyncio.timeout(PATIENCE):
            await seen.wait()
        assert b"wsgateway ready" in shown, bytes(shown)
        urls = json.loads(ready.read_text())
        yield Gateway(process, urls["public"], urls["internal"]), lambda: os.write(master, b"\x03") and None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        loop.remove_reader(master)
        os.close(master)


async def test_ctrl_c_once_drains(asked: Backend, tmp_path: Path, redis_url: str) -> None:
    held = Held()
    asked.answers("/disconnect", held)
    async with terminal(DEFINITION.format(port=asked.port), tmp_path, redis_url) as (running, ctrl_c):
        clients = await one_on_each(running)
        ctrl_c()

        assert [await closed(client) for client in clients.values()] == [(1001, "Going away")] * 2
        await asked.saw("/disconnect", 2)
        held.go.set()
        assert await running.wait() == 0


async def test_ctrl_c_twice_leaves_at_once(asked: Backend, tmp_path: Path, redis_url: str) -> None:
    asked.answers("/disconnect", Held())
    async with terminal(DEFINITION.format(port=asked.port), tmp_path, redis_url) as (running, ctrl_c):
        clients = await one_on_each(running)
        ctrl_c()
        # Two signals at once may be delivered as one: the second comes when the first was heard.
        assert [await closed(client) for client in clients.values()] == [(1001, "Going away")] * 2
        ctrl_c()

        assert await running.wait() == 1


# Starts that fail


async def failed(tmp_path: Path, *flags: str, definition: str = "") -> tuple[int, list[str]]:
    """The exit code and what is on stderr of a start that fails."""
    file = tmp_path / "routes.yaml"
    file.write_text(definition or DEFINITION.format(port=1))
    process = await prefork.wsgateway("serve", file, *flags, stdout=PIPE, stderr=PIPE)
    try:
        async with asyncio.timeout(PATIENCE):
            out, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert out == b""
    assert process.returncode is not None
    return process.returncode, err.decode().splitlines()


async def test_an_invalid_definition_is_told_once(tmp_path: Path, redis_url: str) -> None:
    definition = DEFINITION.format(port=1).replace("HTTP_PROXY", "HTPP_PROXY")
    flags = ("--workers", "3", "--redis-url", redis_url, "--port", "0", "--internal-port", "0")

    code, lines = await failed(tmp_path, *flags, definition=definition)

    assert code == 2
    assert [line.split(":")[1] for line in lines] == ["8", "9"]


async def test_a_worker_that_dies_before_it_was_ready_ends_all(tmp_path: Path, redis_url: str) -> None:
    file = tmp_path / "routes.yaml"
    file.write_text(DEFINITION.format(port=1))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "wsgateway", "serve", str(file), "--workers", "2", "--redis-url", redis_url,
        "--port", "0", "--internal-port", "0", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        async with asyncio.timeout(PATIENCE):
            while not (born := seats(process.pid)):
                await asyncio.sleep(0)
            victim, seat = next(iter(born.items()))
            os.kill(victim, signal.SIGKILL)  # long before it has read its own code
            out, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()

    assert (process.returncode, out) == (1, b"")
    told = [line for line in err.decode().splitlines() if not line.startswith("{")]
    assert told == [f"wsgateway: worker {seat['index']} was ended by SIGKILL before it was ready"]


async def test_the_port_for_tls_is_shared_too(asked: Backend, tmp_path: Path, redis_url: str) -> None:
    authority = Authority(tmp_path)
    certificate, key = authority.issue_to("localhost")
    flags = ("--tls-port", "0", "--tls-cert", certificate, "--tls-key", key)
    async with workers(DEFINITION.format(port=asked.port), tmp_path, redis_url, *flags) as running:
        url = f"wss://localhost:{running.tls_port}/dev"
        pids = set()
        async with asyncio.timeout(PATIENCE):
            while len(pids) < 2:
                async with connect(url, ssl=authority.client(), host="127.0.0.1") as client:
                    assert await echoes(client)
                    pids.add(await worker_of(client, running))


async def test_a_port_that_is_taken_is_told_once(tmp_path: Path, redis_url: str) -> None:
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)  # a stranger that would share it, too
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        flags = ("--workers", "2", "--redis-url", redis_url, "--internal-port", "0")

        code, lines = await failed(tmp_path, *flags, "--port", str(port))

    assert code == 1
    assert len(lines) == 1
    assert f"the public listener can't have 127.0.0.1:{port}: Address already in use; end what uses it" in lines[0]


@pytest.mark.parametrize(
    ("flags", "text"),
    [
        pytest.param(("--workers", "2"), "--workers 2 needs --redis-url", id="no Redis"),
        pytest.param(("--workers", "0"), "'0' is neither 1 to 256 nor auto", id="none"),
        pytest.param(("--workers", "many"), "'many' is neither 1 to 256 nor auto", id="no number"),
        pytest.param(("--workers", "257"), "'257' is neither 1 to 256 nor auto", id="too many"),
        pytest.param(
            ("--workers", "4", "--redis-url", "redis://h", "--max-connections", "3"), "among 4 workers", id="3 for 4"
        ),
    ],
)
async def test_what_can_not_be_is_refused(flags: tuple[str, ...], text: str, tmp_path: Path) -> None:
    code, lines = await failed(tmp_path, *flags)

    assert code == 2
    assert len(lines) == 1
    assert text in lines[0]


async def test_auto_is_a_worker_for_each_cpu(asked: Backend, tmp_path: Path, redis_url: str) -> None:
    cpus = len(os.sched_getaffinity(0))
    flags = ("--workers", "auto", "--redis-url", redis_url, "--drain-window", "0")
    async with gateway(DEFINITION.format(port=asked.port), tmp_path, *flags) as running:
        assert len(seats(running.pid)) == (cpus if cpus > 1 else 0)
