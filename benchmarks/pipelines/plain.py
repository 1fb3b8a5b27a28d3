"""A loader that does no more than it has to: the limit for those that others wrote.

`python -m benchmarks.pipelines.plain CONFIG < MESSAGES`. It decodes the records, copies them into a temporary table,
and merges that into the table of their stream, 10,000 at a time as target-postgres does. The settings are those of
target-postgres, which has to have made the tables. It knows nothing of schemas that change, and writes no STATE.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click
import msgspec
import psycopg
from psycopg import sql
from psycopg.types.json import JsonbDumper

ROWS = 10_000


class Message(msgspec.Struct):
    """What matters of a message."""

    type: str
    stream: str = ""
    record: msgspec.Raw = msgspec.Raw()
    schema: dict[str, Any] = {}
    key_properties: list[str] = []


class Table:
    """Takes the records of a stream.

    Args:
        connection: To the database.
        schema: Of the table, which has the stream's name.
        described: The stream's SCHEMA message.
    """

    def __init__(self, connection: psycopg.Connection[Any], schema: str, described: Message) -> None:
        columns = list(described.schema["properties"])
        self._connection = connection
        self._decode = msgspec.json.Decoder(msgspec.defstruct("Record", [(name, Any, None) for name in columns])).decode
        self._rows: list[tuple[Any, ...]] = []
        here = sql.Identifier(schema, described.stream)
        incoming = sql.Identifier(f"incoming_{described.stream}")
        names = sql.SQL(", ").join(map(sql.Identifier, columns))
        key = sql.SQL(", ").join(map(sql.Identifier, described.key_properties))
        values = sql.SQL(", ").join(
            sql.SQL("{0} = excluded.{0}").format(sql.Identifier(name))
            for name in columns
            if name not in described.key_properties
        )
        self._copy = sql.SQL("copy {} ({}) from stdin").format(incoming, names)
        self._merge = sql.SQL("insert into {} ({}) select {} from {} on conflict ({}) do update set {}").format(
            here, names, names, incoming, key, values
        )
        connection.execute(sql.SQL("create temp table {} (like {}) on commit delete rows").format(incoming, here))
        connection.commit()

    def take(self, record: msgspec.Raw) -> None:
        """Take a record; of each key there must be one at most in 10,000."""
        self._rows.append(msgspec.structs.astuple(self._decode(record)))
        if len(self._rows) >= ROWS:
            self.write()

    def write(self) -> None:
        """Write what was taken, in a transaction of its own."""
        with self._connection.transaction():
            with self._connection.cursor().copy(self._copy) as copy:
                for row in self._rows:
                    copy.write_row(row)
            self._connection.execute(self._merge)
        self._rows.clear()


@click.command()
@click.argument("config", type=click.Path(path_type=Path))
def load(config: Path) -> None:
    """Load the messages that come by standard input."""
    settings = msgspec.json.decode(config.read_bytes())
    server = {name: settings[name] for name in ("host", "port", "user", "password")}
    decode = msgspec.json.Decoder(Message).decode
    tables: dict[str, Table] = {}
    with psycopg.connect(**server, dbname=settings["database"]) as connection:
        connection.adapters.register_dumper(dict, JsonbDumper)
        for message in map(decode, sys.stdin.buffer):
            if message.type == "RECORD":
                tables[message.stream].take(message.record)
            elif message.type == "SCHEMA":
                tables[message.stream] = Table(connection, settings["default_target_schema"], message)
        for table in tables.values():
            table.write()


if __name__ == "__main__":
    load()
