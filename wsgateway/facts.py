"""What `/metrics` says of this node: the value of every metric of the catalog, from the part that counts it."""

from __future__ import annotations

from collections.abc import Sequence

from wsgateway import __version__
from wsgateway.aws import Credentials
from wsgateway.backends import Backends
from wsgateway.dataplane.agreement import Agreement
from wsgateway.dataplane.gateway import Gateway
from wsgateway.deploy import Deployments
from wsgateway.installation import Installation
from wsgateway.tally import Tallies
from wsgateway.telemetry.base import Value, Values
from wsgateway.telemetry.rows import Rows
from wsgateway.telemetry.writer import LogWriter


def node_values(
    gateway: Gateway,
    backends: Backends,
    deployments: Deployments,
    agreement: Agreement,
    log: LogWriter,
    rows: Rows,
    installation: Installation | None,
) -> Values:
    """The values of this moment, by the name of their metric."""
    counters, pools = gateway.counters, backends.functions.pools
    return {
        "build_info": {__version__: 1},
        "connections": len(gateway.hub),
        "connections_limit": gateway.max_connections,
        "draining": gateway.draining,
        "definition_valid": deployments.valid,
        "definition_rolled_back": deployments.rolled_back,
        "definitions": agreement.definitions,
        "definition_mismatch": agreement.broken,
        "definition_records_ignored_total": deployments.archive.ignored,
        "disconnects_running": gateway.closing + gateway.disconnects.running,
        "tails": gateway.tails.running,
        "connects_total": _by_status(counters.connects),
        "disconnects_total": _by_code_class(counters.close_codes),
        "messages_total": {"in": counters.messages_in, "out": counters.messages_out},
        "compressed_connections_total": counters.compressed_connections,
        "compressed_messages_total": {"in": counters.compressed_in, "out": counters.compressed_out},
        "compressed_bytes_total": {"in": counters.compressed_bytes_in, "out": counters.compressed_bytes_out},
        "compressed_payload_bytes_total": {
            "in": counters.compressed_payload_bytes_in,
            "out": counters.compressed_payload_bytes_out,
        },
        "pushes_total": _by_status(counters.pushes),
        "rest_requests_total": {
            (*stage, str(status)): n
            for stage, tallies in gateway.tallies.items()
            for status, n in tallies.requests.items()
        },
        "rest_canary_requests_total": {
            (*stage, str(status)): n
            for stage, tallies in gateway.tallies.items()
            for status, n in tallies.canary_requests.items()
        },
        "rest_cache_requests_total": dict(backends.cache.results),
        "rest_cache_bytes": backends.cache.store.bytes_held,
        "rest_cache_failures_total": backends.cache.failures,
        "rest_cache_unreadable_total": backends.cache.unreadable,
        "body_bytes": dict(gateway.bodies.held),
        "body_bytes_limit": gateway.bodies.limit,
        "bodies_refused_total": dict(gateway.bodies.refused),
        "message_bytes": dict(gateway.messages.held),
        "message_bytes_limit": gateway.messages.limit,
        "messages_refused_total": dict(gateway.messages.refused),
        "message_errors_total": dict(counters.route_errors),
        "integration_failures_total": backends.upstream.failures()
        | {"refused": sum(kind.refused for kind in backends.types.values())},
        "publishes_total": dict(backends.brokers.results),
        "publishes_pending": dict(backends.brokers.pending),
        "broker_up": dict(backends.brokers.up),
        "integration_retries_total": dict(backends.resilience.retries),
        "integration_retries_waiting": backends.resilience.waiting,
        "circuit_breaker_state": backends.resilience.breakers,
        "circuit_breaker_opened_total": backends.resilience.opened,
        "circuit_breaker_refused_total": backends.resilience.refused,
        "message_dead_letters_total": dict(backends.resilience.dead_letters),
        "lambda_calls_total": dict(backends.lambdas.counts),
        "aws_calls_total": dict(backends.services.counts),
        "aws_credentials_valid": _all_found(backends.credentials.wanted),
        "function_invocations_total": {name: pool.invocations for name, pool in pools.items()},
        "function_cold_starts_total": {name: pool.cold_starts for name, pool in pools.items()},
        "function_throttles_total": {name: pool.throttles for name, pool in pools.items()},
        "session_lookups_total": dict(backends.sessions.results),
        "closed_by_gateway_total": {
            "stalled_write": counters.stalled_writes,
            "pong_timeout": counters.pong_timeouts,
            "outbox_full": counters.slow_clients,
            **counters.given_up,
        },
        "refused_total": {
            "request_malformed": counters.requests_malformed,
            "request_misdirected": counters.misdirected,
            "tls_handshake_failed": counters.tls_handshakes_failed,
            "handshake_malformed": counters.handshakes_malformed,
            "connection_surplus": counters.connections_refused,
        },
        "disconnect_failures_total": counters.disconnect_failures,
        "disconnect_retries_total": counters.disconnect_retries,
        "disconnects_waiting": gateway.disconnects.waiting,
        "dead_letters_total": counters.dead_letters,
        "unexpected_errors_total": counters.unexpected_errors,
        "reload_failures_total": deployments.failures,
        "certificate_expires_timestamp_seconds": {
            name: pair.expires.timestamp() for name, pair in deployments.certificates.current.named()
        },
        "log_lines_dropped_total": log.dropped,
        "access_log_rows_dropped_total": rows.dropped,
        "relays_total": _by_status(counters.relays),
        "relay_503_total": dict(counters.relay_doubts),
        "relayed_in_total": _by_status(counters.relayed_in),
        **_membership(installation),
        "event_loop_lag_seconds": gateway.lag,
        **_of_routes(gateway.tallies),
        "token_refreshes_total": counters.token_refreshes,
        "tickets_total": dict(backends.tickets.results),
        "throttled_total": dict(gateway.throttling.refused),
        "limits_alone": None if gateway.buckets.leases is None else gateway.buckets.leases.away,
        "admission_refused_total": dict(gateway.admission.refused),
        "authorizations_total": dict(counters.authorizations),
        "authorizer_lookups_total": backends.authorizer_lookups,
        "authorizer_answers": backends.authorizer_answers,
    }


def _all_found(wanted: Sequence[Credentials]) -> bool | None:
    """Whether there are all credentials that are asked for; None where none are."""
    return not any(credentials.fault for credentials in wanted) if wanted else None


def _of_routes(tallies: Tallies) -> dict[str, Value]:
    """What became of events of routes and methods."""
    every = [((*stage, route), tally) for stage, routes in tallies.items() for route, tally in routes.kept.items()]
    errors = {
        (*key, kind): number
        for key, tally in every
        for kind, number in (
            ("client", tally.client_errors),
            ("execution", tally.execution_errors),
            ("integration", tally.integration_errors),
        )
        if number
    }
    return {
        "route_latency_seconds": {key: tally.latency for key, tally in every},
        "integration_latency_seconds": {key: tally.integration_latency for key, tally in every},
        "errors_total": errors,
    }


def _membership(installation: Installation | None) -> dict[str, Value]:
    """Of the node's part in an installation; nothing where there can't be other nodes."""
    if installation is None:
        return {}
    membership = installation.membership
    peers, counts = membership.peers, membership.lease.counts
    return {
        "registry_up": not peers.away,
        "registry_outages_total": counts.away,
        "nodes": len(peers.leased),
        "records": len(membership.ledger),
        "records_mended_total": membership.ledger.mended,
        "bad_records_total": membership.takeover.bad_records + installation.unreadable,
        "lease_misses_total": counts.missed,
        "fenced_connections_total": counts.fenced,
        "taken_over_total": membership.takeover.connections,
    }


def _by_status(counts: dict[int, int]) -> dict[str, int]:
    return {str(status): number for status, number in counts.items()}


def _by_code_class(counts: dict[int, int]) -> dict[str, int]:
    """Clients choose codes, so those that RFC 6455 §7.4.2 leaves to them are told by their thousand alone."""
    classes: dict[str, int] = {}
    for code, number in counts.items():
        code_class = f"{code // 1000}xxx" if code >= 3000 else str(code) if 1000 <= code <= 1015 else "other"
        classes[code_class] = classes.get(code_class, 0) + number
    return classes
