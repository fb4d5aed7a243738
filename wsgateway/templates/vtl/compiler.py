"""Making Python of a template: one function, and one more for each macro, block, argument and for what nests too deep.

Steps are accounted for once per call and per loop; of the branches of an #if the longest counts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Final, assert_never

from wsgateway.templates.vtl import runtime
from wsgateway.templates.vtl.code import Function, Loop
from wsgateway.templates.vtl.compile_expressions import (
    LONG_RUN,
    REFERENCES_AT_ONCE,
    ExpressionCompiler,
    NotOneFunction,
)
from wsgateway.templates.vtl.nodes import (
    Block,
    Break,
    Call,
    Define,
    Evaluate,
    Expression,
    Foreach,
    If,
    Index,
    Macro,
    Member,
    Method,
    Reference,
    Set,
    Statement,
    Stop,
    Text,
)

_WRITES: Final = "v, out, w"

# Python has no more than 20 loops inside each other.
_MOST_LOOPS: Final = 8

_LOOP_VARIABLES: Final = {"foreach", "velocityCount", "velocityHasNext"}


def _breaks(statement: Statement, loops: int = 0) -> bool:
    """Whether a #break inside `loops` in it leaves more than these: it has to be in the function of what it leaves."""
    match statement:
        case Break(outwards):
            return outwards >= loops
        case If(branches, otherwise):
            blocks = [*(block for _, block in branches), otherwise]
            return any(_breaks(inner, loops) for block in blocks for inner in block)
        case Foreach(_, _, block):
            return any(_breaks(inner, loops + 1) for inner in block)
        case _:
            return False


def _portions(run: Sequence[Text | Reference], references: int) -> Iterator[list[Text | Reference]]:
    """`run` in parts of so many references and the texts before and after them; as it is, if `write_run` takes it."""
    part: list[Text | Reference] = []
    if len(run) > LONG_RUN and all(map(_is_plain, run)):
        part, run = list(run), ()
    count = 0
    for statement in run:
        if isinstance(statement, Reference):
            count += 1
            if count > references:
                yield part
                part, count = [], 1
        part.append(statement)
    yield part


def _is_plain(statement: Text | Reference) -> bool:
    """Whether `write_run` can write it."""
    if isinstance(statement, Reference):
        return not statement.backslashes and all(isinstance(step, Member) for step in statement.steps)
    return True


class Compiler(ExpressionCompiler):
    """Makes one template's module."""

    def __init__(self, evaluate: runtime.Evaluate, *, stops: bool, alone: bool) -> None:
        super().__init__(evaluate, alone=alone)
        self.stops = stops
        """Whether there may be a #stop."""
        self.macros: dict[str, tuple[tuple[str, ...], str]] = {}
        """Parameters and function of each macro."""
        self.evaluates = False
        self.loops: list[tuple[Function, Loop]] = []
        """All loops and where they are written."""

    def template(self, block: Block) -> str:
        """The name of the function that renders `block`."""
        name = self.renderer(block)
        for function, loop in self.loops:
            self.loop_variables(function, loop)
        loads = [f"{local} = v[{self.constant(name)}]" for name, local in self.locals.items()]
        for function in self.module.functions:
            function.begin([f"w.spend({function.cost + 1})", *loads])
        return name

    def renderer(self, block: Block) -> str:
        """The name of a function that renders `block`."""
        function = self.function(_WRITES)
        self.block(function, block)
        return function.name

    # Statements

    def block(self, f: Function, block: Block) -> None:
        """Statements; where `f` gets long, in functions that it calls one after the other."""
        into = f
        # A reference may hold a block that ends the rendering: what stands before it has to be written before.
        at_once = 1 if self.stops else REFERENCES_AT_ONCE
        for is_text, group in groupby(block, lambda statement: isinstance(statement, Text | Reference)):
            if is_text:
                run = [statement for statement in group if isinstance(statement, Text | Reference)]
                for portion in _portions(run, at_once):
                    into = self.part(f, into)
                    self.write(into, portion)
            else:
                for statement in group:
                    into = f if _breaks(statement) else self.part(f, into)
                    self.statement(into, statement)

    def part(self, f: Function, into: Function) -> Function:
        """`into`, a part of `f`, or another where that has got long."""
        if not into.is_long():
            return into
        part = self.function(_WRITES)
        f.line(f"{part.name}(v, out, w)")
        return part

    def write(self, f: Function, portion: list[Text | Reference]) -> None:
        """Write texts and references at once; very many as data, not as a program."""
        if len(portion) > LONG_RUN:
            if self.alone:
                raise NotOneFunction
            f.cost += len(portion) + sum(len(part.steps) for part in portion if isinstance(part, Reference))
            f.line(f"write_run({self.constant(tuple(map(self.plain, portion)))}, v, out, w)")
            return
        with f.locals():
            f.line(f"out.append({self.joined(f, [text for part in portion for text in self.texts(f, part)])})")

    def plain(self, statement: Text | Reference) -> runtime.Plain:
        """What `write_run` takes."""
        if isinstance(statement, Text):
            return statement.text
        self.names.add(statement.root)
        names = tuple(step.name for step in statement.steps if isinstance(step, Member))
        return statement.root, names, "" if statement.quiet else statement.source

    def statement(self, f: Function, statement: Statement) -> None:
        f.cost += 1
        with f.locals():
            match statement:
                case Text() | Reference():
                    self.write(f, [statement])
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
                    self.names.add(name)
                    f.line(f"v[{self.constant(name)}] = Defined({self.renderer(block)}, v, w)")
                case Evaluate(source):
                    if self.alone:
                        raise NotOneFunction
                    self.evaluates = True
                    f.line(f"evaluate({self.value(f, source)}, v, out, w)")
                case _:
                    assert_never(statement)

    def set(self, f: Function, target: Reference, value: Expression) -> None:
        variable = self.variable(target.root)
        found = self.value(f, value)
        if not target.steps:
            beside = f"{variable} = " if self.alone else ""
            f.line(f"v[{self.constant(target.root)}] = {beside}{found}")
            return
        self.changes = True
        whole = f.local()
        f.line(f"{whole} = {variable}")
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
        if len(f.loops) >= _MOST_LOOPS or f.is_full():
            f.line(f"{self.renderer((statement,))}(v, out, w)")
            return
        items, i, old, had = f.local(), f.local(), f.local(), f.local()
        name, variable = self.constant(statement.name), self.variable(statement.name)
        f.line(f"{items} = looped({self.value(f, statement.items)}, w)")
        f.line(f"{had} = {name} in v")
        f.line(f"{old} = {variable}")
        if self.alone:
            f.line(f"v[{name}] = None")
        loop = Loop(items, i, f.indent)
        self.loops.append((f, loop))
        loop.before = f.placeholder()
        at_once = None if any(map(_breaks, statement.block)) else f.placeholder()
        outside, f.cost = f.cost, 1
        f.loops.append(loop)
        with f.block(f"for {i}, {variable} in enumerate({items})"):
            loop.first, each = f.placeholder(), f.placeholder()
            self.block(f, statement.block)
            f.line("pass")
        f.loops.pop()
        loop.after = f.placeholder()
        if at_once is None:  # how many rounds there will be isn't known
            f.replace(each, f"w.spend({f.cost})", loop.indent + 1)
        else:
            f.replace(at_once, f"w.spend({f.cost} * len({items}))", loop.indent)
        f.cost = outside
        f.line(f"v.restore({name}, {old}, {had})")
        if self.alone:
            f.line(f"{variable} = {old}")
        for left in loop.leaving:
            f.line(f"if x{left}: break")

    def loop_variables(self, f: Function, loop: Loop) -> None:
        """Set `$foreach` and its older forms in `loop`, if the template reads them anywhere."""
        i, items = loop.counter, loop.items
        wanted = _LOOP_VARIABLES if self.evaluates else _LOOP_VARIABLES & self.names
        if self.alone and wanted:
            raise NotOneFunction
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
        if self.alone:
            raise NotOneFunction
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
