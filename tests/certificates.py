"""Certificates for tests: an authority, what it issues, and servers that show it."""

from __future__ import annotations

import datetime
import ipaddress
import ssl
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

DAY = datetime.timedelta(days=1)


class Authority:
    """A certificate authority that lives as long as a test, and what it issued, as files."""

    def __init__(self, folder: Path, name: str = "ca") -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"test authority {name}")])
        self.file = self._write(name, self._sign(self._name, self._key.public_key(), authority=True), self._key)[0]

    def issue(self, name: str, *alternatives: x509.GeneralName, days: tuple[int, int] = (-1, 1)) -> tuple[str, str]:
        """A certificate for `name` (files `name.pem` and `name.key`) that holds between these days from now."""
        return self._issue(name, name, alternatives, days[0] * DAY, days[1] * DAY)

    def issue_to(
        self, *names: str, file: str = "", begins: datetime.timedelta = -DAY, ends: datetime.timedelta = 30 * DAY
    ) -> tuple[str, str]:
        """A certificate made out to all these names and addresses; the files are called like the first."""
        alternatives = [_general_name(name) for name in names]
        return self._issue(names[0], file or names[0].replace("*", "any"), alternatives, begins, ends)

    def client(self) -> ssl.SSLContext:
        """Trusts this authority and nobody else."""
        return ssl.create_default_context(cafile=self.file)

    def _issue(
        self,
        name: str,
        file: str,
        alternatives: Sequence[x509.GeneralName],
        begins: datetime.timedelta,
        ends: datetime.timedelta,
    ) -> tuple[str, str]:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        return self._write(file, self._sign(subject, key.public_key(), *alternatives, begins=begins, ends=ends), key)

    def _sign(
        self,
        subject: x509.Name,
        key: ec.EllipticCurvePublicKey,
        *alternatives: x509.GeneralName,
        authority: bool = False,
        begins: datetime.timedelta = -DAY,
        ends: datetime.timedelta = 30 * DAY,
    ) -> x509.Certificate:
        now = datetime.datetime.now(datetime.UTC)
        builder = (
            x509.CertificateBuilder(self._name, subject, key, x509.random_serial_number())
            .not_valid_before(now + begins)
            .not_valid_after(now + ends)
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        )
        if alternatives:
            builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        return builder.sign(self._key, hashes.SHA256())

    def _write(self, name: str, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> tuple[str, str]:
        files = self._folder / f"{name}.pem", self._folder / f"{name}.key"
        files[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        files[1].write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return str(files[0]), str(files[1])


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def server_context(certificate: tuple[str, str], ca_file: str | None = None) -> ssl.SSLContext:
    """A server's context; with `ca_file` it asks clients for certificates of that authority."""
    secure = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=ca_file)
    secure.load_cert_chain(*certificate)
    if ca_file is not None:
        secure.verify_mode = ssl.CERT_REQUIRED
    return secure
