"""A sync of API v5 that finds nothing new, at a service that takes its time."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from benchmarks.calls import limit_faults, read_calls
from benchmarks.children import TAP, run
from benchmarks.idle import told
from benchmarks.output import Messages, RecordV5, bookmarks
from benchmarks.tables import Table, judged
from benchmarks.v5.services import emulator

if TYPE_CHECKING:
    from pathlib import Path

TO_REACH = 5.0


def measure(work: Path, *, quick: bool) -> Table:
    """Read a fleet, and measure a second sync."""
    table = Table(
        "v5: idle sync", ("fleet", "latency", "calls", "wall, start-up included", "to reach", "of it CPU", "records")
    )
    months, latency = ([1] * 20, 0.3) if quick else ([1] * 60, 2.0)
    first, second = Messages(RecordV5), Messages(RecordV5)
    with emulator(work / "idle-1.log", months, window=60) as settings:
        run(TAP, "--config=ENV", settings=settings, read=first.read)
    state = work / "state.json"
    state.write_text(json.dumps(first.state))
    log = work / "idle-2.log"
    with emulator(log, months, f"--latency={latency}", window=60) as settings:
        done = run(TAP, "--config=ENV", f"--state={state}", settings=settings, read=second.read)
    calls = read_calls(log)
    table.note("v5: idle sync", limit_faults(calls))
    if len(calls) != 1:
        table.faults.append(f"v5: idle sync: {len(calls)} calls")
    if second.readings or bookmarks(second.state, "readings_v5") != bookmarks(first.state, "readings_v5"):
        table.faults.append("v5: idle sync: readings that were read before, or another state")
    table.add(
        f"{len(months)} devices, nothing new",
        f"{latency:g} s",
        str(len(calls)),
        judged(done.wall, TO_REACH, f"{done.wall:.2f} s"),
        f"≤ {TO_REACH:g} s",
        f"{done.cpu:.2f} s",
        told(second),
    )
    return table
