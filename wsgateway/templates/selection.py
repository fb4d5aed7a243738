r"""Selection expressions: the text a message selects, and the route of that name.

API Gateway developer guide, "Selection expressions" and "Route selection expressions": `$` marks a variable, braces
delimit it, `\$` is a dollar sign, variables and literals are joined, and what a variable holds is never read as an
expression again. Where AWS is silent, an unwrapped variable ends at a character outside `A-Za-z0-9_.[]'"*?@()`;
brackets hold anything. Ours beside it: `jmespath:body.type || body.action`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, TypeVar

import msgspec

from wsgateway.templates import jmes, jsonpath, messagepack
from wsgateway.templates.document import JSON, MAX_DEPTH, MISSING, Format, head_with, to_text, too_deep
from wsgateway.templates.expression import ExpressionError
from wsgateway.templates.steps import Path

T = TypeVar("T")

RESERVED: Final = frozenset({"$connect", "$disconnect", "$default"})
"""Routes chosen by what happens, never by what a message says."""

JMESPATH: Final = "jmespath:"

_IN_PATH: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.[]'\"*?@()")
_BODY = re.compile(r"request\.body(?![^.\[])")
_VARIABLE = re.compile(r"[A-Za-z0-9_.-]*")
_NAME = re.compile(r"[A-Za-z0-9_.$-]+")
_NESTED: Final = (b"{", b"[")
_JSON_WORD = re.compile(r"true|false|-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable that is not of the message: `context.connectionId` is `connectionId` of the root `context`."""

    root: str
    name: str


Part: TypeAlias = str | Path | Variable
"""A literal, or what is put in its place."""


def compile_selection(expression: str, format: Format = JSON) -> Callable[[bytes], str | None]:
    """What `expression` selects from a message; None where that isn't in `format`, even for a constant expression.

    The function never raises. Raises ExpressionError, naming the position and what is allowed there.
    """
    if expression.startswith(JMESPATH):
        return _shifted(lambda text: jmes.compile(text, format), expression, len(JMESPATH))
    parts = [part for part in parse(expression) if not isinstance(part, Variable)]

    def select(data: bytes) -> str | None:
        document = format.decode(data)
        if document is MISSING:
            return None
        try:
            return "".join([part if isinstance(part, str) else to_text(part(document)) for part in parts])
        except RecursionError:
            return None

    return select


def route_table(expression: str, routes: Mapping[str, T], default: T, format: Format = JSON) -> Callable[[bytes], T]:
    """The route a message selects: called for every message, and never raises.

    The reserved routes are no destination, whatever `routes` holds; a message that names one gets `default`, as does
    one that isn't in `format`. Raises ExpressionError.
    """
    custom = {key: route for key, route in routes.items() if key not in RESERVED}
    general = _general_table(compile_selection(expression, format), custom, default)
    if expression.startswith(JMESPATH):
        return general
    match parse(expression):
        case (Path(member=str(member)),) if format is messagepack.MESSAGEPACK:
            return _plain_member_table(member, custom, default)
        case (Path(member=str(member)),):
            return _member_table(member, custom, default, general)
        case _:
            return general


def static(expression: str) -> str | None:
    """The text of a constant expression; None for one that reads the message. Raises ExpressionError."""
    if expression.startswith(JMESPATH):
        return None
    parts = parse(expression)
    return parts[0] if len(parts) == 1 and isinstance(parts[0], str) else None


def parse(expression: str, roots: Collection[str] = ()) -> tuple[Part, ...]:
    """The literals and variables of `expression`, no two literals in a row.

    `roots` are the roots of variables that may stand in it besides `request.body`. Raises ExpressionError.
    """
    if not expression:
        raise ExpressionError("a selection expression may not be empty; use $request.body.action", expression)
    parts: list[Part] = []
    literal = ""
    position = 0
    while position < len(expression):
        if expression.startswith("\\$", position):
            literal += "$"
            position += 2
        elif expression[position] == "$":
            if literal:
                parts.append(literal)
            literal = ""
            variable, position = _variable(expression, position, roots)
            parts.append(variable)
        else:
            literal += expression[position]
            position += 1
    if literal:
        parts.append(literal)
    return tuple(parts)


def _variable(expression: str, position: int, roots: Collection[str]) -> tuple[Path | Variable, int]:
    """The variable at the dollar sign at `position`, and where the rest begins."""
    wrapped = expression.startswith("${", position)
    start = position + (2 if wrapped else 1)
    end = _end_of_variable(expression, start, wrapped)
    if wrapped and end == len(expression):
        raise ExpressionError("this ${ has no closing }", expression, position)
    text = expression[start:end]
    after = end + (1 if wrapped else 0)
    body = _BODY.match(text)
    if body is None:
        for root in roots:
            if text == root or text.startswith(f"{root}."):
                return _named(root, expression, start, end), after
        raise _not_allowed(expression, position, start, roots)
    tail = start + body.end()
    try:
        path = jsonpath.compile("$" + text[body.end() :])
    except ExpressionError as error:
        hint = "" if wrapped else "; text right behind a variable needs braces around it, ${request.body…}"
        raise ExpressionError(error.problem + hint, expression, tail + error.position - 1) from error
    return path, after


def _named(root: str, expression: str, start: int, end: int) -> Variable:
    """The variable of `root` that stands between `start` and `end`; `integration.response.statuscode` has no name."""
    name = expression[start + len(root) + 1 : end]
    if root.endswith(".statuscode") is bool(name):
        problem = f"${root} is a number, and has nothing behind it" if name else f"expected .NAME behind ${root}"
        raise ExpressionError(problem, expression, start + len(root))
    if name and _NAME.fullmatch(name) is None:
        raise ExpressionError(f"a name of ${root} has letters, digits and _.-$", expression, start + len(root) + 1)
    return Variable(root, name)


def _not_allowed(expression: str, position: int, start: int, roots: Collection[str]) -> ExpressionError:
    name = _VARIABLE.match(expression, start)
    here = f"only {', '.join(f'${root}' for root in ('request.body', *roots))}" if roots else "only $request.body"
    where = "in this selection expression" if roots else "in a route selection expression"
    verb = "are" if roots else "is"
    problem = f"${name[0] if name else ''} is not allowed {where}: {here} {verb}, and \\$ for a dollar sign"
    return ExpressionError(problem, expression, position)


def _end_of_variable(expression: str, start: int, wrapped: bool) -> int:
    depth = 0
    quote = ""
    position = start
    while position < len(expression):
        character = expression[position]
        if quote:
            if character == "\\":
                position += 1
            elif character == quote:
                quote = ""
        elif depth:
            quote = character if character in "'\"" else ""
            depth += (character == "[") - (character == "]")
        elif character == "[":
            depth = 1
        elif character == "}" if wrapped else character not in _IN_PATH:
            return position
        position += 1
    return len(expression)


def _shifted(
    compile: Callable[[str], Callable[[bytes], str | None]], expression: str, prefix: int
) -> Callable[[bytes], str | None]:
    try:
        return compile(expression[prefix:])
    except ExpressionError as error:
        raise ExpressionError(error.problem, expression, prefix + error.position) from error


def _general_table(select: Callable[[bytes], str | None], custom: dict[str, T], default: T) -> Callable[[bytes], T]:
    def choose(data: bytes) -> T:
        key = select(data)
        return default if key is None else custom.get(key, default)

    return choose


def _member_table(member: str, custom: dict[str, T], default: T, general: Callable[[bytes], T]) -> Callable[[bytes], T]:
    """`general` for an expression that is just `$request.body.member`, only faster.

    It decodes that member's raw bytes and skips the rest of the message. They decide at once, unless they hold an
    escape, an object or an array.
    """
    head = head_with(member)
    if head is None:
        return general
    read: Callable[[bytes], Any] = msgspec.json.Decoder(head).decode
    empty_key = "" in custom  # what any JSON without the member selects
    routes = {raw: route for key, route in custom.items() for raw in _raw_forms(key)}

    def choose(data: bytes) -> T:
        # The first two spare most messages both checks.
        if (len(data) > MAX_DEPTH or not data.isascii()) and (too_deep(data) or not _is_utf8(data)):
            return default
        try:
            raw = bytes(read(data).key)
        except (ValueError, RecursionError):  # msgspec's errors are ValueErrors
            # No object or no JSON, unless it's but half a surrogate pair, which msgspec refuses.
            return general(data) if empty_key or b"\\ud" in data or b"\\uD" in data else default
        if raw in routes:
            return routes[raw]
        if raw[:1] in _NESTED or b"\\" in raw:
            return general(data)
        return default

    return choose


def _plain_member_table(member: str, custom: dict[str, T], default: T) -> Callable[[bytes], T]:
    """The same for MessagePack: numbers are printed where they are asked for, and nowhere else.

    The whole message is read, unless it is large, since what JSON hasn't may be anywhere in it: 4 µs for 100 bytes.
    """
    read = messagepack.member_reader(member)

    def choose(data: bytes) -> T:
        value = read(data)
        if value is MISSING:
            return default
        try:
            return custom.get(to_text(value, repr), default)
        except RecursionError:
            return default

    return choose


def _raw_forms(key: str) -> Iterator[bytes]:
    """The ways to write a value that is stringified to `key`, but for escapes, objects and arrays."""
    if not key:
        yield from (b"", b"null")  # "" also stands for a member that isn't there
    if _JSON_WORD.fullmatch(key):
        yield key.encode()
    try:
        yield b'"' + key.encode() + b'"'
    except UnicodeEncodeError:
        return  # half a surrogate pair: no message selects it


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
