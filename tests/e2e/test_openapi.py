"""OpenAPI documents: served as they are, and made into definition files."""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

import pytest

from tests import prefork
from tests.harness import PATIENCE, Answer, Gateway, backend, gateway, http

pytestmark = pytest.mark.anyio

PETSTORE = Path(__file__).parents[2] / "examples" / "petstore"
DOCUMENT = """\
openapi: 3.0.1
info: {title: Shop, version: "1"}
servers: [{url: https://shop.example/api/v2}]
x-amazon-apigateway-request-validators: {body: {validateRequestBody: true}}
x-amazon-apigateway-gateway-responses:
  BAD_REQUEST_BODY: {statusCode: 422, responseTemplates: {application/json: '{"why":$context.error.messageString}'}}
paths:
  /pets:
    get:
      operationId: listPets
      parameters: [{name: kind, in: query, schema: {type: string}}]
      responses:
        "200": {description: ok, headers: {X-Kind: {schema: {type: string}}}}
      x-amazon-apigateway-integration:
        type: http
        httpMethod: GET
        uri: http://127.0.0.1:@port@/list
        requestParameters: {integration.request.querystring.k: method.request.querystring.kind}
        responses:
          default:
            statusCode: "200"
            responseParameters: {method.response.header.X-Kind: integration.response.header.X-Kind}
            responseTemplates: {application/json: '{"pets":$input.json("$")}'}
          4\\d\\d: {statusCode: 404, responseTemplates: {application/json: '{"none":"${NOTHING}"}'}}
    post:
      requestBody: {content: {application/json: {schema: {$ref: '#/components/schemas/Pet'}}}}
      x-amazon-apigateway-request-validator: body
      x-amazon-apigateway-integration:
        type: aws_proxy
        uri: function:pets
        responses: {default: {statusCode: "200"}}
    options:
      responses: {"200": {headers: {Access-Control-Allow-Origin: {schema: {type: string}}}}}
      x-amazon-apigateway-integration:
        type: mock
        requestTemplates: {application/json: '{"statusCode": 200}'}
        responses:
          default: {statusCode: "200", responseParameters: {method.response.header.Access-Control-Allow-Origin: "'*'"}}
  /{proxy+}:
    x-amazon-apigateway-any-method:
      x-amazon-apigateway-integration:
        type: http_proxy
        httpMethod: ANY
        uri: http://127.0.0.1:@port@/all/{proxy}
        requestParameters: {integration.request.path.proxy: method.request.path.proxy}
  /mine:
    get:
      security: [{users: []}, {api_key: []}]
      x-amazon-apigateway-integration:
        type: mock
        requestTemplates: {application/json: '{"statusCode": 200}'}
        responses:
          default:
            statusCode: "200"
            responseTemplates: {application/json: '{"who":"$context.authorizer.principalId"}'}
components:
  securitySchemes:
    api_key: {type: apiKey, name: x-api-key, in: header}
    users:
      type: apiKey
      name: X-Token
      in: header
      x-amazon-apigateway-authtype: custom
      x-amazon-apigateway-authorizer: {type: token, authorizerUri: "function:pets", authorizerResultTtlInSeconds: 0}
  schemas:
    Name: {type: string, minLength: 1, nullable: true}
    Pet: {type: object, required: [name], properties: {name: {$ref: '#/components/schemas/Name'}}}
x-wsgateway:
  apiKeys: [{name: phone, value: 0123456789-0123456789, usagePlans: [all]}]
  usagePlans: {all: {apiStages: [{apiId: shop, stage: live}]}}
  functions: {pets: {runtime: python3.11, codeUri: code, handler: app.handler, environment: {GREETING: "${GREETING}"}}}
"""
HANDLER = """
import json, os

def handler(event, context):
    if "authorizationToken" in event:
        allow = {"Action": "*", "Effect": "Allow", "Resource": "*"}
        return {"principalId": event["authorizationToken"], "policyDocument": {"Statement": [allow]}}
    name = json.loads(event["body"])["name"]
    said = [os.environ["GREETING"], event["resource"], event["requestContext"]["stage"], name]
    return {"statusCode": 201, "body": json.dumps(said)}
"""
JSON = [("Content-Type", "application/json")]


def folder_with(tmp_path: Path, port: int) -> str:
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "app.py").write_text(HANDLER)
    return DOCUMENT.replace("@port@", str(port)).replace("python3.11", f"python3.{sys.version_info.minor}")


async def reloaded(running: Gateway, event: str) -> str:
    """The first line of this event once the file is read anew."""
    before = len(running.log)
    running.reload()
    async with asyncio.timeout(PATIENCE):
        while not (found := [line for line in running.log[before:] if event in line]):
            await running.more_log()
    return found[0]


async def wsgateway(*arguments: str) -> tuple[int | None, str, str]:
    process = await prefork.wsgateway(*arguments, stdout=PIPE, stderr=PIPE)
    try:
        async with asyncio.timeout(PATIENCE):
            out, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return process.returncode, out.decode(), err.decode()


async def test_a_document_is_served(tmp_path: Path) -> None:
    flags = ("--openapi-stage", "live", "--openapi-base-path", "split")
    async with backend() as other:
        text = folder_with(tmp_path, other.port)
        async with gateway(text, tmp_path, *flags, env={"GREETING": "hello"}) as running:

            async def ask(method: str, path: str, body: bytes = b"", **headers: str) -> Answer:
                return await http(running.port, method, path, body, [*JSON, *headers.items()])

            other.answers("/list", lambda request: (200, {"X-Kind": request.target}, b'["Rex"]'))
            listed = await ask("GET", "/live/v2/pets?kind=dog")
            assert (listed.status, listed.json()) == (200, {"pets": ["Rex"]})
            assert listed.header("x-kind") == "/list?k=dog"

            other.answers("/list", (404, {}, b"{}"))
            none = await ask("GET", "/live/v2/pets")
            assert (none.status, none.json()) == (404, {"none": "${NOTHING}"})

            made = await ask("POST", "/live/v2/pets", b'{"name":"Rex"}')
            assert (made.status, made.json()) == (201, ["hello", "/v2/pets", "live", "Rex"])
            refused = await ask("POST", "/live/v2/pets", b'{"name":""}')
            assert (refused.status, refused.json()) == (422, {"why": "Invalid request body"})
            assert (await ask("POST", "/live/v2/pets", b'{"name":null}')).status == 201

            options = await ask("OPTIONS", "/live/v2/pets")
            assert (options.status, options.header("access-control-allow-origin")) == (200, "*")

            other.answers("/all/a/b", (200, {}, b"through"))
            assert (await ask("PUT", "/live/v2/a/b")).body == b"through"
            assert (await ask("GET", "/live/pets")).status == 403

            key = {"X-Api-Key": "0123456789-0123456789"}
            assert (await ask("GET", "/live/v2/mine", **key)).status == 401
            assert (await ask("GET", "/live/v2/mine", **{"X-Token": "ann"})).status == 403
            assert (await ask("GET", "/live/v2/mine", **key, **{"X-Token": "ann"})).json() == {"who": "ann"}

            # What it says anew is served, with the same flags; what is wrong with it is told with its line.
            file = tmp_path / "routes.yaml"
            file.write_text(text.replace("type: mock", "type: moc", 1))
            line = await reloaded(running, "definition refused")
            assert f"{file}:35: paths./pets.options.x-amazon-apigateway-integration.type: MOC is none of" in line
            file.write_text(text.replace("/all/{proxy}", "/new/{proxy}"))
            await reloaded(running, "definition deployed")
            other.answers("/new/c", (200, {}, b"new"))
            assert (await ask("GET", "/live/v2/c")).body == b"new"


async def test_the_pet_store(tmp_path: Path) -> None:
    for name in ("openapi.yaml", "pets.py"):
        shutil.copy(PETSTORE / name, tmp_path)
    text = (tmp_path / "openapi.yaml").read_text()
    env = {"VIRTUAL_ENV": sys.prefix, "PETS_DATABASE": str(tmp_path / "pets.sqlite3")}
    async with gateway(text, tmp_path, verb="dev", env=env) as running:

        async def ask(method: str, path: str, body: bytes = b"", **headers: str) -> Answer:
            return await http(running.port, method, path, body, [*JSON, *headers.items()])

        rex = {"id": "1", "name": "Rex", "kind": "dog"}
        added = await ask("POST", "/v1/pets", b'{"name":"Rex","kind":"dog"}')
        assert (added.status, added.json()) == (201, rex)
        assert added.header("access-control-allow-origin") == "*"
        refused = await ask("POST", "/v1/pets", b'{"name":"Rex","kind":"cow"}')
        assert (refused.status, refused.json()) == (422, {"message": "Invalid request body", "model": "Pet"})
        assert (await ask("GET", "/v1/pets?kind=cat")).json() == []
        assert (await ask("GET", "/v1/pets?kind=dog")).json() == (await ask("GET", "/v1/pets")).json() == [rex]
        assert (await ask("GET", "/v1/pets/1")).json() == rex
        assert (await ask("GET", "/v1/kinds")).json() == ["cat", "dog", "parrot"]
        assert (await ask("DELETE", "/v1/pets/1")).status == 403
        assert (await ask("DELETE", "/v1/pets/1", **{"X-Api-Key": "not-a-secret-not-a-secret"})).status == 204
        assert (await ask("GET", "/v1/pets/1")).status == 404


async def test_a_document_becomes_a_definition_file(tmp_path: Path) -> None:
    text = folder_with(tmp_path, 8000).replace("${GREETING}", "hello").replace("${NOTHING}", "nothing")
    file, made = tmp_path / "shop.yaml", tmp_path / "routes.yaml"
    file.write_text(text.replace("      operationId: listPets\n", "      operationId: listPets\n      callbacks: {}\n"))

    how = ("import", "openapi", str(file), "-o", str(made), "--stage", "live")
    code, out, err = await wsgateway(*how)
    assert (code, out, made.exists()) == (2, "", False)
    assert err == f"{file}:11: paths./pets.get.callbacks: is not read: a gateway calls nobody back\n"

    code, out, err = await wsgateway(*how, "--lenient")
    assert (code, out) == (0, "")
    path, callbacks = err.splitlines()
    assert path.startswith(f"warning: {file}:3: servers: the base path /api/v2 is no part of the paths, as on AWS")
    assert callbacks == f"warning: {file}:11: paths./pets.get.callbacks: is not read: a gateway calls nobody back"
    code, out, err = await wsgateway("routes", str(made), "--output", "json")
    assert [row["route"] for row in json.loads(out)] == [
        "GET /pets",
        "POST /pets",
        "OPTIONS /pets",
        "ANY /{proxy+}",
        "GET /mine",
    ]
    assert {(row["api"], row["stage"]) for row in json.loads(out)} == {("shop", "live")}

    code, out, err = await wsgateway(*how, "--lenient")
    assert (code, out) == (2, "")
    assert err.endswith(f"{made} is there already; give another name, or --force\n")
