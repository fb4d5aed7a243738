"""Whom a statement of a resource's policy is about: its Principal, or NotPrincipal.

IAM user guide, "AWS JSON policy elements: Principal" and "… NotPrincipal". Accounts, users, roles and sessions of roles
are known by those who sign. A service of AWS is never who calls here, so that what names one names nobody.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from wsgateway.authorizers.policy_elements import PolicyError, texts_of

Callers = Mapping[str, bool]
"""The names by which a policy may know who calls, and whether what it allows to that name is allowed to them: an
account by its number, else ARNs. Nobody who has not signed has any."""

_ACCOUNT = re.compile(r"(?:arn:[a-z0-9-]+:iam::)?([0-9]{12})(?::root)?")
_NAME = r"[^*?\s:]"
_ARN = re.compile(
    rf"arn:[a-z0-9-]+:(?:iam::[0-9]{{12}}:(?:user|role)/{_NAME}{{1,512}}"
    rf"|sts::[0-9]{{12}}:(?:assumed-role/{_NAME}{{1,512}}/{_NAME}{{1,64}}|federated-user/{_NAME}{{1,64}}))"
)
_SERVICE = re.compile(r"[a-z0-9-]+(?:\.[a-z0-9-]+)*\.amazonaws\.com(?:\.cn)?")


@dataclass(frozen=True, slots=True)
class Principals:
    """Whom a statement is about: those it names, or all others."""

    names: frozenset[str]
    others: bool
    allows: bool

    def about(self, callers: Callers) -> bool:
        """Whether it is about who calls.

        Who is kept from a Deny by NotPrincipal is named in full, as on AWS: a user with their account, a session with
        its role and account.
        """
        if not self.others:
            return any(name in self.names and (enough or not self.allows) for name, enough in callers.items())
        if self.allows:
            return self.names.isdisjoint(callers)
        return not callers or not callers.keys() <= self.names


def principals_of(written: Mapping[object, object], *, allows: bool) -> Principals | None:
    """Whom a statement is about; None: everyone. *Raises* PolicyError."""
    if "Principal" in written and "NotPrincipal" in written:
        raise PolicyError("NotPrincipal", "write Principal or NotPrincipal, and not both")
    element = "NotPrincipal" if "NotPrincipal" in written else "Principal"
    value, names = written.get(element), set[str]()
    if value == "*":
        value = {"AWS": "*"}
    if not isinstance(value, dict) or not value:
        raise PolicyError(element, 'is "*", for everyone, or {"AWS": …} with accounts, and ARNs of users and roles')
    for kind, named in value.items():
        place = f"{element}.{kind}"
        if kind not in ("AWS", "Service"):
            raise PolicyError(place, "is no kind of principal that calls here; there are AWS, and Service for nobody")
        names |= {_name(name, kind, place) for name in texts_of(named, place)}
    if "*" not in names:
        return Principals(frozenset(names), element == "NotPrincipal", allows)
    if element == "NotPrincipal":
        raise PolicyError(element, "leaves nobody whom the statement is about; remove the statement")
    return None


def _name(name: str, kind: object, place: str) -> str:
    if kind == "Service":
        if _SERVICE.fullmatch(name) is None:
            raise PolicyError(place, f"{name} is no service of AWS, such as events.amazonaws.com")
        return name
    account = _ACCOUNT.fullmatch(name)
    if account is not None and name.startswith("arn:") == name.endswith(":root"):
        return account[1]
    if name != "*" and _ARN.fullmatch(name) is None:
        text = f"{name} is no account, and no ARN of a user, a role or a session; it has no wildcards but a single *"
        raise PolicyError(place, text)
    return name
