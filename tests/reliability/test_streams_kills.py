"""Runs of all streams that are ended anywhere: with the next ones from the last STATE they are complete."""

from __future__ import annotations

import json
import random
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pytest

from tap_zentra.emulator import Device, Emulator, eventful_fleet
from tests.reliability.streams import (
    PROBE,
    SMALL,
    STATION,
    channels_held,
    channels_held_v5,
    channels_of,
    days_held,
    days_of,
    outcomes,
    stations,
)
from tests.reliability.v5 import DAY
from tests.reliability.v5 import held as held_v5
from tests.support import PATIENCE, Run, Tap, bookmarks, gate, held

if TYPE_CHECKING:
    from tests.support import Rows

Emulate = Callable[..., Emulator]

SIGNALS = (signal.SIGTERM, signal.SIGINT)


@dataclass(frozen=True)
class Service:
    """What is read, and what is there to compare with.

    Attributes:
        settings: Of the tap.
        held: All readings.
        channels: All channels.
        key: Columns that tell readings apart.
    """

    settings: dict[str, Any]
    held: Callable[[Emulator], Rows]
    channels: Callable[[Emulator], dict[Any, Any]]
    key: tuple[str, ...]


READING = ("device_sn", "port_number", "measurement", "sub_sensor_index")
SERVICES = {
    "v4": Service({"page_size": 50}, held, channels_held, (*READING[:1], "mrid", "timestamp_utc", *READING[1:])),
    "v5": Service(
        {"api_version": "v5"},
        held_v5,
        channels_held_v5,
        ("device_sn", "timestamp_utc", "port_number", "sensor_name", *READING[2:]),
    ),
}


def eventful(records: int = 1000) -> list[Device]:
    """Return small devices: a swapped probe, a moved one, changed units, and a silence in which a probe is swapped."""
    middle = records // 2 + 1
    usual = Device("z6-00001", records=records, sensors=SMALL)
    swapped = ((middle, (STATION, replace(PROBE, number=9))),)
    return [
        replace(usual, refits=swapped),
        replace(usual, device_sn="z6-00002", refits=((middle, (STATION, replace(PROBE, port=4, number=3))),)),
        replace(usual, device_sn="z6-00003", units_changed_at=middle),
        replace(usual, device_sn="z6-00004", refits=swapped, silences=((middle, 40 * DAY),)),
    ]


def settings_of(api: str, emulator: Emulator) -> dict[str, Any]:
    """Return the settings of a run with all streams."""
    models = {"env_models": json.dumps(stations(emulator.device_sns))} if api == "v4" else {}
    return {**SERVICES[api].settings, **models}


def run_until(emulator: Emulator, tap: Tap, lines: int, number: signal.Signals, **settings: Any) -> Run:
    """Run, send a signal once so many lines have been read, and return what was written; not a line that was cut."""
    emulator.let_window_pass()
    with tap.started(emulator, **settings) as process:
        written = [process.stdout.readline() for _ in range(lines)]
        process.send_signal(number)
        written += process.stdout.readlines()
        process.wait(PATIENCE)
    return Run(process.returncode, "".join(line for line in written if line.endswith("\n")), tap.stderr)


def require_complete(runs: list[Run], emulator: Emulator, api: str) -> None:
    """Require that runs have together brought all readings, channels and days, each as it is."""
    service = SERVICES[api]
    readings = {tuple(row[name] for name in service.key): row for run in runs for row in run.records}
    assert readings == service.held(emulator)
    told = channels_of(row for run in runs for row in run.records_of("sensors"))
    there = service.channels(emulator)
    assert told.keys() == there.keys()
    assert {key: one["last_timestamp"] for key, one in told.items()} == {
        key: one["last_timestamp"] for key, one in there.items()
    }
    days = days_of(row for run in runs for row in run.records_of("env_model_data"))
    assert days == (days_held(emulator, stations(emulator.device_sns)) if api == "v4" else {})


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("api", SERVICES)
def test_killed_runs_and_the_next_one_are_together_complete(api: str, seed: int, emulate: Emulate, tap: Tap) -> None:
    """After SIGKILL at random moments, three times in a row, no reading, day or channel is lost."""
    emulator = emulate(*eventful(), window=0.02)
    chance = random.Random(seed)  # noqa: S311 - nothing secret
    settings = settings_of(api, emulator)
    runs: list[Run] = []
    state: dict[str, Any] = {}
    for _ in range(3):
        runs.append(run_until(emulator, tap, chance.randrange(2, 6000), signal.SIGKILL, state=state, **settings))
        state = runs[-1].state or state
    last = tap.sync(emulator, state=state, **settings)

    assert runs[0].exit_code == -signal.SIGKILL
    assert last.exit_code == 0, last.stderr
    require_complete([*runs, last], emulator, api)


@pytest.mark.parametrize(("call", "number"), [(1, signal.SIGTERM), (3, signal.SIGINT), (9, signal.SIGTERM)])
@pytest.mark.parametrize("api", SERVICES)
def test_a_signal_leaves_a_row_for_each_device(
    api: str, call: int, number: signal.Signals, emulate: Emulate, tap: Tap
) -> None:
    """Also of those that nobody has asked, with an error; sensors are told of up to the bookmarks; nothing is lost."""
    emulator = emulate(*eventful(records=200), window=0.02)
    settings = settings_of(api, emulator) | {"max_concurrent_calls": 1, "device_sns": json.dumps(emulator.device_sns)}
    with gate(emulator, first_held=call) as answers, tap.started(emulator, **settings) as process:
        with ThreadPoolExecutor(1) as reading:  # else the pipe is full before the call that is held back
            stdout = reading.submit(process.stdout.read)
            while not answers.reached.wait(1):
                assert process.poll() is None
            process.send_signal(number)
        process.wait(PATIENCE)
    stopped = Run(process.returncode, stdout.result(), tap.stderr)

    rest = tap.sync(emulator, state=stopped.state, **settings)

    assert stopped.exit_code == 128 + number
    assert number.name in stopped.stderr.splitlines()[-1]
    assert "Traceback" not in stopped.stderr
    told = outcomes(stopped)
    assert list(told) == emulator.device_sns
    for outcome, error in told.values():
        assert outcome == "current" if error is None else outcome in {"failed", "not asked"}
    assert any(error for _, error in told.values())
    # Of a page of v4 that was begun no bookmark speaks, so it is read again.
    seen, read = ({row["device_sn"] for row in rows} for rows in (stopped.records_of("sensors"), stopped.records))
    assert bookmarks(stopped.state, "readings_v5" if api == "v5" else "readings").keys() <= seen <= read
    assert rest.exit_code == 0, rest.stderr
    require_complete([stopped, rest], emulator, api)


@pytest.mark.parametrize("api", SERVICES)
def test_a_signal_within_the_last_page_leaves_its_device_unread(api: str, emulate: Emulate, tap: Tap) -> None:
    """All of it has come, and not all was written: `devices` must not say that it is current."""
    number = signal.SIGTERM
    emulator = emulate(replace(eventful_fleet()[2], records=400))
    one_page = {"page_size": 2000} if api == "v4" else {"end_date": "2025-12-31T23:00:00Z"}
    settings = {**SERVICES[api].settings, **one_page}
    stopped = run_until(emulator, tap, 50, number, **settings)

    assert stopped.exit_code == 128 + number
    assert 0 < len(stopped.records) < len(SERVICES[api].held(emulator))
    ((outcome, error),) = outcomes(stopped).values()
    assert (outcome, error) == ("failed", "the run ended before everything was read")
    rest = tap.sync(emulator, state=stopped.state, **SERVICES[api].settings)
    assert rest.exit_code == 0
    told = channels_of(row for run in (stopped, rest) for row in run.records_of("sensors"))
    assert told.keys() == SERVICES[api].channels(emulator).keys()


@pytest.mark.long
@pytest.mark.parametrize("number", [signal.SIGKILL, *SIGNALS])
@pytest.mark.parametrize("api", SERVICES)
def test_many_ended_runs_bring_all_streams(api: str, number: signal.Signals, emulate: Emulate, tap: Tap) -> None:
    """A run is ended again and again at a random place, each from the last STATE, until one comes to its end."""
    chance = random.Random(f"{api} {number}")  # noqa: S311 - nothing secret
    emulator = emulate(*(device for device in eventful_fleet(interval=3600) if not device.of_another_user))
    settings = settings_of(api, emulator)
    runs: list[Run] = []
    state: dict[str, Any] = {}
    for _ in range(40):
        runs.append(run_until(emulator, tap, chance.randrange(2, 3000), number, state=state, **settings))
        state = runs[-1].state or state
        if runs[-1].exit_code == 0:
            break
    runs.append(tap.sync(emulator, state=state, **settings))

    assert runs[-1].exit_code == 0, runs[-1].stderr
    require_complete(runs, emulator, api)
