"""Routes to Lambda functions elsewhere: what the endpoint is asked, and what its answers and failures become.

Lambda API reference, Invoke; API Gateway developer guide, "Set up Lambda proxy integrations for WebSocket APIs".
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from cryptography import x509
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Subprotocol

from tests import prefork
from tests.certificates import Authority, server_context
from tests.harness import Backend, Gateway, Request, backend, gateway, heard

pytestmark = pytest.mark.anyio

DEFINITION = """
apis:
  chat:
    protocolType: WEBSOCKET
    routeSelectionExpression: $request.body.action
    profile: %(profile)s
    stages: {dev: {stageVariables: {fn: chat, alias: live}}}
    integrations:
      app: {integrationType: AWS_PROXY, integrationUri: "%(uri)s", timeoutInMillis: %(timeout)s%(more)s}
    routes:
      $default: {integration: app, routeResponse: true}
      quiet: {integration: app}
%(routes)s
"""
EVENTS = "      $connect: {integration: app}\n      $disconnect: {integration: app}"

ARN = "arn:aws:lambda:eu-central-1:123456789012:function:chat"
CHAT = "/2015-03-31/functions/chat/invocations"
KEY, SECRET, TOKEN = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "session/token+of=this=test"


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", {"use_uvloop": True}


@pytest.fixture(autouse=True)
def nothing_of_aws(monkeypatch: pytest.MonkeyPatch) -> None:
    forget_aws(monkeypatch)


def forget_aws(patch: pytest.MonkeyPatch) -> None:
    """Whoever runs the tests may have credentials."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        patch.delenv(name)
    patch.setenv("AWS_EC2_METADATA_DISABLED", "true")


def defined(uri: str = "function:chat", routes: str = "", **keys: object) -> str:
    values = {"profile": "open", "timeout": 5000, "more": "", "uri": uri, "routes": routes, **keys}
    return DEFINITION % values


def environment(server: Backend | None, folder: Path, *, keys: bool = True, **more: str) -> dict[str, str]:
    """The process's environment: keys, a region, and where Lambda is."""
    files = {
        "AWS_CONFIG_FILE": str(folder / "aws-config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(folder / "aws-credentials"),
    }
    known = {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET} if keys else {}
    there = {} if server is None else {"AWS_ENDPOINT_URL_LAMBDA": f"http://127.0.0.1:{server.port}"}
    return files | known | {"AWS_REGION": "eu-central-1"} | there | more


@asynccontextmanager
async def elsewhere(
    definition: str, folder: Path, *flags: str, keys: bool = True, **more: str
) -> AsyncIterator[tuple[Gateway, Backend]]:
    """A gateway, and the Lambda endpoint it calls."""
    async with backend() as server:
        env = environment(server, folder, keys=keys, **more)
        async with gateway(definition, folder, *flags, env=env) as running:
            yield running, server


def result(body: str | None = None, status: int = 200, **more: Any) -> tuple[int, dict[str, str], bytes]:
    """Lambda's answer to an invocation whose handler returned this."""
    value = {"statusCode": status, **({} if body is None else {"body": body}), **more}
    return 200, {"X-Amz-Executed-Version": "$LATEST"}, json.dumps(value).encode()


def refusal(status: int, kind: str, text: str) -> tuple[int, dict[str, str], bytes]:
    """Lambda's refusal of a call."""
    headers = {"x-amzn-ErrorType": kind, "Content-Type": "application/json"}
    return status, headers, json.dumps({"Type": "User", "Message": text}).encode()


def signed_by(request: Request, *, key: str = KEY, secret: str = SECRET, region: str = "eu-central-1") -> bool:
    """Whether botocore gives the same signature to the same request."""
    said = request.header("authorization") or ""
    names = said.partition("SignedHeaders=")[2].partition(",")[0].split(";")
    assert {"host", "x-amz-date"} <= set(names)
    assert {name.lower() for name, _ in request.headers if name.lower().startswith("x-amz-")} <= set(names)
    headers = {name: request.header(name) for name in names}
    again = AWSRequest("POST", f"http://{headers['host']}{request.target}", headers=headers, data=request.body)
    again.context["timestamp"] = headers["x-amz-date"]
    signer = SigV4Auth(Credentials(key, secret), "lambda", region)
    signature = signer.signature(signer.string_to_sign(again, signer.canonical_request(again)), again)
    return said.endswith(f"Signature={signature}") and f"Credential={key}/" in said


# What Lambda is asked


@pytest.mark.parametrize(
    ("uri", "target"),
    [
        pytest.param("function:chat", CHAT, id="short"),
        pytest.param("function:${stageVariables.fn}:${stageVariables.alias}", f"{CHAT}?Qualifier=live", id="by stage"),
        pytest.param("function:chat:$LATEST", f"{CHAT}?Qualifier=%24LATEST", id="$LATEST"),
        pytest.param(ARN, f"/2015-03-31/functions/{quote(ARN, safe='')}/invocations", id="an ARN"),
        pytest.param(
            f"{ARN}:7", f"/2015-03-31/functions/{quote(ARN, safe='')}/invocations?Qualifier=7", id="an ARN with version"
        ),
        pytest.param(
            f"arn:aws:apigateway:eu-central-1:lambda:path/2015-03-31/functions/{ARN}:live/invocations",
            f"/2015-03-31/functions/{quote(ARN, safe='')}/invocations?Qualifier=live",
            id="AWS's long form",
        ),
    ],
)
async def test_a_message_is_one_signed_invocation(uri: str, target: str, tmp_path: Path) -> None:
    async with elsewhere(defined(uri), tmp_path, AWS_SESSION_TOKEN=TOKEN) as (running, server):
        server.answers(target.partition("?")[0], lambda request: result("HELLO"))
        async with connect(running.ws()) as client:
            await client.send("hello")
            assert await heard(client) == "HELLO"

        (asked,) = server.requests
        event = json.loads(asked.body)
        assert (asked.method, asked.target) == ("POST", target)
        assert signed_by(asked)
        assert event["body"] == "hello"
        assert event["requestContext"]["routeKey"] == "$default"
        assert asked.header("host") == f"127.0.0.1:{server.port}"
        assert asked.header("x-amz-security-token") == TOKEN
        assert asked.header("x-amz-invocation-type") == "RequestResponse"
        assert asked.header("x-amz-log-type") is None
        assert asked.header("accept") == "application/json"
        assert asked.header("user-agent") == "AmazonAPIGateway_chat"
        assert asked.header("x-amzn-apigateway-api-id") == "chat"
        assert asked.header("x-amzn-lambda-integration-tag") == event["requestContext"]["requestId"]
        assert (asked.header("x-amzn-trace-id") or "").startswith("Root=1-")


async def test_every_kind_of_event_is_an_invocation(tmp_path: Path) -> None:
    def answered(request: Request) -> Any:
        event = json.loads(request.body)
        match event["requestContext"]["eventType"]:
            case "CONNECT" if "refuse" in event.get("queryStringParameters", {}):
                return result("not you", 401)
            case "CONNECT":
                return result(headers={"Sec-WebSocket-Protocol": "chat.v1"})
            case "MESSAGE":
                return result("reply")
        return result()

    async with elsewhere(defined(routes=EVENTS), tmp_path) as (running, server):
        server.answers(CHAT, answered)
        with pytest.raises(InvalidStatus) as refused:
            await connect(running.ws("/dev?refuse=1"))
        assert (refused.value.response.status_code, refused.value.response.body) == (401, b"not you")

        async with connect(running.ws(), subprotocols=[Subprotocol("chat.v1")]) as client:
            assert client.subprotocol == "chat.v1"
            await client.send('{"action": "quiet"}')
            await server.saw(CHAT, 3)
            await client.send("loud")
            assert await heard(client) == "reply", "the result of a one-way route is dropped"
            await client.close(4001, "bye")

        left = json.loads((await server.saw(CHAT, 5)).body)["requestContext"]
        assert (left["eventType"], left["disconnectStatusCode"]) == ("DISCONNECT", 4001)
        assert all(signed_by(request) for request in server.requests)


async def test_a_local_function_of_that_name_wins(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text('def handler(event, context):\n    return {"statusCode": 200, "body": "here"}\n')
    runtime = f"python3.{sys.version_info.minor}"
    local = f"functions:\n  chat: {{runtime: {runtime}, codeUri: ., handler: app.handler}}\n"
    async with elsewhere(defined(ARN) + local, tmp_path) as (running, server), connect(running.ws()) as client:
        await client.send("hello")

        assert await heard(client) == "here"
        assert not server.requests


async def test_another_gateways_functions_are_called_by_their_invoke_api(tmp_path: Path) -> None:
    there, here = tmp_path / "there", tmp_path / "here"
    there.mkdir()
    here.mkdir()
    (there / "app.py").write_text(
        "import json, os\n"
        "print('invoked at', os.environ['AWS_LAMBDA_RUNTIME_API'])\n"
        "def handler(event, context):\n"
        "    if event['body'] == 'raise': raise ValueError('out of order')\n"
        "    return {'statusCode': 200, 'body': event['body'].upper()}\n"
    )
    runtime = f"python3.{sys.version_info.minor}"
    functions = f"functions:\n  chat: {{runtime: {runtime}, codeUri: ., handler: app.handler}}\n"
    async with gateway(defined() + functions, there, verb="dev") as other:
        line = json.loads(await other.logged("invoked at"))["line"]
        env = environment(None, here, AWS_ENDPOINT_URL=f"http://{line.split()[-1]}")
        async with gateway(defined(), here, env=env) as running, connect(running.ws()) as client:
            await client.send("hello")
            assert await heard(client) == "HELLO"

            await client.send("raise")
            assert json.loads(await heard(client))["message"] == "Internal server error"
            assert "out of order" in await running.logged("integration fails")
        env = environment(None, here, AWS_ENDPOINT_URL=f"http://{line.split()[-1]}")
        async with gateway(defined("function:nobody"), here, env=env) as running, connect(running.ws()) as client:
            await client.send("hello")
            assert json.loads(await heard(client))["message"] == "Internal server error"
            assert "Function not found" in await running.logged("integration fails")


async def test_an_https_endpoint_is_verified_by_aws_ca_bundle(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    secure = server_context(authority.issue("lambda", x509.DNSName("localhost")))
    async with backend(secure=secure) as server:
        server.answers(CHAT, lambda request: result("HELLO"))
        there = {"AWS_ENDPOINT_URL_LAMBDA": f"https://localhost:{server.port}"}
        env = environment(None, tmp_path, AWS_CA_BUNDLE=authority.file, **there)
        async with gateway(defined(), tmp_path, env=env) as running, connect(running.ws()) as client:
            await client.send("hello")
            assert await heard(client) == "HELLO"
        async with (
            gateway(defined(), tmp_path, env=environment(None, tmp_path, **there)) as running,
            connect(running.ws()) as client,
        ):
            await client.send("hello")
            assert json.loads(await heard(client))["message"] == "Internal server error"
            line = json.loads(await running.logged("integration fails"))
            assert line["error"].startswith("function chat: backend https://localhost")
            assert "certificate that can't be trusted" in line["error"]


# What its failures become

Failure = Callable[[Request], Any] | tuple[int, dict[str, str], bytes] | bytes | None

LEAK = (
    "The request signature we calculated does not match the signature you provided.\n\nThe Canonical String for this "
    f"request should have been\n'POST\nx-amz-security-token:{TOKEN}'"
)


async def never(request: Request) -> None:
    await asyncio.Event().wait()


@dataclass(frozen=True)
class Failing:
    """An answer of Lambda, and what becomes of it."""

    answer: Failure
    status: int
    reason: str
    """In the log; "" where a handshake has no such failure, for its body may have any size."""
    counted: str
    case: str


FAILURES = [
    Failing(
        (200, {"X-Amz-Function-Error": "Unhandled"}, b'{"errorMessage": "out of order"}'),
        502, "out of order", "function_error", "the function raises",
    ),
    Failing(
        refusal(429, "TooManyRequestsException", "Rate Exceeded."),
        502, "429 TooManyRequestsException Rate Exceeded.", "throttled", "throttled",
    ),
    Failing(
        refusal(404, "ResourceNotFoundException:http://internal.amazon.com/coral/", f"Function not found: {ARN}"),
        500, f"404 ResourceNotFoundException Function not found: {ARN}", "not_found", "no such function",
    ),
    Failing(
        refusal(403, "AccessDeniedException", "User: x is not authorized to perform: lambda:InvokeFunction"),
        500, "not authorized to perform", "denied", "not allowed",
    ),
    Failing(
        refusal(403, "InvalidSignatureException", LEAK),
        500, "The request signature we calculated", "denied", "a wrong signature",
    ),
    Failing(
        refusal(500, "ServiceException", "An error occurred"),
        502, "500 ServiceException", "error", "a fault of Lambda",
    ),
    Failing((503, {}, b"<html>"), 502, "answered 503", "error", "no JSON in a refusal"),
    Failing((302, {"Location": "http://127.0.0.1/"}, b""), 502, "answered 302", "error", "a redirect"),
    Failing((200, {}, b"{not json"), 502, "result is not JSON", "ok", "a result that is not JSON"),
    Failing((200, {}, b"[1]"), 502, "not an object", "ok", "a result that is no object"),
    Failing((200, {}, b""), 502, "not an object", "ok", "an empty result"),
    Failing(
        b"HTTP/1.1 200 OK\r\nContent-Length: 6291557\r\n\r\n",
        502, "over 6291556 bytes", "error", "a huge result",
    ),
    Failing(result("x" * 1_048_577), 502, "", "ok", "a reply over the limit"),
    Failing(None, 502, "closed", "error", "a connection that ends"),
    Failing(b"nonsense\r\n\r\n", 502, "not HTTP", "error", "not HTTP"),
    Failing(never, 504, "took longer than 0.2 s", "timeout", "no answer in time"),
]  # fmt: skip
ONE_OF_MANY = """
  %(function)s:
    protocolType: WEBSOCKET
    routeSelectionExpression: $request.body.action
    stages: {dev: {}}
    integrations:
      app: {integrationType: AWS_PROXY, integrationUri: "function:%(function)s", timeoutInMillis: 200}
    routes:
      %(route)s: {integration: app%(more)s}
"""


def functions_of(number: int) -> tuple[str, str]:
    """Where messages go, and who is asked who may connect."""
    return f"message{number:02}", f"connect{number:02}"


@pytest.fixture(scope="module")
async def failing(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[Gateway, Backend]]:
    """Two functions for each failure, with an API each."""
    definition = "apis:"
    for number in range(len(FAILURES)):
        message, door = functions_of(number)
        definition += ONE_OF_MANY % {"function": message, "route": "$default", "more": ", routeResponse: true"}
        definition += ONE_OF_MANY % {"function": door, "route": "$connect", "more": ""}
    with pytest.MonkeyPatch.context() as patch:
        forget_aws(patch)
        async with elsewhere(definition, tmp_path_factory.mktemp("failing"), AWS_SESSION_TOKEN=TOKEN) as pair:
            yield pair


@pytest.mark.parametrize("number", range(len(FAILURES)), ids=[failure.case for failure in FAILURES])
async def test_a_failure_is_awss_answer_and_a_line_that_names_the_function(
    number: int, failing: tuple[Gateway, Backend]
) -> None:
    running, server = failing
    failure, functions = FAILURES[number], functions_of(number)
    for function in functions:
        server.answers(f"/2015-03-31/functions/{function}/invocations", failure.answer)
    async with connect(running.ws(f"/execute-api/{functions[0]}/dev")) as client:
        await client.send("hello")
        message = "Endpoint request timed out" if failure.status == 504 else "Internal server error"
        assert json.loads(await heard(client))["message"] == message
    if failure.reason:
        with pytest.raises(InvalidStatus) as refused:
            await connect(running.ws(f"/execute-api/{functions[1]}/dev"))
        assert refused.value.response.status_code == failure.status

    for function in functions if failure.reason else functions[:1]:
        line = json.loads(await running.logged(f"function {function}"))
        assert line["event"] == "integration fails"
        assert line["error"].startswith(f"function {function}")
        assert failure.reason in line["error"]
        assert line["status"] == failure.status
        metrics = await running.metrics()
        assert metrics[f'wsgateway_lambda_calls_total{{function="{function}",result="{failure.counted}"}}'] == 1
    assert not [entry for entry in running.log if TOKEN in entry or SECRET in entry]


async def test_an_endpoint_that_is_down(tmp_path: Path) -> None:
    env = environment(None, tmp_path, AWS_ENDPOINT_URL_LAMBDA="http://127.0.0.1:1")
    async with gateway(defined(), tmp_path, env=env) as running, connect(running.ws()) as client:
        await client.send("hello")

        assert json.loads(await heard(client))["message"] == "Internal server error"
        line = json.loads(await running.logged("integration fails"))
        assert line["error"].startswith("function chat: backend http://127.0.0.1:1 refused the connection")
        assert line["status"] == 500


async def test_a_cap_holds_for_functions_elsewhere(tmp_path: Path) -> None:
    release = asyncio.Event()

    async def held(request: Request) -> Any:
        await release.wait()
        return result("late")

    async with (
        elsewhere(defined(more=", maxConcurrency: 1"), tmp_path) as (running, server),
        connect(running.ws()) as client,
    ):
        server.answers(CHAT, held)
        await client.send("first")
        await server.saw(CHAT)
        await client.send("second")
        assert json.loads(await heard(client))["message"] == "Service Unavailable"

        release.set()
        assert await heard(client) == "late"
        assert (await running.metrics())['wsgateway_integration_failures_total{kind="refused"}'] == 1


# Credentials


async def test_without_credentials_the_client_hears_an_error_and_the_log_says_how_to_mend_it(tmp_path: Path) -> None:
    async with elsewhere(defined(), tmp_path, keys=False) as (running, server):
        line = json.loads(await running.logged("no AWS credentials"))
        assert "AWS_ACCESS_KEY_ID" in line["error"]
        async with connect(running.ws()) as client:
            await client.send("hello")
            assert json.loads(await heard(client))["message"] == "Internal server error"
            line = json.loads(await running.logged("integration fails"))
            assert line["error"].startswith("function chat: no AWS credentials: none were found")
            assert (await running.metrics())["wsgateway_aws_credentials_valid"] == 0

            server.answers(CHAT, lambda request: result("HELLO"))
            (tmp_path / "aws-credentials").write_text(
                f"[default]\naws_access_key_id = {KEY}\naws_secret_access_key = {SECRET}\n"
            )
            running.reload()
            found = json.loads(await running.logged("AWS credentials found"))
            assert found["access_key_id"] == KEY
            await client.send("hello")

            assert await heard(client) == "HELLO"
            assert signed_by(await server.saw(CHAT))
            assert (await running.metrics())["wsgateway_aws_credentials_valid"] == 1


async def test_keys_that_are_over_are_looked_for_again(tmp_path: Path) -> None:
    keys = tmp_path / "aws-credentials"
    keys.write_text("[default]\naws_access_key_id = OLD\naws_secret_access_key = old\n")

    def answered(request: Request) -> Any:
        if "Credential=OLD/" in (request.header("authorization") or ""):
            return refusal(403, "UnrecognizedClientException", "The security token included in the request is invalid.")
        return result("HELLO")

    async with elsewhere(defined(), tmp_path, keys=False) as (running, server), connect(running.ws()) as client:
        server.answers(CHAT, answered)
        keys.write_text(f"[default]\naws_access_key_id = {KEY}\naws_secret_access_key = {SECRET}\n")
        await client.send("hello")
        assert json.loads(await heard(client))["message"] == "Internal server error"
        changed = json.loads(await running.logged("AWS credentials changed"))
        assert changed["access_key_id"] == KEY
        await client.send("hello")

        assert await heard(client) == "HELLO"


ROLE = "arn:aws:iam::123456789012:role/chat"
ASSUMED = f"""<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult><Credentials>
<AccessKeyId>ASIAROLE</AccessKeyId><SecretAccessKey>of the role</SecretAccessKey><SessionToken>{TOKEN}</SessionToken>
<Expiration>2099-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>"""


async def test_a_role_signs_with_its_own_keys(tmp_path: Path) -> None:
    """Those of a file, those STS gives for it; a role that is not listed has the process's."""
    (tmp_path / "secret").write_text("in a file\n")
    roles = f"""
roles:
  {ROLE}: {{assumeRole: true, environmentPrefix: CHAT_, externalId: ours}}
  {ROLE}/file: {{accessKeyId: AKIAFILE, secretAccessKey: file:secret}}
"""
    other = "{integrationType: AWS_PROXY, integrationUri: function:chat, credentialsArn: %s%s}, routeResponse: true}"
    routes = "".join(
        f"      {name}: {{integration: {other % (ROLE, path)}\n"
        for name, path in [("file", "/file"), ("own", "/other")]
    )
    definition = defined(routes=routes, more=", credentialsArn: 'arn:aws:iam::123456789012:role/${stageVariables.fn}'")
    async with backend() as server:
        server.answers("/", lambda request: (200, {"Content-Type": "text/xml"}, ASSUMED.encode()))
        server.answers(CHAT, lambda request: result("HELLO"))
        sts = {"AWS_ENDPOINT_URL_STS": f"http://127.0.0.1:{server.port}"}
        keys = {"CHAT_AWS_ACCESS_KEY_ID": "AKIASOURCE", "CHAT_AWS_SECRET_ACCESS_KEY": "source"}
        env = environment(server, tmp_path, **sts, **keys)
        async with gateway(definition + roles, tmp_path, env=env) as running, connect(running.ws()) as client:
            for action in ("hello", "file", "own"):
                await client.send(json.dumps({"action": action}))
                assert await heard(client) == "HELLO"
            found = {json.loads(line).get("role"): line for line in running.log if "AWS credentials found" in line}

    asked = await server.saw("/")
    assert b"Action=AssumeRole" in asked.body
    assert b"ExternalId=ours" in asked.body
    assert "Credential=AKIASOURCE/" in (asked.header("authorization") or "")
    assumed, file, own = [request for request in server.requests if request.target == CHAT]
    assert signed_by(assumed, key="ASIAROLE", secret="of the role")
    assert assumed.header("x-amz-security-token") == TOKEN
    assert signed_by(file, key="AKIAFILE", secret="in a file")
    assert signed_by(own)
    assert set(found) == {None, ROLE, f"{ROLE}/file"}
    assert "secret" not in "".join(found.values())


WITHOUT = """
apis:
  chat:
    protocolType: WEBSOCKET
    routeSelectionExpression: $request.body.action
    stages: {dev: {}}
    routes:
      $default: {integration: {integrationType: MOCK, requestTemplates: {$default: '{"statusCode": 200}'}}}
"""
"""No function is called."""


@contextmanager
def credentials_that_wait(folder: Path) -> Iterator[Callable[[], object]]:
    """A program finds them, once what is given has been called."""
    os.mkfifo(folder / "gate")
    found = json.dumps({"Version": 1, "AccessKeyId": KEY, "SecretAccessKey": SECRET})
    (folder / "found.json").write_text(found)
    (folder / "find.sh").write_text(f"read line < '{folder}/gate'; cat '{folder}/found.json'\n")
    (folder / "aws-config").write_text(f"[default]\ncredential_process = /bin/sh '{folder}/find.sh'\n")
    with open(folder / "gate", "r+b", buffering=0) as gate:
        yield lambda: gate.write(b"go\n")


async def test_a_reload_that_brings_the_first_function_elsewhere_has_its_credentials_at_once(tmp_path: Path) -> None:
    async with elsewhere(WITHOUT, tmp_path) as (running, server), connect(running.ws()) as client:
        server.answers(CHAT, lambda request: result("HELLO"))
        assert "wsgateway_aws_credentials_valid" not in await running.metrics(), "nobody needs any"
        (tmp_path / "routes.yaml").write_text(defined())
        running.reload()
        await running.logged("definition deployed")
        told = json.loads(await running.logged("function elsewhere"))
        assert (told["function"], told["endpoint"]) == ("chat", f"http://127.0.0.1:{server.port}")
        await client.send("hello")

        assert await heard(client) == "HELLO"


@pytest.mark.parametrize("becomes", ["half written", "", None], ids=["another text", "nothing", "the same, anew"])
async def test_a_ca_bundle_that_changes_while_a_reload_waits_for_credentials_is_not_looked_at_again(
    becomes: str | None, tmp_path: Path
) -> None:
    authority = Authority(tmp_path)
    ca = tmp_path / "aws-ca.pem"
    shutil.copy(authority.file, ca)
    secure = server_context(authority.issue("lambda", x509.DNSName("localhost")))
    async with backend(secure=secure) as server:
        there = {"AWS_ENDPOINT_URL_LAMBDA": f"https://localhost:{server.port}", "AWS_CA_BUNDLE": str(ca)}
        env = environment(None, tmp_path, keys=False, **there)
        used: set[object] = set()

        def answered(request: Request) -> Any:
            used.update(server.connections)
            return result("HELLO")

        server.answers(CHAT, answered)
        with credentials_that_wait(tmp_path) as release:
            async with gateway(WITHOUT, tmp_path, env=env) as running, connect(running.ws()) as client:
                (tmp_path / "routes.yaml").write_text(defined())
                running.reload()
                await running.logged("function elsewhere")
                ca.write_text(ca.read_text() if becomes is None else becomes)
                release()
                await running.logged("definition deployed")
                for _ in range(3):
                    await client.send("hello")
                    assert await heard(client) == "HELLO"
                assert len(used) == 1, "the calls and what is kept are of one origin"


async def test_a_signal_is_heard_while_a_reload_waits_for_credentials(tmp_path: Path) -> None:
    env = environment(None, tmp_path, keys=False, AWS_ENDPOINT_URL_LAMBDA="http://127.0.0.1:9")
    with credentials_that_wait(tmp_path):
        async with gateway(WITHOUT, tmp_path, "--drain-window", "0", env=env) as running:
            (tmp_path / "routes.yaml").write_text(defined())
            running.reload()
            await running.logged("function elsewhere")
            running.terminate()

            assert await running.wait() == 0
            events = [json.loads(line)["event"] for line in running.log]
            assert "draining" in events
            assert not {"no AWS credentials", "definition deployed"} & set(events), "nobody waited for them"


# What is refused at start


@pytest.mark.parametrize(
    ("uri", "env", "problem"),
    [
        pytest.param(
            "function:chatt", {"AWS_REGION": ""}, "no function here is named chatt (here: chat); did you mean chat?; "
            "elsewhere, no region is known to find lambda in", id="a name that is wrong",
        ),
        pytest.param(
            "function:far", {"AWS_ENDPOINT_URL": "localhost:9001"}, "AWS_ENDPOINT_URL is no URL of an endpoint",
            id="an endpoint that is no URL",
        ),
        pytest.param(
            "arn:aws:lambda:mars-north-1:123456789012:function:far", {}, "AWS has no region mars-north-1",
            id="a region there is not",
        ),
        pytest.param(
            f"arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/{ARN}far/invocations", {},
            "write the same twice", id="two regions",
        ),
        pytest.param("https://example.com/", {}, "names no Lambda function", id="a URL"),
    ],
)  # fmt: skip
async def test_a_target_that_cannot_be_called_is_refused_with_its_line(
    uri: str, env: dict[str, str], problem: str, tmp_path: Path
) -> None:
    (tmp_path / "app.py").write_text("")
    runtime = f"python3.{sys.version_info.minor}"
    functions = f"functions:\n  chat: {{runtime: {runtime}, codeUri: ., handler: app.handler}}\n"
    file = tmp_path / "routes.yaml"
    file.write_text(defined(uri) + functions)
    process = await prefork.wsgateway(
        "validate", file, stderr=PIPE, env=os.environ | environment(None, tmp_path, **env)
    )
    _, errors = await process.communicate()

    assert process.returncode == 2
    assert f"{file}:9: apis.chat.integrations.app.integrationUri: " in errors.decode()
    assert problem in errors.decode()
