"""Node's own WebSocket, as an independent client: it checks subprotocols and close codes as browsers do."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.harness import backend, gateway
from tests.node import node

pytestmark = pytest.mark.anyio

DEFINITION = """
apis:
  chat:
    protocolType: WEBSOCKET
    routeSelectionExpression: $request.body.action
    stages: {{dev: {{}}}}
    routes:
      $connect: {{integration: {{integrationType: HTTP_PROXY, integrationUri: "http://127.0.0.1:{port}/connect"}}}}
      $default:
        integration: {{integrationType: HTTP_PROXY, integrationUri: "http://127.0.0.1:{port}/echo"}}
        routeResponse: true
"""

SCRIPT = """
const socket = new WebSocket(process.argv[1], ["v1", "v2"]);
socket.binaryType = "arraybuffer";
const messages = ["grüß 👋", "", "x".repeat(100000), new Uint8Array([0, 255])];
const heard = [];
socket.onopen = () => socket.send(messages[0]);
socket.onmessage = (event) => {
  heard.push(typeof event.data === "string" ? event.data : Array.from(new Uint8Array(event.data)));
  if (heard.length < messages.length) socket.send(messages[heard.length]);
  else socket.close(4000, "enough");
};
socket.onerror = () => process.exit(1);
socket.onclose = (event) => {
  console.log(JSON.stringify({
    heard, protocol: socket.protocol, extensions: socket.extensions,
    code: event.code, reason: event.reason, clean: event.wasClean,
  }));
  process.exit(0);
};
"""


async def test_nodes_websocket_exchanges_messages(tmp_path: Path) -> None:
    async with backend() as asked:
        asked.answers("/connect", (200, {"Sec-WebSocket-Protocol": "v2"}, b""))
        async with gateway(DEFINITION.format(port=asked.port), tmp_path) as running:
            out = await node(SCRIPT, running.ws())

    assert json.loads(out) == {
        "heard": ["grüß 👋", "", "x" * 100_000, [0, 255]],
        "protocol": "v2",
        "extensions": "",
        "code": 4000,
        "reason": "enough",
        "clean": True,
    }
