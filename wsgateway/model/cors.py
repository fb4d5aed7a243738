"""Cross-origin resource sharing of a REST API in a few words; what it stands for on AWS are methods and headers.

API Gateway developer guide, "CORS for REST APIs"; the names are those of HTTP APIs (API reference v2, Cors).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from annotated_types import Ge, Le, MaxLen, MinLen
from pydantic import Field

from wsgateway.errors import Problem
from wsgateway.model.base import Among, Definition, Matches

Origin = Annotated[
    str,
    Matches(
        r"\*|[a-z][a-z0-9+.-]*://[A-Za-z0-9.:\[\]-]+",
        "an origin is * or a scheme and a host, without a path, such as https://app.example",
    ),
]
HeaderName = Annotated[str, Matches(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", "a header's name has no blanks or separators")]
CorsMethod = Annotated[
    Literal["DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"],
    Among(("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT")),
]

HEADERS = ["Content-Type", "X-Amz-Date", "Authorization", "X-Api-Key", "X-Amz-Security-Token"]
"""What API Gateway's console allows."""


class Cors(Definition):
    """Which web pages of other origins may call an API, and how."""

    allow_origins: Annotated[list[Origin], MinLen(1), MaxLen(100)]
    """The origins of the pages, such as `https://app.example`; `*` is every one."""
    allow_methods: Annotated[list[CorsMethod], MinLen(1)] | None = None
    """The methods they may use; those that a resource has."""
    allow_headers: list[HeaderName] = Field(default_factory=lambda: list(HEADERS))
    """The headers they may send; those that API Gateway's console allows."""
    expose_headers: list[HeaderName] = Field(default_factory=list)
    """The headers of answers they may read, beside those that they always may."""
    allow_credentials: bool = False
    """Whether they may send cookies and the like; not together with `*`."""
    max_age: Annotated[int, Ge(0), Le(86_400)] | None = None
    """How long browsers may remember what they may, in seconds."""

    def check(self) -> Iterator[Problem]:
        if self.allow_credentials and "*" in self.allow_origins:
            text = "lets in no page while allowOrigins is *, for browsers refuse that; name the origins"
            yield Problem(("allowCredentials",), text)
