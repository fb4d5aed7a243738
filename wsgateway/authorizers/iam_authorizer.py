"""AWS_IAM on `$connect`, and on methods: who signs a request is let in, where their policy allows that.

API Gateway developer guide, "Control access to WebSocket APIs with AWS_IAM authorization": action `execute-api:Invoke`
on `…/{stage}/$connect`. As on AWS messages are not asked about again, whatever a policy says of their routes; the
signature is that of the upgrade request, in its headers or, for browsers, in its query. `$connect` gets the request
without it, as on AWS without Authorization: it is for this gateway. Of methods of REST APIs the whole body is signed,
and the resource is `…/{stage}/{VERB}/{path}`. AWS does not say whether `X-HTTP-Method-Override` has to be signed; here
it has to be, for whoever was given a presigned GET would have a DELETE.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import msgspec

from wsgateway.authorizers import arns
from wsgateway.authorizers.base import Authorize, Identity
from wsgateway.authorizers.policy import Decision
from wsgateway.authorizers.resource_policy import ResourcePolicy
from wsgateway.authorizers.signed import INVOKE, Signer, Signers
from wsgateway.authorizers.sigv4 import claim_of, without_signature
from wsgateway.errors import InvalidSignature
from wsgateway.invocation import Invocation
from wsgateway.messages import HttpRequest
from wsgateway.method_request import MethodRequest

OVERRIDE = "x-http-method-override"


def compile_iam(
    signers: Signers,
    api_id: str,
    stage: str,
    *,
    closing: bool = False,
    policy: ResourcePolicy | None = None,
    now: Callable[[], float] = time.time,
) -> Authorize:
    """What lets clients of one stage in; `closing`: for no longer than their session lasts. `policy` is the API's own.

    It *raises* MissingAuthenticationToken, UnrecognizedClient, InvalidSignature, ExpiredToken, NotAuthorized, and what
    looking up a session raises.
    """

    def authorize(invocation: Invocation) -> Identity | Awaitable[Identity]:
        request = invocation.request
        assert request is not None  # a CONNECT event is a request
        claim, at = claim_of(request), now()
        body = invocation.payload if isinstance(invocation, MethodRequest) else b""
        signer = signers.signer_of(claim, request, body, at)
        if isinstance(signer, Signer):
            return admit(signer, invocation, request, at)
        return later(signer, invocation, request, at)

    async def later(pending: Awaitable[Signer], invocation: Invocation, request: HttpRequest, at: float) -> Identity:
        return admit(await pending, invocation, request, at)

    def admit(signer: Signer, invocation: Invocation, request: HttpRequest, at: float) -> Identity:
        if isinstance(invocation, MethodRequest):
            if invocation.http_method != request.method and OVERRIDE not in claim_of(request).names:
                raise InvalidSignature("the signature does not cover X-HTTP-Method-Override")
            path = arns.of_method(invocation)
            signers.let_call(signer, path, request, at, said(signer, invocation, path))
            invocation.permits = partial(permits, signer, invocation, path, request, at)
        else:
            signers.let_invoke(signer, api_id, stage, request, at)
        headers = tuple(header for header in request.headers if header[0].lower() != b"authorization")
        target = without_signature(request.target)
        invocation.look_at(msgspec.structs.replace(request, headers=headers, target=target))
        claims: dict[str, Any] = {**signer.identity, "principalTags": dict(signer.tags)}
        return Identity({}, claims, signer.expires if closing else None, identity=signer.identity)

    def permits(
        signer: Signer, invocation: MethodRequest, path: str, request: HttpRequest, at: float, action: str
    ) -> bool:
        return signers.permits(signer, action, path, request, at, said(signer, invocation, path, action))

    def said(signer: Signer, invocation: MethodRequest, path: str, action: str = INVOKE) -> Decision:
        """What the API's own policy says; it says nothing where it has none."""
        return Decision.IMPLICIT_DENY if policy is None else policy.decide(invocation, path, signer, action)

    return authorize
