"""Backends are verified: an unknown authority, another name or no TLS at all is a failure before any byte is sent."""

from __future__ import annotations

import asyncio
import ipaddress
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from tests.certificates import Authority, server_context
from wsgateway.errors import BadGateway, IntegrationFailure
from wsgateway.messages import EndpointRequest, EndpointResponse
from wsgateway.upstream import Egress, TlsSettings, Upstream
from wsgateway.upstream.tls import machine_fault, machine_version, peer_fault

pytestmark = pytest.mark.anyio

REQUEST = EndpointRequest(b"POST / HTTP/1.1\r\nHost: localhost\r\n", b"hi")
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"


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
        with pytest.raises(IntegrationFailure, match="certificate is not valid for 'localhost'"):
            await call(upstream, "localhost", server.port, TlsSettings(verify=False))


async def test_any_authority(upstream: Upstream, backend: TlsBackend) -> None:
    """API Gateway developer guide, "x-amazon-apigateway-integration.tlsConfig", insecureSkipVerification."""
    assert (await call(upstream, "localhost", backend.port, TlsSettings(verify=False))).body == b"hi"


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


def der(file: str) -> bytes:
    return x509.load_pem_x509_certificate(Path(file).read_bytes()).public_bytes(serialization.Encoding.DER)


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("chat.example", None),
        ("CHAT.EXAMPLE.", None),
        ("a.wild.example", None),
        ("::1", None),
        ("0:0:0:0:0:0:0:1", None),
        ("wild.example", "certificate is not valid for 'wild.example'"),
        ("a.b.wild.example", "certificate is not valid for 'a.b.wild.example'"),
        (".wild.example", "certificate is not valid for '.wild.example'"),
        ("example", "certificate is not valid for 'example'"),
        ("127.0.0.1", "certificate is not valid for '127.0.0.1'"),
        ("the common name", "certificate is not valid for 'the common name'"),
    ],
)
def test_names_of_a_certificate_of_any_authority(name: str, fault: str | None, authority: Authority) -> None:
    names = [x509.DNSName("chat.example"), x509.DNSName("*.wild.example"), x509.DNSName("*")]
    shown, _ = authority.issue("the common name", *names, x509.IPAddress(ipaddress.ip_address("::1")))

    assert peer_fault(der(shown), name) == fault


def test_times_and_shape_of_a_certificate_of_any_authority(authority: Authority) -> None:
    over, _ = authority.issue("over", x509.DNSName("h"), days=(-3, -1))
    early, _ = authority.issue("early", x509.DNSName("h"), days=(1, 3))
    nameless, _ = authority.issue("nameless")

    assert peer_fault(der(over), "h") == "certificate has expired"
    assert peer_fault(der(early), "h") == "certificate is not yet valid"
    assert peer_fault(der(nameless), "nameless") == "certificate has no subject alternative name"
    assert "can't be read" in str(peer_fault(b"nonsense", "h"))


def test_what_is_wrong_with_the_machines_authorities(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, authority: Authority
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    monkeypatch.delenv("SSL_CERT_DIR", raising=False)
    assert machine_fault() is None
    monkeypatch.setenv("SSL_CERT_FILE", authority.file)
    assert machine_fault() is None
    before = machine_version()
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none.pem"))
    assert "none.pem, which can't be read: No such file" in str(machine_fault())
    (tmp_path / "none.pem").write_text("nothing")
    assert "none.pem, which holds no usable PEM certificate" in str(machine_fault())
    assert machine_version() != before
    monkeypatch.setenv("SSL_CERT_FILE", authority.file)
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "nowhere"))
    assert "nowhere, which is no directory" in str(machine_fault())
