"""Devices whose sensors or time zone change while they make records."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from tap_zentra.emulator import PROFILE_STATION, STANDARD_STATION, Device, Emulator
from tap_zentra.emulator.options import Options
from tap_zentra.emulator.readings import rows
from tap_zentra.emulator.sensors import BATTERY, TEROS_10, TEROS_11, TEROS_54, Sensor
from tap_zentra.emulator.v5.readings import columns
from tests.emulator.support import MIDNIGHT, Cloud, Page

ASCENDING: dict[str, Any] = {"sort_by": "ascending"}
V5_RANGE: dict[str, Any] = {"start_timestamp": MIDNIGHT, "end_timestamp": MIDNIGHT + 10**6, "direction": "ascending"}
HOUR = 3600
DAY = 24 * HOUR
SWAPPED = replace(TEROS_11, number=9)
MOVED = replace(TEROS_11, port=4, number=TEROS_11.port)

SUMMER_BEGINS = {"tz_offset": -8 * HOUR, "time_zones": ((11, -7 * HOUR),)}
"""With a record every hour since 2026-01-01 00:00 UTC: on that day at 02:00, which is 10:00 UTC."""
SUMMER_ENDS = {"tz_offset": -7 * HOUR, "time_zones": ((10, -8 * HOUR),)}
"""At 02:00, which is 09:00 UTC."""


def probe(*sensors: Sensor, **attributes: Any) -> Device:
    """Return a device without errors that has these sensors, in UTC, with a record every hour."""
    usual: dict[str, Any] = {"records": 10, "error_rate": 0, "tz_offset": 0, "interval": HOUR, "sensors": sensors}
    return Device("z6-1", **usual | attributes)


def serials(page: Page) -> dict[tuple[str, int], list[int]]:
    """Return the mrids of each serial number and port of `Water Content`."""
    return {
        (entry["metadata"]["sensor_sn"], entry["metadata"]["port_number"]): [one["mrid"] for one in entry["readings"]]
        for entry in page.body["data"]["Water Content"]
    }


def local(device: Device, *mrids: int) -> list[str]:
    """Return the local times of records, as v4 sends them."""
    page = Cloud([device]).page(**ASCENDING)
    told = {one["mrid"]: one["datetime"] for one in page.entries[0][1]["readings"]}
    return [told[mrid][len("2026-01-01 ") :] for mrid in mrids]


class TestRefits:
    """`Device.refits`."""

    def test_a_swapped_probe_has_an_entry_and_a_serial_number_of_its_own(self) -> None:
        """A page that spans the swap has both, each with the readings of its time."""
        found = serials(Cloud([probe(TEROS_11, refits=((4, (SWAPPED,)),))]).page(**ASCENDING))

        (old, new), *others = zip(*found, strict=True)
        assert old != new
        assert (old[:4], new[:4], others) == ("T11-", "T11-", [(3, 3)])
        assert list(found.values()) == [[1, 2, 3], [4, 5, 6, 7, 8, 9, 10]]

    def test_a_page_before_or_after_a_swap_knows_one_probe(self) -> None:
        """As if there were no other."""
        cloud = Cloud([probe(TEROS_11, refits=((4, (SWAPPED,)),))])

        assert [len(serials(cloud.page(start_mrid=mrid, end_mrid=mrid + 1))) for mrid in (2, 3, 4)] == [1, 2, 1]

    def test_a_probe_keeps_its_serial_number_on_another_port(self) -> None:
        """It is the same probe, in another place."""
        found = serials(Cloud([probe(TEROS_11, refits=((4, (MOVED,)),))]).page(**ASCENDING))

        assert len({serial for serial, _ in found}) == 1
        assert [port for _, port in found] == [3, 4]

    def test_other_sensors_go_on_in_their_entries(self) -> None:
        """Nothing of them changes with a swap."""
        before, after = (probe(TEROS_11, BATTERY), probe(TEROS_11, BATTERY, refits=((4, (SWAPPED, BATTERY)),)))

        assert (
            Cloud([before]).page().body["data"]["Battery Voltage"]
            == Cloud([after]).page().body["data"]["Battery Voltage"]
        )

    def test_a_probe_that_comes_back_goes_on_in_its_entry(self) -> None:
        """In the records between it has no reading."""
        found = serials(Cloud([probe(TEROS_11, refits=((4, ()), (8, (TEROS_11,))))]).page(**ASCENDING))

        assert list(found.values()) == [[1, 2, 3, 8, 9, 10]]

    def test_outputs_are_counted_as_they_are_sent(self) -> None:
        """A profile probe has eight values in a record, the probe before it had two."""
        cloud = Cloud([probe(TEROS_11, refits=((4, (TEROS_54,)),))])

        page = cloud.page(start_mrid=2, end_mrid=5)
        assert page.pagination["page_num_outputs"] == 2 + 2 + 8 + 8
        assert sum(len(entry["readings"]) for _, entry in page.entries) == 20

    def test_flat_formats_hold_both_probes(self) -> None:
        """A line for each value of each."""
        answer = Cloud([probe(TEROS_11, refits=((4, (SWAPPED,)),))]).call(device_sn="z6-1", output_format="csv")

        lines = list(csv.DictReader(io.StringIO(answer.body.decode())))
        assert sorted(Counter(line["sensor_sn"] for line in lines).values()) == [3 * 2, 7 * 2]

    def test_a_refit_yet_to_come_shows_when_the_device_has_grown(self) -> None:
        """Until then nothing is different; with it what was there stays as it was."""
        device = probe(TEROS_11, refits=((11, (TEROS_54,)),))
        before = list(rows(device, Options()))

        after = list(rows(device.grown(1), Options()))

        assert before == list(rows(replace(device, refits=()), Options())) == after[:-8]
        assert {row["sensor_name"] for row in after[-8:]} == {"TEROS 54"}

    def test_a_wiped_device_keeps_what_is_plugged_in(self) -> None:
        """What was plugged in before is forgotten."""
        wiped = probe(TEROS_11, refits=((4, (SWAPPED,)), (40, ()))).wiped(2)

        assert (wiped.sensors, wiped.refits) == ((SWAPPED,), ())

    def test_sub_sensors_are_counted_anew_for_each_probe(self) -> None:
        """From the top, whatever probe was on the port before."""
        held = rows(probe(TEROS_11, refits=((4, (TEROS_54,)),)), Options())

        found = {(row["sensor_name"], row["depth"], row["sub_sensor_index"]) for row in held}
        depths = ((depth, index) for index, depth in enumerate(TEROS_54.depths))
        assert found == {("TEROS 11", "10 cm", 0), *(("TEROS 54", depth, index) for depth, index in depths)}

    @pytest.mark.parametrize("late", ["none", "absent", "null"])
    @pytest.mark.parametrize(
        "refits",
        [
            ((5, (*STANDARD_STATION[:2], SWAPPED, TEROS_10)),),
            ((5, (MOVED, TEROS_10)), (8, PROFILE_STATION)),
            ((3, (TEROS_54,)), (7, ()), (10, (TEROS_11,))),
        ],
        ids=["swapped", "moved, then more sensors", "nothing for a while"],
    )
    def test_the_answers_are_what_the_device_holds(self, refits: Any, late: Any) -> None:
        """Of v4 and of v5, with changed units and late values on top."""
        device = probe(*STANDARD_STATION, refits=refits, units_changed_at=6)
        cloud = Cloud([device], late_values=late, positions=True, reading_ids=True)

        sent = _v4(cloud.page(device_depth="true", **ASCENDING))
        values = [row for page in cloud.v5_pages(**V5_RANGE) for row in page["values"]]

        assert sent == {_key(row): _told(row) for row in rows(device, cloud.options)}
        held = list(columns(device, cloud.options, "metric"))
        assert Counter(map(_v5, values)) == Counter(
            (row["timestamp_utc"], row["sensor_name"], row["measurement"], _position(row), row["value"]) for row in held
        )
        assert len({row["reading_id"] for row in values}) == len(values) == len(held)

    def test_a_weather_station_on_another_port_is_found_there(self) -> None:
        """Daily values are those of its time; a port without one is refused, also one that is to have one later."""
        station = STANDARD_STATION[0]
        moved, later = (replace(station, port=port) for port in (2, 6))
        emulator = Emulator([probe(station, records=96, refits=((49, (moved,)), (1000, (later,))))])

        first, second = (emulator.env_model("z6-1", port, "ETo", elevation=1, latitude=1) for port in (1, 2))

        assert [day["error_flag"] for day in first] == [False, False, True, True]
        assert [day["error_flag"] for day in second] == [True, True, False, False]
        assert emulator.env_model("z6-1", 6, "ETo", elevation=1, latitude=1) == []


class TestTimeZones:
    """`Device.time_zones`."""

    def test_an_hour_is_left_out_when_summer_time_begins(self) -> None:
        """Local time jumps, time goes on."""
        device = probe(TEROS_11, records=24, **SUMMER_BEGINS)

        assert local(device, 10, 11, 12) == ["01:00:00-08:00", "03:00:00-07:00", "04:00:00-07:00"]

    def test_an_hour_comes_twice_when_summer_time_ends(self) -> None:
        """Only the offset tells the two records apart."""
        device = probe(TEROS_11, records=24, **SUMMER_ENDS)

        assert local(device, 9, 10, 11) == ["01:00:00-07:00", "01:00:00-08:00", "02:00:00-08:00"]

    def test_each_reading_has_the_offset_of_its_time(self) -> None:
        """Of v4 and v5, in usual and odd forms, and in the ground truth."""
        device = probe(BATTERY, records=12, **SUMMER_BEGINS)

        entry = Cloud([device]).page(start_mrid=10, end_mrid=11, **ASCENDING).entries[0][1]
        odd = Cloud([device], odd_fields=True).page(start_mrid=10, end_mrid=11, **ASCENDING).entries[0][1]
        v5 = Cloud([device]).v5_body(**V5_RANGE)["values"]

        assert [one["tz_offset"] for one in entry["readings"]] == [-8 * HOUR, -7 * HOUR]
        assert [one["tz_offset"] for one in odd["readings"]] == ["-08:00", "-07:00"]
        assert [row["datetime"] for row in v5][3 * 9 : 3 * 11 : 3] == [
            "2026-01-01 01:00:00-08:00",
            "2026-01-01 03:00:00-07:00",
        ]
        told = [(row["tz_offset"], row["extra"]) for row in rows(device, Options(odd_fields=True))]
        assert [extra["tz_offset"] for _, extra in told[18:22]] == ["-08:00", "-08:00", "-07:00", "-07:00"]  # type: ignore[index]
        assert [row["tz_offset"] for row in rows(device, Options())][18:22] == [-8 * HOUR] * 2 + [-7 * HOUR] * 2

    @pytest.mark.parametrize(
        ("zones", "start", "end", "mrids"),
        [
            (SUMMER_BEGINS, "01:00", "03:00", [10]),
            (SUMMER_BEGINS, "02:00", "04:00", [11]),
            (SUMMER_BEGINS, "02:30", "04:00", [11]),
            (SUMMER_BEGINS, "03:00", "05:00", [11, 12]),
            (SUMMER_ENDS, "00:00", "01:00", [8]),
            (SUMMER_ENDS, "01:00", "02:00", [9, 10]),
            (SUMMER_ENDS, "01:30", "03:00", [10, 11]),
        ],
    )
    def test_dates_are_in_the_local_time_of_their_day(
        self, zones: dict[str, Any], start: str, end: str, mrids: list[int]
    ) -> None:
        """A time that comes twice is the earlier one, a time that is left out is the end of its hour."""
        cloud = Cloud([probe(TEROS_11, records=24, **zones)])

        page = cloud.page(start_date=f"2026-01-01 {start}", end_date=f"2026-01-01 {end}", **ASCENDING)

        assert page.mrids == mrids

    @pytest.mark.parametrize(("zones", "midnight"), [(SUMMER_BEGINS, 24 + 8), (SUMMER_ENDS, 24 + 9)])
    def test_a_page_ends_at_the_midnight_of_the_new_time(self, zones: dict[str, Any], midnight: int) -> None:
        """The day before has 23 or 25 hours."""
        device = probe(TEROS_11, records=100, start=datetime(2025, 12, 31, 12, tzinfo=UTC), **zones)
        change, offset = device.time_zones[0]
        page = Cloud([replace(device, time_zones=((change + 12, offset),))], page_days=2).page(**ASCENDING)

        assert page.mrids[-1] == 12 + midnight - 1
        assert page.pagination["page_end_date"].startswith("2026-01-01 23:00:00")

    @pytest.mark.parametrize(("zones", "hours"), [(SUMMER_BEGINS, 23), (SUMMER_ENDS, 25)])
    def test_a_day_has_23_or_25_hours(self, zones: dict[str, Any], hours: int) -> None:
        """Daily values stand at the last second of each local day."""
        device = probe(*STANDARD_STATION, records=48, **zones)

        last, day, _ = Emulator([device]).env_model("z6-1", 1, "ETo", elevation=100, latitude=45)

        assert int(str(day["timestamp_utc"])) - int(str(last["timestamp_utc"])) == hours * HOUR
        assert day["datetime"] == f"2026-01-01 23:59:59{'-07:00' if hours == 23 else '-08:00'}"
        assert day["tz_offset"] == device.time_zones[0][1]

    def test_a_short_day_is_a_whole_one(self) -> None:
        """Its value is that of any day with all its records."""
        short, usual = (
            probe(*STANDARD_STATION, records=48, **SUMMER_BEGINS | more) for more in ({}, {"time_zones": ()})
        )

        values = [
            Emulator([device]).env_model("z6-1", 1, "ETo", elevation=100, latitude=45)[1]["value"]
            for device in (short, usual)
        ]

        assert values[0] == values[1] is not None

    def test_a_moved_device_has_another_time_from_then_on(self) -> None:
        """And may move again."""
        device = probe(TEROS_11, records=9, time_zones=((4, 2 * HOUR), (7, -5 * HOUR)))

        assert local(device, 3, 4, 6, 7) == ["02:00:00+00:00", "05:00:00+02:00", "07:00:00+02:00", "01:00:00-05:00"]

    def test_a_wrong_clock_has_the_offset_of_the_moment_that_it_tells(self) -> None:
        """As if the record had been made then."""
        device = probe(TEROS_11, records=9, time_zones=((4, 2 * HOUR),), clock=((6, 6, -5 * HOUR),))

        assert local(device, 5, 6, 7) == ["06:00:00+02:00", "00:00:00+00:00", "08:00:00+02:00"]

    def test_a_change_of_time_changes_no_value(self) -> None:
        """Sun and rain do not follow the clock."""
        plain, changed = probe(*STANDARD_STATION, records=40), probe(*STANDARD_STATION, records=40, **SUMMER_BEGINS)
        same = replace(changed, time_zones=())

        assert [row["value"] for row in rows(changed, Options())] == [row["value"] for row in rows(same, Options())]
        assert [row["value"] for row in rows(changed, Options())] != [row["value"] for row in rows(plain, Options())]

    def test_a_wiped_device_keeps_its_time(self) -> None:
        """That of its newest record."""
        wiped = probe(TEROS_11, time_zones=((4, 2 * HOUR), (40, 0))).wiped(2)

        assert (wiped.tz_offset, wiped.time_zones) == (2 * HOUR, ())


@pytest.mark.parametrize(
    "wrong",
    [
        {"refits": ((0, ()),)},
        {"refits": ((5, ()), (5, ()))},
        {"time_zones": ((5, 0), (4, 0))},
        {"time_zones": ((5, 15 * HOUR),)},
        {"time_zones": ((1, HOUR),), "clock": ((1, 1, 253_402_300_799 - MIDNIGHT),), "tz_offset": 0},
    ],
)
def test_a_device_that_cannot_be_is_refused(wrong: dict[str, Any]) -> None:
    """Mistakes in a test's devices show where they are made."""
    with pytest.raises(ValueError, match=r"."):
        Device(**{"device_sn": "z6-1"} | wrong)


def _v4(page: Page) -> dict[tuple[object, ...], dict[str, object]]:
    """Return the rows of a page by mrid, port, measurement and depth."""
    found: dict[tuple[object, ...], dict[str, object]] = {}
    for measurement, entry in page.entries:
        told = entry["metadata"]
        for reading in entry["readings"]:
            row = {
                "value": reading["value"],
                "units": json.loads(f'"{told["units"]}"').strip() or None,
                "sensor_sn": told["sensor_sn"] or None,
                "depth": told["depth"] or None,
                "tz_offset": reading["tz_offset"],
            }
            found[(reading["mrid"], told["port_number"], measurement, row["depth"])] = row
    return found


def _key(row: dict[str, object]) -> tuple[object, ...]:
    return row["mrid"], row["port_number"], row["measurement"], row["depth"]


def _told(row: dict[str, object]) -> dict[str, object]:
    return {name: row[name] for name in ("value", "units", "sensor_sn", "depth", "tz_offset")}


def _v5(row: dict[str, Any]) -> tuple[object, ...]:
    moment = datetime.fromtimestamp(row["timestamp"], UTC).isoformat()
    return moment, row["sensor_name"], row["measurement"], row["position"], row["value"]


def _position(row: dict[str, Any]) -> object:
    return (row["extra"] or {}).get("position")
