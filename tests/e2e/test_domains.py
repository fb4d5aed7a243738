"""Custom domain names: who answers under which name and path, for clients and for backends that push.

API Gateway developer guide, "Custom domain names for WebSocket APIs" and "Use API mappings to map API stages to a
custom domain name for WebSocket APIs".
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.certificates import Authority
from tests.harness import Answer, Backend, Gateway, backend, gateway, handshake, http, parse_answer
from tests.wire import Wire, text, wire

pytestmark = pytest.mark.anyio

FACTS = {
    "Url": "callbackUrl",
    "Domain": "domainName",
    "Prefix": "domainPrefix",
    "Api": "apiId",
    "Stage": "stage",
    "Connection-Id": "connectionId",
}
MOCK = {
    "integrationType": "MOCK",
    "requestTemplates": {"$default": '{"statusCode":200}'},
    "integrationResponses": {"$default": {"responseTemplates": {"$default": '{"ok":true}'}}},
}
DOMAINS = {
    "chat.example": {
        "certificate": "file:chat.example.pem",
        "key": "file:chat.example.key",
        "mappings": {
            "": {"api": "chat", "stage": "dev"},
            "v2": {"api": "game", "stage": "prod"},
            "a/b": {"api": "secret", "stage": "dev"},
        },
    },
    "*.wild.example": {"mappings": {"": {"api": "game", "stage": "dev"}}},
}


def api(integration: dict[str, Any], **keys: Any) -> dict[str, Any]:
    return {
        "protocolType": "WEBSOCKET",
        "routeSelectionExpression": "$request.body.action",
        "stages": {"dev": {}, "prod": {}},
        "routes": {"$default": {"integration": integration, "routeResponse": True}},
        **keys,
    }


def definition(port: int) -> str:
    asked = {
        "integrationType": "HTTP_PROXY",
        "integrationUri": f"http://127.0.0.1:{port}/message",
        "requestParameters": {f"integration.request.header.{key}": f"context.{name}" for key, name in FACTS.items()},
    }
    apis = {"chat": api(asked), "game": api(asked), "secret": api(asked, disableExecuteApiEndpoint=True)}
    return json.dumps({"defaultApi": "chat", "apis": apis, "domains": DOMAINS})


@dataclass
class Front:
    gateway: Gateway
    backend: Backend
    authority: Authority

    async def answer(self, host: str, path: str, *, tls: bool = False) -> Answer:
        """What a handshake gets."""
        trust = self.authority.client() if tls else None
        async with wire(self.gateway.tls_port if tls else self.gateway.port, tls=trust, server_name=host) as client:
            return await self._open(client, host, path)

    async def _open(self, client: Wire, host: str, path: str) -> Answer:
        await client.send(handshake(path, host))
        return await client.head()

    async def facts(self, client: Wire, host: str, path: str) -> dict[str, str]:
        """What a backend is told of a new connection."""
        assert (await self._open(client, host, path)).status == 101
        seen = len(self.backend.requests)
        await client.send(text("hello"))
        assert await client.text() == "hello"
        return {key.lower(): value for key, value in self.backend.requests[seen].headers}

    async def post(self, port: int, host: str, path: str) -> int:
        head = f"POST {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Length: 4\r\n\r\npush"
        async with wire(port) as client:
            await client.send(head.encode())
            return parse_answer(await client.closed()).status


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", {"use_uvloop": True}


@pytest.fixture(scope="module")
async def front(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Front]:
    folder = tmp_path_factory.mktemp("domains")
    authority = Authority(folder)
    authority.issue_to("chat.example")
    certificate, key = authority.issue_to("*.wild.example", file="default")
    flags = ["--tls-port", "0", "--tls-cert", certificate, "--tls-key", key, "--callback-auth", "none"]
    async with backend() as running, gateway(definition(running.port), folder, *flags) as started:
        yield Front(started, running, authority)


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize(
    ("host", "path", "status"),
    [
        pytest.param("chat.example", "/", 101, id="the domain itself"),
        pytest.param("chat.example", "/v2", 101, id="a mapping"),
        pytest.param("chat.example", "/v2/?x=1", 101, id="with a slash and a query"),
        pytest.param("chat.example", "/a/b", 101, id="a mapping of two segments"),
        pytest.param("a.wild.example", "/", 101, id="a wildcard"),
        pytest.param("chat.example", "/dev", 403, id="the stage is not in the path"),
        pytest.param("chat.example", "/v2/prod", 403, id="nor behind a mapping"),
        pytest.param("chat.example", "/a", 403, id="half a mapping is the domain's, with something behind it"),
        pytest.param("chat.example", "/execute-api/chat/dev", 403, id="no other form on a domain"),
        pytest.param("chat.example", "/ping", 403, id="reserved"),
        pytest.param("a.wild.example", "/v2", 403, id="another domain's mapping"),
    ],
)
async def test_a_domain_answers(host: str, path: str, status: int, tls: bool, front: Front) -> None:
    assert (await front.answer(host, path, tls=tls)).status == status


@pytest.mark.parametrize(
    ("host", "path", "api", "stage"),
    [
        ("chat.example", "/", "chat", "dev"),
        ("chat.example", "/v2", "game", "prod"),
        ("chat.example", "/a/b", "secret", "dev"),
        ("a.wild.example", "/", "game", "dev"),
    ],
)
@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
async def test_an_event_names_the_domain_and_its_connection_can_be_pushed_to(
    host: str, path: str, api: str, stage: str, tls: bool, front: Front
) -> None:
    running = front.gateway
    port = running.tls_port if tls else running.port
    trust = front.authority.client() if tls else None
    async with wire(port, tls=trust, server_name=host) as client:
        facts = await front.facts(client, host, path)

        assert (facts["api"], facts["stage"]) == (api, stage)
        assert (facts["domain"], facts["prefix"]) == (host, host.partition(".")[0])
        connection = facts["connection-id"].replace("=", "%3D")
        assert facts["url"] == f"{running.internal}/execute-api/{api}/{stage}/@connections/{connection}"
        assert (await http(running.internal_port, "POST", facts["url"].removeprefix(running.internal))).status == 200
        assert await client.text() == ""
        for each in (running.port, running.internal_port):
            assert await front.post(each, host, f"{path.rstrip('/')}/@connections/{connection}") == 200
            assert await client.text() == "push"


async def test_code_that_composes_domain_name_and_stage_reaches_the_connection(front: Front) -> None:
    """`https://{domainName}/{stage}` is what handlers build; AWS asks for the mapping key in that place."""
    for path in ("/", "/v2"):
        async with wire(front.gateway.port) as client:
            facts = await front.facts(client, "chat.example", path)
            target = f"/{facts['stage']}/@connections/{facts['connection-id']}"
            assert await front.post(front.gateway.port, facts["domain"], target) == 200
            assert await client.text() == "push"


@pytest.mark.parametrize(
    ("host", "path"),
    [
        ("secret.execute-api.us-east-1.amazonaws.com", "/dev"),
        ("127.0.0.1", "/execute-api/secret/dev"),
    ],
)
async def test_an_api_without_a_default_endpoint_is_reached_by_domains_alone(
    host: str, path: str, front: Front
) -> None:
    """API Gateway developer guide, "Disable the default endpoint for WebSocket APIs": 403 Forbidden."""
    refused = await front.answer(host, path)
    assert (refused.status, refused.header("x-amzn-errortype")) == (403, "ForbiddenException")
    async with wire(front.gateway.port) as client:
        facts = await front.facts(client, "chat.example", "/a/b")
        target = f"{path}/@connections/{facts['connection-id']}"
        for _ in range(2):  # what is remembered of callback URLs is the same for both listeners
            assert await front.post(front.gateway.internal_port, host, target) == 200
            assert await client.text() == "push"
            assert await front.post(front.gateway.port, host, target) == 403


async def test_mappings_change_with_the_file_and_connections_stay(front: Front, tmp_path: Path) -> None:
    """Existing connections keep their stage."""
    domains = {"chat.example": {"mappings": {"": {"api": "chat", "stage": "dev"}}}}
    written = json.dumps({"apis": {"chat": api(MOCK)}, "domains": domains})
    async with gateway(written, tmp_path) as running, wire(running.port) as client:
        here = Front(running, front.backend, front.authority)
        assert (await here._open(client, "chat.example", "/")).status == 101

        domains["chat.example"]["mappings"] = {"x": {"api": "chat", "stage": "prod"}}
        changed = json.dumps({"apis": {"chat": api(MOCK)}, "domains": domains})
        (tmp_path / "routes.yaml").write_text(changed)
        running.reload()
        await running.logged("definition deployed")

        assert (await here.answer("chat.example", "/")).status == 403
        assert (await here.answer("chat.example", "/x")).status == 101
        await client.send(text("x"))
        assert await client.text() == '{"ok":true}'
