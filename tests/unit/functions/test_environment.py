"""A worker's environment: what a function gives wins where it may, and nothing of the gateway's gets in."""

from __future__ import annotations

from pathlib import Path

from wsgateway.functions.environment import Account, environment
from wsgateway.functions.runtimes import Code
from wsgateway.model import Function

CODE = Code(Path("/code"), ("/opt/python/bin/python",), Path("/runtime"))


def variables(outside: dict[str, str] | None = None, extra: dict[str, str] | None = None, **own: str) -> dict[str, str]:
    keys = {"runtime": "python3.12", "codeUri": ".", "handler": "app.handler", "environment": own}
    return environment(
        "chat",
        Function.model_validate(keys),
        Account(region="eu-central-1", account_id="123456789012"),
        code=CODE,
        runtime_api="127.0.0.1:1234",
        outside=outside or {},
        extra=extra or {},
    )  # fmt: skip


def test_only_what_is_on_the_list_gets_in() -> None:
    outside = {
        "PATH": "/usr/bin",
        "AWS_SECRET_ACCESS_KEY": "the gateway's",
        "AWS_PROFILE": "prod",
        "REDIS_URL": "redis://:secret@db",
        "WSGATEWAY_HOST": "0.0.0.0",
        "HOME": "/home/ada",
        "PYTHONPATH": "/gateway",
        "NODE_OPTIONS": "--inspect",
        "SSL_CERT_FILE": "/ca.pem",
        "AWS_ENDPOINT_URL_DYNAMODB": "http://127.0.0.1:8000",
    }

    inside = variables(outside)

    assert inside["PATH"] == "/opt/python/bin:/usr/bin"
    assert inside["SSL_CERT_FILE"] == "/ca.pem"
    assert inside["AWS_ENDPOINT_URL_DYNAMODB"] == "http://127.0.0.1:8000"
    assert inside["AWS_SECRET_ACCESS_KEY"] == "local"
    assert inside["HOME"] == "/tmp"
    assert not {"AWS_PROFILE", "REDIS_URL", "WSGATEWAY_HOST", "PYTHONPATH", "NODE_OPTIONS"} & inside.keys()


def test_the_functions_own_variables_win_over_the_gateways() -> None:
    inside = variables({"SSL_CERT_FILE": "/ca.pem"}, {"SSL_CERT_FILE": "/dev.pem", "AWS_CA_BUNDLE": "/dev.pem"},
                       AWS_CA_BUNDLE="/own.pem", HOME="/home/own")  # fmt: skip

    assert (inside["SSL_CERT_FILE"], inside["AWS_CA_BUNDLE"], inside["HOME"]) == ("/dev.pem", "/own.pem", "/home/own")


def test_credentials_of_its_own_come_without_our_token() -> None:
    inside = variables(AWS_ACCESS_KEY_ID="AKIA", AWS_SECRET_ACCESS_KEY="secret")

    assert (inside["AWS_ACCESS_KEY_ID"], inside["AWS_SECRET_ACCESS_KEY"]) == ("AKIA", "secret")
    assert "AWS_SESSION_TOKEN" not in inside


def test_each_process_has_its_own_log_stream() -> None:
    assert variables()["AWS_LAMBDA_LOG_STREAM_NAME"] != variables()["AWS_LAMBDA_LOG_STREAM_NAME"]


def test_an_arn() -> None:
    account = Account(region="eu-central-1", account_id="123456789012")

    assert account.arn("chat") == "arn:aws:lambda:eu-central-1:123456789012:function:chat"
    assert account.arn("chat", "live") == "arn:aws:lambda:eu-central-1:123456789012:function:chat:live"
