"""Metrics of messages, pushes and requests."""

from __future__ import annotations

from wsgateway.telemetry.catalog.base import Section, counter

TRAFFIC = Section(
    "Messages, pushes and requests",
    (
        counter(
            "messages_total",
            "Messages by direction: in from clients, out to them (CloudWatch: MessageCount).",
            "direction",
            worry="it stops while `connections` stays",
            act="a backend that stands still, or clients that are stuck",
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
            "Requests of REST APIs by status (CloudWatch: Count, 4XXError, 5XXError); those that no API or stage is "
            "meant by are in none.",
            "api",
            "stage",
            "status",
            worry="5xx",
            act="the log's `integration fails` names the backend and why",
        ),
    ),
)
