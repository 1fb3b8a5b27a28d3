"""ReadingsReader of API v5: one device's way through its readings, page by page, without a network."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap_zentra.bodies import NotJSONError, UnexpectedBodyError
from tap_zentra.calls.errors import CallError, DeviceFailedError
from tap_zentra.settings import read_settings
from tap_zentra.singer import pages
from tap_zentra.singer.bookmarks import Bookmark
from tap_zentra.singer.moments import DAY, iso_timestamp
from tap_zentra.v5.api import PageTokenRefusedError
from tap_zentra.v5.pagination import NoProgressError, PageRequest
from tap_zentra.v5.readings import MonthOfReadings, ReadingsReader
from tap_zentra.v5.responses import ListedDevice
from tests.support import a_call
from tests.v5.support import DEVICE, a_page, a_row, as_sent

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tap_zentra.calls.memory import Call
    from tap_zentra.singer.pages import Page
    from tap_zentra.v5.api import Api

NOW = 2_000_000_000
"""When all runs begin, in seconds since 1970: 2033-05-18T03:33:20Z."""

MONTH_START = 1_998_518_400
"""The start of that month."""

KNOWN = {
    "device_name": "North Device",
    "location": "Location/Field/Zone",
    "coordinates": "'46.7515638', '-117.1667332'",
}
"""What each page's metadata tells of the device."""


class _Api:
    """Calls that bring one body, and what they were asked for."""

    def __init__(self, body: bytes | CallError) -> None:
        self.body = body
        self.asked: list[tuple[str, PageRequest, str]] = []

    def get_data(self, device_sn: str, page: PageRequest, call: Call, *, units: str) -> bytes:
        """Bring the body."""
        call.on_sent()
        self.asked.append((device_sn, page, units))
        if isinstance(self.body, CallError):
            raise self.body
        return self.body


def _reader(
    api: object = None,
    *,
    bookmark: int | Bookmark | None = None,
    listed: ListedDevice | None = None,
    now: float = NOW,
    **settings: object,
) -> ReadingsReader:
    config = {"auth_token": "x", "api_version": "v5", "device_sns": DEVICE, "lookback_days": 0, **settings}
    stood = Bookmark(bookmark) if isinstance(bookmark, int) else bookmark
    return ReadingsReader(DEVICE, cast("Api", api), read_settings(config), bookmark=stood, listed=listed, now=now)


def _take(reader: ReadingsReader, body: bytes) -> MonthOfReadings:
    """Return the page that a call brings."""
    reader._api = cast("Api", _Api(body))  # noqa: SLF001 - from now on
    page = reader.take(reader.call(a_call()))
    assert isinstance(page, MonthOfReadings)
    return page


def _request(reader: ReadingsReader) -> PageRequest:
    """Return what a reader asks for next."""
    api = _Api(b"")
    reader._api = cast("Api", api)  # noqa: SLF001 - to see it
    reader.call(a_call())
    return api.asked[0][1]


def _page_of(*rows: tuple[float, float | None], token: str | None = None) -> bytes:
    return as_sent(a_page(*(a_row(timestamp=moment, value=value) for moment, value in rows), token=token))


def _written(*some: Page) -> list[tuple[str, float | None]]:
    """Return the time of day and the value of what pages bring."""
    return [
        (record["timestamp_utc"][11:19], record["value"])
        for page in some
        for part in page.parts()
        for record in part.records
    ]


def _values(*some: Page) -> list[float | None]:
    return [value for _, value in _written(*some)]


def _stored(bookmark: Bookmark | None) -> Bookmark | None:
    """Return a bookmark as the next run finds it in the state."""
    return None if bookmark is None else Bookmark(**json.loads(json.dumps(asdict(bookmark))))


def _sync(
    readings: Iterable[tuple[float, float | None]],
    bookmark: Bookmark | None = None,
    *,
    lookback_days: float = 7,
    **settings: object,
) -> MonthOfReadings:
    """Return what a sync brings whose one page holds all that is asked for of some readings."""
    now = settings.pop("now", NOW)
    reader = _reader(bookmark=_stored(bookmark), lookback_days=lookback_days, now=now, **settings)  # type: ignore[arg-type]
    request = _request(reader)
    asked = [(at, value) for at, value in readings if (request.start or 0) <= at <= request.end + 1]
    return _take(reader, _page_of(*asked))


# From page to page


def test_a_reader_asks_for_its_devices_next_page() -> None:
    """By its paginator's request, in the units that are wanted, and it says when the request has gone out."""
    api = _Api(b"a body")
    sent: list[bool] = []

    body = _reader(api, bookmark=900, units="imperial").call(a_call(lambda: sent.append(True)))

    assert body == b"a body"
    assert api.asked == [(DEVICE, PageRequest(900, NOW), "imperial")]
    assert sent == [True]


@pytest.mark.parametrize(
    ("bookmark", "settings", "start", "end"),
    [
        (None, {}, None, NOW),
        (None, {"start_date": "2033-05-01"}, MONTH_START, NOW),
        (None, {"end_date": "2033-05-01"}, None, MONTH_START),
        (None, {"end_date": "2099-01-01"}, None, NOW),
        (NOW - 100, {}, NOW - 100, NOW),
        (NOW - 100, {"start_date": "2033-05-01"}, NOW - 100, NOW),
        (NOW - 100, {"lookback_days": 1}, NOW - 100 + 1 - DAY, NOW),
        (NOW - 100, {"lookback_days": 0.5}, NOW - 100 + 1 - DAY // 2, NOW),
        (NOW - 100, {"lookback_days": 7, "start_date": "2033-05-18"}, 1_999_987_200, NOW),
        (NOW - 100, {"lookback_days": 7, "start_date": "2033-05-18T03:33:00Z"}, NOW - 100, NOW),
        (NOW + 100, {}, NOW, NOW),
        (50, {"lookback_days": 7}, 0, NOW),
        (0, {}, 0, NOW),
    ],
)
def test_a_first_page_starts_at_the_bookmark_less_the_look_back(
    bookmark: int | None, settings: dict[str, object], start: int | None, end: int
) -> None:
    """Never behind `start_date`, and always to an explicit end: `end_date`, or when the run began."""
    assert _request(_reader(bookmark=bookmark, **settings)) == PageRequest(start, end)  # type: ignore[arg-type]


def test_a_reader_takes_pages_until_its_device_is_at_its_end() -> None:
    """Each page says what it brings and where the bookmark goes; its last moment comes with the next one."""
    reader = _reader()
    progress = [(reader.calls_left, reader.done)]
    first = _take(reader, _page_of((MONTH_START - 9, 1), (MONTH_START - 5, 2), token="a"))
    progress.append((reader.calls_left, reader.done))
    second = _take(reader, _page_of((MONTH_START + 5, 3)))
    progress.append((reader.calls_left, reader.done))

    assert progress == [(math.inf, False), (2, False), (0, True)]
    assert _values(first, second) == [1, 2, 3]
    assert (first.positions, list(first.moments), first.ahead, first.rewritten, first.warning) == (
        (MONTH_START - 9, MONTH_START - 9),
        [MONTH_START - 9],
        None,
        0,
        None,
    )
    moments = [MONTH_START - 5, MONTH_START + 5]
    assert (second.positions, list(second.moments)) == (tuple(moments), moments)
    assert (first.bookmark, second.bookmark) == (
        Bookmark(MONTH_START - 9, known=KNOWN),
        Bookmark(MONTH_START + 5, asked=NOW, known=KNOWN),
    )


def test_a_moment_in_whose_middle_a_page_ends_is_written_whole_and_once() -> None:
    """Its values keep telling themselves apart by their order, and no bookmark stands on it before it is complete."""
    reader = _reader()
    first = _take(reader, _page_of((900, 1), (1800, 2), (1800, 3), token="a"))
    second = _take(reader, _page_of((1800, 4), token="b"))
    third = _take(reader, _page_of((1800, 5), (2700, 6)))

    assert (_values(first), _values(second), _values(third)) == ([1], [], [2, 3, 4, 5, 6])
    records = [record for part in third.parts() for record in part.records]
    assert [record["sub_sensor_index"] for record in records] == [0, 1, 2, 3, 0]
    assert [page.bookmark and page.bookmark.value for page in (first, second, third)] == [900, 900, 2700]


def test_a_moment_that_was_kept_for_the_next_page_is_not_lost_behind_a_refused_token() -> None:
    """By time it comes again, whole; behind empty months it is written with what comes."""
    reader = _reader()
    first = _take(reader, _page_of((900, 1), (1800, 2), token="a"))
    empty = _take(reader, _page_of(token="b"))
    _refuse(reader)
    last = _take(reader, _page_of((MONTH_START, 3)))

    assert (_values(first), _values(empty), _values(last)) == ([1], [], [2, 3])


def test_an_empty_page_with_a_token_is_not_the_end() -> None:
    """The bookmark is what it was, until all has been read."""
    reader = _reader(bookmark=900)
    empty = _take(reader, _page_of(token="a"))

    assert (_values(empty), empty.bookmark, empty.positions, list(empty.moments)) == ([], Bookmark(900), None, [])
    assert not reader.done
    assert _take(reader, _page_of()).bookmark == Bookmark(900, asked=NOW, known=KNOWN)


def test_a_device_without_a_reading_has_no_bookmark() -> None:
    """Nothing says where it stands."""
    reader = _reader()
    page = _take(reader, _page_of())

    assert (page.bookmark, reader.done) == (None, True)


def test_without_a_look_back_the_bookmarks_own_moment_is_not_written_again() -> None:
    """The page begins there, for nobody knows whether ends are inclusive."""
    page = _sync([(899, 1), (900, 2), (901, 3)], Bookmark(900), lookback_days=0)

    assert (_values(page), page.bookmark) == ([3], Bookmark(901, asked=NOW, known=KNOWN))


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"{", NotJSONError),
        (as_sent(a_page(a_row(), device_id="z6-9")), UnexpectedBodyError),
        (as_sent(a_page(a_row(value="x"))), UnexpectedBodyError),
        (_page_of((5, 1), token="a"), NoProgressError),
    ],
)
def test_a_reader_refuses_what_is_no_page_of_its_device(body: bytes, error: type[CallError]) -> None:
    """Each kind of refusal is an error by which the fleet goes on, or gives the device up."""
    reader = _reader()
    _take(reader, _page_of((4, 1), token="a"))

    with pytest.raises(error):
        reader.take(body)


# The range


def test_a_page_brings_nothing_beyond_the_end_or_before_the_start() -> None:
    """What is behind `end_date`, or before `start_date`, is no record and counts as none."""
    reader = _reader(start_date="1970-01-01T00:30:00Z", end_date="1970-01-01T00:45:00Z")
    page = _take(reader, _page_of((1799, 1), (1800, 2), (2700, 3), (2700.5, 4), (2701, 5)))

    assert _values(page) == [2, 3, 4]
    assert (page.positions, list(page.moments)) == ((1800, 2700), [1800, 2700])
    assert page.bookmark == Bookmark(2700, asked=NOW, known=KNOWN)


def test_what_a_service_sends_beyond_the_end_ends_the_way() -> None:
    """It does not heed the end: no further page can bring anything."""
    reader = _reader()
    page = _take(reader, _page_of((NOW, 1), (NOW + 1, 2), token="a"))

    assert (_values(page), reader.done, page.ahead) == ([1], True, None)


def test_a_reading_from_the_future_is_left_out_and_named() -> None:
    """More than a day ahead a clock is wrong; the reading comes when its time has come."""
    readings = [(NOW - 5.0, 1.0), (NOW + DAY + 1.0, 2.0)]
    reader = _reader()
    page = _take(reader, _page_of(*readings))

    assert (_values(page), page.ahead, page.bookmark and page.bookmark.value) == ([1], NOW + DAY + 1, NOW - 5)
    assert _values(_sync(readings, page.bookmark, now=NOW + 2 * DAY)) == [2]


@pytest.mark.parametrize(
    ("last", "ahead"), [(NOW + DAY, None), (NOW + DAY + 1, NOW + DAY + 1), (None, None), (NOW, None)]
)
def test_a_clock_that_is_ahead_is_seen_in_the_list(last: int | None, ahead: int | None) -> None:
    """The service heeds the end, so that no page shows it; a day is within what zones and clocks differ."""
    listed = ListedDevice(DEVICE, last_measurement=last)

    assert _take(_reader(listed=listed), _page_of((900, 1))).ahead == ahead


def test_an_end_date_before_the_bookmark_brings_nothing() -> None:
    """Nor does it move the bookmark back."""
    stood = _sync([(900, 1), (1800, 2)]).bookmark
    page = _sync([(900, 1), (1800, 2)], stood, end_date="1970-01-01T00:20:00Z")

    assert _values(page) == []
    assert page.bookmark is not None
    assert page.bookmark.value == 1800
    assert stood is not None
    assert page.bookmark.overlap == stood.overlap


# What is read again

QUARTERS = [(NOW - 900.0 * number, float(number)) for number in range(20, 0, -1)]
"""Twenty readings, one every quarter of an hour; the value says how many quarters ago it was made."""


def _with(*changes: tuple[float, float | None]) -> list[tuple[float, float | None]]:
    """Return QUARTERS with other values, or others between them."""
    return sorted({**dict(QUARTERS), **dict(changes)}.items())


def test_an_idle_sync_writes_nothing_and_leaves_the_state() -> None:
    """What is the same is not written again, however often."""
    first = _sync(QUARTERS)
    second = _sync(QUARTERS, first.bookmark)
    third = _sync(QUARTERS, second.bookmark, now=NOW + 5)

    assert [_values(page) for page in (second, third)] == [[], []]
    assert first.bookmark == second.bookmark
    assert first.bookmark is not None
    assert third.bookmark == replace(first.bookmark, asked=NOW + 5)


def test_a_value_that_is_completed_later_arrives() -> None:
    """The newest by itself: a reading can be there before its values are."""
    first = _sync(_with((NOW - 900, None)))
    second = _sync(QUARTERS, first.bookmark)

    assert _values(second) == [1]
    assert (second.rewritten, second.positions) == (1, None)
    assert _values(_sync(QUARTERS, second.bookmark)) == []


def test_a_value_of_the_very_moment_at_which_the_run_began_is_completed() -> None:
    """The last moment that a run reads belongs to it."""
    first = _sync([(NOW, None)])

    assert _values(_sync([(NOW, 1)], first.bookmark)) == [1]


def test_a_reading_that_comes_late_arrives() -> None:
    """Behind the newest one, with no more than its group."""
    first = _sync([reading for reading in QUARTERS if reading[1] != 2])
    second = _sync(QUARTERS, first.bookmark)

    assert 2 in _values(second)
    assert len(_values(second)) <= 2


def test_new_readings_come_in_the_same_call_as_those_that_are_read_again() -> None:
    """In the order of time, so that the bookmark can follow."""
    first = _sync(QUARTERS[:15])
    second = _sync(_with((QUARTERS[14][0], -6)), first.bookmark)

    assert _values(second) == [-6, 5, 4, 3, 2, 1]
    assert (second.positions, second.rewritten) == ((QUARTERS[15][0], NOW - 900), 1)


@pytest.mark.parametrize(
    "changed", [{"unit": "kPa"}, {"error_code": 134}, {"port_num": 2}, {"sensor_name": "x"}, {"position": 1}]
)
def test_what_a_value_means_is_a_part_of_it(changed: dict[str, Any]) -> None:
    """A change of units, of the code or of a key is a change."""
    first = _take(_reader(lookback_days=1), as_sent(a_page(a_row(timestamp=NOW - 9))))
    second = _take(
        _reader(lookback_days=1, bookmark=_stored(first.bookmark)), as_sent(a_page(a_row(timestamp=NOW - 9, **changed)))
    )

    assert len(_values(second)) == 1


def test_rows_in_another_order_are_no_change() -> None:
    """The service promises none within a moment, nor one form of a number."""
    rows = [a_row(timestamp=NOW - 9, measurement=name, value=17) for name in ("a", "b", "c")]
    first = _take(_reader(lookback_days=1), as_sent(a_page(*rows)))
    again = [{**row, "value": 17.0, "timestamp": float(NOW - 9), "reading_id": 5} for row in rows[::-1]]
    second = _take(_reader(lookback_days=1, bookmark=_stored(first.bookmark)), as_sent(a_page(*again)))

    assert _values(second) == []


def test_a_state_without_digests_gets_them_and_nothing_is_written() -> None:
    """Such as one that a person has set: late values arrive from then on."""
    first = _sync(QUARTERS, Bookmark(NOW - 900))
    second = _sync(_with((NOW - 900, -1)), first.bookmark)

    assert (_values(first), _values(second)) == ([], [-1])


def test_what_is_read_again_never_reaches_behind_start_date() -> None:
    """Neither where digests are made for the first time, nor later."""
    settings: dict[str, Any] = {"start_date": "2033-05-18T02:00:00Z"}
    start = 1_999_994_400
    first = _sync(QUARTERS, Bookmark(NOW - 900), **settings)
    reader = _reader(bookmark=_stored(first.bookmark), lookback_days=7, **settings)

    assert first.bookmark is not None
    assert first.bookmark.overlap["from"] == start
    assert _request(reader).start == start
    assert _values(_take(reader, _page_of(*_with((start - 9, -1))))) == []


@pytest.mark.parametrize("settings", [{}, {"start_date": "2033-05-10"}], ids=["all", "from a date"])
def test_what_comes_late_before_the_first_reading_that_is_read_again_arrives(settings: dict[str, Any]) -> None:
    """A silence at the beginning of the look-back is a part of it: idle syncs must not shorten it."""
    first = _sync(QUARTERS[10:], **settings)
    bookmark = first.bookmark
    for _ in range(3):
        bookmark = _sync(QUARTERS[10:], bookmark, **settings).bookmark
    late = _sync(QUARTERS, bookmark, **settings)

    assert set(range(11, 21)) <= set(_values(late))


def test_a_silence_within_the_look_back_may_be_filled() -> None:
    """A device that was without network sends what it has kept, days later, behind readings that came before."""
    day = float(DAY)
    before = [(NOW - 9 * day, 9.0), (NOW - 2 * day, 2.0), (NOW - day, 1.0)]
    bookmark = _sync(before).bookmark
    for _ in range(2):
        bookmark = _sync(before, bookmark).bookmark
    late = _sync(sorted([*before, (NOW - 6 * day, 6.0)]), bookmark)

    assert _values(late) == [6]


def test_a_group_that_a_page_cuts_is_compared_whole() -> None:
    """Where what is read again takes several pages, its records wait until their group has been read."""
    stood = _sync(QUARTERS).bookmark
    changed = _with((NOW - 900 * 8, -8))
    reader = _reader(bookmark=_stored(stood), lookback_days=7)
    cuts = [changed[first : first + 3] for first in range(0, 20, 3)]
    read = [_take(reader, _page_of(*cut, token=f"{number}" if number < 6 else None)) for number, cut in enumerate(cuts)]
    written = [_values(page) for page in read]

    assert written == [[], [], [], [], [], [10, 9, -8, 7, 6], []]
    assert [page.bookmark == stood for page in read[:-1]] == [True] * 6
    assert _values(_sync(changed, read[-1].bookmark)) == []


# The bookmark within a page


def _bookmarks(page: Page) -> list[tuple[list[float | None], Bookmark | None]]:
    """Return the values of each part, and where the device stands once they have been written."""
    return [([record["value"] for record in part.records], part.bookmark and part.bookmark()) for part in page.parts()]


def test_the_bookmark_moves_within_a_page(monkeypatch: pytest.MonkeyPatch) -> None:
    """A month may take long; a moment is never cut."""
    monkeypatch.setattr("tap_zentra.v5.readings.RECORDS_AT_ONCE", 2)
    page = _take(_reader(lookback_days=1), _page_of((5, 1), (6, 2), (7, 3), (7, 4), (7, 5), (8, 6)))

    parts = _bookmarks(page)

    assert [(values, bookmark and bookmark.value) for values, bookmark in parts] == [
        ([1, 2], 6),
        ([3, 4, 5], 7),
        ([6], 8),
    ]
    assert [bookmark and bookmark.asked for _, bookmark in parts] == [None, None, NOW]
    assert parts[-1][1] == page.bookmark


def test_what_comes_late_after_a_stop_within_a_page_arrives(monkeypatch: pytest.MonkeyPatch) -> None:
    """The next sync knows what the readings before the stop have held, those of earlier syncs as well."""
    monkeypatch.setattr("tap_zentra.v5.readings.RECORDS_AT_ONCE", 1)
    stood = _sync(QUARTERS[:10]).bookmark
    parts = _bookmarks(_sync(QUARTERS, stood))
    (stopped,) = (bookmark for values, bookmark in parts if values == [6])
    late = _with((QUARTERS[3][0], -17), (QUARTERS[12][0], -8))

    assert stopped is not None
    assert stopped.value == QUARTERS[14][0]
    assert _values(_sync(QUARTERS, stopped)) == [5, 4, 3, 2, 1]
    assert {-17, -8, 5, 4, 3, 2, 1} <= set(_values(_sync(late, stopped)))


def test_what_is_read_again_moves_no_bookmark(monkeypatch: pytest.MonkeyPatch) -> None:
    """A part of it that has been written leaves the device where it was, with what is known of it."""
    monkeypatch.setattr("tap_zentra.v5.readings.RECORDS_AT_ONCE", 1)
    stood = _stored(_sync(QUARTERS[:18]).bookmark)
    page = _sync(_with((QUARTERS[15][0], -5), (QUARTERS[17][0], -3)), stood)
    parts = _bookmarks(page)

    written = [(values, bookmark) for values, bookmark in parts if values]
    assert [values for values, _ in written] == [[-5], [-3], [2], [1]]
    assert {bookmark and bookmark.value for values, bookmark in parts if not values} == {
        stood and stood.value,
        NOW - 900,
    }
    assert [bookmark for _, bookmark in written[:2]] == [stood] * 2
    assert [bookmark and bookmark.value for _, bookmark in written[2:]] == [NOW - 1800, NOW - 900]


@pytest.mark.parametrize("stop", range(1, 38, 4))
@pytest.mark.parametrize("known", [0, 12])
def test_a_stop_in_any_page_knows_what_stands_before_it(monkeypatch: pytest.MonkeyPatch, known: int, stop: int) -> None:
    """Also of the pages before, as far as the look-back reaches: nothing comes twice, and what changes arrives."""
    monkeypatch.setattr("tap_zentra.v5.readings.RECORDS_AT_ONCE", 1)
    days = [(NOW - float(DAY) * number, float(number)) for number in range(50, 0, -1)]
    stood = _stored(_sync(days[:known]).bookmark)
    reader = _reader(bookmark=stood, lookback_days=7)
    first = 0 if stood is None else known - 7
    parts = []
    for start, stop_at, token in ((first, 30, "a"), (30, 50, None)):
        page = _take(reader, _page_of(*days[start:stop_at], token=token))
        parts += [part for part in _bookmarks(page) if part[0]]
    parts = parts[:stop]
    stopped = parts[-1][1]
    position = known + stop
    late = [(at, -value if number == position - 4 else value) for number, (at, value) in enumerate(days)]

    assert _values(_sync(days, stopped)) == [value for _, value in days[position:]]
    assert late[position - 4][1] in _values(_sync(late, stopped)) or position < 4


@given(
    moments=st.lists(st.integers(NOW - 30, NOW), min_size=1, max_size=25).map(sorted),
    at_once=st.integers(1, 6),
    stop=st.integers(0, 10),
    lookback_days=st.sampled_from([0, 1e-4, 7]),
)
def test_a_stop_within_a_page_loses_nothing_and_repeats_nothing(
    moments: list[int], at_once: int, stop: int, lookback_days: float
) -> None:
    """Wherever it comes: the next sync goes on where the bookmark of the last part stands."""
    readings = [(float(moment), float(number)) for number, moment in enumerate(moments)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tap_zentra.v5.readings.RECORDS_AT_ONCE", at_once)
        parts = _bookmarks(_sync(readings, lookback_days=lookback_days))[:stop]
    written = [value for values, _ in parts for value in values]
    bookmark = parts[-1][1] if parts else None

    assert written + _values(_sync(readings, bookmark, lookback_days=lookback_days)) == [value for _, value in readings]


def test_a_part_holds_as_many_records_as_other_streams_write_at_once() -> None:
    """Little enough for memory and for stopping."""
    page = _take(_reader(), _page_of(*((float(moment), 1.0) for moment in range(2 * pages.RECORDS_AT_ONCE + 50))))

    assert [len(part.records) for part in page.parts()] == [pages.RECORDS_AT_ONCE] * 2 + [50]


# A token that is refused

REFUSAL = PageTokenRefusedError("the service rejected the call (422)")


def _refuse(reader: ReadingsReader) -> Page:
    """Return what a refusal of what a reader asks for next brings."""
    reader._api = cast("Api", _Api(REFUSAL))  # noqa: SLF001 - from now on
    return reader.take(reader.call(a_call()))


def test_a_refused_token_is_followed_by_time() -> None:
    """At once, from the last moment that was read, which is not written again."""
    reader = _reader()
    first = _take(reader, _page_of((5, 1), (6, 2), token="a"))
    refused = _refuse(reader)
    assert not reader.done
    request = _request(reader)
    second = _take(reader, _page_of((6, 2), (7, 3)))

    assert refused.warning == "the service rejected the call (422); continuing by time instead of next_token"
    assert _bookmarks(refused) == [([], Bookmark(5, known=KNOWN))]
    assert (refused.positions, list(refused.moments), refused.rewritten) == (None, [], 0)
    assert request == PageRequest(6, NOW)
    assert (_values(first), _values(second)) == ([1], [2, 3])


def test_a_broken_response_behind_a_refused_token_is_no_refusal() -> None:
    """What counts is what became of the last call."""
    reader = _reader()
    _take(reader, _page_of((5, 1), token="a"))
    _refuse(reader)
    reader._api = cast("Api", _Api(b""))  # noqa: SLF001 - from now on

    with pytest.raises(NotJSONError):
        reader.take(reader.call(a_call()))


def test_what_is_refused_by_time_as_well_fails_its_device() -> None:
    """Asking the same again would not help; the next run goes on at the bookmark."""
    reader = _reader()
    _take(reader, _page_of((NOW - 5, 1), token="a"))
    for token in "bc":
        _refuse(reader)
        _take(reader, _page_of((NOW - 5, 1), token=token))

    with pytest.raises(DeviceFailedError, match="requesting by time instead of next_token did not help"):
        _refuse(reader)


def test_what_is_read_again_goes_on_by_time_too() -> None:
    """Its digests are those of all of it: an idle sync stays idle, a change is found."""
    stood = _stored(_sync(QUARTERS).bookmark)

    def sync(readings: Sequence[tuple[float, float | None]]) -> list[float | None]:
        reader = _reader(bookmark=stood, lookback_days=7)
        first = _take(reader, _page_of(*readings[:9], token="a"))
        assert _bookmarks(_refuse(reader)) == [([], stood)]
        return _values(first, _take(reader, _page_of(*readings[8:])))

    assert sync(QUARTERS) == []
    assert -12 in sync(_with((QUARTERS[8][0], -12)))


# Many syncs


@dataclass
class _Service:
    """A device whose values come late, served by months, with tokens that may be refused.

    Attributes:
        lifetime: Pages after which tokens are refused; None: never.
        values: What it holds: moment -> value.
    """

    lifetime: int | None
    values: dict[int, int] = field(default_factory=dict)
    _ranges: list[list[list[int]]] = field(default_factory=list)

    def get_data(self, _device_sn: str, page: PageRequest, call: Call, *, units: str) -> bytes:
        """Return a page."""
        assert units == "metric"
        call.on_sent()
        number, index = len(self._ranges), 0
        if page.token is None:
            self._ranges.append(self._months(page))
        else:
            number, index = map(int, page.token.split("/"))
            if self.lifetime is not None and index > self.lifetime:
                raise REFUSAL
        months = self._ranges[number]
        token = f"{number}/{index + 1}" if index + 1 < len(months) else None
        return _page_of(*((moment, self.values[moment]) for moment in months[index]), token=token)

    def _months(self, page: PageRequest) -> list[list[int]]:
        months: dict[str, list[int]] = {}
        for moment in sorted(self.values):
            if (page.start or 0) <= moment <= page.end + 1:
                months.setdefault(iso_timestamp(moment)[:7], []).append(moment)
        return list(months.values()) or [[]]


@given(
    runs=st.lists(
        st.dictionaries(st.integers(0, 40).map(lambda step: step * 3 * DAY // 2), st.integers(0, 9), max_size=12),
        min_size=1,
        max_size=5,
    ),
    lookback_days=st.sampled_from([1, 10, 100]),
    lifetime=st.none() | st.integers(1, 2),
)
def test_all_that_comes_within_the_look_back_arrives(
    runs: list[dict[int, int]], lookback_days: int, lifetime: int | None
) -> None:
    """Over any number of syncs, late or corrected, whatever tokens do; and an idle sync brings nothing."""
    service = _Service(lifetime=lifetime)
    bookmark: Bookmark | None = None
    table: dict[str, float | None] = {}
    missed: set[int] = set()
    for arrived in runs:
        stood = None if bookmark is None else bookmark.value
        missed |= {
            at
            for at, value in arrived.items()
            if stood is not None and at <= stood - lookback_days * DAY and service.values.get(at) != value
        }
        service.values |= arrived
        for is_idle in (False, True):
            reader = _reader(service, bookmark=_stored(bookmark), lookback_days=lookback_days)
            calls = 0
            while not reader.done:
                calls += 1
                assert calls < 50
                for part in reader.take(reader.call(a_call())).parts():
                    assert not (is_idle and part.records)
                    table |= {record["timestamp_utc"]: record["value"] for record in part.records}
                    bookmark = part.bookmark and part.bookmark()

        found = {moment: table.get(iso_timestamp(moment)) for moment in service.values if moment not in missed}
        assert found == {moment: value for moment, value in service.values.items() if moment not in missed}


@pytest.mark.parametrize("coordinates", [[46.75, -117.16], {"latitude": 46.75}, None])
def test_the_state_keeps_of_the_metadata_what_is_text(coordinates: object) -> None:
    """Targets made with Meltano's SDK fail at a state with fractions; the page tells it all the same."""
    body = a_page(a_row(timestamp=900))
    body["metadata"] |= {"location": "Farm", "coordinates": coordinates, "altitude": 806.5}
    page = _take(_reader(), as_sent(body))

    assert page.bookmark is not None
    assert page.bookmark.known == {"device_name": "North Device", "location": "Farm"}
    assert page.known is not None
    assert page.known.get("coordinates") == coordinates
