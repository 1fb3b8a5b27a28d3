"""How long a sync takes, from its first call to its last, against what the call limits demand.

All streams are read, unless a case says otherwise: `devices` and `sensors` call for nothing, and the calls of
`env_model_data` count like those of the readings.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchmarks.bounds import USER_LIMIT, lower_bound, sequential
from benchmarks.calls import calls_of_devices, limit_faults, makespan, read_calls, refused
from benchmarks.children import TAP, run
from benchmarks.output import Messages, missing_faults
from benchmarks.services import devices, emulator, selecting, serial_numbers
from benchmarks.tables import Table, judged
from tap_zentra.emulator import Emulator
from tap_zentra.emulator.sensors import ATMOS_41
from tap_zentra.settings import MODEL_TYPES
from tap_zentra.v4.readings import READINGS_KEY

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from benchmarks.output import Key

PAGE_SIZE = 10
STATIONS = "env_model_data"
INPUTS = {"elevation": 806.0, "latitude": 32.25, "wind_measurement_height": 2.0}
"""Of a weather station."""
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
        stations: Entries of `env_models` of the first devices, at most two of each; every one takes one call.
        only_stations: Whether nothing but `env_model_data` is selected.
        calls_at_once: Of the tap; few where the machine may be busy with other things, so that no call is late.
    """

    name: str
    pages: Sequence[int]
    window: float
    to_reach: float = 1.05
    failing: bool = False
    stations: Sequence[int] = ()
    only_stations: bool = False
    calls_at_once: int = 16

    @property
    def calls(self) -> list[int]:
        """Calls that each device needs, of all streams."""
        stations = [*self.stations, *[0] * (len(self.pages) - len(self.stations))]
        pages = [0] * len(self.pages) if self.only_stations else self.pages
        return [sum(both) for both in zip(pages, stations, strict=True)]

    @property
    def env_models(self) -> list[dict[str, Any]]:
        """The setting of this name."""
        return [
            {"device_sn": device_sn, "port_number": ATMOS_41.port, "model_type": model_type, **INPUTS}
            for device_sn, count in zip(serial_numbers(len(self.stations)), self.stations, strict=True)
            for model_type in MODEL_TYPES[:count]
        ]


CASES = (
    Case("1 device × 6 pages", [6], 2),
    Case("60 × 18", [18] * 60, 3),
    Case("200 × 1", [1] * 200, 3),
    Case("120 devices: one × 40, the others × 1 to 3", [40, *(1 + place % 3 for place in range(119))], 3),
    Case("60 × 6, 10 % of the calls fail", [6] * 60, 2, to_reach=1.25, failing=True),
    Case("30 × 10", [10] * 30, 1, to_reach=1.15),
    Case("60 × 6, 20 of them with a station", [6] * 60, 3, stations=[1] * 20),
    Case("1 × 6 with two stations", [6], 3, stations=[2]),
    Case("150 × two stations, no readings", [1] * 150, 3, stations=[2] * 150, only_stations=True),
)
QUICK_CASES = (
    Case("1 device × 3 pages", [3], 1),
    Case("70 × 2", [2] * 70, 1, calls_at_once=4),
    Case("12 × 4, 10 % of the calls fail", [4] * 12, 1, to_reach=1.25, failing=True),
    Case("20 × 3, 7 of them with a station", [3] * 20, 1, stations=[1] * 7, calls_at_once=4),
    Case("1 × 1 with two stations, no readings", [1], 1, stations=[2], only_stations=True),
)
SMALL_CASE = Case("3 × 3, by the sequential client", [3] * 3, 1)


def measure(work: Path, *, quick: bool) -> Table:
    """Measure the tap on every case, and a sequential client on a small one."""
    table = Table(
        "Makespan",
        (
            "fleet",
            "window",
            "calls",
            "of them refused",
            "lower bound",
            "tap",
            "tap / lower bound",
            "to reach",
            "sequential client",
        ),
    )
    for number, case in enumerate(QUICK_CASES if quick else CASES):
        _add_tap(table, case, work / f"makespan-{number}.log")
    _add_sequential(table, SMALL_CASE, work / "sequential.log")
    return table


def _add_tap(table: Table, case: Case, log: Path) -> None:
    messages = Messages()
    options = FAULTS if case.failing else ()
    selected = [selecting(log.parent, STATIONS)] if case.only_stations else []
    with emulator(log, case.pages, *options, page_size=PAGE_SIZE, window=case.window) as settings:
        settings |= {"max_concurrent_calls": case.calls_at_once, "env_models": json.dumps(case.env_models)}
        run(TAP, "--config=ENV", *selected, settings=settings, read=messages.read)
    calls = read_calls(log)
    readings = Counter() if case.only_stations else expected_keys(case.pages)
    table.note(case.name, limit_faults(calls), missing_faults(messages.readings, readings))
    table.note(case.name, day_faults(case, messages.records[STATIONS]))
    # A call that fails has used up its device's window.
    needed = calls_of_devices(calls) if case.failing else case.calls
    bound = lower_bound(needed, window=case.window, user_limit=USER_LIMIT)
    one_by_one = sequential(needed, window=case.window, user_limit=USER_LIMIT)
    took = makespan(calls)
    table.add(
        case.name,
        f"{case.window:g} s",
        str(len(calls)),
        str(len(refused(calls))),
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
        str(len(refused(calls))),
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


def day_faults(case: Case, days: int) -> list[str]:
    """Say whether there are too few or too many days of weather stations."""
    held = Emulator(devices(case.pages, PAGE_SIZE))
    expected = sum(
        len(held.env_model(one["device_sn"], one["port_number"], one["model_type"], **INPUTS))
        for one in case.env_models
    )
    return [] if days == expected else [f"{days} days of weather stations came instead of {expected}"]
