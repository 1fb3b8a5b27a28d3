"""The loaders that are checked: their packages, their settings, and how to read what they have stored."""

from __future__ import annotations

import ast
import csv
import json
import subprocess
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

import psycopg
from psycopg.rows import dict_row

from tools.loaders.project import loader, postgres_config

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tools.loaders.environments import Environments
    from tools.postgres.server import Warehouse

Row = dict[str, Any]
Rows: TypeAlias = "Callable[[Path, str], list[Row]]"
DUCKDB = "duckdb>=1.4"
NO_EMPTY_KEYS = ("sensors",)
"""Streams that loaders fail on which write an empty text as null: a column of the key can't be null."""


@dataclass(frozen=True)
class Destination:
    """A loader, and a way to read what it has stored.

    Attributes:
        name: As it is known.
        version: Of its package.
        program: What is run.
        config: Its settings.
        rows: Reads all rows, given the folder in which it ran, and the stream.
        fails_on: Streams at which it ends with an error, whatever else is loaded with them.
    """

    name: str
    version: str
    program: Path
    config: dict[str, Any] = field(repr=False)
    rows: Rows = field(repr=False)
    fails_on: tuple[str, ...] = ()


def destinations(environments: Environments, warehouse: Warehouse, schema: str) -> list[Destination]:
    """All loaders that are checked and can be installed for this Python, installed.

    Args:
        environments: Where they are installed.
        warehouse: A PostgreSQL server, running.
        schema: Which of the server's schemas is loaded into; one loader has one with `_pipelinewise` behind it.
    """

    def make(requirement: str, program: str, config: dict[str, Any], rows: Rows, *fails_on: str) -> Destination:
        name, _, version = requirement.partition("==")
        return Destination(name, version, environments.programs(requirement) / program, config, rows, fails_on)

    duckdb = environments.programs("target-duckdb==0.8.0") / "python"
    checked = [
        make(
            loader("target-postgres")["pip_url"],
            "target-postgres",
            postgres_config(warehouse, schema),
            lambda _, stream: _select(warehouse, schema, stream),
        ),
        make(
            loader("target-jsonl")["pip_url"],
            "target-jsonl",
            {"destination_path": ".", "do_timestamp_file": False},
            _jsonl,
        ),
        make(
            "meltanolabs-target-csv==0.5.0",
            "target-csv",
            # A file for each run: it empties a file that is there, whatever its `overwrite_behavior` says.
            {"output_path": ".", "file_naming_scheme": "{stream_name}-{datestamp}-{timestamp}.csv"},
            _csv,
        ),
        make(
            "target-duckdb==0.8.0",
            "target-duckdb",
            # It may take the first row of a batch for a header; small batches show it with few rows.
            {"filepath": "readings.duckdb", "default_target_schema": "main", "batch_size_rows": 97},
            lambda folder, stream: duckdb_rows(duckdb, folder, f"main.{stream}", "readings.duckdb"),
            *NO_EMPTY_KEYS,
        ),
    ]
    # It pins a driver that has no wheel for a newer Python.
    if sys.version_info < (3, 12):
        own_schema = f"{schema}_pipelinewise"
        config = postgres_config(warehouse, own_schema)
        config = {name: config[name] for name in ("host", "port", "user", "password", "default_target_schema")}
        config["dbname"] = warehouse.environment["PGDATABASE"]
        requirement = "pipelinewise-target-postgres==2.1.2"
        checked.append(
            make(
                requirement,
                "target-postgres",
                config,
                lambda _, stream: _select(warehouse, own_schema, stream),
                *NO_EMPTY_KEYS,
            )
        )
    return checked


def duckdb_rows(python: Path, folder: Path, table: str, database: str = ":memory:") -> list[Row]:
    """Read a table, or what reads files like one, by a Python that has DuckDB."""
    script = (
        "import duckdb, json, sys\n"
        "found = duckdb.connect(sys.argv[1]).sql('select * from ' + sys.argv[2])\n"
        "print(json.dumps([dict(zip(found.columns, row)) for row in found.fetchall()], default=str))\n"
    )
    done = subprocess.run(  # noqa: S603 - no shell, and nothing that a user typed
        (python, "-c", script, database, table), cwd=folder, capture_output=True, text=True, check=True
    )
    rows: list[Row] = json.loads(done.stdout)
    return rows


def _jsonl(folder: Path, stream: str) -> list[Row]:
    return [json.loads(line) for line in (folder / f"{stream}.jsonl").read_text(encoding="utf-8").splitlines()]


def _csv(folder: Path, stream: str) -> list[Row]:
    rows: list[Row] = []
    for path in sorted(folder.glob(f"{stream}-*.csv")):
        with path.open(encoding="utf-8", newline="") as file:
            # It writes an object as Python does, not as JSON.
            rows += [row | {"extra": ast.literal_eval(row.get("extra") or "None")} for row in csv.DictReader(file)]
    return rows


def _select(warehouse: Warehouse, schema: str, table: str) -> list[Row]:
    with psycopg.connect(warehouse.dsn, row_factory=dict_row) as connection:
        return connection.execute(f"select * from {schema}.{table}".encode()).fetchall()  # noqa: S608 - our own names
