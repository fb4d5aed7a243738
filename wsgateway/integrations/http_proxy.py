"""HTTP_PROXY: the message goes to a URL as it came, the answer comes back as it is.

Header rules: API Gateway developer guide, "Set up HTTP integrations" and "Important notes"; on a message or
$disconnect only the gateway's own headers and mapped ones are sent, on $connect the client's too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from wsgateway.headers import proxied
from wsgateway.http1 import UnsafeHeader, field, fields, request_line
from wsgateway.ids import new_root
from wsgateway.integrations.base import carried, noted
from wsgateway.integrations.heads import BINARY, TEXT, RequestTarget, default_headers, header_lines
from wsgateway.integrations.http_backend import BODILESS, HttpBackend, method_of, unsendable, uri_of, verb_of
from wsgateway.integrations.parameters import check_parameters, compile_parameters, each, greedy_slots, host_of
from wsgateway.invocation import EventType, Invocation
from wsgateway.method_request import MethodRequest, separated
from wsgateway.trace import mark_of

if TYPE_CHECKING:
    from asyncio import Future

    from wsgateway.errors import Problem
    from wsgateway.integrations.base import Ask, Call, Site
    from wsgateway.integrations.http_backend import Send, Stream
    from wsgateway.integrations.parameters import Reader
    from wsgateway.messages import EndpointResponse, Header
    from wsgateway.model.integration import Integration
    from wsgateway.templates.parameters import Target


KEPT = 256
KEPT_BYTES = 2048
"""Of what goes on of one client's headers."""


class HttpProxy(HttpBackend):
    """The IntegrationType of HTTP_PROXY."""

    def check(self, integration: Integration, site: Site) -> Iterator[Problem]:
        """The URI with this stage's variables, and every mapping."""
        yield from self._check_uri(integration, site)
        yield from check_parameters(integration, site)

    def compile(self, integration: Integration, site: Site) -> Call:
        """A Call that writes one request, most of it prepared here."""
        uri = uri_of(integration, site)
        method = method_of(integration, site)
        mappings = compile_parameters(integration, site)
        heads = {EventType.CONNECT: _client_head, EventType.REQUEST: _client_head}
        build = heads.get(site.event_type, _event_head)(
            method,
            host_of(integration, site, uri.netloc.rpartition("@")[2]).encode(),
            _Target(integration, site, mappings),
            [(target.name.encode(), read) for target, read in mappings if target.place == "header"],
            site,
        )
        # A REST API's request goes on as it came; AWS sends no message with a method that has no body.
        bodiless = not site.rest and method in BODILESS
        if site.rest and integration.retry is None:
            stream = self._streaming(integration, site, method)
            return _call_of_rest(build, self._sender(integration, site, method), stream, site)
        return _call(build, self._sender(integration, site, method), bodiless)

    def asking(self, integration: Integration, site: Site) -> Ask:
        """What posts JSON of the caller's."""
        uri = uri_of(integration, site)
        head = request_line(b"POST", RequestTarget(uri.path or "/", uri.query).plain())
        headers = [(b"Host", uri.netloc.encode()), *default_headers(site)]
        head += b"".join([field(name, value) for name, value in headers]) + TEXT
        send = self._sender(integration, site, "POST")

        def ask(invocation: Invocation, payload: bytes) -> Future[EndpointResponse]:
            lines = head + invocation.client.forwarded
            mark = mark_of(invocation.trace)
            lines += field(b"X-Amzn-Trace-Id", new_root()) if mark is None else mark.lines
            return send(invocation, lines, payload)

        return ask


def _call(
    build: Callable[[Invocation], bytes], send: Send, bodiless: bool
) -> Callable[[Invocation], Future[EndpointResponse]]:
    def call(invocation: Invocation) -> Future[EndpointResponse]:
        message = invocation.message
        body = b"" if bodiless else invocation.body() if message is None else message.data
        try:
            head = build(invocation)
        except (UnsafeHeader, UnicodeEncodeError) as error:
            raise unsendable(error) from error
        if invocation.trace is None:
            return send(invocation, head, body)
        trace = invocation.trace
        trace.asked(head, body)
        if trace.marks:
            head = carried(invocation, head)
        answer = send(invocation, head, body)
        return noted(invocation, answer) if trace.wants_answers else answer

    return call


def _call_of_rest(build: Callable[[Invocation], bytes], send: Send, stream: Stream, site: Site) -> Call:
    usual = _call(build, send, bodiless=False)

    def call(invocation: Invocation) -> Future[EndpointResponse]:
        assert isinstance(invocation, MethodRequest)  # those of REST APIs are
        upload = invocation.upload
        if upload is None and not site.streams:
            return usual(invocation)
        try:
            head = build(invocation)
        except (UnsafeHeader, UnicodeEncodeError) as error:
            raise unsendable(error) from error
        if invocation.trace is not None:
            invocation.trace.asked(head, invocation.payload)
            head = carried(invocation, head)
        return noted(invocation, stream(invocation, head, invocation.payload, upload))

    return call


class _Target:
    """The request target: static where nothing is mapped into it."""

    def __init__(self, integration: Integration, site: Site, mappings: list[tuple[Target, Reader]]) -> None:
        uri = uri_of(integration, site)
        self._paths = [(target.name, read) for target, read in mappings if target.place == "path"]
        self._queries = [(target.name, read) for target, read in mappings if target.place == "querystring"]
        replacing = (
            [] if site.rest else [name for name, _ in self._queries]
        )  # REST: beside what the client has of that name
        greedy = greedy_slots(integration, site)
        self._target = RequestTarget(uri.path or "/", uri.query, replacing, greedy=greedy)

    @property
    def static(self) -> bytes | None:
        return None if self._paths or self._queries else self._target.plain()

    def render(self, invocation: Invocation, client_query: str = "") -> bytes:
        """The target of one request; `client_query` as the client sent it."""
        query = [pair for name, read in self._queries for pair in each(name, read(invocation))]
        path = {name: read(invocation) for name, read in self._paths}
        return self._target.render(query, path, client_query=client_query)


def _event_head(
    verb: str, host: bytes, target: _Target, mapped: list[tuple[bytes, Reader]], site: Site
) -> Callable[[Invocation], bytes]:
    """Heads for messages and $disconnect: the gateway's headers and the mapped ones."""
    names = {name.lower() for name, _ in mapped}
    own: list[Header] = [(b"Host", host)]
    own += [header for header in default_headers(site) if header[0].lower() not in names]
    static = b"".join([field(name, value) for name, value in own])
    method = verb.encode()
    typed = b"content-type" in names or verb in BODILESS
    fixed = target.static
    first = None if fixed is None else request_line(method, fixed) + static

    readers = [(b"%b: " % name, read) for name, read in mapped]
    forwarded = _forwarded(names)

    def build(invocation: Invocation) -> bytes:
        parts = [
            first if first is not None else request_line(method, target.render(invocation)) + static,
            invocation.client.forwarded if forwarded is None else forwarded(invocation),
            b"X-Amzn-Trace-Id: ",
            new_root(),
            b"\r\n",
        ]
        message = invocation.message
        if message is not None and not typed:
            parts.append(BINARY if message.binary else TEXT)
        for name, read in readers:
            value = read(invocation)
            if type(value) is str and value.isprintable():
                # Printable text can't end a line, so the check of `field` is spared.
                parts.append(name + value.encode() + b"\r\n")
            elif value is not None:
                parts.extend(header_lines(name[:-2], value))
        return b"".join(parts)

    return build


def _client_head(
    method: str, host: bytes, target: _Target, mapped: list[tuple[bytes, Reader]], site: Site
) -> Callable[[Invocation], bytes]:
    """Heads for $connect and REST: the client's headers and query too; mapped headers overwrite the client's."""
    names = {name.lower() for name, _ in mapped}
    verb = verb_of(method)
    defaults = default_headers(site)
    clients = _forwarded(names)
    static = target.static
    first = None if static is None or method == "ANY" else request_line(method.encode(), static)
    rest = site.rest
    known: dict[tuple[Header, ...], bytes] = {}

    def learn(headers: tuple[Header, ...]) -> bytes:
        # Clients send the same headers again and again, and all that comes of them is told by the headers themselves.
        forwarded = [(name, value) for name, value in proxied(headers) if name.lower() not in names]
        present = names.union([name.lower() for name, _ in forwarded])
        own = [header for header in defaults if header[0].lower() not in present]
        lines = fields([(b"Host", host), *forwarded, *own])
        if len(lines) <= KEPT_BYTES:
            if len(known) >= KEPT:
                known.clear()
            known[headers] = lines
        return lines

    def build(invocation: Invocation) -> bytes:
        request = invocation.request
        assert request is not None  # a CONNECT event is a request
        query = request.target.partition("?")[2]
        if ";" in query and rest:
            query = separated(query)
        if first is not None and not query:
            line = first
        else:
            line = request_line(verb(invocation).encode(), target.render(invocation, query))
        parts = [
            line,
            known.get(request.headers) or learn(request.headers),
            invocation.client.forwarded if clients is None else clients(invocation),
            b"X-Amzn-Trace-Id: ",
            invocation.trace_id,  # read of a head, or made here: it can't end the line
            b"\r\n",
        ]
        for name, read in mapped:
            parts.extend(header_lines(name, read(invocation)))
        return b"".join(parts)

    return build


def _forwarded(names: set[bytes]) -> Callable[[Invocation], bytes] | None:
    """What picks the X-Forwarded-* lines that no mapping sets; None if that is all of them."""
    if names.isdisjoint((b"x-forwarded-for", b"x-forwarded-port", b"x-forwarded-proto")):
        return None

    def build(invocation: Invocation) -> bytes:
        lines = invocation.client.forwarded.splitlines(keepends=True)
        return b"".join([line for line in lines if line.partition(b":")[0].lower() not in names])

    return build
