"""The models where not all is there: no table, one service alone, columns left out; and where rows are not right."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from psycopg import sql

from benchmarks.pipelines.postgres import left_out
from tap_zentra.emulator import Device
from tap_zentra.v4.readings import CompactReadingsStream
from tests.integration.documents import column_types, example
from tests.integration.transform_truth import KEYS, require_equal, utc
from tests.integration.transforms import Dbt, Found, Held, postgres_dbt, read_postgres
from tests.support import emulators

if TYPE_CHECKING:
    from typing import LiteralString

    from tests.integration.support import Postgres
    from tools.loaders.environments import Environments

pytestmark = pytest.mark.warehouse

DEVICE = Device("z6-00001", name="Alone", records=60, interval=1800, start=datetime(2025, 10, 20, tzinfo=UTC))
LEFT_OUT = {
    "readings": ("tz_offset", "precision", "depth", "sensor_sn", "error_description", "extra"),
    "readings_v5": ("local_datetime", "device_name", "error_code", "error_description", "extra"),
}
"""Columns that a user may do without."""
MAPS = json.dumps({stream: dict.fromkeys(names) for stream, names in LEFT_OUT.items()})


@pytest.fixture
def dbt(environments: Environments, postgres: Postgres) -> Dbt:
    """What builds the schema of this test alone."""
    return postgres_dbt(environments, postgres.warehouse, postgres.schema, postgres.folder)


def require_models(held: Held, found: Found) -> None:
    """Require all models to be what was loaded makes of them."""
    for model in KEYS:
        require_equal(model, found.models.get(model, []), held.truth(found).of(model))


def test_without_any_table_the_models_are_empty(dbt: Dbt, postgres: Postgres) -> None:
    """A user who has loaded nothing yet gets all models, without rows, and no error."""
    built = dbt.build()

    found = read_postgres(postgres.warehouse, postgres.schema)
    assert built.exit_code == 0, built.log
    assert found.models == {model: [] for model in KEYS}


def test_columns_that_a_user_has_left_out_of_v5_are_null(dbt: Dbt, postgres: Postgres) -> None:
    """The table of v5 alone; without the local times all is in UTC."""
    held = Held()
    with emulators() as start:
        emulator = start(DEVICE)
        loaded = postgres.load(emulator, api_version="v5", stream_maps=MAPS, end_date="2025-11-01")
        held.load_v5(emulator)
    held.leave_out(v5=LEFT_OUT["readings_v5"])
    built = dbt.build()

    assert (built.exit_code, loaded.exit_codes) == (0, (0, 0)), loaded.log + built.log
    require_models(held, read_postgres(postgres.warehouse, postgres.schema))


def test_compact_readings_make_the_same_models(dbt: Dbt, postgres: Postgres) -> None:
    """After plain ones, of which some have come late since, as the compact ones know; and again with newer ones."""
    held = Held()
    with emulators() as start:
        emulator = start(replace(DEVICE, records=40), Device("z6-00002", records=3), late_values="null")
        plain = postgres.load(emulator)
        held.load_v4(emulator, stations=[])
        compact: dict[str, Any] = {"compact_readings": True, "device_sns": DEVICE.device_sn}
        for _ in range(2):
            emulator.grow(10, DEVICE.device_sn)
            loaded = postgres.load(emulator, **compact)
            held.load_v4(emulator, [DEVICE.device_sn], stations=[])
            built = dbt.build()

            assert (built.exit_code, plain.exit_codes, loaded.exit_codes) == (0, (0, 0), (0, 0)), built.log
            require_models(held, read_postgres(postgres.warehouse, postgres.schema))

        shown = postgres.query(example("compact", "docs/tables.md").replace("zentra.", f"{postgres.schema}."))
        wanted = [row for row in emulator.readings(DEVICE.device_sn) if row["measurement"] == "Water Content"]
        values = {(row["timestamp_utc"].isoformat(), row["port"]): float(row["value"]) for row in shown if row["value"]}
        assert len(shown) == len(wanted) > 0
        assert values == {
            (utc(row["timestamp_utc"]).isoformat(), str(row["port_number"])): row["value"]
            for row in wanted
            if row["value"] is not None
        }
    records = replace(postgres, stream="records")
    assert records.types == column_types("PostgreSQL", "records")
    assert records.key == CompactReadingsStream.primary_keys


def test_no_model_reads_the_columns_that_a_long_history_does_without(dbt: Dbt, postgres: Postgres) -> None:
    """Those that docs/scaling.md leaves out: without them the models are what they are with them."""
    held = Held()
    columns = [rule.removeprefix("readings.") for rule in left_out()]
    with emulators() as start:
        emulator = start(DEVICE)
        loaded = postgres.load(emulator, stream_maps=json.dumps({"readings": dict.fromkeys(columns)}))
        held.load_v4(emulator, stations=[])
    built = dbt.build("run")

    assert (built.exit_code, loaded.exit_codes) == (0, (0, 0)), loaded.log + built.log
    assert set(columns).isdisjoint(postgres.types)
    require_models(held, read_postgres(postgres.warehouse, postgres.schema))


def test_dbt_names_what_is_not_right(dbt: Dbt, postgres: Postgres) -> None:
    """Two rows for one reading stop the run; values that cannot be are warned of; the models with them are named.

    The columns that v4 can do without are left out; the others' offsets are those of the local times.
    """
    held = Held()
    with emulators() as start:
        emulator = start(DEVICE)
        loaded = postgres.load(emulator, stream_maps=MAPS)
        held.load_v4(emulator, stations=[])
    held.leave_out(v4=LEFT_OUT["readings"])
    change(postgres, "update {} set value = 300 where measurement = 'Relative Humidity'")
    change(postgres, "update {} set value = -5 where measurement = 'Precipitation'")
    for row in held.v4.values():
        row["value"] = {"Relative Humidity": 300, "Precipitation": -5}.get(row["measurement"], row["value"])
    warned = dbt.build()

    assert (warned.exit_code, loaded.exit_codes) == (0, (0, 0)), loaded.log + warned.log
    require_models(held, read_postgres(postgres.warehouse, postgres.schema))
    assert set(warned.named("warn")) == {
        "devices_that_need_attention",
        *(f"in_range_zentra_{model}_value__{limits}" for model in ("daily", "hourly") for limits in ("0", "110__0")),
    }

    change(postgres, "alter table {} drop constraint readings_pkey")
    change(postgres, "insert into {0} select * from {0} where mrid = 4")
    failed = dbt.build("--full-refresh")

    assert failed.exit_code == 1
    [name] = failed.named("fail")
    assert name.startswith("unique_together_stg_zentra__readings")
    assert "zentra_daily" in failed.named("skipped")
    assert name in failed.log


def change(postgres: Postgres, text: LiteralString) -> None:
    """Change the table."""
    with postgres.connect() as connection:
        connection.execute(sql.SQL(text).format(postgres.table))
