"""VPC links: whom a named upstream reaches, under which name, and what happens when a target goes.

API Gateway developer guide, "Set up private integrations": the URI's host is what Host and the TLS handshake say, the
link says where that is.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from websockets.asyncio.client import connect

from tests.certificates import Authority, server_context
from tests.e2e.test_reload import File
from tests.harness import PATIENCE, Backend, backend, gateway, heard

pytestmark = pytest.mark.anyio

DEFINITION = """
apis:
  chat:
    protocolType: WEBSOCKET
    routeSelectionExpression: $request.body.action
    stages: {dev: {stageVariables: {link: backends}}}
    integrations:
      echo:
        integrationType: HTTP_PROXY
        integrationUri: %(uri)s/echo
        connectionType: VPC_LINK
        connectionId: ${stageVariables.link}
        %(more)s
    routes:
      $connect: {integration: echo}
      $default: {integration: echo, routeResponse: true}
vpcLinks:
  backends: {targets: [%(targets)s]%(settings)s}
"""


def defined(*targets: str, uri: str = "http://chat.internal:8080", settings: str = "", more: str = "") -> str:
    written = ", ".join(f'"{target}"' for target in targets)
    return DEFINITION % {"targets": written, "uri": uri, "settings": settings, "more": more}


async def gone(server: Backend) -> None:
    """Stop it, and wait until nobody can connect and nobody is connected."""
    server.stop()
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", server.port)
            except ConnectionRefusedError:
                break
            writer.close()
        while server.connections:
            await asyncio.sleep(0)


async def test_messages_go_to_every_target_under_the_uris_name(tmp_path: Path) -> None:
    async with backend() as one, backend() as other:
        targets = f"127.0.0.1:{one.port}", f"localhost:{other.port}"
        async with gateway(defined(*targets), tmp_path) as running, connect(running.ws()) as client:
            for number in range(9):
                await client.send(str(number))
                assert await heard(client) == str(number)

        assert (one.count("/echo"), other.count("/echo")) == (5, 5), "$connect was one"
        for server in (one, other):
            assert {request.header("host") for request in server.requests} == {"chat.internal:8080"}


async def test_a_target_may_leave_the_port_to_the_uri(tmp_path: Path) -> None:
    async with backend() as server:
        text = defined("127.0.0.1", uri=f"http://chat.internal:{server.port}")
        async with gateway(text, tmp_path) as running, connect(running.ws()) as client:
            await client.send("hello")

            assert await heard(client) == "hello"


async def test_no_message_is_lost_when_a_target_goes_and_it_is_asked_again_when_it_is_back(tmp_path: Path) -> None:
    async with backend() as one, backend() as other:
        targets = f"127.0.0.1:{one.port}", f"127.0.0.1:{other.port}"
        async with gateway(defined(*targets), tmp_path) as running, connect(running.ws()) as client:
            await gone(one)
            for number in range(50):
                await client.send(str(number))
            assert {await heard(client) for _ in range(50)} == {str(number) for number in range(50)}
            assert (await running.metrics())['wsgateway_integration_failures_total{kind="bad_answer"}'] == 0

            await gone(other)
            await client.send("nobody")
            assert json.loads(await heard(client))["message"] == "Internal server error"

            await one.start(one.port)
            while True:
                await client.send("back")
                if await heard(client) == "back":
                    break


async def test_the_name_and_the_authorities_of_tls(tmp_path: Path) -> None:
    """SNI and verification are about the URI's host; the client certificate is the link's."""
    authority = Authority(tmp_path)
    authority.issue("gateway")
    certificate = authority.issue("server", x509.DNSName("chat.internal"))
    secure = server_context(certificate, authority.file)
    asked: list[str | None] = []
    secure.sni_callback = lambda _socket, name, _context: asked.append(name)
    tls = "{caCertificates: file:ca.pem, clientCertificate: file:gateway.pem, clientKey: file:gateway.key}"
    async with backend(secure=secure) as server:
        text = defined(f"127.0.0.1:{server.port}", uri="https://chat.internal", settings=f", tlsConfig: {tls}")
        async with gateway(text, tmp_path) as running, connect(running.ws()) as client:
            await client.send("hello")

            assert await heard(client) == "hello"
        assert set(asked) == {"chat.internal"}
        assert (await server.saw("/echo")).header("host") == "chat.internal"


async def test_an_integrations_own_tls_settings_come_first(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    secure: ssl.SSLContext = server_context(authority.issue("server", x509.DNSName("other.internal")))
    async with backend(secure=secure) as server:
        text = defined(
            f"127.0.0.1:{server.port}",
            uri="https://chat.internal",
            settings=", tlsConfig: {serverNameToVerify: wrong.internal}",
            more="tlsConfig: {caCertificates: file:ca.pem, serverNameToVerify: other.internal}",
        )
        async with gateway(text, tmp_path) as running, connect(running.ws()) as client:
            await client.send("hello")

            assert await heard(client) == "hello"


async def test_a_reload_keeps_the_connections_of_targets_that_stay(tmp_path: Path) -> None:
    async with backend() as one, backend() as other, backend() as third:
        first, second = f"127.0.0.1:{one.port}", f"127.0.0.1:{other.port}"
        async with gateway(defined(first, second), tmp_path) as running, connect(running.ws()) as client:
            for _ in range(4):
                await client.send("before")
                await heard(client)
            kept = set(other.connections)
            assert len(kept) == 1

            await File(running, tmp_path).becomes(defined(second, f"127.0.0.1:{third.port}"))
            before = one.count("/echo")
            for _ in range(4):
                await client.send("after")
                assert await heard(client) == "after"

            assert one.count("/echo") == before
            assert third.count("/echo") == 2
            assert kept <= other.connections


async def test_a_link_leads_to_no_address_that_is_never_called(tmp_path: Path) -> None:
    text = defined("169.254.169.254:80").replace("$connect: {integration: echo}", "")
    async with gateway(text, tmp_path) as running, connect(running.ws()) as client:
        await client.send("hello")

        assert json.loads(await heard(client))["message"] == "Internal server error"
        line = await running.logged("integration fails")
        assert "169.254.169.254 port 80, and link-local and metadata addresses are never called" in line


@pytest.mark.parametrize(
    ("link", "said"),
    [
        pytest.param("backend", "no VPC link is named backend; did you mean backends?", id="nearly"),
        pytest.param("x-9", "no VPC link is named x-9; define it under vpcLinks", id="not at all"),
    ],
)
async def test_a_link_that_is_not_there_is_told_of(link: str, said: str, tmp_path: Path) -> None:
    good = defined("127.0.0.1:1024").replace("$connect: {integration: echo}", "")
    async with gateway(good, tmp_path) as running:
        (line,) = await File(running, tmp_path).becomes(
            good.replace("{link: backends}", f"{{link: {link}}}"), "refused"
        )

        assert json.loads(line)["problem"].endswith(f"apis.chat.integrations.echo.connectionId: {said}")
