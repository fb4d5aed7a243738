"""IAM user guide, "IAM policy elements: Variables and tags"."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsgateway.authorizers.condition_keys import OF_SIGNED
from wsgateway.authorizers.policy import Decision, compile_policy
from wsgateway.authorizers.variables import NoValue, Scope, parse

INVOKE = "execute-api:Invoke"
API = "arn:aws:execute-api:eu-west-1:123456789012:shop/v1/GET/"
ALLOW, DENY, NOTHING = Decision.ALLOW, Decision.EXPLICIT_DENY, Decision.IMPLICIT_DENY
KEYS = {"aws:username": ["ann"], "aws:useragent": ["*"], "aws:principaltag/cost center": ["a?c"]}


def decide(resource: str, *, keys: dict[str, list[str]] | None = None, version: str = "2012-10-17", **more: Any) -> Any:
    statement = {"Effect": "Allow", "Action": INVOKE, "Resource": "*"} | more
    policy = compile_policy({"Version": version, "Statement": statement}, keys=OF_SIGNED)
    return policy.decide(INVOKE, f"{API}{resource}", KEYS if keys is None else keys)


@pytest.mark.parametrize(
    ("pattern", "resource", "decision"),
    [
        pytest.param("${aws:username}", "ann", ALLOW, id="a variable"),
        pytest.param("${AWS:UserName}", "ann", ALLOW, id="keys have no case"),
        pytest.param("${ aws:username }/*", "ann/pets", ALLOW, id="blanks, and a wildcard"),
        pytest.param("${aws:username}/*", "eve/pets", NOTHING, id="another value"),
        pytest.param("${aws:username}", "${aws:username}", NOTHING, id="not the text itself"),
        pytest.param("${aws:useragent}", "*", ALLOW, id="a star that is a value"),
        pytest.param("${aws:useragent}", "anything", NOTHING, id="a value is no wildcard"),
        pytest.param("${aws:PrincipalTag/cost center}", "a?c", ALLOW, id="a tag"),
        pytest.param("${aws:PrincipalTag/cost center}", "abc", NOTHING, id="nor is that of a tag"),
        pytest.param("${aws:userid, 'nobody'}", "nobody", ALLOW, id="a default"),
        pytest.param("${aws:username, 'nobody'}", "nobody", NOTHING, id="a default that isn't needed"),
        pytest.param("${aws:userid, '*'}", "anything", NOTHING, id="a default is no wildcard"),
        pytest.param("${aws:userid, ''}x", "x", ALLOW, id="an empty default"),
        pytest.param("${aws:userid, 'a}, {b'}", "a}, {b", ALLOW, id="braces in a default"),
        pytest.param("${aws:userid}", "", NOTHING, id="no value"),
        pytest.param("*${aws:userid}", "anything", NOTHING, id="no value, behind a star"),
        pytest.param("a${*}c", "a*c", ALLOW, id="a star"),
        pytest.param("a${*}c", "abc", NOTHING, id="a star that is none"),
        pytest.param("a${?}c*", "a?cd", ALLOW, id="a question mark"),
        pytest.param("a${?}c*", "abcd", NOTHING, id="a question mark that is none"),
        pytest.param("${$}{aws:username}", "${aws:username}", ALLOW, id="a dollar"),
        pytest.param("$${aws:username}$", "$ann$", ALLOW, id="other dollars"),
        pytest.param("${aws:username}-${aws:username}", "ann-ann", ALLOW, id="twice"),
    ],
)
def test_a_resource_with_variables(pattern: str, resource: str, decision: Decision) -> None:
    assert decide(resource, Resource=f"{API}{pattern}") is decision
    assert decide(resource, Resource=["arn:x", f"{API}{pattern}"]) is decision


@pytest.mark.parametrize(
    ("condition", "decision"),
    [
        pytest.param({"StringEquals": {"aws:PrincipalArn": "x-${aws:username}"}}, ALLOW, id="equal"),
        pytest.param({"StringEquals": {"aws:PrincipalArn": "x-${aws:userid}"}}, NOTHING, id="without a value"),
        pytest.param({"StringEquals": {"aws:PrincipalArn": ["x-${aws:userid}", "x-ann"]}}, ALLOW, id="or another"),
        pytest.param({"StringEqualsIgnoreCase": {"aws:PrincipalArn": "X-${aws:username}"}}, ALLOW, id="in any case"),
        pytest.param({"StringLike": {"aws:PrincipalArn": "?-${aws:username}"}}, ALLOW, id="like"),
        pytest.param({"StringNotEquals": {"aws:PrincipalArn": "x-${aws:username}"}}, NOTHING, id="not equal"),
        pytest.param({"StringEquals": {"aws:UserAgent": "${*}"}}, ALLOW, id="a star"),
        pytest.param({"StringEquals": {"aws:UserAgent": "*"}}, ALLOW, id="a star is a star where texts are equal"),
        pytest.param({"ArnLike": {"aws:SourceArn": "arn:aws:iam::*:user/${aws:username}"}}, ALLOW, id="in an ARN"),
        pytest.param({"ArnLike": {"aws:SourceArn": "arn:aws:iam::*:*/${aws:username, 'x'}x"}}, NOTHING, id="not it"),
    ],
)
def test_a_condition_with_variables(condition: dict[str, Any], decision: Decision) -> None:
    keys = KEYS | {"aws:principalarn": ["x-ann"], "aws:sourcearn": ["arn:aws:iam::1:user/ann"]}

    assert decide("", keys=keys, Condition=condition) is decision


@pytest.mark.parametrize(
    ("effect", "more", "decision"),
    [
        ("Allow", {"Resource": f"{API}${{aws:userid}}"}, NOTHING),
        ("Deny", {"Resource": f"{API}${{aws:userid}}"}, NOTHING),
        ("Allow", {"NotResource": f"{API}${{aws:userid}}"}, NOTHING),
        ("Deny", {"NotResource": f"{API}${{aws:userid}}"}, DENY),
        ("Allow", {"Condition": {"StringNotEquals": {"aws:username": "${aws:userid}"}}}, NOTHING),
        ("Deny", {"Condition": {"StringNotEquals": {"aws:username": "${aws:userid}"}}}, DENY),
        ("Allow", {"Condition": {"StringNotLike": {"aws:username": ["x", "${aws:userid}"]}}}, NOTHING),
        ("Deny", {"Condition": {"ForAnyValue:StringNotLike": {"aws:username": "${aws:userid}"}}}, DENY),
    ],
)
def test_without_a_value_nobody_gets_in(effect: str, more: dict[str, Any], decision: Decision) -> None:
    """What is like nothing denies nothing, but what all else is denied by is not passed by."""
    statement = {"Effect": effect, "Action": INVOKE} | ({} if "NotResource" in more else {"Resource": "*"}) | more
    policy = compile_policy({"Version": "2012-10-17", "Statement": [statement]})

    assert policy.conditional
    assert policy.decide(INVOKE, f"{API}pets", KEYS) is decision


def test_older_policies_have_no_variables() -> None:
    assert decide("${aws:username}", version="2008-10-17", Resource=f"{API}${{aws:username}}") is ALLOW
    assert decide("ann", version="2008-10-17", Resource=f"{API}${{aws:username}}") is NOTHING


@given(st.text(min_size=1, max_size=12), st.text(max_size=12))
def test_a_value_is_only_itself(value: str, text: str) -> None:
    like = parse("x/${aws:username}/*", Scope()).like()
    keys = {"aws:username": [value]}

    assert like(f"x/{value}/y", keys)
    assert like(f"x/{text}/", keys) is (text == value or text.startswith(f"{value}/"))


_pieces = st.sampled_from(["${", "}", "aws:userid", "'x'", ", ", "*", "?", "$", "${*}", "${aws:username}"])


@given(st.lists(_pieces | st.text(max_size=3), max_size=8).map("".join), st.text(max_size=9))
def test_any_text_has_variables_or_says_why_not(text: str, other: str) -> None:
    try:
        template = parse(text, Scope(OF_SIGNED))
    except ValueError:
        return
    for test in (
        template.like(),
        template.literal(str.casefold).like(str.casefold),
        *(part.like() for part in template.split(":", 5)),
    ):
        try:
            assert test(other, KEYS) in (True, False)
        except NoValue:
            assert "aws:userid" in text
