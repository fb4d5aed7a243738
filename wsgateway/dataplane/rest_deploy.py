"""All REST APIs of a set of definitions: every stage, and its canary, checked and compiled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from wsgateway.authorizers.base import Use
from wsgateway.dataplane.authorization import Authorizers
from wsgateway.dataplane.buckets import Buckets
from wsgateway.dataplane.canary import CANARY, Version, canary_of, deployment_id
from wsgateway.dataplane.meters import Meters
from wsgateway.dataplane.method_authorization import asked_by_methods, method_authorizer_uses
from wsgateway.dataplane.response_cache import ResponseCache
from wsgateway.dataplane.rest_compile import check_rest, compile_rest, uses_of
from wsgateway.dataplane.rest_compiled import Canary, CompiledRestStage
from wsgateway.errors import Problem
from wsgateway.integrations.base import IntegrationType, Site
from wsgateway.model.integration import Integration
from wsgateway.model.loader import Loaded


@dataclass(slots=True)
class RestDeployment:
    """What came of them; where there are problems, which have their lines, there is no more than these."""

    problems: list[Problem] = field(default_factory=list)
    stages: dict[tuple[str, str], CompiledRestStage] = field(default_factory=dict)
    uses: list[tuple[Integration, Site]] = field(default_factory=list)
    """Every integration at every place it is used, those that authorizers ask included."""
    authorized: list[Use] = field(default_factory=list)
    """Every authorizer at every place where it decides."""


@dataclass(frozen=True, slots=True)
class RestCompiler:
    """Compiles REST APIs; what limits them takes from `buckets` and `meters`, `cache` keeps answers."""

    types: Mapping[str, IntegrationType]
    authorizers: Authorizers
    buckets: Buckets
    meters: Meters
    cache: ResponseCache

    def __call__(self, loaded: Loaded) -> RestDeployment:
        """Every REST API of a file."""
        made = RestDeployment()
        for api_id, api in loaded.definitions.rest_apis.items():
            version = Version(api, loaded.definitions, deployment_id(loaded), loaded.source, api_id)
            found = list(check_rest(api_id, api, self.types, self.authorizers, loaded.definitions))
            made.problems += map(loaded.source.locate, found)
            canaries = {name: self._canary(loaded, api_id, name, made) for name in api.stages}
            if not made.problems:
                self._use(api_id, version, made)
                for name, canary in canaries.items():
                    made.stages[api_id, name] = self._stage(api_id, name, version, canary, made)
        return made

    def _canary(self, loaded: Loaded, api_id: str, name: str, made: RestDeployment) -> Version | None:
        """What is wrong with it is told of `made`."""
        found = canary_of(loaded, api_id, name)
        if isinstance(found, Problem):
            made.problems.append(loaded.source.locate(found))
            return None
        if found is not None:
            problems = check_rest(api_id, found.api, self.types, self.authorizers, found.definitions)
            made.problems += found.located(problems)
        return found

    def _use(self, api_id: str, version: Version, made: RestDeployment) -> None:
        made.uses += uses_of(api_id, version.api, version.definitions)
        made.uses += asked_by_methods(api_id, version.api, version.definitions)
        made.authorized += method_authorizer_uses(api_id, version.api)

    def _stage(
        self, api_id: str, name: str, version: Version, canary: Version | None, made: RestDeployment
    ) -> CompiledRestStage:
        stage = self._compiled(api_id, name, version, name)
        settings = version.api.stages[name].canary_settings
        if canary is None or settings is None:
            return stage
        self._use(api_id, canary, made)
        compiled = self._compiled(api_id, name, canary, name if settings.use_stage_cache else name + CANARY)
        return replace(
            stage,
            canary=Canary(settings.percent_traffic, replace(compiled, of_canary=True)),
            together=stage.together | compiled.together,
        )

    def _compiled(self, api_id: str, name: str, version: Version, cache_name: str) -> CompiledRestStage:
        return compile_rest(
            api_id,
            version.api,
            name,
            self.types,
            self.authorizers,
            version.definitions,
            self.buckets,
            self.meters,
            self.cache,
            cache_name=cache_name,
            deployment_id=version.deployment_id,
        )
