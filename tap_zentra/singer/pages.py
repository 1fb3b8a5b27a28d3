"""What a page of a device brings, and what is noted of all its pages in a run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tap_zentra.singer.moments import gaps

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tap_zentra.calls.schedule import Outcome, Turn
    from tap_zentra.singer.bookmarks import Bookmark


@dataclass(frozen=True)
class Page:
    """A page of a device, decoded and found to be in order.

    Attributes:
        records: Makes the records that are to be written.
        bookmark: Where the device stands once the page has been written; None: it has no bookmark yet.
        mrids: Lowest and highest mrid of what is new on it; None: nothing is.
        moments: When its records were made, read again or new, in their order, in seconds since 1970; without those
            that lie in the future.
        ahead: The latest of the moments that lie in the future, of what is new; None: there is none.
        rewritten: Records that were read again and are written again, because values came late or were corrected.
        warning: What a person should know of the page.
        went_back: The bookmark that the device's newest record was found to be behind; None: it was not.
    """

    records: Callable[[], Iterator[dict[str, Any]]]
    bookmark: Bookmark | None
    mrids: tuple[int, int] | None = None
    moments: Sequence[int] = ()
    ahead: int | None = None
    rewritten: int = 0
    warning: str | None = None
    went_back: int | None = None


RECENT = 21
"""Moments by which it is judged how often a device measures."""


@dataclass(eq=False)
class DeviceProgress:
    """What a stream has read of a device, in this run.

    Attributes:
        turn: Its place in the order of calls: calls, waits, outcome.
        bookmark: Where it stands; None: it has no bookmark yet.
        newest: Moment of its newest reading, of this run or before, in seconds since 1970; None: it is not known.
        pages: Pages that were read.
        readings: Readings that were written.
        mrids: Lowest and highest mrid of what was new.
        gaps: Stretches of time without readings that have ended, in seconds.
        ahead: The latest moment, in the future, at which a clock that is wrong has stamped a new reading.
        rewritten: Records that were written again, because values came late or were corrected.
        went_back: The bookmark that the device's newest record was found to be behind; None: it was not.
        recent: When the last records were made that were read, in their order, in seconds since 1970.
    """

    turn: Turn
    bookmark: Bookmark | None = None
    newest: int | None = None
    pages: int = 0
    readings: int = 0
    mrids: tuple[int, int] | None = None
    gaps: list[int] = field(default_factory=list)
    ahead: int | None = None
    rewritten: int = 0
    went_back: int | None = None
    recent: list[int] = field(default_factory=list)

    def note(self, page: Page) -> None:
        """Take note of a page that is about to be written."""
        self.pages += 1
        self.rewritten += page.rewritten
        # With what came before, or one reading alone would not show how long is usual.
        moments = [*self.recent, *page.moments]
        self.gaps += gaps(moments, self.newest)
        self.recent = moments[-RECENT:]
        self.newest = max([*page.moments, *([] if self.newest is None else [self.newest])], default=None)
        self.bookmark = page.bookmark
        self.went_back = page.went_back
        if page.mrids is not None:
            known = self.mrids or page.mrids
            self.mrids = min(known[0], page.mrids[0]), max(known[1], page.mrids[1])
        if page.ahead is not None:
            self.ahead = max(self.ahead or 0, page.ahead)

    @property
    def outcome(self) -> Outcome:
        """What has become of it, should the run be over."""
        return self.turn.outcome
