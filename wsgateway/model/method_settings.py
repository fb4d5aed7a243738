"""`methodSettings` of a REST API's stage: what holds for all of its methods, and for single ones.

API Gateway API reference (v1), MethodSetting. A key is `*/*`, or a resource's path without its leading slash and a
verb, such as `pets/{petId}/GET`; the same with the slash is legal, and with `~1` in place of each, as AWS's tools write
it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Annotated, Literal, get_args

from annotated_types import Ge, Le

from wsgateway.errors import Problem
from wsgateway.model.base import Among
from wsgateway.model.event_settings import EventSettings
from wsgateway.model.explain import did_you_mean, shown

ALL = "*/*"
"""The key of what holds for all methods."""

Strategy = Literal["FAIL_WITH_403", "SUCCEED_WITH_RESPONSE_HEADER", "SUCCEED_WITHOUT_RESPONSE_HEADER"]


class MethodSettings(EventSettings):
    """What holds for the methods of a stage: all of them under `*/*`, or one."""

    caching_enabled: bool = False
    """true keeps answers in the stage's cache, which `cacheClusterEnabled` makes; under `*/*` those of GET methods."""
    cache_ttl_in_seconds: Annotated[int, Ge(0), Le(3600)] = 300
    """For how long an answer is kept, 0 for not at all; 300."""
    cache_data_encrypted: bool = False
    """true encrypts what is kept (AES-256), with a key made of the installation secret."""
    require_authorization_for_cache_control: bool = True
    """false lets every client have its answer anew by `Cache-Control: max-age=0`, true those whose policy allows
    execute-api:InvalidateCache."""
    unauthorized_cache_control_header_strategy: Annotated[Strategy, Among(get_args(Strategy))] = (
        "SUCCEED_WITH_RESPONSE_HEADER"
    )
    """What others get who ask for that: 403, or what is kept, with a Warning header or without."""

    metrics_enabled: bool = True
    """false counts requests by stage alone: their metrics have an empty `route`. (AWS's default is false.)"""


def method_of(key: str) -> tuple[str, str]:
    """The path and the verb that a key names; ("*", "*") for all methods."""
    key = key.replace("~1", "/").replace("~0", "~")
    path, slash, verb = key.rpartition("/")
    if not slash:
        return key, ""
    path = path.strip("/")
    return ("*", "*") if (path, verb) == ("*", "*") else (f"/{path}", verb)


def settings_of(settings: Mapping[str, MethodSettings], path: str, verb: str) -> tuple[MethodSettings, MethodSettings]:
    """What holds for one method, and its own settings alone: what these leave out is as for all methods."""
    usual = own = MethodSettings()
    for key, each in settings.items():
        named = method_of(key)
        if named == ("*", "*"):
            usual = each
        elif named == (path, verb):
            own = each
    return usual.but(own), own


def check_limits(settings: Mapping[str, MethodSettings]) -> Iterator[Problem]:
    """Limits that are half written; paths start at the settings."""
    for key, own in settings.items():
        if own.limits:
            for problem in settings_of(settings, *method_of(key))[0].halves():
                yield Problem((key, *problem.path), problem.text)


def check_keys(settings: Mapping[str, MethodSettings], methods: Collection[tuple[str, str]]) -> Iterator[Problem]:
    """Keys that name none of these methods, or one that another key names; paths start at the settings."""
    seen: dict[tuple[str, str], str] = {}
    known = {("*", "*"), *methods}
    for key in settings:
        named = method_of(key)
        first = seen.setdefault(named, key)
        if named not in known:
            names = [ALL, *(f"{path[1:]}/{verb}" for path, verb in methods)]
            near = did_you_mean(key, names) or "; a key is */* or a method's, such as pets/{petId}/GET"
            yield Problem((key,), f"the API has no method {shown(key)}{near}")
        elif first != key:
            yield Problem((key,), f"names the method that {shown(first)} names, too; keep one of the two")
