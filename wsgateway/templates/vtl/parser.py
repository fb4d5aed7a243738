"""Reading templates of Velocity 1.7: text, comments, escapes, directives, and the blanks that belong to directives.

Of a directive belong to it, and aren't written: the rest of the line behind a closing parenthesis, `#else` and `#end`
where nothing but blanks is there; and blanks before `#set` where a reference, comment or directive is before them, or
nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, NamedTuple

from wsgateway.templates.vtl.errors import TemplateError, Wrong
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

_SPECIAL = re.compile(r"[\\$#]")
_BACKSLASHES = re.compile(r"\\+")
_DIRECTIVE = re.compile(rf"#(?:\{{(@?{NAME})\}}|(@?[a-zA-Z_][a-zA-Z0-9_]*))")
_OPEN = re.compile(r"[ \t\r\n]*\(")
_REST_OF_LINE = re.compile(r"[ \t]*(?:\r\n|\n|\r)")
_LINE_COMMENT = re.compile(r"##[^\r\n]*(?:\r\n|\n|\r)?")
_VARIABLE = re.compile(rf"\$!?(?:\{{({NAME})\}}|({NAME}))")
_LOOP = re.compile(r"\$!?\{?foreach((?:\.parent)*|\.topmost)\}?(?=[ \t\r\n)])")
_IN = re.compile(r"in(?![a-zA-Z0-9_-])")
_MACROS = re.compile(rf"#(?:macro|\{{macro\}})[ \t\r\n]*\([ \t\r\n]*({NAME})")

_ENDS: Final = frozenset({"end", "else", "elseif"})
_FILES: Final = frozenset({"include", "parse"})


def parse(text: str, *, evaluated: bool = False) -> Block:
    """The statements of `text`; one that is evaluated may call macros that it doesn't define. Raises TemplateError."""
    macros = _Macros(frozenset(_MACROS.findall(text)), evaluated or "evaluate" in text)
    try:
        return _Parser(text, macros).template()
    except Wrong as wrong:
        raise TemplateError(wrong.problem, text, min(wrong.position, len(text))) from wrong


class _Macros(NamedTuple):
    """Which words may be macros."""

    defined: frozenset[str]
    """Those that `#macro` stands before somewhere: with these, what looks like a call is one."""
    more: bool
    """Whether others may be defined when the template is rendered."""


class _Statements:
    """Statements as they are read. Text that follows text is one statement with it."""

    def __init__(self) -> None:
        self.done: list[Statement] = []
        self.texts: list[str] = []

    def text(self, text: str) -> None:
        if text:
            self.texts.append(text)

    def add(self, statement: Statement) -> None:
        self.flush()
        self.done.append(statement)

    def drop_blanks(self) -> None:
        """Take back the text read last if it is but blanks; of longer text they are a part, in Velocity's grammar."""
        if self.texts and not self.texts[-1].strip(" \t"):
            self.texts.pop()

    def flush(self) -> None:
        text = "".join(self.texts)
        self.texts.clear()
        if text:
            self.done.append(Text(text))


class _Parser(ExpressionReader):
    """Reads one template, or one string in double quotes."""

    def __init__(self, text: str, macros: _Macros, depth: int = 0) -> None:
        super().__init__(text, depth)
        self.macros = macros
        self.ended = 0
        """Where the #end, #else or #elseif stands that was read last."""
        self.plain_until = 0
        """Up to here, what stands behind an unknown word was seen to be no arguments."""
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

    def template(self) -> Block:
        """All of the text."""
        block, end = self.block()
        if end:
            raise self.error(f"this #{end} belongs to no directive before it", self.ended)
        return block

    def template_in(self, content: str) -> Block:
        return _Parser(content, self.macros, self.depth).template()

    def block(self) -> tuple[Block, str]:
        """Statements up to #end, #else, #elseif or the end of the text, and which of these (empty: the text's)."""
        self.deeper()
        statements = _Statements()
        end = ""
        while not end:
            found = _SPECIAL.search(self.text, self.position)
            if found is None:
                statements.text(self.text[self.position :])
                self.position = len(self.text)
                break
            statements.text(self.text[self.position : found.start()])
            self.position = found.start()
            match found[0]:
                case "$":
                    self.dollar(statements)
                case "#":
                    end = self.hash(statements)
                case _:
                    self.escape(statements)
        statements.flush()
        self.depth -= 1
        return tuple(statements.done), end

    # What isn't text

    def dollar(self, statements: _Statements, backslashes: int = 0) -> None:
        reference = self.try_reference(backslashes)
        if reference is None:
            statements.text("\\" * backslashes + "$")
            self.position += 1
        else:
            statements.add(reference)

    def escape(self, statements: _Statements) -> None:
        """Backslashes: they mean something before a reference, and before a word that is a directive's or a macro's."""
        found = self.match(_BACKSLASHES)
        assert found is not None
        count = len(found[0])
        if self.at("$"):
            self.dollar(statements, count)
            return
        directive = _DIRECTIVE.match(self.text, self.position)
        if directive is None or not self.known(directive[1] or directive[2]):
            statements.text(found[0])
            if directive is not None and count % 2:
                statements.text(directive[0])
                self.position = directive.end()
            return
        # In Velocity's grammar, two backslashes before #set are none that escapes.
        statements.text("\\" * (count if count % 2 == 0 and directive[0] == "#set" else count // 2))
        if count % 2:
            statements.text(directive[0])
            self.position = directive.end()

    def known(self, name: str) -> bool:
        """Whether `name` behind a # means anything."""
        return name in self.directives or name in _ENDS or name in _FILES or name.lstrip("@") in self.macros.defined

    def hash(self, statements: _Statements) -> str:
        """A comment, a directive or plain text; the name of what ends a block, else an empty string."""
        start = self.position
        if self.match(_LINE_COMMENT):
            return ""
        if self.at("#*"):
            self.skip_to("*#", "this comment has no closing *#")
            return ""
        if self.at("#[["):
            self.skip_to("]]#", "this #[[ has no closing ]]#")
            statements.text(self.text[start + 3 : self.position - 3])
            statements.text("")
            return ""
        found = self.match(_DIRECTIVE)
        if found is None:
            statements.text("#")
            self.position += 1
            return ""
        name = found[1] or found[2]
        if name in _ENDS:
            self.ended = start
            if name != "elseif":
                self.match(_REST_OF_LINE)
            return name
        self.directive(name, start, statements)
        return ""

    def skip_to(self, end: str, problem: str) -> None:
        """Step behind `end`, which stands somewhere behind the two characters here."""
        at = self.text.find(end, self.position + 2)
        if at < 0:
            raise self.error(problem)
        self.position = at + len(end)

    def directive(self, name: str, start: int, statements: _Statements) -> None:
        read = self.directives.get(name)
        if read is not None and (name != "set" or _OPEN.match(self.text, self.position)):
            if name == "set":
                statements.drop_blanks()
            statements.add(read(start))
        elif name.lstrip("@") in self.macros.defined:
            statements.add(self.call(name, start))
        elif name in _FILES and _OPEN.match(self.text, self.position):
            raise self.error(f"there are no files to #{name} here", start)
        else:
            self.plain(name, start, statements)

    def plain(self, name: str, start: int, statements: _Statements) -> None:
        """An unknown word, and what looks like its arguments: text that isn't rendered, as in Velocity."""
        end = self.position
        arguments: tuple[Expression, ...] = ()
        if end >= self.plain_until and _OPEN.match(self.text, end):
            depth = self.depth
            try:
                arguments = self.call_arguments()
                end = self.position
            except Wrong:
                self.plain_until = self.position
                self.depth = depth
        self.position = end
        source = self.text[start:end]
        if self.macros.more and not name.startswith("@"):
            statements.add(Call(name, arguments, source))
        else:
            statements.text(source)

    # Directives: `start` is where the # stands; what is read is behind the word

    def open(self, start: int) -> None:
        if not self.match(_OPEN):
            found = _DIRECTIVE.match(self.text, start)
            word = "" if found is None else found[0]
            raise self.error(f"expected ( behind {word}; as plain text it is written \\{word}", start)
        self.blank()

    def end_line(self, problem: str, opened: int) -> None:
        """Step over the closing parenthesis, and the line's rest where only blanks are there."""
        self.blank()
        self.close(")", problem, opened)
        self.match(_REST_OF_LINE)

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
        if not self.match(_OPEN):
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
        if self.match(_OPEN):
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
        if name in self.directives or name in _ENDS or name in _FILES:
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
        arguments = self.call_arguments() if _OPEN.match(self.text, self.position) else ()
        source = self.text[start : self.position]
        body = self.body(start, name) if name.startswith("@") else None
        return Call(name.lstrip("@"), arguments, source, body)

    def call_arguments(self) -> tuple[Expression, ...]:
        """`(a b, c)`: values without operators, for blanks alone may stand between them."""
        start = self.position
        self.match(_OPEN)
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
