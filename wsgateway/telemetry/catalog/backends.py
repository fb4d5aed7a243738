"""Metrics of integrations and what they call."""

from __future__ import annotations

from wsgateway.telemetry.catalog.base import Section, counter, gauge

BACKENDS = Section(
    "Integrations",
    (
        counter(
            "integration_failures_total",
            "Calls of backends that failed: unreachable, timeout, bad_answer, queue_full, and refused by "
            "maxConcurrency; each attempt counts.",
            "kind",
            worry="any of them grows",
            act="the log's `integration fails` names the backend; `queue_full`, `refused`: it is too slow for "
            "what comes, or `maxConcurrency` too small",
        ),
        counter(
            "integration_retries_total",
            "Calls of backends made again.",
            "api",
            "integration",
            worry="it grows steadily",
            act="[the backend fails](definitions.md#when-a-backend-fails) now and then; retries hide it and add load",
        ),
        gauge(
            "integration_retries_waiting",
            "Calls that wait for another attempt.",
            worry="hundreds",
            act="a backend is down for good: lower `maxAttempts`, or give it a `circuitBreaker`",
        ),
        gauge(
            "circuit_breaker_state",
            "Of each backend: 0 closed, 1 half-open (a call may try, or is under way), 2 open; of several workers the "
            "highest.",
            "api",
            "integration",
            "backend",
            worry="2",
            act="mend the backend: the log's `circuit breaker opens` says why; it closes by itself",
            join=max,
        ),
        counter(
            "circuit_breaker_opened_total",
            "Times a breaker opened.",
            "api",
            "integration",
            worry="again and again",
            act="the backend takes a few calls and no load: give it less (`maxConcurrency`), or more machines",
        ),
        counter(
            "circuit_breaker_refused_total",
            "Calls that open breakers refused.",
            "api",
            "integration",
            worry="with `circuit_breaker_state`",
            act="so many clients got `Service Unavailable` in place of waiting",
        ),
        counter(
            "message_dead_letters_total",
            "Messages lost for good, of integrations with deadLetter.",
            "api",
            "route",
            worry="any",
            act="[each is a log line](operations.md#dead-letters): mend the backend, send them again",
        ),
        counter(
            "function_invocations_total",
            "Invocations of local functions.",
            "function",
            worry="no number by itself is bad",
            act="compare with `function_throttles_total`",
        ),
        counter(
            "function_cold_starts_total",
            "Processes of local functions started.",
            "function",
            worry="it grows with the invocations",
            act="processes end after each call: the log says why (crash, time, memory)",
        ),
        counter(
            "function_throttles_total",
            "Invocations refused for want of a process.",
            "function",
            worry="any",
            act="raise the function's `concurrency`",
        ),
        counter(
            "lambda_calls_total",
            "Calls of Lambda functions elsewhere, by result: ok, function_error, throttled, denied, not_found, "
            "unreachable, timeout, unsigned (no credentials), error.",
            "function",
            "result",
            worry="anything but `ok`",
            act="the log's `AWS refuses` has the reason; [AWS](operations.md#aws)",
        ),
        counter(
            "aws_calls_total",
            "Calls of services of AWS, by result: ok, refused (4xx), denied, throttled, service_error, unreachable, "
            "timeout, unsigned (no credentials), error; the action of a path is its method.",
            "service",
            "action",
            "result",
            worry="anything but `ok`",
            act="the log's `AWS refuses` has the reason; [AWS](operations.md#aws)",
        ),
        gauge(
            "aws_credentials_valid",
            "0 while AWS credentials are missing or can't be renewed; only where something needs them.",
            worry="0",
            act="the log's `no AWS credentials` says why; [AWS](operations.md#aws)",
            join=min,
        ),
        counter(
            "publishes_total",
            "Messages handed to brokers by PUBLISH integrations: published, refused by the broker, timeout, "
            "unreachable, lost with their link, queue_full, closed at the end of the process, cancelled. Where an "
            "integration is written in its route, that is its name.",
            "api",
            "integration",
            "result",
            worry="anything but `published`",
            act="[brokers](operations.md#brokers)",
        ),
        gauge(
            "publishes_pending",
            "Messages whose broker has not answered yet.",
            "api",
            "integration",
            worry="thousands: beyond 10,000 for one broker messages are refused",
            act="the broker is too slow: [brokers](operations.md#brokers)",
        ),
        gauge(
            "broker_up",
            "0 while a broker can't be reached.",
            "broker",
            worry="0",
            act="the log's `broker can't be reached` says why",
            join=min,
        ),
        gauge(
            "disconnects_running",
            "$disconnect calls that have not ended.",
            worry="thousands",
            act="the backend of `$disconnect` is slow; a drain waits for it",
        ),
        counter(
            "disconnect_failures_total",
            "$disconnect calls that failed, each attempt.",
            worry="it grows",
            act="[`$disconnect`](operations.md#disconnect): the backend fails; events wait and are tried again",
        ),
        counter(
            "disconnect_retries_total",
            "$disconnect calls made again.",
            worry="with `disconnect_failures_total`",
            act="the same",
        ),
        gauge(
            "disconnects_waiting",
            "$disconnects that failed and are tried again.",
            worry="it grows: each is given up after 10 minutes",
            act="mend the backend of `$disconnect` before that",
        ),
        counter(
            "dead_letters_total",
            "$disconnects that were given up.",
            worry="any",
            act="backends still believe in these connections: the log's `$disconnect dead letter` lines hold all "
            "that is to be told",
        ),
    ),
)
