"""What nodes execute when one of them points back, the registry comes and goes, and a node can't follow."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from wsgateway.archive import Archive
from wsgateway.aws import ServiceEndpoints
from wsgateway.backends import check
from wsgateway.dataplane.compiled import Deployment
from wsgateway.dataplane.counters import Counters
from wsgateway.dataplane.node import Node
from wsgateway.deploy import Deployments, NotKept
from wsgateway.errors import DefinitionError, RegistryAway
from wsgateway.functions import Surroundings
from wsgateway.messages import Handler
from wsgateway.model.loader import load
from wsgateway.registry.base import Stored
from wsgateway.registry.memory import MemoryDefinitions, MemoryStore
from wsgateway.transport.certificates import Certificates
from wsgateway.transport.keyring import Keyring
from wsgateway.transport.listener import Listener
from wsgateway.upstream.egress import Egress
from wsgateway.upstream.pool import Upstream
from wsgateway.wiring import backends_of

pytestmark = pytest.mark.anyio

DEFINITION = """
apis:
  chat:
    protocolType: WEBSOCKET
    routeSelectionExpression: $request.body.action
    stages: {dev: {}}
    routes: {$default: {}}
"""
V1, V2, V3 = (f"{DEFINITION}# {number}\n" for number in (1, 2, 3))
NEEDS = DEFINITION.replace("dev: {}", "dev: {stageVariables: {host: '${NEEDED}'}}")


def digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()


class Link(MemoryDefinitions):
    """A node's way to the registry, which may be cut: all of it, or for texts alone."""

    up = True
    texts = True

    async def mark(self) -> bytes | None:
        self._check(self.up)
        return await super().mark()

    async def read(self) -> Stored:
        self._check(self.up)
        return await super().read()

    async def text(self, digest: str) -> bytes | None:
        self._check(self.up and self.texts)
        return await super().text(digest)

    async def keep(self, digest: str, record: bytes, text: bytes) -> None:
        self._check(self.up)
        await super().keep(digest, record, text)

    def _check(self, reached: bool) -> None:
        if not reached:
            raise RegistryAway("cut")


class Running:
    """A node that executes its file, without sockets."""

    def __init__(self, folder: Path, store: MemoryStore, environ: dict[str, str]) -> None:
        self.file = folder / "routes.yaml"
        self.link = Link(store)
        self.log: list[tuple[str, dict[str, object]]] = []
        self.environ = environ
        self.executed: list[str] = []
        self.name = folder.name

    async def start(self, stack: AsyncExitStack) -> None:
        upstream = Upstream(egress=Egress())
        surroundings = Surroundings(serve=_no_listener, log=self._log, environ=self.environ)
        endpoints = ServiceEndpoints(self.environ, None)
        backends = backends_of(upstream, surroundings, endpoints, self._log, self.environ)
        stack.push_async_callback(backends.aclose)
        gateway = SimpleNamespace(counters=Counters())
        checked = check(load(self.file, self.environ), backends, Keyring())
        self.deployments = Deployments(
            self.file,
            self.environ,
            node=cast("Node", SimpleNamespace(gateway=gateway, deploy=self._deploy)),
            public=cast("Listener", SimpleNamespace(patience=lambda stalled_write: None)),
            backends=backends,
            keyring=Keyring(),
            certificates=Certificates(checked.certificates),
            archive=Archive(self.link, node=self.name, key=b"secret"),
            secret=b"secret",
            log=self._log,
        )
        await self.deployments.start(checked)

    def _deploy(self, deployment: Deployment) -> None:
        self.executed.append(deployment.digest)

    def _log(self, event: str, **facts: object) -> None:
        self.log.append((event, facts))

    @property
    def events(self) -> list[str]:
        return [event for event, _ in self.log]

    async def reads(self, text: str) -> None:
        """Take another file."""
        self.file.write_text(text)
        await self.deployments.reload()

    async def look(self) -> str:
        """One turn of the loop; the digest of what is executed then."""
        await self.deployments.look()
        return self.executed[-1]


async def _no_listener(handler: Handler) -> Listener:
    raise AssertionError("no function is started here")


Start = Callable[..., Any]


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
async def start(tmp_path: Path, store: MemoryStore) -> AsyncIterator[Start]:
    """Starts nodes, each with a folder of its own and one registry."""
    async with AsyncExitStack() as stack:

        async def started(name: str, text: str, *, up: bool = True, texts: bool = True, **environ: str) -> Running:
            folder = tmp_path / name
            folder.mkdir(exist_ok=True)
            (folder / "routes.yaml").write_text(text)
            running = Running(folder, store, {"PATH": os.environ["PATH"], **environ})
            running.link.up, running.link.texts = up, texts
            await running.start(stack)
            return running

        yield started


async def test_all_nodes_follow(start: Start) -> None:
    nodes = [await start(name, V1) for name in "abc"]
    for node in nodes:
        await node.reads(V2)

    assert await nodes[0].deployments.use(digest(V1))

    assert [await node.look() for node in nodes] == [digest(V1)] * 3
    assert [node.deployments.rolled_back for node in nodes] == [True] * 3
    for node in nodes:
        before = len(node.executed)
        await node.look()
        assert len(node.executed) == before


async def test_nodes_whose_files_differ_follow_too(start: Start) -> None:
    one, other = await start("one", V1), await start("other", V2)
    await one.reads(V3)

    await one.deployments.use(digest(V1), {digest(V2)})

    assert [await node.look() for node in (one, other)] == [digest(V1)] * 2


async def test_a_restarted_node_keeps_to_the_rollback_from_its_first_moment(start: Start) -> None:
    node = await start("a", V1)
    await node.reads(V2)
    await node.deployments.use(digest(V1))

    again = await start("a", V2)

    assert again.executed == [digest(V1)]
    assert "rolled back" in again.events
    assert again.deployments.valid


async def test_a_node_with_a_new_file_wins_and_the_others_stay(start: Start) -> None:
    one, other = await start("one", V1), await start("other", V1)
    for node in (one, other):
        await node.reads(V2)
    await one.deployments.use(digest(V1))
    await other.look()

    await one.reads(V3)

    assert [await node.look() for node in (one, other)] == [digest(V3), digest(V1)]
    assert "rollback over" in one.events
    assert (await start("third", V3)).executed == [digest(V3)]


async def test_a_node_that_starts_while_the_registry_is_away_rolls_back_when_it_returns(start: Start) -> None:
    node = await start("a", V1)
    await node.reads(V2)
    await node.deployments.use(digest(V1))
    again = await start("a", V2, up=False)
    assert await again.look() == digest(V2)

    again.link.up = True

    assert await again.look() == digest(V1)


async def test_a_text_that_could_not_be_read_is_tried_again(start: Start) -> None:
    node = await start("a", V1)
    await node.reads(V2)
    other = await start("b", V2, texts=False)
    await node.deployments.use(digest(V1))
    assert await other.look() == digest(V2)
    again = await start("c", V2, texts=False)
    assert again.executed == [digest(V2)]

    for late in (other, again):
        failures, late.link.up = late.deployments.failures, False
        assert await late.look() == digest(V2)
        assert late.deployments.failures == failures
        late.link.up = True
        late.link.texts = True
        assert await late.look() == digest(V1)
        assert late.deployments.valid


async def test_while_the_registry_is_away_nothing_changes(start: Start) -> None:
    node = await start("a", V1)
    await node.reads(V2)
    await node.deployments.use(digest(V1))
    node.link.up = False

    assert await node.look() == digest(V1)
    await node.deployments.reload()
    assert await node.look() == digest(V1)
    with pytest.raises(RegistryAway):
        await node.deployments.use(digest(V2))
    assert node.deployments.valid


async def test_an_emptied_registry_ends_no_rollback(start: Start, store: MemoryStore) -> None:
    nodes = [await start(name, V1) for name in "ab"]
    for node in nodes:
        await node.reads(V2)
    await nodes[0].deployments.use(digest(V1))
    await nodes[1].look()

    store.clear()

    assert [await node.look() for node in nodes] == [digest(V1)] * 2
    assert (await start("c", V2)).executed == [digest(V1)]


async def test_a_node_that_can_not_follow_keeps_what_it_executes_and_says_why_once(start: Start) -> None:
    able = await start("able", NEEDS, NEEDED="host.example")
    unable = await start("unable", V2)
    await able.reads(V2)
    before = unable.deployments.failures

    assert await able.deployments.use(digest(NEEDS))
    assert await unable.look() == digest(V2)
    assert await unable.look() == digest(V2)

    assert unable.events.count("rollback refused; what is executed stays") == 1
    assert unable.deployments.failures == before + 1
    assert not unable.deployments.valid
    assert "${NEEDED} is not set" in unable.deployments.problems[0]
    assert f"deployment {digest(NEEDS)[:12]}" in unable.deployments.problems[0]

    unable.environ["NEEDED"] = "late.example"
    await unable.deployments.reload()
    assert unable.executed[-1] == digest(NEEDS)
    assert unable.deployments.valid


async def test_a_node_that_can_not_follow_is_well_again_when_the_rollback_ends(start: Start) -> None:
    able, unable = await start("able", NEEDS, NEEDED="host.example"), await start("unable", V2)
    await able.reads(V2)
    await able.deployments.use(digest(NEEDS))
    await unable.look()

    await able.deployments.use(digest(V2))

    assert await unable.look() == digest(V2)
    assert unable.deployments.valid


async def test_a_node_that_starts_and_can_not_follow_executes_its_file_and_says_so(start: Start) -> None:
    able = await start("able", NEEDS, NEEDED="host.example")
    await able.reads(V2)
    await able.deployments.use(digest(NEEDS))

    unable = await start("unable", V2)

    assert unable.executed == [digest(V2)]
    assert not unable.deployments.valid
    assert "rollback refused; the file's content is used" in unable.events
    assert await unable.look() == digest(V2)
    assert unable.events.count("rollback refused; what is executed stays") == 0


async def test_a_deployment_whose_text_is_gone_keeps_what_is_executed(start: Start, store: MemoryStore) -> None:
    node, other = await start("a", V1), await start("b", V2)
    await node.reads(V2)
    kept = store.kept[digest(V1)]
    store.kept[digest(V1)] = kept[0], b"spoilt"
    with pytest.raises(NotKept):
        await other.deployments.use(digest(V1))
    assert other.deployments.archive.ignored == 1

    store.kept[digest(V1)] = kept
    await node.deployments.use(digest(V1))
    store.kept[digest(V1)] = kept[0], b"spoilt"

    assert await other.look() == digest(V2)
    assert "has it no longer" in other.deployments.problems[0]


async def test_what_can_not_be_put_in_force_where_it_was_asked_for_changes_nothing(
    start: Start, store: MemoryStore
) -> None:
    await start("able", NEEDS, NEEDED="host.example")
    node = await start("a", V2)

    with pytest.raises(DefinitionError, match="NEEDED"):
        await node.deployments.use(digest(NEEDS))

    assert store.instead == {}
    assert node.deployments.valid


async def test_the_fingerprint_says_what_is_executed(start: Start) -> None:
    node = await start("a", NEEDS, NEEDED="one.example")
    first = node.deployments.fingerprint
    assert first.startswith(digest(NEEDS) + "+")
    node.environ["NEEDED"] = "two.example"
    await node.deployments.reload()

    assert node.deployments.fingerprint != first
    assert node.deployments.fingerprint.startswith(digest(NEEDS) + "+")
    await node.reads(V1)
    assert node.deployments.fingerprint == digest(V1)
