"""Writes the table of the chart's values into its README: `python helm/values.py`, or with `--check` only looks."""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

CHART = Path(__file__).parent / "wsgateway"
BEGIN, END = "<!-- values -->\n", "<!-- end of values -->\n"
LONGEST = 60


def documented(text: str) -> Iterator[tuple[str, str]]:
    """`(path, what it is)` of each value; a comment that begins with `# --` is about the key below it.

    *Raises* ValueError for a value without one.
    """
    keys: list[tuple[int, str]] = []
    comment, covered = None, -1
    lines = text.splitlines()
    for number, line in enumerate(lines):
        indent = len(line) - len(line.lstrip())
        if match := re.fullmatch(r"\s*# -- (.+)", line):
            comment = match[1]
        if not (match := re.match(r"\s*([A-Za-z]\w*):", line)) or (0 <= covered < indent):
            continue
        covered = -1
        keys = [key for key in keys if key[0] < indent] + [(indent, match[1])]
        path = ".".join(name for _, name in keys)
        if comment is not None:
            yield path, comment
            comment, covered = None, indent
        elif not line.rstrip().endswith(":") or not re.match(rf"\s{{{indent + 2}}}", (lines[number + 1 :] or [""])[0]):
            raise ValueError(f"values.yaml:{number + 1}: {path} has no comment that begins with `# --`")


def default(values: Any, path: str) -> str:
    """A value as the table shows it."""
    for name in path.split("."):
        values = values[name]
    text = json.dumps(values, ensure_ascii=False)
    return f"`{text}`" if len(text) <= LONGEST else "see values.yaml"


def table() -> str:
    """All values, a row each."""
    text = (CHART / "values.yaml").read_text()
    values = yaml.safe_load(text)
    rows = [
        f"| `{path}` | {default(values, path)} | {what.replace('|', '&#124;')} |" for path, what in documented(text)
    ]
    return "\n".join(["| value | default | |", "| --- | --- | --- |", *rows]) + "\n"


def main() -> None:
    """Write, or say what is not as it would be written."""
    readme = CHART / "README.md"
    text = readme.read_text()
    before, _, rest = text.partition(BEGIN)
    written = before + BEGIN + table() + END + rest.partition(END)[2]
    if "--check" not in sys.argv:
        readme.write_text(written)
    elif written != text:
        sys.exit("helm/wsgateway/README.md is not what values.yaml says: run python helm/values.py")


if __name__ == "__main__":
    main()
