"""The page of the command line says what the verbs say."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from wsgateway.cli import app
from wsgateway.cli.reference import reference

PAGE = Path(__file__).parents[3] / "docs" / "cli.md"


def test_the_page_is_that_of_this_version() -> None:
    """Mend it with `python -m wsgateway.cli.reference > docs/cli.md`."""
    assert PAGE.read_text() == reference()


def verbs(command: Any, path: str = "wsgateway") -> Iterator[tuple[str, Any]]:
    """Each verb as typer itself understands it."""
    yield path, command
    for name, inner in getattr(command, "commands", {}).items():
        yield from verbs(inner, f"{path} {name}")


def test_the_page_has_every_flag_and_variable_that_typer_knows() -> None:
    sections = dict(re.findall(r"^#+ (wsgateway .+)\n((?:(?!#).*\n)*)", reference(), re.MULTILINE))
    found = {path: command for path, command in verbs(typer.main.get_command(app)) if path != "wsgateway"}

    assert sections.keys() == found.keys()
    for path, command in found.items():
        flags = {each: flag for flag in command.params for each in (*flag.opts, *flag.secondary_opts) if each[0] == "-"}
        cells = "\n".join(re.findall(r"^\| (`.*?) \| ", sections[path], re.MULTILINE))
        told = re.findall(r"`(--?[A-Za-z-]+)", cells)
        assert set(told) == flags.keys() - {"--help"}, path
        for flag in flags.values():
            names = [flag.envvar] if isinstance(flag.envvar, str) else flag.envvar or ()
            assert all(f"`{name}`" in sections[path] for name in names), path


def test_every_flag_has_a_meaning() -> None:
    assert [line for line in reference().splitlines() if line.startswith("| `") and line.endswith("|  |")] == []
