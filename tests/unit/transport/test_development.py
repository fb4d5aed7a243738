"""The development CA: made once, kept to its user, renewed in time, and added to what is trusted anyway."""

from __future__ import annotations

import datetime
import ssl
import stat
from pathlib import Path

import pytest
from cryptography import x509

from wsgateway.state import state_directory
from wsgateway.transport.development import CA_LIFE, RENEWED, Authority, authority, names_here

NOW = datetime.datetime.now(datetime.UTC)


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {"XDG_STATE_HOME": str(tmp_path / "state")}


def serial(made: Authority) -> int:
    return made.certificate.serial_number


@pytest.mark.parametrize(
    ("environ", "folder"),
    [
        ({"XDG_STATE_HOME": "/state", "HOME": "/home/ada"}, "/state/wsgateway"),
        ({"HOME": "/home/ada"}, "/home/ada/.local/state/wsgateway"),
        ({"XDG_STATE_HOME": "", "HOME": "/home/ada"}, "/home/ada/.local/state/wsgateway"),
        ({"XDG_STATE_HOME": "relative", "HOME": "/home/ada"}, "/home/ada/.local/state/wsgateway"),
    ],
)
def test_where_it_is_kept(environ: dict[str, str], folder: str) -> None:
    """XDG base directory specification: a relative path is ignored."""
    assert state_directory(environ) == Path(folder)


def test_it_is_made_once(environ: dict[str, str]) -> None:
    first, second = authority(environ, NOW), authority(environ, NOW)

    assert serial(first) == serial(second)
    assert first.file == state_directory(environ) / "ca.pem"
    assert not first.problem


def test_its_user_alone_reads_it(environ: dict[str, str]) -> None:
    key = authority(environ, NOW).folder / "ca-key.pem"
    key.chmod(0o644)

    authority(environ, NOW)

    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert stat.S_IMODE(key.parent.stat().st_mode) == 0o700


def test_it_is_renewed_before_it_ends(environ: dict[str, str]) -> None:
    first = authority(environ, NOW)
    almost = NOW + CA_LIFE - RENEWED - datetime.timedelta(days=2)

    assert serial(authority(environ, almost)) == serial(first)
    assert serial(authority(environ, almost + datetime.timedelta(days=3))) != serial(first)


@pytest.mark.parametrize(
    ("file", "content"),
    [("ca.pem", "no certificate"), ("ca-key.pem", ""), ("ca-key.pem", None), ("ca.pem", None)],
)
def test_what_is_broken_is_made_anew(file: str, content: str | None, environ: dict[str, str]) -> None:
    first = authority(environ, NOW)
    broken = first.folder / file
    broken.unlink() if content is None else broken.write_text(content)

    second = authority(environ, NOW)

    assert serial(second) != serial(first)
    assert serial(authority(environ, NOW)) == serial(second)


def test_a_key_of_another_is_not_used(environ: dict[str, str], tmp_path: Path) -> None:
    first = authority(environ, NOW)
    other = authority({"XDG_STATE_HOME": str(tmp_path / "other")}, NOW)
    (first.folder / "ca-key.pem").write_bytes((other.folder / "ca-key.pem").read_bytes())

    assert serial(authority(environ, NOW)) != serial(first)


def test_one_that_cannot_be_kept_says_so_and_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    made = authority({"XDG_STATE_HOME": str(tmp_path / "file")}, NOW)

    assert "Not a directory" in made.problem
    assert made.file.exists()
    made.discard()
    assert not made.folder.exists()


@pytest.mark.usefixtures("homeless")
def test_without_a_home_it_cannot_be_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    made = authority({}, NOW)

    assert made.problem == "no home directory is known; set HOME or XDG_STATE_HOME"
    made.discard()
    assert list(tmp_path.iterdir()) == []


def test_what_it_issues_is_for_those_names_and_leaves_no_file(environ: dict[str, str]) -> None:
    made = authority(environ, NOW)
    before = set(made.folder.iterdir())

    pair = made.issue([*names_here(), "*.chat.localhost"], NOW)

    assert {"localhost", "127.0.0.1", "::1", "*.chat.localhost"} <= pair.names
    assert pair.expires < made.certificate.not_valid_after_utc
    assert set(made.folder.iterdir()) == before


@pytest.mark.parametrize("hostname", ["münchen", "ü" * 32, "\udcff", "a" * 64])
def test_whatever_the_machine_is_called(
    hostname: str, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: hostname)

    pair = authority(environ, NOW).issue(names_here(), NOW)

    assert pair.names - {hostname} == {"localhost", "127.0.0.1", "::1"}
    assert (hostname in pair.names) == hostname.isascii()


def test_its_trust_comes_on_top(environ: dict[str, str], tmp_path: Path) -> None:
    """Variables that replace the usual authorities name those as well; what the user had set counts in their place."""
    made = authority(environ, NOW)
    other = authority({"XDG_STATE_HOME": str(tmp_path / "other")}, NOW)

    variables = made.trust({"AWS_CA_BUNDLE": str(other.file), "NODE_EXTRA_CA_CERTS": str(tmp_path / "none")})

    assert sorted(variables) == ["AWS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"]
    trusted = {name: Path(file).read_bytes() for name, file in variables.items()}
    both = x509.load_pem_x509_certificates(trusted["AWS_CA_BUNDLE"])
    assert [one.serial_number for one in both] == [serial(other), serial(made)]
    assert trusted["NODE_EXTRA_CA_CERTS"] == made.file.read_bytes()
    assert trusted["SSL_CERT_FILE"].endswith(made.file.read_bytes())
    assert trusted["SSL_CERT_FILE"].count(b"BEGIN CERTIFICATE") > 50
    ssl.create_default_context(cafile=variables["SSL_CERT_FILE"])


def test_where_the_machine_trusts_nobody_mozillas_authorities_do(
    environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wsgateway.transport.development.ROOTS", ())
    monkeypatch.setattr(ssl, "get_default_verify_paths", lambda: ssl.DefaultVerifyPaths(None, None, "", "", "", ""))

    variables = authority(environ, NOW).trust({})

    assert Path(variables["SSL_CERT_FILE"]).read_bytes().count(b"BEGIN CERTIFICATE") > 50
