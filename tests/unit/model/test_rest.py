"""What a REST API's definition may say, and how it is refused (API Gateway API reference, v1)."""

from __future__ import annotations

from pathlib import Path

import pytest

from wsgateway.errors import DefinitionError
from wsgateway.model.loader import parse

BEGINNING = """\
apis:
  shop:
    protocolType: REST
    stages: {v1: {}}
"""
MOCK = "{integration: {type: MOCK}}"


def faults(lines: str) -> list[str]:
    """What is said of an API with these lines, without file and API; `stages` stand in place of the usual ones."""
    beginning = BEGINNING if "stages:" not in lines else BEGINNING.partition("    stages")[0]
    text = beginning + "".join(f"    {line}\n" for line in lines.splitlines())
    try:
        parse(text, "routes.yaml", {}, Path())
    except DefinitionError as error:
        return [str(problem).partition("apis.shop.")[2] for problem in error.problems]
    return []


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param(f"paths: {{/: {{GET: {MOCK}}}}}", id="the root"),
        pytest.param(f"paths: {{'/a/{{b}}/c:d,e/{{proxy+}}': {{ANY: {MOCK}}}}}", id="variables"),
        pytest.param(f"paths: {{'/a/{{b}}': {{GET: {MOCK}}}, '/{{b+}}': {{GET: {MOCK}}}}}", id="at two depths"),
        pytest.param(
            f"integrations: {{m: {{type: MOCK}}}}\npaths: {{/: {{GET: {{integration: m}}, POST: {MOCK}}}}}",
            id="a named integration",
        ),
        pytest.param(
            f"stages: {{v1: {{methodSettings: {{'*/*': {{throttlingRateLimit: 1, throttlingBurstLimit: 1}},"
            f" 'a/{{b}}/ANY': {{throttlingBurstLimit: 0}}, /GET: {{loggingLevel: INFO}}}}}}}}\n"
            f"paths: {{'/a/{{b}}': {{ANY: {MOCK}}}, /: {{GET: {MOCK}}}}}",
            id="settings of methods",
        ),
    ],
)
def test_what_is_legal(lines: str) -> None:
    assert faults(lines) == []


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("paths: {}", "paths: needs at least 1 entry"),
        (
            f"profile: aws\nmaxBodyBytes: 10485761\npaths: {{/a: {{GET: {MOCK}}}}}",
            "maxBodyBytes: is at most 10485760 in the aws profile",
        ),
        (
            "paths: {/a: {GET: {integration: {type: MOCK, responseTransferMode: STREAM}}}}",
            "paths./a.GET.integration.responseTransferMode: STREAM is for HTTP_PROXY and AWS_PROXY, not for MOCK",
        ),
        (
            (
                "paths: {/a: {GET: {integration: {type: HTTP_PROXY, httpMethod: GET, uri: 'http://a/',"
                " responseTransferMode: STREAM, retry: {}}}}}"
            ),
            "paths./a.GET.integration.retry: has no effect with responseTransferMode STREAM",
        ),
        (
            f"cors: {{allowOrigins: ['*'], allowCredentials: true}}\npaths: {{/a: {{GET: {MOCK}}}}}",
            "cors.allowCredentials: lets in no page while allowOrigins is *",
        ),
        (
            f"cors: {{allowOrigins: ['https://a.example/']}}\npaths: {{/a: {{GET: {MOCK}}}}}",
            "cors.allowOrigins.0: https://a.example/ is not allowed: an origin is * or a scheme and a host",
        ),
        (f"minimumCompressionSize: 10485761\npaths: {{/a: {{GET: {MOCK}}}}}", "minimumCompressionSize: "),
        ("paths: {/a: {}}", "paths./a: needs at least 1 entry"),
        (
            f"paths: {{'/{{p+}}/c': {{GET: {MOCK}}}}}",
            "paths./{p+}/c: /{p+}/c is not allowed: a path is / or segments of letters, digits and ._-:, such as",
        ),
        (f"paths: {{/a/: {{GET: {MOCK}}}}}", "paths./a/: /a/ is not allowed: a path is / or segments of letters"),
        (f"paths: {{/a b: {{GET: {MOCK}}}}}", 'paths./a b: "/a b" is not allowed: a path is / or segments of letters'),
        (
            f"paths: {{/a: {{FETCH: {MOCK}}}}}",
            "paths./a.FETCH: FETCH is none of ANY, DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT",
        ),
        (
            f"paths: {{'/a/{{b}}': {{GET: {MOCK}}}, '/a/{{c}}/d': {{GET: {MOCK}}}}}",
            "paths./a/{c}/d: below /a there is {b} already: one resource has one variable below it",
        ),
        (
            f"paths: {{'/a/{{b}}': {{GET: {MOCK}}}, '/a/{{c+}}': {{GET: {MOCK}}}}}",
            "paths./a/{c+}: below /a there is {b} already",
        ),
        (
            "paths: {/a: {GET: {integration: nowhere}}}",
            "paths./a.GET.integration: nothing under integrations is named nowhere; define it under integrations",
        ),
        (
            "paths: {/a: {GET: {integration: {type: MOCK}, requestValidator: v}}}",
            "paths./a.GET.requestValidator: nothing under requestValidators is named v",
        ),
        (
            "paths: {/a: {GET: {integration: {type: MOCK}, requestModels: {application/json: Nope}}}}",
            "paths./a.GET.requestModels.application/json: no model is named Nope; define it under models",
        ),
        (
            "paths: {/a: {GET: {integration: {type: MOCK}, requestParameters: {method.request.path.id: true}}}}",
            "paths./a.GET.requestParameters.method.request.path.id: the path has no {id}",
        ),
        (
            "paths: {/a: {GET: {integration: {type: HTTP, uri: 'http://x/'}}}}",
            "paths./a.GET.integration.httpMethod: is required: the method the backend is called by",
        ),
        (
            "paths: {/a: {GET: {integration: {type: HTTP, httpMethod: GET}}}}",
            "paths./a.GET.integration.uri: is required: the URL of the backend HTTP calls",
        ),
        (
            "paths: {/a: {GET: {integration: {type: MOCK, httpMethod: GET}}}}",
            "paths./a.GET.integration.httpMethod: has no effect: MOCK calls no backend; remove it",
        ),
        (
            "paths: {/a: {GET: {integration: {type: MOCK, uri: 'http://x/'}}}}",
            "paths./a.GET.integration.uri: has no effect: MOCK calls no backend; remove it",
        ),
        (
            "paths: {/a: {GET: {integration: {type: MOCK}, authorizationType: CUSTOM}}}",
            "paths./a.GET.authorizationType: CUSTOM needs an authorizer; add authorizer: NAME",
        ),
        (
            f"gatewayResponses: {{DEFAULT_6XX: {{}}}}\npaths: {{/a: {{GET: {MOCK}}}}}",
            "gatewayResponses.DEFAULT_6XX: DEFAULT_6XX is none of ACCESS_DENIED",
        ),
        *[
            (f"stages: {{v1: {{methodSettings: {written}}}}}\npaths: {{/a: {{ANY: {MOCK}}}, /: {{GET: {MOCK}}}}}", said)
            for written, said in (
                (
                    "{'*/*': {throttlingRateLimit: 1}}",
                    "stages.v1.methodSettings.*/*.throttlingRateLimit: limits nothing without throttlingBurstLimit",
                ),
                ("{a/ANY: {throttlingBurstLimit: 1}}", "stages.v1.methodSettings.a/ANY.throttlingBurstLimit: limits"),
                ("{'*/*': {cachingEnabled: true}}", "stages.v1.methodSettings.*/*.cachingEnabled: not supported yet"),
            )
        ],
        (
            f"stages: {{v1: {{throttle: {{perConnection: {{}}}}}}}}\npaths: {{/a: {{GET: {MOCK}}}}}",
            "stages.v1.throttle.perConnection: ",
        ),
        (f"tags: {{}}\npaths: {{/a: {{GET: {MOCK}}}}}", "tags: not supported yet"),
    ],
)
def test_what_is_refused(lines: str, said: str) -> None:
    assert any(fault.startswith(said) for fault in faults(lines)), faults(lines)


def test_settings_of_a_method_are_those_of_all_but_for_its_own() -> None:
    text = f"""
apis:
  shop:
    protocolType: REST
    stages:
      v1: {{methodSettings: {{"*/*": {{loggingLevel: INFO, dataTraceEnabled: true}}, a/GET: {{loggingLevel: ERROR}}}}}}
      v2: {{methodSettings: {{/GET: {{loggingLevel: INFO}}}}}}
    paths: {{/: {{GET: {MOCK}}}, /a: {{GET: {MOCK}}}}}
"""
    stages = parse(text, "routes.yaml", {}, Path()).definitions.rest_apis["shop"].stages
    told = [
        (settings.logging_level, settings.data_trace_enabled)
        for stage in stages.values()
        for settings in (stage.settings_of("/", "GET"), stage.settings_of("/a", "GET"))
    ]
    assert told == [("INFO", True), ("ERROR", True), ("INFO", False), ("OFF", False)]
