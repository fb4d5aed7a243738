"""Metrics of messages, pushes and requests."""

from __future__ import annotations

from wsgateway.telemetry.catalog.base import Section, counter, gauge, histogram

TRAFFIC = Section(
    "Messages, pushes and requests",
    (
        counter(
            "messages_total",
            "Messages by direction: in from clients, out to them (CloudWatch: MessageCount).",
            "direction",
            worry="it stops while `connections` stays",
            act="a backend that stands still (`integration_latency_seconds`), or clients that are stuck",
        ),
        histogram(
            "route_latency_seconds",
            "From the arrival of a handshake, message, $disconnect or REST request to its end, of whatever kind, by "
            "route key or method (empty: those that the stage's settings count together); of streamed answers to their "
            "beginning (CloudWatch: Latency, Count, ConnectCount).",
            "api",
            "stage",
            "route",
            worry="the 99th percentile doubles, or nears what clients wait",
            act="compare with `integration_latency_seconds`: alike, the backend is slow; else the gateway is, see "
            "`event_loop_lag_seconds`",
        ),
        histogram(
            "integration_latency_seconds",
            "From the call of the integration to its answer or failure, mapping and retries included; nothing of those "
            "that nobody is asked for, as MOCK (CloudWatch: IntegrationLatency).",
            "api",
            "stage",
            "route",
            worry="the 99th percentile doubles, or nears `timeoutInMillis`",
            act="the backend is slow: its own metrics; `maxConcurrency` keeps it from harming others",
        ),
        counter(
            "errors_total",
            "Events of routes and methods that ended in an error, by class: client (refused for the client's fault), "
            "integration (it answered with 4xx or 5xx), execution (it could not be called, or its answer not be used); "
            "a function by AWS_PROXY counts as client with 4xx, and as execution with 5xx (CloudWatch: ClientError, "
            "IntegrationError, ExecutionError).",
            "api",
            "stage",
            "route",
            "class",
            worry="`execution` or `integration` at all; `client` beyond what is usual",
            act="`execution`: the log's `integration fails` says why; `integration`: ask the backend; `client`: "
            "`message_errors_total` has the type",
        ),
        counter(
            "message_errors_total",
            "Messages answered with an error frame, by gateway response type (CloudWatch: ClientError, "
            "ExecutionError).",
            "api",
            "route",
            "type",
            worry="types that are not the client's: `INTEGRATION_FAILURE`, `INTEGRATION_TIMEOUT`, "
            "`API_CONFIGURATION_ERROR`, `DEFAULT_5XX`",
            act="the log's `integration fails` names the backend and why",
        ),
        counter(
            "pushes_total",
            "POSTs to @connections by status: 200 in the write queue, 410 closed, 413 too large, 429 the client does "
            "not read or the account's limit, 503 in doubt.",
            "status",
            worry="503; 429 or 410 beyond what is usual",
            act="503: `relay_503_total`; 429: clients do not read; 410: backends should forget ids at `$disconnect`",
        ),
        counter(
            "rest_requests_total",
            "Requests of REST APIs by status (CloudWatch: Count, 4XXError, 5XXError), 499 where the client left before "
            "its answer; those that no API or stage is meant by are in none.",
            "api",
            "stage",
            "status",
            worry="5xx",
            act="the log's `integration fails` names the backend and why",
        ),
        counter(
            "rest_canary_requests_total",
            "Those of them that a canary answered (CloudWatch: the same metrics of the stage's canary).",
            "api",
            "stage",
            "status",
            worry="its share of 5xx is larger than that of `rest_requests_total`",
            act="set `percentTraffic` to 0, or remove `canarySettings`, and reload",
        ),
        counter(
            "rest_cache_requests_total",
            "Requests of methods that keep answers: hit where one was there, miss where the backend was asked "
            "(CloudWatch: CacheHitCount, CacheMissCount).",
            "api",
            "stage",
            "result",
            worry="hits are few",
            act="`cacheKeyParameters` that differ for each client, a short `cacheTtlInSeconds`, or too little room: "
            "`rest_cache_bytes` and [`--cache-memory`](operations.md#kept-answers)",
        ),
        gauge(
            "rest_cache_bytes",
            "What is kept of answers in this process's memory; with `--redis-url` it is in Redis.",
            worry="it is near `--cache-memory`",
            act="raise that if the machine has the memory; what was not asked for longest goes first",
        ),
        counter(
            "rest_cache_failures_total",
            "Looks for kept answers, and puts, that Redis did not answer in time; the backend was asked instead.",
            worry="it grows",
            act="as for `registry_up`; Redis or the way to it is slow, or its memory is full",
        ),
        counter(
            "rest_cache_unreadable_total",
            "What was found among kept answers and no node of this version, with this secret, wrote.",
            worry="it grows after a rolling update is over",
            act="somebody else writes to keys of this installation, or nodes differ in their installation secret",
        ),
    ),
)
