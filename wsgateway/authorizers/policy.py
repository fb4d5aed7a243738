"""IAM policies, as execute-api evaluates them: a matching Deny wins, a matching Allow lets in, all else is refused.

IAM user guide, "Policy evaluation logic" and "IAM JSON policy elements reference"; API Gateway developer guide, "Output
from an API Gateway Lambda authorizer". An authorizer's backend writes them, or a definition: what is not understood is
an error, never a statement that doesn't count.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import Enum

from wsgateway.authorizers.condition_keys import Keys
from wsgateway.authorizers.conditions import Condition, compile_conditions
from wsgateway.authorizers.policy_elements import PolicyError, texts_of
from wsgateway.authorizers.principals import Callers, Principals, principals_of
from wsgateway.authorizers.variables import Scope, Template, Test, as_one_of, parse, whether
from wsgateway.authorizers.wildcards import Matcher, any_of

MAX_RESOURCE = 512
"""Characters of a statement's resource (API Gateway quotas)."""
MAX_STATEMENTS = 1_000

_KEYS = frozenset(
    {"Sid", "Effect", "Action", "NotAction", "Resource", "NotResource", "Condition", "Principal", "NotPrincipal"}
)
_ACTION = re.compile(r"\*|[A-Za-z0-9-]+:[A-Za-z0-9*?]+")
_OWN = re.compile(r"\*|execute-api:.*", re.IGNORECASE)
_VERSIONS = ("2012-10-17", "2008-10-17")


class Decision(Enum):
    """What a policy says to one action on one resource."""

    ALLOW = "allow"
    IMPLICIT_DENY = "implicit deny"
    EXPLICIT_DENY = "explicit deny"


@dataclass(frozen=True, slots=True)
class _Statement:
    allows: bool
    action: Matcher
    resource: Test
    conditions: tuple[Condition, ...]
    principals: Principals | None
    """Whom it is about; None for everyone."""
    conditional: bool
    """Whether it depends on the keys of a request."""

    def covers(self, action: str, resource: str, keys: Keys, callers: Callers) -> bool:
        return (
            (self.principals is None or self.principals.about(callers))
            and self.action(action.lower())
            and self.resource(resource, keys)
            and all(condition(keys) for condition in self.conditions)
        )


@dataclass(frozen=True, slots=True)
class Policy:
    """A compiled policy document."""

    statements: tuple[_Statement, ...]

    @property
    def conditional(self) -> bool:
        """Whether any verdict depends on the keys of a request."""
        return any(statement.conditional for statement in self.statements)

    def decide(
        self,
        action: str,
        resource: str,
        keys: Keys | None = None,
        callers: Callers | None = None,
    ) -> Decision:
        """The verdict on `action` (such as `execute-api:Invoke`) and a resource's ARN.

        `keys` are those of the request, `callers` the names by which principals may know who calls. Never raises;
        linear in the statements.
        """
        decision = Decision.IMPLICIT_DENY
        for statement in self.statements:
            if statement.covers(action, resource, keys or {}, callers or {}):
                if not statement.allows:
                    return Decision.EXPLICIT_DENY
                decision = Decision.ALLOW
        return decision


def compile_policy(document: object, *, principals: bool = False, keys: Collection[str] | None = None) -> Policy:
    """The policy in a decoded JSON document. *Raises* PolicyError with the first thing that can't be evaluated.

    With `principals` statements have the Principal element, which only a resource's policy has, here an API's. `keys`
    are all that requests have, where that is known: conditions and variables of others are refused.
    """
    scope, statements = _read(document, keys)
    return Policy(tuple(_statement(written, path, principals, scope) for path, written in statements))


def faults_of(document: object, *, principals: bool = False, keys: Collection[str] | None = None) -> list[PolicyError]:
    """What keeps a document from being a policy: of each statement the first thing that does."""
    faults = []
    try:
        scope, statements = _read(document, keys)
    except PolicyError as error:
        return [error]
    for path, written in statements:
        try:
            _statement(written, path, principals, scope)
        except PolicyError as error:
            faults.append(error)
    return faults


def _read(document: object, keys: Collection[str] | None) -> tuple[Scope, list[tuple[str, object]]]:
    """What texts are made of, and the statements, each with its path."""
    if not isinstance(document, dict):
        raise PolicyError("", "a policy is an object with Version and Statement")
    for key in document:
        if key not in ("Version", "Id", "Statement"):
            raise PolicyError(str(key), "is no element of a policy; there are Version, Id and Statement")
    if document.get("Version", _VERSIONS[0]) not in _VERSIONS:
        raise PolicyError("Version", f'write "{_VERSIONS[0]}"')
    if "Version" not in document:
        _refuse_variables(document)
    written = document.get("Statement")
    statements = written if isinstance(written, list) else [written]
    if len(statements) > MAX_STATEMENTS:
        raise PolicyError("Statement", f"has more than {MAX_STATEMENTS} statements")
    scope = Scope(keys, variables=document.get("Version") == _VERSIONS[0])
    return scope, [(f"Statement.{number}", statement) for number, statement in enumerate(statements)]


def _refuse_variables(document: object) -> None:
    """A policy that says no version is of 2008-10-17, where `${aws:username}` is a text that nothing is ever like.

    Whoever writes one means the variable: a Deny with it would deny nothing.
    """
    pending = [("", document)]
    while pending:
        path, value = pending.pop()
        if isinstance(value, str) and "${" in value:
            raise PolicyError(
                path, f'has a policy variable (${{…}}): write Version: "{_VERSIONS[0]}", where there are such'
            )
        items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        pending += [(f"{path}.{key}".lstrip("."), item) for key, item in items]


def _statement(written: object, path: str, of_resource: bool, scope: Scope) -> _Statement:
    if not isinstance(written, dict):
        raise PolicyError(path, "a statement is an object with Effect, Action and Resource")
    for key in written:
        if key not in _KEYS:
            raise PolicyError(f"{path}.{key}", "is no element of a statement")
    effect = written.get("Effect")
    if effect not in ("Allow", "Deny"):
        raise PolicyError(f"{path}.Effect", "is Allow or Deny")
    allows = effect == "Allow"
    principals = _principals(written, path, of_resource, allows)
    try:
        conditions = tuple(compile_conditions(written.get("Condition", {}), scope, allows=allows))
    except PolicyError as error:
        raise error.below(f"{path}.Condition") from error
    resources = _resources(written, path, scope)
    return _Statement(
        allows=allows,
        action=_action(written, path, of_resource),
        resource=whether(as_one_of(resources), negated="NotResource" in written, allows=allows),
        conditions=conditions,
        principals=principals,
        conditional=bool(conditions) or any(template.fixed is None for template in resources),
    )


def _principals(written: Mapping[object, object], path: str, of_resource: bool, allows: bool) -> Principals | None:
    """Whom a statement is about; None for everyone, as where it is of an identity's policy."""
    if of_resource:
        try:
            return principals_of(written, allows=allows)
        except PolicyError as error:
            raise error.below(path) from error
    for key in ("Principal", "NotPrincipal"):
        if key in written:
            raise PolicyError(f"{path}.{key}", "only the policy of a resource has principals; remove it")
    return None


def _one_of(written: Mapping[object, object], name: str, path: str) -> tuple[str, list[str]]:
    """The element, or its Not… form, and where it stands; one of the two must be there."""
    negated = f"Not{name}"
    if (name in written) == (negated in written):
        raise PolicyError(f"{path}.{name}", f"write {name} or {negated}, and not both")
    key = name if name in written else negated
    return f"{path}.{key}", list(texts_of(written[key], f"{path}.{key}"))


def _action(written: Mapping[object, object], path: str, of_resource: bool) -> Matcher:
    """What matches an action in lower case."""
    place, actions = _one_of(written, "Action", path)
    for action in actions:
        if _ACTION.fullmatch(action) is None:
            raise PolicyError(place, f"{action} is no action, such as execute-api:Invoke")
        if of_resource and _OWN.fullmatch(action) is None:
            raise PolicyError(place, f"{action} is nothing that is done to an API; there is execute-api:Invoke")
    matches = any_of([action.lower() for action in actions])
    return (lambda action: not matches(action)) if "NotAction" in written else matches


def _resources(written: Mapping[object, object], path: str, scope: Scope) -> list[Template]:
    place, resources = _one_of(written, "Resource", path)
    found = []
    for resource in resources:
        if len(resource) > MAX_RESOURCE:
            raise PolicyError(place, f"a resource has at most {MAX_RESOURCE} characters")
        if not resource.startswith(("arn:", "*", "?")):
            raise PolicyError(place, f'{resource} is neither an ARN nor "*"')
        try:
            found.append(_behind_account(parse(_completed(resource), scope)))
        except ValueError as error:
            raise PolicyError(place, str(error)) from error
    return found


def _completed(resource: str) -> str:
    """An ARN that ends too soon is about all that begins with it: `arn:aws:execute-api`."""
    return resource if "*" in resource else resource + ":*" * (5 - resource.count(":"))


def _behind_account(template: Template) -> Template:
    """*Raises* ValueError for a variable in place of a service, a region or an account."""
    if template.fixed is None and any(part.fixed is None for part in template.split(":", 5)[:5]):
        raise ValueError("policy variables stand behind the fifth colon of an ARN")
    return template
