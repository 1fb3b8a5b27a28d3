"""A small fleet in which everything happens once that a model of its readings must get over; knows no service."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from tap_zentra.emulator.data import DAY
from tap_zentra.emulator.devices import FIRST_MOMENT, Device
from tap_zentra.emulator.sensors import STANDARD_STATION, TEROS_11

if TYPE_CHECKING:
    from datetime import datetime

    from tap_zentra.emulator.sensors import Sensor

DAYS = 14
"""How long each device has made records."""

EASTERN, MOUNTAIN, PACIFIC = -5 * 3600, -7 * 3600, -8 * 3600
"""Seconds that winter time is ahead of UTC."""
PACIFIC_SUMMER = -7 * 3600
SUMMER_ENDS = 9 * 3600
"""Seconds after midnight UTC at which Pacific summer time ends."""

SILENCE = 3 * DAY
AHEAD = DAY + 7
"""Seconds; no multiple of a usual interval, so that no two records get the same time."""


def eventful_fleet(*, interval: int = 900, end: datetime = FIRST_MOMENT) -> list[Device]:
    """Return a fleet in which each of these things happens once, to a device that is called after it.

    A probe is swapped for another of its kind, a probe is moved to another port, the account's units change, a device
    is moved to another time zone, summer time ends, a device is silent for three days, a clock is a day ahead for half
    a day, and a device is another user's. All have made records for two weeks; most happens in their middle, the clock
    is wrong after a quarter of them.

    Args:
        interval: Seconds between records.
        end: When the next record of each is due.
    """
    records = max(2, DAYS * DAY // interval)
    start = end - timedelta(seconds=records * interval)
    usual = Device("z6-00001", records=records, interval=interval, start=start, tz_offset=EASTERN)
    middle, quarter = records // 2 + 1, records // 4 + 1
    devices = [
        replace(usual, name="Swapped probe", refits=((middle, _station(replace(TEROS_11, number=9))),)),
        replace(usual, name="Moved port", refits=((middle, _station(replace(TEROS_11, port=4, number=3))),)),
        replace(usual, name="Changed units", units_changed_at=middle),
        replace(usual, name="Moved to another zone", time_zones=((middle, MOUNTAIN),)),
        replace(usual, name="End of summer time", tz_offset=PACIFIC_SUMMER, time_zones=((_winter(usual), PACIFIC),)),
        replace(usual, name="Days of silence", silences=((middle, SILENCE),), start=start - timedelta(seconds=SILENCE)),
        replace(usual, name="Clock ahead", clock=((quarter, quarter + records // 28, AHEAD),)),
        replace(usual, name="Another user's", of_another_user=True),
    ]
    return [replace(device, device_sn=f"z6-{place:05d}") for place, device in enumerate(devices, start=1)]


def _station(probe: Sensor) -> tuple[Sensor, ...]:
    """Return the standard station with another probe in the place of its TEROS 11."""
    return tuple(probe if sensor is TEROS_11 else sensor for sensor in STANDARD_STATION)


def _winter(device: Device) -> int:
    """Return the first mrid of winter time: on the day in the middle of the device's records."""
    middle = device.made_at(device.first_mrid + device.records // 2)
    return device.first_mrid_at(middle // DAY * DAY + SUMMER_ENDS)
