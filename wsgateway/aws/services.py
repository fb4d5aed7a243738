"""What botocore's models say of the services that can be called: how each is spoken to, and what it can do.

A service is known by its endpoint prefix, as in the URIs of integrations: `states` is Step Functions, `email` SES.
"""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

HEAD_BYTES = 2048
"""Metadata stand at the beginning of a model."""

ALIASES = {"data.iot": "data-ats.iot", "iotdata": "data-ats.iot"}
"""Names that URIs of integrations use, and endpoints don't."""

Protocol = Literal["json", "query", "rest"]

_PROTOCOLS: Mapping[str, Protocol] = {
    "json": "json",
    "query": "query",
    "ec2": "query",
    "rest-json": "rest",
    "rest-xml": "rest",
}
_prefix = re.compile(rb'"endpointPrefix"\s*:\s*"([^"]+)"').search


@dataclass(frozen=True, slots=True)
class Service:
    """One service. `s3` says that it takes paths and hashes of bodies as S3 does."""

    prefix: str
    service_id: str
    signing_name: str
    protocol: Protocol
    api_version: str
    target_prefix: str
    json_version: str
    s3: bool
    operations: Mapping[str, tuple[str, str]]
    """By name: the HTTP method and the path."""


class Services:
    """The services botocore knows. Models are read when asked for: the index takes 0.1 s, a model up to as much."""

    def __init__(self) -> None:
        self._known: dict[str, Service] = {}

    @cached_property
    def index(self) -> Mapping[str, tuple[Path, ...]]:
        """The models by endpoint prefix; several where services share an endpoint."""
        found: dict[str, list[Path]] = {}
        for path in _models():
            with _opened(path) as file:
                prefix = _prefix(file.read(HEAD_BYTES))
            if prefix is not None:
                found.setdefault(prefix[1].decode(), []).append(path)
        return {prefix: tuple(paths) for prefix, paths in found.items()}

    def split(self, host: str) -> tuple[str, str] | None:
        """The endpoint prefix that `host` ends in, and the subdomain before it; None where no service has one."""
        labels = host.split(".")
        for start in range(len(labels)):
            prefix = ".".join(labels[start:])
            prefix = ALIASES.get(prefix, prefix)
            if prefix in self.index:
                return prefix, ".".join(labels[:start])
        return None

    def of(self, prefix: str) -> tuple[Service, ...]:
        """The services at an endpoint; empty where there is none of that prefix."""
        return tuple(self._service(path) for path in self.index.get(prefix, ()))

    def _service(self, path: Path) -> Service:
        key = str(path)
        if key not in self._known:
            with _opened(path) as file:
                self._known[key] = _read(json.loads(file.read()))
        return self._known[key]


def _models() -> Iterator[Path]:
    """The newest model of each service. The oldest API of those that have several versions is nobody's any more."""
    import botocore

    for folder in sorted((Path(botocore.__file__).parent / "data").iterdir()):
        versions = sorted(folder.glob("*/service-2.json*")) if folder.is_dir() else []
        if versions:
            yield versions[-1]


def _opened(path: Path) -> Any:
    return gzip.open(path) if path.suffix == ".gz" else path.open("rb")


def _read(model: Mapping[str, Any]) -> Service:
    metadata = model["metadata"]
    prefix = metadata["endpointPrefix"]
    return Service(
        prefix=prefix,
        service_id=metadata["serviceId"],
        signing_name=metadata.get("signingName", prefix),
        protocol=_protocol(metadata),
        api_version=metadata["apiVersion"],
        target_prefix=metadata.get("targetPrefix", ""),
        json_version=metadata.get("jsonVersion", "1.0"),
        s3=metadata.get("signatureVersion") in ("s3", "s3v4"),
        operations={
            name: (operation["http"]["method"], operation["http"]["requestUri"])
            for name, operation in model["operations"].items()
        },
    )


def _protocol(metadata: Mapping[str, Any]) -> Protocol:
    """The first one of a service's that can be written without its model's shapes."""
    spoken = metadata.get("protocols") or [metadata["protocol"]]
    return next((_PROTOCOLS[name] for name in spoken if name in _PROTOCOLS), "rest")
