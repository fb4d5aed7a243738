"""`docs/cli.md`, made of the verbs' own signatures: `python -m wsgateway.cli.reference`."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, get_args, get_origin

import typer
from typer.models import ArgumentInfo, OptionInfo, ParameterInfo

HEAD = """\
# Command line

Each flag that has a variable may be set by that instead; where both are, the flag wins. `--help` behind any verb tells
the same as this page.

| exit code | |
| --- | --- |
| 0 | fine |
| 1 | it failed: nobody answers, a refusal, a file that can't be read |
| 2 | wrong usage, or an invalid definition |

Some variables have no flag:

| variable | |
| --- | --- |
| `WSGATEWAY_INSTALLATION_SECRET` | the [installation's secret](operations.md#many-nodes) itself, in place of a file |
| `AWS_…` | credentials, region and endpoints of [AWS](operations.md#aws), as SDKs read them |
| `OTEL_…` | where [traces](operations.md#traces) go, and how many |
| `NO_COLOR` | `connect`, and the [log](operations.md#log) of `dev`, have no colours |
| `XDG_STATE_HOME` | where `dev` keeps its [development CA](operations.md#tls-in-dev), and `connect` its history |

and those that a definition names as [`${NAME}`](definitions.md#values-from-the-environment).

This page is made of the code: `python -m wsgateway.cli.reference`.
"""


def reference() -> str:
    """The page, in Markdown."""
    from wsgateway.cli import app  # which imports every verb

    return HEAD + "".join(_section(app, "wsgateway", "##"))


def _section(app: typer.Typer, path: str, level: str) -> Iterator[str]:
    """Each verb in the order of the help: an app's own ones, then those of its groups."""
    for command in app.registered_commands:
        assert command.callback is not None
        yield _verb(command.callback, f"{path} {command.name}", level)
    for group in app.registered_groups:
        inner = group.typer_instance
        assert inner is not None
        yield _group(inner, f"{path} {group.name}", level)
        yield from _section(inner, f"{path} {group.name}", level + "#")


def _group(app: typer.Typer, path: str, level: str) -> str:
    """What a group says of itself, and its flags where it is a verb, too."""
    if app.info.invoke_without_command is True and app.registered_callback is not None:
        assert app.registered_callback.callback is not None
        return _verb(app.registered_callback.callback, path, level)
    return f"\n{level} {path}\n\n{app.info.help}\n"


def _verb(call: Callable[..., Any], path: str, level: str) -> str:
    asked = inspect.signature(call, eval_str=True).parameters.values()
    rows = [_row(each, *get_args(each.annotation)) for each in asked if each.annotation is not typer.Context]
    usage = [
        path,
        *(["[OPTIONS]"] if any(row.place is None for row in rows) else []),
        *(row.place or "" for row in rows),
    ]
    table = "".join(f"| {' | '.join(row.cells)} |\n" for row in rows)
    head = "\n| flag, variable | default | |\n| --- | --- | --- |\n"
    text = " ".join(filter(None, usage))
    return f"\n{level} {path}\n\n```text\n{text}\n```\n\n{inspect.getdoc(call)}\n{table and head + table}"


@dataclass(frozen=True, slots=True)
class _Row:
    """One argument or flag of a verb."""

    cells: tuple[str, ...]
    place: str | None
    """What stands for an argument in the usage; a flag has none."""


def _row(parameter: inspect.Parameter, kind: Any, info: ParameterInfo) -> _Row:
    assert isinstance(info, ArgumentInfo | OptionInfo)
    required = parameter.default is inspect.Parameter.empty
    if isinstance(info, ArgumentInfo):
        value = info.metavar or _value(kind, parameter.name)
        names, place = [value], value if required else f"[{value}]"
    else:
        names, place = _flags(parameter.name, kind, info), None
    variables = [info.envvar] if isinstance(info.envvar, str) else info.envvar or ()
    default = "required" if required else _default(parameter.default)
    several = " May be given several times." if list in _kinds(kind) else ""
    meaning = f"{_cell(info.help or '')}{_range(info)}{several}"
    return _Row((_code([*names, *variables]), default, meaning), place)


def _flags(name: str, kind: Any, info: OptionInfo) -> list[str]:
    """A flag's names, each with what stands for its value. In an annotation, typer has the first one as `default`."""
    dashed = name.replace("_", "-")
    switch = bool in _kinds(kind)
    declared = [*([info.default] if isinstance(info.default, str) else []), *(info.param_decls or ())]
    names = declared or [f"--{dashed}/--no-{dashed}" if switch else f"--{dashed}"]
    value = "" if switch else f" {info.metavar or _value(kind, name.rpartition('_')[2])}"
    return [each + value for pair in names for each in pair.split("/")]


def _kinds(kind: Any) -> list[Any]:
    """The types a value may have: those of a union but None, of which lists stand as such."""
    members = get_args(kind) if isinstance(kind, UnionType) else (kind,)
    return [get_origin(each) if get_origin(each) is list else each for each in members if each is not NoneType]


def _value(kind: Any, name: str) -> str:
    """What stands for a value of a type, such as FILE or none|sigv4."""
    first = _kinds(kind)[0]
    if get_origin(first) is Literal:
        return "|".join(get_args(first))
    if isinstance(first, type) and issubclass(first, Enum):
        return "|".join(str(each.value) for each in first)
    return {Path: "FILE", int: "N", float: "N"}.get(first, name.upper())


def _default(value: object) -> str:
    """A default as one would write it; nothing where there is none, or where the help tells it."""
    if value is None or value is False or value == "":  # 0 is a default
        return ""
    if isinstance(value, Enum):
        return f"`{value.value}`"
    return f"`{_number(value)}`" if isinstance(value, float) else f"`{value}`"


def _range(info: ArgumentInfo | OptionInfo) -> str:
    """The least and the most a number may be."""
    if info.min is None:
        return ""
    least = _number(info.min)
    return f" At least {least}." if info.max is None else f" From {least} to {_number(info.max)}."


def _number(value: float) -> str:
    """A number as one would write it, all digits of it."""
    return str(int(value)) if value == int(value) else str(value)


def _code(texts: Iterable[str]) -> str:
    return ", ".join(f"`{_cell(text)}`" for text in texts)


def _cell(text: str) -> str:
    """Text in a cell of a table, which a bar would end."""
    return text.replace("|", "\\|")


if __name__ == "__main__":
    print(reference(), end="")
