"""How many events there may be: a token bucket that holds `burstLimit` and gets `rateLimit` more each second."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from annotated_types import Ge, Le

from wsgateway.errors import Problem
from wsgateway.model.base import Among, Definition

Rate = Annotated[float, Ge(0), Le(1_000_000)]
Burst = Annotated[int, Ge(0), Le(1_000_000)]

OnLimit = Literal["ERROR", "DROP", "CLOSE"]


class RateLimit(Definition):
    """A limit across all nodes. 0 in either lets nothing pass, as on AWS."""

    rate_limit: Rate
    """Events a second in the long run; fractions are fine."""
    burst_limit: Burst
    """Events at once."""


AWS_ACCOUNT = RateLimit.model_validate({"rateLimit": 10_000.0, "burstLimit": 5_000})
"""AWS quotas: "Throttle quota per account, per Region across HTTP APIs, REST APIs, WebSocket APIs, and WebSocket
callback APIs"."""


class Account(Definition):
    """Limits of all APIs together."""

    throttle: RateLimit | None = None
    """Handshakes, messages, requests and `@connections` calls of all APIs; 10000 and 5000 for those in `aws`."""


class RequestThrottle(Definition):
    """What a stage lets in. (Ours.)"""

    rate_limit: Rate | None = None
    """Events of the whole stage, a second in the long run; needs burstLimit."""
    burst_limit: Burst | None = None
    """The same at once; needs rateLimit."""
    per_user: RateLimit | None = None
    """Events of one user, whom the authorizer names, over all of their connections."""
    per_source: RateLimit | None = None
    """Events of one client address, or IPv6 /64, over all of its connections."""

    def check(self) -> Iterator[Problem]:
        yield from half(self.rate_limit, self.burst_limit, ("rateLimit", "burstLimit"))

    @property
    def limit(self) -> RateLimit | None:
        """Of the stage as a whole."""
        return limit_of(self.rate_limit, self.burst_limit)


class StageThrottle(RequestThrottle):
    """What a stage lets in, and what becomes of a message beyond it. (Ours.)"""

    per_connection: RateLimit | None = None
    """Messages of one connection."""
    on_limit: Annotated[OnLimit, Among(("ERROR", "DROP", "CLOSE"))] = "ERROR"
    """A message beyond any limit is answered with an error, as on AWS, or dropped, or its connection closed (1008)."""


def limit_of(rate: float | None, burst: int | None) -> RateLimit | None:
    """A limit whose two halves are written apart; None where one of them is absent."""
    if rate is None or burst is None:
        return None
    return RateLimit.model_validate({"rateLimit": rate, "burstLimit": burst})


def half(rate: float | None, burst: int | None, names: tuple[str, str]) -> Iterator[Problem]:
    """A rate without a burst, or the other way round, is no limit; `names` are theirs."""
    if (rate is None) != (burst is None):
        given, missing = names if burst is None else names[::-1]
        yield Problem((given,), f"limits nothing without {missing}; write both, or remove it")
