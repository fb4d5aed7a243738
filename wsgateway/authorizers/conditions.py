"""Condition blocks of IAM policies: operators over the keys of a request.

IAM user guide, "IAM JSON policy elements: Condition operators" and "Conditions with multiple context keys or values":
the values of one key are alternatives (for the negated operators: none may match), keys and operators all must hold.
A key that a request lacks makes an operator false and a negated one true; `…IfExists` is true then.
"""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from ipaddress import ip_address, ip_network
from operator import eq, ge, gt, le, lt

from wsgateway.authorizers.wildcards import any_of

Condition = Callable[[Mapping[str, Sequence[str]]], bool]
"""Whether a request, given by its keys in lower case with their values, is one the statement is about."""
Test = Callable[[str], bool]

_KEY = re.compile(r"[A-Za-z0-9-]+:[A-Za-z0-9_./:@=+-]+")


class ConditionError(ValueError):
    """A condition can't be evaluated."""

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(f"{path}: {problem}")
        self.path = path
        self.problem = problem


def compile_conditions(block: object, known: Collection[str] | None = None) -> Iterator[Condition]:
    """Each operator and key of a Condition element. *Raises* ConditionError, also for keys other than the `known`."""
    if not isinstance(block, dict):
        raise ConditionError("", "is an object: an operator, and below it keys with their values")
    for operator, keys in block.items():
        if not isinstance(keys, dict):
            raise ConditionError(str(operator), "is an object: keys with their values")
        for key, written in keys.items():
            path = f"{operator}.{key}"
            if not isinstance(key, str) or _KEY.fullmatch(key) is None:
                raise ConditionError(path, "is no condition key, such as aws:SourceIp")
            if known is not None and not any_of([name.lower() for name in known])(key.lower()):
                # No request would ever have it: a Deny that asks for it would deny nothing.
                raise ConditionError(path, f"is no key that requests have here; they have {', '.join(known)}")
            yield _condition(str(operator), key.lower(), [*_values(written, path)], path)


def _condition(written: str, key: str, values: list[str], path: str) -> Condition:
    quantifier, _, name = written.rpartition(":")
    if quantifier not in ("", "ForAnyValue", "ForAllValues"):
        raise ConditionError(path, f"{quantifier} is none of ForAnyValue and ForAllValues")
    if name == "Null":
        return _null(key, values, path)
    operator = name.removesuffix("IfExists")
    if_absent = operator != name
    make = OPERATORS.get(operator)
    if make is None:
        raise ConditionError(path, f"{operator} is no condition operator")
    negated = operator in NEGATED
    try:
        tests = [make(value) for value in values]
    except ValueError as error:
        raise ConditionError(path, str(error)) from error

    def holds(value: str) -> bool:
        return not any(test(value) for test in tests) if negated else any(test(value) for test in tests)

    def condition(keys: Mapping[str, Sequence[str]]) -> bool:
        found = keys.get(key, ())
        if quantifier == "ForAllValues":
            return all(map(holds, found))
        if not found:
            return if_absent or (negated and not quantifier)
        return any(map(holds, found))

    return condition


def _null(key: str, values: list[str], path: str) -> Condition:
    if [value.lower() for value in values] not in (["true"], ["false"]):
        raise ConditionError(path, "Null takes true or false")
    absent = values[0].lower() == "true"
    return lambda keys: bool(keys.get(key)) is not absent


def _values(written: object, path: str) -> Iterator[str]:
    for value in written if isinstance(written, list) else [written]:
        match value:
            case bool():
                yield str(value).lower()
            case str():
                yield value
            case int() | float():
                yield str(value)
            case _:
                raise ConditionError(path, "values are texts, numbers or true and false")


# Tests: each made of one value of the policy, and asked with one value of the request. Those that can't read what the
# policy says raise ValueError, in words; what a request brings that can't be read does not match.


def _equals(wanted: str) -> Test:
    return lambda value: value == wanted


def _equals_ignoring_case(wanted: str) -> Test:
    folded = wanted.casefold()
    return lambda value: value.casefold() == folded


def _like(pattern: str) -> Test:
    return any_of([pattern])


def _arn(pattern: str) -> Test:
    """Each of the six parts by itself, so that a star in one does not reach into the next."""
    parts = pattern.split(":", 5)
    if len(parts) != 6 or parts[0] != "arn":
        raise ValueError(f"{pattern} is no ARN")
    tests = [any_of([part]) for part in parts]

    def matches(value: str) -> bool:
        found = value.split(":", 5)
        return len(found) == 6 and all(test(part) for test, part in zip(tests, found, strict=True))

    return matches


def _number(compare: Callable[[float, float], bool]) -> Callable[[str], Test]:
    def make(wanted: str) -> Test:
        limit = _as_number(wanted)
        if limit is None:
            raise ValueError(f"{wanted} is no number")
        return lambda value: (number := _as_number(value)) is not None and compare(number, limit)

    return make


def _date(compare: Callable[[float, float], bool]) -> Callable[[str], Test]:
    def make(wanted: str) -> Test:
        limit = _as_time(wanted)
        if limit is None:
            raise ValueError(f"{wanted} is neither an ISO 8601 time nor seconds since 1970")
        return lambda value: (moment := _as_time(value)) is not None and compare(moment, limit)

    return make


def _bool(wanted: str) -> Test:
    if wanted.lower() not in ("true", "false"):
        raise ValueError(f"{wanted} is neither true nor false")
    return lambda value: value.lower() == wanted.lower()


def _binary(wanted: str) -> Test:
    b64decode(wanted, validate=True)
    return lambda value: value == wanted


def _address(wanted: str) -> Test:
    try:
        network = ip_network(wanted, strict=False)
    except ValueError as error:
        raise ValueError(f"{wanted} is no address or CIDR block") from error

    def matches(value: str) -> bool:
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


OPERATORS: Mapping[str, Callable[[str], Test]] = {
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
