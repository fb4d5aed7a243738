"""AWS's file of API keys: CSV with a header line (API Gateway developer guide, "API key file format").

`Name` and `Key` have to be there, in any case and order; `Description`, `Enabled` (true) and `UsagePlanIds` (several in
quotes, with commas between them) may. Other columns are passed over.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from wsgateway.errors import DefinitionError, Problem
from wsgateway.model.api_key import NAME, NAME_RULE, digest_of, fault_of
from wsgateway.model.expansion import VARIABLE
from wsgateway.model.explain import shown

ENABLED: Mapping[str, bool] = {"": True, "true": True, "false": False}


@dataclass(frozen=True, slots=True)
class ImportedKey:
    """One line of the file; the value itself is not kept."""

    name: str
    digest: bytes
    enabled: bool = True
    description: str = ""
    plans: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class KeyFile:
    """What a file holds, and what was done otherwise than it says."""

    keys: tuple[ImportedKey, ...]
    warnings: tuple[str, ...] = field(default=())

    @property
    def plans(self) -> dict[str, list[str]]:
        """The names of keys by the plan that they are in."""
        found: dict[str, list[str]] = {}
        for key in self.keys:
            for plan in key.plans:
                found.setdefault(plan, []).append(key.name)
        return found


def read_keys(text: str, file: str) -> KeyFile:
    """Read a file. As on AWS a key that comes again takes the place of the one before; names are made different.

    *Raises* DefinitionError with every problem, which never repeats a key.
    """
    problems: list[Problem] = []
    keys: dict[bytes, ImportedKey] = {}
    warnings: list[str] = []
    for line, row in _rows(text, file):
        fault = fault_of(row.get("key", ""))
        enabled = ENABLED.get(row.get("enabled", "").lower())
        if fault is not None:
            problems.append(Problem(("Key",), fault, file, line))
        if enabled is None:
            said = f"{shown(row['enabled'])} is neither true nor false"
            problems.append(Problem(("Enabled",), said, file, line))
        problems += [Problem((name,), said, file, line) for name, said in _texts(row)]
        if fault is not None or enabled is None:
            continue
        digest = digest_of(row["key"])
        if digest in keys:
            warnings.append(f"{file}:{line}: the key of {shown(keys.pop(digest).name)} comes again; this line counts")
        plans = tuple(dict.fromkeys(plan.strip() for plan in row.get("usageplanids", "").split(",") if plan.strip()))
        keys[digest] = ImportedKey(row["name"], digest, enabled, row.get("description", ""), plans)
    if problems:
        raise DefinitionError(problems)
    return KeyFile(tuple(_named(keys.values(), warnings, file)), tuple(warnings))


def _rows(text: str, file: str) -> Iterable[tuple[int, dict[str, str]]]:
    """Each line's values by column in lower case, with its number. *Raises* DefinitionError."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = [name.strip().lower() for name in next(reader, [])]
        for name in ("Name", "Key"):
            if header.count(name.lower()) != 1:
                raise _stop(f"the first line names the columns, and has to have {name} once", file, 1)
        found = []
        for values in reader:
            if any(value.strip() for value in values):
                found.append((reader.line_num, dict(zip(header, (value.strip() for value in values), strict=False))))
    except csv.Error as error:
        raise _stop(f"is no CSV: {error}", file, reader.line_num) from error
    return found


def _stop(text: str, file: str, line: int) -> DefinitionError:
    return DefinitionError([Problem((), text, file, line)])


def _texts(row: Mapping[str, str]) -> Iterable[tuple[str, str]]:
    """What is wrong with the name and the description."""
    name = row.get("name", "")
    if re.fullmatch(NAME, name) is None:
        yield "Name", NAME_RULE
    for column, text in (("Name", name), ("Description", row.get("description", ""))):
        if VARIABLE.search(text):
            yield column, "holds what a definition takes for a variable of the environment, ${NAME}; write it otherwise"


def _named(keys: Iterable[ImportedKey], warnings: list[str], file: str) -> Iterable[ImportedKey]:
    """Each under a name of its own: here names stand for keys."""
    taken: set[str] = set()
    numbers: dict[str, int] = {}
    for key in keys:
        name, number = key.name, numbers.get(key.name, 1)
        while name in taken:
            number += 1
            name = f"{key.name}-{number}"
        numbers[key.name] = number
        if number > 1:
            warnings.append(
                f"{file}: another key is named {shown(key.name)}, too; this one is called {shown(name)} here"
            )
        taken.add(name)
        yield ImportedKey(name, key.digest, key.enabled, key.description, key.plans)
