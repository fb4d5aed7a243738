"""Mapping templates: what rendering one costs, beside airspeed. No server: both render in this process."""

from collections.abc import Callable
from dataclasses import dataclass
from time import thread_time
from typing import Any

import airspeed

from loadtest.bench import Bench, Options
from loadtest.errors import LoadTestError
from loadtest.quartiles import Quartiles
from loadtest.results import Row
from wsgateway.templates import vtl
from wsgateway.templates.vtl.values import Tool, Value, Work

REQUEST = """\
#set($root = $input.path('$'))
#set($room = $root.room)
{
  "connection": "$context.connectionId",
  "backend": "$stageVariables.backend",
  "room": "$room.id",
  "title": "$util.escapeJavaScript($room.title)",
#if($root.kind == "private")
  "private": true,
#else
  "public": true,
#end
  "members": $root.members.size(),
  "sender": {"id": "$root.sender.id", "name": "$!root.sender.name"}
}
"""
ROWS = """\
{"items": [
#foreach($item in $input.path('$').items)
  {"id": "$item.id", "name": "$item.name", "quantity": $item.quantity}#if($foreach.hasNext),#end

#end
]}
"""
TIMES = 10.0
MICROSECONDS = 8.0
_BATCH = 100


@dataclass(frozen=True, slots=True)
class Case:
    """A template, and the document that is its `$input`."""

    name: str
    template: str
    document: dict[str, Any]


REQUEST_TEMPLATE = Case(
    "15 lines",
    REQUEST,
    {
        "kind": "public",
        "room": {"id": "r-17", "title": 'Birds of "the" north'},
        "members": ["u-1", "u-2", "u-3"],
        "sender": {"id": "u-1", "name": "Ada"},
    },
)
ROWS_TEMPLATE = Case(
    "3 rows",
    ROWS,
    {"items": [{"id": f"i-{number}", "name": f"item {number}", "quantity": str(number)} for number in range(3)]},
)
BOTH = (REQUEST_TEMPLATE, ROWS_TEMPLATE)


class Offer(Tool):
    """An object with methods, which are Python's to airspeed and a tool's to the gateway. They cost next to nothing."""

    def __init__(self, **methods: Callable[..., Value]) -> None:
        self.__dict__.update(methods)
        self.methods = methods

    def call(self, name: str, arguments: list[Value], work: Work) -> Value:
        return self.methods[name](*arguments)


def names(document: dict[str, Any]) -> dict[str, Any]:
    """What both are given. JSONPath isn't measured: the body is parsed, and every path finds all of it."""
    return {
        "input": Offer(path=lambda path: document),
        "context": {"connectionId": "L0SM9cOFvHcCIhw="},
        "stageVariables": {"backend": "127.0.0.1:8000"},
        "util": Offer(escapeJavaScript=lambda text: text.replace('"', r"\"")),
    }


def renderers(case: Case) -> tuple[Callable[[], str], Callable[[], str]]:
    """The gateway's and airspeed's, compiled or parsed before.

    Raises: LoadTestError, if they don't write the same; airspeed keeps some line ends that Velocity doesn't.
    """
    given = names(case.document)
    compiled, parsed = vtl.compile(case.template), airspeed.Template(case.template)

    def ours() -> str:
        return compiled.render(given)

    def theirs() -> str:
        text: str = parsed.merge(given)
        return text

    if ours().split() != theirs().split():
        raise LoadTestError(f"{case.name}: the gateway writes {ours()!r}, airspeed {theirs()!r}")
    return ours, theirs


def cost(render: Callable[[], str], seconds: float) -> float:
    """Microseconds of this thread's CPU time for one rendering, the mean of `seconds`."""
    start = now = thread_time()
    count = 0
    while now < start + seconds:
        for _ in range(_BATCH):
            render()
        count += _BATCH
        now = thread_time()
    return (now - start) / count * 1e6


class Templates:
    """Renderings by the gateway and by airspeed in turn."""

    name = "templates"
    about = "rendering of mapping templates against airspeed"

    def steps(self, options: Options) -> int:
        """Two a pair, of each template."""
        return len(BOTH) * 2 * options.pairs

    def run(self, bench: Bench) -> list[Row]:
        """Measure all pairs."""
        rows: list[Row] = []
        for case in BOTH:
            costs: tuple[list[float], list[float]] = ([], [])
            both = renderers(case)
            for number in range(bench.options.pairs):
                for which in (0, 1) if number % 2 == 0 else (1, 0):
                    label = ("gateway", "airspeed")[which]
                    with bench.step(f"{self.name} {case.name} {number + 1}/{bench.options.pairs}: {label}"):
                        cost(both[which], bench.options.warmup / 5)
                        costs[which].append(cost(both[which], bench.options.seconds / 5))
            for label, found in zip(("gateway", "airspeed"), costs, strict=True):
                for each in found:
                    bench.keep(f"{self.name} {case.name}", label, {"microseconds": each})
            rows += self.rows(case, *costs)
        return rows

    def rows(self, case: Case, ours: list[float], theirs: list[float]) -> list[Row]:
        """What came of one template."""
        ratio = Quartiles.of([other / own for own, other in zip(ours, theirs, strict=True)])
        if case is REQUEST_TEMPLATE:
            target, met = f"≥ {TIMES:g} times as fast as airspeed", ratio.median >= TIMES
        else:
            target, met = f"≤ {MICROSECONDS:g} µs", Quartiles.of(ours).median <= MICROSECONDS
        measure = f"µs of CPU a rendering, {case.name}"
        common: dict[str, Any] = {"scenario": self.name, "measure": measure, "rss": {}}
        return [
            Row(
                server="gateway",
                value=Quartiles.of(ours),
                runs=len(ours),
                ratio=ratio,
                target=target,
                met=met,
                **common,
            ),
            Row(server="airspeed", value=Quartiles.of(theirs), runs=len(theirs), **common),
        ]


TEMPLATES = Templates()
