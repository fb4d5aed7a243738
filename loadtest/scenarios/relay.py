"""Relay: a message is carried to an HTTP backend, whose answer is the reply."""

from loadtest.scenarios.paired import Contender, Paired

DEFINITION = """\
apis:
  bench:
    protocolType: WEBSOCKET
    routeSelectionExpression: $request.body.action
    stages: {dev: {stageVariables: {backend: "@backend@"}}}
    integrations:
      backend:
        integrationType: HTTP_PROXY
        integrationMethod: POST
        integrationUri: "http://${stageVariables.backend}/integ"
        requestParameters: {integration.request.header.X-Connection-Id: context.connectionId}
    routes:
      send: {integration: backend, routeResponse: true}
      $default: {integration: backend, routeResponse: true}
"""

ARGUMENTS = ("--action", "send", "--expect", '"action":"send"')

RELAY = Paired(
    name="relay",
    about="message → HTTP_PROXY → reply against bare picows + httptools",
    mode="load",
    unit="messages",
    definition=DEFINITION,
    gateway=Contender(label="gateway", arguments=ARGUMENTS),
    peer=Contender(label="bare picows + httptools", arguments=ARGUMENTS),
    peer_module="relay",
    ceiling="relay",
    backend=True,
    peer_needs_backend=True,
    threshold=0.65,
    connections=64,
)
