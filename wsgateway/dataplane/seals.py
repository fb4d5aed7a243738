"""How the nodes of an installation know one another: a relayed call is sealed with the secret they share.

A call is a request target of its own, so that the header block is the same for every call of one size and neither side
parses it twice:

    /@relay/{seal}/{owner}{verb}{caller}{number}/{apiId}/{connectionId}

The seal is a keyed BLAKE2s (RFC 7693) over all that stands behind it, in hexadecimal digits. `owner` and `caller` are
slots as they begin a connection id; `verb` is one letter; caller and number, in hexadecimal digits, name the call.
The answer is sealed too, the same for all answers of one owner: so whoever has got a node's address since, and knows
nothing of this, is not taken for it. No stage is hidden by it, for no stage's name holds `@`.

A seal says that a node made the call, not that nobody read or repeats it: the network between nodes is trusted with
the messages themselves. The body is sealed with it where it says what to do (MANY), else not.
"""

from __future__ import annotations

from enum import Enum
from hashlib import blake2s
from hmac import compare_digest

PREFIX = "/@relay/"
SEAL_HEADER = b"X-Wsgateway-Relay"
_SEAL_BYTES = 16
_BEGIN = len(PREFIX)
_SIGNED = _BEGIN + 2 * _SEAL_BYTES + 1
VERB_AT = _SIGNED + 4
"""Where the verb stands in a target."""


class Verb(Enum):
    """What is asked of another node."""

    TEXT = b"t"
    """Push the body as a text message."""
    BINARY = b"b"
    """Push the body as a binary message."""
    GET = b"g"
    DELETE = b"d"
    LIST = b"l"
    """A page of the API's connections: behind the apiId stand the page's size and the id it begins behind."""
    STATE = b"s"
    """How many connections there are; no apiId follows."""
    FORGET = b"f"
    """Forget what authorizers said at a stage; apiId and stage follow, percent-encoded."""
    MANY = b"m"
    """The pushes that the body holds; nothing follows."""


class Seals:
    """Makes and checks seals. The secret before the present one is taken too: nodes hear of a new one at their time."""

    __slots__ = ("current", "previous", "secret")

    def __init__(self) -> None:
        self.secret = b""
        """Of the installation; nothing is sealed, and no seal is right, before there is one."""
        self.current: blake2s | None = None
        self.previous: blake2s | None = None

    def use(self, secret: bytes) -> bool:
        """Seal with `secret` from now on. True where that is a new one."""
        if secret == self.secret or not secret:
            return False
        # A secret of any length becomes a key of the length BLAKE2s takes.
        key = blake2s(secret, person=b"wsg node").digest()
        self.secret = secret
        self.previous, self.current = self.current, blake2s(key=key, digest_size=_SEAL_BYTES)
        return True

    def target(self, signed: bytes, body: bytes = b"") -> bytes:
        """The sealed target of a call, `signed` being all that stands behind the seal; `body` is what it seals too."""
        assert self.current is not None
        sealing = self.current.copy()
        sealing.update(signed)
        sealing.update(body)
        return b"/@relay/%b/%b" % (sealing.hexdigest().encode(), signed)

    def answer(self, owner: str) -> bytes:
        """What seals the answers of a node, for those who call it with the present secret."""
        assert self.current is not None
        return _answer(self.current, owner)

    def read(self, target: str, owner: str, body: bytes = b"") -> tuple[str, bytes] | None:
        """What is signed in a call's target, and the seal of its answer; None for one that is not sealed right.

        `body` is the one that is sealed with it.
        """
        seal, signed = target[_BEGIN : _SIGNED - 1], target[_SIGNED:]
        if target[_SIGNED - 1 : _SIGNED] != "/" or not target.isascii():
            return None
        for key in (self.current, self.previous):
            if key is not None:
                sealing = key.copy()
                sealing.update(signed.encode())
                sealing.update(body)
                if compare_digest(sealing.hexdigest(), seal):
                    return signed, _answer(key, owner)
        return None


def _answer(key: blake2s, owner: str) -> bytes:
    sealing = key.copy()
    sealing.update(b"answer " + owner.encode())
    return sealing.hexdigest().encode()
