"""Requests of REST APIs, as tests of what decides about them need them."""

from __future__ import annotations

from collections.abc import Mapping

from wsgateway.invocation import Client, EventType
from wsgateway.messages import Header, HttpRequest
from wsgateway.method_request import MethodRequest


def method_request(
    resource: str = "/pets",
    taken: Mapping[str, str] | None = None,
    *,
    method: str = "GET",
    headers: tuple[Header, ...] = (),
    source: str = "203.0.113.7",
    forwarded: bytes = b"",
) -> MethodRequest:
    """A request of stage v1 of the API shop; `taken` is what the resource's variables took of its path."""
    client = Client(
        api_id="shop",
        stage="v1",
        connection_id="",
        connected_at=0,
        domain_name="shop.example",
        source_ip=source,
        user_agent=None,
        callback_url="",
        forwarded=forwarded,
    )
    return MethodRequest(
        client,
        EventType.REQUEST,
        f"{method} {resource}",
        {},
        request=HttpRequest(method, f"/v1{resource}", "shop.example", headers, source=source),
        resource=resource,
        http_method=method,
        path=f"/v1{resource}",
        tail=resource,
        path_parameters=taken or {},
        account_id="123456789012",
    )
