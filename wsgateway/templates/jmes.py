"""JMESPath, ours beside AWS's expressions: what a message selects, and who may send it.

`jmespath:body.type || body.action`, `contains(authorizer.rooms, body.room)`. jmespath computes with Python's
numbers, so the text of those it merely passes on is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jmespath
from jmespath.exceptions import JMESPathError
from jmespath.functions import Functions

from wsgateway.templates.document import JSON, MISSING, Format, number_value, to_text
from wsgateway.templates.expression import ExpressionError

# What a well-formed expression can raise on data: its own type errors, and those its functions let through.
_FAILURES = (JMESPathError, ValueError, TypeError, ArithmeticError, LookupError, AttributeError, RecursionError)


class _Numbers:
    """Makes Python's numbers of JSON's and remembers the text of those that lose it."""

    def __init__(self) -> None:
        self.written: dict[int, tuple[float, str]] = {}

    def make(self, text: str) -> int | float:
        value = number_value(text) if text != "-0" else -0.0
        if isinstance(value, float):
            self.written[id(value)] = value, text  # the pair keeps the float alive, hence its id its own
        return value

    def text(self, value: object) -> str:
        if isinstance(value, float):
            return self.written.get(id(value), (value, repr(value)))[1]
        return str(value) if isinstance(value, int) else ""


def compile(expression: str, format: Format = JSON) -> Callable[[bytes], str | None]:
    """The text `expression` selects from a message, under `body`; None where that isn't in `format`.

    What is missing or fails on the data at hand is an empty string. Raises ExpressionError.
    """
    compiled = _compiled(expression, {"body": "the message is under body, as in body.action"})

    def select(data: bytes) -> str | None:
        numbers = _Numbers()
        document = format.decode_with(data, numbers.make)
        if document is MISSING:
            return None
        try:
            return to_text(compiled.search({"body": document}), numbers.text)
        except _FAILURES:
            return ""

    return select


def compile_rule(expression: str) -> Callable[[bytes, Mapping[str, Any], Format], bool]:
    """Whether a message (`body`) of a client (`authorizer`) may go on: only where `expression` gives `true`.

    Anything else is a no, and so is what fails on the data at hand; `body` is null of a message that isn't in the given
    format. Raises ExpressionError.
    """
    compiled = _compiled(
        expression, {"authorizer": "what is known of a client is under authorizer, its message under body"}
    )

    def allows(data: bytes, authorizer: Mapping[str, Any], format: Format) -> bool:
        document = format.decode_with(data, number_value)
        known = authorizer or {}  # JMESPath's functions take no other mapping than a dict
        try:
            found = compiled.search({"authorizer": known, "body": None if document is MISSING else document})
        except _FAILURES:
            return False
        return found is True

    return allows


def _compiled(expression: str, needed: Mapping[str, str]) -> Any:
    """The expression, which has to read each field of `needed`; their values say why."""
    try:
        compiled = jmespath.compile(expression)
    except (JMESPathError, ValueError, RecursionError) as error:
        position = getattr(error, "lex_position", None)
        problem = "not a JMESPath expression: " + str(error).partition("\n")[0]
        raise ExpressionError(problem, expression, position if isinstance(position, int) else 0) from error
    read = set(_fields(compiled.parsed, expression))
    for name, why in needed.items():
        if name not in read:
            raise ExpressionError(why, expression)
    return compiled


def _fields(root: dict[str, Any], expression: str) -> Iterator[str]:
    """The names of all fields that are read; the functions called are checked on the way. Raises ExpressionError."""
    nodes = [root]
    while nodes:
        node = nodes.pop()
        kind, value = node["type"], node.get("value")
        if kind == "field":
            yield str(value)
        if kind == "function_expression":
            _check_function(str(value), len(node["children"]), expression)
        nodes.extend(child for child in node["children"] if isinstance(child, dict))


def _check_function(name: str, arguments: int, expression: str) -> None:
    position = max(expression.find(name), 0)
    known = Functions.FUNCTION_TABLE.get(name)
    if known is None:
        raise ExpressionError(f"there is no function {name}() in JMESPath", expression, position)
    signature = known["signature"]
    variadic = bool(signature) and signature[-1].get("variadic", False)
    if arguments < len(signature) or (arguments > len(signature) and not variadic):
        wanted = f"at least {len(signature)}" if variadic else str(len(signature))
        raise ExpressionError(f"{name}() takes {wanted} argument(s), not {arguments}", expression, position)
