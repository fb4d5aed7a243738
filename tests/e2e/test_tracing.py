"""Spans, as a collector gets them over OTLP: which there are, what they say, and that backends go on with them."""

from __future__ import annotations

import asyncio
import json
from base64 import b64encode
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import (
    TraceServiceServicer,
    add_TraceServiceServicer_to_server,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from websockets.asyncio.client import connect

from tests.harness import PATIENCE, Backend, Request, backend, gateway, heard, http
from tests.redis import redis_server

pytestmark = pytest.mark.anyio

DEFINITION = """
apis:
  chat:
    protocolType: WEBSOCKET
    routeSelectionExpression: $request.body.action
    stages: {dev: {accessLogSettings: {format: "$context.requestId $context.routeKey $context.xrayTraceId"}}}
    authorizers:
      users: {authorizerType: REQUEST, authorizerUri: "http://127.0.0.1:PORT/users"}
    integrations:
      backend: &backend
        {integrationType: HTTP_PROXY, integrationMethod: POST, integrationUri: "http://127.0.0.1:PORT/ws"}
      shaky:
        integrationType: HTTP_PROXY
        integrationMethod: POST
        integrationUri: http://127.0.0.1:PORT/shaky
        retry: {on: [503], maxAttempts: 2, backoffMillis: 1}
    routes:
      $connect: {integration: backend, authorizer: users}
      $disconnect: {integration: backend}
      say: {integration: backend, routeResponse: true}
      again: {integration: shaky, routeResponse: true}
  shop:
    protocolType: REST
    stages:
      v1:
        cacheClusterEnabled: true
        methodSettings:
          "*/*": {throttlingRateLimit: 100, throttlingBurstLimit: 100}
          kept/GET: {cachingEnabled: true}
    authorizers:
      function: {type: TOKEN, identitySource: method.request.header.Authorization, authorizerUri: "function:guard"}
      tokens:
        type: JWT
        identitySource: method.request.header.Authorization
        jwtConfiguration: {issuer: "http://127.0.0.1:PORT/issuer", audience: [shop]}
    paths:
      /kept:
        GET: {authorizer: function, integration: {type: HTTP_PROXY, httpMethod: GET, uri: "http://127.0.0.1:PORT/kept"}}
      /mine:
        GET: {authorizer: tokens, integration: {type: HTTP_PROXY, httpMethod: GET, uri: "http://127.0.0.1:PORT/pets"}}
      /{proxy+}:
        GET:
          requestParameters: {method.request.path.proxy: true}
          integration:
            type: HTTP_PROXY
            httpMethod: GET
            uri: http://127.0.0.1:PORT/{proxy}
            requestParameters: {integration.request.path.proxy: method.request.path.proxy}
"""
INVOKE = "/2015-03-31/functions/guard/invocations"
POLICY = {
    "principalId": "ann",
    "policyDocument": {"Statement": {"Action": "execute-api:Invoke", "Effect": "Allow", "Resource": "*"}},
}
HEADER = b64encode(b'{"alg": "RS256", "kid": "unknown"}').decode().rstrip("=")
TOKEN = f"{HEADER}.{HEADER}.AAAA"
KEYS = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "us-east-1"}
TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


SHORT = """
apis:
  shop:
    protocolType: REST
    stages: {v1: {}}
    paths:
      /pets:
        GET:
          integration:
            type: MOCK
            requestTemplates: {application/json: '{"statusCode": 200}'}
            integrationResponses: {"200": {}}
"""


class Collector:
    """What was exported."""

    def __init__(self, other: Backend) -> None:
        self._other = other
        self.spans: list[Span] = []
        self.service = ""
        self._more = asyncio.Event()
        other.answers("/v1/traces", self._take)

    def _take(self, request: Request) -> tuple[int, dict[str, str], bytes]:
        exported = ExportTraceServiceRequest.FromString(request.body)
        for resource in exported.resource_spans:
            named = {each.key: each.value.string_value for each in resource.resource.attributes}
            self.service = named["service.name"]
            for scope in resource.scope_spans:
                self.spans += scope.spans
        self._more.set()
        return 200, {"Content-Type": "application/x-protobuf"}, b""

    async def named(self, name: str) -> Span:
        """The span of this name, once it is there."""
        async with asyncio.timeout(PATIENCE):
            while True:
                for span in self.spans:
                    if span.name == name:
                        return span
                self._more.clear()
                await self._more.wait()

    def below(self, above: Span) -> list[Span]:
        return [span for span in self.spans if span.parent_span_id == above.span_id]


def said(span: Span) -> dict[str, str | int]:
    return {each.key: each.value.string_value or each.value.int_value for each in span.attributes}


def parent_of(span: Span) -> str:
    """What a span's callees are told."""
    return f"00-{span.trace_id.hex()}-{span.span_id.hex()}-01"


def told_of(other: Backend, target: str) -> list[str | None]:
    """What those who were asked for a target were told."""
    return [each.header("traceparent") for each in other.requests if each.target == target]


@asynccontextmanager
async def collecting() -> AsyncIterator[tuple[Backend, Collector, dict[str, str]]]:
    async with backend() as other:
        variables = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{other.port}",
            "OTEL_BSP_SCHEDULE_DELAY": "50",
            "AWS_ENDPOINT_URL_LAMBDA": f"http://127.0.0.1:{other.port}",
            **KEYS,
        }
        yield other, Collector(other), variables


async def test_each_event_is_a_span_and_backends_go_on_with_it(tmp_path: Path) -> None:
    async with collecting() as (other, collector, variables), redis_server(tmp_path / "redis") as redis:
        other.answers("/ws", (200, {}, b"heard"))
        other.answers("/pets", (200, {}, b"pets"))
        other.answers("/kept", (200, {}, b"kept"))
        other.answers("/users", (200, {}, json.dumps(POLICY).encode()))
        other.answers(INVOKE, (200, {}, json.dumps(POLICY).encode()))
        statuses = iter([503, 200])
        other.answers("/shaky", lambda request: (next(statuses), {}, b"at last"))
        definition = DEFINITION.replace("PORT", str(other.port))
        log = tmp_path / "rows"
        flags = "--access-log", str(log), "--redis-url", redis.url
        async with gateway(definition, tmp_path, *flags, env=variables) as running:
            async with connect(running.ws()) as client:
                await client.send(json.dumps({"action": "say"}))
                assert await heard(client) == "heard"
                message = await collector.named("MESSAGE say")
                asked = await other.saw("/ws", 2)
                told = asked.header("traceparent") or ""
                connection_id = str(said(message)["wsgateway.connection_id"])
                pushed = await http(
                    running.internal_port, "POST", f"/dev/@connections/{connection_id}", b"hi",
                    headers=[("traceparent", told)],
                )  # fmt: skip
                assert (pushed.status, await heard(client)) == (200, "hi")
                await client.send(json.dumps({"action": "again"}))
                assert await heard(client) == "at last"
            parent = f"00-{TRACE}-{SPAN}-01"
            answer = await http(running.port, "GET", "/v1/pets", headers=[("traceparent", parent)])
            assert (answer.status, answer.body) == (200, b"pets"), answer
            # Not sampled by whoever began it: it goes on as it came, and there is no span of it.
            await http(running.port, "GET", "/v1/pets", headers=[("traceparent", parent[:-1] + "0")])
            who = ("Authorization", "ann")
            assert (await http(running.port, "GET", "/v1/kept", headers=[who])).body == b"kept"
            refused = await http(running.port, "GET", "/v1/mine", headers=[("Authorization", TOKEN)])
            assert refused.status == 500, "its issuer has no keys"
            kept, mine = await collector.named("GET /kept"), await collector.named("GET /mine")
            retried = await collector.named("MESSAGE again")
            push = await collector.named("POST /@connections/{connectionId}")
            request = await collector.named("GET /{proxy+}")
            handshake = await collector.named("CONNECT $connect")
            end = await collector.named("DISCONNECT $disconnect")

    assert collector.service == "wsgateway"
    (call,) = collector.below(message)
    assert told == f"00-{message.trace_id.hex()}-{call.span_id.hex()}-01"
    assert asked.header("x-amzn-trace-id") == (
        f"Root=1-{message.trace_id.hex()[:8]}-{message.trace_id.hex()[8:]};Parent={call.span_id.hex()};Sampled=1"
    )
    assert said(call) == {"http.request.method": "POST", "http.response.status_code": 200}
    assert (push.trace_id, push.parent_span_id) == (message.trace_id, call.span_id), "it belongs to the message"
    assert said(push)["http.response.status_code"] == 200
    authorizer, *_ = steps = collector.below(handshake)
    assert [span.name for span in steps] == ["authorizer users", "registry", "integration"]
    assert told_of(other, "/users") == [parent_of(authorizer)], "a URL goes on with what its authorizer is asked in"
    authorizer, *_ = steps = collector.below(kept)
    assert [span.name for span in steps] == ["authorizer function", "limits", "cache", "integration"]
    (invoked,) = [each for each in other.requests if each.target.startswith(INVOKE)]
    assert f";Parent={authorizer.span_id.hex()};Sampled=1" in (invoked.header("x-amzn-trace-id") or "")
    (authorizer,) = collector.below(mine)
    assert authorizer.name == "authorizer tokens"
    assert told_of(other, "/issuer/.well-known/openid-configuration") == [parent_of(authorizer)]
    (call,) = collector.below(retried)
    assert [event.name for event in call.events] == ["retry"]
    assert told_of(other, "/shaky") == [parent_of(call)] * 2
    assert said(handshake)["http.response.status_code"] == 101
    assert said(end)["wsgateway.close_code"] == 1000
    assert (request.trace_id.hex(), request.parent_span_id.hex()) == (TRACE, SPAN)
    limits, called = collector.below(request)
    assert (limits.name, called.name) == ("limits", "integration")
    first, second = [each for each in other.requests if each.target == "/pets"]
    assert first.header("traceparent") == f"00-{TRACE}-{called.span_id.hex()}-01"
    assert second.header("traceparent") == parent[:-1] + "0"
    assert [span.name for span in collector.spans].count("GET /{proxy+}") == 1
    rows = [line.split() for line in log.read_text().splitlines()]
    trace_id = message.trace_id.hex()
    assert [row[2] for row in rows if row[1] == "say"] == [f"1-{trace_id[:8]}-{trace_id[8:]}"], "rows name the trace"


class Taking(TraceServiceServicer):
    """A collector over gRPC."""

    def __init__(self) -> None:
        self.spans: list[Span] = []

    def Export(  # noqa: N802 - the service's
        self, request: ExportTraceServiceRequest, context: grpc.ServicerContext
    ) -> ExportTraceServiceResponse:
        for resource in request.resource_spans:
            for scope in resource.scope_spans:
                self.spans += scope.spans
        return ExportTraceServiceResponse()


async def test_a_collector_may_be_one_of_grpc(tmp_path: Path) -> None:
    collector = Taking()
    server = grpc.server(ThreadPoolExecutor(1))
    add_TraceServiceServicer_to_server(collector, server)
    variables = {
        "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}",
    }
    try:
        async with gateway(SHORT, tmp_path, env=variables) as running:
            server.start()  # now: whoever has gRPC's threads had better not fork
            assert (await http(running.port, "GET", "/v1/pets")).status == 200
            running.terminate()
            assert await running.wait() == 0, "what is left is exported at the end"
    finally:
        server.stop(0)
    assert [span.name for span in collector.spans] == ["GET /pets"]


async def test_a_collector_that_is_not_there_costs_nobody_anything(tmp_path: Path) -> None:
    variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OTEL_BSP_SCHEDULE_DELAY": "50", **KEYS}
    async with backend() as other:
        other.answers("/ws", (200, {}, b"heard"))
        other.answers("/users", (200, {}, json.dumps(POLICY).encode()))
        async with gateway(DEFINITION.replace("PORT", str(other.port)), tmp_path, env=variables) as running:
            async with connect(running.ws()) as client:
                await client.send(json.dumps({"action": "say"}))
                assert await heard(client) == "heard"
            assert "traces are not exported" in await running.logged("traces are not exported")
            running.terminate()
            assert await running.wait() == 0
