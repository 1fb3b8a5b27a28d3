"""Faults of ZENTRA Cloud 2.0, one by one, in bursts and mixed: everything arrives, or the device is named as failed."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from tap_zentra.emulator import Emulator, Fault, Request, Response
from tap_zentra.emulator.faults import KINDS, OF_V5, PASSING_KINDS
from tests.in_process import sync
from tests.reliability.v5 import (
    ALL_DEVICES,
    PAGES,
    UNKNOWN,
    V5,
    held,
    keyed,
    newest,
    rows_of,
    small_device,
    small_fleet,
    standing,
)

if TYPE_CHECKING:
    from tap_zentra.emulator.v5.options import Budget, RefusalWords
    from tests.support import Run, Tap

Emulate = Callable[..., Emulator]

PASSING = (*PASSING_KINDS, "hang", "lockout", "lockout-silent", "lockout-account", "token-refused")
"""What a later call, or one by time, gets over."""

DEVICE_ONLY = ("403", "404", "redirect", "other-device", "token-repeated")
"""What a later call would not change."""

MIXED = ("500", "503", "html", "reset", "cut", "cut-chunked", "token-refused", "lockout", "lockout-silent", "hang")

OF_LIST = (*PASSING_KINDS, "hang", "lockout", "403", "404", "redirect")
"""What may happen to the list."""


def failures(run: Run) -> dict[str, str]:
    """Return the devices of which a run's log says that they have failed, and why."""
    return dict(re.findall(r"(z6-\d+) failed: (.*)", run.stderr))


def test_every_fault_of_the_emulator_is_tried() -> None:
    """The lists here hold all kinds that there are."""
    assert {*PASSING, *DEVICE_ONLY, "401"} == set(KINDS)
    assert set(OF_V5) <= {*PASSING, *DEVICE_ONLY}


@pytest.mark.parametrize("burst", [1, 4])
def test_passing_faults_lose_nothing(burst: int, emulate: Emulate, tap: Tap) -> None:
    """Each kind hits a device of its own, alone and four times in a row: all readings arrive once, exit code 0."""
    emulator = emulate(*small_fleet(len(PASSING)))
    for device_sn, kind in zip(emulator.device_sns, PASSING, strict=True):
        # A lock-out lasts a whole second.
        emulator.fail(Fault(kind, device_sn, min(burst, 2) if kind.startswith("lockout") else burst))

    run = tap.sync(emulator, request_timeout=0.3, max_attempts=1000, **V5)

    assert run.exit_code == 0, run.stderr
    assert keyed(run.records) == held(emulator)
    injected = Counter(call.injected for call in emulator.calls if call.injected)
    assert all(injected[kind] == burst for kind in PASSING if not kind.startswith("lockout"))


@pytest.mark.parametrize(
    "end_date", [V5["end_date"], "2026-03-31T23:59:59Z"], ids=["some end", "a month's last second"]
)
def test_tokens_that_are_never_taken_lose_nothing(end_date: str, emulate: Emulate, tap: Tap) -> None:
    """A service that refuses every next_token is read by time to the end, and no reading comes twice."""
    emulator = emulate(small_device(1), faults=[Fault("token-refused")], device_burst=100)

    run = tap.sync(emulator, api_version="v5", end_date=end_date)

    assert run.exit_code == 0, run.stderr
    assert keyed(run.records) == held(emulator)
    assert "continuing by time instead of next_token" in run.stderr


def test_lasting_faults_fail_their_devices_and_no_other(emulate: Emulate, tap: Tap) -> None:
    """The last lines name each device, exit code 1; the device without a fault arrives whole, with its bookmark."""
    kinds = (*PASSING_KINDS, *DEVICE_ONLY)
    emulator = emulate(*small_fleet(len(kinds) + 1), device_burst=20)
    for device_sn, kind in zip(emulator.device_sns, kinds, strict=False):
        emulator.fail(Fault(kind, device_sn))

    run = tap.sync(emulator, max_attempts=3, **V5)

    assert run.exit_code == 1
    *failed, well = emulator.device_sns
    last_lines = run.stderr.splitlines()[-len(failed) - 1 : -1]
    assert [line.split(" | ")[-1].partition(" failed: ")[0].strip() for line in last_lines] == failed
    assert rows_of(run, well) == held(emulator, well)
    assert standing(run.state)[well] == newest(emulator, well)
    # Of the one whose pages repeat, the first page is right.
    repeating = failed[kinds.index("token-repeated")]
    assert {record["device_sn"] for record in run.records} == {well, repeating}
    assert len(keyed(run.records)) == len(run.records)


def test_a_page_that_comes_again_doubles_nothing(emulate: Emulate, tap: Tap) -> None:
    """Where a token leads to the same page once more, no reading is written twice; the next run brings the rest."""
    emulator = emulate(small_device(1), faults=[Fault("token-repeated", "z6-00001", 1)])

    first = tap.sync(emulator, **V5)
    second = tap.sync(emulator, state=first.state, **V5)

    assert second.exit_code == 0, second.stderr
    assert keyed(first.records + second.records) == held(emulator)


# The list


@pytest.mark.parametrize("kind", OF_LIST)
def test_a_list_that_fails_for_a_while_loses_nothing(kind: str, emulate: Emulate) -> None:
    """What passes is sat out; what does not is worked around where device_sns says whom to ask."""
    emulator = emulate(small_device(1), small_device(2), faults=[Fault(kind, "devices", 2)])

    run = sync(emulator, request_timeout=0.3, max_attempts=1000, **V5)

    assert run.exit_code == 0, run.stderr
    assert keyed(run.records) == held(emulator)


@pytest.mark.parametrize("kind", sorted({*OF_LIST} - {"hang", "lockout"}))
def test_without_a_list_nobody_is_asked_who_is_not_named(kind: str, emulate: Emulate) -> None:
    """With device_sns each device is read, exit code 0; without, the run fails and says so, with every bookmark."""
    emulator = emulate(small_device(1), small_device(2), faults=[Fault(kind, "devices")])

    named = sync(emulator, max_attempts=2, **V5)
    calls = len(emulator.calls)
    unnamed = sync(emulator, state=named.state, max_attempts=2, **ALL_DEVICES)

    assert named.exit_code == 0, named.stderr
    assert keyed(named.records) == held(emulator)
    assert unnamed.exit_code == 1
    assert "could not read the device list, so no devices were read" in unnamed.stderr.splitlines()[-1]
    assert {call.device_sn for call in emulator.calls[calls:]} == {None}
    assert standing(unnamed.state) == standing(named.state)


@pytest.mark.parametrize("settings", [V5, ALL_DEVICES], ids=["device_sns", "all devices"])
def test_a_list_that_refuses_the_key_ends_the_run(settings: dict[str, Any], emulate: Emulate) -> None:
    """One call, and the last line says what to check: a key that is refused for the list is not tried on devices."""
    emulator = emulate(*small_fleet(5), faults=[Fault("401", "devices")])

    run = sync(emulator, **settings)

    assert run.exit_code == 1
    assert len(emulator.calls) == 1
    assert "check auth_token" in run.stderr.splitlines()[-1]


# The key


def test_a_key_that_is_made_anew_in_the_middle_ends_the_run(emulate: Emulate, tap: Tap) -> None:
    """What came before stays with its bookmark, one call meets the refusal, and the new key brings the rest."""
    emulator = emulate(small_device(1), small_device(2))
    made_anew = Fault(lambda request: _then_regenerate(emulator, request), "z6-00002", 1)
    emulator.fail(made_anew)

    first = tap.sync(emulator, auth_token=emulator.token, max_concurrent_calls=1, **V5)
    second = tap.sync(emulator, state=first.state, **V5)

    assert first.exit_code == 1
    assert [call.status for call in emulator.calls].count(401) == 1
    last = first.stderr.splitlines()[-1]
    assert "check auth_token" in last
    assert "a new key invalidates the old one" in last
    assert second.exit_code == 0, second.stderr
    assert keyed(first.records + second.records) == held(emulator)


def _then_regenerate(emulator: Emulator, request: Request) -> Response:
    """Answer, and take no call any more whose key was the right one so far."""
    response = emulator.answer(request)
    emulator.regenerate_token()
    return response


# Limits that are shared

WORDS: tuple[RefusalWords, ...] = ("epoch", "number-first", "number", "object", "none")


@pytest.mark.parametrize(("budget", "words"), [*(("key", words) for words in WORDS), ("all", "epoch")])
def test_a_budget_that_all_devices_share_fails_no_device(budget: Budget, words: RefusalWords, emulate: Emulate) -> None:
    """Whatever words tell of it, 30 devices with a budget for one are refused, and read whole."""
    options = {"budget": budget, "refusal_words": words, "empty_months": "skipped", "meets_limit": True}
    emulator = emulate(*small_fleet(30, records=2), window=0.05, **options)

    run = sync(emulator, **ALL_DEVICES, start_date="2026-01-01")

    assert run.exit_code == 0, run.stderr
    assert keyed(run.records) == held(emulator)
    assert [call.status for call in emulator.calls].count(429) > 0


@pytest.mark.parametrize("words", WORDS)
def test_another_program_that_reads_the_same_devices_costs_time_and_nothing_else(
    words: RefusalWords, emulate: Emulate
) -> None:
    """A program with a key of its own calls as often as the tap does: whole, and no more refusals than answers."""
    emulator = emulate(*small_fleet(3), refusal_words=words, meets_limit=True)

    def with_another(request: Request) -> Response:
        for _ in range(2):
            emulator.call_as_another(request.device_sn or "")
        return emulator.answer(request)

    for device_sn in emulator.device_sns:
        emulator.fail(Fault(with_another, device_sn))

    run = sync(emulator, **V5)

    assert run.exit_code == 0, run.stderr
    assert keyed(run.records) == held(emulator)
    statuses = Counter(call.status for call in emulator.calls if call.device_sn)
    assert statuses[200] == PAGES * 3
    assert statuses[429] <= statuses[200]


def test_a_device_that_is_locked_out_for_ever_is_named(emulate: Emulate, tap: Tap) -> None:
    """A run ends even if a device's lock-out never does."""
    emulator = emulate(small_device(1), small_device(2), window=0.02, device_burst=100)
    emulator.fail(Fault(lambda _: Response(429, b'{"detail": "Rate limit."}'), "z6-00001"))

    run = tap.sync(emulator, **V5)

    assert run.exit_code == 1
    assert re.search(r"z6-00001 failed: .*refused \d+ times in a row", run.stderr.splitlines()[-1])
    assert keyed(run.records) == held(emulator, "z6-00002")


# Mixed


def mixed_faults(emulator: Emulator, **settings: Any) -> None:
    """Sync under mixed faults until exit code 0, as a schedule would.

    After each run a device is whole, or named as failed with an exit code of 1; or there was no list.
    """
    state: dict[str, Any] = {}
    records: list[dict[str, Any]] = []
    ends = {device_sn: newest(emulator, device_sn) for device_sn in emulator.device_sns}
    for _ in range(20):
        run = sync(emulator, state=state, **settings)
        records += run.records
        state = run.state
        behind = {device_sn for device_sn, end in ends.items() if standing(state).get(device_sn) != end}
        if "could not read the device list" not in run.stderr:
            assert behind <= failures(run).keys()
        assert run.exit_code == (1 if behind or failures(run) else 0)
        if run.exit_code == 0:
            assert keyed(records) == held(emulator)
            return
    raise AssertionError("20 runs were not enough")


@pytest.mark.parametrize("unknown", UNKNOWN.values(), ids=UNKNOWN)
def test_mixed_faults_lose_nothing(unknown: dict[str, Any], emulate: Emulate) -> None:
    """A fifth of all calls fail in one way or another, over 36 pages, whatever the service is like."""
    kinds = (*PASSING_KINDS, "token-refused")
    emulator = emulate(*small_fleet(12), fault_rate=0.2, fault_kinds=kinds, **unknown)

    mixed_faults(emulator, **ALL_DEVICES)

    assert sum(call.injected is not None for call in emulator.calls) > 5


@pytest.mark.long
@pytest.mark.parametrize("unknown", UNKNOWN.values(), ids=UNKNOWN)
@pytest.mark.parametrize("seed", range(3))
def test_mixed_faults_lose_nothing_over_300_pages(seed: int, unknown: dict[str, Any], emulate: Emulate) -> None:
    """A fifth of all calls fail, lock-outs and silence among the faults, over 300 pages of 100 devices."""
    emulator = emulate(*small_fleet(100), fault_rate=0.2, fault_kinds=MIXED, seed=seed, **unknown)

    mixed_faults(emulator, request_timeout=0.5, **ALL_DEVICES)

    assert sum(call.injected is not None for call in emulator.calls) > 50
