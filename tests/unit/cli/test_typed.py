"""What a line typed at the prompt asks for."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsgateway.cli.typed import Action, Help, Leave, Ping, Send, parse


@pytest.mark.parametrize(
    ("line", "action"),
    [
        pytest.param('{"a": 1}', Send('{"a": 1}'), id="a message"),
        pytest.param(" /x", Send(" /x"), id="a blank before it makes it a message"),
        pytest.param("//x", Send("/x"), id="a message that begins with a slash"),
        pytest.param("/binary AAE=", Send(b"\x00\x01"), id="binary"),
        pytest.param("/binary", Send(b""), id="nothing, binary"),
        pytest.param("/ping", Ping(b""), id="a ping"),
        pytest.param("/ping are you", Ping(b"are you"), id="a ping with text"),
        pytest.param("/close", Leave(1000, ""), id="a close"),
        pytest.param("/close 4001", Leave(4001, ""), id="a close with a code"),
        pytest.param("/close 1000 good night", Leave(1000, "good night"), id="a close with a reason"),
        pytest.param("/help", Help(), id="help"),
        pytest.param("a\ud800b", Send("a?b"), id="half a character"),
    ],
)
def test_an_action(line: str, action: Action) -> None:
    assert parse(line, False) == action


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("/", "there is no /;"),
        ("/Binary AA==", "there is no /Binary;"),
        ("/binary AA", "not base64"),
        ("/binary A A=", "not base64"),
        ("/ping " + "x" * 126, "at most 125 bytes"),
        ("/close 1001", "1000 or 3000 to 4999"),
        ("/close 5000", "1000 or 3000 to 4999"),
        ("/close \uff14\uff10\uff10\uff11", "1000 or 3000 to 4999"),
        ("/close bye", "1000 or 3000 to 4999"),
        ("/close 4000 " + "ü" * 62, "at most 123 bytes"),
    ],
)
def test_a_mistake(line: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        parse(line, False)


def test_binary_mode_reads_base64() -> None:
    assert parse("AAE=", True) == Send(b"\x00\x01")
    assert parse("/ping", True) == Ping(b"")
    with pytest.raises(ValueError, match="not base64"):
        parse("hello", True)


@given(st.text(), st.booleans())
def test_every_line_is_an_action_or_a_mistake(line: str, binary: bool) -> None:
    for text in (line, f"/close {line}", f"/binary {line}", f"/ping {line}"):
        with suppress(ValueError):
            assert isinstance(parse(text, binary), Action)
