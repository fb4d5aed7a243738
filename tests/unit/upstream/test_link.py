"""A backend at several targets: who is asked, who is asked instead, and what is never sent twice."""

from __future__ import annotations

import asyncio
import gc
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.upstream.test_origin import HEAD, LONG, Backend, Serve, backend, echo, silence
from wsgateway.errors import UNSENT, BadGateway, GatewayError, IntegrationFailure, IntegrationTimeout
from wsgateway.messages import EndpointRequest, EndpointResponse
from wsgateway.upstream import Egress, Gate, Link, Origin, Upstream
from wsgateway.upstream import link as link_module
from wsgateway.upstream.link import AVOIDED_SECONDS

pytestmark = pytest.mark.anyio

REQUEST = EndpointRequest(HEAD, b"hi")


class Target:
    """An origin as a link looks at it."""

    loop = None

    def __init__(self, load: int, avoided_until: float, held: int) -> None:
        self.load = load
        self.avoided_until = avoided_until
        self.held = held


def target(load: int = 0, *, avoided_until: float = 0.0, held: int = 1) -> Origin:
    return cast("Origin", Target(load, avoided_until, held))


def choices(link: Link, number: int, now: float = 0.0) -> list[int]:
    return [link.targets.index(cast("Origin", link.choose(now))) for _ in range(number)]


def test_of_equals_the_next_in_turn_is_asked() -> None:
    assert choices(Link([target(), target(), target()]), 7) == [0, 1, 2, 0, 1, 2, 0]


def test_the_one_with_the_least_to_do_is_asked() -> None:
    assert choices(Link([target(2), target(1), target(2), target(1)]), 4) == [1, 3, 1, 3]


def test_one_that_took_no_connection_is_avoided_for_a_while_and_then_found_out_about_by_one_call() -> None:
    down = target(avoided_until=10.0, held=0)
    link = Link([down, target(5), target(5)])

    assert choices(link, 3, now=9.9) == [1, 2, 1]
    assert choices(link, 1, now=10.0) == [0]
    down.load = 1  # type: ignore[misc]
    assert choices(link, 3, now=10.0) == [1, 2, 1]
    down.held = 1  # type: ignore[misc]
    assert choices(link, 1, now=10.0) == [0], "there is a connection, so there is nothing to find out"


def test_where_all_are_avoided_one_is_asked_all_the_same() -> None:
    assert choices(Link([target(1, avoided_until=9.0), target(avoided_until=9.0)]), 2, now=1.0) == [1, 1]


@given(
    loads=st.lists(st.tuples(st.integers(0, 5), st.sampled_from([0.0, 5.0, 15.0]), st.integers(0, 1)), min_size=1),
    tried=st.sets(st.integers(0, 9)),
)
def test_a_choice_is_never_worse_than_another(loads: list[tuple[int, float, int]], tried: set[int]) -> None:
    targets = [target(load, avoided_until=until, held=held) for load, until, held in loads]
    left = [each for number, each in enumerate(targets) if number not in tried]

    chosen = Link(targets).choose(10.0, [each for each in targets if each not in left])

    if not left:
        assert chosen is None
    else:
        assert chosen in left
        best = min((link_module._avoided(each, 10.0), each.load) for each in left)
        assert (link_module._avoided(chosen, 10.0), chosen.load) == best


# Over sockets


@asynccontextmanager
async def linked(*serves: Serve | None) -> AsyncIterator[tuple[Link, list[Backend | int]]]:
    """A link to a server for each of `serves`, at a port where nobody listens for None."""
    async with AsyncExitStack() as stack:
        servers: list[Backend | int] = []
        for serve in serves:
            servers.append(unused_port() if serve is None else await stack.enter_async_context(backend(serve)))
        upstream = Upstream(egress=Egress())
        stack.push_async_callback(upstream.aclose)
        ports = [server if isinstance(server, int) else server.port for server in servers]
        link = upstream.link("http", "chat.internal", 80, [("127.0.0.1", port) for port in ports])
        assert isinstance(link, Link)
        yield link, servers
        assert upstream.in_flight == 0


def unused_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def send(link: Link, timeout: float = LONG, gate: Gate | None = None) -> asyncio.Future[EndpointResponse]:
    return link.send(REQUEST, timeout, max_body=1000, gate=gate)


async def test_every_target_is_asked() -> None:
    async with linked(echo, echo, echo) as (link, servers):
        for _ in range(9):
            assert (await send(link)).body == b"hi"

        assert [server.accepted for server in servers if isinstance(server, Backend)] == [1, 1, 1]
        assert [target.opened + target.reused for target in link.targets] == [3, 3, 3]


async def test_one_target_is_called_without_a_link() -> None:
    async with backend(echo) as server:
        upstream = Upstream(egress=Egress())
        origin = upstream.link("http", "chat.internal", 80, [("127.0.0.1", server.port)])

        assert isinstance(origin, Origin)
        assert (await origin.send(REQUEST, LONG, max_body=1000)).body == b"hi"
        assert origin.url == f"http://chat.internal:80 at 127.0.0.1:{server.port}"
        await upstream.aclose()


async def test_a_target_that_refuses_connections_costs_no_call_and_is_left_alone() -> None:
    async with linked(None, echo) as (link, _):
        for _ in range(20):
            assert (await send(link)).body == b"hi"

        assert link.targets[0].unreachable == 1
        assert link.targets[0].avoided_until > 0


async def test_many_calls_at_once_go_on_to_the_next_target() -> None:
    """More than the moment's rule for backends that are down lets try."""
    gate = Gate(200)
    async with linked(None, echo, None) as (link, _):
        answers = await asyncio.gather(*(send(link, gate=gate) for _ in range(200)))

        assert {answer.body for answer in answers} == {b"hi"}
        assert gate.in_flight == 0


async def test_where_no_target_takes_a_connection_the_call_fails_once() -> None:
    gate = Gate(5)
    async with linked(None, None, None) as (link, ports):
        with pytest.raises(IntegrationFailure, match="refused the connection") as caught:
            await send(link, gate=gate)

        assert caught.value.failure == UNSENT
        assert [target.unreachable for target in link.targets] == [1, 1, 1]
        assert f"at 127.0.0.1:{ports[2]}" in caught.value.reason
        assert gate.in_flight == 0


async def test_what_was_sent_is_not_sent_to_another_target() -> None:
    async def reset(peer: object) -> None:
        await peer.request()  # type: ignore[attr-defined]
        peer.reset()  # type: ignore[attr-defined]

    async with linked(reset, reset) as (link, servers):
        with pytest.raises(BadGateway) as caught:
            await send(link)

        assert caught.value.failure == "reset"
        assert [server.accepted for server in servers if isinstance(server, Backend)] == [1, 0]


async def test_the_deadline_covers_all_targets() -> None:
    async with linked(None, silence) as (link, _):
        with pytest.raises(IntegrationTimeout):
            await send(link, timeout=0.05)


async def test_cancelling_ends_the_attempt_at_another_target() -> None:
    async with linked(None, silence) as (link, _):
        answer = send(link)
        while not link.targets[1].held:
            await asyncio.sleep(0)
        answer.cancel()

        assert link.targets[1].held == 0


async def test_a_target_that_never_answers_a_connection_is_given_up_for_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A full backlog takes no further connection, and refuses none."""
    monkeypatch.setattr("wsgateway.upstream.dial.NEXT_ADDRESS_SECONDS", 0.05)
    async with full() as port, backend(echo) as server:
        upstream = Upstream(egress=Egress())
        link = upstream.link("http", "chat.internal", 80, [("127.0.0.1", port), ("127.0.0.1", server.port)])
        assert isinstance(link, Link)

        assert (await send(link)).body == b"hi"
        assert link.targets[0].avoided_until > 0
        await upstream.aclose()


async def test_a_target_without_a_connection_in_the_whole_time_is_avoided() -> None:
    async with full() as port, backend(echo) as server:
        upstream = Upstream(egress=Egress())
        link = upstream.link("http", "chat.internal", 80, [("127.0.0.1", port), ("127.0.0.1", server.port)])
        assert isinstance(link, Link)

        with pytest.raises(IntegrationTimeout):
            await send(link, timeout=0.05)
        for _ in range(5):
            assert (await send(link)).body == b"hi"
        await upstream.aclose()


@asynccontextmanager
async def full() -> AsyncIterator[int]:
    """A port whose queue of connections is full."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        waiting: list[socket.socket] = []
        loop = asyncio.get_running_loop()
        try:
            while True:
                waiting.append(socket.socket())
                waiting[-1].setblocking(False)
                try:
                    async with asyncio.timeout(0.1):
                        await loop.sock_connect(waiting[-1], listening.getsockname())
                except TimeoutError:
                    break
            yield int(listening.getsockname()[1])
        finally:
            for each in waiting:
                each.close()


async def test_a_target_that_comes_back_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr(link_module, "monotonic", lambda: clock[0])
    async with linked(None, echo) as (link, (port, _)):
        assert (await send(link)).body == b"hi"
        server = Backend(echo)
        server.port = cast("int", port)
        await server.start()
        for _ in range(3):
            await send(link)
        assert server.accepted == 0

        clock[0] += AVOIDED_SECONDS
        for _ in range(4):
            assert (await send(link)).body == b"hi"

        assert server.accepted == 1
        assert link.targets[0].avoided_until == 0
        await server.stop()


async def test_unchanged_targets_keep_their_connections() -> None:
    async with backend(echo) as one, backend(echo) as other:
        upstream = Upstream(egress=Egress())
        first, second = ("127.0.0.1", one.port), ("127.0.0.1", other.port)
        before = upstream.link("http", "chat.internal", 80, [first, second])
        assert isinstance(before, Link)
        for _ in range(4):
            await before.send(REQUEST, LONG, max_body=1000)

        after = upstream.link("http", "chat.internal", 80, [second])
        assert after is before.targets[1]
        upstream.keep_only({after})

        assert (before.targets[0].held, before.targets[1].held) == (0, 1)
        await upstream.aclose()


async def test_the_policy_holds_for_targets() -> None:
    egress = Egress()
    upstream = Upstream(egress=egress)
    async with backend(echo) as server:
        egress.deny("127.0.0.1", server.port)
        for place in (("169.254.169.254", 80), ("127.0.0.1", server.port)):
            link = upstream.link("http", "chat.internal", 80, [place])
            with pytest.raises(GatewayError, match="egress policy"):
                await link.send(REQUEST, LONG, max_body=1000)
        assert server.accepted == 0
    await upstream.aclose()


async def test_closing_ends_what_is_under_way() -> None:
    async with backend(silence) as server:
        upstream = Upstream(egress=Egress())
        link = upstream.link("http", "c", 80, [("127.0.0.1", unused_port()), ("127.0.0.1", server.port)])
        calls = [link.send(REQUEST, LONG, max_body=1000) for _ in range(10)]
        await upstream.aclose()

        assert all(isinstance(error, GatewayError) for error in await asyncio.gather(*calls, return_exceptions=True))


async def test_a_call_that_went_on_leaves_no_garbage() -> None:
    async with linked(None, echo) as (link, _):
        await send(link)
        gc.collect()
        gc.disable()
        try:
            for target in link.targets:
                target.avoided_until = 0.0
            await send(link)
            await send(link)
            assert gc.collect() == 0
        finally:
            gc.enable()
