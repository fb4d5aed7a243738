"""An authorizer: who decides whether a client may connect, and by what it is known."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal, get_args

from annotated_types import Ge, Le, MaxLen, MinLen
from pydantic import Field

from wsgateway.errors import Problem
from wsgateway.model.base import Among, Definition, Matches
from wsgateway.model.explain import shown
from wsgateway.model.integration import CredentialsArn, Integration, without
from wsgateway.model.tls import TlsConfig
from wsgateway.model.uri import bare_url_fault, hidden, uri_fault

AuthorizerName = Annotated[
    str, Matches(r"[A-Za-z0-9_.-]{1,128}", "an authorizer's name is 1 to 128 letters, digits and _.-")
]
Url = Annotated[str, Matches(r"https?://[!-~]{1,2000}", "write a URL that begins https://")]
IdentitySource = Annotated[str, MinLen(1), MaxLen(300)]


class JwtConfiguration(Definition):
    """Which tokens are believed."""

    issuer: Url
    """Who signs the tokens: their `iss`, to the letter, such as https://cognito-idp.eu-west-1.amazonaws.com/POOL."""
    audience: Annotated[list[Annotated[str, MinLen(1), MaxLen(512)]], MinLen(1)]
    """For whom tokens may be: one of these is a token's `aud`, or its `client_id` where it has no `aud`."""
    jwks_uri: Url | None = None
    """Where the issuer's keys are; else its /.well-known/openid-configuration says so. (Ours.)"""

    def check(self) -> Iterator[Problem]:
        for name, url in (("issuer", self.issuer), ("jwksUri", self.jwks_uri)):
            fault = None if url is None else bare_url_fault(url)
            if fault is not None:
                yield Problem((name,), fault)
        if self.issuer.startswith("https:") and (self.jwks_uri or self.issuer).startswith("http:"):
            yield Problem(
                ("jwksUri",), "is not https, and issuer is: whoever is in between could send keys of their own"
            )


@dataclass(frozen=True, slots=True)
class ClaimRule:
    """What else a token must say: `name` is a text, one of `values` if there are any; or missing, unless `required`."""

    name: str
    required: bool
    values: frozenset[str]


@dataclass(frozen=True, slots=True)
class Issuer:
    """Who signs tokens that are believed. `audiences` None: for whomever they are."""

    issuer: str
    jwks_uri: str | None
    audiences: frozenset[str] | None
    pool: str = ""
    """Of a Cognito user pool, whose tokens say what they are for (`token_use`), its id."""
    audience_pattern: str | None = None
    """What `aud` must match as a whole, a regular expression as Java reads it."""
    claims: tuple[ClaimRule, ...] = ()
    algorithms: frozenset[str] | None = None
    """What tokens may be signed by; None: by all that are safe."""


AuthorizerUri = Annotated[
    str,
    MaxLen(2048),
    Matches(
        r"https?://.+|function:.+|arn:[a-z-]+:lambda:.+|arn:[a-z-]+:apigateway:[^:]*:lambda:path/.+",
        "write function:NAME, the ARN of a function, AWS's long form of it, or the URL of an authorizer of your own",
    ),
]

TIMEOUT_MILLIS = 10_000
"""How long an authorizer may take. AWS says it of HTTP APIs alone (API Gateway quotas)."""

Type = Literal["JWT", "REQUEST", "TICKET", "TOKEN"]
ELSEWHERE = {
    "COGNITO_USER_POOLS": "a user pool is the issuer of a JWT: write JWT, and jwtConfiguration with issuer "
    "https://cognito-idp.REGION.amazonaws.com/POOL and the app clients' ids as audience"
}


class Authorizer(Definition):
    """Decides about connections, before $connect is called. (JWT, TOKEN and TICKET on WebSocket APIs
    are ours.)"""

    authorizer_type: Annotated[Type, Among(get_args(Type), ELSEWHERE)]
    """Who decides: JWT, by the token a client brings; TICKET, by one that was made at the internal listener; REQUEST, a
    function or URL that is given the whole handshake; TOKEN, one that is given the token alone."""
    identity_source: Annotated[list[IdentitySource], MaxLen(10)] = Field(default_factory=list)
    """What a client must bring: route.request.header.NAME, .querystring.NAME, .cookie.NAME, route.request.subprotocol,
    stageVariables.NAME or context.NAME. Of JWT, TICKET and TOKEN one, where the token is."""
    jwt_configuration: JwtConfiguration | None = None
    """Of JWT: whose tokens are believed, and for whom they have to be."""
    authorizer_uri: AuthorizerUri | None = None
    """Of REQUEST and TOKEN: who is asked, `function:NAME`, a function's ARN, or a URL (ours);
    `${stageVariables.NAME}` is a stage's value."""
    authorizer_credentials_arn: CredentialsArn | None = None
    """Of functions elsewhere: the role whose keys sign the calls, as `roles` says; the process's own."""
    tls_config: TlsConfig | None = None
    """How an https URL is verified, and the certificate shown to it. (Ours.)"""
    identity_validation_expression: Annotated[str, MinLen(1), MaxLen(1024)] | None = None
    """Of TOKEN: what the whole token must match before anybody is asked, a regular expression as Java reads it."""
    authorizer_result_ttl_in_seconds: Annotated[int, Ge(0), Le(3600)] = 0
    """Of REQUEST and TOKEN: how long an answer holds for who brings the same; 0 asks every time, as on AWS. (Ours.)"""
    name: Annotated[str, MinLen(1), MaxLen(128)] | None = None
    """A name for people."""
    close_on_expiry: bool = False
    """true closes a connection (4401) when its token runs out; false, as on AWS, lets it go on. (Ours.)"""

    not_yet: ClassVar[frozenset[str]] = frozenset({"authorizerPayloadFormatVersion", "enableSimpleResponses"})

    def check(self) -> Iterator[Problem]:
        if self.asks:
            yield from self._check_lambda()
        else:
            yield from self._check_token()
        if self.authorizer_type != "REQUEST" and len(self.identity_source) != 1:
            yield Problem(("identitySource",), f"{self.authorizer_type} has one: where the token is")

    root: ClassVar[str] = "route"
    """What its identity sources begin with."""

    @property
    def issuers(self) -> tuple[Issuer, ...]:
        """Of JWT: whose tokens are believed."""
        written = self.jwt_configuration
        if written is None:
            return ()
        return (Issuer(written.issuer, written.jwks_uri, frozenset(written.audience)),)

    @property
    def asks(self) -> bool:
        """Whether a function, or a URL, decides."""
        return self.authorizer_type in ("REQUEST", "TOKEN")

    @property
    def authorization_type(self) -> str:
        """What routes that name it say as authorizationType."""
        return "JWT" if self.authorizer_type == "JWT" else "CUSTOM"

    @property
    def backend(self) -> Integration | None:
        """Who is asked, as an integration; None where nobody is."""
        uri = self.authorizer_uri
        if uri is None:
            return None
        written = {
            "integrationType": "HTTP_PROXY" if _is_url(uri) else "AWS",
            "integrationUri": uri,
            "timeoutInMillis": TIMEOUT_MILLIS,
            "credentialsArn": self.authorizer_credentials_arn,
            "tlsConfig": self.tls_config,
        }
        return Integration.model_validate({key: value for key, value in written.items() if value is not None})

    def _check_token(self) -> Iterator[Problem]:
        if self.authorizer_type == "JWT" and self.root == "route" and self.jwt_configuration is None:
            yield Problem(("jwtConfiguration",), "is required: whose tokens are believed, and for whom they have to be")
        if self.authorizer_type == "TICKET":
            yield from without("it is for JWT", jwtConfiguration=self.jwt_configuration)
        yield from without(
            f"{self.authorizer_type} asks nobody",
            authorizerUri=self.authorizer_uri,
            authorizerCredentialsArn=self.authorizer_credentials_arn,
            identityValidationExpression=self.identity_validation_expression,
            authorizerResultTtlInSeconds=self.authorizer_result_ttl_in_seconds,
            tlsConfig=self.tls_config,
        )

    def _check_lambda(self) -> Iterator[Problem]:
        uri = self.authorizer_uri
        if uri is None:
            yield Problem(("authorizerUri",), f"is required: the function {self.authorizer_type} asks, function:NAME")
        elif _is_url(uri):
            fault = uri_fault(uri)
            if fault:
                yield Problem(("authorizerUri",), f"{shown(hidden(uri))}: {fault}")
            yield from without(
                "only calls of functions are signed", authorizerCredentialsArn=self.authorizer_credentials_arn
            )
        if uri is not None and not uri.startswith("https://"):
            yield from without("authorizerUri is not https", tlsConfig=self.tls_config)
        if self.authorizer_result_ttl_in_seconds and not self.identity_source:
            text = "is required with authorizerResultTtlInSeconds: all clients would get the answer that the first got"
            yield Problem(("identitySource",), text)
        if self.authorizer_type == "REQUEST" and self.identity_validation_expression is not None:
            text = "is never applied to REQUEST, as on AWS; remove it, or write authorizerType: TOKEN"
            yield Problem(("identityValidationExpression",), text)
        yield from without("it is for JWT", jwtConfiguration=self.jwt_configuration)
        yield from without("what is asked says of no token when it ends", closeOnExpiry=self.close_on_expiry)


def _is_url(uri: str) -> bool:
    return uri.startswith(("http://", "https://"))
