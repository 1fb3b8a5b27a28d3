"""Run in target-snowflake's environment: prints the rows of a table in a real schema as JSON, or drops the schema."""

import json
import sys
from pathlib import Path

from sqlalchemy import text
from target_snowflake.connector import SnowflakeConnector  # type: ignore[import-not-found]

config, schema, table, action = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")), *sys.argv[2:]
with SnowflakeConnector(config).connect() as connection:
    if action == "drop":
        connection.execute(text(f"drop schema if exists {schema} cascade"))
    else:
        rows = connection.execute(text(f"select * from {schema}.{table}")).mappings()  # noqa: S608 - our own name
        print(json.dumps([{name.lower(): value for name, value in row.items()} for row in rows], default=str))  # noqa: T201
