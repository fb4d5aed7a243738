"""What executes: every route an Operation, every stage one value that is swapped as a whole."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from wsgateway.authorizers.base import Authorize, Use
from wsgateway.dataplane.access_log import AccessLog
from wsgateway.dataplane.admit import Admit
from wsgateway.dataplane.buckets import Limit
from wsgateway.dataplane.checks import Check
from wsgateway.dataplane.endpoint import Endpoints
from wsgateway.dataplane.execution_log import Logging
from wsgateway.dataplane.rest_compiled import CompiledRestStage
from wsgateway.dataplane.vpc_endpoints import VpcEndpoints
from wsgateway.integrations.base import Call, Site
from wsgateway.messages import HttpRequest
from wsgateway.model.integration import Integration
from wsgateway.model.quotas import Quotas
from wsgateway.model.throttle import OnLimit
from wsgateway.model.usage_plan import UsagePlan
from wsgateway.tally import Routes


@dataclass(frozen=True, slots=True)
class Operation:
    """One route, ready to run: its checks, its call, and whether the answer goes back."""

    key: str
    checks: tuple[Check, ...]
    integrate: Call
    two_way: bool
    at_least_once: bool = True
    """Of $disconnect: whether it is tried again where it could not be delivered."""
    authorize: Authorize | None = None
    """Of $connect: who says who the client is, before everything else."""
    logging: Logging | None = None
    """What the execution log tells of its events; None where that is nothing."""
    admit: Admit | None = None
    """Asked before everything but `authorize`; None where nothing limits the route."""
    authorizer: str = ""
    """The name of the one that `authorize` is, or AWS_IAM; of a route with `refresh`, who is asked about its tokens."""
    by_function: bool = False
    """Whether a Lambda function answers in the gateway's place (AWS_PROXY)."""

    @property
    def brings_token(self) -> bool:
        """Whether its messages hold a token (`refresh`), which nobody is shown."""
        return self.authorize is None and self.authorizer not in ("", "NONE")


@dataclass(frozen=True, slots=True, kw_only=True)
class CompiledStage:
    """Deployment × stage settings. `connect` and `disconnect` are None where there is nothing to call."""

    api_id: str
    name: str
    quotas: Quotas
    variables: Mapping[str, str]
    select: Callable[[bytes], Operation]
    select_binary: Callable[[bytes], Operation]
    """The same for binary messages."""
    connect: Operation | None
    disconnect: Operation | None
    sequential: bool
    takes_tickets: bool = False
    """$connect asks for a ticket."""
    operations: Mapping[str, Operation] = field(default_factory=dict)
    """All there are, by route key."""
    together: frozenset[str] = frozenset()
    """Routes whose events have no metrics of their own."""
    on_limit: OnLimit = "ERROR"
    """What becomes of a message beyond a limit."""
    account: Limit | None = None
    """What limits `@connections` calls, with all APIs; None where nothing does."""
    access: AccessLog | None = None
    """The rows of its events; None where it has none."""
    check_origin: Callable[[HttpRequest], None] | None = None
    """*Raises* AccessDenied for handshakes from pages that may not connect; None where all may."""

    @property
    def owes_disconnect(self) -> bool:
        """Whether the end of a connection has to be told to a backend at least once."""
        return self.disconnect is not None and self.disconnect.at_least_once


class StageRef:
    """The one reference to what a stage executes. Open sockets hold it, so a swap reaches their next message."""

    __slots__ = ("current", "tallies")

    def __init__(self, current: CompiledStage, tallies: Routes | None = None) -> None:
        self.current = current
        self.tallies = Routes() if tallies is None else tallies
        """What becomes of its events, by route key."""


@dataclass(frozen=True, slots=True)
class Deployment:
    """All stages of one set of definitions, and how requests find them."""

    stages: Mapping[tuple[str, str], CompiledStage]
    endpoints: Endpoints
    digest: str
    uses: tuple[tuple[Integration, Site], ...]
    """Every integration at every place it is used, those that authorizers ask included."""
    authorized: tuple[Use, ...]
    """Every authorizer at every place where it decides."""
    usage_plans: Mapping[str, UsagePlan] = field(default_factory=dict)
    """What API keys are good for, by the plan's name."""
    rest: Mapping[tuple[str, str], CompiledRestStage] = field(default_factory=dict)
    """Stages of REST APIs."""
    rest_endpoints: Endpoints = field(default_factory=lambda: Endpoints({}, None))
    private_endpoints: Endpoints = field(default_factory=lambda: Endpoints({}, None))
    """Of PRIVATE ones."""
    vpc_endpoints: VpcEndpoints = field(default_factory=lambda: VpcEndpoints({}))

    def uses_of(self, integration_type: str) -> list[tuple[Integration, Site]]:
        """The uses of integrations of one type, by AWS's name."""
        return [use for use in self.uses if use[0].integration_type == integration_type]
