"""The demo from beginning to end: a service, a database, two loads, tables made of them, and a look at these."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import psycopg

from tap_zentra.emulator import Emulator
from tools.demo.apis import APIS, EXAMPLE, GROWTH, MEASUREMENT, PORT, RECORDS, SCHEMA
from tools.demo.pipeline import TAP, TARGET, TRANSFORMER, DemoError, Pipeline
from tools.demo.tables import Load, aligned
from tools.postgres.programs import WarehouseError
from tools.postgres.server import Warehouse

if TYPE_CHECKING:
    from types import FrameType

    from tools.demo.apis import Api

PROJECT = Path(__file__).resolve().parents[2]

# Seconds instead of the service's 60.
WINDOW = 1.0
# The device with the most records.
LONGEST = max(GROWTH)
MODELS = r"""
    select table_name from information_schema.tables
    where table_schema = %s and table_name like 'zentra\_%%'
    order by table_name
"""


@dataclass
class Demo:
    """A service and a database, with the pipeline between them, which reads one of the service's APIs."""

    api: Api
    service: Emulator
    database: psycopg.Connection[tuple[Any, ...]]
    pipeline: Pipeline

    def install(self, *plugins: str) -> None:
        """Install parts of the pipeline if they are not there yet."""
        if not self.pipeline.has_installed(*plugins):
            _heading(f"Meltano installs {' and '.join(plugins)} (once)")
            self.pipeline.install(*plugins)

    def load(self, *, from_start: bool = False) -> None:
        """Run the pipeline, and show what it has brought.

        Raises:
            DemoError: It failed, or the table does not hold what the service holds.
        """
        before = self._rows()
        began = time.monotonic()
        written = self.pipeline.run(self.api.stream, from_start=from_start)
        seconds = time.monotonic() - began
        load = Load(before, self._rows(), self._values(), written)
        click.echo(load.table)
        click.echo(f"The tap wrote {written:,} readings in {seconds:.0f} s.")
        if load.faults:
            raise DemoError("\n".join(["The load is not complete:", *load.faults]))

    def look(self, device_sn: str) -> None:
        """Show how many rows there are, and the latest values of one device."""
        rows = sum(self._rows().values())
        click.echo(f"The table {self.api.table} has {rows:,} rows. The latest values of {device_sn}:\n")
        header = ("measurement", "port", "value", "units", "time (UTC)")
        click.echo(aligned(header, self.database.execute(self.api.latest.encode(), [device_sn]).fetchall()))
        counted = [f"{self._count(stream):,} rows in {SCHEMA}.{stream}" for stream in self.api.others]
        click.echo(f"\nAlso loaded: {', '.join(counted)}.")

    def build(self) -> None:
        """Build the tables of transform/, and show which there are.

        Raises:
            DemoError: It failed.
        """
        began = time.monotonic()
        self.pipeline.build()
        seconds = time.monotonic() - began
        tables = [name for (name,) in self.database.execute(MODELS, [SCHEMA]).fetchall()]
        click.echo(f"dbt built {len(tables)} tables in {seconds:.0f} s: {', '.join(tables)}.")

    def show_devices(self) -> None:
        """Show which devices need attention."""
        self._show("""
            select device_sn as device, status, round(hours_silent::numeric, 1) as "hours silent",
                   moments, gaps, round(battery_percent::numeric) as "battery (%%)"
            from {schema}.zentra_devices
            order by last_reading_utc
        """)

    def show_days(self, device_sn: str) -> None:
        """Show a measurement of one device by day."""
        self._show(
            """
            select to_char(local_date, 'YYYY-MM-DD') as day, round(value::numeric, 3) as mean,
                   round(min_value::numeric, 3) as lowest, round(max_value::numeric, 3) as highest,
                   units, readings, round(share::numeric, 2) as share
            from {schema}.zentra_daily
            where device_sn = %s and measurement = %s and port_number = %s
            order by local_date desc
            limit 5
            """,
            device_sn,
            MEASUREMENT,
            PORT,
        )

    def _show(self, query: str, *values: str | int) -> None:
        found = self.database.execute(query.format(schema=SCHEMA).encode(), values)
        click.echo(aligned([column.name for column in found.description or ()], found.fetchall()))

    def _count(self, stream: str) -> int:
        query = f"select count(*) from {SCHEMA}.{stream}"  # noqa: S608 - our own names
        [[count]] = self.database.execute(query.encode()).fetchall()
        return int(count)

    def _rows(self) -> dict[str, int]:
        """The rows of each device in the table."""
        if self.database.execute("select to_regclass(%s)", [self.api.table]).fetchone() == (None,):
            return {}
        query = f"select device_sn, count(*) from {self.api.table} group by device_sn"  # noqa: S608 - our own name
        return dict(self.database.execute(query.encode()).fetchall())

    def _values(self) -> dict[str, int]:
        return Counter(str(reading["device_sn"]) for reading in self.api.readings(self.service))


def tell(api: Api) -> None:
    """Tell the story.

    Args:
        api: The one that the tap reads.

    Raises:
        DemoError: A load failed or is not complete.
        WarehouseError: The database does not work here.
    """
    _heading("A ZENTRA Cloud emulator on this machine, with made-up data")
    with Emulator(api.devices(), window=WINDOW, latency=0.1) as service:
        click.echo(_introduction(api, service))
        _heading("A PostgreSQL database in .warehouse")
        with (
            Warehouse(PROJECT / ".warehouse") as warehouse,
            psycopg.connect(warehouse.dsn, autocommit=True) as database,
        ):
            click.echo(f"It runs on port {warehouse.port} until the demo ends.")
            database.execute(f"drop schema if exists {SCHEMA} cascade".encode())
            variables = {**api.variables(service), **warehouse.environment}
            demo = Demo(api, service, database, Pipeline(PROJECT, variables))
            _load_twice(demo)
            _build(demo)
            _say_how_to_go_on(api)


def _introduction(api: Api, service: Emulator) -> str:
    held = Counter(str(reading["device_sn"]) for reading in api.readings(service))
    values = [held[device.device_sn] // device.records for device in service.devices]
    return (
        f"It provides API {api.version}, and has {len(values)} devices with {min(RECORDS)} to {max(RECORDS)} records "
        f"of {min(values)} to {max(values)} values each. {api.limit.format(window=WINDOW)}"
    )


def _load_twice(demo: Demo) -> None:
    demo.pipeline.log.unlink(missing_ok=True)
    demo.install(TAP, TARGET)
    click.echo(f"Meltano's log is in {_shown(demo.pipeline.log)}.")
    _heading(f"First load: meltano run {TAP} {TARGET}")
    demo.load(from_start=True)
    _heading("Second load, after the devices have made new records")
    for device_sn, records in GROWTH.items():
        demo.service.grow(records, device_sn)
    demo.service.let_window_pass()
    demo.load()
    _heading("What is in the database")
    demo.look(next(iter(GROWTH)))


def _build(demo: Demo) -> None:
    demo.install(TRANSFORMER)
    _heading(f"Tables to look at: meltano run {TRANSFORMER}:build")
    demo.build()
    _heading(f"Which devices need attention ({SCHEMA}.zentra_devices)")
    demo.show_devices()
    _heading(f"{MEASUREMENT} on port {PORT} of {LONGEST}, by day ({SCHEMA}.zentra_daily)")
    demo.show_days(LONGEST)


def _say_how_to_go_on(api: Api) -> None:
    python, meltano = (_shown(Path(sys.executable).with_name(name)) for name in ("python", "meltano"))
    postgres = f"{python} -m tools.postgres"
    _heading("Next steps")
    click.echo(
        f"Explore the database:\n\n  {postgres} psql\n\n"
        f'For example, the mean soil water content of each day:\n\n  {postgres} psql -c "{EXAMPLE}"\n\n'
        "Load your own devices into the schema zentra of the same database, and build its tables:\n\n"
        f"  export {api.settings}\n"
        f"  {postgres} run -- {meltano} run {TAP} {TARGET} {TRANSFORMER}:build\n\n"
        "Look at the demo's devices in your browser (the first time, uv installs marimo):\n\n"
        f"  DBT_POSTGRES_SCHEMA={SCHEMA} {postgres} run -- {_uv()} run --group notebook marimo run notebook/fleet.py"
    )


def _uv() -> str:
    """The program with which this was started: it says so, and the README's command has installed one here."""
    return _shown(Path(os.environ.get("UV", PROJECT / ".uv" / "bin" / "uv")))


def _heading(text: str) -> None:
    click.echo(f"\n== {text}")


def _shown(path: Path) -> str:
    """A path as short as it works from here."""
    return os.path.relpath(path) if path.is_relative_to(Path.cwd()) else str(path)


def _leave(number: int, _frame: FrameType | None) -> None:
    sys.exit(128 + number)


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--api",
    "version",
    type=click.Choice(list(APIS)),
    default="v4",
    show_default=True,
    help="v4: ZENTRA Cloud Classic; v5: ZENTRA Cloud 2.0.",
)
def command_line(version: str) -> None:
    """Load data twice from a ZENTRA Cloud emulator into PostgreSQL, both on this machine, and show the result."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _leave)
    try:
        tell(APIS[version])
    except (DemoError, WarehouseError) as error:
        sys.exit(f"\nError: {error}")
    except KeyboardInterrupt:
        click.echo("\nStopped. Nothing is left running.", err=True)
        sys.exit(128 + signal.SIGINT)
