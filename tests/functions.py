"""Local functions with real processes, for tests: code written to a folder, facts of the log kept."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wsgateway.dataplane.counters import Counters
from wsgateway.errors import GatewayError
from wsgateway.functions import FunctionResult, Functions, InvokeApi, Surroundings
from wsgateway.messages import Handler, HttpRequest, HttpResponse
from wsgateway.model import Function
from wsgateway.transport.listener import Listener

PATIENCE = 20.0
"""Seconds until a wait for something that must happen fails; never a pause."""

PYTHON = f"python{sys.version_info.major}.{sys.version_info.minor}"


@dataclass
class Facts:
    """What was logged."""

    told: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    _heard: asyncio.Event = field(default_factory=asyncio.Event)

    def __call__(self, event: str, **facts: object) -> None:
        self.told.append((event, facts))
        self._heard.set()

    def of(self, event: str) -> list[dict[str, Any]]:
        return [facts for told, facts in self.told if told == event]

    @property
    def lines(self) -> list[str]:
        """What functions printed."""
        return [facts["line"] for facts in self.of("function output")]

    async def until(self, event: str, text: str = "") -> dict[str, Any]:
        """The first such fact whose values hold `text`."""
        async with asyncio.timeout(PATIENCE):
            while True:
                for facts in self.of(event):
                    if text in str(facts):
                        return facts
                self._heard.clear()
                await self._heard.wait()


@dataclass
class Local:
    """Functions of one folder."""

    folder: Path
    functions: Functions
    facts: Facts
    environ: dict[str, str]
    defined: dict[str, Function] = field(default_factory=dict)

    def write(self, name: str, text: str) -> Path:
        file = self.folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    def define(self, name: str, runtime: str, handler: str | None = None, **keys: Any) -> None:
        """Add a function, or change it, and reload."""
        written = {"runtime": runtime, "codeUri": ".", "handler": handler, **keys}
        definition = {key: value for key, value in written.items() if value is not None}
        self.defined[name] = Function.model_validate(definition)
        self.functions.reload(self.defined, self.folder)

    def python(self, code: str, name: str = "fn", **keys: Any) -> None:
        """Define a Python function `handler` of module `app`."""
        self.write("app.py", code)
        self.define(name, PYTHON, "app.handler", **keys)

    def node(self, code: str, name: str = "fn", file: str = "index.js", **keys: Any) -> None:
        """Define a Node function `handler` of module `index`."""
        self.write(file, code)
        self.define(name, "nodejs20.x", "index.handler", **keys)

    def provided(self, bootstrap: str, name: str = "fn", **keys: Any) -> None:
        """Define a function that is an executable."""
        self.write("bootstrap", bootstrap).chmod(0o755)
        self.define(name, "provided.al2023", **keys)

    async def call(self, event: object = None, name: str = "fn", **options: Any) -> FunctionResult:
        async with asyncio.timeout(PATIENCE):
            return await self.functions.invoke(name, json.dumps(event).encode(), **options)

    async def result(self, event: object = None, name: str = "fn", **options: Any) -> Any:
        """What the handler returned."""
        result = await self.call(event, name, **options)
        assert not result.failed, result.payload
        return json.loads(result.payload)

    async def error(self, event: object = None, name: str = "fn", **options: Any) -> dict[str, Any]:
        """How the invocation failed."""
        result = await self.call(event, name, **options)
        assert result.failed, result.payload
        error: dict[str, Any] = json.loads(result.payload)
        return error

    def pids(self, name: str = "fn") -> set[int]:
        """The processes of a function that are not on their way out."""
        started = [fact["worker"] for fact in self.facts.of("function cold start") if fact["function"] == name]
        return {pid for pid in started if alive(pid)}


def alive(pid: int) -> bool:
    """Whether a process runs; a zombie doesn't."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] not in ("Z", "X")


async def ended(pid: int) -> None:
    """Wait until a process has ended. It may be nobody's child of ours, so that it is looked for."""
    async with asyncio.timeout(PATIENCE):
        while alive(pid):
            await asyncio.sleep(0.01)


class Mounted:
    """A handler on a port of its own."""

    def __init__(self, handler: Handler) -> None:
        self.faults: list[BaseException] = []
        self._listener = Listener(handler=handler, upgrade=_refuse, report=self._report, counters=Counters())

    @property
    def port(self) -> int:
        return self._listener.port

    async def start(self) -> None:
        await self._listener.start("127.0.0.1", 0, name="function")

    def close(self) -> None:
        self._listener.close()

    def _report(self, error: BaseException, method: str, target: str) -> None:
        self.faults.append(error)


async def serve(handler: Handler) -> Mounted:
    mounted = Mounted(handler)
    await mounted.start()
    return mounted


def _refuse(request: HttpRequest) -> HttpResponse:
    return HttpResponse(403)


@asynccontextmanager
async def local(folder: Path, environ: Mapping[str, str] | None = None) -> AsyncIterator[Local]:
    """Functions whose code is in `folder`; all their processes are gone afterwards."""
    facts = Facts()
    seen = dict(os.environ if environ is None else environ)
    functions = Functions(Surroundings(serve=serve, log=facts, environ=seen))
    here = Local(folder, functions, facts, seen)
    try:
        yield here
    finally:
        async with asyncio.timeout(PATIENCE):
            await functions.aclose()
        left = [pid for pid in (fact["worker"] for fact in facts.of("function cold start")) if alive(pid)]
        assert left == []


@asynccontextmanager
async def invoke_api(here: Local) -> AsyncIterator[int]:
    """The Invoke API of these functions; gives its port."""
    mounted = await serve(InvokeApi(here.functions))
    try:
        yield mounted.port
    finally:
        mounted.close()
    assert [error for error in mounted.faults if not isinstance(error, GatewayError)] == []
