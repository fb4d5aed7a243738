"""`@connections` on the public listener, signed by boto3 with keys that `credentials` has.

API Gateway developer guide, "Use @connections commands in your backend service"; IAM policies for `execute-api`.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import anyio.to_thread
import boto3
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError
from websockets.asyncio.client import connect

from tests.harness import Gateway, closed, connection_of, gateway, heard, http

pytestmark = pytest.mark.anyio

REGION, ACCOUNT = "eu-west-1", "123456789012"
BACKEND, READER = ("AKIABACKEND000000001", "backend+secret/"), ("AKIAREADER0000000001", "reader-secret")
STRANGER = ("AKIASTRANGER00000001", "stranger-secret")
API = f"arn:aws:execute-api:{REGION}:{ACCOUNT}:chat"
DEFINITION = f"""
apis:
  chat:
    protocolType: WEBSOCKET
    routeSelectionExpression: $request.body.action
    stages: {{dev: {{}}, prod: {{}}}}
    routes: {{nothing: {{}}}}
credentials:
  - accessKeyId: {BACKEND[0]}
    secretAccessKey: ${{BACKEND_SECRET}}
    principalArn: arn:aws:iam::{ACCOUNT}:user/backend
    policy:
      Version: "2012-10-17"
      Statement:
        - {{Effect: Allow, Action: "execute-api:ManageConnections", Resource: "{API}/dev/*"}}
  - accessKeyId: {READER[0]}
    secretAccessKey: file:reader.secret
    principalArn: arn:aws:iam::{ACCOUNT}:user/reader
    policy:
      Version: "2012-10-17"
      Statement:
        - {{Effect: Allow, Action: "execute-api:*", Resource: "{API}/dev/GET/@connections/*"}}
        - {{Effect: Deny, Action: "*", Resource: "{API}/dev/DELETE/*"}}
  - accessKeyId: {STRANGER[0]}
    secretAccessKey: stranger-secret
    principalArn: arn:aws:iam::210987654321:user/stranger
    policy: {{Version: "2012-10-17", Statement: [{{Effect: Allow, Action: "execute-api:*", Resource: "*"}}]}}
"""


@pytest.fixture(scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Gateway]:
    folder = tmp_path_factory.mktemp("signed")
    (folder / "reader.secret").write_text(READER[1] + "\n")
    flags = ["--region", REGION, "--account-id", ACCOUNT]
    async with gateway(DEFINITION, folder, *flags, env={"BACKEND_SECRET": BACKEND[1]}) as running:
        yield running


def management(running: Gateway, key: tuple[str, str], *, region: str = REGION, token: str | None = None) -> Any:
    return boto3.client(
        "apigatewaymanagementapi",
        endpoint_url=running.public + "/dev",
        region_name=region,
        aws_access_key_id=key[0],
        aws_secret_access_key=key[1],
        aws_session_token=token,
        config=Config(retries={"total_max_attempts": 1}, read_timeout=10),
    )


async def call(client: Any, operation: str, **parameters: object) -> dict[str, Any]:
    return dict(await anyio.to_thread.run_sync(partial(getattr(client, operation), **parameters)))


async def refusal(client: Any, operation: str, **parameters: object) -> dict[str, Any]:
    with pytest.raises(ClientError) as caught:
        await call(client, operation, **parameters)
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403
    return dict(caught.value.response["Error"])


async def test_a_backend_with_a_key_does_all_its_policy_allows(running: Gateway) -> None:
    backend = management(running, BACKEND)
    async with connect(running.ws()) as client:
        connection_id = await connection_of(client)

        await call(backend, "post_to_connection", ConnectionId=connection_id, Data="grüß dich".encode())
        assert await heard(client) == "grüß dich"
        await call(backend, "post_to_connection", ConnectionId=connection_id, Data=b"")
        assert await heard(client) == ""
        assert (await call(backend, "get_connection", ConnectionId=connection_id))["Identity"]["SourceIp"]
        await call(backend, "delete_connection", ConnectionId=connection_id)
        assert await closed(client) == (1000, "Connection Closed Normally")

        with pytest.raises(backend.exceptions.GoneException):
            await call(backend, "post_to_connection", ConnectionId=connection_id, Data=b"late")


async def test_a_large_message(running: Gateway) -> None:
    async with connect(running.ws(), max_size=None) as client:
        connection_id = await connection_of(client)

        await call(management(running, BACKEND), "post_to_connection", ConnectionId=connection_id, Data=b"x" * 900_000)

        assert len(await heard(client)) == 900_000


@pytest.mark.parametrize(
    ("operation", "because"),
    [
        pytest.param("post_to_connection", "because no session policy allows the", id="nothing allows it"),
        pytest.param("delete_connection", "with an explicit deny in a session policy", id="something denies it"),
    ],
)
async def test_a_policy_that_does_not_allow_it(running: Gateway, operation: str, because: str) -> None:
    data = {"Data": b"no"} if operation == "post_to_connection" else {}
    async with connect(running.ws()) as client:
        connection_id = await connection_of(client)
        error = await refusal(management(running, READER), operation, ConnectionId=connection_id, **data)
        await call(management(running, BACKEND), "post_to_connection", ConnectionId=connection_id, Data=b"still here")
        assert await heard(client) == "still here"

    assert error["Code"] == "AccessDeniedException"
    assert error["Message"].startswith(
        f"User: arn:aws:iam::{ACCOUNT}:user/reader is not authorized to perform: execute-api:ManageConnections on "
        f"resource: arn:aws:execute-api:{REGION}:********9012:chat/dev/"
    )
    assert because in error["Message"]


async def test_a_key_of_another_account_is_let_in_by_nothing(running: Gateway) -> None:
    async with connect(running.ws()) as client:
        connection_id = await connection_of(client)
        error = await refusal(management(running, STRANGER), "get_connection", ConnectionId=connection_id)

    assert error["Code"] == "AccessDeniedException"
    assert error["Message"].startswith("User: arn:aws:iam::210987654321:user/stranger is not authorized to perform: ")
    assert error["Message"].endswith("because no resource-based policy allows the execute-api:ManageConnections action")
    care = await running.logged("definition needs care")
    assert "credentials.2.principalArn: is of account 210987654321, and the gateway of 123456789012" in care


async def test_the_reader_reads(running: Gateway) -> None:
    async with connect(running.ws()) as client:
        assert await call(management(running, READER), "get_connection", ConnectionId=await connection_of(client))


@pytest.mark.parametrize(
    ("key", "more", "code"),
    [
        pytest.param((BACKEND[0], "guessed"), {}, "InvalidSignatureException", id="another secret"),
        pytest.param(("AKIANOBODY0000000001", "x"), {}, "UnrecognizedClientException", id="a key nobody has"),
        pytest.param(BACKEND, {"token": "x"}, "UnrecognizedClientException", id="a session nobody knows"),
        pytest.param(BACKEND, {"region": "us-east-1"}, "InvalidSignatureException", id="for another region"),
    ],
)
async def test_signatures_that_are_not_believed(
    running: Gateway, key: tuple[str, str], more: dict[str, Any], code: str
) -> None:
    async with connect(running.ws()) as client:
        connection_id = await connection_of(client)
        found = management(running, key, **more)

        assert (await refusal(found, "post_to_connection", ConnectionId=connection_id, Data=b"no"))["Code"] == code


async def test_a_body_that_was_changed_on_its_way(running: Gateway) -> None:
    async with connect(running.ws()) as client:
        connection_id = (await connection_of(client)).replace("=", "%3D")
        target = f"/dev/@connections/{connection_id}"
        request = AWSRequest("POST", f"http://127.0.0.1{target}", data=b"signed")
        SigV4Auth(Credentials(*BACKEND), "execute-api", REGION).add_auth(request)
        headers = [(name, str(value)) for name, value in request.headers.items()]

        tampered = await http(running.port, "POST", target, b"forged", headers=headers)
        good = await http(running.port, "POST", target, b"signed", headers=headers)

        assert (tampered.status, good.status) == (403, 200)
        assert await heard(client) == "signed"


async def test_whether_a_connection_exists_is_nobodys_who_has_no_key(running: Gateway) -> None:
    async with connect(running.ws()) as client:
        gone = await connection_of(client)
    there_not = management(running, ("AKIANOBODY0000000001", "x"))

    assert (await refusal(there_not, "get_connection", ConnectionId=gone))["Code"] == "UnrecognizedClientException"


async def test_why_is_in_the_log_and_no_secret_is(running: Gateway) -> None:
    async with connect(running.ws()) as client:
        connection_id = await connection_of(client)
        await refusal(management(running, (BACKEND[0], "guessed")), "get_connection", ConnectionId=connection_id)

    line = json.loads(await running.logged("callback refused"))
    assert line["path"].startswith("/dev/@connections/")
    assert line["error"]
    for secret in (BACKEND[1], READER[1], "guessed"):
        assert secret not in "".join(running.log)


async def test_a_key_that_is_taken_away_is_refused_at_once(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("taken")
    (folder / "reader.secret").write_text(READER[1])
    flags = ["--region", REGION, "--account-id", ACCOUNT]
    async with (
        gateway(DEFINITION, folder, *flags, env={"BACKEND_SECRET": BACKEND[1]}) as running,
        connect(running.ws()) as client,
    ):
        connection_id = await connection_of(client)
        reader = management(running, READER)
        assert await call(reader, "get_connection", ConnectionId=connection_id)

        (folder / "reader.secret").write_text("another")
        running.reload()
        await running.logged("definition deployed")

        error = await refusal(reader, "get_connection", ConnectionId=connection_id)
        assert error["Code"] == "InvalidSignatureException"
        renewed = management(running, (READER[0], "another"))
        assert await call(renewed, "get_connection", ConnectionId=connection_id)
