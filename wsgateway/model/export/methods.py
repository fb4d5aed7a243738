"""Resources and methods as paths and operations."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from wsgateway.model.export.integrations import integration
from wsgateway.model.export.schemas import Form, Schemas
from wsgateway.model.export.security import Security

ANY: Final = "x-amazon-apigateway-any-method"
VERBS: Final = ("GET", "PUT", "POST", "DELETE", "OPTIONS", "HEAD", "PATCH")
PLACES: Final = {"path": "path", "querystring": "query", "header": "header"}
NOT_BLANK: Final = "\\S"
"""What required parameters must match where a validator looks at them."""
JSON: Final = "application/json"
_variables = re.compile(r"\{([^{}+]+)(\+?)\}").findall


@dataclass(slots=True, kw_only=True)
class Methods:
    """The methods of one plain API; `extended` says what answers them, too."""

    api: Mapping[str, Any]
    form: Form
    extended: bool
    schemas: Schemas
    security: Security
    _named: set[str] = field(default_factory=set)
    """Operation ids that are taken: each stands for one operation."""

    def paths(self) -> dict[str, Any]:
        """All paths with their operations."""
        return {self._path(path): self._item(path, methods) for path, methods in self.api["paths"].items()}

    def _path(self, path: str) -> str:
        """A path as the document has it: what makes a variable greedy is API Gateway's, not OpenAPI's."""
        return path if self.extended else path.replace("+}", "}")

    def _item(self, path: str, methods: Mapping[str, Any]) -> dict[str, Any]:
        said: dict[str, Any] = {}
        for verb, method in methods.items():
            if verb != "ANY":
                said[verb.lower()] = self._operation(path, method, method.get("operationName"))
            elif self.extended:
                said[ANY] = self._operation(path, method, method.get("operationName"))
        if "ANY" in methods and not self.extended:
            for verb in VERBS:
                if verb not in methods and not (verb == "OPTIONS" and "cors" in self.api):
                    name = methods["ANY"].get("operationName")
                    said[verb.lower()] = self._operation(path, methods["ANY"], name and name + verb.capitalize())
        return said

    def _operation(self, path: str, method: Mapping[str, Any], name: str | None) -> dict[str, Any]:
        said: dict[str, Any] = {}
        if name is not None and name not in self._named:
            self._named.add(name)
            said["operationId"] = name
        parameters = [*self._parameters(path, method)]
        models = _by_media(method.get("requestModels", {}))
        if self.form == "swagger":
            said |= self._media(models, method)
            parameters += self._body(models)
        if parameters:
            said["parameters"] = parameters
        if models and self.form == "oas30":
            said["requestBody"] = {"content": self._content(models), "required": True}
        said["responses"] = self._responses(method)
        security = self.security.requirements(method)
        if security:
            said["security"] = security
        return said | (self._extensions(method) if self.extended else {})

    def _extensions(self, method: Mapping[str, Any]) -> dict[str, Any]:
        said: dict[str, Any] = {}
        validator = _validator(method)
        if validator is not None:
            said["x-amazon-apigateway-request-validator"] = validator
        said["x-amazon-apigateway-integration"] = integration(self._integration_of(method))
        return said

    def _integration_of(self, method: Mapping[str, Any]) -> Mapping[str, Any]:
        written = method["integration"]
        found: Mapping[str, Any] = self.api["integrations"][written] if isinstance(written, str) else written
        return found

    # What is sent

    def _parameters(self, path: str, method: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """Those that the method declares, and the variables of its path: they are there anyway."""
        needed = dict(method.get("requestParameters", {}))
        for name, greedy in dict(_variables(path)).items():
            if not (greedy and self.extended):
                needed[f"method.request.path.{name}"] = True
        validator = self.api.get("requestValidators", {}).get(_validator(method), {})
        held = validator.get("validateRequestParameters", False) and not self.extended
        for key, required in sorted(needed.items(), key=lambda each: not each[0].startswith("method.request.path.")):
            place, name = key.split(".", 3)[2:]
            said: dict[str, Any] = {"name": name, "in": PLACES[place]}
            if required or place == "path":
                said["required"] = True
            kind = {"type": "string"} | ({"pattern": NOT_BLANK} if required and held else {})
            yield said | (kind if self.form == "swagger" else {"schema": kind})

    def _body(self, models: Mapping[str, str]) -> Iterator[dict[str, Any]]:
        """Swagger 2.0 has one schema for all media types: that of the first."""
        for name in list(models.values())[:1]:
            yield {"in": "body", "name": name, "required": True, "schema": self.schemas.reference(name)}

    def _media(self, models: Mapping[str, str], method: Mapping[str, Any]) -> dict[str, Any]:
        """The media types of Swagger 2.0: those of the model that stands for the body, and of all answers."""
        first = next(iter(models.values()), None)
        consumes = [media for media, name in models.items() if name == first]
        answers = [_by_media(each.get("responseModels", {})) for each in method.get("methodResponses", {}).values()]
        produces = dict.fromkeys(media for each in answers for media in each)
        return ({"consumes": consumes} if consumes else {}) | ({"produces": [*produces]} if produces else {})

    def _content(self, models: Mapping[str, str]) -> dict[str, Any]:
        return {media: {"schema": self.schemas.reference(name)} for media, name in models.items()}

    # What is answered

    def _responses(self, method: Mapping[str, Any]) -> dict[str, Any]:
        declared = method.get("methodResponses") or _implied(self._integration_of(method))
        said = {status: self._response(status, response) for status, response in declared.items()}
        return said or {"default": {"description": "What the backend answers"}}

    def _response(self, status: str, response: Mapping[str, Any]) -> dict[str, Any]:
        said: dict[str, Any] = {"description": f"{status} response"}
        names = [key.removeprefix("method.response.header.") for key in response.get("responseParameters", {})]
        if names:
            kind = {"type": "string"} if self.form == "swagger" else {"schema": {"type": "string"}}
            said["headers"] = {name: dict(kind) for name in names}
        models = _by_media(response.get("responseModels", {}))
        if models and self.form == "swagger":
            said["schema"] = self.schemas.reference(next(iter(models.values())))
        elif models:
            said["content"] = self._content(models)
        return said


def _validator(method: Mapping[str, Any]) -> str | None:
    name: str | None = method.get("requestValidator") or method.get("requestValidatorId")
    return name


def _implied(integration: Mapping[str, Any]) -> dict[str, Any]:
    """The method responses that API Gateway asks for, where a definition leaves them out."""
    return {
        status: {"responseParameters": dict.fromkeys(response.get("responseParameters", {}), False)}
        for status, response in integration.get("integrationResponses", {}).items()
    }


def _by_media(models: Mapping[str, str]) -> dict[str, str]:
    """Models by media type: what holds for every other is told of as JSON, which is all that is held against them."""
    said = {media: name for media, name in models.items() if media != "$default"}
    if "$default" in models:
        said.setdefault(JSON, models["$default"])
    return said
