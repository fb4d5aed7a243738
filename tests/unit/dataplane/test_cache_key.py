"""What tells requests apart whose answers are kept (API Gateway developer guide, "Cache settings for REST APIs")."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsgateway.dataplane.cache_key import key_of
from wsgateway.invocation import Client, EventType
from wsgateway.messages import HttpRequest
from wsgateway.method_request import MethodRequest
from wsgateway.model.rest import RestApi

METHOD = {
    "requestParameters": {
        "method.request.querystring.q": False,
        "method.request.path.id": True,
        "method.request.header.X-Tenant": False,
        "method.request.header.Authorization": False,
    }
}


def key(
    target: str = "/v1/a/1",
    *headers: tuple[bytes, bytes],
    names: tuple[str, ...] = (),
    verb: str = "GET",
    path: str = "/a/{id}",
    taken: str = "1",
    access_key: str = "",
    api: dict[str, Any] | None = None,
    **integration: Any,
) -> bytes:
    """A request's, where these parameters are named."""
    written = {"type": "MOCK", "cacheKeyParameters": list(names)} | integration
    read = RestApi.model_validate(
        {"protocolType": "REST", "stages": {"v1": {}}, "paths": {path: {"GET": METHOD | {"integration": written}}}}
        | (api or {})
    )
    client = Client(
        api_id="shop", stage="v1", connection_id="", connected_at=0, domain_name="h", source_ip="1.2.3.4",
        user_agent=None, callback_url="", forwarded=b"",
    )  # fmt: skip
    if access_key:
        client.identity = {"accessKey": access_key}
    request = MethodRequest(
        client, EventType.REQUEST, f"{verb} {path}", {}, request=HttpRequest(verb, target, "h", headers), resource=path,
        http_method=verb, path="/v1/a/1", tail="a/1", path_parameters={"id": taken}, account_id="000000000000",
    )  # fmt: skip
    return key_of(read, path, read.integration_of(read.paths[path]["GET"]))(request)


def q(*values: str) -> str:
    return "/v1/a/1?" + "&".join(f"q={value}" for value in values)


QUERY, HEADER = ("method.request.querystring.q",), ("method.request.header.X-Tenant",)
PROXY = {"type": "HTTP_PROXY", "httpMethod": "GET", "uri": "http://a.example/"}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param(key(), key("/v1/a/1?q=1"), id="what is not named"),
        pytest.param(key(), key(taken="2"), id="a path parameter that is not named"),
        pytest.param(key(), key("/v1/a/1", (b"Accept", b"text/plain")), id="what is accepted, where it has no part"),
        pytest.param(key("/v1/a/1?q=a%20b", names=QUERY), key("/v1/a/1?q=a+b", names=QUERY), id="encodings"),
        pytest.param(
            key("/", (b"x-tenant", b"a"), names=HEADER), key("/", (b"X-TENANT", b"a"), names=HEADER), id="case"
        ),
        pytest.param(
            key(path="/a/{id}", cacheNamespace="ours"), key(path="/b/{id}", cacheNamespace="ours"), id="a namespace"
        ),
        pytest.param(
            key(path="/a/{id}"), key(path="/b/{id}", cacheNamespace="/a/{id}"), id="another resource's namespace"
        ),
        pytest.param(
            key("/", (b"Accept-Encoding", b"gzip, br"), **PROXY),
            key("/", (b"accept-encoding", b"GZIP,br"), **PROXY),
            id="codings as others write them",
        ),
    ],
)
def test_what_does_not_tell_requests_apart(one: bytes, other: bytes) -> None:
    assert one == other


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param(key(q("1"), names=QUERY), key(q("2"), names=QUERY), id="a value"),
        pytest.param(key(q(), names=QUERY), key(q(""), names=QUERY), id="none, and an empty one"),
        pytest.param(key(q("1", "2"), names=QUERY), key(q("3", "2"), names=QUERY), id="all values count"),
        pytest.param(
            key("/", (b"X-Tenant", b"a"), names=HEADER),
            key("/", (b"X-Tenant", b"a"), (b"x-tenant", b"b"), names=HEADER),
            id="of a header too, however it is written",
        ),
        pytest.param(
            key(taken="a%2Fb", names=("method.request.path.id",)),
            key(taken="a/b", names=("method.request.path.id",)),
            id="a path as it came",
        ),
        pytest.param(key(verb="GET"), key(verb="HEAD"), id="the verb"),
        pytest.param(key(path="/a/{id}"), key(path="/b/{id}"), id="the resource"),
        pytest.param(key(q("1"), names=QUERY), key(q("1")), id="other parameters"),
        pytest.param(
            key("/", (b"Accept-Encoding", b"gzip"), **PROXY), key("/", **PROXY), id="what a backend may compress by"
        ),
        pytest.param(
            key("/", (b"Accept", b"image/png"), api={"binaryMediaTypes": ["image/png"]}),
            key("/", (b"Accept", b"text/plain"), api={"binaryMediaTypes": ["image/png"]}),
            id="bytes and text",
        ),
        pytest.param(
            key(names=("method.request.header.Authorization",), access_key="AKIA1"),
            key(names=("method.request.header.Authorization",), access_key="AKIA2"),
            id="who signs",
        ),
    ],
)
def test_what_tells_requests_apart(one: bytes, other: bytes) -> None:
    assert one != other


def test_what_is_mapped_is_read_as_the_mapping_reads_it() -> None:
    names = ("integration.request.header.X-Of", "integration.request.querystring.fixed")
    mapped = {"integration.request.header.X-Of": "method.request.body.name", names[1]: "'x'"}

    def of(body: bytes) -> bytes:
        integration = PROXY | {"cacheKeyParameters": list(names), "requestParameters": mapped}
        api = RestApi.model_validate(
            {"protocolType": "REST", "stages": {"v1": {}}, "paths": {"/a": {"POST": {"integration": integration}}}}
        )
        client = Client(
            api_id="shop", stage="v1", connection_id="", connected_at=0, domain_name="h", source_ip="1.2.3.4",
            user_agent=None, callback_url="", forwarded=b"",
        )  # fmt: skip
        request = MethodRequest(
            client, EventType.REQUEST, "POST /a", {}, request=HttpRequest("POST", "/v1/a", "h"), resource="/a",
            http_method="POST", path="/v1/a", tail="a", path_parameters={}, account_id="000000000000",
        )  # fmt: skip
        request.payload = body
        return key_of(api, "/a", api.integration_of(api.paths["/a"]["POST"]))(request)

    assert of(b'{"name":"a","more":1}') == of(b'{"name":"a"}')
    assert of(b'{"name":"a"}') != of(b'{"name":"b"}')


@given(st.lists(st.binary(max_size=9)), st.lists(st.binary(max_size=9)))
def test_values_never_run_into_one_another(one: list[bytes], other: list[bytes]) -> None:
    """Of two requests with different values of a header the keys differ."""
    keys = [key("/", *((b"X-Tenant", value) for value in values), names=HEADER) for values in (one, other)]
    assert (keys[0] == keys[1]) == (one == other)
