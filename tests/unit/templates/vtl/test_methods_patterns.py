"""Methods of strings with regular expressions (Java SE API, java.lang.String and java.util.regex.Pattern)."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsgateway.templates import pattern
from wsgateway.templates.vtl.values import NoMethod, RenderError, Value, Work, call


def called(value: Value, name: str, *arguments: Value) -> Value:
    return call(value, name, list(arguments), Work(clock=lambda: 0.0))


@pytest.mark.parametrize(
    ("value", "name", "arguments", "found"),
    [
        pytest.param("it\\'s", "replaceAll", ["\\\\'", "'"], "it's", id="escapeJavaScript's idiom"),
        pytest.param("a.b.c", "replaceAll", ["\\.", "-"], "a-b-c", id="an escaped dot"),
        pytest.param("a.b", "replaceAll", [".", "-"], "---", id="a dot is any character"),
        pytest.param("2026-11-23", "replaceAll", ["(\\d+)-(\\d+)", "$2/$1"], "11/2026-23", id="groups"),
        pytest.param("ab", "replaceAll", ["a", "$0$0"], "aab", id="the whole match"),
        pytest.param("a", "replaceAll", ["a", "\\$"], "$", id="an escaped dollar"),
        pytest.param("ab", "replaceAll", ["", "-"], "-a-b-", id="the empty pattern"),
        pytest.param("a-b-c", "replaceFirst", ["-", "+"], "a+b-c", id="the first alone"),
        pytest.param("room-12", "matches", ["[a-z]+-\\d+"], True, id="a whole match"),
        pytest.param("room-12!", "matches", ["[a-z]+-\\d+"], False, id="a part is no match"),
        pytest.param("a,b,,c,,", "split", [","], ["a", "b", "", "c"], id="without the empty ones at the end"),
        pytest.param(",a", "split", [","], ["", "a"], id="with the empty one at the beginning"),
        pytest.param("a,b,c", "split", [",", 2], ["a", "b,c"], id="at most two"),
        pytest.param("a,b,,", "split", [",", -1], ["a", "b", "", ""], id="all"),
        pytest.param("a1b22c", "split", ["\\d+"], ["a", "b", "c"], id="at a pattern"),
        pytest.param("a|b", "split", ["\\|"], ["a", "b"], id="at an escaped bar"),
        pytest.param("a|b", "split", ["|"], ["a", "|", "b"], id="at a bar, which is two empty patterns"),
        pytest.param("abc", "split", [""], ["a", "b", "c"], id="at each character"),
        pytest.param("", "split", [","], [""], id="nothing"),
        pytest.param(",,", "split", [","], [], id="separators alone"),
        pytest.param("abc", "split", [","], ["abc"], id="without the separator"),
    ],
)
def test_patterns(value: str, name: str, arguments: list[Value], found: Value) -> None:
    assert called(value, name, *arguments) == found


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("matches", [1]),
        ("replaceAll", ["a", 1]),
        ("replaceAll", [None, "a"]),
        ("split", [",", "2"]),
        ("replaceFirst", ["a"]),
    ],
)
def test_other_arguments(name: str, arguments: list[Value]) -> None:
    with pytest.raises(NoMethod):
        called("a,b", name, *arguments)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        pytest.param("matches", ["("], id="no pattern"),
        pytest.param("split", ["[a"], id="no pattern to split at"),
        pytest.param("replaceAll", ["(?<=a)b", ""], id="what needs more than linear time"),
        pytest.param("replaceFirst", ["(a)\\1", ""], id="a reference back"),
        pytest.param("replaceAll", ["a", "$9"], id="no such group"),
    ],
)
def test_what_can_not_be_run_says_so(name: str, arguments: list[Value]) -> None:
    with pytest.raises(RenderError, match=r"not a regular expression that can be run: .*at character"):
        called("aab", name, *arguments)


def test_what_grows_is_paid_for_before_it_is_made() -> None:
    for name, regex in (("replaceAll", "x"), ("replaceAll", "[x]"), ("replaceFirst", "x+")):
        with pytest.raises(RenderError):
            called("x" * 100_000, name, regex, "$0" * 100_000 if name == "replaceFirst" else "y" * 100_000)


@pytest.mark.parametrize("separator", [",", ",?", ""])
def test_many_parts_are_paid_for(separator: str) -> None:
    with pytest.raises(RenderError):
        called("," * 1_000_000 + "x", "split", separator)


def test_a_long_replacement_is_paid_for_though_nothing_comes_of_it() -> None:
    work = Work(steps=3000, clock=lambda: 0.0)
    for _ in range(2):
        call("a", "replaceAll", ["(c)?a", "$1" * 5000], work)

    with pytest.raises(RenderError, match="more steps"):
        call("a", "replaceFirst", ["(c)?a", "$1" * 5000], work)


def test_what_compiling_a_pattern_takes_is_paid_for() -> None:
    work = Work(steps=3000, clock=lambda: 0.0)
    for number in range(2):
        call("a", "matches", [f"{number}" * 256], work)
        call("a", "matches", [f"{number}" * 256], work)  # kept

    with pytest.raises(RenderError, match="more steps"):
        call("a", "matches", ["x" * 256], work)


def test_a_pattern_that_is_too_long_to_be_made_at_run_time() -> None:
    with pytest.raises(RenderError, match="at most 1024 characters"):
        called("a", "matches", "a" * 1025)


TEXTS = st.text(alphabet="ab,.'\\$é😀")


@given(TEXTS, st.sampled_from([",", "\\.", "a", "\\\\", "ab", "\\'", "é", "😀", "a,", "\\$"]), TEXTS)
def test_plain_texts_are_found_as_patterns_are(value: str, regex: str, new: str) -> None:
    quoted = new.replace("\\", "\\\\").replace("$", "\\$")

    assert called(value, "replaceAll", regex, quoted) == pattern.compile(regex).replace_all(value, quoted)
    assert called(value, "replaceAll", regex, "-") == pattern.compile(regex).replace_all(value, "-")
    assert called(value, "split", regex) == pattern.compile(regex).split(value)


@given(TEXTS, st.text(alphabet="ab.*+?()[]{}|\\^$1,-é"), st.text(alphabet="a$1{}\\"))
def test_any_pattern_gives_a_value_or_is_refused(value: str, regex: str, new: str) -> None:
    for name, arguments in (
        ("matches", [regex]),
        ("replaceAll", [regex, new]),
        ("replaceFirst", [regex, new]),
        ("split", [regex]),
    ):
        with suppress(RenderError):
            called(value, name, *arguments)
