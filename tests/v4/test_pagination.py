"""MridPaginator: where a page starts and where a device ends, with pages as plain values."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tap_zentra.singer.moments import DAY
from tap_zentra.v4.pagination import MridPaginator, NoProgressError, Order, PageRequest, Step
from tests.v4.service import SORTINGS, PagedService

if TYPE_CHECKING:
    from collections.abc import Mapping

INTERVAL = 900
"""Seconds from one record to the next."""


def _records(first: int, last: int, *more: int) -> dict[int, int]:
    """Return the records from one mrid to another, each 15 minutes after the one before."""
    return {mrid: mrid * INTERVAL for mrid in (*range(first, last + 1), *more)}


NOW = 1_000_000_000
"""When all runs begin, in seconds since 1970."""


def _reader(
    *,
    bookmark: int | None = None,
    page_size: int = 10,
    lookback: int = 0,
    start: int | None = None,
    end: int | None = None,
    newest: int | None = None,
    now: float = NOW,
) -> MridPaginator:
    reread_from = None if bookmark is None else max(0, bookmark + 1 - lookback)
    return MridPaginator(
        bookmark=bookmark, page_size=page_size, now=now, reread_from=reread_from, start=start, end=end, newest=newest
    )


def _kept(step: Step, records: Mapping[int, int]) -> list[int]:
    """Return the mrids of a page that a step keeps."""
    return sorted(mrid for mrid in records if step.keeps(mrid))


# How much the next page may hold


def test_before_the_first_response_what_is_read_again_and_one_record_a_minute_are_expected() -> None:
    """No device measures more often, so that an idle fleet is asked all at once."""
    assert _reader(bookmark=1000, lookback=200, newest=NOW - 3600).records_expected == 200 + 60
    assert _reader(bookmark=1000, lookback=200, newest=NOW + 3600).records_expected == 200  # a clock that is wrong


def test_after_a_response_as_many_as_are_left_are_expected() -> None:
    """The service says on each page what the newest record is."""
    reader = _reader(bookmark=0, newest=NOW)
    reader.advance(25, _records(1, 10))

    assert reader.records_expected == 15


@pytest.mark.parametrize("known", [{}, {"bookmark": 7}, {"start": 864_000}])
def test_else_nobody_knows_how_many_to_expect(known: dict[str, Any]) -> None:
    """In a first sync, from a state that does not know the newest reading, and behind a date."""
    assert _reader(**known).records_expected == math.inf


# Where the first page starts


def test_a_first_sync_starts_at_the_first_record() -> None:
    """Without a bookmark and without a start date a device is read from its first record."""
    reader = _reader()

    assert reader.request == PageRequest(start_mrid=0)
    assert not reader.done
    assert reader.bookmark is None
    assert reader.records_left == math.inf
    assert reader.went_back is None


def test_a_first_sync_with_start_date_asks_from_a_day_earlier() -> None:
    """The service takes the device's local time, which is less than a day from UTC."""
    assert _reader(start=864_000).request == PageRequest(start_date=777_600)


def test_a_start_date_near_1970_asks_from_1970() -> None:
    """There is no moment before 1970 to ask from."""
    assert _reader(start=100).request == PageRequest(start_date=0)


@pytest.mark.parametrize(
    ("bookmark", "lookback", "start_mrid"),
    [(112799, 0, 112800), (0, 0, 1), (100, 10, 91), (100, 101, 0), (100, 5000, 0), (0, 1, 0)],
)
def test_a_later_sync_starts_behind_the_bookmark(bookmark: int, lookback: int, start_mrid: int) -> None:
    """The first mrid asked for is bookmark + 1, or as far before it as is to be looked back."""
    assert _reader(bookmark=bookmark, lookback=lookback).request == PageRequest(start_mrid=start_mrid)


def test_nothing_is_read_again_unless_asked_for() -> None:
    """Without a lookback the first new record is the first one asked for."""
    assert MridPaginator(bookmark=100, page_size=10, now=NOW).request == PageRequest(start_mrid=101)


def test_a_bookmark_wins_over_start_date() -> None:
    """A device that has a bookmark goes on from it, and none of its readings is left out as too old."""
    reader = _reader(bookmark=0, start=10 * DAY)

    assert reader.request == PageRequest(start_mrid=1)
    assert _kept(reader.advance(5, _records(1, 5)), _records(1, 5)) == [1, 2, 3, 4, 5]


def test_without_a_start_date_no_reading_is_too_old() -> None:
    """Readings of a device whose clock stands at 1970 are readings."""
    assert _reader().advance(3, _records(0, 3)) == Step(from_mrid=0, bookmark=3)


# From page to page


def test_pages_follow_each_other_by_mrid() -> None:
    """A page starts at the last mrid read + 1, until a page holds the newest record; then no call is made."""
    reader = _reader(bookmark=0)

    assert reader.advance(25, _records(1, 10)) == Step(from_mrid=1, bookmark=10)
    assert (reader.done, reader.request, reader.records_left) == (False, PageRequest(start_mrid=11), 15)
    assert reader.advance(25, _records(11, 20)) == Step(from_mrid=11, bookmark=20)
    assert (reader.done, reader.request, reader.records_left) == (False, PageRequest(start_mrid=21), 5)
    assert reader.advance(25, _records(21, 25)) == Step(from_mrid=21, bookmark=25)
    assert (reader.done, reader.records_left) == (True, 0)
    assert reader.bookmark == 25


def test_a_full_last_page_is_not_followed_by_an_empty_one() -> None:
    """A device of exactly two pages costs two calls."""
    reader = _reader(bookmark=0)
    reader.advance(20, _records(1, 10))

    assert not reader.done

    reader.advance(20, _records(11, 20))

    assert reader.done


def test_the_order_within_an_answer_does_not_matter() -> None:
    """Entries come one measurement after the other, so records are not in mrid order."""
    reader = _reader(bookmark=0)

    assert reader.advance(12, dict(reversed(_records(1, 10).items()))) == Step(from_mrid=1, bookmark=10)
    assert reader.request == PageRequest(start_mrid=11)


def test_records_that_arrive_while_reading_are_read() -> None:
    """`max_mrid` is taken from each answer anew."""
    reader = _reader(bookmark=0)
    reader.advance(12, _records(1, 10))
    reader.advance(14, _records(11, 13))

    assert (reader.done, reader.request) == (False, PageRequest(start_mrid=14))


def test_records_newer_than_max_mrid_are_kept_and_end_the_device() -> None:
    """A record that came in after `max_mrid` was looked up is a record."""
    reader = _reader(bookmark=0)

    assert reader.advance(3, _records(1, 5)) == Step(from_mrid=1, bookmark=5)
    assert reader.done


def test_nothing_new_is_the_end() -> None:
    """An empty page behind the newest record leaves the bookmark."""
    reader = _reader(bookmark=100)

    assert reader.advance(100, {}) == Step(bookmark=100)
    assert (reader.done, reader.bookmark) == (True, 100)


def test_a_device_without_records_is_at_its_end() -> None:
    """`max_mrid` is null on a device that has sent nothing yet."""
    reader = _reader()

    assert reader.advance(None, {}) == Step()
    assert (reader.done, reader.bookmark, reader.records_left) == (True, None, 0)


def test_a_device_that_lost_its_records_is_told_of() -> None:
    """No records at all where there were some: the bookmark stays, and a person is told."""
    reader = _reader(bookmark=100)
    step = reader.advance(None, {})

    assert step == Step(bookmark=100, warning="the device has no records, but mrid 100 was read earlier")
    assert (reader.done, reader.bookmark, reader.records_left) == (True, 100, 0)
    assert reader.went_back == 100


def test_records_without_max_mrid_are_refused() -> None:
    """An answer that contradicts itself is an error of that device."""
    with pytest.raises(NoProgressError, match=r"^the response has records, but its pagination\.max_mrid is null$"):
        _reader(bookmark=0).advance(None, _records(1, 3))


@pytest.mark.parametrize("records", [_records(1, 10), _records(91, 100), _records(100, 110)])
def test_an_answer_that_ignores_start_mrid_is_refused(records: dict[int, int]) -> None:
    """Never go on without progress: one record below the mrid asked for is enough."""
    with pytest.raises(NoProgressError, match=r"ignores start_mrid: requested mrid 101 and up, got mrid \d+"):
        _reader(bookmark=100).advance(200, records)


def test_lookback_moves_no_bookmark_back() -> None:
    """Records that are read again come before the bookmark, which stays until newer ones arrive."""
    reader = _reader(bookmark=100, lookback=15)

    assert reader.advance(103, _records(86, 95)) == Step(from_mrid=86, bookmark=100)
    assert (reader.request, reader.position) == (PageRequest(start_mrid=96), 96)
    assert reader.advance(103, _records(96, 103)) == Step(from_mrid=96, bookmark=103)
    assert reader.done


# Holes in the mrids, and empty pages


def test_a_short_page_is_not_the_end() -> None:
    """After a short page go on from its highest mrid + 1, not from a full page on."""
    reader = _reader(bookmark=0)

    assert reader.advance(30, _records(1, 3)) == Step(from_mrid=1, bookmark=3)
    assert reader.request == PageRequest(start_mrid=4)


def test_behind_an_empty_page_the_next_record_is_looked_for_by_date() -> None:
    """Its page may have ended at a date: from a day before the last readings, in steps of less than such a page."""
    reader = _reader(bookmark=0, now=60 * DAY)
    reader.advance(40, {1: 3 * DAY, 2: 4 * DAY, 3: 5 * DAY})
    asked = []
    for _ in range(3):
        asked.append((reader.request, reader.done))
        step = reader.advance(40, {})

        assert step == Step(below_mrid=0, bookmark=3)

    assert asked == [
        (PageRequest(start_mrid=4), False),
        (PageRequest(start_date=3 * DAY, per_page=2000), False),
        (PageRequest(start_date=23 * DAY, per_page=2000), False),
    ]
    assert reader.request == PageRequest(start_date=43 * DAY, per_page=2000)


def test_one_wrong_clock_does_not_mislead_the_search_by_date() -> None:
    """It begins by the last readings and not by the very last, which may have been stamped years off."""
    for wrong in (0, 900 * DAY):
        reader = _reader(bookmark=0)
        reader.advance(40, {1: 500 * DAY, 2: 501 * DAY, 3: wrong})
        reader.advance(40, {})

        assert reader.request.start_date in {499 * DAY, 500 * DAY}


def test_what_a_date_finds_is_new_and_the_way_goes_on_by_mrid() -> None:
    """Of a page by date only what was not read yet is kept."""
    reader = _reader(bookmark=0)
    reader.advance(40, {1: 3 * DAY, 2: 4 * DAY, 3: 5 * DAY})
    reader.advance(40, {})
    found = {2: 4 * DAY, 3: 5 * DAY, 12: 40 * DAY, 13: 41 * DAY}

    assert reader.advance(40, found) == Step(from_mrid=4, bookmark=13)
    assert (reader.request, reader.position) == (PageRequest(start_mrid=14), 14)


def test_a_page_by_date_that_is_full_of_what_is_known_moves_the_date_on() -> None:
    """By as much time as the page holds, and by a minute at least, so that nothing is passed over."""
    reader = _reader(bookmark=0, page_size=3)
    known = {1: 10 * DAY, 2: 10 * DAY + 90, 3: 10 * DAY + 3661}
    reader.advance(40, known)
    reader.advance(40, {})
    asked = [reader.request]
    reader.advance(40, known, per_page=3)
    asked.append(reader.request)
    reader.advance(40, dict.fromkeys(known, 10 * DAY), per_page=3)
    asked.append(reader.request)

    assert [request.start_date for request in asked] == [9 * DAY + seconds for seconds in (90, 3750, 3810)]


def test_a_date_is_asked_for_until_a_day_ahead_of_the_run() -> None:
    """To the second, because the service's day may have begun before ours; and never one before 1970."""
    asked = []
    for now in (22 * DAY - 1, 22 * DAY):
        reader = _reader(bookmark=3, newest=4 * DAY, now=now)
        reader.advance(40, {})
        reader.advance(40, {})
        asked.append(reader.request)
    early = _reader(bookmark=3, newest=5)
    early.advance(40, {})

    assert asked == [PageRequest(start_mrid=14), PageRequest(start_date=23 * DAY, per_page=2000)]
    assert early.request.start_date == 0


def test_past_the_present_the_next_record_is_looked_for_by_mrid() -> None:
    """No date is left to ask for, so the ids that a page would hold are skipped; then dates are not asked for again."""
    reader = _reader(bookmark=0, now=6 * DAY)
    reader.advance(40, {1: 3 * DAY, 2: 4 * DAY, 3: 5 * DAY})
    reader.advance(40, {})
    asked = []
    for _ in range(3):
        reader.advance(40, {})
        asked.append(reader.request)

    assert asked == [PageRequest(start_mrid=mrid) for mrid in (14, 24, 34)]
    assert reader.advance(40, {35: 6 * DAY, 40: 6 * DAY}) == Step(from_mrid=34, bookmark=40)
    assert reader.done


def test_a_newest_record_that_does_not_come_is_told_of() -> None:
    """When even the newest record is not there, the bookmark stays where it is, and a person is told."""
    reader = _reader(bookmark=0)

    assert reader.advance(14, {}) == Step(below_mrid=0, bookmark=0)
    assert reader.advance(14, {}) == Step(
        below_mrid=0,
        bookmark=0,
        warning="its newest record is mrid 14, but the service returned nothing after mrid 0; "
        "the next sync will try again",
    )
    assert (reader.done, reader.bookmark) == (True, 0)


def test_a_device_that_brings_no_record_at_all_is_told_of() -> None:
    """A first sync without the newest record, which the service says there is, is not one without news."""
    reader = _reader()
    reader.advance(10, {})

    assert reader.request == PageRequest(start_mrid=10)
    assert reader.advance(10, {}) == Step(
        below_mrid=0,
        warning="its newest record is mrid 10, but the service returned no records; the next sync will try again",
    )
    assert (reader.done, reader.bookmark) == (True, None)


def test_the_moment_of_the_bookmark_may_come_from_an_earlier_sync() -> None:
    """The first page of a sync may be the empty one."""
    reader = _reader(bookmark=3, newest=5 * DAY)
    reader.advance(40, {})

    assert reader.request == PageRequest(start_date=4 * DAY, per_page=2000)


def test_nothing_new_behind_what_is_read_again_is_the_end() -> None:
    """An empty answer although records up to the bookmark were asked for: they are gone, and nothing is new."""
    reader = _reader(bookmark=100, lookback=50, newest=5 * DAY)

    assert reader.advance(100, {}) == Step(bookmark=100)
    assert reader.done


@pytest.mark.parametrize(("per_page", "start_mrid"), [(None, 11), (0, 11), (1, 2), (4, 5), (10, 11), (11, 11), (-3, 2)])
def test_an_empty_page_is_as_large_as_the_service_lets_pages_be(per_page: int | None, start_mrid: int) -> None:
    """Skipping more than was looked at would lose what comes behind it; skipping nothing would never end."""
    reader = _reader(bookmark=0)
    reader.advance(40, {}, per_page=per_page)

    assert reader.request == PageRequest(start_mrid=start_mrid)


def test_a_device_that_brings_only_empty_pages_is_given_up() -> None:
    """A run always ends, even if the newest record is said to be far away; the message says how far it came."""
    reader = _reader(bookmark=0, page_size=1)
    for _ in range(1000):
        reader.advance(10**9, {})

    with pytest.raises(NoProgressError) as caught:
        reader.advance(10**9, {})

    assert str(caught.value) == (
        "1000 empty pages in a row up to mrid 1001, although the newest record is mrid 1000000000"
    )


def test_a_record_makes_empty_pages_forgotten() -> None:
    """A device may pause as often as it likes; only empty pages without a record among them count."""
    reader = _reader(bookmark=0, page_size=1, now=0)
    for _ in range(1000):
        reader.advance(10**9, {})
    reader.advance(10**9, _records(1001, 1001))
    for _ in range(1000):
        reader.advance(10**9, {})

    assert not reader.done


# The order of a page


@pytest.mark.parametrize("order", [Order.TIME, Order.OTHER])
def test_order_does_not_matter_where_nothing_can_be_missing(order: Order) -> None:
    """A page that is not full and holds the newest record holds all."""
    reader = _reader(bookmark=0)

    assert reader.advance(9, _records(1, 5, 9), order=order) == Step(from_mrid=1, bookmark=9)
    assert reader.done


@pytest.mark.parametrize("order", [Order.TIME, Order.OTHER])
@pytest.mark.parametrize("records", [_records(31, 40), _records(36, 40)])
def test_a_service_that_ignores_sort_by_is_read_by_ranges(order: Order, records: dict[int, int]) -> None:
    """Of a range no record can be missing; nothing is kept of the page that showed it, and it costs one call."""
    reader = _reader(bookmark=0)

    assert reader.advance(50, records, order=order) == Step(below_mrid=0, bookmark=0)
    assert reader.request == PageRequest(start_mrid=1, end_mrid=10)
    assert reader.advance(50, _records(1, 10), order=order) == Step(from_mrid=1, bookmark=10)
    assert reader.request == PageRequest(start_mrid=11, end_mrid=20)
    assert reader.advance(50, _records(11, 13), order=order) == Step(from_mrid=11, bookmark=13)
    assert reader.request == PageRequest(start_mrid=14, end_mrid=23)


def test_a_range_is_no_longer_than_the_service_lets_pages_be() -> None:
    """Or the newest records of a range would look like all of it."""
    reader = _reader(bookmark=0)
    reader.advance(50, _records(46, 50), order=Order.OTHER, per_page=5)

    assert reader.request == PageRequest(start_mrid=1, end_mrid=5)


def test_a_service_that_ignores_both_is_refused() -> None:
    """Never go on where records may be missing, and never in circles."""
    reader = _reader(bookmark=0)
    reader.advance(50, _records(41, 50), order=Order.OTHER)

    with pytest.raises(NoProgressError) as caught:
        reader.advance(50, _records(41, 50), order=Order.OTHER)

    assert str(caught.value) == "the response ignores sort_by and end_mrid: requested mrid 1 to 10, got mrid 50"


def test_a_first_sync_by_date_is_read_by_ranges_too() -> None:
    """Of a page of the newest records nobody knows whether its first one is the first that counts."""
    reader = _reader(start=5 * INTERVAL)
    reader.advance(50, _records(41, 50), order=Order.OTHER)

    assert reader.request == PageRequest(start_mrid=0, end_mrid=9)
    assert _kept(reader.advance(50, _records(1, 9), order=Order.OTHER), _records(1, 9)) == [5, 6, 7, 8, 9]
    assert reader.request == PageRequest(start_mrid=10, end_mrid=19)


def test_a_page_by_date_that_begins_before_start_date_is_kept_in_any_order() -> None:
    """Then the first record that counts is on it."""
    reader = _reader(start=45 * INTERVAL)
    step = reader.advance(50, _records(41, 50), order=Order.OTHER)

    assert (_kept(step, _records(41, 50)), reader.done) == ([45, 46, 47, 48, 49, 50], True)


def test_a_page_by_date_of_the_newest_records_ends_no_search() -> None:
    """What it brings is new, and not the next."""
    reader = _reader(bookmark=0, now=10 * DAY)
    reader.advance(100, {1: 3 * DAY, 2: 4 * DAY, 3: 5 * DAY})
    reader.advance(100, {})

    step = reader.advance(100, dict.fromkeys(range(91, 101), 9 * DAY), order=Order.OTHER, per_page=10)

    assert step == Step(below_mrid=0, bookmark=3)
    assert reader.request == PageRequest(start_mrid=14, end_mrid=23)


def test_behind_a_missing_mrid_a_device_is_read_by_ranges() -> None:
    """Sorted by time, a full page may leave a lower mrid for later: it ends before one id that is missing."""
    reader = _reader(bookmark=0, page_size=4)
    page = {1: 100, 2: 200, 4: 300, 5: 400}

    assert _kept(reader.advance(50, page), page) == [1, 2]
    assert (reader.bookmark, reader.request) == (2, PageRequest(start_mrid=3, end_mrid=6))
    assert reader.advance(50, {4: 300, 6: 350}) == Step(from_mrid=3, bookmark=6)
    assert reader.request == PageRequest(start_mrid=7, end_mrid=10)


def test_where_the_next_mrid_is_missing_a_range_begins_with_it() -> None:
    """Nothing is kept of a page that does not begin with what comes next."""
    reader = _reader(bookmark=0, page_size=3)
    reader.advance(50, _records(1, 3))

    assert reader.advance(50, _records(5, 7)) == Step(below_mrid=0, bookmark=3)
    assert reader.request == PageRequest(start_mrid=4, end_mrid=6)


def test_where_a_history_begins_late_one_page_before_its_first_record_is_looked_at() -> None:
    """A clock that was ahead may have hidden the very first records; what was lost long ago is not looked for."""
    reader = _reader(page_size=3)
    reader.advance(50, _records(11, 13))
    assert reader.request == PageRequest(start_mrid=8, end_mrid=10)

    reader.advance(50, {10: 900 * DAY})
    assert (reader.bookmark, reader.request) == (10, PageRequest(start_mrid=11, end_mrid=13))


def test_a_history_that_begins_with_mrid_1_is_whole() -> None:
    """There is no mrid 0, so nobody looks for it."""
    reader = _reader(page_size=3)

    assert reader.advance(50, _records(1, 3)) == Step(from_mrid=0, bookmark=3)
    assert reader.request == PageRequest(start_mrid=4)


def test_a_page_that_holds_all_may_have_holes() -> None:
    """A page that is not full and has the newest record has all: mrids that were never used are normal."""
    reader = _reader(bookmark=10)

    assert reader.advance(40, _records(12, 14, 33, 40)) == Step(from_mrid=11, bookmark=40)
    assert reader.done


def test_behind_start_date_a_missing_mrid_is_looked_for_too() -> None:
    """As everywhere; also where the first record that counts comes on a page that was asked for by mrid."""
    reader = _reader(start=100 * INTERVAL, page_size=4)
    reader.advance(500, _records(90, 93))
    page = _records(99, 101, 103)
    step = reader.advance(500, page)

    assert (_kept(step, page), reader.request) == ([100, 101], PageRequest(start_mrid=102, end_mrid=105))


def test_where_all_is_read_by_range_an_empty_one_may_have_ended_at_a_date() -> None:
    """So a date is asked for, as behind any empty page."""
    reader = _reader(bookmark=0)
    reader.advance(50, _records(36, 40), order=Order.TIME)
    reader.advance(50, _records(1, 10), order=Order.TIME)
    reader.advance(50, {})

    assert reader.request == PageRequest(start_date=0, per_page=2000)


# max_mrid below the bookmark


@pytest.mark.parametrize(("bookmark", "max_mrid"), [(100, 1), (100, 10), (11, 10), (1, 0)])
def test_a_short_history_below_the_bookmark_is_read_again(bookmark: int, max_mrid: int) -> None:
    """Up to one page of records costs one call to read again, so it is read again, with a warning."""
    reader = _reader(bookmark=bookmark)
    step = reader.advance(max_mrid, {})

    assert step == Step(below_mrid=0, warning=step.warning)
    assert step.warning == (
        f"its newest record is mrid {max_mrid}, but mrid {bookmark} was read earlier; "
        "the device may have been wiped or replaced; re-reading it from its first record"
    )
    assert (reader.done, reader.request) == (False, PageRequest(start_mrid=0))
    assert (reader.records_left, reader.went_back) == (max_mrid + 1, bookmark)
    assert reader.advance(max_mrid, _records(0, max_mrid)) == Step(from_mrid=0, bookmark=max_mrid)
    assert reader.done


@pytest.mark.parametrize(("bookmark", "max_mrid"), [(1000, 11), (1000, 989), (22, 11)])
def test_a_deep_drop_is_a_wipe(bookmark: int, max_mrid: int) -> None:
    """A drop of more than a page means that the device was wiped or replaced: read again from the start."""
    reader = _reader(bookmark=bookmark)
    step = reader.advance(max_mrid, {})

    assert step.warning is not None
    assert "the device was wiped or replaced; re-reading it from its first record" in step.warning
    assert (step.below_mrid, step.bookmark) == (0, None)
    assert (reader.done, reader.request) == (False, PageRequest(start_mrid=0))


@pytest.mark.parametrize(("bookmark", "max_mrid"), [(1000, 999), (1000, 990), (21, 11)])
def test_a_small_drop_is_lag(bookmark: int, max_mrid: int) -> None:
    """A service that lags behind itself has nothing new: the bookmark stays and nothing is read again."""
    reader = _reader(bookmark=bookmark)
    step = reader.advance(max_mrid, {})

    assert step == Step(below_mrid=0, bookmark=bookmark, warning=step.warning)
    assert step.warning is not None
    assert "the service is probably behind; nothing new was read" in step.warning
    assert (reader.done, reader.bookmark, reader.records_left) == (True, bookmark, 0)
    assert reader.went_back == bookmark


def test_what_came_with_a_drop_is_left_out() -> None:
    """The page that shows a wipe is not written: its records come again from the start."""
    step = _reader(bookmark=1000).advance(50, _records(1, 10))

    assert step.below_mrid == 0


def test_a_wiped_device_is_read_whole_again() -> None:
    """After starting over all pages follow, and the bookmark counts anew."""
    reader = _reader(bookmark=1000)
    reader.advance(25, {})

    assert reader.advance(25, _records(1, 10)) == Step(from_mrid=0, bookmark=10)
    assert reader.advance(25, _records(11, 20)) == Step(from_mrid=11, bookmark=20)
    assert reader.advance(25, _records(21, 25)) == Step(from_mrid=21, bookmark=25)
    assert reader.done


def test_starting_over_happens_once() -> None:
    """A service that keeps contradicting itself is an error of that device, not a loop."""
    reader = _reader(bookmark=1000)
    reader.advance(25, {})
    reader.advance(25, _records(1, 10))

    with pytest.raises(NoProgressError, match="has already started over from the device's first record"):
        reader.advance(5, {})


# start_date


def test_records_before_start_date_are_left_out() -> None:
    """The day asked for too early is left out; from the second page on the way is by mrid."""
    reader = _reader(start=500 * INTERVAL)

    assert reader.advance(520, _records(496, 505)) == Step(from_mrid=500, bookmark=505)
    assert reader.request == PageRequest(start_mrid=506)
    assert reader.advance(520, _records(506, 515)) == Step(from_mrid=506, bookmark=515)


def test_before_start_date_there_is_no_bookmark() -> None:
    """A first sync that is cut off before it reached start_date must not go on without it."""
    reader = _reader(start=500 * INTERVAL)

    assert reader.advance(520, _records(404, 413)) == Step(below_mrid=0, bookmark=None)
    assert reader.request == PageRequest(start_mrid=414)


def test_behind_the_first_record_that_counts_no_clock_counts() -> None:
    """Records that an unset clock stamped 2010 in mid-history are kept like all others."""
    reader = _reader(start=500 * INTERVAL)
    reader.advance(520, _records(404, 413))
    page = {**_records(414, 423), **dict.fromkeys((418, 419), 7), 416: 600 * INTERVAL}

    assert _kept(reader.advance(520, page), page) == [416, 417, 418, 419, 420, 421, 422, 423]
    assert _kept(reader.advance(520, _records(424, 433)), _records(424, 433)) == list(range(424, 434))


def test_what_a_date_has_hidden_is_read_by_mrid() -> None:
    """A query by date lacks what a wrong clock stamped elsewhere: its page counts up to the first hole."""
    reader = _reader(start=500 * INTERVAL)
    step = reader.advance(520, _records(496, 503, 507, 508))

    assert _kept(step, _records(496, 508)) == [500, 501, 502, 503]
    assert (step.bookmark, reader.request) == (503, PageRequest(start_mrid=504))
    assert _kept(reader.advance(520, _records(504, 513)), _records(504, 513)) == list(range(504, 514))


def test_a_hole_just_behind_the_first_record_that_counts_ends_the_page() -> None:
    """Be it of one id only; and where the service ignores sort_by, ranges follow."""
    reader = _reader(start=500 * INTERVAL)
    page = _records(498, 500, 502, 503)
    step = reader.advance(503, page, order=Order.OTHER)

    assert (_kept(step, page), reader.request) == ([500], PageRequest(start_mrid=501, end_mrid=510))


def test_holes_before_the_first_record_that_counts_are_left_alone() -> None:
    """What may be missing there is not wanted."""
    reader = _reader(start=500 * INTERVAL)

    assert _kept(reader.advance(520, _records(500, 508, 491)), _records(491, 508)) == list(range(500, 509))


def test_a_day_ahead_of_the_run_still_counts() -> None:
    """To the second."""
    reader = _reader(start=500 * INTERVAL)

    assert _kept(reader.advance(9, {8: NOW + DAY, 9: NOW}), {8: 0, 9: 0}) == [8, 9]


def test_a_page_that_begins_at_start_date_may_not_be_its_beginning() -> None:
    """Where the service ignores sort_by, only a record before `start_date` shows that nothing is missing."""
    reader = _reader(start=41 * INTERVAL)
    reader.advance(50, _records(41, 50), order=Order.OTHER)

    assert reader.request == PageRequest(start_mrid=0, end_mrid=9)


def test_a_record_from_the_future_is_not_the_first_that_counts() -> None:
    """A clock that was ahead before start_date makes no record wanted that is too old."""
    reader = _reader(start=500 * INTERVAL)
    page = {**_records(490, 499), 494: NOW + 2 * DAY}

    assert (_kept(reader.advance(520, page), page), reader.bookmark) == ([], None)


def test_an_empty_answer_to_a_date_is_doubted() -> None:
    """Answers to dates are known to lack the newest day, so the newest page is looked at by mrid."""
    reader = _reader(start=995 * INTERVAL)

    assert reader.advance(1000, {}) == Step()
    assert (reader.done, reader.request, reader.records_left) == (False, PageRequest(start_mrid=991), 10)
    assert reader.advance(1000, _records(991, 1000)) == Step(from_mrid=995, bookmark=1000)
    assert reader.done


def test_a_date_is_doubted_once() -> None:
    """A record that comes in while the newest page is looked at does not make the device be read from its start."""
    reader = _reader(start=9995 * INTERVAL)
    reader.advance(10000, {})
    reader.advance(10001, _records(9991, 10000))
    reader.advance(10001, _records(10001, 10001))

    assert reader.done


def test_records_that_vanish_within_a_run_are_an_error() -> None:
    """A service that knew of records ahead and then of none is not at its end."""
    reader = _reader(bookmark=5)
    reader.advance(10000, _records(6, 15))

    with pytest.raises(NoProgressError, match=r"pagination\.max_mrid is null, but it was 10000"):
        reader.advance(None, {})


def test_a_newest_page_that_begins_after_start_date_means_reading_all() -> None:
    """If the whole newest page is wanted, more may be: the device is read from its first record."""
    reader = _reader(start=15 * INTERVAL)
    reader.advance(30, {})
    step = reader.advance(30, _records(21, 30))

    assert step == Step(below_mrid=0, warning="the service found nothing since start_date; reading all records")
    assert (reader.done, reader.request) == (False, PageRequest(start_mrid=0))
    assert reader.advance(30, _records(1, 10)) == Step(below_mrid=0, bookmark=None)
    assert reader.advance(30, _records(11, 20)) == Step(from_mrid=15, bookmark=20)
    assert reader.advance(30, _records(21, 30)) == Step(from_mrid=21, bookmark=30)
    assert reader.done


def test_a_newest_page_that_begins_at_start_date_is_enough() -> None:
    """What comes before its first record is older than what is wanted."""
    reader = _reader(start=21 * INTERVAL)
    reader.advance(30, {})

    assert reader.advance(30, _records(21, 30)) == Step(from_mrid=21, bookmark=30)
    assert reader.done


def test_a_newest_page_that_begins_with_the_first_record_is_enough() -> None:
    """Nothing can come before mrid 0, however new it is."""
    reader = _reader(start=INTERVAL)
    reader.advance(5, {})

    assert reader.advance(5, _records(2, 5)) == Step(from_mrid=2, bookmark=5)


def test_a_newest_page_from_mrid_1_on_may_lack_mrid_0() -> None:
    """If all of it is wanted, more may be."""
    reader = _reader(start=INTERVAL - 1)
    reader.advance(10, {})
    reader.advance(10, _records(1, 10))

    assert (reader.done, reader.request) == (False, PageRequest(start_mrid=0))


def test_a_newest_page_that_is_the_only_one_is_enough() -> None:
    """A device of one page is not read twice when an answer to a date was empty."""
    reader = _reader(start=2 * INTERVAL)
    reader.advance(5, {})

    assert reader.request == PageRequest(start_mrid=0)
    assert reader.advance(5, _records(2, 5)) == Step(from_mrid=2, bookmark=5)
    assert reader.done


def test_a_device_without_records_has_none_since_a_date_either() -> None:
    """A null `max_mrid` needs no second look."""
    reader = _reader(start=DAY)

    assert reader.advance(None, {}) == Step()
    assert reader.done


# end_date


def test_the_bookmark_stops_before_end_date() -> None:
    """Records after `end_date` are left out, and a later sync without it goes on from the bookmark."""
    reader = _reader(bookmark=0, end=13 * INTERVAL)
    reader.advance(30, _records(1, 10))

    assert reader.advance(30, _records(11, 20)) == Step(from_mrid=11, below_mrid=14, bookmark=13)
    assert (reader.done, reader.bookmark) == (True, 13)


def test_a_record_at_end_date_is_kept() -> None:
    """`end_date` is the last moment that is read."""
    assert _reader(bookmark=0, end=3 * INTERVAL).advance(3, _records(1, 3)) == Step(from_mrid=1, bookmark=3)


def test_a_page_that_is_all_after_end_date_moves_nothing() -> None:
    """A device without a reading up to `end_date` keeps what bookmark it has."""
    assert _reader(end=0).advance(3, _records(1, 3)) == Step(below_mrid=1)
    assert _reader(bookmark=0, end=0).advance(3, _records(1, 3)) == Step(from_mrid=1, below_mrid=1, bookmark=0)


def test_an_end_date_before_the_bookmark_does_not_move_it_back() -> None:
    """What has been read stays read."""
    reader = _reader(bookmark=20, lookback=10, end=15 * INTERVAL)

    assert reader.advance(30, _records(11, 20)) == Step(from_mrid=11, bookmark=20)
    assert reader.advance(30, _records(21, 30)) == Step(from_mrid=21, below_mrid=21, bookmark=20)
    assert reader.done


def test_what_follows_the_first_later_record_is_left_for_a_later_sync() -> None:
    """A clock that jumped back makes later records old again; the bookmark still stops before the jump."""
    reader = _reader(bookmark=0, end=5 * INTERVAL)

    assert reader.advance(4, {1: INTERVAL, 2: 9 * INTERVAL, 3: 2 * INTERVAL, 4: 3 * INTERVAL}) == Step(
        from_mrid=1, below_mrid=2, bookmark=1
    )


def test_a_day_ahead_of_the_run_still_ends_a_device() -> None:
    """To the second; and it is when the device was read last."""
    reader = _reader(bookmark=0, end=50 * INTERVAL)
    reader.advance(9, {1: INTERVAL, 2: NOW + DAY})

    assert (reader.done, reader.bookmark) == (True, 1)

    reader = _reader(bookmark=0)
    reader.advance(9, {1: NOW + DAY})
    reader.advance(9, {})

    assert reader.request.start_date == NOW


def test_a_record_from_the_future_does_not_end_a_device() -> None:
    """A clock that was ahead once keeps nothing behind it away."""
    reader = _reader(bookmark=0, end=50 * INTERVAL)
    page = {**_records(1, 4), 2: NOW + DAY + 1}

    assert _kept(reader.advance(4, page), page) == [1, 2, 3, 4]


# Any device


@st.composite
def _histories(draw: st.DrawFn, *, put_back: bool = True) -> dict[int, int]:
    """Draw a device's records: holes in the mrids with and without time missing, silences, a clock put back."""
    steps = draw(
        st.lists(
            st.tuples(
                st.sampled_from([1, 1, 1, 1, 2, 3, 30]),
                st.sampled_from([INTERVAL] * 8 + [2 * INTERVAL, DAY, 25 * DAY, 70 * DAY]),
            ),
            max_size=60,
        )
    )
    back_at = draw(st.integers(1, 60))
    back_by = draw(st.sampled_from([0, 300, INTERVAL, 5 * INTERVAL + 60, 20 * INTERVAL])) if put_back else 0
    mrid, moment, records = draw(st.integers(0, 50)), 400 * DAY, {}
    for number, (ids, seconds) in enumerate(steps):
        if 0 <= back_at - number <= 21:
            seconds = INTERVAL  # noqa: PLW2901 - no silence just before the clock was put back
        mrid, moment = mrid + ids, moment + seconds - (back_by if number == back_at else 0)
        records[mrid] = moment
    return records


def _now(records: dict[int, int]) -> int:
    return max(records.values(), default=0) + INTERVAL


def _most_calls(records: dict[int, int], page_size: int) -> int:
    """Return more calls than any way of reading needs, and so few that none goes in circles."""
    mrids, moments = [*records, 0], [*records.values(), 0]
    days = (max(moments) - min(records.values(), default=0)) / DAY
    return 20 + 6 * math.ceil((max(mrids) + len(mrids)) / page_size) + math.ceil(days)


SERVICES = st.fixed_dictionaries(
    {
        "page_size": st.integers(2, 15),  # one record alone comes in no order
        "pages_hold_ids": st.booleans(),
        "sorting": st.sampled_from(SORTINGS),
        "page_days": st.sampled_from([0, 21]),
    }
)


@settings(derandomize=True, deadline=None, max_examples=1000)
@given(
    records=_histories(),
    wrong=st.lists(st.tuples(st.integers(1, 59), st.sampled_from([-50, -10, 5, 10, 36, 36_000])), max_size=4),
    lookback=st.integers(0, 20),
    service=SERVICES,
    data=st.data(),
)
def test_any_device_is_read_whole_once(
    records: dict[int, int],
    wrong: list[tuple[int, int]],
    lookback: int,
    service: dict[str, Any],
    data: st.DataObject,
) -> None:
    """Whatever exists, whichever service answers, whatever clocks say: each record behind the bookmark, and once."""
    now = _now(records)
    if service["page_days"]:
        wrong = []  # where pages may be empty, the next record is looked for by date, and clocks count
    for place, intervals in wrong:
        mrid = (sorted(records) or [0])[place % max(1, len(records))]
        if mrid in records:
            records = {**records, mrid: max(0, records[mrid] + intervals * INTERVAL)}
    bookmark = data.draw(st.sampled_from([None, *sorted(records)]))
    device = PagedService(records, **service)
    newest = None if bookmark is None else records[bookmark]
    reader = _reader(
        bookmark=bookmark,
        page_size=device.page_size,
        lookback=lookback,
        newest=newest,
        now=now,
    )
    first = 0 if bookmark is None else max(0, bookmark + 1 - lookback)
    device.read(reader, _most_calls(records, device.page_size))

    assert sorted(mrid for mrid in records if mrid >= max(first, (bookmark or 0) + 1)) == [
        mrid for mrid in device.kept if bookmark is None or mrid > bookmark
    ]
    assert sorted(set(device.kept)) == device.kept
    assert max(records, default=None) == reader.bookmark


@settings(derandomize=True, deadline=None, max_examples=200)
@given(
    bookmark=st.integers(0, 50),
    count=st.integers(0, 100),
    page_size=st.integers(1, 15),
    pages_hold_ids=st.booleans(),
)
def test_a_device_without_holes_costs_as_many_calls_as_it_has_pages(
    bookmark: int, count: int, page_size: int, *, pages_hold_ids: bool
) -> None:
    """No call is made in vain: ⌈records / page size⌉, and one to learn that nothing is new."""
    device = PagedService(_records(0, bookmark + count), page_size, pages_hold_ids)
    device.read(_reader(bookmark=bookmark, page_size=page_size), 1000)

    assert max(1, math.ceil(count / page_size)) == device.calls


@settings(derandomize=True, deadline=None, max_examples=200)
@given(records=_histories(put_back=False), sorting=st.sampled_from(["mrid", "time"]))
def test_holes_cost_few_calls(records: dict[int, int], sorting: str) -> None:
    """One more for the first that is met; then a page of ids is a call, and a hole of many ids two more."""
    device = PagedService(records, page_size=15, sorting=sorting)
    device.read(_reader(page_size=15, now=_now(records)), 1000)
    large_holes = sum(later - earlier > 15 for earlier, later in itertools.pairwise(sorted(records)))

    assert device.calls <= math.ceil((max(records, default=0) - min(records, default=0) + 1) / 15) + 2 + 2 * large_holes


@settings(derandomize=True, deadline=None, max_examples=1000)
@given(
    records=_histories(),
    wrong=st.lists(st.tuples(st.integers(0, 59), st.sampled_from([0, 700 * DAY, 5000 * DAY])), max_size=3),
    start=st.integers(395 * DAY, 480 * DAY),
    offset=st.integers(-12 * 3600, 14 * 3600),
    date_answers_lack=st.sampled_from([0, DAY]),
    service=SERVICES,
)
def test_a_first_sync_reads_all_from_the_first_record_that_counts_on(  # noqa: PLR0917 - what is drawn
    records: dict[int, int],
    wrong: list[tuple[int, int]],
    start: int,
    offset: int,
    date_answers_lack: int,
    service: dict[str, Any],
) -> None:
    """In any time zone, if answers to dates lack the newest day, and if clocks were wrong behind it."""
    now = _now(records)
    # A clock put back within the first page, as in the test above, or within the day that a date lacks.
    if service["sorting"] == "time" or date_answers_lack:
        records = dict(zip(sorted(records), sorted(records.values()), strict=True))
    first = next((mrid for mrid in sorted(records) if records[mrid] >= start), None)
    if service["sorting"] == "time" or service["page_days"] or date_answers_lack:
        wrong = []  # nobody could tell what a wrong clock has hidden there
    if date_answers_lack:
        service = {**service, "page_days": 0}  # what is lacking then comes with the next sync
    for place, moment in wrong:
        mrid = (sorted(records) or [0])[place % max(1, len(records))]
        if first is not None and mrid > first:
            records = {**records, mrid: moment}
    device = PagedService(records, **service, offset=offset, date_answers_lack=date_answers_lack)
    device.read(_reader(start=start, page_size=device.page_size, now=now), 3 * _most_calls(records, device.page_size))

    assert sorted(mrid for mrid in records if first is not None and mrid >= first) == device.kept


@settings(derandomize=True, deadline=None, max_examples=300)
@given(records=_histories(), end=st.integers(399 * DAY, 480 * DAY), service=SERVICES)
def test_a_sync_with_end_date_and_one_without_make_a_whole(
    records: dict[int, int], end: int, service: dict[str, Any]
) -> None:
    """The first keeps what comes before the first record after `end_date`, the second exactly the rest."""
    most_calls, now = _most_calls(records, service["page_size"]), _now(records)
    first_after = next((mrid for mrid in sorted(records) if records[mrid] > end), math.inf)
    device = PagedService(records, **service)
    reader = _reader(end=end, page_size=device.page_size, now=now)
    device.read(reader, most_calls)

    assert sorted(mrid for mrid in records if mrid < first_after) == device.kept

    device.calls = 0
    newest = None if reader.bookmark is None else records[reader.bookmark]
    device.read(_reader(bookmark=reader.bookmark, page_size=device.page_size, newest=newest, now=now), most_calls)

    assert sorted(records) == device.kept


@settings(derandomize=True, deadline=None, max_examples=200)
@given(
    mrids=st.sets(st.integers(0, 120), max_size=60),
    bookmark=st.integers(0, 300),
    page_size=st.integers(1, 15),
    pages_hold_ids=st.booleans(),
)
def test_a_wiped_device_is_read_whole_or_left_alone(
    mrids: set[int], bookmark: int, page_size: int, *, pages_hold_ids: bool
) -> None:
    """A newest record below the bookmark means all of the device again, or nothing and the bookmark stays."""
    newest = max(mrids, default=None)
    records = {mrid: mrid * INTERVAL for mrid in mrids}
    device = PagedService(records, page_size, pages_hold_ids)
    reader = _reader(bookmark=bookmark, page_size=page_size, now=_now(records))
    device.read(reader, _most_calls(records, page_size))
    lags = newest is not None and newest > page_size and 0 < bookmark - newest <= page_size

    if newest is None or lags:
        assert (device.kept, reader.bookmark) == ([], bookmark)
    elif newest < bookmark:
        assert (device.kept, reader.bookmark) == (sorted(mrids), newest)
    else:
        assert (device.kept, reader.bookmark) == (sorted(mrid for mrid in mrids if mrid > bookmark), newest)
