"""Which requests a canary answers, and what it executes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.unit.dataplane.test_compile import no_runtime_api
from wsgateway.aws import ServiceEndpoints
from wsgateway.dataplane.compile import compile_deployment
from wsgateway.dataplane.compiled import Deployment
from wsgateway.dataplane.counters import Counters
from wsgateway.dataplane.endpoint import Endpoints
from wsgateway.dataplane.faults import Faults
from wsgateway.dataplane.gateway import Gateway, Log
from wsgateway.dataplane.hub import Hub
from wsgateway.dataplane.identity import ConnectionIds, new_slot
from wsgateway.dataplane.node import Node
from wsgateway.dataplane.rest import RestApis
from wsgateway.errors import DefinitionError
from wsgateway.functions import Surroundings
from wsgateway.messages import HttpRequest, HttpResponse
from wsgateway.model.loader import parse
from wsgateway.tally import Routes
from wsgateway.upstream.egress import Egress
from wsgateway.upstream.pool import Upstream
from wsgateway.wiring import backends_of

pytestmark = pytest.mark.anyio

MOCK = (
    "{{type: MOCK, requestTemplates: {{application/json: '{{\"statusCode\": 200}}'}},"
    " integrationResponses: {{'200': {{responseTemplates: {{application/json: '{}'}}}}}}}}"
)
SAYS = MOCK.format("$context.isCanaryRequest $stageVariables.tone $context.deploymentId")
FILE = """\
apis:
  shop:
    protocolType: REST
    stages:
      v1: {{variables: {{tone: warm, host: a}}{0}}}
    paths:
      /a: {{GET: {{integration: {1}}}}}
"""


def no_log(event: str, **facts: object) -> None: ...


def deployed(text: str, folder: Path = Path()) -> Deployment:
    surroundings = Surroundings(serve=no_runtime_api, log=no_log)
    backends = backends_of(Upstream(egress=Egress()), surroundings, ServiceEndpoints({}), no_log, {})
    loaded = parse(text, "routes.yaml", {}, folder)
    return compile_deployment(
        loaded, backends.types, backends.authorizers, backends.buckets, backends.meters, backends.cache
    )


def refuse(request: HttpRequest) -> HttpResponse:
    raise AssertionError("a REST API answers")


def asked(
    deployment: Deployment, draw: Callable[[], float], times: int = 1, log: Log = no_log
) -> tuple[list[str], Routes]:
    """What requests of /v1/a get, and how they are counted."""
    gateway = Gateway(
        loop=asyncio.get_running_loop(),
        hub=Hub(),
        ids=ConnectionIds(new_slot()),
        counters=Counters(),
        faults=Faults(log, time.monotonic),
        log=log,
        stages={},
        endpoints=Endpoints({}, None),
        callback_url=lambda request, place: ("", ""),
        show_reasons=False,
        max_connections=0,
    )
    Node(gateway, drain_window=0).deploy(deployment)
    rest = RestApis(gateway, refuse, draw=draw)
    answers = []
    for _ in range(times):
        answer = rest(HttpRequest("GET", "/v1/a", "host"))
        assert isinstance(answer, HttpResponse)
        assert isinstance(answer.body, bytes)
        answers.append(answer.body.decode())
    return answers, gateway.tallies["shop", "v1"]


def canary(percent: float, more: str = "stageVariableOverrides: {tone: cold}") -> str:
    return f", canarySettings: {{percentTraffic: {percent}, {more}}}"


@pytest.mark.parametrize(
    ("percent", "drawn", "answered"),
    [
        pytest.param(0, 0.0, "false warm", id="none"),
        pytest.param(25, 0.2499, "true cold", id="below"),
        pytest.param(25, 0.25, "false warm", id="at"),
        pytest.param(0.1, 0.0009, "true cold", id="a tenth of one"),
        pytest.param(100, 0.9999999, "true cold", id="all"),
    ],
)
async def test_each_request_is_drawn_for(percent: float, drawn: float, answered: str) -> None:
    (said,), counted = asked(deployed(FILE.format(canary(percent), SAYS)), lambda: drawn)

    assert said.startswith(answered)
    assert counted.requests == {200: 1}
    assert counted.canary_requests == ({200: 1} if answered.startswith("true") else {})


async def test_one_request_has_one_answerer_and_the_next_may_have_another() -> None:
    draws = iter([0.9, 0.1, 0.9])
    answers, _ = asked(deployed(FILE.format(canary(50), SAYS)), lambda: next(draws), times=3)

    assert [answer.split()[0] for answer in answers] == ["false", "true", "false"]


async def test_without_a_canary_nothing_is_drawn_or_said() -> None:
    def never() -> float:
        raise AssertionError("nothing is drawn")

    (said,), _ = asked(deployed(FILE.format("", SAYS)), never)
    assert said.split()[0] == "warm"


async def test_another_file_is_another_deployment(tmp_path: Path) -> None:
    (tmp_path / "next.yaml").write_text(FILE.format("", MOCK.format("next $stageVariables.tone $context.deploymentId")))
    deployment = deployed(FILE.format(canary(50, "deploymentId: file:next.yaml"), SAYS), tmp_path)

    draws = iter([0.9, 0.1])
    (old, new), _ = asked(deployment, lambda: next(draws), times=2)
    assert old.startswith("false warm ")
    assert new.startswith("next warm ")  # the stage's variables, not that file's
    assert old.split()[-1] == deployment.digest[:12]
    assert new.split()[-1] not in ("", deployment.digest[:12])


def problems(text: str, folder: Path) -> list[str]:
    with pytest.raises(DefinitionError) as refusal:
        deployed(text, folder)
    return [str(problem) for problem in refusal.value.problems]


async def test_what_can_not_be_executed_is_told_where_it_is_written(tmp_path: Path) -> None:
    calls = "{type: HTTP_PROXY, httpMethod: GET, uri: 'http://${stageVariables.other}/'}"
    (tmp_path / "next.yaml").write_text(FILE.format("", calls).replace("shop:", "renamed:"))
    (problem,) = problems(FILE.format(canary(50, "deploymentId: file:next.yaml"), SAYS), tmp_path)
    assert problem.startswith(f"{tmp_path}/next.yaml:7: apis.renamed.paths./a.GET.integration.uri: ")
    assert "has no variable other" in problem

    overridden = canary(50, "deploymentId: file:next.yaml, stageVariableOverrides: {other: b}")
    assert deployed(FILE.format(overridden, SAYS), tmp_path).rest["shop", "v1"].canary is not None


async def test_a_file_without_the_api_is_refused(tmp_path: Path) -> None:
    one, two = (FILE.format("", SAYS).replace("shop:", f"{name}:").removeprefix("apis:\n") for name in ("one", "two"))
    (tmp_path / "next.yaml").write_text(f"apis:\n{one}{two}")
    (problem,) = problems(FILE.format(canary(50, "deploymentId: file:next.yaml"), SAYS), tmp_path)

    assert problem.startswith("routes.yaml:5: apis.shop.stages.v1.canarySettings.deploymentId: ")
    assert "has no REST API shop, and not just one (REST APIs there: one and two)" in problem


async def test_a_canary_calls_backends_of_its_own(tmp_path: Path) -> None:
    calls = "{type: HTTP_PROXY, httpMethod: GET, uri: 'http://127.0.0.1:1024/'}"
    (tmp_path / "next.yaml").write_text(FILE.format("", calls))
    deployment = deployed(FILE.format(canary(50, "deploymentId: file:next.yaml"), SAYS), tmp_path)

    assert [integration.integration_type for integration, _ in deployment.uses] == ["MOCK", "HTTP_PROXY"]


async def test_a_canary_that_fails_is_told_of_by_itself(tmp_path: Path) -> None:
    (tmp_path / "next.yaml").write_text(FILE.format("", MOCK.format("#foreach($i in [1..2000])$i#end")))
    deployment = deployed(FILE.format(canary(50, "deploymentId: file:next.yaml"), SAYS), tmp_path)
    told: list[tuple[str, object]] = []

    draws = iter([0.1, 0.9, 0.1, 0.9])
    answers, counted = asked(
        deployment, lambda: next(draws), times=4, log=lambda event, **facts: told.append((event, facts["stage"]))
    )
    assert [answer.split()[0] for answer in answers] == ['{"message":"Internal', "false"] * 2
    assert counted.canary_requests == {500: 2}
    assert told == [("integration fails", "v1/Canary")]
