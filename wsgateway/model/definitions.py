"""All that one file defines."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from typing import Annotated, Any, ClassVar

from annotated_types import MinLen
from pydantic import Field, PlainValidator, ValidationInfo

from wsgateway.errors import Problem
from wsgateway.model.api_key import PlanName, check_keys
from wsgateway.model.base import Definition, Matches
from wsgateway.model.credential import Credential
from wsgateway.model.domain import Domain, DomainName
from wsgateway.model.endpoint import EndpointId, VpcEndpoint, check_endpoints
from wsgateway.model.explain import did_you_mean, shown
from wsgateway.model.function import Function, FunctionName
from wsgateway.model.key_file import ApiKeys
from wsgateway.model.links import LinkName, VpcLink
from wsgateway.model.metered import Metered, metered
from wsgateway.model.rest import RestApi
from wsgateway.model.role import Role, RoleArn
from wsgateway.model.session_lookup import SessionLookup
from wsgateway.model.throttle import Account
from wsgateway.model.usage_plan import UsagePlan, check_plans, whole_plans
from wsgateway.model.websocket import WebSocketApi

ApiId = Annotated[
    str,
    Matches(r"[a-z0-9][a-z0-9-]{0,62}", "an API id is 1 to 63 lower-case letters, digits and -, not beginning with -"),
]


Api = WebSocketApi | RestApi


def _api(value: object, info: ValidationInfo) -> Api:
    """Its protocolType says what it is; where that is missing or wrong, that is the problem of a WebSocket API."""
    kind = RestApi if isinstance(value, dict) and value.get("protocolType") == "REST" else WebSocketApi
    return value if isinstance(value, WebSocketApi | RestApi) else kind.model_validate(value, context=info.context)


class Definitions(Definition):
    """What a gateway serves."""

    default_api: ApiId | None = None
    """The API served where host and path name none."""
    apis: Annotated[
        Mapping[ApiId, Annotated[Api, PlainValidator(_api, json_schema_input_type=WebSocketApi | RestApi)]], MinLen(1)
    ]
    """The APIs by apiId."""
    functions: Mapping[FunctionName, Function] = Field(default_factory=dict)
    """Local Lambda functions by name; an integration names one as `function:NAME`."""
    vpc_links: Mapping[LinkName, VpcLink] = Field(default_factory=dict)
    """VPC links by name; integrations with `connectionType: VPC_LINK` name one as `connectionId`."""
    roles: Mapping[RoleArn, Role] = Field(default_factory=dict)
    """Whose keys sign for the roles that integrations name as `credentialsArn`, by ARN. (Ours.)"""
    credentials: list[Credential] = Field(default_factory=list)
    """Who may call `@connections` on the public listener, or connect by AWS_IAM, with which signature. (Ours.)"""
    session_lookup: SessionLookup | None = None
    """Who knows the sessions that requests with a session token are signed in. (Ours.)"""
    domains: Mapping[DomainName, Domain] = Field(default_factory=dict)
    """Custom domain names: such as `chat.example.com`, or `*.example.com` for every name one label below."""
    vpc_endpoints: Mapping[EndpointId, VpcEndpoint] = Field(default_factory=dict)
    """By which networks PRIVATE REST APIs are reached, by the ids of VPC endpoints. (Ours.)"""
    api_keys: ApiKeys = Field(default_factory=list)
    """The keys that clients of what has `apiKeyRequired` show; or `file:PATH`, a CSV file of many of them."""
    usage_plans: Mapping[PlanName, UsagePlan] = Field(default_factory=dict)
    """What API keys are good for, and how much of it, by the plan's name."""

    account: Account = Account()
    """What all APIs have together."""

    not_yet: ClassVar[frozenset[str]] = frozenset({"egress"})

    @property
    def websocket_apis(self) -> Mapping[str, WebSocketApi]:
        """The WebSocket APIs by apiId."""
        return {api_id: api for api_id, api in self.apis.items() if isinstance(api, WebSocketApi)}

    @property
    def rest_apis(self) -> Mapping[str, RestApi]:
        """The REST APIs by apiId."""
        return {api_id: api for api_id, api in self.apis.items() if isinstance(api, RestApi)}

    def default(self, protocol: str, among: Container[str] | None = None) -> str | None:
        """The apiId served where none is named: `defaultApi` if it has that protocol, else the only API that has.

        APIs that are not `among` don't count.
        """
        among = self.apis if among is None else among
        having = [name for name, api in self.apis.items() if api.protocol_type == protocol and name in among]
        if self.default_api in having:
            return self.default_api
        return having[0] if len(having) == 1 else None

    @classmethod
    def check_names(cls, data: Mapping[str, Any]) -> Iterator[Problem]:
        name, apis = data.get("defaultApi"), data.get("apis")
        if isinstance(name, str) and isinstance(apis, dict) and apis and name not in apis:
            near = did_you_mean(name, apis) or f"; there are {', '.join(shown(api) for api in list(apis)[:10])}"
            yield Problem(("defaultApi",), f"no API is named {shown(name)}{near}")
        if isinstance(apis, dict):
            yield from _unknown_targets(data.get("domains"), apis)

    def check(self) -> Iterator[Problem]:
        seen: set[str] = set()
        for number, credential in enumerate(self.credentials):
            if credential.access_key_id in seen:
                text = f"{credential.access_key_id} is the key of another credential, too; a key has one secret"
                yield Problem(("credentials", number, "accessKeyId"), text)
            seen.add(credential.access_key_id)
        nobody = not self.credentials and self.session_lookup is None
        for api_id, api in self.websocket_apis.items():
            connect = api.routes.get("$connect")
            if nobody and connect is not None and connect.authorization_type == "AWS_IAM":
                text = "nobody could connect: there are no keys to sign with; add credentials, or a sessionLookup"
                yield Problem(("apis", api_id, "routes", "$connect", "authorizationType"), text)
        for api_id, rest in self.rest_apis.items():
            for path, verb, method in rest.methods():
                if nobody and method.signed:
                    text = "nobody could call it: there are no keys to sign with; add credentials, or a sessionLookup"
                    yield Problem(("apis", api_id, "paths", path, verb, "authorizationType"), text)
        yield from self._check_ways()
        for problem in check_keys(self.api_keys):
            yield Problem(("apiKeys", *problem.path), problem.text)
        yield from check_plans(self.plans, self.api_keys, self.metered)

    @property
    def metered(self) -> Mapping[str, Metered]:
        """The APIs as usage plans see them."""
        return {api_id: metered(api) for api_id, api in self.apis.items()}

    def _check_ways(self) -> Iterator[Problem]:
        """Domains and VPC endpoints that lead nowhere."""
        for problem in check_endpoints(dict(self.vpc_endpoints)):
            yield Problem(("vpcEndpoints", *problem.path), problem.text)
        for api_id, rest in self.rest_apis.items():
            named = (rest.endpoint_configuration and rest.endpoint_configuration.vpc_endpoint_ids) or ()
            for number, name in enumerate(named):
                if name not in self.vpc_endpoints:
                    near = did_you_mean(name, self.vpc_endpoints) or "; define it under vpcEndpoints"
                    at = ("apis", api_id, "endpointConfiguration", "vpcEndpointIds", number)
                    yield Problem(at, f"no VPC endpoint is named {shown(name)}{near}")
        for domain_name, domain in self.domains.items():
            for key, mapping in domain.mappings.items():
                path = ("domains", domain_name, "mappings", key)
                api = self.apis.get(mapping.api)
                if isinstance(api, RestApi) and api.private:
                    text = f"{mapping.api} is PRIVATE, and the internal listener alone leads to it; remove the mapping"
                    yield Problem((*path, "api"), text)

    @property
    def plans(self) -> dict[str, UsagePlan]:
        """The usage plans, each with all of its keys."""
        return whole_plans(self.usage_plans, self.api_keys)


def _unknown_targets(domains: object, apis: Mapping[str, Any]) -> Iterator[Problem]:
    """Mappings of domains that name an API or a stage which isn't there."""
    for domain, defined in domains.items() if isinstance(domains, dict) else ():
        mappings = defined.get("mappings") if isinstance(defined, dict) else None
        for key, mapping in mappings.items() if isinstance(mappings, dict) else ():
            if not isinstance(mapping, dict):
                continue
            path = ("domains", domain, "mappings", key)
            name, stage = mapping.get("api"), mapping.get("stage")
            api = apis.get(name) if isinstance(name, str) else None
            stages = api.get("stages") if isinstance(api, dict) else None
            if isinstance(name, str) and name not in apis:
                near = did_you_mean(name, apis) or "; define it under apis"
                yield Problem((*path, "api"), f"no API is named {shown(name)}{near}")
            elif isinstance(api, dict) and "stage" not in mapping and api.get("protocolType") != "REST":
                yield Problem((*path, "stage"), "is required: the name of a stage of that API")
            elif isinstance(stage, str) and isinstance(stages, dict) and stage not in stages:
                near = did_you_mean(stage, stages) or f"; there are {', '.join(shown(each) for each in stages)}"
                yield Problem((*path, "stage"), f"API {shown(name)} has no stage {shown(stage)}{near}")
