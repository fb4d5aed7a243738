"""What URIs of AWS integrations call (API Gateway REST API reference, PutIntegration, `uri`)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsgateway.integrations.aws_target import ServiceTarget, parse_service
from wsgateway.integrations.lambda_target import is_function

US = "arn:aws:apigateway:us-east-1"


def target(host: str, **more: object) -> ServiceTarget:
    return ServiceTarget("aws", "us-east-1", host, **more)  # type: ignore[arg-type]  # a table's values


@pytest.mark.parametrize(
    ("uri", "meant"),
    [
        (f"{US}:dynamodb:action/PutItem", target("dynamodb", action="PutItem")),
        (f"{US}:states:action/StartExecution", target("states", action="StartExecution")),
        (
            f"{US}:ssm:action/GetParameter&Name={{name}}&WithDecryption=true",
            target("ssm", action="GetParameter", query=(("Name", "{name}"), ("WithDecryption", "true"))),
        ),
        (f"{US}:sns:action/Publish?TopicArn=a%3Ab", target("sns", action="Publish", query=(("TopicArn", "a:b"),))),
        (f"{US}:sqs:path/123456789012/jobs", target("sqs", path="/123456789012/jobs")),
        (f"{US}:s3:path/{{bucket}}/{{key}}", target("s3", path="/{bucket}/{key}")),
        (f"{US}:s3:path//", target("s3", path="/")),
        (f"{US}:s3:path/", target("s3", path="/")),
        (f"{US}:s3:path/b?list-type=2&p=a+b", target("s3", path="/b", query=(("list-type", "2"), ("p", "a b")))),
        (f"{US}:s3:path/b?acl", target("s3", path="/b", query=(("acl", ""),))),
        (f"{US}:photos.s3:path/k", target("photos.s3", path="/k")),
        (f"{US}:runtime.sagemaker:path/endpoints/e", target("runtime.sagemaker", path="/endpoints/e")),
        (
            "arn:aws-cn:apigateway:cn-north-1:sqs:path/1/q",
            ServiceTarget("aws-cn", "cn-north-1", "sqs", path="/1/q"),
        ),
    ],
)  # fmt: skip
def test_a_service(uri: str, meant: ServiceTarget) -> None:
    assert parse_service(uri) == meant
    assert not is_function(uri)


def test_slots_stand_in_paths_and_parameters() -> None:
    assert parse_service(f"{US}:s3:path/{{bucket}}/x/{{key}}?versionId={{version}}").slots == [
        "bucket",
        "key",
        "version",
    ]


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        pytest.param("https://sqs.us-east-1.amazonaws.com/", "names no service of AWS; write arn:aws:", id="a URL"),
        pytest.param(f"{US}:sqs", "names no service of AWS", id="nothing behind the service"),
        pytest.param(f"{US}:sqs:queue/jobs", "must contain path or action behind the service", id="neither"),
        pytest.param("arn:aws:apigateway::sqs:path/x", "names no region", id="no region"),
        pytest.param(f"{US}::path/x", "names no service behind its region", id="no service"),
        pytest.param(f"{US}:{{bucket}}.s3:path/x", "slots have no place there", id="a slot in the host"),
        pytest.param(f"{US}:a..s3:path/x", "names no service", id="an empty label"),
        pytest.param(f"{US}:sqs:action/", "names no action behind action/", id="no action"),
        pytest.param(f"{US}:sqs:action/Send Message", "holds no spaces", id="a blank"),
        pytest.param(f"{US}:s3:path/b/../c", "a path holds no . or .. segments", id="dots"),
        pytest.param(f"{US}:s3:path/b/%2E%2e/c", "a path holds no . or .. segments", id="encoded dots"),
        pytest.param(f"{US}:s3:path/b#c", "holds no spaces, fragments", id="a fragment"),
        pytest.param(f"{US}:s3:path/b\r\nX: y", "names no service", id="a line break"),
        pytest.param(f"{US}:s3:path/${{context.x}}", "is no stage variable", id="another variable"),
    ],
)
def test_what_is_none(uri: str, said: str) -> None:
    with pytest.raises(ValueError, match=r".") as refused:
        parse_service(uri)
    assert said in str(refused.value)


@given(st.text(max_size=40), st.text(max_size=40))
def test_any_uri_is_a_call_or_refused(host: str, rest: str) -> None:
    """And what is taken can be written into a request."""
    for uri in (host + rest, f"{US}:{host}:path/{rest}", f"{US}:sqs:action/{rest}"):
        try:
            found = parse_service(uri)
        except ValueError:
            continue
        assert found.path.startswith("/")
        assert found.path.isascii()
        assert not set(found.path) & set("\r\n\0 #?")


@pytest.mark.parametrize(
    ("uri", "function"),
    [
        ("function:chat", True),
        ("arn:aws:lambda:us-east-1:123456789012:function:chat:live", True),
        (
            f"{US}:lambda:path/2015-03-31/functions/arn:aws:lambda:us-east-1:123456789012:function:chat/invocations",
            True,
        ),
        (f"{US}:lambda:path/2015-03-31/functions/", False),
        (f"{US}:dynamodb:action/PutItem", False),
    ],
)
def test_which_uris_are_of_functions(uri: str, function: bool) -> None:
    assert is_function(uri) is function
