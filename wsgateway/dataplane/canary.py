"""Canaries of REST stages: what answers a share of their requests.

API Gateway developer guide, "Set up an API Gateway canary release deployment". What a stage says (settings of methods,
limits, logs, its cache) holds for its canary, too; the API is its deployment's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from wsgateway.errors import Problem
from wsgateway.model.explain import in_words, shown
from wsgateway.model.fingerprint import short

if TYPE_CHECKING:
    from wsgateway.model.definitions import Definitions
    from wsgateway.model.loader import Loaded, Source
    from wsgateway.model.rest import RestApi

CANARY = "/Canary"
"""What AWS's log groups of canaries end in; here what a canary's own cache is called, behind the stage's name."""


@dataclass(frozen=True, slots=True)
class Version:
    """What one stage, or its canary, executes: an API as it is in some file."""

    api: RestApi
    """With the stages that it is to be compiled for, and no others."""
    definitions: Definitions
    """With that API in the place of its own."""
    deployment_id: str
    source: Source
    written_as: str
    """The API's id in that file."""

    def located(self, problems: Iterable[Problem]) -> Iterator[Problem]:
        """Problems of the API in its file; those of its stages are told where these are written."""
        for problem in problems:
            if problem.path[2:3] != ("stages",):
                yield self.source.locate(replace(problem, path=("apis", self.written_as, *problem.path[2:])))


def deployment_id(loaded: Loaded) -> str:
    """`$context.deploymentId`: what `wsgateway deployments` calls it."""
    return short(loaded.digest)


def canary_of(loaded: Loaded, api_id: str, name: str) -> Version | Problem | None:
    """What the canary of a stage executes; None where the stage has none, a Problem where it is nothing.

    Functions, roles and links are those of `loaded`, as they are no part of a deployment on AWS.
    """
    api = loaded.definitions.rest_apis[api_id]
    stage = api.stages[name]
    settings = stage.canary_settings
    if settings is None:
        return None
    other = loaded.canaries.get((api_id, name), loaded)
    apis = other.definitions.rest_apis
    written_as = api_id if api_id in apis or len(apis) != 1 else next(iter(apis))
    if written_as not in apis:
        there = in_words([shown(each) for each in apis]) or "none"
        text = f"{shown(other.source.file)} has no REST API {api_id}, and not just one (REST APIs there: {there})"
        return Problem(("apis", api_id, "stages", name, "canarySettings", "deploymentId"), text)
    changed = stage.model_copy(update={"variables": {**stage.variables, **settings.stage_variable_overrides}})
    version = apis[written_as].model_copy(update={"stages": {name: changed}})
    definitions = loaded.definitions.model_copy(update={"apis": {**loaded.definitions.apis, api_id: version}})
    return Version(version, definitions, deployment_id(other), other.source, written_as)
