"""The C programs: compiled on first use, kept by the hash of their source."""

import hashlib
import os
import platform
import shlex
import shutil
import subprocess
from functools import cache
from pathlib import Path

from loadtest.errors import LoadTestError

SOURCES = Path(__file__).parent / "native"


def cache_directory() -> Path:
    """Where compiled programs are kept: the user's cache directory."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "wsgateway-loadtest"


@cache
def program(name: str) -> str:
    """The path of a compiled program.

    Raises: LoadTestError, if there is no C compiler or it refuses.
    """
    source = SOURCES / f"{name}.c"
    digest = hashlib.sha256(source.read_bytes()).hexdigest()[:12]
    target = cache_directory() / f"{name}-{platform.machine()}-{digest}"
    if target.exists():
        return str(target)
    compiler = shlex.split(os.environ.get("CC") or "cc")
    if shutil.which(compiler[0]) is None:
        raise LoadTestError(
            f"no C compiler: {compiler[0]!r} is not on PATH. The load generator is written in C; "
            "install one (Debian: apt install gcc libc6-dev) or name it in CC"
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    new = target.with_name(f"{target.name}.{os.getpid()}")
    done = subprocess.run(
        [*compiler, "-O2", "-o", str(new), str(source)], capture_output=True, text=True, timeout=120, check=False
    )
    if done.returncode:
        raise LoadTestError(f"{shlex.join(compiler)} could not compile {source}:\n{done.stderr.strip()}")
    new.replace(target)
    return str(target)
