"""REST APIs as their clients see them (API Gateway developer guide, "API Gateway REST APIs")."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.harness import Answer, Gateway, backend, gateway, http, parse_answer, raw

pytestmark = pytest.mark.anyio

DEFINITION = """
apis:
  shop:
    protocolType: REST
    stages:
      v1: {variables: {backend: "127.0.0.1:@port@", tone: warm}}
      v2: {variables: {backend: "127.0.0.1:1024", more: x}}
    binaryMediaTypes: [image/png]
    endpointConfiguration: {types: [EDGE]}
    models:
      Pet: {schema: {type: object, required: [name], properties: {name: {type: string}}}}
    requestValidators: {all: {validateRequestBody: true, validateRequestParameters: true}}
    gatewayResponses:
      BAD_REQUEST_BODY:
        statusCode: "422"
        responseTemplates: {application/json: '{"why":$context.error.messageString,"in":"$context.resourcePath"}'}
      DEFAULT_4XX:
        responseParameters:
          gatewayresponse.header.Access-Control-Allow-Origin: "'*'"
          gatewayresponse.header.X-Asked: method.request.header.X-Asked
    integrations:
      echo:
        type: HTTP_PROXY
        httpMethod: ANY
        uri: "http://${stageVariables.backend}/all/{proxy}"
        requestParameters: {integration.request.path.proxy: method.request.path.proxy}
    paths:
      /pets:
        POST:
          requestModels: {application/json: Pet}
          requestParameters: {method.request.header.X-Tenant: true, method.request.querystring.q: true}
          requestValidator: all
          integration:
            type: MOCK
            requestTemplates: {application/json: '{"statusCode": 201}'}
            integrationResponses:
              "201":
                responseTemplates: {application/json: '{"id":"$context.requestId","tone":"$stageVariables.tone"}'}
                responseParameters: {method.response.header.X-Stage: context.stage}
      /pets/{petId}:
        GET:
          integration:
            type: HTTP
            httpMethod: GET
            uri: "http://${stageVariables.backend}/p${stageVariables.more}/{id}?x=1"
            requestParameters:
              integration.request.header.X-Tone: stageVariables.tone
              integration.request.path.id: method.request.path.petId
              integration.request.querystring.q: method.request.querystring.q
              integration.request.header.X-Who: method.request.header.X-Who
            integrationResponses:
              "200":
                responseTemplates:
                  application/json: '{"from":$input.json("$.path")}'
                  text/plain: "from $input.path('$.path')"
              "410":
                selectionPattern: "4\\\\d\\\\d"
                responseParameters: {method.response.header.X-Was: integration.response.header.X-Was}
        PUT:
          integration:
            type: HTTP
            httpMethod: POST
            uri: "http://${stageVariables.backend}/put"
            passthroughBehavior: NEVER
            requestTemplates: {application/json: '{"name":$input.json("$.name"),"id":"$input.params("petId")"}'}
            integrationResponses: {"200": {}}
      /{proxy+}:
        ANY: {integration: echo}
"""

LAMBDA = """
apis:
  fn:
    protocolType: REST
    stages: {dev: {variables: {a: b}}}
    binaryMediaTypes: [image/png]
    paths:
      /files/{name}/{rest+}:
        ANY: {operationName: files, integration: {type: AWS_PROXY, httpMethod: POST, uri: function:app}}
functions:
  app: {runtime: @runtime@, codeUri: code, handler: app.handler, timeout: 2}
domains: {shop.example: {mappings: {some/base: {api: fn, stage: dev}}}}
"""

HANDLER = """
import json

def handler(event, context):
    if event["httpMethod"] == "DELETE":
        return json.loads(event["body"])
    return {"statusCode": 200, "headers": {"X-One": "1"}, "multiValueHeaders": {"Set-Cookie": ["a=1", "b=2"]},
            "body": json.dumps(event)}
"""


def definition(port: int) -> str:
    return DEFINITION.replace("@port@", str(port))


async def ask(running: Gateway, method: str, path: str, body: bytes = b"", **headers: str) -> Answer:
    fields = [(name.replace("_", "-"), value) for name, value in headers.items()]
    return await http(running.port, method, path, body, fields)


def message(answer: Answer) -> tuple[int, str | None, Any]:
    return answer.status, answer.header("x-amzn-errortype"), answer.json()


async def test_methods_of_resources(tmp_path: Path) -> None:
    async with backend() as other, gateway(definition(other.port), tmp_path) as running:
        other.answers("/p/a%2Fb", lambda request: (200, {"X-Was": "x"}, json.dumps({"path": request.target}).encode()))
        other.answers("/p/gone", (404, {"X-Was": "here"}, b"{}"))

        # MOCK, templates and mapped headers.
        made = await ask(
            running, "POST", "/v1/pets?q=1", b'{"name":"x"}', x_tenant="t", content_type="application/json"
        )
        assert made.status == 201  # names are capitalized, as CloudFront does it, so that the validator finds x-tenant
        assert made.header("x-stage") == "v1"
        assert made.json() == {"id": made.header("x-amzn-requestid"), "tone": "warm"}
        assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", made.json()["id"])

        # HTTP: what is mapped and nothing else; the template is picked by Accept.
        found = await ask(running, "GET", "/v1/pets/a%2Fb?q=x%20y&z=1", X_Who="me", X_Other="no")
        assert (found.status, found.body) == (200, b'{"from":"/p/a%2Fb?x=1&q=x%20y"}')
        seen = await other.saw("/p/a%2Fb")
        assert (seen.method, seen.header("x-who"), seen.header("x-other")) == ("GET", "me", None)
        text = await ask(running, "GET", "/v1/pets/a%2Fb", Accept="text/plain")
        assert (text.header("content-type"), text.body) == ("text/plain", b"from /p/a%2Fb?x=1")
        gone = await ask(running, "GET", "/v1/pets/gone")
        assert (gone.status, gone.header("x-was"), gone.body) == (410, "here", b"{}")

        put = await ask(running, "PUT", "/v1/pets/7", b'{"name":"x","more":1}')
        assert put.json() == {"name": "x", "id": "7"}
        refused = await ask(running, "PUT", "/v1/pets/7", b"<a/>", Content_Type="text/xml")
        assert message(refused) == (415, "BadRequestException", {"message": "Unsupported Media Type"})

        # HTTP_PROXY: everything as it came, below a greedy variable.
        passed = await ask(
            running, "PATCH", "/v1/a/b%2Fc//d?x=1;x=2", b"\xff\x00", X_Who="me", Content_Type="image/png"
        )
        assert (passed.status, passed.body) == (200, b"\xff\x00")
        seen = await other.saw("/all/a/b%2Fc//d")
        assert (seen.method, seen.target, seen.body) == ("PATCH", "/all/a/b%2Fc//d?x=1&x=2", b"\xff\x00")
        assert (seen.header("x-who"), seen.header("content-type")) == ("me", "image/png")
        assert seen.header("x-forwarded-for") == "127.0.0.1"
        override = await ask(running, "POST", "/v1/o?u=/@connections", X_HTTP_Method_Override="DELETE")
        assert override.status == 200
        assert (await other.saw("/all/o")).method == "DELETE"

        metrics = await running.metrics()
        assert metrics['wsgateway_rest_requests_total{api="shop",stage="v1",status="415"}'] == 1
        assert metrics['wsgateway_rest_requests_total{api="shop",stage="v1",status="201"}'] == 1


async def test_what_goes_wrong_is_a_gateway_response(tmp_path: Path) -> None:
    async with backend() as other, gateway(definition(other.port), tmp_path) as running:
        json_type = {"Content_Type": "application/json"}
        bare = await ask(running, "POST", "/v1/pets", b'{"name":"x"}', **json_type, X_Asked="me")
        assert message(bare) == (
            400,
            "BadRequestException",
            {"message": "Missing required request parameters: [X-Tenant, q]"},
        )
        assert (bare.header("access-control-allow-origin"), bare.header("x-asked")) == ("*", "me")
        blank = await ask(running, "POST", "/v1/pets?q=%20", b'{"name":"x"}', **json_type, X_Tenant="t")
        assert blank.json() == {"message": "Missing required request parameters: [q]"}
        misfit = await ask(running, "POST", "/v1/pets?q=1", b'{"nme":"x"}', **json_type, X_Tenant="t")
        assert message(misfit) == (422, "BadRequestException", {"why": "Invalid request body", "in": "/pets"})

        nothing = (403, "MissingAuthenticationTokenException", {"message": "Missing Authentication Token"})
        assert message(await ask(running, "GET", "/v1")) == nothing
        assert message(await ask(running, "GET", "/v1/")) == nothing
        assert message(await ask(running, "TRACE", "/v1/pets")) == nothing
        forbidden = (403, "ForbiddenException", {"message": "Forbidden"})
        nowhere = await ask(running, "GET", "/v9/pets/1")
        assert message(nowhere) == forbidden
        assert re.fullmatch("[0-9a-f-]{36}", nowhere.header("x-amzn-requestid") or "")
        assert nowhere.header("x-amz-apigw-id") is not None
        assert message(await ask(running, "GET", "/execute-api/none/v1/pets/1")) == forbidden
        assert (await ask(running, "GET", "/v1/pets/../x")).status == 400

        away = await ask(running, "GET", "/v2/pets/1")
        assert message(away) == (500, "InternalServerErrorException", {"message": "Internal server error"})
        assert away.header("access-control-allow-origin") is None
        failed = await running.logged("integration fails")
        assert "GET /pets/{petId}" in failed

        large = await ask(running, "PUT", "/v1/large", b"x" * 10_485_761)
        assert message(large) == (413, "RequestEntityTooLargeException", {"message": "Request Too Long"})


async def test_lambda_functions_get_events_of_format_1_0(tmp_path: Path) -> None:
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "app.py").write_text(HANDLER)
    runtime = f"python3.{sys.version_info.minor}"
    async with gateway(LAMBDA.replace("@runtime@", runtime), tmp_path) as running:
        path = "/dev/files/a%20b/c%2Fd//e/?x=1;x=2&y"  # a semicolon ends a parameter, too
        answer = await ask(running, "POST", path, b'{"k":1}', X_Who="me", Content_Type="application/json",
                           authorization="Bearer a", USER_agent="b")  # fmt: skip

        assert answer.status == 200
        assert [value for name, value in answer.headers if name == "set-cookie"] == ["a=1", "b=2"]
        assert answer.header("x-one") == "1"
        event = answer.json()
        assert (event["headers"]["Authorization"], event["headers"]["User-Agent"]) == ("Bearer a", "b")  # as AWS spells
        assert list(event) == [
            "resource",
            "path",
            "httpMethod",
            "headers",
            "multiValueHeaders",
            "queryStringParameters",
            "multiValueQueryStringParameters",
            "pathParameters",
            "stageVariables",
            "requestContext",
            "body",
            "isBase64Encoded",
        ]
        assert event["resource"] == "/files/{name}/{rest+}"
        assert event["path"] == "/files/a%20b/c%2Fd//e/"
        assert event["queryStringParameters"] == {"x": "2", "y": ""}
        assert event["multiValueQueryStringParameters"] == {"x": ["1", "2"], "y": [""]}
        assert event["pathParameters"] == {"name": "a b", "rest": "c%2Fd//e"}
        assert event["stageVariables"] == {"a": "b"}
        assert event["headers"]["X-Who"] == "me"
        assert (event["body"], event["isBase64Encoded"]) == ('{"k":1}', False)
        context = event["requestContext"]
        assert context["requestId"] == answer.header("x-amzn-requestid")
        assert (context["stage"], context["httpMethod"], context["resourcePath"]) == ("dev", "POST", event["resource"])
        assert context["identity"]["sourceIp"] == "127.0.0.1"
        assert context["operationName"] == "files"
        assert context["identity"]["userArn"] is None
        assert "authorizer" not in context

        # On a custom domain the base path is part of the paths, and not of what is matched.
        head = b"GET /some/base/files/a/b?x HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n\r\n"
        event = parse_answer(await raw(running.port, head)).json()
        assert (event["path"], event["requestContext"]["path"]) == ("/some/base/files/a/b", "/some/base/files/a/b")
        assert (event["resource"], event["requestContext"]["stage"]) == ("/files/{name}/{rest+}", "dev")
        event = (await ask(running, "GET", "/execute-api/fn/dev/files/a/b")).json()
        assert (event["path"], event["requestContext"]["path"]) == ("/files/a/b", "/dev/files/a/b")

        bytes_in = await ask(running, "PUT", "/dev/files/a/b", b"\xff", Content_Type="image/png")
        assert (bytes_in.json()["body"], bytes_in.json()["isBase64Encoded"]) == ("/w==", True)

        async def given(result: object, **headers: str) -> Answer:
            body = json.dumps(result).encode()
            return await ask(running, "DELETE", "/dev/files/a/b", body, **headers)

        assert (await given({})).status == 200
        assert (await given({"statusCode": "201", "body": None, "headers": None})).status == 201
        png = {"body": "/w==", "isBase64Encoded": True}
        assert (await given(png, Accept="image/png")).body == b"\xff"
        assert (await given(png, Accept="*/*")).body == b"/w=="
        malformed = (502, "InternalServerErrorException", {"message": "Internal server error"})
        for result in (
            [],
            "text",
            {"statusCode": "x"},
            {"other": 1},
            {"body": {}},
            {"headers": {"a": []}},
            {"headers": []},
            {"multiValueHeaders": {"a": "b"}},
            {"multiValueHeaders": {"a": [["b"]]}},
        ):
            assert message(await given(result)) == malformed, result
