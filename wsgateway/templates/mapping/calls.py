"""What templates call, checked when they are compiled: methods of `$input` and `$util`, paths and regular expressions.

API Gateway finds out when such a template is rendered. What is made at run time is still found only then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from typing import Final

from wsgateway.templates import jsonpath, pattern, vtl
from wsgateway.templates.expression import ExpressionError
from wsgateway.templates.mapping.input import INPUT_METHODS
from wsgateway.templates.mapping.util import UTIL_METHODS
from wsgateway.templates.vtl.nodes import Constant, Method, Reference
from wsgateway.templates.vtl.parser import parse

_OBJECTS: Final = {"input": sorted(INPUT_METHODS), "util": sorted(UTIL_METHODS)}
_PATH_METHODS: Final = ("json", "path")
_REGEX_METHODS: Final = {"matches": 1, "replaceAll": 2, "replaceFirst": 2, "split": 1}
"""Methods whose first argument is a regular expression, with the fewest arguments they take."""


def compile(text: str) -> vtl.Template:
    """As `vtl.compile`; calls of methods that `$input` and `$util` haven't, and JSONPaths and regular expressions that
    stand in the template as they are, are checked too.

    Raises TemplateError.
    """
    template = vtl.compile(text)
    for reference in _references(parse(text)):
        for at, step in enumerate(reference.steps):
            if isinstance(step, Method):
                _check(step, reference, text, reference.root if at == 0 else "")
    return template


def _check(method: Method, reference: Reference, text: str, root: str) -> None:
    """`root` is the name that the method is called on, where it is one."""
    known = _OBJECTS.get(root)
    if known is not None and method.name not in known:
        problem = f"${root} has no method {method.name}(); it has {', '.join(known[:-1])} and {known[-1]}"
        raise vtl.TemplateError(problem, text, _position(method, reference, text))
    reader = _reader(root, method)
    match method.arguments:
        case (Constant(str(literal)), *_) if reader is not None:
            try:
                reader(literal)
            except ExpressionError as error:
                raise vtl.TemplateError(
                    error.problem, text, _position(method, reference, text, literal, error.position)
                ) from error


def _reader(root: str, method: Method) -> Callable[[str], object] | None:
    """What reads the method's first argument, where that has a grammar of its own."""
    if root == "input":
        return jsonpath.compile if method.name in _PATH_METHODS else None
    least = _REGEX_METHODS.get(method.name)
    return None if least is None or len(method.arguments) < least else pattern.at_run_time


def _position(method: Method, reference: Reference, text: str, literal: str = "", offset: int = 0) -> int:
    """Where in `text` the literal's character at `offset` is; the method's name, where no literal is asked for."""
    call = text.find(f".{method.name}(", max(text.find(reference.source), 0))
    found = text.find(literal, call + len(method.name) + 2) if literal else -1
    # Where quotes are doubled the literal isn't found as it is: then the call is shown.
    return max(call + 1, 0) if found < 0 else min(found + offset, len(text))


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
