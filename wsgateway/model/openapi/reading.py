"""What is not an OpenAPI document's to say: flags say it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

OURS: Final = "x-wsgateway"
"""Ours: what else a definition file says, merged over what the document does (RFC 7396)."""

BasePath = Literal["ignore", "prepend", "split"]


@dataclass(frozen=True, slots=True)
class Reading:
    """How a document is read. None: what it says itself."""

    api_id: str | None = None
    stage: str | None = None
    base_path: BasePath = "ignore"
    """What becomes of the path at which the document says the API is (API Gateway developer guide, "Set the OpenAPI
    basePath property"): `ignore` has paths be those of the document, `prepend` puts it before each of them, `split`
    what is behind its first segment."""
    lenient: bool = False
    """Whether what would be ignored is left out with a warning; else it is a problem."""


STRICT: Final = Reading()
