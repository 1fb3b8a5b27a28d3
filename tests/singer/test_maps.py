"""Stream maps: what is said of an expression that fails, and of a map that no stream has."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from singer_sdk.mapper import PluginMapper

from tap_zentra.singer.maps import StreamMapError, name_failures, unknown_streams

COLUMNS = {"device_sn": "string", "mrid": "integer", "value": "number", "units": "string", "precision": "integer"}
SCHEMA = {"type": "object", "properties": {name: {"type": [kind, "null"]} for name, kind in COLUMNS.items()}}
RECORD = {"device_sn": "z6-1", "mrid": 7, "value": None, "units": None, "precision": 0}
PLACE = "failed for the record with device_sn z6-1, mrid 7: "


def transformed(stream_map: dict[str, str], record: dict[str, Any] = RECORD) -> dict[str, Any] | None:
    """Return what the SDK's mapper makes of a record."""
    mapper = PluginMapper({"stream_maps": {"readings": stream_map}}, logging.getLogger())
    mapper.register_raw_stream_schema("readings", SCHEMA, ("device_sn", "mrid"))
    (only,) = mapper.stream_maps["readings"]
    name_failures([only])
    return only.transform(dict(record))


def fault(stream_map: dict[str, str], record: dict[str, Any] = RECORD) -> str:
    """Return what is said of a stream map that fails."""
    with pytest.raises(StreamMapError) as caught:
        transformed(stream_map, record)
    assert caught.value.__suppress_context__
    return str(caught.value)


NULLS = {
    "value * 100": "value is null; use `x: value * 100 if value is not None else None` instead",
    "float(value)": "value is null; use `x: float(value) if value is not None else None` instead",
    "units.lower()": "units is null; use `x: units.lower() if units is not None else None` instead",
    "record['value'] * 2": (
        "record['value'] is null; use `x: record['value'] * 2 if record['value'] is not None else None` instead"
    ),
    "_['value'] * 2": "_['value'] is null; use `x: _['value'] * 2 if _['value'] is not None else None` instead",
    "value + units": (
        "value and units are null; use `x: value + units if value is not None and units is not None else None` instead"
    ),
    "value * 2 if mrid else value": (
        "value is null; use `x: (value * 2 if mrid else value) if value is not None else None` instead"
    ),
    "value * 2 if units is None else 0": (
        "value is null; use `x: (value * 2 if units is None else 0) if value is not None else None` instead"
    ),
}


@pytest.mark.parametrize(("expression", "advice"), NULLS.items())
def test_what_is_null_is_named_with_the_condition_that_helps(expression: str, advice: str) -> None:
    """Stream, property, expression, record and reason, and an expression for every record."""
    assert fault({"x": expression}) == f"stream map of readings: `x: {expression}` {PLACE}{advice}"


@pytest.mark.parametrize("expression", NULLS)
def test_the_expression_that_is_advised_works(expression: str) -> None:
    """Null stays null, and everything else is as it would have been."""
    better = fault({"x": expression}).split("use `x: ")[1].removesuffix("` instead")
    whole = {**RECORD, "value": "0.3" if "units" in expression else 0.3, "units": "KPA"}

    assert transformed({"x": better}) == {**RECORD, "x": None}
    if "units is None" not in expression:
        assert transformed({"x": better}, whole) == transformed({"x": expression}, whole)


def test_the_property_itself_can_be_null() -> None:
    """In an expression for a column that there is, `self` is its value."""
    assert fault({"value": "self * 100"}).endswith(
        "self is null; use `value: self * 100 if self is not None else None` instead"
    )


def test_a_filter_that_fails_is_told_likewise() -> None:
    """What is advised leaves the record out."""
    told = fault({"__filter__": "value > 0.3"})

    assert told == (
        f"stream map of readings: `__filter__: value > 0.3` {PLACE}"
        "value is null; use `__filter__: value is not None and (value > 0.3)` instead"
    )
    assert transformed({"__filter__": "value is not None and (value > 0.3)"}) is None


def test_a_division_by_zero_is_told_with_the_condition_that_helps() -> None:
    """Where it is a column that is zero, and not the expression."""
    record = {**RECORD, "value": 1.5}

    assert fault({"x": "value / precision"}, record).endswith(
        "division by zero; use `x: value / precision if precision else None` instead"
    )
    assert transformed({"x": "value / precision if precision else None"}, record) == {**record, "x": None}
    assert "ZeroDivisionError: " in fault({"x": "mrid / 0"})


def test_a_name_that_no_column_has_is_told_with_those_that_there_are() -> None:
    """As after a typing error, or for a column that is not selected."""
    assert fault({"x": "valve * 100"}).endswith(
        f"{PLACE}there is no column valve; the columns are device_sn, mrid, value, units, precision"
    )


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ("config['factor']", "KeyError: 'factor'"),
        ("foo(mrid)", "FunctionNotDefined: Function 'foo' not defined"),
        ("int(device_sn)", "ValueError: invalid literal for int()"),
        ("device_sn + 1", "TypeError: "),
        ("mrid.lower()", "AttributeDoesNotExist: "),
    ],
)
def test_whatever_else_an_expression_raises_is_one_line(expression: str, reason: str) -> None:
    """With the reason that Python gives."""
    told = fault({"x": expression})

    assert told.startswith(f"stream map of readings: `x: {expression}` {PLACE}{reason}")
    assert told.endswith("for example with `… if … else None`")


def test_a_message_is_one_line_whatever_is_in_it() -> None:
    """Expressions and values may have line ends."""
    told = fault({"x": "(value\n * 100)"}, {**RECORD, "device_sn": "z6\n1"})

    assert "\n" not in told
    assert "device_sn z6 1" in told


def test_maps_that_work_are_left_alone() -> None:
    """Removed and renamed columns, and filters that hold."""
    shape = {"__filter__": "mrid > 5", "number": "mrid", "units": "__NULL__"}

    assert transformed(shape) == {"device_sn": "z6-1", "mrid": 7, "value": None, "precision": 0, "number": 7}


@pytest.mark.parametrize(
    ("stream_maps", "unknown"),
    [
        ({}, []),
        ({"readings": {"x": "1"}, "read*": None, "*": None}, []),
        ({"copy": {"__source__": "readings"}}, []),
        ({"__else__": None}, []),
        ({"reading": {"x": "1"}, "readings": None, "Readings": None}, ["reading", "Readings"]),
        ({"readings": {"__source__": "reading"}}, ["reading"]),
        ({"env*": None}, ["env*"]),
    ],
)
def test_a_map_for_a_stream_that_is_not_there_is_found(stream_maps: dict[str, Any], unknown: list[str]) -> None:
    """By the name, the pattern or the source that the SDK goes by."""
    assert unknown_streams(stream_maps, ["readings", "sensors"]) == unknown
