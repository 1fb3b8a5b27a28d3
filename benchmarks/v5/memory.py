"""The tap's peak memory with API v5, whose pages are months."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from benchmarks.calls import read_calls
from benchmarks.children import TAP, run
from benchmarks.output import missing_faults, readings_told
from benchmarks.tables import Table, judged
from benchmarks.throughput import Speed
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
        speed = tap_speed(log, count, months, kind)
        table.note(name, speed.faults)
        peak = speed.run.peak_rss
        table.add(
            name,
            kind,
            f"{speed.readings:,}",
            f"{speed.readings / speed.seconds:,.0f}",
            f"{speed.readings / speed.run.cpu:,.0f}",
            judged(peak, to_reach * MEGABYTE, f"{peak / MEGABYTE:.0f} MB"),
            f"≤ {to_reach} MB",
        )
    return table


def tap_speed(log: Path, count: int, months: int, kind: str, *options: str) -> Speed:
    """Let the tap read devices that all have the same months, with its output to the null device.

    Args:
        log: The call log.
        count: How many.
        months: Of each.
        kind: Of device, as `benchmarks.v5.canned` knows it.
        options: Of the tap.
    """
    with canned(log, count=count, months=months, kind=kind) as settings:
        done = run(TAP, "--config=ENV", *options, settings=settings)
    device_sns = json.loads(str(settings["device_sns"]))
    expected = dict.fromkeys(device_sns, readings_in(KINDS[kind], months))
    faults = missing_faults(readings_told(done.stderr), expected)
    seconds = done.ended - read_calls(log)[0].time.timestamp()
    return Speed(done, sum(expected.values()), seconds, faults)
