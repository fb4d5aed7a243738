"""Connection ids: opaque, URL-safe, and wrong ones are known without a look-up."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsgateway.dataplane import identity
from wsgateway.dataplane.identity import ConnectionIds, new_slot, slot_of

IDS = ConnectionIds(b"\x01\x02\x03")
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def test_an_id_is_28_url_safe_characters_with_padding() -> None:
    for _ in range(200):
        made = IDS.new("chat")

        assert re.fullmatch(r"[A-Za-z0-9_-]{26}==", made)
        assert IDS.valid(made, "chat")


@given(st.binary(min_size=3, max_size=3))
def test_an_id_tells_the_slot_of_its_node(slot: bytes) -> None:
    assert slot_of(ConnectionIds(slot).new("chat")) == slot


def test_ids_differ() -> None:
    assert len({IDS.new("chat") for _ in range(1000)}) == 1000


def test_another_node_of_the_installation_knows_the_id() -> None:
    """The check key is the same everywhere; a restart changes the slot, not the key."""
    assert ConnectionIds(b"\xff\xff\xff").valid(IDS.new("chat"), "chat")


def test_an_id_of_another_api_is_invalid() -> None:
    assert not IDS.valid(IDS.new("chat"), "game")


def test_an_id_under_another_key_is_invalid() -> None:
    assert not IDS.valid(ConnectionIds(b"\x01\x02\x03", b"another key").new("chat"), "chat")


def test_an_id_with_any_character_changed_is_invalid() -> None:
    made = IDS.new("chat")
    for position in range(25):
        other = ALPHABET[(ALPHABET.index(made[position]) + 1) % len(ALPHABET)]

        assert not IDS.valid(made[:position] + other + made[position + 1 :], "chat")


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda made: "", id="empty"),
        pytest.param(lambda made: made[:-1], id="one padding character lost"),
        pytest.param(lambda made: made.rstrip("="), id="padding lost"),
        pytest.param(lambda made: made + "=", id="padding too many"),
        pytest.param(lambda made: made + "\n", id="a line break behind"),
        pytest.param(lambda made: " " + made, id="a blank before"),
        pytest.param(lambda made: made[:25] + "B==", id="spare bits set"),
        pytest.param(lambda made: made.replace("=", "%3D"), id="still percent-encoded"),
        pytest.param(lambda made: "é" + made[1:], id="beyond ASCII"),
        pytest.param(lambda made: "٣" + made[1:], id="a digit beyond ASCII"),
        pytest.param(lambda made: "\ud800" + made[1:], id="half a surrogate pair"),
    ],
)
def test_is_invalid(change: object) -> None:
    assert callable(change)
    assert not IDS.valid(change(IDS.new("chat")), "chat")


@given(st.text(), st.text())
def test_no_text_makes_the_check_raise(text: str, api_id: str) -> None:
    IDS.valid(text, api_id.encode("utf-8", "replace").decode())


@given(st.from_regex(r"\A[A-Za-z0-9_-]{25}[AQgw]==\Z"))
def test_a_well_formed_guess_is_not_an_id(guess: str) -> None:
    """One in 2³² passes the check; none of these does."""
    assert not IDS.valid(guess, "chat")


def test_a_slot_has_three_bytes() -> None:
    with pytest.raises(ValueError, match="3 bytes"):
        ConnectionIds(b"\x01")


def test_no_id_begins_like_an_option(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = iter([b"\xf8\0\0", b"\xfb\xff\xff", b"\xfc\0\0"])
    monkeypatch.setattr(identity, "random_bytes", lambda size: next(drawn))

    assert new_slot() == b"\xfc\0\0"
    monkeypatch.undo()
    assert ConnectionIds(b"\xfc\0\0").new("chat").startswith("_")
