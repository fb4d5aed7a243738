"""Mapping: a route with a model, a request template and a response template, beside one that passes messages on."""

from functools import partial

from loadtest.bench import Bench, Options
from loadtest.lab import Lab, Server
from loadtest.measure import Sample, drive, flags
from loadtest.results import Row
from loadtest.scenarios.versus import versus

DEFINITION = """\
apis:
  bench:
    protocolType: WEBSOCKET
    routeSelectionExpression: $request.body.action
    stages: {dev: {stageVariables: {backend: "@backend@"}}}
    models:
      Said:
        contentType: application/json
        schema:
          type: object
          required: [action, t, d]
          properties: {action: {type: string}, t: {type: string, maxLength: 16}, d: {type: string, maxLength: 4096}}
    integrations:
      passed:
        integrationType: HTTP_PROXY
        integrationMethod: POST
        integrationUri: "http://${stageVariables.backend}/integ"
        requestParameters: {integration.request.header.X-Connection-Id: context.connectionId}
      mapped:
        integrationType: HTTP
        integrationMethod: POST
        integrationUri: "http://${stageVariables.backend}/integ"
        requestParameters: {integration.request.header.X-Connection-Id: context.connectionId}
        requestTemplates:
          $default: |
            #set($said = $input.path('$'))
            {
              "t": "$said.t",
              "text": "$util.escapeJavaScript($said.d)",
              "from": "$context.connectionId"
            }
        integrationResponses:
          $default:
            responseTemplates:
              $default: |
                #set($answer = $input.path('$'))
                {"action":"mapped","t":"$answer.t","d":"$answer.text"}
    routes:
      send: {integration: passed, routeResponse: true}
      mapped:
        integration: mapped
        routeResponse: true
        requestModels: {$default: Said}
        modelSelectionExpression: '\\$default'
"""
PASSED, MAPPED = "HTTP_PROXY", "HTTP with model and templates"
THRESHOLD = 0.6


class Mapping:
    """Two routes of one gateway, to the same backend, with the same messages."""

    name = "mapping"
    about = "message → model → template → HTTP → template → reply against HTTP_PROXY"

    def steps(self, options: Options) -> int:
        """Two a pair."""
        return 2 * options.pairs

    def run(self, bench: Bench) -> list[Row]:
        """Measure all pairs."""
        with bench.lab() as lab:
            gateway = lab.gateway(DEFINITION.replace("@backend@", f"127.0.0.1:{lab.backend().port}"))
            ways = {
                PASSED: partial(_load, bench, lab, gateway, "send"),
                MAPPED: partial(_load, bench, lab, gateway, "mapped"),
            }
            return versus(bench, self.name, ways, unit="messages", threshold=THRESHOLD)


def _load(bench: Bench, lab: Lab, gateway: Server, action: str) -> Sample:
    options = bench.options
    common = {
        "--connections": options.connections or 64,
        "--depth": options.depth,
        "--size": options.size,
        "--seconds": options.seconds,
        "--warmup": options.warmup,
        "--action": action,
        "--expect": f'"action":"{action}"',
    }
    return drive(lab, gateway, "load", flags(common), 120 + options.warmup + options.seconds)


MAPPING = Mapping()
