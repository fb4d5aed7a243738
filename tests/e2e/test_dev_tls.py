"""`wsgateway dev` speaks TLS by itself, and unmodified handlers push back to the address an event names."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import stat
import sys
from asyncio.subprocess import PIPE
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from websockets.asyncio.client import connect

from tests import prefork
from tests.certificates import Authority
from tests.harness import PATIENCE, Gateway, gateway, heard
from tests.node import NODE, node_modules

pytestmark = pytest.mark.anyio

DEFINITION = """
apis:
  chat:
    protocolType: WEBSOCKET
    routeSelectionExpression: $request.body.action
    stages: {{dev: {{}}}}
    routes:
      $default:
        routeResponse: true
        integration: {{integrationType: AWS_PROXY, integrationUri: "function:app"}}
  game:
    protocolType: WEBSOCKET
    routeSelectionExpression: $request.body.action
    stages: {{dev: {{}}}}
    routes: {{$default: {{routeResponse: true, integration: {{integrationType: AWS_PROXY, integrationUri: "function:app"}}}}}}
defaultApi: chat
functions:
  app: {{runtime: {runtime}, codeUri: ., handler: {handler}, timeout: 20, memorySize: 512{more}}}
"""  # noqa: E501

BOTO3 = """
import boto3

def handler(event, context):
    where = event["requestContext"]
    api = boto3.client("apigatewaymanagementapi", endpoint_url=f"https://{where['domainName']}/{where['stage']}")
    api.post_to_connection(ConnectionId=where["connectionId"], Data=b"pushed")
    got = api.get_connection(ConnectionId=where["connectionId"])
    try:
        api.post_to_connection(ConnectionId=where["connectionId"][::-1], Data=b"nobody")
    except api.exceptions.ClientError as error:
        return {"statusCode": 200, "body": f"{got['Identity']['SourceIp']} {error.response['Error']['Code']}"}
"""

SDK_V3 = """
const { ApiGatewayManagementApiClient, PostToConnectionCommand, GetConnectionCommand } =
  require("@aws-sdk/client-apigatewaymanagementapi");
exports.handler = async (event) => {
  const { domainName, stage, connectionId: ConnectionId } = event.requestContext;
  const client = new ApiGatewayManagementApiClient({ endpoint: `https://${domainName}/${stage}` });
  await client.send(new PostToConnectionCommand({ ConnectionId, Data: "pushed" }));
  const got = await client.send(new GetConnectionCommand({ ConnectionId }));
  const wrong = [...ConnectionId].reverse().join("");
  const error = await client.send(new PostToConnectionCommand({ ConnectionId: wrong, Data: "" })).catch((e) => e);
  return { statusCode: 200, body: `${got.Identity.SourceIp} ${error.name}` };
};
"""

SDK_V2 = """
process.env.AWS_SDK_JS_SUPPRESS_MAINTENANCE_MODE_MESSAGE = "1";
const AWS = require("aws-sdk");
exports.handler = async (event) => {
  const { domainName, stage, connectionId: ConnectionId } = event.requestContext;
  const client = new AWS.ApiGatewayManagementApi({ apiVersion: "2018-11-29", endpoint: `https://${domainName}/${stage}` });
  await client.postToConnection({ ConnectionId, Data: "pushed" }).promise();
  const got = await client.getConnection({ ConnectionId }).promise();
  const wrong = [...ConnectionId].reverse().join("");
  const error = await client.postToConnection({ ConnectionId: wrong, Data: "" }).promise().catch((e) => e);
  return { statusCode: 200, body: `${got.Identity.SourceIp} ${error.code}` };
};
"""  # noqa: E501

URLLIB = """
import json, os, ssl, urllib.request

def handler(event, context):
    where = event["requestContext"]
    url = f"https://{where['domainName']}/{where['stage']}/@connections/{where['connectionId']}"
    urllib.request.urlopen(urllib.request.Request(url, b"pushed", method="POST")).read()
    return {"statusCode": 200, "body": "127.0.0.1 BadRequestException"}
"""

PYTHON = f"python{sys.version_info.major}.{sys.version_info.minor}"


@pytest.fixture(scope="session")
def sdks(pytestconfig: pytest.Config) -> Path:
    return node_modules(pytestconfig.cache.mkdir("node"))


def written(folder: Path, code: str, sdks: Path | None = None) -> str:
    """The definition of a function with this code, which is written beside it."""
    if sdks is None:
        (folder / "app.py").write_text(code)
        return DEFINITION.format(runtime=PYTHON, handler="app.handler", more="")
    (folder / "app.js").write_text(code)
    return DEFINITION.format(runtime="nodejs20.x", handler="app.handler", more=f", nodeModules: {sdks}")


async def pushes_back(running: Gateway, path: str = "/dev", host: str = "127.0.0.1") -> None:
    """The function pushes through the address it is told, and its reply says what else it saw there."""
    async with connect(f"ws://{host}:{running.port}{path}", host="127.0.0.1") as client:
        await client.send("hello")
        assert await heard(client) == "pushed"
        assert await heard(client) == "127.0.0.1 BadRequestException"


def dev(
    definition: str, folder: Path, *flags: str, usual: bool = False, **env: str
) -> AbstractAsyncContextManager[Gateway]:
    path = f"{NODE.parent}:{os.environ['PATH']}"
    return gateway(definition, folder, *flags, verb="dev", env={"PATH": path, **env}, usual_tls_port=usual)


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("code", "node"),
    [
        pytest.param(BOTO3, False, id="boto3"),
        pytest.param(URLLIB, False, id="Python's own client"),
        pytest.param(SDK_V3, True, id="AWS SDK for JavaScript v3"),
        pytest.param(SDK_V2, True, id="AWS SDK for JavaScript v2"),
    ],
)
@pytest.mark.parametrize("path", ["/dev", "/execute-api/game/dev"])
async def test_an_unmodified_handler_pushes_back(
    code: str, node: bool, path: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """`https://{domainName}/{stage}` is the endpoint, as AWS's examples compose it."""
    sdks = request.getfixturevalue("sdks") if node else None
    async with dev(written(tmp_path, code, sdks), tmp_path) as running:
        await pushes_back(running, path)


async def test_whatever_host_a_client_names(tmp_path: Path) -> None:
    """An AWS Host chooses the API and can't be reached from here; localhost can."""
    async with dev(written(tmp_path, URLLIB), tmp_path) as running:
        for host in ("localhost", "game.execute-api.us-east-1.amazonaws.com", "unknown.example"):
            await pushes_back(running, host=host)


async def test_an_authority_is_made_once_and_kept_to_its_user(tmp_path: Path) -> None:
    state = tmp_path / "state" / "wsgateway"
    definition = written(tmp_path, URLLIB)
    async with dev(definition, tmp_path) as first:
        assert stat.S_IMODE(state.stat().st_mode) == 0o700
        assert {stat.S_IMODE(file.stat().st_mode) for file in state.glob("*.pem")} == {0o600}
        trust = ssl.create_default_context(cafile=state / "ca.pem")
        async with dev(definition, tmp_path) as second:
            for running in (first, second):
                assert running.tls is not None
                for host in ("127.0.0.1", "localhost", socket.gethostname().lower()):
                    async with connect(f"wss://{host}:{running.tls_port}/dev", ssl=trust, host="127.0.0.1") as client:
                        await client.send("x")
                        assert await heard(client) == "pushed"


async def test_a_domain_of_the_definition_is_covered(tmp_path: Path) -> None:
    definition = written(tmp_path, URLLIB)
    domains = 'domains: {{{}: {{mappings: {{"": {{api: chat, stage: dev}}}}}}}}\n'
    async with dev(definition + domains.format("chat.localhost"), tmp_path) as running:
        trust = ssl.create_default_context(cafile=tmp_path / "state" / "wsgateway" / "ca.pem")
        async with connect(f"wss://chat.localhost:{running.tls_port}/", ssl=trust, host="127.0.0.1"):
            pass

        (tmp_path / "routes.yaml").write_text(definition + domains.format("new.localhost"))
        running.reload()
        await running.logged("definition deployed")
        async with connect(f"wss://new.localhost:{running.tls_port}/", ssl=trust, host="127.0.0.1"):
            pass


async def test_where_nothing_can_be_kept_an_authority_lasts_as_long_as_its_process(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    env = {"XDG_STATE_HOME": str(tmp_path / "file"), "TMPDIR": str(temporary)}
    async with dev(written(tmp_path, URLLIB), tmp_path, **env) as running:
        assert "Not a directory" in await running.logged("the development CA can't be kept")
        await pushes_back(running)
        running.terminate()
        assert await running.wait() == 0
    assert list(temporary.glob("wsgateway-*")) == []


async def test_an_authority_that_cannot_be_kept_goes_with_a_start_that_fails(tmp_path: Path) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    (tmp_path / "routes.yaml").write_text(written(tmp_path, URLLIB).replace('"function:app"', '"function:nobody"'))
    unset = ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_LAMBDA")
    process = await prefork.wsgateway(
        "dev", tmp_path / "routes.yaml", "--port", "0", "--internal-port", "0", stdout=PIPE, stderr=PIPE,
        env=os.environ | dict.fromkeys(unset, "") | {"XDG_STATE_HOME": "/dev/null", "TMPDIR": str(temporary)},
    )  # fmt: skip
    async with asyncio.timeout(PATIENCE):
        said = b"".join(await process.communicate())

    assert process.returncode == 2
    assert b"no function here is named nobody" in said
    assert list(temporary.iterdir()) == []


async def test_a_second_signal_leaves_no_authority_either(tmp_path: Path) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    env = {"XDG_STATE_HOME": "/dev/null", "TMPDIR": str(temporary)}
    async with (
        dev(written(tmp_path, URLLIB), tmp_path, "--drain-window", "60", **env) as running,
        connect(running.ws()),
    ):
        assert list(temporary.glob("wsgateway-*"))
        running.terminate()
        await running.logged("draining")
        running.terminate()
        assert await running.wait() == 1
    assert list(temporary.glob("wsgateway-*")) == []


async def test_the_usual_port_if_it_is_free(tmp_path: Path) -> None:
    try:
        taken = socket.create_server(("127.0.0.1", 8443))
    except OSError:
        taken = None  # somebody else has it: as good
    try:
        async with dev(written(tmp_path, URLLIB), tmp_path, usual=True) as running:
            assert running.tls_port != 8443
            assert f'"port":{running.tls_port}' in await running.logged("the usual port for TLS is taken")
            await pushes_back(running)
    finally:
        if taken is not None:
            taken.close()


async def test_a_certificate_of_ones_own_is_shown_instead(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    certificate, key = authority.issue_to("127.0.0.1")
    flags = ["--tls-port", "0", "--tls-cert", certificate, "--tls-key", key]
    env = {"SSL_CERT_FILE": authority.file}
    async with dev(written(tmp_path, URLLIB), tmp_path, *flags, **env) as running:
        url = f"wss://127.0.0.1:{urlsplit(running.tls or '').port}/dev"
        async with connect(url, ssl=authority.client()) as client:
            await client.send("x")
            assert await heard(client) == "pushed"
        assert not (tmp_path / "state").exists()


async def test_connect_trusts_what_dev_shows(tmp_path: Path) -> None:
    async def said(url: str, state: str) -> tuple[int | None, str]:
        client = await prefork.wsgateway(
            "connect", url, stdin=PIPE, stdout=PIPE, stderr=PIPE, env=os.environ | {"XDG_STATE_HOME": state}
        )
        async with asyncio.timeout(PATIENCE):
            out, err = await client.communicate(b"hello\n")
        return client.returncode, out.decode() or err.decode()

    async with dev(written(tmp_path, URLLIB), tmp_path) as running:
        url = f"wss://localhost:{running.tls_port}/dev"
        assert await said(url, str(tmp_path / "state")) == (0, "pushed\n127.0.0.1 BadRequestException\n")
        code, refused = await said(url, str(tmp_path / "nobody's"))
        assert (code, refused.count("\n")) == (1, 1)
        assert f"{url}'s certificate is not trusted: " in refused


async def test_serve_gives_functions_no_trust_of_its_own(tmp_path: Path) -> None:
    code = """
import os
def handler(event, context):
    names = ("AWS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")
    return {"statusCode": 200, "body": ",".join(name for name in names if "wsgateway" in os.environ.get(name, ""))}
"""
    definition = written(tmp_path, code)
    async with gateway(definition, tmp_path) as running, connect(running.ws()) as client:
        assert running.tls is None
        await client.send("x")
        assert await heard(client) == ""
    async with dev(definition, tmp_path) as running, connect(running.ws()) as client:
        await client.send("x")
        assert len(str(await heard(client)).split(",")) == 4
