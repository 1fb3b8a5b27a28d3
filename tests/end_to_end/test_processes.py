"""Syncs as processes: how they end, what they leave behind when they are ended, and what they say last."""

from __future__ import annotations

import random
import signal
from collections.abc import Callable

import pytest

from tap_zentra.emulator import Device, Emulator, Fault
from tests.support import HOUR, PATIENCE, Run, Tap, by_key, held

Emulate = Callable[..., Emulator]

PAGE_SIZE = 40


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


def test_devices_that_fail_can_be_a_warning(emulate: Emulate, tap: Tap) -> None:
    """With on_device_failure: warn the last line names the device, and exit code 0 lets later steps go on."""
    emulator = emulate(Device("z6-00001"), Device("z6-00002"), faults=[Fault("404", "z6-00002")])

    done = tap.sync(emulator, on_device_failure="warn")

    assert done.exit_code == 0
    assert done.all_rows == held(emulator, "z6-00001")
    last = done.stderr.splitlines()[-1]
    assert "WARNING" in last
    assert "on_device_failure is warn" in last
    assert "z6-00002 failed: the service rejected the call (404" in last
    assert "z6-00001" not in last


def test_devices_that_are_read_again_are_named(emulate: Emulate, tap: Tap) -> None:
    """Whoever looks at the log sees why a device brings so much; where nothing is read again, nothing is said."""
    emulator = emulate(Device("z6-00001"), Device("z6-00002"))

    first = tap.sync(emulator)
    second = tap.sync(emulator, state=first.state, reread_device_sns="Z6-00002")

    assert "reading from the start again" not in first.stderr
    assert "re-reading from the start: z6-00002\n" in second.stderr


def test_a_wrong_token_ends_the_run_and_says_what_to_check(emulate: Emulate, tap: Tap) -> None:
    """No device is asked twice with a wrong token, most are not asked at all, and the message names what to check."""
    emulator = emulate(*(Device(f"z6-{number:05}") for number in range(1, 31)))

    run = tap.sync(emulator, auth_token="wrong", max_concurrent_calls=4)

    assert run.exit_code == 1
    # One, where the service answers within half a second.
    assert 1 <= len(emulator.calls) <= 4
    last_line = run.stderr.splitlines()[-1]
    assert "Invalid token." in last_line
    assert "auth_token" in last_line
    assert "server" in last_line


def test_a_device_that_never_answers_is_given_up_and_named(emulate: Emulate, tap: Tap) -> None:
    """A call that hangs ends after request_timeout; after max_attempts the device is named as failed."""
    emulator = emulate(Device("z6-00001"), faults=[Fault("hang", "z6-00001")])

    run = tap.sync(emulator, request_timeout=0.2, max_attempts=2)

    assert run.exit_code == 1
    assert run.records == []
    assert "z6-00001 failed: no response within 0.2 s; gave up after 2 attempts" in run.stderr.splitlines()[-1]


@pytest.mark.parametrize("signal_number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_run_with_its_state(signal_number: int, emulate: Emulate, tap: Tap) -> None:
    """On SIGTERM and SIGINT what was read is written with its STATE, now and not after the wait for the next call."""
    emulator = emulate(Device("z6-00001", records=400), window=HOUR)
    with tap.started(emulator, page_size=20) as process:
        stdout = process.stdout.readline() + process.stdout.readline()  # SCHEMA, and a record at least
        process.send_signal(signal_number)
        stdout += process.stdout.read()
        process.wait(PATIENCE)
    run = Run(process.returncode, stdout, tap.stderr)

    assert run.exit_code == 128 + signal_number
    bookmarks = run.state["bookmarks"]["readings"].get("partitions", [])
    assert [bookmark["replication_key_value"] for bookmark in bookmarks] in ([], [20])
    assert signal.Signals(signal_number).name in run.stderr.splitlines()[-1]
    assert "Traceback" not in run.stderr
