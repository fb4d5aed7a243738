"""`@connections` to the byte (API Gateway developer guide, "Use @connections commands in your backend service")."""

from __future__ import annotations

import datetime
import json
import re
import socket
from collections.abc import AsyncIterator
from urllib.parse import quote

import pytest
from websockets.asyncio.client import connect

from tests.harness import Answer, Gateway, closed, connection_of, gateway, handshake, heard, http, parse_answer, raw

pytestmark = pytest.mark.anyio

DEFINITION = """
defaultApi: chat
apis:
  chat:
    protocolType: WEBSOCKET
    routeSelectionExpression: $request.body.action
    stages: {dev: {}, prod: {}}
    routes: {nothing: {}}
  strict:
    protocolType: WEBSOCKET
    profile: aws
    routeSelectionExpression: $request.body.action
    stages: {dev: {}}
    routes: {nothing: {}}
  narrow:
    protocolType: WEBSOCKET
    limits: {outboxBytes: 1}
    routeSelectionExpression: $request.body.action
    stages: {dev: {}}
    routes: {nothing: {}}
"""
ANOTHER = "Aw8PDw8PDw8PDw8PDw8PDw8PDw=="
UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"


@pytest.fixture(scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Gateway]:
    async with gateway(DEFINITION, tmp_path_factory.mktemp("serve")) as running:
        yield running


def path(connection_id: str, stage: str = "/dev") -> str:
    return f"{stage}/@connections/{connection_id.replace('=', '%3D')}"


def ids(answer: Answer) -> None:
    """The ids AWS puts on its answers."""
    assert re.fullmatch(UUID, answer.header("x-amzn-requestid") or "")
    assert re.fullmatch(r"[A-Za-z0-9_-]{15}=", answer.header("x-amz-apigw-id") or "")


async def gone_id(running: Gateway, stage: str = "/dev") -> str:
    """The id of a connection that was open and is not."""
    async with connect(running.ws(stage)) as client:
        connection_id = await connection_of(client)
        await http(running.internal_port, "DELETE", path(connection_id, stage))
        await closed(client)
    return connection_id


async def test_a_post_is_delivered_as_one_text_message(running: Gateway) -> None:
    async with connect(running.ws()) as client:
        target = path(await connection_of(client))

        answer = await http(running.internal_port, "POST", target, "grüß".encode(), [("Content-Type", "image/png")])

        assert (answer.status, answer.body) == (200, b"")
        assert answer.header("content-type") == "application/json"
        assert answer.header("content-length") == "0"
        assert re.fullmatch(r"Root=1-[0-9a-f]{8}-[0-9a-f]{24}", answer.header("x-amzn-trace-id") or "")
        ids(answer)
        assert await heard(client) == "grüß"


@pytest.mark.parametrize(
    ("query", "body", "message"),
    [
        pytest.param("", b"", "", id="an empty POST is an empty message"),
        pytest.param("", b"a\xffb", "a\ufffdb", id="what isn't UTF-8 is replaced"),
        pytest.param("?type=binary", b"\x00\xff", b"\x00\xff", id="binary where it is asked for"),
        pytest.param("?type=text", b"hi", "hi", id="any other type is text"),
        pytest.param("", b"x" * 131_072, "x" * 131_072, id="128 KiB"),
        pytest.param("", b"x" * 1_048_576, "x" * 1_048_576, id="1 MiB"),
    ],
)
async def test_a_client_hears_what_was_posted(running: Gateway, query: str, body: bytes, message: str | bytes) -> None:
    async with connect(running.ws()) as client:
        target = path(await connection_of(client))

        assert (await http(running.internal_port, "POST", target + query, body)).status == 200
        assert await heard(client) == message


async def test_posts_arrive_in_order(running: Gateway) -> None:
    async with connect(running.ws()) as client:
        target = path(await connection_of(client))
        for number in range(20):
            await http(running.internal_port, "POST", target, b"%d" % number)

        assert [await heard(client) for _ in range(20)] == [str(number) for number in range(20)]


@pytest.mark.parametrize("stage", ["/dev", "/prod", "/execute-api/chat/dev"])
async def test_any_stage_of_the_api_reaches_the_connection(running: Gateway, stage: str) -> None:
    async with connect(running.ws()) as client:
        target = path(await connection_of(client), stage)

        assert (await http(running.internal_port, "POST", target, b"hi")).status == 200


@pytest.mark.parametrize(
    "form",
    [
        pytest.param("/dev/@connections/{id}", id="as documented, unencoded"),
        pytest.param("/dev/@connections/{id3D}", id="as documented"),
        pytest.param("/dev/%40connections/{id3D}", id="as SDKs encode it"),
        pytest.param("/dev/%40connections/{id3d}", id="in lower case"),
        pytest.param("/dev/@connections/{id3D}/", id="with a trailing slash"),
        pytest.param("/execute-api/chat/dev/@connections/{id3D}", id="naming the API"),
        pytest.param("/dev/@connections/{id3D}?x=1", id="with a query"),
    ],
)
async def test_a_callback_url_may_be_written(running: Gateway, form: str) -> None:
    async with connect(running.ws()) as client:
        connection_id = await connection_of(client)
        encoded = connection_id.replace("=", "%3D")
        target = form.format(id=connection_id, id3D=encoded, id3d=connection_id.replace("=", "%3d"))
        for text in (b"once", b"twice"):
            answer = await http(running.internal_port, "POST", target, text)

            assert (answer.status, answer.body) == (200, b"")
            assert await heard(client) == text.decode()


async def test_a_callback_url_may_name_the_api_by_host(running: Gateway) -> None:
    async with connect(running.ws("/execute-api/strict/dev")) as client:
        target = path(await connection_of(client))
        head = (
            f"POST {target} HTTP/1.1\r\nHost: strict.execute-api.eu-west-1.amazonaws.com:443\r\n"
            "Connection: close\r\nContent-Length: 2\r\n\r\nhi"
        )

        assert parse_answer(await raw(running.internal_port, head.encode())).status == 200
        assert await heard(client) == "hi"


async def test_get_tells_of_a_connection(running: Gateway) -> None:
    async with connect(running.ws(), user_agent_header="tests/1 (x)") as client:
        connection_id = await connection_of(client)

        answer = await http(running.internal_port, "GET", path(connection_id))

        assert answer.status == 200
        assert answer.header("content-type") == "application/json"
        ids(answer)
        assert re.fullmatch(
            r'\{\n  "identity" : \{\n    "sourceIp" : "127\.0\.0\.1",\n    "userAgent" : "tests/1 \(x\)"\n  \},\n'
            r'  "connectedAt" : "\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z",\n'
            r'  "lastActiveAt" : "\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"\n\}',
            answer.body.decode(),
        ), answer.body


async def test_get_without_a_user_agent_names_none(running: Gateway) -> None:
    async with connect(running.ws(), user_agent_header=None) as client:
        facts = (await http(running.internal_port, "GET", path(await connection_of(client)))).json()

        assert facts["identity"] == {"sourceIp": "127.0.0.1"}


async def test_last_active_moves_with_messages_and_posts_but_not_with_get(running: Gateway) -> None:
    async with connect(running.ws()) as client:
        target = path(await connection_of(client))

        async def last_active() -> datetime.datetime:
            facts = (await http(running.internal_port, "GET", target)).json()
            return datetime.datetime.fromisoformat(facts["lastActiveAt"])

        # It is reckoned back from now by two clocks: a millisecond either way is the same moment.
        same = datetime.timedelta(milliseconds=2)
        begun = await last_active()
        while datetime.datetime.now(datetime.UTC) - begun < datetime.timedelta(milliseconds=20):
            assert abs(await last_active() - begun) <= same
        await http(running.internal_port, "POST", target, b"hi")
        posted = await last_active()
        assert posted - begun > same
        while datetime.datetime.now(datetime.UTC) - posted < datetime.timedelta(milliseconds=20):
            assert abs(await last_active() - posted) <= same
        await heard(client)
        await connection_of(client)
        assert await last_active() - posted > same


async def test_delete_closes_with_1000(running: Gateway) -> None:
    async with connect(running.ws()) as client:
        target = path(await connection_of(client))

        answer = await http(running.internal_port, "DELETE", target)

        assert (answer.status, answer.body) == (204, b"")
        assert answer.header("content-length") is None
        ids(answer)
        assert await closed(client) == (1000, "Connection Closed Normally")
        assert (await http(running.internal_port, "DELETE", target)).status == 410


# Errors


@pytest.mark.parametrize("method", ["POST", "GET", "DELETE"])
async def test_what_is_gone_is_410_with_an_empty_body(running: Gateway, method: str) -> None:
    answer = await http(running.internal_port, method, path(await gone_id(running)))

    assert (answer.status, answer.body) == (410, b"")
    assert answer.header("x-amzn-errortype") == "GoneException"
    assert answer.header("content-length") == "0"
    ids(answer)


@pytest.mark.parametrize("method", ["POST", "GET", "DELETE"])
@pytest.mark.parametrize(
    ("written", "told"),
    [
        pytest.param("x", "x", id="too short"),
        pytest.param("L0SM9cOFvHcCIhw%3D", "L0SM9cOFvHcCIhw=", id="AWS's own form"),
        pytest.param(ANOTHER.replace("=", "%3D"), ANOTHER, id="the right form, made up"),
        pytest.param("%22%5B%0A%C3%BC", '\\"[\\n\\u00fc', id="what JSON must escape"),
        pytest.param("%2e%2e%2e", "...", id="dots"),
    ],
)
async def test_an_invalid_id_is_named(running: Gateway, method: str, written: str, told: str) -> None:
    for port in (running.internal_port, running.port):  # on the public listener before any signature is asked for
        answer = await http(port, method, f"/dev/@connections/{written}")

        assert (answer.status, answer.body.decode()) == (400, f'{{"message":"Invalid connectionId: {told}"}}')
        assert answer.header("x-amzn-errortype") == "BadRequestException"
        ids(answer)


async def test_a_connection_of_another_api_is_an_invalid_id(running: Gateway) -> None:
    async with connect(running.ws()) as client:
        connection_id = await connection_of(client)
        for _ in range(2):
            target = path(connection_id, "/execute-api/strict/dev")
            assert (await http(running.internal_port, "POST", target, b"hi")).status == 400
            # Known now, and yet not mixed up.
            assert (await http(running.internal_port, "POST", path(connection_id), b"hi")).status == 200
            assert await heard(client) == "hi"


@pytest.mark.parametrize(
    "target",
    [
        "/nosuch/@connections/x", "/execute-api/nosuch/dev/@connections/x", "/dev/connections/x", "/dev",
        "/dev/@connections/x/y", "/@connections/x", "/",
    ],
)  # fmt: skip
async def test_what_no_api_knows_is_forbidden(running: Gateway, target: str) -> None:
    for port in (running.internal_port, running.port):
        answer = await http(port, "POST", target, b"hi")

        assert (answer.status, answer.body) == (403, b'{"message":"Forbidden"}')
        assert answer.header("x-amzn-errortype") == "ForbiddenException"


async def test_a_path_behind_an_id_is_forbidden_even_once_the_id_is_known(running: Gateway) -> None:
    async with connect(running.ws()) as client:
        target = path(await connection_of(client))
        assert (await http(running.internal_port, "POST", target + "/", b"1")).status == 200
        assert await heard(client) == "1"

        answer = await http(running.internal_port, "POST", f"{target}/{target.rpartition('/')[2]}", b"2")

        assert answer.status == 403


@pytest.mark.parametrize("method", ["PUT", "PATCH", "OPTIONS"])
async def test_other_methods_are_forbidden(running: Gateway, method: str) -> None:
    async with connect(running.ws()) as client:
        assert (await http(running.internal_port, method, path(await connection_of(client)))).status == 403


@pytest.mark.parametrize("method", ["POST", "GET", "DELETE"])
async def test_the_public_listener_asks_for_a_signature(running: Gateway, method: str) -> None:
    async with connect(running.ws()) as client:
        answer = await http(running.port, method, path(await connection_of(client)))

        assert (answer.status, answer.body) == (403, b'{"message":"Missing Authentication Token"}')
        assert answer.header("x-amzn-errortype") == "MissingAuthenticationTokenException"
        assert await connection_of(client), "nothing was delivered and nothing closed"


async def test_a_gone_connection_is_no_secret_to_tell_without_a_signature(running: Gateway) -> None:
    """Whether a connection exists is not said before the caller is known."""
    assert (await http(running.port, "POST", path(await gone_id(running)), b"hi")).status == 403


async def test_one_byte_too_many_in_the_aws_profile(running: Gateway) -> None:
    stage = "/execute-api/strict/dev"
    async with connect(running.ws(stage), max_size=None) as client:
        target = path(await connection_of(client), stage)

        answer = await http(running.internal_port, "POST", target, b"x" * 131_073)

        assert (answer.status, answer.body) == (413, b"")
        assert not [name for name, _ in answer.headers if name.startswith("x-am")]
        assert (await http(running.internal_port, "POST", target, b"x" * 131_072)).status == 200
        assert await heard(client) == "x" * 131_072


async def test_one_byte_too_many_in_the_open_profile(running: Gateway) -> None:
    async with connect(running.ws()) as client:
        answer = await http(running.internal_port, "POST", path(await connection_of(client)), b"x" * 1_048_577)

        assert (answer.status, answer.json()) == (413, {"message": "The message is over 1048576 bytes"})
        assert answer.header("x-amzn-errortype") == "PayloadTooLargeException"


async def test_a_chunked_body_is_delivered_or_refused_like_any_other(running: Gateway) -> None:
    async with connect(running.ws()) as client:
        head = (
            f"POST {path(await connection_of(client))} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n"
            "Transfer-Encoding: chunked\r\n\r\n"
        ).encode()

        assert parse_answer(await raw(running.internal_port, head + b"2\r\nhi\r\n0\r\n\r\n")).status == 200
        assert await heard(client) == "hi"
        chunk = b"100000\r\n" + b"x" * 0x100000 + b"\r\n"
        assert parse_answer(await raw(running.internal_port, head + chunk + b"1\r\nx\r\n0\r\n\r\n")).status == 413


async def test_a_client_that_does_not_read_is_429(running: Gateway) -> None:
    stage = "/execute-api/narrow/dev"
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(("127.0.0.1", running.port))
        client.sendall(handshake(stage))
        assert client.recv(4096).startswith(b"HTTP/1.1 101 ")
        (connection,) = (await http(running.internal_port, "GET", f"{stage}/@connections")).json()["items"]
        target = path(connection["connectionId"], stage)
        for _ in range(100):
            answer = await http(running.internal_port, "POST", target, b"x" * 500_000)
            if answer.status != 200:
                break

    assert (answer.status, answer.json()) == (429, {"message": "The client side buffer is full"})
    assert answer.header("x-amzn-errortype") == "LimitExceededException"


# Our list, on the internal listener alone


async def test_connections_are_listed_in_pages(running: Gateway) -> None:
    stage = "/execute-api/strict/dev"
    async with (
        connect(running.ws(stage)) as one,
        connect(running.ws(stage)) as two,
        connect(running.ws(stage)) as three,
    ):
        opened = sorted([await connection_of(client) for client in (one, two, three)])
        listed: list[str] = []
        token = ""
        while True:
            query = f"?maxResults=2&nextToken={token.replace('=', '%3D')}"
            page = (await http(running.internal_port, "GET", f"{stage}/@connections{query}")).json()
            assert len(page["items"]) <= 2
            listed += [item["connectionId"] for item in page["items"]]
            assert all(item["stage"] == "dev" for item in page["items"])
            token = page.get("nextToken", "")
            if not token:
                break

        assert listed == opened
    assert (await http(running.port, "GET", f"{stage}/@connections")).status == 403


@pytest.mark.parametrize("size", ["0", "1001", "-1", "x", "1e2", "٣", "9" * 30])
async def test_a_page_has_1_to_1000_connections(running: Gateway, size: str) -> None:
    answer = await http(running.internal_port, "GET", f"/dev/@connections?maxResults={quote(size)}")

    assert (answer.status, json.loads(answer.body)["message"]) == (400, "maxResults must be 1 to 1000")
