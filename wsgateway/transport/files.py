"""How open files are shared out: to clients, to HTTP connections beside them, and to everything else."""

from __future__ import annotations

import resource
import sys
from dataclasses import dataclass

from wsgateway.errors import StartError

KEPT = 6144
"""For backends, the internal listener, logs, and what one loop turn accepts before it is turned away."""
HTTP = 2048
HTTP_LEAST = 64
"""For HTTP connections of the public listener while it has all the clients it may have."""
MOST_CLIENTS = 1_000_000
BACKLOG = 4096


@dataclass(frozen=True, slots=True)
class Files:
    """Who may have how many."""

    clients: int
    """WebSockets."""
    connections: int
    """TCP connections of the public listener, WebSockets among them."""
    backlog: int
    """TCP connections that may wait to be accepted; a loop turn accepts about as many."""


def share_out_here(wanted: int | None) -> Files:
    """The shares of as many open files as the process may have. *Raises* StartError, as `share_out`."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return share_out(sys.maxsize if hard == resource.RLIM_INFINITY else hard, wanted)


def share_out(limit: int, wanted: int | None) -> Files:
    """The shares of `limit` open files, `wanted` of them for clients. *Raises* StartError where that is too many."""
    kept = min(KEPT, limit // 4)
    http = min(HTTP, max(HTTP_LEAST, limit // 20), limit // 4)
    possible = limit - kept - http
    if wanted is not None and wanted > possible:
        raise StartError(
            f"--max-connections {wanted} needs {wanted + kept + http} open files and the limit is {limit}; "
            f"raise it (ulimit -Hn) or ask for at most {possible}"
        )
    clients = min(possible, MOST_CLIENTS) if wanted is None else wanted
    connections = min(clients + max(HTTP_LEAST, clients // 20), limit - kept)
    return Files(clients, connections, min(BACKLOG, kept * 2 // 3))
