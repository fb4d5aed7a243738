"""The resource policy of a REST API: who may call its methods, beside what authorizers and signatures say.

API Gateway developer guide, "Control access to a REST API with API Gateway resource policies" and "How API Gateway
resource policies affect authorization workflow".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from wsgateway.authorizers import arns, principal
from wsgateway.authorizers.condition_keys import OF_SIGNED, Keys
from wsgateway.authorizers.policy import Decision, compile_policy, faults_of
from wsgateway.authorizers.policy_elements import PolicyError
from wsgateway.authorizers.principals import Callers
from wsgateway.authorizers.signed import INVOKE, Signer, Signers
from wsgateway.authorizers.wildcards import any_of
from wsgateway.method_request import MethodRequest

ANONYMOUS = "anonymous"
SHORT = "execute-api:/"
"""How a resource of the API itself begins: `execute-api:/{stage}/{VERB}/{path}`."""


class ResourcePolicy:
    """The compiled policy of one API. *Raises* PolicyError where it can't be evaluated."""

    def __init__(self, document: Mapping[str, Any], api_id: str, signers: Signers) -> None:
        self._signers = signers
        self._policy = compile_policy(_expanded(document, _api(api_id, signers)), principals=True, keys=OF_SIGNED)

    def decide(self, request: MethodRequest, path: str, signer: Signer | None = None, action: str = INVOKE) -> Decision:
        """What it says to a request for `path`, as `arns.of_method` has it; of a signed one to its signer."""
        keys = self._keys(request, signer) if self._policy.conditional else {}
        callers = {} if signer is None else _names(signer, self._signers.account)
        resource = arns.execute_api(self._signers.region, self._signers.account, path)
        return self._policy.decide(action, resource, keys, callers)

    def _keys(self, request: MethodRequest, signer: Signer | None) -> Keys:
        assert request.request is not None  # it is one
        keys = principal.of_request(
            request.request, request.epoch / 1000, self._signers.region, request.client.identity
        )
        return keys if signer is None else {**keys, **signer.keys}

    def grants(self, request: MethodRequest) -> bool:
        """Whether it allows a request that nobody has signed. *Raises* NotAuthorized where it denies it."""
        path = arns.of_method(request)
        decision = self.decide(request, path)
        if decision is Decision.EXPLICIT_DENY:
            raise self._signers.no_call(ANONYMOUS, path, denied=True)
        return decision is Decision.ALLOW

    def permits(self, request: MethodRequest, others: Callable[[str], bool | None], action: str) -> bool | None:
        """Whether it, or what else let the client in (`others`), allows another action to a request that nobody has
        signed, and none denies it; None where both say nothing of it."""
        decision, theirs = self.decide(request, arns.of_method(request), action=action), others(action)
        if decision is Decision.EXPLICIT_DENY or theirs is False:
            return False
        return True if decision is Decision.ALLOW else theirs

    def let_call(self, request: MethodRequest) -> None:
        """*Raises* NotAuthorized unless it allows a request that nobody has signed."""
        if not self.grants(request):
            raise self._signers.no_call(ANONYMOUS, arns.of_method(request), denied=False)


def faults(document: Mapping[str, Any], api_id: str, signers: Signers) -> list[PolicyError]:
    """What keeps a document from being an API's policy."""
    return faults_of(_expanded(document, _api(api_id, signers)), principals=True, keys=OF_SIGNED)


def foreign(document: Mapping[str, Any], api_id: str) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Resources in a policy that can be evaluated that are none of this API: where they stand, and what they are."""
    for at, text in _resources(document):
        resource = text.split(":", 5)[5:]
        named = resource[0].partition("/")[0] if resource else "*"
        if "${" not in named and not any_of([named])(api_id):
            yield at, text


def misplaced(document: Mapping[str, Any], signers: Signers) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """The same of those in another region or account than ours: no request asks for any, and a Deny denies nothing."""
    ours = arns.execute_api(signers.region, signers.account, "").split(":")[:5]
    for at, text in _resources(document):
        parts = text.split(":", 5)
        if text.startswith(SHORT) or (len(parts) < 6 and "*" in text):
            continue  # of the API itself, or no telling what its stars go over
        if not all(any_of([part])(own) for part, own in zip(parts, ours, strict=False)):
            yield at, text


def _resources(document: Mapping[str, Any]) -> Iterator[tuple[tuple[str | int, ...], str]]:
    written = document["Statement"]
    for number, statement in enumerate(written if isinstance(written, list) else [written]):
        for key in {"Resource", "NotResource"} & statement.keys():
            for text in statement[key] if isinstance(statement[key], list) else [statement[key]]:
                yield ("Statement", number, key), text


def _api(api_id: str, signers: Signers) -> str:
    return arns.execute_api(signers.region, signers.account, api_id)


def _names(signer: Signer, account: str) -> Callers:
    """What a policy may call a signer.

    Who allows our own account leaves it to the policies of its users and roles (IAM user guide, "AWS JSON policy
    elements: Principal"). An account's root is known by the account alone, however a policy writes that.
    """
    theirs = principal.account_of(signer.principal)
    if signer.principal.endswith(":root"):
        return {theirs: True}
    known = [signer.principal, *signer.keys.get("aws:principalarn", ())]
    return dict.fromkeys(known, True) | {theirs: theirs != account}


def _expanded(document: Mapping[str, Any], api: str) -> dict[str, Any]:
    """The document with whole ARNs in place of `execute-api:/…`."""
    written = document.get("Statement")
    statements = written if isinstance(written, list) else [written]
    return {**document, "Statement": [_whole(statement, api) for statement in statements]}


def _whole(statement: object, api: str) -> object:
    if not isinstance(statement, Mapping):
        return statement
    found = {key: statement[key] for key in ("Resource", "NotResource") if key in statement}
    return {**statement, **{key: list(_arns(value, api)) for key, value in found.items()}}


def _arns(value: object, api: str) -> Iterator[object]:
    for text in value if isinstance(value, list) else [value]:
        yield f"{api}/{text.removeprefix(SHORT)}" if isinstance(text, str) and text.startswith(SHORT) else text
