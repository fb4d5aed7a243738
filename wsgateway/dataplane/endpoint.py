"""Which API and stage a request means, from its Host and path alone.

In this order: Host `{apiId}.execute-api.*` with path `/{stage}`; path `/execute-api/{apiId}/{stage}`; else the default
API with path `/{stage}`. An apiId that is named and unknown is 403, as on AWS (API Gateway developer guide, "Invoke
WebSocket APIs").
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import unquote

from wsgateway.errors import AccessDenied, BadRequest

_execute_api = re.compile(r"([a-z0-9-]+)\.execute-api(?:\.|$)").match
_dots = re.compile(r"(?:\.|%2e){1,2}", re.IGNORECASE).fullmatch
REMEMBERED = 1024
"""Callback URLs' stages kept, of all forms clients write them in."""

_forbidden = re.compile(r"\\|%5c|%00", re.IGNORECASE).search


@dataclass(frozen=True, slots=True)
class Place:
    """A request's API, stage and what is left of the path, its segments percent-decoded.

    `prefix` is what stands in the URL before the stage, to compose a callback URL that comes back here.
    """

    api_id: str
    stage: str
    rest: tuple[str, ...]
    prefix: str = ""


class Endpoints:
    """Resolves requests; made anew from each set of definitions.

    `apis` names each API and its stages, `default` the API meant where a request names none.
    """

    def __init__(self, apis: Mapping[str, frozenset[str]], default: str | None) -> None:
        self._apis = apis
        self._default = default
        self._callbacks: dict[tuple[str, str], Place] = {}

    def stage_of_callback(self, host: str, head: str) -> Place | None:
        """The place of `{head}/{id}`, if it was resolved before: backends push to one stage again and again."""
        return self._callbacks.get((host, head))

    def resolve_callback(self, host: str, target: str) -> Place:
        """As `resolve`, and remembers a callback URL's stage. *Raises* as `resolve` does."""
        place = self.resolve(host, target)
        one_id = len(place.rest) == 2 and place.rest[0] == "@connections"
        if one_id and "?" not in target and not target.endswith("/"):
            if len(self._callbacks) >= REMEMBERED:
                self._callbacks.clear()
            self._callbacks[host, target[: target.rfind("/")]] = place
        return place

    def resolve(self, host: str, target: str) -> Place:
        """The place a request means.

        *Raises* AccessDenied for an unknown API or stage, BadRequest for dot segments, backslashes and NUL in the
        path, raw or encoded: what is matched and authorised must be what everybody downstream reads.
        """
        path = target.partition("?")[0]
        segments = path.split("/")[1:]
        if _forbidden(path) is not None or any(_dots(segment) for segment in segments):
            raise BadRequest("the path holds a dot segment, a backslash or NUL")
        prefix = ""
        match = _execute_api(host)
        if match is not None:
            api_id: str | None = match[1]
            named = f"the Host names API {api_id}, which is not defined"
        elif len(segments) >= 2 and segments[0] == "execute-api":
            api_id = segments[1]
            segments = segments[2:]
            prefix = f"/execute-api/{api_id}"
            named = f"the path names API {api_id}, which is not defined"
        else:
            api_id = self._default
            named = "the request names no API and there is no default API; set defaultApi"
        stages = self._apis.get(api_id) if api_id is not None else None
        if api_id is None or stages is None:
            raise AccessDenied(named)
        stage = unquote(segments[0]) if segments else ""
        if stage not in stages:
            known = ", ".join(sorted(stages))
            raise AccessDenied(f"API {api_id} has no stage {stage!r}; its stages: {known}")
        rest = [unquote(segment) for segment in segments[1:]]
        if rest and rest[-1] == "":
            rest.pop()  # a trailing slash is accepted
        return Place(api_id, stage, tuple(rest), prefix)
