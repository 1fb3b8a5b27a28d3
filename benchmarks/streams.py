"""What `sensors` and `devices` cost where they are selected: readings a second and memory, without and with them."""

from __future__ import annotations

import statistics
from functools import partial
from typing import TYPE_CHECKING

from benchmarks.services import selecting
from benchmarks.tables import Table, judged
from benchmarks.throughput import tap_speed
from benchmarks.v5.memory import tap_speed as tap_speed_v5

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from benchmarks.throughput import Speed

MEGABYTE = 1_000_000
PAGE_SIZE = 2000
KIND = "quarter-hours"
FOLLOWING = ("sensors", "devices")
SPEED_SHARE = 0.9


def measure(work: Path, *, quick: bool) -> Table:
    """Measure both APIs, each without and with the streams in turn; medians count."""
    table = Table(
        "Streams that call for nothing",
        (
            "API",
            "streams",
            "readings",
            "readings/s",
            "readings/s of CPU",
            "of the readings alone",
            "to reach",
            "peak RSS",
        ),
    )
    devices, pages, rounds = (2, 1, 1) if quick else (12, 2, 5)
    v4 = partial(tap_speed, work / "v4.log", devices, pages, PAGE_SIZE)
    v5 = partial(tap_speed_v5, work / "v5.log", devices, pages, KIND)
    for api_version, readings, speed in (("v4", "readings", v4), ("v5", "readings_v5", v5)):
        alone = selecting(work, readings, api_version=api_version)
        together = selecting(work, readings, *FOLLOWING, api_version=api_version)
        runs: dict[str, list[Speed]] = {alone: [], together: []}
        for _ in range(rounds):
            for option, speeds in runs.items():
                (work / f"{api_version}.log").unlink(missing_ok=True)
                speeds.append(speed(option))
                table.note(f"{api_version} {option}", speeds[-1].faults)
        least = _cpu_rate(runs[alone])
        for names, option in ((readings, alone), (", ".join((readings, *FOLLOWING)), together)):
            share = _cpu_rate(runs[option]) / least
            table.add(
                api_version,
                names,
                f"{runs[option][0].readings:,}",
                f"{statistics.median(one.readings / one.seconds for one in runs[option]):,.0f}",
                f"{_cpu_rate(runs[option]):,.0f}",
                "" if option == alone else judged(-share, -SPEED_SHARE, f"{share:.2f}"),
                "" if option == alone else f"≥ {SPEED_SHARE:g}",
                f"{max(one.run.peak_rss for one in runs[option]) / MEGABYTE:.0f} MB",
            )
    return table


def _cpu_rate(speeds: Sequence[Speed]) -> float:
    return statistics.median(one.readings / one.run.cpu for one in speeds)
