"""Run in dbt's environment: prints the rows of models in a file of DuckDB's, fakesnow's too, at one moment, as JSON."""

import json
import sys
from pathlib import Path
from typing import Any

import duckdb

path, *models = sys.argv[1:]
# The file's own name and the schema's, which may be the same.
schema = f"{Path(path).stem}.zentra"

with duckdb.connect(path, read_only=True) as connection:

    def rows(query: str) -> list[dict[str, Any]]:
        """Return the rows of a query, names of columns in lower case."""
        answer = connection.execute(query)
        names = [column[0].lower() for column in answer.description]
        return [dict(zip(names, row, strict=True)) for row in answer.fetchall()]

    # One moment for all views.
    connection.execute("begin")
    now = rows("select now() at time zone 'utc' as now")[0]["now"]
    there = {row["name"].lower() for row in rows("select table_name as name from information_schema.tables")}
    found = {model: rows(f"from {schema}.{model}") for model in models if model in there}
print(json.dumps([found, now], default=lambda value: {type(value).__name__: str(value)}))  # noqa: T201
