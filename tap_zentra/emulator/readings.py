"""What the sensors of a device read: as entries of an answer and as rows; knows no request and no page."""

from __future__ import annotations

import math
from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from tap_zentra.emulator.chance import NOISE, NOISE_SIZE, NOISE_STEPS, number
from tap_zentra.emulator.data import Conditions, conditions
from tap_zentra.emulator.devices import flatten
from tap_zentra.emulator.sensors import CELSIUS, FAHRENHEIT, to_fahrenheit, wire_units

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tap_zentra.emulator.devices import Device
    from tap_zentra.emulator.options import Options
    from tap_zentra.emulator.sensors import Series

BARE_NAN = msgspec.Raw(b"NaN")
"""The word that the service writes although JSON does not have it; msgspec writes NaN as null."""


class Reading(msgspec.Struct, gc=False):
    """One value of a record, with the fields and in the order of the service's answer."""

    timestamp_utc: int
    datetime: str
    tz_offset: int
    value: float | msgspec.Raw | None
    precision: int
    mrid: int
    error_flag: bool
    error_description: str | None


class Entry(NamedTuple):
    """The readings of a series that have the same units."""

    series: Series
    units: str
    readings: list[Reading]


class Moment(NamedTuple):
    """One record of a device: what all its values have in common."""

    mrid: int
    timestamp: int
    local: str
    conditions: Conditions


class Measured(NamedTuple):
    """One value; NaN where the service writes NaN."""

    value: float | None
    error_flag: bool
    error_description: str | None


NO_RESPONSE = "No response from sensor"
ERRORS = (
    (None, NO_RESPONSE),
    (math.nan, NO_RESPONSE),
    (None, ""),
    (None, None),
    (math.nan, "Sensor reported an invalid value"),
)
"""What stands instead of a value, and the description; one more kind of error keeps its value."""


class Gauge:
    """Measures one series of a device.

    Args:
        device: The device.
        seed: Of the whole service.
        series: The series.
    """

    def __init__(self, device: Device, seed: int, series: Series) -> None:
        place = (device.device_sn, series.sensor.port, series.depth, series.measurement.name)
        self._key = number(seed, *place) % NOISE_SIZE
        self._compute = series.measurement.compute
        self._centimetres = series.centimetres
        self._scatter = series.measurement.scatter
        self._precision = series.measurement.precision
        self._error_rate = device.error_rate
        self._blank = "" if self._key % 4 == 0 else None
        self._fahrenheit_from = math.inf
        if device.units_changed_at is not None and series.measurement.units == CELSIUS:
            self._fahrenheit_from = device.units_changed_at

    def measure(self, moment: Moment) -> Measured:
        """Return what the sensor reads at this moment, in the units that the account has for this record."""
        luck = NOISE[(self._key + moment.mrid) % NOISE_SIZE]
        value = self._compute(moment.conditions, self._centimetres) * (1 + self._scatter * (luck - 0.5))
        if moment.mrid >= self._fahrenheit_from:
            value = to_fahrenheit(value)
        value = round(value, self._precision)
        if luck < self._error_rate:
            return _error(value, int(luck * NOISE_STEPS))
        if value.is_integer() and (self._key + moment.mrid) % 2:
            value = int(value)
        return Measured(value, False, self._blank)  # noqa: FBT003 - by keyword takes twice as long


def _error(value: float, luck: int) -> Measured:
    kind = luck % (len(ERRORS) + 1)
    if kind == len(ERRORS):
        return Measured(value, error_flag=True, error_description="Value out of range")
    nothing, description = ERRORS[kind]
    return Measured(nothing, error_flag=True, error_description=description)


def entries(device: Device, options: Options, mrids: Sequence[int]) -> Iterator[Entry]:
    """Yield the entries of an answer, each with the records in the order of `mrids`."""
    place = place_of(device, options.seed)
    record = [_moment(device, place, mrid) for mrid in mrids]
    change = device.units_changed_at
    for series in device.series:
        gauge = Gauge(device, options.seed, series)
        units = series.measurement.units
        if change is None or units != CELSIUS:
            parts = [(units, record)]
        else:
            parts = [
                (CELSIUS, [moment for moment in record if moment.mrid < change]),
                (FAHRENHEIT, [moment for moment in record if moment.mrid >= change]),
            ]
        for name, moments in parts:
            if moments:
                yield Entry(series, name, _readings(device, gauge, series.measurement.precision, moments))


def rows(device: Device, options: Options) -> Iterator[dict[str, object]]:
    """Yield every value that the device holds, by mrid, with the names of the tap's columns."""
    seen: Counter[tuple[int, str]] = Counter()
    constants = []
    for series in device.series:
        name = (series.sensor.port, series.measurement.name)
        constants.append((series, Gauge(device, options.seed, series), _constants(device, series, seen[name])))
        seen[name] += 1
    place = place_of(device, options.seed)
    for mrid in flatten(device.mrids, ascending=True):
        moment = _moment(device, place, mrid)
        time = {
            "mrid": mrid,
            "timestamp_utc": datetime.fromtimestamp(moment.timestamp, UTC).isoformat(),
            "local_datetime": moment.local,
            "tz_offset": device.tz_offset,
        }
        for series, gauge, constant in constants:
            yield constant | time | _measured_columns(device, series, gauge.measure(moment), mrid)


def metadata(device: Device, series: Series, units: str) -> dict[str, object]:
    """Return the metadata of an entry as the service sends it, without `depth` and location."""
    return {
        "device_sn": device.device_sn,
        "device_name": device.name,
        "port_number": series.sensor.port,
        "sensor_sn": _sensor_sn(device, series),
        "sensor_name": series.sensor.name,
        "units": wire_units(units),
    }


def place_of(device: Device, seed: int) -> int:
    """Return the number of the place whose weather the device measures."""
    return number(seed, device.device_sn) % NOISE_SIZE


def _constants(device: Device, series: Series, index: int) -> dict[str, object]:
    return {
        "device_sn": device.device_sn,
        "port_number": series.sensor.port,
        "measurement": series.measurement.name,
        "sub_sensor_index": index,
        "precision": series.measurement.precision,
        "device_name": device.name or None,
        "sensor_name": series.sensor.name,
        "sensor_sn": _sensor_sn(device, series) or None,
        "depth": series.depth or None,
    }


def _measured_columns(device: Device, series: Series, measured: Measured, mrid: int) -> dict[str, object]:
    value = measured.value
    return {
        "value": None if value is None or math.isnan(value) else value,
        "units": _units(device, series, mrid) or None,
        "error_flag": measured.error_flag,
        "error_description": measured.error_description or None,
    }


def _units(device: Device, series: Series, mrid: int) -> str:
    units = series.measurement.units
    changed = device.units_changed_at is not None and mrid >= device.units_changed_at
    return FAHRENHEIT if changed and units == CELSIUS else units


def _sensor_sn(device: Device, series: Series) -> str | None:
    serial = series.sensor.serial
    return f"{serial}{number(device.device_sn, series.sensor.port) % 10**8:08d}" if serial else serial


def _moment(device: Device, place: int, mrid: int) -> Moment:
    timestamp = device.timestamp(mrid)
    now = conditions(place, timestamp + device.tz_offset, device.interval)
    return Moment(mrid, timestamp, str(device.local(timestamp)), now)


def _readings(device: Device, gauge: Gauge, precision: int, moments: Sequence[Moment]) -> list[Reading]:
    readings = []
    for moment in moments:
        value, flag, description = gauge.measure(moment)
        readings.append(
            Reading(
                moment.timestamp,
                moment.local,
                device.tz_offset,
                BARE_NAN if value != value else value,  # noqa: PLR0124 - the quickest test for NaN
                precision,
                moment.mrid,
                flag,
                description,
            )
        )
    return readings
