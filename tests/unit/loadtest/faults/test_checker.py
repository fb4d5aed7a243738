"""The judge of the fault runs: for each promise histories that break it, and ones that only just don't."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from loadtest.faults.history import Exited, Handshake, Left, Opened, Ready
from tests.unit.loadtest.faults.hand import Hand

Story = Callable[[Hand], None]


def judge(story: Story) -> list[str]:
    hand = Hand()
    story(hand)
    return hand.broken()


def test_a_day_without_faults_breaks_nothing() -> None:
    hand = Hand()
    hand.push("early", at=10.12, status=410, during="connect", took=0.01)
    hand.opens(at=10)
    hand.push("p0", at=10.31, during="open")
    hand.says("m1", at=11)
    hand.push("p1", at=12)
    hand.push("p2", at=13, before="p1", node="c")
    hand.leaves(at=14)
    hand.push("p3", at=15.2, status=410)
    hand.dials("no", at=20, status=403)
    hand.refused("no", at=20.3, status=403)

    assert hand.broken() == []


# -- pushes


def lost_before_an_orderly_close(hand: Hand) -> None:
    hand.opens()
    hand.push("p", at=12, arrives=False)
    hand.leaves(at=14)


def lost_before_a_later_push(hand: Hand) -> None:
    hand.opens()
    hand.push("p", at=12, arrives=False)
    hand.push("q", at=13)
    hand.kills(at=20)
    hand.ends(at=20.1, disconnect=30)


def lost_before_a_close_by_the_gateway(hand: Hand) -> None:
    hand.opens()
    hand.push("p", at=20, arrives=False)
    hand.terminates(at=15, exited=25)
    hand.ends(at=22, code=1001, disconnect=22.1)


def said_to_a_connection_of_a_dead_node(hand: Hand) -> None:
    hand.opens()
    hand.kills(at=20)
    hand.ends(at=20.1, disconnect=30)
    hand.push("p", at=20.2, arrives=False)


def said_to_one_that_was_dropped_long_ago(hand: Hand) -> None:
    hand.opens()
    hand.drops(at=20, disconnect=20.1)
    hand.push("p", at=21.1, arrives=False)


@pytest.mark.parametrize(
    "story",
    [
        lost_before_an_orderly_close,
        lost_before_a_later_push,
        lost_before_a_close_by_the_gateway,
        said_to_a_connection_of_a_dead_node,
        said_to_one_that_was_dropped_long_ago,
    ],
)
def test_200_for_what_never_arrives(story: Story) -> None:
    assert judge(story) == ["HANDED_OVER"]


def lost_with_its_node(hand: Hand) -> None:
    hand.opens()
    hand.push("p", at=12)
    hand.push("q", at=19.95, arrives=False)
    hand.kills(at=20)
    hand.ends(at=20.1, disconnect=30)


def lost_with_a_dropped_connection(hand: Hand) -> None:
    hand.opens()
    hand.push("p", at=20.5, arrives=False)
    hand.drops(at=20, disconnect=20.1)


@pytest.mark.parametrize("story", [lost_with_its_node, lost_with_a_dropped_connection])
def test_200_lost_with_node_or_connection_is_none(story: Story) -> None:
    assert judge(story) == []


def gone_and_lives_on(hand: Hand) -> None:
    hand.opens()
    hand.push("p", at=12, status=410)
    hand.says("m", at=12.2)
    hand.leaves(at=20)


def gone_before_the_client_closes(hand: Hand) -> None:
    hand.opens()
    hand.push("p", at=12, status=410)
    hand.leaves(at=12.11)


def gone_as_redis_comes_back_empty(hand: Hand) -> None:
    hand.opens()
    hand.breaks("redis-away", at=20, until=25)
    hand.breaks("redis-wiped", at=24.9)
    hand.push("p", at=26, status=410)
    hand.push("q", at=40)
    hand.leaves(at=50)


@pytest.mark.parametrize("story", [gone_and_lives_on, gone_before_the_client_closes, gone_as_redis_comes_back_empty])
def test_a_false_410(story: Story) -> None:
    assert judge(story) == ["NO_FALSE_GONE"]


def gone_while_it_closes(hand: Hand) -> None:
    hand.opens()
    hand.push("p", at=11.95, status=410)
    hand.leaves(at=12)


def gone_before_it_is_open(hand: Hand) -> None:
    hand.opens(at=10)
    hand.push("p", at=10.29, status=410)
    hand.says("m", at=12)
    hand.leaves(at=20)


def gone_since_its_paused_node_was_given_up(hand: Hand) -> None:
    hand.opens()
    hand.breaks("pause", at=20, until=60, node="a")
    hand.call("DISCONNECT", 45, code=1006)
    hand.push("p", at=46, status=410)
    hand.push("q", at=60.1, arrives=True)
    hand.ends(at=60.3, code=1001)


@pytest.mark.parametrize(
    "story", [gone_while_it_closes, gone_before_it_is_open, gone_since_its_paused_node_was_given_up]
)
def test_410_that_is_true(story: Story) -> None:
    assert judge(story) == []


def test_410_for_a_paused_node_that_nobody_has_given_up() -> None:
    hand = Hand()
    hand.opens()
    hand.breaks("pause", at=20, until=60, node="a")
    hand.push("p", at=46, status=410)
    hand.push("q", at=62)
    hand.leaves(at=70)

    assert hand.broken() == ["NO_FALSE_GONE"]


@pytest.mark.parametrize("during", ["open", "first"])
def test_410_once_the_101_was_read(during: str) -> None:
    hand = Hand()
    hand.opens()
    hand.push("p", at=10.31, status=410, during=during)  # type: ignore[arg-type]  # one of them
    hand.says("m", at=12)
    hand.leaves(at=20)

    assert hand.broken() == ["ADDRESSABLE"]


def test_200_inside_connect() -> None:
    hand = Hand()
    hand.opens(at=10)
    hand.push("p", at=10.12, during="connect", took=0.01, arrives=True)
    hand.leaves(at=20)

    assert hand.broken() == ["ADDRESSABLE"]


def without_a_fault(hand: Hand) -> None:
    hand.push("p", at=20, status=503)


def for_another_node(hand: Hand) -> None:
    hand.kills("c", at=18)
    hand.push("p", at=20, status=503)


def before_the_kill(hand: Hand) -> None:
    hand.opens("y", node="c")
    hand.push("p", at=17.8, status=503, client="y")
    hand.kills("c", at=18)
    hand.ends("y", at=18.1, disconnect=30)


def too_long_after_the_kill(hand: Hand) -> None:
    hand.opens("y", node="c")
    hand.kills("c", at=18)
    hand.ends("y", at=18.1, disconnect=30)
    hand.push("p", at=49.1, status=503, client="y")


def while_redis_is_away(hand: Hand) -> None:
    hand.breaks("redis-away", at=15, until=30)
    hand.push("p", at=20, status=503)


def while_the_asked_node_has_no_redis(hand: Hand) -> None:
    hand.breaks("redis-cut", at=15, until=30, node="b")
    hand.push("p", at=20, status=503)


def while_redis_is_slow(hand: Hand) -> None:
    hand.breaks("redis-slow", at=15, until=30)
    hand.push("p", at=20, status=503)


def too_long_after_redis_is_back(hand: Hand) -> None:
    hand.breaks("redis-away", at=15, until=30)
    hand.push("p", at=41.1, status=503)


def too_long_after_a_flush(hand: Hand) -> None:
    hand.breaks("redis-wiped", at=15)
    hand.push("p", at=26.1, status=503)


def over_a_link_that_is_not_cut(hand: Hand) -> None:
    hand.breaks("peer-cut", at=15, until=30, other="c")
    hand.push("p", at=20, status=503)


def after_a_clean_close(hand: Hand) -> None:
    hand.opens("y")
    hand.leaves("y", at=18)
    hand.push("p", at=20, status=503, client="y")


def after_more_than_three_seconds(hand: Hand) -> None:
    hand.breaks("peer-cut", at=15, until=30, other="a")
    hand.push("p", at=20, status=503, took=4.1)


def no_answer(hand: Hand) -> None:
    hand.push("p", at=20, status=0)


def none_of_the_three(hand: Hand) -> None:
    hand.push("p", at=20, status=500)


@pytest.mark.parametrize(
    "story",
    [
        without_a_fault,
        for_another_node,
        before_the_kill,
        too_long_after_the_kill,
        while_redis_is_away,
        while_the_asked_node_has_no_redis,
        while_redis_is_slow,
        too_long_after_redis_is_back,
        too_long_after_a_flush,
        over_a_link_that_is_not_cut,
        after_a_clean_close,
        after_more_than_three_seconds,
        no_answer,
        none_of_the_three,
    ],
)
def test_doubt_without_a_cause(story: Story) -> None:
    hand = Hand()
    hand.opens()
    story(hand)
    hand.leaves(at=80)

    assert hand.broken() == ["PROMPT"]


def up_to_30_s_after_the_kill(hand: Hand) -> None:
    hand.opens("y", node="c")
    hand.kills("c", at=18)
    hand.ends("y", at=18.1, disconnect=30)
    hand.push("p", at=48.9, status=503, client="y")


def after_a_kill_while_redis_was_away(hand: Hand) -> None:
    hand.opens("y", node="c")
    hand.kills("c", at=18)
    hand.ends("y", at=18.1, disconnect=50)
    hand.breaks("redis-away", at=20, until=40)
    hand.push("p", at=70.9, status=503, client="y")


def of_a_node_that_came_up_as_redis_went(hand: Hand) -> None:
    hand.add(Ready(at=14.5, node="d"))
    hand.opens("y", node="d", at=14.6)
    hand.breaks("redis-away", at=15, until=30)
    hand.push("p", at=20, status=503, client="y")
    hand.leaves("y", at=45)


def of_a_dead_node_while_redis_is_away(hand: Hand) -> None:
    hand.opens("y", node="c")
    hand.kills("c", at=18)
    hand.ends("y", at=18.1, disconnect=40)
    hand.push("q", at=55, status=410, client="y")
    hand.breaks("redis-away", at=60, until=65)
    hand.push("p", at=61, status=503, client="y")


def up_to_10_s_after_redis_is_back(hand: Hand) -> None:
    hand.breaks("redis-away", at=15, until=30)
    hand.push("p", at=40.9, status=503)


def up_to_10_s_after_a_flush(hand: Hand) -> None:
    hand.breaks("redis-wiped", at=15)
    hand.push("p", at=25.9, status=503)


def over_a_cut_link(hand: Hand) -> None:
    hand.breaks("peer-cut", at=15, until=30, other="a")
    hand.push("p", at=20, status=503, took=3.9)


def of_a_paused_node(hand: Hand) -> None:
    hand.breaks("pause", at=15, until=30, node="a")
    hand.push("p", at=20, status=503)


def through_a_node_that_is_killed(hand: Hand) -> None:
    hand.kills("b", at=15)
    hand.push("p", at=14.95, status=0)


@pytest.mark.parametrize(
    "story",
    [
        up_to_30_s_after_the_kill,
        after_a_kill_while_redis_was_away,
        of_a_node_that_came_up_as_redis_went,
        of_a_dead_node_while_redis_is_away,
        up_to_10_s_after_redis_is_back,
        up_to_10_s_after_a_flush,
        over_a_cut_link,
        of_a_paused_node,
        through_a_node_that_is_killed,
    ],
)
def test_doubt_with_a_cause(story: Story) -> None:
    hand = Hand()
    hand.opens()
    story(hand)
    hand.leaves(at=80)

    assert hand.broken() == []


@pytest.mark.parametrize(
    ("before", "status", "broken"),
    [
        pytest.param("p", 200, ["ORDER"], id="the second waited for the first's 200"),
        pytest.param("", 200, [], id="the second did not wait"),
        pytest.param("p", 503, [], id="the first was not handed over as far as anybody knew"),
    ],
)
def test_order(before: str, status: int, broken: list[str]) -> None:
    hand = Hand()
    hand.opens()
    hand.breaks("peer-cut", at=11, until=15, other="a")
    hand.push("p", at=12, status=status, arrives=False)
    hand.push("q", at=13, before=before)
    hand.hears("push p x", at=13.5)
    hand.leaves(at=20)

    assert hand.broken() == broken


def test_a_duplicate() -> None:
    hand = Hand()
    hand.opens()
    hand.push("p", at=12)
    hand.hears("push p x", at=13.5)
    hand.leaves(at=20)

    assert hand.broken() == ["ONCE"]


@pytest.mark.parametrize("text", ["push p x", "push nobodys y", "reply m1"])
def test_misdelivered(text: str) -> None:
    hand = Hand()
    hand.opens()
    hand.opens("y")
    hand.says("m1", at=11)
    hand.push("p", at=12)
    hand.hears(text, at=13.5, client="y")
    hand.leaves(at=20)
    hand.leaves("y", at=20)

    assert set(hand.broken()) - {"ONCE"} == {"RIGHT_SOCKET"}


# -- calls


def test_a_message_that_nobody_can_have_heard_before_the_end() -> None:
    hand = Hand()
    hand.opens()
    hand.says("m1", at=19.9, called=False, replied=False)
    hand.push("p", at=19.92, took=0.01)
    hand.kills(at=19.95)
    hand.ends(at=20, disconnect=30)

    assert hand.broken() == []


def test_a_message_before_an_answered_close() -> None:
    hand = Hand()
    hand.opens()
    hand.says("m1", at=19.9, called=False, replied=False)
    hand.leaves(at=20)

    assert hand.broken() == ["NOT_IN_SILENCE"]


@pytest.mark.parametrize(
    ("error_frame", "goes_on", "broken"),
    [
        pytest.param(False, True, ["NOT_IN_SILENCE"], id="nothing, and the connection goes on"),
        pytest.param(True, True, [], id="an error frame"),
        pytest.param(False, False, [], id="the close of the connection"),
    ],
)
def test_a_message_without_a_call(error_frame: bool, goes_on: bool, broken: list[str]) -> None:
    hand = Hand()
    hand.opens()
    hand.says("m1", at=11)
    hand.says("m2", at=12, called=False, replied=False)
    if error_frame:
        hand.hears('{"message": "Forbidden", "connectionId": "id-x", "requestId": "r"}', at=12.1)
    if goes_on:
        hand.says("m3", at=13)
        hand.leaves(at=20)
    else:
        hand.terminates(at=11.5, exited=15)
        hand.ends(at=12.1, code=1001, disconnect=12.2)

    assert hand.broken() == broken


def test_a_message_called_for_twice() -> None:
    hand = Hand()
    hand.opens()
    hand.says("m1", at=11)
    hand.call("MESSAGE", 12, message="m1")
    hand.leaves(at=20)

    assert hand.broken() == ["ONE_CALL"]


def test_a_connect_called_for_twice() -> None:
    hand = Hand()
    hand.opens()
    hand.call("CONNECT", 10.15)
    hand.leaves(at=20)

    assert hand.broken() == ["ONE_CALL"]


def test_a_101_against_connects_no() -> None:
    hand = Hand()
    hand.dials(status=403)
    hand.add(Opened(at=10.3, client="x"))
    hand.leaves(at=20, answered=False)

    assert hand.broken() == ["CONNECT_FIRST"]


def test_a_101_before_connects_yes() -> None:
    hand = Hand()
    hand.dials()
    hand.add(Opened(at=10.15, client="x"))
    hand.leaves(at=20)

    assert hand.broken() == ["CONNECT_FIRST"]


def test_a_disconnect_of_a_rejected_handshake() -> None:
    hand = Hand()
    hand.dials(status=403)
    hand.refused(at=10.3, status=403)
    hand.call("DISCONNECT", 11, code=1006)

    assert hand.broken() == ["CONNECT_FIRST"]


@pytest.mark.parametrize(
    ("killed", "broken"), [pytest.param(10.15, [], id="in it"), pytest.param(15, ["CONNECT_FIRST"], id="long after")]
)
def test_a_disconnect_of_a_handshake_whose_node_was_killed(killed: float, broken: list[str]) -> None:
    hand = Hand()
    hand.dials(status=0)
    hand.refused(at=killed + 0.1, status=0)
    hand.kills(at=killed)
    hand.call("DISCONNECT", 30, code=1006)

    assert hand.broken() == broken


@pytest.mark.parametrize(
    ("cut", "broken"), [pytest.param(9, [], id="cut off before"), pytest.param(31, ["CONNECT_FIRST"], id="later")]
)
def test_a_disconnect_without_any_connect(cut: float, broken: list[str]) -> None:
    hand = Hand()
    hand.breaks("redis-cut", at=cut, until=40, node="a")
    hand.call("DISCONNECT", 30, code=1006)

    assert hand.broken() == broken


def never(hand: Hand) -> None:
    hand.opens()
    hand.leaves(at=20, answered=False)


def never_for_a_killed_nodes(hand: Hand) -> None:
    hand.opens()
    hand.kills(at=20)
    hand.ends(at=20.1)


def never_for_a_client_that_left_before_the_101(hand: Hand) -> None:
    hand.dials()
    hand.drops(at=10.25)


def never_answered(hand: Hand) -> None:
    hand.opens()
    hand.leaves(at=20, answered=False)
    hand.call("DISCONNECT", 20.2, status=503)
    hand.call("DISCONNECT", 21.2, status=None)


def twice_without_a_fault(hand: Hand) -> None:
    hand.opens()
    hand.leaves(at=20)
    hand.call("DISCONNECT", 21)


def twice_as_another_node_was_killed(hand: Hand) -> None:
    hand.opens()
    hand.kills("c", at=19.9)
    hand.leaves(at=20)
    hand.call("DISCONNECT", 21)


def thrice_for_a_killed_nodes(hand: Hand) -> None:
    hand.opens()
    hand.kills(at=20)
    hand.ends(at=20.1, disconnect=40)
    hand.call("DISCONNECT", 41, code=1006)
    hand.call("DISCONNECT", 42, code=1006)


def under_another_request_id(hand: Hand) -> None:
    hand.opens()
    hand.leaves(at=20, answered=False)
    hand.call("DISCONNECT", 20.2, status=503)
    hand.call("DISCONNECT", 21.2, request_id="another")


def with_the_code_of_no_crash(hand: Hand) -> None:
    hand.opens()
    hand.kills(at=20)
    hand.ends(at=20.1)
    hand.call("DISCONNECT", 40, code=1000)


def for_one_that_lives_on(hand: Hand) -> None:
    hand.opens()
    hand.breaks("redis-wiped", at=15)
    hand.call("DISCONNECT", 20, code=1006)
    hand.says("m", at=21)
    hand.leaves(at=30, answered=False)


def for_one_whose_node_was_out_of_sight_too_briefly(hand: Hand) -> None:
    hand.opens()
    hand.breaks("redis-cut", at=15, until=22, node="a")
    hand.call("DISCONNECT", 24, code=1006)
    hand.says("m", at=25)
    hand.leaves(at=30, answered=False)


@pytest.mark.parametrize(
    "story",
    [
        never,
        never_for_a_killed_nodes,
        never_for_a_client_that_left_before_the_101,
        never_answered,
        twice_without_a_fault,
        twice_as_another_node_was_killed,
        thrice_for_a_killed_nodes,
        under_another_request_id,
        with_the_code_of_no_crash,
        for_one_that_lives_on,
        for_one_whose_node_was_out_of_sight_too_briefly,
    ],
)
def test_a_broken_disconnect(story: Story) -> None:
    assert judge(story) == ["DISCONNECT"]


def retried(hand: Hand) -> None:
    hand.opens()
    hand.leaves(at=20, answered=False)
    hand.call("DISCONNECT", 20.2, status=503)
    hand.call("DISCONNECT", 21.2)


def twice_for_a_killed_nodes(hand: Hand) -> None:
    hand.opens()
    hand.leaves(at=19)
    hand.kills(at=20)
    hand.call("DISCONNECT", 42, code=1006)


def thrice_as_the_claimer_died_as_well(hand: Hand) -> None:
    hand.opens()
    hand.kills(at=20)
    hand.ends(at=20.1, disconnect=40)
    hand.call("DISCONNECT", 41, code=1006)
    hand.kills("b", at=41.5)
    hand.call("DISCONNECT", 80, code=1006)


def for_a_client_that_left_before_the_101(hand: Hand) -> None:
    hand.dials()
    hand.drops(at=10.25, disconnect=10.3)


def of_a_node_long_out_of_sight(hand: Hand) -> None:
    hand.opens()
    hand.breaks("redis-cut", at=15, until=50, node="a")
    hand.call("DISCONNECT", 40, code=1006)
    hand.says("m", at=41)
    hand.ends(at=51, code=1001)


@pytest.mark.parametrize(
    "story",
    [
        retried,
        twice_for_a_killed_nodes,
        thrice_as_the_claimer_died_as_well,
        for_a_client_that_left_before_the_101,
        of_a_node_long_out_of_sight,
    ],
)
def test_a_disconnect_as_promised(story: Story) -> None:
    assert judge(story) == []


@pytest.mark.parametrize(
    ("at", "broken"), [pytest.param(26, [], id="in time"), pytest.param(26.2, ["DISCONNECT_IN_TIME"], id="late")]
)
def test_the_time_of_a_disconnect_after_a_close(at: float, broken: list[str]) -> None:
    hand = Hand()
    hand.opens()
    hand.leaves(at=20, answered=False)
    hand.call("DISCONNECT", at)

    assert hand.broken() == broken


@pytest.mark.parametrize(
    ("at", "broken"), [pytest.param(81, [], id="in time"), pytest.param(81.2, ["DISCONNECT_IN_TIME"], id="late")]
)
def test_the_time_of_a_disconnect_after_a_crash(at: float, broken: list[str]) -> None:
    hand = Hand()
    hand.opens()
    hand.kills(at=20)
    hand.ends(at=20.1, disconnect=at)

    assert hand.broken() == broken


def test_the_time_after_a_crash_begins_anew_as_redis_is_back() -> None:
    hand = Hand()
    hand.opens()
    hand.kills(at=20)
    hand.ends(at=20.1, disconnect=100)
    hand.breaks("redis-away", at=30, until=50)

    assert hand.broken() == []


# -- operation


def cut_by_a_draining_node(hand: Hand) -> None:
    hand.opens()
    hand.terminates(at=20, exited=25)
    hand.ends(at=22, disconnect=22.1)


def ended_with_1(hand: Hand) -> None:
    hand.terminates(at=20, exited=25, status=1)


def ended_late(hand: Hand) -> None:
    hand.terminates(at=20, exited=80.1)


def never_ended(hand: Hand) -> None:
    hand.terminates(at=20)


@pytest.mark.parametrize("story", [cut_by_a_draining_node, ended_with_1, ended_late, never_ended])
def test_a_broken_drain(story: Story) -> None:
    assert judge(story) == ["DRAIN"]


def test_a_drain_as_promised() -> None:
    hand = Hand()
    hand.opens()
    hand.terminates(at=20, exited=79)
    hand.ends(at=22, code=1001, disconnect=22.1)
    hand.opens("y", at=30, node="b")
    hand.leaves("y", at=40)
    hand.push("p", at=41, status=410, client="y")

    assert hand.broken() == []


def cut_without_a_cause(hand: Hand) -> None:
    hand.opens()
    hand.ends(at=20, disconnect=20.1)


def cut_as_redis_went(hand: Hand) -> None:
    hand.opens()
    hand.breaks("redis-away", at=15, until=30)
    hand.ends(at=20, code=1001, disconnect=20.1)


def cut_as_another_node_died(hand: Hand) -> None:
    hand.opens()
    hand.kills("b", at=19)
    hand.ends(at=20, code=1001, disconnect=20.1)


def closed_with_an_odd_code(hand: Hand) -> None:
    hand.opens()
    hand.terminates(at=19, exited=25)
    hand.ends(at=20, code=1011, disconnect=20.1)


def closed_after_too_brief_a_pause(hand: Hand) -> None:
    hand.opens()
    hand.breaks("pause", at=15, until=20, node="a")
    hand.ends(at=21, code=1001, disconnect=21.1)


def refused_though_all_is_well(hand: Hand) -> None:
    hand.dials(status=200)
    hand.refused(at=10.3, status=500)
    hand.call("DISCONNECT", 10.4)


def refused_before_connect(hand: Hand) -> None:
    hand.add(Handshake(at=10, client="x", node="a"))
    hand.refused(at=10.3, status=503)


def refused_for_want_of_redis_long_after(hand: Hand) -> None:
    hand.breaks("redis-away", at=15, until=20)
    hand.add(Handshake(at=31.1, client="x", node="a"))
    hand.refused(at=31.2, status=503)


def ended_by_itself(hand: Hand) -> None:
    hand.add(Exited(at=30, node="b", status=1))


@pytest.mark.parametrize(
    "story",
    [
        cut_without_a_cause,
        cut_as_redis_went,
        cut_as_another_node_died,
        closed_with_an_odd_code,
        closed_after_too_brief_a_pause,
        refused_though_all_is_well,
        refused_before_connect,
        refused_for_want_of_redis_long_after,
        ended_by_itself,
    ],
)
def test_a_client_or_node_lost_without_a_cause(story: Story) -> None:
    assert judge(story) == ["STAYS"]


def test_something_that_stays_in_redis() -> None:
    hand = Hand()
    hand.add(Left(at=50, what="wsgateway:{AAAA}:records is there"))

    assert hand.broken() == ["NOTHING_LEFT"]


def closed_after_a_long_pause(hand: Hand) -> None:
    hand.opens()
    hand.breaks("pause", at=15, until=50, node="a")
    hand.call("DISCONNECT", 40, code=1006)
    hand.ends(at=50.1, code=1001)


def refused_for_want_of_redis(hand: Hand) -> None:
    hand.breaks("redis-away", at=15, until=20)
    hand.add(Handshake(at=30.9, client="x", node="a"))
    hand.refused(at=31, status=503)


def refused_as_the_links_stood_still(hand: Hand) -> None:
    hand.breaks("standstill", at=9.5, until=10)
    hand.add(Handshake(at=9.4, client="x", node="a"))
    hand.refused(at=10.1, status=503)


def refused_by_a_dying_node(hand: Hand) -> None:
    hand.kills(at=20)
    hand.add(Handshake(at=19.9, client="x", node="a"))
    hand.refused(at=20.1, status=0)


def refused_by_a_draining_node(hand: Hand) -> None:
    hand.terminates(at=20, exited=30)
    hand.add(Handshake(at=21, client="x", node="a"))
    hand.refused(at=21.1, status=503)


@pytest.mark.parametrize(
    "story",
    [
        closed_after_a_long_pause,
        refused_for_want_of_redis,
        refused_as_the_links_stood_still,
        refused_by_a_dying_node,
        refused_by_a_draining_node,
    ],
)
def test_a_client_lost_for_a_cause(story: Story) -> None:
    assert judge(story) == []
