"""Which function a URI names, and how Lambda is asked for it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsgateway.integrations.lambda_target import Target, other_mode, parse_target

ARN = "arn:aws:lambda:eu-central-1:123456789012:function:chat"
STREAMING = "arn:aws:apigateway:{}:lambda:path/2021-11-15/functions/{}/response-streaming-invocations"
LONG = "arn:aws:apigateway:{}:lambda:path/2015-03-31/functions/{}/invocations"


@pytest.mark.parametrize(
    ("uri", "target"),
    [
        pytest.param("function:chat", Target("chat", "", "chat"), id="short"),
        pytest.param("function:chat:live", Target("chat", "live", "chat"), id="with an alias"),
        pytest.param("chat", Target("chat", "", "chat"), id="a name"),
        pytest.param(
            "123456789012:function:chat:7", Target("chat", "7", "123456789012:function:chat"), id="a partial ARN"
        ),
        pytest.param(ARN, Target("chat", "", ARN, "eu-central-1", "aws"), id="an ARN"),
        pytest.param(f"{ARN}:$LATEST", Target("chat", "$LATEST", ARN, "eu-central-1", "aws"), id="a qualified ARN"),
        pytest.param(
            LONG.format("eu-central-1", f"{ARN}:live"), Target("chat", "live", ARN, "eu-central-1", "aws"), id="long"
        ),
        pytest.param(
            STREAMING.format("eu-central-1", ARN), Target("chat", "", ARN, "eu-central-1", "aws"), id="streaming"
        ),
        pytest.param(LONG.format("us-west-2", "chat"), Target("chat", "", "chat", "us-west-2", "aws"), id="long, name"),
        pytest.param(
            "arn:aws-cn:lambda:cn-north-1:123456789012:function:live:live",
            Target("live", "live", "arn:aws-cn:lambda:cn-north-1:123456789012:function:live", "cn-north-1", "aws-cn"),
            id="a partition, and an alias of the function's name",
        ),
    ],
)
def test_a_target(uri: str, target: Target) -> None:
    assert parse_target(uri) == target


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "function:",
        "function:a b",
        "https://example.com/",
        "arn:aws:sqs:us-east-1:123456789012:queue",
        "arn:aws:lambda:us-east-1:1234:function:chat",
        LONG.format("us-east-1", ""),
        LONG.format("us-east-1", ARN),
        "arn:aws:apigateway:us-east-1:sqs:path/123456789012/queue",
    ],
)
def test_what_is_none(uri: str) -> None:
    with pytest.raises(ValueError, match=r"names no Lambda function|write the same twice"):
        parse_target(uri)


@pytest.mark.parametrize(
    ("uri", "streams", "fault"),
    [
        pytest.param("function:chat", True, "", id="a short form has no operation"),
        pytest.param(STREAMING.format("us-east-1", "chat"), True, "", id="streaming"),
        pytest.param(LONG.format("us-east-1", "chat"), False, "", id="whole"),
        pytest.param(LONG.format("us-east-1", "chat"), True, "STREAM goes by lambda:path/2021-11-15/", id="not whole"),
        pytest.param(
            STREAMING.format("us-east-1", "chat"), False, "add responseTransferMode: STREAM", id="not streamed"
        ),
    ],
)
def test_the_operation_that_the_long_form_names(uri: str, streams: bool, fault: str) -> None:
    found = other_mode(uri, streams=streams)

    assert fault in found
    assert bool(found) == bool(fault)


def test_a_path_is_encoded_as_sdks_do() -> None:
    assert parse_target(f"{ARN}:$LATEST").path == (
        "/2015-03-31/functions/arn%3Aaws%3Alambda%3Aeu-central-1%3A123456789012%3Afunction%3Achat/invocations"
        "?Qualifier=%24LATEST"
    )


@given(st.one_of(st.text(), st.from_regex(r"(arn:aws[a-z-]*:lambda:)?[a-z0-9:$/._-]*", fullmatch=True)))
def test_any_text_is_a_target_or_refused(uri: str) -> None:
    """And a target's path is one that can be written."""
    try:
        target = parse_target(uri)
    except ValueError:
        return
    assert target.path.isascii()
    assert target.path.isprintable()
    assert " " not in target.path
    assert target.path.count("/") == 4
