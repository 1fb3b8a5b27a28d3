"""Runs into PostgreSQL that are killed in their middle: after one clean repeat the table is complete, each row once."""

from __future__ import annotations

import contextlib
import os
import random
import resource
import signal
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import psutil
import pytest

from tap_zentra.emulator import Device, Emulator, fleet
from tests.integration.projects import MeltanoProject, borrow_plugins
from tests.integration.support import Postgres, stored
from tests.support import PATIENCE, gate

if TYPE_CHECKING:
    import subprocess
    import threading
    from pathlib import Path

Emulate = Callable[..., Emulator]

pytestmark = pytest.mark.warehouse

PARTS = ("tap-zentra", "target-postgres", "meltano", "database")
"""What can be killed."""

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
KILLS = int(os.environ.get("RELIABILITY_KILLS", "50"))
PAGE_SIZE = 20
RECORDS = 60
CALLS = 12
"""Pages of four devices that have so many new records."""


def devices() -> list[Device]:
    """Return four devices, one with a profile probe and gaps."""
    first, *others = (replace(device, sensors=device.sensors[-4:]) for device in fleet(4, records=RECORDS))
    return [replace(first, gaps=((10, 27), (40, 41))), *others]


@dataclass(frozen=True)
class Pipeline:
    """What is attacked: Meltano with the tap and the target, a service and a database of their own.

    Attributes:
        project: The Meltano project.
        emulator: The service.
        postgres: The database, and what the target stores there.
    """

    project: MeltanoProject
    emulator: Emulator
    postgres: Postgres

    @property
    def variables(self) -> dict[str, str]:
        """What Meltano, the tap and the target find in their environment."""
        return {
            **self.emulator.environment,
            **self.postgres.warehouse.environment,
            "TAP_ZENTRA_PAGE_SIZE": str(PAGE_SIZE),
            # Short, so that already the first calls bring what is new.
            "TAP_ZENTRA_MRID_LOOKBACK": "5",
            "TARGET_POSTGRES_BATCH_SIZE_ROWS": "100",
            "TARGET_POSTGRES_DEFAULT_TARGET_SCHEMA": self.postgres.schema,
        }

    def start(self) -> subprocess.Popen[bytes]:
        """Start a run."""
        self.emulator.let_window_pass()
        # Meltano takes a run whose end it has not seen for one that is still going on.
        command = ("--environment=prod", "run", "--force", "tap-zentra", "target-postgres")
        with (self.project.folder / "log").open("ab") as log:
            return self.project.start(log, *command, **self.variables)

    def run(self) -> int:
        """Run to the end and return the exit code."""
        return self.start().wait(PATIENCE)

    def kill(self, part: str, number: int, call: int) -> None:
        """Start a run, and send a signal to a part of it while the answer to its n-th call is on its way.

        The target is hit once it has stored something; its table must be there before.
        """
        storing = self.postgres.storing() if part == "target-postgres" else contextlib.nullcontext(lambda: None)
        with storing as wait_until_stored, gate(self.emulator, first_held=call) as answers:
            process = self.start()
            _wait(answers.reached, process)
            wait_until_stored()
            processes = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
            self._part(part, processes).send_signal(number)
        # What a killed run leaves behind drains by itself.
        _, alive = psutil.wait_procs(processes, timeout=PATIENCE)
        assert alive == []
        process.wait()
        if part == "database":
            self.restart_database()

    def restart_database(self) -> None:
        """Start the database again, after it was killed."""
        self.postgres.warehouse.__exit__(None, None, None)
        self.postgres.warehouse.__enter__()

    def require_complete(self) -> None:
        """Repeat the run, and compare the table with the fleet."""
        assert self.run() == 0, (self.project.folder / "log").read_text(errors="replace")[-3000:]
        assert self.postgres.rows() == stored(self.emulator)

    def database(self) -> psutil.Process:
        """Return the database's first process."""
        return psutil.Process(self.postgres.warehouse._process.pid)  # noqa: SLF001 - to kill it

    def _part(self, name: str, processes: list[psutil.Process]) -> psutil.Process:
        if name == "database":
            return self.database()
        if name == "meltano":
            return processes[0]
        return next(process for process in processes if any(word.endswith(f"/{name}") for word in _command(process)))


def _command(process: psutil.Process) -> list[str]:
    """Return a process's command; nothing if it has just ended, as Meltano's helpers do."""
    try:
        return process.cmdline()
    except psutil.NoSuchProcess:
        return []


def _wait(event: threading.Event, process: subprocess.Popen[bytes]) -> None:
    """Wait for an event that a run brings about, unless it ends before."""
    while not event.wait(1):
        assert process.poll() is None


@pytest.fixture
def pipeline(installed: Path, own_postgres: Postgres, emulate: Emulate, tmp_path: Path) -> Pipeline:
    """A pipeline that has not run yet."""
    project = MeltanoProject(borrow_plugins(installed, tmp_path / "project"), {})
    return Pipeline(project, emulate(*devices(), meets_limit=True), own_postgres)


def test_a_killed_run_and_a_repeat_are_complete(pipeline: Pipeline) -> None:
    """When Meltano is killed in the middle of a backfill, the next run makes the table whole."""
    pipeline.kill("meltano", signal.SIGKILL, call=5)

    pipeline.require_complete()


@pytest.mark.long
def test_many_killed_runs_and_repeats_are_complete(pipeline: Pipeline) -> None:
    """Every part, every signal, at calls chosen at random, the target while it stores."""
    chance = random.Random(1)  # noqa: S311 - nothing secret
    pipeline.require_complete()
    for kill in range(KILLS):
        pipeline.emulator.grow(RECORDS)
        part, number = PARTS[kill % len(PARTS)], SIGNALS[kill // len(PARTS) % len(SIGNALS)]
        # Before the fourth call there may be nothing to store.
        call = chance.randint(4, CALLS)
        pipeline.kill(part, number, call)
        pipeline.require_complete()
        print(f"{kill + 1}: {part}, {number.name} at call {call}")  # noqa: T201


def test_a_full_disk_of_the_database_loses_nothing(pipeline: Pipeline) -> None:
    """While the database can't write, the run fails; once it can again, a repeat makes the table whole."""
    database = pipeline.database()
    # What every process of the server may write of a file: as good as a disk that is full.
    for process in (database, *database.children(recursive=True)):
        with contextlib.suppress(ProcessLookupError):  # some serve for a moment only
            resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))

    assert pipeline.run() != 0
    database.kill()
    pipeline.restart_database()
    pipeline.require_complete()
