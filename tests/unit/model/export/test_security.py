"""Who may call a method, in documents (API Gateway developer guide, "x-amazon-apigateway-authorizer object")."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from openapi_spec_validator import validate

from wsgateway.model import parse
from wsgateway.model.export.document import EXTENSIONS, Extension, aws_address, export
from wsgateway.model.export.security import Security

POOL = "arn:aws:cognito-idp:eu-west-1:123456789012:userpool/eu-west-1_a"
FILE = f"""
sessionLookup: {{url: "https://sessions.example"}}
apis:
  shop:
    protocolType: REST
    stages: {{v1: {{}}}}
    authorizers:
      tokens: {{type: TOKEN, authorizerUri: "function:hidden", identitySource: method.request.header.Auth,
        identityValidationExpression: "a+", authorizerResultTtlInSeconds: 0}}
      requests: {{type: REQUEST, authorizerUri: "https://hidden.example/who",
        identitySource: "context.path, method.request.querystring.token"}}
      pool: {{type: COGNITO_USER_POOLS, providerARNs: ["{POOL}"], identitySource: method.request.header.Authorization}}
      sigv4: {{type: REQUEST, authorizerUri: "https://hidden.example/who", authorizerResultTtlInSeconds: 0}}
    paths:
      /tokens: {{GET: {{authorizer: tokens, integration: &mock {{type: MOCK, requestTemplates: {{a/b: "{{}}"}}}}}}}}
      /requests: {{GET: {{authorizationType: CUSTOM, authorizerId: requests, integration: *mock}}}}
      /pool: {{GET: {{authorizer: pool, authorizationScopes: [shop/read], integration: *mock}}}}
      /signed: {{GET: {{authorizationType: AWS_IAM, integration: *mock}}}}
      /all: {{GET: {{integration: *mock}}}}
"""


def exported(*extensions: Extension) -> dict[str, Any]:
    api = parse(FILE, "routes.yaml", {}, Path()).definitions.rest_apis["shop"]
    said = export(api, "shop", aws_address("shop", "v1", "eu-west-1"), extensions=frozenset(extensions))
    validate(said)
    return said


def asked(said: dict[str, Any]) -> dict[str, Any]:
    return {path: item["get"].get("security") for path, item in said["paths"].items()}


def test_methods_ask_for_schemes() -> None:
    said = exported()

    assert asked(said) == {
        "/tokens": [{"tokens": []}],
        "/requests": [{"requests": []}],
        "/pool": [{"pool": []}],
        "/signed": [{"sigv4_": []}],
        "/all": None,
    }
    assert said["components"]["securitySchemes"] == {
        "tokens": {"type": "apiKey", "name": "Auth", "in": "header"},
        "requests": {"type": "apiKey", "name": "token", "in": "query"},
        "pool": {"type": "apiKey", "name": "Authorization", "in": "header"},
        "sigv4_": {"type": "apiKey", "name": "Authorization", "in": "header"},
    }
    assert "hidden" not in str(said)


def test_who_decides_is_an_extension() -> None:
    said = exported(*EXTENSIONS)

    assert asked(said)["/pool"] == [{"pool": ["shop/read"]}]
    assert said["components"]["securitySchemes"] == {
        "tokens": {
            "type": "apiKey",
            "name": "Auth",
            "in": "header",
            "x-amazon-apigateway-authtype": "custom",
            "x-amazon-apigateway-authorizer": {
                "type": "token",
                "authorizerUri": "function:hidden",
                "identitySource": "method.request.header.Auth",
                "identityValidationExpression": "a+",
                "authorizerResultTtlInSeconds": 0,
            },
        },
        "requests": {
            "type": "apiKey",
            "name": "token",
            "in": "query",
            "x-amazon-apigateway-authtype": "custom",
            "x-amazon-apigateway-authorizer": {
                "type": "request",
                "authorizerUri": "https://hidden.example/who",
                "identitySource": "context.path, method.request.querystring.token",
            },
        },
        "pool": {
            "type": "apiKey",
            "name": "Authorization",
            "in": "header",
            "x-amazon-apigateway-authtype": "cognito_user_pools",
            "x-amazon-apigateway-authorizer": {
                "type": "cognito_user_pools",
                "identitySource": "method.request.header.Authorization",
                "providerARNs": [POOL],
            },
        },
        "sigv4": {
            "type": "apiKey",
            "name": "Unused",
            "in": "header",
            "x-amazon-apigateway-authtype": "custom",
            "x-amazon-apigateway-authorizer": {
                "type": "request",
                "authorizerUri": "https://hidden.example/who",
                "authorizerResultTtlInSeconds": 0,
            },
        },
        "sigv4_": {
            "type": "apiKey",
            "name": "Authorization",
            "in": "header",
            "x-amazon-apigateway-authtype": "awsSigv4",
        },
    }


@pytest.mark.parametrize(
    ("extended", "said"),
    [
        pytest.param(False, [{"tokens": [], "api_key": []}], id="OpenAPI asks for both by one requirement"),
        pytest.param(True, [{"tokens": []}, {"api_key": []}], id="API Gateway writes two and means both"),
    ],
)
def test_an_authorizer_and_a_key(extended: bool, said: object) -> None:
    security = Security({"tokens": {"type": "TOKEN", "identitySource": ["method.request.header.A"]}}, extended=extended)

    assert security.requirements({"authorizer": "tokens", "apiKeyRequired": True}) == said
    assert security.schemes["api_key"] == {"type": "apiKey", "name": "x-api-key", "in": "header"}
