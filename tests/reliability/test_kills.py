"""Kills at random moments of runs into PostgreSQL: after one clean repeat the table is complete, without duplicates."""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import resource
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import replace

import psutil
import pytest

from tap_zentra.emulator import Device, Emulator, fleet
from tests.reliability.pipeline import PARTS, Pipeline, end_of
from tests.support import held

Emulate = Callable[..., Emulator]

pytestmark = pytest.mark.warehouse

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
KILLS = int(os.environ.get("RELIABILITY_KILLS", "50"))
PAGE_SIZE = 50


def devices() -> list[Device]:
    """Return four loggers, one with a profile probe and gaps."""
    first, *others = (replace(device, sensors=device.sensors[-4:]) for device in fleet(4, records=150))
    return [replace(first, gaps=((40, 97), (130, 131))), *others]


def kill(pipeline: Pipeline, emulator: Emulator, part: str, number: int, moment: float) -> bool:
    """Start a run, and kill a part of it after some seconds; return whether there still was something to kill."""
    started = time.monotonic()
    process = pipeline.start(emulator, page_size=PAGE_SIZE)
    run = psutil.Process(process.pid)
    left_behind: dict[int, psutil.Process] = {run.pid: run}
    hit = False
    while not hit and process.poll() is None:
        left_behind |= {child.pid: child for child in run.children(recursive=True)}
        victim = pipeline.part(run, part) if time.monotonic() >= started + moment else None
        if victim is not None:
            victim.send_signal(number)
            hit = True
        else:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.02)
    end_of([child for child in left_behind.values() if child.pid != run.pid])
    process.wait(60)
    return hit


def check_kill(pipeline: Pipeline, emulator: Emulator, part: str, number: int, moment: float) -> bool:
    """Kill a run, repeat it, and compare the table with the fleet."""
    hit = kill(pipeline, emulator, part, number, moment)
    if part == "database":
        pipeline.database_restarts()
    assert pipeline.run(emulator, page_size=PAGE_SIZE) == 0, pipeline.log[-3000:]
    assert pipeline.table() == held(emulator)
    return hit


def test_a_killed_run_and_a_repeat_are_complete(pipeline: Pipeline, emulate: Emulate) -> None:
    """When Meltano is killed in the middle of a run, the next one makes the table whole."""
    assert check_kill(pipeline, emulate(*devices()), "meltano", signal.SIGKILL, 3.0)


@pytest.mark.long
def test_many_killed_runs_and_repeats_are_complete(pipeline: Pipeline, emulate: Emulate) -> None:
    """Every part, every signal, at random moments from the start to the end of a run; each into a table of its own."""
    emulator = emulate(*devices())
    began = time.monotonic()
    assert pipeline.run(emulator, page_size=PAGE_SIZE) == 0, pipeline.log[-3000:]
    length = time.monotonic() - began
    chance = random.Random(1)  # noqa: S311 - nothing secret
    kills = 0
    for number in itertools.count():
        pipeline.schema = f"kill_{number}"
        part, signal_number = PARTS[number % len(PARTS)], SIGNALS[number // len(PARTS) % len(SIGNALS)]
        moment = chance.uniform(0, length)
        if check_kill(pipeline, emulator, part, signal_number, moment):
            kills += 1
            print(f"{kills}: {part}, {signal.Signals(signal_number).name} after {moment:.1f} s of {length:.1f} s")  # noqa: T201
        else:  # what was to be killed had ended before; so runs are shorter than that
            length = moment
        if kills == KILLS:
            return


def test_a_full_disk_of_the_database_loses_nothing(pipeline: Pipeline, emulate: Emulate) -> None:
    """While the database can't write, the run fails; once it can again, a repeat makes the table whole."""
    emulator = emulate(*devices())
    database = pipeline.part(psutil.Process(), "database")
    assert database is not None
    # What every process of the server may write of a file: as good as a disk that is full.
    for process in (database, *database.children(recursive=True)):
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))

    assert pipeline.run(emulator, page_size=PAGE_SIZE) != 0
    database.kill()
    pipeline.database_restarts()
    assert pipeline.run(emulator, page_size=PAGE_SIZE) == 0, pipeline.log[-3000:]
    assert pipeline.table() == held(emulator)
