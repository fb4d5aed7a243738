"""A stage of a REST API: one way into it, with its own variables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, ClassVar, Literal, get_args

from annotated_types import MaxLen
from pydantic import Field

from wsgateway.errors import Problem
from wsgateway.model.access_log import AccessLogSettings
from wsgateway.model.base import Among, Definition
from wsgateway.model.canary import CanarySettings
from wsgateway.model.method_settings import MethodSettings, check_limits, settings_of
from wsgateway.model.stage import VariableName, VariableValue
from wsgateway.model.throttle import RateLimit, RequestThrottle

CacheSize = Literal["0.5", "1.6", "6.1", "13.5", "28.4", "58.2", "118", "237"]
GIGABYTE = 1_000_000_000


class RestStage(Definition):
    """One stage of a REST API: requests go to `/{stage}/{path}`."""

    description: Annotated[str, MaxLen(1024)] | None = None
    """What the stage is for."""
    variables: Annotated[Mapping[VariableName, VariableValue], MaxLen(100)] = Field(default_factory=dict)
    """Values that integrations name as `${stageVariables.NAME}`."""
    cache_cluster_enabled: bool = False
    """true gives the stage a cache, for answers of methods with `cachingEnabled`."""
    cache_cluster_size: Annotated[CacheSize, Among(get_args(CacheSize))] = "0.5"
    """How much the cache holds, in gigabytes: '0.5', '1.6', '6.1', '13.5', '28.4', '58.2', '118' or '237'."""
    method_settings: Mapping[str, MethodSettings] = Field(default_factory=dict)
    """Settings by method: `*/*` is every one, `pets/{petId}/GET` the GET of /pets/{petId}; what is absent there is as
    in `*/*`."""
    canary_settings: CanarySettings | None = None
    """A share of the requests that another deployment answers. Absent: there is none."""
    throttle: RequestThrottle = RequestThrottle()
    """What the stage lets in as a whole, of one user or address. (Ours.)"""

    access_log_settings: AccessLogSettings | None = None
    """The row that the access log has for each request. Absent: no rows."""

    not_yet: ClassVar[frozenset[str]] = frozenset(
        {
            "clientCertificateId",
            "deploymentId",
            "tags",
        }
    )
    elsewhere: ClassVar[Mapping[str, str]] = {
        "documentationVersion": "there are no documentation parts",
        "tracingEnabled": "traces are of all stages, by OpenTelemetry, where OTEL_EXPORTER_OTLP_ENDPOINT says so",
    }

    def check(self) -> Iterator[Problem]:
        for problem in check_limits(self.method_settings):
            yield Problem(("methodSettings", *problem.path), problem.text)
        if self.canary_settings is not None and self.canary_settings.use_stage_cache and not self.cache_cluster_enabled:
            text = "has no effect: the stage has no cache; add cacheClusterEnabled: true to the stage"
            yield Problem(("canarySettings", "useStageCache"), text)
        if "cache_cluster_enabled" not in self.model_fields_set:
            yield from self._uncached()

    def _uncached(self) -> Iterator[Problem]:
        """What is said of a cache that there is not."""
        if "cache_cluster_size" in self.model_fields_set:
            yield Problem(("cacheClusterSize",), "has no effect without cacheClusterEnabled: true")
        for key, settings in self.method_settings.items():
            if settings.caching_enabled:
                text = "has no effect: the stage has no cache; add cacheClusterEnabled: true to the stage"
                yield Problem(("methodSettings", key, "cachingEnabled"), text)

    def limit_of(self, method_key: str) -> RateLimit | None:
        """How many requests there may be of one method, by its key such as `GET /pets`."""
        verb, _, path = method_key.partition(" ")
        return self.settings_of(path, verb).limit

    def settings_of(self, path: str, verb: str) -> MethodSettings:
        """The settings of one method."""
        return settings_of(self.method_settings, path, verb)[0]

    def caching_of(self, path: str, verb: str) -> MethodSettings | None:
        """The settings of one method whose answers are kept; None where they are not.

        API Gateway developer guide, "Cache settings for REST APIs": what holds for all methods has answers of GET kept
        alone.
        """
        settings, own = settings_of(self.method_settings, path, verb)
        enabled = settings.caching_enabled and (verb == "GET" or own.caching_enabled)
        return settings if self.cache_cluster_enabled and enabled and settings.cache_ttl_in_seconds else None

    @property
    def cache_bytes(self) -> int:
        """What the stage's cache holds at most; 0 where it has none."""
        return round(float(self.cache_cluster_size) * GIGABYTE) if self.cache_cluster_enabled else 0
