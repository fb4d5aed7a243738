"""From `--redis-url` to the registry behind it."""

from __future__ import annotations

from dataclasses import dataclass

from wsgateway.registry.link import Link
from wsgateway.registry.redis import RedisNodes, RedisOrphans
from wsgateway.registry.redis_answers import RedisAnswers
from wsgateway.registry.redis_definitions import RedisDefinitions
from wsgateway.registry.redis_shares import RedisShares
from wsgateway.registry.redis_tickets import RedisTickets
from wsgateway.registry.redis_usage import RedisUsage
from wsgateway.registry.target import target


@dataclass(frozen=True, slots=True)
class Registry:
    """Every kind of shared state, over one client; kept answers have their own."""

    link: Link
    nodes: RedisNodes
    orphans: RedisOrphans
    definitions: RedisDefinitions
    tickets: RedisTickets
    usage: RedisUsage
    shares: RedisShares
    answers: RedisAnswers


def open_registry(url: str, prefix: str) -> Registry:
    """The registry at a URL that is not `memory://`; nothing is connected yet. *Raises* SettingError."""
    link, answers = Link(target(url), prefix), Link(target(url), prefix)
    link.before_closing(answers.aclose)
    return Registry(
        link,
        RedisNodes(link),
        RedisOrphans(link),
        RedisDefinitions(link.command, prefix),
        RedisTickets(link.command, prefix),
        RedisUsage(link),
        RedisShares(link),
        RedisAnswers(answers),
    )
