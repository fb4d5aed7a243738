"""What an integration may say of a backend that fails, and what makes no sense."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.unit.model.conftest import api_with, read

FaultsIn = Callable[..., list[str]]

KINDS = "connect-failure, reset, timeout, function-error, 429, 500, 502, 503, 504"
HTTP = "integrations: {x: {integrationType: HTTP_PROXY, integrationUri: 'http://a/', %s}}"
LAMBDA = "integrations: {x: {integrationType: AWS_PROXY, integrationUri: 'function:a', %s}}"
MOCK = "integrations: {x: {integrationType: MOCK, requestTemplates: {$default: '{\"statusCode\": 200}'}, %s}}"


def test_what_is_usual() -> None:
    text = api_with(HTTP % "retry: {}, circuitBreaker: {}, deadLetter: {}")
    integration = read(text).definitions.apis["chat"].integrations["x"]

    retry, breaker, letter = integration.retry, integration.circuit_breaker, integration.dead_letter
    assert retry is not None
    assert (retry.max_attempts, list(retry.on), retry.backoff_millis) == (3, ["connect-failure"], 100)
    assert retry.attempt_timeout_millis is None
    assert breaker is not None
    assert (breaker.failure_threshold, breaker.open_seconds) == (5, 10.0)
    assert letter is not None
    assert not letter.include_payload


def test_without_a_word_there_is_none_of_it() -> None:
    integration = read(api_with(HTTP % "maxConcurrency: 1")).definitions.apis["chat"].integrations["x"]

    assert (integration.retry, integration.circuit_breaker, integration.dead_letter) == (None, None, None)


@pytest.mark.parametrize(
    "lines",
    [
        HTTP % "retry: {on: [connect-failure, reset, 429, 500, 502, 503, 504], maxAttempts: 10, backoffMillis: 0}",
        HTTP % "retry: {on: [timeout], attemptTimeoutMillis: 1000}, timeoutInMillis: 1001",
        LAMBDA % "retry: {on: [function-error]}, circuitBreaker: {failureThreshold: 1, openSeconds: 0.5}",
        HTTP % "deadLetter: {includePayload: true}",
    ],
)
def test_what_may_be(lines: str, faults_in: FaultsIn) -> None:
    assert faults_in(lines) == []


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        pytest.param(HTTP % "retry: {maxAttempts: 1}",
                     "retry.maxAttempts: 1 is too small; it must be at least 2", id="one attempt"),
        pytest.param(HTTP % "retry: {maxAttempts: 11}",
                     "retry.maxAttempts: 11 is too large; it must be at most 10", id="too many attempts"),
        pytest.param(HTTP % "retry: {on: []}", "retry.on: needs at least 1 entry", id="after nothing"),
        pytest.param(HTTP % "retry: {on: 503}", "retry.on: expected a list, got 503", id="no list"),
        pytest.param(HTTP % "retry: {on: [501]}", f"retry.on.0: 501 is none of {KINDS}", id="another status"),
        pytest.param(HTTP % "retry: {on: ['503']}", "retry.on.0: 503 is a status; write it without quotes",
                     id="a status in quotes"),
        pytest.param(HTTP % "retry: {on: [503.0]}",
                     "retry.on.0: expected a kind of failure, such as connect-failure or 503, got 503.0", id="a float"),
        pytest.param(HTTP % "retry: {on: [true]}",
                     "retry.on.0: expected a kind of failure, such as connect-failure or 503, got true", id="true"),
        pytest.param(HTTP % "retry: {on: [connect_failure]}",
                     f"retry.on.0: connect_failure is none of {KINDS}; did you mean connect-failure?", id="misspelled"),
        pytest.param(HTTP % "retry: {on: [timeout]}",
                     "retry.on: timeout needs attemptTimeoutMillis: when timeoutInMillis is over there is no time for "
                     "another attempt", id="a timeout of which?"),
        pytest.param(HTTP % "retry: {attemptTimeoutMillis: 100}",
                     "retry.attemptTimeoutMillis: has no effect unless a timeout is retried; add timeout to on, or set "
                     "the integration's timeoutInMillis", id="a time for nothing"),
        pytest.param(HTTP % "timeoutInMillis: 500, retry: {on: [timeout], attemptTimeoutMillis: 500}",
                     "retry.attemptTimeoutMillis: 500 leaves no time for another attempt: timeoutInMillis is 500, and "
                     "covers them all", id="all the time for one"),
        pytest.param(HTTP % "retry: {on: [timeout], attemptTimeoutMillis: 29000}",
                     "retry.attemptTimeoutMillis: 29000 leaves no time for another attempt: timeoutInMillis is 29000, "
                     "and covers them all", id="all the usual time for one"),
        pytest.param(HTTP % "retry: {on: [function-error]}",
                     "retry.on: only Lambda functions end in function-error; remove it", id="no function"),
        pytest.param(HTTP % "retry: {attempts: 3}",
                     "retry.attempts: unknown key; did you mean maxAttempts?", id="a wrong key"),
        pytest.param(HTTP % "circuitBreaker: {failureThreshold: 0}",
                     "circuitBreaker.failureThreshold: 0 is too small; it must be at least 1", id="no threshold"),
        pytest.param(HTTP % "circuitBreaker: {openSeconds: 0}",
                     "circuitBreaker.openSeconds: 0 is too small; it must be more than 0", id="never open"),
        pytest.param(HTTP % "circuitBreaker: true",
                     "circuitBreaker: expected a mapping, got true", id="a word for a mapping"),
        pytest.param(HTTP % "deadLetter: {includePayload: 'yes'}",
                     "deadLetter.includePayload: expected true or false, got the string yes", id="not true"),
        pytest.param(MOCK % "retry: {}", "retry: has no effect: MOCK calls no backend; remove it", id="MOCK"),
        pytest.param(MOCK % "circuitBreaker: {}",
                     "circuitBreaker: has no effect: MOCK calls no backend; remove it", id="a breaker for MOCK"),
        pytest.param(MOCK % "deadLetter: {}",
                     "deadLetter: has no effect: MOCK calls no backend; remove it", id="letters of MOCK"),
    ],
)  # fmt: skip
def test_what_is_refused(lines: str, said: str, faults_in: FaultsIn) -> None:
    assert faults_in(lines) == [f"integrations.x.{said}"]
