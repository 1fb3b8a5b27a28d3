"""What the page reads from the models, and what it makes of it: rows without a browser."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import duckdb
import fleet_charts as charts
import fleet_data as data
import psycopg
import pytest
from fleet_database import FleetError, find_database
from psycopg import sql

from tests.notebook.conftest import CHANGED_UNITS, REFUSED, SILENT

if TYPE_CHECKING:
    from pathlib import Path

    from fleet_data import Fleet
    from fleet_database import Database

    from tools.postgres.server import Warehouse

TABLES = ("zentra_devices", "zentra_sensors", "zentra_gaps", "zentra_hourly", "zentra_daily")
FORTNIGHT = 14
TYPES = {16: "boolean", 20: "bigint", 23: "integer", 701: "double", 1082: "date", 1114: "timestamp", 1700: "double"}
"""PostgreSQL's numbers of types, and what DuckDB calls them."""


@pytest.fixture(scope="module")
def database(models: dict[str, str]) -> Database:
    """The fleet's models in PostgreSQL."""
    return find_database(models)


@pytest.fixture(scope="module")
def now() -> datetime:
    """The same moment for all queries."""
    return datetime.now(UTC)


@pytest.fixture(scope="module")
def fleet(database: Database, now: datetime) -> Fleet:
    """The fleet, as PostgreSQL has it."""
    return data.read_fleet(database, now)


@pytest.fixture(scope="module")
def copy(models: dict[str, str], warehouse: Warehouse, tmp_path_factory: pytest.TempPathFactory) -> Database:
    """A DuckDB file with the same rows, named like its schema."""
    folder = tmp_path_factory.mktemp("duckdb")
    path = folder / "zentra.duckdb"
    schema = sql.Identifier(models["DBT_POSTGRES_SCHEMA"])
    with psycopg.connect(warehouse.dsn) as connection, duckdb.connect(str(path)) as file:
        file.execute("create schema zentra.zentra")
        for name in TABLES:
            table = sql.SQL("{}.{}").format(schema, sql.Identifier(name))
            described = connection.execute(sql.SQL("select * from {} limit 0").format(table)).description or ()
            text = folder / f"{name}.csv"
            rows = sql.SQL("copy (select * from {}) to stdout with (format csv)").format(table)
            with text.open("wb") as out, connection.cursor().copy(rows) as copied:
                out.writelines(copied)
            columns = {column.name: TYPES.get(column.type_code, "varchar") for column in described}
            read = file.read_csv(str(text), header=False, columns=columns)
            read.create(f"zentra.zentra.{name}")
    return find_database({"ZENTRA_DUCKDB": str(path)})


def one(fleet: Fleet, device_sn: str) -> list[dict[str, Any]]:
    """Return the device with this serial number."""
    return [device for device in fleet.devices if device["device_sn"] == device_sn]


@pytest.mark.warehouse
def test_duckdb_answers_what_postgresql_answers(
    database: Database, copy: Database, fleet: Fleet, now: datetime
) -> None:
    """All that the page reads is the same from a DuckDB file as from PostgreSQL."""
    span = fleet.span(FORTNIGHT)
    ages = {"hours_silent", "longest_gap_hours", "hours"}  # of views, which have gone on since the copy was made

    def everything(source: Database) -> list[list[dict[str, Any]]]:
        found = data.read_fleet(source, now)
        answers = [
            list(found.devices),
            list(found.channels),
            data.read_availability(source, found.devices, found.today, days=30),
            data.read_series(source, data.WATER, found.devices, span, "hour"),
            data.read_series(source, data.RAIN, found.devices, span, "day"),
            data.read_gaps(source, found.devices, span, now),
        ]
        return [[{name: row[name] for name in row if name not in ages} for row in rows] for rows in answers]

    expected = everything(database)

    assert all(expected)
    assert everything(copy) == expected


@pytest.mark.warehouse
def test_lines_break_where_a_device_was_silent(database: Database, fleet: Fleet) -> None:
    """Between two values of a line that are more than an hour apart there is a row without a value."""
    [silent] = one(fleet, "z6-00006")
    points = data.read_series(database, "Air Temperature", [silent], fleet.span(30), "day")
    breaks = [(before, after) for before, after in pairwise(points) if after["value"] is None]

    assert len(breaks) == 1
    assert all(
        before["value"] is None or after["value"] is None or after["start"] == before["end"]
        for before, after in pairwise(points)
    )


@pytest.mark.warehouse
def test_units_do_not_share_a_line(database: Database, fleet: Fleet) -> None:
    """A change of units gives two charts, each with its own unit at its axis."""
    span = fleet.span(FORTNIGHT)
    points = data.read_series(database, "Air Temperature", one(fleet, CHANGED_UNITS), span, "day")
    chart = charts.measurement("Air Temperature", points, [], span).to_dict()

    titles = [part["layer"][0]["encoding"]["y"]["title"] for part in chart["vconcat"]]
    assert titles == ["Air Temperature (°C)", "Air Temperature (°F)"]


@pytest.mark.warehouse
def test_running_day_is_no_outage_but_a_silent_one_is(database: Database, fleet: Fleet) -> None:
    """Today counts as not whole; the whole days since a device's last reading are there, with nothing."""
    rows = data.read_availability(database, one(fleet, SILENT), fleet.today, days=365)
    today = fleet.today[SILENT]

    assert [row["share"] for row in rows if today - timedelta(days=2) <= row["date"] < today] == [0.0, 0.0]
    assert [row["date"] for row in rows if not row["whole"]] == [rows[0]["date"], today]


@pytest.mark.warehouse
def test_gap_of_silent_device_goes_on_until_now(database: Database, fleet: Fleet, now: datetime) -> None:
    """The silence of a device begins with its last reading, in its local time, and has not ended."""
    [device] = one(fleet, SILENT)
    # Where it is past midnight, the newest day of the fleet may be yesterday.
    [gap] = data.read_gaps(database, [device], data.Span(now.date() - timedelta(days=30), now.date()), now)

    offset = timedelta(seconds=-14400)
    assert gap["start"] == data.milliseconds(device["last_reading_utc"] + offset)
    assert gap["end"] == data.milliseconds(now.replace(tzinfo=None) + offset)


@pytest.mark.warehouse
def test_failed_device_comes_first(fleet: Fleet) -> None:
    """What needs attention most stands at the top, with the service's words."""
    assert [device["status"] for device in fleet.devices[:3]] == ["failed", "silent", "alive"]
    [(error, labels)] = data.failures(fleet.devices).items()
    assert labels == [REFUSED]
    assert "403" in error


@pytest.mark.parametrize(
    ("wish", "series", "days", "expected"),
    [
        (None, 4, 14, "hour"),
        (None, 4, 62, "hour"),
        (None, 4, 63, "day"),
        ("hour", 4, 365, "hour"),
        ("hour", 60, 365, "day"),
        (None, 240, 14, "day"),
        ("day", 1, 1, "day"),
    ],
)
def test_no_chart_gets_more_points_than_it_can_show(wish: Any, series: int, days: int, expected: str) -> None:
    """Hours up to two months, or as wished, unless the points would be too many."""
    span = data.Span(date(2026, 1, 1), date(2026, 1, 1) + timedelta(days=days - 1))

    assert data.choose_resolution(wish, series, span) == expected


@pytest.mark.parametrize(
    ("depth", "expected"),
    [("15 cm", 15.0), ("2 in", 5.08), ("0.5 m", 50.0), ("Not Set", None), ("", None), (None, None)],
)
def test_depth_is_understood_as_people_enter_it(depth: str | None, expected: float | None) -> None:
    """A depth sorts by what it means; a text that is none does not count."""
    assert data.centimetres(depth) == expected


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, "No database is named: set TARGET_POSTGRES_HOST, TARGET_POSTGRES_USER, TARGET_POSTGRES_DATABASE"),
        (
            {"TARGET_POSTGRES_HOST": "h", "TARGET_POSTGRES_USER": "u"},
            "No database is named: set TARGET_POSTGRES_DATABASE",
        ),
    ],
)
def test_missing_variables_are_named(variables: dict[str, str], expected: str) -> None:
    """Without a database, the error names the variables that are not set, and no others."""
    with pytest.raises(FleetError) as caught:
        find_database(variables)

    assert str(caught.value).startswith(f"{expected} for a PostgreSQL")


def test_variables_of_dbt_win() -> None:
    """What is set for dbt counts more than what is set for the loader."""
    loader = {f"TARGET_POSTGRES_{name}": "loader" for name in ("HOST", "PORT", "USER", "PASSWORD", "DATABASE")}
    found = find_database({**loader, "DBT_POSTGRES_DBNAME": "dbt", "DBT_POSTGRES_SCHEMA": "models"})

    assert found.name == "PostgreSQL database dbt at loader, schema models"
    assert "password" not in repr(found)


def test_missing_duckdb_file_is_named(tmp_path: Path) -> None:
    """A file that is not there is named, with the variable to check."""
    path = tmp_path / "none.duckdb"

    with pytest.raises(FleetError, match="Check ZENTRA_DUCKDB") as caught:
        find_database({"ZENTRA_DUCKDB": str(path)}).rows("select 1")

    assert str(caught.value).startswith(f"The DuckDB file {path} cannot be opened: ")
    assert "\n" not in str(caught.value)
