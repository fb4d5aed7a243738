"""The stream or subject of each message: the same for all, but where parameters stand in a NATS subject."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from wsgateway.errors import ApiConfigurationError
from wsgateway.model.publish import MAX_SUBJECT, BrokerUri, token_fault

_slot = re.compile(r"\{([A-Za-z0-9._$-]+)\}")


def naming(uri: BrokerUri) -> Callable[[Mapping[str, str]], str]:
    """What gives the name for a message's mapped path parameters.

    It *raises* ApiConfigurationError where a value is missing, or would be more than a part of its token.
    """
    name = uri.name
    if not uri.slots:
        return lambda parameters: name

    def filled(parameters: Mapping[str, str]) -> str:
        subject = _slot.sub(lambda found: _value(parameters, found[1]), name)
        if len(subject.encode()) > MAX_SUBJECT:
            raise ApiConfigurationError(f"the subject is over {MAX_SUBJECT} bytes")
        return subject

    return filled


def _value(parameters: Mapping[str, str], slot: str) -> str:
    value = parameters.get(slot)
    if not value:
        raise ApiConfigurationError(f"the subject's {{{slot}}} has no value")
    fault = token_fault(value)
    if fault is None and "." in value:
        fault = "with a dot, which would begin another part"
    if fault is None and value.startswith("$"):
        fault = "that begins with $, as the server's own do"
    if fault is not None:
        raise ApiConfigurationError(f"the value of {{{slot}}} would make a subject {fault}")
    return value
