"""`GET /usage` of the internal listener: which API key of which plan has used how much, and what it has left.

Queries: `usagePlanId`, `keyId`, `startDate` and `endDate` (YYYY-MM-DD, both included, at most 90 days; today where
absent), `limit` (500) and `position`, which the answer gives where there is more. `values` is as AWS's GetUsage gives
it: for each key, for each day, what it used and what the period had left for it then; null where the plan has no quota.
What nodes hold ahead counts as used.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable, Mapping
from itertools import groupby
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from wsgateway.dataplane.answers import JSON
from wsgateway.dataplane.periods import date_of, day_from, day_of, first_day
from wsgateway.dataplane.reply import retry_after
from wsgateway.errors import RegistryAway
from wsgateway.messages import Handler, HttpRequest, HttpResponse
from wsgateway.model.usage_plan import Quota, UsagePlan
from wsgateway.registry.usage import MeterName

if TYPE_CHECKING:
    from wsgateway.dataplane.gateway import Gateway

PATH = "/usage"
MOST_DAYS = 90
MOST_KEYS = 500
QUERIES = ("usagePlanId", "keyId", "startDate", "endDate", "limit", "position")


class BadQuery(Exception):
    """What is wrong with a query, in words."""


class UsagePage:
    """A Handler: answers for `/usage` and passes everything else on. `refusal` answers those who may not ask."""

    def __init__(
        self, gateway: Gateway, refusal: Callable[[HttpRequest], HttpResponse | None], *, otherwise: Handler
    ) -> None:
        self._gateway = gateway
        self._refusal = refusal
        self._otherwise = otherwise

    def __call__(self, request: HttpRequest) -> HttpResponse | Awaitable[HttpResponse]:
        path, _, query = request.target.partition("?")
        if path != PATH:
            return self._otherwise(request)
        if request.method not in ("GET", "HEAD"):
            return HttpResponse(405, (JSON, (b"Allow", b"GET, HEAD")), b'{"message":"use GET"}')
        return self._refusal(request) or self._answer(query)

    async def _answer(self, query: str) -> HttpResponse:
        today = day_of(self._gateway.meters.now())
        try:
            asked = _queries(query)
            first, last = _days(asked, today)
            meters, position = _page(asked, self._gateway.usage_plans)
        except BadQuery as error:
            return _json(400, {"message": str(error)})
        try:
            found = await self._gateway.meters.store.read(meters)
        except RegistryAway:
            answer = _json(503, {"message": "the registry is away, which knows what was used; try again"})
            return HttpResponse(503, (*answer.headers, retry_after()), answer.body)
        plans = self._gateway.usage_plans
        used = zip(meters, found, strict=True)
        items = [
            _item(name, plans[name], [(key, days) for (_, key), days in group], first, last)
            for name, group in groupby(used, lambda each: each[0][0])
        ]
        return _json(200, {"items": items} | ({"position": position} if position else {}))


def values_of(quota: Quota | None, days: Mapping[int, int], first: int, last: int) -> list[list[int | None]]:
    """For each day what was used, and what the quota had left behind it; None where there is none."""
    values: list[list[int | None]] = []
    for day in range(first, last + 1):
        left = None
        if quota is not None:
            period = range(first_day(quota.period, day), day + 1)
            less = quota.offset if min(days, default=day) >= period.start else 0
            left = max(0, quota.limit - less - sum(days.get(each, 0) for each in period))
        values.append([days.get(day, 0), left])
    return values


def _item(
    name: str, plan: UsagePlan, found: Iterable[tuple[str, Mapping[int, int]]], first: int, last: int
) -> dict[str, Any]:
    quota = plan.quota
    return {
        "usagePlanId": name,
        "startDate": date_of(first),
        "endDate": date_of(last),
        "quota": None if quota is None else {"limit": quota.limit, "period": quota.period, "offset": quota.offset},
        "values": {key: values_of(quota, days, first, last) for key, days in found},
    }


def _queries(text: str) -> dict[str, str]:
    asked: dict[str, str] = {}
    for name, value in parse_qsl(text, keep_blank_values=True):
        if name not in QUERIES or name in asked:
            raise BadQuery(f"queries are {', '.join(QUERIES)}, each once")
        asked[name] = value
    return asked


def _days(asked: Mapping[str, str], today: int) -> tuple[int, int]:
    try:
        last = day_from(asked["endDate"]) if "endDate" in asked else today
        first = day_from(asked["startDate"]) if "startDate" in asked else last
    except ValueError:
        raise BadQuery("dates are written YYYY-MM-DD") from None
    if not first <= last < first + MOST_DAYS:
        raise BadQuery(f"startDate is not after endDate, and they are no more than {MOST_DAYS} days")
    return first, last


def _page(asked: Mapping[str, str], plans: Mapping[str, UsagePlan]) -> tuple[list[MeterName], str]:
    """Whose use is told of, and where the next page begins; "" where there is none."""
    plan, key = asked.get("usagePlanId"), asked.get("keyId")
    if plan is not None and plan not in plans:
        raise BadQuery("there is no such usagePlanId")
    wanted = [
        (name, each)
        for name, defined in plans.items()
        if plan in (None, name)
        for each in defined.api_keys
        if key in (None, each)
    ]
    numbers = []
    for name, usual in (("position", 0), ("limit", MOST_KEYS)):
        text = asked.get(name, str(usual))
        if not (text.isascii() and text.isdigit() and len(text) < 10):
            raise BadQuery(f"{name} is a number")
        numbers.append(int(text))
    position, limit = numbers[0], min(max(1, numbers[1]), MOST_KEYS)
    following = position + limit
    return wanted[position:following], str(following) if following < len(wanted) else ""


def _json(status: int, value: object) -> HttpResponse:
    return HttpResponse(status, (JSON,), json.dumps(value).encode() + b"\n")
