"""Who may call `@connections` (API Gateway developer guide, "Use @connections commands in your backend service")."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.authorizers.test_sigv4 import KEY, REGION, SECRET, signed
from wsgateway.authorizers import principal, sigv4
from wsgateway.authorizers.signed import Signer, Signers, check, strangers
from wsgateway.errors import NotAuthorized, UnrecognizedClient
from wsgateway.messages import Header, HttpRequest
from wsgateway.model.credential import Credential

ACCOUNT = "123456789012"
ANN = f"arn:aws:iam::{ACCOUNT}:user/ann"
API = f"arn:aws:execute-api:{REGION}:{ACCOUNT}:chat"


def signers(resource: str = "*", effect: str = "Allow") -> Signers:
    statement = {"Effect": effect, "Action": "execute-api:ManageConnections", "Resource": resource}
    return Signers.of([credential({"Statement": [statement]})], region=REGION, account=ACCOUNT)


def credential(policy: dict[str, Any]) -> Credential:
    written = {"accessKeyId": KEY, "secretAccessKey": SECRET, "principalArn": ANN, "policy": policy}
    return Credential.model_validate(written)


def asking(method: str = "GET", *headers: Header, source: str = "10.0.0.1", scheme: str = "https") -> HttpRequest:
    return HttpRequest(method, "/prod", "api.example", headers, source=source, scheme=scheme)


def allowed(found: Signers, verb: str = "POST") -> bool:
    try:
        found.let_manage(found.by_key[KEY], "chat", "prod", asking(verb), 0.0)
    except NotAuthorized:
        return False
    return True


def test_who_has_signed() -> None:
    request = signed(token=None)
    claim = sigv4.claim_of(request)

    signer = signers().signer_of(claim, request, request.body, sigv4.signed_at(claim))

    assert isinstance(signer, Signer)
    assert signer.principal == ANN


def test_a_key_nobody_has() -> None:
    request = signed()
    claim = sigv4.claim_of(request)

    with pytest.raises(UnrecognizedClient, match=f"no credential has the access key {KEY}"):
        Signers.of([], region=REGION, account=ACCOUNT).signer_of(claim, request, request.body, sigv4.signed_at(claim))


def test_a_session_nobody_knows() -> None:
    request = signed(token="session")
    claim = sigv4.claim_of(request)

    with pytest.raises(UnrecognizedClient, match="no session is known"):
        signers().signer_of(claim, request, request.body, sigv4.signed_at(claim))


@pytest.mark.parametrize(
    ("resource", "verb", "yes"),
    [
        pytest.param(f"{API}/prod/POST/@connections/*", "POST", True, id="every connection"),
        pytest.param(f"{API}/prod/POST/@connections/*", "DELETE", False, id="another verb"),
        pytest.param(f"{API}/prod/*", "DELETE", True, id="the stage"),
        pytest.param(f"{API}/*", "GET", True, id="the API"),
        pytest.param(f"{API}/dev/*", "POST", False, id="another stage"),
        pytest.param(f"{API}/prod/POST/@connections/{{connectionId}}", "POST", True, id="AWS's literal"),
        pytest.param(f"{API}/prod/POST/@connections/abc=", "POST", False, id="one connection"),
        pytest.param(f"{API}/prod/POST/@connections", "POST", False, id="without the last slash"),
    ],
)
def test_what_a_policy_names(resource: str, verb: str, yes: bool) -> None:
    assert allowed(signers(resource), verb) is yes


@pytest.mark.parametrize(
    ("found", "ends"),
    [
        pytest.param(
            signers(f"{API}/dev/*"),
            "because no session policy allows the execute-api:ManageConnections action",
            id="nothing allows it",
        ),
        pytest.param(signers(effect="Deny"), "with an explicit deny in a session policy", id="something denies it"),
    ],
)
def test_a_denial_in_the_words_of_aws(found: Signers, ends: str) -> None:
    with pytest.raises(NotAuthorized) as caught:
        found.let_manage(found.by_key[KEY], "chat", "prod", asking("POST"), 0.0)

    assert caught.value.detail == (
        f"User: {ANN} is not authorized to perform: execute-api:ManageConnections on resource: "
        f"arn:aws:execute-api:{REGION}:********9012:chat/prod/POST/@connections/{{connectionId}} {ends}"
    )


EVE = ANN.replace(ACCOUNT, "210987654321")
SAID = f"User: {EVE} is not authorized to perform: execute-api:{{}} on resource: arn:aws:execute-api:{REGION}:"


@pytest.mark.parametrize(
    ("resource", "effect", "connect", "manage"),
    [
        pytest.param(
            "*",
            "Allow",
            "because no resource-based policy allows the execute-api:Invoke action",
            "because no resource-based policy allows the execute-api:ManageConnections action",
            id="theirs allows it",
        ),
        pytest.param(
            "arn:x",
            "Allow",
            "because no identity-based policy allows the execute-api:Invoke action",
            "because no session policy allows the execute-api:ManageConnections action",
            id="theirs says nothing",
        ),
        pytest.param(
            "*",
            "Deny",
            "with an explicit deny in an identity-based policy",
            "with an explicit deny in a session policy",
            id="theirs denies it",
        ),
    ],
)
def test_nothing_on_a_websocket_api_lets_in_who_is_of_another_account(
    resource: str, effect: str, connect: str, manage: str
) -> None:
    statement = {"Effect": effect, "Action": "*", "Resource": resource}
    theirs = credential({"Statement": [statement]}).model_copy(update={"principal_arn": EVE})
    found = Signers.of([theirs], region=REGION, account=ACCOUNT)
    signer = found.by_key[KEY]

    with pytest.raises(NotAuthorized) as connecting:
        found.let_invoke(signer, "chat", "prod", asking(), 0.0)
    with pytest.raises(NotAuthorized) as managing:
        found.let_manage(signer, "chat", "prod", asking("POST"), 0.0)

    told = f"is of account 210987654321, and the gateway of {ACCOUNT} (--account-id)"
    for error, action, ends in (
        (connecting.value, "Invoke", connect),
        (managing.value, "ManageConnections", manage),
    ):
        assert error.detail.startswith(SAID.format(action))
        assert error.detail.endswith(ends)
        assert (told in error.reason) is (effect == "Allow")


def test_credentials_of_other_accounts_are_told_with_their_place() -> None:
    ours = credential({"Statement": []})
    theirs = ours.model_copy(update={"principal_arn": EVE})

    assert [problem.path for problem in strangers([ours, theirs], ACCOUNT)] == [(1, "principalArn")]


def test_secrets_are_not_shown() -> None:
    assert SECRET not in repr(signers())


def test_a_policy_that_can_not_be_evaluated_is_told_with_its_place() -> None:
    bad = {"Statement": [{"Effect": "allow", "Action": "*", "Resource": "*"}]}

    problems = list(check([credential({"Statement": []}), credential(bad)]))

    assert [(problem.path, problem.text) for problem in problems] == [
        ((1, "policy", "Statement", 0, "Effect"), "is Allow or Deny")
    ]


def test_a_condition_that_no_request_could_meet_is_no_policy() -> None:
    """A Deny behind such a key would deny nothing."""
    tag = {"Effect": "Deny", "Action": "*", "Resource": "*", "Condition": {"Bool": {"aws:ResourceTag/vip": "false"}}}
    source = {"Effect": "Deny", "Action": "*", "Resource": "*", "Condition": {"IpAddress": {"AWS:sourceip": "::1"}}}

    (problem,) = check([credential({"Statement": [source, tag]})])

    assert problem.path == (0, "policy", "Statement", 1, "Condition", "Bool", "aws:ResourceTag/vip")
    assert problem.text.startswith("is no key that requests have here; they have aws:PrincipalAccount, aws:")


USER_AGENT, REFERER = (b"User-Agent", b"tests/1"), (b"Referer", b"https://chat.example/room")


@pytest.mark.parametrize(
    ("condition", "meets", "misses"),
    [
        pytest.param(
            {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}, asking(), asking(source="192.0.2.1"), id="where from"
        ),
        pytest.param({"Bool": {"aws:SecureTransport": "true"}}, asking(), asking(scheme="http"), id="over TLS"),
        pytest.param(
            {"StringLike": {"aws:UserAgent": "tests/*"}}, asking("GET", USER_AGENT), asking(), id="by which program"
        ),
        pytest.param(
            {"StringLike": {"aws:Referer": "https://chat.example/*"}},
            asking("GET", REFERER),
            asking("GET", REFERER, REFERER),
            id="from which page",
        ),
    ],
)
def test_conditions_ask_of_a_request(condition: dict[str, Any], meets: HttpRequest, misses: HttpRequest) -> None:
    assert invokes(condition, meets)
    assert not invokes(condition, misses)


@pytest.mark.parametrize(
    "condition",
    [
        pytest.param({"StringEquals": {"aws:PrincipalAccount": ACCOUNT}}, id="the account"),
        pytest.param({"ArnEquals": {"aws:PrincipalArn": ANN}}, id="the ARN"),
        pytest.param({"StringEquals": {"aws:PrincipalType": "User"}}, id="the type"),
        pytest.param({"StringEquals": {"aws:username": "ann"}}, id="the name"),
        pytest.param({"StringEquals": {"aws:userid": "AIDAEXAMPLE"}}, id="the id"),
        pytest.param({"DateGreaterThan": {"aws:CurrentTime": "2001-09-09T01:46:39Z"}}, id="after a time"),
        pytest.param({"DateLessThan": {"aws:CurrentTime": "2001-09-09T01:46:41Z"}}, id="before a time"),
        pytest.param({"NumericEquals": {"aws:EpochTime": "1000000000"}}, id="at a time"),
        pytest.param({"StringEquals": {"aws:PrincipalTag/TEAM": "a"}}, id="a tag"),
        pytest.param({"StringEquals": {"aws:PrincipalTag/cost center": "7"}}, id="a tag with a blank"),
        pytest.param({"StringEquals": {"aws:PrincipalOrgID": "o-a1b2c3d4e5"}}, id="the organization"),
        pytest.param({"ForAnyValue:StringLike": {"aws:PrincipalOrgPaths": "o-a1b2c3d4e5/r-ab12/*"}}, id="its unit"),
        pytest.param({"Bool": {"aws:PrincipalIsAWSService": "false"}}, id="no service"),
        pytest.param({"StringEquals": {"aws:RequestedRegion": REGION}}, id="the region"),
        pytest.param({"StringEquals": {"aws:username": "${aws:PrincipalTag/name, 'ann'}"}}, id="a variable"),
        pytest.param({"BoolIfExists": {"aws:MultiFactorAuthPresent": "true"}}, id="keys that last say nothing of MFA"),
        pytest.param({"Null": {"aws:TokenIssueTime": "true"}}, id="nor when they were issued"),
    ],
)
def test_conditions_ask_of_whoever_signs(condition: dict[str, Any]) -> None:
    assert invokes(condition, asking())


MEMBER = {
    "tags": {"Team": "a", "cost center": "7"},
    "principal_org_id": "o-a1b2c3d4e5",
    "principal_org_paths": ["o-a1b2c3d4e5/r-ab12/ou-ab12-11111111/"],
}


def test_what_is_known_of_a_member_of_an_organization() -> None:
    signer = Signers.of([credential({"Statement": []}).model_copy(update=MEMBER)], region=REGION, account=ACCOUNT)

    assert signer.by_key[KEY].identity["principalOrgId"] == "o-a1b2c3d4e5"
    assert signer.by_key[KEY].tags == MEMBER["tags"]


def invokes(condition: dict[str, Any], request: HttpRequest) -> bool:
    statement = {"Effect": "Allow", "Action": "execute-api:Invoke", "Resource": "*", "Condition": condition}
    written = credential({"Version": "2012-10-17", "Statement": [statement]})
    policy = written.model_copy(update={"user_id": "AIDAEXAMPLE"} | MEMBER)
    found = Signers.of([policy], region=REGION, account=ACCOUNT)
    try:
        found.let_invoke(found.by_key[KEY], "chat", "prod", request, 1e9)
    except NotAuthorized:
        return False
    return True


@pytest.mark.parametrize(
    ("arn", "account", "user", "of_policies", "kind"),
    [
        (f"arn:aws:iam::{ACCOUNT}:user/team/ann", ACCOUNT, "ann", f"arn:aws:iam::{ACCOUNT}:user/team/ann", "User"),
        (
            f"arn:aws:sts::{ACCOUNT}:assumed-role/chat/ann",
            ACCOUNT,
            "chat:ann",
            f"arn:aws:iam::{ACCOUNT}:role/chat",
            "AssumedRole",
        ),
        (f"arn:aws:iam::{ACCOUNT}:root", ACCOUNT, ACCOUNT, f"arn:aws:iam::{ACCOUNT}:root", "Account"),
    ],
)
def test_who_a_principal_is(arn: str, account: str, user: str, of_policies: str, kind: str) -> None:
    keys = principal.of_principal(arn)

    assert principal.identity_of(KEY, arn) == {
        "accessKey": KEY,
        "accountId": account,
        "caller": user,
        "user": user,
        "userArn": arn,
    }
    assert (keys["aws:principalarn"], keys["aws:principaltype"], keys["aws:userid"]) == ([of_policies], [kind], [user])
    assert ("aws:username" in keys) is (kind == "User")
