"""Content handling: when a payload is text, when bytes, and when base64 of either becomes the other.

API Gateway developer guide, "Content type conversions in API Gateway" (REST) and "Working with binary media types for
WebSocket APIs". Two tables say what is done, one function does it; conversion comes before templates.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Collection
from enum import Enum
from typing import Final, Literal, TypeAlias

from wsgateway.errors import ApiConfigurationError

Strategy: TypeAlias = Literal["CONVERT_TO_BINARY", "CONVERT_TO_TEXT"] | None
"""`contentHandlingStrategy` of a WebSocket API, `contentHandling` of a REST API; None where it is not set."""


class Conversion(Enum):
    """What is done to a payload."""

    AS_TEXT = "UTF-8; what isn't becomes U+FFFD"
    AS_BYTES = "as it came"
    FROM_BASE64 = "text that is base64 becomes bytes"
    TO_BASE64 = "bytes become text"

    @property
    def binary(self) -> bool:
        """Whether bytes come out of it."""
        return self in (Conversion.AS_BYTES, Conversion.FROM_BASE64)


_AS_TEXT, _AS_BYTES = Conversion.AS_TEXT, Conversion.AS_BYTES
_FROM_BASE64, _TO_BASE64 = Conversion.FROM_BASE64, Conversion.TO_BASE64

REQUEST: Final[dict[tuple[bool, Strategy], Conversion]] = {
    (False, None): _AS_TEXT,
    (False, "CONVERT_TO_BINARY"): _FROM_BASE64,
    (False, "CONVERT_TO_TEXT"): _AS_TEXT,
    (True, None): _AS_BYTES,
    (True, "CONVERT_TO_BINARY"): _AS_BYTES,
    (True, "CONVERT_TO_TEXT"): _TO_BASE64,
}
"""By whether the payload is binary: a binary message, or a request whose Content-Type is among `binaryMediaTypes`."""

RESPONSE: Final[dict[tuple[bool, bool, Strategy], Conversion]] = {
    (False, False, None): _AS_TEXT,
    (False, False, "CONVERT_TO_BINARY"): _FROM_BASE64,
    (False, False, "CONVERT_TO_TEXT"): _AS_TEXT,
    (False, True, None): _FROM_BASE64,
    (False, True, "CONVERT_TO_BINARY"): _FROM_BASE64,
    (False, True, "CONVERT_TO_TEXT"): _AS_TEXT,
    (True, False, None): _TO_BASE64,
    (True, False, "CONVERT_TO_BINARY"): _AS_BYTES,
    (True, False, "CONVERT_TO_TEXT"): _TO_BASE64,
    (True, True, None): _AS_BYTES,
    (True, True, "CONVERT_TO_BINARY"): _AS_BYTES,
    (True, True, "CONVERT_TO_TEXT"): _TO_BASE64,
}
"""By whether the answer's Content-Type is among `binaryMediaTypes`, and whether the first media type the client accepts
is; an API without them has neither.
"""

FRAME: Final[dict[Strategy, Conversion]] = {
    None: _AS_TEXT,
    "CONVERT_TO_BINARY": _FROM_BASE64,
    "CONVERT_TO_TEXT": _TO_BASE64,
}
"""What a backend answered, for a client of a WebSocket API: these know no `binaryMediaTypes`. AWS doesn't say what
CONVERT_TO_BINARY means there; it is taken as for a REST API.
"""


def convert(conversion: Conversion, payload: bytes, what: str) -> bytes:
    """`payload`, converted; `what` names it to operators. *Raises* ApiConfigurationError for what isn't base64."""
    match conversion:
        case Conversion.AS_TEXT if not payload.isascii():
            return payload.decode("utf-8", "replace").encode()
        case Conversion.FROM_BASE64:
            try:
                return b64decode(payload, validate=True)
            except Base64Error as error:
                raise ApiConfigurationError(f"content handling: {what} is not base64: {error}") from error
        case Conversion.TO_BASE64:
            return b64encode(payload)
        case _:
            return payload


def listed(value: str | None, media_types: Collection[str]) -> bool:
    """Whether a Content-Type, or the first media type of an Accept header, is among an API's `binaryMediaTypes`.

    An entry is a media type, `type/*` or `*/*`; `*/*` in the header is only the entry `*/*`.
    """
    if not media_types:
        return False
    if "*/*" in media_types:
        return True
    media = (value or "").partition(",")[0].partition(";")[0].strip().lower()
    kind, slash, _ = media.partition("/")
    known = {entry.lower() for entry in media_types}
    return bool(slash) and kind != "*" and (media in known or f"{kind}/*" in known)
