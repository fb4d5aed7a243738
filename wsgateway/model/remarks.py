"""What an operator should hear of a definition that nothing is wrong with."""

from __future__ import annotations

from collections.abc import Iterator

from wsgateway.errors import Problem
from wsgateway.model.authorization import unused_authorizers
from wsgateway.model.caching import remarks_on_caching
from wsgateway.model.loader import Loaded
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
        for found in remarks_on_caching(rest):
            yield loaded.source.problem(("apis", api_id, *found.path), found.text)
    definitions = loaded.definitions
    for remark in remarks_on_plans(definitions.plans, definitions.api_keys, definitions.metered):
        yield loaded.source.locate(remark)
