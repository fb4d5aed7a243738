"""An OpenAPI document as definitions: one REST API, and what `x-wsgateway` says beside it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from wsgateway.errors import Problem
from wsgateway.model.base import Path
from wsgateway.model.explain import shown, wrong_kind
from wsgateway.model.openapi.methods import Methods
from wsgateway.model.openapi.place import Document, Place
from wsgateway.model.openapi.reading import OURS, Reading
from wsgateway.model.openapi.schemas import Schemas
from wsgateway.model.openapi.security import Security
from wsgateway.model.openapi.sheet import Sheet
from wsgateway.model.openapi.words import COMPONENTS, ENDPOINT, INFO, PREFIX, ROOT, SERVER, TAG

DEFAULT_STAGE: Final = "default"
MOST_DESCRIPTION: Final = 1024
FUNCTION: Final = re.compile(r"Fn::[A-Za-z]+")
_stage = re.compile(r"(?!execute-api$)[A-Za-z0-9_-]{1,128}").fullmatch


@dataclass(frozen=True, slots=True)
class Translation:
    """`root` is what a definition file would hold, `origins` the document's keys by the keys there."""

    root: dict[str, Any]
    origins: dict[Path, Path]
    problems: list[Problem]
    unsupported: list[Problem]
    remarks: list[Problem]


def translate(root: dict[str, Any], version: int, line: Callable[[Path], int], reading: Reading) -> Translation:
    """What a document defines."""
    document = Document(Place((), root), version, line)
    translator = _Translator(document, reading)
    translator.put_all()
    sheet = translator.sheet
    return Translation(sheet.root, sheet.origins, document.problems, document.unsupported, document.remarks)


def _segments(path: str) -> list[str]:
    return [part for part in path.split("/") if part]


def _usual(server: Mapping[str, Place]) -> Iterator[Place]:
    """The values that the variables of a server have where nobody says otherwise."""
    variables = server.get("variables")
    for _, variable in variables.entries() if variables is not None else ():
        usual = variable.get("default")
        if usual is not None:
            yield usual


def _tell_of_functions(document: Document, place: Place) -> None:
    """CloudFormation's functions, in documents out of its templates, are computed there alone."""
    if isinstance(place.value, dict) and len(place.value) == 1:
        ((name, value),) = place.value.items()
        if FUNCTION.fullmatch(name) or (name == "Ref" and isinstance(value, str)):
            document.wrong(place, f"{name} is CloudFormation's, which computes it at AWS; write its value")
            return
    for entry in (*(each for _, each in place.entries()), *place.items()):
        _tell_of_functions(document, entry)


class _Translator:
    def __init__(self, document: Document, reading: Reading) -> None:
        self.sheet = Sheet()
        self._document = document
        self._root = document.fields(document.root, ROOT[document.version])
        self._reading = reading
        self._info = document.fields(self._root["info"], INFO) if "info" in self._root else {}
        self._ours = self._root.get(OURS)
        self._host, self._segments = self._address()
        self._patch = self._patched_api()
        self._api_id = reading.api_id or (self._patch and str(self._patch.path[-1])) or self._named()
        self._api: Path = ("apis", self._api_id)

    def put_all(self) -> None:
        """Everything the document says."""
        document = self._document
        _tell_of_functions(document, document.root)
        self._put("protocolType", "REST", document.root)
        self.sheet.origins[self._api] = ()
        for key, entry in self._info.items():
            if key == "description" and isinstance(entry.value, str) and len(entry.value) > MOST_DESCRIPTION:
                document.remark(entry, f"is longer than {MOST_DESCRIPTION} characters, so it is left out")
            elif document.text(entry) is not None:
                self._put({"title": "name"}.get(key, key), entry.value, entry)
        self._put_settings()
        stage, prefix = self._stage_and_prefix()
        if self._patch is None or self._patch.get("stages") is None or self._reading.stage is not None:
            self._put("stages", {stage: {}}, document.root)
        if "components" in self._root:
            document.fields(self._root["components"], COMPONENTS)
        schemas = Schemas(document, self.sheet, self._api_id)
        schemas.put_named()
        security = Security(document, self.sheet, self._api_id)
        self._put_paths(Methods(document, self.sheet, self._api_id, schemas, security), prefix)
        self._merge_ours()

    def _put(self, key: str, value: object, place: Place) -> None:
        self.sheet.put((*self._api, key), value, place)

    # Where it is

    def _address(self) -> tuple[str, list[str]]:
        """The host that the document names, and the segments of its base path."""
        text, root = self._document.text, self._root
        if self._document.version == 2:
            host, path = (text(root.get(key)) or "" for key in ("host", "basePath"))
            return host, _segments(path)
        servers = [(each, self._document.fields(each, SERVER)) for each in self._document.sequence(root.get("servers"))]
        if not servers:
            return "", []
        named = [text(usual) for _, fields in servers for usual in _usual(fields) if usual.path[-2] == "basePath"]
        server, fields = servers[0]
        values = {str(usual.path[-2]): str(usual.value).strip("/") for usual in _usual(fields)}
        url = re.sub(r"\{([^{}]+)\}", lambda found: values.get(found[1], found[0]), text(fields.get("url")) or "")
        try:
            parts = urlsplit(url)
        except ValueError:
            self._document.wrong(server, f"{shown(url)} is no URL")
            return "", []
        return parts.netloc, _segments((named and named[0]) or parts.path)

    def _named(self) -> str:
        """The apiId: that of AWS's host, else what the title makes."""
        found = re.match(r"([a-z0-9][a-z0-9-]*)\.execute-api\.", self._host)
        title = str(self._info["title"].value) if "title" in self._info else ""
        made = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")[:63].strip("-")
        return found[1] if found else made or "api"

    def _stage_and_prefix(self) -> tuple[str, list[str]]:
        segments, said = self._segments, self._reading.base_path
        stage = segments[0] if segments and _stage(segments[0]) else DEFAULT_STAGE
        prefix = {"split": segments[1:], "prepend": segments, "ignore": []}[said]
        stages = self._patch.get("stages") if self._patch is not None else None
        said_names = [name for name, _ in stages.entries()] if stages is not None else []
        chosen = [self._reading.stage] if self._reading.stage is not None else said_names
        document, root = self._document, self._document.root
        if not segments and not chosen:
            text = f"no base path names a stage, so it is {DEFAULT_STAGE}; name it by a flag, or below {OURS}"
            document.remark(root, text)
        elif said == "ignore" and (len(segments) > 1 or {*segments} - {*(chosen or [stage])}):
            path = shown("/" + "/".join(segments))
            text = f"the base path {path} is no part of the paths, as on AWS; it is with base path split, or prepend"
            document.remark(root.get("basePath") or root.get("servers") or root, text)
        return self._reading.stage or stage, prefix

    # What it says

    def _put_settings(self) -> None:
        plain = {
            "api-key-source": "apiKeySource",
            "binary-media-types": "binaryMediaTypes",
            "minimum-compression-size": "minimumCompressionSize",
            "policy": "policy",
            "request-validators": "requestValidators",
        }
        for name, key in plain.items():
            entry = self._root.get(PREFIX + name)
            if entry is not None:
                self._put(key, entry.value, entry)
        documentation = self._root.get(PREFIX + "documentation")
        if documentation is not None:
            self._document.remark(documentation, "is for people; a gateway says nothing of it")
        self._put_gateway_responses()
        self._put_tags()
        for entry in self._endpoints():
            fields = self._document.fields(entry, ENDPOINT)
            if "disableExecuteApiEndpoint" in fields:
                off = fields.pop("disableExecuteApiEndpoint")
                if self.sheet.get((*self._api, "disableExecuteApiEndpoint")) in (None, False):
                    self._put("disableExecuteApiEndpoint", off.value, off)  # true, if one server says so
            if fields:
                self._put("endpointConfiguration", {key: field.value for key, field in fields.items()}, entry)

    def _endpoints(self) -> list[Place]:
        entry = self._root.get(PREFIX + "endpoint-configuration")
        servers = self._document.sequence(self._root.get("servers"))
        found = [server.get(PREFIX + "endpoint-configuration") for server in servers]
        return [place for place in (entry, *found) if place is not None]

    def _put_gateway_responses(self) -> None:
        for kind, response in self._document.mapping(self._root.get(PREFIX + "gateway-responses")):
            at = (*self._api, "gatewayResponses", kind)
            self.sheet.put(at, {} if isinstance(response.value, dict) else response.value, response)
            for key, entry in response.entries():
                status = key == "statusCode" and isinstance(entry.value, int) and not isinstance(entry.value, bool)
                if entry.value is not None:
                    self.sheet.put((*at, key), str(entry.value) if status else entry.value, entry)

    def _put_tags(self) -> None:
        tags = self._root.get("tags")
        if tags is not None:
            self.sheet.origins[*self._api, "tags"] = tags.path
        for tag in self._document.sequence(tags):
            fields = self._document.fields(tag, TAG)
            value = fields.get(PREFIX + "tag-value")
            if value is not None and "name" in fields:
                self.sheet.put((*self._api, "tags", str(fields["name"].value)), value.value, value)

    def _put_paths(self, methods: Methods, prefix: list[str]) -> None:
        paths = self._root.get("paths")
        if paths is None:
            return
        self._put("paths", {}, paths)
        above = "".join(f"/{part}" for part in prefix)
        for path, item in self._document.mapping(paths):
            if path.startswith("/"):
                methods.put_path(above if path == "/" and above else above + path, item)
            elif not path.startswith("x-"):
                self._document.wrong(item, "a path begins with /")

    # What a definition file says beside it

    def _patched_api(self) -> Place | None:
        apis = self._ours.get("apis") if self._ours is not None else None
        if self._ours is not None and not isinstance(self._ours.value, dict):
            self._document.wrong(
                self._ours, wrong_kind("a mapping, what a definition file would hold", self._ours.value)
            )
        if apis is None:
            return None
        if not isinstance(apis.value, dict) or len(apis.value) != 1:
            self._document.wrong(
                apis, "holds one API, the document's: its apiId, and below that what else is to be said"
            )
            return None
        ((name, api),) = apis.entries()
        if not isinstance(api.value, dict):
            self._document.wrong(api, wrong_kind("a mapping", api.value))
        return Place((*apis.path, name), api.value)

    def _merge_ours(self) -> None:
        for key, entry in self._ours.entries() if self._ours is not None else ():
            if key != "apis":
                self.sheet.put((key,), entry.value, entry)
        only = self._reading.stage
        for key, entry in self._patch.entries() if self._patch is not None else ():
            if key != "stages" or only is None:
                self.sheet.merge((*self._api, key), entry)
            elif (stage := entry.get(only)) is not None:
                self.sheet.merge((*self._api, key, only), stage)
