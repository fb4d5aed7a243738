"""The command line: bounds, and what is refused."""

import re
from pathlib import Path

import pytest

from loadtest.__main__ import main, parser
from loadtest.scenarios import SCENARIOS, functions
from loadtest.scenarios.neighbours import ABUSES, DEFINITION
from wsgateway.model.loader import parse


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param([], id="no scenario"),
        pytest.param(["dance"], id="an unknown scenario"),
        pytest.param(["mock", "--pairs", "0"], id="no pairs"),
        pytest.param(["mock", "--seconds", "1e9"], id="endless"),
        pytest.param(["mock", "--size", "63"], id="a message without room for its fields"),
        pytest.param(["idle", "--connections", "100000"], id="more connections than ports"),
        pytest.param(["report"], id="a report of nothing"),
    ],
)
def test_wrong_usage(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)

    assert stopped.value.code == 2


def test_a_missing_report_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(tmp_path / "none.json")]) == 1
    assert "none.json" in capsys.readouterr().err


@pytest.mark.parametrize("name", [*SCENARIOS, "all"])
def test_every_scenario_is_a_command(name: str) -> None:
    chosen = parser().parse_args([name])

    assert (chosen.pairs, chosen.seconds, chosen.size) == (7, 5.0, 64)


def test_the_driver_knows_every_abuse() -> None:
    source = (Path(__file__).parents[3] / "loadtest/native/driver.c").read_text()

    assert all(f'"{kind}"' in source for kind in ABUSES)


def test_every_place_in_the_neighbours_definition_is_filled() -> None:
    for name in ("backend", "slow", "dead"):
        assert DEFINITION.count(f"@{name}@") == 1


def test_the_functions_definition_is_valid_once_its_places_are_filled(tmp_path: Path) -> None:
    for language in functions.LANGUAGES:
        text = functions.DEFINITION.replace("@backend@", "127.0.0.1:1").replace("@runtime@", language.runtime)

        assert not re.search("@[a-z]+@", text)
        assert "echo" in parse(text, "routes.yaml", {}, tmp_path).definitions.functions
