"""Requests to services: what is sent for what was mapped, and that the signature on it is botocore's."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, unquote

import pytest
from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as Fixed
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.dataplane.values import quotas
from wsgateway.aws import Keys, ServiceEndpoints
from wsgateway.aws.services import Services
from wsgateway.errors import ApiConfigurationError
from wsgateway.http1 import UnsafeHeader
from wsgateway.integrations.aws_plan import Unplanned, plan_of
from wsgateway.integrations.aws_request import PathWriter
from wsgateway.integrations.aws_target import parse_service
from wsgateway.integrations.base import Site
from wsgateway.integrations.mapping import MappedRequest
from wsgateway.invocation import EventType
from wsgateway.messages import EndpointRequest
from wsgateway.model.integration import Integration

US = "arn:aws:apigateway:us-east-1"
KEYS = Keys("AKIDEXAMPLE", "secret", "token")
LOCAL = {"AWS_ENDPOINT_URL": "http://127.0.0.1:5000/base"}


SERVICES = Services()


def reaching(environ: dict[str, str]) -> ServiceEndpoints:
    return ServiceEndpoints({"AWS_CONFIG_FILE": "/none", "AWS_SHARED_CREDENTIALS_FILE": "/none", **environ})


ENDPOINTS = reaching({})


def defined(uri: str, **keys: Any) -> Integration:
    return Integration.model_validate({"integrationType": "AWS", "integrationUri": uri, **keys})


def written(
    integration: Integration, mapped: MappedRequest, endpoints: ServiceEndpoints = ENDPOINTS
) -> EndpointRequest:
    plan = plan_of(parse_service(integration.integration_uri or ""), integration, endpoints, SERVICES)
    site = Site(
        api_id="chat",
        definition=("integrations", "x"),
        route_key="$default",
        event_type=EventType.MESSAGE,
        stage_variables={},
        quotas=quotas(),
        two_way=True,
    )
    writer = plan.writer(integration.integration_method, site)
    return writer.write(mapped, mapped.body).signed(writer.signer, KEYS, b"")


def parsed(request: EndpointRequest) -> tuple[str, str, dict[str, str]]:
    """Method, target and headers; names in lower case, several values joined."""
    first, *lines = request.head.decode().split("\r\n")[:-1]
    method, target, _ = first.split(" ")
    headers: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(": ")
        headers[name.lower()] = f"{headers[name.lower()]},{value}" if name.lower() in headers else value
    return method, target, headers


def signed_right(request: EndpointRequest, service: str, region: str = "us-east-1") -> bool:
    """Whether botocore gives the same signature to the same request."""
    method, target, headers = parsed(request)
    said = headers["authorization"]
    names = said.partition("SignedHeaders=")[2].partition(",")[0].split(";")
    must = {name for name in headers if name in ("host", "content-type") or name.startswith("x-amz-")}
    again = AWSRequest(
        method,
        f"https://{headers['host']}{target}",
        headers={name: headers[name] for name in names},
        data=request.body,
    )
    again.context["timestamp"] = headers["x-amz-date"]
    kind = S3SigV4Auth if service == "s3" else SigV4Auth
    signer = kind(Fixed(KEYS.access_key, KEYS.secret_key, KEYS.token), service, region)
    signature = signer.signature(signer.string_to_sign(again, signer.canonical_request(again)), again)
    return set(names) == must and said.endswith(f"Signature={signature}")


FORM = {"integration.request.header.Content-Type": "'application/x-www-form-urlencoded'"}


@pytest.mark.parametrize(
    ("integration", "mapped", "line", "said", "service"),
    [
        pytest.param(
            defined(f"{US}:dynamodb:action/PutItem"),
            MappedRequest(b'{"TableName":"t"}'),
            "POST / dynamodb.us-east-1.amazonaws.com",
            {"x-amz-target": "DynamoDB_20120810.PutItem", "content-type": "application/x-amz-json-1.0"},
            "dynamodb",
            id="JSON 1.0",
        ),
        pytest.param(
            defined(f"{US}:kinesis:action/PutRecord"),
            MappedRequest(b"{}", headers=[("Content-Type", "application/json"), ("X-Amz-Target", "Mine.PutRecord")]),
            "POST / kinesis.us-east-1.amazonaws.com",
            {"x-amz-target": "Mine.PutRecord", "content-type": "application/json"},
            "kinesis",
            id="mapped headers win",
        ),
        pytest.param(
            defined(f"{US}:sns:action/Publish", requestTemplates={"$default": "x"}),
            MappedRequest(b"TopicArn=t&Message=hi"),
            "POST /?Action=Publish&Version=2010-03-31 sns.us-east-1.amazonaws.com",
            {"x-amz-target": None, "content-type": "application/x-www-form-urlencoded"},
            "sns",
            id="query, parameters in a form",
        ),
        pytest.param(
            defined(f"{US}:sns:action/Publish"),
            MappedRequest(b"Action=Publish&Version=2010-03-31&TopicArn=t&Message=hi"),
            "POST / sns.us-east-1.amazonaws.com",
            {"content-type": "application/x-www-form-urlencoded"},
            "sns",
            id="query, all in a form",
        ),
        pytest.param(
            defined(f"{US}:sns:action/Publish", integrationMethod="GET"),
            MappedRequest(b"dropped", query=[("TopicArn", "arn:x"), ("Message", "a b"), ("Version", "v")]),
            "GET /?Action=Publish&TopicArn=arn%3Ax&Message=a%20b&Version=v sns.us-east-1.amazonaws.com",
            {"content-type": None},
            "sns",
            id="query, by GET",
        ),
        pytest.param(
            defined(f"{US}:ssm:action/GetParameter&Name={{name}}&WithDecryption=true"),
            MappedRequest(b"", path={"name": "/a b"}),
            "POST /?Action=GetParameter&Name=%2Fa%20b&WithDecryption=true&Version=2014-11-06"
            " ssm.us-east-1.amazonaws.com",
            {"x-amz-target": None},
            "ssm",
            id="a JSON service's query form",
        ),
        pytest.param(
            defined(f"{US}:sqs:action/SendMessage", requestParameters=FORM),
            MappedRequest(b"MessageBody=x", headers=[("Content-Type", "application/x-www-form-urlencoded")]),
            "POST /?Action=SendMessage&Version=2012-11-05 sqs.us-east-1.amazonaws.com",
            {"x-amz-target": None},
            "sqs",
            id="a JSON service that is sent a form",
        ),
        pytest.param(
            defined(f"{US}:sqs:path/123456789012/jobs"),
            MappedRequest(b"Action=SendMessage&MessageBody=hi"),
            "POST /123456789012/jobs sqs.us-east-1.amazonaws.com",
            {"content-type": "application/x-www-form-urlencoded", "accept": "application/json"},
            "sqs",
            id="a queue by path",
        ),
        pytest.param(
            defined(f"{US}:sns:path//"),
            MappedRequest(b"hello"),
            "POST / sns.us-east-1.amazonaws.com",
            {"content-type": "application/json"},
            "sns",
            id="the root",
        ),
        pytest.param(
            defined(f"{US}:s3:path/{{bucket}}/up%20to/{{key}}", integrationMethod="PUT"),
            MappedRequest(b"\0\1", path={"bucket": "b/c", "key": "a/b+ü.txt"}, binary=True),
            "PUT /b%2Fc/up%20to/a/b%2B%C3%BC.txt s3.us-east-1.amazonaws.com",
            {"content-type": "application/octet-stream"},
            "s3",
            id="S3: a key has slashes, a bucket none",
        ),
        pytest.param(
            defined(f"{US}:photos.s3:path/a//b?list-type=2", integrationMethod="GET"),
            MappedRequest(b"x"),
            "GET /a//b?list-type=2 photos.s3.us-east-1.amazonaws.com",
            {"x-amz-content-sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
            "s3",
            id="S3: a bucket's own host",
        ),
        pytest.param(
            defined(f"{US}:iotdata:path/topics/chat"),
            MappedRequest(b"hi"),
            "POST /topics/chat data-ats.iot.us-east-1.amazonaws.com",
            {},
            "iotdata",
            id="IoT",
        ),
        pytest.param(
            defined(f"{US}:abc-ats.iotdata:path/topics/{{to}}"),
            MappedRequest(b"hi"),
            "POST /topics/%7Bto%7D abc-ats.iot.us-east-1.amazonaws.com",
            {},
            "iotdata",
            id="IoT, an account's own host; a slot nobody fills",
        ),
        pytest.param(
            defined(f"{US}:sqs:path/1/q?a=1&b=2"),
            MappedRequest(
                b"x",
                headers=[("x-amz-meta", "a"), ("X-Amz-Meta", "b  c"), ("Referer", "gone"), ("User-Agent", "mine")],
                query=[("a", "mapped")],
            ),
            "POST /1/q?b=2&a=mapped sqs.us-east-1.amazonaws.com",
            {"x-amz-meta": "a,b  c", "referer": None, "user-agent": "mine", "x-amzn-apigateway-api-id": "chat"},
            "sqs",
            id="what is mapped",
        ),
    ],
)
def test_a_request(
    integration: Integration,
    mapped: MappedRequest,
    line: str,
    said: dict[str, str | None],
    service: str,
) -> None:
    request = written(integration, mapped)

    method, target, headers = parsed(request)
    assert f"{method} {target} {headers['host']}" == line
    assert {name: headers.get(name) for name in said} == said
    assert headers["x-amz-security-token"] == "token"
    assert request.body == (b"" if method == "GET" else mapped.body)
    assert signed_right(request, service)


@pytest.mark.parametrize(
    ("uri", "target"),
    [
        (f"{US}:sqs:path/1/q", "/base/1/q"),
        (f"{US}:dynamodb:action/PutItem", "/base/"),
        (f"{US}:photos.s3:path/a/b", "/base/photos/a/b"),
        (f"{US}:s3:path/photos/a", "/base/photos/a"),
        (f"{US}:runtime.sagemaker:path/endpoints/e/invocations", "/base/endpoints/e/invocations"),
    ],
)
def test_at_a_configured_endpoint(uri: str, target: str) -> None:
    request = written(defined(uri), MappedRequest(b"x"), reaching(LOCAL))

    _, found, headers = parsed(request)
    assert (found, headers["host"]) == (target, "127.0.0.1:5000")


@pytest.mark.parametrize(
    ("mapped", "said"),
    [
        pytest.param(
            MappedRequest(b"", headers=[("X-Amz-Date", "x")]), "belongs to the gateway's signature", id="date"
        ),
        pytest.param(MappedRequest(b"", headers=[("authorization", "x")]), "is the gateway's own", id="authorization"),
        pytest.param(MappedRequest(b"", headers=[("Host", "x")]), "Host belongs", id="host"),
        pytest.param(MappedRequest(b"", headers=[("A", "b\r\nC: d")]), "holds CR, LF or NUL", id="two lines"),
        pytest.param(MappedRequest(b"", headers=[("A b", "c")]), "is not a header name", id="no name"),
        pytest.param(MappedRequest(b"", path={"key": "../x"}), "holds a dot segment", id="out of its segment"),
        pytest.param(MappedRequest(b"", path={"key": ""}), "path parameter key has no value", id="all of a bucket"),
        pytest.param(MappedRequest(b"", path={"bucket": ".."}), "holds a dot segment", id="dots"),
        pytest.param(MappedRequest(b"", path={"bucket": "a\\b"}), "holds a dot segment", id="a backslash"),
    ],
)
def test_what_cannot_be_sent(mapped: MappedRequest, said: str) -> None:
    with pytest.raises(UnsafeHeader, match=said):
        written(defined(f"{US}:s3:path/{{bucket}}/{{key}}"), mapped)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"Action=DeleteTopic&TopicArn=t", id="first"),
        pytest.param(b"Message=hi&Action=DeleteTopic", id="behind another"),
        pytest.param(b"Action=Publish&Action=DeleteTopic", id="besides the right one"),
        pytest.param(b"Message=hi&%41ct%69on=DeleteTopic", id="percent-encoded"),
        pytest.param(b"Action=", id="none"),
    ],
)
def test_a_body_calls_no_other_action_than_the_uri(body: bytes) -> None:
    """It may be what a client sent."""
    with pytest.raises(ApiConfigurationError, match="another Action than integrationUri, which is for Publish"):
        written(defined(f"{US}:sns:action/Publish"), MappedRequest(body))


def test_an_action_that_is_mapped_stands_alone() -> None:
    sent = written(defined(f"{US}:sns:action/Publish"), MappedRequest(b"", query=[("Action", "ListTopics")]))

    assert parsed(sent)[1] == "/?Version=2010-03-31&Action=ListTopics"


@pytest.mark.parametrize(
    ("integration", "said", "key"),
    [
        (
            defined(f"{US}:dynamo:action/PutItem"),
            "no service of AWS is named dynamo; did you mean dynamodb?",
            "integrationUri",
        ),
        (
            defined(f"{US}:dynamodb:action/PutItems"),
            "dynamodb has no action PutItems; did you mean PutItem?",
            "integrationUri",
        ),
        (
            defined(f"{US}:s3:action/GetObject&Bucket=b&Key=k"),
            f"s3 is called by path: write {US}:s3:path/{{Bucket}}/{{Key}} and integrationMethod: GET",
            "integrationUri",
        ),
        (
            defined(f"{US}:dynamodb:action/PutItem", integrationMethod="PUT"),
            "actions of dynamodb are called by POST; write POST, or remove it",
            "integrationMethod",
        ),
        (
            defined(f"{US}:dynamodb:action/PutItem", integrationMethod="GET"),
            "actions of dynamodb are called by POST; write POST, or remove it",
            "integrationMethod",
        ),
    ],
)
def test_what_cannot_be_called(integration: Integration, said: str, key: str) -> None:
    with pytest.raises(Unplanned) as refused:
        plan_of(parse_service(integration.integration_uri or ""), integration, ENDPOINTS, SERVICES)

    assert (str(refused.value), refused.value.key) == (said, key)


@given(st.text(max_size=20), st.text(max_size=20), st.booleans())
def test_a_value_stays_in_its_segment_or_is_refused(bucket: str, key: str, s3: bool) -> None:
    path = PathWriter("/{bucket}/x/{key}", s3=s3)
    try:
        filled = path.fill({"bucket": bucket, "key": key})
    except (UnsafeHeader, UnicodeEncodeError):
        return

    segments = filled.split("/")
    assert filled.isascii()
    assert filled.isprintable()
    assert [unquote(segment, errors="strict") for segment in segments[:3]] == ["", bucket, "x"]
    assert unquote("/".join(segments[3:])) == key
    assert not {".", ".."} & set(segments)


@given(st.lists(st.tuples(st.text(st.characters(codec="utf-8"), min_size=1), st.text(st.characters(codec="utf-8")))))
def test_any_query_is_signed_right_and_arrives(pairs: list[tuple[str, str]]) -> None:
    request = written(defined(f"{US}:sqs:path/1/q"), MappedRequest(b"x", query=pairs))

    _, target, _ = parsed(request)
    assert parse_qsl(target.partition("?")[2], keep_blank_values=True) == pairs
    assert signed_right(request, "sqs")
