"""What is held against the caching of a REST API's answers, across its stages, methods and integrations."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from wsgateway.errors import Problem
from wsgateway.model.method_settings import method_of

if TYPE_CHECKING:
    from wsgateway.model.rest import RestApi


def remarks_on_caching(api: RestApi) -> Iterator[Problem]:
    """Methods whose kept answers may be for others than who gets them; paths start at the API.

    API Gateway developer guide, "Cache settings for REST APIs": what is not among the parameters of the key does not
    tell requests apart.
    """
    for path, verb, method in api.methods():
        integration = api.integration_of(method)
        kept = any(stage.caching_of(path, verb) is not None for stage in api.stages.values())
        if not kept or integration.response_transfer_mode == "STREAM":
            continue
        named = integration.cache_key_parameters
        at = (*api.integration_path(path, verb), "cacheKeyParameters")
        greedy = re.search(r"\{([^{}]+)\+\}", path)
        if greedy is not None and not any(name.startswith(("integration.", "method.request.path.")) for name in named):
            text = f"all paths of {verb} {path} get one kept answer; name method.request.path.{greedy[1]}"
            yield Problem(at, text)
        if (method.authorizer_name is not None or method.signed) and not named:
            text = f"whoever may call {verb} {path} gets one kept answer; name what tells callers apart, if any"
            yield Problem(at, text)


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
