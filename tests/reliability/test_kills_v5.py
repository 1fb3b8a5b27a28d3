"""Runs of v5 that are ended anywhere: the next one goes on from the last STATE, and together they are complete."""

from __future__ import annotations

import random
import signal
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from tap_zentra.emulator import STANDARD_STATION, Emulator
from tap_zentra.singer.pages import RECORDS_AT_ONCE
from tests.reliability.v5 import DAY, V5, held, keyed, small_device, small_fleet, standing
from tests.support import PATIENCE, Run, Tap, gate

if TYPE_CHECKING:
    from tap_zentra.emulator import Device

Emulate = Callable[..., Emulator]

SIGNALS = (signal.SIGTERM, signal.SIGINT)

PIPE_BYTES = 2**20
"""More than a pipe holds, on whichever system."""


def big_device(number: int) -> Device:
    """Return a device with 50,000 readings in one page."""
    return small_device(number, records=2000, interval=900, sensors=STANDARD_STATION)


def run_until(
    emulator: Emulator, tap: Tap, lines: int, number: signal.Signals, state: dict[str, Any] | None = None
) -> Run:
    """Run, send a signal once so many lines have been read, and return what was written; not a line that was cut."""
    emulator.let_window_pass()
    with tap.started(emulator, state=state, **V5) as process:
        written = [process.stdout.readline() for _ in range(lines)]
        process.send_signal(number)
        written += process.stdout.readlines()
        process.wait(PATIENCE)
    return Run(process.returncode, "".join(line for line in written if line.endswith("\n")), tap.stderr)


@pytest.mark.parametrize("seed", range(3))
def test_a_killed_run_and_the_next_one_are_together_complete(seed: int, emulate: Emulate, tap: Tap) -> None:
    """After SIGKILL at a random moment nothing is lost for a run that starts from the last STATE it wrote."""
    emulator = emulate(*small_fleet(6), big_device(99))
    lines = random.Random(seed).randrange(2, 9000)  # noqa: S311 - nothing secret

    killed = run_until(emulator, tap, lines, signal.SIGKILL)
    repeated = tap.sync(emulator, state=killed.state, **V5)

    assert killed.exit_code == -signal.SIGKILL
    assert repeated.exit_code == 0, repeated.stderr
    assert keyed(killed.records) | keyed(repeated.records) == held(emulator)


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("lines", [5, 4321])
def test_a_signal_within_a_large_page_ends_the_run_within_a_piece(
    lines: int, number: signal.Signals, emulate: Emulate, tap: Tap
) -> None:
    """What was begun is written with its bookmark, and no more; the next run brings the rest, and nothing twice."""
    emulator = emulate(big_device(1))

    stopped = run_until(emulator, tap, lines, number)
    rest = tap.sync(emulator, state=stopped.state, **V5)

    assert stopped.exit_code == 128 + number
    assert number.name in stopped.stderr.splitlines()[-1]
    assert "Traceback" not in stopped.stderr
    shortest = min(map(len, stopped.stdout.splitlines()[1:-1]))
    # What the test has read, what waits in the pipe, the piece that is being written, and one that was begun.
    assert len(stopped.records) <= lines + PIPE_BYTES / shortest + 2 * (RECORDS_AT_ONCE + len(big_device(1).series) + 1)
    assert len(stopped.records) < len(held(emulator))
    assert standing(stopped.state)["z6-00001"] == max(row["timestamp_utc"] for row in stopped.records)
    assert rest.exit_code == 0, rest.stderr
    assert keyed(stopped.records + rest.records) == held(emulator)


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("call", [1, 2, 5, 9])
def test_a_signal_while_a_call_is_under_way_brings_nothing_twice(
    call: int, number: signal.Signals, emulate: Emulate, tap: Tap
) -> None:
    """Be it the call for the list or for a page: the run does not wait for it, and the next one goes on."""
    # All of it has room in the pipe, which nobody reads before the signal.
    emulator = emulate(*small_fleet(3, records=9, interval=10 * DAY))
    with gate(emulator, first_held=call) as answers, tap.started(emulator, max_concurrent_calls=1, **V5) as process:
        while not answers.reached.wait(1):
            assert process.poll() is None
        process.send_signal(number)
        stdout = process.stdout.read()
        process.wait(PATIENCE)
    stopped = Run(process.returncode, stdout, tap.stderr)

    rest = tap.sync(emulator, state=stopped.state, **V5)

    assert stopped.exit_code == 128 + number
    assert "Traceback" not in stopped.stderr
    assert rest.exit_code == 0, rest.stderr
    assert keyed(stopped.records + rest.records) == held(emulator)


@pytest.mark.long
@pytest.mark.parametrize("number", [signal.SIGKILL, *SIGNALS])
def test_many_ended_runs_bring_everything(number: signal.Signals, emulate: Emulate, tap: Tap) -> None:
    """A run is ended again and again at a random place, each from the last STATE, until one comes to its end."""
    chance = random.Random(number)  # noqa: S311 - nothing secret
    emulator = emulate(*small_fleet(20), big_device(99))
    state: dict[str, Any] = {}
    records: list[dict[str, Any]] = []
    for _ in range(60):
        run = run_until(emulator, tap, chance.randrange(2, 2000), number, state)
        records += run.records
        state = run.state or state
        if run.exit_code == 0:
            break
    last = tap.sync(emulator, state=state, **V5)

    assert last.exit_code == 0, last.stderr
    if number in SIGNALS:
        assert keyed(records + last.records) == held(emulator)
    unique = {tuple(sorted((name, str(value)) for name, value in row.items())): row for row in records + last.records}
    assert keyed(unique.values()) == held(emulator)
