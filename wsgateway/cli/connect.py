"""`wsgateway connect URL`: a small interactive client."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import threading
from io import TextIOWrapper
from typing import Annotated

import typer
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as open_websocket
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, InvalidURI
from websockets.typing import Subprotocol

from wsgateway.errors import StartError


def connect(
    url: Annotated[str, typer.Argument(help="ws://HOST:PORT/STAGE")],
    header: Annotated[
        list[str] | None, typer.Option("--header", "-H", help="NAME: VALUE, sent with the handshake.")
    ] = None,
    subprotocol: Annotated[list[str] | None, typer.Option("--subprotocol", help="Offered to the gateway.")] = None,
    wait: Annotated[
        float | None,
        typer.Option(
            min=0,
            help="Seconds to stay after the input has ended, counted from the last message received "
            "[default: 1, at a terminal 0].",
        ),
    ] = None,
) -> None:
    """Send each line of the input as a message and print each message received, until the input ends."""
    headers: list[tuple[str, str]] = []
    for line in header or ():
        name, colon, value = line.partition(":")
        if not colon or not name.strip():
            raise typer.BadParameter(f"{line!r} is not NAME: VALUE", param_hint="--header")
        headers.append((name.strip(), value.strip()))
    with contextlib.suppress(KeyboardInterrupt):
        # What is piped in ends at once, and its replies are still on their way.
        stay = wait if wait is not None else 0.0 if sys.stdin.isatty() else 1.0
        sys.exit(asyncio.run(_talk(url, headers, [Subprotocol(name) for name in subprotocol or ()], stay)))


async def _talk(url: str, headers: list[tuple[str, str]], subprotocols: list[Subprotocol], stay: float) -> int:
    try:
        socket = await open_websocket(
            url, additional_headers=headers, subprotocols=subprotocols or None, compression=None, max_size=None
        )
    except (InvalidURI, ValueError) as error:
        raise typer.BadParameter(f"{url} is no WebSocket URL; write ws://HOST:PORT/STAGE", param_hint="URL") from error
    except InvalidStatus as error:
        body = (error.response.body or b"").decode("utf-8", "replace")
        raise StartError(f"{url} answered {error.response.status_code}: {body}") from error
    except InvalidHandshake as error:
        raise StartError(f"{url} did not answer as a WebSocket server: {error}") from error
    except (OSError, TimeoutError) as error:
        raise StartError(f"{url} can't be reached: {error}") from error
    print(f"connected to {url}", file=sys.stderr)
    lines = _lines()
    heard = asyncio.Event()
    printing = asyncio.ensure_future(_print(socket, heard))
    try:
        while True:
            line = asyncio.ensure_future(lines.get())
            await asyncio.wait({line, printing}, return_when=asyncio.FIRST_COMPLETED)
            if printing.done():
                line.cancel()
                return 0 if socket.close_code in (1000, 1001) else 1
            text = line.result()
            if text is None:
                break
            await socket.send(text)
        with contextlib.suppress(TimeoutError):
            while stay and not printing.done():
                heard.clear()
                await asyncio.wait_for(heard.wait(), stay)
    except ConnectionClosed:
        pass
    await socket.close()
    await printing
    return 0


async def _print(socket: ClientConnection, heard: asyncio.Event) -> None:
    try:
        async for message in socket:
            heard.set()
            text = message if isinstance(message, str) else f"<{len(message)} bytes> {message.hex()}"
            # A terminal obeys control characters; a message must not drive it.
            print("".join(c if c.isprintable() or c in "\n\t" else f"\\x{ord(c):02x}" for c in text), flush=True)
    except ConnectionClosed:
        pass
    heard.set()
    print(f"closed: {socket.close_code} {socket.close_reason}", file=sys.stderr)


def _lines() -> asyncio.Queue[str | None]:
    """Lines of the input, then None. A thread reads: the input may be a terminal, a pipe or a file."""
    if isinstance(sys.stdin, TextIOWrapper):
        sys.stdin.reconfigure(errors="replace")  # a message is UTF-8, whatever a file holds
    lines: asyncio.Queue[str | None] = asyncio.Queue()
    loop = asyncio.get_running_loop()

    def read() -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended
            for line in sys.stdin:
                loop.call_soon_threadsafe(lines.put_nowait, line.rstrip("\r\n"))
            loop.call_soon_threadsafe(lines.put_nowait, None)

    threading.Thread(target=read, daemon=True).start()
    return lines
