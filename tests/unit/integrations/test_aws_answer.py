"""What a service's refusal says, in each of AWS's forms."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsgateway.integrations.aws_answer import refusal_of
from wsgateway.messages import EndpointResponse


def answered(status: int, body: bytes, *headers: tuple[bytes, bytes]) -> EndpointResponse:
    return EndpointResponse(status, headers, body)


SIGNATURE = (
    "<ErrorResponse><Error><Code>SignatureDoesNotMatch</Code><Message>The signature we calculated does not match.\n"
    "\nThe Canonical String for this request should have been\n'POST\nx-amz-security-token:SECRET'</Message></Error>"
)


@pytest.mark.parametrize(
    ("answer", "code", "message", "result", "transient"),
    [
        pytest.param(
            answered(400, b'{"__type":"com.amazonaws.dynamodb.v20120810#ValidationException","message":"no key"}'),
            "ValidationException", "no key", "refused", False, id="JSON",
        ),
        pytest.param(
            answered(400, b'{"__type":"com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException"}'),
            "ProvisionedThroughputExceededException", "", "throttled", True, id="throttled by 400",
        ),
        pytest.param(
            answered(400, b'{"Message":"later"}', (b"x-amzn-ErrorType", b"ThrottlingException:http://internal/")),
            "ThrottlingException", "later", "throttled", True, id="by header",
        ),
        pytest.param(
            answered(
                403, b"<ErrorResponse><Error><Code>AuthorizationError</Code><Message>not you</Message>"
            ),
            "AuthorizationError", "not you", "denied", False, id="query",
        ),
        pytest.param(
            answered(404, b'{"Error":{"Code":"AWS.SimpleQueueService.NonExistentQueue","Message":"none","Type":"S"}}'),
            "AWS.SimpleQueueService.NonExistentQueue", "none", "refused", False, id="a query service's JSON",
        ),
        pytest.param(
            answered(503, b"<?xml version='1.0'?><Error><Code>SlowDown</Code><Message>Reduce</Message></Error>"),
            "SlowDown", "Reduce", "throttled", True, id="S3 throttles",
        ),
        pytest.param(answered(500, b""), "", "", "service_error", True, id="nothing said"),
        pytest.param(
            answered(400, b'{"__type":"ExpiredTokenException","message":"over"}'),
            "ExpiredTokenException", "over", "denied", True, id="keys that are over",
        ),
        pytest.param(
            answered(403, SIGNATURE.encode()),
            "SignatureDoesNotMatch", "The signature we calculated does not match.", "denied", False, id="our signature",
        ),
    ],
)  # fmt: skip
def test_a_refusal(answer: EndpointResponse, code: str, message: str, result: str, transient: bool) -> None:
    refusal = refusal_of(answer)

    assert (refusal.code, refusal.message, refusal.result, refusal.transient) == (code, message, result, transient)


def test_it_is_told_in_one_line() -> None:
    assert str(refusal_of(answered(400, json.dumps({"__type": "X", "message": "a\x1b[2Jb\nc"}).encode()))) == (
        r"answered 400 X a\x1b[2Jb"
    )


@given(
    st.integers(400, 599),
    st.binary(max_size=300)
    | st.recursive(
        st.none() | st.text() | st.integers(),
        lambda inner: (
            st.lists(inner) | st.dictionaries(st.sampled_from(["__type", "message", "Error", "Code", "code"]), inner)
        ),
    ).map(lambda v: json.dumps(v).encode()),
)
def test_any_answer_is_told(status: int, body: bytes) -> None:
    refusal = refusal_of(answered(status, body))

    assert str(refusal).startswith(f"answered {status}")
    assert len(str(refusal)) < 8000
    assert str(refusal).isprintable()
