"""Definitions while a document is turned into them, and where in it each part of them stands."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from wsgateway.model.base import Path
from wsgateway.model.nodes import MAX_NODES, stop
from wsgateway.model.openapi.place import Place


@dataclass(slots=True)
class Sheet:
    """`root` is what a definition file would hold; `origins` are the document's keys by the keys there."""

    root: dict[str, Any] = field(default_factory=dict)
    origins: dict[Path, Path] = field(default_factory=dict)
    _size: int = 0
    _sizes: dict[int, tuple[int, object]] = field(default_factory=dict)

    def put(self, path: Path, value: object, place: Place) -> None:
        """Have `value` at `path`, as `place` says.

        Raises DefinitionError where references make more of a document than could be written.
        """
        self._size += 1 + self._size_of(value)
        if self._size > 2 * MAX_NODES:
            raise stop(f"more than {2 * MAX_NODES} values, references counted each time they are used")
        below: Any = self.root
        for key in path[:-1]:
            below = below.setdefault(key, {})
        below[path[-1]] = value
        self.origins[path] = place.path

    def get(self, path: Path) -> Any:
        """What is at `path`; None for nothing."""
        value: Any = self.root
        for key in path:
            value = value.get(key) if isinstance(value, dict) else None
        return value

    def merge(self, path: Path, patch: Place) -> None:
        """Apply a JSON merge patch: mappings are merged, null removes, all else replaces (RFC 7396)."""
        if isinstance(patch.value, dict):
            if not isinstance(self.get(path), dict):
                self._replace(path, {}, patch)
            for key, entry in patch.entries():
                self.merge((*path, key), entry)
        elif patch.value is None:
            self.remove(path)
        else:
            self._replace(path, patch.value, patch)

    def remove(self, path: Path) -> None:
        """Have nothing at `path`."""
        above = self.get(path[:-1])
        if isinstance(above, dict):
            above.pop(path[-1], None)

    def _size_of(self, value: object) -> int:
        if not isinstance(value, (dict, list)) or not value:
            return 1
        known = self._sizes.get(id(value))
        if known is None:
            parts = value.values() if isinstance(value, dict) else value
            known = self._sizes[id(value)] = (1 + sum(map(self._size_of, parts)), value)  # kept, so that its id is
        return known[0]

    def _replace(self, path: Path, value: object, place: Place) -> None:
        if isinstance(self.get(path), dict):
            for known in [known for known in self.origins if known[: len(path)] == path]:
                del self.origins[known]
        if path:
            self.put(path, value, place)
