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
from ipaddress import ip_address, ip_network
from operator import eq, ge, gt, le, lt

from wsgateway.authorizers.condition_keys import MANY_VALUED, Keys, checked
from wsgateway.authorizers.policy_elements import PolicyError
from wsgateway.authorizers.variables import NoValue, Scope, Test, parse

Condition = Callable[[Keys], bool]
"""Whether a request, given by its keys, is one the statement is about."""
Make = Callable[[str, Scope], Test]
"""What asks of one value of the request whether it is as one value of the policy says. *Raises* ValueError, in words,
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
    tests = [make(value, scope) for value in values]

    def holds(value: str, keys: Keys) -> bool:
        for test in tests:
            try:
                if test(value, keys):
                    return not negated
            except NoValue:
                # It is like nothing. And who may be unlike it is not let in, nor kept from being denied.
                if negated and allows:
                    return False
        return negated

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


def _equals(wanted: str, scope: Scope) -> Test:
    return parse(wanted, scope).equal()


def _equals_ignoring_case(wanted: str, scope: Scope) -> Test:
    return parse(wanted, scope).equal(str.casefold)


def _like(wanted: str, scope: Scope) -> Test:
    return parse(wanted, scope).like()


def _arn(wanted: str, scope: Scope) -> Test:
    """Each of the six parts by itself, so that a star in one does not reach into the next."""
    parts = parse(wanted, scope).split(":", 5)
    if len(parts) != 6 or parts[0].parts != ["arn"]:
        raise ValueError(f"{wanted} is no ARN")
    tests = [part.like() for part in parts]

    def matches(value: str, keys: Keys) -> bool:
        found = value.split(":", 5)
        return len(found) == 6 and all(test(part, keys) for test, part in zip(tests, found, strict=True))

    return matches


def _number(compare: Callable[[float, float], bool]) -> Make:
    def make(wanted: str, scope: Scope) -> Test:
        limit = _as_number(wanted)
        if limit is None:
            raise ValueError(f"{wanted} is no number")
        return lambda value, keys: (number := _as_number(value)) is not None and compare(number, limit)

    return make


def _date(compare: Callable[[float, float], bool]) -> Make:
    def make(wanted: str, scope: Scope) -> Test:
        limit = _as_time(wanted)
        if limit is None:
            raise ValueError(f"{wanted} is neither an ISO 8601 time nor seconds since 1970")
        return lambda value, keys: (moment := _as_time(value)) is not None and compare(moment, limit)

    return make


def _bool(wanted: str, scope: Scope) -> Test:
    if wanted.lower() not in ("true", "false"):
        raise ValueError(f"{wanted} is neither true nor false")
    return lambda value, keys: value.lower() == wanted.lower()


def _binary(wanted: str, scope: Scope) -> Test:
    try:
        b64decode(wanted, validate=True)
    except ValueError as error:
        raise ValueError(f"{wanted} is no Base64") from error
    return lambda value, keys: value == wanted


def _address(wanted: str, scope: Scope) -> Test:
    try:
        network = ip_network(wanted, strict=False)
    except ValueError as error:
        raise ValueError(f"{wanted} is no address or CIDR block") from error

    def matches(value: str, keys: Keys) -> bool:
        try:
            address = ip_address(value)
        except ValueError:
            return False
        if address.version == 6 and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        return address in network

    return matches


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
    "Bool": _bool,
    "BinaryEquals": _binary,
    "IpAddress": _address,
    "NotIpAddress": _address,
    "ArnEquals": _arn,
    "ArnLike": _arn,
    "ArnNotEquals": _arn,
    "ArnNotLike": _arn,
}
NEGATED = frozenset(name for name in OPERATORS if "Not" in name)
