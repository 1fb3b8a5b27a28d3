"""A sync that finds nothing new, at a service that takes its time."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from benchmarks.calls import limit_faults, read_calls
from benchmarks.children import TAP, run
from benchmarks.output import Messages, bookmarks
from benchmarks.services import emulator
from benchmarks.tables import Table, judged

if TYPE_CHECKING:
    from pathlib import Path

PAGE_SIZE = 10
MINUTE = 60
TO_REACH = 10.0


def measure(work: Path, *, quick: bool) -> Table:
    """Read a fleet, and measure a second sync."""
    table = Table(
        "Idle sync",
        ("fleet", "latency", "wall, start-up included", "to reach", "of it CPU", "rounds of calls", "records"),
    )
    pages, latency = ([1] * 20, 0.3) if quick else ([1] * 60, 2.0)
    first, second = Messages(), Messages()
    with emulator(work / "idle-1.log", pages, page_size=PAGE_SIZE, window=1) as settings:
        run(TAP, "--config=ENV", settings=settings, read=first.read)
    state = work / "state.json"
    state.write_text(json.dumps(first.state))
    log = work / "idle-2.log"
    with emulator(log, pages, f"--latency={latency}", page_size=PAGE_SIZE, window=MINUTE) as settings:
        done = run(TAP, "--config=ENV", f"--state={state}", settings=settings, read=second.read)
    calls = read_calls(log)
    table.note("idle sync", limit_faults(calls))
    if len(calls) != len(pages):
        table.faults.append(f"idle sync: {len(calls)} calls")
    if second.readings or bookmarks(second.state) != bookmarks(first.state):
        table.faults.append("idle sync: readings that were read before, or another state")
    spread = (calls[-1].time - calls[0].time).total_seconds()
    table.add(
        f"{len(pages)} devices, nothing new",
        f"{latency:g} s",
        judged(done.wall, TO_REACH, f"{done.wall:.2f} s"),
        f"≤ {TO_REACH:g} s",
        f"{done.cpu:.2f} s",
        f"last call {spread:.2f} s after the first",
        told(second),
    )
    return table


def told(messages: Messages) -> str:
    """Return how many records came of each stream."""
    return ", ".join(f"{count} of {stream}" for stream, count in sorted(messages.records.items()))
