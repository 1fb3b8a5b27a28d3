"""The tap, Meltano, the real target and a real PostgreSQL: started, killed, and asked what arrived."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import psycopg
import yaml
from psycopg.rows import dict_row

from loaders.project import loader, postgres_config
from tap_zentra.settings import SCHEMA
from tests.support import TAP, by_key, environment
from warehouse.server import Warehouse

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

    from tap_zentra.emulator import Emulator
    from tests.support import Rows

MELTANO = Path(sys.executable).with_name("meltano")
PROJECT = Path(__file__).resolve().parents[2]

TARGET = "target-postgres"

PARTS = ("tap", "target", "meltano", "database")
"""What can be killed."""


class Pipeline:
    """A Meltano project with plugins that are installed already.

    Args:
        folder: Of the project and the database.
        target: The target's program.
    """

    def __init__(self, folder: Path, target: Path) -> None:
        self.folder = folder
        self.schema = "zentra"
        self._target = target
        self._warehouse = Warehouse(folder / "warehouse", fsync=False)
        (folder / "meltano.yml").write_text(yaml.safe_dump(_project(target)))

    def __enter__(self) -> Self:
        self._warehouse.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._warehouse.__exit__(kind, error, trace)

    def start(self, emulator: Emulator, **settings: object) -> subprocess.Popen[bytes]:
        """Start a run; its log is added to `log`."""
        # Meltano takes a run whose end it has not seen for one that is still going on.
        command = [
            str(MELTANO),
            "--environment=prod",
            "run",
            "--force",
            f"--state-id-suffix={self.schema}",
            "tap",
            TARGET,
        ]
        variables = {
            "MELTANO_SEND_ANONYMOUS_USAGE_STATS": "false",
            "MELTANO_CLI_DISABLE_VERSION_CHECK": "true",
            "TARGET_POSTGRES_DEFAULT_TARGET_SCHEMA": self.schema,
            "XDG_STATE_HOME": str(self.folder),
        }
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(
                command,
                cwd=self.folder,
                env=environment(emulator, **settings) | self._warehouse.environment | variables,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def run(self, emulator: Emulator, **settings: object) -> int:
        """Run to the end and return the exit code."""
        return self.start(emulator, **settings).wait(timeout=300)

    def load(self, messages: bytes) -> dict[str, Any]:
        """Let the target load messages, without Meltano; return the last state that it confirms."""
        (self.folder / "target.json").write_text(json.dumps(postgres_config(self._warehouse, self.schema)))
        done = subprocess.run(
            [self._target, "--config", "target.json"],
            cwd=self.folder,
            input=messages,
            capture_output=True,
            check=False,
            timeout=300,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        confirmed: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return confirmed

    def part(self, run: psutil.Process, name: str) -> psutil.Process | None:
        """Return a part of a run that is going on; None while, or once, it is not there."""
        if name == "database":
            return psutil.Process(self._warehouse._process.pid)  # noqa: SLF001 - to kill it
        if name == "meltano":
            return run
        program = str(TAP if name == "tap" else self._target)
        try:
            children = run.children(recursive=True)
            return next((child for child in children if program in child.cmdline()), None)
        except psutil.Error:
            return None

    def database_restarts(self) -> None:
        """Start the database again, after it was killed."""
        port = self._warehouse.port
        self._warehouse.__exit__(None, None, None)
        self._warehouse = Warehouse(self.folder / "warehouse", port=port, fsync=False)
        self._warehouse.__enter__()

    def table(self) -> Rows:
        """Return the table's rows by key, as the tap's records; no key is there twice."""
        query = f"SELECT * FROM {self.schema}.readings"  # noqa: S608 - a name of the test's own
        with psycopg.connect(self._warehouse.dsn, row_factory=dict_row) as connection:
            rows = [_as_record(row) for row in connection.execute(query.encode())]
        table = by_key(rows)
        assert len(table) == len(rows)
        return table

    @property
    def log(self) -> str:
        """What all runs have said."""
        return (self.folder / "log").read_text(errors="replace")


def _project(target: Path) -> dict[str, Any]:
    """Return a project of the installed tap and of this repository's target-postgres, installed already too."""
    tap = {
        "name": "tap",
        "namespace": "tap_zentra",
        "executable": str(TAP),
        "capabilities": ["state"],
        "settings": [{"name": name, "env": f"TAP_ZENTRA_{name.upper()}"} for name in SCHEMA["properties"]],
    }
    installed = {**loader(TARGET), "executable": str(target)}
    del installed["pip_url"]
    return {
        "requires_meltano": ">=4.0",
        "project_id": "reliability",
        "environments": [{"name": "prod"}],
        "plugins": {"extractors": [tap], "loaders": [installed]},
    }


def _as_record(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row of the table as the record that it was made from."""
    value = row["value"]
    return {**row, "timestamp_utc": f"{row['timestamp_utc'].isoformat()}+00:00", "value": value and float(value)}


def end_of(processes: list[psutil.Process]) -> None:
    """Wait for the end of all processes: what a killed run leaves behind drains on its own."""
    _, alive = psutil.wait_procs(processes, timeout=60)
    assert alive == [], os.fspath(alive[0].exe())
