"""What a stage of a REST API executes: its methods, compiled, and what holds for all of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from wsgateway.tally import Routes

if TYPE_CHECKING:
    from wsgateway.dataplane.access_log import AccessLog
    from wsgateway.dataplane.admit import Admit
    from wsgateway.dataplane.execution_log import Logging
    from wsgateway.dataplane.finish import Finish
    from wsgateway.dataplane.gateway_responses import GatewayResponses
    from wsgateway.dataplane.resources import Resources
    from wsgateway.integrations.base import Call
    from wsgateway.messages import HttpRequest
    from wsgateway.method_request import MethodRequest
    from wsgateway.model.quotas import Quotas


@dataclass(frozen=True, slots=True)
class CompiledMethod:
    """One method, ready to run."""

    resource: str
    route_keys: Mapping[str, str]
    """What its requests are called, `VERB /resource`, by the verb."""
    checks: tuple[Callable[[MethodRequest], None], ...]
    """*Raise* GatewayError where the request may not go on."""
    integrate: Call
    passes: bool
    """Whether large bodies are sent on as they come; what looks at the whole body needs it whole."""
    traced: bool
    """Whether its answers say which trace they belong to; AWS's say it unless they are a backend's own, or nobody's."""
    admit: Admit | None = None
    """Asked before everything else; None where everyone may call it as often as they like."""
    authorizer: str = ""
    """The name of the authorizer, or AWS_IAM; "" where nobody is asked who it is."""
    claimed: Callable[[HttpRequest], None] | None = None
    """Where `admit` needs the whole body, which is signed with the request: *raises* GatewayError before it is read for
    what can't be signed, whatever its body. None elsewhere."""
    logging: Logging | None = None
    """What the execution log tells of its requests; None where that is nothing."""
    by_function: bool = False
    """Whether a Lambda function answers in the gateway's place (AWS_PROXY)."""


@dataclass(slots=True, kw_only=True, eq=False)
class CompiledRestStage:
    """One stage of a REST API. Nothing but `tallies` changes, and that once, when it is deployed."""

    api_id: str
    name: str
    variables: Mapping[str, str]
    resources: Resources[CompiledMethod]
    gateway_responses: GatewayResponses
    binary_media_types: tuple[str, ...]
    max_body_bytes: int
    max_upload_bytes: int
    """The same of bodies that are sent on as they come."""
    at_once_bytes: int
    """Bodies up to this that came with their heads are neither too large nor counted."""
    access: AccessLog | None
    """The rows of its requests; None where they have none."""
    finish: Finish | None
    """What is done to every answer, if anything is."""
    quotas: Quotas
    """Of the TCP connections that its requests come on."""
    edge: bool = False
    """Whether header names of requests are capitalized."""
    together: frozenset[str] = frozenset()
    """Methods whose requests have no metrics of their own."""
    cache: tuple[str, str] | None = None
    """Under which names its answers are kept; None where it has no cache."""
    deployment_id: str = ""
    """`$context.deploymentId`."""
    canary: Canary | None = None
    """What answers a share of its requests."""
    of_canary: bool = False
    """Whether that is what this is."""
    tallies: Routes = field(default_factory=Routes)
    """What becomes of its requests."""

    @property
    def log_name(self) -> str:
        """What the log calls it: a canary as AWS's log groups do."""
        return f"{self.name}/Canary" if self.of_canary else self.name

    @property
    def caches(self) -> set[tuple[str, str]]:
        """Under which names answers are kept, its canary's, too."""
        found = {self.cache, None if self.canary is None else self.canary.stage.cache}
        return {cache for cache in found if cache is not None}


@dataclass(frozen=True, slots=True)
class Canary:
    """What answers so many of 100 requests in place of the stage."""

    percent: float
    stage: CompiledRestStage
