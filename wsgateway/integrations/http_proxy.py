"""HTTP_PROXY: the message goes to a URL as it came, the answer comes back as it is.

Header rules: API Gateway developer guide, "Set up HTTP integrations" and "Important notes"; on a message or
$disconnect only the gateway's own headers and mapped ones are sent, on $connect the client's too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, quote, unquote_plus, urlsplit

from wsgateway.errors import ApiConfigurationError, Problem
from wsgateway.http1 import UnsafeHeader, field, request_line, strip_hop_by_hop
from wsgateway.integrations.gates import Gates
from wsgateway.invocation import EventType, Invocation, new_trace_id
from wsgateway.messages import EndpointRequest
from wsgateway.model.uri import VARIABLE, expand, uri_fault, variables
from wsgateway.templates.expression import ExpressionError
from wsgateway.templates.messagepack import FORMATS
from wsgateway.templates.parameters import Context, StageVariable, Static, compile_source, parse_source, parse_target
from wsgateway.upstream.tls import DEFAULT_TLS, TlsSettings, machine_fault

if TYPE_CHECKING:
    from asyncio import Future

    from wsgateway.integrations.base import Call, Site
    from wsgateway.messages import EndpointResponse, Header
    from wsgateway.model.integration import Integration
    from wsgateway.model.tls import TlsConfig
    from wsgateway.templates.parameters import Target, Value
    from wsgateway.upstream.exchange import Gate
    from wsgateway.upstream.origin import Origin
    from wsgateway.upstream.pool import Upstream

BODILESS = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods sent without a body, whatever the message."""

NOT_FORWARDED = frozenset(
    {
        b"content-encoding",
        b"content-md5",
        b"expect",
        b"host",
        b"max-forwards",
        b"server",
        b"via",
        b"www-authenticate",
        b"x-amzn-apigateway-api-id",
        b"x-amzn-trace-id",
        b"x-forwarded-for",
        b"x-forwarded-port",
        b"x-forwarded-proto",
    }
)
"""Headers of a handshake that don't reach the backend as the client wrote them, besides those of one hop."""

# Whoever decodes such a value before resolving the path would step out of its segment (RFC 3986 §5.2.4, CWE-22).
_leaves = re.compile(r"(?:^|/)\.{1,2}(?:/|$)|[\\\0]").search
_dots = re.compile(r"\.{1,2}").fullmatch
_slot = re.compile(r"\{([A-Za-z0-9._$-]+)\+?\}")

Reader = Callable[[Invocation], "Value"]


class HttpProxy:
    """The IntegrationType of HTTP_PROXY."""

    def __init__(self, upstream: Upstream, known_context: frozenset[str]) -> None:
        self._upstream = upstream
        self._known_context = known_context
        self._gates = Gates()

    def check(self, integration: Integration, site: Site) -> Iterator[Problem]:
        """The URI with this stage's variables, and every mapping."""
        uri = integration.integration_uri or ""
        slots = _slot.findall(VARIABLE.sub("", uri).partition("?")[0])
        missing = sorted({name for name in variables(uri) if name not in site.stage_variables})
        for name in missing:
            yield Problem(("integrationUri",), f"the stage has no variable {name}; add it to its stageVariables")
        if not missing:
            fault = uri_fault(expand(uri, site.stage_variables))
            if fault is not None:
                yield Problem(("integrationUri",), f"{expand(uri, site.stage_variables)}: {fault}")
        tls = _tls(integration.tls_config)
        if uri.startswith("https:") and tls.ca_file is None and tls.verify:
            fault = machine_fault()
            if fault is not None:
                yield Problem(("integrationUri",), f"no certificate can be verified: {fault}")
        for key, text in integration.request_parameters.items():
            path = ("requestParameters", key)
            try:
                target = parse_target(key)
            except ExpressionError as error:
                yield Problem(path, str(error))
                continue
            if target.place == "header" and target.name.lower() == "host":
                yield Problem(path, "Host is the URI's; no mapping may set it")
            if target.place == "path" and target.name not in slots:
                yield Problem(path, f"the path of integrationUri has no {{{target.name}}}")
            try:
                source = parse_source(text)
            except ExpressionError as error:
                yield Problem(path, str(error))
                continue
            match source:
                case Context(name) if name not in self._known_context:
                    yield Problem(path, f"there is no $context.{name}")
                case StageVariable(name) if name not in site.stage_variables:
                    yield Problem(path, f"the stage has no variable {name}; add it to its stageVariables")
                case Static(static) if target.place == "header" and not _safe(static):
                    yield Problem(path, "a header's value holds no line breaks and no NUL")

    def compile(self, integration: Integration, site: Site) -> Call:
        """A Call that writes one request, most of it prepared here."""
        uri = _uri(integration, site)
        origin = self._origin(integration, site)
        gate = self._gates.of(integration, site)
        timeout = integration.timeout_in_millis
        seconds = site.quotas.integration_timeout if timeout is None else timeout / 1000
        on_connect = site.event_type is EventType.CONNECT
        method = integration.integration_method
        if method == "ANY":
            # AWS leaves `ANY` open for events that have no verb of their own; a message is posted.
            method = "GET" if on_connect else "POST"
        mappings: list[tuple[Target, Reader]] = [
            (parse_target(key), compile_source(parse_source(text), FORMATS[site.binary_format]))
            for key, text in integration.request_parameters.items()
        ]
        head = _connect_head if on_connect else _event_head
        build = head(
            method.encode(),
            uri.netloc.rpartition("@")[2].encode(),
            _Target(uri.path or "/", uri.query, mappings),
            [(target.name.encode(), read) for target, read in mappings if target.place == "header"],
            site,
        )
        return _call(build, method, origin, seconds, site.max_answer_bytes, gate)

    def origins(self, uses: Sequence[tuple[Integration, Site]]) -> set[Origin]:
        return {self._origin(integration, site) for integration, site in uses}

    def keep_only(self, uses: Sequence[tuple[Integration, Site]]) -> None:
        self._gates.keep_only(uses)

    @property
    def refused(self) -> int:
        return self._gates.refused

    def _origin(self, integration: Integration, site: Site) -> Origin:
        """Connections of one integration: none waits for those of another, nor for another API's."""
        uri = _uri(integration, site)
        port = uri.port or (443 if uri.scheme == "https" else 80)
        return self._upstream.origin(
            uri.scheme,
            uri.hostname or "",
            port,
            share=(site.api_id, site.definition),
            tls=_tls(integration.tls_config),
        )


def _uri(integration: Integration, site: Site) -> SplitResult:
    return urlsplit(expand(integration.integration_uri or "", site.stage_variables))


def _tls(config: TlsConfig | None) -> TlsSettings:
    """The files by name and content: what is replaced under its name makes other connections."""
    if config is None:
        return DEFAULT_TLS
    files = config.ca_certificates, config.client_certificate, config.client_key
    ca_file, certificate, key = (None if file is None else str(file.path) for file in files)
    return TlsSettings(
        ca_file=ca_file,
        certificate=certificate,
        key=key,
        server_name=config.server_name_to_verify,
        verify=not config.insecure_skip_verification,
        version=" ".join("" if file is None else file.digest for file in files),
    )


def _call(
    build: Callable[[Invocation], bytes],
    method: str,
    origin: Origin,
    seconds: float,
    max_answer_bytes: int,
    gate: Gate | None,
) -> Call:
    bodiless = method in BODILESS

    def call(invocation: Invocation) -> Future[EndpointResponse]:
        message = invocation.message
        body = b"" if message is None or bodiless else message.data
        try:
            head = build(invocation)
        except (UnsafeHeader, UnicodeEncodeError) as error:
            raise ApiConfigurationError(f"a mapped parameter can't be sent: {error}") from error
        return origin.send(EndpointRequest(head, body, method), seconds, max_body=max_answer_bytes, gate=gate)

    return call


class _Target:
    """The request target: static where nothing is mapped into it."""

    def __init__(self, path: str, query: str, mappings: list[tuple[Target, Reader]]) -> None:
        self._path = path
        self._mapped = frozenset(target.name for target, _ in mappings if target.place == "querystring")
        self._query = self._unmapped(query)
        self._paths = {target.name: read for target, read in mappings if target.place == "path"}
        self._queries = [(target.name, read) for target, read in mappings if target.place == "querystring"]

    @property
    def static(self) -> bytes | None:
        if self._paths or self._queries:
            return None
        return self._join(self._path, self._query)

    def render(self, invocation: Invocation, client_query: str = "") -> bytes:
        """The target of one request; `client_query` as the client sent it. Values can't leave their segment.

        A mapped query parameter is the only one of its name, and there is none if it has no value: which of two a
        backend believes is not for the client to choose.
        """
        path = self._path
        if self._paths:
            path = _slot.sub(lambda slot: self._fill(slot, invocation), path)
            if any(_dots(segment) for segment in path.split("/")):
                raise UnsafeHeader("path parameters fill a segment with dots alone")
        parts = [part for part in (self._query, self._unmapped(client_query)) if part]
        for name, read in self._queries:
            value = read(invocation)
            for item in [value] if isinstance(value, str) else value or ():
                parts.append(f"{quote(name, safe='')}={quote(item, safe='')}")
        return self._join(path, "&".join(parts))

    def _unmapped(self, query: str) -> str:
        """`query` without the parameters that mappings set, the others byte for byte."""
        if not self._mapped:
            return query
        return "&".join([part for part in query.split("&") if unquote_plus(part.partition("=")[0]) not in self._mapped])

    def _fill(self, slot: re.Match[str], invocation: Invocation) -> str:
        read = self._paths.get(slot[1])
        if read is None:
            return slot[0]
        value = read(invocation)
        text = value if isinstance(value, str) else ",".join(value or ())
        if _leaves(text) is not None:
            raise UnsafeHeader(f"the value of path parameter {slot[1]} holds a dot segment, a backslash or NUL")
        return quote(text, safe="")

    @staticmethod
    def _join(path: str, query: str) -> bytes:
        # Braces that stay (a slot nobody maps) are not URI characters: RFC 3986 §2.
        path = path.replace("{", "%7B").replace("}", "%7D")
        return (f"{path}?{query}" if query else path).encode("ascii")


def _event_head(
    method: bytes, host: bytes, target: _Target, mapped: list[tuple[bytes, Reader]], site: Site
) -> Callable[[Invocation], bytes]:
    """Heads for messages and $disconnect: the gateway's headers and the mapped ones."""
    names = {name.lower() for name, _ in mapped}
    own: list[Header] = [(b"Host", host)]
    own += [header for header in _defaults(site) if header[0].lower() not in names]
    static = b"".join([field(name, value) for name, value in own])
    typed = b"content-type" in names or method.decode() in BODILESS
    fixed = target.static
    first = None if fixed is None else request_line(method, fixed) + static

    readers = [(b"%b: " % name, read) for name, read in mapped]
    forwarded = _forwarded(names)

    def build(invocation: Invocation) -> bytes:
        parts = [
            first if first is not None else request_line(method, target.render(invocation)) + static,
            invocation.client.forwarded if forwarded is None else forwarded(invocation),
            b"X-Amzn-Trace-Id: ",
            new_trace_id(),
            b"\r\n",
        ]
        message = invocation.message
        if message is not None and not typed:
            parts.append(_BINARY if message.binary else _TEXT)
        for name, read in readers:
            value = read(invocation)
            if type(value) is str and value.isprintable():
                # Printable text can't end a line, so the check of `field` is spared.
                parts.append(name + value.encode() + b"\r\n")
            elif value is not None:
                parts.extend(_lines(name[:-2], value))
        return b"".join(parts)

    return build


def _connect_head(
    method: bytes, host: bytes, target: _Target, mapped: list[tuple[bytes, Reader]], site: Site
) -> Callable[[Invocation], bytes]:
    """Heads for $connect: the client's headers and query too; mapped headers overwrite the client's."""
    names = {name.lower() for name, _ in mapped}
    defaults = _defaults(site)
    clients = _forwarded(names)

    def build(invocation: Invocation) -> bytes:
        request = invocation.request
        assert request is not None  # a CONNECT event is a request
        forwarded = [
            (name, value)
            for name, value in strip_hop_by_hop(request.headers)
            if (key := name.lower()) not in NOT_FORWARDED
            and key not in names
            and not (key == b"authorization" and value.startswith(b"AWS4-HMAC-SHA256"))
        ]
        present = names.union([name.lower() for name, _ in forwarded])
        parts = [request_line(method, target.render(invocation, request.target.partition("?")[2]))]
        parts.append(field(b"Host", host))
        parts += [field(name, value) for name, value in forwarded]
        parts += [field(name, value) for name, value in defaults if name.lower() not in present]
        parts.append(invocation.client.forwarded if clients is None else clients(invocation))
        trace = request.header(b"x-amzn-trace-id")
        parts.append(field(b"X-Amzn-Trace-Id", trace or new_trace_id()))
        for name, read in mapped:
            parts.extend(_lines(name, read(invocation)))
        return b"".join(parts)

    return build


def _defaults(site: Site) -> list[Header]:
    """What is sent unless the client or a mapping says otherwise."""
    return [
        (b"Accept", b"application/json"),
        (b"User-Agent", b"AmazonAPIGateway_%b" % site.api_id.encode()),
        (b"X-Amzn-Apigateway-Api-Id", site.api_id.encode()),
        (b"Connection", b"keep-alive"),
    ]


def _forwarded(names: set[bytes]) -> Callable[[Invocation], bytes] | None:
    """What picks the X-Forwarded-* lines that no mapping sets; None if that is all of them."""
    if names.isdisjoint((b"x-forwarded-for", b"x-forwarded-port", b"x-forwarded-proto")):
        return None

    def build(invocation: Invocation) -> bytes:
        lines = invocation.client.forwarded.splitlines(keepends=True)
        return b"".join([line for line in lines if line.partition(b":")[0].lower() not in names])

    return build


def _lines(name: bytes, value: Value) -> Iterator[bytes]:
    if isinstance(value, str):
        yield field(name, value.encode())
    elif value is not None:
        for item in value:
            yield field(name, item.encode())


def _safe(text: str) -> bool:
    return not any(character in text for character in "\r\n\0")


_TEXT = b"Content-Type: application/json\r\n"
_BINARY = b"Content-Type: application/octet-stream\r\n"
