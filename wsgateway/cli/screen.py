"""What `wsgateway connect` shows: messages as people or as scripts read them, and what happens besides."""

from __future__ import annotations

import json
import sys
from base64 import b64encode
from datetime import UTC, datetime

from rich.highlighter import JSONHighlighter
from rich.text import Text
from websockets.frames import CLOSE_CODE_EXPLANATIONS

from wsgateway.cli.options import Form
from wsgateway.cli.terminal import console, indented, printable

SHOWN_CHARACTERS = 65_536
"""What `pretty` shows of one message."""


class Screen:
    """Shows one conversation. Results go to stdout, all else to stderr."""

    def __init__(self, form: Form) -> None:
        self._form = form
        self._console = console()
        self._highlight = JSONHighlighter()

    def opened(self, url: str, subprotocol: str | None) -> None:
        if self._form is Form.JSON:
            self._event("open", url=url, subprotocol=subprotocol)
            return
        self.note(f"connected to {url}" + (f", subprotocol {subprotocol}" if subprotocol else ""))

    def message(self, data: str | bytes) -> None:
        match self._form:
            case Form.JSON:
                body = {"body": data} if isinstance(data, str) else {"bodyBase64": b64encode(data).decode()}
                size = len(data.encode()) if isinstance(data, str) else len(data)
                self._event("message", bytes=size, **body)
            case Form.RAW:
                self._raw(_text(data))
            case Form.PRETTY:
                self._pretty(_text(data))

    def control(self, kind: str, data: bytes) -> None:
        """A ping or a pong."""
        if self._form is Form.JSON:
            self._event(kind, bodyBase64=b64encode(data).decode())
        else:
            self.note(f"{kind} {data.decode('utf-8', 'replace')}".rstrip())

    def closed(self, code: int | None, reason: str | None) -> None:
        if self._form is Form.JSON:
            self._event("close", code=code, reason=reason)
            return
        meaning = "" if reason else CLOSE_CODE_EXPLANATIONS.get(code or 0, "").removesuffix(" [internal]")
        self.note(f"closed: {code} {reason}" if not meaning else f"closed: {code} ({meaning})")

    def note(self, text: str) -> None:
        """Tell people something, apart from what came."""
        print(printable(text), file=sys.stderr, flush=True)

    def _raw(self, text: str) -> None:
        if sys.stdout.isatty():
            print(printable(text), flush=True)
            return
        sys.stdout.buffer.write(text.encode() + b"\n")
        sys.stdout.flush()

    def _pretty(self, text: str) -> None:
        if len(text) > SHOWN_CHARACTERS:
            more = f"… the first {SHOWN_CHARACTERS} of {len(text)} characters; --output raw shows all"
            self._console.print(Text(f"< {printable(text[:SHOWN_CHARACTERS])}"), Text(more, "dim"), sep="\n")
            return
        lines = indented(text)
        shown = Text(printable(text if lines is None else lines))
        if lines is not None:
            self._highlight.highlight(shown)
        self._console.print(Text("< ", "cyan") + shown)

    def _event(self, event: str, **facts: object) -> None:
        at = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        line = json.dumps({"at": at, "event": event} | facts, ensure_ascii=False)
        sys.stdout.buffer.write(line.encode() + b"\n")
        sys.stdout.flush()


def _text(data: str | bytes) -> str:
    return data if isinstance(data, str) else f"<{len(data)} bytes> {data.hex()}"
