"""Documents of REST APIs, as GetExport gives them (API Gateway API reference v1; OpenAPI 3.0.3, Swagger 2.0)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from openapi_spec_validator import validate

from wsgateway.model import parse
from wsgateway.model.export.document import EXTENSIONS, Extension, aws_address, export
from wsgateway.model.export.integrations import invocations
from wsgateway.model.export.schemas import Form

SHOP = """
apis:
  shop:
    protocolType: REST
    name: Shop
    description: Pets by the dozen
    version: "2"
    tags: {team: pets}
    profile: aws
    binaryMediaTypes: [image/png]
    minimumCompressionSize: 1000
    disableExecuteApiEndpoint: true
    cors: {allowOrigins: ["*"]}
    stages: {v1: {variables: {backend: hidden.example}}}
    models:
      Pet: {schema: {type: object, properties: {of: {$ref: "https://apigateway.amazonaws.com/restapis/shop/models/Shop"}}}}
      Shop: {contentType: application/json, schema: {type: object, properties: {pet: {$ref: "#/definitions/name"}},
        definitions: {name: {type: string}}}}
    requestValidators:
      {body: {validateRequestBody: true}, all: {validateRequestBody: true, validateRequestParameters: true}}
    gatewayResponses: {DEFAULT_4XX: {responseParameters: {gatewayresponse.header.X-A: "'b'"}}}
    integrations:
      backend: {type: HTTP_PROXY, httpMethod: ANY, uri: "https://${stageVariables.backend}/{proxy}", retry: {},
        requestParameters: {integration.request.path.proxy: method.request.path.proxy}}
    paths:
      /pets/{petId}:
        PUT:
          operationName: putPet
          requestValidator: all
          requestParameters:
            method.request.header.X-Tenant: true
            method.request.querystring.dry: false
            method.request.path.petId: true
          requestModels: {application/json: Pet, text/json: Pet, application/xml: Shop, $default: Pet}
          methodResponses:
            "200": {responseParameters: {method.response.header.X-Id: true}, responseModels: {application/json: Pet}}
            "404": {responseModels: {application/json: Error}}
          integration:
            type: HTTP
            httpMethod: POST
            uri: https://hidden.example/pets
            passthroughBehavior: NEVER
            timeoutInMillis: 1000
            requestParameters: {integration.request.header.X-Key: "'secret'"}
            requestTemplates: {application/json: "$input.body", text/csv: null}
            tlsConfig: {insecureSkipVerification: true}
            integrationResponses:
              "200": {contentHandling: CONVERT_TO_TEXT}
              "404": {selectionPattern: "4\\\\d\\\\d", responseTemplates: {application/json: "{}", a/b: null}}
      /mock:
        GET:
          operationName: putPet
          integration:
            type: MOCK
            requestTemplates: {application/json: '{"statusCode": 204}'}
            integrationResponses: {"204": {responseParameters: {method.response.header.X-A: "'a'"}}}
      /all/{proxy+}: {ANY: {operationName: everything, integration: backend}, GET: {integration: backend}}
"""

NOTHING: frozenset[Extension] = frozenset()


def exported(
    text: str = SHOP, form: Form = "oas30", extensions: frozenset[Extension] = NOTHING, api: str = "shop"
) -> dict[str, Any]:
    definitions = parse(text, "routes.yaml", {}, Path()).definitions
    stage = next(iter(definitions.rest_apis[api].stages))
    return export(
        definitions.rest_apis[api], api, aws_address(api, stage, "eu-west-1"), form=form, extensions=extensions
    )


@pytest.mark.parametrize("form", ["oas30", "swagger"])
def test_every_document_is_valid(form: Form) -> None:
    validate(exported(form=form))
    extended = exported(form=form, extensions=EXTENSIONS)
    # API Gateway's own way to write a greedy variable is none of OpenAPI's.
    greedy = extended["paths"].pop("/all/{proxy+}")
    assert "x-amazon-apigateway-any-method" in greedy
    validate(extended)


@pytest.mark.parametrize("form", ["oas30", "swagger"])
def test_without_extensions_nothing_tells_what_is_behind(form: Form) -> None:
    text = str(exported(form=form))

    assert not [word for word in ("hidden", "secret", "x-", "HTTP", "MOCK", "input.body") if word in text]


def test_the_head_is_that_of_api_gateway() -> None:
    info = {"title": "Shop", "version": "2", "description": "Pets by the dozen"}
    assert {key: value for key, value in exported().items() if key in ("openapi", "info", "servers")} == {
        "openapi": "3.0.1",
        "info": info,
        "servers": [
            {
                "url": "https://shop.execute-api.eu-west-1.amazonaws.com/{basePath}",
                "variables": {"basePath": {"default": "v1"}},
            }
        ],
    }
    said = exported(form="swagger")
    assert [said[key] for key in ("swagger", "info", "host", "basePath", "schemes")] == [
        "2.0",
        info,
        "shop.execute-api.eu-west-1.amazonaws.com",
        "/v1",
        ["https"],
    ]


def test_an_operation() -> None:
    put = exported()["paths"]["/pets/{petId}"]["put"]

    assert put["operationId"] == "putPet"
    assert put["parameters"] == [
        {"name": "petId", "in": "path", "required": True, "schema": {"type": "string", "pattern": r"\S"}},
        {"name": "X-Tenant", "in": "header", "required": True, "schema": {"type": "string", "pattern": r"\S"}},
        {"name": "dry", "in": "query", "schema": {"type": "string"}},
    ]
    pet = {"schema": {"$ref": "#/components/schemas/Pet"}}
    content = {
        "application/json": pet,
        "text/json": pet,
        "application/xml": {"schema": {"$ref": "#/components/schemas/Shop"}},
    }
    assert put["requestBody"] == {"content": content, "required": True}
    assert put["responses"]["200"] == {
        "description": "200 response",
        "headers": {"X-Id": {"schema": {"type": "string"}}},
        "content": {"application/json": pet},
    }


def test_an_operation_of_swagger() -> None:
    put = exported(form="swagger")["paths"]["/pets/{petId}"]["put"]

    body = {"in": "body", "name": "Pet", "required": True, "schema": {"$ref": "#/definitions/Pet"}}
    assert put["parameters"][-1] == body
    assert put["parameters"][2] == {"name": "dry", "in": "query", "type": "string"}
    assert put["consumes"] == ["application/json", "text/json"]
    assert put["produces"] == ["application/json"]
    assert put["responses"]["200"]["schema"] == {"$ref": "#/definitions/Pet"}
    assert put["responses"]["200"]["headers"] == {"X-Id": {"type": "string"}}


def test_an_integration() -> None:
    put = exported(extensions=frozenset({"integrations"}))["paths"]["/pets/{petId}"]["put"]

    assert put["x-amazon-apigateway-request-validator"] == "all"
    assert put["x-amazon-apigateway-integration"] == {
        "type": "http",
        "uri": "https://hidden.example/pets",
        "httpMethod": "POST",
        "requestParameters": {"integration.request.header.X-Key": "'secret'"},
        "requestTemplates": {"application/json": "$input.body", "text/csv": "__passthrough__"},
        "timeoutInMillis": 1000,
        "passthroughBehavior": "never",
        "tlsConfig": {"insecureSkipVerification": True},
        "responses": {
            "default": {"statusCode": "200", "contentHandling": "CONVERT_TO_TEXT"},
            r"4\d\d": {"statusCode": "404", "responseTemplates": {"application/json": "{}", "a/b": "__passthrough__"}},
        },
    }


def test_what_definitions_may_leave_out_and_api_gateway_asks_for_is_written() -> None:
    get = exported(extensions=frozenset({"integrations"}))["paths"]["/mock"]["get"]

    assert get["responses"] == {
        "204": {"description": "204 response", "headers": {"X-A": {"schema": {"type": "string"}}}}
    }
    assert "httpMethod" not in get["x-amazon-apigateway-integration"]
    assert "operationId" not in get  # it is another operation's


def test_any_is_every_verb_where_there_is_no_word_for_it() -> None:
    item = exported()["paths"]["/all/{proxy}"]

    assert [*item] == ["get", "put", "post", "delete", "head", "patch"]  # OPTIONS is answered by cors
    assert [operation.get("operationId") for operation in item.values()] == [
        None, "everythingPut", "everythingPost", "everythingDelete", "everythingHead", "everythingPatch",
    ]  # fmt: skip


def test_what_holds_for_the_whole_api() -> None:
    said = exported(extensions=frozenset({"integrations"}))

    assert {key: value for key, value in said.items() if key.startswith("x-")} == {
        "x-amazon-apigateway-binary-media-types": ["image/png"],
        "x-amazon-apigateway-gateway-responses": {
            "DEFAULT_4XX": {"responseParameters": {"gatewayresponse.header.X-A": "'b'"}}
        },
        "x-amazon-apigateway-minimum-compression-size": 1000,
        "x-amazon-apigateway-request-validators": {
            "body": {"validateRequestBody": True},
            "all": {"validateRequestBody": True, "validateRequestParameters": True},
        },
    }
    assert said["tags"] == [{"name": "team", "x-amazon-apigateway-tag-value": "pets"}]
    assert "tags" not in exported()
    off = {"disableExecuteApiEndpoint": True}
    assert said["servers"][0]["x-amazon-apigateway-endpoint-configuration"] == off
    swagger = exported(form="swagger", extensions=frozenset({"integrations"}))
    assert swagger["x-amazon-apigateway-endpoint-configuration"] == off


def test_models_refer_to_one_another_within_the_document() -> None:
    assert exported()["components"]["schemas"] == {
        "Error": {"title": "Error Schema", "type": "object", "properties": {"message": {"type": "string"}}},
        "Pet": {"type": "object", "properties": {"of": {"$ref": "#/components/schemas/Shop"}}},
        "Shop": {"type": "object", "properties": {"pet": {"$ref": "#/components/schemas/Shop.name"}}},
        "Shop.name": {"type": "string"},
    }


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        pytest.param(
            "arn:aws-cn:lambda:cn-north-1:123456789012:function:f:live",
            "arn:aws-cn:apigateway:cn-north-1:lambda:path/2015-03-31/functions/"
            "arn:aws-cn:lambda:cn-north-1:123456789012:function:f:live/invocations",
            id="a function's ARN",
        ),
        *(
            pytest.param(uri, uri, id=uri)
            for uri in (
                "function:f",
                "https://backend.example/arn:aws:lambda:eu-west-1:1:function:f",
                "arn:aws:apigateway:eu-west-1:lambda:path/2015-03-31/functions/arn:aws:lambda:eu-west-1:1:f/invocations",
                "arn:aws:apigateway:eu-west-1:sqs:path/123456789012/queue",
            )
        ),
    ],
)
def test_functions_are_written_as_api_gateway_asks_for_them(uri: str, said: str) -> None:
    assert invocations(uri) == said
