"""What it costs to read the last records again, when nothing has changed: calls, seconds, and bytes of the state."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from benchmarks.calls import read_calls
from benchmarks.children import TAP, run
from benchmarks.output import Messages
from benchmarks.services import NO_LIMIT, emulator, selecting
from benchmarks.tables import Table

if TYPE_CHECKING:
    from pathlib import Path

LOOKBACK = 200
"""Records, the setting's default."""


def measure(work: Path, *, quick: bool) -> Table:
    """Read a fleet, and measure a second sync without and with the look-back, each from a state of its own kind."""
    count = 20 if quick else 1000
    table = Table(
        f"Idle sync of {count} devices, without and with look-back",
        ("mrid_lookback", "streams", "calls", "wall", "CPU", "records emitted", "state", "bytes of it for each device"),
    )
    alone = ("readings", [selecting(work, "readings")])
    limits = (f"--user-limit={NO_LIMIT}", f"--device-limit={NO_LIMIT}")
    log = work / "calls.log"
    with emulator(log, [1] * count, *limits, page_size=LOOKBACK, window=1) as settings:
        settings |= {"user_call_limit": NO_LIMIT, "device_call_limit": NO_LIMIT, "page_size": 2000}
        for lookback, (streams, selected) in ((0, alone), (LOOKBACK, alone), (LOOKBACK, ("all", []))):
            chosen = {**settings, "mrid_lookback": lookback}
            first, second = Messages(), Messages()
            run(TAP, "--config=ENV", *selected, settings=chosen, read=first.read)
            state = work / "state.json"
            state.write_text(json.dumps(first.state))
            before = len(read_calls(log))
            done = run(TAP, "--config=ENV", *selected, f"--state={state}", settings=chosen, read=second.read)
            if second.readings or second.state != first.state:
                table.faults.append(f"look-back of {lookback}: readings that were read before, or another state")
            size = state.stat().st_size
            calls = len(read_calls(log)) - before
            table.add(
                str(lookback),
                streams,
                str(calls),
                f"{done.wall:.2f} s",
                f"{done.cpu:.2f} s",
                str(second.records.total()),
                f"{size / 1000:,.0f} kB",
                f"{size / count:.0f}",
            )
    return table
