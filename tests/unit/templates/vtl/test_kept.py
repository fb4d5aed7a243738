"""What is compiled at run time: paid for when it is done, and kept in bounds."""

from __future__ import annotations

import pytest

from wsgateway.templates.vtl.base import Work
from wsgateway.templates.vtl.errors import RenderError
from wsgateway.templates.vtl.kept import Kept


def test_a_short_text_is_compiled_and_paid_for_once() -> None:
    kept = Kept(str.upper, steps=10, most=2, longest=3)
    work = Work(steps=40)

    first = kept("abc", work)

    assert first == "ABC"
    assert kept("abc", work) is first


def test_what_can_not_be_paid_for_is_not_compiled() -> None:
    made: list[str] = []
    kept = Kept[None](made.append, steps=10, most=2, longest=3)

    with pytest.raises(RenderError, match="more steps"):
        kept("abc", Work(steps=30))

    assert made == []


def test_a_long_text_is_not_kept() -> None:
    kept = Kept(str.upper, steps=1, most=2, longest=3)

    assert kept("abcd", Work()) is not kept("abcd", Work())


def test_no_more_are_kept_than_may_be() -> None:
    kept = Kept(str.upper, steps=1, most=2, longest=3)
    first = kept("a1", Work())
    for text in ("b1", "c1"):
        kept(text, Work())

    assert kept("a1", Work()) is not first
