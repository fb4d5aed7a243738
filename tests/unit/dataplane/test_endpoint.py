"""Which API and stage a request means (API Gateway developer guide, "Invoke WebSocket APIs")."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsgateway.dataplane.endpoint import REMEMBERED, Endpoints, Place
from wsgateway.errors import AccessDenied, BadRequest, GatewayError

BOTH = Endpoints({"chat": frozenset({"dev", "prod"}), "game": frozenset({"dev"})}, "chat")
NO_DEFAULT = Endpoints({"chat": frozenset({"dev"}), "game": frozenset({"dev"})}, None)
ID = "AAAAAAAAAAAAAAAAAAAAAAAAAA=="


@pytest.mark.parametrize(
    ("host", "target", "place"),
    [
        pytest.param("127.0.0.1", "/dev", Place("chat", "dev", ()), id="the default API by stage alone"),
        pytest.param("127.0.0.1", "/prod/", Place("chat", "prod", ()), id="with a trailing slash"),
        pytest.param("unknown.example", "/dev", Place("chat", "dev", ()), id="an unknown Host is the default API's"),
        pytest.param("", "/dev", Place("chat", "dev", ()), id="so is none"),
        pytest.param("game.execute-api", "/dev", Place("game", "dev", ()), id="a Host that names the API"),
        pytest.param(
            "game.execute-api.eu-west-1.amazonaws.com", "/dev", Place("game", "dev", ()), id="AWS's own Host form"
        ),
        pytest.param(
            "127.0.0.1",
            "/execute-api/game/dev",
            Place("game", "dev", (), "/execute-api/game"),
            id="a path that names the API",
        ),
        pytest.param("a.game.execute-api", "/dev", Place("chat", "dev", ()), id="a deeper Host names no API"),
        pytest.param("game.execute-apis.com", "/dev", Place("chat", "dev", ()), id="nor does a similar one"),
        pytest.param("127.0.0.1", "/dev?token=/a/../b", Place("chat", "dev", ()), id="the query is not the path"),
        pytest.param("127.0.0.1", "/%64ev", Place("chat", "dev", ()), id="a percent-encoded stage"),
        pytest.param(
            "127.0.0.1", f"/dev/@connections/{ID}", Place("chat", "dev", ("@connections", ID)), id="a callback URL"
        ),
        pytest.param(
            "127.0.0.1",
            f"/dev/%40connections/{ID.replace('=', '%3D')}",
            Place("chat", "dev", ("@connections", ID)),
            id="a callback URL as SDKs encode it",
        ),
        pytest.param(
            "127.0.0.1",
            f"/dev/@connections/{ID}/",
            Place("chat", "dev", ("@connections", ID)),
            id="a callback URL with a trailing slash",
        ),
        pytest.param(
            "127.0.0.1",
            f"/execute-api/chat/prod/@connections/{ID}",
            Place("chat", "prod", ("@connections", ID), "/execute-api/chat"),
            id="a callback URL whose path names the API",
        ),
        pytest.param("127.0.0.1", "/dev/a//b", Place("chat", "dev", ("a", "", "b")), id="empty segments stay"),
    ],
)
def test_a_request_means(host: str, target: str, place: Place) -> None:
    assert BOTH.resolve(host, target) == place


@pytest.mark.parametrize(
    ("host", "target"),
    [
        pytest.param("nosuch.execute-api.eu-west-1.amazonaws.com", "/dev", id="an API unknown to the Host form"),
        pytest.param("127.0.0.1", "/execute-api/nosuch/dev", id="an API unknown to the path form"),
        pytest.param("127.0.0.1", "/execute-api/chat", id="the path form without a stage"),
        pytest.param("127.0.0.1", "/", id="no stage"),
        pytest.param("127.0.0.1", "", id="no path"),
        pytest.param("127.0.0.1", "/staging", id="an unknown stage"),
        pytest.param("127.0.0.1", "/DEV", id="a stage in other case"),
        pytest.param("127.0.0.1", "//dev", id="an empty segment first"),
        pytest.param("127.0.0.1", "/game/dev", id="another API by name alone"),
    ],
)
def test_is_refused_as_forbidden(host: str, target: str) -> None:
    with pytest.raises(AccessDenied) as refusal:
        BOTH.resolve(host, target)

    assert refusal.value.detail == "Forbidden"
    assert refusal.value.reason, "the developer is told why"


def test_without_a_default_api_a_request_must_name_one() -> None:
    with pytest.raises(AccessDenied, match="defaultApi"):
        NO_DEFAULT.resolve("127.0.0.1", "/dev")
    assert NO_DEFAULT.resolve("game.execute-api", "/dev").api_id == "game"


@pytest.mark.parametrize(
    "path",
    [
        pytest.param("/dev/..", id="two dots"),
        pytest.param("/./dev", id="one dot"),
        pytest.param("/dev/%2e%2E", id="encoded dots"),
        pytest.param("/dev/.%2e/x", id="half encoded dots"),
        pytest.param("/dev\\x", id="a backslash"),
        pytest.param("/dev/%5cx", id="an encoded backslash"),
        pytest.param("/dev/%5Cx", id="in capitals"),
        pytest.param("/dev/@connections/%00", id="an encoded NUL"),
        pytest.param("/execute-api/../dev", id="dots instead of an API"),
        pytest.param("/dev/a%2f..%2Fb", id="between encoded slashes"),
        pytest.param("/dev/a%2F%2e", id="behind one"),
        pytest.param("/dev/..%2fb", id="before one"),
    ],
)
def test_a_path_that_can_be_read_two_ways_is_a_bad_request(path: str) -> None:
    with pytest.raises(BadRequest):
        BOTH.resolve("127.0.0.1", path)


def test_dots_inside_a_segment_are_plain_characters() -> None:
    assert BOTH.resolve("127.0.0.1", "/dev/a..b/...").rest == ("a..b", "...")


@given(st.text(), st.text())
def test_any_host_and_path_give_a_place_or_a_gateway_error(host: str, target: str) -> None:
    try:
        place = BOTH.resolve(host, target)
    except GatewayError:
        return
    assert (place.api_id, place.stage) in {("chat", "dev"), ("chat", "prod"), ("game", "dev")}


# The memory of callback URLs


def test_a_callback_urls_stage_is_remembered() -> None:
    endpoints = Endpoints({"chat": frozenset({"dev"})}, "chat")
    assert endpoints.stage_of_callback("h", "/dev/@connections") is None

    endpoints.resolve_callback("h", f"/dev/@connections/{ID}")

    known = endpoints.stage_of_callback("h", "/dev/@connections")
    assert known is not None
    assert (known.api_id, known.stage) == ("chat", "dev")


@pytest.mark.parametrize(
    "target",
    [
        pytest.param(f"/dev/@connections/{ID}/", id="a trailing slash, whose head would hold an id"),
        pytest.param(f"/dev/@connections/{ID}?type=binary/x", id="a query"),
        pytest.param("/dev/@connections", id="the list"),
        pytest.param("/dev/rooms/x", id="no callback URL"),
    ],
)
def test_nothing_is_remembered_of(target: str) -> None:
    endpoints = Endpoints({"chat": frozenset({"dev"})}, "chat")

    endpoints.resolve_callback("h", target)

    assert endpoints.stage_of_callback("h", target[: target.rfind("/")]) is None


def test_what_is_remembered_is_bounded() -> None:
    endpoints = Endpoints({"chat": frozenset({"dev"})}, "chat")
    for number in range(REMEMBERED + 1):
        endpoints.resolve_callback(f"h{number}", f"/dev/@connections/{ID}")

    assert endpoints.stage_of_callback("h0", "/dev/@connections") is None
    assert endpoints.stage_of_callback(f"h{REMEMBERED}", "/dev/@connections") is not None


# Custom domains

DOMAINS = Endpoints(
    {"chat": frozenset({"dev", "prod"}), "game": frozenset({"dev", "beta"})},
    "chat",
    {
        "chat.example": {"": ("chat", "dev"), "v2": ("game", "dev"), "v2/beta": ("game", "beta")},
        "*.chat.example": {"game": ("game", "beta")},
        "keyed.example": {"one": ("chat", "dev"), "two": ("game", "dev"), "three": ("game", "beta")},
    },
    frozenset({"game"}),
)
PUSH = ("@connections", ID)


@pytest.mark.parametrize(
    ("host", "target", "api_id", "stage", "rest"),
    [
        pytest.param("chat.example", "/", "chat", "dev", (), id="the domain itself"),
        pytest.param("chat.example", "", "chat", "dev", (), id="without a path"),
        pytest.param("chat.example", "/?token=1", "chat", "dev", (), id="with a query"),
        pytest.param("chat.example", "/v2", "game", "dev", (), id="a key"),
        pytest.param("chat.example", "/%762/", "game", "dev", (), id="percent-encoded, with a slash behind it"),
        pytest.param("chat.example", "/v2/beta", "game", "beta", (), id="the longest key wins"),
        pytest.param("chat.example", "/v2/other", "game", "dev", ("other",), id="with something behind it"),
        pytest.param("chat.example", "/v2%2Fbeta", "chat", "dev", ("v2/beta",), id="an encoded slash is no slash"),
        pytest.param("chat.example", "/V2", "chat", "dev", ("V2",), id="case counts"),
        pytest.param("chat.example", "/execute-api/game/beta", "chat", "dev", ("execute-api", "game", "beta"), id="a"),
        pytest.param("a.chat.example", "/game", "game", "beta", (), id="a wildcard"),
        pytest.param("chat.example", f"/@connections/{ID}", "chat", "dev", PUSH, id="a callback"),
        pytest.param("chat.example", f"/v2/@connections/{ID}", "game", "dev", PUSH, id="a callback behind a key"),
        pytest.param("chat.example", f"/dev/@connections/{ID}", "chat", "dev", PUSH, id="behind the domain's stage"),
        pytest.param("chat.example", f"/beta/%40connections/{ID}", "game", "beta", PUSH, id="the only such stage"),
        pytest.param("chat.example", f"/prod/@connections/{ID}", "chat", "dev", ("prod", *PUSH), id="no such stage"),
        pytest.param("keyed.example", f"/beta/@connections/{ID}", "game", "beta", PUSH, id="without a root"),
    ],
)  # fmt: skip
def test_a_domain_means(host: str, target: str, api_id: str, stage: str, rest: tuple[str, ...]) -> None:
    place = DOMAINS.resolve(host, target)

    assert (place.api_id, place.stage, place.rest) == (api_id, stage, rest)
    assert (place.prefix, place.prefix_elsewhere) == ("", f"/execute-api/{api_id}")
    assert not place.closed


@pytest.mark.parametrize(
    ("host", "target"),
    [
        pytest.param("a.chat.example", "/", id="nothing is mapped to the domain itself"),
        pytest.param("a.chat.example", "/gam", id="half a key"),
        pytest.param("keyed.example", f"/dev/@connections/{ID}", id="a stage that two APIs have"),
    ],
)
def test_a_domain_refuses(host: str, target: str) -> None:
    with pytest.raises(AccessDenied, match="no API mapping"):
        DOMAINS.resolve(host, target)


@pytest.mark.parametrize(
    ("host", "target", "closed"),
    [
        ("game.execute-api", "/dev", True),
        ("h", "/execute-api/game/dev", True),
        ("a.b.chat.example", "/dev", False),
        ("h", "/dev", False),
    ],
)
def test_the_default_endpoint_may_be_closed(host: str, target: str, closed: bool) -> None:
    assert DOMAINS.resolve(host, target).closed is closed


@given(st.sampled_from(["chat.example", "a.chat.example", "keyed.example"]), st.text())
def test_any_path_of_a_domain_gives_a_mapped_stage_or_a_gateway_error(host: str, target: str) -> None:
    try:
        place = DOMAINS.resolve(host, target)
    except GatewayError:
        return
    assert (place.api_id, place.stage) in {("chat", "dev"), ("game", "dev"), ("game", "beta")}


SEGMENT = st.sampled_from(["dev", "prod", "%64ev", "", "a", "..", ".", "%2e%2e", "a%5cb", "execute-api", "game", "@x"])


@given(st.lists(st.tuples(st.sampled_from(["", "game.execute-api", "own.example"]), st.lists(SEGMENT, min_size=1))))
def test_what_is_remembered_of_a_stage_means_the_same(requests: list[tuple[str, list[str]]]) -> None:
    apis = {"chat": frozenset({"dev", "prod"}), "game": frozenset({"dev"})}
    endpoints = Endpoints(apis, "chat", {"own.example": {"a": ("game", "dev")}}, frozenset({"game"}))
    for host, segments in requests:
        path = "/" + "/".join(segments)
        try:
            expected = endpoints.resolve(host, path)
        except GatewayError as error:
            with pytest.raises(type(error)):
                endpoints.enter(host, path)
            continue
        place, tail = endpoints.enter(host, path)
        assert tuple(tail) == expected.tail
        common = [
            (each.api_id, each.stage, each.prefix, each.domain, each.closed, each.base) for each in (place, expected)
        ]
        assert common[0] == common[1]
