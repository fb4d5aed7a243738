"""Who may ask the internal listener for what changes something, or is not for everybody.

Where that listener is bound to loopback, whoever is on the machine may; elsewhere the installation secret is asked for.
Web pages that a browser on the machine shows may not: a browser names the page in `Origin` on every POST (Fetch
standard, "append a request Origin header"), and asks first before it sends `application/json` elsewhere, which nobody
here answers; a page whose name was made to resolve to this machine has that name in `Host`.
"""

from __future__ import annotations

import hmac
import ipaddress
import json
from dataclasses import dataclass, field

from wsgateway.messages import HttpRequest, HttpResponse

UNGUARDED = (
    "the internal listener can be reached from elsewhere, so this needs an installation secret: start the gateway with "
    "--installation-secret-file or WSGATEWAY_INSTALLATION_SECRET, or bind it to loopback (--internal-host 127.0.0.1)"
)
REFUSED = "send the installation secret as Authorization: Bearer SECRET"


@dataclass(frozen=True, slots=True)
class Guard:
    """`secret` is the installation's where it was given one; `open`: only this machine reaches the listener."""

    secret: bytes | None = field(repr=False)
    open: bool

    @property
    def shut(self) -> bool:
        """Nobody may ask, for nobody can be known."""
        return self.secret is None and not self.open

    def refusal(self, request: HttpRequest) -> HttpResponse | None:
        """The answer to a request that may not be made; None where it may."""
        if request.method == "POST":
            if request.header(b"origin") is not None:
                return _problem(403, "web pages may not ask for this")
            kind = (request.header(b"content-type") or b"").partition(b";")[0].strip().lower()
            if kind != b"application/json":
                return _problem(415, "send Content-Type: application/json")
        if self.secret is not None and self._bears_secret(request, self.secret):
            return None
        if not self.open:
            return _problem(403, UNGUARDED) if self.shut else _problem(401, REFUSED)
        if not _names_this_machine(request.host):
            return _problem(403, "call this by the address of the listener or as localhost")
        return None

    def _bears_secret(self, request: HttpRequest, secret: bytes) -> bool:
        scheme, _, token = (request.header(b"authorization") or b"").partition(b" ")
        return scheme.lower() == b"bearer" and hmac.compare_digest(token.strip(), secret)


def _names_this_machine(host: str) -> bool:
    """Whether a Host is an address or localhost: no name that somebody else lets resolve to this machine."""
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return host == "localhost"
    return True


def _problem(status: int, message: str) -> HttpResponse:
    body = json.dumps({"message": message}).encode() + b"\n"
    return HttpResponse(status, ((b"Content-Type", b"application/json"),), body)
