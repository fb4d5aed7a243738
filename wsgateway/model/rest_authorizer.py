"""An authorizer of a REST API: who decides who may call its methods, and by what callers are known.

API Gateway API reference (v1), "Authorizer"; API Gateway developer guide, "Use API Gateway Lambda authorizers" and
"Control access to REST APIs using Amazon Cognito user pools".
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cached_property
from typing import Annotated, ClassVar, Literal, get_args

from annotated_types import Ge, Le, MaxLen, MinLen
from pydantic import Field, PlainValidator

from wsgateway.errors import Problem
from wsgateway.model.authorizer import Authorizer, AuthorizerUri, ClaimRule, Issuer, JwtConfiguration, Url
from wsgateway.model.authorizer import Type as Kind
from wsgateway.model.base import Among, Definition, Matches
from wsgateway.model.explain import fault, wrong_kind
from wsgateway.model.integration import CredentialsArn, without
from wsgateway.model.tls import TlsConfig

Type = Literal["COGNITO_USER_POOLS", "JWT", "REQUEST", "TOKEN"]
CUSTOM = ("REQUEST", "TOKEN")

Algorithm = Literal["RS256", "RS384", "RS512", "ES256", "ES384", "ES512"]

TTL_SECONDS = 300
"""How long an answer holds where nothing is said of it, as on AWS."""

PoolArn = Annotated[
    str,
    Matches(
        r"arn:[a-z-]+:cognito-idp:[a-z0-9-]+:[0-9]{12}:userpool/[a-z0-9-]+_[A-Za-z0-9]+",
        "write the ARN of a user pool, arn:aws:cognito-idp:REGION:ACCOUNT:userpool/POOL",
    ),
]

_WIRE_NAMES = {"authorizerCredentialsArn": "authorizerCredentials", "authorizerType": "type"}
"""What the v1 API calls what WebSocket APIs call otherwise."""


class AdditionalClaim(Definition):
    """What a token must say besides."""

    claim_name: Annotated[
        str,
        Matches(
            r"(?!(?:iss|aud|exp|nbf|iat|scope|scp)$)[!-~]{1,256}",
            "name a claim, but none of iss, aud, exp, nbf, iat, scope and scp, which have rules of their own",
        ),
    ]
    """The claim's name."""
    format: Annotated[Literal["SINGLE_STRING"], Among(("SINGLE_STRING",))] = "SINGLE_STRING"
    """What it is: SINGLE_STRING, a text."""
    required: bool = False
    """true refuses tokens without it."""
    expected_values: list[Annotated[str, MinLen(1), MaxLen(512)]] = Field(default_factory=list)
    """What it may be, to the letter; anything where there are none."""


class JwtIssuer(Definition):
    """One of those whose tokens are believed."""

    issuer: Url
    """Who signs the tokens: their `iss`, to the letter."""
    audiences: Annotated[list[Annotated[str, MinLen(1), MaxLen(512)]], MinLen(1)]
    """For whom tokens may be: one of these is a token's `aud`, or its `client_id` where it has no `aud`."""
    jwks_uri: Url | None = None
    """Where the issuer's keys are; else its /.well-known/openid-configuration says so. (Ours: AWS only shows it.)"""
    additional_claims: Annotated[list[AdditionalClaim], MaxLen(50)] = Field(default_factory=list)
    """What its tokens must say besides."""

    def check(self) -> Iterator[Problem]:
        yield from self.common.check()

    @property
    def common(self) -> JwtConfiguration:
        """The same as WebSocket APIs have it."""
        return JwtConfiguration.model_construct(issuer=self.issuer, audience=self.audiences, jwks_uri=self.jwks_uri)


class RestJwtConfiguration(Definition):
    """Which tokens are believed: those of one issuer, or of several."""

    issuers: Annotated[list[JwtIssuer], MaxLen(10)] = Field(default_factory=list)
    """Who signs the tokens, each with its audiences."""
    issuer: Url | None = None
    """Of a single one who signs the tokens: their `iss`, to the letter. (Ours, as with WebSocket APIs.)"""
    audience: Annotated[list[Annotated[str, MinLen(1), MaxLen(512)]], MinLen(1)] | None = None
    """With `issuer`: for whom tokens may be."""
    jwks_uri: Url | None = None
    """With `issuer`: where its keys are. (Ours.)"""

    default_algorithms: Annotated[list[Annotated[Algorithm, Among(get_args(Algorithm))]], MinLen(1)] | None = None
    """What tokens may be signed by; RSA and ECDSA of any size."""

    def check(self) -> Iterator[Problem]:
        if bool(self.issuers) == (self.issuer is not None):
            yield Problem(
                (), "says whose tokens are believed by issuer and audience, or by issuers: write one of the two"
            )
        elif self.issuer is None:
            yield from without("it stands beside issuer", audience=self.audience, jwksUri=self.jwks_uri)
        elif self.audience is None:
            yield Problem(("audience",), "is required with issuer: for whom tokens may be")
        else:
            yield from self.common[0].check()
        names = [one.issuer for one in self.issuers]
        for number, name in enumerate(names):
            if name in names[:number]:
                yield Problem(("issuers", number, "issuer"), "is in the list twice; put its audiences together")

    @property
    def common(self) -> list[JwtConfiguration]:
        """Each issuer as WebSocket APIs have it."""
        if self.issuer is None:
            return [one.common for one in self.issuers]
        return [
            JwtConfiguration.model_construct(issuer=self.issuer, audience=self.audience or [], jwks_uri=self.jwks_uri)
        ]

    @property
    def believed(self) -> Iterator[Issuer]:
        """Whose tokens are believed."""
        rules = [one.additional_claims for one in self.issuers] or [[]]
        algorithms = None if self.default_algorithms is None else frozenset[str](self.default_algorithms)
        for one, claims in zip(self.common, rules, strict=True):
            yield Issuer(
                one.issuer,
                one.jwks_uri,
                frozenset(one.audience),
                claims=tuple(
                    ClaimRule(rule.claim_name, rule.required, frozenset(rule.expected_values)) for rule in claims
                ),
                algorithms=algorithms,
            )


class MethodAuthorizer(Authorizer):
    """A RestAuthorizer as authorizer types know it."""

    believed: tuple[Issuer, ...] = ()
    """Of JWT: whose tokens are believed."""

    root: ClassVar[str] = "method"

    @property
    def issuers(self) -> tuple[Issuer, ...]:
        return self.believed


def _sources(value: object) -> list[str]:
    """AWS writes them with commas in between."""
    match value:
        case str():
            return [part.strip() for part in value.split(",")]
        case list() if all(isinstance(part, str) for part in value):
            return value
    raise fault(wrong_kind("identity sources, with commas in between", value))


class RestAuthorizer(Definition):
    """Decides who may call the methods that name it, before their integrations hear of it."""

    type: Annotated[Type, Among(get_args(Type))]
    """Who decides: TOKEN, a function or URL that is given a token; REQUEST, one that is given the whole request;
    COGNITO_USER_POOLS, a token of one of `providerARNs`; JWT, a token of any issuer."""
    name: Annotated[str, MinLen(1), MaxLen(128)] | None = None
    """A name for people."""
    identity_source: Annotated[list[str], PlainValidator(_sources, json_schema_input_type=str | list[str])] = Field(
        default_factory=list
    )
    """What a request must bring: method.request.header.NAME, .querystring.NAME, .cookie.NAME (ours),
    stageVariables.NAME or context.NAME, with commas in between. Of all but REQUEST one, where the token is."""
    authorizer_uri: AuthorizerUri | None = None
    """Of TOKEN and REQUEST: who is asked, `function:NAME`, a function's ARN, or a URL (ours);
    `${stageVariables.NAME}` is a stage's value."""
    authorizer_credentials: CredentialsArn | None = None
    """Of functions elsewhere: the role whose keys sign the calls, as `roles` says; the process's own."""
    authorizer_result_ttl_in_seconds: Annotated[int, Ge(0), Le(3600)] | None = None
    """Of TOKEN and REQUEST: how long an answer holds for who brings the same; 300; 0 asks every time. Of
    COGNITO_USER_POOLS it changes nothing: tokens are looked at every time."""
    identity_validation_expression: Annotated[str, MinLen(1), MaxLen(1024)] | None = None
    """What the whole token, of COGNITO_USER_POOLS its `aud`, must match: a regular expression as Java reads it."""
    provider_arns: Annotated[list[PoolArn], MaxLen(1000)] = Field(default_factory=list, alias="providerARNs")
    """Of COGNITO_USER_POOLS: the ARNs of user pools whose tokens are believed."""
    jwt_configuration: RestJwtConfiguration | None = None
    """Of JWT: whose tokens are believed, and for whom they have to be."""
    tls_config: TlsConfig | None = None
    """How an https URL is verified, and the certificate shown to it. (Ours.)"""

    auth_type: Annotated[str, MaxLen(128)] | None = None
    """A label of OpenAPI documents, such as custom; as on AWS nothing depends on it."""

    def check(self) -> Iterator[Problem]:
        kind = self.type
        yield from without(f"it is of JWT, not of {kind}", jwtConfiguration=kind != "JWT" and self.jwt_configuration)
        if kind != "COGNITO_USER_POOLS":
            yield from without(f"it is of COGNITO_USER_POOLS, not of {kind}", providerARNs=self.provider_arns)
        elif not self.provider_arns:
            yield Problem(("providerARNs",), "is required: the ARNs of the user pools whose tokens are believed")
        if kind == "JWT":
            if self.jwt_configuration is None:
                text = "is required: whose tokens are believed, and for whom they have to be"
                yield Problem(("jwtConfiguration",), text)
            yield from without(
                "it is not of JWT, whose tokens are looked at every time",
                identityValidationExpression=self.identity_validation_expression,
                authorizerResultTtlInSeconds=self.authorizer_result_ttl_in_seconds,
            )
        for problem in self.common.check():
            yield self.renamed(problem)

    @property
    def authorization_type(self) -> str:
        """What methods that name it say as authorizationType."""
        return "CUSTOM" if self.type in CUSTOM else self.type

    @cached_property
    def common(self) -> Authorizer:
        """This authorizer as authorizer types know it."""
        custom = self.type in CUSTOM
        kind: Kind = self.type if self.type == "REQUEST" or self.type == "TOKEN" else "JWT"
        ttl = TTL_SECONDS if self.authorizer_result_ttl_in_seconds is None else self.authorizer_result_ttl_in_seconds
        return MethodAuthorizer.model_construct(
            authorizer_type=kind,
            identity_source=self.identity_source,
            jwt_configuration=None,
            believed=tuple(self._believed()),
            authorizer_uri=self.authorizer_uri,
            authorizer_credentials_arn=self.authorizer_credentials,
            tls_config=self.tls_config,
            identity_validation_expression=self.identity_validation_expression if custom else None,
            authorizer_result_ttl_in_seconds=ttl if custom else 0,
            name=self.name,
            close_on_expiry=False,
        )

    def renamed(self, problem: Problem) -> Problem:
        """A problem of `common`, as this authorizer is written."""
        path, text = problem.path, problem.text
        if self.type == "COGNITO_USER_POOLS":
            text = text.replace("JWT", self.type)
        for theirs, ours in _WIRE_NAMES.items():
            text = text.replace(theirs, ours)
        if path[:1] == ("identitySource",) and self.authorizer_result_ttl_in_seconds is None and not path[1:]:
            text = text.replace("with authorizerResultTtlInSeconds", "unless authorizerResultTtlInSeconds is 0")
        # It may be written as one text, which has no parts.
        at = ("identitySource",) if path[:1] == ("identitySource",) else path
        return Problem(tuple(_WIRE_NAMES.get(str(part), part) for part in at), text)

    def _believed(self) -> Iterator[Issuer]:
        if self.type == "COGNITO_USER_POOLS":
            expression = self.identity_validation_expression
            for arn in dict.fromkeys(self.provider_arns):
                yield _pool(arn, expression)
        elif self.jwt_configuration is not None:
            yield from self.jwt_configuration.believed


_POOL = re.compile(r"arn:(?P<partition>[a-z-]+):cognito-idp:(?P<region>[a-z0-9-]+):[0-9]{12}:userpool/(?P<pool>\S+)")


def _pool(arn: str, expression: str | None) -> Issuer:
    """A user pool: Amazon Cognito developer guide, "Verifying JSON web tokens"."""
    found = _POOL.fullmatch(arn)
    assert found is not None  # else the ARN was refused
    suffix = "amazonaws.com.cn" if found["partition"] == "aws-cn" else "amazonaws.com"
    issuer = f"https://cognito-idp.{found['region']}.{suffix}/{found['pool']}"
    return Issuer(issuer, f"{issuer}/.well-known/jwks.json", None, found["pool"], expression)
