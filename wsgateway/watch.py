"""What `dev` watches: the definition file, and the code of local functions."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import anyio

from wsgateway.deploy import Deployments
from wsgateway.functions import Functions


async def watch_file(file: Path, deployments: Deployments) -> None:
    """Reload when the definition file, whose path is resolved, or one of a canary beside it changes; never returns."""
    from watchfiles import awatch  # only `dev` needs it

    # The directory, not the file: editors replace files.
    async for changes in awatch(file.parent, recursive=False, debounce=100, step=20, rust_timeout=200):
        named = {str(file), *deployments.canary_files}
        if any(changed in named for _, changed in changes):
            await deployments.reload()


async def watch_code(functions: Functions, deployments: Deployments, access_log: str) -> None:
    """Restart a function for its next message when its code changes; never returns."""
    outputs = (1, 2, access_log)
    from watchfiles import awatch

    while True:
        deployments.redeployed = redeployed = anyio.Event()
        folders = functions.folders()
        if not folders:
            await redeployed.wait()
            continue
        async for changes in awatch(*folders, stop_event=redeployed, debounce=100, step=20, rust_timeout=200):
            if functions.changed(path for _, path in changes if not is_output(path, outputs)):
                functions.warm()


def is_output(path: str, outputs: Iterable[int | str]) -> bool:
    """Whether this file is one of those, open files by number or others by name: what the gateway writes is no code,
    and of a change it would write that there is one."""
    for output in outputs:
        try:
            if os.path.samestat(os.stat(output), os.stat(path)):
                return True
        except OSError:  # the one is closed, or the other was removed
            continue
    return False
