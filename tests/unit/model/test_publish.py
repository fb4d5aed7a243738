"""Where PUBLISH may publish to, and who it is there."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsgateway.model import parse
from wsgateway.model.publish import BrokerUri, hidden, parse_broker_uri

FaultsIn = Callable[..., list[str]]

PUBLISH = "integrations: {x: {integrationType: PUBLISH, %s}}"


@pytest.mark.parametrize(
    ("uri", "means"),
    [
        ("redis://db/0/in", BrokerUri("redis", False, "single", (("db", 6379),), "in")),
        ("rediss://[::1]:7000/3/chat:in", BrokerUri("redis", True, "single", (("::1", 7000),), "chat:in", db=3)),
        ("redis://db/0/%7Ba%7D%2Fb%20c", BrokerUri("redis", False, "single", (("db", 6379),), "{a}/b c")),
        (
            "redis+sentinel://a,b:7/main/1/in",
            BrokerUri("redis", False, "sentinel", (("a", 26379), ("b", 7)), "in", service="main", db=1),
        ),
        ("rediss+cluster://a:1,b/0/{x}in", BrokerUri("redis", True, "cluster", (("a", 1), ("b", 6379)), "{x}in")),
        ("nats://a,b:7/chat.in", BrokerUri("nats", False, "single", (("a", 4222), ("b", 7)), "chat.in")),
        ("tls://a/in.{room}.x-{user.id}", BrokerUri("nats", True, "single", (("a", 4222),), "in.{room}.x-{user.id}")),
        ("nats://a/$KV.rooms.{room}", BrokerUri("nats", False, "single", (("a", 4222),), "$KV.rooms.{room}")),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_a_uri_means(uri: str, means: BrokerUri) -> None:
    assert parse_broker_uri(uri) == means


def test_slots_are_of_subjects_alone() -> None:
    """In a stream's name, braces are a Cluster's hash tag."""
    assert parse_broker_uri("nats://a/{x}.{y}").slots == ("x", "y")
    assert parse_broker_uri("redis://a/0/{x}").slots == ()


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("http://a/b", "begins with none of"),
        ("redis:/a", "begins with none of"),
        ("redis://me:pw@a/0/in", "must not hold a user or password"),
        ("redis://a/0/in?maxlen=3", "takes no ?options"),
        ("redis://a/in", "is not of the form redis://HOST[:6379]/DB/STREAM"),
        ("redis://a/0/", "is not of the form redis://"),
        ("redis://a/0/b/c", "a / in the stream's name is written %2F"),
        ("redis://a/x/in", "has no database before the stream"),
        ("redis://a,b/0/in", "takes one host"),
        ("redis:///0/in", "must name a host"),
        ("redis://a:0/0/in", "port 0 is none"),
        ("redis://a:99999/0/in", "port 99999 is none"),
        ("redis://a/0/in%0A", "characters that can't be printed"),
        ("redis://a/0/in%FF", "characters that can't be printed"),
        ("redis+sentinel://a/0/in", "is not of the form redis+sentinel://"),
        ("redis+cluster://a/1/in", "names a database, and a Cluster has one"),
        ("nats://a", "has no subject"),
        ("nats://a/", "has no subject"),
        ("nats://a/b..c", "with an empty part"),
        ("nats://a/b.", "with an empty part"),
        ("nats://a/b.*", "with a wildcard"),
        ("nats://a/b.>", "with a wildcard"),
        ("nats://a/b c", "with a space"),
        ("nats://a/b%0D%0AC", "with a space or a character that can't be printed"),
        ("nats://a/{b", "and no other braces"),
        ("nats://a/{}", "and no other braces"),
        ("nats://a/$JS.API.STREAM.PURGE.x", "under $JS, which is the server's own"),
        ("nats://a/$SYS.{x}", "under $SYS"),
        ("nats://a/" + "x" * 257, "with a part of over 256 characters"),
        ("nats://a/" + "x." * 600, "of over 1024 characters"),
    ],
    ids=lambda value: value[:30],
)
def test_what_is_wrong_with_a_uri(uri: str, said: str) -> None:
    with pytest.raises(ValueError) as refused:  # noqa: PT011 - its text is looked at
        parse_broker_uri(uri)
    assert said in str(refused.value)


@given(st.text(alphabet="redisnatl+:/@%0A{}.*>,[]x5 $\n\u00e9") | st.text())
def test_any_text_is_a_uri_or_told_what_is_wrong(text: str) -> None:
    for uri in (text, "redis://" + text, "nats://a/" + text):
        with suppress(ValueError):
            assert parse_broker_uri(uri).name


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        pytest.param("integrationUri: redis://a/0/in", None, id="redis"),
        pytest.param("integrationUri: 'nats://${stageVariables.a}/${stageVariables.b}.c'", None, id="variables"),
        pytest.param(
            "integrationUri: rediss://a/0/in, publishConfig: {username: u, password: p, maxLength: 9}", None, id="login"
        ),
        pytest.param("integrationUri: tls://a/b, tlsConfig: {serverNameToVerify: c.example}", None, id="another name"),
        pytest.param("", "integrationUri: is required: redis://HOST[:6379]/DB/STREAM or nats://", id="no URI"),
        pytest.param(
            "integrationUri: redis://u:hunter2@a/0/in",
            "integrationUri: redis://…@a/0/in must not hold a user or password; "
            "write publishConfig: {username: …, password: file:…}",
            id="a password in the URI",
        ),
        pytest.param(
            "integrationUri: 'redis://u:hunter2@${stageVariables.a}/0/in'", "must not hold a user", id="and more"
        ),
        pytest.param("integrationUri: 'nats://a/${context.x}'", "and no other ${…}", id="not of a stage"),
        pytest.param("integrationUri: nats://a/b, integrationMethod: PUT", "calls no HTTP backend", id="a method"),
        pytest.param("integrationUri: nats://a/b, tlsConfig: {}", "tlsConfig: has no effect", id="TLS without TLS"),
        pytest.param(
            "integrationUri: tls://a/b, tlsConfig: {insecureSkipVerification: true}",
            "give caCertificates",
            id="insecure",
        ),
        pytest.param(
            "integrationUri: rediss+cluster://a/0/b, tlsConfig: {serverNameToVerify: c}", "can't name one", id="cluster"
        ),
        pytest.param(
            "integrationUri: nats://a/b, publishConfig: {maxLength: 5}", "maxLength: has no effect", id="length in NATS"
        ),
        pytest.param(
            "integrationUri: redis://a/0/b, publishConfig: {acknowledgement: JETSTREAM}",
            "acknowledgement: has no effect",
            id="JetStream in Redis",
        ),
        pytest.param(
            "integrationUri: nats://a/b, publishConfig: {username: u}", "password: is required beside", id="no password"
        ),
        pytest.param(
            "integrationUri: nats://a/b, publishConfig: {password: 12345678}",
            "password: expected a string: write file:PATH, or ${NAME} in quotes",
            id="digits",
        ),
        pytest.param(
            "integrationUri: nats://a/b, publishConfig: {password: 'file:nowhere'}", "can't be read", id="no such file"
        ),
        pytest.param('integrationUri: nats://a/b, publishConfig: {password: ""}', "it is empty", id="empty"),
        pytest.param("integrationUri: nats://a/b, publishConfig: {maxLength: 0}", "is too small", id="no length"),
    ],
)
def test_definitions(lines: str, said: str | None, faults_in: FaultsIn) -> None:
    found = faults_in(PUBLISH % lines)
    assert bool(found) == (said is not None), found
    if said is not None:
        assert said in "\n".join(found)
    assert "hunter2" not in "\n".join(found)
    assert "12345678" not in "\n".join(found)


def test_others_have_no_broker(faults_in: FaultsIn) -> None:
    lines = "integrations: {x: {integrationType: HTTP_PROXY, integrationUri: http://a, publishConfig: {maxLength: 1}}}"
    assert faults_in(lines) == ["integrations.x.publishConfig: has no effect: it is for PUBLISH; remove it"]


def test_a_password_is_of_a_file_or_the_environment_and_never_shown(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("hunter2\n")
    text = """
apis:
  chat:
    protocolType: WEBSOCKET
    routeSelectionExpression: $request.body.action
    stages: {dev: {}}
    integrations:
      a: {integrationType: PUBLISH, integrationUri: nats://a/b, publishConfig: {password: "file:password"}}
      b: {integrationType: PUBLISH, integrationUri: nats://a/b, publishConfig: {password: "${PASSWORD}"}}
    routes: {a: {integration: a}, b: {integration: b}}
"""
    loaded = parse(text, "routes.yaml", {"PASSWORD": "hunter3"}, tmp_path)
    passwords = []
    for integration in loaded.definitions.apis["chat"].integrations.values():
        assert integration.publish_config is not None
        assert integration.publish_config.password is not None
        passwords.append(integration.publish_config.password.text)
    assert passwords == ["hunter2", "hunter3"]
    assert "hunter" not in repr(loaded.definitions)
    assert loaded.outside.keys() == {"file:password", "${PASSWORD}"}


def test_what_may_be_a_password_is_not_told() -> None:
    assert hidden("redis://a:b@c/0/d@e") == "redis://…@c/0/d@e"
    assert hidden("nats://a/b") == "nats://a/b"
