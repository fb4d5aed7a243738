"""Variables of IAM policies, such as `${aws:username}`: texts that are filled in with what a request has.

IAM user guide, "IAM policy elements: Variables and tags": policies of version 2012-10-17 have them, in resources behind
the fifth colon and in conditions that compare texts or ARNs. `${*}`, `${?}` and `${$}` stand for these characters, and
`${aws:username, 'nobody'}` for `nobody` where the request has no such key. A value is a text: a star in it is one. What
a variable without a value stands in matches nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from wsgateway.authorizers.condition_keys import MANY_VALUED, Keys, checked
from wsgateway.authorizers.wildcards import Glob, Part, one_of, parts_of

Test = Callable[[str, Keys], bool]
"""Whether a text is as a policy says, given the keys of the request. *Raises* NoValue."""

_VARIABLE = re.compile(r"\$\{(?:(?P<character>[*?$])|(?P<key>[^,}]+)(?:,\s*'(?P<default>[^']*)'\s*)?)\}")


class NoValue(LookupError):
    """The request lacks the key of a variable."""


class Variable(NamedTuple):
    """A key in lower case, and what stands in its place where a request lacks it."""

    key: str
    default: str | None


@dataclass(frozen=True, slots=True)
class Scope:
    """What texts of one policy may be made of: the keys that requests have, where that is known, and variables."""

    known: Collection[str] | None = None
    variables: bool = True


class Template:
    """A text of a policy: what stands for itself, wildcards, and variables."""

    __slots__ = ("parts",)

    def __init__(self, parts: Sequence[Part | Variable]) -> None:
        self.parts = parts

    @property
    def fixed(self) -> list[Part] | None:
        """What it is for all requests; None where it has variables."""
        found = [part for part in self.parts if not isinstance(part, Variable)]
        return found if len(found) == len(self.parts) else None

    def literal(self, as_read: Callable[[str], str] = str) -> Template:
        """The same with its wildcards as the characters that they are written by; texts are compared `as_read`."""
        return Template(
            [
                part if isinstance(part, Variable) else as_read(part if isinstance(part, str) else part.value)
                for part in self.parts
            ]
        )

    def like(self, as_read: Callable[[str], str] = str) -> Test:
        """Whether a text is as this one, wildcards included; texts and values are compared `as_read`."""
        fixed = self.fixed
        if fixed is not None:
            matches = one_of([fixed])
            return lambda text, keys: matches(as_read(text))
        return lambda text, keys: Glob(self._filled(keys, as_read)).matches(as_read(text))

    def split(self, at: str, most: int) -> list[Template]:
        """The texts between the first `most` places where `at` stands, which no variable is looked into for."""
        found: list[list[Part | Variable]] = [[]]
        for part in self.parts:
            if isinstance(part, str):
                first, *rest = part.split(at, most + 1 - len(found))
                found[-1].append(first)
                found += [[text] for text in rest]
            else:
                found[-1].append(part)
        return [Template([part for part in parts if part]) for parts in found]

    def _filled(self, keys: Keys, as_read: Callable[[str], str]) -> Iterator[Part]:
        return (as_read(_value(part, keys)) if isinstance(part, Variable) else part for part in self.parts)


def as_one_of(templates: Sequence[Template], as_read: Callable[[str], str] = str) -> list[Test]:
    """Those of which one holds where a text is as one of the templates."""
    known = one_of([template.fixed for template in templates if template.fixed is not None])
    others = [template.like(as_read) for template in templates if template.fixed is None]
    return [lambda text, keys: known(as_read(text)), *others]


def whether(tests: Sequence[Test], *, negated: bool, allows: bool) -> Test:
    """Whether one of the tests holds, or none where it is `negated`, of a statement that `allows`. Never raises.

    What lacks a value is like nothing. Who may be unlike it is not let in by that, nor kept from being denied.
    """

    def holds(text: str, keys: Keys) -> bool:
        for test in tests:
            try:
                if test(text, keys):
                    return not negated
            except NoValue:
                if negated and allows:
                    return False
        return negated

    return holds


def _value(variable: Variable, keys: Keys) -> str:
    found = keys.get(variable.key)
    if found:
        return found[0]
    if variable.default is None:
        raise NoValue(variable.key)
    return variable.default


def parse(text: str, scope: Scope) -> Template:
    """The text with its variables. *Raises* ValueError for what looks like one and isn't."""
    if not scope.variables or "${" not in text:
        return Template(parts_of(text))
    parts: list[Part | Variable] = []
    end = 0
    while (begins := text.find("${", end)) >= 0:
        found = _VARIABLE.match(text, begins)
        if found is None:
            raise ValueError(
                f"{text[begins:]} begins with no variable, such as ${{aws:username}}; write ${{$}} for a $"
            )
        parts += parts_of(text[end:begins])
        parts.append(found["character"] or _variable(found["key"].strip(), found["default"], scope))
        end = found.end()
    return Template([*parts, *parts_of(text[end:])])


def _variable(key: str, default: str | None, scope: Scope) -> Variable:
    try:
        lower = checked(key, scope.known)
    except ValueError as error:
        raise ValueError(f"the variable {key} {error}") from error
    if lower in MANY_VALUED:
        raise ValueError(f"the variable {key} has several values, and no text is all of them")
    return Variable(lower, default)
