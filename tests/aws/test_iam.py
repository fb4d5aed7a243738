"""AWS_IAM on `$connect`: handshakes signed by botocore, in headers or as a presigned URL.

API Gateway developer guide, "Control access to WebSocket APIs with AWS_IAM authorization"; IAM user guide, "Create a
signed AWS API request".
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import time
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import botocore.auth
import pytest
from anyio.to_thread import run_sync
from botocore.auth import SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus

from tests import prefork
from tests.harness import PATIENCE, Backend, Gateway, Request, closed, gateway, heard
from tests.node import node

pytestmark = pytest.mark.anyio

REGION, ACCOUNT = "eu-west-1", "123456789012"
ANN, BOB = ("AKIAANN0000000000001", "ann+secret/"), ("AKIABOB0000000000001", "bob-secret")
EVE = ("AKIAEVE0000000000001", "eve-secret")
TOKEN = "session+token/="
API = f"arn:aws:execute-api:{REGION}:{ACCOUNT}:chat"
MASKED = f"arn:aws:execute-api:{REGION}:********9012:chat"
DEFINITION = """
apis:
  chat:
    protocolType: WEBSOCKET
    routeSelectionExpression: $request.body.action
    stages: {dev: {}, prod: {}}
    integrations:
      backend:
        integrationType: HTTP_PROXY
        integrationUri: "http://127.0.0.1:PORT/$connect"
        requestParameters: {integration.request.header.X-Who: context.identity.userArn}
      whoami:
        integrationType: MOCK
        requestTemplates: {$default: '{"statusCode": 200}'}
        integrationResponses:
          $default:
            responseTemplates:
              $default: >-
                #set($who = $context.identity)$who.accessKey $who.accountId $who.user $who.cognitoIdentityId
    routes:
      $connect: {integration: backend, authorizationType: AWS_IAM}
      whoami: {integration: whoami, routeResponse: true}
      teams: {integration: whoami, routeResponse: true, allow: "authorizer.principalTags.team == body.team"}
credentials:
  - accessKeyId: AKIAANN0000000000001
    secretAccessKey: ${ANN_SECRET}
    principalArn: arn:aws:iam::123456789012:user/ann
    policy:
      Version: "2012-10-17"
      Statement:
        - {Effect: Allow, Action: "execute-api:Invoke", Resource: "API/dev/$connect"}
  - accessKeyId: AKIABOB0000000000001
    secretAccessKey: bob-secret
    principalArn: arn:aws:iam::123456789012:user/bob
    policy:
      Version: "2012-10-17"
      Statement:
        - {Effect: Allow, Action: "*", Resource: "*"}
        - {Effect: Deny, Action: "execute-api:Invoke", Resource: "API/prod/*"}
        - {Effect: Deny, Action: "*", Resource: "*", Condition: {StringLike: {"aws:UserAgent": "curl/*"}}}
  - accessKeyId: AKIAEVE0000000000001
    secretAccessKey: eve-secret
    principalArn: arn:aws:iam::210987654321:user/eve
    policy: {Version: "2012-10-17", Statement: [{Effect: Allow, Action: "execute-api:*", Resource: "*"}]}
sessionLookup: {url: "http://127.0.0.1:PORT/sessions", authorization: Bearer gateway, closeOnExpiry: true}
"""


@pytest.fixture(scope="module")
async def backend() -> AsyncIterator[Backend]:
    """What $connect calls, and who knows the sessions."""
    backend = Backend()
    await backend.start()
    backend.answers("/$connect", (200, {}, b""))
    yield backend
    backend.stop()


@asynccontextmanager
async def serving(backend: Backend, folder: Path) -> AsyncIterator[Gateway]:
    flags = ["--region", REGION, "--account-id", ACCOUNT]
    text = DEFINITION.replace("PORT", str(backend.port)).replace("API/", f"{API}/")
    async with gateway(text, folder, *flags, env={"ANN_SECRET": ANN[1]}) as running:
        yield running


@pytest.fixture(scope="module")
async def running(backend: Backend, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Gateway]:
    async with serving(backend, tmp_path_factory.mktemp("iam")) as running:
        yield running


def sign(
    running: Gateway,
    key: tuple[str, str] = ANN,
    path: str = "/dev",
    *,
    presign: int | None = None,
    service: str = "execute-api",
    region: str = REGION,
    token: str | None = None,
    headers: dict[str, str] | None = None,
) -> tuple[str, dict[str, str]]:
    """A URL, and headers besides those a client sets itself."""
    request = AWSRequest("GET", f"http://127.0.0.1:{running.port}{path}", headers=headers or {})
    credentials = Credentials(*key, token)
    if presign is None:
        SigV4Auth(credentials, service, region).add_auth(request)
    else:
        SigV4QueryAuth(credentials, service, region, expires=presign).add_auth(request)
    return request.url.replace("http:", "ws:", 1), {name: str(value) for name, value in request.headers.items()}


async def refused(url: str, headers: dict[str, str] | None = None) -> tuple[int, str]:
    with pytest.raises(InvalidStatus) as caught:
        async with connect(url, additional_headers=headers, user_agent_header=None):
            pass
    body = json.loads(caught.value.response.body or b"")
    assert set(body) == {"message", "connectionId", "requestId"}
    return caught.value.response.status_code, body["message"]


async def who(client: ClientConnection) -> str:
    await client.send('{"action": "whoami"}')
    return str(await heard(client)).strip()


def session(backend: Backend, **more: Any) -> None:
    """What the look-up answers; 404 for tokens other than TOKEN."""
    policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": f"{API}/dev/*"}]}
    arn = f"arn:aws:sts::{ACCOUNT}:assumed-role/chat/carl"
    known = {"secretAccessKey": "carl", "principalArn": arn, "policy": policy, "expiration": 9e9} | more

    def answer(request: Request) -> Any:
        if not json.loads(request.body)["sessionToken"].startswith(TOKEN):
            return 404, {}, b""
        return 200, {}, json.dumps(known).encode()

    backend.answers("/sessions", answer)


async def test_a_handshake_signed_in_its_headers(running: Gateway, backend: Backend) -> None:
    url, headers = sign(running)

    async with connect(url, additional_headers=headers) as client:
        assert await who(client) == f"{ANN[0]} {ACCOUNT} ann"

    asked = await backend.saw("/$connect")
    assert asked.header("x-who") == f"arn:aws:iam::{ACCOUNT}:user/ann"
    assert asked.header("authorization") is None


async def test_a_presigned_url_and_its_own_parameters_alone_go_on(running: Gateway, backend: Backend) -> None:
    seen = backend.count("/$connect")
    url, _ = sign(running, path="/dev?room=a%20b&empty=", presign=60)

    async with connect(url) as client:
        assert await who(client) == f"{ANN[0]} {ACCOUNT} ann"

    asked = await backend.saw("/$connect", seen + 1)
    assert asked.target == "/$connect?room=a%20b&empty="


async def test_a_url_that_says_no_time_is_good_for_minutes(running: Gateway) -> None:
    """As npm's aws4 and AWS Amplify presign."""
    request = AWSRequest("GET", f"http://127.0.0.1:{running.port}/dev")
    signer = SigV4QueryAuth(Credentials(*ANN), "execute-api", REGION)
    request.context["timestamp"] = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    scope = signer.scope(request)
    request.params = {
        "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
        "X-Amz-Credential": scope,
        "X-Amz-Date": request.context["timestamp"],
        "X-Amz-SignedHeaders": "host",
    }
    signature = signer.signature(signer.string_to_sign(request, signer.canonical_request(request)), request)
    query = "&".join(f"{name}={value.replace('/', '%2F')}" for name, value in request.params.items())

    async with connect(f"{running.ws()}?{query}&X-Amz-Signature={signature}") as client:
        assert await who(client)


SIGNATURE = "The request signature we calculated does not match"
UNKNOWN = "The security token included in the request is invalid."


@pytest.mark.parametrize(
    ("make", "message"),
    [
        pytest.param(lambda g: (g.ws(), {}), "Missing Authentication Token", id="unsigned"),
        pytest.param(
            lambda g: (g.ws(), {"Authorization": "Bearer x"}), "Missing Authentication Token", id="another token"
        ),
        pytest.param(lambda g: sign(g, (ANN[0], "guessed")), SIGNATURE, id="another secret"),
        pytest.param(lambda g: sign(g, ("AKIANOBODY0000000001", "x")), UNKNOWN, id="a key nobody has"),
        pytest.param(lambda g: sign(g, service="s3"), SIGNATURE, id="another service"),
        pytest.param(lambda g: sign(g, region="us-east-1"), SIGNATURE, id="another region"),
        pytest.param(lambda g: sign(g, region="us-east-1", presign=60), SIGNATURE, id="another region, presigned"),
        pytest.param(lambda g: (sign(g, presign=60)[0] + "&room=a", {}), SIGNATURE, id="one more parameter"),
        pytest.param(
            lambda g: (sign(g, path="/%64ev", presign=60)[0].replace("%64", "d"), {}), SIGNATURE, id="a path re-encoded"
        ),
        pytest.param(
            lambda g: (sign(g, presign=60)[0].replace("/dev?", "/prod?"), {}), SIGNATURE, id="another stage's path"
        ),
        pytest.param(lambda g: with_header(sign(g), "X-Amz-Target", "x"), SIGNATURE, id="a header nobody signed"),
        pytest.param(
            lambda g: sign(g, headers={"X-Amz-Content-Sha256": "0" * 64}), SIGNATURE, id="the hash of another body"
        ),
        pytest.param(lambda g: with_header(sign(g), "X-Amz-Date", "20200101T000000Z"), SIGNATURE, id="another time"),
        pytest.param(lambda g: sign(g, presign=700_000), SIGNATURE, id="for more than a week"),
    ],
)
async def test_who_is_not_let_in(
    running: Gateway, backend: Backend, make: Callable[[Gateway], tuple[str, dict[str, str]]], message: str
) -> None:
    seen = backend.count("/$connect")

    status, said = await refused(*make(running))

    assert (status, said.startswith(message)) == (403, True)
    assert backend.count("/$connect") == seen


def with_header(signed: tuple[str, dict[str, str]], name: str, value: str) -> tuple[str, dict[str, str]]:
    return signed[0], signed[1] | {name: value}


async def test_a_url_that_is_too_old(running: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    earlier = datetime.now(UTC) - timedelta(seconds=90)
    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda: earlier)

    status, said = await refused(sign(running, presign=60)[0])

    assert status == 403
    assert re.match(r"Signature expired: \d{8}T\d{6}Z is now earlier than \d{8}T\d{6}Z", said)


@pytest.mark.parametrize(
    ("key", "path", "headers", "because"),
    [
        pytest.param(
            ANN, "/prod", {}, "because no identity-based policy allows the execute-api:Invoke action", id="not allowed"
        ),
        pytest.param(
            EVE, "/dev", {}, "because no resource-based policy allows the execute-api:Invoke action", id="a stranger"
        ),
        pytest.param(BOB, "/prod", {}, "with an explicit deny in an identity-based policy", id="denied"),
        pytest.param(
            BOB, "/dev", {"User-Agent": "curl/8"}, "with an explicit deny in an identity-based policy", id="a condition"
        ),
    ],
)
async def test_a_policy_that_says_no(
    running: Gateway, key: tuple[str, str], path: str, headers: dict[str, str], because: str
) -> None:
    who = {ANN: f"{ACCOUNT}:user/ann", BOB: f"{ACCOUNT}:user/bob", EVE: "210987654321:user/eve"}[key]

    url, signed = sign(running, key, path)
    status, said = await refused(url, signed | headers)

    assert status == 403
    assert said == (
        f"User: arn:aws:iam::{who} is not authorized to perform: execute-api:Invoke on resource: "
        f"{MASKED}{path}/$connect {because}"
    )


async def test_a_handshake_signed_in_a_session(running: Gateway, backend: Backend) -> None:
    session(backend, cognitoIdentityId="eu-west-1:1", tags={"team": "a"})
    seen = backend.count("/sessions")
    carl = ("ASIACARL000000000001", "carl")
    url, headers = sign(running, carl, token=TOKEN)
    async with connect(url, additional_headers=headers) as client:
        assert await who(client) == f"{carl[0]} {ACCOUNT} chat:carl eu-west-1:1"
        for team, message in (("a", None), ("b", "Forbidden")):
            await client.send(json.dumps({"action": "teams", "team": team}))
            said = str(await heard(client))
            assert (json.loads(said)["message"] if said.startswith("{") else None) == message

    url, _ = sign(running, carl, token=TOKEN, presign=60)
    async with connect(url) as client:
        assert await who(client)

    assert backend.count("/sessions") == seen + 1
    asked = await backend.saw("/sessions", seen + 1)
    assert asked.header("authorization") == "Bearer gateway"
    assert json.loads(asked.body) == {"accessKeyId": carl[0], "sessionToken": TOKEN}
    assert await refused(*sign(running, carl, token="made up")) == (403, UNKNOWN)
    assert (await refused(*sign(running, (carl[0], "guessed"), token=TOKEN)))[1].startswith(SIGNATURE)
    assert (await refused(*sign(running, carl, "/prod", token=TOKEN)))[1].startswith("User: arn:aws:sts::")


async def test_sessions_that_end(running: Gateway, backend: Backend) -> None:
    carl = ("ASIACARL000000000001", "carl")
    session(backend, expiration=time.time() + 1.5)
    async with connect(sign(running, carl, token=TOKEN + "brief", presign=60)[0]) as client:
        assert await closed(client) == (4401, "Token expired")

    expired = (403, "The security token included in the request is expired")
    assert await refused(*sign(running, carl, token=TOKEN + "brief")) == expired


async def test_sessions_nobody_can_be_asked_about(running: Gateway, backend: Backend) -> None:
    backend.answers("/sessions", (503, {}, b""))

    asked = sign(running, ("ASIACARL000000000001", "carl"), token=TOKEN + "down")

    assert await refused(*asked) == (500, "Internal server error")
    line = json.loads(await running.logged("sessions can't be looked up"))
    assert line["error"] == "it answered 503"


async def test_a_backend_pushes_in_a_session(running: Gateway, backend: Backend) -> None:
    session(backend)
    async with connect(sign(running, presign=60)[0]) as client:
        await client.send('{"action": "nothing"}')
        connection_id = json.loads(await heard(client))["connectionId"]

        def management(token: str) -> Any:
            return boto3.client(
                "apigatewaymanagementapi",
                endpoint_url=running.public + "/dev",
                region_name=REGION,
                aws_access_key_id="ASIACARL000000000002",
                aws_secret_access_key="carl",
                aws_session_token=token,
                config=Config(retries={"total_max_attempts": 1}, read_timeout=10),
            )

        def push(token: str, data: bytes) -> None:
            management(token).post_to_connection(ConnectionId=connection_id, Data=data)

        await run_sync(push, TOKEN, b"hello")
        assert await heard(client) == "hello"
        await run_sync(push, TOKEN, b"x" * 100_000)
        assert await heard(client) == "x" * 100_000

        for token, kind in ((TOKEN + "old", "ExpiredTokenException"), ("made up", "UnrecognizedClientException")):
            session(backend, expiration=1)
            with pytest.raises(Exception, match=kind):
                await run_sync(push, token, b"no")


async def test_the_page_of_the_documentation_presigns(running: Gateway, tmp_path: Path) -> None:
    """docs/security.md, run by Node."""
    page = (Path(__file__).parents[2] / "docs" / "security.md").read_text()
    found = re.search(r"```js\n(// presign\.js.*?)```", page, re.DOTALL)
    assert found is not None
    module = tmp_path / "presign.mjs"
    module.write_text(found[1])
    address = f"{running.ws('/%64ev')}?room=a b&x*y='ü'&room-2=(1)&room=c"
    keys = {"accessKeyId": ANN[0], "secretAccessKey": ANN[1]}
    script = (
        "import(process.argv[1]).then(async (page) => console.log(await page.presign(...JSON.parse(process.argv[2]))))"
    )

    url = await node(script, str(module), json.dumps([address, keys, REGION]))

    async with connect(url.strip()) as client:
        assert await who(client)


@pytest.mark.parametrize(
    ("key", "said"),
    [
        pytest.param(ANN, f"{ANN[0]} {ACCOUNT} ann", id="keys"),
        pytest.param(("", ""), "", id="none"),
    ],
)
async def test_the_command_line_signs(running: Gateway, tmp_path: Path, key: tuple[str, str], said: str) -> None:
    environ = {
        "AWS_ACCESS_KEY_ID": key[0],
        "AWS_SECRET_ACCESS_KEY": key[1],
        "AWS_REGION": REGION,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": str(tmp_path / "none"),
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "none"),
    }
    process = await prefork.wsgateway(
        "connect", "--sign", f"{running.ws('/%64ev')}?a=b/c:%20d+e%2B;x=%3B=&a&z=~*'(",
        stdin=PIPE, stdout=PIPE, stderr=PIPE, env=os.environ | environ,
    )  # fmt: skip
    async with asyncio.timeout(PATIENCE):
        out, err = await process.communicate(b'{"action": "whoami"}\n')

    assert out.decode().strip() == said
    assert process.returncode == (0 if said else 1)
    assert said or err.startswith(b"wsgateway: there are no AWS credentials to sign with")


async def test_nothing_that_signs_is_in_the_log(backend: Backend, tmp_path: Path) -> None:
    session(backend)
    carl = ("ASIACARL000000000001", "carl-secret")
    async with serving(backend, tmp_path) as running:
        for key, token in (((ANN[0], "guessed"), None), (carl, TOKEN), (("AKIANOBODY0000000002", "x"), "made up")):
            await refused(*sign(running, key, token=token))
            await refused(sign(running, key, presign=60, token=token)[0])
        await refused(running.ws())

        line = json.loads(await running.logged("the request is not signed"))
        said = "".join(running.log)

    assert line["event"] == "client not let in"
    for secret in (ANN[1], BOB[1], TOKEN, "made up", "Bearer gateway", "X-Amz-Signature", "Signature="):
        assert secret not in said
