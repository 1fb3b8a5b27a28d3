"""Run in target-snowflake's environment: prints what a fakesnow database knows of tables, as JSON."""

import json
import sys

import fakesnow  # type: ignore[import-not-found]
import snowflake.connector  # type: ignore[import-not-found]

database, *tables = sys.argv[1:]
found = []
with fakesnow.patch(db_path=database), snowflake.connector.connect(database="METER", schema="ZENTRA") as connection:
    cursor = connection.cursor()
    for table in tables:
        described = cursor.execute(f"describe table METER.ZENTRA.{table}").fetchall()
        keys = cursor.execute(f"show primary keys in table METER.ZENTRA.{table}").fetchall()
        found.append({"types": {row[0]: row[1] for row in described}, "key": [row[4] for row in keys]})
print(json.dumps(found))  # noqa: T201
