"""Which records a page holds, under all the meanings that a page may have; knows neither values nor bodies."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC
from typing import TYPE_CHECKING, Literal

from tap_zentra.emulator.data import DAY
from tap_zentra.emulator.devices import clip, flatten
from tap_zentra.emulator.query import LAST_MRID

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from tap_zentra.emulator.devices import Device
    from tap_zentra.emulator.options import Options
    from tap_zentra.emulator.query import ReadingsQuery

Pages = Literal["records", "ids"]
"""A page of N is the next N records that exist, or the next N ids, of which some or all may not exist."""

Sorting = Literal["mrid", "time", "descending"]
"""What `sort_by` means: the order of mrids, or of timestamps (and then mrids); or nothing, it is always descending."""


def page(device: Device, query: ReadingsQuery, options: Options) -> list[int]:
    """Return the mrids of a page in the order asked for; empty when none of them exists."""
    if options.sorting == "descending":
        query = replace(query, ascending=False)
    existing = _asked(device, query, options)
    skip = (query.page_num - 1) * query.per_page
    if options.pages == "ids" and existing:
        existing = _of_next_ids(device, query, existing, skip)
        skip = 0
    if options.sorting == "time" and device.clock:
        ordered = sorted(flatten(existing, ascending=True), key=device.timestamp)
        return (ordered if query.ascending else ordered[::-1])[skip : skip + query.per_page]
    return flatten(existing, ascending=query.ascending, skip=skip, count=query.per_page)


def moment(device: Device, local: datetime) -> float:
    """Return seconds since 1970-01-01 UTC of a moment in the device's local time."""
    return device.moment(local.replace(tzinfo=UTC).timestamp())


def _asked(device: Device, query: ReadingsQuery, options: Options) -> tuple[range, ...]:
    """Return the existing mrids that are asked for, ascending; an end that is not given is the device's."""
    first, last = 0, LAST_MRID
    since, until = -math.inf, math.inf
    if query.by_date:
        since = since if query.start is None else moment(device, query.start)
        until = until if query.end is None else moment(device, query.end)
    else:
        first = first if query.start_mrid is None else query.start_mrid
        last = last if query.end_mrid is None else query.end_mrid
    if options.page_days and query.ascending and device.mrids:
        start = since if math.isfinite(since) else _due(device, first)
        until = min(until, _midnight(device, start, options.page_days))
    return device.stamped(first, last, since, until)


def _due(device: Device, mrid: int) -> float:
    """Return when the record after the newest one before this mrid was due; before the first record, its own moment.

    After a page that ended at a midnight the next one begins there and has all its days (seen in v3), so the moment
    of the record before it is not what counts.
    """
    before = device.between(0, mrid - 1)
    if before:
        return device.timestamp(before[-1][-1]) + device.interval
    return device.timestamp(device.mrids[0][0])


def _midnight(device: Device, start: float, days: int) -> float:
    """Return the device's local midnight so many days after the day of the start."""
    return device.moment(((start + device.offset(start)) // DAY + days) * DAY)


def _of_next_ids(device: Device, query: ReadingsQuery, existing: Sequence[range], skip: int) -> tuple[range, ...]:
    """Return what exists of a page of ids, which begins so many ids after the first one asked for."""
    first, last = existing[0][0], existing[-1][-1]
    if not query.by_date:
        first = first if query.start_mrid is None else query.start_mrid
        last = last if query.end_mrid is None else min(query.end_mrid, device.mrids[-1][-1])
    if query.ascending:
        return clip(existing, first + skip, first + skip + query.per_page - 1)
    return clip(existing, last - skip - query.per_page + 1, last - skip)
