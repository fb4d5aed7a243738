"""Mapping at methods of REST APIs (developer guide, "Mapping template transformations", "Integration passthrough
behaviors")."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import pytest

from tests.unit.dataplane.values import quotas
from tests.unit.requests import method_request
from wsgateway.errors import UnsupportedMediaType
from wsgateway.integrations.base import Site
from wsgateway.integrations.http import Http
from wsgateway.integrations.mapping import compile_request, compile_responses
from wsgateway.integrations.resilience import Resilience
from wsgateway.invocation import EventType
from wsgateway.messages import EndpointResponse
from wsgateway.method_request import MethodRequest
from wsgateway.model.integration import Integration
from wsgateway.model.rest_integration import RestIntegration

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

    from wsgateway.upstream.pool import Upstream

SITE = Site(
    api_id="shop",
    definition=("integrations", "backend"),
    route_key="POST /pets/{id}",
    event_type=EventType.REQUEST,
    stage_variables={},
    quotas=quotas(),
    two_way=True,
)
JSON, TEXT, XML = "application/json", "text/plain", "text/xml"


def request(body: bytes = b"sent", **headers: str) -> MethodRequest:
    fields = tuple((name.replace("_", "-").encode(), value.encode()) for name, value in headers.items())
    made = method_request("/pets/{id}", {"id": "7"}, method="POST", headers=fields)
    made.payload = body
    return made


def http(**fields: Any) -> Integration:
    return RestIntegration.model_validate(
        {"type": "HTTP", "httpMethod": "POST"} | {"uri": "http://h/", **fields}
    ).common


@pytest.mark.parametrize(
    ("behavior", "templates", "content_type", "sent"),
    [
        pytest.param("WHEN_NO_MATCH", {}, TEXT, b"sent", id="no templates: passed on"),
        pytest.param("WHEN_NO_TEMPLATES", {}, TEXT, b"sent", id="no templates: passed on, too"),
        pytest.param("NEVER", {}, TEXT, None, id="no templates: refused"),
        pytest.param("WHEN_NO_MATCH", {JSON: "made"}, TEXT, b"sent", id="none matches: passed on"),
        pytest.param("WHEN_NO_TEMPLATES", {JSON: "made"}, TEXT, None, id="none matches: refused"),
        pytest.param("NEVER", {JSON: "made"}, TEXT, None, id="none matches: refused, too"),
        pytest.param("NEVER", {JSON: "made"}, JSON, b"made", id="one matches"),
        pytest.param("NEVER", {JSON: "made"}, "Application/JSON; charset=utf-8", b"made", id="parameters don't count"),
        pytest.param("NEVER", {JSON: "made"}, None, b"made", id="without a type it is JSON"),
        pytest.param("NEVER", {JSON: "made", "$default": "any"}, TEXT, b"any", id="the default"),
        pytest.param("NEVER", {JSON: None, TEXT: "made"}, JSON, b"sent", id="null passes its type on"),
        pytest.param("WHEN_NO_TEMPLATES", {JSON: ""}, JSON, b"sent", id="so does an empty one"),
        pytest.param("WHEN_NO_TEMPLATES", {JSON: ""}, TEXT, None, id="and no other type"),
        pytest.param("NEVER", {JSON: "made", "$default": None}, TEXT, b"sent", id="null passes all others on"),
    ],
)
def test_what_is_sent(behavior: str, templates: object, content_type: str | None, sent: bytes | None) -> None:
    mapping = compile_request(http(passthroughBehavior=behavior, requestTemplates=templates), SITE)
    asked = request(**({} if content_type is None else {"Content_Type": content_type}))

    if sent is None:
        with pytest.raises(UnsupportedMediaType):
            mapping(asked)
    else:
        assert mapping(asked).body == sent


@pytest.mark.parametrize(
    ("templates", "accept", "given", "media"),
    [
        pytest.param({}, XML, b"answer", JSON, id="no template"),
        pytest.param({XML: "<x/>"}, JSON, b"<x/>", XML, id="the only one"),
        pytest.param({JSON: "{}", XML: "<x/>"}, XML, b"<x/>", XML, id="what the client accepts"),
        pytest.param({JSON: "{}", XML: "<x/>"}, f"{XML};q=0.1, {JSON}", b"<x/>", XML, id="the first it accepts"),
        pytest.param({XML: "<x/>", JSON: "{}"}, TEXT, b"{}", JSON, id="JSON where none fits"),
        pytest.param({XML: "<x/>", TEXT: "x"}, JSON, b"<x/>", XML, id="else the first"),
        pytest.param({JSON: None}, JSON, b"answer", JSON, id="null passes the body on"),
        pytest.param({JSON: "", XML: "<x/>"}, JSON, b"answer", JSON, id="an empty one, too"),
        pytest.param({JSON: None, XML: "<x/>"}, XML, b"<x/>", XML, id="and no other type"),
    ],
)
def test_what_goes_back(templates: object, accept: str, given: bytes, media: str) -> None:
    give = compile_responses(http(integrationResponses={"200": {"responseTemplates": templates}}), SITE)
    answer = give(request(Accept=accept), EndpointResponse(200, (), b"answer"), "200")

    assert (answer.body, answer.headers) == (given, ((b"Content-Type", media.encode()),))


@pytest.mark.parametrize(
    ("uri", "told"),
    [
        pytest.param("http://h/${stageVariables.there}", [], id="this stage has it"),
        pytest.param("http://h/${stageVariables.elsewhere}", [], id="another has it: nothing stands there, as on AWS"),
        pytest.param("http://${stageVariables.elsewhere}/", ["the stage has no variable elsewhere"], id="and can't be"),
        pytest.param("http://h/${stageVariables.nowhere}", ["the stage has no variable nowhere"], id="none has it"),
        pytest.param("http://${stageVariables.there}:1/", ["port 1 is not allowed"], id="another fault"),
    ],
)
def test_stage_variables_of_a_uri(uri: str, told: list[str]) -> None:
    where = replace(SITE, stage_variables={"there": "x"}, variables_elsewhere=frozenset({"there", "elsewhere"}))
    kind = Http(cast("Upstream", None), Resilience(cast("AbstractEventLoop", None), lambda *_, **__: None))
    found = [problem.text for problem in kind.check(http(uri=uri), where)]

    assert len(found) == len(told)
    assert all(text in each for text, each in zip(told, found, strict=True))


def test_context_is_listed_in_the_order_of_aws() -> None:
    mapping = compile_request(http(requestTemplates={JSON: "$context.keySet()"}), SITE)

    assert mapping(request()).body.decode() == (
        "[resourceId, resourcePath, httpMethod, extendedRequestId, requestTime, path, accountId, protocol, "
        "requestOverride, stage, domainPrefix, requestTimeEpoch, requestId, identity, domainName, deploymentId, "
        "responseOverride, apiId]"
    )
