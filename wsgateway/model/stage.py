"""A stage: one way into an API, with its own variables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, ClassVar

from annotated_types import MaxLen, MinLen
from pydantic import Field

from wsgateway.errors import Problem
from wsgateway.model.access_log import AccessLogSettings
from wsgateway.model.base import Definition, Matches, Path
from wsgateway.model.event_settings import EventSettings
from wsgateway.model.throttle import RateLimit, StageThrottle

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


class RouteSettings(EventSettings):
    """What is told of the events of routes, and how many there may be."""

    detailed_metrics_enabled: bool = True
    """false counts events by stage alone: their metrics have an empty `route`. A stage's true holds for every route,
    whatever the route says. (AWS's default is false.)"""


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

    access_log_settings: AccessLogSettings | None = None
    """The row that the access log has for each event. Absent: no rows."""

    not_yet: ClassVar[frozenset[str]] = frozenset(
        {
            "autoDeploy",
            "clientCertificateId",
            "deploymentId",
            "tags",
        }
    )

    def check(self) -> Iterator[Problem]:
        places: list[tuple[Path, RouteSettings]] = [(("defaultRouteSettings",), self.default_route_settings)]
        for key, own in self.route_settings.items():
            if own.limits:
                places.append((("routeSettings", key), self.settings_of(key)))
                if key == "$disconnect":
                    text = (
                        "a connection may end whatever the limit; remove throttlingRateLimit and throttlingBurstLimit"
                    )
                    yield Problem(("routeSettings", key), text)
        for path, settings in places:
            for problem in settings.halves():
                yield Problem((*path, *problem.path), problem.text)

    def limit_of(self, route_key: str) -> RateLimit | None:
        """How many events there may be of one route."""
        return self.settings_of(route_key).limit

    def settings_of(self, route_key: str) -> RouteSettings:
        """The settings of one route."""
        own = self.route_settings.get(route_key)
        return self.default_route_settings if own is None else self.default_route_settings.but(own)

    def has_detailed_metrics(self, route_key: str) -> bool:
        """Whether events of one route are counted by route.

        AWS was seen to pass over a route's false where the stage says true.
        """
        usual = self.default_route_settings
        if usual.detailed_metrics_enabled and "detailed_metrics_enabled" in usual.model_fields_set:
            return True
        return self.settings_of(route_key).detailed_metrics_enabled
