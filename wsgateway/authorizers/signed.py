"""AWS_IAM: who has signed a request, and what their policy lets them do.

IAM user guide, "Create a signed AWS API request"; API Gateway developer guide, "Control access to WebSocket APIs with
AWS_IAM authorization" (`execute-api:Invoke`) and "Use @connections commands in your backend service"
(`execute-api:ManageConnections`).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from wsgateway.authorizers import arns, principal, sigv4
from wsgateway.authorizers.condition_keys import OF_SIGNED, Keys
from wsgateway.authorizers.policy import Decision, Policy, compile_policy, faults_of
from wsgateway.authorizers.principal import account_of
from wsgateway.authorizers.sigv4 import Claim
from wsgateway.errors import ExpiredToken, NotAuthorized, Problem, UnrecognizedClient
from wsgateway.model.credential import Credential
from wsgateway.trace import Mark

INVOKE = "execute-api:Invoke"
MANAGE = "execute-api:ManageConnections"


class Request(sigv4.Request, principal.Request, Protocol):
    """What of a request is signed, and what conditions ask of it."""


@dataclass(frozen=True, slots=True)
class Signer:
    """Whoever has a key that requests to us are signed with."""

    access_key: str
    secret: str = field(repr=False)
    principal: str
    """The ARN of the user, the role or the session it belongs to."""
    policy: Policy
    keys: Keys
    """What conditions may ask of them."""
    identity: Mapping[str, str]
    """What `$context.identity` has of them."""
    tags: Mapping[str, str] = field(default_factory=dict)
    expires: float | None = None
    """Unix time at which the session ends; None where it is no session's key."""


OfRequest = Callable[[], Keys]
"""The keys that a request has, whoever signs it, for the policies that ask for any."""
Sessions = Callable[[Claim, float, Mark | None], Signer | Awaitable[Signer]]
"""Whose session a claim's token belongs to, at once where nothing has to be waited for; given Unix time, and the trace
that it is asked in, if anybody follows one. *Raises* UnrecognizedClient where it belongs to none, AuthorizerFailure and
ServiceUnavailable where that can't be found out."""


def check(credentials: Iterable[Credential]) -> Iterator[Problem]:
    """Policies that can't be evaluated; paths begin at the list of credentials."""
    for number, credential in enumerate(credentials):
        for fault in faults_of(credential.policy, keys=OF_SIGNED):
            yield Problem((number, "policy", *fault.steps), fault.problem)


def strangers(credentials: Iterable[Credential], account: str) -> Iterator[Problem]:
    """Credentials of other accounts than ours, whom no policy of theirs lets in by itself; paths as of `check`."""
    for number, credential in enumerate(credentials):
        theirs = account_of(credential.principal_arn)
        if theirs != account:
            yield Problem((number, "principalArn"), _of_another(theirs, account))


def _of_another(theirs: str, ours: str) -> str:
    return (
        f"is of account {theirs}, and the gateway of {ours} (--account-id): only methods are let in whose API has a "
        "policy that allows it, too"
    )


@dataclass(frozen=True, slots=True)
class Signers:
    """All who may sign, of one deployment; `region` and `account` are those of our own ARNs."""

    region: str
    account: str
    by_key: Mapping[str, Signer]
    sessions: Sessions | None = None
    """Who knows the tokens of sessions; None where nobody does."""

    @classmethod
    def of(
        cls, credentials: Iterable[Credential], *, region: str, account: str, sessions: Sessions | None = None
    ) -> Signers:
        """Those of a definition that `check` found nothing wrong with."""
        return cls(region, account, {one.access_key_id: _signer(one) for one in credentials}, sessions)

    def signer_of(
        self, claim: Claim, request: Request, body: bytes, now: float, mark: Mark | None = None
    ) -> Signer | Awaitable[Signer]:
        """Who has signed the request, its whole body included; `now` is Unix time. Only sessions are waited for.

        *Raises* UnrecognizedClient, InvalidSignature, ExpiredToken, and what `sessions` raises; at once or later.
        """
        # Before anybody is asked whose session it is: what is not for us, or not of these minutes, is nobody's.
        self.expect(claim, now)
        signer: Signer | Awaitable[Signer] | None = self.by_key.get(claim.access_key)
        if claim.token:
            signer = None if self.sessions is None else self.sessions(claim, now, mark)
        if signer is None:
            raise UnrecognizedClient("no session is known")
        if isinstance(signer, Signer):
            return _verified(signer, claim, request, body, now)
        return self._in_session(signer, claim, request, body, now)

    def expect(self, claim: Claim, now: float) -> None:
        """Whether a request with this claim may be signed at all, whatever its body.

        *Raises* UnrecognizedClient, InvalidSignature.
        """
        if not claim.token and claim.access_key not in self.by_key:
            raise UnrecognizedClient(f"no credential has the access key {claim.access_key}")
        sigv4.check(claim, region=self.region, now=now)
        if claim.token and self.sessions is None:
            raise UnrecognizedClient("no session is known")

    async def _in_session(
        self, pending: Awaitable[Signer], claim: Claim, request: Request, body: bytes, now: float
    ) -> Signer:
        return _verified(await pending, claim, request, body, now)

    def let_invoke(self, signer: Signer, api_id: str, stage: str, request: Request, now: float) -> None:
        """Let a signer connect. *Raises* NotAuthorized, in AWS's words."""
        resource = f"{api_id}/{stage}/$connect"
        self._let(signer, INVOKE, resource, "identity-based policy", "an identity-based policy", request, now)

    def let_call(self, signer: Signer, path: str, of_request: OfRequest, theirs: Decision) -> None:
        """Let a signer call a method, `shop/v1/GET/pets`; `theirs` is what the API's own policy says, if it has one.

        *Raises* NotAuthorized.
        """
        said = self._said(signer, INVOKE, path, of_request, theirs)
        if said is not Decision.ALLOW:
            denied = said is Decision.EXPLICIT_DENY
            raise self.no_call(signer.principal, path, denied, "" if denied else self._stranger(signer))

    def permits(self, signer: Signer, action: str, path: str, of_request: OfRequest, theirs: Decision) -> bool:
        """Whether a signer may do something else to a method, by both policies."""
        return self._said(signer, action, path, of_request, theirs) is Decision.ALLOW

    def _said(self, signer: Signer, action: str, path: str, of_request: OfRequest, theirs: Decision) -> Decision:
        """What both policies say together; IMPLICIT_DENY stands for one that isn't there.

        API Gateway developer guide, "How API Gateway resource policies affect authorization workflow": of our own
        account one of the two policies has to allow it, of others both.
        """
        said = (self._decision(signer, action, path, of_request), theirs)
        if Decision.EXPLICIT_DENY in said:
            return Decision.EXPLICIT_DENY
        enough = any if account_of(signer.principal) == self.account else all
        return Decision.ALLOW if enough(each is Decision.ALLOW for each in said) else Decision.IMPLICIT_DENY

    def no_call(self, who: str, path: str, denied: bool, reason: str = "") -> NotAuthorized:
        """That somebody may not call a method, in the words that REST APIs have for it; `reason` is for the log."""
        text = f"User: {who} is not authorized to perform: {INVOKE} on resource: {self._masked(path)}"
        return NotAuthorized(f"{text} with an explicit deny" if denied else text, reason)

    def let_manage(self, signer: Signer, api_id: str, stage: str, request: Request, now: float) -> None:
        """Let a signer call `@connections`. *Raises* NotAuthorized, in AWS's words.

        As on AWS a policy names no single connection: the resource ends in `@connections/{connectionId}`, literally.
        """
        resource = f"{api_id}/{stage}/{request.method}/@connections/{{connectionId}}"
        self._let(signer, MANAGE, resource, "session policy", "a session policy", request, now)

    def _let(
        self, signer: Signer, action: str, path: str, policy: str, a_policy: str, request: Request, now: float
    ) -> None:
        of_request = partial(principal.of_request, request, now, self.region, {})
        decision, stranger = self._decision(signer, action, path, of_request), self._stranger(signer)
        if decision is Decision.EXPLICIT_DENY:
            because, stranger = f"with an explicit deny in {a_policy}", ""
        elif decision is Decision.IMPLICIT_DENY:
            because = f"because no {policy} allows the {action} action"
        elif stranger:
            # WebSocket APIs have no policy of their own, so that nothing here can let in another account's.
            because = f"because no resource-based policy allows the {action} action"
        else:
            return
        raise NotAuthorized(
            f"User: {signer.principal} is not authorized to perform: {action} on resource: {self._masked(path)} "
            f"{because}",
            stranger,
        )

    def _stranger(self, signer: Signer) -> str:
        """What an operator is told of a signer of another account, who needs more than their own policy; "" of ours."""
        account = account_of(signer.principal)
        return "" if account == self.account else _of_another(account, self.account)

    def _decision(self, signer: Signer, action: str, path: str, of_request: OfRequest) -> Decision:
        """What the signer's own policy says."""
        keys = {**of_request(), **signer.keys} if signer.policy.conditional else {}
        return signer.policy.decide(action, arns.execute_api(self.region, self.account, path), keys)

    def _masked(self, path: str) -> str:
        """An ARN as clients are told it."""
        return arns.execute_api(self.region, "*" * 8 + self.account[-4:], path)


NOBODY_SIGNS = Signers("", "", {})


def _signer(credential: Credential) -> Signer:
    key, arn, user_id = credential.access_key_id, credential.principal_arn, credential.user_id
    org_id, org_paths, tags = credential.principal_org_id, credential.principal_org_paths, credential.tags
    return Signer(
        key,
        credential.secret_access_key.text,
        arn,
        compile_policy(credential.policy, keys=OF_SIGNED),
        principal.of_principal(arn, user_id, org_id=org_id, org_paths=org_paths, tags=tags),
        principal.identity_of(key, arn, user_id, org_id),
        tags,
    )


def _verified(signer: Signer, claim: Claim, request: Request, body: bytes, now: float) -> Signer:
    sigv4.verify(request, body, claim, signer.secret)
    if signer.expires is not None and now >= signer.expires:
        raise ExpiredToken(f"the session of {signer.principal} is over")
    return signer
