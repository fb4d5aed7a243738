"""What stands between an integration and a backend that fails: circuit breaker, retries, dead letters.

Each is compiled in where it is configured and costs nothing elsewhere. From the outside in: a message that failed in
the end is written down; attempts that failed are made again; each attempt passes the breaker. $disconnect is not
retried here: it has retries of its own, which take an open breaker for a backend that is down.
"""

from __future__ import annotations

import random
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Any

from wsgateway.errors import UNSENT, ServiceUnavailable
from wsgateway.integrations.breaker import Breaker
from wsgateway.integrations.dead_letters import DeadLetters, Log
from wsgateway.integrations.retries import Outcome, Retrying, Waiting, failure_of
from wsgateway.invocation import EventType
from wsgateway.model.base import Path
from wsgateway.model.uri import expand

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Future
    from collections.abc import Callable, Iterable

    from wsgateway.integrations.base import Attempt, Site
    from wsgateway.messages import EndpointResponse
    from wsgateway.model.integration import Integration

COUNTED: frozenset[object] = frozenset({UNSENT, "reset", "timeout", 502, 503, 504})
"""The failures that open a breaker: the backend is not there, or says that what it stands for is not."""

Where = tuple[str, str]
"""apiId, and the integration's name or the route it is written in."""

Guarded = tuple[str, str, str]
"""The same, and what is called."""

Key = tuple[str, str, str, Path, int, float]
"""The same, and where exactly the integration is written, and what the breaker is set to."""


class Resilience:
    """Circuit breakers, retries and dead letters of all integrations of a process, and what they count."""

    def __init__(self, loop: AbstractEventLoop, log: Log, *, jitter: Callable[[], float] = random.random) -> None:
        self._loop = loop
        self._log = log
        self._waiting = Waiting(loop, jitter)
        self._breakers: dict[Key, Breaker] = {}
        self._opened: Counter[Where] = Counter()  # by breakers that are gone
        self._refused: Counter[Where] = Counter()
        self.retries: Counter[Where] = Counter()
        self.dead_letters: Counter[tuple[str, str]] = Counter()
        """By apiId and route key."""

    def around(self, attempt: Attempt, integration: Integration, site: Site, *, seconds: float) -> Attempt:
        """`attempt` with what the integration asks for around it; itself where that is nothing.

        `seconds` is the time for the whole call.
        """
        where = _where(site)
        breaker = self._breaker(integration, site)
        if breaker is not None:
            attempt = _Guard(attempt, breaker, (*where, backend_name(integration, site)), self._loop, self._log)
        if integration.retry is not None and site.event_type is not EventType.DISCONNECT:
            attempt = Retrying(
                attempt,
                integration.retry,
                seconds=seconds,
                breaker=breaker,
                waiting=self._waiting,
                counted=partial(self._retried, where),
            )
        if integration.dead_letter is not None and site.event_type is EventType.MESSAGE:
            attempt = DeadLetters(
                attempt,
                counts=self.dead_letters,
                log=self._log,
                integration=where[1],
                payload=integration.dead_letter.include_payload,
            )
        return attempt

    def keep_only(self, uses: Iterable[tuple[Integration, Site]]) -> None:
        """Let go of the breakers that none of `uses` has."""
        for key in self._breakers.keys() - {_key(integration, site) for integration, site in uses}:
            breaker = self._breakers.pop(key)
            self._opened[key[:2]] += breaker.opened
            self._refused[key[:2]] += breaker.refused

    def close(self) -> None:
        """End the calls that wait for another attempt, and let no other wait."""
        self._waiting.close()

    # What telemetry reads

    @property
    def waiting(self) -> int:
        """Calls that wait for another attempt."""
        return len(self._waiting.calls)

    @property
    def opened(self) -> dict[Where, int]:
        """How often breakers opened, having been closed."""
        return self._total(self._opened, lambda breaker: breaker.opened)

    @property
    def refused(self) -> dict[Where, int]:
        """Calls that open breakers turned away."""
        return self._total(self._refused, lambda breaker: breaker.refused)

    @property
    def breakers(self) -> dict[Guarded, int]:
        """The state of every breaker there is now."""
        now = self._loop.time()
        return {key[:3]: int(breaker.state(now)) for key, breaker in self._breakers.items()}

    def _total(self, gone: Counter[Where], of: Callable[[Breaker], int]) -> dict[Where, int]:
        total = Counter(gone)
        for key, breaker in self._breakers.items():
            total[key[:2]] += of(breaker)
        return dict(total)

    def _retried(self, where: Where) -> None:
        self.retries[where] += 1

    def _breaker(self, integration: Integration, site: Site) -> Breaker | None:
        """The same for all that share its key, and over a reload that changes none of that."""
        key, settings = _key(integration, site), integration.circuit_breaker
        if key is None or settings is None:
            return None
        found = self._breakers.get(key)
        if found is None:
            found = self._breakers[key] = Breaker(settings.failure_threshold, settings.open_seconds)
        return found


class _Guard:
    """An Attempt that passes a breaker."""

    def __init__(self, attempt: Attempt, breaker: Breaker, guarded: Guarded, loop: AbstractEventLoop, log: Log) -> None:
        self._attempt = attempt
        self._breaker = breaker
        self._api, self._integration, self._backend = guarded
        self._loop = loop
        self._log = log
        self._reason = f"the circuit breaker of {self._backend} is open"

    def __call__(self, *arguments: Any, **seconds: float) -> Future[EndpointResponse]:
        ticket = self._breaker.enter(self._loop.time())
        if not ticket:
            raise ServiceUnavailable(self._reason)
        try:
            answer = self._attempt(*arguments, **seconds)
        except BaseException as error:
            self._heard(ticket, error)
            raise
        answer.add_done_callback(partial(self._landed, ticket))
        return answer

    def _landed(self, ticket: int, answer: Future[EndpointResponse]) -> None:
        if answer.cancelled():
            self._breaker.left(ticket)
        else:
            self._heard(ticket, answer.exception() or answer.result())

    def _heard(self, ticket: int, outcome: Outcome) -> None:
        """What an attempt says about the backend."""
        breaker, failure, now = self._breaker, failure_of(outcome), self._loop.time()
        if failure in COUNTED:
            if breaker.failed(ticket, now):
                error = str(outcome) if isinstance(outcome, BaseException) else f"the backend answered {failure}"
                self._tell("circuit breaker opens", error=error)
        elif failure == "":
            breaker.left(ticket)
        elif breaker.succeeded(ticket):
            self._tell("circuit breaker closes", after_seconds=round(now - breaker.since, 1))

    def _tell(self, event: str, **facts: object) -> None:
        self._log(event, api=self._api, integration=self._integration, backend=self._backend, **facts)


def backend_name(integration: Integration, site: Site) -> str:
    """What an integration calls at a site, as logs and metrics name it: a URL's host and port, else the whole URI."""
    uri = expand(integration.integration_uri or "", site.stage_variables)
    scheme, separator, rest = uri.partition("://")
    if separator:
        authority = rest.partition("/")[0].partition("?")[0]
        uri = f"{scheme}://{authority.rpartition('@')[2]}"
    link = integration.connection_id
    return uri if link is None else f"{uri} via {expand(link, site.stage_variables)}"


def _where(site: Site) -> Where:
    return site.api_id, str(site.definition[1])


def _key(integration: Integration, site: Site) -> Key | None:
    settings = integration.circuit_breaker
    if settings is None:
        return None
    return (
        *_where(site),
        backend_name(integration, site),
        site.definition,
        settings.failure_threshold,
        settings.open_seconds,
    )
