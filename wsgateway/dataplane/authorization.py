"""The authorizers of an API, checked and made ready for each stage."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from wsgateway.authorizers.base import Ask, Authorize, AuthorizerType, Read, Use
from wsgateway.authorizers.base import Site as Place
from wsgateway.authorizers.iam_authorizer import compile_iam
from wsgateway.authorizers.signed import NOBODY_SIGNS, Signers
from wsgateway.errors import Problem
from wsgateway.integrations.base import IntegrationType, Site
from wsgateway.invocation import EventType
from wsgateway.model.definitions import Definitions
from wsgateway.model.integration import Integration
from wsgateway.model.stage import Stage
from wsgateway.model.websocket import Route, WebSocketApi

_NAMES = {"integrationUri": "authorizerUri", "credentialsArn": "authorizerCredentialsArn"}
"""What keys of an integration are called of an authorizer."""


@dataclass(frozen=True, slots=True)
class Authorizers:
    """Every type of authorizer by AWS's name, and what asks their backends, by integration type."""

    types: Mapping[str, AuthorizerType] = field(default_factory=dict)
    asks: Mapping[str, Callable[[Integration, Site], Ask]] = field(default_factory=dict)
    signers: Signers = NOBODY_SIGNS
    """Who may sign handshakes, where AWS_IAM decides, which is no authorizer of an API."""


def check_authorizers(api: WebSocketApi, authorizers: Authorizers) -> Iterator[Problem]:
    """What is wrong with each, whoever it asks; paths begin at the API."""
    for name, authorizer in api.authorizers.items():
        for problem in authorizers.types[authorizer.authorizer_type].check(authorizer):
            yield Problem(("authorizers", name, *problem.path), problem.text)


def check_asked(
    api_id: str, api: WebSocketApi, stage: Stage, types: Mapping[str, IntegrationType], definitions: Definitions
) -> Iterator[Problem]:
    """Whoever authorizers can't ask at one stage; paths begin at the API."""
    for name, authorizer in api.authorizers.items():
        backend = authorizer.backend
        if backend is not None:
            site = _site(api_id, api, name, stage, definitions)
            for problem in types[backend.integration_type].check(backend, site):
                at = tuple(_NAMES.get(str(part), part) for part in problem.path)
                yield Problem(("authorizers", name, *at), problem.text)


def authorize_of(
    api_id: str,
    api: WebSocketApi,
    route_key: str,
    route: Route,
    stage_name: str,
    definitions: Definitions,
    authorizers: Authorizers,
) -> Authorize | None:
    """What decides who may use the route; None where everyone may."""
    if route.authorization_type == "AWS_IAM":
        lookup = definitions.session_lookup
        closing = lookup is not None and lookup.close_on_expiry
        return compile_iam(authorizers.signers, api_id, stage_name, closing=closing)
    use = _use(api_id, api, route_key, route, stage_name)
    if use is None:
        return None
    authorizer, place = use
    ask = _ask(use, api, definitions, authorizers)
    return authorizers.types[authorizer.authorizer_type].compile(authorizer, place, ask)


def renew_of(
    api_id: str, api: WebSocketApi, stage_name: str, definitions: Definitions, authorizers: Authorizers, token: Read
) -> Authorize:
    """What decides on tokens in messages as on those of handshakes; `token` reads them."""
    use = _use(api_id, api, "$connect", api.routes["$connect"], stage_name)
    assert use is not None  # else the definition was refused
    authorizer, place = use
    ask = _ask(use, api, definitions, authorizers)
    return authorizers.types[authorizer.authorizer_type].renew(authorizer, place, ask, token)


def _ask(use: Use, api: WebSocketApi, definitions: Definitions, authorizers: Authorizers) -> Ask | None:
    """What asks an authorizer's backend; None where it has none."""
    authorizer, place = use
    backend = authorizer.backend
    if backend is None:
        return None
    site = _site(place.api_id, api, place.name, api.stages[place.stage], definitions)
    return authorizers.asks[backend.integration_type](backend, site)


def authorizer_uses(api_id: str, api: WebSocketApi) -> Iterator[Use]:
    """Every authorizer at every place where it decides."""
    for key, route in api.routes.items():
        for stage_name in api.stages:
            use = _use(api_id, api, key, route, stage_name)
            if use is not None:
                yield use


def asked(api_id: str, api: WebSocketApi, definitions: Definitions) -> Iterator[tuple[Integration, Site]]:
    """Who is asked by authorizers, as the uses of integrations."""
    for authorizer, place in authorizer_uses(api_id, api):
        backend = authorizer.backend
        if backend is not None:
            yield backend, _site(api_id, api, place.name, api.stages[place.stage], definitions)


def _use(api_id: str, api: WebSocketApi, route_key: str, route: Route, stage_name: str) -> Use | None:
    name = route.authorizer_name
    if name is None:
        return None
    return api.authorizers[name], Place(
        api_id=api_id,
        stage=stage_name,
        name=name,
        route_key=route_key,
        stage_variables=api.stages[stage_name].stage_variables,
        ours=api.quotas.profile == "open",
        scopes=route.authorization_scopes,
    )


def _site(api_id: str, api: WebSocketApi, name: str, stage: Stage, definitions: Definitions) -> Site:
    """Where an authorizer's backend is asked."""
    return Site(
        api_id=api_id,
        definition=("authorizers", name),
        route_key="$connect",
        event_type=EventType.CONNECT,
        stage_variables=stage.stage_variables,
        quotas=api.quotas,
        two_way=False,
        functions=frozenset(definitions.functions),
        roles=definitions.roles,
        vpc_links=definitions.vpc_links,
    )
