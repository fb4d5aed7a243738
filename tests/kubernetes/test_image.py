"""The image without Docker: its Dockerfile is linted, its install steps are run as they stand there, and what they
install is started as the image would start it."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.chart import ROOT, container, render
from tests.harness import PATIENCE, started

BIN = Path(sys.executable).parent
DOCKERFILE = ROOT / "Dockerfile"
NOBODY = 65532
DEFINITION = """
apis:
  hello:
    protocolType: WEBSOCKET
    routeSelectionExpression: $request.body.action
    stages: {dev: {}}
    integrations: {pong: {integrationType: MOCK, requestTemplates: {$default: '{"statusCode":200}'}}}
    routes: {$default: {integration: pong}}
"""


@dataclass
class Stage:
    """A stage of the Dockerfile: its instructions in order."""

    steps: list[tuple[str, str]] = field(default_factory=list)

    def all(self, instruction: str) -> list[str]:
        return [text for name, text in self.steps if name == instruction]

    def one(self, instruction: str) -> str:
        (text,) = self.all(instruction)
        return text

    def pairs(self, instruction: str) -> dict[str, str]:
        """What ENV, ARG or LABEL set."""
        words = [word for text in self.all(instruction) for word in shlex.split(text)]
        return dict(word.split("=", 1) for word in words)


def stages() -> list[Stage]:
    """The stages; comments are left out, lines that go on are one."""
    lines = [line for line in DOCKERFILE.read_text().splitlines() if not line.lstrip().startswith("#")]
    found: list[Stage] = []
    for line in filter(None, "\n".join(lines).replace("\\\n", " ").splitlines()):
        name, _, text = line.partition(" ")
        if name == "FROM":
            found.append(Stage())
        if found:
            found[-1].steps.append((name, text.strip()))
    return found


def test_the_linter_has_nothing_to_say() -> None:
    result = subprocess.run([BIN / "hadolint", DOCKERFILE], capture_output=True, text=True)

    assert (result.returncode, result.stdout + result.stderr) == (0, "")


def test_what_runs_is_small_and_nobody() -> None:
    build, run = stages()

    assert build.one("FROM").removesuffix(" AS build") == run.one("FROM")
    assert "slim" in DOCKERFILE.read_text().split("ARG PYTHON=")[1].splitlines()[0]
    assert run.all("RUN") == []  # nothing but the environment is added
    assert run.all("COPY") == ["--from=build /opt/wsgateway /opt/wsgateway"]
    assert "--only-binary :all:" in build.one("RUN")
    assert "apt" not in build.one("RUN")
    assert run.one("USER") == f"{NOBODY}:{NOBODY}"
    assert run.one("STOPSIGNAL") == "SIGTERM"
    for form in ("ENTRYPOINT", "CMD"):
        assert isinstance(json.loads(run.one(form)), list)
    assert container(render({}))["args"] == json.loads(run.one("CMD"))
    labels = run.pairs("LABEL")
    assert {name.removeprefix("org.opencontainers.image.") for name in labels} >= {"title", "licenses", "version"}


def test_the_context_holds_what_is_copied() -> None:
    rules = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and line[0] != "#"]
    copied = {source for text in stages()[0].all("COPY") for source in text.split()[:-1]}

    assert rules[0] == "*"
    assert {rule[1:] for rule in rules if rule[0] == "!"} == copied
    assert all((ROOT / source).exists() for source in copied)


@pytest.mark.parametrize(("extras", "asked"), [("docs,otlp", "[docs,otlp]"), ("", "")])
def test_extras_may_be_left_out(extras: str, asked: str, tmp_path: Path) -> None:
    """pip takes `x.whl[]` for the name of a file."""
    wheel = tmp_path / "wheels" / "wsgateway-1-py3-none-any.whl"
    wheel.parent.mkdir()
    wheel.touch()
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\nfor last; do :; done\necho "$last"\n')
    python.chmod(0o755)
    command = re.sub(r"^(--mount=\S+\s+)+", "", stages()[0].one("RUN")).replace("/wheels", str(wheel.parent))

    told = subprocess.run(
        ["sh", "-c", command],
        env={"PATH": f"{tmp_path}:{os.environ['PATH']}", "EXTRAS": extras},
        capture_output=True,
        text=True,
        check=True,
    )

    assert told.stdout.splitlines()[-1] == f"{wheel}{asked}"


@pytest.fixture(scope="module")
def root() -> Iterator[Path]:
    """A folder that others may enter, which `/opt` and all that the Dockerfile makes is in."""
    folder = Path(tempfile.mkdtemp(prefix="image-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def installed(root: Path) -> Path:
    """`/opt/wsgateway`, installed by the commands of the build stage."""
    build, _ = stages()
    source = root / build.one("WORKDIR").lstrip("/")
    for text in build.all("COPY"):
        *names, target = text.split()
        for name in names:
            _copy(ROOT / name, source / (name if target == "./" else target))
    command = re.sub(r"^(--mount=\S+\s+)+", "", build.one("RUN"))
    for folder in ("/opt/wsgateway", "/wheels"):
        command = command.replace(folder, f"{root}{folder}")
    environment = {"PATH": f"{BIN}:{os.environ['PATH']}", "HOME": os.environ.get("HOME", "/root")}
    environment |= {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "SSL_", "HTTP"))}
    environment |= build.pairs("ENV") | build.pairs("ARG") | {"PIP_NO_COMPILE": "1"}  # half the time
    result = subprocess.run(["sh", "-c", command], cwd=source, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return root / "opt" / "wsgateway"


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copy(source, target)


@pytest.mark.timeout(400)
def test_every_version_is_the_locked_one(installed: Path) -> None:
    locked = {_normal(line) for line in (ROOT / "requirements.lock").read_text().split()}
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "--python", installed, "freeze", "--all", "--disable-pip-version-check"],
        capture_output=True,
        text=True,
        check=True,
    )
    found = {_normal(line.partition(" @ ")[0]) for line in listed.stdout.splitlines()}

    assert "wsgateway==" in found  # from a file
    assert found - {"wsgateway=="} <= locked
    assert {line.partition("==")[0] for line in found}.isdisjoint({"pip", "setuptools", "pytest", "hatchling"})


def _normal(line: str) -> str:
    """PEP 503, "Normalized Names"."""
    name, _, version = line.partition("==")
    return f"{re.sub(r'[-_.]+', '-', name).lower()}=={version}"


@pytest.mark.anyio
@pytest.mark.timeout(400)
async def test_it_serves_as_nobody_and_ends_in_order(installed: Path, root: Path) -> None:
    run = stages()[1]
    _write(root / "routes.yaml", DEFINITION)
    image = {name: value.replace("/opt/wsgateway", str(installed)) for name, value in run.pairs("ENV").items()}
    image["PATH"] = image["PATH"].replace("$PATH", os.environ["PATH"])
    assert image["WSGATEWAY_FILE"] == f"{run.one('WORKDIR')}/routes.yaml"
    image |= {"WSGATEWAY_FILE": str(root / "routes.yaml"), "WSGATEWAY_PORT": "0", "WSGATEWAY_INTERNAL_PORT": "0"}
    command = [*json.loads(run.one("ENTRYPOINT")), *json.loads(run.one("CMD"))]

    async with started(*_as_nobody(), str(installed / "bin" / command[0]), *command[1:], env=image) as gateway:
        assert gateway.internal.startswith("http://127.0.0.1:")
        image["WSGATEWAY_INTERNAL_PORT"] = str(gateway.internal_port)
        assert await _healthy(run, installed, image) == 0

        gateway.process.send_signal(signal.Signals[run.one("STOPSIGNAL")])
        assert await gateway.wait() == 0
    assert await _healthy(run, installed, image) != 0
    assert _owned(installed) == []  # it runs where it can write nothing


def _owned(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.lstat().st_uid == NOBODY]


async def _healthy(run: Stage, installed: Path, environment: Mapping[str, str]) -> int | None:
    """The exit code of the HEALTHCHECK."""
    command = json.loads(run.one("HEALTHCHECK").partition(" CMD ")[2])
    assert command[0] == "python"
    process = await asyncio.create_subprocess_exec(
        *_as_nobody(),
        str(installed / "bin" / "python"),
        *command[1:],
        env=environment,
        stderr=asyncio.subprocess.DEVNULL,
    )
    async with asyncio.timeout(PATIENCE):
        return await process.wait()


def _as_nobody() -> list[str]:
    """Only root may become somebody else."""
    return ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"] if os.geteuid() == 0 else []


def _write(file: Path, text: str) -> None:
    file.write_text(text)
    file.chmod(0o644)
