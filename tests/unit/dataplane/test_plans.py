"""API keys at a stage: who is let in, what counts, and what is asked first and last."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from pathlib import Path

import pytest

from tests.unit.dataplane import values
from tests.unit.requests import method_request
from wsgateway.dataplane.buckets import Buckets
from wsgateway.dataplane.meters import Meters
from wsgateway.dataplane.plans import StagePlans
from wsgateway.errors import InvalidApiKey, QuotaExceeded, Throttled
from wsgateway.invocation import Client, Invocation
from wsgateway.model.loader import parse

pytestmark = pytest.mark.anyio

KEY, OTHER, OFF, STRAY = (f"{name}-{'x' * 20}" for name in ("key", "other", "off", "stray"))
DEFINITION = """
apis:
  chat:
    protocolType: WEBSOCKET
    routeSelectionExpression: $request.body.action
    apiKeySelectionExpression: {source}
    stages: {{dev: {{}}, prod: {{}}}}
    {more}
    routes: {{$connect: {{{connect}}}, say: {{}}, paid: {{{paid}}}}}
apiKeys:
  - {{name: key, value: {key}, enabled: {enabled}}}
  - {{name: other, value: {other}}}
  - {{name: "off", value: {off}, enabled: false}}
  - {{name: stray, value: {stray}}}
usagePlans:
  gold: {{apiKeys: [key, "off"], apiStages: [{{apiId: chat, stage: dev{throttle}}}]{plan}}}
  prod: {{apiKeys: [other], apiStages: [{{apiId: chat, stage: prod}}]}}
"""


class Site:
    """One stage, whose clock stands."""

    def __init__(self, stage: str = "dev", **parts: str) -> None:
        self.buckets = Buckets(lambda: 0.0)
        self.meters = Meters(lambda: 0.0, lambda event, **facts: None)
        self.stage = stage
        self.deploy(**parts)

    def deploy(self, **parts: str) -> None:
        usual = {
            "source": "$request.header.x-api-key",
            "connect": "apiKeyRequired: true",
            "more": "",
            "enabled": "true",
        }
        written = {"key": KEY, "other": OTHER, "off": OFF, "stray": STRAY, "paid": "", "throttle": "", "plan": ""}
        text = DEFINITION.format(**(usual | written | parts))
        definitions = parse(text, "routes.yaml", {}, Path()).definitions
        self.plans = StagePlans(definitions, "chat", self.stage, self.buckets, self.meters)

    async def connect(self, key: str = KEY, *, used: bool = True) -> Client:
        """A client that is let in. *Raises* GatewayError."""
        invocation = values.connecting("/dev", ("X-API-Key", key))
        await self._ask("$connect", invocation, used)
        return invocation.client

    async def say(self, client: Client, route_key: str = "say", *, used: bool = True) -> None:
        """A message that is let through. *Raises* GatewayError."""
        invocation = values.message(route_key=route_key)
        invocation.client = client
        await self._ask(route_key, invocation, used)

    async def _ask(self, route_key: str, invocation: Invocation, used: bool) -> None:
        """`used`: whether all limits between the first and the last let it through."""
        asked = self.plans.admits(route_key)
        if asked is not None:
            await _wait(asked[0](invocation))
            if used:
                await _wait(asked[1](invocation))


async def _wait(pending: Awaitable[None] | None) -> None:
    if pending is not None:
        await pending


async def test_a_key_of_the_stage_lets_in_and_is_known() -> None:
    client = await Site().connect()

    assert client.identity == {"apiKey": KEY, "apiKeyId": "key"}


@pytest.mark.parametrize("key", ["", "key", KEY + "x", KEY.upper(), OTHER, OFF, STRAY, "é" * 5000])
async def test_all_others_get_one_answer(key: str) -> None:
    invocation = values.connecting("/dev", ("x-api-key", key))
    asked = Site().plans.admits("$connect")
    assert asked is not None

    with pytest.raises(InvalidApiKey) as caught:
        asked[0](invocation)

    assert (caught.value.status, caught.value.detail) == (403, "Forbidden")
    assert key == "" or key not in caught.value.reason or key == "key"
    assert invocation.client.identity == {}


async def test_the_last_of_several_counts() -> None:
    asked = Site().plans.admits("$connect")
    assert asked is not None
    asked[0](values.connecting("/dev", ("x-api-key", "none"), ("x-api-key", KEY)))

    with pytest.raises(InvalidApiKey):
        asked[0](values.connecting("/dev", ("x-api-key", KEY), ("x-api-key", "none")))


@pytest.mark.parametrize(
    ("source", "target", "header"),
    [
        pytest.param("$request.querystring.key", f"/dev?key={KEY}", "", id="query"),
        pytest.param("${request.header.x-key}", "/dev", "X-Key", id="another header"),
    ],
)
async def test_where_a_key_may_be(source: str, target: str, header: str) -> None:
    asked = Site(source=source).plans.admits("$connect")
    assert asked is not None

    asked[0](values.connecting(target, *([(header, KEY)] if header else [])))
    with pytest.raises(InvalidApiKey):
        asked[0](values.connecting("/dev", ("x-api-key", KEY)))


async def test_nothing_is_asked_where_no_key_is() -> None:
    plans = Site(connect="").plans

    assert [plans.admits(key) for key in ("$connect", "say", "$default", "$disconnect")] == [None] * 4
    assert [Site().plans.admits(key) for key in ("say", "$default", "$disconnect")] == [None] * 3


async def test_each_key_has_a_bucket_and_a_route_may_have_its_own() -> None:
    site = Site(plan=", throttle: {rateLimit: 0.1, burstLimit: 2}", paid="apiKeyRequired: true")
    client = await site.connect()
    await site.say(client, "paid")

    with pytest.raises(Throttled) as caught:
        await site.connect()
    assert (caught.value.status, caught.value.detail, caught.value.level) == (429, "Too Many Requests", "plan")

    site.deploy(throttle=", throttle: {paid: {rateLimit: 0.1, burstLimit: 1}}", paid="apiKeyRequired: true")
    await site.say(client, "paid")
    await site.connect()
    with pytest.raises(Throttled):
        await site.say(client, "paid")


async def test_what_another_limit_refuses_uses_no_quota() -> None:
    site = Site(plan=", quota: {limit: 1, period: DAY}")

    await site.connect(used=False)
    await site.connect()
    with pytest.raises(QuotaExceeded) as caught:
        await site.connect()

    assert (caught.value.status, caught.value.detail) == (429, "Limit Exceeded")
    assert KEY not in caught.value.reason


async def test_messages_count_where_the_plan_says_so() -> None:
    site = Site(plan=", quota: {limit: 3, period: DAY}, countMessages: true")
    client = await site.connect()

    await site.say(client)
    await site.say(client, "$default")
    with pytest.raises(QuotaExceeded):
        await site.say(client)


async def test_a_route_that_asks_for_the_key_counts() -> None:
    site = Site(plan=", quota: {limit: 2, period: DAY}", paid="apiKeyRequired: true")
    client = await site.connect()

    await site.say(client)
    await site.say(client, "paid")
    with pytest.raises(QuotaExceeded):
        await site.say(client, "paid")
    await site.say(client)


async def test_a_key_that_is_disabled_is_good_no_more_for_messages_that_count() -> None:
    site = Site(paid="apiKeyRequired: true")
    client = await site.connect()
    site.deploy(paid="apiKeyRequired: true", enabled="false")

    await site.say(client)
    with pytest.raises(InvalidApiKey):
        await site.say(client, "paid")


async def test_a_key_that_got_another_value_is_good_no_more_for_who_came_with_the_old_one() -> None:
    site = Site(paid="apiKeyRequired: true")
    client = await site.connect()
    site.deploy(paid="apiKeyRequired: true", key="new-" + KEY)

    with pytest.raises(InvalidApiKey):
        await site.say(client, "paid")
    await site.say(await site.connect("new-" + KEY), "paid")


async def test_clients_that_came_before_keys_were_asked_for() -> None:
    client = values.client()

    await Site(plan=", countMessages: true").say(client)
    with pytest.raises(InvalidApiKey):
        await Site(paid="apiKeyRequired: true").say(client, "paid")


async def test_a_bucket_that_is_asked_elsewhere_is_waited_for() -> None:
    site = Site(plan=", throttle: {rateLimit: 1, burstLimit: 1}, quota: {limit: 1, period: DAY}")
    answers = [True, False]

    class Elsewhere:
        async def take(self) -> bool:
            await asyncio.sleep(0)
            return answers.pop(0)

    site.buckets.bucket = lambda name, limit: Elsewhere()  # type: ignore
    await site.connect()
    with pytest.raises(Throttled) as caught:
        await site.connect()
    assert not isinstance(caught.value, QuotaExceeded)


async def test_methods_of_a_rest_api_look_keys_up_and_have_throttles_of_their_own() -> None:
    text = f"""
apis:
  shop:
    protocolType: REST
    stages: {{v1: {{}}}}
    paths:
      /: {{GET: {{apiKeyRequired: true, integration: {{type: MOCK}}}}}}
      /pets/{{id}}:
        GET: {{apiKeyRequired: true, integration: {{type: MOCK}}}}
        POST: {{integration: {{type: MOCK}}}}
apiKeys: [{{name: mobile, value: {KEY}}}]
usagePlans:
  gold:
    apiKeys: [mobile]
    apiStages:
      - {{apiId: shop, stage: v1, throttle: {{//GET: {{rateLimit: 1, burstLimit: 1}}}}}}
    throttle: {{rateLimit: 1, burstLimit: 2}}
"""
    definitions = parse(text, "routes.yaml", {}, Path()).definitions
    meters = Meters(lambda: 0.0, lambda event, **facts: None)
    plans = StagePlans(definitions, "shop", "v1", Buckets(lambda: 0.0), meters)

    def refused(key: str, *headers: tuple[bytes, bytes]) -> str:
        asked, request = plans.admits(key), method_request(headers=headers)
        assert asked is not None
        try:
            assert asked[0](request) is None
        except Throttled as error:
            return error.level
        except InvalidApiKey:
            return "key"
        return str(request.context("identity.apiKeyId"))

    shown = (b"x-aPI-key", KEY.encode())
    assert plans.admits("POST /pets/{id}") is None
    assert [refused("GET /"), refused("GET /", (b"x-api-key", b"other"))] == ["key", "key"]
    assert [refused("GET /", shown) for _ in range(2)] == ["mobile", "plan"]
    assert [refused("GET /pets/{id}", shown) for _ in range(3)] == ["mobile", "mobile", "plan"]
