"""What is left out of definitions where a document may say more than is supported.

Nothing opens by it: a method whose authorization is not supported is left out as a whole, and an API with a resource
policy that is not supported is not read at all.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Final

from wsgateway.errors import Problem
from wsgateway.model.base import NOT_YET, Path

GUARDS: Final = frozenset({"apiKeyRequired", "authorizationScopes", "authorizationType", "authorizer", "authorizerId"})
"""Without these a method would be open to more people."""
NEEDED: Final = frozenset({"policy", "endpointConfiguration", "disableExecuteApiEndpoint"})
"""Without these an API would be."""
HARMLESS: Final[Path] = ("endpointConfiguration", "ipAddressType")
"""But not without this."""
IGNORED: Final = ("has no effect", "unknown key")
"""What problems begin with that are about something of no consequence."""
WHOLE: Final = frozenset({"authorizers", "requestValidators"})
"""These hold as they are written, or not at all."""


def drop(root: dict[str, Any], problems: Iterable[Problem]) -> list[Problem]:
    """Remove from `root` what is not supported yet, known, or of any effect; gives what was, each with why."""
    dropped: list[Problem] = []
    for problem in problems:
        path = problem.path
        if not (NOT_YET in problem.text or problem.text.startswith(IGNORED)) or path[:1] != ("apis",):
            continue
        needed = len(path) > 2 and path[2] in NEEDED and path[2:] != HARMLESS
        if needed or (len(path) > 3 and path[2] in WHOLE):
            continue
        why = problem.text
        if len(path) > 5 and path[2] == "paths" and path[5] in GUARDS:
            why = f"left out, for without {path[5]} more people could call it: {why}"
            path = path[:5]
        else:
            why = f"left out: {why}"
        if remove(root, path):
            dropped.append(replace(problem, path=path, text=why))
    return dropped


def remove(root: dict[str, Any], path: Path) -> bool:
    """Whether there was something at `path`, which is gone now; a path without methods goes with its last one."""
    above: Any = root
    for key in path[:-1]:
        above = above.get(key) if isinstance(above, dict) else None
    found = isinstance(above, dict) and above.pop(path[-1], None) is not None
    if found and above == {} and len(path) == 5 and path[2] == "paths":
        remove(root, path[:-1])
    return found
