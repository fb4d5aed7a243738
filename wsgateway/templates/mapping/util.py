"""`$util`: escaping, encoding and parsing as Java does them.

API Gateway developer guide, "API Gateway mapping template and access logging variable reference". What is no string is
taken as what it prints; null gives null, but `escapeJavaScript` makes `null` of it.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Callable
from typing import Final, cast
from urllib.parse import quote_plus, unquote_plus

from wsgateway.templates.document import MISSING, decode
from wsgateway.templates.vtl.values import NoMethod, Tool, Value, Work, text

_CHUNK: Final = 4096
_SPECIAL: Final = re.compile(r"[^\x00-\x7f]+|[\x00-\x1f]")
_SHORT: Final = {"\b": "\\b", "\n": "\\n", "\t": "\\t", "\f": "\\f", "\r": "\\r"}
_NOT_ENCODED: Final = re.compile(r"%(?![0-9a-fA-F]{2})")
_BLANKS: Final = re.compile(r"[ \t\r\n]+")
_URL_SAFE: Final = str.maketrans("-_", "+/")


class Util(Tool):
    """`$util`."""

    __slots__ = ()

    def call(self, name: str, arguments: list[Value], work: Work) -> Value:
        function = UTIL_METHODS.get(name)
        if function is None or len(arguments) != 1:
            raise NoMethod(name)
        argument = arguments[0]
        if argument is None:
            return "null" if name == "escapeJavaScript" else None
        written = text(argument, work)
        work.characters(len(written))
        return function(written, work)


def escape_java_script(value: str, work: Work) -> str:
    """`value` within a JavaScript string: Apache Commons Lang's `escapeJavaScript`.

    `'` becomes `\\'` and `/` becomes `\\/`; what isn't ASCII is `\\uXXXX`, in capitals, per UTF-16 unit. `\\'` is not
    JSON, hence the idiom `.replaceAll("\\\\'", "'")`.
    """
    return _in_chunks(_escaped, value, work)


def url_encode(value: str, work: Work) -> str:
    """Java's `URLEncoder.encode`: form style, a blank is `+`; letters, digits and `.-*_` stay."""
    return _in_chunks(lambda chunk: quote_plus(chunk, safe="*").replace("~", "%7E"), value, work)


def url_decode(value: str, work: Work) -> str:
    """Java's `URLDecoder.decode`; bytes that aren't UTF-8 are U+FFFD. Raises NoMethod for `%` without two digits."""
    if _NOT_ENCODED.search(value) is not None:
        raise NoMethod("not URL-encoded")
    return unquote_plus(value)


def base64_encode(value: str, work: Work) -> str:
    """The UTF-8 of `value` in base64, on one line."""
    work.characters(2 * len(value))
    return b64encode(value.encode()).decode()


def base64_decode(value: str, work: Work) -> str:
    """The text whose UTF-8 `value` is the base64 of; bytes that aren't UTF-8 are U+FFFD.

    Missing padding, line ends and the URL-safe alphabet are taken. Raises NoMethod for anything else.
    """
    bare = _BLANKS.sub("", value).translate(_URL_SAFE).rstrip("=")
    try:
        return b64decode(bare + "=" * (-len(bare) % 4), validate=True).decode("utf-8", "replace")
    except (Base64Error, ValueError):
        raise NoMethod("not base64") from None


def parse_json(value: str, work: Work) -> Value:
    """The document in `value`. Raises NoMethod where that is not JSON."""
    found = decode(value.encode())
    if found is MISSING:
        raise NoMethod("not JSON")
    return cast("Value", found)


def _in_chunks(change: Callable[[str], str], value: str, work: Work) -> str:
    """`change` of each part of `value`, none of which is made before the one before it was accounted for."""
    if len(value) <= _CHUNK:
        return change(value)
    parts: list[str] = []
    for start in range(0, len(value), _CHUNK):
        parts.append(change(value[start : start + _CHUNK]))
        work.characters(len(parts[-1]))
    return "".join(parts)


def _escaped(value: str) -> str:
    value = value.replace("\\", "\\\\").replace('"', '\\"').replace("'", "\\'").replace("/", "\\/")
    if value.isascii() and value.isprintable():
        return value
    return _SPECIAL.sub(_escape, value)


def _escape(special: re.Match[str]) -> str:
    found = special[0]
    if found in _SHORT:
        return _SHORT[found]
    return "\\u" + found.encode("utf-16-be").hex("_", 2).upper().replace("_", "\\u")


UTIL_METHODS: Final[dict[str, Callable[[str, Work], Value]]] = {
    "base64Decode": base64_decode,
    "base64Encode": base64_encode,
    "escapeJavaScript": escape_java_script,
    "parseJson": parse_json,
    "urlDecode": url_decode,
    "urlEncode": url_encode,
}

UTIL: Final = Util()
"""The one there is: it keeps nothing."""
