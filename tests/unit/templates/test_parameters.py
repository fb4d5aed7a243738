"""Request parameters of an integration (API Gateway developer guide, "Data mapping for WebSocket APIs")."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsgateway.errors import ApiConfigurationError, BadRequest
from wsgateway.messages import EndpointResponse
from wsgateway.templates.document import Json, Missing
from wsgateway.templates.expression import ExpressionError
from wsgateway.templates.messagepack import MESSAGEPACK
from wsgateway.templates.parameters import (
    GATEWAY_RESPONSE,
    METHOD_REQUEST,
    RESPONSE,
    ROUTE_REQUEST,
    Body,
    Context,
    Header,
    PathParameter,
    QueryString,
    Side,
    Source,
    StageVariable,
    Static,
    Target,
    Value,
    compile_source,
    parse_source,
    parse_target,
)
from wsgateway.templates.sources import Answered, BodyOf


class Request:
    """A request held in plain dicts."""

    def __init__(self, body: bytes = b"", binary: bool = False) -> None:
        self.data = body
        self.binary = binary
        self.document: Json | Missing = None

    def context(self, name: str) -> str | None:
        return {"connectionId": "abc=", "authorizer.principalId": "ann"}.get(name)

    def stage_variable(self, name: str) -> str | None:
        return {"backend": "10.0.0.1"}.get(name)

    def header(self, name: str) -> list[str]:
        return {"x-tag": ["one", "two"]}.get(name.lower(), [])

    def querystring(self, name: str) -> list[str]:
        return {"room": ["a", "b"], "empty": [""]}.get(name, [])

    def path_parameter(self, name: str) -> str | None:
        return {"id": "7"}.get(name)

    def body(self) -> bytes:
        return self.data

    def text(self) -> str:
        return self.data.decode()


@pytest.mark.parametrize(
    ("key", "target"),
    [
        pytest.param("integration.request.header.connectionId", Target("header", "connectionId"), id="a header"),
        pytest.param(
            "integration.request.header.X-Amz_Target.v1$", Target("header", "X-Amz_Target.v1$"), id="all characters"
        ),
        pytest.param(
            "integration.request.querystring.content-length", Target("querystring", "content-length"), id="a query"
        ),
        pytest.param("integration.request.path.id", Target("path", "id"), id="a path parameter"),
        pytest.param("integration.request.header.Host", Target("header", "Host"), id="Host may be mapped"),
        pytest.param(
            "integration.request.header.Authorization",
            Target("header", "Authorization"),
            id="what only AWS services forbid",
        ),
    ],
)
def test_targets(key: str, target: Target) -> None:
    assert parse_target(key) == target


@pytest.mark.parametrize(
    "name",
    [
        "Connection", "Expect", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "proxy-connection",
        "Proxy-Anything", "TE", "Trailer", "Upgrade", "HTTP2-Settings",
    ],
)  # fmt: skip
@pytest.mark.parametrize("aws", [False, True], ids=["a URL", "an AWS service"])
def test_headers_of_the_connection_are_no_targets(name: str, aws: bool) -> None:
    """RFC 9110 §7.6.1: they say how the gateway's own connection is used, of which a definition knows nothing."""
    with pytest.raises(ExpressionError, match=f"{name} is about the gateway's own connection to the backend"):
        parse_target(f"integration.request.header.{name}", aws=aws)
    assert parse_target(f"integration.request.querystring.{name}", aws=aws) == Target("querystring", name)


@pytest.mark.parametrize(
    ("key", "position", "problem"),
    [
        pytest.param("header.x", 0, "expected integration.request.header", id="no place"),
        pytest.param("integration.request.body", 0, "expected integration.request.header", id="no such place"),
        pytest.param("integration.request.header.", 27, "expected a name", id="no name"),
        pytest.param("integration.request.header.a b", 28, "expected a name", id="a blank"),
        pytest.param("integration.request.header.a:", 28, "expected a name", id="a colon"),
        pytest.param("integration.request.header.é", 27, "expected a name", id="not ASCII"),
        pytest.param("integration.request.header.a\n", 28, "expected a name", id="a line feed"),
        pytest.param("integration.request.header.Content-Length", 27, "the gateway's own", id="Content-Length"),
        pytest.param("integration.request.header.transfer-encoding", 27, "the gateway's own", id="Transfer-Encoding"),
        pytest.param("integration.request.header.X-Amzn-Trace-Id", 27, "the gateway's own", id="the trace id"),
        pytest.param("integration.request.header.x-amzn-apigateway-api-id", 27, "the gateway's own", id="the API id"),
    ],
)
def test_wrong_targets_say_why(key: str, position: int, problem: str) -> None:
    with pytest.raises(ExpressionError, match=problem) as caught:
        parse_target(key)

    assert caught.value.position == position


@pytest.mark.parametrize("name", ["Authorization", "Connection", "Expect", "Proxy-Authenticate", "TE"])
def test_an_aws_service_gets_some_headers_from_nobody_else(name: str) -> None:
    with pytest.raises(ExpressionError, match="the gateway's own"):
        parse_target(f"integration.request.header.{name}", aws=True)


@pytest.mark.parametrize(
    ("text", "source"),
    [
        pytest.param("'text'", Static("text"), id="a text"),
        pytest.param("''", Static(""), id="an empty text"),
        pytest.param("'it's'", Static("it's"), id="a text with a quote"),
        pytest.param("context.connectionId", Context("connectionId"), id="a context variable"),
        pytest.param("context.authorizer.principalId", Context("authorizer.principalId"), id="a dotted one"),
        pytest.param(
            "context.authorizer.claims.cognito:groups", Context("authorizer.claims.cognito:groups"), id="a claim"
        ),
        pytest.param("stageVariables.backend", StageVariable("backend"), id="a stage variable"),
        pytest.param("route.request.header.X-Tag", Header("X-Tag"), id="a header"),
        pytest.param("route.request.multivalueheader.X-Tag", Header("X-Tag", multi=True), id="all of a header"),
        pytest.param("route.request.querystring.room", QueryString("room"), id="a query parameter"),
        pytest.param(
            "route.request.multivaluequerystring.room", QueryString("room", multi=True), id="all of a query one"
        ),
        pytest.param("route.request.body", Body(), id="the body"),
    ],
)
def test_sources(text: str, source: Source) -> None:
    assert parse_source(text) == source


@pytest.mark.parametrize(
    ("text", "position", "problem"),
    [
        pytest.param("", 0, "expected 'text'", id="nothing"),
        pytest.param("text", 0, "expected 'text'", id="no quotes"),
        pytest.param("'text", 5, "closing quote", id="one quote"),
        pytest.param("'", 1, "closing quote", id="only a quote"),
        pytest.param("$context.connectionId", 0, "expected 'text'", id="a dollar sign"),
        pytest.param("method.request.header.x", 0, "expected 'text'", id="a REST source"),
        pytest.param("route.request.path.x", 0, "expected 'text'", id="no path in a WebSocket request"),
        pytest.param("route.request.bodyx", 0, "expected 'text'", id="almost the body"),
        pytest.param("context.", 8, "expected a name", id="no name"),
        pytest.param("context.a b", 9, "expected a name", id="a blank in a name"),
        pytest.param("context.a:b", 9, "expected a name", id="a colon in a name that is no claim's"),
        pytest.param("route.request.body.", 19, "behind the dot", id="no path behind the dot"),
        pytest.param("route.request.body.a[b]", 21, "expected a quoted name", id="a wrong path"),
    ],
)
def test_wrong_sources_say_why(text: str, position: int, problem: str) -> None:
    with pytest.raises(ExpressionError, match=problem.replace("(", "\\(")) as caught:
        parse_source(text)

    assert (caught.value.expression, caught.value.position) == (text, position)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        pytest.param("'text'", "text", id="a text"),
        pytest.param("context.connectionId", "abc=", id="a context variable"),
        pytest.param("context.authorizer.principalId", "ann", id="a dotted context variable"),
        pytest.param("context.nope", None, id="a missing context variable isn't sent"),
        pytest.param("stageVariables.backend", "10.0.0.1", id="a stage variable"),
        pytest.param("stageVariables.nope", None, id="a missing stage variable isn't sent"),
        pytest.param("route.request.header.X-Tag", "two", id="the last value of a header"),
        pytest.param("route.request.multivalueheader.X-Tag", ["one", "two"], id="all values of a header"),
        pytest.param("route.request.header.nope", None, id="a missing header isn't sent"),
        pytest.param("route.request.multivalueheader.nope", None, id="a missing multi value header isn't sent"),
        pytest.param("route.request.querystring.room", "b", id="the last value of a query parameter"),
        pytest.param("route.request.multivaluequerystring.room", ["a", "b"], id="all values of a query parameter"),
        pytest.param("route.request.querystring.empty", "", id="an empty value is a value"),
        pytest.param("route.request.body.s", "text", id="a string of the body"),
        pytest.param("route.request.body.n", "7.0", id="a number as written"),
        pytest.param("route.request.body.t", "true", id="true"),
        pytest.param("route.request.body.z", None, id="null isn't sent"),
        pytest.param("route.request.body.nope", None, id="what is missing isn't sent"),
        pytest.param("route.request.body.o", '{"a":[1,"é"]}', id="an object as JSON"),
        pytest.param("route.request.body.o.a[0]", "1", id="an element"),
        pytest.param("route.request.body['o'].a", '[1,"é"]', id="an array as JSON"),
        pytest.param("route.request.body..a", '[[1,"é"]]', id="what a deep scan finds, as JSON"),
    ],
)
def test_values(text: str, value: Value) -> None:
    body = '{ "s": "text", "n": 7.0, "t": true, "z": null, "o": {"a": [1, "é"]} }'.encode()

    assert compile_source(parse_source(text))(Request(body)) == value


def test_the_body_as_it_came() -> None:
    assert compile_source(parse_source("route.request.body"))(Request(b' {"a" : 1}')) == ' {"a" : 1}'


@pytest.mark.parametrize(
    ("text", "value"),
    [
        pytest.param("route.request.body.s", "text", id="a string"),
        pytest.param("route.request.body.n", "7.0", id="a number"),
        pytest.param("route.request.body.b", None, id="binary data isn't sent"),
        pytest.param("route.request.body.o", '{"a":[1,"é",null]}', id="an object as JSON, binary data as null"),
    ],
)
def test_values_of_messagepack(text: str, value: Value) -> None:
    body = msgspec.msgpack.encode({"s": "text", "n": 7.0, "b": b"\0", "o": {"a": [1, "é", b"\0"]}})
    read = compile_source(parse_source(text), MESSAGEPACK)

    assert read(Request(body, binary=True)) == value
    assert read(Request(body)) is None, "a text message is JSON"
    assert read(Request(b'{"s": "text"}', binary=True)) is None, "a binary one is not"


@pytest.mark.parametrize("body", [b"", b"hello", b"[", b"null"])
def test_a_body_without_the_field_sends_nothing(body: bytes) -> None:
    assert compile_source(parse_source("route.request.body.a"))(Request(body)) is None


# The sides of REST APIs, and what answers are mapped to


@pytest.mark.parametrize(
    ("side", "text", "source"),
    [
        pytest.param(METHOD_REQUEST, "method.request.path.id", PathParameter("id"), id="a path parameter"),
        pytest.param(METHOD_REQUEST, "method.request.querystring.a", QueryString("a"), id="a query parameter"),
        pytest.param(
            METHOD_REQUEST,
            "method.request.multivaluequerystring.a",
            QueryString("a", multi=True),
            id="all of a query parameter",
        ),
        pytest.param(METHOD_REQUEST, "method.request.header.A", Header("A"), id="a header"),
        pytest.param(
            METHOD_REQUEST,
            "method.request.multivalueheader.A",
            Header("A", multi=True, joined=True),
            id="all of a header, joined",
        ),
        pytest.param(METHOD_REQUEST, "method.request.body", Body(None, BodyOf.REQUEST), id="a request's body"),
        pytest.param(METHOD_REQUEST, "context.a.b", Context("a.b"), id="a context variable"),
        pytest.param(RESPONSE, "integration.response.header.A", Header("A"), id="an answer's header"),
        pytest.param(
            RESPONSE,
            "integration.response.multivalueheader.A",
            Header("A", multi=True, joined=True),
            id="all of an answer's header",
        ),
        pytest.param(RESPONSE, "integration.response.body", Body(None, BodyOf.ANSWER), id="an answer's body"),
        pytest.param(RESPONSE, "stageVariables.v", StageVariable("v"), id="a stage variable"),
        pytest.param(RESPONSE, "'*'", Static("*"), id="a text"),
        pytest.param(GATEWAY_RESPONSE, "method.request.path.id", PathParameter("id"), id="a gateway response's path"),
        pytest.param(GATEWAY_RESPONSE, "method.request.header.A", Header("A"), id="a gateway response's header"),
    ],
)
def test_sources_of_other_sides(side: Side, text: str, source: Source) -> None:
    """Developer guide, "Request and response data mapping"."""
    assert parse_source(text, side) == source


@pytest.mark.parametrize(
    ("side", "key", "target"),
    [
        (METHOD_REQUEST, "integration.request.path.id", Target("path", "id")),
        (RESPONSE, "method.response.header.Location", Target("header", "Location")),
        (RESPONSE, "method.response.header.Content-Length", Target("header", "Content-Length")),
        (GATEWAY_RESPONSE, "gatewayresponse.header.A", Target("header", "A")),
    ],
)
def test_targets_of_other_sides(side: Side, key: str, target: Target) -> None:
    assert parse_target(key, side) == target


@pytest.mark.parametrize(
    ("side", "key", "position", "problem"),
    [
        pytest.param(
            RESPONSE, "integration.request.header.A", 0, "expected method.response.header and", id="a request"
        ),
        pytest.param(RESPONSE, "method.response.querystring.A", 0, "expected method.response.header", id="a query"),
        pytest.param(RESPONSE, "method.response.header.", 23, "a name", id="no name"),
        pytest.param(RESPONSE, "method.response.header.Transfer-Encoding", 23, "no client gets", id="the framing"),
        pytest.param(METHOD_REQUEST, "integration.request.header.TE", 27, "connection", id="about the connection"),
    ],
)
def test_wrong_targets_of_other_sides(side: Side, key: str, position: int, problem: str) -> None:
    with pytest.raises(ExpressionError, match=problem) as caught:
        parse_target(key, side)

    assert caught.value.position == position


@pytest.mark.parametrize(
    ("side", "text"),
    [
        (ROUTE_REQUEST, "method.request.header.A"),
        (ROUTE_REQUEST, "route.request.path.id"),
        (METHOD_REQUEST, "route.request.header.A"),
        (METHOD_REQUEST, "integration.response.header.A"),
        (RESPONSE, "method.request.header.A"),
        (RESPONSE, "integration.response.querystring.A"),
        (GATEWAY_RESPONSE, "method.request.body"),
        (GATEWAY_RESPONSE, "method.request.multivalueheader.A"),
    ],
)
def test_a_side_has_no_sources_of_another(side: Side, text: str) -> None:
    with pytest.raises(ExpressionError, match=r"expected 'text' in single quotes, context\.NAME"):
        parse_source(text, side)


def answered(body: bytes | None) -> Answered:
    headers = ((b"X-Tag", b"one"), (b"Content-Type", b"text/plain"), (b"x-tag", b"tw\xc3\xb6"))
    return Answered(Request(b'{"of": "the request"}'), EndpointResponse(200, headers, body))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        pytest.param("integration.response.header.X-Tag", "twö", id="the last value of a header"),
        pytest.param("integration.response.multivalueheader.X-Tag", "one,twö", id="all values of a header"),
        pytest.param("integration.response.header.nope", None, id="a missing header isn't sent"),
        pytest.param("integration.response.body", '{"u": [1], "z": null}', id="the body"),
        pytest.param("integration.response.body.u[0]", "1", id="a field"),
        pytest.param("integration.response.body.u", "[1]", id="an array as JSON"),
        pytest.param("integration.response.body.z", None, id="null isn't sent"),
        pytest.param("integration.response.body.nope", None, id="a missing field isn't sent"),
        pytest.param("context.connectionId", "abc=", id="the request's context"),
        pytest.param("stageVariables.backend", "10.0.0.1", id="a stage variable"),
    ],
)
def test_values_of_an_answer(text: str, value: Value) -> None:
    read = compile_source(parse_source(text, RESPONSE))

    assert read(answered(b'{"u": [1], "z": null}')) == value


def test_a_field_of_an_answer_that_is_no_document_is_a_fault() -> None:
    """Developer guide, "Request and response data mapping": the definition expects JSON."""
    read = compile_source(parse_source("integration.response.body.a", RESPONSE))

    with pytest.raises(ApiConfigurationError, match="answer is not JSON"):
        read(answered(b"hello"))
    assert read(answered(b"")) is None
    assert read(answered(None)) is None


def test_a_request_that_begins_like_json_and_is_not() -> None:
    read = compile_source(parse_source("method.request.body.a", METHOD_REQUEST))

    with pytest.raises(BadRequest) as caught:
        read(Request(b' {"a": '))
    assert (caught.value.status, caught.value.detail) == (400, "Invalid JSON in request body")
    assert read(Request(b"hello")) is None
    assert read(Request(b"")) is None
    assert read(Request(b'{"a": 1}')) == "1"


def test_a_request_without_a_body_has_an_empty_object() -> None:
    assert compile_source(parse_source("method.request.body", METHOD_REQUEST))(Request()) == "{}"
    assert compile_source(parse_source("method.request.path.id", METHOD_REQUEST))(Request()) == "7"
    assert compile_source(parse_source("method.request.path.nope", METHOD_REQUEST))(Request()) is None


PIECES = st.sampled_from(
    [
        *("'", "context", ".", "stageVariables", "route.request.", "method.request.", "integration.response.", "body"),
        *("header", "path", "a", "[0]", "*", " "),
    ]
)
SIDES = st.sampled_from([ROUTE_REQUEST, METHOD_REQUEST, RESPONSE, GATEWAY_RESPONSE])


@given(st.text() | st.lists(PIECES).map("".join), SIDES)
def test_any_text_is_a_source_or_an_expression_error(text: str, side: Side) -> None:
    try:
        source = parse_source(text, side)
    except ExpressionError as error:
        assert 0 <= error.position <= len(text)  # noqa: PT017 -- a value is fine too
        return
    compile_source(source)(Request(b'{"a": [1]}'))
