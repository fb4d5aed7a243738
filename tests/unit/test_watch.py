"""What counts as a change of a function's code."""

from __future__ import annotations

from pathlib import Path

from wsgateway.watch import is_output


def test_what_the_gateway_writes_beside_the_code_is_no_code(tmp_path: Path) -> None:
    log, rows, code = tmp_path / "log", tmp_path / "rows", tmp_path / "app.py"
    rows.touch()
    code.touch()
    with log.open("w") as written:
        outputs = (written.fileno(), str(rows), "-")
        assert is_output(str(log), outputs)
        assert is_output(str(rows), outputs)
        assert not is_output(str(code), outputs)
        assert not is_output(str(tmp_path / "removed"), outputs)
