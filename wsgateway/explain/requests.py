"""Requests of REST APIs, explained."""

from __future__ import annotations

import asyncio
import time
from urllib.parse import quote, urlencode

from msgspec.structs import replace

from wsgateway.backends import Checked
from wsgateway.dataplane.counters import Counters
from wsgateway.dataplane.endpoint import Endpoints
from wsgateway.dataplane.faults import Faults
from wsgateway.dataplane.gateway import Gateway
from wsgateway.dataplane.hub import Hub
from wsgateway.dataplane.identity import ConnectionIds, new_slot
from wsgateway.dataplane.rest import RestApis
from wsgateway.errors import GatewayError
from wsgateway.explain.base import Explanation, Notes, Question, no_log
from wsgateway.messages import HttpRequest, HttpResponse

HOST = "127.0.0.1"
MOST_SHOWN = 65_536
"""Bytes read of an answer that streams."""

_AS_WRITTEN = "%!$&'()*+,-./:;=?@_~[]|"
"""What stands in a URL as it is; the rest is percent-encoded, as clients do it."""


async def explained(checked: Checked, question: Question, explanation: Explanation) -> None:
    """Carry one request through its stage."""
    rest = RestApis(
        _gateway(checked, explanation), _nobody, asking=question.call, draw=lambda: -1.0 if question.canary else 1.0
    )
    answer = rest(_request(question, explanation.stage), Notes(explanation, question))
    response = answer if isinstance(answer, HttpResponse) else await answer
    if explanation.waits:
        return
    explanation.failed = response.status >= 400
    explanation.route = next((each["method"] or "" for step, each in explanation.steps if step == "method"), "")
    explanation.note("answer", await _whole(response))


def _gateway(checked: Checked, explanation: Explanation) -> Gateway:
    """What a request meets in `serve`, with this stage alone."""
    loop, ids, counters = asyncio.get_running_loop(), ConnectionIds(new_slot()), Counters()
    return Gateway(
        loop=loop,
        hub=Hub(),
        ids=ids,
        counters=counters,
        faults=Faults(no_log, time.monotonic),
        log=no_log,
        stages={},
        endpoints=Endpoints({}, None),
        callback_url=lambda request, place: ("", ""),
        show_reasons=False,
        max_connections=0,
        callers=checked.callers,
        rest=checked.deployment.rest,
        rest_endpoints=Endpoints({explanation.api: frozenset({explanation.stage})}, explanation.api),
    )


def _nobody(request: HttpRequest) -> HttpResponse:
    """What is below @connections is none of a REST API."""
    return HttpResponse(404)


def _request(question: Question, stage: str) -> HttpRequest:
    headers = [(name.encode(), value.encode()) for name, value in question.headers]
    hosts = [value for name, value in headers if name.lower() == b"host"]
    if not hosts:
        headers.insert(0, (b"Host", HOST.encode()))
    target = f"/{stage}{quote(question.path or '/', safe=_AS_WRITTEN)}"
    if question.query:
        target += ("&" if "?" in target else "?") + urlencode(question.query)
    return HttpRequest(
        question.method or "GET",
        target,
        HOST,
        tuple(headers),
        question.body,
        authority=hosts[-1].decode() if hosts else HOST,
        source=HOST,
        port=80,
    )


async def _whole(response: HttpResponse) -> HttpResponse:
    """`response` with as much of its body as is shown."""
    body = response.body
    if isinstance(body, bytes):
        return response
    parts: list[bytes] = []
    try:
        async for part in body:
            parts.append(part)
            if sum(map(len, parts)) > MOST_SHOWN:
                break
    except GatewayError as error:
        parts.append(f"\n(it breaks off: {error.reason or error.message})".encode())
    await body.aclose()
    return replace(response, body=b"".join(parts))
