"""An OpenAPI document as the text of a definition file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Any

from wsgateway.errors import DefinitionError
from wsgateway.model.base import Definition, Path, fields_of
from wsgateway.model.document import compose
from wsgateway.model.expansion import VARIABLE
from wsgateway.model.explain import escaped, shown
from wsgateway.model.loader import Loaded, Source, at, parse, text_of
from wsgateway.model.nodes import stop
from wsgateway.model.openapi.lenient import remove
from wsgateway.model.openapi.reading import OURS, Reading
from wsgateway.model.openapi.translate import translate
from wsgateway.model.openapi.variables import DocumentExpansion, version_of
from wsgateway.model.rest import Method, RestApi
from wsgateway.model.rest_authorizer import RestAuthorizer
from wsgateway.model.rest_integration import RestIntegration
from wsgateway.model.writer import to_yaml


@dataclass(frozen=True, slots=True)
class Imported:
    """`text` is what a definition file would hold, `loaded` what was read: its notes tell what is not in it."""

    text: str
    loaded: Loaded


def import_document(file: FilePath, environ: Mapping[str, str], reading: Reading) -> Imported:
    """Read an OpenAPI document.

    Raises DefinitionError with every problem, sorted by line.
    """
    return import_text(text_of(file), escaped(str(file)), environ, file.parent, reading)


def import_text(text: str, name: str, environ: Mapping[str, str], base_dir: FilePath, reading: Reading) -> Imported:
    """Read the text of a document called `name` that lies in `base_dir`.

    Raises DefinitionError with every problem, sorted by line.
    """
    loaded = parse(text, name, environ, base_dir, reading)
    document = compose(text)
    version = version_of(document)
    if version is None or document.root is None:
        raise at(name, stop("is no OpenAPI document; one begins with openapi: or swagger:", 1))
    root = DocumentExpansion(environ, kept=True).value(document.root)
    assert isinstance(root, dict)  # it was valid
    found = translate(root, version, loaded.source.line, reading).root
    for path in loaded.left_out:
        remove(found, path)
    problems = [loaded.source.problem(path, _mistaken(text)) for path, text in _variables(found, loaded.source)]
    if problems:
        raise DefinitionError(sorted(problems, key=lambda problem: problem.line))
    return Imported(to_yaml(_ordered(found)), loaded)


def _mistaken(text: str) -> str:
    found = VARIABLE.search(text)
    assert found is not None
    return (
        f"{shown(found[0])} would be a variable of the environment in a definition file; name it otherwise, in a "
        "mapping template in lower case or without braces, or serve the document itself"
    )


def _variables(value: Any, source: Source, path: Path = ()) -> Iterator[tuple[Path, str]]:
    """What a definition file would put values of the environment into, and this document doesn't."""
    match value:
        case dict():
            for key, each in value.items():
                yield from _variables(each, source, (*path, key))
        case list():
            for number, each in enumerate(value):
                yield from _variables(each, source, (*path, number))
        case str() if VARIABLE.search(value) and source.written(path)[:1] != (OURS,):
            yield path, value


def _ordered(root: dict[str, Any]) -> dict[str, Any]:
    """APIs first, fields as the reference has them, integrations without what goes without saying."""
    for api in root["apis"].values():
        for name, authorizer in api.get("authorizers", {}).items():
            api["authorizers"][name] = _sorted(authorizer, RestAuthorizer)
        for methods in api.get("paths", {}).values():
            for verb, method in methods.items():
                methods[verb] = written = _sorted(method, Method)
                if isinstance(written["integration"], dict):
                    written["integration"] = _sorted(_short(written["integration"]), RestIntegration)
    return {"apis": {api_id: _sorted(api, RestApi) for api_id, api in root.pop("apis").items()}, **root}


def _sorted(value: dict[str, Any], definition: type[Definition]) -> dict[str, Any]:
    fields = {key: number for number, key in enumerate(fields_of(definition))}
    return {key: value[key] for key in sorted(value, key=lambda key: fields.get(key, len(fields)))}


def _short(integration: dict[str, Any]) -> dict[str, Any]:
    fields = fields_of(RestIntegration)
    return {key: value for key, value in integration.items() if key not in fields or fields[key].default != value}
