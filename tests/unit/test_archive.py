"""What a node knows of the deployments that are kept, and what it takes from the registry."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from wsgateway.archive import Archive
from wsgateway.errors import RegistryAway
from wsgateway.model.loader import Loaded, parse
from wsgateway.model.nodes import MAX_BYTES
from wsgateway.registry.base import DefinitionStore, Stored
from wsgateway.registry.memory import MemoryDefinitions, MemoryStore

pytestmark = pytest.mark.anyio
KEY = b"an installation's secret"


DEFINITION = """
apis:
  chat:
    protocolType: WEBSOCKET
    routeSelectionExpression: $request.body.action
    stages: {dev: {}}
    routes: {$default: {}}
"""


def loaded(number: int) -> Loaded:
    """A definition that differs from others."""
    return parse(f"{DEFINITION}# {number}\n", "routes.yaml", {}, Path())


V1, V2, V3 = loaded(1), loaded(2), loaded(3)


class Link(MemoryDefinitions):
    """The way to a store, which may be cut."""

    def __init__(self, store: MemoryStore) -> None:
        super().__init__(store)
        self.up = True
        self.reads = 0

    async def mark(self) -> bytes | None:
        self._check()
        return await super().mark()

    async def read(self) -> Stored:
        self._check()
        self.reads += 1
        return await super().read()

    async def text(self, digest: str) -> bytes | None:
        self._check()
        return await super().text(digest)

    def _check(self) -> None:
        if not self.up:
            raise RegistryAway("cut")


def archive(store: DefinitionStore, node: str = "a", key: bytes = KEY, seconds: float = 1000.0) -> Archive:
    return Archive(store, node=node, key=key, now=lambda: seconds)


async def deployed(archive: Archive, written: Loaded, used: Loaded | None = None) -> None:
    archive.own(written, used or written)
    await archive.look()


@pytest.fixture
def memory() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def link(memory: MemoryStore) -> Link:
    return Link(memory)


async def test_what_a_file_says_is_kept_as_it_was_written(link: Link) -> None:
    ours = archive(link)
    await deployed(ours, V1)
    await deployed(ours, V2)

    theirs = archive(link, "b")
    await theirs.look()

    assert list(theirs.kept) == [V2.digest, V1.digest]
    assert theirs.kept[V1.digest].node == "a"
    assert theirs.kept[V1.digest].at == 1_000_000
    assert theirs.kept[V1.digest].size == len(V1.text)
    assert await theirs.text(V1.digest) == V1.text
    assert await theirs.text(V3.digest) is None
    assert await theirs.text("../x") is None


async def test_variables_and_files_are_kept_as_they_are_written(memory: MemoryStore, tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_text("what no store may hold")
    text = DEFINITION.replace("dev: {}", "dev: {stageVariables: {password: '${PASSWORD}'}}") + (
        "domains: {a.example: {certificate: file:key.pem, key: file:key.pem, mappings: {'': {api: chat, stage: dev}}}}"
    )
    with_secrets = parse(text, "routes.yaml", {"PASSWORD": "correct-horse"}, tmp_path)
    await deployed(archive(MemoryDefinitions(memory)), with_secrets)

    everything = repr((memory.kept, memory.instead))
    assert "${PASSWORD}" in everything
    assert "correct-horse" not in everything
    assert "no store may hold" not in everything


async def test_an_unchanged_registry_is_not_read_again(link: Link) -> None:
    ours = archive(link)
    await deployed(ours, V1)
    before = link.reads
    await ours.look()
    await ours.look()

    assert link.reads == before


async def test_a_deployment_is_used_in_place_of_exactly_one(link: Link) -> None:
    ours, theirs = archive(link), archive(link, "b")
    for written in (V1, V2):
        await deployed(ours, written)
    assert await ours.use({V2.digest}, V1.digest)
    await theirs.look()

    for one in (ours, theirs):
        pointer = one.instead_of(V2.digest)
        assert pointer is not None
        assert (pointer.use, pointer.node) == (V1.digest, "a")
        assert one.instead_of(V1.digest) is None
        assert one.instead_of(V3.digest) is None


async def test_use_of_the_same_ends_it(link: Link) -> None:
    ours, theirs = archive(link), archive(link, "b", seconds=5.0)  # a clock far behind
    for written in (V1, V2):
        await deployed(ours, written)
    await ours.use({V2.digest}, V1.digest)

    assert await theirs.use({V2.digest}, V2.digest)
    await ours.look()

    assert ours.instead_of(V2.digest) is None
    assert ours.pointer(V2.digest) is not None


async def test_while_the_registry_is_away_what_was_read_goes_on(link: Link) -> None:
    ours = archive(link)
    for written in (V1, V2):
        await deployed(ours, written)
    await ours.use({V2.digest}, V1.digest)
    link.up = False
    await ours.look()

    assert ours.away
    assert ours.instead_of(V2.digest) is not None
    assert list(ours.kept) == [V2.digest, V1.digest]
    assert await ours.text(V2.digest) == V2.text
    with pytest.raises(RegistryAway):
        await ours.text(V1.digest)
    with pytest.raises(RegistryAway):
        await ours.use({V2.digest}, V2.digest)
    link.up = True
    await ours.look()
    assert not ours.away


async def test_what_came_while_it_was_away_is_kept_later(link: Link) -> None:
    ours = archive(link)
    link.up = False
    await deployed(ours, V1)
    assert ours.away
    link.up = True
    await ours.look()

    assert list(ours.kept) == [V1.digest]


async def test_an_emptied_registry_is_filled_again_and_no_rollback_ends(link: Link, memory: MemoryStore) -> None:
    ours = archive(link)
    for written in (V1, V2):
        await deployed(ours, written)
    await ours.use({V2.digest}, V1.digest)
    ours.own(V2, V1)

    memory.clear()
    await ours.look()

    theirs = archive(link, "b")
    await theirs.look()
    assert list(theirs.kept) == [V2.digest, V1.digest]
    pointer = theirs.instead_of(V2.digest)
    assert pointer is not None
    assert pointer.use == V1.digest
    assert await theirs.text(V1.digest) == V1.text


async def test_a_registry_that_lost_its_last_writes_does_not_end_a_rollback(link: Link, memory: MemoryStore) -> None:
    ours = archive(link)
    for written in (V1, V2):
        await deployed(ours, written)
    old = dict(memory.instead)
    await ours.use({V2.digest}, V1.digest)
    ours.own(V2, V1)

    memory.instead, memory.mark = old, b"of an old replica"
    await ours.look()

    assert ours.instead_of(V2.digest) is not None
    theirs = archive(link, "b")
    await theirs.look()
    assert theirs.instead_of(V2.digest) is not None


async def test_the_end_of_a_rollback_is_not_undone_by_who_had_not_heard_of_it(link: Link, memory: MemoryStore) -> None:
    ours, theirs = archive(link), archive(link, "b")
    for written in (V1, V2):
        await deployed(ours, written)
    await ours.use({V2.digest}, V1.digest)
    await deployed(theirs, V2, V1)
    await ours.use({V2.digest}, V2.digest)

    await theirs.look()
    await ours.look()

    assert theirs.instead_of(V2.digest) is None
    assert ours.instead_of(V2.digest) is None


@pytest.mark.parametrize("spoilt", [b"", b"x", b"\x00" * 40, b"\xff" * 4096], ids=len)
async def test_what_was_spoilt_is_ignored_and_counted(link: Link, memory: MemoryStore, spoilt: bytes) -> None:
    ours = archive(link)
    for written in (V1, V2):
        await deployed(ours, written)
    await ours.use({V2.digest}, V1.digest)
    memory.kept = dict.fromkeys(memory.kept, (spoilt, spoilt))
    memory.instead = {digest: (stamp, spoilt) for digest, (stamp, _) in memory.instead.items()}

    theirs = archive(link, "b")
    await theirs.look()

    assert theirs.kept == {}
    assert theirs.instead_of(V2.digest) is None
    assert await theirs.text(V1.digest) is None
    assert theirs.ignored == 4


async def test_pieces_in_another_place_are_ignored(link: Link, memory: MemoryStore) -> None:
    ours = archive(link)
    for written in (V1, V2):
        await deployed(ours, written)
    memory.kept[V1.digest], memory.kept[V2.digest] = memory.kept[V2.digest], memory.kept[V1.digest]
    memory.mark = b"another"

    theirs = archive(link, "b")
    await theirs.look()

    assert theirs.kept == {}
    assert await theirs.text(V1.digest) is None


async def test_pieces_of_other_names_are_ignored(link: Link, memory: MemoryStore) -> None:
    memory.kept = {"../../etc": (b"", b""), "A" * 64: (b"", b""), "\x1b[2J": (b"", b"")}
    memory.mark = b"mark"
    ours = archive(link)
    await ours.look()

    assert ours.kept == {}
    assert ours.ignored == 3


async def test_only_nodes_with_the_secret_are_believed(link: Link) -> None:
    for key in (b"", b"another secret"):
        stranger = archive(link, "stranger", key)
        for written in (V1, V2):
            await deployed(stranger, written)
        await stranger.use({V2.digest}, V1.digest)

        ours = archive(link)
        await ours.look()

        assert ours.kept == {}
        assert ours.instead_of(V2.digest) is None
        assert await ours.text(V1.digest) is None


async def test_a_text_that_is_not_what_its_digest_says_is_ignored(link: Link, memory: MemoryStore) -> None:
    ours = archive(link)
    await deployed(ours, V1)
    text = b"functions: {}"
    for wrong in (text, b"x" * (MAX_BYTES + 1)):
        sealed = ours._sealed("text", V1.digest, wrong)
        memory.kept[V1.digest] = memory.kept[V1.digest][0], sealed
        theirs = archive(link, "b")

        assert await theirs.text(V1.digest) is None
        assert theirs.ignored == 1

    huge = b"x" * (MAX_BYTES + 1)
    digest = sha256(huge).hexdigest()
    memory.kept[digest] = b"", ours._sealed("text", digest, huge)
    assert await theirs.text(digest) is None


@given(st.binary(max_size=200))
@example(b"\xdc\x00\x03\xa5\x00\x00\x00\x00\x80")
def test_no_bytes_of_the_registry_make_it_raise(data: bytes) -> None:
    ours = archive(MemoryDefinitions(MemoryStore()), key=b"")
    for piece in (data, ours._mac("record", V1.digest, data) + data):
        ours._record(V1.digest, piece)
    for piece in (data, ours._mac("instead", V1.digest, data) + data):
        ours._pointed(V1.digest, piece)
