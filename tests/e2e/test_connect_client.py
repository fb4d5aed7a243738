"""`wsgateway connect` against servers of all kinds: in scripts, and at a real (pseudo) terminal."""

from __future__ import annotations

import asyncio
import datetime
import fcntl
import json
import os
import pty
import signal
import ssl
import stat
import struct
import sys
import termios
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from http import HTTPStatus
from pathlib import Path

import pyte
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosedError
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from tests import prefork
from tests.harness import PATIENCE

pytestmark = pytest.mark.anyio


class Peer:
    """A server that echoes and keeps what it hears; `client` is the last connection."""

    def __init__(self) -> None:
        self.heard: list[str | bytes] = []
        self.headers: list[tuple[str, str]] = []
        self.closes: list[tuple[int | None, str | None]] = []
        self.url = ""
        self._client: asyncio.Future[ServerConnection] = asyncio.get_running_loop().create_future()

    async def talk(self, client: ServerConnection) -> None:
        assert client.request is not None
        self.headers = list(client.request.headers.raw_items())
        self._client.set_result(client)
        with suppress(ConnectionClosedError):  # any code but 1000 and 1001
            await self._echo(client)
        self.closes.append((client.close_code, client.close_reason))

    async def _echo(self, client: ServerConnection) -> None:
        async for message in client:
            self.heard.append(message)
            await client.send(message)

    async def client(self) -> ServerConnection:
        async with asyncio.timeout(PATIENCE):
            return await self._client

    def at(self, server: Server, scheme: str = "ws", host: str = "127.0.0.1") -> None:
        self.url = f"{scheme}://{host}:{next(iter(server.sockets)).getsockname()[1]}/"


@pytest.fixture
async def peer() -> AsyncIterator[Peer]:
    peer = Peer()
    names = [Subprotocol("chat.v2")]
    async with serve(peer.talk, "127.0.0.1", 0, subprotocols=names, max_size=None, select_subprotocol=_any) as server:
        peer.at(server)
        yield peer


def _any(connection: ServerConnection, offered: object) -> Subprotocol | None:
    return Subprotocol("chat.v2") if isinstance(offered, (list, tuple)) and "chat.v2" in offered else None


async def run(*arguments: str, stdin: bytes = b"", **env: str) -> tuple[int | None, bytes, str]:
    process = await start(*arguments, **env)
    async with asyncio.timeout(PATIENCE):
        out, err = await process.communicate(stdin)
    assert b"Traceback" not in err
    return process.returncode, out, err.decode()


async def start(*arguments: str, **env: str) -> prefork.Process:
    return await prefork.wsgateway("connect", *arguments, stdin=PIPE, stdout=PIPE, stderr=PIPE, env=os.environ | env)


# In scripts


async def test_a_message_comes_out_as_it_came(peer: Peer) -> None:
    code, out, _ = await run(peer.url, stdin='{"a":  1.0e5}\n\x1b[2J\ngrüß\r\n\nno line break at the end'.encode())

    assert (code, out) == (0, '{"a":  1.0e5}\n\x1b[2J\ngrüß\n\nno line break at the end\n'.encode())


async def test_each_event_as_json(peer: Peer) -> None:
    code, out, err = await run(peer.url, "--output", "json", "--subprotocol", "chat.v2", stdin="grüß\n".encode())

    opened, message, closed = map(json.loads, out.splitlines())
    assert (opened["event"], opened["url"], opened["subprotocol"]) == ("open", peer.url, "chat.v2")
    assert (message["event"], message["bytes"], message["body"]) == ("message", 6, "grüß")
    assert (closed["event"], closed["code"], closed["reason"]) == ("close", 1000, "")
    assert (code, err) == (0, "")


async def test_binary_lines(peer: Peer) -> None:
    code, out, _ = await run(peer.url, "--binary", stdin=b"AAH/\n")
    assert (code, out, peer.heard) == (0, b"<3 bytes> 0001ff\n", [b"\x00\x01\xff"])


async def test_a_line_that_is_not_base64(peer: Peer) -> None:
    code, _, err = await run(peer.url, "--binary", stdin=b"A\n")

    assert code == 1
    assert err.splitlines()[-1].startswith("wsgateway: a line of the input is not base64: ")


async def test_headers_and_subprotocols_are_sent(peer: Peer) -> None:
    code, _, err = await run(
        peer.url, "-H", "X-A: b:c", "-H", "X-A:d", "--subprotocol", "x", "--subprotocol", "chat.v2"
    )

    assert (code, err.splitlines()[0]) == (0, f"connected to {peer.url}, subprotocol chat.v2")
    assert [value for name, value in peer.headers if name == "X-A"] == ["b:c", "d"]
    assert ("Sec-WebSocket-Protocol", "x, chat.v2") in peer.headers


async def test_a_large_message(peer: Peer) -> None:
    text = b"x" * 20_000_000

    code, out, _ = await run(peer.url, stdin=text)

    assert (code, out) == (0, text + b"\n")


async def test_pings_are_shown_on_demand(peer: Peer) -> None:
    process = await start(peer.url, "--verbose")
    client = await peer.client()
    async with asyncio.timeout(PATIENCE):
        await (await client.ping(b"are you there?\x1b"))
        process.stdin.close()  # type: ignore[union-attr]
        assert process.stderr is not None
        lines = (await process.stderr.read()).decode().splitlines()
        assert await process.wait() == 0
    assert "101 Switching Protocols" in lines
    assert any(line.startswith("Sec-WebSocket-Accept: ") for line in lines)
    assert "ping are you there?\\x1b" in lines


@pytest.mark.parametrize(
    ("code", "reason", "told", "exit_code"),
    [
        (1000, "bye\x1b", "closed: 1000 bye\\x1b", 0),
        (1001, "", "closed: 1001 (going away)", 0),
        (1008, "no", "closed: 1008 no", 1),
        (4000, "", "closed: 4000 ", 1),
    ],
)
async def test_the_server_closes_while_the_input_is_open(
    peer: Peer, code: int, reason: str, told: str, exit_code: int
) -> None:
    process = await start(peer.url)
    await (await peer.client()).close(code, reason)
    async with asyncio.timeout(PATIENCE):
        assert process.stderr is not None
        assert (await process.stderr.read()).decode().splitlines()[-1] == told
        assert await process.wait() == exit_code


async def test_the_server_closes_after_the_input_has_ended(peer: Peer) -> None:
    """What was sent was refused: that is no success."""
    process = await start(peer.url, "--wait", "60")
    process.stdin.write_eof()  # type: ignore[union-attr]
    await (await peer.client()).close(1009, "too big")

    async with asyncio.timeout(PATIENCE):
        assert await process.wait() == 1


async def test_a_server_that_vanishes(peer: Peer) -> None:
    process = await start(peer.url)
    (await peer.client()).transport.abort()
    async with asyncio.timeout(PATIENCE):
        _, err = await process.communicate()
    assert process.returncode == 1
    assert err.decode().splitlines()[-1] == "closed: 1006 (abnormal closure)"


async def test_an_input_without_end(peer: Peer) -> None:
    """The server reads no more, and then leaves: what is read of the input is bounded, and nothing hangs on it."""
    process = await start(peer.url)
    client = await peer.client()
    client.transport.pause_reading()
    assert process.stdin is not None
    assert process.stderr is not None
    begun = asyncio.Event()
    filling = asyncio.ensure_future(_fill(process.stdin, begun))
    async with asyncio.timeout(PATIENCE):
        await begun.wait()
        client.transport.abort()
        err = await process.stderr.read()
        assert await process.wait() == 1
        with pytest.raises(ConnectionError):
            await filling
    assert b"Traceback" not in err


async def _fill(pipe: asyncio.StreamWriter, begun: asyncio.Event) -> None:
    while True:
        pipe.write((b"x" * 999 + b"\n") * 1000)
        await pipe.drain()
        begun.set()


async def test_no_input_at_all(peer: Peer) -> None:
    process = await asyncio.create_subprocess_shell(
        f"{sys.executable} -W error -m wsgateway connect {peer.url} --wait 0 <&-", stderr=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(PATIENCE):
        _, err = await process.communicate()
    assert process.returncode == 0
    assert b"Traceback" not in err


async def test_ctrl_c_says_good_bye(peer: Peer) -> None:
    process = await start(peer.url)
    client = await peer.client()
    assert process.stderr is not None
    async with asyncio.timeout(PATIENCE):
        await process.stderr.readline()
        process.send_signal(signal.SIGINT)
        assert await process.wait() == 0
        await client.wait_closed()
    assert client.close_code == 1000


async def test_a_reader_that_leaves_gets_no_traceback(peer: Peer) -> None:
    process = await start(peer.url)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(b"1\n")
    async with asyncio.timeout(PATIENCE):
        assert await process.stdout.readline() == b"1\n"
        process.stdout._transport.close()  # type: ignore[attr-defined]
        process.stdin.write(b"2\n")
        assert await process.wait() == 1
        err = await process.stderr.read()  # type: ignore[union-attr]
    assert b"BrokenPipe" not in err
    assert b"Traceback" not in err


# Who isn't there


async def test_a_refusal_with_its_status_and_body() -> None:
    def refuse(connection: ServerConnection, request: Request) -> Response:
        return connection.respond(HTTPStatus.PAYMENT_REQUIRED, "pay\x1b first\n")

    async with serve(lambda client: client.wait_closed(), "127.0.0.1", 0, process_request=refuse) as server:
        url = f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}/"
        assert await run(url) == (1, b"", f"wsgateway: {url} answered 402: pay\\x1b first\n")


async def test_a_redirect_to_nowhere() -> None:
    def redirect(connection: ServerConnection, request: Request) -> Response:
        response = connection.respond(HTTPStatus.FOUND, "")
        response.headers["Location"] = "http://127.0.0.1/"
        return response

    async with serve(lambda client: client.wait_closed(), "127.0.0.1", 0, process_request=redirect) as server:
        url = f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}/"
        code, _, err = await run(url)
    assert (code, err) == (1, f"wsgateway: {url} sends us on to 'http://127.0.0.1/', which is no WebSocket URL\n")


async def test_an_unknown_host() -> None:
    code, _, err = await run("ws://nosuch.invalid/dev")

    assert code == 1
    assert err.startswith("wsgateway: ws://nosuch.invalid/dev can't be reached: ")
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        pytest.param(["ws://a..b/"], "is no WebSocket URL", id="a host that can be none"),
        pytest.param(["ws://127.0.0.1/", "--ca", "x.pem"], "only wss:// has certificates", id="a CA for cleartext"),
        pytest.param(["wss://127.0.0.1/", "--ca", "/nosuch.pem"], "No such file", id="no CA file"),
        pytest.param(["wss://127.0.0.1/", "--ca", __file__], "no certificate in PEM form", id="a file that is no CA"),
        pytest.param(["ws://127.0.0.1/", "-H", "A: b\r\nC: d"], "NAME: VALUE", id="a header that is two"),
        pytest.param(["ws://127.0.0.1/", "-H", "A: ü"], "NAME: VALUE in ASCII", id="a header beyond ASCII"),
        pytest.param(["ws://127.0.0.1/", "-H", "A b: c"], "NAME: VALUE", id="a header's name with a blank"),
        pytest.param(["ws://127.0.0.1/", "--subprotocol", "a b"], "--subprotocol", id="no subprotocol"),
        pytest.param(["ws://127.0.0.1/", "--output", "xml"], "--output", id="an unknown form"),
    ],
)
async def test_wrong_usage(arguments: list[str], why: str) -> None:
    code, out, err = await run(*arguments)

    assert (code, out, err.count("\n")) == (2, b"", 1)
    assert why in err


def certificate(folder: Path) -> tuple[Path, Path]:
    """A self-signed certificate of localhost and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    paths = folder / "cert.pem", folder / "key.pem"
    paths[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return paths


async def test_a_private_ca(tmp_path: Path) -> None:
    cert, key = certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    peer = Peer()
    async with serve(peer.talk, "127.0.0.1", 0, ssl=context) as server:
        peer.at(server, "wss", "localhost")

        code, _, err = await run(peer.url)
        assert code == 1
        assert err.startswith(f"wsgateway: {peer.url}'s certificate is not trusted: self-signed certificate; ")
        assert "--ca FILE" in err
        code, _, err = await run(peer.url.replace("localhost", "127.0.0.1"), "--ca", str(cert))
        assert (code, "certificate is not valid for '127.0.0.1'" in err) == (1, True)
        code, _, err = await run(peer.url.replace("wss", "ws"))
        assert (code, "does it want wss://?" in err) == (1, True)

        assert (await run(peer.url, "--ca", str(cert), stdin=b"hello\n"))[:2] == (0, b"hello\n")


async def test_cleartext_where_tls_is_wanted(peer: Peer) -> None:
    code, _, err = await run(peer.url.replace("ws:", "wss:"))

    assert code == 1
    assert "does it want ws://?" in err
    assert err.count("\n") == 1


# At a terminal


class Terminal:
    """A terminal with a `wsgateway connect` at it: what is typed, and what is seen."""

    def __init__(self, master: int, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self._master = master
        self._seen = asyncio.Event()
        self.screen = _Screen(80, 24, self.type)
        self._stream = pyte.ByteStream(self.screen)
        self.raw = b""
        asyncio.get_running_loop().add_reader(master, self._read)

    def _read(self) -> None:
        try:
            data = os.read(self._master, 65_536)
        except OSError:  # nobody is at the other end any more
            data = b""
        if not data:
            asyncio.get_running_loop().remove_reader(self._master)
        self.raw += data
        self._stream.feed(data)
        self._seen.set()

    def type(self, text: str) -> None:
        os.write(self._master, text.encode())

    @property
    def lines(self) -> list[str]:
        """What stands there, blank lines at the end left out."""
        return [line.rstrip() for line in "\n".join(self.screen.display).rstrip().split("\n")]

    async def shows(self, *lines: str) -> None:
        """Wait until the last lines are these."""
        await self.until(lambda: self.lines[-len(lines) :] == list(lines))

    async def until(self, true: Callable[[], bool]) -> None:
        try:
            async with asyncio.timeout(PATIENCE):
                while not true():
                    self._seen.clear()
                    await self._seen.wait()
        except TimeoutError:
            raise AssertionError("\n".join(self.lines)) from None

    async def ends(self) -> int:
        async with asyncio.timeout(PATIENCE):
            return await self.process.wait()


class _Screen(pyte.Screen):
    """Answers where the cursor is, as terminals do."""

    def __init__(self, columns: int, lines: int, answer: Callable[[str], None]) -> None:
        super().__init__(columns, lines)
        self._answer = answer

    def write_process_input(self, data: str) -> None:
        self._answer(data)


@asynccontextmanager
async def terminal(home: Path, *arguments: str, **env: str) -> AsyncIterator[Terminal]:
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    inherited = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "COLORTERM")}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "wsgateway", "connect", *arguments,
        stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
        env=inherited | {"PYTHONWARNINGS": "error", "TERM": "xterm-256color", "XDG_STATE_HOME": str(home)} | env,
    )  # fmt: skip
    os.close(slave)
    at = Terminal(master, process)
    try:
        yield at
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        asyncio.get_running_loop().remove_reader(master)
        os.close(master)


async def test_a_conversation(peer: Peer, tmp_path: Path) -> None:
    async with terminal(tmp_path, peer.url) as at:
        await at.shows(f"connected to {peer.url}", ">")
        at.type('{"a":[1,"x"]}\r')
        await at.shows('> {"a":[1,"x"]}', "< {", '  "a": [', "    1,", '    "x"', "  ]", "}", ">")
        assert b"\x1b[32m" in at.raw  # rich's colour of strings
        at.type("\x04")
        assert await at.ends() == 0
        await at.until(lambda: "closed: 1000 (OK)" in at.lines)
    assert peer.closes == [(1000, "")]


async def test_what_comes_in_does_not_garble_what_is_typed(peer: Peer, tmp_path: Path) -> None:
    async with terminal(tmp_path, peer.url) as at:
        await at.shows(f"connected to {peer.url}", ">")
        at.type("half a li")
        await at.shows(f"connected to {peer.url}", "> half a li")
        client = await peer.client()
        await client.send("first")
        await client.send("\x1b[2J\x1b[H second")
        await at.shows("< first", "< \\x1b[2J\\x1b[H second", "> half a li")
        at.type("\x7f\x7fline\r")
        await at.shows("> half a line", "< half a line", ">")
    assert peer.heard == ["half a line"]


async def test_commands(peer: Peer, tmp_path: Path) -> None:
    async with terminal(tmp_path, peer.url) as at:
        await at.shows(f"connected to {peer.url}", ">")
        at.type("/binary AAE=\r")
        await at.shows("> /binary AAE=", "< <2 bytes> 0001", ">")
        at.type("//binary\r")
        await at.shows("> //binary", "< /binary", ">")
        at.type("/nosuch\r")
        await at.until(lambda: any("there is no /nosuch; /help lists commands" in line for line in at.lines))
        at.type("/ping\r")
        await at.until(lambda: any(line.startswith("pong after ") for line in at.lines))
        at.type("/close 4001 that is all\r")
        assert await at.ends() == 0
    assert peer.heard == [b"\x00\x01", "/binary"]
    assert peer.closes == [(4001, "that is all")]


async def test_history_outlives_a_run_and_is_the_users_alone(peer: Peer, tmp_path: Path) -> None:
    async with terminal(tmp_path, peer.url) as at:
        await at.shows(f"connected to {peer.url}", ">")
        for line in ("one", " a secret"):
            at.type(f"{line}\r")
            await at.shows(f"> {line}", f"< {line}", ">")
        at.type("\x04")
        assert await at.ends() == 0
    file = tmp_path / "wsgateway" / "connect_history"
    assert file.read_text() == '"one"\n'
    assert stat.S_IMODE(file.stat().st_mode) == 0o600

    peer._client = asyncio.get_running_loop().create_future()
    async with terminal(tmp_path, peer.url) as at:
        await at.shows(f"connected to {peer.url}", ">")
        at.type("\x1b[A")
        await at.shows(f"connected to {peer.url}", "> one")


async def test_a_home_that_can_not_be_written(peer: Peer, tmp_path: Path) -> None:
    (tmp_path / "wsgateway").write_text("a file is in the way")
    async with terminal(tmp_path, peer.url) as at:
        await at.until(lambda: any(line.startswith("the history is not kept: ") for line in at.lines))
        at.type("hello\r")
        await at.shows("> hello", "< hello", ">")


async def test_ctrl_c_takes_back_the_line_and_then_ends(peer: Peer, tmp_path: Path) -> None:
    async with terminal(tmp_path, peer.url) as at:
        await at.shows(f"connected to {peer.url}", ">")
        at.type("never mind")
        await at.shows("> never mind")
        at.type("\x03")
        await at.shows(f"connected to {peer.url}", ">")
        at.type("\x03")
        assert await at.ends() == 0
    assert peer.heard == []
    assert peer.closes == [(1000, "")]


async def test_the_server_closes_while_a_line_is_typed(peer: Peer, tmp_path: Path) -> None:
    async with terminal(tmp_path, peer.url) as at:
        await at.shows(f"connected to {peer.url}", ">")
        at.type("half")
        await at.shows("> half")
        await (await peer.client()).close(1008, "policy")
        assert await at.ends() == 1
        await at.until(lambda: "closed: 1008 policy" in at.lines)


async def test_no_color_means_none(peer: Peer, tmp_path: Path) -> None:
    async with terminal(tmp_path, peer.url, NO_COLOR="1") as at:
        await at.shows(f"connected to {peer.url}", ">")
        at.type('{"a":1}\r')
        await at.shows("< {", '  "a": 1', "}", ">")
        assert not any(b"\x1b[3%dm" % colour in at.raw for colour in range(8))
        assert b"\x1b[1;3" not in at.raw


async def test_a_terminal_that_can_edit_no_line(peer: Peer, tmp_path: Path) -> None:
    async with terminal(tmp_path, peer.url, TERM="dumb") as at:
        await at.shows(f"connected to {peer.url}")
        # There is no prompt to wait for: what is typed before anybody reads is not shown.
        at.type("hello\r")
        await at.shows("< hello")
        at.type("again\r")
        await at.shows("again", "< again")
        at.process.send_signal(signal.SIGINT)
        assert await at.ends() == 0
        await at.shows("closed: 1000 (OK)")
    assert b"\x1b" not in at.raw


async def test_a_signal_ends_it(peer: Peer, tmp_path: Path) -> None:
    async with terminal(tmp_path, peer.url) as at:
        await at.shows(f"connected to {peer.url}", ">")
        at.process.send_signal(signal.SIGINT)
        assert await at.ends() == 0
        await at.until(lambda: "closed: 1000 (OK)" in at.lines)


async def test_a_huge_message_is_cut(peer: Peer, tmp_path: Path) -> None:
    async with terminal(tmp_path, peer.url) as at:
        await at.shows(f"connected to {peer.url}", ">")
        await (await peer.client()).send("x" * 1_000_000)
        await at.until(lambda: any("the first 65536 of 1000000 characters" in line for line in at.lines))
