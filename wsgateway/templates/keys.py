r"""Selection expressions that pick a mapping template: evaluated on an event, and on what its backend answered.

API Gateway developer guide, "Selection expressions": `$request.body…`, in responses `$integration.response.statuscode`,
`.header.NAME` and `.multivalueheader.NAME`, constants, `\$` for a dollar sign. `$context.NAME` and
`$stageVariables.NAME` besides. A variable without a value is empty, also where the message is no JSON.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from wsgateway.invocation import header_text
from wsgateway.templates.document import JSON, MISSING, Format, to_text
from wsgateway.templates.expression import ExpressionError
from wsgateway.templates.selection import JMESPATH, Variable, parse

if TYPE_CHECKING:
    from wsgateway.messages import EndpointResponse
    from wsgateway.templates.parameters import Values
    from wsgateway.templates.selection import Part
    from wsgateway.templates.steps import Path

STATUS: Final = "integration.response.statuscode"
HEADER: Final = "integration.response.header"
HEADERS: Final = "integration.response.multivalueheader"

REQUEST_ROOTS: Final = ("context", "stageVariables")
RESPONSE_ROOTS: Final = (*REQUEST_ROOTS, STATUS, HEADER, HEADERS)

Read = Callable[["Values", "EndpointResponse | None"], str]


class KeyExpression:
    """One expression, compiled. `fixed` is what it gives where it reads nothing, else None."""

    def __init__(self, expression: str, roots: Sequence[str], binary: Format = JSON) -> None:
        """`roots` is REQUEST_ROOTS or RESPONSE_ROOTS, `binary` how the bodies of binary messages are written.

        Raises ExpressionError.
        """
        if expression.startswith(JMESPATH):
            raise ExpressionError("jmespath: is for route selection expressions; write $request.body.NAME", expression)
        parts = parse(expression, roots)
        self.variables = [part for part in parts if isinstance(part, Variable)]
        self.fixed = parts[0] if len(parts) == 1 and isinstance(parts[0], str) else None
        self._reads = [_reader(part, binary) for part in parts]

    def __call__(self, values: Values, answer: EndpointResponse | None = None) -> str:
        """The key of one event. Never raises."""
        return "".join([read(values, answer) for read in self._reads])


def _reader(part: Part, binary: Format) -> Read:
    match part:
        case str():
            return lambda values, answer: part
        case Variable("context", name):
            return lambda values, answer: values.context(name) or ""
        case Variable("stageVariables", name):
            return lambda values, answer: values.stage_variable(name) or ""
        case Variable(root, name):
            return _of_answer(root, name)
        case _:
            return _of_message(part, binary)


def _of_message(path: Path, binary: Format) -> Read:
    def read(values: Values, answer: EndpointResponse | None) -> str:
        if values.document is None:
            values.document = (binary if values.binary else JSON).decode(values.body())
        if values.document is MISSING:
            return ""
        try:
            return to_text(path(values.document))
        except RecursionError:
            return ""

    return read


def _of_answer(root: str, name: str) -> Read:
    if root == STATUS:
        return lambda values, answer: "" if answer is None else str(answer.status)
    wanted = name.lower().encode()

    def read(values: Values, answer: EndpointResponse | None) -> str:
        headers = () if answer is None else answer.headers
        found = [header_text(value) for key, value in headers if key.lower() == wanted]
        return ",".join(found) if root == HEADERS else found[-1] if found else ""

    return read
