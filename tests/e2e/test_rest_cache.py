"""Stages that keep answers, as their clients and operators see them.

API Gateway developer guide, "Cache settings for REST APIs"; API Gateway API reference (v1), FlushStageCache.
"""

from __future__ import annotations

import asyncio
import json
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import boto3
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from tests import prefork
from tests.harness import PATIENCE, Answer, Backend, Gateway, backend, gateway, http
from tests.redis import RedisServer, redis_server

pytestmark = pytest.mark.anyio

REGION, ACCOUNT = "eu-west-1", "123456789012"
API = f"arn:aws:execute-api:{REGION}:{ACCOUNT}:shop"
ANN, BOB = "AKIAANN0000000000001", "AKIABOB0000000000001"
HITS = 'wsgateway_rest_cache_requests_total{api="shop",result="hit",stage="v1"}'
ANEW = ("Cache-Control", "max-age=0")
WARNING = "199 Cache-control headers were ignored because the caller was unauthorized."

DEFINITION = """
apis:
  shop:
    protocolType: REST
    cors: {allowOrigins: ["https://shop.example", "https://other.example"]}
    authorizers:
      users:
        type: TOKEN
        authorizerUri: http://127.0.0.1:@port@/token
        identitySource: method.request.header.Authorization
        authorizerResultTtlInSeconds: 0
    stages:
      v1:
        cacheClusterEnabled: true
        methodSettings:
          "*/*": {cachingEnabled: true}
          all/{proxy+}/GET: {cacheDataEncrypted: true}
          open/GET: {requireAuthorizationForCacheControl: false}
          strict/GET: {unauthorizedCacheControlHeaderStrategy: FAIL_WITH_403}
          quiet/GET: {unauthorizedCacheControlHeaderStrategy: SUCCEED_WITHOUT_RESPONSE_HEADER}
          off/GET: {cachingEnabled: false}
          never/GET: {cacheTtlInSeconds: 0}
          pets/POST: {cachingEnabled: true}
      v2: {}
    integrations:
      back: {type: HTTP_PROXY, httpMethod: ANY, uri: "http://127.0.0.1:@port@/back"}
      shared: {type: HTTP_PROXY, httpMethod: ANY, uri: "http://127.0.0.1:@port@/back", cacheNamespace: ours}
    paths:
      /pets:
        GET:
          requestParameters: {method.request.querystring.q: false, method.request.header.X-Tenant: false}
          integration:
            type: HTTP_PROXY
            httpMethod: ANY
            uri: http://127.0.0.1:@port@/back
            cacheKeyParameters: [method.request.querystring.q, method.request.header.X-Tenant]
        POST: {integration: back}
        PUT: {integration: back}
      /all/{proxy+}:
        GET:
          requestParameters: {method.request.path.proxy: true}
          integration:
            type: HTTP_PROXY
            httpMethod: ANY
            uri: http://127.0.0.1:@port@/back
            cacheKeyParameters: [method.request.path.proxy]
      /mapped:
        GET:
          integration:
            type: HTTP
            httpMethod: GET
            uri: http://127.0.0.1:@port@/back
            requestParameters: {integration.request.header.X-Of: method.request.header.X-From}
            cacheKeyParameters: [integration.request.header.X-Of]
            integrationResponses:
              "200":
                responseTemplates: {application/json: '{"n": $input.body}', text/plain: "n=$input.body"}
      /open: {GET: {integration: back}}
      /strict: {GET: {integration: back}}
      /quiet: {GET: {integration: back}}
      /off: {GET: {integration: back}}
      /never: {GET: {integration: back}}
      /one: {GET: {integration: shared}}
      /two: {GET: {integration: shared}}
      /signed: {GET: {integration: back, authorizationType: AWS_IAM}}
      /mine: {GET: {integration: back, authorizer: users}}
credentials:
@credentials@
"""

CREDENTIAL = """
  - accessKeyId: @key@
    secretAccessKey: a+secret/
    principalArn: arn:aws:iam::123456789012:user/@name@
    policy: {Version: "2012-10-17", Statement: [{Effect: Allow, Action: [@actions@], Resource: "@api@/v1/*"}]}
"""


@dataclass
class Shop:
    """A gateway, its backend, which counts, and its Redis, if there is one."""

    gateway: Gateway
    backend: Backend
    redis: RedisServer | None

    async def get(self, path: str, *headers: tuple[str, str], method: str = "GET") -> Answer:
        return await http(self.gateway.port, method, f"/v1{path}", b"", headers)

    async def kept(self, path: str, *headers: tuple[str, str], method: str = "GET") -> Answer:
        """An answer that the backend was not asked for, waited for."""
        async with asyncio.timeout(PATIENCE):
            while True:
                before = self.backend.count("/back")
                answer = await self.get(path, *headers, method=method)
                if self.backend.count("/back") == before:
                    return answer
                await asyncio.sleep(0.01)  # it is on its way to Redis

    async def made(self, path: str, *headers: tuple[str, str], method: str = "GET") -> Answer:
        """An answer that the backend was asked for."""
        before = self.backend.count("/back")
        answer = await self.get(path, *headers, method=method)
        assert self.backend.count("/back") == before + 1
        return answer


def count_calls(server: Backend) -> None:
    """Have the backend answer with a number, a higher one each time."""
    server.answers("/back", lambda request: (200, {"X-Of": "backend"}, str(server.count("/back")).encode()))


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", {"use_uvloop": True}


@pytest.fixture(scope="module", params=["memory", "redis"])
async def shop(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Shop]:
    folder = tmp_path_factory.mktemp("shop")
    people = ((ANN, "ann", "execute-api:Invoke"), (BOB, "bob", "execute-api:Invoke, execute-api:InvalidateCache"))
    credentials = "".join(
        CREDENTIAL.replace("@key@", key).replace("@name@", name).replace("@actions@", actions)
        for key, name, actions in people
    )
    async with backend() as server:
        text = DEFINITION.replace("@credentials@", credentials)
        text = text.replace("@port@", str(server.port)).replace("@api@", API)
        flags = ("--region", REGION, "--account-id", ACCOUNT)
        if request.param == "memory":
            async with gateway(text, folder, *flags) as running:
                yield Shop(running, server, None)
            return
        async with (
            redis_server(folder / "redis") as redis,
            gateway(text, folder, *flags, "--redis-url", redis.url) as running,
        ):
            yield Shop(running, server, redis)


@pytest.fixture(autouse=True)
def counting(shop: Shop) -> None:
    count_calls(shop.backend)


async def test_what_is_kept_and_for_whom(shop: Shop) -> None:
    first = await shop.made("/pets?q=1", ("X-Tenant", "a"))
    again = await shop.kept("/pets?other=2&q=1", ("x-tenant", "a"), ("Origin", "https://other.example"))
    assert again.status == 200
    assert again.header("x-of") == "backend"
    assert again.header("access-control-allow-origin") == "https://other.example"
    assert again.header("x-amzn-requestid") != first.header("x-amzn-requestid")
    for path, tenant in (("/pets?q=2", "a"), ("/pets?q=1", "b"), ("/pets?q=1&q=1", "a"), ("/pets", "a")):
        await shop.made(path, ("x-tenant", tenant))

    await shop.made("/all/a/b")
    assert (await shop.kept("/all/a/b")).status == 200
    await shop.made("/all/a%2Fb")
    one = await shop.made("/one")
    two = await shop.kept("/two")
    assert one.body == two.body or shop.redis is not None  # in Redis the first one may have come too late

    await shop.made("/pets", method="POST")
    assert (await shop.kept("/pets", method="POST")).status == 200
    for path, method in (("/pets", "PUT"), ("/off", "GET"), ("/never", "GET")):
        await shop.made(path, method=method)
        await shop.made(path, method=method)
    metrics = await shop.gateway.metrics()
    for result in ("hit", "miss"):
        assert metrics[f'wsgateway_rest_cache_requests_total{{api="shop",result="{result}",stage="v1"}}'] >= 4


async def test_what_is_mapped_can_tell_requests_apart_and_what_they_accept_does(shop: Shop) -> None:
    await shop.made("/mapped", ("X-From", "one"))
    kept = await shop.kept("/mapped", ("X-From", "one"))
    assert kept.json()["n"]
    await shop.made("/mapped", ("X-From", "two"))
    other = await shop.made("/mapped", ("X-From", "one"), ("Accept", "text/plain"))
    assert other.body.startswith(b"n=")


async def test_faults_are_not_kept_others_are(shop: Shop) -> None:
    shop.backend.answers("/back", (503, {}, b"no"))
    assert (await shop.made("/all/fault")).status == 503
    shop.backend.answers("/back", (404, {}, b"nothing"))
    assert (await shop.made("/all/fault")).status == 404
    count_calls(shop.backend)
    assert (await shop.kept("/all/fault")).body == b"nothing"
    shop.backend.answers("/back", None)
    assert (await shop.get("/all/gone")).status >= 500
    count_calls(shop.backend)
    assert (await shop.made("/all/gone")).status == 200


async def test_several_at_a_time_are_one_call(shop: Shop) -> None:
    go = asyncio.Event()

    async def slow(request: object) -> tuple[int, dict[str, str], bytes]:
        await go.wait()
        return 200, {}, b"slow"

    shop.backend.answers("/back", slow)
    before = shop.backend.count("/back")
    hits = (await shop.gateway.metrics()).get(HITS, 0)
    asked = [asyncio.ensure_future(shop.get("/all/slow")) for _ in range(5)]
    await shop.backend.saw("/back", before + 1)
    asked[0].cancel()
    go.set()

    assert [answer.body for answer in await asyncio.gather(*asked[1:])] == [b"slow"] * 4
    assert shop.backend.count("/back") == before + 1
    assert (await shop.gateway.metrics())[HITS] >= hits + 3


async def test_who_may_have_an_answer_anew(shop: Shop) -> None:
    await shop.made("/open")
    await shop.made("/open", ANEW)

    await shop.made("/all/warned")
    await shop.kept("/all/warned")
    assert (await shop.kept("/all/warned", ANEW)).header("warning") == WARNING
    assert (await shop.kept("/all/warned")).header("warning") is None
    await shop.made("/quiet")
    assert (await shop.kept("/quiet", ANEW)).header("warning") is None
    refused = await shop.get("/strict", ANEW)
    assert (refused.status, refused.header("x-amzn-errortype")) == (403, "AccessDeniedException")
    assert refused.json() == {"Message": "User is not authorized to access this resource"}

    await shop.made("/signed", *signed(shop, ANN))
    await shop.kept("/signed", *signed(shop, ANN))
    assert (await shop.kept("/signed", *signed(shop, ANN, ANEW))).header("warning") == WARNING
    assert (await shop.made("/signed", *signed(shop, BOB, ANEW))).header("warning") is None
    assert (await shop.get("/signed")).status == 403  # a kept answer is for those who may


def signed(shop: Shop, key: str, *headers: tuple[str, str]) -> list[tuple[str, str]]:
    url = f"http://127.0.0.1:{shop.gateway.port}/v1/signed"
    request = AWSRequest("GET", url, headers={"Host": "127.0.0.1", **dict(headers)})
    SigV4Auth(Credentials(key, "a+secret/"), "execute-api", REGION).add_auth(request)
    return [(name, value) for name, value in request.headers.items() if name != "Host"]


@pytest.mark.parametrize("action", ["Invoke", "*"])
async def test_an_authorizers_policy_says_who_may_have_it_anew(shop: Shop, action: str) -> None:
    statement = {"Action": f"execute-api:{action}", "Effect": "Allow", "Resource": "*"}
    policy = {"Version": "2012-10-17", "Statement": [statement]}
    output = {"principalId": "ann", "policyDocument": policy}
    shop.backend.answers("/token", (200, {}, json.dumps(output).encode()))
    token = ("Authorization", "ann")
    await shop.get("/mine", token)
    await shop.kept("/mine", token)

    if action == "*":
        await shop.made("/mine", token, ANEW)
    else:
        assert (await shop.kept("/mine", token, ANEW)).header("warning") == WARNING
    assert (await shop.get("/mine")).status == 401


async def test_an_operator_flushes_a_stage(shop: Shop) -> None:
    client = boto3.client(
        "apigateway", endpoint_url=shop.gateway.internal, region_name=REGION, aws_access_key_id="any",
        aws_secret_access_key="any", config=Config(retries={"total_max_attempts": 1}),
    )  # fmt: skip
    await shop.get("/all/flushed")
    await shop.kept("/all/flushed")
    answer = await asyncio.to_thread(client.flush_stage_cache, restApiId="shop", stageName="v1")
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 202
    await shop.made("/all/flushed")
    await shop.kept("/all/flushed")
    for flags, code, said in (
        (("shop", "v1"), 0, "shop/v1 keeps no answer that was made before\n"),
        (("shop", "v1", "--authorizers"), 0, "shop/v1 keeps no answer of an authorizer that was made before\n"),
        (("shop", "v9"), 1, "Invalid Stage identifier specified"),
    ):
        command = (*flags, "--endpoint", shop.gateway.internal)
        process = await prefork.wsgateway("cache", "flush", *command, stdout=PIPE, stderr=STDOUT)
        output, _ = await process.communicate()
        assert (process.returncode, said in output.decode()) == (code, True), output
    await shop.made("/all/flushed")

    with pytest.raises(ClientError) as refusal:
        await asyncio.to_thread(client.flush_stage_cache, restApiId="shops", stageName="v1")
    assert refusal.value.response["Error"]["Code"] == "NotFoundException"
    assert "Invalid API identifier specified" in str(refusal.value)
    path = "/restapis/shop/stages/v1/cache/data"
    assert (await http(shop.gateway.internal_port, "POST", path)).status == 405
    assert (await http(shop.gateway.port, "DELETE", path)).status == 403  # clients have no such thing


async def test_without_redis_backends_are_asked(shop: Shop) -> None:
    if shop.redis is None:
        metrics = await shop.gateway.metrics()
        assert metrics["wsgateway_rest_cache_bytes"] > 0
        return
    await shop.kept("/all/away")
    names = await shop.redis.run("KEYS", "wsgateway:{answers:shop/v1}:*")
    assert names
    await shop.redis.kill()
    assert (await shop.get("/all/away")).status == 200
    await shop.gateway.logged("kept answers can't be had; backends are asked instead")
    await shop.made("/all/away")
    path = "/restapis/shop/stages/v1/cache/data"
    assert (await http(shop.gateway.internal_port, "DELETE", path)).status == 503
    await shop.redis.start()
    assert (await shop.kept("/all/away")).status == 200
    await shop.gateway.logged("kept answers can be had again")
