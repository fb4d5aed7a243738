"""MOCK (API Gateway developer guide, "Mock integrations")."""

from __future__ import annotations

import json

import pytest

from tests.unit.dataplane.values import connecting, message, quotas
from wsgateway.errors import ApiConfigurationError, UnsupportedMediaType
from wsgateway.integrations.base import Site
from wsgateway.integrations.mock import Mock
from wsgateway.invocation import EventType, Invocation
from wsgateway.messages import EndpointResponse, Message
from wsgateway.model.integration import Integration

JSON = (b"Content-Type", b"application/json")
OK = '{"statusCode": 200}'


def site(event_type: EventType = EventType.MESSAGE, *, two_way: bool = True) -> Site:
    return Site(
        api_id="chat",
        definition=("integrations", "mock"),
        route_key="$connect" if event_type is EventType.CONNECT else "say",
        event_type=event_type,
        stage_variables={},
        quotas=quotas(),
        two_way=two_way and event_type is EventType.MESSAGE,
    )


def mock(request: str | None, responses: dict[str, str | None], **more: object) -> Integration:
    """`responses` holds the template of each integration response."""
    return Integration.model_validate(
        {
            "integrationType": "MOCK",
            "requestTemplates": {} if request is None else {"$default": request},
            "integrationResponses": {
                key: {} if template is None else {"responseTemplates": {"$default": template}}
                for key, template in responses.items()
            },
            **more,
        }
    )


def answer(
    request: str | None,
    responses: dict[str, str | None],
    invocation: Invocation | None = None,
    *,
    two_way: bool = True,
    **more: object,
) -> EndpointResponse:
    invocation = invocation or message()
    kind, where = Mock(), site(invocation.event_type, two_way=two_way)
    integration = mock(request, responses, **more)
    assert list(kind.check(integration, where)) == []
    given = kind.compile(integration, where)(invocation)
    assert isinstance(given, EndpointResponse)
    return given


@pytest.mark.parametrize(
    ("status", "responses", "text"),
    [
        pytest.param("200", {"$default": "hi"}, b"hi", id="the default response"),
        pytest.param("200", {"/200/": "yes", "$default": "no"}, b"yes", id="its status before the default"),
        pytest.param("404", {"/200/": "yes", "$default": "no"}, b"no", id="the default for another status"),
        pytest.param("404", {r"/4\d\d/": "yes", "$default": "no"}, b"yes", id="a pattern"),
        pytest.param("-1000", {"/-1000/": "yes"}, b"yes", id="any integer"),
        pytest.param("204", {"$default": "hi"}, b"hi", id="a status without a body"),
        pytest.param("200", {"$default": ""}, b"", id="an empty template"),
        pytest.param("200", {"$default": None}, None, id="no template, nothing to say"),
    ],
)
def test_a_mock_answers(status: str, responses: dict[str, str | None], text: bytes | None) -> None:
    given = answer(f"{{statusCode: {status}}}", responses)

    assert (given.status, given.body) == (int(status), text)


@pytest.mark.parametrize("responses", [{}, {"/200/": "yes"}], ids=["none", "none for this status"])
def test_a_two_way_mock_needs_an_integration_response_that_fits(responses: dict[str, str | None]) -> None:
    with pytest.raises(ApiConfigurationError, match="no integration response matches 500"):
        answer('{"statusCode": 500}', responses)


def test_a_one_way_mock_needs_none() -> None:
    assert answer('{"statusCode": 403}', {}, two_way=False) == EndpointResponse(403, (JSON,), None, False)


def test_an_answer_that_is_always_the_same_is_made_once() -> None:
    kind = Mock()
    call = kind.compile(mock(OK, {"$default": "hi"}), site())

    first, second = call(message()), call(message("other"))

    assert isinstance(first, EndpointResponse)
    assert first is second
    assert first.reply == Message(b"hi")


# Templates


def test_the_message_picks_the_status() -> None:
    request = '{"statusCode": $input.path("$.status")}'
    responses: dict[str, str | None] = {r"/2\d\d/": "fine: $context.routeKey", "$default": "not fine"}

    assert answer(request, responses, message('{"status": 204}')).body == b"fine: say"
    assert answer(request, responses, message('{"status": 500}')).body == b"not fine"


def test_a_response_template_sees_an_empty_body() -> None:
    assert answer(OK, {"$default": '$input.body "$!input.path("$.a")"'}, message('{"a": 1}')).body == b'{} ""'


def test_what_a_request_template_leaves_in_the_context_is_seen() -> None:
    request = '#set($context.responseOverride.said = "hello"){"statusCode": 200}'

    assert answer(request, {"$default": "$context.responseOverride.said"}).body == b"hello"


@pytest.mark.parametrize(
    "text",
    ['{"statusCode": "200"}', "{}", "hello", ""],
    ids=["a string", "no statusCode", "no object", "nothing"],
)
def test_a_request_that_gives_no_status_code_fails(text: str) -> None:
    with pytest.raises(ApiConfigurationError, match="no integer statusCode"):
        answer("$!input.path('$.text')", {"$default": "hi"}, message(json.dumps({"text": text})))


def test_without_a_template_the_message_says_the_status() -> None:
    assert answer(None, {"/201/": "created"}, message('{"statusCode": 201}')).body == b"created"
    with pytest.raises(ApiConfigurationError, match="no integer statusCode"):
        answer(None, {"/201/": "created"}, message("hello"))


def test_a_message_may_be_refused_for_want_of_a_template() -> None:
    with pytest.raises(UnsupportedMediaType):
        answer(None, {"$default": "hi"}, passthroughBehavior="NEVER")


# $connect


def test_connect_is_answered_with_the_status_and_the_rendered_body() -> None:
    given = answer(
        '{"statusCode": #if($input.params("token") == "good")200#{else}403#end}',
        {"/403/": '{"who": "$context.identity.sourceIp"}', "$default": None},
        connecting("/dev?token=bad"),
    )

    assert (given.status, given.headers, given.body) == (403, (JSON,), b'{"who": "203.0.113.9"}')


def test_overrides_of_the_request_template_count_without_a_response_template() -> None:
    request = (
        "#set($context.responseOverride.status = 401)"
        '#set($context.responseOverride.header["WWW-Authenticate"] = "Bearer"){"statusCode": 200}'
    )

    given = answer(request, {}, connecting())

    assert (given.status, given.headers) == (401, (JSON, (b"WWW-Authenticate", b"Bearer")))


def test_connect_with_a_status_that_depends_and_is_none_fails() -> None:
    with pytest.raises(ApiConfigurationError, match="7 can't answer a handshake"):
        answer('{"statusCode": $input.params("n")}', {}, connecting("/dev?n=7"))


# What is refused at deploy


@pytest.mark.parametrize(
    ("request_template", "event_type", "said"),
    [
        pytest.param("{}", EventType.MESSAGE, "{} is no JSON object with an integer statusCode", id="no status"),
        pytest.param("", EventType.MESSAGE, '"" is no JSON object with an integer statusCode', id="nothing"),
        pytest.param(
            "{statusCode: 7}",
            EventType.CONNECT,
            "7 can't answer a handshake; a status from 200 to 599 can",
            id="a status that is none",
        ),
        pytest.param(
            None,
            EventType.CONNECT,
            "$connect has no body to hold a statusCode; write {$default: '{\"statusCode\": 200}'}",
            id="no template where there is no body",
        ),
    ],
)
def test_what_is_refused(request_template: str | None, event_type: EventType, said: str) -> None:
    (problem,) = Mock().check(mock(request_template, {}), site(event_type))

    assert (problem.path, problem.text) == (("requestTemplates",), said)


def test_every_problem_is_told() -> None:
    integration = mock("#if(", {"/(/": "#end"})

    found = Mock().check(integration, site())

    assert [problem.path for problem in found] == [
        ("requestTemplates", "$default"),
        ("integrationResponses", "/(/"),
        ("integrationResponses", "/(/", "responseTemplates", "$default"),
    ]
