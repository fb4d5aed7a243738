"""What /proc says about processes."""

import pytest

from loadtest.procfs import Stat, descendants, parse_rss, parse_stat

AFTER_NAME = "S 41 42 42 0 -1 4194560 9000 0 3 0 250 75 0 0 20 0 1 0 5000 20000000 3000 18446744073709551615"


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("python", id="a plain name"),
        pytest.param("a b", id="a name with a space"),
        pytest.param("odd) S 1 (name", id="a name that looks like fields"),
    ],
)
def test_stat(name: str) -> None:
    assert parse_stat(f"42 ({name}) {AFTER_NAME}\n") == Stat(pid=42, parent=41, cpu_ticks=325)


def test_rss_is_in_bytes() -> None:
    assert parse_rss("Name:\tpython\nVmPeak:\t  9000 kB\nVmRSS:\t  2048 kB\nThreads:\t1\n") == 2048 * 1024


def test_an_ended_process_has_no_rss() -> None:
    assert parse_rss("Name:\tpython\nState:\tZ (zombie)\n") == 0


def test_descendants_are_found_in_any_order_and_others_are_not() -> None:
    stats = [Stat(30, 20, 0), Stat(10, 1, 0), Stat(20, 10, 0), Stat(21, 10, 0), Stat(99, 1, 0)]

    assert descendants(10, stats) == [10, 20, 21, 30]
