"""REST definitions to what executes: every method of every resource, checked and compiled for each stage."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from wsgateway.bodies import UNCOUNTED_BYTES
from wsgateway.dataplane.access_log import AccessLog, check_access_log
from wsgateway.dataplane.admit import Admit, in_turn
from wsgateway.dataplane.authorization import Authorizers
from wsgateway.dataplane.buckets import Buckets
from wsgateway.dataplane.cached_method import cached
from wsgateway.dataplane.execution_log import logging_of
from wsgateway.dataplane.finish import Finish
from wsgateway.dataplane.gateway_responses import GatewayResponses, check_gateway_responses
from wsgateway.dataplane.meters import Meters
from wsgateway.dataplane.method_authorization import (
    authorization_of,
    check_method_authorizers,
    check_policy,
    claimed_of,
    policy_of,
)
from wsgateway.dataplane.plans import StagePlans
from wsgateway.dataplane.resources import ANY, Resources
from wsgateway.dataplane.response_cache import ResponseCache
from wsgateway.dataplane.rest_compiled import CompiledMethod, CompiledRestStage
from wsgateway.dataplane.secrets import secrets_of_method
from wsgateway.dataplane.throttle import Throttle
from wsgateway.errors import ApiConfigurationError, BadRequest, BadRequestBody, Problem
from wsgateway.integrations.base import IntegrationType, Site
from wsgateway.integrations.lambda_place import target_of
from wsgateway.integrations.mapping.media import sent
from wsgateway.invocation import EventType
from wsgateway.method_request import OF_ANY, MethodRequest
from wsgateway.model.base import Path
from wsgateway.model.definitions import Definitions
from wsgateway.model.integration import Integration
from wsgateway.model.quotas import Limits, resolve
from wsgateway.model.rest import MOST_KEPT_BYTES, VERBS, Method, RestApi, VerbName
from wsgateway.model.rest_integration import RestIntegration
from wsgateway.model.rest_stage import RestStage
from wsgateway.templates.schema import Models, Validator

Check = Callable[[MethodRequest], None]


def check_rest(
    api_id: str,
    api: RestApi,
    types: Mapping[str, IntegrationType],
    authorizers: Authorizers,
    definitions: Definitions,
) -> Iterator[Problem]:
    """Every problem of one REST API; paths start at the file's root."""
    root: Path = ("apis", api_id)
    models = models_of(api_id, api)
    for problem in (*models.problems, *check_gateway_responses(api.gateway_responses)):
        yield Problem((*root, *problem.path), problem.text)
    in_policy = check_policy(api_id, api, authorizers)
    for problem in (*in_policy, *check_method_authorizers(api_id, api, types, authorizers, definitions)):
        yield Problem((*root, *problem.path), problem.text)
    for name, stage in api.stages.items():
        for problem in check_access_log(stage.access_log_settings, MethodRequest.variables):
            yield Problem((*root, "stages", name, *problem.path), problem.text)
    for path, verb, method in api.methods():
        integration = api.integration_of(method)
        found: dict[tuple[Path, str], dict[str, None]] = {}
        for name, stage in api.stages.items():
            site = site_of(api_id, api, path, verb, stage, definitions)
            for problem in (
                *types[integration.type].check(integration.common, site),
                *_unstreamed(integration, site, definitions),
            ):
                problem = integration.renamed(problem)
                found.setdefault((problem.path, problem.text), {})[name] = None
        for at, text in found:
            yield Problem((*root, *api.integration_path(path, verb), *at), text)


def _unstreamed(integration: RestIntegration, site: Site, definitions: Definitions) -> Iterator[Problem]:
    """A function that can't stream its answers."""
    if site.streams and integration.type == "AWS_PROXY":
        try:
            function = definitions.functions.get(target_of(integration.common, site).name)
        except ValueError:
            return  # told by its type
        if function is not None and function.language == "python":
            text = f"{function.runtime} has no way to stream, on AWS neither; nodejs and provided runtimes have"
            yield Problem(("responseTransferMode",), text)


def compile_rest(
    api_id: str,
    api: RestApi,
    name: str,
    types: Mapping[str, IntegrationType],
    authorizers: Authorizers,
    definitions: Definitions,
    buckets: Buckets,
    meters: Meters,
    cache: ResponseCache,
    *,
    cache_name: str,
    deployment_id: str,
) -> CompiledRestStage:
    """One stage, which is limited by `buckets` and `meters`, and keeps answers in `cache` under `cache_name`.

    Only for what `check_rest` found nothing wrong with.
    """
    stage = api.stages[name]
    throttle = Throttle(buckets, definitions, api_id, name)
    plans = StagePlans(definitions, api_id, name, buckets, meters)
    models = models_of(api_id, api)
    policy = policy_of(api_id, api, authorizers)
    paths: dict[str, dict[str, CompiledMethod]] = {}
    for path, verb, method in api.methods():
        site = site_of(api_id, api, path, verb, stage, definitions)
        integration = api.integration_of(method)
        call = types[integration.type].compile(integration.common, site)
        keeping = cached(call, cache, (api_id, cache_name), api.stages[name], api, path, verb, integration)
        made = verb not in api.paths[path]  # by `cors`: browsers ask before they may show who they are
        authorize = authorization_of(api_id, api, method, name, definitions, authorizers, None if made else policy)
        paths.setdefault(path, {})[verb] = CompiledMethod(
            resource=path,
            route_keys={each: f"{each} {path}" for each in (sorted(OF_ANY) if verb == ANY else [verb])},
            checks=tuple(_checks(api, method, models)),
            integrate=keeping or call,
            traced=integration.type not in ("HTTP_PROXY", "MOCK"),
            passes=integration.type == "HTTP_PROXY"
            and keeping is None
            and integration.retry is None
            and not method.signed
            and not _reads_body(api, method),
            admit=_admit(f"{verb} {path}", authorize, plans, throttle),
            authorizer=method.authorizer_name or ("AWS_IAM" if method.signed else ""),
            claimed=claimed_of(method, authorizers),
            logging=logging_of(stage.settings_of(path, verb), secrets_of_method(api, method)),
            by_function=integration.type == "AWS_PROXY",
        )
    return CompiledRestStage(
        api_id=api_id,
        name=name,
        variables=dict(stage.variables),
        resources=Resources(paths),
        gateway_responses=GatewayResponses(api.gateway_responses),
        binary_media_types=tuple(api.binary_media_types),
        max_body_bytes=min(api.max_body_bytes, MOST_KEPT_BYTES),
        max_upload_bytes=api.max_body_bytes,
        at_once_bytes=min(api.max_body_bytes, UNCOUNTED_BYTES),
        access=None
        if stage.access_log_settings is None
        else AccessLog(stage.access_log_settings, MethodRequest.variables),
        finish=Finish(api.cors, api.minimum_compression_size)
        if api.cors is not None or api.minimum_compression_size is not None
        else None,
        quotas=resolve(api.profile, Limits()),
        edge=api.endpoint_configuration is not None and api.endpoint_configuration.edge,
        together=frozenset(_together(api, stage)),
        cache=(api_id, cache_name) if stage.cache_cluster_enabled else None,
        deployment_id=deployment_id,
    )


def _together(api: RestApi, stage: RestStage) -> Iterator[str]:
    """Methods that are counted together, as requests have them: in place of ANY each verb that no other one answers."""
    methods = {(path, verb) for path, verb, _ in api.methods()}
    for path, verb in methods:
        if not stage.settings_of(path, verb).metrics_enabled:
            meant = [each for each in VERBS if (path, each) not in methods] if verb == "ANY" else []
            yield from (f"{each} {path}" for each in (verb, *meant))


def _admit(key: str, authorize: Admit | None, plans: StagePlans, throttle: Throttle) -> Admit | None:
    """What a request of a method has to pass, in API Gateway's order; an address's own limit comes before whoever is
    asked who it is, and a quota last."""
    asked = plans.admits(key)
    first, last = (None, None) if asked is None else asked
    each = (throttle.admit_source(), authorize, first, throttle.admit(key), last)
    return in_turn([admit for admit in each if admit is not None])


def uses_of(api_id: str, api: RestApi, definitions: Definitions) -> Iterator[tuple[Integration, Site]]:
    """Every integration of the API at every place it is used."""
    for path, verb, method in api.methods():
        for stage in api.stages.values():
            yield api.integration_of(method).common, site_of(api_id, api, path, verb, stage, definitions)


def models_of(api_id: str, api: RestApi) -> Models:
    """The models of an API, read and checked."""
    return Models(api_id, api.models, strict=True)


def site_of(api_id: str, api: RestApi, path: str, verb: VerbName, stage: RestStage, definitions: Definitions) -> Site:
    """Where the integration of a method is used."""
    quotas = resolve(api.profile, Limits())
    method = api.paths[path].get(verb)
    return Site(
        api_id=api_id,
        definition=api.integration_path(path, verb),
        route_key=f"{verb} {path}",
        event_type=EventType.REQUEST,
        stage_variables=stage.variables,
        quotas=replace(quotas, max_message_bytes=10 * 1024 * 1024),
        two_way=True,
        functions=frozenset(definitions.functions),
        roles=definitions.roles,
        vpc_links=definitions.vpc_links,
        binary_media_types=tuple(api.binary_media_types),
        streams=method is not None and api.integration_of(method).response_transfer_mode == "STREAM",
        variables_elsewhere=frozenset().union(*[each.variables for each in api.stages.values()]),
        operation_name="" if method is None else method.operation_name or "",
    )


def _reads_body(api: RestApi, method: Method) -> bool:
    """Whether its validator wants the whole body."""
    return method.validator_name is not None and api.request_validators[method.validator_name].validate_request_body


def _checks(api: RestApi, method: Method, models: Models) -> Iterator[Check]:
    """What its request validator holds against a request: parameters first, then the body."""
    if method.validator_name is None:
        return
    validator = api.request_validators[method.validator_name]
    required = sorted(name for name, needed in method.request_parameters.items() if needed)
    if validator.validate_request_parameters and required:
        yield _required(required)
    if validator.validate_request_body and method.request_models:
        yield _body(method, models)


def _required(names: list[str]) -> Check:
    """API Gateway developer guide, "Request validation for REST APIs": they are there, and not blank."""
    places = [name.split(".", 3)[2:] for name in names]

    def check(request: MethodRequest) -> None:
        missing = [name for place, name in places if not (_value(request, place, name) or "").strip()]
        if request.trace is not None:
            request.trace.note("parameters", {"required": names, "missing": missing})
        if missing:
            fault = BadRequest(f"the request lacks {', '.join(missing)}")
            fault.detail = f"Missing required request parameters: [{', '.join(missing)}]"
            raise fault

    return check


def _value(request: MethodRequest, place: str, name: str) -> str | None:
    match place:
        case "path":
            return request.path_parameter(name)
        case "header":
            return (request.header(name) or [""])[-1]
        case _:
            return (request.querystring(name) or [""])[-1]


def _body(method: Method, models: Models) -> Check:
    def validator(name: str) -> Callable[[bytes], str | None]:
        try:
            return models.validator(name)
        except ValueError as error:
            raise ApiConfigurationError(f"model {name} can't be used: {error}") from error

    validators = {media.lower(): validator(name) for media, name in method.request_models.items()}
    usual = validators.get("$default")

    def check(request: MethodRequest) -> None:
        validate = validators.get(sent(request), usual)
        fault = None if validate is None else validate(request.payload or b"{}")
        if request.trace is not None:
            model = validate.name if isinstance(validate, Validator) else None
            request.trace.note("model", {"model": model, "valid": fault is None, "errors": fault})
        if fault is not None:
            request.validation_error = fault
            error = BadRequestBody(f"the body does not fit its model: {fault}")
            error.detail = "Invalid request body"
            raise error

    return check
