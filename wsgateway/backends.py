"""Whom messages are handed to, and whether a definition can be put in force with them on this machine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from wsgateway.authorizers import resource_policy, signed
from wsgateway.authorizers.lambda_authorizer import LambdaAuthorizers
from wsgateway.authorizers.sessions import SessionLookups
from wsgateway.authorizers.signed import NOBODY_SIGNS, Signers
from wsgateway.authorizers.ticket_authorizer import TicketAuthorizers
from wsgateway.authorizers.tickets import TicketOffice
from wsgateway.aws import Credentials, CredentialSets
from wsgateway.dataplane.authorization import Authorizers
from wsgateway.dataplane.buckets import Buckets
from wsgateway.dataplane.compile import compile_deployment
from wsgateway.dataplane.compiled import Deployment
from wsgateway.dataplane.meters import Meters
from wsgateway.dataplane.response_cache import ResponseCache
from wsgateway.errors import DefinitionError, Problem
from wsgateway.functions import Account, Functions
from wsgateway.integrations.aws_access import AwsAccess
from wsgateway.integrations.aws_lambda import AwsProxy
from wsgateway.integrations.aws_service import AwsService
from wsgateway.integrations.base import IntegrationType
from wsgateway.integrations.publish.brokers import Brokers
from wsgateway.integrations.publish.publish import Publish
from wsgateway.integrations.resilience import Resilience
from wsgateway.model.definitions import Definitions
from wsgateway.model.loader import Loaded
from wsgateway.transport.certificates import CertificateSet
from wsgateway.transport.keyring import Keyring
from wsgateway.upstream.origin import Origin
from wsgateway.upstream.pool import Upstream


@dataclass(frozen=True, slots=True, kw_only=True)
class Backends:
    """Whom messages are handed to: every integration type by AWS's name, and what these share."""

    account: Account
    """Whose ARNs are ours."""
    types: Mapping[str, IntegrationType]
    authorizers: Authorizers
    upstream: Upstream
    functions: Functions
    aws: AwsAccess
    resilience: Resilience
    buckets: Buckets
    """What limits on events take from."""
    sessions: SessionLookups
    """Who knows the sessions that requests to us are signed in."""
    meters: Meters
    """What quotas of API keys are counted by."""
    cache: ResponseCache
    """What keeps answers of REST APIs."""

    @property
    def lambdas(self) -> AwsProxy:
        proxy = self.types["AWS_PROXY"]
        assert isinstance(proxy, AwsProxy)
        return proxy

    @property
    def brokers(self) -> Brokers:
        publish = self.types["PUBLISH"]
        assert isinstance(publish, Publish)
        return publish.brokers

    @property
    def services(self) -> AwsService:
        service = self.types["AWS"]
        assert isinstance(service, AwsService)
        return service

    @property
    def tickets(self) -> TicketOffice:
        authorizers = self.authorizers.types["TICKET"]
        assert isinstance(authorizers, TicketAuthorizers)
        return authorizers.office

    @property
    def _asking(self) -> list[LambdaAuthorizers]:
        return [kind for kind in self.authorizers.types.values() if isinstance(kind, LambdaAuthorizers)]

    @property
    def authorizer_lookups(self) -> dict[tuple[str, str, str], int]:
        """Looks for kept answers of authorizers, by API, authorizer and result."""
        return {key: number for kind in self._asking for key, number in kind.lookups.items()}

    @property
    def authorizer_answers(self) -> int:
        """Answers of authorizers that are kept."""
        return sum(kind.kept for kind in self._asking)

    def forget_authorizations(self, api_id: str, stage: str) -> int:
        """Forget what authorizers said at a stage, of which answers are kept; gives how many."""
        return sum(kind.forget(api_id, stage) for kind in self._asking)

    def callers(self, definitions: Definitions) -> Signers:
        """Whose signatures are good, in definitions whose credentials can be used."""
        account, sessions = self.account, self.sessions.of(definitions.session_lookup)
        find = None if sessions is None else sessions.find
        return Signers.of(definitions.credentials, region=account.region, account=account.account_id, sessions=find)

    def look_again(self) -> None:
        """What is compiled from now on trusts and shows what the machine, its files and AWS's tools have now."""
        self.upstream.look_again()
        self.aws.look_again()

    def origins(self, deployment: Deployment) -> frozenset[Origin]:
        """The backends that a deployment calls."""
        return frozenset(
            origin for name, kind in self.types.items() for origin in kind.origins(deployment.uses_of(name))
        )

    def keep_only(self, deployment: Deployment, origins: frozenset[Origin]) -> None:
        """Keep the connections, caps, breakers and issuers' keys that a deployment uses, and no others."""
        for name, authorizers in self.authorizers.types.items():
            authorizers.keep_only([use for use in deployment.authorized if use[0].authorizer_type == name])
        for name, kind in self.types.items():
            kind.keep_only(deployment.uses_of(name))
        self.upstream.keep_only(origins)
        self.resilience.keep_only(deployment.uses)
        self.cache.keep_only({cache for stage in deployment.rest.values() for cache in stage.caches})
        self.aws.keep_only(self.signers(deployment))

    @property
    def credentials(self) -> CredentialSets:
        return self.aws.sets

    def signers(self, deployment: Deployment) -> frozenset[Credentials]:
        """Who signs the calls of AWS that a deployment makes."""
        return frozenset(
            self.lambdas.credentials(deployment.uses_of("AWS_PROXY"))
            | self.services.credentials(deployment.uses_of("AWS"))
        )

    def elsewhere(self, deployment: Deployment) -> dict[tuple[str, str], str]:
        """What a deployment calls of AWS, by kind and name, each with the URL of its endpoint."""
        functions = self.lambdas.elsewhere(deployment.uses_of("AWS_PROXY"))
        return functions | self.services.elsewhere(deployment.uses_of("AWS"))

    async def aclose(self) -> None:
        for authorizers in self.authorizers.types.values():
            authorizers.keep_only(())
        self.sessions.keep_only(None)
        self.resilience.close()
        self.credentials.close()
        await self.meters.aclose()
        await self.cache.aclose()
        await self.brokers.aclose()
        await self.functions.aclose()
        await self.upstream.aclose()


@dataclass(frozen=True, slots=True)
class Checked:
    """One content of the definition file, and of the files it names, that can be put in force."""

    loaded: Loaded
    deployment: Deployment
    certificates: CertificateSet
    origins: frozenset[Origin]
    """The backends that the deployment calls."""
    elsewhere: Mapping[tuple[str, str], str]
    """Functions that don't run here and actions of services, by kind and name, each with the URL of its endpoint."""
    signers: frozenset[Credentials]
    """Who signs the calls of AWS."""
    callers: Signers
    """Whose signatures are good for calls of ours."""

    @property
    def strangers(self) -> list[Problem]:
        """Credentials that are let in nowhere, being of another account, where no API has a policy that could."""
        definitions = self.loaded.definitions
        if any(api.policy is not None for api in definitions.rest_apis.values()):
            return []
        found = signed.strangers(definitions.credentials, self.callers.account)
        return [self.loaded.source.locate(Problem(("credentials", *each.path), each.text)) for each in found]

    @property
    def misplaced(self) -> list[Problem]:
        """What policies of APIs say of other regions and accounts: nothing is ever asked for there."""
        text = f"is nothing of {self.callers.account} in {self.callers.region} (--account-id, --region): write"
        return [
            self.loaded.source.locate(
                Problem(("apis", api_id, "policy", *at), f"{resource} {text} execute-api:/STAGE/VERB/PATH")
            )
            for api_id, api in self.loaded.definitions.rest_apis.items()
            if api.policy is not None
            for at, resource in resource_policy.misplaced(api.policy, self.callers)
        ]


def check(loaded: Loaded, backends: Backends, keyring: Keyring) -> Checked:
    """A deployment whose functions can start here, and its certificates.

    *Raises* DefinitionError with every problem of all of it.
    """
    source, definitions = loaded.source, loaded.definitions
    certificates = CertificateSet()
    found = [*backends.functions.check(definitions.functions, source.directory)]
    unsigned = [Problem(("credentials", *each.path), each.text) for each in signed.check(definitions.credentials)]
    problems = [source.locate(problem) for problem in [*found, *unsigned]]
    callers = NOBODY_SIGNS if unsigned else backends.callers(definitions)
    try:
        authorizers = replace(backends.authorizers, signers=callers)
        deployment = compile_deployment(
            loaded, backends.types, authorizers, backends.buckets, backends.meters, backends.cache
        )
    except DefinitionError as error:
        problems += error.problems
    try:
        certificates = keyring.read(loaded)
    except DefinitionError as error:
        problems += error.problems
    if problems:
        raise DefinitionError(sorted(problems, key=lambda problem: problem.line))
    elsewhere = backends.elsewhere(deployment)
    origins, signers = backends.origins(deployment), backends.signers(deployment)
    return Checked(loaded, deployment, certificates, origins, elsewhere, signers, callers)
