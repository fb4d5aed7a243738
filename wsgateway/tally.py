"""What became of the events of one route or method: plain integers, which `/metrics` makes samples of when it is read.

Errors are counted as CloudWatch's metrics of WebSocket APIs count them: API Gateway developer guide, "Monitor WebSocket
API execution with CloudWatch metrics".
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection

from wsgateway.errors import ClientFault

BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Upper bounds of a histogram's buckets, in seconds; the last bucket has none."""


class Histogram:
    """Times, counted by bucket."""

    __slots__ = ("counts", "seconds")

    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS) + 1)
        self.seconds = 0.0

    def add(self, seconds: float) -> None:
        """Count one time."""
        self.counts[bisect_left(BOUNDS, seconds)] += 1
        self.seconds += seconds


class Tally:
    """The counts of one route of a stage, or of one method of a REST API's, or of several together."""

    __slots__ = ("client_errors", "execution_errors", "integration_errors", "integration_latency", "latency", "route")

    def __init__(self, route: str = "") -> None:
        self.route = route
        """Whose they are; empty where they are of several."""
        self.latency = Histogram()
        """From an event's arrival to its end, of whatever kind."""
        self.integration_latency = Histogram()
        """From the call of the integration to its answer, or failure; nothing of those that nobody is asked for."""
        self.client_errors = 0
        """Refused before the integration was called, for the client's fault."""
        self.integration_errors = 0
        """The integration answered with 4xx or 5xx."""
        self.execution_errors = 0
        """The integration could not be called, or its answer not be used."""

    def over(self, latency: float) -> None:
        """An event is over, and no integration was waited for."""
        self.latency.counts[bisect_left(BOUNDS, latency)] += 1
        self.latency.seconds += latency

    def landed(self, latency: float, integration_latency: float) -> None:
        """An integration has answered or failed, and that was it."""
        histogram = self.latency
        histogram.counts[bisect_left(BOUNDS, latency)] += 1
        histogram.seconds += latency
        histogram = self.integration_latency
        histogram.counts[bisect_left(BOUNDS, integration_latency)] += 1
        histogram.seconds += integration_latency

    def failed(self, fault: BaseException) -> None:
        """An event ended in an error of the gateway's own making."""
        if isinstance(fault, ClientFault):
            self.client_errors += 1
        else:
            self.execution_errors += 1

    def refused(self, status: int, *, by_function: bool) -> None:
        """An integration answered with 4xx or 5xx.

        What a function says by AWS_PROXY it says in the gateway's place: AWS was seen to count a 403 as the client's
        error and a 503 as one of execution.
        """
        if not by_function:
            self.integration_errors += 1
        elif status < 500:
            self.client_errors += 1
        else:
            self.execution_errors += 1


class Routes(dict[str, Tally]):
    """Where a stage's events are counted, by route key or `VERB /resource`; found when it is first asked for."""

    __slots__ = ("_together", "canary_requests", "kept", "requests")

    def __init__(self) -> None:
        super().__init__()
        self.kept: dict[str, Tally] = {}
        """All tallies by their `route`. None is ever dropped, whatever the settings say later: sums would fall."""
        self._together: Collection[str] = frozenset()
        self.requests: dict[int, int] = {}
        """Of a REST API: answered requests, by status."""
        self.canary_requests: dict[int, int] = {}
        """Those of them that the stage's canary answered."""

    def __missing__(self, route: str) -> Tally:
        name = "" if route in self._together else route
        tally = self.kept.get(name)
        if tally is None:
            tally = self.kept[name] = Tally(name)
        self[route] = tally
        return tally

    def share(self, routes: Collection[str]) -> None:
        """From now on events of these are counted together, and of all others by route."""
        self._together = routes
        self.clear()


class Tallies(dict[tuple[str, str], Routes]):
    """Those of all stages, by apiId and stage. They outlive deployments."""

    def __missing__(self, stage: tuple[str, str]) -> Routes:
        routes = self[stage] = Routes()
        return routes


UNCOUNTED = Tally()
"""Of events that are no route's, which nobody reads."""
