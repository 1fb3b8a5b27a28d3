"""From the service to the table of all readings that dbt makes: by PostgreSQL, and by files that DuckDB reads."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

import psycopg

from benchmarks.dbt import PACKAGES, run_dbt
from benchmarks.packages import installed
from benchmarks.pipelines import loads
from benchmarks.pipelines.postgres import TURNS
from benchmarks.tables import Table
from tools.loaders.kinds import duckdb_rows
from tools.postgres.server import Warehouse

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.pipelines.loads import Source

STAGED = "stg_zentra__readings"
MEASURED = b"""
    select
        (select count(*) from zentra.stg_zentra__readings),
        (
            select sum(pg_total_relation_size(oid)) from pg_class
            where relnamespace = 'zentra'::regnamespace and relkind = 'r'
        )
"""


@dataclass(frozen=True)
class Made:
    """What one way took.

    Attributes:
        load: Seconds from the first call's arrival to the loader's end.
        dbt: Seconds of dbt.
        rows: Of the table that dbt has made.
        size: Bytes of what was loaded and of that table.
    """

    load: float
    dbt: float
    rows: int
    size: int


def measure(work: Path, *, quick: bool) -> Table:
    """Load and build in both ways, in turns."""
    source = loads.fleet(quick=quick)
    table = Table(
        "From the service to the table of all readings",
        ("through", "load", "dbt", "together, readings/s", "of the first row's", "bytes a reading on disk"),
    )
    taken: dict[str, list[Made]] = defaultdict(list)
    with Warehouse(work / "warehouse") as warehouse:
        for turn in range(1 if quick else TURNS):
            for form, read in (("", source), (", compact_readings", loads.compact(source))):
                files = work / f"files-{turn}{form}"
                taken[f"target-postgres, PostgreSQL{form}"].append(_postgres(work, warehouse, read))
                taken[f"target-jsonl, DuckDB{form}"].append(_duckdb(files, read))
    first = 0.0
    for name, made in taken.items():
        load, dbt = median(one.load for one in made), median(one.dbt for one in made)
        first = first or load + dbt
        together = f"{source.readings / (load + dbt):,.0f}"
        size = f"{made[-1].size / source.readings:.0f}"
        table.add(name, f"{load:.1f} s", f"{dbt:.1f} s", together, f"{first / (load + dbt):.2f}", size)
        table.note(name, [f"{one.rows} of {source.readings} readings" for one in made if one.rows != source.readings])
    return table


def _postgres(work: Path, warehouse: Warehouse, source: Source) -> Made:
    load = loads.through(source, (), loads.target_postgres(work, warehouse, "zentra"))
    dbt = run_dbt(work, warehouse.environment, "run", "--select", STAGED)
    with psycopg.connect(warehouse.dsn, autocommit=True) as to:
        [(rows, size)] = to.execute(MEASURED).fetchall()
        to.execute(b"drop schema zentra cascade")
    return Made(load.seconds, dbt, rows, int(size))


def _duckdb(folder: Path, source: Source) -> Made:
    files = folder / "files"
    files.mkdir(parents=True)
    config = folder / "config.json"
    config.write_text(json.dumps({"destination_path": str(files), "do_timestamp_file": False}))
    load = loads.through(source, (), (loads.program("target-jsonl"), f"--config={config}"))
    database = folder / "models.duckdb"
    variables = {"DBT_TARGET": "duckdb", "ZENTRA_FILES": str(files), "ZENTRA_DUCKDB": str(database)}
    dbt = run_dbt(folder, variables, "run", "--select", STAGED)
    python = installed(*PACKAGES) / "python"
    [found] = duckdb_rows(python, folder, "(select count(*) as rows from zentra.stg_zentra__readings)", str(database))
    size = sum(path.stat().st_size for path in (*files.iterdir(), database))
    return Made(load.seconds, dbt, found["rows"], size)
