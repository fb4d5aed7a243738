"""What templates leave in `$context.requestOverride` and `$context.responseOverride`, in place of what is mapped.

API Gateway developer guide, "Use a mapping template to override an API's request and response parameters and status
codes".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from wsgateway.errors import ApiConfigurationError
from wsgateway.templates import vtl

if TYPE_CHECKING:
    from wsgateway.invocation import Invocation
    from wsgateway.templates.mapping import Overrides

Pairs = list[tuple[str, str]]
"""Names and values, a name as often as it has values."""


def left_by_templates(read: Callable[[Invocation], Overrides], invocation: Invocation) -> Overrides:
    """The overrides that `read` finds. *Raises* ApiConfigurationError where they can't be printed."""
    try:
        return read(invocation)
    except vtl.RenderError as error:
        raise ApiConfigurationError(f"an override in $context: {error}") from error


def replaced(pairs: Pairs, over: Mapping[str, list[str]], same: Callable[[str], str] = str.lower) -> Pairs:
    """`pairs` without those whose name `over` has, and with what it has. `same` gives what names are compared by."""
    if not over:
        return pairs
    names = {same(name) for name in over}
    kept = [pair for pair in pairs if same(pair[0]) not in names]
    return kept + [(name, value) for name, values in over.items() for value in values]
