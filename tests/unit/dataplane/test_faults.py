"""A failing route is one line, then a count, then a line that it is well again."""

from __future__ import annotations

from typing import Any

from wsgateway.dataplane.faults import AGAIN_SECONDS, CAUSES, CLOSES_BURST, CLOSES_RATE, FAILURES_BURST, Faults
from wsgateway.errors import AccessDenied, IntegrationFailure, IntegrationTimeout

KEY = ("chat", "dev", "say")


class World:
    def __init__(self) -> None:
        self.now = 100.0
        self.lines: list[dict[str, Any]] = []
        self.faults = Faults(lambda event, **facts: self.lines.append({"event": event, **facts}), lambda: self.now)

    def fail(self, key: tuple[str, str, str] = KEY, reason: str = "backend http://b refused") -> None:
        self.faults.failed(key, IntegrationFailure(reason), request_id="r", connection_id="c")


def test_the_first_failure_says_where_and_why() -> None:
    world = World()
    world.fail()

    assert world.lines == [
        {
            "event": "integration fails",
            "api": "chat",
            "stage": "dev",
            "route": "say",
            "status": 500,
            "error": "backend http://b refused",
            "not_told": 0,
            "request_id": "r",
            "connection_id": "c",
        }
    ]


def test_further_failures_are_counted_and_told_once_in_a_while() -> None:
    world = World()
    for _ in range(1000):
        world.fail()
    assert len(world.lines) == 1

    world.now += AGAIN_SECONDS
    world.fail()
    assert (len(world.lines), world.lines[-1]["not_told"]) == (2, 999)


def test_another_cause_is_told_at_once_and_each_but_once() -> None:
    world = World()
    for reason in ("refused", "no template", "refused", "no template"):
        world.fail(reason=reason)
    world.faults.succeeded(KEY)

    assert [line.get("error") for line in world.lines] == ["refused", "no template", None]
    assert world.lines[-1]["not_told"] == 2


def test_causes_that_clients_make_up_are_told_until_they_are_many() -> None:
    world = World()
    for number in range(100):
        world.fail(reason=f"no path {number}")
    assert len(world.lines) == CAUSES

    world.now += AGAIN_SECONDS
    world.fail(reason="no path 100")
    assert world.lines[-1]["not_told"] == 100 - CAUSES


def test_a_client_whose_every_other_message_fails_floods_no_log() -> None:
    world = World()
    for _ in range(1000):
        world.fail()
        world.faults.succeeded(KEY)

    assert len(world.lines) == 2 * FAILURES_BURST
    assert not world.faults.failing


def test_routes_are_told_apart() -> None:
    world = World()
    world.fail()
    world.fail(("chat", "dev", "join"))

    assert [line["route"] for line in world.lines] == ["say", "join"]


def test_the_first_success_says_that_it_is_over() -> None:
    world = World()
    world.fail()
    world.now += 2.5
    world.faults.succeeded(KEY)
    world.faults.succeeded(KEY)

    assert world.lines[1:] == [
        {
            "event": "integration answers again",
            "api": "chat",
            "stage": "dev",
            "route": "say",
            "after_seconds": 2.5,
            "not_told": 0,
        }
    ]
    assert not world.faults.failing


def test_a_clients_fault_is_none_of_the_integrations() -> None:
    world = World()
    world.faults.failed(KEY, AccessDenied("no route"), request_id="r", connection_id="c")

    assert world.lines == []


def test_a_timeout_is_told_with_its_status() -> None:
    world = World()
    world.faults.failed(KEY, IntegrationTimeout("slow"), request_id="r", connection_id="c")

    assert world.lines[0]["status"] == 504


def test_connections_that_end_badly_are_told_until_they_are_many() -> None:
    world = World()

    def close(times: int) -> None:
        for _ in range(times):
            world.faults.closed(api="chat", connection_id="c", code=1002, reason="incorrect masking")

    close(int(CLOSES_BURST) + 7)
    assert len(world.lines) == CLOSES_BURST
    world.now += 1.0
    close(int(CLOSES_RATE) + 1)

    assert len(world.lines) == CLOSES_BURST + CLOSES_RATE
    assert world.lines[int(CLOSES_BURST)] == {
        "event": "connection closed",
        "api": "chat",
        "connection_id": "c",
        "code": 1002,
        "reason": "incorrect masking",
        "not_told": 7,
    }
