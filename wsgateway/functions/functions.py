"""Every local function: what is defined, what runs, and the way to invoke one without leaving the process."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from math import inf
from pathlib import Path

from wsgateway.bodies import BodyMemory
from wsgateway.errors import DefinitionError, Problem
from wsgateway.functions.base import MAX_PAYLOAD, FunctionNotFound, Invoke, Log, PayloadTooLarge
from wsgateway.functions.environment import Account, environment
from wsgateway.functions.events import Events
from wsgateway.functions.launch import Launch
from wsgateway.functions.pool import Pool
from wsgateway.functions.runtime_api import Serve
from wsgateway.functions.runtimes import Code, locate
from wsgateway.functions.warden import Warden
from wsgateway.ids import new_uuid
from wsgateway.model.function import Function

CHECK_SECONDS = 0.1
"""Between two looks at the memory of what runs."""
IDLE_SECONDS = 600.0
"""How long a worker nobody needs is kept warm."""
NO_CODE = frozenset({"__pycache__", ".git", ".mypy_cache", ".pytest_cache", ".ruff_cache"})
"""Folders whose changes change no function."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What functions are given besides their definitions. Mappings are read at every start of a process."""

    serve: Serve
    """Mounts a handler on a port of its own on 127.0.0.1."""
    log: Log
    account: Account = field(default_factory=Account)
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    """The gateway's environment, of which little passes."""
    extra: Mapping[str, str] = field(default_factory=dict)
    """Variables for every function, such as AWS_CA_BUNDLE; a function's own win."""
    bodies: BodyMemory = field(default_factory=BodyMemory)
    """Counts payloads that wait."""


class Functions:
    """All functions; made inside the event loop. `reload` says which, `aclose` ends them."""

    def __init__(self, surroundings: Surroundings) -> None:
        self.invoke_address = "127.0.0.1:9001"  # AWS's own value
        """`host:port` of the Invoke API, where it is mounted; becomes AWS_LAMBDA_RUNTIME_API of our own runtimes."""
        self.pools: dict[str, Pool] = {}
        self._around = surroundings
        self._loop = asyncio.get_running_loop()
        self._warden = Warden()
        self._leaving: set[Pool] = set()
        self.events = Events(self, surroundings.log)
        self._tick: asyncio.TimerHandle | None = None

    @property
    def bodies(self) -> BodyMemory:
        """What payloads are counted by."""
        return self._around.bodies

    def __contains__(self, name: str) -> bool:
        return name in self.pools

    def check(self, functions: Mapping[str, Function], directory: Path) -> Iterator[Problem]:
        """What these functions lack on this machine; paths in their definitions start at `directory`."""
        for name, found in self._located(functions, directory):
            if not isinstance(found, Code):
                yield from (Problem(("functions", name, *problem.path), problem.text) for problem in found)

    def remarks(self, functions: Mapping[str, Function], directory: Path) -> Iterator[Problem]:
        """What an operator should know of those that can start."""
        for name, code in self._located(functions, directory):
            if isinstance(code, Code) and code.remark:
                yield Problem(("functions", name, "runtime"), code.remark)

    def reload(self, functions: Mapping[str, Function], directory: Path) -> None:
        """Serve these from now on: unchanged ones keep their workers, changed ones start anew for the next message.

        *Raises* DefinitionError with every problem; then nothing has changed.
        """
        problems = list(self.check(functions, directory))
        if problems:
            raise DefinitionError(problems)
        launches = {
            name: self._launch(name, functions[name], code)
            for name, code in self._located(functions, directory)
            if isinstance(code, Code)
        }
        for name in self.pools.keys() - launches.keys():
            pool = self.pools.pop(name)
            pool.retire(FunctionNotFound(self._around.account.arn(name)))
            self._leaving.add(pool)
        for name, launch in launches.items():
            pool_before = self.pools.get(name)
            if pool_before is None:
                self.pools[name] = Pool(launch, self._around.bodies)
            elif (pool_before.launch.function, pool_before.launch.code) != (launch.function, launch.code):
                pool_before.renew(launch)
            else:
                continue
            if launch.code.remark:
                self._around.log("function runtime differs", function=name, reason=launch.code.remark)
        self._watch()

    def warm(self) -> None:
        """Start one worker of each function, so that code that can't be loaded shows before the first message."""
        for pool in self.pools.values():
            pool.warm()
        self._watch()

    def touch(self, name: str) -> None:
        """The code of a function changed: its next message runs the new one."""
        pool = self.pools.get(name)
        if pool is not None:
            old = pool.launch
            pool.renew(self._launch(name, old.function, old.code))
            self._around.log("function code changed", function=name)

    def folders(self) -> frozenset[Path]:
        """What is to be watched for changes of code."""
        found: set[Path] = set()
        for pool in self.pools.values():
            found.add(pool.launch.code.root)
            if pool.launch.code.node_modules is not None:
                found.add(pool.launch.code.node_modules)
        return frozenset(found)

    def changed(self, paths: Iterable[str | Path]) -> list[str]:
        """These files changed: touch the functions they belong to; gives their names."""
        code = [path for path in map(Path, paths) if NO_CODE.isdisjoint(path.parts) and path.suffix != ".pyc"]
        touched = []
        for name, pool in self.pools.items():
            roots = (pool.launch.code.root, pool.launch.code.node_modules)
            if any(root is not None and path.is_relative_to(root) for root in roots for path in code):
                touched.append(name)
        for name in touched:
            self.touch(name)
        return touched

    def invoke(
        self,
        name: str,
        payload: bytes,
        *,
        request_id: str = "",
        deadline: float | None = None,
        qualifier: str = "",
        trace_id: str = "",
        client_context: str = "",
        tail: bool = False,
        over: Callable[[], None] | None = None,
    ) -> Invoke:
        """Invoke a function. A plain call: where a worker is warm the payload is on its way when this returns.

        The future gives a FunctionResult, which may be the function's error, or IntegrationTimeout after `deadline`
        (loop time), or what is raised here. `payload` is JSON. With `over` a result may stream, and `over` is called
        once that is through. *Raises* InvokeRefused.
        """
        pool = self.pools.get(name)
        if pool is None:
            raise FunctionNotFound(self._around.account.arn(name, qualifier))
        if len(payload) > MAX_PAYLOAD:
            raise PayloadTooLarge
        invoke = Invoke(loop=self._loop)
        invoke.payload = payload
        invoke.request_id = request_id or new_uuid()
        invoke.arn = self._around.account.arn(name, qualifier)
        invoke.trace_id = trace_id
        invoke.client_context = client_context
        invoke.tail = tail
        invoke.over = over
        invoke.deadline = inf if deadline is None else deadline
        invoke.timer = None
        pool.invoke(invoke)
        if self._tick is None:
            self._watch()
        return invoke

    def arn(self, name: str, qualifier: str = "") -> str:
        """The ARN a function of that name has here."""
        return self._around.account.arn(name, qualifier)

    async def aclose(self) -> None:
        """End every process, and wait until they have ended."""
        pools = [*self.pools.values(), *self._leaving]
        self.pools.clear()
        if pools:
            await asyncio.gather(*(pool.aclose() for pool in pools))
        if self._tick is not None:
            self._tick.cancel()
        await self._loop.run_in_executor(None, self._warden.close)

    def _located(
        self, functions: Mapping[str, Function], directory: Path
    ) -> Iterator[tuple[str, Code | list[Problem]]]:
        for name, function in functions.items():
            yield name, locate(function, directory, self._around.environ)

    def _launch(self, name: str, function: Function, code: Code) -> Launch:
        around = self._around

        def variables(runtime_api: str) -> Mapping[str, str]:
            return environment(
                name,
                function,
                around.account,
                code=code,
                runtime_api=runtime_api or self.invoke_address,
                outside=around.environ,
                extra=around.extra,
            )

        return Launch(
            name=name,
            function=function,
            code=code,
            environment=variables,
            serve=around.serve,
            warden=self._warden,
            log=around.log,
        )

    def _watch(self) -> None:
        """Look at the workers, and again later while there are any."""
        self._tick = None
        now = self._loop.time()
        workers = 0
        for pool in (*self.pools.values(), *self._leaving):
            pool.check(now, IDLE_SECONDS)
            workers += len(pool.workers)
        self._leaving = {pool for pool in self._leaving if pool.workers}
        if workers:
            # A look costs 10 µs a worker: never more than a hundredth of the time.
            self._tick = self._loop.call_later(max(CHECK_SECONDS, workers * 0.001), self._watch)
