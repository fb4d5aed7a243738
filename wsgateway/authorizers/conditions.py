"""Condition blocks of IAM policies: operators over the keys of a request.

IAM user guide, "IAM JSON policy elements: Condition operators" and "Conditions with multiple context keys or values":
the values of one key are alternatives (for the negated operators: none may match), keys and operators all must hold.
A key that a request lacks makes an operator false and a negated one true; `…IfExists` is true then.
"""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from operator import eq, ge, gt, le, lt
from typing import TypeVar

from wsgateway.authorizers.condition_keys import MANY_VALUED, Keys, checked
from wsgateway.authorizers.policy_elements import PolicyError
from wsgateway.authorizers.variables import Scope, Template, Test, as_one_of, parse, whether
from wsgateway.authorizers.wildcards import Wild

S = TypeVar("S")
T = TypeVar("T")
Condition = Callable[[Keys], bool]
"""Whether a request, given by its keys, is one the statement is about."""
Make = Callable[[list[str], Scope], list[Test]]
"""Tests of which one holds where a value of the request is as one of the policy's says. *Raises* ValueError, in words,
for what the policy can't say; what a request brings that can't be read does not match."""


def compile_conditions(block: object, scope: Scope, *, allows: bool) -> Iterator[Condition]:
    """Each operator and key of a Condition element; `allows`: of a statement that does.

    *Raises* PolicyError, also for keys that no request has.
    """
    if not isinstance(block, dict):
        raise PolicyError("", "is an object: an operator, and below it keys with their values")
    for operator, keys in block.items():
        if not isinstance(keys, dict):
            raise PolicyError(str(operator), "is an object: keys with their values")
        for key, written in keys.items():
            path = f"{operator}.{key}"
            try:
                lower = checked(key, scope.known)
                yield _condition(str(operator), lower, [*_values(written)], scope, allows)
            except ValueError as error:
                raise PolicyError(path, str(error)) from error


def _condition(written: str, key: str, values: list[str], scope: Scope, allows: bool) -> Condition:
    quantifier, _, name = written.rpartition(":")
    if quantifier not in ("", "ForAnyValue", "ForAllValues"):
        raise ValueError(f"{quantifier} is none of ForAnyValue and ForAllValues")
    if name == "Null" and not quantifier:
        return _null(key, values)
    operator = name.removesuffix("IfExists")
    if_absent = operator != name
    make = OPERATORS.get(operator)
    if make is None:
        raise ValueError(f"{written} is no condition operator")
    if key in MANY_VALUED and not quantifier:
        raise ValueError(f"the key has several values: write ForAnyValue:{name} or ForAllValues:{name}")
    negated = operator in NEGATED
    holds = whether(make(values, scope), negated=negated, allows=allows)

    def condition(keys: Keys) -> bool:
        found = keys.get(key, ())
        if quantifier == "ForAllValues":
            return all(holds(value, keys) for value in found)
        if not found:
            return if_absent or (negated and not quantifier)
        return any(holds(value, keys) for value in found)

    return condition


def _null(key: str, values: list[str]) -> Condition:
    if [value.lower() for value in values] not in (["true"], ["false"]):
        raise ValueError("Null takes true or false")
    absent = values[0].lower() == "true"
    return lambda keys: bool(keys.get(key)) is not absent


def _values(written: object) -> Iterator[str]:
    values = written if isinstance(written, list) else [written]
    if not values:
        raise ValueError("has no value to compare with")
    for value in values:
        match value:
            case bool():
                yield str(value).lower()
            case str():
                yield value
            case int() | float():
                yield str(value)
            case _:
                raise ValueError("values are texts, numbers or true and false")


def _equals(wanted: list[str], scope: Scope) -> list[Test]:
    return as_one_of([parse(value, scope).literal() for value in wanted])


def _equals_ignoring_case(wanted: list[str], scope: Scope) -> list[Test]:
    return as_one_of([parse(value, scope).literal(str.casefold) for value in wanted], str.casefold)


def _like(wanted: list[str], scope: Scope) -> list[Test]:
    return as_one_of([parse(value, scope) for value in wanted])


def _arns(wanted: list[str], scope: Scope) -> list[Test]:
    return [_arn(value, scope) for value in wanted]


def _arn(wanted: str, scope: Scope) -> Test:
    """Each of the six parts by itself, so that a star in one does not reach into the next."""
    parts = parse(wanted, scope).split(":", 5)
    if len(parts) != 6 or parts[0].parts != ["arn"]:
        raise ValueError(f"{wanted} is no ARN")
    tests = tuple(_plain_or(part) for part in parts[1:])

    def matches(value: str, keys: Keys) -> bool:
        kind, *found = value.split(":", 5)
        if kind != "arn" or len(found) != len(tests):
            return False
        return all(
            part == test if isinstance(test, str) else test(part, keys) for test, part in zip(tests, found, strict=True)
        )

    return matches


def _plain_or(part: Template) -> str | Test:
    """The part of an ARN, where it is always the same text, else what tells whether one is like it."""
    match part.fixed:
        case []:
            return ""
        case [str(text)]:
            return text
        case [Wild.MANY]:
            return _any
        case _:
            return part.like()


def _any(text: str, keys: Keys) -> bool:
    return True


def _compared(
    read: Callable[[str], T], seen: Callable[[str], S | None], compare: Callable[[S, T], bool], what: str
) -> Make:
    """Values that are read once: the policy's by `read`, which raises ValueError for what is not `what`."""

    def make(written: list[str], scope: Scope) -> list[Test]:
        wanted = [_as(read, value, what) for value in written]

        def test(value: str, keys: Keys) -> bool:
            found = seen(value)
            return found is not None and any(compare(found, each) for each in wanted)

        return [test]

    return make


def _as(read: Callable[[str], T], value: str, what: str) -> T:
    try:
        return read(value)
    except ValueError as error:
        raise ValueError(f"{value} is {what}") from error


def _some(seen: Callable[[str], T | None]) -> Callable[[str], T]:
    """Reads what has to be there."""

    def read(value: str) -> T:
        found = seen(value)
        if found is None:
            raise ValueError
        return found

    return read


def _number(compare: Callable[[float, float], bool]) -> Make:
    return _compared(_some(_as_number), _as_number, compare, "no number")


def _date(compare: Callable[[float, float], bool]) -> Make:
    return _compared(_some(_as_time), _as_time, compare, "neither an ISO 8601 time nor seconds since 1970")


def _as_boolean(text: str) -> str | None:
    return text.lower() if text.lower() in ("true", "false") else None


def _network(text: str) -> IPv4Network | IPv6Network:
    network = ip_network(text, strict=False)
    mapped = network.network_address.ipv4_mapped if isinstance(network, IPv6Network) else None
    return network if mapped is None or network.prefixlen < 96 else IPv4Network((mapped, network.prefixlen - 96))


def _as_address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def _base64(text: str) -> str:
    b64decode(text, validate=True)
    return text


_PLAIN_NUMBER = re.compile(r"[+-]?[0-9]{1,30}(?:\.[0-9]{1,30})?")


def _as_number(text: str) -> float | None:
    return float(text) if _PLAIN_NUMBER.fullmatch(text) else None


def _as_time(text: str) -> float | None:
    number = _as_number(text)
    if number is not None:
        return number
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp()


_BOOLEAN = _compared(_some(_as_boolean), _as_boolean, eq, "neither true nor false")
_BINARY = _compared(_base64, str, eq, "no Base64")
_ADDRESS = _compared(_network, _as_address, lambda address, network: address in network, "no address or CIDR block")

OPERATORS: Mapping[str, Make] = {
    "StringEquals": _equals,
    "StringNotEquals": _equals,
    "StringEqualsIgnoreCase": _equals_ignoring_case,
    "StringNotEqualsIgnoreCase": _equals_ignoring_case,
    "StringLike": _like,
    "StringNotLike": _like,
    "NumericEquals": _number(eq),
    "NumericNotEquals": _number(eq),
    "NumericLessThan": _number(lt),
    "NumericLessThanEquals": _number(le),
    "NumericGreaterThan": _number(gt),
    "NumericGreaterThanEquals": _number(ge),
    "DateEquals": _date(eq),
    "DateNotEquals": _date(eq),
    "DateLessThan": _date(lt),
    "DateLessThanEquals": _date(le),
    "DateGreaterThan": _date(gt),
    "DateGreaterThanEquals": _date(ge),
    "Bool": _BOOLEAN,
    "BinaryEquals": _BINARY,
    "IpAddress": _ADDRESS,
    "NotIpAddress": _ADDRESS,
    "ArnEquals": _arns,
    "ArnLike": _arns,
    "ArnNotEquals": _arns,
    "ArnNotLike": _arns,
}
NEGATED = frozenset(name for name in OPERATORS if "Not" in name)
