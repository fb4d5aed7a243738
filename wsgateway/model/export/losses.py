"""What of an API is lost where its document is for API Gateway, which has no word for it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from wsgateway.model.base import Definition, Path, descriptions_of
from wsgateway.model.rest import RestApi

MARK = "(Ours"
"""In the description of what API Gateway has not."""
NAMED: Path = ("integrations",)
"""These are written where they are named."""


def losses(api: RestApi) -> Iterator[Path]:
    """Where the API says what is ours. Stages are in no document."""
    for path in _ours(api, ()):
        if path[0] != "stages":
            yield path


def _ours(value: object, path: Path) -> Iterator[Path]:
    match value:
        case Definition():
            descriptions = descriptions_of(type(value))
            for name, field in type(value).model_fields.items():
                at = (*path, field.alias or name)
                if name in value.model_fields_set and MARK in descriptions.get(str(at[-1]), "") and at != NAMED:
                    yield at
                elif name in value.model_fields_set:
                    yield from _ours(getattr(value, name), at)
        case Mapping():
            for key, each in value.items():
                yield from _ours(each, (*path, key))
