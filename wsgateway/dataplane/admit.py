"""What an event has to pass before its route looks at it: limits, and tokens that clients show in messages."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from wsgateway.authorizers.base import Identity
from wsgateway.invocation import Invocation

Admit = Callable[[Invocation], Awaitable[Identity | None] | None]
"""What limits how many events there may be. *Raises* GatewayError (Throttled, …), at once or later. None says that the
event goes on now; what it gives otherwise is waited for, and the connection's next messages wait behind it. It is asked
for each $connect, once it is known who connects, and for each message before anything else, and waits rarely. What a
wait gives, if anything, is who the client is from then on."""


def in_turn(admits: Sequence[Admit]) -> Admit | None:
    """All of them, one after the other; None where there is none."""
    if len(admits) < 2:
        return admits[0] if admits else None

    def admit(invocation: Invocation) -> Awaitable[Identity | None] | None:
        for number, each in enumerate(admits):
            pending = each(invocation)
            if pending is not None:
                return later(pending, admits[number + 1 :], invocation)
        return None

    async def later(
        pending: Awaitable[Identity | None], following: Sequence[Admit], invocation: Invocation
    ) -> Identity | None:
        identity = await pending
        for each in following:
            more = each(invocation)
            if more is not None:
                identity = await more or identity
        return identity

    return admit
