"""A sync that finds nothing new: a fleet at a service that takes its time, and one of as many devices as there are."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from benchmarks.bounds import USER_LIMIT, lower_bound
from benchmarks.calls import limit_faults, makespan, read_calls
from benchmarks.children import TAP, run
from benchmarks.output import Messages, bookmarks
from benchmarks.services import NO_LIMIT, emulator
from benchmarks.tables import Table, judged

if TYPE_CHECKING:
    from pathlib import Path

RECORDS = 250
"""Of each device: more than the look-back reads again."""

PAGE_SIZE = 2000
"""The setting's default: a full page has 9 MB."""


@dataclass(frozen=True)
class Fleet:
    """A fleet, and what its sync may take.

    Attributes:
        devices: How many.
        latency: Seconds that each response takes.
        window: Of the limits, in seconds.
        beyond: Seconds, start-up included, that the sync may take beyond what the limits demand.
    """

    devices: int
    latency: float
    window: float
    beyond: float

    @property
    def bound(self) -> float:
        """Seconds that the limits demand."""
        return lower_bound([1] * self.devices, window=self.window, user_limit=USER_LIMIT)


FLEETS = (Fleet(60, latency=2.0, window=60, beyond=4.0), Fleet(1000, latency=0.1, window=3, beyond=5.0))
QUICK_FLEETS = (Fleet(20, latency=0.3, window=60, beyond=4.0), Fleet(70, latency=0.1, window=1, beyond=5.0))


def measure(work: Path, *, quick: bool) -> Table:
    """Read each fleet, and measure a second sync."""
    table = Table(
        "Idle sync",
        (
            *("fleet", "latency", "window", "the limits' bound", "wall, start-up included", "to reach", "of it CPU"),
            *("first to last call", "peak RSS", "records"),
        ),
    )
    for fleet in QUICK_FLEETS if quick else FLEETS:
        _measure(work, table, fleet)
    return table


def _measure(work: Path, table: Table, fleet: Fleet) -> None:
    """Read a fleet whose newest records are of this minute, and measure a second sync."""
    name = f"{fleet.devices} devices, nothing new"
    first, second = Messages(), Messages()
    pages, until = [1] * fleet.devices, f"--until={datetime.now(UTC).isoformat()}"
    no_limits = (f"--user-limit={NO_LIMIT}", f"--device-limit={NO_LIMIT}")
    with emulator(work / f"first-{fleet.devices}.log", pages, until, *no_limits, page_size=RECORDS, window=1) as given:
        settings = {**given, "user_call_limit": NO_LIMIT, "page_size": PAGE_SIZE}
        run(TAP, "--config=ENV", settings=settings, read=first.read)
    state = work / f"state-{fleet.devices}.json"
    state.write_text(json.dumps(first.state))
    log = work / f"second-{fleet.devices}.log"
    slow = f"--latency={fleet.latency}"
    with emulator(log, pages, until, slow, page_size=RECORDS, window=fleet.window) as given:
        settings = {**given, "page_size": PAGE_SIZE}
        done = run(TAP, "--config=ENV", f"--state={state}", settings=settings, read=second.read)
    calls = read_calls(log)
    table.note(name, limit_faults(calls))
    if len(calls) != fleet.devices:
        table.faults.append(f"{name}: {len(calls)} calls")
    if second.readings or bookmarks(second.state) != bookmarks(first.state):
        table.faults.append(f"{name}: readings that were read before, or another state")
    limit = fleet.bound + fleet.beyond
    table.add(
        name,
        f"{fleet.latency:g} s",
        f"{fleet.window:g} s",
        f"{fleet.bound:g} s",
        judged(done.wall, limit, f"{done.wall:.2f} s"),
        f"≤ {limit:g} s",
        f"{done.cpu:.2f} s",
        f"{makespan(calls):.2f} s",
        f"{done.peak_rss / 1_000_000:.0f} MB",
        told(second),
    )


def told(messages: Messages) -> str:
    """Return how many records came of each stream."""
    return ", ".join(f"{count} of {stream}" for stream, count in sorted(messages.records.items()))
