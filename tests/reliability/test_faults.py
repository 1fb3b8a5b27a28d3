"""Faults of the service, one by one, in bursts and mixed: everything arrives, or the device is named as failed."""

from __future__ import annotations

import itertools
import json
import os
import re
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from email.utils import formatdate
from typing import TYPE_CHECKING, Any

import pytest

from tap_zentra.emulator import Device, Emulator, Fault, Request, Response, fleet
from tap_zentra.emulator.faults import KINDS, OF_V5, PASSING_KINDS
from tests.in_process import sync
from tests.support import HOUR, PATIENCE, TAP, TOKEN, UNKNOWN, Run, Tap, bookmarks, environment, held

if TYPE_CHECKING:
    from pathlib import Path

Emulate = Callable[..., Emulator]

PASSING = (*PASSING_KINDS, "hang", "lockout", "lockout-silent", "lockout-account")
"""What a later call gets over."""

DEVICE_ONLY = ("403", "404", "redirect", "other-device")
"""What a later call would not change."""

MIXED = ("500", "503", "html", "reset", "cut", "cut-chunked", "lockout", "lockout-silent", "hang")


def two_devices() -> list[Device]:
    """Return one device that faults hit, and one that they leave alone."""
    return [Device("z6-00001", records=55), Device("z6-00002", records=45)]


def named(run: Run) -> set[str]:
    """Return the devices of which a run's log says that they have failed."""
    return set(re.findall(r"(z6-\d+) failed: ", run.stderr))


def test_every_fault_of_the_emulator_is_tried() -> None:
    """The lists here hold all kinds that there are."""
    assert {*PASSING, *DEVICE_ONLY, *OF_V5, "401"} == set(KINDS)


@pytest.mark.parametrize("burst", [1, 4])
def test_passing_faults_lose_nothing(burst: int, emulate: Emulate, tap: Tap) -> None:
    """Each kind hits a device of its own, alone and four times in a row: all readings arrive, exit code 0."""
    devices = [Device(f"z6-{number:05}", records=30) for number in range(len(PASSING))]
    emulator = emulate(*devices, device_limit=2)
    for device, kind in zip(devices, PASSING, strict=True):
        # A lock-out lasts a whole second.
        emulator.fail(Fault(kind, device.device_sn, min(burst, 2) if kind.startswith("lockout") else burst))

    # On a busy machine other answers may take longer than the time-out as well.
    run = tap.sync(emulator, page_size=20, request_timeout=0.3, max_attempts=1000)

    assert run.exit_code == 0, run.stderr
    assert run.all_rows == held(emulator)
    injected = Counter(call.injected for call in emulator.calls if call.injected)
    assert all(injected[kind] == burst for kind in PASSING if not kind.startswith("lockout"))


def test_faults_that_pass_in_time_fail_no_device(emulate: Emulate, tap: Tap) -> None:
    """As many failures in a row as `max_attempts` allows, one less than would give the device up."""
    emulator = emulate(Device("z6-00001", records=30), faults=[Fault("500", times=4)])

    run = tap.sync(emulator)

    assert run.exit_code == 0, run.stderr
    assert run.all_rows == held(emulator)


def test_lasting_faults_fail_their_devices_and_no_other(emulate: Emulate, tap: Tap) -> None:
    """The last lines name each device, exit code 1; the device without a fault arrives whole, with its bookmark."""
    kinds = (*PASSING_KINDS, *DEVICE_ONLY)
    devices = [Device(f"z6-{number:05}", records=30) for number in range(len(kinds) + 1)]
    emulator = emulate(*devices, device_limit=20)
    for device, kind in zip(devices, kinds, strict=False):
        emulator.fail(Fault(kind, device.device_sn))

    run = tap.sync(emulator, page_size=20, max_attempts=3)

    assert run.exit_code == 1
    *failed, well = emulator.device_sns
    last_lines = run.stderr.splitlines()[-len(failed) - 1 : -1]
    assert [line.split(" | ")[-1].partition(" failed: ")[0].strip() for line in last_lines] == failed
    assert run.rows == {well: held(emulator, well)}
    assert bookmarks(run.state) == {well: 30}


def test_a_token_that_is_taken_back_in_the_middle_ends_the_run(emulate: Emulate, tap: Tap) -> None:
    """What came before stays, with its bookmarks; no call is made any more, and the line says what to check."""
    emulator = emulate(Device("z6-00001", records=100), faults=[])
    answered: list[str] = []

    def third_is_refused(request: Request) -> Response:
        answered.append(request.params["start_mrid"])
        if len(answered) < 3:
            return emulator.answer(request)
        return Response(401, b'{"detail": "Invalid token."}')

    emulator.fail(Fault(third_is_refused))

    run = tap.sync(emulator, page_size=20)

    assert run.exit_code == 1
    assert len(answered) == 3
    assert bookmarks(run.state) == {"z6-00001": 40}
    assert "check auth_token" in run.stderr.splitlines()[-1]


def test_a_limit_that_all_share_fails_no_device(emulate: Emulate, tap: Tap) -> None:
    """An account that may call twice in a window, told in the words of the device's limit: refused, and read whole."""
    emulator = emulate(*fleet(8, records=30), user_limit=2, limit_words="device", meets_limit=True)

    run = tap.sync(emulator, page_size=20, user_call_limit=60)

    assert run.exit_code == 0, run.stderr
    assert run.all_rows == held(emulator)
    assert "either other programs share the limit, or it is the account's" in run.stderr


def mixed_faults(emulator: Emulator, tap: Tap, **settings: object) -> None:
    """Sync under mixed faults until exit code 0, as a schedule would.

    After each run a device is whole, or named as failed with an exit code of 1.
    """
    state: dict[str, Any] = {}
    rows: dict[Any, Any] = {}
    for _ in range(20):
        run = tap.sync(emulator, state=state, page_size=20, **settings)
        rows |= run.all_rows
        state = run.state
        newest = {device_sn: emulator.device(device_sn).max_mrid for device_sn in emulator.device_sns}
        behind = {device_sn for device_sn, mrid in newest.items() if bookmarks(state).get(device_sn) != mrid}
        assert behind == named(run)
        assert run.exit_code == (1 if behind else 0)
        assert "Traceback" not in run.stderr
        if run.exit_code == 0:
            assert rows == held(emulator)
            return
    raise AssertionError("20 runs were not enough")


@pytest.mark.parametrize("unknown", UNKNOWN.values(), ids=UNKNOWN)
def test_mixed_faults_lose_nothing(unknown: dict[str, Any], emulate: Emulate, tap: Tap) -> None:
    """A fifth of all calls fail in one way or another, over 75 pages, whatever the service is like."""
    options = {"fault_rate": 0.2, "fault_kinds": PASSING_KINDS, "user_limit": 100, **unknown}
    emulator = emulate(*(replace(device, sensors=device.sensors[-2:]) for device in fleet(15, records=95)), **options)

    mixed_faults(emulator, tap)

    assert sum(call.injected is not None for call in emulator.calls) > 10


@pytest.mark.long
@pytest.mark.parametrize("seed", range(3))
def test_mixed_faults_lose_nothing_over_300_pages(seed: int, emulate: Emulate, tap: Tap) -> None:
    """A fifth of all calls fail, lock-outs and silence among the faults, over 300 pages of 30 devices."""
    options = {"fault_rate": 0.2, "fault_kinds": MIXED, "user_limit": 100, "seed": seed}
    emulator = emulate(*(replace(device, sensors=device.sensors[-2:]) for device in fleet(30, records=200)), **options)

    mixed_faults(emulator, tap, request_timeout=0.5)

    assert sum(call.injected is not None for call in emulator.calls) > 50


# Lock-outs

HEADERS = {
    "no header": {},
    "seconds": {"Retry-After": "1"},
    "no seconds": {"Retry-After": "0"},
    "a day and more": {"Retry-After": "99999"},
    "negative seconds": {"Retry-After": "-7"},
    "text": {"Retry-After": "soon"},
    "a date": {"Retry-After": formatdate(1_767_225_601, usegmt=True), "Date": formatdate(1_767_225_600, usegmt=True)},
    "a date that has passed": {"Retry-After": formatdate(0, usegmt=True)},
    "a date of the far future": {"Retry-After": "Fri, 31 Dec 9999 23:59:59 GMT"},
    "a date by a clock that has jumped": {
        "Retry-After": formatdate(4_000_000_001, usegmt=True),
        "Date": formatdate(4_000_000_000, usegmt=True),
    },
    "a date that is none": {"Retry-After": "Mon, 99 Foo 2026 99:99:99 GMT"},
}


DETAILS = ("", "Lock out expires in 0 seconds.", "Lock out expires in 99999 seconds.", "Wait!")


@pytest.mark.parametrize("headers", HEADERS.values(), ids=HEADERS)
def test_lock_outs_of_every_form_are_waited_for(headers: dict[str, str], emulate: Emulate, tap: Tap) -> None:
    """Whatever header and text say, the wait is bounded, nothing is lost, and it is no failed attempt."""
    lock_outs = [Response(429, json.dumps({"detail": detail}).encode(), headers=headers) for detail in DETAILS]
    devices = [Device(f"z6-{number:05}", records=5) for number in range(len(lock_outs))]
    emulator = emulate(*devices, device_limit=50)
    for device, lock_out in zip(devices, lock_outs, strict=True):
        emulator.fail(Fault(lambda _, lock_out=lock_out: lock_out, device.device_sn, 3))  # type: ignore[misc]

    run = tap.sync(emulator, max_attempts=1, call_limit_window=0.02)

    assert run.exit_code == 0, run.stderr
    assert run.all_rows == held(emulator)
    assert Counter(call.device_sn for call in emulator.calls) == dict.fromkeys(emulator.device_sns, 4)


def test_lock_outs_that_early_calls_extend_come_to_an_end(emulate: Emulate, tap: Tap) -> None:
    """The tap never calls during a lock-out, so a server that extends lock-outs has no cause to."""
    emulator = emulate(*two_devices(), window=1, extend_lockouts=True, faults=[Fault("lockout", "z6-00001", 1)])

    run = tap.sync(emulator, page_size=30)

    assert run.exit_code == 0, run.stderr
    assert run.all_rows == held(emulator)
    assert sum(call.status == 429 for call in emulator.calls) == 1


def test_a_device_that_is_locked_out_for_ever_is_named(emulate: Emulate, tap: Tap) -> None:
    """A run ends even if a device's lock-out never does."""
    emulator = emulate(*two_devices(), device_limit=100, window=0.02)
    emulator.fail(Fault(lambda _: Response(429, b"{}"), "z6-00001"))

    run = tap.sync(emulator, call_limit_window=0.02)

    assert run.exit_code == 1
    assert re.search(r"refused \d+ times in a row", run.stderr.splitlines()[-1])
    assert run.rows == {"z6-00002": held(emulator, "z6-00002")}


def test_two_taps_of_one_account_both_arrive(emulate: Emulate, tmp_path: Path, tap: Tap) -> None:
    """Another client that uses up the same quota at the same time costs time and nothing else."""
    devices = [Device(f"z6-{number:05}", records=20) for number in range(6)]
    # Together they need 12 calls, and the 8 of the first window are all, until one of them has been refused.
    emulator = emulate(*devices, window=HOUR, user_limit=8, device_limit=4, meets_limit=True)
    (tmp_path / "other").mkdir()
    with (
        tap.started(emulator, call_limit_window=0.5) as one,
        Tap(tmp_path / "other").started(emulator, call_limit_window=0.5) as other,
    ):
        emulator.wait_until(lambda: any(call.status == 429 for call in emulator.calls))
        emulator.let_window_pass()
        outputs = one.communicate()[0], other.communicate()[0]

    assert (one.returncode, other.returncode) == (0, 0), tap.stderr
    assert [Run(0, output, "").all_rows for output in outputs] == [held(emulator)] * 2


def test_a_clock_that_jumps_changes_nothing(emulate: Emulate, monkeypatch: pytest.MonkeyPatch) -> None:
    """However often somebody sets this machine's clock during a run, nothing waits for it, and all arrives."""
    emulator = emulate(*two_devices(), user_limit=60)
    jumps = itertools.cycle((0.0, 7200.0, -86_400.0))
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + next(jumps))

    run = sync(emulator, page_size=20)

    assert run.exit_code == 0, run.stderr
    assert run.all_rows == held(emulator)


# A service that is down


def test_a_service_that_is_down_from_the_start_is_named(tap: Tap) -> None:
    """Every device has failed, each with the reason; exit code 1, no record, no bookmark."""
    with Emulator([Device("z6-00001"), Device("z6-00002")], token=TOKEN, window=0.05) as emulator:
        pass

    run = tap.sync(emulator, max_attempts=2)

    assert run.exit_code == 1
    host = emulator.url.removeprefix("http://")
    assert [line.split(" | ")[-1] for line in run.stderr.splitlines()[-3:-1]] == [
        f"{device_sn} failed: the connection to {host} failed: Connection refused; gave up after 2 attempts"
        for device_sn in emulator.device_sns
    ]
    assert (run.records, bookmarks(run.state)) == ([], {})


def test_a_service_that_goes_down_for_good_leaves_what_was_read(emulate: Emulate, tap: Tap) -> None:
    """The pages before are there with their bookmarks, every device is named, and the next run goes on."""
    emulator = emulate(*(Device(f"z6-{number:05}", records=100) for number in range(4)), device_limit=20)
    calls: list[Request] = []

    def down_after_nine(request: Request) -> Response:
        calls.append(request)
        return emulator.answer(request) if len(calls) < 10 or len(calls) > 17 else Response(503, b"down")

    emulator.fail(Fault(down_after_nine))

    first = tap.sync(emulator, page_size=20, max_attempts=2)
    second = tap.sync(emulator, page_size=20, state=first.state)

    assert (first.exit_code, second.exit_code) == (1, 0)
    assert all(f"{device_sn} failed: the service failed" in first.stderr for device_sn in emulator.device_sns)
    assert sum(bookmarks(first.state).values()) == 9 * 20
    for device_sn in emulator.device_sns:
        assert first.rows.get(device_sn, {}) | second.rows[device_sn] == held(emulator, device_sn)
        assert not first.rows.get(device_sn, {}).keys() & second.rows[device_sn].keys()


def test_a_service_that_comes_back_after_two_minutes_loses_nothing(emulate: Emulate, tap: Tap) -> None:
    """Two windows of silence are sat out within one run: the retries reach further."""
    emulator = emulate(*two_devices(), window=0.5)
    began: list[float] = []

    def down_for_two_windows(request: Request) -> Response:
        began.append(request.arrived)
        return Response(503, b"down") if request.arrived < began[0] + 1.0 else emulator.answer(request)

    emulator.fail(Fault(down_for_two_windows))

    run = tap.sync(emulator, page_size=30, max_attempts=8)

    assert run.exit_code == 0, run.stderr
    assert run.all_rows == held(emulator)


# An output that can't be written


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full")  # noqa: PTH110
def test_a_full_disk_is_told_in_one_line(emulate: Emulate, tmp_path: Path) -> None:
    """Output that can't be written ends the run with the reason, without a traceback."""
    emulator = emulate(Device("z6-00001", records=400))
    with open("/dev/full", "wb") as full:  # noqa: PTH123
        done = subprocess.run(
            [str(TAP), "--config", "ENV"],
            cwd=tmp_path,
            env=environment(emulator),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            timeout=PATIENCE,
        )

    assert done.returncode == 1
    assert "cannot write to the target: No space left on device" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


def test_a_pipe_into_head_ends_quickly_and_quietly(emulate: Emulate, tmp_path: Path) -> None:
    """`tap-zentra | head -1` in a shell: one line on stdout, one reason on stderr, no more calls."""
    emulator = emulate(Device("z6-00001", records=4000), window=HOUR)
    done = subprocess.run(
        ["sh", "-c", f"{TAP} --config ENV | head -1"],  # noqa: S607 - the shell is the point
        cwd=tmp_path,
        env=environment(emulator, page_size=100),
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )

    assert json.loads(done.stdout)["type"] == "SCHEMA"
    assert (
        "the target closed the pipe; anything it did not store will be read again by the next run"
        in done.stderr.splitlines()[-1]
    )
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr
    assert len(emulator.calls) <= 1
