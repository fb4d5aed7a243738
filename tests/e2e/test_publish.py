"""PUBLISH integrations of a real gateway: what clients send is read back from real brokers, which fail as they do."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from tests.faults import HOST, Link, link
from tests.harness import PATIENCE, Gateway, closed, gateway, heard, http, raw
from tests.nats import NatsServer, nats_server
from tests.nats import heard as published
from tests.redis import RedisServer, redis_server

pytestmark = pytest.mark.anyio

DEFINITION = """
apis:
  chat:
    protocolType: WEBSOCKET
    routeSelectionExpression: $request.body.action
    stages: {{dev: {{stageVariables: {{room: lobby, stream: "chat:in"}}}}}}
    integrations:
      entries:
        integrationType: PUBLISH
        integrationUri: redis://127.0.0.1:{redis}/0/${{stageVariables.stream}}
        requestParameters:
          integration.request.header.tenant: "'acme'"
          integration.request.header.user: route.request.body.user
        timeoutInMillis: 1000
      subjects:
        integrationType: PUBLISH
        integrationUri: nats://127.0.0.1:{nats}/chat.${{stageVariables.room}}.{{room}}
        requestParameters:
          integration.request.path.room: route.request.body.room
          integration.request.header.user: route.request.body.user
        timeoutInMillis: 1000
      stored:
        integrationType: PUBLISH
        integrationUri: nats://127.0.0.1:{nats}/stored
        publishConfig: {{acknowledgement: JETSTREAM}}
      mapped:
        integrationType: PUBLISH
        integrationUri: redis://127.0.0.1:{redis}/0/mapped
        requestTemplates: {{$default: '{{"text":$input.json("$.text"),"from":"$context.connectionId"}}'}}
        integrationResponses: {{$default: {{responseTemplates: {{$default: '{{"entry":$input.json("$.id")}}'}}}}}}
    routes:
      $connect: {{integration: entries}}
      mapped: {{integration: mapped, routeResponse: true}}
      $disconnect: {{integration: entries}}
      $default: {{integration: entries, routeResponse: true}}
      quiet: {{integration: entries}}
      room: {{integration: subjects, routeResponse: true}}
      stored: {{integration: stored, routeResponse: true}}
"""


class Brokers:
    """The gateway, and both brokers behind a link each."""

    def __init__(self, running: Gateway, redis: RedisServer, nats: NatsServer, links: tuple[Link, Link]) -> None:
        self.gateway = running
        self.redis, self.nats = redis, nats
        self.to_redis, self.to_nats = links

    async def entries(self, least: int = 0) -> list[dict[str, str]]:
        """The stream's entries, once there are so many."""
        async with Redis(host=HOST, port=self.redis.port) as client, asyncio.timeout(PATIENCE):
            while len(found := await client.xrange("chat:in")) < least:
                await asyncio.sleep(0.02)
        return [
            {name.decode(): value.decode(errors="replace") for name, value in fields.items()} for _, fields in found
        ]

    async def bodies(self) -> list[str]:
        """Those of messages."""
        return [entry["body"] for entry in await self.entries() if entry["eventType"] == "MESSAGE"]


@asynccontextmanager
async def brokers(folder: Path) -> AsyncIterator[Brokers]:
    async with (
        redis_server(folder / "redis") as redis,
        nats_server(folder / "nats", jetstream=True) as nats,
        link(redis.port) as to_redis,
        link(nats.port) as to_nats,
        gateway(DEFINITION.format(redis=to_redis.port, nats=to_nats.port), folder, "--drain-window", "1") as running,
    ):
        for port in (to_redis.port, to_nats.port):
            await running.logged(f"at 127.0.0.1:{port}")
        yield Brokers(running, redis, nats, (to_redis, to_nats))


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", {"use_uvloop": True}


@pytest.fixture(scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Brokers]:
    async with brokers(tmp_path_factory.mktemp("brokers")) as running:
        yield running


@pytest.fixture
async def there(shared: Brokers) -> Brokers:
    """Both brokers at work, nothing under way, and no entry and no log line from before."""
    await until(_is_calm, shared.gateway)
    await shared.redis.wipe()
    shared.gateway.log.clear()
    return shared


@pytest.fixture
async def own(tmp_path: Path) -> AsyncIterator[Brokers]:
    """For tests that leave nothing as it was."""
    async with brokers(tmp_path) as running:
        yield running


def _is_calm(samples: dict[str, float]) -> bool:
    up = [value for name, value in samples.items() if name.startswith("wsgateway_broker_up")]
    busy = ("wsgateway_publishes_pending", "wsgateway_connections{", "wsgateway_disconnects_")
    under_way = sum(value for name, value in samples.items() if name.startswith(busy) and "total" not in name)
    return up == [1, 1] and not under_way and samples["wsgateway_connections"] == 0


async def told(client: Any) -> Any:
    return json.loads(await heard(client))


async def until(good: Callable[[dict[str, float]], bool], running: Gateway) -> dict[str, float]:
    async with asyncio.timeout(PATIENCE):
        while not good(samples := await running.metrics()):
            await asyncio.sleep(0.05)
    return samples


async def test_each_event_is_an_entry_of_the_stream(there: Brokers) -> None:
    async with connect(there.gateway.ws()) as client:
        await client.send('{"user": "ann"}')
        answer = await told(client)
        await client.send(b"\x00\xff")
        await heard(client)
        await client.close(1000, "so long\r\nX: y")
    opened, message, binary, ended = await there.entries(4)
    assert answer.keys() == {"id"}
    assert message == {
        "body": '{"user": "ann"}',
        "eventType": "MESSAGE",
        "apiId": "chat",
        "stage": "dev",
        "routeKey": "$default",
        "connectionId": opened["connectionId"],
        "connectedAt": opened["connectedAt"],
        "requestId": message["requestId"],
        "requestTimeEpoch": message["requestTimeEpoch"],
        "callbackUrl": opened["callbackUrl"],
        "binary": "false",
        "tenant": "acme",
        "user": "ann",
    }
    assert (opened["eventType"], opened["routeKey"], opened["body"]) == ("CONNECT", "$connect", "")
    assert binary["binary"] == "true"
    assert (ended["eventType"], ended["disconnectStatusCode"]) == ("DISCONNECT", "1000")
    assert ended["disconnectReason"] == "so long\r\nX: y"


async def test_a_worker_answers_by_the_callback_url(there: Brokers) -> None:
    """Who reads the stream needs nothing else to push to the client."""
    async with connect(there.gateway.ws()) as client:
        await client.send('{"action": "quiet"}')
        _, message = await there.entries(2)
        path = message["callbackUrl"].partition("//")[2].partition("/")[2]
        head = f"POST /{path} HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello"
        assert b" 200 " in (await raw(there.gateway.internal_port, head.encode())).partition(b"\r\n")[0]
        assert await heard(client) == "hello"


async def test_subjects_with_a_part_of_the_message(there: Brokers) -> None:
    async with (
        there.nats.client() as listener,
        published(listener, "chat.>") as queue,
        connect(there.gateway.ws()) as client,
    ):
        await client.send('{"action": "room", "room": "r-1_=", "user": "ann"}')
        assert await told(client) == {}
        subject, body, headers = await asyncio.wait_for(queue.get(), PATIENCE)
        assert subject == "chat.lobby.r-1_="
        assert json.loads(body)["user"] == "ann"
        assert headers["user"] == "ann"
        assert headers["routeKey"] == "room"
        assert headers["connectionId"]
        for hostile in (
            {"room": "a.b"},
            {"room": "*"},
            {"room": ">"},
            {"room": "a b"},
            {"room": "a\r\nPUB x 0"},
            {"room": ""},
            {"room": "x" * 2000},
            {"user": "no room"},
            {"room": "r", "user": "x\r\nInjected: y"},
        ):
            await client.send(json.dumps({"action": "room"} | hostile))
            assert (await told(client)).get("message") == "Internal server error", hostile
        await client.send('{"action": "room", "room": "é"}')
        assert await told(client) == {}
        subject, *_ = await asyncio.wait_for(queue.get(), PATIENCE)
        assert subject == "chat.lobby.é"
        assert queue.empty()


async def test_templates_make_the_entry_and_the_answer(there: Brokers) -> None:
    async with connect(there.gateway.ws()) as client:
        await client.send('{"action": "mapped", "text": "hi"}')
        answer = await told(client)
    ((entry, fields),) = await there.redis.run("XRANGE", "mapped", "-", "+")
    assert answer == {"entry": entry}
    found = dict(zip(fields[::2], fields[1::2], strict=True)) if isinstance(fields, list) else fields
    assert json.loads(found["body"]) == {"text": "hi", "from": found["connectionId"]}


async def test_jetstream_stores(there: Brokers) -> None:
    async with connect(there.gateway.ws()) as client:
        await client.send('{"action": "stored"}')
        assert (await told(client))["message"] == "Internal server error"
        await there.gateway.logged("no stream of JetStream has the subject stored")
        async with there.nats.client() as owner:
            await owner.jetstream().add_stream(name="KEPT", subjects=["stored"])
        await client.send('{"action": "stored"}')
        assert await told(client) == {"stream": "KEPT", "sequence": 1}


async def test_redis_is_killed_and_comes_back(there: Brokers) -> None:
    """What was answered is there, in order; what failed was told; nobody waits long for a broker that is not there."""
    good: list[str] = []
    async with connect(there.gateway.ws()) as client:

        async def send(number: int) -> bool:
            body = json.dumps({"n": number})
            await client.send(body)
            answer = await told(client)
            if "id" in answer:
                good.append(body)
            else:
                assert answer["message"] == "Internal server error"
            return "id" in answer

        assert await send(0)
        await there.redis.kill()
        await there.to_redis.refuse()
        there.to_redis.cut()
        async with asyncio.timeout(PATIENCE):
            while await send(1):
                pass
        await there.gateway.logged("broker can't be reached")
        assert (await there.gateway.metrics())[
            f'wsgateway_broker_up{{broker="Redis at {HOST}:{there.to_redis.port}"}}'
        ] == 0
        with pytest.raises(InvalidStatus) as refused:
            await connect(there.gateway.ws())
        assert refused.value.response.status_code == 500
        await there.redis.start()
        await there.to_redis.heal()
        await there.gateway.logged("broker answers again")
        for number in range(2, 12):
            assert await send(number)
    bodies = await there.bodies()
    assert [body for body in bodies if body in good] == good
    samples = await there.gateway.metrics()
    assert samples['wsgateway_publishes_total{api="chat",integration="entries",result="published"}'] >= len(good)
    assert samples['wsgateway_publishes_total{api="chat",integration="entries",result="unreachable"}'] >= 1


async def test_the_last_event_waits_for_a_broker(there: Brokers) -> None:
    """$disconnect is tried again until the broker has it."""
    async with connect(there.gateway.ws()):
        await there.to_redis.refuse()
        there.to_redis.cut()
    await there.gateway.logged("broker can't be reached")
    await there.to_redis.heal()
    found = await there.entries(2)
    assert [entry["eventType"] for entry in found] == ["CONNECT", "DISCONNECT"]


async def test_nats_is_killed_and_comes_back(there: Brokers) -> None:
    async with connect(there.gateway.ws()) as client:
        await there.nats.kill()
        await there.gateway.logged("broker lost")
        await there.gateway.logged("broker can't be reached")
        await client.send('{"action": "room", "room": "r"}')
        assert (await told(client))["message"] == "Internal server error"
        await there.nats.start()
        await there.gateway.logged("broker answers again")
        await client.send('{"action": "room", "room": "r"}')
        assert await told(client) == {}


@pytest.mark.parametrize("broker", ["redis", "nats"])
async def test_a_broker_that_does_not_answer(there: Brokers, broker: str) -> None:
    """Each message has its own deadline, and all go on when the broker does."""
    between = there.to_redis if broker == "redis" else there.to_nats
    message = '{"action": "say"}' if broker == "redis" else '{"action": "room", "room": "r"}'
    async with connect(there.gateway.ws()) as client:
        between.hole(answers_only=True)
        for _ in range(20):
            await client.send(message)
        name = "entries" if broker == "redis" else "subjects"
        pending = f'wsgateway_publishes_pending{{api="chat",integration="{name}"}}'
        await until(lambda samples: samples[pending] == 20, there.gateway)
        for _ in range(20):
            assert (await told(client))["message"] == "Endpoint request timed out"
        await until(lambda samples: samples[pending] == 0, there.gateway)
        await between.heal()
        async with asyncio.timeout(PATIENCE):
            while True:
                await client.send(message)
                if "message" not in await told(client):
                    break


async def test_order_and_a_drain_behind_what_is_pending(own: Brokers) -> None:
    async with connect(own.gateway.ws()) as client:
        own.to_redis.hole(answers_only=True)
        for number in range(30):
            await client.send(json.dumps({"n": number}))
        await until(
            lambda found: found['wsgateway_publishes_pending{api="chat",integration="entries"}'] == 30, own.gateway
        )
        own.gateway.terminate()
        await own.gateway.logged("draining")
        await own.to_redis.heal()
        answers = [await told(client) for _ in range(30)]
        assert all("id" in answer for answer in answers)
        assert (await closed(client))[0] == 1001
    assert await own.gateway.wait() == 0
    assert [json.loads(body)["n"] for body in await own.bodies()] == list(range(30))


async def test_a_reload_ends_links_that_nobody_uses(own: Brokers, tmp_path: Path) -> None:
    definition = DEFINITION.format(redis=own.to_redis.port, nats=own.to_nats.port)
    moved = definition.replace("chat:in", "chat:moved").replace("nats://127.0.0.1", "redis://127.0.0.1:1/0/unused#")
    async with connect(own.gateway.ws()) as client:
        await client.send('{"action": "quiet"}')
        await own.entries(2)
        (tmp_path / "routes.yaml").write_text(moved)
        own.gateway.reload()
        await own.gateway.logged("definition refused")
        without = definition.replace("chat:in", "chat:moved")
        for name, after in (("      subjects:", "      stored:"), ("      stored:", "      mapped:")):
            without = without[: without.index(name)] + without[without.index(after, without.index(name)) :]
        without = without.replace("integration: subjects", "integration: entries")
        (tmp_path / "routes.yaml").write_text(without.replace("integration: stored", "integration: entries"))
        own.gateway.reload()
        await own.gateway.logged("definition deployed")
        nats = f'wsgateway_broker_up{{broker="NATS at {HOST}:{own.to_nats.port}"}}'
        await until(lambda samples: nats not in samples, own.gateway)
        async with asyncio.timeout(PATIENCE):
            while own.to_nats.open:
                await asyncio.sleep(0.02)
        await client.send('{"n": 1}')
        assert "id" in await told(client)
        assert await own.redis.run("XLEN", "chat:moved") == 1
    assert own.to_redis.accepted == 1


async def test_who_is_not_let_in_is_told_at_start_and_no_password_anywhere(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("hunter2\n")
    async with redis_server(tmp_path / "redis", user="app", password="secret1") as redis:
        definition = f"""
apis:
  chat:
    protocolType: WEBSOCKET
    routeSelectionExpression: $request.body.action
    stages: {{dev: {{}}}}
    routes:
      $default:
        integration:
          integrationType: PUBLISH
          integrationUri: redis://127.0.0.1:{redis.port}/0/in
          publishConfig: {{username: app, password: "${{PASSWORD}}"}}
        routeResponse: true
      filed:
        integration:
          integrationType: PUBLISH
          integrationUri: redis://127.0.0.1:{redis.port}/0/in
          publishConfig: {{username: app, password: "file:password"}}
        routeResponse: true
"""
        async with gateway(definition, tmp_path, env={"PASSWORD": "secret1"}) as running:
            await running.logged("it refuses the user and password")
            async with connect(running.ws()) as client:
                await client.send("{}")
                assert "id" in await told(client)
                await client.send('{"action": "filed"}')
                assert (await told(client))["message"] == "Internal server error"
                (tmp_path / "password").write_text("secret1\n")
                running.reload()
                await running.logged("definition deployed")
                await client.send('{"action": "filed"}')
                assert "id" in await told(client)
            page = (await http(running.internal_port, "GET", "/metrics")).body.decode()
            for secret in ("secret1", "hunter2"):
                assert secret not in "".join(running.log)
                assert secret not in page
