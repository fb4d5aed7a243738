"""What holds in each profile, and what a file may set."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from wsgateway.model import Limits, Profile, Quotas, resolve

FaultsIn = Callable[..., list[str]]


def test_the_aws_profile_has_awss_quotas() -> None:
    """Developer guide, "Amazon API Gateway quotas": WebSocket APIs."""
    assert resolve("aws", Limits()) == Quotas(
        profile="aws",
        binary=False,
        max_frame_bytes=32768,
        max_message_bytes=131072,
        idle_timeout=600,
        max_connection=7200,
        ping_interval=0,
        pong_timeout=10,
        max_in_flight=64,
        outbox_bytes=1048576,
        outbox_messages=1024,
        stalled_write=30,
        handshake_seconds=10,
        new_connections_per_second=500,
        connections_per_source=0,
        integration_timeout=29,
        max_integration_timeout=29,
    )


def test_the_open_profile_is_roomier() -> None:
    assert resolve("open", Limits()) == Quotas(
        profile="open",
        binary=True,
        max_frame_bytes=1048576,
        max_message_bytes=1048576,
        idle_timeout=600,
        max_connection=0,
        ping_interval=30,
        pong_timeout=10,
        max_in_flight=64,
        outbox_bytes=2097152,
        outbox_messages=1024,
        stalled_write=30,
        handshake_seconds=10,
        new_connections_per_second=0,
        connections_per_source=0,
        integration_timeout=29,
        max_integration_timeout=300,
    )


@pytest.mark.parametrize(
    ("profile", "message", "frame", "outbox"),
    [
        pytest.param("open", 4 << 20, 4 << 20, 8 << 20, id="larger messages"),
        pytest.param("open", 1000, 1000, 1 << 20, id="smaller messages"),
        pytest.param("aws", 4 << 20, 32768, 8 << 20, id="larger messages keep AWS's frames"),
        pytest.param("aws", 1000, 1000, 1 << 20, id="no frame exceeds a message"),
    ],
)
def test_what_follows_from_the_message_limit(profile: Profile, message: int, frame: int, outbox: int) -> None:
    quotas = resolve(profile, Limits.model_validate({"maxMessageBytes": message}))

    assert (quotas.max_frame_bytes, quotas.outbox_bytes) == (frame, outbox)


def test_every_limit_may_be_set_and_seconds_have_fractions() -> None:
    limits = Limits.model_validate(
        {
            "maxFrameBytes": 1,
            "maxMessageBytes": 2,
            "idleTimeoutSeconds": 0.3,
            "maxConnectionSeconds": 0.4,
            "pingIntervalSeconds": 0.5,
            "pongTimeoutSeconds": 0.6,
            "maxInFlight": 7,
            "outboxBytes": 8,
            "outboxMessages": 9,
            "stalledWriteSeconds": 10.5,
            "handshakeSeconds": 11,
            "newConnectionsPerSecond": 0.5,
            "connectionsPerSource": 12,
            "integrationTimeoutMillis": 1200,
        }
    )
    assert resolve("aws", limits) == Quotas(
        profile="aws",
        binary=False,
        max_frame_bytes=1,
        max_message_bytes=2,
        idle_timeout=0.3,
        max_connection=0.4,
        ping_interval=0.5,
        pong_timeout=0.6,
        max_in_flight=7,
        outbox_bytes=8,
        outbox_messages=9,
        stalled_write=10.5,
        handshake_seconds=11,
        new_connections_per_second=0.5,
        connections_per_source=12,
        integration_timeout=1.2,
        max_integration_timeout=29,
    )


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        pytest.param(
            "limits: {maxMessageBytes: 0}", "limits.maxMessageBytes: 0 is too small; it must be at least 1", id="zero"
        ),
        pytest.param(
            "limits: {maxMessageBytes: 67108865}",
            "limits.maxMessageBytes: 67108865 is too large; it must be at most 67108864",
            id="over 64 MiB",
        ),
        pytest.param(
            "limits: {idleTimeoutSeconds: 0}",
            "limits.idleTimeoutSeconds: 0 is too small; it must be more than 0",
            id="no time at all",
        ),
        pytest.param(
            "limits: {idleTimeoutSeconds: .nan}",
            "limits.idleTimeoutSeconds: expected a finite number, got nan",
            id="not a number",
        ),
        pytest.param(
            "limits: {maxInFlight: 1.5}", "limits.maxInFlight: expected a whole number, got 1.5", id="half a message"
        ),
        pytest.param(
            "limits: {maxInFlight: '8'}",
            "limits.maxInFlight: expected a whole number, got the string 8",
            id="a number in quotes",
        ),
        pytest.param(
            "limits: {maxInFlight: true}",
            "limits.maxInFlight: expected a whole number, got true",
            id="true is no number",
        ),
        pytest.param(
            "limits: {maxInFlight: }", "limits.maxInFlight: is empty; give it a value or remove it", id="nothing"
        ),
        pytest.param(
            f"limits: {{maxInFlight: 0x{'f' * 1000}}}",
            "limits.maxInFlight: a huge number is too large; it must be at most 1000000",
            id="a huge number",
        ),
        pytest.param(
            "limits: {maxFrameBytes: 2000000}",
            "limits.maxFrameBytes: 2000000 is more than a message may have (1048576)",
            id="a frame larger than a message",
        ),
        pytest.param(
            "profile: aws\nlimits: {integrationTimeoutMillis: 29001}",
            "limits.integrationTimeoutMillis: 29001 is too large; the aws profile allows at most 29000",
            id="a default timeout over AWS's",
        ),
        pytest.param(
            "profile: aws\nintegrations: {x: {integrationType: HTTP_PROXY, integrationUri: http://a,"
            " timeoutInMillis: 30000}}",
            "integrations.x.timeoutInMillis: 30000 is too large; the aws profile allows at most 29000",
            id="an integration's timeout over AWS's",
        ),
        pytest.param(
            "profile: aws\nroutes: {say: {integration: {integrationType: HTTP_PROXY, integrationUri: http://a,"
            " timeoutInMillis: 30000}}}",
            "routes.say.integration.timeoutInMillis: 30000 is too large; the aws profile allows at most 29000",
            id="an inline integration's timeout over AWS's",
        ),
        pytest.param(
            "limits: {integrationTimeoutMillis: 300001}",
            "limits.integrationTimeoutMillis: 300001 is too large; it must be at most 300000",
            id="a timeout over ours",
        ),
        pytest.param(
            "limits: {newConnectionsPerSecond: 0}",
            "limits.newConnectionsPerSecond: 0 is too small; it must be more than 0",
            id="nobody may come in",
        ),
        pytest.param(
            "limits: {connectionsPerSource: 0.5}",
            "limits.connectionsPerSource: expected a whole number, got 0.5",
            id="half a connection",
        ),
        pytest.param("profile: azure", "profile: azure is none of aws, open", id="an unknown profile"),
    ],
)
def test_limits_that_are_refused(lines: str, said: str, faults_in: FaultsIn) -> None:
    assert faults_in(lines) == [said]
