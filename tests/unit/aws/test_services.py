"""What is known of services, of botocore's models."""

from __future__ import annotations

import pytest

from wsgateway.aws.services import Service, Services

SERVICES = Services()


@pytest.mark.parametrize(
    ("prefix", "ids", "protocol", "target", "version", "signed"),
    [
        ("dynamodb", ["DynamoDB"], "json", "DynamoDB_20120810", "1.0", "dynamodb"),
        ("sqs", ["SQS"], "json", "AmazonSQS", "1.0", "sqs"),
        ("states", ["SFN"], "json", "AWSStepFunctions", "1.0", "states"),
        ("kinesis", ["Kinesis"], "json", "Kinesis_20131202", "1.1", "kinesis"),
        ("events", ["EventBridge"], "json", "AWSEvents", "1.1", "events"),
        ("sns", ["SNS"], "query", "", "1.0", "sns"),
        ("monitoring", ["CloudWatch"], "json", "GraniteServiceVersion20100801", "1.0", "monitoring"),
        ("runtime.sagemaker", ["SageMaker Runtime"], "rest", "", "1.1", "sagemaker"),
        ("s3", ["S3"], "rest", "", "1.0", "s3"),
    ],
)
def test_a_service(prefix: str, ids: list[str], protocol: str, target: str, version: str, signed: str) -> None:
    found = SERVICES.of(prefix)
    first = found[0]

    assert [service.service_id for service in found] == ids
    assert (first.prefix, first.protocol, first.target_prefix, first.json_version, first.signing_name) == (
        prefix, protocol, target, version, signed,
    )  # fmt: skip
    assert first.s3 == (prefix == "s3")


def test_operations_have_their_path() -> None:
    (s3,) = SERVICES.of("s3")

    assert s3.operations["GetObject"] == ("GET", "/{Bucket}/{Key+}")


def test_an_unknown_prefix_is_no_service() -> None:
    assert SERVICES.of("dynamo") == ()
    assert not [prefix for prefix in SERVICES.index if not prefix]


def test_a_service_is_read_once() -> None:
    first: Service = SERVICES.of("sqs")[0]

    assert SERVICES.of("sqs")[0] is first
