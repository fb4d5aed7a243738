"""Caps: how many calls the routes of one integration may have under way (`maxConcurrency`)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from wsgateway.model.base import Path
from wsgateway.model.uri import expand
from wsgateway.upstream.exchange import Gate

if TYPE_CHECKING:
    from wsgateway.integrations.base import Site
    from wsgateway.model.integration import Integration

Key = tuple[str, Path, str, int]
"""API, where the integration is written, URI with the stage's variables filled in, cap."""


class Gates:
    """One cap for all routes that use an integration, and for its stages as far as they call the same URI."""

    def __init__(self) -> None:
        self._gates: dict[Key, Gate] = {}
        self._refused = 0  # by gates that are gone

    def of(self, integration: Integration, site: Site) -> Gate | None:
        """The cap at a site, None where there is none; kept over a reload that changes none of what makes it."""
        key = _key(integration, site)
        return None if key is None else self._gates.setdefault(key, Gate(key[-1]))

    def keep_only(self, uses: Iterable[tuple[Integration, Site]]) -> None:
        """Let go of caps that none of `uses` has."""
        for key in self._gates.keys() - {_key(integration, site) for integration, site in uses}:
            self._refused += self._gates.pop(key).refused

    @property
    def refused(self) -> int:
        """Calls turned away so far."""
        return self._refused + sum(gate.refused for gate in self._gates.values())


def _key(integration: Integration, site: Site) -> Key | None:
    most = integration.max_concurrency
    if most is None:
        return None
    return site.api_id, site.definition, expand(integration.integration_uri or "", site.stage_variables), most
