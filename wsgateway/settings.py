"""Process settings: what flags and environment decide, as one checked value."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from wsgateway.errors import SettingError, StartError
from wsgateway.model.openapi.reading import BasePath, Reading

CallbackAuth = Literal["none", "sigv4"]
RedisAway = Literal["refuse", "accept"]
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


DEV_TLS_PORT = 8443
MEMORY = "memory://"
"""The registry of a single node."""
CACHE_MEMORY = 256 << 20
BODY_MEMORY = 256 << 20
MESSAGE_MEMORY = 256 << 20
MIN_SECRET_BYTES = 16
MAX_SECRET_BYTES = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Settings of one `serve` or `dev` process. Port 0 means any free one; times are in seconds."""

    file: Path
    dev: bool
    host: str = "127.0.0.1"
    port: int = 8080
    tls_port: int | None = None
    """None: no TLS in `serve`; in `dev` DEV_TLS_PORT, or any port where that is taken."""
    tls_cert: Path | None = None
    tls_key: Path | None = None
    internal_host: str = "127.0.0.1"
    internal_port: int = 9090
    advertise: str | None = None
    """HOST[:PORT] at which backends reach the internal listener."""
    max_connections: int | None = None
    drain_window: float = 25.0
    disconnect_retry_seconds: float = 600.0
    """From the first attempt of a $disconnect until it is given up; 0: one attempt."""
    callback_auth: CallbackAuth = "sigv4"
    callback_domain: str | None = None
    trusted_proxies: tuple[Network, ...] = ()
    ready_file: Path | None = None
    region: str | None = None
    """The AWS region of functions whose ARN names none; None where AWS's own variables and profile say it."""
    account_id: str = "000000000000"
    cache_memory: int = CACHE_MEMORY
    """Bytes of answers of REST APIs that the process keeps in its memory, where they are kept there."""
    body_memory: int = BODY_MEMORY
    """Bytes of bodies that the process holds at a time, of requests and of answers; small ones don't count."""
    message_memory: int = MESSAGE_MEMORY
    """The same of messages of WebSockets."""
    redis_url: str = MEMORY
    """Where what the nodes share is kept. It may hold a password."""
    redis_prefix: str = "wsgateway"
    """What the keys of this installation begin with."""
    lease_ttl: float = 15.0
    """After how long without a word from a node others may begin to take it for dead."""
    redis_away: RedisAway = "refuse"
    """What becomes of handshakes while the registry can't be reached."""
    installation_secret_file: Path | None = None
    openapi_stage: str | None = None
    openapi_base_path: BasePath = "ignore"
    openapi_lenient: bool = False
    access_log: str = "-"
    """The file that rows of access logs are appended to; - is stdout."""
    workers: int = 1
    """Processes that share the ports, each a node."""

    def __post_init__(self) -> None:
        if (self.tls_cert is None) != (self.tls_key is None):
            given, missing = ("--tls-cert", "--tls-key") if self.tls_key is None else ("--tls-key", "--tls-cert")
            raise SettingError(f"{given} comes with {missing}: a certificate and its private key, two PEM files")
        if not _prefix(self.redis_prefix):
            raise SettingError(
                f"--redis-prefix {self.redis_prefix!r} is not 1 to 64 letters, digits and _.:-, such as wsgateway"
            )
        if self.workers > 1 and not self.shared:
            raise SettingError(
                f"--workers {self.workers} needs --redis-url, such as redis://localhost:6379: a push that reaches one "
                "process for a connection of another finds it by Redis; without, run one worker"
            )
        if self.max_connections is not None and self.max_connections < self.workers:
            raise SettingError(
                f"--max-connections {self.max_connections} can't be divided among {self.workers} workers; "
                "give at least as many, or fewer workers"
            )
        if self.tls_cert is not None and self.tls_port is None and not self.dev:
            raise SettingError("--tls-cert has no effect without --tls-port, the port that is to speak TLS")

    @property
    def shared(self) -> bool:
        """Whether the registry outlives this process, and other nodes may be there."""
        return self.redis_url != MEMORY

    @property
    def reading(self) -> Reading:
        """How the file is read where it is an OpenAPI document."""
        return Reading(stage=self.openapi_stage, base_path=self.openapi_base_path, lenient=self.openapi_lenient)

    @property
    def tls_files(self) -> tuple[Path, Path] | None:
        """The default certificate's file and its key's."""
        return None if self.tls_cert is None or self.tls_key is None else (self.tls_cert, self.tls_key)


def installation_secret(file: Path | None, environ: Mapping[str, str]) -> bytes | None:
    """What the nodes of an installation know one another by, where an operator chose it: in a file, or a variable.

    *Raises* SettingError where it can't be read, or is too short to be a secret.
    """
    text = environ.get("WSGATEWAY_INSTALLATION_SECRET")
    if file is None:
        source, secret = "WSGATEWAY_INSTALLATION_SECRET", None if text is None else text.strip().encode()
    else:
        source = f"--installation-secret-file {file}"
        try:
            with file.open("rb") as content:
                secret = content.read(MAX_SECRET_BYTES + 1).strip()
        except OSError as error:
            raise SettingError(f"{source}: {error.strerror}") from error
    if secret is not None and not MIN_SECRET_BYTES <= len(secret) <= MAX_SECRET_BYTES:
        raise SettingError(
            f"{source} holds {len(secret)} bytes; a secret has {MIN_SECRET_BYTES} to {MAX_SECRET_BYTES} "
            "(openssl rand -hex 32 makes one)"
        )
    return secret


def parse_networks(text: str) -> tuple[Network, ...]:
    """`CIDR,…` as networks. *Raises* StartError naming what is no CIDR."""
    networks: list[Network] = []
    for part in filter(None, (item.strip() for item in text.split(","))):
        try:
            networks.append(ipaddress.ip_network(part))
        except ValueError as error:
            raise StartError(f"--trusted-proxies: {error}; write networks such as 10.0.0.0/8,fd00::/8") from error
    return tuple(networks)


def check_authority(text: str | None) -> str | None:
    """`HOST` or `HOST:PORT`, as it is. *Raises* ValueError where it is neither."""
    if text is not None:
        match = _authority(text)
        if match is None or (match[1] is not None and not 0 < int(match[1]) <= 65535):
            raise ValueError(f"{text!r} is not HOST or HOST:PORT")
    return text


_authority = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::([0-9]{1,5}))?").fullmatch
_prefix = re.compile(r"[A-Za-z0-9_.:-]{1,64}").fullmatch
