"""What a function needs on disk: found, or said what is missing."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from wsgateway.functions.runtimes import Code, locate
from wsgateway.model import Function

OWN = f"python3.{sys.version_info.minor}"


def found(folder: Path, *, path: str = os.environ["PATH"], **keys: object) -> Code | list[str]:
    function = Function.model_validate({"codeUri": ".", **keys})
    code = locate(function, folder, {"PATH": path})
    return code if isinstance(code, Code) else [str(problem) for problem in code]


def program(folder: Path, name: str, text: str) -> Path:
    file = folder / name
    file.write_text(f"#!/bin/sh\n{text}\n")
    file.chmod(0o755)
    return file


def test_the_gateways_own_python_runs_its_version(tmp_path: Path) -> None:
    (tmp_path / "app.py").touch()

    code = found(tmp_path, runtime=OWN, handler="app.handler")

    assert isinstance(code, Code)
    assert code.command[0] == sys.executable
    assert code.root == tmp_path


def test_another_python_is_looked_for_on_path_until_one_runs(tmp_path: Path) -> None:
    """A version manager's shim may lead nowhere."""
    (tmp_path / "app.py").touch()
    broken, working = tmp_path / "broken", tmp_path / "working"
    for folder, text in ((broken, "exit 127"), (working, "echo 3.14; echo /opt/python3.14/bin/python")):
        folder.mkdir()
        program(folder, "python3.14", text)

    code = found(tmp_path, path=f"{broken}:{working}:/bin", runtime="python3.14", handler="app.handler")

    assert isinstance(code, Code)
    assert code.command[0] == "/opt/python3.14/bin/python"


def test_a_node_of_the_very_version_comes_first(tmp_path: Path) -> None:
    (tmp_path / "index.js").touch()
    first, second = tmp_path / "first", tmp_path / "second"
    for folder, version in ((first, "v22.1.0"), (second, "v24.0.1")):
        folder.mkdir()
        program(folder, "node", f"echo {version}")
    path = f"{first}:{second}"

    exact = found(tmp_path, path=path, runtime="nodejs24.x", handler="index.handler")
    near = found(tmp_path, path=path, runtime="nodejs20.x", handler="index.handler")

    assert isinstance(exact, Code)
    assert isinstance(near, Code)
    assert (exact.command[0], exact.remark) == (str(second / "node"), "")
    assert (near.command[0], near.remark) == (
        str(first / "node"),
        "nodejs20.x runs on Node.js 22.1.0, the one on PATH",
    )


def test_every_problem_says_what_would_be_right(tmp_path: Path) -> None:
    (tmp_path / "app.py").touch()
    (tmp_path / "index.js").touch()
    (tmp_path / "file").touch()
    old = tmp_path / "old"
    old.mkdir()
    program(old, "node", "echo v16.20.0")

    assert found(tmp_path, runtime=OWN, handler="ap.handler") == [
        f"handler: ap.handler needs ap.py, which is not in {tmp_path}; did you mean app?"
    ]
    assert found(tmp_path, runtime="nodejs20.x", handler="src/main.handler") == [
        f"handler: src/main.handler needs src/main.js, which is not in {tmp_path}; there are index"
    ]
    assert found(tmp_path, runtime=OWN, handler="app.handler", codeUri="nowhere") == [
        f"codeUri: {tmp_path}/nowhere does not exist; name the folder with the code, relative to this file"
    ]
    assert found(tmp_path, runtime=OWN, handler="app.handler", codeUri="file") == [
        f"codeUri: {tmp_path}/file is no folder; name the folder with the code, relative to this file"
    ]
    assert found(tmp_path, runtime=OWN, handler="app.handler", python="file") == [
        f"python: {tmp_path}/file is no Python interpreter that runs; name one, relative to this file"
    ]
    assert found(tmp_path, runtime="python3.14", handler="app.handler", path="/nowhere") == [
        f"runtime: there is no python3.14 on PATH; install it, name another interpreter in python:, or use {OWN}"
    ]
    assert found(tmp_path, runtime="nodejs20.x", handler="index.handler", path=f"{old}:/nowhere") == [
        "runtime: there is no node on PATH, 18 or newer; install Node.js 20"
    ]
    assert found(tmp_path, runtime="nodejs20.x", handler="index.handler", nodeModules="nowhere") == [
        f"nodeModules: {tmp_path}/nowhere is no folder; name one, relative to this file"
    ]
    assert found(tmp_path, runtime="provided.al2023") == [
        f"codeUri: {tmp_path} holds no bootstrap; a provided runtime needs that executable there"
    ]
    (tmp_path / "bootstrap").touch()
    assert found(tmp_path, runtime="provided.al2023") == [
        f"codeUri: {tmp_path}/bootstrap is not executable; chmod +x it"
    ]


@pytest.mark.parametrize("name", ["index.js", "index.mjs", "index.cjs", "index/index.js"])
def test_a_node_handlers_file_has_one_of_these_names(tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    file.parent.mkdir(exist_ok=True)
    file.touch()
    program(tmp_path, "node", "echo v20.0.0")

    assert isinstance(
        found(tmp_path, path=f"{tmp_path}:/bin", runtime="nodejs20.x", handler="index.a.b"), Code
    )  # fmt: skip
