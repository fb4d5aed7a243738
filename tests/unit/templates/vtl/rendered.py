"""Templates rendered with a few variables of each kind."""

from __future__ import annotations

from wsgateway.templates import vtl
from wsgateway.templates.vtl.values import ArrayList, Value


def variables() -> dict[str, Value]:
    """New ones for each rendering: templates change them."""
    return {
        "x": "X",
        "n": 3,
        "yes": True,
        "no": False,
        "empty": "",
        "list": ArrayList(["a", "b", "c"]),
        "m": {"k": "v", "l": ArrayList([1, 2]), "a-b": "hyphen"},
    }


def render(template: str) -> str:
    """What `template` writes."""
    return vtl.compile(template).render(variables())
