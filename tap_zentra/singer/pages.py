"""What a page of a device brings, and what is noted of all its pages in a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tap_zentra.calls.schedule import Outcome, Turn


@dataclass(frozen=True)
class Page:
    """A page of a device, decoded and found to be in order.

    Attributes:
        records: Makes the records that it holds.
        bookmark: The device's bookmark once the page has been written; None: it has none yet.
        mrids: Lowest and highest mrid of what is kept of it; None: nothing is.
        newest: Moment of the newest reading that is kept of it, in seconds since 1970; None: nothing is.
        missing: Records that the service does not have although it has later ones.
        warning: What a person should know of the page.
        went_back: The bookmark that the device's newest record was found to be behind; None: it was not.
    """

    records: Callable[[], Iterator[dict[str, Any]]]
    bookmark: int | None
    mrids: tuple[int, int] | None = None
    newest: int | None = None
    missing: int = 0
    warning: str | None = None
    went_back: int | None = None


@dataclass(eq=False)
class DeviceProgress:
    """What a stream has read of a device, in this run.

    Attributes:
        turn: Its place in the order of calls: calls, waits, outcome.
        bookmark: Its bookmark; None: it has none yet.
        newest: Moment of its newest reading, of this run or before, in seconds since 1970; None: it is not known.
        pages: Pages that were read.
        readings: Readings that were written.
        mrids: Lowest and highest mrid that was read.
        missing: Records that the service does not have although it has later ones.
        went_back: The bookmark that the device's newest record was found to be behind; None: it was not.
    """

    turn: Turn
    bookmark: int | None = None
    newest: int | None = None
    pages: int = 0
    readings: int = 0
    mrids: tuple[int, int] | None = None
    missing: int = 0
    went_back: int | None = None

    def note(self, page: Page) -> None:
        """Take note of a page that is about to be written."""
        self.pages += 1
        self.missing += page.missing
        self.bookmark = page.bookmark
        self.went_back = page.went_back
        if page.mrids is not None:
            known = self.mrids or page.mrids
            self.mrids = min(known[0], page.mrids[0]), max(known[1], page.mrids[1])
        if page.newest is not None:
            self.newest = max(self.newest or 0, page.newest)

    @property
    def outcome(self) -> Outcome:
        """What has become of it, should the run be over."""
        return self.turn.outcome
