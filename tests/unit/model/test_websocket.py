"""Routes, stages and the API around them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import ValidationError

from wsgateway.model import Stage, parse

FaultsIn = Callable[..., list[str]]
ProblemsIn = Callable[..., list[str]]

ROUTE_KEY = "a route key is $connect, $disconnect, $default, or 1 to 128 characters not beginning with $"
X = "integrations: {x: {integrationType: HTTP_PROXY, integrationUri: http://a}}\n"


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param("routes: {say: }", id="a route without a target"),
        pytest.param("routes: {'chat/join': {}, 'ä b': {}, 7: {}, 'true': {}}", id="route keys of any characters"),
        pytest.param("routes: {$connect: {routeResponse: true}, $disconnect: {}, $default: {}}", id="AWS's own routes"),
        pytest.param(X + "routes: {say: {target: integrations/x}}", id="AWS's form of an integration"),
        pytest.param("routes: {$connect: {requestParameters: {route.request.header.Origin: false}}}", id="parameters"),
        pytest.param("stages: {dev: , blue-green_1: }", id="stages without settings"),
        pytest.param("stages: {dev: {stageVariables: {a: '127.0.0.1:8000', b: 'x/y?a=b&c=d#e,f~g'}}}", id="variables"),
        pytest.param("messageOrdering: SEQUENTIAL", id="one message at a time"),
        pytest.param(
            "stages: {dev: {routeSettings: {$connect: {loggingLevel: INFO}, $default: {loggingLevel: INFO}}}}",
            id="settings of events that come without a route",
        ),
        pytest.param(r"routeSelectionExpression: \$default", id="a static expression"),
        pytest.param("binaryMessageFormat: MESSAGEPACK", id="binary messages of MessagePack"),
        pytest.param("profile: aws\nbinaryMessageFormat: JSON", id="what goes without saying"),
        pytest.param("routes: {$disconnect: {delivery: AT_MOST_ONCE}}", id="$disconnect at best effort"),
        pytest.param("profile: aws\nroutes: {$disconnect: {delivery: AT_LEAST_ONCE}}", id="$disconnect as usual"),
    ],
)
def test_what_works(lines: str, faults_in: FaultsIn) -> None:
    assert faults_in(lines) == []


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        pytest.param("routes: {$join: {}}", f"routes.$join: $join is not allowed: {ROUTE_KEY}", id="another $ key"),
        pytest.param("routes: {'': {}}", f'routes.: "" is not allowed: {ROUTE_KEY}', id="an empty route key"),
        pytest.param(
            "routes: {" + "k" * 129 + ": {}}",
            f"routes.{'k' * 80}: {'k' * 79}… is not allowed: {ROUTE_KEY}",
            id="a long route key",
        ),
        pytest.param(
            "profile: aws\nbinaryMessageFormat: MESSAGEPACK",
            "binaryMessageFormat: the aws profile takes no binary messages, as on AWS; remove it or use profile: open",
            id="MessagePack on AWS",
        ),
        pytest.param(
            "binaryMessageFormat: CBOR",
            "binaryMessageFormat: CBOR is none of JSON, MESSAGEPACK",
            id="another format",
        ),
        *(
            pytest.param(
                f"routes: {{{key}: {{delivery: {delivery}}}}}",
                f"routes.{key}.delivery: only $disconnect can be delivered again; remove it here: all else is called "
                "once",
                id=f"{delivery} on {key}",
            )
            for key in ("$connect", "$default", "say")
            for delivery in ("AT_MOST_ONCE", "AT_LEAST_ONCE")
        ),
        pytest.param(
            "routes: {$disconnect: {delivery: EXACTLY_ONCE}}",
            "routes.$disconnect.delivery: EXACTLY_ONCE is none of AT_LEAST_ONCE, AT_MOST_ONCE",
            id="another delivery",
        ),
        pytest.param("routes: {}", "routes: needs at least 1 entry", id="no routes"),
        pytest.param("routes:", "routes: is empty; give it a value", id="nothing behind routes"),
        pytest.param("routes: []", "routes: expected a mapping, got a list", id="routes as a list"),
        pytest.param("stages: {}", "stages: needs at least 1 entry", id="no stages"),
        pytest.param(
            "routes: {say: {integration: x}}",
            "routes.say.integration: no integration is named x; define it under integrations",
            id="an unknown integration",
        ),
        pytest.param(
            X + "routes: {say: {target: integrations/y}}",
            "routes.say.target: no integration is named y; define it under integrations",
            id="an unknown target",
        ),
        pytest.param(
            "routes: {say: {target: x}}",
            "routes.say.target: x is not allowed: a target is written integrations/NAME",
            id="a bare target",
        ),
        pytest.param(
            X + "routes: {say: {target: integrations/x, integration: x}}",
            "routes.say.target: says what integration says; keep one of the two",
            id="both forms of an integration",
        ),
        pytest.param(
            "routes: {say: {routeResponse: true, routeResponses: {$default: {}}}}",
            "routes.say.routeResponses: says what routeResponse says; keep one of the two",
            id="both forms of a route response",
        ),
        pytest.param(
            "routes: {say: {routeResponses: {/200/: {}}}}",
            "routes.say.routeResponses./200/: /200/ is none of $default",
            id="another route response",
        ),
        pytest.param(
            "routes: {say: {routeResponses: {$default: {responseParameters: {}}}}}",
            "routes.say.routeResponses.$default.responseParameters: not supported yet",
            id="a reply's parameters",
        ),
        pytest.param(
            "models: {Joi: {schema: {}}}\nroutes: {say: {modelSelectionExpression: a, requestModels: {a: Join}}}",
            "routes.say.requestModels.a: no model is named Join; did you mean Joi?",
            id="a model that is not there",
        ),
        pytest.param(
            "routes: {say: {requestModels: {a: Empty}}}",
            "routes.say.requestModels: has no effect without modelSelectionExpression, as on AWS; "
            "add modelSelectionExpression: '\\$default'",
            id="models nobody selects",
        ),
        pytest.param(
            "routes: {say: {modelSelectionExpression: a}}",
            "routes.say.modelSelectionExpression: every message would be refused: requestModels names no model; "
            "write requestModels: {$default: NAME}",
            id="a selection among no models",
        ),
        pytest.param(
            "routes: {$disconnect: {modelSelectionExpression: a, requestModels: {a: Empty}}}",
            "routes.$disconnect.modelSelectionExpression: has no effect: $disconnect has no body, and nobody is "
            "left to be refused; remove it",
            id="a model of $disconnect",
        ),
        pytest.param(
            "models: {my-model: {schema: {}}}",
            "models.my-model: my-model is not allowed: a model's name is 1 to 128 letters and digits, as in Join or "
            "Join2",
            id="a model's name",
        ),
        pytest.param(
            "models: {M: {schema: '{\"type\": }'}}",
            'models.M.schema: is no JSON: expecting value (line 1, column 10)\n    {"type": }\n             ^',
            id="a schema that is no JSON",
        ),
        pytest.param(
            "models: {M: {schema: '[]'}}",
            "models.M.schema: is no JSON Schema: the text holds a list; a schema is a mapping, such as {type: object}",
            id="a schema that is a list",
        ),
        pytest.param(
            "stages: {dev: {routeSettings: {sya: {loggingLevel: INFO}}}}",
            "stages.dev.routeSettings.sya: there is no route sya; did you mean say?",
            id="settings of no route",
        ),
        pytest.param(
            "stages: {dev: {defaultRouteSettings: {throttlingRateLimit: 1}}}",
            "stages.dev.defaultRouteSettings.throttlingRateLimit: limits nothing without throttlingBurstLimit; "
            "write both, or remove it",
            id="a rate without a burst",
        ),
        pytest.param(
            "stages: {dev: {routeSettings: {say: {throttlingBurstLimit: 1}}}}",
            "stages.dev.routeSettings.say.throttlingBurstLimit: limits nothing without throttlingRateLimit; "
            "write both, or remove it",
            id="a burst without a rate",
        ),
        pytest.param(
            "stages: {dev: {defaultRouteSettings: {throttlingRateLimit: -1, throttlingBurstLimit: 1}}}",
            "stages.dev.defaultRouteSettings.throttlingRateLimit: -1 is too small; it must be at least 0",
            id="a rate below 0",
        ),
        pytest.param(
            "stages: {dev: {throttle: {burstLimit: 1}}}",
            "stages.dev.throttle.burstLimit: limits nothing without rateLimit; write both, or remove it",
            id="half a stage's limit",
        ),
        pytest.param(
            "stages: {dev: {throttle: {perConnection: {rateLimit: 1}}}}",
            "stages.dev.throttle.perConnection.burstLimit: is required: events at once",
            id="half a connection's limit",
        ),
        pytest.param(
            "stages: {dev: {throttle: {perUser: {rateLimit: 1, burstLimit: 1}}}}",
            "stages.dev.throttle.perUser: nothing would be known of any user; name an authorizer on $connect, "
            "or remove it",
            id="a limit of users whom nobody knows",
        ),
        pytest.param(
            "stages: {dev: {throttle: {onLimit: IGNORE}}}",
            "stages.dev.throttle.onLimit: IGNORE is none of ERROR, DROP, CLOSE",
            id="another action",
        ),
        pytest.param(
            "routes: {$disconnect: {}}\n"
            "stages: {dev: {routeSettings: {$disconnect: {throttlingRateLimit: 1, throttlingBurstLimit: 1}}}}",
            "stages.dev.routeSettings.$disconnect: a connection may end whatever the limit; remove throttlingRateLimit "
            "and throttlingBurstLimit",
            id="a limit of $disconnect",
        ),
        pytest.param(
            "stages: {dev: {defaultRouteSettings: {loggingLevel: DEBUG}}}",
            "stages.dev.defaultRouteSettings.loggingLevel: DEBUG is none of OFF, ERROR, INFO",
            id="another logging level",
        ),
        pytest.param(
            "routes: {say: {integration: 7}}",
            "routes.say.integration: expected the name of an integration, or an integration, got 7",
            id="a number for an integration",
        ),
        pytest.param(
            "routes: {$connect: {authorizationType: IAM}}",
            "routes.$connect.authorizationType: IAM is none of NONE, AWS_IAM, CUSTOM, JWT",
            id="authorization nobody knows",
        ),
        pytest.param(
            "routes: {$connect: {apiKeyRequired: true}}",
            "routes.$connect.apiKeyRequired: "
            "no usage plan lists a stage of this API, so every client would be refused; add it under usagePlans",
            id="API keys without a plan",
        ),
        pytest.param(
            "routes: {$connect: {requestParameters: {querystring.user: true}}}",
            "routes.$connect.requestParameters.querystring.user: querystring.user is not allowed: "
            "a parameter is written route.request.querystring.NAME or route.request.header.NAME",
            id="a short parameter",
        ),
        pytest.param(
            "routes: {$connect: {requestParameters: {route.request.header.a: {require: true}}}}",
            "routes.$connect.requestParameters.route.request.header.a.required: "
            "is required: whether a request without it is refused",
            id="a parameter without required",
        ),
        pytest.param(
            "routes: {say: {requestParameters: {route.request.header.a: true}}}",
            "routes.say.requestParameters: only $connect has a query string and headers; declare parameters there",
            id="parameters of a message",
        ),
        pytest.param(
            "stages: {dev: {autoDeploy: true}}", "stages.dev.autoDeploy: not supported yet", id="a stage's key to come"
        ),
        pytest.param(
            "stages: {dev: {stageVariables: {a-b: x}}}",
            "stages.dev.stageVariables.a-b: a-b is not allowed: "
            "a stage variable's name is 1 to 64 letters, digits and _",
            id="a dash in a variable's name",
        ),
        pytest.param(
            "stages: {dev: {stageVariables: {a: 'x@y'}}}",
            "stages.dev.stageVariables.a: x@y is not allowed: "
            "a stage variable is 1 to 2048 letters, digits and -._~:/?#&=,",
            id="a variable AWS would refuse",
        ),
        pytest.param(
            "stages: {dev: {stageVariables: {" + ", ".join(f"v{n}: x" for n in range(101)) + "}}}",
            "stages.dev.stageVariables: has more than 100 entries",
            id="too many variables",
        ),
        pytest.param(
            "protocolType: HTTP", "protocolType: HTTP is not supported yet; WEBSOCKET works", id="an HTTP API"
        ),
        pytest.param("tags: {a: b}", "tags: not supported yet", id="an API's key to come"),
        pytest.param(
            "messageOrdering: FIFO", "messageOrdering: FIFO is none of CONCURRENT, SEQUENTIAL", id="another ordering"
        ),
        pytest.param(
            "routeSelectionExpression: ''",
            'routeSelectionExpression: "" is too short; at least 1 characters',
            id="an empty expression",
        ),
    ],
)
def test_what_is_refused(lines: str, said: str, faults_in: FaultsIn) -> None:
    assert said in faults_in(lines)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("apis: {}", "routes.yaml:1: apis: needs at least 1 entry", id="no APIs"),
        pytest.param("apis: 3", "routes.yaml:1: apis: expected a mapping, got 3", id="a number for APIs"),
        pytest.param(
            "apis:\n  Chat: {}",
            "routes.yaml:2: apis.Chat: Chat is not allowed: "
            "an API id is 1 to 63 lower-case letters, digits and -, not beginning with -",
            id="capitals in an apiId",
        ),
        pytest.param(
            "apis: {a: }", "routes.yaml:1: apis.a: expected a mapping, got nothing", id="nothing behind an API"
        ),
        pytest.param(
            "defaultApi: x\napis: {a: {}, b: {}}",
            "routes.yaml:1: defaultApi: no API is named x; there are a, b",
            id="an unknown default",
        ),
        pytest.param("egress: {}", "routes.yaml:1: egress: not supported yet", id="a key to come"),
    ],
)
def test_what_a_file_may_not_hold(text: str, said: str, problems_in: ProblemsIn) -> None:
    assert said in problems_in(text)


API = "{protocolType: WEBSOCKET, routeSelectionExpression: x, stages: {dev: }, routes: {say: }}"


@pytest.mark.parametrize(
    ("text", "api_id"),
    [
        pytest.param(f"defaultApi: b\napis: {{a: {API}, b: {API}}}", "b", id="the default"),
        pytest.param(f"apis: {{a: {API}}}", "a", id="the only one"),
        pytest.param(f"apis: {{a: {API}, b: {API}}}", None, id="neither"),
    ],
)
def test_the_api_served_where_a_request_names_none(text: str, api_id: str | None) -> None:
    definitions = parse(text, "routes.yaml", {}, Path()).definitions

    assert definitions.default("WEBSOCKET") == api_id
    assert definitions.default("REST") is None


def test_definitions_do_not_change() -> None:
    stage = Stage.model_validate({"description": "x"})

    with pytest.raises(ValidationError):
        setattr(stage, "description", "y")  # noqa: B010, a plain assignment is refused by mypy as well


def test_only_wire_names_are_read() -> None:
    with pytest.raises(ValidationError, match="stage_variables"):
        Stage.model_validate({"stage_variables": {}})


def test_what_a_routes_settings_leave_out_is_as_in_the_default() -> None:
    stage = Stage.model_validate(
        {
            "defaultRouteSettings": {"loggingLevel": "INFO", "dataTraceEnabled": True},
            "routeSettings": {"a": {"loggingLevel": "ERROR"}, "b": {"dataTraceEnabled": False}},
        }
    )

    told = {key: (stage.settings_of(key).logging_level, stage.settings_of(key).data_trace_enabled) for key in "abc"}
    assert told == {"a": ("ERROR", True), "b": ("INFO", False), "c": ("INFO", True)}
