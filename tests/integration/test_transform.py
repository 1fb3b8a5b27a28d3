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

from tap_zentra.emulator import Device, Emulator, Fault
from tests.integration.support import Postgres
from tests.integration.transform_truth import KEYS, Row, Truth, column, require_equal
from tests.integration.transforms import (
    AHEAD,
    END,
    LATE_COMER,
    OFTEN,
    REFUSED,
    SELDOM,
    SET_BACK,
    STATIONS,
    STATUSES,
    TRANSFORM,
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
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from tests.integration.support import State
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
    # Forty minutes to midnight, which are no gap. Then a day that shows its interval, and two that do not; between the
    # moments of the last are three hours and a half.
    after = (-2 / 3, *range(24), 36, 38, 60, 63.5)
    hours = [datetime(2025, 3, 2, tzinfo=UTC) + timedelta(hours=hour) for hour in after]
    return rows + [by_hand(21 + place, hour, "Wind Speed", place) for place, hour in enumerate(hours)]


def second_by_hand() -> list[Row]:
    """Return late readings of the day that did not show its interval: now it does, also for the day after it.

    And some of the first rows, corrected in one column each.
    """
    begin = datetime(2025, 3, 3, 18, tzinfo=UTC)
    late = [by_hand(61 + place, begin + timedelta(minutes=5 * place), "Wind Speed", 1) for place in range(9)]
    first = {(row["measurement"], row["port_number"], row["mrid"]): row for row in first_by_hand()}
    return [
        *late,
        first["Gust Speed", -1, 2] | {"error_flag": True},
        first["Precipitation", -1, 2] | {"units": "mm"},
        first["Matric Potential (kPa)", -1, 2] | {"sensor_sn": "T21-1"},
        first["Matric Potential (kPa)", -1, 3] | {"depth": "20 cm"},
        first["Matric Potential (kPa)", -1, 4] | {"error_description": "No response from sensor"},
    ]


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
    """Write rows into a table that the target has made, or in the place of those with the same key."""
    names = list(rows[0])
    columns = sql.SQL(", ").join(map(sql.Identifier, names))
    text = sql.SQL("insert into {} ({}) values ({}) on conflict on constraint {} do update set ({}) = ({})").format(
        sql.Identifier(schema, table),
        columns,
        sql.SQL(", ").join([sql.Placeholder()] * len(names)),
        sql.Identifier(f"{table}_pkey"),
        columns,
        sql.SQL(", ").join([sql.Identifier("excluded", name) for name in names]),
    )
    with psycopg.connect(warehouse.dsn, options="-c timezone=UTC") as connection, connection.cursor() as cursor:
        cursor.executemany(text, [list(row.values()) for row in rows])


class History:
    """A schema, the service whose readings are loaded into it, and what the models were after each step.

    Args:
        emulator: The service.
        postgres: Where to load.
        environments: Where dbt is.
    """

    def __init__(self, emulator: Emulator, postgres: Postgres, environments: Environments) -> None:
        self.steps: dict[str, Step] = {}
        self._emulator = emulator
        self._postgres = postgres
        self._held = Held()
        self._dbt = postgres_dbt(environments, postgres.warehouse, SCHEMA, postgres.folder)
        self._state: State | None = None

    def first_load(self) -> None:
        """Load all devices but one by v4, and write what no device does."""
        known = [device_sn for device_sn in self._emulator.device_sns if device_sn != LATE_COMER]
        self._load(device_sns=json.dumps(known), env_models=json.dumps(STATIONS))
        self._held.load_v4(self._emulator, known)
        self._write(first_by_hand())
        insert(self._postgres.warehouse, SCHEMA, "env_model_data", [day_by_hand()])
        self._held.add_day(day_by_hand())
        self._build(STEPS[0])

    def second_load(self) -> None:
        """Load new, late and corrected records, of a device that was wiped and of a new one too."""
        for device_sn in ("z6-00001", "z6-00004", "z6-00007", SELDOM):
            self._emulator.grow(6, device_sn)
        self._emulator.grow(40, OFTEN)
        self._emulator.deliver(SET_BACK)
        self._emulator.wipe(WIPED, records=6)
        # Its clock, which is ahead, is the lesser trouble.
        refused = Fault("403", AHEAD)
        self._emulator.fail(refused)
        self._load(env_models=json.dumps(STATIONS))
        self._emulator.recover(refused)
        self._held.load_v4(self._emulator)
        self._write(second_by_hand())
        self._build(STEPS[1])

    def move(self) -> None:
        """Load by v5 what there is, from its beginning."""
        for device_sn in ("z6-00001", "z6-00003", OFTEN, WIPED):
            self._emulator.grow(10, device_sn)
        self._emulator.grow(2, AHEAD)
        self._load(api_version="v5")
        self._held.load_v5(self._emulator)
        self._build(STEPS[2])

    def second_run_there(self) -> None:
        """Load by v5 what is new."""
        for device_sn in ("z6-00001", "z6-00003", LATE_COMER):
            self._emulator.grow(5, device_sn)
        self._load(api_version="v5")
        self._held.load_v5(self._emulator)
        self._build(STEPS[3])

    def build_anew(self) -> None:
        """Build all of it, loading nothing."""
        self._build(STEPS[4], "--full-refresh")

    def _load(self, **settings: Any) -> None:
        load = self._postgres.load(self._emulator, state=self._state, **settings)
        # One device is another user's.
        assert load.exit_codes == (1, 0), load.log[-3000:]
        self._state = load.state

    def _write(self, rows: Sequence[Row]) -> None:
        insert(self._postgres.warehouse, SCHEMA, "readings", rows)
        self._held.add_v4(rows)

    def _build(self, step: str, *arguments: str) -> None:
        built = self._dbt.build(*arguments)
        found = read_postgres(self._postgres.warehouse, SCHEMA)
        self.steps[step] = Step(built, found, self._held.truth(found))


@pytest.fixture(scope="module")
def begun(
    warehouse: Warehouse, target_postgres: Path, environments: Environments, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[History]:
    """The steps up to the account's move."""
    now = datetime.now(UTC).replace(second=0, microsecond=0)
    late_comer = Device(LATE_COMER, name="Late comer", records=12, interval=3600, start=END - timedelta(days=1))
    devices = [*old_devices(), *young_devices(now), late_comer]
    postgres = Postgres(warehouse, SCHEMA, target_postgres, tmp_path_factory.mktemp("transform"))
    with emulators() as start:
        history = History(start(*devices, late_values="null"), postgres, environments)
        history.first_load()
        history.second_load()
        history.move()
        yield history


@pytest.fixture(scope="module")
def history(begun: History) -> dict[str, Step]:
    """What the models were after each of these."""
    return begun.steps


@pytest.fixture(scope="module")
def whole_history(begun: History) -> dict[str, Step]:
    """What they were after each of all steps."""
    begun.second_run_there()
    begun.build_anew()
    return begun.steps


@pytest.fixture(params=[*STEPS[:3], *(pytest.param(name, marks=pytest.mark.long) for name in STEPS[3:])])
def step(request: pytest.FixtureRequest) -> Step:
    """One of the steps."""
    steps: dict[str, Step] = request.getfixturevalue("history" if request.param in STEPS[:3] else "whole_history")
    return steps[request.param]


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


@pytest.mark.long
@pytest.mark.parametrize("model", KEYS)
def test_a_run_of_what_is_new_makes_what_a_full_one_makes(model: str, whole_history: dict[str, Step]) -> None:
    """After three such runs all rows are those of `--full-refresh`, but for when they were staged and for ages."""
    grown, fresh = (whole_history[name].found for name in STEPS[-2:])
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

    later = {row["device_sn"]: row for row in history["second load"].found.models["zentra_devices"]}
    assert (later[AHEAD]["status"], later[AHEAD]["hours_ahead"] > 24) == ("failed", True)


def test_all_columns_are_described_and_all_described_ones_are_there(history: dict[str, Step]) -> None:
    """What the YAML files say of a model is what the database has, but for the channels of the wide one."""
    there = history[STEPS[2]].found.columns
    described = {model["name"]: {one["name"] for one in model["columns"]} for model in described_models()}
    channels = {column(row["port_number"], row["measurement"], row["sub_sensor_index"]) for row in _staged(history)}
    described["zentra_readings_wide"] |= channels

    for path in (TRANSFORM / "models").rglob("*.sql"):
        if "materialized='ephemeral'" in path.read_text(encoding="utf-8"):
            del described[path.stem]  # part of others' SQL, and nothing in the database

    assert set(KEYS) < set(described)
    assert {name: set(there[name]) for name in described} == described


def _identity(row: Row) -> tuple[Any, ...]:
    return tuple(row[name] for name in KEYS["stg_zentra__readings"])


def _staged(history: dict[str, Step]) -> list[Row]:
    return history[STEPS[2]].truth.staged
