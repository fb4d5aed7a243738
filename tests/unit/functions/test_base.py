"""Names of functions, as the Invoke API takes them (Lambda API reference, Invoke, FunctionName)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsgateway.functions import parse_name


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        pytest.param("chat", ("chat", ""), id="name"),
        pytest.param("chat:live", ("chat", "live"), id="alias"),
        pytest.param("chat:$LATEST", ("chat", "$LATEST"), id="latest"),
        pytest.param("function:chat", ("chat", ""), id="short"),
        pytest.param("function:chat:live", ("chat", "live"), id="short with alias"),
        pytest.param("123456789012:function:chat", ("chat", ""), id="partial ARN"),
        pytest.param("arn:aws:lambda:us-east-1:123456789012:function:chat", ("chat", ""), id="ARN"),
        pytest.param("arn:aws-cn:lambda:cn-north-1:123456789012:function:chat:7", ("chat", "7"), id="ARN with version"),
        pytest.param("", None, id="nothing"),
        pytest.param("a b", None, id="a blank"),
        pytest.param("x" * 65, None, id="65 characters"),
        pytest.param("arn:aws:sqs:us-east-1:123456789012:queue", None, id="ARN of something else"),
        pytest.param("chat:live:more", None, id="too many parts"),
    ],
)
def test_a_name(text: str, parsed: tuple[str, str] | None) -> None:
    assert parse_name(text) == parsed


@given(st.text())
def test_any_text_names_a_function_or_nothing(text: str) -> None:
    parsed = parse_name(text)

    assert parsed is None or parsed[0] in text
