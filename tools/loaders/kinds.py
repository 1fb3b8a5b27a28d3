"""The loaders that are checked: their packages, their settings, and how to read what they have stored."""

from __future__ import annotations

import ast
import csv
import json
import subprocess
import sys
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import urlsplit

import psycopg
import requests
from psycopg.rows import dict_row

from tools.loaders.project import loader, postgres_config
from tools.loaders.services import query

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tools.loaders.environments import Environments
    from tools.postgres.server import Warehouse

Row = dict[str, Any]
Rows: TypeAlias = "Callable[[Path, str], list[Row]]"
DUCKDB = "duckdb>=1.4"
TARGET_S3 = "plinxore-target-s3==0.1.7"
# It needs what newer setuptools don't have.
AVRO = "target-avro==0.2.0 setuptools<81"
SMALL_BATCHES = "batch_size_rows"
"""A setting that makes a loader slow, for the check alone."""
# They write an empty text as null, which a column of the key can't be.
NO_EMPTY_KEYS: dict[str, Any] = {"example": "words", "fails_on": ("sensors",)}

AVRO_READER = """
import fastavro, glob, json, sys
rows = [row for name in sorted(glob.glob(f"run*.{sys.argv[1]}.avro")) for row in fastavro.reader(open(name, "rb"))]
print(json.dumps(rows, default=str))
"""
S3_READER = """
import boto3, io, json, pyarrow.parquet, sys
url, bucket, prefix = sys.argv[1:]
s3 = boto3.resource("s3", endpoint_url=url, aws_access_key_id="-", aws_secret_access_key="-", region_name="us-east-1")
files = sorted(s3.Bucket(bucket).objects.filter(Prefix=prefix), key=lambda file: file.last_modified)
tables = [pyarrow.parquet.read_table(io.BytesIO(file.get()["Body"].read())) for file in files]
print(json.dumps([row for table in tables for row in table.to_pylist()], default=str))
"""


@dataclass(frozen=True)
class Destination:
    """A loader, and a way to read what it has stored.

    Attributes:
        name: As it is known.
        version: Of its package.
        program: What is run.
        config: Its settings; `{run}` in one of them is another word for each run.
        rows: Reads all rows, given the folder in which it ran, and the stream.
        example: Of docs/loaders.md, with the stream maps that it needs; if any.
        fails_on: Streams at which it ends with an error without these maps.
    """

    name: str
    version: str
    program: Path
    config: dict[str, Any] = field(repr=False)
    rows: Rows = field(repr=False)
    example: str = ""
    fails_on: tuple[str, ...] = ()


def make(environments: Environments, requirement: str, program: str, config: dict[str, Any], rows: Rows) -> Destination:
    """A loader, installed; blanks in the requirement separate it from what it needs beside it."""
    name, _, version = requirement.split(maxsplit=1)[0].partition("==")
    return Destination(name, version, environments.programs(*requirement.split()) / program, config, rows)


def destinations(environments: Environments, warehouse: Warehouse, schema: str) -> list[Destination]:
    """All loaders that need no service but PostgreSQL and can be installed for this Python, installed.

    Args:
        environments: Where they are installed.
        warehouse: A PostgreSQL server, running.
        schema: Which of the server's schemas is loaded into; one loader has one with `_pipelinewise` behind it.
    """
    duckdb = environments.programs("target-duckdb==0.8.0") / "python"
    avro = environments.programs(*AVRO.split()) / "python"
    checked = [
        make(
            environments,
            loader("target-postgres")["pip_url"],
            "target-postgres",
            postgres_config(warehouse, schema),
            lambda _, stream: _select(warehouse, schema, stream),
        ),
        make(
            environments,
            loader("target-jsonl")["pip_url"],
            "target-jsonl",
            {"destination_path": ".", "do_timestamp_file": False},
            _jsonl,
        ),
        make(
            environments,
            "meltanolabs-target-csv==0.5.0",
            "target-csv",
            # A file for each run: it empties a file that is there, whatever its `overwrite_behavior` says.
            {"output_path": ".", "file_naming_scheme": "{stream_name}-{run}.csv"},
            _csv,
        ),
        replace(
            make(
                environments,
                AVRO,
                "target-avro",
                # A file for each run, as above.
                {"prefix": "run{run}", "disable_collection": True},
                lambda folder, stream: _read(avro, AVRO_READER, folder, stream),
            ),
            example="objects",
            fails_on=("readings_v5",),
        ),
        replace(
            make(
                environments,
                "target-duckdb==0.8.0",
                "target-duckdb",
                # It may take the first row of a batch for a header; small batches show it with few rows.
                {"filepath": "readings.duckdb", "default_target_schema": "main", SMALL_BATCHES: 97},
                lambda folder, stream: duckdb_rows(duckdb, folder, f"main.{stream}", "readings.duckdb"),
            ),
            **NO_EMPTY_KEYS,
        ),
    ]
    # It pins a driver that has no wheel for a newer Python.
    if sys.version_info < (3, 12):
        checked.append(_pipelinewise(environments, warehouse, f"{schema}_pipelinewise"))
    return checked


def _pipelinewise(environments: Environments, warehouse: Warehouse, schema: str) -> Destination:
    config = postgres_config(warehouse, schema)
    config = {name: config[name] for name in ("host", "port", "user", "password", "default_target_schema")}
    config["dbname"] = warehouse.environment["PGDATABASE"]
    made = make(
        environments,
        "pipelinewise-target-postgres==2.1.2",
        "target-postgres",
        config,
        lambda _, stream: _select(warehouse, schema, stream),
    )
    return replace(made, **NO_EMPTY_KEYS)


def parquet_destination(environments: Environments, url: str, prefix: str) -> Destination:
    """The loader of Parquet files, into a bucket made for it.

    Args:
        environments: Where it is installed.
        url: Of S3, or what stands for it.
        prefix: Of the bucket and of all files.
    """
    python = environments.programs(TARGET_S3) / "python"
    account = {
        "aws_access_key_id": "made-up",
        "aws_secret_access_key": "made up",
        "aws_region": "us-east-1",
        "aws_endpoint_override": url,
        "aws_bucket": prefix.replace("_", "-"),
    }
    config = {
        "format": {"format_type": "parquet"},
        "cloud_provider": {"cloud_provider_type": "aws", "aws": account},
        "prefix": prefix,
        "append_date_to_prefix": False,
    }
    requests.put(f"{url}/{account['aws_bucket']}", timeout=60).raise_for_status()
    made = make(
        environments,
        TARGET_S3,
        "target-s3",
        config,
        lambda folder, stream: _read(python, S3_READER, folder, url, account["aws_bucket"], f"{prefix}/{stream}/"),
    )
    return replace(made, example="objects", fails_on=("readings", "readings_v5", "env_model_data"))


def clickhouse_destination(environments: Environments, url: str, database: str) -> Destination:
    """The loader into ClickHouse, with a database made for it."""
    query(url, f"create database {database}")
    config = {
        "driver": "http",
        "host": urlsplit(url).hostname,
        "port": urlsplit(url).port,
        "username": "default",
        "password": "",
        "database": database,
        "engine_type": "ReplacingMergeTree",
    }
    made = make(
        environments,
        "shaped-target-clickhouse==0.2.5 setuptools<81",
        "target-clickhouse",
        config,
        lambda _, stream: _clickhouse_rows(url, f"{database}.{stream}"),
    )
    return replace(made, example="moments", fails_on=("readings", "readings_v5", "env_model_data"))


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


def _read(python: Path, script: str, folder: Path, *arguments: str) -> list[Row]:
    """Read files by a Python that knows their format; the script prints a list in JSON."""
    done = subprocess.run(  # noqa: S603 - no shell, and nothing that a user typed
        (python, "-c", script, *arguments), cwd=folder, capture_output=True, text=True, check=True
    )
    rows: list[Row] = json.loads(done.stdout)
    return rows


def _clickhouse_rows(url: str, table: str) -> list[Row]:
    # `final`: as if the engine had merged already what has the same key.
    return [json.loads(line) for line in query(url, f"select * from {table} final")]  # noqa: S608 - our own names


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
