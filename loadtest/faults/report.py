"""What a run showed: each promise with its violations, and what they were looked for in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from math import inf

from rich.table import Table

from loadtest.faults.excuses import Terms
from loadtest.faults.history import ABNORMAL
from loadtest.faults.story import Fault, Push, Story
from loadtest.faults.verdict import Promise, Violation

EXAMPLES = 3


def table(violations: Sequence[Violation]) -> Table:
    """One row a promise."""
    counts = Counter(violation.promise for violation in violations)
    made = Table("promise", "violations", box=None, pad_edge=False)
    made.columns[1].justify = "right"
    for promise in Promise:
        made.add_row(promise.value, str(counts[promise]), style="bold red" if counts[promise] else None)
    return made


def examples(violations: Sequence[Violation]) -> list[str]:
    """The first few of each promise."""
    lines = []
    for promise in Promise:
        of_it = [violation for violation in violations if violation.promise is promise]
        lines += [f"{promise.name} at {violation.at:.3f} s: {violation.what}" for violation in of_it[:EXAMPLES]]
        if len(of_it) > EXAMPLES:
            lines.append(f"{promise.name}: {len(of_it) - EXAMPLES} more")
    return lines


def evidence(story: Story, terms: Terms, lag: float) -> Table:
    """How much there was to break, and how long doubt lasted."""
    made = Table("seen", "", box=None, pad_edge=False)
    made.columns[1].justify = "right"
    for name, value in _facts(story, terms, lag):
        made.add_row(name, value)
    return made


def _facts(story: Story, terms: Terms, lag: float) -> list[tuple[str, str]]:
    faults = Counter(fault.kind for fault in story.faults.values())
    statuses = Counter(push.status for push in story.pushes.values() if push.status is not None)
    opened = [connection for connection in story.connections.values() if connection.was_open]
    ends = Counter(connection.code for connection in opened if connection.code is not None)
    disconnects = [call for call in story.calls.values() if call.kind == "DISCONNECT"]
    answered = Counter(call.connection for call in disconnects if call.accepted)
    return [
        ("faults", ", ".join(f"{count} {kind}" for kind, count in sorted(faults.items())) or "none"),
        ("seconds", f"{story.end:.0f}"),
        ("connections", f"{len(opened):,} of {len(story.connections):,} handshakes"),
        ("closed with 1001 / 1006", f"{ends[1001]:,} / {ends[ABNORMAL]:,}"),
        ("messages", f"{sum(len(connection.sent) for connection in opened):,}"),
        ("pushes", ", ".join(f"{status or 'no answer'}: {count:,}" for status, count in sorted(statuses.items()))),
        ("$disconnect calls", f"{len(disconnects):,}, {sum(answered.values()) - len(answered):,} of them once more"),
        ("longest 503 after a kill, of its connections", _longest(_after(story, "kill", terms.takeover))),
        ("longest 503 after Redis is back", _longest(_after(story, "redis-away", terms.back))),
        ("longest 503 after a FLUSHALL", _longest(_after(story, "redis-wiped", terms.back))),
        ("the recorder itself was late by at most", f"{lag * 1000:.0f} ms"),
    ]


def _after(story: Story, kind: str, window: float) -> Iterable[float]:
    """How long after each fault of a kind 503 was said, within twice the time it may take and before the next fault."""
    begins = sorted(fault.begun for fault in story.faults.values())
    for fault in story.faults.values():
        if fault.kind == kind:
            start = fault.ended if fault.ended < inf and kind == "redis-away" else fault.begun
            until = min([start + 2 * window, *(begun for begun in begins if begun > start)])
            yield from (
                push.told - start
                for push in story.pushes.values()
                if push.status == 503 and start <= push.asked and push.told <= until and _concerns(story, fault, push)
            )


def _concerns(story: Story, fault: Fault, push: Push) -> bool:
    connection = story.connections.get(push.client)
    return fault.kind != "kill" or (connection is not None and connection.node == fault.node)


def _longest(seconds: Iterable[float]) -> str:
    longest = max(seconds, default=None)
    return "none" if longest is None else f"{longest:.1f} s"
