"""`python -m loadtest faults`: break a whole installation again and again under load, and count broken promises."""

from __future__ import annotations

import argparse
import random
import secrets
import shlex
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from loadtest.errors import LoadTestError
from loadtest.faults.report import evidence, examples, table
from loadtest.faults.story import Story
from loadtest.faults.verdict import Violation
from loadtest.limits import allow_open_files

if TYPE_CHECKING:
    from loadtest.faults.schedule import Counts
    from loadtest.faults.site import Plan, Site

ABOUT = "nodes, Redis and links broken again and again: which promises hold"


def add_arguments(command: argparse.ArgumentParser, between: Callable[..., Callable[[str], float]]) -> None:
    """Its flags; each bounded, for no run is endless."""
    add = command.add_argument
    add("--kills", type=between(int, 0, 1000), default=20, help="nodes killed (20)")
    add("--redis-restarts", type=between(int, 0, 1000), default=10, help="Redis killed and run again, half empty (10)")
    add("--flushes", type=between(int, 0, 1000), default=10, help="FLUSHALL (10)")
    add("--others", type=between(int, 0, 100), default=2, help="of each other fault: pause, cut links, leave, … (2)")
    add("--nodes", type=between(int, 2, 8), default=3, help="(3)")
    add("--clients", type=between(int, 1, 2000), default=150, help="(150)")
    add("--messages", type=between(float, 1, 2000), default=60.0, help="messages/s of all clients together (60)")
    add("--pushes", type=between(float, 1, 2000), default=150.0, help="pushes/s of all together (150)")
    add("--lease-ttl", type=between(float, 1, 60), default=1.5, help="seconds; promised times shrink with it (1.5)")
    add("--slack", type=between(float, 0, 30), default=1.0, help="seconds that a busy machine is granted (1)")
    add("--seed", type=between(int, 0, 2**63), help="of everything left to chance (another each time; it is printed)")
    add("--gateway", metavar="COMMAND", help="how nodes are started (this Python's -m wsgateway)")
    add("--history", type=Path, metavar="PATH", help="write every event to PATH, one JSON object a line")
    add("--keep", type=Path, metavar="FOLDER", help="where the nodes' logs are kept (deleted when nothing was broken)")


def run(chosen: argparse.Namespace, console: Console) -> int:
    """0: every promise held; 1: some did not."""
    import uvloop

    # The other scenarios do without what is only in the extra `test`: Redis and its client.
    from loadtest.faults.crowd import Load
    from loadtest.faults.schedule import Counts
    from loadtest.faults.site import Plan

    allow_open_files(chosen.clients * 4 + 1000)
    seed = secrets.randbits(32) if chosen.seed is None else chosen.seed
    load = Load(clients=chosen.clients, messages=chosen.messages, pushes=chosen.pushes)
    plan = Plan(seed=seed, nodes=chosen.nodes, lease_ttl=chosen.lease_ttl, slack=chosen.slack, load=load)
    if chosen.gateway:
        plan = replace(plan, gateway=tuple(shlex.split(chosen.gateway)))
    counts = Counts(
        kills=chosen.kills, redis_restarts=chosen.redis_restarts, flushes=chosen.flushes, others=chosen.others
    )
    console.print(f"seed {seed}", highlight=False)
    folder = chosen.keep or Path(tempfile.mkdtemp(prefix="wsgateway-faults-"))
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise LoadTestError(f"--keep {folder}: it is not empty; name a new folder")
    broken: list[Violation] | None = None
    try:
        broken, done = uvloop.run(_run(plan, counts, folder, console))
    finally:
        if broken == [] and chosen.keep is None:
            shutil.rmtree(folder)
        else:
            console.print(f"the nodes' logs are in {folder}", highlight=False)
    if chosen.history:
        done.recorder.history.write(chosen.history)
    out = Console(width=None if sys.stdout.isatty() else 160)
    out.print(table(broken))
    out.print()
    out.print(evidence(Story(done.recorder.history), done.terms, done.recorder.lag))
    for line in examples(broken):
        out.print(f"- {line}", markup=False, highlight=False, soft_wrap=True)
    return 1 if broken else 0


async def _run(plan: Plan, counts: Counts, folder: Path, console: Console) -> tuple[list[Violation], Site]:
    from loadtest.faults.site import site

    faults = counts.faults(random.Random(plan.seed))
    async with site(plan, folder) as running:
        await running.heal()
        for number, fault in enumerate(faults, 1):
            console.print(
                f"{running.recorder.now():6.1f} s  {number}/{len(faults)} {fault.__name__.replace('_', ' ')}",
                highlight=False,
            )
            await fault(running)
            await running.heal()
        return await running.finish(), running
