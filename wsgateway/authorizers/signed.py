"""AWS_IAM: who has signed a request, and what their policy lets them do.

IAM user guide, "Create a signed AWS API request"; API Gateway developer guide, "Control access to a REST API with IAM
permissions" and "Use @connections commands in your backend service" (`execute-api:ManageConnections`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from wsgateway.authorizers import sigv4
from wsgateway.authorizers.policy import Decision, Policy, PolicyError, compile_policy
from wsgateway.errors import NotAuthorized, Problem, UnrecognizedClient
from wsgateway.model.credential import Credential

MANAGE = "execute-api:ManageConnections"
KEYS = ("aws:PrincipalArn", "aws:SourceIp")
"""The condition keys that a request has."""


@dataclass(frozen=True, slots=True)
class Signer:
    """A credential that requests to us are signed with."""

    access_key: str
    secret: str = field(repr=False)
    principal: str
    """The ARN of the user or role it belongs to."""
    policy: Policy


def check(credentials: Iterable[Credential]) -> Iterator[Problem]:
    """Policies that can't be evaluated; paths begin at the list of credentials."""
    for number, credential in enumerate(credentials):
        try:
            compile_policy(credential.policy, keys=KEYS)
        except PolicyError as error:
            path = [int(part) if part.isdigit() else part for part in error.path.split(".") if part]
            yield Problem((number, "policy", *path), error.problem)


@dataclass(frozen=True, slots=True)
class Signers:
    """All credentials of one deployment; `region` and `account` are those of our own ARNs."""

    region: str
    account: str
    by_key: Mapping[str, Signer]

    @classmethod
    def of(cls, credentials: Iterable[Credential], *, region: str, account: str) -> Signers:
        """Those of a definition that `check` found nothing wrong with."""
        signers = {
            one.access_key_id: Signer(
                one.access_key_id,
                one.secret_access_key.text,
                one.principal_arn,
                compile_policy(one.policy, keys=KEYS),
            )
            for one in credentials
        }
        return cls(region, account, signers)

    def signer_of(self, request: sigv4.Request, body: bytes, now: float) -> Signer:
        """Who has signed the request, its whole body included; `now` is Unix time.

        *Raises* MissingAuthenticationToken, UnrecognizedClient, InvalidSignature.
        """
        claim = sigv4.claim_of(request)
        signer = self.by_key.get(claim.access_key)
        if signer is None or claim.token:
            what = "session is known" if claim.token else f"credential has the access key {claim.access_key}"
            raise UnrecognizedClient(f"no {what}")
        sigv4.verify(request, body, claim, signer.secret, region=self.region, now=now)
        return signer

    def let_manage(self, signer: Signer, api_id: str, stage: str, verb: str, source: str) -> None:
        """Let a signer call `@connections`. *Raises* NotAuthorized, in AWS's words.

        As on AWS a policy names no single connection: the resource ends in `@connections/{connectionId}`, literally.
        """
        path = f"{api_id}/{stage}/{verb}/@connections/{{connectionId}}"
        resource = f"arn:aws:execute-api:{self.region}:{self.account}:{path}"
        keys = {"aws:sourceip": [source], "aws:principalarn": [signer.principal]}
        decision = signer.policy.decide(MANAGE, resource, keys)
        if decision is Decision.ALLOW:
            return
        because = (
            "with an explicit deny in a session policy"
            if decision is Decision.EXPLICIT_DENY
            else f"because no session policy allows the {MANAGE} action"
        )
        masked = f"arn:aws:execute-api:{self.region}:{'*' * 8}{self.account[-4:]}:{path}"
        raise NotAuthorized(
            f"User: {signer.principal} is not authorized to perform: {MANAGE} on resource: {masked} {because}"
        )
