"""Which records a page holds, under both meanings that a page may have; knows neither values nor bodies."""

from __future__ import annotations

from datetime import timedelta, timezone
from typing import TYPE_CHECKING, Literal

from tap_zentra.emulator.devices import flatten

if TYPE_CHECKING:
    from datetime import datetime

    from tap_zentra.emulator.devices import Device
    from tap_zentra.emulator.options import Options
    from tap_zentra.emulator.query import ReadingsQuery

Pages = Literal["records", "ids"]
"""A page of N is the next N records that exist, or the next N ids, of which some or all may not exist."""


def page(device: Device, query: ReadingsQuery, options: Options) -> list[int]:
    """Return the mrids of a page in the order asked for; empty when none of them exists."""
    bounds = _bounds(device, query)
    if bounds is None:
        return []
    first, last = bounds
    skip = (query.page_num - 1) * query.per_page
    if options.pages == "records":
        existing = device.between(first, last)
        return flatten(existing, ascending=query.ascending, skip=skip, count=query.per_page)
    if query.ascending:
        first += skip
        last = min(last, first + query.per_page - 1)
    else:
        last -= skip
        first = max(first, last - query.per_page + 1)
    return flatten(device.between(first, last), ascending=query.ascending)


def moment(device: Device, local: datetime) -> float:
    """Return seconds since 1970-01-01 UTC of a moment in the device's local time."""
    return local.replace(tzinfo=timezone(timedelta(seconds=device.tz_offset))).timestamp()


def _bounds(device: Device, query: ReadingsQuery) -> tuple[int, int] | None:
    """Return the first and the last id asked for; an end that is not given is the device's."""
    oldest, newest = device.min_mrid, device.max_mrid
    if oldest is None or newest is None:
        return None
    if not query.by_date:
        first = oldest if query.start_mrid is None else query.start_mrid
        return first, newest if query.end_mrid is None else min(query.end_mrid, newest)
    if query.end is not None:
        newest = min(newest, device.first_mrid_at(moment(device, query.end)) - 1)
    if query.start is not None:
        oldest = device.first_mrid_at(moment(device, query.start))
    existing = device.between(oldest, newest)
    return (existing[0][0], existing[-1][-1]) if existing else None
