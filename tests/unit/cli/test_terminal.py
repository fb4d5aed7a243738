"""What is shown of text that others wrote."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsgateway.cli.terminal import indented, one_line, printable

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ('{"a":[1,{}, []],"a":1.0e5}', '{\n  "a": [\n    1,\n    {},\n    []\n  ],\n  "a": 1.0e5\n}'),
        ("[]", "[]"),
        (' [ "}\\"{" ] ', '[\n  "}\\"{"\n]'),
        ("[true,null]", "[\n  true,\n  null\n]"),
        ("1", None),
        ('"text"', None),
        ("hello", None),
        ("{a}", None),
        ('{"a":}', None),
        ("[" * 100_000 + "]" * 100_000, None),
        ("[" * 33 + "]" * 33, None),
        ("", None),
    ],
)
def test_indented(text: str, shown: str | None) -> None:
    assert indented(text) == shown


@given(JSON, st.sampled_from([None, 1]), st.booleans())
def test_indenting_changes_blanks_alone(value: Any, indent: int | None, ascii_only: bool) -> None:
    text = json.dumps([value], indent=indent, ensure_ascii=ascii_only)
    shown = indented(text)

    assert shown is not None
    assert json.loads(shown) == [value]
    assert re.sub(r"\s", "", shown) == re.sub(r"\s", "", text)


@given(st.text())
def test_nothing_drives_the_terminal(text: str) -> None:
    assert all(c.isprintable() or c in "\n\t" for c in printable(text))
    assert "\n" not in one_line(text)


def test_controls_are_spelled_out() -> None:
    assert printable("a\x1b[2J\u202eb\n\t") == "a\\x1b[2J\\x202eb\n\t"
