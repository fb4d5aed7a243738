"""JMESPath over a message, ours beside AWS's expressions: `jmespath:body.type || body.action`.

The root has one key, `body`. jmespath computes with Python's numbers, so the text of those it merely passes on is kept.
"""

from __future__ import annotations

from collections.abc import Callable
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
    """The text `expression` selects from a message; None where that isn't in `format`.

    What is missing or fails on the data at hand is an empty string. Raises ExpressionError.
    """
    try:
        compiled = jmespath.compile(expression)
    except (JMESPathError, ValueError, RecursionError) as error:
        position = getattr(error, "lex_position", None)
        problem = "not a JMESPath expression: " + str(error).partition("\n")[0]
        raise ExpressionError(problem, expression, position if isinstance(position, int) else 0) from error
    _check(compiled.parsed, expression)

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


def _check(root: dict[str, Any], expression: str) -> None:
    nodes, reads_body = [root], False
    while nodes:
        node = nodes.pop()
        kind, value = node["type"], node.get("value")
        reads_body = reads_body or (kind == "field" and value == "body")
        if kind == "function_expression":
            _check_function(str(value), len(node["children"]), expression)
        nodes.extend(child for child in node["children"] if isinstance(child, dict))
    if not reads_body:
        raise ExpressionError("the message is under body, as in body.action", expression)


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
