"""API keys and usage plans in a definition: nothing stands open, and nothing is without effect, because of a slip."""

from __future__ import annotations

from pathlib import Path

import pytest

from wsgateway.errors import DefinitionError
from wsgateway.model.api_key import digest_of
from wsgateway.model.loader import Loaded, parse
from wsgateway.model.remarks import remarks as remarks_on

VALUE = "abcdefghijklmnopqrst"
HASH = digest_of(VALUE).hex()
DEFINITION = """
apis:
  chat:
    protocolType: WEBSOCKET
    routeSelectionExpression: $request.body.action
    {api}
    stages: {{dev: {{}}, prod: {{}}}}
    routes:
      $connect: {{{connect}}}
      $disconnect: {{{disconnect}}}
      say: {{{say}}}
apiKeys:
  - {{name: mobile, {key}}}
  {keys}
usagePlans:
  gold:
    {{apiKeys: [{named}], apiStages: [{{apiId: {at}, stage: {stage}{throttle}}}, {{apiId: chat, stage: prod}}]{plan}}}
  {plans}
"""
GOOD = {
    "api": "name: Chat",
    "connect": "apiKeyRequired: true",
    "disconnect": "",
    "say": "",
    "key": f"valueSha256: {HASH}",
    "keys": "",
    "named": "mobile",
    "at": "chat",
    "stage": "dev",
    "throttle": "",
    "plan": "",
    "plans": "",
}


def read(**parts: str) -> Loaded:
    return parse(DEFINITION.format(**(GOOD | parts)), "routes.yaml", {"KEY": VALUE, "SHORT": "abc"}, Path())


def problems(**parts: str) -> list[str]:
    try:
        read(**parts)
    except DefinitionError as error:
        return [str(problem) for problem in error.problems]
    return []


def remarks(**parts: str) -> list[str]:
    return [str(remark) for remark in remarks_on(read(**parts))]


@pytest.mark.parametrize(
    "parts",
    [
        pytest.param({}, id="a hash"),
        pytest.param({"key": 'value: "${KEY}"'}, id="a value of the environment"),
        pytest.param({"plan": ", throttle: {rateLimit: 0.5, burstLimit: 2}"}, id="a throttle"),
        pytest.param({"plan": ", quota: {limit: 10, period: WEEK, offset: 3}, name: Gold"}, id="a quota"),
        pytest.param({"throttle": ", throttle: {$connect: {rateLimit: 1, burstLimit: 1}}"}, id="a route's own"),
        pytest.param(
            {"throttle": ", throttle: {say: {rateLimit: 1, burstLimit: 1}}", "plan": ", countMessages: true"},
            id="a message route's, where messages count",
        ),
        pytest.param(
            {"throttle": ", throttle: {say: {rateLimit: 1, burstLimit: 1}}", "say": "apiKeyRequired: true"},
            id="a message route's that asks for the key",
        ),
        pytest.param({"api": "apiKeySelectionExpression: '${request.querystring.key}'"}, id="in the query"),
    ],
)
def test_what_is_right(parts: dict[str, str]) -> None:
    assert problems(**parts) == []
    assert remarks(**parts) == []


@pytest.mark.parametrize(
    ("parts", "problem"),
    [
        pytest.param({"key": "enabled: true"}, "apiKeys.0: give one of value and valueSha256", id="no value"),
        pytest.param({"key": f"value: {VALUE}, valueSha256: {HASH}"}, "give one of value", id="both"),
        pytest.param({"key": "value: abc"}, "20 to 128 characters, and this has 3", id="a short key"),
        pytest.param({"key": "value: 'abcdefghij klmnopqrstuvw'"}, "without spaces", id="a space in a key"),
        pytest.param({"key": "valueSha256: abc"}, "64 hexadecimal digits", id="no hash"),
        pytest.param({"keys": f"- {{name: mobile, value: {VALUE}x}}"}, "another key is named mobile", id="name twice"),
        pytest.param({"keys": f"- {{name: web, value: {VALUE}}}"}, "is the key of mobile, too", id="key twice"),
        pytest.param({"named": "mobil"}, "no API key is named mobil; did you mean mobile?", id="no such key"),
        pytest.param({"named": "mobile, mobile"}, "mobile is in the list twice", id="listed twice"),
        pytest.param({"at": "chats"}, "no API is named chats; did you mean chat?", id="no such API"),
        pytest.param({"stage": "test"}, "API chat has no stage test; there are dev, prod", id="no such stage"),
        pytest.param({"stage": "prod"}, "stage prod of API chat is in this plan twice", id="a stage twice"),
        pytest.param(
            {"plans": "silver: {apiKeys: [mobile], apiStages: [{apiId: chat, stage: dev}]}"},
            "usagePlans.silver.apiKeys.0: mobile is in plan gold for stage dev of API chat, too",
            id="two plans for one key",
        ),
        pytest.param(
            {"throttle": ", throttle: {sey: {rateLimit: 1, burstLimit: 1}}"},
            "no route sey; did you",
            id="no such route",
        ),
        pytest.param(
            {"throttle": ", throttle: {say: {rateLimit: 1, burstLimit: 1}}"},
            "has no effect: nothing of this route is counted",
            id="a throttle of what isn't counted",
        ),
        pytest.param({"plan": ", throttle: {rateLimit: -1, burstLimit: 1}"}, "must be at least 0", id="below 0"),
        pytest.param({"plan": ", quota: {limit: 10, period: YEAR}"}, "YEAR is none of DAY, WEEK, MONTH", id="a year"),
        pytest.param({"plan": ", quota: {limit: 1, period: DAY, offset: 2}"}, "more than limit", id="a large offset"),
        pytest.param(
            {"connect": "", "say": "apiKeyRequired: true"}, "no client would have a key", id="no key to check"
        ),
        pytest.param({"disconnect": "apiKeyRequired: true"}, "a connection that ends shows nothing", id="$disconnect"),
        pytest.param(
            {"api": "apiKeySelectionExpression: $context.authorizer.usageIdentifierKey"},
            "only a Lambda authorizer on $connect gives one",
            id="a key of nobody",
        ),
        pytest.param(
            {"api": "apiKeySelectionExpression: $request.body.key"}, "write $request.header.x-api-key", id="body"
        ),
    ],
)
def test_a_slip_is_refused(parts: dict[str, str], problem: str) -> None:
    found = problems(**parts)

    assert any(problem in each for each in found), found
    assert all(each.startswith("routes.yaml:") for each in found)
    assert VALUE not in "".join(found)


def test_an_api_that_asks_for_keys_needs_a_plan() -> None:
    text = DEFINITION.format(**GOOD)
    text = text[: text.index("apiKeys:")]

    with pytest.raises(DefinitionError) as caught:
        parse(text, "routes.yaml", {}, Path())

    (problem,) = caught.value.problems
    assert "no usage plan lists a stage of this API, so every client would be refused" in str(problem)
    assert problem.line == 9


@pytest.mark.parametrize(
    ("parts", "remark"),
    [
        pytest.param({"named": ""}, "the plan has no keys", id="a plan without keys"),
        pytest.param({"named": ""}, "no usage plan has a key for stages dev and prod", id="stages without a key"),
        pytest.param({"keys": f"- {{name: web, value: {VALUE}x}}"}, "web is in no usage plan", id="a key without plan"),
        pytest.param({"connect": ""}, "asks no client for a key, so the plan has no effect", id="nobody is asked"),
    ],
)
def test_what_is_most_likely_not_meant_is_told(parts: dict[str, str], remark: str) -> None:
    assert any(remark in each for each in remarks(**parts))


REST = """
apis:
  {more}
  shop:
    protocolType: REST
    {api}
    stages: {{v1: {{}}, v2: {{}}}}
    authorizers:
      who: {{type: TOKEN, identitySource: method.request.header.Authorization, authorizerUri: "function:who"}}
      pool:
        type: COGNITO_USER_POOLS
        identitySource: method.request.header.Authorization
        providerARNs: ["arn:aws:cognito-idp:eu-west-1:123456789012:userpool/eu-west-1_a"]
    paths:
      /: {{GET: {{integration: {{type: MOCK}}, {root}}}}}
      /pets/{{id}}: {{ANY: {{integration: {{type: MOCK}}, {pets}}}}}
functions: {{who: {{runtime: python3.11, handler: app.handler, codeUri: .}}}}
apiKeys: [{{name: mobile, valueSha256: {key}}}]
usagePlans: {{gold: {{apiKeys: [mobile], apiStages: [{places}], {plan}}}}}
"""


OTHER = """other:
    protocolType: REST
    stages: {v1: {}}
    paths: {/: {GET: {integration: {type: MOCK}, apiKeyRequired: true}}}"""


def of_rest(**parts: str) -> list[str]:
    """Problems, else remarks."""
    both = "{apiId: shop, stage: v1}, {apiId: shop, stage: v2}"
    usual = {
        "api": "name: Shop",
        "root": "apiKeyRequired: true",
        "pets": "apiKeyRequired: false",
        "key": HASH,
        "more": "",
    }
    text = REST.format(**usual | {"places": both, "plan": "name: Gold"} | parts)
    try:
        return [str(remark) for remark in remarks_on(parse(text, "routes.yaml", {}, Path()))]
    except DefinitionError as error:
        return [str(problem) for problem in error.problems]


def throttled(key: str) -> str:
    return (
        "{apiId: shop, stage: v1, throttle: {'KEY': {rateLimit: 1, burstLimit: 1}}}, {apiId: shop, stage: v2}".replace(
            "KEY", key
        )
    )


@pytest.mark.parametrize(
    "parts",
    [
        pytest.param({}, id="a method that asks for a key"),
        pytest.param({"places": throttled("//GET")}, id="the root's own throttle, as AWS writes it"),
        pytest.param({"places": throttled("/pets/{id}/ANY"), "pets": "apiKeyRequired: true"}, id="a method's own"),
        pytest.param(
            {"api": "apiKeySource: AUTHORIZER", "root": "apiKeyRequired: true, authorizer: who"}, id="an authorizer's"
        ),
    ],
)
def test_what_is_right_of_rest_apis(parts: dict[str, str]) -> None:
    assert [each for each in of_rest(**parts) if not each.endswith("is asked by no method")] == []


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        pytest.param({"places": throttled("/pets/{id}/GET")}, "there is no method /pets/{id}/GET; did", id="no method"),
        pytest.param(
            {"places": throttled("say")}, "there is no method say; write path and verb, as in /pets", id="a route"
        ),
        pytest.param(
            {"places": throttled("/pets/{id}/ANY")},
            "has no effect: nothing of this method is counted; give the method apiKeyRequired: true",
            id="what isn't counted",
        ),
        pytest.param({"plan": "countMessages: true"}, "countMessages: has no effect: the plan lists no", id="messages"),
        pytest.param({"places": "{apiId: shop, stage: v3}"}, "has no stage v3", id="no stage"),
        pytest.param(
            {"api": "apiKeySource: AUTHORIZER"},
            "paths./.GET.apiKeyRequired: with apiKeySource AUTHORIZER only a Lambda authorizer gives a key",
            id="a key of nobody",
        ),
        pytest.param(
            {"api": "apiKeySource: AUTHORIZER", "root": "apiKeyRequired: true, authorizer: pool"},
            "paths./.GET.apiKeyRequired: with apiKeySource AUTHORIZER only a Lambda authorizer gives a key",
            id="a pool gives none",
        ),
        pytest.param({"api": "apiKeySource: COOKIE"}, "COOKIE is none of HEADER, AUTHORIZER", id="no source"),
        pytest.param(
            {"root": "apiKeyRequired: false"},
            "asks no client for a key, so the plan has no effect",
            id="nobody is asked",
        ),
        pytest.param(
            {"places": "{apiId: shop, stage: v1}"},
            "apis.shop.paths./.GET.apiKeyRequired: no usage plan has a key for stage v2",
            id="a stage without a key",
        ),
    ],
)
def test_a_slip_of_rest_apis_is_told(parts: dict[str, str], said: str) -> None:
    assert any(said in each for each in of_rest(**parts)), of_rest(**parts)


def test_methods_that_nobody_has_a_key_for_are_told_of() -> None:
    """Other methods of the API may be open; as on AWS it is deployed."""
    (said,) = [each for each in of_rest(places="{apiId: other, stage: v1}", more=OTHER) if "every client" in each]

    assert "apis.shop.paths./.GET.apiKeyRequired: no usage plan has a key for stages v1 and v2" in said


def test_of_many_keys_without_a_plan_a_few_are_told() -> None:
    many = "\n  ".join(f"- {{name: k{number}, value: {VALUE}{number}}}" for number in range(13))

    found = remarks(keys=many)

    assert len(found) == 11
    assert "and 3 more keys are in no usage plan" in found[-1] + found[0]


def test_a_key_is_known_by_its_hash_however_it_is_written() -> None:
    (hashed,) = read().definitions.api_keys
    (written,) = read(key='value: "${KEY}"').definitions.api_keys

    assert hashed.digest == written.digest
    assert VALUE not in repr(written)
