"""PUBLISH at one place: what is refused at deploy, and what a broker is given."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.dataplane.values import connecting, disconnecting, message, quotas
from wsgateway.errors import ApiConfigurationError, IntegrationFailure, ServiceUnavailable
from wsgateway.integrations.base import Site
from wsgateway.integrations.publish.base import Publication, Refused
from wsgateway.integrations.publish.brokers import Brokers
from wsgateway.integrations.publish.publish import Publish
from wsgateway.integrations.publish.subjects import naming
from wsgateway.integrations.resilience import Resilience
from wsgateway.invocation import EventType, Invocation
from wsgateway.model.integration import Integration
from wsgateway.model.publish import parse_broker_uri, token_fault
from wsgateway.trace import Mark

REDIS = "redis://a/0/in"


def site(event_type: EventType = EventType.MESSAGE, **variables: str) -> Site:
    return Site(
        api_id="chat",
        definition=("integrations", "entries"),
        route_key="say",
        event_type=event_type,
        stage_variables=variables,
        quotas=quotas(),
        two_way=True,
    )


def integration(uri: str = REDIS, parameters: dict[str, str] | None = None, **more: Any) -> Integration:
    parameters = {f"integration.request.{key}": value for key, value in (parameters or {}).items()}
    written = {"integrationType": "PUBLISH", "integrationUri": uri, "requestParameters": parameters} | more
    return Integration.model_validate(written)


def resilience() -> Resilience:
    return Resilience(asyncio.get_running_loop(), lambda event, **facts: None)


class Taken:
    """A broker that takes everything, whatever its URI; what it was given."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.given: list[Publication] = []
        self.lost: Callable[[str], None] = lambda reason: None
        monkeypatch.setattr("wsgateway.integrations.publish.brokers.publisher", lambda broker: self)
        self.brokers = Brokers(lambda event, **facts: None)

    async def open(self) -> None: ...

    async def send(self, batch: Sequence[Publication], seconds: float) -> list[Any]:
        self.given += batch
        return [b"{}" for _ in batch]

    async def aclose(self) -> None: ...


async def given_for(
    monkeypatch: pytest.MonkeyPatch, definition: Integration, place: Site, event: Invocation
) -> Publication:
    taken = Taken(monkeypatch)
    answer = Publish(taken.brokers, resilience()).compile(definition, place)(event)
    assert isinstance(answer, asyncio.Future)
    assert (await answer).body == b"{}"
    await taken.brokers.aclose()
    (found,) = taken.given
    return found


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("definition", "said"),
    [
        pytest.param(integration(), None, id="right"),
        pytest.param(integration("nats://a/b.{x}", {"path.x": "'y'"}), None, id="right too"),
        pytest.param(integration("redis://${stageVariables.a}/0/in"), "the stage has no variable a", id="no variable"),
        pytest.param(
            integration("redis://${stageVariables.b}/0/in"),
            "with the stage's variables put in, it takes no ?options",
            id="a variable that breaks it",
        ),
        pytest.param(integration("nats://a/{room}"), "nothing fills {room}", id="a slot nobody fills"),
        pytest.param(integration("nats://a/b", {"path.room": "'x'"}), "has no {room}", id="a parameter without a slot"),
        pytest.param(
            integration("redis://a/0/{x}", {"path.x": "'y'"}), "takes no parameters", id="no slots in streams"
        ),
        pytest.param(integration(REDIS, {"querystring.x": "'y'"}), "takes no query parameters", id="a query parameter"),
        pytest.param(integration(REDIS, {"header.Body": "'y'"}), "Body is what the gateway itself tells", id="body"),
        pytest.param(integration(REDIS, {"header.connectionid": "'y'"}), "choose another name", id="in another case"),
        pytest.param(integration(REDIS, {"header.x": "context.nothing"}), "there is no $context.nothing", id="context"),
    ],
)
async def test_checks(definition: Integration, said: str | None) -> None:
    kind = Publish(Brokers(lambda event, **facts: None), resilience())
    found = [problem.text for problem in kind.check(definition, site(b="x?y"))]
    assert bool(found) == (said is not None), found
    if said is not None:
        assert said in " ".join(found)


@pytest.mark.anyio
async def test_a_message_with_what_is_mapped(monkeypatch: pytest.MonkeyPatch) -> None:
    mapped = {"header.user": "route.request.body.user", "header.none": "route.request.body.none"}
    found = await given_for(monkeypatch, integration(REDIS, mapped), site(), message('{"user": "a\\r\\nb"}'))
    assert (found.name, found.body) == ("in", b'{"user": "a\\r\\nb"}')
    fields = dict(found.fields)
    assert fields.pop("requestId")
    assert int(fields.pop("requestTimeEpoch"))
    assert fields == {
        "eventType": "MESSAGE",
        "apiId": "chat",
        "stage": "dev",
        "routeKey": "say",
        "connectionId": "AAAAAAAAAAAAAAAAAAAAAAAAAA==",
        "connectedAt": "1790208184123",
        "callbackUrl": "http://chat.example:8080/dev/@connections/AAAAAAAAAAAAAAAAAAAAAAAAAA%3D%3D",
        "binary": "false",
        "user": "a\r\nb",
    }


@pytest.mark.anyio
async def test_events_without_a_message(monkeypatch: pytest.MonkeyPatch) -> None:
    opened = await given_for(
        monkeypatch,
        integration(REDIS, {"header.agents": "route.request.multivalueheader.x"}),
        site(EventType.CONNECT),
        connecting("/dev", ("X", "1"), ("X", "2")),
    )
    assert opened.body == b""
    assert dict(opened.fields)["agents"] == "1, 2"
    goodbye = disconnecting(4000, "bye\r\nX: y\0")
    ended = await given_for(monkeypatch, integration("nats://a/b"), site(EventType.DISCONNECT), goodbye)
    fields = dict(ended.fields)
    assert fields["disconnectStatusCode"] == "4000"
    assert fields["disconnectReason"] == "bye  X: y ", "a client chooses it, so it must not end a header"
    assert "binary" not in fields


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("uri", "place", "value"),
    [
        pytest.param("nats://a/b", "header", "1\\r\\nY: 2", id="a header with a line's end"),
        pytest.param("nats://a/b.{x}", "path", "*", id="a wildcard"),
        pytest.param("nats://a/b.{x}", "path", "", id="an empty part"),
        pytest.param("nats://a/{x}.b", "path", "$JS", id="the server's own"),
        pytest.param("nats://a/" + "{x}" * 10, "path", "y" * 200, id="too long"),
    ],
)
async def test_what_can_not_be_sent(uri: str, place: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    definition = integration(uri, {f"{place}.x": "route.request.body.x"})
    with pytest.raises(ApiConfigurationError):
        await given_for(monkeypatch, definition, site(), message(f'{{"x": "{value}"}}'))


@pytest.mark.anyio
async def test_a_value_that_is_not_there_leaves_no_subject(monkeypatch: pytest.MonkeyPatch) -> None:
    definition = integration("nats://a/b.{x}", {"path.x": "route.request.body.x"})
    with pytest.raises(ApiConfigurationError, match="has no value"):
        await given_for(monkeypatch, definition, site(), message("{}"))


@pytest.mark.anyio
async def test_templates_and_overrides(monkeypatch: pytest.MonkeyPatch) -> None:
    template = (
        '#set($context.requestOverride.header.user = $input.path("$.user"))'
        '#set($context.requestOverride.path.room = "r1")'
        '{"said":$input.json("$.text")}'
    )
    definition = integration("nats://a/b.{room}", {"path.room": "'x'"}, requestTemplates={"$default": template})
    found = await given_for(monkeypatch, definition, site(), message('{"user": "ann", "text": "hi"}'))
    assert (found.name, found.body) == ("b.r1", b'{"said":"hi"}')
    assert dict(found.fields)["user"] == "ann"
    spoofing = {"$default": '#set($context.requestOverride.header.connectionId = "x")'}
    with pytest.raises(ApiConfigurationError, match="connectionId is what the gateway itself tells"):
        await given_for(monkeypatch, integration(REDIS, requestTemplates=spoofing), site(), message("{}"))


@pytest.mark.anyio
async def test_integration_responses_and_the_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = Taken(monkeypatch)
    responses = {"/200/": {"responseTemplates": {"$default": '{"queued":$input.json("$")}'}}}
    call = Publish(taken.brokers, resilience()).compile(integration(REDIS, integrationResponses=responses), site())
    event = message("{}")
    notes: dict[str, object] = {}

    class Noting:
        marks = False

        def note(self, step: str, value: object) -> None:
            notes[step] = value

    event.trace = Noting()
    answer = call(event)
    assert isinstance(answer, asyncio.Future)
    assert (await answer).body == b'{"queued":{}}'
    assert notes["endpoint request"] is taken.given[0]
    assert {"endpoint response", "integration response", "response template"} <= notes.keys()
    await taken.brokers.aclose()


@pytest.mark.anyio
async def test_who_takes_it_goes_on_with_the_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    mapped = {"header.traceparent": "'a client's'", "header.who": "'ann'"}

    class Marking:
        marks = True
        mark = Mark(b"00-a-b-01", b"Root=a")

        def note(self, step: str, value: object) -> None: ...

    for uri in (REDIS, "nats://a/in"):
        event = message("{}")
        event.trace = Marking()
        given = await given_for(monkeypatch, integration(uri, mapped), site(), event)
        assert given.fields[-2:] == [("who", "ann"), ("traceparent", "00-a-b-01")]
        assert [name for name, _ in given.fields].count("traceparent") == 1


@pytest.mark.anyio
async def test_a_template_that_is_wrong_is_told_with_its_place() -> None:
    definition = integration(REDIS, requestTemplates={"$default": "#if($x"})
    (problem,) = Publish(Brokers(lambda event, **facts: None), resilience()).check(definition, site())
    assert problem.path == ("requestTemplates", "$default")
    assert "line 1" in problem.text


@pytest.mark.anyio
async def test_a_cap(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = Taken(monkeypatch)
    kind = Publish(taken.brokers, resilience())
    call = kind.compile(integration(REDIS, maxConcurrency=1), site())
    first = call(message("1"))
    with pytest.raises(ServiceUnavailable, match="1 messages of the integration are under way"):
        call(message("2"))
    assert isinstance(first, asyncio.Future)
    await first
    assert kind.refused == 1
    await taken.brokers.aclose()


class Choosy(Taken):
    """A broker that refuses its first message."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, refusal: Refused) -> None:
        super().__init__(monkeypatch)
        self.refusal = refusal

    async def send(self, batch: Sequence[Publication], seconds: float) -> list[Any]:
        first = not self.given
        self.given += batch
        return [self.refusal if first else b"{}" for _ in batch]


@pytest.mark.anyio
@pytest.mark.parametrize("transient", [True, False], ids=["for now", "for good"])
async def test_what_a_broker_refuses_for_now_is_offered_again_where_that_is_said(
    monkeypatch: pytest.MonkeyPatch, transient: bool
) -> None:
    taken = Choosy(monkeypatch, Refused("not now", transient=transient))
    kind = Publish(taken.brokers, resilience())
    definition = integration(REDIS, retry={"on": [503], "backoffMillis": 0}, maxConcurrency=1)
    answer = kind.compile(definition, site())(message("1"))

    assert isinstance(answer, asyncio.Future)
    if transient:
        assert (await answer).body == b"{}"
        assert [publication.body for publication in taken.given] == [b"1", b"1"]
    else:
        with pytest.raises(IntegrationFailure, match="not now"):
            await answer
    await taken.brokers.aclose()


@pytest.mark.anyio
async def test_links_are_shared_by_those_who_are_the_same_there(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = Taken(monkeypatch)
    kind = Publish(taken.brokers, resilience())
    same = [integration("redis://a/0/in"), integration("redis://a:6379/0/other", publishConfig={"maxLength": 5})]
    others = [integration("redis://a/1/in"), integration(REDIS, publishConfig={"username": "u", "password": "p"})]
    uses = [(one, site()) for one in (*same, *others)]
    for use in uses:
        kind.compile(*use)
    kind.keep_only(uses)
    assert len(taken.brokers.outlets) == 3
    kind.keep_only(uses[:2])
    assert len(taken.brokers.outlets) == 1
    await taken.brokers.aclose()


@given(st.text() | st.text(alphabet="ab.*> $\r\n\0\u00e9", max_size=6))
def test_a_value_is_one_part_of_its_subject_or_none_at_all(value: str) -> None:
    name = naming(parse_broker_uri("nats://a/chat.{x}.in"))
    try:
        subject = name({"x": value})
    except ApiConfigurationError:
        return
    parts = subject.split(".")
    assert parts == ["chat", value, "in"]
    assert token_fault(*parts) is None
    assert not any(character.isspace() for character in subject)
    subject.encode()
