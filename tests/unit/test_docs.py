"""What pages quote is what they quote it from."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from wsgateway.model.loader import load
from wsgateway.telemetry.catalog import BY_NAME

ROOT = Path(__file__).parents[2]
SIZING = (ROOT / "docs" / "sizing.md").read_text()
QUOTE = r"\| ([\d.,]+(?: [KM]iB)?) \| \[(\w+)\]\(\.\./loadtest/RESULTS\.md#\w+\) \| (\S+) \|"


def measured() -> dict[tuple[str, str], str]:
    """The sections of the results, by scenario and commit."""
    sections = re.split(r"^## ", (ROOT / "loadtest" / "RESULTS.md").read_text(), flags=re.MULTILINE)[1:]
    commits = {section.split()[0]: re.search(r"^- commit: (\S+)$", section, re.MULTILINE) for section in sections}
    return {(section.split()[0], found[1]): section for section in sections if (found := commits[section.split()[0]])}


@pytest.mark.parametrize(("figure", "scenario", "commit"), re.findall(QUOTE, SIZING))
def test_a_figure_is_the_one_that_was_measured(figure: str, scenario: str, commit: str) -> None:
    """A commit that the results no longer have was measured, too: the page may be renewed later than they are."""
    section = measured().get((scenario, commit))

    number, _, _ = figure.partition(" ")
    assert section is None or re.search(rf"[ |]{re.escape(number)} ", section), f"{scenario} at {commit} has others"


def test_every_figure_of_the_tables_is_looked_at() -> None:
    tables = SIZING.partition("## An example")[0]

    assert len(re.findall(QUOTE, tables)) == tables.count("RESULTS.md#") - len(
        re.findall(r"\(\[hop\]|\[neighbours\]", tables)
    )


def test_the_api_of_the_page_on_moving_is_a_definition(tmp_path: Path) -> None:
    (text,) = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs" / "moving.md").read_text(), re.DOTALL)
    (tmp_path / "routes.yaml").write_text(text)

    assert [*load(tmp_path / "routes.yaml", {}).definitions.websocket_apis] == ["a1b2c3d4e5"]


@pytest.mark.parametrize("page", ["guarantees", "sizing"])
def test_metrics_that_a_page_names_are_there(page: str) -> None:
    text = (ROOT / "docs" / f"{page}.md").read_text()
    named = re.findall(r"wsgateway_\w+", text) + [
        f"wsgateway_{each}" for each in re.findall(r"`([a-z]+_[a-z0-9_]+)`", text)
    ]

    assert [each for each in named if each.replace("wsgateway_wsgateway_", "wsgateway_") not in BY_NAME] == []
    assert named
