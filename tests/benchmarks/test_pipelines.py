"""The benchmarks of loaders: whether all ways load the same, and whether what is missing would show."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from psycopg import sql
from psycopg.rows import dict_row

from benchmarks.pipelines import loads, postgres
from benchmarks.pipelines.postgres import Ways, left_out
from benchmarks.pipelines.target import by_stage

if TYPE_CHECKING:
    from pathlib import Path

    from tools.postgres.server import Warehouse


@pytest.mark.warehouse
def test_the_plain_program_stores_what_target_postgres_does(tmp_path: Path, warehouse: Warehouse) -> None:
    """The limit is that of the same work: all rows and values of all streams; and what does not arrive is told."""
    source = loads.classic(2, 1, 30)
    ways = Ways(tmp_path, warehouse, source)
    messages = tmp_path / "messages.jsonl"
    loads.write(source, messages)
    loads.alone(messages, ways.target("by_target"))
    loads.alone(messages, ways.plain("by_program"))

    for stream in postgres.STREAMS:
        rows = _rows(warehouse, "by_target", stream)
        assert _rows(warehouse, "by_program", stream) == rows
        assert rows
    assert loads.stored(warehouse, "by_target", source).faults == []
    more = replace(source, readings=source.readings + 1)
    assert loads.stored(warehouse, "by_program", more).faults == ["1440 of 1441 readings arrived"]


def _rows(warehouse: Warehouse, schema: str, table: str) -> list[dict[str, Any]]:
    query = sql.SQL("select * from {} order by 1, 2, 3, 4, 5, 6").format(sql.Identifier(schema, table))
    with psycopg.connect(warehouse.dsn, row_factory=dict_row) as connection:
        # target-postgres writes the word null into `extra`, where the other writes nothing.
        return [row | {"extra": None} for row in connection.execute(query)]


@pytest.mark.warehouse
def test_all_ways_into_postgresql_load_all_readings(tmp_path: Path) -> None:
    """The quick form: nothing is missing, and the ways with fewer columns have so many fewer."""
    table = postgres.measure(tmp_path, quick=True)

    assert table.faults == []
    columns = [int(row[1]) for row in table.rows[:3]]
    assert columns == [18, 18 - len(left_out()), 18 - len(left_out()) - len(postgres.OF_A_PROBE)]


def test_samples_of_a_profile_are_told_by_stage() -> None:
    """Each counts once, for the innermost stage that is known; what is outside all of them is the start."""
    batch = "<module> (target-postgres);process_lines (base.py:9);PostgresSink.process_batch (sinks.py:1)"
    samples = "\n".join(
        (
            "<module> (target-postgres);_find_and_load (<frozen importlib._bootstrap>:3) 5",
            "<module> (target-postgres);process_lines (base.py:9);SimpleSingerReader.deserialize_json (simple.py:4) 7",
            f"{batch};PostgresSink.upsert (sinks.py:2);Connection.wait (connection.py:3) 11",
            f"{batch};PostgresSink.bulk_insert_records (sinks.py:3);PostgresSink._do_copy (sinks.py:4) 13",
            f"{batch};PostgresSink.bulk_insert_records (sinks.py:3) 17",
        )
    )

    assert by_stage(samples) == {
        "start": 5,
        "decode the messages": 7,
        "merge: insert what is not there, update what is, in PostgreSQL": 11,
        "write the other columns with COPY": 13,
        "make rows, and keep the last one of each key": 17,
    }
