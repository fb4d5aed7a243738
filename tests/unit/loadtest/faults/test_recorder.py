"""What the recorder writes down of itself."""

from __future__ import annotations

import pytest

from loadtest.faults.history import Broke, Mended
from loadtest.faults.recorder import STANDSTILL, Recorder


def test_a_standstill_of_its_own_is_a_fault() -> None:
    recorder = Recorder()

    recorder.late(2.5)

    broke, mended = recorder.history.events
    assert isinstance(broke, Broke)
    assert isinstance(mended, Mended)
    assert (broke.kind, broke.fault) == ("standstill", mended.fault)
    assert mended.at - broke.at == pytest.approx(2.5)


def test_what_no_node_can_notice_is_none() -> None:
    recorder = Recorder()

    recorder.late(STANDSTILL / 2)

    assert not recorder.history.events
    assert recorder.lag == STANDSTILL / 2
