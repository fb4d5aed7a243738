"""MOCK: what its templates may hold while they are static text."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping

from wsgateway.errors import Problem
from wsgateway.model.base import NOT_YET
from wsgateway.model.explain import shown

DEFAULT_KEYS = ("application/json", "$default", r"\$default")
"""The keys under which a template stands when no expression picks one, in AWS's order."""

_LANGUAGE = re.compile(
    r"\$!?\{?[A-Za-z]|\$[!{]|#(?:#|\*|\[\[|@|\{?(?:set|if|elseif|else|end|foreach|break|stop|return|macro|include|parse"
    r"|evaluate|define)\b)"
)


def chosen(templates: Mapping[str, str]) -> str | None:
    """The template used where no expression picks one."""
    return next((templates[key] for key in DEFAULT_KEYS if key in templates), None)


def status_code(template: str) -> int | None:
    """The statusCode a static request template gives, or None where it gives none."""
    try:
        match json.loads(template):
            case {"statusCode": int(status)} if 200 <= status <= 599:
                return status
    except (ValueError, RecursionError):
        pass
    return None


def check_templates(templates: Mapping[str, str]) -> Iterator[Problem]:
    """One template, under a key that needs no expression, without mapping language."""
    if len(templates) > 1:
        yield Problem((), f"choosing among several templates is {NOT_YET}; keep one, under $default")
    for key, template in templates.items():
        if key not in DEFAULT_KEYS:
            yield Problem((key,), f"choosing a template by key is {NOT_YET}; write $default or application/json")
        found = _LANGUAGE.search(template)
        if found:
            part = shown(template[found.start() : found.start() + 20])
            yield Problem((key,), f"mapping templates are {NOT_YET}; write static text without {part}")


def check_request(templates: Mapping[str, str]) -> Iterator[Problem]:
    """The request template says which status the mock answers with."""
    if not templates:
        text = "MOCK answers from a template; write {$default: '{\"statusCode\": 200}'}"
        yield Problem((), text)
    problems = list(check_templates(templates))
    yield from problems
    if problems:
        return
    for key, template in templates.items():
        if status_code(template) is None:
            yield Problem((key,), f"{shown(template)} is no JSON object with a statusCode from 200 to 599")
