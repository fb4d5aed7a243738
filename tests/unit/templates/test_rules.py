"""Who may send a message: rules that say yes in one way only."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsgateway.invocation import NOBODY
from wsgateway.templates.document import JSON
from wsgateway.templates.expression import ExpressionError
from wsgateway.templates.jmes import compile_rule

ANN = {"sub": "ann", "rooms": ["a", "b"], "level": 3, "admin": False}


@pytest.mark.parametrize(
    ("rule", "body", "yes"),
    [
        pytest.param("contains(authorizer.rooms, body.room)", b'{"room": "a"}', True, id="one of the client's rooms"),
        pytest.param("contains(authorizer.rooms, body.room)", b'{"room": "c"}', False, id="another room"),
        pytest.param("contains(authorizer.rooms, body.room)", b"{}", False, id="no room"),
        pytest.param("contains(authorizer.rooms, body.room)", b"hello", False, id="no JSON"),
        pytest.param("contains(authorizer.other, body.room)", b'{"room": "a"}', False, id="a claim that is missing"),
        pytest.param("authorizer.level >= `3`", b"", True, id="a number"),
        pytest.param("authorizer.level >= body.level", b'{"level": 4}', False, id="a number of the message"),
        pytest.param("authorizer.sub", b"", False, id="a text is no yes"),
        pytest.param("authorizer.rooms", b"", False, id="a list is no yes"),
        pytest.param("authorizer.admin || authorizer.sub == body.as", b'{"as": "ann"}', True, id="one of two"),
        pytest.param("starts_with(authorizer.level, 'a')", b"", False, id="what fails"),
    ],
)
def test_a_rule(rule: str, body: bytes, yes: bool) -> None:
    assert compile_rule(rule)(body, ANN, JSON) is yes


def test_nobody_is_let_by_a_rule_about_clients() -> None:
    assert not compile_rule("authorizer.sub == body.sub && authorizer.sub != `null`")(b"{}", NOBODY, JSON)
    assert compile_rule("length(keys(authorizer)) == `0` && body.n == `1`")(b'{"n": 1}', NOBODY, JSON)


@pytest.mark.parametrize(
    ("rule", "problem"),
    [
        pytest.param("contains(", "not a JMESPath expression", id="half of one"),
        pytest.param(
            "body.admin", "what is known of a client is under authorizer", id="what the client says of itself"
        ),
        pytest.param("contain(authorizer.rooms, body.room)", "there is no function contain()", id="a slip"),
        pytest.param("contains(authorizer.rooms)", "takes 2 argument(s)", id="an argument is missing"),
    ],
)
def test_a_rule_that_can_not_work(rule: str, problem: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        compile_rule(rule)

    assert problem in str(caught.value)


@given(st.binary(max_size=200))
def test_no_message_makes_a_rule_raise(body: bytes) -> None:
    assert compile_rule("contains(authorizer.rooms, body.room) && body.n > authorizer.level")(body, ANN, JSON) is False
