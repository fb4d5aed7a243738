"""The documentation site: the pages of `docs/` and the READMEs beside the code, just as a forge shows them.

`python -m sphinx -W -c docs . build/site` writes it. Sphinx with MyST reads CommonMark, makes anchors by GitHub's rule,
follows links to any file of the tree, and fails on one that leads nowhere; its theme Furo loads nothing from elsewhere.
"""

from __future__ import annotations

import re

from sphinx.application import Sphinx

from wsgateway import __version__

project = "wsgateway"
author = "the authors of wsgateway"
version = release = __version__

extensions = ["myst_parser"]
# The tree's root is the source, for pages link to examples, load tests and the README.
include_patterns = ["*.md", "docs/*.md", "examples/*/README.md", "helm/*/README.md", "loadtest/*.md"]
root_doc = "docs/index"
myst_heading_anchors = 6
# Pygments' Velocity knows less of the language than the gateway does.
suppress_warnings = ["misc.highlighting_failure"]

html_theme = "furo"
html_title = f"wsgateway {release}"
html_extra_path = ["site"]
html_copy_source = False
html_show_copyright = False


def setup(app: Sphinx) -> None:
    """Sphinx asks each configuration for this."""
    app.connect("source-read", _navigate)


def _navigate(app: Sphinx, page: str, source: list[str]) -> None:
    """Make the lists of the index the navigation of the site, too, so that they are written once."""
    if page == root_doc:
        source[0] += "".join(map(_tree, re.split(r"^## ", source[0], flags=re.MULTILINE)[1:]))


def _tree(section: str) -> str:
    title, _, text = section.partition("\n")
    pages = re.findall(r"^- \[([^\]]+)\]\(([^)#]+)\.md\)", text, re.MULTILINE)
    entries = "\n".join(f"{name} <{path}>" for name, path in pages)
    return f"\n```{{toctree}}\n:hidden:\n:caption: {title}\n\n{entries}\n```\n"
