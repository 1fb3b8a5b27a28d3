"""The call limits of v5, with plain times instead of a clock."""

from __future__ import annotations

from tap_zentra.emulator.v5.limits import CallBudgets, Gcra


def budgets(**options: object) -> CallBudgets:
    """Return the service's limits, or others."""
    return CallBudgets(**{"interval": 60.0, "burst": 5} | options)  # type: ignore[arg-type]


def admitted(calls: CallBudgets, *times: float, device_sn: str | None = "a", caller: str = "") -> list[bool]:
    """Return which calls at these times were allowed."""
    return [calls.admit(device_sn, now, caller=caller) == 0 for now in times]


def test_a_rested_device_allows_a_burst_and_then_a_call_in_each_interval() -> None:
    """Five at once, the sixth a minute later, the seventh a minute after that."""
    calls = budgets()

    assert admitted(calls, *[0.0] * 6) == [True] * 5 + [False]
    assert admitted(calls, 59.9, 60.0, 60.0, 119.9, 120.0) == [False, True, False, False, True]


def test_the_whole_burst_comes_back_with_rest() -> None:
    """After 300 s all five are there, after 180 s three of them."""
    whole, part = budgets(), budgets()
    admitted(whole, *[0.0] * 5)
    admitted(part, *[0.0] * 5)

    assert admitted(whole, *[300.0] * 6) == [True] * 5 + [False]
    assert admitted(part, *[180.0] * 4) == [True] * 3 + [False]


def test_a_refused_call_is_told_how_long_to_wait_and_costs_nothing() -> None:
    """Calling early does not push the time out."""
    calls = budgets(burst=1)
    calls.admit("a", 0.0)

    assert [calls.admit("a", now) for now in (10.0, 45.0, 60.0)] == [50.0, 15.0, 0.0]


def test_a_refused_call_may_lock_anew() -> None:
    """On request each refused call starts the waiting time again."""
    calls = budgets(burst=1, lockout=60.0)
    calls.admit("a", 0.0)

    assert [calls.admit("a", now) for now in (30.0, 89.0, 149.0)] == [60.0, 60.0, 0.0]


def test_a_call_that_may_have_come_earlier_is_due_again_earlier() -> None:
    """A busy machine notes a call late; a client that kept to the limit is not refused for it."""
    calls = budgets(burst=1)
    calls.admit("a", 0.5, late=0.5)

    assert admitted(calls, 59.9, 60.0) == [False, True]


def test_a_lock_out_ends_when_it_says() -> None:
    """Then the device's burst is there as it would have been; others are not locked."""
    calls = budgets()
    calls.lock("a", 90.0, 0.0)

    assert admitted(calls, 89.9, *[90.0] * 6) == [False] + [True] * 5 + [False]
    assert admitted(calls, 0.0, device_sn="b") == [True]


def test_a_lock_out_of_everything_locks_devices_and_the_list() -> None:
    """Whatever has been called before."""
    calls = budgets()
    calls.lock_everything(90.0, 0.0)

    assert [calls.admit(device_sn, 30.0) for device_sn in ("a", "b", None)] == [60.0] * 3
    assert [calls.admit(device_sn, 90.0) for device_sn in ("a", "b", None)] == [0.0] * 3


def test_a_device_has_one_budget_for_all_callers() -> None:
    """Another program's calls count; other devices and the list have their own."""
    calls = budgets(burst=1)

    assert admitted(calls, 0.0, caller="another") == [True]
    assert admitted(calls, 0.0) == [False]
    assert admitted(calls, 0.0, device_sn="b") == [True]
    assert admitted(calls, 0.0, device_sn=None) == [True]


def test_a_key_may_have_one_budget_for_all_devices() -> None:
    """The other program has another key; the list has its own budget."""
    calls = budgets(burst=1, budget="key")

    assert admitted(calls, 0.0, caller="another") == [True]
    assert admitted(calls, 0.0) == [True]
    assert admitted(calls, 0.0, device_sn="b") == [False]
    assert admitted(calls, 0.0, device_sn=None) == [True]


def test_everything_may_have_one_budget() -> None:
    """All devices, all callers and the list together."""
    calls = budgets(burst=1, budget="all")

    assert admitted(calls, 0.0, caller="another") == [True]
    assert admitted(calls, 0.0) == admitted(calls, 0.0, device_sn=None) == [False]


def test_a_limit_that_was_never_used_is_open() -> None:
    """Whatever the clock shows."""
    assert Gcra(60.0, 5).opens_at() < -1e9
