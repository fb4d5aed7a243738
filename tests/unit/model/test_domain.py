"""Custom domains as definitions: what is refused, and where."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.model.conftest import API, ProblemsIn, read
from wsgateway.model import domain_of

NO_FILE = "k.pem is not allowed: write file: and the path of a file, such as file:certs/ca.pem"
DOMAIN = "  {}: {{mappings: {{{}: {{api: chat, stage: dev}}}}}}\n"


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a certificate and its key; nobody looks into them here."""
    for name in ("c.pem", "k.pem"):
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.usefixtures("files")
def test_a_whole_one() -> None:
    text = (
        API
        + "domains:\n  chat.example: {certificate: 'file:c.pem', key: 'file:k.pem',"
        + " mappings: {'': {api: chat, stage: dev}}}\n"
    )

    (name, domain), *_ = read(text).definitions.domains.items()

    assert domain.certificate is not None
    assert domain.key is not None
    assert (name, domain.certificate.path, domain.key.path) == ("chat.example", Path("c.pem"), Path("k.pem"))
    assert (domain.mappings[""].api, domain.mappings[""].stage) == ("chat", "dev")


@pytest.mark.parametrize(
    "name",
    ["chat.example", "a-b.c1.example", "xn--bcher-kva.example", "localhost", "'*.chat.example'", "1.example"],
)
def test_a_name_may_be(name: str, problems_in: ProblemsIn) -> None:
    assert problems_in(API + "domains:\n" + DOMAIN.format(name, "v2")) == []


@pytest.mark.parametrize(
    "name",
    [
        "Chat.example", "chat.example.", ".example", "a..example", "-a.example", "a-.example", "a_b.example", "'*'",
        "'*.*.example'", "a.*.example", "chat.example:443", "127.0.0.1", "'[::1]'", "bücher.example", "a" * 64, "''",
        ".".join(["a" * 60] * 5),
    ],
)  # fmt: skip
def test_a_name_may_not_be(name: str, problems_in: ProblemsIn) -> None:
    (problem,) = problems_in(API + "domains:\n" + DOMAIN.format(name, "v2"))

    assert problem.startswith("routes.yaml:8: domains.")
    assert "a domain name is lower-case labels" in problem


@pytest.mark.parametrize("key", ["''", "v2", "a/b/c", "a.b", "$-_.+!*'()", "Pinged", "a/ping", "x" * 300])
def test_a_mapping_key_may_be(key: str, problems_in: ProblemsIn) -> None:
    written = key if key == "''" else f'"{key}"'
    assert problems_in(API + "domains:\n" + DOMAIN.format("chat.example", written)) == []


@pytest.mark.parametrize(
    "key", ["/a", "a/", "a//b", "a b", "@connections", "%41", "ping", "sping", "..", "a/./b", "x" * 301]
)
def test_a_mapping_key_may_not_be(key: str, problems_in: ProblemsIn) -> None:
    """ "ping" and "sping" are API Gateway's own (developer guide, "Important notes")."""
    (problem,) = problems_in(API + "domains:\n" + DOMAIN.format("chat.example", f'"{key}"'))

    assert "an API mapping key is empty or up to 300" in problem


@pytest.mark.usefixtures("files")
def test_all_problems_at_once(problems_in: ProblemsIn) -> None:
    text = (
        API
        + """\
domains:
  one.example: {mappings: {a: {api: chta, stage: dev}, b: {api: chat, stage: prod}, c: {api: chat}}}
  two.example: {certificate: file:c.pem, mappings: {}}
  three.example:
    key: k.pem
    securityPolicy: TLS_1_2
    mappings: {a: {api: chat, stage: dev}, a: {api: chat, stage: dev}}
"""
    )
    assert [problem.removeprefix("routes.yaml:") for problem in problems_in(text)] == [
        "8: domains.one.example.mappings.a.api: no API is named chta; did you mean chat?",
        "8: domains.one.example.mappings.b.stage: API chat has no stage prod; there are dev",
        "8: domains.one.example.mappings.c.stage: is required: the name of a stage of that API",
        "9: domains.two.example.mappings: needs at least 1 entry",
        f"11: domains.three.example.key: {NO_FILE}",
        "12: domains.three.example.securityPolicy: not supported yet",
        "13: domains.three.example.mappings.a: stands here and on line 13; a key may stand once",
    ]


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize(("has", "lacks"), [("certificate", "key"), ("key", "certificate")])
def test_a_certificate_comes_with_its_key(has: str, lacks: str, problems_in: ProblemsIn) -> None:
    text = API + f"domains:\n  a.example: {{{has}: 'file:c.pem', mappings: {{v2: {{api: chat, stage: dev}}}}}}\n"

    (problem,) = problems_in(text)

    assert problem.startswith(f"routes.yaml:8: domains.a.example.{has}: comes with its")
    assert f"add `{lacks}: file:" in problem


@given(st.text(), st.frozensets(st.text()))
def test_a_host_is_one_of_the_domains_or_none(host: str, domains: frozenset[str]) -> None:
    found = domain_of(host, domains)
    assert found is None or found in domains


def test_the_more_specific_domain_wins() -> None:
    names = {"a.example", "*.example", "*.a.example"}
    hosts = ("a.example", "b.example", "b.a.example", "c.b.a.example", "example")

    assert [domain_of(host, names) for host in hosts] == ["a.example", "*.example", "*.a.example", None, None]
