"""What an operator should hear of a definition that nothing is wrong with."""

from __future__ import annotations

from collections.abc import Iterator

from wsgateway.errors import Problem
from wsgateway.model.authorization import unused_authorizers
from wsgateway.model.caching import remarks_on_caching
from wsgateway.model.loader import Loaded
from wsgateway.model.rest import RestApi
from wsgateway.model.uri import variables
from wsgateway.model.usage_plan import remarks_on_plans


def remarks(loaded: Loaded) -> Iterator[Problem]:
    """Each with its line."""
    yield from loaded.notes
    for api_id, api in loaded.definitions.websocket_apis.items():
        for name in unused_authorizers(api):
            yield loaded.source.problem(("apis", api_id, "authorizers", name), "is asked by no route")
    for api_id, rest in loaded.definitions.rest_apis.items():
        named = {method.authorizer_name for _, _, method in rest.methods()}
        for name in [name for name in rest.authorizers if name not in named]:
            yield loaded.source.problem(("apis", api_id, "authorizers", name), "is asked by no method")
        for found in _empty_variables(rest):
            yield loaded.source.problem(("apis", api_id, *found.path), found.text)
        for found in remarks_on_caching(rest):
            yield loaded.source.problem(("apis", api_id, *found.path), found.text)
    definitions = loaded.definitions
    for remark in remarks_on_plans(definitions.plans, definitions.api_keys, definitions.metered):
        yield loaded.source.locate(remark)


def _empty_variables(api: RestApi) -> Iterator[Problem]:
    """Stage variables of URIs and of identity sources that other stages have, and one has not: nothing stands there
    then, as on AWS."""
    needed = {name for _, _, method in api.methods() for name in variables(api.integration_of(method).uri or "")}
    known: set[str] = set().union(*[stage.variables for stage in api.stages.values()])
    sources = {
        (who, source.removeprefix("stageVariables."))
        for who, authorizer in api.authorizers.items()
        for source in authorizer.identity_source
        if source.startswith("stageVariables.")
    }
    for stage_name, stage in api.stages.items():
        at = ("stages", stage_name)
        for name in sorted(needed & known - stage.variables.keys()):
            yield Problem(at, f"has no variable {name}: in the URIs that name it nothing stands there")
        for who, name in sorted(sources):
            if name in known and name not in stage.variables:
                yield Problem(at, f"has no variable {name}: the authorizer {who}, which wants it, lets nobody in there")
