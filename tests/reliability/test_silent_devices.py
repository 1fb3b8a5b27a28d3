"""Devices that answer and are not well: silent for more than a day, or counting backwards; the log says so."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from tap_zentra.emulator import Device, Emulator

if TYPE_CHECKING:
    from tests.support import Run, Tap

Emulate = Callable[..., Emulator]


def device(device_sn: str, *, hours_ago: float) -> Device:
    """Return a device whose newest reading is so many hours old."""
    start = datetime.now(UTC) - timedelta(hours=hours_ago, seconds=900 * 9)
    return Device(device_sn, records=10, start=start)


def warnings(run: Run) -> list[str]:
    """Return what the tap warns of."""
    lines = [[part.strip() for part in line.split(" | ", 3)] for line in run.stderr.splitlines()]
    return [line[3] for line in lines if line[1:2] == ["WARNING"] and line[2].startswith("tap-zentra")]


def test_a_device_that_has_been_silent_for_a_day_is_named(emulate: Emulate, tap: Tap) -> None:
    """When its newest reading is read, and in each run after, although nothing new comes then."""
    emulator = emulate(
        device("z6-00001", hours_ago=23), device("z6-00002", hours_ago=25), Device("z6-00003", records=0)
    )

    first = tap.sync(emulator)
    second = tap.sync(emulator, state=first.state)

    told = r"2 devices have sent no readings for more than 24 h: z6-00002 \(\d+.\d h\), z6-00003 \(no readings at all\)"
    assert (first.exit_code, second.exit_code) == (0, 0)
    for run in (first, second):
        (warning,) = warnings(run)
        assert re.fullmatch(told, warning)
    assert second.records == []
    assert second.state == first.state


def test_a_device_that_speaks_again_is_not_named_any_more(emulate: Emulate, tap: Tap) -> None:
    """The age is that of the newest reading, of whichever run."""
    emulator = emulate(device("z6-00001", hours_ago=25))
    first = tap.sync(emulator)
    emulator.grow(12)

    second = tap.sync(emulator, state=first.state)
    third = tap.sync(emulator, state=second.state)

    assert [len(warnings(run)) for run in (first, second, third)] == [1, 0, 0]


def test_with_an_end_date_no_device_is_called_silent(emulate: Emulate, tap: Tap) -> None:
    """Who asks for old readings gets no warning that they are old."""
    run = tap.sync(emulate(Device("z6-00001", records=5)), end_date="2026-02-01")

    assert run.exit_code == 0
    assert warnings(run) == []


def test_a_device_that_counts_backwards_is_named(emulate: Emulate, tap: Tap) -> None:
    """A device that was wiped is told of when it is noticed, in the summary too."""
    emulator = emulate(device("z6-00001", hours_ago=5), device("z6-00002", hours_ago=5))
    first = tap.sync(emulator)
    emulator.wipe("z6-00002", records=3)

    second = tap.sync(emulator, state=first.state)

    assert warnings(first) == []
    assert warnings(second)[-1] == "1 device has a lower newest mrid than before: z6-00002 (was mrid 10)"
    assert re.search(r"z6-00002: its newest record is mrid 3, but mrid 10 was read earlier", second.stderr)


def test_a_clock_that_is_ahead_makes_no_device_look_fresh(emulate: Emulate, tap: Tap) -> None:
    """A reading of the year 2066 is loaded and named once; the device is as old as its last reading of the past."""
    one = device("z6-00001", hours_ago=72)
    emulator = emulate(replace(one, clock=((9, 9, 1_262_304_000),)))
    first = tap.sync(emulator)
    second = tap.sync(emulator, state=first.state)

    assert {record["mrid"] for record in first.records} == set(range(1, 11))
    ahead = re.compile(r"1 device has a clock that is ahead: z6-00001 \(a reading is stamped 20[56]\d-.*\)")
    assert [bool(ahead.fullmatch(warning)) for warning in warnings(first)] == [False, True]
    assert [warning.partition(":")[0] for warning in warnings(second)] == [
        "1 device has sent no readings for more than 24 h"
    ]


def test_a_clock_that_is_ahead_keeps_nothing_away_from_end_date(emulate: Emulate, tap: Tap) -> None:
    """What comes behind such a reading is not later than `end_date` for that."""
    emulator = emulate(replace(device("z6-00001", hours_ago=72), clock=((5, 5, 1_262_304_000),)))

    run = tap.sync(emulator, end_date=(datetime.now(UTC) - timedelta(hours=24)).isoformat())

    assert {record["mrid"] for record in run.records} == set(range(1, 11))


def test_holes_in_the_mrids_are_no_gap_and_time_without_readings_is(emulate: Emulate, tap: Tap) -> None:
    """2000 records over 2077 mrids are normal; an hour and more without a reading is told, and changes no outcome."""
    whole = device("z6-00001", hours_ago=1)
    silent = replace(device("z6-00002", hours_ago=10), silences=((5, 4 * 3600), (8, 2 * 3600)))
    emulator = emulate(replace(whole, skip_every=3), silent)

    run = tap.sync(emulator)

    assert run.exit_code == 0
    assert warnings(run) == []
    row = next(line for line in run.stderr.splitlines() if "z6-00002  current" in line)
    assert "2, longest 4.2 h" in row
    assert "longest" not in next(line for line in run.stderr.splitlines() if "z6-00001  current" in line)
