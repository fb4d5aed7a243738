"""The integration request (developer guide, "Data transformations", "Integration passthrough behaviors")."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.dataplane.values import connecting, disconnecting, message, quotas
from wsgateway.errors import ApiConfigurationError, UnsupportedMediaType
from wsgateway.integrations.base import Site
from wsgateway.integrations.mapping import MappedRequest, RequestMapping, check_request, compile_request
from wsgateway.invocation import EventType, Invocation
from wsgateway.model.integration import Integration


def site(event_type: EventType = EventType.MESSAGE, *, binary_format: Any = "JSON", **variables: str) -> Site:
    return Site(
        api_id="chat",
        definition=("integrations", "backend"),
        route_key="say",
        event_type=event_type,
        stage_variables=variables,
        quotas=quotas(),
        two_way=True,
        binary_format=binary_format,
    )


def http(uri: str = "http://backend.example/{room}", **fields: object) -> Integration:
    return Integration.model_validate({"integrationType": "HTTP", "integrationUri": uri, **fields})


def mapping(integration: Integration, where: Site | None = None) -> RequestMapping:
    where = where or site()
    assert list(check_request(integration, where)) == []
    return compile_request(integration, where)


def mapped(invocation: Invocation, **fields: object) -> MappedRequest:
    """The request of an event; `fields` are those of an HTTP integration."""
    where = site(invocation.event_type, **invocation.stage_variables)
    return mapping(http(**fields), where)(invocation)


def problems(**fields: object) -> list[str]:
    found = check_request(http(**fields), site(tier="gold"))
    return [f"{'.'.join(map(str, problem.path))}: {problem.text}" for problem in found]


# Which template


@pytest.mark.parametrize(
    ("templates", "expression", "body"),
    [
        pytest.param({"$default": "d"}, None, b"d", id="the default one"),
        pytest.param({r"\$default": "d"}, None, b"d", id="the default one, escaped as in AWS's samples"),
        pytest.param({"$default": "d", "application/json": "j"}, None, b"j", id="application/json before it"),
        pytest.param({"a": "a"}, None, b'{"kind":"a"}', id="no expression names it"),
        pytest.param({"a": "a", "$default": "d"}, "$request.body.kind", b"a", id="what the message says"),
        pytest.param({"b": "b", "$default": "d"}, "$request.body.kind", b"d", id="nothing the message says"),
        pytest.param({"b": "b", "application/json": "j"}, "$request.body.kind", b'{"kind":"a"}', id="no default"),
        pytest.param({"200": "x", "$default": "d"}, "200", b"x", id="a constant"),
        pytest.param({"a": "a", "$default": "d"}, r"\$default", b"d", id="the default one by name"),
        pytest.param({r"\$default": "d"}, r"\$default", b"d", id="the escaped default one by name"),
        pytest.param({"say": "s"}, "$context.routeKey", b"s", id="a context variable"),
        pytest.param({}, "$request.body.kind", b'{"kind":"a"}', id="there is none"),
    ],
)
def test_the_template_used(templates: dict[str, str], expression: str | None, body: bytes) -> None:
    more = {} if expression is None else {"templateSelectionExpression": expression}

    assert mapped(message('{"kind":"a"}'), requestTemplates=templates, **more).body == body


@pytest.mark.parametrize(
    ("behavior", "templates", "refused"),
    [
        ("WHEN_NO_MATCH", {}, False),
        ("WHEN_NO_MATCH", {"x": "x"}, False),
        ("WHEN_NO_TEMPLATES", {}, False),
        ("WHEN_NO_TEMPLATES", {"x": "x"}, True),
        ("NEVER", {}, True),
        ("NEVER", {"x": "x"}, True),
    ],
    ids=str,
)
@pytest.mark.parametrize("event", [message("hi"), connecting(), disconnecting()], ids=["message", "connect", "end"])
def test_passthrough(event: Invocation, behavior: str, templates: dict[str, str], refused: bool) -> None:
    def body() -> bytes:
        return mapped(event, requestTemplates=templates, passthroughBehavior=behavior).body

    if refused:
        with pytest.raises(UnsupportedMediaType, match=behavior) as refusal:
            body()
        assert (refusal.value.status, refusal.value.detail) == (415, "Unsupported Media Type")
    else:
        assert body() == event.body()


# What a template gives


def test_a_template_reads_the_event() -> None:
    template = (
        '{"to": $input.json("$.room"), "raw": "$util.base64Encode($input.body)",'
        ' "from": "$context.connectionId", "tier": "$stageVariables.tier"}'
    )

    request = mapped(message('{"room": "lobby"}', tier="gold"), requestTemplates={"$default": template})

    assert request.body == (
        b'{"to": "lobby", "raw": "eyJyb29tIjogImxvYmJ5In0=", "from": "AAAAAAAAAAAAAAAAAAAAAAAAAA==", "tier": "gold"}'
    )


def test_a_handshake_has_parameters_and_an_empty_body() -> None:
    template = "$input.body $input.params('token') $input.params().get('header').get('X-Room')"

    request = mapped(connecting("/dev?token=t%2F1", ("X-Room", "a")), requestTemplates={"$default": template})

    assert request.body == b"{} t/1 a"


def test_a_static_template_is_rendered_once() -> None:
    assert mapping(http(requestTemplates={"$default": '{"statusCode":200}'})).fixed == MappedRequest(
        b'{"statusCode":200}'
    )


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"requestTemplates": {"$default": "$context.stage"}}, id="what it gives depends"),
        pytest.param(
            {"requestTemplates": {"a": "a"}, "templateSelectionExpression": "$request.body.kind"},
            id="whether it is used depends",
        ),
        pytest.param(
            {
                "requestTemplates": {"$default": "a"},
                "requestParameters": {"integration.request.header.a": "context.stage"},
            },
            id="a parameter depends",
        ),
        pytest.param({}, id="there is none"),
    ],
)
def test_what_depends_on_the_event_is_not(fields: dict[str, object]) -> None:
    assert mapping(http(**fields)).fixed is None


def test_a_budget_that_is_exceeded_names_the_template() -> None:
    template = "#foreach($i in [1..2000])x#end"

    with pytest.raises(ApiConfigurationError, match=r"^requestTemplates\.\$default: .*1,?000"):
        mapped(message(), requestTemplates={"$default": template})


def test_bytes_are_nothing_a_template_can_read() -> None:
    event = message(b"\xff\xfe", binary=True)

    with pytest.raises(ApiConfigurationError, match="the message is not UTF-8") as refusal:
        mapped(event, requestTemplates={"$default": "$input.body"})

    assert refusal.value.status == 500
    assert mapped(event).body == b"\xff\xfe"


def test_a_binary_message_of_another_format_is_read_in_it() -> None:
    where = site(binary_format="MESSAGEPACK")
    room = mapping(http(requestTemplates={"$default": "$input.path('$.room')"}), where)

    assert room(message(b"\x81\xa4room\xa5lobby", binary=True)).body == b"lobby"
    assert room(message('{"room": "hall"}')).body == b"hall"


TEMPLATES = st.lists(
    st.sampled_from(
        [
            "$input.body", "$input.json('$')", "$input.path('$.a').size()", "$util.escapeJavaScript($input.body)", "{}",
            "#set($context.requestOverride.header.X-A = $input.path('$.a'))", "$util.base64Decode($input.body)",
            "#set($context.requestOverride = $input.path('$'))", "#foreach($x in $input.path('$'))$x#end",
            "#set($context.requestOverride.path.room = $input.path('$..*'))", "$input.params($input.body)",
        ]
    ),
    max_size=4,
).map("".join)  # fmt: skip


@given(
    TEMPLATES,
    st.one_of(
        st.text(max_size=20), st.sampled_from(['{"a": [1, "\\ud800", {"a": null}]}', '{"header": 1, "path": []}'])
    ),
    st.binary(max_size=8),
    st.booleans(),
)
def test_whatever_a_client_sends_there_is_a_request_or_a_fault(
    template: str, text: str, more: bytes, binary: bool
) -> None:
    data = text.encode() + more if binary else text.encode()

    with suppress(ApiConfigurationError):
        request = mapped(message(data, binary=binary), requestTemplates={"$default": template})
        assert isinstance(request.body, bytes)


# contentHandlingStrategy


@pytest.mark.parametrize(
    ("strategy", "event", "body", "binary"),
    [
        pytest.param(None, message("aGk="), b"aGk=", False, id="text as it is"),
        pytest.param(None, message(b"\xff", binary=True), b"\xff", True, id="bytes as they are"),
        pytest.param("CONVERT_TO_BINARY", message("/w=="), b"\xff", True, id="base64 to bytes"),
        pytest.param("CONVERT_TO_BINARY", message(b"\xff", binary=True), b"\xff", True, id="bytes stay bytes"),
        pytest.param("CONVERT_TO_BINARY", connecting(), b"", False, id="nothing stays nothing"),
        pytest.param("CONVERT_TO_TEXT", message("hi"), b"hi", False, id="text stays text"),
        pytest.param("CONVERT_TO_TEXT", message(b"\xff", binary=True), b"/w==", False, id="bytes to base64"),
    ],
)
def test_content_handling(strategy: str | None, event: Invocation, body: bytes, binary: bool) -> None:
    fields = {} if strategy is None else {"contentHandlingStrategy": strategy}
    request = mapped(event, **fields)

    assert (request.body, request.binary) == (body, binary)


def test_what_is_not_base64_is_refused() -> None:
    with pytest.raises(ApiConfigurationError, match="base64"):
        mapped(message("no base64!"), contentHandlingStrategy="CONVERT_TO_BINARY")


def test_a_template_sees_what_was_converted() -> None:
    fields = {"contentHandlingStrategy": "CONVERT_TO_BINARY", "requestTemplates": {"$default": "<$input.body>"}}

    assert mapped(message("aGk="), **fields).body == b"<hi>"


# Parameters and overrides

PARAMETERS = {
    "integration.request.header.X-Room": "route.request.body.room",
    "integration.request.header.X-None": "route.request.body.none",
    "integration.request.querystring.from": "context.connectionId",
    "integration.request.path.room": "'hall'",
}


def test_parameters_are_mapped() -> None:
    request = mapped(message('{"room": "lobby"}'), requestParameters=PARAMETERS)

    assert request.headers == [("X-Room", "lobby")]
    assert request.query == [("from", "AAAAAAAAAAAAAAAAAAAAAAAAAA==")]
    assert request.path == {"room": "hall"}


def test_what_comes_more_than_once_is_sent_as_often() -> None:
    parameters = {
        "integration.request.header.X-A": "route.request.multivalueheader.X-A",
        "integration.request.querystring.b": "route.request.multivaluequerystring.b",
    }

    request = mapped(connecting("/dev?b=1&b=2", ("X-A", "x"), ("X-A", "y")), requestParameters=parameters)

    assert request.headers == [("X-A", "x"), ("X-A", "y")]
    assert request.query == [("b", "1"), ("b", "2")]


def test_overrides_replace_what_is_mapped() -> None:
    template = """
#set($context.requestOverride.header.x-room = "garden")
#set($context.requestOverride.header["X-New"] = ["1", "2"])
#set($context.requestOverride.querystring.from = "me")
#set($context.requestOverride.path.room = "cellar")
"""
    request = mapped(
        message('{"room": "lobby"}'), requestParameters=PARAMETERS, requestTemplates={"$default": template}
    )

    assert request.headers == [("x-room", "garden"), ("X-New", "1"), ("X-New", "2")]
    assert request.query == [("from", "me")]
    assert request.path == {"room": "cellar"}


@pytest.mark.parametrize("name", ["Content-Length", "transfer-encoding", "X-Amzn-Trace-Id", "Host", "Connection"])
def test_an_override_can_not_set(name: str) -> None:
    template = f'#set($context.requestOverride.header["{name}"] = "1")'

    with pytest.raises(ApiConfigurationError, match="no mapping may set it"):
        mapped(message(), requestTemplates={"$default": template})


def test_a_second_attempt_begins_with_a_new_context() -> None:
    """$disconnect is tried again with the same event."""
    event = disconnecting()
    count = mapping(
        http(requestTemplates={"$default": '#set($context.n = "${context.n}x")$context.n'}),
        site(EventType.DISCONNECT),
    )

    assert [count(event).body, count(event).body] == [b"x", b"x"]


# What is refused at deploy


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        pytest.param(
            {"requestTemplates": {"$default": "a\n#if(true)"}},
            r"requestTemplates\.\$default: [^\n]*#end[^\n]*\(line 2, column 1\)\n#if\(true\)\n\^",
            id="a directive without its end",
        ),
        pytest.param(
            {"templateSelectionExpression": "$response.x"},
            r"templateSelectionExpression: \$response\.x is not allowed",
            id="an expression of what can't be read",
        ),
        pytest.param(
            {"templateSelectionExpression": "$context.nosuch"},
            r"templateSelectionExpression: there is no \$context\.nosuch",
            id="an unknown context variable",
        ),
        pytest.param(
            {"templateSelectionExpression": "$stageVariables.nosuch"},
            "templateSelectionExpression: the stage has no variable nosuch; add it to its stageVariables",
            id="a variable the stage lacks",
        ),
        pytest.param(
            {"requestParameters": {"integration.request.header.Content-Length": "'1'"}},
            "requestParameters.integration.request.header.Content-Length: .*the gateway's own",
            id="a header of the gateway's",
        ),
    ],
)
def test_what_is_refused(fields: dict[str, object], said: str) -> None:
    (found,) = problems(**fields)

    assert re.match(said, found), found


def test_every_template_that_is_wrong_is_named() -> None:
    found = problems(requestTemplates={"a": "#if(", "b": "fine", "c": "#end"})

    assert [line.split(":")[0] for line in found] == ["requestTemplates.a", "requestTemplates.c"]
