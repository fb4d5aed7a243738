"""Canaries of REST stages (API Gateway developer guide, "Set up an API Gateway canary release deployment")."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import pytest

from tests.harness import PATIENCE, Backend, Gateway, backend, gateway, http

pytestmark = pytest.mark.anyio

DEFINITION = """
apis:
  shop:
    protocolType: REST
    stages:
      all:
        variables: {backend: "127.0.0.1:@port@/old", tone: warm}
        cacheClusterEnabled: true
        methodSettings: {a/GET: {cachingEnabled: true}}
        canarySettings: {percentTraffic: 100, deploymentId: file:next.yaml, stageVariableOverrides: {tone: cold}}
      none:
        variables: {backend: "127.0.0.1:@port@/old", tone: warm}
        canarySettings: {percentTraffic: 0, stageVariableOverrides: {tone: cold}}
      plain: {variables: {backend: "127.0.0.1:@port@/old", tone: warm}}
    paths:
      /a: {GET: {integration: {type: HTTP_PROXY, httpMethod: GET, uri: "http://${stageVariables.backend}/a"}}}
      /tell: {GET: {integration: {type: AWS_PROXY, httpMethod: POST, uri: "function:tell"}}}
functions:
  tell: {runtime: python@version@, codeUri: ., handler: app.handler}
"""
NEXT = """
apis:
  newer:
    protocolType: REST
    stages: {ignored: {}}
    paths:
      /a: {GET: {integration: {type: HTTP_PROXY, httpMethod: GET, uri: "http://127.0.0.1:@port@/new/a"}}}
      /b: {GET: {integration: {type: MOCK, requestTemplates: {application/json: '{"statusCode": 200}'},
                               integrationResponses: {"200": {responseTemplates: {application/json: @text@}}}}}}
      /tell: {GET: {integration: {type: AWS_PROXY, httpMethod: POST, uri: "function:tell"}}}
"""
TELL = """
import json
def handler(event, context):
    told = event["requestContext"]
    return {"body": json.dumps([event["stageVariables"]["tone"], told.get("isCanaryRequest"), told["deploymentId"]])}
"""


def write_next(folder: Path, port: int, text: str) -> None:
    (folder / "next.yaml").write_text(NEXT.replace("@port@", str(port)).replace("@text@", text))


async def reload(running: Gateway, event: str) -> str:
    """Have the definition read anew; the first log line of this event from here on."""
    before = len(running.log)
    running.reload()
    async with asyncio.timeout(PATIENCE):
        while not (found := [line for line in running.log[before:] if event in line]):
            await running.more_log()
    return found[0]


async def body(running: Gateway, path: str) -> str:
    answer = await http(running.port, "GET", path)
    assert answer.status == 200, answer
    return answer.body.decode()


async def test_a_share_of_the_requests_is_answered_by_another_deployment(tmp_path: Path) -> None:
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    (tmp_path / "app.py").write_text(TELL)
    async with backend() as behind:
        write_next(tmp_path, behind.port, "'one'")
        definition = DEFINITION.replace("@port@", str(behind.port)).replace("@version@", version)
        async with gateway(definition, tmp_path) as running:
            await _versions(running)
            await _cached(running, behind)
            await _reloaded(running, behind, tmp_path)


async def _versions(running: Gateway) -> None:
    kept = json.loads((await http(running.internal_port, "GET", "/deployments")).body)
    tone, canary, deployment = json.loads(await body(running, "/all/tell"))
    assert (tone, canary) == ("cold", True)
    assert json.loads(await body(running, "/none/tell")) == ["warm", False, kept["inForce"][:12]]
    assert json.loads(await body(running, "/plain/tell")) == ["warm", None, kept["inForce"][:12]]
    assert deployment != kept["inForce"][:12]
    assert len(deployment) == 12
    assert await body(running, "/all/b") == "one"
    assert (await http(running.port, "GET", "/none/b")).status == 403
    metrics = await running.metrics()
    assert metrics['wsgateway_rest_requests_total{api="shop",stage="all",status="200"}'] == 2
    assert metrics['wsgateway_rest_canary_requests_total{api="shop",stage="all",status="200"}'] == 2
    assert not [name for name in metrics if "canary" in name and 'stage="none"' in name]


async def _cached(running: Gateway, behind: Backend) -> None:
    for _ in range(2):
        await body(running, "/all/a")
    assert (behind.count("/new/a"), behind.count("/old/a")) == (1, 0)
    await body(running, "/none/a")
    assert behind.count("/old/a") == 1
    # The stage's cache is flushed with its canary's.
    flushed = await http(running.internal_port, "DELETE", "/restapis/shop/stages/all/cache/data")
    assert flushed.status == 202
    await body(running, "/all/a")
    assert behind.count("/new/a") == 2


async def _reloaded(running: Gateway, behind: Backend, folder: Path) -> None:
    write_next(folder, behind.port, "'two'")
    await reload(running, "definition deployed")
    assert await body(running, "/all/b") == "two"
    write_next(folder, behind.port, "'#if(1)'")
    refused = await reload(running, "definition refused")
    assert f"{folder}/next.yaml:9: apis.newer.paths./b.GET.integration.integrationResponses.200" in refused
    assert await body(running, "/all/b") == "two"
