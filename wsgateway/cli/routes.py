"""`wsgateway routes`: what a definition deploys, as a table."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from wsgateway.cli.options import (
    DEFAULT_FILE,
    File,
    OpenApiBasePath,
    OpenApiLenient,
    OpenApiStage,
    Output,
    OutputOption,
    RegionOption,
    print_rows,
)

if TYPE_CHECKING:
    from wsgateway.model.definitions import Definitions
    from wsgateway.model.integration import Integration
    from wsgateway.model.loader import Loaded
    from wsgateway.model.rest import Method, RestApi
    from wsgateway.model.websocket import Route


def routes(
    file: File = DEFAULT_FILE,
    output: OutputOption = Output.TABLE,
    region: RegionOption = None,
    openapi_stage: OpenApiStage = None,
    openapi_base_path: OpenApiBasePath = "ignore",
    openapi_lenient: OpenApiLenient = False,
) -> None:
    """Show what each route, and each method, of each stage of FILE calls, and who decides who may."""
    from wsgateway.model.loader import load
    from wsgateway.model.openapi.reading import Reading
    from wsgateway.wiring import check_definitions

    reading = Reading(stage=openapi_stage, base_path=openapi_base_path, lenient=openapi_lenient)
    loaded = load(file, os.environ, reading)
    asyncio.run(check_definitions(loaded, os.environ, region))
    rows = [*_routes(loaded.definitions), *_methods(loaded)]
    reached = _reached(loaded.definitions)
    for each in rows:
        each["domains"] = ", ".join(reached.get((str(each["api"]), str(each["stage"])), ["-"]))
    print_rows(rows, output)


def _routes(definitions: Definitions) -> Iterator[dict[str, object]]:
    for api_id, api in definitions.websocket_apis.items():
        for stage_name, stage in api.stages.items():
            for key, route in api.routes.items():
                replies = "yes" if route.two_way and key not in ("$connect", "$disconnect") else "no"
                row = {"api": api_id, "stage": stage_name, "route": key, "replies": replies}
                row["authorizer"] = _deciders(route, rule=route.allow is not None)
                yield row | _target(api.integration_of(route), stage.stage_variables)


def _methods(loaded: Loaded) -> Iterator[dict[str, object]]:
    """Those of REST APIs; behind a stage's the ones that its canary has."""
    from wsgateway.dataplane.canary import Version, canary_of

    for api_id, api in loaded.definitions.rest_apis.items():
        for name, stage in api.stages.items():
            yield from _methods_of(api_id, api, name, name)
            canary, settings = canary_of(loaded, api_id, name), stage.canary_settings
            if isinstance(canary, Version) and settings is not None:
                shown = f"{name} (canary {settings.percent_traffic:g} %)"
                yield from _methods_of(api_id, canary.api, name, shown)


def _methods_of(api_id: str, api: RestApi, name: str, shown: str) -> Iterator[dict[str, object]]:
    for path, verb, method in api.methods():
        row = {"api": api_id, "stage": shown, "route": f"{verb} {path}", "replies": "yes"}
        row["authorizer"] = _deciders(method, policy=api.policy is not None and verb in api.paths[path])
        yield row | _target(api.integration_of(method).common, api.stages[name].variables)


def _reached(definitions: Definitions) -> dict[tuple[str, str], list[str]]:
    """The custom domains, with their paths, that lead to a stage."""
    reached: dict[tuple[str, str], list[str]] = {}
    for domain_name, domain in definitions.domains.items():
        for key, mapping in domain.mappings.items():
            base = f"{domain_name}/{key}".rstrip("/")
            if mapping.stage is not None:
                reached.setdefault((mapping.api, mapping.stage), []).append(base)
            else:
                for stage in definitions.apis[mapping.api].stages:
                    reached.setdefault((mapping.api, stage), []).append(f"{base}/{stage}")
    return reached


def _deciders(route: Route | Method, *, rule: bool = False, policy: bool = False) -> str:
    """Who decides who may connect, send or ask: an authorizer, signatures, the API's policy, API keys, a rule."""
    signed = "AWS_IAM" if route.authorization_type == "AWS_IAM" else None
    key, allow = "API key" if route.api_key_required else None, "allow" if rule else None
    return ", ".join(filter(None, (route.authorizer_name or signed, "policy" if policy else None, key, allow))) or "-"


def _target(integration: Integration | None, variables: Mapping[str, str]) -> dict[str, object]:
    """What is called, with a stage's variables."""
    from wsgateway.model.uri import expand

    if integration is None:
        return {"integration": "-", "target": "-"}
    target, link = expand(integration.integration_uri or "-", variables), integration.connection_id
    via = "" if link is None else f" via {expand(link, variables)}"
    return {"integration": integration.integration_type, "target": target + via}
