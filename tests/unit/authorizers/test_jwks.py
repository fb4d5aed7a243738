"""Keys of issuers: fetched as seldom as can be, with the clock and the issuer in the test's hands."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from joserfc import jwt as signing
from joserfc.jwk import RSAKey

from wsgateway.authorizers import jwks
from wsgateway.authorizers.jwks import IssuerKeys, jwks_uri_in
from wsgateway.authorizers.jwt import Unverified, read
from wsgateway.errors import AuthorizerFailure
from wsgateway.trace import Mark

pytestmark = pytest.mark.anyio

ISSUER = "https://issuer.example"
URI = "https://issuer.example/keys"
OLD, NEW = (RSAKey.generate_key(2048, {"kid": kid}, auto_kid=False) for kid in ("old", "new"))


def document(*keys: RSAKey) -> bytes:
    return json.dumps({"keys": [key.as_dict(private=False) for key in keys]}).encode()


def token(key: RSAKey, kid: str | None = None) -> Unverified:
    return read(signing.encode({"alg": "RS256", "kid": kid or str(key.kid)}, {"sub": "ann"}, key, ["RS256"]))


class World:
    """An issuer, a clock and a log."""

    def __init__(self, uri: str | None = URI) -> None:
        self.now = 0.0
        self.answers: dict[str, bytes | Exception] = {URI: document(OLD)}
        self.asked: list[str] = []
        self.trusted: list[bool] = []
        self.marks: list[Mark | None] = []
        self.lines: list[tuple[str, Any]] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.keys = IssuerKeys(ISSUER, uri, self.fetch, self.log, lambda: self.now)

    async def fetch(self, url: str, trusted: bool, mark: Mark | None) -> bytes:
        self.asked.append(url)
        self.marks.append(mark)
        self.trusted.append(trusted)
        await self.gate.wait()
        answer = self.answers[url]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def log(self, event: str, **facts: object) -> None:
        self.lines.append((event, facts))

    async def ids(self, wanted: Unverified) -> list[str]:
        return [key.kid for key in await self.keys.find(wanted)]


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_many_who_wait_share_one_fetch() -> None:
    world = World()
    world.gate.clear()
    waiting = [asyncio.create_task(world.ids(token(OLD))) for _ in range(20)]
    await settled()

    world.gate.set()

    assert await asyncio.gather(*waiting) == [["old"]] * 20
    assert world.asked == [URI]
    assert world.keys.at_once(token(OLD)) is not None


async def test_who_waits_is_answered_where_an_issuer_is_let_go() -> None:
    world = World()
    world.gate.clear()
    waiting = asyncio.create_task(world.keys.find(token(OLD)))
    await settled()

    world.keys.close()

    with pytest.raises(AuthorizerFailure, match="no authorizer names it any more"):
        await waiting


async def test_one_who_leaves_does_not_end_it_for_the_others() -> None:
    world = World()
    world.gate.clear()
    first, second = (asyncio.create_task(world.ids(token(OLD))) for _ in range(2))
    await settled()

    first.cancel()
    world.gate.set()

    assert await second == ["old"]


async def test_they_are_asked_for_in_the_trace_of_whoever_begins_to_wait() -> None:
    world = World()
    mark, other = Mark(b"00-a-b-01", b"Root=a"), Mark(b"00-c-d-01", b"Root=c")
    await asyncio.gather(world.keys.find(token(OLD), mark), world.keys.find(token(OLD), other))
    world.now = jwks.FRESH_SECONDS
    await world.keys.find(token(OLD), other)
    await settled()

    assert world.marks == [mark, None], "nobody waits for a renewal"


async def test_keys_that_are_old_are_renewed_without_waiting() -> None:
    world = World()
    await world.ids(token(OLD))
    world.now = jwks.FRESH_SECONDS
    world.answers[URI] = document(NEW)

    assert await world.ids(token(OLD)) == ["old"]
    await settled()

    assert world.keys.at_once(token(OLD)) is None
    assert await world.ids(token(NEW)) == ["new"]


async def test_a_key_nobody_knew_is_looked_for() -> None:
    world = World()
    await world.ids(token(OLD))
    world.now = jwks.PAUSE_SECONDS
    world.answers[URI] = document(OLD, NEW)

    assert await world.ids(token(NEW)) == ["old", "new"]


async def test_made_up_key_ids_ask_the_issuer_but_seldom() -> None:
    world = World()
    await world.ids(token(OLD))

    for number in range(100):
        world.now += 1.0
        assert await world.ids(token(OLD, f"made up {number}")) == ["old"]

    assert len(world.asked) == 1 + 10


async def test_an_issuer_that_is_down_is_believed_for_a_while() -> None:
    world = World()
    await world.ids(token(OLD))
    world.answers[URI] = OSError("refused")
    world.now = jwks.BELIEVED_SECONDS - 1
    assert await world.ids(token(OLD)) == ["old"]
    await settled()

    world.now = jwks.BELIEVED_SECONDS + jwks.PAUSE_SECONDS
    with pytest.raises(AuthorizerFailure, match="refused"):
        await world.ids(token(OLD))

    world.answers[URI] = document(OLD)
    with pytest.raises(AuthorizerFailure):
        await world.ids(token(OLD))  # too soon after the last try
    world.now += jwks.PAUSE_SECONDS
    assert await world.ids(token(OLD)) == ["old"]
    assert [event for event, _ in world.lines] == [
        "keys of an issuer can't be fetched",
        "keys of an issuer are fetched again",
    ]
    assert (world.keys.fetches, world.keys.failures) == (4, 2)


@pytest.mark.parametrize("answer", [b"", b"{}", b"\xff", OSError("refused")])
async def test_nothing_to_believe_at_all(answer: bytes | Exception) -> None:
    world = World()
    world.answers[URI] = answer

    with pytest.raises(AuthorizerFailure, match="can't be had"):
        await world.ids(token(OLD))


async def test_the_issuer_says_where_its_keys_are() -> None:
    world = World(uri=None)
    where = f"{ISSUER}/.well-known/openid-configuration"
    world.answers[where] = json.dumps({"issuer": ISSUER, "jwks_uri": URI}).encode()

    assert await world.ids(token(OLD)) == ["old"]
    assert (world.asked, world.trusted) == ([where, URI], [True, True])


async def test_a_host_that_only_the_issuer_names_is_no_operators() -> None:
    elsewhere = "https://keys.example/keys"
    world = World(uri=None)
    world.answers[f"{ISSUER}/.well-known/openid-configuration"] = json.dumps(
        {"issuer": ISSUER, "jwks_uri": elsewhere}
    ).encode()
    world.answers[elsewhere] = document(OLD)

    assert await world.ids(token(OLD)) == ["old"]
    assert world.trusted == [True, False]


@pytest.mark.parametrize(
    ("configuration", "problem"),
    [
        pytest.param({"issuer": "https://evil.example", "jwks_uri": URI}, "is that of", id="another's"),
        pytest.param({"jwks_uri": URI}, "is that of 'None'", id="nobody's"),
        pytest.param({"issuer": ISSUER}, "no https jwks_uri", id="no keys"),
        pytest.param({"issuer": ISSUER, "jwks_uri": "http://issuer.example/keys"}, "no https", id="without TLS"),
        pytest.param({"issuer": ISSUER, "jwks_uri": "file:///etc/passwd"}, "no https", id="a file"),
        pytest.param([], "no JSON object", id="no object"),
    ],
)
def test_a_configuration_that_is_not_believed(configuration: object, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        jwks_uri_in(json.dumps(configuration).encode(), ISSUER)
