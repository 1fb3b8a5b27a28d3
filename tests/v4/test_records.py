r"""A page -> reading records, with bodies of the shape that the service sends."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tap_zentra.calls.errors import excerpt, one_line
from tap_zentra.v4.readings import READINGS, READINGS_KEY, clean_units, iso_timestamp, reading_records
from tap_zentra.v4.responses import (
    LAST_TIMESTAMP,
    NotJSONError,
    UnexpectedBodyError,
    decode_page,
    page_size,
    require_page_of,
    timestamps_by_mrid,
)

DEVICE = "z6-01234"
JSON_TYPES: dict[str, set[type]] = {
    "array": {list},
    "boolean": {bool},
    "integer": {int},
    "null": {type(None)},
    "number": {int, float},
    "object": {dict},
    "string": {str},
}
NOON = 1_769_860_800
"""2026-01-31T12:00:00Z."""

METADATA: dict[str, Any] = {
    "device_sn": DEVICE,
    "device_name": "Lower meadow",
    "port_number": 3,
    "sensor_sn": "T12-00000042",
    "sensor_name": "TEROS 12",
    "units": " m\\u00b3/m\\u00b3",
    "depth": "10 cm",
}
READING: dict[str, Any] = {
    "timestamp_utc": NOON,
    "datetime": "2026-01-31 13:00:00+01:00",
    "tz_offset": 3600,
    "value": 0.312,
    "precision": 3,
    "mrid": 4711,
    "error_flag": False,
    "error_description": None,
}


def _entry(*readings: dict[str, Any], **metadata: Any) -> dict[str, Any]:
    return {
        "metadata": {**METADATA, **metadata},
        "readings": [{**READING, **reading} for reading in readings],
    }


def _body(data: dict[str, Any] | None = None, max_mrid: int | None = 4720) -> dict[str, Any]:
    return {
        "pagination": {
            "per_page": 2000,
            "page_num": 1,
            "next_url": "https://zentracloud.com/api/v4/get_readings/?page_num=2",
            "max_mrid": max_mrid,
            "page_num_readings": 1,
            "page_num_outputs": 1,
            "page_start_date": None,
        },
        "data": {"Water Content": [_entry({})]} if data is None else data,
    }


def _text(body: object) -> bytes:
    return json.dumps(body).encode()


def _records(body: object, **left_out: int) -> list[dict[str, Any]]:
    text = body if isinstance(body, bytes) else _text(body)
    return list(reading_records(decode_page(text), DEVICE, **left_out))


def _record(**reading: Any) -> dict[str, Any]:
    """Return the record of a page with one reading."""
    (record,) = _records(_body({"Water Content": [_entry(reading)]}))
    return record


def _record_of(**metadata: Any) -> dict[str, Any]:
    """Return the record of a page with one entry of such metadata."""
    (record,) = _records(_body({"Water Content": [_entry({}, **metadata)]}))
    return record


# Columns


def test_every_column_has_its_value() -> None:
    """Nothing that the service sends of a reading is lost, and nothing is named otherwise."""
    assert _records(_body()) == [
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
    record = _record(value=None, error_flag=True, error_description="No response from sensor", battery={"mv": 1})
    columns = READINGS["properties"]

    assert list(columns) == list(record)
    assert all(any(type(value) in JSON_TYPES[kind] for kind in columns[name]["type"]) for name, value in record.items())
    assert set(READINGS_KEY) <= set(READINGS["required"])


def test_a_page_without_readings_has_no_records() -> None:
    """An empty page is a page."""
    page = decode_page(_text(_body({}, max_mrid=None)))

    assert list(reading_records(page, DEVICE)) == []
    assert timestamps_by_mrid(page) == {}
    assert page.pagination.max_mrid is None


def test_an_entry_without_readings_has_no_records() -> None:
    """A sensor that has nothing on this page is no fault."""
    assert _records(_body({"Water Content": [_entry()]})) == []
    assert _records(_body({"Water Content": []})) == []


def test_a_page_says_which_records_it_holds() -> None:
    """Each mrid is one record with one moment, however many values it has."""
    page = decode_page(
        _text(
            _body(
                {
                    "Water Content": [_entry({"mrid": 9, "timestamp_utc": 900}, {"mrid": 8, "timestamp_utc": 800})],
                    "Battery": [_entry({"mrid": 10, "timestamp_utc": 1000}, {"mrid": 8, "timestamp_utc": 800})],
                }
            )
        )
    )

    assert timestamps_by_mrid(page) == {8: 800, 9: 900, 10: 1000}


@pytest.mark.parametrize(("per_page", "size"), [(500, 500), (None, None), ("500", None), (500.0, None), ([], None)])
def test_a_page_says_how_large_it_may_be(per_page: object, size: int | None) -> None:
    """The service may allow fewer records than were asked for; what is no number says nothing."""
    body = _body()
    body["pagination"]["per_page"] = per_page

    assert page_size(decode_page(_text(body))) == size


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
    assert _record(timestamp_utc=seconds)["timestamp_utc"] == text


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
    assert _record_of(units=units)["units"] == clean


def test_an_escape_is_eight_characters_in_the_body() -> None:
    """The units' escape is text of the service, and not one of JSON."""
    body = _text(_body({"Air Temperature": [_entry({}, units=" \\u00b0C")]}))

    assert b'" \\\\u00b0C"' in body
    assert [record["units"] for record in _records(body)] == ["°C"]


@pytest.mark.parametrize(
    ("word", "value"),
    [("17", 17), ("17.0", 17.0), ("-0.5", -0.5), ("0", 0), ("1e3", 1000.0), ("123456789012345", 123456789012345)],
)
def test_a_value_stays_the_number_it_was(word: str, value: float) -> None:
    """Whole numbers and floats are written at random by the service, and kept."""
    (record,) = _records(_text(_body()).replace(b"0.312", word.encode()))

    assert record["value"] == value
    assert type(record["value"]) is type(value)


@pytest.mark.parametrize("word", ["null", "NaN", "Infinity", "-Infinity", "1e999", "-1e999"])
def test_a_value_that_is_no_number_is_null(word: str) -> None:
    """Words that strict JSON does not know, and numbers that no float can be, mean that there is no value."""
    body = _text(_body({"Water Content": [_entry({}, {"mrid": 4712, "value": 0.5})]}))
    first, second = _records(body.replace(b"0.312", word.encode()))

    assert (first["value"], second["value"]) == (None, 0.5)


def test_missing_numbers_do_not_make_a_page_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """A page may be full of them, and is decoded without the detour that unknown fields need."""
    body = _text(_body()).replace(b"0.312", b"NaN")
    monkeypatch.delattr(json, "loads")

    assert [record["value"] for record in _records(body)] == [None]


@pytest.mark.parametrize("tz_offset", [-43_200, 50_400, -(2**63), 2**63 - 1])
def test_an_offset_is_any_integer_that_a_column_holds(tz_offset: int) -> None:
    """Loggers stand on both sides of Greenwich, and whatever a warehouse stores is passed on."""
    assert _record(tz_offset=tz_offset)["tz_offset"] == tz_offset


def test_a_flagged_value_is_kept() -> None:
    """The service's doubts are data about the sensor."""
    record = _record(value=-99.9, error_flag=True, error_description="Out of range")

    assert (record["value"], record["error_flag"], record["error_description"]) == (-99.9, True, "Out of range")


@pytest.mark.parametrize("column", ["device_name", "sensor_name", "sensor_sn", "depth", "units"])
@pytest.mark.parametrize("absent", ["", None])
def test_empty_metadata_is_null(column: str, absent: str | None) -> None:
    """No text, however the service says so, is null."""
    assert _record_of(**{column: absent})[column] is None


@pytest.mark.parametrize(
    ("field", "column"), [("error_description", "error_description"), ("datetime", "local_datetime")]
)
@pytest.mark.parametrize("absent", ["", None])
def test_empty_texts_of_a_reading_are_null(field: str, column: str, absent: str | None) -> None:
    """No text, however the service says so, is null."""
    assert _record(**{field: absent})[column] is None


def test_optional_fields_may_be_missing() -> None:
    """Depths come only when asked for, and other descriptions may not come at all."""
    body = _body(
        {
            "Battery": [
                {
                    "metadata": {"device_sn": DEVICE, "port_number": 7},
                    "readings": [{"timestamp_utc": NOON, "mrid": 1, "value": 99, "error_flag": False}],
                }
            ]
        }
    )
    (record,) = _records(body)

    assert {column for column, value in record.items() if value is None} == {
        "units",
        "precision",
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
    records = _records(_body({"Water Content": [_entry({}, port_number=3), _entry({}, port_number=5)]}))

    assert [(record["port_number"], record["sub_sensor_index"]) for record in records] == [(3, 0), (5, 0)]


def test_entries_of_one_port_are_counted() -> None:
    """The depths of a profile probe share a port; their order in the answer tells them apart."""
    entries = [_entry({"mrid": 1, "value": depth}, {"mrid": 2, "value": depth + 10}) for depth in (1, 2, 3)]
    records = _records(_body({"Water Content": entries, "Soil Temperature": entries[:2]}))

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
    records = _records(
        _body({"Air Temperature": [_entry({"mrid": 1}, units=" \\u00b0F"), _entry({"mrid": 2}, units=" \\u00b0C")]})
    )

    assert [(record["mrid"], record["units"], record["sub_sensor_index"]) for record in records] == [
        (1, "°F", 0),
        (2, "°C", 0),
    ]


def test_a_record_twice_in_one_entry_is_two_records() -> None:
    """Even what should not be can't overwrite another value."""
    records = _records(_body({"Water Content": [_entry({"value": 1}, {"value": 2})]}))

    assert [(record["sub_sensor_index"], record["value"]) for record in records] == [(0, 1), (1, 2)]


TEXTS = st.sampled_from(["Water Content", "Battery", ""])
SOME_READINGS = st.lists(
    st.fixed_dictionaries(
        {
            "mrid": st.integers(0, 3),
            "timestamp_utc": st.integers(0, 2),
            "value": st.none() | st.floats(allow_nan=False, allow_infinity=False) | st.integers(-5, 5),
        }
    ),
    max_size=6,
)
ENTRIES = st.lists(st.tuples(SOME_READINGS, st.integers(0, 2)), max_size=4)


@settings(derandomize=True, deadline=None, max_examples=200)
@given(data=st.dictionaries(TEXTS, ENTRIES, max_size=3), since=st.integers(0, 2), below_mrid=st.integers(0, 4))
def test_no_record_can_overwrite_another(
    data: dict[str, list[tuple[list[dict[str, Any]], int]]], since: int, below_mrid: int
) -> None:
    """Whatever a page holds: one record for each value, each with a key of its own, whatever is left out."""
    body = _body(
        {
            measurement: [_entry(*readings, port_number=port) for readings, port in entries]
            for measurement, entries in data.items()
        }
    )
    records = _records(body)
    some = _records(body, since=since, below_mrid=below_mrid)
    values = [reading["value"] for entries in data.values() for readings, _ in entries for reading in readings]
    since_then = iso_timestamp(since)

    assert values == [record["value"] for record in records]
    assert len(records) == len({tuple(record[column] for column in READINGS_KEY) for record in records})
    assert [
        record for record in records if record["timestamp_utc"] >= since_then and record["mrid"] < below_mrid
    ] == some


# What is left out


@pytest.mark.parametrize(
    ("left_out", "mrids"),
    [
        ({}, [1, 2, 3]),
        ({"since": 200}, [2, 3]),
        ({"since": 201}, [3]),
        ({"since": 301}, []),
        ({"below_mrid": 3}, [1, 2]),
        ({"below_mrid": 0}, []),
        ({"since": 200, "below_mrid": 3}, [2]),
    ],
)
def test_readings_are_left_out_before_a_moment_and_from_an_mrid_on(left_out: dict[str, int], mrids: list[int]) -> None:
    """`since` is the first moment that stays, `below_mrid` the first mrid that goes."""
    readings = [{"mrid": mrid, "timestamp_utc": 100 * mrid} for mrid in (1, 2, 3)]

    assert [record["mrid"] for record in _records(_body({"Battery": [_entry(*readings)]}), **left_out)] == mrids


def test_the_biggest_mrid_is_not_left_out() -> None:
    """Unless told otherwise, all readings stay."""
    assert _record(mrid=2**63 - 1)["mrid"] == 2**63 - 1


# Fields that nobody knows yet


def test_unknown_fields_are_kept() -> None:
    """What the service adds to metadata and readings one day arrives in `extra`, and disturbs nothing."""
    body = _body(
        {
            "Water Content": [
                _entry({"quality": {"level": 2}, "mrid": 1}, {"mrid": 2}, {"mrid": 3, "note": "reading"}, note="entry")
            ]
        }
    )

    assert [(record["mrid"], record["value"], record["extra"]) for record in _records(body)] == [
        (1, 0.312, {"note": "entry", "quality": {"level": 2}}),
        (2, 0.312, {"note": "entry"}),
        (3, 0.312, {"note": "reading"}),
    ]


def test_unknown_fields_of_an_entry_alone_are_kept() -> None:
    """A page is not read as one without unknown fields because its readings have none."""
    assert _record_of(note="entry")["extra"] == {"note": "entry"}


def test_unknown_fields_of_a_reading_alone_are_kept() -> None:
    """A reading without unknown fields has no `extra`, although its neighbour has."""
    body = _body({"Water Content": [_entry({"quality": None}, {"mrid": 2})]})

    assert [record["extra"] for record in _records(body)] == [{"quality": None}, None]


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_an_unknown_number_that_is_none_is_null(number: float) -> None:
    """Words that strict JSON does not know mean that there is no value, in `extra` as elsewhere."""
    assert _record(quality=number)["extra"] == {"quality": None}


def test_an_unknown_detail_beside_the_data_disturbs_nothing() -> None:
    """Only an answer without data is one in which the service says why."""
    body = _body({"Water Content": [_entry({"quality": 1})]})

    assert len(_records({**body, "detail": "Deprecated."})) == 1


def test_other_unknown_parts_disturb_nothing() -> None:
    """New parts elsewhere in the answer are no fault."""
    body = _body()
    body["pagination"]["cursor"] = "x"
    body["version"] = 5
    body["data"]["Water Content"][0]["location"] = {"lat": 1}

    assert len(_records(body)) == 1


# Answers that are not what the service sends

DELETE = object()


def _changed(path: tuple[str | int, ...], value: object) -> bytes:
    body: Any = copy.deepcopy(_body())
    part = body
    for step in path[:-1]:
        part = part[step]
    if value is DELETE:
        del part[path[-1]]
    else:
        part[path[-1]] = value
    return _text(body)


ENTRY = ("data", "Water Content", 0)


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (("pagination",), DELETE, "missing required field `pagination`"),
        (("pagination",), None, r"Expected `object`, got `null` - at `\$.pagination`"),
        (("pagination",), [], r"\$.pagination"),
        (("pagination", "max_mrid"), DELETE, r"missing required field `max_mrid` - at `\$.pagination`"),
        (("pagination", "max_mrid"), "4720", "max_mrid"),
        (("pagination", "max_mrid"), 1.5, "max_mrid"),
        (("pagination", "max_mrid"), True, "max_mrid"),
        (("pagination", "max_mrid"), -1, "max_mrid"),
        (("pagination", "max_mrid"), 2**63, "max_mrid"),
        (("data",), DELETE, "missing required field `data`"),
        (("data",), None, r"\$.data"),
        (("data",), [], r"Expected `object`, got `array` - at `\$.data`"),
        (("data", "Water Content"), {}, r"\$.data\["),
        (("data", "Water Content"), None, r"\$.data\["),
        (ENTRY, None, r"\$.data\[\.\.\.\]\[0\]"),
        (ENTRY, [], r"\$.data\[\.\.\.\]\[0\]"),
        ((*ENTRY, "metadata"), DELETE, "missing required field `metadata`"),
        ((*ENTRY, "metadata"), [], r"metadata"),
        ((*ENTRY, "metadata", "device_sn"), DELETE, "missing required field `device_sn`"),
        ((*ENTRY, "metadata", "device_sn"), None, "device_sn"),
        ((*ENTRY, "metadata", "device_sn"), 1234, "device_sn"),
        ((*ENTRY, "metadata", "port_number"), DELETE, "missing required field `port_number`"),
        ((*ENTRY, "metadata", "port_number"), None, "port_number"),
        ((*ENTRY, "metadata", "port_number"), "3", "port_number"),
        ((*ENTRY, "metadata", "port_number"), -1, "port_number"),
        ((*ENTRY, "metadata", "sensor_sn"), 42, "sensor_sn"),
        ((*ENTRY, "metadata", "sensor_name"), {}, "sensor_name"),
        ((*ENTRY, "metadata", "device_name"), 42, "device_name"),
        ((*ENTRY, "metadata", "units"), [], "units"),
        ((*ENTRY, "metadata", "depth"), 10, "depth"),
        ((*ENTRY, "readings"), DELETE, "missing required field `readings`"),
        ((*ENTRY, "readings"), {}, "readings"),
        ((*ENTRY, "readings", 0), [], r"readings\[0\]"),
        ((*ENTRY, "readings", 0), None, r"readings\[0\]"),
        ((*ENTRY, "readings", 0, "timestamp_utc"), DELETE, "missing required field `timestamp_utc`"),
        ((*ENTRY, "readings", 0, "timestamp_utc"), None, "timestamp_utc"),
        ((*ENTRY, "readings", 0, "timestamp_utc"), "2026-01-31", "timestamp_utc"),
        ((*ENTRY, "readings", 0, "timestamp_utc"), NOON + 0.5, "timestamp_utc"),
        ((*ENTRY, "readings", 0, "timestamp_utc"), NOON * 1000, "timestamp_utc"),
        ((*ENTRY, "readings", 0, "timestamp_utc"), -1, "timestamp_utc"),
        ((*ENTRY, "readings", 0, "mrid"), DELETE, "missing required field `mrid`"),
        ((*ENTRY, "readings", 0, "mrid"), None, "mrid"),
        ((*ENTRY, "readings", 0, "mrid"), "4711", "mrid"),
        ((*ENTRY, "readings", 0, "mrid"), -1, "mrid"),
        ((*ENTRY, "readings", 0, "mrid"), 2**63, "mrid"),
        ((*ENTRY, "readings", 0, "value"), DELETE, "missing required field `value`"),
        ((*ENTRY, "readings", 0, "value"), "0.3", "value"),
        ((*ENTRY, "readings", 0, "value"), True, "value"),
        ((*ENTRY, "readings", 0, "value"), [0.3], "value"),
        ((*ENTRY, "readings", 0, "error_flag"), DELETE, "missing required field `error_flag`"),
        ((*ENTRY, "readings", 0, "error_flag"), None, "error_flag"),
        ((*ENTRY, "readings", 0, "error_flag"), 1, "error_flag"),
        ((*ENTRY, "readings", 0, "error_flag"), "false", "error_flag"),
        ((*ENTRY, "readings", 0, "error_description"), 7, "error_description"),
        ((*ENTRY, "readings", 0, "datetime"), 7, "datetime"),
        ((*ENTRY, "readings", 0, "tz_offset"), "+01:00", "tz_offset"),
        ((*ENTRY, "readings", 0, "tz_offset"), 0.5, "tz_offset"),
        ((*ENTRY, "readings", 0, "tz_offset"), 2**63, "tz_offset"),
        ((*ENTRY, "readings", 0, "tz_offset"), -(2**63) - 1, "tz_offset"),
        ((*ENTRY, "readings", 0, "precision"), "3", "precision"),
        ((*ENTRY, "readings", 0, "precision"), 0.5, "precision"),
    ],
)
def test_an_answer_of_another_shape_is_refused_with_the_field_named(
    path: tuple[str | int, ...], value: object, words: str
) -> None:
    """A missing part or a wrong type is found before a record is made, and the message says where."""
    with pytest.raises(UnexpectedBodyError, match=words) as caught:
        decode_page(_changed(path, value))
    assert str(caught.value).startswith("unexpected response format: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("field", ["mrid", "timestamp_utc", "error_flag"])
def test_a_key_that_is_no_number_is_refused(field: str) -> None:
    """The bare word NaN is a missing value, and a key can't be missing."""
    body = _body()
    body["data"]["Water Content"][0]["readings"][0][field] = float("nan")

    with pytest.raises(UnexpectedBodyError, match=field):
        decode_page(_text(body))


def test_an_error_that_comes_with_status_200_is_told_in_the_services_words() -> None:
    """An answer that has a detail instead of data is a fault, told as the service tells it."""
    with pytest.raises(UnexpectedBodyError, match=r"^the response has no data: Not found\.$"):
        decode_page(b'{"detail": "Not found."}')


def test_a_byte_that_is_no_text_makes_the_body_no_json() -> None:
    """A body that was damaged on its way is asked for again."""
    with pytest.raises(NotJSONError):
        decode_page(_text(_body()).replace(b"Lower", b"L\xffwer"))


def test_a_page_in_descending_order_is_refused() -> None:
    """The newest records, in the service's default order, would look like the end of the device."""
    body = _body({"Water Content": [_entry({"mrid": 4712}, {"mrid": 4711})]})

    with pytest.raises(UnexpectedBodyError, match="ignores sort_by=ascending: the mrids of 'Water Content'"):
        require_page_of(decode_page(_text(body)), DEVICE)


@pytest.mark.parametrize("text", [b"null", b"[]", b"5", b'"text"', b"true", b"NaN", b"{}"])
def test_json_of_another_kind_is_refused(text: bytes) -> None:
    """JSON that is no page at all is a fault, and is not asked for again."""
    with pytest.raises(UnexpectedBodyError, match="unexpected response format"):
        decode_page(text)


def test_an_unknown_field_does_not_hide_a_fault() -> None:
    """A body with unknown fields is looked at as strictly as any other."""
    body = _body({"Water Content": [_entry({"quality": 1, "mrid": "x"})]})

    with pytest.raises(UnexpectedBodyError, match="mrid"):
        decode_page(_text(body))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"", "not JSON: ''"),
        (b"   ", "not JSON: ''"),
        (_text(_body())[:-1], "not JSON"),
        (_text(_body())[:100], "not JSON"),
        (_text(_body()) + b"}", "not JSON"),
        (_text(_body()) * 2, "not JSON"),
        (b"<html>\n<body>Scheduled <b>maintenance</b></body></html>", "not JSON: 'Scheduled maintenance'"),
        (b"\x1f\x8b\x08\x00", "not JSON"),
        (b"\xff\xfe\xfa", "not JSON"),
        (b'{"data": undefined}', "undefined"),
    ],
)
def test_what_is_not_json_is_told_apart(text: bytes, words: str) -> None:
    """A body that broke off, or a page for people, may come right when asked for again."""
    with pytest.raises(NotJSONError) as caught:
        decode_page(text)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_other_encodings_of_json_are_read(encoding: str) -> None:
    """A mark at the beginning, or wider letters, are still JSON."""
    body = json.dumps(_body({"Water Content": [_entry({}, device_name="Wiesenstück")]}), ensure_ascii=False)

    assert [record["device_name"] for record in _records(body.encode(encoding))] == ["Wiesenstück"]


@pytest.mark.parametrize(
    "nested",
    [b"[" * 100_000 + b"]" * 100_000, b'{"a":' * 100_000 + b"1" + b"}" * 100_000],
)
@pytest.mark.parametrize("before", [b'"mrid": 4711', b'"per_page": 2000', b'"depth": "10 cm"'])
def test_deep_nesting_is_refused(nested: bytes, before: bytes) -> None:
    """A body that no decoder can follow is a fault of its device, and not of the run."""
    body = _text(_body()).replace(before, before + b', "unknown": ' + nested)

    with pytest.raises(UnexpectedBodyError, match=r"^the response is nested too deeply$"):
        decode_page(body)


@pytest.mark.parametrize("field", ["error_description", "datetime", "unknown"])
def test_half_a_letter_is_refused(field: str) -> None:
    """Half of a surrogate pair is text that no target could store."""
    with pytest.raises(UnexpectedBodyError, match="can't be stored"):
        decode_page(_changed((*ENTRY, "readings", 0, field), "\ud83d"))


@pytest.mark.parametrize("name", ["\0", "Lower\0meadow", "\\\0"])
def test_a_text_with_a_nul_is_refused(name: str) -> None:
    """PostgreSQL stores this character in no text, and would end the run of all devices."""
    with pytest.raises(UnexpectedBodyError, match=r"^the response holds what can't be stored: a text with a NUL$"):
        _record_of(device_name=name)


def test_the_escape_of_a_nul_is_a_text() -> None:
    """Six letters that look like the escape of a NUL are letters."""
    assert _record_of(device_name="\\u0000")["device_name"] == "\\u0000"


def test_a_whole_surrogate_pair_is_a_letter() -> None:
    """Letters beyond the first 65,536 are escaped in JSON as two halves."""
    body = _text(_body({"Water Content": [_entry({}, device_name="\U0001f331")]}))

    assert rb"\ud83c\udf31" in body
    assert [record["device_name"] for record in _records(body)] == ["\U0001f331"]


def test_another_devices_page_is_refused() -> None:
    """A page is written only when every entry is of the device that was asked for."""
    page = decode_page(
        _text(_body({"Water Content": [_entry({})], "Battery": [_entry({}), _entry({}, device_sn="z6-99999")]}))
    )

    with pytest.raises(UnexpectedBodyError, match=r"another device: metadata\.device_sn is 'z6-99999'"):
        require_page_of(page, DEVICE)


def test_a_name_from_the_service_is_a_short_part_of_a_message() -> None:
    """Whatever the service calls a device or a measurement, the log's line stays one line, and short."""
    name = "x" * 79 + "\n" + "y" * 1000
    other_device = decode_page(_text(_body({"Battery": [_entry({}, device_sn=name)]})))
    descending = decode_page(_text(_body({name: [_entry({"mrid": 2}, {"mrid": 1})]})))

    with pytest.raises(UnexpectedBodyError) as caught:
        require_page_of(other_device, DEVICE)

    assert str(caught.value) == f"the response is about another device: metadata.device_sn is {'x' * 79 + ' '!r}"

    with pytest.raises(UnexpectedBodyError) as caught:
        require_page_of(descending, DEVICE)

    assert str(caught.value) == f"the response ignores sort_by=ascending: the mrids of {'x' * 79 + ' '!r}"


@pytest.mark.parametrize("data", [{}, {"Water Content": [_entry({}), _entry({})]}])
def test_the_devices_own_page_is_taken(data: dict[str, Any]) -> None:
    """A page of the device that was asked for, or of none, is in order."""
    require_page_of(decode_page(_text(_body(data))), DEVICE)


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"", "''"),
        (b"a\n\t b", "'a b'"),
        (b"x" * 80, repr("x" * 80)),
        (b"x" * 81, repr("x" * 80 + "…")),
        (b"\xff", repr("\ufffd")),
        ("ä".encode() * 9000, repr("ä" * 80 + "…")),
        (b" <html><style a='b'>\n<title>Down</title><p>Back\n soon</p", "'Down Back soon</p'"),
        (b'{"a": "<b>"}', repr('{"a": "<b>"}')),
        (b"<" + b"x" * 7998 + b">too far", "''"),
    ],
)
def test_an_excerpt_is_one_short_line(body: bytes, text: str) -> None:
    """The beginning of a body, for a person, whatever bytes it is of; of a page for browsers the words."""
    assert excerpt(body) == text


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("Not found.", "Not found."),
        (" a\r\n\tb ", "a b"),
        ("red \x1b[31m", "red \ufffd[31m"),
        ("a\u202eb", "a\ufffdb"),
        ("x" * 301, "x" * 300),
    ],
)
def test_a_text_of_the_service_is_one_printable_line(text: str, line: str) -> None:
    """Neither line ends nor colours of the service reach a log, and no more than 300 letters."""
    assert one_line(text) == line


def test_the_word_nan_within_a_text_stays() -> None:
    """Only a value is a missing number; a name that looks like one is a name."""
    name = 'the "value": NaN, of a friend'
    (record,) = _records(_body({"Water Content": [_entry({"value": float("nan")}, device_name=name)]}))

    assert (record["value"], record["device_name"]) == (None, name)
