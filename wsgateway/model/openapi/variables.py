"""What tells an OpenAPI document from other definitions, and the variables that stand in one."""

from __future__ import annotations

import re
from dataclasses import dataclass

from wsgateway.model.base import Path
from wsgateway.model.expansion import Expansion
from wsgateway.model.explain import shown
from wsgateway.model.nodes import Document, Scalar, stop
from wsgateway.model.openapi.reading import OURS

VARIABLE = re.compile(r"\$\{AWS::(AccountId|Partition|Region)\}")
"""API Gateway developer guide, "AWS variables for OpenAPI import"."""
REGION = ("WSGATEWAY_REGION", "AWS_REGION", "AWS_DEFAULT_REGION")


def version_of(document: Document) -> int | None:
    """2 or 3 for an OpenAPI document, None for what is none.

    Raises DefinitionError for versions that are not read: AWS takes no 3.1 either (API Gateway developer guide,
    "Develop REST APIs using OpenAPI").
    """
    keys = document.root.value if document.root is not None else None
    if not isinstance(keys, dict):
        return None
    for name, version, pattern, example in (
        ("swagger", 2, r"2\.0", "swagger: '2.0'"),
        ("openapi", 3, r"3\.0(\.[0-9]+)?", "openapi: 3.0.3"),
    ):
        if name in keys:
            line, node = keys[name]
            text = node.value.text if isinstance(node.value, Scalar) else ""
            if re.fullmatch(pattern, text) is None:
                raise stop(f"{name}: {shown(text)} is not read here, nor by AWS; write {example}", line)
            return version
    return None


@dataclass(slots=True)
class DocumentExpansion(Expansion):
    """As AWS reads a document: `${…}` is left as written, but for AWS's own variables.

    Those of the environment are put in below `x-wsgateway`, unless they are `kept` there, too.
    """

    kept: bool = False

    def expanded(self, text: str, path: Path) -> str:
        """`text`, which stands at `path`, with variables put in."""
        if path[:1] == (OURS,):
            return text if self.kept else Expansion.expanded(self, text, path)
        return VARIABLE.sub(lambda found: self._value(found[1], path), text) if "${AWS::" in text else text

    def _value(self, name: str, path: Path) -> str:
        if name == "AccountId":
            return self._known("WSGATEWAY_ACCOUNT_ID", self.environ.get("WSGATEWAY_ACCOUNT_ID", "000000000000"))
        variable = next((each for each in REGION if self.environ.get(each)), None)
        if variable is None:
            self.problem(path, f"${{AWS::{name}}}: no region is known; set AWS_REGION")
            return ""
        region = self._known(variable, self.environ[variable])
        return region if name == "Region" else partition_of(region)

    def _known(self, variable: str, value: str) -> str:
        self.used[variable] = value
        return value


def partition_of(region: str) -> str:
    """Of a region (AWS General Reference, "Amazon Resource Names")."""
    kinds = {"cn": "aws-cn", "us-gov": "aws-us-gov"}
    return next((name for start, name in kinds.items() if region.startswith(f"{start}-")), "aws")
