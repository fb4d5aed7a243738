"""The reference page says what the model says."""

from __future__ import annotations

from pathlib import Path

from wsgateway.model.reference import reference

PAGE = Path(__file__).parents[3] / "docs" / "definitions.md"


def test_the_page_holds_the_reference_of_this_version() -> None:
    """Mend it with `wsgateway schema --format markdown`."""
    _, _, printed = PAGE.read_text().partition("-->\n\n")

    assert printed == reference() + "\n"


def test_every_key_has_a_meaning() -> None:
    assert [line for line in reference().splitlines() if line.endswith("|  |")] == []
