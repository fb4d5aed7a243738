"""`tlsConfig`: its files are read and fit together, or the problem says what is wrong with which."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.certificates import Authority
from wsgateway.errors import DefinitionError
from wsgateway.model import parse
from wsgateway.model.file import MAX_BYTES
from wsgateway.model.loader import Loaded

DEFINITION = """\
apis:
  chat:
    protocolType: WEBSOCKET
    routeSelectionExpression: $request.body.action
    stages: {{dev: {{}}}}
    integrations:
      backend:
        integrationType: {kind}
        {uri}
        tlsConfig: {tls}
    routes: {{say: {{integration: backend}}}}
"""
HTTPS = "integrationUri: https://backend.example/"


def read(folder: Path, tls: str, uri: str = HTTPS, kind: str = "HTTP_PROXY") -> Loaded:
    text = DEFINITION.format(tls=tls, uri=uri, kind=kind)
    return parse(text, "routes.yaml", {"CERTS": "certs"}, folder)


def problems(folder: Path, tls: str, uri: str = HTTPS, kind: str = "HTTP_PROXY") -> list[str]:
    try:
        read(folder, tls, uri, kind)
    except DefinitionError as error:
        return [str(problem).replace("apis.chat.integrations.backend.", "") for problem in error.problems]
    return []


@pytest.fixture
def certs(tmp_path: Path) -> Path:
    """A folder `certs` beside the definition: an authority, two pairs, and what is wrong in several ways."""
    folder = tmp_path / "certs"
    folder.mkdir()
    authority = Authority(folder)
    authority.issue("one")
    authority.issue("two")
    os.mkfifo(folder / "pipe.pem")
    (folder / "text.pem").write_text("no certificate\n")
    (folder / "broken.pem").write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    (folder / "empty.pem").touch()
    (folder / "large.pem").write_bytes(b" " * (MAX_BYTES + 1))
    (folder / "locked.key").write_bytes(
        ec.generate_private_key(ec.SECP256R1()).private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"password"),
        )
    )
    return tmp_path


@pytest.mark.parametrize(
    "tls",
    [
        "{}",
        "{serverNameToVerify: chat.internal.example}",
        "{insecureSkipVerification: true}",
        "{caCertificates: file:certs/ca.pem}",
        "{caCertificates: 'file:${CERTS}/ca.pem'}",
        "{clientCertificate: file:certs/one.pem, clientKey: file:certs/one.key}",
    ],
)
def test_what_fits(tls: str, certs: Path) -> None:
    assert problems(certs, tls) == []


def authorities(name: str) -> str:
    return f"{{caCertificates: file:certs/{name}}}"


def pair(certificate: str, key: str | None = None) -> str:
    also = "" if key is None else f", clientKey: file:certs/{key}"
    return f"{{clientCertificate: file:certs/{certificate}{also}}}"


KEY = "tlsConfig.clientKey: "
CERTIFICATE = "tlsConfig.clientCertificate: "
UNUSABLE = "holds no usable PEM certificate"


@pytest.mark.parametrize(
    ("tls", "problem"),
    [
        pytest.param(
            authorities("none.pem"),
            "tlsConfig.caCertificates: file:certs/none.pem can't be read: No such file or directory ({certs}/none.pem)",
            id="no file",
        ),
        pytest.param("{caCertificates: file:certs}", "file:certs can't be read: Is a directory", id="a folder"),
        pytest.param(authorities("pipe.pem"), "file:certs/pipe.pem is no file", id="a pipe"),
        pytest.param(authorities("large.pem"), "is larger than 1048576 bytes", id="a large file"),
        pytest.param(authorities("text.pem"), f"certs/text.pem {UNUSABLE}", id="no certificate in it"),
        pytest.param(authorities("empty.pem"), f"certs/empty.pem {UNUSABLE}", id="nothing in it"),
        pytest.param(authorities("broken.pem"), f"certs/broken.pem {UNUSABLE}", id="a broken certificate"),
        pytest.param("{caCertificates: ca.pem}", "ca.pem is not allowed: write file: and the path", id="no file:"),
        pytest.param("{caCertificates: 'file:'}", "is not allowed: write file: and the path", id="no path"),
        pytest.param("{caCertificates: 7}", "expected a string such as file:certs/ca.pem, got 7", id="a number"),
        pytest.param(
            "{clientKey: '-----BEGIN PRIVATE KEY----- c2VjcmV0'}",
            "a value that begins -----BEGIN is not allowed",
            id="a key itself",
        ),
        pytest.param(
            pair("one.pem", "two.key"),
            f"{KEY}the key in {{certs}}/two.key is not the one of the certificate in {{certs}}/one.pem",
            id="another's key",
        ),
        pytest.param(
            pair("one.pem"),
            f"{CERTIFICATE}{{certs}}/one.pem holds no usable PEM key beside the certificate; give clientKey",
            id="no key",
        ),
        pytest.param(
            pair("one.pem", "one.pem"), f"{KEY}{{certs}}/one.pem holds no usable PEM key", id="a certificate as the key"
        ),
        pytest.param(
            pair("one.pem", "locked.key"), f"{KEY}{{certs}}/locked.key holds an encrypted key", id="a password"
        ),
        pytest.param(
            pair("one.key", "one.key"), f"{CERTIFICATE}{{certs}}/one.key {UNUSABLE}", id="a key as the certificate"
        ),
        pytest.param(
            "{clientKey: file:certs/one.key}", f"{KEY}has no effect without clientCertificate", id="a key alone"
        ),
        pytest.param(
            "{caCertificates: file:certs/ca.pem, insecureSkipVerification: true}",
            "tlsConfig.caCertificates: has no effect beside insecureSkipVerification",
            id="two ways",
        ),
        pytest.param("{serverNameToVerify: 'h:443'}", "is not allowed: a host name without port", id="a port"),
        pytest.param("{caFile: x}", "tlsConfig.caFile: unknown key", id="an unknown key"),
    ],
)
def test_what_does_not(tls: str, problem: str, certs: Path) -> None:
    (found,) = problems(certs, tls)

    assert found.startswith("routes.yaml:10: ")
    assert problem.replace("{certs}", str(certs / "certs")) in found
    assert "c2VjcmV0" not in found


@pytest.mark.parametrize(
    ("kind", "uri"),
    [
        ("HTTP_PROXY", "integrationUri: http://backend.example/"),
        ("AWS_PROXY", "integrationUri: function:x"),
        ("MOCK", "requestTemplates: {$default: '{\"statusCode\": 200}'}"),
    ],
)
def test_it_is_for_https_alone(kind: str, uri: str, tmp_path: Path) -> None:
    (found,) = problems(tmp_path, "{serverNameToVerify: h}", uri, kind)

    assert "tlsConfig: has no effect" in found


def test_another_content_makes_another_definition(certs: Path) -> None:
    before, again = (read(certs, "{caCertificates: file:certs/ca.pem}").definitions for _ in range(2))
    (certs / "certs" / "ca.pem").write_bytes((certs / "certs" / "one.pem").read_bytes())
    after = read(certs, "{caCertificates: file:certs/ca.pem}").definitions

    assert before == again
    assert before != after
