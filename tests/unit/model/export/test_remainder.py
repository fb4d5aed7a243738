"""Export and import are there and back: a document with all extensions is read as the very same API."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.e2e.test_rest import DEFINITION
from tests.unit.model.export.test_document import SHOP
from tests.unit.model.export.test_security import FILE
from wsgateway.model import parse
from wsgateway.model.definitions import Definitions
from wsgateway.model.export.document import EXTENSIONS, Address, aws_address, export
from wsgateway.model.export.losses import losses
from wsgateway.model.export.plain import plain
from wsgateway.model.export.remainder import with_remainder
from wsgateway.model.export.schemas import Form
from wsgateway.model.openapi.reading import Reading
from wsgateway.model.rest import VERBS, RestApi
from wsgateway.model.writer import to_yaml

HERE = Path(__file__).parent
BESIDE = {"sessionLookup": {"url": "https://sessions.example"}, "vpcEndpoints": {"vpce-1": {"cidrs": ["10.0.0.0/8"]}}}
"""What is not the API's, and has to be there for it."""
ADDRESSES = [
    aws_address("shop", "v1", "eu-west-1"),
    Address("https://api.example", "v1"),
    Address("http://127.0.0.1:8080", "execute-api/shop/v1"),
    Address("https://api.example"),
]


def read(text: str) -> Definitions:
    return parse(text, "routes.yaml", {}, HERE).definitions


def there_and_back(api: RestApi, form: Form, address: Address, api_id: str = "shop", stage: str = "v1") -> RestApi:
    """What is read of the document of `api` at a stage; its text is YAML of Swagger, else JSON."""
    document = export(api, api_id, address, form=form, extensions=EXTENSIONS, directory=HERE)
    document = with_remainder(document, api, api_id, stage, HERE)
    document["x-wsgateway"] |= BESIDE
    definitions = read(to_yaml(document) if form == "swagger" else json.dumps(document))
    assert [*definitions.apis] == [api_id]
    return definitions.rest_apis[api_id]


def as_read(api: RestApi) -> RestApi:
    """`api` with its stage v1 alone, and its variables of paths declared, as AWS does where it reads documents."""
    paths = {}
    for path, methods in api.paths.items():
        named = {f"method.request.path.{name}": True for name in re.findall(r"\{([^{}+]+)\}", path)}
        paths[path] = {
            verb: method.model_copy(update={"request_parameters": {**named, **method.request_parameters}})
            for verb, method in methods.items()
        }
    return api.model_copy(update={"paths": paths, "stages": {"v1": api.stages["v1"]}})


def selected(api: RestApi) -> list[list[str]]:
    """The patterns of integration responses in the order in which they are looked at."""
    methods = [method for path in sorted(api.paths) for _, method in sorted(api.paths[path].items())]
    tried = [[*api.integration_of(method).common.integration_responses] for method in methods]
    return [[pattern for pattern in patterns if pattern != "$default"] for patterns in tried]


OURS = """
vpcEndpoints: {vpce-1: {cidrs: [10.0.0.0/8]}}
apis:
  shop:
    protocolType: REST
    maxBodyBytes: 20000000
    cors: {allowOrigins: ["https://app.example"], maxAge: 10}
    apiKeySource: AUTHORIZER
    endpointConfiguration: {types: [PRIVATE], vpcEndpointIds: [vpce-1]}
    authorizers: {who: {type: REQUEST, authorizerUri: "https://who.example", authorizerResultTtlInSeconds: 0}}
    policy: {Statement: [{Effect: Allow, Principal: "*", Action: "execute-api:Invoke", Resource: "execute-api:/v1/*"}]}
    stages:
      v1:
        description: the first
        variables: {a: b}
        cacheClusterEnabled: true
        methodSettings:
          "*/*": {cachingEnabled: true, throttlingRateLimit: 10, throttlingBurstLimit: 5}
          "odd/GET": {cachingEnabled: false}
        accessLogSettings: {format: "$context.requestId"}
        throttle: {}
      v2: {}
    models:
      Null: {description: no, contentType: text/json, schema: {type: [string, "null"], default: null, enum: [a, null]}}
      Parts: {schema: {"$schema": "http://json-schema.org/draft-04/schema#", patternProperties: {"^x": {type: string}},
        definitions: {a: {type: integer}}, properties: {a: {$ref: "#/definitions/a"}, enum: {type: string}}}}
      Empty: {schema: {type: object, title: mine}}
    requestValidators: {one: {}}
    integrations:
      guarded: {type: HTTP, httpMethod: GET, uri: "https://backend.example/", maxConcurrency: 3, retry: {},
        circuitBreaker: {}, deadLetter: {}, tlsConfig: {serverNameToVerify: a.example, insecureSkipVerification: true}}
    paths:
      /:
        GET: {integration: guarded, requestValidatorId: one, operationName: same}
        POST: {integration: guarded, requestModels: {$default: "Null"}, operationName: same}
      /a/{b}/{c+}:
        ANY:
          requestParameters: {method.request.path.b: false, method.request.path.c: true}
          requestModels: {application/json: Parts, text/plain: Error}
          methodResponses:
            "200": {responseParameters: {method.response.header.A: true}, responseModels: {a/b: Parts, c/d: Error}}
            "201": {responseModels: {e/f: Empty}}
          integration:
            type: AWS_PROXY
            httpMethod: POST
            uri: arn:aws:lambda:eu-west-1:123456789012:function:f
      /odd:
        GET:
          apiKeyRequired: true
          authorizer: who
          requestParameters: {method.request.querystring.q: false}
          integration:
            type: HTTP
            httpMethod: GET
            uri: https://backend.example/
            cacheNamespace: odd
            cacheKeyParameters: [method.request.querystring.q]
            integrationResponses:
              "200": {selectionPattern: default}
              "201": {selectionPattern: ""}
              "202": {}
              "203": {selectionPattern: "5.."}
              "204": {selectionPattern: "5.."}
"""


@pytest.mark.parametrize("form", ["oas30", "swagger"])
@pytest.mark.parametrize("address", ADDRESSES, ids=lambda address: f"{address.url}/{address.base_path}")
@pytest.mark.parametrize(
    "text", [SHOP, FILE, OURS, DEFINITION.replace("@port@", "8000")], ids=["shop", "security", "ours", "rest"]
)
def test_a_definition_is_read_again(text: str, form: Form, address: Address) -> None:
    api = read(text).rest_apis["shop"]

    again = there_and_back(api, form, address)
    assert again == as_read(api)
    # Where one setting stands for another that is absent, being there without need tells, too.
    said, written = (plain(one.stages["v1"], defaults=False, directory=HERE) for one in (again, api))
    assert said == written


@pytest.mark.parametrize("form", ["oas30", "swagger"])
@pytest.mark.parametrize("name", ["petstore.yaml", "items.json"])
def test_a_document_is_exported_as_another_that_means_the_same(name: str, form: Form) -> None:
    folder = HERE.parent / "openapi"
    loaded = parse((folder / name).read_text(), name, {"AWS_REGION": "eu-west-1"}, folder, Reading(lenient=True))
    ((api_id, api),) = loaded.definitions.rest_apis.items()
    (stage,) = api.stages

    again = there_and_back(api, form, aws_address(api_id, stage, "eu-west-1"), api_id, stage)

    assert again == api


def test_what_api_gateway_has_needs_no_remainder() -> None:
    """An API that is written out leaves nothing over but its name, if it has none."""
    api = read(
        """
apis:
  shop:
    protocolType: REST
    name: Shop
    version: "1"
    binaryMediaTypes: ["*/*"]
    stages: {v1: {}}
    models: {Pet: {schema: {type: object, properties: {name: {type: string}}}}}
    requestValidators: {all: {validateRequestBody: true}}
    gatewayResponses: {DEFAULT_5XX: {statusCode: "500"}}
    authorizers: {tokens: {type: TOKEN, authorizerUri: "function:f", identitySource: method.request.header.Auth}}
    paths:
      /pets/{petId}:
        PUT:
          operationName: putPet
          authorizer: tokens
          requestValidator: all
          requestParameters: {method.request.path.petId: true, method.request.header.A: false}
          requestModels: {application/json: Pet}
          methodResponses: {"200": {responseModels: {application/json: Pet}}}
          integration:
            type: HTTP
            httpMethod: PUT
            uri: https://backend.example/
            contentHandling: CONVERT_TO_TEXT
            integrationResponses: {"200": {}}
""".replace("    apis: {}\n", "")
    ).rest_apis["shop"]

    for form in ("oas30", "swagger"):
        document = export(api, "shop", ADDRESSES[0], form=form, extensions=EXTENSIONS)
        assert with_remainder(document, api, "shop", "v1", HERE)["x-wsgateway"] == {"apis": {"shop": {}}}


names = st.text("ab", min_size=1, max_size=2)
words = st.text(st.characters(codec="utf-8", exclude_characters="$\0"), max_size=5)
media = st.sampled_from(["application/json", "text/plain", "a/b", "application/x+json"])
models = st.sampled_from(["A", "B", "Empty", "Error"])
schema = st.recursive(
    st.fixed_dictionaries(
        {},
        optional={
            "type": st.sampled_from(["string", ["string", "null"], "null"]),
            "title": words,
            "default": st.none(),
        },
    ),
    lambda inner: st.fixed_dictionaries(
        {},
        optional={"properties": st.dictionaries(names, inner, max_size=2), "items": inner, "definitions": st.just({})},
    ),
    max_leaves=4,
)
statuses = st.sampled_from(["200", "201", "404", "500"])
headers = st.dictionaries(names.map("method.response.header.{}".format), st.just("'x'"), max_size=2)
integrations = st.fixed_dictionaries(
    {
        "type": st.just("HTTP"),
        "httpMethod": st.sampled_from(["GET", "ANY"]),
        "uri": st.just("https://backend.example/"),
    },
    optional={
        "passthroughBehavior": st.sampled_from(["NEVER", "WHEN_NO_MATCH"]),
        "contentHandling": st.sampled_from(["CONVERT_TO_TEXT", "CONVERT_TO_BINARY"]),
        "timeoutInMillis": st.sampled_from([50, 29_000, 60_000]),
        "retry": st.just({}),
        "requestTemplates": st.dictionaries(media | st.just("$default"), words | st.none(), max_size=2),
        "integrationResponses": st.dictionaries(
            statuses,
            st.fixed_dictionaries(
                {},
                optional={
                    "selectionPattern": st.sampled_from(["", "default", "4..", "5..", "x-a"]),
                    "responseTemplates": st.dictionaries(media, words, max_size=2),
                },
            ),
            max_size=3,
        ),
    },
)
methods = st.fixed_dictionaries(
    {"integration": integrations | st.just("shared")},
    optional={
        "operationName": names,
        "apiKeyRequired": st.booleans(),
        "requestValidator": st.just("v"),
        "authorizer": st.just("who"),
        "requestParameters": st.dictionaries(
            st.builds("method.request.{}.{}".format, st.sampled_from(["header", "querystring"]), names), st.booleans()
        ),
        "requestModels": st.dictionaries(media | st.just("$default"), models, max_size=3),
        "methodResponses": st.dictionaries(
            statuses,
            st.fixed_dictionaries(
                {},
                optional={
                    "responseModels": st.dictionaries(media, models, max_size=2),
                    "responseParameters": st.dictionaries(
                        names.map("method.response.header.{}".format), st.booleans(), max_size=2
                    ),
                },
            ),
            max_size=3,
        ),
    },
)
apis = st.fixed_dictionaries(
    {
        "protocolType": st.just("REST"),
        "stages": st.just({"v1": {"variables": {"a": "b"}}}),
        "models": st.fixed_dictionaries(
            {"A": st.builds(lambda each: {"schema": each}, schema)} | {"B": st.just({"schema": {}})}
        ),
        "requestValidators": st.just({"v": {"validateRequestBody": True}}),
        "authorizers": st.just(
            {"who": {"type": "REQUEST", "authorizerUri": "function:f", "authorizerResultTtlInSeconds": 0}}
        ),
        "integrations": st.just({"shared": {"type": "HTTP", "httpMethod": "GET", "uri": "https://backend.example/"}}),
        "paths": st.dictionaries(
            st.sampled_from(["/", "/a", "/{b}", "/{b}/c", "/a/{d+}"]),
            st.dictionaries(st.sampled_from(VERBS), methods, min_size=1, max_size=3),
            min_size=1,
            max_size=3,
        ),
    },
    optional={
        "name": words.filter(bool),
        "description": words,
        "version": words.filter(bool),
        "minimumCompressionSize": st.integers(0, 100),
        "disableExecuteApiEndpoint": st.booleans(),
    },
)


@settings(max_examples=40)
@given(apis, st.sampled_from(["oas30", "swagger"]), st.sampled_from(ADDRESSES))
def test_any_definition_is_read_again(written: dict[str, Any], form: Form, address: Address) -> None:
    api = read(to_yaml({"apis": {"shop": written}})).rest_apis["shop"]

    again = there_and_back(api, form, address)
    assert again == as_read(api)
    assert selected(again) == selected(api)


def test_what_is_ours_is_known() -> None:
    found = {".".join(map(str, path)) for path in losses(read(OURS).rest_apis["shop"])}

    guarded = ("maxConcurrency", "retry", "circuitBreaker", "deadLetter")
    assert found == {"maxBodyBytes", "cors", *(f"integrations.guarded.{key}" for key in guarded)}
