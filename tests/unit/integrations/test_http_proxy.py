"""HTTP_PROXY heads, byte by byte (API Gateway developer guide, "Set up HTTP integrations" and "Important notes")."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import re
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.dataplane.values import connecting, disconnecting, message, quotas
from wsgateway.errors import ApiConfigurationError
from wsgateway.integrations.base import Site
from wsgateway.integrations.http_proxy import HttpProxy
from wsgateway.integrations.parameters import check_parameters
from wsgateway.integrations.resilience import Resilience
from wsgateway.invocation import EventType, Invocation
from wsgateway.messages import EndpointRequest, EndpointResponse
from wsgateway.model.integration import Integration
from wsgateway.model.quotas import Limits
from wsgateway.upstream.exchange import Gate
from wsgateway.upstream.origin import Origin
from wsgateway.upstream.pool import Upstream
from wsgateway.upstream.tls import TlsSettings


class Sent:
    """An upstream with one origin that keeps what it is given."""

    def __init__(self) -> None:
        self.asked: tuple[str, str, int] | None = None
        self.shares: list[object] = []
        self.tls = TlsSettings()
        self.requests: list[EndpointRequest] = []
        self.calls: list[dict[str, Any]] = []
        self.loop = asyncio.new_event_loop()
        self.loop.close()

    def origin(self, scheme: str, host: str, port: int, *, share: object, tls: TlsSettings) -> Sent:
        self.asked = (scheme, host, port)
        self.shares.append(share)
        self.tls = tls
        return self

    def send(
        self, request: EndpointRequest, timeout: float, *, max_body: int, gate: object
    ) -> asyncio.Future[EndpointResponse]:
        self.requests.append(request)
        self.calls.append({"timeout": timeout, "max_body": max_body, "gate": gate})
        return asyncio.Future(loop=self.loop)


def site(
    event_type: EventType = EventType.MESSAGE,
    *,
    api_id: str = "chat",
    name: str = "backend",
    route_key: str = "say",
    two_way: bool = False,
    limits: Limits | None = None,
    **variables: str,
) -> Site:
    return Site(
        api_id=api_id,
        definition=("integrations", name),
        route_key=route_key,
        event_type=event_type,
        stage_variables=variables,
        quotas=quotas("open", limits),
        two_way=two_way,
    )


def sent(
    invocation: Invocation,
    uri: str = "http://backend.example:8000/ws",
    *,
    method: str = "POST",
    parameters: dict[str, str] | None = None,
    two_way: bool = False,
    limits: Limits | None = None,
    upstream: Sent | None = None,
    **more: object,
) -> EndpointRequest:
    """The request made of an event; `parameters` without `integration.request.`."""
    upstream = upstream or Sent()
    integration = Integration.model_validate(
        {
            "integrationType": "HTTP_PROXY",
            "integrationUri": uri,
            "integrationMethod": method,
            "requestParameters": {f"integration.request.{key}": value for key, value in (parameters or {}).items()},
            **more,
        }
    )
    where = site(invocation.event_type, two_way=two_way, limits=limits, **invocation.stage_variables)
    proxy = HttpProxy(cast("Upstream", upstream), Resilience(upstream.loop, lambda *_, **__: None))
    assert list(proxy.check(integration, where)) == []
    proxy.compile(integration, where)(invocation)
    return upstream.requests[-1]


def lines(request: EndpointRequest) -> list[str]:
    """The head's lines; the trace id, which is random, is T."""
    assert request.head.endswith(b"\r\n")
    text = re.sub(r"Root=1-[0-9a-f]{8}-[0-9a-f]{24}", "T", request.head.decode("latin-1"))
    return text[:-2].split("\r\n")


def header(request: EndpointRequest, name: str) -> list[str]:
    found = [line.split(": ", 1) for line in lines(request)[1:]]
    return [value for key, value in found if key.lower() == name.lower()]


FORWARDED = ["X-Forwarded-For: 203.0.113.9", "X-Forwarded-Proto: http", "X-Forwarded-Port: 8080"]
OWN = [
    "Host: backend.example:8000",
    "Accept: application/json",
    "User-Agent: AmazonAPIGateway_chat",
    "X-Amzn-Apigateway-Api-Id: chat",
    "Connection: keep-alive",
]


def test_a_message_is_posted_with_the_gateways_headers_alone() -> None:
    request = sent(message('{"action":"say"}'))

    assert lines(request) == [
        "POST /ws HTTP/1.1", *OWN, *FORWARDED, "X-Amzn-Trace-Id: T", "Content-Type: application/json",
    ]  # fmt: skip
    assert (request.method, request.body) == ("POST", b'{"action":"say"}')


def test_a_disconnect_has_neither_body_nor_type() -> None:
    request = sent(disconnecting())

    assert lines(request) == ["POST /ws HTTP/1.1", *OWN, *FORWARDED, "X-Amzn-Trace-Id: T"]
    assert request.body == b""


def test_a_binary_message_is_sent_as_bytes() -> None:
    request = sent(message(b"\x00\xff", binary=True))

    assert header(request, "Content-Type") == ["application/octet-stream"]
    assert request.body == b"\x00\xff"


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_no_body_goes_with(method: str) -> None:
    request = sent(message("hello"), method=method)

    assert request.body == b""
    assert header(request, "Content-Type") == []


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
def test_a_body_goes_with(method: str) -> None:
    assert sent(message("hello"), method=method).body == b"hello"


@pytest.mark.parametrize(
    ("invocation", "verb"), [(message(), "POST"), (connecting(), "GET"), (disconnecting(), "POST")],
    ids=["a message", "$connect", "$disconnect"],
)  # fmt: skip
def test_any_method_is_the_events_own(invocation: Invocation, verb: str) -> None:
    assert lines(sent(invocation, method="ANY"))[0] == f"{verb} /ws HTTP/1.1"


# $connect


def test_connect_forwards_the_clients_headers_and_query() -> None:
    request = sent(
        connecting(
            "/dev?token=a%2Fb&token=c",
            ("Upgrade", "websocket"),
            ("Connection", "keep-alive, Upgrade, X-Hop"),
            ("X-Hop", "1"),
            ("Cookie", "a=1; b=2"),
            ("Origin", "https://page.example"),
            ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
            ("Sec-WebSocket-Version", "13"),
            ("Sec-WebSocket-Protocol", "v1, v2"),
            ("Sec-WebSocket-Extensions", "permessage-deflate"),
            ("User-Agent", "Mozilla/5.0"),
        ),
        "http://backend.example:8000/ws?fixed=1",
    )

    assert lines(request) == [
        "POST /ws?fixed=1&token=a%2Fb&token=c HTTP/1.1",
        "Host: backend.example:8000",
        "Cookie: a=1; b=2",
        "Origin: https://page.example",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Protocol: v1, v2",
        "Sec-WebSocket-Extensions: permessage-deflate",
        "User-Agent: Mozilla/5.0",
        "Accept: application/json",
        "X-Amzn-Apigateway-Api-Id: chat",
        "Connection: keep-alive",
        *FORWARDED,
        "X-Amzn-Trace-Id: T",
    ]
    assert request.body == b""


@pytest.mark.parametrize(
    "name",
    [
        "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "Proxy-Connection", "TE", "Trailer",
        "Transfer-Encoding", "Content-Length", "Upgrade", "Expect", "Via", "Content-Encoding", "Content-MD5",
        "Max-Forwards", "WWW-Authenticate",
    ],
)  # fmt: skip
def test_connect_does_not_forward(name: str) -> None:
    assert header(sent(connecting("/dev", (name, "0"))), name) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("X-Forwarded-For", "203.0.113.9"),
        ("X-Forwarded-Proto", "http"),
        ("X-Forwarded-Port", "8080"),
        ("X-Amzn-Apigateway-Api-Id", "chat"),
        ("Host", "backend.example:8000"),
    ],
)
def test_a_client_can_not_pretend(name: str, value: str) -> None:
    assert header(sent(connecting("/dev", (name, "spoofed"))), name) == [value]


@pytest.mark.parametrize(
    ("value", "forwarded"),
    [
        pytest.param("Bearer abc", ["Bearer abc"], id="a token"),
        pytest.param("AWS4-HMAC-SHA256 Credential=…".replace("…", "x"), [], id="a signature meant for us"),
    ],
)
def test_connects_authorization_is(value: str, forwarded: list[str]) -> None:
    assert header(sent(connecting("/dev", ("Authorization", value))), "Authorization") == forwarded


def test_a_trace_that_has_begun_goes_on() -> None:
    trace = "Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=1"

    assert sent(connecting("/dev", ("X-Amzn-Trace-Id", trace))).head.count(trace.encode()) == 1


def test_a_mapping_overwrites_the_clients_header() -> None:
    request = sent(
        connecting("/dev", ("X-User", "forged"), ("user-agent", "curl")),
        parameters={"header.x-user": "'nobody'", "header.User-Agent": "context.apiId"},
    )

    assert header(request, "X-User") == ["nobody"]
    assert header(request, "User-Agent") == ["chat"]


@pytest.mark.parametrize(
    "invocation", [connecting(), message(), disconnecting()], ids=["$connect", "a message", "$disconnect"]
)
def test_a_mapping_overwrites_what_the_gateway_says_of_the_client(invocation: Invocation) -> None:
    """Two lines of X-Forwarded-For would be one list to the backend."""
    request = sent(
        invocation,
        parameters={"header.x-forwarded-for": "context.identity.sourceIp", "header.X-Forwarded-Proto": "'https'"},
    )

    assert header(request, "X-Forwarded-For") == ["203.0.113.9"]
    assert header(request, "X-Forwarded-Proto") == ["https"]
    assert header(request, "X-Forwarded-Port") == ["8080"]
    assert "x-forwarded-for: 203.0.113.9" in lines(request)


# Mapped parameters


@pytest.mark.parametrize(
    ("source", "values"),
    [
        pytest.param("'text'", ["text"], id="a text"),
        pytest.param("context.connectionId", ["AAAAAAAAAAAAAAAAAAAAAAAAAA=="], id="a context variable"),
        pytest.param("context.disconnectReason", [], id="one this event lacks isn't sent"),
        pytest.param("stageVariables.tier", ["gold"], id="a stage variable"),
        pytest.param("route.request.body.room", ["lobby"], id="a field of the body"),
        pytest.param("route.request.body.n", ["7"], id="a number"),
        pytest.param("route.request.body.tags", ['["a","b"]'], id="an array, as JSON"),
        pytest.param("route.request.body.none", [], id="a null isn't sent"),
        pytest.param("route.request.body.nosuch", [], id="a field that isn't there isn't sent"),
        pytest.param("route.request.header.Cookie", [], id="a message has no headers"),
        pytest.param("route.request.body.name", ["grüß"], id="beyond ASCII, as UTF-8"),
    ],
)
def test_a_header_is_mapped_from(source: str, values: list[str]) -> None:
    body = '{"room": "lobby", "n": 7, "tags": ["a", "b"], "none": null, "name": "grüß"}'
    request = sent(message(body, tier="gold"), parameters={"header.X-It": source})

    assert header(request, "X-It") == [value.encode().decode("latin-1") for value in values]


@pytest.mark.parametrize(
    ("source", "query"),
    [
        pytest.param("route.request.querystring.a", "a=1&a=2&it=2", id="the last value"),
        pytest.param("route.request.multivaluequerystring.a", "a=1&a=2&it=1&it=2", id="every value"),
        pytest.param("route.request.multivalueheader.X-A", "a=1&a=2&it=x&it=y", id="every header value"),
        pytest.param("'a b&c=d#é'", "a=1&a=2&it=a%20b%26c%3Dd%23%C3%A9", id="a text, encoded"),
        pytest.param("route.request.header.X-None", "a=1&a=2", id="nothing"),
    ],
)
def test_a_query_parameter_is_mapped_from(source: str, query: str) -> None:
    request = sent(connecting("/dev?a=1&a=2", ("X-A", "x"), ("X-A", "y")), parameters={"querystring.it": source})

    assert lines(request)[0] == f"POST /ws?{query} HTTP/1.1"


@pytest.mark.parametrize(
    ("sent_query", "source", "query"),
    [
        pytest.param("user=forged", "context.apiId", "k=1&user=chat", id="is set over"),
        pytest.param("user=forged&user", "context.apiId", "k=1&user=chat", id="every one, with a value or without"),
        pytest.param("us%65r=forged&%75ser=x", "context.apiId", "k=1&user=chat", id="also encoded"),
        pytest.param("user=forged", "route.request.header.X-None", "k=1", id="also by nothing"),
        pytest.param(
            "User=1&user%5B%5D=2&x=%75ser&users=3&&a+b=%2F&+user=4",
            "context.apiId",
            "k=1&User=1&user%5B%5D=2&x=%75ser&users=3&&a+b=%2F&+user=4&user=chat",
            id="others stay as sent",
        ),
        pytest.param("", "context.apiId", "k=1&user=chat", id="none was sent"),
    ],
)
def test_a_mapping_overwrites_the_clients_query_parameter(sent_query: str, source: str, query: str) -> None:
    """Nor does the URI's own stand beside it, whichever of the two a backend would believe."""
    request = sent(
        connecting(f"/dev?{sent_query}"), "http://h/?user=uri&k=1&%75ser", parameters={"querystring.user": source}
    )

    assert lines(request)[0] == f"POST /?{query} HTTP/1.1"


def test_a_mapping_overwrites_the_uris_query_parameter_on_a_message_too() -> None:
    request = sent(message(), "http://h/?user=uri&k=1", parameters={"querystring.user": "context.apiId"})

    assert lines(request)[0] == "POST /?k=1&user=chat HTTP/1.1"


@pytest.mark.parametrize(
    ("room", "path"),
    [
        ("lobby", "/rooms/lobby/x"),
        ("a/b", "/rooms/a%2Fb/x"),
        ("a?b#c", "/rooms/a%3Fb%23c/x"),
        ("@evil.example:80", "/rooms/%40evil.example%3A80/x"),
        ("%2e%2e", "/rooms/%252e%252e/x"),
        ("a..b", "/rooms/a..b/x"),
        ("...", "/rooms/.../x"),
        ("{other}", "/rooms/%7Bother%7D/x"),
        ("grüß\r\n", "/rooms/gr%C3%BC%C3%9F%0D%0A/x"),
        ("", "/rooms//x"),
    ],
)
def test_a_path_parameter_stays_in_its_segment(room: str, path: str) -> None:
    upstream = Sent()

    request = sent(
        message(_json(room)),
        "http://backend.example/rooms/{room}/x",
        parameters={"path.room": "route.request.body.room"},
        upstream=upstream,
    )

    assert lines(request)[0] == f"POST {path} HTTP/1.1"
    assert upstream.asked == ("http", "backend.example", 80)


@pytest.mark.parametrize(
    ("uri", "room"),
    [
        pytest.param("http://h/rooms/{room}", "..", id="a step up"),
        pytest.param("http://h/rooms/{room}", ".", id="no step"),
        pytest.param("http://h/rooms/{room}", "../admin", id="a step up and down"),
        pytest.param("http://h/rooms/{room}", "a/..", id="a step back"),
        pytest.param("http://h/rooms/.{room}", ".", id="dots joined with the URI's"),
        pytest.param("http://h/rooms/{room}", "a\\b", id="a backslash"),
        pytest.param("http://h/rooms/{room}", "a\0b", id="a NUL"),
    ],
)
def test_a_path_parameter_that_could_leave_its_segment_is_refused(uri: str, room: str) -> None:
    """RFC 3986 §5.2.4: whoever decodes it and resolves dot segments would be somewhere else."""
    with pytest.raises(ApiConfigurationError):
        sent(message(_json(room)), uri, parameters={"path.room": "route.request.body.room"})


@pytest.mark.parametrize("value", ["a\r\nX-Evil: 1", "a\nb", "a\rb", "a\0b"])
def test_a_header_value_that_would_end_its_line_is_refused(value: str) -> None:
    """RFC 9110 §5.5: never sent, and never mended."""
    with pytest.raises(ApiConfigurationError, match="CR, LF or NUL"):
        sent(message(_json(value)), parameters={"header.X-Room": "route.request.body.room"})
    with pytest.raises(ApiConfigurationError, match="CR, LF or NUL"):
        sent(
            connecting(f"/dev?room={'%0D%0A'}"),
            parameters={"header.X-Room": "route.request.querystring.room"},
        )


@pytest.mark.parametrize("place", ["header.X-Room", "querystring.room", "path.room"])
def test_half_a_surrogate_pair_never_makes_a_broken_head(place: str) -> None:
    request = sent(
        message('{"room": "\\ud800"}'),
        "http://h/{room}" if place.startswith("path") else "http://h/",
        parameters={place: "route.request.body.room"},
    )

    request.head.decode()
    assert request.body == b'{"room": "\\ud800"}'


@given(st.text())
def test_any_value_makes_one_head_with_its_lines_or_is_refused(value: str) -> None:
    parameters = {
        "header.X-Room": "route.request.body.room",
        "querystring.room": "route.request.body.room",
        "path.room": "route.request.body.room",
    }
    try:
        request = sent(message(_json(value)), "http://h/a/{room}/b?c=d", parameters=parameters)
    except ApiConfigurationError:
        return
    head = request.head.split(b"\r\n")
    assert re.fullmatch(rb"POST /a/[^/?]*/b\?c=d&room=[^&]* HTTP/1.1", head[0])
    assert len(head) == 1 + 5 + 3 + 1 + 1 + 1 + 1
    assert b"\n" not in request.head.replace(b"\r\n", b"")


def _json(room: str) -> str:
    return json.dumps({"room": room})


# URI, time and size


@pytest.mark.parametrize(
    ("uri", "origin", "target", "host"),
    [
        ("http://h", ("http", "h", 80), "/", "h"),
        ("https://h/a?b=c", ("https", "h", 443), "/a?b=c", "h"),
        ("http://h:8080/", ("http", "h", 8080), "/", "h:8080"),
        ("http://[::1]:8080/x", ("http", "::1", 8080), "/x", "[::1]:8080"),
        ("http://${stageVariables.where}/x", ("http", "other", 9000), "/x", "other:9000"),
        ("http://h/{nobody}", ("http", "h", 80), "/%7Bnobody%7D", "h"),
    ],
)
def test_a_uri_is_called_as(uri: str, origin: tuple[str, str, int], target: str, host: str) -> None:
    upstream = Sent()

    request = sent(message(where="other:9000"), uri, upstream=upstream)

    assert upstream.asked == origin
    assert lines(request)[0] == f"POST {target} HTTP/1.1"
    assert header(request, "Host") == [host]


def test_path_parameters_fill_the_query_too() -> None:
    request = sent(message(), "http://h/p/{a}?q={a}&r={nobody}&s=1", parameters={"path.a": "'x&y/ä'"})

    assert lines(request)[0] == "POST /p/x%26y%2F%C3%A4?q=x%26y%2F%C3%A4&r=%7Bnobody%7D&s=1 HTTP/1.1"


def test_what_has_no_value_fills_nothing() -> None:
    """As on AWS; an empty segment would be another resource, perhaps all of them."""
    request = sent(message("{}"), "http://h/pets/{id}?q={id}", parameters={"path.id": "route.request.body.id"})

    assert lines(request)[0] == "POST /pets/%7Bid%7D?q=%7Bid%7D HTTP/1.1"


@pytest.mark.parametrize(
    ("mapped", "host"),
    [("'shop.internal'", "shop.internal"), ("stageVariables.where", "other:9000"), ("'[::1]:80'", "[::1]:80")],
)
def test_a_mapping_may_set_another_host(mapped: str, host: str) -> None:
    """The connection is the URI's all the same."""
    for event in (message(where="other:9000"), connecting("/dev", ("Host", "chat.example"), where="other:9000")):
        upstream = Sent()

        request = sent(event, parameters={"header.host": mapped, "header.X-A": "'1'"}, upstream=upstream)

        assert upstream.asked == ("http", "backend.example", 8000)
        assert (header(request, "Host"), header(request, "X-A")) == ([host], ["1"])


@pytest.mark.parametrize(
    ("mapped", "told"),
    [
        ("route.request.header.Host", "nothing that a client says may"),
        ("context.domainName", "nothing that a client says may"),
        ("'a b'", "no host"),
        ("'a/b'", "no host"),
        ("'u@h'", "no host"),
        ("''", "no host"),
    ],
)
def test_what_can_not_be_a_host(mapped: str, told: str) -> None:
    integration = Integration.model_validate(
        {
            "integrationType": "HTTP_PROXY",
            "integrationUri": "http://h/",
            "requestParameters": {"integration.request.header.Host": mapped},
        }
    )

    (problem,) = check_parameters(integration, site())
    assert told in problem.text


@pytest.mark.parametrize(
    ("limits", "more", "seconds"),
    [
        pytest.param(None, {}, 29.0, id="the profile's"),
        pytest.param(Limits.model_validate({"integrationTimeoutMillis": 500}), {}, 0.5, id="the API's"),
        pytest.param(
            Limits.model_validate({"integrationTimeoutMillis": 500}), {"timeoutInMillis": 50}, 0.05, id="its own first"
        ),
    ],
)
def test_a_calls_timeout_is(limits: Limits | None, more: dict[str, int], seconds: float) -> None:
    upstream = Sent()

    sent(message(), limits=limits, upstream=upstream, **more)  # type: ignore[arg-type]

    assert upstream.calls[0]["timeout"] == seconds


@pytest.mark.parametrize(("two_way", "most"), [(True, 4096), (False, 1 << 20)], ids=["a reply", "a dropped answer"])
def test_the_largest_answer_read_is(two_way: bool, most: int) -> None:
    upstream = Sent()

    sent(message(), two_way=two_way, limits=Limits.model_validate({"maxMessageBytes": 4096}), upstream=upstream)

    assert upstream.calls[0]["max_body"] == most


@pytest.mark.parametrize(
    ("where", "most", "shared"),
    [
        pytest.param(site(), 2, True, id="the same route, after a reload"),
        pytest.param(site(route_key="shout"), 2, True, id="another route"),
        pytest.param(site(tier="gold"), 2, True, id="another stage that calls the same URI"),
        pytest.param(site(path="/other"), 2, False, id="another stage that calls another URI"),
        pytest.param(site(name="same"), 2, False, id="another integration, though just the same"),
        pytest.param(site(api_id="news"), 2, False, id="another API"),
        pytest.param(site(), 3, False, id="another cap"),
    ],
)
def test_one_cap_holds_for_an_integration_and(where: Site, most: int, shared: bool) -> None:
    """With the same definition text everywhere: a copy of an integration is another one."""
    upstream = Sent()
    proxy = HttpProxy(cast("Upstream", upstream), Resilience(upstream.loop, lambda *_, **__: None))
    there = dataclasses.replace(where, stage_variables={"path": "/", **where.stage_variables})
    for place, limit in ((site(path="/"), 2), (there, most)):
        integration = Integration.model_validate(
            {
                "integrationType": "HTTP_PROXY",
                "integrationUri": "http://h${stageVariables.path}",
                "maxConcurrency": limit,
            }
        )
        proxy.compile(integration, place)(message())

    first, second = (call["gate"] for call in upstream.calls)
    assert (first is second) == shared
    assert (first.limit, second.limit) == (2, most)


def test_integrations_and_apis_share_no_connections() -> None:
    """Routes of one integration do; so none can hold what another needs."""
    upstream = Sent()
    proxy = HttpProxy(cast("Upstream", upstream), Resilience(upstream.loop, lambda *_, **__: None))
    integration = Integration.model_validate({"integrationType": "HTTP_PROXY", "integrationUri": "http://h/"})
    for where in (site(), site(route_key="shout"), site(name="other"), site(api_id="news")):
        proxy.compile(integration, where)

    one, same, *others = upstream.shares
    assert one == same
    assert len({one, *others}) == 3


def test_what_no_deployment_uses_any_more_is_dropped_and_stays_counted() -> None:
    upstream = Sent()
    proxy = HttpProxy(cast("Upstream", upstream), Resilience(upstream.loop, lambda *_, **__: None))
    integration = Integration.model_validate(
        {"integrationType": "HTTP_PROXY", "integrationUri": "http://h/", "maxConcurrency": 2}
    )

    def gate_of(where: Site) -> Gate:
        proxy.compile(integration, where)(message())
        gate = upstream.calls[-1]["gate"]
        assert isinstance(gate, Gate)
        return gate

    kept, gone = gate_of(site()), gate_of(site(name="gone"))
    kept.refused, gone.refused = 1, 2

    proxy.keep_only([(integration, site())])

    assert proxy.origins([(integration, site())]) == {cast("Origin", upstream)}
    assert upstream.shares[-1] == ("chat", ("integrations", "backend"))
    assert gate_of(site()) is kept
    assert gate_of(site(name="gone")) is not gone
    assert proxy.refused == 3
