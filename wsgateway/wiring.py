"""Whom messages are handed to, wired: every integration type and authorizer there is, for `serve` and for checks."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping

from wsgateway import __version__
from wsgateway.authorizers.jwt_authorizer import JwtAuthorizers
from wsgateway.authorizers.lambda_authorizer import LambdaAuthorizers, request_event, token_event
from wsgateway.authorizers.sessions import SessionLookups
from wsgateway.authorizers.ticket_authorizer import TicketAuthorizers
from wsgateway.authorizers.tickets import TicketOffice
from wsgateway.aws import Credentials, CredentialSets, ServiceEndpoints
from wsgateway.backends import Backends, check
from wsgateway.dataplane.authorization import Authorizers
from wsgateway.dataplane.buckets import Buckets
from wsgateway.dataplane.compiled import Deployment
from wsgateway.dataplane.counters import Counters
from wsgateway.dataplane.gateway import Log as Logged
from wsgateway.dataplane.meters import Meters
from wsgateway.dataplane.response_cache import ResponseCache
from wsgateway.errors import Problem, StartError
from wsgateway.functions import Account, Functions, Surroundings
from wsgateway.integrations.aws_access import AwsAccess
from wsgateway.integrations.aws_lambda import AwsProxy
from wsgateway.integrations.aws_service import AwsService
from wsgateway.integrations.base import IntegrationType
from wsgateway.integrations.http import Http
from wsgateway.integrations.http_proxy import HttpProxy
from wsgateway.integrations.mock import Mock
from wsgateway.integrations.publish.brokers import Brokers
from wsgateway.integrations.publish.publish import Publish
from wsgateway.integrations.resilience import Resilience
from wsgateway.messages import Handler
from wsgateway.model.loader import Loaded
from wsgateway.model.remarks import remarks as definition_remarks
from wsgateway.registry.memory_tickets import MemoryTickets
from wsgateway.transport.keyring import Keyring, remarks
from wsgateway.transport.listener import Listener, Report
from wsgateway.upstream.documents import Documents
from wsgateway.upstream.egress import Egress
from wsgateway.upstream.pool import Upstream


def integration_types(
    upstream: Upstream, functions: Functions, aws: AwsAccess, resilience: Resilience, brokers: Brokers
) -> dict[str, IntegrationType]:
    """Every integration type by AWS's name."""
    lambdas = AwsProxy(functions, aws, resilience)
    return {
        "AWS": AwsService(functions, aws, resilience, lambdas.counts),
        "AWS_PROXY": lambdas,
        "HTTP": Http(upstream, resilience),
        "HTTP_PROXY": HttpProxy(upstream, resilience),
        "MOCK": Mock(),
        "PUBLISH": Publish(brokers, resilience),
    }


def authorizers_of(
    documents: Documents,
    types: Mapping[str, IntegrationType],
    account: Account,
    endpoints: ServiceEndpoints,
    log: Logged,
    tickets: TicketOffice | None,
) -> Authorizers:
    """Every type of authorizer by AWS's name, and how the backends of authorizers are asked."""
    services, urls = types["AWS"], types["HTTP_PROXY"]
    assert isinstance(services, AwsService)
    assert isinstance(urls, HttpProxy)
    return Authorizers(
        types={
            "JWT": JwtAuthorizers(documents.get, log, pools=lambda: endpoints.configured("Cognito Identity Provider")),
            "TICKET": TicketAuthorizers(tickets or TicketOffice(MemoryTickets())),
            "REQUEST": LambdaAuthorizers(request_event, region=account.region, account=account.account_id),
            "TOKEN": LambdaAuthorizers(token_event, region=account.region, account=account.account_id),
        },
        asks={"AWS": services.asking, "HTTP_PROXY": urls.asking},
    )


def aws_access(
    upstream: Upstream,
    endpoints: ServiceEndpoints,
    log: Logged,
    environ: Mapping[str, str],
    credentials: CredentialSets | None = None,
) -> AwsAccess:
    """How integrations reach AWS, with the credentials of the process and of roles."""
    sets = credentials or CredentialSets(Credentials(log), log, endpoints, environ)
    return AwsAccess(upstream, endpoints, sets, log)


def backends_of(
    upstream: Upstream,
    surroundings: Surroundings,
    endpoints: ServiceEndpoints,
    log: Logged,
    environ: Mapping[str, str],
    *,
    functions: Functions | None = None,
    credentials: CredentialSets | None = None,
    brokers: Brokers | None = None,
    tickets: TicketOffice | None = None,
) -> Backends:
    """Every integration type, and what they share; what is given stands for what would be made."""
    aws = aws_access(upstream, endpoints, log, environ, credentials)
    functions = functions or Functions(surroundings)
    resilience = Resilience(asyncio.get_running_loop(), log)
    types = integration_types(upstream, functions, aws, resilience, brokers or Brokers(log))
    documents = Documents(upstream, f"wsgateway/{__version__}")
    return Backends(
        types=types,
        authorizers=authorizers_of(documents, types, surroundings.account, endpoints, log, tickets),
        sessions=SessionLookups(documents.post, log),
        upstream=upstream,
        functions=functions,
        aws=aws,
        account=surroundings.account,
        resilience=resilience,
        buckets=Buckets(time.monotonic),
        meters=Meters(time.time, log),
        cache=ResponseCache(log),
    )


async def function_port(handler: Handler, egress: Egress, report: Report, counters: Counters) -> Listener:
    """A port of its own on loopback for one of Lambda's APIs; no backend URL reaches it."""
    listener = Listener(handler=handler, report=report, counters=counters)
    await listener.start("127.0.0.1", 0, name="functions")
    egress.deny("127.0.0.1", listener.port)
    return listener


def backends_to_check(
    environ: Mapping[str, str], region: str | None, egress: Egress, account_id: str = "000000000000"
) -> Backends:
    """As of `serve`, in a process that serves nobody and starts no function."""
    account = Account(account_id=account_id)
    surroundings = Surroundings(serve=_no_runtime_api, log=_no_log, environ=environ, account=account)
    return backends_of(Upstream(egress=egress), surroundings, ServiceEndpoints(environ, region), _no_log, environ)


async def check_definitions(
    loaded: Loaded, environ: Mapping[str, str], region: str | None = None
) -> tuple[Deployment, list[Problem]]:
    """All that `serve` would refuse, without serving; gives what it would remark upon.

    *Raises* DefinitionError with every problem.
    """
    backends = backends_to_check(environ, region, Egress())
    try:
        checked = check(loaded, backends, Keyring())
        return checked.deployment, [*remarks(checked.certificates, loaded.source), *definition_remarks(loaded)]
    finally:
        await backends.aclose()


async def _no_runtime_api(handler: Handler) -> Listener:
    raise StartError("a check starts no function")


def _no_log(event: str, **facts: object) -> None:
    """A check tells what it finds as problems."""
