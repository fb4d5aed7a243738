"""The rules that hold for the code as a whole: formatting, lint, types, and imports that point down only."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
BIN = Path(sys.executable).parent


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "command",
    [
        pytest.param(["ruff", "format", "--check", "."], id="formatted"),
        pytest.param(["ruff", "check", "."], id="linted"),
        pytest.param(["mypy"], id="typed"),
        pytest.param(["lint-imports"], id="imports point down only"),
    ],
)
def test_the_code_is(command: list[str]) -> None:
    result = subprocess.run(
        [BIN / command[0], *command[1:]], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )

    assert result.returncode == 0, result.stdout


def test_every_module_says_what_it_is() -> None:
    silent = [
        str(path.relative_to(ROOT))
        for folder in ("wsgateway", "loadtest", "examples", "tests")
        for path in (ROOT / folder).rglob("*.py")
        if not path.read_text().removeprefix("r").startswith('"""')
    ]

    assert silent == []
