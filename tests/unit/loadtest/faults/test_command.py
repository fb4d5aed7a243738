"""`python -m loadtest faults`: its bounds, and what it is made of."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pytest

from loadtest.__main__ import main
from loadtest.faults import schedule
from loadtest.faults.backend import DEFINITION
from loadtest.faults.excuses import Terms
from loadtest.faults.report import examples
from loadtest.faults.schedule import Counts
from loadtest.faults.verdict import Promise, Violation
from wsgateway.model.loader import parse


@pytest.mark.parametrize(
    "arguments",
    [["--kills", "-1"], ["--kills", "100000"], ["--nodes", "1"], ["--lease-ttl", "0.5"], ["--clients", "0"]],
)
def test_wrong_usage(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["faults", *arguments])

    assert stopped.value.code == 2


def test_a_folder_that_is_not_empty_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "precious").touch()

    assert main(["faults", "--keep", str(tmp_path)]) == 1
    assert "not empty" in capsys.readouterr().err


def test_the_schedule_has_as_many_of_each_as_was_asked_for_and_repeats_by_its_seed() -> None:
    counts = Counts(kills=4, redis_restarts=5, flushes=3, others=1)

    faults = counts.faults(random.Random(7))

    assert faults == counts.faults(random.Random(7))
    assert faults != counts.faults(random.Random(8))
    named = Counter(fault.__name__ for fault in faults)
    assert named == {
        "kill": 4,
        "restart_with_data": 3,
        "restart_without_data": 2,
        "flush": 3,
        **{fault.__name__: 1 for fault in schedule.OTHERS},
    }


def test_the_definition_is_valid(tmp_path: Path) -> None:
    assert parse(DEFINITION.replace("@port@", "8000"), "routes.yaml", {}, tmp_path).definitions.apis


def test_promised_times_are_those_of_the_default_lease_and_never_longer() -> None:
    usual, long = (Terms(lease_ttl=ttl, drain_window=25, slack=0) for ttl in (15, 60))

    assert (usual.takeover, usual.back, usual.orphaned) == (30, 10, 60)
    assert (long.takeover, long.back, long.orphaned) == (30, 10, 60)


def test_the_first_cases_are_told_and_the_rest_counted() -> None:
    lines = examples([Violation(Promise.ORDER, at, "case") for at in range(5)])

    assert len(lines) == 4
    assert lines[-1] == "ORDER: 2 more"
