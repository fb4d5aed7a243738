"""New connections beyond what a limit lets in: refused before anybody is asked, and told how to come back."""

from __future__ import annotations

import asyncio
import json
import re
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus

from tests.certificates import Authority
from tests.harness import (
    PATIENCE,
    Answer,
    Backend,
    Gateway,
    Request,
    backend,
    closed,
    gateway,
    handshake,
    heard,
    parse_answer,
    raw,
)

pytestmark = pytest.mark.anyio

DEFINITION = """
apis:
  chat:
    protocolType: WEBSOCKET
    routeSelectionExpression: $request.body.action
    limits: {limits}
    stages: {{dev: {{}}}}
    integrations:
      echo: {{integrationType: HTTP_PROXY, integrationUri: "http://127.0.0.1:{port}/message"}}
      connect: {{integrationType: HTTP_PROXY, integrationUri: "http://127.0.0.1:{port}/connect"}}
      disconnect: {{integrationType: HTTP_PROXY, integrationUri: "http://127.0.0.1:{port}/disconnect"}}
    routes:
      $connect: {{integration: connect}}
      $disconnect: {{integration: disconnect}}
      $default: {{integration: echo, routeResponse: true}}
"""
ONE_ONLY = "{newConnectionsPerSecond: 0.001}"
"""One connection, and the next in a quarter of an hour."""


@pytest.fixture
async def asked() -> AsyncIterator[Backend]:
    async with backend() as running:
        yield running


def define(asked: Backend, limits: str) -> str:
    return DEFINITION.format(port=asked.port, limits=limits)


async def refused(running: Gateway, more: str = "") -> Answer:
    return parse_answer(await raw(running.port, handshake(more=more)))


async def open_from(running: Gateway, address: str) -> ClientConnection:
    return await connect(running.ws(), local_addr=(address, 0))


async def test_beyond_the_rate_a_handshake_is_429_and_nobody_is_asked(asked: Backend, tmp_path: Path) -> None:
    async with gateway(define(asked, ONE_ONLY), tmp_path) as running:
        async with connect(running.ws()) as client:
            answers = [await refused(running) for _ in range(50)]

            await client.send("who is in is not concerned")
            assert await heard(client) == "who is in is not concerned"
        assert {answer.status for answer in answers} == {429}
        # AWS's own refusals of a handshake have these three members, spaced like this.
        assert re.fullmatch(
            rb'\{"message": "Too Many Requests", "connectionId":"[\w=-]{28}", "requestId":"[\w=-]{16}"\}',
            answers[0].body,
        )
        assert answers[0].header("content-type") == "application/json; charset=UTF-8"
        assert answers[0].header("x-amz-apigw-id") == json.loads(answers[0].body)["requestId"]
        assert answers[0].header("connection") == "close"
        assert {answer.header("retry-after") for answer in answers} <= {"1", "2", "3", "4", "5"}
        assert len({answer.header("retry-after") for answer in answers}) > 1, "they don't all come back at once"

        metrics = await running.metrics()
        assert metrics['wsgateway_admission_refused_total{api="chat",cause="rate"}'] == 50
        assert metrics['wsgateway_connects_total{result="429"}'] == 50
        told = json.loads(await running.logged("new connections are refused"))
        assert (told["api"], told["cause"], told["source"]) == ("chat", "rate", "127.0.0.1")
        assert sum("new connections are refused" in line for line in running.log) == 1
        await asked.saw("/disconnect")
    assert asked.count("/connect") == asked.count("/disconnect") == 1


async def test_over_tls_too(asked: Backend, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    certificate, key = authority.issue_to("127.0.0.1")
    flags = ("--tls-port", "0", "--tls-cert", str(certificate), "--tls-key", str(key))
    async with gateway(define(asked, ONE_ONLY), tmp_path, *flags) as running:
        context: ssl.SSLContext = authority.client()
        url = f"wss://127.0.0.1:{running.tls_port}/dev"
        async with connect(url, ssl=context):
            with pytest.raises(InvalidStatus) as caught:
                await connect(url, ssl=context, open_timeout=PATIENCE)
        assert caught.value.response.status_code == 429
        assert (await refused(running)).status == 429, "both ports have one rate"


async def test_a_new_rate_holds_from_the_next_handshake_on(asked: Backend, tmp_path: Path) -> None:
    async with gateway(define(asked, ONE_ONLY), tmp_path) as running, connect(running.ws()):
        assert (await refused(running)).status == 429
        (tmp_path / "routes.yaml").write_text(define(asked, "{newConnectionsPerSecond: 100000}"))
        running.reload()
        await running.logged("definition deployed")
        # Its bucket fills as fast as it says: by the time the client is back there is something in it.
        async with connect(running.ws()) as client:
            await client.send("in")
            assert await heard(client) == "in"


async def test_one_address_has_so_many_connections(asked: Backend, tmp_path: Path) -> None:
    async with gateway(define(asked, "{connectionsPerSource: 2}"), tmp_path) as running:
        mine = [await open_from(running, "127.0.0.2") for _ in range(2)]
        with pytest.raises(InvalidStatus) as caught:
            await open_from(running, "127.0.0.2")
        assert caught.value.response.status_code == 429
        others = [await open_from(running, f"127.0.0.{number}") for number in (3, 3, 4)]

        await mine[0].close()
        await asked.saw("/disconnect")
        mine.append(await open_from(running, "127.0.0.2"))
        metrics = await running.metrics()
        assert metrics['wsgateway_admission_refused_total{api="chat",cause="connections_per_source"}'] == 1
        for client in (*mine, *others):
            await client.close()


async def test_a_handshake_that_connect_refuses_gives_its_place_back(asked: Backend, tmp_path: Path) -> None:
    script: list[tuple[int, dict[str, str], bytes] | None] = [(403, {}, b"no"), (200, {}, b""), None]

    def answer(request: Request) -> object:
        return script.pop(0) if script else (200, {}, b"")

    asked.answers("/connect", answer)
    async with gateway(define(asked, "{connectionsPerSource: 1}"), tmp_path) as running:
        assert (await refused(running)).status == 403
        async with connect(running.ws()):
            assert (await refused(running)).status == 429
        await asked.saw("/disconnect")
        assert (await refused(running)).status == 502, "the backend drops the connection"
        async with connect(running.ws()):
            pass


async def test_behind_a_trusted_proxy_the_client_counts_and_not_the_proxy(asked: Backend, tmp_path: Path) -> None:
    definition = define(asked, "{connectionsPerSource: 1}")
    async with gateway(definition, tmp_path, "--trusted-proxies", "127.0.0.0/8") as running:

        async def open_for(address: str) -> ClientConnection:
            return await connect(running.ws(), additional_headers={"X-Forwarded-For": address})

        first, second = await open_for("2001:db8::1"), await open_for("203.0.113.9")
        for address in ("2001:db8::2", "203.0.113.9", "::ffff:203.0.113.9"):
            assert (await refused(running, f"X-Forwarded-For: {address}\r\n")).status == 429, address
        third = await open_for("2001:db8:0:1::1")
        for client in (first, second, third):
            await client.close()


async def test_without_trust_what_a_client_says_of_itself_counts_for_nothing(asked: Backend, tmp_path: Path) -> None:
    headers = {"X-Forwarded-For": "203.0.113.1"}
    async with (
        gateway(define(asked, "{connectionsPerSource: 1}"), tmp_path) as running,
        connect(running.ws(), additional_headers=headers),
    ):
        assert (await refused(running, "X-Forwarded-For: 203.0.113.2\r\n")).status == 429


async def test_at_the_cap_of_the_process_the_refusal_is_counted_for_its_api(asked: Backend, tmp_path: Path) -> None:
    async with (
        gateway(define(asked, "{}"), tmp_path, "--max-connections", "1") as running,
        connect(running.ws()) as client,
    ):
        answer = await refused(running)
        assert (answer.status, answer.header("connection")) == (503, "close")
        assert answer.header("retry-after") in {"1", "2", "3", "4", "5"}
        metrics = await running.metrics()
        assert metrics['wsgateway_admission_refused_total{api="chat",cause="max_connections"}'] == 1
        await client.close()
        assert await closed(client) == (1000, "")


async def test_a_crowd_at_once_gets_an_answer_each(asked: Backend, tmp_path: Path) -> None:
    """Nobody is left without one, and what they leave behind is nothing."""
    async with gateway(define(asked, ONE_ONLY), tmp_path) as running, connect(running.ws()) as client:
        before = (await running.metrics())["wsgateway_connections"]
        answers = await asyncio.gather(*(refused(running) for _ in range(500)))
        assert [answer.status for answer in answers] == [429] * 500
        await client.send("still here")
        assert await heard(client) == "still here"
        assert (await running.metrics())["wsgateway_connections"] == before == 1
