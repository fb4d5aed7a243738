"""Java's regular expressions on RE2.

`java_patterns.json` holds what OpenJDK 17 says: pattern, text, replacement, limit, and of these matches(), find(),
replaceAll(), replaceFirst() (null where Java refuses the replacement) and split().
"""

from __future__ import annotations

import json
from itertools import chain, count, repeat
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsgateway.templates import pattern
from wsgateway.templates.expression import ExpressionError
from wsgateway.templates.pattern import PatternError, PatternOverrun

RECORDED: list[list[Any]] = json.loads(Path(__file__).with_name("java_patterns.json").read_text())


def replaced(call: Any, text: str, replacement: str) -> str | None:
    try:
        return str(call(text, replacement))
    except PatternError:
        return None


@pytest.mark.parametrize(
    ("written", "text", "replacement", "limit", "matches", "found", "all_replaced", "first_replaced", "parts"),
    [pytest.param(*row, id=f"{row[0]!a} on {row[1]!a}, {row[2]!a}, {row[3]}") for row in RECORDED],
)
def test_as_java(
    written: str,
    text: str,
    replacement: str,
    limit: int,
    matches: bool,
    found: bool,
    all_replaced: str | None,
    first_replaced: str | None,
    parts: list[str],
) -> None:
    compiled = pattern.compile(written)

    assert compiled.matches(text) is matches
    assert compiled.find(text) is found
    assert replaced(compiled.replace_all, text, replacement) == all_replaced
    assert replaced(compiled.replace_first, text, replacement) == first_replaced
    assert compiled.split(text, limit) == parts


@pytest.mark.parametrize(
    ("written", "position", "problem"),
    [
        pytest.param("a(?=b)", 1, "look-ahead", id="look-ahead"),
        pytest.param("(?!b)", 0, "look-ahead", id="negative look-ahead"),
        pytest.param("(?<=b)a", 0, "look-behind", id="look-behind"),
        pytest.param("(?<!b)a", 0, "look-behind", id="negative look-behind"),
        pytest.param("(?>a)", 0, r"write \(\?:…\)", id="an atomic group"),
        pytest.param("(a)\\1", 3, "compare two groups", id="a back-reference"),
        pytest.param("(?<n>a)\\k<n>", 7, "compare two groups", id="a named back-reference"),
        pytest.param("a*+", 2, r"leave out the \+", id="a possessive star"),
        pytest.param("a{2}+", 4, r"leave out the \+", id="a possessive count"),
        pytest.param("(?m)^a", 2, "split the text into lines", id="MULTILINE"),
        pytest.param("(?iu)é", 2, "both cases", id="UNICODE_CASE"),
        pytest.param("(?x)a b", 2, "without blanks", id="COMMENTS"),
        pytest.param("(?U)\\w", 2, r"\\p\{L\}", id="UNICODE_CHARACTER_CLASS"),
        pytest.param("(?d).", 2, "flag d", id="UNIX_LINES"),
        pytest.param("(?P<n>a)", 0, r"\(\?<name>…\)", id="a named group as Python writes it"),
        pytest.param("(?z)", 0, "flags i and s", id="no such flag"),
        pytest.param("(?<n_1>a)", 3, "ASCII letters and digits", id="a group's name with a low line"),
        pytest.param("(?<n>a)(?<n>b)", 10, "already", id="two groups of one name"),
        pytest.param("(a", 0, "never closed", id="an open group"),
        pytest.param("a)", 1, "closes nothing", id="a group that ends only"),
        pytest.param("(" * 60 + ")" * 60, 51, "nest at most", id="groups nest too deep"),
        pytest.param("*", 0, "nothing before this", id="a star alone"),
        pytest.param("a|+", 2, "nothing before this", id="a plus alone"),
        pytest.param("a**", 2, "one quantifier follows another", id="two stars"),
        pytest.param("^*", 1, "nothing before this", id="a repeated beginning"),
        pytest.param("(a|)*", 4, "can be empty", id="a repeated group that may be empty"),
        pytest.param("(?:a*?b?)*", 9, "can be empty", id="a repeated lazy group that may be empty"),
        pytest.param("\\R+", 2, "write", id="a repeated line break"),
        pytest.param("{", 0, "nothing before this", id="a brace alone"),
        pytest.param("a{,2}", 1, "expected {n}", id="a count without its lower end"),
        pytest.param("a{x}", 1, "expected {n}", id="no count"),
        pytest.param("a{3,2}", 1, "upwards", id="counts in the wrong order"),
        pytest.param("a{1001}", 1, "at most 1000", id="a high count"),
        pytest.param("a{99999999999}", 1, "at most 1000", id="a higher count"),
        pytest.param("(?:a{100}){100}", 0, "too large", id="high counts in each other"),
        pytest.param("\\p{L}{900}", 0, "too large", id="a large program"),
        pytest.param("a$b", 2, "may follow", id="something behind the end"),
        pytest.param("(a$)+", 4, "can't be repeated", id="a repeated end"),
        pytest.param("\\Z\\n", 2, "may follow", id="a line feed behind the end"),
        pytest.param("[a", 0, "never closed", id="an open class"),
        pytest.param("[]", 0, "never closed", id="an empty class"),
        pytest.param("[b-a]", 1, "from one character up", id="a range downwards"),
        pytest.param("[a-\\d]", 1, "from one character up", id="a range up to a set"),
        pytest.param("[\\b]", 1, "not allowed in a character class", id="an assertion in a class"),
        pytest.param("[^a[b]]", 3, "versions of Java differ", id="a class in an inverted one"),
        pytest.param("[^a&&b]", 3, "versions of Java differ", id="an intersection in an inverted class"),
        pytest.param("[a&&[b]c]", 7, "one pair of brackets", id="an intersection with more behind it"),
        pytest.param("[&&a]", 1, "between two sets", id="an intersection without its left"),
        pytest.param("[a&&]", 2, "between two sets", id="an intersection without its right"),
        pytest.param("[a-z&&\\p{Lu}]", 4, "Unicode property", id="an intersection with a property"),
        pytest.param("[a\\P{L}]", 2, r"\(\?:…\|…\)", id="others than a property's, with others"),
        pytest.param("[" * 60 + "a" + "]" * 60, 51, "nest at most", id="classes nest too deep"),
        pytest.param("\\p{javaLowerCase}", 0, r"\\p\{Ll\} comes closest", id="a method of Character"),
        pytest.param("\\p{InGreek}", 0, "range", id="a block"),
        pytest.param("\\p{IsElvish}", 0, "general category", id="no script"),
        pytest.param("\\p{alpha}", 0, "general category", id="another case"),
        pytest.param("\\p{Cn}", 0, "not supported", id="a category RE2 doesn't know"),
        pytest.param("\\p{L", 0, "in braces", id="a property without its brace"),
        pytest.param("(?i)\\p{Lu}", 4, "versions of Java differ", id="upper case where case doesn't matter"),
        pytest.param("\\y", 0, "no \\\\y", id="no such escape"),
        pytest.param("\\G", 0, "\\\\G is not", id="the end of the last match"),
        pytest.param("\\X", 0, "one character", id="a grapheme"),
        pytest.param("\\b{g}", 0, "not supported", id="the boundary of a grapheme"),
        pytest.param("\\E", 0, "no \\\\Q", id="the end of no quotation"),
        pytest.param("a\\", 1, "backslash", id="a backslash at the end"),
        pytest.param("\\x4", 0, "two hexadecimal", id="half a byte"),
        pytest.param("\\x{110000}", 0, "10FFFF", id="beyond Unicode"),
        pytest.param("\\u12", 0, "four hexadecimal", id="half a UTF-16 unit"),
        pytest.param("\\ud83d", 0, "surrogate", id="half a surrogate pair"),
        pytest.param("\\08", 0, "octal", id="no octal number"),
        pytest.param("\\cj", 0, "capital", id="a control character in lower case"),
        pytest.param("a" * 5000, 40, "at most 4096", id="a long pattern"),
    ],
)
def test_refusals_name_the_place_and_what_to_write(written: str, position: int, problem: str) -> None:
    with pytest.raises(PatternError, match=problem) as caught:
        pattern.compile(written)

    assert isinstance(caught.value, ExpressionError)
    assert caught.value.position == position


def test_an_empty_match_splits_no_character() -> None:
    """Java's would split a surrogate pair; RE2 by itself the bytes of any character."""
    assert pattern.compile("").replace_all("é😀", "-") == "-é-😀-"
    assert pattern.compile("\\B").replace_all("é😀", "-") == "-é-😀-"
    assert pattern.compile("").split("é😀") == ["é", "😀"]
    assert pattern.compile("").find("")


def test_half_a_surrogate_pair_is_a_character() -> None:
    assert pattern.compile(".").replace_all("\ud800a", "$0$0") == "\ud800\ud800aa"


def test_what_is_made_is_told_before() -> None:
    told: list[int] = []

    pattern.compile("a").replace_all("banana", "123", told.append)
    pattern.compile(",").split("a,bc", 0, told.append)

    assert told == [5, 5, 5, 0, 2, 3]


def test_whoever_is_told_may_end_the_work() -> None:
    class Enough(Exception):
        pass

    def refuse(_: int) -> None:
        raise Enough

    with pytest.raises(Enough):
        pattern.compile("a").replace_all("a" * 100_000, "$0$0", refuse)
    with pytest.raises(Enough):
        pattern.compile("a").split("a" * 100_000, 0, refuse)


def test_matches_that_each_look_through_the_whole_text_are_ended() -> None:
    with pytest.raises(PatternOverrun, match="take too long"):
        pattern.compile("a.*b|a").replace_all("a" * 1_000_000, "x")


def test_one_pause_of_our_own_is_not_the_patterns(monkeypatch: pytest.MonkeyPatch) -> None:
    """As when Python collects its garbage in between."""
    one_pause, many = chain([0.0], repeat(9.0)), count(0.0, 9.0)

    monkeypatch.setattr(pattern.time, "thread_time", lambda: next(one_pause))
    assert pattern.compile("a").replace_all("aaaa", "x") == "xxxx"

    monkeypatch.setattr(pattern.time, "thread_time", lambda: next(many))
    with pytest.raises(PatternOverrun):
        pattern.compile("a").replace_all("aaaa", "x")


def test_a_pattern_that_doubles_with_each_character_elsewhere_is_linear_here() -> None:
    assert not pattern.compile("^(a+)+$").matches("a" * 100_000 + "!")


def test_patterns_made_at_run_time_are_bounded_more_tightly() -> None:
    pattern.compile("\\p{L}{3}")
    with pytest.raises(PatternError, match="too large"):
        pattern.at_run_time("\\p{L}{3}")
    pattern.compile("a" * 1025)
    with pytest.raises(PatternError, match="at most 1024 characters"):
        pattern.at_run_time("a" * 1025)


def test_a_class_of_many_characters() -> None:
    every_second = "".join(chr(code) for code in range(0x4E00, 0x4E00 + 4000, 2))

    compiled = pattern.compile(f"[{every_second}]+")

    assert compiled.matches(every_second)
    assert not compiled.matches("\u4e01")


def test_equality() -> None:
    assert pattern.compile("a") == pattern.compile("a")
    assert len({pattern.compile("a"), pattern.compile("a"), pattern.compile("b")}) == 2
    assert repr(pattern.compile("a\\d")) == "Pattern('a\\\\d')"


PIECES_WRITTEN = r"""
a b é 😀 . ^ $ | ( ) (?: (?i) (?<n> (?= [ ] [^ - && * + ? {2} {1,} { } \d \W \p{L} \P{Lu} \R \b \Z \Q \E \x41 \u0041 \
\1 \0 [a-z&&[^b]] ?? *? 0 # / '
"""
PIECES = st.sampled_from([" ", "\n", *PIECES_WRITTEN.split()])
TEXTS = st.text(st.sampled_from(["a", "b", "é", "😀", "\n", "\r", "\u2028", "1", " ", "$", "\\"]), max_size=12)


@given(st.text() | st.lists(PIECES).map("".join), TEXTS, TEXTS)
def test_any_text_is_a_pattern_or_a_pattern_error(written: str, text: str, replacement: str) -> None:
    try:
        compiled = pattern.at_run_time(written)
    except PatternError as error:
        assert 0 <= error.position <= len(error.expression)  # noqa: PT017 -- a pattern is fine too
        return
    if compiled.matches(text):
        assert compiled.find(text)
    assert "".join(compiled.split(text, -1)) in text or compiled.find(text)
    replaced(compiled.replace_all, text, replacement)
    assert replaced(compiled.replace_all, text, "$0") == text
