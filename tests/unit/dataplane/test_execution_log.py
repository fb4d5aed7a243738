"""The execution log of one event (API Gateway developer guide, "Set up WebSocket API logging")."""

from __future__ import annotations

import pytest

from tests.unit.dataplane.values import message
from wsgateway.dataplane.execution_log import ExecutionLog, Logging
from wsgateway.messages import EndpointRequest

REQUEST = EndpointRequest(b"GET /ws?token=s3cret HTTP/1.1\r\nHost: backend\r\n", b"", "GET")


@pytest.mark.parametrize(
    ("data", "uri"),
    [
        pytest.param(False, "backend/ws", id="steps alone"),
        pytest.param(True, "backend/ws?token=s3cret", id="what was said, too"),
    ],
)
def test_a_query_string_is_told_with_the_data_alone(data: bool, uri: str) -> None:
    lines: list[str] = []
    log = ExecutionLog(lambda event, **facts: lines.append(str(facts["text"])), Logging(True, data), message("{}"))

    log.note("endpoint request", REQUEST)

    assert f"Endpoint request URI: {uri}" in lines
    assert f"Sending request to {uri}" in lines


def test_the_key_that_is_counted_is_told_by_its_name() -> None:
    lines: list[str] = []
    event = message("{}")
    log = ExecutionLog(lambda _, **facts: lines.append(str(facts["text"])), Logging(True, False), event)

    log.note("usage plan", "mobile")

    said = f"Verifying Usage Plan for request: {event.request_id}. API Key: mobile API Stage: chat/dev"
    assert lines[-1] == said
