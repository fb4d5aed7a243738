"""HTTPS backends with authorities and certificates of their own, and backends and clients by IPv6."""

from __future__ import annotations

import hashlib
import ipaddress
import json
import shutil
import socket
import ssl
import threading
import warnings
from collections.abc import AsyncIterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from tests.certificates import Authority, server_context
from tests.harness import PATIENCE, Gateway, backend, gateway, heard

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", {"use_uvloop": True}


DEFINITION = """
apis:
  chat:
    protocolType: WEBSOCKET
    routeSelectionExpression: $request.body.action
    stages: {dev: {stageVariables: {port: "%(port)s"}}}
    integrations:
      echo:
        integrationType: HTTP_PROXY
        integrationUri: https://localhost:${stageVariables.port}/echo
        tlsConfig: %(tls)s
    routes:
      $default: {integration: echo, routeResponse: true}
%(more)s
"""
CONNECT = "      $connect: {integration: echo}"
LOCALHOST = (x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1")))


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def certificate(authority: Authority) -> tuple[str, str]:
    return authority.issue("server", *LOCALHOST)


def defined(port: int, tls: str = "{caCertificates: file:ca.pem}", more: str = "") -> str:
    return DEFINITION % {"port": port, "tls": tls, "more": more}


async def test_a_private_authority_named_relative_to_the_file(certificate: tuple[str, str], tmp_path: Path) -> None:
    async with backend(secure=server_context(certificate)) as server:
        async with gateway(defined(server.port, more=CONNECT), tmp_path) as running, connect(running.ws()) as client:
            for text in ("one", "two"):
                await client.send(text)
                assert await heard(client) == text

        assert len([request for request in server.requests if request.target == "/echo"]) == 3
        assert (await server.saw("/echo")).header("host") == f"localhost:{server.port}"


@pytest.mark.parametrize("by", ["SSL_CERT_FILE", "SSL_CERT_DIR"])
async def test_the_machines_authorities(
    by: str, authority: Authority, certificate: tuple[str, str], tmp_path: Path
) -> None:
    """SSL_CTX_set_default_verify_paths(3)."""
    folder = tmp_path / "roots"
    folder.mkdir()
    shutil.copy(authority.file, folder / f"{subject_hash(authority.file)}.0")
    env = (
        {"SSL_CERT_FILE": authority.file}
        if by == "SSL_CERT_FILE"
        else {"SSL_CERT_DIR": str(folder), "SSL_CERT_FILE": ""}
    )
    async with (
        backend(secure=server_context(certificate)) as server,
        gateway(defined(server.port, "{}"), tmp_path, env=env) as running,
        connect(running.ws()) as client,
    ):
        await client.send("hello")

        assert await heard(client) == "hello"


async def test_a_client_certificate_is_shown(
    authority: Authority, certificate: tuple[str, str], tmp_path: Path
) -> None:
    authority.issue("gateway")
    tls = "{caCertificates: file:ca.pem, clientCertificate: file:gateway.pem, clientKey: file:gateway.key}"
    async with (
        backend(secure=server_context(certificate, authority.file)) as server,
        gateway(defined(server.port, tls), tmp_path) as running,
        connect(running.ws()) as client,
    ):
        await client.send("hello")

        assert await heard(client) == "hello"


async def test_a_certificate_and_its_key_in_one_file(
    authority: Authority, certificate: tuple[str, str], tmp_path: Path
) -> None:
    authority.issue("gateway")
    both = (tmp_path / name for name in ("gateway.pem", "gateway.key"))
    (tmp_path / "both.pem").write_text("".join(file.read_text() for file in both))
    async with (
        backend(secure=server_context(certificate, authority.file)) as server,
        gateway(
            defined(server.port, "{caCertificates: file:ca.pem, clientCertificate: file:both.pem}"), tmp_path
        ) as running,
        connect(running.ws()) as client,
    ):
        await client.send("hello")

        assert await heard(client) == "hello"


async def test_another_name_is_asked_for_and_verified(authority: Authority, tmp_path: Path) -> None:
    """API Gateway HTTP APIs, TlsConfig: serverNameToVerify is verified and sent as SNI."""
    names: list[str | None] = []
    secure = server_context(authority.issue("inner", x509.DNSName("chat.internal.example")))
    secure.sni_callback = lambda _socket, name, _context: names.append(name)
    tls = "{caCertificates: file:ca.pem, serverNameToVerify: chat.internal.example}"
    async with (
        backend(secure=secure) as server,
        gateway(defined(server.port, tls), tmp_path) as running,
        connect(running.ws()) as client,
    ):
        await client.send("hello")

        assert await heard(client) == "hello"
    assert set(names) == {"chat.internal.example"}


async def test_a_self_signed_backend_by_insecure_skip_verification(
    certificate: tuple[str, str], tmp_path: Path
) -> None:
    async with (
        backend(secure=server_context(certificate)) as server,
        gateway(defined(server.port, "{insecureSkipVerification: true}"), tmp_path) as running,
        connect(running.ws()) as client,
    ):
        await client.send("hello")

        assert await heard(client) == "hello"


class TlsServer:
    """A server on OpenSSL alone, which tells its peers why it ends a handshake; asyncio's says nothing."""

    def __init__(self, secure: ssl.SSLContext | None) -> None:
        self.asked: list[bytes] = []
        self._secure = secure
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> TlsServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()

    def _serve(self) -> None:
        while True:
            try:
                peer, _ = self._listener.accept()
            except OSError:
                return
            with peer, suppress(OSError):
                peer.settimeout(PATIENCE)
                if self._secure is None:
                    peer.recv(65_536)
                    peer.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
                    continue
                with self._secure.wrap_socket(peer, server_side=True) as secured:
                    data = secured.recv(65_536)
                    if data:
                        self.asked.append(data)


def old_tls(certificate: tuple[str, str]) -> ssl.SSLContext:
    """A server that speaks TLS 1.1 at most."""
    secure = server_context(certificate)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        secure.minimum_version = ssl.TLSVersion.TLSv1
        secure.maximum_version = ssl.TLSVersion.TLSv1_1
    secure.set_ciphers("DEFAULT:@SECLEVEL=0")
    return secure


OWN = "{caCertificates: file:ca.pem}"
WRONG = "{caCertificates: file:ca.pem, clientCertificate: file:else/gateway.pem, clientKey: file:else/gateway.key}"
ANY = "{insecureSkipVerification: true}"


@dataclass(frozen=True)
class Case:
    """A backend that is not to be believed, what is said of it in `tlsConfig`, and what the log says of that."""

    backend: str
    tls: str
    reason: str


CASES = {
    "an unknown authority": Case("fine", "{}", "unable to get local issuer certificate"),
    "another host name": Case("elsewhere", OWN, "not valid for 'localhost'"),
    "another host name, any authority": Case("elsewhere", ANY, "not valid for 'localhost'"),
    "expired": Case("expired", OWN, "certificate has expired"),
    "expired, any authority": Case("expired", ANY, "certificate has expired"),
    "not yet valid": Case("early", OWN, "certificate is not yet valid"),
    "no client certificate": Case("asking", OWN, "asks for a client certificate"),
    "no client certificate, TLS 1.2": Case("asking TLS 1.2", OWN, "perhaps it asks for a client certificate"),
    "a client certificate of another authority": Case("asking", WRONG, "refused the client certificate"),
    "TLS 1.1 only": Case("old", OWN, "speaks no TLS 1.2 or newer"),
    "no TLS at all": Case("plain", OWN, "speaks no TLS"),
}
SEVERAL = """
  case%(number)s:
    protocolType: WEBSOCKET
    routeSelectionExpression: $request.body.action
    stages: {dev: {}}
    routes:
      $default:
        routeResponse: true
        integration:
          integrationType: HTTP_PROXY
          integrationUri: https://localhost:%(port)s/echo
          tlsConfig: %(tls)s
"""


@dataclass(frozen=True)
class Unverified:
    """A gateway with an API for each case, and each one's backend."""

    gateway: Gateway
    servers: list[TlsServer]


@pytest.fixture(scope="module")
async def unverified(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Unverified]:
    folder = tmp_path_factory.mktemp("unverified")
    authority = Authority(folder)
    certificate = authority.issue("server", *LOCALHOST)
    (folder / "else").mkdir()
    Authority(folder / "else", "another").issue("gateway")
    contexts = {
        "fine": server_context(certificate),
        "elsewhere": server_context(authority.issue("other", x509.DNSName("elsewhere.example"))),
        "expired": server_context(authority.issue("expired", *LOCALHOST, days=(-9, -1))),
        "early": server_context(authority.issue("early", *LOCALHOST, days=(1, 9))),
        "asking": server_context(certificate, authority.file),
        "asking TLS 1.2": only_tls_1_2(server_context(certificate, authority.file)),
        "old": old_tls(certificate),
        "plain": None,
    }
    with ExitStack() as stack:
        servers = [stack.enter_context(TlsServer(contexts[case.backend])) for case in CASES.values()]
        apis = (
            SEVERAL % {"number": number, "port": server.port, "tls": case.tls}
            for number, (case, server) in enumerate(zip(CASES.values(), servers, strict=True))
        )
        async with gateway("apis:" + "".join(apis), folder) as running:
            yield Unverified(running, servers)


@pytest.mark.parametrize("name", CASES)
async def test_a_backend_that_is_not_verified_is_one_line_and_aws_error(name: str, unverified: Unverified) -> None:
    number = list(CASES).index(name)
    running, server = unverified.gateway, unverified.servers[number]
    async with connect(running.ws(f"/execute-api/case{number}/dev")) as client:
        await client.send("hello")
        assert json.loads(await heard(client))["message"] == "Internal server error"

    about = f"https://localhost:{server.port}"
    line = json.loads(await running.logged(about))
    assert line["event"] == "integration fails"
    assert CASES[name].reason in line["error"]
    assert about in line["error"]
    assert line["status"] == 500
    assert not server.asked
    assert len([entry for entry in running.log if about in entry]) == 1


def only_tls_1_2(secure: ssl.SSLContext) -> ssl.SSLContext:
    secure.maximum_version = ssl.TLSVersion.TLSv1_2
    return secure


async def test_a_handshake_that_needs_an_unverified_backend_is_a_500(
    certificate: tuple[str, str], tmp_path: Path
) -> None:
    async with (
        backend(secure=server_context(certificate)) as server,
        gateway(defined(server.port, "{}", CONNECT), tmp_path) as running,
    ):
        with pytest.raises(InvalidStatus) as refused:
            await connect(running.ws())

        assert refused.value.response.status_code == 500


async def test_a_reload_takes_files_that_changed_under_their_names(
    authority: Authority, certificate: tuple[str, str], tmp_path: Path
) -> None:
    (tmp_path / "later").mkdir()
    stranger = Authority(tmp_path / "later")
    theirs = stranger.issue("server", *LOCALHOST)
    async with backend(secure=server_context(theirs)) as server:
        async with gateway(defined(server.port), tmp_path) as running, connect(running.ws()) as client:
            await client.send("hello")
            assert json.loads(await heard(client))["message"] == "Internal server error"

            shutil.copy(stranger.file, authority.file)
            running.reload()
            await running.logged("definition deployed")
            await client.send("hello again")

            assert await heard(client) == "hello again"

            (tmp_path / "ca.pem").write_text("nothing of the kind")
            running.reload()
            refusal = await running.logged("definition refused")
            await client.send("still here")

            assert await heard(client) == "still here"
        assert "caCertificates" in refusal
        assert "holds no usable PEM certificate" in refusal


async def test_clients_and_backends_by_ipv6(tmp_path: Path) -> None:
    async with backend("::1") as server:
        definition = (
            defined(server.port).replace("https://localhost", "http://[::1]").replace("tlsConfig", "# tlsConfig")
        )
        flags = ("--host", "::1", "--internal-host", "::1")
        async with gateway(definition, tmp_path, *flags) as running:
            assert running.public == f"http://[::1]:{running.port}"
            async with connect(f"ws://[::1]:{running.port}/dev") as client:
                await client.send("hello")

                assert await heard(client) == "hello"
        seen = await server.saw("/echo")
        assert seen.header("host") == f"[::1]:{server.port}"
        assert seen.header("x-forwarded-for") == "::1"


async def test_tls_by_an_ipv6_address(authority: Authority, tmp_path: Path) -> None:
    certificate = authority.issue("six", x509.IPAddress(ipaddress.ip_address("::1")))
    async with backend("::1", server_context(certificate)) as server:
        definition = defined(server.port).replace("localhost", "[::1]")
        async with gateway(definition, tmp_path) as running, connect(running.ws()) as client:
            await client.send("hello")

            assert await heard(client) == "hello"


def subject_hash(file: str) -> str:
    """The name OpenSSL looks for in a folder of authorities: X509_NAME_hash(3), of a name that is canonical already."""
    name = x509.load_pem_x509_certificate(Path(file).read_bytes()).subject.public_bytes()
    return f"{int.from_bytes(hashlib.sha1(name[2:]).digest()[:4], 'little'):08x}"
