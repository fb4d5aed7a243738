"""What an operator reads of a problem."""

from __future__ import annotations

from wsgateway.errors import Problem


def test_a_problem_is_one_line_with_its_place() -> None:
    problem = Problem(("apis", "chat", "routes", 0), "is empty", "routes.yaml", 7)

    assert str(problem) == "routes.yaml:7: apis.chat.routes.0: is empty"


def test_what_shows_the_place_is_indented_below_it() -> None:
    problem = Problem(("apis", "chat"), "this #if has no #end (line 1, column 2)\n #if(true)\n ^", "routes.yaml", 7)

    assert str(problem) == ("routes.yaml:7: apis.chat: this #if has no #end (line 1, column 2)\n     #if(true)\n     ^")
