"""Pages of the shape that API v5 sends, and the records that they become."""

from __future__ import annotations

import json
from typing import Any

from tap_zentra.v5.readings import reading_records
from tap_zentra.v5.responses import DataPage, decode_page

DEVICE = "z6-12345"
MOMENT = 1_705_485_442
"""2024-01-17T09:57:22Z."""

ROW: dict[str, Any] = {
    "port_num": 1,
    "measurement": "Water Content",
    "unit": "m3/m3",
    "sensor_name": "TEROS 12",
    "position": None,
    "value": 0.312,
    "timestamp": MOMENT,
    "datetime": "2024-01-17 01:57:22-08:00",
    "error_code": 0,
    "reading_id": 123,
}


def a_row(**fields: Any) -> dict[str, Any]:
    """Return a row, as far as it differs from ROW."""
    return {**ROW, **fields}


def a_page(*rows: dict[str, Any], token: str | None = None, device_id: str = DEVICE) -> dict[str, Any]:
    """Return a page of some rows."""
    return {
        "metadata": {
            "device_id": device_id,
            "device_name": "North Device",
            "location": "Location/Field/Zone",
            "coordinates": "'46.7515638', '-117.1667332'",
        },
        "values": list(rows),
        "pagination": {"num_readings": len(rows), "next_token": token, "next_url": None},
    }


def as_sent(body: object) -> bytes:
    """Return a page as the service sends it."""
    return json.dumps(body).encode()


def records_of(body: object) -> list[dict[str, Any]]:
    """Return the records of a page."""
    return records_in(decode_page(body if isinstance(body, bytes) else as_sent(body)))


def records_in(page: DataPage) -> list[dict[str, Any]]:
    """Return the records of a page that was decoded."""
    return [
        record
        for second in page.moments
        for record in reading_records(page[second], device_sn=DEVICE, device_name=page.device_name)
    ]


def record_with(**fields: Any) -> dict[str, Any]:
    """Return the record of a page with one row."""
    (record,) = records_of(a_page(a_row(**fields)))
    return record
