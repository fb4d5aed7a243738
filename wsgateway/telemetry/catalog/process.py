"""Metrics of the process and of several workers."""

from __future__ import annotations

from wsgateway.telemetry.catalog.base import Section, counter, gauge, histogram

PROCESS = Section(
    "The process",
    (
        gauge(
            "build_info",
            "The running version.",
            "version",
            worry="nodes differ for longer than a rollout",
            act="finish the rollout",
            join=max,
        ),
        gauge(
            "draining",
            "1 while the node drains.",
            worry="1 for longer than the drain window and 35 s",
            act="the log's `drain goes on` says what is left",
            join=min,  # while one of them takes clients they don't drain
        ),
        gauge(
            "definition_valid",
            "0 while the definition file last read was refused.",
            worry="0",
            act="the log has every problem with its line; the old definition goes on",
            join=min,
        ),
        counter(
            "reload_failures_total",
            "Definition files that were refused.",
            worry="with `definition_valid`",
            act="the same",
        ),
        gauge(
            "certificate_expires_timestamp_seconds",
            "When each certificate ends, by custom domain; the default one's is empty.",
            "domain",
            worry="in less than 14 days",
            act="renew it, then SIGHUP ([TLS](operations.md#tls))",
            join=min,
        ),
        gauge(
            "body_bytes",
            "Bytes of bodies over 64 KiB that are held, by kind: request (of a REST API), push (a call of "
            "`@connections`), answer (a backend's, until it is whole), unread (an answer its client does not take), "
            "invocation (the payload of a local function that had to wait for a process).",
            "kind",
            worry="their sum is above 80 % of `body_bytes_limit`",
            act="[large bodies](operations.md#large-bodies-and-messages): slow clients or backends, or too many",
        ),
        gauge(
            "body_bytes_limit",
            "Bytes of bodies that may be held at a time (`--body-memory`).",
            worry="see `body_bytes`",
            act="the same",
        ),
        counter(
            "bodies_refused_total",
            "Bodies there was no room for, by the kinds of `body_bytes`; who sent them got 503.",
            "kind",
            worry="any",
            act="the same; the log's `no room for bodies` says what took the room",
        ),
        gauge(
            "message_bytes",
            "Bytes of messages that WebSockets with more than 64 KiB of them hold, by kind: arriving (one that is not "
            "whole), running (their integrations have not answered), unread (their clients do not take them).",
            "kind",
            worry="their sum is above 80 % of `message_bytes_limit`",
            act="[large messages](operations.md#large-bodies-and-messages): slow clients, a slow backend, or a smaller "
            "`maxMessageBytes`",
        ),
        gauge(
            "message_bytes_limit",
            "Bytes of messages that may be held at a time (`--message-memory`).",
            worry="see `message_bytes`",
            act="the same",
        ),
        counter(
            "messages_refused_total",
            "Messages there was no room for: arriving (the connection was closed with 1013), unread (a push got 429, "
            "or a reply closed the connection with 1008).",
            "kind",
            worry="any",
            act="the same; the log's `no room for messages` says what took the room",
        ),
        histogram(
            "event_loop_lag_seconds",
            "How late the loop came to what was due, seen ten times a second: everybody waits so long.",
            worry="the 99th percentile is above 0.1 s",
            act="the process lacks processor time (its limits, its neighbours), or has too much to do: more nodes or "
            "[workers](operations.md#workers), smaller messages, less compression",
        ),
        counter(
            "unexpected_errors_total",
            "Faults of the gateway's own; each has a log line.",
            worry="any",
            act="report it with the log's `unexpected error` line",
        ),
        counter(
            "log_lines_dropped_total",
            "Log lines a slow sink did not take.",
            worry="any",
            act="whoever reads stderr is too slow or stuck; lower `loggingLevel`",
        ),
        counter(
            "access_log_rows_dropped_total",
            "Rows of access logs that a slow sink did not take.",
            worry="any",
            act="whoever reads what `--access-log` names is too slow or stuck, or its disk is full",
        ),
    ),
)

WORKERS = Section(
    "Several workers",
    (
        gauge(
            "workers",
            "Workers by state: starting, ready, draining, down (waits to be started), silent (did not answer this "
            "scrape). This and the following only on the port that workers share.",
            "state",
            worry="`down` or `silent` at all, `starting` for longer than a minute",
            act="[workers](operations.md#workers): the log says how one ended",
        ),
        counter(
            "worker_restarts_total",
            "Workers that ended and were started again.",
            worry="any",
            act="the log's last lines of that `worker` say why",
        ),
    ),
)
