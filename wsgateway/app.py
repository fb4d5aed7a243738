"""The composition root: settings in, a running gateway out. It and `wiring` alone name every concrete class."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from functools import partial

import uvloop

from wsgateway import __version__
from wsgateway.api_docs import ApiDocs
from wsgateway.archive import Archive
from wsgateway.authorizers.tickets import TicketOffice
from wsgateway.aws import NoEndpoint, ServiceEndpoints
from wsgateway.backends import check
from wsgateway.bodies import BodyMemory, MessageMemory
from wsgateway.condition import checks_of
from wsgateway.dataplane.agreement import Agreement
from wsgateway.dataplane.cache_page import CachePage
from wsgateway.dataplane.callback import CallbackUrls, in_url
from wsgateway.dataplane.connections import ConnectionsApi
from wsgateway.dataplane.counters import Counters
from wsgateway.dataplane.directory import Directory, NodesPage
from wsgateway.dataplane.disconnects import Disconnects
from wsgateway.dataplane.endpoint import Endpoints, Place
from wsgateway.dataplane.faults import Faults
from wsgateway.dataplane.gateway import Gateway
from wsgateway.dataplane.hub import Hub
from wsgateway.dataplane.identity import ConnectionIds, new_slot
from wsgateway.dataplane.leases import Leases
from wsgateway.dataplane.node import Node
from wsgateway.dataplane.response_cache import ResponseCache
from wsgateway.dataplane.rest import RestApis
from wsgateway.dataplane.tickets import TicketsApi
from wsgateway.dataplane.usage import UsagePage
from wsgateway.dataplane.websocket import WebSocketApis
from wsgateway.deploy import Deployments
from wsgateway.deployments_api import DeploymentsApi
from wsgateway.errors import StartError
from wsgateway.facts import node_values
from wsgateway.functions import Account, InvokeApi, Surroundings
from wsgateway.guard import UNGUARDED, Guard
from wsgateway.installation import Installation
from wsgateway.messages import Handler, HttpRequest
from wsgateway.model.loader import Loaded, load
from wsgateway.registry.answers import MemoryAnswers
from wsgateway.registry.base import DefinitionStore, NodeEntry
from wsgateway.registry.memory import MemoryDefinitions, MemoryStore
from wsgateway.registry.memory_tickets import MemoryTickets
from wsgateway.serving import Serving
from wsgateway.settings import DEV_TLS_PORT, Settings, installation_secret
from wsgateway.telemetry.console import renderer_for
from wsgateway.telemetry.health import Probes
from wsgateway.telemetry.log import libraries_too, log_to
from wsgateway.telemetry.metrics import Metrics
from wsgateway.telemetry.rows import rows_of
from wsgateway.telemetry.tracing import tracing_of
from wsgateway.telemetry.unit import UnitProbes
from wsgateway.telemetry.writer import LogWriter
from wsgateway.transport.certificates import Certificates
from wsgateway.transport.files import share_out_here
from wsgateway.transport.keyring import Keyring, development_keyring
from wsgateway.transport.listener import Listener, is_loopback_host
from wsgateway.transport.proxies import TrustedProxies
from wsgateway.upstream.egress import Egress
from wsgateway.upstream.pool import Upstream
from wsgateway.wiring import backends_of, function_port
from wsgateway.workers import Worker

DEFAULT_REGION = "us-east-1"


def check_callback_auth(settings: Settings) -> None:
    """*Raises* StartError where anybody could push."""
    if settings.callback_auth == "none" and not is_loopback_host(settings.host):
        raise StartError(
            f"--callback-auth none lets everybody who reaches {settings.host} push to every client; "
            "bind the public listener to loopback (--host 127.0.0.1) or use --callback-auth sigv4"
        )


def run(settings: Settings, environ: Mapping[str, str], worker: Worker | None = None) -> int:
    """Serve until a signal ends it, or the supervisor whose `worker` this is; gives the exit code.

    *Raises* StartError, DefinitionError.
    """
    if worker is not None:
        settings = _of_worker(settings, worker)
    return uvloop.run(_App(settings, environ, worker).main())


def _of_worker(settings: Settings, worker: Worker) -> Settings:
    """What one of several workers has of the settings of all."""
    seat = worker.seat
    return replace(
        settings,
        workers=1,
        port=seat.port,
        tls_port=seat.tls_port,
        internal_port=seat.internal_port,
        max_connections=seat.share(settings.max_connections),
    )


LOOPBACK = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104 - compared with, never bound
"""Where this machine reaches what listens at a wildcard."""


class _App:
    def __init__(self, settings: Settings, environ: Mapping[str, str], worker: Worker | None) -> None:
        self._settings = settings
        self._worker = worker
        self._environ = environ
        self._counters = Counters()
        self._name = f"{socket.gethostname()}:{os.getpid()}"
        self._started = int(time.time() * 1000)
        self._elsewhere = False
        """Redis is on another machine, and nodes may be."""
        self._definitions: DefinitionStore = MemoryDefinitions(MemoryStore())
        self._tickets = TicketOffice(MemoryTickets())

    async def main(self) -> int:
        """Start, say so, serve, drain; leave nothing behind."""
        settings = self._settings
        check_callback_auth(settings)
        self._secret = installation_secret(settings.installation_secret_file, self._environ)
        self._tickets.seal_with(self._secret)
        loaded = load(settings.file, self._environ, settings.reading)
        render = renderer_for(sys.stderr, self._environ) if settings.dev else None
        bound = {} if self._worker is None else {"worker": self._worker.index}
        self._log = log_to(LogWriter(), render, **bound)
        keyring = self._new_keyring()
        try:
            with libraries_too(self._log):
                await self._run(loaded, keyring)
        finally:
            keyring.discard()
        return 0

    async def _run(self, loaded: Loaded, keyring: Keyring) -> None:
        settings = self._settings
        loop = asyncio.get_running_loop()
        sys.unraisablehook = self._unraisable
        self._egress = egress = Egress()
        bodies = BodyMemory(settings.body_memory, clock=loop.time, log=self._log)
        messages = MessageMemory(settings.message_memory, clock=loop.time, log=self._log)
        upstream = Upstream(egress=egress, bodies=bodies)
        endpoints = ServiceEndpoints(self._environ, settings.region)
        surroundings = Surroundings(
            serve=self._serve_function,
            log=self._log,
            account=_account(settings, endpoints),
            environ=self._environ,
            extra={} if keyring.authority is None else keyring.authority.trust(self._environ),
            bodies=bodies,
        )
        backends = backends_of(upstream, surroundings, endpoints, self._log, self._environ, tickets=self._tickets)
        functions = backends.functions
        backends.cache.store = MemoryAnswers(settings.cache_memory)
        backends.cache.encrypt_with(self._secret)
        checked = check(loaded, backends, keyring)
        rows = rows_of(loop, settings.access_log)
        tracing = tracing_of(self._environ, __version__, self._log)
        self._certificates = Certificates(checked.certificates)
        self._files = files = share_out_here(settings.max_connections)
        self._gateway = gateway = Gateway(
            loop=loop,
            hub=Hub(),
            ids=ConnectionIds(new_slot()),
            counters=self._counters,
            faults=Faults(self._log, loop.time),
            log=self._log,
            stages={},
            endpoints=Endpoints({}, None),
            callback_url=_no_callback_url,
            show_reasons=settings.dev,
            max_connections=files.clients,
            bodies=bodies,
            messages=messages,
            buckets=backends.buckets,
            meters=backends.meters,
            forget_authorizations=backends.forget_authorizations,
            write_row=rows.write,
            tracing=tracing,
        )
        gateway.disconnects = Disconnects(gateway, retry_seconds=settings.disconnect_retry_seconds)
        self._node = node = Node(gateway, drain_window=settings.drain_window)
        self._installation = installation = self._join(node, egress, backends.cache)
        proxies = TrustedProxies(settings.trusted_proxies)
        public = Listener(
            handler=RestApis(gateway, ConnectionsApi(gateway, signed=settings.callback_auth == "sigv4")),
            upgrade=WebSocketApis(gateway).connect,
            report=self._unexpected,
            counters=self._counters,
            proxies=proxies,
            limit=files.connections,
            at_limit=self._full,
            admission=gateway.admission,
            bodies=bodies,
            messages=messages,
        )
        self._deployments = deployments = Deployments(
            settings.file,
            self._environ,
            node=node,
            public=public,
            backends=backends,
            keyring=keyring,
            certificates=self._certificates,
            archive=Archive(self._definitions, node=self._name, key=self._secret or b""),
            secret=self._secret or b"",
            log=self._log,
            reading=settings.reading,
        )
        agreement = Agreement(self._log, loop.time)
        if installation is not None:
            installation.agreement = agreement
        worker = self._worker
        metrics = Metrics(
            partial(node_values, gateway, backends, deployments, agreement, self._log.writer, rows, installation),
            shown=None if worker is None else worker.show,
        )
        checks = partial(checks_of, node, deployments, installation)
        pages = self._pages(deployments, backends.cache)
        probes = Probes(checks=checks, version=__version__, metrics=metrics, otherwise=pages)

        def inside(handler: Handler) -> Listener:
            return Listener(
                handler=handler,
                report=self._unexpected,
                counters=self._counters,
                proxies=proxies,
                admission=gateway.admission,
                bodies=bodies,
            )

        self._own = own = inside(probes if installation is None else installation.calls(probes))
        """The node's own port; without other workers the internal listener is that."""
        internal = own
        if worker is not None:
            host = LOOPBACK.get(settings.internal_host, settings.internal_host)
            internal = inside(UnitProbes(worker, own=probes, checks=checks, page=metrics.render, host=host))
        listeners = list(dict.fromkeys((public, internal, own)))
        node.edges = [*listeners]
        gateway.callback_url = self._urls = CallbackUrls(
            public=public,
            internal=internal,
            internal_host=settings.internal_host,
            unsigned=settings.callback_auth == "none",
            advertise=settings.advertise,
            domain=settings.callback_domain,
            secure_host=None if keyring.authority is None else self._secure_host,
        )
        await deployments.start(checked)
        invoke_api = await self._serve_function(InvokeApi(functions))
        try:
            functions.invoke_address = f"127.0.0.1:{invoke_api.port}"
            if settings.dev:
                functions.warm()  # a handler that can't be imported says so now
            await self._open(public, internal, keyring)
            await Serving(
                settings=settings,
                node=node,
                deployments=deployments,
                functions=functions,
                installation=installation,
                worker=worker,
                public=public,
                internal=internal,
                address=lambda: self._entry().address,
                elsewhere=self._elsewhere,
                leaving=keyring.discard,
                writers=(self._log.writer, rows),
            ).run()
        finally:
            for listener in (*listeners, invoke_api):
                listener.close()
            await backends.aclose()
            if installation is not None:
                await installation.aclose()
            if tracing is not None:
                await tracing.aclose()
            rows.close()
            self._log.writer.close()

    def _pages(self, deployments: Deployments, cache: ResponseCache) -> Handler:
        """What the internal listener has beside probes and metrics: each page hands on what is not its own."""
        gateway, installation, host = self._gateway, self._installation, self._settings.host
        guard = Guard(self._secret, open=is_loopback_host(self._settings.internal_host))
        directory = Directory(gateway, self._entry, None if installation is None else installation.peers)
        private = RestApis(gateway, ConnectionsApi(gateway, signed=False, directory=directory), private=True)
        tickets = TicketsApi(gateway, self._tickets, refusal=guard.refusal, otherwise=private)
        if guard.shut:
            self._node.deployed.append(partial(tickets.warn, UNGUARDED))
        caches = CachePage(gateway, cache, directory, guard.refusal, otherwise=tickets)
        nodes = NodesPage(directory, UsagePage(gateway, guard.refusal, otherwise=caches))
        docs = ApiDocs(
            lambda: deployments.executed,
            server=partial(self._server, host in LOOPBACK or is_loopback_host(host)),
            guard=guard,
            otherwise=nodes,
        )
        return DeploymentsApi(deployments, nodes=directory.living, guard=guard, otherwise=docs)

    def _join(self, node: Node, egress: Egress, cache: ResponseCache) -> Installation | None:
        """The node's part in an installation; None where the registry is its own memory, and there are no others."""
        settings = self._settings
        if not settings.shared:
            return None
        from wsgateway.registry.url import open_registry  # Redis's client takes 0.1 s to import

        registry = open_registry(settings.redis_url, settings.redis_prefix)
        self._definitions, self._tickets.store = registry.definitions, registry.tickets
        node.gateway.meters.store = registry.usage
        cache.store = registry.answers
        buckets = node.gateway.buckets
        buckets.leases = leases = Leases(registry.shares, buckets.clock, node.gateway.admission.living, self._log)
        registry.link.before_closing(leases.aclose)
        for host, port in registry.link.target.addresses:
            egress.deny_own(host, port)
            self._elsewhere = self._elsewhere or not is_loopback_host(host)
        return Installation(settings, node, registry.nodes, registry.orphans, self._entry, egress, self._secret)

    def _new_keyring(self) -> Keyring:
        """In `dev`, an authority of our own where no certificate is given."""
        settings = self._settings
        if settings.dev and settings.tls_files is None:
            return development_keyring(self._environ, settings.host, self._log)
        return Keyring(files=settings.tls_files, needed=settings.dev or settings.tls_port is not None)

    async def _open(self, public: Listener, internal: Listener, keyring: Keyring) -> None:
        """Open the ports; no backend URL reaches them. *Raises* StartError where one can't be had."""
        settings, worker, backlog = self._settings, self._worker, self._files.backlog
        shared = worker is not None
        ours = [] if worker is None else worker.seat.node_ports
        inside = settings.internal_host
        if worker is not None:
            await self._own.start(inside, ours[worker.index], name="node's", backlog=backlog, share_port=True)
        await internal.start(inside, settings.internal_port, name="internal", backlog=backlog, share_port=shared)
        await public.start(settings.host, settings.port, name="public", backlog=backlog, share_port=shared)
        if keyring.needed:
            await self._start_tls(public)
        elif any(self._certificates.current.named()):
            self._log("certificates of domains are not used: no port speaks TLS; give --tls-port")
        for port in (public.port, public.tls_port):
            self._egress.deny_own(settings.host, port)
        for port in (internal.port, *ours):
            self._egress.deny_own(inside, port)

    async def _start_tls(self, public: Listener) -> None:
        """The public listener's port for TLS. In `dev` another one where the usual one is taken."""
        settings = self._settings
        port = DEV_TLS_PORT if settings.tls_port is None else settings.tls_port

        async def start(port: int) -> None:
            await public.start_tls(
                settings.host,
                port,
                self._certificates,
                name="public TLS",
                backlog=self._files.backlog,
                share_port=self._worker is not None,
            )

        try:
            await start(port)
        except StartError:
            if settings.tls_port is not None:
                raise
            await start(0)
            self._log("the usual port for TLS is taken", port=public.tls_port, usual=port)

    async def _serve_function(self, handler: Handler) -> Listener:
        return await function_port(handler, self._egress, self._unexpected, self._counters)

    # What the parts ask of the whole

    def _entry(self) -> NodeEntry:
        """What this node tells the others of itself."""
        return NodeEntry(
            slot=self._gateway.ids.slot,
            address=self._urls.node_address if self._worker is None else self._urls.address_at(self._own.port),
            name=self._name,
            version=__version__,
            started=self._started,
            digest=self._deployments.fingerprint,
            file_digest=self._deployments.file_digest,
            draining=self._gateway.draining,
        )

    def _secure_host(self, host: str, domain: str | None) -> str | None:
        """The name under which functions reach the TLS port, of a client's host; None where that is not ours."""
        default = self._certificates.current.default
        covered = default is not None and host.strip("[]") in default.names
        return host if covered or domain is not None else None

    def _server(self, here: bool, request: HttpRequest) -> str:
        """Scheme and host of the public listener, as whoever sends this request to the internal one would reach it;
        `here`: by the same name."""
        settings = self._settings
        if settings.callback_domain is not None:
            return f"https://{settings.callback_domain}"
        return f"http://{request.host if here else in_url(settings.host)}:{self._urls.public.port}"

    def _unexpected(self, error: BaseException, method: str, target: str) -> None:
        self._counters.unexpected_errors += 1
        self._log("unexpected error", error=error, method=method, path=target.partition("?")[0])

    def _unraisable(self, found: sys.UnraisableHookArgs) -> None:
        """A fault where nobody can be told of it, in a callback of C code."""
        if isinstance(found.exc_value, UnicodeDecodeError) and isinstance(found.object, bytes):
            return  # a client's TLS server name that isn't ASCII: the handshake has failed and is counted
        self._counters.unexpected_errors += 1
        self._log("unexpected error", error=found.exc_value, place=found.err_msg)

    def _full(self, limit: int) -> None:
        self._log("too many TCP connections: idle HTTP connections end, else new ones are turned away", limit=limit)


def _account(settings: Settings, endpoints: ServiceEndpoints) -> Account:
    """Where local functions believe to be. *Raises* StartError where the AWS profile can't be read."""
    try:
        return Account(region=endpoints.region or DEFAULT_REGION, account_id=settings.account_id)
    except NoEndpoint as error:
        raise StartError(str(error)) from error


def _no_callback_url(request: HttpRequest, place: Place) -> tuple[str, str]:
    raise AssertionError("there are no listeners yet")
