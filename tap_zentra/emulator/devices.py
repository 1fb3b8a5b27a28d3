"""What a device holds: which records exist and when they were made; knows neither values nor the service."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta, timezone
from functools import cached_property
from itertools import chain, cycle, islice
from typing import TYPE_CHECKING, Literal

from tap_zentra.emulator.chance import number
from tap_zentra.emulator.sensors import PROFILE_STATION, STANDARD_STATION, Sensor, Series, series_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

FIRST_MOMENT = datetime(2026, 1, 1, tzinfo=UTC)

MAX_OFFSET = 14 * 3600
"""Seconds that local time may be ahead of UTC, or behind it."""

PLACES = ("Orchard", "North plot", "South plot", "Vineyard", "Meadow", "Beech wood", "Slope", "Creek", "Barn")
OFFSETS = (-28800, -25200, -18000, -14400, 0, 3600, 7200, 10800)


@dataclass(frozen=True)
class Device:
    """A device with its sensors, and the records that the service holds of it.

    Attributes:
        device_sn: Serial number, such as `z6-00001`.
        records: How many mrids it has used, those in `gaps` included.
        name: What its owner calls it.
        first_mrid: The mrid of its first record.
        interval: Seconds between two records.
        start: Time of its first record.
        gaps: Ranges of mrids, both ends inclusive, that do not exist; also beyond the newest record, so that
            they show when the device grows.
        tz_offset: Seconds that its local time is ahead of UTC.
        sensors: What is plugged in.
        units_changed_at: From this mrid on, temperatures are in °F: the account's units were changed.
        error_rate: Share of the values that are flagged as errors: without a value (null), with the bare word
            NaN, or with a doubtful value.
        of_another_user: The service answers 403 for it, and it counts as holding nothing.
        empty_pages: On an empty page the four `page_start/end_*` fields are `null` or are `missing`.

    Raises:
        ValueError: An attribute is out of its range.
    """

    device_sn: str
    records: int = 100
    name: str = "Station"
    first_mrid: int = 1
    interval: int = 900
    start: datetime = FIRST_MOMENT
    gaps: tuple[tuple[int, int], ...] = ()
    tz_offset: int = -14400
    sensors: tuple[Sensor, ...] = field(default=STANDARD_STATION, repr=False)
    units_changed_at: int | None = None
    error_rate: float = 0.002
    of_another_user: bool = False
    empty_pages: Literal["null", "missing"] = "null"

    def __post_init__(self) -> None:
        _check(bool(self.device_sn.strip()), "a device needs a serial number")
        _check(self.records >= 0, "the number of records cannot be negative")
        _check(self.first_mrid >= 1, "the first mrid is at least 1")
        _check(self.interval >= 1, "the interval between records is at least 1 second")
        _check(self.start.tzinfo is not None, "the start needs a time zone")
        _check(all(1 <= first <= last for first, last in self.gaps), "a gap is FIRST-LAST, such as 200-300")
        _check(abs(self.tz_offset) <= MAX_OFFSET, "local time differs from UTC by 14 hours at most")

    @cached_property
    def series(self) -> tuple[Series, ...]:
        """What one record holds, in the order of the service's entries."""
        return series_of(self.sensors)

    @cached_property
    def mrids(self) -> tuple[range, ...]:
        """The mrids that exist, ascending, as ranges that do not touch the gaps."""
        ranges = []
        following, end = self.first_mrid, self.first_mrid + self.records
        for first, last in sorted(self.gaps):
            ranges.append(range(following, min(first, end)))
            following = max(following, last + 1)
        ranges.append(range(following, end))
        return tuple(part for part in ranges if part)

    @property
    def min_mrid(self) -> int | None:
        """The oldest record, None without records."""
        return self.mrids[0][0] if self.mrids else None

    @property
    def max_mrid(self) -> int | None:
        """The newest record, None without records."""
        return self.mrids[-1][-1] if self.mrids else None

    def between(self, first: int, last: int) -> tuple[range, ...]:
        """Return the mrids that exist from `first` to `last`, both inclusive, ascending."""
        clipped = (range(max(part.start, first), min(part.stop, last + 1)) for part in self.mrids)
        return tuple(part for part in clipped if part)

    def timestamp(self, mrid: int) -> int:
        """Return the time of a record in seconds since 1970-01-01 UTC, whether or not the record exists."""
        return int(self.start.timestamp()) + (mrid - self.first_mrid) * self.interval

    def first_mrid_at(self, timestamp: float) -> int:
        """Return the lowest mrid, existing or not, that is not before the moment (seconds since 1970)."""
        seconds = timestamp - int(self.start.timestamp())
        return self.first_mrid + max(0, int(-(-seconds // self.interval)))

    def local(self, timestamp: int) -> datetime:
        """Return the device's local time."""
        return datetime.fromtimestamp(timestamp, timezone(timedelta(seconds=self.tz_offset)))

    def grown(self, records: int) -> Device:
        """Return the device after it has made more records."""
        return replace(self, records=self.records + records)

    def wiped(self, records: int = 0) -> Device:
        """Return the device after its memory was wiped: it goes on in time, but counts from mrid 1 again."""
        start = self.start + timedelta(seconds=self.records * self.interval)
        return replace(self, first_mrid=1, start=start, records=records, gaps=(), units_changed_at=None)


def fleet(count: int, records: int | Sequence[int] = 100, *, seed: int = 1, interval: int = 900) -> list[Device]:
    """Return a varied fleet whose newest records are at the turn of the year 2026.

    Every fifth device has a profile probe, every seventh a change of units in its middle, every third leaves
    out the fields of empty pages.

    Args:
        count: Number of devices; their serial numbers are `z6-00001`, `z6-00002`, ….
        records: Of each device; a list is given out in turn.
        seed: Another seed is another fleet.
        interval: Seconds between records.
    """
    amounts = cycle([records] if isinstance(records, int) else records)
    return [
        _station(place, amount, seed, interval) for place, amount in zip(range(1, count + 1), amounts, strict=False)
    ]


def _station(place: int, records: int, seed: int, interval: int) -> Device:
    device_sn = f"z6-{place:05d}"
    luck = number(seed, device_sn, "station")
    return Device(
        device_sn,
        records=records,
        name=f"{PLACES[luck % len(PLACES)]} {place}",
        interval=interval,
        start=FIRST_MOMENT - timedelta(seconds=records * interval),
        tz_offset=OFFSETS[luck // 16 % len(OFFSETS)],
        sensors=PROFILE_STATION if place % 5 == 0 else STANDARD_STATION,
        units_changed_at=records // 2 + 1 if place % 7 == 0 else None,
        empty_pages="missing" if place % 3 == 0 else "null",
    )


def flatten(ranges: Sequence[range], *, ascending: bool, skip: int = 0, count: int | None = None) -> list[int]:
    """Return the mrids of ascending ranges one by one: from `skip` on, at most `count`, in the order asked for."""
    ordered: Iterator[int] = chain.from_iterable(ranges if ascending else (part[::-1] for part in reversed(ranges)))
    return list(islice(ordered, skip, None if count is None else skip + count))


def _check(holds: bool, message: str) -> None:  # noqa: FBT001 - a condition reads best in first place
    if not holds:
        raise ValueError(message)
