"""The whole document."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Any, Final, Literal, get_args
from urllib.parse import urlsplit

from wsgateway.model.export.methods import Methods
from wsgateway.model.export.plain import plain
from wsgateway.model.export.schemas import Form, Schemas
from wsgateway.model.export.security import Security
from wsgateway.model.rest import RestApi

PREFIX: Final = "x-amazon-apigateway-"

Extension = Literal["integrations", "authorizers", "wsgateway"]
"""`integrations`: what answers, and how the API behaves. `authorizers`: who decides who may call. `wsgateway`: all that
neither OpenAPI nor API Gateway has a word for, in `x-wsgateway` (`remainder`)."""
EXTENSIONS: Final[frozenset[Extension]] = frozenset(get_args(Extension))

VERSION: Final = "1.0"
"""What stands for the version of an API that has none: OpenAPI asks for one."""

_ROOT: Final = {
    "apiKeySource": "api-key-source",
    "binaryMediaTypes": "binary-media-types",
    "gatewayResponses": "gateway-responses",
    "minimumCompressionSize": "minimum-compression-size",
    "policy": "policy",
    "requestValidators": "request-validators",
}
"""What stands at the document's root, without the prefix."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where clients find a stage: `url` ends with the host, or with the stage where there is no `base_path`, which is
    what comes between the host and the API's own paths."""

    url: str
    base_path: str = ""


def aws_address(api_id: str, stage: str, region: str) -> Address:
    """Where API Gateway would have it."""
    return Address(f"https://{api_id}.execute-api.{region}.amazonaws.com", stage)


def export(
    api: RestApi,
    api_id: str,
    address: Address,
    *,
    form: Form = "oas30",
    extensions: frozenset[Extension] = frozenset(),
    directory: FilePath = FilePath(),
) -> dict[str, Any]:
    """An API as a document.

    `directory` is where the paths of files begin that `x-wsgateway` names. Without extensions nothing tells what is
    behind the API: no backend, function, template or policy.
    """
    defined = plain(api, defaults=False, directory=directory)
    extended = "integrations" in extensions
    schemas = Schemas(defined.get("models", {}), form)
    security = Security(defined.get("authorizers", {}), extended="authorizers" in extensions)
    methods = Methods(api=defined, form=form, extended=extended, schemas=schemas, security=security)
    paths = methods.paths()
    document = _head(defined, api_id, address, form)
    endpoint = _endpoint(defined) if extended else {}
    if endpoint:
        at = document if form == "swagger" else document["servers"][0]
        at[PREFIX + "endpoint-configuration"] = endpoint
    document["paths"] = paths
    document |= _components(schemas.components(), security.schemes, form)
    if extended:
        if defined.get("tags"):
            document["tags"] = [{"name": key, PREFIX + "tag-value": value} for key, value in defined["tags"].items()]
        document |= {PREFIX + name: defined[key] for key, name in _ROOT.items() if key in defined}
    return document


def _head(defined: Mapping[str, Any], api_id: str, address: Address, form: Form) -> dict[str, Any]:
    info = {"title": defined.get("name", api_id), "version": defined.get("version", VERSION)}
    if "description" in defined:
        info["description"] = defined["description"]
    if form == "swagger":
        parts = urlsplit(f"{address.url}/{address.base_path}")
        said = {"swagger": "2.0", "info": info, "host": parts.netloc, "basePath": parts.path}
        return said | {"schemes": [parts.scheme]}
    server: dict[str, Any] = {"url": address.url}
    if address.base_path:
        server["url"] += "/{basePath}"
        server["variables"] = {"basePath": {"default": address.base_path}}
    return {"openapi": "3.0.1", "info": info, "servers": [server]}


def _endpoint(defined: Mapping[str, Any]) -> dict[str, Any]:
    """What API Gateway says of it; the type of an endpoint is no part of documents."""
    configured = defined.get("endpointConfiguration", {})
    every = {"disableExecuteApiEndpoint": defined.get("disableExecuteApiEndpoint")} | configured
    return {
        key: every[key] for key in ("disableExecuteApiEndpoint", "vpcEndpointIds") if every.get(key) not in (None, [])
    }


def _components(schemas: Mapping[str, Any], schemes: Mapping[str, Any], form: Form) -> dict[str, Any]:
    names = ("definitions", "securityDefinitions") if form == "swagger" else ("schemas", "securitySchemes")
    said = {name: each for name, each in zip(names, (schemas, schemes), strict=True) if each}
    return said if form == "swagger" else {"components": said} if said else {}
