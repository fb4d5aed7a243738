"""boto3's `apigatewaymanagementapi`, unmodified, with its typed exceptions."""

from __future__ import annotations

import datetime
import socket
from collections.abc import AsyncIterator, Callable
from typing import Any

import anyio.to_thread
import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from websockets.asyncio.client import connect

from tests.harness import Gateway, closed, connection_of, gateway, handshake, heard, http

pytestmark = pytest.mark.anyio

DEFINITION = """
defaultApi: chat
apis:
  chat:
    protocolType: WEBSOCKET
    limits: {outboxBytes: 1}
    routeSelectionExpression: $request.body.action
    stages: {dev: {}}
    routes: {nothing: {}}
  strict:
    protocolType: WEBSOCKET
    profile: aws
    routeSelectionExpression: $request.body.action
    stages: {dev: {}}
    routes: {nothing: {}}
"""
ANOTHER = "Aw8PDw8PDw8PDw8PDw8PDw8PDw=="

Listener = Callable[[Gateway], str]
LISTENERS = [
    pytest.param(lambda running: running.internal, id="internal"),
    pytest.param(lambda running: running.public, id="public"),
]


class Management:
    """boto3's client, its blocking calls in a thread."""

    def __init__(self, endpoint: str) -> None:
        self.client = boto3.client(
            "apigatewaymanagementapi",
            endpoint_url=endpoint,
            region_name="eu-west-1",
            aws_access_key_id="AKIDEXAMPLE",
            aws_secret_access_key="wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
            config=Config(retries={"total_max_attempts": 1}, read_timeout=10),
        )

    async def call(self, operation: str, **parameters: object) -> dict[str, Any]:
        def run() -> dict[str, Any]:
            return dict(getattr(self.client, operation)(**parameters))

        return await anyio.to_thread.run_sync(run)

    async def refusal(self, operation: str, **parameters: object) -> ClientError:
        with pytest.raises(ClientError) as refusal:
            await self.call(operation, **parameters)
        return refusal.value


@pytest.fixture(scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Gateway]:
    """A gateway whose public listener takes calls without checking their signature, as `dev` does."""
    async with gateway(DEFINITION, tmp_path_factory.mktemp("open"), "--callback-auth", "none") as running:
        yield running


@pytest.fixture(scope="module")
async def signed(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Gateway]:
    async with gateway(DEFINITION, tmp_path_factory.mktemp("signed")) as running:
        yield running


@pytest.mark.parametrize("listener", LISTENERS)
@pytest.mark.parametrize("stage", ["/dev", "/execute-api/chat/dev"])
async def test_post_get_and_delete(running: Gateway, listener: Listener, stage: str) -> None:
    management = Management(listener(running) + stage)
    async with connect(running.ws(), user_agent_header="tests/1") as client:
        connection_id = await connection_of(client)

        posted = await management.call("post_to_connection", ConnectionId=connection_id, Data="grüß".encode())
        assert posted["ResponseMetadata"]["HTTPStatusCode"] == 200
        assert posted["ResponseMetadata"]["RequestId"]
        assert await heard(client) == "grüß"

        facts = await management.call("get_connection", ConnectionId=connection_id)
        assert facts["Identity"] == {"SourceIp": "127.0.0.1", "UserAgent": "tests/1"}
        age = datetime.datetime.now(datetime.UTC) - facts["ConnectedAt"]
        assert datetime.timedelta(0) <= age < datetime.timedelta(minutes=1)
        assert facts["ConnectedAt"] <= facts["LastActiveAt"]

        deleted = await management.call("delete_connection", ConnectionId=connection_id)
        assert deleted["ResponseMetadata"]["HTTPStatusCode"] == 204
        assert await closed(client) == (1000, "Connection Closed Normally")


@pytest.mark.parametrize("listener", LISTENERS)
@pytest.mark.parametrize("operation", ["post_to_connection", "get_connection", "delete_connection"])
async def test_a_closed_connection_raises_gone(running: Gateway, listener: Listener, operation: str) -> None:
    management = Management(listener(running) + "/dev")
    async with connect(running.ws()) as client:
        connection_id = await connection_of(client)
        await management.call("delete_connection", ConnectionId=connection_id)
    data = {"Data": b"hi"} if operation == "post_to_connection" else {}

    refusal = await management.refusal(operation, ConnectionId=connection_id, **data)

    assert isinstance(refusal, management.client.exceptions.GoneException)
    assert refusal.response["Error"]["Code"] == "GoneException"


async def test_an_unknown_id_is_a_bad_request(running: Gateway) -> None:
    management = Management(running.internal + "/dev")

    refusal = await management.refusal("get_connection", ConnectionId=ANOTHER)

    assert refusal.response["Error"] == {
        "Code": "BadRequestException",
        "Message": f"Invalid connectionId: {ANOTHER}",
    }


async def test_an_unknown_stage_is_forbidden(running: Gateway) -> None:
    management = Management(running.internal + "/nosuch")

    refusal = await management.refusal("get_connection", ConnectionId=ANOTHER)

    assert isinstance(refusal, management.client.exceptions.ForbiddenException)


async def test_too_large_a_message_in_the_open_profile(running: Gateway) -> None:
    management = Management(running.internal + "/dev")
    async with connect(running.ws()) as client:
        refusal = await management.refusal(
            "post_to_connection", ConnectionId=await connection_of(client), Data=b"x" * 1_048_577
        )

    assert isinstance(refusal, management.client.exceptions.PayloadTooLargeException)


async def test_too_large_a_message_in_the_aws_profile_has_awss_untyped_413(running: Gateway) -> None:
    management = Management(running.internal + "/execute-api/strict/dev")
    async with connect(running.ws("/execute-api/strict/dev")) as client:
        refusal = await management.refusal(
            "post_to_connection", ConnectionId=await connection_of(client), Data=b"x" * 131_073
        )

    assert type(refusal) is ClientError
    assert refusal.response["Error"]["Code"] == "413"


async def test_a_client_that_does_not_read_raises_limit_exceeded(running: Gateway) -> None:
    management = Management(running.internal + "/dev")
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(("127.0.0.1", running.port))
        client.sendall(handshake())
        assert client.recv(4096).startswith(b"HTTP/1.1 101 ")
        items = (await http(running.internal_port, "GET", "/dev/@connections")).json()["items"]
        connection_id = max(items, key=lambda item: item["connectedAt"])["connectionId"]

        async def fill() -> None:
            for _ in range(100):
                await management.call("post_to_connection", ConnectionId=connection_id, Data=b"x" * 500_000)

        with pytest.raises(management.client.exceptions.LimitExceededException):
            await fill()


@pytest.mark.parametrize("operation", ["post_to_connection", "get_connection", "delete_connection"])
async def test_without_credentials_no_signature_is_good_enough(signed: Gateway, operation: str) -> None:
    management = Management(signed.public + "/dev")
    data = {"Data": b"hi"} if operation == "post_to_connection" else {}
    async with connect(signed.ws()) as client:
        refusal = await management.refusal(operation, ConnectionId=await connection_of(client), **data)

    assert refusal.response["Error"] == {
        "Code": "UnrecognizedClientException",
        "Message": "The security token included in the request is invalid.",
    }
    assert refusal.response["ResponseMetadata"]["HTTPStatusCode"] == 403


async def test_an_invalid_id_is_told_before_any_signature(signed: Gateway) -> None:
    refusal = await Management(signed.public + "/dev").refusal("get_connection", ConnectionId="nonsense")

    assert refusal.response["Error"]["Message"] == "Invalid connectionId: nonsense"
