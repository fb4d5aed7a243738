"""AWS_IAM on `$connect`, and on methods: who signs a request is let in, where their policy allows that.

API Gateway developer guide, "Control access to WebSocket APIs with AWS_IAM authorization": action `execute-api:Invoke`
on `…/{stage}/$connect`. As on AWS messages are not asked about again, whatever a policy says of their routes; the
signature is that of the upgrade request, in its headers or, for browsers, in its query. `$connect` gets the request
without it, as on AWS without Authorization: it is for this gateway. Of methods of REST APIs the whole body is signed,
and the resource is `…/{stage}/{VERB}/{path}`. AWS does not say whether `X-HTTP-Method-Override` has to be signed; here
it has to be, for whoever was given a presigned GET would have a DELETE; and so has `x-apigw-api-id`, by which a request
would get to another API. A compressed body is signed as it is sent.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from msgspec.structs import replace

from wsgateway.authorizers import arns, principal
from wsgateway.authorizers.base import Authorize, Identity
from wsgateway.authorizers.policy import Decision
from wsgateway.authorizers.resource_policy import ResourcePolicy
from wsgateway.authorizers.signed import INVOKE, OfRequest, Signer, Signers
from wsgateway.authorizers.sigv4 import Claim, claim_of, without_signature
from wsgateway.errors import InvalidSignature
from wsgateway.invocation import Invocation
from wsgateway.messages import HttpRequest
from wsgateway.method_request import MethodRequest
from wsgateway.trace import mark_of

OVERRIDE = "x-http-method-override"
API_ID = "x-apigw-api-id"


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
        (sent, body), at = _sent(invocation, request), now()
        claim = claim_of(sent)
        signer = signers.signer_of(claim, sent, body, at, mark_of(invocation.trace))
        if isinstance(signer, Signer):
            return admit(signer, claim, invocation, request, at)
        return later(signer, claim, invocation, request, at)

    async def later(
        pending: Awaitable[Signer], claim: Claim, invocation: Invocation, request: HttpRequest, at: float
    ) -> Identity:
        return admit(await pending, claim, invocation, request, at)

    def admit(signer: Signer, claim: Claim, invocation: Invocation, request: HttpRequest, at: float) -> Identity:
        _check_chosen(invocation, request, claim)
        if isinstance(invocation, MethodRequest):
            path = arns.of_method(invocation)
            keys = partial(principal.of_request, request, at, signers.region, invocation.client.identity)
            signers.let_call(signer, path, keys, said(signer, invocation, path))
            invocation.permits = partial(permits, signer, invocation, path, keys)
        else:
            signers.let_invoke(signer, api_id, stage, request, at)
        headers = tuple(header for header in request.headers if header[0].lower() != b"authorization")
        target = without_signature(request.target)
        invocation.look_at(replace(request, headers=headers, target=target))
        claims: dict[str, Any] = {**signer.identity, "principalTags": dict(signer.tags)}
        return Identity({}, claims, signer.expires if closing else None, identity=signer.identity)

    def permits(signer: Signer, invocation: MethodRequest, path: str, keys: OfRequest, action: str) -> bool:
        return signers.permits(signer, action, path, keys, said(signer, invocation, path, action))

    def said(signer: Signer, invocation: MethodRequest, path: str, action: str = INVOKE) -> Decision:
        """What the API's own policy says; it says nothing where it has none."""
        return Decision.IMPLICIT_DENY if policy is None else policy.decide(invocation, path, signer, action)

    return authorize


def _sent(invocation: Invocation, request: HttpRequest) -> tuple[HttpRequest, bytes]:
    """The request as it was signed, and its body."""
    if not isinstance(invocation, MethodRequest):
        return request, b""
    signed = invocation.signed
    if signed is None:
        return request, invocation.payload
    assert isinstance(signed.body, bytes)  # it was whole when it was decoded
    return signed, signed.body


def _check_chosen(invocation: Invocation, request: HttpRequest, claim: Claim) -> None:
    """Whatever header chose what is asked for has to be signed. *Raises* InvalidSignature."""
    overridden = isinstance(invocation, MethodRequest) and invocation.http_method != request.method
    for name, chose in ((OVERRIDE, overridden), (API_ID, request.header(API_ID.encode()) is not None)):
        if chose and name not in claim.names:
            raise InvalidSignature(f"the signature does not cover {name}")
