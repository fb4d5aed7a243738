"""What the workers of one version of a function are started from."""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from wsgateway.functions.base import Log
from wsgateway.functions.process import Process
from wsgateway.functions.runtime_api import Serve
from wsgateway.functions.runtimes import Code
from wsgateway.functions.warden import Warden
from wsgateway.model.function import Function


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Launch:
    """One version of a function's definition and code; another object is another version."""

    name: str
    function: Function
    code: Code
    environment: Callable[[str], Mapping[str, str]]
    """The environment, given the address of the worker's Runtime API ("" where it has none)."""
    serve: Serve
    warden: Warden
    log: Log

    def spawn(
        self,
        arguments: Sequence[str],
        pass_fds: Sequence[int],
        runtime_api: str,
        output: int,
        exited: Callable[[int], None],
    ) -> Process:
        """Start a process, and have it ended should the gateway be killed. *Raises* OSError if that fails."""
        process = Process(
            (*self.code.command, *arguments),
            env=self.environment(runtime_api),
            cwd=self.code.root,
            output=output,
            pass_fds=pass_fds,
            exited=exited,
        )
        try:
            self.warden.add(process.pid)
        except OSError:
            process.signal(signal.SIGKILL)
            raise
        return process
