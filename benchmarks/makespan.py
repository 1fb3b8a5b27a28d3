"""How long a sync takes, from its first call to its last, against what the call limits demand."""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.bounds import lower_bound, sequential
from benchmarks.calls import calls_of_devices, limit_faults, makespan, read_calls
from benchmarks.children import TAP, run
from benchmarks.output import Messages, missing_faults
from benchmarks.services import devices, emulator
from benchmarks.tables import Table, judged
from tap_zentra.emulator import Emulator
from tap_zentra.v4.readings import READINGS_KEY

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from benchmarks.output import Key

PAGE_SIZE = 10
USER_LIMIT = 60
FAULTS = ("--fault-rate=0.1", "--fault-kinds=500,lockout")


@dataclass(frozen=True)
class Case:
    """A fleet.

    Attributes:
        name: What it is.
        pages: Of each device.
        window: Seconds that stand for the service's minute; whole ones where calls fail, as lock-outs last that.
        to_reach: Largest share of the lower bound.
        failing: Whether a tenth of the calls fail.
        calls_at_once: Of the tap; few where the machine may be busy with other things, so that no call is late.
    """

    name: str
    pages: Sequence[int]
    window: float
    to_reach: float = 1.05
    failing: bool = False
    calls_at_once: int = 16


CASES = (
    Case("1 device × 6 pages", [6], 2),
    Case("60 × 18", [18] * 60, 3),
    Case("200 × 1", [1] * 200, 3),
    Case("120 devices: one × 40, the others × 1 to 3", [40, *(1 + place % 3 for place in range(119))], 3),
    Case("60 × 6, 10 % of the calls fail", [6] * 60, 2, to_reach=1.25, failing=True),
    Case("30 × 10", [10] * 30, 1, to_reach=1.15),
)
QUICK_CASES = (
    Case("1 device × 3 pages", [3], 1),
    Case("70 × 2", [2] * 70, 1, calls_at_once=4),
    Case("12 × 4, 10 % of the calls fail", [4] * 12, 1, to_reach=1.25, failing=True),
)
SMALL_CASE = Case("3 × 3, by the sequential client", [3] * 3, 1)


def measure(work: Path, *, quick: bool) -> Table:
    """Measure the tap on every case, and a sequential client on a small one."""
    table = Table(
        "Makespan",
        ("fleet", "window", "calls", "lower bound", "tap", "tap / lower bound", "to reach", "sequential client"),
    )
    for number, case in enumerate(QUICK_CASES if quick else CASES):
        _add_tap(table, case, work / f"makespan-{number}.log")
    _add_sequential(table, SMALL_CASE, work / "sequential.log")
    return table


def _add_tap(table: Table, case: Case, log: Path) -> None:
    messages = Messages()
    options = FAULTS if case.failing else ()
    with emulator(log, case.pages, *options, page_size=PAGE_SIZE, window=case.window) as settings:
        limited = {**settings, "max_concurrent_calls": str(case.calls_at_once)}
        run(TAP, "--config=ENV", settings=limited, read=messages.read)
    calls = read_calls(log)
    table.note(case.name, limit_faults(calls), missing_faults(messages.readings, expected_keys(case.pages)))
    # A call that fails has used up its device's window.
    pages = calls_of_devices(calls) if case.failing else case.pages
    bound = lower_bound(pages, window=case.window, user_limit=USER_LIMIT)
    one_by_one = sequential(pages, window=case.window, user_limit=USER_LIMIT)
    took = makespan(calls)
    table.add(
        case.name,
        f"{case.window:g} s",
        str(len(calls)),
        f"{bound:.1f} s",
        f"{took:.2f} s",
        judged(took / bound, case.to_reach, f"{took / bound:.3f}"),
        f"≤ {case.to_reach:g}",
        f"{one_by_one:.0f} s ({one_by_one / took:.0f} ×)",
    )


def _add_sequential(table: Table, case: Case, log: Path) -> None:
    with emulator(log, case.pages, page_size=PAGE_SIZE, window=case.window) as settings:
        run(sys.executable, "-m", "benchmarks.sequential_client", settings=settings)
    calls = read_calls(log)
    table.note(case.name, limit_faults(calls))
    bound = lower_bound(case.pages, window=case.window, user_limit=USER_LIMIT)
    one_by_one = sequential(case.pages, window=case.window, user_limit=USER_LIMIT)
    table.add(
        case.name,
        f"{case.window:g} s",
        str(len(calls)),
        f"{bound:.1f} s",
        "-",
        "-",
        "-",
        f"{one_by_one:.1f} s, measured: {makespan(calls):.2f} s",
    )


def expected_keys(pages: Sequence[int]) -> Counter[Key]:
    """Return the keys of all readings that the emulator holds."""
    readings = Emulator(devices(pages, PAGE_SIZE)).readings()
    return Counter(tuple(reading[name] for name in READINGS_KEY) for reading in readings)  # type: ignore[misc]
