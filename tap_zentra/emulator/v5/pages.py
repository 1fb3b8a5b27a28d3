"""Which records a page of v5 holds, and where the next one begins; knows neither values nor bodies."""

from __future__ import annotations

import math
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from tap_zentra.emulator.devices import YEAR_10000, flatten
from tap_zentra.emulator.query import LAST_MRID
from tap_zentra.emulator.v5.query import Units  # noqa: TC001 - msgspec needs it

if TYPE_CHECKING:
    from tap_zentra.emulator.devices import Device
    from tap_zentra.emulator.v5.options import EmptyMonths, End
    from tap_zentra.emulator.v5.query import DataQuery

MONTHS = 12
YEAR_AFTER_LAST = 10_000


class Cursor(msgspec.Struct, frozen=True, array_like=True):
    """Where a page is: a calendar month in UTC of the range that was asked for.

    Attributes:
        device_sn: Of the device.
        since: First moment of the range, in seconds since 1970-01-01 UTC.
        until: First moment after it.
        ascending: Order of the readings and of the months.
        units: Of the values.
        month: Counted from the month 0 of the year 0.
        further: How many pages of the range were before this one.
        skipped: How many values of the month were on pages before this one.
    """

    device_sn: str
    since: float
    until: float
    ascending: bool
    units: Units
    month: int
    further: int = 0
    skipped: int = 0

    @property
    def token(self) -> str:
        """The text that stands for it."""
        return urlsafe_b64encode(msgspec.msgpack.encode(self)).decode()

    @classmethod
    def parse(cls, token: str) -> Cursor | None:
        """Return what a token stands for, None when it is none."""
        try:
            return msgspec.msgpack.decode(urlsafe_b64decode(token), type=cls)
        except (ValueError, msgspec.DecodeError):
            return None

    @property
    def bounds(self) -> tuple[float, float]:
        """First moment of the page, and first moment after it."""
        return max(self.since, _begin(self.month)), min(self.until, _begin(self.month + 1))

    def measured_in(self, units: Units | None) -> Cursor:
        """Return the page with other units, unless there are none."""
        return self if units is None else msgspec.structs.replace(self, units=units)

    def moved(self, month: int) -> Cursor:
        """Return the page of another month."""
        return msgspec.structs.replace(self, month=month, further=self.further + 1, skipped=0)

    def beyond(self, values: int) -> Cursor:
        """Return the page that goes on in the same month behind so many values of this one."""
        return msgspec.structs.replace(self, further=self.further + 1, skipped=self.skipped + values)


class Page(NamedTuple):
    """A page: where it is, the mrids that it holds, and where the next one is, None for the last."""

    cursor: Cursor
    mrids: list[int]
    following: Cursor | None


def first_page(device: Device, query: DataQuery, now: float, end: End, empty_months: EmptyMonths) -> Cursor:
    """Return the first page of the range that is asked for: without a start from the first reading on, until now."""
    last = now if query.end is None else query.end
    until = float(math.floor(last) + 1 if end == "inclusive" else last)
    since = query.start
    if since is None:
        since = until if device.span is None else min(float(device.span[0]), until)
    ascending = bool(query.ascending)
    month = _month(since if ascending else max(since, until - 1))
    cursor = Cursor(device.device_sn, since, until, ascending, query.units or "metric", month)
    if empty_months == "skipped" and not records(device, cursor):
        following = next_page(device, cursor, empty_months)
        return cursor if following is None else msgspec.structs.replace(following, further=0)
    return cursor


def next_page(device: Device, cursor: Cursor, empty_months: EmptyMonths) -> Cursor | None:
    """Return the page after this one, None at the end of the range."""
    first, last = _month(cursor.since), _month(max(cursor.since, cursor.until - 1))
    months = range(cursor.month + 1, last + 1) if cursor.ascending else range(cursor.month - 1, first - 1, -1)
    following = (cursor.moved(month) for month in months)
    if empty_months == "page":
        return next(following, None)
    return next((page for page in following if records(device, page)), None)


def records(device: Device, cursor: Cursor) -> list[int]:
    """Return the mrids of a page in the order of their times."""
    mrids = flatten(device.stamped(0, LAST_MRID, *cursor.bounds), ascending=True)
    if device.clock:
        mrids.sort(key=lambda mrid: (device.timestamp(mrid), mrid))
    return mrids if cursor.ascending else mrids[::-1]


def _month(moment: float) -> int:
    date = datetime.fromtimestamp(moment, UTC)
    return date.year * MONTHS + date.month - 1


def _begin(month: int) -> int:
    """Return the first moment of a month."""
    year, month = divmod(month, MONTHS)
    return int(datetime(year, month + 1, 1, tzinfo=UTC).timestamp()) if year < YEAR_AFTER_LAST else YEAR_10000
