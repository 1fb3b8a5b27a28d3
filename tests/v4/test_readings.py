"""A page of API v4 as records, with bodies of the shape that the service sends."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tap_zentra.bodies import LAST_TIMESTAMP, MOST_UNKNOWN_FIELDS, clean_units
from tap_zentra.singer.moments import iso_timestamp
from tap_zentra.v4 import responses
from tap_zentra.v4.places import Places
from tap_zentra.v4.readings import READINGS, READINGS_KEY, reading_records
from tap_zentra.v4.responses import decode_page, page_size, timestamps_by_mrid
from tests.v4.support import (
    DEVICE,
    JSON_TYPES,
    NOON,
    a_page,
    an_entry,
    as_sent,
    record_under,
    record_with,
    records_of,
)

# Columns


def test_every_column_has_its_value() -> None:
    """Nothing that the service sends of a reading is lost, and nothing is named otherwise."""
    assert records_of(a_page()) == [
        {
            "device_sn": DEVICE,
            "mrid": 4711,
            "timestamp_utc": "2026-01-31T12:00:00+00:00",
            "port_number": 3,
            "measurement": "Water Content",
            "sub_sensor_index": 0,
            "value": 0.312,
            "units": "m³/m³",
            "precision": 3,
            "error_flag": False,
            "error_description": None,
            "local_datetime": "2026-01-31 13:00:00+01:00",
            "tz_offset": 3600,
            "device_name": "Lower meadow",
            "sensor_name": "TEROS 12",
            "sensor_sn": "T12-00000042",
            "depth": "10 cm",
            "extra": None,
        }
    ]


def test_a_record_is_what_the_schema_says() -> None:
    """The columns of a record are the schema's, in its order, and of its types."""
    record = record_with(value=None, error_flag=True, error_description="No response from sensor", battery={"mv": 1})
    columns = READINGS["properties"]

    assert list(columns) == list(record)
    assert all(any(type(value) in JSON_TYPES[kind] for kind in columns[name]["type"]) for name, value in record.items())
    assert set(READINGS_KEY) <= set(READINGS["required"])


def test_a_page_without_readings_has_no_records() -> None:
    """An empty page is a page."""
    page = decode_page(as_sent(a_page({}, max_mrid=None)))

    assert records_of(a_page({}, max_mrid=None)) == []
    assert timestamps_by_mrid(page) == {}
    assert page.pagination.max_mrid is None


def test_an_entry_without_readings_has_no_records() -> None:
    """A sensor that has nothing on this page is no fault."""
    assert records_of(a_page({"Water Content": [an_entry()]})) == []
    assert records_of(a_page({"Water Content": []})) == []


def test_a_page_says_which_records_it_holds() -> None:
    """Each mrid is one record with one moment, however many values it has."""
    page = decode_page(
        as_sent(
            a_page(
                {
                    "Water Content": [an_entry({"mrid": 9, "timestamp_utc": 900}, {"mrid": 8, "timestamp_utc": 800})],
                    "Battery": [an_entry({"mrid": 10, "timestamp_utc": 1000}, {"mrid": 8, "timestamp_utc": 800})],
                }
            )
        )
    )

    assert timestamps_by_mrid(page) == {8: 800, 9: 900, 10: 1000}


@pytest.mark.parametrize(("per_page", "size"), [(500, 500), (None, None), ("500", None), (500.0, None), ([], None)])
def test_a_page_says_how_large_it_may_be(per_page: object, size: int | None) -> None:
    """The service may allow fewer records than were asked for; what is no number says nothing."""
    body = a_page()
    body["pagination"]["per_page"] = per_page

    assert page_size(decode_page(as_sent(body))) == size


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "1970-01-01T00:00:00+00:00"),
        (1_709_208_000, "2024-02-29T12:00:00+00:00"),
        (LAST_TIMESTAMP, "9999-12-31T23:59:59+00:00"),
    ],
)
def test_moments_are_utc(seconds: int, text: str) -> None:
    """Timestamps come from the epoch seconds, whatever the device's local time."""
    assert iso_timestamp(seconds) == text
    assert record_with(timestamp_utc=seconds)["timestamp_utc"] == text


@pytest.mark.parametrize(
    ("units", "clean"),
    [
        (" kPa", "kPa"),
        (" \\u00b0C", "°C"),
        (" m\\u00b3/m\\u00b3", "m³/m³"),
        ("m\\u00B3/m\\u00B3 ", "m³/m³"),
        ("°C", "°C"),
        (" W/m²", "W/m²"),
        ("", None),
        ("  ", None),
        ("\\u00a0", None),
        (None, None),
        ("%", "%"),
        ("\\u00b", "\\u00b"),
        ("\\x41", "\\x41"),
        ("\\ud83d\\ude00", "\\ud83d\\ude00"),
    ],
)
def test_units_lose_escapes_and_blanks(units: str | None, clean: str | None) -> None:
    """What arrives as a literal escape becomes the letter; what is no letter stays; nothing becomes null."""
    assert clean_units(units) == clean
    assert record_under(units=units)["units"] == clean


def test_an_escape_is_eight_characters_in_the_body() -> None:
    """The units' escape is text of the service, and not one of JSON."""
    body = as_sent(a_page({"Air Temperature": [an_entry({}, units=" \\u00b0C")]}))

    assert b'" \\\\u00b0C"' in body
    assert [record["units"] for record in records_of(body)] == ["°C"]


@pytest.mark.parametrize(
    ("word", "value"),
    [("17", 17), ("17.0", 17.0), ("-0.5", -0.5), ("0", 0), ("1e3", 1000.0), ("123456789012345", 123456789012345)],
)
def test_a_value_stays_the_number_it_was(word: str, value: float) -> None:
    """Whole numbers and floats are written at random by the service, and kept."""
    (record,) = records_of(as_sent(a_page()).replace(b"0.312", word.encode()))

    assert record["value"] == value
    assert type(record["value"]) is type(value)


@pytest.mark.parametrize("word", ["null", "NaN", "Infinity", "-Infinity", "1e999", "-1e999"])
def test_a_value_that_is_no_number_is_null(word: str) -> None:
    """Words that strict JSON does not know, and numbers that no float can be, mean that there is no value."""
    body = as_sent(a_page({"Water Content": [an_entry({}, {"mrid": 4712, "value": 0.5})]}))
    first, second = records_of(body.replace(b"0.312", word.encode()))

    assert (first["value"], second["value"]) == (None, 0.5)


def test_missing_numbers_do_not_make_a_page_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """A page may be full of them, and is decoded without the detour that unknown fields need."""
    body = as_sent(a_page()).replace(b"0.312", b"NaN")
    monkeypatch.delattr(json, "loads")

    assert [record["value"] for record in records_of(body)] == [None]


@pytest.mark.parametrize("tz_offset", [-43_200, 50_400, -(2**63), 2**63 - 1])
def test_an_offset_is_any_integer_that_a_column_holds(tz_offset: int) -> None:
    """Devices stand on both sides of Greenwich, and whatever a warehouse stores is passed on."""
    assert record_with(tz_offset=tz_offset)["tz_offset"] == tz_offset


def test_a_flagged_value_is_kept() -> None:
    """The service's doubts are data about the sensor."""
    record = record_with(value=-99.9, error_flag=True, error_description="Out of range")

    assert (record["value"], record["error_flag"], record["error_description"]) == (-99.9, True, "Out of range")


@pytest.mark.parametrize("column", ["device_name", "sensor_name", "sensor_sn", "depth", "units"])
@pytest.mark.parametrize("absent", ["", None])
def test_empty_metadata_is_null(column: str, absent: str | None) -> None:
    """No text, however the service says so, is null."""
    assert record_under(**{column: absent})[column] is None


@pytest.mark.parametrize(
    ("field", "column"), [("error_description", "error_description"), ("datetime", "local_datetime")]
)
@pytest.mark.parametrize("absent", ["", None])
def test_empty_texts_of_a_reading_are_null(field: str, column: str, absent: str | None) -> None:
    """No text, however the service says so, is null."""
    assert record_with(**{field: absent})[column] is None


def test_optional_fields_may_be_missing() -> None:
    """Depths come only when asked for, and other descriptions may not come at all."""
    body = a_page(
        {
            "Battery": [
                {
                    "metadata": {"device_sn": DEVICE, "port_number": 7},
                    "readings": [{"timestamp_utc": NOON, "mrid": 1, "value": 99}],
                }
            ]
        }
    )
    (record,) = records_of(body)

    assert {column for column, value in record.items() if value is None} == {
        "units",
        "precision",
        "error_flag",
        "error_description",
        "local_datetime",
        "tz_offset",
        "device_name",
        "sensor_name",
        "sensor_sn",
        "depth",
        "extra",
    }


# Several sensors


def test_sensors_on_different_ports_are_different() -> None:
    """Two probes of one kind give two records for each moment."""
    records = records_of(a_page({"Water Content": [an_entry({}, port_number=3), an_entry({}, port_number=5)]}))

    assert [(record["port_number"], record["sub_sensor_index"]) for record in records] == [(3, 0), (5, 0)]


def test_entries_of_one_port_are_counted() -> None:
    """The depths of a profile probe share a port; their order in the answer tells them apart."""
    entries = [an_entry({"mrid": 1, "value": depth}, {"mrid": 2, "value": depth + 10}) for depth in (1, 2, 3)]
    records = records_of(a_page({"Water Content": entries, "Soil Temperature": entries[:2]}))

    assert [
        (record["measurement"], record["mrid"], record["sub_sensor_index"], record["value"]) for record in records
    ] == [
        ("Water Content", 1, 0, 1),
        ("Water Content", 2, 0, 11),
        ("Water Content", 1, 1, 2),
        ("Water Content", 2, 1, 12),
        ("Water Content", 1, 2, 3),
        ("Water Content", 2, 2, 13),
        ("Soil Temperature", 1, 0, 1),
        ("Soil Temperature", 2, 0, 11),
        ("Soil Temperature", 1, 1, 2),
        ("Soil Temperature", 2, 1, 12),
    ]


def test_a_series_cut_by_a_change_of_units_is_one_sensor() -> None:
    """Two entries of one sensor that share no moment are not two sensors."""
    records = records_of(
        a_page(
            {"Air Temperature": [an_entry({"mrid": 1}, units=" \\u00b0F"), an_entry({"mrid": 2}, units=" \\u00b0C")]}
        )
    )

    assert [(record["mrid"], record["units"], record["sub_sensor_index"]) for record in records] == [
        (1, "°F", 0),
        (2, "°C", 0),
    ]


TEXTS = st.sampled_from(["Water Content", "Battery", ""])
SOME_READINGS = st.lists(
    st.fixed_dictionaries(
        {
            "mrid": st.integers(0, 3),
            "timestamp_utc": st.integers(0, 2),
            "value": st.none() | st.floats(allow_nan=False, allow_infinity=False) | st.integers(-5, 5),
        },
        optional={"sub_sensor_index": st.integers(0, 2)},
    ),
    max_size=6,
)
ENTRIES = st.lists(st.tuples(SOME_READINGS, st.integers(0, 2), st.sampled_from(["", "10 cm", "20 cm"])), max_size=4)


@settings(derandomize=True, deadline=None, max_examples=300)
@given(data=st.dictionaries(TEXTS, ENTRIES, max_size=3))
def test_no_record_can_overwrite_another(
    data: dict[str, list[tuple[list[dict[str, Any]], int, str]]],
) -> None:
    """Whatever a page holds: each value is there, and each record has a key of its own."""
    body = a_page(
        {
            measurement: [an_entry(*readings, port_number=port, depth=depth) for readings, port, depth in entries]
            for measurement, entries in data.items()
        }
    )
    records = records_of(body)
    sent = {
        (measurement, port, reading["mrid"], reading["timestamp_utc"], reading["value"])
        for measurement, entries in data.items()
        for readings, port, _ in entries
        for reading in readings
    }

    assert sent == {
        (
            record["measurement"],
            record["port_number"],
            record["mrid"],
            int(datetime.fromisoformat(record["timestamp_utc"]).timestamp()),
            record["value"],
        )
        for record in records
    }
    assert len(records) == len({tuple(record[column] for column in READINGS_KEY) for record in records})


# What is left out


def test_only_the_wanted_records_are_made() -> None:
    """A reading of another mrid becomes no record."""
    readings = [{"mrid": mrid} for mrid in (1, 2, 3)]
    series = Places().series(decode_page(as_sent(a_page({"Battery": [an_entry(*readings)]}))))

    assert [record["mrid"] for record in reading_records(series, DEVICE, wanted={1, 3})] == [1, 3]
    assert list(reading_records(series, DEVICE, wanted=set())) == []


# Fields that nobody knows yet


def test_unknown_fields_are_kept() -> None:
    """What the service adds to metadata and readings one day arrives in `extra`, and disturbs nothing."""
    body = a_page(
        {
            "Water Content": [
                an_entry(
                    {"quality": {"level": 2}, "mrid": 1}, {"mrid": 2}, {"mrid": 3, "note": "reading"}, note="entry"
                )
            ]
        }
    )

    assert [(record["mrid"], record["value"], record["extra"]) for record in records_of(body)] == [
        (1, 0.312, {"note": "entry", "quality": {"level": 2}}),
        (2, 0.312, {"note": "entry"}),
        (3, 0.312, {"note": "reading"}),
    ]


def test_unknown_fields_of_an_entry_alone_are_kept() -> None:
    """A page is not read as one without unknown fields because its readings have none."""
    assert record_under(note="entry")["extra"] == {"note": "entry"}


def test_unknown_fields_of_a_reading_alone_are_kept() -> None:
    """A reading without unknown fields has no `extra`, although its neighbour has."""
    body = a_page({"Water Content": [an_entry({"quality": None}, {"mrid": 2})]})

    assert [record["extra"] for record in records_of(body)] == [{"quality": None}, None]


def test_unknown_fields_are_decoded_without_the_slow_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """METER's own example has one: a page full of them is as good as any other."""
    monkeypatch.setattr(responses, "decode_leniently", None)
    readings: list[dict[str, Any]] = [{"mrid": 1}, {"mrid": 2, "quality": None, "a b": [1, "é"]}, {"mrid": 3}]
    body = a_page(
        {
            "Water Content": [an_entry(*readings, errors=[], unknown_0=1)],
            "Battery": [an_entry({"mrid": 3, "errors": "of a reading"}, zone={"a": 2})],
        }
    )

    assert [record["extra"] for record in records_of(body)] == [
        {"errors": [], "unknown_0": 1},
        {"errors": [], "unknown_0": 1, "a b": [1, "é"], "quality": None},
        {"errors": [], "unknown_0": 1},
        {"zone": {"a": 2}, "errors": "of a reading"},
    ]


@pytest.mark.parametrize("count", [MOST_UNKNOWN_FIELDS, MOST_UNKNOWN_FIELDS + 1])
def test_any_number_of_unknown_fields_is_kept(count: int) -> None:
    """Where they are too many for a type of their own, the slow way takes them."""
    more = {f"field {number:02}": number for number in range(count)}
    body = a_page({"Battery": [an_entry({"mrid": 1, **more}), an_entry({"mrid": 2}, **more)]})

    assert [record["extra"] for record in records_of(body)] == [more, more]


@pytest.mark.parametrize(
    "name", ["a` - at `$.data[...][0].metadata", "a` - at `$.data[...][0].readings[0]", "", 'a "b"', "a\\b", "a\nb"]
)
def test_a_field_may_have_any_name(name: str) -> None:
    """Also one that reads like the end of an error, or that no type can have: the slow way knows it."""
    assert record_with(**{name: 1, "quality": 2})["extra"] == {name: 1, "quality": 2}
    assert record_under(**{name: 1, "quality": 2})["extra"] == {name: 1, "quality": 2}


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_an_unknown_number_that_is_none_is_null(number: float) -> None:
    """Words that strict JSON does not know mean that there is no value, in `extra` as elsewhere."""
    assert record_with(quality=number)["extra"] == {"quality": None}


def test_an_unknown_detail_beside_the_data_disturbs_nothing() -> None:
    """Only an answer without data is one in which the service says why."""
    body = a_page({"Water Content": [an_entry({"quality": 1})]})

    assert len(records_of({**body, "detail": "Deprecated."})) == 1


def test_other_unknown_parts_disturb_nothing() -> None:
    """New parts elsewhere in the answer are no fault."""
    body = a_page()
    body["pagination"]["cursor"] = "x"
    body["version"] = 5
    body["data"]["Water Content"][0]["location"] = {"lat": 1}

    assert len(records_of(body)) == 1
