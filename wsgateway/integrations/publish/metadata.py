"""What a broker is told of an event besides its body: fields of a Redis entry, headers of a NATS message."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from wsgateway.integrations.publish.base import Fields
from wsgateway.invocation import CONTEXT, EventType, Invocation

_ALWAYS = (
    "eventType",
    "apiId",
    "stage",
    "routeKey",
    "connectionId",
    "connectedAt",
    "requestId",
    "requestTimeEpoch",
    "callbackUrl",
)

NAMES: Mapping[EventType, tuple[str, ...]] = {
    EventType.CONNECT: _ALWAYS,
    EventType.MESSAGE: _ALWAYS,
    EventType.DISCONNECT: (*_ALWAYS, "disconnectStatusCode", "disconnectReason"),
}
"""The context variables that go along with each kind of event, under their own names."""

BINARY = "binary"
"""Says of a message whether its body is bytes, `true`, or text, `false`."""

BODY = "body"
"""The field of a Redis entry that holds the body."""

RESERVED = frozenset(
    {BODY.lower(), BINARY.lower()}.union(*[{name.lower() for name in names} for names in NAMES.values()])
)
"""No mapping sets these, whatever their case: whoever reads them may trust them."""


def metadata(event_type: EventType) -> Callable[[Invocation, bool], Fields]:
    """What gives these fields of an event; its second argument says whether the body of a message is bytes."""
    readers = [(name, CONTEXT[name]) for name in NAMES[event_type]]
    is_message = event_type is EventType.MESSAGE

    def read(invocation: Invocation, binary: bool) -> Fields:
        fields = [(name, str(value)) for name, variable in readers if (value := variable(invocation)) is not None]
        if is_message:
            fields.append((BINARY, "true" if binary else "false"))
        return fields

    return read
