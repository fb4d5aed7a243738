"""What telemetry reads of a node: numbers, taken at scrape time."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class MembershipFacts:
    """What a node says of its part in an installation."""

    registry_up: bool
    registry_outages: int
    nodes: int
    records: int
    records_mended: int
    bad_records: int
    lease_misses: int
    fenced: int
    taken_over: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeFacts:
    """A node's counts at one moment. Mappings go from label value to count; label values come from the code."""

    version: str
    connections: int
    connections_limit: int
    draining: bool
    definition_valid: bool
    definition_rolled_back: bool
    definitions: int
    definition_mismatch: bool
    definition_records_ignored: int
    disconnects_running: int
    tails: int
    connects: dict[str, int]
    disconnects: dict[str, int]
    messages: dict[str, int]
    compressed_connections: int
    compressed_messages: dict[str, int]
    compressed_bytes: dict[str, int]
    compressed_payload_bytes: dict[str, int]
    pushes: dict[str, int]
    requests: dict[tuple[str, str, str], int]
    """Of REST APIs, by apiId, stage and status."""
    message_errors: dict[tuple[str, str, str], int]
    """By apiId, route key and gateway response type."""
    failures: dict[str, int]
    invocations: dict[str, int]
    cold_starts: dict[str, int]
    throttles: dict[str, int]
    lambda_calls: dict[tuple[str, str], int]
    """Of functions elsewhere, by function and result."""
    aws_calls: dict[tuple[str, str, str], int]
    """Of services, by service, action and result."""
    publishes: dict[tuple[str, str, str], int]
    """Messages handed to brokers, by apiId, integration and what became of them."""
    publishes_pending: dict[tuple[str, str], int]
    """Those whose broker has not answered, by apiId and integration."""
    brokers: dict[str, bool]
    """Whether there is a link to each broker."""
    retries: dict[tuple[str, str], int]
    """Calls of backends made again, by apiId and integration."""
    retries_waiting: int
    breakers: dict[tuple[str, str, str], int]
    """Circuit breakers by apiId, integration and backend: 0 closed, 1 half-open, 2 open."""
    breakers_opened: dict[tuple[str, str], int]
    breakers_refused: dict[tuple[str, str], int]
    message_dead_letters: dict[tuple[str, str], int]
    """By apiId and route key."""
    credentials_valid: bool | None
    """None where nobody needs any."""
    session_lookups: dict[str, int]
    """Questions whose session a token belongs to, by answer."""
    given_up: dict[str, int]
    refused: dict[str, int]
    disconnect_failures: int
    disconnect_retries: int
    disconnects_waiting: int
    dead_letters: int
    unexpected: int
    reload_failures: int
    certificates: dict[str, float]
    """When each certificate ends, in seconds since the epoch, by custom domain; the default one's is ""."""
    log_dropped: int
    token_refreshes: int
    tickets: dict[str, int]
    """By what became of them."""
    admission_refused: dict[tuple[str, str], int]
    """Handshakes that were refused before $connect, by apiId ("" where it was not known yet) and cause."""
    throttled: dict[tuple[str, str, str], int]
    """Events beyond a limit, by apiId, stage and the limit's level."""
    authorizations: dict[tuple[str, str, str], int]
    """Handshakes by apiId, authorizer and what that said."""
    authorizer_lookups: dict[tuple[str, str, str], int]
    """Looks for a kept answer, by apiId, authorizer and result."""
    authorizer_answers: int
    limits_alone: bool | None
    """Whether limits are held by each node's share; None where no node shares them."""
    relays: dict[str, int]
    relay_doubts: dict[str, int]
    relayed_in: dict[str, int]
    membership: MembershipFacts | None
    """None where there can't be other nodes."""
