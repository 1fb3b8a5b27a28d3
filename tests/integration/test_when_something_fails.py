"""docs/errors.md: each failure is made to happen, and the document says what was printed and what was loaded."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from tap_zentra.emulator import Device, Emulator, Fault
from tap_zentra.v4.readings import READINGS_KEY
from tap_zentra.v5.readings import READINGS_V5_KEY
from tests.integration.documents import alike, failures, printed_by
from tests.integration.support import Postgres, stored
from tests.support import HOUR, PATIENCE, Run, Tap, by_key, environment, gate, held

if TYPE_CHECKING:
    from tests.integration.projects import MeltanoProject

Emulate = Callable[..., Emulator]

TOKEN = "0123456789abcdef0123456789abcdef01234567"
"""In the form that tokens of ZENTRA Cloud Classic have."""

NOW = datetime.now(UTC).replace(microsecond=0)


def _loaded(run: Run, emulator: Emulator) -> str:
    """Return how the document calls what a run has written."""
    if not run.records:
        return "Nothing"
    is_v5 = "mrid" not in run.records[0]
    past = (row for row in emulator.readings_v5() if str(row["timestamp_utc"]) < NOW.isoformat())
    there = by_key(past, READINGS_V5_KEY) if is_v5 else held(emulator)
    missing = there.keys() - by_key(run.records, READINGS_V5_KEY if is_v5 else READINGS_KEY).keys()
    if not missing:
        return "Everything"
    return (
        "What came before"
        if {key[0] for key in missing} & {key["device_sn"] for key in run.records}
        else ("The other devices")
    )


ROWS = failures()


@dataclass(frozen=True)
class Service:
    """A small ZENTRA Cloud, and the tap that reads it."""

    tap: Tap
    emulate: Emulate

    def start(self, *devices: Device, **options: Any) -> Emulator:
        """Start one; two devices whose newest readings are recent ones, unless a failure needs others."""
        return self.emulate(*(devices or (_device("z6-00001", 30), _device("z6-00002", 20))), token=TOKEN, **options)

    def sync(self, *faults: Fault, **settings: Any) -> tuple[Run, Emulator]:
        """Read one of two devices that has some faults."""
        emulator = self.start(faults=faults)
        return self.tap.sync(emulator, **settings), emulator

    def sync_with_state(self, change: Callable[[dict[str, Any]], object]) -> tuple[Run, Emulator]:
        """Read a service twice, the second time from a state that has been changed."""
        emulator = self.start()
        state = self.tap.sync(emulator).state
        change(state)
        return self.tap.sync(emulator, state=state), emulator


def _device(device_sn: str, records: int, **more: Any) -> Device:
    start = NOW - timedelta(seconds=900 * records)
    usual: dict[str, Any] = {"records": records, "start": start, "subscription_ends": NOW + timedelta(days=365)}
    return Device(device_sn, **(usual | more))


Failure = Callable[[Service], tuple[Run, Emulator]]


def _synced(*faults: Fault, **settings: Any) -> Failure:
    return lambda service: service.sync(*faults, **settings)


def _service_is_down(service: Service) -> tuple[Run, Emulator]:
    with Emulator([_device("z6-00001", 30), _device("z6-00002", 20)], token=TOKEN, window=0.05) as emulator:
        pass
    return service.tap.sync(emulator, max_attempts=2), emulator


def _limit_is_used_up(service: Service) -> tuple[Run, Emulator]:
    emulator = service.start(_device("z6-00001", 30), window=0.02, faults=[Fault("lockout-account")])
    return service.tap.sync(emulator), emulator


def _device_is_silent(service: Service) -> tuple[Run, Emulator]:
    dead = _device("z6-00002", 20, start=NOW - timedelta(days=40))
    emulator = service.start(_device("z6-00001", 30), dead)
    return service.tap.sync(emulator), emulator


def _clocks_are_ahead(service: Service, *device_sns: str, **settings: Any) -> tuple[Run, Emulator]:
    devices = [_device(device_sn, 30) for device_sn in ("z6-00001", "z6-00002")]
    ahead = [
        replace(device, clock=((21, 30, 400 * 86_400),)) if device.device_sn in device_sns else device
        for device in devices
    ]
    emulator = service.start(*ahead)
    return service.tap.sync(emulator, **settings), emulator


def _port_is_wrong(service: Service) -> tuple[Run, Emulator]:
    station = {"device_sn": "z6-00001", "port_number": 5, "model_type": "ETo", "elevation": 806, "latitude": 32.25}
    return service.sync(env_models=json.dumps([station]))


def _state_is_cut(service: Service) -> tuple[Run, Emulator]:
    emulator = service.start()
    (service.tap.folder / "state.json").write_text('{"bookmarks": {"readi')
    return service.tap.sync(emulator, "--state", "state.json"), emulator


def _break_bookmark(state: dict[str, Any]) -> None:
    state["bookmarks"]["readings"]["partitions"][0]["replication_key_value"] = "2026"


def _stream_map_fails(service: Service) -> tuple[Run, Emulator]:
    maps = {"readings": {"vwc": "value / (mrid - 15)"}}
    # One call at a time, so that the first device is the first to come to that record.
    return service.sync(stream_maps=json.dumps(maps), page_size=10, max_concurrent_calls=1)


def _by_bash(script: str, service: Service) -> tuple[Run, Emulator]:
    """Let the tap write into a file that has no room; what counts is the file's whole lines."""
    emulator = service.start()
    done = subprocess.run(
        ("/bin/bash", "-c", f'{script} exec "$@" > output', "bash", *service.tap.command()),
        cwd=service.tap.folder,
        env=environment(emulator),
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    output = service.tap.folder / "output"
    return Run(
        done.returncode, output.read_text().rpartition("\n")[0] if output.is_file() else "", done.stderr
    ), emulator


def _target_ends(service: Service) -> tuple[Run, Emulator]:
    emulator = service.start(_device("z6-00001", 600))
    with service.tap.started(emulator, page_size=100) as process:
        taken = "".join(process.stdout.readline() for _ in range(500))
        process.stdout.close()
        process.wait(PATIENCE)
    return Run(process.returncode, taken, service.tap.stderr), emulator


def _run_is_stopped(service: Service) -> tuple[Run, Emulator]:
    emulator = service.start(_device("z6-00001", 400), window=HOUR)
    with service.tap.started(emulator, page_size=20) as process:
        taken = "".join(process.stdout.readline() for _ in range(200))
        process.send_signal(signal.SIGTERM)
        taken += process.stdout.read()
        process.wait(PATIENCE)
    return Run(process.returncode, taken, service.tap.stderr), emulator


SOON: dict[str, Any] = {"max_attempts": 2}
"""Gives up before a test has waited for long."""

NO_FOLDER = {"encoding": {"format": "jsonl", "compression": "gzip"}, "storage": {"root": "file:///dev/null/batches"}}
"""A `batch_config` whose files can't be written."""

FAILURES: dict[str, Failure] = {
    "wrong-token": _synced(auth_token=TOKEN[::-1]),
    "wrong-server": _synced(auth_token="f" * 40),
    "moved-401": _synced(Fault("401")),
    "moved-403": _synced(Fault("403")),
    "moved-404": _synced(Fault("404")),
    "v5-key-with-v4": _synced(auth_token="zc2-made-up-key"),
    "v5-wrong-key": _synced(api_version="v5", auth_token="zc2-made-up-key"),
    "v4-token-with-v5": _synced(api_version="v5", auth_token=TOKEN[::-1]),
    "wrong-serial": _synced(device_sns="z6-00001,z6-00009,z6-00002"),
    "v5-wrong-serial": _synced(api_version="v5", device_sns="z6-00001,z6-00009"),
    "one-fails": _synced(Fault("500", "z6-00002"), **SOON),
    "one-fails-warn": _synced(Fault("500", "z6-00002"), **SOON, on_device_failure="warn"),
    "silent-device": _device_is_silent,
    "device-clock": lambda service: _clocks_are_ahead(service, "z6-00002"),
    "v5-device-clock": lambda service: _clocks_are_ahead(service, "z6-00002", api_version="v5"),
    "computer-clock": lambda service: _clocks_are_ahead(service, "z6-00001", "z6-00002"),
    "service-down": _service_is_down,
    "maintenance": _synced(Fault("503", "z6-00002"), **SOON),
    "maintenance-page": _synced(Fault("html", "z6-00002"), **SOON),
    "no-answer": _synced(Fault("hang", "z6-00002"), **SOON, request_timeout=0.3),
    "redirect": _synced(Fault("redirect", "z6-00002"), **SOON),
    "v5-list": _synced(Fault("503", "devices"), **SOON, api_version="v5", device_sns=None),
    "limit-used-up": _limit_is_used_up,
    "wrong-port": _port_is_wrong,
    "settings": _synced(page_size=5000),
    "settings-of-v4": _synced(api_version="v5", page_size=50),
    "no-devices": _synced(device_sns=None),
    "state-cut": _state_is_cut,
    "state-damaged": lambda service: service.sync_with_state(_break_bookmark),
    "state-lost": lambda service: service.sync_with_state(dict.clear),
    "stream-map": _stream_map_fails,
    "disk-full": partial(_by_bash, "ln -s /dev/full output;"),
    "file-limit": partial(_by_bash, "ulimit -f 100;"),
    "batch-file": _synced(batch_config=json.dumps(NO_FOLDER)),
    "target-ends": _target_ends,
    "stopped": _run_is_stopped,
}
ELSEWHERE = {"database-stops"}
"""What test_postgres.py makes happen."""

ANYWHERE = {"state-lost"}
"""What a run says as it begins; nothing fails."""


@pytest.fixture
def service(tap: Tap, emulate: Emulate) -> Service:
    """What fails."""
    return Service(tap, emulate)


@pytest.mark.parametrize("name", FAILURES)
def test_the_last_lines_say_what_happened_what_was_loaded_and_what_to_do(name: str, service: Service) -> None:
    """The document has them as they are printed, with the exit code and with what is there of the readings."""
    row = ROWS[name]
    run, emulator = FAILURES[name](service)
    printed = printed_by(run.stderr)

    if name in ANYWHERE:
        assert set(row.lines) <= set(printed)
    else:
        assert row.lines == printed[-len(row.lines) :]
    assert run.exit_code == row.exit_code
    assert row.loaded.startswith(_loaded(run, emulator))
    assert "Traceback" not in run.stderr
    assert emulator.token not in run.stderr


def _run_by_meltano(project: MeltanoProject, emulator: Emulator, _: Postgres) -> tuple[int, str]:
    variables = {"TAP_ZENTRA_DEVICE_SNS": "z6-00001,z6-00009,z6-00002"}
    outcome = project.sync(emulator, "run", "tap-zentra", "target-jsonl", **variables)

    lines = (project.folder / "output" / "readings.jsonl").read_text(encoding="utf-8").splitlines()
    assert by_key(map(json.loads, lines)).keys() == held(emulator).keys()
    return outcome.exit_code, outcome.log


def _database_is_down(project: MeltanoProject, emulator: Emulator, postgres: Postgres) -> tuple[int, str]:
    run = ("run", "tap-zentra", "target-postgres")
    schema = {"TARGET_POSTGRES_DEFAULT_TARGET_SCHEMA": postgres.schema}
    outcome = project.sync(emulator, *run, **schema, TARGET_POSTGRES_PORT="1")

    repeated = project.sync(emulator, *run, **schema)
    assert repeated.exit_code == 0, repeated.log
    assert postgres.rows() == stored(emulator)
    return outcome.exit_code, outcome.log


def _disk_of_target_is_full(project: MeltanoProject, emulator: Emulator, _: Postgres) -> tuple[int, str]:
    (project.folder / "output").mkdir()
    (project.folder / "output" / "readings.jsonl").symlink_to("/dev/full")
    outcome = project.sync(emulator, "run", "tap-zentra", "target-jsonl")
    return outcome.exit_code, outcome.log


def _meltano_is_stopped(project: MeltanoProject, emulator: Emulator, _: Postgres) -> tuple[int, str]:
    variables = {**emulator.environment, "TAP_ZENTRA_PAGE_SIZE": "10"}
    path = project.folder / "log"
    with (
        gate(emulator, first_held=3) as answers,
        path.open("wb") as log,
        project.start(log, "run", "tap-zentra", "target-jsonl", **variables) as process,
    ):
        assert answers.reached.wait(PATIENCE)
        process.terminate()
        answers.open()
        process.wait(PATIENCE)
    return process.returncode, path.read_text(encoding="utf-8")


WITH_MELTANO = {
    "meltano": _run_by_meltano,
    "meltano-database-down": _database_is_down,
    "meltano-disk-full": _disk_of_target_is_full,
    "meltano-stopped": _meltano_is_stopped,
}


@pytest.mark.warehouse
@pytest.mark.parametrize("name", WITH_MELTANO)
def test_meltano_prints_the_lines_of_the_tap_and_of_the_target(
    name: str, service: Service, project: MeltanoProject, postgres: Postgres
) -> None:
    """In this order, maybe with others between them, and with its own exit code."""
    row = ROWS[name]

    exit_code, log = WITH_MELTANO[name](project, service.start(), postgres)

    printed = [alike(" ".join(line.partition("] ")[2].split())) for line in log.splitlines()]
    assert [line for line in dict.fromkeys(printed) if line in row.lines] == row.lines, log
    assert exit_code == row.exit_code


def test_every_row_is_made_by_a_test() -> None:
    """No row of the document describes what nobody has seen."""
    assert ROWS.keys() == {*FAILURES, *WITH_MELTANO, *ELSEWHERE}
