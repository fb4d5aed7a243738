"""Places that are tried at once: so many, and each for so long."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from wsgateway.doctor.base import Finding, failed, warning

SECONDS = 2.0
AT_ONCE = 64
MOST = 256


@dataclass(frozen=True, slots=True)
class Trial:
    """One place, and what tries it. `mend` is what to do where nothing is heard of it within `seconds`."""

    check: str
    where: str
    run: Callable[[], Awaitable[Finding]]
    mend: str
    seconds: float = SECONDS


async def tried(trials: Sequence[Trial]) -> list[Finding]:
    """What came of them, in order; of more than MOST the rest is left out, and that is told."""
    turn = asyncio.Semaphore(AT_ONCE)

    async def one(trial: Trial) -> Finding:
        async with turn:
            try:
                async with asyncio.timeout(trial.seconds):
                    return await trial.run()
            except TimeoutError:
                return failed(trial.check, trial.where, f"no answer within {trial.seconds:g} s", trial.mend)

    findings = await asyncio.gather(*map(one, trials[:MOST]))
    left = len(trials) - MOST
    if left > 0:
        findings.append(warning("backend", "", f"{left} more were not tried", f"at most {MOST} are"))
    return findings


async def connects(host: str, port: int) -> str:
    """Why no TCP connection can be made within SECONDS; "" where one can."""
    try:
        async with asyncio.timeout(SECONDS):
            _, writer = await asyncio.open_connection(host, port)
    except TimeoutError:
        return f"no answer within {SECONDS:g} s"
    except (OSError, UnicodeError, ValueError, OverflowError) as error:
        return getattr(error, "strerror", None) or str(error)
    writer.transport.abort()
    return ""
