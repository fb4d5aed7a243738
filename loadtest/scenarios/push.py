"""Push: a backend posts to callback URLs; each client has learnt its connection id by the route `whoami`."""

from loadtest.scenarios.paired import Contender, Paired

DEFINITION = """\
apis:
  bench:
    protocolType: WEBSOCKET
    routeSelectionExpression: $request.body.action
    stages: {dev: {stageVariables: {backend: "@backend@"}}}
    integrations:
      whoami:
        integrationType: HTTP_PROXY
        integrationMethod: POST
        integrationUri: "http://${stageVariables.backend}/whoami"
        requestParameters: {integration.request.header.X-Connection-Id: context.connectionId}
    routes:
      whoami: {integration: whoami, routeResponse: true}
"""

PUSH = Paired(
    name="push",
    about="POST to @connections against a bare httptools + picows push server",
    mode="push",
    unit="pushes",
    definition=DEFINITION,
    gateway=Contender(label="gateway"),
    peer=Contender(label="bare httptools push server"),
    peer_module="push",
    ceiling="id",
    backend=True,
    peer_needs_backend=False,
    threshold=0.6,
    connections=64,
)
