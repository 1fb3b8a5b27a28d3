"""What a device of the emulator holds."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from tap_zentra.emulator import PROFILE_STATION, Device, fleet
from tap_zentra.emulator.devices import flatten
from tap_zentra.emulator.options import Options
from tap_zentra.emulator.readings import rows
from tests.emulator.support import MIDNIGHT


def test_records_in_a_gap_do_not_exist() -> None:
    """Gaps may overlap, and lie before, across and beyond the records."""
    device = Device("z6-1", records=20, first_mrid=5, gaps=((1, 6), (10, 12), (11, 14), (24, 99)))

    assert flatten(device.mrids, ascending=True) == [7, 8, 9, 15, 16, 17, 18, 19, 20, 21, 22, 23]
    assert (device.min_mrid, device.max_mrid) == (7, 23)


def test_a_device_without_records_has_no_newest_one() -> None:
    """Neither an unused device nor one that is all gap has a newest record."""
    assert Device("z6-1", records=0).max_mrid is None
    assert Device("z6-1", records=3, gaps=((1, 3),)).max_mrid is None


def test_growth_goes_on_in_mrid_and_time() -> None:
    """What was there stays as it was when new records come."""
    device = Device("z6-1", records=3)
    before = list(rows(device, Options()))

    after = list(rows(device.grown(2), Options()))

    assert before == after[: len(before)]
    assert [row["mrid"] for row in after[len(before) :: 24]] == [4, 5]


def test_a_wiped_device_counts_from_one_and_goes_on_in_time() -> None:
    """After a wipe the mrids are used again, for later moments."""
    wiped = Device("z6-1", records=4, first_mrid=100).wiped(2)

    assert [row["mrid"] for row in rows(wiped, Options())][::24] == [1, 2]
    assert next(rows(wiped, Options()))["timestamp_utc"] == "2026-01-01T01:00:00+00:00"


def test_the_first_record_at_a_moment_is_not_before_it() -> None:
    """A moment between two records belongs to the later one, a moment before all records to the first."""
    device = Device("z6-1", start=datetime.fromtimestamp(1000, UTC), interval=60, first_mrid=7)

    assert [device.first_mrid_at(moment) for moment in (0, 1000, 1000.5, 1060, 1061)] == [7, 7, 8, 8, 9]


def test_skipped_mrids_take_no_time() -> None:
    """The record after a skipped mrid comes one interval after the one before it; a gap takes its time."""
    device = Device("z6-1", records=8, first_mrid=3, interval=60, skip_every=4, gaps=((6, 7),))

    assert [(mrid, _minutes(device, mrid)) for mrid in flatten(device.mrids, ascending=True)] == [
        (3, 0),
        (5, 1),
        (9, 4),
        (10, 5),
        (11, 6),
        (13, 7),
    ]


def test_skipped_mrids_are_not_counted_as_records() -> None:
    """Every record that a device makes has an mrid; the newest of 2000 is as far ahead as its mrids have holes."""
    device = Device("z6-1", records=2000, skip_every=27)

    assert sum(map(len, device.mrids)) == 2000
    assert device.max_mrid == 2076


@pytest.mark.parametrize("skip_every", [0, 2, 3, 7])
@pytest.mark.parametrize("first_mrid", [1, 6, 7, 14])
def test_growth_makes_exactly_the_records_that_a_larger_device_has(skip_every: int, first_mrid: int) -> None:
    """Wherever skipped mrids lie, each new record exists and the ones before it stay."""
    grown = Device("z6-1", records=0, first_mrid=first_mrid, skip_every=skip_every)
    counts = []
    for _ in range(20):
        grown = grown.grown(1)
        counts.append(sum(map(len, grown.mrids)))

    assert list(range(1, 21)) == counts
    assert grown == Device("z6-1", records=20, first_mrid=first_mrid, skip_every=skip_every)


def test_the_first_record_at_a_moment_knows_skips_and_silences() -> None:
    """Between two records it is the later one, however far apart they are, and at last the next one to be made."""
    device = Device("z6-1", records=4, interval=60, skip_every=2, silences=((5, 3600),))
    began = device.timestamp(1)

    found = [device.first_mrid_at(began + seconds) for seconds in (0, 1, 60, 61, 3720, 3721, 3780, 3781)]

    assert [device.timestamp(mrid) - began for mrid in (1, 3, 5, 7)] == [0, 60, 3720, 3780]
    assert [mrid + (mrid % 2 == 0) for mrid in found] == [1, 3, 3, 5, 5, 7, 7, 9]


def test_silences_take_time_and_no_mrids() -> None:
    """They come on top of the interval, and hold for all records from theirs on; in front of all there is none."""
    device = Device("z6-1", records=6, interval=60, silences=((5, 600), (3, 1200), (1, 6000)))

    assert [_minutes(device, mrid) for mrid in range(1, 7)] == [0, 1, 22, 23, 34, 35]
    assert list(device.mrids) == [range(1, 7)]


def test_a_wiped_device_goes_on_after_its_silences() -> None:
    """The first record of the new count comes one interval after the last of the old one."""
    device = Device("z6-1", records=4, interval=60, skip_every=3, silences=((4, 600),), clock=((5, 5, 77),))

    wiped = device.wiped(4)

    assert _minutes(device, 5) * 60 + 60 + MIDNIGHT == wiped.timestamp(1) + 77
    assert [_minutes(wiped, mrid) - _minutes(wiped, 1) for mrid in (1, 2, 4, 5)] == [0, 1, 2, 3]


def test_a_wrong_clock_shows_in_the_stamps_alone() -> None:
    """Behind or ahead, and added up where two ranges overlap; what was measured stays the same."""
    right = Device("z6-1", records=6, interval=60)
    wrong = replace(right, clock=((2, 4, -500_000_000), (4, 4, 60), (6, 6, 1_262_304_000)))

    assert [wrong.timestamp(mrid) - right.timestamp(mrid) for mrid in range(1, 7)] == [
        0,
        -500_000_000,
        -500_000_000,
        -499_999_940,
        0,
        1_262_304_000,
    ]
    assert [row["value"] for row in _values(wrong)] == [row["value"] for row in _values(right)]


@pytest.mark.parametrize(
    ("since", "until", "there"),
    [
        (None, None, [1, 2, 3, 4, 5, 6]),
        (0, 120, [1, 2, 5]),
        (60, None, [2, 4, 5, 6]),
        (None, 0, [3]),
        (90, 91, [5]),
        (240, 301, [4, 6]),
    ],
)
def test_records_are_found_by_their_stamps(since: float | None, until: float | None, there: list[int]) -> None:
    """Whatever their mrids: the end is exclusive."""
    device = Device("z6-1", records=6, interval=60, clock=((3, 3, -500), (4, 4, 60), (5, 5, -150)))
    began = device.timestamp(1)

    found = device.stamped(
        1, 6, -math.inf if since is None else began + since, math.inf if until is None else began + until
    )

    assert flatten(found, ascending=True) == there


def test_the_same_seed_gives_the_same_values() -> None:
    """Values depend on the seed, the device, the measurement and the mrid, and on nothing else."""
    device = Device("z6-1", records=5)

    assert list(rows(device, Options())) == list(rows(device, Options()))
    assert list(rows(device, Options())) != list(rows(device, Options(seed=2)))


def test_the_standard_station_has_24_values_in_a_record() -> None:
    """Two soil probes on different ports measure water content, so both have the index 0."""
    values = list(rows(Device("z6-1", records=1), Options()))

    assert len(values) == 24
    water = [row for row in values if row["measurement"] == "Water Content"]
    assert [(row["port_number"], row["sub_sensor_index"]) for row in water] == [(3, 0), (5, 0)]
    assert [(row["depth"], row["units"]) for row in water] == [("10 cm", "m³/m³"), ("Not Set", "m³/m³")]


def test_a_profile_probe_has_several_values_on_one_port() -> None:
    """The index tells the depths of a probe apart."""
    values = rows(Device("z6-1", records=1, sensors=PROFILE_STATION), Options())

    profile = [row for row in values if row["port_number"] == 5 and row["measurement"] == "Water Content"]
    assert [(row["sub_sensor_index"], row["depth"]) for row in profile] == [
        (0, "15 cm"),
        (1, "30 cm"),
        (2, "45 cm"),
        (3, "60 cm"),
    ]


def test_no_two_values_have_the_same_key() -> None:
    """The six key columns of the tap identify every value of every device."""
    keys = ("device_sn", "mrid", "timestamp_utc", "port_number", "measurement", "sub_sensor_index")
    values = [row for device in fleet(10, 20) for row in rows(device, Options())]

    assert len({tuple(row[key] for key in keys) for row in values}) == len(values)


def test_a_change_of_units_converts_the_values() -> None:
    """From the mrid on temperatures are in °F, at the same moments and about the same weather."""
    plain = Device("z6-1", records=30, error_rate=0)
    changed = Device("z6-1", records=30, error_rate=0, units_changed_at=20)

    for celsius, other in zip(_values(plain), _values(changed), strict=True):
        if celsius["units"] == "°C" and celsius["mrid"] >= 20:
            assert other["units"] == "°F"
            assert other["value"] == pytest.approx(celsius["value"] * 1.8 + 32, abs=0.15)
        else:
            assert other == celsius


def test_errors_are_flagged_in_all_their_forms() -> None:
    """A flagged value is null or doubtful, with a description or without; what is not flagged has a value."""
    values = _values(Device("z6-1", records=500, error_rate=0.01))
    flagged = Counter((row["value"] is None, row["error_description"]) for row in values if row["error_flag"])

    assert set(flagged) == {
        (True, "No response from sensor"),
        (True, None),
        (True, "Sensor reported an invalid value"),
        (False, "Value out of range"),
    }
    assert 60 < flagged.total() < 180
    assert all(row["value"] is not None for row in values if not row["error_flag"])


def test_numbers_are_integers_and_floats_at_random() -> None:
    """A whole number is written as 17 or as 17.0."""
    values = _values(Device("z6-1", records=50))

    kinds = {type(row["value"]) for row in values if row["measurement"] == "Wetness Level"}
    assert kinds >= {int, float}


def test_days_are_warmer_and_brighter_than_nights() -> None:
    """The sun shines at noon of the device's local time."""
    device = Device("z6-1", records=96 * 10, tz_offset=-25200)
    noon = [row for row in _values(device) if "12:00:00" in row["local_datetime"]]
    night = [row for row in _values(device) if "02:00:00" in row["local_datetime"]]

    assert _mean(noon, "Solar Radiation") > 50
    assert _mean(night, "Solar Radiation") == 0
    assert _mean(noon, "Air Temperature") > _mean(night, "Air Temperature") + 2


def test_rain_wets_the_soil_and_the_soil_dries() -> None:
    """Water content rises on the wettest day and falls over a dry one."""
    values = [row for row in _values(Device("z6-1", records=96 * 60, error_rate=0)) if row["port_number"] in {1, 3}]
    rain = [row["value"] for row in values if row["measurement"] == "Precipitation"]
    water = [row["value"] for row in values if row["measurement"] == "Water Content"]
    days = [(sum(rain[day : day + 96]), water[day + 95] - water[day]) for day in range(0, len(rain), 96)]

    assert max(days)[0] > 5
    assert max(days)[1] > 0.01
    assert sum(change for fallen, change in days if not fallen) < 0


def test_a_fleet_is_varied() -> None:
    """A list of sizes is given out in turn, and some devices are of the difficult kinds."""
    devices = fleet(14, [10, 250], seed=3)

    assert [device.device_sn for device in devices[:2]] == ["z6-00001", "z6-00002"]
    assert [device.records for device in devices[:4]] == [10, 250, 10, 250]
    assert devices == fleet(14, [10, 250], seed=3)
    assert {device.units_changed_at is None for device in devices} == {True, False}
    assert {device.sensors == PROFILE_STATION for device in devices} == {True, False}
    assert {device.empty_pages for device in devices} == {"null", "missing"}
    assert len({device.tz_offset for device in devices}) > 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"device_sn": " "},
        {"records": -1},
        {"first_mrid": 0},
        {"interval": 0},
        {"start": datetime(2026, 1, 1)},  # noqa: DTZ001 - what is refused
        {"gaps": ((5, 4),)},
        {"tz_offset": 60 * 3600},
        {"skip_every": 1},
        {"skip_every": -2},
        {"silences": ((5, -1),)},
        {"silences": ((5, 253_402_300_800),)},
        {"clock": ((5, 4, 1),)},
        {"clock": ((0, 4, 1),)},
        {"clock": ((4, 4, -2_000_000_000),)},
        {"clock": ((4, 4, 253_402_300_800),)},
        {"clock": ((1, 1, 253_402_300_799 - MIDNIGHT),), "tz_offset": 3600},
    ],
)
def test_a_device_that_cannot_be_is_refused(wrong: dict[str, Any]) -> None:
    """Mistakes in a test's devices show where they are made."""
    with pytest.raises(ValueError, match=r"."):
        Device(**{"device_sn": "z6-1"} | wrong)


def test_what_a_clock_stamps_later_is_looked_at_when_the_device_has_grown() -> None:
    """A wrong clock beyond the newest record is no mistake until a record is made with it."""
    device = Device("z6-1", records=3, clock=((4, 4, -2_000_000_000),))

    with pytest.raises(ValueError, match="before 1970"):
        device.grown(1)


def _minutes(device: Device, mrid: int) -> float:
    """Return when a record is stamped, counted from the turn of the year 2026."""
    return (device.timestamp(mrid) - MIDNIGHT) / 60


def _values(device: Device) -> list[dict[str, Any]]:
    return list(rows(device, Options()))


def _mean(values: list[dict[str, Any]], measurement: str) -> float:
    numbers: list[float] = [
        row["value"] for row in values if row["measurement"] == measurement and row["value"] is not None
    ]
    return sum(numbers) / len(numbers)
