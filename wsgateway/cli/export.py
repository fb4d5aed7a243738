"""`wsgateway export openapi`: a stage of a REST API as an OpenAPI or Swagger document."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from enum import Enum
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import typer

from wsgateway.cli.options import DEFAULT_FILE, File, OpenApiBasePath, OpenApiLenient, OpenApiStage, RegionOption

if TYPE_CHECKING:
    from wsgateway.model.definitions import Definitions
    from wsgateway.model.export.document import Address, Extension
    from wsgateway.model.loader import Loaded

DEFAULT_REGION = "us-east-1"
NOT_BUILT = {
    "documentation": "definitions have no documentation parts",
    "postman": "Postman imports the document as it is",
}

exports = typer.Typer(help="Write what is defined in the form of others.", no_args_is_help=True)


@exports.callback()
def _group() -> None:
    """Keeps `openapi` a verb of its own while it is the only one."""


class Form(Enum):
    """What kind of document; the names are those of GetExport."""

    OAS30 = "oas30"
    SWAGGER = "swagger"


class Text(Enum):
    """How it is written."""

    JSON = "json"
    YAML = "yaml"


Extensions = Annotated[
    str,
    typer.Option(
        help="What it says beside OpenAPI: integrations, authorizers, apigateway (both), wsgateway (what only this "
        "gateway has, so that an import gives the same API), with commas in between; none, or all.",
        metavar="NAMES",
    ),
]
Server = Annotated[
    str | None,
    typer.Option(
        help="Where clients find the gateway, such as https://api.example.com (default: API Gateway's address).",
        metavar="URL",
        show_default=False,
    ),
]


@exports.command("openapi")
def export_openapi(
    file: File = DEFAULT_FILE,
    api: Annotated[str | None, typer.Option(help="The REST API (default: the file's default).")] = None,
    stage: Annotated[str | None, typer.Option(help="The stage (default: the only one).")] = None,
    form: Annotated[Form, typer.Option("--format", help="OpenAPI 3.0, or Swagger 2.0.")] = Form.OAS30,
    extensions: Extensions = "none",
    output_format: Annotated[Text, typer.Option(help="How to write it.")] = Text.JSON,
    server: Server = None,
    region: RegionOption = None,
    openapi_stage: OpenApiStage = None,
    openapi_base_path: OpenApiBasePath = "ignore",
    openapi_lenient: OpenApiLenient = False,
) -> None:
    """Print a stage of a REST API of FILE as an OpenAPI document, for clients, tools, API Gateway, or an import."""
    from wsgateway.model.export.document import export
    from wsgateway.model.loader import load
    from wsgateway.model.openapi.reading import Reading
    from wsgateway.wiring import check_definitions

    wanted = _extensions(extensions)
    loaded = load(file, os.environ, Reading(None, openapi_stage, openapi_base_path, openapi_lenient))
    definitions = loaded.definitions
    api_id = _api(definitions, api)
    defined = definitions.rest_apis[api_id]
    stage_name = _stage(list(defined.stages), stage, api_id)
    address = _address(api_id, stage_name, server, region)
    asyncio.run(check_definitions(loaded, os.environ, region))
    document = export(defined, api_id, address, form=form.value, extensions=wanted, directory=file.parent)
    if wanted and "wsgateway" not in wanted:
        _tell_of_losses(loaded, api_id)
    if "wsgateway" in wanted:
        from wsgateway.model.export.remainder import with_remainder

        document = with_remainder(document, defined, api_id, stage_name, file.parent)
    if output_format is Text.YAML:
        from wsgateway.model.writer import to_yaml

        print(to_yaml(document), end="")
    else:
        print(json.dumps(document, indent=2, ensure_ascii=False))


def _tell_of_losses(loaded: Loaded, api_id: str) -> None:
    from wsgateway.model.export.losses import losses

    text = "API Gateway has no such setting, so the document is without it; wsgateway among --extensions keeps it"
    for path in losses(loaded.definitions.rest_apis[api_id]):
        print(f"warning: {loaded.source.problem(('apis', api_id, *path), text)}", file=sys.stderr)


def _extensions(text: str) -> frozenset[Extension]:
    from wsgateway.model.explain import none_of
    from wsgateway.model.export.document import EXTENSIONS

    names: dict[str, frozenset[Extension]] = {name: frozenset({name}) for name in EXTENSIONS}
    names |= {"apigateway": EXTENSIONS - {"wsgateway"}, "all": EXTENSIONS, "none": frozenset()}
    found: frozenset[Extension] = frozenset()
    for name in (part.strip() for part in text.split(",")):
        if name in NOT_BUILT:
            raise typer.BadParameter(f"{name} is not supported: {NOT_BUILT[name]}", param_hint="--extensions")
        if name not in names:
            raise typer.BadParameter(none_of(name, sorted(names)), param_hint="--extensions")
        found |= names[name]
    return found


def _api(definitions: Definitions, name: str | None) -> str:
    there = list(definitions.rest_apis)
    if not there:
        raise typer.BadParameter("there is no REST API; only those have an OpenAPI document", param_hint="FILE")
    found = definitions.default("REST") if name is None else name
    if found is None:
        raise typer.BadParameter(f"which one is meant? There are {', '.join(there)}", param_hint="--api")
    if found not in there:
        if found in definitions.apis:
            raise typer.BadParameter(
                f"{found} is a WebSocket API, and OpenAPI has no words for those", param_hint="--api"
            )
        raise typer.BadParameter(f"no REST API is named {found!r}; there are {', '.join(there)}", param_hint="--api")
    return found


def _stage(there: list[str], name: str | None, api_id: str) -> str:
    if name is None and len(there) > 1:
        raise typer.BadParameter(f"which one is meant? {api_id} has {', '.join(there)}", param_hint="--stage")
    if name is not None and name not in there:
        raise typer.BadParameter(f"{api_id} has no stage {name!r}; it has {', '.join(there)}", param_hint="--stage")
    return name or there[0]


def _address(api_id: str, stage: str, server: str | None, region: str | None) -> Address:
    from wsgateway.aws.endpoints import NoEndpoint, ServiceEndpoints
    from wsgateway.errors import SettingError
    from wsgateway.model.export.document import Address, aws_address

    if server is not None:
        return Address(_url(server), stage)
    try:
        return aws_address(api_id, stage, ServiceEndpoints(os.environ, region).region or DEFAULT_REGION)
    except NoEndpoint as error:
        raise SettingError(str(error)) from error


def _url(text: str) -> str:
    """The URL without its last slash."""
    wrong = re.fullmatch(r"https?://[A-Za-z0-9.:\[\]-]+/?", text) is None
    try:
        wrong = wrong or not urlsplit(text).hostname or urlsplit(text).port == 0
    except ValueError:
        wrong = True
    if wrong:
        raise typer.BadParameter(
            f"{text!r} is no address; write scheme and host, such as https://api.example.com", param_hint="--server"
        )
    return text.rstrip("/")
