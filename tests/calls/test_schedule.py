"""Schedule: its choices, driven by hand or in simulated time, without threads and without waiting."""

from __future__ import annotations

import itertools
import math
import random
from typing import TYPE_CHECKING

import pytest

from tap_zentra.calls.errors import counted
from tap_zentra.calls.refusals import LockOut
from tap_zentra.calls.schedule import HEAD_START, Outcome, Phase, Schedule, Turn
from tap_zentra.v4.api import call_limits
from tests.calls.simulation import (
    SPAN,
    WINDOW,
    Simulation,
    World,
    brings_page,
    fails,
    locks_out,
    longest,
    refuses,
    require_limits,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tap_zentra.calls.limits import CallLimits


def _limits(*, user_limit: int = 60, device_limit: int = 1, window: float = WINDOW) -> CallLimits:
    return call_limits(user_limit=user_limit, device_limit=device_limit, window=window)


def _schedule(
    device_sns: Iterable[str],
    *,
    limits: CallLimits | None = None,
    window: float = WINDOW,
    max_calls: int = 16,
    max_attempts: int = 5,
    now: float = 0.0,
) -> Schedule:
    return Schedule(
        map(Turn, device_sns),
        limits or _limits(window=window),
        window=window,
        max_calls=max_calls,
        max_attempts=max_attempts,
        now=now,
        jitter=longest,
    )


# Whose turn it is


def test_the_device_with_most_left_goes_first() -> None:
    """Among devices that may be called, the longest way comes first: that shortens the run."""
    simulation = Simulation(World({"z6-1": 2, "z6-2": 4, "z6-3": 3})).run()

    assert simulation.asked == [
        *["z6-1", "z6-2", "z6-3"],
        *["z6-2", "z6-3", "z6-1"],
        *["z6-2", "z6-3"],
        *["z6-2"],
    ]


def test_a_call_for_which_there_is_no_room_is_not_counted() -> None:
    """It keeps its place in the order, and the limits know nothing of it."""
    schedule = _schedule(["z6-1", "z6-2"])
    first, _ = schedule.turns

    assert schedule.next_call(0.0, lambda turn: turn is not first) is None
    assert first.calls == 0
    assert schedule.next_call(0.0, lambda _: True) is first


def test_a_device_with_several_turns_counts_with_all_of_them() -> None:
    """They share its limit, so its way is as long as all of them together."""
    turns = [Turn("z6-1", calls_left=3), Turn("z6-2", calls_left=2), Turn("z6-2", "ETo, port 1", calls_left=2)]
    schedule = Schedule(turns, _limits(), window=WINDOW, max_calls=9, max_attempts=5, now=0.0)

    asked = [schedule.next_call(0.0), schedule.next_call(HEAD_START)]

    assert asked == [turns[1], turns[0]]


def test_the_turns_of_a_device_share_its_limit() -> None:
    """The service counts its calls, whatever they are for."""
    turns = [Turn("z6-1"), Turn("z6-1", "ETo, port 1", calls_left=1)]
    schedule = Schedule(turns, _limits(), window=WINDOW, max_calls=9, max_attempts=5, now=0.0)

    assert schedule.next_call(0.0) is turns[0]

    schedule.finish(turns[0], 1.0)

    assert schedule.next_call(1.0) == SPAN
    assert schedule.next_call(SPAN) is turns[1]


@pytest.mark.parametrize("is_called", [True, False])
def test_a_turn_that_is_withdrawn_is_not_called_any_more(*, is_called: bool) -> None:
    """What waits has failed with the reason; what is under way comes to its end, and is withdrawn then."""
    schedule = _schedule(["z6-1", "z6-2"])
    first, second = schedule.turns
    if is_called:
        assert schedule.next_call(0.0) is first
    for turn in schedule.turns:
        schedule.withdraw(turn, "no use")

    assert (second.phase, second.failure) == (Phase.FAILED, "no use")
    assert schedule.finished == (not is_called)

    if is_called:
        assert first.phase is Phase.CALLED

        schedule.go_on(first, 3, 1.0)
        schedule.withdraw(first, "no use")

    assert schedule.finished
    assert (first.phase, first.failure) == (Phase.FAILED, "no use")


def test_a_device_not_asked_yet_counts_as_most() -> None:
    """Nobody knows how much such a device has, so it is asked before those that are known."""
    schedule = _schedule(["z6-1", "z6-2"], limits=_limits(device_limit=5), max_calls=1)
    first = schedule.next_call(0.0)

    assert isinstance(first, Turn)

    schedule.go_on(first, 10**9, 1.0)
    second = schedule.next_call(1.0)

    assert isinstance(second, Turn)
    assert (first.device_sn, second.device_sn) == ("z6-1", "z6-2")


def test_devices_with_as_much_left_go_in_the_order_named() -> None:
    """The first call of each device follows the settings."""
    device_sns = [f"z6-{number}" for number in (3, 1, 2, 9, 4)]

    assert Simulation(World(dict.fromkeys(device_sns, 1))).run().asked == device_sns


def test_a_waiting_device_delays_no_other() -> None:
    """A device in its minute is passed over, however much it has left."""
    schedule = _schedule(["z6-1", "z6-2"], max_calls=1)
    first = schedule.next_call(0.0)

    assert isinstance(first, Turn)

    schedule.go_on(first, math.inf, 1.0)
    second = schedule.next_call(1.0)

    assert isinstance(second, Turn)
    assert second.device_sn == "z6-2"


def test_when_no_device_may_be_called_the_earliest_moment_is_named() -> None:
    """Waiting is for the whole fleet only when nobody may be called, and ends with the first who may."""
    schedule = _schedule(["z6-1", "z6-2"])
    for now in (0.0, 2.0):
        turn = schedule.next_call(now)

        assert isinstance(turn, Turn)

        schedule.go_on(turn, 5, now + 1)

    assert schedule.next_call(10.0) == pytest.approx(SPAN)
    assert schedule.next_call(60.0) == pytest.approx(SPAN)
    assert isinstance(schedule.next_call(SPAN), Turn)
    assert schedule.next_call(SPAN) == pytest.approx(2 + SPAN)


def test_while_all_devices_are_called_only_an_answer_helps() -> None:
    """With nobody waiting there is no moment to ask again at."""
    schedule = _schedule(["z6-1"])

    assert isinstance(schedule.next_call(0.0), Turn)
    assert schedule.next_call(1.0) is None
    assert not schedule.finished


def test_a_fleet_of_none_is_finished() -> None:
    """Nothing to call for is not something to wait for."""
    schedule = _schedule([])

    assert schedule.finished
    assert schedule.next_call(0.0) is None


def test_a_device_is_not_called_twice_at_one_time() -> None:
    """Where a page starts is known only from the page before, whatever the limits would allow."""
    schedule = _schedule(["z6-1"], limits=_limits(device_limit=10))
    turn = schedule.next_call(0.0)

    assert isinstance(turn, Turn)
    assert schedule.next_call(HEAD_START) is None

    schedule.go_on(turn, 1, 1.0)

    assert schedule.next_call(1.0) is turn


def test_a_device_has_a_phase() -> None:
    """Where a device stands is known at any time."""
    schedule = _schedule(["z6-1"], limits=_limits(device_limit=2))
    (turn,) = schedule.turns
    phases = [turn.phase]
    schedule.next_call(0.0)
    phases.append(turn.phase)
    schedule.go_on(turn, 0, 0.0)
    phases.append(turn.phase)
    schedule.next_call(0.0)
    phases.append(turn.phase)
    schedule.finish(turn, 0.0)
    phases.append(turn.phase)

    assert phases == [Phase.WAITING, Phase.CALLED, Phase.WAITING, Phase.CALLED, Phase.DONE]
    assert turn.calls_left == 0
    assert schedule.finished


@pytest.mark.parametrize("phase", Phase)
def test_only_a_device_that_was_read_to_its_end_is_current(phase: Phase) -> None:
    """What became of a device is decided in one place, wherever the run ended."""
    assert Turn("z6-1", phase=phase, calls=1).outcome is (Outcome.CURRENT if phase is Phase.DONE else Outcome.FAILED)


def test_a_device_that_nobody_called_for_has_not_failed() -> None:
    """A run that ended before its turn says nothing of a device."""
    assert Turn("z6-1").outcome is Outcome.NOT_ASKED


def test_an_estimate_of_nothing_left_ends_no_device() -> None:
    """A device ends when its reader says so: what is left is a guess until then."""
    schedule = _schedule(["z6-1"], limits=_limits(device_limit=2))
    (turn,) = schedule.turns
    schedule.next_call(0.0)
    schedule.go_on(turn, 0, 0.0)

    assert not schedule.finished
    assert schedule.next_call(0.0) is turn


def test_a_limit_that_another_stream_uses_up_is_seen_when_a_call_is_counted() -> None:
    """Between the look and the call the account's last call may have gone: then nobody is called."""
    limits = _limits(user_limit=1)
    schedule = _schedule(["z6-1"], limits=limits)
    look = limits.device_free_at

    def look_and_lose(device_sn: str) -> float:
        free_at = look(device_sn)
        limits.take("z6-9", 0.0)
        return free_at

    limits.device_free_at = look_and_lose  # type: ignore[method-assign]

    assert schedule.next_call(0.0) == pytest.approx(SPAN)
    assert schedule.turns[0].calls == 0


# The first call


def test_the_first_call_has_a_head_start() -> None:
    """A wrong token costs one call: the others wait for the first answer, but not longer than half a second."""
    schedule = _schedule(["z6-1", "z6-2", "z6-3"], now=100.0)

    assert isinstance(schedule.next_call(100.0), Turn)
    assert schedule.next_call(100.1) == 100.5
    assert isinstance(schedule.next_call(100.5), Turn)
    assert isinstance(schedule.next_call(100.5), Turn)


@pytest.mark.parametrize(
    "take",
    [
        lambda schedule, turn: schedule.go_on(turn, 5, 0.1),
        lambda schedule, turn: schedule.try_again(turn, "no answer", 0.1),
        lambda schedule, turn: schedule.lock_out(turn, "429", 5, 0.1, account=False),
        lambda schedule, turn: schedule.give_up(turn, "404", 0.1),
    ],
)
def test_any_answer_ends_the_head_start(take: Callable[[Schedule, Turn], object]) -> None:
    """Whatever the first call brings, the others go out at once."""
    schedule = _schedule(["z6-1", "z6-2"])
    turn = schedule.next_call(0.0)

    assert isinstance(turn, Turn)

    take(schedule, turn)

    assert isinstance(schedule.next_call(0.1), Turn)


def test_a_minute_begins_when_the_request_has_gone_out() -> None:
    """A slow connection must not make the next call early."""
    schedule = _schedule(["z6-1"])
    turn = schedule.next_call(0.0)

    assert isinstance(turn, Turn)

    schedule.sent(turn, 2.0)
    schedule.go_on(turn, 5, 3.0)

    assert schedule.next_call(3.0) == pytest.approx(2 + SPAN)


def test_a_call_that_goes_out_twice_counts_from_the_last_time() -> None:
    """After a redirect the minute begins anew."""
    schedule = _schedule(["z6-1"])
    turn = schedule.next_call(0.0)

    assert isinstance(turn, Turn)

    for moment in (1.0, 2.0):
        schedule.sent(turn, moment)
    schedule.go_on(turn, 5, 3.0)

    assert schedule.next_call(3.0) == pytest.approx(2 + SPAN)


def test_a_call_that_goes_out_twice_is_one_call() -> None:
    """A redirect leaves a device that may have two calls in a window its second one."""
    schedule = _schedule(["z6-1"], limits=_limits(device_limit=2))
    turn = schedule.next_call(0.0)

    assert isinstance(turn, Turn)

    for moment in (1.0, 2.0):
        schedule.sent(turn, moment)
    schedule.go_on(turn, 5, 3.0)

    assert schedule.next_call(3.0) is turn


# Limits and the length of a run


def _fleet(*pages: int) -> dict[str, int]:
    return {f"z6-{number}": count for number, count in enumerate(pages)}


@pytest.mark.parametrize(
    ("pages", "user_limit"),
    [
        pytest.param(_fleet(*[10] * 30), 60, id="30 devices of 10 pages"),
        pytest.param(_fleet(*[10] * 30), 5, id="more pages than the account may have"),
        pytest.param(_fleet(20, *[2] * 59), 60, id="one long, many short"),
        pytest.param(_fleet(*[3] * 59, 20), 60, id="many short, one long named last"),
        pytest.param(_fleet(*range(1, 41)), 60, id="all lengths"),
        pytest.param(_fleet(1), 60, id="one page"),
        pytest.param(_fleet(*[1] * 200), 60, id="nothing but first pages"),
    ],
)
@pytest.mark.parametrize("longest_latency", [0.05, 8.0])
def test_a_run_is_as_short_as_the_limits_allow(pages: dict[str, int], user_limit: int, longest_latency: float) -> None:
    """The last call goes out when the limits let it, but for margins, the head start, and the slowest answers."""
    windows = max(max(pages.values()) - 1, math.ceil(sum(pages.values()) / user_limit) - 1)
    all_pages = sum(pages.values())
    draw = random.Random(0)  # noqa: S311 - nothing secret
    world = World(pages, user_limit=user_limit, max_calls=60, latency=lambda: draw.uniform(0, longest_latency))
    simulation = Simulation(world).run()
    last = max(moment for moment, _ in simulation.sent)

    require_limits(simulation)
    assert len(simulation.sent) == all_pages
    assert all(turn.phase is Phase.DONE for turn in simulation.schedule.turns)
    assert last <= windows * SPAN + HEAD_START + longest_latency
    assert last >= windows * WINDOW


# Trouble


def test_a_failed_call_is_put_off_longer_each_time() -> None:
    """The delay doubles from half a window up to five windows."""
    world = World({"z6-1": 1}, max_attempts=7, latency=lambda: 1.0, answers={"z6-1": [fails] * 6})
    sent_at = Simulation(world).run().sent_to("z6-1")

    assert [later - earlier for earlier, later in itertools.pairwise(sent_at)] == pytest.approx(
        [SPAN, 61, 121, 241, 301, 301]
    )


def test_delays_are_jittered() -> None:
    """The longest delay goes through the jitter, so that devices do not all come back at one time."""
    asked: list[float] = []

    def jitter(most: float) -> float:
        asked.append(most)
        return 0.0

    Simulation(World({"z6-1": 1}, jitter=jitter, answers={"z6-1": [fails] * 4})).run()

    assert asked == [30, 60, 120, 240]


def test_a_failed_call_has_used_its_minute() -> None:
    """Even with no delay at all a device waits for its own window."""
    simulation = Simulation(World({"z6-1": 1}, jitter=lambda _: 0.0, answers={"z6-1": [fails]})).run()

    assert simulation.sent_to("z6-1") == pytest.approx([0, SPAN])


@pytest.mark.parametrize("max_attempts", [1, 2, 5])
def test_a_device_is_given_up_after_max_attempts(max_attempts: int) -> None:
    """So many tries of one page, and the device has failed, with the reason; the others go on."""
    world = World({"z6-1": 1, "z6-2": 3}, max_attempts=max_attempts, answers={"z6-1": [fails] * 9})
    simulation = Simulation(world).run()
    failed, done = simulation.schedule.turns

    assert len(simulation.sent_to("z6-1")) == max_attempts
    assert (failed.phase, done.phase) == (Phase.FAILED, Phase.DONE)
    assert failed.failure == f"no response within 120 s; gave up after {counted(max_attempts, 'attempt')}"
    assert done.failure is None


def test_trying_again_says_which_attempt_failed() -> None:
    """The caller learns how many attempts there were, and which was the last."""
    schedule = _schedule(["z6-1"], max_attempts=3)
    answers = []
    for now in (0.0, 100.0, 200.0):
        turn = schedule.next_call(now)

        assert isinstance(turn, Turn)

        answers.append(schedule.try_again(turn, "broken", now))

    assert answers == [1, 2, None]


def test_a_page_makes_failures_forgotten() -> None:
    """`max_attempts` is for one page, and the delay starts small again."""
    asked: list[float] = []

    def jitter(most: float) -> float:
        asked.append(most)
        return most

    answers = {"z6-1": [fails, fails, brings_page, fails, fails]}
    simulation = Simulation(World({"z6-1": 2}, max_attempts=3, jitter=jitter, answers=answers)).run()

    assert simulation.schedule.turns[0].phase is Phase.DONE
    assert asked == [30, 60, 30, 60]


def test_a_refused_device_fails_at_once() -> None:
    """What asking again would not change is not asked again."""
    simulation = Simulation(World({"z6-1": 1, "z6-2": 1}, answers={"z6-1": [refuses]})).run()

    assert [(turn.phase, turn.failure) for turn in simulation.schedule.turns] == [
        (Phase.FAILED, "404 Not Found"),
        (Phase.DONE, None),
    ]
    assert len(simulation.sent) == 2


# Lock-outs


@pytest.mark.parametrize(
    ("seconds", "window", "heeded"),
    [
        (41, 60, 41),
        (None, 60, 60),
        (0, 60, 1),
        (-5, 60, 1),
        (0.3, 60, 1),
        (300, 60, 300),
        (301, 60, 300),
        (math.inf, 60, 300),
        (None, 0.05, 0.05),
        (0, 0.05, 0.05),
        (41, 0.05, 0.25),
        (0.1, 0.05, 0.1),
    ],
)
@pytest.mark.parametrize("account", [True, False])
def test_a_lock_out_is_heeded_within_bounds(
    seconds: float | None, window: float, heeded: float, *, account: bool
) -> None:
    """At least a second (or a window, if shorter), at most five windows; a window when the service says nothing."""
    limits = _limits(window=window)
    schedule = _schedule(["z6-1"], limits=limits, window=window)
    turn = schedule.next_call(0.0)

    assert isinstance(turn, Turn)

    lock_out = schedule.lock_out(turn, "429", seconds, 1000.0, account=account)

    assert isinstance(lock_out, LockOut)
    assert lock_out.account is account
    assert lock_out.seconds == pytest.approx(heeded)

    locked_until = limits.account_free_at() if account else limits.device_free_at("z6-1")

    assert locked_until == pytest.approx(1000 + heeded)


def test_a_locked_device_waits_and_the_others_go_on() -> None:
    """Only the device that was locked out is put off."""
    simulation = Simulation(World({"z6-1": 1, "z6-2": 2}, answers={"z6-1": [locks_out(200)]})).run()

    assert simulation.sent_to("z6-1") == pytest.approx([0, 200])
    assert simulation.sent_to("z6-2") == pytest.approx([0, SPAN])


def test_a_locked_account_waits_with_all_its_devices() -> None:
    """Nobody is called until the account's lock-out is over."""
    simulation = Simulation(World({"z6-1": 1, "z6-2": 2}, answers={"z6-1": [locks_out(200, account=True)]})).run()

    assert simulation.sent_to("z6-1") == pytest.approx([0, 200])
    assert simulation.sent_to("z6-2") == pytest.approx([200, 200 + SPAN])


def test_a_locked_account_lets_a_finished_fleet_end() -> None:
    """A lock-out that no device has to wait for holds nobody up."""
    schedule = _schedule(["z6-1"])
    turn = schedule.next_call(0.0)

    assert isinstance(turn, Turn)

    schedule.finish(turn, 0.0)

    assert schedule.finished
    assert schedule.next_call(1.0) is None


def test_lock_outs_are_no_failed_attempts() -> None:
    """A device that is locked out more often than it may fail is read all the same."""
    answers = {"z6-1": [locks_out(5)] * 19}
    (turn,) = Simulation(World({"z6-1": 1}, max_attempts=1, answers=answers)).run().schedule.turns

    assert turn.phase is Phase.DONE
    assert turn.calls == 20


# The end, and the books


def test_a_closed_schedule_sends_nothing() -> None:
    """After `close` nothing goes out, and nothing is waited for."""
    schedule = _schedule(["z6-1", "z6-2"])

    assert isinstance(schedule.next_call(0.0), Turn)

    schedule.close()

    assert schedule.next_call(1000.0) is None
    assert schedule.finished
    assert schedule.closed


def test_waits_are_added_up() -> None:
    """A device's waits are the seconds between being ready for a call and being called, not those of the call."""
    world = World({"z6-1": 3}, latency=lambda: 4.0, waiting_since=-7.0)
    (turn,) = Simulation(world).run().schedule.turns

    assert turn.waited == pytest.approx(7 + 2 * (SPAN - 4))
    assert turn.calls == 3


def test_the_real_jitter_draws_from_nothing_to_the_longest_delay() -> None:
    """Unless told otherwise, a delay is anything up to the longest one."""
    schedule = Schedule([Turn("z6-1")], _limits(), window=WINDOW, max_calls=1, max_attempts=5, now=0.0)
    turn = schedule.next_call(0.0)

    assert isinstance(turn, Turn)

    schedule.try_again(turn, "broken", 100.0)

    assert 100 <= turn.not_before <= 130
