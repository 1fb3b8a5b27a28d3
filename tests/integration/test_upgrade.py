"""From version 0.1.0 to this one: the state and the table that it left go on working."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from tap_zentra.emulator import Device
from tap_zentra.emulator.sensors import PROFILE_STATION
from tap_zentra.v4.readings import READINGS_KEY
from tests.in_process import sync
from tests.integration.documents import column_types
from tests.integration.projects import REPOSITORY
from tests.integration.support import stored
from tests.support import bookmarks, by_key, held

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tap_zentra.emulator import Emulator
    from tests.integration.support import Load, Postgres, State
    from tools.loaders.environments import Environments

    Emulate = Callable[..., Emulator]

LAST_OF_0_1_0 = "c8189dc263bcb4c4d900ab109e8551e166fd48a9"
"""The last commit before the first change of 0.2.0."""

GROWING, SILENT, EMPTY, PROBES = "z6-00001", "z6-00002", "z6-00003", "z6-00004"
FLEET = (
    Device(GROWING, records=130, error_rate=0.2),
    Device(SILENT, records=60, units_changed_at=35, gaps=((20, 30),)),
    Device(EMPTY, records=0),
    # Longer than the look-back, and with depths, whose index has had another rule since.
    Device(PROBES, records=250, sensors=PROFILE_STATION),
)


def _partition(device_sn: str, mrid: int) -> dict[str, Any]:
    return {"context": {"device_sn": device_sn}, "replication_key": "mrid", "replication_key_value": mrid}


STATE: State = {
    "bookmarks": {
        "readings": {
            "partitions": [_partition(GROWING, 130), _partition(SILENT, 60), _partition(PROBES, 250)],
            "newest_readings": {GROWING: 1767341700, SILENT: 1767278700, PROBES: 1767449700},
        }
    }
}
"""What version 0.1.0 leaves when it has read the fleet."""


def _in_any_order(state: State | None) -> State:
    """Return a state with its partitions by device; their order is that in which the devices were first written."""
    assert state is not None
    [(stream, kept)] = state["bookmarks"].items()
    partitions = sorted(kept["partitions"], key=lambda partition: str(partition["context"]["device_sn"]))
    return {"bookmarks": {stream: kept | {"partitions": partitions}}}


def _grow(emulator: Emulator) -> None:
    emulator.grow(25, GROWING)
    emulator.grow(3, EMPTY)
    emulator.grow(40, PROBES)


def test_a_state_of_0_1_0_brings_what_is_new_and_nothing_else(emulate: Emulate) -> None:
    """Bookmarks move on from where they were; the digests that the state lacks are made, and serve the next run."""
    emulator = emulate(*FLEET)
    before = held(emulator)
    _grow(emulator)

    first = sync(emulator, state=STATE)
    second = sync(emulator, state=first.state)

    assert (first.exit_code, second.exit_code) == (0, 0)
    assert by_key(first.records) == {key: row for key, row in held(emulator).items() if key not in before}
    assert bookmarks(first.state) == {GROWING: 155, SILENT: 60, EMPTY: 3, PROBES: 290}
    assert second.records == []


def test_a_value_corrected_after_the_upgrade_arrives(emulate: Emulate) -> None:
    """From the second run on: the first one makes the digests that corrections are found by."""
    emulator = emulate(Device(GROWING, records=130), late_values="absent")
    first = sync(emulator, state=STATE)
    emulator.grow(1)

    second = sync(emulator, state=first.state)

    assert first.records == []
    assert {record["mrid"] for record in second.records} == {130, 131}


def test_what_0_1_0_knew_of_a_silent_device_is_still_known(emulate: Emulate) -> None:
    """Its newest reading is the state's, also when nothing of the device is read again."""
    emulator = emulate(*FLEET)

    run = sync(emulator, state=STATE, mrid_lookback=0)

    newest = {row["device_sn"]: row["last_reading_utc"] for row in run.records_of("devices")}
    assert newest[SILENT] == "2026-01-01T14:45:00+00:00"
    assert newest[EMPTY] is None
    assert run.records == []


@pytest.fixture(scope="module")
def tap_0_1_0(environments: Environments) -> Path:
    """The program of version 0.1.0, installed from this repository's history."""
    asked = (shutil.which("git") or "false", "cat-file", "-e", f"{LAST_OF_0_1_0}^{{commit}}")
    if subprocess.run(asked, cwd=REPOSITORY, capture_output=True, check=False).returncode != 0:
        pytest.skip("this copy of the repository has no history from which version 0.1.0 could be installed")
    return environments.programs(f"tap-zentra @ git+{REPOSITORY.as_uri()}@{LAST_OF_0_1_0}") / "tap-zentra"


def _load_as_0_1_0(postgres: Postgres, tap: Path, emulator: Emulator) -> Load:
    with pytest.MonkeyPatch.context() as variables:
        # It would bring this version's code into the other one's environment.
        variables.delenv("PYTHONPATH", raising=False)
        load = replace(postgres, tap=tap).load(emulator)
    assert load.exit_codes == (0, 0), load.log
    assert "tap-zentra v0.1.0" in load.log
    return load


@pytest.mark.warehouse
def test_a_table_of_0_1_0_goes_on_growing(emulate: Emulate, postgres: Postgres, tap_0_1_0: Path) -> None:
    """This version goes on in the table of the last: what is new is added, what is read again fits the same keys."""
    emulator = emulate(*FLEET)
    old = _load_as_0_1_0(postgres, tap_0_1_0, emulator)
    assert _in_any_order(old.state) == STATE
    assert postgres.rows() == stored(emulator)
    before = postgres.count()
    _grow(emulator)

    new = postgres.load(emulator, state=old.state)

    assert new.exit_codes == (0, 0), new.log
    assert postgres.rows() == stored(emulator)
    assert f'"readings":{postgres.count() - before},' in new.log.rpartition('"totals"')[2]
    assert postgres.key == READINGS_KEY
    for stream in ("readings", "devices", "sensors"):
        assert postgres.of(stream).types == column_types("PostgreSQL", stream, "v4")

    again = postgres.load(emulator, state=new.state, reread_device_sns=f"{GROWING},{SILENT},{PROBES}")

    assert again.exit_codes == (0, 0), again.log
    assert postgres.rows() == stored(emulator)
