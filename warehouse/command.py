"""The command line: the warehouse around a command, for SQL by hand, or for other programs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from warehouse.programs import WarehouseError, program
from warehouse.server import HOST, NAME, Warehouse, WarehouseInUseError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import FrameType

PROJECT = Path(__file__).resolve().parent.parent
# The shells' exit codes for a command that cannot be run.
NOT_EXECUTABLE = 126
NOT_FOUND = 127
# Not handled in the usual way: SIGTERM and SIGHUP would end this process and leave the server behind.
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=PROJECT / ".warehouse",
    help="Where the database is kept (default: .warehouse in the project's folder).",
)
@click.pass_context
def main(context: click.Context, folder: Path) -> None:
    """A PostgreSQL database in this project's folder, with nothing to install and nothing left running.

    It is made on first use. To delete it with all its data, delete its folder.
    """
    context.obj = folder


@main.command(context_settings={"ignore_unknown_options": True})
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
@click.pass_obj
def run(folder: Path, command: tuple[str, ...]) -> None:
    """Run COMMAND while the database is there, then stop the database.

    COMMAND finds it by the environment variables TARGET_POSTGRES_HOST, _PORT, _USER, _PASSWORD and
    _DATABASE, which Meltano's target-postgres reads, and by PGHOST and so on, which every PostgreSQL program
    reads. The exit code is COMMAND's.

    Example: python -m warehouse run -- meltano run tap-zentra target-postgres
    """
    with Warehouse(folder) as warehouse:
        code = _run(command, warehouse)
    sys.exit(code)


@main.command(context_settings={"ignore_unknown_options": True})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@click.pass_obj
def psql(folder: Path, arguments: tuple[str, ...]) -> None:
    r"""Look into the database: type SQL, end with \q.

    ARGUMENTS go to psql, PostgreSQL's own client, so that scripts can ask too. If the database is open
    already, for example because a load is running, psql joins in.

    Example: python -m warehouse psql -c "select count(*) from zentra.readings"
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
    """Run a command to its end, pass signals on to it; the exit code is 128 + n for a signal n."""
    # What PG… variables the user has are for another server.
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    # psql would keep its history in the user's home.
    history = {"PSQL_HISTORY": str(warehouse.folder / "psql_history")}
    try:
        process = subprocess.Popen(  # noqa: S603 - the user's own command
            command, env=history | kept | warehouse.environment
        )
    except OSError as error:
        click.echo(f"Error: Cannot run {command[0]}: {error.strerror}.", err=True)
        return NOT_FOUND if isinstance(error, FileNotFoundError) else NOT_EXECUTABLE

    def forward(number: int, _frame: FrameType | None) -> None:
        # A terminal has sent Ctrl-C to the command as well.
        if number != signal.SIGINT or not _at_terminal():
            process.send_signal(number)

    before = [(number, signal.signal(number, forward)) for number in SIGNALS]
    try:
        code = process.wait()
    finally:
        for number, handler in before:
            signal.signal(number, handler)
    return 128 - code if code < 0 else code


def _at_terminal() -> bool:
    try:
        return os.tcgetpgrp(0) == os.getpgrp()
    except OSError:
        return False


def _leave(number: int, _frame: FrameType | None) -> None:
    sys.exit(128 + number)


def command_line() -> None:
    """Entry point: errors in one line, and no way out that leaves the server running."""
    for number in SIGNALS[1:]:
        signal.signal(number, _leave)
    try:
        main(prog_name="python -m warehouse")
    except WarehouseError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(1)
