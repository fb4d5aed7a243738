"""Who may call the methods of a REST API: its authorizers, checked and made ready for each stage."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from functools import partial

from wsgateway.authorizers.base import Authorize, Identity, Use
from wsgateway.authorizers.base import Site as Place
from wsgateway.authorizers.iam_authorizer import compile_iam
from wsgateway.authorizers.resource_policy import ResourcePolicy, faults, foreign
from wsgateway.authorizers.sigv4 import claim_of
from wsgateway.dataplane.admit import Admit, in_turn
from wsgateway.dataplane.authorization import Authorizers
from wsgateway.errors import Problem
from wsgateway.integrations.base import IntegrationType, Site
from wsgateway.invocation import EventType, Invocation
from wsgateway.messages import HttpRequest
from wsgateway.method_request import MethodRequest
from wsgateway.model.authorizer import Authorizer
from wsgateway.model.definitions import Definitions
from wsgateway.model.integration import Integration
from wsgateway.model.quotas import Limits, resolve
from wsgateway.model.rest import Method, RestApi

_NAMES = {"integrationUri": "authorizerUri", "credentialsArn": "authorizerCredentials"}
"""What keys of an integration are called of an authorizer."""


def check_method_authorizers(
    api_id: str,
    api: RestApi,
    types: Mapping[str, IntegrationType],
    authorizers: Authorizers,
    definitions: Definitions,
) -> Iterator[Problem]:
    """What is wrong with each, whoever it asks; paths begin at the API."""
    for name, authorizer in api.authorizers.items():
        common = authorizer.common
        found = [authorizer.renamed(each) for each in authorizers.types[common.authorizer_type].check(common)]
        backend = common.backend
        found += _unset(api, common)
        for stage_name in api.stages if backend is not None else ():
            assert backend is not None
            for problem in types[backend.integration_type].check(
                backend, _site(api_id, api, name, stage_name, definitions)
            ):
                at = tuple(_NAMES.get(str(part), part) for part in problem.path)
                text = problem.text.replace("add it to its stageVariables", "add it to its variables")
                found.append(Problem(at, text))
        for problem in dict.fromkeys(found):
            yield Problem(("authorizers", name, *problem.path), problem.text)


def _unset(api: RestApi, authorizer: Authorizer) -> Iterator[Problem]:
    """Identity sources that nobody could bring; exports of API Gateway leave the variables of stages out."""
    known = {name for stage in api.stages.values() for name in stage.variables}
    for source in authorizer.identity_source:
        place, _, name = source.partition(".")
        if place == "stageVariables" and name not in known:
            text = f"no stage has a variable {name}, and nobody would be let in; add it to the variables of a stage"
            yield Problem(("identitySource",), text)


def check_policy(api_id: str, api: RestApi, authorizers: Authorizers) -> Iterator[Problem]:
    """What is wrong with the API's own policy; paths begin at the API."""
    if api.policy is None:
        return
    found = faults(api.policy, api_id, authorizers.signers)
    for fault in found:
        yield Problem(("policy", *fault.steps), fault.problem)
    if found:
        return
    for at, resource in foreign(api.policy, api_id):
        yield Problem(("policy", *at), f"{resource} is nothing of the API {api_id}; write execute-api:/STAGE/VERB/PATH")


def policy_of(api_id: str, api: RestApi, authorizers: Authorizers) -> ResourcePolicy | None:
    """The API's own policy, which `check_policy` found nothing wrong with."""
    return None if api.policy is None else ResourcePolicy(api.policy, api_id, authorizers.signers)


def authorization_of(
    api_id: str,
    api: RestApi,
    method: Method,
    stage_name: str,
    definitions: Definitions,
    authorizers: Authorizers,
    policy: ResourcePolicy | None,
) -> Admit | None:
    """What decides who may call a method; None where everyone may.

    API Gateway developer guide, "How API Gateway resource policies affect authorization workflow": the policy denies
    before a Lambda authorizer is asked, and lets in whom that one's says nothing of; behind tokens it has to allow.
    """
    if method.signed:
        return _identifying(compile_iam(authorizers.signers, api_id, stage_name, policy=policy), "AWS_IAM")
    use = _use(api_id, api, method, stage_name)
    if use is None:
        return None if policy is None else _allowed(policy)
    authorizer, place = use
    backend, ask = authorizer.backend, None
    if backend is not None:
        site = _site(api_id, api, place.name, stage_name, definitions)
        ask = authorizers.asks[backend.integration_type](backend, site)
    admit = _identifying(authorizers.types[authorizer.authorizer_type].compile(authorizer, place, ask), place.name)
    if policy is None:
        return admit
    return in_turn([_granted(policy), admit, _permitting(policy)] if backend is not None else [admit, _allowed(policy)])


def claimed_of(method: Method, authorizers: Authorizers) -> Callable[[HttpRequest], None] | None:
    """What is asked before the body is read that is signed with a request: nobody has to hold 10 MB of strangers."""
    if not method.signed:
        return None
    signers = authorizers.signers
    return lambda request: signers.expect(claim_of(request), time.time())


def _allowed(policy: ResourcePolicy) -> Admit:
    def admit(invocation: Invocation) -> None:
        policy.let_call(_of_method(invocation))
        permitting(invocation)

    permitting = _permitting(policy)
    return admit


def _permitting(policy: ResourcePolicy) -> Admit:
    """The policy has a say in what else the client may do."""

    def admit(invocation: Invocation) -> None:
        request = _of_method(invocation)
        request.permits = partial(policy.permits, request, request.permits)

    return admit


def _granted(policy: ResourcePolicy) -> Admit:
    def admit(invocation: Invocation) -> None:
        request = _of_method(invocation)
        request.granted = policy.grants(request)

    return admit


def method_authorizer_uses(api_id: str, api: RestApi) -> Iterator[Use]:
    """Every authorizer at every place where it decides."""
    for _, _, method in api.methods():
        for stage_name in api.stages:
            use = _use(api_id, api, method, stage_name)
            if use is not None:
                yield use


def asked_by_methods(api_id: str, api: RestApi, definitions: Definitions) -> Iterator[tuple[Integration, Site]]:
    """Who is asked by authorizers, as the uses of integrations."""
    for authorizer, place in method_authorizer_uses(api_id, api):
        backend = authorizer.backend
        if backend is not None:
            yield backend, _site(api_id, api, place.name, place.stage, definitions)


def _identifying(authorize: Authorize, name: str) -> Admit:
    def admit(invocation: Invocation) -> Awaitable[None] | None:
        if invocation.trace is not None:
            invocation.trace.note("authorizer", name)
        identity = authorize(invocation)
        if isinstance(identity, Identity):
            _identified(invocation, identity)
            return None
        return later(invocation, identity)

    async def later(invocation: Invocation, pending: Awaitable[Identity]) -> None:
        _identified(invocation, await pending)

    return admit


def _identified(invocation: Invocation, identity: Identity) -> None:
    _of_method(invocation).identified = True
    client = invocation.client
    client.authorizer, client.claims, client.usage_key = identity.context, identity.claims, identity.usage_key
    if identity.identity:
        client.identity = {**client.identity, **identity.identity}
    if invocation.trace is not None:
        invocation.trace.note("identity", identity.context)


def _of_method(invocation: Invocation) -> MethodRequest:
    assert isinstance(invocation, MethodRequest)  # methods have no other events
    return invocation


def _use(api_id: str, api: RestApi, method: Method, stage_name: str) -> Use | None:
    name = method.authorizer_name
    if name is None:
        return None
    return api.authorizers[name].common, Place(
        api_id=api_id,
        stage=stage_name,
        name=name,
        route_key="",
        stage_variables=api.stages[stage_name].variables,
        ours=api.profile == "open",
        of_method=True,
        scopes=method.authorization_scopes,
    )


def _site(api_id: str, api: RestApi, name: str, stage_name: str, definitions: Definitions) -> Site:
    """Where an authorizer's backend is asked, as one of a handshake is: no method maps anything of it."""
    return Site(
        api_id=api_id,
        definition=("authorizers", name),
        route_key="",
        event_type=EventType.CONNECT,
        stage_variables=api.stages[stage_name].variables,
        quotas=resolve(api.profile, Limits()),
        two_way=False,
        functions=frozenset(definitions.functions),
        roles=definitions.roles,
        vpc_links=definitions.vpc_links,
    )
