"""The prompt of `wsgateway connect`: a line that can be edited while messages come in above it."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from prompt_toolkit import PromptSession
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.keys import Keys
from prompt_toolkit.patch_stdout import patch_stdout
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConcurrencyError, ConnectionClosed

from wsgateway.cli.history import FileHistory
from wsgateway.cli.screen import Screen
from wsgateway.cli.typed import HELP, Action, Help, Leave, Ping, Send, parse


async def converse(socket: ClientConnection, receiving: asyncio.Future[None], screen: Screen, binary: bool) -> bool:
    """Send what is typed until the user or the other side ends it. Gives whether it was the user."""
    history = FileHistory()
    if history.trouble:
        screen.note(f"the history is not kept: {history.trouble}")
    session: PromptSession[str] = PromptSession(history=history, key_bindings=_keys(), enable_suspend=True)
    with patch_stdout(raw=True):
        while True:
            asking = asyncio.ensure_future(session.prompt_async("> "))
            either: set[asyncio.Future[Any]] = {asking, receiving}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if receiving.done():
                asking.cancel()
                await asyncio.wait({asking})
                return False
            try:
                line = asking.result()
                if line and await _do(socket, parse(line, binary), screen):
                    return True
            except (ValueError, ConcurrencyError) as error:
                screen.note(str(error))
            except EOFError:
                return True
            except ConnectionClosed:
                return False


async def _do(socket: ClientConnection, action: Action, screen: Screen) -> bool:
    """Whether that was the end."""
    match action:
        case Send(data):
            await socket.send(data)
        case Ping(data):
            begun = time.monotonic()
            pong = asyncio.ensure_future(await socket.ping(data or None))
            pong.add_done_callback(
                lambda done: None if done.cancelled() or done.exception() else screen.note(_round_trip(begun))
            )
        case Leave(code, reason):
            await socket.close(code, reason)
            return True
        case Help():
            screen.note(HELP)
    return False


def _round_trip(begun: float) -> str:
    return f"pong after {(time.monotonic() - begun) * 1000:.1f} ms"


def _keys() -> KeyBindings:
    """Ctrl-C takes back the line; on an empty one it ends, as Ctrl-D does."""
    keys = KeyBindings()

    @keys.add("c-c")
    def interrupt(event: KeyPressEvent) -> None:
        if event.current_buffer.text:
            event.current_buffer.reset()
        else:
            event.app.exit(exception=EOFError)

    @keys.add(Keys.SIGINT)
    def signalled(event: KeyPressEvent) -> None:
        event.app.exit(exception=EOFError)

    return keys
