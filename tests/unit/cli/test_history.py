"""Lines typed before: bounded, private, and nobody's trouble."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from wsgateway.cli.history import KEPT_BYTES, KEPT_ENTRIES, LONGEST_ENTRY, FileHistory, history_path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "state" / "wsgateway" / "connect_history"


def kept(file: Path) -> list[str]:
    """Newest first."""
    return list(FileHistory(file).load_history_strings())


def test_what_was_typed_is_there_next_time(file: Path) -> None:
    history = FileHistory(file)
    for line in ("one", "two\nlines", "drei ü\ud800"):
        history.append_string(line)

    assert kept(file) == ["drei ü\ud800", "two\nlines", "one"]


def test_it_is_the_users_alone(file: Path) -> None:
    FileHistory(file).append_string("one")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700

    file.chmod(0o644)
    FileHistory(file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_line_that_begins_with_a_blank_is_not_kept(file: Path) -> None:
    FileHistory(file).append_string(" secret")
    assert kept(file) == []


def test_a_very_long_line_is_not_kept(file: Path) -> None:
    FileHistory(file).append_string("x" * (LONGEST_ENTRY + 1))
    assert kept(file) == []


@pytest.mark.parametrize(("line", "number"), [("x", 3 * KEPT_ENTRIES), ("x" * LONGEST_ENTRY, 40)])
def test_the_oldest_go(file: Path, line: str, number: int) -> None:
    history = FileHistory(file)
    for index in range(number):
        history.store_string(f"{index} {line}"[:LONGEST_ENTRY])

    found = kept(file)
    assert 10 <= len(found) <= KEPT_ENTRIES
    assert found[0].startswith(f"{number - 1} ")
    again = kept(file)
    assert again == found[: len(again)]
    assert file.stat().st_size <= KEPT_BYTES
    assert [path.name for path in file.parent.iterdir()] == [file.name]


def test_what_is_no_entry_is_passed_over(file: Path) -> None:
    file.parent.mkdir(parents=True)
    file.write_bytes(b'cut"\n"one"\n\xff\n1\n\n["x"]\n"two"')
    assert kept(file) == ["two", "one"]


def test_trouble_is_told_once_and_harms_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    history = FileHistory(tmp_path / "file" / "history")
    assert "file" in history.trouble
    history.append_string("one")
    assert history.get_strings() == ["one"]


@pytest.mark.usefixtures("homeless")
def test_without_a_home_it_is_not_kept() -> None:
    history = FileHistory()

    assert history.trouble == "no home directory is known; set HOME or XDG_STATE_HOME"
    history.append_string("one")
    assert history.get_strings() == ["one"]


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "target").write_text(json.dumps("x"))
    (tmp_path / "history").symlink_to(tmp_path / "target")
    mode = (tmp_path / "target").stat().st_mode

    assert FileHistory(tmp_path / "history").trouble
    assert (tmp_path / "target").stat().st_mode == mode


@pytest.mark.parametrize(
    ("state", "path"),
    [("/state", "/state/wsgateway/connect_history"), ("", "/home/.local/state/wsgateway/connect_history")],
)
def test_where_it_is(monkeypatch: pytest.MonkeyPatch, state: str, path: str) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", state)
    monkeypatch.setenv("HOME", "/home")
    assert str(history_path()) == path
