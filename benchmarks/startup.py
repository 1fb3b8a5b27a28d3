"""What the tap's start costs, against the start of a tap with one empty stream."""

from __future__ import annotations

import statistics
import sys
from typing import TYPE_CHECKING

from benchmarks.children import TAP, Run, run
from benchmarks.tables import Table, judged

if TYPE_CHECKING:
    from pathlib import Path

TO_REACH = 1.1
EMPTY_TAP = (sys.executable, "-m", "benchmarks.empty_tap", "--version")


def measure(work: Path, *, quick: bool) -> Table:  # noqa: ARG001 - all benchmarks are called alike
    """Start both in turn, many times, after once to have their bytecode written."""
    table = Table(
        "Start-up", ("what", "runs", "wall", "CPU", "wall, tap / empty tap", "CPU, tap / empty tap", "to reach")
    )
    rounds = 2 if quick else 15
    tap, empty = [], []
    for _ in range(1 + rounds):
        tap.append(run(TAP, "--version"))
        empty.append(run(*EMPTY_TAP))
    wall, cpu = _medians(tap[1:])
    empty_wall, empty_cpu = _medians(empty[1:])
    table.add("a tap with one empty stream", str(rounds), f"{empty_wall:.3f} s", f"{empty_cpu:.3f} s", "", "", "")
    table.add(
        "tap-zentra --version",
        str(rounds),
        f"{wall:.3f} s",
        f"{cpu:.3f} s",
        judged(wall / empty_wall, TO_REACH, f"{wall / empty_wall:.2f}"),
        judged(cpu / empty_cpu, TO_REACH, f"{cpu / empty_cpu:.2f}"),
        f"≤ {TO_REACH:g}",
    )
    return table


def _medians(runs: list[Run]) -> tuple[float, float]:
    """Return the medians of wall time and of CPU time, in seconds."""
    return statistics.median(one.wall for one in runs), statistics.median(one.cpu for one in runs)
