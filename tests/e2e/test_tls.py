"""TLS at the public listener: what clients are shown, what is refused, and what goes on while certificates change."""

from __future__ import annotations

import asyncio
import datetime
import json
import socket
import ssl
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect

from tests import prefork
from tests.certificates import Authority
from tests.harness import PATIENCE, Gateway, backend, closed, gateway, handshake, heard, http, raw
from tests.wire import text, wire

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", {"use_uvloop": True}


ECHO = """
      $connect: {{integration: {{integrationType: HTTP_PROXY, integrationUri: "http://127.0.0.1:{port}/connect"}}}}
      $disconnect: {{integration: {{integrationType: HTTP_PROXY, integrationUri: "http://127.0.0.1:{port}/disconnect"}}}}
      $default:
        routeResponse: true
        integration:
          integrationType: HTTP_PROXY
          integrationUri: http://127.0.0.1:{port}/message
          requestParameters:
            integration.request.header.Url: context.callbackUrl
            integration.request.header.Domain: context.domainName
"""
DEFINITION = (
    """
apis:
  chat:
    protocolType: WEBSOCKET
    routeSelectionExpression: $request.body.action
    stages: {{dev: {{}}}}
    limits: {{handshakeSeconds: {patience}}}
    routes:"""
    + ECHO
)


def definition(port: int, more: str = "", patience: float = 10) -> str:
    return DEFINITION.format(port=port, patience=patience) + more


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def flags(authority: Authority) -> list[str]:
    return default_certificate(authority)


def default_certificate(authority: Authority) -> list[str]:
    certificate, key = authority.issue_to("gateway.example", "127.0.0.1", "localhost", file="default")
    return ["--tls-port", "0", "--tls-cert", certificate, "--tls-key", key]


@asynccontextmanager
async def dialled(running: Gateway, path: str = "/dev", host: str = "127.0.0.1", **options: Any) -> AsyncIterator[Any]:
    """A client of the TLS port that calls it `host`."""
    async with connect(f"wss://{host}:{running.tls_port}{path}", host="127.0.0.1", **options) as client:
        yield client


async def shown(port: int, trust: ssl.SSLContext, name: str) -> dict[str, Any]:
    """The certificate that a client which asks for `name` is shown."""
    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trust, server_hostname=name)
    certificate: dict[str, Any] = writer.get_extra_info("peercert")
    writer.transport.abort()
    return certificate


async def asked(port: int, trust: ssl.SSLContext, server_name: str, data: bytes) -> bytes:
    """All that is answered to these bytes on a connection made for `server_name`."""
    async with wire(port, tls=trust, server_name=server_name) as client:
        await client.send(data)
        return await client.closed()


# What works


async def test_a_client_speaks_over_tls(authority: Authority, flags: list[str], tmp_path: Path) -> None:
    async with backend() as back, gateway(definition(back.port), tmp_path, *flags) as running:
        async with dialled(running, ssl=authority.client()) as client:
            await client.send("hello")
            assert await heard(client) == "hello"
            for name, value in (("proto", "https"), ("port", str(running.tls_port))):
                assert (await back.saw("/connect")).header(f"x-forwarded-{name}") == value
            request = await back.saw("/message")
            assert request.header("domain") == f"127.0.0.1:{running.tls_port}"
            assert request.header("x-forwarded-proto") == "https"
            url = request.header("url") or ""
            assert url.startswith(f"{running.internal}/execute-api/chat/dev/@connections/"), "no certificate to trust"
            assert (
                await http(running.internal_port, "POST", url.removeprefix(running.internal), b"push")
            ).status == 200
            assert await heard(client) == "push"
        await back.saw("/disconnect")


async def test_large_messages_and_many_go_both_ways(authority: Authority, flags: list[str], tmp_path: Path) -> None:
    async with (
        backend() as back,
        gateway(definition(back.port), tmp_path, *flags) as running,
        dialled(running, ssl=authority.client(), max_size=None) as client,
    ):
        sent = ["x" * size for size in (0, 1, 125, 16_384, 65_536, 1_000_000)] + [str(n) for n in range(500)]
        for message in sent:
            await client.send(message)
        got = [await heard(client) for _ in sent]
        assert sorted(map(str, got)) == sorted(sent)


async def test_both_ports_are_one_listener(authority: Authority, flags: list[str], tmp_path: Path) -> None:
    async with (
        backend() as back,
        gateway(
            definition(back.port), tmp_path, *flags, "--max-connections", "1", "--ready-file", str(tmp_path / "r")
        ) as running,
    ):
        ready = json.loads((tmp_path / "r").read_text())
        assert (ready["public"], ready["tls"], ready["internal"]) == (running.public, running.tls, running.internal)
        async with connect(running.ws()):
            answer = await asked(running.tls_port, authority.client(), "127.0.0.1", handshake())
            assert answer.startswith(b"HTTP/1.1 503 "), answer


@pytest.mark.parametrize(
    ("settle", "agreed"),
    [
        pytest.param(lambda trust: trust.set_alpn_protocols(["h2", "http/1.1"]), "http/1.1", id="offers both"),
        pytest.param(lambda trust: trust.set_alpn_protocols(["h2"]), None, id="offers h2 alone"),
        pytest.param(lambda trust: setattr(trust, "maximum_version", ssl.TLSVersion.TLSv1_2), None, id="TLS 1.2"),
    ],
)
async def test_http_1_1_is_all_that_is_agreed_on(
    settle: Any, agreed: str | None, authority: Authority, flags: list[str], tmp_path: Path
) -> None:
    trust = authority.client()
    settle(trust)
    async with (
        backend() as back,
        gateway(definition(back.port), tmp_path, *flags) as running,
        wire(running.tls_port, tls=trust) as client,
    ):
        assert client.writer.get_extra_info("ssl_object").selected_alpn_protocol() == agreed
        await client.upgrade()
        await client.send(text("hi"))
        assert await client.text() == "hi"


async def test_older_tls_is_refused(authority: Authority, flags: list[str], tmp_path: Path) -> None:
    trust = authority.client()
    trust.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1"):
        trust.minimum_version, trust.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    async with backend() as back, gateway(definition(back.port), tmp_path, *flags) as running:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await shown(running.tls_port, trust, "127.0.0.1")


# Certificates by name

TWO = """
  game:
    protocolType: WEBSOCKET
    routeSelectionExpression: $request.body.action
    stages: {{prod: {{}}}}
    routes: {{$default: {{}}}}
defaultApi: chat
domains:
  chat.example:
    certificate: file:chat.example.pem
    key: file:chat.example.key
    mappings: {{"": &chat {{api: chat, stage: dev}}}}
  "*.wild.example":
    certificate: file:any.wild.example.pem
    key: file:any.wild.example.key
    mappings: {{"": *chat}}
  bare.example: {{mappings: {{v2: {{api: game, stage: prod}}}}}}
"""


@pytest.fixture
async def domains(authority: Authority, flags: list[str], tmp_path: Path) -> AsyncIterator[Gateway]:
    async with serving_domains(authority, flags, tmp_path) as running:
        yield running


@asynccontextmanager
async def serving_domains(authority: Authority, flags: list[str], folder: Path) -> AsyncIterator[Gateway]:
    authority.issue_to("chat.example")
    authority.issue_to("*.wild.example")
    async with backend() as back, gateway(definition(back.port, TWO.format()), folder, *flags) as running:
        yield running


@dataclass(frozen=True)
class Site:
    """A gateway with domains, for tests that change nothing of it, and who issued its certificates."""

    gateway: Gateway
    authority: Authority


@pytest.fixture(scope="module")
async def site(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    authority = Authority(folder)
    async with serving_domains(authority, default_certificate(authority), folder) as running:
        yield Site(running, authority)


@pytest.mark.parametrize(
    ("asks", "gets"),
    [
        ("chat.example", "chat.example"),
        ("CHAT.Example", "chat.example"),
        ("a.wild.example", "*.wild.example"),
        ("a.b.wild.example", "gateway.example"),
        ("bare.example", "gateway.example"),
        ("unknown.example", "gateway.example"),
        ("127.0.0.1", "gateway.example"),
    ],
)
async def test_a_client_is_shown_the_certificate_of_the_name_it_asks_for(asks: str, gets: str, site: Site) -> None:
    trust = site.authority.client()
    trust.check_hostname = False

    certificate = await shown(site.gateway.tls_port, trust, asks)

    assert certificate["subject"] == ((("commonName", gets),),)


@pytest.mark.parametrize(
    ("server_name", "host", "status"),
    [
        pytest.param("chat.example", "chat.example", 101, id="they agree"),
        pytest.param("chat.example", "CHAT.example.:443", 101, id="in other letters, with a dot and a port"),
        pytest.param("a.wild.example", "a.wild.example", 101, id="under a wildcard"),
        pytest.param("chat.example", "bare.example", 421, id="another domain"),
        pytest.param("a.wild.example", "b.wild.example", 421, id="another name under the wildcard"),
        pytest.param("gateway.example", "chat.example", 421, id="TLS for a name of no domain"),
        pytest.param("chat.example", "gateway.example", 421, id="a Host of no domain"),
        pytest.param("gateway.example", "127.0.0.1", 403, id="no domain at all"),
        pytest.param("127.0.0.1", "chat.example", 421, id="no server name, for a domain with a certificate"),
        pytest.param("127.0.0.1", "bare.example", 101, id="no server name, for one with the default certificate"),
    ],
)
async def test_a_host_that_tls_was_not_begun_for_is_misdirected(
    server_name: str, host: str, status: int, site: Site
) -> None:
    """RFC 9110 §15.5.20. Where no domain is named on either side, Host means what it means without TLS."""
    misdirected = 'wsgateway_refused_total{kind="request_misdirected"}'
    before = (await site.gateway.metrics())[misdirected]
    trust = site.authority.client()
    trust.check_hostname = False
    path = "/v2" if "bare" in host else "/"
    async with wire(site.gateway.tls_port, tls=trust, server_name=server_name) as client:
        await client.send(handshake(path, host))

        assert (await client.head()).status == status
    assert (await site.gateway.metrics())[misdirected] - before == (status == 421)


async def test_every_request_of_a_connection_is_looked_at(site: Site) -> None:
    one = b"GET /@connections/x HTTP/1.1\r\nHost: chat.example\r\n\r\n"
    other = one.replace(b"chat.example", b"bare.example")
    async with wire(site.gateway.tls_port, tls=site.authority.client(), server_name="chat.example") as client:
        for _ in range(2):  # the second time its head is known already
            await client.send(one)
            assert (await client.answer()).status == 400
        await client.send(other)
        assert (await client.answer()).status == 421


async def test_a_trusted_proxy_begins_tls_as_it_likes(authority: Authority, flags: list[str], tmp_path: Path) -> None:
    authority.issue_to("chat.example")
    authority.issue_to("*.wild.example")
    proxies = ["--trusted-proxies", "127.0.0.0/8"]
    async with (
        backend() as back,
        gateway(definition(back.port, TWO.format()), tmp_path, *flags, *proxies) as running,
        wire(running.tls_port, tls=authority.client(), server_name="gateway.example") as client,
    ):
        await client.send(handshake("/", "chat.example"))
        assert (await client.head()).status == 101


async def test_without_a_default_certificate_only_domains_are_served(authority: Authority, tmp_path: Path) -> None:
    authority.issue_to("chat.example")
    authority.issue_to("*.wild.example")
    async with backend() as back, gateway(definition(back.port, TWO.format()), tmp_path, "--tls-port", "0") as running:
        assert await shown(running.tls_port, authority.client(), "chat.example")
        for name in ("127.0.0.1", "unknown.example"):
            with pytest.raises((ssl.SSLError, ConnectionError)):
                await shown(running.tls_port, authority.client(), name)


# Renewal


async def serial_shown(running: Gateway, authority: Authority, name: str) -> str:
    return str((await shown(running.tls_port, authority.client(), name))["serialNumber"])


async def test_new_certificates_come_with_sighup_and_no_connection_goes(domains: Gateway, authority: Authority) -> None:
    before = [await serial_shown(domains, authority, name) for name in ("chat.example", "gateway.example")]
    async with dialled(domains, "/", "chat.example", ssl=authority.client()) as client:
        for name, file in (("chat.example", "chat.example"), ("gateway.example", "default")):
            authority.issue_to(name, file=file)
        domains.reload()
        await domains.logged('"event":"definition deployed"')

        after = [await serial_shown(domains, authority, name) for name in ("chat.example", "gateway.example")]
        assert not set(before) & set(after)
        await client.send("still here")
        assert await heard(client) == "still here"
    assert len([line for line in domains.log if "new certificate" in line]) == 2


async def test_a_broken_certificate_changes_nothing(domains: Gateway, authority: Authority, tmp_path: Path) -> None:
    before = await serial_shown(domains, authority, "chat.example")
    good = (tmp_path / "chat.example.pem").read_bytes()
    (tmp_path / "chat.example.pem").write_text("-----BEGIN CERTIFICATE-----\nhalf")
    (tmp_path / "default.key").unlink()
    domains.reload()

    line = await domains.logged("chat.example.pem holds no certificate")
    assert "definition refused; the old one stays" in line
    assert "routes.yaml:" in line
    await domains.logged("--tls-key: ")
    assert await serial_shown(domains, authority, "chat.example") == before
    samples = await domains.metrics()
    assert samples["wsgateway_definition_valid"] == 0
    assert samples["wsgateway_reload_failures_total"] == 1

    (tmp_path / "chat.example.pem").write_bytes(good)
    authority.issue_to("gateway.example", file="default")
    domains.reload()
    await domains.logged("definition unchanged")
    assert (await domains.metrics())["wsgateway_definition_valid"] == 1


async def test_the_last_certificate_stays_while_a_port_speaks_tls(authority: Authority, tmp_path: Path) -> None:
    authority.issue_to("chat.example")
    own = """
domains:
  chat.example:
    certificate: file:chat.example.pem
    key: file:chat.example.key
    mappings: {"": {api: chat, stage: dev}}
"""
    async with backend() as back, gateway(definition(back.port, own), tmp_path, "--tls-port", "0") as running:
        before = await serial_shown(running, authority, "chat.example")
        (tmp_path / "routes.yaml").write_text(definition(back.port))
        running.reload()

        line = json.loads(await running.logged('"event":"definition '))
        assert line["event"] == "definition refused; the old one stays"
        assert line["problem"].startswith("--tls-port needs a certificate: give --tls-cert and --tls-key")
        assert await serial_shown(running, authority, "chat.example") == before
        assert (await running.metrics())["wsgateway_definition_valid"] == 0


async def test_when_certificates_end_is_a_metric_and_a_log_line(
    authority: Authority, flags: list[str], tmp_path: Path
) -> None:
    authority.issue_to("chat.example", ends=-datetime.timedelta(hours=1))
    authority.issue_to("*.wild.example")
    async with backend() as back, gateway(definition(back.port, TWO.format()), tmp_path, *flags) as running:
        assert "domains.chat.example.certificate: expired on" in await running.logged("certificate needs care")
        ends = {key: value for key, value in (await running.metrics()).items() if "certificate_expires" in key}
        assert len(ends) == 3
        assert ends['wsgateway_certificate_expires_timestamp_seconds{domain="chat.example"}'] < min(
            ends[f'wsgateway_certificate_expires_timestamp_seconds{{domain="{name}"}}']
            for name in ("", "*.wild.example")
        )


# What is refused


async def test_plain_text_on_the_tls_port_is_closed(flags: list[str], tmp_path: Path) -> None:
    async with backend() as back, gateway(definition(back.port), tmp_path, *flags) as running:
        assert b"HTTP/1.1" not in await raw(running.tls_port, b"GET /dev HTTP/1.1\r\nHost: h\r\n\r\n")
        assert (await running.metrics())['wsgateway_refused_total{kind="tls_handshake_failed"}'] == 1


async def test_tls_on_the_plain_port_is_refused(authority: Authority, flags: list[str], tmp_path: Path) -> None:
    async with backend() as back, gateway(definition(back.port), tmp_path, *flags) as running:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await shown(running.port, authority.client(), "127.0.0.1")
        assert (await running.metrics())['wsgateway_refused_total{kind="request_malformed"}'] == 1


async def test_silence_on_the_tls_port_does_not_linger(authority: Authority, flags: list[str], tmp_path: Path) -> None:
    """TLS and the whole request head have the time of one handshake, from the first byte of TCP on."""
    async with backend() as back, gateway(definition(back.port, patience=0.3), tmp_path, *flags) as running:
        assert await raw(running.tls_port, b"") == b""
        assert await raw(running.tls_port, b"\x16\x03\x01") == b""
        async with wire(running.tls_port, tls=authority.client()) as client:
            await client.send(b"GET /dev HT")
            assert await client.closed() == b""
        assert (await running.metrics())["wsgateway_connections"] == 0


async def test_a_server_name_that_is_none_leaves_no_trace(flags: list[str], tmp_path: Path) -> None:
    """Not ASCII, so that no name can be made of it: the client is refused, and the log stays the operator's."""
    outgoing = ssl.MemoryBIO()
    made = ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="xxxx.example")
    with pytest.raises(ssl.SSLWantReadError):
        made.do_handshake()
    hello = outgoing.read().replace(b"xxxx.example", b"\xff\xfe\xfd\xfc.example")
    async with backend() as back, gateway(definition(back.port), tmp_path, *flags) as running:
        await raw(running.tls_port, hello)
        assert (await running.metrics())['wsgateway_refused_total{kind="tls_handshake_failed"}'] == 1
        async with connect(running.ws()) as client:
            await client.send("fine")
            assert await heard(client) == "fine"
    assert all(json.loads(line)["event"] for line in running.log)


async def test_clients_that_go_in_the_middle_leave_nothing(
    authority: Authority, flags: list[str], tmp_path: Path
) -> None:
    """Half a handshake, a refused certificate, a reset: neither a log line nor a connection."""
    async with backend() as back, gateway(definition(back.port), tmp_path, *flags) as running:
        for _ in range(20):
            with pytest.raises(ssl.SSLCertVerificationError):
                await shown(running.tls_port, ssl.create_default_context(), "127.0.0.1")
            async with wire(running.tls_port) as client:
                await client.send(b"\x16\x03\x01\x02\x00\x01")
                client.drop()
            async with wire(running.tls_port, tls=authority.client()) as client:
                await client.upgrade()
        await back.saw("/disconnect", 20)
        async with asyncio.timeout(PATIENCE):
            while (await running.metrics())['wsgateway_refused_total{kind="tls_handshake_failed"}'] < 40:
                pass
        assert [line for line in running.log if "connection closed" not in line] == []


async def test_the_end_of_the_clients_stream_ends_the_connection(
    authority: Authority, flags: list[str], tmp_path: Path
) -> None:
    """With TLS there is no half-closed connection; $disconnect runs, and nobody is told of a fault."""
    async with backend() as back, gateway(definition(back.port), tmp_path, *flags) as running:
        async with wire(running.tls_port, tls=authority.client()) as client:
            await client.upgrade()
            await client.send(text("hi"))
            assert await client.text() == "hi"
            client.writer.close()
            await back.saw("/disconnect")
        async with wire(running.tls_port, tls=authority.client()) as client:
            hold, entered = asyncio.Event(), asyncio.Event()

            async def wait(request: object) -> Any:
                entered.set()
                await hold.wait()
                return 200, {}, b""

            back.answers("/connect", wait)
            await client.send(handshake())
            await entered.wait()
            client.writer.close()
            await running_without_half_open(running)
            hold.set()
            await back.saw("/disconnect", 2)
        assert not [line for line in running.log if "SSL" in line or "unexpected" in line]


async def running_without_half_open(running: Gateway) -> None:
    """A request goes through behind whatever the loop had to do before."""
    await http(running.internal_port, "GET", "/livez")


# The end


async def test_a_drain_closes_clients_over_tls(authority: Authority, flags: list[str], tmp_path: Path) -> None:
    window = ["--drain-window", "0.2"]
    async with backend() as back, gateway(definition(back.port), tmp_path, *flags, *window) as running:
        async with (
            dialled(running, ssl=authority.client()) as one,
            dialled(running, ssl=authority.client()) as other,
            wire(running.tls_port),
            wire(running.tls_port, tls=authority.client()) as silent,
        ):
            running.terminate()
            assert await closed(one) == (1001, "Going away")
            assert await closed(other) == (1001, "Going away")
            assert await silent.closed() == b""
            assert await running.wait() == 0
        assert back.count("/disconnect") == 2


# Flags


async def failed(*flags: str, text: str, folder: Path, verb: str = "serve") -> tuple[int | None, str]:
    """The exit code and what was said of a gateway that does not start."""
    (folder / "routes.yaml").write_text(text)
    process = await prefork.wsgateway(
        verb, folder / "routes.yaml", "--port", "0", "--internal-port", "0", *flags, stdout=PIPE, stderr=PIPE
    )
    async with asyncio.timeout(PATIENCE):
        _, said = await process.communicate()
    return process.returncode, said.decode()


PAIR = "--tls-port 0 --tls-cert {} --tls-key {}"


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        pytest.param("--tls-port 0", "--tls-port needs a certificate", id="no certificate"),
        pytest.param("--tls-port 0 --tls-cert a.pem", "--tls-cert comes with --tls-key", id="no key"),
        pytest.param("--tls-port 0 --tls-key a.key", "--tls-key comes with --tls-cert", id="a key alone"),
        pytest.param("--tls-cert a.pem --tls-key a.key", "without --tls-port", id="no port"),
        pytest.param(PAIR.format("none", "a.key"), "--tls-cert: none can't be read: No such", id="no file"),
        pytest.param(PAIR.format(".", "a.key"), "--tls-cert: . can't be read: Is a dir", id="a folder"),
        pytest.param(PAIR.format("a.key", "a.key"), "--tls-cert: a.key holds no certificate", id="a key twice"),
        pytest.param(PAIR.format("a.pem", "a.pem"), "--tls-key: a.pem holds no private key", id="no key in it"),
        pytest.param(PAIR.format("a.pem", "b.key"), "--tls-key: b.key is not the key of a.pem", id="another's key"),
        pytest.param(PAIR.format("a.pem", "locked.key"), "protected by a passphrase", id="a passphrase"),
        pytest.param("--tls-port 70000", "Invalid value for '--tls-port'", id="no such port"),
    ],
)
async def test_a_certificate_that_cannot_be_used_is_one_clear_line(
    flags: str, says: str, authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b"):
        authority.issue_to(f"{name}.example", file=name)
    lock(tmp_path / "a.key", tmp_path / "locked.key")
    monkeypatch.chdir(tmp_path)

    code, said = await failed(*flags.split(), text=definition(9000), folder=tmp_path)

    assert (code, said.count("\n")) == (2, 1), said
    assert says in said


def lock(key: Path, locked: Path) -> None:
    from cryptography.hazmat.primitives import serialization

    loaded = serialization.load_pem_private_key(key.read_bytes(), None)
    locked.write_bytes(
        loaded.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )


async def test_a_taken_tls_port_is_one_clear_line(authority: Authority, flags: list[str], tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        flags[1] = str(taken.getsockname()[1])
        code, said = await failed(*flags, text=definition(9000), folder=tmp_path)

    assert (code, said.count("\n")) == (1, 1), said
    assert f"the public TLS listener can't have 127.0.0.1:{flags[1]}: Address already in use" in said
