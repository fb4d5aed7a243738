"""From the definition file to what the node executes: checked, put in force, and read again while it runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import anyio
import anyio.to_thread

from wsgateway.archive import Archive, Pointer
from wsgateway.backends import Backends, Checked, check
from wsgateway.dataplane.compiled import Deployment
from wsgateway.dataplane.gateway import Log
from wsgateway.dataplane.node import Node
from wsgateway.errors import DefinitionError, Problem, RegistryAway
from wsgateway.invocation import iso_time
from wsgateway.model.definitions import Definitions
from wsgateway.model.explain import escaped
from wsgateway.model.fingerprint import fingerprint, short
from wsgateway.model.loader import Loaded, load, parse
from wsgateway.model.openapi.reading import STRICT, Reading
from wsgateway.model.remarks import remarks
from wsgateway.transport.certificates import Certificates
from wsgateway.transport.keyring import Keyring, tell
from wsgateway.transport.listener import Listener

LOOK_SECONDS = 2.0
"""How often the registry is asked whether another deployment is to be used."""


class NotKept(Exception):
    """No deployment of this digest is kept."""


class Deployments:
    """What one node executes, shows in handshakes and calls, and how that changes.

    It is what the file said when it was last read, unless the archive says what to use in place of exactly that.
    """

    def __init__(
        self,
        file: Path,
        environ: Mapping[str, str],
        *,
        node: Node,
        public: Listener,
        backends: Backends,
        keyring: Keyring,
        certificates: Certificates,
        archive: Archive,
        secret: bytes,
        log: Log,
        reading: Reading = STRICT,
    ) -> None:
        self.valid = True
        """Whether what was last read, or was to be used in its place, is in force."""
        self.failures = 0
        """How often it was not."""
        self.problems: tuple[str, ...] = ()
        """Why, where it is not."""
        self.certificates = certificates
        self.archive = archive
        self.fingerprint = ""
        """Of what is executed, with the values of environment and files."""
        self.digest = ""
        """Of the text of what is executed."""
        self.file_digest = ""
        """Of the file's text."""
        self.executed: Definitions | None = None
        """What is executed."""
        self._file = file
        self._environ = environ
        self._reading = reading
        self._node = node
        self._public = public
        self._backends = backends
        self._keyring = keyring
        self._secret = secret
        self._log = log
        self._written: Loaded | None = None
        """The file's content, as last taken."""
        self._followed: Pointer | None = None
        """What the archive had said of it when that was last acted upon, with success or without."""
        self._content: object = None
        """By which it is told whether the file says something new."""
        self._elsewhere: Mapping[tuple[str, str], str] = {}
        """The functions and services that were told of as not running here."""
        self._turn = anyio.Lock()
        self._reload_waits = False
        self.redeployed = anyio.Event()
        """Set at a deployment: other code may have to be watched."""

    async def start(self, checked: Checked) -> None:
        """Execute the file's content, or what is to be used in its place if that can be had."""
        written = checked.loaded
        self.archive.own(written, written)
        await self.archive.look()
        if self.archive.instead_of(written.digest) is not None:
            with self._refusing("rollback refused; the file's content is used"):
                checked = await self._chosen(written)
        await self._deploy(written, checked)
        if self.archive.away:
            self._followed = None  # it is tried again
        self._tell_rollback("", "")

    @property
    def rolled_back(self) -> bool:
        """Whether something else than the file's content is executed."""
        return self.digest != self.file_digest

    @property
    def canary_files(self) -> frozenset[str]:
        """The files of definitions that canaries execute."""
        canaries = () if self._written is None else self._written.canaries.values()
        return frozenset(str(Path(canary.source.file).resolve()) for canary in canaries)

    # What changes it

    async def reload(self) -> None:
        """Take the file's new content, and that of the files it names, or keep what there is and say why.

        Where another one waits for its turn already, that one does it. Cancelled, what there is stays.
        """
        if self._reload_waits:
            return
        self._reload_waits = True
        try:
            await self._turn.acquire()
        finally:
            self._reload_waits = False
        try:
            self._backends.look_again()
            with self._refusing("definition refused; the old one stays"):
                await self._take(load(self._file, self._environ, self._reading))
        finally:
            self._turn.release()

    async def follow(self) -> None:
        """Have what the archive says take effect on this node; never returns."""
        while True:
            await anyio.sleep(LOOK_SECONDS)
            await self.look()

    async def look(self) -> None:
        """Have what the archive says now take effect."""
        async with self._turn:
            await self.archive.look()
            pointer = self.archive.pointer(self.file_digest)
            if self.archive.away or pointer is None or pointer == self._followed:
                return
            with self._refusing("rollback refused; what is executed stays"):
                assert self._written is not None
                await self._take(self._parse(self._written.text, str(self._file)))
            if not (self.valid or self.archive.away):
                self._followed = pointer

    async def use(self, digest: str, others: Iterable[str] = ()) -> bool:
        """Have all nodes execute a deployment in place of what their files say now, those of `others` too.

        Gives whether it is in force here. *Raises* NotKept; DefinitionError where it can't be put in force here, and
        then nothing changes; RegistryAway.
        """
        async with self._turn:
            check(await self._kept(digest), self._backends, self._keyring)
            said = await self.archive.use({self.file_digest, *others}, digest)
        await self.look()
        return said and self.digest == digest

    async def _take(self, written: Loaded) -> None:
        """Execute the file's content, or what is to be used in its place. *Raises* DefinitionError."""
        await self.archive.look()
        checked = await self._chosen(written)
        content, digest, file = self._content, self.digest, self.file_digest
        await self._deploy(written, checked)
        self.valid, self.problems = True, ()
        event = "definition unchanged" if content == self._content else "definition deployed"
        self._log(event, digest=self.digest, stages=len(checked.deployment.stages) + len(checked.deployment.rest))
        self._tell_rollback(digest, file)
        await self.archive.look()  # what is new is kept at once

    async def _chosen(self, written: Loaded) -> Checked:
        """The file's content, or what is to be used in its place. *Raises* DefinitionError."""
        pointer = self.archive.instead_of(written.digest)
        if pointer is None:
            return check(written, self._backends, self._keyring)
        where, place = ("deployment", short(pointer.use)), f"is used in place of the file's {short(written.digest)}"
        try:
            loaded = await self._kept(pointer.use)
        except NotKept:
            raise DefinitionError([Problem(where, f"{place}, but the registry has it no longer")]) from None
        except RegistryAway:
            raise DefinitionError([Problem(where, f"{place}, but the registry is away")]) from None
        return check(loaded, self._backends, self._keyring)

    async def _kept(self, digest: str) -> Loaded:
        """*Raises* NotKept, DefinitionError, RegistryAway."""
        text = await self.archive.text(digest)
        if text is None:
            raise NotKept
        name = str(self._file) if digest == self.file_digest else f"{self._file} (deployment {short(digest)})"
        return self._parse(text, name)

    def _parse(self, text: str, name: str) -> Loaded:
        return parse(text, escaped(name), self._environ, self._file.parent, self._reading)

    @contextmanager
    def _refusing(self, event: str) -> Iterator[None]:
        """What can't be put in force is logged and counted; what there is stays."""
        try:
            yield
        except DefinitionError as error:
            self._refused([str(problem) for problem in error.problems])
            for problem in error.problems:
                self._log(event, problem=problem)
        except Exception as error:  # a fault of ours must not end the process either
            self._refused([f"unexpected error: {type(error).__name__}"])
            self._node.gateway.counters.unexpected_errors += 1
            self._log(event, error=error)

    def _refused(self, problems: Iterable[str]) -> None:
        self.failures += 1
        self.valid = False
        self.problems = tuple(problems)

    def _tell_rollback(self, digest: str, file: str) -> None:
        """Log what is new of it since `digest` was executed and the file had that of `file`."""
        pointer = self.archive.instead_of(self.file_digest)
        if self.rolled_back and pointer is not None and (digest, file) != (self.digest, self.file_digest):
            since = iso_time(pointer.at)
            self._log("rolled back", digest=self.digest, file=self.file_digest, since=since, by=pointer.node)
        elif digest != file and not self.rolled_back:
            self._log("rollback over", digest=self.digest)

    # What a deployment is

    async def _deploy(self, written: Loaded, checked: Checked) -> None:
        """Execute it, once there are credentials for the functions it calls elsewhere, if there are any.

        All that may fail comes first: until then the old one is in force.
        """
        loaded = checked.loaded
        seen = await anyio.to_thread.run_sync(fingerprint, loaded, self._secret)
        await self._sign_in(checked)
        # Functions first: a stage that is swapped in finds them there.
        self._backends.functions.reload(loaded.definitions.functions, loaded.source.directory)
        self._node.gateway.callers = checked.callers
        self._node.deploy(checked.deployment)
        self._follow(checked)
        self.fingerprint, self.digest, self.file_digest = seen, loaded.digest, written.digest
        self.executed = loaded.definitions
        self._written, self._followed = written, self.archive.pointer(written.digest)
        self.archive.own(written, loaded)

    def _follow(self, checked: Checked) -> None:
        """Bring what is around the node in line with what it executes now."""
        self._content = _content(checked.loaded)
        self._show(checked)
        self._backends.keep_only(checked.deployment, checked.origins)
        self._backends.sessions.keep_only(checked.loaded.definitions.session_lookup)
        self.redeployed.set()
        self._limit(checked.deployment)

    async def _sign_in(self, checked: Checked) -> None:
        """Have credentials at hand, if there are any, before the first message for a service of AWS."""
        for (kind, name), endpoint in sorted(checked.elsewhere.items() - self._elsewhere.items()):
            self._log(f"{kind} elsewhere", **{kind: name}, endpoint=endpoint)
        self._elsewhere = checked.elsewhere
        for credentials in checked.signers:
            credentials.start()
        for credentials in checked.signers:  # each looks by itself, so this takes as long as the slowest
            await credentials.first()

    def _show(self, checked: Checked) -> None:
        """Show these certificates in handshakes from now on; tell what is remarkable."""
        before, self.certificates.current = self.certificates.current, checked.certificates
        tell(before, checked.certificates, checked.loaded.source, self._log)
        for remark in (*remarks(checked.loaded), *checked.strangers, *checked.misplaced):
            self._log("definition needs care", problem=remark)

    def _limit(self, deployment: Deployment) -> None:
        """Hold the listener to the limits of all stages: which API a head is for is known only behind it."""
        quotas = [stage.quotas for stage in deployment.stages.values()]
        quotas += [stage.quotas for stage in deployment.rest.values()]
        self._public.head_seconds = min(quota.handshake_seconds for quota in quotas)
        self._public.patience(stalled_write=max(quota.stalled_write for quota in quotas))


def _content(loaded: Loaded) -> tuple[object, object]:
    return loaded.digest, loaded.definitions
