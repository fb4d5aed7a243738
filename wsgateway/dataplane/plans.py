"""API keys at a stage: which are good there, how fast each may be used, and how much.

API Gateway developer guide, "Usage plans and API keys for REST APIs" and "Choose an API key source". A key is looked up
by its SHA-256, and whoever brings none, one that nobody knows, one that is disabled, or one of other stages gets one
answer. AWS counts what asks for a key: $connect, and requests of methods. Where a message route asks for one AWS is
silent: the key of $connect is looked up again, and the message counts; all do where a plan says countMessages (ours). A
route's or method's own throttle stands in place of the plan's. Quotas are taken from last, so that what any limit
refuses uses nothing of them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from hmac import compare_digest
from typing import TYPE_CHECKING

from wsgateway.dataplane.buckets import Buckets, Limit, Name
from wsgateway.dataplane.meters import Meters
from wsgateway.errors import InvalidApiKey, QuotaExceeded, Throttled
from wsgateway.invocation import Invocation
from wsgateway.model.api_key import digest_of
from wsgateway.model.key_source import source_of
from wsgateway.model.metered import DISCONNECT, metered
from wsgateway.model.throttle import RateLimit
from wsgateway.model.usage_plan import Quota
from wsgateway.trace import waited_for

if TYPE_CHECKING:
    from wsgateway.dataplane.admit import Admit
    from wsgateway.model.definitions import Definitions
    from wsgateway.model.usage_plan import UsagePlan

NO_KEY = bytes(32)
"""What is compared with where there is no key of a digest."""


@dataclass(frozen=True, slots=True)
class Grant:
    """What one key may do at one stage."""

    key: str
    """Its name."""
    digest: bytes
    plan: str
    quota: Quota | None
    counts_messages: bool
    limits: Mapping[str, tuple[Name, Limit]]
    """By route key, or method as `GET /pets`; under "" that of the plan."""


class StagePlans:
    """The keys of one stage. `admits` gives what asks for them."""

    def __init__(
        self, definitions: Definitions, api_id: str, stage_name: str, buckets: Buckets, meters: Meters
    ) -> None:
        self._api = metered(definitions.apis[api_id])
        self._buckets = buckets
        self._meters = meters
        self._names = {key.digest: key.name for key in definitions.api_keys}
        self._grants: dict[bytes, Grant] = {}
        self._enabled = enabled = {key.name: key.digest for key in definitions.api_keys if key.enabled}
        for plan_name, plan in definitions.plans.items():
            for place in plan.api_stages:
                if (place.api_id, place.stage) == (api_id, stage_name):
                    routes = {
                        self._api.named[name]: _limit(limit)
                        for name, limit in place.throttle.items()
                        if name in self._api.named
                    }
                    for name in plan.api_keys:
                        if name in enabled:
                            grant = _grant(plan_name, plan, name, enabled[name], (api_id, stage_name), routes)
                            self._grants[grant.digest] = grant
        self._messages_count = any(grant.counts_messages for grant in self._grants.values())

    def admits(self, route_key: str) -> tuple[Admit, Admit] | None:
        """What is asked first of the events of a route, or a method, and what last, behind all other limits; None where
        nothing is."""
        if self._api.asks is None or route_key == DISCONNECT:
            return None
        if not self._api.counted(route_key, messages=self._messages_count):
            return None
        required = route_key in self._api.required
        if self._api.shown(route_key):
            return self._admit_shown(route_key), self._count(required)
        return self._admit_message(route_key, required), self._count(required)

    # At $connect, and at requests

    def _admit_shown(self, route_key: str) -> Admit:
        read = _reader(self._api.key_source)

        def admit(invocation: Invocation) -> Awaitable[None] | None:
            value = read(invocation)
            grant = self._find(value)
            client = invocation.client
            client.identity = {**client.identity, "apiKey": value, "apiKeyId": grant.key}
            return self._throttle(grant, route_key, invocation)

        return admit

    def _find(self, value: str) -> Grant:
        """*Raises* InvalidApiKey, always with the same answer for the client."""
        digest = digest_of(value)
        grant = self._grants.get(digest)
        if compare_digest(digest, NO_KEY if grant is None else grant.digest) and grant is not None:
            return grant
        name = self._names.get(digest)
        if name is not None:
            why = "in no usage plan of this stage" if name in self._enabled else "disabled"
            raise InvalidApiKey(f"API key {name} is {why}")
        raise InvalidApiKey("nobody knows its API key" if value else "it brings no API key")

    # At messages

    def _admit_message(self, route_key: str, required: bool) -> Admit:
        def admit(invocation: Invocation) -> Awaitable[None] | None:
            grant = self._still(invocation, required)
            if grant is None or not (required or grant.counts_messages):
                return None
            return self._throttle(grant, route_key, invocation)

        return admit

    def _still(self, invocation: Invocation, required: bool) -> Grant | None:
        """What the key of $connect may do now; None for clients that connected when none was asked for.

        *Raises* InvalidApiKey where it is good no more, or the route needs one.
        """
        identity = invocation.client.identity
        value = identity.get("apiKey")
        grant = None if value is None else self._grants.get(digest_of(value))
        if grant is None and value is not None:
            raise InvalidApiKey(f"API key {identity.get('apiKeyId')} is good no more")
        if grant is None and required:
            raise InvalidApiKey("it connected without an API key")
        return grant

    # Limits

    def _throttle(self, grant: Grant, route_key: str, invocation: Invocation) -> Awaitable[None] | None:
        found = grant.limits.get(route_key) or grant.limits.get("")
        if found is None:
            return None
        name, limit = found
        taken = self._buckets.bucket(name, limit).take()
        return None if taken is True else _unless(taken, _throttled(grant, limit), invocation)

    def _count(self, required: bool) -> Admit:
        """What uses of the quota; behind what has looked the key up."""
        meter_of, grants = self._meters.meter, {grant.key: grant for grant in self._grants.values()}

        def admit(invocation: Invocation) -> Awaitable[None] | None:
            grant = grants.get(invocation.client.identity.get("apiKeyId", ""))
            if grant is None or not (required or grant.counts_messages):
                return None
            if invocation.trace is not None:
                invocation.trace.note("usage plan", grant.key)
            taken = meter_of((grant.plan, grant.key), grant.quota).take()
            return None if taken is True else _unless(taken, _exhausted(grant), invocation)

        return admit


def _grant(
    plan_name: str, plan: UsagePlan, name: str, digest: bytes, place: Name, routes: Mapping[str, Limit]
) -> Grant:
    bucket: Name = ("plan", plan_name, name)
    limits = {key: ((*bucket, *place, key), limit) for key, limit in routes.items()}
    if plan.throttle is not None:
        limits[""] = (bucket, _limit(plan.throttle))
    return Grant(name, digest, plan_name, plan.quota, plan.count_messages, limits)


def _limit(limit: RateLimit) -> Limit:
    return Limit(limit.rate_limit, limit.burst_limit)


def _unless(taken: bool | Awaitable[bool], refusal: Throttled, invocation: Invocation) -> Awaitable[None]:
    """Go on later, if then. *Raises* the refusal, at once or later."""
    if taken is False:
        raise refusal
    assert not isinstance(taken, bool)
    return waited_for(invocation.trace, "limits", _later(taken, refusal))


async def _later(taken: Awaitable[bool], refusal: Throttled) -> None:
    if not await taken:
        raise refusal


def _throttled(grant: Grant, limit: Limit) -> Throttled:
    said = f"{limit.rate:g} a second, {limit.burst:g} at once"
    return Throttled(f"the limit of API key {grant.key} in usage plan {grant.plan}: {said}", level="plan")


def _exhausted(grant: Grant) -> QuotaExceeded:
    assert grant.quota is not None
    said = f"{grant.quota.limit} a {grant.quota.period.lower()}"
    return QuotaExceeded(f"the quota of API key {grant.key} in usage plan {grant.plan}: {said}")


def _reader(expression: str) -> Callable[[Invocation], str]:
    """What reads a client's key; the last of several, and empty where there is none."""
    place, name = source_of(expression)
    match place:
        case "header":
            return lambda invocation: _last(invocation.field(name))
        case "querystring":
            return lambda invocation: _last(invocation.querystring(name))
        case _:
            return lambda invocation: invocation.client.usage_key or ""


def _last(values: list[str]) -> str:
    return values[-1] if values else ""
