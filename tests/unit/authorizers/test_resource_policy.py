"""What a REST API's own policy says, and what it is together with what others say.

API Gateway developer guide, "How API Gateway resource policies affect authorization workflow" and "AWS condition keys
that can be used in API Gateway resource policies".
"""

from __future__ import annotations

from contextlib import nullcontext as does_not_raise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.requests import method_request
from wsgateway.authorizers import arns, principal
from wsgateway.authorizers.policy import Decision, compile_policy
from wsgateway.authorizers.policy_elements import PolicyError
from wsgateway.authorizers.resource_policy import ResourcePolicy, foreign, misplaced
from wsgateway.authorizers.signed import Signer, Signers
from wsgateway.errors import NotAuthorized

OURS, OTHER = "123456789012", "210987654321"
SIGNERS = Signers("eu-west-1", OURS, {})
API = f"arn:aws:execute-api:eu-west-1:{OURS}:shop"
ALLOW, NONE, DENY = Decision.ALLOW, Decision.IMPLICIT_DENY, Decision.EXPLICIT_DENY


def statement(effect: str = "Allow", resource: object = "execute-api:/*", **more: object) -> dict[str, object]:
    return {"Effect": effect, "Principal": "*", "Action": "execute-api:Invoke", "Resource": resource} | more


def unnamed(effect: str) -> dict[str, object]:
    return {key: value for key, value in statement(effect).items() if key != "Principal"}


def policy(*statements: dict[str, object]) -> ResourcePolicy:
    return ResourcePolicy({"Version": "2012-10-17", "Statement": list(statements)}, "shop", SIGNERS)


@pytest.mark.parametrize(
    ("resource", "decision"),
    [
        pytest.param("execute-api:/*", ALLOW, id="all of the API"),
        pytest.param("execute-api:/v1/GET/pets/*", ALLOW, id="a resource"),
        pytest.param(["execute-api:/v2/*", "execute-api:/v1/*"], ALLOW, id="one of two"),
        pytest.param("execute-api:/v1/POST/*", NONE, id="another verb"),
        pytest.param(f"{API}/v1/GET/pets/7", ALLOW, id="a whole ARN"),
        pytest.param("arn:aws:execute-api:*:*:*/*/GET/*", ALLOW, id="an ARN with wildcards"),
        pytest.param("arn:aws:execute-api:us-east-1:*:*", NONE, id="another region"),
    ],
)
def test_resources_may_be_written_as_those_of_the_api(resource: object, decision: Decision) -> None:
    request = method_request("/pets/{id}", {"id": "7"})

    assert policy(statement(resource=resource)).decide(request, arns.of_method(request)) is decision


@pytest.mark.parametrize(
    ("condition", "decision"),
    [
        pytest.param({"IpAddress": {"aws:SourceIp": "203.0.113.0/24"}}, ALLOW, id="an address"),
        pytest.param({"IpAddress": {"aws:SourceIp": ["10.0.0.0/8", "::/0"]}}, NONE, id="other addresses"),
        pytest.param({"Bool": {"aws:SecureTransport": "true"}}, NONE, id="http"),
        pytest.param({"StringEquals": {"aws:UserAgent": "curl/8"}}, ALLOW, id="a user agent"),
        pytest.param({"StringEquals": {"aws:SourceVpce": "vpce-1"}}, NONE, id="no endpoint"),
        pytest.param({"StringNotEquals": {"aws:SourceVpce": "vpce-1"}}, ALLOW, id="not by that endpoint"),
        pytest.param({"DateGreaterThan": {"aws:CurrentTime": "2020-01-01T00:00:00Z"}}, ALLOW, id="a time"),
        pytest.param({"StringLike": {"aws:PrincipalArn": "*"}}, NONE, id="nobody has signed"),
        pytest.param({"ArnLike": {"aws:SourceArn": "arn:aws:sns:*:*:*"}}, NONE, id="no service calls for a resource"),
        pytest.param({"ArnNotLike": {"aws:SourceArn": "arn:aws:sns:*:*:*"}}, ALLOW, id="nor for another"),
        pytest.param({"ArnLikeIfExists": {"aws:SourceArn": "arn:aws:sns:*:*:*"}}, ALLOW, id="if one does"),
        pytest.param({"StringEquals": {"aws:RequestedRegion": "eu-west-1"}}, ALLOW, id="our region"),
        pytest.param({"Bool": {"aws:ViaAWSService": "true"}}, NONE, id="through a service"),
        pytest.param({"StringEquals": {"aws:UserAgent": "curl/${aws:Referer, '8'}"}}, ALLOW, id="a variable"),
    ],
)
def test_conditions_ask_of_the_request(condition: dict[str, object], decision: Decision) -> None:
    request = method_request(headers=((b"User-Agent", b"curl/8"),))

    assert policy(statement(Condition=condition)).decide(request, arns.of_method(request)) is decision


@pytest.mark.parametrize(
    ("condition", "decision"),
    [
        pytest.param({"StringEquals": {"aws:SourceVpce": "vpce-1", "aws:SourceVpc": "vpc-1"}}, ALLOW, id="both"),
        pytest.param({"StringEquals": {"aws:SourceVpce": "vpce-2"}}, NONE, id="another endpoint"),
        pytest.param({"IpAddress": {"aws:VpcSourceIp": "203.0.113.7"}}, ALLOW, id="an address in it"),
        pytest.param({"IpAddress": {"aws:SourceIp": "203.0.113.7"}}, NONE, id="it has no public address"),
    ],
)
def test_conditions_ask_of_the_endpoint_it_came_by(condition: dict[str, object], decision: Decision) -> None:
    request = method_request()
    request.client.identity = {"vpceId": "vpce-1", "vpcId": "vpc-1"}

    assert policy(statement(Condition=condition)).decide(request, arns.of_method(request)) is decision


def test_what_requests_never_have_is_refused() -> None:
    with pytest.raises(PolicyError, match="aws:ResourceTag/team: is no key"):
        policy(statement(Condition={"StringEquals": {"aws:ResourceTag/team": "a"}}))
    with pytest.raises(PolicyError, match="Resource: the variable aws:ResourceTag/team is no key"):
        policy(statement(resource="execute-api:/v1/GET/${aws:ResourceTag/team}"))


def test_resources_of_other_apis_are_told() -> None:
    known = ["execute-api:/*", f"{API}/*", "arn:aws:execute-api:*:*:sh?p/v1/*", "*", "arn:aws:execute-api:*"]
    other = f"arn:aws:execute-api:eu-west-1:{OURS}:a1b2c3/*"

    known += [f"{API}/v1/GET/${{aws:username}}", "arn:aws:execute-api:*:*:${aws:PrincipalTag/api}/*"]

    found = foreign({"Statement": [statement(resource=known), statement(resource=[*known, other])]}, "shop")

    assert list(found) == [(("Statement", 1, "Resource"), other)]


def test_resources_of_other_regions_and_accounts_are_told() -> None:
    """A Deny of them would deny nothing."""
    known = ["execute-api:/*", f"{API}/*", "arn:aws:execute-api:*:*:shop/*", "*", "arn:aws:execute-api:*"]
    known += [f"{API}/v1/GET/${{aws:username}}", "arn:aws:execute-api", f"arn:aws:execute-api:eu-west-?:{OURS}"]
    others = [
        f"arn:aws:execute-api:us-east-1:{OURS}:shop/*",
        f"arn:aws:execute-api:*:{OTHER}:shop/*",
        f"arn:aws-cn:execute-api:eu-west-1:{OURS}:shop/*",
        "arn:aws:execute-api:us-east-1",
    ]

    found = misplaced({"Statement": [statement(resource=known), statement("Deny", [*known, *others])]}, SIGNERS)

    assert list(found) == [(("Statement", 1, "Resource"), other) for other in others]


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=20)
    | st.sampled_from(["*", "Allow", "execute-api:/*"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from([*statement(), "Condition", "NotResource", "AWS", "x"]), inner, max_size=6)
    ),
    max_leaves=20,
)


@given(JSON)
def test_any_document_is_a_policy_or_told_to_be_none(value: Any) -> None:
    document = {"Statement": value}
    try:
        compiled = ResourcePolicy(document, "shop", SIGNERS)
    except PolicyError:
        return
    assert compiled.decide(method_request(), "shop/v1/GET/pets") in Decision
    assert all(isinstance(text, str) for _, text in foreign(document, "shop"))


def test_the_words_of_a_refusal() -> None:
    request, masked = method_request(), "arn:aws:execute-api:eu-west-1:********9012:shop/v1/GET/pets"
    said = f"User: anonymous is not authorized to perform: execute-api:Invoke on resource: {masked}"

    with pytest.raises(NotAuthorized) as nothing:
        policy(statement(resource="execute-api:/v2/*")).let_call(request)
    with pytest.raises(NotAuthorized) as denied:
        policy(statement(), statement("Deny")).let_call(request)
    with pytest.raises(NotAuthorized) as first:
        policy(statement("Deny")).grants(request)

    assert (nothing.value.detail, denied.value.detail) == (said, f"{said} with an explicit deny")
    assert first.value.detail == denied.value.detail
    assert policy(statement()).grants(request)
    assert not policy(statement(resource="execute-api:/v2/*")).grants(request)


STATEMENTS: dict[Decision, list[Any]] = {
    ALLOW: [{"Effect": "Allow", "Action": "*", "Resource": "*"}],
    NONE: [{"Effect": "Allow", "Action": "*", "Resource": "arn:x"}],
    DENY: [{"Effect": "Deny", "Action": "*", "Resource": "*"}],
}


@pytest.mark.parametrize(
    ("identity", "resource", "same", "cross"),  # NONE is what an API without a policy says, too
    [
        (ALLOW, ALLOW, True, True),
        (ALLOW, NONE, True, False),
        (ALLOW, DENY, False, False),
        (NONE, ALLOW, True, False),
        (NONE, NONE, False, False),
        (NONE, DENY, False, False),
        (DENY, ALLOW, False, False),
        (DENY, NONE, False, False),
        (DENY, DENY, False, False),
    ],
)
@pytest.mark.parametrize("account", [OURS, OTHER], ids=["same account", "cross account"])
def test_what_two_policies_say_together(
    identity: Decision, resource: Decision, same: bool, cross: bool, account: str
) -> None:
    arn = f"arn:aws:iam::{account}:user/ann"
    signer = Signer("A", "s", arn, compile_policy({"Statement": STATEMENTS[identity]}), principal.of_principal(arn), {})
    expected = does_not_raise() if (same if account == OURS else cross) else pytest.raises(NotAuthorized)

    with expected as caught:
        SIGNERS.let_call(signer, "shop/v1/GET/pets", dict, resource)
    if caught is not None:
        assert caught.value.detail.endswith(" with an explicit deny") is (DENY in (identity, resource))


@pytest.mark.parametrize(
    ("named", "account", "decision"),
    [
        pytest.param("arn:aws:iam::{}:role/app", OURS, ALLOW, id="a role"),
        pytest.param("arn:aws:sts::{}:assumed-role/app/bob", OURS, ALLOW, id="a session"),
        pytest.param("arn:aws:iam::{}:role/other", OURS, NONE, id="another role"),
        pytest.param("{}", OTHER, ALLOW, id="an account"),
        pytest.param("arn:aws:iam::{}:root", OTHER, ALLOW, id="an account in AWS's form"),
        pytest.param("{}", OURS, NONE, id="our account, whose policies say what its roles may"),
    ],
)
def test_a_policy_names_who_signs(named: str, account: str, decision: Decision) -> None:
    arn = f"arn:aws:sts::{account}:assumed-role/app/bob"
    signer = Signer("A", "s", arn, compile_policy({"Statement": []}), principal.of_principal(arn), {})
    request = method_request()
    about = policy(statement(Principal={"AWS": named.format(account)}))

    assert about.decide(request, arns.of_method(request), signer) is decision
    assert about.decide(request, arns.of_method(request)) is NONE


@pytest.mark.parametrize(
    ("resource", "decision"),
    [
        pytest.param("execute-api:/v1/GET/users/${aws:username}/*", ALLOW, id="one's own"),
        pytest.param("execute-api:/v1/GET/users/${aws:PrincipalTag/team}/*", NONE, id="the team's"),
        pytest.param("execute-api:/v1/GET/users/${aws:PrincipalTag/Team, 'ann'}/*", ALLOW, id="without a team"),
    ],
)
def test_resources_of_whoever_signs(resource: str, decision: Decision) -> None:
    arn = f"arn:aws:iam::{OURS}:user/ann"
    signer = Signer("A", "s", arn, compile_policy({"Statement": []}), principal.of_principal(arn), {})
    request = method_request("/users/{name}/pets", {"name": "ann"})
    about = policy(statement(resource=resource))

    assert about.decide(request, arns.of_method(request), signer) is decision
    # Nobody who has not signed has a name, even where a path says there is one.
    nobody = method_request("/users/{name}/pets", {"name": "${aws:username}"})
    assert policy(statement(resource=resource.replace(", 'ann'", ""))).decide(nobody, arns.of_method(nobody)) is NONE


@pytest.mark.parametrize("partition", ["aws", "aws-cn"])
@pytest.mark.parametrize(("signs", "decision"), [("root", ALLOW), ("user/ann", NONE)])
def test_an_account_is_its_root_and_leaves_the_rest_to_policies(partition: str, signs: str, decision: Decision) -> None:
    arn = f"arn:{partition}:iam::{OURS}:{signs}"
    signer = Signer("A", "s", arn, compile_policy({"Statement": []}), principal.of_principal(arn), {})
    request = method_request()

    for named in (OURS, f"arn:{partition}:iam::{OURS}:root"):
        allowed, denied = (policy(statement(effect, Principal={"AWS": named})) for effect in ("Allow", "Deny"))
        assert allowed.decide(request, arns.of_method(request), signer) is decision
        assert denied.decide(request, arns.of_method(request), signer) is DENY
        # Of all in the account it is the root alone whom its name names in full.
        others = policy({**unnamed("Deny"), "NotPrincipal": {"AWS": named}})
        assert others.decide(request, arns.of_method(request), signer) is (NONE if signs == "root" else DENY)


INVALIDATE = "execute-api:InvalidateCache"


@pytest.mark.parametrize(
    ("identity", "resource", "expected"),
    [
        (None, None, False),
        ("Allow", None, True),
        (None, "Allow", True),
        ("Allow", "Deny", False),
        ("Deny", "Allow", False),
    ],
)
def test_both_policies_say_what_else_a_signer_may_do(
    identity: str | None, resource: str | None, expected: bool
) -> None:
    def of(effect: str | None) -> list[dict[str, object]]:
        return [] if effect is None else [{"Effect": effect, "Action": INVALIDATE, "Resource": "*"}]

    arn = f"arn:aws:iam::{OURS}:user/ann"
    signer = Signer("A", "s", arn, compile_policy({"Statement": of(identity)}), principal.of_principal(arn), {})
    about = policy(*(statement(effect, Action=INVALIDATE) for effect in (resource,) if effect is not None))
    request, path = method_request(), "shop/v1/GET/pets"
    theirs = about.decide(request, path, signer, INVALIDATE)

    assert SIGNERS.permits(signer, INVALIDATE, path, dict, theirs) is expected
    assert about.decide(request, path, signer) is NONE


@pytest.mark.parametrize(
    ("effect", "theirs", "expected"),
    [
        ("Allow", True, True),
        ("Allow", None, True),
        ("Allow", False, False),
        ("Deny", True, False),
        ("Deny", None, False),
        (None, True, True),
        (None, None, None),
        (None, False, False),
    ],
)
def test_both_say_what_else_a_client_may_do(effect: str | None, theirs: bool | None, expected: bool | None) -> None:
    about = policy(*(statement(each, Action=INVALIDATE) for each in (effect,) if each is not None))

    assert about.permits(method_request(), lambda action: theirs, INVALIDATE) is expected
