"""Clients that come with tokens: who is let in, what routes know of them, and when they have to go."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import RSAKey
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Origin, Subprotocol

from tests.harness import Backend, Gateway, closed, gateway

pytestmark = pytest.mark.anyio

OLD, NEW = (RSAKey.generate_key(2048, {"kid": kid, "alg": "RS256"}, auto_kid=False) for kid in ("old", "new"))

DEFINITION = """
apis:
  chat:
    protocolType: WEBSOCKET
    routeSelectionExpression: $request.body.action
    stages:
      dev:
        allowedOrigins: ["https://chat.example"]
        defaultRouteSettings: {{loggingLevel: INFO, dataTraceEnabled: true}}
    authorizers:
      users:
        authorizerType: JWT
        identitySource: [{source}]
        closeOnExpiry: {closing}
        jwtConfiguration: {{issuer: "http://127.0.0.1:{port}/pool", audience: [chat]{more}}}
    integrations:
      backend:
        integrationType: HTTP_PROXY
        integrationUri: "http://127.0.0.1:{port}/$connect"
      whoami:
        integrationType: MOCK
        requestTemplates: {{$default: '{{"statusCode": 200}}'}}
        integrationResponses:
          $default:
            responseTemplates:
              $default: >-
                #set($who = $context.authorizer)$who.principalId is $who.claims.role of $who.claims.groups
    routes:
      $connect: {{integration: backend, authorizer: users, authorizationScopes: [{scopes}]}}
      whoami: {{integration: whoami, routeResponse: true}}
      enter: {{integration: whoami, routeResponse: true, allow: "contains(authorizer.groups, body.group)"}}
      renew: {{refresh: $request.body.token}}
      relogin: {{integration: whoami, routeResponse: true, refresh: $request.body.token}}
"""


@pytest.fixture
async def backend() -> AsyncIterator[Backend]:
    """The issuer, and what $connect calls."""
    backend = Backend()
    await backend.start()
    yield backend
    backend.stop()


def token(key: RSAKey = OLD, *, port: int, **claims: Any) -> str:
    said = {
        "iss": f"http://127.0.0.1:{port}/pool",
        "aud": "chat",
        "sub": "ann",
        "role": "admin",
        "groups": ["a", "b"],
        "scope": "chat/write",
        "exp": int(time.time()) + 300,
    } | claims
    return jwt.encode({"alg": "RS256", "kid": key.kid}, said, key, ["RS256"])


def publish(issuer: Backend, *keys: RSAKey) -> None:
    """What an issuer has under its well-known paths."""
    base = f"http://127.0.0.1:{issuer.port}/pool"
    configuration = {"issuer": base, "jwks_uri": f"{base}/keys"}
    document = {"keys": [key.as_dict(private=False) for key in keys]}
    issuer.answers("/pool/.well-known/openid-configuration", (200, {}, json.dumps(configuration).encode()))
    issuer.answers("/pool/keys", (200, {}, json.dumps(document).encode()))


@asynccontextmanager
async def serving(
    issuer: Backend,
    folder: Path,
    source: str = "route.request.querystring.token",
    *,
    closing: bool = False,
    scopes: str = "",
    more: str = "",
) -> AsyncIterator[Gateway]:
    issuer.answers("/$connect", (200, {}, b""))
    text = DEFINITION.format(source=source, port=issuer.port, closing=str(closing).lower(), scopes=scopes, more=more)
    async with gateway(text, folder) as running:
        yield running


async def who(client: ClientConnection) -> str:
    await client.send('{"action": "whoami"}')
    return str(await client.recv())


async def refused(running: Gateway, query: str = "", **more: Any) -> tuple[int, dict[str, Any]]:
    with pytest.raises(InvalidStatus) as caught:
        async with connect(running.ws() + query, **more):
            pass
    return caught.value.response.status_code, json.loads(caught.value.response.body or b"")


async def test_a_token_lets_in_and_every_route_knows_whose_it_is(backend: Backend, tmp_path: Path) -> None:
    publish(backend, OLD)
    async with (
        serving(backend, tmp_path) as running,
        connect(f"{running.ws()}?token={token(port=backend.port)}") as client,
    ):
        assert await who(client) == "ann is admin of " + '["a","b"]'


async def test_without_a_good_token_connect_is_never_called(backend: Backend, tmp_path: Path) -> None:
    publish(backend, OLD)
    async with serving(backend, tmp_path, scopes="chat/admin") as running:
        for query, message in (
            ("", "Unauthorized"),
            ("?token=", "Unauthorized"),
            ("?token=nonsense", "Unauthorized"),
            (f"?token={token(NEW, port=backend.port)}", "Unauthorized"),
            (f"?token={token(port=backend.port, aud='other')}", "Unauthorized"),
            (f"?token={token(port=backend.port, exp=1)}", "The incoming token has expired"),
            (f"?token={token(port=backend.port)}", "Unauthorized"),  # none of the scopes
        ):
            status, body = await refused(running, query)
            assert (status, body["message"]) == (401, message)
            assert set(body) == {"message", "connectionId", "requestId"}
        assert backend.count("/$connect") == 0

        query = f"?token={token(port=backend.port, scope='chat/read chat/admin')}"
        async with connect(running.ws() + query) as client:
            assert await who(client)
        assert backend.count("/$connect") == 1


@pytest.mark.parametrize(
    ("source", "headers"),
    [
        pytest.param("route.request.header.Authorization", {"Authorization": "Bearer {token}"}, id="a header"),
        pytest.param("route.request.header.X-Token", {"X-Token": "{token}"}, id="a header of one's own"),
        pytest.param("route.request.cookie.session", {"Cookie": "a=1; session={token}; b=2"}, id="a cookie"),
    ],
)
async def test_where_a_token_may_be(backend: Backend, tmp_path: Path, source: str, headers: dict[str, str]) -> None:
    publish(backend, OLD)
    written = {name: value.format(token=token(port=backend.port)) for name, value in headers.items()}
    async with (
        serving(backend, tmp_path, source) as running,
        connect(running.ws(), additional_headers=written) as client,
    ):
        assert (await who(client)).startswith("ann")


async def test_a_browser_brings_its_token_as_a_subprotocol(backend: Backend, tmp_path: Path) -> None:
    publish(backend, OLD)
    offers = [Subprotocol(f"bearer.{token(port=backend.port)}"), Subprotocol("chat.v2"), Subprotocol("chat.v1")]
    async with (
        serving(backend, tmp_path, "route.request.subprotocol") as running,
        connect(running.ws(), subprotocols=offers) as client,
    ):
        assert client.subprotocol == "chat.v2"
        assert (await who(client)).startswith("ann")

    asked = await backend.saw("/$connect")
    assert asked.header("sec-websocket-protocol") == "chat.v2, chat.v1"


async def test_what_connect_picks_is_the_subprotocol(backend: Backend, tmp_path: Path) -> None:
    publish(backend, OLD)
    offers = [Subprotocol(f"bearer.{token(port=backend.port)}"), Subprotocol("chat.v2"), Subprotocol("chat.v1")]
    async with serving(backend, tmp_path, "route.request.subprotocol") as running:
        backend.answers("/$connect", (200, {"Sec-WebSocket-Protocol": "chat.v1"}, b""))
        async with connect(running.ws(), subprotocols=offers) as client:
            assert client.subprotocol == "chat.v1"


async def test_keys_are_fetched_once_from_where_the_definition_says(backend: Backend, tmp_path: Path) -> None:
    publish(backend, OLD)
    more = f', jwksUri: "http://127.0.0.1:{backend.port}/pool/keys"'
    async with serving(backend, tmp_path, more=more) as running:
        async with connect(f"{running.ws()}?token={token(port=backend.port)}"):
            pass
        async with connect(f"{running.ws()}?token={token(port=backend.port)}"):
            pass
        assert backend.count("/pool/keys") == 1
        assert backend.count("/pool/.well-known/openid-configuration") == 0


async def test_an_issuer_that_is_down_when_the_first_client_comes(backend: Backend, tmp_path: Path) -> None:
    backend.answers("/pool/.well-known/openid-configuration", (503, {}, b""))
    async with serving(backend, tmp_path) as running:
        status, body = await refused(running, f"?token={token(port=backend.port)}")
        assert (status, body["message"]) == (500, "Internal server error")

        line = json.loads(await running.logged("keys of an issuer can't be fetched"))
        assert line["error"].endswith("answered 503")
        assert backend.count("/$connect") == 0


async def test_a_connection_ends_with_its_token_where_that_is_asked_for(backend: Backend, tmp_path: Path) -> None:
    publish(backend, OLD)
    async with serving(backend, tmp_path, closing=True) as running:
        brief = token(port=backend.port, exp=time.time() + 1.5)
        async with connect(f"{running.ws()}?token={brief}") as client:
            assert await who(client)
            assert await closed(client) == (4401, "Token expired")


async def test_a_page_that_may_not_connect_is_told_so_before_its_token_is_looked_at(
    backend: Backend, tmp_path: Path
) -> None:
    publish(backend, OLD)
    query = f"?token={token(port=backend.port)}"
    async with serving(backend, tmp_path) as running:
        status, body = await refused(running, query, origin="https://evil.example")
        assert (status, body["message"]) == (403, "Forbidden")
        assert "none of the stage's allowedOrigins" in await running.logged("client not let in")
        assert backend.requests == []

        async with connect(running.ws() + query, origin=Origin("https://chat.example")) as client:
            assert await who(client)


async def test_a_rule_lets_a_client_send_what_its_token_allows(backend: Backend, tmp_path: Path) -> None:
    publish(backend, OLD)
    async with (
        serving(backend, tmp_path) as running,
        connect(f"{running.ws()}?token={token(port=backend.port)}") as client,
    ):
        await client.send('{"action": "enter", "group": "b"}')
        assert str(await client.recv()).startswith("ann")
        for said in ('"c"', "1", "null", '["a"]'):
            await client.send(f'{{"action": "enter", "group": {said}}}')
            assert json.loads(await client.recv())["message"] == "Forbidden"


async def test_no_token_is_in_the_log(backend: Backend, tmp_path: Path) -> None:
    publish(backend, OLD)
    good, bad = token(port=backend.port), token(NEW, port=backend.port)
    async with serving(backend, tmp_path) as running:
        await refused(running, f"?token={bad}")
        async with connect(f"{running.ws()}?token={good}"):
            pass
        line = json.loads(await running.logged("client not let in"))
        assert line["error"] == "no key of the issuer has signed the token"
        said = "".join(running.log)
        assert good.rpartition(".")[2] not in said
        assert bad.rpartition(".")[2] not in said


async def test_a_client_goes_on_with_another_token(backend: Backend, tmp_path: Path) -> None:
    """With a route that asks for one: nobody is disconnected for a token that runs out, nor taken for somebody else."""
    publish(backend, OLD)
    port = backend.port
    async with serving(backend, tmp_path, closing=True) as running:
        first = token(port=port, groups=["a"])
        async with connect(f"{running.ws()}?token={first}") as client:

            async def say(action: str, **more: str) -> Any:
                await client.send(json.dumps({"action": action, **more}))
                return json.loads(await client.recv())

            await client.send('{"action": "enter", "group": "b"}')
            assert json.loads(await client.recv())["message"] == "Forbidden"

            # What is no good, each with the connection and its first token as they were.
            for bad, message in (
                (token(NEW, port=port), "Unauthorized"),
                (token(port=port, aud="other"), "Unauthorized"),
                (token(port=port, exp=1), "The incoming token has expired"),
                (token(port=port, sub="bob"), "Forbidden"),
                (token(port=port, sub=None), "Forbidden"),
                ("nonsense", "Unauthorized"),
                ("", "Unauthorized"),
            ):
                answer = await say("renew", token=bad)
                assert (answer["message"], set(answer)) == (message, {"message", "connectionId", "requestId"})
            assert "ann is admin" in await who(client)

            until = int(time.time()) + 600
            second = token(port=port, exp=until, role="owner", groups=["a", "b"])
            answer = await say("renew", token=second)
            assert (answer["message"], answer["expires"]) == ("Refreshed", until)
            assert await who(client) == 'ann is owner of ["a","b"]'
            await client.send('{"action": "enter", "group": "b"}')
            assert await client.recv() == 'ann is owner of ["a","b"]'

            # With an integration the route answers as that does, with what the new token says.
            third = token(port=port, exp=int(time.time()) + 2, role="guest")
            await client.send(json.dumps({"action": "relogin", "token": f"Bearer {third}"}))
            assert await client.recv() == 'ann is guest of ["a","b"]'
            assert await closed(client) == (4401, "Token expired")

        line = json.loads(await running.logged("token not taken"))
        assert (line["route"], line["error"]) == ("renew", "no key of the issuer has signed the token")
        samples = await running.metrics()
        assert samples["wsgateway_token_refreshes_total"] == 2
        assert samples['wsgateway_message_errors_total{api="chat",route="renew",type="UNAUTHORIZED"}'] == 5
        assert samples['wsgateway_message_errors_total{api="chat",route="renew",type="ACCESS_DENIED"}'] == 2
        said = "".join(running.log)
        for each in (first, second, third):
            assert each.rpartition(".")[2] not in said
