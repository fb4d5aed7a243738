"""HTTP: what a backend is asked, and what becomes of its answer (developer guide, "Set up HTTP integrations")."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any, cast

import pytest

from tests.unit.dataplane.values import connecting, disconnecting, message
from tests.unit.integrations.test_http_proxy import Sent, header, lines, site
from wsgateway.errors import ApiConfigurationError
from wsgateway.integrations.http import Http
from wsgateway.integrations.resilience import Resilience
from wsgateway.invocation import Invocation
from wsgateway.messages import EndpointRequest, EndpointResponse, Message
from wsgateway.model.integration import Integration
from wsgateway.upstream.pool import Upstream


class Answering(Sent):
    """An upstream that answers when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.answers: list[asyncio.Future[EndpointResponse]] = []

    def send(
        self, request: EndpointRequest, timeout: float, *, max_body: int, gate: object
    ) -> asyncio.Future[EndpointResponse]:
        super().send(request, timeout, max_body=max_body, gate=gate)
        answer: asyncio.Future[EndpointResponse] = asyncio.get_running_loop().create_future()
        self.answers.append(answer)
        return answer


def call(
    invocation: Invocation,
    upstream: Sent,
    uri: str = "http://backend.example:8000/ws",
    *,
    parameters: dict[str, str] | None = None,
    two_way: bool = True,
    **fields: object,
) -> Awaitable[EndpointResponse] | EndpointResponse:
    integration = Integration.model_validate(
        {
            "integrationType": "HTTP",
            "integrationUri": uri,
            "requestParameters": {f"integration.request.{key}": value for key, value in (parameters or {}).items()},
            **fields,
        }
    )
    where = site(invocation.event_type, two_way=two_way, **invocation.stage_variables)
    kind = Http(cast("Upstream", upstream), Resilience(upstream.loop, lambda *_, **__: None))
    assert list(kind.check(integration, where)) == []
    return kind.compile(integration, where)(invocation)


def asked(invocation: Invocation, uri: str = "http://backend.example:8000/ws", **fields: Any) -> EndpointRequest:
    """The request made of an event on a one-way route."""
    upstream = Sent()
    call(invocation, upstream, uri, two_way=False, **fields)
    return upstream.requests[-1]


OWN = [
    "Host: backend.example:8000",
    "Accept: application/json",
    "User-Agent: AmazonAPIGateway_chat",
    "X-Amzn-Apigateway-Api-Id: chat",
    "Connection: keep-alive",
]


# The request


def test_a_rendered_body_is_posted_with_the_gateways_headers() -> None:
    request = asked(message('{"n": 1}'), requestTemplates={"$default": '{"m": $input.json("$.n")}'})

    assert lines(request) == ["POST /ws HTTP/1.1", *OWN, "Content-Type: application/json", "X-Amzn-Trace-Id: T"]
    assert (request.method, request.body) == ("POST", b'{"m": 1}')


@pytest.mark.parametrize("event", [connecting("/dev?a=1", ("Cookie", "a=1")), disconnecting()], ids=["open", "end"])
def test_of_the_client_nothing_is_sent_that_is_not_mapped(event: Invocation) -> None:
    request = asked(event)

    assert lines(request) == ["POST /ws HTTP/1.1", *OWN, "X-Amzn-Trace-Id: T"]
    assert request.body == b""


@pytest.mark.parametrize(("said", "sent"), [("Bearer a", ["Bearer a"]), ("AWS4-HMAC-SHA256 Credential=…", [])])
def test_signatures_are_not_handed_on(said: str, sent: list[str]) -> None:
    event = connecting("/dev", ("Authorization", said.replace("…", "x")))
    request = asked(event, parameters={"header.Authorization": "route.request.header.Authorization"})

    assert header(request, "Authorization") == sent


def test_what_has_no_value_fills_nothing() -> None:
    request = asked(message("{}"), "http://h/pets/{id}", parameters={"path.id": "route.request.body.id"})

    assert lines(request)[0] == "POST /pets/%7Bid%7D HTTP/1.1"


def test_a_handshakes_parameters_may_be_mapped() -> None:
    request = asked(
        connecting("/dev?token=a%2Fb", ("Cookie", "a=1")),
        "http://backend.example:8000/{stage}?fixed=1&token=uri",
        parameters={
            "header.X-Cookie": "route.request.header.Cookie",
            "header.user-agent": "'ours'",
            "header.Host": "'rooms.internal'",
            "querystring.token": "route.request.querystring.token",
            "path.stage": "context.stage",
        },
        requestTemplates={"$default": "opening"},
    )

    assert lines(request)[0] == "POST /dev?fixed=1&token=a%2Fb HTTP/1.1"
    assert header(request, "X-Cookie") == ["a=1"]
    assert header(request, "User-Agent") == ["ours"]
    assert header(request, "Host") == ["rooms.internal"]
    assert (header(request, "Content-Type"), request.body) == (["application/json"], b"opening")


def test_overrides_reach_the_head() -> None:
    template = (
        '#set($context.requestOverride.header["Content-Type"] = "text/plain")'
        '#set($context.requestOverride.querystring.q = "x y")'
        '#set($context.requestOverride.path.room = "a/b")hi'
    )

    request = asked(message(), "http://backend.example:8000/{room}?q=uri&k=1", requestTemplates={"$default": template})

    assert lines(request)[0] == "POST /a%2Fb?k=1&q=x%20y HTTP/1.1"
    assert header(request, "Content-Type") == ["text/plain"]


def test_a_trace_that_has_begun_goes_on() -> None:
    trace = "Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=1"

    assert asked(connecting("/dev", ("X-Amzn-Trace-Id", trace))).head.count(trace.encode()) == 1


def test_via_is_removed_after_mapping() -> None:
    """API Gateway developer guide, "Important notes"."""
    assert header(asked(message(), parameters={"header.Via": "'1.1 us'"}), "Via") == []


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_no_body_goes_with(method: str) -> None:
    request = asked(message("x"), integrationMethod=method, requestTemplates={"$default": "body"})

    assert (request.body, header(request, "Content-Type")) == (b"", [])


def test_bytes_are_called_so() -> None:
    request = asked(message("/w=="), contentHandlingStrategy="CONVERT_TO_BINARY")

    assert (request.body, header(request, "Content-Type")) == (b"\xff", ["application/octet-stream"])


@pytest.mark.parametrize(
    "template",
    [
        pytest.param("#set($context.requestOverride.header.X-A = \"$input.path('$.a')\")", id="a header in two"),
        pytest.param('#set($context.requestOverride.path.room = "..")', id="another path"),
        pytest.param('#set($context.requestOverride.header["a b"] = "1")', id="no header's name"),
    ],
)
def test_what_would_be_another_request_is_not_sent(template: str) -> None:
    with pytest.raises(ApiConfigurationError):
        asked(
            message('{"a": "1\\r\\nX-B: 2"}'), "http://backend.example/{room}", requestTemplates={"$default": template}
        )


# The answer


@pytest.mark.anyio
async def test_the_status_picks_the_response() -> None:
    upstream = Answering()
    responses = {
        r"/5\d\d/": {"responseTemplates": {"$default": "sorry: $input.path('$.why')"}},
        "$default": {"responseTemplates": {"$default": "fine"}},
    }

    first = call(message(), upstream, integrationResponses=responses)
    second = call(message(), upstream, integrationResponses=responses)
    upstream.answers[0].set_result(EndpointResponse(503, (), b'{"why": "full"}'))
    upstream.answers[1].set_result(EndpointResponse(200, (), b"{}"))

    assert isinstance(first, Awaitable)
    assert isinstance(second, Awaitable)
    assert (await first).reply == Message(b"sorry: full")
    assert (await second).reply == Message(b"fine")


@pytest.mark.anyio
async def test_where_nobody_hears_of_it_the_answer_is_the_backends_own() -> None:
    upstream = Answering()

    assert call(message(), upstream, two_way=False) is upstream.answers[0]


@pytest.mark.anyio
async def test_whoever_loses_interest_ends_the_call() -> None:
    upstream = Answering()
    answer = call(message(), upstream, integrationResponses={"$default": {}})
    assert isinstance(answer, asyncio.Future)

    answer.cancel()
    with pytest.raises(asyncio.CancelledError):
        await upstream.answers[0]
