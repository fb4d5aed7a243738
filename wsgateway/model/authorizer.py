"""An authorizer: who decides whether a client may connect, and by what it is known."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal
from urllib.parse import urlsplit

from annotated_types import MaxLen, MinLen

from wsgateway.errors import Problem
from wsgateway.model.base import Among, Definition, Matches

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
            parts = urlsplit(url or "https://none")
            if parts.username is not None or parts.query or parts.fragment or not parts.hostname:
                yield Problem((name,), "is scheme, host and path alone, without a user name, a query or a fragment")
        if self.issuer.startswith("https:") and (self.jwks_uri or self.issuer).startswith("http:"):
            yield Problem(
                ("jwksUri",), "is not https, and issuer is: whoever is in between could send keys of their own"
            )


class Authorizer(Definition):
    """Decides about connections, before $connect is called. (JWT on WebSocket APIs is ours, and so is TICKET.)"""

    authorizer_type: Annotated[Literal["JWT", "TICKET"], Among(("JWT", "REQUEST", "TICKET"))]
    """Who decides: JWT, by the token a client brings; TICKET, by one that was made at the internal listener."""
    identity_source: Annotated[list[IdentitySource], MinLen(1), MaxLen(1)]
    """Where the token is: route.request.header.NAME, .querystring.NAME, .cookie.NAME, or route.request.subprotocol."""
    jwt_configuration: JwtConfiguration | None = None
    """Of a JWT authorizer: whose tokens are believed, and for whom they have to be."""
    name: Annotated[str, MinLen(1), MaxLen(128)] | None = None
    """A name for people."""
    close_on_expiry: bool = False
    """true closes a connection (4401) when its token runs out; false, as on AWS, lets it go on. (Ours.)"""

    not_yet: ClassVar[frozenset[str]] = frozenset(
        {
            "authorizerCredentialsArn",
            "authorizerPayloadFormatVersion",
            "authorizerResultTtlInSeconds",
            "authorizerUri",
            "enableSimpleResponses",
            "identityValidationExpression",
        }
    )

    def check(self) -> Iterator[Problem]:
        if self.authorizer_type == "JWT" and self.jwt_configuration is None:
            yield Problem(("jwtConfiguration",), "is required: whose tokens are believed, and for whom they have to be")
        if self.authorizer_type != "JWT" and self.jwt_configuration is not None:
            yield Problem(("jwtConfiguration",), f"has no effect on {self.authorizer_type} authorizers; remove it")
