"""What others wrote, shown on a terminal: colours for people who see them, and nothing that drives the terminal."""

from __future__ import annotations

import os
import sys

from rich.console import Console


def printable(text: str) -> str:
    """`text` with control characters spelled out: a terminal obeys them, and a message must not drive it."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in "\n\t" else f"\\x{ord(c):02x}" for c in text)


def one_line(text: str) -> str:
    """`printable`, and on one line."""
    return printable(text).replace("\n", "\\n")


def console() -> Console:
    """Standard output; colours only on a terminal, and never against NO_COLOR (no-color.org)."""
    plain = bool(os.environ.get("NO_COLOR")) or not sys.stdout.isatty()
    return Console(color_system=None if plain else "auto", markup=False, emoji=False, highlight=False, soft_wrap=True)
