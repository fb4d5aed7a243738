"""`usagePlans`: which stages API keys are good for, how fast and how much.

API Gateway developer guide, "Usage plans and API keys for REST APIs"; WebSocket APIs share them with REST APIs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Literal

from annotated_types import Ge, Le, MaxLen, MinLen
from pydantic import Field

from wsgateway.errors import Problem
from wsgateway.model.api_key import ApiKey
from wsgateway.model.base import Definition, Path
from wsgateway.model.explain import did_you_mean, in_words, shown
from wsgateway.model.metered import DISCONNECT, Metered
from wsgateway.model.throttle import RateLimit

TOLD = 10
"""Keys that nobody uses, each by name."""


class Quota(Definition):
    """How much each key of a plan may use. Periods begin at 00:00 UTC: of each day, each Sunday, each month's first."""

    limit: Annotated[int, Ge(0), Le(2**53)]
    """How many connections or requests, and messages where they count, a period has."""
    period: Literal["DAY", "WEEK", "MONTH"]
    """DAY, WEEK or MONTH."""
    offset: Annotated[int, Ge(0), Le(2**53)] = 0
    """What the first period, in which a key is first used, has less; 0."""

    def check(self) -> Iterator[Problem]:
        if self.offset > self.limit:
            yield Problem(("offset",), f"{self.offset} is more than limit, {self.limit}, leaves to be taken away")


class PlanStage(Definition):
    """A stage that the keys of a plan are good for."""

    api_id: str
    """The stage's API."""
    stage: str
    """The stage."""
    throttle: Mapping[str, RateLimit] = Field(default_factory=dict)
    """Throttles by route key, or by a method's path and verb, each in place of the plan's own; such as `$connect`, or
    `/pets/{petId}/GET`."""


class UsagePlan(Definition):
    """What a key of the plan is good for. Each key has throttles and a quota of its own."""

    name: Annotated[str, MinLen(1), MaxLen(1024)] | None = None
    """A name for people."""
    description: Annotated[str, MaxLen(125_000)] | None = None
    """What the plan is for."""
    api_stages: Annotated[list[PlanStage], MinLen(1)]
    """The stages it is about."""
    throttle: RateLimit | None = None
    """How fast each key may connect, or ask, over all stages together; absent: no limit of the plan's own."""
    quota: Quota | None = None
    """How often each key may connect, or ask, over all stages together; absent: as often as it likes."""
    api_keys: list[str] = Field(default_factory=list)
    """The names of its keys."""
    count_messages: bool = False
    """true counts every message of a client as well as its connecting, for throttles and quota. (Ours.)"""


def whole_plans(plans: Mapping[str, UsagePlan], keys: Sequence[ApiKey]) -> dict[str, UsagePlan]:
    """The plans with the keys that say themselves that they are in them."""
    said: dict[str, list[str]] = {}
    for key in keys:
        for name in key.usage_plans:
            said.setdefault(name, []).append(key.name)
    return {
        name: plan.model_copy(update={"api_keys": [*plan.api_keys, *said[name]]}) if name in said else plan
        for name, plan in plans.items()
    }


def check_plans(
    plans: Mapping[str, UsagePlan],
    keys: Sequence[ApiKey],
    apis: Mapping[str, Metered],
) -> Iterator[Problem]:
    """What plans name and nothing defines, what can't take effect, and APIs that nobody could connect to."""
    names = {key.name for key in keys}
    for number, key in enumerate(keys):
        for index, name in enumerate(key.usage_plans):
            if name not in plans:
                near = did_you_mean(name, plans) or "; define it under usagePlans"
                text = f"{shown(key.name)}: no plan is named {shown(name)}{near}"
                yield Problem(("apiKeys", number, "usagePlans", index), text)
    for plan_name, plan in plans.items():
        root: Path = ("usagePlans", plan_name)
        listed: set[str] = set()
        for number, name in enumerate(plan.api_keys):
            if name not in names:
                near = did_you_mean(name, names) or "; define it under apiKeys"
                yield Problem((*root, "apiKeys", number), f"no API key is named {shown(name)}{near}")
            elif name in listed:
                yield Problem((*root, "apiKeys", number), f"{shown(name)} is in the list twice; remove one of the two")
            listed.add(name)
        for number, place in enumerate(plan.api_stages):
            for problem in _check_place(plan, place, apis):
                yield Problem((*root, "apiStages", number, *problem.path), problem.text)
        if plan.count_messages and not any(_connects(place, apis) for place in plan.api_stages):
            text = "has no effect: the plan lists no stage of a WebSocket API, and requests are no messages; remove it"
            yield Problem((*root, "countMessages"), text)
    yield from _twice(plans)
    places = {place.api_id for plan in plans.values() for place in plan.api_stages}
    for api_id, api in apis.items():
        if api.connects and api.asks is not None and api_id not in places:
            text = "no usage plan lists a stage of this API, so every client would be refused; add it under usagePlans"
            yield Problem(("apis", api_id, *api.asks), text)


def _connects(place: PlanStage, apis: Mapping[str, Metered]) -> bool:
    """Whether it is a stage whose clients send messages; of an API that is not there nobody knows."""
    return place.api_id not in apis or apis[place.api_id].connects


def _check_place(plan: UsagePlan, place: PlanStage, apis: Mapping[str, Metered]) -> Iterator[Problem]:
    api = apis.get(place.api_id)
    if api is None:
        near = did_you_mean(place.api_id, apis) or "; define it under apis"
        yield Problem(("apiId",), f"no API is named {shown(place.api_id)}{near}")
        return
    if place.stage not in api.stages:
        near = did_you_mean(place.stage, api.stages) or f"; there are {', '.join(shown(each) for each in api.stages)}"
        yield Problem(("stage",), f"API {shown(place.api_id)} has no stage {shown(place.stage)}{near}")
    for name in place.throttle:
        key = api.named.get(name)
        if key is None:
            usual = (
                "define it under the API's routes" if api.connects else "write path and verb, as in /pets/{petId}/GET"
            )
            near = did_you_mean(name, api.named) or f"; {usual}"
            yield Problem(("throttle", name), f"there is no {api.kind} {shown(name)}{near}")
        elif not api.counted(key, messages=plan.count_messages):
            yield Problem(("throttle", name), f"has no effect: {_uncounted(api, key)}")


def _uncounted(api: Metered, key: str) -> str:
    """Why a throttle limits nothing."""
    if key == DISCONNECT:
        return "it is never refused"
    text = f"nothing of this {api.kind} is counted; give the {api.kind} apiKeyRequired: true"
    return f"{text}, or the plan countMessages: true" if api.counted(key, messages=True) else text


def _twice(plans: Mapping[str, UsagePlan]) -> Iterator[Problem]:
    """Stages that a key, or a plan, has twice (API Gateway v1 reference, CreateUsagePlanKey: 409)."""
    seen: dict[tuple[str, str, str], str] = {}
    for plan_name, plan in plans.items():
        places: set[tuple[str, str]] = set()
        for number, place in enumerate(plan.api_stages):
            where = (place.api_id, place.stage)
            said = f"stage {shown(place.stage)} of API {shown(place.api_id)}"
            if where in places:
                yield Problem(("usagePlans", plan_name, "apiStages", number), f"{said} is in this plan twice")
                continue
            places.add(where)
            for name in dict.fromkeys(plan.api_keys):
                other = seen.setdefault((name, *where), plan_name)
                if other != plan_name:
                    text = f"{shown(name)} is in plan {other} for {said}, too; a key has one plan at a stage"
                    yield Problem(("usagePlans", plan_name, "apiKeys", plan.api_keys.index(name)), text)


def remarks_on_plans(
    plans: Mapping[str, UsagePlan], keys: Sequence[ApiKey], apis: Mapping[str, Metered]
) -> Iterator[Problem]:
    """What works as it is written, and is most likely not meant so."""
    good: set[tuple[str, str]] = set()
    for plan_name, plan in plans.items():
        root: Path = ("usagePlans", plan_name)
        if not plan.api_keys:
            yield Problem(root, "the plan has no keys; nobody can use it")
        for number, place in enumerate(plan.api_stages):
            if plan.api_keys:
                good.add((place.api_id, place.stage))
            api = apis[place.api_id]
            if api.asks is None:
                text = f"API {place.api_id} asks no client for a key, so the plan has no effect there"
                where = "its $connect route" if api.connects else "a method"
                yield Problem((*root, "apiStages", number), f"{text}; give {where} apiKeyRequired: true")
    for api_id, api in apis.items():
        bare = [name for name in api.stages if (api_id, name) not in good]
        if api.asks is not None and bare:
            where = f"stage {bare[0]}" if len(bare) == 1 else f"stages {in_words(bare)}"
            refused = "every client is refused" if api.connects else "methods that ask for one refuse every client"
            text = f"no usage plan has a key for {where}, so {refused} there"
            yield Problem(("apis", api_id, *api.asks), text)
    used = {name for plan in plans.values() for name in plan.api_keys}
    unused = [number for number, key in enumerate(keys) if key.name not in used]
    for number in unused[:TOLD]:
        yield Problem(("apiKeys", number), f"{shown(keys[number].name)} is in no usage plan, so it is good for nothing")
    if len(unused) > TOLD:
        yield Problem(("apiKeys",), f"and {len(unused) - TOLD} more keys are in no usage plan")
