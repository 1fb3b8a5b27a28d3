"""MridPaginator: where a page starts and where a device ends, with pages as plain values."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tap_zentra.v4.pagination import DAY, MridPaginator, NoProgressError, PageRequest, Step

INTERVAL = 900
"""Seconds from one record to the next."""


def _records(first: int, last: int, *more: int) -> dict[int, int]:
    """Return the records from one mrid to another, each 15 minutes after the one before."""
    return {mrid: mrid * INTERVAL for mrid in (*range(first, last + 1), *more)}


def _reader(
    *,
    bookmark: int | None = None,
    page_size: int = 10,
    lookback: int = 0,
    start: int | None = None,
    end: int | None = None,
) -> MridPaginator:
    return MridPaginator(bookmark=bookmark, page_size=page_size, lookback=lookback, start=start, end=end)


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
    assert MridPaginator(bookmark=100, page_size=10).request == PageRequest(start_mrid=101)


def test_a_bookmark_wins_over_start_date() -> None:
    """A device that has a bookmark goes on from it, and none of its readings is left out as too old."""
    reader = _reader(bookmark=0, start=10 * DAY)

    assert reader.request == PageRequest(start_mrid=1)
    assert reader.advance(5, _records(1, 5)) == Step(bookmark=5)


def test_without_a_start_date_no_reading_is_too_old() -> None:
    """Readings of a device whose clock stands at 1970 are readings."""
    step = _reader().advance(3, _records(0, 3))

    assert (step.since, step.below_mrid, step.bookmark) == (0, None, 3)


# From page to page


def test_pages_follow_each_other_by_mrid() -> None:
    """A page starts at the last mrid read + 1, until a page holds the newest record; then no call is made."""
    reader = _reader(bookmark=0)

    assert reader.advance(25, _records(1, 10)) == Step(bookmark=10)
    assert (reader.done, reader.request, reader.records_left) == (False, PageRequest(start_mrid=11), 15)
    assert reader.advance(25, _records(11, 20)) == Step(bookmark=20)
    assert (reader.done, reader.request, reader.records_left) == (False, PageRequest(start_mrid=21), 5)
    assert reader.advance(25, _records(21, 25)) == Step(bookmark=25)
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

    assert reader.advance(12, dict(reversed(_records(1, 10).items()))) == Step(bookmark=10)
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

    assert reader.advance(3, _records(1, 5)) == Step(bookmark=5)
    assert reader.done


def test_nothing_new_is_the_end() -> None:
    """An empty page behind the newest record leaves the bookmark and is no gap."""
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

    assert step == Step(bookmark=100, warning="the device has no records, but mrid 100 has been read before")
    assert (reader.done, reader.bookmark, reader.records_left) == (True, 100, 0)
    assert reader.went_back == 100


def test_records_without_max_mrid_are_refused() -> None:
    """An answer that contradicts itself is an error of that device."""
    with pytest.raises(NoProgressError, match=r"^the response has records, but its pagination\.max_mrid is null$"):
        _reader(bookmark=0).advance(None, _records(1, 3))


@pytest.mark.parametrize("records", [_records(1, 10), _records(91, 100), _records(100, 110)])
def test_an_answer_that_ignores_start_mrid_is_refused(records: dict[int, int]) -> None:
    """Never go on without progress: one record below the mrid asked for is enough."""
    with pytest.raises(NoProgressError, match=r"ignores start_mrid: asked for mrid 101 and up, got mrid \d+"):
        _reader(bookmark=100).advance(200, records)


def test_lookback_moves_no_bookmark_back() -> None:
    """Records that are read again come before the bookmark, which stays until newer ones arrive."""
    reader = _reader(bookmark=100, lookback=15)

    assert reader.advance(103, _records(86, 95)) == Step(bookmark=100)
    assert reader.request == PageRequest(start_mrid=96)
    assert reader.advance(103, _records(96, 103)) == Step(bookmark=103)
    assert reader.done


def test_a_gap_in_what_is_looked_back_at_is_not_told_again() -> None:
    """Records missing up to the bookmark were told of when it passed them; those behind it are new."""
    assert _reader(bookmark=100, lookback=10).advance(100, _records(91, 95)) == Step(bookmark=100)
    assert _reader(bookmark=100, lookback=10).advance(101, _records(91, 95, 101)) == Step(bookmark=101)
    assert _reader(bookmark=100, lookback=10).advance(103, _records(91, 95, 103)).missing == 2


# Gaps


def test_records_missing_before_a_page_are_a_gap() -> None:
    """The next records that exist begin later than asked for."""
    reader = _reader(bookmark=10)

    assert reader.advance(100, _records(21, 30)) == Step(
        bookmark=30, missing=10, warning="10 records up to mrid 30 do not exist: a gap"
    )
    assert reader.request == PageRequest(start_mrid=31)


def test_records_missing_within_a_page_are_a_gap() -> None:
    """Each missing mrid between the bookmark and the page's newest record counts."""
    reader = _reader(bookmark=0)

    assert reader.advance(9, _records(2, 4, 7, 9)).missing == 4
    assert reader.done


def test_a_short_page_is_not_the_end() -> None:
    """After a short page go on from its highest mrid + 1, not from a full page on."""
    reader = _reader(bookmark=0)

    assert reader.advance(30, _records(1, 3)) == Step(bookmark=3)
    assert reader.request == PageRequest(start_mrid=4)


def test_an_empty_page_is_not_the_end() -> None:
    """After an empty page skip ahead by the page size; the bookmark waits for a record."""
    reader = _reader(bookmark=0)
    reader.advance(40, _records(1, 3))

    assert reader.advance(40, {}) == Step(
        bookmark=3, missing=10, warning="10 records up to mrid 13 do not exist: a gap"
    )
    assert (reader.done, reader.request, reader.bookmark) == (False, PageRequest(start_mrid=14), 3)
    assert reader.advance(40, {}).missing == 10
    assert reader.request == PageRequest(start_mrid=24)
    assert reader.advance(40, _records(30, 33)) == Step(
        bookmark=33, missing=6, warning="6 records up to mrid 33 do not exist: a gap"
    )
    assert reader.request == PageRequest(start_mrid=34)


def test_empty_pages_end_at_max_mrid() -> None:
    """When even the newest record is not there, the device is at its end, and its bookmark stays before the gap."""
    reader = _reader(bookmark=0)

    assert reader.advance(14, {}).missing == 10
    assert not reader.done
    assert reader.advance(14, {}) == Step(bookmark=0, missing=4, warning="4 records up to mrid 14 do not exist: a gap")
    assert (reader.done, reader.bookmark) == (True, 0)


def test_a_newest_record_that_is_not_there_is_a_gap() -> None:
    """An empty page at the newest record is not the same as nothing new."""
    reader = _reader(bookmark=9)

    assert reader.advance(10, {}).missing == 1
    assert (reader.done, reader.bookmark) == (True, 9)


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
    reader = _reader(bookmark=0, page_size=1)
    for _ in range(1000):
        reader.advance(10**9, {})
    reader.advance(10**9, _records(1001, 1001))
    for _ in range(1000):
        reader.advance(10**9, {})

    assert not reader.done


def test_a_device_that_brings_no_record_at_all_has_a_gap() -> None:
    """A first sync without the newest record, which the service says there is, is not one without news."""
    reader = _reader()

    assert reader.advance(10, {}) == Step()
    assert reader.request == PageRequest(start_mrid=10)
    assert reader.advance(10, {}) == Step(
        missing=1, warning="its newest record is mrid 10, but the service brings no record at all: a gap"
    )
    assert (reader.done, reader.bookmark) == (True, None)


def test_what_comes_before_the_first_record_is_no_gap() -> None:
    """A device whose history begins late has lost nothing, whether empty pages show it or the first record."""
    reader = _reader()

    assert reader.advance(40, {}) == Step()
    assert reader.request == PageRequest(start_mrid=10)
    assert reader.advance(40, _records(15, 19)) == Step(bookmark=19)


# max_mrid below the bookmark


@pytest.mark.parametrize(("bookmark", "max_mrid"), [(100, 1), (100, 10), (11, 10), (1, 0)])
def test_a_short_history_below_the_bookmark_is_read_again(bookmark: int, max_mrid: int) -> None:
    """Up to one page of records costs one call to read again, so it is read again, with a warning."""
    reader = _reader(bookmark=bookmark)
    step = reader.advance(max_mrid, {})

    assert step == Step(below_mrid=0, warning=step.warning)
    assert step.warning == (
        f"its newest record is mrid {max_mrid}, but mrid {bookmark} has been read before: "
        "it is one call to make sure; reading the device again from its first record"
    )
    assert (reader.done, reader.request) == (False, PageRequest(start_mrid=0))
    assert (reader.records_left, reader.went_back) == (max_mrid + 1, bookmark)
    assert reader.advance(max_mrid, _records(0, max_mrid)) == Step(bookmark=max_mrid)
    assert reader.done


@pytest.mark.parametrize(("bookmark", "max_mrid"), [(1000, 11), (1000, 989), (22, 11)])
def test_a_deep_drop_is_a_wipe(bookmark: int, max_mrid: int) -> None:
    """A drop of more than a page means that the device was wiped or replaced: read again from the start."""
    reader = _reader(bookmark=bookmark)
    step = reader.advance(max_mrid, {})

    assert step.warning is not None
    assert "the device was wiped or replaced; reading the device again from its first record" in step.warning
    assert (step.below_mrid, step.bookmark) == (0, None)
    assert (reader.done, reader.request) == (False, PageRequest(start_mrid=0))


@pytest.mark.parametrize(("bookmark", "max_mrid"), [(1000, 999), (1000, 990), (21, 11)])
def test_a_small_drop_is_lag(bookmark: int, max_mrid: int) -> None:
    """A service that lags behind itself has nothing new: the bookmark stays and nothing is read again."""
    reader = _reader(bookmark=bookmark)
    step = reader.advance(max_mrid, {})

    assert step == Step(bookmark=bookmark, warning=step.warning)
    assert step.warning is not None
    assert "lags behind itself; nothing is new" in step.warning
    assert (reader.done, reader.bookmark, reader.records_left) == (True, bookmark, 0)
    assert reader.went_back == bookmark


def test_what_came_with_a_drop_is_left_out() -> None:
    """The page that shows a wipe is not written: its records come again from the start."""
    step = _reader(bookmark=1000).advance(50, _records(1, 10))

    assert step.below_mrid == 0


def test_a_wiped_logger_is_read_whole() -> None:
    """After starting over all pages follow, and the bookmark counts anew."""
    reader = _reader(bookmark=1000)
    reader.advance(25, {})

    assert reader.advance(25, _records(1, 10)) == Step(bookmark=10)
    assert reader.advance(25, _records(11, 20)) == Step(bookmark=20)
    assert reader.advance(25, _records(21, 25)) == Step(bookmark=25)
    assert reader.done


def test_starting_over_happens_once() -> None:
    """A service that keeps contradicting itself is an error of that device, not a loop."""
    reader = _reader(bookmark=1000)
    reader.advance(25, {})
    reader.advance(25, _records(1, 10))

    with pytest.raises(NoProgressError, match="has started over at the device's first record once"):
        reader.advance(5, {})


# start_date


def test_readings_before_start_date_are_left_out() -> None:
    """The day asked for too early is left out; from the second page on the way is by mrid."""
    reader = _reader(start=500 * INTERVAL)

    assert reader.advance(520, _records(496, 505)) == Step(since=500 * INTERVAL, bookmark=505)
    assert reader.request == PageRequest(start_mrid=506)
    assert reader.advance(520, _records(506, 515)) == Step(since=500 * INTERVAL, bookmark=515)


def test_before_start_date_there_is_no_bookmark() -> None:
    """A first sync that is cut off before it reached start_date must not go on without it."""
    reader = _reader(start=500 * INTERVAL)

    assert reader.advance(520, _records(404, 413)) == Step(since=500 * INTERVAL, bookmark=None)
    assert reader.request == PageRequest(start_mrid=414)


def test_a_start_date_is_no_gap() -> None:
    """What comes before the first record that a date brings is not missing."""
    assert _reader(start=500 * INTERVAL).advance(500, _records(491, 500)).missing == 0


def test_an_empty_answer_to_a_date_is_doubted() -> None:
    """Answers to dates are known to lack the newest day, so the newest page is looked at by mrid."""
    reader = _reader(start=995 * INTERVAL)

    assert reader.advance(1000, {}) == Step()
    assert (reader.done, reader.request, reader.records_left) == (False, PageRequest(start_mrid=991), 10)
    assert reader.advance(1000, _records(991, 1000)) == Step(since=995 * INTERVAL, bookmark=1000)
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


@pytest.mark.parametrize(("lookback", "newest", "missing"), [(50, 100, 0), (10, 100, 0), (5, 105, 5), (5, 200, 5)])
def test_an_old_gap_is_not_told_again_for_a_lookback(lookback: int, newest: int, missing: int) -> None:
    """Of an empty answer to a lookback, only what lies behind the bookmark is a gap."""
    assert _reader(bookmark=100, lookback=lookback).advance(newest, {}).missing == missing


def test_what_lies_behind_end_date_is_not_missing() -> None:
    """A gap that begins after end_date is for a later sync to tell."""
    assert _reader(bookmark=0, end=3 * INTERVAL).advance(10, _records(1, 3, 8, 9, 10)).missing == 0


def test_a_newest_page_that_begins_after_start_date_means_reading_all() -> None:
    """If the whole newest page is wanted, more may be: the device is read from its first record."""
    reader = _reader(start=15 * INTERVAL)
    reader.advance(30, {})
    step = reader.advance(30, _records(21, 30))

    assert step == Step(below_mrid=0, warning="the service found nothing since start_date; reading all records")
    assert (reader.done, reader.request) == (False, PageRequest(start_mrid=0))
    assert reader.advance(30, _records(1, 10)) == Step(since=15 * INTERVAL, bookmark=None)
    assert reader.advance(30, _records(11, 20)) == Step(since=15 * INTERVAL, bookmark=20)
    assert reader.advance(30, _records(21, 30)) == Step(since=15 * INTERVAL, bookmark=30)
    assert reader.done


def test_a_newest_page_that_begins_at_start_date_is_enough() -> None:
    """What comes before its first record is older than what is wanted."""
    reader = _reader(start=21 * INTERVAL)
    reader.advance(30, {})

    assert reader.advance(30, _records(21, 30)) == Step(since=21 * INTERVAL, bookmark=30)
    assert reader.done


def test_a_newest_page_that_is_the_only_one_is_enough() -> None:
    """A device of one page is not read twice when an answer to a date was empty."""
    reader = _reader(start=2 * INTERVAL)
    reader.advance(5, {})

    assert reader.request == PageRequest(start_mrid=0)
    assert reader.advance(5, _records(2, 5)) == Step(since=2 * INTERVAL, bookmark=5)
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

    assert reader.advance(30, _records(11, 20)) == Step(below_mrid=14, bookmark=13)
    assert (reader.done, reader.bookmark) == (True, 13)


def test_a_record_at_end_date_is_kept() -> None:
    """`end_date` is the last moment that is read."""
    assert _reader(bookmark=0, end=3 * INTERVAL).advance(3, _records(1, 3)) == Step(bookmark=3)


def test_a_page_that_is_all_after_end_date_moves_nothing() -> None:
    """A device without a reading up to `end_date` keeps what bookmark it has."""
    assert _reader(end=0).advance(3, _records(1, 3)) == Step(below_mrid=1)
    assert _reader(bookmark=0, end=0).advance(3, _records(1, 3)) == Step(below_mrid=1, bookmark=0)


def test_an_end_date_before_the_bookmark_does_not_move_it_back() -> None:
    """What has been read stays read."""
    reader = _reader(bookmark=20, lookback=10, end=15 * INTERVAL)

    assert reader.advance(30, _records(11, 20)) == Step(below_mrid=16, bookmark=20)
    assert reader.done


def test_what_follows_the_first_later_record_is_left_for_a_later_sync() -> None:
    """A clock that jumped back makes later records old again; the bookmark still stops before the jump."""
    reader = _reader(bookmark=0, end=5 * INTERVAL)

    assert reader.advance(4, {1: INTERVAL, 2: 9 * INTERVAL, 3: 2 * INTERVAL, 4: 3 * INTERVAL}) == Step(
        below_mrid=2, bookmark=1
    )


# Any device


@dataclass
class _Device:
    """What the service has of a device, and how it answers: both readings of what a page of mrids is."""

    records: dict[int, int]
    page_size: int
    pages_hold_ids: bool
    offset: int = 0
    date_answers_lack: int = 0
    calls: int = 0
    kept: list[int] = field(default_factory=list)

    def answer(self, request: PageRequest) -> tuple[int | None, dict[int, int]]:
        """Return the newest record's mrid and the page that begins where the request says."""
        self.calls += 1
        newest = max(self.records, default=None)
        if request.start_date is not None:
            first_moment = request.start_date - self.offset
            last_moment = max(self.records.values(), default=0) - self.date_answers_lack
            found = [mrid for mrid, moment in self.records.items() if first_moment <= moment <= last_moment]
        else:
            found = [mrid for mrid in self.records if mrid >= (request.start_mrid or 0)]
        found.sort()
        if self.pages_hold_ids and found:
            first = found[0] if request.start_mrid is None else request.start_mrid
            found = [mrid for mrid in found if mrid < first + self.page_size]
        return newest, {mrid: self.records[mrid] for mrid in found[: self.page_size]}

    def read(self, reader: MridPaginator, most_calls: int) -> None:
        """Read the device to its end, as the tap does."""
        while not reader.done:
            assert self.calls < most_calls
            newest, page = self.answer(reader.request)
            left_before = reader.records_left
            step = reader.advance(newest, page)
            below = math.inf if step.below_mrid is None else step.below_mrid
            self.kept += [mrid for mrid, moment in page.items() if moment >= step.since and mrid < below]
            assert step.bookmark is None or step.bookmark == reader.bookmark
            assert (reader.records_left > 0) is not reader.done
            assert reader.records_left <= left_before or step.below_mrid == 0


def _most_calls(mrids: set[int], first: int, page_size: int) -> int:
    """Return a bound of the calls from an mrid on.

    Under either meaning of a page, two calls in a row reach further than one page of ids, except for the last.
    """
    return 2 * math.ceil(max(0, max(mrids, default=0) + 1 - first) / page_size) + 2


MRIDS = st.sets(st.integers(0, 120), max_size=60) | st.builds(
    lambda first, count: set(range(first, first + count)), st.integers(0, 80), st.integers(0, 60)
)


@settings(derandomize=True, deadline=None, max_examples=300)
@given(
    mrids=MRIDS,
    bookmark=st.none() | st.integers(0, 120),
    page_size=st.integers(1, 15),
    lookback=st.integers(0, 20),
    pages_hold_ids=st.booleans(),
)
def test_any_device_is_read_whole_once(
    mrids: set[int], bookmark: int | None, page_size: int, lookback: int, *, pages_hold_ids: bool
) -> None:
    """Whatever exists, and whatever a page is: every record behind the bookmark is read, once, in few calls."""
    if bookmark is not None:
        mrids = mrids | {bookmark}
    device = _Device({mrid: mrid * INTERVAL for mrid in mrids}, page_size, pages_hold_ids)
    reader = _reader(bookmark=bookmark, page_size=page_size, lookback=lookback)
    first = 0 if bookmark is None else max(0, bookmark + 1 - lookback)
    device.read(reader, _most_calls(mrids, first, page_size))

    assert sorted(mrid for mrid in mrids if mrid >= first) == device.kept
    assert max(mrids, default=None) == reader.bookmark


@settings(derandomize=True, deadline=None, max_examples=200)
@given(
    bookmark=st.integers(0, 50),
    count=st.integers(0, 100),
    page_size=st.integers(1, 15),
    pages_hold_ids=st.booleans(),
)
def test_a_device_without_gaps_costs_as_many_calls_as_it_has_pages(
    bookmark: int, count: int, page_size: int, *, pages_hold_ids: bool
) -> None:
    """No call is made in vain: ⌈records / page size⌉, and one to learn that nothing is new."""
    device = _Device(_records(0, bookmark + count), page_size, pages_hold_ids)
    device.read(_reader(bookmark=bookmark, page_size=page_size), 1000)

    assert max(1, math.ceil(count / page_size)) == device.calls


@settings(derandomize=True, deadline=None, max_examples=300)
@given(
    mrids=MRIDS,
    start=st.integers(0, 130 * INTERVAL),
    page_size=st.integers(1, 15),
    offset=st.integers(-12 * 3600, 14 * 3600),
    date_answers_lack=st.sampled_from([0, DAY]),
    pages_hold_ids=st.booleans(),
)
def test_a_first_sync_reads_all_from_start_date_on(
    mrids: set[int], start: int, page_size: int, offset: int, date_answers_lack: int, *, pages_hold_ids: bool
) -> None:
    """In any time zone, and even if answers to dates lack the newest day, exactly what is not too old is kept."""
    records = {mrid: DAY + mrid * INTERVAL for mrid in mrids}
    device = _Device(records, page_size, pages_hold_ids, offset, date_answers_lack)
    device.read(_reader(start=DAY + start, page_size=page_size), _most_calls(mrids, 0, page_size) + 2)

    assert sorted(mrid for mrid in mrids if records[mrid] >= DAY + start) == device.kept


@settings(derandomize=True, deadline=None, max_examples=200)
@given(
    mrids=MRIDS,
    end=st.integers(0, 130 * INTERVAL),
    page_size=st.integers(1, 15),
    pages_hold_ids=st.booleans(),
)
def test_a_sync_with_end_date_and_one_without_make_a_whole(
    mrids: set[int], end: int, page_size: int, *, pages_hold_ids: bool
) -> None:
    """The first keeps what is not after `end_date`, the second exactly the rest."""
    records = {mrid: mrid * INTERVAL for mrid in mrids}
    most_calls = _most_calls(mrids, 0, page_size)
    device = _Device(records, page_size, pages_hold_ids)
    reader = _reader(end=end, page_size=page_size)
    device.read(reader, most_calls)

    assert sorted(mrid for mrid in mrids if records[mrid] <= end) == device.kept

    device.calls = 0
    device.read(_reader(bookmark=reader.bookmark, page_size=page_size), most_calls)

    assert sorted(mrids) == device.kept


@settings(derandomize=True, deadline=None, max_examples=200)
@given(
    mrids=MRIDS,
    bookmark=st.integers(0, 300),
    page_size=st.integers(1, 15),
    pages_hold_ids=st.booleans(),
)
def test_a_wiped_device_is_read_whole_or_left_alone(
    mrids: set[int], bookmark: int, page_size: int, *, pages_hold_ids: bool
) -> None:
    """A newest record below the bookmark means all of the device again, or nothing and the bookmark stays."""
    newest = max(mrids, default=None)
    device = _Device({mrid: mrid * INTERVAL for mrid in mrids}, page_size, pages_hold_ids)
    reader = _reader(bookmark=bookmark, page_size=page_size)
    device.read(reader, _most_calls(mrids, 0, page_size) + 1)
    lags = newest is not None and newest > page_size and 0 < bookmark - newest <= page_size

    if newest is None or lags:
        assert (device.kept, reader.bookmark) == ([], bookmark)
    elif newest < bookmark:
        assert (device.kept, reader.bookmark) == (sorted(mrids), newest)
    else:
        assert (device.kept, reader.bookmark) == (sorted(mrid for mrid in mrids if mrid > bookmark), newest)
