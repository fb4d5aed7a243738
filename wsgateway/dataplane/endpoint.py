"""Which API and stage a request means, from its Host and path alone.

In this order: a custom domain by Host, with the path as its mappings say; Host `{apiId}.execute-api.*` with path
`/{stage}`; path `/execute-api/{apiId}/{stage}`; else the default API with path `/{stage}`. An apiId that is named and
unknown is 403, as on AWS (API Gateway developer guide, "Invoke WebSocket APIs").
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from urllib.parse import unquote

from wsgateway.errors import AccessDenied, BadRequest
from wsgateway.model.domain import domain_of

_execute_api = re.compile(r"([a-z0-9-]+)\.execute-api(?:\.|$)").match
FORBIDDEN = "the path holds a dot segment, a backslash or NUL"

Target = tuple[str, str | None]
"""Of a mapping: apiId and stage; None where the path's next segment names the stage."""

REMEMBERED = 1024
"""Callback URLs' stages kept, of all forms clients write them in."""

# A slash that is encoded separates segments, too, for those behind us who decode a path before they split it.
_forbidden = re.compile(r"\\|%5c|%00|(?:/|%2f)(?:\.|%2e){1,2}(?=/|%2f|$)", re.IGNORECASE).search


@dataclass(frozen=True, slots=True)
class Place:
    """A request's API, stage and what is left of the path, its segments percent-decoded.

    `prefix` is what stands in the URL before the stage, to compose a callback URL that comes back here; `domain` is the
    custom domain that chose the API, as it is defined. `closed` says that clients may not come in this way, for the
    API has `disableExecuteApiEndpoint`.
    """

    api_id: str
    stage: str
    rest: tuple[str, ...]
    prefix: str = ""
    domain: str | None = None
    by_host: bool = field(default=False, compare=False)
    """Whether the Host chose the API, so that under another Host the same path means another one."""
    closed: bool = False
    tail: tuple[str, ...] = field(default=(), compare=False)
    """What is left of the path, its segments as they came, with empty ones."""
    base: str = field(default="", compare=False)
    """The path of callback URLs on the same Host, up to `/@connections`."""
    key: str | None = field(default=None, compare=False)
    """Of a custom domain, the key of the mapping."""

    @property
    def prefix_elsewhere(self) -> str:
        """As `prefix`, for URLs with another Host."""
        return f"/execute-api/{self.api_id}" if self.by_host else self.prefix


_OURS = (("@connections",), ("@tickets",))


class Mappings:
    """The API mappings of one domain: the longest key that is the beginning of a path, whole segments, wins."""

    __slots__ = ("_by_key", "_by_stage", "_deepest")

    def __init__(self, mappings: Mapping[str, Target]) -> None:
        self._by_key = {tuple(filter(None, key.split("/"))): target for key, target in mappings.items()}
        self._deepest = max(map(len, self._by_key))
        targets = set(mappings.values())
        stages = [stage for _, stage in targets]
        self._by_stage: dict[str | None, Target] = {
            stage: (api_id, stage) for api_id, stage in targets if stages.count(stage) == 1
        }
        if "" in mappings:
            self._by_stage[mappings[""][1]] = mappings[""]

    def find(self, segments: tuple[str, ...]) -> tuple[Target, int] | None:
        """The target that answers at a path, and how many segments its key has.

        Code that composes `https://{domainName}/{stage}/@connections/{id}` finds its stage too, where no mapping is
        meant: of the API the domain itself stands for, or of the only one that has it; `@tickets` likewise. (Ours: AWS
        has the mapping key alone in that place.)
        """
        target, length = None, 0
        for length in range(min(self._deepest, len(segments)), -1, -1):
            target = self._by_key.get(segments[:length])
            if target is not None:
                break
        if not length and segments[1:2] in _OURS and segments[0] in self._by_stage:
            return self._by_stage[segments[0]], 1
        return None if target is None else (target, length)


class Endpoints:
    """Resolves requests; made anew from each set of definitions.

    `apis` names each API and its stages, `default` the API meant where a request names none, `domains` has each custom
    domain's mappings by key, `domains_only` the APIs that nothing but a domain leads to, and `aliases` what else stands
    for an apiId in a Host.
    """

    def __init__(
        self,
        apis: Mapping[str, frozenset[str]],
        default: str | None,
        domains: Mapping[str, Mapping[str, Target]] | None = None,
        domains_only: frozenset[str] = frozenset(),
        aliases: Mapping[str, str] | None = None,
    ) -> None:
        self.empty = not apis
        """Whether they lead to nothing."""
        self._apis = apis
        self._aliases = aliases or {}
        self._default = default
        self._domains = {name: Mappings(mappings) for name, mappings in (domains or {}).items()}
        self._domains_only = domains_only
        self._callbacks: dict[tuple[str, str], Place] = {}
        self._entries: dict[tuple[str, str], Place] = {}

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

    def enter(self, host: str, path: str) -> tuple[Place, Sequence[str]]:
        """As `resolve`, and the segments that are left of the path, as they came.

        Of the place only what all paths of a stage have in common counts: stages are remembered by how paths begin.
        *Raises* as `resolve` does.
        """
        if ("%" in path or "\\" in path or "/." in path) and _forbidden(path) is not None:
            raise BadRequest(FORBIDDEN)
        _, first, *tail = path.split("/")
        known = self._entries.get((host, first))
        if known is not None:
            return known, tail
        place = self.resolve(host, path)
        if place.domain is not None or place.prefix:
            return place, place.tail
        if len(self._entries) >= REMEMBERED:
            self._entries.clear()
        self._entries[host, first] = place
        return place, tail

    def resolve(self, host: str, target: str) -> Place:
        """The place a request means.

        *Raises* AccessDenied for an unknown API or stage, BadRequest for dot segments, backslashes and NUL in the
        path, raw or encoded: what is matched and authorised must be what everybody downstream reads.
        """
        path = target.partition("?")[0]
        segments = path.split("/")[1:]
        if _forbidden(path) is not None:
            raise BadRequest(FORBIDDEN)
        domain = domain_of(host, self._domains) if self._domains else None
        if domain is not None:
            return self._by_mapping(domain, segments)
        place = self._by_stage(host, segments)
        return replace(place, closed=True) if place.api_id in self._domains_only else place

    def _by_mapping(self, domain: str, segments: list[str]) -> Place:
        decoded = tuple(map(unquote, segments))
        found = self._domains[domain].find(decoded)
        if found is None:
            raise AccessDenied(f"no API mapping of the domain {domain} answers to this path")
        (api_id, stage), length = found
        key = "/".join(decoded[:length])
        if stage is None:
            stage = self._stage(api_id, decoded[length] if length < len(decoded) else "")
            length += 1
        base = "".join(f"/{segment}" for segment in segments[:length])
        tail = tuple(segments[length:])
        return Place(api_id, stage, _rest(decoded[length:]), domain=domain, by_host=True, tail=tail, base=base, key=key)

    def _by_stage(self, host: str, segments: list[str]) -> Place:
        prefix = ""
        by_host = False
        match = _execute_api(host)
        if match is not None:
            api_id: str | None = self._aliases.get(match[1], match[1])
            by_host = True
            named = f"the Host names API {api_id}, which is not defined"
        elif len(segments) >= 2 and segments[0] == "execute-api":
            api_id = segments[1]
            segments = segments[2:]
            prefix = f"/execute-api/{api_id}"
            named = f"the path names API {api_id}, which is not defined"
        else:
            api_id = self._default
            named = "the request names no API and there is no default API; set defaultApi"
        if api_id is None or api_id not in self._apis:
            raise AccessDenied(named)
        stage = self._stage(api_id, unquote(segments[0]) if segments else "")
        rest = _rest(tuple(map(unquote, segments[1:])))
        return Place(api_id, stage, rest, prefix, by_host=by_host, tail=tuple(segments[1:]), base=f"{prefix}/{stage}")

    def _stage(self, api_id: str, stage: str) -> str:
        if stage not in self._apis[api_id]:
            known = ", ".join(sorted(self._apis[api_id]))
            raise AccessDenied(f"API {api_id} has no stage {stage!r}; its stages: {known}")
        return stage


def _rest(segments: tuple[str, ...]) -> tuple[str, ...]:
    return segments[:-1] if segments and segments[-1] == "" else segments  # a trailing slash is accepted
