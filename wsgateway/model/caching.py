"""What is held against the caching of a REST API's answers, across its stages, methods and integrations."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from wsgateway.errors import Problem
from wsgateway.model.method_settings import method_of

if TYPE_CHECKING:
    from wsgateway.model.rest import RestApi


def check_caching(api: RestApi) -> Iterator[Problem]:
    """Parameters of keys that nobody declares, and answers that can't be kept; paths start at the API."""
    streamed = set()
    for path, verb, method in api.methods():
        if isinstance(method.integration, str) and method.integration not in api.integrations:
            continue  # that is told already
        integration = api.integration_of(method)
        if integration.response_transfer_mode == "STREAM":
            streamed.add((path, verb))
        for number, name in enumerate(integration.cache_key_parameters):
            ours = name.startswith("method.")
            if name not in (method.request_parameters if ours else integration.request_parameters):
                whose = f"those of {verb} {path}" if ours else "its own"
                text = f"{name} is none of the requestParameters, {whose}; add it there"
                yield Problem((*api.integration_path(path, verb), "cacheKeyParameters", number), text)
    for name, stage in api.stages.items():
        for key, settings in stage.method_settings.items():
            if settings.caching_enabled and method_of(key) in streamed:
                text = "answers of an integration with responseTransferMode STREAM are not kept; remove one of the two"
                yield Problem(("stages", name, "methodSettings", key, "cachingEnabled"), text)
