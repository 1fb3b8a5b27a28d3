"""Where the models are: a PostgreSQL, or a DuckDB file on request. Knows no table, and writes nothing."""

from __future__ import annotations

import os
import re
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

import duckdb
import psycopg
from psycopg.rows import dict_row

if TYPE_CHECKING:
    from collections.abc import Mapping

Row = dict[str, Any]

CONNECT_TIMEOUT = 10
"""Seconds."""

_DBT_NAMES = {"DATABASE": "DBNAME"}
_PARAMETER = re.compile(r"%\((\w+)\)s")


class FleetError(Exception):
    """What keeps a part of the page from being shown; the message is one line for people, without a password."""


class Database(Protocol):
    """What answers queries."""

    @property
    def name(self) -> str:
        """What it is, for people."""

    def rows(self, query: str, **values: object) -> list[Row]:
        """Return the rows of a query.

        Args:
            query: With table names that need no schema, and `%(name)s` for each of the values.
            values: Bound, never pasted into the query; lists for `= any(…)`.

        Raises:
            FleetError: The database cannot be reached, or does not have the models.
        """


@dataclass(frozen=True)
class Postgres:
    """A PostgreSQL database. A connection lasts one query, so that the page outlives a restart of the server."""

    host: str
    port: str
    user: str
    password: str = field(repr=False)
    dbname: str
    schema: str

    @property
    def name(self) -> str:
        """What it is, for people."""
        return f"PostgreSQL database {self.dbname} at {self.host}, schema {self.schema}"

    def rows(self, query: str, **values: object) -> list[Row]:
        """Return the rows of a query, as `Database` has it."""
        try:
            with self._connect() as connection:
                connection.read_only = True
                connection.execute("select set_config('search_path', %s, true)", [_quoted(self.schema)])
                return connection.execute(query.encode(), values).fetchall()
        except (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn) as error:
            _raise_no_models(self.schema, "dbt-postgres:build", error)
        except psycopg.Error as error:
            raise FleetError(f"The {self.name}, cannot be read: {_one_line(error)}") from error

    def _connect(self) -> psycopg.Connection[Row]:
        try:
            return psycopg.connect(
                host=self.host,
                port=self.port,
                user=self.user,
                # None lets libpq look into the user's password file.
                password=self.password or None,
                dbname=self.dbname,
                connect_timeout=CONNECT_TIMEOUT,
                row_factory=dict_row,
            )
        except psycopg.Error as error:
            raise FleetError(
                f"The PostgreSQL server at {self.host}, port {self.port}, cannot be reached: {_one_line(error)}. "
                "Check TARGET_POSTGRES_HOST, _PORT, _USER, _PASSWORD and _DATABASE."
            ) from error


@dataclass(frozen=True)
class DuckDB:
    """A DuckDB file. It is open for the time of a query only, because dbt cannot write to it meanwhile."""

    path: str
    schema: str

    @property
    def name(self) -> str:
        """What it is, for people."""
        return f"DuckDB file {self.path}, schema {self.schema}"

    def rows(self, query: str, **values: object) -> list[Row]:
        """Return the rows of a query, as `Database` has it."""
        with closing(self._connect()) as connection:
            try:
                # Takes no parameters.
                connection.execute("set search_path = '{}'".format(_quoted(self.schema).replace("'", "''")))
                found = connection.execute(_PARAMETER.sub(r"$\1", query), values or None)
                names = [column[0] for column in found.description or ()]
                return [dict(zip(names, row, strict=True)) for row in found.fetchall()]
            except (duckdb.CatalogException, duckdb.BinderException) as error:
                _raise_no_models(self.schema, "dbt-duckdb:build", error)
            except duckdb.Error as error:
                raise FleetError(f"The {self.name}, cannot be read: {_one_line(error)}") from error

    def _connect(self) -> duckdb.DuckDBPyConnection:
        try:
            return duckdb.connect(self.path, read_only=True)
        except duckdb.Error as error:
            raise FleetError(
                f"The DuckDB file {self.path} cannot be opened: {_one_line(error)}. Check ZENTRA_DUCKDB; "
                "if dbt is just writing the file, load this page again when it has finished."
            ) from error


def find_database(environment: Mapping[str, str] = os.environ) -> Database:
    """Return the database that environment variables name.

    `ZENTRA_DUCKDB` names a DuckDB file. Without it, it is the PostgreSQL that dbt writes to, by the variables of
    `transform/profiles.yml`: `DBT_POSTGRES_HOST`, `_PORT`, `_USER`, `_PASSWORD`, `_DBNAME` and `_SCHEMA`, else
    `TARGET_POSTGRES_…` of Meltano's loader.

    Raises:
        FleetError: They name none.
    """
    path = environment.get("ZENTRA_DUCKDB")
    if path:
        return DuckDB(path, _schema(environment, "DBT_DUCKDB_SCHEMA"))
    found = {
        name: environment.get(f"DBT_POSTGRES_{_DBT_NAMES.get(name, name)}")
        or environment.get(f"TARGET_POSTGRES_{name}", "")
        for name in ("HOST", "PORT", "USER", "PASSWORD", "DATABASE")
    }
    missing = [f"TARGET_POSTGRES_{name}" for name in ("HOST", "USER", "DATABASE") if not found[name]]
    if missing:
        raise FleetError(
            f"No database is named: set {', '.join(missing)} for a PostgreSQL, or ZENTRA_DUCKDB for a DuckDB file."
        )
    return Postgres(
        host=found["HOST"],
        port=found["PORT"] or "5432",
        user=found["USER"],
        password=found["PASSWORD"],
        dbname=found["DATABASE"],
        schema=_schema(environment, "DBT_POSTGRES_SCHEMA", "TARGET_POSTGRES_DEFAULT_TARGET_SCHEMA"),
    )


def _schema(environment: Mapping[str, str], *names: str) -> str:
    return next(filter(None, map(environment.get, (*names, "ZENTRA_SCHEMA"))), "zentra")


def _raise_no_models(schema: str, command: str, error: Exception) -> NoReturn:
    raise FleetError(
        f"There are no models in the schema {schema} yet, or they are those of an older version. "
        f"Build them with: meltano run {command}"
    ) from error


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _one_line(error: Exception) -> str:
    """Return the first line of a message; PostgreSQL's further ones are hints."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return " ".join(lines[0].split()).rstrip(".")
