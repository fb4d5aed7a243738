"""Profiles and limits: what a file may set, and what holds once a profile's defaults are filled in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal, TypeVar

from annotated_types import Ge, Gt, Le

from wsgateway.model.base import Definition
from wsgateway.model.compression import Compression

Profile = Literal["aws", "open"]

T = TypeVar("T")

KIB = 1024
MIB = 1024 * KIB
YEAR = 31_536_000

MessageBytes = Annotated[int, Ge(1), Le(64 * MIB)]
Seconds = Annotated[float, Gt(0), Le(YEAR)]
SecondsOrOff = Annotated[float, Ge(0), Le(YEAR)]
Count = Annotated[int, Ge(1), Le(1_000_000)]
NewConnections = Annotated[float, Gt(0), Le(1_000_000)]
IntegrationMillis = Annotated[int, Ge(50), Le(300_000)]

INTEGRATION_MILLIS = 29_000
"""What an integration has where nothing is said; in `aws` also the most (AWS quotas: "Integration timeout")."""


class Limits(Definition):
    """Limits of one API; what is not set is the profile's."""

    max_frame_bytes: MessageBytes | None = None
    """The largest frame a client may send; `aws` 32768, `open` as large as a message."""
    max_message_bytes: MessageBytes | None = None
    """The largest message in either direction; `aws` 131072, `open` 1048576."""
    idle_timeout_seconds: Seconds | None = None
    """A connection is closed after this long without traffic; 600."""
    max_connection_seconds: SecondsOrOff | None = None
    """A connection is closed at this age, 0 for never; `aws` 7200, `open` 0."""
    ping_interval_seconds: SecondsOrOff | None = None
    """The server pings a connection this often, 0 for never; `aws` 0, `open` 30."""
    pong_timeout_seconds: Seconds | None = None
    """A connection is closed when no pong came this long after a ping; 10."""
    max_in_flight: Count | None = None
    """Messages of one connection at work at a time; at this count reading pauses; 64."""
    outbox_bytes: Annotated[int, Ge(1), Le(1024 * MIB)] | None = None
    """What may wait to be written to one client; the larger of 1 MiB and two messages."""
    outbox_messages: Count | None = None
    """How many messages may wait to be written to one client; 1024."""
    stalled_write_seconds: Seconds | None = None
    """A client that takes nothing for this long is closed; 30."""
    handshake_seconds: Seconds | None = None
    """A client has this long to send its upgrade request; 10."""
    new_connections_per_second: NewConnections | None = None
    """Handshakes let in a second, across all nodes; those beyond get 429. `aws` 500, `open` no limit."""
    connections_per_source: Count | None = None
    """Connections one client address, or IPv6 /64, may have at each node; a handshake beyond gets 429. No limit."""
    integration_timeout_millis: IntegrationMillis | None = None
    """The time of integrations without timeoutInMillis; 29000, at most 29000 in `aws` and 300000 in `open`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quotas:
    """Every limit of one API, none left open. Times are in seconds."""

    profile: Profile
    binary: bool
    """Whether binary frames are taken."""
    max_frame_bytes: int
    max_message_bytes: int
    idle_timeout: float
    max_connection: float
    """0: no maximum."""
    ping_interval: float
    """0: no pings."""
    pong_timeout: float
    max_in_flight: int
    outbox_bytes: int
    outbox_messages: int
    stalled_write: float
    handshake_seconds: float
    new_connections_per_second: float
    """0: no limit."""
    connections_per_source: int
    """0: no limit."""
    integration_timeout: float
    """For integrations that set none."""
    max_integration_timeout: float
    compression: Compression | None = None
    """None: no extension is negotiated."""


def resolve(profile: Profile, limits: Limits, compression: Compression | None = None) -> Quotas:
    """The limits that hold: those set, else the profile's."""
    aws = profile == "aws"
    message = _first(limits.max_message_bytes, 128 * KIB if aws else MIB)
    return Quotas(
        profile=profile,
        binary=not aws,
        max_frame_bytes=_first(limits.max_frame_bytes, min(32 * KIB, message) if aws else message),
        max_message_bytes=message,
        idle_timeout=_first(limits.idle_timeout_seconds, 600.0),
        max_connection=_first(limits.max_connection_seconds, 7200.0 if aws else 0.0),
        ping_interval=_first(limits.ping_interval_seconds, 0.0 if aws else 30.0),
        pong_timeout=_first(limits.pong_timeout_seconds, 10.0),
        max_in_flight=_first(limits.max_in_flight, 64),
        outbox_bytes=_first(limits.outbox_bytes, max(MIB, 2 * message)),
        outbox_messages=_first(limits.outbox_messages, 1024),
        stalled_write=_first(limits.stalled_write_seconds, 30.0),
        handshake_seconds=_first(limits.handshake_seconds, 10.0),
        new_connections_per_second=_first(limits.new_connections_per_second, 500.0 if aws else 0.0),
        connections_per_source=limits.connections_per_source or 0,
        integration_timeout=_first(limits.integration_timeout_millis, INTEGRATION_MILLIS) / 1000,
        max_integration_timeout=29.0 if aws else 300.0,
        compression=compression,
    )


def _first(value: T | None, default: T) -> T:
    return default if value is None else value
