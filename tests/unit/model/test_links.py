"""VPC links as definitions: what a target may be, and what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.model.conftest import API, ProblemsIn, problems_of, read
from wsgateway.model.links import VpcLink

SHAPE = "a target is written HOST:PORT, or HOST alone for the port of integrationUri; IPv6 in brackets"


@pytest.mark.parametrize(
    ("written", "place"),
    [
        pytest.param("10.0.3.7:8443", ("10.0.3.7", 8443), id="an address"),
        pytest.param("chat.internal:80", ("chat.internal", 80), id="a name"),
        pytest.param("chat_1:65535", ("chat_1", 65535), id="a container's name"),
        pytest.param("chat.internal", ("chat.internal", 443), id="the URI's port"),
        pytest.param("'[fd00::7]:8443'", ("fd00::7", 8443), id="IPv6"),
        pytest.param("'[fd00::7]'", ("fd00::7", 443), id="IPv6 at the URI's port"),
    ],
)
def test_where_a_target_is(written: str, place: tuple[str, int]) -> None:
    link = read(API + f"vpcLinks: {{backends: {{targets: [{written}]}}}}\n").definitions.vpc_links["backends"]

    assert link.places(443) == [place]


def test_two_spellings_of_one_place_are_one_place() -> None:
    assert VpcLink.model_validate({"targets": ["a", "a:80", "b:80"]}).places(80) == [("a", 80), ("b", 80)]


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        pytest.param("{}", "targets: is required: where the backend is: `HOST:PORT`, or `HOST` for the port of "
                     "`integrationUri`", id="no targets"),
        pytest.param("{targets: []}", "targets: needs at least 1 entry", id="an empty list"),
        pytest.param("{targets: 10.0.0.1:80}", "targets: expected a list, got the string 10.0.0.1:80", id="one alone"),
        pytest.param("{targets: [80]}", "targets.0: expected a string, got 80; write it in quotes", id="a number"),
        pytest.param("{targets: ['http://a:80']}", f"targets.0: http://a:80 is not allowed: {SHAPE}", id="a URL"),
        pytest.param("{targets: ['a:80/x']}", f"targets.0: a:80/x is not allowed: {SHAPE}", id="a path"),
        pytest.param("{targets: ['a b:80']}", f'targets.0: "a b:80" is not allowed: {SHAPE}', id="a blank"),
        pytest.param("{targets: ['fd00::7']}", f"targets.0: fd00::7 is not allowed: {SHAPE}", id="bare IPv6"),
        pytest.param("{targets: ['u@a:80']}", f"targets.0: u@a:80 is not allowed: {SHAPE}", id="a user"),
        pytest.param("{targets: ['a:0']}", "targets.0: a:0: a port is 1 to 65535", id="port 0"),
        pytest.param("{targets: ['a:65536']}", "targets.0: a:65536: a port is 1 to 65535", id="too high a port"),
        pytest.param("{targets: ['[1::2::3]:80']}",
                     "targets.0: [1::2::3]:80: what stands in brackets is no IPv6 address", id="no IPv6"),
        pytest.param("{targets: ['a:80', 'A:80']}",
                     "targets.1: A:80 stands there already; write each target once", id="the same twice"),
        pytest.param("{targets: ['a:80'], tlsConfig: {clientKey: 'file:nosuch'}}",
                     "tlsConfig.clientKey: file:nosuch can't be read: No such file or directory", id="no such file"),
        pytest.param("{targets: ['a:80'], target: x}", "target: unknown key; did you mean targets?", id="a wrong key"),
    ],
)  # fmt: skip
def test_what_is_refused(lines: str, said: str, problems_in: ProblemsIn) -> None:
    (problem,) = problems_in(API + f"vpcLinks: {{backends: {lines}}}\n")

    assert problem.startswith("routes.yaml:7: vpcLinks.backends." + said)


def test_a_links_name(problems_in: ProblemsIn) -> None:
    (problem,) = problems_in(API + "vpcLinks: {'a b': {targets: ['a:80']}}\n")

    assert problem.endswith('"a b" is not allowed: a VPC link\'s name is 1 to 64 letters, digits, - and _')


@given(st.text(max_size=20) | st.from_regex(r"\[?[a-z0-9:.]*\]?:?[0-9]*", fullmatch=True))
def test_any_target_is_a_place_or_refused(target: str) -> None:
    quoted = "'" + target.replace("'", "''") + "'"
    text = API + f"vpcLinks: {{backends: {{targets: [{quoted}]}}}}\n"
    if not problems_of(text):
        ((host, port),) = read(text).definitions.vpc_links["backends"].places(443)
        assert host
        assert not set(host) & set("/@[] \t\r\n")
        assert 0 < port < 65536
