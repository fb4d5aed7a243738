"""The integration response (API Gateway developer guide, "Set up WebSocket API integration responses")."""

from __future__ import annotations

import asyncio
import gc
import re
from typing import Any

import pytest

from tests.unit.dataplane.values import connecting, disconnecting, message, quotas
from wsgateway.errors import ApiConfigurationError, BadGateway
from wsgateway.integrations.base import Site
from wsgateway.integrations.mapping import (
    ResponseMapping,
    check_responses,
    compile_request,
    compile_responses,
    then,
)
from wsgateway.invocation import EventType, Invocation
from wsgateway.messages import EndpointResponse, Message
from wsgateway.model.integration import Integration
from wsgateway.model.quotas import Limits

TEXT = (b"Content-Type", b"text/plain")
JSON = (b"Content-Type", b"application/json")


def site(event_type: EventType = EventType.MESSAGE, *, two_way: bool = True) -> Site:
    return Site(
        api_id="chat",
        definition=("integrations", "backend"),
        route_key="say",
        event_type=event_type,
        stage_variables={"tier": "gold"},
        quotas=quotas("open", Limits.model_validate({"maxMessageBytes": 64})),
        two_way=two_way and event_type is EventType.MESSAGE,
    )


def http(responses: dict[str, Any]) -> Integration:
    return Integration.model_validate(
        {"integrationType": "HTTP", "integrationUri": "http://backend.example/", "integrationResponses": responses}
    )


def mapping(responses: dict[str, Any], where: Site | None = None) -> ResponseMapping:
    where = where or site()
    assert list(check_responses(http(responses), where)) == []
    return compile_responses(http(responses), where)


def given(
    answer: EndpointResponse, responses: dict[str, Any], invocation: Invocation | None = None, text: str = ""
) -> EndpointResponse:
    """What goes back for `answer`, which is matched by its status unless `text` is given."""
    invocation = invocation or message('{"kind": "note"}')
    give = mapping(responses, site(invocation.event_type))
    return give(invocation, answer, text or str(answer.status))


def template(text: str, **more: object) -> dict[str, object]:
    return {"responseTemplates": {"$default": text}, **more}


# Which integration response


@pytest.mark.parametrize(
    ("keys", "text", "key"),
    [
        pytest.param(["/200/", "$default"], "200", "/200/", id="the status"),
        pytest.param(["/200/", "$default"], "404", "$default", id="another status"),
        pytest.param([r"/4\d\d/", r"/404/"], "404", r"/4\d\d/", id="the first that fits"),
        pytest.param(["$default", "/404/"], "404", "/404/", id="a pattern before the default"),
        pytest.param(["/40/", "$default"], "404", "$default", id="a pattern matches as a whole"),
        pytest.param(["/.*timeout.*/", "$default"], "Task timeout after 3 s", "/.*timeout.*/", id="a text"),
        pytest.param(["/(4|5)../", "$default"], "503", "/(4|5)../", id="alternatives"),
        pytest.param([r"\$default"], "200", r"\$default", id="the default, escaped"),
    ],
)
def test_the_response_selected(keys: list[str], text: str, key: str) -> None:
    responses = {each: template(each.replace("\\", "").replace("$", "")) for each in keys}

    assert (
        given(EndpointResponse(200, (), b"x"), responses, text=text).body
        == key.replace("\\", "").replace("$", "").encode()
    )


@pytest.mark.parametrize(("size", "key"), [(16_384, "/a*/"), (16_385, "$default")])
def test_a_text_that_is_too_long_matches_no_pattern(size: int, key: str) -> None:
    """A function may fail with megabytes; a pattern takes time with each character."""
    responses = {"/a*/": template("/a*/"), "$default": template("$default")}

    assert given(EndpointResponse(200), responses, text="a" * size).body == key.encode()


@pytest.mark.parametrize("responses", [{}, {"/200/": {}}], ids=["none", "none for this status"])
def test_a_two_way_route_needs_one_that_fits(responses: dict[str, Any]) -> None:
    with pytest.raises(ApiConfigurationError, match="no integration response matches 404"):
        given(EndpointResponse(404, (), b"x"), responses)


@pytest.mark.parametrize("event_type", [EventType.MESSAGE, EventType.DISCONNECT])
def test_where_nobody_hears_of_it_nothing_is_mapped(event_type: EventType) -> None:
    answer = EndpointResponse(404, (), b"x")
    give = mapping({"/200/": template("$input.body")}, site(event_type, two_way=False))
    event = message() if event_type is EventType.MESSAGE else disconnecting()

    assert not give.heard
    assert give(event, answer, "404") is answer


# Frames


def test_without_a_template_the_answer_goes_back_as_it_came() -> None:
    answer = EndpointResponse(200, (TEXT,), b"\xff")

    assert given(answer, {"$default": {}}) is answer


@pytest.mark.parametrize("status", [200, 204, 304, 500])
def test_what_a_template_gives_is_a_frame_whatever_the_status(status: int) -> None:
    reply = given(EndpointResponse(status, (), b'{"n": 1}'), {"$default": template("n is $input.path('$.n')")}).reply

    assert reply == Message(b"n is 1")


def test_a_template_sees_the_answer_and_the_event() -> None:
    text = '{"was": $input.json("$.ok"), "for": "$context.routeKey", "tier": "$stageVariables.tier"}'

    found = given(
        EndpointResponse(200, (), b'{"ok": [1, 2.50]}'), {"$default": template(text)}, message("{}", tier="gold")
    )

    assert found.body == b'{"was": [1,2.50], "for": "say", "tier": "gold"}'


@pytest.mark.parametrize(
    ("expression", "body"),
    [
        pytest.param("$request.body.kind", b"a note", id="the message's field"),
        pytest.param("$integration.response.statuscode", b"created", id="the status"),
        pytest.param("${integration.response.header.x-kind}", b"by header", id="a header"),
        pytest.param("none", b"default", id="none of that name"),
    ],
)
def test_the_template_used(expression: str, body: bytes) -> None:
    templates = {"note": "a note", "201": "created", "h": "by header", "$default": "default"}
    response = {"responseTemplates": templates, "templateSelectionExpression": expression}

    assert given(EndpointResponse(201, ((b"X-Kind", b"h"),), b""), {"$default": response}).body == body


def test_bytes_are_nothing_a_template_can_read() -> None:
    with pytest.raises(ApiConfigurationError, match="the backend's answer is not UTF-8"):
        given(EndpointResponse(200, (), b"\xff"), {"$default": template("$input.body")})


@pytest.mark.parametrize("text", ["$input.body$input.body", "x" * 65], ids=["made", "written"])
def test_a_frame_larger_than_a_message_is_not_sent(text: str) -> None:
    with pytest.raises(ApiConfigurationError, match="its output is over 64 bytes"):
        given(EndpointResponse(200, (), b"x" * 60), {"$default": template(text)})


def test_a_budget_that_is_exceeded_names_the_template() -> None:
    said = r"^integrationResponses\.\$default\.responseTemplates\.\$default: "

    with pytest.raises(ApiConfigurationError, match=said):
        given(EndpointResponse(200), {"$default": template("#foreach($i in [1..2000])x#end")})


@pytest.mark.parametrize(
    ("strategy", "body", "mapped", "binary"),
    [
        pytest.param("CONVERT_TO_TEXT", b"\xff", b"/w==", False, id="bytes to base64"),
        pytest.param("CONVERT_TO_TEXT", b"hi", b"aGk=", False, id="text to base64, too"),
        pytest.param("CONVERT_TO_BINARY", b"/w==", b"\xff", True, id="base64 to bytes"),
    ],
)
def test_content_handling(strategy: str, body: bytes, mapped: bytes, binary: bool) -> None:
    found = given(EndpointResponse(200, (TEXT,), body), {"$default": {"contentHandlingStrategy": strategy}})

    assert (found.body, found.binary) == (mapped, binary)


def test_a_template_sees_what_was_converted() -> None:
    response = template("<$input.body>", contentHandlingStrategy="CONVERT_TO_TEXT")

    assert given(EndpointResponse(200, (), b"\xff"), {"$default": response}).body == b"</w==>"


# Handshakes


def test_a_handshake_without_integration_responses_takes_the_answer() -> None:
    answer = EndpointResponse(403, (TEXT, (b"X-Secret", b"1")), b"no")

    assert given(answer, {}, connecting()) == EndpointResponse(403, (JSON,), b"no")


def test_a_handshake_is_refused_with_what_is_mapped() -> None:
    response = template(
        '{"no": $input.json("$.why")}',
        responseParameters={
            "method.response.header.X-Why": "integration.response.header.x-reason",
            "method.response.header.Content-Type": "'application/problem+json'",
            "method.response.header.X-Field": "integration.response.body.why",
            "method.response.header.X-None": "integration.response.header.Nosuch",
            "method.response.header.X-Id": "context.connectionId",
        },
    )
    answer = EndpointResponse(403, (TEXT, (b"X-Reason", b"full")), b'{"why": "full"}')

    found = given(answer, {"/403/": response}, connecting())

    assert (found.status, found.body) == (403, b'{"no": "full"}')
    assert found.headers == (
        (b"X-Why", b"full"),
        (b"Content-Type", b"application/problem+json"),
        (b"X-Field", b"full"),
        (b"X-Id", b"AAAAAAAAAAAAAAAAAAAAAAAAAA=="),
    )


def test_a_field_of_an_answer_that_is_not_json_fails() -> None:
    response = {"responseParameters": {"method.response.header.X-Why": "integration.response.body.why"}}

    with pytest.raises(ApiConfigurationError, match="not JSON"):
        given(EndpointResponse(403, (), b"no"), {"$default": response}, connecting())


def test_what_is_mapped_names_the_subprotocol() -> None:
    response = {"responseParameters": {"method.response.header.Sec-WebSocket-Protocol": "integration.response.body"}}

    found = given(EndpointResponse(200, (), b"v2"), {"$default": response}, connecting())

    assert (b"Sec-WebSocket-Protocol", b"v2") in found.headers


def test_a_frame_has_no_headers() -> None:
    response = {"responseParameters": {"method.response.header.X-Why": "integration.response.body.why"}}
    answer = EndpointResponse(200, (TEXT,), b"no JSON")

    assert given(answer, {"$default": response}) is answer


def test_overrides_decide_a_handshake() -> None:
    text = '#set($context.responseOverride.status = 401)#set($context.responseOverride.header.X-A = ["1", "2"])no'

    found = given(EndpointResponse(200), {"$default": template(text)}, connecting())

    assert (found.status, found.body) == (401, b"no")
    assert found.headers == (JSON, (b"X-A", b"1"), (b"X-A", b"2"))


@pytest.mark.parametrize("status", [101, 199])
def test_a_status_that_is_no_answer_to_a_handshake_fails(status: int) -> None:
    text = f"#set($context.responseOverride.status = {status})"

    with pytest.raises(ApiConfigurationError, match=f"{status} can't answer a handshake"):
        given(EndpointResponse(200), {"$default": template(text)}, connecting())


def test_a_header_that_would_be_two_fails() -> None:
    text = '#set($context.responseOverride.header.X-A = $input.path("$.a"))'

    with pytest.raises(ApiConfigurationError, match="CR, LF or NUL"):
        given(EndpointResponse(200, (), b'{"a": "1\\r\\nX-B: 2"}'), {"$default": template(text)}, connecting())


def test_a_handshake_whose_answer_nothing_is_for_fails() -> None:
    with pytest.raises(ApiConfigurationError, match="no integration response matches 204"):
        given(EndpointResponse(204), {"/200/": {}}, connecting())


# What is the same for every event


def test_what_depends_on_nothing_is_known_at_once() -> None:
    answer = EndpointResponse(200, (JSON,), None, False)

    assert mapping({"$default": template("hi")}).always(answer, "200") == EndpointResponse(
        200, (JSON,), b"hi", False, Message(b"hi")
    )
    assert mapping({"$default": {}}).always(answer, "200") is answer
    assert mapping({}, site(EventType.CONNECT)).always(answer, "200") == EndpointResponse(200, (JSON,), None)


@pytest.mark.parametrize(
    "responses",
    [
        pytest.param({"$default": template("$context.stage")}, id="a template"),
        pytest.param({"/404/": template("hi")}, id="none that fits"),
        pytest.param({"$default": template("x" * 65)}, id="a template that makes no message"),
        pytest.param(
            {"$default": template("hi", templateSelectionExpression="$request.body.kind")}, id="which template"
        ),
    ],
)
def test_what_depends_on_the_event_is_not(responses: dict[str, Any]) -> None:
    assert mapping(responses).always(EndpointResponse(200), "200") is None


# What is refused at deploy


@pytest.mark.parametrize(
    ("key", "response", "said"),
    [
        pytest.param("/(/", {}, r": ", id="a pattern that is none"),
        pytest.param("/(?<=a)b/", {}, r": ", id="a pattern that takes more than linear time"),
        pytest.param(
            "$default",
            template("a\n $input.path("),
            r"\.responseTemplates\.\$default: [^\n]*\(line 2, column \d+\)\n \$input\.path\(\n +\^",
            id="a template",
        ),
        pytest.param(
            "$default",
            {"templateSelectionExpression": "$integration.response.nosuch"},
            r"\.templateSelectionExpression: \$integration\.response\.nosuch is not allowed",
            id="an expression",
        ),
        pytest.param(
            "$default",
            {"responseParameters": {"method.response.header.X-A": "integration.response.nosuch"}},
            r"\.responseParameters\.method\.response\.header\.X-A: expected .*integration\.response\.header",
            id="a parameter's source",
        ),
        pytest.param(
            "$default",
            {"responseParameters": {"integration.request.header.X-A": "'1'"}},
            r"\.responseParameters\.integration\.request\.header\.X-A: expected method\.response\.header",
            id="a parameter's target",
        ),
        pytest.param(
            "$default",
            {"responseParameters": {"method.response.header.X-A": "context.nosuch"}},
            r"\.responseParameters\.method\.response\.header\.X-A: there is no \$context\.nosuch",
            id="a parameter's context variable",
        ),
        pytest.param(
            "$default",
            {"responseParameters": {"method.response.header.Transfer-Encoding": "'chunked'"}},
            r"\.responseParameters\.method\.response\.header\.Transfer-Encoding: no client gets the header",
            id="a header of the connection",
        ),
    ],
)
def test_what_is_refused(key: str, response: dict[str, Any], said: str) -> None:
    (problem,) = check_responses(http({key: response}), site())
    found = f"{'.'.join(map(str, problem.path))}: {problem.text}"

    assert re.match(rf"integrationResponses\.{re.escape(key)}{said}", found), found


# then


def use(answer: EndpointResponse) -> EndpointResponse:
    if answer.status == 500:
        raise ApiConfigurationError("no")
    return EndpointResponse(answer.status + 1)


@pytest.mark.anyio
async def test_what_follows_an_answer() -> None:
    answer: asyncio.Future[EndpointResponse] = asyncio.get_running_loop().create_future()
    outcome = then(answer, use)

    answer.set_result(EndpointResponse(200))

    assert (await outcome).status == 201


@pytest.mark.anyio
async def test_what_can_not_be_made_of_an_answer_is_told() -> None:
    answer: asyncio.Future[EndpointResponse] = asyncio.get_running_loop().create_future()
    outcome = then(answer, use)

    answer.set_result(EndpointResponse(500))

    with pytest.raises(ApiConfigurationError, match="no"):
        await outcome


@pytest.mark.anyio
async def test_errors_pass_through() -> None:
    answer: asyncio.Future[EndpointResponse] = asyncio.get_running_loop().create_future()
    outcome = then(answer, use)

    answer.set_exception(BadGateway("broken"))

    with pytest.raises(BadGateway, match="broken"):
        await outcome


@pytest.mark.anyio
async def test_cancellation_passes_both_ways() -> None:
    first: asyncio.Future[EndpointResponse] = asyncio.get_running_loop().create_future()
    second: asyncio.Future[EndpointResponse] = asyncio.get_running_loop().create_future()
    outcome, other = then(first, use), then(second, use)

    first.cancel()
    other.cancel()

    with pytest.raises(asyncio.CancelledError):
        await outcome
    with pytest.raises(asyncio.CancelledError):
        await second


@pytest.mark.anyio
async def test_an_answer_that_comes_after_all_is_dropped() -> None:
    """The call fails in the turn in which the caller loses interest: nobody is left to hear of it."""
    answer: asyncio.Future[EndpointResponse] = asyncio.get_running_loop().create_future()
    outcome = then(answer, use)

    answer.set_exception(BadGateway("late"))
    outcome.cancel()

    with pytest.raises(asyncio.CancelledError):
        await outcome


def test_an_event_that_is_mapped_leaves_nothing_to_the_collector() -> None:
    """Else thousands of messages a second would wait for it."""
    written = {
        "integrationType": "HTTP",
        "integrationUri": "http://backend.example/",
        "requestTemplates": {"$default": "$context.stage"},
        "integrationResponses": {"$default": template("$context.stage")},
    }
    integration, where = Integration.model_validate(written), site()
    ask, give = compile_request(integration, where), compile_responses(integration, where)
    gc.collect()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        invocation = message("{}")
        ask(invocation)
        give(invocation, EndpointResponse(200, (), b"{}"), "200")
        del invocation
        gc.collect()
        assert not [found for found in gc.garbage if isinstance(found, Invocation)]
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
