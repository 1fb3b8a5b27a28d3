"""The two services of API v5 that the tap reads from here, and the settings that point it there."""

from __future__ import annotations

import json
import sys
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING

from benchmarks.children import EMULATOR, serving
from benchmarks.services import NO_LIMIT, TOKEN, serial_numbers
from benchmarks.v5.months import END, first_day
from tap_zentra.emulator import Emulator, fleet
from tap_zentra.emulator.devices import FIRST_MOMENT
from tap_zentra.v5.readings import READINGS_V5_KEY

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from benchmarks.output import KeyV5
    from tap_zentra.emulator import Device

DAY = 86_400
"""Seconds between two records, so that a month is small: the limits alone set the pace."""


@contextmanager
def emulator(log: Path, months: Sequence[int], *options: str, window: float) -> Iterator[dict[str, object]]:
    """Run an emulator, and yield the settings that let the tap read its devices.

    Args:
        log: The call log.
        months: Of each device, up to the end of 2025.
        options: More of them.
        window: Of the limits, in seconds.
    """
    records = ",".join(map(str, _records(months)))
    held = (f"--devices={len(months)}", f"--records={records}", f"--interval={DAY}")
    command = ("serve", *held, f"--until={FIRST_MOMENT.isoformat()}", f"--window={window}", f"--token={TOKEN}")
    with serving(EMULATOR, *command, f"--call-log={log}", *options) as url:
        yield {
            "api_version": "v5",
            "api_url": url,
            "auth_token": TOKEN,
            "device_sns": json.dumps([device.device_sn for device in devices(months)]),
            "end_date": END,
            "call_limit_window": window,
        }


def devices(months: Sequence[int]) -> list[Device]:
    """Return the devices that the emulator holds."""
    return fleet(len(months), _records(months), interval=DAY)


def expected_keys(months: Sequence[int]) -> Counter[KeyV5]:
    """Return the keys of all readings that the emulator holds."""
    readings = Emulator(devices(months)).readings_v5()
    return Counter(tuple(reading[name] for name in READINGS_V5_KEY) for reading in readings)  # type: ignore[misc]


@contextmanager
def canned(log: Path, *, count: int, months: int, kind: str) -> Iterator[Mapping[str, object]]:
    """Run a service that sends what it has built before, and yield the settings that let the tap read from it.

    Args:
        log: The call log.
        count: Devices; all hold the same.
        months: Of each.
        kind: Of device, as `benchmarks.v5.canned` knows it.
    """
    options = (f"--devices={count}", f"--months={months}", f"--kind={kind}", f"--call-log={log}")
    with serving(sys.executable, "-m", "benchmarks.v5.canned", *options) as url:
        yield {
            "api_version": "v5",
            "api_url": url,
            "auth_token": TOKEN,
            "device_sns": json.dumps(serial_numbers(count)),
            "end_date": END,
            "call_limit_window": 1,
            "device_call_burst": NO_LIMIT,
        }


def _records(months: Sequence[int]) -> list[int]:
    spans = (FIRST_MOMENT - first_day(count) for count in months)
    return [int(span.total_seconds()) // DAY for span in spans]
