"""What this node has counted: plain integers on the hot path, turned into samples when `/metrics` is read."""

from __future__ import annotations


class Counters:
    """Counts since the process started. Nothing resets them."""

    __slots__ = (
        "authorizations",
        "close_codes",
        "compressed_bytes_in",
        "compressed_bytes_out",
        "compressed_connections",
        "compressed_in",
        "compressed_out",
        "compressed_payload_bytes_in",
        "compressed_payload_bytes_out",
        "connections_refused",
        "connects",
        "dead_letters",
        "disconnect_failures",
        "disconnect_retries",
        "given_up",
        "handshakes_malformed",
        "messages_in",
        "messages_out",
        "misdirected",
        "pong_timeouts",
        "pushes",
        "relay_doubts",
        "relayed_in",
        "relays",
        "requests_malformed",
        "route_errors",
        "slow_clients",
        "stalled_writes",
        "tls_handshakes_failed",
        "token_refreshes",
        "unexpected_errors",
    )

    def __init__(self) -> None:
        self.connects: dict[int, int] = {}
        """Handshakes by the status they were answered with; 101 is a connection."""
        self.authorizations: dict[tuple[str, str, str], int] = {}
        """Handshakes by apiId, authorizer and what that said: allow, deny, unauthorized, or error."""
        self.close_codes: dict[int, int] = {}
        self.messages_in = 0
        self.messages_out = 0
        """Replies, error frames and pushes that were queued for a client."""
        self.compressed_connections = 0
        """Connections that negotiated permessage-deflate."""
        self.compressed_in = 0
        """Messages; their bytes on the wire; and what these stand for."""
        self.compressed_bytes_in = 0
        self.compressed_payload_bytes_in = 0
        self.compressed_out = 0
        self.compressed_bytes_out = 0
        self.compressed_payload_bytes_out = 0
        self.pushes: dict[int, int] = {}
        """POSTs to `@connections` by the status they were answered with."""
        self.route_errors: dict[tuple[str, str, str], int] = {}
        """Messages that ended in an error frame, by apiId, route key and gateway response type."""
        self.disconnect_failures = 0
        """Calls of $disconnect that failed, each attempt."""
        self.disconnect_retries = 0
        self.dead_letters = 0
        """DISCONNECT events that were given up."""
        self.slow_clients = 0
        """Connections closed because a reply did not fit their outbox."""
        self.stalled_writes = 0
        self.pong_timeouts = 0
        self.given_up = dict.fromkeys(("drain", "idle", "stage_gone", "token_expired", "too_old"), 0)
        """Connections that the gateway closed for other reasons of its own."""
        self.connections_refused = 0
        self.handshakes_malformed = 0
        self.requests_malformed = 0
        self.tls_handshakes_failed = 0
        self.token_refreshes = 0
        """Tokens that were shown in messages and taken."""
        self.misdirected = 0
        """Requests for a host other than the one TLS was begun for."""
        self.unexpected_errors = 0
        self.relays: dict[int, int] = {}
        """Calls passed on to the node that holds the connection, by the status their caller heard."""
        self.relay_doubts: dict[str, int] = {}
        """Those answered 503, and those not even passed on, by cause."""
        self.relayed_in: dict[int, int] = {}
        """Calls that other nodes passed on to this one, by status; 403 for a wrong seal, 421 for another node's."""

    def authorized(self, api_id: str, authorizer: str, status: int) -> None:
        """An authorizer has let a client in (200), or not."""
        said = {200: "allow", 401: "unauthorized", 403: "deny"}.get(status, "error")
        key = (api_id, authorizer, said)
        self.authorizations[key] = self.authorizations.get(key, 0) + 1


def count(table: dict[int, int], key: int) -> None:
    table[key] = table.get(key, 0) + 1
