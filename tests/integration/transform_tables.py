"""Run in fakesnow's environment: makes tables in a database of fakesnow's, with the rows that it is told."""

import json
import sys
from pathlib import Path

import duckdb
import fakesnow  # type: ignore[import-not-found]
import snowflake.connector  # type: ignore[import-not-found]

databases, told = Path(sys.argv[1]), json.loads(Path(sys.argv[2]).read_text(encoding="utf-8"))
with fakesnow.patch(db_path=databases), snowflake.connector.connect(database="METER", schema="ZENTRA") as connection:
    for name, table in told.items():
        columns = ", ".join(f"{column} {kind}" for column, kind in table["types"].items())
        connection.cursor().execute(f"create table METER.ZENTRA.{name} ({columns})")
# Its own way to add rows takes seconds for a thousand of them.
with duckdb.connect(databases / "METER.db") as database:
    for name, table in told.items():
        kinds = dict(database.execute(f"select column_name, column_type from (describe zentra.{name})").fetchall())  # noqa: S608
        read = ", ".join(f"{column.lower()}: '{kind}'" for column, kind in kinds.items())
        database.execute(
            f"insert into zentra.{name} by name select * from read_json('{table['file']}', columns = {{{read}}})"  # noqa: S608
        )
