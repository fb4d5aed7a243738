"""IAM policies, as execute-api evaluates them: a matching Deny wins, a matching Allow lets in, all else is refused.

IAM user guide, "Policy evaluation logic" and "IAM JSON policy elements reference"; API Gateway developer guide, "Output
from an API Gateway Lambda authorizer". An authorizer's backend writes them, or a definition: what is not understood is
an error, never a statement that doesn't count.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from wsgateway.authorizers.conditions import Condition, ConditionError, compile_conditions
from wsgateway.authorizers.wildcards import Matcher, any_of

MAX_RESOURCE = 512
"""Characters of a statement's resource (API Gateway quotas)."""
MAX_STATEMENTS = 1_000

_KEYS = frozenset(
    {"Sid", "Effect", "Action", "NotAction", "Resource", "NotResource", "Condition", "Principal", "NotPrincipal"}
)
_ACCOUNT = re.compile(r"[0-9]{12}")
_PRINCIPAL = re.compile(r"arn:[a-z0-9-]+:(?:iam|sts)::[0-9]{12}:[^*?\s]{1,512}")
_VERSIONS = ("2012-10-17", "2008-10-17")


class PolicyError(ValueError):
    """A policy can't be evaluated; `path` says where (`Statement.0.Effect`), the text what is wrong there."""

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(f"{path}: {problem}" if path else problem)
        self.path = path
        self.problem = problem

    @property
    def steps(self) -> tuple[str | int, ...]:
        """`path` as Problems have it."""
        return tuple(int(part) if part.isdigit() else part for part in self.path.split(".") if part)


class Decision(Enum):
    """What a policy says to one action on one resource."""

    ALLOW = "allow"
    IMPLICIT_DENY = "implicit deny"
    EXPLICIT_DENY = "explicit deny"


@dataclass(frozen=True, slots=True)
class _Statement:
    allows: bool
    action: Matcher
    resource: Matcher
    conditions: tuple[Condition, ...]
    principals: frozenset[str] | None
    """The ARNs of whom it is about; None for everyone."""

    def covers(
        self, action: str, resource: str, keys: Mapping[str, Sequence[str]], callers: Mapping[str, bool]
    ) -> bool:
        return (
            (self.principals is None or self._is_about(self.principals, callers))
            and self.action(action.lower())
            and self.resource(resource)
            and all(condition(keys) for condition in self.conditions)
        )

    def _is_about(self, principals: frozenset[str], callers: Mapping[str, bool]) -> bool:
        return any(name in principals and (allowed or not self.allows) for name, allowed in callers.items())


@dataclass(frozen=True, slots=True)
class Policy:
    """A compiled policy document."""

    statements: tuple[_Statement, ...]

    @property
    def conditional(self) -> bool:
        """Whether any verdict depends on the keys of a request."""
        return any(statement.conditions for statement in self.statements)

    def decide(
        self,
        action: str,
        resource: str,
        keys: Mapping[str, Sequence[str]] | None = None,
        callers: Mapping[str, bool] | None = None,
    ) -> Decision:
        """The verdict on `action` (such as `execute-api:Invoke`) and a resource's ARN.

        `keys` are the condition keys of the request, lower case, each with its values; `callers` the ARNs by which
        principals may name who calls, and whether what is allowed to those is allowed to them. Never raises; linear in
        the statements.
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

    With `principals` statements have the Principal element, which only a resource's policy has. `keys` are all that
    requests have, where that is known: conditions of others are refused.
    """
    if not isinstance(document, dict):
        raise PolicyError("", "a policy is an object with Version and Statement")
    for key in document:
        if key not in ("Version", "Id", "Statement"):
            raise PolicyError(str(key), "is no element of a policy; there are Version, Id and Statement")
    if document.get("Version", _VERSIONS[0]) not in _VERSIONS:
        raise PolicyError("Version", f'write "{_VERSIONS[0]}"')
    if document.get("Version") != _VERSIONS[1]:
        _refuse_variables(document)
    written = document.get("Statement")
    statements = written if isinstance(written, list) else [written]
    if len(statements) > MAX_STATEMENTS:
        raise PolicyError("Statement", f"has more than {MAX_STATEMENTS} statements")
    return Policy(
        tuple(_statement(statement, f"Statement.{n}", principals, keys) for n, statement in enumerate(statements))
    )


def _refuse_variables(document: object) -> None:
    """`${aws:username}` and its like stand for values of the request, from version 2012-10-17 on.

    They are not filled in here, and as they are written they would match nothing: a Deny with one would deny nothing.
    """
    pending = [("", document)]
    while pending:
        path, value = pending.pop()
        if isinstance(value, str) and "${" in value:
            raise PolicyError(path, "policy variables (${…}) are not filled in; write a condition in their place")
        items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        pending += [(f"{path}.{key}".lstrip("."), item) for key, item in items]


def _statement(written: object, path: str, principals: bool, keys: Collection[str] | None) -> _Statement:
    if not isinstance(written, dict):
        raise PolicyError(path, "a statement is an object with Effect, Action and Resource")
    for key in written:
        if key not in _KEYS:
            raise PolicyError(f"{path}.{key}", "is no element of a statement")
    effect = written.get("Effect")
    if effect not in ("Allow", "Deny"):
        raise PolicyError(f"{path}.Effect", "is Allow or Deny")
    about = _principals(written, path, principals)
    try:
        conditions = tuple(compile_conditions(written.get("Condition", {}), keys))
    except ConditionError as error:
        raise PolicyError(f"{path}.Condition.{error.path}".rstrip("."), error.problem) from error
    return _Statement(
        allows=effect == "Allow",
        action=_element(written, "Action", path),
        resource=_element(written, "Resource", path),
        conditions=conditions,
        principals=about,
    )


def _principals(written: Mapping[object, object], path: str, of_resource: bool) -> frozenset[str] | None:
    """The ARNs of whom a statement is about; None for everyone, as where it is of an identity's policy."""
    if not of_resource:
        for key in ("Principal", "NotPrincipal"):
            if key in written:
                raise PolicyError(f"{path}.{key}", "only the policy of a resource has principals; remove it")
        return None
    if "NotPrincipal" in written:
        text = "is not evaluated: an Allow of it would be one for everybody else; name a Principal, and add conditions"
        raise PolicyError(f"{path}.NotPrincipal", text)
    value, at = written.get("Principal"), f"{path}.Principal"
    if value == "*":
        return None
    if not isinstance(value, dict) or set(value) != {"AWS"}:
        raise PolicyError(at, 'is "*", for everyone, or {"AWS": …} with accounts, and ARNs of users and roles')
    names = list(_texts(value["AWS"], f"{at}.AWS"))
    if "*" in names:
        return None
    return frozenset(_principal(name, f"{at}.AWS") for name in names)


def _principal(name: str, path: str) -> str:
    if _ACCOUNT.fullmatch(name):
        return f"arn:aws:iam::{name}:root"
    if _PRINCIPAL.fullmatch(name) is None:
        text = f"{name} is no account, and no ARN of a user, a role or a session; it has no wildcards but a single *"
        raise PolicyError(path, text)
    return name


def _element(written: Mapping[object, object], name: str, path: str) -> Matcher:
    """What matches Action (in lower case) or Resource, or its Not… form; one of the two must be there."""
    negated = f"Not{name}"
    if (name in written) == (negated in written):
        raise PolicyError(f"{path}.{name}", f"write {name} or {negated}, and not both")
    key = name if name in written else negated
    patterns = list(_texts(written[key], f"{path}.{key}"))
    for pattern in patterns:
        if name == "Resource" and len(pattern) > MAX_RESOURCE:
            raise PolicyError(f"{path}.{key}", f"a resource has at most {MAX_RESOURCE} characters")
    matches = any_of([pattern.lower() for pattern in patterns] if name == "Action" else patterns)
    return matches if key == name else lambda text: not matches(text)


def _texts(value: object, path: str) -> Iterator[str]:
    values = value if isinstance(value, list) else [value]
    if not values:
        raise PolicyError(path, "names nothing")
    for item in values:
        if not isinstance(item, str) or not item:
            raise PolicyError(path, "is a text, or a list of texts")
        yield item
