"""Calls between nodes are known by their seal."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsgateway.dataplane.seals import Seals

SIGNED = b"ABCDtEFGH1/chat/ABCDAAAAAAAAAAAAAAAAAAAAAAA="


def seals(*secrets: bytes) -> Seals:
    made = Seals()
    for secret in secrets:
        made.use(secret)
    return made


def read(reader: Seals, target: bytes) -> str | None:
    found = reader.read(target.decode("latin-1"), "ABCD")
    return None if found is None else found[0]


def test_what_one_node_seals_another_reads() -> None:
    target = seals(b"secret").target(SIGNED)

    assert target.startswith(b"/@relay/")
    assert target.endswith(SIGNED)
    assert read(seals(b"secret"), target) == SIGNED.decode()


@pytest.mark.parametrize(
    ("sealing", "reading", "right"),
    [
        pytest.param([b"old"], [b"old", b"new"], True, id="the caller has not heard of the new secret"),
        pytest.param([b"old", b"new"], [b"new"], True, id="the present one"),
        pytest.param([b"older"], [b"older", b"old", b"new"], False, id="the one before the one before"),
        pytest.param([b"other"], [b"secret"], False, id="of another installation"),
        pytest.param([b"secret"], [], False, id="no secret is known yet"),
        pytest.param([b"x" * 1024], [b"x" * 1024], True, id="a long one"),
    ],
)
def test_a_secret_counts(sealing: list[bytes], reading: list[bytes], right: bool) -> None:
    assert (read(seals(*reading), seals(*sealing).target(SIGNED)) is not None) is right


def test_an_answer_is_sealed_with_the_secret_of_the_call() -> None:
    caller, owner = seals(b"old"), seals(b"old", b"new")

    found = owner.read(caller.target(SIGNED).decode(), "ABCD")

    assert found is not None
    assert found[1] == caller.answer("ABCD") != owner.answer("ABCD")
    assert caller.answer("ABCD") != caller.answer("ABCE")


def test_a_secret_heard_again_is_no_new_one() -> None:
    once = seals(b"old", b"new")

    assert not once.use(b"new")
    assert not once.use(b"")
    assert read(once, seals(b"old").target(SIGNED)) is not None


@given(st.integers(0, 8 + 33 + len(SIGNED) - 1), st.binary(min_size=1, max_size=1))
def test_no_byte_of_it_can_be_another(place: int, byte: bytes) -> None:
    node = seals(b"secret")
    target = node.target(SIGNED)
    changed = target[:place] + byte + target[place + 1 :]

    # What it begins with is for whoever looks for relayed calls.
    assert changed == target or place < 8 or read(node, changed) is None


@given(st.text(max_size=100))
def test_nothing_else_is_sealed(target: str) -> None:
    assert seals(b"secret").read("/@relay/" + target, "ABCD") is None
