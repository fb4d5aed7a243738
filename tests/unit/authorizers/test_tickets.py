"""Tickets: what a backend may say of a client, and who is let in by it."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.dataplane.values import connecting
from wsgateway.authorizers.base import Identity, Site
from wsgateway.authorizers.ticket_authorizer import TicketAuthorizers
from wsgateway.authorizers.tickets import MOST_AT_ONCE, Grant, TicketOffice, is_ticket
from wsgateway.dataplane.tickets import Wanted, grant_of, parse
from wsgateway.errors import RegistryAway, ServiceUnavailable, Unauthorized
from wsgateway.model.authorizer import Authorizer
from wsgateway.registry.memory_tickets import MemoryTickets

pytestmark = pytest.mark.anyio

NOW = 1_790_000_000.0
SITE = Site(api_id="chat", stage="dev", name="tickets", route_key="$connect", stage_variables={}, ours=True)


class Clock:
    now = NOW

    def __call__(self) -> float:
        return self.now


class Away:
    """A store that can't be reached."""

    async def put(self, digest: bytes, data: bytes, ttl: float) -> None:
        raise RegistryAway("Redis is away")

    async def take(self, digest: bytes) -> bytes | None:
        raise RegistryAway("Redis is away")


def authorizer(source: str = "route.request.querystring.ticket", **more: Any) -> Authorizer:
    return Authorizer.model_validate({"authorizerType": "TICKET", "identitySource": [source], **more})


async def let_in(office: TicketOffice, ticket: str, **more: Any) -> Identity:
    found = TicketAuthorizers(office).compile(authorizer(**more), SITE, None)(connecting(f"/dev?ticket={ticket}"))
    assert not isinstance(found, Identity)
    return await found


# What a ticket is


async def test_a_ticket_is_random_text_that_may_stand_anywhere() -> None:
    office = TicketOffice(MemoryTickets())
    made = {await office.issue("chat", "dev", Grant(), 30) for _ in range(100)}

    assert len(made) == 100
    assert all(is_ticket(ticket) for ticket in made)


async def test_what_is_kept_tells_no_ticket() -> None:
    store: dict[bytes, bytes] = {}

    class Store(Away):
        async def put(self, digest: bytes, data: bytes, ttl: float) -> None:
            store[digest] = data

    ticket = await TicketOffice(Store()).issue("chat", "dev", Grant(principal_id="ann"), 30)

    assert ticket.encode() not in b"".join([*store, *store.values()])


async def test_who_comes_with_it_is_who_the_backend_said() -> None:
    office = TicketOffice(MemoryTickets())
    grant = Grant(
        principal_id="ann",
        context={"plan": "pro", "seats": 3, "rate": 0.5, "trial": True},
        claims={"rooms": ["a", "b"], "role": "admin", "none": None},
    )
    identity = await let_in(office, await office.issue("chat", "dev", grant, 30))

    assert identity.context == {
        "principalId": "ann",
        "plan": "pro",
        "seats": "3",
        "rate": "0.5",
        "trial": "true",
        "claims": {"rooms": '["a","b"]', "role": "admin"},
    }
    assert identity.claims["rooms"] == ["a", "b"]
    assert (identity.claims["seats"], identity.claims["trial"], identity.claims["principalId"]) == (3, True, "ann")
    assert identity.expires is None


@pytest.mark.parametrize(
    ("grant", "principal"),
    [
        pytest.param(Grant(claims={"sub": "bob"}), "bob", id="the claims' sub"),
        pytest.param(Grant(principal_id="ann", claims={"sub": "bob"}), "ann", id="whom the backend named"),
        pytest.param(Grant(claims={"sub": 1}), None, id="a sub that is no text"),
        pytest.param(Grant(), None, id="nobody"),
        pytest.param(Grant(principal_id="ann", claims={"principalId": "eve"}), "ann", id="a claim of that name"),
    ],
)
async def test_the_principal(grant: Grant, principal: str | None) -> None:
    office = TicketOffice(MemoryTickets())
    identity = await let_in(office, await office.issue("chat", "dev", grant, 30))

    assert identity.context.get("principalId") == principal
    assert identity.claims.get("principalId") == principal


async def test_a_ticket_as_a_subprotocol_is_taken_out() -> None:
    office = TicketOffice(MemoryTickets())
    ticket = await office.issue("chat", "dev", Grant(principal_id="ann"), 30)
    event = connecting("/dev", ("Sec-WebSocket-Protocol", f"bearer.{ticket}, chat.v1"))
    found = TicketAuthorizers(office).compile(authorizer("route.request.subprotocol"), SITE, None)(event)
    assert not isinstance(found, Identity)
    identity = await found

    assert identity.subprotocol == "chat.v1"
    assert event.header("sec-websocket-protocol") == ["chat.v1"]


# Who is not let in


@pytest.mark.parametrize(
    ("shown", "reason"),
    [
        pytest.param("x", "it is no ticket", id="something else"),
        pytest.param("A" * 33, "it is no ticket", id="longer"),
        pytest.param("%C3%A9" * 32, "it is no ticket", id="not ASCII"),
        pytest.param("A" * 32, "used or over, or was never made", id="guessed"),
        pytest.param("", r"the request has no route\.request\.querystring\.ticket", id="none"),
    ],
)
async def test_what_is_no_ticket_of_ours(shown: str, reason: str) -> None:
    office = TicketOffice(MemoryTickets())
    await office.issue("chat", "dev", Grant(), 30)

    with pytest.raises(Unauthorized, match=reason):
        await let_in(office, shown)


async def test_a_second_client_with_the_same_ticket() -> None:
    office = TicketOffice(MemoryTickets())
    ticket = await office.issue("chat", "dev", Grant(), 30)
    await let_in(office, ticket)

    with pytest.raises(Unauthorized, match="used or over"):
        await let_in(office, ticket)
    assert office.results == {"issued": 1, "used": 1, "refused": 1, "away": 0}


@pytest.mark.parametrize(("api_id", "stage"), [("chat", "prod"), ("shop", "dev")])
async def test_a_ticket_of_another_stage(api_id: str, stage: str) -> None:
    """It is not used up by that."""
    office = TicketOffice(MemoryTickets())
    ticket = await office.issue(api_id, stage, Grant(principal_id="ann"), 30)

    with pytest.raises(Unauthorized, match="never made for this stage"):
        await let_in(office, ticket)
    assert (await office.redeem(api_id, stage, ticket)).principal_id == "ann"


async def test_what_the_backend_knows_may_be_over_before_the_ticket_is() -> None:
    clock = Clock()
    office = TicketOffice(MemoryTickets(), now=clock)
    grant = Grant(expires=NOW + 10)
    first, second = [await office.issue("chat", "dev", grant, 30) for _ in range(2)]

    clock.now = NOW + 9
    assert (await let_in(office, first, closeOnExpiry=True)).expires == NOW + 10
    clock.now = NOW + 10
    with pytest.raises(Unauthorized, match="is over"):
        await let_in(office, second)


async def test_what_somebody_else_wrote_into_the_store() -> None:
    """With an installation secret, who can write to Redis can't let anybody in; nor move what was written."""
    written: dict[bytes, bytes] = {}

    class Store:
        async def put(self, digest: bytes, data: bytes, ttl: float) -> None:
            written[digest] = data

        async def take(self, digest: bytes) -> bytes | None:
            return written.get(digest)

    office, other = TicketOffice(Store(), b"secret" * 170), TicketOffice(Store())
    forged = await other.issue("chat", "dev", Grant(principal_id="eve"), 30)
    with pytest.raises(Unauthorized, match="installation secret"):
        await office.redeem("chat", "dev", forged)

    moved = await office.issue("chat", "dev", Grant(principal_id="ann"), 30)
    first, second = written
    written[first] = written[second]
    with pytest.raises(Unauthorized, match="installation secret"):
        await office.redeem("chat", "dev", forged)
    assert (await office.redeem("chat", "dev", moved)).principal_id == "ann"


@given(st.binary())
async def test_any_bytes_in_the_store_are_a_grant_or_refused(data: bytes) -> None:
    class Store(Away):
        async def take(self, digest: bytes) -> bytes | None:
            return office._mac(digest, data) + data

    office = TicketOffice(Store())
    try:
        await office.redeem("chat", "dev", "A" * 32)
    except Unauthorized:
        return
    assert isinstance(msgspec.json.decode(data), dict)


async def test_a_store_that_is_away() -> None:
    office = TicketOffice(Away())
    with pytest.raises(RegistryAway):
        await office.issue("chat", "dev", Grant(), 30)
    with pytest.raises(ServiceUnavailable, match="Redis is away"):
        await office.redeem("chat", "dev", "A" * 32)
    assert office.results["away"] == 2


async def test_a_flood_of_guesses_is_bounded() -> None:
    class Stuck(Away):
        async def take(self, digest: bytes) -> bytes | None:
            office._looking = MOST_AT_ONCE  # as many are under way
            with pytest.raises(ServiceUnavailable, match="being looked up"):
                await office.redeem("chat", "dev", "B" * 32)
            office._looking = 1
            return None

    office = TicketOffice(Stuck())
    with pytest.raises(Unauthorized):
        await office.redeem("chat", "dev", "A" * 32)
    assert office._looking == 0


# What may be asked for


def test_nothing_need_be_said() -> None:
    for body in (b"", b"  \n", b"{}"):
        wanted = parse(body, NOW)

        assert (wanted.ttl_seconds, grant_of(wanted)) == (30, Grant())


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        pytest.param('{"principal": "ann"}', "unknown field `principal`", id="a slip"),
        pytest.param('{"principalId": 1}', r"Expected `str \| null`, got `int` - at `\$.principalId`", id="a number"),
        pytest.param('{"principalId": ""}', "length >= 1", id="nobody"),
        pytest.param('{"ttlSeconds": 301}', "`int` <= 300", id="too long"),
        pytest.param('{"ttlSeconds": 0}', "`int` >= 1", id="too short"),
        pytest.param('{"ttlSeconds": 1.5}', "Expected `int`", id="half a second"),
        pytest.param('{"context": {"a": [1]}}', r"got `array` - at `\$.context\[...\]`", id="a list in context"),
        pytest.param('{"context": {"claims": "x"}}', "context may not name claims", id="a name of ours"),
        pytest.param('{"claims": ["a"]}', "Expected `object`", id="claims that are a list"),
        pytest.param('{"expiresAt": 1}', "is over already", id="the past"),
        pytest.param('{"expiresAt": 1e300}', "253402300800", id="further than years go"),
        pytest.param('{"claims": {"a": NaN}}', "is not as it should be", id="no JSON"),
        pytest.param(
            '{"claims": {"a": [' + "1e15," * 3000 + "1]}}", "as texts they have over 32768", id="long numbers"
        ),
        pytest.param("ann", "is not as it should be", id="no JSON at all"),
        pytest.param("[]", "Expected `object`", id="a list"),
        pytest.param('{"claims": {"a": ' + "[" * 8000 + "]" * 8000 + "}}", "nested|recursion", id="deep"),
    ],
)
def test_what_is_refused_says_where(body: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        parse(body.encode(), NOW)


def test_bytes_that_are_no_text() -> None:
    with pytest.raises(ValueError, match="not as it should be"):
        parse(b'{"principalId": "\xff"}', NOW)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(st.dictionaries(st.text(), JSON, max_size=4), st.dictionaries(st.text(), JSON, max_size=4))
async def test_whatever_is_taken_comes_back(context: dict[str, Any], claims: dict[str, Any]) -> None:
    try:
        wanted = parse(json.dumps({"context": context, "claims": claims}).encode(), NOW)
    except ValueError:
        return
    office = TicketOffice(MemoryTickets())
    identity = await let_in(office, await office.issue("chat", "dev", grant_of(wanted), 30))

    assert {"principalId", "claims", *identity.context} == {
        "principalId",
        "claims",
        *(name for name, value in wanted.context.items() if value is not None),
    }
    assert {name: identity.claims[name] for name in wanted.claims if name != "principalId"} == {
        name: value for name, value in wanted.claims.items() if name != "principalId"
    }


@given(st.binary() | st.text().map(str.encode))
def test_any_body_is_a_wish_or_refused(body: bytes) -> None:
    try:
        wanted = parse(body, NOW)
    except ValueError:
        return
    assert isinstance(wanted, Wanted)
