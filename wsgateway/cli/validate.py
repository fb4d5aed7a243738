"""`wsgateway validate`: every problem of a definition, with its line."""

from __future__ import annotations

import asyncio
import os
import sys

from wsgateway.cli.options import DEFAULT_FILE, File, OpenApiBasePath, OpenApiLenient, OpenApiStage, RegionOption


def validate(
    file: File = DEFAULT_FILE,
    region: RegionOption = None,
    openapi_stage: OpenApiStage = None,
    openapi_base_path: OpenApiBasePath = "ignore",
    openapi_lenient: OpenApiLenient = False,
) -> None:
    """Check FILE as `serve` would; exit code 2 and every problem on stderr if it is invalid."""
    from wsgateway.model.loader import load
    from wsgateway.model.openapi.reading import Reading
    from wsgateway.wiring import check_definitions

    reading = Reading(stage=openapi_stage, base_path=openapi_base_path, lenient=openapi_lenient)
    loaded = load(file, os.environ, reading)
    deployment, remarks = asyncio.run(check_definitions(loaded, os.environ, region))
    for remark in remarks:
        print(f"warning: {remark}", file=sys.stderr)
    stages = [*deployment.stages, *deployment.rest]
    print(f"{file}: valid; APIs: {len({api_id for api_id, _ in stages})}, stages: {len(stages)}")
