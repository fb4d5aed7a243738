"""Where Lambda is: what the environment, the profile and botocore's data say, in the SDKs' order."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsgateway.aws import NoEndpoint, ServiceEndpoints

REGION = {"AWS_REGION": "eu-west-1"}


@pytest.fixture(autouse=True)
def profile(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The shared config file; there is none until it is written."""
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    return tmp_path / "config"


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    return {
        "AWS_CONFIG_FILE": str(tmp_path / "config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "credentials"),
    }


@pytest.mark.parametrize(
    ("region", "partition", "more", "url"),
    [
        pytest.param("us-east-1", "aws", {}, "https://lambda.us-east-1.amazonaws.com", id="AWS"),
        pytest.param("", "", {}, "https://lambda.eu-west-1.amazonaws.com", id="the process's region"),
        pytest.param("cn-north-1", "aws-cn", {}, "https://lambda.cn-north-1.amazonaws.com.cn", id="China"),
        pytest.param("us-gov-west-1", "", {}, "https://lambda.us-gov-west-1.amazonaws.com", id="GovCloud"),
        pytest.param("eu-west-9", "aws", {}, "https://lambda.eu-west-9.amazonaws.com", id="newer than the data"),
        pytest.param(
            "us-east-1", "", {"AWS_USE_FIPS_ENDPOINT": "true"}, "https://lambda-fips.us-east-1.amazonaws.com", id="FIPS"
        ),
        pytest.param(
            "us-east-1", "", {"AWS_USE_DUALSTACK_ENDPOINT": "true"}, "https://lambda.us-east-1.api.aws", id="dual-stack"
        ),
        pytest.param("", "", {"AWS_ENDPOINT_URL": "http://[::1]:9001/"}, "http://[::1]:9001", id="for every service"),
        pytest.param(
            "us-east-1",
            "aws",
            {"AWS_ENDPOINT_URL": "http://all:1", "AWS_ENDPOINT_URL_LAMBDA": "https://l.example/base/"},
            "https://l.example/base",
            id="for this one",
        ),
        pytest.param(
            "us-east-1",
            "aws",
            {"AWS_ENDPOINT_URL_LAMBDA": "http://l", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "TRUE"},
            "https://lambda.us-east-1.amazonaws.com",
            id="ignored",
        ),
    ],
)
def test_an_endpoint(region: str, partition: str, more: dict[str, str], url: str, files: dict[str, str]) -> None:
    endpoints = ServiceEndpoints(REGION | files | more)

    assert endpoints.of("lambda", region=region, partition=partition).url == url


def test_the_profile_is_read_behind_the_environment(profile: Path, files: dict[str, str]) -> None:
    profile.write_text(
        "[default]\nregion = ap-south-1\nservices = mine\nendpoint_url = http://all\nca_bundle = /ca.pem\n"
        "[services mine]\nlambda =\n  endpoint_url = http://lambda.example\n"
    )

    found = ServiceEndpoints(files).of("lambda")
    assert (found.url, found.region) == ("http://lambda.example", "ap-south-1")
    assert ServiceEndpoints(files).of("sqs").url == "http://all"
    assert ServiceEndpoints(files).ca_file == "/ca.pem"
    assert ServiceEndpoints(files | {"AWS_ENDPOINT_URL": "http://env"}).of("lambda").url == "http://env"
    assert ServiceEndpoints(files | REGION).region == "eu-west-1"
    assert ServiceEndpoints(files | REGION, "us-west-2").region == "us-west-2"


@pytest.mark.parametrize(
    ("region", "partition", "more", "why"),
    [
        pytest.param("", "", {"AWS_REGION": ""}, "no region is known", id="no region"),
        pytest.param("mars-1", "", {}, "AWS has no region mars-1 in any partition", id="no such region"),
        pytest.param("us-east-1", "aws-cn", {}, "AWS has no region us-east-1 in partition aws-cn", id="not in China"),
        pytest.param("us east", "", {}, "is no region", id="no region at all"),
        pytest.param("", "", {"AWS_ENDPOINT_URL": "ftp://h"}, "AWS_ENDPOINT_URL is no URL", id="a scheme"),
        pytest.param("", "", {"AWS_ENDPOINT_URL": "http://h:99999"}, "AWS_ENDPOINT_URL is no URL", id="a port"),
        pytest.param("", "", {"AWS_ENDPOINT_URL": "http://u:secret@h"}, "holds a user name", id="a user"),
        pytest.param("", "", {"AWS_ENDPOINT_URL": "http://h?x=1"}, "holds a user name, a query", id="a query"),
        pytest.param("", "", {"AWS_ENDPOINT_URL": "http://h/a b"}, "the path of AWS_ENDPOINT_URL", id="a path"),
        pytest.param("", "", {"AWS_ENDPOINT_URL": "http://h/../x"}, "the path of AWS_ENDPOINT_URL", id="dots"),
    ],
)
def test_what_cannot_be_found(
    region: str, partition: str, more: dict[str, str], why: str, files: dict[str, str]
) -> None:
    with pytest.raises(NoEndpoint, match=why) as refused:
        ServiceEndpoints(REGION | files | more).of("lambda", region=region, partition=partition)
    assert "secret" not in str(refused.value)


def test_a_broken_profile_is_told(profile: Path, files: dict[str, str]) -> None:
    profile.write_text("no ini\n")

    with pytest.raises(NoEndpoint, match="config"):
        ServiceEndpoints(files).of("lambda")


@given(st.text(max_size=60))
def test_any_url_is_an_endpoint_or_refused(url: str) -> None:
    environ = {"AWS_ENDPOINT_URL": url, "AWS_CONFIG_FILE": "/nowhere", "AWS_SHARED_CREDENTIALS_FILE": "/nowhere"}
    try:
        found = ServiceEndpoints(environ | REGION).of("lambda")
    except NoEndpoint:
        return
    assert found.authority.isascii()
    assert found.scheme in ("http", "https")


@pytest.mark.usefixtures("homeless")
def test_without_a_home_there_is_no_profile() -> None:
    assert ServiceEndpoints({}).region is None


@pytest.mark.parametrize(
    ("service", "service_id", "more", "url", "region"),
    [
        pytest.param("states", "SFN", {}, "https://states.eu-west-1.amazonaws.com", "eu-west-1", id="by its prefix"),
        pytest.param(
            "states", "SFN", {"AWS_ENDPOINT_URL_SFN": "http://sfn"}, "http://sfn", "eu-west-1", id="by its id"
        ),
        pytest.param(
            "runtime.sagemaker",
            "SageMaker Runtime",
            {"AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME": "http://sm"},
            "http://sm",
            "eu-west-1",
            id="an id of two words",
        ),
        pytest.param("iam", "IAM", {}, "https://iam.amazonaws.com", "us-east-1", id="one for all regions"),
        pytest.param("s3", "S3", {}, "https://s3.eu-west-1.amazonaws.com", "eu-west-1", id="S3"),
    ],
)
def test_the_endpoint_of_any_service(
    service: str, service_id: str, more: dict[str, str], url: str, region: str, files: dict[str, str]
) -> None:
    found = ServiceEndpoints(REGION | files | more).of(service, region="eu-west-1", service_id=service_id)

    assert (found.url, found.region, found.configured) == (url, region, bool(more))
