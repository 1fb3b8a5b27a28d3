"""The models of `transform/` in PostgreSQL, against what the fleet's readings give without SQL: all rows and columns.

One schema lives through a year: a first load, a second one of what was new, late or corrected, the account's move to
ZENTRA Cloud 2.0, one more run there, and `--full-refresh`. dbt is run by itself after each of them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from psycopg import sql

from tap_zentra.emulator import Device, Emulator
from tests.integration.support import Postgres
from tests.integration.transform_truth import KEYS, Row, Truth, column, require_equal
from tests.integration.transforms import (
    END,
    LATE_COMER,
    OFTEN,
    REFUSED,
    SELDOM,
    SET_BACK,
    STATIONS,
    STATUSES,
    WIPED,
    Built,
    Found,
    Held,
    old_devices,
    postgres_dbt,
    read_postgres,
    young_devices,
)
from tests.support import emulators
from tools.models import described_models

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tools.loaders.environments import Environments
    from tools.postgres.server import Warehouse

pytestmark = pytest.mark.warehouse

SCHEMA = "transform"
BY_HAND = "z6-00401"
"""A device of which rows are written by hand, for what the emulator's devices do not do."""

STEPS = ("first load", "second load", "moved account", "second run there", "full refresh")


@dataclass(frozen=True)
class Step:
    """What a run of dbt has made.

    Attributes:
        built: How it ended.
        found: What was in the warehouse then.
        truth: What should have been.
    """

    built: Built
    found: Found = field(repr=False)
    truth: Truth = field(repr=False)


def by_hand(mrid: int, moment: datetime, measurement: str, value: float | None, **other: Any) -> Row:
    """Return a row of `readings`, of which nothing is told that need not be."""
    told = ("error_description", "local_datetime", "tz_offset", "sensor_name", "sensor_sn", "depth")
    key = {
        "device_sn": BY_HAND,
        "mrid": mrid,
        "timestamp_utc": moment.isoformat(),
        "port_number": -1,
        "device_name": "Me",
    }
    measured = {"measurement": measurement, "sub_sensor_index": 0, "value": value, "units": None, "error_flag": False}
    return key | measured | dict.fromkeys(told) | other


def first_by_hand() -> list[Row]:
    """Return rows of values whose mean or sum is easy to get wrong, and days that hardly show an interval."""
    begin = datetime(2025, 3, 1, 6, tzinfo=UTC)
    minutes = [begin + timedelta(minutes=10 * place) for place in range(12)]
    rows: list[Row] = []
    values: dict[str, Sequence[float | None]] = {
        # North, in two hours; then nothing, for they cancel each other out.
        "Wind Direction": (350, 10, 359, 1, 350, 10, 0, 180, 90, 270, 45, 225),
        "Precipitation": (0.1, 0.2, 0.7, 0, 0, 0, None, None, None, None, None, None),
        "Gust Speed": (1, 7, 3, 2, 1, 0, 4, 4, 4, 4, 4, 9),
        "Matric Potential (kPa)": (-10.5, -11, -11.5, None, -9, -8, -8, -8, -8, -8, -8, -8),
    }
    for measurement, told in values.items():
        for place, value in enumerate(told):
            flags = {"error_flag": (None, False, True)[place % 3] if measurement == "Gust Speed" else False}
            rows.append(by_hand(1 + place, minutes[place], measurement, value, **flags))
    rain = {"port_number": 1, "units": "in", "sensor_name": "ECRN-100"}
    rows += [by_hand(1 + place, minutes[place], "Precipitation", 0.01, **rain) for place in range(6)]
    # A day that shows its interval, one that does not, and one of a single moment.
    hours = [datetime(2025, 3, 2, tzinfo=UTC) + timedelta(hours=hour) for hour in (*range(24), 36, 37, 60)]
    return rows + [by_hand(21 + place, hour, "Wind Speed", place) for place, hour in enumerate(hours)]


def second_by_hand() -> list[Row]:
    """Return late readings of the day that did not show its interval: now it does, also for the day after it."""
    begin = datetime(2025, 3, 3, 18, tzinfo=UTC)
    return [by_hand(61 + place, begin + timedelta(minutes=5 * place), "Wind Speed", 1) for place in range(9)]


def day_by_hand() -> Row:
    """Return the evapotranspiration of the day on which rain is told in inches."""
    return {
        "device_sn": BY_HAND,
        "model_type": "ETo",
        "port_number": 1,
        "timestamp_utc": datetime(2025, 3, 1, 23, 59, 59, tzinfo=UTC),
        "value": 0.125,
        "units": "in",
        "error_flag": False,
        "local_datetime": "2025-03-01 23:59:59+00:00",
        "tz_offset": 0,
    }


def insert(warehouse: Warehouse, schema: str, table: str, rows: Sequence[Row]) -> None:
    """Write rows into a table that the target has made."""
    names = list(rows[0])
    text = sql.SQL("insert into {} ({}) values ({})").format(
        sql.Identifier(schema, table),
        sql.SQL(", ").join(map(sql.Identifier, names)),
        sql.SQL(", ").join([sql.Placeholder()] * len(names)),
    )
    with psycopg.connect(warehouse.dsn, options="-c timezone=UTC") as connection, connection.cursor() as cursor:
        cursor.executemany(text, [list(row.values()) for row in rows])


@pytest.fixture(scope="module")
def history(
    warehouse: Warehouse, target_postgres: Path, environments: Environments, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Step]:
    """What the models were after each step."""
    folder = tmp_path_factory.mktemp("transform")
    now = datetime.now(UTC).replace(second=0, microsecond=0)
    late_comer = Device(LATE_COMER, name="Late comer", records=12, interval=3600, start=END - timedelta(days=1))
    devices = [*old_devices(), *young_devices(now), late_comer]
    with emulators() as start:
        emulator = start(*devices, late_values="null")
        postgres = Postgres(warehouse, SCHEMA, target_postgres, folder)
        return _live(emulator, postgres, environments)


def _live(emulator: Emulator, postgres: Postgres, environments: Environments) -> dict[str, Step]:
    """Load and build, step by step."""
    warehouse, held, steps = postgres.warehouse, Held(), {}
    dbt = postgres_dbt(environments, warehouse, SCHEMA, postgres.folder)
    stations = json.dumps(STATIONS)

    def build(step: str, *arguments: str) -> None:
        built = dbt.build(*arguments)
        found = read_postgres(warehouse, SCHEMA)
        steps[step] = Step(built, found, held.truth(found))

    def write(rows: Sequence[Row]) -> None:
        insert(warehouse, SCHEMA, "readings", rows)
        held.add_v4(rows)

    known = [device_sn for device_sn in emulator.device_sns if device_sn != LATE_COMER]
    first = postgres.load(emulator, device_sns=json.dumps(known), env_models=stations)
    held.load_v4(emulator, known)
    write(first_by_hand())
    insert(warehouse, SCHEMA, "env_model_data", [day_by_hand()])
    held.add_day(day_by_hand())
    build("first load")

    for device_sn in ("z6-00001", "z6-00004", "z6-00007", SELDOM):
        emulator.grow(12, device_sn)
    emulator.grow(40, OFTEN)
    emulator.deliver(SET_BACK)
    emulator.wipe(WIPED, records=6)
    second = postgres.load(emulator, state=first.state, env_models=stations)
    held.load_v4(emulator)
    write(second_by_hand())
    build("second load")

    for device_sn in ("z6-00001", "z6-00003", OFTEN, WIPED):
        emulator.grow(10, device_sn)
    moved = postgres.load(emulator, state=second.state, api_version="v5")
    held.load_v5(emulator)
    build("moved account")

    for device_sn in ("z6-00001", "z6-00003", LATE_COMER):
        emulator.grow(5, device_sn)
    last = postgres.load(emulator, state=moved.state, api_version="v5")
    held.load_v5(emulator)
    build("second run there")

    build("full refresh", "--full-refresh")
    # One device is another user's.
    loads = (first, second, moved, last)
    assert [load.exit_codes for load in loads] == [(1, 0)] * len(loads), "".join(load.log for load in loads)[-3000:]
    return steps


@pytest.fixture(params=STEPS)
def step(request: pytest.FixtureRequest, history: dict[str, Step]) -> Step:
    """One of the steps."""
    return history[request.param]


def test_dbt_builds_all_models_and_all_their_tests_pass(step: Step) -> None:
    """Nothing fails or is left out, and the only warning is of devices that need attention; each model is there."""
    assert step.built.named("fail", "error", "skipped") == [], step.built.log
    assert step.built.named("warn") == ["devices_that_need_attention"]
    assert step.built.exit_code == 0, step.built.log
    assert set(step.found.models) == set(KEYS)


@pytest.mark.parametrize("model", KEYS)
def test_a_model_holds_what_the_readings_give_without_sql(model: str, step: Step) -> None:
    """All rows and all columns, and nothing else; see `transform_truth`."""
    require_equal(model, step.found.models.get(model, []), step.truth.of(model))


@pytest.mark.parametrize("model", KEYS)
def test_a_run_of_what_is_new_makes_what_a_full_one_makes(model: str, history: dict[str, Step]) -> None:
    """After three such runs all rows are those of `--full-refresh`, but for when they were staged and for ages."""
    grown, fresh = (history[name].found for name in STEPS[-2:])
    ages = {"hours_silent", "longest_gap_hours", "hours_ahead"} if model == "zentra_devices" else set()
    if model == "zentra_gaps":
        ages = {"hours", "missing"}

    def without_ages(found: Found) -> list[Row]:
        return [{name: value for name, value in row.items() if name not in ages} for row in found.models[model]]

    require_equal(model, without_ages(grown), without_ages(fresh))
    # Those that came later stand behind the others.
    assert sorted(grown.columns[model]) == sorted(fresh.columns[model])


def test_a_row_keeps_the_run_that_brought_or_changed_it(history: dict[str, Step]) -> None:
    """Rows that are new or differ have the second run's `staged_at`, all others the first one's; days the newest."""
    before, after = (history[name].found.models["stg_zentra__readings"] for name in STEPS[:2])
    known = {_identity(row): row for row in before}
    [first] = {row["staged_at"] for row in before}
    same = [row for row in after if known.get(_identity(row)) == row | {"staged_at": first}]
    ids = {_identity(row) for row in same}
    [second] = {row["staged_at"] for row in after if _identity(row) not in ids}
    newest: dict[tuple[str, date], datetime] = {}
    for row in after:
        day = row["device_sn"], row["local_date"]
        newest[day] = max(row["staged_at"], newest.get(day, first))

    assert 0 < len(same) < len(after)
    assert first < second
    assert {row["staged_at"] for row in same} == {first}
    daily: dict[tuple[str, date], datetime] = {}
    for row in history[STEPS[1]].found.models["zentra_daily"]:
        day = row["device_sn"], row["local_date"]
        daily[day] = max(row["staged_at"], daily.get(day, first))
    assert daily == newest


def test_the_devices_tell_how_alive_they_are(history: dict[str, Step]) -> None:
    """Each status is there, for a device to which it applies, and the one that failed says why."""
    rows = {row["device_sn"]: row for row in history["first load"].found.models["zentra_devices"]}

    assert {device_sn: rows[device_sn]["status"] for device_sn in STATUSES} == STATUSES
    assert [device_sn for device_sn, row in rows.items() if row["error"]] == [REFUSED]


def test_all_columns_are_described_and_all_described_ones_are_there(history: dict[str, Step]) -> None:
    """What the YAML files say of a model is what the database has, but for the channels of the wide one."""
    there = history["full refresh"].found.columns
    described = {model["name"]: {one["name"] for one in model["columns"]} for model in described_models()}
    channels = {column(row["port_number"], row["measurement"], row["sub_sensor_index"]) for row in _staged(history)}
    described["zentra_readings_wide"] |= channels

    assert set(KEYS) < set(described)
    assert {name: set(there[name]) for name in described} == described


def _identity(row: Row) -> tuple[Any, ...]:
    return tuple(row[name] for name in KEYS["stg_zentra__readings"])


def _staged(history: dict[str, Step]) -> list[Row]:
    return history["full refresh"].truth.staged
