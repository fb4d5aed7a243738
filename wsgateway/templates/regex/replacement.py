"""What a match is replaced with: `$1` and `${name}` are groups, a backslash escapes.

Source: java.util.regex.Matcher.appendReplacement.
"""

from __future__ import annotations

from wsgateway.templates.regex.cursor import PatternError
from wsgateway.templates.regex.translation import Translation


def parse(replacement: str, translation: Translation) -> list[bytes | int]:
    """The texts and groups that `replacement` joins, for a pattern with the groups of `translation`.

    *Raises* PatternError where Java would throw.
    """
    pieces: list[bytes | int] = []
    position = 0
    while position < len(replacement):
        character = replacement[position]
        position += 1
        if character == "$":
            group, position = _group(replacement, position, translation)
            pieces.append(group)
            continue
        if character == "\\":
            if position == len(replacement):
                raise PatternError("a backslash stands before what it escapes", replacement, position - 1)
            character = replacement[position]
            position += 1
        pieces.append(character.encode("utf-8", "surrogatepass"))
    return pieces


def _group(replacement: str, position: int, translation: Translation) -> tuple[int, int]:
    """The group named behind the dollar sign before `position`, and where the rest begins."""
    if replacement.startswith("{", position):
        name, brace, _ = replacement[position + 1 :].partition("}")
        if not brace or name not in translation.names:
            raise PatternError("no group of the pattern has this name", replacement, position - 1)
        return translation.names[name], position + len(name) + 2
    digits = replacement[position : position + 1]
    if not digits.isdecimal() or not digits.isascii() or int(digits) > translation.groups:
        raise PatternError(
            "$ stands before a group of the pattern; write \\$ for the character", replacement, position - 1
        )
    group = int(digits)
    position += 1
    while (digit := replacement[position : position + 1]).isdecimal() and digit.isascii():
        if group * 10 + int(digit) > translation.groups:
            break
        group = group * 10 + int(digit)
        position += 1
    return group, position
