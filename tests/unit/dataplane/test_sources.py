"""What counts as one client, and how many of something it has."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsgateway.dataplane.sources import Sources, is_loopback, source_of


@pytest.mark.parametrize(
    ("address", "source"),
    [
        pytest.param("203.0.113.9", "203.0.113.9", id="IPv4 is itself"),
        pytest.param("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64", id="IPv6 is its /64"),
        pytest.param("2001:db8:1:2::1", "2001:db8:1:2::/64", id="another of the same /64"),
        pytest.param("::ffff:203.0.113.9", "203.0.113.9", id="IPv4 mapped into IPv6 is IPv4"),
        pytest.param("fe80::1%eth0", "fe80::/64", id="a zone is none of it"),
        pytest.param("::1", "::/64", id="loopback is one, too"),
        pytest.param("", "", id="no address"),
        pytest.param("not:an:address", "not:an:address", id="no address at all"),
    ],
)
def test_a_source(address: str, source: str) -> None:
    assert source_of(address) == source


@pytest.mark.parametrize("address", ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"])
def test_loopback(address: str) -> None:
    assert is_loopback(address)


@pytest.mark.parametrize("address", ["", "128.0.0.1", "::2", "::ffff:1.2.3.4", "localhost"])
def test_not_loopback(address: str) -> None:
    assert not is_loopback(address)


@given(st.text())
def test_any_text_counts_as_something(address: str) -> None:
    assert isinstance(source_of(address), str)
    is_loopback(address)


@given(st.lists(st.tuples(st.sampled_from(["a", "b", "c"]), st.booleans())))
def test_only_sources_that_have_some_take_memory(steps: list[tuple[str, bool]]) -> None:
    sources = Sources()
    model: Counter[str] = Counter()
    for source, enters in steps:
        if enters:
            sources.enter(source)
            model[source] += 1
        elif model[source]:
            sources.leave(source)
            model[source] -= 1
        assert sources.count(source) == model[source]
    assert len(sources) == len(+model)
