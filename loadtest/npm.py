"""Packages from npm: what their lock file says, installed on first use and kept by the hash of that file."""

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

from loadtest.errors import LoadTestError
from loadtest.native import cache_directory

INSTALL_SECONDS = 600


def installed(folder: Path) -> Path:
    """The node_modules of the package.json and package-lock.json in `folder`.

    Raises: LoadTestError, if there is no npm or it can't install them.
    """
    lock = (folder / "package-lock.json").read_bytes() + (folder / "package.json").read_bytes()
    target = cache_directory() / f"{folder.name}-{hashlib.sha256(lock).hexdigest()[:12]}"
    if (target / "node_modules").is_dir():
        return target / "node_modules"
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            raise LoadTestError(
                f"no {program} on PATH: the peer of this scenario comes from npm. "
                "Install Node.js 20 or newer with npm (Debian: apt install nodejs npm)"
            )
    new = target.with_name(f"{target.name}.{os.getpid()}")
    new.mkdir(parents=True)
    try:
        for name in ("package.json", "package-lock.json"):
            shutil.copy(folder / name, new)
        _install(new)
        new.rename(target)
    finally:
        shutil.rmtree(new, ignore_errors=True)
    return target / "node_modules"


def _install(folder: Path) -> None:
    command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier"]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise LoadTestError(f"npm did not end within {INSTALL_SECONDS} s") from None
    if done.returncode:
        raise LoadTestError(f"{' '.join(command)} failed; does npm reach a registry?\n{done.stderr.strip()[-2000:]}")
