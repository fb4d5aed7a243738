"""`wsgateway serve` and `wsgateway dev`: run the gateway."""

from __future__ import annotations

import gc
import os
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from wsgateway.cli.options import (
    DEFAULT_FILE,
    File,
    OpenApiBasePath,
    OpenApiLenient,
    OpenApiStage,
    RegionOption,
)
from wsgateway.cpus import usable_cpus
from wsgateway.errors import DefinitionError, StartError, complaint
from wsgateway.settings import (
    BODY_MEMORY,
    CACHE_MEMORY,
    MEMORY,
    MESSAGE_MEMORY,
    Network,
    Settings,
    check_authority,
    parse_networks,
)
from wsgateway.workers import Worker

MOST_WORKERS = 256


def _authority(text: str | None) -> str | None:
    try:
        return check_authority(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def _account_id(text: str) -> str:
    if len(text) != 12 or not (text.isascii() and text.isdigit()):
        raise typer.BadParameter(f"{text!r} is no account; write its 12 digits")
    return text


Host = Annotated[str, typer.Option(help="Address of the public listener.", envvar="WSGATEWAY_HOST")]
PublicPort = Annotated[
    int, typer.Option(help="Port of the public listener; 0 = any.", envvar="WSGATEWAY_PORT", min=0, max=65535)
]
TlsPort = Annotated[
    int | None,
    typer.Option(
        help="Port of the public listener that speaks TLS; 0 = any.", envvar="WSGATEWAY_TLS_PORT", min=0, max=65535
    ),
]
DevTlsPort = Annotated[
    int | None,
    typer.Option(
        help="Port of the public listener that speaks TLS; 0 = any (default: 8443, or any if that is taken).",
        envvar="WSGATEWAY_TLS_PORT",
        min=0,
        max=65535,
    ),
]
TlsCert = Annotated[
    Path | None,
    typer.Option(help="The certificate and its chain, in PEM form.", envvar="WSGATEWAY_TLS_CERT"),
]
TlsKey = Annotated[
    Path | None, typer.Option(help="The certificate's private key, in PEM form.", envvar="WSGATEWAY_TLS_KEY")
]
InternalHost = Annotated[str, typer.Option(help="Address of the internal listener.", envvar="WSGATEWAY_INTERNAL_HOST")]
InternalPort = Annotated[
    int,
    typer.Option(help="Port of the internal listener; 0 = any.", envvar="WSGATEWAY_INTERNAL_PORT", min=0, max=65535),
]
Advertise = Annotated[
    str | None,
    typer.Option(
        help="HOST[:PORT] at which backends reach the internal listener; stands in $context.callbackUrl.",
        envvar="WSGATEWAY_ADVERTISE",
        callback=_authority,
    ),
]
MaxConnections = Annotated[
    int | None,
    typer.Option(
        help="Connections at which new handshakes get 503, shared out evenly among workers (default: what the file "
        "limit of each process allows).",
        envvar="WSGATEWAY_MAX_CONNECTIONS",
        min=1,
    ),
]
DrainWindow = Annotated[
    float,
    typer.Option(help="Seconds over which a drain closes connections.", envvar="WSGATEWAY_DRAIN_WINDOW", min=0),
]
DisconnectRetrySeconds = Annotated[
    float,
    typer.Option(
        help="Seconds in which a $disconnect that can't be delivered is tried again; 0 = one attempt.",
        envvar="WSGATEWAY_DISCONNECT_RETRY_SECONDS",
        min=0,
        max=86_400,
    ),
]
CallbackAuth = Annotated[
    Literal["none", "sigv4"],
    typer.Option(help="What @connections asks for on the public listener.", envvar="WSGATEWAY_CALLBACK_AUTH"),
]
CallbackDomain = Annotated[
    str | None,
    typer.Option(
        help="HOST[:PORT] that replaces the host part of domainName.",
        envvar="WSGATEWAY_CALLBACK_DOMAIN",
        callback=_authority,
    ),
]
TrustedProxies = Annotated[
    str, typer.Option(help="CIDR,… that may set X-Forwarded-*.", envvar="WSGATEWAY_TRUSTED_PROXIES")
]
AccountId = Annotated[
    str,
    typer.Option(
        help="The AWS account local functions believe to be in, and whose callers AWS_IAM takes for ours.",
        envvar="WSGATEWAY_ACCOUNT_ID",
        callback=_account_id,
    ),
]
CacheMemory = Annotated[
    int,
    typer.Option(
        help="Bytes of REST APIs' answers that are kept in memory, of all stages with a cache together; with "
        "--redis-url they are kept in Redis.",
        envvar="WSGATEWAY_CACHE_MEMORY",
        min=0,
    ),
]
BodyMemory = Annotated[
    int,
    typer.Option(
        help="Bytes of large bodies, of requests and of backends' answers, that a process holds at a time, of all "
        "connections together; what finds no room is answered 503. Of each worker.",
        envvar="WSGATEWAY_BODY_MEMORY",
        min=1 << 20,
    ),
]
MessageMemory = Annotated[
    int,
    typer.Option(
        help="Bytes of WebSockets' messages that a process holds at a time, of all connections with more than 64 KiB "
        "of them: arriving, running, and waiting for slow clients. Of each worker.",
        envvar="WSGATEWAY_MESSAGE_MEMORY",
        min=1 << 20,
    ),
]
RedisUrl = Annotated[
    str,
    typer.Option(
        help="Where several nodes keep what they share, such as redis://localhost:6379/0; memory:// is for one node.",
        envvar=["WSGATEWAY_REDIS_URL", "REDIS_URL"],
    ),
]
RedisPrefix = Annotated[
    str,
    typer.Option(help="What the keys of this installation begin with.", envvar="WSGATEWAY_REDIS_PREFIX"),
]
LeaseTtl = Annotated[
    float,
    typer.Option(
        help="Seconds without a word from a node after which others begin to take it for dead.",
        envvar="WSGATEWAY_LEASE_TTL",
        min=1,
        max=300,
    ),
]
RedisAway = Annotated[
    Literal["refuse", "accept"],
    typer.Option(help="What becomes of new connections while Redis is away.", envvar="WSGATEWAY_REDIS_AWAY"),
]
SecretFile = Annotated[
    Path | None,
    typer.Option(
        help="What the nodes know one another by (default: WSGATEWAY_INSTALLATION_SECRET, else one made in Redis).",
        envvar="WSGATEWAY_INSTALLATION_SECRET_FILE",
    ),
]
AccessLog = Annotated[
    str,
    typer.Option(
        metavar="FILE",
        help="Where the rows of `accessLogSettings` are appended (-: stdout). One that is moved away is begun anew.",
        envvar="WSGATEWAY_ACCESS_LOG",
    ),
]
Workers = Annotated[
    str,
    typer.Option(
        metavar="N|auto",
        help="Processes that share the ports, each a node: a number, or auto for the CPUs that may be used. "
        "More than one need Redis.",
        envvar="WSGATEWAY_WORKERS",
    ),
]
ReadyFile = Annotated[
    Path | None,
    typer.Option(help="Write the ready line's facts here, as JSON, once ready.", envvar="WSGATEWAY_READY_FILE"),
]


def serve(
    file: File = DEFAULT_FILE,
    host: Host = "127.0.0.1",
    port: PublicPort = 8080,
    tls_port: TlsPort = None,
    tls_cert: TlsCert = None,
    tls_key: TlsKey = None,
    internal_host: InternalHost = "127.0.0.1",
    internal_port: InternalPort = 9090,
    advertise: Advertise = None,
    max_connections: MaxConnections = None,
    drain_window: DrainWindow = 25.0,
    disconnect_retry_seconds: DisconnectRetrySeconds = 600.0,
    callback_auth: CallbackAuth = "sigv4",
    callback_domain: CallbackDomain = None,
    trusted_proxies: TrustedProxies = "",
    ready_file: ReadyFile = None,
    region: RegionOption = None,
    account_id: AccountId = "000000000000",
    cache_memory: CacheMemory = CACHE_MEMORY,
    body_memory: BodyMemory = BODY_MEMORY,
    message_memory: MessageMemory = MESSAGE_MEMORY,
    redis_url: RedisUrl = MEMORY,
    redis_prefix: RedisPrefix = "wsgateway",
    lease_ttl: LeaseTtl = 15.0,
    redis_away: RedisAway = "refuse",
    installation_secret_file: SecretFile = None,
    openapi_stage: OpenApiStage = None,
    openapi_base_path: OpenApiBasePath = "ignore",
    openapi_lenient: OpenApiLenient = False,
    access_log: AccessLog = "-",
    workers: Workers = "1",
) -> None:
    """Serve the APIs of FILE, a definition or an OpenAPI document."""
    _run(dev=False, **locals() | {"workers": count_of_workers(workers)})


def dev(
    file: File = DEFAULT_FILE,
    host: Host = "127.0.0.1",
    port: PublicPort = 8080,
    tls_port: DevTlsPort = None,
    tls_cert: TlsCert = None,
    tls_key: TlsKey = None,
    internal_host: InternalHost = "127.0.0.1",
    internal_port: InternalPort = 9090,
    advertise: Advertise = None,
    max_connections: MaxConnections = None,
    drain_window: DrainWindow = 0.0,
    disconnect_retry_seconds: DisconnectRetrySeconds = 10.0,
    callback_auth: CallbackAuth = "none",
    callback_domain: CallbackDomain = None,
    trusted_proxies: TrustedProxies = "",
    ready_file: ReadyFile = None,
    region: RegionOption = None,
    account_id: AccountId = "000000000000",
    cache_memory: CacheMemory = CACHE_MEMORY,
    body_memory: BodyMemory = BODY_MEMORY,
    message_memory: MessageMemory = MESSAGE_MEMORY,
    redis_url: RedisUrl = MEMORY,
    redis_prefix: RedisPrefix = "wsgateway",
    lease_ttl: LeaseTtl = 15.0,
    redis_away: RedisAway = "refuse",
    installation_secret_file: SecretFile = None,
    openapi_stage: OpenApiStage = None,
    openapi_base_path: OpenApiBasePath = "ignore",
    openapi_lenient: OpenApiLenient = False,
    access_log: AccessLog = "-",
) -> None:
    """Serve the APIs of FILE while you write them: reload on change, and errors say why."""
    _run(dev=True, **locals())


def count_of_workers(text: str) -> int:
    """What --workers says. *Raises* BadParameter."""
    if text == "auto":
        return usable_cpus()
    if text.isascii() and text.isdigit() and 1 <= int(text) <= MOST_WORKERS:
        return int(text)
    raise typer.BadParameter(f"{text!r} is neither 1 to {MOST_WORKERS} nor auto", param_hint="--workers")


def _networks(text: str) -> tuple[Network, ...]:
    try:
        return parse_networks(text)
    except StartError as error:
        raise typer.BadParameter(str(error).partition(": ")[2], param_hint="--trusted-proxies") from error


def settings_of(*, trusted_proxies: str, **flags: Any) -> Settings:
    """The flags of a verb, which are the names of Settings. *Raises* SettingError, BadParameter."""
    return Settings(trusted_proxies=_networks(trusted_proxies), **flags)


def _run(*, trusted_proxies: str, **flags: Any) -> None:
    """Run the gateway with the flags of a verb."""
    worker = Worker.here(os.environ)
    settings = settings_of(trusted_proxies=trusted_proxies, **flags)
    if worker is None and settings.workers > 1:
        from wsgateway.supervisor import supervise

        sys.exit(supervise(settings, os.environ))
    # What an import makes stays: looking for garbage in it, again and again while it grows, is a fifth of a start.
    gc.disable()
    from wsgateway.app import run  # the other verbs start faster without it

    gc.freeze()
    gc.enable()
    if worker is None:
        sys.exit(run(settings, os.environ))
    try:
        sys.exit(run(settings, os.environ, worker))
    except (DefinitionError, StartError) as error:
        # Of several workers that can't start for one reason one is to say it: the supervisor decides which.
        worker.fail(*complaint(error))
        sys.exit(1)
