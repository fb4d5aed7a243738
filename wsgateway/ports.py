"""TCP ports that several processes share (SO_REUSEPORT), had by one that gives them no connection itself.

A socket that is bound but does not listen reserves its number: processes of the same user may listen there if they set
SO_REUSEPORT, too, and the kernel spreads new connections over those that do.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack

from wsgateway.errors import StartError

ATTEMPTS = 16
"""Of finding one number that is free on every address of a host name."""


class Reserved:
    """A port number on every address of a host, until it is closed."""

    def __init__(self, port: int, sockets: ExitStack) -> None:
        self.port = port
        self._sockets = sockets

    def close(self) -> None:
        self._sockets.close()


def reserve(host: str, port: int, *, name: str) -> Reserved:
    """Have `port` of `host`, or any free one for 0. *Raises* StartError where it can't be had; `name` says for what.

    It is had alone at first: who shares the port with a stranger would get half the connections.
    """
    for attempt in range(ATTEMPTS):
        with ExitStack() as sockets:
            try:
                return Reserved(_bind(host, port, sockets), sockets.pop_all())
            except OSError as error:
                if port or error.errno != errno.EADDRINUSE or attempt + 1 == ATTEMPTS:
                    raise taken(name, host, port, error) from error
    raise AssertionError("the last attempt returns or raises")


def taken(name: str, host: str, port: int, error: OSError) -> StartError:
    """What is told where an address can't be had."""
    # A name that does not resolve has a number of its own kind.
    known = error.errno and not isinstance(error, socket.gaierror)
    why = os.strerror(error.errno) if known and error.errno else error.strerror or str(error)
    return StartError(
        f"the {name} listener can't have {host}:{port}: {why}; end what uses it or choose another port (0 = any)"
    )


def _bind(host: str, port: int, sockets: ExitStack) -> int:
    for family, address in _addresses(host):
        try:
            bound = sockets.enter_context(socket.socket(family, socket.SOCK_STREAM))
        except OSError:
            continue  # an address family that this machine is built without
        # With SO_REUSEADDR what is left of closed connections (TIME_WAIT) is no obstacle; without it afterwards,
        # nobody else binds the number before somebody listens there (socket(7)).
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        bound.bind((address, port))
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        port = bound.getsockname()[1]
    if not port:
        raise OSError(errno.EADDRNOTAVAIL, os.strerror(errno.EADDRNOTAVAIL))
    return port


def _addresses(host: str) -> Iterator[tuple[socket.AddressFamily, str]]:
    found = socket.getaddrinfo(host or None, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    yield from dict.fromkeys((info[0], str(info[4][0])) for info in found)
