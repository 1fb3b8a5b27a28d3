"""Run in fakesnow's environment: parses SQL on standard input, tries each statement, and prints what became of it."""

import json
import sys
import warnings

import fakesnow  # type: ignore[import-not-found]
import snowflake.connector  # type: ignore[import-not-found]
import sqlglot  # type: ignore[import-not-found]

sql = sys.stdin.read()
parsed = sqlglot.parse(sql, read="snowflake")  # raises where it can't
statements = [" ".join(statement.split()) for statement in sql.split(";") if statement.strip()]
if len(parsed) != len(statements):
    sys.exit(f"{len(statements)} statements, but {len(parsed)} are parsed")
warnings.simplefilter("ignore")
outcomes = []
with fakesnow.patch(), snowflake.connector.connect() as connection:
    cursor = connection.cursor()
    for statement in statements:
        try:
            cursor.execute(statement)
            outcomes.append((statement, "done"))
        except snowflake.connector.errors.ProgrammingError as error:
            # It hands what it has no words for on to DuckDB.
            outcomes.append((statement, "not known" if "Parser Error" in str(error) else str(error)))
print(json.dumps(outcomes))  # noqa: T201
