"""The tap's peak memory, and whether it grows with the number of pages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.tables import Table, judged
from benchmarks.throughput import tap_speed

if TYPE_CHECKING:
    from pathlib import Path

MEGABYTE = 1_000_000
TO_REACH = 250 * MEGABYTE

SIZES = ((60, 18, 2000), (60, 18, 200), (60, 72, 200))
"""Devices, pages of each, records of a page."""

QUICK_SIZES = ((6, 2, 2000), (20, 2, 200))
LONG_SIZES = ((60, 72, 2000),)


def measure(work: Path, *, quick: bool) -> Table:
    """Measure runs of few and of many pages."""
    return _measure(work, QUICK_SIZES if quick else SIZES)


def measure_long(work: Path, *, quick: bool) -> Table:
    """Measure the run that takes longer than all others together."""
    return _measure(work, QUICK_SIZES if quick else LONG_SIZES)


def _measure(work: Path, sizes: tuple[tuple[int, int, int], ...]) -> Table:
    table = Table("Memory", ("fleet", "records of a page", "readings", "peak RSS", "to reach"))
    for devices, pages, page_size in sizes:
        name = f"{devices} × {pages}"
        speed = tap_speed(work / f"memory-{devices}-{pages}-{page_size}.log", devices, pages, page_size)
        table.note(name, speed.faults)
        peak = speed.run.peak_rss
        table.add(
            name, str(page_size), f"{speed.readings:,}", judged(peak, TO_REACH, f"{peak / MEGABYTE:.0f} MB"), "≤ 250 MB"
        )
    return table
