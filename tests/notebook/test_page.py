"""The page in a real browser: with models, without, and without a database."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
import pytest

from tests.notebook.conftest import REFUSED, SCHEMA, SILENT
from tools.browser import export, served, shown

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Browser

    from tools.postgres.server import Warehouse

pytestmark = pytest.mark.warehouse

CHARTS = 4
"""Availability, a measurement, a profile, and rain with soil water."""

MODELS = ("zentra_devices", "zentra_sensors", "zentra_gaps", "zentra_hourly", "zentra_daily")


def test_page_shows_fleet_and_follows_choices(models: dict[str, str], browser: Browser, tmp_path: Path) -> None:
    """The served page draws all charts, tells of silent and failed devices, and asks no other machine for anything."""
    with served(models, tmp_path) as url, shown(browser) as seen:
        seen.open(url, charts=CHARTS)
        rows, notes = seen.rows, seen.notes
        seen.page.get_by_text("9 devices: 7 alive, 1 silent, 1 failed. The last sync ended on").wait_for()
        seen.page.get_by_label("Values of").select_option("days")
        seen.page.get_by_text("Values of each day.").wait_for()

    assert [row[:2] for row in rows[:2]] == [["failed", REFUSED], ["silent", f"Silent ({SILENT})"]]
    assert {row[0] for row in rows[2:]} == {"alive"}
    assert len(rows) == 9
    [note] = notes
    assert note.startswith(f"{REFUSED}: the service rejected the call (403")
    assert (seen.problems, seen.outside) == ([], [])


def test_exported_page_shows_the_same(models: dict[str, str], browser: Browser, tmp_path: Path) -> None:
    """The exported page draws all charts without a server, and does not contain the password."""
    page = export(models, tmp_path)
    with shown(browser) as seen:
        seen.open(page.as_uri(), charts=CHARTS)
        rows = seen.rows

    assert [row[0] for row in rows] == ["failed", "silent", *["alive"] * 7]
    assert seen.problems == []
    assert models["TARGET_POSTGRES_PASSWORD"] not in page.read_text(encoding="utf-8")


def test_page_says_what_to_do_without_models(warehouse: Warehouse, browser: Browser, tmp_path: Path) -> None:
    """In an empty database, the page says how to build the models, and has no error."""
    variables = {**warehouse.environment, "DBT_POSTGRES_SCHEMA": "empty"}
    with served(variables, tmp_path) as url, shown(browser) as seen:
        seen.open(url, charts=0)
        [note] = seen.notes

    assert note.startswith("There are no models in the schema empty yet")
    assert note.endswith("Build them with: meltano run dbt-postgres:build")
    assert seen.problems == []


def test_page_says_what_to_do_without_devices(
    models: dict[str, str], warehouse: Warehouse, browser: Browser, tmp_path: Path
) -> None:
    """Over models without a row, the page says that there are no devices, and has no error."""
    with psycopg.connect(warehouse.dsn, autocommit=True) as connection:
        connection.execute("create schema rowless")
        for model in MODELS:
            connection.execute(f"create table rowless.{model} as table {SCHEMA}.{model} with no data".encode())
    with served({**models, "DBT_POSTGRES_SCHEMA": "rowless"}, tmp_path) as url, shown(browser) as seen:
        seen.open(url, charts=0)
        [note] = seen.notes

    assert note.startswith("There are no devices yet.")
    assert seen.problems == []


def test_page_says_which_database_cannot_be_reached(warehouse: Warehouse, browser: Browser, tmp_path: Path) -> None:
    """Without a server at the port, the page says so in one sentence that names the variables but no password."""
    # No server listens at a port that no user may open.
    variables = {**warehouse.environment, "TARGET_POSTGRES_PORT": "1"}
    with served(variables, tmp_path) as url, shown(browser) as seen:
        seen.open(url, charts=0)
        [line] = seen.notes
        content = seen.page.content()

    assert line.startswith("The PostgreSQL server at 127.0.0.1, port 1, cannot be reached: ")
    assert line.endswith("Check TARGET_POSTGRES_HOST, _PORT, _USER, _PASSWORD and _DATABASE.")
    assert "\n" not in line
    assert warehouse.password not in content
    assert seen.problems == []
