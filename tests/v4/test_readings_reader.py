"""ReadingsReader: one device's way through its readings, page by page, without a network."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, cast

import pytest

from tap_zentra.settings import read_settings
from tap_zentra.tap import TapZentra
from tap_zentra.v4.api import Account, call_limits
from tap_zentra.v4.pagination import MridPaginator, NoProgressError, PageRequest
from tap_zentra.v4.readings import ReadingsReader, ReadingsStream
from tap_zentra.v4.responses import NotJSONError, UnexpectedBodyError
from tests.v4.support import DEVICE, a_page, an_entry, as_sent

if TYPE_CHECKING:
    from collections.abc import Callable

    from tap_zentra.calls.errors import CallError
    from tap_zentra.v4.api import Api


class _Api:
    """Calls that bring one body, and what they were asked for."""

    def __init__(self, body: bytes) -> None:
        self.body = body
        self.asked: list[tuple[str, PageRequest, dict[str, object]]] = []

    def get_readings(self, device_sn: str, page: PageRequest, on_sent: Callable[[], None], **options: object) -> bytes:
        """Bring the body."""
        on_sent()
        self.asked.append((device_sn, page, options))
        return self.body


def _reader(
    api: _Api | None = None, *, page_size: int = 2, depth: bool = True, **options: int | None
) -> ReadingsReader:
    paginator = MridPaginator(**{"bookmark": None, "page_size": page_size, **options})  # type: ignore[arg-type]
    return ReadingsReader(DEVICE, paginator, cast("Api", api), page_size=page_size, depth=depth)


@pytest.mark.parametrize("depth", [True, False])
def test_a_reader_asks_for_its_devices_next_page(*, depth: bool) -> None:
    """By its paginator's request, in the size of its pages, and it says when the request has gone out."""
    api = _Api(b"a body")
    sent: list[bool] = []

    body = _reader(api, page_size=7, depth=depth, bookmark=4710).call(lambda: sent.append(True))

    assert body == b"a body"
    assert api.asked == [(DEVICE, PageRequest(start_mrid=4711), {"page_size": 7, "depth": depth})]
    assert sent == [True]


def _page_of(*mrids: int, max_mrid: int) -> bytes:
    readings = [{"mrid": mrid, "timestamp_utc": 900 * mrid} for mrid in mrids]
    return as_sent(a_page({"Water Content": [an_entry(*readings)]} if mrids else {}, max_mrid))


def test_a_reader_takes_pages_until_its_device_is_at_its_end() -> None:
    """Each page says what it brings and where the bookmark goes; the reader, what is left and when it is done."""
    reader = _reader()
    progress = [(reader.calls_left, reader.done)]

    first = reader.take(_page_of(1, 2, max_mrid=5))
    progress.append((reader.calls_left, reader.done))
    second = reader.take(_page_of(4, 5, max_mrid=5))
    progress.append((reader.calls_left, reader.done))

    assert progress == [(math.inf, False), (1.5, False), (0, True)]
    records = [record for page in (first, second) for record in page.records()]
    assert [(record["device_sn"], record["mrid"]) for record in records] == [(DEVICE, mrid) for mrid in (1, 2, 4, 5)]
    assert (first.bookmark, first.mrids, first.newest, first.missing, first.warning) == (2, (1, 2), 1800, 0, None)
    assert (second.bookmark, second.mrids, second.newest, second.missing) == (5, (4, 5), 4500, 1)
    assert second.warning == "1 records up to mrid 5 do not exist: a gap"
    assert first.went_back is None


def test_a_page_brings_nothing_beyond_the_end_or_before_the_start() -> None:
    """What is behind `end_date` counts neither as read nor as newest; what is before `start_date` is no record."""
    page = _reader(start=1800, end=2700).take(_page_of(1, 2, 3, 4, max_mrid=9))

    assert [record["mrid"] for record in page.records()] == [2, 3]
    assert (page.bookmark, page.mrids, page.newest) == (3, (1, 3), 2700)


def test_an_empty_page_brings_nothing() -> None:
    """Neither a record, nor a range, nor a newest moment; the bookmark is what it was."""
    page = _reader(bookmark=5).take(_page_of(max_mrid=5))

    assert list(page.records()) == []
    assert (page.bookmark, page.mrids, page.newest, page.missing) == (5, None, None, 0)


def test_a_page_is_as_long_as_the_service_says() -> None:
    """Behind an empty page the next one is asked for, by the length that the service allows, not the one asked for."""
    reader = _reader(bookmark=9, page_size=20)
    page = a_page({}, 100)
    page["pagination"]["per_page"] = 5

    reader.take(as_sent(page))

    assert reader.calls_left == (101 - 15) / 20


def test_a_device_that_went_back_is_told_with_its_page() -> None:
    """A wiped device is read again from its start, and says from where it went back."""
    page = _reader(bookmark=9).take(_page_of(max_mrid=1))

    assert page.went_back == 9
    assert list(page.records()) == []


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
    api = _Api(_page_of(92, 93, max_mrid=200))
    account = Account(read_settings(config), cast("Api", api), call_limits(user_limit=1, device_limit=1, window=1))
    stream = ReadingsStream(TapZentra(config=config), lambda: account)
    reader = stream.reader(DEVICE, 100)

    page = reader.take(reader.call(lambda: None))

    assert api.asked == [(DEVICE, PageRequest(start_mrid=91), {"page_size": 50, "depth": False})]
    assert (list(page.records()), page.bookmark, reader.done) == ([], 100, True)


def test_a_first_sync_begins_at_the_start_date() -> None:
    """Without a bookmark, from a day before, because the service takes the device's local time."""
    config = {"auth_token": "x", "device_sns": DEVICE, "start_date": "1970-01-03"}
    api = _Api(b"")
    account = Account(read_settings(config), cast("Api", api), call_limits(user_limit=1, device_limit=1, window=1))
    stream = ReadingsStream(TapZentra(config=config), lambda: account)

    stream.reader(DEVICE, None).call(lambda: None)

    assert api.asked == [(DEVICE, PageRequest(start_date=86_400), {"page_size": 2000, "depth": True})]
