"""`wsgateway routes`: what a definition deploys, as a table."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

from wsgateway.cli.options import DEFAULT_FILE, File, Output, OutputOption, RegionOption, print_rows

if TYPE_CHECKING:
    from wsgateway.model.websocket import Route


def routes(file: File = DEFAULT_FILE, output: OutputOption = Output.TABLE, region: RegionOption = None) -> None:
    """Show what each route of each stage of FILE calls, and who decides who may connect."""
    from wsgateway.app import check_definitions
    from wsgateway.model.loader import load
    from wsgateway.model.uri import expand

    loaded = load(file, os.environ)
    asyncio.run(check_definitions(loaded, os.environ, region))
    rows: list[dict[str, object]] = []
    reached: dict[tuple[str, str], list[str]] = {}
    for name, domain in loaded.definitions.domains.items():
        for key, mapping in domain.mappings.items():
            reached.setdefault((mapping.api, mapping.stage), []).append(f"{name}/{key}".rstrip("/"))
    for api_id, api in loaded.definitions.apis.items():
        for stage_name, stage in api.stages.items():
            for key, route in api.routes.items():
                integration = api.integration_of(route)
                uri = integration.integration_uri if integration is not None else None
                link = integration.connection_id if integration is not None else None
                target = expand(uri or "-", stage.stage_variables)
                rows.append(
                    {
                        "api": api_id,
                        "stage": stage_name,
                        "route": key,
                        "replies": "yes" if route.two_way and key not in ("$connect", "$disconnect") else "no",
                        "authorizer": _authorizer(route),
                        "integration": integration.integration_type if integration is not None else "-",
                        "target": target if link is None else f"{target} via {expand(link, stage.stage_variables)}",
                        "domains": ", ".join(reached.get((api_id, stage_name), ["-"])),
                    }
                )
    print_rows(rows, output)


def _authorizer(route: Route) -> str:
    """Who decides who may connect."""
    if route.authorizer_name is not None:
        return route.authorizer_name
    return "AWS_IAM" if route.authorization_type == "AWS_IAM" else "-"
