"""Making Python of a template: one function, and one more for each macro, block, argument and for what nests too deep.

A function takes the variables `v`, what writes a text `out`, and the budget `w`; one that has a value takes no `out`.
Steps are accounted for once per call and per loop; of the branches of an #if the longest counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any, Final, assert_never

from wsgateway.templates.vtl import runtime, values
from wsgateway.templates.vtl.code import Function, Loop, Module
from wsgateway.templates.vtl.nodes import (
    Arithmetic,
    Block,
    Break,
    Call,
    Constant,
    Define,
    Equality,
    Evaluate,
    Expression,
    Foreach,
    If,
    Index,
    Interpolated,
    ListOf,
    Logic,
    Macro,
    MapOf,
    Member,
    Method,
    Not,
    Order,
    Range,
    Reference,
    Set,
    Statement,
    Step,
    Stop,
    Text,
)

_WRITES: Final = "v, out, w"
_HAS_VALUE: Final = "v, w"

# Python has no more than 20 loops and 100 levels of indentation inside each other.
_MOST_LOOPS: Final = 8
_DEEP: Final = 40

_NAMES: Final[dict[str, Any]] = {
    "Argument": runtime.Argument,
    "ArrayList": values.ArrayList,
    "Defined": runtime.Defined,
    "Loop": runtime.Loop,
    "NoMethod": values.NoMethod,
    "Stop": runtime.Stop,
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

_LOOP_VARIABLES: Final = {"foreach", "velocityCount", "velocityHasNext"}
_LONG_RUN: Final = 50
_OF_LOOP: Final = {
    "hasNext": "{i} + 1 < len({items})",
    "index": "{i}",
    "count": "{i} + 1",
    "first": "{i} == 0",
    "last": "{i} + 1 == len({items})",
}
"""What is read of `$foreach` without making one, right inside its loop."""


def _is_plain(statement: Statement) -> bool:
    """Whether it is a text, or a reference that `write_run` can write."""
    if isinstance(statement, Reference):
        return not statement.backslashes and all(isinstance(step, Member) for step in statement.steps)
    return isinstance(statement, Text)


class Compiler:
    """Makes one template's module."""

    def __init__(self, evaluate: runtime.Evaluate) -> None:
        self.module = Module({**_NAMES, "evaluate": evaluate})
        self.macros: dict[str, tuple[tuple[str, ...], str]] = {}
        """Parameters and function of each macro."""
        self.names: set[str] = set()
        self.evaluates = False
        self.loops: list[tuple[Function, Loop]] = []
        """All loops and where they are written."""

    def template(self, block: Block) -> str:
        """The name of the function that renders `block`."""
        name = self.renderer(block)
        for function, loop in self.loops:
            self.loop_variables(function, loop)
        return name

    def renderer(self, block: Block) -> str:
        """The name of a function that renders `block`."""
        function = self.module.function(_WRITES)
        head = function.placeholder()
        self.block(function, block)
        function.replace(head, f"w.spend({function.cost + 1})", 1)
        return function.name

    def evaluator(self, expression: Expression) -> str:
        """The name of a function that has the value of `expression`."""
        function = self.module.function(_HAS_VALUE)
        head = function.placeholder()
        function.line(f"return {self.value(function, expression)}")
        function.replace(head, f"w.spend({function.cost + 1})", 1)
        return function.name

    # Statements

    def block(self, f: Function, block: Block) -> None:
        """Statements; long runs of texts and plain references as data, for of these a program would be very long."""
        for long, statements in groupby(block, _is_plain) if len(block) > _LONG_RUN else [(False, iter(block))]:
            run = list(statements)
            if long and len(run) > _LONG_RUN:
                f.cost += sum(1 + len(part.steps) for part in run if isinstance(part, Reference))
                f.line(f"write_run({self.constant(tuple(map(self.plain, run)))}, v, out, w)")
            else:
                for statement in run:
                    self.statement(f, statement)

    def plain(self, statement: Statement) -> runtime.Plain:
        """What `write_run` takes."""
        if isinstance(statement, Text):
            return statement.text
        assert isinstance(statement, Reference)
        self.names.add(statement.root)
        names = tuple(step.name for step in statement.steps if isinstance(step, Member))
        return statement.root, names, "" if statement.quiet else statement.source

    def statement(self, f: Function, statement: Statement) -> None:
        f.cost += 1
        with f.locals():
            match statement:
                case Text(text):
                    f.line(f"out({self.constant(text)})")
                case Reference():
                    self.write(f, statement)
                case Set(target, value):
                    self.set(f, target, value)
                case If():
                    self.condition(f, statement)
                case Foreach():
                    self.foreach(f, statement)
                case Break(outwards):
                    self.leave(f, outwards)
                case Stop():
                    f.line("raise Stop")
                case Macro(name, parameters, block):
                    if name not in self.macros:
                        self.macros[name] = (parameters, "")
                        self.macros[name] = (parameters, self.renderer(block))
                case Call():
                    self.call(f, statement)
                case Define(name, block):
                    f.line(f"v[{self.constant(name)}] = Defined({self.renderer(block)}, v, w)")
                case Evaluate(source):
                    self.evaluates = True
                    f.line(f"evaluate({self.value(f, source)}, v, out, w)")
                case _:
                    assert_never(statement)

    def write(self, f: Function, reference: Reference) -> None:
        """Write a reference's text, as the backslashes before it want (Velocity user guide, "Escaping")."""
        prefix = "\\" * (reference.backslashes // 2)
        if reference.backslashes % 2:
            found = self.reference(f, reference)
            known, unknown = self.constant(prefix + reference.source), self.constant(f"{prefix}\\{reference.source}")
            f.line(f"out({unknown} if {found} is None else {known})")
            return
        if prefix:
            f.line(f"out({self.constant(prefix)})")
        f.line(f"out({self.text_of(f, reference, prefix)})")

    def set(self, f: Function, target: Reference, value: Expression) -> None:
        self.names.add(target.root)
        found = self.value(f, value)
        if not target.steps:
            f.line(f"v[{self.constant(target.root)}] = {found}")
            return
        whole = f.local()
        f.line(f"{whole} = v[{self.constant(target.root)}]")
        *steps, last = target.steps
        for step in steps:
            self.step(f, whole, step)
        match last:
            case Member(name):
                f.line(f"set_member({whole}, {self.constant(name)}, {found})")
            case Index(key):
                f.line(f"set_index({whole}, {self.value(f, key)}, {found})")
            case Method():
                raise AssertionError("the parser refuses it")
            case _:
                assert_never(last)

    def condition(self, f: Function, statement: If) -> None:
        """One condition is an `if`. Of several, `chosen` is the number of the first that holds, so nothing nests."""
        before = most = f.cost
        (first, block), *more = statement.branches
        if not more:
            test = self.test(f, first)
            before = most = f.cost
            with f.block(f"if {test}"):
                self.block(f, block)
            most = max(most, f.cost)
            if statement.otherwise:
                f.cost = before
                with f.block("else"):
                    self.block(f, statement.otherwise)
            f.cost = max(most, f.cost)
            return
        chosen = f.local()
        f.line(f"{chosen} = 1 if {self.test(f, first)} else 0")
        for number, (expression, _) in enumerate(more, 2):
            with f.block(f"if not {chosen}"), f.locals():
                f.line(f"if {self.test(f, expression)}: {chosen} = {number}")
        before = most = f.cost
        for number, (_, block) in enumerate([*statement.branches, (None, statement.otherwise)], 1):
            f.cost = before
            wanted = number if number <= len(statement.branches) else 0
            if block:
                with f.block(f"if {chosen} == {wanted}"):
                    self.block(f, block)
            most = max(most, f.cost)
        f.cost = most

    def foreach(self, f: Function, statement: Foreach) -> None:
        if len(f.loops) >= _MOST_LOOPS or f.indent >= _DEEP:
            f.line(f"{self.renderer((statement,))}(v, out, w)")
            return
        items, i, old, had = f.local(), f.local(), f.local(), f.local()
        name = self.constant(statement.name)
        self.names.add(statement.name)
        f.line(f"{items} = looped({self.value(f, statement.items)}, w)")
        f.line(f"{had} = {name} in v")
        f.line(f"{old} = v[{name}]")
        loop = Loop(items, i, f.indent)
        self.loops.append((f, loop))
        loop.before = f.placeholder()
        spending = f.placeholder()
        outside, f.cost = f.cost, 1
        f.loops.append(loop)
        with f.block(f"for {i}, v[{name}] in enumerate({items})"):
            loop.first = f.placeholder()
            self.block(f, statement.block)
            f.line("pass")
        f.loops.pop()
        loop.after = f.placeholder()
        f.replace(spending, f"w.spend({f.cost} * len({items}))", loop.indent)
        f.cost = outside
        f.line(f"v.restore({name}, {old}, {had})")
        for left in loop.leaving:
            f.line(f"if x{left}: break")

    def loop_variables(self, f: Function, loop: Loop) -> None:
        """Set `$foreach` and its older forms in `loop`, if the template reads them anywhere."""
        i, items = loop.counter, loop.items
        wanted = self.names | _LOOP_VARIABLES if self.evaluates else self.names
        before, first, after = [], [], []
        if loop.left:
            before.append(f"x{i} = False")
        for variable, value in (("velocityCount", f"{i} + 1"), ("velocityHasNext", f"{i} + 1 < len({items})")):
            if variable in wanted:
                name, old = self.constant(variable), f"{variable}{i}"
                before.append(f"{old} = v[{name}]")
                first.append(f"v[{name}] = {value}")
                after.append(f"v.restore({name}, {old}, {old} is not None)")
        if "foreach" in wanted:
            name = self.constant("foreach")
            before.append(f"outer{i} = v[{name}]; loop{i} = v[{name}] = Loop(len({items}), outer{i})")
            first.append(f"loop{i}.index = {i}")
            after.append(f"v.restore({name}, outer{i}, outer{i} is not None)")
        f.replace(loop.before, "; ".join(before), loop.indent)
        f.replace(loop.first, "; ".join(first), loop.indent + 1)
        f.replace(loop.after, "; ".join(after), loop.indent)

    def leave(self, f: Function, outwards: int) -> None:
        """Leave a loop around this, the outermost where there aren't so many; without any, the function."""
        if not f.loops:
            f.line("return")
            return
        left, *between = f.loops[-1 - min(outwards, len(f.loops) - 1) :]
        if between:
            left.left = True
            f.line(f"x{left.counter} = True")
        for loop in between:
            loop.leaving.add(left.counter)
        f.line("break")

    def call(self, f: Function, call: Call) -> None:
        f.cost += 1
        given = self.module.later([self.argument(argument) for argument in call.arguments])
        body = "None" if call.body is None else self.renderer(call.body)
        names = f"{self.constant(call.name)}, {given}, {self.constant(call.source)}, {body}"
        f.line(f"invoke_macro({names}, v, out, w)")

    def argument(self, expression: Expression) -> str:
        """Python for the Argument that `expression` is."""
        function = self.evaluator(expression)
        if isinstance(expression, Reference):
            return f"Argument({function}, {self.constant(expression.root)}, {self.constant(expression.source)})"
        return f"Argument({function})"

    # Expressions: each gives the Python that has the value, cheap enough to be written more than once

    def constant(self, value: object) -> str:
        return self.module.constant(value)

    def value(self, f: Function, expression: Expression) -> str:
        """Write what computes `expression`, and give the name of its value."""
        if f.indent >= _DEEP and not isinstance(expression, Constant):
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
        if f.indent >= _DEEP:
            return f"{self.evaluator(expression)}(v, w) not in (None, False)"
        match expression:
            case Not(operand):
                return f"not ({self.test(f, operand)})"
            case Logic(every, operands):
                return self.logic(f, every, operands)
            case Equality(negated, left, right):
                f.cost += 1
                test = f"equal({self.value(f, left)}, {self.value(f, right)}, w)"
                return f"not {test}" if negated else test
            case Order(operator, left, right):
                f.cost += 1
                return f'compare("{operator}", {self.value(f, left)}, {self.value(f, right)})'
            case _:
                found = self.value(f, expression)
                return f"{found} is not None and {found} is not False"

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
        found = f.local()
        if len(block) <= _LONG_RUN and all(
            isinstance(part, Text) or (isinstance(part, Reference) and not part.backslashes) for part in block
        ):
            f.cost += len(block)
            names = "".join(
                f"{self.constant(part.text)}, " if isinstance(part, Text) else f"{self.text_of(f, part)}, "
                for part in block
                if isinstance(part, Text | Reference)
            )
            f.line(f"{found} = joined(({names}), w)")
        else:
            f.line(f"{found} = []")
            f.line(f"{self.renderer(block)}(v, {found}.append, w)")
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
        self.names.add(reference.root)
        f.line(f"{found} = v[{self.constant(reference.root)}]")
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
        self.names.add(reference.root)
        root = self.constant(reference.root)
        source = self.constant(prefix + ("" if reference.quiet else reference.source))
        f.line(f"{found} = v[{root}]")
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
        if len(steps) > _LONG_RUN and all(isinstance(step, Member) for step in steps):
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
                    given = self.values(f, arguments)
                    f.line(f"try: {found} = call({found}, {self.constant(name)}, [{given}], w)")
                    f.line(f"except NoMethod: {found} = None")
                case _:
                    assert_never(step)
