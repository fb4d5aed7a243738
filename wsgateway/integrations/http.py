"""HTTP: mapping templates make the request to a URL, and what goes back of its answer.

API Gateway developer guide, "Set up HTTP integrations" and "Set up WebSocket API integration requests". The backend
sees the mapped parameters and the gateway's own headers alone, on $connect too. Its status picks the integration
response.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from functools import partial
from typing import TYPE_CHECKING

from wsgateway.headers import REMOVED_AFTER_MAPPING, Backend
from wsgateway.http1 import UnsafeHeader, field, fields, request_line
from wsgateway.ids import new_root
from wsgateway.integrations.base import carried, noted
from wsgateway.integrations.heads import BINARY, TEXT, RequestTarget, client_type, default_headers
from wsgateway.integrations.http_backend import BODILESS, HttpBackend, method_of, unsendable, uri_of, verb_of
from wsgateway.integrations.mapping import check_request, check_responses, compile_request, compile_responses
from wsgateway.integrations.parameters import compile_parameters, greedy_slots, host_of
from wsgateway.messages import EndpointRequest

if TYPE_CHECKING:
    from asyncio import Future

    from wsgateway.errors import Problem
    from wsgateway.integrations.base import Call, Site
    from wsgateway.integrations.mapping import MappedRequest, ResponseMapping
    from wsgateway.invocation import Invocation
    from wsgateway.messages import EndpointResponse
    from wsgateway.model.integration import Integration

_REMOVED = REMOVED_AFTER_MAPPING[Backend.HTTP]


class Http(HttpBackend):
    """The IntegrationType of HTTP."""

    def check(self, integration: Integration, site: Site) -> Iterator[Problem]:
        """The URI with this stage's variables, and all that is mapped."""
        yield from self._check_uri(integration, site)
        yield from check_request(integration, site)
        yield from check_responses(integration, site)

    def compile(self, integration: Integration, site: Site) -> Call:
        """A Call that renders the request, sends it and maps the answer."""
        method = method_of(integration, site)
        ask = compile_request(integration, site)
        give = compile_responses(integration, site)
        head = _head(integration, site, method)
        send = self._sender(integration, site, method, partial(partial, _given, give) if give.heard else None)
        verb = verb_of(method)

        def call(invocation: Invocation) -> Future[EndpointResponse]:
            request = ask(invocation)
            body = b"" if verb(invocation) in BODILESS else request.body
            try:
                top = head(request, invocation)
            except (UnsafeHeader, UnicodeEncodeError) as error:
                raise unsendable(error) from error
            if invocation.trace is not None:
                invocation.trace.note("endpoint request", EndpointRequest(top, body, verb(invocation)))
                top = carried(invocation, top)
            answer = send(invocation, top, body)
            return answer if give.heard else noted(invocation, answer)

        return call


def _given(give: ResponseMapping, invocation: Invocation, answer: EndpointResponse) -> EndpointResponse:
    if invocation.trace is not None:
        invocation.trace.note("endpoint response", answer)
    return give(invocation, answer, str(answer.status))


def _head(integration: Integration, site: Site, method: str) -> Callable[[MappedRequest, Invocation], bytes]:
    """What writes the heads of an integration's requests. All but what is mapped and the trace id is written here."""
    uri = uri_of(integration, site)
    mapped = [target for target, _ in compile_parameters(integration, site)]
    queries = [to.name for to in mapped if to.place == "querystring"]
    target = RequestTarget(uri.path or "/", uri.query, queries, greedy=greedy_slots(integration, site))
    host = field(b"Host", host_of(integration, site, uri.netloc.rpartition("@")[2]).encode())
    verb = verb_of(method)
    plain = None if method == "ANY" else request_line(method.encode(), target.plain()) + host
    defaults = default_headers(site)

    rest = site.rest

    def own(names: Collection[str]) -> bytes:
        return fields([header for header in defaults if header[0].decode().lower() not in names])

    usual = [to.name for to in mapped if to.place == "header"]
    usual_own = own({name.lower() for name in usual})
    starts = [b"%b: " % name.encode() for name in usual if name.lower().encode() not in _REMOVED]
    plainly_sent = len(starts) == len(usual)
    usually_typed = "content-type" in {name.lower() for name in usual}

    def build(request: MappedRequest, invocation: Invocation) -> bytes:
        query, path, headers = request.query, request.path, request.headers
        sent = verb(invocation)
        if query or path:
            parts = [request_line(sent.encode(), target.render(query, path, over={name for name, _ in query})), host]
        else:
            parts = [plain or request_line(sent.encode(), target.plain()) + host]
        if request.as_mapped and plainly_sent:
            parts.append(usual_own)
            typed = usually_typed
            for start, (_, value) in zip(starts, headers, strict=True):
                # Printable text can't end a line, so the check of `field` is spared.
                parts.append(start + value.encode() + b"\r\n" if value.isprintable() else _checked(start, value))
        else:
            names = {name.lower() for name, _ in headers}
            typed = "content-type" in names
            parts.append(own(names))
            parts += [
                field(name.encode(), value.encode()) for name, value in headers if name.lower().encode() not in _REMOVED
            ]
        if request.body and sent not in BODILESS and not typed:
            parts.append(client_type(invocation) if rest else BINARY if request.binary else TEXT)
        if invocation.request is None:
            parts += (_TRACE, new_root(), b"\r\n")
        else:
            parts.append(field(b"X-Amzn-Trace-Id", invocation.trace_id))
        return b"".join(parts)

    return build


def _checked(start: bytes, value: str) -> bytes:
    return field(start[:-2], value.encode())


_TRACE = b"X-Amzn-Trace-Id: "
