"""Definitions to test with: a whole file, and small ones built around the part in question."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from wsgateway.errors import DefinitionError
from wsgateway.model import Loaded, parse

SAMPLE = Path(__file__).with_name("routes.yaml")

ProblemsIn = Callable[..., list[str]]

API = """\
apis:
  chat:
    protocolType: WEBSOCKET
    routeSelectionExpression: $request.body.action
    stages: {dev: {}}
    routes: {say: {}}
"""


def read(text: str, **environ: str) -> Loaded:
    return parse(text, "routes.yaml", environ, Path())


def problems_of(text: str, **environ: str) -> list[str]:
    """Each problem of `text` as an operator reads it; none for a valid one."""
    try:
        read(text, **environ)
    except DefinitionError as error:
        return [str(problem) for problem in error.problems]
    return []


def faults(text: str, **environ: str) -> list[str]:
    """The same without file and line, and without the API's path."""
    return [problem.split(": ", 1)[1].removeprefix("apis.chat.") for problem in problems_of(text, **environ)]


def api_with(lines: str) -> str:
    """A valid API that has `lines` (unindented YAML) as well; a key among them replaces the API's own."""
    keys = {line.split(":")[0] for line in lines.splitlines() if line[:1].strip()}
    kept = [line for line in API.splitlines() if line.strip().split(":")[0] not in keys]
    return "\n".join(kept + ["    " + line for line in lines.splitlines()]) + "\n"


@pytest.fixture(scope="session")
def sample() -> str:
    return SAMPLE.read_text(encoding="utf-8")


@pytest.fixture
def problems_in() -> ProblemsIn:
    """The problems of a whole file, with file and line."""
    return problems_of


@pytest.fixture
def faults_in() -> ProblemsIn:
    """The problems of a valid API that has these lines as well, without file, line and the API's path."""
    return lambda lines, **environ: faults(api_with(lines), **environ)
