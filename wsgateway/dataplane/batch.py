"""Pushes to connections of one node that came in the same turn of the loop travel in one request.

That costs a push a third of what a request of its own does. Each keeps its own number, so that it is done once though
it be sent again, alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from wsgateway.dataplane.answers import DONE, FULL, GONE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wsgateway.messages import HttpResponse

LARGEST = 16_384
"""Bytes of a push that travels with others; a larger one has a request of its own."""
MOST = 64
"""Pushes of one request."""
MAX_BODY = MOST * (LARGEST + 256)

Push = tuple[str, str, str, bytes]
"""The call (`{owner}{verb}{caller}{number}`), apiId, connection id and body."""

pack = msgspec.msgpack.Encoder().encode
_unpack_pushes = msgspec.msgpack.Decoder(list[Push]).decode
_unpack_statuses = msgspec.msgpack.Decoder(list[int]).decode
_ANSWERS = {answer.status: answer for answer in (DONE, GONE, FULL)}


def pushes(body: bytes) -> list[Push] | None:
    """What a body holds; None where that is nothing of ours."""
    try:
        return _unpack_pushes(body)
    except (msgspec.DecodeError, RecursionError):
        return None


def answers(body: bytes, number: int) -> Sequence[HttpResponse] | None:
    """The answers to so many pushes; an empty body says that all are done. None where that is nothing of ours."""
    if not body:
        return (DONE,) * number
    try:
        found = [_ANSWERS[status] for status in _unpack_statuses(body)]
    except (msgspec.DecodeError, RecursionError, KeyError):
        return None
    return found if len(found) == number else None
