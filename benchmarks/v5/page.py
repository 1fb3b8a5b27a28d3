"""How long a month takes from its body to RECORD lines: the tap, msgspec alone, and METER's client, in turn."""

from __future__ import annotations

import json
import statistics
import sys
from typing import TYPE_CHECKING

from benchmarks.children import run
from benchmarks.tables import Table, judged
from benchmarks.v5.meter import meter
from benchmarks.v5.months import KINDS, build, readings_in

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

OF_MSGSPEC = 0.6
OF_METER = 4.0
ALIKE = 1.3
"""What a field that nobody knows may cost."""

CODE = b'"error_code":0'


def measure(work: Path, *, quick: bool) -> Table:
    """Measure all in turn, several times, each time in a process of its own; medians count."""
    table = Table("v5: from a page to RECORDs", ("what", "MB", "readings/s of CPU", "tap, of it", "to reach"))
    kind = KINDS["quarter-hours" if quick else "five-minutes"]
    (body,) = build(kind, 1)
    bodies = {"body": body, "unknown": body.replace(CODE, CODE + b',"quality":1')}
    for name, content in bodies.items():
        (work / name).write_bytes(content)
    seconds = _medians(work, rounds=1 if quick else 5, with_meter=not quick)
    readings = readings_in(kind, 1)
    tap = seconds["tap"]
    goals: Mapping[str, tuple[float, str]] = {
        "tap": (0, ""),
        "msgspec": (OF_MSGSPEC, f"≥ {OF_MSGSPEC:g}"),
        "METER's client": (OF_METER, f"≥ {OF_METER:g}"),
        "tap, rows with an unknown field": (1 / ALIKE, f"≥ {1 / ALIKE:.2f}"),
    }
    names = {"msgspec": "msgspec alone, untyped (the limit)", "METER's client": "METER's client, models only"}
    for way, taken in seconds.items():
        ratio = taken / tap if way != "tap, rows with an unknown field" else tap / taken
        least, goal = goals[way]
        size = len(bodies["unknown" if "unknown" in way else "body"]) / 1e6
        shown = "" if way == "tap" else judged(-ratio, -least, f"{ratio:.2f}")
        table.add(names.get(way, way), f"{size:.0f}", f"{readings / taken:,.0f}", shown, goal)
    return table


def _medians(work: Path, *, rounds: int, with_meter: bool) -> dict[str, float]:
    """Return the seconds of each way."""
    body, unknown, result = str(work / "body"), str(work / "unknown"), work / "seconds.json"
    taken: dict[str, list[float]] = {}
    ways = {"tap": ("tap", body), "msgspec": ("msgspec", body), "tap, rows with an unknown field": ("tap", unknown)}
    for _ in range(rounds):
        for name, way in ways.items():
            run(sys.executable, "-m", "benchmarks.v5.ways", *way, str(result))
            taken.setdefault(name, []).append(json.loads(result.read_text()))
        if with_meter:
            meter("page", body, str(result))
            taken.setdefault("METER's client", []).append(json.loads(result.read_text()))
    return {name: statistics.median(seconds) for name, seconds in taken.items()}
