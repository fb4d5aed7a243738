"""JSONPaths and regular expressions that stand in a template as they are are checked when it is compiled."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from typing import Final

from wsgateway.templates import jsonpath, pattern, vtl
from wsgateway.templates.expression import ExpressionError
from wsgateway.templates.vtl.nodes import Constant, Method, Reference
from wsgateway.templates.vtl.parser import parse

_REGEX_METHODS: Final = {"matches": 1, "replaceAll": 2, "replaceFirst": 2, "split": 1}
"""Methods whose first argument is a regular expression, with the fewest arguments they take."""


def compile(text: str) -> vtl.Template:
    """As `vtl.compile`; a JSONPath of `$input` or a regular expression written out in it is checked, too.

    Raises TemplateError.
    """
    template = vtl.compile(text)
    for reference in _references(parse(text)):
        for at, step in enumerate(reference.steps):
            reader = _reader(reference.root if at == 0 else "", step) if isinstance(step, Method) else None
            match step:
                case Method(name, (Constant(str(literal)), *_)) if reader is not None:
                    _check(reader, literal, name, reference, text)
    return template


def _reader(root: str, method: Method) -> Callable[[str], object] | None:
    """What reads the method's first argument, where that has a grammar of its own."""
    if root == "input":
        return jsonpath.compile if method.name in ("json", "path") else None
    least = _REGEX_METHODS.get(method.name)
    return None if least is None or len(method.arguments) < least else pattern.cached


def _check(reader: Callable[[str], object], literal: str, name: str, reference: Reference, text: str) -> None:
    try:
        reader(literal)
    except ExpressionError as error:
        call = text.find(f".{name}(", max(text.find(reference.source), 0))
        found = text.find(literal, call + len(name) + 2)
        # Where quotes are doubled it isn't found as it is: then the call is shown.
        position = max(call, 0) if found < 0 else min(found + error.position, len(text))
        raise vtl.TemplateError(error.problem, text, position) from error


def _references(node: object) -> Iterator[Reference]:
    """Every reference in what the parser made, in the order of the text."""
    if isinstance(node, Reference):
        yield node
    if isinstance(node, tuple):
        for item in node:
            yield from _references(item)
    elif is_dataclass(node):
        for field in fields(node):
            yield from _references(getattr(node, field.name))
