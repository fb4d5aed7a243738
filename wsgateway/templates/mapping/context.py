"""`$context`: the event's variables as a map that a template may change, and the overrides it leaves there.

The variables are those of the event's `variables`, made when they are asked for. A missing one is null: it prints as an
empty string, is false in `#if` and equal to `""`. API Gateway developer guide, "Use a mapping template to override an
API's request and response parameters and status codes".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from wsgateway.invocation import Invocation
from wsgateway.templates.vtl.methods_maps import MAPS
from wsgateway.templates.vtl.values import NoMethod, Tool, Value, Work, number, text

_OVERRIDES: Final[dict[str, tuple[str, ...]]] = {
    "requestOverride": ("header", "path", "querystring"),
    "responseOverride": ("header",),
}


class Context(Tool):
    """`$context`. It lives from an event's request template to its response template."""

    __slots__ = ("_complete", "_invocation", "_values")

    def __init__(self, invocation: Invocation) -> None:
        self._invocation = invocation
        self._values: dict[str, Value] = {}
        self._complete = False
        """Whether `_values` holds all there is: from then on it alone counts, so that a removed key stays away."""

    def member(self, name: str) -> Value:
        values = self._values
        if self._complete or name in values:
            return values.get(name)
        value = self._made(name)
        if value is not None:
            values[name] = value
        return value

    def set_member(self, name: str, value: Value) -> None:
        self._values[name] = value

    def call(self, name: str, arguments: list[Value], work: Work) -> Value:
        method = MAPS.get((name, len(arguments)))
        if method is None:
            raise NoMethod(name)
        return method(self.whole(), work, *arguments)

    def elements(self) -> list[Value]:
        return list(self.whole().values())

    def printed(self) -> Value:
        return self.whole()

    def whole(self) -> dict[str, Value]:
        """All variables that have a value, as the map that a template changes."""
        if not self._complete:
            names = self._invocation.variables.members
            found: dict[str, Value] = {name: value for name in names if (value := self.member(name)) is not None}
            self._values = found | self._values
            self._complete = True
        return self._values

    def given(self, name: str) -> Value:
        """What a template has left under `name`; null where none has asked for it."""
        return self._values.get(name)

    def _made(self, name: str) -> Value:
        variables = self._invocation.variables
        variable = variables.get(name)
        if variable is not None:
            return variable(self._invocation)
        group = variables.groups.get(name)
        if group is not None:
            found = {rest: value for rest, each in group.items() if (value := each(self._invocation)) is not None}
            return found or None  # type: ignore[return-value]  # a dict of strings and numbers is a Value
        if name == "authorizer":
            return _authorizer(self._invocation)
        places = _OVERRIDES.get(name)
        return None if places is None else {place: {} for place in places}


def _authorizer(invocation: Invocation) -> Value:
    """What is known of who the client is, to be changed by this event's templates alone."""
    known: dict[str, Value] = {
        key: dict(item) if isinstance(item, Mapping) else item for key, item in invocation.client.authorizer.items()
    }
    if invocation.authorizer_millis is not None:
        known["integrationLatency"] = invocation.authorizer_millis
    return known or None


@dataclass(frozen=True, slots=True)
class Overrides:
    """What templates have set in `$context.requestOverride` or `$context.responseOverride`.

    Each name has the values to be sent in place of the mapped ones, several where the template gave a list. `status`
    is an integer from 100 to 599; anything else a template set there is ignored, as on AWS.
    """

    header: Mapping[str, list[str]] = field(default_factory=dict)
    querystring: Mapping[str, list[str]] = field(default_factory=dict)
    path: Mapping[str, str] = field(default_factory=dict)
    status: int | None = None


_NONE: Final = Overrides()


def request_overrides(invocation: Invocation) -> Overrides:
    """What the request template has left for the request to the integration. Raises RenderError."""
    given = _given(invocation, "requestOverride")
    if given is None:
        return _NONE
    work = Work()
    path = {name: values[-1] for name, values in _texts(given.get("path"), work) if values}
    return Overrides(dict(_texts(given.get("header"), work)), dict(_texts(given.get("querystring"), work)), path)


def response_overrides(invocation: Invocation) -> Overrides:
    """What the templates, that of the request included, have left for the answer to the client. Raises RenderError."""
    given = _given(invocation, "responseOverride")
    if given is None:
        return _NONE
    status = number(given.get("status"))
    legal = status if isinstance(status, int) and 100 <= status <= 599 else None
    return Overrides(header=dict(_texts(given.get("header"), Work())), status=legal)


def _given(invocation: Invocation, name: str) -> dict[str, Value] | None:
    context = invocation.template_context
    given = context.given(name) if isinstance(context, Context) else None
    return given if isinstance(given, dict) else None


def _texts(given: Value, work: Work) -> Iterable[tuple[str, list[str]]]:
    """Each name with the texts of its values; null is none."""
    if not isinstance(given, dict):
        return
    for name, value in given.items():
        if value is not None:
            values = value if isinstance(value, list) else [value]
            yield name, [text(item, work) for item in values]
