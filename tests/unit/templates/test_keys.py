"""Expressions that pick a template (API Gateway developer guide, "Selection expressions")."""

from __future__ import annotations

import pytest

from tests.unit.dataplane.values import connecting, message
from wsgateway.messages import EndpointResponse
from wsgateway.templates.expression import ExpressionError
from wsgateway.templates.keys import REQUEST_ROOTS, RESPONSE_ROOTS, KeyExpression

ANSWER = EndpointResponse(404, ((b"X-Kind", b"a"), (b"Content-Type", b"text/plain"), (b"x-kind", b"b")), b"{}")


@pytest.mark.parametrize(
    ("expression", "key"),
    [
        pytest.param("200", "200", id="a constant"),
        pytest.param(r"\$default", "$default", id="an escaped dollar sign"),
        pytest.param("$request.body.kind", "note", id="of the message"),
        pytest.param("${request.body.kind}/${request.body.n}", "note/7", id="two, joined"),
        pytest.param("${request.body.none}-", "-", id="nothing there"),
        pytest.param("$context.routeKey", "say", id="of the context"),
        pytest.param("${context.nosuch}x", "x", id="not of the context"),
        pytest.param("$stageVariables.tier", "gold", id="a stage variable"),
        pytest.param("$integration.response.statuscode", "404", id="the status"),
        pytest.param("${integration.response.statuscode}", "404", id="the status in braces"),
        pytest.param("${integration.response.header.x-kind}", "b", id="a header, the last one"),
        pytest.param("${integration.response.multivalueheader.X-Kind}", "a,b", id="a header, all of them"),
        pytest.param("${integration.response.header.Nosuch}", "", id="no such header"),
    ],
)
def test_the_key(expression: str, key: str) -> None:
    event = message('{"kind": "note", "n": 7}', tier="gold")

    assert KeyExpression(expression, RESPONSE_ROOTS)(event, ANSWER) == key


@pytest.mark.parametrize("body", ["", "hello", "[1]", "\x00"])
def test_a_message_that_is_no_json_object_has_empty_fields(body: str) -> None:
    assert KeyExpression("a${request.body.kind}", REQUEST_ROOTS)(message(body)) == "a"


def test_a_handshake_has_no_body() -> None:
    assert KeyExpression("${request.body.kind}200", REQUEST_ROOTS)(connecting()) == "200"


@pytest.mark.parametrize(
    ("expression", "fixed"),
    [("200", "200"), (r"\$default", "$default"), ("$request.body.kind", None), ("a$context.stage", None)],
)
def test_what_reads_nothing_is_known_at_once(expression: str, fixed: str | None) -> None:
    assert KeyExpression(expression, REQUEST_ROOTS).fixed == fixed


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        pytest.param(
            "$integration.response.statuscode", "is not allowed in this selection", id="an answer's, too early"
        ),
        pytest.param("$response.statuscode", "is not allowed in this selection", id="another root"),
        pytest.param("$context", "expected .NAME behind \\$context", id="no name"),
        pytest.param("${context.a b}", "a name of \\$context has letters", id="a name with a blank"),
        pytest.param("jmespath:body.type", "for route selection expressions", id="JMESPath"),
        pytest.param("", "may not be empty", id="nothing"),
        pytest.param("${request.body.a", "no closing", id="an open brace"),
    ],
)
def test_what_a_request_can_not_be_asked(expression: str, said: str) -> None:
    with pytest.raises(ExpressionError, match=said):
        KeyExpression(expression, REQUEST_ROOTS)


def test_a_status_has_nothing_behind_it() -> None:
    with pytest.raises(ExpressionError, match="is a number, and has nothing behind it"):
        KeyExpression("${integration.response.statuscode.x}", RESPONSE_ROOTS)
