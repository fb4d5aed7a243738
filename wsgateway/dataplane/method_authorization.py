"""Who may call the methods of a REST API: its authorizers, checked and made ready for each stage."""

from __future__ import annotations

from collections.abc import Awaitable, Iterator, Mapping

from wsgateway.authorizers.base import Authorize, Identity, Use
from wsgateway.authorizers.base import Site as Place
from wsgateway.authorizers.iam_authorizer import compile_iam
from wsgateway.dataplane.admit import Admit
from wsgateway.dataplane.authorization import Authorizers
from wsgateway.errors import Problem
from wsgateway.integrations.base import IntegrationType, Site
from wsgateway.invocation import EventType, Invocation
from wsgateway.method_request import MethodRequest
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


def authorization_of(
    api_id: str, api: RestApi, method: Method, stage_name: str, definitions: Definitions, authorizers: Authorizers
) -> Admit | None:
    """What decides who may call a method; None where everyone may."""
    if method.signed:
        return _identifying(compile_iam(authorizers.signers, api_id, stage_name, closing=False))
    use = _use(api_id, api, method, stage_name)
    if use is None:
        return None
    authorizer, place = use
    backend, ask = authorizer.backend, None
    if backend is not None:
        site = _site(api_id, api, place.name, stage_name, definitions)
        ask = authorizers.asks[backend.integration_type](backend, site)
    return _identifying(authorizers.types[authorizer.authorizer_type].compile(authorizer, place, ask))


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


def _identifying(authorize: Authorize) -> Admit:
    def admit(invocation: Invocation) -> Awaitable[None] | None:
        identity = authorize(invocation)
        if isinstance(identity, Identity):
            _identified(invocation, identity)
            return None
        return later(invocation, identity)

    async def later(invocation: Invocation, pending: Awaitable[Identity]) -> None:
        _identified(invocation, await pending)

    return admit


def _identified(invocation: Invocation, identity: Identity) -> None:
    assert isinstance(invocation, MethodRequest)  # methods have no other events
    invocation.identified = True
    client = invocation.client
    client.authorizer, client.claims = identity.context, identity.claims
    client.identity = {**client.identity, **identity.identity} if client.identity else identity.identity
    client.usage_key = identity.usage_key
    if invocation.trace is not None:
        invocation.trace.note("identity", identity.context)


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
