"""Run in dbt's environment: prints the rows of models in a DuckDB, or in fakesnow's databases, at one moment, as JSON."""

import contextlib
import json
import sys
from pathlib import Path

path, *models = sys.argv[1:]


@contextlib.contextmanager
def connected():  # type: ignore[no-untyped-def]  # noqa: ANN201 - of either program
    """Connect to whatever the path is."""
    if Path(path).is_file():
        import duckdb  # type: ignore[import-not-found]

        # Of the file's own name and the schema's.
        yield duckdb.connect(path, read_only=True), f"{Path(path).stem}.zentra"
    else:
        import fakesnow  # type: ignore[import-not-found]
        import snowflake.connector  # type: ignore[import-not-found]

        with fakesnow.patch(db_path=path), snowflake.connector.connect(database="METER", schema="ZENTRA") as connection:
            yield connection.cursor(), "ZENTRA"


with connected() as (cursor, schema):

    def rows(query: str) -> list[dict[str, object]]:
        """Return the rows of a query, names of columns in lower case."""
        answer = cursor.execute(query)
        names = [column[0].lower() for column in answer.description]
        return [dict(zip(names, row, strict=True)) for row in answer.fetchall()]

    # One moment for all views.
    cursor.execute("begin")
    now = rows("select cast(current_timestamp as timestamp) as now")[0]["now"]
    there = {row["name"].lower() for row in rows("select table_name as name from information_schema.tables")}
    found = {model: rows(f"select * from {schema}.{model}") for model in models if model in there}  # noqa: S608 - our own names
print(json.dumps([found, now], default=lambda value: {type(value).__name__: str(value)}))  # noqa: T201
