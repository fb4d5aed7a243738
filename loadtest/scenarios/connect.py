"""Connect rate: handshakes through a MOCK $connect. The sockets of a round are dropped outside the measured time."""

from loadtest.scenarios.paired import Contender, Paired

DEFINITION = """\
apis:
  bench:
    protocolType: WEBSOCKET
    routeSelectionExpression: $request.body.action
    stages: {dev: {}}
    integrations:
      accept:
        integrationType: MOCK
        requestTemplates: {$default: '{"statusCode":200}'}
    routes:
      $connect: {integration: accept}
"""

CONNECT = Paired(
    name="connect",
    about="handshakes with a MOCK $connect against bare ServerProtocol's",
    mode="connect",
    unit="handshakes",
    definition=DEFINITION,
    gateway=Contender(label="gateway"),
    peer=Contender(label="bare ServerProtocol"),
    peer_module="handshake",
    ceiling="echo",
    backend=False,
    peer_needs_backend=False,
    threshold=0.8,
    connections=1000,
)
