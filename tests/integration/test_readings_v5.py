"""ZENTRA Cloud 2.0 through Meltano: `readings_v5` in PostgreSQL and in files, and an account that is moved there."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tap_zentra.emulator import PROFILE_STATION, Device, Emulator, Fault, Request, Response
from tap_zentra.v5.readings import READINGS_V5_KEY
from tests.integration.documents import column_types, example
from tests.integration.support import KEYS, Postgres, stored, stored_v5

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.integration.projects import MeltanoProject, Outcome

    Emulate = Callable[..., Emulator]

pytestmark = pytest.mark.warehouse

LOAD = ("run", "tap-zentra", "target-postgres")
# Over the ends of months, which are those of pages, and long enough ago that what is made later is not in the future.
START = datetime(2025, 10, 20, tzinfo=UTC)
FLEET = (
    Device("z6-00001", records=130, interval=43_200, start=START, error_rate=0.2),
    Device("z6-00002", records=60, interval=43_200, start=START, sensors=PROFILE_STATION),
    Device("z6-00003", records=40, start=START, gaps=((20, 30),), tz_offset=34200),
    Device("z6-00004", records=0, start=START),
)


@pytest.fixture
def table(postgres: Postgres) -> Postgres:
    """The table of readings_v5 in a schema for this test alone."""
    return replace(postgres, stream="readings_v5")


@pytest.fixture
def project(project: MeltanoProject, postgres: Postgres) -> MeltanoProject:
    """A project that loads into this test's schema."""
    return replace(project, variables={**project.variables, "TARGET_POSTGRES_DEFAULT_TARGET_SCHEMA": postgres.schema})


def _written(outcome: Outcome) -> int:
    """Return how many readings a run that succeeded has written."""
    assert outcome.exit_code == 0, outcome.log
    found = re.search(r'run summary: .*"totals":(\{.*?\})', outcome.log)
    assert found is not None
    return int(json.loads(found[1])["readings"])


def _calls(emulator: Emulator) -> list[str | None]:
    """Return which devices have been asked for their readings so far, None for the list."""
    return [call.device_sn for call in emulator.calls]


def test_the_table_is_what_an_analyst_expects(project: MeltanoProject, emulate: Emulate, table: Postgres) -> None:
    """The types of docs/tables.md under the columns' names, and the key of six columns."""
    _written(project.sync_v5(emulate(Device("z6-00001", records=1, start=START)), *LOAD))

    assert table.types == column_types("PostgreSQL", "readings_v5")
    assert table.key == READINGS_V5_KEY


def test_each_run_brings_what_is_new_and_an_idle_one_nothing(
    project: MeltanoProject, emulate: Emulate, table: Postgres
) -> None:
    """The table equals the service after every run; where the list knows nothing newer, no device is asked."""
    emulator = emulate(*FLEET, positions=True)

    assert _written(project.sync_v5(emulator, *LOAD)) == table.count() > 0
    assert table.rows() == stored_v5(emulator)

    before = len(emulator.calls)
    # It has no readings, so no bookmark: a device without one is asked, whatever the list says.
    assert _written(project.sync_v5(emulator, *LOAD)) == 0
    assert _calls(emulator)[before:] == [None, "z6-00004"]
    assert table.rows() == stored_v5(emulator)

    held = table.count()
    emulator.grow(25, "z6-00002")
    emulator.grow(3, "z6-00004")
    assert _written(project.sync_v5(emulator, *LOAD)) == table.count() - held > 0
    assert table.rows() == stored_v5(emulator)

    assert _written(project.sync_v5(emulator, "run", "--full-refresh", *LOAD[1:])) == table.count()
    assert table.rows() == stored_v5(emulator)


@pytest.mark.long
def test_nulls_are_nulls_of_sql(project: MeltanoProject, emulate: Emulate, table: Postgres) -> None:
    """A value that a sensor did not give is NULL, with METER's code and its meaning."""
    emulator = emulate(FLEET[0])
    _written(project.sync_v5(emulator, *LOAD))

    [found] = table.query("select count(*) as rows, count(value) as numbers from {}")
    failed = table.query("select distinct error_code, error_description from {} where value is null and error_flag")
    assert found["rows"] - found["numbers"] == sum(row["value"] is None for row in emulator.readings_v5()) > 0
    assert {"error_code": 134, "error_description": "No response from sensor"} in failed


def test_values_that_come_late_replace_the_rows_that_are_there(
    project: MeltanoProject, emulate: Emulate, table: Postgres
) -> None:
    """What was not complete is completed by the next load that has something new; no row is doubled."""
    emulator = emulate(Device("z6-00001", records=60, start=START, error_rate=0))

    def without_last_values(request: Request) -> Response:
        body = json.loads(emulator.answer(request).body)
        last = max((row["timestamp"] for row in body["values"]), default=None)  # months without readings follow
        for row in body["values"]:
            if (row["timestamp"], row["measurement"]) == (last, "Air Temperature"):
                row |= {"value": None, "error_code": 134}
        late = (last, "Water Content")
        body["values"] = [row for row in body["values"] if (row["timestamp"], row["measurement"]) != late]
        return Response(body=json.dumps(body).encode())

    incomplete = Fault(without_last_values, "z6-00001")
    emulator.fail(incomplete)
    _written(project.sync_v5(emulator, *LOAD))
    emulator.recover(incomplete)
    missing = len(stored_v5(emulator)) - table.count()
    before = len(stored_v5(emulator))
    emulator.grow(1)

    written = _written(project.sync_v5(emulator, *LOAD))

    assert table.rows() == stored_v5(emulator)
    assert missing == 2
    # The moment that was not complete, and the new one: nothing else.
    assert written == 2 * (table.count() - before)


@pytest.mark.long  # the loaders' table tries files with this stream too
def test_files_get_no_reading_twice(project: MeltanoProject, emulate: Emulate) -> None:
    """Through target-jsonl every reading is one line, after an idle run and after a run with news too."""
    emulator = emulate(*FLEET, positions=True)
    for new in (0, 0, 3):
        emulator.grow(new)
        _written(project.sync_v5(emulator, "run", "zentra-to-jsonl"))

    lines = (project.folder / "output" / "readings_v5.jsonl").read_text(encoding="utf-8").splitlines()
    found = sorted((json.loads(line) for line in lines), key=_place)
    assert found == sorted(emulator.readings_v5(), key=_place)


def _place(row: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(row[column] for column in READINGS_V5_KEY)


def test_a_selection_and_stream_maps_shape_what_is_loaded(project: MeltanoProject, emulate: Emulate) -> None:
    """The README's example does for v5 what it does for v4, with the other stream's name in it."""
    emulator = emulate(FLEET[0])
    project.change("tap-zentra", **yaml.safe_load(example("shape").replace("readings", "readings_v5")))

    _written(project.sync_v5(emulator, "run", "tap-zentra", "target-jsonl"))

    lines = (project.folder / "output" / "water.jsonl").read_text(encoding="utf-8").splitlines()
    found = [json.loads(line) for line in lines]
    held = emulator.readings_v5()
    wanted = [row["value"] for row in held if row["measurement"] == "Water Content" and row["value"] is not None]
    assert sorted(row["water_content"] for row in found) == sorted(wanted)  # type: ignore[type-var]
    assert not {"local_datetime", "value"} & {column for row in found for column in row}


@pytest.fixture
def moved(project: MeltanoProject, emulate: Emulate, postgres: Postgres) -> Emulator:
    """An account of which both tables have readings: those of the first weeks were read by v4 alone."""
    emulator = emulate(*FLEET[:2], positions=True)
    assert project.sync(emulator, *LOAD).exit_code == 0
    assert postgres.rows() == stored(emulator)
    emulator.grow(3)
    variables = {name: value for name, value in emulator.environment_v5.items() if name != "TAP_ZENTRA_DEVICE_SNS"}
    emulator.let_window_pass()
    outcome = project.meltano(*LOAD, **variables, TAP_ZENTRA_START_DATE="2025-11-10")
    assert outcome.exit_code == 0, outcome.log
    return emulator


def test_an_account_that_is_moved_goes_on_in_a_table_of_its_own(
    project: MeltanoProject, moved: Emulator, postgres: Postgres, table: Postgres
) -> None:
    """The old table and its bookmarks stay as they are; the new one has all devices of the key, from start_date on.

    Devices and sensors stay in their tables: each device has one row, with what only the new service tells, and the
    channels of both services stand side by side.
    """
    since = {key: row for key, row in stored_v5(moved).items() if row["timestamp_utc"] >= datetime(2025, 11, 10)}  # noqa: DTZ001 - as in the column

    state = json.loads(project.meltano("state", "get", "prod:tap-zentra-to-target-postgres").stdout)

    assert table.rows() == since
    assert len(postgres.rows()) == len(stored(moved)) - sum(3 * len(device.series) for device in FLEET[:2])
    bookmarks = state["singer_state"]["bookmarks"]
    assert {stream for stream, of_stream in bookmarks.items() if of_stream} == {"readings", "readings_v5"}
    _require_devices_and_sensors_of_both(moved, postgres)


def _require_devices_and_sensors_of_both(moved: Emulator, postgres: Postgres) -> None:
    devices = postgres.of("devices").rows()
    channels = {
        tuple((one | {"device_sn": device_sn})[name] for name in KEYS["sensors"])
        for device_sn in moved.device_sns
        for one in (*moved.channels(device_sn), *moved.channels_v5(device_sn))
    }

    assert {row["device_sn"]: row["organization_id"] for row in devices.values()} == {
        entry["device_id"]: entry["organization_id"] for entry in moved.devices_v5()
    }
    assert postgres.of("sensors").rows().keys() == channels


def _run_documented(table: Postgres, name: str) -> list[dict[str, Any]]:
    """Run a query of docs/tables.md in this test's schema."""
    with table.connect() as connection:
        cursor = connection.execute(example(name, "docs/tables.md").replace("zentra.", f"{table.schema}.").encode())
        return cursor.fetchall() if cursor.description else []


def test_the_documented_queries_find_what_they_promise(moved: Emulator, postgres: Postgres, table: Postgres) -> None:
    """The newest value of each sensor; each reading once from both tables; which place of v4 is which of v5."""
    newest = _run_documented(table, "newest")
    _run_documented(table, "both")
    both = table.query("select * from {}.all_readings".replace("{}", table.schema))
    places = _run_documented(table, "places")

    last: dict[tuple[Any, ...], datetime] = {}
    for row in stored_v5(moved).values():
        if row["value"] is not None:
            sensor = _sensor(row)
            last[sensor] = max(last.get(sensor, row["timestamp_utc"]), row["timestamp_utc"])
    assert {_sensor(row): row["timestamp_utc"] for row in newest} == last

    taken = ("device_sn", "timestamp_utc", "port_number", "measurement")
    new = table.rows().values()
    known = {tuple(row[column] for column in taken) for row in new}
    old = [row for row in postgres.rows().values() if tuple(row[column] for column in taken) not in known]
    assert [row["api"] for row in both].count("v5") == len(new) > 0
    assert [row["api"] for row in both].count("v4") == len(old) > 0

    profile = [row for row in places if row["device_sn"] == "z6-00002" and row["v5"] > 0]
    assert {row["v4"] + 1 - row["v5"] for row in profile} == {0}
    assert {row["depth"] is None for row in profile} == {False}
    assert {row["difference"] for row in places} == {0}


def _sensor(row: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(row[column] for column in READINGS_V5_KEY if column != "timestamp_utc")
