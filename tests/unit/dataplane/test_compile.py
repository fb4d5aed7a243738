"""Definitions to operations: all problems at once, each with its line, and what a stage then executes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.unit.dataplane.values import connecting, disconnecting, message, quotas
from wsgateway.aws import ServiceEndpoints
from wsgateway.dataplane.compile import compile_deployment
from wsgateway.dataplane.compiled import CompiledStage, Deployment
from wsgateway.dataplane.node import CALM_TICK, FASTEST_TICK, tick_of
from wsgateway.errors import AccessDenied, ApiConfigurationError, BadRequest, DefinitionError
from wsgateway.functions import Served, Surroundings
from wsgateway.messages import EndpointResponse, Handler
from wsgateway.model.loader import parse
from wsgateway.upstream.egress import Egress
from wsgateway.upstream.pool import Upstream
from wsgateway.wiring import backends_of

pytestmark = pytest.mark.anyio

HEAD = """\
apis:
  chat:
    protocolType: WEBSOCKET
"""

MOCK = "integration: {integrationType: MOCK, requestTemplates: {$default: '{\"statusCode\": 200}'}}"


def compiled(text: str) -> Deployment:
    upstream = Upstream(egress=Egress())
    surroundings = Surroundings(serve=no_runtime_api, log=lambda event, **facts: None)
    backends = backends_of(upstream, surroundings, ServiceEndpoints({}), lambda event, **facts: None, {})
    return compile_deployment(
        parse(text, "routes.yaml", {}, Path()),
        backends.types,
        backends.authorizers,
        backends.buckets,
        backends.meters,
        backends.cache,
    )


async def no_runtime_api(handler: Handler) -> Served:
    raise AssertionError("nothing is invoked here")


def problems(text: str) -> list[str]:
    with pytest.raises(DefinitionError) as refusal:
        compiled(text)
    return [str(problem) for problem in refusal.value.problems]


def stage(rest: str) -> CompiledStage:
    """The stage `dev` of an API with these lines."""
    text = HEAD + "    routeSelectionExpression: $request.body.action\n    stages: {dev: {}}\n" + rest
    return compiled(text).stages["chat", "dev"]


async def test_every_problem_is_told_with_its_line_in_the_files_order() -> None:
    found = problems(
        HEAD
        + """\
    routeSelectionExpression: $context.routeKey
    stages:
      dev: {stageVariables: {host: example.com}}
      prod: {}
    integrations:
      backend:
        integrationType: HTTP_PROXY
        integrationUri: http://${stageVariables.host}/${stageVariables.missing}
        requestParameters:
          integration.request.header.X-A: context.nosuch
          integration.request.header.Content-Length: "'1'"
          integration.request.header.Host: route.request.header.Host
          integration.request.path.room: route.request.body.room
          integration.request.querystring.q: request.body.q
          integration.request.cookie.c: context.stage
          integration.request.header.X-B: stageVariables.host
          integration.request.header.X-C: "'a\\nb'"
    routes:
      $connect: {integration: backend}
      $default: {integration: backend}
"""
    )

    lines = [int(problem.split(":")[1]) for problem in found]
    assert lines == sorted(lines)
    told = dict(zip(lines, found, strict=True))
    assert set(lines) == {4, 11, 13, 14, 15, 16, 17, 18, 19, 20}
    assert "only $request.body" in told[4]
    assert "there is no $context.nosuch" in told[13]
    assert "Content-Length is the gateway's own" in told[14]
    assert "Host is the URI's" in told[15]
    assert "has no {room}" in told[16]
    assert "expected 'text' in single quotes" in told[17]
    assert "expected integration.request.header" in told[18]
    assert "(in stage prod)" in told[19]
    assert "no line breaks" in told[20]
    assert len(found) == len(set(found)), "routes that share an integration don't repeat its problems"
    assert [problem.rpartition("; ")[2] for problem in found if "no variable missing" in problem] == [
        "add it to its stageVariables"
    ], "what is wrong in every stage is told once"


async def test_a_template_is_shown_where_it_is_wrong_once_for_all_stages() -> None:
    text = """\
    routeSelectionExpression: $request.body.action
    stages: {dev: {stageVariables: {tier: gold}}, prod: {}}
    integrations:
      mock:
        integrationType: MOCK
        templateSelectionExpression: $stageVariables.tier
        requestTemplates:
          gold: |
            {"statusCode":
            #if($input.path('$.ok')) 200}
    routes: {say: {integration: mock}, tell: {integration: mock}}
"""

    expression, template = problems(HEAD + text)

    where = "apis.chat.integrations.mock"
    assert expression == (
        f"routes.yaml:9: {where}.templateSelectionExpression: "
        "the stage has no variable tier; add it to its stageVariables (in stage prod)"
    )
    assert template == (
        f"routes.yaml:11: {where}.requestTemplates.gold: this #if has no #end (line 2, column 1)\n"
        "    #if($input.path('$.ok')) 200}\n"
        "    ^"
    )


async def test_a_variable_is_judged_by_what_it_makes_of_the_uri() -> None:
    text = """\
    routeSelectionExpression: $request.body.action
    stages: {dev: {stageVariables: {port: "22"}}}
    routes:
      $default: {integration: {integrationType: HTTP_PROXY, integrationUri: "http://h:${stageVariables.port}/"}}
"""

    (found,) = problems(HEAD + text)

    assert "routes.yaml:7: apis.chat.routes.$default.integration.integrationUri" in found
    assert "port 22 is not allowed" in found


@pytest.mark.parametrize(
    ("uri", "valid"),
    [
        pytest.param("http://h/{room}", True, id="in the path"),
        pytest.param("http://h/{room+}", True, id="greedy"),
        pytest.param("http://h/?room={room}", True, id="in the query"),
        pytest.param("http://h/{rooms}", False, id="of another name"),
    ],
)
async def test_a_path_parameter_needs_its_placeholder(uri: str, valid: bool) -> None:
    text = (
        HEAD
        + f"""\
    routeSelectionExpression: $request.body.action
    stages: {{dev: {{}}}}
    routes:
      $default:
        integration:
          integrationType: HTTP_PROXY
          integrationUri: "{uri}"
          requestParameters: {{integration.request.path.room: route.request.body.room}}
"""
    )
    if valid:
        compiled(text)
    else:
        (found,) = problems(text)
        assert found == (
            "routes.yaml:11: apis.chat.routes.$default.integration.requestParameters."
            "integration.request.path.room: integrationUri has no {room} in its path or query"
        )


# What a stage executes


async def test_a_message_without_a_route_is_forbidden() -> None:
    operation = stage(f"    routes: {{join: {{{MOCK}}}}}\n").select(b'{"action": "leave"}')

    assert operation.key == "$default"
    assert not operation.two_way
    with pytest.raises(AccessDenied):
        operation.integrate(message())


async def test_a_route_without_an_integration_fails_when_it_is_used() -> None:
    with pytest.raises(ApiConfigurationError, match="join has no integration"):
        stage("    routes: {join: {}}\n").select(b'{"action": "join"}').integrate(message(route_key="join"))


@pytest.mark.parametrize("key", ["$connect", "$disconnect", "$default"])
async def test_a_message_never_selects_a_reserved_route_by_name(key: str) -> None:
    dev = stage(f"    routes: {{$connect: {{{MOCK}}}, $disconnect: {{{MOCK}}}, join: {{{MOCK}}}}}\n")

    assert dev.select(b'{"action": "%s"}' % key.encode()).key == "$default"


async def test_lifecycle_routes_without_integrations_call_nothing() -> None:
    dev = stage("    routes: {$connect: {}, $disconnect: {}, $default: {}}\n")

    assert dev.connect is None
    assert dev.disconnect is None


async def test_lifecycle_routes_are_never_two_way() -> None:
    dev = stage(f"    routes: {{$connect: {{{MOCK}, routeResponse: true}}, say: {{{MOCK}, routeResponse: true}}}}\n")

    assert dev.connect is not None
    assert not dev.connect.two_way
    assert dev.select(b'{"action": "say"}').two_way


async def test_what_connect_requires_is_checked_without_an_integration_too() -> None:
    dev = stage(
        """\
    routes:
      $connect:
        requestParameters:
          route.request.querystring.token: true
          route.request.header.X-Room: {required: true}
          route.request.querystring.lang: false
"""
    )
    assert dev.connect is not None
    (check,) = dev.connect.checks

    check(connecting("/dev?token=t", ("x-room", "r")))
    with pytest.raises(BadRequest) as refusal:
        check(connecting("/dev?lang=de"))

    # Amazon API Gateway's text for BAD_REQUEST_PARAMETERS.
    assert refusal.value.detail == "Missing required request parameters: [token, X-Room]"
    assert dev.connect.integrate(connecting()) == EndpointResponse(200)


async def test_what_is_optional_needs_no_check() -> None:
    dev = stage("    routes: {$connect: {requestParameters: {route.request.querystring.token: false}}}\n")

    assert dev.connect is None


async def test_stages_share_routes_and_have_their_own_variables() -> None:
    deployment = compiled(
        HEAD
        + f"""\
    routeSelectionExpression: $request.body.action
    messageOrdering: SEQUENTIAL
    stages: {{dev: {{stageVariables: {{a: x}}}}, prod: {{}}}}
    routes: {{$default: {{{MOCK}}}}}
"""
    )

    assert set(deployment.stages) == {("chat", "dev"), ("chat", "prod")}
    assert deployment.stages["chat", "dev"].variables == {"a": "x"}
    assert deployment.stages["chat", "prod"].variables == {}
    assert all(one.sequential for one in deployment.stages.values())
    assert deployment.endpoints.resolve("h", "/prod").stage == "prod"


async def test_a_disconnect_operation_runs_its_integration() -> None:
    dev = stage(f"    routes: {{$disconnect: {{{MOCK}}}}}\n")

    assert dev.disconnect is not None
    answer = dev.disconnect.integrate(disconnecting())
    assert isinstance(answer, EndpointResponse)
    assert answer.status == 200


@pytest.mark.parametrize(
    ("route", "owed"),
    [
        pytest.param(f"{{{MOCK}}}", True, id="as usual"),
        pytest.param(f"{{{MOCK}, delivery: AT_LEAST_ONCE}}", True, id="said"),
        pytest.param(f"{{{MOCK}, delivery: AT_MOST_ONCE}}", False, id="once"),
        pytest.param("{}", False, id="nobody to tell"),
    ],
)
async def test_a_stage_says_whether_the_end_of_a_connection_has_to_be_told(route: str, owed: bool) -> None:
    assert stage(f"    routes: {{$disconnect: {route}}}\n").owes_disconnect is owed


# The sweep


@pytest.mark.parametrize(
    ("limits", "tick"),
    [
        pytest.param({}, CALM_TICK, id="the profile's limits"),
        pytest.param({"idle_timeout": 2.0}, 0.5, id="a quarter of the shortest"),
        pytest.param({"pong_timeout": 0.4, "idle_timeout": 2.0}, 0.1, id="of several"),
        pytest.param({"stalled_write": 0.01}, FASTEST_TICK, id="never faster than this"),
        pytest.param({"ping_interval": 0.0, "max_connection": 0.0}, CALM_TICK, id="0 is no limit"),
    ],
)
async def test_a_node_sweeps_as_often_as_the_shortest_limit_needs(limits: dict[str, float], tick: float) -> None:
    assert tick_of([quotas(), replace(quotas(), **limits)]) == pytest.approx(tick)  # type: ignore[arg-type]


REFRESH = """\
    routeSelectionExpression: $request.body.action
    stages: {dev: {}}
    authorizers: {tickets: {authorizerType: TICKET, identitySource: [route.request.querystring.ticket]}}
    routes:
      $connect: {authorizer: tickets}
      constant: {refresh: token}
      wrong: {refresh: $request.header.token}
      right: {refresh: $request.body.token}
      silent: {refresh: $request.body.token, routeResponse: false}
"""


async def test_an_expression_that_reads_no_token_is_refused() -> None:
    found = problems(HEAD + REFRESH)

    assert len(found) == 2
    assert "chat.routes.constant.refresh: reads nothing of the message" in found[0]
    assert "chat.routes.wrong.refresh: " in found[1]


async def test_a_route_that_refreshes_needs_no_integration_and_tells_no_log_what_was_said() -> None:
    text = HEAD + REFRESH.replace("refresh: token}", "refresh: $request.body.token}").replace(
        "$request.header", "$request.body"
    )
    settings = "{defaultRouteSettings: {loggingLevel: INFO, dataTraceEnabled: true}}"
    made = compiled(text.replace("{dev: {}}", f"{{dev: {settings}}}")).stages["chat", "dev"]
    right, connect = made.operations["right"], made.operations["$connect"]

    assert made.takes_tickets
    assert right.two_way
    assert not made.operations["silent"].two_way
    assert right.logging is not None
    assert connect.logging is not None
    assert (right.logging.info, right.logging.data, connect.logging.data) == (True, False, True)
    assert isinstance(right.integrate(message("{}")), EndpointResponse)


AUTHORIZER = """\
    routeSelectionExpression: $request.body.action
    stages: {dev: {stageVariables: {fn: auth}}, prod: {}}
    authorizers:
      users: {authorizerType: REQUEST, %s}
    routes:
      $connect: {authorizer: users}
functions:
  auth: {runtime: python3.11, codeUri: ., handler: app.handler}
"""


@pytest.mark.parametrize(
    ("authorizer", "said"),
    [
        pytest.param("authorizerUri: function:auht", "authorizerUri: no function here is named auht", id="no function"),
        pytest.param(
            "authorizerUri: 'function:${stageVariables.fn}'",
            "authorizerUri: the stage has no variable fn; add it to its stageVariables (in stage prod)",
            id="no such variable",
        ),
        pytest.param(
            "authorizerUri: function:auth, authorizerCredentialsArn: '${stageVariables.role}'",
            "authorizerCredentialsArn: the stage has no variable role",
            id="no such role",
        ),
        pytest.param(
            "authorizerUri: function:auth, identitySource: [method.request.header.A]",
            "identitySource.0: method.request.header.A is of another kind of API; write route.request.header.A",
            id="a REST API's source",
        ),
    ],
)
async def test_an_authorizer_that_could_not_ask_is_refused(authorizer: str, said: str) -> None:
    (problem,) = problems(HEAD + AUTHORIZER % authorizer)

    assert f"apis.chat.authorizers.users.{said}" in problem


async def test_whom_authorizers_ask_is_among_whom_the_deployment_calls() -> None:
    deployment = compiled(HEAD + AUTHORIZER % "authorizerUri: 'https://auth.example/check'")

    assert [(integration.integration_uri, site.stage_variables) for integration, site in deployment.uses] == [
        ("https://auth.example/check", {"fn": "auth"}),
        ("https://auth.example/check", {}),
    ]
    assert [site.stage for _, site in deployment.authorized] == ["dev", "prod"]
    asked = [stage.connect for stage in deployment.stages.values()]
    assert [operation and operation.authorizer for operation in asked] == ["users", "users"]


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        pytest.param(
            "function:py", "responseTransferMode: python3.12 has no way to stream, on AWS neither", id="Python"
        ),
        pytest.param(
            "function:other", "uri: STREAM is for functions that run here, and none is named other", id="Lambda"
        ),
        pytest.param(
            "arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/js/invocations",
            "uri: STREAM goes by lambda:path/2021-11-15/functions/{arn}/response-streaming-invocations",
            id="the other operation",
        ),
        pytest.param("function:js", None, id="Node"),
        pytest.param("function:own", None, id="provided"),
    ],
)
async def test_functions_that_stream(uri: str, said: str | None) -> None:
    text = f"""\
apis:
  shop:
    protocolType: REST
    stages: {{v1: {{}}}}
    paths:
      /a:
        GET: {{integration: {{type: AWS_PROXY, httpMethod: POST, uri: "{uri}", responseTransferMode: STREAM}}}}
functions:
  py: {{runtime: python3.12, codeUri: ., handler: app.handler}}
  js: {{runtime: nodejs20.x, codeUri: ., handler: app.handler}}
  own: {{runtime: provided.al2023, codeUri: .}}
"""
    if said is None:
        assert ("shop", "v1") in compiled(text).rest
    else:
        (problem,) = problems(text)
        assert said in problem
