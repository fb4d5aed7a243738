"""Identity sources, those a browser can use among them.

API Gateway developer guide, "Create an API Gateway Lambda REQUEST authorizer function for WebSocket APIs".
"""

from __future__ import annotations

import pytest

from wsgateway.authorizers.sources import check_sources, compile_source, read_all
from wsgateway.errors import Unauthorized
from wsgateway.model.authorizer import Authorizer
from wsgateway.model.rest_authorizer import MethodAuthorizer


class Request:
    """What a handshake holds."""

    def field(self, name: str) -> list[str]:
        return {
            "authorization": ["one", "two"],
            "x-token": ["one", "two"],
            "blank": ["  "],
            "cookie": ['a=1; token="t.o.k"; twice=1', "twice=2; empty="],
            "sec-websocket-protocol": ["chat, bearer.abc.def", "other"],
        }.get(name.lower(), [])

    def querystring(self, name: str) -> list[str]:
        return {"token": ["first", "last"], "empty": [""]}.get(name, [])

    def stage_variable(self, name: str) -> str | None:
        return {"tenant": "acme"}.get(name)

    def context(self, name: str) -> str | None:
        return {"connectionId": "id=", "eventType": "CONNECT", "identity.sourceIp": "10.0.0.1"}.get(name)


@pytest.mark.parametrize(
    ("source", "value"),
    [
        pytest.param("route.request.header.X-Token", "two", id="the last value of a header"),
        pytest.param("route.request.header.X-TOKEN", "two", id="headers in any case"),
        pytest.param("route.request.querystring.token", "last", id="the last value of a parameter"),
        pytest.param("route.request.cookie.token", "t.o.k", id="a cookie"),
        pytest.param("method.request.header.x-token", "two", id="a header of a method's request"),
        pytest.param("route.request.subprotocol", "abc.def", id="a token among the subprotocols"),
        pytest.param("stageVariables.tenant", "acme", id="a stage variable"),
        pytest.param("context.connectionId", "id=", id="a context variable"),
        pytest.param("context.identity.sourceIp", "10.0.0.1", id="one with a dot"),
    ],
)
def test_a_source(source: str, value: str) -> None:
    assert read_all([(source, compile_source(source))], Request()) == (value,)


@pytest.mark.parametrize(
    "source",
    [
        pytest.param("route.request.header.X-Other", id="a header that is missing"),
        pytest.param("method.request.header.Authorization", id="an Authorization that comes twice"),
        pytest.param("route.request.header.blank", id="a header of blanks"),
        pytest.param("route.request.querystring.Token", id="a parameter in another case"),
        pytest.param("route.request.querystring.empty", id="an empty parameter"),
        pytest.param("route.request.cookie.twice", id="a cookie that comes twice"),
        pytest.param("route.request.cookie.empty", id="an empty cookie"),
        pytest.param("stageVariables.other", id="a stage variable that is missing"),
        pytest.param("context.eventType", id="what has no value yet"),
    ],
)
def test_a_source_without_a_value_is_a_no(source: str) -> None:
    with pytest.raises(Unauthorized, match=r"the request has no"):
        read_all([(source, compile_source(source))], Request())


def test_every_source_is_needed() -> None:
    sources = ["route.request.querystring.token", "route.request.querystring.other"]

    with pytest.raises(Unauthorized):
        read_all([(source, compile_source(source)) for source in sources], Request())


@pytest.mark.parametrize(
    "source", ["", "method.request.path.X", "route.request.header.", "route.request.body.x", "token", "context."]
)
def test_what_is_no_source(source: str) -> None:
    with pytest.raises(ValueError, match="is no identity source"):
        compile_source(source)


ASKED = {"authorizerUri": "function:auth", "authorizerResultTtlInSeconds": 60}
JWT = {"jwtConfiguration": {"issuer": "https://issuer.example", "audience": ["chat"]}}


def problems(kind: str, *sources: str, **more: object) -> list[str]:
    written = {"authorizerType": kind, "identitySource": list(sources), **more}
    return [problem.text for problem in check_sources(Authorizer.model_validate(written))]


@pytest.mark.parametrize(("kind", "more"), [("JWT", JWT), ("TICKET", {}), ("TOKEN", ASKED)])
@pytest.mark.parametrize("source", ["stageVariables.token", "context.stage", "context.connectionId"])
def test_a_token_that_no_client_brings_would_let_everybody_in(kind: str, more: dict[str, object], source: str) -> None:
    (problem,) = problems(kind, source, **more)

    assert problem.startswith(f"{source} is nothing that a client brings, and {kind} reads its token there")


@pytest.mark.parametrize("source", ["context.none", "context.eventType", "context.authorizer.a", "context.httpMethod"])
def test_what_nobody_has_before_an_authorizer_is_asked_would_refuse_everybody(source: str) -> None:
    (problem,) = problems("REQUEST", source, authorizerUri="function:auth")

    assert problem.startswith(f"{source} has no value when an authorizer is asked")


@pytest.mark.parametrize(
    ("source", "problem"),
    [("context.httpMethod", False), ("context.error.message", True), ("context.identity.apiKey", True)],
)
def test_requests_have_other_variables_than_handshakes(source: str, problem: bool) -> None:
    written = {"authorizerType": "REQUEST", "identitySource": [source], "authorizerUri": "function:auth"}

    assert bool(list(check_sources(MethodAuthorizer.model_validate(written)))) is problem


@pytest.mark.parametrize("source", ["context.stage", "context.apiId", "context.domainName"])
def test_an_answer_for_all_clients_is_not_kept(source: str) -> None:
    (problem,) = problems("REQUEST", "stageVariables.tenant", source, **ASKED)

    assert problem.startswith("with authorizerResultTtlInSeconds all clients would get the answer that the first got")
    assert not problems("REQUEST", "stageVariables.tenant", "context.stage", authorizerUri="function:auth")
    assert not problems("REQUEST", "stageVariables.tenant", "route.request.header.a", **ASKED)
    assert not problems("REQUEST", "context.identity.sourceIp", **ASKED)
