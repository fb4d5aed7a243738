"""`wsgateway export openapi`: which stage, which document, and what is said where that is not clear."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from openapi_spec_validator import validate

from wsgateway.cli.export import Form, Text, export_openapi
from wsgateway.model import parse

SHOP = """
protocolType: REST
    stages: {v1: {}, v2: {variables: {a: b}}}
    paths: {/: {GET: {integration: {type: MOCK, requestTemplates: {application/json: '{"statusCode": 200}'}}}}}
"""
CHAT = "{protocolType: WEBSOCKET, routeSelectionExpression: $request.body.a, stages: {dev: {}}, routes: {$default: {}}}"


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    file = tmp_path / "routes.yaml"
    file.write_text(f"apis:\n  shop:\n    {SHOP.strip()}\n  chat: {CHAT}\n")
    return file


def test_a_stage_is_printed_as_json(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    export_openapi(file, stage="v2")

    document = json.loads(capsys.readouterr().out)
    validate(document)
    assert document["servers"][0]["url"] == "https://shop.execute-api.eu-west-1.amazonaws.com/{basePath}"
    assert document["servers"][0]["variables"] == {"basePath": {"default": "v2"}}


def test_all_of_it_in_yaml_is_a_definition(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    server = "https://api.example:8443/"
    export_openapi(
        file, api="shop", stage="v2", form=Form.SWAGGER, extensions="all", output_format=Text.YAML, server=server
    )

    text = capsys.readouterr().out
    assert "host: api.example:8443\nbasePath: /v2\n" in text
    assert parse(text, "shop.yaml", {}, Path()).definitions.rest_apis["shop"].stages["v2"].variables == {"a": "b"}


def test_what_api_gateway_does_not_have_is_told_of_where_it_is_lost(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file.write_text(
        file.read_text().replace("protocolType: REST", "protocolType: REST\n    cors: {allowOrigins: ['*']}")
    )
    lost = f"warning: {file}:4: apis.shop.cors: API Gateway has no such setting, so the document is without it;"

    for extensions, told in (("apigateway", True), ("none", False), ("all", False)):
        export_openapi(file, stage="v1", extensions=extensions)
        err = capsys.readouterr().err
        assert err.startswith(lost) if told else err == ""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        pytest.param({}, "which one is meant? shop has v1, v2", id="no stage"),
        pytest.param({"stage": "v3"}, "shop has no stage 'v3'; it has v1, v2", id="another stage"),
        pytest.param({"api": "shopp"}, "no REST API is named 'shopp'; there are shop", id="another API"),
        pytest.param({"api": "chat"}, "chat is a WebSocket API", id="a WebSocket API"),
        pytest.param({"stage": "v1", "extensions": "none,x"}, "x is none of all, apigateway,", id="another extension"),
        pytest.param({"stage": "v1", "extensions": "postman"}, "postman is not supported: Postman", id="postman"),
        pytest.param({"stage": "v1", "extensions": ""}, "is none of all,", id="no extension"),
        pytest.param({"stage": "v1", "server": "api.example"}, "is no address", id="no scheme"),
        pytest.param({"stage": "v1", "server": "https://a.example/v1"}, "is no address", id="a path"),
        pytest.param({"stage": "v1", "server": "https://a.example:99999"}, "is no address", id="no port"),
    ],
)
def test_mistakes(file: Path, arguments: dict[str, str], said: str) -> None:
    with pytest.raises(typer.BadParameter) as caught:
        export_openapi(file, **arguments)  # type: ignore[arg-type]

    assert said in str(caught.value)


def test_only_rest_apis_have_documents(tmp_path: Path) -> None:
    file = tmp_path / "routes.yaml"
    file.write_text(f"apis: {{chat: {CHAT}}}")

    with pytest.raises(typer.BadParameter, match="there is no REST API"):
        export_openapi(file)
