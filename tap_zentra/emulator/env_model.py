"""Daily evapotranspiration as the service computes it from a weather station; knows no single readings."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from typing import TYPE_CHECKING

import msgspec

from tap_zentra.emulator.data import DAY, evapotranspiration
from tap_zentra.emulator.pages import moment
from tap_zentra.emulator.query import BadRequestError, ModelQuery
from tap_zentra.emulator.readings import place_of

if TYPE_CHECKING:
    from datetime import date

    from tap_zentra.emulator.devices import Device

MM_PER_INCH = 25.4

ALFALFA = 1.2
"""ETr is about a fifth above ETo."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC).date()


def model_body(device: Device, seed: int, query: ModelQuery) -> bytes:
    """Return the answer of `get_env_model_data`: a value in inches for each whole day that was asked for.

    Days of which the device has no record are flagged. What counts is when a record was made, right clock or not.

    Raises:
        BadRequestError: There is no weather station on that port (400).
    """
    if not any(sensor.port == query.port and sensor.name.startswith("ATMOS") for sensor in device.sensors):
        raise BadRequestError(400, f"There is no ATMOS 41 on port {query.port}.")
    days = _days(device, query)
    told = {
        "units": " in",
        "start": str(days[0]) if days else None,
        "end": str(days[-1]) if days else None,
        "data_source": device.device_sn,
        "model_type": query.model_type,
    }
    readings = [_reading(device, seed, query, day) for day in days]
    return msgspec.json.encode({"data": {"metadata": told, "readings": readings}})


def _days(device: Device, query: ModelQuery) -> list[date]:
    if device.min_mrid is None or device.max_mrid is None:
        return []
    first = device.local(device.made_at(device.min_mrid)).date()
    last = device.local(device.made_at(device.max_mrid)).date()
    if query.start is not None:
        first = max(first, query.start.date())
    if query.end is not None:
        last = min(last, (query.end - timedelta(minutes=1)).date())
    return [first + timedelta(days=number) for number in range((last - first).days + 1)]


def _reading(device: Device, seed: int, query: ModelQuery, day: date) -> dict[str, object]:
    end = int(moment(device, datetime.combine(day, time()))) + DAY
    recorded = device.between(device.first_mrid_at(end - DAY), device.first_mrid_at(end) - 1)
    millimetres = evapotranspiration(place_of(device, seed), (day - EPOCH).days, query.inputs.elevation)
    crop = ALFALFA if query.model_type == "ETr" else 1.0
    return {
        "value": round(crop * millimetres / MM_PER_INCH, 3) if recorded else None,
        "error_flag": not recorded,
        "error_description": None if recorded else "Insufficient data",
        "tz_offset": device.tz_offset,
        "timestamp_utc": end - 1,
        "datetime": str(device.local(end - 1)),
    }
