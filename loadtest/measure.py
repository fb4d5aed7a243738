"""One run of the driver against one server."""

import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from loadtest.errors import LoadTestError
from loadtest.lab import Lab, Server


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """What one run measured."""

    completed: int
    seconds: float
    server_cpu: float
    driver_cpu: float
    p50_us: float
    p99_us: float
    p999_us: float
    max_us: float
    errors: int
    first_error: str
    abuses: int
    rss: dict[int, int]

    @property
    def per_cpu_second(self) -> float:
        """Completed per CPU second of the server: what two servers are compared by."""
        return self.completed / self.server_cpu if self.server_cpu else 0.0


def drive(
    lab: Lab, server: Server, mode: str, arguments: list[str], limit: float, *, may_starve: bool = False
) -> Sample:
    """Run the driver once. No answer at all is a failure of the test, unless starving clients is what it looks for.

    Raises: LoadTestError, with the driver's message and the end of the server's log.
    """
    process = lab.driver(mode, *common_arguments(server), *arguments)
    try:
        output, complaint = process.communicate(timeout=limit)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise LoadTestError(f"the driver did not end within {limit:.0f} s") from None
    if process.returncode:
        raise failure(server, complaint)
    sample = sample_of(json.loads(output), server.rss())
    if not sample.completed and not may_starve:
        raise failure(server, f"nothing was answered; {sample.errors} errors, the first: {sample.first_error}".encode())
    return sample


def flags(values: Mapping[str, object]) -> list[str]:
    """Options of the driver as words of its command line."""
    return [str(word) for pair in values.items() for word in pair]


def common_arguments(server: Server) -> list[str]:
    """Where the server is and whose CPU counts."""
    pids = ",".join(map(str, server.pids()))
    return ["--port", str(server.port), "--internal-port", str(server.internal_port), "--pids", pids]


def failure(server: Server, complaint: bytes) -> LoadTestError:
    """The driver gave up on a server."""
    log = server.log_tail()
    return LoadTestError(
        f"{complaint.decode(errors='replace').strip()} (server: {server.name})"
        + (f"\nits log ends:\n{log}" if log else "")
    )


def sample_of(result: dict[str, Any], sizes: dict[int, int]) -> Sample:
    """The driver's JSON as a Sample."""
    fields = {name: result[name] for name in Sample.__slots__ if name != "rss"}
    return Sample(**fields, rss=sizes)
