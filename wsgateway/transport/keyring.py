"""Where a listener's certificates come from: flags, definitions, and in development an authority of our own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from wsgateway.dataplane.callback import WILDCARDS
from wsgateway.errors import DefinitionError, Problem, StartError
from wsgateway.model.loader import Loaded, Source
from wsgateway.transport.certificates import CertificateFault, CertificateSet, KeyPair, read_pair

if TYPE_CHECKING:
    from wsgateway.dataplane.gateway import Log
    from wsgateway.transport.development import Authority

FLAGS = {"certificate": "--tls-cert", "key": "--tls-key"}
NO_CERTIFICATE = "--tls-port needs a certificate: give --tls-cert and --tls-key, or a domain one in the definition"


@dataclass(frozen=True, slots=True, kw_only=True)
class Keyring:
    """`files` are the default certificate's and its key's. Without them `authority` makes one for `names`.

    `needed` says that a port speaks TLS, so that there must be at least one.
    """

    files: tuple[Path, Path] | None = None
    authority: Authority | None = None
    names: tuple[str, ...] = ()
    needed: bool = False

    def read(self, loaded: Loaded) -> CertificateSet:
        """Every certificate, read now. *Raises* DefinitionError with every problem; those of flags bear their names."""
        problems: list[Problem] = []
        domains: dict[str, KeyPair | None] = {}
        for name, domain in loaded.definitions.domains.items():
            domains[name] = None
            if domain.certificate is not None and domain.key is not None:
                try:
                    domains[name] = read_pair(domain.certificate.path, domain.key.path)
                except CertificateFault as fault:
                    problems.append(loaded.source.problem(("domains", name, fault.about), str(fault)))
        default = None
        try:
            default = self._default(name for name, pair in domains.items() if pair is None)
        except CertificateFault as fault:
            problems.append(Problem((FLAGS[fault.about],), str(fault)))
        found = CertificateSet(default=default, domains=domains)
        if self.needed and not problems and not any(found.named()):
            problems.append(Problem((), NO_CERTIFICATE))
        if problems:
            raise DefinitionError(problems)
        return found

    def discard(self) -> None:
        """Remove what is not to outlive the process."""
        if self.authority is not None:
            self.authority.discard()

    def _default(self, domains: Iterable[str]) -> KeyPair | None:
        if self.files is not None:
            return read_pair(*self.files)
        if self.authority is None:
            return None
        return self.authority.issue((*self.names, *domains), datetime.now(UTC))


def remarks(certificates: CertificateSet, source: Source) -> Iterator[Problem]:
    """What clients will object to today, though nothing is wrong with the files."""
    now = datetime.now(UTC)
    for name, pair in certificates.named():
        for remark in pair.remarks(now, name or None):
            yield (
                source.problem(("domains", name, "certificate"), remark)
                if name
                else Problem((FLAGS["certificate"],), f"the certificate {remark}")
            )


def development_keyring(environ: Mapping[str, str], host: str, log: Log) -> Keyring:
    """The user's development CA, for this machine's names and the `host` of a listener. *Raises* StartError."""
    from wsgateway.transport.development import authority, names_here  # only `dev` needs it

    try:
        made = authority(environ, datetime.now(UTC))
    except OSError as error:
        raise StartError(f"the development CA can't be written: {error}; set TMPDIR to a folder that can") from error
    if made.problem:
        log("the development CA can't be kept and is new at every start", reason=made.problem)
    own = () if host in WILDCARDS else (host,)
    return Keyring(authority=made, names=tuple(dict.fromkeys((*names_here(), *own))), needed=True)


def tell(before: CertificateSet, after: CertificateSet, source: Source, log: Log) -> None:
    """Log which certificates are new, and what clients will object to."""
    known = {pair.fingerprint for _, pair in before.named()}
    for name, pair in after.named():
        if pair.fingerprint not in known and not pair.made_here:
            log("new certificate", domain=name, expires=pair.expires.isoformat(), sha256=pair.fingerprint)
    for remark in remarks(after, source):
        log("certificate needs care", problem=remark)
