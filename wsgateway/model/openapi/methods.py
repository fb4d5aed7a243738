"""Operations of a document as methods: parameters, bodies, responses, validators, integrations."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from wsgateway.model.base import Path
from wsgateway.model.explain import shown, wrong_kind
from wsgateway.model.openapi.integrations import put_integration
from wsgateway.model.openapi.place import Document, Place
from wsgateway.model.openapi.schemas import Schemas
from wsgateway.model.openapi.security import Security
from wsgateway.model.openapi.sheet import Sheet
from wsgateway.model.openapi.words import (
    ANY,
    MEDIA_TYPE,
    OPERATION,
    PARAMETER,
    PATH_ITEM,
    PREFIX,
    REQUEST_BODY,
    RESPONSE,
    VERBS,
)

INTEGRATION: Final = PREFIX + "integration"
VALIDATOR: Final = PREFIX + "request-validator"
JSON: Final = ("application/json",)
PLACES: Final = {"path": "path", "query": "querystring", "header": "header"}
HELD: Final = frozenset({"enum", "maximum", "minimum", "maxLength", "minLength", "pattern", "maxItems", "minItems"})


@dataclass(slots=True)
class Methods:
    """The methods of one API."""

    document: Document
    sheet: Sheet
    api_id: str
    schemas: Schemas
    security: Security

    def put_path(self, path: str, item: Place) -> None:
        """The methods that `item` says, at the resource `path`."""
        fields = self.document.fields(item, PATH_ITEM)
        shared = list(self.document.sequence(fields.get("parameters")))
        for key in (*VERBS, ANY):
            if key in fields:
                self._put(path, "ANY" if key == ANY else key.upper(), fields[key], shared)

    def _put(self, path: str, verb: str, operation: Place, shared: Iterable[Place]) -> None:
        fields = self.document.fields(operation, OPERATION[self.document.version])
        if not fields and not isinstance(operation.value, dict):
            return
        integration = fields.get(INTEGRATION)
        if integration is None:
            text = f"has no {INTEGRATION}, so nothing answers it; give it one"
            self.document.refuse(operation, text)
            return
        at: Path = ("apis", self.api_id, "paths", path, verb)
        self.sheet.put(at, {}, operation)
        name = fields.get("operationId")
        if name is not None and self.document.text(name) is not None:
            self.sheet.put((*at, "operationName"), name.value, name)
        self.security.put_method(at, operation, self.document.root.get("security"))
        hint = _hint(name, verb, path)
        self._put_parameters(at, path, [*shared, *self.document.sequence(fields.get("parameters"))], hint)
        self._put_body(at, fields, hint)
        validator = fields.get(VALIDATOR) or self.document.root.get(VALIDATOR)
        if validator is not None and validator.value != "":
            self.sheet.put((*at, "requestValidator"), validator.value, validator)
        self._put_responses(at, fields, hint)
        put_integration(self.document, self.sheet, (*at, "integration"), integration)

    # What is sent

    def _put_parameters(self, at: Path, path: str, written: Iterable[Place], hint: str) -> None:
        found: dict[tuple[str, str], tuple[Place, dict[str, Place]]] = {}
        for each in written:
            parameter = self.document.follow(each)
            if parameter is None:
                continue
            fields = self.document.fields(parameter, PARAMETER)
            name, place = (self.document.text(fields.get(key)) for key in ("name", "in"))
            if name is None or place is None:
                self.document.wrong(parameter, "needs a name, and where it is: in: path, query or header")
            else:
                found[place, name] = parameter, fields
        for (place, name), (parameter, fields) in found.items():
            if place == "body" and self.document.version == 2:
                self._put_models(at, "requestModels", parameter, self._media("consumes", at), hint + "Request")
            else:
                self._put_parameter(at, place, name, parameter, fields)
        for name in re.findall(r"\{([^{}+]+)\}", path):
            # AWS adds the variables of the path, but for a greedy one.
            key = f"method.request.path.{name}"
            if ("path", name) not in found:
                self.sheet.put((*at, "requestParameters", key), True, Place(self.sheet.origins[at], None))

    def _put_parameter(self, at: Path, place: str, name: str, parameter: Place, fields: Mapping[str, Place]) -> None:
        if place == "formData" and self.document.version == 2:
            self.document.refuse(parameter, "forms are not read; a gateway hands their bodies on as they are")
        elif place == "cookie":
            self.document.refuse(parameter, "cookies are no parameters of a gateway; they are in the header Cookie")
        elif place not in PLACES:
            self.document.wrong(parameter, f"in: {shown(place)} is none of {', '.join(PLACES)}")
        else:
            needed = fields.get("required")
            value = False if needed is None else needed.value
            if not isinstance(value, bool):
                self.document.wrong(needed or parameter, wrong_kind("true or false", value))
                return
            self.sheet.put((*at, "requestParameters", f"method.request.{PLACES[place]}.{name}"), value, parameter)
            self._tell_of_limits(parameter)

    def _tell_of_limits(self, parameter: Place) -> None:
        schema = parameter.get("schema")
        if HELD & {*parameter.value, *(schema.value if schema and isinstance(schema.value, dict) else ())}:
            text = "what a parameter holds is checked by nobody, as on AWS; a request validator sees that it is there"
            self.document.remark(parameter, text)

    def _put_body(self, at: Path, fields: Mapping[str, Place], hint: str) -> None:
        written = fields.get("requestBody")
        body = self.document.follow(written) if written is not None else None
        content = self.document.fields(body, REQUEST_BODY).get("content") if body is not None else None
        for media, place in self.document.mapping(content):
            self.document.fields(place, MEDIA_TYPE)
            self._put_models(at, "requestModels", place, (media,), hint + "Request")

    # What is answered

    def _put_responses(self, at: Path, fields: Mapping[str, Place], hint: str) -> None:
        for status, written in self.document.mapping(fields.get("responses")):
            if status.startswith("x-") or status == "default":
                continue  # AWS passes over it, too
            if re.fullmatch(r"[1-5]XX", status):
                self.document.remark(written, "is no status, and says nothing to a gateway")
                continue
            response = self.document.follow(written)
            if response is not None:
                self._put_response((*at, "methodResponses", status), response, f"{hint}Response{status}")

    def _put_response(self, at: Path, response: Place, hint: str) -> None:
        self.sheet.put(at, {}, response)
        fields = self.document.fields(response, RESPONSE[self.document.version])
        for name, header in self.document.mapping(fields.get("headers")):
            self.sheet.put((*at, "responseParameters", f"method.response.header.{name}"), False, header)
        if "schema" in fields:
            self._put_models(at, "responseModels", response, self._media("produces", at), hint)
        for media, place in self.document.mapping(fields.get("content")):
            self.document.fields(place, MEDIA_TYPE)
            self._put_models(at, "responseModels", place, (media,), hint)

    def _put_models(self, at: Path, key: str, holder: Place, media: Iterable[str], hint: str) -> None:
        """The model of the schema that `holder` has, for these media types."""
        schema = holder.get("schema")
        for each in media if schema is not None else ():
            assert schema is not None
            if schema.get("$ref") is None and not is_json(each):
                self.document.remark(schema, "is no model: models describe JSON")
                continue
            name = self.schemas.model(schema, hint)
            if name is not None:
                self.sheet.put((*at, key, each.partition(";")[0].strip()), name, schema)

    def _media(self, key: str, at: Path) -> list[str]:
        """The media types of the operation at `at`, as Swagger 2.0 writes them: there, or for the whole document."""
        operation: Place | None = self.document.root
        for each in self.sheet.origins[at[:5]]:
            operation = operation and operation.get(each)
        found = (operation and operation.get(key)) or self.document.root.get(key)
        if found is None:
            return list(JSON)
        if not isinstance(found.value, list) or not all(isinstance(each, str) for each in found.value):
            self.document.wrong(found, wrong_kind("a list of media types", found.value))
            return []
        return found.value


def is_json(media: str) -> bool:
    """Whether a media type is one of JSON."""
    kind = media.partition(";")[0].strip().lower()
    return kind in ("application/json", "*/*") or kind.endswith("+json")


def _hint(name: Place | None, verb: str, path: str) -> str:
    """What a model that only this method has is called like."""
    words = [str(name.value)] if name is not None else [verb.lower(), *re.findall(r"[A-Za-z0-9]+", path)]
    return "".join(word[:1].upper() + word[1:] for word in words)
