"""OpenAPI documents become what a definition file would say, and every part that can't is told with its line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from wsgateway.errors import DefinitionError
from wsgateway.model import Loaded, parse
from wsgateway.model.document import MAX_YAML_NODES
from wsgateway.model.nodes import MAX_NODES
from wsgateway.model.openapi.importing import import_document
from wsgateway.model.openapi.reading import STRICT, Reading
from wsgateway.model.openapi.translate import Translation, translate
from wsgateway.model.remarks import remarks
from wsgateway.model.rest import RestApi

HERE = Path(__file__).parent
LENIENT = Reading(lenient=True)
SPLIT = Reading(base_path="split")
VALIDATOR = "x-amazon-apigateway-request-validator"
MOCK = "x-amazon-apigateway-integration: {type: mock, responses: {default: {statusCode: 200}}}"


def document(lines: str = "", operation: str = "") -> str:
    """A valid OpenAPI 3 document that says `lines` as well, its one operation `operation`. Line 1 is its own."""
    said = f", {operation}" if operation else ""
    return f"{{openapi: 3.0.1, info: {{title: shop}}, paths: {{/a: {{get: {{{MOCK}{said}}}}}}}{lines}}}"


def read(text: str, reading: Reading = STRICT, **environ: str) -> Loaded:
    return parse(text, "shop.yaml", environ, HERE, reading)


def api_of(loaded: Loaded) -> RestApi:
    (api,) = loaded.definitions.rest_apis.values()
    return api


def problems_of(text: str, reading: Reading = STRICT, **environ: str) -> list[str]:
    try:
        read(text, reading, **environ)
    except DefinitionError as error:
        return [str(problem).removeprefix("shop.yaml:") for problem in error.problems]
    return []


def notes_of(text: str, reading: Reading = STRICT) -> list[str]:
    return [str(note).removeprefix("shop.yaml:") for note in read(text, reading).notes]


def translated(text: str, reading: Reading = STRICT) -> Translation:
    root = YAML(typ="safe", pure=True).load(text)
    return translate(root, 2 if "swagger" in root else 3, lambda path: 1, reading)


def said_of(found: Translation) -> dict[str, Any]:
    (api,) = found.root["apis"].values()
    return api


@pytest.mark.parametrize("name", ["petstore.yaml", "items.json", "users.yaml"])
def test_a_document_as_a_definition_file(name: str) -> None:
    imported = import_document(HERE / name, {}, STRICT)
    expected = (HERE / name).with_suffix(".routes.yaml").read_text(encoding="utf-8")

    assert imported.text == expected
    again = parse(imported.text, "routes.yaml", {}, HERE)
    assert again.definitions == imported.loaded.definitions


# Names: the API, its stage, its paths


@pytest.mark.parametrize(
    ("text", "api_id"),
    [
        (document(", servers: [{url: 'https://a1b2.execute-api.eu-west-1.amazonaws.com/v1'}]"), "a1b2"),
        (document(", servers: [{url: 'https://api.example/v1'}]"), "shop"),
        (document(", servers: [{url: /v1}]").replace("title: shop", "title: The Shop! 2"), "the-shop-2"),
        (document(", x-wsgateway: {apis: {mine: {}}}"), "mine"),
        (document().replace("title: shop", "version: '1'"), "api"),
        (document().replace("openapi: 3.0.1", "swagger: '2.0', host: z9.execute-api.x.amazonaws.com"), "z9"),
    ],
)
def test_the_id_of_the_api(text: str, api_id: str) -> None:
    assert list(read(text).definitions.apis) == [api_id]
    assert list(read(text, Reading(api_id="chosen")).definitions.apis) == ["chosen"]


def test_it_is_the_default_api() -> None:
    assert read(document()).definitions.default("REST") == "shop"


SERVER = ", servers: [{{url: 'https://x.example/{path}', variables: {{{variables}}}}}]"


@pytest.mark.parametrize(
    ("lines", "reading", "stage", "path"),
    [
        ("", STRICT, "default", "/a"),
        ("", Reading(stage="beta"), "beta", "/a"),
        (", servers: [{url: 'https://x.example/v1'}]", STRICT, "v1", "/a"),
        (", servers: [{url: 'https://x.example/v1'}]", Reading(base_path="split"), "v1", "/a"),
        (", servers: [{url: 'https://x.example/v1'}]", Reading(base_path="prepend"), "v1", "/v1/a"),
        (", servers: [{url: 'https://x.example/api/v1'}]", STRICT, "api", "/a"),
        (", servers: [{url: 'https://x.example/api/v1'}]", Reading(base_path="split"), "api", "/v1/a"),
        (", servers: [{url: 'https://x.example/api/v1'}]", Reading(base_path="prepend"), "api", "/api/v1/a"),
        (", servers: [{url: 'https://x.example/v1.0'}]", STRICT, "default", "/a"),
        (SERVER.format(path="{basePath}", variables="basePath: {default: /p/q}"), SPLIT, "p", "/q/a"),
        (SERVER.format(path="x/{where}", variables="where: {default: y}"), SPLIT, "x", "/y/a"),
        (", servers: [{url: /z}, {url: /y, variables: {basePath: {default: w}}}]", STRICT, "w", "/a"),
        (", servers: [{url: /v1}], x-wsgateway: {apis: {shop: {stages: {one: {}}}}}", STRICT, "one", "/a"),
        (", x-wsgateway: {apis: {shop: {stages: {one: {}}}}}", Reading(stage="two"), "two", "/a"),
    ],
)  # fmt: skip
def test_the_stage_and_the_base_path(lines: str, reading: Reading, stage: str, path: str) -> None:
    api = api_of(read(document(lines), reading))

    assert list(api.stages) == [stage]
    assert list(api.paths) == [path]


def test_the_root_below_a_base_path() -> None:
    text = document(", servers: [{url: /a/b}]").replace("/a: {get", "/: {get")

    assert list(api_of(read(text, Reading(base_path="split"))).paths) == ["/b"]
    assert list(api_of(read(text)).paths) == ["/"]


def test_the_stage_that_a_flag_names_keeps_its_settings() -> None:
    text = document(", x-wsgateway: {apis: {shop: {stages: {one: {variables: {a: b}}, two: {}}}}}")

    assert list(api_of(read(text)).stages) == ["one", "two"]
    stages = api_of(read(text, Reading(stage="one"))).stages
    assert {name: stage.variables for name, stage in stages.items()} == {"one": {"a": "b"}}


def test_a_patch_adds_replaces_and_removes() -> None:
    patch = "{name: null, profile: aws, paths: {/a: {GET: {operationName: b, requestParameters: null}}, /b: null}}"
    text = document(f", x-wsgateway: {{apis: {{shop: {patch}}}}}", "parameters: [{name: q, in: query}]")
    api = api_of(read(text.replace("paths: {", f"paths: {{/b: {{get: {{{MOCK}}}}}, ", 1)))

    assert (api.name, api.profile, list(api.paths)) == (None, "aws", ["/a"])
    assert api.paths["/a"]["GET"].operation_name == "b"
    assert not api.paths["/a"]["GET"].request_parameters
    (problem,) = problems_of(text.replace("operationName: b", "operationName: 5"))
    assert problem.startswith("1: x-wsgateway.apis.shop.paths./a.GET.operationName: expected a string, got 5")


SCHEMA = """
openapi: 3.0.1
paths: {/a: {get: {$mock}}}
components:
  schemas:
    A.B:
      x-go-name: AB
      type: object
      properties:
        example: {type: string, example: x, nullable: true, enum: [a]}
        any: {nullable: true, deprecated: true}
        list: {type: array, items: {$ref: '#/components/schemas/AB'}}
        map: {type: object, additionalProperties: {$ref: '#/components/schemas/A.B', nullable: true, description: d}}
        one: {oneOf: [{type: string, xml: {}}, {not: {$ref: '#/components/schemas/A.B/properties/any'}}]}
        open: {type: object, additionalProperties: true}
    AB: {type: string}
"""


def test_schemas() -> None:
    found = translated(SCHEMA.replace("$mock", MOCK))
    url = "https://apigateway.amazonaws.com/restapis/api/models"

    assert not found.problems
    assert {name: model["schema"] for name, model in said_of(found)["models"].items()} == {
        "AB2": {
            "type": "object",
            "properties": {
                "example": {"type": ["string", "null"], "enum": ["a", None]},
                "any": {},
                "list": {"type": "array", "items": {"$ref": f"{url}/AB"}},
                "map": {"type": "object", "additionalProperties": {"$ref": f"{url}/AB2", "description": "d"}},
                "one": {"oneOf": [{"type": "string"}, {"not": {"$ref": f"{url}/AB2#/properties/any"}}]},
                "open": {"type": "object", "additionalProperties": True},
            },
        },
        "AB": {"type": "string"},
    }


def test_bodies_become_models_of_their_media_types() -> None:
    item = "schema: {type: array, items: {type: string}}"
    text = document(
        operation=f"""requestBody: {{content: {{"application/json; charset=utf-8": {{{item}}}, text/xml: {{{item}}}}}}},
        responses: {{200: {{content: {{application/vnd.a+json: {{{item}}}}}}}}}"""
    )
    method = api_of(read(text)).paths["/a"]["GET"]

    assert method.request_models == {"application/json": "GetARequest"}
    assert method.method_responses["200"].response_models == {"application/vnd.a+json": "GetARequest"}
    assert any("is no model: models describe JSON" in note for note in notes_of(text))


@pytest.mark.parametrize(
    ("lines", "reading", "note"),
    [
        ("", STRICT, "no base path names a stage, so it is default; name it by a flag, or below x-wsgateway"),
        ("", Reading(stage="one"), None),
        (", servers: [{url: /v1}]", STRICT, None),
        (", servers: [{url: /v1}]", Reading(stage="v1"), None),
        (", servers: [{url: /v1}]", Reading(stage="v2"), "the base path /v1 is no part of the paths"),
        (", servers: [{url: /v1/x}]", STRICT, "the base path /v1/x is no part of the paths"),
        (", servers: [{url: /v1/x}]", Reading(base_path="split"), None),
    ],
)
def test_what_is_said_of_the_base_path(lines: str, reading: Reading, note: str | None) -> None:
    notes = notes_of(document(lines), reading)

    assert [note in each for each in notes] == [True] if note else notes == []


# What can't be read


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("openapi: 3.1.0\npaths: {}", "1: openapi: 3.1.0 is not read here, nor by AWS; write openapi: 3.0.3"),
        ("swagger: '1.2'\npaths: {}", "1: swagger: 1.2 is not read here, nor by AWS; write swagger: '2.0'"),
        ("openapi: {}\npaths: {}", '1: openapi: "" is not read here'),
        ("openapi: 3.0.0", "1: paths: is required: the resources by path"),
        ("openapi: 3.0.0\npaths: []", "2: paths: expected a mapping, got a list"),
        ("openapi: 3.0.0\npaths: {}", "2: paths: needs at least 1 entry"),
        (document(", pathz: {}"), "1: pathz: unknown key; did you mean paths?"),
        (document(", x-amazon-apigateway-polciy: {}"), "unknown extension; did you mean x-amazon-apigateway-policy?"),
        (document(", x-amazon-apigateway-auth: {}"), "has no effect here; it stands at an operation"),
        (document(", x-amazon-apigateway-cors: {}"), "is for HTTP APIs; write cors below x-wsgateway"),
        (document(operation="callbacks: {}"), "paths./a.get.callbacks: is not read"),
        (document(operation="parameters: [{name: a}]"), "parameters.0: needs a name, and where it is"),
        (document(operation="parameters: [{name: a, in: cookie}]"), "cookies are no parameters of a gateway"),
        (document(operation="parameters: [{name: a, in: body}]"), "in: body is none of path, query, header"),
        (document(operation="parameters: [{name: a, in: query, required: 1}]"), "expected true or false, got 1"),
        (document(operation="parameters: [{name: 'a[]', in: query}]"), "a parameter is written method.request"),
        (document(operation="parameters: [{$ref: '#/components/parameters/a'}]"), "names nothing in this document"),
        (document(operation="parameters: [{$ref: 'http://x/y.yaml#/a'}]"), "a document refers to parts of itself"),
        (document(operation="parameters: [{$ref: {}}]"), "expected a string such as"),
        (document(operation=f"{VALIDATOR}: al"), "nothing under requestValidators is named al"),
        (document(operation="operationId: 5"), "operationId: expected a string, got 5"),
        (document(operation="responses: []"), "paths./a.get.responses: expected a mapping, got a list"),
        (document(operation="responses: {200: {headers: 5}}"), "responses.200.headers: expected a mapping, got 5"),
        (document(operation="parameters: {}"), "paths./a.get.parameters: expected a list, got a mapping"),
        (document(operation="requestBody: {content: 5}"), "requestBody.content: expected a mapping, got 5"),
        (document(operation="security: ~"), "paths./a.get.security: is empty; give it a value, or remove it"),
        (document(", servers: {}"), "1: servers: expected a list, got a mapping"),
        (document(", tags: 5"), "1: tags: expected a list, got 5"),
        (document(", components: {schemas: []}"), "components.schemas: expected a mapping, got a list"),
        (document(", components: {schemas: [{}]}",
                  "requestBody: {content: {application/json: {schema: {items: {$ref: '#/components/schemas/0'}}}}}"),
         "components.schemas: expected a mapping, got a list"),
        (document(", components: {securitySchemes: []}"), "securitySchemes: expected a mapping, got a list"),
        (document(", x-amazon-apigateway-gateway-responses: 5"), "gateway-responses: expected a mapping, got 5"),
        (document(operation="responses: {200: 5}"), "responses.200: expected a mapping, got 5"),
        (document().replace("get: {", "get: {responses: {'2000': {}}, "), "a status code is three digits in quotes"),
        (document().replace(MOCK, "summary: none"), "paths./a.get: has no x-amazon-apigateway-integration"),
        (document().replace(MOCK, "x-amazon-apigateway-integration: 5"), "expected an integration, which is a mapping"),
        (document().replace("type: mock", "type: moc"), "MOC is none of AWS, AWS_PROXY, HTTP, HTTP_PROXY, MOCK"),
        (document().replace("statusCode: 200", "x: 1"), "responses.default: needs a statusCode"),
        (document().replace("{statusCode: 200}", "5"), "responses.default: expected a mapping, got 5"),
        (document().replace("{default: {statusCode: 200}}", "5"), "responses: expected a mapping, got 5"),
        (document().replace("{default", "{'2..': {statusCode: '200'}, default"), "is another response of status 200"),
        (document().replace("type: mock", "type: mock, payloadFormatVersion: '2.0'"), "is for HTTP APIs"),
        (document().replace("type: mock", "type: mock, typ: 1"), "x-amazon-apigateway-integration.typ: unknown key"),
        (document().replace("{get", "{trace: {}, get"), "API Gateway has no TRACE"),
        (document().replace("{get", "{gett: {}, get"), "paths./a.gett: unknown key; did you mean get?"),
        (document().replace("{get", "{$ref: '#/x', get"), "is not read at a path"),
        (document().replace("/a:", "a:"), "paths.a: a path begins with /"),
        (document().replace("/a:", "'/a/{b+}/c':"), "a path is / or segments of letters"),
        (document(", components: {schemas: {A: 5}}"), "schemas.A: expected a schema, which is a mapping, got 5"),
        (document(", components: {schemas: {A: {$ref: '#/components/schemas/B'}}}"), "names nothing in this document"),
        (document(", components: {schemas: {A: {$ref: 'http://evil/x'}}}"), "a document refers to parts of itself"),
        (document(", components: {schemas: {A: {items: {$ref: ~}}}}"), "schemas.A.items.$ref: is empty; give it"),
        (document(", servers: [{url: 'http://[/'}]"), "http://[/ is no URL"),
        (document().replace("type: mock", "type: aws_proxy, uri: {'Fn::Sub': x}"), "Fn::Sub is CloudFormation's"),
        (document().replace("type: mock", "type: aws, uri: {Ref: x}"), "Ref is CloudFormation's"),
        (document(", x-wsgateway: 5"), "x-wsgateway: expected a mapping"),
        (document(", x-wsgateway: {apis: {a: {}, b: {}}}"), "x-wsgateway.apis: holds one API, the document's"),
        (document(", x-wsgateway: {apis: {a: 5}}"), "x-wsgateway.apis.a: expected a mapping, got 5"),
        (document(", x-wsgateway: {function: {}}"), "x-wsgateway.function: unknown key; did you mean functions?"),
        (document(", x-wsgateway: {apis: {a: {profile: '${NONE}'}}}"), "${NONE} is not set in the environment"),
    ],
)  # fmt: skip
def test_a_problem_has_its_line_and_a_way_out(text: str, problem: str) -> None:
    said = problems_of(text)

    assert any(problem in each.removeprefix("1: : ") for each in said), said


def test_every_problem_at_once_each_with_its_line() -> None:
    text = """\
swagger: "2.0"
info: {title: shop}
paths:
  /pets:
    get:
      callbaks: {}
      x-amazon-apigateway-integration:
        type: http
        uri: ftp://pets.example
        httpMethod: GET
    post:
      parameters:
        - {in: formData, name: file}
      x-amazon-apigateway-integration: {type: mock}
definitions:
  Pet: {$ref: "#/definitions/Pte"}
"""
    assert problems_of(text) == [
        "6: paths./pets.get.callbaks: unknown key",
        "9: paths./pets.get.x-amazon-apigateway-integration.uri: ftp://pets.example: must begin with http:// or https://",
        "13: paths./pets.post.parameters.0: forms are not read; a gateway hands their bodies on as they are",
        "16: definitions.Pet.$ref: #/definitions/Pte names nothing in this document",
    ]


# Integrations


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (
            "{type: aws_proxy, uri: 'function:a', httpMethod: GET, passthroughBehavior: never}",
            {"type": "AWS_PROXY", "uri": "function:a", "httpMethod": "POST"},
        ),
        (
            "{type: http_proxy, uri: u, httpMethod: ANY, requestTemplates: {a/b: c}, connectionId: l}",
            {"type": "HTTP_PROXY", "uri": "u", "httpMethod": "ANY", "connectionId": "l"},
        ),
        (
            "{type: MOCK, httpMethod: POST, requestTemplates: {a/b: __passthrough__, c/d: null, e/f: g}}",
            {"type": "MOCK", "requestTemplates": {"a/b": None, "c/d": None, "e/f": "g"}},
        ),
        (
            "{type: aws, uri: x, credentials: r, contentHandling: convert_to_text, connectionType: vpc_link}",
            {"type": "AWS", "uri": "x", "credentials": "r", "contentHandling": "CONVERT_TO_TEXT",
             "connectionType": "VPC_LINK"},
        ),
        (
            "{type: http, cacheNamespace: n, cacheKeyParameters: [a], retry: {}, payloadFormatVersion: 1.0}",
            {"type": "HTTP", "cacheNamespace": "n", "cacheKeyParameters": ["a"], "retry": {}},
        ),
        (
            "{type: http, cacheKeyParameters: [], timeoutInMillis: 50}",
            {"type": "HTTP", "timeoutInMillis": 50},
        ),
        (
            "{$ref: '#/components/x-amazon-apigateway-integrations/one'}",
            {"type": "HTTP", "integrationResponses": {"200": {}, "404": {"selectionPattern": "4.."}}},
        ),
    ],
)  # fmt: skip
def test_an_integration(written: str, expected: dict[str, Any]) -> None:
    shared = "{type: http, responses: {default: {statusCode: 200}, '4..': {statusCode: 404, responseTemplates: null}}}"
    text = document(f", components: {{x-amazon-apigateway-integrations: {{one: {shared}}}}}")
    text = text.replace(MOCK, f"x-amazon-apigateway-integration: {written}")

    assert said_of(translated(text))["paths"]["/a"]["GET"]["integration"] == expected


def test_what_a_proxy_ignores_is_told_unless_every_export_has_it() -> None:
    proxy = "type: http_proxy, httpMethod: GET, uri: 'http://a'"
    plain = document().replace("type: mock", proxy + ", passthroughBehavior: when_no_templates")
    mapped = plain.replace("{statusCode: 200}", "{statusCode: 201}")

    assert not any("has no effect" in note for note in notes_of(plain, Reading(stage="v1")))
    assert any("responses: has no effect, as on AWS" in note for note in notes_of(mapped, Reading(stage="v1")))


# Who may call


SCHEMES = """
  sigv4: {type: apiKey, name: Authorization, in: header, x-amazon-apigateway-authtype: awsSigv4}
  key: {type: apiKey, name: X-API-Key, in: header}
  basic: {type: http, scheme: basic}
  half: {type: apiKey, name: a, in: header, x-amazon-apigateway-authtype: custom}
  token:
    type: apiKey
    name: X-Token
    in: header
    x-amazon-apigateway-authtype: custom
    x-amazon-apigateway-authorizer: {type: token, authorizerUri: 'function:auth', authorizerResultTtlInSeconds: 60}
  request:
    type: apiKey
    name: Unused
    in: header
    x-amazon-apigateway-authorizer:
      {type: request, authorizerUri: 'function:auth', identitySource: method.request.querystring.a}
  pool:
    type: apiKey
    name: Authorization
    in: header
    x-amazon-apigateway-authtype: cognito_user_pools
    x-amazon-apigateway-authorizer:
      type: COGNITO_USER_POOLS
      providerARNs: ['arn:aws:cognito-idp:eu-west-1:123456789012:userpool/eu-west-1_A']
"""


def secured(security: str, root: str = "", more: str = "") -> str:
    said = "".join(f"\n    {line}" for line in SCHEMES.splitlines())
    security = f", security: {security}" if security else ""
    return f"""
openapi: 3.0.1
info: {{title: shop}}
{f"security: {root}" if root else ""}
paths: {{/a: {{get: {{{MOCK}{security}{more}}}}}}}
components:
  securitySchemes:{said}
"""


@pytest.mark.parametrize(
    ("security", "root", "more", "expected"),
    [
        ("", "", "", {}),
        ("[]", "[{sigv4: []}]", "", {}),
        ("[{}]", "[{sigv4: []}]", "", {}),
        ("[{sigv4: []}]", "", "", {"authorizationType": "AWS_IAM"}),
        ("", "[{sigv4: []}]", "", {"authorizationType": "AWS_IAM"}),
        ("[{token: []}]", "[{sigv4: []}]", "", {"authorizer": "token"}),
        ("[{pool: [a/b, c]}]", "", "", {"authorizer": "pool", "authorizationScopes": ["a/b", "c"]}),
        ("[{key: []}]", "", "", {"apiKeyRequired": True}),
        ("[{token: []}, {key: []}]", "", "", {"authorizer": "token", "apiKeyRequired": True}),
        ("[{token: [], key: []}]", "", "", {"authorizer": "token", "apiKeyRequired": True}),
        ("[{NONE: []}]", "[{token: []}]", "", {}),
        ("", "[{token: []}]", ", x-amazon-apigateway-auth: {type: none}", {}),
        ("", "[{token: []}]", ", x-amazon-apigateway-auth: {type: aws_iam}", {"authorizationType": "AWS_IAM"}),
    ],
)
def test_who_may_call(security: str, root: str, more: str, expected: dict[str, Any]) -> None:
    found = translated(secured(security, root, more))
    method = said_of(found)["paths"]["/a"]["GET"]

    assert not found.problems + found.unsupported
    assert {key: method[key] for key in method if key != "integration"} == expected


def test_authorizers() -> None:
    assert said_of(translated(secured("[]")))["authorizers"] == {
        "token": {
            "type": "TOKEN",
            "authorizerUri": "function:auth",
            "authorizerResultTtlInSeconds": 60,
            "identitySource": "method.request.header.X-Token",
        },
        "request": {
            "type": "REQUEST",
            "authorizerUri": "function:auth",
            "identitySource": "method.request.querystring.a",
        },
        "pool": {
            "type": "COGNITO_USER_POOLS",
            "providerARNs": ["arn:aws:cognito-idp:eu-west-1:123456789012:userpool/eu-west-1_A"],
            "identitySource": "method.request.header.Authorization",
        },
    }


def test_authorizers_are_those_of_definitions() -> None:
    api = api_of(read(secured("[{pool: [a/b]}]")))
    method = api.paths["/a"]["GET"]

    assert {name: each.type for name, each in api.authorizers.items()} == {
        "token": "TOKEN",
        "request": "REQUEST",
        "pool": "COGNITO_USER_POOLS",
    }
    assert (method.authorizer_name, method.authorization_scopes) == ("pool", ["a/b"])
    (problem,) = problems_of(secured("[{token: [a/b]}]"))
    assert problem.startswith("5: paths./a.get.security.0.token: has no effect: token is of type TOKEN")


def test_leniently_nothing_opens() -> None:
    text = secured("[{token: [a/b]}]").replace("paths: {", f"paths: {{/open: {{get: {{{MOCK}}}}}, ")
    loaded = read(text, Reading(stage="v1", lenient=True))

    assert list(api_of(loaded).paths) == ["/open"]
    assert ["left out" in note.text for note in loaded.notes] == [True]


@pytest.mark.parametrize(
    ("security", "problem", "fatal"),
    [
        ("[{tokn: []}]", "no security scheme is named tokn; did you mean token?", True),
        ("[{half: []}]", "its x-amazon-apigateway-authtype needs an x-amazon-apigateway-authorizer", True),
        ("[{token: [], pool: []}]", "a method has one", True),
        ("[token]", "expected a list of mappings of schemes to scopes", True),
        ("{}", "expected a list of mappings of schemes to scopes", True),
        ("[{token: []}, {pool: []}]", "a method has one", False),
        ("[{token: []}, {}]", "says that all may call it, too", False),
        ("[{basic: []}]", "nobody would check it: the scheme basic has no", False),
    ],
)
def test_security_that_nobody_would_see_to(security: str, problem: str, fatal: bool) -> None:
    found = translated(secured(security))

    assert [problem in each.text for each in found.problems] == [True] * fatal
    assert [problem in each.text for each in found.unsupported] == [True] * (not fatal)


# More, and less, than is supported


def test_leniently_what_is_not_supported_is_left_out_with_a_warning() -> None:
    endpoint = "x-amazon-apigateway-endpoint-configuration"
    text = document(f", {endpoint}: {{ipAddressType: ipv4}}", "callbacks: {}")
    text = text.replace("type: mock", "type: mock, typ: 1")

    assert len(problems_of(text)) == 3
    notes = notes_of(text, Reading(stage="v1", lenient=True))

    assert len(notes) == 3
    assert (
        f"1: {endpoint}.ipAddressType: left out: has no effect here: the listeners have what --host says; remove it"
        in notes
    )
    assert "1: paths./a.get.callbacks: is not read: a gateway calls nobody back" in notes
    assert any(".typ: left out: unknown key; did you mean type?" in note for note in notes)
    assert api_of(read(text, LENIENT)).paths["/a"]["GET"]


def test_tags_with_values_are_tags_of_the_api() -> None:
    tags = ", tags: [{name: 'aws:cloudformation:stack-name', x-amazon-apigateway-tag-value: shop}, {name: pets}]"

    assert api_of(read(document(tags))).tags == {"aws:cloudformation:stack-name": "shop"}


def test_leniently_what_is_ours_is_held_to_as_ever() -> None:
    text = document(", x-wsgateway: {apis: {shop: {stages: {v1: {tracingEnabled: true, tags: {}}}, nam: a}}}")

    assert len(problems_of(text, LENIENT)) == 3


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("{disableExecuteApiEndpoint: true}", {"disableExecuteApiEndpoint": True}),
        ("{vpcEndpointIds: [a]}", {"endpointConfiguration": {"vpcEndpointIds": ["a"]}}),
        ("{types: [REGIONAL]}", {"endpointConfiguration": {"types": ["REGIONAL"]}}),
    ],
)
def test_endpoint_configurations(said: str, expected: dict[str, Any]) -> None:
    name = "x-amazon-apigateway-endpoint-configuration"
    keys = {"disableExecuteApiEndpoint", "endpointConfiguration"}
    for text in (document(f", {name}: {said}"), document(f", servers: [{{url: /v1, {name}: {said}}}]")):
        api = said_of(translated(text))
        assert {key: api[key] for key in keys & {*api}} == expected


def test_the_endpoint_is_off_if_one_server_says_so() -> None:
    servers = [f"{{url: /v1, x-amazon-apigateway-endpoint-configuration: {{disableExecuteApiEndpoint: {said}}}}}"
               for said in ("false", "true", "false")]  # fmt: skip

    assert api_of(read(document(f", servers: [{', '.join(servers)}]"))).disable_execute_api_endpoint


def test_what_is_left_out_is_remarked_upon_by_whoever_serves_it() -> None:
    loaded = read(document(operation="callbacks: {}"), Reading(stage="v1", lenient=True))

    assert [remark.text for remark in remarks(loaded)] == ["is not read: a gateway calls nobody back"]


def test_malformed_parts_are_never_left_out() -> None:
    assert problems_of(document(operation="operationId: 5"), LENIENT)
    assert problems_of("openapi: 3.0.0\npaths: {a: 5}", LENIENT)


def test_variables_are_those_of_aws() -> None:
    text = document(operation="operationId: '${AWS::Region}-${AWS::Partition}-${AWS::AccountId}-${HOME}'")
    environ = {"AWS_REGION": "cn-north-1", "WSGATEWAY_ACCOUNT_ID": "123456789012", "HOME": "no"}
    method = api_of(read(text, **environ)).paths["/a"]["GET"]

    assert method.operation_name == "cn-north-1-aws-cn-123456789012-${HOME}"
    assert "no region is known; set AWS_REGION" in problems_of(text)[0]


def test_what_a_definition_file_would_expand_is_told_of(tmp_path: Path) -> None:
    file = tmp_path / "shop.yaml"
    file.write_text(document(operation="operationId: '${HOME}'"))

    with pytest.raises(DefinitionError, match="would be a variable of the environment in a definition file"):
        import_document(file, {}, STRICT)


def test_what_is_no_document_is_not_imported(tmp_path: Path) -> None:
    file = tmp_path / "routes.yaml"
    file.write_text("apis: {a: {protocolType: REST, stages: {v: {}}, paths: {/: {GET: {integration: {type: MOCK}}}}}}")

    with pytest.raises(DefinitionError, match="is no OpenAPI document"):
        import_document(file, {}, STRICT)


def test_a_problem_of_a_shared_part_is_told_once() -> None:
    text = document(f", {VALIDATOR}: al").replace("paths: {", f"paths: {{/b: {{get: {{{MOCK}}}}}, ")

    assert len(problems_of(text)) == 1


def test_a_canary_may_be_a_document_that_is_read_alike(tmp_path: Path) -> None:
    servers = ", servers: [{url: /v1/x}]"
    (tmp_path / "next.yaml").write_text(document(servers).replace("/a:", "/b:"))
    canary = "canarySettings: {percentTraffic: 10, deploymentId: 'file:next.yaml'}"
    text = document(f"{servers}, x-wsgateway: {{apis: {{shop: {{stages: {{v1: {{{canary}}}}}}}}}}}")
    loaded = parse(text, "shop.yaml", {}, tmp_path, SPLIT)

    assert list(api_of(loaded).paths) == ["/x/a"]
    assert list(api_of(loaded.canaries["shop", "v1"]).paths) == ["/x/b"]


# Bounds


def test_references_that_go_round() -> None:
    parameters = "a: {$ref: '#/components/parameters/b'}, b: {$ref: '#/components/parameters/a'}"
    text = document(
        f", components: {{parameters: {{{parameters}}}}}", "parameters: [{$ref: '#/components/parameters/a'}]"
    )

    assert any("refers to itself" in problem for problem in problems_of(text))


def test_variables_of_servers_that_name_one_another() -> None:
    variables = {f"v{number}": {"default": f"{{v{number + 1}}}{{v{number + 1}}}"} for number in range(100)}
    server = {"url": "https://{v0}/{basePath}", "variables": variables | {"basePath": {"default": "v1"}}}

    assert list(api_of(read(document(f", servers: [{json.dumps(server)}]"))).stages) == ["v1"]


def test_references_that_make_a_document_grow() -> None:
    headers = {f"H{number}": {} for number in range(MAX_NODES // 100)}
    gets = {f"/{number}": {"get": {"responses": {"200": {"$ref": "#/components/responses/big"}},
            "x-amazon-apigateway-integration": {"type": "mock"}}} for number in range(250)}  # fmt: skip
    text = json.dumps({"openapi": "3.0.0", "paths": gets, "components": {"responses": {"big": {"headers": headers}}}})

    (problem,) = problems_of(text)
    assert "references counted each time they are used" in problem


def test_a_huge_document() -> None:
    assert "more than" in problems_of("openapi: 3.0.0\npaths:\n" + " - a\n" * MAX_YAML_NODES)[0]


def test_names_of_validators_as_the_console_has_them() -> None:
    name = "Validate body, query string parameters, and headers"
    validators = f", {VALIDATOR}s: {{{name!r}: {{validateRequestBody: true, validateRequestParameters: true}}}}"
    api = api_of(read(document(validators, f"{VALIDATOR}: {name!r}")))

    assert api.paths["/a"]["GET"].validator_name == name
    assert api.request_validators[name].validate_request_body


def test_names_of_authorizers_are_free() -> None:
    asked = {"type": "token", "authorizerUri": "https://auth.example/"}
    scheme = {"type": "apiKey", "name": "A", "in": "header", "x-amazon-apigateway-authorizer": asked}
    schemes = json.dumps({"securitySchemes": {"Partners (v2)": scheme}})
    api = api_of(read(document(f", components: {schemes}", "security: [{'Partners (v2)': []}]")))

    assert api.paths["/a"]["GET"].authorizer_name == "Partners (v2)"
    assert [*api.authorizers] == ["Partners (v2)"]


@pytest.mark.parametrize("name", ["security-policy", "endpoint-access-mode"])
def test_what_only_api_gateways_own_endpoints_act_upon(name: str) -> None:
    text = document(f", x-amazon-apigateway-{name}: BASIC")

    (problem,) = problems_of(text)
    assert "has no effect here" in problem
    assert problems_of(text, LENIENT) == []


def test_what_a_document_lacks_is_written_below_x_wsgateway() -> None:
    signed = ", components: {securitySchemes: {s: {type: apiKey, in: header, name: Authorization, \
x-amazon-apigateway-authtype: awsSigv4}}}"

    assert problems_of(document(signed, "security: [{s: []}]"))[0].endswith(
        "there are no keys to sign with; add credentials, or a sessionLookup, below x-wsgateway"
    )
    told = read(document()).source.problem(("apis", "shop"), "the stage has no variable a; add it to its variables")
    assert told.text.endswith("add it to its variables, below x-wsgateway")
