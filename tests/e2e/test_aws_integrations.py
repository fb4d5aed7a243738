"""AWS integrations with a scripted endpoint: what services and functions answer, what of them fails, what is refused.

API Gateway developer guide, "Set up Lambda custom integrations", "Set up asynchronous invocation of the backend Lambda
function" and "Handle Lambda errors"; Lambda API reference, Invoke.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from tests import prefork
from tests.harness import Backend, Gateway, Request, backend, gateway, heard, http
from tests.moto import KEY, SECRET, signed_by

pytestmark = pytest.mark.anyio

US = "arn:aws:apigateway:us-east-1"
DEFINITION = """
apis:
  chat:
    protocolType: WEBSOCKET
    routeSelectionExpression: $request.body.action
    stages: {dev: {stageVariables: {fn: chat}}}
    integrations:
      app:
        integrationType: AWS
        timeoutInMillis: 5000
%(app)s
    routes:
      $default: {integration: app, routeResponse: true}
      quiet: {integration: app}
%(routes)s
"""
EVENTS = "      $connect: {integration: app}\n      $disconnect: {integration: app}"
ITEM = f"""
        integrationUri: {US}:dynamodb:action/PutItem
        integrationResponses: {{/200/: {{}}, /4../: {{responseTemplates: {{$default: "refused: $input.body"}}}}}}
"""
FUNCTION = r"""
        integrationUri: function:${stageVariables.fn}
        requestTemplates: {$default: '{"id": "$context.connectionId", "body": $input.json("$")}'}
        integrationResponses:
          $default: {responseTemplates: {$default: "fine: $input.json('$')"}}
          /.*not found.*/: {responseTemplates: {$default: "missing: $input.path('$.errorMessage')"}}
"""
INVOKE = "/2015-03-31/functions/chat/invocations"
JSON = {"Content-Type": "application/json"}


@pytest.fixture(autouse=True)
def nothing_of_aws(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever runs the tests may have credentials."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, os.devnull)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


def defined(app: str, routes: str = "") -> str:
    return DEFINITION % {"app": app.strip("\n"), "routes": routes}


@asynccontextmanager
async def calling(
    definition: str, folder: Path, *flags: str, keys: bool = True, **more: str
) -> AsyncIterator[tuple[Gateway, Backend]]:
    """A gateway, and the endpoint that is all of AWS to it."""
    known = {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET} if keys else {}
    async with backend() as server:
        env = {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.port}", "AWS_REGION": "us-east-1"} | known | more
        async with gateway(definition, folder, *flags, env=env) as running:
            yield running, server


def refusal(status: int, code: str, message: str = "") -> tuple[int, dict[str, str], bytes]:
    """A JSON service's refusal."""
    return status, JSON, json.dumps({"__type": f"com.amazonaws.dynamodb#{code}", "message": message}).encode()


def counted(action: str, result: str) -> str:
    return f'wsgateway_aws_calls_total{{action="{action}",result="{result}",service="dynamodb"}}'


# Services


@pytest.mark.parametrize(
    ("answer", "result", "heard_back"),
    [
        pytest.param((200, JSON, b'{"Attributes":{}}'), "ok", '{"Attributes":{}}', id="done"),
        pytest.param(refusal(400, "ValidationException"), "refused", "refused: ", id="refused, and mapped"),
        pytest.param(refusal(400, "ThrottlingException"), "throttled", "refused: ", id="throttled"),
        pytest.param(refusal(500, "InternalServerError"), "service_error", None, id="a status nothing is mapped for"),
        pytest.param(b"no HTTP\r\n\r\n", "error", None, id="no HTTP"),
        pytest.param(None, "error", None, id="dropped"),
    ],
)
async def test_what_a_service_answers(answer: Any, result: str, heard_back: str | None, tmp_path: Path) -> None:
    async with calling(defined(ITEM), tmp_path) as (running, server), connect(running.ws()) as client:
        server.answers("/", answer)
        await client.send('{"n": 1}')
        reply = str(await heard(client))

        if heard_back is None:
            assert json.loads(reply)["message"] == "Internal server error"
        else:
            assert reply.startswith(heard_back)
        assert (await running.metrics())[counted("PutItem", result)] == 1
        (asked,) = server.requests
        assert asked.body == b'{"n": 1}', "without a template the message goes as it came"
        assert signed_by(asked, region="us-east-1")


async def test_a_service_that_is_silent_is_given_up(tmp_path: Path) -> None:
    definition = defined(ITEM).replace("timeoutInMillis: 5000", "timeoutInMillis: 50")
    async with calling(definition, tmp_path) as (running, server), connect(running.ws()) as client:
        never = asyncio.Event()
        server.answers("/", lambda request: never.wait())
        await client.send("{}")

        assert json.loads(await heard(client))["message"] == "Endpoint request timed out"
        assert "dynamodb:PutItem: " in await running.logged("integration fails")
        assert (await running.metrics())[counted("PutItem", "timeout")] == 1


async def test_a_cap_holds(tmp_path: Path) -> None:
    async with (
        calling(defined(f"{ITEM}        maxConcurrency: 1"), tmp_path) as (running, server),
        connect(running.ws()) as client,
    ):
        go = asyncio.Event()

        async def late(request: Request) -> Any:
            await go.wait()
            return 200, JSON, b"late"

        server.answers("/", late)
        await client.send("{}")
        await server.saw("/")
        await client.send("{}")
        assert json.loads(await heard(client))["message"] == "Service Unavailable"
        go.set()
        assert await heard(client) == "late"


async def test_where_nobody_hears_of_a_refusal_the_log_does(tmp_path: Path) -> None:
    async with calling(defined(ITEM), tmp_path) as (running, server), connect(running.ws()) as client:
        server.answers("/", refusal(400, "AccessDeniedException", "User: gateway is not authorized\nsecret: token"))
        await client.send('{"action": "quiet"}')
        told = json.loads(await running.logged("AWS refuses"))

        assert (told["call"], told["route"], told["stage"]) == ("dynamodb:PutItem", "quiet", "dev")
        assert told["error"] == "answered 400 AccessDeniedException User: gateway is not authorized"
        await client.send('{"action": "loud"}')
        assert str(await heard(client)).startswith("refused: ")
        assert (await running.metrics())[counted("PutItem", "denied")] == 2


async def test_what_no_message_can_mend_is_logged_though_the_client_hears_of_it(tmp_path: Path) -> None:
    async with calling(defined(ITEM), tmp_path) as (running, server), connect(running.ws()) as client:
        server.answers("/", refusal(400, "ValidationException", "the message's own fault"))
        await client.send("{}")
        await heard(client)
        server.answers("/", refusal(400, "AccessDeniedException", "not you"))
        await client.send("{}")
        await heard(client)

        told = json.loads(await running.logged("AWS refuses"))
        assert (told["error"], told["not_told"]) == ("answered 400 AccessDeniedException not you", 0)


async def test_disconnect_is_tried_again_while_a_service_throttles(tmp_path: Path) -> None:
    answers = [refusal(400, "ProvisionedThroughputExceededException"), refusal(400, "ThrottlingException")]
    async with calling(defined(ITEM, EVENTS), tmp_path) as (running, server):
        async with connect(running.ws()):
            server.answers("/", lambda request: answers.pop() if answers else (200, JSON, b"{}"))
        await server.saw("/", 4)

        line = await running.logged("dynamodb:PutItem answered 400 ThrottlingException")
        assert json.loads(line)["event"] != "AWS refuses"


@pytest.mark.parametrize(
    ("app", "on", "path", "failure"),
    [
        pytest.param(ITEM, "429", "/", refusal(400, "ThrottlingException"), id="throttled, whatever the status"),
        pytest.param(ITEM, "503", "/", (503, JSON, b"{}"), id="a service that is away"),
        pytest.param(
            FUNCTION, "function-error", INVOKE, (200, {"X-Amz-Function-Error": "Unhandled"}, b"{}"), id="a function"
        ),
        pytest.param(FUNCTION, "429", INVOKE, (429, JSON, b"{}"), id="Lambda throttles"),
    ],
)
async def test_a_call_is_made_again_where_retry_says_so(
    app: str, on: str, path: str, failure: Any, tmp_path: Path
) -> None:
    definition = defined(f"{app}        retry: {{on: [{on}], backoffMillis: 0}}")
    async with calling(definition, tmp_path) as (running, server), connect(running.ws()) as client:
        answers = [(200, JSON, b'{"done":1}'), failure]
        server.answers(path, lambda request: answers.pop())
        await client.send("{}")

        assert str(await heard(client)).endswith('{"done":1}')
        assert all(signed_by(request, region="us-east-1") for request in server.requests)
        assert len(server.requests) == 2


async def test_a_refused_disconnect_is_final(tmp_path: Path) -> None:
    async with calling(defined(ITEM, EVENTS), tmp_path) as (running, server):
        async with connect(running.ws()):
            server.answers("/", refusal(400, "ValidationException", "no"))
        told = json.loads(await running.logged("AWS refuses"))

        assert (told["route"], told["error"]) == ("$disconnect", "answered 400 ValidationException no")
        assert server.count("/") == 2


async def test_without_credentials_nothing_is_sent(tmp_path: Path) -> None:
    app = f"{ITEM}        credentialsArn: arn:aws:iam::123456789012:role/chat\n"
    roles = "roles: {'arn:aws:iam::123456789012:role/chat': {environmentPrefix: CHAT_}}\n"
    async with calling(defined(app) + roles, tmp_path) as (running, server), connect(running.ws()) as client:
        await client.send("{}")
        assert json.loads(await heard(client))["message"] == "Internal server error"

        told = json.loads(await running.logged("integration fails"))
        assert told["error"] == (
            "dynamodb:PutItem: no AWS credentials for arn:aws:iam::123456789012:role/chat: "
            "LookupError: the environment has no CHAT_AWS_ACCESS_KEY_ID"
        )
        assert server.requests == []
        metrics = await running.metrics()
        assert metrics[counted("PutItem", "unsigned")] == 1
        assert metrics["wsgateway_aws_credentials_valid"] == 0


async def test_secrets_are_in_no_log_and_no_metric(tmp_path: Path) -> None:
    """Not even where AWS repeats what it was sent."""
    async with calling(defined(ITEM, EVENTS), tmp_path, AWS_SESSION_TOKEN="the-token") as (running, server):

        def repeated(request: Request) -> Any:
            sent = json.dumps(dict(request.headers))
            return refusal(403, "SignatureDoesNotMatch", f"The signature does not match.\n{sent}")

        server.answers("/", repeated)
        with pytest.raises(InvalidStatus) as refused:
            await connect(running.ws())
        assert refused.value.response.status_code == 403
        page = str(await running.metrics())
        await running.logged("AWS credentials found")

    for secret in ("the-token", SECRET, "Signature="):
        assert secret not in "".join(running.log) + page


# Lambda functions


async def test_a_functions_payload_is_mapped_and_so_is_its_result(tmp_path: Path) -> None:
    async with calling(defined(FUNCTION), tmp_path) as (running, server), connect(running.ws()) as client:
        failed = {"X-Amz-Function-Error": "Unhandled"} | JSON
        error = json.dumps({"errorType": "KeyError", "errorMessage": "user not found"}).encode()
        server.answers(INVOKE, (200, JSON, b'{"ok": 1}'))
        await client.send('{"n": 1}')
        assert await heard(client) == 'fine: {"ok":1}'
        server.answers(INVOKE, (200, failed, error))
        await client.send('{"n": 2}')
        assert await heard(client) == "missing: user not found"
        server.answers(INVOKE, (200, failed, b"no JSON"))
        await client.send('{"n": 3}')
        assert str(await heard(client)).startswith("fine: ")

        first = server.requests[0]
        assert json.loads(first.body)["body"] == {"n": 1}
        assert signed_by(first, region="us-east-1")
        assert first.header("x-amz-invocation-type") == "RequestResponse"
        assert first.header("x-amzn-lambda-integration-tag")
        metrics = await running.metrics()
        calls = 'wsgateway_lambda_calls_total{function="chat",result="%s"}'
        assert (metrics[calls % "ok"], metrics[calls % "function_error"]) == (1, 2)


@pytest.mark.parametrize(
    ("answer", "message", "said"),
    [
        pytest.param(
            (404, {"x-amzn-ErrorType": "ResourceNotFoundException"}, b'{"Message": "Function not found: chat"}'),
            "Internal server error", "404 ResourceNotFoundException Function not found: chat", id="none",
        ),
        pytest.param((429, JSON, b"{}"), "Internal server error", "function chat: Lambda answered 429", id="throttled"),
    ],
)  # fmt: skip
async def test_lambdas_refusals_are_the_gateways(answer: Any, message: str, said: str, tmp_path: Path) -> None:
    async with calling(defined(FUNCTION), tmp_path) as (running, server), connect(running.ws()) as client:
        server.answers(INVOKE, answer)
        await client.send("{}")

        assert json.loads(await heard(client))["message"] == message
        assert said in json.loads(await running.logged("integration fails"))["error"]


async def test_an_empty_event_is_an_empty_object_and_an_asynchronous_one_is_accepted(tmp_path: Path) -> None:
    function = "arn:aws:lambda:us-east-1:123456789012:function:chat"
    app = f"""
        integrationUri: {US}:lambda:path/2015-03-31/functions/{function}/invocations
        requestParameters: {{integration.request.header.X-Amz-Invocation-Type: "'Event'"}}
        integrationResponses: {{$default: {{responseTemplates: {{$default: accepted}}}}}}
"""
    target = "/2015-03-31/functions/arn%3Aaws%3Alambda%3Aus-east-1%3A123456789012%3Afunction%3Achat/invocations"
    async with calling(defined(app, EVENTS), tmp_path) as (running, server):
        server.answers(target, (202, {}, b""))
        async with connect(running.ws()) as client:
            await client.send('{"n": 1}')
            assert await heard(client) == "accepted"
        await server.saw(target, 3)

    assert [request.body for request in server.requests] == [b"{}", b'{"n": 1}', b"{}"]
    assert all(request.header("x-amz-invocation-type") == "Event" for request in server.requests)
    assert all(signed_by(request, region="us-east-1") for request in server.requests)


HANDLER = """
def handler(event, context):
    print("ran", event.get("body"), context.client_context and context.client_context.custom)
    if event.get("body", {}).get("fail"):
        raise KeyError("user not found")
    return event["body"]
"""


@pytest.fixture
def local(tmp_path: Path) -> str:
    (tmp_path / "app.py").write_text(HANDLER)
    runtime = f"python3.{sys.version_info.minor}"
    return f"functions:\n  chat: {{runtime: {runtime}, codeUri: ., handler: app.handler}}\n"


async def test_a_local_function_is_mapped_as_one_elsewhere(local: str, tmp_path: Path) -> None:
    async with calling(defined(FUNCTION) + local, tmp_path) as (running, server), connect(running.ws()) as client:
        await client.send('{"n": 1}')
        assert await heard(client) == 'fine: {"n":1}'
        await client.send('{"fail": true}')
        assert await heard(client) == "missing: 'user not found'"
        await client.send('{"action": "quiet", "fail": true}')
        told = json.loads(await running.logged("AWS refuses"))
        assert told["error"].startswith("failed: ")
        assert "user not found" in told["error"]
        await client.send("no JSON")
        assert str(await heard(client)).startswith("fine: ")
        assert server.requests == []


async def test_a_local_function_runs_asynchronously(local: str, tmp_path: Path) -> None:
    app = f"""{FUNCTION}        requestParameters:
          integration.request.header.X-Amz-Invocation-Type: route.request.body.kind
"""
    async with calling(defined(app) + local, tmp_path) as (running, _), connect(running.ws()) as client:
        await client.send('{"kind": "Event", "n": 1}')
        assert await heard(client) == "fine: {}"
        await running.logged("ran {'kind': 'Event', 'n': 1}")
        await client.send('{"kind": "Event", "fail": 1}')
        assert await heard(client) == "fine: {}"
        assert "user not found" in await running.logged("asynchronous invocation failed")
        await client.send('{"kind": "DryRun"}')
        assert await heard(client) == "fine: {}"
        await client.send('{"kind": "Sometimes"}')
        assert json.loads(await heard(client))["message"] == "Internal server error"
        assert "none of RequestResponse, Event, DryRun" in await running.logged("integration fails")


# What is refused at start


@pytest.mark.parametrize(
    ("app", "line", "problem"),
    [
        pytest.param(
            f"        integrationUri: {US}:dynamo:action/PutItem", 11,
            "integrationUri: no service of AWS is named dynamo; did you mean dynamodb?", id="a service",
        ),
        pytest.param(
            f"        integrationUri: {US}:dynamodb:action/PutItm", 11,
            "integrationUri: dynamodb has no action PutItm; did you mean PutItem?", id="an action",
        ),
        pytest.param(
            f"        integrationUri: {US}:s3:action/PutObject", 11,
            f"s3 is called by path: write {US}:s3:path/{{Bucket}}/{{Key}} and integrationMethod: PUT", id="S3's action",
        ),
        pytest.param(
            "        integrationUri: arn:aws:apigateway:us-east-1:${stageVariables.no}:path/x", 11,
            "integrationUri: the stage has no variable no; add it to its stageVariables", id="a stage variable",
        ),
        pytest.param(
            "        integrationUri: https://sqs.us-east-1.amazonaws.com/", 11, "names no Lambda function", id="a URL",
        ),
        pytest.param(
            f"        integrationUri: {US}:sqs:path/1/q\n        integrationMethod: ANY", 12,
            "integrationMethod: a service is called by one method; write it, such as POST", id="any method",
        ),
        pytest.param(
            "        integrationUri: function:chat\n        integrationMethod: GET", 12,
            "integrationMethod: Lambda functions are invoked by POST", id="a function by GET",
        ),
        pytest.param(
            f"        integrationUri: {US}:sqs:path/1/q\n        credentialsArn: arn:aws:iam::*:user/*", 12,
            "calls are signed for a role, never for their caller; write a role's ARN", id="the caller's credentials",
        ),
        pytest.param(
            f"        integrationUri: {US}:sqs:path/1/q\n        credentialsArn: arn:aws:iam::1:role/x", 12,
            "credentialsArn: arn:aws:iam::1:role/x is no role's ARN", id="no role",
        ),
        pytest.param(
            f"        integrationUri: {US}:sqs:path/1/q\n        requestParameters:\n"
            "          integration.request.header.X-Amz-Date: \"'now'\"", 13,
            "X-Amz-Date belongs to the gateway's signature; no mapping may set it", id="a header of the signature",
        ),
        pytest.param(
            f"        integrationUri: {US}:sqs:path/1/q\n        requestParameters:\n"
            "          integration.request.header.Authorization: \"'me'\"", 13,
            "the header Authorization is the gateway's own; no mapping may set it", id="the signature",
        ),
        pytest.param(
            f"        integrationUri: {US}:sqs:path/1/q\n        requestTemplates: {{$default: '#if('}}", 12,
            "requestTemplates.$default: ", id="a template",
        ),
        pytest.param(
            f"        integrationUri: {US}:sqs:path/1/q\n"
            "        integrationResponseSelectionExpression: ${integration.response.body.errorMessage}", 12,
            "of a service it is always ${integration.response.statuscode}", id="a function's expression",
        ),
    ],
)  # fmt: skip
async def test_what_cannot_be_called_is_refused_with_its_line(
    app: str, line: int, problem: str, tmp_path: Path
) -> None:
    file = tmp_path / "routes.yaml"
    file.write_text(defined(app))
    process = await prefork.wsgateway("validate", file, stderr=PIPE)
    _, errors = await process.communicate()

    assert process.returncode == 2
    assert problem in errors.decode()
    assert f"{file}:{line}: apis.chat.integrations.app." in errors.decode()


# REST APIs


REST = rf"""
apis:
  files:
    protocolType: REST
    stages: {{v1: {{}}}}
    binaryMediaTypes: [image/png]
    paths:
      /{{bucket}}/{{key}}:
        ANY:
          integration:
            type: AWS
            httpMethod: ANY
            uri: {US}:s3:path/{{bucket}}/{{key}}
            requestParameters:
              integration.request.path.bucket: method.request.path.bucket
              integration.request.path.key: method.request.path.key
              integration.request.header.Content-Type: method.request.header.Content-Type
            integrationResponses:
              "200":
                responseParameters:
                  method.response.header.ETag: integration.response.header.ETag
                  method.response.header.Content-Type: integration.response.header.Content-Type
              "404": {{selectionPattern: "404"}}
      /queue:
        POST:
          integration:
            type: AWS
            httpMethod: POST
            uri: {US}:sqs:path/123456789012/queue
            requestParameters: {{integration.request.header.Content-Type: "'application/x-www-form-urlencoded'"}}
            requestTemplates: {{application/json: "Action=SendMessage&MessageBody=$util.urlEncode($input.body)"}}
            integrationResponses:
              "202": {{responseTemplates: {{application/json: '{{"id":$input.json("$.id")}}'}}}}
      /proxied: {{GET: {{integration: {{type: AWS_PROXY, uri: function:chat, httpMethod: POST}}}}}}
      /events:
        POST:
          integration:
            type: AWS
            httpMethod: POST
            uri: function:chat
            requestParameters: {{integration.request.header.X-Amz-Invocation-Type: "'Event'"}}
            integrationResponses: {{"200": {{}}}}
"""


async def test_methods_call_services_by_path_action_and_verb(tmp_path: Path) -> None:
    async with calling(REST, tmp_path) as (running, server):
        png, etag = b"\xff\x00", '"e"'
        server.answers("/b/a/c.png", (200, {"Content-Type": "image/png", "ETag": etag}, png))
        server.answers("/b/none", (404, {"Content-Type": "application/xml"}, b"<Error/>"))
        server.answers("/123456789012/queue", (200, JSON, b'{"id":"7"}'))
        server.answers(INVOKE, (202, {}, b""))

        # The client's verb, bytes as they are where both sides say so; slashes stay within the key.
        found = await http(running.port, "GET", "/v1/b/a%2Fc.png", headers=[("Accept", "image/png")])
        assert (found.status, found.body, found.header("etag")) == (200, png, etag)
        assert found.header("content-type") == "image/png"
        put = await http(running.port, "PUT", "/v1/b/a%2Fc.png", png, [("Content-Type", "image/png")])
        assert put.status == 200
        assert (await http(running.port, "GET", "/v1/b/none")).status == 404
        assert [(request.method, request.target, request.body) for request in server.requests] == [
            ("GET", "/b/a/c.png", b""), ("PUT", "/b/a/c.png", png), ("GET", "/b/none", b""),
        ]  # fmt: skip
        assert all(signed_by(request, region="us-east-1") for request in server.requests)

        sent = await http(running.port, "POST", "/v1/queue", b"a b", [("Content-Type", "application/json")])
        assert (sent.status, sent.body) == (202, b'{"id":"7"}')
        assert server.requests[-1].body == b"Action=SendMessage&MessageBody=a+b"

        begun = await http(running.port, "POST", "/v1/events", b"{}")
        assert (begun.status, begun.body) == (200, b"")
        assert server.requests[-1].header("x-amz-invocation-type") == "Event"

        # What Lambda says of a call, and what a function gives.
        failed = (200, {"X-Amz-Function-Error": "Unhandled"}, b'{"errorMessage":"no"}')
        for answer, status, body in (
            (refusal(403, "AccessDeniedException"), 500, b'{"message":"Internal server error"}'),
            (refusal(404, "ResourceNotFoundException"), 502, b'{"message":"Internal server error"}'),
            (refusal(429, "TooManyRequestsException"), 502, b'{"message":"Internal server error"}'),
            (failed, 502, b'{"message": "Internal server error"}'),
            ((200, {}, b'{"statusCode":201,"body":"made"}'), 201, b"made"),
        ):
            server.answers(INVOKE, answer)
            found = await http(running.port, "GET", "/v1/proxied")
            assert (found.status, found.body) == (status, body)
