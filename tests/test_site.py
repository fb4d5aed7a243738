"""The documentation site builds, every link within it leads somewhere, and it loads nothing from elsewhere."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

pytestmark = pytest.mark.timeout(240)


def built(source: Path, site: Path) -> subprocess.CompletedProcess[str]:
    """As CONTRIBUTING.md has it; warnings are errors, and all of them are told."""
    return subprocess.run(
        [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-c", "docs", ".", str(site)],
        cwd=source,
        capture_output=True,
        text=True,
    )


def test_the_site_builds_and_its_links_lead_somewhere(tmp_path: Path) -> None:
    result = built(ROOT, tmp_path)

    assert result.returncode == 0, result.stderr
    start = (tmp_path / "index.html").read_text()
    (home,) = re.findall(r'href="(.+?)"', start)
    assert (tmp_path / home).is_file()
    pages = {page.relative_to(tmp_path).as_posix(): page.read_text() for page in tmp_path.rglob("*.html")}
    assert {"README.html", "CHANGELOG.html", "docs/definitions.html", "loadtest/RESULTS.html"} <= pages.keys()
    loaded = [tag for text in pages.values() for tag in re.findall(r"<(?:script|link|img|iframe)\b[^>]*>", text)]
    assert [tag for tag in loaded if re.search(r"""(?:src|href)=["']?(?:\w+:)?//""", tag)] == []


def test_links_that_lead_nowhere_are_told(tmp_path: Path) -> None:
    docs = tmp_path / "docs"
    shutil.copytree(ROOT / "docs" / "site", docs / "site")
    shutil.copy(ROOT / "docs" / "conf.py", docs)
    (docs / "index.md").write_text(
        "# Index\n\n## Pages\n\n- [README](../README.md): a page\n- [One](one.md): another\n"
    )
    (docs / "one.md").write_text(
        "# One\n\n[a](no-page.md)\n[a](../README.md#no-anchor)\n[a](../no-file.py)\n[a](#none-here)\n"
    )
    (docs / "two.md").write_text("# Two, which the index does not name\n")
    (tmp_path / "README.md").write_text("# README\n\n[back](docs/one.md#no-heading)\n[home](docs/index.md#pages)\n")

    result = built(tmp_path, tmp_path / "build")

    assert result.returncode == 1
    wrong = ["no-page.md", "no-anchor", "no-file.py", "none-here", "no-heading", "two.md"]
    assert result.stderr.count("WARNING") == len(wrong), result.stderr
    assert all(each in result.stderr for each in wrong), result.stderr
