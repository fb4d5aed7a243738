"""Models at run time: what holds a message against a JSON Schema of draft 4.

API Gateway developer guide, "Data models" and "Request validation for WebSocket APIs". A message is read by msgspec and
checked by jsonschema-rs, both at once and without any I/O; how much work that can be is bounded beforehand (`cost`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from math import isinf
from sys import float_info
from typing import Any, Final

import msgspec
from jsonschema_rs import Draft4Validator
from jsonschema_rs import ValidationError as Fault

from wsgateway.errors import Problem
from wsgateway.model.models import BUILT_IN, Model
from wsgateway.templates.document import MISSING, Missing, decode_with, number_value, too_deep
from wsgateway.templates.schema.cost import Cost
from wsgateway.templates.schema.graph import MAX_DEPTH, Graph, Node
from wsgateway.templates.schema.patterns import LINEAR, pattern_problem
from wsgateway.templates.schema.wording import MOST_FAULTS, in_words, listed

_EXPLAINED_BYTES: Final = 16_384
"""A larger message is told its first fault only: each fault takes a copy of what it is about."""


class Validator:
    """Holds messages against one model. Never raises on a message, whatever it holds."""

    __slots__ = ("_cost", "_validator", "name")

    def __init__(self, name: str, schema: dict[str, Any], cost: Cost) -> None:
        self.name = name
        self._cost = cost
        self._validator = Draft4Validator(schema, validate_formats=True, pattern_options=LINEAR, offline=True)

    def __call__(self, data: bytes) -> str | None:
        """What is wrong with a message in JSON, as `$context.error.validationErrorString` says it; None where it fits.

        One that is no JSON fits nothing, nor does one nested deeper than MAX_DEPTH.
        """
        if len(data) > MAX_DEPTH and too_deep(data, MAX_DEPTH):
            return listed([f"instance is nested deeper than {MAX_DEPTH} levels"])
        document = plain(data)
        if document is MISSING:
            return listed(["instance is not valid JSON"])
        cost = self._cost
        if len(data) > cost.safe_bytes and cost.exceeds(document):
            return listed([f"instance is too large to be checked against model {self.name}"])
        if self._validator.is_valid(document):
            return None
        return self._faults(document, len(data))

    def _faults(self, document: object, size: int) -> str:
        if size <= _EXPLAINED_BYTES:
            return in_words(islice(self._validator.iter_errors(document), 50 * MOST_FAULTS))
        try:
            self._validator.validate(document)
        except Fault as fault:
            return in_words([fault])
        return listed(["instance does not match the schema"])


class Models:
    """An API's models, and the two every API has. `problems` is all that is wrong with them; paths start at the API.

    `strict` holds them against draft 4, too (AWS's `disableSchemaValidation` turns that off); a reference that leaves
    the API and a pattern that could take more than linear time are refused anyway.
    """

    def __init__(self, api_id: str, models: Mapping[str, Model], *, strict: bool = True) -> None:
        every = {**BUILT_IN, **models}
        self._validators: dict[str, Validator] = {}
        self._graph = Graph(api_id, {name: model.schema_ for name, model in every.items()}, strict=strict)
        self.problems = [*self._graph.problems, *self._patterns()]
        if strict and not self.problems:
            self.problems += self._unusable()

    def validator(self, name: str) -> Validator:
        """What holds messages against the model `name`. Only where there are no problems.

        *Raises* ValueError where there can't be one, which happens to what wasn't checked strictly.
        """
        validator = self._validators.get(name)
        if validator is None:
            validator = Validator(name, self._graph.composed(name), Cost(self._graph.roots[name]))
            self._validators[name] = validator
        return validator

    def _patterns(self) -> Iterator[Problem]:
        for root in self._graph.roots.values():
            for node in root.everything():
                yield from _pattern_problems(node)

    def _unusable(self) -> Iterator[Problem]:
        """What only the library finds wrong."""
        for name, root in self._graph.roots.items():
            try:
                self.validator(name)
            except ValueError as error:
                yield root.problem(text=f"can't be used: {str(error).partition(chr(10))[0]}")


def plain(data: bytes) -> Any | Missing:
    """The JSON document in `data` with Python's numbers, all finite, or MISSING. Never raises."""
    try:
        return _decode(data)
    except (ValueError, RecursionError):  # msgspec's errors are ValueErrors; it refuses some of what is JSON
        return decode_with(data, _finite)


def _pattern_problems(node: Node) -> Iterator[Problem]:
    pattern = node.schema.get("pattern")
    if isinstance(pattern, str) and (problem := pattern_problem(pattern)):
        yield node.problem("pattern", text=problem)
    patterns = node.schema.get("patternProperties")
    for each in patterns if isinstance(patterns, dict) else ():
        if problem := pattern_problem(each):
            yield node.problem("patternProperties", each, text=problem)


def _finite(text: str) -> int | float:
    value = number_value(text)
    if isinstance(value, float) and isinf(value):
        return float_info.max if value > 0 else -float_info.max
    return value


_decode = msgspec.json.Decoder().decode
