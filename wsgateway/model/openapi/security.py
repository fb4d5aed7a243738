"""Who may call a method, as `security` and security schemes say it.

API Gateway developer guide, "x-amazon-apigateway-authorizer object", "x-amazon-apigateway-authtype property" and
"x-amazon-apigateway-auth object".
"""

from __future__ import annotations

from typing import Final

from wsgateway.model.base import Path
from wsgateway.model.explain import did_you_mean, none_of, shown, wrong_kind
from wsgateway.model.openapi.place import Document, Place
from wsgateway.model.openapi.sheet import Sheet
from wsgateway.model.openapi.words import AUTH, PREFIX, SECURITY_SCHEME

SCHEMES: Final = {2: ("securityDefinitions",), 3: ("components", "securitySchemes")}
AUTHORIZERS: Final = ("token", "request", "cognito_user_pools", "jwt")
AUTHORIZER: Final = PREFIX + "authorizer"
AUTHTYPE: Final = PREFIX + "authtype"
NOBODY: Final = "NONE"
"""What AWS SAM writes, without defining it, for a method that is exempt from the authorizer of all."""


class Security:
    """The security schemes of one document, as authorizers of one API."""

    def __init__(self, document: Document, sheet: Sheet, api_id: str) -> None:
        self._document = document
        self._sheet = sheet
        self._authorizers: Path = ("apis", api_id, "authorizers")
        self._schemes: dict[str, Place] = {}
        found: Place | None = document.root
        for key in SCHEMES[document.version]:
            found = found and found.get(key)
        for name, place in document.mapping(found):
            scheme = document.follow(place)
            if scheme is not None:
                document.fields(scheme, SECURITY_SCHEME)
                self._schemes[name] = scheme
                self._put_authorizer(name, scheme)

    def put_method(self, at: Path, operation: Place, default: Place | None) -> None:
        """Who may call the method at `at`."""
        said = operation.get(PREFIX + "auth")
        kind = self._document.fields(said, AUTH).get("type") if said is not None else None
        security = operation.get("security") or (default if kind is None else None)
        if security is not None:
            self._put_requirements(at, security)
        if kind is not None:
            value = str(kind.value).upper()
            if value not in ("NONE", "AWS_IAM"):
                self._document.wrong(kind, none_of(value, ("NONE", "AWS_IAM")))
            elif value == "AWS_IAM" or self._sheet.get((*at, "authorizer")) is not None:
                self._sheet.put((*at, "authorizationType"), value, kind)

    def _put_requirements(self, at: Path, security: Place) -> None:
        """All that is listed is asked for, as AWS does; OpenAPI means alternatives, which would ask for less."""
        if not isinstance(security.value, list) or not all(isinstance(each, dict) for each in security.value):
            self._document.wrong(security, wrong_kind("a list of mappings of schemes to scopes", security.value))
            return
        offered = [each for each in security.items() if each.value]
        if len(offered) < len(security.value) and offered:
            text = "says that all may call it, too; a gateway asks everyone, or nobody: remove {}, or the rest"
            self._document.refuse(security, text)
        asked: dict[str, Place] = {}
        for requirement in offered:
            for name, scopes in requirement.entries():
                asked.setdefault(name, scopes)
        for name, scopes in asked.items():
            self._put_scheme(at, name, scopes)

    def _put_scheme(self, at: Path, name: str, scopes: Place) -> None:
        scheme = self._schemes.get(name)
        if scheme is None and name == NOBODY:
            return
        if scheme is None:
            near = did_you_mean(name, self._schemes) or "; define it under " + ".".join(SCHEMES[self._document.version])
            self._document.wrong(scopes, f"no security scheme is named {shown(name)}{near}")
        elif scheme.get(AUTHORIZER) is not None:
            self._ask(at, name, scheme, scopes)
        elif scheme.get(AUTHTYPE) is not None:
            if str(scheme.value[AUTHTYPE]).lower() == "awssigv4":
                self._decide(at, "authorizationType", "AWS_IAM", scopes)
            else:
                self._document.wrong(scheme, f"its {AUTHTYPE} needs an {AUTHORIZER} beside it; give it one")
        elif _is_key(scheme):
            self._sheet.put((*at, "apiKeyRequired"), True, scopes)
        else:
            text = f"nobody would check it: the scheme {shown(name)} has no {AUTHORIZER}; give it one"
            self._document.refuse(scopes, f"{text}, or leave it to the backend and remove it here")

    def _ask(self, at: Path, name: str, scheme: Place, scopes: Place) -> None:
        written = scheme.get(AUTHORIZER)
        if _kind(written) not in AUTHORIZERS:
            return  # told of at the scheme
        if self._decide(at, "authorizer", name, scopes) and scopes.value:
            self._sheet.put((*at, "authorizationScopes"), scopes.value, scopes)

    def _decide(self, at: Path, key: str, value: str, place: Place) -> bool:
        """Have one authorizer, or signatures, decide about the method; gives whether they do."""
        for each in ("authorizer", "authorizationType"):
            known = self._sheet.origins.get((*at, each))
            if known is not None:
                together = known[-2] == place.path[-2]  # without it more could call; of alternatives fewer can
                tell = self._document.wrong if together else self._document.refuse
                tell(place, "is another one to decide who may call it; a method has one, and an API key")
                return False
        self._sheet.put((*at, key), value, place)
        return True

    def _put_authorizer(self, name: str, scheme: Place) -> None:
        written = scheme.get(AUTHORIZER)
        if written is None:
            return
        kind = _kind(written)
        if kind not in AUTHORIZERS:
            self._document.wrong(written, f"needs a type: one of {', '.join(AUTHORIZERS)}")
            return
        at = (*self._authorizers, name)
        self._sheet.put(at, {}, written)
        for key, entry in written.entries():
            if entry.value is not None:
                self._sheet.put((*at, key), kind.upper() if key == "type" else entry.value, entry)
        header = scheme.get("name")
        if written.get("identitySource") is None and kind != "request" and header is not None:
            self._sheet.put((*at, "identitySource"), f"method.request.header.{header.value}", header)


def _kind(authorizer: Place | None) -> str:
    value = authorizer.value if authorizer is not None else None
    return str(value.get("type", "")).lower() if isinstance(value, dict) else ""


def _is_key(scheme: Place) -> bool:
    written = scheme.value
    named = str(written.get("name", "")).lower() == "x-api-key" and written.get("in") == "header"
    return written.get("type") == "apiKey" and named
