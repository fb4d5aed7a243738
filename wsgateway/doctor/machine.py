"""What the machine lets the process have: open files, waiting connections, memory, CPUs; and what it is made of."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from wsgateway import __version__
from wsgateway.cpus import usable_cpus, usable_memory
from wsgateway.doctor.base import Finding, failed, ok, warning
from wsgateway.errors import StartError
from wsgateway.model.definitions import Definitions
from wsgateway.settings import Settings
from wsgateway.transport.files import Files, share_out_here

SOMAXCONN = Path("/proc/sys/net/core/somaxconn")
FEW = 2000
"""Connections that are few for a gateway; a limit of 4,096 open files gives more."""
MIB = 1 << 20
PROCESS_BYTES = 60 * MIB
CONNECTION_BYTES = 3 << 10
COMPRESSED_BYTES = 50 << 10
"""Of a connection that keeps what was compressed before. All three are what docs/operations.md says."""
BODY_COPIES = 3
"""So much of --body-memory is taken where every body is copied, for an event or by a template (docs/sizing.md)."""
PARTS = ("uvloop", "httptools", "websockets", "msgspec", "redis", "hiredis")


def machine(settings: Settings, definitions: Definitions | None) -> Iterator[Finding]:
    """What this machine gives to a gateway of these settings, and if they are known to these definitions."""
    try:
        files = share_out_here(_of_each(settings.max_connections, settings.workers))
    except StartError as error:
        each = f"each of {settings.workers} workers: " if settings.workers > 1 else ""
        yield failed("open files", "ulimit -Hn", each + str(error))
    else:
        yield open_files(files)
        yield backlog(files.backlog, SOMAXCONN)
        clients = settings.max_connections or files.clients * settings.workers
        yield memory(settings, definitions, clients, usable_memory())
        yield large(settings, usable_memory())
    yield cpus(settings.workers, usable_cpus())
    yield parts()


def _of_each(wanted: int | None, workers: int) -> int | None:
    """The largest share that one of several workers has."""
    return None if wanted is None else -(-wanted // workers)


def open_files(files: Files) -> Finding:
    """How many connections the limit of open files leaves room for."""
    found = f"room for {files.clients:,} WebSockets in each process, {files.connections:,} TCP connections in all"
    if files.clients < FEW:
        return warning("open files", "ulimit -Hn", found, "raise the hard limit of open files, to 65536 or more")
    return ok("open files", "ulimit -Hn", found)


def backlog(wanted: int, file: Path) -> Finding:
    """Whether as many connections may wait to be accepted as a listener asks for."""
    where = "net.core.somaxconn"
    try:
        there = int(file.read_text())
    except (OSError, ValueError):
        return warning("backlog", where, f"{file} can't be read", f"see that it is {wanted} or more")
    if there < wanted:
        mend = f"sysctl -w {where}={wanted}; where many clients come at once, the kernel drops those that are too many"
        return warning("backlog", where, f"{there}: as many may wait to be accepted, and {wanted} are asked for", mend)
    return ok("backlog", where, f"{there:,}; {wanted:,} connections may wait to be accepted")


def memory(settings: Settings, definitions: Definitions | None, clients: int, there: int) -> Finding:
    """Whether there is memory for as many connections as are let in, quiet ones; messages under way come on top."""
    each = CONNECTION_BYTES if definitions is None or not _compresses(definitions) else COMPRESSED_BYTES
    fixed = PROCESS_BYTES * settings.workers
    if definitions is not None and not settings.shared and _keeps_answers(definitions):
        fixed += settings.cache_memory
    needed = fixed + each * clients
    found = f"{needed // MIB:,} MiB for {clients:,} quiet connections, of {there // MIB:,} MiB"
    if needed <= there:
        return ok("memory", "this machine", found)
    fitting = (there - fixed) // each
    if fitting < settings.workers:
        mend = "give it more memory, or run fewer workers"
    else:
        mend = f"set --max-connections to {fitting} or less, or give it more memory: else it may be killed"
    return warning("memory", "this machine", found, mend)


def large(settings: Settings, there: int) -> Finding:
    """Whether there is memory for all that large bodies and messages may hold, beside the processes themselves."""
    where, workers = "--body-memory, --message-memory", settings.workers
    wanted = (BODY_COPIES * settings.body_memory + settings.message_memory) * workers
    found = f"up to {wanted // MIB:,} MiB for large bodies, their copies, and large messages, of {there // MIB:,} MiB"
    if PROCESS_BYTES * workers + wanted <= there:
        return ok("large bodies", where, found)
    mend = "give them less, or it more memory: somebody who sends much at a time may get it killed"
    return warning("large bodies", where, found, mend)


def _compresses(definitions: Definitions) -> bool:
    """Whether a connection may keep what was compressed before."""
    wanted = [api.compression for api in definitions.websocket_apis.values() if api.compression is not None]
    return any(not (each.server_no_context_takeover and each.client_no_context_takeover) for each in wanted)


def _keeps_answers(definitions: Definitions) -> bool:
    stages = (stage for api in definitions.rest_apis.values() for stage in api.stages.values())
    return any(stage.cache_cluster_enabled for stage in stages)


def cpus(workers: int, there: int) -> Finding:
    """Whether there is a CPU for each worker."""
    found = f"{workers} of {there} CPUs used, one for each process"
    if workers > there:
        found = f"{workers} workers share {there} CPUs"
        return warning("CPUs", "--workers", found, f"run {there} at most (--workers auto): more are slower, not faster")
    return ok("CPUs", "--workers", found)


def parts() -> Finding:
    """Which versions of itself and of what it stands on are installed."""
    found = [f"wsgateway {__version__}", f"Python {platform.python_version()}"]
    missing = []
    for name in PARTS:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            missing.append(name)
    if missing:
        return failed("versions", "this installation", f"{', '.join(missing)} not installed", "pip install wsgateway")
    return ok("versions", "this installation", ", ".join(found))
