"""The command line as people and scripts use it: results on stdout, mistakes in plain lines on stderr."""

from __future__ import annotations

import asyncio
import datetime
import json
import os
import socket
import subprocess
import sys
from asyncio.subprocess import PIPE
from dataclasses import dataclass
from pathlib import Path

import pytest
from websockets.asyncio.client import connect

from tests import prefork
from tests.certificates import Authority
from tests.harness import PATIENCE, closed, connection_of, gateway, heard

pytestmark = pytest.mark.anyio

VALID = """
apis:
  chat:
    protocolType: WEBSOCKET
    routeSelectionExpression: $request.body.action
    stages: {dev: {stageVariables: {host: backend.example}}, prod: {stageVariables: {host: other.example}}}
    routes:
      say: {integration: {integrationType: HTTP_PROXY, integrationUri: "http://${stageVariables.host}/say"}}
      ping:
        routeResponse: true
        integration:
          integrationType: MOCK
          requestTemplates: {$default: '{"statusCode": 200}'}
          integrationResponses: {$default: {responseTemplates: {$default: pong}}}
"""
PETS = str(Path(__file__).parents[2] / "examples" / "petstore" / "openapi.yaml")
NOBODY = "http://127.0.0.1:1"
INVALID = VALID.replace("HTTP_PROXY", "HTPP_PROXY").replace("protocolType: WEBSOCKET", "protocolType: SOCKET")


@dataclass(frozen=True)
class Ended:
    """A command that has ended."""

    code: int
    out: str
    err: str


async def wsgateway(*arguments: str, stdin: str | bytes = b"", folder: Path | None = None, **env: str) -> Ended:
    process = await prefork.wsgateway(
        *arguments, stdin=PIPE, stdout=PIPE, stderr=PIPE, cwd=folder, env=os.environ | env
    )
    try:
        async with asyncio.timeout(PATIENCE):
            out, err = await process.communicate(stdin.encode() if isinstance(stdin, str) else stdin)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode is not None
    ended = Ended(process.returncode, out.decode(), err.decode())
    assert "Traceback" not in ended.err
    return ended


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "routes.yaml"
    path.write_text(VALID)
    return str(path)


# Definitions


async def test_validate_says_that_a_file_is_valid(file: str) -> None:
    assert await wsgateway("validate", file) == Ended(0, f"{file}: valid; APIs: 1, stages: 2\n", "")


async def test_validate_takes_the_file_of_this_directory_or_of_the_environment(tmp_path: Path, file: str) -> None:
    assert (await wsgateway("validate", folder=tmp_path)).out.startswith("routes.yaml: valid")
    assert (await wsgateway("validate", folder=tmp_path.parent, WSGATEWAY_FILE=file)).code == 0


async def test_validate_tells_every_problem_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(INVALID)

    ended = await wsgateway("validate", str(path))

    assert (ended.code, ended.out) == (2, "")
    lines = ended.err.splitlines()
    assert lines[0].startswith(f"{path}:4: apis.chat.protocolType: ")
    assert lines[1].startswith(f"{path}:8: apis.chat.routes.say.integration.integrationType: ")
    assert len(lines) == 2


async def test_validate_finds_what_only_compiling_tells(tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(VALID.replace("$request.body.action", "$context.stage").replace("host: other.example", "h: o"))

    ended = await wsgateway("validate", str(path))

    assert ended.code == 2
    lines = ended.err.splitlines()
    assert [line.split(":")[1] for line in lines if line.startswith(str(path))] == ["5", "8"]
    assert lines[1:3] == ["    $context.stage", "    ^"]


async def test_routes_shows_what_each_route_calls(file: str) -> None:
    table = await wsgateway("routes", file)

    rows = [line.split() for line in table.out.splitlines()]
    assert rows[0] == ["api", "stage", "route", "replies", "authorizer", "integration", "target", "domains"]
    assert ["chat", "dev", "say", "no", "-", "HTTP_PROXY", "http://backend.example/say", "-"] in rows
    assert ["chat", "prod", "say", "no", "-", "HTTP_PROXY", "http://other.example/say", "-"] in rows
    assert ["chat", "dev", "ping", "yes", "-", "MOCK", "-", "-"] in rows
    shown = json.loads((await wsgateway("routes", file, "--output", "json")).out)
    assert [list(row.values()) for row in shown] == rows[1:]


async def test_routes_shows_who_decides_and_validate_who_decides_nothing(tmp_path: Path) -> None:
    one = "{authorizerType: REQUEST, authorizerUri: 'https://auth.example'}"
    (tmp_path / "routes.yaml").write_text(
        "apis: {chat: {protocolType: WEBSOCKET, routeSelectionExpression: $request.body.action, stages: {dev: {}},\n"
        f"  authorizers: {{users: {one}, spare: {one}}},\n"
        "  routes: {$connect: {authorizer: users, apiKeyRequired: true}, join: {allow: 'authorizer.x == body.x'}}}}\n"
        "apiKeys: [{name: web, value: webwebwebwebwebwebwebweb}]\n"
        "usagePlans: {gold: {apiKeys: [web], apiStages: [{apiId: chat, stage: dev}]}}\n"
    )
    (row, join) = json.loads((await wsgateway("routes", "--output", "json", folder=tmp_path)).out)
    said = await wsgateway("validate", folder=tmp_path)

    assert (row["route"], row["authorizer"]) == ("$connect", "users, API key")
    assert (join["route"], join["authorizer"]) == ("join", "allow")
    assert said.err == "warning: routes.yaml:2: apis.chat.authorizers.spare: is asked by no route\n"
    assert said.out.startswith("routes.yaml: valid")


async def test_routes_shows_who_may_call_methods(tmp_path: Path) -> None:
    one = "{type: TOKEN, authorizerUri: 'http://a.example', identitySource: method.request.header.A}"
    (tmp_path / "routes.yaml").write_text(
        "apis: {shop: {protocolType: REST, stages: {v1: {}}, cors: {allowOrigins: ['https://a.example']},\n"
        f"  authorizers: {{users: {one},\n"
        f"                spare: {one}}},\n"
        "  policy: {Statement: {Effect: Allow, Principal: '*', Action: '*', Resource: 'execute-api:/*'}},\n"
        "  paths: {/a: {GET: {integration: {type: MOCK}, authorizer: users},\n"
        "               POST: {integration: {type: MOCK}, authorizationType: AWS_IAM}}}}}\n"
        "sessionLookup: {url: 'https://sessions.example'}\n"
    )
    rows = json.loads((await wsgateway("routes", "--output", "json", folder=tmp_path)).out)
    said = await wsgateway("validate", folder=tmp_path)

    assert {row["route"]: row["authorizer"] for row in rows} == {
        "GET /a": "users, policy",
        "POST /a": "AWS_IAM, policy",
        "OPTIONS /a": "-",
    }
    assert said.err == "warning: routes.yaml:3: apis.shop.authorizers.spare: is asked by no method\n"


async def test_routes_shows_by_which_link_a_backend_is_reached(tmp_path: Path) -> None:
    link = "connectionType: VPC_LINK, connectionId: '${stageVariables.link}'"
    (tmp_path / "routes.yaml").write_text(
        "apis: {chat: {protocolType: WEBSOCKET, routeSelectionExpression: $request.body.action,\n"
        "  stages: {dev: {stageVariables: {link: blue}}},\n"
        "  routes: {$default: {integration: {integrationType: HTTP_PROXY, integrationUri: 'http://a/', "
        f"{link}}}}}}}}}}}\n"
        "vpcLinks: {blue: {targets: ['10.0.0.7:80']}}\n"
    )
    (row,) = json.loads((await wsgateway("routes", "--output", "json", folder=tmp_path)).out)

    assert row["target"] == "http://a/ via blue"


DOMAINS = """
domains:
  chat.example:
    certificate: file:{certificate}
    key: file:{key}
    mappings: {{"": {{api: chat, stage: prod}}, v2: {{api: chat, stage: dev}}}}
  "*.chat.example": {{mappings: {{"": {{api: chat, stage: prod}}}}}}
"""


async def test_routes_shows_the_domains(tmp_path: Path) -> None:
    certificate, key = Authority(tmp_path).issue_to("chat.example")
    (tmp_path / "routes.yaml").write_text(VALID + DOMAINS.format(certificate=certificate, key=key))

    rows = json.loads((await wsgateway("routes", "--output", "json", folder=tmp_path)).out)

    assert {row["stage"]: row["domains"] for row in rows} == {
        "prod": "chat.example, *.chat.example",
        "dev": "chat.example/v2",
    }


REST = """
apis:
  shop:
    protocolType: REST
    stages: {v1: {canarySettings: {percentTraffic: 12.5, deploymentId: file:next.yaml}}, v2: {}}
    paths: {/a: {GET: {integration: {type: MOCK}}}}
"""


async def test_routes_shows_canaries_and_stages_that_paths_name(tmp_path: Path) -> None:
    (tmp_path / "next.yaml").write_text(REST.replace("/a:", "/b:"))
    (tmp_path / "routes.yaml").write_text(REST + "domains: {a.example: {mappings: {shop: {api: shop}}}}\n")

    rows = json.loads((await wsgateway("routes", "--output", "json", folder=tmp_path)).out)

    assert [(row["stage"], row["route"], row["domains"]) for row in rows] == [
        ("v1", "GET /a", "a.example/shop/v1"),
        ("v1 (canary 12.5 %)", "GET /b", "-"),
        ("v2", "GET /a", "a.example/shop/v2"),
    ]


async def test_validate_warns_of_certificates_that_clients_will_refuse(tmp_path: Path) -> None:
    """Relative to the definition, wherever the command is given."""
    Authority(tmp_path).issue_to("other.example", ends=-datetime.timedelta(hours=1))
    (tmp_path / "routes.yaml").write_text(
        VALID + DOMAINS.format(certificate="other.example.pem", key="other.example.key")
    )

    ended = await wsgateway("validate", str(tmp_path / "routes.yaml"))

    assert (ended.code, ended.out.partition(": ")[2]) == (0, "valid; APIs: 1, stages: 2\n")
    expired, other = ended.err.splitlines()
    where = f"warning: {tmp_path}/routes.yaml:18: domains.chat.example.certificate: "
    assert expired.startswith(f"{where}expired on")
    assert other == f"{where}is not made out to chat.example; clients refuse it there"


async def test_validate_tells_every_certificate_that_cannot_be_used(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    certificate, _ = authority.issue_to("a.example")
    _, key = authority.issue_to("b.example")
    first = DOMAINS.format(certificate=certificate, key=key)
    second = first.replace("domains:", "").replace("chat", "other").replace("api: other", "api: chat")
    (tmp_path / "routes.yaml").write_text(VALID + first + second)

    ended = await wsgateway("validate", str(tmp_path / "routes.yaml"))

    fault = f"{key} is not the key of {certificate}; give the two that belong together"
    assert ended.code == 2
    assert [line.split(": ", 2)[1:] for line in ended.err.splitlines()] == [
        ["domains.chat.example.key", fault],
        ["domains.other.example.key", fault],
    ]


async def test_validate_tells_every_certificate_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "routes.yaml").write_text(VALID + DOMAINS.format(certificate="none", key="neither"))

    ended = await wsgateway("validate", str(tmp_path / "routes.yaml"))

    assert ended.code == 2
    assert [line.split(": ", 2)[1:] for line in ended.err.splitlines()] == [
        [f"domains.chat.example.{key}", f"file:{name} can't be read: No such file or directory ({tmp_path / name})"]
        for key, name in (("certificate", "none"), ("key", "neither"))
    ]


async def test_schema_is_a_json_schema() -> None:
    ended = await wsgateway("schema")

    assert ended.code == 0
    assert json.loads(ended.out)["$schema"].startswith("https://json-schema.org/")


async def test_version() -> None:
    assert (await wsgateway("version")).out.startswith("wsgateway ")


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        pytest.param(["version"], 0, id="version"),
        pytest.param(["schema"], 0, id="schema"),
        pytest.param(["export", "openapi", PETS], 0, id="export"),
        pytest.param(["import", "openapi", PETS], 0, id="import"),
        pytest.param(["keys", "create", "ann"], 0, id="keys"),
        pytest.param(["usage", "--endpoint", NOBODY], 1, id="usage"),
        pytest.param(["cache", "flush", "pets", "dev", "--endpoint", NOBODY], 1, id="cache"),
    ],
)
def test_a_verb_imports_itself_what_it_needs(arguments: list[str], code: int) -> None:
    """Those that are started for real nowhere else: other tests fork a process that has imported everything."""
    ended = subprocess.run(
        [sys.executable, "-W", "error", "-m", "wsgateway", *arguments],
        capture_output=True, text=True, timeout=PATIENCE, env=os.environ | {"VIRTUAL_ENV": sys.prefix},
    )  # fmt: skip

    assert ended.returncode == code, ended.stderr
    assert "Traceback" not in ended.stderr


# Mistakes


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        pytest.param(["nosuch"], "No such command 'nosuch'", id="an unknown verb"),
        pytest.param(["serve", "--nosuch"], "No such option: --nosuch", id="an unknown option"),
        pytest.param(["serve", "--port", "x"], "--port", id="a port that is no number"),
        pytest.param(["serve", "--port", "70000"], "--port", id="a port too large"),
        pytest.param(["serve", "a", "b"], "b", id="one argument too many"),
        pytest.param(["serve", "--callback-auth", "maybe"], "--callback-auth", id="an unknown choice"),
        pytest.param(["serve", "--trusted-proxies", "10.0.0.0/8,x"], "'x'", id="no network"),
        pytest.param(["serve", "--region", "Europe"], "'Europe' is no region", id="no region"),
        pytest.param(["validate", "--region", "eu west"], "is no region", id="no region to check for"),
        pytest.param(["dev", "--account-id", "12"], "12 digits", id="no account"),
        pytest.param(["serve", "--drain-window", "-1"], "--drain-window", id="a negative time"),
        pytest.param(["serve", "--lease-ttl", "0.1"], "--lease-ttl", id="a lease too short to renew"),
        pytest.param(["serve", "--redis-away", "wait"], "--redis-away", id="an unknown way to do without Redis"),
        pytest.param(["serve", "--redis-prefix", "a*b"], "--redis-prefix 'a*b'", id="no prefix"),
        pytest.param(["routes", "--output", "xml"], "'xml'", id="an unknown output"),
        pytest.param(["connect"], "Missing argument", id="no URL"),
        pytest.param(["connect", "http://127.0.0.1/"], "ws://HOST:PORT/STAGE", id="a URL of another kind"),
        pytest.param(["connect", "ws://127.0.0.1:99999/"], "ws://HOST:PORT/STAGE", id="a port no URL has"),
        pytest.param(["connect", "ws://[/"], "ws://HOST:PORT/STAGE", id="half an address"),
        pytest.param(["connect", "ws://127.0.0.1:1/", "-H", "x"], "NAME: VALUE", id="a header without a colon"),
        pytest.param(["connections", "get"], "Missing argument", id="no id"),
        pytest.param(["connections", "ls", "--endpoint", "ftp://h"], "http://HOST:PORT", id="no http endpoint"),
        pytest.param(["connections", "ls", "--endpoint", "http://h:99999"], "http://HOST:PORT", id="a wrong port"),
        pytest.param(["connections", "ls", "--endpoint", "http://["], "http://HOST:PORT", id="no endpoint at all"),
    ],
)
async def test_wrong_usage_is_one_line_and_2(arguments: list[str], why: str) -> None:
    ended = await wsgateway(*arguments)

    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith("wsgateway")
    assert ended.err.count("\n") == 1
    assert why in ended.err


@pytest.mark.parametrize("verb", ["serve", "dev", "validate", "routes"])
async def test_a_missing_file_is_named(verb: str, tmp_path: Path) -> None:
    ended = await wsgateway(verb, str(tmp_path / "none.yaml"))

    assert ended == Ended(2, "", f"{tmp_path}/none.yaml: no such file; give another path, or write one\n")


@pytest.mark.parametrize(
    ("option", "name"),
    [("--port", "public"), ("--internal-port", "internal")],
)
async def test_a_port_in_use_is_named(file: str, option: str, name: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = await wsgateway("serve", file, "--port", "0", "--internal-port", "0", option, str(port))

    assert (ended.code, ended.out) == (1, "")
    assert ended.err.startswith(f"wsgateway: the {name} listener can't have 127.0.0.1:{port}: Address already in use")
    assert ended.err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        pytest.param(["--host", "0.0.0.0", "--callback-auth", "none"], "--callback-auth none", id="pushes for all"),
        pytest.param(["--ready-file", "/nonexistent/ready"], "--ready-file /nonexistent/ready", id="a ready file"),
        pytest.param(["--max-connections", "999999999"], "--max-connections 999999999", id="too many connections"),
    ],
)
async def test_a_start_that_is_refused_says_why(file: str, arguments: list[str], why: str) -> None:
    ended = await wsgateway("serve", file, "--port", "0", "--internal-port", "0", *arguments)

    assert (ended.code, ended.out) == (1, "")
    assert ended.err.startswith("wsgateway: ")
    assert why in ended.err
    assert ended.err.count("\n") == 1


async def test_settings_come_from_the_environment_and_flags_win(tmp_path: Path) -> None:
    ready = tmp_path / "ready.json"
    env = {
        "WSGATEWAY_READY_FILE": str(ready),
        "WSGATEWAY_PORT": "1",  # the flag of the harness wins
        "WSGATEWAY_CALLBACK_AUTH": "none",
        "WSGATEWAY_MAX_CONNECTIONS": "7",
    }
    async with gateway(VALID, tmp_path, env=env) as running:
        assert json.loads(ready.read_text())["public"] == running.public
        assert (await running.metrics())["wsgateway_connections_limit"] == 7
    ended = await wsgateway("serve", str(tmp_path / "routes.yaml"), WSGATEWAY_PORT="many")
    assert (ended.code, "WSGATEWAY_PORT" in ended.err) == (2, True)


# A client


async def test_connect_sends_lines_and_prints_messages(tmp_path: Path) -> None:
    async with gateway(VALID, tmp_path) as running:
        ended = await wsgateway("connect", running.ws(), stdin='{"action": "ping"}\n{"action": "ping"}\n')

    assert (ended.code, ended.out) == (0, "pong\npong\n")
    assert ended.err.splitlines()[0] == f"connected to {running.ws()}"


async def test_connect_sends_what_is_no_utf8_all_the_same(tmp_path: Path) -> None:
    async with gateway(VALID, tmp_path) as running:
        ended = await wsgateway("connect", running.ws(), stdin=b"\xff\n")

    assert ended.code == 0
    assert json.loads(ended.out)["message"] == "Forbidden"


async def test_connect_tells_a_refusal(tmp_path: Path) -> None:
    async with gateway(VALID, tmp_path, verb="dev") as running:
        ended = await wsgateway("connect", running.ws("/nosuch"))

    assert (ended.code, ended.out) == (1, "")
    assert ended.err.startswith(f"wsgateway: {running.ws('/nosuch')} answered 403: ")
    assert "no stage 'nosuch'; its stages: dev, prod" in ended.err


async def test_connect_tells_that_nobody_is_there() -> None:
    ended = await wsgateway("connect", "ws://127.0.0.1:1/dev")

    assert ended.code == 1
    assert ended.err.startswith("wsgateway: ws://127.0.0.1:1/dev can't be reached")


async def test_connect_tells_that_somebody_else_is_there() -> None:
    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example ESMTP\r\n")
        writer.close()

    server = await asyncio.start_server(greet, "127.0.0.1", 0)
    async with server:
        url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        ended = await wsgateway("connect", url)

    assert ended.code == 1
    assert ended.err.startswith(f"wsgateway: {url} did not answer as a WebSocket server")
    assert ended.err.count("\n") == 1


# Connections


async def test_connections_are_listed_looked_at_pushed_to_and_closed(tmp_path: Path) -> None:
    async with gateway(VALID, tmp_path) as running, connect(running.ws(), user_agent_header="tests/1") as client:
        connection_id = await connection_of(client)
        at = ("--endpoint", running.internal)

        table = (await wsgateway("connections", "ls", *at)).out
        assert table.splitlines()[0].split() == ["connectionId", "stage", "sourceIp", "connectedAt", "lastActiveAt"]
        assert table.splitlines()[1].split()[:3] == [connection_id, "dev", "127.0.0.1"]
        (row,) = json.loads((await wsgateway("connections", "ls", *at, "--output", "json", "--api", "chat")).out)
        assert row["connectionId"] == connection_id

        facts = json.loads((await wsgateway("connections", "get", connection_id, *at)).out)
        assert facts["identity"]["userAgent"] == "tests/1"

        assert (await wsgateway("connections", "send", connection_id, "grüß", *at)).code == 0
        assert await heard(client) == "grüß"
        sent = await wsgateway("connections", "send", connection_id, "-", stdin="by pipe", WSGATEWAY_INTERNAL_URL=at[1])
        assert sent.code == 0
        assert await heard(client) == "by pipe"

        assert (await wsgateway("connections", "close", connection_id, *at)).code == 0
        assert await closed(client) == (1000, "Connection Closed Normally")
        assert await wsgateway("connections", "get", connection_id, *at) == Ended(
            1, "", "wsgateway: the connection is gone (410)\n"
        )
        wrong = await wsgateway("connections", "ls", "--stage", "nosuch", *at)
        assert (wrong.code, "403" in wrong.err) == (1, True)
        other = await wsgateway("connections", "ls", "--endpoint", f"{running.internal}/version")
        assert other.code == 1


@pytest.mark.parametrize("verb", [["nodes"], ["nodes", "ls"]], ids=" ".join)
async def test_a_gateway_alone_is_the_only_node(tmp_path: Path, verb: list[str]) -> None:
    async with gateway(VALID, tmp_path) as running, connect(running.ws()) as client:
        await connection_of(client)
        at = ("--endpoint", running.internal)

        (node,) = json.loads((await wsgateway(*verb, *at, "--output", "json")).out)
        assert (node["address"], node["state"], node["connections"]) == (running.internal[7:], "live", 1)
        assert node["name"].endswith(f":{running.pid}")
        assert len(node["definitions"]) == 64
        head, row = (await wsgateway(*verb, *at)).out.splitlines()
        assert head.split() == ["slot", "name", "address", "state", "connections", "definitions", "version", "age"]
        assert row.split()[0] == node["slot"]


async def test_connections_without_a_gateway() -> None:
    ended = await wsgateway("connections", "ls", "--endpoint", "http://127.0.0.1:1")

    assert ended.code == 1
    assert "is the gateway running?" in ended.err


@pytest.mark.parametrize(
    ("verb", "default"),
    [
        ("serve", "(default: WSGATEWAY_INSTALLATION_SECRET, else one made in Redis)"),
        ("serve", "(default: what the file limit of each process allows)"),
        ("serve", "(default: AWS_REGION, AWS_DEFAULT_REGION, the AWS profile's)"),
        ("dev", "(default: 8443, or any if that is taken)"),
        ("connect", "(default: pretty at a terminal, else raw)"),
    ],
)
async def test_help_tells_defaults_that_are_no_values(verb: str, default: str) -> None:
    shown = await wsgateway(verb, "--help", COLUMNS="600")

    assert default in shown.out
