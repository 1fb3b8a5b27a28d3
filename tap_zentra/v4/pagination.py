"""Where a device's next page starts, and when the device is at its end; knows neither network nor clock.

A page is asked for by the lowest mrid it may hold, always ascending and always as page 1, so that pages cannot
shift under the reader. `next_url` is set on every page and says nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tap_zentra.calls.errors import DeviceFailedError

if TYPE_CHECKING:
    from collections.abc import Mapping

DAY = 86_400
"""Seconds. The service takes `start_date` in the device's local time, which is less than a day from UTC."""


EMPTY_PAGES_IN_A_ROW = 1000
"""So many empty pages in a row give a device up, so that a run always ends: the mrids of 19 years at 5 minutes each."""


class NoProgressError(DeviceFailedError):
    """A response that would make the reader go in circles."""


@dataclass(frozen=True)
class PageRequest:
    """Where a page starts: at an mrid, or at a moment in seconds since 1970. One of the two is None."""

    start_mrid: int | None = None
    start_date: int | None = None


@dataclass(frozen=True)
class Step:
    """What to do with a page that has been read.

    Attributes:
        since: Readings before this moment, in seconds since 1970, are left out.
        below_mrid: Readings of this mrid and above are left out; None: all stay.
        bookmark: The device's bookmark once the page has been written; None: it has none yet.
        missing: Records between the page before and the end of this one that the service does not have.
        warning: What a person should know of this page.
    """

    since: int = 0
    below_mrid: int | None = None
    bookmark: int | None = None
    missing: int = 0
    warning: str | None = None


class MridPaginator:
    """One device's way from its bookmark to its newest record.

    Attributes:
        request: The page to ask for next, unless `done`.
        done: Whether the device has been read to its end.
        bookmark: The highest mrid that has been read and is to be kept; None before there is one.
        records_left: How many records may still be ahead; infinite before the first response.
        went_back: The bookmark that the device's newest record was found to be behind; None: it was not.
    """

    def __init__(
        self,
        *,
        bookmark: int | None,
        page_size: int,
        lookback: int = 0,
        start: int | None = None,
        end: int | None = None,
    ) -> None:
        """Start at a bookmark, or without one at a moment, or else at the device's first record.

        Args:
            bookmark: The highest mrid that earlier syncs have read.
            page_size: Records of a full page.
            lookback: How many records up to the bookmark are read again.
            start: First sync only: readings from this moment on, in seconds since 1970.
            end: Readings up to this moment, in seconds since 1970.
        """
        self.bookmark = bookmark
        self.records_left = math.inf
        self._page_size = page_size
        self._since = start if bookmark is None and start is not None else 0
        self._end = math.inf if end is None else end
        self._started_over = False
        self._doubts_date = False
        self._max_mrid: int | None = None
        self._empty_pages = 0
        self.went_back: int | None = None
        self.done = False
        if bookmark is not None:
            self.request = PageRequest(start_mrid=max(0, bookmark + 1 - lookback))
        elif start is not None:
            self.request = PageRequest(start_date=max(0, start - DAY))
        else:
            self.request = PageRequest(start_mrid=0)

    def advance(
        self, max_mrid: int | None, timestamps_by_mrid: Mapping[int, int], *, per_page: int | None = None
    ) -> Step:
        """Take note of the page that `request` brought, and move on.

        Args:
            max_mrid: The device's newest record, also beyond this page; None when it has none.
            timestamps_by_mrid: The page's records: mrid -> moment in seconds since 1970.
            per_page: Records of a full page, as the service says; it may allow fewer than were asked for.

        Raises:
            NoProgressError: The response ignores `start_mrid`, or contradicts the ones before.
        """
        asked = self.request
        self.done = True
        if max_mrid is None and self._max_mrid is not None:
            raise NoProgressError(f"pagination.max_mrid is null, but it was {self._max_mrid} in the response before")
        self._max_mrid = max_mrid
        if max_mrid is None:
            step = self._no_records(timestamps_by_mrid)
        elif self.bookmark is not None and max_mrid < self.bookmark:
            step = self._behind_bookmark(max_mrid, self.bookmark)
        elif timestamps_by_mrid:
            step = self._page(asked, max_mrid, timestamps_by_mrid)
        else:
            step = self._empty_page(asked, max_mrid, min(self._page_size, max(1, per_page or self._page_size)))
        self._empty_pages = 0 if timestamps_by_mrid else self._empty_pages + 1
        self.records_left = 0 if self.done or max_mrid is None else max_mrid + 1 - (self.request.start_mrid or 0)
        return step

    def _ask(self, start_mrid: int) -> None:
        self.request = PageRequest(start_mrid=start_mrid)
        self.done = False

    def _no_records(self, timestamps_by_mrid: Mapping[int, int]) -> Step:
        if timestamps_by_mrid:
            raise NoProgressError("the response has records, but its pagination.max_mrid is null")
        if self.bookmark is None:
            return Step()
        self.went_back = self.bookmark
        warning = f"the device has no records, but mrid {self.bookmark} has been read before"
        return Step(bookmark=self.bookmark, warning=warning)

    def _behind_bookmark(self, max_mrid: int, bookmark: int) -> Step:
        """The device was wiped or replaced and counts from 1 again, or the service lags behind itself."""
        self.went_back = bookmark
        behind = f"its newest record is mrid {max_mrid}, but mrid {bookmark} has been read before"
        cheap = max_mrid <= self._page_size
        if not cheap and bookmark - max_mrid <= self._page_size:
            lag = f"{behind}: the service lags behind itself; nothing is new, the next sync asks again"
            return Step(bookmark=bookmark, warning=lag)
        if self._started_over:
            raise NoProgressError(f"{behind}, and this sync has started over at the device's first record once")
        self._started_over = True
        self.bookmark = None
        self._ask(0)
        reason = "it is one call to make sure" if cheap else "the device was wiped or replaced"
        return Step(below_mrid=0, warning=f"{behind}: {reason}; reading the device again from its first record")

    def _empty_page(self, asked: PageRequest, max_mrid: int, page_size: int) -> Step:
        """No record where there should be one, or none at all: a gap, or the end."""
        if asked.start_mrid is None:
            # Nothing since `start_date`. Answers to dates are known to lack the newest day: look at it by mrid.
            self._doubts_date = True
            self._ask(max(0, max_mrid + 1 - self._page_size))
            return Step()
        if self._empty_pages >= EMPTY_PAGES_IN_A_ROW:
            raise NoProgressError(
                f"{EMPTY_PAGES_IN_A_ROW} empty pages in a row up to mrid {asked.start_mrid}, although the newest "
                f"record is mrid {max_mrid}"
            )
        beyond = asked.start_mrid + page_size
        if beyond <= max_mrid:
            self._ask(beyond)
        if self.bookmark is None:
            # A history that begins late has lost nothing; one that holds not even its newest record has.
            nothing = f"its newest record is mrid {max_mrid}, but the service brings no record at all: a gap"
            return Step() if beyond <= max_mrid else Step(missing=1, warning=nothing)
        last = min(beyond - 1, max_mrid)
        first_new = max(asked.start_mrid, self.bookmark + 1)
        return self._step(missing=max(0, last + 1 - first_new), last=last)

    def _page(self, asked: PageRequest, max_mrid: int, timestamps_by_mrid: Mapping[int, int]) -> Step:
        lowest, highest = min(timestamps_by_mrid), max(timestamps_by_mrid)
        if asked.start_mrid is not None and lowest < asked.start_mrid:
            raise NoProgressError(
                f"the response ignores start_mrid: asked for mrid {asked.start_mrid} and up, got mrid {lowest}"
            )
        doubts_date, self._doubts_date = self._doubts_date, False
        if doubts_date and asked.start_mrid and min(timestamps_by_mrid.values()) > self._since:
            self._ask(0)
            return Step(below_mrid=0, warning="the service found nothing since start_date; reading all records")
        # What comes after `end_date` is for a later sync, and so is every record behind the first such one.
        beyond_end = min((mrid for mrid, moment in timestamps_by_mrid.items() if moment > self._end), default=None)
        kept = [mrid for mrid in timestamps_by_mrid if beyond_end is None or mrid < beyond_end]
        first_new = lowest if self.bookmark is None else max(asked.start_mrid or 0, self.bookmark + 1)
        new = [mrid for mrid in kept if mrid >= first_new]
        missing = max(new) + 1 - first_new - len(new) if new else 0
        # Before `start_date` there is no bookmark, or a sync that is cut off would forget `start_date`.
        if self.bookmark is not None or any(timestamps_by_mrid[mrid] >= self._since for mrid in new):
            self.bookmark = max(kept if self.bookmark is None else [*kept, self.bookmark])
        if beyond_end is None and highest < max_mrid:
            self._ask(highest + 1)
        return self._step(missing=missing, last=highest, below_mrid=beyond_end)

    def _step(self, *, missing: int, last: int, below_mrid: int | None = None) -> Step:
        warning = f"{missing} records up to mrid {last} do not exist: a gap" if missing else None
        return Step(since=self._since, below_mrid=below_mrid, bookmark=self.bookmark, missing=missing, warning=warning)
