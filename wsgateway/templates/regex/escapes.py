r"""What stands behind a backslash in a Java regular expression: a character, a set, or the letter of something else."""

from __future__ import annotations

from typing import Final

from wsgateway.templates.regex import characters
from wsgateway.templates.regex.characters import Characters
from wsgateway.templates.regex.cursor import Cursor

_CONTROLS: Final = {"t": 9, "n": 10, "f": 12, "r": 13, "a": 7, "e": 27}
_OCTAL: Final = frozenset("01234567")
_HEX: Final = frozenset("0123456789abcdefABCDEF")


def escape(cursor: Cursor, *, any_case: bool) -> int | Characters | str:
    """The code point, the set, or the letter of what is neither, behind the backslash at the cursor.

    *Raises* PatternError, also for a property that holds one case where `any_case` says that case doesn't matter.
    """
    start = cursor.at
    cursor.at += 1
    letter = cursor.peek()
    if not letter:
        cursor.fail("a backslash stands before what it escapes; write \\\\ for the character", start)
    cursor.at += 1
    if letter in _CONTROLS:
        return _CONTROLS[letter]
    if letter in characters.SHORT:
        return characters.SHORT[letter]
    match letter:
        case "D" | "H" | "S" | "V" | "W":
            return characters.SHORT[letter.lower()].complement()
        case "0":
            return _octal(cursor, start)
        case "x":
            return _hexadecimal(cursor, start)
        case "u":
            return _utf16(cursor, start)
        case "c":
            return _control(cursor, start)
        case "p" | "P":
            found = _property(cursor, start, any_case)
            return found if letter == "p" else found.complement()
        case _:
            if letter in "123456789":
                cursor.fail("a back-reference can't be done in linear time; compare two groups in the template", start)
            return letter if letter.isascii() and letter.isalpha() else ord(letter)


def _octal(cursor: Cursor, start: int) -> int:
    digits = ""
    while cursor.peek() in _OCTAL and int(digits + cursor.peek(), 8) <= 0o377 and len(digits) < 3:
        digits += cursor.peek()
        cursor.at += 1
    if not digits:
        cursor.fail("expected \\0 and an octal number, as in \\011", start)
    return int(digits, 8)


def _hexadecimal(cursor: Cursor, start: int) -> int:
    if not cursor.take("{"):
        return _hex_digits(cursor, 2, "expected \\x and two hexadecimal digits", start)
    digits = cursor.take_while(_HEX)
    if not digits or not cursor.take("}") or int(digits, 16) > characters.LAST:
        cursor.fail("expected \\x{…} with a hexadecimal code point up to 10FFFF", start)
    return _whole(cursor, int(digits, 16), start)


def _hex_digits(cursor: Cursor, count: int, problem: str, start: int) -> int:
    digits = "".join([cursor.peek(ahead) for ahead in range(count)])
    if len(digits) < count or not _HEX.issuperset(digits):
        cursor.fail(problem, start)
    cursor.at += count
    return int(digits, 16)


def _utf16(cursor: Cursor, start: int) -> int:
    problem = "expected \\u and four hexadecimal digits"
    code = _hex_digits(cursor, 4, problem, start)
    if 0xD800 <= code < 0xDC00 and cursor.take("\\u"):
        low = _hex_digits(cursor, 4, problem, start)
        if 0xDC00 <= low < 0xE000:
            return 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00)
    return _whole(cursor, code, start)


def _whole(cursor: Cursor, code: int, start: int) -> int:
    if 0xD800 <= code < 0xE000:
        cursor.fail("half of a surrogate pair is no character", start)
    return code


def _control(cursor: Cursor, start: int) -> int:
    letter = cursor.peek()
    if not letter or not "@" <= letter <= "_":
        cursor.fail("expected \\c and a capital letter, as in \\cI", start)
    cursor.at += 1
    return ord(letter) ^ 64


def _property(cursor: Cursor, start: int, any_case: bool) -> Characters:
    if cursor.take("{"):
        name = cursor.take_until("}")
    else:
        name = cursor.peek()
        cursor.at += len(name)
    if not name:
        cursor.fail("expected a property in braces, as in \\p{L}", start)
    found = characters.named(name)
    if isinstance(found, str):
        cursor.fail(found, start)
    if any_case and characters.is_cased(name):
        cursor.fail("versions of Java differ in what this is under (?i); write \\p{L}, or (?-i:…) around it", start)
    return found
