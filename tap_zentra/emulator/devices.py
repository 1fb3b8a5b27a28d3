"""What a device holds: which records exist and when they were made; knows neither values nor the service."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta, timezone
from functools import cached_property
from itertools import accumulate, chain, cycle, islice, pairwise
from operator import itemgetter
from typing import TYPE_CHECKING, Literal

from tap_zentra.emulator.chance import number
from tap_zentra.emulator.sensors import PROFILE_STATION, STANDARD_STATION, Sensor, Series, series_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

FIRST_MOMENT = datetime(2026, 1, 1, tzinfo=UTC)

MAX_OFFSET = 14 * 3600
"""Seconds that local time may be ahead of UTC, or behind it."""

YEAR_10000 = 253_402_300_800
"""Seconds since 1970-01-01: the calendar's end."""

PLACES = ("Orchard", "North plot", "South plot", "Vineyard", "Meadow", "Beech wood", "Slope", "Creek", "Barn")
OFFSETS = (-28800, -25200, -18000, -14400, 0, 3600, 7200, 10800)


@dataclass(frozen=True)
class Device:
    """A device with its sensors, and the records that the service holds of it.

    Attributes:
        device_sn: Serial number, such as `z6-00001`.
        records: How many mrids it has used, those in `gaps` included, those that `skip_every` skips not.
        name: What its owner calls it.
        first_mrid: The mrid of its first record.
        interval: Seconds between two records.
        start: Time of its first record.
        gaps: Ranges of mrids, both ends inclusive, that do not exist, as if the records were lost: time goes on
            meanwhile. Also beyond the newest record, so that they show when the device grows.
        skip_every: mrids divisible by this number are never used, and no time is missing: the next record has the
            next mrid. 0: all are used.
        silences: Pairs of an mrid and of seconds: before this record the device made none for so much longer than
            the interval. No mrids are missing.
        clock: A wrong clock: first mrid, last mrid, and the seconds that it is ahead for these records (negative:
            behind). They are stamped so, hence timestamps need not grow with mrids. Where several hold, they add up.
        tz_offset: Seconds that its local time is ahead of UTC. The sun and the weather follow it for good.
        time_zones: Pairs of an mrid and of another `tz_offset` that holds from when this record was made: the device
            was moved, or summer time began or ended. What counts of a wrong clock is the moment that it tells.
        sensors: What is plugged in.
        refits: Pairs of an mrid and of all the sensors that are plugged in from this record on.
        units_changed_at: From this mrid on, temperatures are in °F: the account's units were changed.
        error_rate: Share of the values that are flagged as errors: without a value (null), with the bare word
            NaN, or with a doubtful value.
        of_another_user: The service answers 403 for it, and it counts as holding nothing.
        empty_pages: On an empty page the four `page_start/end_*` fields are `null` or are `missing`.
        withheld: Ranges of mrids, both ends inclusive, that have been made, but that the service has not got yet.
        listed: The device list of v5 has it. Otherwise v5 still answers when it is asked for by name.
        organization: The id of its organisation in v5; empty: the seed of the service decides.
        subscription_ends: When its subscription ends, in v5; None: the seed decides.

    Raises:
        ValueError: An attribute is out of its range, or a record is stamped before 1970 or after the year 9999.
    """

    device_sn: str
    records: int = 100
    name: str = "Station"
    first_mrid: int = 1
    interval: int = 900
    start: datetime = FIRST_MOMENT
    gaps: tuple[tuple[int, int], ...] = ()
    skip_every: int = 0
    silences: tuple[tuple[int, int], ...] = ()
    clock: tuple[tuple[int, int, int], ...] = ()
    tz_offset: int = -14400
    time_zones: tuple[tuple[int, int], ...] = ()
    sensors: tuple[Sensor, ...] = field(default=STANDARD_STATION, repr=False)
    refits: tuple[tuple[int, tuple[Sensor, ...]], ...] = field(default=(), repr=False)
    units_changed_at: int | None = None
    error_rate: float = 0.002
    of_another_user: bool = False
    empty_pages: Literal["null", "missing"] = "null"
    withheld: tuple[tuple[int, int], ...] = ()
    listed: bool = True
    organization: str = ""
    subscription_ends: datetime | None = None

    def __post_init__(self) -> None:
        _check(bool(self.device_sn.strip()), "a device needs a serial number")
        _check(self.records >= 0, "the number of records cannot be negative")
        _check(self.first_mrid >= 1, "the first mrid must be at least 1")
        _check(self.interval >= 1, "the interval between records must be at least 1 second")
        _check(self.start.tzinfo is not None, "the start needs a time zone")
        _check(all(1 <= first <= last for first, last in self.gaps), "a gap must be FIRST-LAST, such as 200-300")
        _check(
            all(1 <= first <= last for first, last in self.withheld), "withheld records need a first and a last mrid"
        )
        _check(self.skip_every == 0 or self.skip_every >= 2, "at least every second mrid must be used")  # noqa: PLR2004
        _check(all(seconds >= 0 for _, seconds in self.silences), "the length of a silence cannot be negative")
        _check(all(1 <= first <= last for first, last, _ in self.clock), "a wrong clock needs a first and a last mrid")
        _check(self.subscription_ends is None or self.subscription_ends.tzinfo is not None, "the end needs a time zone")
        offsets = (self.tz_offset, *(offset for _, offset in self.time_zones))
        _check(
            all(abs(one) <= MAX_OFFSET for one in offsets), "local time cannot differ from UTC by more than 14 hours"
        )
        _check(_ascending(self.time_zones), "time zones must be in ascending order of their mrids, one for each")
        _check(_ascending(self.refits), "refits must be in ascending order of their mrids, one for each")
        self._check_stamps()

    @cached_property
    def series(self) -> tuple[Series, ...]:
        """All that its records hold, in the order of the service's entries; each record without refits."""
        return series_of(dict.fromkeys(chain(*self._fitted)) if self.refits else self.sensors)

    @cached_property
    def fittings(self) -> tuple[tuple[int, ...], ...]:
        """What a record holds, as places in `series`: before all refits, after the first one, and so on."""
        return tuple(
            tuple(place for place, series in enumerate(self.series) if series.sensor in sensors)
            for sensors in self._fitted
        )

    def fitting(self, mrid: int) -> int:
        """Return which of the `fittings` a record, existing or not, has."""
        return bisect_right(self.refits, mrid, key=itemgetter(0))

    @cached_property
    def mrids(self) -> tuple[range, ...]:
        """The mrids that exist, ascending, as ranges that hold no gap, nothing skipped or withheld."""
        ranges = []
        following, end = self.first_mrid, self.next_mrid
        for first, last in sorted((*self.gaps, *self.withheld, *((mrid, mrid) for mrid in self._skipped))):
            ranges.append(range(following, min(first, end)))
            following = max(following, last + 1)
        ranges.append(range(following, end))
        return tuple(part for part in ranges if part)

    @cached_property
    def next_mrid(self) -> int:
        """The mrid that its next record will use, existing or in a gap."""
        if not self.skip_every:
            return self.first_mrid + self.records
        used = self.first_mrid - 1 - self._skipped_before(self.first_mrid) + self.records
        return used + used // (self.skip_every - 1) + 1

    @property
    def min_mrid(self) -> int | None:
        """The oldest record, None without records."""
        return self.mrids[0][0] if self.mrids else None

    @property
    def max_mrid(self) -> int | None:
        """The newest record, None without records."""
        return self.mrids[-1][-1] if self.mrids else None

    @cached_property
    def span(self) -> tuple[int, int] | None:
        """The earliest and the latest timestamp (seconds since 1970-01-01 UTC), None without records."""
        ends = [end for part in self.stamped(0, self.next_mrid, -math.inf, math.inf) for end in (part[0], part[-1])]
        stamps = [self.timestamp(mrid) for mrid in ends]
        return (min(stamps), max(stamps)) if stamps else None

    def units_changed(self, mrid: int) -> bool:
        """Whether the account's units were changed before this record."""
        return self.units_changed_at is not None and mrid >= self.units_changed_at

    def between(self, first: int, last: int) -> tuple[range, ...]:
        """Return the mrids that exist from `first` to `last`, both inclusive, ascending."""
        return clip(self.mrids, first, last)

    def stamped(self, first: int, last: int, since: float, until: float) -> tuple[range, ...]:
        """Return those of the mrids from `first` to `last` whose timestamps are in [since, until), ascending."""
        ranges: list[range] = []
        for stretch, ahead in self._stretches:
            lowest = max(first, stretch.start, self.first_mrid_at(since - ahead))
            highest = min(last, stretch.stop - 1, self.first_mrid_at(until - ahead) - 1)
            ranges += self.between(lowest, highest)
        return tuple(ranges)

    def timestamp(self, mrid: int) -> int:
        """Return what a record, existing or not, is stamped with, in seconds since 1970-01-01 UTC."""
        return self.made_at(mrid) + (self._ahead(mrid) if self.clock else 0)

    def made_at(self, mrid: int) -> int:
        """Return when a record, existing or not, was made, whatever the device's clock said; else as `timestamp`."""
        passed = (mrid - self.first_mrid) * self.interval
        if self.skip_every:
            passed -= (self._skipped_before(mrid) - self._skipped_before(self.first_mrid)) * self.interval
        if self.silences:
            mrids, seconds = self._silent
            passed += seconds[bisect_right(mrids, mrid)]
        return self._began + passed

    def first_mrid_at(self, timestamp: float) -> int:
        """Return the lowest mrid, existing or not, that was not made before the moment (seconds since 1970).

        Where all were made before it, that is the next one.
        """
        used = range(self.first_mrid, self.next_mrid)
        return self.first_mrid + bisect_left(used, timestamp, key=self.made_at)

    def offset(self, timestamp: float) -> int:
        """Return how many seconds local time is ahead of UTC at a moment."""
        if not self.time_zones:
            return self.tz_offset
        begins, offsets = self._zones
        return offsets[bisect_right(begins, timestamp)]

    def local(self, timestamp: int) -> datetime:
        """Return the device's local time."""
        return datetime.fromtimestamp(timestamp, timezone(timedelta(seconds=self.offset(timestamp))))

    def moment(self, local: float) -> float:
        """Return the first moment at which local time is this one or later, both in seconds since 1970-01-01.

        Hence it is the earlier one of a time that comes twice, and the end of an hour that is left out.
        """
        begins, offsets = self._zones
        zones = zip([-math.inf, *begins], [*begins, math.inf], offsets, strict=True)
        return next(max(local - offset, began) for began, end, offset in zones if local - offset < end)

    def grown(self, records: int) -> Device:
        """Return the device after it has made more records."""
        return replace(self, records=self.records + records)

    def wiped(self, records: int = 0) -> Device:
        """Return the device after its memory was wiped: it goes on in time, but counts from mrid 1 again."""
        end = self.made_at(self.next_mrid)
        start = self.start + timedelta(seconds=end - self._began)
        sensors = self._fitted[self.fitting(self.next_mrid)]
        kept = replace(self, sensors=sensors, refits=(), tz_offset=self.offset(end), time_zones=())
        fresh = replace(kept, gaps=(), withheld=(), silences=(), clock=(), units_changed_at=None)
        return replace(fresh, first_mrid=1, start=start, records=records)

    @cached_property
    def _began(self) -> int:
        return int(self.start.timestamp())

    @property
    def _skipped(self) -> range:
        """The mrids that `skip_every` leaves out, up to the newest record."""
        every = self.skip_every
        return range(-(-self.first_mrid // every) * every, self.next_mrid, every) if every else range(0)

    def _skipped_before(self, mrid: int) -> int:
        """Return how many mrids from 1 on `skip_every` leaves out before this one."""
        return (mrid - 1) // self.skip_every

    @cached_property
    def _silent(self) -> tuple[list[int], list[int]]:
        """The mrids before which the device was silent, and for how long in all before each and after the last."""
        ordered = sorted(silence for silence in self.silences if silence[0] > self.first_mrid)
        return [mrid for mrid, _ in ordered], [0, *accumulate(seconds for _, seconds in ordered)]

    @property
    def _fitted(self) -> tuple[tuple[Sensor, ...], ...]:
        """What was plugged in before all refits, after the first one, and so on."""
        return (self.sensors, *(sensors for _, sensors in self.refits))

    @cached_property
    def _zones(self) -> tuple[list[int], list[int]]:
        """When the second and each further time zone began, and the offsets of all."""
        begins = [self.made_at(mrid) for mrid, _ in self.time_zones]
        return begins, [self.tz_offset, *(offset for _, offset in self.time_zones)]

    def _ahead(self, mrid: int) -> int:
        """Return how many seconds the clock was ahead."""
        return sum(seconds for first, last, seconds in self.clock if first <= mrid <= last)

    @cached_property
    def _stretches(self) -> tuple[tuple[range, int], ...]:
        """The used mrids, ascending, cut where the clock was set, each part with the seconds that it was ahead."""
        ends = {end for first, last, _ in self.clock for end in (first, last + 1)}
        inner = sorted(end for end in ends if self.first_mrid < end < self.next_mrid)
        cuts = pairwise([self.first_mrid, *inner, self.next_mrid])
        return tuple((range(start, stop), self._ahead(start)) for start, stop in cuts)

    def _check_stamps(self) -> None:
        if not self.records or not (self.clock or self.silences):
            return
        stamps = [self.timestamp(mrid) for stretch, _ in self._stretches for mrid in (stretch[0], stretch[-1])]
        latest = max(stamps) + max(0, *self._zones[1])
        _check(min(stamps) >= 0 and latest < YEAR_10000, "no record may be stamped before 1970 or after the year 9999")


def fleet(
    count: int,
    records: int | Sequence[int] = 100,
    *,
    seed: int = 1,
    interval: int = 900,
    end: datetime = FIRST_MOMENT,
) -> list[Device]:
    """Return a varied fleet whose newest records are at the turn of the year 2026 unless told.

    Every fifth device has a profile probe, every seventh a change of units in its middle, every third leaves
    out the fields of empty pages.

    Args:
        count: Number of devices; their serial numbers are `z6-00001`, `z6-00002`, ….
        records: Of each device; a list is given out in turn.
        seed: Another seed is another fleet.
        interval: Seconds between records.
        end: When the next record of each is due.
    """
    amounts = cycle([records] if isinstance(records, int) else records)
    return [
        _station(place, amount, seed, interval, end)
        for place, amount in zip(range(1, count + 1), amounts, strict=False)
    ]


def _station(place: int, records: int, seed: int, interval: int, end: datetime) -> Device:
    device_sn = f"z6-{place:05d}"
    luck = number(seed, device_sn, "station")
    return Device(
        device_sn,
        records=records,
        name=f"{PLACES[luck % len(PLACES)]} {place}",
        interval=interval,
        start=end - timedelta(seconds=records * interval),
        tz_offset=OFFSETS[luck // 16 % len(OFFSETS)],
        sensors=PROFILE_STATION if place % 5 == 0 else STANDARD_STATION,
        units_changed_at=records // 2 + 1 if place % 7 == 0 else None,
        empty_pages="missing" if place % 3 == 0 else "null",
    )


def clip(ranges: Sequence[range], first: int, last: int) -> tuple[range, ...]:
    """Return what ascending ranges hold from `first` to `last`, both inclusive."""
    start = bisect_right(ranges, first, key=lambda part: part.stop)
    end = bisect_right(ranges, last, key=lambda part: part.start)
    clipped = (range(max(part.start, first), min(part.stop, last + 1)) for part in ranges[start:end])
    return tuple(part for part in clipped if part)


def flatten(ranges: Sequence[range], *, ascending: bool, skip: int = 0, count: int | None = None) -> list[int]:
    """Return the mrids of ascending ranges one by one: from `skip` on, at most `count`, in the order asked for."""
    ordered: Iterator[int] = chain.from_iterable(ranges if ascending else (part[::-1] for part in reversed(ranges)))
    return list(islice(ordered, skip, None if count is None else skip + count))


def _ascending(pairs: Sequence[tuple[int, object]]) -> bool:
    """Whether the mrids of pairs grow from at least 1 on."""
    mrids = [0, *(mrid for mrid, _ in pairs)]
    return all(one < other for one, other in pairwise(mrids))


def _check(holds: bool, message: str) -> None:  # noqa: FBT001 - a condition reads best in first place
    if not holds:
        raise ValueError(message)
