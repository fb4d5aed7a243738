"""What messages, handshakes and $disconnects leave in the tallies of their routes."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from tests.unit.dataplane.test_compile import MOCK, compiled
from tests.unit.dataplane.test_websocket import World, quotas
from wsgateway.dataplane.compiled import Operation
from wsgateway.errors import AccessDenied, BadGateway
from wsgateway.invocation import Invocation
from wsgateway.messages import EndpointResponse
from wsgateway.tally import Tally

pytestmark = pytest.mark.anyio


class Clock:
    """Stands still until it is moved."""

    def __init__(self, world: World) -> None:
        self.now = 0.0
        world.gateway.clock = lambda: self.now


def latency(tally: Tally) -> tuple[int, float]:
    return sum(tally.latency.counts), tally.latency.seconds


def integration_latency(tally: Tally) -> tuple[int, float]:
    return sum(tally.integration_latency.counts), tally.integration_latency.seconds


async def test_a_message_takes_as_long_as_its_integration() -> None:
    world = World()
    clock = Clock(world)

    world.say(b"1")
    clock.now = 2.0
    await world.messages.answer(0)

    tally = world.ref.tallies["say"]
    assert latency(tally) == integration_latency(tally) == (1, 2.0)


async def test_a_message_that_waits_for_another_takes_longer_than_its_integration() -> None:
    world = World(sequential=True)
    clock = Clock(world)

    world.say(b"1", b"2")
    clock.now = 2.0
    await world.messages.answer(0)
    clock.now = 3.0
    await world.messages.answer(1)

    tally = world.ref.tallies["say"]
    assert latency(tally) == (2, 2.0 + 3.0)
    assert integration_latency(tally) == (2, 2.0 + 1.0)


async def test_a_message_nobody_is_asked_for_has_no_integration_latency() -> None:
    world = World()
    ping = Operation("ping", (), lambda invocation: EndpointResponse(200), True)
    world.swap(select=lambda data: ping)

    world.say(b"1")

    tally = world.ref.tallies["ping"]
    assert latency(tally)[0] == 1
    assert integration_latency(tally)[0] == 0


async def test_a_message_is_counted_once_whatever_becomes_of_it() -> None:
    world = World()

    def refuse(invocation: Invocation) -> None:
        raise AccessDenied

    checked = Operation("say", (refuse,), world.messages.call, True)
    world.say(b"1", b"2", b"3")
    world.swap(select=lambda data: checked)
    world.say(b"4")
    await world.messages.answer(0, status=500)
    await world.messages.fail(1, BadGateway())
    world.messages.answers[2].cancel()
    await asyncio.sleep(0)

    tally = world.ref.tallies["say"]
    assert latency(tally)[0] == 4
    assert integration_latency(tally)[0] == 3
    assert (tally.client_errors, tally.integration_errors, tally.execution_errors) == (1, 1, 2)


async def test_each_attempt_of_a_disconnect_is_counted() -> None:
    world = World()
    clock = Clock(world)

    world.connection.on_close(1000, "")
    clock.now = 0.5
    await world.backend.answer(0, status=404)

    tally = world.ref.tallies["$disconnect"]
    assert latency(tally) == integration_latency(tally) == (1, 0.5)
    assert (tally.integration_errors, tally.execution_errors) == (1, 0)


async def test_why_the_gateway_closed_a_connection_is_counted_once() -> None:
    world = World(replace(quotas(), idle_timeout=10.0))

    world.loop.move(10)
    world.connection.sweep(world.loop.now)
    world.connection.on_close(1001, "Going away")  # as a socket says at once
    world.connection.sweep(world.loop.now)
    world.connection.leave()
    world.connection.close(1001, "Going away", "drain")

    given_up = world.gateway.counters.given_up
    assert {cause: number for cause, number in given_up.items() if number} == {"idle": 1}


async def test_who_leaves_in_a_drain_is_counted_whether_at_once_or_behind_a_reply() -> None:
    at_once, behind = World(), World()

    at_once.connection.leave()
    behind.say(b"1")
    behind.connection.leave()
    assert behind.gateway.counters.given_up["drain"] == 0
    await behind.messages.answer(0)

    assert at_once.gateway.counters.given_up["drain"] == behind.gateway.counters.given_up["drain"] == 1


@pytest.mark.parametrize(
    ("settings", "together"),
    [
        pytest.param("{}", set(), id="nothing said: each by itself"),
        pytest.param(
            "{defaultRouteSettings: {detailedMetricsEnabled: false}}",
            {"$connect", "$default", "join", "say"},
            id="the stage says no",
        ),
        pytest.param("{routeSettings: {say: {detailedMetricsEnabled: false}}}", {"say"}, id="a route says no"),
        pytest.param(
            "{defaultRouteSettings: {detailedMetricsEnabled: false}, routeSettings: {"
            "say: {detailedMetricsEnabled: true}, join: {loggingLevel: INFO}}}",
            {"$connect", "$default", "join"},
            id="a route says yes to the stage's no",
        ),
        pytest.param(
            "{defaultRouteSettings: {detailedMetricsEnabled: true}, "
            "routeSettings: {say: {detailedMetricsEnabled: false}}}",
            set(),
            id="a route's no is not heard beside the stage's yes, as on AWS",
        ),
    ],
)
async def test_which_routes_are_counted_together(settings: str, together: set[str]) -> None:
    """API Gateway v2 API reference, RouteSettings."""
    text = f"""\
apis:
  chat:
    protocolType: WEBSOCKET
    routeSelectionExpression: $request.body.action
    stages: {{dev: {settings}}}
    routes:
      $connect: {{{MOCK}}}
      say: {{{MOCK}}}
      join: {{{MOCK}}}
"""
    assert compiled(text).stages["chat", "dev"].together == together


@pytest.mark.parametrize(
    ("settings", "together"),
    [
        pytest.param("{}", set(), id="nothing said: each by itself"),
        pytest.param("{'*/*': {metricsEnabled: false}, a/GET: {metricsEnabled: true}}", {"POST /a"}, id="one yes"),
        pytest.param("{a/GET: {metricsEnabled: false}}", {"GET /a"}, id="one no"),
        pytest.param("{'*/*': {metricsEnabled: false}, a/GET: {loggingLevel: INFO}}", {"GET /a", "POST /a"}, id="all"),
    ],
)
async def test_which_methods_are_counted_together(settings: str, together: set[str]) -> None:
    """API Gateway API reference (v1), MethodSetting."""
    assert rest_together(settings, "GET", "POST") == together


async def test_any_is_each_verb_that_no_other_method_has() -> None:
    verbs = {"ANY", "DELETE", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"}

    assert rest_together("{a/ANY: {metricsEnabled: false}}", "GET", "ANY") == {f"{verb} /a" for verb in verbs}


def rest_together(settings: str, *verbs: str) -> frozenset[str]:
    methods = ", ".join(f"{verb}: {{integration: {{type: MOCK}}}}" for verb in verbs)
    text = f"""\
apis:
  shop:
    protocolType: REST
    stages: {{v1: {{methodSettings: {settings}}}}}
    paths: {{/a: {{{methods}}}}}
"""
    return compiled(text).rest["shop", "v1"].together
