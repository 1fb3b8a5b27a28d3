"""The emulator's call limits, with plain times instead of a clock."""

from __future__ import annotations

import pytest

from tap_zentra.emulator.limits import CallLimits, Refusal


def limits(*, window: float = 60, user: int = 60, device: int = 1, extend: bool = False) -> CallLimits:
    """Return the service's limits, or others."""
    return CallLimits(window=window, user_limit=user, device_limit=device, extend_lockouts=extend)


def test_a_device_may_be_called_again_exactly_one_window_later() -> None:
    """The window is sliding, and a call at its very end is allowed."""
    calls = limits()

    assert calls.admit("a", 5.0) is None
    assert calls.admit("a", 64.999) is not None
    assert calls.admit("a", 65.0) is None
    assert calls.admit("a", 124.999) is not None


def test_a_call_that_may_have_come_earlier_opens_its_window_earlier() -> None:
    """A busy machine notes a call late; a client that kept to the limit is not refused for it."""
    limits = CallLimits(window=60, user_limit=60, device_limit=1)

    assert limits.admit("z6-1", 0.5, late=0.5) is None
    assert limits.admit("z6-1", 59.9) is not None
    assert limits.admit("z6-1", 60.0) is None
    assert limits.admit("z6-1", 119.9) is not None


def test_devices_do_not_stand_in_each_others_way() -> None:
    """Sixty calls to sixty devices in one moment are fine."""
    calls = limits()

    assert [calls.admit(f"z6-{number}", 0.0) for number in range(60)] == [None] * 60


def test_the_account_is_limited_whatever_device_is_asked() -> None:
    """The sixty-first call within a window is refused, and allowed when the first one is a window ago."""
    calls = limits()
    for number in range(60):
        calls.admit(f"z6-{number}", number / 10)

    refusal = calls.admit("z6-60", 20.0)

    assert refusal == Refusal(limit=60, window=60, seconds=40.0)
    assert calls.admit("z6-60", 60.0) is None
    assert calls.admit("z6-61", 60.0) is not None
    assert calls.admit("z6-61", 60.1) is None


def test_a_call_without_a_device_counts_for_the_account_only() -> None:
    """A call that names no device uses up the account's quota."""
    calls = limits(user=2)

    assert calls.admit(None, 0.0) is None
    assert calls.admit(None, 0.0) is None
    assert calls.admit(None, 0.0) is not None


def test_a_device_may_have_more_than_one_call_in_a_window() -> None:
    """The limit of a device is counted over the same sliding window."""
    calls = limits(device=2)

    assert [calls.admit("a", now) is None for now in (0, 30, 59, 60, 61, 90)] == [
        True,
        True,
        False,
        True,
        False,
        True,
    ]


def test_refused_calls_do_not_count() -> None:
    """Asking too early again and again neither extends the lock-out nor uses up the account."""
    calls = limits(user=2)
    calls.admit("a", 0.0)
    for second in range(1, 60):
        assert calls.admit("a", second) is not None

    assert calls.admit("b", 59.0) is None
    assert calls.admit("a", 60.0) is None


def test_refused_calls_extend_the_lockout_when_asked_to() -> None:
    """The strictest reading of the service: every refused call starts the window anew."""
    calls = limits(extend=True)
    calls.admit("a", 0.0)

    assert calls.admit("a", 59.0) == Refusal(limit=1, window=60, seconds=60.0)
    assert calls.admit("a", 118.0) is not None
    assert calls.admit("a", 177.9) is not None
    assert calls.admit("a", 237.9) is None


def test_a_lock_holds_for_its_seconds() -> None:
    """An injected lock-out refuses the device's calls, and no others, until it is over."""
    calls = limits(window=1)
    told = calls.lock("a", 5, 100.0)

    assert told.whole_seconds == 5
    assert calls.admit("a", 104.5) == Refusal(limit=1, window=1, seconds=0.5)
    assert calls.admit("b", 104.5) is None
    assert calls.admit("a", 105.0) is None


def test_a_lock_of_the_account_holds_for_all_devices() -> None:
    """Without a device the lock is the account's, and the text speaks of the account's limit."""
    calls = limits(window=1)

    assert calls.lock(None, 5, 100.0).limit == 60
    assert calls.admit("a", 104.0) == Refusal(limit=60, window=1, seconds=1.0)


def test_the_account_may_refuse_in_the_words_of_the_device() -> None:
    """As if a limit that all share were told as each device's; it holds as before."""
    calls = CallLimits(window=60, user_limit=2, device_limit=1, limit_words="device")
    calls.admit("a", 0.0)
    calls.admit("b", 0.0)

    assert calls.admit("c", 20.0) == Refusal(limit=1, window=60, seconds=40.0)
    assert calls.lock(None, 90, 20.0) == Refusal(limit=1, window=60, seconds=90)
    assert calls.admit("c", 60.0) == Refusal(limit=1, window=60, seconds=50.0)


@pytest.mark.parametrize(
    ("refusal", "detail"),
    [
        (
            Refusal(1, 60.0, 40.2),
            "Exceeded request limit of 1 call per 60 seconds. Lock out expires in 41 seconds.",
        ),
        (
            Refusal(60, 60.0, 7.0),
            "Exceeded request limit of 60 calls per 60 seconds. Lock out expires in 7 seconds.",
        ),
        (
            Refusal(1, 0.05, 0.01),
            "Exceeded request limit of 1 call per 0.05 seconds. Lock out expires in 1 second.",
        ),
    ],
)
def test_the_text_is_the_services(refusal: Refusal, detail: str) -> None:
    """Seconds are whole and rounded up, so that waiting them is always enough."""
    assert detail == refusal.detail


def test_retry_after_is_never_too_early() -> None:
    """Seconds and date are rounded up; without the option there is no header."""
    refusal = Refusal(1, 60.0, 1.3)

    assert refusal.headers("none", 1_767_225_600.9) == {}
    assert refusal.headers("seconds", 1_767_225_600.9) == {"Retry-After": "2"}
    assert refusal.headers("date", 1_767_225_600.9) == {"Retry-After": "Thu, 01 Jan 2026 00:00:03 GMT"}
