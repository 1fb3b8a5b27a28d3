"""Bodies of API v5, as the emulator writes them: a device's months, one page each."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from tap_zentra.emulator import STANDARD_STATION, Device, Emulator, Request
from tap_zentra.emulator.devices import FIRST_MOMENT
from tap_zentra.emulator.sensors import ATMOS_41, BAROMETER, BATTERY, PHYTOS_31, TEROS_54

if TYPE_CHECKING:
    from tap_zentra.emulator.sensors import Sensor

PROTOTYPE = "z6-00000"

END = "2025-12-31T23:59:58+00:00"
"""Of what is asked for. A second later a client that does not know whether it is inclusive has January as well."""

_TOKEN = re.compile(rb'"next_token":"([^"]+)"')
_PAGINATION_BYTES = 1000


@dataclass(frozen=True)
class Kind:
    """A kind of device.

    Attributes:
        interval: Seconds between two records.
        sensors: What is plugged in; the device measures its own reception besides.
    """

    interval: int
    sensors: tuple[Sensor, ...]


THIRTY_SERIES = (ATMOS_41, PHYTOS_31, TEROS_54, BATTERY, BAROMETER)

KINDS = {"five-minutes": Kind(300, THIRTY_SERIES), "quarter-hours": Kind(900, STANDARD_STATION)}
"""268,000 values in a month, 47 MB; and 74,000, 13 MB."""


def first_day(months: int) -> datetime:
    """Return the first day of so many months that end with the year 2025."""
    month = FIRST_MOMENT.year * 12 - months
    return datetime(month // 12, month % 12 + 1, 1, tzinfo=UTC)


def device(kind: Kind, months: int) -> Device:
    """Return a device that has measured through so many months, up to the end of 2025."""
    start = first_day(months)
    records = int((FIRST_MOMENT - start).total_seconds()) // kind.interval
    return Device(PROTOTYPE, records=records, interval=kind.interval, start=start, sensors=kind.sensors)


def build(kind: Kind, months: int, *, identified: bool = False) -> list[bytes]:
    """Return the bodies of a device's months; the token of each is the number of the page that follows.

    Args:
        kind: Of device.
        months: How many.
        identified: Whether each row has a `position` and a `reading_id`, as METER's example has them.
    """
    held = Emulator([device(kind, months)], positions=identified, reading_ids=identified)
    asked = {"direction": "ascending", "start_datetime": first_day(months).isoformat(), "end_datetime": END}
    bodies: list[bytes] = []
    while True:
        body = held.answer(Request(f"/v5/devices/{PROTOTYPE}/data", asked)).body
        token = _TOKEN.search(body, len(body) - _PAGINATION_BYTES)
        if token is None:
            return [*bodies, body]
        asked = {"direction": "ascending", "next_token": token[1].decode()}
        bodies.append(body[: token.start(1)] + str(len(bodies) + 1).encode() + body[token.end(1) :])


def readings_in(kind: Kind, months: int) -> int:
    """Return how many values such a device holds."""
    held = device(kind, months)
    return held.records * (len(held.series) + 1)
