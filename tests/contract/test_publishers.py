"""What every publisher promises, of each kind of broker: one suite, against real servers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from tests.certificates import Authority, server_context
from tests.faults import HOST, Link, link
from tests.harness import PATIENCE
from tests.nats import NatsServer, heard, nats_server
from tests.redis import RedisServer, cluster, redis_server, sentinels
from wsgateway.errors import GatewayError
from wsgateway.integrations.publish.base import Broker, BrokerAway, Outcome, Publication, Publisher, Refused
from wsgateway.integrations.publish.brokers import publisher
from wsgateway.integrations.publish.handover import Tally
from wsgateway.integrations.publish.outlet import Outlet
from wsgateway.messages import EndpointResponse
from wsgateway.upstream.deadlines import Deadlines
from wsgateway.upstream.tls import TlsSettings

pytestmark = pytest.mark.anyio

KINDS = ["redis", "nats", "jetstream"]
FIELDS = [("eventType", "MESSAGE"), ("connectionId", "abc="), ("naïve", "été")]


@dataclass
class Place:
    """A server, the link to it, and how its messages are read back."""

    kind: str
    server: RedisServer | NatsServer
    between: Link
    broker: Broker

    def publisher(self, **changes: Any) -> Publisher:
        return publisher(Broker(**({"kind": self.broker.kind, "hosts": self.broker.hosts} | changes)))

    def publication(self, body: bytes, *, name: str = "chat.in", request: str = "") -> Publication:
        fields = [(key, value) for key, value in FIELDS if key.isascii() or self.kind == "redis"]
        return Publication(name, body, [*fields, ("requestId", request or body.decode())], 0, self.kind == "jetstream")

    async def kept(self, least: int) -> list[tuple[bytes, dict[str, str]]]:
        """Body and fields of each message, in order, once there are so many. A stream of NATS stores in its own time
        what nobody waits for."""
        async with asyncio.timeout(PATIENCE):
            while len(found := await self._kept()) < least:
                await asyncio.sleep(0.01)
        return found

    async def _kept(self, name: str = "chat.in") -> list[tuple[bytes, dict[str, str]]]:
        if isinstance(self.server, RedisServer):
            async with Redis(host=HOST, port=self.server.port) as client:
                entries = await client.xrange(name)
            found = [{key.decode(): value for key, value in fields.items()} for _, fields in entries]
            return [(one.pop("body"), {key: value.decode() for key, value in one.items()}) for one in found]
        async with self.server.client() as client:
            stream = client.jetstream()
            count = (await stream.stream_info("CHAT")).state.messages
            held = [await stream.get_msg("CHAT", number) for number in range(1, count + 1)]
            return [(one.data or b"", one.headers or {}) for one in held if one.subject == name]


@asynccontextmanager
async def place(kind: str, folder: Path) -> AsyncIterator[Place]:
    """A server of a kind behind a link. Of NATS a stream keeps what comes, whoever waits for that."""
    async with AsyncExitStack() as stack:
        server: RedisServer | NatsServer
        if kind == "redis":
            server = await stack.enter_async_context(redis_server(folder))
        else:
            server = await stack.enter_async_context(nats_server(folder, jetstream=True))
            async with server.client() as client:
                await client.jetstream().add_stream(name="CHAT", subjects=["chat.>"])
        between = await stack.enter_async_context(link(server.port))
        broker = Broker(kind="redis" if kind == "redis" else "nats", hosts=((HOST, between.port),))
        yield Place(kind, server, between, broker)


@pytest.fixture(params=KINDS)
async def there(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Place]:
    async with place(request.param, tmp_path) as found:
        yield found


@pytest.fixture
async def opened(there: Place) -> AsyncIterator[Publisher]:
    async with opening(there.publisher()) as made:
        yield made


@asynccontextmanager
async def opening(made: Publisher) -> AsyncIterator[Publisher]:
    try:
        await made.open()
        yield made
    finally:
        await made.aclose()


async def outcomes(sending: Awaitable[list[Outcome | asyncio.Future[Outcome]]]) -> list[Outcome]:
    async with asyncio.timeout(PATIENCE):
        return [await one if isinstance(one, asyncio.Future) else one for one in await sending]


async def eventually(good: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not good():
            await asyncio.sleep(0.01)


async def test_what_is_acknowledged_is_there_in_order_with_its_fields(there: Place, opened: Publisher) -> None:
    bodies = [str(number).encode() for number in range(500)]
    told = await outcomes(opened.send([there.publication(body) for body in bodies], PATIENCE))
    kept = await there.kept(500 if there.kind == "nats" else 0)
    assert [body for body, _ in kept] == bodies
    assert kept[7][1].items() >= dict(there.publication(b"7").fields).items()
    assert all(isinstance(one, bytes) for one in told)
    if there.kind == "jetstream":
        assert json.loads(told[-1]) == {"stream": "CHAT", "sequence": 500}  # type: ignore[arg-type]
    elif there.kind == "redis":
        assert json.loads(told[-1]).keys() == {"id"}  # type: ignore[arg-type]


@pytest.mark.parametrize("body", [b"", b"\r\n+OK\r\n\x00\xff", b"x" * 900_000], ids=["empty", "protocol", "large"])
async def test_any_bytes_arrive_as_they_are(there: Place, opened: Publisher, body: bytes) -> None:
    publication = Publication("chat.in", body, [("requestId", "1")], 0, there.kind == "jetstream")
    await outcomes(opened.send([publication], PATIENCE))
    assert [body for body, _ in await there.kept(1)] == [body]


async def test_nothing_listens(there: Place) -> None:
    await there.between.refuse()
    made = there.publisher()
    with pytest.raises(BrokerAway, match=f"at {HOST}:{there.between.port}: "):
        await made.open()
    await there.between.heal()
    await made.open()
    assert await outcomes(made.send([there.publication(b"1")], PATIENCE))
    await made.aclose()


async def test_a_server_that_says_nothing(there: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("redis_streams", "nats_subjects"):
        monkeypatch.setattr(f"wsgateway.integrations.publish.{module}.OPEN_SECONDS", 0.2)
    there.between.hole()
    made = there.publisher()
    with pytest.raises(BrokerAway, match=r"no answer within 0\.2 s"):
        await made.open()
    await made.aclose()


async def test_a_link_cut_while_sending(there: Place, opened: Publisher) -> None:
    """It may have been taken, and here it was."""
    there.between.hole(answers_only=True)
    sending = asyncio.ensure_future(outcomes(opened.send([there.publication(b"1")], PATIENCE)))
    await there.kept(1)
    assert not sending.done()
    there.between.cut()
    with pytest.raises(BrokerAway):
        await sending
    await there.between.heal()
    await opened.open()
    await outcomes(opened.send([there.publication(b"2")], PATIENCE))
    assert [body for body, _ in await there.kept(2)] == [b"1", b"2"]


async def test_seconds_are_over(there: Place, opened: Publisher) -> None:
    there.between.hole()
    with pytest.raises(BrokerAway, match="no answer within"):
        await outcomes(opened.send([there.publication(b"1")], 0.3))


async def test_a_link_that_breaks_again_and_again_loses_and_doubles_nothing(there: Place) -> None:
    """What was acknowledged is there once and in order, whatever became of the rest."""
    log: list[str] = []
    tally = Tally()
    outlet = Outlet(
        "broker", there.publisher(), Deadlines(asyncio.get_running_loop()), lambda event, **facts: log.append(event)
    )
    outlet.use()
    good: list[bytes] = []
    faults = ("cut", "hole", "refuse", "answers", "reset", "cut")
    for turn, fault in enumerate(faults):
        await eventually(lambda: outlet.up)
        bodies = [f"{turn}:{number}".encode() for number in range(200)]
        if fault in ("hole", "answers"):
            there.between.hole(answers_only=fault == "answers")
        handovers = [outlet.publish(there.publication(body), 0.3, tally, None) for body in bodies]
        await asyncio.sleep(0)
        if fault == "refuse":
            await there.between.refuse()
        if fault == "reset":
            there.between.reset()
        elif fault != "answers":
            there.between.cut()
        told = await asyncio.gather(*handovers, return_exceptions=True)
        assert all(isinstance(one, EndpointResponse | GatewayError) for one in told)
        good += [body for body, one in zip(bodies, told, strict=True) if isinstance(one, EndpointResponse)]
        await there.between.heal()
    await eventually(lambda: outlet.up)
    last = outlet.publish(there.publication(b"last"), PATIENCE, tally, None)
    await last
    good.append(b"last")
    kept = [body for body, _ in await there.kept(1)]
    while kept[-1] != b"last":  # of NATS alone a stream stores it in its own time
        kept = [body for body, _ in await there.kept(len(kept) + 1)]
    assert len(set(kept)) == len(kept)
    assert [body for body in kept if body in set(good)] == good
    assert tally.pending == 0
    assert "unexpected error" not in log
    await outlet.aclose()


async def test_it_is_opened_again_after_it_was_closed(there: Place, opened: Publisher) -> None:
    await opened.aclose()
    await opened.aclose()
    await opened.open()
    assert await outcomes(opened.send([there.publication(b"1")], PATIENCE))


@pytest.mark.parametrize("login", [{}, {"username": "app", "password": "wrong"}, {"password": "wrong"}], ids=str)
@pytest.mark.parametrize("kind", ["redis", "nats"])
async def test_a_server_that_does_not_let_us_in(kind: str, login: dict[str, str], tmp_path: Path) -> None:
    """The reason is told, and no password."""
    async with AsyncExitStack() as stack:
        server: RedisServer | NatsServer
        if kind == "redis":
            server = await stack.enter_async_context(redis_server(tmp_path, user="app", password="right"))
        else:
            config = 'authorization {user: app, password: "right"}'
            server = await stack.enter_async_context(nats_server(tmp_path, config))
        made = publisher(Broker(kind=kind, hosts=((HOST, server.port),), **login))  # type: ignore[arg-type]
        with pytest.raises(BrokerAway) as refused:
            await made.open()
        said = str(refused.value)
        assert "it asks for a" in said if not login else "it refuses the user and password" in said
        assert "wrong" not in said
        assert "wrong" not in repr(Broker(kind="nats", hosts=(), password="wrong"))
        good = publisher(Broker(kind=kind, hosts=((HOST, server.port),), username="app", password="right"))  # type: ignore[arg-type]
        await good.open()
        await good.aclose()
        await made.aclose()


async def test_a_password_alone_is_a_token_of_nats(tmp_path: Path) -> None:
    async with nats_server(tmp_path, 'authorization {token: "right"}') as server:
        made = publisher(Broker(kind="nats", hosts=((HOST, server.port),), password="right"))
        await made.open()
        await made.aclose()


# What one kind alone does


async def test_nats_has_what_it_acknowledged(tmp_path: Path) -> None:
    """Nothing is held back on this side: whoever listens has it before anything that comes later."""
    async with nats_server(tmp_path) as server, server.client() as client, heard(client, "chat.>") as queue:
        broker = Broker(kind="nats", hosts=((HOST, server.port),))
        async with opening(publisher(broker)) as made:
            for count in (1, 50, 1000):
                told = await outcomes(made.send([Publication("chat.in", b"1", FIELDS[:2])] * count, PATIENCE))
                assert told == [b"{}"] * count
                await client.flush()
                assert queue.qsize() == count
                while not queue.empty():
                    assert queue.get_nowait() == ("chat.in", b"1", dict(FIELDS[:2]))


async def test_redis_refuses_one_of_many(tmp_path: Path) -> None:
    async with place("redis", tmp_path) as there:
        assert isinstance(there.server, RedisServer)
        await there.server.run("SET", "text", "1")
        async with opening(there.publisher()) as made:
            batch = [there.publication(b"1"), there.publication(b"2", name="text"), there.publication(b"3")]
            first, refused, third = await outcomes(made.send(batch, PATIENCE))
            assert isinstance(refused, Refused)
            assert (refused.transient, "holds something other than a stream" in refused.reason) == (False, True)
            assert isinstance(first, bytes)
            assert isinstance(third, bytes)
            assert [body for body, _ in await there.kept(0)] == [b"1", b"3"]
            await there.server.run("CONFIG", "SET", "maxmemory", "1")
            (full,) = await outcomes(made.send([there.publication(b"4")], PATIENCE))
            assert isinstance(full, Refused)
            assert (full.transient, "its memory is full" in full.reason) == (True, True)


async def test_redis_needs_xadd_alone(tmp_path: Path) -> None:
    async with redis_server(tmp_path, {"user": "app on >pw resetchannels ~chat.* -@all +xadd"}) as server:
        broker = Broker(kind="redis", hosts=((HOST, server.port),), username="app", password="pw")
        async with opening(publisher(broker)) as made:
            batch = [Publication("chat.in", b"", []), Publication("other", b"", [])]
            taken, refused = await outcomes(made.send(batch, PATIENCE))
            assert isinstance(taken, bytes)
            assert isinstance(refused, Refused)
            assert "may not XADD" in refused.reason


async def test_redis_keeps_about_so_many(tmp_path: Path) -> None:
    async with place("redis", tmp_path) as there, opening(there.publisher()) as made:
        await outcomes(made.send([Publication("chat.in", b"", [], max_length=100)] * 1000, PATIENCE))
        assert 100 <= len(await there.kept(0)) < 400


async def test_sentinels_lead_to_the_master(tmp_path: Path) -> None:
    async with sentinels(tmp_path) as trio:
        hosts = tuple((HOST, one.port) for one in trio.sentinels)
        async with opening(publisher(Broker(kind="redis", mode="sentinel", service="gateway", hosts=hosts))) as made:
            assert isinstance((await outcomes(made.send([Publication("chat", b"1", [])], PATIENCE)))[0], bytes)
            assert await (await trio.master()).run("XLEN", "chat") == 1


async def test_a_cluster_has_streams_on_many_servers(tmp_path: Path) -> None:
    async with cluster(tmp_path) as three:
        hosts = tuple((HOST, one.port) for one in three.servers)
        async with opening(publisher(Broker(kind="redis", mode="cluster", hosts=hosts))) as made:
            told = await outcomes(made.send([Publication(f"chat{n}", b"1", []) for n in range(30)], PATIENCE))
            assert all(isinstance(one, bytes) for one in told)
            keys = [await one.run("DBSIZE") for one in three.servers]
            assert sum(keys) == 30
            assert all(keys)


async def test_nats_tells_of_a_link_that_ends_by_itself(tmp_path: Path) -> None:
    async with place("nats", tmp_path) as there:
        made = there.publisher()
        lost: list[str] = []
        made.lost = lost.append
        await made.open()
        there.between.cut()
        await eventually(lambda: bool(lost))
        assert lost[0].startswith(f"NATS at {HOST}:{there.between.port}: ")
        await made.aclose()
        assert len(lost) == 1


async def test_nats_refuses_subjects_and_sizes(tmp_path: Path) -> None:
    """Too much would end the connection, and with it what others sent."""
    config = 'max_payload: 2000\nauthorization {users: [{user: app, password: pw, permissions: {publish: "chat.>"}}]}'
    async with nats_server(tmp_path, config) as server, server.client(user="app", password="pw") as client:
        subscription = await client.subscribe("chat.in")
        await client.flush()
        broker = Broker(kind="nats", hosts=((HOST, server.port),), username="app", password="pw")
        async with opening(publisher(broker)) as made:
            header = [("name", "v" * 100)]
            batch = [
                Publication("chat.in", b"1", header),
                Publication("Elsewhere", b"", header),
                Publication("chat.in", b"x" * 1900, header),
                Publication("chat.in", b"x" * 1800, header),
            ]
            first, forbidden, large, fits = await outcomes(made.send(batch, PATIENCE))
            assert isinstance(first, bytes)
            assert isinstance(fits, bytes)
            assert isinstance(forbidden, Refused)
            assert "may not publish to Elsewhere" in forbidden.reason
            assert isinstance(large, Refused)
            assert "takes 2000 bytes (max_payload)" in large.reason
            assert not large.transient
            assert len((await subscription.next_msg(PATIENCE)).data) == 1
            assert len((await subscription.next_msg(PATIENCE)).data) == 1800


async def test_jetstream_without_a_stream_and_with_duplicates(tmp_path: Path) -> None:
    async with place("jetstream", tmp_path) as there, opening(there.publisher()) as made:
        batch = [there.publication(b"1", request="same"), there.publication(b"2", name="nobody.has.it")]
        batch.append(there.publication(b"1", request="same"))
        stored, nowhere, again = await outcomes(made.send(batch, PATIENCE))
        assert isinstance(stored, bytes)
        assert isinstance(again, bytes)
        assert json.loads(again) == {"stream": "CHAT", "sequence": 1, "duplicate": True}
        assert isinstance(nowhere, Refused)
        assert "no stream of JetStream has the subject nobody.has.it" in nowhere.reason


async def test_acknowledgements_that_never_come(tmp_path: Path) -> None:
    """Nobody else waits for them; who gives up leaves nothing, and a lost link ends the others."""
    async with nats_server(tmp_path) as server, server.client() as client:
        await client.subscribe("silent")  # whoever would acknowledge, and doesn't
        await client.flush()
        async with link(server.port) as between:
            broker = Broker(kind="nats", hosts=((HOST, between.port),))
            async with opening(publisher(broker)) as made:
                batch = [Publication("silent", b"", [("requestId", str(n))], jetstream=True) for n in range(2)]
                one, other = await made.send([*batch], PATIENCE)
                assert isinstance(one, asyncio.Future)
                assert isinstance(other, asyncio.Future)
                one.cancel()
                between.cut()
                refused = await asyncio.wait_for(other, PATIENCE)
                assert isinstance(refused, Refused)
                assert "may have been taken all the same" in refused.reason


@pytest.mark.parametrize("named", [HOST, "broker.example"])
@pytest.mark.parametrize("kind", ["redis", "nats"])
async def test_tls(kind: str, named: str, tmp_path: Path) -> None:
    """The server's certificate is checked, for another name too where one is given, and ours is shown."""
    authority, other = Authority(tmp_path), Authority(tmp_path, "other")
    certificate = authority.issue_to(named)
    shown, key = authority.issue_to("gateway.example")
    settings = TlsSettings(
        ca_file=authority.file, certificate=shown, key=key, server_name=None if named == HOST else named
    )
    async with AsyncExitStack() as stack:
        if kind == "redis":
            plain = await stack.enter_async_context(redis_server(tmp_path / "redis"))
            port = (
                await stack.enter_async_context(link(plain.port, tls=server_context(certificate, authority.file)))
            ).port
        else:
            files = f'cert_file: "{certificate[0]}", key_file: "{certificate[1]}", ca_file: "{authority.file}"'
            server = nats_server(tmp_path / "nats", f"tls {{{files}, verify: true}}")
            port = (await stack.enter_async_context(server)).port
        broker = Broker(kind=kind, hosts=((HOST, port),), tls=settings)  # type: ignore[arg-type]
        async with opening(publisher(broker)) as made:
            assert isinstance((await outcomes(made.send([Publication("chat.in", b"1", [])], PATIENCE)))[0], bytes)
        for wrong in (replace(settings, ca_file=other.file), replace(settings, server_name="elsewhere.example")):
            made = publisher(replace(broker, tls=wrong))
            with pytest.raises(BrokerAway, match=r"(?i)certificate"):
                await made.open()
            await made.aclose()


async def test_tls_is_never_left_out(tmp_path: Path) -> None:
    """A server, or whoever stands in its place, that offers none is not told who we are."""
    authority = Authority(tmp_path)
    settings = TlsSettings(ca_file=authority.file)
    async with nats_server(tmp_path / "plain", 'authorization {user: app, password: "pw"}') as server:
        made = publisher(Broker(kind="nats", hosts=((HOST, server.port),), username="app", password="pw", tls=settings))
        with pytest.raises(BrokerAway, match="it offers no TLS"):
            await made.open()
        await made.aclose()
