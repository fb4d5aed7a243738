"""From definitions to what a stage lets in: which limits an event meets, in which order, and what is told of it.

Levels and events: API Gateway developer guide, "Throttle requests to your WebSocket APIs".
"""

from __future__ import annotations

import asyncio
from asyncio import Future
from collections.abc import Awaitable
from pathlib import Path
from typing import Any

import pytest

from tests.unit.dataplane.test_buckets import Clock
from tests.unit.dataplane.test_websocket import World, texts
from tests.unit.dataplane.values import client
from wsgateway.dataplane.admit import Admit
from wsgateway.dataplane.buckets import Buckets, Limit, LocalBucket, Name
from wsgateway.dataplane.compiled import CompiledStage, Operation
from wsgateway.dataplane.throttle import ACCOUNT, CALM_SECONDS, LONGEST_NAME, MOST_KEPT, Throttle, Throttling
from wsgateway.errors import Throttled
from wsgateway.invocation import Client, EventType, Invocation
from wsgateway.messages import Message
from wsgateway.model.loader import parse

pytestmark = pytest.mark.anyio

LIMIT = "{{rateLimit: 1, burstLimit: {}}}"


def throttle(
    stage: str, *, account: str = "", profile: str = "open", clock: Clock | None = None, buckets: Buckets | None = None
) -> Throttle:
    text = f"""
apis:
  chat:
    protocolType: WEBSOCKET
    routeSelectionExpression: $request.body.action
    profile: {profile}
    stages: {{dev: {stage}}}
    authorizers:
      users:
        authorizerType: JWT
        identitySource: [route.request.querystring.token]
        jwtConfiguration: {{issuer: "https://issuer.example", audience: [chat]}}
    routes: {{$connect: {{authorizer: users}}, $disconnect: {{}}, say: {{}}, join: {{}}}}
{account}
"""
    definitions = parse(text, "routes.yaml", {}, Path()).definitions
    return Throttle(Buckets(clock or Clock()) if buckets is None else buckets, definitions, "chat", "dev")


def admit_of(throttle: Throttle, route_key: str = "say") -> Admit:
    admit = throttle.admit(route_key)
    assert admit is not None
    return admit


def admit_source(throttle: Throttle) -> Admit:
    admit = throttle.admit_source()
    assert admit is not None
    return admit


def event(who: Client, route_key: str = "say") -> Invocation:
    kind = EventType.CONNECT if route_key == "$connect" else EventType.MESSAGE
    return Invocation(who, kind, route_key, {}, message=Message(b"{}"))


class Moving(Clock):
    """Later at every look."""

    def __call__(self) -> float:
        self.now += 1e-6
        return self.now


def one(*, user: str = "", source: str = "203.0.113.9") -> Client:
    made = client()
    made.source_ip = source
    if user:
        made.authorizer = {"principalId": user}
    return made


def let_in(admit: Admit, who: Client, tries: int, route_key: str = "say") -> int:
    number = 0
    for _ in range(tries):
        try:
            assert admit(event(who, route_key)) is None
        except Throttled:
            continue
        number += 1
    return number


def refused_by(admit: Admit, who: Client) -> str:
    with pytest.raises(Throttled) as caught:
        admit(event(who))
    return caught.value.level


def test_without_limits_nothing_is_asked() -> None:
    assert throttle("{}").admit("say") is None
    assert throttle("{}").admit("$connect") is None
    assert throttle("{}").account is None


def test_each_route_has_a_bucket_and_settings_of_its_own() -> None:
    limits = throttle(
        "{defaultRouteSettings: {throttlingRateLimit: 1, throttlingBurstLimit: 3},"
        " routeSettings: {join: {throttlingBurstLimit: 1}}}"
    )
    say, join, connect = (admit_of(limits, key) for key in ("say", "join", "$connect"))
    assert [let_in(admit, one(), 9) for admit in (say, join, connect)] == [3, 1, 3]
    assert let_in(admit_of(limits, "say"), one(), 9) == 0, "compiled anew it is the same bucket"


def test_the_end_of_a_connection_is_never_limited() -> None:
    limits = throttle(
        "{defaultRouteSettings: {throttlingRateLimit: 0, throttlingBurstLimit: 0},"
        " throttle: {rateLimit: 0, burstLimit: 0}}"
    )
    assert limits.admit("$disconnect") is None


def test_a_stage_is_one_bucket_for_all_routes() -> None:
    limits = throttle(f"{{throttle: {LIMIT.format(4)}}}")
    assert let_in(admit_of(limits, "say"), one(), 3) == 3
    assert let_in(admit_of(limits, "join"), one(), 3) == 1
    assert refused_by(admit_of(limits), one()) == "stage"


@pytest.mark.parametrize(
    ("profile", "account", "expected"),
    [
        pytest.param("open", "", None, id="open has none"),
        pytest.param("aws", "", Limit(10_000.0, 5_000), id="aws has AWS's"),
        pytest.param("open", f"account: {{throttle: {LIMIT.format(7)}}}", Limit(1.0, 7), id="as written"),
        pytest.param("aws", f"account: {{throttle: {LIMIT.format(7)}}}", Limit(1.0, 7), id="as written, in aws too"),
    ],
)
def test_the_account(profile: str, account: str, expected: Limit | None) -> None:
    limits = throttle("{}", profile=profile, account=account)
    assert limits.account == expected
    if expected is not None:
        assert let_in(admit_of(limits), one(), 6_000) == expected.burst


def test_a_connection_has_its_own_and_a_handshake_is_none_of_it() -> None:
    limits = throttle(f"{{throttle: {{perConnection: {LIMIT.format(2)}}}}}")
    a, b = one(), one()
    say = admit_of(limits)
    assert [let_in(say, who, 5) for who in (a, b)] == [2, 2]
    assert refused_by(say, a) == "connection"
    assert limits.admit("$connect") is None


def test_a_long_name_is_not_remembered_as_it_is() -> None:
    buckets = Buckets(Clock())
    say = admit_of(throttle(f"{{throttle: {{perUser: {LIMIT.format(2)}}}}}", buckets=buckets))
    long, other = "a" * 8000, "a" * 7999 + "b"
    assert [let_in(say, one(user=name), 5) for name in (long, other, long)] == [2, 2, 0]
    assert max(len(part) for name in buckets._of_clients for part in name) <= LONGEST_NAME


def test_a_users_connections_share_one() -> None:
    limits = throttle(f"{{throttle: {{perUser: {LIMIT.format(3)}}}}}")
    say = admit_of(limits)
    assert let_in(admit_of(limits, "$connect"), one(user="ada"), 1, "$connect") == 1
    assert let_in(say, one(user="ada"), 5) == 2
    assert let_in(say, one(user="bob"), 5) == 3
    assert refused_by(say, one(user="ada")) == "user"


def test_a_bucket_that_was_forgotten_is_looked_up_again() -> None:
    """Clients have their buckets at hand; two that share one must not end with two."""
    clock = Clock()
    buckets = Buckets(clock)
    say = admit_of(throttle(f"{{throttle: {{perUser: {LIMIT.format(3)}, {LIMIT.format(9)[1:-1]}}}}}", buckets=buckets))
    a, b = one(user="ada"), one(user="ada")
    assert [let_in(say, who, 1) for who in (a, b)] == [1, 1]
    clock.now += 60.0
    buckets.sweep()
    assert len(buckets) == 0

    assert [let_in(say, who, 2) for who in (a, b, a)] == [2, 1, 0]
    assert len(buckets) == 2


def test_a_new_bucket_is_full_however_the_clock_moves() -> None:
    limits = throttle(f"{{throttle: {{perUser: {LIMIT.format(1)}, {LIMIT.format(2)[1:-1]}}}}}", clock=Moving())
    say = admit_of(limits)
    assert [let_in(say, one(user=name), 1) for name in ("ada", "bob")] == [1, 1]


def test_a_client_has_no_more_at_hand_than_it_needs() -> None:
    buckets, who = Buckets(Clock()), one(user="ada")
    for _ in range(2 * MOST_KEPT):  # deployments
        let_in(admit_of(throttle(f"{{throttle: {{perUser: {LIMIT.format(3)}}}}}", buckets=buckets)), who, 1)
    assert who.buckets is not None
    assert len(who.buckets) <= MOST_KEPT
    assert len(buckets) == 1


def test_an_address_or_a_64_of_ipv6_shares_one() -> None:
    limits = throttle(f"{{throttle: {{perSource: {LIMIT.format(3)}}}}}")
    say = admit_of(limits)
    assert let_in(say, one(source="2001:db8::1"), 2) == 2
    assert let_in(say, one(source="2001:db8::2"), 5) == 1
    assert let_in(say, one(source="2001:db8:0:1::1"), 5) == 3
    assert refused_by(say, one(source="2001:db8::3")) == "source"


def test_who_is_over_a_limit_of_their_own_takes_nothing_from_others() -> None:
    limits = throttle(
        f"{{throttle: {{rateLimit: 1, burstLimit: 12, perConnection: {LIMIT.format(2)}, perUser: {LIMIT.format(4)}}},"
        " defaultRouteSettings: {throttlingRateLimit: 1, throttlingBurstLimit: 10}}"
    )
    say = admit_of(limits)
    flood = [one(user="mallory") for _ in range(50)]
    assert sum(let_in(say, who, 10) for who in flood) == 4
    others = [one(user=f"user {number}") for number in range(10)]
    assert sum(let_in(say, who, 1) for who in others) == 6, "what the route has left, whole"


def test_nothing_passes_zeros_of_a_connection() -> None:
    limits = throttle("{throttle: {perConnection: {rateLimit: 0, burstLimit: 5}}}")
    assert let_in(admit_of(limits), one(), 5) == 0


def test_a_new_limit_holds_for_connections_that_are_there() -> None:
    who = one()
    assert let_in(admit_of(throttle(f"{{throttle: {{perConnection: {LIMIT.format(5)}}}}}")), who, 9) == 5
    clock = Clock()
    clock.now += 100.0
    after = throttle("{throttle: {perConnection: {rateLimit: 50, burstLimit: 50}}}", clock=clock)
    assert let_in(admit_of(after), who, 99) == 50


@pytest.mark.parametrize(
    ("stage", "profile", "refused"),
    [
        pytest.param("{}", "open", None, id="nothing is asked without limits"),
        pytest.param("{}", "aws", "account", id="the account's"),
        pytest.param(f"{{throttle: {LIMIT.format(2)}}}", "aws", "stage", id="the stage's"),
        pytest.param(
            "{methodSettings: {'*/*': {throttlingRateLimit: 1, throttlingBurstLimit: 3},"
            f" a/GET: {{throttlingBurstLimit: 2}}}}, throttle: {LIMIT.format(9)}}}",
            "open",
            "method",
            id="the method's",
        ),
        pytest.param(f"{{throttle: {{perSource: {LIMIT.format(2)}}}}}", "open", "source", id="an address's"),
        pytest.param(f"{{throttle: {{perUser: {LIMIT.format(2)}}}}}", "open", "user", id="a user's"),
    ],
)
def test_methods_of_rest_apis_have_the_same(stage: str, profile: str, refused: str | None) -> None:
    text = f"""
apis:
  shop:
    protocolType: REST
    profile: {profile}
    stages: {{v1: {stage}}}
    paths: {{/a: {{GET: {{integration: {{type: MOCK}}}}, POST: {{integration: {{type: MOCK}}}}}}}}
"""
    definitions = parse(text, "routes.yaml", {}, Path()).definitions
    limits = Throttle(Buckets(Clock()), definitions, "shop", "v1")
    if refused in (None, "source"):
        assert limits.admit("GET /a") is None
    if refused == "source":
        assert let_in(admit_source(limits), one(), 5) == 2, "before an authorizer is asked"
    else:
        assert limits.admit_source() is None
    if refused in (None, "source"):
        return
    get, post = admit_of(limits, "GET /a"), admit_of(limits, "POST /a")
    each = [let_in(get, one(user="ada"), 1) for _ in range(6_000)]  # each request is of a client of its own
    assert sum(each) == (5_000 if refused == "account" else 2)
    assert refused_by(get, one(user="ada")) == refused
    assert let_in(post, one(user="ada"), 5) == (3 if refused == "method" else 0)


class Later:
    """A bucket whose answers are the test's to give."""

    def __init__(self, limit: Limit) -> None:
        self.limit = limit
        self.kept = True
        self.asked: list[Future[bool]] = []

    def change(self, limit: Limit) -> None:
        self.limit = limit

    def take(self, now: float = 0.0) -> Awaitable[bool]:
        self.asked.append(asyncio.get_running_loop().create_future())
        return self.asked[-1]

    def idle(self, now: float) -> bool:
        return False


class Distant(Buckets):
    """Buckets of routes and of the account have to be waited for."""

    def __init__(self) -> None:
        super().__init__(Clock())
        self.later: dict[Name, Later] = {}

    def bucket(self, name: Name, limit: Limit) -> Any:
        if name[0] in ("route", "account"):
            return self.later.setdefault(name, Later(limit))
        return LocalBucket(limit, self.clock)


@pytest.mark.parametrize(
    ("answers", "level"),
    [
        pytest.param([True, True], None, id="let in"),
        pytest.param([False], "route", id="the first says no"),
        pytest.param([True, False], "account", id="the last says no"),
    ],
)
async def test_what_is_not_known_is_waited_for_level_by_level(answers: list[bool], level: str | None) -> None:
    text = f"""
apis:
  chat:
    protocolType: WEBSOCKET
    routeSelectionExpression: $request.body.action
    stages:
      dev:
        throttle: {LIMIT.format(5)}
        defaultRouteSettings: {{throttlingRateLimit: 1, throttlingBurstLimit: 1}}
    routes: {{say: {{}}}}
account: {{throttle: {LIMIT.format(9)}}}
"""
    buckets = Distant()
    admit = Throttle(buckets, parse(text, "routes.yaml", {}, Path()).definitions, "chat", "dev").admit("say")
    assert admit is not None
    pending = admit(event(one()))
    assert pending is not None
    running = asyncio.ensure_future(pending)
    for name, answer in zip((("route", "chat", "dev", "say"), ACCOUNT), answers, strict=False):
        await asyncio.sleep(0)
        buckets.later[name].asked[0].set_result(answer)
    if level is None:
        await running
    else:
        with pytest.raises(Throttled) as caught:
            await running
        assert caught.value.level == level


# What becomes of a message beyond a limit


def beyond(on_limit: str) -> World:
    world = World()

    def admit(invocation: Invocation) -> None:
        raise Throttled("the limit of the stage", level="stage")

    def select(data: bytes) -> Operation:
        return Operation("say", (), world.messages.call, True, admit=None if data == b"ok" else admit)

    world.swap(select=select, on_limit=on_limit)
    return world


@pytest.mark.parametrize(
    ("on_limit", "frames", "told"),
    [
        pytest.param("ERROR", ["Too Many Requests"], [], id="an error frame"),
        pytest.param("DROP", [], [], id="nothing"),
        pytest.param("CLOSE", [], [(1008, "Too Many Requests")], id="the end"),
    ],
)
async def test_on_limit(on_limit: str, frames: list[str], told: list[object]) -> None:
    world = beyond(on_limit)

    world.say(b"ok", b"too much")

    assert texts(world.replies) == frames
    assert world.socket.told == told
    assert world.messages.bodies == [b"ok"]
    assert world.gateway.throttling.refused == {("chat", "dev", "stage"): 1}
    assert world.gateway.counters.route_errors == ({("chat", "say", "THROTTLED"): 1} if frames else {})


async def test_reaching_a_limit_is_told_once_and_its_end_too() -> None:
    world = beyond("DROP")
    world.say(*[b"too much"] * 100)
    world.loop.move(CALM_SECONDS - 1)
    world.say(b"too much")
    world.gateway.throttling.sweep(world.loop.now)
    assert [line["event"] for line in world.logged] == ["a limit is reached"]
    first = world.logged[0]
    assert (first["api"], first["stage"], first["limit"]) == ("chat", "dev", "stage")
    assert first["connection_id"] == world.connection.client.connection_id

    world.loop.move(CALM_SECONDS)
    world.gateway.throttling.sweep(world.loop.now)
    assert world.logged[1] == {
        "event": "a limit is no longer reached",
        "api": "chat",
        "stage": "dev",
        "limit": "stage",
        "refused": 101,
        "after_seconds": CALM_SECONDS - 1,
    }
    world.say(b"too much")
    assert [line["event"] for line in world.logged].count("a limit is reached") == 2


def test_each_limit_is_told_by_itself() -> None:
    logged: list[str] = []
    throttling = Throttling(lambda: 1.0, lambda event, **facts: logged.append(str(facts["limit"])))
    for level in ("stage", "user", "stage"):
        throttling.refuse("chat", "dev", level)
    assert logged == ["stage", "user"]


def test_a_stage_says_by_default_what_aws_says() -> None:
    assert CompiledStage.__dataclass_fields__["on_limit"].default == "ERROR"
