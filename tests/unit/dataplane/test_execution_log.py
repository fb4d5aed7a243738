"""The execution log of one event (API Gateway developer guide, "Set up WebSocket API logging")."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.unit.dataplane.values import connecting, message
from wsgateway.authorizers.sources import compile_source
from wsgateway.dataplane.execution_log import ExecutionLog, Logging
from wsgateway.dataplane.secrets import secrets_of, without
from wsgateway.messages import EndpointRequest
from wsgateway.model.loader import parse

REQUEST = EndpointRequest(b"GET /ws?token=s3cret HTTP/1.1\r\nHost: backend\r\n", b"", "GET")


@pytest.mark.parametrize(
    ("data", "uri"),
    [
        pytest.param(False, "backend/ws", id="steps alone"),
        pytest.param(True, "backend/ws?token=s3cret", id="what was said, too"),
    ],
)
def test_a_query_string_is_told_with_the_data_alone(data: bool, uri: str) -> None:
    lines: list[str] = []
    log = ExecutionLog(lambda event, **facts: lines.append(str(facts["text"])), Logging(True, data), message("{}"))

    log.note("endpoint request", REQUEST)

    assert f"Endpoint request URI: {uri}" in lines
    assert f"Sending request to {uri}" in lines


def test_the_key_that_is_counted_is_told_by_its_name() -> None:
    lines: list[str] = []
    event = message("{}")
    log = ExecutionLog(lambda _, **facts: lines.append(str(facts["text"])), Logging(True, False), event)

    log.note("usage plan", "mobile")

    said = f"Verifying Usage Plan for request: {event.request_id}. API Key: mobile API Stage: chat/dev"
    assert lines[-1] == said


TOKEN = "eyJhbGciOiJSUzI1NiJ9.e30.c2lnbmF0dXJl+/=="


@pytest.mark.parametrize(
    ("text", "told"),
    [
        pytest.param(f"URI: /?token={quote(TOKEN, safe='')}&a=1", "URI: /?token=***&a=1", id="in a URL"),
        pytest.param(f'{{"a": "{TOKEN}", "b": "{TOKEN}"}}', '{"a": "***", "b": "***"}', id="as it is, twice"),
        pytest.param(f"body: {TOKEN[:20]}…", "body: ***", id="cut off"),
        pytest.param(f"body: {TOKEN[:20]}", "body: ***", id="cut off without a word"),
        pytest.param(f"body: {TOKEN[:20]} else", f"body: {TOKEN[:20]} else", id="another that begins so"),
        pytest.param("nothing", "nothing", id="none"),
    ],
)
def test_secrets_are_taken_out(text: str, told: str) -> None:
    assert without(text, ["", "a", TOKEN]) == told


def test_a_token_is_found_without_its_scheme() -> None:
    text = f'{{"header": "Bearer {TOKEN}", "token": "{TOKEN}"}}'
    assert without(text, [f"Bearer {TOKEN}"]) == '{"header": "***", "token": "***"}'


def test_a_secret_is_found_in_json() -> None:
    secret = 'a "secret"\\ of Jürgen\'s'

    assert without(json.dumps({"token": secret}, ensure_ascii=False), [secret]) == '{"token": "***"}'


def test_the_token_of_a_session_is_not_told_wherever_it_is_mapped_to() -> None:
    text = """
sessionLookup: {url: "https://sessions.example/"}
apis:
  chat:
    protocolType: WEBSOCKET
    routeSelectionExpression: $request.body.action
    stages: {dev: {}}
    routes: {$connect: {authorizationType: AWS_IAM}}
"""
    readers = secrets_of(parse(text, "routes.yaml", {}, Path()).definitions.websocket_apis["chat"])
    event = connecting("/dev", ("X-Amz-Security-Token", "token-of-a-session"))
    lines: list[str] = []
    log = ExecutionLog(lambda event, **facts: lines.append(str(facts["text"])), Logging(True, True, readers), event)

    log.note(
        "endpoint request", EndpointRequest(b"GET / HTTP/1.1\r\nHost: b\r\nX-Session: token-of-a-session\r\n", b"")
    )

    assert "Endpoint request headers: {Host=b, X-Session=***}" in lines


def test_what_a_client_shows_to_be_let_in_is_not_told() -> None:
    lines: list[str] = []
    readers = (compile_source("route.request.querystring.token"), compile_source("route.request.header.x-api-key"))
    event = connecting("/dev?token=some-secret-token", ("X-Api-Key", "k" * 20))
    log = ExecutionLog(lambda event, **facts: lines.append(str(facts["text"])), Logging(True, True, readers), event)
    event.client.identity = {"apiKey": "usage-identifier-key"}

    body = b'{"query": "some-secret-token", "apiKey": "usage-identifier-key", "key": "%b"}' % (b"k" * 20)
    log.note("endpoint request", EndpointRequest(b"POST /ws?token=some-secret-token HTTP/1.1\r\nHost: b\r\n", body))

    assert "Endpoint request URI: b/ws?token=***" in lines
    assert 'Endpoint request body: {"query": "***", "apiKey": "***", "key": "***"}' in lines
