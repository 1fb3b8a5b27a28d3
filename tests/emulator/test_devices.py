"""What a device of the emulator holds."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import Any

import pytest

from tap_zentra.emulator import PROFILE_STATION, Device, fleet
from tap_zentra.emulator.devices import flatten
from tap_zentra.emulator.options import Options
from tap_zentra.emulator.readings import rows


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
    ],
)
def test_a_device_that_cannot_be_is_refused(wrong: dict[str, Any]) -> None:
    """Mistakes in a test's devices show where they are made."""
    with pytest.raises(ValueError, match=r"."):
        Device(**{"device_sn": "z6-1"} | wrong)


def _values(device: Device) -> list[dict[str, Any]]:
    return list(rows(device, Options()))


def _mean(values: list[dict[str, Any]], measurement: str) -> float:
    numbers: list[float] = [
        row["value"] for row in values if row["measurement"] == measurement and row["value"] is not None
    ]
    return sum(numbers) / len(numbers)
