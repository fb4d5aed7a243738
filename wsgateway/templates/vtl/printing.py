"""How values print: maps as Java's `{a=1, b=2}`, lists of documents as compact JSON, numbers as written.

API Gateway developer guide, "API Gateway mapping template and access logging variable reference". Nothing here
recurses, and each visit is accounted for: a list that holds itself, or one list many times, ends in RenderError.
"""

from __future__ import annotations

from types import NoneType
from typing import Any, Final, TypeAlias

from wsgateway.templates.document import MAX_DEPTH, Number, double_text, to_json
from wsgateway.templates.vtl.base import ArrayList, Entry, Tool, Value, Work

_Part: TypeAlias = str | tuple[Value, bool]
"""Text that is ready, or a value to be printed and whether as JSON."""

_SOME_CHARACTERS: Final = 4096


def text(value: Value, work: Work) -> str:
    """`value` as a template prints it; null is an empty string here, `null` inside maps and lists.

    Raises RenderError.
    """
    if type(value) is str:
        return value
    if value is None:
        return ""
    scalar = _SCALARS.get(type(value))
    return _print(value, False, work) if scalar is None else scalar(value)


def json_text(value: Value, work: Work) -> str:
    """`value` as JSON without blanks. Raises RenderError."""
    if isinstance(value, dict | list) and _of_document(value, work):
        return _document_text(value, work)
    return _print(value, True, work)


def _print(value: Value, as_json: bool, work: Work) -> str:
    out: list[str] = []
    waiting: list[_Part] = [_part(value, as_json)]
    size = 0
    while waiting:
        part = waiting.pop()
        if isinstance(part, str):
            out.append(part)
            size += len(part)
            if size > _SOME_CHARACTERS:
                work.characters(size)
                size = 0
        else:
            parts = _parts(*part, work)
            parts.reverse()
            waiting += parts
    return "".join(out)


def _part(value: Value, as_json: bool) -> _Part:
    if type(value) is str:
        return to_json(value) if as_json else value
    scalar = _SCALARS.get(type(value))
    return (value, as_json) if scalar is None else scalar(value)


def _parts(value: Value, as_json: bool, work: Work) -> list[_Part]:
    """A map, list or tool taken apart, one level deep."""
    if isinstance(value, list):
        if not as_json and type(value) is not ArrayList:
            as_json = True
            if _of_document(value, work):
                return [_document_text(value, work)]
        work.items(len(value))
        return _joined("[", [[_part(item, as_json)] for item in value], "]", as_json)
    if isinstance(value, dict):
        work.items(len(value))
        if as_json:
            return _joined("{", [[to_json(key), ":", _part(item, True)] for key, item in value.items()], "}", True)
        return _joined("{", [[key, "=", _part(item, False)] for key, item in value.items()], "}", False)
    work.spend()
    if isinstance(value, Entry) and not as_json:
        return [value.key, "=", _part(value.value, False)]
    return [_part(value.printed() if isinstance(value, Tool) else None, as_json)]


def _of_document(value: dict[str, Value] | list[Value], work: Work) -> bool:
    """Whether `value` is made of what documents are made of alone, and nested no deeper than they are."""
    level: list[Any] = [value]
    for _ in range(MAX_DEPTH):
        below: list[Any] = []
        for node in level:
            items = node.values() if isinstance(node, dict) else node
            work.items(len(items))
            kinds = set(map(type, items))
            if not kinds <= _DOCUMENT_KINDS:
                return False
            if dict in kinds or list in kinds:
                below += [item for item in items if type(item) is dict or type(item) is list]
        if not below:
            return True
        level = below
    return False


def _document_text(value: Any, work: Work) -> str:
    """`value`, of which `_of_document` is true, as JSON: ten times as fast as part by part."""
    written = to_json(value)
    work.characters(len(written))
    return written


def _joined(before: str, items: list[list[_Part]], after: str, as_json: bool) -> list[_Part]:
    between = "," if as_json else ", "
    parts: list[_Part] = [before]
    for position, item in enumerate(items):
        if position:
            parts.append(between)
        parts += item
    parts.append(after)
    return parts


def _bool_text(value: bool) -> str:
    return "true" if value else "false"


def _number_text(value: Number) -> str:
    return value.text


_DOCUMENT_KINDS: Final = {str, Number, bool, NoneType, dict, list}
_SCALARS: Final[dict[type, Any]] = {
    NoneType: lambda _: "null",
    bool: _bool_text,
    int: str,
    float: double_text,
    Number: _number_text,
}
