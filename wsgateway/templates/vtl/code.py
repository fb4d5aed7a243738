"""Writing Python: functions of one module, lines with their indentation, and constants by name.

What a template says gets into the module as the value of a constant only, never as text of the program.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

_DEEP: Final = 40
_LONG: Final = 1000
"""Lines of a function."""

_LINES_AT_ONCE: Final = 2000
"""Python's compiler takes about 10 KiB a line, until it is done."""


@dataclass(slots=True)
class Loop:
    """A loop being written: the names of its list and counter, and the numbers of lines that are filled in later."""

    items: str
    counter: str
    indent: int
    before: int = 0
    first: int = 0
    after: int = 0
    left: bool = False
    """Whether an inner loop leaves this one."""
    leaving: set[str] = field(default_factory=set)
    """The counters of loops around this one that are left from inside it."""


class Function:
    """A function being written."""

    def __init__(self, name: str, parameters: str) -> None:
        self.name = name
        self.lines = [f"def {name}({parameters}):", ""]
        """The second is for `begin`."""
        self.indent = 1
        self.cost = 0
        """Steps that one call takes, what is in loops and in branches not taken apart."""
        self.loops: list[Loop] = []
        """Those around what is being written, the innermost last."""
        self._locals = 0

    def is_long(self) -> bool:
        """Whether it should go on in another function."""
        return len(self.lines) > _LONG

    def is_full(self) -> bool:
        """Whether what can be must be in another function: Python's blocks are no more than 100 inside each other."""
        return self.indent >= _DEEP or len(self.lines) > 2 * _LONG

    def line(self, text: str) -> int:
        """Add a line; its number is for `replace`."""
        self.lines.append(" " * self.indent + text)
        return len(self.lines) - 1

    def placeholder(self) -> int:
        """A line whose text is known later. Without any it stays empty."""
        self.lines.append("")
        return len(self.lines) - 1

    def begin(self, statements: list[str]) -> None:
        """What the function does first, which is known last."""
        self.replace(1, "; ".join(statements), 1)

    def replace(self, line: int, text: str, indent: int) -> None:
        """Give a placeholder its text."""
        self.lines[line] = " " * indent + text if text else ""

    @contextmanager
    def block(self, head: str) -> Iterator[None]:
        """`head:` and what is written in the `with` block, which may be nothing."""
        self.line(f"{head}:")
        self.indent += 1
        length = len(self.lines)
        yield
        if len(self.lines) == length:
            self.line("pass")
        self.indent -= 1

    def local(self) -> str:
        """A name for a value."""
        self._locals += 1
        return f"t{self._locals}"

    @contextmanager
    def locals(self) -> Iterator[None]:
        """The names given within are used again after the `with` block."""
        before = self._locals
        yield
        self._locals = before


class Module:
    """Functions and constants, compiled together."""

    def __init__(self, names: dict[str, Any]) -> None:
        self.names = dict(names)
        """What the functions find beside their parameters."""
        self.functions: list[Function] = []
        self._later: list[str] = []
        self._constants: dict[tuple[type, object], str] = {}

    def function(self, parameters: str) -> Function:
        """A new function."""
        function = Function(f"f{len(self.functions)}", parameters)
        self.functions.append(function)
        return function

    def constant(self, value: object) -> str:
        """The name that stands for `value`, a hashable one."""
        key = (type(value), value)
        name = self._constants.get(key)
        if name is None:
            name = self._constants[key] = f"c{len(self._constants)}"
            self.names[name] = value
        return name

    def later(self, items: list[str]) -> str:
        """The name of a tuple of `items`, Python that is evaluated once, when all functions are there."""
        name = f"g{len(self._later)}"
        self._later.append(f"{name} = ({''.join(f'{item}, ' for item in items)})")
        return name

    def load(self) -> dict[str, Any]:
        """Compile; all names with their values."""
        lines: list[str] = []
        for function in self.functions:
            lines += filter(None, function.lines)
            if len(lines) > _LINES_AT_ONCE:
                self._execute(lines)
                lines = []
        self._execute([*lines, *self._later])
        return self.names

    def _execute(self, lines: list[str]) -> None:
        code = compile("\n".join(lines), "<template>", "exec", dont_inherit=True)
        exec(code, self.names)  # noqa: S102  # the program is ours to the letter; see above
