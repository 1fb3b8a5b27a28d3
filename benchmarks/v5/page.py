"""How long a month takes from its body to RECORD lines: the tap, msgspec alone, and METER's client, in turn."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.children import run
from benchmarks.tables import Table, judged
from benchmarks.v5.meter import meter
from benchmarks.v5.months import KINDS, build, readings_in

if TYPE_CHECKING:
    from pathlib import Path

OF_MSGSPEC = 0.6
OF_METER = 4.0
ALIKE = 1.3
"""What a field that nobody knows may cost."""

CODE = b'"error_code":0'


@dataclass(frozen=True)
class Way:
    """A way from a page to RECORDs.

    Attributes:
        name: Who goes it.
        body: Name of the page.
        compared_to: The name of the tap's way that it is compared to; None: to none.
        to_reach: The tap's speed, of this way's; of the tap's own ways this way's, of the other's.
    """

    name: str
    body: str
    compared_to: str | None = None
    to_reach: float = 0


PLAIN, IDENTIFIED, UNKNOWN = "month", "month with ids", "month with an unknown field"
"""Pages: the second one has a `position` and a `reading_id` in each row."""

WAYS = (
    Way("tap", PLAIN),
    Way("msgspec", PLAIN, PLAIN, OF_MSGSPEC),
    Way("meter", PLAIN, PLAIN, OF_METER),
    Way("tap", IDENTIFIED),
    Way("msgspec", IDENTIFIED, IDENTIFIED, OF_MSGSPEC),
    Way("meter", IDENTIFIED, IDENTIFIED, OF_METER),
    Way("tap", UNKNOWN, PLAIN, 1 / ALIKE),
)
NAMES = {"msgspec": "msgspec alone, untyped (the limit)", "meter": "METER's client, models only"}


def measure(work: Path, *, quick: bool) -> Table:
    """Measure all in turn, several times, each time in a process of its own.

    The least time of each counts: other work on the machine makes a program slower, by up to twice, and never faster.
    """
    table = Table("v5: from a page to RECORDs", ("what", "page", "MB", "readings/s of CPU", "tap, of it", "to reach"))
    kind = KINDS["quarter-hours" if quick else "five-minutes"]
    (plain,) = build(kind, 1)
    (identified,) = build(kind, 1, identified=True)
    bodies = {PLAIN: plain, IDENTIFIED: identified, UNKNOWN: plain.replace(CODE, CODE + b',"quality":1')}
    for name, content in bodies.items():
        (work / name).write_bytes(content)
    ways = [way for way in WAYS if way.name != "meter" or not quick]
    seconds = _least(work, ways, rounds=1 if quick else 5)
    for way, taken in seconds.items():
        table.add(
            NAMES.get(way.name, way.name),
            way.body,
            f"{len(bodies[way.body]) / 1e6:.0f}",
            f"{readings_in(kind, 1) / taken:,.0f}",
            *_compared(way, seconds),
        )
    return table


def _compared(way: Way, seconds: dict[Way, float]) -> tuple[str, str]:
    """Return how fast the tap is, of a way, and what is to be reached; nothing if it is compared to none."""
    if way.compared_to is None:
        return "", ""
    tap = seconds[Way("tap", way.compared_to)]
    ratio = tap / seconds[way] if way.name == "tap" else seconds[way] / tap
    return judged(-ratio, -way.to_reach, f"{ratio:.2f}"), f"≥ {way.to_reach:.2g}"


def _least(work: Path, ways: list[Way], *, rounds: int) -> dict[Way, float]:
    """Return the least seconds of each way."""
    result = work / "seconds.json"
    taken: dict[Way, list[float]] = {way: [] for way in ways}
    for _ in range(rounds):
        for way in ways:
            body = str(work / way.body)
            if way.name == "meter":
                meter("page", body, str(result))
            else:
                run(sys.executable, "-m", "benchmarks.v5.ways", way.name, body, str(result))
            taken[way].append(json.loads(result.read_text()))
    return {way: min(seconds) for way, seconds in taken.items()}
