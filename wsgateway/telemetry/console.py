"""The log for whoever reads it on a terminal: structlog's columns in place of JSON."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TextIO

from structlog.dev import Column, ConsoleRenderer, KeyValueColumnFormatter, LogLevelColumnFormatter
from structlog.typing import Processor

EVENT_WIDTH = 24


def renderer_for(stream: TextIO, environ: Mapping[str, str]) -> Processor | None:
    """What makes lines for a terminal, without colours for `NO_COLOR` (no-color.org); None where `stream` is none."""
    if not stream.isatty():
        return None
    return renderer(colors=not environ.get("NO_COLOR") and environ.get("TERM") != "dumb")


def renderer(*, colors: bool) -> ConsoleRenderer:
    """Time, level, event and facts, in their order."""
    style = ConsoleRenderer.get_default_column_styles(colors)
    styles = ConsoleRenderer.get_default_level_styles(colors)
    levels = {name: styles[name.lower()] for name in ("INFO", "WARNING", "ERROR")}
    columns = [
        Column("timestamp", KeyValueColumnFormatter(None, style.timestamp, style.reset, _clock)),
        Column("level", LogLevelColumnFormatter(levels, style.reset)),
        Column("event", KeyValueColumnFormatter(None, style.bright, style.reset, _shown, width=EVENT_WIDTH)),
        Column("", KeyValueColumnFormatter(style.kv_key, style.kv_value, style.reset, _shown)),
    ]
    return ConsoleRenderer(columns=columns, sort_keys=False)


def _clock(timestamp: object) -> str:
    """The time of day, where the terminal is."""
    return f"{datetime.fromisoformat(str(timestamp)).astimezone():%H:%M:%S}"


def _shown(value: object) -> str:
    """A value as it is, but for texts that would do something to the terminal."""
    text = str(value)
    return text if text.isprintable() else repr(text)
