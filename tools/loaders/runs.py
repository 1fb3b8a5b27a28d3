"""Two runs of the tap against a ZENTRA Cloud on this machine: a backfill, and what is new after it."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tap_zentra.emulator import STANDARD_STATION, Device, Emulator, fleet
from tools.environment import environment_without
from tools.loaders.check import STREAMS, Messages

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

WINDOW = 0.5
# Pages of v5 are months, and more than one is better.
START = datetime(2025, 1, 30, tzinfo=UTC)
INTERVAL = 14_400

# Some of everything. All of the last one's sensors but the first are taken out, and put back two months later.
FLEET = (
    *fleet(5, 20, interval=INTERVAL, end=START),
    Device("z6-00011", records=40, error_rate=0.2, interval=INTERVAL, start=START),
    Device(
        "z6-00012", records=50, units_changed_at=35, gaps=((20, 30),), tz_offset=34200, interval=INTERVAL, start=START
    ),
    Device(
        "z6-00013",
        records=70,
        interval=2 * 86_400,
        start=START - timedelta(days=150),
        refits=((31, STANDARD_STATION[:1]), (61, STANDARD_STATION)),
    ),
)
NEW_RECORDS = 5
# Their newest day is not over, so that the next run brings it again, with another value.
ENV_MODELS = [
    {"device_sn": "z6-00011", "port_number": 1, "model_type": "ETo", "elevation": 806, "latitude": 32.25},
    {"device_sn": "z6-00012", "port_number": 1, "model_type": "ETr", "elevation": 1.5, "latitude": -33.875},
]

VARIABLES: Mapping[str, Callable[[Emulator], Mapping[str, str]]] = {
    # Pages so small that one has the last device without most of its sensors.
    "v4": lambda emulator: {
        **emulator.environment,
        "TAP_ZENTRA_ENV_MODELS": json.dumps(ENV_MODELS),
        "TAP_ZENTRA_PAGE_SIZE": "30",
    },
    # The months after the readings would take a call each.
    "v5": lambda emulator: {**emulator.environment_v5, "TAP_ZENTRA_END_DATE": "2025-03-01"},
}
"""What makes the tap write all streams of an API."""


def two_runs(folder: Path, api: str = "v4", stream_maps: Mapping[str, Any] | None = None) -> list[Messages]:
    """Run the tap, let the fleet make records, and run it again from the state of the first run.

    Args:
        folder: For the state.
        api: Whose streams the tap is to write.
        stream_maps: What they go through, if anything.
    """
    with Emulator(FLEET, window=WINDOW, positions=True) as emulator:
        variables = {**VARIABLES[api](emulator), "TAP_ZENTRA_STREAM_MAPS": json.dumps(stream_maps or {})}
        backfill = _run(variables, folder, {})
        emulator.grow(NEW_RECORDS)
        emulator.let_window_pass()
        states = [json.loads(line) for line in backfill.splitlines() if line.startswith('{"type":"STATE"')]
        return [Messages(api, text) for text in (backfill, _run(variables, folder, states[-1]["value"]))]


def many_readings(folder: Path, api: str, stream_maps: Mapping[str, Any] | None = None) -> Messages:
    """Run the tap for readings alone, so many that a loader's start does not count for much.

    Args:
        folder: For the state.
        api: Whose readings.
        stream_maps: What they go through, if anything.
    """
    with Emulator(fleet(4, 200, interval=INTERVAL, end=START), window=WINDOW) as emulator:
        variables = {**VARIABLES[api](emulator), "TAP_ZENTRA_PAGE_SIZE": "2000", "TAP_ZENTRA_ENV_MODELS": "[]"}
        maps = {"TAP_ZENTRA_STREAM_MAPS": json.dumps(stream_maps or {})}
        return Messages(api, _run(variables | maps, folder, {})).only(STREAMS[api][:1])


def _run(variables: Mapping[str, str], folder: Path, state: dict[str, object]) -> str:
    (folder / "state.json").write_text(json.dumps(state), encoding="utf-8")
    return subprocess.run(  # noqa: S603 - no shell, and nothing that a user typed
        (Path(sys.executable).with_name("tap-zentra"), "--config", "ENV", "--state", "state.json"),
        cwd=folder,
        env=environment_without("TAP_ZENTRA_", **variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        check=True,
    ).stdout
