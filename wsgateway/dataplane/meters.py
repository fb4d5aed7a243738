"""How much of its quota each API key has used: counted over all nodes, without asking the registry for every event.

A node asks for some ahead, twice as many each time they are gone within a second, but never more than a hundredth of
the quota, shared among the nodes: that much at most lies unused with others when a key is refused, and is reported as
used; what nobody took for 10 s is given back. Of a small quota, events are asked for one by one. One round at a time is
under way, for all meters that ask.

Where the registry is away, a node grants its share of what was left when it was last heard of: what is left is divided
by the nodes that were known. Those events are reported when the registry is back. An emptied registry is told what was
used as far as any node knows it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from time import monotonic
from typing import Protocol

from wsgateway.dataplane.periods import DAY, day_of, first_day
from wsgateway.model.usage_plan import Quota
from wsgateway.registry.usage import Claim, Granted, MemoryUsage, MeterName, Usage

AHEAD = 100
"""At most one of so many parts of a quota is asked for ahead, by all nodes together."""
MOST_AHEAD = 10_000
BUSY_SECONDS = 1.0
"""What lasted for less is asked for in twice the number."""
BELIEVED_SECONDS = 1.0
"""So long nobody is asked again after an answer of `none`, or no answer."""
REPORT_SECONDS = 5.0
"""How often what was used without asking is reported."""
KEPT_SECONDS = 10.0
"""What was asked for ahead and not taken for so long is given back."""
MOST_CLAIMS = 500
"""In one round."""


class Meter:
    """What one API key has used of one plan, as this node sees it. `Meters` gives it."""

    __slots__ = (
        "_ahead", "_asked_at", "_dawn", "_day", "_held", "_late", "_mark", "_midnight", "_none_until", "_of", "_own",
        "_share", "_spent", "_taken_at", "_used", "name", "quota", "waiting",
    )  # fmt: skip

    def __init__(self, name: MeterName, quota: Quota | None, of: Meters) -> None:
        self.name = name
        self.quota = quota
        self.waiting: deque[asyncio.Future[bool]] = deque()
        """Events that wait for the registry's answer."""
        self._of = of
        self._late: list[tuple[int, int]] = []
        """Day and number of what was used on earlier days and is not reported yet."""
        self._day = day_of(of.now())
        self._spent = 0
        """What was used today and is not reported yet; below 0, what is to be given back."""
        self._taken_at = 0.0
        self._mark = ""
        self._begin()

    def _begin(self) -> None:
        """A new period, or another quota."""
        self._held = self._used = self._own = 0
        self._share: int | None = None
        """Of the quota, while the registry is away; `_own` of it are used."""
        self._ahead = 1
        self._asked_at = self._none_until = 0.0
        self._on(self._day)

    def _on(self, day: int) -> None:
        """The day on which it counts."""
        self._day = day
        self._dawn = day * DAY
        self._midnight = self._dawn + DAY

    def change(self, quota: Quota | None) -> None:
        """Another quota holds from now on; what was used stays used."""
        self._give_back()
        self.quota = quota
        self._begin()

    def take(self) -> bool | Awaitable[bool]:
        """Whether the quota has one more; uses it."""
        self._turn()
        if self.quota is None:
            self._spend()
            return True
        if self._held:
            self._held -= 1
            self._taken_at = self._of.clock()
            return True
        if self.waiting:
            return self._of.ask(self)
        now = self._of.clock()
        if self._share is None and now < self._none_until:
            return False
        return self._on_own() if self._of.away(now) else self._of.ask(self)

    def settle(self, now: float, *, all: bool = False) -> bool:
        """Give back what nobody takes, or `all` that is held; gives whether its period is over, and all is reported.

        `now` is the clock's.
        """
        over = self._turn()
        if all or now - self._taken_at >= KEPT_SECONDS:
            self._give_back()
        return over and not (self._spent or self._late or self.waiting)

    def _give_back(self) -> None:
        if self._held:
            self._spent -= self._held
            self._held = 0
            self._of.unreported[self.name] = self

    def _turn(self) -> bool:
        """Look whether it is another day by now: the next, or where the clock was wrong any other. Gives whether it is
        of another period, which begins then."""
        now = self._of.now()
        if self._dawn <= now < self._midnight:
            return False
        day = day_of(now)
        other = self._first_of(day) != self._first
        if other:
            self._give_back()
        if self._spent:
            self._late.append((self._day, self._spent))
            self._spent = 0
        self._on(day)
        if other:
            self._begin()
        return other

    def _spend(self) -> None:
        self._spent += 1
        self._of.unreported[self.name] = self

    def _on_own(self) -> bool:
        """Without the registry, of this node's share."""
        assert self.quota is not None
        if self._share is None:
            self._share = max(0, self.quota.limit - self._used) // self._of.nodes()
        if self._own >= self._share:
            return False
        self._own += 1
        self._spend()
        return True

    # What `Meters` says and hears

    def claims(self, now: float) -> list[Claim]:
        """What to ask, and to report, which counts as reported then; today is the last. `now` is the clock's."""
        self._turn()
        asked = [
            Claim(meter=self.name, day=day, first=day, limit=None, wanted=0, seen=0, spent=spent)
            for day, spent in self._late
        ]
        quota = self.quota
        asked.append(
            Claim(
                meter=self.name,
                day=self._day,
                first=self._first,
                limit=None if quota is None else quota.limit,
                offset=0 if quota is None else quota.offset,
                wanted=self._wanted(quota, now) if quota is not None and self.waiting else 0,
                seen=self._used,
                mark=self._mark,
                spent=self._spent,
            )
        )
        self._late, self._spent = [], 0
        return asked

    @property
    def _first(self) -> int:
        """The first day of the period."""
        return self._first_of(self._day)

    def _first_of(self, day: int) -> int:
        return day if self.quota is None else first_day(self.quota.period, day)

    def _wanted(self, quota: Quota, now: float) -> int:
        busy = now - self._asked_at < BUSY_SECONDS
        most = min(MOST_AHEAD, quota.limit // (AHEAD * self._of.nodes()))
        self._ahead = max(1, min(most, 2 * self._ahead if busy else self._ahead // 2))
        self._asked_at = now
        return max(len(self.waiting), self._ahead)

    def granted(self, claim: Claim, waited: int, answer: Granted, now: float) -> None:
        """The answer to the claim of today, made while `waited` events waited; `now` is the clock's."""
        self._turn()
        self._share, self._own = None, 0
        limit = None if self.quota is None else self.quota.limit
        if (claim.limit, claim.first) != (limit, self._first):
            # Another period or quota by now: who waits is asked for anew.
            self._late.append((claim.day, -answer.granted))
            self._of.unreported[self.name] = self
            return
        self._used, self._mark = answer.used, answer.mark
        self._held += answer.granted
        self._taken_at = now
        if answer.granted < claim.wanted:
            self._none_until = now + BELIEVED_SECONDS
        self._tell(waited, self._of_held)

    def unheard(self, claims: Iterable[Claim], waited: int) -> None:
        """The registry is away."""
        for claim in claims:
            if claim.day == self._day:
                self._spent += claim.spent
            elif claim.spent:
                self._late.append((claim.day, claim.spent))
        self._tell(waited, self._on_own)

    def _of_held(self) -> bool:
        if self.quota is None:  # its quota went while it waited
            self._spend()
            return True
        if not self._held:
            return False
        self._held -= 1
        return True

    def _tell(self, waited: int, take: Callable[[], bool]) -> None:
        for _ in range(min(waited, len(self.waiting))):
            event = self.waiting.popleft()
            if not event.done():  # else its client has gone
                event.set_result(take())


class Log(Protocol):
    """Writes one line of the log."""

    def __call__(self, event: str, **facts: object) -> None: ...


class Meters:
    """All meters of a node.

    `now` gives Unix time in seconds, by which days are told; `clock` gives seconds for all else, which no step of the
    time of day makes longer. `store` and `nodes` (how many there are) are this node's own until there are others.
    """

    def __init__(self, now: Callable[[], float], log: Log, clock: Callable[[], float] = monotonic) -> None:
        self.store: Usage = MemoryUsage()
        self.nodes: Callable[[], int] = lambda: 1
        self.now = now
        self.clock = clock
        self.unreported: dict[MeterName, Meter] = {}
        """Those that used something without asking for it."""
        self._log = log
        self._kept: dict[MeterName, Meter] = {}
        self._asking: dict[MeterName, Meter] = {}
        self._round: asyncio.Task[None] | None = None
        self._is_away = False
        self._away_until = self._report_at = 0.0

    def meter(self, name: MeterName, quota: Quota | None) -> Meter:
        """The meter of a plan and a key, by name, which has this quota from now on. Ask for it anew each time."""
        found = self._kept.get(name)
        if found is None:
            found = self._kept[name] = Meter(name, quota, self)
        elif found.quota is not quota:
            if found.quota != quota:
                found.change(quota)
            found.quota = quota
        return found

    def away(self, now: float) -> bool:
        """Whether the registry did not answer just now; `now` is the clock's."""
        return now < self._away_until

    def ask(self, meter: Meter) -> Awaitable[bool]:
        """Wait for the next round's answer."""
        event = asyncio.get_running_loop().create_future()
        meter.waiting.append(event)
        self._asking[meter.name] = meter
        self._begin()
        return event

    def sweep(self) -> None:
        """Now and then report what was used without asking, give back what nobody takes, forget what is over."""
        now = self.clock()
        if now < self._report_at or self.away(now):
            return
        self._report_at = now + REPORT_SECONDS
        for name, meter in list(self._kept.items()):
            if meter.settle(now):
                del self._kept[name]
        self._asking |= self.unreported
        self._begin()

    async def aclose(self) -> None:
        """Report what there is to be reported, and give back what is held, if the registry takes it."""
        for meter in self._kept.values():
            meter.settle(self.clock(), all=True)
        self._asking |= self.unreported
        self._begin()
        if self._round is not None:
            await asyncio.wait([self._round])

    def _begin(self) -> None:
        if self._round is None and self._asking:
            self._round = asyncio.ensure_future(self._run())  # begins when this turn is over

    async def _run(self) -> None:
        try:
            while self._asking:
                await self._ask_once()
        finally:
            self._round = None

    async def _ask_once(self) -> None:
        asking = [self._asking.pop(name) for name in list(self._asking)[:MOST_CLAIMS]]
        asked: list[tuple[Meter, int, list[Claim]]] = [
            (meter, len(meter.waiting), meter.claims(self.clock())) for meter in asking
        ]
        for meter in asking:
            self.unreported.pop(meter.name, None)
        answers = await self._answers([claim for _, _, claims in asked for claim in claims])
        given = iter(answers or ())
        if answers is None:  # nobody waits for one such round after the other
            asked += [(meter, len(meter.waiting), []) for meter in self._asking.values()]
            self._asking = {}
        for meter, waited, claims in asked:
            if answers is None:
                self.unreported[meter.name] = meter
                meter.unheard(claims, waited)
            else:
                meter.granted(claims[-1], waited, [next(given) for _ in claims][-1], self.clock())
            if meter.waiting:
                self._asking[meter.name] = meter

    async def _answers(self, claims: Sequence[Claim]) -> Sequence[Granted] | None:
        """None where the registry is away."""
        try:
            answers = await self.store.claim(claims)
        except Exception as error:  # whatever it is, nobody may wait for ever
            self._away_until = self.clock() + BELIEVED_SECONDS
            if not self._is_away:
                self._log("quotas: the registry is away, so each node grants its share of what is left", error=error)
            self._is_away = True
            return None
        if self._is_away:
            self._log("quotas: the registry is back")
        self._is_away = False
        return answers
