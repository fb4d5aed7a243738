"""Values of the data plane as tests need them: plain, with everything that doesn't matter filled in."""

from __future__ import annotations

from wsgateway.invocation import Client, EventType, Invocation
from wsgateway.messages import HttpRequest, Message
from wsgateway.model.quotas import Limits, Profile, Quotas, resolve

CONNECTION_ID = "AAAAAAAAAAAAAAAAAAAAAAAAAA=="


def client(
    *,
    api_id: str = "chat",
    stage: str = "dev",
    connection_id: str = CONNECTION_ID,
    domain_name: str = "chat.example:8080",
    user_agent: str | None = "tests/1",
) -> Client:
    return Client(
        api_id=api_id,
        stage=stage,
        connection_id=connection_id,
        connected_at=1_790_208_184_123,
        domain_name=domain_name,
        source_ip="203.0.113.9",
        user_agent=user_agent,
        callback_url=f"http://chat.example:8080/dev/@connections/{connection_id.replace('=', '%3D')}",
        forwarded=b"X-Forwarded-For: 203.0.113.9\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Port: 8080\r\n",
    )


def handshake(target: str = "/dev", *headers: tuple[str, str]) -> HttpRequest:
    """An upgrade request with `headers` besides Host."""
    written = (("Host", "chat.example:8080"), *headers)
    return HttpRequest(
        "GET",
        target,
        "chat.example",
        tuple((name.encode(), value.encode("latin-1")) for name, value in written),
        authority="chat.example:8080",
        source="203.0.113.9",
        port=8080,
    )


def message(body: str | bytes = "", *, binary: bool = False, route_key: str = "say", **variables: str) -> Invocation:
    """A MESSAGE event."""
    data = body.encode() if isinstance(body, str) else body
    return Invocation(client(), EventType.MESSAGE, route_key, variables, message=Message(data, binary))


def connecting(target: str = "/dev", *headers: tuple[str, str], **variables: str) -> Invocation:
    """A CONNECT event."""
    return Invocation(client(), EventType.CONNECT, "$connect", variables, request=handshake(target, *headers))


def disconnecting(code: int = 1001, reason: str = "Going away") -> Invocation:
    """A DISCONNECT event."""
    return Invocation(client(), EventType.DISCONNECT, "$disconnect", {}, status_code=code, reason=reason)


def quotas(profile: Profile = "open", limits: Limits | None = None) -> Quotas:
    return resolve(profile, limits or Limits())
