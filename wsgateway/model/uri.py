"""Rules for the URI of an HTTP backend."""

from __future__ import annotations

import re
from collections.abc import Mapping
from ipaddress import AddressValueError, IPv6Address
from urllib.parse import urlsplit

VARIABLE = re.compile(r"\$\{stageVariables\.[A-Za-z0-9_]{1,64}\}")
"""Where a stage variable's value is put in."""

_SCHEME = re.compile(r"https?://")
# RFC 3986 §2, and { } for AWS's path placeholders.
_ALLOWED = re.compile(r"[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=%{}]+")
_AUTHORITY = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::(?P<port>[0-9]{1,5}))?")


def uri_fault(uri: str) -> str | None:
    """Why `uri` can't be called, in words; None when it can.

    A stage variable may stand anywhere behind the scheme. While one stands in host or port these can't be judged: ask
    again once its value is in.
    """
    if not _ALLOWED.fullmatch(uri):
        return "a URI holds no spaces, control characters or letters beyond ASCII; percent-encode them"
    plain = VARIABLE.sub("v", uri)
    if "${" in plain:
        return "only ${stageVariables.NAME} may stand for a value here"
    if not _SCHEME.match(plain):
        return "must begin with http:// or https://"
    if "#" in plain:
        return "must not hold a fragment (#…)"
    authority = re.split(r"[/?]", plain.split("://", 1)[1], maxsplit=1)[0]
    if "@" in authority:
        return "must not hold a user name or password before the host; send them in a header"
    if VARIABLE.search(re.split(r"[/?]", uri.split("://", 1)[1], maxsplit=1)[0]):
        return None if re.fullmatch(r"[A-Za-z0-9._:\[\]-]+", authority) else "must name a host behind ://"
    return _authority_fault(authority)


def _authority_fault(authority: str) -> str | None:
    found = _AUTHORITY.fullmatch(authority)
    if found is None:
        return "must name a host, and a port as a number if any, behind ://"
    host, port = found["host"], found["port"]
    if host.startswith("["):
        try:
            IPv6Address(host[1:-1])
        except AddressValueError:
            return f"{host} is no IPv6 address"
    elif len(host) > 253 or not all(0 < len(label) <= 63 for label in host.removesuffix(".").split(".")):
        return "a host is at most 253 characters, each part between dots 1 to 63"
    # CreateIntegration, integrationUri: the ports API Gateway calls.
    if port is not None and not (int(port) in (80, 443) or 1024 <= int(port) <= 65535):
        return f"port {port} is not allowed; 80, 443 and 1024 to 65535 are"
    return None


def bare_url_fault(url: str) -> str | None:
    """Why `url` is not scheme, host, port and path alone, in words; None where it is."""
    try:
        parts = urlsplit(url)
        if parts.username is None and not parts.query and not parts.fragment and parts.hostname and parts.port != 0:
            return None
    except ValueError:  # what is wrong is not repeated: without its @ it could be a password
        return "is no URL that can be called: the port is a number up to 65535, and an IPv6 address stands in brackets"
    return "is scheme, host and path alone, without a user name, a query or a fragment"


def hidden(uri: str) -> str:
    """`uri` to be told: without user and password, which don't belong there, and what may be a key behind `?`."""
    return re.sub(r"\?.+", "?…", re.sub(r"://[^/]*@", "://…@", uri), flags=re.DOTALL)


def variables(uri: str) -> list[str]:
    """The names of the stage variables `uri` holds."""
    return [found[len("${stageVariables.") : -1] for found in VARIABLE.findall(uri)]


def expand(uri: str, stage_variables: Mapping[str, str]) -> str:
    """`uri` with the values of its stage variables; a variable that isn't there is empty."""
    return VARIABLE.sub(lambda found: stage_variables.get(found[0][len("${stageVariables.") : -1], ""), uri)
