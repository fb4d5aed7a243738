"""Pushes: one POST each, to one node, never repeated."""

from __future__ import annotations

import asyncio
from urllib.parse import quote

from loadtest.faults.history import Asked, During, Told, pushed
from loadtest.faults.recorder import Recorder

PATIENCE = 20.0
"""Seconds after which a push counts as never answered."""


class Pusher:
    """Sends pushes, each on a TCP connection of its own, so that an end of that is never a race of keep-alive."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder

    async def push(
        self,
        client: str,
        connection: str,
        node: str,
        port: int,
        *,
        during: During = "",
        before: str = "",
    ) -> tuple[str, int]:
        """Push to a connection through a node's internal listener; the name of the push, and the answer's status."""
        recorder = self._recorder
        name = f"p{recorder.number()}"
        recorder.add(
            Asked(
                at=recorder.now(),
                push=name,
                connection=connection,
                client=client,
                node=node,
                during=during,
                before=before,
            )
        )
        status = await self._post(port, f"/dev/@connections/{quote(connection, safe='')}", pushed(name, client))
        recorder.add(Told(at=recorder.now(), push=name, status=status))
        return name, status

    async def _post(self, port: int, path: str, text: str) -> int:
        body = text.encode()
        head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
        writer: asyncio.StreamWriter | None = None
        try:
            async with asyncio.timeout(PATIENCE):
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(head.encode() + body)
                line = await reader.readline()
            return int(line.split(b" ")[1]) if line.startswith(b"HTTP/1.") else 0
        except (OSError, TimeoutError, ValueError):
            return 0
        finally:
            if writer is not None:
                writer.close()
