"""Two runs of the tap against a ZENTRA Cloud on this machine: a backfill, and what is new after it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tap_zentra.emulator import Device, Emulator, fleet
from tools.environment import environment_without
from tools.loaders.check import Messages

WINDOW = 0.5

# Some of everything.
FLEET = (
    *fleet(5, 20),
    Device("z6-00011", records=60, error_rate=0.2),
    Device("z6-00012", records=50, units_changed_at=35, gaps=((20, 30),), tz_offset=34200),
)
NEW_RECORDS = 5


def two_runs(folder: Path) -> list[Messages]:
    """Run the tap, let the fleet make records, and run it again from the state of the first run.

    Args:
        folder: For the state.
    """
    with Emulator(FLEET, window=WINDOW) as emulator:
        backfill = _run(emulator, folder, {})
        emulator.grow(NEW_RECORDS)
        emulator.let_window_pass()
        states = [json.loads(line) for line in backfill.splitlines() if line.startswith('{"type":"STATE"')]
        return [Messages(backfill), Messages(_run(emulator, folder, states[-1]["value"]))]


def _run(emulator: Emulator, folder: Path, state: dict[str, object]) -> str:
    (folder / "state.json").write_text(json.dumps(state), encoding="utf-8")
    return subprocess.run(  # noqa: S603 - no shell, and nothing that a user typed
        (Path(sys.executable).with_name("tap-zentra"), "--config", "ENV", "--state", "state.json"),
        cwd=folder,
        env=environment_without("TAP_ZENTRA_", **emulator.environment),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        check=True,
    ).stdout
