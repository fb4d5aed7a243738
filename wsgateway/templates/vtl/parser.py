"""Reading templates of Velocity 1.7: text, comments, escapes, directives, and the blanks that belong to directives.

Of a directive belong to it, and aren't written: the rest of the line behind a closing parenthesis, `#else` and `#end`
where nothing but blanks is there; and blanks before `#set` where a reference, comment or directive is before them, or
nothing.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from wsgateway.templates.vtl.directives import DIRECTIVE, ENDS, FILES, OPEN, REST_OF_LINE, DirectiveReader
from wsgateway.templates.vtl.errors import TemplateError, Wrong
from wsgateway.templates.vtl.expressions import NAME
from wsgateway.templates.vtl.nodes import Block, Call, Expression, Statement, Text

_SPECIAL = re.compile(r"[\\$#]")
_BACKSLASHES = re.compile(r"\\+")
_LINE_COMMENT = re.compile(r"##[^\r\n]*(?:\r\n|\n|\r)?")
_MACROS = re.compile(rf"#(?:macro|\{{macro\}})[ \t\r\n]*\([ \t\r\n]*({NAME})")


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


class _Parser(DirectiveReader):
    """Reads one template, or one string in double quotes."""

    def __init__(self, text: str, macros: _Macros, depth: int = 0) -> None:
        super().__init__(text, depth)
        self.macros = macros
        self.plain_until = 0
        """Up to here, what stands behind an unknown word was seen to be no arguments."""

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
        directive = DIRECTIVE.match(self.text, self.position)
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
        return name in self.directives or name in ENDS or name in FILES or name.lstrip("@") in self.macros.defined

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
            statements.add(Text(self.text[start + 3 : self.position - 3]))
            return ""
        found = self.match(DIRECTIVE)
        if found is None:
            statements.text("#")
            self.position += 1
            return ""
        name = found[1] or found[2]
        if name in ENDS:
            self.ended = start
            if name != "elseif":
                self.match(REST_OF_LINE)
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
        if read is not None and (name != "set" or OPEN.match(self.text, self.position)):
            if name == "set":
                statements.drop_blanks()
            statements.add(read(start))
        elif name.lstrip("@") in self.macros.defined or (name.startswith("@") and self.macros.more):
            statements.add(self.call(name, start))
        elif name in FILES and OPEN.match(self.text, self.position):
            raise self.error(f"there are no files to #{name} here", start)
        else:
            self.plain(name, start, statements)

    def plain(self, name: str, start: int, statements: _Statements) -> None:
        """An unknown word, and what looks like its arguments: text that isn't rendered, as in Velocity."""
        end = self.position
        arguments: tuple[Expression, ...] = ()
        if end >= self.plain_until and OPEN.match(self.text, end):
            depth = self.depth
            try:
                arguments = self.call_arguments()
                end = self.position
            except Wrong:
                self.plain_until = self.position
                self.depth = depth
        self.position = end
        source = self.text[start:end]
        if self.macros.more:
            statements.add(Call(name, arguments, source))
        else:
            statements.text(source)
