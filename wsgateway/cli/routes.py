"""`wsgateway routes`: what a definition deploys, as a table."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
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
    from wsgateway.model.integration import Integration
    from wsgateway.model.rest import Method
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
    from wsgateway.app import check_definitions
    from wsgateway.model.loader import load
    from wsgateway.model.openapi.reading import Reading

    reading = Reading(stage=openapi_stage, base_path=openapi_base_path, lenient=openapi_lenient)
    loaded = load(file, os.environ, reading)
    asyncio.run(check_definitions(loaded, os.environ, region))
    rows: list[dict[str, object]] = []
    reached: dict[tuple[str, str], list[str]] = {}
    for name, domain in loaded.definitions.domains.items():
        for key, mapping in domain.mappings.items():
            base = f"{name}/{key}".rstrip("/")
            for stage_name in loaded.definitions.apis[mapping.api].stages if mapping.stage is None else ():
                reached.setdefault((mapping.api, stage_name), []).append(f"{base}/{stage_name}")
            if mapping.stage is not None:
                reached.setdefault((mapping.api, mapping.stage), []).append(base)
    for api_id, api in loaded.definitions.websocket_apis.items():
        for stage_name, stage in api.stages.items():
            for key, route in api.routes.items():
                replies = "yes" if route.two_way and key not in ("$connect", "$disconnect") else "no"
                row = {"api": api_id, "stage": stage_name, "route": key, "replies": replies}
                row["authorizer"] = _deciders(route, rule=route.allow is not None)
                rows.append(row | _target(api.integration_of(route), stage.stage_variables))
    for api_id, rest in loaded.definitions.rest_apis.items():
        for stage_name, rest_stage in rest.stages.items():
            for path, verb, method in rest.methods():
                row = {"api": api_id, "stage": stage_name, "route": f"{verb} {path}", "replies": "yes"}
                row["authorizer"] = _deciders(method, policy=rest.policy is not None and verb in rest.paths[path])
                rows.append(row | _target(rest.integration_of(method).common, rest_stage.variables))
    for each in rows:
        each["domains"] = ", ".join(reached.get((str(each["api"]), str(each["stage"])), ["-"]))
    print_rows(rows, output)


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
