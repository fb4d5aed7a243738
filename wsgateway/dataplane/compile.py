"""Definitions to what executes: every route an Operation, every stage one value that is swapped as a whole."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from wsgateway.authorizers.base import Use
from wsgateway.dataplane.access_log import AccessLog, check_access_log
from wsgateway.dataplane.admit import Admit, in_turn
from wsgateway.dataplane.authorization import (
    Authorizers,
    asked,
    authorize_of,
    authorizer_uses,
    check_asked,
    check_authorizers,
    renew_of,
)
from wsgateway.dataplane.buckets import Buckets
from wsgateway.dataplane.checks import checks_of
from wsgateway.dataplane.compiled import CompiledStage, Deployment, Operation
from wsgateway.dataplane.endpoint import Endpoints
from wsgateway.dataplane.execution_log import logging_of
from wsgateway.dataplane.meters import Meters
from wsgateway.dataplane.origins import compile_origins
from wsgateway.dataplane.plans import StagePlans
from wsgateway.dataplane.renewal import check_refresh, renewal, renewed, takes_tickets, token_reader
from wsgateway.dataplane.response_cache import ResponseCache
from wsgateway.dataplane.rest_deploy import RestCompiler
from wsgateway.dataplane.secrets import secrets_of
from wsgateway.dataplane.throttle import Throttle
from wsgateway.dataplane.validation import check_models, models_of
from wsgateway.dataplane.vpc_endpoints import VpcEndpoints
from wsgateway.errors import AccessDenied, ApiConfigurationError, DefinitionError, Problem
from wsgateway.integrations.base import IntegrationType, Site
from wsgateway.invocation import CONTEXT, EventType, Invocation
from wsgateway.messages import EndpointResponse
from wsgateway.model.base import Path
from wsgateway.model.definitions import Definitions
from wsgateway.model.explain import in_words
from wsgateway.model.integration import Integration
from wsgateway.model.loader import Loaded
from wsgateway.model.rest import RestApi
from wsgateway.model.stage import Stage
from wsgateway.model.websocket import Route, WebSocketApi
from wsgateway.templates.expression import ExpressionError
from wsgateway.templates.jmes import compile_rule
from wsgateway.templates.messagepack import FORMATS
from wsgateway.templates.schema import Models
from wsgateway.templates.selection import RESERVED, route_table

EVENT_TYPES = {"$connect": EventType.CONNECT, "$disconnect": EventType.DISCONNECT}


def compile_deployment(
    loaded: Loaded,
    types: Mapping[str, IntegrationType],
    authorizers: Authorizers,
    buckets: Buckets,
    meters: Meters,
    cache: ResponseCache,
) -> Deployment:
    """Compile every API and stage; what limits them takes from `buckets` and `meters`, `cache` keeps answers.

    *Raises* DefinitionError with every problem, each with its line.
    """
    definitions = loaded.definitions
    problems: list[Problem] = []
    stages: dict[tuple[str, str], CompiledStage] = {}
    uses: list[tuple[Integration, Site]] = []
    authorized: list[Use] = []
    made = RestCompiler(types, authorizers, buckets, meters, cache)(loaded)
    for api_id, api in definitions.websocket_apis.items():
        models = models_of(api_id, api)
        found = list(_check(api_id, api, models, types, authorizers, definitions))
        problems.extend(found)
        if not found:
            uses.extend(_uses(api_id, api, definitions))
            uses.extend(asked(api_id, api, definitions))
            authorized.extend(authorizer_uses(api_id, api))
            for name, stage in api.stages.items():
                stages[api_id, name] = _compile(
                    api_id, api, models, name, stage, types, authorizers, buckets, meters, definitions
                )
    if problems or made.problems:
        located = dict.fromkeys([*made.problems, *map(loaded.source.locate, problems)])
        raise DefinitionError(sorted(located, key=lambda found: found.line))
    rest_apis = definitions.rest_apis
    return Deployment(
        stages,
        _endpoints(definitions, definitions.websocket_apis, "WEBSOCKET"),
        loaded.digest,
        (*made.uses, *uses),
        (*made.authorized, *authorized),
        definitions.plans,
        made.stages,
        _endpoints(definitions, {name: api for name, api in rest_apis.items() if not api.private}, "REST"),
        _endpoints(definitions, {name: api for name, api in rest_apis.items() if api.private}, "REST"),
        VpcEndpoints(definitions.vpc_endpoints),
    )


def _endpoints(
    definitions: Definitions, apis: Mapping[str, WebSocketApi] | Mapping[str, RestApi], protocol: str
) -> Endpoints:
    """How requests find the APIs of one protocol."""
    domains = {
        name: {key: (mapping.api, mapping.stage) for key, mapping in domain.mappings.items() if mapping.api in apis}
        for name, domain in definitions.domains.items()
    }
    aliases = {
        f"{api_id}-{name}": api_id
        for api_id, api in apis.items()
        if isinstance(api, RestApi) and api.endpoint_configuration is not None
        for name in api.endpoint_configuration.vpc_endpoint_ids or ()
    }
    return Endpoints(
        {api_id: frozenset(api.stages) for api_id, api in apis.items()},
        definitions.default(protocol, apis),
        {name: mappings for name, mappings in domains.items() if mappings},
        frozenset(api_id for api_id, api in apis.items() if api.disable_execute_api_endpoint),
        aliases,
    )


def _check(
    api_id: str,
    api: WebSocketApi,
    models: Models,
    types: Mapping[str, IntegrationType],
    authorizers: Authorizers,
    definitions: Definitions,
) -> Iterator[Problem]:
    root = ("apis", api_id)
    try:
        route_table(api.route_selection_expression, {}, None)
    except ExpressionError as error:
        yield Problem((*root, "routeSelectionExpression"), str(error))
    for problem in check_models(models, api):
        yield Problem((*root, *problem.path), problem.text)
    for problem in (*check_authorizers(api, authorizers), *check_refresh(api)):
        yield Problem((*root, *problem.path), problem.text)
    yield from _by_stage(
        api,
        root,
        [
            (name, problem)
            for name, stage in api.stages.items()
            for problem in check_asked(api_id, api, stage, types, definitions)
        ],
    )
    for name, stage in api.stages.items():
        for problem in check_access_log(stage.access_log_settings, CONTEXT):
            yield Problem((*root, "stages", name, *problem.path), problem.text)
    for key, route in api.routes.items():
        if route.allow is not None:
            try:
                compile_rule(route.allow)
            except ExpressionError as error:
                yield Problem((*root, "routes", key, "allow"), str(error))
        integration = api.integration_of(route)
        if integration is None:
            continue
        found = []
        for name, stage in api.stages.items():
            site = _site(api_id, api, key, route, stage, definitions)
            found += [(name, problem) for problem in types[integration.integration_type].check(integration, site)]
        yield from _by_stage(api, (*root, *api.integration_path(key)), found)


def _by_stage(api: WebSocketApi, root: Path, found: Iterable[tuple[str, Problem]]) -> Iterator[Problem]:
    """Problems of stages, each once: where it is not one of all of them, it says of which."""
    stages: dict[tuple[Path, str], dict[str, None]] = {}
    for name, problem in found:
        stages.setdefault((problem.path, problem.text), {})[name] = None
    for (path, text), names in stages.items():
        yield Problem((*root, *path), text if len(names) == len(api.stages) else _in_stages(text, list(names)))


def _in_stages(text: str, names: list[str]) -> str:
    """A problem's text that also says in which stages it is one."""
    said, *place = text.split("\n")
    where = f"in stage {names[0]}" if len(names) == 1 else f"in stages {in_words(names)}"
    return "\n".join([f"{said} ({where})", *place])


def _uses(api_id: str, api: WebSocketApi, definitions: Definitions) -> Iterator[tuple[Integration, Site]]:
    for key, route in api.routes.items():
        integration = api.integration_of(route)
        if integration is not None:
            for stage in api.stages.values():
                yield integration, _site(api_id, api, key, route, stage, definitions)


def _compile(
    api_id: str,
    api: WebSocketApi,
    models: Models,
    name: str,
    stage: Stage,
    types: Mapping[str, IntegrationType],
    authorizers: Authorizers,
    buckets: Buckets,
    meters: Meters,
    definitions: Definitions,
) -> CompiledStage:
    throttle = Throttle(buckets, definitions, api_id, name)
    plans = StagePlans(definitions, api_id, name, buckets, meters)

    def admit_of(key: str) -> Admit | None:
        asked, limits = plans.admits(key), throttle.admit(key)
        first, last = ((), ()) if asked is None else (asked[:1], asked[1:])
        return in_turn((*first, *(() if limits is None else (limits,)), *last))

    operations: dict[str, Operation] = {}
    secrets = secrets_of(api)
    for key, route in api.routes.items():
        integration = api.integration_of(route)
        site = _site(api_id, api, key, route, stage, definitions)
        checks = tuple(checks_of(route, models, api))
        admit = admit_of(key)
        if route.refresh is not None:
            token = token_reader(route.refresh, api.binary_message_format)
            whose = api.routes["$connect"].authorizer_name or ""
            renew = renewal(renew_of(api_id, api, name, definitions, authorizers, token), whose)
            admit = renew if admit is None else in_turn([admit, renew])
        if integration is not None:
            call = types[integration.integration_type].compile(integration, site)
        elif key in EVENT_TYPES:
            # AWS: $connect without a target is accepted, $disconnect without one does nothing; what $connect
            # declares as required is checked all the same.
            call = _nothing
            if key == "$disconnect" or not (admit or checks or route.authorizes):
                continue
        else:
            call = _no_target if route.refresh is None else renewed
        logging = logging_of(stage.settings_of(key), secrets, hide=route.refresh is not None)
        at_least_once = route.delivery == "AT_LEAST_ONCE"
        asking = route if route.refresh is None else api.routes["$connect"]
        operations[key] = Operation(
            key,
            checks,
            call,
            site.two_way,
            at_least_once,
            authorize_of(api_id, api, key, route, name, definitions, authorizers),
            logging,
            authorizer=asking.authorizer_name or asking.authorization_type or "",
            admit=admit,
            by_function=integration is not None and integration.integration_type == "AWS_PROXY",
        )
    if "$connect" not in api.routes and (admit := admit_of("$connect")) is not None:
        operations["$connect"] = Operation("$connect", (), _nothing, False, admit=admit)
    # No match is an operation too: AWS counts and logs it, and answers Forbidden.
    default = operations.get("$default") or Operation(
        "$default",
        (),
        _no_route,
        False,
        logging=logging_of(stage.settings_of("$default")),
        admit=admit_of("$default"),
    )
    custom = {key: operation for key, operation in operations.items() if key not in RESERVED}
    expression, binary_format = api.route_selection_expression, api.binary_message_format
    select = route_table(expression, custom, default)
    select_binary = (
        select if binary_format == "JSON" else route_table(expression, custom, default, FORMATS[binary_format])
    )
    return CompiledStage(
        api_id=api_id,
        name=name,
        quotas=api.quotas,
        variables=dict(stage.stage_variables),
        select=select,
        select_binary=select_binary,
        connect=operations.get("$connect"),
        disconnect=operations.get("$disconnect"),
        sequential=api.message_ordering == "SEQUENTIAL",
        takes_tickets=takes_tickets(api),
        operations={default.key: default} | operations,
        together=frozenset(key for key in {*api.routes, "$default"} if not stage.has_detailed_metrics(key)),
        on_limit=stage.throttle.on_limit,
        account=throttle.account,
        access=None if stage.access_log_settings is None else AccessLog(stage.access_log_settings, CONTEXT),
        check_origin=None if stage.allowed_origins is None else compile_origins(stage.allowed_origins),
    )


def _site(api_id: str, api: WebSocketApi, key: str, route: Route, stage: Stage, definitions: Definitions) -> Site:
    event_type = EVENT_TYPES.get(key, EventType.MESSAGE)
    return Site(
        api_id=api_id,
        definition=api.integration_path(key),
        route_key=key,
        event_type=event_type,
        stage_variables=stage.stage_variables,
        quotas=api.quotas,
        two_way=route.two_way and event_type is EventType.MESSAGE,
        binary_format=api.binary_message_format,
        functions=frozenset(definitions.functions),
        roles=definitions.roles,
        vpc_links=definitions.vpc_links,
    )


def _nothing(invocation: Invocation) -> EndpointResponse:
    return EndpointResponse(200)


def _no_target(invocation: Invocation) -> EndpointResponse:
    raise ApiConfigurationError(f"route {invocation.route_key} has no integration")


def _no_route(invocation: Invocation) -> EndpointResponse:
    raise AccessDenied("no route of the API matches the message and there is no $default route")
