"""What others wrote, shown on a terminal: colours for people who see them, and nothing that drives the terminal."""

from __future__ import annotations

import json
import os
import re
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

DEEPEST = 32
"""Levels that are indented; what is nested deeper would be blanks more than all else."""

_tokens = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+').findall


def printable(text: str) -> str:
    """`text` with control characters spelled out: a terminal obeys them, and a message must not drive it."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in "\n\t" else f"\\x{ord(c):02x}" for c in text)


def one_line(text: str) -> str:
    """`printable`, and on one line."""
    return printable(text).replace("\n", "\\n")


def indented(text: str) -> str | None:
    """A JSON object or array over several lines, every token as it came; None for all else, and what is very deep.

    What a parser would make equal stays different: numbers keep their digits, keys that come twice come twice.
    """
    if text.lstrip()[:1] not in ("{", "["):
        return None
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return None
    parts: list[str] = []
    depth = 0
    last = ""
    for piece in _tokens(text):
        if piece in "}]":
            depth -= 1
            if last not in "{[":
                parts.append("\n" + "  " * depth)
        elif last and last in "{[,":
            parts.append("\n" + "  " * depth)
        parts.append(": " if piece == ":" else piece)
        if piece in "{[":
            depth += 1
            if depth > DEEPEST:
                return None
        last = piece
    return "".join(parts)


def console() -> Console:
    """Standard output; colours only on a terminal, and never against NO_COLOR (no-color.org)."""
    from rich.console import Console  # the gateway itself starts without it

    plain = bool(os.environ.get("NO_COLOR")) or not sys.stdout.isatty()
    return Console(color_system=None if plain else "auto", markup=False, emoji=False, highlight=False, soft_wrap=True)
