"""Refusals (429): a limit that is shared, one device's own, and a service that refuses everything."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from tap_zentra.calls.refusals import SHARED, USED_UP, USED_UP_AGAIN, LockOut, Refusals
from tap_zentra.calls.schedule import Phase, Schedule, Turn
from tap_zentra.v4.api import call_limits
from tests.calls.simulation import (
    SPAN,
    WINDOW,
    SharedBudget,
    SharedLimit,
    Simulation,
    World,
    brings_page,
    fails,
    locks_out,
    require_limits,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tap_zentra.calls.limits import CallLimits
    from tests.calls.simulation import Answer

SILENCE = 20 * WINDOW
"""Seconds without an answer after which devices may be given up."""

HOPELESS = f"the service has refused every call for 1200 s; {USED_UP}"


def _fleet(devices: int, pages: int) -> dict[str, int]:
    return {f"z6-{number:03}": pages for number in range(devices)}


def _phases(simulation: Simulation) -> set[Phase]:
    return {turn.phase for turn in simulation.schedule.turns}


def _last_answer(simulation: Simulation) -> float:
    """Return when the last call went out that was not refused; without latency, calls are answered at once."""
    return max(moment for moment, device_sn in simulation.sent if (moment, device_sn) not in simulation.refused)


# What a refusal leads to, to the second and to the last call


@pytest.mark.parametrize(("lock_outs", "hopeless"), [(19, False), (20, True)])
def test_a_device_is_given_up_when_it_was_refused_twenty_times(lock_outs: int, *, hopeless: bool) -> None:
    """In twenty windows in which nobody got an answer."""
    refusals = Refusals(call_limits(user_limit=1, device_limit=1, window=WINDOW), window=WINDOW, max_calls=1, now=0)

    assert refusals.is_hopeless(Turn("z6-1", lock_outs=lock_outs, sent_at=SILENCE)) is hopeless


@pytest.mark.parametrize(("seconds", "news"), [(31.0, False), (31.5, True)])
def test_an_echo_of_a_lock_out_is_no_news(seconds: float, *, news: bool) -> None:
    """A call from before the account's lock-out tells of nothing new, unless it lasts a second longer at least."""
    limits = call_limits(user_limit=1, device_limit=1, window=WINDOW)
    refusals = Refusals(limits, window=WINDOW, max_calls=1, now=0)
    limits.lock_account(30)

    assert refusals.refused(Turn("z6-1"), seconds, 0, account=False).is_news is news


# A limit that is shared


@pytest.mark.parametrize("longest_latency", [0.0, 2.0])
@pytest.mark.parametrize("max_calls", [1, 3, 16])
@pytest.mark.parametrize("limit", [1, 5, 20])
def test_the_refusals_set_the_pace_of_a_shared_limit(limit: int, max_calls: int, longest_latency: float) -> None:
    """No device fails, about as many calls are refused as answered, and it takes hardly longer than the limit does."""
    draw = random.Random(0)  # noqa: S311 - nothing secret
    world = World(
        _fleet(30, 5),
        max_calls=max_calls,
        latency=lambda: draw.uniform(0, longest_latency),
        later_answers=lambda: service,
    )
    service = SharedLimit(limit)
    simulation = Simulation(world).run()
    windows = 150 / limit

    require_limits(simulation)
    assert _phases(simulation) == {Phase.DONE}
    assert len(simulation.refused) <= 150 + max_calls + 2
    assert simulation.now <= 1.2 * windows * WINDOW


@pytest.mark.parametrize("max_calls", [1, 4, 16])
def test_a_budget_of_v5_that_30_devices_share_sets_the_pace(max_calls: int) -> None:
    """Were it the key's after all, no device fails, fewer calls are refused than answered, and little time is lost."""
    service = SharedBudget(5)
    world = World(_fleet(30, 3), burst=5, max_calls=max_calls, latency=lambda: 1.0, later_answers=lambda: service)
    simulation = Simulation(world).run()

    assert _phases(simulation) == {Phase.DONE}
    assert len(simulation.refused) <= 90 + max_calls + 2
    assert simulation.now <= 1.2 * 85 * WINDOW


def test_a_lock_out_of_a_healthy_account_costs_little_more_than_its_length() -> None:
    """Each answer lets another call go beside the next one, so that a fleet is soon called as fast as before."""
    pages = {**_fleet(60, 5), "z6-030": 4}  # its refused call has used up a window
    answers = {"z6-030": [brings_page, locks_out(40, account=True)]}
    undisturbed = Simulation(World(pages, latency=lambda: 1.0)).run()
    simulation = Simulation(World(pages, latency=lambda: 1.0, answers=answers)).run()

    assert _phases(simulation) == {Phase.DONE}
    assert simulation.now <= undisturbed.now + 40 + 5


# A device that alone is refused


def _refuses_always(device_sn: str, pages: int, seconds: float | None = None) -> dict[str, list[Answer]]:
    """Let a device bring some pages, and then be refused for ever."""
    return {device_sn: [*[brings_page] * pages, *[locks_out(seconds)] * 9999]}


def test_a_device_that_is_refused_for_ever_stops_no_other() -> None:
    """It is given up when nothing else was answered for 20 windows, and not before, however often it was refused."""
    world = World({**_fleet(5, 30), "z6-999": 3}, answers=_refuses_always("z6-999", 0))
    simulation = Simulation(world).run()
    *others, refused = simulation.schedule.turns
    last_answer = _last_answer(simulation)

    assert {turn.phase for turn in others} == {Phase.DONE}
    assert last_answer == pytest.approx(29 * SPAN)
    assert refused.phase is Phase.FAILED
    assert last_answer + SILENCE <= simulation.now <= last_answer + SILENCE + 2 * SPAN
    assert refused.failure == (f"Too many calls.; refused {refused.calls} times in a row, and {HOPELESS}")


@pytest.mark.parametrize("pages", [0, 2])
@pytest.mark.parametrize("refused", [1, 2, 4])
def test_devices_that_are_refused_for_ever_do_not_keep_the_account_locked(refused: int, pages: int) -> None:
    """After a lock-out of the account, those that are refused even as the first go behind the others."""
    answers = {"z6-009": [brings_page, locks_out(30, account=True)]}
    for number in range(refused):
        answers |= _refuses_always(f"z6-{number:03}", pages)
    simulation = Simulation(World(_fleet(10, 10), answers=answers)).run()

    assert [turn.phase for turn in simulation.schedule.turns] == [
        *[Phase.FAILED] * refused,
        *[Phase.DONE] * (10 - refused),
    ]
    assert _last_answer(simulation) <= (10 + 2 * refused + 2) * SPAN


def test_a_device_is_given_up_alone_while_the_fleet_was_refused_less_than_20_times() -> None:
    """The others, which were refused less often, are asked again."""
    answers = {
        "z6-000": [locks_out(300)] * 9999,
        "z6-001": [*[brings_page] * 110, *[locks_out(300)] * 8],
    }
    simulation = Simulation(World({"z6-000": 1, "z6-001": 120}, answers=answers)).run()

    assert [turn.phase for turn in simulation.schedule.turns] == [Phase.FAILED, Phase.DONE]
    assert simulation.sent_to("z6-000")[-1] < simulation.sent_to("z6-001")[-11]


def test_a_device_that_waits_long_is_asked_20_times() -> None:
    """20 windows are soon over where each refusal makes it wait for five."""
    simulation = Simulation(World({"z6-000": 1}, later_answers=lambda: locks_out(300))).run()

    assert len(simulation.refused) == 20
    assert simulation.now == 19 * 300


# A service that refuses everything


@pytest.mark.parametrize(("seconds", "windows"), [(None, 21), (300, 101), (5, 20.2)])
def test_a_service_that_refuses_everything_ends_the_run(seconds: float | None, windows: float) -> None:
    """Nobody waits for 300 devices to be refused 20 times each, and each one has its reason."""
    world = World(_fleet(300, 5), later_answers=lambda: locks_out(seconds))
    simulation = Simulation(world).run()
    turns = simulation.schedule.turns

    assert simulation.now <= windows * WINDOW
    assert _phases(simulation) == {Phase.FAILED}
    assert {turn.failure for turn in turns} <= {
        f"no call was made: Too many calls.; {HOPELESS}",
        f"Too many calls.; refused once, and {HOPELESS}",
        f"Too many calls.; refused 2 times in a row, and {HOPELESS}",
    }
    assert all(str(turn.failure).startswith("no call was made") == (turn.calls == 0) for turn in turns)


def test_a_service_that_begins_to_refuse_everything_ends_the_run() -> None:
    """A device that was read in part is told from one that was never called; what was before its last page is past."""
    answers = {
        "z6-000": [*[locks_out(None)] * 2, brings_page, *[locks_out(None)] * 9999],
        "z6-001": [brings_page, *[locks_out(None)] * 9999],
    }
    simulation = Simulation(World({"z6-000": 3, "z6-001": 2}, user_limit=1, answers=answers)).run()

    assert [turn.failure for turn in simulation.schedule.turns] == [
        f"Too many calls.; refused 20 times in a row, and {HOPELESS}",
        f"no further call was made: Too many calls.; {HOPELESS}",
    ]


def test_a_service_that_answers_again_after_19_windows_loses_no_device() -> None:
    """However many devices there are, and however often they were refused."""

    def refuses_at_first(simulation: Simulation, turn: Turn) -> None:
        (locks_out(10) if simulation.now < 19 * WINDOW else brings_page)(simulation, turn)

    simulation = Simulation(World(_fleet(100, 2), later_answers=lambda: refuses_at_first)).run()

    assert _phases(simulation) == {Phase.DONE}
    assert len(simulation.refused) > 100


def test_an_answer_of_any_other_kind_begins_the_20_windows_anew() -> None:
    """A service that fails now and then is there, so that it pays to ask it again."""
    answers = {"z6-001": [fails] * 3}
    world = World({"z6-000": 1, "z6-001": 1}, answers=answers | {"z6-000": [locks_out(60)] * 22})
    simulation = Simulation(world).run()

    assert _phases(simulation) == {Phase.DONE}


# By hand


def _limits(user_limit: int = 60) -> CallLimits:
    return call_limits(user_limit=user_limit, device_limit=1, window=WINDOW)


def _schedule(devices: int, *, limits: CallLimits | None = None, max_calls: int = 16) -> Schedule:
    """Make a schedule whose first device has brought a page, so that no head start is left."""
    schedule = Schedule(
        [Turn(f"z6-{number}") for number in range(devices)],
        limits or _limits(),
        window=WINDOW,
        max_calls=max_calls,
        max_attempts=5,
        now=0.0,
    )
    schedule.go_on(_call(schedule, 0.0), 5, 0.0)
    return schedule


def _call(schedule: Schedule, now: float) -> Turn:
    turn = schedule.next_call(now)

    assert isinstance(turn, Turn)

    return turn


def _calls(schedule: Schedule, now: float) -> Iterator[Turn]:
    """Call until a response is needed."""
    while isinstance(turn := schedule.next_call(now), Turn):
        yield turn


def _refuse(schedule: Schedule, turn: Turn, now: float, *, account: bool = False, seconds: float = 60) -> LockOut:
    lock_out = schedule.lock_out(turn, "Too many calls.", seconds, now, account=account)

    assert isinstance(lock_out, LockOut)

    return lock_out


def test_three_devices_that_are_refused_in_a_row_have_a_limit_in_common() -> None:
    """The third locks the account, and says why, for the service's words name the device."""
    schedule = _schedule(10)
    lock_outs = [_refuse(schedule, _call(schedule, 1.0), 1.0, seconds=seconds) for seconds in (50, 40, 30)]

    assert [(lock_out.account, lock_out.why) for lock_out in lock_outs] == [
        (False, None),
        (False, None),
        (True, SHARED),
    ]
    assert schedule.next_call(1.0) == 31


@pytest.mark.parametrize("answer", ["page", "last page", "failure", "other refusal"])
def test_devices_with_an_answer_between_them_are_not_in_a_row(answer: str) -> None:
    """Whatever the answer is: the account may call."""
    schedule = _schedule(10)
    turns = [_call(schedule, 1.0) for _ in range(5)]
    first = [_refuse(schedule, turn, 1.0) for turn in turns[:2]]
    match answer:
        case "page":
            schedule.go_on(turns[2], 5, 1.0)
        case "last page":
            schedule.finish(turns[2], 1.0)
        case "failure":
            schedule.try_again(turns[2], "broken", 1.0)
        case _:
            schedule.give_up(turns[2], "404", 1.0)
    then = [_refuse(schedule, turn, 1.0) for turn in turns[3:]]

    assert [lock_out.account for lock_out in first + then] == [False] * 4


def test_one_device_that_is_refused_three_times_is_one_device() -> None:
    """Two devices have no limit in common with a third, however often they are refused."""
    schedule = _schedule(3)
    schedule.finish(_call(schedule, 1.0), 1.0)
    refused = [_refuse(schedule, turn, now).account for now in (100.0, 200.0) for turn in list(_calls(schedule, now))]

    assert refused == [False] * 4


def test_a_device_that_is_refused_in_several_turns_is_one_device() -> None:
    """Its own limit may be the cause of all of them, so they say nothing of the account's."""
    turns = [Turn("z6-0"), Turn("z6-1"), *(Turn("z6-2", about) for about in ("", "ETo", "ETr"))]
    limits = call_limits(user_limit=60, device_limit=9, window=WINDOW)
    schedule = Schedule(turns, limits, window=WINDOW, max_calls=9, max_attempts=5, now=0.0)
    schedule.finish(_call(schedule, 0.0), 0.0)
    refused = [_refuse(schedule, turn, 1.0).account for turn in list(_calls(schedule, 1.0))]

    assert refused == [False] * 4


def _locked(devices: int, *, max_calls: int = 16, limits: CallLimits | None = None) -> Schedule:
    """Make a schedule whose account was locked until 100."""
    schedule = _schedule(devices, max_calls=max_calls, limits=limits)
    assert _refuse(schedule, _call(schedule, 40.0), 40.0, account=True).why is None
    return schedule


def test_after_a_lock_out_of_the_account_calls_go_out_as_others_go_through() -> None:
    """One first; the next when it was answered; then as many at one time as were answered, up to `max_calls`."""
    schedule = _locked(59, max_calls=5)
    at_one_time = []
    under_way = list(_calls(schedule, 101.0))
    for _ in range(8):
        at_one_time.append(len(under_way))
        schedule.go_on(under_way.pop(0), 5, 101.0)
        under_way += _calls(schedule, 101.0)

    assert at_one_time == [1, 1, 2, 3, 4, 5, 5, 5]


def test_a_failed_call_has_gone_through() -> None:
    """A service that fails has not refused."""
    schedule = _locked(9)
    for _ in range(2):
        schedule.try_again(_call(schedule, 101.0), "broken", 101.0)

    assert len(list(_calls(schedule, 101.0))) == 2


@pytest.mark.parametrize("answers", [0, 1, 6])
def test_a_refusal_soon_after_a_lock_out_locks_the_account_again(answers: int) -> None:
    """Also one in the words of the device's limit; then one call goes first again."""
    schedule = _locked(30, max_calls=5)
    for _ in range(answers):
        schedule.go_on(_call(schedule, 101.0), 5, 101.0)
    lock_out = _refuse(schedule, _call(schedule, 101.0), 101.0)

    assert (lock_out.account, lock_out.why) == (True, USED_UP_AGAIN)
    assert schedule.next_call(101.0) == 161
    assert len(list(_calls(schedule, 161.0))) == 1


def test_what_the_service_says_of_the_account_is_not_explained() -> None:
    """Its words are in the log, and say it."""
    schedule = _locked(9)

    assert _refuse(schedule, _call(schedule, 101.0), 101.0, account=True).why is None


def test_a_refusal_when_calls_go_through_is_the_devices_again() -> None:
    """As many answers as calls at one time, and two, and the lock-out is forgotten."""
    schedule = _locked(30, max_calls=5)
    for _ in range(7):
        schedule.go_on(_call(schedule, 101.0), 5, 101.0)

    assert [_refuse(schedule, _call(schedule, 101.0), 101.0).account for _ in range(3)] == [False, False, True]


def test_calls_from_before_a_lock_out_tell_nothing_new() -> None:
    """Their answers make no second call go out, and their refusals do not lock the account once more."""
    schedule = _schedule(30, max_calls=7)
    locked, *others = _calls(schedule, 1.0)
    _refuse(schedule, locked, 1.0, account=True)
    first = _call(schedule, 61.0)
    for turn in others[:2]:
        schedule.go_on(turn, 5, 61.0)

    assert schedule.next_call(61.0) is None

    lock_outs = [_refuse(schedule, turn, 61.0) for turn in others[2:]]

    assert [lock_out.account for lock_out in lock_outs] == [False] * 4

    schedule.go_on(first, 5, 61.0)

    assert len(list(_calls(schedule, 61.0))) == 1


def test_a_call_that_hangs_from_before_a_lock_out_keeps_nobody_waiting() -> None:
    """It has its place among all calls, and none among those that follow the lock-out."""
    schedule = _schedule(30)
    _hangs, locked = _call(schedule, 1.0), _call(schedule, 1.0)
    _refuse(schedule, locked, 1.0, account=True)

    assert len(list(_calls(schedule, 61.0))) == 1


def test_a_lock_out_that_another_stream_has_met_is_heeded() -> None:
    """The limits are shared: the other stream too lets one call go first, and knows what a refusal means."""
    limits = _limits()
    other = _schedule(20, limits=limits)
    _locked(20, limits=limits)
    (turn,) = _calls(other, 101.0)

    assert _refuse(other, turn, 101.0).why == USED_UP_AGAIN


def test_a_device_that_is_refused_even_as_the_first_goes_last() -> None:
    """Its refusals may have a cause of its own; others must not be kept waiting by it."""
    schedule = _locked(4)
    turn = _call(schedule, 101.0)
    _refuse(schedule, turn, 101.0)
    called = []
    for _ in range(4):
        called.append(_call(schedule, 170.0))
        schedule.finish(called[-1], 170.0)

    assert called[-1] is turn
    assert len(set(called)) == 4


def test_a_device_that_was_answered_goes_last_no_more() -> None:
    """What it was refused for is over: with the most calls left it goes first again."""
    schedule = _locked(4)
    turn = _call(schedule, 101.0)
    _refuse(schedule, turn, 101.0)
    for _ in range(2):
        schedule.finish(_call(schedule, 170.0), 170.0)
    other = _call(schedule, 170.0)

    assert _call(schedule, 170.0) is turn

    schedule.go_on(turn, 9, 170.0)
    schedule.go_on(other, 5, 170.0)

    assert _call(schedule, 240.0) is turn


def test_devices_with_a_cause_of_their_own_say_nothing_of_the_account() -> None:
    """What is refused even as the first after a lock-out is locked alone later, however many such devices there are."""
    schedule = _locked(30, max_calls=5)
    used_elsewhere = []
    for now in (200.0, 300.0, 400.0, 500.0):
        used_elsewhere.append(_call(schedule, now))
        _refuse(schedule, used_elsewhere[-1], now)
    for turn in schedule.turns:
        turn.calls_left = 9 if turn in used_elsewhere else 1
    for _ in range(7):
        schedule.go_on(_call(schedule, 600.0), 1, 600.0)
    turns = [_call(schedule, 600.0) for _ in range(4)]

    assert set(turns) == set(used_elsewhere)
    assert [_refuse(schedule, turn, 600.0).account for turn in turns] == [False] * 4


def test_a_short_lock_out_that_follows_another_is_news() -> None:
    """However short it is, it is not an echo: its call was sent when the account was free."""
    schedule = _schedule(9)
    _refuse(schedule, _call(schedule, 1.0), 1.0, account=True, seconds=1)

    assert _refuse(schedule, _call(schedule, 2.0), 2.0, seconds=1).is_news


def test_late_refusals_of_calls_sent_together_are_no_news() -> None:
    """The account waits already; only a lock-out that ends later is worth a line."""
    schedule = _schedule(30)
    turns = [_call(schedule, 1.0) for _ in range(9)]
    lock_outs = [_refuse(schedule, turn, 1.0) for turn in turns[:3]]
    late = [
        _refuse(schedule, turn, 1.9, account=account) for turn, account in zip(turns[3:5], [True, False], strict=True)
    ]
    longer = [
        _refuse(schedule, turn, 1.9, account=account, seconds=90)
        for turn, account in zip(turns[5:7], [False, True], strict=True)
    ]

    assert [lock_out.is_news for lock_out in lock_outs + late + longer] == [True, True, True, False, False, True, True]


def test_a_reason_has_no_hole_where_the_service_says_nothing() -> None:
    """A 429 without words is told as what it is."""
    schedule = _schedule(40, max_calls=25)
    for turn in list(_calls(schedule, SILENCE)):
        schedule.lock_out(turn, "", None, SILENCE, account=False)

    assert {turn.failure for turn in schedule.turns} == {
        f"no call was made; {HOPELESS}",
        f"no further call was made; {HOPELESS}",
        f"refused once, and {HOPELESS}",
    }


def test_refusals_that_a_slow_target_kept_waiting_give_nobody_up() -> None:
    """They are taken long after the last page, but were sent right behind it."""
    schedule = _schedule(41, max_calls=40)
    for turn in list(_calls(schedule, 1.0)):
        _refuse(schedule, turn, 10 * SILENCE)

    assert {turn.phase for turn in schedule.turns} == {Phase.WAITING}
