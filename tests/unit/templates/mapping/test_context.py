"""`$context`, `$stageVariables` and overrides.

API Gateway developer guide, "WebSocket API mapping template reference" and "Use a mapping template to override an API's
request and response parameters and status codes".
"""

from __future__ import annotations

import pytest

from tests.unit.dataplane.values import CONNECTION_ID, connecting, disconnecting, message
from wsgateway.invocation import CONTEXT, Invocation
from wsgateway.templates.mapping import (
    Overrides,
    request_names,
    request_overrides,
    response_names,
    response_overrides,
)
from wsgateway.templates.vtl.values import (
    ArrayList,
    NoMethod,
    RenderError,
    Value,
    Work,
    call,
    equal,
    index,
    iterate,
    member,
    set_index,
    set_member,
    text,
    truth,
)


def context(invocation: Invocation) -> Value:
    return request_names(invocation)["context"]


def reached(value: Value, *names: str) -> Value:
    for name in names:
        value = member(value, name)
    return value


@pytest.mark.parametrize("invocation", [message(), connecting(), disconnecting()], ids=lambda i: i.event_type.value)
@pytest.mark.parametrize("name", CONTEXT)
def test_every_variable_is_what_the_event_says(invocation: Invocation, name: str) -> None:
    found = reached(context(invocation), *name.split("."))

    assert found == CONTEXT[name](invocation)
    assert text(found, Work()) == (invocation.context(name) or "")


def test_a_missing_variable() -> None:
    for missing in (reached(context(message()), "nothing"), reached(context(message()), "identity", "nothing")):
        assert text(missing, Work()) == ""
        assert equal(missing, "", Work())
        assert not truth(missing)


def test_ids_are_made_only_when_asked_for() -> None:
    invocation = message()
    reached(context(invocation), "connectionId")

    assert (invocation._request_id, invocation._message_id, invocation._epoch) == ("", "", 0)


def test_it_is_a_map() -> None:
    found = context(message(route_key="say"))

    assert index(found, "stage") == "dev"
    assert call(found, "get", ["stage"], Work()) == "dev"
    assert call(found, "put", ["k", "v"], Work()) is None
    assert call(found, "put", ["stage", "other"], Work()) == "dev"
    assert reached(found, "k") == "v"
    assert reached(found, "stage") == "other"
    assert call(found, "containsKey", ["connectionId"], Work()) is True
    call(found, "remove", ["connectionId"], Work())
    assert reached(found, "connectionId") is None
    assert reached(found, "routeKey") == "say"


def test_keys_are_in_the_order_of_the_reference_and_only_those_with_a_value() -> None:
    found = context(disconnecting(1009, "too big"))
    set_member(found, "mine", 1)

    keys = call(found, "keySet", [], Work())

    assert text(keys, Work()) == (
        "[apiId, stage, domainName, domainPrefix, routeKey, eventType, messageDirection, connectionId, connectedAt, "
        "requestId, extendedRequestId, requestTime, requestTimeEpoch, disconnectStatusCode, disconnectReason, "
        "identity, callbackUrl, requestOverride, responseOverride, mine]"
    )
    assert len(iterate(found, Work())) == 20


def test_it_prints_as_a_map() -> None:
    printed = text(context(message()), Work())

    assert printed.startswith("{apiId=chat, stage=dev, domainName=chat.example:8080, ")
    assert f"connectionId={CONNECTION_ID}, " in printed
    assert "identity={sourceIp=203.0.113.9, userAgent=tests/1}, " in printed
    assert printed.endswith("requestOverride={header={}, path={}, querystring={}}, responseOverride={header={}}}")


def test_printing_a_context_that_holds_itself_ends() -> None:
    found = context(message())
    set_member(found, "self", found)

    with pytest.raises(RenderError):
        text(found, Work())


def test_there_is_nothing_of_python() -> None:
    for name in ("_values", "whole", "given", "__class__", "member"):
        assert reached(context(message()), name) is None
        with pytest.raises(NoMethod):
            call(context(message()), name, [], Work())


def test_what_the_request_template_changed_is_seen_by_the_response_template() -> None:
    invocation = message()
    set_member(reached(context(invocation), "responseOverride"), "custom", "kept")
    set_member(context(invocation), "mine", "kept")

    later = response_names(invocation, b"")["context"]

    assert reached(later, "responseOverride", "custom") == "kept"
    assert reached(later, "mine") == "kept"


def test_what_an_authorizer_said() -> None:
    invocation = message()
    invocation.client.authorizer = {"principalId": "u-1", "claims": {"sub": "u-1", "scope": "a b"}}
    found = context(invocation)

    assert text(reached(found, "authorizer"), Work()) == "{principalId=u-1, claims={sub=u-1, scope=a b}}"
    assert reached(found, "authorizer", "claims", "scope") == "a b"
    set_member(reached(found, "authorizer", "claims"), "scope", "all")
    assert invocation.client.authorizer["claims"]["scope"] == "a b"


def test_stage_variables_are_the_templates_own() -> None:
    invocation = message(backend="127.0.0.1:8000")
    found = request_names(invocation)["stageVariables"]

    assert reached(found, "backend") == index(found, "backend") == "127.0.0.1:8000"
    assert reached(found, "missing") is None
    set_member(found, "backend", "elsewhere")
    assert invocation.stage_variables["backend"] == "127.0.0.1:8000"


# Overrides


def test_without_a_template_there_are_no_overrides() -> None:
    assert request_overrides(message()) == Overrides()
    assert response_overrides(message()) == Overrides()


def test_a_template_that_sets_none_leaves_none() -> None:
    invocation = message()
    text(context(invocation), Work())

    assert request_overrides(invocation) == Overrides()
    assert response_overrides(invocation) == Overrides()


def test_request_overrides() -> None:
    invocation = message()
    override = reached(context(invocation), "requestOverride")
    set_member(reached(override, "header"), "X-One", "1")
    set_member(reached(override, "header"), "X-Many", ArrayList(["a", 2, True]))
    set_member(reached(override, "header"), "X-None", None)
    set_index(reached(override, "querystring"), "a b", ["x", {"k": "v"}])
    set_member(reached(override, "path"), "id", 7)

    assert request_overrides(invocation) == Overrides(
        header={"X-One": ["1"], "X-Many": ["a", "2", "true"]}, querystring={"a b": ["x", "{k=v}"]}, path={"id": "7"}
    )
    assert response_overrides(invocation) == Overrides()


def test_response_overrides() -> None:
    invocation = message()
    override = reached(context(invocation), "responseOverride")
    set_member(override, "status", 400)
    set_member(reached(override, "header"), "Location", "/there")

    assert response_overrides(invocation) == Overrides(header={"Location": ["/there"]}, status=400)


@pytest.mark.parametrize("status", [99, 600, -1, "400", 400.0, None, True, [], 10**30])
def test_a_status_that_is_none_is_ignored(status: Value) -> None:
    invocation = message()
    set_member(reached(context(invocation), "responseOverride"), "status", status)

    assert response_overrides(invocation).status is None


@pytest.mark.parametrize("given", ["text", [], 7, {"header": "text", "path": [], "querystring": 1}, {}], ids=repr)
def test_overrides_of_another_shape_are_ignored(given: Value) -> None:
    invocation = message()
    set_member(context(invocation), "requestOverride", given)
    set_member(context(invocation), "responseOverride", given)

    assert request_overrides(invocation) == Overrides()
    assert response_overrides(invocation) == Overrides()
