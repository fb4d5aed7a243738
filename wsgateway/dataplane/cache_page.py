"""`DELETE /restapis/{api}/stages/{stage}/cache/data` of the internal listener: a stage forgets the answers it keeps.

API Gateway API reference (v1), FlushStageCache: 202 and nothing else, so that SDKs' flush_stage_cache works with the
internal listener's URL. With Redis it holds for all nodes; else it is this node's memory that is cleared.
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING
from urllib.parse import unquote

from wsgateway.dataplane.answers import JSON
from wsgateway.dataplane.reply import retry_after
from wsgateway.errors import RegistryAway
from wsgateway.messages import Handler, HttpRequest, HttpResponse

if TYPE_CHECKING:
    from wsgateway.dataplane.gateway import Gateway
    from wsgateway.dataplane.response_cache import ResponseCache
    from wsgateway.registry.answers import Stage

_path = re.compile(r"/restapis/([^/]+)/stages/([^/]+)/cache/data").fullmatch


class CachePage:
    """A Handler: flushes and passes everything else on. `refusal` answers those who may not ask."""

    def __init__(
        self,
        gateway: Gateway,
        cache: ResponseCache,
        refusal: Callable[[HttpRequest], HttpResponse | None],
        *,
        otherwise: Handler,
    ) -> None:
        self._gateway = gateway
        self._cache = cache
        self._refusal = refusal
        self._otherwise = otherwise

    def __call__(self, request: HttpRequest) -> HttpResponse | Awaitable[HttpResponse]:
        found = _path(request.target.partition("?")[0])
        if found is None:
            return self._otherwise(request)
        if request.method != "DELETE":
            return HttpResponse(405, (JSON, (b"Allow", b"DELETE")), b'{"message":"use DELETE"}')
        return self._refusal(request) or self._flush((unquote(found[1]), unquote(found[2])))

    async def _flush(self, stage: Stage) -> HttpResponse:
        if stage not in self._gateway.rest:
            there = any(api_id == stage[0] for api_id, _ in self._gateway.rest)
            return _fault(404, b"NotFoundException", f"Invalid {'Stage' if there else 'API'} identifier specified")
        try:
            for cache in self._gateway.rest[stage].caches | {stage}:
                await self._cache.store.flush(cache)
        except RegistryAway:
            answer = _fault(503, b"ServiceUnavailableException", "the registry is away; try again")
            return HttpResponse(503, (*answer.headers, retry_after()), answer.body)
        self._gateway.log("kept answers forgotten", api=stage[0], stage=stage[1])
        return HttpResponse(202)


def _fault(status: int, kind: bytes, message: str) -> HttpResponse:
    headers = (JSON, (b"x-amzn-ErrorType", kind))
    return HttpResponse(status, headers, json.dumps({"message": message}).encode())
