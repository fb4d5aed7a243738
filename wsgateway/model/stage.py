"""A stage: one way into an API, with its own variables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, ClassVar, Literal

from annotated_types import MaxLen, MinLen
from pydantic import Field

from wsgateway.errors import Problem
from wsgateway.model.base import Among, Definition, Matches, Path
from wsgateway.model.throttle import Burst, Rate, RateLimit, StageThrottle, half, limit_of

StageName = Annotated[
    str,
    # /execute-api/ at the start of a path names an API, so no stage can.
    Matches(
        r"(?!execute-api$)[A-Za-z0-9_-]{1,128}", "a stage name is 1 to 128 letters, digits, - and _, not execute-api"
    ),
]

VariableName = Annotated[
    str, Matches(r"[A-Za-z0-9_]{1,64}", "a stage variable's name is 1 to 64 letters, digits and _")
]

# UpdateStage, stageVariables: AWS's own rule for values.
VariableValue = Annotated[
    str,
    Matches(r"[A-Za-z0-9\-._~:/?#&=,]{1,2048}", "a stage variable is 1 to 2048 letters, digits and -._~:/?#&=,"),
]


Origin = Annotated[
    str,
    # RFC 6454 §6.2, as browsers write it: lower case, no path, no port that is the scheme's own.
    Matches(
        r"null|https?://(?:[a-z0-9._-]{1,253}|\[[0-9a-f:.]{2,45}\])(?::[0-9]{1,5})?",
        "an origin is scheme, host and port as browsers send them, such as https://chat.example.com, or null",
    ),
]


class RouteSettings(Definition):
    """What is told of events, and how many there may be."""

    logging_level: Annotated[Literal["OFF", "ERROR", "INFO"], Among(("OFF", "ERROR", "INFO"))] = "OFF"
    """What the log tells of each event: OFF, nothing; ERROR, why it failed; INFO, every step."""
    data_trace_enabled: bool = False
    """true tells at INFO what was said, too: bodies and headers, the first 1,024 bytes of each, without credentials."""

    throttling_rate_limit: Rate | None = None
    """Events of the route a second in the long run, across all nodes; needs throttlingBurstLimit. 0: none passes."""
    throttling_burst_limit: Burst | None = None
    """The same at once; needs throttlingRateLimit. 0: none passes."""

    not_yet: ClassVar[frozenset[str]] = frozenset({"detailedMetricsEnabled"})

    @property
    def limit(self) -> RateLimit | None:
        """Of each route by itself."""
        return limit_of(self.throttling_rate_limit, self.throttling_burst_limit)


class Stage(Definition):
    """One stage of an API: clients connect to `/{stage}`."""

    description: Annotated[str, MaxLen(1024)] | None = None
    """What the stage is for."""
    stage_variables: Annotated[Mapping[VariableName, VariableValue], MaxLen(100)] = Field(default_factory=dict)
    """Values that integrations name as `${stageVariables.NAME}`."""

    allowed_origins: Annotated[list[Origin], MinLen(1)] | None = None
    """The origins of pages that may connect; others are 403 before any authorizer. Absent: all, as on AWS. (Ours.)"""

    default_route_settings: RouteSettings = RouteSettings()
    """What is told of the events of every route, and how many each one may have."""
    route_settings: Mapping[str, RouteSettings] = Field(default_factory=dict)
    """The same by route key, for routes that differ; what is absent there is as in defaultRouteSettings."""
    throttle: StageThrottle = StageThrottle()
    """What the stage lets in as a whole, of one connection, user or address, and what becomes of the rest. (Ours.)"""

    not_yet: ClassVar[frozenset[str]] = frozenset(
        {
            "accessLogSettings",
            "autoDeploy",
            "clientCertificateId",
            "deploymentId",
            "tags",
        }
    )

    def check(self) -> Iterator[Problem]:
        places: list[tuple[Path, RouteSettings]] = [(("defaultRouteSettings",), self.default_route_settings)]
        for key, own in self.route_settings.items():
            if not own.model_fields_set.isdisjoint({"throttling_rate_limit", "throttling_burst_limit"}):
                places.append((("routeSettings", key), self.settings_of(key)))
                if key == "$disconnect":
                    text = (
                        "a connection may end whatever the limit; remove throttlingRateLimit and throttlingBurstLimit"
                    )
                    yield Problem(("routeSettings", key), text)
        for path, settings in places:
            rate, burst = settings.throttling_rate_limit, settings.throttling_burst_limit
            for problem in half(rate, burst, ("throttlingRateLimit", "throttlingBurstLimit")):
                yield Problem((*path, *problem.path), problem.text)

    def settings_of(self, route_key: str) -> RouteSettings:
        """The settings of one route."""
        own = self.route_settings.get(route_key)
        if own is None:
            return self.default_route_settings
        differs = {name: getattr(own, name) for name in own.model_fields_set}
        return self.default_route_settings.model_copy(update=differs)
