"""Retries, circuit breakers and dead letters, as clients, backends and operators see them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus

from tests.e2e.test_reload import File
from tests.functions import PYTHON
from tests.harness import PATIENCE, Backend, Gateway, Request, backend, gateway, heard

pytestmark = pytest.mark.anyio

DEFINITION = """
apis:
  chat:
    protocolType: WEBSOCKET
    routeSelectionExpression: $request.body.action
    %(more)s
    stages: {dev: {}}
    integrations:
      asked:
        integrationType: HTTP_PROXY
        integrationUri: http://127.0.0.1:%(port)s/asked
        %(settings)s
    routes:
      $default: {integration: asked, routeResponse: true}
%(routes)s
"""
CONNECT = "      $connect: {integration: asked}"
DISCONNECT = "      $disconnect: {integration: asked}"
OPEN = 'wsgateway_circuit_breaker_state{api="chat",backend="http://127.0.0.1:%d",integration="asked"}'
LABELS = '{api="chat",integration="asked"}'


def defined(port: int, settings: str, *, routes: str = "", more: str = "") -> str:
    return DEFINITION % {"port": port, "settings": settings, "routes": routes, "more": more}


@asynccontextmanager
async def chatting(
    asked: Backend, folder: Path, settings: str, *flags: str, routes: str = "", more: str = ""
) -> AsyncIterator[tuple[Gateway, ClientConnection]]:
    text = defined(asked.port, settings, routes=routes, more=more)
    async with gateway(text, folder, *flags) as running, connect(running.ws()) as client:
        yield running, client


async def told(client: ClientConnection) -> str:
    """The message of the error frame that comes next."""
    return str(json.loads(await heard(client))["message"])


async def sample(running: Gateway, name: str, least: float) -> dict[str, float]:
    """The metrics, once one of them has come to this."""
    async with asyncio.timeout(PATIENCE):
        while (metrics := await running.metrics()).get(name, -1) < least:
            pass
    return metrics


async def logged(running: Gateway, event: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(await running.logged(event))
    return found


def one_by_one(*answers: Any) -> Any:
    """Answers in turn; then echoes."""
    left = list(answers)

    def answer(request: Request) -> Any:
        return left.pop(0) if left else (200, {}, request.body)

    return answer


# Retries


async def test_a_message_waits_for_a_backend_that_is_about_to_come_back(tmp_path: Path) -> None:
    async with backend() as asked:
        settings = "retry: {maxAttempts: 10, backoffMillis: 50}"
        async with chatting(asked, tmp_path, settings) as (running, client):
            asked.stop()
            await client.send("hello")
            await sample(running, f"wsgateway_integration_retries_total{LABELS}", 1)
            await asked.start(asked.port)

            assert await heard(client) == "hello"
            assert asked.count("/asked") == 1
            assert (await running.metrics())["wsgateway_integration_retries_waiting"] == 0


@pytest.mark.parametrize(
    ("settings", "answer", "asked_in_all"),
    [
        pytest.param("retry: {}", None, 1, id="not where it was sent, by default"),
        pytest.param("retry: {on: [reset]}", None, 2, id="where a message may come twice"),
        pytest.param("retry: {}", (503, {}, b"busy"), 1, id="an answer is an answer"),
        pytest.param("retry: {on: [connect-failure, 503]}", (503, {}, b"busy"), 2, id="unless that is said"),
    ],
)
async def test_how_often_a_backend_is_asked(settings: str, answer: Any, asked_in_all: int, tmp_path: Path) -> None:
    async with backend() as asked:
        asked.answers("/asked", one_by_one(answer))
        async with chatting(asked, tmp_path, settings) as (_, client):
            await client.send("hello")
            reply = await heard(client)

        assert asked.count("/asked") == asked_in_all
        assert (reply == "hello") is (asked_in_all == 2)


async def test_without_retries_nothing_is_asked_again(tmp_path: Path) -> None:
    async with backend() as asked:
        asked.answers("/asked", one_by_one((503, {}, b"busy")))
        async with chatting(asked, tmp_path, "maxConcurrency: 5") as (_, client):
            await client.send("hello")

            assert await heard(client) == "busy"


async def test_a_retry_comes_after_what_was_sent_meanwhile(tmp_path: Path) -> None:
    async with backend() as asked:
        asked.answers("/asked", one_by_one((503, {}, b"")))
        async with chatting(asked, tmp_path, "retry: {on: [503]}") as (_, client):
            await client.send("one")
            await asked.saw("/asked")
            await client.send("two")

            assert [await heard(client), await heard(client)] == ["two", "one"]


async def test_in_sequence_what_was_sent_meanwhile_waits(tmp_path: Path) -> None:
    async with backend() as asked:
        asked.answers("/asked", one_by_one((503, {}, b""), (503, {}, b"")))
        more = "messageOrdering: SEQUENTIAL"
        async with chatting(asked, tmp_path, "retry: {on: [503]}", more=more) as (_, client):
            for text in ("one", "two"):
                await client.send(text)

            assert [await heard(client), await heard(client)] == ["one", "two"]
        assert [request.body for request in asked.requests] == [b"one", b"one", b"one", b"two"]


@pytest.mark.parametrize("link", ["", "connectionType: VPC_LINK, connectionId: l, "], ids=["directly", "by a VPC link"])
async def test_behind_templates_the_backends_own_status_counts(link: str, tmp_path: Path) -> None:
    """There need be no integration response for an answer that is not the last."""
    async with backend() as asked:
        asked.answers("/asked", one_by_one((503, {}, b"")))
        text = (
            "apis: {chat: {protocolType: WEBSOCKET, routeSelectionExpression: $request.body.action,\n"
            "  stages: {dev: {}},\n"
            f"  routes: {{$default: {{routeResponse: true, integration: {{{link}integrationType: HTTP,\n"
            f"    integrationUri: 'http://127.0.0.1:{asked.port}/asked', retry: {{on: [503]}},\n"
            "    integrationResponses: {/200/: {responseTemplates: {$default: 'it said $input.body'}}}}}}}}\n"
            f"vpcLinks: {{l: {{targets: ['127.0.0.1:{asked.port}', 'localhost:{asked.port}']}}}}\n"
        )
        async with gateway(text, tmp_path) as running, connect(running.ws()) as client:
            await client.send("hello")

            assert await heard(client) == "it said hello"
        assert asked.count("/asked") == 2


async def test_an_attempt_that_takes_too_long_is_made_again(tmp_path: Path) -> None:
    async with backend() as asked:
        asked.answers("/asked", one_by_one(asyncio.Event().wait()))
        settings = "retry: {on: [timeout], attemptTimeoutMillis: 100, backoffMillis: 0}"
        async with chatting(asked, tmp_path, settings) as (_, client):
            await client.send("hello")

            assert await heard(client) == "hello"


async def test_all_attempts_are_over_with_the_integrations_time(tmp_path: Path) -> None:
    async with backend() as asked:
        asked.answers("/asked", lambda request: asyncio.Event().wait())
        settings = (
            "timeoutInMillis: 300\n        "
            "retry: {on: [timeout], attemptTimeoutMillis: 100, backoffMillis: 0, maxAttempts: 10}"
        )
        async with chatting(asked, tmp_path, settings) as (_, client):
            await client.send("hello")

            assert await told(client) == "Endpoint request timed out"
        assert 2 <= asked.count("/asked") <= 3


async def test_a_handshake_is_retried_too(tmp_path: Path) -> None:
    async with backend() as asked:
        asked.answers("/asked", one_by_one((503, {}, b"")))
        async with chatting(asked, tmp_path, "retry: {on: [503]}", routes=CONNECT) as (_, client):
            await client.send("hello")

            assert await heard(client) == "hello"


async def test_a_function_that_failed_is_invoked_again(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(
        "calls = []\n"
        "def handler(event, context):\n"
        "    calls.append(1)\n"
        "    if len(calls) == 1:\n"
        "        raise ValueError('not yet')\n"
        "    return {'statusCode': 200, 'body': str(len(calls))}\n"
    )
    text = (
        "apis: {chat: {protocolType: WEBSOCKET, routeSelectionExpression: $request.body.action, stages: {dev: {}},\n"
        "  routes: {$default: {routeResponse: true, integration: {integrationType: AWS_PROXY,\n"
        "    integrationUri: 'function:app', retry: {on: [function-error]}}}}}}\n"
        f"functions: {{app: {{runtime: {PYTHON}, codeUri: ., handler: app.handler, concurrency: 1}}}}\n"
    )
    async with gateway(text, tmp_path) as running, connect(running.ws()) as client:
        await client.send("hello")

        assert await heard(client) == "2"


async def test_a_message_that_waits_ends_with_the_gateway(tmp_path: Path) -> None:
    """It is written down, too."""
    async with backend() as asked:
        settings = "deadLetter: {}\n        retry: {backoffMillis: 20000}"
        async with chatting(asked, tmp_path, settings, "--drain-window", "0") as (running, client):
            asked.stop()
            await client.send("hello")
            await sample(running, "wsgateway_integration_retries_waiting", 1)
            running.terminate()

            assert await running.wait() == 0
            assert (await logged(running, "message dead letter"))["cause"] == "the gateway is closing"


# Circuit breakers


async def test_under_load_a_breaker_opens_and_closes(tmp_path: Path) -> None:
    async with backend() as asked:
        settings = "circuitBreaker: {failureThreshold: 3, openSeconds: 0.2}"
        async with chatting(asked, tmp_path, settings) as (running, client):
            heard_of: set[str] = set()

            async def load() -> None:
                number = 0
                while "back again" not in heard_of:
                    number += 1
                    await client.send("back again" if asked.connections else f"message {number}")
                    reply = str(await heard(client))
                    heard_of.add(json.loads(reply)["message"] if reply.startswith("{") else reply)

            await client.send("before")
            assert await heard(client) == "before"
            asked.stop()
            loading = asyncio.create_task(load())
            opens = await logged(running, "circuit breaker opens")
            await sample(running, f"wsgateway_circuit_breaker_refused_total{LABELS}", 10)
            assert (await running.metrics())[OPEN % asked.port] > 0
            await asked.start(asked.port)
            async with asyncio.timeout(PATIENCE):
                while not asked.connections:
                    await asked.saw("/asked", 2)
                await loading

            assert "Service Unavailable" in heard_of
            assert (opens["api"], opens["integration"]) == ("chat", "asked")
            assert "refused the connection" in opens["error"]
            assert (await logged(running, "circuit breaker closes"))["backend"] == f"http://127.0.0.1:{asked.port}"
            metrics = await running.metrics()
            assert metrics[OPEN % asked.port] == 0
            assert metrics[f"wsgateway_circuit_breaker_opened_total{LABELS}"] == 1


async def test_an_open_breaker_refuses_handshakes_with_503(tmp_path: Path) -> None:
    async with backend() as asked:
        asked.answers("/asked", (504, {}, b""))
        text = defined(asked.port, "circuitBreaker: {failureThreshold: 1, openSeconds: 60}", routes=CONNECT)
        async with gateway(text, tmp_path) as running:
            for status in (504, 503, 503):
                with pytest.raises(InvalidStatus) as refusal:
                    await connect(running.ws())
                assert refusal.value.response.status_code == status
            assert json.loads(refusal.value.response.body)["message"] == "Service Unavailable"

        assert asked.count("/asked") == 1


async def test_a_breaker_stays_open_over_a_reload_unless_it_is_set_anew(tmp_path: Path) -> None:
    async with backend() as asked:
        asked.answers("/asked", one_by_one((503, {}, b"busy")))
        settings = "circuitBreaker: {failureThreshold: 1, openSeconds: 3600}"
        async with chatting(asked, tmp_path, settings) as (running, client):
            await client.send("one")
            assert await heard(client) == "busy"
            file = File(running, tmp_path)

            await file.becomes(defined(asked.port, settings, routes="      other: {}"))
            await client.send("two")
            assert await told(client) == "Service Unavailable"

            await file.becomes(defined(asked.port, settings.replace("3600", "3599")))
            await client.send("three")
            assert await heard(client) == "three"
            metrics = await running.metrics()
            assert metrics[f"wsgateway_circuit_breaker_opened_total{LABELS}"] == 1
            assert metrics[f"wsgateway_circuit_breaker_refused_total{LABELS}"] == 1


async def test_disconnect_has_its_own_retries_alone_and_waits_for_an_open_breaker(tmp_path: Path) -> None:
    async with backend() as asked:
        asked.answers("/asked", one_by_one((503, {}, b"")))
        settings = (
            "retry: {on: [503], maxAttempts: 10, backoffMillis: 0}\n        "
            "circuitBreaker: {failureThreshold: 1, openSeconds: 0.1}"
        )
        text = defined(asked.port, settings, routes=DISCONNECT)
        async with gateway(text, tmp_path) as running:
            async with connect(running.ws()):
                pass
            metrics = await sample(running, "wsgateway_disconnect_retries_total", 1)
            await asked.saw("/asked", 2)
            await logged(running, "circuit breaker closes")

            assert metrics["wsgateway_disconnect_failures_total"] == 1
            assert f"wsgateway_integration_retries_total{LABELS}" not in metrics
        assert asked.count("/asked") == 2


# Dead letters


async def test_a_message_that_is_lost_is_written_down_whole_where_that_is_asked_for(tmp_path: Path) -> None:
    text = "grüß 👋" * 300
    async with backend() as asked:
        asked.answers("/asked", (500, {}, b"broken"))
        async with chatting(asked, tmp_path, "deadLetter: {includePayload: true}") as (running, client):
            await client.send(text)
            assert await heard(client) == "broken"
            letter = await logged(running, "message dead letter")

            assert (letter["cause"], letter["route"], letter["stage"]) == (
                "the backend answered 500",
                "$default",
                "dev",
            )
            assert letter["payload"] == text
            assert (await running.metrics())['wsgateway_message_dead_letters_total{api="chat",route="$default"}'] == 1
