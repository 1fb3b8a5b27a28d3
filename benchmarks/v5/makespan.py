"""How long a sync of API v5 takes, from its first call for readings to its last, against what the limits demand."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.bounds import lower_bound_v5, sequential_v5
from benchmarks.calls import limit_faults, makespan, of_devices, read_calls, refused
from benchmarks.children import TAP, run
from benchmarks.output import Messages, RecordV5, missing_faults
from benchmarks.tables import Table, judged
from benchmarks.v5.meter import meter
from benchmarks.v5.months import END
from benchmarks.v5.services import emulator, expected_keys

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from benchmarks.calls import Call

WINDOW = 3.0
TO_REACH = 1.05


@dataclass(frozen=True)
class Case:
    """A fleet.

    Attributes:
        name: What it is.
        months: Of each device.
        window: Seconds that stand for the service's minute.
    """

    name: str
    months: Sequence[int]
    window: float = WINDOW


CASES = (
    Case("1 × 20 months", [20]),
    Case("60 × 20", [20] * 60),
    Case("120 devices × 1 to 20", [1 + place % 20 for place in range(120)]),
)
QUICK_CASES = (Case("1 × 8 months", [8], 1), Case("20 × 1 to 7", [1 + place % 7 for place in range(20)], 1))

METER_CASES = ((Case("60 × 20", [20] * 60), 60), (Case("2 × 20", [20] * 2), 1))
"""Fleets that METER's client reads, and devices at once. One after the other, time grows with the number of devices."""


def measure(work: Path, *, quick: bool) -> Table:
    """Measure the tap on every case, and METER's client on some."""
    table = Table(
        "v5: makespan",
        ("client", "fleet", "window", "calls", "of them refused", "lower bound", "took", "took / bound", "to reach"),
    )
    for number, case in enumerate(QUICK_CASES if quick else CASES):
        _add_tap(table, case, work / f"makespan-{number}.log")
    for case, at_once in () if quick else METER_CASES:
        _add_meter(table, case, at_once, work / f"meter-{at_once}.log")
    return table


def _add_tap(table: Table, case: Case, log: Path) -> None:
    messages = Messages(RecordV5)
    with emulator(log, case.months, window=case.window) as settings:
        run(TAP, "--config=ENV", settings=settings, read=messages.read)
    calls = read_calls(log)
    table.note(case.name, limit_faults(calls), missing_faults(messages.readings, expected_keys(case.months)))
    _add(table, "tap", case, calls, f"≤ {TO_REACH:g}")


def _add_meter(table: Table, case: Case, at_once: int, log: Path) -> None:
    with emulator(log, case.months, window=case.window) as settings:
        asked = (settings["api_url"], settings["auth_token"], END, at_once)
        meter("sync", *map(str, asked), *json.loads(str(settings["device_sns"])))
    how = "device after device" if at_once == 1 else f"{at_once} threads"
    whole_fleet = sequential_v5([20] * 60, window=case.window)
    more = "" if at_once > 1 else f"60 × 20 device after device: at least {whole_fleet:.0f} s"
    _add(table, f"METER's client, {how}", case, read_calls(log), more)


def _add(table: Table, client: str, case: Case, calls: Sequence[Call], to_reach: str) -> None:
    took = makespan(of_devices(calls))
    bound = lower_bound_v5(case.months, window=case.window)
    table.add(
        client,
        case.name,
        f"{case.window:g} s",
        str(len(calls)),
        str(len(refused(calls))),
        f"{bound:.1f} s",
        f"{took:.2f} s",
        judged(took / bound, TO_REACH, f"{took / bound:.3f}"),
        to_reach,
    )
