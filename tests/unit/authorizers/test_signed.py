"""Who may call `@connections` (API Gateway developer guide, "Use @connections commands in your backend service")."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from tests.unit.authorizers.test_sigv4 import KEY, REGION, SECRET, signed
from wsgateway.authorizers import sigv4
from wsgateway.authorizers.signed import Signers, check
from wsgateway.errors import NotAuthorized, UnrecognizedClient
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


def allowed(found: Signers, verb: str = "POST") -> bool:
    try:
        found.let_manage(found.by_key[KEY], "chat", "prod", verb, "10.0.0.1")
    except NotAuthorized:
        return False
    return True


def test_who_has_signed() -> None:
    request = signed(token=None)
    stamp = sigv4.claim_of(request).stamp
    now = datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()

    assert signers().signer_of(request, request.body, now).principal == ANN


def test_a_key_nobody_has() -> None:
    request = signed()

    with pytest.raises(UnrecognizedClient, match=f"no credential has the access key {KEY}"):
        Signers.of([], region=REGION, account=ACCOUNT).signer_of(request, request.body, 0.0)


def test_a_session_nobody_knows() -> None:
    request = signed(token="session")

    with pytest.raises(UnrecognizedClient, match="no session is known"):
        signers().signer_of(request, request.body, 0.0)


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
        found.let_manage(found.by_key[KEY], "chat", "prod", "POST", "10.0.0.1")

    assert caught.value.detail == (
        f"User: {ANN} is not authorized to perform: execute-api:ManageConnections on resource: "
        f"arn:aws:execute-api:{REGION}:********9012:chat/prod/POST/@connections/{{connectionId}} {ends}"
    )


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
    secure = {"Effect": "Deny", "Action": "*", "Resource": "*", "Condition": {"Bool": {"aws:SecureTransport": "false"}}}
    source = {"Effect": "Deny", "Action": "*", "Resource": "*", "Condition": {"IpAddress": {"AWS:sourceip": "::1"}}}

    (problem,) = check([credential({"Statement": [source, secure]})])

    assert problem.path == (0, "policy", "Statement", 1, "Condition", "Bool", "aws:SecureTransport")
    assert problem.text == "is no key that requests have here; they have aws:PrincipalArn, aws:SourceIp"
