"""Pages that may connect: a browser sends the user's cookies along whatever page opens a WebSocket, so the page counts.

RFC 6455 §10.2; RFC 6454 §6.2 and §7 (the Origin header). Programs that are no browser send none, or any they like: this
is no authorization.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from wsgateway.errors import AccessDenied
from wsgateway.messages import HttpRequest

_USUAL = (("http://", ":80"), ("https://", ":443"))


def compile_origins(allowed: Iterable[str]) -> Callable[[HttpRequest], None]:
    """A check that *raises* AccessDenied for a handshake from a page whose origin is not one of `allowed`."""
    known = frozenset(_normal(origin) for origin in allowed)

    def check(request: HttpRequest) -> None:
        found = [value for name, value in request.headers if name.lower() == b"origin"]
        if not found:
            return  # no browser
        if len(found) > 1 or _normal(found[0].decode("latin-1")) not in known:
            shown = ", ".join(value.decode("latin-1") for value in found)[:200]
            raise AccessDenied(f"origin {shown!r} is none of the stage's allowedOrigins")

    return check


def _normal(origin: str) -> str:
    """Host in lower case, without the scheme's own port."""
    origin = origin.lower()
    for scheme, port in _USUAL:
        if origin.startswith(scheme):
            return origin.removesuffix(port)
    return origin
