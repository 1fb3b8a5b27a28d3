"""A page of API v5 as records, and what of it counts as a change."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap_zentra.v5 import responses
from tap_zentra.v5.readings import (
    ERROR_DESCRIPTIONS,
    READINGS_V5,
    READINGS_V5_KEY,
    ReadingsV5Stream,
    moment_content,
    spelled_units,
)
from tap_zentra.v5.responses import decode_page
from tests.v4.support import JSON_TYPES
from tests.v5.support import DEVICE, MOMENT, a_page, a_row, as_sent, record_with, records_of

# Columns


def test_every_column_has_its_value() -> None:
    """Nothing that the service sends of a reading is lost, and nothing is named otherwise."""
    assert records_of(a_page(a_row())) == [
        {
            "device_sn": DEVICE,
            "timestamp_utc": "2024-01-17T09:57:22+00:00",
            "port_number": 1,
            "sensor_name": "TEROS 12",
            "measurement": "Water Content",
            "sub_sensor_index": 0,
            "value": 0.312,
            "units": "m³/m³",
            "error_code": 0,
            "error_flag": False,
            "error_description": None,
            "local_datetime": "2024-01-17 01:57:22-08:00",
            "device_name": "North Device",
            "extra": {"reading_id": 123},
        }
    ]


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"value": None, "error_code": 134},
        {"value": 7, "mrid": {"a": 1}},
        {"port_num": None, "unit": "", "sensor_name": "", "datetime": "", "position": 2, "timestamp": MOMENT + 0.5},
        {"unit": None, "sensor_name": None, "datetime": None, "error_code": None, "reading_id": None},
    ],
)
def test_a_record_is_what_the_schema_says(fields: dict[str, Any]) -> None:
    """The columns of a record are the schema's, in its order, and of its types; key columns are never null."""
    record = record_with(**fields)
    columns = READINGS_V5["properties"]

    assert list(columns) == list(record)
    assert all(any(type(value) in JSON_TYPES[kind] for kind in columns[name]["type"]) for name, value in record.items())
    assert set(READINGS_V5_KEY) <= set(READINGS_V5["required"])
    assert not any("null" in columns[name]["type"] for name in READINGS_V5_KEY)


def test_the_streams_contract_is_fixed() -> None:
    """Users' tables hang on the names and types of columns, on the key and on the replication key."""
    assert ReadingsV5Stream.name == "readings_v5"
    assert ReadingsV5Stream.replication_key == "timestamp_utc"
    assert list(ReadingsV5Stream.primary_keys) == [
        "device_sn",
        "timestamp_utc",
        "port_number",
        "sensor_name",
        "measurement",
        "sub_sensor_index",
    ]
    assert {name: column["type"][0] for name, column in READINGS_V5["properties"].items()} == {
        "device_sn": "string",
        "timestamp_utc": "string",
        "port_number": "integer",
        "sensor_name": "string",
        "measurement": "string",
        "sub_sensor_index": "integer",
        "value": "number",
        "units": "string",
        "error_code": "integer",
        "error_flag": "boolean",
        "error_description": "string",
        "local_datetime": "string",
        "device_name": "string",
        "extra": "object",
    }
    assert READINGS_V5["properties"]["timestamp_utc"]["format"] == "date-time"


@pytest.mark.parametrize(
    ("field", "column", "empty"),
    [("unit", "units", None), ("sensor_name", "sensor_name", ""), ("datetime", "local_datetime", None)],
)
@pytest.mark.parametrize("sent", ["", None])
def test_an_empty_text_is_none(field: str, column: str, empty: str | None, sent: str | None) -> None:
    """Null where a column may be null, and empty in the key."""
    assert record_with(**{field: sent})[column] == empty


@pytest.mark.parametrize("name", ["", None])
def test_a_device_without_a_name_has_none(name: str | None) -> None:
    """Not an empty one."""
    body = a_page(a_row())
    body["metadata"]["device_name"] = name

    assert records_of(body)[0]["device_name"] is None


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        ("m3/m3", "m³/m³"),
        ("m³/m³", "m³/m³"),
        (" m\\u00b3/m\\u00b3 ", "m³/m³"),
        (" m3/m3", "m³/m³"),
        ("°C", "°C"),
        (" kPa ", "kPa"),
        ("  ", None),
        ("", None),
        (None, None),
    ],
)
def test_units_have_one_spelling(sent: str | None, stored: str | None) -> None:
    """Whichever the service has."""
    assert spelled_units(sent) == record_with(unit=sent)["units"] == stored


@pytest.mark.parametrize(
    ("code", "flag", "description"),
    [
        (0, False, None),
        (None, None, None),
        *((code, True, words) for code, words in ERROR_DESCRIPTIONS.items()),
        (135, True, None),
        (-1, True, None),
        (9999, True, None),
    ],
)
def test_an_error_has_its_number_and_its_meaning(code: int | None, flag: bool | None, description: str | None) -> None:  # noqa: FBT001 - it may be None
    """A number that nobody knows is kept without one; the value stands beside it."""
    record = record_with(error_code=code)

    assert (record["error_code"], record["error_flag"], record["error_description"]) == (code, flag, description)
    assert record["value"] == 0.312


def test_meters_codes_are_known() -> None:
    """All of its own client's table."""
    assert list(ERROR_DESCRIPTIONS) == [*range(128, 135), *range(136, 144), 235]


# The place of a value


def _places(*rows: dict[str, Any]) -> list[tuple[object, ...]]:
    """Return the value of each record, and its index."""
    return [(record["value"], record["sub_sensor_index"]) for record in records_of(a_page(*rows))]


def test_values_of_one_key_are_told_apart_by_their_order() -> None:
    """Depths of a profile probe; another port, sensor, measurement or moment begins anew."""
    assert _places(
        a_row(value=1),
        a_row(value=2),
        a_row(value=3, port_num=2),
        a_row(value=4, sensor_name="TEROS 54"),
        a_row(value=5, measurement="Temperature"),
        a_row(value=6),
        a_row(value=7, timestamp=MOMENT + 1),
    ) == [(1, 0), (2, 1), (3, 0), (4, 0), (5, 0), (6, 2), (7, 0)]


@pytest.mark.parametrize(("position", "index"), [(0, 0), (3, 3), (3.0, 3), (2**63 - 1, 2**63 - 1)])
def test_a_position_is_the_index(position: float, index: int) -> None:
    """Where it is a whole number from 0 on."""
    assert record_with(position=position)["sub_sensor_index"] == index


@pytest.mark.parametrize("position", [None, -1, 1.5, "1", True, False, [1], 2**63, 1e300])
def test_a_position_of_another_form_is_none(position: object) -> None:
    """Then the order tells values apart, and what came stands in `extra`."""
    records = records_of(a_page(a_row(value=1, position=position), a_row(value=2, position=position)))

    assert [record["sub_sensor_index"] for record in records] == [0, 1]
    assert [record["extra"].get("position") for record in records] == [position] * 2


def test_positions_hold_whatever_the_order_is() -> None:
    """A row that is missing shifts no other."""
    assert _places(a_row(value=9, position=4), a_row(value=8, position=2)) == [(9, 4), (8, 2)]


@pytest.mark.parametrize("ids", [{"reading_id": 7}, {"position": 3}, {"reading_id": "a", "position": 1}])
def test_the_same_reading_twice_is_one(ids: dict[str, Any]) -> None:
    """With an id or a position that says that it is the same, and the same in all else; else both are there."""
    twice = a_page(a_row(value=1, **ids), a_row(value=1, **ids))
    other = a_page(a_row(value=1, **ids), a_row(value=2, **ids))

    assert len(records_of(twice)) == 1
    assert len(records_of(other)) == 2


@pytest.mark.parametrize("size", [1, 10_000])
def test_a_reading_that_comes_twice_is_one_in_whatever_form(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    """Its time may be written in two ways, and an odd row beside it may have it decoded in another way."""
    monkeypatch.setattr(responses, "PIECE_BYTES", size)
    same = {"timestamp": MOMENT, "value": 1, "quality": 2}
    odd = a_row(value=3, unit=5, reading_id=9)

    found = records_of(a_page(a_row(**same), odd, a_row(**same | {"timestamp": float(MOMENT)}), a_row(**same)))

    assert [(record["value"], record["sub_sensor_index"]) for record in found] == [(1, 0), (3, 1)]


def test_two_depths_that_read_the_same_are_two() -> None:
    """Nothing says that they are one reading that came twice."""
    same = a_row(value=1, reading_id=None)

    assert _places(same, same) == [(1, 0), (1, 1)]


def test_a_device_series_is_the_same_with_port_null_or_minus_1() -> None:
    """The service has changed from one to the other: they are one place."""
    assert _places(a_row(value=1, port_num=None), a_row(value=2, port_num=-1)) == [(1, 0), (2, 1)]


def test_no_value_overwrites_another() -> None:
    """What positions are, and whether they are unique, is not documented: each value has a key of its own."""
    assert _places(
        a_row(value=1),
        a_row(value=2, position=0),
        a_row(value=3, position=0),
        a_row(value=4, position=1),
        a_row(value=5),
    ) == [(1, 2), (2, 0), (3, 3), (4, 1), (5, 4)]


ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "timestamp": st.sampled_from([MOMENT, MOMENT + 1]),
            "port_num": st.sampled_from([None, -1, 1]),
            "position": st.sampled_from([None, 0, 1, 1.0, 2, "x"]),
            "sensor_name": st.sampled_from([None, "", "TEROS 12"]),
        }
    ),
    max_size=12,
)


@given(rows=ROWS)
def test_each_row_is_a_record_with_a_key_of_its_own(rows: list[dict[str, Any]]) -> None:
    """Nothing that the service sends is lost in a table."""
    records = records_of(a_page(*(a_row(value=number, **fields) for number, fields in enumerate(rows))))

    assert sorted(record["value"] for record in records) == list(range(len(rows)))
    assert len({tuple(record[column] for column in READINGS_V5_KEY) for record in records}) == len(rows)


# Moments


def test_the_rows_of_a_moment_are_told_together() -> None:
    """By the whole second, which is what a bookmark can say."""
    page = decode_page(as_sent(a_page(*(a_row(timestamp=second) for second in (5, 5.5, 6, 6.0)))))

    assert [(moment.second, moment.each(moment.timestamps)) for moment in page.between(0, MOMENT)] == [
        (5, (5, 5.5)),
        (6, (6, 6.0)),
    ]


# What counts as a change


def _content(*rows: dict[str, Any], name: str = "North Device") -> bytes:
    body = a_page(*rows)
    body["metadata"]["device_name"] = name
    page = decode_page(as_sent(body))
    (second,) = page.moments
    return moment_content(page[second])


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"value": 17}, {"value": 17.0}),
        ({"value": 0}, {"value": -0.0}),
        ({"value": None}, {"value": float("nan")}),
        ({"timestamp": MOMENT}, {"timestamp": float(MOMENT)}),
        ({"port_num": None}, {"port_num": -1}),
        ({"port_num": 3}, {"port_num": 3.0}),
        ({"sensor_name": None}, {"sensor_name": ""}),
        ({"unit": "m3/m3"}, {"unit": " m³/m³"}),
        ({"unit": ""}, {"unit": None}),
        ({"position": 1}, {"position": 1.0}),
        ({"position": None}, {"position": "x"}),
        ({"reading_id": 1}, {"reading_id": 2}),
        ({"datetime": "x"}, {"datetime": None}),
        ({}, {"mrid": 7}),
    ],
)
def test_another_form_of_the_same_is_no_change(before: dict[str, Any], after: dict[str, Any]) -> None:
    """Nor is a name, nor what no column knows."""
    assert _content(a_row(**before)) == _content(a_row(**after), name="South Device")


@pytest.mark.parametrize(
    "after",
    [
        {"value": 0.3120000001},
        {"value": None},
        {"value": 10**400},
        {"timestamp": MOMENT + 0.5},
        {"port_num": 2},
        {"sensor_name": "TEROS 54"},
        {"measurement": "Water Content 2"},
        {"unit": "°C"},
        {"unit": None},
        {"error_code": 134},
        {"error_code": None},
        {"position": 1},
    ],
)
def test_another_value_or_meaning_is_a_change(after: dict[str, Any]) -> None:
    """And so is a part of the key."""
    assert _content(a_row()) != _content(a_row(**after))


def test_a_row_more_is_a_change() -> None:
    """Be it the same twice."""
    assert len({_content(*[a_row()] * count) for count in (1, 2, 3)}) == 3


@given(rows=st.lists(ROWS.map(lambda rows: rows[0] if rows else {}), min_size=1, max_size=6), data=st.data())
def test_the_order_of_rows_is_no_change(rows: list[dict[str, Any]], data: st.DataObject) -> None:
    """The service promises none within a moment."""
    sent = [a_row(**{**fields, "timestamp": MOMENT, "value": number % 3}) for number, fields in enumerate(rows)]

    assert _content(*sent) == _content(*data.draw(st.permutations(sent)))


def test_the_extra_of_a_record_is_json() -> None:
    """Whatever came."""
    extra = record_with(mrid=[1, {"a": None}])["extra"]

    assert json.loads(json.dumps(extra)) == extra == {"mrid": [1, {"a": None}], "reading_id": 123}
