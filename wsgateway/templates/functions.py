"""What may close a JSONPath: `.length()`, `.sum()`, `.concat('-', $.b)` and the other functions of Jayway JsonPath.

Behind a path with `..` a function is given all that was found; behind other paths, each value apart. Where it has
nothing to say of a value, there is no result. Numbers are computed in double precision and printed as Java prints them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from wsgateway.templates.document import MISSING, Json, Missing, Number, double_text
from wsgateway.templates.operands import Operand
from wsgateway.templates.steps import CHARACTERS_PER_WORK, Scope, Step

Arguments: TypeAlias = Sequence[Json | Missing]
Evaluate: TypeAlias = Callable[[Json, Arguments, Scope], Json | Missing]


@dataclass(frozen=True, slots=True)
class Function:
    """`evaluate` is given the value and the arguments; `arguments` are the fewest and the most there may be."""

    evaluate: Evaluate
    arguments: tuple[int, int] = (0, 0)
    scans: bool = True
    """Whether it may stand behind `..`."""


MAX_ARGUMENTS: Final = 16


def call(function: Function, arguments: Sequence[Operand]) -> Step:
    """The step that calls `function`."""

    def step(node: Json, scope: Scope) -> Iterator[Json]:
        scope.spend(1 + len(arguments))
        found = function.evaluate(node, [argument(node, scope) for argument in arguments], scope)
        if found is not MISSING:
            yield found

    return step


def _length(node: Json, arguments: Arguments, scope: Scope) -> Json | Missing:
    return Number(str(len(node))) if isinstance(node, dict | list) else MISSING


def sizes(node: Json, scope: Scope) -> Iterator[Json]:
    """`..name.length()`: how many children all that was found has."""
    found = node if isinstance(node, list) else []
    scope.spend(len(found))
    yield Number(str(sum([len(item) for item in found if isinstance(item, dict | list)])))


def _keys(node: Json, arguments: Arguments, scope: Scope) -> Json | Missing:
    if not isinstance(node, dict):
        return MISSING
    scope.spend(len(node))
    return list(node)


def _at(place: int | None) -> Evaluate:
    """The element at `place`, or at the first argument; a negative place counts from the end."""

    def evaluate(node: Json, arguments: Arguments, scope: Scope) -> Json | Missing:
        index: Json | Missing | int = arguments[0] if place is None else place
        if isinstance(index, Number):
            index = int(index.value()) if math.isfinite(index.value()) else len(node) if isinstance(node, list) else 0
        if not isinstance(node, list) or not isinstance(index, int) or isinstance(index, bool):
            return MISSING
        return node[index] if -len(node) <= index < len(node) else MISSING

    return evaluate


def _concat(node: Json, arguments: Arguments, scope: Scope) -> Json | Missing:
    """The strings of the array, then those of the arguments; of an array among these, all but null as text."""
    texts = [item for item in node if isinstance(item, str)] if isinstance(node, list) else []
    for argument in arguments:
        if isinstance(argument, str):
            texts.append(argument)
        elif isinstance(argument, list):
            texts += [text for item in argument if (text := _text(item)) is not None]
    scope.spend(len(texts) + sum(map(len, texts)) // CHARACTERS_PER_WORK)
    return "".join(texts)


def _text(value: Json) -> str | None:
    match value:
        case str():
            return value
        case Number():
            return value.text
        case True | False:
            return str(value).lower()
        case _:
            return None


def _append(node: Json, arguments: Arguments, scope: Scope) -> Json | Missing:
    """The array and the arguments behind its elements; what is no array is left as it is."""
    if not isinstance(node, list):
        return node
    scope.spend(len(node) + len(arguments))
    return [*node, *[argument for argument in arguments if argument is not MISSING]]


def _aggregate(compute: Callable[[list[float]], float]) -> Evaluate:
    """What `compute` makes of the numbers of the array and of the arguments."""

    def evaluate(node: Json, arguments: Arguments, scope: Scope) -> Json | Missing:
        numbers: list[float] = []
        for values in (node if isinstance(node, list) else [], *arguments):
            items = values if isinstance(values, list) else [values]
            scope.spend(len(items))
            numbers += [float(item.value()) for item in items if isinstance(item, Number) and _is_double(item)]
        if not numbers:
            return MISSING
        result = compute(numbers)
        return Number(double_text(result)) if math.isfinite(result) else MISSING

    return evaluate


def _is_double(number: Number) -> bool:
    try:
        return math.isfinite(float(number.value()))
    except OverflowError:
        return False


def _deviation(numbers: list[float]) -> float:
    """Of the whole population."""
    mean = sum(numbers) / len(numbers)
    if not math.isfinite(mean):
        return math.nan
    return math.sqrt(sum([(number - mean) * (number - mean) for number in numbers]) / len(numbers))


FUNCTIONS: Final[dict[str, Function]] = {
    "length": Function(_length),
    "size": Function(_length),
    "min": Function(_aggregate(min), (0, MAX_ARGUMENTS)),
    "max": Function(_aggregate(max), (0, MAX_ARGUMENTS)),
    "avg": Function(_aggregate(lambda numbers: sum(numbers) / len(numbers)), (0, MAX_ARGUMENTS)),
    "sum": Function(_aggregate(sum), (0, MAX_ARGUMENTS)),
    "stddev": Function(_aggregate(_deviation), (0, MAX_ARGUMENTS)),
    "concat": Function(_concat, (0, MAX_ARGUMENTS)),
    "append": Function(_append, (1, MAX_ARGUMENTS), scans=False),
    "keys": Function(_keys, scans=False),
    "first": Function(_at(0), scans=False),
    "last": Function(_at(-1), scans=False),
    "index": Function(_at(None), (1, 1), scans=False),
}
