"""How a function's process is started: its interpreter, its command, and what must be there on disk."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from wsgateway.errors import Problem
from wsgateway.model.explain import did_you_mean, shown
from wsgateway.model.function import Function

BOOTSTRAP = Path(__file__).parent / "bootstrap"
PROBE_SECONDS = 10.0
OLDEST_NODE = 18


@dataclass(frozen=True, slots=True)
class Code:
    """A function's files and the command that runs them; the control socket's number is added for ours."""

    root: Path
    command: tuple[str, ...]
    runtime_dir: Path
    node_modules: Path | None = None
    remark: str = ""
    """What an operator should know of the interpreter."""

    @property
    def bin_dir(self) -> str:
        """Where the interpreter lies, so that its neighbours are found first."""
        return str(Path(self.command[0]).parent)


def locate(function: Function, directory: Path, outside: Mapping[str, str]) -> Code | list[Problem]:
    """Find everything a function needs, or say what is missing; paths are relative to the function.

    Interpreters that have not been seen before are run once, to learn their version.
    """
    root = Path(os.path.abspath(directory / function.code_uri))
    if not root.is_dir():
        what = "is no folder" if root.exists() else "does not exist"
        return [Problem(("codeUri",), f"{root} {what}; name the folder with the code, relative to this file")]
    match function.language:
        case "python":
            found = _python(function, root, directory, outside)
        case "node":
            found = _node(function, root, directory, outside)
        case "provided":
            found = _provided(root)
    problems = list(_missing(function, root))
    if isinstance(found, Problem):
        problems.append(found)
    if problems or isinstance(found, Problem):
        return problems
    return found


def _missing(function: Function, root: Path) -> Iterator[Problem]:
    """The handler's file, if it is not there."""
    if function.language == "provided" or function.handler is None:
        return
    module = function.handler.rpartition(".")[0]
    if function.language == "python":
        module = module.replace(".", "/")
        names = [f"{module}.py", f"{module}/__init__.py"]
    else:
        # index.a.b is function a.b of module index: the module ends at the first dot of its last part.
        folder, slash, last = function.handler.rpartition("/")
        module = folder + slash + last.split(".")[0]
        names = [f"{module}.js", f"{module}.mjs", f"{module}.cjs", f"{module}/index.js"]
    if not any((root / name).is_file() for name in names):
        suffixes = (".py",) if function.language == "python" else (".js", ".mjs", ".cjs")
        there = sorted(path.stem for path in root.iterdir() if path.suffix in suffixes)
        near = did_you_mean(module, there)
        if not near and there:
            near = f"; there are {', '.join(shown(name) for name in there[:5])}"
        yield Problem(("handler",), f"{function.handler} needs {names[0]}, which is not in {root}{near}")


def _python(function: Function, root: Path, directory: Path, outside: Mapping[str, str]) -> Code | Problem:
    wanted = function.runtime.removeprefix("python")
    if function.python is not None:
        # Not resolved: what a virtual environment's python is linked to is not that environment's.
        path = os.path.abspath(directory / os.path.expanduser(function.python))
        if _python_version(path) is None:
            return Problem(("python",), f"{path} is no Python interpreter that runs; name one, relative to this file")
        return _python_code(path, root)
    if wanted == f"{sys.version_info.major}.{sys.version_info.minor}":
        return _python_code(sys.executable, root)
    for candidate in _on_path(f"python{wanted}", outside):
        found = _python_version(candidate)
        if found is not None and found[0] == wanted:
            return _python_code(found[1], root)
    own = f"{sys.version_info.major}.{sys.version_info.minor}"
    text = f"there is no python{wanted} on PATH; install it, name another interpreter in python:, or use python{own}"
    return Problem(("runtime",), text)


def _python_code(interpreter: str, root: Path) -> Code:
    folder = BOOTSTRAP / "python"
    # -B: a .pyc is compared by whole seconds of the source's time, so one would hide a quick second change.
    return Code(root, (interpreter, "-B", str(folder / "bootstrap.py")), folder)


def _node(function: Function, root: Path, directory: Path, outside: Mapping[str, str]) -> Code | Problem:
    modules = None
    if function.node_modules is not None:
        modules = Path(os.path.abspath(directory / function.node_modules))
        if not modules.is_dir():
            return Problem(("nodeModules",), f"{modules} is no folder; name one, relative to this file")
    wanted = function.runtime.removeprefix("nodejs").removesuffix(".x")
    seen: list[tuple[str, str]] = []
    for candidate in _on_path("node", outside):
        version = _node_version(candidate)
        if version is not None:
            seen.append((candidate, version))
    exact = [entry for entry in seen if entry[1].split(".")[0] == wanted]
    able = exact or [entry for entry in seen if int(entry[1].split(".")[0]) >= OLDEST_NODE]
    if not able:
        return Problem(("runtime",), f"there is no node on PATH, {OLDEST_NODE} or newer; install Node.js {wanted}")
    path, version = able[0]
    remark = "" if exact else f"{function.runtime} runs on Node.js {version}, the one on PATH"
    # Without a bound V8 collects late and would be ended for memory that is not in use.
    heap = max(64, function.memory_size * 3 // 4)
    folder = BOOTSTRAP / "node"
    command = (path, f"--max-old-space-size={heap}", str(folder / "bootstrap.cjs"))
    return Code(root, command, folder, modules, remark)


def _provided(root: Path) -> Code | Problem:
    bootstrap = root / "bootstrap"
    if not bootstrap.is_file():
        return Problem(("codeUri",), f"{root} holds no bootstrap; a provided runtime needs that executable there")
    if not os.access(bootstrap, os.X_OK):
        return Problem(("codeUri",), f"{bootstrap} is not executable; chmod +x it")
    return Code(root, (str(bootstrap),), root)


def _on_path(name: str, outside: Mapping[str, str]) -> Iterator[str]:
    """Every file called `name` on PATH that may be run; shims that lead nowhere may be among them."""
    for folder in outside.get("PATH", os.defpath).split(os.pathsep):
        found = shutil.which(name, path=folder) if folder else None
        if found is not None:
            yield found


def _python_version(path: str) -> tuple[str, str] | None:
    """`("3.12", its own path)` of an interpreter, None if it does not run."""
    program = "import sys; print('%d.%d' % sys.version_info[:2]); print(sys.executable)"
    lines = _said(path, "-I", "-S", "-c", program).splitlines()
    return (lines[0], lines[1]) if len(lines) == 2 else None


def _node_version(path: str) -> str | None:
    """`20.11.0` of a Node.js, None if it does not run."""
    text = _said(path, "--version").strip()
    return text[1:] if text.startswith("v") and text[1:].split(".")[0].isdigit() else None


def _said(*command: str) -> str:
    try:
        return _run(command)
    except (OSError, ValueError, subprocess.SubprocessError):
        return ""  # not remembered: it may be installed by the next reload


@lru_cache(maxsize=64)
def _run(command: tuple[str, ...]) -> str:
    return subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PROBE_SECONDS, check=True
    ).stdout
