"""Where a device's next page starts, and when the device is at its end; knows neither network nor clock.

A page is asked for by the lowest mrid it may hold, always ascending and always as page 1, so that pages cannot
shift under the reader. `next_url` is set on every page and says nothing.
"""

from __future__ import annotations

import itertools
import math
import statistics
from collections import deque
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING

from tap_zentra.calls.errors import DeviceFailedError
from tap_zentra.singer.moments import DAY, latest_moment

if TYPE_CHECKING:
    from collections.abc import Mapping

RECENT = 21
"""Records by which it is judged when a device was read last."""

FIRST_MRID = 1
"""Of a device that has kept all its records (METER's documentation)."""

LARGEST_PAGE = 2000
"""Records that the service allows a page to hold (METER's documentation)."""

SEARCH_STEP = 20 * DAY
"""Seconds from one date to the next when the next record is looked for by date: pages of v3 end after 21 days."""

EMPTY_PAGES_IN_A_ROW = 1000
"""So many empty pages in a row give a device up, so that a run always ends: the mrids of 19 years at 5 minutes each."""


SHORTEST_INTERVAL = 60
"""Seconds from one record to the next, at least: loggers of METER's that measure more often are not known."""


class NoProgressError(DeviceFailedError):
    """A response that would make the reader go in circles."""


class Order(Enum):
    """In which order the readings of a page came."""

    MRID = auto()
    """By mrid, as asked for."""
    TIME = auto()
    """By time, which is another order where a clock was put back."""
    OTHER = auto()
    """Neither, so the service ignores `sort_by`."""


@dataclass(frozen=True)
class PageRequest:
    """Where a page starts: at an mrid, or at a moment in seconds since 1970. One of the two is None.

    With `end_mrid` (inclusive) a page holds all records of a range, so that their order does not matter. `per_page` is
    how many records it may hold; None: as many as usual.
    """

    start_mrid: int | None = None
    start_date: int | None = None
    end_mrid: int | None = None
    per_page: int | None = None


@dataclass(frozen=True)
class Step:
    """What to do with a page that has been read.

    Attributes:
        from_mrid: Readings below this mrid are left out.
        below_mrid: Readings of this mrid and above are left out; None: all stay.
        bookmark: The device's bookmark once the page has been written; None: it has none yet.
        warning: What a person should know of this page.
    """

    from_mrid: int = 0
    below_mrid: int | None = None
    bookmark: int | None = None
    warning: str | None = None

    def keeps(self, mrid: int) -> bool:
        """Return whether a record of the page is to be kept."""
        return self.from_mrid <= mrid and (self.below_mrid is None or mrid < self.below_mrid)


NOTHING_KEPT = 0
"""`below_mrid` of a page of which nothing is kept."""


@dataclass(frozen=True)
class _Response:
    """A page, and what the service says of it."""

    asked: PageRequest
    timestamps_by_mrid: Mapping[int, int]
    order: Order
    max_mrid: int
    page_size: int

    @property
    def highest(self) -> int:
        return max(self.timestamps_by_mrid)

    @property
    def may_lack_records(self) -> bool:
        """Whether the service may have more of what was asked for: the page is full, or short of the newest record."""
        if self.asked.end_mrid is not None:  # a range holds all records of its ids
            return False
        if self.order is Order.OTHER:
            # The newest ones, and maybe of ids that don't all exist: only what fits on a page is there as a whole.
            return self.asked.start_mrid is None or self.max_mrid - self.asked.start_mrid >= self.page_size
        return len(self.timestamps_by_mrid) >= self.page_size or self.highest < self.max_mrid


class MridPaginator:
    """One device's way from its bookmark to its newest record.

    Attributes:
        request: The page to ask for next, unless `done`.
        done: Whether the device has been read to its end.
        bookmark: The highest mrid that has been read and is to be kept; None before there is one.
        position: Everything below this mrid that is wanted has been read.
        records_left: How many records may still be ahead; infinite before the first response.
        went_back: The bookmark that the device's newest record was found to be behind; None: it was not.
    """

    def __init__(
        self,
        *,
        bookmark: int | None,
        page_size: int,
        now: float,
        reread_from: int | None = None,
        start: int | None = None,
        end: int | None = None,
        newest: int | None = None,
    ) -> None:
        """Start at a bookmark, or without one at a moment, or else at the device's first record.

        Args:
            bookmark: The highest mrid that earlier syncs have read.
            page_size: Records of a full page.
            now: The moment at which the run began, in seconds since 1970.
            reread_from: The first record, up to the bookmark, that is read again; None: none is.
            start: First sync only: readings from this moment on, in seconds since 1970.
            end: Readings up to this moment, in seconds since 1970.
            newest: Moment of the newest reading that earlier syncs have read, in seconds since 1970.
        """
        self.bookmark = bookmark
        self.records_left = math.inf
        self.went_back: int | None = None
        self.done = False
        self._page_size = self._range_size = page_size
        self._future = latest_moment(now)
        self._since = start if bookmark is None else None
        self._end = math.inf if end is None else end
        self._last_moments: deque[int] = deque(maxlen=RECENT)
        if bookmark is not None and newest is not None:
            self._last_moments.append(newest)
        self._by_range = False
        self._started_over = False
        self._doubts_date = False
        self._search_date: int | None = None
        self._searched_below = 0  # up to this mrid a date has brought what it can
        self._max_mrid: int | None = None
        self._empty_pages = 0
        if bookmark is None:
            self.position = 0
        else:
            self.position = bookmark + 1 if reread_from is None else min(reread_from, bookmark + 1)
        self._expected = math.inf
        if bookmark is not None and newest is not None:
            self._expected = bookmark + 1 - self.position + max(0, now - newest) / SHORTEST_INTERVAL
        self.request = PageRequest(start_mrid=self.position)
        if self._since is not None:
            # The service takes a date in the device's local time, which is less than a day from UTC.
            self.request = PageRequest(start_date=max(0, self._since - DAY))

    @property
    def records_expected(self) -> float:
        """Records that the next page may hold, as far as can be told; infinite where nobody knows."""
        if self.request.start_date is not None:
            return math.inf
        # Before the first response: those that are read again, and as many as a device can have made since.
        return self._expected if math.isinf(self.records_left) else self.records_left

    def advance(
        self,
        max_mrid: int | None,
        timestamps_by_mrid: Mapping[int, int],
        *,
        per_page: int | None = None,
        order: Order = Order.MRID,
    ) -> Step:
        """Take note of the page that `request` brought, and move on.

        Args:
            max_mrid: The device's newest record, also beyond this page; None when it has none.
            timestamps_by_mrid: The page's records: mrid -> moment in seconds since 1970.
            per_page: Records of a full page, as the service says; it may allow fewer than were asked for.
            order: In which order they came.

        Raises:
            NoProgressError: The response ignores `start_mrid`, or contradicts the ones before.
        """
        asked = self.request
        self.done = True
        if max_mrid is None and self._max_mrid is not None:
            raise NoProgressError(f"pagination.max_mrid is null, but it was {self._max_mrid} in the previous response")
        self._max_mrid = max_mrid
        if max_mrid is None:
            step = self._no_records(timestamps_by_mrid)
        elif self.bookmark is not None and max_mrid < self.bookmark:
            step = self._behind_bookmark(max_mrid, self.bookmark)
        else:
            page_size = asked.per_page or self._page_size
            page_size = min(page_size, max(1, per_page or page_size))
            self._range_size = min(self._range_size, page_size)
            step = self._records(_Response(asked, timestamps_by_mrid, order, max_mrid, page_size))
        self.records_left = 0 if self.done or max_mrid is None else max(1, max_mrid + 1 - self.position)
        return step

    def _ask(self, start_mrid: int) -> None:
        """Go on from an mrid."""
        self.position = start_mrid
        end_mrid = start_mrid + self._range_size - 1 if self._by_range else None
        self.request = PageRequest(start_mrid=start_mrid, end_mrid=end_mrid)
        self.done = False

    def _keep_nothing(self, warning: str | None = None) -> Step:
        """Leave the bookmark where it is."""
        return Step(below_mrid=NOTHING_KEPT, bookmark=self.bookmark, warning=warning)

    def _no_records(self, timestamps_by_mrid: Mapping[int, int]) -> Step:
        if timestamps_by_mrid:
            raise NoProgressError("the response has records, but its pagination.max_mrid is null")
        if self.bookmark is None:
            return Step()
        self.went_back = self.bookmark
        warning = f"the device has no records, but mrid {self.bookmark} was read earlier"
        return Step(bookmark=self.bookmark, warning=warning)

    def _behind_bookmark(self, max_mrid: int, bookmark: int) -> Step:
        """The device was wiped or replaced and counts from 1 again, or the service lags behind itself."""
        self.went_back = bookmark
        behind = f"its newest record is mrid {max_mrid}, but mrid {bookmark} was read earlier"
        cheap = max_mrid <= self._page_size
        if not cheap and bookmark - max_mrid <= self._page_size:
            lag = f"{behind}; the service is probably behind; nothing new was read; the next sync will check again"
            return self._keep_nothing(lag)
        if self._started_over:
            raise NoProgressError(f"{behind}, and this sync has already started over from the device's first record")
        self._started_over = True
        self.bookmark = None
        self._last_moments.clear()
        self._ask(0)
        reason = "may have been" if cheap else "was"
        return self._keep_nothing(
            f"{behind}; the device {reason} wiped or replaced; re-reading it from its first record"
        )

    def _records(self, response: _Response) -> Step:
        """Take a page of a device that has records."""
        by_date = response.asked.start_date is not None
        search_date, self._search_date = self._search_date, None
        new = any(mrid >= self.position for mrid in response.timestamps_by_mrid)
        self._empty_pages = 0 if new else self._empty_pages + 1
        if self._empty_pages > EMPTY_PAGES_IN_A_ROW:
            raise NoProgressError(
                f"{EMPTY_PAGES_IN_A_ROW} empty pages in a row up to mrid {self.position}, although the newest record "
                f"is mrid {response.max_mrid}"
            )
        if search_date is not None:
            return self._found_by_date(response) if new else self._search_on(response, search_date)
        if not response.timestamps_by_mrid:
            return self._date_without_records(response) if by_date else self._empty_page(response)
        return self._page(response)

    # Empty pages

    def _date_without_records(self, response: _Response) -> Step:
        """Nothing since `start_date`. Answers to dates are known to lack the newest day: look at it by mrid."""
        self._doubts_date = True
        self._ask(max(0, response.max_mrid + 1 - self._page_size))
        return Step()

    def _empty_page(self, response: _Response) -> Step:
        """No record where there should be one, or none at all: its ids don't exist, or its page ended at a date."""
        if self._doubts_date:
            return self._read_all()
        if response.max_mrid < self.position or response.max_mrid == self.bookmark:
            return Step(bookmark=self.bookmark)
        if self._last_moments and self.position >= self._searched_below:
            # Not simply the last one: a single record may have been stamped by a clock that was wrong.
            return self._search(max(0, statistics.median_low(self._last_moments) - DAY))
        return self._skip(response)

    def _search(self, date: int) -> Step:
        """Ask by date for the next record, whatever its mrid."""
        self._search_date = date
        # As large as the service allows, so that a day of known records does not fill it.
        self.request = PageRequest(start_date=date, per_page=LARGEST_PAGE)
        self.done = False
        return self._keep_nothing()

    def _search_on(self, response: _Response, asked: int) -> Step:
        """Nothing new since a date: go on from a later one, and past the present by mrid again."""
        moments = response.timestamps_by_mrid.values()
        step = SEARCH_STEP
        if len(moments) >= response.page_size:
            # Full of what is known already; the service takes dates to the minute.
            step = max(60, (max(moments) - min(moments)) // 60 * 60)
        if asked + step <= self._future:
            return self._search(asked + step)
        self._searched_below = response.max_mrid + 1
        return self._skip(response)

    def _found_by_date(self, response: _Response) -> Step:
        """Go on to what a date has brought by the mrids before it, where a wrong clock may have stamped records."""
        found = min(mrid for mrid in response.timestamps_by_mrid if mrid >= self.position)
        if response.order is Order.OTHER and response.may_lack_records:
            # Maybe the newest records, and not the next ones.
            self._searched_below = response.max_mrid + 1
            self._by_range = True
            return self._skip(response)
        if self._since is not None:
            return self._page(response)
        if found > self.position + self._range_size:
            self._searched_below = found
            return self._skip(response)
        return self._keep_page_by_date(response)

    def _skip(self, response: _Response) -> Step:
        """Go on behind the ids that a page would have held."""
        beyond = self.position + self._range_size
        if self._searched_below > self.position:
            beyond = min(beyond, self._searched_below)
        if beyond <= response.max_mrid:
            self._ask(beyond)
            return self._keep_nothing()
        brought = "no records" if self.bookmark is None else f"nothing after mrid {self.bookmark}"
        newest = f"its newest record is mrid {response.max_mrid}"
        return self._keep_nothing(f"{newest}, but the service returned {brought}; the next sync will try again")

    # Pages with records

    def _page(self, response: _Response) -> Step:
        self._refuse_what_was_not_asked_for(response)
        doubts_date, self._doubts_date = self._doubts_date, False
        lowest = min(response.timestamps_by_mrid)
        if self._since is not None:
            if doubts_date and self.position > 0 and response.timestamps_by_mrid[lowest] > self._since:
                return self._read_all()
            return self._page_before_start(response, self._since)
        if response.asked.start_date is not None:
            return self._keep_page_by_date(response)
        return self._page_by_mrid(response)

    def _page_by_mrid(self, response: _Response) -> Step:
        if self._is_incomplete(response):
            return self._read_by_range()
        missing = self._first_missing(response)
        if missing is None:
            return self._keep(response)
        # A range has what such a page may have left out, and then the next ones: where one is missing, more are.
        self._by_range = True
        if missing > min(response.timestamps_by_mrid):
            return self._keep(response, missing)
        self.position = missing
        return self._read_by_range()

    def _refuse_what_was_not_asked_for(self, response: _Response) -> None:
        start, lowest = response.asked.start_mrid, min(response.timestamps_by_mrid)
        if start is not None and lowest < start:
            raise NoProgressError(f"the response ignores start_mrid: requested mrid {start} and up, got mrid {lowest}")
        end = response.asked.end_mrid
        if end is not None and response.highest > end and response.order is not Order.MRID:
            raise NoProgressError(
                f"the response ignores sort_by and end_mrid: requested mrid {start} to {end}, "
                f"got mrid {response.highest}"
            )

    def _read_all(self) -> Step:
        """Read the device from its first record on, because a date has brought less than there may be."""
        self._doubts_date = False
        self._ask(0)
        warning = "the service found nothing since start_date; reading all records"
        return self._keep_nothing(warning)

    def _page_before_start(self, response: _Response, since: int) -> Step:
        """Look for the first record that counts: from there on all are kept, whatever the clock says."""
        moments = response.timestamps_by_mrid
        first = next((mrid for mrid in sorted(moments) if since <= moments[mrid] <= self._future), None)
        begins_before = first is not None and any(moments[mrid] < since for mrid in moments if mrid < first)
        if self._is_incomplete(response) and not begins_before:
            return self._read_by_range()
        self._by_range = self._by_range or response.order is not Order.MRID
        if first is None:
            self._note_moments(moments)
            self._go_on(response.highest + 1, response)
            return self._keep_nothing()
        self._since = None
        self.position = first
        if response.asked.start_date is not None:
            return self._keep_page_by_date(response)
        return self._page_by_mrid(response)

    def _keep_page_by_date(self, response: _Response) -> Step:
        """A date hides what a wrong clock has stamped elsewhere: behind the first hole the way is by mrid."""
        mrids = sorted(mrid for mrid in response.timestamps_by_mrid if mrid >= self.position)
        return self._keep(response, _first_hole(mrids))

    def _is_incomplete(self, response: _Response) -> bool:
        """Return whether the order of a page says that records between its ends may be missing."""
        return response.order is not Order.MRID and response.may_lack_records

    def _read_by_range(self) -> Step:
        """Ask for ranges from now on, in which the order does not matter, and keep nothing of this page."""
        self._by_range = True
        self._ask(self.position)
        return self._keep_nothing()

    def _keep(self, response: _Response, below_mrid: int | None = None) -> Step:
        """Keep a page from the position on, up to where something may be missing, or to `end_date`."""
        from_mrid = self.position
        kept = {
            mrid: moment
            for mrid, moment in sorted(response.timestamps_by_mrid.items())
            if mrid >= from_mrid and (below_mrid is None or mrid < below_mrid)
        }
        # What was read before `end_date` was set stays read.
        read = -1 if self.bookmark is None else self.bookmark
        later = (mrid for mrid, moment in kept.items() if mrid > read and self._end < moment <= self._future)
        beyond_end = next(later, None)
        if beyond_end is None:
            self._go_on(response.highest + 1 if below_mrid is None else below_mrid, response)
        else:
            below_mrid = self.position = beyond_end
            kept = {mrid: moment for mrid, moment in kept.items() if mrid < beyond_end}
        if kept:
            last = max(kept)
            self.bookmark = last if self.bookmark is None else max(last, self.bookmark)
            self._searched_below = 0
            self._note_moments(kept)
        return Step(from_mrid=from_mrid, below_mrid=below_mrid, bookmark=self.bookmark)

    def _note_moments(self, timestamps_by_mrid: Mapping[int, int]) -> None:
        """Remember when the last records that were read were made, unless a clock was ahead."""
        moments = (timestamps_by_mrid[mrid] for mrid in sorted(timestamps_by_mrid))
        self._last_moments.extend(moment for moment in moments if moment <= self._future)

    def _go_on(self, position: int, response: _Response) -> None:
        """Go on from an mrid, or be done behind the newest one."""
        self.position = position
        if position <= response.max_mrid:
            self._ask(position)

    def _first_missing(self, response: _Response) -> int | None:
        """Return the first mrid that the service may have left for a later page; None: there is none.

        Mostly such an mrid was never used. But where pages are sorted by time, and a clock was wrong, a record with a
        lower mrid and a later time than the page's last one is still to come.
        """
        if not response.may_lack_records:
            return None
        mrids = sorted(mrid for mrid in response.timestamps_by_mrid if mrid >= self.position)
        if mrids[0] <= max(self.position, FIRST_MRID):
            return _first_hole(mrids)
        # A history may begin late, so that one page before its first record is enough.
        return self.position if self._last_moments else max(self.position, mrids[0] - self._range_size)


def _first_hole(mrids: list[int]) -> int | None:
    """Return the first mrid that is missing between ascending ones."""
    return next((mrid + 1 for mrid, following in itertools.pairwise(mrids) if following > mrid + 1), None)
