"""What the page shows, from the models of `transform/`: queries and plain rows. Knows no chart."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from fleet_database import Database, Row

Resolution = Literal["hour", "day"]

WATER = "Water Content"
RAIN = "Precipitation"
SOIL = (WATER, "Matric Potential", "Soil Temperature", "Saturation Extract EC", "Bulk EC")
"""What is worth a look by depth, as the service names it."""

CHANNEL_ORDER = ("device_sn", "measurement", "port_number", "sub_sensor_index")
WORST_FIRST = ("failed", "silent", "clock ahead", "alive")
"""The values of `zentra_devices.status`."""

MAX_POINTS = 40_000
"""More points than this make a browser slow, and no screen shows them."""

MAX_HOURLY_DAYS = 62

STEPS: Mapping[Resolution, timedelta] = {"hour": timedelta(hours=1), "day": timedelta(days=1)}

SERIES = ("device_sn", "port_number", "sub_sensor_index", "units")
"""What shares a line. Not the probe's serial number, as a probe that replaces another one goes on with its line."""

EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - local times of devices are no moments, so they have no zone


@dataclass(frozen=True)
class Span:
    """Days in the devices' local time, both ends included."""

    first: date
    last: date

    @property
    def days(self) -> int:
        """How many."""
        return (self.last - self.first).days + 1

    @property
    def ends(self) -> tuple[date, date]:
        """The days at whose start it begins and ends."""
        return self.first, self.last + timedelta(days=1)


@dataclass(frozen=True)
class Fleet:
    """What the page needs to know of the devices before anybody chooses anything.

    Attributes:
        devices: As `read_devices` returns them.
        channels: As `read_channels` returns them.
        today: The day that it is at each device.
        newest: The newest day of which any has readings.
    """

    devices: Sequence[Row]
    channels: Sequence[Row]
    today: Mapping[str, date]
    newest: date | None

    @property
    def measurements(self) -> list[str]:
        """What is measured, in the order of the alphabet."""
        return sorted({channel["measurement"] for channel in self.channels})

    def measuring(self, *measurements: str) -> list[Row]:
        """Return the devices that have any of these measurements, those first that are alive and have most of them."""
        counts = Counter(row["device_sn"] for row in self.channels if row["measurement"] in measurements)
        found = [device for device in self.devices if device["device_sn"] in counts]
        return sorted(found, key=lambda device: (device["status"] != "alive", -counts[device["device_sn"]]))

    def named(self, labels: Iterable[str]) -> list[Row]:
        """Return the devices with these labels."""
        wanted = set(labels)
        return [device for device in self.devices if device["label"] in wanted]

    def count_series(self, measurement: str, devices: Iterable[Row]) -> int:
        """Return how many lines a chart has."""
        wanted = {device["device_sn"] for device in devices}
        return sum(row["measurement"] == measurement and row["device_sn"] in wanted for row in self.channels)

    def span(self, days: int) -> Span:
        """Return so many days up to the newest readings."""
        last = self.newest or max(self.today.values(), default=EPOCH.date())
        return Span(last - timedelta(days=days - 1), last)


NO_FLEET = Fleet([], [], {}, None)


def read_fleet(database: Database, now: datetime) -> Fleet:
    """Return the fleet.

    Raises:
        FleetError: The database cannot be reached, or does not have the models.
    """
    devices, channels = read_devices(database), read_channels(database)
    offsets = read_offsets(database, devices, now)
    return Fleet(devices, channels, _local_days(devices, offsets, now), _newest_day(devices, offsets))


def summary(devices: Sequence[Row], now: datetime) -> str:
    """Return in a sentence or two how many devices there are of which status, and how fresh that is."""
    counts = Counter(device["status"] for device in devices)
    kinds = ", ".join(f"{counts[status]} {status}" for status in reversed(WORST_FIRST) if counts[status])
    told = f"{len(devices)} {'device' if len(devices) == 1 else 'devices'}: {kinds}."
    synced = max((device["synced_at"] for device in devices if device["synced_at"]), default=None)
    if synced is None:
        return told
    hours = (now.replace(tzinfo=None) - synced) / timedelta(hours=1)
    return f"{told} The last sync ended on {synced:%d %B %Y at %H:%M} UTC, {duration(hours)} ago."


def duration(hours: float | None) -> str:
    """Return hours as a person says them."""
    if hours is None:
        return ""
    for unit, size in (("days", 24.0), ("h", 1.0)):
        if hours >= 2 * size:
            return f"{hours / size:.0f} {unit}"
    return f"{max(0.0, hours) * 60:.0f} min"


def failures(devices: Iterable[Row]) -> dict[str, list[str]]:
    """Return the errors of the devices that have failed, with the labels of those that have each."""
    found: dict[str, list[str]] = {}
    for device in devices:
        if device["status"] == "failed":
            found.setdefault(device["error"] or "for an unknown reason", []).append(device["label"])
    return found


def table_rows(devices: Iterable[Row]) -> list[Row]:
    """Return what the table says of each device, without columns of which no device has anything."""
    rows = [
        {
            "Status": device["status"],
            "Device": device["label"],
            "Last reading (UTC)": _minute(device["last_reading_utc"]),
            "Silent for": device["hours_silent"],
            "Clock ahead by": device["hours_ahead"],
            "Battery (%)": device["battery_percent"],
            "Battery (V)": device["battery_volts"],
            "Subscription ends": _minute(device["subscription_expires_at"])[:10],
            "Gaps": device["gaps"],
            "Longest gap": device["longest_gap_hours"],
        }
        for device in devices
    ]
    used = {name for row in rows for name, value in row.items() if value not in (None, "")}
    if "Battery (%)" in used:
        used.discard("Battery (V)")
    return [{name: value for name, value in row.items() if name in used} for row in rows]


def read_devices(database: Database) -> list[Row]:
    """Return all devices, those first that need attention most, with a `label` for people."""
    found = database.rows(
        """
        select
            device_sn, device_name, status, error, synced_at, first_reading_utc, last_reading_utc,
            cast(hours_silent as double precision) as hours_silent,
            cast(interval_seconds as double precision) as interval_seconds,
            gaps,
            cast(longest_gap_hours as double precision) as longest_gap_hours,
            cast(hours_ahead as double precision) as hours_ahead,
            cast(battery_percent as double precision) as battery_percent,
            cast(battery_volts as double precision) as battery_volts,
            subscription_status, subscription_expires_at
        from zentra_devices
        """
    )
    for device in found:
        name = device["device_name"]
        device["label"] = f"{name} ({device['device_sn']})" if name else device["device_sn"]
    return sorted(found, key=lambda device: (WORST_FIRST.index(device["status"]), device["label"]))


def read_offsets(database: Database, devices: Sequence[Row], now: datetime) -> dict[str, timedelta]:
    """Return how far the local time of each device that has sent anything these days is ahead of UTC."""
    found = database.rows(
        """
        select device_sn, cast(max(extract(epoch from local_hour - hour_utc)) as double precision) as utc_offset
        from zentra_hourly
        where device_sn = any(%(device_sns)s) and local_date between %(first)s and %(last)s
        group by device_sn
        """,
        device_sns=[device["device_sn"] for device in devices],
        first=now.date() - timedelta(days=2),
        last=now.date() + timedelta(days=1),
    )
    return {row["device_sn"]: timedelta(seconds=row["utc_offset"]) for row in found}


def read_channels(database: Database) -> list[Row]:
    """Return which device measures what, by what tells lines apart."""
    found = database.rows(
        "select distinct device_sn, port_number, sub_sensor_index, measurement, units from zentra_sensors"
    )
    # Databases sort texts by rules of their own.
    return sorted(found, key=lambda row: (*itemgetter(*CHANNEL_ORDER)(row), row["units"] or ""))


def read_availability(database: Database, devices: Sequence[Row], today: Mapping[str, date], days: int) -> list[Row]:
    """Return the share of the readings of each device and day, from its first day to today, at most so many days.

    Days without any reading are there with 0. A device's first day and today count as not `whole`, because what they
    lack may not be missing.

    Args:
        database: It has `zentra_daily`.
        devices: As from `read_devices`; the result keeps their order.
        today: The day that it is at each device.
        days: How many days back.
    """
    if not devices:
        return []
    last = max(today.values())
    found = database.rows(
        """
        select device_sn, local_date, cast(avg(share) as double precision) as share
        from zentra_daily
        where local_date between %(first)s and %(last)s
        group by device_sn, local_date
        """,
        first=last - timedelta(days=days - 1),
        last=last,
    )
    # Where nothing is expected of a day, all came that could be.
    shares = {(row["device_sn"], row["local_date"]): 1.0 if row["share"] is None else row["share"] for row in found}
    return [
        {"device": device["label"], "date": day, "share": shares.get((sn, day), 0.0), "whole": begin < day < today[sn]}
        for device in devices
        if device["first_reading_utc"]
        for sn in [device["device_sn"]]
        # The first day in local time is the one in UTC, or a neighbour of it.
        for begin in [_first_day(shares, sn, device["first_reading_utc"].date())]
        for day in _days(max(begin, last - timedelta(days=days - 1)), today[sn])
    ]


def choose_resolution(wish: Resolution | None, series: int, span: Span) -> Resolution:
    """Return which values to show: those of hours as wished, or up to two months, but never too many for a chart."""
    too_many = series * span.days * 24 > MAX_POINTS
    if too_many or wish == "day":
        return "day"
    return "hour" if wish == "hour" or span.days <= MAX_HOURLY_DAYS else "day"


_VALUES = """
    select
        device_sn, port_number, sub_sensor_index, sensor_name, units, depth, aggregation,
        {moment} as moment, {local_time} as local_time,
        cast(value as double precision) as value,
        cast(min_value as double precision) as low,
        cast(max_value as double precision) as high
    from {table}
    where device_sn = any(%(device_sns)s) and local_date between %(first)s and %(last)s
        and measurement = %(measurement)s
    order by device_sn, port_number, sub_sensor_index, units, {moment}
"""
_QUERIES: Mapping[Resolution, str] = {
    "hour": _VALUES.format(table="zentra_hourly", moment="hour_utc", local_time="local_hour"),
    "day": _VALUES.format(table="zentra_daily", moment="local_date", local_time="local_date"),
}


def read_series(
    database: Database, measurement: str, devices: Sequence[Row], span: Span, resolution: Resolution
) -> list[Row]:
    """Return the values of one measurement, line by line and in order of time.

    Each has its `device` and `sensor` as labels, `units`, `depth`, `aggregation`, `start` and `end` in milliseconds of
    the device's local time, `value`, `low` and `high`. Where a line has to break there is a row without a value, and
    values between two breaks are `alone`.
    """
    if not devices:
        return []
    rows = database.rows(
        _QUERIES[resolution],
        device_sns=[device["device_sn"] for device in devices],
        first=span.first,
        last=span.last,
        measurement=measurement,
    )
    labels = {device["device_sn"]: device["label"] for device in devices}
    lines = [list(line) for _, line in groupby(rows, key=itemgetter(*SERIES))]
    return [point for line in lines for point in _points(line, labels, STEPS[resolution])]


def read_gaps(database: Database, devices: Sequence[Row], span: Span, now: datetime) -> list[Row]:
    """Return the stretches without readings, with `device`, `start` and `end` in milliseconds of its local time."""
    if not devices:
        return []
    found = database.rows(
        """
        select
            device_sn, last_reading_utc, next_reading_utc,
            cast(hours as double precision) as hours,
            cast((
                select max(extract(epoch from hourly.local_hour - hourly.hour_utc))
                from zentra_hourly as hourly
                where
                    hourly.device_sn = gaps.device_sn
                    and hourly.local_date between cast(gaps.last_reading_utc as date) - 1
                    and cast(gaps.last_reading_utc as date) + 1
                    and hourly.last_reading_utc = gaps.last_reading_utc
            ) as double precision) as utc_offset
        from zentra_gaps as gaps
        where
            device_sn = any(%(device_sns)s)
            and last_reading_utc <= %(last)s
            and (next_reading_utc is null or next_reading_utc >= %(first)s)
        order by device_sn, last_reading_utc
        """,
        device_sns=[device["device_sn"] for device in devices],
        # The days are local ones, so a day more at each end, of which the charts show nothing.
        first=span.first - timedelta(days=1),
        last=span.last + timedelta(days=2),
    )
    labels = {device["device_sn"]: device["label"] for device in devices}
    begin, end = map(milliseconds, span.ends)
    gaps = []
    for row in found:
        offset = timedelta(seconds=row["utc_offset"] or 0)
        start = milliseconds(row["last_reading_utc"] + offset)
        stop = milliseconds((row["next_reading_utc"] or now.replace(tzinfo=None)) + offset)
        if start < end and stop > begin:
            gap = {"device": labels[row["device_sn"]], "hours": row["hours"]}
            gaps.append(gap | {"start": max(start, begin), "end": min(stop, end)})
    return gaps


def utc_now() -> datetime:
    """Return the time."""
    return datetime.now(UTC)


def milliseconds(moment: date) -> int:
    """Return a day or a time without a zone as charts take it."""
    time = moment if isinstance(moment, datetime) else datetime(moment.year, moment.month, moment.day)  # noqa: DTZ001 - as EPOCH
    return round((time - EPOCH) / timedelta(milliseconds=1))


def centimetres(depth: str | None) -> float | None:
    """Return a depth such as `15 cm` or `6 in`, as a person has entered it, in centimetres; None if it is none."""
    number, _, unit = (depth or "").strip().partition(" ")
    try:
        return float(number) * {"cm": 1.0, "in": 2.54, "m": 100.0, "mm": 0.1, "ft": 30.48}[unit.strip().lower()]
    except (KeyError, ValueError):
        return None


def _points(line: Sequence[Row], labels: Mapping[str, str], step: timedelta) -> list[Row]:
    """Return the points of one line, and one without a value wherever it breaks."""
    depth = next((row["depth"] for row in reversed(line) if centimetres(row["depth"]) is not None), None)
    points: list[Row] = []
    before = None
    for row in line:
        if before is not None and row["moment"] - before["moment"] > step:
            points.append(_point(before, labels, depth, step) | {"value": None, "low": None, "high": None})
        points.append(_point(row, labels, depth, step))
        before = row
    values = [None, *(point["value"] for point in points), None]
    for place, point in enumerate(points):
        point["alone"] = point["value"] is not None and values[place] is None and values[place + 2] is None
    return points


def _point(row: Row, labels: Mapping[str, str], depth: str | None, step: timedelta) -> Row:
    start = milliseconds(row["local_time"])
    place = f"sensor {row['sub_sensor_index'] + 1}" if depth is None and row["sub_sensor_index"] else depth
    port = "device" if row["port_number"] < 0 else f"port {row['port_number']}"
    return {
        "device": labels[row["device_sn"]],
        "sensor": ", ".join(filter(None, (place, port, row["sensor_name"]))),
        "units": row["units"] or "",
        "depth": depth,
        "aggregation": row["aggregation"],
        "start": start,
        "end": start + round(step / timedelta(milliseconds=1)),
        "value": row["value"],
        "low": row["low"],
        "high": row["high"],
    }


def _first_day(shares: Mapping[tuple[str, date], float], device_sn: str, day: date) -> date:
    near = (day - timedelta(days=1), day, day + timedelta(days=1))
    return next((one for one in near if (device_sn, one) in shares), day)


def _days(first: date, last: date) -> list[date]:
    return [first + timedelta(days=number) for number in range((last - first).days + 1)]


def _local_days(devices: Iterable[Row], offsets: Mapping[str, timedelta], now: datetime) -> dict[str, date]:
    """Return which day it is at each device; by UTC where nobody knows its local time of today."""
    return {row["device_sn"]: (now + offsets.get(row["device_sn"], timedelta())).date() for row in devices}


def _newest_day(devices: Iterable[Row], offsets: Mapping[str, timedelta]) -> date | None:
    """Return the newest day of which any device has readings; a clock that is far ahead does not count."""
    days = [
        (row["last_reading_utc"] + offsets.get(row["device_sn"], timedelta())).date()
        for row in devices
        if row["last_reading_utc"]
    ]
    return max(days, default=None)


def _minute(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M}" if moment else ""
