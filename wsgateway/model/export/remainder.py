"""`x-wsgateway`: what of an API is lost where its document is read again."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path as FilePath
from typing import Any

from wsgateway.model.base import Path
from wsgateway.model.export.plain import plain
from wsgateway.model.export.security import sources
from wsgateway.model.openapi.reading import OURS, Reading
from wsgateway.model.openapi.translate import translate
from wsgateway.model.rest import RestApi


def with_remainder(
    document: dict[str, Any], api: RestApi, api_id: str, stage: str, directory: FilePath
) -> dict[str, Any]:
    """The document, which then means exactly this API with this stage alone.

    It is read here as an import would, and what differs is written as a JSON merge patch (RFC 7396), so that nothing is
    lost whatever a document has no word for. Variables of paths are required parameters of each method there; that is
    no difference.
    """
    version = 3 if "openapi" in document else 2
    named = {**document, OURS: {"apis": {api_id: {}}}}
    have = translate(named, version, lambda path: 0, Reading()).root["apis"][api_id]
    want, whole = (_as_read(plain(api, defaults=defaults, directory=directory), stage) for defaults in (False, True))
    patch = _difference(have, want, whole, ())
    if "stages" in patch:
        patch["stages"] = want["stages"]  # in place of the document's, which are not read then
    return {**document, OURS: {"apis": {api_id: patch}}}


def _as_read(api: dict[str, Any], stage: str) -> dict[str, Any]:
    """A plain API as an import of an equal document would say it."""
    api["stages"] = {stage: api["stages"][stage]}
    for path, methods in api["paths"].items():
        named = {f"method.request.path.{name}": True for name in re.findall(r"\{([^{}+]+)\}", path)}
        for method in methods.values() if named else ():
            method["requestParameters"] = named | method.get("requestParameters", {})
    for authorizer in api.get("authorizers", {}).values():
        if authorizer.get("identitySource"):
            authorizer["identitySource"] = ", ".join(sources(authorizer))
    return api


def _difference(have: Mapping[str, Any], want: Mapping[str, Any], whole: Mapping[str, Any], at: Path) -> dict[str, Any]:
    """The merge patch that makes `want` of `have`; `whole` is `want` with all that needs no saying."""
    patch: dict[str, Any] = {}
    for key in dict.fromkeys([*have, *want]):
        here, there = have.get(key), whole.get(key)
        if at[:1] == ("models",) and len(at) == 2 and key == "schema":
            if here != there:
                patch[key] = json.dumps(there, ensure_ascii=False)  # as text: a patch would take nulls for removals
        elif isinstance(here, dict) and isinstance(there, dict) and key in want:
            inner = _difference(here, want[key], there, (*at, key))
            if inner:
                patch[key] = inner
        elif key not in have or here != there:
            patch[key] = want.get(key)
    return patch
