"""Verdicts about ports: free, taken by a gateway, taken by something else."""

from __future__ import annotations

import pytest

from wsgateway.doctor.base import Verdict
from wsgateway.doctor.ports import Port, Running, verdicts

OK, WARNING, FAILED = Verdict.OK, Verdict.WARNING, Verdict.FAILED
FREE = [Port("public", "::1", 8080), Port("internal", "127.0.0.1", 9090)]
TAKEN = [Port("public", "::1", 8080, "taken"), Port("internal", "127.0.0.1", 9090, "taken")]


@pytest.mark.parametrize(
    ("tried", "running", "found"),
    [
        pytest.param(FREE, None, [OK, OK], id="free"),
        pytest.param(TAKEN, None, [FAILED, FAILED], id="taken by a stranger"),
        pytest.param(TAKEN, Running("1.0"), [OK, OK, OK], id="taken by a gateway"),
        pytest.param(TAKEN, Running("1.0", "draining"), [OK, OK, FAILED], id="by one that is not ready"),
        pytest.param(TAKEN, Running("1.0", "", ("definition: old",)), [OK, OK, OK, WARNING], id="with a remark"),
        pytest.param([TAKEN[0], FREE[1]], None, [FAILED, OK], id="the public one alone"),
    ],
)
def test_ports(tried: list[Port], running: Running | None, found: list[Verdict]) -> None:
    assert [finding.verdict for finding in verdicts(tried, running)] == found


def test_an_address_is_written_as_in_a_url() -> None:
    assert [finding.where for finding in verdicts(FREE, None)] == ["[::1]:8080", "127.0.0.1:9090"]
