"""Reading directives: each method reads one whose # stands at `start`, from behind its word on."""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Callable
from typing import Final

from wsgateway.templates.vtl.expressions import MAX_DEPTH, NAME, ExpressionReader
from wsgateway.templates.vtl.nodes import (
    Block,
    Break,
    Call,
    Define,
    Evaluate,
    Expression,
    Foreach,
    If,
    Macro,
    Method,
    Set,
    Statement,
    Stop,
    Text,
)

DIRECTIVE: Final = re.compile(rf"#(?:\{{(@?{NAME})\}}|(@?[a-zA-Z_][a-zA-Z0-9_]*))")
OPEN: Final = re.compile(r"[ \t\r\n]*\(")
REST_OF_LINE: Final = re.compile(r"[ \t]*(?:\r\n|\n|\r)")
_VARIABLE = re.compile(rf"\$!?(?:\{{({NAME})\}}|({NAME}))")
_LOOP = re.compile(r"\$!?\{?foreach((?:\.parent)*|\.topmost)\}?(?=[ \t\r\n)])")
_IN = re.compile(r"in(?![a-zA-Z0-9_-])")

ENDS: Final = frozenset({"end", "else", "elseif"})
FILES: Final = frozenset({"include", "parse"})


class DirectiveReader(ExpressionReader):
    """Reads directives of a template."""

    def __init__(self, text: str, depth: int = 0) -> None:
        super().__init__(text, depth)
        self.ended = 0
        """Where the #end, #else or #elseif stands that was read last."""
        self.directives: dict[str, Callable[[int], Statement]] = {
            "set": self.set,
            "if": self.condition,
            "foreach": self.foreach,
            "break": self.leave,
            "stop": self.stop,
            "literal": self.literal,
            "macro": self.macro,
            "define": self.define,
            "evaluate": self.evaluate,
        }

    @abstractmethod
    def block(self) -> tuple[Block, str]:
        """Statements up to #end, #else, #elseif or the end of the text, and which of these (empty: the text's)."""

    def open(self, start: int) -> None:
        if not self.match(OPEN):
            found = DIRECTIVE.match(self.text, start)
            word = "" if found is None else found[0]
            raise self.error(f"expected ( behind {word}; as plain text it is written \\{word}", start)
        self.blank()

    def end_line(self, problem: str, opened: int) -> None:
        """Step over the closing parenthesis, and the line's rest where only blanks are there."""
        self.blank()
        self.close(")", problem, opened)
        self.match(REST_OF_LINE)

    def set(self, start: int) -> Set:
        self.open(start)
        place = self.position
        target = self.reference()
        if target.steps and isinstance(target.steps[-1], Method):
            raise self.error("the result of a method can't be set", place)
        self.blank()
        if not self.take("=") or self.at("="):
            raise self.error(f"expected = and a value behind {target.source}")
        value = self.expression()
        self.end_line("this #set has no )", start)
        return Set(target, value)

    def condition(self, start: int) -> If:
        branches: list[tuple[Expression, Block]] = []
        end, word = "elseif", start
        while end == "elseif":
            self.open(word)
            test = self.expression()
            self.end_line("this has no )", word)
            block, end = self.block()
            word = self.ended
            branches.append((test, block))
        otherwise: Block = ()
        if end == "else":
            otherwise, end = self.block()
            if end in {"else", "elseif"}:
                raise self.error(f"this #{end} stands behind an #else; expected #end", self.ended)
        if not end:
            raise self.error("this #if has no #end", start)
        return If(tuple(branches), otherwise)

    def body(self, start: int, directive: str) -> Block:
        """The block up to the #end of the `directive` at `start`."""
        block, end = self.block()
        if not end:
            raise self.error(f"this #{directive} has no #end", start)
        if end != "end":
            raise self.error(f"this #{end} belongs to no #if; expected the #end of #{directive}", self.ended)
        return block

    def foreach(self, start: int) -> Foreach:
        self.open(start)
        name = self.variable("expected $NAME in VALUE")
        self.blank()
        if not self.match(_IN):
            raise self.error(f"expected `in` and a value behind ${name}")
        items = self.expression()
        self.end_line("this #foreach has no )", start)
        return Foreach(name, items, self.body(start, "foreach"))

    def leave(self, start: int) -> Break:
        """#break, and which loop it leaves: $foreach, $foreach.parent, and so on, or $foreach.topmost."""
        if not self.match(OPEN):
            return Break(0)
        self.blank()
        outwards = 0
        if not self.at(")"):
            place = self.position
            scope = self.match(_LOOP)
            if scope is None:
                raise self.error("expected the loop to leave: $foreach, $foreach.parent or $foreach.topmost", place)
            outwards = MAX_DEPTH if scope[1] == ".topmost" else scope[1].count(".")
        self.end_line("this #break has no )", start)
        return Break(outwards)

    def stop(self, start: int) -> Stop:
        if self.match(OPEN):
            self.end_line("this #stop has no )", start)
        return Stop()

    def literal(self, start: int) -> Text:
        """A block that isn't rendered, but read."""
        self.open(start)
        self.end_line("this #literal has no )", start)
        first = self.position
        self.body(start, "literal")
        return Text(self.text[first : self.ended])

    def macro(self, start: int) -> Macro:
        self.open(start)
        name = self.word()
        if not name:
            raise self.error("expected the macro's name")
        if name in self.directives or name in ENDS or name in FILES:
            raise self.error(f"#{name} is a directive; a macro needs another name", self.position - len(name))
        parameters: list[str] = []
        self.separator()
        while not self.at(")"):
            parameters.append(self.variable("expected $NAME of a parameter, or )"))
            self.separator()
        self.end_line("this #macro has no )", start)
        return Macro(name, tuple(parameters), self.body(start, "macro"))

    def define(self, start: int) -> Define:
        self.open(start)
        name = self.variable("expected $NAME, which will be the block's")
        self.end_line("this #define has no )", start)
        return Define(name, self.body(start, "define"))

    def evaluate(self, start: int) -> Evaluate:
        self.open(start)
        source = self.expression()
        self.end_line("this #evaluate has no )", start)
        return Evaluate(source)

    def call(self, name: str, start: int) -> Call:
        arguments = self.call_arguments() if OPEN.match(self.text, self.position) else ()
        body = self.body(start, name) if name.startswith("@") else None
        return Call(name.lstrip("@"), arguments, self.text[start : self.position], body)

    def call_arguments(self) -> tuple[Expression, ...]:
        """`(a b, c)`: values without operators, for blanks alone may stand between them."""
        start = self.position
        self.match(OPEN)
        self.separator()
        arguments: list[Expression] = []
        while not self.at(")"):
            if self.position == len(self.text):
                raise self.error("these arguments have no )", start)
            arguments.append(self.primary())
            self.separator()
        self.end_line("these arguments have no )", start)
        return tuple(arguments)

    def separator(self) -> None:
        """Step over blanks and a comma among them."""
        self.blank()
        if self.take(","):
            self.blank()

    def variable(self, problem: str) -> str:
        """The name of a reference without steps."""
        found = self.match(_VARIABLE)
        if found is None:
            raise self.error(problem)
        return found[1] or found[2]
