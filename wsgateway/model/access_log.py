"""Which row the access log has for each event of a stage."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, ClassVar

from annotated_types import MaxLen, MinLen

from wsgateway.errors import Problem
from wsgateway.model.base import Definition

VARIABLE = re.compile(r"\$(?:context\.([A-Za-z][A-Za-z0-9_.:-]*[A-Za-z0-9_])|\{context\.([A-Za-z][A-Za-z0-9_.:-]*)\})")
"""`$context.NAME` or `${context.NAME}`; the name is in the one group or in the other."""
ROW_IDS = frozenset({"requestId", "extendedRequestId"})
"""One of them is in every row: API Gateway developer guide, "Set up access logging"."""


class AccessLogSettings(Definition):
    """One row for each event of the stage: a handshake, a message, the end of a connection, a call of `@connections`,
    or a request of a REST API. `--access-log` says where rows go."""

    format: Annotated[str, MinLen(1), MaxLen(3072)]
    """The row: one line of any text with `$context` variables; one of them is `$context.requestId` or
    `$context.extendedRequestId`. What has no value is `-`; quotes, backslashes and control characters of values are
    written as in JSON."""

    elsewhere: ClassVar[Mapping[str, str]] = {"destinationArn": "rows go to stdout, or to the file of --access-log"}

    def check(self) -> Iterator[Problem]:
        if "\n" in self.format or "\r" in self.format:
            yield Problem(("format",), "a row is one line; write it without line breaks")
        if ROW_IDS.isdisjoint(names_in(self.format)):
            yield Problem(("format",), "the row must hold $context.requestId or $context.extendedRequestId")


def names_in(text: str) -> list[str]:
    """The variables that a format names, without `context.`, in order."""
    return [plain or braced for plain, braced in VARIABLE.findall(text)]
