"""How a peer says where it listens."""

import asyncio
import json
import os
from pathlib import Path


def port_of(server: asyncio.Server) -> int:
    """The port a server was given."""
    port: int = server.sockets[0].getsockname()[1]
    return port


def announce(ready_file: str, public: int, internal: int | None = None) -> None:
    """Write the ready file, whole or not at all."""
    urls = {"public": f"http://127.0.0.1:{public}", "internal": f"http://127.0.0.1:{internal or public}"}
    new = Path(f"{ready_file}.new")
    new.write_text(json.dumps({**urls, "pid": os.getpid()}))
    new.replace(ready_file)
