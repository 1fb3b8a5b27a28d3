"""Where a device's next page starts, and when the device is at its end; knows neither network nor clock.

A page is one calendar month (UTC) of the range that was asked for, and says with a token that more is to come. The
token is followed; where the service refuses one, the way goes on by time. All moments are in seconds since 1970.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime

from tap_zentra.calls.errors import DeviceFailedError

EMPTY_PAGES_IN_A_ROW = 1000
"""So many months without a reading in a row give a device up, so that a run always ends: 83 years."""


class NoProgressError(DeviceFailedError):
    """A response that would make the reader go in circles."""


@dataclass(frozen=True)
class PageRequest:
    """What to ask for.

    Attributes:
        start: First moment; None: the device's first reading.
        end: Last moment.
        token: Of the page before, which then says it all; None: this is the first page.
    """

    start: int | None
    end: int
    token: str | None = None


class MonthPaginator:
    """One device's way from a moment to the end of a range.

    Attributes:
        request: The page to ask for next, unless `done`.
        done: Whether the device has been read to its end.
        position: Everything before this moment that is wanted has been read; None: nothing has, and nobody knows where
            the device begins.
    """

    def __init__(self, *, start: int | None, end: int) -> None:
        """Start at a moment, or at the device's first reading.

        Args:
            start: First moment that is wanted; None: the device's first reading.
            end: Last moment that is wanted.
        """
        self.done = False
        self.position = start if start is None else min(start, end)
        self._end = end
        self._tokens: set[str] = set()
        self._empty_pages = 0
        self._restarts: set[int | None] = set()
        self.request = PageRequest(self.position, end)

    @property
    def months_left(self) -> float:
        """How many months lie ahead, and so how many pages at most; infinite while nobody knows, 0 at the end."""
        if self.done:
            return 0
        return math.inf if self.position is None else _month(self._end) - _month(self.position) + 1

    def is_last_month(self, moment: int) -> bool:
        """Return whether the range ends in a moment's month, or before."""
        return _month(moment) >= _month(self._end)

    def advance(self, newest: int | None, next_token: str | None) -> None:
        """Take note of the page that `request` brought, and move on.

        Args:
            newest: The latest moment on it; None: it is empty.
            next_token: Of the page that follows; None or empty: none does.

        Raises:
            NoProgressError: The token has come before, or nothing new comes however many pages are asked for.
        """
        if not next_token:
            self.done = True
            return
        if next_token in self._tokens:
            raise NoProgressError("the service sent the same next_token twice, which would return the same page again")
        self._tokens.add(next_token)
        if newest is not None and (self.position is None or newest > self.position):
            self.position = newest
            self._empty_pages = 0
        else:
            self._pass_over_empty_month()
        self.request = PageRequest(self.position, self._end, next_token)

    def go_on_by_time(self) -> bool:
        """Ask by time for what a token stood for, which the service has refused.

        Where the range ends with a month, and its end itself was asked for by time, it stood for the month behind.

        Returns:
            Whether that may help: not when it was asked for by time, or has been from the same moment before.
        """
        if self.request.token is None:
            return False
        if self.position in self._restarts:
            self.done = self.position == self._end and _month(self._end + 1) > _month(self._end)
            return self.done
        self._restarts.add(self.position)
        self._tokens.clear()
        self.request = PageRequest(self.position, self._end)
        return True

    def _pass_over_empty_month(self) -> None:
        """Go on behind a page that has brought nothing although more is to come: its month has been read."""
        self._empty_pages += 1
        if self._empty_pages > EMPTY_PAGES_IN_A_ROW:
            raise NoProgressError(f"{EMPTY_PAGES_IN_A_ROW} pages in a row contained nothing new")
        if self.position is not None:
            self.position = min(_start_of_month(_month(self.position) + 1), self._end)


def _month(moment: int) -> int:
    """Return the calendar month (UTC) of a moment, counted from the year 0."""
    date = datetime.fromtimestamp(moment, UTC)
    return date.year * 12 + date.month - 1


def _start_of_month(month: int) -> int:
    return int(datetime(month // 12, month % 12 + 1, 1, tzinfo=UTC).timestamp())
