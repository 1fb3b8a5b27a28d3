"""The page of `notebook/` over the readings of a year, in a browser: seconds until all of it is drawn.

SQL makes its tables, as if dbt had built them from 50 million readings; dbt makes the rest of them.
"""

from __future__ import annotations

import time
from pathlib import Path

import psycopg

from benchmarks.dbt import run_dbt
from benchmarks.tables import Table, judged
from tools.browser import Shown, chromium, served, shown
from tools.postgres.server import Warehouse

TO_REACH = 10.0
CHARTS = 4
BUILT = ("stg_zentra__devices", "zentra_sensors", "zentra_gaps", "zentra_devices")

TABLES = Path(__file__).with_suffix(".sql")


def measure(work: Path, *, quick: bool) -> Table:
    """Open the page, and choose a year of soil water."""
    devices, days = (6, 60) if quick else (60, 365)
    table = Table("Page", ("devices × days", "what", "seconds", "to reach"))
    with Warehouse(work / "warehouse", fsync=False) as warehouse:
        with psycopg.connect(warehouse.dsn, autocommit=True) as connection:
            # Bound on this side, because the server takes values for one statement at a time.
            psycopg.ClientCursor(connection).execute(TABLES.read_bytes(), {"devices": devices, "days": days})
        run_dbt(work, warehouse.environment, "run", "--select", *BUILT)
        with served(warehouse.environment, work) as url, chromium() as browser, shown(browser) as page:
            for what in ("opened the first time", "opened again"):
                begun = time.monotonic()
                page.open(url, charts=CHARTS)
                _add(table, f"{devices} × {days}", what, time.monotonic() - begun)
            _add(table, f"{devices} × {days}", "a year chosen", _choose_year(page))
        table.note("page", page.problems, page.outside)
    return table


def _choose_year(page: Shown) -> float:
    begun = time.monotonic()
    page.page.get_by_label("Period, up to the newest reading").select_option("1 year")
    page.page.get_by_text("Values of each day.").wait_for()
    return time.monotonic() - begun


def _add(table: Table, fleet: str, what: str, seconds: float) -> None:
    table.add(fleet, what, judged(seconds, TO_REACH, f"{seconds:.1f} s"), f"≤ {TO_REACH:g} s")
