"""How this node is, for `/readyz` and `/startupz`: one look at each thing that new clients depend on."""

from __future__ import annotations

from collections.abc import Iterator

from wsgateway.dataplane.node import Node
from wsgateway.deploy import Deployments
from wsgateway.installation import Installation
from wsgateway.telemetry.health import Check, Health


def checks_of(node: Node, deployments: Deployments, installation: Installation | None) -> Iterator[Check]:
    """What stands in the way of clients, and what only an operator has to know.

    Redis and the definition keep nobody away who can be served without them.
    """
    gateway = node.gateway
    if node.ready or gateway.draining:
        yield Check("start", Health.GOOD, "over")
    elif installation is not None and not installation.has_slot:
        yield Check("start", Health.BAD, "starting: Redis can't be reached, so this node has no slot yet")
    else:
        yield Check("start", Health.BAD, "starting")
    yield Check("drain", Health.BAD, "draining") if gateway.draining else Check("drain", Health.GOOD, "none")
    yield _connections(len(gateway.hub), gateway.max_connections)
    if deployments.valid:
        yield Check("definition", Health.GOOD, f"{deployments.digest[:12]} is executed")
    else:
        yield Check("definition", Health.FAIR, "the last one was refused, the log says why; an older is executed")
    if installation is not None:
        away = installation.membership.peers.away
        yield Check("registry", Health.FAIR if away else Health.GOOD, "can't be reached" if away else "answers")


def _connections(number: int, limit: int) -> Check:
    text = f"{number} of {limit}"
    return Check("connections", Health.FAIR, f"{text}: new ones get 503") if number >= limit else Check(
        "connections", Health.GOOD, text
    )  # fmt: skip
