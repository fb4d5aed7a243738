"""Who may call a method, as security schemes and requirements.

API Gateway developer guide, "x-amazon-apigateway-authorizer object" and "x-amazon-apigateway-authtype property".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from wsgateway.model.export.integrations import invocations

AUTHORIZER: Final = "x-amazon-apigateway-authorizer"
AUTHTYPE: Final = "x-amazon-apigateway-authtype"
AUTHTYPES: Final = {"COGNITO_USER_POOLS": "cognito_user_pools", "JWT": "oauth2"}
"""Of authorizers that no function stands behind; the others are `custom`."""

AWS: Final = (
    "authorizerUri",
    "authorizerCredentials",
    "identitySource",
    "identityValidationExpression",
    "authorizerResultTtlInSeconds",
    "providerARNs",
    "jwtConfiguration",
)
PLACES: Final = {"header": "header", "querystring": "query"}


class Security:
    """The security schemes of one API, made as methods ask for them; `extended` shows who decides, too."""

    def __init__(self, authorizers: Mapping[str, Any], *, extended: bool) -> None:
        """`authorizers` are plain definitions."""
        self._authorizers = authorizers
        self._extended = extended
        self.schemes: dict[str, Any] = {}
        for name, authorizer in authorizers.items() if extended else ():
            self.schemes[name] = self._scheme(authorizer)

    def requirements(self, method: Mapping[str, Any]) -> list[dict[str, list[str]]]:
        """What a plain method asks of its callers; nothing where all may call it.

        With extensions each is by itself, as API Gateway writes it; OpenAPI means alternatives by that, so without
        them all are one.
        """
        asked: dict[str, list[str]] = {}
        name = method.get("authorizer") or method.get("authorizerId")
        if name is not None:
            self.schemes[name] = self._scheme(self._authorizers[name])
            asked[name] = method.get("authorizationScopes", []) if self._extended else []
        elif method.get("authorizationType") == "AWS_IAM":
            asked[self._own("sigv4", "Authorization", {AUTHTYPE: "awsSigv4"})] = []
        if method.get("apiKeyRequired"):
            asked[self._own("api_key", "x-api-key", {})] = []
        if self._extended:
            return [{scheme: scopes} for scheme, scopes in asked.items()]
        return [asked] if asked else []

    def _own(self, name: str, header: str, extension: Mapping[str, Any]) -> str:
        """The name of a scheme that is no authorizer's."""
        while name in self._authorizers:
            name += "_"
        more = extension if self._extended else {}
        self.schemes[name] = {"type": "apiKey", "name": header, "in": "header", **more}
        return name

    def _scheme(self, authorizer: Mapping[str, Any]) -> dict[str, Any]:
        name, place = _token(sources(authorizer))
        scheme: dict[str, Any] = {"type": "apiKey", "name": name, "in": place}
        if self._extended:
            kind = authorizer["type"]
            scheme[AUTHTYPE] = AUTHTYPES.get(kind, "custom")
            said = {"type": kind.lower()} | {key: authorizer[key] for key in AWS if key in authorizer}
            if "identitySource" in said:
                said["identitySource"] = ", ".join(sources(authorizer))
            if "authorizerUri" in said:
                said["authorizerUri"] = invocations(said["authorizerUri"])
            scheme[AUTHORIZER] = said
        return scheme


def sources(authorizer: Mapping[str, Any]) -> list[str]:
    """The identity sources of a plain authorizer."""
    written = authorizer.get("identitySource", [])
    return [part.strip() for part in written.split(",")] if isinstance(written, str) else list(written)


def _token(sources: list[str]) -> tuple[str, str]:
    """Name and place of the first that a document can tell of; where there is none, what API Gateway writes."""
    for source in sources:
        parts = source.split(".", 3)
        if parts[:2] == ["method", "request"] and len(parts) == 4 and parts[2] in PLACES:
            return parts[3], PLACES[parts[2]]
    return "Unused", "header"
