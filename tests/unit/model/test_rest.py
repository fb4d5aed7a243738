"""What a REST API's definition may say, and how it is refused (API Gateway API reference, v1)."""

from __future__ import annotations

from pathlib import Path

import pytest

from wsgateway.errors import DefinitionError
from wsgateway.model.loader import parse
from wsgateway.model.remarks import remarks
from wsgateway.model.rest_stage import RestStage

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
        pytest.param("paths: {" + ", ".join(f"/{n}: {{GET: {MOCK}}}" for n in range(400)) + "}", id="many"),
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
            f"paths: {{'/{{a}}/b/{{a+}}': {{GET: {MOCK}}}}}",
            "paths./{a}/b/{a+}: {a} stands there twice",
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
                ("{'*/*': {cachingEnabled: true}}", "stages.v1.methodSettings.*/*.cachingEnabled: has no effect"),
            )
        ],
        (
            f"stages: {{v1: {{throttle: {{perConnection: {{}}}}}}}}\npaths: {{/a: {{GET: {MOCK}}}}}",
            "stages.v1.throttle.perConnection: ",
        ),
        *[
            (f"stages: {{v1: {settings}}}\npaths: {{/a: {{GET: {MOCK}}}}}", f"stages.v1.{said}")
            for settings, said in (
                (
                    "{accessLogSettings: {destinationArn: a, format: $context.requestId}}",
                    "accessLogSettings.destinationArn: has no effect here: rows go to stdout, or to the file of",
                ),
                ("{tracingEnabled: true}", "tracingEnabled: has no effect here: traces are of all stages, by Open"),
            )
        ],
        *[
            (f"paths: {{/a: {{GET: {{integration: {{{word}: a}}}}}}}}", f"paths./a.GET.integration.{word}: {said}")
            for word, said in (
                ("integrationHttpMethod", "unknown key; did you mean httpMethod?"),
                ("integrationUri", "unknown key; did you mean uri?"),
                ("integrationType", "unknown key; did you mean type?"),
                ("integrationResponse", "unknown key; did you mean integrationResponses?"),
            )
        ],
        (f"tags: {{a: 1}}\npaths: {{/a: {{GET: {MOCK}}}}}", "tags.a: expected a string"),
        (
            f"stages: {{v1: {{stageVariables: {{}}}}}}\npaths: {{/a: {{GET: {MOCK}}}}}",
            "stages.v1.stageVariables: unknown key; did you mean variables?",
        ),
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


PROXY = "{type: HTTP_PROXY, httpMethod: GET, uri: 'http://a/', responseTransferMode: STREAM}"


def cached(stage: str, integration: str = "{type: MOCK}", method: str = "") -> list[str]:
    """What is said of an API with one method whose stage says this of its cache."""
    text = f"apis:\n  shop:\n    protocolType: REST\n    stages: {{v1: {stage}}}\n"
    text += f"    paths: {{/a: {{GET: {{{method} integration: {integration}}}}}}}\n"
    try:
        parse(text, "routes.yaml", {}, Path())
    except DefinitionError as error:
        return [str(problem).partition("apis.shop.")[2] for problem in error.problems]
    return []


@pytest.mark.parametrize(
    ("stage", "integration", "method"),
    [
        pytest.param("{cacheClusterEnabled: false, methodSettings: {'*/*': {cachingEnabled: true}}}", "", "", id="off"),
        pytest.param("{cacheClusterEnabled: true, cacheClusterSize: '237'}", "", "", id="the largest"),
        pytest.param(
            "{cacheClusterEnabled: true, methodSettings: {'*/*': {cachingEnabled: true}}}",
            PROXY,
            "",
            id="a stream among others",
        ),
        pytest.param(
            "{}",
            "{type: MOCK, cacheNamespace: n, cacheKeyParameters: [method.request.header.X]}",
            "requestParameters: {method.request.header.X: false},",
            id="a key without a cache",
        ),
    ],
)
def test_what_is_legal_of_caches(stage: str, integration: str, method: str) -> None:
    assert cached(stage, integration or "{type: MOCK}", method) == []


@pytest.mark.parametrize(
    ("stage", "integration", "said"),
    [
        ("{cacheClusterSize: '0.5'}", "", "stages.v1.cacheClusterSize: has no effect without cacheClusterEnabled"),
        (
            "{methodSettings: {a/GET: {cachingEnabled: true}}}",
            "",
            "stages.v1.methodSettings.a/GET.cachingEnabled: has no effect: the stage has no cache; add",
        ),
        ("{cacheClusterEnabled: true, cacheClusterSize: '1'}", "", "stages.v1.cacheClusterSize: 1 is none of 0.5, 1.6"),
        (
            "{cacheClusterEnabled: true, cacheClusterSize: 0.5}",
            "",
            "stages.v1.cacheClusterSize: expected a string, got 0.5; write it in quotes",
        ),
        (
            "{cacheClusterEnabled: true, methodSettings: {a/GET: {cacheTtlInSeconds: 3601}}}",
            "",
            "stages.v1.methodSettings.a/GET.cacheTtlInSeconds: 3601 is too large; it must be at most 3600",
        ),
        (
            "{cacheClusterEnabled: true, methodSettings: {a/GET: {cachingEnabled: true}}}",
            PROXY,
            "stages.v1.methodSettings.a/GET.cachingEnabled: answers of an integration with responseTransferMode STREAM",
        ),
        (
            "{}",
            "{type: MOCK, cacheKeyParameters: [method.request.querystring.q]}",
            "paths./a.GET.integration.cacheKeyParameters.0: method.request.querystring.q is none of the requestParam",
        ),
        (
            "{}",
            "{type: MOCK, cacheKeyParameters: [integration.request.header.X]}",
            "paths./a.GET.integration.cacheKeyParameters.0: integration.request.header.X is none of the requestParam",
        ),
        (
            "{}",
            "{type: MOCK, cacheKeyParameters: [q]}",
            "paths./a.GET.integration.cacheKeyParameters.0: q is not allowed: a parameter is written method.request.",
        ),
    ],
)
def test_what_is_refused_of_caches(stage: str, integration: str, said: str) -> None:
    found = cached(stage, integration or "{type: MOCK}")
    assert any(fault.startswith(said) for fault in found), found


@pytest.mark.parametrize(
    ("settings", "path", "verb", "kept"),
    [
        ({"*/*": {"cachingEnabled": True}}, "/a", "GET", 300),
        ({"*/*": {"cachingEnabled": True}}, "/a", "POST", None),
        ({"*/*": {"cachingEnabled": True}}, "/a", "ANY", None),
        ({"*/*": {"cachingEnabled": True}, "a/POST": {"cacheTtlInSeconds": 5}}, "/a", "POST", None),
        ({"*/*": {"cacheTtlInSeconds": 5}, "a/POST": {"cachingEnabled": True}}, "/a", "POST", 5),
        ({"*/*": {"cachingEnabled": True}, "a/GET": {"cachingEnabled": False}}, "/a", "GET", None),
        ({"*/*": {"cachingEnabled": True}, "a/GET": {"cacheTtlInSeconds": 0}}, "/a", "GET", None),
        ({"a/GET": {"cachingEnabled": True}}, "/b", "GET", None),
    ],
)
def test_which_answers_are_kept(settings: dict[str, object], path: str, verb: str, kept: int | None) -> None:
    """API Gateway developer guide, "Cache settings for REST APIs": under */* those of GET methods alone."""
    stage = RestStage.model_validate({"cacheClusterEnabled": True, "methodSettings": settings})
    found = stage.caching_of(path, verb)

    assert (None if found is None else found.cache_ttl_in_seconds) == kept
    off = RestStage.model_validate({"cacheClusterEnabled": False, "methodSettings": settings})
    assert off.caching_of(path, verb) is None
    assert (stage.cache_bytes, off.cache_bytes) == (500_000_000, 0)


REMARKED = """\
apis:
  shop:
    protocolType: REST
    stages: {v1: {cacheClusterEnabled: true, methodSettings: {'*/*': {cachingEnabled: %s}}}}
    paths:
      %s:
        GET:
          authorizationType: %s
          requestParameters: {method.request.path.all: true, method.request.header.Authorization: false}
          integration: {type: MOCK, cacheKeyParameters: [%s]}
credentials: [{accessKeyId: AKIAANN0000000000001, secretAccessKey: x, principalArn: "arn:aws:iam::123456789012:user/a",
               policy: {Statement: {Effect: Allow, Action: "*", Resource: "*"}}}]
"""


@pytest.mark.parametrize(
    ("enabled", "path", "who", "named", "said"),
    [
        ("true", "/{all+}", "NONE", "", ["all paths of GET /{all+} get one kept answer; name method.request.path.all"]),
        ("true", "/{all+}", "NONE", "method.request.path.all", []),
        ("true", "/a/{all}", "AWS_IAM", "", ["whoever may call GET /a/{all} gets one kept answer; name what tells"]),
        ("true", "/a/{all}", "AWS_IAM", "method.request.header.Authorization", []),
        ("true", "/a/{all}", "NONE", "", []),
        ("false", "/{all+}", "AWS_IAM", "", []),
    ],
)
def test_what_is_remarked_of_caches(enabled: str, path: str, who: str, named: str, said: list[str]) -> None:
    found = [str(each) for each in remarks(parse(REMARKED % (enabled, path, who, named), "routes.yaml", {}, Path()))]

    assert len(found) == len(said)
    assert all(text in each for text, each in zip(said, found, strict=True)), found


def test_what_is_remarked_of_stage_variables() -> None:
    """One that a URI names and another stage has is empty, as on AWS."""
    text = """\
apis:
  a:
    protocolType: REST
    stages: {dev: {variables: {b: x}}, prod: {variables: {a: x, b: x, c: x}}}
    authorizers:
      x: {type: REQUEST, authorizerUri: "http://h", identitySource: [method.request.header.A, stageVariables.c]}
    paths:
      /:
        GET:
          authorizer: x
          integration: {type: HTTP_PROXY, httpMethod: GET, uri: "http://h/${stageVariables.a}${stageVariables.b}"}
"""

    found = [str(each) for each in remarks(parse(text, "routes.yaml", {}, Path()))]

    assert found == [
        "routes.yaml:4: apis.a.stages.dev: has no variable a: in the URIs that name it nothing stands there",
        "routes.yaml:4: apis.a.stages.dev: has no variable c: the authorizer x, which wants it, lets nobody in there",
    ]
