"""A broken promise."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Promise(Enum):
    """What is promised, in the words of the table."""

    HANDED_OVER = "200 is handed over: lost only with the connection or its node"
    NO_FALSE_GONE = "410 only for a connection that is closed"
    PROMPT = "doubt (503) ends in time, is said within 3 s, and has a cause"
    ADDRESSABLE = "addressable from the 101 on, and not before"
    ORDER = "pushes after one another arrive in order"
    ONCE = "no push arrives twice"
    RIGHT_SOCKET = "no payload arrives elsewhere"
    NOT_IN_SILENCE = "each message ends in a call, an error frame or the close"
    ONE_CALL = "at most one call a message, one $connect a handshake"
    CONNECT_FIRST = "no 101 without $connect's yes; no $disconnect without it"
    DISCONNECT = "a $disconnect for each yes, one where nothing fails, one requestId"
    DISCONNECT_IN_TIME = "$disconnect in time"
    DRAIN = "a node told to leave breaks nothing: 1001, never 1006, exit 0"
    NOTHING_LEFT = "nothing of nodes that ended, or of refused handshakes, stays in Redis"
    STAYS = "connections stay, and handshakes succeed, whatever else breaks"


@dataclass(frozen=True, slots=True)
class Violation:
    """One case, and when."""

    promise: Promise
    at: float
    what: str
