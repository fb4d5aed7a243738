"""`wsgateway doctor`: all well with a gateway, its Redis and its backends; and everything broken at once."""

from __future__ import annotations

import asyncio
import datetime
import json
import os
from asyncio.subprocess import PIPE
from pathlib import Path
from typing import Any

import pytest

from tests import prefork
from tests.certificates import Authority, server_context
from tests.faults import free_port
from tests.harness import PATIENCE, Backend, backend, gateway
from tests.nats import nats_server
from tests.redis import redis_server

pytestmark = pytest.mark.anyio

KEYS = {
    "keys": [
        {
            "kty": "EC", "crv": "P-256", "kid": "1", "alg": "ES256", "use": "sig",
            "x": "WKn-ZIGevcwGIyyrzFoZNBdaq9_TsqzGl96oc0CWuis", "y": "y77t-RvAHRKTsSGdIYUfweuOvwrvDD-Q3Hv5J0fSKbE",
        }
    ]
}  # fmt: skip
APIS = """
vpcLinks: {inside: {targets: ["127.0.0.1:%(linked)d"]}}
apis:
  chat:
    protocolType: WEBSOCKET
    routeSelectionExpression: $request.body.action
    stages: {dev: {}}
    authorizers:
      users:
        authorizerType: JWT
        identitySource: [route.request.querystring.token]
        jwtConfiguration: {issuer: "http://127.0.0.1:%(issuer)d", audience: [chat]}
    routes:
      $connect:
        authorizer: users
        integration: {integrationType: MOCK, requestTemplates: {$default: '{"statusCode": 200}'}}
      plain: {integration: {integrationType: HTTP_PROXY, integrationUri: "http://127.0.0.1:%(plain)d/a"}}
      again: {integration: {integrationType: HTTP_PROXY, integrationUri: "http://127.0.0.1:%(plain)d/b"}}
      secure:
        integration:
          integrationType: HTTP_PROXY
          integrationUri: https://localhost:%(secure)d/
          tlsConfig: {caCertificates: "file:%(ca)s"}
      linked:
        integration:
          integrationType: HTTP_PROXY
          integrationUri: http://inside.example/
          connectionType: VPC_LINK
          connectionId: inside
      told:
        integration:
          integrationType: PUBLISH
          integrationUri: nats://127.0.0.1:%(nats)d/told
          publishConfig: {username: u, password: "file:password"}
"""


FORBIDDEN = """
  more:
    protocolType: WEBSOCKET
    routeSelectionExpression: $request.body.action
    stages: {dev: {}}
    routes:
      metadata: {integration: {integrationType: HTTP_PROXY, integrationUri: "http://169.254.169.254/"}}
      invoked:
        integration: {integrationType: AWS_PROXY, integrationUri: "arn:aws:lambda:eu-west-1:123456789012:function:f"}
"""


class Found:
    """What doctor found, as JSON has it."""

    def __init__(self, code: int, text: str, err: str) -> None:
        self.code, self.text, self.err = code, text, err
        self.rows: list[dict[str, Any]] = json.loads(text)

    def by(self, result: str) -> set[tuple[str, str]]:
        """Check and place of all that came out so."""
        return {(row["check"], row["where"]) for row in self.rows if row["result"] == result}

    def said(self, check: str, where: str = "") -> str:
        (row,) = [row for row in self.rows if row["check"] == check and where in row["where"]]
        return f"{row['found']} -> {row['mend']}"


async def doctor(*arguments: str, **env: str) -> Found:
    process = await prefork.wsgateway(
        "doctor", *arguments, "--output", "json", stdout=PIPE, stderr=PIPE,
        env=os.environ | {"AWS_EC2_METADATA_DISABLED": "true"} | env,
    )  # fmt: skip
    async with asyncio.timeout(PATIENCE):
        out, err = await process.communicate()
    assert b"Traceback" not in err, err.decode()
    return Found(process.returncode or 0, out.decode(), err.decode())


def publishes_keys(issuer: Backend) -> None:
    url = f"http://127.0.0.1:{issuer.port}"
    about = {"issuer": url, "jwks_uri": f"{url}/keys"}
    issuer.answers("/.well-known/openid-configuration", (200, {}, json.dumps(about).encode()))
    issuer.answers("/keys", (200, {}, json.dumps(KEYS).encode()))


async def test_all_is_well_beside_a_gateway_that_runs(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    secure = server_context(authority.issue_to("localhost"))
    certificate, key = authority.issue_to("chat.example")
    (tmp_path / key).chmod(0o600)
    (tmp_path / "password").write_text("pw")
    (tmp_path / "password").chmod(0o600)
    login = "authorization {user: u, password: pw}"
    async with (
        redis_server(tmp_path / "redis", user="u", password="sesame") as redis,
        nats_server(tmp_path / "nats", login) as nats,
        backend() as plain,
        backend(secure=secure) as trusted,
    ):
        publishes_keys(plain)
        ports = {"issuer": plain.port, "plain": plain.port, "linked": plain.port, "secure": trusted.port}
        text = APIS % (ports | {"nats": nats.port, "ca": authority.file})
        env = {"REDIS_URL": redis.url}
        async with gateway(text, tmp_path, env=env) as running:
            flags = ["--port", str(running.port), "--internal-port", str(running.internal_port), "--tls-port", "0"]
            flags += ["--tls-cert", certificate, "--tls-key", key]
            found = await doctor(str(tmp_path / "routes.yaml"), *flags, **env)

    assert (found.code, found.by("failed")) == (0, set()), found.text
    assert {
        ("backend", f"http://127.0.0.1:{plain.port}"),
        ("backend", f"https://localhost:{trusted.port}"),
        ("backend", f"http://inside.example:80 at 127.0.0.1:{plain.port}"),
        ("broker", f"NATS at 127.0.0.1:{nats.port}"),
        ("issuer", f"http://127.0.0.1:{plain.port}"),
        ("gateway", f"127.0.0.1:{running.internal_port}"),
        ("certificate", "--tls-cert"),
    } <= found.by("ok")
    assert found.said("nodes").startswith("1 live, with this definition")
    assert found.said("redis commands").startswith("all that are used are allowed")
    assert "sesame" not in found.text + found.err
    assert {request.target for request in plain.requests} == {"/.well-known/openid-configuration", "/keys"}
    assert trusted.requests == []


async def test_everything_that_is_broken_is_told_at_once(tmp_path: Path) -> None:
    certificate, key = Authority(tmp_path).issue_to("chat.example", ends=-datetime.timedelta(hours=1))
    secure = server_context(Authority(tmp_path, "stranger").issue_to("localhost"))
    (tmp_path / "password").write_text("hush")
    (tmp_path / "password").chmod(0o644)
    closed, nowhere = free_port(), str(tmp_path / "nowhere")
    async with (
        redis_server(tmp_path / "redis", {"maxmemory-policy": "allkeys-lru"}) as redis,
        backend() as plain,
        backend() as taken,
        backend(secure=secure) as stranger,
    ):
        await redis.run("ACL", "SETUSER", "lame", "on", ">sesame", "~p:*", "-@all", "+@read", "+@connection", "+info")
        plain.answers("/.well-known/openid-configuration", (404, {}, b""))
        ports = dict.fromkeys(("plain", "linked", "nats"), closed) | {"issuer": plain.port, "secure": stranger.port}
        (tmp_path / "routes.yaml").write_text((APIS + FORBIDDEN) % (ports | {"ca": str(tmp_path / "ca.pem")}))
        found = await doctor(
            str(tmp_path / "routes.yaml"),
            "--port", str(taken.port), "--internal-port", str(taken.port),
            "--tls-port", "0", "--tls-cert", certificate, "--tls-key", key,
            "--redis-prefix", "p", "--max-connections", "999999999", "--workers", "200",
            "--access-log", str(tmp_path / "missing" / "access.log"),
            REDIS_URL=redis.url.replace("//", "//lame:sesame@"),
            WSGATEWAY_INSTALLATION_SECRET="short",
            OTEL_TRACES_EXPORTER="zipkin",
            AWS_ENDPOINT_URL_LAMBDA=f"http://127.0.0.1:{closed}",
            AWS_ACCESS_KEY_ID="", AWS_CONFIG_FILE=nowhere, AWS_SHARED_CREDENTIALS_FILE=nowhere,
        )  # fmt: skip

    assert found.code == 1, found.text
    assert {check for check, _ in found.by("failed")} >= {
        "AWS credentials", "access log", "backend", "broker", "certificate", "installation secret", "internal port",
        "issuer", "open files", "public port", "redis commands", "traces",
    }  # fmt: skip
    assert {check for check, _ in found.by("warning")} >= {"CPUs", "redis eviction", "secret files"}
    assert "refused the connection" in found.said("backend", f"http://inside.example:80 at 127.0.0.1:{closed}")
    assert "can't be trusted" in found.said("backend", "https://localhost")
    assert "metadata addresses are never called" in found.said("backend", "169.254.169.254")
    assert "answered 404" in found.said("issuer")
    assert "HSET" in found.said("redis commands")
    assert "expired on" in found.said("certificate")
    assert not any(secret in found.text + found.err for secret in ("sesame", "hush"))


async def test_an_invalid_definition_does_not_keep_the_rest_from_being_looked_at(tmp_path: Path) -> None:
    (tmp_path / "routes.yaml").write_text("apis:\n  chat: {protocolType: WEBSOCKET, routes: {}, stagse: {}}\n")

    found = await doctor(
        str(tmp_path / "routes.yaml"), "--port", "0", "--internal-port", "0",
        "--redis-url", f"redis://u:sesame@127.0.0.1:{free_port()}",
    )  # fmt: skip

    assert found.code == 2
    assert ("definition", f"{tmp_path}/routes.yaml:2") in found.by("failed")
    assert "stagse" in found.text
    assert "redis" in {check for check, _ in found.by("failed")}
    assert "Connection refused" in found.said("redis")
    assert "sesame" not in found.text + found.err
