"""What the sensors of a device read, as v5 tells it: a row for each value; knows no request and no page."""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
from msgspec import UNSET, UnsetType

from tap_zentra.emulator.chance import NOISE, NOISE_SIZE
from tap_zentra.emulator.devices import flatten
from tap_zentra.emulator.readings import (
    INVALID,
    NO_RESPONSE,
    OUT_OF_RANGE,
    TWICE_EVERY,
    Gauge,
    late_mrid,
    moment_of,
    place_of,
)
from tap_zentra.emulator.sensors import Measurement, Sensor, Series
from tap_zentra.emulator.v5.forms import displayed_name, make_odd, odd_columns
from tap_zentra.emulator.v5.units import SUPERSCRIPT, imperial, spelled

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tap_zentra.emulator.devices import Device
    from tap_zentra.emulator.options import Options
    from tap_zentra.emulator.readings import Measured
    from tap_zentra.emulator.v5.query import Units

LOGGER = -1
"""The port of what the device itself measures."""

SIGNAL = Sensor(
    "Signal Strength",
    LOGGER,
    (Measurement("Signal", "%", 0, lambda now, _: 78 - 20 * (now.rain > 0), 0.4),),
)
"""The device's reception, which no other version tells."""

VALID = 0
CODES = {NO_RESPONSE: 134, INVALID: 137, OUT_OF_RANGE: 136, "": 132}
"""Of the texts that v4 has for errors; the empty one is an error that it does not explain."""
OTHER_ERRORS = (128, 129, 131, 133, 138, 139, 140, 141, 142, 143, 235, 199, VALID)
"""Codes of errors for which v4 has no text, one that METER does not explain, and none although the value is null."""

DESCRIPTIONS = {
    128: "Sensor calibration problem",
    129: "Excitation under-voltage",
    130: "Value temporarily out of range",
    131: "Sensor type not supported",
    132: "Sensor communication error",
    133: "Sensor reporting an error",
    134: "No response from sensor",
    136: "Value outside expected range",
    137: "Invalid value",
    138: "Alpha value too low",
    139: "Radiance value(s) too low",
    140: "Calculation exceeds limits",
    141: "Calculation error",
    142: "Value exceeds model limits",
    143: "No data available for the requested time/measurement",
    235: "Erased flash memory",
}
"""METER's meaning of the codes (its package `zentracloud` 0.1.4)."""


class Row(msgspec.Struct, gc=False):
    """One value, with the fields of the service's answer."""

    port_num: int | None
    measurement: str
    unit: str
    sensor_name: str
    value: float | None
    timestamp: float
    datetime: str | None
    error_code: int | str
    position: int | UnsetType | None = UNSET
    reading_id: int | UnsetType = UNSET


class Record(NamedTuple):
    """The values of one moment, in the service's order."""

    mrid: int
    rows: list[Row]


class _Channel(NamedTuple):
    """One series, and all of its rows that does not change."""

    port: int | None
    measurement: str
    unit: str
    sensor: str
    position: int | UnsetType | None
    measure: Callable[[Any], Measured]
    convert: Callable[[float], float] | None
    absent: int | None


def records(device: Device, options: Options, units: Units, mrids: Sequence[int]) -> Iterator[Record]:
    """Yield the records, each with its values: every one once, and all fields in their usual form."""
    place = place_of(device, options.seed)
    channels = list(enumerate(_channels(device, options, units)))
    fittings = [[*(channels[index] for index in indices), channels[-1]] for indices in device.fittings]
    stamp = float if options.timestamps == "float" else int
    for mrid in mrids:
        moment = moment_of(device, place, mrid)
        timestamp = stamp(moment.timestamp)
        rows = []
        for index, channel in fittings[moment.fitting]:
            if channel.absent == mrid:
                continue
            measured = channel.measure(moment)
            rows.append(
                Row(
                    channel.port,
                    channel.measurement,
                    channel.unit,
                    channel.sensor,
                    _value(measured, channel.convert),
                    timestamp,
                    moment.local,
                    _error_code(measured, mrid) if measured.error_flag else VALID,
                    channel.position,
                    mrid * len(channels) + index if options.reading_ids else UNSET,
                )
            )
        yield Record(mrid, rows)


def as_sent(device: Device, options: Options, record: Record) -> list[Row]:
    """Return the rows of a record as the service sends them; changes them."""
    rows = record.rows
    if options.entry_order == "shuffled":
        rows = _shuffled(rows, place_of(device, options.seed) + record.mrid, options)
    if options.odd_fields:
        for row in rows:
            make_odd(row, record.mrid)
    if options.duplicates and record.mrid % TWICE_EVERY == 0:
        return [same for row in rows for same in (row, row)]
    return rows


def columns(device: Device, options: Options, units: Units) -> Iterator[dict[str, object]]:
    """Yield every value that the service would send now, by time, with the names of the tap's columns."""
    mrids = flatten(device.mrids, ascending=True)
    if device.clock:
        mrids.sort(key=lambda mrid: (device.timestamp(mrid), mrid))
    told: list[dict[str, object]] = []
    seen: Counter[tuple[object, ...]] = Counter()
    timestamp = None
    for record in records(device, options, units, mrids):
        stamped = device.timestamp(record.mrid)
        if stamped != timestamp:
            yield from sorted(told, key=_place)
            told, timestamp = [], stamped
            seen.clear()
        for row in record.rows:
            order, seen[_key(row)] = seen[_key(row)], seen[_key(row)] + 1
            told.append(_columns(device, options, row, record.mrid, order))
    yield from sorted(told, key=_place)


def _channels(device: Device, options: Options, units: Units) -> list[_Channel]:
    depths = Counter((series.sensor, series.measurement) for series in device.series)
    seen: Counter[tuple[Sensor, Measurement]] = Counter()
    channels = []
    for index, series in enumerate((*device.series, Series(SIGNAL, SIGNAL.measurements[0], ""))):
        kind = (series.sensor, series.measurement)
        seen[kind] += 1
        position = seen[kind] if depths[kind] > 1 else None
        channels.append(_channel(device, options, units, series, index=index, position=position))
    return channels


def _channel(
    device: Device, options: Options, units: Units, series: Series, *, index: int, position: int | None
) -> _Channel:
    of_device = series.sensor.port == LOGGER and options.logger_port == "null"
    unit, convert = series.measurement.units, None
    if units == "imperial":
        unit, convert = imperial(series.measurement)
    gauge = Gauge(device, options.seed, series, late_mrid(device, options, index, "null"), account_units=False)
    return _Channel(
        port=None if of_device else series.sensor.port,
        measurement=series.measurement.name,
        unit=spelled(unit, options.unit_spelling),
        sensor=series.sensor.name,
        position=position if options.positions else UNSET,
        measure=gauge.measure,
        convert=convert,
        absent=late_mrid(device, options, index, "absent"),
    )


def _value(measured: Measured, convert: Callable[[float], float] | None) -> float | None:
    value = measured.value
    if value is None or value != value:  # noqa: PLR0124 - the quickest test for NaN
        return None
    return convert(value) if convert else value


def _error_code(measured: Measured, mrid: int) -> int:
    """Return the code of what v4 flags as an error."""
    if measured.error_description is None:
        return OTHER_ERRORS[mrid % len(OTHER_ERRORS)]
    return CODES[measured.error_description]


def _key(row: Row) -> tuple[object, ...]:
    return (row.port_num, row.sensor_name, row.measurement)


def _shuffled(rows: Sequence[Row], draw: int, options: Options) -> list[Row]:
    """Return the rows in an order that is drawn; where nothing else tells them apart, equal keys keep theirs."""
    order = sorted(range(len(rows)), key=lambda at: NOISE[(draw + at * 7919) % NOISE_SIZE])
    if options.positions:
        return [rows[at] for at in order]
    waiting: defaultdict[tuple[object, ...], deque[Row]] = defaultdict(deque)
    for row in rows:
        waiting[_key(row)].append(row)
    return [waiting[_key(rows[at])].popleft() for at in order]


def _columns(device: Device, options: Options, row: Row, mrid: int, order: int) -> dict[str, object]:
    position = None if row.position is UNSET else row.position
    code = int(row.error_code)
    told = {
        "device_sn": device.device_sn,
        "timestamp_utc": datetime.fromtimestamp(row.timestamp, UTC).isoformat(),
        "port_number": LOGGER if row.port_num is None else row.port_num,
        "sensor_name": row.sensor_name,
        "measurement": row.measurement,
        "sub_sensor_index": order if position is None else position,
        "value": row.value,
        "units": row.unit.replace(*SUPERSCRIPT) or None,
        "error_code": code,
        "error_flag": code != VALID,
        "error_description": DESCRIPTIONS.get(code),
        "local_datetime": row.datetime,
        "device_name": displayed_name(device.name, options.odd_fields) or None,
        "extra": None,
    }
    extra = {} if position is None else {"position": position}
    if row.reading_id is not UNSET:
        extra["reading_id"] = row.reading_id
    if options.odd_fields:
        odd_columns(told, extra, mrid)
    return told | {"extra": extra or None}


def _place(column: dict[str, Any]) -> tuple[object, ...]:
    return tuple(column[name] for name in ("port_number", "sensor_name", "measurement", "sub_sensor_index"))
