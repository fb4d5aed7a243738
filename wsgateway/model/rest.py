"""A REST API: its resources by path, their methods by verb, and what answers when something goes wrong.

API Gateway API reference (v1): RestApi, Resource, Method, Integration, IntegrationResponse, RequestValidator,
GatewayResponse; short forms are ours.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any, Literal, get_args

from annotated_types import Ge, Le, MaxLen, MinLen
from pydantic import Field, PlainValidator, TypeAdapter, ValidationInfo

from wsgateway.errors import Problem
from wsgateway.model.base import Among, Definition, Matches, Path
from wsgateway.model.caching import check_caching
from wsgateway.model.cors import Cors
from wsgateway.model.endpoint import EndpointConfiguration
from wsgateway.model.explain import did_you_mean, fault, shown, wrong_kind
from wsgateway.model.gateway_response import GatewayResponse, ResponseType
from wsgateway.model.key_source import FROM_AUTHORIZER, check_key_methods
from wsgateway.model.method_authorization import check_method_authorization, check_named
from wsgateway.model.method_settings import check_keys
from wsgateway.model.models import BUILT_IN, ContentType, Model, ModelName
from wsgateway.model.quotas import Profile
from wsgateway.model.rest_authorizer import RestAuthorizer
from wsgateway.model.rest_integration import RestIntegration
from wsgateway.model.rest_stage import RestStage
from wsgateway.model.stage import StageName

MOST_PATHS = 2000
MOST_AUTHORIZERS = 100
"""AWS has 300 and 10, and more for who asks (API Gateway quotas)."""
MOST_OF_POLICY = 8192
"""Characters of a resource policy."""
MOST_KEPT_BYTES = 10_485_760
"""Of a body that is kept whole."""

AuthorizationType = Literal["NONE", "AWS_IAM", "CUSTOM", "COGNITO_USER_POOLS", "JWT"]
VERBS = ("ANY", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT")

_PART = r"(?:[a-zA-Z0-9._:,-]+|\{[a-zA-Z0-9._:,-]+\})"
ResourcePath = Annotated[
    str,
    Matches(
        rf"/|(?=.{{1,2048}}$)(?:/{_PART})*(?:/{_PART}|/\{{[a-zA-Z0-9._:,-]+\+\}})",
        "a path is / or segments of letters, digits and ._-:, such as /pets/{petId}; {proxy+} stands last",
    ),
]
VerbName = Literal["ANY", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"]
Verb = Annotated[VerbName, Among(VERBS)]

ParameterName = Annotated[
    str,
    Matches(
        r"method\.request\.(?:path|querystring|header)\.[A-Za-z0-9._$-]+",
        "a parameter is written method.request.path.NAME, .querystring.NAME or .header.NAME",
    ),
]
MethodHeader = Annotated[
    str, Matches(r"method\.response\.header\.[A-Za-z0-9._$-]+", "a parameter is written method.response.header.NAME")
]
StatusCode = Annotated[str, Matches(r"[1-5][0-9][0-9]", "a status code is three digits in quotes, such as '200'")]

Name = Annotated[str, Matches(r"[A-Za-z0-9_.-]{1,128}", "a name is 1 to 128 letters, digits and _.-")]
_name: TypeAdapter[str] = TypeAdapter(Name)
Label = Annotated[str, Matches(r"[^\x00-\x1f\x7f]{1,128}", "a name is 1 to 128 characters on one line")]
"""What people may name as they like: the console calls validators `Validate query string parameters and headers`."""
TagKey = Annotated[str, MinLen(1), MaxLen(128)]
TagValue = Annotated[str, MaxLen(256)]

MediaType = Annotated[
    str, Matches(r"[^\s/;,]{1,127}/[^\s/;,]{1,127}", "a media type is written type/subtype, such as image/png or */*")
]


class RequestValidator(Definition):
    """What is held against a request before its integration hears of it."""

    validate_request_body: bool = False
    """Whether the body must fit the model of its content type."""
    validate_request_parameters: bool = False
    """Whether required parameters must be there, and not blank."""


class MethodResponse(Definition):
    """A status that clients may get: for people and tools, and the headers that integration responses may set."""

    response_parameters: Mapping[MethodHeader, bool] = Field(default_factory=dict)
    """The headers there may be: `method.response.header.NAME: false`."""
    response_models: Mapping[ContentType, ModelName] = Field(default_factory=dict)
    """Models of the body by content type; as on AWS nothing is held against them."""


def _named_or_inline(value: object, info: ValidationInfo) -> str | RestIntegration:
    match value:
        case str():
            return _name.validate_python(value)
        case dict() | RestIntegration():
            return RestIntegration.model_validate(value, context=info.context)
    raise fault(wrong_kind("the name of an integration, or an integration", value))


class Method(Definition):
    """What answers one verb of a resource."""

    integration: Annotated[
        str | RestIntegration, PlainValidator(_named_or_inline, json_schema_input_type=Name | RestIntegration)
    ]
    """The integration that gets the requests: a name from `integrations`, or the integration itself."""
    authorization_type: Annotated[AuthorizationType, Among(get_args(AuthorizationType))] | None = None
    """Who may call it: NONE, everyone; AWS_IAM, who signs; CUSTOM, COGNITO_USER_POOLS or JWT, who its authorizer lets
    in; what its authorizer is, else NONE."""
    authorizer: Label | None = None
    """The name of one of `authorizers`. Short for authorizationType and authorizerId."""
    authorizer_id: Label | None = None
    """AWS's form of `authorizer`; it needs authorizationType."""
    authorization_scopes: Annotated[list[Annotated[str, MinLen(1), MaxLen(256)]], MaxLen(20)] = Field(
        default_factory=list
    )
    """Of COGNITO_USER_POOLS and JWT: a token needs at least one of these in its `scope` or `scp`."""
    api_key_required: bool = False
    """true asks for an API key of one of the stage's usage plans."""
    operation_name: Annotated[str, MinLen(1), MaxLen(64)] | None = None
    """A label for people, and `requestContext.operationName` for AWS_PROXY functions."""
    request_parameters: Mapping[ParameterName, bool] = Field(default_factory=dict)
    """Parameters that integrations map, and whether each is required, which a request validator sees to."""
    request_models: Mapping[ContentType | Literal["$default"], ModelName] = Field(default_factory=dict)
    """Names of `models` by the request's content type; `$default` stands for every other."""
    request_validator: Label | None = None
    """The name of one of `requestValidators`. Short for requestValidatorId."""
    request_validator_id: Label | None = None
    """AWS's form of `requestValidator`."""
    method_responses: Mapping[StatusCode, MethodResponse] = Field(default_factory=dict)
    """What clients may get, by status. Where it is there, integration responses set no other headers."""

    def check(self) -> Iterator[Problem]:
        if self.request_validator is not None and self.request_validator_id is not None:
            yield Problem(("requestValidatorId",), "says what requestValidator says; keep one of the two")
        yield from check_method_authorization(self)

    @property
    def authorizer_name(self) -> str | None:
        """The authorizer that decides who may call it; None where there is none."""
        return self.authorizer or self.authorizer_id

    @property
    def signed(self) -> bool:
        """Whether its requests have to be signed."""
        return self.authorization_type == "AWS_IAM"

    @property
    def validator_name(self) -> str | None:
        """The request validator; None where nothing is validated."""
        return self.request_validator or self.request_validator_id


class RestApi(Definition):
    """A REST API."""

    protocol_type: Annotated[Literal["REST"], Among(("WEBSOCKET", "REST", "HTTP"))]
    """The kind of API: REST."""
    name: Annotated[str, MinLen(1), MaxLen(128)] | None = None
    """A name for people."""
    description: Annotated[str, MaxLen(1024)] | None = None
    """What the API is for."""
    version: Annotated[str, MinLen(1), MaxLen(64)] | None = None
    """A label for people."""
    tags: Annotated[Mapping[TagKey, TagValue], MaxLen(50)] = Field(default_factory=dict)
    """Labels for people and tools; nothing here depends on them."""
    profile: Annotated[Profile, Among(("aws", "open"))] = "open"
    """Which limits hold: `aws` has AWS's quotas exactly, in `open` integrations may take up to 300 s."""
    api_key_source: Annotated[Literal["HEADER", "AUTHORIZER"], Among(("HEADER", "AUTHORIZER"))] = "HEADER"
    """Where the API key is: HEADER, in `X-API-Key`; AUTHORIZER, what the Lambda authorizer names as
    `usageIdentifierKey`."""
    binary_media_types: list[MediaType] = Field(default_factory=list)
    """Media types whose bodies are bytes; all others are text. `*/*` is every one."""
    max_body_bytes: Annotated[int, Ge(1), Le(1 << 40)] = 10_485_760
    """The largest request body; 10485760. More is for HTTP_PROXY, in the open profile. (Ours: AWS's quota is fixed.)"""
    minimum_compression_size: Annotated[int, Ge(0), Le(10_485_760)] | None = None
    """Answers of so many bytes are compressed, if the client asks for gzip or deflate; none are."""
    cors: Cors | None = None
    """Lets web pages of other origins in: OPTIONS at each resource that has none, headers of all answers. (Ours.)"""
    disable_execute_api_endpoint: bool = False
    """true lets clients in by custom domains alone."""
    endpoint_configuration: EndpointConfiguration | None = None
    """From where it is reached; `{types: [PRIVATE]}`: by the internal listener alone."""
    models: Mapping[ModelName, Model] = Field(default_factory=dict)
    """Models by name: what bodies may look like. `Empty` and `Error` are there without being written."""
    request_validators: Mapping[Label, RequestValidator] = Field(default_factory=dict)
    """Request validators that methods name."""
    gateway_responses: Mapping[ResponseType, GatewayResponse] = Field(default_factory=dict)
    """What clients get where no integration answers, by type, such as DEFAULT_4XX."""
    authorizers: Annotated[Mapping[Label, RestAuthorizer], MaxLen(MOST_AUTHORIZERS)] = Field(default_factory=dict)
    """Authorizers that methods name."""
    policy: Mapping[str, Any] | None = None
    """Who may call the API at all: a resource policy, with resources such as execute-api:/STAGE/VERB/PATH."""
    integrations: Mapping[Name, RestIntegration] = Field(default_factory=dict)
    """Integrations that methods name. (Ours.)"""
    stages: Annotated[Mapping[StageName, RestStage], MinLen(1)]
    """The stages by name; requests go to `/{stage}/{path}`."""
    paths: Annotated[Mapping[ResourcePath, Annotated[Mapping[Verb, Method], MinLen(1)]], MinLen(1), MaxLen(MOST_PATHS)]
    """The resources by path, each with its methods by verb."""

    @property
    def key_source(self) -> str:
        """`apiKeySource` in the words of WebSocket APIs."""
        return "$request.header.x-api-key" if self.api_key_source == "HEADER" else FROM_AUTHORIZER

    @property
    def private(self) -> bool:
        """Whether the internal listener alone leads to it."""
        return self.endpoint_configuration is not None and self.endpoint_configuration.private

    def integration_of(self, method: Method) -> RestIntegration:
        """The integration a method hands its requests to."""
        found = method.integration
        return self.integrations[found] if isinstance(found, str) else found

    def methods(self) -> Iterator[tuple[str, VerbName, Method]]:
        """Every method with its path and verb, those that `cors` stands for too."""
        for path, methods in self.paths.items():
            for verb, method in methods.items():
                yield path, verb, method
            if self.cors is not None and "OPTIONS" not in methods:
                yield path, "OPTIONS", preflight(self.cors, methods)

    def integration_path(self, path: str, verb: VerbName) -> Path:
        """Where the integration of a method is written, from this API on."""
        method = self.paths[path].get(verb)
        if method is None:
            return ("cors",)
        named = method.integration
        return ("integrations", named) if isinstance(named, str) else ("paths", path, verb, "integration")

    @classmethod
    def check_names(cls, data: Mapping[str, Any]) -> Iterator[Problem]:
        paths = data.get("paths")
        for path, methods in paths.items() if isinstance(paths, dict) else ():
            for verb, method in methods.items() if isinstance(methods, dict) else ():
                if isinstance(method, dict):
                    for problem in _unknown(method, data):
                        yield Problem(("paths", path, verb, *problem.path), problem.text)

    def check(self) -> Iterator[Problem]:
        if self.profile == "aws" and self.max_body_bytes > MOST_KEPT_BYTES:
            yield Problem(("maxBodyBytes",), f"is at most {MOST_KEPT_BYTES} in the aws profile")
        if self.private and self.disable_execute_api_endpoint:
            text = "leaves no way in: a PRIVATE API has no custom domain; remove it"
            yield Problem(("disableExecuteApiEndpoint",), text)
        if self.private and self.policy is None:
            text = (
                "is required of a PRIVATE API: without one nobody is let in; allow execute-api:Invoke to those who may"
            )
            yield Problem(("policy",), text)
        if self.policy is not None and len(json.dumps(self.policy, separators=(",", ":"))) > MOST_OF_POLICY:
            yield Problem(("policy",), f"has more than {MOST_OF_POLICY} characters as JSON")
        variables: dict[str, str] = {}
        for path, methods in self.paths.items():
            yield from _siblings(path, variables)
            for verb, method in methods.items():
                yield from _check_method(path, verb, method)
                for problem in check_named(method, self.authorizers):
                    yield Problem(("paths", path, verb, *problem.path), problem.text)
        yield from check_key_methods(self)
        named = [(path, verb) for path, verb, _ in self.methods()]
        for name, stage in self.stages.items():
            for problem in check_keys(stage.method_settings, named):
                yield Problem(("stages", name, "methodSettings", *problem.path), problem.text)
        yield from check_caching(self)


def preflight(cors: Cors, methods: Iterable[VerbName]) -> Method:
    """The OPTIONS method of a resource with these methods, as API Gateway's console makes it."""
    used: set[str] = {*VERBS[1:]} if "ANY" in methods else {*methods, "OPTIONS"}
    said = {
        "Allow-Methods": ",".join(cors.allow_methods or sorted(used)),
        "Allow-Headers": ",".join(cors.allow_headers),
    }
    if cors.max_age is not None:
        said["Max-Age"] = str(cors.max_age)
    mapped = {f"method.response.header.Access-Control-{name}": f"'{value}'" for name, value in said.items() if value}
    integration = {
        "type": "MOCK",
        "requestTemplates": {"application/json": '{"statusCode": 200}'},
        "integrationResponses": {"200": {"responseParameters": mapped}},
    }
    return Method.model_validate({"integration": integration})


def _unknown(method: Mapping[str, Any], data: Mapping[str, Any]) -> Iterator[Problem]:
    """Names in a method that nothing answers to."""
    named = {"integration": "integrations", "requestValidator": "requestValidators", "authorizer": "authorizers"}
    ids = (("requestValidatorId", "requestValidators"), ("authorizerId", "authorizers"))
    for key, where in (*named.items(), *ids):
        name, known = method.get(key), data.get(where) or {}
        if isinstance(name, str) and isinstance(known, dict) and name not in known:
            near = did_you_mean(name, known) or f"; define it under {where}"
            yield Problem((key,), f"nothing under {where} is named {shown(name)}{near}")
    models = method.get("requestModels")
    defined = data.get("models") or {}
    known_models = {*BUILT_IN, *defined} if isinstance(defined, dict) else {*BUILT_IN}
    for content_type, name in models.items() if isinstance(models, dict) else ():
        if isinstance(name, str) and name not in known_models:
            near = did_you_mean(name, known_models) or "; define it under models"
            yield Problem(("requestModels", content_type), f"no model is named {shown(name)}{near}")


def _siblings(path: str, variables: dict[str, str]) -> Iterator[Problem]:
    """Below one resource there is one variable: AWS refuses `{a}` beside `{b}` and beside `{b+}`. Above it there is
    none of its name: requests have one value by each."""
    parts = path.split("/")
    names = [part[1:-1].removesuffix("+") for part in parts if part.startswith("{")]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield Problem(("paths", path), f"{{{name}}} stands there twice, and a request has one value of it; rename one")
    for at, part in enumerate(parts):
        if part.startswith("{"):
            above = "/".join(parts[:at])
            known = variables.setdefault(above, part)
            if known != part:
                text = f"below {above or '/'} there is {known} already: one resource has one variable below it"
                yield Problem(("paths", path), text)


def _check_method(path: str, verb: str, method: Method) -> Iterator[Problem]:
    slots = set(re.findall(r"\{([^{}+]+)\+?\}", path))
    for name in method.request_parameters:
        place, parameter = name.split(".", 3)[2:]
        if place == "path" and parameter not in slots:
            yield Problem(("paths", path, verb, "requestParameters", name), f"the path has no {{{parameter}}}")
