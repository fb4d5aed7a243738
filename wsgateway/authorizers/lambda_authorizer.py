"""REQUEST and TOKEN: a function, or a URL of the operator's own, says who may connect.

API Gateway developer guide, "Create an API Gateway Lambda REQUEST authorizer function for WebSocket APIs", "Input to an
API Gateway Lambda authorizer" and "Use API Gateway Lambda authorizers". On WebSocket APIs TOKEN, kept answers and URLs
are ours: a URL is posted the same event, its 2xx body is the output, 401 and 403 are a no, all else is a failure. AWS
does not say how long it waits for a WebSocket API's authorizer; we wait as long as its HTTP APIs do.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from functools import partial
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from wsgateway.authorizers import arns, principal
from wsgateway.authorizers.base import Ask, Authorize, Identity, Read, Site, Use
from wsgateway.authorizers.cache import Answers, key_of
from wsgateway.authorizers.condition_keys import Keys
from wsgateway.authorizers.lambda_output import OF_METHODS, OF_ROUTES, Output, failure_of, parse_output
from wsgateway.authorizers.sources import SUBPROTOCOL, check_sources, compile_source, read_all, take_bearer
from wsgateway.errors import (
    AccessDenied,
    AuthorizerConfigurationError,
    AuthorizerFailure,
    GatewayError,
    Problem,
    Unauthorized,
    UriTooLong,
)
from wsgateway.events import maps, request_context, request_headers
from wsgateway.headers import aws_request_id
from wsgateway.invocation import Client, Invocation
from wsgateway.messages import EndpointResponse, HttpRequest
from wsgateway.method_events import method_event
from wsgateway.method_request import MethodRequest
from wsgateway.model.authorizer import Authorizer
from wsgateway.templates import pattern

MAX_METHOD_ARN = 1600
"""Bytes of the ARN of what is asked for (API Gateway quotas)."""
SWELLING = 20
"""Bytes of memory that a byte of an answer takes, its policy compiled."""

Event = Callable[[Invocation, str, Sequence[str], bool], bytes]
"""Makes an authorizer's event of a request, the ARN of what is asked for and the values of the identity sources; the
last says whether it tells what AWS's does not."""


def request_event(invocation: Invocation, arn: str, values: Sequence[str], ours: bool) -> bytes:
    """The event of REQUEST: all of the handshake, or of the request of a REST API but its body."""
    if isinstance(invocation, MethodRequest):
        known = {key: {} if found is None else found for key, found in method_event(invocation).items()}
        return msgspec.json.encode({"type": "REQUEST", "methodArn": arn, **known})
    request = invocation.request
    assert request is not None  # a CONNECT event is a request
    headers = request_headers(invocation, request)
    if request.header(b"content-length") is None:
        headers.append(("content-length", "0"))  # AWS tells it
        headers.sort(key=lambda header: header[0].lower())
    query = parse_qsl(request.target.partition("?")[2], keep_blank_values=True)
    value: dict[str, Any] = {"type": "REQUEST", "methodArn": arn}
    value |= maps("headers", "multiValueHeaders", headers)
    value |= maps("queryStringParameters", "multiValueQueryStringParameters", query)
    value["stageVariables"] = dict(invocation.stage_variables)
    value["requestContext"] = request_context(invocation, ours=ours)
    return msgspec.json.encode(value)


def token_event(invocation: Invocation, arn: str, values: Sequence[str], ours: bool) -> bytes:
    """The event of TOKEN: the token, whole."""
    return msgspec.json.encode({"type": "TOKEN", "authorizationToken": values[0], "methodArn": arn})


class LambdaAuthorizers:
    """The AuthorizerType of REQUEST or TOKEN, which differ by their `event`; `region` and `account` are of our ARNs."""

    def __init__(self, event: Event, *, region: str, account: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._event = event
        self._region = region
        self._account = account
        self._clock = clock
        self._answers: dict[tuple[str, str, str], tuple[object, Answers[Output]]] = {}
        self.lookups: Counter[tuple[str, str, str]] = Counter()
        """How often an answer was kept (`hit`) or not (`miss`), by API and authorizer; of those that keep answers."""

    def check(self, authorizer: Authorizer) -> Iterator[Problem]:
        yield from check_sources(authorizer)
        expression = authorizer.identity_validation_expression
        if expression is not None:
            try:
                pattern.compile(expression)
            except pattern.PatternError as error:
                yield Problem(("identityValidationExpression",), str(error))

    def compile(self, authorizer: Authorizer, site: Site, ask: Ask | None) -> Authorize:
        decider = self._decider(authorizer, site, ask)
        if site.of_method:
            return lambda invocation: decider.authorize(invocation, self._method_arn(invocation))
        arn = self._arn(site)
        return lambda invocation: decider.authorize(invocation, arn)

    def renew(self, authorizer: Authorizer, site: Site, ask: Ask | None, token: Read) -> Authorize:
        decider, arn = self._decider(authorizer, site, ask), self._arn(site)
        return lambda invocation: decider.decide(invocation, (token(invocation),), arn)

    def _decider(self, authorizer: Authorizer, site: Site, ask: Ask | None) -> _Decider:
        assert ask is not None  # those of this type have a backend
        answers = self._answers_of(authorizer, site)
        return _Decider(authorizer, site, ask, self._event, answers, self.lookups, self._region)

    def _arn(self, site: Site) -> str:
        return arns.execute_api(self._region, self._account, f"{site.api_id}/{site.stage}/{site.route_key}")

    def _method_arn(self, invocation: Invocation) -> str:
        assert isinstance(invocation, MethodRequest)  # methods have no other events
        arn = arns.execute_api(self._region, self._account, arns.of_method(invocation))
        if len(arn.encode()) > MAX_METHOD_ARN:
            raise UriTooLong(f"the ARN of the method has more than {MAX_METHOD_ARN} bytes")
        return arn

    def keep_only(self, uses: Sequence[Use]) -> None:
        kept = {_place(site) for _, site in uses}
        for place in self._answers.keys() - kept:
            del self._answers[place]  # who waits for one still gets it

    def forget(self, api_id: str, stage: str) -> int:
        """Forget every answer that is kept at a stage: all who come now are asked about anew; gives how many."""
        return sum(answers.forget() for place, (_, answers) in self._answers.items() if place[:2] == (api_id, stage))

    @property
    def kept(self) -> int:
        """Answers kept now."""
        return sum(len(answers) for _, answers in self._answers.values())

    def _answers_of(self, authorizer: Authorizer, site: Site) -> Answers[Output] | None:
        """They stay over a reload as long as the same is asked; None where every client is asked about anew."""
        if not authorizer.authorizer_result_ttl_in_seconds:
            self._answers.pop(_place(site), None)
            return None
        asked = (authorizer, dict(site.stage_variables))
        known = self._answers.get(_place(site))
        if known is None or known[0] != asked:
            known = asked, Answers(authorizer.authorizer_result_ttl_in_seconds, self._clock)
            self._answers[_place(site)] = known
        return known[1]


def _place(site: Site) -> tuple[str, str, str]:
    return site.api_id, site.stage, site.name


class _Decider:
    """One authorizer at one place."""

    def __init__(
        self,
        authorizer: Authorizer,
        site: Site,
        ask: Ask,
        event: Event,
        answers: Answers[Output] | None,
        lookups: Counter[tuple[str, str, str]],
        region: str,
    ) -> None:
        self._region = region
        self._name = site.name
        self._lookups = lookups
        self._hit, self._miss = ((site.api_id, site.name, result) for result in ("hit", "miss"))
        self._ours = site.ours
        self._of_method = site.of_method
        self._refusals = OF_METHODS if site.of_method else OF_ROUTES
        self._ask = ask
        self._event = event
        self._answers = answers
        self._sources = [(text, compile_source(text)) for text in authorizer.identity_source]
        self._offered = SUBPROTOCOL in authorizer.identity_source
        expression = authorizer.identity_validation_expression
        self._accepts = None if expression is None else pattern.compile(expression).matches

    def authorize(self, invocation: Invocation, arn: str) -> Identity | Awaitable[Identity]:
        """Whether a handshake may do what `arn` says, and whose it is. *Raises* as an Authorize does."""
        return self.decide(invocation, read_all(self._sources, invocation), arn)

    def decide(self, invocation: Invocation, values: Sequence[str], arn: str) -> Identity | Awaitable[Identity]:
        """The same of whoever brings these values."""
        if self._accepts is not None and not self._accepts(values[0]):
            raise Unauthorized("the token does not match identityValidationExpression")
        key: bytes | None = None
        if self._answers is not None:
            key = key_of(values)
            known = self._answers.get(key)
            self._lookups[self._miss if known is None else self._hit] += 1
            if known is not None:
                return self._identity(invocation, arn, known, 0)
        event = self._event(invocation, arn, values, self._ours)
        return self._later(invocation, arn, key, partial(self._asked, invocation, event, values))

    async def _later(
        self, invocation: Invocation, arn: str, key: bytes | None, ask: Callable[[], Awaitable[tuple[Output, int]]]
    ) -> Identity:
        began = time.monotonic()
        if self._answers is None or key is None:
            output, _ = await ask()
        else:
            output = await self._answers.ask(key, ask)
        return self._identity(invocation, arn, output, round((time.monotonic() - began) * 1000))

    async def _asked(self, invocation: Invocation, event: bytes, values: Sequence[str]) -> tuple[Output, int]:
        """What the backend says, and the memory that takes, in bytes. *Raises* Unauthorized, AccessDenied,
        AuthorizerFailure, AuthorizerConfigurationError."""
        try:
            answer = await self._ask(invocation, event)
        except GatewayError as error:
            kind = AuthorizerConfigurationError if error.failure in NOT_INVOKED else AuthorizerFailure
            reason = f"authorizer {self._name}: {error.reason or error.message}"
            raise kind(reason, transient=error.transient) from error
        if invocation.trace is not None:
            invocation.trace.note("authorizer request id", aws_request_id(answer.headers))
        try:
            return self._read(answer), SWELLING * len(answer.body or b"")
        except AuthorizerFailure as error:
            # What a function says of its failure is told to the operator, and it may name what the client brought.
            raise AuthorizerFailure(_without(error.reason, values)) from error
        except AuthorizerConfigurationError as error:
            raise AuthorizerConfigurationError(f"authorizer {self._name}: {error.reason}") from error

    def _identity(self, invocation: Invocation, arn: str, output: Output, millis: int) -> Identity:
        keys: Keys = {}
        if output.policy.conditional:
            request = invocation.request or _handshake_of(invocation.client)
            keys = principal.of_request(request, invocation.epoch / 1000, self._region, invocation.client.identity)
        invocation.authorizer_millis = millis
        granted = isinstance(invocation, MethodRequest) and invocation.granted
        if isinstance(invocation, MethodRequest):
            # On AWS gateway responses of ACCESS_DENIED tell what the authorizer says of whom it refuses.
            invocation.client.authorizer = output.context
            invocation.permits = partial(output.permits, arn, keys)
        output.admit(arn, keys, self._refusals, granted=granted)
        subprotocol = take_bearer(invocation) if self._offered and invocation.request is not None else ""
        return Identity(output.context, output.claims, subprotocol=subprotocol, usage_key=output.usage_identifier_key)

    def _read(self, answer: EndpointResponse) -> Output:
        """The output that an answer is. *Raises* GatewayError."""
        body, name = answer.body or b"", self._name
        if any(header.lower() == b"x-amz-function-error" for header, _ in answer.headers):
            raise failure_of(body, name)
        if 200 <= answer.status <= 299:
            output = parse_output(body)
            if self._of_method and not output.context.get("principalId"):
                raise AuthorizerConfigurationError("the authorizer's output has no principalId")
            return output
        said = f"authorizer {name} answered {answer.status}"
        if answer.status == 401:
            raise Unauthorized(said)
        if answer.status == 403:
            raise AccessDenied(said, detail=self._refusals[1] if self._of_method else "")
        raise AuthorizerFailure(said)


NOT_INVOKED = frozenset({403, 404})
"""Lambda's refusals where a permission, or the function, is missing."""
SHORTEST_TOKEN = 8
"""A shorter text is no token, and could be a word of any sentence."""


def _without(reason: str, values: Sequence[str]) -> str:
    """A reason that names no value of an identity source, nor a token behind its scheme."""
    for value in values:
        for secret in (value, value.rpartition(" ")[2]):
            if len(secret) >= SHORTEST_TOKEN:
                reason = reason.replace(secret, "***")
    return reason


def _handshake_of(client: Client) -> HttpRequest:
    """What is still known, in a message, of the request its connection began with."""
    headers = () if client.user_agent is None else ((b"User-Agent", client.user_agent.encode()),)
    scheme = "https" if b"X-Forwarded-Proto: https\r\n" in client.forwarded else "http"
    return HttpRequest("GET", "/", "", headers, source=client.source_ip, scheme=scheme)
