"""$disconnect as the backend gets it: at least once, whatever becomes of the backend meanwhile."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect

from tests.harness import PATIENCE, Backend, Gateway, Request, backend, gateway, handshake, http

pytestmark = pytest.mark.anyio

DEFINITION = """
apis:
  chat:
    protocolType: WEBSOCKET
    routeSelectionExpression: $request.body.action
    stages: {{dev: {{}}}}
    integrations:
      ended:
        integrationType: {kind}
        integrationUri: {uri}
        {mapping}
    routes:
      $disconnect: {{integration: ended{more}}}
"""
MAPPING = (
    "requestParameters: {integration.request.header.Connection-Id: context.connectionId, "
    "integration.request.header.Request-Id: context.requestId, "
    "integration.request.header.At: context.requestTimeEpoch, "
    "integration.request.header.Code: context.disconnectStatusCode}"
)
LETTER = "$disconnect dead letter"


def defined(asked: Backend, more: str = "") -> str:
    uri = f"http://127.0.0.1:{asked.port}/ended"
    return DEFINITION.format(kind="HTTP_PROXY", uri=uri, mapping=MAPPING, more=more)


@pytest.fixture
async def asked() -> AsyncIterator[Backend]:
    async with backend() as running:
        yield running


async def ends(running: Gateway, count: int = 1) -> None:
    """So many connections open, and close with 1000."""
    clients: list[ClientConnection] = await asyncio.gather(*(connect(running.ws()) for _ in range(count)))
    await asyncio.gather(*(client.close() for client in clients))


async def sample(running: Gateway, name: str, value: float) -> dict[str, float]:
    """The metrics, once one of them is `value`."""
    async with asyncio.timeout(PATIENCE):
        while (metrics := await running.metrics())[f"wsgateway_{name}"] != value:
            pass
    return metrics


def letters(running: Gateway) -> list[dict[str, Any]]:
    return [json.loads(line) for line in running.log if LETTER in line]


class Script:
    """One answer after another; the last one for good."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)

    def __call__(self, request: Request) -> Any:
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


OK = (200, {}, b"")
COULD_NOT = [
    pytest.param(None, id="no answer"),
    pytest.param(b"HTTP/9 nonsense\r\n\r\n", id="nonsense"),
    *(pytest.param((status, {}, b""), id=str(status)) for status in (429, 502, 503, 504)),
]


@pytest.mark.parametrize("answer", COULD_NOT)
async def test_a_backend_that_could_not_is_asked_again_with_the_same_event(
    asked: Backend, tmp_path: Path, answer: Any
) -> None:
    asked.answers("/ended", Script(answer, answer, OK))
    async with gateway(defined(asked), tmp_path) as running:
        await ends(running)
        await asked.saw("/ended", 3)
        metrics = await sample(running, "disconnects_waiting", 0)
        await running.logged("integration fails")
        await running.logged("integration answers again")

    assert asked.count("/ended") == 3
    events = {
        tuple(request.header(name) for name in ("connection-id", "request-id", "at", "code"))
        for request in asked.requests
    }
    assert len(events) == 1
    assert None not in next(iter(events))
    assert metrics["wsgateway_disconnect_retries_total"] == 2
    assert metrics["wsgateway_disconnect_failures_total"] == 2
    assert metrics["wsgateway_dead_letters_total"] == 0


@pytest.mark.parametrize("status", [200, 204, 302, 400, 404, 500, 501])
async def test_any_other_answer_is_final(asked: Backend, tmp_path: Path, status: int) -> None:
    asked.answers("/ended", (status, {}, b""))
    async with gateway(defined(asked), tmp_path) as running:
        await ends(running, 3)
        await asked.saw("/ended", 3)
        metrics = await sample(running, "disconnects_running", 0)

    assert metrics["wsgateway_disconnects_waiting"] == 0
    assert metrics["wsgateway_disconnect_failures_total"] == 0
    assert asked.count("/ended") == 3


async def test_2000_connections_that_close_while_the_backend_is_down_are_told_of_when_it_is_back(
    asked: Backend, tmp_path: Path
) -> None:
    at_once = most = 0

    async def answer(request: Request) -> Any:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        for _ in range(20):  # the others that come at once are there before it answers
            await asyncio.sleep(0)
        at_once -= 1
        return OK

    asked.answers("/ended", answer)
    async with gateway(defined(asked), tmp_path) as running:
        writers = [await _opened(running) for _ in range(2000)]
        ids = {item["connectionId"] for item in await _listed(running)}
        asked.stop()
        for writer in writers:
            writer.transport.abort()
        await sample(running, "disconnects_waiting", 2000)
        assert asked.count("/ended") == 0

        await asked.start(asked.port)
        await asked.saw("/ended", 2000)
        metrics = await sample(running, "disconnects_waiting", 0)

    assert len(ids) == 2000
    told = Counter(request.header("connection-id") for request in asked.requests)
    assert told == Counter(dict.fromkeys(ids, 1))
    assert len({request.header("request-id") for request in asked.requests}) == 2000
    assert {request.header("code") for request in asked.requests} == {"1006"}
    assert metrics["wsgateway_dead_letters_total"] == 0
    assert 1 < most <= 64
    assert sum("$disconnect" in line for line in running.log) < 20, "not a line an attempt"


async def _opened(running: Gateway) -> asyncio.StreamWriter:
    async with asyncio.timeout(PATIENCE):
        reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
        writer.write(handshake())
        await reader.readuntil(b"\r\n\r\n")
        return writer


async def _listed(running: Gateway) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    path = "/dev/@connections?maxResults=1000"
    token = ""
    while True:
        page = (await http(running.internal_port, "GET", path + token)).json()
        items += page["items"]
        if not page.get("nextToken"):
            return items
        token = f"&nextToken={page['nextToken']}"


async def test_what_is_given_up_is_a_dead_letter_that_says_it_all(asked: Backend, tmp_path: Path) -> None:
    asked.stop()
    async with gateway(defined(asked), tmp_path, "--disconnect-retry-seconds", "1.5") as running:
        async with connect(running.ws(), user_agent_header="tests/1") as client:
            await client.close(4001, "enough")
        await running.logged(LETTER)
        (letter,) = letters(running)
        metrics = await running.metrics()

    assert 2 <= letter.pop("attempts") <= 4
    connection_id, request_id = letter.pop("connection_id"), letter.pop("request_id")
    assert (len(connection_id), len(request_id)) == (28, 16)
    assert letter.pop("request_time_epoch") >= letter.pop("connected_at") > 1_700_000_000_000
    assert "refused the connection" in letter.pop("error")
    del letter["timestamp"]
    assert letter == {
        "event": LETTER,
        "level": "ERROR",
        "cause": "its time is over",
        "api": "chat",
        "stage": "dev",
        "domain_name": f"127.0.0.1:{running.port}",
        "source_ip": "127.0.0.1",
        "user_agent": "tests/1",
        "code": 4001,
        "reason": "enough",
    }
    assert metrics["wsgateway_dead_letters_total"] == 1
    assert metrics["wsgateway_disconnects_waiting"] == 0


@pytest.mark.parametrize("by", ["flag", "environment"])
async def test_no_time_for_retries_is_one_attempt(asked: Backend, tmp_path: Path, by: str) -> None:
    asked.answers("/ended", (503, {}, b""))
    flags = ["--disconnect-retry-seconds", "0"] if by == "flag" else []
    env = {"WSGATEWAY_DISCONNECT_RETRY_SECONDS": "0"} if by == "environment" else {}
    async with gateway(defined(asked), tmp_path, *flags, env=env) as running:
        await ends(running)
        await running.logged(LETTER)

    assert [(letter["attempts"], letter["error"]) for letter in letters(running)] == [(1, "the backend answered 503")]
    assert asked.count("/ended") == 1


async def test_at_most_once_is_one_attempt(asked: Backend, tmp_path: Path) -> None:
    asked.answers("/ended", Script((503, {}, b""), OK))
    definition = defined(asked, ", delivery: AT_MOST_ONCE")
    async with gateway(definition, tmp_path) as running:
        await ends(running)
        line = json.loads(await running.logged("$disconnect failed"))
        metrics = await running.metrics()

    assert line["error"] == "the backend answered 503"
    assert metrics["wsgateway_disconnects_waiting"] == metrics["wsgateway_dead_letters_total"] == 0
    assert asked.count("/ended") == 1


async def test_a_definition_that_is_mended_is_tried_at_once(asked: Backend, tmp_path: Path) -> None:
    definition = defined(asked)
    async with backend() as wrong:
        port = wrong.port
    async with gateway(definition.replace(str(asked.port), str(port)), tmp_path) as running:
        await ends(running, 5)
        await sample(running, "disconnects_waiting", 5)

        (tmp_path / "routes.yaml").write_text(definition)
        running.reload()
        await asked.saw("/ended", 5)


async def test_a_drain_with_a_backend_that_is_down_ends_with_dead_letters(asked: Backend, tmp_path: Path) -> None:
    flags = "--drain-window", "0", "--disconnect-retry-seconds", "2"
    async with gateway(defined(asked), tmp_path, *flags) as running:
        clients = [await connect(running.ws()) for _ in range(20)]
        ids = {item["connectionId"] for item in await _listed(running)}
        asked.stop()
        running.terminate()
        await asyncio.gather(*(client.wait_closed() for client in clients))
        assert await running.wait() == 0

    assert {letter["connection_id"] for letter in letters(running)} == ids
    assert {letter["code"] for letter in letters(running)} == {1001}
    assert len(letters(running)) == len(ids) == 20


async def test_a_drain_is_over_when_the_backend_is_back(asked: Backend, tmp_path: Path) -> None:
    async with gateway(defined(asked), tmp_path, "--drain-window", "0") as running:
        clients = [await connect(running.ws()) for _ in range(20)]
        asked.stop()
        running.terminate()
        await asyncio.gather(*(client.wait_closed() for client in clients))
        await sample(running, "disconnects_waiting", 20)

        await asked.start(asked.port)
        assert await running.wait() == 0

    assert asked.count("/ended") == 20
    assert letters(running) == []


# Lambda

INVOKE = "/2015-03-31/functions/ended/invocations"
RESULT = (200, {}, b"null")


def refused(status: int, kind: str) -> tuple[int, dict[str, str], bytes]:
    return status, {"x-amzn-ErrorType": kind}, b'{"Message": "no"}'


async def of_lambda(asked: Backend, folder: Path, *answers: Any, told: str = "") -> tuple[Gateway, dict[str, float]]:
    """A connection ends, and these are Lambda's answers; `told` stands in the log then."""
    asked.answers(INVOKE, Script(*answers))
    env = {
        "AWS_ENDPOINT_URL_LAMBDA": f"http://127.0.0.1:{asked.port}",
        "AWS_REGION": "eu-central-1",
        "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "secret",
    }
    definition = DEFINITION.format(kind="AWS_PROXY", uri="function:ended", mapping="", more="")
    async with gateway(definition, folder, env=env) as running:
        await ends(running)
        await asked.saw(INVOKE, len(answers))
        await sample(running, "disconnects_running", 0)
        metrics = await sample(running, "disconnects_waiting", 0)
        await running.logged(told)
        return running, metrics


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(refused(429, "TooManyRequestsException"), id="throttled"),
        pytest.param(refused(500, "ServiceException"), id="a fault of Lambda's"),
        pytest.param(refused(503, "ServiceUnavailable"), id="Lambda is away"),
        pytest.param(None, id="no answer"),
    ],
)
async def test_lambda_that_could_not_is_asked_again(asked: Backend, tmp_path: Path, answer: Any) -> None:
    _, metrics = await of_lambda(asked, tmp_path, answer, RESULT)

    assert metrics["wsgateway_disconnect_retries_total"] == 1
    first, second = (json.loads(request.body)["requestContext"] for request in asked.requests)
    assert first == second
    assert first["eventType"] == "DISCONNECT"


@pytest.mark.parametrize(
    ("answer", "failed"),
    [
        pytest.param((200, {"X-Amz-Function-Error": "Unhandled"}, b'{"errorMessage": "no"}'), True, id="FunctionError"),
        pytest.param((200, {}, b'{"statusCode": 503}'), False, id="a result of 503"),
        pytest.param(refused(404, "ResourceNotFoundException"), True, id="no such function"),
        pytest.param(refused(403, "AccessDeniedException"), True, id="not allowed"),
    ],
)
async def test_any_other_answer_of_lambda_is_final(asked: Backend, tmp_path: Path, answer: Any, failed: bool) -> None:
    running, metrics = await of_lambda(asked, tmp_path, answer, told="$disconnect failed" if failed else "")

    assert metrics["wsgateway_disconnect_retries_total"] == 0
    assert metrics["wsgateway_disconnect_failures_total"] == failed
    if not failed:
        assert not any("$disconnect failed" in line for line in running.log)
    assert asked.count(INVOKE) == 1
