"""Limits of REST APIs, and what the log tells of requests, as clients and operators see them.

API Gateway developer guide, "Throttle requests to your REST APIs", "Set up CloudWatch logging for REST APIs".
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.harness import PATIENCE, Answer, Backend, Gateway, backend, gateway, http
from wsgateway.model.api_key import digest_of

pytestmark = pytest.mark.anyio

MOBILE, OFF, METERED, SLOW, OTHER = (f"{name}-{'x' * 20}" for name in ("mobile", "off", "metered", "slow", "other"))
SHOWS_KEY = """
      {type: MOCK, requestTemplates: {application/json: '{"statusCode": 200}'}, integrationResponses: {"200":
      {responseTemplates: {application/json: '$context.identity.apiKeyId $context.identity.apiKey'}}}}"""
DEFINITION = """
defaultApi: shop
apis:
  shop:
    protocolType: REST
    stages:
      v1:
        variables: {backend: "127.0.0.1:@port@"}
        methodSettings:
          "*/*": {throttlingRateLimit: 0.001, throttlingBurstLimit: 3}
          pets/POST: {throttlingBurstLimit: 1}
          closed/GET: {throttlingRateLimit: 0, throttlingBurstLimit: 0}
      logged:
        variables: {backend: "127.0.0.1:@port@"}
        methodSettings:
          "*/*": {loggingLevel: INFO}
          told/{id}/POST: {dataTraceEnabled: true}
          failing/GET: {loggingLevel: ERROR}
          brief/GET: {throttlingRateLimit: 0.001, throttlingBurstLimit: 2}
      whole:
        variables: {backend: "127.0.0.1:1024"}
        throttle: {rateLimit: 0.001, burstLimit: 2, perSource: {rateLimit: 0.001, burstLimit: 50}}
    gatewayResponses:
      THROTTLED: {responseParameters: {gatewayresponse.header.X-Why: context.error.responseType}}
    integrations:
      ok: {type: MOCK, requestTemplates: {application/json: '{"statusCode": 200}'}, integrationResponses: {"200": {}}}
      told:
        type: HTTP
        httpMethod: POST
        uri: "http://${stageVariables.backend}/told"
        requestTemplates: {application/json: '{"id": "$input.params("id")"}'}
        requestParameters: {integration.request.header.Authorization: "'Bearer hidden'"}
        integrationResponses: {"200": {responseTemplates: {application/json: "said"}}}
    paths:
      /pets: {GET: {integration: ok}, POST: {integration: ok}}
      /closed: {GET: {integration: ok}}
      /told/{id}: {POST: {integration: told}}
      /failing: {GET: {integration: {type: HTTP_PROXY, httpMethod: GET, uri: "http://127.0.0.1:1024/"}}}
      /brief: {GET: {integration: ok}}
  keyed:
    protocolType: REST
    stages: {v1: {}, v2: {}}
    gatewayResponses:
      QUOTA_EXCEEDED: {responseTemplates: {application/json: '{"why":"$context.error.responseType"}'}}
    integrations: {key: @key@}
    paths:
      /key: {GET: {apiKeyRequired: true, integration: key}, POST: {apiKeyRequired: true, integration: key}}
      /open: {GET: {integration: key}}
  named:
    protocolType: REST
    apiKeySource: AUTHORIZER
    stages:
      v1:
        throttle: {perSource: {rateLimit: 0.001, burstLimit: 4}}
        methodSettings: {"*/*": {loggingLevel: INFO, dataTraceEnabled: true}}
    authorizers:
      who: {type: TOKEN, authorizerUri: "http://127.0.0.1:@port@/who", identitySource: method.request.header.X-Token}
    integrations: {key: @key@}
    paths: {/key: {GET: {apiKeyRequired: true, authorizer: who, integration: key}}}
apiKeys:
  - {name: mobile, valueSha256: @hash@}
  - {name: "off", value: OFF, enabled: false}
  - {name: metered, value: METERED}
  - {name: slow, value: SLOW}
  - {name: other, value: OTHER}
usagePlans:
  gold: {apiKeys: [mobile, "off"], apiStages: [{apiId: keyed, stage: v1}, {apiId: named, stage: v1}]}
  metered: {apiKeys: [metered], apiStages: [{apiId: keyed, stage: v1}], quota: {limit: 3, period: MONTH}}
  slow:
    apiKeys: [slow]
    apiStages: [{apiId: keyed, stage: v1, throttle: {/key/POST: {rateLimit: 0, burstLimit: 1}}}]
    throttle: {rateLimit: 0.001, burstLimit: 2}
    quota: {limit: 10, period: MONTH}
  other: {apiKeys: [other], apiStages: [{apiId: keyed, stage: v2}]}
"""


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", {"use_uvloop": True}


@pytest.fixture(scope="module")
async def behind() -> AsyncIterator[Backend]:
    async with backend() as behind:
        behind.answers("/told", (200, {"Set-Cookie": "hidden"}, b"heard"))
        yield behind


@pytest.fixture(scope="module")
async def running(behind: Backend, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Gateway]:
    folder: Path = tmp_path_factory.mktemp("limits")
    values = {"@port@": str(behind.port), "@key@": SHOWS_KEY, "@hash@": digest_of(MOBILE).hex()}
    values |= {" OFF,": f" {OFF},", "METERED": METERED, "SLOW": SLOW, "OTHER": OTHER}
    definition = DEFINITION
    for name, value in values.items():
        definition = definition.replace(name, value)
    async with gateway(definition, folder) as running:
        yield running


async def ask(running: Gateway, method: str, path: str, body: bytes = b"", **headers: str) -> Answer:
    fields = [(name.replace("_", "-"), value) for name, value in headers.items()]
    return await http(running.port, method, path, body, fields)


async def line(running: Gateway, **facts: str | None) -> dict[str, str]:
    """The first line of the log that has these facts; a text may go on."""
    async with asyncio.timeout(PATIENCE):
        while True:
            for each in map(json.loads, running.log):
                if all(str(each.get(name)).startswith(str(value)) for name, value in facts.items()):
                    return dict(each)
            await running.more_log()


async def statuses(running: Gateway, method: str, path: str, number: int) -> list[int]:
    return [(await ask(running, method, path)).status for _ in range(number)]


async def test_each_method_has_a_bucket_and_settings_of_its_own(running: Gateway) -> None:
    assert await statuses(running, "POST", "/v1/pets", 2) == [200, 429]
    assert await statuses(running, "GET", "/v1/pets", 4) == [200, 200, 200, 429]
    refused = await ask(running, "GET", "/v1/closed", b"x" * 100_000)
    assert (refused.status, refused.json()) == (429, {"message": "Too Many Requests"})
    assert refused.header("x-amzn-errortype") == "TooManyRequestsException"
    assert (refused.header("x-why"), refused.header("retry-after")) == ("THROTTLED", None)
    told = await line(running, event="a limit is reached", stage="v1", limit="method")
    assert (told["api"], told["route"], told["source"]) == ("shop", "POST /pets", "127.0.0.1")
    assert "connection_id" not in told
    metrics = await running.metrics()
    assert metrics['wsgateway_throttled_total{api="shop",level="method",stage="v1"}'] == 3


async def test_a_stage_is_one_bucket_for_all_its_methods(running: Gateway) -> None:
    assert await statuses(running, "GET", "/whole/pets", 1) == [200]
    assert await statuses(running, "GET", "/whole/brief", 2) == [200, 429]
    assert (await running.metrics())['wsgateway_throttled_total{api="shop",level="stage",stage="whole"}'] == 1


async def test_steps_are_told_with_what_was_said_and_without_secrets(running: Gateway, behind: Backend) -> None:
    body = b'{"name": "x", "password": "y"}'
    answer = await ask(
        running,
        "POST",
        "/logged/told/7?a=1&b=2",
        body,
        Cookie="hidden",
        X_Api_Key="hidden",
        Content_Type="application/json",
    )
    assert answer.body == b"said"
    await line(running, request_id=answer.header("x-amzn-requestid"), text="Method completed with status: 200")
    facts = [fact for line in running.log if (fact := json.loads(line))["event"] == "execution"]
    told = [fact["text"] for fact in facts if fact["request_id"] == answer.header("x-amzn-requestid")]
    expected = [
        f"Extended Request Id: {answer.header('x-amz-apigw-id')}",
        f"Starting execution for request: {answer.header('x-amzn-requestid')}",
        "HTTP Method: POST, Resource Path: /told/7",
        "Method request path: {id=7}",
        "Method request query string: {a=1, b=2}",
        "Method request headers: {",
        f"Method request body before transformations: {body.decode()}",
        f"Endpoint request URI: 127.0.0.1:{behind.port}/told",
        "Endpoint request headers: {",
        'Endpoint request body after transformations: {"id": "7"}',
        f"Sending request to 127.0.0.1:{behind.port}/told",
        "Received response. Status: 200, Integration latency: ",
        "Endpoint response headers: {",
        "Endpoint response body before transformations: heard",
        "Integration response selected: ",
        "Method response body after transformations: said",
        "Method response headers: {",
        "Successfully completed execution",
        "Method completed with status: 200",
    ]
    assert len(told) == len(expected), told
    assert all(text.startswith(start) for text, start in zip(told, expected, strict=True)), told
    assert "Cookie=***" in told[5]
    assert "Authorization=***" in told[8]
    assert "hidden" not in "".join(running.log)
    where = {(fact["api"], fact["stage"], fact["route"]) for fact in facts if fact["text"] in told}
    assert where == {("shop", "logged", "POST /told/{id}")}


async def test_failures_alone_and_steps_without_what_was_said(running: Gateway) -> None:
    failed = await ask(running, "GET", "/logged/failing")
    told = await line(running, event="execution", request_id=failed.header("x-amzn-requestid"))
    assert (told["level"], told["route"], told["text"][:18]) == ("ERROR", "GET /failing", "Execution failed: ")

    assert await statuses(running, "GET", "/logged/brief?secret=hidden", 3) == [200, 200, 429]
    await line(running, route="GET /brief", text="Execution failed: the limit of the method: 0.001 a second, 2 at once")
    await line(running, route="GET /brief", text="Method completed with status: 429")
    facts = [fact for line in running.log if (fact := json.loads(line))["event"] == "execution"]
    brief = [fact["text"] for fact in facts if fact["route"] == "GET /brief"]
    assert brief[2:5] == [
        "HTTP Method: GET, Resource Path: /brief",
        "Integration response selected: 200 (default)",
        "Successfully completed execution",
    ]


async def test_whose_keys_are_good(running: Gateway) -> None:
    for name in ("X-API-Key", "x-api-key"):
        good = await ask(running, "GET", "/execute-api/keyed/v1/key", **{name: MOBILE})
        assert (good.status, good.body.decode()) == (200, f"mobile {MOBILE}")
    for key in ({}, *({"x-api-key": key} for key in ("", "mobile", OFF, OTHER, MOBILE + "x", "\xff" * 500))):
        refused = await ask(running, "GET", "/execute-api/keyed/v1/key", b"x" * 100_000, **key)
        assert (refused.status, refused.json()) == (403, {"message": "Forbidden"})
        assert refused.header("x-amzn-errortype") == "ForbiddenException"
    ignored = await ask(running, "GET", "/execute-api/keyed/v1/open", x_api_key=MOBILE)
    assert (ignored.status, ignored.body) == (200, b" ")
    for why in ("API key off is disabled", "it brings no API key", "API key other is in no usage plan of this stage"):
        await line(running, event="client not let in", route="GET /key", error=why)
    assert not any(key in line for line in running.log for key in (MOBILE, OFF, METERED, SLOW, OTHER))


async def test_a_quota_ends_and_what_other_limits_refuse_uses_none_of_it(running: Gateway) -> None:
    async def statuses(key: str, *verbs: str) -> list[int]:
        answers = [await ask(running, verb, "/execute-api/keyed/v1/key", x_api_key=key) for verb in verbs]
        assert all(answer.header("retry-after") is None for answer in answers)
        return [answer.status for answer in answers]

    assert await statuses(METERED, "GET", "POST", "GET", "GET") == [200, 200, 200, 429]
    over = await ask(running, "GET", "/execute-api/keyed/v1/key", x_api_key=METERED)
    assert (over.json(), over.header("x-amzn-errortype")) == ({"why": "QUOTA_EXCEEDED"}, "LimitExceededException")
    assert await statuses(SLOW, "POST", "GET", "GET", "GET") == [429, 200, 200, 429]

    usage = (await http(running.internal_port, "GET", "/usage")).json()["items"]
    used = {key: days for item in usage for key, days in item["values"].items()}
    assert (used["metered"], used["slow"]) == ([[3, 0]], [[2, 8]])
    metrics = await running.metrics()
    assert metrics['wsgateway_throttled_total{api="keyed",level="plan",stage="v1"}'] == 2
    assert metrics['wsgateway_throttled_total{api="keyed",level="quota",stage="v1"}'] == 2


async def test_a_key_that_an_authorizer_names_and_an_address_that_asks_too_often(
    running: Gateway, behind: Backend
) -> None:
    statement = {"Action": "execute-api:Invoke", "Effect": "Allow", "Resource": "*"}
    output = {"principalId": "me", "policyDocument": {"Version": "2012-10-17", "Statement": [statement]}}

    async def call(token: str, named: dict[str, str]) -> tuple[int, bytes]:
        behind.answers("/who", (200, {}, json.dumps(output | named).encode()))
        answer = await ask(running, "GET", "/execute-api/named/v1/key", x_token=token, x_api_key=MOBILE)
        return answer.status, answer.body

    assert await call("token-of-one", {"usageIdentifierKey": MOBILE}) == (200, f"mobile {MOBILE}".encode())
    assert await call("token-of-two", {"usageIdentifierKey": OFF}) == (403, b'{"message":"Forbidden"}')
    assert await call("token-of-three", {}) == (403, b'{"message":"Forbidden"}')
    assert (await ask(running, "GET", "/execute-api/named/v1/key")).status == 401
    asked = behind.count("/who")
    assert (await call("token-of-four", {}))[0] == 429
    assert behind.count("/who") == asked == 3, "who asks too often makes nobody ask an authorizer"
    metrics = await running.metrics()
    assert metrics['wsgateway_throttled_total{api="named",level="source",stage="v1"}'] == 1

    await line(running, api="named", text="Method completed with status: 429")
    told = [fact["text"] for line in running.log if (fact := json.loads(line)).get("api") == "named" and "text" in fact]
    steps = ("Starting authorizer: who", "Successfully completed authorizer", "Verifying Usage Plan", "Method response")
    at = [next(number for number, text in enumerate(told) if text.startswith(step)) for step in steps]
    assert at == sorted(at)
    assert not any(secret in text for text in told for secret in (MOBILE, OFF, "token-of-one"))
