"""A large fleet with little to read of each device, against the same records of a few devices."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from benchmarks.canned import readings_in
from benchmarks.children import TAP, run
from benchmarks.output import Messages, bookmarks, missing_faults
from benchmarks.services import canned, serial_numbers
from benchmarks.tables import Table, judged
from benchmarks.throughput import Speed, tap_speed

if TYPE_CHECKING:
    from pathlib import Path

PAGE_SIZE = 50
FEW = 10
STATE_SHARE = 0.05
SPEED_SHARE = 0.8


def measure(work: Path, *, quick: bool) -> Table:
    """Measure both fleets in turn, and look through a whole output of the large one."""
    table = Table(
        "Many devices",
        (
            "fleet",
            "readings",
            "readings/s",
            "readings/s of CPU",
            "of the few devices'",
            "to reach",
            "STATE",
            "to reach",
        ),
    )
    many, rounds = (200, 1) if quick else (1000, 2)
    few_speeds, many_speeds = [], []
    for turn in range(rounds):
        few_speeds.append(tap_speed(work / f"few-{turn}.log", FEW, many // FEW, PAGE_SIZE))
        many_speeds.append(tap_speed(work / f"many-{turn}.log", many, 1, PAGE_SIZE))
    for speed in few_speeds + many_speeds:
        table.note("many devices", speed.faults)
    share, faults = state_share(work, many)
    table.note("many devices", faults)
    few_rate, many_rate = _rate(few_speeds), _rate(many_speeds)
    few_cpu, many_cpu = _cpu_rate(few_speeds), _cpu_rate(many_speeds)
    readings = f"{many_speeds[0].readings:,}"
    table.add(f"{FEW} × {many // FEW} pages of 50", readings, f"{few_rate:,.0f}", f"{few_cpu:,.0f}", "", "", "", "")
    table.add(
        f"{many} × 1 page of 50",
        readings,
        f"{many_rate:,.0f}",
        f"{many_cpu:,.0f}",
        judged(-many_rate / few_rate, -SPEED_SHARE, f"{many_rate / few_rate:.2f}"),
        f"≥ {SPEED_SHARE:g}",
        judged(share, STATE_SHARE, f"{share:.2%}"),
        f"≤ {STATE_SHARE:.0%}",
    )
    return table


def state_share(work: Path, devices: int) -> tuple[float, list[str]]:
    """Return which share of a large fleet's output is STATE, and what is missing in it."""
    messages = Messages()
    device_sns = serial_numbers(devices)
    with canned(work / "state.log", pages=1, page_size=PAGE_SIZE) as settings:
        run(TAP, "--config=ENV", settings={**settings, "device_sns": json.dumps(device_sns)}, read=messages.read)
    # Every device holds the same records: as many keys as readings, and each once.
    found: dict[str, int] = dict.fromkeys(device_sns, 0)
    for device_sn, *_ in messages.readings:
        found[device_sn] = found.get(device_sn, 0) + 1
    faults = missing_faults(found, dict.fromkeys(device_sns, readings_in(1, PAGE_SIZE)))
    faults += [f"{key} came {count} times" for key, count in messages.readings.items() if count > 1][:3]
    if bookmarks(messages.state) != dict.fromkeys(device_sns, PAGE_SIZE):
        faults.append("the last STATE is not that of a whole sync")
    return messages.state_bytes / messages.total_bytes, faults


def _rate(speeds: list[Speed]) -> float:
    return sum(speed.readings for speed in speeds) / sum(speed.seconds for speed in speeds)


def _cpu_rate(speeds: list[Speed]) -> float:
    return sum(speed.readings for speed in speeds) / sum(speed.run.cpu for speed in speeds)
