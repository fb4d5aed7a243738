"""The keys of OpenAPI documents: what is read, what is for people, and what no gateway acts upon.

OpenAPI Specification 2.0 and 3.0.3; API Gateway developer guide, "OpenAPI extensions for API Gateway".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from wsgateway.model.openapi.reading import OURS

PREFIX: Final = "x-amazon-apigateway-"

VERBS: Final = ("get", "put", "post", "delete", "options", "head", "patch")
ANY: Final = PREFIX + "any-method"

NULLABLE: Final = frozenset({PREFIX + "minimum-compression-size"})
"""Null says something there: that there is none."""

EXTENSIONS: Final[Mapping[str, str]] = {
    ANY: "at a path, beside its methods",
    PREFIX + "api-key-source": "at the document's root",
    PREFIX + "auth": "at an operation",
    PREFIX + "authorizer": "at a security scheme",
    PREFIX + "authtype": "at a security scheme",
    PREFIX + "binary-media-types": "at the document's root",
    PREFIX + "documentation": "at the document's root",
    PREFIX + "endpoint-configuration": "at the document's root, or at a server",
    PREFIX + "gateway-responses": "at the document's root",
    PREFIX + "integration": "at an operation",
    PREFIX + "integrations": "below components",
    PREFIX + "minimum-compression-size": "at the document's root",
    PREFIX + "policy": "at the document's root",
    PREFIX + "request-validator": "at the document's root, or at an operation",
    PREFIX + "request-validators": "at the document's root",
    PREFIX + "tag-value": "at a tag",
    OURS: "at the document's root",
}
"""Where each extension stands."""


@dataclass(frozen=True, slots=True)
class Words:
    """The keys of one kind of object.

    `read` say what the API does, `about` are for people and tools, `refused` would be ignored, each with why.
    """

    read: frozenset[str]
    about: frozenset[str] = frozenset()
    refused: Mapping[str, str] = field(default_factory=dict)


def _words(read: str, about: str = "", **refused: str) -> Words:
    names = {key.replace("_", "-"): text for key, text in refused.items()}
    return Words(frozenset(read.split()), frozenset(about.split()), names)


def _of(names: str) -> str:
    return " ".join(PREFIX + name for name in names.split())


_SERVED = "is not read: an API has one address, and its stage stands there"

_ROOT: Final = f"info paths security tags {OURS} " + _of(
    "api-key-source binary-media-types documentation endpoint-configuration gateway-responses minimum-compression-size "
    "policy request-validator request-validators"
)
_REFUSED: Final = {
    PREFIX + "security-policy": "has no effect here: TLS is 1.2 or later everywhere; remove it",
    PREFIX + "endpoint-access-mode": "has no effect here: it is of API Gateway's own endpoints; remove it",
    PREFIX + "cors": "is for HTTP APIs; write cors below x-wsgateway",
    PREFIX + "importexport-version": "is for HTTP APIs; REST APIs are read here",
}

_root2 = _words(
    f"swagger host basePath definitions parameters responses securityDefinitions consumes produces {_ROOT}",
    "schemes externalDocs",
)
_root3 = _words(f"openapi servers components {_ROOT}", "externalDocs")

ROOT: Final = {
    2: Words(_root2.read, _root2.about, _REFUSED),
    3: Words(_root3.read, _root3.about, _REFUSED),
}
COMPONENTS: Final = _words(
    f"schemas parameters responses requestBodies headers securitySchemes {PREFIX}integrations",
    "examples links callbacks",
)
INFO: Final = _words("title description version", "termsOfService contact license summary")
SERVER: Final = _words(f"url variables {PREFIX}endpoint-configuration", "description")
ENDPOINT: Final = _words("disableExecuteApiEndpoint vpcEndpointIds types ipAddressType")
TAG: Final = _words(f"name {PREFIX}tag-value", "description externalDocs")

_path = _words(f"parameters {ANY} {' '.join(VERBS)}", "summary description", servers=_SERVED)
PATH_ITEM: Final = Words(
    _path.read,
    _path.about,
    {
        **_path.refused,
        "$ref": "is not read at a path; write its methods out",
        "trace": "is not read: API Gateway has no TRACE",
    },
)
_METHOD: Final = "operationId parameters responses security " + _of("integration request-validator auth")
OPERATION: Final = {
    2: _words(f"consumes produces {_METHOD}", "summary description tags externalDocs deprecated schemes"),
    3: _words(
        f"requestBody {_METHOD}",
        "summary description tags externalDocs deprecated",
        callbacks="is not read: a gateway calls nobody back",
        servers=_SERVED,
    ),
}
_HELD: Final = (
    "schema content type format items enum default maximum exclusiveMaximum minimum exclusiveMinimum maxLength "
    "minLength pattern maxItems minItems uniqueItems multipleOf"
)
PARAMETER: Final = _words(
    f"name in required {_HELD}",
    "description deprecated allowEmptyValue style explode allowReserved example examples collectionFormat",
)
REQUEST_BODY: Final = _words("content", "description required")
MEDIA_TYPE: Final = _words("schema", "example examples encoding")
RESPONSE: Final = {
    2: _words("headers schema", "description examples"),
    3: _words("headers content", "description links"),
}
SECURITY_SCHEME: Final = _words(
    f"type name in {_of('authorizer authtype')}",
    "description scheme bearerFormat flow flows openIdConnectUrl authorizationUrl tokenUrl scopes",
)
AUTH: Final = _words("type")
