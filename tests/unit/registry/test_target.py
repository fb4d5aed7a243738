"""URLs of `--redis-url`: what they mean, and what is said of those that mean nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.certificates import Authority
from wsgateway.errors import SettingError
from wsgateway.redis.target import Target, Tls
from wsgateway.registry.target import target


@pytest.mark.parametrize(
    ("url", "means"),
    [
        ("redis://db", Target(addresses=(("db", 6379),))),
        ("redis://db:7000/3", Target(addresses=(("db", 7000),), db=3)),
        ("redis://db?db=4", Target(addresses=(("db", 6379),), db=4)),
        ("redis://[::1]:7000", Target(addresses=(("::1", 7000),))),
        ("redis://:pw@db", Target(addresses=(("db", 6379),), password="pw")),
        ("redis://me:p%40%2F%3A@db", Target(addresses=(("db", 6379),), username="me", password="p@/:")),
        ("redis://me@db", Target(addresses=(("db", 6379),), username="me")),
        ("rediss://db", Target(addresses=(("db", 6379),), tls=Tls())),
        ("rediss://db?ssl_check_hostname=no", Target(addresses=(("db", 6379),), tls=Tls(check_hostname=False))),
        (
            "rediss://db?ssl_cert_reqs=none",
            Target(addresses=(("db", 6379),), tls=Tls(verify=False, check_hostname=False)),
        ),
        (
            "redis+sentinel://me:pw@a,b:7,[::1]/main/2?sentinel_username=s&sentinel_password=t",
            Target(
                kind="sentinel",
                addresses=(("a", 26379), ("b", 7), ("::1", 26379)),
                service="main",
                db=2,
                username="me",
                password="pw",
                sentinel_username="s",
                sentinel_password="t",
            ),
        ),
        ("rediss+sentinel://a/main", Target(kind="sentinel", addresses=(("a", 26379),), service="main", tls=Tls())),
        ("redis+cluster://a,b:7", Target(kind="cluster", addresses=(("a", 6379), ("b", 7)))),
        ("rediss+cluster://a:1/0", Target(kind="cluster", addresses=(("a", 1),), tls=Tls())),
        ("unix:///run/redis.sock", Target(path="/run/redis.sock")),
        ("unix://me:pw@/run/r?db=1", Target(path="/run/r", db=1, username="me", password="pw")),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_a_url_means(url: str, means: Target) -> None:
    assert target(url) == means


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("", "begins with none of"),
        ("s3cret", "begins with none of"),
        ("http://u:s3cret@h", "begins with none of"),
        ("unix+sentinel:///s3cret", "begins with none of"),
        ("redis://", "host 1 is missing"),
        ("redis://:s3cret@", "host 1 is missing"),
        ("redis://user:s3cret", "the port of host 1 is not a number from 1 to 65535"),
        ("redis://h:0", "the port of host 1"),
        ("redis://h:65536", "the port of host 1"),
        ("redis://h:٣", "the port of host 1"),
        ("redis://:s3/cret@h", "has to be written as %2F"),
        ("redis://:s3?cret@h", "has to be written as %2F"),
        ("redis://:s3#cret@h", "has to be written as %2F"),
        ("redis://::1", "which is written [::1]:6379"),
        ("redis://a b", "host 1 is missing, or is no host name"),
        ("redis://a,b", "redis:// takes one host"),
        ("redis://h/s3cret", "the database (what stands behind the /) is not a number"),
        ("redis://h/1?db=2", "twice"),
        ("redis://h?db=1&db=2", "the option db is there twice"),
        ("redis://h?ssl_ca_certs=/x", "begins with redis where rediss would be TLS"),
        ("redis://h?pasword=s3cret", "the option pasword is none of db"),
        ("redis://h?s3-cret", "the option (not a name) is none of db"),
        ("redis://h?sentinel_password=s3cret", "is none of db"),
        ("redis+sentinel://a,b", "the name of the service is missing"),
        ("redis+sentinel://a,/main", "host 2 is missing"),
        ("redis+cluster://a/1", "a Cluster has one database, 0"),
        ("redis+cluster://" + ",".join(["h"] * 101), "more than 100 hosts"),
        ("unix://", "a socket is written"),
        ("unix://host/run/redis", "a socket is written"),
        ("rediss://h?ssl_cert_reqs=optional", "neither required nor none"),
        ("rediss://h?ssl_check_hostname=maybe", "neither true nor false"),
        ("rediss://h?ssl_ca_certs=/no/such", "ssl_ca_certs /no/such: No such file or directory"),
        ("rediss://h?ssl_keyfile=/no/such", "comes with ssl_certfile"),
        ("rediss://h?ssl_certfile=/no/such", "ssl_certfile /no/such: No such file or directory"),
    ],
)
def test_what_is_said_of_one_that_means_nothing(url: str, complaint: str) -> None:
    with pytest.raises(SettingError) as error:
        target(url)

    said = str(error.value)
    assert said.startswith("--redis-url can't be used: ")
    assert complaint in said
    assert "cret" not in said
    assert "\n" not in said


def test_files_of_tls_are_looked_at_once(tmp_path: Path) -> None:
    authority, other = Authority(tmp_path), Authority(tmp_path, "other")
    certificate, key = authority.issue_to("one")
    _, another = other.issue_to("two")
    url = f"rediss://h?ssl_ca_certs={authority.file}&ssl_certfile={certificate}"

    assert target(f"{url}&ssl_keyfile={key}").tls == Tls(ca_file=authority.file, cert_file=certificate, key_file=key)
    with pytest.raises(SettingError, match="not PEM, or the key is encrypted or another's"):
        target(f"{url}&ssl_keyfile={another}")
    with pytest.raises(SettingError, match=r"ssl_ca_certs .*not PEM"):
        target(f"rediss://h?ssl_ca_certs={key}")


def test_no_text_of_a_target_has_a_password() -> None:
    found = target("redis+sentinel://me:s3cret@a,[::1]/main?sentinel_password=s3cret")

    assert str(found) == "main of a:26379, [::1]:26379"
    assert "s3cret" not in repr(found)


@given(st.text() | st.text().map("redis://".__add__) | st.text("redis+sntlclu:/@[]?&=,.#%0159").map("redis".__add__))
def test_any_text_means_something_or_is_refused(url: str) -> None:
    try:
        found = target(url)
    except SettingError:
        return
    assert found.addresses or found.path
