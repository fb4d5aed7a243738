"""A method whose answers are kept: what its integration answers to one request others get too, for a while.

API Gateway developer guide, "Cache settings for REST APIs". AWS leaves open what becomes of faults: those of the
gateway and answers of 500 and above are not kept; all others are, whatever their Cache-Control says, as on AWS. Nor is
what is for one client alone: answers that set a cookie, and those to a range or a condition that it named. A GET with a
body has neither what is kept nor is its answer: backends that read it would say to others what one client wrote.

Of several who ask the same at a time, one asks the backend, and the others wait for its answer. They are as many as
there are requests, and wait for as long as the integration may take. What is for one client alone they don't get: each
then asks for itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from msgspec.structs import replace

from wsgateway.dataplane.cache_key import key_of
from wsgateway.dataplane.kept_answer import packed, unpacked
from wsgateway.errors import AccessDenied
from wsgateway.messages import EndpointResponse
from wsgateway.method_request import MethodRequest
from wsgateway.registry.answers import MOST_BYTES
from wsgateway.trace import waited_for

if TYPE_CHECKING:
    from wsgateway.dataplane.cache_key import KeyOf
    from wsgateway.dataplane.response_cache import ResponseCache
    from wsgateway.integrations.base import Call
    from wsgateway.invocation import Invocation
    from wsgateway.model.method_settings import MethodSettings
    from wsgateway.model.rest import RestApi, VerbName
    from wsgateway.model.rest_integration import RestIntegration
    from wsgateway.model.rest_stage import RestStage
    from wsgateway.registry.answers import Looked, Stage

INVALIDATE = "execute-api:InvalidateCache"
PERSONAL = frozenset({206, 304, 412, 416})
"""Statuses that answer to a range or a condition (RFC 9110 §13, §14)."""
WARNING = (b"Warning", b"199 Cache-control headers were ignored because the caller was unauthorized.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Caching:
    """How the answers of one method are kept."""

    stage: Stage
    most_bytes: int
    """Of all answers of the stage."""
    key: KeyOf
    settings: MethodSettings


def cached(
    call: Call,
    cache: ResponseCache,
    place: Stage,
    stage: RestStage,
    api: RestApi,
    path: str,
    verb: VerbName,
    integration: RestIntegration,
) -> Call | None:
    """The Call of a method that keeps at `place` what its integration's Call gives; None where nothing is kept."""
    settings = stage.caching_of(path, verb)
    if settings is None or integration.response_transfer_mode == "STREAM":
        return None
    secret = cache.cipher.key if settings.cache_data_encrypted else b""
    key = key_of(api, path, integration, secret)
    caching = Caching(stage=place, most_bytes=stage.cache_bytes, key=key, settings=settings)
    return CachedMethod(call, caching, cache)


class Flight:
    """A question that is being asked, for all who ask it now."""

    __slots__ = ("asked", "waiting")

    def __init__(self) -> None:
        self.asked: asyncio.Future[EndpointResponse]
        self.waiting = 0


class CachedMethod:
    """A Call that gives what is kept, and keeps what another Call gives."""

    def __init__(self, call: Call, caching: Caching, cache: ResponseCache) -> None:
        self._call = call
        self._caching = caching
        self._cache = cache
        self._flights: dict[bytes, Flight] = {}
        self._cipher = cache.cipher if caching.settings.cache_data_encrypted else None

    def __call__(self, request: Invocation) -> EndpointResponse | Awaitable[EndpointResponse]:
        assert isinstance(request, MethodRequest)  # methods have no other events
        if request.payload and request.http_method == "GET":
            return self._call(request)
        anew, warning = self._wish(request)
        digest = self._caching.key(request)
        flight = None if anew else self._flights.get(digest)
        if flight is None:
            answer = self._begin(request, digest, anew)
            if isinstance(answer, EndpointResponse):
                return _warned(answer) if warning else answer
            flight = answer
            flight.waiting += 1
            return self._lead(flight, digest, warning)
        flight.waiting += 1
        return self._join(flight, request, digest, warning)

    # Who may have it anew

    def _wish(self, request: MethodRequest) -> tuple[bool, bool]:
        """Whether the answer is to be made anew, and whether the client is warned that it is not.

        *Raises* AccessDenied.
        """
        if not _asks_anew(request):
            return False, False
        settings = self._caching.settings
        if not settings.require_authorization_for_cache_control or request.permits(INVALIDATE):
            return True, False
        strategy = settings.unauthorized_cache_control_header_strategy
        if strategy == "FAIL_WITH_403":
            raise AccessDenied(
                f"Cache-Control: max-age=0 needs {INVALIDATE}", detail="User is not authorized to access this resource"
            )
        return False, strategy == "SUCCEED_WITH_RESPONSE_HEADER"

    # Asking

    def _begin(self, request: MethodRequest, digest: bytes, anew: bool) -> EndpointResponse | Flight:
        """The answer, where it is there at once, else what others who ask the same wait for, too."""
        looked = self._cache.store.held(self._caching.stage, digest)
        flight = Flight()
        if looked is not None:
            answer = self._kept(looked, request, digest, anew) or self._ask(request)
            if isinstance(answer, EndpointResponse):
                if not request.kept:
                    self._keep(answer, digest, looked)
                    self._flights.pop(digest, None)  # what is under way may be older
                return answer
            flight.asked = asyncio.ensure_future(answer)
            self._follow(flight, digest, looked)
        else:
            flight.asked = asyncio.ensure_future(self._look(flight, request, digest, anew))
        self._flights[digest] = flight
        flight.asked.add_done_callback(lambda _: self._over(flight, digest))
        return flight

    async def _look(self, flight: Flight, request: MethodRequest, digest: bytes, anew: bool) -> EndpointResponse:
        looked = await waited_for(request.trace, "cache", self._cache.get(self._caching.stage, digest))
        kept = None if looked is None else self._kept(looked, request, digest, anew)
        if kept is not None:
            return kept
        answer = self._ask(request)
        if not isinstance(answer, EndpointResponse):
            answer = await answer
        if looked is not None and self._flights.get(digest) is flight:
            self._keep(answer, digest, looked)
        return answer

    def _kept(self, looked: Looked, request: MethodRequest, digest: bytes, anew: bool) -> EndpointResponse | None:
        data = looked.data
        if data is None or anew:
            return None
        opened = data if self._cipher is None else self._cipher.opened(data, digest)
        answer = None if opened is None else unpacked(opened)
        if answer is None:
            self._cache.unreadable += 1
            return None
        return self._hit(request, answer)

    def _hit(self, request: MethodRequest, answer: EndpointResponse) -> EndpointResponse:
        request.kept = True
        self._cache.count(self._caching.stage, "hit")
        if request.trace is not None:
            request.trace.note("kept answer", answer)
        return answer

    def _ask(self, request: MethodRequest) -> EndpointResponse | Awaitable[EndpointResponse]:
        self._cache.count(self._caching.stage, "miss")
        return self._call(request)

    # Keeping

    def _follow(self, flight: Flight, digest: bytes, looked: Looked) -> None:
        """Keep the answer once it is there, unless somebody had it made anew meanwhile."""

        def landed(asked: asyncio.Future[EndpointResponse]) -> None:
            if not asked.cancelled() and asked.exception() is None and self._flights.get(digest) is flight:
                self._keep(asked.result(), digest, looked)

        flight.asked.add_done_callback(landed)

    def _keep(self, answer: EndpointResponse, digest: bytes, looked: Looked) -> None:
        if answer.status >= 500 or answer.failure or answer.stream is not None or _is_personal(answer):
            return
        if len(answer.body or b"") > MOST_BYTES:
            return
        data = packed(answer)
        if self._cipher is not None:
            data = self._cipher.sealed(data, digest)
        caching = self._caching
        ttl = caching.settings.cache_ttl_in_seconds
        self._cache.put(caching.stage, digest, data, mark=looked.mark, ttl=ttl, most=caching.most_bytes)

    def _over(self, flight: Flight, digest: bytes) -> None:
        if self._flights.get(digest) is flight:
            del self._flights[digest]

    # Waiting

    async def _lead(self, flight: Flight, digest: bytes, warning: bool) -> EndpointResponse:
        answer = await self._landing(flight, digest)
        return _warned(answer) if warning else answer

    async def _join(self, flight: Flight, request: MethodRequest, digest: bytes, warning: bool) -> EndpointResponse:
        answer = await self._landing(flight, digest)
        if _is_personal(answer):
            own = self._ask(request)
            answer = own if isinstance(own, EndpointResponse) else await own
        else:
            self._hit(request, answer)
        return _warned(answer) if warning else answer

    async def _landing(self, flight: Flight, digest: bytes) -> EndpointResponse:
        """Wait with others; the call goes on for as long as one of them does."""
        try:
            return await asyncio.shield(flight.asked)
        finally:
            flight.waiting -= 1
            if not flight.waiting and not flight.asked.done():
                self._over(flight, digest)
                flight.asked.cancel()


def _asks_anew(request: MethodRequest) -> bool:
    """Whether the client sends `Cache-Control: max-age=0` (RFC 9111 §5.2.1.1)."""
    assert request.request is not None  # it is one
    for name, value in request.request.headers:
        if name.lower() == b"cache-control":
            for directive in value.lower().split(b","):
                argument = directive.strip().partition(b"=")
                if argument[0].strip() == b"max-age" and argument[2].strip(b' "') == b"0":
                    return True
    return False


def _is_personal(answer: EndpointResponse) -> bool:
    """Whether it is for one client alone."""
    return answer.status in PERSONAL or any(name.lower() == b"set-cookie" for name, _ in answer.headers)


def _warned(answer: EndpointResponse) -> EndpointResponse:
    return replace(answer, headers=(*answer.headers, WARNING))
