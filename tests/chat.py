"""Somebody in the chat of examples/."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

from tests.harness import PATIENCE


@dataclass(frozen=True, slots=True)
class Visitor:
    """Somebody at a WebSocket."""

    connection: ClientConnection

    async def sends(self, **message: object) -> None:
        await self.connection.send(json.dumps(message))

    async def hears(self, **expected: object) -> dict[str, Any]:
        """Wait for a message with these fields, passing over others."""
        heard = []
        try:
            async with asyncio.timeout(PATIENCE):
                while True:
                    message = json.loads(await self.connection.recv())
                    heard.append(message)
                    if expected.items() <= message.items():
                        return dict(message)
        except TimeoutError:
            raise AssertionError(f"waited for {expected}, heard {heard}") from None

    async def joins(self, room: str, name: str) -> list[str]:
        """Join a room; who is there."""
        await self.sends(action="join", room=room, name=name)
        return list((await self.hears(type="welcome", room=room, name=name))["here"])


@asynccontextmanager
async def visiting(gateway: str) -> AsyncIterator[Visitor]:
    async with connect(gateway, proxy=None, open_timeout=PATIENCE) as connection:
        yield Visitor(connection)
