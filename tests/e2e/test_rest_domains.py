"""Where REST APIs are reached: custom domains with base paths, the default endpoint, the internal listener.

API Gateway developer guide, "Use API mappings to map API stages to a custom domain name for REST APIs", "Disable the
default endpoint for REST APIs", "Private REST APIs".
"""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.certificates import Authority
from tests.e2e.test_access_log import rows_of
from tests.harness import Answer, Gateway, gateway, parse_answer
from tests.wire import wire

pytestmark = pytest.mark.anyio

VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"
ASKED = {
    "type": "MOCK",
    "requestTemplates": {"application/json": '{"statusCode": 200}'},
    "integrationResponses": {
        "200": {
            "responseTemplates": {
                "application/json": "$context.apiId $context.stage $context.path $context.resourcePath "
                "$context.domainName $context.domainPrefix $context.identity.vpceId $context.identity.vpcId"
            }
        }
    },
}
FUNCTION = {"type": "AWS_PROXY", "httpMethod": "POST", "uri": "function:tell"}
PATHS = {
    "/pets/{id}": {"GET": {"integration": ASKED}},
    "/tell/{proxy+}": {"GET": {"integration": FUNCTION}},
    "/{proxy+}": {"GET": {"integration": ASKED}},
}
TELL = """
import json
def handler(event, context):
    context = event["requestContext"]
    identity = {name: text for name, text in context["identity"].items() if name.startswith("vpc")}
    return {"body": json.dumps([event["path"], context["path"], context["stage"], identity])}
"""


def rest(**keys: Any) -> dict[str, Any]:
    return {"protocolType": "REST", "stages": {"v1": {}, "v2": {}}, "paths": PATHS, **keys}


def mapping(api: str, stage: str | None = None) -> dict[str, str]:
    return {"api": api} | ({} if stage is None else {"stage": stage})


ROW = (
    '{"id":"$context.requestId","key":"$context.customDomain.basePathMatched","path":"$context.path",'
    '"call":"$context.integration.requestId","again":"$context.awsEndpointRequestId"}'
)
DEFINITION = {
    "defaultApi": "shop",
    "apis": {
        "shop": rest(stages={"v1": {}, "v2": {"accessLogSettings": {"format": ROW}}}),
        "hidden": rest(disableExecuteApiEndpoint=True),
        "inner": rest(
            endpointConfiguration={"types": ["PRIVATE"], "vpcEndpointIds": ["vpce-0a"]},
            policy={
                "Version": "2012-10-17",
                "Statement": [
                    {
                        "Effect": "Allow",
                        "Principal": "*",
                        "Action": "execute-api:Invoke",
                        "Resource": "execute-api:/*",
                        "Condition": {"StringEquals": {"aws:SourceVpce": ["vpce-0a", "vpce-0b"]}},
                    }
                ],
            },
        ),
    },
    "domains": {
        "api.example": {
            "certificate": "file:api.example.pem",
            "key": "file:api.example.key",
            "mappings": {
                "shop": mapping("shop", "v1"),
                "shop/new": mapping("shop", "v2"),
                "hidden": mapping("hidden", "v1"),
                "all": mapping("shop"),
            },
        },
        "*.wild.example": {"mappings": {"": mapping("hidden", "v2")}},
    },
    "vpcEndpoints": {
        "vpce-0a": {"cidrs": ["127.0.0.0/8"], "vpcId": "vpc-1"},
        "vpce-0b": {"cidrs": ["10.1.0.0/16", "127.0.0.2/32"]},
    },
    "functions": {"tell": {"runtime": f"python{VERSION}", "codeUri": ".", "handler": "app.handler"}},
}

FORBIDDEN = '{"message":"Forbidden"}'


async def ask(port: int, host: str, path: str, **more: Any) -> Answer:
    async with wire(port, **more) as client:
        await client.send(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        return parse_answer(await client.closed())


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[tuple[Gateway, Authority]]:
    (tmp_path / "app.py").write_text(TELL)
    authority = Authority(tmp_path)
    authority.issue_to("api.example")
    certificate, key = authority.issue_to("*.wild.example", "127.0.0.1", file="default")
    flags = ["--tls-port", "0", "--tls-cert", certificate, "--tls-key", key, "--trusted-proxies", "127.0.0.1/32"]
    flags += ["--access-log", str(tmp_path / "access.log")]
    async with gateway(json.dumps(DEFINITION), tmp_path, *flags) as started:
        yield started, authority


async def test_apis_are_reached_where_they_are_and_nowhere_else(
    running: tuple[Gateway, Authority], tmp_path: Path
) -> None:
    started, authority = running
    await _by_mapping(started)
    rows = await rows_of(tmp_path / "access.log", 3)
    assert [(row["key"], row["path"]) for row in rows] == [
        ("shop/new", "/shop/new/pets/3"),
        ("all", "/all/v2/pets/3"),
        ("shop/new", "/shop/new/tell//a/"),
    ]
    assert [len(row["call"]) for row in rows] == [1, 1, 36], "a function's call has an id"
    assert rows[2]["again"] == rows[2]["call"] != rows[2]["id"]
    await _by_stage(started)
    await _over_tls(started, authority)
    await _private(started)


async def _by_mapping(started: Gateway) -> None:
    for host, path, said in (
        ("api.example", "/shop/pets/3", "shop v1 /shop/pets/3 /pets/{id} api.example api"),
        ("API.example:80", "/shop/pets/3", "shop v1 /shop/pets/3 /pets/{id} API.example:80 API"),
        ("api.example", "/shop/new/pets/3", "shop v2 /shop/new/pets/3 /pets/{id} api.example api"),
        ("api.example", "/shop/newer/x", "shop v1 /shop/newer/x /{proxy+} api.example api"),
        ("api.example", "/sho%70/pets/3/", "shop v1 /sho%70/pets/3/ /pets/{id} api.example api"),
        ("api.example", "/hidden/v1", "hidden v1 /hidden/v1 /{proxy+} api.example api"),
        ("api.example", "/all/v2/pets/3", "shop v2 /all/v2/pets/3 /pets/{id} api.example api"),
        ("a.wild.example", "/pets/3", "hidden v2 /pets/3 /pets/{id} a.wild.example a"),
    ):
        answer = await ask(started.port, host, path)
        assert (answer.status, answer.body.decode().rstrip()) == (200, said), path
    for path in ("/", "/pets/3", "/shopping/3", "/v1/pets/3", "/all/v3/pets/3", "/all"):
        answer = await ask(started.port, "api.example", path)
        assert (answer.status, answer.body.decode()) == (403, FORBIDDEN), path
        assert answer.header("x-amzn-errortype") == "ForbiddenException"
    answer = await ask(started.port, "api.example", "/shop")  # no resource answers there
    assert (answer.status, answer.header("x-amzn-errortype")) == (403, "MissingAuthenticationTokenException")
    told = await ask(started.port, "api.example", "/shop/new/tell//a/")
    assert json.loads(told.body) == ["/shop/new/tell//a/", "/shop/new/tell//a/", "v2", {}]


async def _by_stage(started: Gateway) -> None:
    told = await ask(started.port, "any", "/v1/tell/a")
    assert json.loads(told.body) == ["/tell/a", "/v1/tell/a", "v1", {}]
    for host, path in (
        ("any", "/execute-api/hidden/v1/pets/3"),
        ("hidden.execute-api.us-east-1.amazonaws.com", "/v1/pets/3"),
        ("any", "/execute-api/inner/v1/pets/3"),
        ("inner.execute-api.us-east-1.amazonaws.com", "/v1/pets/3"),
        ("inner-vpce-0a.execute-api.us-east-1.amazonaws.com", "/v1/pets/3"),
        ("any", "/execute-api/nobody/v1/pets/3"),
        ("any", "/v3/pets/3"),
    ):
        answer = await ask(started.port, host, path)
        assert (answer.status, answer.body.decode()) == (403, FORBIDDEN), (host, path)
        assert answer.header("x-amzn-errortype") == "ForbiddenException"


async def _over_tls(started: Gateway, authority: Authority) -> None:
    trust = authority.client()
    answer = await ask(started.tls_port, "api.example", "/shop/pets/3", tls=trust, server_name="api.example")
    assert answer.body.startswith(b"shop v1 /shop/pets/3 /pets/{id} api.example")
    answer = await ask(started.tls_port, "b.wild.example", "/pets/3", tls=trust, server_name="b.wild.example")
    assert answer.body.startswith(b"hidden v2 /pets/3 ")


async def _private(started: Gateway) -> None:
    port = started.internal_port
    for host, path in (
        ("any", "/v1/pets/3"),  # it is the only one there
        ("any", "/execute-api/inner/v1/pets/3"),
        ("inner.execute-api.us-east-1.amazonaws.com", "/v1/pets/3"),
        ("inner-vpce-0a.execute-api.us-east-1.amazonaws.com", "/v1/pets/3"),
        ("vpce-0a.execute-api.us-east-1.vpce.amazonaws.com\r\nx-apigw-api-id: inner", "/v1/pets/3"),
    ):
        answer = await ask(port, host, path)
        assert answer.body.decode().startswith("inner v1 /v1/pets/3 /pets/{id} "), (host, path)
        assert answer.body.decode().endswith(" vpce-0a vpc-1")
    for host, path in (
        ("any", "/execute-api/shop/v1/pets/3"),
        ("inner-vpce-0b.execute-api.a", "/v1/pets/3"),
        ("any\r\nx-apigw-api-id: shop", "/v1/pets/3"),
        ("any\r\nx-apigw-api-id: a.b", "/v1/pets/3"),
    ):
        assert (await ask(port, host, path)).status == 403
    assert (await ask(port, "any", "/livez")).status == 200
    told = await ask(port, "any\r\nX-Forwarded-For: 10.1.2.3", "/v1/tell/a")  # by a proxy that is trusted
    assert json.loads(told.body)[-1] == {"vpceId": "vpce-0b"}
    denied = await ask(port, "any\r\nX-Forwarded-For: 192.0.2.1", "/v1/tell/a")
    assert (denied.status, denied.header("x-amzn-errortype")) == (403, "AccessDeniedException")
