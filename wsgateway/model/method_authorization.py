"""Which authorizer decides for a method: none must stand open because of a slip."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from wsgateway.errors import Problem

if TYPE_CHECKING:
    from wsgateway.model.rest import Method
    from wsgateway.model.rest_authorizer import RestAuthorizer


def check_method_authorization(method: Method) -> Iterator[Problem]:
    """What is wrong with what one method says of it; paths begin at the method."""
    if method.authorizer is not None and method.authorizer_id is not None:
        yield Problem(("authorizerId",), "says what authorizer says; keep one of the two")
    kind, named = method.authorization_type, method.authorizer_name
    if named is None and kind not in (None, "NONE", "AWS_IAM"):
        yield Problem(("authorizationType",), f"{kind} needs an authorizer; add authorizer: NAME")
    if named is not None and kind in ("NONE", "AWS_IAM"):
        text = f"{kind} asks no authorizer, and one is named; remove one of the two"
        yield Problem(("authorizationType",), text)
    if method.authorizer_id is not None and kind is None:
        text = "is required with authorizerId: write CUSTOM, COGNITO_USER_POOLS or JWT, or authorizer in its place"
        yield Problem(("authorizationType",), text)
    if method.authorization_scopes and named is None:
        yield Problem(("authorizationScopes",), "has no effect without an authorizer")


def check_named(method: Method, authorizers: Mapping[str, RestAuthorizer]) -> Iterator[Problem]:
    """What does not go with the authorizer that a method names; paths begin at the method."""
    authorizer = authorizers.get(method.authorizer_name or "")
    if authorizer is None:
        return  # an unknown name is told of where names are looked at
    needed, kind = authorizer.authorization_type, method.authorization_type
    if kind not in (None, "NONE", "AWS_IAM", needed):
        text = f"{kind} does not go with {method.authorizer_name}, which is of type {authorizer.type}; write {needed}"
        yield Problem(("authorizationType",), text)
    if method.authorization_scopes and needed == "CUSTOM":
        text = f"has no effect: {method.authorizer_name} is of type {authorizer.type}, whose tokens have no scopes"
        yield Problem(("authorizationScopes",), text)
