"""What the service may be: records of a device, and every way in which it may answer, as plain values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tap_zentra.singer.moments import DAY
from tap_zentra.v4.pagination import Order

if TYPE_CHECKING:
    from tap_zentra.v4.pagination import MridPaginator, PageRequest

SORTINGS = ("mrid", "time", "descending")
"""By what a service may sort: as asked for, by time, or always descending."""


@dataclass
class PagedService:
    """What the service has of a device, and how it answers, whichever of the possible services it is.

    Attributes:
        records: mrid -> moment.
        page_size: Records of a page.
        pages_hold_ids: A page of N is the next N ids and not the next N records.
        sorting: One of `SORTINGS`.
        page_days: A page also ends so many days after its start; 0: it doesn't.
        offset: Seconds that the device's local time is ahead of UTC.
        date_answers_lack: Seconds up to the newest record that answers to dates lack.
    """

    records: dict[int, int]
    page_size: int
    pages_hold_ids: bool = False
    sorting: str = "mrid"
    page_days: int = 0
    offset: int = 0
    date_answers_lack: int = 0
    calls: int = 0
    kept: list[int] = field(default_factory=list)

    def answer(self, request: PageRequest) -> tuple[int | None, list[int]]:
        """Return the newest record's mrid, and the page that was asked for in its order."""
        self.calls += 1
        if request.start_date is not None:
            start = request.start_date - self.offset
            end = max(self.records.values(), default=0) - self.date_answers_lack
            found = [mrid for mrid, moment in self.records.items() if start <= moment <= end]
            first = min(found, default=0)
        else:
            first = request.start_mrid or 0
            start = self._start_of_page(first)
            found = [mrid for mrid in self.records if mrid >= first]
        if request.end_mrid is not None:
            found = [mrid for mrid in found if mrid <= request.end_mrid]
        if self.page_days and self.sorting != "descending":
            midnight = (start // DAY + self.page_days + 1) * DAY
            found = [mrid for mrid in found if self.records[mrid] < midnight]
        if self.pages_hold_ids and self.sorting != "descending":
            found = [mrid for mrid in found if mrid < first + (request.per_page or self.page_size)]
        if self.sorting == "time":
            found.sort(key=lambda mrid: (self.records[mrid], mrid))
        else:
            found.sort(reverse=self.sorting == "descending")
        return max(self.records, default=None), found[: request.per_page or self.page_size]

    def _start_of_page(self, start_mrid: int) -> int:
        before = max((mrid for mrid in self.records if mrid < start_mrid), default=None)
        return self.records[min(self.records, default=0) if before is None else before] if self.records else 0

    def read(self, reader: MridPaginator, most_calls: int) -> None:
        """Read the device to its end, as the tap does."""
        while not reader.done:
            assert self.calls < most_calls
            newest, mrids = self.answer(reader.request)
            page = {mrid: self.records[mrid] for mrid in mrids}
            before = reader.position
            step = reader.advance(newest, page, order=order_of(mrids, self.records))
            self.kept += [mrid for mrid in sorted(page) if step.keeps(mrid)]
            assert step.bookmark is None or step.bookmark == reader.bookmark
            assert (reader.records_left > 0) is not reader.done
            assert reader.position >= before or step.below_mrid == 0


def order_of(mrids: list[int], records: dict[int, int]) -> Order:
    """Return in which order the records of a page came."""
    moments = [records[mrid] for mrid in mrids]
    if mrids == sorted(mrids):
        return Order.MRID
    return Order.TIME if moments == sorted(moments) else Order.OTHER
