"""Names of headers as REST APIs' mappings find them (developer guide, "Choose an endpoint type")."""

from __future__ import annotations

import pytest

from wsgateway.dataplane.rest_client import Heads, capitalized


@pytest.mark.parametrize(
    ("sent", "found"),
    [
        (b"authorization", b"Authorization"),
        (b"AUTHORIZATION", b"Authorization"),
        (b"user-agent", b"User-Agent"),
    ],
)
def test_two_names_are_found_however_they_are_written(sent: bytes, found: bytes) -> None:
    head = Heads().of(((sent, b"1"), (b"x-other", b"2")))

    assert head.respelled == ((found, b"1"), (b"x-other", b"2"))


def test_nothing_is_written_anew_where_they_are_right() -> None:
    assert Heads().of(((b"Authorization", b"1"), (b"user", b"2"))).respelled is None


@pytest.mark.parametrize(
    ("sent", "found"),
    [(b"x-tenant-id", b"X-Tenant-Id"), (b"X-API-Key", b"X-Api-Key"), (b"ETag", b"Etag"), (b"a--b-", b"A--B-")],
)
def test_an_edge_apis_names_are_capitalized(sent: bytes, found: bytes) -> None:
    assert capitalized(((sent, b"V-v"),)) == ((found, b"V-v"),)
