"""Functions and URLs that say who may connect, as their authors and their clients see them.

API Gateway developer guide, "Create an API Gateway Lambda REQUEST authorizer function for WebSocket APIs".
"""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Subprotocol

from tests.harness import Backend, Gateway, backend, gateway, heard
from tests.moto import KEY, REGION, SECRET, signed_by

pytestmark = pytest.mark.anyio

RUNTIME = f"python3.{sys.version_info.minor}"
INVOKE = "execute-api:Invoke"

DEFINITION = """
apis:
  chat:
    protocolType: WEBSOCKET
    routeSelectionExpression: $request.body.action
    profile: aws
    stages: {dev: {stageVariables: {fn: auth}}}
    authorizers:
      users: {%(authorizer)s}
    integrations:
      app: {integrationType: HTTP_PROXY, integrationUri: "http://127.0.0.1:%(port)s/app",
            requestParameters: {integration.request.header.who: context.authorizer.principalId,
                                integration.request.header.took: context.authorizer.integrationLatency}}
      whoami:
        integrationType: MOCK
        requestTemplates: {$default: '{"statusCode": 200}'}
        integrationResponses:
          $default:
            responseTemplates:
              $default: '$context.authorizer.principalId in $context.authorizer.room of $context.authorizer.level'
    routes:
      $connect: {integration: app, authorizer: users}
      $disconnect: {integration: app}
      whoami: {integration: whoami, routeResponse: true}
      enter: {integration: whoami, routeResponse: true, allow: "authorizer.level == `7`"}
functions:
  auth: {runtime: %(runtime)s, codeUri: code, handler: app.handler, timeout: 5}
  other: {runtime: %(runtime)s, codeUri: code, handler: app.event, timeout: 5}
"""

FUNCTION = """
import json

def policy(effect, resource):
    statement = {"Action": "execute-api:Invoke", "Effect": effect, "Resource": resource}
    return {"Version": "2012-10-17", "Statement": [statement]}

def handler(event, context):
    print("asked", json.dumps(event))
    token, arn = event["queryStringParameters"].get("token"), event["methodArn"]
    match token:
        case "good":
            return {"principalId": "ann", "policyDocument": policy("Allow", arn),
                    "context": {"room": "a", "level": 7, "none": None}}
        case "deny":
            return {"principalId": "ann", "policyDocument": policy("Deny", "*")}
        case "elsewhere":
            return {"principalId": "ann", "policyDocument": policy("Allow", arn.replace("/dev/", "/prod/"))}
        case "nobody":
            raise Exception("Unauthorized")
        case "broken":
            raise Exception("the database is away")
        case "nested":
            return {"principalId": "ann", "policyDocument": policy("Allow", "*"), "context": {"a": {"b": 1}}}
        case "long":
            return {"principalId": "ann", "policyDocument": policy("Allow", "*"), "context": {"a": "x" * 9000}}
        case _:
            return None

def event(event, context):
    return {"statusCode": 200}
"""

REQUEST = "authorizerType: REQUEST, authorizerUri: 'function:${stageVariables.fn}'"


def allowed(principal: str = "ann", **context: Any) -> tuple[int, dict[str, str], bytes]:
    """An authorizer's yes, as Lambda answers an invocation, or a URL its caller."""
    statement = {"Action": INVOKE, "Effect": "Allow", "Resource": "*"}
    policy = {"Version": "2012-10-17", "Statement": [statement]}
    said = {"principalId": principal, "policyDocument": policy, "context": {"room": "a", "level": 7} | context}
    return 200, {}, json.dumps(said).encode()


@asynccontextmanager
async def serving(authorizer: str, server: Backend, folder: Path, **env: str) -> AsyncIterator[Gateway]:
    """A gateway, its backend, and the code of its functions."""
    (folder / "code").mkdir()
    (folder / "code" / "app.py").write_text(FUNCTION)
    server.answers("/app", lambda request: (200, {}, b""))
    text = DEFINITION % {"authorizer": authorizer, "port": server.port, "runtime": RUNTIME}
    async with gateway(text, folder, env=env) as running:
        yield running


async def refused(running: Gateway, query: str = "", **more: Any) -> tuple[int, dict[str, Any]]:
    with pytest.raises(InvalidStatus) as caught:
        async with connect(running.ws() + query, **more):
            pass
    return caught.value.response.status_code, json.loads(caught.value.response.body or b"")


async def ask(client: ClientConnection, action: str = "whoami") -> str:
    await client.send(json.dumps({"action": action}))
    return str(await heard(client))


async def test_a_function_lets_a_client_in_and_all_hear_of_whom(tmp_path: Path) -> None:
    async with backend() as server, serving(REQUEST, server, tmp_path) as running:
        async with connect(f"{running.ws()}?token=bad&token=good&q=%C3%A9") as client:
            assert await ask(client) == "ann in a of 7"
            assert await ask(client, "enter") == "ann in a of 7"  # rules see numbers as numbers

        connected = await server.saw("/app")
        assert connected.header("who") == "ann"
        assert int(connected.header("took") or "") >= 0
        left = await server.saw("/app", 2)
        assert (left.header("who"), left.header("took")) == ("ann", None)


EXPLICIT = "User is not authorized to access this resource with an explicit deny in an identity-based policy"
IMPLICIT = (
    "User is not authorized to access this resource because no identity-based policy allows the "
    "execute-api:Invoke action"
)


async def test_who_is_not_let_in_hears_what_aws_says(tmp_path: Path) -> None:
    async with backend() as server, serving(REQUEST, server, tmp_path) as running:
        for token, status, message in (
            ("deny", 403, EXPLICIT),
            ("elsewhere", 403, IMPLICIT),
            ("nobody", 401, "Unauthorized"),
            ("broken", 500, "Internal server error"),
            ("nested", 500, ""),
            ("long", 500, ""),
            ("nothing", 500, ""),
        ):
            found, body = await refused(running, f"?token={token}")
            assert (found, body["message"]) == (status, message), token
            assert set(body) == {"message", "connectionId", "requestId"}
        assert server.count("/app") == 0

        assert "the database is away" in await running.logged("authorizer users failed")
        assert "context.a that is no text" in await running.logged("authorizer users: the authorizer's output")
        samples = await running.metrics()
        results = {
            result: samples[f'wsgateway_authorizations_total{{api="chat",authorizer="users",result="{result}"}}']
            for result in ("deny", "unauthorized", "error")
        }
        assert results == {"deny": 2, "unauthorized": 1, "error": 4}


async def test_a_source_that_is_missing_is_a_no_without_a_question(tmp_path: Path) -> None:
    sources = "identitySource: [route.request.querystring.token, route.request.header.X-Tenant]"
    async with backend() as server, serving(f"{REQUEST}, {sources}", server, tmp_path) as running:
        for query, headers in (("", {"X-Tenant": "a"}), ("?token=good", {}), ("?token=", {"X-Tenant": "a"})):
            status, body = await refused(running, query, additional_headers=headers)
            assert (status, body["message"]) == (401, "Unauthorized")
        async with connect(f"{running.ws()}?token=good", additional_headers={"x-tenant": "a"}) as client:
            assert await ask(client) == "ann in a of 7"
        await running.logged("asked")
        assert sum("asked {" in line for line in running.log) == 1


async def test_a_function_elsewhere_is_invoked_with_a_signature(tmp_path: Path) -> None:
    """What an Invoke endpoint of Lambda's, such as the runtime interface emulator's, is asked and answers."""
    arn = "arn:aws:lambda:eu-central-1:123456789012:function:guard"
    path = "/2015-03-31/functions/arn%3Aaws%3Alambda%3Aeu-central-1%3A123456789012%3Afunction%3Aguard/invocations"
    uri = f"arn:aws:apigateway:eu-central-1:lambda:path/2015-03-31/functions/{arn}:live/invocations"
    async with backend() as server:
        answers = iter(
            [
                allowed(),
                (200, {"X-Amz-Function-Error": "Unhandled"}, b'{"errorMessage": "Unauthorized"}'),
                (404, {"x-amzn-ErrorType": "ResourceNotFoundException"}, b'{"Message": "no such alias"}'),
            ]
        )
        server.answers(path, lambda request: next(answers))
        env = {
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_REGION": REGION,
            "AWS_ENDPOINT_URL_LAMBDA": f"http://127.0.0.1:{server.port}",
        }
        authorizer = f"authorizerType: REQUEST, authorizerUri: '{uri}'"
        async with serving(authorizer, server, tmp_path, **env) as running:
            assert "guard:live" in await running.logged("function elsewhere")
            async with connect(running.ws()) as client:
                assert await ask(client) == "ann in a of 7"
            assert (await refused(running))[0] == 401
            assert (await refused(running))[0] == 500
            assert "authorizer users: function guard:live: Lambda" in await running.logged("no such alias")

        asked = next(request for request in server.requests if request.target.startswith(path))
        assert asked.target == f"{path}?Qualifier=live"
        assert signed_by(asked)
        assert json.loads(asked.body)["type"] == "REQUEST"


async def test_a_url_is_posted_the_token_and_its_answer_is_kept(tmp_path: Path) -> None:
    async with backend() as server:
        authorizer = (
            f"authorizerType: TOKEN, authorizerUri: 'http://127.0.0.1:{server.port}/auth', "
            "identitySource: [route.request.header.Authorization], authorizerResultTtlInSeconds: 300, "
            "identityValidationExpression: 'Bearer [a-z]+'"
        )
        server.answers("/auth", lambda request: judged(json.loads(request.body)["authorizationToken"]))
        async with serving(authorizer, server, tmp_path) as running:
            for _ in range(2):
                async with connect(running.ws(), additional_headers={"Authorization": "Bearer ann"}) as client:
                    assert await ask(client) == "Bearer ann in a of 7"
            asked = [request for request in server.requests if request.target == "/auth"]
            assert [json.loads(request.body) for request in asked] == [
                {
                    "type": "TOKEN",
                    "authorizationToken": "Bearer ann",
                    "methodArn": "arn:aws:execute-api:us-east-1:000000000000:chat/dev/$connect",
                }
            ]
            assert asked[0].header("content-type") == "application/json"

            for token, status, message in (
                ("", 401, "Unauthorized"),
                ("Bearer 7", 401, "Unauthorized"),
                ("ann", 401, "Unauthorized"),
                ("Bearer no", 401, "Unauthorized"),
                ("Bearer never", 403, "Forbidden"),
                ("Bearer denied", 403, EXPLICIT),
                ("Bearer denied", 403, EXPLICIT),
                ("Bearer broken", 500, "Internal server error"),
                ("Bearer broken", 500, "Internal server error"),
                ("Bearer moved", 500, "Internal server error"),
            ):
                headers = {"Authorization": token}
                found, body = await refused(running, additional_headers=headers)
                assert (found, body["message"]) == (status, message), token

            tokens = [json.loads(one.body)["authorizationToken"] for one in server.requests if one.target == "/auth"]
            assert tokens.count("Bearer denied") == 1  # a no is kept, too
            assert tokens.count("Bearer broken") == 2  # a failure never is
            samples = await running.metrics()
            lookups = 'wsgateway_authorizer_lookups_total{api="chat",authorizer="users",result="%s"}'
            assert (samples[lookups % "hit"], samples[lookups % "miss"]) == (2, 7)
            assert samples["wsgateway_authorizer_answers"] == 2
            assert not any(token in line for line in running.log for token in ("Bearer ann", "Bearer never"))


def judged(token: str) -> tuple[int, dict[str, str], bytes]:
    match token:
        case "Bearer no":
            return 401, {}, b""
        case "Bearer never":
            return 403, {}, b""
        case "Bearer denied":
            return 200, {}, allowed()[2].replace(b"Allow", b"Deny")
        case "Bearer broken":
            return 503, {}, b""
        case "Bearer moved":
            return 302, {"Location": "/elsewhere"}, b""
        case _:
            return allowed(token)


async def test_the_event_tells_all_of_the_handshake_and_a_subprotocols_token_is_told_to_nobody_else(
    tmp_path: Path,
) -> None:
    async with backend() as server:
        authorizer = (
            f"authorizerType: REQUEST, authorizerUri: 'http://127.0.0.1:{server.port}/auth', "
            "identitySource: [route.request.subprotocol], authorizerResultTtlInSeconds: 300"
        )
        server.answers("/auth", lambda request: allowed())
        async with serving(authorizer, server, tmp_path) as running:
            for _ in range(2):  # asked, and kept
                offers = [Subprotocol("bearer.secret"), Subprotocol("chat.v2")]
                url = f"{running.ws()}?token=bad&token=good&q=%C3%A9"
                async with connect(url, subprotocols=offers) as client:
                    assert client.subprotocol == "chat.v2"
                    assert await ask(client) == "ann in a of 7"

        (asked,) = [request for request in server.requests if request.target == "/auth"]
        event = json.loads(asked.body)
        assert list(event) == [
            "type",
            "methodArn",
            "headers",
            "multiValueHeaders",
            "queryStringParameters",
            "multiValueQueryStringParameters",
            "stageVariables",
            "requestContext",
        ]
        assert event["type"] == "REQUEST"
        assert event["methodArn"] == "arn:aws:execute-api:us-east-1:000000000000:chat/dev/$connect"
        assert event["queryStringParameters"] == {"token": "good", "q": "é"}
        assert event["multiValueQueryStringParameters"] == {"token": ["bad", "good"], "q": ["é"]}
        assert event["stageVariables"] == {"fn": "auth"}
        headers = {name.lower(): value for name, value in event["headers"].items()}
        assert headers["connection"].lower() == "upgrade"
        assert headers["upgrade"].lower() == "websocket"
        assert headers["content-length"] == "0"
        assert headers["x-forwarded-for"] == "127.0.0.1"
        about = event["requestContext"]
        assert (about["routeKey"], about["eventType"], about["apiId"]) == ("$connect", "CONNECT", "chat")
        assert "authorizer" not in about
        assert headers["sec-websocket-protocol"] == "bearer.secret, chat.v2"
        connects = [request for request in server.requests if request.header("sec-websocket-key")]
        assert [request.header("sec-websocket-protocol") for request in connects] == ["chat.v2", "chat.v2"]


async def test_an_authorizer_that_is_away_lets_nobody_in(tmp_path: Path) -> None:
    async with backend() as server:
        uri = "authorizerType: REQUEST, authorizerUri: 'http://127.0.0.1:1024/auth'"
        async with serving(uri, server, tmp_path) as running:
            assert await refused(running) is not None
            status, body = await refused(running)
            assert (status, body["message"]) == (500, "Internal server error")
            assert "authorizer users: " in await running.logged("integration fails")
            assert server.count("/app") == 0
