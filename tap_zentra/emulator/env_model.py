"""Daily evapotranspiration as the service computes it from a weather station; knows no single readings."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING, Literal, NamedTuple

import msgspec

from tap_zentra.emulator.data import DAY, evapotranspiration
from tap_zentra.emulator.devices import clip
from tap_zentra.emulator.forms import BARE_NAN
from tap_zentra.emulator.query import LAST_MRID, BadRequestError, ModelQuery
from tap_zentra.emulator.readings import place_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tap_zentra.emulator.devices import Device
    from tap_zentra.emulator.options import Options

EmptyDays = Literal["null", "nan"]
"""What stands for the value of a day without records."""

MM_PER_INCH = 25.4

ALFALFA = 1.2
"""ETr is about a fifth above ETo."""

EPOCH = date(1970, 1, 1)

NO_RECORDS = b"No records for this timerange"
"""The whole answer, which is no JSON, when no day of the range has a record (clients met it)."""


class ModelDay(NamedTuple):
    """The value of a day, with the fields of the service's answer.

    Attributes:
        value: In inches; None: the day has no record.
        error_flag: It has none.
        error_description: Why.
        tz_offset: Of the day's last second, in seconds.
        timestamp_utc: The day's last second, in seconds since 1970-01-01.
        datetime: The same in local time.
    """

    value: float | None
    error_flag: bool
    error_description: str | None
    tz_offset: int
    timestamp_utc: int
    datetime: str


def model_body(device: Device, options: Options, query: ModelQuery) -> bytes:
    """Return the answer of `get_env_model_data`: a value in inches for each whole day that was asked for.

    Days of which the device has no record are flagged; where all are, or there is no day, there is no JSON.

    Raises:
        BadRequestError: There has never been a weather station on that port (400).
    """
    if not _stations(device, query.port):
        raise BadRequestError(400, f"There is no ATMOS 41 on port {query.port}.")
    days = model_days(device, options.seed, query)
    if all(day.error_flag for day in days):
        return NO_RECORDS
    told = {
        "units": " in",
        "start": days[0].datetime[: len("1970-01-01")],
        "end": days[-1].datetime[: len("1970-01-01")],
        "data_source": device.device_sn,
        "model_type": query.model_type,
    }
    nothing = BARE_NAN if options.empty_days == "nan" else None
    readings = [day._asdict() | ({"value": nothing} if day.value is None else {}) for day in days]
    return msgspec.json.encode({"data": {"metadata": told, "readings": readings}})


def model_days(device: Device, seed: int, query: ModelQuery) -> list[ModelDay]:
    """Return the days that were asked for, from the device's first to its newest one.

    What counts is when a record was made, right clock or not, and that the weather station was on the port then.
    """
    stations = _stations(device, query.port)
    if not stations:
        return []
    return [_day(device, seed, query, stations, number) for number in _numbers(device, query)]


def _stations(device: Device, port: int) -> list[range]:
    """Return the mrids, existing or not, up to the next one, at which a weather station is on the port."""
    begins = [0, *(mrid for mrid, _ in device.refits if mrid <= device.next_mrid)]
    ends = [*begins[1:], LAST_MRID]
    return [
        range(begin, end)
        for begin, end, places in zip(begins, ends, device.fittings, strict=False)
        if any(_is_station(device, place, port) for place in places)
    ]


def _is_station(device: Device, place: int, port: int) -> bool:
    sensor = device.series[place].sensor
    return sensor.port == port and sensor.name.startswith("ATMOS")


def _numbers(device: Device, query: ModelQuery) -> range:
    """Return the days that were asked for, counted from 1970-01-01."""
    if device.min_mrid is None or device.max_mrid is None:
        return range(0)
    first, last = (device.local(device.made_at(mrid)).date() for mrid in (device.min_mrid, device.max_mrid))
    if query.start is not None:
        first = max(first, query.start.date())
    if query.end is not None:
        last = min(last, (query.end - timedelta(minutes=1)).date())
    return range((first - EPOCH).days, (last - EPOCH).days + 1)


def _day(device: Device, seed: int, query: ModelQuery, stations: Sequence[range], number: int) -> ModelDay:
    begin, end = (int(device.moment(midnight * DAY)) for midnight in (number, number + 1))
    last = end - 1
    found = clip(stations, device.first_mrid_at(begin), device.first_mrid_at(end) - 1)
    records = sum(len(part) for mrids in found for part in device.between(mrids[0], mrids[-1]))
    share = min(1.0, records * device.interval / (end - begin))
    return ModelDay(
        value=_inches(place_of(device, seed), number, query, share) if records else None,
        error_flag=not records,
        error_description=None if records else "Insufficient data",
        tz_offset=device.offset(last),
        timestamp_utc=last,
        datetime=str(device.local(last)),
    )


def _inches(place: int, number: int, query: ModelQuery, share: float) -> float:
    """Return a day's value; a day of which records are missing, or that is not over, has a share of it."""
    inputs = query.inputs
    millimetres = evapotranspiration(place, number, inputs.elevation, inputs.latitude, inputs.wind_measurement_height)
    crop = ALFALFA if query.model_type == "ETr" else 1.0
    return round(share * crop * millimetres / MM_PER_INCH, 3)
