"""What `/metrics` says of this node: the counts of every part as one value."""

from __future__ import annotations

from collections.abc import Sequence

from wsgateway import __version__
from wsgateway.aws import Credentials
from wsgateway.backends import Backends
from wsgateway.dataplane.agreement import Agreement
from wsgateway.dataplane.gateway import Gateway
from wsgateway.deploy import Deployments
from wsgateway.installation import Installation
from wsgateway.telemetry.base import MembershipFacts, NodeFacts
from wsgateway.telemetry.log import LogWriter


def node_facts(
    gateway: Gateway,
    backends: Backends,
    deployments: Deployments,
    agreement: Agreement,
    log: LogWriter,
    installation: Installation | None,
) -> NodeFacts:
    """The counts of this moment."""
    counters, pools = gateway.counters, backends.functions.pools
    return NodeFacts(
        version=__version__,
        connections=len(gateway.hub),
        connections_limit=gateway.max_connections,
        draining=gateway.draining,
        definition_valid=deployments.valid,
        definition_rolled_back=deployments.rolled_back,
        definitions=agreement.definitions,
        definition_mismatch=agreement.broken,
        definition_records_ignored=deployments.archive.ignored,
        disconnects_running=gateway.closing + gateway.disconnects.running,
        tails=gateway.tails.running,
        connects=_by_status(counters.connects),
        disconnects=_by_code_class(counters.close_codes),
        messages={"in": counters.messages_in, "out": counters.messages_out},
        compressed_connections=counters.compressed_connections,
        compressed_messages={"in": counters.compressed_in, "out": counters.compressed_out},
        compressed_bytes={"in": counters.compressed_bytes_in, "out": counters.compressed_bytes_out},
        compressed_payload_bytes={
            "in": counters.compressed_payload_bytes_in,
            "out": counters.compressed_payload_bytes_out,
        },
        pushes=_by_status(counters.pushes),
        requests={(api, stage, str(status)): n for (api, stage, status), n in counters.requests.items()},
        message_errors=dict(counters.route_errors),
        failures=backends.upstream.failures() | {"refused": sum(kind.refused for kind in backends.types.values())},
        publishes=dict(backends.brokers.results),
        publishes_pending=dict(backends.brokers.pending),
        brokers=dict(backends.brokers.up),
        retries=dict(backends.resilience.retries),
        retries_waiting=backends.resilience.waiting,
        breakers=backends.resilience.breakers,
        breakers_opened=backends.resilience.opened,
        breakers_refused=backends.resilience.refused,
        message_dead_letters=dict(backends.resilience.dead_letters),
        lambda_calls=dict(backends.lambdas.counts),
        aws_calls=dict(backends.services.counts),
        credentials_valid=_all_found(backends.credentials.wanted),
        invocations={name: pool.invocations for name, pool in pools.items()},
        cold_starts={name: pool.cold_starts for name, pool in pools.items()},
        throttles={name: pool.throttles for name, pool in pools.items()},
        session_lookups=dict(backends.sessions.results),
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
        disconnect_retries=counters.disconnect_retries,
        disconnects_waiting=gateway.disconnects.waiting,
        dead_letters=counters.dead_letters,
        unexpected=counters.unexpected_errors,
        reload_failures=deployments.failures,
        certificates={name: pair.expires.timestamp() for name, pair in deployments.certificates.current.named()},
        log_dropped=log.dropped,
        relays=_by_status(counters.relays),
        relay_doubts=dict(counters.relay_doubts),
        relayed_in=_by_status(counters.relayed_in),
        membership=None if installation is None else _membership_facts(installation),
        token_refreshes=counters.token_refreshes,
        tickets=dict(backends.tickets.results),
        throttled=dict(gateway.throttling.refused),
        limits_alone=None if gateway.buckets.leases is None else gateway.buckets.leases.away,
        admission_refused=dict(gateway.admission.refused),
        authorizations=dict(counters.authorizations),
        authorizer_lookups=backends.authorizer_lookups,
        authorizer_answers=backends.authorizer_answers,
    )


def _all_found(wanted: Sequence[Credentials]) -> bool | None:
    """Whether there are all credentials that are asked for; None where none are."""
    return not any(credentials.fault for credentials in wanted) if wanted else None


def _membership_facts(installation: Installation) -> MembershipFacts:
    membership = installation.membership
    peers, counts = membership.peers, membership.lease.counts
    return MembershipFacts(
        registry_up=not peers.away,
        registry_outages=counts.away,
        nodes=len(peers.leased),
        records=len(membership.ledger),
        records_mended=membership.ledger.mended,
        bad_records=membership.takeover.bad_records + installation.unreadable,
        lease_misses=counts.missed,
        fenced=counts.fenced,
        taken_over=membership.takeover.connections,
    )


def _by_status(counts: dict[int, int]) -> dict[str, int]:
    return {str(status): number for status, number in counts.items()}


def _by_code_class(counts: dict[int, int]) -> dict[str, int]:
    """Clients choose codes, so those that RFC 6455 §7.4.2 leaves to them are told by their thousand alone."""
    classes: dict[str, int] = {}
    for code, number in counts.items():
        code_class = f"{code // 1000}xxx" if code >= 3000 else str(code) if 1000 <= code <= 1015 else "other"
        classes[code_class] = classes.get(code_class, 0) + number
    return classes
