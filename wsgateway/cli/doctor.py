"""`wsgateway doctor`: what has to be mended before a start, or after one."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from wsgateway.cli.options import (
    DEFAULT_FILE,
    File,
    OpenApiBasePath,
    OpenApiLenient,
    OpenApiStage,
    Output,
    OutputOption,
    RegionOption,
    print_rows,
)
from wsgateway.cli.serve import (
    AccessLog,
    AccountId,
    Advertise,
    BodyMemory,
    CacheMemory,
    CallbackAuth,
    CallbackDomain,
    DisconnectRetrySeconds,
    DrainWindow,
    Host,
    InternalHost,
    InternalPort,
    LeaseTtl,
    MaxConnections,
    PublicPort,
    ReadyFile,
    RedisAway,
    RedisPrefix,
    RedisUrl,
    SecretFile,
    TlsCert,
    TlsKey,
    TlsPort,
    TrustedProxies,
    Workers,
    count_of_workers,
    settings_of,
)
from wsgateway.cli.terminal import one_line
from wsgateway.settings import BODY_MEMORY, CACHE_MEMORY, MEMORY

if TYPE_CHECKING:
    from wsgateway.doctor import Finding


def doctor(
    file: File = DEFAULT_FILE,
    output: OutputOption = Output.TABLE,
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
) -> int:
    """Check what `serve` with the same flags needs: FILE, Redis, backends, ports, limits; and say what to mend.

    Exit code 1 where something failed, 2 where FILE is invalid.
    """
    flags = locals()
    del flags["output"]
    return _examined(output, **flags | {"workers": count_of_workers(workers)})


def _examined(output: Output, **flags: Any) -> int:
    import uvloop

    from wsgateway.doctor import Verdict, examine

    report = uvloop.run(examine(settings_of(dev=False, **flags), os.environ))
    print_rows([_row(finding) for finding in report.findings], output)
    numbers = ", ".join(f"{report.count(verdict)} {verdict.value}" for verdict in Verdict)
    print(f"{len(report.findings)} checks: {numbers}", file=sys.stderr)
    return report.code


def _row(finding: Finding) -> dict[str, object]:
    return {
        "result": finding.verdict.value,
        "check": finding.check,
        "where": one_line(finding.where),
        "found": one_line(finding.found),
        "mend": one_line(finding.mend),
    }
