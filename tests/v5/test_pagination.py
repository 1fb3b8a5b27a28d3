"""MonthPaginator: where a page starts and where a device ends, with pages as plain values."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap_zentra.v5.pagination import EMPTY_PAGES_IN_A_ROW, MonthPaginator, NoProgressError, PageRequest


def _at(date: str) -> int:
    return int(datetime.fromisoformat(date).replace(tzinfo=UTC).timestamp())


JANUARY, FEBRUARY, MARCH, APRIL = (_at(f"2026-{month:02}-01") for month in range(1, 5))
LATE_JANUARY = _at("2026-01-20")
END = _at("2026-04-15T10:30:00")


# Where the first page starts


@pytest.mark.parametrize(
    ("start", "asked"), [(None, None), (0, 0), (LATE_JANUARY, LATE_JANUARY), (END, END), (END + 5, END)]
)
def test_the_first_page_is_asked_for_by_time(start: int | None, asked: int | None) -> None:
    """From a moment, or from the device's first reading; never from behind the end."""
    reader = MonthPaginator(start=start, end=END)

    assert reader.request == PageRequest(asked, END)
    assert (reader.position, reader.done) == (asked, False)


# From page to page


def test_pages_follow_each_other_by_token_until_there_is_none() -> None:
    """A token says it all; the start beside it is where to go on without it."""
    reader = MonthPaginator(start=None, end=END)
    reader.advance(LATE_JANUARY, "a")
    requests = [reader.request]
    reader.advance(FEBRUARY + 5, "b")
    requests.append(reader.request)
    assert not reader.done
    reader.advance(END, None)

    assert requests == [PageRequest(LATE_JANUARY, END, "a"), PageRequest(FEBRUARY + 5, END, "b")]
    assert reader.done


@pytest.mark.parametrize("token", [None, ""])
@pytest.mark.parametrize("newest", [None, END])
def test_a_page_without_a_token_is_the_last(token: str | None, newest: int | None) -> None:
    """Whether it holds anything or not."""
    reader = MonthPaginator(start=None, end=END)
    reader.advance(newest, token)

    assert reader.done


def test_an_empty_page_with_a_token_is_not_the_last() -> None:
    """Its month has been read, so that the way by time goes on behind it; never behind the end."""
    reader = MonthPaginator(start=LATE_JANUARY, end=END)
    positions = []
    for token in "abcde":
        reader.advance(None, token)
        positions.append(reader.request)

    assert [request.start for request in positions] == [FEBRUARY, MARCH, APRIL, END, END]
    assert [request.token for request in positions] == list("abcde")


def test_an_empty_page_at_the_end_of_a_year_is_followed_by_the_next_year() -> None:
    """December has a month after it."""
    reader = MonthPaginator(start=_at("2025-12-31T23:59:59"), end=END)
    reader.advance(None, "a")

    assert reader.position == JANUARY


def test_before_the_first_reading_nobody_knows_which_month_is_empty() -> None:
    """Then the way by time begins at the device's first reading still."""
    reader = MonthPaginator(start=None, end=END)
    reader.advance(None, "a")

    assert reader.request == PageRequest(None, END, "a")


def test_what_is_not_newer_moves_nothing_back() -> None:
    """A page of old readings counts as one that brings nothing."""
    reader = MonthPaginator(start=None, end=END)
    reader.advance(FEBRUARY + 9, "a")
    reader.advance(FEBRUARY + 5, "b")

    assert reader.position == MARCH


# No endless way


def test_the_same_token_twice_is_an_error() -> None:
    """Also with others in between: the same pages would come again."""
    reader = MonthPaginator(start=None, end=END)
    reader.advance(JANUARY, "a")
    reader.advance(FEBRUARY, "b")

    with pytest.raises(NoProgressError, match="the same next_token twice"):
        reader.advance(MARCH, "a")


@pytest.mark.parametrize("newest", [None, JANUARY])
def test_pages_without_end_that_bring_nothing_are_an_error(newest: int | None) -> None:
    """A service that always has a new token must not hold a run for ever: not with the same page either."""
    reader = MonthPaginator(start=JANUARY, end=END)
    for number in range(EMPTY_PAGES_IN_A_ROW):
        reader.advance(newest, f"token {number}")

    with pytest.raises(NoProgressError, match="1000 pages in a row contained nothing new"):
        reader.advance(newest, "one more")


def test_a_page_that_brings_something_ends_a_row_of_empty_ones() -> None:
    """Eighty years without a reading, twice."""
    reader = MonthPaginator(start=JANUARY, end=_at("2300-01-01"))
    for number in range(2 * EMPTY_PAGES_IN_A_ROW + 1):
        position = reader.position or 0
        reader.advance(position + 1 if number == EMPTY_PAGES_IN_A_ROW else None, f"token {number}")

    assert not reader.done


# A token that is refused


def test_a_refused_token_is_followed_by_a_range_from_the_last_page() -> None:
    """Without the token, from where everything before has been read."""
    reader = MonthPaginator(start=None, end=END)
    reader.advance(LATE_JANUARY, "a")

    assert reader.go_on_by_time()
    assert reader.request == PageRequest(LATE_JANUARY, END)
    assert not reader.done


def test_a_refused_token_behind_an_empty_page_is_followed_by_the_next_month() -> None:
    """The empty one is not asked for again."""
    reader = MonthPaginator(start=LATE_JANUARY, end=END)
    reader.advance(None, "a")

    assert reader.go_on_by_time()
    assert reader.request == PageRequest(FEBRUARY, END)


def test_what_is_refused_by_time_can_not_go_on_by_time() -> None:
    """Neither at the first page, nor after a token was refused."""
    reader = MonthPaginator(start=None, end=END)
    assert not reader.go_on_by_time()
    reader.advance(JANUARY, "a")
    assert reader.go_on_by_time()

    assert not reader.go_on_by_time()


def test_the_same_place_is_asked_for_by_time_once() -> None:
    """If its token is refused again, nothing is won; from another place it may help again."""
    reader = MonthPaginator(start=None, end=END)
    reader.advance(JANUARY, "a")
    assert reader.go_on_by_time()
    reader.advance(FEBRUARY, "b")
    assert reader.go_on_by_time()
    reader.position = JANUARY
    reader.request = PageRequest(JANUARY, END, "c")

    assert not reader.go_on_by_time()


def test_after_a_refusal_tokens_may_come_again() -> None:
    """Those of the new range are new, whatever they look like."""
    reader = MonthPaginator(start=None, end=END)
    reader.advance(JANUARY, "page 2")
    reader.go_on_by_time()
    reader.advance(FEBRUARY, "page 2")

    assert reader.request == PageRequest(FEBRUARY, END, "page 2")


# How much is left


def test_months_are_left_until_the_end() -> None:
    """Nobody knows before the first reading is known; the month at hand counts, a part of one as well."""
    reader = MonthPaginator(start=None, end=END)
    left = [reader.months_left]
    for newest, token in ((_at("2025-12-31"), "a"), (LATE_JANUARY, "b"), (None, "c"), (APRIL, "d"), (None, None)):
        reader.advance(newest, token)
        left.append(reader.months_left)

    assert left == [math.inf, 5, 4, 3, 1, 0]
    assert MonthPaginator(start=JANUARY, end=END).months_left == 4


# A model of the service


@dataclass
class Months:
    """A device's readings, served by months as nobody outside METER knows it exactly.

    Attributes:
        moments: When it has measured.
        empty_pages: Whether a month without readings is a page; else it is skipped.
        lifetime: Pages after which a range's tokens are refused; None: never.
        inclusive: Whether the end belongs to a range.
        calls: So many were made.
    """

    moments: list[int]
    empty_pages: bool
    lifetime: int | None
    inclusive: bool
    calls: int = 0
    _ranges: list[tuple[list[list[int]], int]] = field(default_factory=list)

    def page(self, request: PageRequest) -> tuple[list[int], str | None] | None:
        """Return the moments of a page and the next token; None: the token is refused."""
        self.calls += 1
        if request.token is None:
            self._ranges.append((self._months(request), 0))
            number, index = len(self._ranges) - 1, 0
        else:
            number, index = map(int, request.token.split("/"))
            if self.lifetime is not None and index > self.lifetime:
                return None
        months, _ = self._ranges[number]
        return months[index], f"{number}/{index + 1}" if index + 1 < len(months) else None

    def _months(self, request: PageRequest) -> list[list[int]]:
        start = request.start if request.start is not None else min(self.moments, default=request.end)
        end = request.end + 1 if self.inclusive else request.end  # a second more is asked for
        wanted = [moment for moment in self.moments if start <= moment <= end]
        months: dict[tuple[int, int], list[int]] = {}
        if self.empty_pages:
            first, last = (datetime.fromtimestamp(moment, UTC) for moment in (min(start, end), end))
            for month in range(first.year * 12 + first.month - 1, last.year * 12 + last.month):
                months[divmod(month, 12)] = []
        for moment in wanted:
            date = datetime.fromtimestamp(moment, UTC)
            months.setdefault((date.year, date.month - 1), []).append(moment)
        return list(months.values()) or [[]]


def _read(service: Months, start: int | None, end: int) -> list[int]:
    """Read a device to its end; fail if that takes more calls than any right way does."""
    reader = MonthPaginator(start=start, end=end)
    read: list[int] = []
    first = 0 if start is None else start
    while not reader.done:
        assert service.calls < 500
        page = service.page(reader.request)
        if page is None:
            assert reader.go_on_by_time()
            first = max([first, *(moment + 1 for moment in read)])
            continue
        kept = [moment for moment in page[0] if first <= moment <= end]
        reader.advance(max(kept, default=None), page[1])
        read += kept
    return read


MOMENTS = st.lists(st.integers(_at("2024-11-01"), END + 5), unique=True, max_size=25).map(sorted) | st.lists(
    st.sampled_from(
        [boundary + offset for boundary in (JANUARY, FEBRUARY, MARCH, APRIL, END) for offset in (-1, 0, 1)]
    ),
    unique=True,
).map(sorted)


@given(
    moments=MOMENTS,
    start=st.none() | st.integers(_at("2024-10-01"), END) | st.sampled_from([JANUARY, FEBRUARY - 1, END]),
    lifetime=st.none() | st.integers(1, 4),
    empty_pages=st.booleans(),
    inclusive=st.booleans(),
)
def test_everything_is_read_once_and_the_way_ends(
    moments: list[int], start: int | None, lifetime: int | None, *, empty_pages: bool, inclusive: bool
) -> None:
    """Whether empty months are pages or not, and however soon the service forgets its tokens."""
    service = Months(moments, empty_pages, lifetime, inclusive)
    wanted = [moment for moment in moments if (start or 0) <= moment <= END]

    assert _read(service, start, END) == wanted


@given(
    moments=MOMENTS,
    start=st.none() | st.integers(_at("2024-10-01"), END),
    empty_pages=st.booleans(),
    steps=st.lists(st.booleans(), max_size=200),
)
def test_a_service_that_forgets_every_token_ends_a_device(
    moments: list[int], start: int | None, steps: list[bool], *, empty_pages: bool
) -> None:
    """Or lets it get to its end; never does it go on for ever, whichever tokens are refused."""
    service = Months(moments, empty_pages, None, inclusive=True)
    reader = MonthPaginator(start=start, end=END)
    pattern = steps or [True]
    for number in range(1000):
        if reader.done:
            return
        is_refused = reader.request.token is not None and pattern[number % len(pattern)]
        page = None if is_refused else service.page(reader.request)
        if page is None:
            if not reader.go_on_by_time():
                return
        else:
            reader.advance(max(page[0], default=None), page[1])
    pytest.fail("it goes on for ever")
