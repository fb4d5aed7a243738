"""A WebSocket API: its routes, integrations and stages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar, Literal

from annotated_types import MaxLen, MinLen
from pydantic import Field, PlainValidator, TypeAdapter, ValidationInfo

from wsgateway.errors import Problem
from wsgateway.model.authorization import check_authorization, check_refresh
from wsgateway.model.authorizer import Authorizer, AuthorizerName
from wsgateway.model.base import Among, Definition, Matches, Path
from wsgateway.model.compression import Compression
from wsgateway.model.explain import did_you_mean, fault, shown, wrong_kind
from wsgateway.model.integration import Integration
from wsgateway.model.key_source import KeySource, check_key_routes
from wsgateway.model.models import BUILT_IN, Model, ModelName
from wsgateway.model.quotas import Limits, Profile, Quotas, resolve
from wsgateway.model.stage import Stage, StageName

TARGET = "integrations/"

IntegrationName = Annotated[
    str, Matches(r"[A-Za-z0-9_.-]{1,64}", "an integration's name is 1 to 64 letters, digits and _.-")
]

RouteKey = Annotated[
    str,
    Matches(
        r"\$(?:connect|disconnect|default)|[^$\x00-\x1f\x7f][^\x00-\x1f\x7f]{0,127}",
        "a route key is $connect, $disconnect, $default, or 1 to 128 characters not beginning with $",
    ),
]

BinaryMessageFormat = Literal["JSON", "MESSAGEPACK"]
Delivery = Literal["AT_LEAST_ONCE", "AT_MOST_ONCE"]

ParameterName = Annotated[
    str,
    Matches(
        r"route\.request\.(?:querystring|header)\.[A-Za-z0-9._$-]+",
        "a parameter is written route.request.querystring.NAME or route.request.header.NAME",
    ),
]

_name: TypeAdapter[str] = TypeAdapter(IntegrationName)


class Parameter(Definition):
    """A parameter of the upgrade request, AWS's long form."""

    required: bool
    """Whether a request without it is refused."""


ModelKey = Annotated[str, Matches(r"[\s\S]{1,128}", "a key that modelSelectionExpression gives, or $default")]
RequestModels = Mapping[ModelKey, ModelName]

SelectionExpression = Annotated[str, MinLen(1), MaxLen(1024)]


class RouteResponse(Definition):
    """A route's way back to the client. That it is there makes the route two-way."""

    response_models: RequestModels = Field(default_factory=dict)
    """Models of replies, for people and tools: as on AWS, no reply is held against them."""
    model_selection_expression: SelectionExpression | None = None
    """What would pick one of them; as on AWS it is never evaluated."""

    not_yet: ClassVar[frozenset[str]] = frozenset({"responseParameters"})


def _named_or_inline(value: object, info: ValidationInfo) -> str | Integration:
    match value:
        case str():
            return _name.validate_python(value)
        case dict() | Integration():
            return Integration.model_validate(value, context=info.context)
    raise fault(wrong_kind("the name of an integration, or an integration", value))


def _is_required(value: object) -> bool:
    match value:
        case bool():
            return value
        case dict() | Parameter():
            return Parameter.model_validate(value).required
    raise fault(wrong_kind("true, false or {required: true}", value))


class Route(Definition):
    """What happens to the messages that select this route. Without an integration they are answered with an error."""

    integration: (
        Annotated[
            str | Integration, PlainValidator(_named_or_inline, json_schema_input_type=IntegrationName | Integration)
        ]
        | None
    ) = None
    """The integration that gets the messages: a name from `integrations`, or the integration itself."""
    target: (
        Annotated[str, Matches(r"integrations/[A-Za-z0-9_.-]{1,64}", "a target is written integrations/NAME")] | None
    ) = None
    """AWS's form of `integration`: `integrations/NAME`."""
    route_response: bool | None = None
    """true makes the route two-way: what the integration answers goes back to the client."""
    route_responses: Annotated[Mapping[Literal["$default"], RouteResponse], MinLen(1)] | None = None
    """AWS's form of `routeResponse: true`: `{$default: {}}`."""
    route_response_selection_expression: Annotated[Literal["$default"], Among(("$default",))] | None = None
    """AWS's only value is $default; it doesn't make a route two-way, `routeResponse` does."""
    operation_name: Annotated[str, MinLen(1), MaxLen(64)] | None = None
    """A label for people."""
    description: Annotated[str, MaxLen(1024)] | None = None
    """What the route is for. (Ours.)"""
    authorization_type: (
        Annotated[Literal["NONE", "AWS_IAM", "CUSTOM", "JWT"], Among(("NONE", "AWS_IAM", "CUSTOM", "JWT"))] | None
    ) = None
    """Who may connect, on $connect: NONE, everyone; AWS_IAM, who signs; CUSTOM or JWT, who the authorizer lets in."""
    authorizer: AuthorizerName | None = None
    """On $connect: the name of one of `authorizers`. Short for authorizationType and authorizerId."""
    authorizer_id: AuthorizerName | None = None
    """AWS's form of `authorizer`; it needs authorizationType."""
    authorization_scopes: Annotated[list[Annotated[str, MinLen(1), MaxLen(256)]], MaxLen(20)] = Field(
        default_factory=list
    )
    """Of a JWT authorizer: a token needs at least one of these in its `scope` or `scp`."""
    api_key_required: bool = False
    """true asks for an API key of a usage plan: on $connect; on other routes that the key of $connect is good still."""
    request_parameters: Mapping[
        ParameterName, Annotated[bool, PlainValidator(_is_required, json_schema_input_type=bool | Parameter)]
    ] = Field(default_factory=dict)
    """On $connect: parameters of the upgrade request that integrations map, and whether each is required."""
    allow: Annotated[str, MinLen(1), MaxLen(1024)] | None = None
    """A JMESPath rule that must give true, such as contains(authorizer.rooms, body.room); else Forbidden. (Ours.)"""
    refresh: SelectionExpression | None = None
    """Where messages have another token of their client, such as $request.body.token; it is in force from then on. \
(Ours.)"""
    model_selection_expression: SelectionExpression | None = None
    """Picks the model a message must fit: `\\$default` for one model, $request.body.type for one of several."""
    request_models: RequestModels = Field(default_factory=dict)
    """Names of `models` by what modelSelectionExpression gives; `$default` stands for everything else."""
    delivery: Annotated[Delivery, Among(("AT_LEAST_ONCE", "AT_MOST_ONCE"))] = "AT_LEAST_ONCE"
    """On $disconnect: AT_LEAST_ONCE calls until there is an answer, AT_MOST_ONCE calls once. (Ours.)"""

    def check(self) -> Iterator[Problem]:
        if self.integration is not None and self.target is not None:
            yield Problem(("target",), "says what integration says; keep one of the two")
        if self.route_response is not None and self.route_responses is not None:
            yield Problem(("routeResponses",), "says what routeResponse says; keep one of the two")
        if self.request_models and self.model_selection_expression is None:
            text = (
                "has no effect without modelSelectionExpression, as on AWS; add modelSelectionExpression: '\\$default'"
            )
            yield Problem(("requestModels",), text)
        if self.model_selection_expression is not None and not self.request_models:
            text = "every message would be refused: requestModels names no model; write requestModels: {$default: NAME}"
            yield Problem(("modelSelectionExpression",), text)
        yield from self._check_authorization()

    def _check_authorization(self) -> Iterator[Problem]:
        """A route must not stand open because of a slip."""
        if self.authorizer is not None and self.authorizer_id is not None:
            yield Problem(("authorizerId",), "says what authorizer says; keep one of the two")
        named = self.authorizer or self.authorizer_id
        if named is None and self.authorization_type not in (None, "NONE", "AWS_IAM"):
            yield Problem(
                ("authorizationType",), f"{self.authorization_type} needs an authorizer; add authorizer: NAME"
            )
        if named is not None and self.authorization_type == "NONE":
            yield Problem(
                ("authorizationType",), "NONE lets everyone in, and an authorizer is named; remove one of the two"
            )
        if self.authorizer_id is not None and self.authorizer is None and self.authorization_type is None:
            yield Problem(
                ("authorizationType",), "is required with authorizerId: write CUSTOM or JWT, or authorizer in its place"
            )
        if self.authorization_scopes and named is None:
            yield Problem(("authorizationScopes",), "has no effect without an authorizer")

    @property
    def authorizer_name(self) -> str | None:
        """The authorizer that decides who connects; None where everyone may."""
        return self.authorizer or self.authorizer_id

    @property
    def authorizes(self) -> bool:
        """Whether who a client is is found out here."""
        return self.authorizer_name is not None or self.authorization_type == "AWS_IAM"

    @property
    def two_way(self) -> bool:
        """Whether what the integration answers goes back to the client. Only messages have a way back."""
        if self.refresh is not None and self.integration is None and self.target is None:
            return self.route_response is not False  # the gateway itself answers
        return bool(self.route_response or self.route_responses)

    @property
    def integration_name(self) -> str | None:
        """The name of the integration, None where it is written in the route or there is none."""
        if self.target is not None:
            return self.target.removeprefix(TARGET)
        return self.integration if isinstance(self.integration, str) else None


class WebSocketApi(Definition):
    """A WebSocket API."""

    protocol_type: Annotated[Literal["WEBSOCKET"], Among(("WEBSOCKET", "HTTP"))]
    """The kind of API: WEBSOCKET."""
    route_selection_expression: Annotated[str, MinLen(1), MaxLen(1024)]
    """Picks a message's route, such as $request.body.action."""
    name: Annotated[str, MinLen(1), MaxLen(128)] | None = None
    """A name for people."""
    description: Annotated[str, MaxLen(1024)] | None = None
    """What the API is for."""
    version: Annotated[str, MinLen(1), MaxLen(64)] | None = None
    """A label for people."""
    profile: Annotated[Profile, Among(("aws", "open"))] = "open"
    """Which limits hold: `aws` has AWS's quotas exactly, `open` larger messages, binary frames and server pings."""
    limits: Limits = Limits()
    """Limits that differ from the profile's."""
    compression: Compression | None = None
    """Compress messages with clients that offer it; `{}` has the usual settings. Only in `open`. (Ours.)"""
    api_key_selection_expression: KeySource = "$request.header.x-api-key"
    """Where clients show their API key: $request.header.x-api-key, $context.authorizer.usageIdentifierKey, or, ours, \
another header or $request.querystring.NAME."""
    message_ordering: Annotated[Literal["CONCURRENT", "SEQUENTIAL"], Among(("CONCURRENT", "SEQUENTIAL"))] = "CONCURRENT"
    """SEQUENTIAL runs the messages of one connection one at a time. (Ours.)"""
    binary_message_format: Annotated[BinaryMessageFormat, Among(("JSON", "MESSAGEPACK"))] = "JSON"
    """How binary messages are written, for expressions that read them: JSON or MESSAGEPACK. (Ours.)"""
    models: Mapping[ModelName, Model] = Field(default_factory=dict)
    """Models by name: what messages may look like. `Empty` and `Error` are there without being written."""
    disable_schema_validation: bool = False
    """true doesn't hold models against JSON Schema draft 4: what is unknown in them is passed over."""
    disable_execute_api_endpoint: bool = False
    """true lets clients in by custom domains alone."""
    stages: Annotated[Mapping[StageName, Stage], MinLen(1)]
    """The stages by name; clients connect to `/{stage}`."""
    authorizers: Annotated[Mapping[AuthorizerName, Authorizer], MaxLen(10)] = Field(default_factory=dict)
    """Authorizers that $connect names."""
    integrations: Mapping[IntegrationName, Integration] = Field(default_factory=dict)
    """Integrations that routes name."""
    routes: Annotated[Mapping[RouteKey, Route], MinLen(1)]
    """The routes by route key: $connect, $disconnect, $default, or what routeSelectionExpression gives."""

    not_yet: ClassVar[frozenset[str]] = frozenset(
        {
            "binaryMediaTypes",
            "corsConfiguration",
            "gatewayResponses",
            "ipAddressType",
            "paths",
            "policy",
            "tags",
        }
    )

    @property
    def quotas(self) -> Quotas:
        """Every limit of this API, with the profile's defaults filled in."""
        return resolve(self.profile, self.limits, self.compression)

    def integration_of(self, route: Route) -> Integration | None:
        """The integration a route hands its messages to; None when it names none."""
        if isinstance(route.integration, Integration):
            return route.integration
        name = route.integration_name
        return None if name is None else self.integrations[name]

    def integration_path(self, route_key: str) -> Path:
        """Where the integration of a route is written, from this API on."""
        name = self.routes[route_key].integration_name
        return ("routes", route_key, "integration") if name is None else ("integrations", name)

    @classmethod
    def check_names(cls, data: Mapping[str, Any]) -> Iterator[Problem]:
        integrations, authorizers = data.get("integrations") or {}, data.get("authorizers") or {}
        routes = data.get("routes")
        if not isinstance(routes, dict):
            return
        yield from _unknown_models(routes, data.get("models") or {})
        yield from _unknown_routes(data.get("stages"), routes)
        if not isinstance(integrations, dict) or not isinstance(authorizers, dict):
            return
        for key, route in routes.items():
            for field in ("authorizer", "authorizerId"):
                name = route.get(field) if isinstance(route, dict) else None
                if isinstance(name, str) and name not in authorizers:
                    near = did_you_mean(name, authorizers) or "; define it under authorizers"
                    yield Problem(("routes", key, field), f"no authorizer is named {shown(name)}{near}")
            for field, prefix in (("integration", ""), ("target", TARGET)):
                written = route.get(field) if isinstance(route, dict) else None
                if not isinstance(written, str) or not written.startswith(prefix):
                    continue
                name = written.removeprefix(prefix)
                if name not in integrations:
                    near = did_you_mean(name, integrations) or "; define it under integrations"
                    yield Problem(("routes", key, field), f"no integration is named {shown(name)}{near}")

    def check(self) -> Iterator[Problem]:
        quotas = self.quotas
        if quotas.max_frame_bytes > quotas.max_message_bytes:
            text = f"{quotas.max_frame_bytes} is more than a message may have ({quotas.max_message_bytes})"
            yield Problem(("limits", "maxFrameBytes"), text)
        if self.compression is not None and self.profile == "aws":
            text = "the aws profile negotiates no extension, as on AWS; remove it or use profile: open"
            yield Problem(("compression",), text)
        if self.binary_message_format != "JSON" and self.profile == "aws":
            text = "the aws profile takes no binary messages, as on AWS; remove it or use profile: open"
            yield Problem(("binaryMessageFormat",), text)
        for key, route in self.routes.items():
            if route.request_parameters and key != "$connect":
                text = "only $connect has a query string and headers; declare parameters there"
                yield Problem(("routes", key, "requestParameters"), text)
            if route.allow is not None and key != "$disconnect" and not self._authorizes:
                text = "nothing would be known of any client; name an authorizer on $connect, or remove the rule"
                yield Problem(("routes", key, "allow"), text)
            if route.allow is not None and key == "$disconnect":
                yield Problem(("routes", key, "allow"), "has no effect: a connection that ends asks nobody; remove it")
            if "delivery" in route.model_fields_set and key != "$disconnect":
                text = "only $disconnect can be delivered again; remove it here: all else is called once"
                yield Problem(("routes", key, "delivery"), text)
            if route.model_selection_expression is not None and key == "$disconnect":
                text = "has no effect: $disconnect has no body, and nobody is left to be refused; remove it"
                yield Problem(("routes", key, "modelSelectionExpression"), text)
        for name, stage in self.stages.items():
            if stage.throttle.per_user is not None and not self._authorizes:
                text = "nothing would be known of any user; name an authorizer on $connect, or remove it"
                yield Problem(("stages", name, "throttle", "perUser"), text)
        yield from check_authorization(self)
        yield from check_refresh(self)
        yield from check_key_routes(self)
        yield from self._check_timeouts(quotas)

    @property
    def connect_authorizer(self) -> Authorizer | None:
        """The authorizer that decides who connects; None where there is none, as with AWS_IAM."""
        connect = self.routes.get("$connect")
        name = None if connect is None else connect.authorizer_name
        return None if name is None else self.authorizers.get(name)

    @property
    def _authorizes(self) -> bool:
        """Whether who a client is is found out when it connects."""
        connect = self.routes.get("$connect")
        return connect is not None and connect.authorizes

    def _check_timeouts(self, quotas: Quotas) -> Iterator[Problem]:
        most, usual = int(quotas.max_integration_timeout * 1000), int(quotas.integration_timeout * 1000)
        places: list[tuple[Path, int | None]] = [
            (("limits", "integrationTimeoutMillis"), self.limits.integration_timeout_millis)
        ]
        for path, integration in self._written_integrations():
            places.append(((*path, "timeoutInMillis"), integration.timeout_in_millis))
            each = None if integration.retry is None else integration.retry.attempt_timeout_millis
            whole = usual if integration.timeout_in_millis is None else integration.timeout_in_millis
            if each is not None and each >= whole:
                text = f"{each} leaves no time for another attempt: timeoutInMillis is {whole}, and covers them all"
                yield Problem((*path, "retry", "attemptTimeoutMillis"), text)
        for path, millis in places:
            if millis is not None and millis > most:
                yield Problem(path, f"{millis} is too large; the {self.profile} profile allows at most {most}")

    def _written_integrations(self) -> Iterator[tuple[Path, Integration]]:
        for name, integration in self.integrations.items():
            yield ("integrations", name), integration
        for key, route in self.routes.items():
            if isinstance(route.integration, Integration):
                yield ("routes", key, "integration"), route.integration


def _unknown_models(routes: Mapping[str, Any], models: object) -> Iterator[Problem]:
    """Models that routes name and nothing defines."""
    known = {*BUILT_IN, *models} if isinstance(models, dict) else {*BUILT_IN}
    for key, route in routes.items():
        if not isinstance(route, dict):
            continue
        places: list[tuple[Path, object]] = [(("requestModels",), route.get("requestModels"))]
        responses = route.get("routeResponses")
        for name, response in responses.items() if isinstance(responses, dict) else ():
            if isinstance(response, dict):
                places.append((("routeResponses", name, "responseModels"), response.get("responseModels")))
        for path, named in places:
            for selected, name in named.items() if isinstance(named, dict) else ():
                if isinstance(name, str) and name not in known:
                    near = did_you_mean(name, known) or "; define it under models"
                    yield Problem(("routes", key, *path, selected), f"no model is named {shown(name)}{near}")


def _unknown_routes(stages: object, routes: Mapping[str, Any]) -> Iterator[Problem]:
    """Settings of stages for routes that the API has not. Events of $connect and $default are there without them."""
    for name, stage in stages.items() if isinstance(stages, dict) else ():
        settings = stage.get("routeSettings") if isinstance(stage, dict) else None
        for key in settings if isinstance(settings, dict) else ():
            if key not in routes and key not in ("$connect", "$default"):
                near = did_you_mean(key, routes) or "; define it under routes"
                yield Problem(("stages", name, "routeSettings", key), f"there is no route {shown(key)}{near}")
