"""Load tests of wsgateway: the gateway beside bare stacks, on the same cores, turn by turn."""

import argparse
import os
import shlex
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import NoReturn, TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from loadtest.bench import Bench, Options
from loadtest.errors import LoadTestError
from loadtest.faults import command as faults
from loadtest.lab import Cores
from loadtest.limits import allow_open_files
from loadtest.machine import describe
from loadtest.native import program
from loadtest.report import markdown, remarks, table
from loadtest.results import Report, Row
from loadtest.scenarios import SCENARIOS

PROGRAMS = ("driver", "server", "pin")
Number = TypeVar("Number", int, float)


def between(kind: Callable[[str], Number], low: float, high: float) -> Callable[[str], Number]:
    """A bounded number: no run is endless."""

    def parse(text: str) -> Number:
        value = kind(text)
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"{text} is not between {low} and {high}")
        return value

    parse.__name__ = kind.__name__
    return parse


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(prog="python -m loadtest", description=__doc__)
    commands = top.add_subparsers(dest="command", required=True, metavar="SCENARIO")
    common = argparse.ArgumentParser(add_help=False)
    add = common.add_argument
    add("--pairs", type=between(int, 1, 100), default=7, help="pairs of runs, gateway and peer in turn (7)")
    add("--seconds", type=between(float, 0.1, 300), default=5.0, help="length of a run (5)")
    add("--warmup", type=between(float, 0, 60), default=1.0, help="seconds before each run that don't count (1)")
    add("--size", type=between(int, 64, 1_000_000), default=64, help="bytes of a message (64)")
    add("--connections", type=between(int, 1, 25_000), help="client connections (what suits the scenario)")
    add("--depth", type=between(int, 1, 256), default=1, help="messages in flight on each connection (1)")
    add("--rate", type=between(float, 1, 1_000_000), help="messages/s of an open loop (neighbours 5000, functions 100)")
    add("--json", type=Path, metavar="PATH", help="write everything, every run too, to PATH")
    add("--gateway", metavar="COMMAND", help="how the gateway is started (this Python's -m wsgateway)")
    add("--self-check", action="store_true", help="measure the peer against itself: the noise of machine and method")
    for name, scenario in SCENARIOS.items():
        commands.add_parser(name, parents=[common], help=scenario.about)
    commands.add_parser("all", parents=[common], help="all of them")
    faults.add_arguments(commands.add_parser("faults", help=faults.ABOUT), between)
    report = commands.add_parser("report", help="print Markdown from the files written by --json")
    report.add_argument("files", type=Path, nargs="+", metavar="JSON")
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """0: it ran, whatever the verdicts; 1: something could not be run; 2: wrong usage; 130: interrupted."""
    chosen = parser().parse_args(arguments)
    console = Console(stderr=True)
    try:
        if chosen.command == "report":
            print(markdown([Report.read(path) for path in chosen.files]))
            return 0
        for ending in (signal.SIGINT, signal.SIGTERM):
            signal.signal(ending, _interrupt)
        if chosen.command == "faults":
            return faults.run(chosen, console)
        return run(chosen, console, shlex.join(sys.argv[1:] if arguments is None else arguments))
    except LoadTestError as error:
        console.print(f"loadtest: {error}", style="red", markup=False, highlight=False, soft_wrap=True)
        return 1
    except KeyboardInterrupt:
        console.print("loadtest: interrupted; every process it started has ended")
        return 130


def run(chosen: argparse.Namespace, console: Console, arguments: str) -> int:
    """Run scenarios; print the table."""
    options = Options(
        pairs=chosen.pairs,
        seconds=chosen.seconds,
        warmup=chosen.warmup,
        size=chosen.size,
        connections=chosen.connections,
        depth=chosen.depth,
        rate=chosen.rate,
        gateway_command=chosen.gateway,
        self_check=chosen.self_check,
    )
    for name in PROGRAMS:
        program(name)
    allow_open_files((options.connections or 1000) + 1000)
    scenarios = list(SCENARIOS.values()) if chosen.command == "all" else [SCENARIOS[chosen.command]]
    rows: list[Row] = []
    failed = False
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("", total=sum(scenario.steps(options) for scenario in scenarios))
        bench = Bench(
            options=options,
            announce=lambda text: progress.update(task, description=text),
            advance=lambda: progress.advance(task),
        )
        _say_what_limits(bench)
        for scenario in scenarios:
            try:
                rows += scenario.run(bench)
            except LoadTestError as error:  # the others can still be measured
                bench.note(f"{scenario.name} could not be run: {error}")
                failed = True
    report = Report(
        machine=describe(),
        command=f"python -m loadtest {arguments}",
        notes=bench.notes,
        rows=rows,
        samples=bench.samples,
    )
    if chosen.json:
        report.write(chosen.json)
    out = Console(width=None if sys.stdout.isatty() else 240)
    if rows:
        out.print(table(rows))
    for remark in [*bench.notes, *remarks(rows)]:
        out.print(f"- {remark}", markup=False, highlight=False, soft_wrap=True)
    return 1 if failed else 0


def _say_what_limits(bench: Bench) -> None:
    if Cores.choose().server is None:
        bench.note("one core only: servers, driver and backend share it, so latencies and rates/s say little")
    load = os.getloadavg()[0]
    if load > 0.7:
        bench.note(f"the machine was busy when this began (load average {load:.1f})")


def _interrupt(_signal: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
