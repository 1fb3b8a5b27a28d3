"""The fleet in which everything happens once, and the channels of its devices."""

from __future__ import annotations

from collections import Counter
from dataclasses import fields
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import pytest

from tap_zentra.emulator import PROFILE_STATION, Device, Emulator, eventful_fleet
from tests.emulator.support import MIDNIGHT

DAY = 86_400
HOUR = 3600
EVENTS = ("refits", "units_changed_at", "time_zones", "silences", "clock", "of_another_user")
INTERVALS = (60, 300, 900, 3600)


def named(emulator: Emulator, name: str) -> str:
    """Return the serial number of the device to which this happens."""
    return next(device_sn for device_sn in emulator.device_sns if emulator.device(device_sn).name == name)


def water(emulator: Emulator, name: str) -> list[tuple[object, ...]]:
    """Return the channels of `Water Content` of a device's TEROS 11: port, first and last mrid."""
    return [
        (one["port_number"], one["first_mrid"], one["last_mrid"])
        for one in emulator.channels(named(emulator, name))
        if (one["measurement"], one["sensor_name"]) == ("Water Content", "TEROS 11")
    ]


@pytest.mark.parametrize("interval", INTERVALS)
def test_each_thing_happens_once(interval: int) -> None:
    """To a device of its own; a swap and a move change sensors, another move and the end of summer time the time."""
    devices = eventful_fleet(interval=interval)
    defaults = {field.name: field.default for field in fields(Device)}

    happened = Counter(name for device in devices for name in EVENTS if getattr(device, name) != defaults[name])

    assert happened == Counter((*EVENTS, "refits", "time_zones"))
    assert len({device.name for device in devices}) == len(devices) == happened.total()


@pytest.mark.parametrize("interval", [*INTERVALS, DAY, 900_000])
def test_the_newest_records_are_as_old_as_is_asked_for(interval: int) -> None:
    """Two weeks of records, whatever the interval, and the next one of each is due at the end."""
    end = datetime(2025, 7, 4, 12, 7, tzinfo=UTC)

    devices = eventful_fleet(interval=interval, end=end)

    assert {device.timestamp(device.next_mrid) for device in devices} == {end.timestamp()}
    assert {device.records for device in devices} == {max(2, 14 * DAY // interval)}


def test_what_happens_shows_in_the_readings() -> None:
    """As each device's name says, in the middle of its records."""
    emulator = Emulator(eventful_fleet(interval=HOUR))

    assert water(emulator, "Swapped probe") == [(3, 1, 168), (3, 169, 336)]
    assert water(emulator, "Moved port") == [(3, 1, 168), (4, 169, 336)]
    assert [_probes(emulator, name) for name in ("Swapped probe", "Moved port", "Changed units")] == [2, 1, 1]
    assert water(emulator, "Changed units") == [(3, 1, 336)]
    assert _offsets(emulator, "Moved to another zone") == [-5, -7]
    assert _offsets(emulator, "End of summer time") == [-7, -8]
    assert _longest_pause(emulator, "Days of silence") == 3 * DAY + HOUR
    assert _longest_pause(emulator, "Swapped probe") == HOUR
    assert list(emulator.readings(named(emulator, "Another user's"))) == []


def test_summer_time_ends_at_two() -> None:
    """The hour before it comes twice, and its day has 25 hours."""
    emulator = Emulator(eventful_fleet(interval=HOUR))
    device_sn = named(emulator, "End of summer time")

    times = [str(row["local_datetime"])[: len("2026-01-01 00:00")] for row in emulator.readings(device_sn)]
    days = [day["timestamp_utc"] for day in emulator.env_model(device_sn, 1, "ETo", elevation=0, latitude=0)]

    per_record = len(emulator.device(device_sn).series)
    assert {count // per_record: time[-5:] for time, count in Counter(times).items()}[2] == "01:00"
    assert Counter(int(str(end)) - int(str(begin)) for begin, end in pairwise(days)) == {DAY: len(days) - 2, 90_000: 1}


@pytest.mark.parametrize("interval", INTERVALS)
def test_a_clock_is_ahead_for_half_a_day(interval: int) -> None:
    """By a day, still in the past; no two records have the same time."""
    emulator = Emulator(eventful_fleet(interval=interval))
    device = emulator.device(named(emulator, "Clock ahead"))
    mrids = range(1, device.records + 1)

    wrong = [mrid for mrid in mrids if device.timestamp(mrid) != device.made_at(mrid)]

    assert 0.5 <= len(wrong) * interval / DAY < 0.6
    assert {device.timestamp(mrid) - device.made_at(mrid) for mrid in wrong} == {DAY + 7}
    assert len({device.timestamp(mrid) for mrid in mrids}) == device.records
    assert max(map(device.timestamp, mrids)) < MIDNIGHT


def test_a_channel_has_serial_number_units_and_both_ends() -> None:
    """Changed units begin a new one; what is not told is an empty text."""
    device = Device("z6-1", records=6, units_changed_at=4, gaps=((1, 1),), clock=((3, 3, -DAY),), error_rate=1)
    emulator = Emulator([device])

    told = [one for one in emulator.channels("z6-1") if one["port_number"] in {2, 8}]

    before, after = (one for one in told if one["measurement"] == "Logger Temperature")
    assert before == {
        "port_number": 8,
        "sub_sensor_index": 0,
        "measurement": "Logger Temperature",
        "sensor_name": "Barometer",
        "sensor_sn": before["sensor_sn"],
        "units": "°C",
        "first_mrid": 2,
        "last_mrid": 3,
        "first_timestamp": MIDNIGHT + 2 * 900 - DAY,
        "last_timestamp": MIDNIGHT + 900,
    }
    assert str(before["sensor_sn"]).startswith("16")
    assert (after["units"], after["first_mrid"], after["last_mrid"]) == ("°F", 4, 6)
    assert {(one["sensor_sn"], one["units"]) for one in told if one["measurement"] == "Wetness Level"} == {("", "")}


def test_the_depths_of_a_profile_probe_are_channels() -> None:
    """From the top, in v4 and in v5, and each once."""
    emulator = Emulator([Device("z6-1", records=3, sensors=PROFILE_STATION)])

    for channels in (emulator.channels("z6-1"), emulator.channels_v5("z6-1")):
        indices = [one["sub_sensor_index"] for one in channels if one["sensor_name"] == "TEROS 54"]
        assert sorted(map(int, map(str, indices))) == [0, 0, 1, 1, 2, 2, 3, 3]
    assert len(emulator.channels("z6-1")) == len(emulator.device("z6-1").series)


def test_a_late_value_does_not_make_a_channel_newer() -> None:
    """Every second channel ends a record earlier."""
    emulator = Emulator([Device("z6-1", records=5)], late_values="absent")

    assert Counter(one["last_mrid"] for one in emulator.channels("z6-1")) == {4: 12, 5: 12}
    assert {one["first_mrid"] for one in emulator.channels("z6-1")} == {1}


def test_channels_of_v5_know_no_serial_number_and_no_mrid() -> None:
    """A swapped probe and units of the account change nothing, a moved port does; the device's signal is one more."""
    emulator = Emulator(eventful_fleet(interval=HOUR))

    swapped, moved, changed = (
        emulator.channels_v5(named(emulator, name)) for name in ("Swapped probe", "Moved port", "Changed units")
    )

    assert [len(channels) for channels in (swapped, moved, changed)] == [25, 27, 25]
    assert (
        _common(swapped)
        == _common(changed)
        == {
            "sub_sensor_index": 0,
            "sensor_sn": "",
            "first_timestamp": MIDNIGHT - 14 * DAY,
            "last_timestamp": MIDNIGHT - HOUR,
        }
    )
    (signal,) = (one for one in swapped if one["sensor_name"] == "Signal Strength")
    assert (signal["port_number"], signal["units"]) == (-1, "%")
    assert "°F" in {one["units"] for one in emulator.channels_v5(emulator.device_sns[0], units="imperial")}


def _common(channels: list[dict[str, Any]]) -> dict[str, object]:
    """Return what all channels have in common."""
    return {name: value for name, value in channels[0].items() if all(one.get(name) == value for one in channels)}


def _offsets(emulator: Emulator, name: str) -> list[int]:
    """Return the offsets of a device's local time in hours, in their order."""
    found = dict.fromkeys(int(str(row["tz_offset"])) for row in emulator.readings(named(emulator, name)))
    return [offset // HOUR for offset in found]


def _probes(emulator: Emulator, name: str) -> int:
    """Return how many serial numbers a device has of a TEROS 11."""
    channels = emulator.channels(named(emulator, name))
    return len({one["sensor_sn"] for one in channels if one["sensor_name"] == "TEROS 11"})


def _longest_pause(emulator: Emulator, name: str) -> int:
    """Return the most seconds between two records."""
    device = emulator.device(named(emulator, name))
    stamps = map(device.timestamp, range(1, device.records + 1))
    return max(end - begin for begin, end in pairwise(stamps))
