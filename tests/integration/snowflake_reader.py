"""Run in target-snowflake's environment: prints what a fakesnow database holds, as JSON."""

import json
import sys

import fakesnow  # type: ignore[import-not-found]
import snowflake.connector  # type: ignore[import-not-found]

with fakesnow.patch(db_path=sys.argv[1]), snowflake.connector.connect(database="METER", schema="ZENTRA") as connection:
    cursor = connection.cursor()
    described = cursor.execute("describe table METER.ZENTRA.READINGS").fetchall()
    keys = cursor.execute("show primary keys in table METER.ZENTRA.READINGS").fetchall()
print(json.dumps({"types": {row[0]: row[1] for row in described}, "key": [row[4] for row in keys]}))  # noqa: T201
