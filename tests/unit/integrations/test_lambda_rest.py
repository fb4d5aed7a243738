"""What the results of functions mean to clients of REST APIs, and where they stream, their metadata."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsgateway.errors import BadGateway
from wsgateway.integrations.lambda_rest import request_answer, streamed_answer
from wsgateway.messages import Header


class Body:
    """A body that nobody reads here."""

    def __aiter__(self) -> Body:
        return self

    async def __anext__(self) -> bytes:
        raise StopAsyncIteration

    def close(self) -> None: ...


@pytest.mark.parametrize(
    ("metadata", "status", "headers"),
    [
        pytest.param(b"{}", 200, (), id="nothing"),
        pytest.param(b'{"statusCode": "201"}', 201, (), id="a status in quotes"),
        pytest.param(b'{"headers": null, "cookies": null}', 200, (), id="nulls"),
        pytest.param(
            b'{"headers": {"X-A": "1"}, "multiValueHeaders": {"X-B": ["2", "3"]}, "cookies": ["c=4"]}',
            200,
            ((b"X-B", b"2"), (b"X-B", b"3"), (b"X-A", b"1"), (b"Set-Cookie", b"c=4")),
            id="headers and cookies",
        ),
    ],
)
def test_metadata(metadata: bytes, status: int, headers: tuple[Header, ...]) -> None:
    body = Body()
    answer = streamed_answer(metadata, body)

    assert (answer.status, answer.headers, answer.stream, answer.body) == (status, headers, body, None)


@pytest.mark.parametrize(
    ("metadata", "why"),
    [
        pytest.param(b"", "not an object", id="empty"),
        pytest.param(b"{", "is not JSON", id="no JSON"),
        pytest.param(b"[1]", "not an object", id="a list"),
        pytest.param(b'{"body": ""}', "has a key that none has: 'body'", id="a body"),
        pytest.param(b'{"isBase64Encoded": false}', "has a key that none has", id="isBase64Encoded"),
        pytest.param(b'{"statusCode": 99}', "statusCode", id="a status"),
        pytest.param(b'{"cookies": "a=1"}', "cookies", id="a cookie"),
        pytest.param(b'{"headers": {"X-A": []}}', "no text for 'X-A'", id="a list as header"),
    ],
)
def test_what_is_none(metadata: bytes, why: str) -> None:
    with pytest.raises(BadGateway) as refusal:
        streamed_answer(metadata, Body())
    assert why in refusal.value.reason


def test_a_result_that_does_not_stream() -> None:
    with pytest.raises(BadGateway) as refusal:
        streamed_answer(b'{"statusCode": 200, "body": ""}', None)
    assert "awslambda.HttpResponseStream.from" in refusal.value.reason


@given(st.binary(max_size=200))
def test_any_metadata_is_an_answer_or_a_bad_gateway(metadata: bytes) -> None:
    with suppress(BadGateway):
        streamed_answer(metadata, Body())


@pytest.mark.parametrize(
    ("result", "status", "headers"),
    [
        pytest.param(b'{"statusCode": 201.0}', 201, (), id="a whole number"),
        pytest.param(b'{"headers": {"X-Amzn-Trace-Id": "Root=1"}}', 200, (), id="the trace is the gateway's to tell"),
        pytest.param(b'{"multiValueHeaders": {"X": [null, "a"]}}', 200, ((b"X", b"a"),), id="null is no value"),
        pytest.param(
            b'{"headers": {"x": "1", "X-B": true}, "multiValueHeaders": {"X": ["2"]}}',
            200,
            ((b"X", b"2"), (b"X", b"1"), (b"X-B", b"true")),
            id="several values come first, in their spelling",
        ),
    ],
)
def test_results(result: bytes, status: int, headers: tuple[Header, ...]) -> None:
    answer = request_answer(result)

    assert (answer.status, answer.headers) == (status, headers)


@pytest.mark.parametrize("result", [b'{"headers": []}', b'{"headers": ""}', b'{"statusCode": 200.5}'])
def test_no_results(result: bytes) -> None:
    with pytest.raises(BadGateway):
        request_answer(result)
