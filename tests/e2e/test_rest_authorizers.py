"""Who may call the methods of a REST API, as their clients see it.

API Gateway developer guide, "Use API Gateway Lambda authorizers", "Control access to REST APIs using Amazon Cognito
user pools" and "Control access to a REST API with IAM permissions".
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from functools import partial
from hashlib import sha256
from typing import Any

import boto3
import botocore.auth
import pytest
from botocore.auth import SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError
from joserfc import jwt
from joserfc.jwk import RSAKey

from tests.harness import Answer, Backend, Gateway, backend, gateway, http, parse_answer, raw

pytestmark = pytest.mark.anyio

REGION, ACCOUNT = "eu-west-1", "123456789012"
API = f"arn:aws:execute-api:{REGION}:{ACCOUNT}:shop"
MASKED = f"arn:aws:execute-api:{REGION}:********9012:shop"
EVE = ("AKIAEVE0000000000001", "eve-secret")
ANN, SESSION = ("AKIAANN0000000000001", "ann+secret/"), ("ASIABOB0000000000001", "bob-secret")
POOL = "eu-west-1_Abc123"
KEY = RSAKey.generate_key(2048, {"kid": "one", "alg": "RS256"}, auto_kid=False)

AUTH = (
    f"arn:aws:apigateway:{REGION}:lambda:path/2015-03-31/functions/"
    f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:auth/invocations"
)
RUNTIME = f"python3.{sys.version_info.minor}"

DEFINITION = """
apis:
  shop:
    protocolType: REST
    stages:
      v1:
        variables: {tenant: acme}
        methodSettings:
          "rooms/{room+}/POST": &told {loggingLevel: INFO, dataTraceEnabled: true}
          "signed/{id}/GET": *told
    cors: {allowOrigins: ["https://shop.example"]}
    gatewayResponses:
      ACCESS_DENIED: {responseParameters: {gatewayresponse.header.X-Level: context.authorizer.level}}
    authorizers:
      users:
        type: TOKEN
        authorizerUri: http://127.0.0.1:@port@/token
        identitySource: method.request.header.Authorization
        identityValidationExpression: "[a-z]+"
      tenants:
        type: REQUEST
        authorizerUri: http://127.0.0.1:@port@/request
        identitySource: method.request.header.X-User, method.request.querystring.room, stageVariables.tenant
      function:
        type: TOKEN
        authorizerUri: "@auth@"
        identitySource: method.request.header.Authorization
        authorizerResultTtlInSeconds: 0
      pool:
        type: COGNITO_USER_POOLS
        providerARNs: ["arn:aws:cognito-idp:eu-west-1:123456789012:userpool/eu-west-1_Abc123"]
        identitySource: method.request.header.Authorization
      others:
        type: JWT
        identitySource: method.request.header.Authorization
        jwtConfiguration:
          issuers:
            - {issuer: "http://127.0.0.1:@port@/one", audiences: [shop]}
            - {issuer: "http://127.0.0.1:@port@/two", audiences: [shop, other]}
    integrations:
      who:
        type: MOCK
        requestTemplates: &ok {application/json: '{"statusCode": 200}'}
        integrationResponses:
          "200": {responseTemplates: {application/json: '$context.authorizer.principalId $context.authorizer.level'}}
      claims:
        type: MOCK
        requestTemplates: *ok
        integrationResponses:
          "200": {responseTemplates: {application/json: '$context.authorizer.claims.email'}}
      signer:
        type: MOCK
        requestTemplates: *ok
        integrationResponses:
          "200": {responseTemplates: {application/json: '$context.identity.accessKey $context.identity.userArn'}}
      proxy: {type: HTTP_PROXY, httpMethod: POST, uri: "http://127.0.0.1:@port@/proxy"}
    paths:
      /open: {GET: {integration: who}}
      /pets/{id}: {ANY: {integration: who, authorizer: users}}
      /admin: {GET: {integration: who, authorizerId: users, authorizationType: CUSTOM}}
      /rooms/{room+}: {POST: {integration: who, authorizer: tenants}}
      /function: {GET: {integration: {type: AWS_PROXY, httpMethod: POST, uri: "function:tell"}, authorizer: function}}
      /me: {GET: {integration: claims, authorizer: pool}}
      /mail: {GET: {integration: claims, authorizer: pool, authorizationScopes: [mail/read, mail/write]}}
      /other: {GET: {integration: claims, authorizer: others}}
      /signed: {ANY: {integration: signer, authorizationType: AWS_IAM}}
      /signed/{id}: {GET: {integration: signer, authorizationType: AWS_IAM}}
      /upload: {POST: {integration: proxy, authorizationType: AWS_IAM}}
  closed:
    protocolType: REST
    stages: {v1: {}}
    cors: {allowOrigins: ["https://shop.example"]}
    policy:
      Version: "2012-10-17"
      Statement:
        - {Effect: Allow, Principal: "*", Action: "execute-api:Invoke", Resource: "execute-api:/v1/GET/*",
           Condition: {IpAddress: {"aws:SourceIp": 127.0.0.1}}}
        - {Effect: Deny, Principal: "*", Action: "execute-api:Invoke", Resource: "execute-api:/*",
           Condition: {StringLike: {"aws:UserAgent": "curl/*"}}}
        - {Effect: Allow, Principal: {AWS: "arn:aws:iam::210987654321:user/eve"}, Action: "execute-api:Invoke",
           Resource: "execute-api:/v1/POST/signed"}
        - {Effect: Allow, Principal: {AWS: "210987654321"}, Action: "execute-api:Invoke",
           Resource: "execute-api:/v1/PUT/home/${aws:username}",
           Condition: {StringEquals: {"aws:PrincipalOrgID": o-a1b2c3d4e5}}}
        - {Effect: Deny, NotPrincipal: {AWS: ["123456789012", "arn:aws:iam::123456789012:user/ann", "210987654321",
           "arn:aws:iam::210987654321:user/eve"]}, Action: "execute-api:*", Resource: "execute-api:/v1/*/home/*"}
    authorizers:
      users:
        type: TOKEN
        authorizerUri: http://127.0.0.1:@port@/closed
        identitySource: method.request.header.Authorization
      pool:
        type: COGNITO_USER_POOLS
        providerARNs: ["arn:aws:cognito-idp:eu-west-1:123456789012:userpool/eu-west-1_Abc123"]
        identitySource: method.request.header.Authorization
    integrations:
      ok: {type: MOCK, requestTemplates: {application/json: '{"statusCode": 200}'},
           integrationResponses: {"200": {}}}
    paths:
      /open: {ANY: {integration: ok}}
      /custom: {ANY: {integration: ok, authorizer: users}}
      /token: {ANY: {integration: ok, authorizer: pool}}
      /signed: {ANY: {integration: ok, authorizationType: AWS_IAM}}
      /home/{user}: {ANY: {integration: ok, authorizationType: AWS_IAM}}
defaultApi: shop
functions:
  auth: {runtime: @runtime@, codeUri: ., handler: app.decide, timeout: 5}
  tell: {runtime: @runtime@, codeUri: ., handler: app.tell, timeout: 5}
credentials:
  - accessKeyId: AKIAEVE0000000000001
    secretAccessKey: eve-secret
    principalArn: arn:aws:iam::210987654321:user/eve
    principalOrgId: o-a1b2c3d4e5
    policy:
      Version: "2012-10-17"
      Statement: [{Effect: Allow, Action: "execute-api:Invoke", Resource: "*"}]
  - accessKeyId: AKIAANN0000000000001
    secretAccessKey: ann+secret/
    principalArn: arn:aws:iam::123456789012:user/ann
    policy:
      Version: "2012-10-17"
      Statement:
        - {Effect: Allow, Action: "execute-api:Invoke", Resource: "@api@/v1/*"}
        - {Effect: Deny, Action: "*", Resource: "@api@/v1/GET/signed/secret"}
        - {Effect: Deny, Action: "*", Resource: "@api@/v1/GET/signed/a b"}
sessionLookup: {url: "http://127.0.0.1:@port@/sessions"}
"""

FUNCTIONS = """
import json

def decide(event, context):
    if event["authorizationToken"] != "good":
        raise Exception(event["authorizationToken"])
    statement = {"Action": "execute-api:Invoke", "Effect": "Allow", "Resource": event["methodArn"]}
    policy = {"Version": "2012-10-17", "Statement": [statement]}
    return {"principalId": "ann", "policyDocument": policy, "context": {"level": 7, "admin": True}}

def tell(event, context):
    return {"body": json.dumps(event["requestContext"]["authorizer"])}
"""


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", {"use_uvloop": True}


@pytest.fixture(scope="module")
async def server() -> AsyncIterator[Backend]:
    """Authorizers, issuers and what is called."""
    async with backend() as server:
        keys = json.dumps({"keys": [KEY.as_dict(private=False)]}).encode()
        server.answers(f"/{POOL}/.well-known/jwks.json", (200, {}, keys))
        for name in ("one", "two"):
            base = f"http://127.0.0.1:{server.port}/{name}"
            said = {"issuer": base, "jwks_uri": f"{base}/keys"}
            server.answers(f"/{name}/.well-known/openid-configuration", (200, {}, json.dumps(said).encode()))
            server.answers(f"/{name}/keys", (200, {}, keys))
        yield server


@pytest.fixture(scope="module")
async def shop(server: Backend, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Gateway]:
    folder = tmp_path_factory.mktemp("shop")
    (folder / "app.py").write_text(FUNCTIONS)
    text = DEFINITION
    for name, value in {"port": str(server.port), "api": API, "auth": AUTH, "runtime": RUNTIME}.items():
        text = text.replace(f"@{name}@", value)
    flags = ("--region", REGION, "--account-id", ACCOUNT)
    env = {"AWS_ENDPOINT_URL_COGNITO_IDENTITY_PROVIDER": f"http://127.0.0.1:{server.port}"}
    async with gateway(text, folder, *flags, env=env) as running:
        yield running


def allow(server: Backend, path: str, context: dict[str, object] | None = None, **effects: str) -> None:
    """What an authorizer answers: effects by the end of the resource."""
    statements = [
        {"Action": "execute-api:Invoke", "Effect": effect, "Resource": f"{API}/v1/{name.replace('_', '/')}*"}
        for name, effect in effects.items()
    ]
    policy = {"Version": "2012-10-17", "Statement": statements}
    output = {"principalId": "ann", "policyDocument": policy, "context": context or {}}
    server.answers(path, (200, {}, json.dumps(output).encode()))


async def get(shop: Gateway, path: str, *headers: tuple[str, str], method: str = "GET", body: bytes = b"") -> Answer:
    return await http(shop.port, method, f"/v1{path}", body, headers)


def refusal(answer: Answer) -> tuple[int, str | None, Any]:
    return answer.status, answer.header("x-amzn-errortype"), answer.json()


async def test_a_kept_policy_is_evaluated_for_each_method(shop: Gateway, server: Backend) -> None:
    allow(server, "/token", {"level": 7}, GET_pets="Allow", GET_admin="Deny")
    token = ("authorization", "good")  # names of headers in any case

    first = await get(shop, "/pets/a%2Fb", token)
    assert (first.status, first.body) == (200, b"ann 7")
    asked = json.loads((await server.saw("/token")).body)
    assert asked == {
        "type": "TOKEN",
        "authorizationToken": "good",
        "methodArn": f"{API}/v1/GET/pets/a%2Fb",
    }
    denied = await get(shop, "/%61dmin/", token)
    said = "User is not authorized to access this resource"
    assert refusal(denied) == (403, "AccessDeniedException", {"Message": f"{said} with an explicit deny"})
    assert denied.header("x-level") == "7", "what the authorizer says of whom it refuses"
    silent = await get(shop, "/pets/1", token, method="POST")
    assert refusal(silent) == (403, "AccessDeniedException", {"Message": said})
    # A policy is about the verb that runs.
    override = await get(shop, "/pets/1", token, ("X-HTTP-Method-Override", "DELETE"))
    assert override.status == 403
    assert server.count("/token") == 1


async def test_an_operator_has_what_was_said_forgotten(shop: Gateway, server: Backend) -> None:
    client = boto3.client(
        "apigateway", endpoint_url=shop.internal, region_name=REGION, aws_access_key_id="any",
        aws_secret_access_key="any", config=Config(retries={"total_max_attempts": 1}),
    )  # fmt: skip
    token = ("Authorization", "revoked")
    allow(server, "/token", GET_pets="Allow")
    assert (await get(shop, "/pets/1", token)).status == 200
    server.answers("/token", (401, {}, b""))
    assert (await get(shop, "/pets/1", token)).status == 200, "it is kept"
    flush = partial(client.flush_stage_authorizers_cache, restApiId="shop")
    answer = await asyncio.to_thread(flush, stageName="v1")
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 202
    assert (await get(shop, "/pets/1", token)).status == 401
    with pytest.raises(ClientError, match="Invalid Stage identifier specified"):
        await asyncio.to_thread(flush, stageName="v9")
    path = "/restapis/shop/stages/v1/cache/authorizers"
    assert (await http(shop.internal_port, "GET", path)).status == 405
    assert (await http(shop.port, "DELETE", path)).status == 403  # clients have no such thing


async def test_without_a_token_nobody_is_asked(shop: Gateway, server: Backend) -> None:
    before = server.count("/token")
    for header in (("Other", "x"), ("Authorization", "BAD"), ("Authorization", " "), ("Authorization", "good bad")):
        answer = await get(shop, "/pets/1", header)
        assert refusal(answer) == (401, "UnauthorizedException", {"message": "Unauthorized"})
    twice = await get(shop, "/pets/1", ("Authorization", "other"), ("Authorization", "good"))
    assert twice.status == 401, "a backend could read the one that was not checked"
    assert server.count("/token") == before
    assert (await get(shop, "/open")).status == 200
    for path in ("/me", "/pets/1", "/signed"):  # pages ask before they may show who they are
        assert (await get(shop, path, ("Origin", "https://shop.example"), method="OPTIONS")).status == 200


@pytest.mark.parametrize(
    ("reply", "error", "status"),
    [
        pytest.param((200, {}, b"{}"), "AuthorizerConfigurationException", 500, id="no output"),
        pytest.param((200, {}, b'{"policyDocument": {"Statement": []}}'), "AuthorizerConfigurationException", 500,
                     id="nobody's output"),
        pytest.param((500, {}, b"secret"), "AuthorizerFailureException", 500, id="it broke"),
        pytest.param((401, {}, b""), "UnauthorizedException", 401, id="who is it"),
        pytest.param((403, {}, b""), "AccessDeniedException", 403, id="no"),
    ],
)  # fmt: skip
async def test_an_authorizer_that_gives_no_policy(
    shop: Gateway, server: Backend, reply: tuple[int, dict[str, str], bytes], error: str, status: int
) -> None:
    server.answers("/token", reply)
    answer = await get(shop, "/pets/1", ("Authorization", "another"))

    assert (answer.status, answer.header("x-amzn-errortype")) == (status, error)
    if status == 500:
        assert answer.json() == {"message": None}


async def test_a_function_decides(shop: Gateway) -> None:
    good = await get(shop, "/function", ("Authorization", "good"))
    assert good.status == 200
    known = good.json()
    assert isinstance(known.pop("integrationLatency"), int)
    assert known == {"principalId": "ann", "level": "7", "admin": "true"}
    nobody = await get(shop, "/function", ("Authorization", "Unauthorized"))
    assert refusal(nobody) == (401, "UnauthorizedException", {"message": "Unauthorized"})
    broken = await get(shop, "/function", ("Authorization", "unauthorized"))
    assert refusal(broken) == (500, "AuthorizerFailureException", {"message": None})


async def test_a_request_authorizer_sees_all_but_the_body(shop: Gateway, server: Backend) -> None:
    allow(server, "/request", {"level": True}, POST_rooms="Allow")
    path = "/rooms/a/b%20c?room=1&room=2&x="

    answer = await get(shop, path, ("x-user", "ann"), method="POST", body=b"x" * 3_000_000)
    assert (answer.status, answer.body) == (200, b"ann true")
    event = json.loads((await server.saw("/request")).body)
    assert event["methodArn"] == f"{API}/v1/POST/rooms/a/b c"
    assert list(event) == [
        "type", "methodArn", "resource", "path", "httpMethod", "headers", "multiValueHeaders", "queryStringParameters",
        "multiValueQueryStringParameters", "pathParameters", "stageVariables", "requestContext",
    ]  # fmt: skip
    assert (event["type"], event["resource"], event["path"]) == ("REQUEST", "/rooms/{room+}", "/rooms/a/b%20c")
    assert (event["queryStringParameters"], event["stageVariables"]) == ({"room": "2", "x": ""}, {"tenant": "acme"})
    assert event["multiValueQueryStringParameters"] == {"room": ["1", "2"], "x": [""]}
    assert event["requestContext"]["identity"]["sourceIp"] == "127.0.0.1"
    assert "authorizer" not in event["requestContext"]
    for again in (path, "/rooms/z?room=2"):  # kept by all of its identity sources
        assert (await get(shop, again, ("X-User", "ann"), method="POST")).status == 200
    assert server.count("/request") == 1
    for missing in ("/rooms/z", "/rooms/z?room="):
        assert (await get(shop, missing, ("X-User", "ann"), method="POST")).status == 401
    assert server.count("/request") == 1
    # Values are kept apart: these are other ones, though they read the same one after the other.
    await get(shop, "/rooms/z?room=n2", ("X-User", "an"), method="POST")
    assert server.count("/request") == 2


async def test_the_log_tells_of_authorizers_and_of_no_token(shop: Gateway, server: Backend) -> None:
    allow(server, "/request", POST_rooms="Allow")

    await get(shop, "/rooms/log?room=secret-of-bob", ("X-User", "secret-of-ann"), method="POST")
    await shop.logged("Successfully completed authorizer execution")
    await shop.logged("Method completed with status: 200")
    assert any("Starting authorizer: tenants" in line for line in shop.log)
    assert not any("secret-of" in line for line in shop.log)
    path, _ = signed("GET", "/signed/told", presign=60)
    await get(shop, path)
    await shop.logged("Resource Path: /signed/told")
    signature = path.rpartition("X-Amz-Signature=")[2]
    assert not any(signature in line for line in shop.log)
    count = 'wsgateway_authorizations_total{api="shop",authorizer="tenants",result="allow"}'
    assert (await shop.metrics())[count] >= 1


def pool_token(key: RSAKey = KEY, **claims: object) -> tuple[str, str]:
    said = {
        "iss": f"https://cognito-idp.{REGION}.amazonaws.com/{POOL}",
        "sub": "1-2",
        "aud": "client",
        "token_use": "id",
        "email": "ann@shop.example",
        "exp": int(time.time()) + 300,
    } | claims
    return "Authorization", "Bearer " + jwt.encode({"alg": "RS256", "kid": "one"}, said, key, ["RS256"])


async def test_tokens_of_a_user_pool(shop: Gateway, server: Backend) -> None:
    for good in (pool_token(), pool_token(iss=f"http://127.0.0.1:{server.port}/{POOL}")):
        answer = await get(shop, "/me", good)
        assert (answer.status, answer.body) == (200, b"ann@shop.example")
    access = {"token_use": "access", "scope": "openid mail/write", "aud": None, "client_id": "client"}
    assert (await get(shop, "/mail", pool_token(**access))).status == 200
    for path, bad in (
        ("/me", pool_token(**access)),
        ("/mail", pool_token()),
        ("/mail", pool_token(**(access | {"scope": "mail"}))),
        ("/me", pool_token(iss="https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_Other")),
        ("/me", pool_token(RSAKey.generate_key(2048))),
        ("/me", ("Authorization", "Bearer a.b.c")),
        ("/me", ("Authorization", "")),
    ):
        answer = await get(shop, path, bad)
        assert refusal(answer) == (401, "UnauthorizedException", {"message": "Unauthorized"})
    late = await get(shop, "/me", pool_token(exp=1))
    assert refusal(late) == (401, "UnauthorizedException", {"message": "The incoming token has expired"})


async def test_tokens_of_one_of_several_issuers(shop: Gateway, server: Backend) -> None:
    base = f"http://127.0.0.1:{server.port}"
    assert (await get(shop, "/other", pool_token(iss=f"{base}/one", aud="shop"))).status == 200
    assert (await get(shop, "/other", pool_token(iss=f"{base}/two", aud=["x", "other"]))).status == 200
    for claims in ({"iss": f"{base}/one", "aud": "other"}, {"iss": f"{base}/three", "aud": "shop"}, {"iss": 1}):
        assert (await get(shop, "/other", pool_token(**claims))).status == 401


def session(server: Backend, expires: float) -> None:
    """What is known of every session token."""
    statement = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    said = {
        "secretAccessKey": SESSION[1],
        "principalArn": f"arn:aws:sts::{ACCOUNT}:assumed-role/app/bob",
        "policy": {"Version": "2012-10-17", "Statement": [statement]},
        "expiration": expires,
    }
    server.answers("/sessions", (200, {}, json.dumps(said).encode()))


def signed(
    method: str,
    path: str,
    body: bytes = b"",
    *,
    stage: str = "/v1",
    key: tuple[str, str] = ANN,
    session: str | None = None,
    presign: int | None = None,
) -> tuple[str, list[tuple[str, str]]]:
    """The path below the stage and the headers of a request that botocore has signed."""
    base = "http://127.0.0.1"
    request = AWSRequest(method, f"{base}{stage}{path}", data=body if presign is None else b"")
    credentials = Credentials(*key, session)
    if presign is None:
        SigV4Auth(credentials, "execute-api", REGION).add_auth(request)
    else:
        _PresignedWithBody(body, credentials, "execute-api", REGION, expires=presign).add_auth(request)
    return request.url.removeprefix(f"{base}{stage}"), [(name, str(value)) for name, value in request.headers.items()]


class _PresignedWithBody(SigV4QueryAuth):
    """botocore would put the body into the query."""

    def __init__(self, body: bytes, *settings: Any, **more: Any) -> None:
        super().__init__(*settings, **more)
        self._body = body

    def payload(self, request: AWSRequest) -> str:
        return sha256(self._body).hexdigest()


@pytest.mark.parametrize("presign", [None, 60], ids=["headers", "presigned"])
async def test_a_signature_stands_for_the_whole_request(shop: Gateway, presign: int | None) -> None:
    for body in (b"[1]", b"[%s]" % (b"1," * 2_000_000)):
        path, headers = signed("POST", "/signed?b=2&a=%20", body, presign=presign)
        answer = await get(shop, path, *headers, method="POST", body=body)
        assert answer.body == b"AKIAANN0000000000001 arn:aws:iam::123456789012:user/ann"

    mismatch = "The request signature we calculated does not match the signature you provided."
    path, headers = signed("POST", "/signed?b=2&a=%20", b"[1]", presign=presign)
    for method, where, body in (("POST", path, b"[2]"), ("PUT", path, b"[1]"), ("POST", f"{path}&c=3", b"[1]")):
        answer = await get(shop, where, *headers, method=method, body=body)
        status, error, said = refusal(answer)
        assert (status, error) == (403, "InvalidSignatureException")
        assert said["message"].startswith(mismatch)


async def test_signatures_that_are_refused(shop: Gateway, server: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    unsigned = await get(shop, "/signed")
    assert refusal(unsigned) == (
        403, "MissingAuthenticationTokenException", {"message": "Missing Authentication Token"},
    )  # fmt: skip
    path, headers = signed("GET", "/signed", key=("AKIANOBODY", "x"))
    answer = await get(shop, path, *headers)
    said = "The security token included in the request is invalid."
    assert refusal(answer) == (403, "UnrecognizedClientException", {"message": said})

    # Before their bodies are read, of which 10 MB may come.
    path, headers = signed("POST", "/signed", key=("AKIANOBODY", "x"))
    for more in ([], headers):
        head = "".join(f"{name}: {value}\r\n" for name, value in [("Host", "127.0.0.1"), *more])
        request = f"POST /v1{path} HTTP/1.1\r\n{head}Content-Length: 9000000\r\nExpect: 100-continue\r\n\r\n".encode()
        assert parse_answer(await raw(shop.port, request)).status == 403

    path, headers = signed("GET", "/signed/secret")
    denied = await get(shop, path, *headers)
    who = "User: arn:aws:iam::123456789012:user/ann is not authorized to perform: execute-api:Invoke on resource:"
    said = f"{who} {MASKED}/v1/GET/signed/secret with an explicit deny"
    assert refusal(denied) == (403, "AccessDeniedException", {"Message": said})
    # The host that a request is for is signed, however it is named (RFC 9112 §3.2.2).
    path, headers = signed("GET", "/signed/1")
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers)
    for host, status in (("127.0.0.1", 200), ("shop.execute-api.example", 403)):
        request = f"GET http://{host}/v1{path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{lines}Connection: close\r\n\r\n"
        assert parse_answer(await raw(shop.port, request.encode())).status == status

    # Of another account, and no policy of the API lets them in.
    path, headers = signed("GET", "/signed/1", key=EVE)
    stranger = await get(shop, path, *headers)
    who = "User: arn:aws:iam::210987654321:user/eve is not authorized to perform: execute-api:Invoke on resource:"
    assert refusal(stranger) == (403, "AccessDeniedException", {"Message": f"{who} {MASKED}/v1/GET/signed/1"})
    for spelled in ("/signed/secre%74", "/signed/a%20b", "//signed/secret/"):
        path, headers = signed("GET", spelled)
        assert (await get(shop, path, *headers)).header("x-amzn-errortype") == "AccessDeniedException"

    session(server, expires=9e9)
    path, headers = signed("GET", "/signed/1", key=SESSION, session="t+1")
    assert (await get(shop, path, *headers)).status == 200
    session(server, expires=1)
    path, headers = signed("GET", "/signed/1", key=SESSION, session="t+2")
    late = await get(shop, path, *headers)
    said = "The security token included in the request is expired"
    assert refusal(late) == (403, "ExpiredTokenException", {"message": said})

    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda: datetime(2020, 1, 1, tzinfo=UTC))
    path, headers = signed("GET", "/signed/1")
    answer = await get(shop, path, *headers)
    assert answer.header("x-amzn-errortype") == "InvalidSignatureException"
    assert answer.json()["message"].startswith("Signature expired: 2020")


CLOSED = "/execute-api/closed/v1"
CURL = ("User-Agent", "curl/8")


async def closed(
    shop: Gateway,
    method: str,
    path: str,
    *headers: tuple[str, str],
    key: tuple[str, str] | None = None,
    token: str | None = None,
) -> tuple[int, str]:
    """What a request of the API with a policy gets: the status, and what it is told."""
    sent = (
        list(headers) if key is None else signed(method, path, key=key, session=token, stage=CLOSED)[1] + list(headers)
    )
    answer = await http(shop.port, method, f"{CLOSED}{path}", b"", sent)
    return answer.status, answer.json()["Message"] if answer.status == 403 else ""


async def test_a_resource_policy_and_who_calls_decide_together(shop: Gateway, server: Backend) -> None:
    masked = f"{MASKED.removesuffix('shop')}closed/v1"
    anonymous = "User: anonymous is not authorized to perform: execute-api:Invoke on resource:"

    # Nobody is asked who they are: the policy has to allow it.
    assert await closed(shop, "GET", "/open") == (200, "")
    assert await closed(shop, "POST", "/open") == (403, f"{anonymous} {masked}/POST/open")
    assert await closed(shop, "GET", "/open", CURL) == (403, f"{anonymous} {masked}/GET/open with an explicit deny")

    # A Lambda authorizer is not asked behind a Deny; the policy lets in whom its policy says nothing of.
    token = ("Authorization", "a")
    server.answers("/closed", (200, {}, json.dumps(_output("Allow", "POST/custom")).encode()))
    assert (await closed(shop, "GET", "/custom", token, CURL))[1].endswith("/GET/custom with an explicit deny")
    assert server.count("/closed") == 0
    assert await closed(shop, "GET", "/custom", token) == (200, "")
    assert await closed(shop, "POST", "/custom", token) == (200, "")
    assert await closed(shop, "PUT", "/custom", token) == (403, "User is not authorized to access this resource")

    # A token comes first, and the policy has to allow it too.
    assert (await closed(shop, "GET", "/token", CURL))[0] == 401
    assert await closed(shop, "GET", "/token", pool_token()) == (200, "")
    assert await closed(shop, "POST", "/token", pool_token()) == (403, f"{anonymous} {masked}/POST/token")

    # Of our own account one of both has to allow it, of another both.
    ann, eve = (
        f"User: arn:aws:iam::{who} is not authorized" for who in (f"{ACCOUNT}:user/ann", "210987654321:user/eve")
    )
    assert await closed(shop, "GET", "/signed", key=ANN) == (200, "")
    assert (await closed(shop, "POST", "/signed", key=ANN))[1].startswith(ann)
    assert await closed(shop, "POST", "/signed", key=EVE) == (200, "")
    assert (await closed(shop, "PUT", "/signed", key=EVE))[1].startswith(eve)
    assert (await closed(shop, "GET", "/signed", CURL, key=ANN))[1].endswith("/GET/signed with an explicit deny")

    # Of another account, who is allowed what is their own, and of no organization but this.
    assert await closed(shop, "PUT", "/home/eve", key=EVE) == (200, "")
    assert (await closed(shop, "PUT", "/home/ann", key=EVE))[1].startswith(eve)
    assert (await closed(shop, "PUT", "/home/eve", key=ANN))[1].startswith(ann)
    # All but those whom it names are denied what our own account allows, a session of a role too.
    session(server, expires=9e9)
    bob = await closed(shop, "GET", "/home/bob", key=SESSION, token="t+3")
    assert bob[1].endswith("/GET/home/bob with an explicit deny")
    assert await closed(shop, "GET", "/home/ann", key=ANN) == (200, "")

    # Browsers ask before they may show who they are.
    origin = ("Origin", "https://shop.example")
    assert (await http(shop.port, "OPTIONS", f"{CLOSED}/open", b"", [origin, CURL])).status == 200


def _output(effect: str, path: str) -> dict[str, object]:
    resource = f"{API.removesuffix('shop')}closed/v1/{path}"
    statement = {"Effect": effect, "Action": "execute-api:Invoke", "Resource": resource}
    return {"principalId": "ann", "policyDocument": {"Version": "2012-10-17", "Statement": [statement]}}
