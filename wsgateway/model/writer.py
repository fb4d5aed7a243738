"""Values as YAML that reads back as the same, in the way people write it."""

from __future__ import annotations

from io import StringIO
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedSeq
from ruamel.yaml.scalarstring import DoubleQuotedScalarString, LiteralScalarString

from wsgateway.model.expansion import typed

SHORT = 80
"""Of lists that stand in one line."""


def to_yaml(value: object) -> str:
    """A value of mappings, lists and scalars as YAML 1.2, each mapping and each long list on lines of its own."""
    yaml = YAML()
    yaml.width = 1 << 20  # a long text stays in its line
    yaml.indent(mapping=2, sequence=4, offset=2)
    yaml.representer.ignore_aliases = lambda *_: True
    text = StringIO()
    yaml.dump(_styled(value), text)
    return text.getvalue()


def _styled(value: Any) -> Any:
    match value:
        case dict():
            return {_text(key, key=True): _styled(each) for key, each in value.items()}
        case list():
            return _list([_styled(each) for each in value])
        case str():
            return _text(value)
    return value


def _list(items: list[Any]) -> Any:
    """A list in one line where it is short."""
    written = CommentedSeq(items)
    plain = all(each is None or isinstance(each, str | int | float) for each in items)
    if plain and sum(len(str(each)) + 4 for each in items) <= SHORT:
        written.fa.set_flow_style()
    return written


def _text(text: str, *, key: bool = False) -> str:
    """A string in the style that suits it; keys are text however they look, which not every reader of YAML knows."""
    if "\n" in text and not key and _is_block(text):
        block: str = LiteralScalarString(text)
        return block
    plain = text.isprintable() and bool(text) and isinstance(_typed(text), str)
    quoted: str = DoubleQuotedScalarString(text)
    return text if plain else quoted


def _is_block(text: str) -> bool:
    """Whether a literal block can hold it: printable lines, the first of them neither empty nor indented."""
    lines = text.split("\n")
    return all(line.isprintable() and line == line.rstrip() for line in lines) and not lines[0][:1].isspace()


def _typed(text: str) -> object:
    try:
        return typed(text)
    except ValueError:
        return 0
