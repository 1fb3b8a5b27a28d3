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
    """A call as the emulator logs it; `status` None: no answer was sent."""

    time: datetime
    device_sn: str
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
    return list(Counter(call.device_sn for call in calls).values())


def limit_faults(calls: Sequence[Call]) -> list[str]:
    """Say which calls broke a limit: those that were refused although no fault was asked for."""
    refused = [call for call in calls if call.status == TOO_MANY_REQUESTS and call.injected is None]
    return [f"{len(refused)} calls broke a limit, the first for {refused[0].device_sn}"] if refused else []
