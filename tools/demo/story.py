"""The demo from beginning to end: a service, a database, two loads, and a look at the result."""

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

from tap_zentra.emulator import Emulator, fleet
from tools.demo.pipeline import TAP, TARGET, DemoError, Pipeline
from tools.demo.tables import Load, aligned
from tools.postgres.programs import WarehouseError
from tools.postgres.server import Warehouse

if TYPE_CHECKING:
    from types import FrameType

PROJECT = Path(__file__).resolve().parents[2]

# The last device has a profile probe: several sensors on one port.
RECORDS = (20, 90, 160, 280, 420)
GROWTH = {"z6-00001": 1, "z6-00002": 2, "z6-00005": 3}
# Seconds instead of the service's 60, and smaller pages than the service's, so that a device needs several.
WINDOW = 1.0
PAGE_SIZE = 150

LATEST = """
    select distinct on (measurement, port_number, sub_sensor_index)
           measurement, port_number, value, units, to_char(timestamp_utc, 'YYYY-MM-DD HH24:MI')
    from zentra_demo.readings
    where device_sn = %s
    order by measurement, port_number, sub_sensor_index, mrid desc
"""
EXAMPLE = (
    "select device_sn, timestamp_utc::date as day, round(avg(value), 3) as water_content "
    "from zentra_demo.readings where measurement = 'Water Content' and port_number = 3 "
    "group by device_sn, day order by device_sn, day"
)


@dataclass
class Demo:
    """A service and a database, with the pipeline between them."""

    service: Emulator
    database: psycopg.Connection[tuple[Any, ...]]
    pipeline: Pipeline

    def install(self) -> None:
        """Install the pipeline's parts if they are not there yet."""
        if not self.pipeline.installed:
            _heading(f"Meltano installs {TAP} and {TARGET} (once)")
            self.pipeline.install()

    def load(self, *, from_start: bool = False) -> None:
        """Run the pipeline, and show what it has brought.

        Raises:
            DemoError: It failed, or the table does not hold what the service holds.
        """
        before = self._rows()
        began = time.monotonic()
        written = self.pipeline.run(from_start=from_start)
        seconds = time.monotonic() - began
        load = Load(before, self._rows(), self._values(), written)
        click.echo(load.table)
        click.echo(f"The tap wrote {written:,} readings; {seconds:.0f} s.")
        if load.faults:
            raise DemoError("\n".join(["The load is not complete:", *load.faults]))

    def look(self, device_sn: str) -> None:
        """Show how many rows there are, and the latest values of one device."""
        rows = sum(self._rows().values())
        click.echo(f"The table zentra_demo.readings has {rows:,} rows. The latest values of {device_sn}:\n")
        header = ("measurement", "port", "value", "units", "time (UTC)")
        click.echo(aligned(header, self.database.execute(LATEST, [device_sn]).fetchall()))

    def _rows(self) -> dict[str, int]:
        """The rows of each device in the table."""
        if self.database.execute("select to_regclass('zentra_demo.readings')").fetchone() == (None,):
            return {}
        query = "select device_sn, count(*) from zentra_demo.readings group by device_sn"
        return dict(self.database.execute(query).fetchall())

    def _values(self) -> dict[str, int]:
        return Counter(str(reading["device_sn"]) for reading in self.service.readings())


def tell() -> None:
    """Tell the story.

    Raises:
        DemoError: A load failed or is not complete.
        WarehouseError: The database does not work here.
    """
    _heading("A ZENTRA Cloud on this machine, with made-up data")
    devices = fleet(len(RECORDS), RECORDS)
    with Emulator(devices, window=WINDOW, latency=0.1) as service:
        values = [len(device.series) for device in devices]
        click.echo(
            f"{len(devices)} devices with {min(RECORDS)} to {max(RECORDS)} records of "
            f"{min(values)} to {max(values)} values each. "
            f"One call to each device in {WINDOW:g} s (the real service: 60 s)."
        )
        _heading("A PostgreSQL database in .warehouse")
        with (
            Warehouse(PROJECT / ".warehouse") as warehouse,
            psycopg.connect(warehouse.dsn, autocommit=True) as database,
        ):
            click.echo(f"It runs on port {warehouse.port} until the end of this demonstration.")
            database.execute("drop schema if exists zentra_demo cascade")
            variables = {**service.environment, "TAP_ZENTRA_PAGE_SIZE": str(PAGE_SIZE), **warehouse.environment}
            _load_twice(Demo(service, database, Pipeline(PROJECT, variables)))
    _say_how_to_go_on()


def _load_twice(demo: Demo) -> None:
    demo.pipeline.log.unlink(missing_ok=True)
    demo.install()
    click.echo(f"Meltano's own words are in {_shown(demo.pipeline.log)}.")
    _heading(f"First load: meltano run {TAP} {TARGET}")
    demo.load(from_start=True)
    _heading("Second load, after the devices have made new records")
    for device_sn, records in GROWTH.items():
        demo.service.grow(records, device_sn)
    demo.service.let_window_pass()
    demo.load()
    _heading("What is in the database")
    demo.look(next(iter(GROWTH)))


def _say_how_to_go_on() -> None:
    python, meltano = (_shown(Path(sys.executable).with_name(name)) for name in ("python", "meltano"))
    psql = f"{python} -m tools.postgres psql"
    _heading("How to go on")
    click.echo(
        f"Look into the database:\n\n  {psql}\n\n"
        f'For example, the mean water content of the soil on each day:\n\n  {psql} -c "{EXAMPLE}"\n\n'
        "Load your own devices, into the schema zentra of the same database:\n\n"
        "  export TAP_ZENTRA_AUTH_TOKEN=… TAP_ZENTRA_DEVICE_SNS=z6-12345,z6-12346\n"
        f"  {python} -m tools.postgres run -- {meltano} run {TAP} {TARGET}\n"
    )


def _heading(text: str) -> None:
    click.echo(f"\n== {text}")


def _shown(path: Path) -> str:
    """A path as short as it works from here."""
    return os.path.relpath(path) if path.is_relative_to(Path.cwd()) else str(path)


def _leave(number: int, _frame: FrameType | None) -> None:
    sys.exit(128 + number)


def command_line() -> None:
    """Entry point: errors without a traceback, and no way out that leaves something running."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _leave)
    try:
        tell()
    except (DemoError, WarehouseError) as error:
        sys.exit(f"\nError: {error}")
    except KeyboardInterrupt:
        click.echo("\nStopped. Nothing is left running.", err=True)
        sys.exit(128 + signal.SIGINT)
