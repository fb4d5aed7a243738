"""A custom domain name: whose certificate is shown there, and which stage answers under which path.

API Gateway developer guide, "Custom domain names for WebSocket APIs" and "Use API mappings to map API stages to a
custom domain name for WebSocket APIs".
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from typing import Annotated, ClassVar

from annotated_types import MinLen

from wsgateway.errors import Problem
from wsgateway.model.base import Definition, Matches
from wsgateway.model.file import File

_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"

DomainName = Annotated[
    str,
    Matches(
        rf"(?=.{{1,253}}$)(?:\*\.)?(?:{_LABEL}\.)*(?![0-9]+$){_LABEL}",
        "a domain name is lower-case labels of letters, digits and - with dots between, such as chat.example.com or "
        "*.example.com; other letters in their xn-- form, no port, no address",
    ),
]

MappingKey = Annotated[
    str,
    # /ping and /sping of a custom domain are API Gateway's own (developer guide, "Important notes").
    Matches(
        r"(?!s?ping$)(?=.{0,300}$)(?:(?!\.\.?(?:/|$))[A-Za-z0-9$_.+!*'()-]+(?:/(?!\.\.?(?:/|$))[A-Za-z0-9$_.+!*'()-]+)*)?",
        "an API mapping key is empty or up to 300 letters, digits and $-_.+!*'() with single slashes between, not "
        "beginning or ending with one, and neither ping nor sping",
    ),
]


class ApiMapping(Definition):
    """What answers under one path of a domain."""

    api: str
    """The apiId."""
    stage: str | None = None
    """The name of a stage of that API; of a REST API may be left out: the path's next segment names it then."""


class Domain(Definition):
    """A custom domain name. Clients connect to `wss://{domain}/{mapping key}`; no stage stands in the path."""

    certificate: File | None = None
    """The certificate shown to clients that ask for this name, and its chain: `file:PATH`; else that of --tls-cert."""
    key: File | None = None
    """The certificate's private key: `file:PATH`."""
    mappings: Annotated[Mapping[MappingKey, ApiMapping], MinLen(1)]
    """The APIs by path; the key "" stands for the domain itself."""

    not_yet: ClassVar[frozenset[str]] = frozenset(
        {
            "apiMappingSelectionExpression",
            "domainNameConfigurations",
            "mutualTlsAuthentication",
            "routingMode",
            "securityPolicy",
            "tags",
        }
    )

    def check(self) -> Iterator[Problem]:
        if self.certificate is not None and self.key is None:
            yield Problem(("certificate",), "comes with its private key; add `key: file:…`")
        if self.key is not None and self.certificate is None:
            yield Problem(("key",), "comes with its certificate; add `certificate: file:…`")


def domain_of(host: str, domains: Container[str]) -> str | None:
    """The domain that answers for `host` (lower case, no port): itself, else the wildcard one label above; or None."""
    if host in domains:
        return host
    wildcard = f"*.{host.partition('.')[2]}"
    return wildcard if wildcard in domains else None
