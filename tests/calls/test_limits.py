"""CallLimits, with time driven by hand."""

from __future__ import annotations

import itertools
import math
import threading
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tap_zentra.calls.limits import LEAST_MARGIN, CallLimits, Gcra, Limit, NoLimit, SlidingWindow
from tap_zentra.v4.api import call_limits


def _limits(*, user_limit: int = 60, device_limit: int = 1, window: float = 60) -> CallLimits:
    return call_limits(user_limit=user_limit, device_limit=device_limit, window=window)


def test_nothing_called_is_free() -> None:
    """Before the first call neither the account nor a device has to wait."""
    limits = _limits()

    assert limits.account_free_at() == -math.inf
    assert limits.device_free_at("z6-1") == -math.inf


@pytest.mark.parametrize(
    ("window", "span"),
    [
        (60, 60.6),
        (1, 1 + LEAST_MARGIN),
        (0.05, 0.05 + LEAST_MARGIN),
        (100 * LEAST_MARGIN, 101 * LEAST_MARGIN),
    ],
)
def test_windows_have_a_margin_of_a_hundredth_but_not_less_than_jitter_needs(window: float, span: float) -> None:
    """A device is free again one window after its call, and a little, for the network's jitter."""
    limits = _limits(window=window, user_limit=1)
    assert limits.take("z6-1", 100.0)

    assert limits.device_free_at("z6-1") == pytest.approx(100 + span)
    assert limits.account_free_at() == pytest.approx(100 + span)


def test_a_device_does_not_wait_for_another() -> None:
    """A call to one device leaves the window of every other device alone."""
    limits = _limits()
    assert limits.take("z6-1", 0.0)

    assert limits.device_free_at("z6-2") == -math.inf
    assert limits.account_free_at() == -math.inf


def test_the_account_window_slides() -> None:
    """A full account waits for its oldest call to leave the window, then for the next oldest."""
    limits = _limits(user_limit=3)
    for number, sent_at in enumerate([0.0, 10.0, 25.0]):
        assert limits.take(f"z6-{number}", sent_at)

    assert limits.account_free_at() == pytest.approx(60.6)

    assert limits.take("z6-4", 60.6)

    assert limits.account_free_at() == pytest.approx(70.6)


def test_an_account_with_room_is_free() -> None:
    """The account waits for nothing as long as a window holds fewer calls than it allows."""
    limits = _limits(user_limit=2)
    assert limits.take("z6-1", 5.0)

    assert limits.account_free_at() == -math.inf


def test_a_device_may_have_several_calls_in_a_window() -> None:
    """With a device limit of two the third call waits for the first one to leave the window."""
    limits = _limits(device_limit=2)
    assert limits.take("z6-1", 0.0)

    assert limits.device_free_at("z6-1") == -math.inf

    assert limits.take("z6-1", 7.0)

    assert limits.device_free_at("z6-1") == pytest.approx(60.6)

    assert limits.take("z6-1", 60.6)

    assert limits.device_free_at("z6-1") == pytest.approx(67.6)


def test_a_call_that_goes_out_late_is_counted_anew() -> None:
    """A connection had to be made first: both windows begin when the request has gone out."""
    limits = _limits(user_limit=2)
    assert limits.take("z6-1", 0.0)
    limits.recount("z6-1", 0.0, 1.5)

    assert limits.account_free_at() == -math.inf
    assert limits.device_free_at("z6-1") == pytest.approx(62.1)

    assert limits.take("z6-2", 3.0)

    assert limits.account_free_at() == pytest.approx(62.1)


def test_counting_anew_adds_no_call() -> None:
    """One call is one call, and another device's calls stay as they are."""
    limits = _limits(user_limit=3)
    for device_sn in ("z6-1", "z6-2"):
        assert limits.take(device_sn, 0.0)
    limits.recount("z6-2", 0.0, 1.0)

    assert limits.account_free_at() == -math.inf
    assert limits.device_free_at("z6-1") == pytest.approx(60.6)
    assert limits.device_free_at("z6-2") == pytest.approx(61.6)


def test_a_locked_device_waits_and_no_other_does() -> None:
    """The lock-out of a device concerns this device only."""
    limits = _limits()
    limits.lock_device("z6-1", 41.0)

    assert limits.device_free_at("z6-1") == 41
    assert limits.device_free_at("z6-2") == -math.inf
    assert limits.account_free_at() == -math.inf


def test_a_locked_account_waits() -> None:
    """The lock-out of an account concerns the account, and is not told of each device."""
    limits = _limits()
    limits.lock_account(41.0)

    assert limits.account_free_at() == limits.account_locked_until() == 41
    assert limits.device_free_at("z6-1") == -math.inf


def test_a_full_account_is_not_locked() -> None:
    """Only the service locks it out; its own window is another matter."""
    limits = _limits(user_limit=1)
    assert limits.take("z6-1", 5.0)

    assert limits.account_locked_until() == -math.inf


@pytest.mark.parametrize("untils", [(41.0, 50.0), (50.0, 41.0)])
def test_a_shorter_lock_never_shortens_a_longer_one(untils: tuple[float, float]) -> None:
    """Of two lock-outs the later end holds, in whatever order they come."""
    limits = _limits()
    for until in untils:
        limits.lock_device("z6-1", until)
        limits.lock_account(until)

    assert limits.device_free_at("z6-1") == 50
    assert limits.account_free_at() == 50


@pytest.mark.parametrize(("until", "free_at"), [(30.0, 60.6), (90.0, 90.0)])
def test_window_and_lock_hold_both(until: float, free_at: float) -> None:
    """A lock-out does not end a window early, nor a window a lock-out."""
    limits = _limits(user_limit=1)
    assert limits.take("z6-1", 0.0)
    limits.lock_device("z6-1", until)
    limits.lock_account(until)

    assert limits.device_free_at("z6-1") == pytest.approx(free_at)
    assert limits.account_free_at() == pytest.approx(free_at)


def _most_in_a_window(moments: list[float], window: float) -> int:
    """Return how many of these moments, in the order of time, one window of this length can hold at most."""
    return max(sum(first <= moment <= first + window for moment in moments) for first in moments)


@settings(derandomize=True, max_examples=200)
@given(
    calls=st.lists(st.tuples(st.integers(0, 3), st.floats(0, 40), st.floats(0, 59)), min_size=1, max_size=40),
    locks=st.dictionaries(st.integers(0, 39), st.floats(0, 90), max_size=3),
    user_limit=st.integers(1, 5),
    device_limit=st.integers(1, 3),
    window=st.sampled_from([0.05, 1.0, 60.0]),
)
def test_calls_at_the_moments_allowed_never_exceed_a_limit(
    calls: list[tuple[int, float, float]], locks: dict[int, float], user_limit: int, device_limit: int, window: float
) -> None:
    """However calls, pauses, slow connections and lock-outs follow each other, no window holds more than its limit."""
    limits = _limits(user_limit=user_limit, device_limit=device_limit, window=window)
    sent: dict[str, list[float]] = {}
    pending: dict[str, tuple[float, float]] = {}  # device -> when its call was planned, and when it goes out
    now = 0.0

    def send_until(moment: float) -> None:
        for device_sn, (planned_at, sent_at) in sorted(pending.items(), key=lambda item: item[1][1]):
            if sent_at <= moment:
                limits.recount(device_sn, planned_at, sent_at)
                sent.setdefault(device_sn, []).append(sent_at)
                del pending[device_sn]

    for number, (device, pause, delay) in enumerate(calls):
        device_sn = f"z6-{device}"
        if number in locks:
            limits.lock_device(device_sn, now + locks[number])
        now = max(now + pause * window / 60, pending.get(device_sn, (0, 0))[1])
        send_until(now)
        while now < (free_at := max(limits.account_free_at(), limits.device_free_at(device_sn))):
            now = min([free_at, *(sent_at for _, sent_at in pending.values())])
            send_until(now)
        assert limits.take(device_sn, now)
        pending[device_sn] = now, now + delay * window / 60
    send_until(math.inf)

    assert _most_in_a_window(sorted(itertools.chain(*sent.values())), window) <= user_limit
    assert all(_most_in_a_window(moments, window) <= device_limit for moments in sent.values())


@pytest.mark.parametrize(
    ("calls", "limits", "seconds"),
    [
        ([], {}, 0),
        ([0, 0], {}, 0),
        ([0.0005], {}, 60),
        ([1], {}, 60),
        ([1.0005], {}, 120),
        ([1] * 60, {}, 60),
        ([1] * 90, {}, 90),
        ([10, *[1] * 59], {}, 600),
        ([10] * 30, {"user_limit": 5}, 3600),
        ([10], {"device_limit": 5}, 120),
        ([10], {"window": 0.05}, 0.5),
        ([0.0025, math.inf], {}, math.inf),
    ],
)
def test_the_limits_say_how_long_calls_take(calls: list[float], limits: dict[str, Any], seconds: float) -> None:
    """The longest device, or all calls of the account, whichever takes longer; a part of a call is a whole one."""
    assert _limits(**limits).seconds_for(calls) == pytest.approx(seconds)


def test_a_call_is_counted_only_if_both_limits_allow_it() -> None:
    """Neither limit remembers a call that the other one has refused."""
    limits = _limits(user_limit=2)

    assert limits.take("z6-1", 0.0)
    assert not limits.take("z6-1", 1.0)
    assert limits.account_free_at() == -math.inf
    assert limits.take("z6-2", 2.0)
    assert not limits.take("z6-3", 3.0)
    assert limits.device_free_at("z6-3") == -math.inf


class _Watched(Limit):
    """A limit that notices whether two threads look at it at one time."""

    def __init__(self) -> None:
        super().__init__()
        self.met = False
        self._inside = 0
        self._other = threading.Event()

    def free_at(self) -> float:
        """Stay a while, so that another thread comes in if nothing keeps it out."""
        self._inside += 1
        if self._inside > 1:
            self.met = True
            self._other.set()
        self._other.wait(0.1)
        self._inside -= 1
        return super().free_at()

    def count(self, sent_at: float) -> None: ...

    def recount(self, planned_at: float, sent_at: float) -> None: ...

    def seconds_for(self, calls: int) -> float:
        return 0.0 * calls

    def _next_call_at(self) -> float:
        return -math.inf


def test_streams_that_share_the_limits_look_at_them_one_by_one() -> None:
    """Whichever thread asks: a look and the count that follows are never another thread's too."""
    account = _Watched()
    limits = CallLimits(account, lambda: SlidingWindow(1, 60))
    threads = [threading.Thread(target=limits.take, args=[f"z6-{number}", 0.0]) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert not account.met


# GCRA


def test_a_rested_device_has_a_burst_and_then_one_call_a_period() -> None:
    """Five calls at once, the sixth a period after the first, and so on."""
    limit = Gcra(burst=5, period=60)
    for _ in range(5):
        assert limit.free_at() <= 1000
        limit.count(1000)

    assert limit.free_at() == pytest.approx(1060.6)
    limit.count(1060.6)

    assert limit.free_at() == pytest.approx(1121.2)


def test_a_rest_brings_the_burst_back() -> None:
    """After as many periods as were used, and not more than the burst."""
    limit = Gcra(burst=3, period=60)
    for moment in (0, 0, 0, 60.6, 1000):
        limit.count(moment)

    assert limit.free_at() <= 1000
    limit.count(1000)
    limit.count(1000)

    assert limit.free_at() == pytest.approx(1060.6)


def test_a_burst_counts_from_when_a_call_has_gone_out() -> None:
    """A call that needed a connection first has used up the period in which it was sent."""
    limit = Gcra(burst=1, period=60)
    limit.count(0)
    limit.recount(0, 7)

    assert limit.free_at() == pytest.approx(67.6)


@pytest.mark.parametrize(("calls", "seconds"), [(0, 0), (5, 0), (6, 60.6), (20, 909)])
def test_a_burst_costs_no_time(calls: int, seconds: float) -> None:
    """Only the calls behind it take a period each."""
    assert Gcra(burst=5, period=60).seconds_for(calls) == pytest.approx(seconds)


@settings(derandomize=True, max_examples=200)
@given(
    burst=st.integers(1, 5),
    pauses=st.lists(st.floats(0, 200), min_size=1, max_size=40),
    delays=st.lists(st.floats(0, 5), min_size=40, max_size=40),
)
def test_calls_at_the_moments_a_burst_allows_are_never_refused(
    burst: int, pauses: list[float], delays: list[float]
) -> None:
    """A server that counts by the textbook, from when calls reach it, has no cause to refuse one."""
    period = 60.0
    limit = Gcra(burst, period)
    now = theoretical_arrival = 0.0
    for pause, delay in zip(pauses, delays, strict=False):
        planned_at = max(now + pause, limit.free_at())
        limit.count(planned_at)
        now = planned_at + delay
        limit.recount(planned_at, now)

        assert now >= theoretical_arrival - (burst - 1) * period
        theoretical_arrival = max(now, theoretical_arrival) + period


# No limit


def test_an_account_without_a_limit_never_waits_unless_it_is_locked() -> None:
    """Nobody counts its calls; a lock-out of the account holds all the same, and ends."""
    limit = NoLimit()
    for moment in (0, 0, 5):
        limit.count(moment)
    limit.recount(5, 7)
    assert limit.free_at() == -math.inf

    limit.lock(60)
    limit.lock(30)

    assert (limit.free_at(), limit.locked_until) == (60, 60)


def test_calls_of_an_account_without_a_limit_take_as_long_as_its_devices_do() -> None:
    """They do not add up."""
    limits = CallLimits(NoLimit(), lambda: Gcra(burst=5, period=60))

    assert NoLimit().seconds_for(10**9) == 0
    assert limits.seconds_for([6, 7, 5] * 1000) == pytest.approx(2 * 60.6)
    assert limits.seconds_for([6, math.inf]) == math.inf


def test_a_locked_account_without_a_limit_holds_all_its_devices() -> None:
    """Whichever were free."""
    limits = CallLimits(NoLimit(), lambda: Gcra(burst=5, period=60))
    assert limits.take("z6-1", 0)
    limits.lock_account(60)

    assert (limits.take("z6-2", 59), limits.account_free_at(), limits.account_locked_until()) == (False, 60, 60)
    assert limits.take("z6-2", 60)
