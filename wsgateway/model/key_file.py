"""A file of API keys: AWS's CSV with a header line (API Gateway developer guide, "API key file format").

`Name` and `Key` have to be there, in any case and order; `Description`, `Enabled` (true) and `UsagePlanIds` (several in
quotes, with commas between them) may. Other columns are passed over. Ours: `KeySha256` in place of `Key`.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field, PlainValidator, TypeAdapter, ValidationInfo

from wsgateway.errors import DefinitionError, Problem
from wsgateway.model.api_key import (
    HASH,
    HASH_RULE,
    LONGEST_DESCRIPTION,
    LONGEST_NAME,
    NAME,
    NAME_RULE,
    PLAN,
    PLAN_RULE,
    ApiKey,
    digest_of,
    fault_of,
)
from wsgateway.model.expansion import VARIABLE
from wsgateway.model.explain import fault, shown, shown_path
from wsgateway.model.file import PREFIX, read_named

SHOWN_PROBLEMS = 20


@dataclass(frozen=True, slots=True)
class KeyFile:
    """What a file holds, keys as hashes alone, and what was done otherwise than it says."""

    keys: list[ApiKey]
    warnings: tuple[str, ...] = ()


def read_keys(text: str, file: str) -> KeyFile:
    """Read a file. As on AWS a key that comes again takes the place of the one before; names are made different.

    *Raises* DefinitionError with every problem, which never repeats a key.
    """
    problems: list[Problem] = []
    keys: dict[str, dict[str, Any]] = {}
    warnings: list[str] = []
    for line, row in _rows(text, file):
        found = [Problem((column,), said, file, line) for column, said in _wrong(row)]
        problems += found
        if found:
            continue
        digest = row["keysha256"] if "keysha256" in row else digest_of(row["key"]).hex()
        if digest in keys:
            before = shown(keys.pop(digest)["name"])
            warnings.append(f"{file}:{line}: the key of {before} comes again; this line counts")
        keys[digest] = _fields(row, digest)
    if problems:
        raise DefinitionError(problems)
    named = _named(keys.values(), warnings, file)
    return KeyFile([ApiKey.model_validate(fields) for fields in named], tuple(warnings))


def _fields(row: Mapping[str, str], digest: str) -> dict[str, Any]:
    plans = _plans(row)
    fields: dict[str, Any] = {"name": row["name"], "valueSha256": digest}
    if row.get("enabled", "").lower() == "false":
        fields["enabled"] = False
    if row.get("description"):
        fields["description"] = row["description"]
    return fields | ({"usagePlans": plans} if plans else {})


def _plans(row: Mapping[str, str]) -> list[str]:
    return list(dict.fromkeys(plan.strip() for plan in row.get("usageplanids", "").split(",") if plan.strip()))


def _rows(text: str, file: str) -> Iterable[tuple[int, dict[str, str]]]:
    """Each line's values by column in lower case, with its number. *Raises* DefinitionError."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = [name.strip().lower() for name in next(reader, [])]
        if header.count("name") != 1 or header.count("key") + header.count("keysha256") != 1:
            raise _stop("the first line names the columns, and has to have Name and Key (or KeySha256) once", file, 1)
        found = []
        for values in reader:
            if any(value.strip() for value in values):
                found.append((reader.line_num, dict(zip(header, (value.strip() for value in values), strict=False))))
    except csv.Error as error:
        raise _stop(f"is no CSV: {error}", file, reader.line_num) from error
    return found


def _stop(text: str, file: str, line: int) -> DefinitionError:
    return DefinitionError([Problem((), text, file, line)])


def _wrong(row: Mapping[str, str]) -> Iterable[tuple[str, str]]:
    """What is wrong with a line, by column."""
    if "keysha256" in row:
        if re.fullmatch(HASH, row["keysha256"]) is None:
            yield "KeySha256", HASH_RULE
    elif (why := fault_of(row.get("key", ""))) is not None:
        yield "Key", why
    if row.get("enabled", "").lower() not in ("", "true", "false"):
        yield "Enabled", f"{shown(row['enabled'])} is neither true nor false"
    name, description = row.get("name", ""), row.get("description", "")
    if re.fullmatch(NAME, name) is None:
        yield "Name", NAME_RULE
    if len(description) > LONGEST_DESCRIPTION:
        yield "Description", f"is longer than {LONGEST_DESCRIPTION} characters"
    for column, text in (("Name", name), ("Description", description)):
        if VARIABLE.search(text):
            yield column, "holds what a definition takes for a variable of the environment, ${NAME}; write it otherwise"
    for plan in _plans(row):
        if re.fullmatch(PLAN, plan) is None:
            yield "UsagePlanIds", f"{shown(plan)} is not allowed: {PLAN_RULE}"


def _named(keys: Iterable[dict[str, Any]], warnings: list[str], file: str) -> Iterable[dict[str, Any]]:
    """Each under a name of its own: here names stand for keys."""
    taken: set[str] = set()
    numbers: dict[str, int] = {}
    for key in keys:
        written = name = key["name"]
        number = numbers.get(written, 1)
        while name in taken:
            number += 1
            suffix = f"-{number}"
            name = written[: LONGEST_NAME - len(suffix)] + suffix
        numbers[written] = number
        if number > 1:
            warnings.append(
                f"{file}: another key is named {shown(written)}, too; this one is called {shown(name)} here"
            )
        taken.add(name)
        yield key | {"name": name}


def _listed_or_file(value: object, info: ValidationInfo) -> list[ApiKey]:
    if not isinstance(value, str):
        return _list.validate_python(value, context=info.context)
    path, content = read_named(value, info.context or {})
    try:
        return read_keys(content.decode("utf-8-sig"), shown_path(path)).keys
    except UnicodeDecodeError:
        raise fault(f"{shown(value)} is not UTF-8; save it so") from None
    except DefinitionError as error:
        more = len(error.problems) - SHOWN_PROBLEMS
        said = [str(problem) for problem in error.problems[:SHOWN_PROBLEMS]] + [f"and {more} more"] * (more > 0)
        raise fault("\n".join([f"{shown(value)} holds what can't be used", *said])) from error


_list: TypeAdapter[list[ApiKey]] = TypeAdapter(list[ApiKey])
_File = Annotated[str, Field(pattern=f"^{PREFIX}.")]
ApiKeys = Annotated[list[ApiKey], PlainValidator(_listed_or_file, json_schema_input_type=list[ApiKey] | _File)]
