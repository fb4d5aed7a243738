"""API Gateway developer guide, "Output from an API Gateway Lambda authorizer"."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsgateway.authorizers.cache import OVERHEAD
from wsgateway.authorizers.lambda_authorizer import SWELLING
from wsgateway.authorizers.lambda_output import failure_of, parse_output
from wsgateway.errors import AccessDenied, AuthorizerConfigurationError, AuthorizerFailure, Unauthorized

CONNECT = "arn:aws:execute-api:eu-west-1:123456789012:abc/prod/$connect"


def output(effect: str = "Allow", resource: str | list[str] = CONNECT, **more: Any) -> bytes:
    statement = {"Action": "execute-api:Invoke", "Effect": effect, "Resource": resource}
    policy = {"Version": "2012-10-17", "Statement": [statement]}
    return json.dumps({"principalId": "ann", "policyDocument": policy} | more).encode()


def test_a_yes() -> None:
    found = parse_output(output(context={"room": "a", "level": 7, "admin": True, "ratio": 0.5, "none": None}))

    found.admit(CONNECT, {})
    assert found.context == {"principalId": "ann", "room": "a", "level": "7", "admin": "true", "ratio": "0.5"}


@pytest.mark.parametrize(
    ("principal", "context"),
    [
        pytest.param(None, {}, id="null is left out"),
        pytest.param("", {"principalId": ""}, id="an empty one is kept"),
        pytest.param(7, {"principalId": "7"}, id="a number is a text"),
    ],
)
def test_who_it_is(principal: object, context: dict[str, str]) -> None:
    assert parse_output(output(principalId=principal)).context == context


def test_a_context_can_not_say_who_it_is() -> None:
    assert parse_output(output(context={"principalId": "eve"})).context == {"principalId": "ann"}


def test_a_context_can_not_say_how_long_it_took() -> None:
    assert parse_output(output(context={"integrationLatency": 1, "a": "b"})).context == {"principalId": "ann", "a": "b"}


def test_an_api_key() -> None:
    assert (
        parse_output(output(usageIdentifierKey="0123456789abcdefghij")).usage_identifier_key == "0123456789abcdefghij"
    )


def test_a_policy_with_variables_and_conditions_of_the_request() -> None:
    own = {"Action": "execute-api:Invoke", "Effect": "Allow", "Resource": f"{CONNECT}/${{aws:SourceVpce}}"}
    found = parse_output(output(policyDocument={"Version": "2012-10-17", "Statement": [own]}))

    found.admit(f"{CONNECT}/vpce-1", {"aws:sourcevpce": ["vpce-1"]})
    for keys in ({"aws:sourcevpce": ["vpce-2"]}, {}):
        with pytest.raises(AccessDenied):
            found.admit(f"{CONNECT}/vpce-1", keys)


def test_nobody_has_signed_who_an_authorizer_is_asked_about() -> None:
    own = {"Action": "execute-api:Invoke", "Effect": "Deny", "Resource": f"{CONNECT}/${{aws:username}}"}
    with pytest.raises(AuthorizerConfigurationError, match="the variable aws:username is no key that requests have"):
        parse_output(output(policyDocument={"Version": "2012-10-17", "Statement": [own]}))


def test_a_no() -> None:
    with pytest.raises(AccessDenied) as caught:
        parse_output(output("Deny")).admit(CONNECT, {})

    assert caught.value.detail == (
        "User is not authorized to access this resource with an explicit deny in an identity-based policy"
    )


def test_a_policy_about_something_else() -> None:
    with pytest.raises(AccessDenied) as caught:
        parse_output(output(resource=CONNECT.replace("prod", "dev"))).admit(CONNECT, {})

    assert caught.value.detail == (
        "User is not authorized to access this resource because no identity-based policy allows the "
        "execute-api:Invoke action"
    )


@pytest.mark.parametrize(
    ("payload", "problem"),
    [
        pytest.param(b"", "no JSON", id="nothing"),
        pytest.param(b"null", "no object", id="null"),
        pytest.param(b"[" * 9000, "over 8192 bytes", id="too long"),
        pytest.param(b"[" * 8000, "no JSON", id="too deep"),
        pytest.param(b'{"principalId": "ann"}', "policyDocument", id="no policy"),
        pytest.param(output("allow"), "Statement.0.Effect", id="a policy nobody can evaluate"),
        pytest.param(output(context={"a": {"b": 1}}), "context.a", id="an object in the context"),
        pytest.param(output(context={"a": [1]}), "context.a", id="a list in the context"),
        pytest.param(output(context=False), "context that is no object", id="a context that is false"),
        pytest.param(output(context={"a": "@"}).replace(b"@", b"\\ud800"), "no JSON", id="half of a surrogate pair"),
        pytest.param(output(context={"a": 1}).replace(b" 1}", b" NaN}"), "no JSON", id="a number that is none"),
        pytest.param(output(context={"a": 1}).replace(b" 1}", b" 1e999}"), "no JSON", id="a number beyond all"),
        pytest.param(output()[:-1], "no JSON", id="cut off"),
        pytest.param(output() + output(), "no JSON", id="two"),
        pytest.param(output(context=["a"]), "context that is no object", id="a context that is a list"),
        pytest.param(output(principalId=["ann"]), "principalId", id="a list of principals"),
        pytest.param(output(context={"a": "x" * 9000}), "over 8192", id="over 8 KB"),
        pytest.param(output(usageIdentifierKey=7), "usageIdentifierKey", id="a key that is a number"),
    ],
)
def test_what_is_no_output(payload: bytes, problem: str) -> None:
    with pytest.raises(AuthorizerConfigurationError, match=problem) as caught:
        parse_output(payload)

    assert (caught.value.status, caught.value.detail) == (500, "")


@pytest.mark.parametrize(
    ("payload", "kind"),
    [
        pytest.param(b'{"errorMessage": "Unauthorized"}', Unauthorized, id="that word"),
        pytest.param(b'{"errorMessage": "unauthorized"}', AuthorizerFailure, id="nearly that word"),
        pytest.param(b'{"errorMessage": "Unauthorized "}', AuthorizerFailure, id="that word and a blank"),
        pytest.param(b"Unauthorized", AuthorizerFailure, id="no JSON"),
        pytest.param(b'"Unauthorized"', AuthorizerFailure, id="no object"),
    ],
)
def test_a_function_that_fails(payload: bytes, kind: type[Exception]) -> None:
    assert type(failure_of(payload, "users")) is kind


@given(st.binary(max_size=300))
def test_no_bytes_are_a_yes(payload: bytes) -> None:
    with pytest.raises(AuthorizerConfigurationError):
        parse_output(payload)


def of(**more: Any) -> dict[str, Any]:
    return {"Action": "*", "Effect": "Deny", "Resource": "*"} | more


@pytest.mark.parametrize(
    "statements",
    [
        pytest.param(lambda n: [of(Resource=f"arn:aws:execute-api:*:*:{n}/*")], id="one resource"),
        pytest.param(lambda n: [of(Resource=[f"arn:aws:execute-api:*:*:{n}/*/{i}" for i in range(70)])], id="many"),
        pytest.param(lambda n: [of(Resource=[f"*?{n}{i}*" for i in range(300)])], id="wildcards"),
        pytest.param(
            lambda n: [of(Resource=[f"arn:aws:execute-api:*:*:${{aws:UserAgent}}{n}{i}" for i in range(70)])],
            id="variables",
        ),
        pytest.param(lambda n: [of() for _ in range(150)], id="statements"),
        pytest.param(
            lambda n: [of(Condition={"StringLike": {"aws:UserAgent": [f"{n}*{i}" for i in range(200)]}})], id="texts"
        ),
        pytest.param(
            lambda n: [of(Condition={"IpAddress": {"aws:SourceIp": [f"10.{n}.{i}.0/24" for i in range(200)]}})],
            id="networks",
        ),
        pytest.param(lambda n: [of(Condition={"ArnLike": {"aws:SourceArn": ["arn:*:a:*:*:*"] * 200}})], id="ARNs"),
    ],
)
def test_the_memory_of_an_answer_is_not_told_too_small(statements: Callable[[int], list[dict[str, Any]]]) -> None:
    def payload(number: int) -> bytes:
        return output(policyDocument={"Version": "2012-10-17", "Statement": statements(number)})

    parse_output(payload(0))  # what is kept once for all
    payloads = [payload(number) for number in range(1, 6)]
    tracemalloc.start()
    try:
        kept = [parse_output(each) for each in payloads]
        taken = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()

    assert taken <= sum(SWELLING * len(each) + OVERHEAD for each in payloads)
    assert len(kept) == 5
