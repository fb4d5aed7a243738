"""The conversation of `wsgateway connect`: from the handshake to the exit code."""

from __future__ import annotations

import asyncio
import contextlib
import os
import ssl
import sys
import threading
from pathlib import Path
from typing import Any

import typer
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as open_websocket
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidMessage, InvalidStatus, InvalidURI
from websockets.frames import Frame, Opcode
from websockets.protocol import Event
from websockets.typing import Subprotocol
from websockets.uri import parse_uri

from wsgateway.cli.screen import Screen
from wsgateway.cli.terminal import printable
from wsgateway.cli.typed import message_of
from wsgateway.errors import StartError
from wsgateway.state import state_directory

LARGEST_MESSAGE = 1 << 27
"""Bytes; what sends more is cut off with 1009 rather than taking all memory."""
LINES_AHEAD = 1000
"""Lines of the input that are read before they can be sent."""
CLOSE_SECONDS = 3.0
SHOWN_REFUSAL = 2000


def trust(url: str, ca: Path | None) -> ssl.SSLContext | None:
    """Whom to believe: the system, `ca`, and on this machine the development CA; None for cleartext.

    *Raises* BadParameter for what is no URL of a WebSocket, and a file that holds no CA.
    """
    try:
        uri = parse_uri(url)
    except (InvalidURI, ValueError) as error:
        raise _no_url(url) from error
    if not uri.secure:
        if ca is not None:
            raise typer.BadParameter("only wss:// has certificates to check", param_hint="--ca")
        return None
    context = ssl.create_default_context()
    if uri.host in ("localhost", "127.0.0.1", "::1"):
        with contextlib.suppress(OSError):  # there is none, or it is broken
            context.load_verify_locations(state_directory(os.environ) / "ca.pem")
    if ca is not None:
        try:
            context.load_verify_locations(cafile=ca)
        except (OSError, ssl.SSLError) as error:
            why = "holds no certificate in PEM form" if isinstance(error, ssl.SSLError) else error.strerror
            raise typer.BadParameter(f"{ca}: {why}", param_hint="--ca") from error
    return context


def _no_url(url: str) -> typer.BadParameter:
    hint = "write ws://HOST:PORT/STAGE or wss://HOST:PORT/STAGE"
    return typer.BadParameter(f"{url} is no WebSocket URL; {hint}", param_hint="URL")


class Conversation:
    """One conversation with what answers at a URL."""

    def __init__(self, url: str, screen: Screen, *, binary: bool, verbose: bool, stay: float, prompt: bool) -> None:
        self.connected = False
        self._url = url
        self._screen = screen
        self._binary = binary
        self._verbose = verbose
        self._stay = stay
        self._prompt = prompt
        self._heard = asyncio.Event()

    async def run(self, headers: list[tuple[str, str]], subprotocols: list[str], trusted: ssl.SSLContext | None) -> int:
        """Talk until one side ends it. *Raises* StartError where there is nobody to talk to."""
        socket = await self._open(headers, [Subprotocol(name) for name in subprotocols], trusted)
        self.connected = True
        if self._verbose and socket.response is not None:
            self._screen.note(f"{socket.response.status_code} {socket.response.reason_phrase}")
            for name, value in socket.response.headers.raw_items():
                self._screen.note(f"{name}: {value}")
        self._screen.opened(self._url, socket.subprotocol)
        receiving = asyncio.ensure_future(self._receive(socket))
        try:
            if self._prompt:
                from wsgateway.cli.prompt import converse  # only people need it

                left = await converse(socket, receiving, self._screen, self._binary)
            else:
                left = await self._pipe(socket, receiving)
        finally:
            await socket.close()
            await receiving
        return 0 if left or socket.close_code in (1000, 1001) else 1

    async def _open(
        self, headers: list[tuple[str, str]], subprotocols: list[Subprotocol], trusted: ssl.SSLContext | None
    ) -> ClientConnection:
        url = self._url
        try:
            return await open_websocket(
                url,
                additional_headers=headers,
                subprotocols=subprotocols or None,
                compression=None,
                max_size=LARGEST_MESSAGE,
                close_timeout=CLOSE_SECONDS,
                ssl=trusted,
                create_connection=self._watched() if self._verbose else None,
            )
        except InvalidURI as error:
            raise StartError(f"{url} sends us on to {error.uri!r}, which is no WebSocket URL") from error
        except InvalidStatus as error:
            response = error.response
            body = printable((response.body or b"").decode("utf-8", "replace").strip())[:SHOWN_REFUSAL]
            raise StartError(f"{url} answered {response.status_code}: {body or response.reason_phrase}") from error
        except InvalidHandshake as error:
            hint = "; does it want wss://?" if isinstance(error, InvalidMessage) and not trusted else ""
            why = printable(str(error))[:SHOWN_REFUSAL]
            raise StartError(f"{url} did not answer as a WebSocket server: {why}{hint}") from error
        except ssl.SSLCertVerificationError as error:
            hint = "if a private CA signed it, give that with --ca FILE"
            raise StartError(f"{url}'s certificate is not trusted: {error.verify_message}; {hint}") from error
        except ssl.SSLError as error:
            raise StartError(f"{url} does not answer as TLS does ({error.reason}); does it want ws://?") from error
        except (ConnectionResetError, ConnectionAbortedError) as error:
            hint = "; does it want ws://?" if trusted else ""
            raise StartError(f"{url} ended the connection before it answered{hint}") from error
        except (OSError, TimeoutError) as error:
            raise StartError(f"{url} can't be reached: {error.strerror or error}") from error
        except ValueError as error:  # a host that no name can be; a certificate that fails is one of these, too
            raise _no_url(url) from error

    def _watched(self) -> type[ClientConnection]:
        """A connection that shows pings and pongs."""
        screen = self._screen

        class Watched(ClientConnection):
            def process_event(self, event: Event) -> None:
                super().process_event(event)
                if isinstance(event, Frame) and event.opcode in (Opcode.PING, Opcode.PONG):
                    screen.control(event.opcode.name.lower(), bytes(event.data))

        return Watched

    async def _receive(self, socket: ClientConnection) -> None:
        with contextlib.suppress(ConnectionClosed):
            async for message in socket:
                self._heard.set()
                self._screen.message(message)
        self._heard.set()
        self._screen.closed(socket.close_code, socket.close_reason)

    async def _pipe(self, socket: ClientConnection, receiving: asyncio.Future[None]) -> bool:
        """Send the lines of the input, then wait for what still comes. Gives whether it was us who left."""
        lines = _Lines()
        while True:
            line = asyncio.ensure_future(lines.get())
            either: set[asyncio.Future[Any]] = {line, receiving}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if receiving.done():
                line.cancel()
                return False
            text = line.result()
            if text is None:
                break
            try:
                await socket.send(message_of(text, self._binary).data)
            except ValueError as error:
                raise StartError(f"a line of the input is {error}") from error
            except ConnectionClosed:
                break  # it is told where it is heard
        with contextlib.suppress(TimeoutError):
            while self._stay and not receiving.done():
                self._heard.clear()
                await asyncio.wait_for(self._heard.wait(), self._stay)
        return not receiving.done()


class _Lines:
    """Lines of the input, then None. A thread reads: the input may be a terminal, a pipe or a file."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._lines: asyncio.Queue[str | None] = asyncio.Queue()
        self._room = threading.Semaphore(LINES_AHEAD)
        if sys.stdin is None:  # closed, and its number may be another's by now
            self._lines.put_nowait(None)
        else:
            threading.Thread(target=self._read, daemon=True).start()

    async def get(self) -> str | None:
        """The next line, or None at the end. To be called once at a time."""
        line = await self._lines.get()
        self._room.release()
        return line

    def _read(self) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended
            # Not sys.stdin: its lock would be held when the process exits.
            with contextlib.suppress(OSError), open(0, "rb", closefd=False) as stdin:
                for line in stdin:
                    # A message is UTF-8, whatever a file holds.
                    self._put(line.rstrip(b"\r\n").decode("utf-8", "replace"))
            self._put(None)

    def _put(self, line: str | None) -> None:
        self._room.acquire()
        self._loop.call_soon_threadsafe(self._lines.put_nowait, line)
