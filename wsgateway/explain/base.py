"""What is asked of one event, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from wsgateway.dataplane.traces import described
from wsgateway.messages import EndpointResponse
from wsgateway.trace import Trace


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One event: a message, a handshake or, where it has a `path` or a `method`, a request of a REST API.

    `route` is None where the message selects it; of several APIs and stages, `api` and `stage` say which. `path` is
    what stands behind the stage in the URL. `answer` is taken for the backend's; without it and without `call` the
    explanation ends at the request.
    """

    api: str | None = None
    stage: str | None = None
    route: str | None = None
    method: str | None = None
    path: str | None = None
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()
    query: tuple[tuple[str, str], ...] = ()
    answer: EndpointResponse | None = None
    call: bool = False
    canary: bool = False
    """Whether the stage's canary is meant."""

    @property
    def of_rest(self) -> bool:
        """Whether it can only be one of a REST API."""
        return self.method is not None or self.path is not None or self.canary


@dataclass(slots=True)
class Explanation:
    """What came of an event: every step, in order, with what it made. `failed`: it ended in an error."""

    api: str
    stage: str
    route: str = ""
    waits: bool = False
    """It ends at the request: nobody was asked, and there was no answer to go on with."""
    failed: bool = False
    steps: list[tuple[str, Any]] = field(default_factory=list)

    def note(self, step: str, value: object) -> None:
        """Keep what a step made, as JSON has it."""
        self.steps.append((step, described(value)))


class NotCalled(Exception):
    """Nobody is asked, and there is no canned answer."""


SAID_OTHERWISE = frozenset(
    {"arrived", "answered", "authorizer request id", "endpoint request id", "response", "retry", "waits", "waited"}
)
"""Steps of requests that an explanation begins or ends with in words of its own, or has no word for."""


class Notes(Trace):
    """Notes into an explanation, and ends it where a backend would be called and nobody is to be."""

    def __init__(self, explanation: Explanation, question: Question) -> None:
        self._explanation = explanation
        self._stop = question.answer is None and not question.call

    def note(self, step: str, value: object) -> None:
        """What comes of ending it is no step. *Raises* NotCalled at the end."""
        if self._explanation.waits or step in SAID_OTHERWISE:
            return
        self._explanation.note(step, value)
        if self._stop and step == "endpoint request":
            self._explanation.waits = True
            raise NotCalled


def no_log(event: str, **facts: object) -> None:
    """What becomes of the event is told by its steps."""
