"""Readings a second, from body to RECORD line, where the call limits do not bind and nothing else is selected."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.calls import read_calls
from benchmarks.canned import readings_in
from benchmarks.children import TAP, Run, run
from benchmarks.output import missing_faults, readings_told
from benchmarks.services import canned, selecting, serial_numbers
from benchmarks.tables import Table, judged

if TYPE_CHECKING:
    from pathlib import Path

PAGE_SIZE = 2000
QUOTA = 60
"""Pages a minute that the account's limit allows."""

OF_FIRST = 0.7
"""What is to be left of the speed where there is a field that nobody knows."""


@dataclass(frozen=True)
class Speed:
    """What a run of the tap took.

    Attributes:
        run: The run.
        readings: How many it read.
        seconds: From the first call's arrival to the run's end.
        faults: What went wrong.
    """

    run: Run
    readings: int
    seconds: float
    faults: list[str]


def tap_speed(
    log: Path,
    devices: int,
    pages: int,
    page_size: int,
    *options: str,
    error_rate: float | None = None,
    unknown_fields: bool = False,
) -> Speed:
    """Let the tap read devices that all have the same pages, with its output to the null device.

    Args:
        log: The call log.
        devices: How many.
        pages: Of each.
        page_size: Records of a page.
        options: Of the tap.
        error_rate: Share of the values that are errors; None: the emulator's.
        unknown_fields: Whether each metadata and each reading has a field more that nobody knows.
    """
    device_sns = serial_numbers(devices)
    served = canned(log, pages=pages, page_size=page_size, error_rate=error_rate, unknown_fields=unknown_fields)
    with served as settings:
        done = run(TAP, "--config=ENV", *options, settings={**settings, "device_sns": json.dumps(device_sns)})
    expected = dict.fromkeys(device_sns, readings_in(pages, page_size))
    faults = missing_faults(readings_told(done.stderr), expected)
    seconds = done.ended - read_calls(log)[0].time.timestamp()
    return Speed(done, sum(expected.values()), seconds, faults)


def measure(work: Path, *, quick: bool) -> Table:
    """Measure the tap, msgspec alone and the SDK's default path with the same pages."""
    table = Table(
        "Readings a second, and keeping up",
        (
            "what",
            "pages",
            "readings/s",
            "to reach",
            "readings/s of CPU",
            "of the first row's",
            "to reach",
            "cores for 60 pages a minute",
            "to reach",
        ),
    )
    devices, pages = (6, 1) if quick else (60, 2)
    count = devices * pages
    alone = selecting(work, "readings")
    ways: tuple[tuple[str, float | None, bool], ...] = (
        ("tap", None, False),
        ("tap, a field that nobody knows in each metadata and reading", None, True),
        ("tap, bodies without the word NaN", 0.0, False),
    )
    first = 0.0
    for number, (name, error_rate, unknown_fields) in enumerate(ways):
        log = work / f"throughput-{number}.log"
        speed = tap_speed(log, devices, pages, PAGE_SIZE, alone, error_rate=error_rate, unknown_fields=unknown_fields)
        table.note(name, speed.faults)
        rate = speed.readings / speed.seconds
        cores = speed.run.cpu / count * QUOTA / 60
        of_cpu = speed.readings / speed.run.cpu
        first = first or of_cpu
        table.add(
            name,
            str(count),
            judged(-rate, -100_000, f"{rate:,.0f}"),
            "≥ 100,000",
            f"{of_cpu:,.0f}",
            judged(-of_cpu / first, -OF_FIRST, f"{of_cpu / first:.2f}") if unknown_fields else "",
            f"≥ {OF_FIRST:g}" if unknown_fields else "",
            judged(cores, 0.5, f"{cores:.2f}"),
            "≤ 0.5",
        )
    few = 1 if quick else 4
    for name, way in (("msgspec alone (the limit)", "msgspec"), ("SDK's default path", "sdk")):
        table.add(name, str(few), "-", "", f"{reference(work, way, few):,.0f}", "", "", "-", "")
    return table


def reference(work: Path, way: str, pages: int) -> float:
    """Return the readings a second of CPU of another way to do the same."""
    result = work / f"{way}.json"
    run(sys.executable, "-m", "benchmarks.reference", way, str(result), f"--pages={pages}")
    return float(json.loads(result.read_text()))
