"""API keys and usage plans as clients, operators and several nodes see them."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus

from tests.e2e.test_cli import wsgateway
from tests.e2e.test_many_nodes import becomes
from tests.harness import Gateway, backend, gateway, http, raw
from tests.redis import redis_server
from wsgateway.model.api_key import digest_of

pytestmark = pytest.mark.anyio

MOBILE, OFF, METERED, SLOW, LONE, WIDE = (
    f"{name}-{'x' * 20}" for name in ("mob", "off", "met", "slow", "lone", "wide")
)
DEFINITION = f"""
defaultApi: chat
apis:
  chat:
    protocolType: WEBSOCKET
    routeSelectionExpression: $request.body.action
    stages: {{dev: {{}}, prod: {{}}}}
    integrations:
      who:
        integrationType: MOCK
        requestTemplates: {{$default: '{{"statusCode": 200}}'}}
        integrationResponses:
          $default: {{responseTemplates: {{$default: '$context.identity.apiKeyId $context.identity.apiKey'}}}}
    routes:
      $connect: {{apiKeyRequired: true}}
      who: {{integration: who, routeResponse: true}}
      paid: {{integration: who, routeResponse: true, apiKeyRequired: true}}
  query:
    protocolType: WEBSOCKET
    routeSelectionExpression: $request.body.action
    apiKeySelectionExpression: $request.querystring.key
    stages: {{dev: {{}}}}
    routes: {{$connect: {{apiKeyRequired: true}}, $default: {{}}}}
  named:
    protocolType: WEBSOCKET
    routeSelectionExpression: $request.body.action
    apiKeySelectionExpression: $context.authorizer.usageIdentifierKey
    stages: {{dev: {{}}}}
    authorizers: {{who: {{authorizerType: REQUEST, authorizerUri: "${{AUTHORIZER}}"}}}}
    routes: {{$connect: {{apiKeyRequired: true, authorizer: who}}, $default: {{}}}}
apiKeys:
  - {{name: mobile, valueSha256: {digest_of(MOBILE).hex()}}}
  - {{name: "off", value: "{OFF}", enabled: false}}
  - {{name: metered, value: "{METERED}"}}
  - {{name: slow, value: "{SLOW}"}}
  - {{name: lone, value: "{LONE}"}}
  - {{name: wide, value: "${{WIDE}}"}}
usagePlans:
  gold:
    apiKeys: [mobile, "off"]
    apiStages: [{{apiId: chat, stage: dev}}, {{apiId: query, stage: dev}}, {{apiId: named, stage: dev}}]
  metered:
    apiKeys: [metered]
    apiStages: [{{apiId: chat, stage: dev}}]
    quota: {{limit: 4, period: MONTH}}
    countMessages: true
  slow:
    apiKeys: [slow]
    apiStages: [{{apiId: chat, stage: dev, throttle: {{paid: {{rateLimit: 0, burstLimit: 1}}}}}}]
    throttle: {{rateLimit: 0.001, burstLimit: 2}}
    quota: {{limit: 10, period: MONTH}}
  wide:
    apiKeys: [wide]
    apiStages: [{{apiId: chat, stage: prod}}]
    quota: {{limit: 10, period: MONTH}}
"""
ENV = {"WIDE": WIDE, "AUTHORIZER": "http://127.0.0.1:1024/who"}


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Gateway]:
    async with gateway(DEFINITION, tmp_path, env=ENV) as running:
        yield running


def client(running: Gateway, key: str = MOBILE, path: str = "/dev") -> connect:
    return connect(running.ws(path), additional_headers={"X-Api-Key": key})


async def refused(attempt: connect) -> tuple[int, str]:
    with pytest.raises(InvalidStatus) as caught:
        async with attempt:
            pass
    return caught.value.response.status_code, json.loads(caught.value.response.body or b"")["message"]


async def say(client: ClientConnection, action: str = "who") -> Any:
    await client.send(json.dumps({"action": action}))
    text = str(await client.recv())
    return json.loads(text)["message"] if text.startswith("{") else text


async def usage(running: Gateway, query: str = "") -> Any:
    answer = await http(running.internal_port, "GET", f"/usage{query}")
    assert answer.status == 200, answer.body
    return {item["usagePlanId"]: item["values"] for item in answer.json()["items"]}


async def test_who_is_let_in_and_what_of_them_is_known(running: Gateway, tmp_path: Path) -> None:
    async with client(running) as mobile:
        assert await say(mobile) == f"mobile {MOBILE}"
        assert await say(mobile, "paid") == f"mobile {MOBILE}"

    nobody = connect(running.ws())
    for attempt in (nobody, client(running, ""), client(running, OFF), client(running, LONE), client(running, WIDE)):
        assert await refused(attempt) == (403, "Forbidden")
    assert await refused(client(running, "mobile")) == (403, "Forbidden")

    async with connect(running.ws(f"/execute-api/query/dev?key={MOBILE}")):
        pass
    assert await refused(client(running, MOBILE, "/execute-api/query/dev")) == (403, "Forbidden")
    metrics = await running.metrics()
    assert metrics['wsgateway_connects_total{result="403"}'] == 7
    await running.logged("API key off is disabled")
    await running.logged("it brings no API key")
    told = "".join(running.log) + (await http(running.internal_port, "GET", "/metrics")).body.decode()
    assert not any(key in told for key in (MOBILE, OFF, METERED, SLOW, LONE, WIDE))


async def test_a_quota_ends_and_a_throttled_event_uses_none_of_it(running: Gateway, tmp_path: Path) -> None:
    async with client(running, METERED) as metered:
        assert [await say(metered) for _ in range(4)] == [f"metered {METERED}"] * 3 + ["Limit Exceeded"]
    with pytest.raises(InvalidStatus) as caught:
        await client(running, METERED)
    assert (caught.value.response.status_code, caught.value.response.headers.get("Retry-After")) == (429, None)
    assert json.loads(await running.logged("the quota of API key metered"))["limit"] == "quota"

    async with client(running, SLOW) as slow, client(running, SLOW):
        assert await refused(client(running, SLOW)) == (429, "Too Many Requests")
        assert await say(slow, "paid") == "Too Many Requests", "a limit of 0 lets nothing pass"
        assert await say(slow) == f"slow {SLOW}", "what asks for no key is not counted"

    assert await usage(running) == {
        "gold": {"mobile": [[0, None]], "off": [[0, None]]},
        "metered": {"metered": [[4, 0]]},
        "slow": {"slow": [[2, 8]]},
        "wide": {"wide": [[0, 10]]},
    }
    metrics = await running.metrics()
    assert metrics['wsgateway_throttled_total{api="chat",level="quota",stage="dev"}'] == 2
    assert metrics['wsgateway_throttled_total{api="chat",level="plan",stage="dev"}'] == 2

    shown = await wsgateway("usage", "metered", "--endpoint", running.internal, "--output", "json")
    ((row,), code) = (json.loads(shown.out), shown.code)
    assert (code, row["key"], row["used"], row["left"], row["quota"]) == (0, "metered", 4, 0, "4 a month")
    unknown = await wsgateway("usage", "silver", "--endpoint", running.internal)
    assert (unknown.code, unknown.err.endswith(" answered 400: there is no such usagePlanId\n")) == (1, True)
    page = await raw(running.internal_port, b"GET /usage HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n")
    assert page.startswith(b"HTTP/1.1 403")


async def test_a_key_that_is_made_and_put_in_the_file_lets_in_and_one_taken_out_no_more(
    running: Gateway, tmp_path: Path
) -> None:
    made = await wsgateway("keys", "create", "new", "--output", "json")
    key = json.loads(made.out)
    text = DEFINITION.replace(
        "apiKeys:\n  - {name", f"apiKeys:\n  - {{name: new, valueSha256: {key['valueSha256']}}}\n  - {{name", 1
    )
    (tmp_path / "routes.yaml").write_text(text.replace('apiKeys: [mobile, "off"]', "apiKeys: [new]"))
    async with client(running) as before:
        running.reload()
        await running.logged("definition deployed")

        async with client(running, key["value"]) as new:
            assert await say(new) == f"new {key['value']}"
        assert await refused(client(running)) == (403, "Forbidden")
        assert await say(before, "paid") == "Forbidden"


async def test_nodes_count_together_and_go_on_alone(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        redis = await stack.enter_async_context(redis_server(tmp_path))
        nodes = []
        for name in ("a", "b"):
            folder = tmp_path / name
            folder.mkdir()
            flags = ("--redis-url", redis.url, "--redis-away", "accept")
            nodes.append(await stack.enter_async_context(gateway(DEFINITION, folder, *flags, env=ENV)))
        for number in range(4):
            async with client(nodes[number % 2], WIDE, "/prod"):
                pass
        assert (await usage(nodes[0], "?usagePlanId=wide")) == {"wide": {"wide": [[4, 6]]}}

        async with client(nodes[0], METERED) as one, client(nodes[1], METERED) as other:
            assert [await say(one), await say(other)] == [f"metered {METERED}"] * 2
            assert [await say(one), await say(other)] == ["Limit Exceeded"] * 2

        for node in nodes:
            await becomes(partial(_knows_both, node))
        await redis.kill()
        admitted = [await _let_in(node) for node in nodes for _ in range(6)]
        assert 2 <= sum(admitted) <= 7, "each node its share of what it last heard was left"
        assert (await http(nodes[0].internal_port, "GET", "/usage")).status == 503


async def test_a_key_that_an_authorizer_names(tmp_path: Path) -> None:
    statement = {"Action": "execute-api:Invoke", "Effect": "Allow", "Resource": "*"}
    said = {"policyDocument": {"Version": "2012-10-17", "Statement": [statement]}}
    async with backend() as server:
        url = f"http://127.0.0.1:{server.port}/who"
        async with gateway(DEFINITION, tmp_path, env=ENV | {"AUTHORIZER": url}) as running:
            path = "/execute-api/named/dev"
            server.answers("/who", (200, {}, json.dumps(said | {"usageIdentifierKey": MOBILE}).encode()))
            async with connect(running.ws(path)):
                pass
            for named in ({}, {"usageIdentifierKey": OFF}):
                server.answers("/who", (200, {}, json.dumps(said | named).encode()))
                assert await refused(client(running, MOBILE, path)) == (403, "Forbidden")


async def _knows_both(node: Gateway) -> bool:
    return (await node.metrics())["wsgateway_nodes"] == 2


async def _let_in(node: Gateway) -> bool:
    try:
        async with client(node, WIDE, "/prod"):
            return True
    except InvalidStatus as error:
        return error.response.status_code != 429
