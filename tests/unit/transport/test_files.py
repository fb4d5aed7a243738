"""Open files add up, however few there are."""

from __future__ import annotations

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsgateway.errors import StartError
from wsgateway.transport.files import share_out


@given(st.integers(64, 1 << 21), st.none() | st.integers(1, 1 << 21))
def test_the_shares_are_within_the_limit_and_leave_a_reserve(limit: int, wanted: int | None) -> None:
    try:
        files = share_out(limit, wanted)
    except StartError:
        assert wanted is not None
        return

    assert 0 < files.clients < files.connections
    assert wanted in (None, files.clients)
    assert files.connections - files.clients >= min(64, limit // 4)
    reserve = limit - files.connections
    assert reserve >= min(6144, limit // 4)
    assert 0 < files.backlog < reserve


@pytest.mark.parametrize(
    ("limit", "clients", "connections"),
    [
        pytest.param(400, 236, 300, id="few"),
        pytest.param(1024, 704, 768, id="a usual soft limit"),
        pytest.param(65_536, 57_344, 59_392, id="a container"),
        pytest.param(1 << 20, 1_000_000, 1_042_432, id="a server"),
        pytest.param(sys.maxsize, 1_000_000, 1_050_000, id="no limit"),
    ],
)
def test_clients_get_most(limit: int, clients: int, connections: int) -> None:
    files = share_out(limit, None)

    assert (files.clients, files.connections) == (clients, connections)


def test_more_than_there_are_is_refused_with_what_there_are() -> None:
    with pytest.raises(StartError, match=r"--max-connections 237 needs 401 open files and the limit is 400; .* 236"):
        share_out(400, 237)
