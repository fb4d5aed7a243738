"""What a stage's settings of a route, or of a method, say: what is told of its events, and how many there may be."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal, Self

from wsgateway.errors import Problem
from wsgateway.model.base import Among, Definition
from wsgateway.model.throttle import Burst, Rate, RateLimit, half, limit_of

_LIMITS = frozenset({"throttling_rate_limit", "throttling_burst_limit"})


class EventSettings(Definition):
    """What is told of events, and how many there may be."""

    logging_level: Annotated[Literal["OFF", "ERROR", "INFO"], Among(("OFF", "ERROR", "INFO"))] = "OFF"
    """What the log tells of each event: OFF, nothing; ERROR, why it failed; INFO, every step."""
    data_trace_enabled: bool = False
    """true tells at INFO what was said, too: bodies and headers, the first 1,024 bytes of each, without credentials."""

    throttling_rate_limit: Rate | None = None
    """Events of each by itself a second in the long run, across all nodes; needs throttlingBurstLimit. 0: none."""
    throttling_burst_limit: Burst | None = None
    """The same at once; needs throttlingRateLimit. 0: none."""

    @property
    def limit(self) -> RateLimit | None:
        """Of each route, or method, by itself."""
        return limit_of(self.throttling_rate_limit, self.throttling_burst_limit)

    @property
    def limits(self) -> bool:
        """Whether they say anything of limits."""
        return not _LIMITS.isdisjoint(self.model_fields_set)

    def halves(self) -> Iterator[Problem]:
        """What is missing of a limit; of settings that make up for others, once they are put together."""
        names = ("throttlingRateLimit", "throttlingBurstLimit")
        return half(self.throttling_rate_limit, self.throttling_burst_limit, names)

    def but(self, own: Self) -> Self:
        """These, but for what `own` says."""
        return self.model_copy(update={name: getattr(own, name) for name in own.model_fields_set})
