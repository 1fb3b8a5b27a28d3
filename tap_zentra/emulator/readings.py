"""What the sensors of a device read: as entries of an answer and as rows; knows no request and no page."""

from __future__ import annotations

import math
from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal, NamedTuple

import msgspec

from tap_zentra.emulator.chance import NOISE, NOISE_SIZE, NOISE_STEPS, number
from tap_zentra.emulator.data import Conditions, conditions
from tap_zentra.emulator.devices import flatten
from tap_zentra.emulator.forms import BARE_NAN, SERIAL_DIGITS, make_odd, odd_row, offset_text
from tap_zentra.emulator.sensors import CELSIUS, FAHRENHEIT, to_fahrenheit, wire_units

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tap_zentra.emulator.devices import Device
    from tap_zentra.emulator.options import Options
    from tap_zentra.emulator.sensors import Series

LateValues = Literal["none", "absent", "null"]
"""What stands in a device's newest record for values that have not come yet: nothing is late, no reading, or a null."""

EntryOrder = Literal["steady", "shuffled"]
"""Entries of one measurement come in the order of ports and depths, or in an order of its own in each answer."""

TWICE_EVERY = 5
"""Readings whose mrid is divisible by this are those that come twice."""


class Reading(msgspec.Struct, gc=False):
    """One value of a record, with the fields and in the order of the service's answer."""

    timestamp_utc: int
    datetime: str | msgspec.Raw
    tz_offset: int | str
    value: float | msgspec.Raw | None
    precision: float
    mrid: int
    error_flag: bool | int
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
    tz_offset: int
    fitting: int
    conditions: Conditions


class Measured(NamedTuple):
    """One value; NaN where the service writes NaN."""

    value: float | None
    error_flag: bool
    error_description: str | None


NO_RESPONSE = "No response from sensor"
INVALID = "Sensor reported an invalid value"
OUT_OF_RANGE = "Value out of range"
ERRORS = (
    (None, NO_RESPONSE),
    (math.nan, NO_RESPONSE),
    (None, ""),
    (None, None),
    (math.nan, INVALID),
)
"""What stands instead of a value, and the description; one more kind of error keeps its value."""


class Gauge:
    """Measures one series of a device.

    Args:
        device: The device.
        seed: Of the whole service.
        series: The series.
        late_mrid: The record in which its value is null because it has not come yet, None without.
        account_units: In the units that the account has for the record; otherwise in metric ones.
    """

    def __init__(
        self,
        device: Device,
        seed: int,
        series: Series,
        late_mrid: int | None = None,
        *,
        account_units: bool = True,
    ) -> None:
        place = (device.device_sn, series.sensor.port, series.depth, series.measurement.name)
        self._key = number(seed, *place) % NOISE_SIZE
        self._compute = series.measurement.compute
        self._centimetres = series.centimetres
        self._scatter = series.measurement.scatter
        self._precision = series.measurement.precision
        self._error_rate = device.error_rate
        self._late_mrid = late_mrid
        self._blank = "" if self._key % 4 == 0 else None
        self._fahrenheit_from = math.inf
        if account_units and device.units_changed_at is not None and series.measurement.units == CELSIUS:
            self._fahrenheit_from = device.units_changed_at

    def measure(self, moment: Moment) -> Measured:
        """Return what the sensor reads at this moment."""
        if moment.mrid == self._late_mrid:
            return Measured(None, error_flag=True, error_description=NO_RESPONSE)
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
        return Measured(value, error_flag=True, error_description=OUT_OF_RANGE)
    nothing, description = ERRORS[kind]
    return Measured(nothing, error_flag=True, error_description=description)


class _Part(NamedTuple):
    """What becomes an entry."""

    series: Series
    gauge: Gauge
    units: str
    moments: list[Moment]


def entries(device: Device, options: Options, mrids: Sequence[int]) -> Iterator[Entry]:
    """Yield the entries of an answer, each with the records in the order of `mrids`."""
    place = place_of(device, options.seed)
    parts = list(_parts(device, options, [moment_of(device, place, mrid) for mrid in mrids]))
    if options.entry_order == "shuffled":
        draws = (number(options.seed, device.device_sn, *mrids[:1], at) for at in range(len(parts)))
        drawn = sorted(zip(parts, draws, strict=True), key=lambda one: (one[0].series.measurement.name, one[1]))
        parts = [part for part, _ in drawn]
    for part in parts:
        yield Entry(part.series, part.units, _readings(options, part))


def _parts(device: Device, options: Options, record: list[Moment]) -> Iterator[_Part]:
    """Yield what becomes the entries: a series is cut where its units change, and has what it was plugged in for."""
    change = device.units_changed_at
    for index, series in enumerate(device.series):
        gauge = Gauge(device, options.seed, series, late_mrid(device, options, index, "null"))
        absent = late_mrid(device, options, index, "absent")
        there = record if absent is None else [moment for moment in record if moment.mrid != absent]
        if device.refits:
            fitted = {number for number, places in enumerate(device.fittings) if index in places}
            there = [moment for moment in there if moment.fitting in fitted]
        units = series.measurement.units
        if change is None or units != CELSIUS:
            cut = [(units, there)]
        else:
            cut = [
                (CELSIUS, [moment for moment in there if moment.mrid < change]),
                (FAHRENHEIT, [moment for moment in there if moment.mrid >= change]),
            ]
        yield from (_Part(series, gauge, name, moments) for name, moments in cut if moments)


def late_mrid(device: Device, options: Options, index: int, how: LateValues) -> int | None:
    """Return the record in which the value of this series is late in this way: of every second one, the newest."""
    return device.max_mrid if index % 2 and options.late_values == how else None


def rows(device: Device, options: Options) -> Iterator[dict[str, object]]:
    """Yield every value that the service would send now, by mrid, with the names of the tap's columns."""
    fittings = [_fitting(device, options, places) for places in device.fittings]
    place = place_of(device, options.seed)
    for mrid in flatten(device.mrids, ascending=True):
        moment = moment_of(device, place, mrid)
        time = {
            "mrid": mrid,
            "timestamp_utc": datetime.fromtimestamp(moment.timestamp, UTC).isoformat(),
            "local_datetime": moment.local,
            "tz_offset": moment.tz_offset,
        }
        for series, gauge, absent, constant in fittings[moment.fitting]:
            if mrid != absent:
                row = constant | time | _measured_columns(device, series, gauge.measure(moment), mrid)
                yield odd_row(row) if options.odd_fields else row


def _indices(device: Device, places: Sequence[int]) -> list[int]:
    """Return, for each series of a fitting, how many before it have the same port and measurement."""
    seen: Counter[tuple[int, str]] = Counter()
    indices = []
    for series in (device.series[place] for place in places):
        name = (series.sensor.port, series.measurement.name)
        indices.append(seen[name])
        seen[name] += 1
    return indices


def _fitting(
    device: Device, options: Options, places: Sequence[int]
) -> list[tuple[Series, Gauge, int | None, dict[str, object]]]:
    """Return the series of a fitting, each with its gauge, the record that lacks it, and what its rows share."""
    series = [device.series[place] for place in places]
    gauges = [
        Gauge(device, options.seed, one, late_mrid(device, options, place, "null"))
        for one, place in zip(series, places, strict=True)
    ]
    absent = [late_mrid(device, options, place, "absent") for place in places]
    indices = _indices(device, places)
    shared = [_constants(device, one, index) for one, index in zip(series, indices, strict=True)]
    return list(zip(series, gauges, absent, shared, strict=True))


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
        "units": _units(series, changed=device.units_changed(mrid)) or None,
        "error_flag": measured.error_flag,
        "error_description": measured.error_description or None,
    }


def _units(series: Series, *, changed: bool) -> str:
    """Return the units of a series as a person writes them, before or after the account's units were changed."""
    units = series.measurement.units
    return FAHRENHEIT if changed and units == CELSIUS else units


def _sensor_sn(device: Device, series: Series) -> str | None:
    """Return the serial number of a sensor: None or empty when it tells none."""
    sensor = series.sensor
    which = sensor.port if sensor.number is None else sensor.number
    digits = f"{number(device.device_sn, which) % 10**SERIAL_DIGITS:08d}"
    return f"{sensor.serial}{digits}" if sensor.serial else sensor.serial


def moment_of(device: Device, place: int, mrid: int) -> Moment:
    """Return a record's moment; the place is that of `place_of`."""
    timestamp = device.timestamp(mrid)
    now = conditions(place, device.made_at(mrid) + device.tz_offset, device.interval)
    local, offset = str(device.local(timestamp)), device.offset(timestamp)
    return Moment(mrid, timestamp, local, offset, device.fitting(mrid), now)


def _readings(options: Options, part: _Part) -> list[Reading]:
    readings = []
    precision, measure = part.series.measurement.precision, part.gauge.measure
    for moment in part.moments:
        value, flag, description = measure(moment)
        readings.append(
            Reading(
                moment.timestamp,
                moment.local,
                moment.tz_offset,
                BARE_NAN if value != value else value,  # noqa: PLR0124 - the quickest test for NaN
                precision,
                moment.mrid,
                flag,
                description,
            )
        )
    if options.odd_fields:
        for reading, moment in zip(readings, part.moments, strict=True):
            make_odd(reading, offset_text(moment.local))
    if options.duplicates:
        return [same for reading in readings for same in [reading] * (1 if reading.mrid % TWICE_EVERY else 2)]
    return readings
