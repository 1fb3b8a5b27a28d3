"""What a service's call log tells: when which device was called, and how it was answered."""

from __future__ import annotations

from collections import Counter
from datetime import datetime  # noqa: TC003 - msgspec needs it to decode
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

TOO_MANY_REQUESTS = 429


class Call(msgspec.Struct):
    """A call as the emulator logs it; `device_sn` None: of the device list; `status` None: no answer was sent."""

    time: datetime
    device_sn: str | None
    status: int | None
    injected: str | None = None


def read_calls(log: Path) -> list[Call]:
    """Return the calls of a log by the time of their arrival."""
    lines = log.read_bytes().splitlines()
    return sorted((msgspec.json.decode(line, type=Call) for line in lines), key=lambda call: call.time)


def makespan(calls: Sequence[Call]) -> float:
    """Return the seconds from the first call's arrival to the last one's."""
    return (calls[-1].time - calls[0].time).total_seconds()


def calls_of_devices(calls: Sequence[Call]) -> list[int]:
    """Return how often each device was called."""
    return list(Counter(call.device_sn for call in of_devices(calls)).values())


def of_devices(calls: Sequence[Call]) -> list[Call]:
    """Return the calls for readings, without those of the device list."""
    return [call for call in calls if call.device_sn is not None]


def refused(calls: Sequence[Call]) -> list[Call]:
    """Return the calls that were refused although no fault was asked for."""
    return [call for call in calls if call.status == TOO_MANY_REQUESTS and call.injected is None]


def limit_faults(calls: Sequence[Call]) -> list[str]:
    """Say which calls broke a limit: those that were refused although no fault was asked for."""
    broken = refused(calls)
    return [f"{len(broken)} calls broke a limit, the first for {broken[0].device_sn}"] if broken else []
