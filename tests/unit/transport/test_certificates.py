"""Certificates: what is read, what is refused, who is shown which, and whom a connection was made for."""

from __future__ import annotations

import datetime
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.certificates import DAY, Authority
from wsgateway.model.file import MAX_BYTES
from wsgateway.transport.certificates import CertificateFault, Certificates, CertificateSet, KeyPair, read_pair


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def pair(authority: Authority, *names: str, **times: datetime.timedelta) -> KeyPair:
    certificate, key = authority.issue_to(*names, **times)
    return read_pair(Path(certificate), Path(key))


def test_a_pair_knows_whom_it_is_for_and_until_when(authority: Authority) -> None:
    found = pair(authority, "Chat.example", "*.wild.example", "127.0.0.1", "::1", ends=5 * DAY)

    assert found.names == {"chat.example", "*.wild.example", "127.0.0.1", "::1"}
    assert abs(found.expires - datetime.datetime.now(datetime.UTC) - 5 * DAY) < datetime.timedelta(minutes=5)


@pytest.mark.timeout(10)
@pytest.mark.parametrize("about", ["certificate", "key"])
@pytest.mark.parametrize("other", ["a pipe", "a device", "a large file"])
def test_what_would_hold_up_a_start_is_not_read(about: str, other: str, authority: Authority, tmp_path: Path) -> None:
    files = dict(zip(("certificate", "key"), map(Path, authority.issue_to("chat.example")), strict=True))
    files[about] = tmp_path / "other"
    match other:
        case "a pipe":
            os.mkfifo(files[about])
        case "a device":
            files[about] = Path("/dev/zero")
        case _:
            files[about].write_bytes(bytes(MAX_BYTES + 1))

    with pytest.raises(CertificateFault) as caught:
        read_pair(files["certificate"], files["key"])

    assert caught.value.about == about
    why = f"is larger than {MAX_BYTES} bytes" if other == "a large file" else "is no file"
    assert str(caught.value) == f"{files[about]} {why}"


def test_a_chain_is_read_and_the_first_counts(authority: Authority, tmp_path: Path) -> None:
    certificate, key = authority.issue_to("chat.example")
    chain = tmp_path / "chain.pem"
    chain.write_bytes(b"# who signed it\n" + Path(certificate).read_bytes() + Path(authority.file).read_bytes())

    assert read_pair(chain, Path(key)).names == {"chat.example"}


def test_both_may_stand_in_one_file(authority: Authority, tmp_path: Path) -> None:
    certificate, key = authority.issue_to("chat.example")
    both = tmp_path / "both.pem"
    both.write_bytes(Path(key).read_bytes() + Path(certificate).read_bytes())

    assert read_pair(both, both).names == {"chat.example"}


@given(st.binary(max_size=400) | st.binary(max_size=50).map(lambda more: b"-----BEGIN CERTIFICATE-----\n" + more))
def test_any_file_is_a_pair_or_a_fault(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    file = tmp_path_factory.mktemp("any") / "file.pem"
    file.write_bytes(content)
    with pytest.raises(CertificateFault):
        read_pair(file, file)


@pytest.mark.parametrize(
    ("begins", "ends", "name", "says"),
    [
        pytest.param(-DAY, 30 * DAY, "chat.example", [], id="all is well"),
        pytest.param(-DAY, 30 * DAY, None, [], id="nobody in particular"),
        pytest.param(-3 * DAY, -DAY, "chat.example", ["expired on"], id="expired"),
        pytest.param(DAY, 30 * DAY, "chat.example", ["is valid from"], id="not yet valid"),
        pytest.param(-DAY, 13 * DAY, "chat.example", ["expires on"], id="soon"),
        pytest.param(-DAY, 30 * DAY, "other.example", ["is not made out to other.example"], id="another's"),
        pytest.param(-DAY, 30 * DAY, "a.wild.example", [], id="under its wildcard"),
        pytest.param(-DAY, 30 * DAY, "*.wild.example", [], id="the wildcard itself"),
        pytest.param(-3 * DAY, -DAY, "a.b.wild.example", ["expired on", "is not made out to"], id="both"),
    ],
)
def test_what_clients_will_object_to(
    begins: datetime.timedelta, ends: datetime.timedelta, name: str | None, says: list[str], authority: Authority
) -> None:
    found = pair(authority, "chat.example", "*.wild.example", begins=begins, ends=ends)

    remarks = list(found.remarks(datetime.datetime.now(datetime.UTC), name))

    assert len(remarks) == len(says)
    assert all(remark.startswith(said) for remark, said in zip(remarks, says, strict=True)), remarks


@pytest.fixture
def shown(authority: Authority) -> CertificateSet:
    own = {name: pair(authority, name) for name in ("chat.example", "*.chat.example")}
    return CertificateSet(default=pair(authority, "default.example"), domains={**own, "bare.example": None})


@pytest.mark.parametrize(
    ("server_name", "name"),
    [
        ("chat.example", "chat.example"),
        ("a.chat.example", "*.chat.example"),
        ("a.b.chat.example", "default.example"),
        ("bare.example", "default.example"),
        ("", "default.example"),
    ],
)
def test_who_is_shown_what(server_name: str, name: str, shown: CertificateSet) -> None:
    found = shown.pair_for(server_name)

    assert found is not None
    assert found.names == {name}


@pytest.mark.parametrize(
    ("server_name", "host", "agrees"),
    [
        ("chat.example", "chat.example", True),
        ("chat.example", "a.chat.example", False),
        ("a.chat.example", "b.chat.example", False),
        ("chat.example", "unmapped.example", False),
        ("unmapped.example", "chat.example", False),
        ("unmapped.example", "bare.example", False),
        ("unmapped.example", "other.example", True),
        ("", "chat.example", False),
        ("", "a.chat.example", False),
        ("", "bare.example", True),
        ("", "unmapped.example", True),
    ],
)
def test_which_hosts_belong_on_a_connection(server_name: str, host: str, agrees: bool, shown: CertificateSet) -> None:
    assert shown.agrees(server_name, host) is agrees


def test_a_swap_holds_for_the_next_handshake(shown: CertificateSet) -> None:
    certificates = Certificates(shown)
    certificates.current = CertificateSet(domains={"chat.example": shown.domains["chat.example"]})

    assert certificates.current.pair_for("bare.example") is None
    assert certificates.current.pair_for("chat.example") is shown.domains["chat.example"]
    assert [name for name, _ in shown.named()] == ["", "chat.example", "*.chat.example"]
