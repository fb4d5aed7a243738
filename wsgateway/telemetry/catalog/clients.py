"""Metrics of clients' connections."""

from __future__ import annotations

from wsgateway.telemetry.catalog.base import Section, counter, gauge

CLIENTS = Section(
    "Connections",
    (
        gauge(
            "connections",
            "Open WebSocket connections.",
            worry="above 80 % of `connections_limit`, or it falls at once",
            act="add nodes (scale on the ratio to the limit); for a fall look at `disconnects_total` and at "
            "the balancer",
        ),
        gauge(
            "connections_limit",
            "Connections at which new handshakes get 503.",
            worry="lower than `--max-connections`",
            act="the process may not open more files: raise `ulimit -n` (`LimitNOFILE`)",
        ),
        counter(
            "connects_total",
            "Handshakes by status: 101 opened, 499 the client had gone before its 101 (CloudWatch: ConnectCount).",
            "result",
            worry="429 or 5xx, or 499 beyond a few",
            act="429, 503: `admission_refused_total`, `throttled_total`; 500, 502, 504: `$connect` or its authorizer "
            "fails; 499: clients wait less than `$connect` takes",
        ),
        counter(
            "disconnects_total",
            "Closed connections by close code, those from 3000 on by their thousand (RFC 6455 section 7.4.2).",
            "code_class",
            worry="1006 (gone without a close), 1008, 1009 or 1011 more than usual",
            act="1006: networks, or a balancer whose idle timeout is shorter than the ping interval; 1008: "
            "`closed_by_gateway_total`; 1009: messages over `maxMessageBytes`",
        ),
        counter(
            "closed_by_gateway_total",
            "Connections the gateway closed on its own: stalled_write, pong_timeout, outbox_full, idle, too_old "
            "(maxConnectionSeconds), token_expired, stage_gone (with a deployment), drain.",
            "cause",
            worry="`stalled_write`, `pong_timeout` or `outbox_full` grow steadily",
            act="clients that do not read, or are gone: [slow clients](operations.md#when-things-break), `outboxBytes`",
        ),
        counter(
            "admission_refused_total",
            "New connections refused before $connect, by cause: rate, connections_per_source, unfinished_per_source, "
            "max_connections, draining, registry_away; the API is empty where no request came yet (CloudWatch: "
            "ClientError).",
            "api",
            "cause",
            worry="`max_connections` or `registry_away` at all; others for longer than a crowd needs to come back",
            act="[new connections](operations.md#new-connections): the cause names the limit",
        ),
        counter(
            "refused_total",
            "Malformed or surplus input by kind: request_malformed, request_misdirected, handshake_malformed, "
            "tls_handshake_failed, connection_surplus.",
            "kind",
            worry="more than scanners make",
            act="`connection_surplus`: idle HTTP connections hold all places; the others: who sends it is in the log "
            "or the balancer's",
        ),
        counter(
            "compressed_connections_total",
            "Connections that negotiated compression.",
            worry="many, where memory is short",
            act="[memory of compression](operations.md#memory-of-compression)",
        ),
        counter(
            "compressed_messages_total",
            "Messages that were compressed.",
            "direction",
            worry="many, with a high `event_loop_lag_seconds`",
            act="lower `maxMessageBytes` where clients may compress, or leave compression out",
        ),
        counter(
            "compressed_bytes_total",
            "What compressed messages took on the wire.",
            "direction",
            worry="nearly as many as `compressed_payload_bytes_total`",
            act="compression costs and gains nothing: leave it out",
        ),
        counter(
            "compressed_payload_bytes_total",
            "What compressed messages stand for.",
            "direction",
            worry="see `compressed_bytes_total`",
            act="the ratio of both is what compression saves",
        ),
        gauge(
            "tails",
            "Readers of `connections tail`.",
            worry="somebody reads along and nobody knows who",
            act="log lines `tail` name the source; [who may](operations.md#watching-one-connection)",
        ),
    ),
)
