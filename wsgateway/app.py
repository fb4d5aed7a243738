"""The composition root: settings in, a running gateway out. The only module that names every concrete class."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import resource
import signal
import socket
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress

import anyio
import uvloop

from wsgateway import __version__
from wsgateway.aws import Credentials, NoEndpoint, ServiceEndpoints
from wsgateway.dataplane.callback import CallbackUrls, in_url
from wsgateway.dataplane.compile import Deployment, compile_deployment
from wsgateway.dataplane.connections import ConnectionsApi
from wsgateway.dataplane.counters import Counters
from wsgateway.dataplane.endpoint import Endpoints, Place
from wsgateway.dataplane.faults import Faults
from wsgateway.dataplane.gateway import Gateway
from wsgateway.dataplane.hub import Hub
from wsgateway.dataplane.identity import ConnectionIds, new_slot
from wsgateway.dataplane.node import Node
from wsgateway.dataplane.websocket import WebSocketApis
from wsgateway.errors import DefinitionError, Problem, SettingError, StartError
from wsgateway.functions import Account, Functions, InvokeApi, Surroundings
from wsgateway.integrations.aws_lambda import AwsProxy
from wsgateway.integrations.base import IntegrationType
from wsgateway.integrations.http_proxy import HttpProxy
from wsgateway.integrations.mock import Mock
from wsgateway.invocation import CONTEXT
from wsgateway.messages import Handler, HttpRequest, HttpResponse
from wsgateway.model.loader import Loaded, load
from wsgateway.settings import DEV_TLS_PORT, Settings
from wsgateway.telemetry.base import NodeFacts
from wsgateway.telemetry.health import Probes
from wsgateway.telemetry.log import Log, LogWriter
from wsgateway.telemetry.metrics import Metrics
from wsgateway.transport.certificates import Certificates, CertificateSet
from wsgateway.transport.files import Files, share_out
from wsgateway.transport.keyring import Keyring, development_keyring, remarks, tell
from wsgateway.transport.listener import Listener, is_loopback_host
from wsgateway.transport.proxies import TrustedProxies
from wsgateway.upstream.egress import Egress
from wsgateway.upstream.origin import Origin
from wsgateway.upstream.pool import Upstream

DEFAULT_REGION = "us-east-1"


def integration_types(
    upstream: Upstream, functions: Functions, endpoints: ServiceEndpoints, credentials: Credentials
) -> dict[str, IntegrationType]:
    """Every integration type by AWS's name."""
    return {
        "AWS_PROXY": AwsProxy(functions, upstream, endpoints, credentials),
        "HTTP_PROXY": HttpProxy(upstream, frozenset(CONTEXT)),
        "MOCK": Mock(),
    }


def compile_checked(
    loaded: Loaded, types: Mapping[str, IntegrationType], functions: Functions, keyring: Keyring
) -> tuple[Deployment, CertificateSet]:
    """A deployment whose functions can start here, and its certificates.

    *Raises* DefinitionError with every problem of all three.
    """
    source = loaded.source
    certificates = CertificateSet()
    problems = [source.locate(found) for found in functions.check(loaded.definitions.functions, source.directory)]
    try:
        deployment = compile_deployment(loaded, types)
    except DefinitionError as error:
        problems += error.problems
    try:
        certificates = keyring.read(loaded)
    except DefinitionError as error:
        problems += error.problems
    if problems:
        raise DefinitionError(sorted(problems, key=lambda problem: problem.line))
    return deployment, certificates


async def check_definitions(
    loaded: Loaded, environ: Mapping[str, str], region: str | None = None
) -> tuple[Deployment, list[Problem]]:
    """All that `serve` would refuse, without serving; gives what it would remark upon.

    *Raises* DefinitionError with every problem.
    """
    upstream = Upstream(egress=Egress())
    functions = Functions(Surroundings(serve=_no_runtime_api, log=_no_log, environ=environ))
    types = integration_types(upstream, functions, ServiceEndpoints(environ, region), Credentials(_no_log))
    try:
        deployment, certificates = compile_checked(loaded, types, functions, Keyring())
        return deployment, list(remarks(certificates, loaded.source))
    finally:
        await functions.aclose()
        await upstream.aclose()


def run(settings: Settings, environ: Mapping[str, str]) -> int:
    """Serve until a signal ends it; gives the exit code. *Raises* StartError, DefinitionError."""
    return uvloop.run(_App(settings, environ).main())


class _App:
    def __init__(self, settings: Settings, environ: Mapping[str, str]) -> None:
        self._settings = settings
        self._environ = environ
        self._counters = Counters()
        self._reload_failures = 0
        self._valid = True
        self._reloading = anyio.Lock()
        self._elsewhere: dict[str, str] = {}
        self._redeployed = anyio.Event()
        """Set at a deployment: other code may have to be watched."""

    async def main(self) -> int:
        """Start, say so, serve, drain."""
        settings = self._settings
        if settings.callback_auth == "none" and not is_loopback_host(settings.host):
            raise StartError(
                f"--callback-auth none lets everybody who reaches {settings.host} push to every client; "
                "bind the public listener to loopback (--host 127.0.0.1) or use --callback-auth sigv4"
            )
        loaded = load(settings.file, self._environ)
        loop = asyncio.get_running_loop()
        self._log = Log(LogWriter())
        sys.unraisablehook = self._unraisable
        self._egress = egress = Egress()
        upstream = Upstream(egress=egress)
        endpoints = ServiceEndpoints(self._environ, settings.region)
        if settings.dev and settings.tls_files is None:
            self._keyring = development_keyring(self._environ, settings.host, self._log)
        else:
            self._keyring = Keyring(files=settings.tls_files)
        keyring = self._keyring
        self._functions = functions = Functions(
            Surroundings(
                serve=self._serve_function,
                log=self._log,
                account=_account(settings, endpoints),
                environ=self._environ,
                extra={} if keyring.authority is None else keyring.authority.trust(self._environ),
            )
        )
        self._upstream = upstream
        self._credentials = Credentials(self._log)
        self._types = integration_types(upstream, functions, endpoints, self._credentials)
        deployment, certificates = compile_checked(loaded, self._types, functions, keyring)
        self._certificates = Certificates(certificates)
        speaks_tls = settings.dev or settings.tls_port is not None
        if speaks_tls and not any(certificates.named()):
            raise SettingError(
                "--tls-port needs a certificate: give --tls-cert and --tls-key, or a domain one in the definition"
            )
        self._files = files = _files(settings.max_connections)
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
        )
        self._node = node = Node(gateway, drain_window=settings.drain_window)
        proxies = TrustedProxies(settings.trusted_proxies)
        public = Listener(
            handler=ConnectionsApi(gateway, signed=settings.callback_auth == "sigv4", internal=False),
            upgrade=WebSocketApis(gateway).connect,
            report=self._unexpected,
            counters=self._counters,
            proxies=proxies,
            limit=files.connections,
            at_limit=self._full,
        )
        internal = Listener(
            handler=Probes(
                ready=self._why_not_ready,
                version=__version__,
                metrics=Metrics(self._facts),
                otherwise=ConnectionsApi(gateway, signed=False, internal=True),
            ),
            upgrade=_no_upgrade,
            report=self._unexpected,
            counters=self._counters,
            proxies=proxies,
        )
        node.edges = [public, internal]
        self._public, self._internal = public, internal
        await self._sign_in(deployment)
        gateway.callback_url = CallbackUrls(
            public=public,
            internal=internal,
            internal_host=settings.internal_host,
            unsigned=settings.callback_auth == "none",
            advertise=settings.advertise,
            domain=settings.callback_domain,
            secure_host=None if keyring.authority is None else self._secure_host,
        )
        self._deploy(loaded, deployment, certificates)
        invoke_api = await self._serve_function(InvokeApi(functions, self._log))
        try:
            functions.invoke_address = f"127.0.0.1:{invoke_api.port}"
            if settings.dev:
                functions.warm()  # a handler that can't be imported says so now
            await internal.start(settings.internal_host, settings.internal_port, name="internal", backlog=files.backlog)
            await public.start(settings.host, settings.port, name="public", backlog=files.backlog)
            if speaks_tls:
                await self._start_tls(public)
            elif any(certificates.named()):
                self._log("certificates of domains are not used: no port speaks TLS; give --tls-port")
            hosts = settings.host, settings.host, settings.internal_host
            for host, port in zip(hosts, (public.port, public.tls_port, internal.port), strict=True):
                for address in _addresses(host):
                    egress.deny(address, port)
            await self._serve(public, internal)
        finally:
            for listener in (public, internal, invoke_api):
                listener.close()
            self._credentials.close()
            await functions.aclose()
            await upstream.aclose()
            self._log.writer.close()
            if keyring.authority is not None:
                keyring.authority.discard()
        return 0

    async def _start_tls(self, public: Listener) -> None:
        """The public listener's port for TLS. In `dev` another one where the usual one is taken."""
        settings = self._settings
        port = DEV_TLS_PORT if settings.tls_port is None else settings.tls_port

        async def start(port: int) -> None:
            await public.start_tls(
                settings.host, port, self._certificates, name="public TLS", backlog=self._files.backlog
            )

        try:
            await start(port)
        except StartError:
            if settings.tls_port is not None:
                raise
            await start(0)
            self._log("the usual port for TLS is taken", port=public.tls_port, usual=port)

    async def _serve(self, public: Listener, internal: Listener) -> None:
        settings, node = self._settings, self._node
        # The signals are heard before anybody is told that there is somebody to send them to.
        async with _signals() as signals:
            # What exists now lives as long as the process; the collector need not look at it again.
            gc.collect()
            gc.freeze()
            gc.set_threshold(5_000, 20, 50)
            node.ready = True
            self._announce(public, internal)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(node.sweep)
                if settings.dev:
                    tasks.start_soon(self._watch)
                    tasks.start_soon(self._watch_code)
                await self._hear(signals, tasks)
                tasks.cancel_scope.cancel()

    async def _hear(self, signals: AsyncIterator[int], tasks: anyio.abc.TaskGroup) -> None:
        """Reload at each SIGHUP; drain at the first other signal."""
        async for number in signals:
            if number == signal.SIGHUP:
                await self._reload()
                continue
            self._log("draining", connections=len(self._gateway.hub), signal=signal.Signals(number).name)
            tasks.start_soon(self._leave_at_once_on, signals)
            await self._node.drain()
            break

    async def _leave_at_once_on(self, signals: AsyncIterator[int]) -> None:
        """A second signal ends the process without waiting for anybody."""
        async for number in signals:
            if number != signal.SIGHUP:
                self._log("leaving at once", connections=len(self._gateway.hub))
                self._log.writer.close(0.5)
                os._exit(1)

    def _announce(self, public: Listener, internal: Listener) -> None:
        settings = self._settings
        urls = {
            "public": f"http://{in_url(settings.host)}:{public.port}",
            "internal": f"http://{in_url(settings.internal_host)}:{internal.port}",
        }
        if public.tls_port:
            urls["tls"] = f"https://{in_url(settings.host)}:{public.tls_port}"
        if settings.ready_file is not None:
            # Written aside and moved, so that whoever waits for the file reads all of it.
            aside = settings.ready_file.with_name(settings.ready_file.name + ".part")
            try:
                aside.write_text(json.dumps(urls | {"pid": os.getpid()}) + "\n")
                aside.replace(settings.ready_file)
            except OSError as error:
                raise StartError(f"--ready-file {settings.ready_file}: {error.strerror}") from error
        print("wsgateway ready", *(f"{name}={url}" for name, url in urls.items()), f"pid={os.getpid()}", flush=True)

    # Definitions

    async def _reload(self) -> None:
        """Take the file's new content, and that of the files it names, or keep what there is and say why."""
        async with self._reloading:
            await self._reload_once()

    async def _reload_once(self) -> None:
        self._upstream.look_again()
        self._credentials.look_again()
        try:
            loaded = load(self._settings.file, self._environ)
            deployment, certificates = compile_checked(loaded, self._types, self._functions, self._keyring)
        except DefinitionError as error:
            self._reload_failures += 1
            self._valid = False
            for problem in error.problems:
                self._log("definition refused; the old one stays", problem=problem)
            return
        except Exception as error:  # a fault of ours must not end the process either
            self._reload_failures += 1
            self._valid = False
            self._counters.unexpected_errors += 1
            self._log("definition refused; the old one stays", error=error)
            return
        self._valid = True
        unchanged = (loaded.digest, loaded.definitions) == (self._node.digest, self._definitions)
        await self._sign_in(deployment)
        self._deploy(loaded, deployment, certificates)
        event = "definition unchanged" if unchanged else "definition deployed"
        self._log(event, digest=deployment.digest, stages=len(deployment.stages))

    async def _sign_in(self, deployment: Deployment) -> None:
        """Have credentials at hand, if there are any, before the first message for a function that is not here."""
        elsewhere = _lambdas(self._types).elsewhere(
            [use for use in deployment.uses if use[0].integration_type == "AWS_PROXY"]
        )
        for function, endpoint in sorted(elsewhere.items() - self._elsewhere.items()):
            self._log("function elsewhere", function=function, endpoint=endpoint)
        self._elsewhere = elsewhere
        if elsewhere:
            self._credentials.start()
            await self._credentials.first()

    def _show(self, loaded: Loaded, certificates: CertificateSet) -> None:
        """Show these certificates in handshakes from now on."""
        before, self._certificates.current = self._certificates.current, certificates
        tell(before, certificates, loaded.source, self._log)

    def _deploy(self, loaded: Loaded, deployment: Deployment, certificates: CertificateSet) -> None:
        """Execute it, and hold the listener to its limits: which API a head is for is known only behind it."""
        # Functions first: a stage that is swapped in finds them there.
        self._functions.reload(loaded.definitions.functions, loaded.source.directory)
        self._definitions = loaded.definitions
        self._node.deploy(deployment)
        self._show(loaded, certificates)
        self._let_go(deployment)
        self._redeployed.set()
        quotas = [stage.quotas for stage in deployment.stages.values()]
        self._public.head_seconds = min(quota.handshake_seconds for quota in quotas)
        self._public.patience(stalled_write=max(quota.stalled_write for quota in quotas))
        self._public.behind_bytes = max(quota.max_message_bytes for quota in quotas)

    def _let_go(self, deployment: Deployment) -> None:
        """Keep the connections and caps that a deployment uses, and no others."""
        origins: set[Origin] = set()
        for name, kind in self._types.items():
            origins |= kind.keep_only([use for use in deployment.uses if use[0].integration_type == name])
        self._upstream.keep_only(origins)

    async def _watch(self) -> None:
        """Reload when the definition file changes."""
        from watchfiles import awatch  # only `dev` needs it

        file = self._settings.file.resolve()
        # The directory, not the file: editors replace files.
        async for changes in awatch(file.parent, recursive=False, debounce=100, step=20, rust_timeout=200):
            if any(changed == str(file) for _, changed in changes):
                await self._reload()

    async def _watch_code(self) -> None:
        """Restart a function for its next message when its code changes."""
        from watchfiles import awatch

        while True:
            self._redeployed = redeployed = anyio.Event()
            folders = self._functions.folders()
            if not folders:
                await redeployed.wait()
                continue
            async for changes in awatch(*folders, stop_event=redeployed, debounce=100, step=20, rust_timeout=200):
                if self._functions.changed(path for _, path in changes):
                    self._functions.warm()

    async def _serve_function(self, handler: Handler) -> Listener:
        """A port of its own on loopback for one of Lambda's APIs; no backend URL reaches it."""
        listener = Listener(handler=handler, upgrade=_no_upgrade, report=self._unexpected, counters=self._counters)
        await listener.start("127.0.0.1", 0, name="functions")
        self._egress.deny("127.0.0.1", listener.port)
        return listener

    # What the parts ask of the whole

    def _secure_host(self, host: str, domain: str | None) -> str | None:
        """The name under which functions reach the TLS port, of a client's host; None where that is not ours."""
        default = self._certificates.current.default
        covered = default is not None and host.strip("[]") in default.names
        return host if covered or domain is not None else None

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

    def _why_not_ready(self) -> str:
        if self._gateway.draining:
            return "draining"
        return "" if self._node.ready else "starting"

    def _facts(self) -> NodeFacts:
        counters, gateway = self._counters, self._gateway
        disconnects: dict[str, int] = {}
        for code, number in counters.close_codes.items():
            code_class = f"{code // 1000}xxx" if code >= 3000 else str(code) if 1000 <= code <= 1015 else "other"
            disconnects[code_class] = disconnects.get(code_class, 0) + number
        return NodeFacts(
            version=__version__,
            connections=len(gateway.hub),
            connections_limit=self._files.clients,
            draining=gateway.draining,
            definition_valid=self._valid,
            disconnects_running=gateway.closing,
            tails=gateway.tails.running,
            connects={str(status): number for status, number in counters.connects.items()},
            disconnects=disconnects,
            messages={"in": counters.messages_in, "out": counters.messages_out},
            compressed_connections=counters.compressed_connections,
            compressed_messages={"in": counters.compressed_in, "out": counters.compressed_out},
            compressed_bytes={"in": counters.compressed_bytes_in, "out": counters.compressed_bytes_out},
            compressed_payload_bytes={
                "in": counters.compressed_payload_bytes_in,
                "out": counters.compressed_payload_bytes_out,
            },
            pushes={str(status): number for status, number in counters.pushes.items()},
            message_errors=dict(counters.route_errors),
            failures=self._upstream.failures() | {"refused": sum(kind.refused for kind in self._types.values())},
            lambda_calls=dict(_lambdas(self._types).counts),
            credentials_valid=not self._credentials.fault if self._credentials.wanted else None,
            invocations={name: pool.invocations for name, pool in self._functions.pools.items()},
            cold_starts={name: pool.cold_starts for name, pool in self._functions.pools.items()},
            throttles={name: pool.throttles for name, pool in self._functions.pools.items()},
            given_up={
                "stalled_write": counters.stalled_writes,
                "pong_timeout": counters.pong_timeouts,
                "outbox_full": counters.slow_clients,
            },
            refused={
                "request_malformed": counters.requests_malformed,
                "request_misdirected": counters.misdirected,
                "tls_handshake_failed": counters.tls_handshakes_failed,
                "handshake_malformed": counters.handshakes_malformed,
                "connection_surplus": counters.connections_refused,
            },
            disconnect_failures=counters.disconnect_failures,
            unexpected=counters.unexpected_errors,
            reload_failures=self._reload_failures,
            certificates={name: pair.expires.timestamp() for name, pair in self._certificates.current.named()},
            log_dropped=self._log.writer.dropped,
        )


def _lambdas(types: Mapping[str, IntegrationType]) -> AwsProxy:
    proxy = types["AWS_PROXY"]
    assert isinstance(proxy, AwsProxy)
    return proxy


def _account(settings: Settings, endpoints: ServiceEndpoints) -> Account:
    """Where local functions believe to be. *Raises* StartError where the AWS profile can't be read."""
    try:
        return Account(region=endpoints.region or DEFAULT_REGION, account_id=settings.account_id)
    except NoEndpoint as error:
        raise StartError(str(error)) from error


@asynccontextmanager
async def _signals() -> AsyncIterator[AsyncIterator[int]]:
    """The signals the process hears while inside, one after the other; several readers share them."""
    send, receive = anyio.create_memory_object_stream[int](16)
    loop = asyncio.get_running_loop()
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

    def heard(number: int) -> None:
        with suppress(anyio.WouldBlock):  # sixteen are waiting already
            send.send_nowait(number)

    for number in numbers:
        loop.add_signal_handler(number, heard, number)
    try:
        with send, receive:
            yield receive
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)


async def _no_runtime_api(handler: Handler) -> Listener:
    raise StartError("a check starts no function")


def _no_callback_url(request: HttpRequest, place: Place) -> tuple[str, str]:
    raise AssertionError("there are no listeners yet")


def _no_log(event: str, **facts: object) -> None:
    """A check tells what it finds as problems."""


def _no_upgrade(request: HttpRequest) -> HttpResponse:
    body = b'{"message":"Forbidden"}'
    return HttpResponse(403, ((b"Content-Type", b"application/json"),), body, close=True)


def _files(max_connections: int | None) -> Files:
    """The shares of as many open files as the process may have. *Raises* StartError."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return share_out(sys.maxsize if hard == resource.RLIM_INFINITY else hard, max_connections)


def _addresses(host: str) -> list[str]:
    try:
        return sorted({str(info[4][0]) for info in socket.getaddrinfo(host or None, None, type=socket.SOCK_STREAM)})
    except OSError:
        return []
