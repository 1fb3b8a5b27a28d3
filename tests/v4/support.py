"""Pages of the shape that API v4 sends, and the records that they become."""

from __future__ import annotations

import json
from typing import Any

from tap_zentra.v4.places import Places
from tap_zentra.v4.readings import reading_records
from tap_zentra.v4.responses import decode_page, timestamps_by_mrid

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


def an_entry(*readings: dict[str, Any], **metadata: Any) -> dict[str, Any]:
    """Return an entry of some readings, each as far as it differs from READING, and its metadata likewise."""
    return {
        "metadata": {**METADATA, **metadata},
        "readings": [{**READING, **reading} for reading in readings],
    }


def a_page(data: dict[str, Any] | None = None, max_mrid: int | None = 4720) -> dict[str, Any]:
    """Return a page, with one reading unless told."""
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
        "data": {"Water Content": [an_entry({})]} if data is None else data,
    }


def as_sent(body: object) -> bytes:
    """Return a page as the service sends it."""
    return json.dumps(body).encode()


def records_of(body: object, places: Places | None = None) -> list[dict[str, Any]]:
    """Return the records of a page, at places that earlier pages have made known."""
    page = decode_page(body if isinstance(body, bytes) else as_sent(body))
    series = (places or Places()).series(page)
    return list(reading_records(series, DEVICE, wanted=timestamps_by_mrid(page)))


def record_with(**reading: Any) -> dict[str, Any]:
    """Return the record of a page with one reading."""
    (record,) = records_of(a_page({"Water Content": [an_entry(reading)]}))
    return record


def record_under(**metadata: Any) -> dict[str, Any]:
    """Return the record of a page with one entry of such metadata."""
    (record,) = records_of(a_page({"Water Content": [an_entry({}, **metadata)]}))
    return record
