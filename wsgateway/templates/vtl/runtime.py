"""What compiled templates do at run time beside the work of values: variables, loops, macros, defined blocks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final, NamedTuple, TypeAlias

from wsgateway.templates.vtl import values
from wsgateway.templates.vtl.errors import RenderError
from wsgateway.templates.vtl.values import ArrayList, NoMethod, Tool, Value, Work

MAX_ITERATIONS: Final = 1000
"""Of one #foreach (API Gateway developer guide, "Quotas and important notes")."""

MAX_OUTPUT: Final = 1024 * 1024
"""Bytes of what a template writes, and characters of a string it makes."""

MAX_CALLS: Final = 20
"""Macros, defined blocks and evaluated texts inside each other: Velocity's `velocimacro.max.depth`."""


class Stop(Exception):
    """`#stop`."""


class Variables(dict[str, Value]):
    """A template's variables. One that was never set is None, as one that was set to null is, but isn't `in` them."""

    __slots__ = ()

    def __missing__(self, name: str) -> Value:
        return None

    def unset(self, name: str, source: str) -> str:
        """What is written for the reference `source` where the variable `name` is None."""
        return "" if name in self else source

    def bind(self, name: str, value: Value) -> None:
        """Set a variable here, and nowhere further out."""
        self[name] = value

    def restore(self, name: str, value: Value, had: bool) -> None:
        """Put back what was there before a loop."""
        if had:
            self[name] = value
        else:
            self.pop(name, None)


class Argument(NamedTuple):
    """What a macro is called with: Velocity evaluates it each time the parameter is read, where the call stands."""

    value: Callable[[Variables, Rendering], Value]
    root: str = ""
    """The variable it begins with, and its text, where it is a reference."""
    source: str = ""


class Arguments(Variables):
    """The variables in a macro: its parameters first, then those where it is called; set are both."""

    __slots__ = ("given", "outer", "work")

    def __init__(self, outer: Variables, given: dict[str, Argument], work: Rendering) -> None:
        super().__init__()
        self.outer = outer
        self.given = given
        self.work = work

    def __missing__(self, name: str) -> Value:
        argument = self.given.get(name)
        if argument is None:
            return self.outer[name]
        self.work.spend()
        return argument.value(self.outer, self.work)

    def __setitem__(self, name: str, value: Value) -> None:
        super().__setitem__(name, value)
        self.outer[name] = value

    def __contains__(self, name: object) -> bool:
        return super().__contains__(name) or (name not in self.given and name in self.outer)

    def unset(self, name: str, source: str) -> str:
        argument = self.given.get(name)
        if argument is None:
            return super().unset(name, source)
        if name in self or not argument.root:
            return ""
        return self.outer.unset(argument.root, argument.source if source == f"${name}" else source)

    def bind(self, name: str, value: Value) -> None:
        super().__setitem__(name, value)

    def restore(self, name: str, value: Value, had: bool) -> None:
        self.pop(name, None)
        if name not in self.given:
            self.outer.restore(name, value, had)


Run: TypeAlias = Callable[[Variables, list[str], "Rendering"], None]


Plain: TypeAlias = str | tuple[str, tuple[str, ...], str]
"""A text; or a reference that has but members: its root, their names, and what is written where the root is unset."""

Evaluate: TypeAlias = Callable[[Value, Variables, list[str], "Rendering"], None]


class MacroCode(NamedTuple):
    """A macro, compiled."""

    parameters: tuple[str, ...]
    run: Run


class Rendering(Work):
    """One rendering: its budget, its macros, and how deep it is in calls."""

    __slots__ = ("calls", "macros")

    def __init__(self, macros: Mapping[str, MacroCode]) -> None:
        Work.__init__(self)  # a third of what super() costs, once per rendering
        self.macros = macros
        self.calls = 0

    @contextmanager
    def call(self, what: str) -> Iterator[None]:
        """One level deeper. Raises RenderError."""
        if self.calls >= MAX_CALLS:
            raise RenderError(f"{what} is inside more than {MAX_CALLS} macros, blocks and evaluated texts")
        self.calls += 1
        try:
            yield
        finally:
            self.calls -= 1


class Loop(Tool):
    """`$foreach`."""

    __slots__ = ("index", "parent", "size")

    def __init__(self, size: int, parent: Value) -> None:
        self.size = size
        self.index = 0
        self.parent = parent if isinstance(parent, Loop) else None

    def member(self, name: str) -> Value:
        read = _OF_LOOP.get(name)
        return None if read is None else read(self)

    def call(self, name: str, arguments: list[Value], work: Work) -> Value:
        read = _OF_LOOP_METHODS.get(name)
        if read is None or arguments:
            raise NoMethod(name)
        return read(self)

    def printed(self) -> Value:
        return "{}"

    def topmost(self) -> Loop:
        loop = self
        while loop.parent is not None:
            loop = loop.parent
        return loop


_OF_LOOP: Final[dict[str, Callable[[Loop], Value]]] = {
    "hasNext": lambda loop: loop.index + 1 < loop.size,
    "index": lambda loop: loop.index,
    "count": lambda loop: loop.index + 1,
    "first": lambda loop: loop.index == 0,
    "last": lambda loop: loop.index + 1 == loop.size,
    "parent": lambda loop: loop.parent,
    "topmost": Loop.topmost,
}
_OF_LOOP_METHODS: Final = {
    "hasNext": _OF_LOOP["hasNext"],
    **{f"get{name[0].upper()}{name[1:]}": read for name, read in _OF_LOOP.items() if name not in ("first", "last")},
    "isFirst": _OF_LOOP["first"],
    "isLast": _OF_LOOP["last"],
}


class Defined(Tool):
    """A block of `#define`, and `$bodyContent`: rendered each time it is used, with the variables of then."""

    __slots__ = ("run", "variables", "work")

    def __init__(self, run: Run, variables: Variables, work: Rendering) -> None:
        self.run = run
        self.variables = variables
        self.work = work

    def call(self, name: str, arguments: list[Value], work: Work) -> Value:
        return values.call(self.printed(), name, arguments, work)

    def printed(self) -> str:
        parts: list[str] = []
        with self.work.call("a #define"):
            self.run(self.variables, parts, self.work)
        return joined(parts, self.work)


def account(made: str, work: Work) -> None:
    """A string was made. Raises RenderError."""
    if len(made) > MAX_OUTPUT:
        raise RenderError(f"a string of more than {MAX_OUTPUT} characters is made")
    work.characters(len(made))


def joined(parts: Sequence[str], work: Work) -> str:
    """The string these make. Raises RenderError."""
    length = sum(map(len, parts))
    if length > MAX_OUTPUT:
        raise RenderError(f"a string of more than {MAX_OUTPUT} characters is made")
    work.characters(length)
    return "".join(parts)


def write_run(parts: Sequence[Plain], variables: Variables, out: list[str], work: Work) -> None:
    """Write texts and plain references one after the other. Raises RenderError."""
    for part in parts:
        if isinstance(part, str):
            out.append(part)
            continue
        root, names, source = part
        value = variables[root]
        out.append(variables.unset(root, source) if value is None else values.text(members(value, names), work))


def members(value: Value, names: Sequence[str]) -> Value:
    """`$value.name.name…`."""
    for name in names:
        value = values.member(value, name)
    return value


def finished(parts: Sequence[str]) -> str:
    """What the template wrote. Raises RenderError."""
    length = len(parts[0]) if len(parts) == 1 else sum(map(len, parts))
    if length <= MAX_OUTPUT:
        text = "".join(parts)
        if 4 * length <= MAX_OUTPUT or text.isascii() or len(text.encode(errors="replace")) <= MAX_OUTPUT:
            return text
    raise RenderError(f"the template writes more than {MAX_OUTPUT} bytes")


def looped(value: Value, work: Work) -> list[Value]:
    """What `#foreach` goes through: a copy, so that the list may be changed meanwhile. Raises RenderError."""
    items = values.iterate(value, work)
    if len(items) > MAX_ITERATIONS:
        raise RenderError(f"a #foreach goes through {len(items)} elements; API Gateway's quota is {MAX_ITERATIONS}")
    return items.copy()


def range_of(first: Value, last: Value, work: Work) -> Value:
    """`[first..last]`; null where one is no integer. Raises RenderError."""
    start, end = values.number(first), values.number(last)
    if not isinstance(start, int) or not isinstance(end, int):
        return None
    work.items(abs(end - start) + 1)
    return ArrayList(range(start, end + 1) if start <= end else range(start, end - 1, -1))


def map_of(pairs: Sequence[tuple[Value, Value]], work: Work) -> Value:
    """`{key: value}`; keys are texts."""
    return {values.text(key, work): value for key, value in pairs}


def invoke_macro(
    name: str,
    given: tuple[Argument, ...],
    source: str,
    body: Run | None,
    variables: Variables,
    out: list[str],
    work: Rendering,
) -> None:
    """Render the macro; where there is none of that name, write the `source` of the call. Raises RenderError."""
    macro = work.macros.get(name)
    if macro is None:
        out.append(source)
        return
    inner = Arguments(variables, dict(zip(macro.parameters, given, strict=False)), work)
    if body is not None:
        inner.bind("bodyContent", Defined(body, inner, work))
    with work.call(f"#{name}"):
        macro.run(inner, out, work)
