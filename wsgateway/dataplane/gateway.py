"""What all connections of a node share."""

from __future__ import annotations

from asyncio import AbstractEventLoop
from dataclasses import dataclass, field
from math import inf
from time import monotonic, time
from typing import TYPE_CHECKING, Any, Protocol

from wsgateway.authorizers.signed import NOBODY_SIGNS, Signers
from wsgateway.bodies import BodyMemory, MessageMemory
from wsgateway.dataplane.admission import Admission
from wsgateway.dataplane.buckets import Buckets
from wsgateway.dataplane.counters import Counters
from wsgateway.dataplane.disconnects import Disconnects
from wsgateway.dataplane.endpoint import Endpoints
from wsgateway.dataplane.faults import Faults
from wsgateway.dataplane.hub import Hub
from wsgateway.dataplane.identity import ConnectionIds
from wsgateway.dataplane.meters import Meters
from wsgateway.dataplane.tail import Tails
from wsgateway.dataplane.throttle import Throttling
from wsgateway.dataplane.vpc_endpoints import VpcEndpoints
from wsgateway.errors import ApiConfigurationError, GatewayError, Throttled
from wsgateway.tally import Histogram, Tallies

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from wsgateway.dataplane.access_log import WriteRow
    from wsgateway.dataplane.compiled import StageRef
    from wsgateway.dataplane.endpoint import Place
    from wsgateway.dataplane.ledger import Ledger
    from wsgateway.dataplane.relay import Relay
    from wsgateway.dataplane.rest_compiled import CompiledRestStage
    from wsgateway.invocation import Invocation
    from wsgateway.messages import HttpRequest
    from wsgateway.model.usage_plan import UsagePlan
    from wsgateway.trace import Trace


class Log(Protocol):
    """One fact per call; keys are names of the field, values are short."""

    def __call__(self, event: str, **facts: object) -> None: ...


class Tracing(Protocol):
    """Decides which events have spans, and makes them."""

    ratio: float
    """So many of the events that belong to no trace yet begin one, from 0 to 1."""

    def parent(self, request: HttpRequest | None) -> Any:
        """What an event that `request` began belongs below; None where it has no span."""

    def begin(self, invocation: Invocation, parent: Any) -> Trace:
        """What makes the spans of an event that begins now."""


@dataclass(slots=True, kw_only=True)
class Gateway:
    """What all connections of a node share. `stages` and `endpoints` change as a whole, by `Node.deploy`."""

    loop: AbstractEventLoop
    hub: Hub
    ids: ConnectionIds
    counters: Counters
    faults: Faults
    log: Log
    stages: Mapping[tuple[str, str], StageRef]
    endpoints: Endpoints
    """Of WebSocket APIs."""
    callback_url: Callable[[HttpRequest, Place], tuple[str, str]]
    """`(domainName, base of callback URLs)` of a request that means this place."""
    show_reasons: bool
    max_connections: int
    callers: Signers = NOBODY_SIGNS
    """Whose signatures are good for calls of `@connections`, where these are asked for."""
    draining: bool = False
    registry_away: bool = False
    """Whether new handshakes get 503 because what nodes share can't be reached."""
    clock: Callable[[], float] = monotonic
    """Of `check_at`: it moves on though the loop stands still."""
    check_at: float = inf
    """When the node's lease ends if nobody renews it. Whatever leads to a write on a socket or to a backend compares it
    with `clock` and calls `awoken` once it is over: a process that slept may have been taken for dead."""
    awoken: Callable[[], None] = lambda: None
    ledger: Ledger | None = None
    """The records of connections that others finish if this node dies; None where no one would."""
    opening: int = 0
    """Handshakes whose $connect is running, or whose 101 is to be written."""
    running: int = 0
    """Messages whose integration has not answered, those of closed connections too."""
    closing: int = 0
    """Closed connections whose $disconnect has not begun."""
    write_row: WriteRow = lambda text, values: None
    """Takes the rows of access logs; it never waits."""
    tracing: Tracing | None = None
    """Makes the spans of events; None where nobody collects them."""
    tails: Tails = field(default_factory=Tails)
    tallies: Tallies = field(default_factory=Tallies)
    """What becomes of events, by stage and route."""
    lag: Histogram = field(default_factory=Histogram)
    """How late the loop came to what was due."""
    rest: Mapping[tuple[str, str], CompiledRestStage] = field(default_factory=dict)
    """Stages of REST APIs; changes as a whole, by `Node.deploy`, as `rest_endpoints` does."""
    rest_endpoints: Endpoints = field(default_factory=lambda: Endpoints({}, None))
    private_endpoints: Endpoints = field(default_factory=lambda: Endpoints({}, None))
    """Of PRIVATE ones, to which the internal listener alone leads."""
    vpc_endpoints: VpcEndpoints = field(default_factory=lambda: VpcEndpoints({}))
    forget_authorizations: Callable[[str, str], int] = lambda api_id, stage: 0
    """Forgets what authorizers said at a stage of an API, of which answers are kept; gives how many."""
    relay: Relay | None = None
    """Calls the nodes that hold the connections that are not here; None where there is no other node."""
    bodies: BodyMemory = field(default_factory=BodyMemory)
    """What bodies of requests and of answers hold together."""
    messages: MessageMemory = field(default_factory=MessageMemory)
    """What messages of WebSockets hold together."""
    buckets: Buckets = field(default_factory=lambda: Buckets(monotonic))
    """What limits on events take from."""
    meters: Meters = field(default_factory=lambda: Meters(time, lambda event, **facts: None))
    """What quotas of API keys are counted by."""
    usage_plans: Mapping[str, UsagePlan] = field(default_factory=dict)
    """What API keys are good for now, by the plan's name."""
    admission: Admission = field(init=False)
    throttling: Throttling = field(init=False)
    disconnects: Disconnects = field(init=False)

    def __post_init__(self) -> None:
        self.admission = Admission(self.loop.time, self.log)
        self.throttling = Throttling(self.loop.time, self.log)
        self.disconnects = Disconnects(self)

    def relay_to(self, connection_id: str) -> Relay | None:
        """What calls the node of a connection that is not here; None where it can only have been here."""
        relay = self.relay
        return relay if relay is not None and relay.elsewhere(connection_id) else None

    def throttled(self, fault: Throttled, invocation: Invocation) -> None:
        """A client's event was beyond a limit."""
        client = invocation.client
        whose = {"user": client.user, "connection_id": client.connection_id}
        self.throttling.refuse(
            client.api_id,
            client.stage,
            fault.level,
            error=fault.reason,
            route=invocation.route_key,
            source=client.source_ip,
            **{name: value for name, value in whose.items() if value},
        )

    def fault_of(self, error: BaseException, invocation: Invocation, stage: str = "") -> GatewayError:
        """The error a client hears of, told to the operator too; an unexpected one hides inside a 500.

        `stage` is what the log calls the stage, where that is not its name.
        """
        client = invocation.client
        invocation.template_context = None  # the two refer to each other, and no response template follows
        if isinstance(error, GatewayError):
            self.faults.failed(
                (client.api_id, stage or client.stage, invocation.route_key),
                error,
                request_id=invocation.request_id,
                connection_id=client.connection_id,
            )
            # The event knows its error, and that the frames it came through, which know the event: so let these go now.
            # Else what the client has sent, a body of many MB perhaps, stays until the collector comes.
            error.__traceback__ = error.__cause__ = error.__context__ = None
            return error
        self.counters.unexpected_errors += 1
        self.log(
            "unexpected error",
            error=error,
            request_id=invocation.request_id,
            connection_id=client.connection_id,
            route=invocation.route_key,
        )
        return ApiConfigurationError(f"unexpected {type(error).__name__}; see the log for its request id")
