"""Backends are verified: an unknown authority, another name or no TLS at all is a failure before any byte is sent."""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from wsgateway.errors import BadGateway, IntegrationFailure
from wsgateway.messages import EndpointRequest, EndpointResponse
from wsgateway.upstream import Egress, TlsSettings, Upstream

pytestmark = pytest.mark.anyio

REQUEST = EndpointRequest(b"POST / HTTP/1.1\r\nHost: localhost\r\n", b"hi")
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"


class Authority:
    """A certificate authority that lives as long as a test, and what it issued, as files."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test authority")])
        self.file = self._write("ca", self._sign(self._name, self._key.public_key(), authority=True), self._key)[0]

    def issue(self, name: str, *alternatives: x509.GeneralName) -> tuple[str, str]:
        """A certificate for `name`, and its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        return self._write(name, self._sign(subject, key.public_key(), *alternatives), key)

    def _sign(
        self,
        subject: x509.Name,
        key: ec.EllipticCurvePublicKey,
        *alternatives: x509.GeneralName,
        authority: bool = False,
    ) -> x509.Certificate:
        now = datetime.datetime.now(datetime.UTC)
        builder = (
            x509.CertificateBuilder(self._name, subject, key, x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=1))
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


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def certificate(authority: Authority) -> tuple[str, str]:
    return authority.issue("localhost", x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1")))


class TlsBackend:
    """A server that answers every request the same, and remembers what TLS it was called with."""

    def __init__(self, secure: ssl.SSLContext, answer: bytes) -> None:
        self.names: list[str | None] = []
        self.clients: list[object] = []
        self.port = 0
        self._answer = answer
        secure.sni_callback = lambda _socket, name, _context: self.names.append(name)
        self._secure = secure

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.clients.append(writer.get_extra_info("peercert"))
        try:
            while (await reader.readuntil(b"\r\n\r\n")) and (await reader.readexactly(2)):
                writer.write(self._answer)
                if b"Content-Length" not in self._answer:
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[TlsBackend]:
        server = await asyncio.start_server(self.serve, "127.0.0.1", 0, ssl=self._secure)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            await server.wait_closed()


def server_context(certificate: tuple[str, str], ca_file: str | None = None) -> ssl.SSLContext:
    secure = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=ca_file)
    secure.load_cert_chain(*certificate)
    if ca_file is not None:
        secure.verify_mode = ssl.CERT_REQUIRED
    return secure


@pytest.fixture
async def backend(certificate: tuple[str, str]) -> AsyncIterator[TlsBackend]:
    async with TlsBackend(server_context(certificate), ANSWER).listening() as server:
        yield server


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    made = Upstream(egress=Egress())
    yield made
    await made.aclose()


async def call(upstream: Upstream, host: str, port: int, tls: TlsSettings) -> EndpointResponse:
    return await upstream.origin("https", host, port, tls=tls).send(REQUEST, 10.0, max_body=100)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
async def test_a_verified_backend_is_called_and_kept(
    upstream: Upstream, backend: TlsBackend, authority: Authority, host: str
) -> None:
    tls = TlsSettings(ca_file=authority.file)
    for _ in range(3):
        assert (await call(upstream, host, backend.port, tls)).body == b"hi"

    assert len(backend.clients) == 1
    assert backend.names == ["localhost" if host == "localhost" else None], "RFC 6066 §3: no SNI for addresses"


async def test_an_unknown_authority(upstream: Upstream, backend: TlsBackend) -> None:
    with pytest.raises(IntegrationFailure, match=f"https://localhost:{backend.port} has a certificate that can't be"):
        await call(upstream, "localhost", backend.port, TlsSettings())
    assert not backend.clients


async def test_another_name(upstream: Upstream, authority: Authority) -> None:
    other = authority.issue("elsewhere", x509.DNSName("elsewhere.example"))
    async with TlsBackend(server_context(other), ANSWER).listening() as server:
        with pytest.raises(IntegrationFailure, match="can't be trusted"):
            await call(upstream, "localhost", server.port, TlsSettings(ca_file=authority.file))
        tls = TlsSettings(ca_file=authority.file, server_name="elsewhere.example")
        assert (await call(upstream, "localhost", server.port, tls)).body == b"hi"
        assert (await call(upstream, "localhost", server.port, TlsSettings(verify=False))).body == b"hi"


async def test_a_client_certificate(upstream: Upstream, authority: Authority, certificate: tuple[str, str]) -> None:
    shown, key = authority.issue("gateway")
    asking = server_context(certificate, authority.file)
    async with TlsBackend(asking, ANSWER).listening() as server:
        tls = TlsSettings(ca_file=authority.file, certificate=shown, key=key)
        assert (await call(upstream, "localhost", server.port, tls)).body == b"hi"
        assert server.clients[0]

        # TLS 1.3 lets a client find out only after it has written (RFC 8446 §4.4.2.4)
        with pytest.raises((IntegrationFailure, BadGateway)):
            await call(upstream, "localhost", server.port, TlsSettings(ca_file=authority.file))


async def test_a_backend_without_tls(upstream: Upstream) -> None:
    async def nonsense(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(nonsense, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    with pytest.raises(IntegrationFailure, match=f"backend https://127.0.0.1:{port}"):
        await call(upstream, "127.0.0.1", port, TlsSettings(verify=False))
    server.close()
    await server.wait_closed()


async def test_a_body_ended_by_closing(upstream: Upstream, authority: Authority, certificate: tuple[str, str]) -> None:
    answer = b"HTTP/1.1 200 OK\r\n\r\nhello"
    async with TlsBackend(server_context(certificate), answer).listening() as server:
        assert (await call(upstream, "localhost", server.port, TlsSettings(ca_file=authority.file))).body == b"hello"


def test_files_that_are_missing(tmp_path: Path) -> None:
    async def ask() -> None:
        Upstream(egress=Egress()).origin("https", "localhost", 1, tls=TlsSettings(ca_file=str(tmp_path / "none.pem")))

    with pytest.raises(FileNotFoundError):
        asyncio.run(ask())
