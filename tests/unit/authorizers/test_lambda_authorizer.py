"""REQUEST and TOKEN as a stage asks them: what is sent, what answers mean, what is kept.

API Gateway developer guide, "Create an API Gateway Lambda REQUEST authorizer function for WebSocket APIs".
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.unit.dataplane.values import connecting, message
from wsgateway.authorizers.base import Authorize, Identity, Site
from wsgateway.authorizers.lambda_authorizer import Event, LambdaAuthorizers, request_event, token_event
from wsgateway.errors import (
    AccessDenied,
    AuthorizerConfigurationError,
    AuthorizerFailure,
    BadGateway,
    GatewayError,
    IntegrationFailure,
    IntegrationTimeout,
    ServiceUnavailable,
    Unauthorized,
)
from wsgateway.invocation import Invocation
from wsgateway.messages import EndpointResponse
from wsgateway.model.authorizer import TIMEOUT_MILLIS, Authorizer

pytestmark = pytest.mark.anyio

ARN = "arn:aws:execute-api:eu-west-1:123456789012:chat/dev/$connect"


def yes(resource: str = ARN, *, effect: str = "Allow", condition: object = None, **more: Any) -> EndpointResponse:
    statement: dict[str, Any] = {"Action": "execute-api:Invoke", "Effect": effect, "Resource": resource}
    if condition is not None:
        statement["Condition"] = condition
    policy = {"Version": "2012-10-17", "Statement": [statement]}
    return EndpointResponse(200, (), json.dumps({"principalId": "ann", "policyDocument": policy} | more).encode())


class Asked:
    """An authorizer at one stage, its backend scripted, its clock the test's."""

    def __init__(self, event: Event = request_event, **definition: Any) -> None:
        self.now = 0.0
        self.events: list[dict[str, Any]] = []
        self.answer: EndpointResponse | GatewayError = yes()
        self.types = LambdaAuthorizers(event, region="eu-west-1", account="123456789012", clock=lambda: self.now)
        self.definition = definition

    async def ask(self, invocation: Invocation, payload: bytes) -> EndpointResponse:
        self.events.append(json.loads(payload))
        if isinstance(self.answer, GatewayError):
            raise self.answer
        return self.answer

    def authorizer(self, **more: Any) -> Authorizer:
        usual = {"authorizerType": "REQUEST", "authorizerUri": "function:auth"}
        return Authorizer.model_validate(usual | self.definition | more)

    def compiled(self, stage: str = "dev", **more: Any) -> Authorize:
        return self.types.compile(self.authorizer(**more), site(stage), self.ask)

    async def identity(self, invocation: Invocation, authorize: Authorize | None = None) -> Identity:
        found = (authorize or self.compiled())(invocation)
        return found if isinstance(found, Identity) else await found


def site(stage: str = "dev", **variables: str) -> Site:
    return Site(api_id="chat", stage=stage, name="users", route_key="$connect", stage_variables=variables, ours=False)


def token(**more: Any) -> Asked:
    return Asked(token_event, authorizerType="TOKEN", identitySource=["route.request.header.Authorization"], **more)


async def test_what_is_known_of_a_client_that_is_let_in() -> None:
    asked = Asked()
    asked.answer = yes(context={"room": "a", "level": 7, "admin": True}, usageIdentifierKey="k" * 20)
    event = connecting()

    found = await asked.identity(event)

    assert found.context == {"principalId": "ann", "room": "a", "level": "7", "admin": "true"}
    assert found.claims == {"principalId": "ann", "room": "a", "level": 7, "admin": True}
    assert (found.usage_key, found.expires) == ("k" * 20, None)
    assert "kkkk" not in repr(found)
    assert (event.context("authorizer.integrationLatency") or "").isdigit()


async def test_an_event_tells_maps_that_are_empty() -> None:
    asked = Asked()
    await asked.identity(connecting())

    (event,) = asked.events
    assert (event["type"], event["methodArn"]) == ("REQUEST", ARN)
    assert event["queryStringParameters"] == event["multiValueQueryStringParameters"] == event["stageVariables"] == {}
    assert event["headers"]["content-length"] == "0"
    assert not {"body", "isBase64Encoded", "path", "httpMethod", "resource", "pathParameters"} & event.keys()


async def test_a_token_is_told_whole() -> None:
    asked = token()
    await asked.identity(connecting("/dev", ("Authorization", "Bearer a.b.c")))

    assert asked.events == [{"type": "TOKEN", "authorizationToken": "Bearer a.b.c", "methodArn": ARN}]


@pytest.mark.parametrize(
    ("value", "asks"),
    [
        pytest.param("Bearer abc", True, id="all of it matches"),
        pytest.param("Bearer abc!", False, id="not its end"),
        pytest.param("xBearer abc", False, id="not its beginning"),
        pytest.param("bearer abc", False, id="another case"),
        pytest.param(" ", False, id="blank"),
    ],
)
async def test_a_token_that_does_not_match_is_asked_about_nobody(value: str, asks: bool) -> None:
    asked = token(identityValidationExpression="Bearer [a-z]+")
    event = connecting("/dev", ("Authorization", value))
    if asks:
        await asked.identity(event)
    else:
        with pytest.raises(Unauthorized):
            await asked.identity(event)

    assert bool(asked.events) is asks


async def test_a_failure_that_names_the_token_is_told_without_it() -> None:
    asked = token()
    asked.answer = EndpointResponse(
        200, FAILED, b'{"errorMessage": "KeyError: no-such-token, of Bearer no-such-token"}'
    )
    with pytest.raises(AuthorizerFailure) as caught:
        await asked.identity(connecting("/dev", ("Authorization", "Bearer no-such-token")))

    assert caught.value.reason == 'authorizer users failed: {"errorMessage": "KeyError: ***, of ***"}'


def test_a_pattern_that_can_not_be_read_is_a_problem() -> None:
    asked = token(identityValidationExpression="(a")

    (problem,) = asked.types.check(asked.authorizer())

    assert problem.path == ("identityValidationExpression",)


FAILED = ((b"X-Amz-Function-Error", b"Unhandled"),)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        pytest.param(yes(effect="Deny"), AccessDenied, id="a deny"),
        pytest.param(yes(ARN.replace("dev", "prod")), AccessDenied, id="an allow of another stage"),
        pytest.param(EndpointResponse(200, FAILED, b'{"errorMessage": "Unauthorized"}'), Unauthorized, id="a no"),
        pytest.param(
            EndpointResponse(200, FAILED, b'{"errorMessage": "Task timed out"}'), AuthorizerFailure, id="slow"
        ),
        pytest.param(EndpointResponse(200, FAILED, yes().body), AuthorizerFailure, id="a yes that failed"),
        pytest.param(EndpointResponse(401), Unauthorized, id="401"),
        pytest.param(EndpointResponse(403), AccessDenied, id="403"),
        pytest.param(EndpointResponse(302, (), yes().body), AuthorizerFailure, id="a redirect"),
        pytest.param(EndpointResponse(500, (), yes().body), AuthorizerFailure, id="a yes with 500"),
        pytest.param(EndpointResponse(204), AuthorizerConfigurationError, id="204"),
        pytest.param(EndpointResponse(200, (), b"{}"), AuthorizerConfigurationError, id="nothing said"),
        pytest.param(IntegrationTimeout("10 s"), AuthorizerFailure, id="no answer in time"),
        pytest.param(IntegrationFailure("refused"), AuthorizerFailure, id="nobody there"),
        pytest.param(ServiceUnavailable("full"), AuthorizerFailure, id="no room"),
        pytest.param(IntegrationFailure("no", failure=403), AuthorizerConfigurationError, id="no permission to ask"),
        pytest.param(IntegrationFailure("no", failure=404), AuthorizerConfigurationError, id="no such function"),
        pytest.param(BadGateway("no", failure=429), AuthorizerFailure, id="too many calls"),
    ],
)
async def test_whatever_is_no_yes_is_a_no(answer: EndpointResponse | GatewayError, kind: type[GatewayError]) -> None:
    asked = Asked(identitySource=["route.request.querystring.t"], authorizerResultTtlInSeconds=60)
    asked.answer = answer
    for _ in range(2):
        with pytest.raises(GatewayError) as caught:
            await asked.identity(connecting("/dev?t=1"))
        assert type(caught.value) is kind

    decided = isinstance(answer, EndpointResponse) and b"Version" in (answer.body or b"") and kind is AccessDenied
    assert len(asked.events) == (1 if decided else 2), "only what a policy says is kept"


def test_an_authorizer_has_ten_seconds() -> None:
    backend = Asked().authorizer().backend
    assert backend is not None
    assert backend.timeout_in_millis == TIMEOUT_MILLIS == 10_000


@pytest.mark.parametrize(
    ("condition", "allowed"),
    [
        pytest.param({"IpAddress": {"aws:SourceIp": "203.0.113.0/24"}}, True, id="from there"),
        pytest.param({"IpAddress": {"aws:SourceIp": "198.51.100.0/24"}}, False, id="from elsewhere"),
        pytest.param({"StringLike": {"aws:UserAgent": "App/*"}}, True, id="by that program"),
        pytest.param({"StringEquals": {"aws:Referer": "https://a.example"}}, False, id="from no page"),
        pytest.param({"Bool": {"aws:SecureTransport": "true"}}, False, id="not by TLS"),
        pytest.param({"DateGreaterThan": {"aws:CurrentTime": "2020-01-01T00:00:00Z"}}, True, id="after a time"),
        pytest.param({"NumericLessThan": {"aws:EpochTime": "1000"}}, False, id="before a time"),
    ],
)
async def test_conditions_are_about_the_handshake(condition: object, allowed: bool) -> None:
    asked = Asked()
    asked.answer = yes(condition=condition)
    event = connecting("/dev", ("User-Agent", "App/1"))
    if allowed:
        await asked.identity(event)
    else:
        with pytest.raises(AccessDenied):
            await asked.identity(event)


async def test_a_condition_that_no_handshake_answers_is_no_policy() -> None:
    asked = Asked()
    asked.answer = yes(effect="Deny", condition={"StringEquals": {"aws:PrincipalTag/team": "red"}})

    with pytest.raises(AuthorizerConfigurationError, match="is no key that requests have"):
        await asked.identity(connecting())


# Kept answers


def keeping(**more: Any) -> Asked:
    sources = ["route.request.querystring.t", "route.request.header.X-Tenant"]
    return Asked(identitySource=sources, authorizerResultTtlInSeconds=60, **more)


async def test_an_answer_is_kept_for_who_brings_the_same() -> None:
    asked = keeping()
    authorize = asked.compiled()
    for query, tenant in (("1", "a"), ("1", "a"), ("1", "b"), ("2", "a"), ("1", "a")):
        await asked.identity(connecting(f"/dev?t={query}", ("X-Tenant", tenant)), authorize)

    assert len(asked.events) == 3
    assert asked.types.lookups == {("chat", "users", "hit"): 2, ("chat", "users", "miss"): 3}

    asked.now = 60.0
    await asked.identity(connecting("/dev?t=1", ("X-Tenant", "a")), authorize)
    assert len(asked.events) == 4


async def test_a_kept_policy_says_what_it_says_to_each_handshake() -> None:
    asked = keeping()
    asked.answer = yes(condition={"StringEquals": {"aws:UserAgent": "App/1"}})
    authorize = asked.compiled()
    await asked.identity(connecting("/dev?t=1", ("X-Tenant", "a"), ("User-Agent", "App/1")), authorize)

    with pytest.raises(AccessDenied):
        await asked.identity(connecting("/dev?t=1", ("X-Tenant", "a"), ("User-Agent", "App/2")), authorize)
    assert len(asked.events) == 1


async def test_a_kept_policy_says_what_it_says_of_each_route() -> None:
    asked = keeping()
    event = connecting("/dev?t=1", ("X-Tenant", "a"))
    await asked.identity(event, asked.compiled())
    elsewhere = asked.types.compile(asked.authorizer(), replace(site("dev"), route_key="GET/pets"), asked.ask)

    with pytest.raises(AccessDenied, match="GET/pets"):
        await asked.identity(event, elsewhere)
    assert len(asked.events) == 1


async def test_no_answer_of_one_stage_holds_at_another() -> None:
    asked = keeping()
    asked.answer = yes("*")
    for stage in ("dev", "prod"):
        await asked.identity(connecting("/dev?t=1", ("X-Tenant", "a")), asked.compiled(stage))

    assert len(asked.events) == 2


async def test_answers_stay_over_a_reload_that_changes_nothing() -> None:
    asked = keeping()
    event = connecting("/dev?t=1", ("X-Tenant", "a"))
    await asked.identity(event, asked.compiled())
    await asked.identity(event, asked.compiled())
    assert len(asked.events) == 1

    await asked.identity(event, asked.compiled(authorizerUri="function:other"))
    assert len(asked.events) == 2

    asked.types.keep_only(())
    assert asked.types.kept == 0


async def test_without_a_time_every_handshake_is_asked_about() -> None:
    asked = Asked(identitySource=["route.request.querystring.t"])
    for _ in range(3):
        await asked.identity(connecting("/dev?t=1"))

    assert (len(asked.events), asked.types.kept, asked.types.lookups) == (3, 0, {})


async def test_the_function_of_the_documentation_says_yes_and_no() -> None:
    page = (Path(__file__).parents[3] / "docs" / "security.md").read_text()
    code = page.split("```python\n", 1)[1].split("```", 1)[0]
    module: dict[str, Any] = {}
    exec(compile(code, "docs/security.md", "exec"), module)

    asked = Asked()
    for user, lets_in in (("ann", True), ("eve", False)):
        event = connecting("/dev", ("Authorization", f"Bearer {user}"))
        asked.answer = answered(module["handler"], json.loads(request_event(event, ARN, (), False)))
        if lets_in:
            assert (await asked.identity(event)).context == {"principalId": "ann", "plan": "pro", "level": "7"}
        else:
            with pytest.raises(Unauthorized):
                await asked.identity(event)


def answered(handler: Any, event: dict[str, Any]) -> EndpointResponse:
    """What Lambda's API answers for a handler."""
    try:
        return EndpointResponse(200, (), json.dumps(handler(event, None)).encode())
    except Exception as error:
        return EndpointResponse(200, FAILED, json.dumps({"errorMessage": str(error)}).encode())


async def test_a_token_in_a_message_is_asked_about_as_one_in_a_handshake() -> None:
    asked = token(identityValidationExpression="[a-z]+", authorizerResultTtlInSeconds=60)
    renew = asked.types.renew(asked.authorizer(), site(), asked.ask, lambda invocation: invocation.text())

    found = await asked.identity(message("abc"), renew)
    assert found.context == {"principalId": "ann"}
    assert asked.events == [{"type": "TOKEN", "authorizationToken": "abc", "methodArn": ARN}]
    await asked.identity(connecting("/dev", ("Authorization", "abc")))
    assert len(asked.events) == 1  # it is kept

    with pytest.raises(Unauthorized):
        await asked.identity(message("ABC"), renew)
    asked.answer = EndpointResponse(401)
    with pytest.raises(Unauthorized):
        await asked.identity(message("bad"), renew)


@pytest.mark.parametrize(
    ("condition", "let"),
    [
        pytest.param({"IpAddress": {"aws:SourceIp": "203.0.113.0/24"}}, True, id="from where"),
        pytest.param({"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}, False, id="from elsewhere"),
        pytest.param({"Bool": {"aws:SecureTransport": "false"}}, True, id="not by TLS"),
        pytest.param({"Bool": {"aws:SecureTransport": "true"}}, False, id="by TLS"),
        pytest.param({"StringEquals": {"aws:UserAgent": "tests/1"}}, True, id="with what"),
    ],
)
async def test_conditions_on_a_token_in_a_message(condition: object, let: bool) -> None:
    asked = token()
    asked.answer = yes(condition=condition)
    renew = asked.types.renew(asked.authorizer(), site(), asked.ask, lambda invocation: invocation.text())

    try:
        await asked.identity(message("abc"), renew)
    except AccessDenied:
        assert not let
    else:
        assert let
