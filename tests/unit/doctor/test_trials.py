"""Places are tried at once, each for so long, and so many at most."""

from __future__ import annotations

import asyncio

import pytest

from wsgateway.doctor.base import Finding, Verdict, ok
from wsgateway.doctor.trials import AT_ONCE, MOST, Trial, tried

pytestmark = pytest.mark.anyio


async def test_who_says_nothing_has_failed_in_time_and_holds_nobody_up() -> None:
    async def silent() -> Finding:
        await asyncio.Event().wait()
        raise AssertionError

    async def quick() -> Finding:
        return ok("backend", "there", "takes connections")

    findings = await tried([Trial("backend", "here", silent, "start it", 0.01), Trial("backend", "there", quick, "")])

    assert [(each.where, each.verdict) for each in findings] == [("here", Verdict.FAILED), ("there", Verdict.OK)]
    assert findings[0].found == "no answer within 0.01 s"
    assert findings[0].mend == "start it"


async def test_so_many_are_tried_and_the_rest_is_told() -> None:
    running = most = 0

    async def one() -> Finding:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1
        return ok("backend", "", "")

    findings = await tried([Trial("backend", "", one, "")] * (MOST + 3))

    assert most == AT_ONCE
    assert len(findings) == MOST + 1
    assert (findings[-1].verdict, findings[-1].found) == (Verdict.WARNING, "3 more were not tried")
