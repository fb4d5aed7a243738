"""An OpenAPI document: its values and where they stand, `$ref` followed, and what is to be said of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from wsgateway.errors import Problem
from wsgateway.model.base import Path
from wsgateway.model.explain import did_you_mean, shown, wrong_kind
from wsgateway.model.openapi.words import EXTENSIONS, NULLABLE, Words

MOST_HOPS = 16
"""References behind references."""


@dataclass(frozen=True, slots=True)
class Place:
    """A value of a document and the keys that lead to it."""

    path: Path
    value: Any

    def get(self, key: str | int) -> Place | None:
        """What stands below `key`; None where that is nothing, or this is no mapping."""
        value = self.value.get(key) if isinstance(self.value, dict) else None
        return None if value is None else Place((*self.path, key), value)

    def entries(self) -> Iterator[tuple[str, Place]]:
        """Of a mapping: its keys and what stands below them."""
        for key, value in self.value.items() if isinstance(self.value, dict) else ():
            yield key, Place((*self.path, key), value)

    def items(self) -> Iterator[Place]:
        """Of a list: what is in it."""
        for number, value in enumerate(self.value if isinstance(self.value, list) else ()):
            yield Place((*self.path, number), value)


@dataclass(slots=True)
class Document:
    """One document; `version` is 2 or 3.

    `problems` are malformed parts, `unsupported` are those that no gateway, or not this one, acts upon.
    """

    root: Place
    version: int
    line: Callable[[Path], int]
    problems: list[Problem] = field(default_factory=list)
    unsupported: list[Problem] = field(default_factory=list)
    _remarks: dict[str, list[Problem]] = field(default_factory=dict)

    def wrong(self, place: Place, text: str) -> None:
        self.problems.append(self._problem(place, text))

    def refuse(self, place: Place, text: str) -> None:
        """Something that would be ignored."""
        self.unsupported.append(self._problem(place, text))

    def remark(self, place: Place, text: str) -> None:
        """Something that is worth knowing. Said once, however often it is so."""
        self._remarks.setdefault(text, []).append(self._problem(place, text))

    @property
    def remarks(self) -> list[Problem]:
        """Each at the first place."""
        found = []
        for text, problems in self._remarks.items():
            more = f" (and at {len(problems) - 1} more)" if len(problems) > 1 else ""
            found.append(Problem(problems[0].path, text + more, line=problems[0].line))
        return found

    def fields(self, place: Place, words: Words) -> dict[str, Place]:
        """What stands in a mapping whose keys are `words`; what is not read is told of."""
        if not isinstance(place.value, dict):
            self.wrong(place, wrong_kind("a mapping", place.value))
            return {}
        found = {}
        for key, entry in place.entries():
            if key in words.read:
                if entry.value is not None:
                    found[key] = entry
                elif key not in NULLABLE:
                    self.wrong(entry, "is empty; give it a value, or remove it")
            elif key in words.refused:
                self.refuse(entry, words.refused[key])
            elif key not in words.about:
                self._unknown(key, entry, words)
        return found

    def mapping(self, place: Place | None) -> Iterator[tuple[str, Place]]:
        """The keys of a mapping whose keys are names, and what stands below them; nothing where there is none."""
        if place is None:
            return
        if not isinstance(place.value, dict):
            self.wrong(place, wrong_kind("a mapping", place.value))
        yield from place.entries()

    def sequence(self, place: Place | None) -> Iterator[Place]:
        """What is in a list; nothing where there is none."""
        if place is None:
            return
        if not isinstance(place.value, list):
            self.wrong(place, wrong_kind("a list", place.value))
        yield from place.items()

    def text(self, place: Place | None) -> str | None:
        """A string; None where there is none, or it is empty."""
        if place is None or (isinstance(place.value, str) and not place.value):
            return None
        if isinstance(place.value, str):
            return place.value
        self.wrong(place, wrong_kind("a string", place.value))
        return None

    def follow(self, place: Place) -> Place | None:
        """What is meant: the value itself, or what its `$ref` names."""
        for _ in range(MOST_HOPS):
            reference = place.get("$ref")
            if reference is None:
                return place
            target = self.resolve(reference)
            if target is None:
                return None
            place = target
        self.wrong(place, "refers to itself")
        return None

    def resolve(self, reference: Place) -> Place | None:
        """The part of this document that the text of a `$ref` names."""
        text = reference.value
        if not isinstance(text, str):
            self.wrong(reference, wrong_kind("a string such as #/components/schemas/Pet", text))
            return None
        if not text.startswith("#/"):
            self.refuse(reference, f"{shown(text)} is not read: a document refers to parts of itself, by #/…")
            return None
        found: Place | None = self.root
        for key in pointer(text[2:]):
            if found is not None:
                found = _below(found, key)
        if found is None:
            self.wrong(reference, f"{shown(text)} names nothing in this document")
        return found

    def _unknown(self, key: str, entry: Place, words: Words) -> None:
        if key in EXTENSIONS:
            self.refuse(entry, f"has no effect here; it stands {EXTENSIONS[key]}")
        elif key.startswith("x-amazon-apigateway-") or (key.startswith("x-") and did_you_mean(key, EXTENSIONS)):
            self.refuse(entry, f"unknown extension{did_you_mean(key, EXTENSIONS)}")
        elif not key.startswith("x-"):
            self.refuse(entry, f"unknown key{did_you_mean(key, [*words.read, *words.about, *words.refused])}")

    def _problem(self, place: Place, text: str) -> Problem:
        return Problem(place.path, text, line=self.line(place.path))


def pointer(text: str) -> list[str]:
    """The keys of a JSON Pointer (RFC 6901), less its first slash, as a fragment has it."""
    return [unquote(key).replace("~1", "/").replace("~0", "~") for key in text.split("/")]


def _below(place: Place, key: str) -> Place | None:
    if isinstance(place.value, list):
        number = int(key) if key.isascii() and key.isdigit() and len(key) < 6 else -1
        return Place((*place.path, number), place.value[number]) if 0 <= number < len(place.value) else None
    return place.get(key)
