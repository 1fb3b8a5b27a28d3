"""Loads of the tap's output into PostgreSQL: what is read, what loads it, and what is there then."""

from __future__ import annotations

import json
import shutil
import statistics
import tempfile
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, LiteralString

import psutil
import psycopg
from psycopg import sql

from benchmarks.calls import read_calls
from benchmarks.canned import readings_in
from benchmarks.children import TAP, run
from benchmarks.packages import installed
from benchmarks.services import canned, serial_numbers
from benchmarks.v5 import months
from benchmarks.v5.services import canned as canned_v5
from tools.loaders.project import loader, postgres_config

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from benchmarks.children import Run
    from tools.postgres.server import Warehouse

QUARTER_HOURS = "quarter-hours"


@dataclass(frozen=True)
class Source:
    """What the tap reads from; no limit holds.

    Attributes:
        table: Where its readings go.
        readings: How many there are.
        serve: Runs the service, given the place of a call log, and yields the settings of the tap.
        counted: SQL for how many readings the table has.
    """

    table: str
    readings: int
    serve: Callable[[Path], AbstractContextManager[Mapping[str, object]]]
    counted: LiteralString = "count(*)"


def classic(devices: int, pages: int, records: int) -> Source:
    """API v4: devices that all hold the same pages of so many records each."""

    @contextmanager
    def serve(log: Path) -> Iterator[Mapping[str, object]]:
        with canned(log, pages=pages, page_size=records) as settings:
            yield {**settings, "device_sns": json.dumps(serial_numbers(devices))}

    return Source("readings", devices * readings_in(pages, records), serve)


def cloud(devices: int, count: int) -> Source:
    """API v5: devices that all hold the same months of quarter-hours."""
    return Source(
        "readings_v5",
        devices * months.readings_in(months.KINDS[QUARTER_HOURS], count),
        lambda log: canned_v5(log, count=devices, months=count, kind=QUARTER_HOURS),
    )


def compact(source: Source) -> Source:
    """The same of v4 or v5, read in the compact form."""

    @contextmanager
    def serve(log: Path) -> Iterator[Mapping[str, object]]:
        with source.serve(log) as settings:
            yield {**settings, "compact_readings": True}

    table = source.table.replace("readings", "records")
    return Source(table, source.readings, serve, counted="sum(jsonb_array_length(readings))")


def fleet(*, quick: bool) -> Source:
    """The fleet that all loads read: 240,000 readings, or 12,000."""
    return classic(1, 1, 500) if quick else classic(5, 1, 2000)


def fleet_v5(*, quick: bool) -> Source:
    """Its counterpart of v5: about as many, or 74,000."""
    return cloud(1, 1) if quick else cloud(3, 1)


@dataclass(frozen=True)
class Load:
    """What a load took.

    Attributes:
        seconds: From the first call's arrival, or without calls from the loader's start, to its end.
        cpu: Seconds of computing in tap and loader.
        peak_rss: Most bytes of memory of the loader.
        database: Seconds of computing in the database meanwhile.
    """

    seconds: float
    cpu: float
    peak_rss: float
    database: float = 0.0

    @property
    def all_cpu(self) -> float:
        """Seconds of computing in all programs: what it would take if they took turns, and waited for no disk."""
        return self.cpu + self.database


def program(name: str) -> str:
    """Return the program of a loader, of the version that meltano.yml names."""
    return str(installed(loader(name)["pip_url"]) / name)


def target_postgres(work: Path, warehouse: Warehouse, schema: str, **changed: object) -> tuple[str, ...]:
    """Return the command that loads into a schema, with the settings of meltano.yml but for those that are changed."""
    config = work / f"{schema}.json"
    config.write_text(json.dumps({**postgres_config(warehouse, schema), **changed}))
    return program("target-postgres"), f"--config={config}"


def through(source: Source, options: Sequence[str], command: Sequence[str]) -> Load:
    """Let the tap read, and a loader load what it writes."""
    with _log() as log:
        with source.serve(log) as settings:
            read, loaded = _piped(settings, options, command)
        seconds = loaded.ended - read_calls(log)[0].time.timestamp()
    return Load(seconds, read.cpu + loaded.cpu, loaded.peak_rss)


def tap_alone(source: Source) -> Load:
    """Let the tap read, with its output to the null device."""
    with _log() as log:
        with source.serve(log) as settings:
            done = run(TAP, "--config=ENV", settings=settings)
        seconds = done.ended - read_calls(log)[0].time.timestamp()
    return Load(seconds, done.cpu, done.peak_rss)


def alone(messages: Path, command: Sequence[str]) -> Load:
    """Let a loader load what the tap has written before."""
    with messages.open("rb") as written:
        done = run(*command, stdin=written)
    return Load(done.wall, done.cpu, done.peak_rss)


def write(source: Source, messages: Path) -> None:
    """Let the tap write into a file."""

    def store(output: IO[bytes]) -> None:
        with messages.open("wb") as file:
            shutil.copyfileobj(output, file)

    with _log() as log, source.serve(log) as settings:
        run(TAP, "--config=ENV", settings=settings, read=store)


def make_tables(source: Source, command: Sequence[str]) -> None:
    """Let target-postgres make the tables, without a row in them."""
    with _log() as log, source.serve(log) as settings:
        _piped(settings, ("--test=schema",), command)


def _piped(settings: Mapping[str, object], options: Sequence[str], command: Sequence[str]) -> tuple[Run, Run]:
    loaded: list[Run] = []
    read = run(
        TAP,
        "--config=ENV",
        *options,
        settings=settings,
        read=lambda output: loaded.append(run(*command, stdin=output)),
    )
    return read, loaded[0]


@contextmanager
def _log() -> Iterator[Path]:
    """A call log for one run."""
    with tempfile.NamedTemporaryFile() as file:
        yield Path(file.name)


def computing(warehouse: Warehouse) -> float:
    """Return the seconds that the processes of a database have computed since its start."""
    pid = (warehouse.folder / "data" / "postmaster.pid").read_text().split("\n", 1)[0]
    server = psutil.Process(int(pid))
    times = [server.cpu_times()]
    for process in server.children():
        # One that has ended meanwhile is among what the server waited for.
        with suppress(psutil.NoSuchProcess):
            times.append(process.cpu_times())
    waited_for = times[0].children_user + times[0].children_system
    return float(waited_for + sum(one.user + one.system for one in times))


@dataclass(frozen=True)
class Stored:
    """What is in a table.

    Attributes:
        columns: How many it has.
        bytes_each: For each reading, as loaded: with the index of the key, and with what is dead.
        bytes_packed: The same after `vacuum full`.
        faults: Rows that are missing, or too many.
    """

    columns: int
    bytes_each: float
    bytes_packed: float
    faults: list[str]


def stored(warehouse: Warehouse, schema: str, source: Source) -> Stored:
    """Look at the readings in a schema, then remove it."""
    table = sql.Identifier(schema, source.table)
    with psycopg.connect(warehouse.dsn, autocommit=True) as to:
        columns = len(to.execute(sql.SQL("select * from {} limit 0").format(table)).description or ())
        readings, size = _size(to, table, source)
        to.execute(sql.SQL("vacuum full {}").format(table))
        _, packed = _size(to, table, source)
        to.execute(sql.SQL("drop schema {} cascade").format(sql.Identifier(schema)))
    # The key keeps a reading from being there twice.
    faults = [] if readings == source.readings else [f"{readings} of {source.readings} readings arrived"]
    return Stored(columns, size / source.readings, packed / source.readings, faults)


def _size(to: psycopg.Connection[tuple[Any, ...]], table: sql.Identifier, source: Source) -> tuple[int, int]:
    """Return how many readings there are, and the bytes of all that belongs to their table."""
    measured = sql.SQL("select {}, pg_total_relation_size({}::regclass) from {}")
    query = measured.format(sql.SQL(source.counted), sql.Literal(table.as_string()), table)
    [(readings, size)] = to.execute(query).fetchall()
    return readings or 0, size


def medians(turns: Sequence[Load]) -> Load:
    """Return what a load took in the middle one of some turns, each figure by itself."""
    figures = zip(*((one.seconds, one.cpu, one.peak_rss, one.database) for one in turns), strict=True)
    return Load(*map(statistics.median, figures))
