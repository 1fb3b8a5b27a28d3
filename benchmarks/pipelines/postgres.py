"""How fast readings get into PostgreSQL, what they take there, and what columns that are left out bring."""

from __future__ import annotations

import sys
from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import click
import psycopg
import yaml

from benchmarks.pipelines import loads
from benchmarks.services import selecting
from benchmarks.tables import Table
from tools.documents import example
from tools.postgres.server import Warehouse

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from benchmarks.pipelines.loads import Load, Source, Stored

DOCUMENT = "docs/scaling.md"
STREAMS = ("readings", "devices", "sensors")
OF_A_PROBE = ("error_description", "device_name", "sensor_name", "sensor_sn", "depth")
"""Columns of the readings that models read, but that hours and days can be made without."""
TURNS = 3


@dataclass(frozen=True)
class Way:
    """A way to load a fleet.

    Attributes:
        load: Loads it into a schema that is not there yet.
        source: What is read.
        stores: Whether anything is there then.
    """

    load: Callable[[str], Load]
    source: Source
    stores: bool = True


def measure(work: Path, *, quick: bool) -> Table:
    """Load the same readings in all ways, in turns."""
    table = Table(
        "Into PostgreSQL",
        (
            *("what", "columns", "readings/s", "of the first row's", "readings/s of all CPU", "of the first row's"),
            *("database's share", "bytes a reading", "once vacuumed"),
        ),
    )
    with Warehouse(work / "warehouse") as warehouse:
        ways = Ways(work, warehouse, loads.fleet(quick=quick)).all(quick=quick)
        taken, held = in_turns(warehouse, ways, table, 1 if quick else TURNS)
    first = _paces(next(iter(ways.values())), next(iter(taken.values())))
    for name, way in ways.items():
        paces = _paces(way, taken[name])
        compared = [cell for pair in zip(paces, first, strict=True) for cell in _compared(*pair)]
        stored = held.get(name)
        sizes = (f"{stored.bytes_each:.0f}", f"{stored.bytes_packed:.0f}") if stored else ("", "")
        share = f"{taken[name].database / taken[name].all_cpu:.0%}" if stored else ""
        table.add(name, str(stored.columns) if stored else "", *compared, share, *sizes)
    return table


def in_turns(
    warehouse: Warehouse, ways: Mapping[str, Way], table: Table, turns: int
) -> tuple[dict[str, Load], dict[str, Stored]]:
    """Load in all ways as often as there are turns.

    Args:
        warehouse: Where to.
        ways: By their names.
        table: Takes note of readings that went missing.
        turns: How many.

    Returns:
        What each took, and what was there then.
    """
    taken: dict[str, list[Load]] = defaultdict(list)
    held: dict[str, Stored] = {}
    for turn in range(turns):
        for number, (name, way) in enumerate(ways.items()):
            schema = f"way_{number}_{turn}"
            before = loads.computing(warehouse)
            load = way.load(schema)
            load = replace(load, database=loads.computing(warehouse) - before)
            taken[name].append(load)
            # It takes long.
            click.echo(f"{turn + 1} of {turns}, {name}: {load.seconds:.1f} s, {load.all_cpu:.1f} s of CPU", err=True)
            if way.stores:
                held[name] = loads.stored(warehouse, schema, way.source)
                table.note(name, held[name].faults)
    return {name: loads.medians(of_turns) for name, of_turns in taken.items()}, held


def _paces(way: Way, load: Load) -> tuple[float, float]:
    """Return the readings a second, and a second of computing."""
    return way.source.readings / load.seconds, way.source.readings / load.all_cpu


def _compared(pace: float, first: float) -> tuple[str, str]:
    return f"{pace:,.0f}", f"{pace / first:.2f}"


@dataclass(frozen=True)
class Ways:
    """The ways into a PostgreSQL.

    Attributes:
        work: For catalogs, configurations and files.
        warehouse: The PostgreSQL.
        source: What is read.
    """

    work: Path
    warehouse: Warehouse
    source: Source

    def all(self, *, quick: bool) -> dict[str, Way]:
        """Return all ways; the first one is what the others are compared with."""
        messages = self.work / "messages.jsonl"
        loads.write(self.source, messages)
        unread = left_out()
        of_v5 = loads.fleet_v5(quick=quick)
        fewest = (*unread, *(f"readings.{column}" for column in OF_A_PROBE))
        return {
            "tap, target-postgres as in meltano.yml": self._piped(),
            "the same, without what no model reads": self._piped(self._without(unread)),
            "the same, and without what tells probes apart": self._piped(self._without(fewest)),
            "the same with all columns, updates that change nothing suppressed": Way(self._suppressing, self.source),
            "the same with v5": self._piped(source=of_v5),
            "compact_readings": self._piped(source=loads.compact(self.source)),
            "compact_readings with v5": self._piped(source=loads.compact(of_v5)),
            "tap alone": Way(lambda _: loads.tap_alone(self.source), self.source, stores=False),
            "target-postgres alone": Way(lambda schema: loads.alone(messages, self.target(schema)), self.source),
            "plain program alone (the limit)": Way(
                lambda schema: loads.alone(messages, self.plain(schema)), self.source
            ),
            "tap, plain program": Way(lambda schema: loads.through(self.source, (), self.plain(schema)), self.source),
        }

    def target(self, schema: str, **changed: object) -> Sequence[str]:
        """Return the command of target-postgres, with some settings changed."""
        return loads.target_postgres(self.work, self.warehouse, schema, **changed)

    def _piped(self, *options: str, source: Source | None = None) -> Way:
        read = source or self.source
        return Way(lambda schema: loads.through(read, options, self.target(schema)), read)

    def _without(self, columns: Sequence[str]) -> str:
        return selecting(self.work, *STREAMS, without=columns)

    def _suppressing(self, schema: str) -> Load:
        command = self.target(schema)
        loads.make_tables(self.source, command)
        with psycopg.connect(self.warehouse.dsn) as to:
            to.execute(example("suppress", DOCUMENT).replace("zentra.", f"{schema}.").encode())
        return loads.through(self.source, (), command)

    def plain(self, schema: str) -> Sequence[str]:
        """Return the command of the plain program, for tables that target-postgres has made."""
        command = self.target(schema)
        loads.make_tables(self.source, command)
        return sys.executable, "-m", "benchmarks.pipelines.plain", command[-1].removeprefix("--config=")


def left_out() -> list[str]:
    """Return the columns that the document leaves out, as `stream.column`."""
    return [rule[1:] for rule in yaml.safe_load(example("columns", DOCUMENT))["select"] if rule.startswith("!")]
