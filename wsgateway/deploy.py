"""From the definition file to what the node executes: checked, put in force, and read again while it runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import anyio

from wsgateway.aws import Credentials
from wsgateway.dataplane.compile import Deployment, compile_deployment
from wsgateway.dataplane.gateway import Log
from wsgateway.dataplane.node import Node
from wsgateway.errors import DefinitionError
from wsgateway.functions import Functions
from wsgateway.integrations.aws_lambda import AwsProxy
from wsgateway.integrations.base import IntegrationType
from wsgateway.model.loader import Loaded, load
from wsgateway.transport.certificates import Certificates, CertificateSet
from wsgateway.transport.keyring import Keyring, tell
from wsgateway.transport.listener import Listener
from wsgateway.upstream.origin import Origin
from wsgateway.upstream.pool import Upstream


@dataclass(frozen=True, slots=True, kw_only=True)
class Backends:
    """Whom messages are handed to: every integration type by AWS's name, and what these share."""

    types: Mapping[str, IntegrationType]
    upstream: Upstream
    functions: Functions
    credentials: Credentials

    @property
    def lambdas(self) -> AwsProxy:
        proxy = self.types["AWS_PROXY"]
        assert isinstance(proxy, AwsProxy)
        return proxy

    def look_again(self) -> None:
        """What is compiled from now on trusts and shows what the machine, its files and AWS's tools have now."""
        self.upstream.look_again()
        self.lambdas.look_again()
        self.credentials.look_again()

    def origins(self, deployment: Deployment) -> frozenset[Origin]:
        """The backends that a deployment calls."""
        return frozenset(
            origin for name, kind in self.types.items() for origin in kind.origins(deployment.uses_of(name))
        )

    def keep_only(self, deployment: Deployment, origins: frozenset[Origin]) -> None:
        """Keep the connections and caps that a deployment uses, and no others."""
        for name, kind in self.types.items():
            kind.keep_only(deployment.uses_of(name))
        self.upstream.keep_only(origins)

    async def aclose(self) -> None:
        self.credentials.close()
        await self.functions.aclose()
        await self.upstream.aclose()


@dataclass(frozen=True, slots=True)
class Checked:
    """One content of the definition file, and of the files it names, that can be put in force."""

    loaded: Loaded
    deployment: Deployment
    certificates: CertificateSet
    origins: frozenset[Origin]
    """The backends that the deployment calls."""
    elsewhere: Mapping[str, str]
    """The functions that don't run here, each with the URL of its endpoint."""


def check(loaded: Loaded, backends: Backends, keyring: Keyring) -> Checked:
    """A deployment whose functions can start here, and its certificates.

    *Raises* DefinitionError with every problem of all three.
    """
    source = loaded.source
    certificates = CertificateSet()
    found = backends.functions.check(loaded.definitions.functions, source.directory)
    problems = [source.locate(problem) for problem in found]
    try:
        deployment = compile_deployment(loaded, backends.types)
    except DefinitionError as error:
        problems += error.problems
    try:
        certificates = keyring.read(loaded)
    except DefinitionError as error:
        problems += error.problems
    if problems:
        raise DefinitionError(sorted(problems, key=lambda problem: problem.line))
    elsewhere = backends.lambdas.elsewhere(deployment.uses_of("AWS_PROXY"))
    return Checked(loaded, deployment, certificates, backends.origins(deployment), elsewhere)


class Deployments:
    """What one node executes, shows in handshakes and calls, and how that changes with the file."""

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
        log: Log,
    ) -> None:
        self.valid = True
        """Whether what was last read of the file is in force."""
        self.failures = 0
        """How often what was read was not."""
        self.certificates = certificates
        self._file = file
        self._environ = environ
        self._node = node
        self._public = public
        self._backends = backends
        self._keyring = keyring
        self._log = log
        self._content: object = None
        """By which it is told whether the file says something new."""
        self._elsewhere: Mapping[str, str] = {}
        """The functions that were told of as not running here."""
        self._reloading = anyio.Lock()
        self._redeployed = anyio.Event()
        """Set at a deployment: other code may have to be watched."""

    async def deploy(self, checked: Checked) -> None:
        """Execute it, once there are credentials for the functions it calls elsewhere, if there are any."""
        await self._execute(checked)
        self._follow(checked)

    async def _execute(self, checked: Checked) -> None:
        """All of a deployment that may fail: until its end the old one is in force."""
        await self._sign_in(checked.elsewhere)
        # Functions first: a stage that is swapped in finds them there.
        loaded = checked.loaded
        self._backends.functions.reload(loaded.definitions.functions, loaded.source.directory)
        self._node.deploy(checked.deployment)

    def _follow(self, checked: Checked) -> None:
        """Bring what is around the node in line with what it executes now."""
        self._content = _content(checked.loaded)
        self._show(checked)
        self._backends.keep_only(checked.deployment, checked.origins)
        self._redeployed.set()
        self._limit(checked.deployment)

    async def reload(self) -> None:
        """Take the file's new content, and that of the files it names, or keep what there is and say why.

        Where another one waits for its turn already, that one does it. Cancelled, what there is stays.
        """
        if self._reloading.statistics().tasks_waiting:
            return
        async with self._reloading:
            await self._reload()

    async def _reload(self) -> None:
        self._backends.look_again()
        try:
            checked = check(load(self._file, self._environ), self._backends, self._keyring)
            await self._execute(checked)
        except DefinitionError as error:
            self._refused()
            for problem in error.problems:
                self._log("definition refused; the old one stays", problem=problem)
            return
        except Exception as error:  # a fault of ours must not end the process either
            self._refused()
            self._node.gateway.counters.unexpected_errors += 1
            self._log("definition refused; the old one stays", error=error)
            return
        self.valid = True
        unchanged = _content(checked.loaded) == self._content
        self._follow(checked)
        deployment = checked.deployment
        event = "definition unchanged" if unchanged else "definition deployed"
        self._log(event, digest=deployment.digest, stages=len(deployment.stages))

    def _refused(self) -> None:
        self.failures += 1
        self.valid = False

    async def _sign_in(self, elsewhere: Mapping[str, str]) -> None:
        """Have credentials at hand, if there are any, before the first message for a function that is not here."""
        for function, endpoint in sorted(elsewhere.items() - self._elsewhere.items()):
            self._log("function elsewhere", function=function, endpoint=endpoint)
        self._elsewhere = elsewhere
        if elsewhere:
            self._backends.credentials.start()
            await self._backends.credentials.first()

    def _show(self, checked: Checked) -> None:
        """Show these certificates in handshakes from now on."""
        before, self.certificates.current = self.certificates.current, checked.certificates
        tell(before, checked.certificates, checked.loaded.source, self._log)

    def _limit(self, deployment: Deployment) -> None:
        """Hold the listener to the limits of all stages: which API a head is for is known only behind it."""
        quotas = [stage.quotas for stage in deployment.stages.values()]
        self._public.head_seconds = min(quota.handshake_seconds for quota in quotas)
        self._public.patience(stalled_write=max(quota.stalled_write for quota in quotas))
        self._public.behind_bytes = max(quota.max_message_bytes for quota in quotas)

    # What `dev` watches

    async def watch(self) -> None:
        """Reload when the definition file changes; never returns."""
        from watchfiles import awatch  # only `dev` needs it

        file = self._file.resolve()
        # The directory, not the file: editors replace files.
        async for changes in awatch(file.parent, recursive=False, debounce=100, step=20, rust_timeout=200):
            if any(changed == str(file) for _, changed in changes):
                await self.reload()

    async def watch_code(self) -> None:
        """Restart a function for its next message when its code changes; never returns."""
        from watchfiles import awatch

        functions = self._backends.functions
        while True:
            self._redeployed = redeployed = anyio.Event()
            folders = functions.folders()
            if not folders:
                await redeployed.wait()
                continue
            async for changes in awatch(*folders, stop_event=redeployed, debounce=100, step=20, rust_timeout=200):
                if functions.changed(path for _, path in changes):
                    functions.warm()


def _content(loaded: Loaded) -> tuple[object, object]:
    return loaded.digest, loaded.definitions
