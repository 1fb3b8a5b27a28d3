"""The forms of an answer that clients have met or must expect: late values, duplicates, odd fields, other orders."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from datetime import UTC, datetime
from typing import Any

import pytest

from tap_zentra.emulator import PROFILE_STATION, Device, Emulator
from tap_zentra.emulator.options import Options
from tap_zentra.emulator.readings import rows
from tests.emulator.support import Cloud, Page

ASCENDING: dict[str, Any] = {"sort_by": "ascending"}
USUAL = {"precision": int, "tz_offset": int, "sensor_sn": str, "depth": str, "error_flag": bool}
"""Columns whose fields come in odd forms, and what they usually are."""


def station(**attributes: Any) -> Device:
    """Return a device with a profile probe, without errors, in New York's winter time."""
    usual: dict[str, Any] = {"records": 30, "error_rate": 0, "tz_offset": -18000, "sensors": PROFILE_STATION}
    return Device("z6-1", **usual | attributes)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"late_values": "absent"},
        {"late_values": "null"},
        {"duplicates": True},
        {"odd_fields": True},
        {"entry_order": "shuffled"},
        {"sorting": "time"},
        {"sorting": "descending"},
        {"late_values": "null", "duplicates": True, "odd_fields": True, "entry_order": "shuffled", "sorting": "time"},
    ],
)
def test_the_answer_is_what_is_told_to_be_sent(options: dict[str, Any]) -> None:
    """Taken apart as a client would, it holds the rows of the ground truth, each once."""
    device = station(
        units_changed_at=20,
        error_rate=0.05,
        skip_every=4,
        silences=((9, 86_400),),
        clock=((5, 7, -10_000),),
        name="Bog",
    )

    page = Cloud([device], **options).page(device_depth="true", **ASCENDING)

    expected = {_key(row): row for row in rows(device, Options(**options))}
    assert expected == {_key(row): row for row in _taken_apart(page, device, odd=options.get("odd_fields", False))}
    assert len(expected) == sum(1 for _ in rows(device, Options(**options)))


@pytest.mark.parametrize("device", [station(), station(sensors=PROFILE_STATION[:2])])
def test_a_newest_record_lacks_every_second_series(device: Device) -> None:
    """Until the device has made the next one; older records are complete."""
    cloud = Cloud([device], late_values="absent")

    newest, older = cloud.page(start_mrid=30), cloud.page(start_mrid=1, end_mrid=29)

    assert [name for name, _ in newest.entries] == [series.measurement.name for series in device.series[::2]]
    assert newest.pagination["max_mrid"] == newest.pagination["page_end_mrid"] == 30
    assert len(older.entries) == len(device.series)
    assert len(Cloud([device.grown(1)], late_values="absent").page(start_mrid=30, end_mrid=30).entries) == len(
        device.series
    )


def test_late_values_are_null_where_they_are_not_absent() -> None:
    """With an error, as a sensor that does not respond."""
    page = Cloud([station()], late_values="null").page(start_mrid=29, **ASCENDING)

    late = [entry["readings"] for _, entry in page.entries][1::2]
    for older, newest in late:
        assert (older["error_flag"], newest["error_flag"]) == (False, True)
        assert (newest["value"], newest["error_description"]) == (None, "No response from sensor")
    assert not any(entry["readings"][1]["error_flag"] for _, entry in page.entries[::2])


def test_late_values_come_with_the_next_record() -> None:
    """The ground truth is what the service sends now."""
    emulator = Emulator([station(records=3)], late_values="absent")
    count = len(emulator.device("z6-1").series)

    before = Counter(row["mrid"] for row in emulator.readings())
    emulator.grow()
    after = Counter(row["mrid"] for row in emulator.readings())

    assert before == {1: count, 2: count, 3: (count + 1) // 2}
    assert after == {1: count, 2: count, 3: count, 4: (count + 1) // 2}


def test_every_fifth_record_comes_twice() -> None:
    """In every entry, one right after the other and the same."""
    page = Cloud([station(records=11)], duplicates=True).page(**ASCENDING)

    assert page.mrids == [1, 2, 3, 4, 5, 5, 6, 7, 8, 9, 10, 10, 11]
    assert page.pagination["page_num_readings"] == 11
    assert all(entry["readings"][4] == entry["readings"][5] for _, entry in page.entries)


def test_odd_fields_are_of_the_forms_that_clients_met() -> None:
    """A whole float, a text for a number, numbers for texts, a number for a truth, and a NUL."""
    cloud = Cloud([station(name="North")], odd_fields=True)

    entry = cloud.page(device_depth="true", start_mrid=1, end_mrid=1).body["data"]["Water Content"][1]

    (reading,) = entry["readings"]
    assert entry["metadata"]["device_name"] == "No\0rth"
    assert entry["metadata"]["depth"] == 15
    assert isinstance(entry["metadata"]["sensor_sn"], int)
    assert (repr(reading["precision"]), reading["tz_offset"], repr(reading["error_flag"])) == ("3.0", "-05:00", "0")
    assert reading["datetime"] == "2025-12-31 19:00:00-05:00"


def test_the_datetime_of_every_seventh_record_is_the_bare_word_nan() -> None:
    """Which strict parsers refuse."""
    answer = Cloud([station(records=14)], odd_fields=True).call(device_sn="z6-1", **ASCENDING)

    (first, *_), *_ = json.loads(answer.body)["data"].values()
    assert [reading["mrid"] for reading in first["readings"] if reading["datetime"] != reading["datetime"]] == [7, 14]
    assert b'"datetime":NaN' in answer.body


def test_a_depth_that_is_no_number_stays_a_text() -> None:
    """As does a serial number that is not told; a depth is sent only when it is asked for."""
    cloud = Cloud([Device("z6-1", records=1)], odd_fields=True)

    told = {json.dumps(entry["metadata"]["depth"]) for _, entry in cloud.page(device_depth="true").entries}
    serials = {json.dumps(entry["metadata"]["sensor_sn"]) for _, entry in cloud.page().entries}

    assert told == {'""', '"Not Set"', "10"}
    assert {"null", '""'} < serials
    assert not any("depth" in entry["metadata"] for _, entry in cloud.page().entries)


def test_odd_fields_are_told_as_extra() -> None:
    """Columns that come in an odd form are null; what is NaN or not there leaves nothing behind."""
    device = Device("z6-1", records=7, error_rate=0, name="", tz_offset=5400)

    told = [row for row in rows(device, Options(odd_fields=True)) if row["measurement"] == "Water Content"]

    assert told[0]["extra"] == {"precision": 3.0, "tz_offset": "+01:30", "error_flag": 0, "depth": 10} | {
        "sensor_sn": told[0]["extra"]["sensor_sn"]  # type: ignore[index]
    }
    assert told[1]["extra"] == {"precision": 3.0, "tz_offset": "+01:30", "error_flag": 0}
    assert (told[1]["depth"], told[1]["sensor_sn"], told[1]["device_name"]) == ("Not Set", None, "\ufffd")
    assert {(row["precision"], row["tz_offset"], row["error_flag"]) for row in told} == {(None, None, None)}
    assert [row["local_datetime"] is None for row in told[::2]] == [False] * 6 + [True]
    assert all("extra" not in row for row in rows(device, Options()))


def test_shuffled_entries_come_in_another_order_in_other_answers() -> None:
    """Those of one measurement, while the measurements stay where they are; the same call has the same answer."""
    cloud = Cloud([station()], entry_order="shuffled")
    steady = Cloud([station()])

    asked: list[dict[str, Any]] = [{"start_mrid": first, "device_depth": "true", **ASCENDING} for first in range(1, 20)]
    orders = [_depths(cloud.page(**params)) for params in asked]

    assert len(set(orders)) > 10
    assert {tuple(sorted(order)) for order in orders} == {tuple(sorted(_depths(steady.page(**asked[0]))))}
    assert orders == [_depths(cloud.page(**params)) for params in asked]
    assert [name for name, _ in cloud.page().entries] == [name for name, _ in steady.page().entries]


def test_flat_formats_have_odd_forms_too() -> None:
    """But no word that a table cannot hold."""
    cloud = Cloud([station(records=7)], odd_fields=True, duplicates=True)

    answer = cloud.call(device_sn="z6-1", output_format="csv", **ASCENDING)

    lines = list(csv.DictReader(io.StringIO(answer.body.decode())))
    assert len(lines) == 8 * len(station().series)
    assert lines[0]["tz_offset"] == "-05:00"
    assert [line["datetime"] for line in lines if line["mrid"] == "7"] == [""] * len(station().series)


def _depths(page: Page) -> tuple[str, ...]:
    return tuple(entry["metadata"]["depth"] for entry in page.body["data"]["Water Content"])


def _key(row: dict[str, Any]) -> tuple[object, ...]:
    return row["mrid"], row["port_number"], row["measurement"], row["sub_sensor_index"]


def _taken_apart(page: Page, device: Device, *, odd: bool) -> list[dict[str, Any]]:
    """Return the rows of an answer with depths; entries are told apart by depth."""
    found = []
    for measurement, entry in page.entries:
        fields = entry["metadata"]
        depth = f"{fields['depth']} cm" if isinstance(fields["depth"], int) else fields["depth"]
        probe = (measurement, fields["port_number"])
        depths = [one.depth for one in device.series if (one.measurement.name, one.sensor.port) == probe]
        for reading in entry["readings"]:
            row = {"measurement": measurement, "sub_sensor_index": depths.index(depth)}
            found.append(_columns(row | fields | reading, odd=odd))
    return found


def _columns(row: dict[str, Any], *, odd: bool) -> dict[str, Any]:
    row["local_datetime"] = row.pop("datetime")
    row["timestamp_utc"] = datetime.fromtimestamp(row["timestamp_utc"], UTC).isoformat()
    row["units"] = json.loads(f'"{row["units"]}"').strip()
    row["device_name"] = row["device_name"].replace("\0", "\N{REPLACEMENT CHARACTER}")
    nothing = ("", "nan")
    row = {name: None if str(value) in nothing else value for name, value in row.items()}
    extra = {name: row[name] for name, kind in USUAL.items() if row[name] is not None and type(row[name]) is not kind}
    return row | dict.fromkeys(extra) | ({"extra": extra} if odd else {})
