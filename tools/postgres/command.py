"""The command line: the warehouse around a command, for SQL by hand, or for other programs."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tap_zentra.emulator.processes import CommandError, run_command
from tools.environment import environment_without
from tools.postgres.programs import WarehouseError, program
from tools.postgres.server import HOST, NAME, Warehouse, WarehouseInUseError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import FrameType

PROJECT = Path(__file__).resolve().parents[2]


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=PROJECT / ".warehouse",
    help="Where the database is kept (default: .warehouse in the project's folder).",
)
@click.pass_context
def main(context: click.Context, folder: Path) -> None:
    """Run a PostgreSQL database in this project's folder: nothing to install, and nothing left running.

    It is created on first use. To delete it with all its data, delete its folder.
    """
    context.obj = folder


@main.command(context_settings={"ignore_unknown_options": True})
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
@click.pass_obj
def run(folder: Path, command: tuple[str, ...]) -> None:
    """Run COMMAND while the database is running, then stop the database.

    COMMAND finds it through the environment variables TARGET_POSTGRES_HOST, _PORT, _USER, _PASSWORD and
    _DATABASE, which Meltano's target-postgres reads, and through PGHOST and so on, which every PostgreSQL
    program reads. The exit code is COMMAND's.

    Example: python -m tools.postgres run -- meltano run tap-zentra target-postgres
    """
    with Warehouse(folder) as warehouse:
        code = _run(command, warehouse)
    sys.exit(code)


@main.command(context_settings={"ignore_unknown_options": True})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@click.pass_obj
def psql(folder: Path, arguments: tuple[str, ...]) -> None:
    r"""Query the database: type SQL, and quit with \q.

    ARGUMENTS are passed to psql, PostgreSQL's own client, so that scripts can run queries too. If the database
    is already running, for example during a load, psql connects to it.

    Example: python -m tools.postgres psql -c "select count(*) from zentra.readings"
    """
    command = (str(program("psql")), *arguments)
    try:
        with Warehouse(folder) as warehouse:
            code = _run(command, warehouse)
    except WarehouseInUseError:
        warehouse = Warehouse(folder)
        warehouse.join()
        code = _run(command, warehouse)
    sys.exit(code)


@main.command()
@click.option("--port", type=click.IntRange(1, 65535), help="TCP port (default: any that is free).")
@click.pass_obj
def serve(folder: Path, port: int | None) -> None:
    """Keep the database running until Ctrl-C, for a notebook, a dashboard or another database client."""
    with Warehouse(folder, port=port) as warehouse:
        try:
            click.echo(
                f"The database is running. Connect with\n\n"
                f"  host      {HOST}\n  port      {warehouse.port}\n  database  {NAME}\n  user      {NAME}\n"
                f"  password  (see {warehouse.password_file})\n\nCtrl-C stops it."
            )
            warehouse.wait()
        except KeyboardInterrupt:
            click.echo("Stopped.")


def _run(command: Sequence[str], warehouse: Warehouse) -> int:
    """Run a command beside the database, and return its exit code."""
    # What PG… variables the user has are for another server, and psql would keep its history in the user's home.
    history = os.environ.get("PSQL_HISTORY", str(warehouse.folder / "psql_history"))
    try:
        return run_command(command, environment_without("PG", **warehouse.environment, PSQL_HISTORY=history))
    except CommandError as error:
        click.echo(f"Error: {error}.", err=True)
        return error.exit_code


def _leave(number: int, _frame: FrameType | None) -> None:
    sys.exit(128 + number)


def command_line() -> None:
    """Entry point: errors in one line, and no way out that leaves the server running."""
    # In the usual way SIGTERM and SIGHUP would end this process and leave the server behind.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _leave)
    try:
        main(prog_name="python -m tools.postgres")
    except WarehouseError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(1)
