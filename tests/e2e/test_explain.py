"""`wsgateway explain`: every step of one message or request, by what `serve` would run."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from tests.harness import PATIENCE, backend
from wsgateway.cli import main

ROOT = Path(__file__).parents[2]

DEFINITION = r"""
defaultApi: chat
apis:
  chat:
    protocolType: WEBSOCKET
    routeSelectionExpression: $request.body.action
    stages: {dev: {stageVariables: {port: "PORT"}}, prod: {stageVariables: {port: "1024"}}}
    models:
      Join: {schema: {type: object, required: [room]}}
    integrations:
      rooms:
        integrationType: HTTP
        integrationUri: http://127.0.0.1:${stageVariables.port}/rooms/{room}
        requestParameters:
          integration.request.path.room: route.request.body.room
          integration.request.header.Authorization: "'Bearer secret'"
        requestTemplates:
          $default: '{"room": $input.json("$.room"), "by": "$context.identity.sourceIp"}'
        integrationResponses:
          $default: {responseTemplates: {$default: '{"joined": $input.json("$.members")}'}}
          /4\d\d/: {responseTemplates: {$default: '{"error": "no such room"}'}}
    routes:
      $connect: {integration: {integrationType: HTTP_PROXY, integrationUri: "http://127.0.0.1:1024/connect"}}
      join:
        integration: rooms
        routeResponse: true
        modelSelectionExpression: '\$default'
        requestModels: {$default: Join}
      tell: {integration: rooms}
      many:
        routeResponse: true
        integration:
          integrationType: MOCK
          requestTemplates: {$default: '{"statusCode": 200}'}
          integrationResponses: {$default: {responseTemplates: {$default: "#foreach($i in [1..2000])$i#end"}}}
      lambda:
        routeResponse: true
        integration: {integrationType: AWS_PROXY, integrationUri: "arn:aws:lambda:eu-west-1:123456789012:function:chat"}
      table:
        routeResponse: true
        integration:
          integrationType: AWS
          integrationUri: arn:aws:apigateway:us-east-1:dynamodb:action/PutItem
          requestTemplates: {$default: '{"TableName": "rooms"}'}
          integrationResponses: {$default: {responseTemplates: {$default: stored}}}
      queue:
        routeResponse: true
        integration: {integrationType: PUBLISH, integrationUri: "redis://127.0.0.1:1024/0/rooms"}
"""

JOIN = '{"action": "join", "room": "lobby"}'


@dataclass
class Result:
    returncode: int
    stdout: str
    stderr: str


def run(folder: Path, *arguments: str, port: int = 1024, definition: str = DEFINITION) -> Result:
    """The verb in this process: starting one takes ten times as long."""
    file = folder / "routes.yaml"
    file.write_text(definition.replace("PORT", str(port)))
    nobody = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    out, err = StringIO(), StringIO()
    with (
        mock.patch.object(sys, "argv", ["wsgateway", "explain", str(file), *arguments]),
        mock.patch.dict(os.environ, nobody | {"HOME": str(folder)}, clear=True),
        redirect_stdout(out),
        redirect_stderr(err),
        pytest.raises(SystemExit) as end,
    ):
        main()
    assert isinstance(end.value.code, int)
    return Result(end.value.code, out.getvalue(), err.getvalue())


def steps(folder: Path, *arguments: str, code: int = 0, **more: Any) -> list[tuple[str, Any]]:
    result = run(folder, "--stage", "dev", *arguments, "--output", "json", **more)
    assert result.returncode == code, result.stderr
    return [(step["step"], step["value"]) for step in json.loads(result.stdout)["steps"]]


def test_a_mock_of_the_shipped_file_goes_all_the_way() -> None:
    result = subprocess.run(
        [sys.executable, "-m", "wsgateway", "explain", "--body", "-"],
        cwd=ROOT, capture_output=True, text=True, input='{"action": "ping"}', timeout=PATIENCE * 2,
        env=os.environ | {"VIRTUAL_ENV": sys.prefix},
    )  # fmt: skip

    assert result.stdout.splitlines() == [
        'route                 ping  ($request.body.action gives "ping")',
        "integration response  $default",
        'response template     {"pong":true}',
        'frame                 {"pong":true}',
    ]
    assert (result.returncode, result.stderr) == (0, "")


def test_without_an_answer_it_ends_at_the_request(tmp_path: Path) -> None:
    result = run(tmp_path, "--stage", "dev", "--body", JOIN)

    shown = result.stdout
    assert result.returncode == 0
    assert "model                 Join  (the message fits)" in shown
    assert 'request template      {"room": "lobby", "by": "127.0.0.1"}' in shown
    assert "endpoint request      POST /rooms/lobby\n" in shown
    assert "Authorization: ***" in shown
    assert "secret" not in shown
    assert "endpoint response" not in shown
    assert result.stderr.startswith("the backend was not called: --call does")


def test_a_canned_answer_is_mapped_as_the_backends_would_be(tmp_path: Path) -> None:
    (tmp_path / "message.json").write_text(JOIN)
    found = steps(tmp_path, "--body", f"@{tmp_path}/message.json", "--response-body", '{"members": ["Ada"]}')

    assert [step for step, _ in found] == [
        "route",
        "model",
        "request template",
        "endpoint request",
        "endpoint response",
        "integration response",
        "response template",
        "frame",
    ]
    assert found[-1][1] == {"body": '{"joined": ["Ada"]}'}
    missing = steps(tmp_path, "--body", JOIN, "--response-status", "404")
    assert ("integration response", r"/4\d\d/") in missing
    assert missing[-1] == ("frame", {"body": '{"error": "no such room"}'})
    assert steps(tmp_path, "--route", "tell", "--body", JOIN, "--response-status", "200")[-1] == ("frame", None)


def test_an_error_is_told_with_its_reason_and_the_frame(tmp_path: Path) -> None:
    found = steps(tmp_path, "--body", '{"action": "join"}', code=1)

    assert found[1] == (
        "model",
        {"model": "Join", "valid": False, "errors": '[object has missing required properties (["room"])]'},
    )
    assert found[2][1]["type"] == "BAD_REQUEST_BODY"
    assert '"message": "Bad request body"' in found[3][1]["body"]


def test_what_a_template_fails_with_is_told(tmp_path: Path) -> None:
    result = run(tmp_path, "--stage", "dev", "--route", "many", "--body", "{}")

    assert result.returncode == 1
    assert "500 API_CONFIGURATION_ERROR" in result.stdout
    assert "responseTemplates" in result.stdout
    assert '"message": "Internal server error"' in result.stdout
    assert "Traceback" not in result.stderr


def test_no_message_selects_what_is_not_there(tmp_path: Path) -> None:
    found = steps(tmp_path, "--body", "hello", code=1)

    assert found[0][1] == {"route": "$default", "expression": "$request.body.action", "value": None}
    assert found[1][1]["type"] == "ACCESS_DENIED"


@pytest.mark.parametrize(
    ("route", "answer", "frame"),
    [
        pytest.param("lambda", '{"statusCode": 200, "body": "hi"}', "hi", id="a function elsewhere"),
        pytest.param("table", "{}", "stored", id="an AWS service"),
        pytest.param("queue", "taken", "taken", id="a broker"),
    ],
)
def test_nobody_is_called_and_no_credentials_are_needed(tmp_path: Path, route: str, answer: str, frame: str) -> None:
    asked = steps(tmp_path, "--route", route, "--body", "{}")
    told = steps(tmp_path, "--route", route, "--body", "{}", "--response-body", answer)

    assert asked[-1][0] == "endpoint request"
    assert told[-1] == ("frame", {"body": frame})


def test_a_handshake(tmp_path: Path) -> None:
    asked = ("--connect", "--query", "token=a b", "--header", "Cookie: id=1")
    accepted = steps(tmp_path, *asked, "--response-status", "204")
    refused = steps(tmp_path, *asked, "--response-status", "403", "--response-body", "no", code=1)

    request = dict(accepted)["endpoint request"]
    assert request["request"] == "POST /connect?token=a+b"
    assert ["Cookie", "***"] in request["headers"]
    assert accepted[-1] == ("handshake", {"status": 101})
    assert refused[-1][0] == "handshake"
    assert (refused[-1][1]["status"], refused[-1][1]["body"]) == (403, "no")


def test_a_handshake_with_an_api_key(tmp_path: Path) -> None:
    key = "k" * 20
    definition = DEFINITION.replace("      $connect: {", "      $connect: {apiKeyRequired: true, ") + (
        f"apiKeys: [{{name: app, value: {key}, usagePlans: [gold]}}]\n"
        "usagePlans: {gold: {apiStages: [{apiId: chat, stage: dev}], quota: {limit: 1, period: DAY}}}\n"
    )
    asked = ("--connect", "--response-status", "200")
    accepted = steps(tmp_path, *asked, "--header", f"x-api-key: {key}", definition=definition)
    refused = steps(tmp_path, *asked, "--header", "x-api-key: other", code=1, definition=definition)

    assert accepted[1] == ("usage plan", "app")
    assert accepted[-1] == ("handshake", {"status": 101})
    assert (refused[1][0], refused[1][1]["type"]) == ("error", "INVALID_API_KEY")
    assert refused[-1][1]["status"] == 403
    assert key not in json.dumps([accepted, refused])


@pytest.mark.anyio
async def test_called_it_goes_on_with_what_the_backend_answers(tmp_path: Path) -> None:
    async with backend() as running:
        running.answers("/rooms/lobby", (200, {}, b'{"members": ["Bob"]}'))
        found = await asyncio.to_thread(steps, tmp_path, "--body", JOIN, "--call", port=running.port)
        request = await running.saw("/rooms/lobby")

    assert request.body == b'{"room": "lobby", "by": "127.0.0.1"}'
    assert request.header("authorization") == "Bearer secret"
    assert found[-1] == ("frame", {"body": '{"joined": ["Bob"]}'})


@pytest.mark.anyio
async def test_an_authorizer_is_asked_where_backends_are(tmp_path: Path) -> None:
    definition = DEFINITION.replace("      $connect: {", "      $connect: {authorizer: users, ").replace(
        "    models:\n",
        "    authorizers:\n"
        "      users: {authorizerType: REQUEST, authorizerUri: 'http://127.0.0.1:${stageVariables.port}/auth'}\n"
        "    models:\n",
    )
    statement = {"Action": "execute-api:Invoke", "Effect": "Allow", "Resource": "*"}
    output = {"principalId": "ann", "policyDocument": {"Version": "2012-10-17", "Statement": [statement]}}
    connecting = ("--connect", "--query", "token=a")
    async with backend() as running:
        running.answers("/auth", (200, {}, json.dumps(output).encode()))
        more = {"port": running.port, "definition": definition}
        shown = await asyncio.to_thread(steps, tmp_path, *connecting, **more)
        assert running.requests == []
        called = await asyncio.to_thread(steps, tmp_path, *connecting, "--call", code=1, **more)
        assert json.loads(running.requests[0].body)["queryStringParameters"] == {"token": "a"}
        running.answers("/auth", (200, {}, b"{}"))
        denied = await asyncio.to_thread(steps, tmp_path, *connecting, "--call", code=1, **more)

    assert shown[1] == ("authorizer", "users (not asked)")
    assert called[1:3] == [("authorizer", "users"), ("identity", {"principalId": "ann"})]
    assert [step for step, _ in denied] == ["route", "authorizer", "error", "handshake"]
    assert denied[-1][1]["status"] == 500


def test_a_token_in_a_message_is_not_asked_about(tmp_path: Path) -> None:
    definition = (
        DEFINITION.replace("      $connect: {", "      $connect: {authorizer: users, ")
        .replace(
            "    models:\n",
            "    authorizers:\n"
            "      users: {authorizerType: TICKET, identitySource: [route.request.querystring.ticket]}\n"
            "    models:\n",
        )
        .replace("    routes:\n", "    routes:\n      renew: {refresh: $request.body.token}\n")
    )
    found = steps(tmp_path, "--body", '{"action": "renew", "token": "a"}', definition=definition)

    assert [step for step, _ in found] == ["route", "refresh", "frame"]
    assert found[1] == ("refresh", "users (not asked)")


def test_called_a_local_function_runs() -> None:
    result = subprocess.run(
        [sys.executable, "-m", "wsgateway", "explain", "--body", '{"action": "who"}', "--call"],
        cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE * 2, env=os.environ | {"VIRTUAL_ENV": sys.prefix},
    )  # fmt: skip

    assert result.returncode == 0, result.stderr
    assert "endpoint request      function chat" in result.stdout
    assert "Join a room first" in result.stdout.splitlines()[-1]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        pytest.param(["--body", "{}"], 1, "API chat has several stages; say which: --stage dev|prod", id="stages"),
        pytest.param(["--stage", "deb"], 1, "API chat has no stage deb; did you mean dev?", id="no such stage"),
        pytest.param(["--api", "chatt"], 1, "there is no API chatt; did you mean chat?", id="no such API"),
        pytest.param(["--stage", "dev", "--route", "jion"], 1, "no route jion that calls anything; did you mean join?",
                     id="no such route"),
        pytest.param(["--header", "a: b"], 1, "only a handshake has headers and a query; add --connect", id="a header"),
        pytest.param(["--path", "/pets"], 1, "--method, --path and --canary are of REST APIs, and there",
                     id="no REST API"),
        pytest.param(["--api", "chat", "--method", "GET"], 1, "chat is a WebSocket API; --method, --path and --canary",
                     id="no requests"),
        pytest.param(["--path", "pets"], 2, "is the path behind the stage and begins with /", id="no path"),
        pytest.param(["--method", "G T"], 2, "is a method of HTTP, such as GET", id="no method"),
        pytest.param(["--connect", "--header", "a"], 2, "'a' is no header; write 'NAME: VALUE'", id="no header"),
        pytest.param(["--body", "@/nowhere/x"], 2, "/nowhere/x can't be read", id="no such file"),
        pytest.param(["--call", "--response-status", "200"], 2, "leave out --response-", id="two answers"),
    ],
)  # fmt: skip
def test_wrong_usage_is_one_line(tmp_path: Path, arguments: list[str], code: int, said: str) -> None:
    result = run(tmp_path, *arguments)

    assert result.returncode == code
    assert said in result.stderr
    assert len(result.stderr.splitlines()) == 1


REST = r"""
apis:
  shop:
    protocolType: REST
    stages: {v1: {variables: {port: "PORT"}}}
    disableExecuteApiEndpoint: true
    minimumCompressionSize: 0
    cors: {allowOrigins: ["*"]}
    models:
      Pet: {schema: {type: object, required: [name]}}
    requestValidators: {all: {validateRequestBody: true, validateRequestParameters: true}}
    gatewayResponses:
      BAD_REQUEST_BODY:
        statusCode: "422"
        responseTemplates: {application/json: '{"why":$context.error.validationErrorString}'}
    paths:
      /pets:
        POST:
          requestModels: {application/json: Pet}
          requestValidator: all
          requestParameters: {method.request.header.X-Tenant: true}
          integration: {type: AWS_PROXY, httpMethod: POST, uri: "arn:aws:lambda:eu-west-1:123456789012:function:pets"}
      /pets/{petId}:
        GET:
          integration:
            type: HTTP
            httpMethod: GET
            uri: http://127.0.0.1:${stageVariables.port}/pets/{id}
            requestParameters:
              integration.request.path.id: method.request.path.petId
              integration.request.header.Authorization: method.request.header.Authorization
            integrationResponses:
              "200": {responseTemplates: {application/json: '{"pet":$input.json("$.name")}'}}
              "404": {selectionPattern: '4\d\d', responseTemplates: {application/json: '{"gone":"$context.path"}'}}
      /{proxy+}:
        ANY:
          integration:
            type: HTTP_PROXY
            httpMethod: ANY
            responseTransferMode: STREAM
            uri: http://127.0.0.1:${stageVariables.port}/{proxy}
            requestParameters: {integration.request.path.proxy: method.request.path.proxy}
"""


def of_rest(folder: Path, *arguments: str, code: int = 0, **more: Any) -> list[tuple[str, Any]]:
    return steps(folder, "--stage", "v1", *arguments, code=code, definition=REST, **more)


def test_a_request_ends_where_its_backend_would_be_asked(tmp_path: Path) -> None:
    result = run(tmp_path, "--path", "/pets/3", "--header", "Authorization: secret", definition=REST)

    assert result.returncode == 0
    assert result.stdout.splitlines()[:2] == [
        "method                GET /pets/{petId}  (petId=3)",
        "endpoint request      GET /pets/3",
    ]
    assert "Authorization: ***" in result.stdout
    assert "answer" not in result.stdout
    assert result.stderr.startswith("the backend was not called: --call does")


def test_a_canned_answer_is_what_the_client_gets(tmp_path: Path) -> None:
    found = of_rest(tmp_path, "--path", "/pets/3", "--response-body", '{"name": "Rex"}')
    missing = of_rest(tmp_path, "--path", "/pets/a b?x=1", "--query", "y=2", "--response-status", "410", code=1)

    assert [step for step, _ in found] == [
        "method",
        "endpoint request",
        "endpoint response",
        "integration response",
        "response template",
        "answer",
    ]
    assert found[3][1] == "200 (default)"
    assert (found[-1][1]["status"], found[-1][1]["body"]) == (200, '{"pet":"Rex"}')
    assert ["Access-Control-Allow-Origin", "*"] in found[-1][1]["headers"]
    assert missing[0][1] == {"method": "GET /pets/{petId}", "parameters": {"petId": "a%20b"}}
    assert missing[3] == ("integration response", r"404 (4\d\d)")
    assert (missing[-1][1]["status"], missing[-1][1]["body"]) == (404, '{"gone":"/v1/pets/a%20b"}')


def test_a_request_is_validated(tmp_path: Path) -> None:
    pets = ("--method", "post", "--path", "/pets", "--body", "{}", "--header", "Content-Type: application/json")
    lacking = of_rest(tmp_path, *pets, code=1)
    unfit = of_rest(tmp_path, *pets, "--header", "X-Tenant: a", code=1)
    fine = of_rest(tmp_path, *pets, "--header", "X-Tenant: a", "--body", '{"name": "Rex"}', "--response-body", "{}")

    required = ["method.request.header.X-Tenant"]
    assert lacking[1] == ("parameters", {"required": required, "missing": ["X-Tenant"]})
    assert lacking[2][1]["type"] == "BAD_REQUEST_PARAMETERS"
    assert lacking[-1][1]["status"] == 400
    assert unfit[2] == ("model", {"model": "Pet", "valid": False, "errors": unfit[3][1]["reason"].partition(": ")[2]})
    assert (unfit[-1][0], unfit[-1][1]["status"]) == ("answer", 422)
    assert fine[2] == ("model", {"model": "Pet", "valid": True, "errors": None})
    event = json.loads(fine[3][1]["body"])
    assert (event["resource"], event["httpMethod"], event["body"]) == ("/pets", "POST", '{"name": "Rex"}')
    assert fine[-1][1]["status"] == 200


@pytest.mark.parametrize(
    ("path", "status", "reason"),
    [
        pytest.param("/", 403, "no resource answers GET /v1/", id="no resource"),
        pytest.param("/a/%2e%2e/b", 400, "the path holds a dot segment, a backslash or NUL", id="a dot segment"),
        pytest.param("/a|b", 400, "the URL holds a vertical bar; write %7C", id="a vertical bar"),
    ],
)
def test_requests_that_no_method_answers(tmp_path: Path, path: str, status: int, reason: str) -> None:
    found = dict(of_rest(tmp_path, "--path", path, code=1))

    assert (found["error"]["status"], found["error"]["reason"], found["answer"]["status"]) == (status, reason, status)


@pytest.mark.anyio
async def test_called_a_request_goes_on_with_what_the_backend_answers(tmp_path: Path) -> None:
    async with backend() as running:
        running.answers("/all/x", (200, {"X-Kind": "real"}, b"yes"))
        asked = ("--path", "/all/x", "--method", "PUT", "--body", "hi", "--call")
        found = await asyncio.to_thread(of_rest, tmp_path, *asked, port=running.port)
        request = await running.saw("/all/x")

    assert (request.method, request.body) == ("PUT", b"hi")
    assert found[-1][1]["body"] == "yes"
    assert ["X-Kind", "real"] in found[-1][1]["headers"]


@pytest.mark.anyio
async def test_who_may_call_a_method_is_asked_where_backends_are(tmp_path: Path) -> None:
    definition = REST.replace(
        "    paths:\n",
        "    authorizers:\n"
        "      users:\n"
        "        type: TOKEN\n"
        "        authorizerUri: http://127.0.0.1:${stageVariables.port}/auth\n"
        "        identitySource: method.request.header.Authorization\n"
        "    paths:\n"
        "      /secret: {GET: {integration: {type: MOCK}, authorizer: users}}\n",
    )
    statement = {"Action": "execute-api:Invoke", "Effect": "Deny", "Resource": "*"}
    output = {"principalId": "ann", "policyDocument": {"Version": "2012-10-17", "Statement": [statement]}}
    asked = ("--stage", "v1", "--path", "/secret", "--header", "Authorization: a")
    async with backend() as running:
        running.answers("/auth", (200, {}, json.dumps(output).encode()))
        more = {"port": running.port, "definition": definition}
        shown = await asyncio.to_thread(steps, tmp_path, *asked, code=1, **more)
        assert running.requests == []
        called = await asyncio.to_thread(steps, tmp_path, *asked, "--call", code=1, **more)

    assert shown[1] == ("authorizer", "users (not asked)")
    assert called[1] == ("authorizer", "users")
    assert called[2][0] == "error"
    assert called[-1][1]["status"] == 403


def test_a_canary_is_explained_where_it_is_meant(tmp_path: Path) -> None:
    overridden = "canarySettings: {percentTraffic: 50, stageVariableOverrides: {port: '2048'}}"
    definition = REST.replace(
        '{v1: {variables: {port: "PORT"}}}', f'{{v1: {{variables: {{port: "PORT"}}, {overridden}}}}}'
    )
    asked = ("--stage", "v1", "--path", "/pets/3")
    stage = dict(steps(tmp_path, *asked, definition=definition))
    canary = dict(steps(tmp_path, *asked, "--canary", definition=definition))
    without = run(tmp_path, *asked, "--canary", definition=REST)

    assert (stage["canary"], canary["canary"]) == (False, True)
    assert ["Host", "127.0.0.1:1024"] in stage["endpoint request"]["headers"]
    assert ["Host", "127.0.0.1:2048"] in canary["endpoint request"]["headers"]
    assert (without.returncode, without.stderr) == (
        1, "wsgateway: stage v1 of API shop has no canary; give it canarySettings\n"
    )  # fmt: skip


def test_a_route_is_none_of_a_rest_api(tmp_path: Path) -> None:
    result = run(tmp_path, "--connect", "--api", "shop", definition=REST)

    assert (result.returncode, len(result.stderr.splitlines())) == (1, 1)
    assert "shop is a REST API; say --method and --path of the request, not a route" in result.stderr


def test_an_invalid_file_is_told_as_validate_does(tmp_path: Path) -> None:
    result = run(tmp_path, definition="apis: {}\n")

    assert result.returncode == 2
    assert result.stderr == f"{tmp_path}/routes.yaml:1: apis: needs at least 1 entry\n"
