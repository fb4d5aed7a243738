"""What the parser makes of a template: statements, which write, and expressions, which have a value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

ArithmeticOperator: TypeAlias = Literal["+", "-", "*", "/", "%"]
OrderOperator: TypeAlias = Literal["<", "<=", ">", ">="]


@dataclass(frozen=True, slots=True)
class Constant:
    """A number, a boolean, or a string without anything to render in it."""

    value: bool | int | float | str


@dataclass(frozen=True, slots=True)
class Interpolated:
    """A string in double quotes, which is a template itself."""

    block: Block


@dataclass(frozen=True, slots=True)
class ListOf:
    """`[a, b]`."""

    items: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class MapOf:
    """`{"a": b}`."""

    pairs: tuple[tuple[Expression, Expression], ...]


@dataclass(frozen=True, slots=True)
class Range:
    """`[first..last]`, downwards where last is less."""

    first: Expression
    last: Expression


@dataclass(frozen=True, slots=True)
class Not:
    """`!a`."""

    operand: Expression


@dataclass(frozen=True, slots=True)
class Logic:
    """`a && b && c` or `a || b || c`: evaluated as far as needed; true or false."""

    every: bool
    operands: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Equality:
    """`a == b`, `a != b`."""

    negated: bool
    left: Expression
    right: Expression


@dataclass(frozen=True, slots=True)
class Order:
    """`a < b` and its like."""

    operator: OrderOperator
    left: Expression
    right: Expression


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """`a + b - c`: a chain of operators of one precedence, from left to right."""

    first: Expression
    rest: tuple[tuple[ArithmeticOperator, Expression], ...]


@dataclass(frozen=True, slots=True)
class Member:
    """`.name`"""

    name: str


@dataclass(frozen=True, slots=True)
class Index:
    """`[key]`"""

    key: Expression


@dataclass(frozen=True, slots=True)
class Method:
    """`.name(arguments)`"""

    name: str
    arguments: tuple[Expression, ...]


Step: TypeAlias = Member | Index | Method


@dataclass(frozen=True, slots=True)
class Reference:
    """`$root.step.step`: an expression, and a statement that writes its value.

    `source` is its text from the dollar on; `backslashes` is how many stand before that.
    """

    root: str
    steps: tuple[Step, ...]
    quiet: bool
    source: str
    backslashes: int = 0


Expression: TypeAlias = (
    Constant | Interpolated | Reference | ListOf | MapOf | Range | Not | Logic | Equality | Order | Arithmetic
)


@dataclass(frozen=True, slots=True)
class Text:
    """Written as it is."""

    text: str


@dataclass(frozen=True, slots=True)
class Set:
    """`#set(target = value)`."""

    target: Reference
    value: Expression


@dataclass(frozen=True, slots=True)
class If:
    """`#if … #elseif … #else … #end`."""

    branches: tuple[tuple[Expression, Block], ...]
    otherwise: Block


@dataclass(frozen=True, slots=True)
class Foreach:
    """`#foreach($name in items)`."""

    name: str
    items: Expression
    block: Block


@dataclass(frozen=True, slots=True)
class Break:
    """`#break`: leaves the innermost loop, macro, evaluated text or defined block; else the template.

    `#break($foreach.parent)` leaves the loop one further out than the innermost, and so on; `outwards` counts.
    """

    outwards: int


@dataclass(frozen=True, slots=True)
class Stop:
    """`#stop`: ends the rendering; what was written stays."""


@dataclass(frozen=True, slots=True)
class Macro:
    """`#macro(name $a $b)`; writes nothing."""

    name: str
    parameters: tuple[str, ...]
    block: Block


@dataclass(frozen=True, slots=True)
class Call:
    """`#name(arguments)`, or `#@name(arguments) … #end` with a `body`.

    Where no macro has that name at run time, `source` is written: the text of all of it.
    """

    name: str
    arguments: tuple[Expression, ...]
    source: str
    body: Block | None = None


@dataclass(frozen=True, slots=True)
class Define:
    """`#define($name)`: a block that is rendered wherever the name is used."""

    name: str
    block: Block


@dataclass(frozen=True, slots=True)
class Evaluate:
    """`#evaluate(source)`: renders a text made at run time."""

    source: Expression


Statement: TypeAlias = Text | Reference | Set | If | Foreach | Break | Stop | Macro | Call | Define | Evaluate
Block: TypeAlias = tuple[Statement, ...]
