"""Whether the nodes execute the same definitions: told when they don't for a while, and when they do again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from wsgateway.model.fingerprint import short

if TYPE_CHECKING:
    from wsgateway.dataplane.gateway import Log

PATIENCE = 5.0
"""Seconds for which nodes may differ: a reload reaches them one after the other."""
MAX_NAMED = 10
"""Nodes that are named in a log line for each definition."""


class Agreement:
    """What the living nodes execute, as last looked at. `clock` gives seconds."""

    def __init__(self, log: Log, clock: Callable[[], float]) -> None:
        self.definitions = 1
        """How many different ones the nodes execute."""
        self.broken = False
        """They have differed for longer than PATIENCE."""
        self._log = log
        self._clock = clock
        self._since: float | None = None

    def look(self, executed: Mapping[str, str]) -> None:
        """Take in what each living node executes: fingerprints by the node's name; "" says nothing yet."""
        nodes: dict[str, list[str]] = {}
        for name, seen in executed.items():
            if seen:
                nodes.setdefault(seen, []).append(name)
        self.definitions = max(1, len(nodes))
        if len(nodes) <= 1:
            self._since = None
            if self.broken:
                self.broken = False
                self._log("nodes execute the same definition again", definition=short(next(iter(nodes), "")))
            return
        now = self._clock()
        if self._since is None:
            self._since = now
        if not self.broken and now - self._since > PATIENCE:
            self.broken = True
            self._log("nodes execute different definitions", definitions=_told(nodes), reason=_reason(nodes))


def _told(nodes: Mapping[str, list[str]]) -> str:
    return "; ".join(
        f"{short(seen)}: {', '.join(sorted(names)[:MAX_NAMED])}"
        + (f" and {len(names) - MAX_NAMED} more" if len(names) > MAX_NAMED else "")
        for seen, names in sorted(nodes.items())
    )


def _reason(nodes: Mapping[str, object]) -> str:
    if len({seen.partition("+")[0] for seen in nodes}) > 1:
        return "the texts differ"
    return "the text is the same, but variables of the environment or files that it names differ"
