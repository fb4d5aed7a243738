"""A stage of a REST API: one way into it, with its own variables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, ClassVar

from annotated_types import MaxLen
from pydantic import Field

from wsgateway.errors import Problem
from wsgateway.model.access_log import AccessLogSettings
from wsgateway.model.base import Definition
from wsgateway.model.method_settings import MethodSettings, check_limits, settings_of
from wsgateway.model.stage import VariableName, VariableValue
from wsgateway.model.throttle import RateLimit, RequestThrottle


class RestStage(Definition):
    """One stage of a REST API: requests go to `/{stage}/{path}`."""

    description: Annotated[str, MaxLen(1024)] | None = None
    """What the stage is for."""
    variables: Annotated[Mapping[VariableName, VariableValue], MaxLen(100)] = Field(default_factory=dict)
    """Values that integrations name as `${stageVariables.NAME}`."""
    method_settings: Mapping[str, MethodSettings] = Field(default_factory=dict)
    """Settings by method: `*/*` is every one, `pets/{petId}/GET` the GET of /pets/{petId}; what is absent there is as
    in `*/*`."""
    throttle: RequestThrottle = RequestThrottle()
    """What the stage lets in as a whole, of one user or address. (Ours.)"""

    access_log_settings: AccessLogSettings | None = None
    """The row that the access log has for each request. Absent: no rows."""

    not_yet: ClassVar[frozenset[str]] = frozenset(
        {
            "cacheClusterEnabled",
            "cacheClusterSize",
            "canarySettings",
            "clientCertificateId",
            "deploymentId",
            "documentationVersion",
            "stageVariables",
            "tags",
            "tracingEnabled",
        }
    )

    def check(self) -> Iterator[Problem]:
        for problem in check_limits(self.method_settings):
            yield Problem(("methodSettings", *problem.path), problem.text)

    def limit_of(self, method_key: str) -> RateLimit | None:
        """How many requests there may be of one method, by its key such as `GET /pets`."""
        verb, _, path = method_key.partition(" ")
        return self.settings_of(path, verb).limit

    def settings_of(self, path: str, verb: str) -> MethodSettings:
        """The settings of one method."""
        return settings_of(self.method_settings, path, verb)[0]
