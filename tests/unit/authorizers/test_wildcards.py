"""IAM user guide, "IAM JSON policy elements: Resource": `*` and `?`."""

from __future__ import annotations

import fnmatch

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from wsgateway.authorizers.wildcards import Glob, Part, Wild, any_of, parts_of


def matches(pattern: list[Part], text: str) -> bool:
    """As the guide has it, place by place: which beginnings of `text` are as the pattern so far."""
    reached = {0}
    for part in pattern:
        if part is Wild.MANY:
            reached = set(range(min(reached), len(text) + 1)) if reached else set()
        elif part is Wild.ONE:
            reached = {at + 1 for at in reached if at < len(text)}
        else:
            assert isinstance(part, str)
            reached = {at + len(part) for at in reached if text.startswith(part, at)}
    return len(text) in reached


_parts = st.lists(st.sampled_from([*Wild]) | st.text("ab", min_size=1, max_size=3), max_size=8)


@given(_parts, st.text("ab", max_size=14))
@example([], "")
@example([Wild.MANY, Wild.MANY], "")
@example(["ab", Wild.MANY, "b"], "ab")
@example([Wild.MANY, "a", Wild.ONE, "a", Wild.MANY, "b", Wild.ONE], "aabbab")
def test_a_glob_matches_as_the_guide_says(pattern: list[Part], text: str) -> None:
    assert Glob(pattern).matches(text) is matches(pattern, text)


@given(st.text("ab*?", max_size=8), st.text("ab", max_size=12))
def test_wildcards_match_as_in_a_shell(pattern: str, text: str) -> None:
    assert any_of([pattern])(text) is fnmatch.fnmatchcase(text, pattern)
    assert any_of(["c", pattern])(text) is fnmatch.fnmatchcase(text, pattern)


@given(st.text(max_size=20), st.integers(0, 20), st.integers(0, 20))
def test_any_text_is_as_itself_with_a_wildcard_for_some_of_it(text: str, start: int, size: int) -> None:
    start = min(start, len(text))
    head, rest = text[:start], text[start + size :]

    assert Glob([head, Wild.MANY, rest]).matches(text)
    assert Glob([head, *[Wild.ONE] * len(text[start : start + size]), rest]).matches(text)
    assert not Glob([text, Wild.ONE]).matches(text)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", []),
        ("abc", ["abc"]),
        ("*", [Wild.MANY]),
        ("a*b?", ["a", Wild.MANY, "b", Wild.ONE]),
        ("**a", [Wild.MANY, Wild.MANY, "a"]),
    ],
)
def test_what_a_text_is_as_a_pattern(text: str, parts: list[Part]) -> None:
    assert parts_of(text) == parts


@pytest.mark.parametrize("piece", ["*a", "*?a", "*a?a", "*a*?"])
def test_what_nearly_fits_often_takes_no_time(piece: str) -> None:
    assert not any_of([piece * 2_000 + "b"])("a" * 20_000)
    assert not any_of(["*" + "a?" * 5_000 + "b*"])("a" * 20_000)
