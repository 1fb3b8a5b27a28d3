"""Syncs of whole fleets: what arrives, in how many calls, and what is left for the next run."""

from __future__ import annotations

import math
import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from tap_zentra.emulator import Device, Emulator, Fault
from tap_zentra.emulator.sensors import PROFILE_STATION
from tests.support import TOKEN, Run, Tap, by_key, held

Emulate = Callable[..., Emulator]

PAGE_SIZE = 40


@dataclass(frozen=True)
class Fleet:
    """Devices, and how the service cuts their pages."""

    devices: list[Device]
    options: dict[str, Any] = field(default_factory=dict)


FLEETS = {
    "one device": Fleet([Device("z6-00001", records=130)]),
    "12 devices of unequal length": Fleet(
        [Device(f"z6-{number:05}", records=number * 13 % 97) for number in range(1, 13)]
    ),
    "gaps, pages of records": Fleet(
        [Device("z6-00001", records=200, gaps=((30, 75), (120, 190)))], {"pages": "records"}
    ),
    "gaps, pages of ids": Fleet([Device("z6-00001", records=200, gaps=((30, 75), (81, 190)))], {"pages": "ids"}),
    "a first record that is not number 1": Fleet([Device("z6-00001", records=50, first_mrid=900)]),
    "a profile probe": Fleet([Device("z6-00001", records=50, sensors=PROFILE_STATION)]),
    "a unit change": Fleet([Device("z6-00001", records=90, units_changed_at=35)]),
    "null and NaN": Fleet([Device("z6-00001", records=90, error_rate=0.2)]),
    "a device without records": Fleet([Device("z6-00001", records=0), Device("z6-00002", records=5)]),
}


@pytest.mark.parametrize("fleet", FLEETS.values(), ids=FLEETS)
def test_every_reading_arrives_exactly_once_with_equal_values(fleet: Fleet, emulate: Emulate, tap: Tap) -> None:
    """What the service holds is what comes out, for every kind of fleet."""
    emulator = emulate(*fleet.devices, **fleet.options)

    run = tap.sync(emulator, page_size=PAGE_SIZE)

    assert run.exit_code == 0, run.stderr
    assert by_key(run.records) == held(emulator)


def test_a_backfill_costs_as_many_calls_as_pages(emulate: Emulate, tap: Tap) -> None:
    """Each device is called ⌈records / page_size⌉ times, with no empty call at the end."""
    lengths = {"z6-00001": 80, "z6-00002": 81, "z6-00003": 1, "z6-00004": 39}
    emulator = emulate(*(Device(device_sn, records=records) for device_sn, records in lengths.items()))

    run = tap.sync(emulator, page_size=PAGE_SIZE)

    assert run.exit_code == 0, run.stderr
    expected = {device_sn: math.ceil(records / PAGE_SIZE) for device_sn, records in lengths.items()}
    assert Counter(call.device_sn for call in emulator.calls) == expected


def test_a_second_run_emits_nothing_and_asks_each_device_once(emulate: Emulate, tap: Tap) -> None:
    """When nothing is new, a sync costs one call for each device, and the state stays."""
    emulator = emulate(*(Device(f"z6-{number:05}", records=number) for number in range(1, 6)))
    first = tap.sync(emulator, page_size=PAGE_SIZE)
    calls_before = len(emulator.calls)

    second = tap.sync(emulator, state=first.state, page_size=PAGE_SIZE)

    assert second.exit_code == 0, second.stderr
    assert second.records == []
    assert second.state == first.state
    assert sorted(str(call.device_sn) for call in emulator.calls[calls_before:]) == emulator.device_sns


def test_after_growth_exactly_the_new_arrives(emulate: Emulate, tap: Tap) -> None:
    """A sync goes on at the bookmark: first run and second run together are the whole fleet, each reading once."""
    emulator = emulate(*(Device(f"z6-{number:05}", records=30 * number) for number in range(1, 4)))
    first = tap.sync(emulator, page_size=PAGE_SIZE)
    emulator.grow(records=55, device_sn="z6-00002")

    second = tap.sync(emulator, state=first.state, page_size=PAGE_SIZE)

    assert second.exit_code == 0, second.stderr
    assert {record["device_sn"] for record in second.records} == {"z6-00002"}
    assert by_key(first.records + second.records) == held(emulator)


@pytest.mark.parametrize("seed", range(3))
def test_a_killed_run_and_the_next_one_are_together_complete(seed: int, emulate: Emulate, tap: Tap) -> None:
    """After SIGKILL at a random moment nothing is lost for a run that starts from the last STATE it wrote."""
    emulator = emulate(*(Device(f"z6-{number:05}", records=100) for number in range(1, 5)))
    lines_to_live = random.Random(seed).randrange(200, 8_000)  # noqa: S311 - not for secrets
    with tap.started(emulator, page_size=20) as process:
        lines = [process.stdout.readline() for _ in range(lines_to_live)]
        process.kill()
        lines += process.stdout.readlines()
        process.wait()
    killed = Run(process.returncode, "".join(line for line in lines if line.endswith("\n")), tap.stderr)

    repeated = tap.sync(emulator, state=killed.state, page_size=20)

    assert killed.exit_code == -signal.SIGKILL
    assert repeated.exit_code == 0, repeated.stderr
    union = {tuple(sorted(record.items())): record for record in killed.records + repeated.records}
    assert by_key(list(union.values())) == held(emulator)


def test_one_unknown_device_does_not_keep_the_others(emulate: Emulate, tap: Tap) -> None:
    """The other four arrive whole, exit code 1, and the last line names the device with the server's words."""
    emulator = emulate(*(Device(f"z6-{number:05}", records=50) for number in (1, 2, 4, 5)))

    run = tap.sync(emulator, page_size=PAGE_SIZE, device_sns="z6-00001,z6-00002,z6-00003,z6-00004,z6-00005")

    assert run.exit_code == 1
    assert by_key(run.records) == held(emulator)
    last_line = run.stderr.splitlines()[-1]
    assert "z6-00003" in last_line
    assert "404" in last_line
    assert "Traceback" not in run.stderr


def test_a_wrong_token_costs_one_call_and_says_what_to_check(emulate: Emulate, tap: Tap) -> None:
    """Nothing but one call goes out with a wrong token, and the message names token and server."""
    emulator = emulate(*(Device(f"z6-{number:05}") for number in range(1, 31)))

    run = tap.sync(emulator, auth_token="wrong")

    assert run.exit_code == 1
    assert len(emulator.calls) == 1
    last_line = run.stderr.splitlines()[-1]
    assert "Invalid token." in last_line
    assert "auth_token" in last_line
    assert "server" in last_line


@pytest.mark.parametrize(
    "fault", ["500", "503", "html", "reset", "cut", "cut-chunked", "lockout", "lockout-silent", "lockout-account"]
)
def test_a_passing_fault_costs_time_and_nothing_else(fault: str, emulate: Emulate, tap: Tap) -> None:
    """A call that fails in a way that passes is made again, and everything arrives."""
    emulator = emulate(
        Device("z6-00001", records=90), Device("z6-00002", records=20), faults=[Fault(fault, "z6-00001", 2)]
    )

    run = tap.sync(emulator, page_size=PAGE_SIZE)

    assert run.exit_code == 0, run.stderr
    assert by_key(run.records) == held(emulator)
    assert sum(call.injected is not None for call in emulator.calls) == 2


def test_a_device_that_never_answers_is_given_up_and_named(emulate: Emulate, tap: Tap) -> None:
    """A call that hangs ends after request_timeout; the device is named after max_attempts, the rest is loaded."""
    emulator = emulate(Device("z6-00001"), Device("z6-00002", records=30), faults=[Fault("hang", "z6-00001")])

    run = tap.sync(emulator, request_timeout=0.2, max_attempts=2)

    assert run.exit_code == 1
    assert {record["device_sn"] for record in run.records} == {"z6-00002"}
    assert "z6-00001 failed: no answer within 0.2 s; given up after 2 attempts" in run.stderr.splitlines()[-1]


def test_start_date_and_end_date_bound_the_readings(emulate: Emulate, tap: Tap) -> None:
    """From start_date to end_date, both included, and a later sync without end_date goes on from there."""
    emulator = emulate(Device("z6-00001", records=500, interval=3600, tz_offset=-25200))
    start, end = "2026-01-05T00:00:00+00:00", "2026-01-10T12:00:00+00:00"

    first = tap.sync(emulator, page_size=PAGE_SIZE, start_date=start, end_date=end)
    second = tap.sync(emulator, page_size=PAGE_SIZE, start_date=start, state=first.state)

    assert (first.exit_code, second.exit_code) == (0, 0)
    since_start = {key: row for key, row in held(emulator).items() if row["timestamp_utc"] >= start}
    assert by_key(first.records) == {key: row for key, row in since_start.items() if row["timestamp_utc"] <= end}
    assert by_key(first.records + second.records) == since_start


def test_lookback_reads_the_last_records_again(emulate: Emulate, tap: Tap) -> None:
    """With mrid_lookback the last N records of each device come once more, and the bookmark stays."""
    emulator = emulate(Device("z6-00001", records=60))
    first = tap.sync(emulator)

    second = tap.sync(emulator, state=first.state, mrid_lookback=7)

    assert {record["mrid"] for record in second.records} == set(range(54, 61))
    assert second.state == first.state


def test_the_token_is_nowhere(emulate: Emulate, tap: Tap) -> None:
    """Not in stdout, not in stderr at debug level, not in the state, also when calls fail."""
    emulator = emulate(
        Device("z6-00001"), Device("z6-00002"), faults=[Fault("500", "z6-00001", 1), Fault("404", "z6-00002")]
    )

    run = tap.sync(emulator, loglevel="DEBUG")

    assert "DEBUG" in run.stderr
    assert TOKEN not in run.stdout + run.stderr
    assert TOKEN.removeprefix("secret-") not in run.stdout + run.stderr


@pytest.mark.parametrize("signal_number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_run_with_its_state(signal_number: int, emulate: Emulate, tap: Tap) -> None:
    """On SIGTERM and SIGINT what was read is written with its STATE, soon, and the exit code is not 0."""
    emulator = emulate(Device("z6-00001", records=400), window=5)
    with tap.started(emulator, page_size=20) as process:
        stdout = process.stdout.readline() + process.stdout.readline()  # SCHEMA, and a record at least
        started = time.monotonic()
        process.send_signal(signal_number)
        stdout += process.stdout.read()
        process.wait()
    run = Run(process.returncode, stdout, tap.stderr)

    assert run.exit_code == 128 + signal_number
    assert time.monotonic() - started < emulator.window
    bookmarks = run.state["bookmarks"]["readings"].get("partitions", [])
    assert [bookmark["replication_key_value"] for bookmark in bookmarks] in ([], [20])
    assert signal.Signals(signal_number).name in run.stderr.splitlines()[-1]
    assert "Traceback" not in run.stderr


def test_a_reader_that_goes_away_ends_the_run_quietly(emulate: Emulate, tap: Tap) -> None:
    """`tap-zentra | head -1` ends soon, with one line and no traceback."""
    emulator = emulate(Device("z6-00001", records=400), window=1)
    with tap.started(emulator, page_size=200) as process:
        process.stdout.readline()
        process.stdout.close()
        process.wait()

    assert process.returncode == 1
    assert "the program that reads the records has ended" in tap.stderr.splitlines()[-1]
    assert "Traceback" not in tap.stderr
