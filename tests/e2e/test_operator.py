"""What an operator sees of a failing backend: a line in the log, a label in the metrics."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from websockets.asyncio.client import connect

from tests.harness import backend, gateway

pytestmark = pytest.mark.anyio

DEFINITION = """
apis:
  chat:
    protocolType: WEBSOCKET
    routeSelectionExpression: $request.body.action
    stages: {{dev: {{}}}}
    routes:
      $default: {{integration: {{integrationType: HTTP_PROXY, integrationUri: "http://127.0.0.1:{port}/x"}}, routeResponse: true}}
"""  # noqa: E501 - one line of YAML


async def test_a_dead_backend_is_one_line_that_names_it_and_so_is_its_return(tmp_path: Path) -> None:
    async with backend() as behind:
        port = behind.port
        behind.stop()
        async with gateway(DEFINITION.format(port=port), tmp_path) as running, connect(running.ws()) as client:
            for _ in range(3):
                await client.send("x")
                assert "Internal server error" in str(await client.recv())

            line = json.loads(await running.logged("integration fails"))
            assert (line["api"], line["stage"], line["route"]) == ("chat", "dev", "$default")
            assert f"127.0.0.1:{port}" in line["error"]
            metrics = await running.metrics()
            labels = '{api="chat",route="$default",type="INTEGRATION_FAILURE"}'
            assert metrics[f"wsgateway_message_errors_total{labels}"] == 3

            await behind.start(port)
            reply = ""
            while reply != "x":  # a moment ago it was down, and it isn't tried for each message
                await client.send("x")
                reply = str(await client.recv())
            await running.logged("integration answers again")

        assert len([line for line in running.log if "integration fails" in line]) == 1
