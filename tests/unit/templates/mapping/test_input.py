"""`$input` (API Gateway developer guide, "API Gateway mapping template and access logging variable reference")."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.dataplane.values import connecting, disconnecting, message
from wsgateway.invocation import Invocation
from wsgateway.templates.document import JSON, decode, to_json
from wsgateway.templates.mapping import request_names, response_names
from wsgateway.templates.mapping.input import Input
from wsgateway.templates.messagepack import MESSAGEPACK
from wsgateway.templates.vtl.values import NoMethod, RenderError, Value, Work, call, member, text

ORDER = (
    '{"id": 1.50, "items": [{"name": "tea", "n": 2}, {"name": "milk", "n": 1}], "note": null, "to": {"city": "Rome"}}'
)


def asked(invocation: Invocation, method: str, *arguments: Value) -> Value:
    return call(request_names(invocation)["input"], method, list(arguments), Work())


def printed(value: Value) -> str:
    return text(value, Work())


@pytest.mark.parametrize(
    ("body", "text"),
    [
        pytest.param('{"a": 1}', '{"a": 1}', id="as it came"),
        pytest.param("hello, wörld", "hello, wörld", id="not JSON"),
        pytest.param("", "{}", id="an empty one"),
        pytest.param(" ", " ", id="a blank one"),
    ],
)
def test_the_body(body: str, text: str) -> None:
    found = request_names(message(body))["input"]

    assert member(found, "body") == text
    assert member(member(found, "body"), "anything") is None


@pytest.mark.parametrize(
    ("path", "json"),
    [
        pytest.param("$", re.sub(r"(?<=[:,]) ", "", ORDER), id="the whole, compact"),
        pytest.param("$.id", "1.50", id="a number as written"),
        pytest.param("$.items[0].name", '"tea"', id="a string with its quotes"),
        pytest.param("$.items[0]", '{"name":"tea","n":2}', id="an object"),
        pytest.param("$.items[*].name", '["tea","milk"]', id="all of a kind"),
        pytest.param("$.note", "null", id="null"),
        pytest.param("$.missing", '""', id="a missing one is an empty string"),
        pytest.param("$.items[9]", '""', id="no such element"),
        pytest.param("to.city", '"Rome"', id="without $"),
        pytest.param("$['to']['city']", '"Rome"', id="in brackets"),
    ],
)
def test_json(path: str, json: str) -> None:
    assert asked(message(ORDER), "json", path) == json


@pytest.mark.parametrize(
    ("path", "text"),
    [
        pytest.param("$.to", "{city=Rome}", id="a map"),
        pytest.param("$.items", '[{"name":"tea","n":2},{"name":"milk","n":1}]', id="a list"),
        pytest.param("$.id", "1.50", id="a number"),
        pytest.param("$.items[1].name", "milk", id="a string"),
        pytest.param("$.missing", "", id="a missing one"),
    ],
)
def test_path(path: str, text: str) -> None:
    assert printed(asked(message(ORDER), "path", path)) == text


def test_a_missing_path_is_null() -> None:
    assert asked(message(ORDER), "path", "$.missing") is None


@pytest.mark.parametrize("body", ["hello", '{"a": ', "[1,]", "NaN"])
def test_a_body_that_is_not_json(body: str) -> None:
    assert asked(message(body), "json", "$") == '""'
    assert asked(message(body), "path", "$.a") is None


@pytest.mark.parametrize("invocation", [message(""), connecting(), disconnecting()], ids=["MESSAGE", "CONNECT", "end"])
def test_an_empty_body_is_an_empty_object(invocation: Invocation) -> None:
    assert asked(invocation, "json", "$") == "{}"
    assert printed(asked(invocation, "path", "$")) == "{}"
    assert asked(invocation, "json", "$.a") == '""'


def test_the_body_is_parsed_once_for_all_who_need_it() -> None:
    invocation = message(ORDER)
    invocation.document = decode(b'{"id": "kept"}')

    assert asked(invocation, "json", "$.id") == '"kept"'

    other = message(ORDER)
    asked(other, "json", "$.id")
    assert other.document == decode(ORDER.encode())


def test_what_a_path_gives_is_live_within_the_template_alone() -> None:
    invocation = message(ORDER)
    found = request_names(invocation)["input"]
    to = call(found, "path", ["$.to"], Work())
    call(to, "put", ["zip", "00118"], Work())

    assert call(found, "json", ["$.to"], Work()) == '{"city":"Rome","zip":"00118"}'
    assert printed(call(found, "path", ["$.to.zip"], Work())) == "00118"
    assert invocation.document == decode(ORDER.encode())
    assert asked(invocation, "json", "$.to") == '{"city":"Rome"}'


def test_a_body_made_to_hold_itself_ends() -> None:
    found = request_names(message('{"a": {}, "b": {}}'))["input"]
    for name in ("a", "b"):
        inner = call(found, "path", [f"$.{name}"], Work())
        call(inner, "put", ["x", inner], Work())

    for path in ("$", "$..x", "$.a.x.x", "$[?(@.a == @.b)]"):
        try:
            call(found, "json", [path], Work())
            call(found, "path", [path], Work())
        except RenderError:
            pass
    with pytest.raises(RenderError):
        call(found, "json", ["$"], Work())


def test_looking_through_a_large_body_again_and_again_ends() -> None:
    found = request_names(message("[" + "1," * 20_000 + "1]"))["input"]

    def often() -> None:
        work = Work()
        for _ in range(1000):
            call(found, "path", ["$..a"], work)

    with pytest.raises(RenderError):
        often()


def test_a_path_that_is_none_tells_where() -> None:
    with pytest.raises(RenderError, match=r"not a JSONPath: .* \(at character 4 of '\$\.\['\)"):
        asked(message(ORDER), "path", "$.[")


HANDSHAKE = connecting("/dev?room=blue&room=red&q=a%20b&both=query", ("X-Id", "1"), ("X-Id", "2"), ("both", "header"))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        pytest.param("room", "red", id="the last of several"),
        pytest.param("q", "a b", id="decoded"),
        pytest.param("X-Id", "2", id="a header, the last of several"),
        pytest.param("x-id", "", id="a header in another case"),
        pytest.param("both", "query", id="the query string before headers"),
        pytest.param("missing", "", id="none"),
    ],
)
def test_a_parameter(name: str, value: str) -> None:
    assert asked(HANDSHAKE, "params", name) == value


def test_all_parameters() -> None:
    found = asked(HANDSHAKE, "params")

    assert printed(found) == (
        "{path={}, querystring={room=red, q=a b, both=query}, header={Host=chat.example:8080, X-Id=2, both=header}}"
    )
    assert member(member(found, "header"), "X-Id") == "2"
    assert call(call(found, "get", ["header"], Work()), "get", ["X-Id"], Work()) == "2"
    assert printed(call(found, "keySet", [], Work())) == "[path, querystring, header]"


@pytest.mark.parametrize("invocation", [message("{}"), disconnecting()], ids=["MESSAGE", "DISCONNECT"])
def test_events_without_a_handshake_have_no_parameters(invocation: Invocation) -> None:
    assert printed(asked(invocation, "params")) == "{path={}, querystring={}, header={}}"
    assert asked(invocation, "params", "Host") == ""


def test_a_response_template_sees_the_backends_body_and_the_requests_parameters() -> None:
    names = response_names(HANDSHAKE, b'{"ok": true}')

    assert call(names["input"], "json", ["$.ok"], Work()) == "true"
    assert call(names["input"], "params", ["room"], Work()) == "red"
    assert HANDSHAKE.document is None


def test_the_answer_is_not_taken_for_the_request() -> None:
    invocation = message('{"from": "client"}')
    asked(invocation, "json", "$.from")

    assert call(response_names(invocation, b'{"from": "backend"}')["input"], "json", ["$.from"], Work()) == '"backend"'
    assert call(response_names(invocation, b"")["input"], "json", ["$"], Work()) == "{}"


def test_a_binary_message_is_read_as_the_api_says() -> None:
    invocation = message(b"\x81\xa1a\x01", binary=True)
    names = request_names(invocation, MESSAGEPACK)

    assert call(names["input"], "json", ["$.a"], Work()) == "1"


def test_a_body_that_is_no_text_is_not_shown_as_one() -> None:
    names = response_names(message(), b"\xff\xfe")

    with pytest.raises(RenderError, match="not UTF-8"):
        member(names["input"], "body")


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("json", []),
        ("json", [1]),
        ("path", ["$", "$"]),
        ("params", [None]),
        ("body", []),
        ("__class__", []),
        ("get", ["body"]),
    ],
)
def test_there_is_no_other_method(name: str, arguments: list[Value]) -> None:
    with pytest.raises(NoMethod):
        asked(message(ORDER), name, *arguments)


@given(
    st.binary() | st.text(alphabet='{}[]",:a1 \\').map(str.encode),
    st.text(alphabet="$.[]*?()@'a0,:-=~/&|<>! ") | st.text(),
)
def test_any_body_and_path_give_a_value_or_are_refused(body: bytes, path: str) -> None:
    found = Input(message(), body, JSON, of_request=False)
    for method in ("json", "path", "params"):
        with suppress(RenderError):
            text(call(found, method, [path], Work()), Work())


@given(
    st.recursive(
        st.none() | st.booleans() | st.text(max_size=3),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_the_json_of_a_body_does_not_depend_on_who_has_looked_at_it(document: Any) -> None:
    body = to_json(document)
    found = request_names(message(body))["input"]
    first = call(found, "json", ["$"], Work())
    call(found, "path", ["$"], Work())

    assert call(found, "json", ["$"], Work()) == first == body
