"""The page that tells what API keys used."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsgateway.dataplane.periods import DAY, day_from
from wsgateway.dataplane.usage import UsagePage, values_of
from wsgateway.errors import RegistryAway
from wsgateway.messages import HttpRequest, HttpResponse
from wsgateway.model.usage_plan import Quota, UsagePlan
from wsgateway.registry.usage import Claim, MemoryUsage

pytestmark = pytest.mark.anyio

TODAY = day_from("2026-11-25")
QUOTA = Quota.model_validate({"limit": 10, "period": "WEEK"})


def plan(*keys: str, quota: Quota | None = None) -> UsagePlan:
    return UsagePlan.model_validate(
        {"apiKeys": list(keys), "apiStages": [{"apiId": "a", "stage": "b"}]} | ({"quota": quota} if quota else {})
    )


PLANS = {"gold": plan("one", "two", quota=QUOTA), "free": plan("one")}


def test_what_is_left_is_that_of_the_period() -> None:
    sunday = day_from("2026-11-22")
    days = {sunday - 1: 7, sunday: 4, sunday + 2: 9}

    values = values_of(QUOTA, days, sunday - 1, sunday + 3)

    assert values == [[7, 3], [4, 6], [0, 6], [9, 0], [0, 0]]
    assert values_of(None, days, sunday, sunday) == [[4, None]]


def test_the_first_period_has_less() -> None:
    quota = Quota.model_validate({"limit": 10, "period": "DAY", "offset": 3})

    assert values_of(quota, {TODAY: 2}, TODAY - 1, TODAY + 1) == [[0, 7], [2, 5], [0, 10]]


@given(st.dictionaries(st.integers(20_000, 20_040), st.integers(0, 20)), st.integers(20_000, 20_040))
def test_nothing_is_left_below_none(days: dict[int, int], first: int) -> None:
    for used, left in values_of(QUOTA, days, first, first + 20):
        assert used is not None
        assert left is not None
        assert used >= 0
        assert 0 <= left <= 10


class Away(MemoryUsage):
    async def read(self, meters: Any) -> Any:
        raise RegistryAway("away")


async def ask(target: str, store: MemoryUsage | None = None, method: str = "GET", refuse: bool = False) -> HttpResponse:
    meters = SimpleNamespace(now=lambda: float(TODAY * DAY), store=store or MemoryUsage())
    gateway: Any = SimpleNamespace(meters=meters, usage_plans=PLANS)
    page = UsagePage(
        gateway,
        lambda request: HttpResponse(401) if refuse else None,
        otherwise=lambda request: HttpResponse(404),
    )
    request = HttpRequest(method, target, "localhost", ())
    answer = page(request)
    return answer if isinstance(answer, HttpResponse) else await answer


async def asked(target: str, store: MemoryUsage | None = None) -> dict[str, Any]:
    answer = await ask(target, store)
    assert answer.status == 200, answer.body
    assert isinstance(answer.body, bytes)
    found: dict[str, Any] = json.loads(answer.body)
    return found


async def test_every_key_of_every_plan() -> None:
    store = MemoryUsage()
    await store.claim([Claim(meter=("gold", "two"), day=TODAY, first=TODAY, limit=None, wanted=3, seen=0)])

    assert await asked("/usage", store) == {
        "items": [
            {
                "usagePlanId": "gold",
                "startDate": "2026-11-25",
                "endDate": "2026-11-25",
                "quota": {"limit": 10, "period": "WEEK", "offset": 0},
                "values": {"one": [[0, 10]], "two": [[3, 7]]},
            },
            {
                "usagePlanId": "free",
                "startDate": "2026-11-25",
                "endDate": "2026-11-25",
                "quota": None,
                "values": {"one": [[0, None]]},
            },
        ]
    }


async def test_one_plan_one_key_and_days() -> None:
    found = await asked("/usage?usagePlanId=gold&keyId=one&startDate=2026-11-24")

    assert [item["values"] for item in found["items"]] == [{"one": [[0, 10], [0, 10]]}]


async def test_page_by_page() -> None:
    first = await asked("/usage?limit=2")
    assert first["position"] == "2"
    last = await asked(f"/usage?limit=2&position={first['position']}")

    assert [list(item["values"]) for item in first["items"] + last["items"]] == [["one", "two"], ["one"]]
    assert "position" not in last


@pytest.mark.parametrize(
    "query",
    [
        "usagePlanId=silver",
        "startDate=2026-11-26",
        "startDate=2026-01-01",
        "startDate=yesterday",
        "endDate=2026-13-01",
        "plan=gold",
        "keyId=one&keyId=two",
        "limit=-1",
        "limit=x",
        "position=99999999999",
    ],
)
async def test_what_is_no_question(query: str) -> None:
    assert (await ask(f"/usage?{query}")).status == 400


async def test_who_may_not_ask_and_what_can_not_be_answered() -> None:
    assert (await ask("/usage", refuse=True)).status == 401
    assert (await ask("/usage", method="POST")).status == 405
    assert (await ask("/usage", Away())).status == 503
    assert (await ask("/usages")).status == 404
