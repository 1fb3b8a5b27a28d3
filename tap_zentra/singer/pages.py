"""What a page of a device brings, and what is noted of all its pages in a run."""

from __future__ import annotations

import itertools
import sys
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from tap_zentra.calls.schedule import Outcome
from tap_zentra.singer.moments import gaps

if sys.version_info >= (3, 12):
    from typing import override
else:
    from typing_extensions import override

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from tap_zentra.calls.schedule import Turn
    from tap_zentra.singer.bookmarks import Bookmark


RECORDS_AT_ONCE = 300
"""Records that are built and written in one go: enough for speed, little enough for memory and for stopping.

Python looks for cycles whenever there are 700 objects more than at the last look. A record that has `extra` is two of
them, so 300 never make it look, which would take a fifth of the time.
"""


class Channel(NamedTuple):
    """What tells a sensor's channels from each other; empty texts for what the service does not tell."""

    port_number: int
    sub_sensor_index: int
    measurement: str
    sensor_name: str
    sensor_sn: str
    units: str


@dataclass(frozen=True)
class Sighting:
    """Readings of a channel that were read.

    Attributes:
        channel: Whose they are.
        moments: Of the first and the last one, in seconds since 1970; None: all are stamped in the future.
        mrids: Lowest and highest mrid; None where the API has none.
        depth: As the service writes it; None: it does not tell.
        precision: Decimal places of the last one; None likewise.
    """

    channel: Channel
    moments: tuple[int, int] | None
    mrids: tuple[int, int] | None = None
    depth: str | None = None
    precision: int | None = None


@dataclass(frozen=True)
class Part:
    """Some records of a page, which are written in one go.

    Attributes:
        records: They.
        bookmark: Tells where the device stands once they have been written; None: where it stood before, because
            records of later parts may come before these.
        sightings: Tells which sensors the readings are of that were read, written or not; called only where somebody
            wants to know, once the records have been written.
    """

    records: list[dict[str, Any]]
    bookmark: Callable[[], Bookmark | None] | None = None
    sightings: Callable[[], Iterable[Sighting]] = tuple


@dataclass(frozen=True, kw_only=True)
class Page(ABC):
    """A page of a device, decoded and found to be in order.

    A position is whatever the stream is read by: an mrid, or a moment in seconds since 1970.

    Attributes:
        positions: Lowest and highest position of what is new on it; None: nothing is.
        moments: When its records were made, read again or new, in their order, in seconds since 1970; without those
            that lie in the future.
        ahead: The latest of the moments that lie in the future, of what is new; None: there is none.
        rewritten: Records that were read again and are written again, because values came late or were corrected.
        warning: What a person should know of the page.
        went_back: The bookmark that the device's newest record was found to be behind; None: it was not.
        known: What stream `devices` is to tell of the device, by this page and those before; None: nothing is known.
    """

    positions: tuple[int, int] | None = None
    moments: Sequence[int] = ()
    ahead: int | None = None
    rewritten: int = 0
    warning: str | None = None
    went_back: int | None = None
    known: Mapping[str, Any] | None = None

    @abstractmethod
    def parts(self) -> Iterator[Part]:
        """Yield the records that are to be written, in parts, at least one: the last one has the page's bookmark."""


@dataclass(frozen=True, kw_only=True)
class WholePage(Page):
    """A page whose records come in no order, so that the bookmark moves once all have been written.

    Attributes:
        records: Makes the records that are to be written.
        bookmark: Where the device stands once the page has been written; None: it has no bookmark yet.
        sightings: Tells which channels it has readings of.
    """

    records: Callable[[], Iterator[dict[str, Any]]]
    bookmark: Bookmark | None
    sightings: Callable[[], Iterable[Sighting]] = tuple

    @override
    def parts(self) -> Iterator[Part]:
        records = self.records()
        while some := list(itertools.islice(records, RECORDS_AT_ONCE)):
            yield Part(some)
        yield Part([], lambda: self.bookmark, self.sightings)


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
        positions: Lowest and highest position of what was new; None: nothing was.
        gaps: Stretches of time without readings that have ended, in seconds.
        ahead: The latest moment, in the future, at which a clock that is wrong has stamped a new reading.
        rewritten: Records that were written again, because values came late or were corrected.
        went_back: The bookmark that the device's newest record was found to be behind; None: it was not.
        recent: When the last records were made that were read, in their order, in seconds since 1970.
        known: What stream `devices` tells of it beside the above.
    """

    turn: Turn
    bookmark: Bookmark | None = None
    newest: int | None = None
    pages: int = 0
    readings: int = 0
    positions: tuple[int, int] | None = None
    gaps: list[int] = field(default_factory=list)
    ahead: int | None = None
    rewritten: int = 0
    went_back: int | None = None
    recent: list[int] = field(default_factory=list)
    known: Mapping[str, Any] = field(default_factory=dict)

    def note(self, page: Page) -> None:
        """Take note of a page that is about to be written."""
        self.pages += 1
        self.rewritten += page.rewritten
        # With what came before, or one reading alone would not show how long is usual.
        moments = [*self.recent, *page.moments]
        self.gaps += gaps(moments, self.newest)
        self.recent = moments[-RECENT:]
        self.newest = max([*page.moments, *([] if self.newest is None else [self.newest])], default=None)
        self.went_back = page.went_back
        self.known = page.known or self.known
        if page.positions is not None:
            known = self.positions or page.positions
            self.positions = min(known[0], page.positions[0]), max(known[1], page.positions[1])
        if page.ahead is not None:
            self.ahead = max(self.ahead or 0, page.ahead)

    @property
    def outcome(self) -> Outcome:
        """What has become of it, should the run be over."""
        return self.turn.outcome


def outcome_of(turns: Sequence[DeviceProgress]) -> Outcome:
    """Return what became of a device, given each of its turns."""
    outcomes = {device.outcome for device in turns}
    for outcome in (Outcome.FAILED, Outcome.NOT_ASKED):
        if outcome in outcomes:
            return outcome
    return Outcome.CURRENT
