"""What a Lambda authorizer answers, and whether that lets a request in.

API Gateway developer guide, "Output from an API Gateway Lambda authorizer" and "Create an API Gateway Lambda REQUEST
authorizer function for WebSocket APIs". Anything that is not what the contract says is the definition's fault (500),
never a yes.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

import msgspec

from wsgateway.authorizers.condition_keys import OF_REQUESTS, Keys
from wsgateway.authorizers.policy import Decision, Policy, compile_policy
from wsgateway.authorizers.policy_elements import PolicyError
from wsgateway.authorizers.signed import INVOKE
from wsgateway.errors import AccessDenied, AuthorizerConfigurationError, AuthorizerFailure, Unauthorized

MAX_OUTPUT = 8 * 1024
"""Bytes of an answer (API Gateway quotas, "authorizer response")."""

RESERVED = frozenset({"principalId", "integrationLatency"})
"""What of `$context.authorizer` a context can't say."""

EXPLICIT = "User is not authorized to access this resource with an explicit deny in an identity-based policy"
IMPLICIT = (
    "User is not authorized to access this resource because no identity-based policy allows the "
    "execute-api:Invoke action"
)

Refusals = tuple[str, str]
"""What who is not let in is told: of an explicit deny, and of none."""
OF_ROUTES: Refusals = (EXPLICIT, IMPLICIT)
OF_METHODS: Refusals = (
    "User is not authorized to access this resource with an explicit deny",
    "User is not authorized to access this resource",
)
"""REST APIs have other words for it than WebSocket APIs."""


@dataclass(frozen=True, slots=True)
class Output:
    """What an authorizer says of a caller: a policy that can be asked about many routes, and what events tell of it."""

    policy: Policy
    context: Mapping[str, str]
    """`principalId` and the authorizer's own keys, all texts."""
    claims: Mapping[str, Any]
    """The same as they came, for rules."""
    usage_identifier_key: str | None = field(repr=False)

    def admit(
        self,
        resource: str,
        keys: Keys,
        refusals: Refusals = OF_ROUTES,
        *,
        granted: bool = False,
    ) -> None:
        """Let the caller in to `resource`, an execute-api ARN. `keys` are the condition keys of the request.

        With `granted` the resource's own policy lets in whom this one says nothing of. *Raises* AccessDenied with AWS's
        words.
        """
        match self.policy.decide(INVOKE, resource, keys):
            case Decision.ALLOW:
                return
            case Decision.IMPLICIT_DENY if granted:
                return
            case Decision.EXPLICIT_DENY:
                raise AccessDenied(f"the authorizer's policy denies {resource}", detail=refusals[0])
            case Decision.IMPLICIT_DENY:
                raise AccessDenied(f"the authorizer's policy says nothing of {resource}", detail=refusals[1])

    def permits(self, resource: str, keys: Keys, action: str) -> bool | None:
        """Whether the policy allows another action on `resource`; None where it says nothing of it."""
        decision = self.policy.decide(action, resource, keys)
        return None if decision is Decision.IMPLICIT_DENY else decision is Decision.ALLOW


def parse_output(payload: bytes) -> Output:
    """The output in a function's answer. *Raises* AuthorizerConfigurationError where it is not what it has to be."""
    if len(payload) > MAX_OUTPUT:
        _malformed(f"is over {MAX_OUTPUT} bytes")
    try:
        # Strictly: half of a surrogate pair in a text could not be told to any backend.
        output = msgspec.json.decode(payload)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        _malformed("is no JSON")
    if not isinstance(output, dict):
        _malformed("is no object with principalId and policyDocument")
    try:
        policy = compile_policy(output.get("policyDocument"), keys=OF_REQUESTS)
    except PolicyError as error:
        _malformed(f"has a policyDocument that can't be evaluated: {error}")
    context: dict[str, str] = {}
    claims: dict[str, Any] = {}
    if output.get("principalId") is not None:
        claims["principalId"] = output["principalId"]
        context["principalId"] = _text("principalId", output["principalId"])
    written = output.get("context")
    if not isinstance(written, dict | None):
        _malformed("has a context that is no object")
    for key, value in (written or {}).items():
        if value is not None and key not in RESERVED:
            context[key], claims[key] = _text(f"context.{key}", value), value
    usage_key = output.get("usageIdentifierKey")
    if usage_key is not None and not isinstance(usage_key, str):
        _malformed("has a usageIdentifierKey that is no text")
    return Output(policy, context, claims, usage_key)


def failure_of(payload: bytes, name: str) -> Unauthorized | AuthorizerFailure:
    """What a function's own failure means: its error text `Unauthorized`, and no other, is a no."""
    try:
        error: Any = json.loads(payload)
    except (ValueError, RecursionError):
        error = None
    said = error.get("errorMessage") if isinstance(error, dict) else None
    if said == "Unauthorized":
        return Unauthorized(f"authorizer {name} says Unauthorized")
    return AuthorizerFailure(f"authorizer {name} failed: {payload[:500].decode('utf-8', 'replace')}")


def _text(name: str, value: Any) -> str:
    """A scalar as events have it."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, int | float) or not math.isfinite(value):
        _malformed(f"has a {name} that is no text, number or boolean")
    return json.dumps(value)


def _malformed(problem: str) -> NoReturn:
    raise AuthorizerConfigurationError(f"the authorizer's output {problem}")
