"""Certificates of the TLS listener: read and checked, chosen by the name a client asks for, swapped as a whole."""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from wsgateway.model.domain import domain_of
from wsgateway.model.file import read_file

SOON = timedelta(days=14)
"""A certificate that ends within this time is remarked upon."""


class CertificateFault(Exception):
    """A certificate and its key can't be used; `about` is which of the two, the text says why."""

    def __init__(self, about: Literal["certificate", "key"], text: str) -> None:
        super().__init__(text)
        self.about = about


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyPair:
    """A certificate with its key, ready to be shown to clients.

    `names` are those it is made out to (DNS names and addresses, lower case), `expires` is when it ends.
    """

    context: ssl.SSLContext
    names: frozenset[str]
    fingerprint: str
    """SHA-256 of the certificate, in hex."""
    begins: datetime
    expires: datetime
    made_here: bool = False
    """By the development CA, so that it is another one at every turn."""

    def remarks(self, now: datetime, name: str | None = None) -> Iterator[str]:
        """What clients that ask for `name` at `now` will object to."""
        if now >= self.expires:
            yield f"expired on {self.expires:%Y-%m-%d %H:%M} UTC; clients refuse it, renew it"
        elif now < self.begins:
            yield f"is valid from {self.begins:%Y-%m-%d %H:%M} UTC on; clients refuse it until then"
        elif now >= self.expires - SOON:
            yield f"expires on {self.expires:%Y-%m-%d %H:%M} UTC; renew it"
        if name is not None and name not in self.names and domain_of(name, self.names) is None:
            yield f"is not made out to {name}; clients refuse it there"


class NamedObject(ssl.SSLObject):
    """One connection's TLS, which remembers the server name that the client sent: "" for none (RFC 6066 §3)."""

    server_name = ""


def server_context() -> ssl.SSLContext:
    """TLS 1.2 or later with Python's choice of ciphers, HTTP/1.1 alone (RFC 7301), and no certificate yet."""
    made = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    made.set_alpn_protocols(["http/1.1"])
    return made


def read_pair(certificate: Path, key: Path) -> KeyPair:
    """Read two PEM files: a certificate with the chain behind it, and its private key without a passphrase.

    *Raises* CertificateFault for files that can't be read, hold something else, or don't belong together.
    """
    from cryptography import x509  # what has no TLS starts without it
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

    chain_pem, key_pem = _read(certificate, "certificate"), _read(key, "key")
    try:
        leaf = x509.load_pem_x509_certificate(chain_pem)  # the first; the rest is the chain
        names = _names(leaf)
    except ValueError as error:
        raise CertificateFault("certificate", f"{certificate} holds no certificate in PEM form") from error
    try:
        private = load_pem_private_key(key_pem, None)
    except TypeError as error:
        raise CertificateFault("key", f"{key} is protected by a passphrase; remove it (openssl pkey)") from error
    except Exception as error:  # ValueError, UnsupportedAlgorithm, and what OpenSSL raises
        raise CertificateFault("key", f"{key} holds no private key in PEM form") from error
    form = Encoding.DER, PublicFormat.SubjectPublicKeyInfo
    if private.public_key().public_bytes(*form) != leaf.public_key().public_bytes(*form):
        raise CertificateFault("key", f"{key} is not the key of {certificate}; give the two that belong together")
    context = server_context()
    try:
        # The passphrase that must not be asked for at a terminal; the file was found to need none.
        context.load_cert_chain(certificate, key, password=str)
    except (OSError, ValueError) as error:
        raise CertificateFault("certificate", f"{certificate} can't be used: {_reason(error)}") from error
    return KeyPair(
        context=context,
        names=names,
        fingerprint=leaf.fingerprint(SHA256()).hex(),
        begins=leaf.not_valid_before_utc,
        expires=leaf.not_valid_after_utc,
    )


def _read(file: Path, about: Literal["certificate", "key"]) -> bytes:
    try:
        return read_file(file)
    except OSError as error:
        raise CertificateFault(about, f"{file} can't be read: {error.strerror}") from error
    except ValueError as error:
        raise CertificateFault(about, f"{file} {error}") from error


def _names(leaf: object) -> frozenset[str]:
    from cryptography import x509

    assert isinstance(leaf, x509.Certificate)
    try:
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return frozenset()  # clients no longer look at the subject (RFC 9525 §6.3)
    dns = names.get_values_for_type(x509.DNSName)
    addresses = names.get_values_for_type(x509.IPAddress)
    return frozenset(name.lower() for name in (*dns, *map(str, addresses)))


def _reason(error: OSError | ValueError) -> str:
    if isinstance(error, ssl.SSLError):
        return (error.reason or str(error)).lower().replace("_", " ")
    return getattr(error, "strerror", None) or str(error)


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateSet:
    """What is shown to whom: `domains` has every custom domain, its own pair or None, `default` is for all else."""

    default: KeyPair | None = None
    domains: Mapping[str, KeyPair | None] = field(default_factory=lambda: MappingProxyType({}))

    def named(self) -> Iterator[tuple[str, KeyPair]]:
        """Every pair under its domain; the default one under ""."""
        if self.default is not None:
            yield "", self.default
        for name, pair in self.domains.items():
            if pair is not None:
                yield name, pair

    def pair_for(self, server_name: str) -> KeyPair | None:
        """What a client that asks for this name is shown; None: nothing, the handshake is refused."""
        domain = domain_of(server_name, self.domains)
        own = None if domain is None else self.domains[domain]
        return own or self.default

    def agrees(self, server_name: str, host: str) -> bool:
        """Whether a request for `host` belongs on a connection made for `server_name` ("": none was sent).

        RFC 9110 §15.5.20. A client without server names may ask for what the default certificate is shown for.
        """
        if server_name == host:
            return True
        domain = domain_of(host, self.domains)
        if not server_name:
            return domain is None or self.domains[domain] is None
        return domain is None and domain_of(server_name, self.domains) is None


class Certificates:
    """The certificates of a listener. `current` is swapped as a whole; connections that are open keep theirs."""

    def __init__(self, current: CertificateSet) -> None:
        self.current = current
        self.context = server_context()
        """What connections begin with. It has no certificate: that is chosen for each."""
        self.context.sslobject_class = NamedObject
        # mypy's stubs know the callback for sockets alone.
        self.context.sni_callback = self._choose  # type: ignore[assignment]

    def _choose(self, connection: NamedObject, name: str | None, _context: ssl.SSLContext) -> int | None:
        """Called once in each handshake, with or without a name."""
        connection.server_name = "" if name is None else name.lower().removesuffix(".")
        pair = self.current.pair_for(connection.server_name)
        if pair is None:
            return ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME
        connection.context = pair.context
        return None
