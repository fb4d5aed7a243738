"""Packages from npm: what is said when they can't be had."""

import json
from pathlib import Path

import pytest

from loadtest.errors import LoadTestError
from loadtest.npm import installed
from loadtest.scenarios.functions import SOURCES


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "wsgateway-loadtest"


def executable(folder: Path, name: str, script: str) -> None:
    folder.mkdir(exist_ok=True)
    file = folder / name
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)


@pytest.mark.parametrize(("there", "missing"), [((), "node"), (("node",), "npm")])
def test_what_is_missing_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: tuple[str, ...], missing: str
) -> None:
    (tmp_path / "bin").mkdir()
    for name in there:
        executable(tmp_path / "bin", name, "")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))

    with pytest.raises(LoadTestError, match=f"no {missing} on PATH.*apt install nodejs npm"):
        installed(SOURCES)


def test_a_failed_install_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    executable(tmp_path / "bin", "node", "")
    executable(tmp_path / "bin", "npm", "echo no such host >&2; exit 1")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")

    with pytest.raises(LoadTestError, match=r"does npm reach a registry.*\nno such host"):
        installed(SOURCES)

    assert list(cache.iterdir()) == []


def test_what_is_installed_is_installed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    executable(tmp_path / "bin", "node", "")
    executable(tmp_path / "bin", "npm", f"echo once >> {tmp_path}/calls; mkdir node_modules")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")

    first, second = installed(SOURCES), installed(SOURCES)

    assert first == second
    assert first.is_dir()
    assert (tmp_path / "calls").read_text() == "once\n"


def test_the_lock_file_is_of_these_packages() -> None:
    wanted = json.loads((SOURCES / "package.json").read_text())["dependencies"]
    locked = json.loads((SOURCES / "package-lock.json").read_text())["packages"]

    assert locked[""]["dependencies"] == wanted
    assert {name: locked[f"node_modules/{name}"]["version"] for name in wanted} == wanted
    assert all("integrity" in package for name, package in locked.items() if name and not package.get("link"))
