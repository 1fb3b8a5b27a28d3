"""The tap's peak memory with API v5, whose pages are months."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from benchmarks.calls import read_calls
from benchmarks.children import TAP, run
from benchmarks.output import missing_faults, readings_told
from benchmarks.tables import Table, judged
from benchmarks.v5.months import KINDS, readings_in
from benchmarks.v5.services import canned

if TYPE_CHECKING:
    from pathlib import Path

MEGABYTE = 1_000_000

FLEETS = ((16, 4, "five-minutes", 400), (60, 12, "quarter-hours", 250))
"""Devices, months of each, kind of device, megabytes to reach."""

QUICK_FLEETS = ((6, 1, "quarter-hours", 250),)


def measure(work: Path, *, quick: bool) -> Table:
    """Measure fleets at a service without limits, so that all bodies are in memory for which there is room."""
    header = ("fleet", "kind", "readings", "readings/s", "readings/s of CPU", "peak RSS", "to reach")
    table = Table("v5: memory", header)
    for count, months, kind, to_reach in QUICK_FLEETS if quick else FLEETS:
        name = f"{count} × {months}"
        log = work / f"memory-{count}.log"
        with canned(log, count=count, months=months, kind=kind) as settings:
            done = run(TAP, "--config=ENV", settings=settings)
        device_sns = json.loads(str(settings["device_sns"]))
        expected = dict.fromkeys(device_sns, readings_in(KINDS[kind], months))
        table.note(name, missing_faults(readings_told(done.stderr), expected))
        total = sum(expected.values())
        table.add(
            name,
            kind,
            f"{total:,}",
            f"{total / (done.ended - read_calls(log)[0].time.timestamp()):,.0f}",
            f"{total / done.cpu:,.0f}",
            judged(done.peak_rss, to_reach * MEGABYTE, f"{done.peak_rss / MEGABYTE:.0f} MB"),
            f"≤ {to_reach} MB",
        )
    return table
