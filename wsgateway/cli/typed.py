"""What a line typed at the prompt of `wsgateway connect` asks for."""

from __future__ import annotations

from base64 import b64decode
from dataclasses import dataclass

HELP = """\
A line is a message. A line that begins with / is a command:
  /binary BASE64          send a binary message
  /ping [TEXT]            send a ping and wait for its pong
  /close [CODE [REASON]]  close with this code (1000, 3000 to 4999)
  /help                   this
//… sends a message that begins with /. Ctrl-D or Ctrl-C on an empty line closes. A line that begins with a blank is not
kept in the history."""


@dataclass(frozen=True, slots=True)
class Send:
    data: str | bytes


@dataclass(frozen=True, slots=True)
class Ping:
    data: bytes


@dataclass(frozen=True, slots=True)
class Leave:
    code: int = 1000
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Help:
    pass


Action = Send | Ping | Leave | Help


def parse(line: str, binary: bool) -> Action:
    """What a line asks for; where `binary`, one that is no command is base64. *Raises* ValueError with what's wrong."""
    if line.startswith("//"):
        return message_of(line[1:], binary)
    if not line.startswith("/"):
        return message_of(line, binary)
    command, _, rest = line.partition(" ")
    match command:
        case "/binary":
            return message_of(rest, True)
        case "/ping":
            data = rest.encode("utf-8", "replace")
            if len(data) > 125:  # RFC 6455 §5.5
                raise ValueError("a ping carries at most 125 bytes")
            return Ping(data)
        case "/close":
            return _leave(rest)
        case "/help":
            return Help()
    raise ValueError(f"there is no {command}; /help lists commands, and //… sends a message that begins with /")


def message_of(text: str, binary: bool) -> Send:
    """A text message, or a binary one from base64. *Raises* ValueError with what's wrong."""
    if not binary:
        return Send(text.encode("utf-8", "replace").decode())
    try:
        return Send(b64decode(text.strip(), validate=True))
    except ValueError as error:
        raise ValueError(f"not base64: {error}") from error


def _leave(text: str) -> Leave:
    number, _, reason = text.strip().partition(" ")
    if not number:
        return Leave()
    code = int(number) if number.isascii() and number.isdigit() and len(number) == 4 else 0
    # RFC 6455 §7.4: what an application may send.
    if code != 1000 and not 3000 <= code <= 4999:
        raise ValueError("a close code is 1000 or 3000 to 4999")
    if len(reason.encode("utf-8", "replace")) > 123:
        raise ValueError("a close reason has at most 123 bytes")
    return Leave(code, reason.encode("utf-8", "replace").decode())
