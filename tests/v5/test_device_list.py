"""The list of devices: read once, page by page; and what a stream makes of it. A stand-in answers the calls."""

from __future__ import annotations

import logging
import math
import tracemalloc
from typing import TYPE_CHECKING, Any, cast

import pytest

from tap_zentra.bodies import NotJSONError, UnexpectedBodyError
from tap_zentra.calls.errors import CallError, DeviceFailedError, TokenRefusedError
from tap_zentra.calls.limits import CallLimits, NoLimit
from tap_zentra.emulator import Device
from tap_zentra.settings import read_settings
from tap_zentra.singer.bookmarks import Bookmark, Bookmarks
from tap_zentra.singer.run import Run
from tap_zentra.tap import TapZentra
from tap_zentra.v5.account import Account
from tap_zentra.v5.api import EXPANSIONS
from tap_zentra.v5.device_list import DeviceList, ListReader
from tap_zentra.v5.readings import ReadingsV5Stream
from tests.emulator.support import Cloud
from tests.support import a_call
from tests.v5.support import as_sent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tap_zentra.calls.fleet import Fleet
    from tap_zentra.calls.memory import Call
    from tap_zentra.v5.api import Api
    from tap_zentra.v5.pagination import PageRequest

NOW = 2_000_000_000
DAY = 86_400


def _list_of(*device_sns: str, pages: int | None = 1, last: int | None = None) -> bytes:
    """Return a page of the list."""
    entries = [{"device_id": device_sn, "data_range": {"last_measurement": last}} for device_sn in device_sns]
    pagination = {} if pages is None else {"pagination": {"total_pages": pages}}
    return as_sent({"devices": entries, **pagination})


class _Api:
    """A key whose list has some pages, and whose devices have no reading.

    Attributes:
        asked: The calls, in order.
    """

    def __init__(self, *pages: bytes | CallError) -> None:
        self.asked: list[object] = []
        self._pages = pages

    def get_devices(self, page: int, call: Call, *, organization_id: str | None) -> bytes:
        """Return a page of the list."""
        call.on_sent()
        self.asked.append(page if organization_id is None else (page, organization_id))
        body = self._pages[page - 1] if page <= len(self._pages) else _list_of(pages=None)
        if isinstance(body, CallError):
            raise body
        return body

    def get_data(self, device_sn: str, _page: PageRequest, call: Call, *, units: str) -> bytes:
        """Return a page without readings."""
        call.on_sent()
        self.asked.append((device_sn, units))
        return as_sent({"metadata": {"device_id": device_sn}, "values": []})

    def close(self) -> None:
        """Close nothing."""


# The way through the list


def _pages_read(*bodies: bytes) -> list[tuple[list[str], float, bool]]:
    """Return what each page brings, and whether the reader goes on; fail if it wants more or less than there is."""
    api = _Api(*bodies)
    reader = ListReader(cast("Api", api), None)
    assert (reader.calls_left, reader.done) == (math.inf, False)
    read: list[tuple[list[str], float, bool]] = []
    while not reader.done:
        devices = reader.take(reader.call(a_call()))
        read.append(([device.device_id for device in devices], reader.calls_left, reader.done))
    assert api.asked == list(range(1, len(read) + 1))
    return read


def test_a_list_of_one_page_costs_one_call() -> None:
    """As the service says how many there are."""
    assert _pages_read(_list_of("z6-1", "z6-2")) == [(["z6-1", "z6-2"], 0, True)]


def test_a_list_without_devices_is_a_list() -> None:
    """A new key may see none."""
    assert _pages_read(_list_of()) == [([], 0, True)]
    assert _pages_read(_list_of(pages=0)) == [([], 0, True)]
    assert _pages_read(_list_of(pages=None)) == [([], 0, True)]


def test_a_service_may_send_fewer_devices_than_asked_for() -> None:
    """Its pages are counted, not the devices on them."""
    assert _pages_read(_list_of("z6-1", pages=3), _list_of("z6-2", pages=3), _list_of("z6-3", pages=3)) == [
        (["z6-1"], 2, False),
        (["z6-2"], 1, False),
        (["z6-3"], 0, True),
    ]


def test_a_list_that_does_not_say_how_long_it_is_ends_with_a_page_without_news() -> None:
    """An empty one, or the same again."""
    assert _pages_read(_list_of("z6-1", pages=None), _list_of("z6-2", pages=None)) == [
        (["z6-1"], 1, False),
        (["z6-2"], 1, False),
        ([], 0, True),
    ]
    assert _pages_read(*[_list_of("z6-1", pages=None)] * 2) == [(["z6-1"], 1, False), ([], 0, True)]


def test_a_service_that_ignores_the_page_is_not_asked_for_ever() -> None:
    """However many pages it says there are."""
    same = _list_of("z6-1", pages=10**9)

    assert _pages_read(same, same) == [(["z6-1"], 10**9 - 1, False), ([], 0, True)]


def test_a_device_on_two_pages_is_one() -> None:
    """The list may shift while it is read; the case of a serial number makes no other device."""
    assert _pages_read(_list_of("z6-1a", "z6-2", pages=2), _list_of("Z6-1A", "z6-3", pages=2)) == [
        (["z6-1a", "z6-2"], 1, False),
        (["z6-3"], 0, True),
    ]


@pytest.mark.parametrize(("body", "error"), [(b"{", NotJSONError), (b"{}", UnexpectedBodyError)])
def test_what_is_no_list_is_refused(body: bytes, error: type[CallError]) -> None:
    """And the reader stays where it was."""
    reader = ListReader(cast("Api", _Api()), None)

    with pytest.raises(error):
        reader.take(body)
    assert not reader.done


# What is known of the devices


def _limits() -> CallLimits:
    return CallLimits(NoLimit(), NoLimit)


def _devices(api: _Api, **settings: object) -> DeviceList:
    config = {"auth_token": "x", "api_version": "v5", "call_limit_window": 0.01, **settings}
    return DeviceList(cast("Api", api), read_settings(config), _limits())


def _read(devices: DeviceList) -> list[Fleet[Any]]:
    fleets: list[Fleet[Any]] = []
    devices.read(logging.getLogger("tap-zentra"), fleets.append)
    return fleets


def test_the_list_is_asked_for_once() -> None:
    """However many streams want it; each is given the fleet that asks, to stop it, and to know of a refused key."""
    api = _Api(_list_of("z6-2", "z6-1", last=7))
    devices = _devices(api)
    assert (list(devices), devices.failure) == ([], None)

    assert [len(_read(devices)) for _ in range(3)] == [1, 1, 1]
    assert api.asked == [1]
    assert [device.device_id for device in devices] == ["z6-2", "z6-1"]
    assert devices.failure is None


def test_a_device_is_found_in_whatever_case() -> None:
    """And none that is not in the list."""
    devices = _devices(_Api(_list_of("z6-1A", last=7)))
    _read(devices)
    found = devices.get("Z6-1a")

    assert (found and found.device_id, found and found.last_measurement) == ("z6-1A", 7)
    assert devices.get("z6-2") is None


def test_only_the_organisation_that_is_wanted_is_asked_for() -> None:
    """As the settings say."""
    api = _Api(_list_of("z6-1"))
    _read(_devices(api, organization_id="org-1"))

    assert api.asked == [(1, "org-1")]


@pytest.mark.parametrize(
    "pages", [[DeviceFailedError("refused")], [_list_of("z6-1", pages=2), DeviceFailedError("refused")]]
)
def test_a_list_that_was_not_read_to_its_end_is_none(pages: list[bytes | CallError]) -> None:
    """Nobody would know which devices are missing; it is not asked for again in this run."""
    api = _Api(*pages)
    devices = _devices(api)
    _read(devices)
    _read(devices)

    assert (list(devices), devices.failure) == ([], "refused")
    assert api.asked == list(range(1, len(pages) + 1))


def test_a_list_that_comes_broken_is_asked_for_again() -> None:
    """As often as any other page."""
    api = _Api(_list_of("z6-1")[:-9])
    devices = _devices(api, max_attempts=2)
    _read(devices)

    assert api.asked == [1, 1]
    assert devices.failure is not None
    assert "not JSON" in devices.failure
    assert "gave up after 2 attempts" in devices.failure


def test_a_thousand_devices_take_little_memory() -> None:
    """What stays of the list is two megabytes, whatever it tells of each device."""
    cloud = Cloud([Device(f"z6-{number}", records=1) for number in range(1000)])
    body = cloud.v5(None, expand=EXPANSIONS, limit=1000).body
    devices = _devices(_Api(body))
    tracemalloc.start()
    _read(devices)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert len(list(devices)) == 1000
    assert held < 3 * 10**6


# What a stream makes of it


def _stream(api: _Api, **settings: object) -> ReadingsV5Stream:
    config = {"auth_token": "x", "api_version": "v5", "call_limit_window": 0.01, **settings}
    valid = read_settings(config)
    account = Account(valid, cast("Api", api), _limits(), DeviceList(cast("Api", api), valid, _limits()))
    tap = TapZentra(config=config)
    stream = ReadingsV5Stream(tap, lambda: account)
    Run([stream], logger=tap.logger, now=lambda: NOW + 10.0)
    return stream


def _bookmarks(*device_sns: str) -> Bookmarks:
    bookmarks = Bookmarks({}, replication_key="timestamp_utc", of_moments=True)
    for device_sn in device_sns:
        bookmarks.set(device_sn, Bookmark(NOW))
    return bookmarks


def _asked(stream: ReadingsV5Stream, *known: str) -> Sequence[str]:
    return stream.device_sns(_bookmarks(*known))


def test_without_device_sns_all_devices_of_the_list_are_read(caplog: pytest.LogCaptureFixture) -> None:
    """In its order, and nothing is said."""
    assert _asked(_stream(_Api(_list_of("z6-2", "z6-1"))), "Z6-1") == ["z6-2", "z6-1"]
    assert caplog.messages == []


def test_the_devices_that_are_named_are_read_as_they_are_spelled(caplog: pytest.LogCaptureFixture) -> None:
    """And no other; one that is not in the list is asked all the same, and named once."""
    stream = _stream(_Api(_list_of("z6-1A", "z6-2")), device_sns="Z6-1a,z6-3,z6-4")

    assert list(_asked(stream, "z6-2")) == ["Z6-1a", "z6-3", "z6-4"]
    assert caplog.messages == ["not in the device list, but requested anyway: z6-3, z6-4"]


def test_a_device_is_asked_for_as_the_list_spells_it() -> None:
    """The service may know a serial number in this case only; the records keep the user's spelling."""
    api = _Api(_list_of("z6-1A"))
    stream = _stream(api, device_sns="Z6-1a,Z6-3b")
    for device_sn in _asked(stream):
        (reader,) = stream.readers_of(device_sn, None, None, NOW).values()
        reader.call(a_call())

    assert api.asked[1:] == [("z6-1A", "metric"), ("Z6-3b", "metric")]


def test_devices_that_are_gone_are_named_and_keep_their_bookmarks(caplog: pytest.LogCaptureFixture) -> None:
    """Their subscription may have ended, or someone has moved them."""
    assert _asked(_stream(_Api(_list_of("z6-1"))), "z6-1", "z6-8", "z6-9") == ["z6-1"]
    assert caplog.messages == [
        "no longer in the device list; bookmarks are kept: z6-8, z6-9",
    ]


def test_devices_to_read_again_that_are_not_in_the_list_are_named(caplog: pytest.LogCaptureFixture) -> None:
    """Where no device is named the settings can't be checked before."""
    stream = _stream(_Api(_list_of("z6-1")), reread_device_sns="Z6-1,z6-7")

    assert _asked(stream) == ["z6-1"]
    assert caplog.messages == ["in reread_device_sns, but not in the device list: z6-7"]


def test_without_a_list_the_devices_that_are_named_are_asked_themselves(caplog: pytest.LogCaptureFixture) -> None:
    """And that is said once."""
    stream = _stream(_Api(DeviceFailedError("refused")), device_sns="z6-1,z6-2")

    assert list(_asked(stream)) == ["z6-1", "z6-2"]
    assert caplog.messages == [
        "the device list failed: refused",
        "could not read the device list (refused); reading the devices of device_sns without it",
    ]
    assert (stream.fleet_error, stream.failures, stream.run.failed_entirely) == (None, [], False)
    assert stream.readers_of("z6-1", Bookmark(NOW, asked=NOW), None, NOW)


def test_without_a_list_and_without_names_the_run_fails(caplog: pytest.LogCaptureFixture) -> None:
    """Nobody knows which devices there are: that is no run that has read all of none."""
    stream = _stream(_Api(DeviceFailedError("refused")))
    words = (
        "could not read the device list, so no devices were read: refused; "
        "to read devices without the list, name them in device_sns"
    )

    assert list(_asked(stream)) == []
    assert (stream.fleet_error, stream.failures, stream.run.failed_entirely) == (words, [words], True)
    assert caplog.messages == ["the device list failed: refused"]


@pytest.mark.parametrize("device_sns", ["", "z6-1,z6-2"], ids=["all", "named"])
def test_a_run_that_is_stopped_at_the_list_says_nothing_of_devices(
    device_sns: str, caplog: pytest.LogCaptureFixture
) -> None:
    """They are not asked any more; the last line says that a signal came."""
    api = _Api(_list_of("z6-1"))
    stream = _stream(api, device_sns=device_sns)
    stream.run.stop()

    assert ",".join(_asked(stream)) == device_sns
    assert (stream.fleet_error, api.asked, caplog.messages) == (None, [], [])


@pytest.mark.parametrize(
    ("settings", "what_to_check"),
    [
        ({}, "check that the key's user has access to devices in ZENTRA Cloud 2.0"),
        ({"organization_id": "org-9"}, "check organization_id (org-9)"),
    ],
)
def test_a_run_without_any_device_fails(settings: dict[str, object], what_to_check: str) -> None:
    """A list that is empty is no fleet that was read to its end."""
    stream = _stream(_Api(_list_of()), **settings)
    words = f"the device list is empty, so no devices were read; {what_to_check}"

    assert list(_asked(stream)) == []
    assert (stream.fleet_error, stream.failures, stream.run.failed_entirely) == (words, [words], True)


def test_devices_that_are_named_are_read_although_the_list_is_empty(caplog: pytest.LogCaptureFixture) -> None:
    """The list may leave devices out."""
    stream = _stream(_Api(_list_of()), device_sns="z6-1")

    assert list(_asked(stream)) == ["z6-1"]
    assert stream.fleet_error is None
    assert caplog.messages == ["not in the device list, but requested anyway: z6-1"]


@pytest.mark.parametrize("device_sns", [{}, {"device_sns": "z6-1,z6-2"}], ids=["all", "named"])
def test_a_refused_key_ends_the_run_at_the_list(device_sns: dict[str, object]) -> None:
    """No device is asked with a key that was refused just now."""
    api = _Api(TokenRefusedError("wrong key"))
    stream = _stream(api, **device_sns)

    assert list(stream.get_records(None)) == []
    assert str(stream.run.token_error) == "wrong key"
    assert api.asked == [1]


@pytest.mark.parametrize(
    ("last", "bookmark", "has_news"),
    [
        (NOW, None, True),
        (NOW, Bookmark(None), True),
        (NOW, Bookmark(NOW), True),
        (NOW, Bookmark(NOW, asked=NOW), False),
        (NOW, Bookmark(NOW, asked=NOW + 10 - DAY), True),
        (NOW, Bookmark(NOW, asked=NOW + 11 - DAY), False),
        (NOW, Bookmark(NOW, asked=NOW + 11), True),
        (NOW, Bookmark(NOW - 1, asked=NOW), True),
        (NOW, Bookmark(NOW + 1, asked=NOW), False),
        (NOW + 0.5, Bookmark(NOW, asked=NOW), False),
        (None, Bookmark(NOW, asked=NOW), True),
        (NOW, Bookmark(NOW, asked=cast("int", "yesterday")), True),
    ],
)
def test_a_device_without_news_is_asked_once_a_day(
    last: int | None, bookmark: Bookmark | None, *, has_news: bool
) -> None:
    """The list says when it has measured last; late values of a silent device are still found within a day."""
    stream = _stream(_Api(_list_of("z6-1", last=last)))
    _asked(stream)

    assert bool(stream.readers_of("Z6-1", bookmark, None, NOW + 10)) == has_news


def test_a_device_that_the_list_does_not_have_is_asked() -> None:
    """It may have readings all the same."""
    stream = _stream(_Api(_list_of("z6-1")), device_sns="z6-2")
    _asked(stream)

    assert stream.readers_of("z6-2", Bookmark(NOW, asked=NOW), None, NOW)


@pytest.mark.parametrize("named", [{}, {"device_sns": "z6-1,z6-2,z6-3"}], ids=["all", "named"])
def test_an_idle_run_costs_one_call(named: dict[str, object]) -> None:
    """Devices without news are current without a call; those that have some are asked."""
    api = _Api(_list_of("z6-1", "z6-2", "z6-3", last=NOW))
    stream = _stream(api, **named)
    bookmarks = stream.bookmarks()
    bookmarks.set("z6-1", Bookmark(NOW, asked=NOW))
    bookmarks.set("z6-2", Bookmark(NOW - 1, asked=NOW))
    bookmarks.set("z6-3", Bookmark(NOW, asked=NOW))

    assert list(stream.get_records(None)) == []
    assert api.asked == [1, ("z6-2", "metric")]
    assert (stream.failures, stream.run.failed_entirely) == ([], False)
    assert stream.bookmarks().get("z6-1") == Bookmark(NOW, asked=NOW)
    assert stream.bookmarks().get("z6-2") == Bookmark(NOW - 1, asked=NOW + 10)


def test_devices_that_are_read_again_are_asked_without_news() -> None:
    """They have no bookmark in this run."""
    api = _Api(_list_of("z6-1", "z6-2", last=NOW))
    stream = _stream(api, reread_device_sns="z6-2")
    for device_sn in ("z6-1", "z6-2"):
        stream.bookmarks().set(device_sn, Bookmark(NOW, asked=NOW))

    assert list(stream.get_records(None)) == []
    assert api.asked == [1, ("z6-2", "metric")]
