"""Another token in a message: whose it must be, what is known from then on, and what a bad one changes (nothing)."""

from __future__ import annotations

import asyncio
import json
from asyncio import Future
from collections.abc import Awaitable
from pathlib import Path

import msgspec
import pytest

from tests.unit.dataplane.test_websocket import World, texts
from tests.unit.dataplane.values import message
from wsgateway.authorizers.base import Identity
from wsgateway.dataplane.admit import Admit, in_turn
from wsgateway.dataplane.compiled import Operation
from wsgateway.dataplane.renewal import renewal, renewed, token_reader
from wsgateway.errors import DefinitionError, Throttled, Unauthorized
from wsgateway.invocation import Invocation
from wsgateway.messages import EndpointResponse
from wsgateway.model.loader import parse

pytestmark = pytest.mark.anyio

OLD = {"principalId": "ann", "claims": {"role": "user"}}
NEW = Identity({"principalId": "ann", "claims": {"role": "admin"}}, {"role": "admin"}, 2_000_000_000.0)


class Tokens:
    """Says whose a token is: `now` at once, `later` when the test says so; anything else is bad."""

    def __init__(self, identity: Identity = NEW) -> None:
        self.identity = identity
        self.waiting: list[Future[Identity]] = []

    def authorize(self, invocation: Invocation) -> Identity | Awaitable[Identity]:
        body = invocation.body()
        if body.startswith(b"now"):
            return self.identity
        if body.startswith(b"later"):
            self.waiting.append(asyncio.get_running_loop().create_future())
            return self.waiting[-1]
        raise Unauthorized("no key of the issuer has signed the token", detail="The incoming token has expired")


def world(tokens: Tokens, *limits: Admit) -> World:
    """Messages that begin with `x` are of another route."""
    made = World()
    refresh = Operation(
        "refresh", (), made.messages.call, True, admit=in_turn([*limits, renewal(tokens.authorize, "users")])
    )
    other = Operation("say", (), made.messages.call, True)
    made.swap(select=lambda data: other if data.startswith(b"x") else refresh)
    client = made.connection.client
    client.authorizer, client.claims, client.expires = OLD, {"role": "user"}, 1_900_000_000.0
    return made


async def settle() -> None:
    for _ in range(3):
        await asyncio.sleep(0)


def facts(of: World) -> tuple[object, object, object]:
    client = of.connection.client
    return client.authorizer, client.claims, client.expires


async def test_from_then_on_the_client_is_who_the_new_token_says() -> None:
    one = world(Tokens())

    one.say(b"now")
    await settle()

    assert facts(one) == (NEW.context, NEW.claims, NEW.expires)
    assert one.messages.bodies == [b"now"]
    assert one.gateway.counters.token_refreshes == 1
    assert one.replies == []


async def test_messages_behind_it_come_with_the_new_token() -> None:
    tokens = Tokens()
    one = world(tokens)
    seen: list[object] = []

    def call(invocation: Invocation) -> EndpointResponse:
        seen.append((invocation.body(), invocation.client.claims["role"]))
        return EndpointResponse(204)

    other = Operation("say", (), call, True)
    refresh = Operation("refresh", (), call, True, admit=renewal(tokens.authorize, "users"))
    one.swap(select=lambda data: other if data.startswith(b"x") else refresh)

    one.say(b"x1", b"later", b"x2")
    await settle()
    assert seen == [(b"x1", "user")]
    tokens.waiting[0].set_result(NEW)
    await settle()

    assert seen == [(b"x1", "user"), (b"later", "admin"), (b"x2", "admin")]


@pytest.mark.parametrize(
    ("context", "new", "said"),
    [
        pytest.param(OLD, {"principalId": "bob"}, "Forbidden", id="somebody else's"),
        pytest.param(OLD, {}, "Forbidden", id="nobody's"),
        pytest.param({}, {}, "Forbidden", id="nobody's, and nobody is known"),
        pytest.param({}, {"principalId": "ann"}, "Forbidden", id="the first that names anybody"),
        pytest.param({"principalId": ""}, {"principalId": ""}, "Forbidden", id="an empty name, which is nobody's"),
    ],
)
async def test_a_token_of_another_principal(context: dict[str, str], new: dict[str, str], said: str) -> None:
    one = world(Tokens(Identity(new, {})))
    one.connection.client.authorizer = context
    before = facts(one)

    one.say(b"now")
    await settle()

    assert texts(one.replies) == [said]
    assert facts(one) == before
    assert one.messages.bodies == []


async def test_a_token_of_another_issuer_who_has_somebody_of_the_same_name() -> None:
    one = world(Tokens(Identity(OLD, {"iss": "https://other.example"})))
    one.connection.client.claims = {"iss": "https://issuer.example"}

    one.say(b"now")
    await settle()

    assert texts(one.replies) == ["Forbidden"]
    assert one.connection.client.claims == {"iss": "https://issuer.example"}


async def test_a_bad_token_changes_nothing_and_is_told_of() -> None:
    one = world(Tokens())
    before = facts(one)

    one.say(b"bad")
    await settle()

    assert texts(one.replies) == ["The incoming token has expired"]
    assert facts(one) == before
    assert one.socket.told == []
    assert one.gateway.counters.token_refreshes == 0
    assert one.gateway.counters.route_errors == {("chat", "refresh", "UNAUTHORIZED"): 1}
    assert [line["event"] for line in one.logged] == ["token not taken"]
    assert one.logged[0]["error"] == "no key of the issuer has signed the token"


async def test_limits_come_before_tokens() -> None:
    asked: list[bytes] = []

    def limit(invocation: Invocation) -> None:
        asked.append(invocation.body())
        if len(asked) > 1:
            raise Throttled

    one = world(Tokens(), limit)

    one.say(b"now", b"now")
    await settle()

    assert texts(one.replies) == ["Too Many Requests"]
    assert one.gateway.counters.token_refreshes == 1


async def test_a_limit_behind_it_that_waits_loses_no_token() -> None:
    async def limit(invocation: Invocation) -> None:
        await asyncio.sleep(0)

    tokens = Tokens()
    both = in_turn([renewal(tokens.authorize, "users"), limit])
    assert both is not None
    event = message("now")
    event.client.authorizer = OLD
    pending = both(event)
    assert pending is not None

    assert await pending is NEW


async def test_a_connection_that_ends_meanwhile_is_left_alone() -> None:
    tokens = Tokens()
    one = world(tokens)
    one.say(b"later")
    await settle()
    one.connection.on_close(1001, "Going away")
    one.loop.move(10)
    tokens.waiting[0].set_result(NEW)
    await settle()

    assert one.messages.bodies == []
    assert one.gateway.running == 0


# Where the token is


@pytest.mark.parametrize(
    ("expression", "body", "token"),
    [
        pytest.param("$request.body.token", '{"token": "abc"}', "abc", id="a field"),
        pytest.param("$request.body.auth.token", '{"auth": {"token": "abc"}}', "abc", id="a field within"),
        pytest.param("Bearer ${request.body.token}", '{"token": "abc"}', "Bearer abc", id="words around it"),
        pytest.param("jmespath:body.token || body.jwt", '{"jwt": "abc"}', "abc", id="JMESPath"),
    ],
)
def test_a_token_in_a_message(expression: str, body: str, token: str) -> None:
    assert token_reader(expression, "JSON")(message(body)) == token


@pytest.mark.parametrize("body", ["", "hello", "{}", '{"token": ""}', '{"token": null}', "[]"])
def test_a_message_without_a_token(body: str) -> None:
    with pytest.raises(Unauthorized, match="the message has no token"):
        token_reader("$request.body.token", "JSON")(message(body))


def test_a_token_in_a_binary_message() -> None:
    data = msgspec.msgpack.encode({"token": "abc"})

    assert token_reader("$request.body.token", "MESSAGEPACK")(message(data, binary=True)) == "abc"
    assert token_reader("$request.body.token", "JSON")(message('{"token": "abc"}', binary=True)) == "abc"
    with pytest.raises(Unauthorized):
        token_reader("$request.body.token", "JSON")(message(data, binary=True))


# What the gateway itself answers


@pytest.mark.parametrize(("expires", "told"), [(2e9, 2_000_000_000), (2e9 + 0.5, 2e9 + 0.5), (None, None)])
def test_the_answer_says_until_when(expires: float | None, told: object) -> None:
    event = message("{}")
    event.client.expires = expires
    answer = json.loads(renewed(event).body or b"")

    assert answer == {
        "message": "Refreshed",
        "expires": told,
        "connectionId": event.client.connection_id,
        "requestId": event.request_id,
    }


# In a definition

DEFINITION = """
apis:
  chat:
    protocolType: WEBSOCKET
    routeSelectionExpression: $request.body.action
    stages: {{dev: {{}}}}
    authorizers:
      users: {{{authorizer}}}
    routes:
      $connect: {{{connect}}}
      {key}: {{refresh: $request.body.token}}
"""


TICKET = "authorizerType: TICKET, identitySource: [route.request.querystring.ticket]"


@pytest.mark.parametrize(
    ("connect", "key", "problem"),
    [
        pytest.param("authorizer: users", "renew", "", id="right"),
        pytest.param("authorizer: users", "$default", "", id="any message"),
        pytest.param("authorizationType: NONE", "renew", "no client has a token", id="nobody is asked"),
        pytest.param("authorizer: users", "$disconnect", "only messages bring another token", id="at the end"),
    ],
)
def test_where_it_may_stand(connect: str, key: str, problem: str) -> None:
    found = _problems(DEFINITION.format(connect=connect, key=key, authorizer=TICKET))

    assert len(found) == bool(problem)
    assert problem in "".join(found)


@pytest.mark.parametrize(
    ("authorizer", "problem"),
    [
        pytest.param(TICKET, "", id="tickets"),
        pytest.param(f"{TICKET.replace('TICKET', 'TOKEN')}, authorizerUri: 'https://who.example/'", "", id="a token"),
        pytest.param(
            "authorizerType: REQUEST, authorizerUri: 'https://who.example/'",
            "is asked about handshakes",
            id="a request",
        ),
    ],
)
def test_whose_tokens_it_goes_with(authorizer: str, problem: str) -> None:
    found = _problems(DEFINITION.format(connect="authorizer: users", key="renew", authorizer=authorizer))

    assert len(found) == bool(problem)
    assert problem in "".join(found)


def _problems(text: str) -> list[str]:
    try:
        parse(text, "routes.yaml", {}, Path())
    except DefinitionError as error:
        return [str(problem) for problem in error.problems]
    return []
