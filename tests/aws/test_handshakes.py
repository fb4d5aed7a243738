"""How handshakes end (API Gateway developer guide, "Manage connected users and client apps: $connect and $disconnect
routes" and "Gateway response types"; RFC 6455 §4)."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator

import pytest

from tests.harness import Answer, Backend, Gateway, backend, gateway, handshake, http, parse_answer, raw

pytestmark = pytest.mark.anyio

DEFINITION = """
defaultApi: open
apis:
  open:
    protocolType: WEBSOCKET
    routeSelectionExpression: $request.body.action
    stages: {{dev: {{}}}}
    routes: {{$default: {{}}}}
  asks:
    protocolType: WEBSOCKET
    routeSelectionExpression: $request.body.action
    stages: {{dev: {{}}}}
    routes:
      $connect:
        integration:
          integrationType: HTTP_PROXY
          integrationUri: http://127.0.0.1:{port}/connect
          timeoutInMillis: 200
  dead:
    protocolType: WEBSOCKET
    routeSelectionExpression: $request.body.action
    stages: {{dev: {{}}}}
    routes: {{$connect: {{integration: {{integrationType: HTTP_PROXY, integrationUri: "http://127.0.0.1:1024/"}}}}}}
  mock:
    protocolType: WEBSOCKET
    routeSelectionExpression: $request.body.action
    stages: {{dev: {{}}}}
    routes:
      $connect:
        integration:
          integrationType: MOCK
          requestTemplates: {{$default: '{{"statusCode": 403}}'}}
          integrationResponses: {{$default: {{responseTemplates: {{$default: '{{"no": "entry"}}'}}}}}}
  needs:
    protocolType: WEBSOCKET
    routeSelectionExpression: $request.body.action
    stages: {{dev: {{}}}}
    routes:
      $connect:
        requestParameters: {{route.request.querystring.token: true, route.request.header.X-Room: true}}
"""


@pytest.fixture(scope="module")
async def asked() -> AsyncIterator[Backend]:
    async with backend() as running:
        yield running


@pytest.fixture(scope="module")
async def running(asked: Backend, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Gateway]:
    async with gateway(DEFINITION.format(port=asked.port), tmp_path_factory.mktemp("serve")) as running:
        yield running


async def shaken(running: Gateway, path: str = "/dev", host: str = "127.0.0.1", more: str = "") -> Answer:
    return parse_answer(await raw(running.port, handshake(path, host, more)))


async def opened(running: Gateway, path: str = "/dev", more: str = "") -> Answer:
    """A handshake that is expected to succeed: a close frame behind it ends the connection (RFC 6455 §5.5.1)."""
    return parse_answer(await raw(running.port, handshake(path, more=more) + bytes.fromhex("888000000000")))


async def test_a_stage_without_a_connect_route_accepts(running: Gateway) -> None:
    answer = await opened(
        running, more="Sec-WebSocket-Protocol: v1, v2\r\nSec-WebSocket-Extensions: permessage-deflate\r\n"
    )

    # RFC 6455 §1.3 has this key and its answer. No protocol is chosen and no extension negotiated.
    assert answer.status == 101
    assert sorted(answer.headers) == [
        ("connection", "Upgrade"),
        ("sec-websocket-accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
        ("upgrade", "websocket"),
    ]


@pytest.mark.parametrize(
    ("path", "host"),
    [
        pytest.param("/nosuch", "127.0.0.1", id="an unknown stage"),
        pytest.param("/", "127.0.0.1", id="no stage"),
        pytest.param("/dev/more", "127.0.0.1", id="more path"),
        pytest.param("/dev/@connections", "127.0.0.1", id="the callback path"),
        pytest.param("/dev", "nosuch.execute-api.eu-west-1.amazonaws.com", id="an unknown API in the Host"),
        pytest.param("/execute-api/nosuch/dev", "127.0.0.1", id="an unknown API in the path"),
    ],
)
async def test_what_no_api_knows_is_forbidden(running: Gateway, path: str, host: str) -> None:
    answer = await shaken(running, path, host)

    assert (answer.status, answer.body) == (403, b'{"message":"Forbidden"}')
    assert answer.header("x-amzn-errortype") == "ForbiddenException"
    assert answer.header("connection") == "close"


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "OPTIONS"])
async def test_plain_http_on_a_stage_is_forbidden(running: Gateway, method: str) -> None:
    answer = await http(running.port, method, "/dev")

    assert (answer.status, answer.body) == (403, b'{"message":"Forbidden"}')
    assert answer.header("x-amzn-errortype") == "ForbiddenException"


@pytest.mark.parametrize(
    ("path", "host"),
    [
        ("/execute-api/mock/dev", "127.0.0.1"),
        ("/dev", "mock.execute-api.eu-west-1.amazonaws.com"),
        ("/dev/", "MOCK.execute-api.localhost.:8080"),
    ],
)
async def test_an_api_is_named_by_path_or_host(running: Gateway, path: str, host: str) -> None:
    assert (await shaken(running, path, host)).status == 403
    assert (await shaken(running, path, host)).body == b'{"no": "entry"}'


# $connect decides


@pytest.mark.parametrize("status", [200, 201, 204, 299])
async def test_any_2xx_accepts(running: Gateway, asked: Backend, status: int) -> None:
    headers = {"Set-Cookie": "a=1", "X-Own": "1", "Content-Type": "text/plain"}
    asked.answers("/connect", (status, headers, b"" if status == 204 else b"welcome"))

    answer = await opened(running, "/execute-api/asks/dev")

    assert answer.status == 101
    assert sorted(name for name, _ in answer.headers) == ["connection", "sec-websocket-accept", "upgrade"]


async def test_the_101_carries_the_subprotocol_the_backend_gives(running: Gateway, asked: Backend) -> None:
    asked.answers("/connect", (200, {"sec-websocket-protocol": "v2"}, b""))

    answer = await opened(running, "/execute-api/asks/dev", "Sec-WebSocket-Protocol: v1, v2\r\n")

    assert (answer.status, answer.header("sec-websocket-protocol")) == (101, "v2")
    assert asked.requests[-1].header("sec-websocket-protocol") == "v1, v2"


@pytest.mark.parametrize(
    ("status", "headers", "body"),
    [
        pytest.param(401, {"WWW-Authenticate": "Bearer"}, b"who are you?", id="401"),
        pytest.param(403, {"Content-Type": "text/html"}, b"<p>no</p>", id="403 with a page"),
        pytest.param(301, {"Location": "http://127.0.0.1:1/"}, b"", id="a redirect, never followed"),
        pytest.param(404, {}, b"", id="404"),
        pytest.param(500, {"Retry-After": "9"}, b"{}", id="500"),
        pytest.param(503, {}, b"busy", id="503"),
        pytest.param(304, {}, b"", id="a status without a body"),
    ],
)
async def test_another_status_is_the_handshakes_own(
    running: Gateway, asked: Backend, status: int, headers: dict[str, str], body: bytes
) -> None:
    asked.answers("/connect", (status, headers, body))

    answer = await shaken(running, "/execute-api/asks/dev")

    assert (answer.status, answer.body) == (status, body)
    for name, value in headers.items():
        renamed = "x-amzn-remapped-www-authenticate" if name == "WWW-Authenticate" else name.lower()
        assert answer.header(renamed) == value
    assert answer.header("connection") == "close"
    assert re.fullmatch(r"[A-Za-z0-9_-]{15}=", answer.header("x-amz-apigw-id") or "")


async def test_a_mock_refuses_with_its_response_template(running: Gateway) -> None:
    answer = await shaken(running, "/execute-api/mock/dev")

    assert (answer.status, answer.body) == (403, b'{"no": "entry"}')
    assert answer.header("content-type") == "application/json"


async def _never(request: object) -> None:
    await asyncio.get_running_loop().create_future()


@pytest.mark.parametrize(
    ("path", "script", "status", "message"),
    [
        pytest.param("/execute-api/dead/dev", None, 500, "Internal server error", id="unreachable"),
        pytest.param("/execute-api/asks/dev", _never, 504, "Endpoint request timed out", id="slow"),
        pytest.param("/execute-api/asks/dev", b"garbage\r\n\r\n", 502, "Internal server error", id="garbage"),
        pytest.param("/execute-api/asks/dev", None, 502, "Internal server error", id="closed without an answer"),
        pytest.param(
            "/execute-api/asks/dev",
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
            502,
            "Internal server error",
            id="a backend that switches protocols itself",
        ),
        pytest.param(
            "/execute-api/needs/dev",
            None,
            400,
            "Missing required request parameters: [token, X-Room]",
            id="required parameters are missing",
        ),
        pytest.param(
            "/execute-api/needs/dev?token=t", None, 400, "Missing required request parameters: [X-Room]", id="one is"
        ),
    ],
)
async def test_the_gateways_own_refusals_name_connection_and_request(
    running: Gateway, asked: Backend, path: str, script: bytes | None, status: int, message: str
) -> None:
    asked.answers("/connect", script)

    answer = await shaken(running, path)

    assert answer.status == status
    match = re.fullmatch(
        r'\{"message": "(.*)", "connectionId":"[A-Za-z0-9_-]{26}==", "requestId":"([A-Za-z0-9_-]{15}=)"\}',
        answer.body.decode(),
    )
    assert match is not None, answer.body
    assert match[1] == message
    assert answer.header("x-amz-apigw-id") == match[2]
    assert answer.header("content-type") == "application/json; charset=UTF-8"
    assert answer.header("x-amzn-requestid") is None
    assert answer.header("x-amzn-errortype") is None


async def test_what_is_required_and_there_is_let_in(running: Gateway) -> None:
    assert (await opened(running, "/execute-api/needs/dev?token=t", "x-room: r\r\n")).status == 101


# RFC 6455 §4.2.1


@pytest.mark.parametrize(
    ("change", "status"),
    [
        pytest.param(("Sec-WebSocket-Version: 13", "Sec-WebSocket-Version: 8"), 426, id="another version"),
        pytest.param(("Sec-WebSocket-Version: 13\r\n", ""), 400, id="no version"),
        pytest.param(("dGhlIHNhbXBsZSBub25jZQ==", "short"), 400, id="a bad key"),
        pytest.param(("GET ", "POST "), 400, id="a POST"),
        pytest.param(("HTTP/1.1", "HTTP/1.0"), 400, id="HTTP/1.0"),
        pytest.param(("Host: 127.0.0.1", "Host: a\r\nHost: b"), 400, id="two Hosts"),
        pytest.param(("\r\n\r\n", "\r\nContent-Length: 2\r\n\r\nhi"), 400, id="a body"),
        pytest.param(("/dev", "/dev/.."), 400, id="a dot segment"),
        pytest.param(("/dev", "/dev?" + "x" * 4092), 414, id="a URL over 4096 bytes"),
    ],
)
async def test_a_malformed_handshake_is_refused(running: Gateway, change: tuple[str, str], status: int) -> None:
    answer = parse_answer(await raw(running.port, handshake().decode().replace(*change).encode()))

    assert answer.status == status
    assert answer.header("connection") == "close"
    if status == 426:
        assert answer.header("sec-websocket-version") == "13"
