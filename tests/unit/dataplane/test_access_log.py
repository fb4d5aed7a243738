"""Rows of access logs (API Gateway developer guide, "Set up WebSocket API logging", access logging)."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.dataplane.values import connecting, message
from tests.unit.requests import method_request
from wsgateway.dataplane.access_log import MAX_VALUE, AccessLog, Row, WriteRow, check_access_log
from wsgateway.errors import AccessDenied, BadGateway, InvalidSignature, Unauthorized
from wsgateway.invocation import CONTEXT, Invocation
from wsgateway.messages import EndpointRequest, EndpointResponse, HttpResponse, Message
from wsgateway.method_request import MethodRequest
from wsgateway.model.access_log import AccessLogSettings

FUNCTION = {"function": "chat", "body": b"{}"}
REQUEST = EndpointRequest(b"POST / HTTP/1.1\r\n", b"", "POST")


def into(rows: list[str]) -> WriteRow:
    """What writes rows here."""
    return lambda text, values: rows.append(text(values))


def settings(text: str) -> AccessLogSettings:
    return AccessLogSettings.model_validate({"format": text})


def row_of(text: str, invocation: Invocation, *steps: tuple[str, Any]) -> str:
    rows: list[str] = []
    row = Row(AccessLog(settings(text), CONTEXT), into(rows), invocation)
    for step, value in steps:
        row.note(step, value)
    (written,) = rows
    return written


@pytest.mark.parametrize(
    ("text", "steps", "expected"),
    [
        pytest.param("$context.routeKey $context.status", [("frame", None)], "say 200", id="a message"),
        pytest.param("${context.routeKey}!", [("frame", None)], "say!", id="braces"),
        pytest.param("100% of $context.stage.", [("frame", None)], "100% of dev.", id="what is no variable stays"),
        pytest.param("$context.responseLength", [("frame", Message(b"12345"))], "5", id="a reply's length"),
        pytest.param(
            "$context.status $context.integrationStatus $context.integration.status",
            [("endpoint request", REQUEST), ("endpoint response", EndpointResponse(503)), ("frame", None)],
            "200 503 503",
            id="what the backend said",
        ),
        pytest.param(
            "$context.integrationStatus $context.integration.integrationStatus $context.integration.status",
            [("endpoint request", FUNCTION), ("endpoint response", EndpointResponse(404)), ("frame", None)],
            "200 200 404",
            id="what Lambda said, and its function",
        ),
        pytest.param(
            "$context.integrationStatus $context.integration.status",
            [("endpoint request", FUNCTION), ("error", BadGateway("it raised", failure="function-error"))],
            "200 -",
            id="a function that fails is an answer of Lambda",
        ),
        pytest.param(
            "$context.status $context.error.message $context.error.responseType $context.integration.error",
            [("error", AccessDenied("no route"))],
            "403 Forbidden ACCESS_DENIED -",
            id="refused before any backend was asked",
        ),
        pytest.param(
            "$context.error.messageString $context.integrationStatus $context.integration.error",
            [("endpoint request", REQUEST), ("error", BadGateway("refused"))],
            '"Internal server error" - refused',
            id="a backend that gives no answer",
        ),
        pytest.param("$context.disconnectReason $context.waf.status", [("frame", None)], "- -", id="what is absent"),
    ],
)
def test_a_row_says_what_became_of_its_event(text: str, steps: list[tuple[str, Any]], expected: str) -> None:
    event = message("{}", route_key="say")
    assert row_of(f"{text} $context.requestId", event, *steps) == f"{expected} {event.request_id}"


def test_a_handshake_that_was_refused_has_the_status_it_was_answered_with() -> None:
    text = "$context.requestId $context.eventType $context.status"
    event = connecting()
    assert row_of(text, event, ("frame", EndpointResponse(401))) == f"{event.request_id} CONNECT 401"


def test_an_authorizer_is_told_of() -> None:
    text = "$context.requestId $context.authorizer.status $context.authorizer.error"
    event = connecting()
    assert row_of(text, event, ("authorizer", "users"), ("identity", {}), ("frame", None)).endswith(" 200 -")
    assert row_of(text, event, ("authorizer", "users"), ("error", AccessDenied("policy"))).endswith(" 403 policy")


WHO = (
    "$context.requestId|$context.authenticate.status $context.authenticate.error "
    "$context.authorizer.status $context.authorizer.error $context.authorizer.requestId "
    "$context.authorize.status $context.authorize.error $context.authorize.latency"
)


@pytest.mark.parametrize(
    ("context", "steps", "expected"),
    [
        pytest.param({}, [("frame", None)], "- - - - - - - -", id="nobody is asked"),
        pytest.param(
            {"principalId": "ann"},
            [("authorizer", "users"), ("authorizer request id", "7"), ("identity", {}), ("frame", None)],
            "- - 200 - 7 200 - 0",
            id="a function lets it in",
        ),
        pytest.param(
            {"principalId": "ann"},
            [("authorizer", "users"), ("authorizer request id", "7"), ("error", AccessDenied("no"))],
            "- - 200 - 7 403 no 0",
            id="a function knows it, and its policy refuses it",
        ),
        pytest.param(
            {},
            [("authorizer", "users"), ("authorizer request id", None), ("error", Unauthorized("no"))],
            "- - 401 no - - - -",
            id="a function refuses it",
        ),
        pytest.param(
            {},
            [("authorizer", "AWS_IAM"), ("identity", {}), ("frame", None)],
            "200 - - - - 200 - 0",
            id="a good signature",
        ),
        pytest.param(
            {},
            [("authorizer", "AWS_IAM"), ("error", InvalidSignature("no"))],
            "403 no - - - - - -",
            id="a bad signature",
        ),
        pytest.param(
            {},
            [("authorizer", "AWS_IAM"), ("error", AccessDenied("no"))],
            "200 - - - - 403 no 0",
            id="a good signature of whom no policy allows it",
        ),
    ],
)
def test_who_sends_it_and_whether_policies_allow_it_are_told_apart(
    context: dict[str, str], steps: list[tuple[str, Any]], expected: str
) -> None:
    event = connecting()
    event.client.authorizer = context
    event.authorizer_millis = 3 if context else None
    assert row_of(WHO, event, *steps).partition("|")[2] == expected


def test_what_aws_calls_a_call_is_told() -> None:
    text = "$context.integration.requestId $context.awsEndpointRequestId $context.requestId"
    event = message("{}")
    steps = (("endpoint request", FUNCTION), ("endpoint request id", "8"), ("endpoint response", EndpointResponse(200)))
    assert row_of(text, event, *steps, ("frame", None)).startswith("8 8 ")


IDENTITY = "$context.identity.sourceIp $context.identity.caller $context.identity.user"
CLF = (
    f'{IDENTITY} [$context.requestTime] "$context.httpMethod $context.resourcePath $context.protocol" '
    "$context.status $context.responseLength $context.requestId"
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(CLF, '203.0.113.7 - - [TIME] "GET /pets HTTP/1.1" 403 0 ID', id="CLF"),
        pytest.param(
            f"{IDENTITY.replace(' ', ',')},$context.httpMethod,$context.status,$context.requestId",
            "203.0.113.7,-,-,GET,403,ID",
            id="CSV",
        ),
        pytest.param(
            '<request id="$context.requestId"> <ip>$context.identity.sourceIp</ip> <status>$context.status</status>'
            "</request>",
            '<request id="ID"> <ip>203.0.113.7</ip> <status>403</status></request>',
            id="XML",
        ),
    ],
)
def test_the_formats_of_awss_console(text: str, expected: str) -> None:
    rows: list[str] = []
    request = method_request()
    access = AccessLog(settings(text), MethodRequest.variables)
    Row(access, into(rows), request).note("response", HttpResponse(403))
    known = {"ID": request.request_id, "TIME": str(request.context("requestTime"))}
    for name, value in known.items():
        expected = expected.replace(name, value)
    assert rows == [expected]


def test_a_format_of_awss_is_taken_whole() -> None:
    """What AWS has and nothing here gives is `-`."""
    absent = "$context.waf.status $context.identity.clientCert.validity.notAfter $context.webaclArn"
    assert not list(check_access_log(settings(f"$context.requestId {absent}"), MethodRequest.variables))
    assert row_of(f"{absent} $context.requestId", message("{}"), ("frame", None)).startswith("- - - ")


def test_a_key_is_told_by_its_end() -> None:
    event = message("{}")
    event.client.identity = {"apiKey": "abcdefghijklmnopqrstuvwxyz"}
    row = row_of("$context.requestId $context.identity.apiKey", event, ("frame", None))
    assert row.endswith(f" {'*' * 20}uvwxyz")


@given(
    text=st.text(st.characters(exclude_characters="$\r\n", exclude_categories=["Cs"]), max_size=50),
    more=st.text("{}'\"\\%$ar", max_size=9),
)
def test_whatever_stands_around_variables_is_written_as_it_is(text: str, more: str) -> None:
    event = message("{}")
    row = row_of(f"{text}$context.requestId {more}${{context.stage}}{text}", event, ("frame", None))
    assert row == f"{text}{event.request_id} {more}dev{text}"


@given(agent=st.text())
def test_whatever_a_client_sends_stays_one_value_of_one_line(agent: str) -> None:
    event = message("{}")
    event.client.user_agent = agent
    row = row_of('{"id":"$context.requestId","agent":"$context.identity.userAgent"}', event, ("frame", None))
    assert len(row.splitlines()) == 1
    expected = agent if len(agent) <= MAX_VALUE else agent[:MAX_VALUE] + "…"
    assert json.loads(row) == {"id": event.request_id, "agent": expected or "-"}


@given(verb=st.text())
def test_a_verb_that_a_client_made_up_stays_one_value(verb: str) -> None:
    rows: list[str] = []
    access = AccessLog(settings('{"id":"$context.requestId","verb":"$context.httpMethod"}'), MethodRequest.variables)
    Row(access, into(rows), method_request(method=verb)).note("response", HttpResponse(403))
    (row,) = rows
    assert len(row.splitlines()) == 1
    expected = verb if len(verb) <= MAX_VALUE else verb[:MAX_VALUE] + "…"
    assert json.loads(row)["verb"] == (expected or "-")


def test_a_variable_that_there_is_not_is_a_problem() -> None:
    (problem,) = check_access_log(settings("$context.requestId $context.statuss $context.authorizer.any"), CONTEXT)
    assert problem.path == ("accessLogSettings", "format")
    assert "$context.statuss" in problem.text


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        pytest.param("$context.status", "$context.requestId", id="no id"),
        pytest.param("$context.requestId\n", "one line", id="two lines"),
    ],
)
def test_a_row_is_one_line_with_an_id(text: str, wrong: str) -> None:
    (problem,) = AccessLogSettings.model_construct(format=text).check()
    assert wrong in problem.text
