"""A certificate authority for development: made once, kept where its user alone reads it, trusted by who is told to.

It signs certificates for this machine, so that code that composes `https://{domainName}/{stage}` works here unmodified.
"""

from __future__ import annotations

import fcntl
import hashlib
import ipaddress
import os
import shutil
import socket
import ssl
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from wsgateway.state import state_directory
from wsgateway.transport.certificates import CertificateFault, KeyPair, read_pair

CA_LIFE = timedelta(days=3650)
LEAF_LIFE = timedelta(days=397)
"""The longest that browsers take."""
RENEWED = timedelta(days=400)
"""An authority that ends sooner is replaced, so that it outlives whatever it signs."""
SLACK = timedelta(days=1)
"""Certificates begin so much before now, for clocks that are behind."""

ROOTS = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)
"""Where Linux distributions keep the authorities they trust."""

REPLACING = ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE")
"""Variables that name the authorities to trust instead of the usual ones."""
ADDING = "NODE_EXTRA_CA_CERTS"
"""Node's, which names more of them."""


def names_here() -> tuple[str, ...]:
    """What this machine is called by itself."""
    hostname = socket.gethostname().lower()
    return tuple(dict.fromkeys(("localhost", "127.0.0.1", "::1", hostname)))


@dataclass(frozen=True, slots=True)
class Authority:
    """A certificate authority and the folder it is kept in. `problem` says why that is one that ends with us."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey
    folder: Path
    problem: str = ""

    @property
    def file(self) -> Path:
        """The authority's certificate, for whoever is to trust it."""
        return self.folder / "ca.pem"

    def issue(self, names: Iterable[str], now: datetime) -> KeyPair:
        """A certificate for these DNS names and addresses. It is written down for no longer than TLS reads it.

        Names that are not ASCII are left out: no certificate can hold them as they are (RFC 5280 §4.2.1.6).
        *Raises* CertificateFault where even that can't be done.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        leaf = (
            _builder("wsgateway development", now, LEAF_LIFE)
            .issuer_name(self.certificate.subject)
            .public_key(key.public_key())
            .add_extension(
                x509.SubjectAlternativeName([_general_name(name) for name in names if name.isascii()]), critical=False
            )
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False)
            .sign(self.key, hashes.SHA256())
        )
        try:
            with tempfile.NamedTemporaryFile(dir=self.folder) as file:  # readable by us alone
                file.write(leaf.public_bytes(Encoding.PEM) + _key_pem(key))
                file.flush()
                return replace(read_pair(Path(file.name), Path(file.name)), made_here=True)
        except OSError as error:
            raise CertificateFault("certificate", f"{self.folder} can't be written: {error.strerror}") from error

    def trust(self, environ: Mapping[str, str]) -> dict[str, str]:
        """Variables that have a process trust this authority, and whatever it would trust without them.

        `environ` is the environment it would have. *Raises* OSError where the files can't be written.
        """
        own = self.certificate.public_bytes(Encoding.PEM)
        variables = {ADDING: _readable(environ.get(ADDING)) + own}
        roots = _roots()
        for name in REPLACING:
            variables[name] = (_readable(environ.get(name)) or roots) + own
        return {name: str(self._bundle(content)) for name, content in variables.items()}

    def discard(self) -> None:
        """Remove what ends with us."""
        if self.problem:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _bundle(self, content: bytes) -> Path:
        file = self.folder / f"trust-{hashlib.sha256(content).hexdigest()[:16]}.pem"
        if not file.exists():
            _write(file, content)
        return file


def authority(environ: Mapping[str, str], now: datetime) -> Authority:
    """The user's authority: the one kept, or a new one where there is none or it ends soon.

    Where it can't be kept, one that ends with us. *Raises* OSError where not even that can be written.
    """
    folder = None
    try:
        folder = state_directory(environ)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _alone(folder):
            return _kept(folder, now) or _made(folder, now)
    except OSError as error:
        where = error.filename or folder
        problem = f"{where} can't be used: {error.strerror}" if where else str(error.strerror)
    aside = Path(tempfile.mkdtemp(prefix="wsgateway-"))
    try:
        return _made(aside, now, problem)
    except OSError:
        shutil.rmtree(aside, ignore_errors=True)
        raise


def _kept(folder: Path, now: datetime) -> Authority | None:
    try:
        certificate = x509.load_pem_x509_certificate((folder / "ca.pem").read_bytes())
        key_file = folder / "ca-key.pem"
        key = load_pem_private_key(key_file.read_bytes(), None)
        key_file.chmod(0o600)
    except (FileNotFoundError, ValueError, TypeError):
        return None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
        return None
    return None if certificate.not_valid_after_utc - now < RENEWED else Authority(certificate, key, folder)


def _made(folder: Path, now: datetime, problem: str = "") -> Authority:
    key = ec.generate_private_key(ec.SECP256R1())
    hostname = socket.gethostname().encode("ascii", "replace").decode()  # 64 bytes are the most a common name has
    name = f"wsgateway development CA ({hostname})"[:64]
    certificate = (
        _builder(name, now, CA_LIFE)
        .issuer_name(_subject(name))
        .public_key(key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(_SIGNS_CERTIFICATES, critical=True)
        .sign(key, hashes.SHA256())
    )
    made = Authority(certificate, key, folder, problem)
    _write(folder / "ca-key.pem", _key_pem(key))
    _write(made.file, certificate.public_bytes(Encoding.PEM))
    return made


_SIGNS_CERTIFICATES = x509.KeyUsage(
    digital_signature=True,
    key_cert_sign=True,
    crl_sign=True,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    encipher_only=False,
    decipher_only=False,
)


def _builder(name: str, now: datetime, life: timedelta) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(_subject(name))
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - SLACK)
        .not_valid_after(now - SLACK + life)
    )


def _subject(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Two processes that start at once make one authority."""
    with (folder / "lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _write(file: Path, content: bytes) -> None:
    """Replace a file as a whole, readable by its owner alone."""
    descriptor, aside = tempfile.mkstemp(dir=file.parent, prefix=file.name)
    try:
        with os.fdopen(descriptor, "wb") as opened:
            opened.write(content)
        Path(aside).replace(file)
    except OSError:
        Path(aside).unlink(missing_ok=True)
        raise


def _readable(file: str | None) -> bytes:
    """A file's content with a line end behind it; nothing where there is none."""
    if not file:
        return b""
    try:
        return Path(file).read_bytes() + b"\n"
    except OSError:
        return b""


def _roots() -> bytes:
    """The authorities this machine trusts; else Mozilla's, as the certifi package brings them."""
    for file in (ssl.get_default_verify_paths().cafile, *ROOTS):
        found = _readable(file)
        if found:
            return found
    import certifi

    return _readable(certifi.where())
