"""Python for expressions and references: what computes a value is written as lines, what names it is given back.

A function takes the variables `v`, the list `out` of what is written, and the budget `w`; one that has a value takes no
`out`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any, Final, assert_never

from wsgateway.templates.vtl import runtime, values
from wsgateway.templates.vtl.code import Function, Module
from wsgateway.templates.vtl.nodes import (
    Arithmetic,
    Block,
    Constant,
    Equality,
    Expression,
    Index,
    Interpolated,
    ListOf,
    Logic,
    MapOf,
    Member,
    Method,
    Not,
    Order,
    Range,
    Reference,
    Step,
    Text,
)

HAS_VALUE: Final = "v, w"
LONG_RUN: Final = 50
REFERENCES_AT_ONCE: Final = 8
"""Joined before their length is known, each of which may be as long as a body."""

_LONG_TEXT: Final = 1024

_NAMES: Final[dict[str, Any]] = {
    "Argument": runtime.Argument,
    "ArrayList": values.ArrayList,
    "Defined": runtime.Defined,
    "Loop": runtime.Loop,
    "NoMethod": values.NoMethod,
    "Stop": runtime.Stop,
    "Tool": values.Tool,
    "account": runtime.account,
    "arithmetic": values.arithmetic,
    "call": values.call,
    "compare": values.compare,
    "equal": values.equal,
    "index": values.index,
    "invoke_macro": runtime.invoke_macro,
    "joined": runtime.joined,
    "looped": runtime.looped,
    "map_of": runtime.map_of,
    "member": values.member,
    "members": runtime.members,
    "range_of": runtime.range_of,
    "set_index": values.set_index,
    "set_member": values.set_member,
    "text": values.text,
    "write_run": runtime.write_run,
}

_OF_LOOP: Final = {
    "hasNext": "{i} + 1 < len({items})",
    "index": "{i}",
    "count": "{i} + 1",
    "first": "{i} == 0",
    "last": "{i} + 1 == len({items})",
}
"""What is read of `$foreach` without making one, right inside its loop."""


class NotOneFunction(Exception):
    """The template takes more than one function, or variables that others must see."""


class ExpressionCompiler(ABC):
    """Writes a template's expressions into the functions of its module.

    Of a template that is one function, `alone`, the variables are Python's locals too: these are what is read, and
    `v` what tells whether they were set at all. Where that turns out not to be so, methods raise NotOneFunction.
    """

    def __init__(self, evaluate: runtime.Evaluate, *, alone: bool) -> None:
        self.module = Module({**_NAMES, "evaluate": evaluate})
        self.alone = alone
        self.locals: dict[str, str] = {}
        """For a template that is one function, the local of each variable."""
        self.names: set[str] = set()
        """All variables."""
        self.changes = False
        """Whether lists and maps may be changed that are there already."""

    @abstractmethod
    def renderer(self, block: Block) -> str:
        """The name of a function that renders `block`."""

    def function(self, parameters: str) -> Function:
        if self.alone and self.module.functions:
            raise NotOneFunction
        return self.module.function(parameters)

    def evaluator(self, expression: Expression) -> str:
        """The name of a function that has the value of `expression`."""
        function = self.function(HAS_VALUE)
        function.line(f"return {self.value(function, expression)}")
        return function.name

    def variable(self, name: str) -> str:
        """Python for a variable's value, and for the place where a new one is put beside `v`."""
        self.names.add(name)
        if self.alone:
            return self.locals.setdefault(name, f"x{len(self.locals)}")
        return f"v[{self.constant(name)}]"

    def constant(self, value: object) -> str:
        return self.module.constant(value)

    def value(self, f: Function, expression: Expression) -> str:
        """Write what computes `expression`, and give the name of its value."""
        if not isinstance(expression, Constant) and f.is_full():
            found = f.local()
            f.line(f"{found} = {self.evaluator(expression)}(v, w)")
            return found
        match expression:
            case Constant(value):
                return self.constant(value)
            case Reference():
                return self.reference(f, expression)
            case Interpolated(block):
                return self.interpolated(f, block)
        f.cost += 1
        found = f.local()
        match expression:
            case ListOf(items):
                f.line(f"{found} = ArrayList(({self.values(f, items)}))")
            case MapOf(pairs):
                names = "".join(f"({self.value(f, key)}, {self.value(f, value)}), " for key, value in pairs)
                f.line(f"{found} = map_of(({names}), w)")
            case Range(first, last):
                f.line(f"{found} = range_of({self.value(f, first)}, {self.value(f, last)}, w)")
            case Not() | Logic() | Equality() | Order():
                f.line(f"{found} = {self.test(f, expression)}")
            case Arithmetic(first, rest):
                f.line(f"{found} = {self.value(f, first)}")
                for operator, right in rest:
                    with f.locals():
                        f.cost += 1
                        f.line(f'{found} = arithmetic("{operator}", {found}, {self.value(f, right)}, w)')
            case _:
                assert_never(expression)
        return found

    def values(self, f: Function, expressions: Iterable[Expression]) -> str:
        """The names of several values, each with a comma behind it."""
        return "".join(f"{self.value(f, expression)}, " for expression in expressions)

    def test(self, f: Function, expression: Expression) -> str:
        """Write what computes whether `expression` holds, and give Python for that."""
        match expression:
            case _ if f.is_full():
                found = self.value(f, expression)
                return f"{found} is not None and {found} is not False"
            case Not(operand):
                return f"not ({self.test(f, operand)})"
            case Logic(every, operands):
                return self.logic(f, every, operands)
            case Equality(negated, left, right):
                f.cost += 1
                test = self.equality(f, left, right)
                return f"not {test}" if negated else test
            case Order(operator, left, right):
                f.cost += 1
                return f'compare("{operator}", {self.value(f, left)}, {self.value(f, right)})'
            case _:
                found = self.value(f, expression)
                return f"{found} is not None and {found} is not False"

    def equality(self, f: Function, left: Expression, right: Expression) -> str:
        """Python for `left == right`; a value of the same kind as a constant is compared with it right here."""
        first, second = self.value(f, left), self.value(f, right)
        kind = type(right.value).__name__ if isinstance(right, Constant) else ""
        if kind in ("str", "int", "bool"):
            return f"({first} == {second} if {first}.__class__ is {kind} else equal({first}, {second}, w))"
        return f"equal({first}, {second}, w)"

    def logic(self, f: Function, every: bool, operands: Sequence[Expression]) -> str:
        found = f.local()
        first, *more = operands
        f.line(f"{found} = {self.test(f, first)}")
        for operand in more:
            with f.block(f"if {found}" if every else f"if not {found}"), f.locals():
                f.line(f"{found} = {self.test(f, operand)}")
        return found

    def interpolated(self, f: Function, block: Block) -> str:
        """A string in double quotes: texts and references joined, or what a function of its own writes."""
        parts = [part for part in block if isinstance(part, Text | Reference)]
        if len(parts) == len(block) and sum(isinstance(part, Reference) for part in parts) <= REFERENCES_AT_ONCE:
            return self.joined(f, [text for part in parts for text in self.texts(f, part)])
        found = f.local()
        f.line(f"{found} = []")
        f.line(f"{self.renderer(block)}(v, {found}, w)")
        f.line(f"{found} = joined({found}, w)")
        return found

    # References

    def reference(self, f: Function, reference: Reference) -> str:
        """Write what computes a reference's value; give its name."""
        f.cost += 1 + len(reference.steps)
        inline = self.of_loop(f, reference)
        found = f.local()
        if inline:
            f.line(f"{found} = {inline}")
            return found
        f.line(f"{found} = {self.variable(reference.root)}")
        if any(not isinstance(step, Member) for step in reference.steps):
            with f.block(f"if {found} is not None"):
                self.steps(f, found, reference.steps)
        else:
            self.steps(f, found, reference.steps)
        return found

    def of_loop(self, f: Function, reference: Reference) -> str:
        """Python for `$foreach.index` and its like, where the loop is right here; else an empty string."""
        match reference.root, reference.steps:
            case "foreach", (Member(name),) if f.loops and name in _OF_LOOP:
                return _OF_LOOP[name].format(i=f.loops[-1].counter, items=f.loops[-1].items)
            case _:
                return ""

    def text_of(self, f: Function, reference: Reference, prefix: str = "") -> str:
        """Write what computes what is written for a reference; give its name. `prefix` is before it if it is unset."""
        inline = self.of_loop(f, reference)
        found = f.local()
        f.cost += len(reference.steps)
        if inline:
            f.line(f"{found} = text({inline}, w)")
            return found
        variable, root = self.variable(reference.root), self.constant(reference.root)
        source = self.constant(prefix + ("" if reference.quiet else reference.source))
        f.line(f"{found} = {variable}")
        if not reference.steps:
            unset = f"v.unset({root}, {source}) if {found} is None else"
            f.line(f"if {found}.__class__ is not str: {found} = {unset} text({found}, w)")
            return found
        with f.block(f"if {found} is None"):
            f.line(f"{found} = v.unset({root}, {source})")
        with f.block("else"):
            self.steps(f, found, reference.steps)
            f.line(f"if {found}.__class__ is not str: {found} = text({found}, w)")
        return found

    def steps(self, f: Function, found: str, steps: Sequence[Step]) -> None:
        if len(steps) > LONG_RUN and all(isinstance(step, Member) for step in steps):
            names = tuple(step.name for step in steps if isinstance(step, Member))
            f.line(f"{found} = members({found}, {self.constant(names)})")
            return
        for step in steps:
            self.step(f, found, step)

    def step(self, f: Function, found: str, step: Step) -> None:
        """Write what goes from a value to what `step` finds in it."""
        with f.locals():
            match step:
                case Member(name):
                    name = self.constant(name)
                    f.line(f"{found} = {found}.get({name}) if {found}.__class__ is dict else member({found}, {name})")
                case Index(key):
                    f.line(f"{found} = index({found}, {self.value(f, key)})")
                case Method(name, arguments):
                    self.changes = self.changes or name in values.CHANGING
                    given = f"{self.constant(name)}, [{self.values(f, arguments)}], w"
                    tool = f"{found}.call({given}) if isinstance({found}, Tool)"
                    f.line(f"try: {found} = {tool} else call({found}, {given})")
                    f.line(f"except NoMethod: {found} = None")
                case _:
                    assert_never(step)

    # Texts

    def joined(self, f: Function, texts: list[str]) -> str:
        """Write what makes one string of several, and accounts for it if it is long; give its name."""
        if len(texts) == 1:
            return texts[0]
        found = f.local()
        f.line(f"{found} = f'{''.join(f'{{{text}}}' for text in texts)}'")
        f.line(f"if len({found}) > {_LONG_TEXT}: account({found}, w)")
        return found

    def texts(self, f: Function, part: Text | Reference) -> list[str]:
        """Write what computes the texts that `part` writes; give their names.

        Backslashes before a reference are as in Velocity's user guide, "Escaping".
        """
        f.cost += 1
        if isinstance(part, Text):
            return [self.constant(part.text)]
        prefix = "\\" * (part.backslashes // 2)
        if part.backslashes % 2:
            found = self.reference(f, part)
            known, unknown = self.constant(prefix + part.source), self.constant(f"{prefix}\\{part.source}")
            return [f"({unknown} if {found} is None else {known})"]
        found = self.text_of(f, part, prefix)
        return [self.constant(prefix), found] if prefix else [found]
