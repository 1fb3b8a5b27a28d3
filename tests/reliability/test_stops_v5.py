"""Runs of API v5 that end in the middle of a page, which is a month: nothing is lost, nor doubled after a signal."""

from __future__ import annotations

import signal
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from tap_zentra.emulator import Device, Emulator
from tap_zentra.v5.readings import READINGS_V5_KEY
from tests.support import PATIENCE, Run, Tap, bookmarks

Emulate = Callable[..., Emulator]

START = datetime(2026, 1, 1, tzinfo=UTC)
RECORDS = 31 * 96
"""A January of a quarter of an hour each: 74,400 values in one page."""


def keys_of(run: Run) -> list[tuple[object, ...]]:
    """Return the keys of a run's records, in their order."""
    return [tuple(record[column] for column in READINGS_V5_KEY) for record in run.records]


def stopped_after(lines: int, how: int, emulator: Emulator, tap: Tap) -> Run:
    """Run until so many lines have been read, send a signal, and return what was written."""
    with tap.started(emulator, api_version="v5") as process:
        read = [process.stdout.readline() for _ in range(lines)]
        process.send_signal(how)
        read += process.stdout.readlines()
        process.wait(PATIENCE)
    return Run(process.returncode, "".join(line for line in read if line.endswith("\n")), tap.stderr)


@pytest.mark.parametrize("signal_number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_in_the_middle_of_a_month_keeps_what_was_written(
    signal_number: int, emulate: Emulate, tap: Tap
) -> None:
    """The run ends long before the page, its bookmark stands within it, and the next run brings exactly the rest."""
    emulator = emulate(Device("z6-00001", records=RECORDS, start=START))

    stopped = stopped_after(5_000, signal_number, emulator, tap)
    repeated = tap.sync(emulator, state=stopped.state, api_version="v5")

    held = [tuple(row[column] for column in READINGS_V5_KEY) for row in emulator.readings_v5()]
    assert stopped.exit_code == 128 + signal_number
    assert 0 < len(stopped.records) < len(held) / 2
    assert bookmarks(stopped.state, "readings_v5") == {"z6-00001": stopped.records[-1]["timestamp_utc"]}
    assert repeated.exit_code == 0, repeated.stderr
    together = keys_of(stopped) + keys_of(repeated)
    assert len(together) == len(held)
    assert set(together) == set(held)


@pytest.mark.parametrize("lines", [2, 1_500, 60_000, 80_000])
def test_a_killed_run_and_the_next_one_are_together_complete(lines: int, emulate: Emulate, tap: Tap) -> None:
    """After SIGKILL anywhere, a run that starts from the last STATE brings the rest; what comes twice is the same."""
    emulator = emulate(
        Device("z6-00001", records=RECORDS, start=START), Device("z6-00002", records=300, start=START, interval=3600)
    )

    killed = stopped_after(lines, signal.SIGKILL, emulator, tap)
    repeated = tap.sync(emulator, state=killed.state, api_version="v5")

    assert killed.exit_code == -signal.SIGKILL
    assert repeated.exit_code == 0, repeated.stderr
    rows = dict(zip(keys_of(killed), killed.records, strict=True))
    assert all(rows.get(key, row) == row for key, row in zip(keys_of(repeated), repeated.records, strict=True))
    rows |= dict(zip(keys_of(repeated), repeated.records, strict=True))
    assert rows == {tuple(row[column] for column in READINGS_V5_KEY): row for row in emulator.readings_v5()}
