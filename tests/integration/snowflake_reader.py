"""Run in target-snowflake's environment: prints what a fakesnow database knows of a table, as JSON."""

import json
import sys

import fakesnow  # type: ignore[import-not-found]
import snowflake.connector  # type: ignore[import-not-found]

database, table = sys.argv[1:]
with fakesnow.patch(db_path=database), snowflake.connector.connect(database="METER", schema="ZENTRA") as connection:
    cursor = connection.cursor()
    described = cursor.execute(f"describe table METER.ZENTRA.{table}").fetchall()
    keys = cursor.execute(f"show primary keys in table METER.ZENTRA.{table}").fetchall()
print(json.dumps({"types": {row[0]: row[1] for row in described}, "key": [row[4] for row in keys]}))  # noqa: T201
