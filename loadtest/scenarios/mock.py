"""MOCK reply: a message selects a route whose integration answers without a backend."""

from loadtest.scenarios.paired import Contender, Paired

DEFINITION = """\
apis:
  bench:
    protocolType: WEBSOCKET
    routeSelectionExpression: $request.body.action
    stages: {dev: {}}
    integrations:
      pong:
        integrationType: MOCK
        requestTemplates: {$default: '{"statusCode":200}'}
        integrationResponses: {$default: {responseTemplates: {$default: '{"pong":true}'}}}
    routes:
      ping: {integration: pong, routeResponse: true}
"""

MOCK = Paired(
    name="mock",
    about="MOCK reply against the websockets asyncio echo",
    mode="load",
    unit="messages",
    definition=DEFINITION,
    gateway=Contender(label="gateway", arguments=("--action", "ping", "--expect", '{"pong":true}')),
    peer=Contender(label="websockets asyncio echo", arguments=("--action", "ping", "--expect", '"action":"ping"')),
    peer_module="echo",
    ceiling="echo",
    backend=False,
    peer_needs_backend=False,
    threshold=2.0,
    connections=64,
)
