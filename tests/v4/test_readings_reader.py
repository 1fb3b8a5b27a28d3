"""ReadingsReader: one device's way through its readings, page by page, without a network."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, cast

import pytest

from tap_zentra.bodies import NotJSONError, UnexpectedBodyError
from tap_zentra.settings import read_settings
from tap_zentra.singer.bookmarks import Bookmark
from tap_zentra.singer.pages import WholePage
from tap_zentra.tap import TapZentra
from tap_zentra.v4.api import RECORD_BYTES, Account, call_limits
from tap_zentra.v4.pagination import NoProgressError, PageRequest
from tap_zentra.v4.readings import ReadingsReader, ReadingsStream
from tests.support import a_call
from tests.v4.support import DEVICE, a_page, an_entry, as_sent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tap_zentra.calls.errors import CallError
    from tap_zentra.calls.memory import Call
    from tap_zentra.v4.api import Api


class _Api:
    """Calls that bring one body, and what they were asked for."""

    def __init__(self, body: bytes) -> None:
        self.body = body
        self.asked: list[tuple[str, PageRequest, dict[str, object]]] = []

    def get_readings(self, device_sn: str, page: PageRequest, call: Call, **options: object) -> bytes:
        """Bring the body."""
        call.on_sent()
        self.asked.append((device_sn, page, options))
        return self.body


NOW = 2_000_000_000
"""When all runs begin, in seconds since 1970."""


def _reader(
    api: _Api | None = None,
    *,
    bookmark: int | Bookmark | None = None,
    newest: int | None = None,
    now: float = NOW,
    **settings: object,
) -> ReadingsReader:
    config = {"auth_token": "x", "device_sns": DEVICE, "page_size": 2, "mrid_lookback": 0, **settings}
    stood = Bookmark(bookmark) if isinstance(bookmark, int) else bookmark
    return ReadingsReader(DEVICE, cast("Api", api), read_settings(config), bookmark=stood, newest=newest, now=now)


@pytest.mark.parametrize("depth", [True, False])
def test_a_reader_asks_for_its_devices_next_page(*, depth: bool) -> None:
    """By its paginator's request, in the size of its pages, and it says when the request has gone out."""
    api = _Api(b"a body")
    sent: list[bool] = []

    body = _reader(api, page_size=7, device_depth=depth, bookmark=4710).call(a_call(lambda: sent.append(True)))

    assert body == b"a body"
    assert api.asked == [(DEVICE, PageRequest(start_mrid=4711), {"page_size": 7, "depth": depth})]
    assert sent == [True]


def _page_of(*mrids: int, max_mrid: int) -> bytes:
    readings = [{"mrid": mrid, "timestamp_utc": 900 * mrid} for mrid in mrids]
    return as_sent(a_page({"Water Content": [an_entry(*readings)]} if mrids else {}, max_mrid))


def test_a_reader_takes_pages_until_its_device_is_at_its_end() -> None:
    """Each page says what it brings and where the bookmark goes; the reader, what is left and when it is done."""
    reader = _reader(page_size=3)
    progress = [(reader.calls_left, reader.done)]

    first = reader.take(_page_of(1, 2, max_mrid=5))
    progress.append((reader.calls_left, reader.done))
    second = reader.take(_page_of(4, 5, max_mrid=5))
    progress.append((reader.calls_left, reader.done))

    assert progress == [(math.inf, False), (1, False), (0, True)]
    records = [record for page in (first, second) for record in page.records()]
    assert [(record["device_sn"], record["mrid"]) for record in records] == [(DEVICE, mrid) for mrid in (1, 2, 4, 5)]
    known = {"device_name": "Lower meadow", "first_mrid": 1, "first_reading": 900}
    assert (first.bookmark, first.positions, list(first.moments), first.warning) == (
        Bookmark(2, known=known),
        (1, 2),
        [900, 1800],
        None,
    )
    assert (second.bookmark, second.positions, list(second.moments)) == (
        Bookmark(5, known=known),
        (4, 5),
        [3600, 4500],
    )
    assert (first.went_back, first.ahead, first.rewritten) == (None, None, 0)


def test_a_page_brings_nothing_beyond_the_end_or_before_the_start() -> None:
    """What is behind `end_date`, or before `start_date`, is no record and counts as none."""
    reader = _reader(start_date="1970-01-01T00:30:00Z", end_date="1970-01-01T00:45:00Z")
    page = reader.take(_page_of(1, 2, 3, 4, max_mrid=9))

    assert [record["mrid"] for record in page.records()] == [2, 3]
    known = {"device_name": "Lower meadow", "first_mrid": 2, "first_reading": 1800}
    assert (page.bookmark, page.positions, list(page.moments)) == (Bookmark(3, known=known), (2, 3), [1800, 2700])


def test_an_empty_page_brings_nothing() -> None:
    """Neither a record, nor a range, nor a moment; the bookmark is what it was."""
    page = _reader(bookmark=5).take(_page_of(max_mrid=5))

    assert list(page.records()) == []
    assert (page.bookmark, page.positions, list(page.moments)) == (Bookmark(5), None, [])


def test_a_page_is_as_long_as_the_service_says() -> None:
    """Behind an empty page the next one is asked for, by the length that the service allows, not the one asked for."""
    reader = _reader(bookmark=9, page_size=20)
    page = a_page({}, 100)
    page["pagination"]["per_page"] = 5

    reader.take(as_sent(page))

    assert reader.calls_left == (101 - 15) / 20
    assert reader.expected_bytes == (101 - 15) * RECORD_BYTES


def test_a_device_that_went_back_is_told_with_its_page() -> None:
    """A wiped device is read again from its start, and says from where it went back."""
    page = _reader(bookmark=9).take(_page_of(max_mrid=1))

    assert page.went_back == 9
    assert list(page.records()) == []


def test_a_reading_from_the_future_is_loaded_and_is_not_the_newest() -> None:
    """More than a day ahead a clock is wrong: what it stamped is named, and nothing goes by it."""
    readings = [
        {"mrid": 1, "timestamp_utc": 900},
        {"mrid": 2, "timestamp_utc": 88_301},
        {"mrid": 3, "timestamp_utc": 1800},
    ]
    page = _reader(bookmark=0, now=1900).take(as_sent(a_page({"Battery": [an_entry(*readings)]}, 3)))

    assert [record["mrid"] for record in page.records()] == [1, 2, 3]
    assert (list(page.moments), page.ahead) == ([900, 1800], 88_301)


def test_a_day_ahead_is_no_wrong_clock() -> None:
    """Zones and the clock of this machine may make so much of a difference."""
    page = _reader(bookmark=0, now=1900).take(
        as_sent(a_page({"Battery": [an_entry({"mrid": 1, "timestamp_utc": 88_300})]}, 1))
    )

    assert (list(page.moments), page.ahead) == ([88_300], None)


# What is read again


def _values(*values: float | None, mrids: Sequence[int] | None = None, **metadata: object) -> dict[str, Any]:
    """Return an entry whose records, from mrid 1 on, have these values."""
    numbers = mrids or range(1, len(values) + 1)
    readings = [
        {"mrid": mrid, "timestamp_utc": 900 * mrid, "value": value} for mrid, value in zip(numbers, values, strict=True)
    ]
    return an_entry(*readings, **metadata)


def _sync(data: dict[str, Any], bookmark: Bookmark | None, **settings: object) -> WholePage:
    """Return what a sync brings whose one page holds all of the device."""
    newest = max(reading["mrid"] for entries in data.values() for entry in entries for reading in entry["readings"])
    stored = None if bookmark is None else Bookmark(**json.loads(json.dumps(asdict(bookmark))))
    options = {"page_size": 2000, "mrid_lookback": 200, **settings}
    return _reader(bookmark=stored, **options).take(as_sent(a_page(data, newest)))  # type: ignore[arg-type]


def test_values_that_come_late_arrive() -> None:
    """A record can be read before all its values are there: it comes whole with a later sync, and no other does."""
    first = _sync({"Air Temperature": [_values(1, 2, 3)], "Water Content": [_values(7, 8)]}, None)
    second = _sync({"Air Temperature": [_values(1, 2, 3)], "Water Content": [_values(7, 8, 9)]}, first.bookmark)

    assert [(record["measurement"], record["mrid"], record["value"]) for record in second.records()] == [
        ("Air Temperature", 3, 3),
        ("Water Content", 3, 9),
    ]
    assert (second.rewritten, second.positions) == (1, None)


def test_a_null_that_is_filled_later_arrives() -> None:
    """So does a value that was corrected."""
    first = _sync({"Battery": [_values(1, None, 3)]}, None)
    second = _sync({"Battery": [_values(1, 2, 3)]}, first.bookmark)
    third = _sync({"Battery": [_values(1, 2, 3)]}, second.bookmark)

    assert [record["value"] for record in second.records()] == [2]
    assert list(third.records()) == []


@pytest.mark.parametrize(
    "again",
    [
        {"Battery": [_values(17.0, None)], "Rain": [_values(0, 0.0)]},
        {"Rain": [_values(0.0, -0.0)], "Battery": [_values(17, None)]},
        {
            "Battery": [_values(17, None, error_description="")],
            "Rain": [_values(0, 0, device_name="New", sensor_sn="x")],
        },
    ],
)
def test_what_is_the_same_is_not_written_again(again: dict[str, Any]) -> None:
    """Neither the order of entries, nor 17 or 17.0, nor null or "", nor a new name makes a difference."""
    first = _sync({"Battery": [_values(17, None)], "Rain": [_values(0, 0)]}, None)
    second = _sync(again, first.bookmark)

    assert list(second.records()) == []
    assert second.bookmark == first.bookmark


@pytest.mark.parametrize("changed", [{"units": " kPa"}, {"port_number": 4}])
def test_what_a_value_means_is_a_part_of_it(changed: dict[str, Any]) -> None:
    """A change of units or of a key is a change."""
    first = _sync({"Battery": [_values(17)]}, None)

    assert len(list(_sync({"Battery": [_values(17, **changed)]}, first.bookmark).records())) == 1


def test_mrids_that_come_late_at_the_beginning_of_the_look_back_arrive() -> None:
    """Holes there are a part of it: idle syncs must not shorten it to the first record that is there."""
    before = (*range(1, 11), *range(21, 31))
    stood = _sync({"Battery": [_values(*before, mrids=before)]}, None, mrid_lookback=15).bookmark
    for _ in range(3):
        stood = _sync({"Battery": [_values(*before[10:], mrids=before[10:])]}, stood, mrid_lookback=15).bookmark
    late = range(16, 31)
    page = _sync({"Battery": [_values(*late, mrids=late)]}, stood, mrid_lookback=15)

    assert [record["mrid"] for record in page.records()][:5] == [16, 17, 18, 19, 20]


def test_new_records_come_in_the_same_call_as_those_that_are_read_again() -> None:
    """One page has room for both, and only what is new or changed is written."""
    first = _sync({"Battery": [_values(1, 2, 3)]}, None)
    second = _sync({"Battery": [_values(1, 2, 3, 4, 5)]}, first.bookmark)

    assert [record["mrid"] for record in second.records()] == [4, 5]
    assert (second.positions, second.bookmark and second.bookmark.value) == ((4, 5), 5)


def test_a_state_without_digests_gets_them_and_nothing_is_written() -> None:
    """A state of 0.1.0 goes on where it was, and late values arrive from then on."""
    first = _sync({"Battery": [_values(1, 2, 3)]}, Bookmark(3))
    second = _sync({"Battery": [_values(1, 2, 4)]}, first.bookmark)

    assert list(first.records()) == []
    assert [record["value"] for record in second.records()] == [4]


def test_what_is_read_again_never_reaches_behind_start_date() -> None:
    """Neither where digests are made for the first time, nor later."""
    settings = {"start_date": "1970-01-01T00:30:00Z"}
    first = _sync({"Battery": [_values(1, 2, 3)]}, Bookmark(3), **settings)
    second = _sync({"Battery": [_values(2, 3, mrids=(2, 3))]}, first.bookmark, **settings)

    assert first.bookmark is not None
    assert first.bookmark.overlap["from"] == 2
    assert list(second.records()) == []
    assert first.bookmark == second.bookmark


def test_an_unset_clock_is_read_again_like_any_other() -> None:
    """Behind `start_date` it is the record that counts, not its moment: nothing comes twice, late values come."""
    settings = {"start_date": "1970-01-01T00:30:00Z"}

    def page(late: int) -> dict[str, Any]:
        entry = _values(2, 3, late, 5, mrids=(2, 3, 4, 5))
        entry["readings"][2]["timestamp_utc"] = 7
        return {"Battery": [entry]}

    first = _sync(page(4), None, **settings)
    second = _sync(page(4), first.bookmark, **settings)
    third = _sync(page(-4), second.bookmark, **settings)

    assert [record["mrid"] for record in first.records()] == [2, 3, 4, 5]
    assert list(second.records()) == []
    assert [record["value"] for record in third.records()] == [-4]


def test_a_change_of_units_within_what_is_read_again_is_no_change_of_values() -> None:
    """Two entries of one place come in any order."""
    entries = [_values(1, 2, units=" kPa"), _values(3, 4, mrids=(3, 4), units=" psi")]
    first = _sync({"Battery": entries}, None)

    assert list(_sync({"Battery": entries[::-1]}, first.bookmark).records()) == []


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"value": 1e-20}, {"value": 2e-20}),
        ({"value": 10**400}, {"value": 10**400 + 1}),
        ({}, {"error_description": "x"}),
    ],
)
def test_the_smallest_change_is_a_change(before: dict[str, Any], after: dict[str, Any]) -> None:
    """Of a value of whatever size, and of what the service says of it."""
    first = _sync({"Battery": [an_entry({"mrid": 1, **before})]}, None)

    assert len(list(_sync({"Battery": [an_entry({"mrid": 1, **after})]}, first.bookmark).records())) == 1


def test_an_empty_page_is_followed_by_a_search_by_date() -> None:
    """From the moment of the newest reading that earlier syncs have read."""
    reader = _reader(bookmark=5, newest=900_000)
    reader.take(_page_of(max_mrid=50))
    api = _Api(b"")
    reader._api = cast("Api", api)  # noqa: SLF001 - to see what it asks for next
    reader.call(a_call())

    assert [page for _, page, _ in api.asked] == [PageRequest(start_date=813_600, per_page=2000)]


def test_a_page_out_of_order_is_followed_by_a_range() -> None:
    """The order of the response is told to the paginator."""
    reader = _reader(bookmark=0)
    page = reader.take(_page_of(5, 4, max_mrid=5))
    rest = reader.take(_page_of(2, 1, max_mrid=5))

    assert list(page.records()) == []
    assert [record["mrid"] for record in rest.records()] == [2, 1]


def test_what_a_person_should_know_of_a_page_is_passed_on() -> None:
    """As the paginator says it."""
    reader = _reader(bookmark=5, page_size=50)

    assert reader.take(_page_of(max_mrid=9)).warning == (
        "its newest record is mrid 9, but the service returned nothing after mrid 5; the next sync will try again"
    )


def test_a_group_that_a_page_cuts_is_compared_whole() -> None:
    """Where what is read again takes several pages, its records wait until their group has been read."""
    data = {"Battery": [_values(*range(1, 21))]}
    stood = _sync(data, None).bookmark
    reader = _reader(bookmark=stood, page_size=3, mrid_lookback=200)
    values = {mrid: -8 if mrid == 8 else mrid for mrid in range(1, 21)}
    pages = []
    for first in range(1, 21, 3):
        mrids = range(first, min(first + 3, 21))
        pages.append(reader.take(as_sent(a_page({"Battery": [_values(*map(values.get, mrids), mrids=mrids)]}, 20))))
    written = [[(record["device_sn"], record["mrid"]) for record in page.records()] for page in pages]

    assert written == [[], [], [], [(DEVICE, mrid) for mrid in range(5, 13)], [], [], []]
    assert [page.bookmark == stood for page in pages] == [True] * 6 + [False]


def test_an_end_date_before_the_bookmark_writes_a_change_once() -> None:
    """All that is read again is read to the bookmark, so that the digests are those of what was written."""
    stood = _sync({"Battery": [_values(*range(1, 21))]}, None).bookmark
    changed = {"Battery": [_values(*range(1, 12), -12, *range(13, 21))]}
    settings = {"end_date": "1970-01-01T04:00:00Z"}
    first = _sync(changed, stood, **settings)
    second = _sync(changed, first.bookmark, **settings)

    assert 12 in {record["mrid"] for record in first.records()}
    assert list(second.records()) == []


def test_a_wiped_device_forgets_what_its_records_held() -> None:
    """It counts from 1 again, so that nothing of what it holds now was read before."""
    stood = _sync({"Battery": [_values(*range(1, 21))]}, None).bookmark
    reader = _reader(bookmark=stood, page_size=2000, mrid_lookback=200)
    reader.take(_page_of(1, 2, max_mrid=2))
    page = reader.take(_page_of(1, 2, max_mrid=2))

    assert [record["mrid"] for record in page.records()] == [1, 2]
    assert page.bookmark is not None
    assert page.bookmark.overlap["from"] == 1


def test_a_place_keeps_its_index_from_run_to_run() -> None:
    """A depth that is missing in a later run shifts no other."""
    depths = ("10 cm", "30 cm", "60 cm")
    first = _sync({"Water Content": [_values(1, 2, depth=depth) for depth in depths]}, None)
    second = _sync({"Water Content": [_values(1, 2, 3, depth=depth) for depth in depths[1:]]}, first.bookmark)

    assert {record["depth"]: record["sub_sensor_index"] for record in second.records() if record["mrid"] == 3} == {
        "30 cm": 1,
        "60 cm": 2,
    }


def test_a_device_that_is_read_again_from_its_start_keeps_its_places() -> None:
    """Or its rows would get other keys than those that are stored; of what it held nothing is known any more."""
    first = _sync({"Water Content": [_values(1, depth=depth) for depth in ("30 cm", "60 cm")]}, None)
    second = _sync(
        {"Water Content": [_values(1, 2, depth=depth) for depth in ("10 cm", "30 cm", "60 cm")]}, first.bookmark
    )
    assert second.bookmark is not None

    again = _sync(
        {"Water Content": [_values(1, depth=depth) for depth in ("10 cm", "30 cm")]}, second.bookmark.at_start()
    )

    assert {record["depth"]: record["sub_sensor_index"] for record in again.records()} == {"30 cm": 0, "10 cm": 2}


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"{", NotJSONError),
        (as_sent(a_page({"Water Content": [an_entry({}, device_sn="z6-9")]})), UnexpectedBodyError),
        (_page_of(0, max_mrid=5), NoProgressError),
    ],
)
def test_a_reader_refuses_what_is_no_page_of_its_device(body: bytes, error: type[CallError]) -> None:
    """Each kind of refusal is an error by which the fleet goes on, or gives the device up."""
    with pytest.raises(error):
        _reader(bookmark=0).take(body)


def test_the_stream_makes_readers_as_the_settings_say() -> None:
    """Page size, look-back, range and depths are the settings'; the bookmark is the device's."""
    config = {
        "auth_token": "x",
        "device_sns": DEVICE,
        "page_size": 50,
        "mrid_lookback": 10,
        "device_depth": False,
        "end_date": "1970-01-01T01:00:00Z",
    }
    api = _Api(_page_of(*range(91, 103), max_mrid=200))
    account = Account(read_settings(config), cast("Api", api), call_limits(user_limit=1, device_limit=1, window=1))
    stream = ReadingsStream(TapZentra(config=config), lambda: account)
    (reader,) = stream.readers_of(DEVICE, Bookmark(100), newest=None, now=NOW).values()

    page = reader.take(reader.call(a_call()))

    assert api.asked == [(DEVICE, PageRequest(start_mrid=91), {"page_size": 50, "depth": False})]
    assert isinstance(page, WholePage)
    assert (list(page.records()), page.bookmark and page.bookmark.value, reader.done) == ([], 100, True)


def test_a_first_sync_begins_at_the_start_date() -> None:
    """Without a bookmark, from a day before, because the service takes the device's local time."""
    config = {"auth_token": "x", "device_sns": DEVICE, "start_date": "1970-01-03"}
    api = _Api(b"")
    account = Account(read_settings(config), cast("Api", api), call_limits(user_limit=1, device_limit=1, window=1))
    stream = ReadingsStream(TapZentra(config=config), lambda: account)

    (reader,) = stream.readers_of(DEVICE, None, newest=None, now=NOW).values()
    reader.call(a_call())

    assert api.asked == [(DEVICE, PageRequest(start_date=86_400), {"page_size": 2000, "depth": True})]
