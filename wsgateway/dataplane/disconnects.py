"""$disconnect: run once a connection is over, and again until its backend answers or the time for it is over.

API Gateway delivers it at best effort. Here it is delivered at least once, unless the route says `delivery:
AT_MOST_ONCE`: an attempt that finds no connection, no answer in time, or 429, 502, 503 or 504 is made again. Any other
answer is final, whatever it says. An event that is given up is a *dead letter*: one log line that holds all of it.
"""

from __future__ import annotations

import asyncio
import math
import random
from asyncio import Future, TimerHandle, ensure_future
from collections import OrderedDict
from functools import partial
from typing import TYPE_CHECKING

from wsgateway.dataplane.allowance import Allowance
from wsgateway.dataplane.backlog import MOST_IN_FLIGHT, Backlog, DisconnectEvent
from wsgateway.dataplane.event_traces import trace_of
from wsgateway.errors import BadGateway, ServiceUnavailable
from wsgateway.invocation import Client, EventType, Invocation
from wsgateway.messages import EndpointResponse

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from wsgateway.dataplane.compiled import StageRef
    from wsgateway.dataplane.gateway import Gateway

RETRIED = frozenset({429, 502, 503, 504})
"""Statuses by which a backend says that it could not."""
RETRY_SECONDS = 600.0
MOST_WAITING = 100_000
"""Events a node keeps for another attempt; beyond, they are given up at once."""

BATCH = 500
BATCH_SECONDS = 0.02
"""So many are given up at once, and the next ones after this time: the log has to keep up."""

FAILED_RATE = 10.0
FAILED_BURST = 100.0
"""Lines a second about events that were answered with an error."""


class Disconnects:
    """The $disconnects of a node, and those it runs for nodes that are gone.

    `finished` is called once for each event that was answered or given up, with the slot of the node that held the
    connection and the connection's id. `durable` says that somebody else finishes what this node leaves unfinished
    (a registry that outlives the process); it may change until the node drains.
    """

    def __init__(
        self,
        gateway: Gateway,
        *,
        retry_seconds: float = RETRY_SECONDS,
        finished: Callable[[bytes, str], None] | None = None,
        durable: bool = False,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.finished = finished or _nothing
        self.durable = durable
        self._gateway = gateway
        self._retry_seconds = retry_seconds
        self._jitter = jitter
        self._running: set[DisconnectEvent] = set()
        self._waiting: OrderedDict[DisconnectEvent, None] = OrderedDict()
        """Every event that failed and is not over, the oldest first; those in flight again, too."""
        self._backlogs: dict[tuple[str, str], Backlog] = {}
        self._timer: TimerHandle | None = None
        self._timer_at = math.inf
        self._hurried = False
        self._stopped = False
        self._failed_lines = Allowance(FAILED_RATE, FAILED_BURST)
        self._failed_untold = 0

    @property
    def running(self) -> int:
        """Calls that have not ended."""
        return len(self._running)

    @property
    def waiting(self) -> int:
        """Events that failed and wait for another attempt, or are in the midst of one."""
        return len(self._waiting)

    @property
    def holding(self) -> bool:
        """Whether the node must not end yet."""
        return bool(self._running or (self._waiting and not self._stopped))

    def begin(self, client: Client, ref: StageRef | None, code: int, reason: str, *, owner: bytes) -> None:
        """Run $disconnect for a connection that is over; `ref` is None where its stage is not deployed, or not yet."""
        variables = {} if ref is None else ref.current.variables
        invocation = Invocation(client, EventType.DISCONNECT, "$disconnect", variables, status_code=code, reason=reason)
        self._attempt(DisconnectEvent(invocation, owner, self._gateway.loop.time()), ref)

    def look_again(self) -> None:
        """The definitions have changed: what failed may work now."""
        now = self._gateway.loop.time()
        for backlog in self._backlogs.values():
            backlog.look_again(now)
        self._schedule()

    def forget(self, claimed: Collection[str]) -> None:
        """Other nodes have claimed these connections, and finish them: nothing is tried here any more."""
        for event in [event for event in self._waiting if event.invocation.client.connection_id in claimed]:
            del self._waiting[event]
            event.over = True

    # The end of the node

    def drain(self) -> None:
        """The node is about to end. What waits is left to others where that is possible, else tried more often."""
        if self.durable:
            self._stop()
            return
        self._hurried = True
        now = self._gateway.loop.time()
        for backlog in self._backlogs.values():
            backlog.hurry(now)
        self._schedule()

    def release(self) -> list[tuple[bytes, str]]:
        """Let go of every event that waits, without finishing it: slots of the nodes that held the connections, and
        connection ids. Nothing is tried again from now on; what fails later is there for the next call."""
        self._stop()
        left = [event for event in self._waiting if event not in self._running]
        for event in left:
            del self._waiting[event]
            event.over = True
        for backlog in self._backlogs.values():
            backlog.clear()
        return [(event.owner, event.invocation.client.connection_id) for event in left]

    async def end(self) -> None:
        """The node ends now. Unless others finish them, all events that are left become dead letters."""
        self._stop()
        if self.durable:
            return
        for number, event in enumerate([*self._waiting, *(self._running - self._waiting.keys())], 1):
            if event.at_least_once:
                self._give_up(event, "the node ended")
            else:
                self._tell_failed(event, "the node ended")
                self._finish(event)
            if number % BATCH == 0:
                await asyncio.sleep(BATCH_SECONDS)

    def _stop(self) -> None:
        self._stopped = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # Attempts

    def _attempt(self, event: DisconnectEvent, ref: StageRef | None) -> None:
        """Make an attempt, with what the stage is now."""
        event.attempts += 1
        if ref is None:
            # A deployment may bring it back, or not have reached this node yet.
            event.operation = None
            self._failed(event, ServiceUnavailable("its stage is not deployed here"))
            return
        event.invocation.stage_variables = ref.current.variables
        stage = ref.current
        operation = event.operation = stage.disconnect
        logging = None if operation is None else operation.logging
        if logging is not None or stage.access is not None or self._gateway.tracing is not None:
            event.invocation.trace = trace_of(self._gateway, event.invocation, stage.access, logging)
        if operation is None:
            self._answered(event)
            return
        invocation = event.invocation
        invocation.tally = ref.tallies["$disconnect"]
        invocation.arrived = self._gateway.clock()
        try:
            answer = operation.integrate(invocation)
        except Exception as error:
            invocation.tally.over(self._gateway.clock() - invocation.arrived)
            invocation.tally.failed(error)
            self._failed(event, error)
            return
        if isinstance(answer, EndpointResponse):
            invocation.tally.over(self._gateway.clock() - invocation.arrived)
            self._answered(event)  # nobody was asked, so nobody would say anything else another time
            return
        self._running.add(event)
        future = answer if isinstance(answer, Future) else ensure_future(answer)
        future.add_done_callback(partial(self._landed, event))

    def _landed(self, event: DisconnectEvent, future: Future[EndpointResponse]) -> None:
        self._running.discard(event)
        tally, seconds = event.invocation.tally, self._gateway.clock() - event.invocation.arrived
        tally.landed(seconds, seconds)
        error = ServiceUnavailable("the node is closing") if future.cancelled() else future.exception()
        if error is not None:
            tally.failed(error)
        elif (status := future.result().status) >= 400:
            tally.refused(status, by_function=event.operation is not None and event.operation.by_function)
            if status in RETRIED:
                error = BadGateway(f"the backend answered {status}")
        if event.over:
            self._heard_of(event, answered=error is None)
        elif error is None:
            if event.invocation.trace is not None:
                event.invocation.trace.note("answered", future.result())
            self._answered(event)
        else:
            self._failed(event, error)

    def _answered(self, event: DisconnectEvent) -> None:
        if event.invocation.trace is not None:
            event.invocation.trace.note("frame", None)
        faults = self._gateway.faults
        if faults.failing:
            client = event.invocation.client
            faults.succeeded((client.api_id, client.stage, "$disconnect"))
        self._finish(event)
        if self._backlogs:
            self._heard_of(event, answered=True)

    def _failed(self, event: DisconnectEvent, error: BaseException) -> None:
        """An attempt has failed: try again later, or give up."""
        gateway, invocation = self._gateway, event.invocation
        gateway.counters.disconnect_failures += 1
        fault = gateway.fault_of(error, invocation)
        if invocation.trace is not None:
            invocation.trace.note("error", fault)
        event.error = fault.reason or fault.message
        final = not fault.transient
        if final or not event.at_least_once:
            self._tell_failed(event, event.error)
            self._finish(event)
        elif gateway.loop.time() >= event.began + self._retry_seconds:
            self._give_up(event, "its time is over")
        elif event not in self._waiting and len(self._waiting) >= MOST_WAITING:
            self._give_up(event, f"{MOST_WAITING} events wait already")
        else:
            self._waiting[event] = None
            _ = invocation.epoch  # the time of the event is that of its first attempt
        self._heard_of(event, answered=final)

    def _heard_of(self, event: DisconnectEvent, *, answered: bool) -> None:
        """An attempt has ended: let the backlog of its stage know."""
        client = event.invocation.client
        key = client.api_id, client.stage
        backlog = self._backlogs.get(key)
        if backlog is None:
            if answered or event.over:
                return
            backlog = self._backlogs[key] = Backlog(self._jitter, hurried=self._hurried)
        now = self._gateway.loop.time()
        if event.attempts > 1:
            backlog.in_flight -= 1
        if answered:
            backlog.answered()
        else:
            backlog.failed(now)
        if not event.over:
            backlog.add(event, now)
        if backlog.idle:
            del self._backlogs[key]
        self._schedule()

    # The queue

    def _schedule(self) -> None:
        """See that the one timer rings when the next attempt or the end of an event is due."""
        if self._stopped:
            return
        loop = self._gateway.loop
        at = min([backlog.wake_at() for backlog in self._backlogs.values()], default=math.inf)
        if self._waiting:
            oldest = next(iter(self._waiting))
            at = min(at, max(oldest.began + self._retry_seconds, loop.time() + BATCH_SECONDS))
        if at < self._timer_at:
            if self._timer is not None:
                self._timer.cancel()
            self._timer = loop.call_at(at, self._ring)
            self._timer_at = at

    def _ring(self) -> None:
        self._timer = None
        self._timer_at = math.inf
        gateway = self._gateway
        if gateway.clock() > gateway.check_at:
            gateway.awoken()
        now = gateway.loop.time()
        self._expire(now)
        for backlog in list(self._backlogs.values()):
            for _ in range(MOST_IN_FLIGHT):
                event = backlog.next(now)
                if event is None:
                    break
                self._again(event)
        self._schedule()

    def _again(self, event: DisconnectEvent) -> None:
        client = event.invocation.client
        self._gateway.counters.disconnect_retries += 1
        self._attempt(event, self._gateway.stages.get((client.api_id, client.stage)))

    def _expire(self, now: float) -> None:
        """Give up what has been tried for long enough. An event in flight has its last chance."""
        for _ in range(min(BATCH, len(self._waiting))):
            event = next(iter(self._waiting))
            if now < event.began + self._retry_seconds:
                return
            if event in self._running:
                del self._waiting[event]
            else:
                self._give_up(event, "its time is over")

    # The end of an event

    def _finish(self, event: DisconnectEvent) -> None:
        event.over = True
        if self._waiting:
            self._waiting.pop(event, None)
        self.finished(event.owner, event.invocation.client.connection_id)

    def _give_up(self, event: DisconnectEvent, cause: str) -> None:
        """A dead letter: whoever has to can deliver the event by hand."""
        invocation, client = event.invocation, event.invocation.client
        self._gateway.counters.dead_letters += 1
        self._gateway.log(
            "$disconnect dead letter",
            cause=cause,
            error=event.error or None,
            attempts=event.attempts,
            api=client.api_id,
            stage=client.stage,
            connection_id=client.connection_id,
            request_id=invocation.request_id,
            request_time_epoch=invocation.epoch,
            connected_at=client.connected_at,
            domain_name=client.domain_name,
            source_ip=client.source_ip,
            user_agent=client.user_agent,
            code=invocation.status_code,
            reason=invocation.reason,
        )
        self._finish(event)

    def _tell_failed(self, event: DisconnectEvent, error: str) -> None:
        client = event.invocation.client
        if not self._failed_lines.take(self._gateway.loop.time()):
            self._failed_untold += 1
            return
        self._gateway.log(
            "$disconnect failed",
            connection_id=client.connection_id,
            request_id=event.invocation.request_id,
            api=client.api_id,
            error=error,
            not_told=self._failed_untold,
        )
        self._failed_untold = 0


def _nothing(owner: bytes, connection_id: str) -> None:
    """Nobody keeps a record."""
