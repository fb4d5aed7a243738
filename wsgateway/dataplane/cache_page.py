"""`DELETE /restapis/{api}/stages/{stage}/cache/data` of the internal listener: a stage forgets the answers it keeps.

API Gateway API reference (v1), FlushStageCache: 202 and nothing else, so that SDKs' flush_stage_cache works with the
internal listener's URL. With Redis it holds for all nodes; else it is this node's memory that is cleared. So it is with
`cache/authorizers` (FlushStageAuthorizersCache) and what authorizers said: every node is asked to forget it, and where
one does not say that it did the answer is 503. Stages of WebSocket APIs have it, too (ours).
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Collection
from typing import TYPE_CHECKING
from urllib.parse import unquote

from wsgateway.dataplane.answers import JSON
from wsgateway.dataplane.reply import retry_after
from wsgateway.errors import RegistryAway
from wsgateway.messages import Handler, HttpRequest, HttpResponse

if TYPE_CHECKING:
    from wsgateway.dataplane.directory import Directory
    from wsgateway.dataplane.gateway import Gateway
    from wsgateway.dataplane.response_cache import ResponseCache
    from wsgateway.registry.answers import Stage

_path = re.compile(r"/restapis/([^/]+)/stages/([^/]+)/cache/(data|authorizers)").fullmatch


class CachePage:
    """A Handler: flushes and passes everything else on. `refusal` answers those who may not ask."""

    def __init__(
        self,
        gateway: Gateway,
        cache: ResponseCache,
        directory: Directory,
        refusal: Callable[[HttpRequest], HttpResponse | None],
        *,
        otherwise: Handler,
    ) -> None:
        self._gateway = gateway
        self._cache = cache
        self._directory = directory
        self._refusal = refusal
        self._otherwise = otherwise

    def __call__(self, request: HttpRequest) -> HttpResponse | Awaitable[HttpResponse]:
        found = _path(request.target.partition("?")[0])
        if found is None:
            return self._otherwise(request)
        if request.method != "DELETE":
            return HttpResponse(405, (JSON, (b"Allow", b"DELETE")), b'{"message":"use DELETE"}')
        refusal = self._refusal(request)
        if refusal is not None:
            return refusal
        stage = unquote(found[1]), unquote(found[2])
        if found[3] == "data":
            return self._unknown(stage, self._gateway.rest) or self._flush(stage)
        stages = {*self._gateway.rest, *self._gateway.stages}
        return self._unknown(stage, stages) or self._forget(*stage)

    def _unknown(self, stage: Stage, stages: Collection[Stage]) -> HttpResponse | None:
        if stage in stages:
            return None
        there = any(api_id == stage[0] for api_id, _ in stages)
        return _fault(404, b"NotFoundException", f"Invalid {'Stage' if there else 'API'} identifier specified")

    async def _forget(self, api_id: str, stage: str) -> HttpResponse:
        """What authorizers said."""
        silent = await self._directory.forget_authorizations(api_id, stage)
        if silent:
            return self._later(f"no answer from {', '.join(silent)}; try again")
        self._gateway.log("kept answers of authorizers forgotten", api=api_id, stage=stage)
        return HttpResponse(202)

    def _later(self, why: str) -> HttpResponse:
        answer = _fault(503, b"ServiceUnavailableException", why)
        return HttpResponse(503, (*answer.headers, retry_after()), answer.body)

    async def _flush(self, stage: Stage) -> HttpResponse:
        try:
            for cache in self._gateway.rest[stage].caches | {stage}:
                await self._cache.store.flush(cache)
        except RegistryAway:
            return self._later("the registry is away; try again")
        self._gateway.log("kept answers forgotten", api=stage[0], stage=stage[1])
        return HttpResponse(202)


def _fault(status: int, kind: bytes, message: str) -> HttpResponse:
    headers = (JSON, (b"x-amzn-ErrorType", kind))
    return HttpResponse(status, headers, json.dumps({"message": message}).encode())
