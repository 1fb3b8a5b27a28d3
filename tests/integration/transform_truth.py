"""What the models of `transform/` should hold, computed from readings in plain Python; knows neither SQL nor dbt."""

from __future__ import annotations

import math
import re
import statistics
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

Row: TypeAlias = dict[str, Any]

CHANNEL = ("port_number", "measurement", "sub_sensor_index", "sensor_name", "sensor_sn", "units")
MOMENT = ("device_sn", "timestamp_utc")
KEYS: Mapping[str, Sequence[str]] = {
    "stg_zentra__readings": ("api", *MOMENT, "mrid", "port_number", "measurement", "sub_sensor_index", "sensor_name"),
    "zentra_readings_wide": MOMENT,
    "zentra_hourly": ("device_sn", "hour_utc", "local_hour", *CHANNEL),
    "zentra_daily": ("device_sn", "local_date", *CHANNEL),
    "zentra_devices": ("device_sn",),
    "zentra_sensors": ("device_sn", *CHANNEL, "first_seen_utc"),
    "zentra_gaps": ("device_sn", "last_reading_utc"),
    "zentra_water_balance_daily": ("device_sn", "port_number", "local_date"),
}
"""All models, and what tells their rows apart."""

SUMS = {"Precipitation", "Lightning Activity", "Leaf Wetness"}
HIGHEST = {"Gust Speed", "Max Precip Rate"}

LONG_AGO = datetime(1970, 1, 1)  # noqa: DTZ001 - as the tables, without a zone
DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
MM_PER_INCH = 25.4

EXACT = 2e-6
"""Difference of numbers that are rounded to six decimal places, and of those that they are compared with."""
SECOND = 1.001 / 3600
"""Hours; ages are told in whole seconds."""

OF_THE_SERVICE = (
    "model",
    "location",
    "latitude",
    "longitude",
    "subscription_status",
    "subscription_expires_at",
)
"""Columns that `devices` has of v5 alone."""


@dataclass(frozen=True)
class Truth:
    """What is known at a moment.

    Attributes:
        v4: Rows of `readings`.
        v5: Rows of `readings_v5`.
        devices: Rows of `devices`.
        days: Rows of `env_model_data`.
        now: The moment, UTC.
    """

    v4: Iterable[Row]
    v5: Iterable[Row]
    devices: Iterable[Row]
    days: Iterable[Row]
    now: datetime
    _computed: dict[str, list[Row]] = field(default_factory=dict, repr=False)

    def of(self, model: str) -> list[Row]:
        """Return the rows of a model, without `staged_at`."""
        if model not in self._computed:
            compute: Mapping[str, Callable[[], Iterable[Row]]] = {
                "stg_zentra__readings": lambda: self.staged,
                "zentra_readings_wide": self._wide,
                "zentra_hourly": self._hourly,
                "zentra_daily": self._daily,
                "zentra_devices": self._devices,
                "zentra_sensors": self._sensors,
                "zentra_gaps": lambda: self._gaps,
                "zentra_water_balance_daily": self._water_balance,
            }
            self._computed[model] = list(compute[model]())
        return self._computed[model]

    @cached_property
    def staged(self) -> list[Row]:
        """All readings, those of v5 of what is after the last one of v4."""
        old = [_staged("v4", row) for row in self.v4]
        ends: dict[str, datetime] = {}
        for row in old:
            if not self._is_ahead(row["timestamp_utc"]):
                ends[row["device_sn"]] = max(row["timestamp_utc"], ends.get(row["device_sn"], LONG_AGO))
        new = [_staged("v5", row) for row in self.v5]
        return old + [row for row in new if row["timestamp_utc"] > ends.get(row["device_sn"], LONG_AGO)]

    @cached_property
    def local_days(self) -> dict[str, dict[date, dict[datetime, int]]]:
        """Of each device its days, in order; of each day its moments, in order, with their offsets."""
        found: defaultdict[str, defaultdict[date, dict[datetime, int]]] = defaultdict(lambda: defaultdict(dict))
        for row in self.staged:
            found[row["device_sn"]][row["local_date"]][row["timestamp_utc"]] = row["utc_offset"]
        return {
            device_sn: {day: dict(sorted(days[day].items())) for day in sorted(days)}
            for device_sn, days in found.items()
        }

    @cached_property
    def intervals(self) -> dict[tuple[str, date], int]:
        """The usual seconds between readings of each device's day, or of the nearest one that shows them."""
        found: dict[tuple[str, date], int] = {}
        for device_sn, days in self.local_days.items():
            steps = {day: [_seconds(after - before) for before, after in pairwise(at)] for day, at in days.items()}
            shown = {day: statistics.median_low(passed) for day, passed in steps.items() if len(passed) > 1}
            usual = next(iter(shown.values()), 86_400)
            for day in days:
                usual = found[device_sn, day] = shown.get(day, usual)
        return found

    @cached_property
    def moments(self) -> dict[str, list[tuple[datetime, date]]]:
        """Of each device the moments that count, in order, each with its local day: not those of the future."""
        return {
            device_sn: sorted(
                (moment, day) for day, moments in days.items() for moment in moments if not self._is_ahead(moment)
            )
            for device_sn, days in self.local_days.items()
        }

    def _is_ahead(self, moment: datetime) -> bool:
        return moment > self.now + DAY

    def _wide(self) -> Iterable[Row]:
        records: defaultdict[tuple[str, datetime], list[Row]] = defaultdict(list)
        for row in self.staged:
            records[row["device_sn"], row["timestamp_utc"]].append(row)
        columns = dict.fromkeys(_column(row) for row in self.staged)
        for rows in records.values():
            newest = max(row["mrid"] or 0 for row in rows)
            record = [row for row in rows if (row["mrid"] or 0) == newest]
            shared = ("device_sn", "timestamp_utc", "local_time", "local_date", "utc_offset", "api", "mrid")
            yield {name: record[0][name] for name in shared} | columns | {_column(row): _valid(row) for row in record}

    def _hourly(self) -> Iterable[Row]:
        def hour(row: Row) -> Row:
            begins = row["local_time"].replace(minute=0, second=0, microsecond=0)
            return {"hour_utc": begins - timedelta(seconds=row["utc_offset"]), "local_hour": begins}

        return self._aggregated(hour, lambda _: 3600)

    def _daily(self) -> Iterable[Row]:
        def length(row: Row) -> int:
            offsets = list(self.local_days[row["device_sn"]][row["local_date"]].values())
            return 86_400 + offsets[0] - offsets[-1]

        return self._aggregated(lambda _: {}, length)

    def _aggregated(self, period: Callable[[Row], Row], length: Callable[[Row], int]) -> Iterable[Row]:
        groups: defaultdict[tuple[Any, ...], list[Row]] = defaultdict(list)
        for row in self.staged:
            key = {"device_sn": row["device_sn"], **period(row)} | {
                name: row[name] for name in ("local_date", *CHANNEL)
            }
            groups[tuple(key.items())].append(row)
        for named, rows in groups.items():
            interval = self.intervals[rows[0]["device_sn"], rows[0]["local_date"]]
            expected = _rounded(length(rows[0]) / interval)
            moments = [row["timestamp_utc"] for row in rows]
            values = [value for value in map(_valid, rows) if value is not None]
            yield (
                dict(named)
                | _value(rows[0]["measurement"], values)
                | {
                    "depth": _highest(row["depth"] for row in rows),
                    "readings": len(values),
                    "flagged": len(rows) - len(values),
                    "expected": expected,
                    "share": min(1.0, len(rows) / expected) if expected else None,
                    "first_reading_utc": min(moments),
                    "last_reading_utc": max(moments),
                }
            )

    @cached_property
    def _gaps(self) -> list[Row]:
        found = []
        for device_sn, moments in self.moments.items():
            for (last, day), (following, _) in pairwise([*moments, (self.now, self.now.date())]):
                interval = self.intervals[device_sn, day]
                seconds = (following - last).total_seconds()
                is_open = following == self.now
                if seconds > (max(self._limit(interval), 86_400) if is_open else self._limit(interval)):
                    found.append(
                        {
                            "device_sn": device_sn,
                            "last_reading_utc": last,
                            "next_reading_utc": None if is_open else following,
                            "hours": seconds / 3600,
                            "missing": _rounded(seconds / interval) - 1,
                            "is_open": is_open,
                        }
                    )
        return found

    @staticmethod
    def _limit(interval: int) -> int:
        """Return after how many seconds without readings a gap begins."""
        return max(3 * interval, 3600)

    def _devices(self) -> Iterable[Row]:
        told = {row["device_sn"]: row for row in self.devices}
        for device_sn in told.keys() | self.local_days.keys():
            row = told.get(device_sn, {})
            yield {
                "device_sn": device_sn,
                "device_name": row.get("device_name") or self._name(device_sn),
                "error": row.get("error"),
                "synced_at": row.get("synced_at"),
                **{name: row.get(name) for name in OF_THE_SERVICE},
                **self._life(device_sn, row.get("outcome")),
                **self._battery(device_sn),
            }

    def _name(self, device_sn: str) -> str | None:
        rows = [row for row in self.staged if row["device_sn"] == device_sn and row["device_name"] is not None]
        return max(rows, key=lambda row: row["timestamp_utc"])["device_name"] if rows else None

    def _life(self, device_sn: str, outcome: str | None) -> Row:
        moments = [moment for moment, _ in self.moments.get(device_sn, [])]
        days = self.local_days.get(device_sn, {})
        furthest = max((moment for moments in days.values() for moment in moments), default=self.now)
        gaps = [row["hours"] for row in self._gaps if row["device_sn"] == device_sn]
        known = [self.intervals[device_sn, day] for day, stamps in days.items() if not all(map(self._is_ahead, stamps))]
        if outcome == "failed":
            status = "failed"
        elif self._is_ahead(furthest):
            status = "clock ahead"
        else:
            status = "alive" if moments and self.now - moments[-1] <= DAY else "silent"
        return {
            "status": status,
            "first_reading_utc": min((moment for stamps in days.values() for moment in stamps), default=None),
            "last_reading_utc": moments[-1] if moments else None,
            "hours_silent": (self.now - moments[-1]) / HOUR if moments else None,
            "interval_seconds": known[-1] if known else None,
            "moments": sum(map(len, days.values())),
            "gaps": len(gaps),
            "longest_gap_hours": max(gaps, default=None),
            "hours_ahead": (furthest - self.now) / HOUR if self._is_ahead(furthest) else None,
        }

    def _battery(self, device_sn: str) -> Row:
        found: Row = {}
        for name, measurement in (("battery_percent", "Battery Percent"), ("battery_volts", "Battery Voltage")):
            days = [
                row
                for row in self.of("zentra_daily")
                if (row["device_sn"], row["measurement"]) == (device_sn, measurement)
                and row["value"] is not None
                and not self._is_ahead(row["last_reading_utc"])
            ]
            newest = max(days, key=lambda row: row["local_date"], default=None)
            found[name] = None if newest is None else newest["value"] / (1000 if newest["units"] == "mV" else 1)
        return found

    def _sensors(self) -> Iterable[Row]:
        places = {
            (device_sn, day): place for device_sn, days in self.local_days.items() for place, day in enumerate(days)
        }
        channels: defaultdict[tuple[Any, ...], list[Row]] = defaultdict(list)
        for row in self.staged:
            channels[tuple((name, row[name]) for name in ("device_sn", *CHANNEL))].append(row)
        for named, rows in channels.items():
            ordered = sorted(rows, key=lambda row: (row["local_date"], row["timestamp_utc"]))
            for stay in _stays(ordered, lambda row: places[row["device_sn"], row["local_date"]]):
                moments = [row["timestamp_utc"] for row in stay]
                yield dict(named) | {
                    "depth": _highest(row["depth"] for row in stay),
                    "first_seen_utc": min(moments),
                    "last_seen_utc": max(moments),
                    "readings": len(stay),
                    "is_current": self._is_current(rows[0]["device_sn"], moments),
                }

    def _is_current(self, device_sn: str, moments: Iterable[datetime]) -> bool:
        last = max((moment for moment in moments if not self._is_ahead(moment)), default=None)
        if last is None:
            return False
        newest, day = self.moments[device_sn][-1]
        return (newest - last).total_seconds() <= self._limit(self.intervals[device_sn, day])

    def _water_balance(self) -> Iterable[Row]:
        rains: defaultdict[tuple[Any, ...], list[Row]] = defaultdict(list)
        for row in self.of("zentra_daily"):
            if row["measurement"] == "Precipitation":
                rains[row["device_sn"], row["port_number"], row["local_date"]].append(row)
        for day in self.days:
            if day["model_type"] == "ETo":
                local = date.fromisoformat(day["local_datetime"][:10])
                rows = rains[day["device_sn"], day["port_number"], local]
                shares = [row["share"] for row in rows if row["share"] is not None]
                fallen = [_millimetres(row) for row in rows if row["value"] is not None]
                rain = round(math.fsum(fallen), 6) if fallen else None
                eto = None if day["value"] is None or day["error_flag"] else round(_millimetres(day), 6)
                yield {
                    "device_sn": day["device_sn"],
                    "port_number": day["port_number"],
                    "local_date": local,
                    "rain_mm": rain,
                    "eto_mm": eto,
                    "balance_mm": None if rain is None or eto is None else rain - eto,
                    "share": min(1.0, sum(shares)) if shares else None,
                }


def utc(moment: object) -> datetime:
    """Return a moment, as whatever it is told, in UTC and without a zone, as the tables have it."""
    told = moment if isinstance(moment, datetime) else datetime.fromisoformat(str(moment))
    return (told - (told.utcoffset() or timedelta())).replace(tzinfo=None)


def column(port: int, measurement: str, index: int) -> str:
    """Return the column of `zentra_readings_wide` in which a channel is."""
    place = "device" if port == -1 else f"port{port}"
    name = re.sub(r"[^a-z0-9]+", "_", measurement.lower()).strip("_")
    return "_".join((place, name, *([str(index)] if index else [])))


def _column(row: Row) -> str:
    return column(row["port_number"], row["measurement"], row["sub_sensor_index"])


def _staged(api: str, row: Row) -> Row:
    moment = utc(row["timestamp_utc"])
    offset = row.get("tz_offset")
    if offset is None:
        offset = _offset(row.get("local_datetime"))
    local = moment + timedelta(seconds=offset)
    kept = ("device_sn", "port_number", "measurement", "sub_sensor_index", "value", "units", "error_flag")
    maybe = ("device_name", "sensor_name", "sensor_sn", "depth", "error_code", "error_description", "mrid")
    return (
        {name: row[name] for name in kept}
        # An empty text in a key is what stands for none there.
        | {name: None if row.get(name) == "" else row.get(name) for name in maybe}
        | {"api": api, "timestamp_utc": moment, "local_time": local, "local_date": local.date(), "utc_offset": offset}
    )


def _offset(local: str | None) -> int:
    offset = None if local is None else datetime.fromisoformat(local).utcoffset()
    return 0 if offset is None else _seconds(offset)


def _seconds(duration: timedelta) -> int:
    return round(duration.total_seconds())


def _valid(row: Row) -> float | None:
    return None if row["value"] is None or row["error_flag"] else float(row["value"])


def _rounded(number: float) -> int:
    """Return the nearest whole number; half goes up."""
    return math.floor(number + 0.5)


def _highest(texts: Iterable[str | None]) -> str | None:
    return max((text for text in texts if text is not None), default=None)


def _value(measurement: str, values: Sequence[float]) -> Row:
    """Return what a period's values make."""
    lowest = highest = None
    if measurement in SUMS:
        rule, value = "sum", math.fsum(values)
    elif measurement in HIGHEST:
        rule, value = "max", max(values, default=math.nan)
    elif measurement == "Wind Direction":
        rule, value = "vector mean", _direction(values)
    else:
        rule, value = "mean", statistics.fmean(values) if values else math.nan
        lowest, highest = min(values, default=None), max(values, default=None)
    is_known = values and not math.isnan(value)
    return {
        "aggregation": rule,
        "value": round(value, 6) if is_known else None,
        "min_value": lowest,
        "max_value": highest,
    }


def _direction(values: Sequence[float]) -> float:
    """Return the mean of directions as unit vectors, NaN where they cancel each other out."""
    east = math.fsum(math.cos(math.radians(value)) for value in values)
    north = math.fsum(math.sin(math.radians(value)) for value in values)
    if math.hypot(east, north) < 1e-9:
        return math.nan
    # Rounded before, lest a hair below 360 becomes 360.
    return round(math.degrees(math.atan2(north, east)), 6) % 360


def _stays(rows: Sequence[Row], place: Callable[[Row], int]) -> Iterable[list[Row]]:
    """Cut ordered rows where a day of the device is without any of them."""
    stay = [rows[0]]
    for before, row in pairwise(rows):
        if place(row) - place(before) > 1:
            yield stay
            stay = []
        stay.append(row)
    yield stay


def _millimetres(row: Row) -> float:
    return float(row["value"]) * (MM_PER_INCH if row["units"] == "in" else 1)


def require_equal(model: str, found: Iterable[Row], wanted: Iterable[Row]) -> None:
    """Fail, and say what differs, unless a model's rows are those that it should have, whatever their order."""
    lines = differences(model, found, wanted)
    assert not lines, "\n".join(lines)


def differences(model: str, found: Iterable[Row], wanted: Iterable[Row]) -> list[str]:
    """Return what differs between a model's rows and those that it should have, a few lines of each kind."""
    key = KEYS[model]
    there, right = _by_key(key, found), _by_key(key, wanted)
    lines = [f"{len(there)} rows, not {len(right)}"] if len(there) != len(right) else []
    lines += _few("twice", [f"{one}" for one, rows in there.items() if len(rows) > 1])
    lines += _few("missing", [f"{dict(zip(key, one, strict=True))}" for one in right.keys() - there.keys()])
    lines += _few("not wanted", [f"{dict(zip(key, one, strict=True))}" for one in there.keys() - right.keys()])
    changed: defaultdict[str, list[str]] = defaultdict(list)
    for one in there.keys() & right.keys():
        for name, is_value, should in _unequal(there[one][0], right[one][0]):
            changed[name].append(f"{is_value!r}, not {should!r}: {dict(zip(key, one, strict=True))}")
    for name, examples in sorted(changed.items()):
        lines += _few(name, examples)
    return [f"{model}: {line}" for line in lines]


def _few(what: str, examples: Sequence[str]) -> list[str]:
    counted = [f"{what}, {len(examples)} times, such as"] if examples else []
    return counted + [f"    {example}" for example in sorted(examples)[:3]]


def _by_key(key: Sequence[str], rows: Iterable[Row]) -> dict[tuple[Any, ...], list[Row]]:
    found: defaultdict[tuple[Any, ...], list[Row]] = defaultdict(list)
    for row in rows:
        found[tuple(row[name] for name in key)].append(row)
    return found


def _unequal(found: Row, wanted: Row) -> Iterable[tuple[str, object, object]]:
    for name in (found.keys() | wanted.keys()) - {"staged_at"}:
        pair = found.get(name, "no such column"), wanted.get(name, "no such column")
        if not _same(*pair, tolerance=SECOND if "hours" in name else EXACT):
            yield name, *pair


def _same(found: object, wanted: object, tolerance: float) -> bool:
    if isinstance(found, float) and isinstance(wanted, int | float):
        return math.isclose(found, wanted, rel_tol=1e-9, abs_tol=tolerance)
    return found == wanted and isinstance(found, bool) == isinstance(wanted, bool)
