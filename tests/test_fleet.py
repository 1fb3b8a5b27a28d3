"""Fleet: threads, answers and errors, with a function in place of the network and limits that do not bind."""

from __future__ import annotations

import json
import logging
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from tap_zentra.call_limits import CallLimits
from tap_zentra.client import DeviceRefusedError, LockedOutError, ServiceFailedError, TokenRefusedError
from tap_zentra.fleet import Device, DevicePage, Fleet
from tap_zentra.pagination import MridPaginator, PageRequest, Step
from tap_zentra.schedule import Phase, Schedule
from tests.support import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

PAGE_SIZE = 10
WINDOW = 1e-6
"""Seconds: so little that nothing waits."""

HANGS = 60.0
"""Seconds after which a program that should not wait is found to wait; a right one is never waited for so long."""

pytestmark = pytest.mark.usefixtures("no_thread_is_left")


@pytest.fixture
def no_thread_is_left() -> Any:
    """Whatever happens, the threads of a fleet end."""
    before = set(threading.enumerate())
    yield
    for thread in set(threading.enumerate()) - before:
        thread.join(PATIENCE)
        assert not thread.is_alive()


def _body(device_sn: str, mrids: Sequence[int], max_mrid: int | None) -> bytes:
    readings = [{"mrid": mrid, "timestamp_utc": 900 * mrid, "value": mrid, "error_flag": False} for mrid in mrids]
    entry = {"metadata": {"device_sn": device_sn, "port_number": 1}, "readings": readings}
    return json.dumps({"pagination": {"max_mrid": max_mrid}, "data": {"Battery": [entry]} if mrids else {}}).encode()


class _Service:
    """Devices with the mrids from 1 to some newest, and what their calls bring before they bring pages."""

    def __init__(self, newest: dict[str, int], **troubles: list[bytes | Exception]) -> None:
        self.newest = newest
        self.troubles = {name.replace("_", "-"): trouble for name, trouble in troubles.items()}
        self.calls: list[tuple[str, int | None]] = []
        self._lock = threading.Lock()

    def fetch(self, device_sn: str, page: PageRequest, on_sent: Callable[[], None]) -> bytes:
        """Bring the next trouble of a device, or else its page."""
        on_sent()
        with self._lock:
            self.calls.append((device_sn, page.start_mrid))
            troubles = self.troubles.get(device_sn)
            trouble = troubles.pop(0) if troubles else None
        if isinstance(trouble, Exception):
            raise trouble
        if trouble is not None:
            return trouble
        start, newest = page.start_mrid or 0, self.newest[device_sn]
        mrids = [mrid for mrid in range(start, start + PAGE_SIZE) if 1 <= mrid <= newest]
        return _body(device_sn, mrids, newest)


def _fleet(
    device_sns: Sequence[str],
    fetch: Callable[[str, PageRequest, Callable[[], None]], bytes],
    *,
    threads: int = 4,
    max_attempts: int = 3,
    device_call_limit: int = 1,
    bookmark: int | None = 0,
    clock: Callable[[], float] = time.monotonic,
) -> Fleet:
    limits = CallLimits(user_limit=10**6, device_limit=10**6, window=WINDOW)
    schedule = Schedule(
        device_sns,
        limits,
        window=WINDOW,
        max_calls=threads,
        max_attempts=max_attempts,
        now=0.0,
        jitter=lambda _: 0.0,
    )
    return Fleet(
        [Device(turn, MridPaginator(bookmark=bookmark, page_size=PAGE_SIZE)) for turn in schedule.turns],
        schedule,
        fetch,
        threads=threads,
        device_call_limit=device_call_limit,
        logger=logging.getLogger("tap-zentra"),
        clock=clock,
    )


def _nothing() -> None:
    """Do nothing between pages."""


def _read(fleet: Fleet) -> dict[str, list[int]]:
    """Read a fleet to its end; return the mrids of the records that each device brought."""
    read: dict[str, list[int]] = {device.device_sn: [] for device in fleet.devices}
    for page in fleet.pages(_nothing):
        read[page.device.device_sn] += [record["mrid"] for record in page.records()]
    return read


def _end(fleet: Fleet) -> dict[str, tuple[Phase, str | None]]:
    return {device.device_sn: (device.turn.phase, device.turn.failure) for device in fleet.devices}


def _messages(caplog: pytest.LogCaptureFixture, level: int) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == level]


# Pages


@pytest.mark.parametrize("threads", [1, 4, 16])
def test_the_pages_of_all_devices_arrive(threads: int) -> None:
    """Every device is read to its end, page by page in its own order, whatever the number of threads."""
    newest = {f"z6-{number}": count for number, count in enumerate([0, 1, 9, 10, 11, 35, 100])}
    service = _Service(newest)
    fleet = _fleet(list(newest), service.fetch, threads=threads)

    assert {device_sn: list(range(1, count + 1)) for device_sn, count in newest.items()} == _read(fleet)
    assert all(device.turn.phase is Phase.DONE for device in fleet.devices)
    assert [device.pages for device in fleet.devices] == [1, 1, 1, 1, 2, 4, 10]
    assert len(service.calls) == 20
    assert not fleet.stopped
    assert fleet.token_error is None


def test_a_page_has_its_device_and_bookmark() -> None:
    """A page says whose it is, and where its device stands once it has been written."""
    fleet = _fleet(["z6-1"], _Service({"z6-1": 25}).fetch)
    pages = list(fleet.pages(_nothing))

    assert [page.bookmark for page in pages] == [10, 20, 25]
    assert all(page.device is fleet.devices[0] for page in pages)
    assert [record["device_sn"] for record in pages[2].records()] == ["z6-1"] * 5
    assert "Battery" not in repr(pages[0])


def test_a_fleet_of_none_ends_at_once() -> None:
    """No devices, no threads, no pages."""
    fleet = _fleet([], _Service({}).fetch)

    assert list(fleet.pages(_nothing)) == []


def test_pages_in_memory_are_bounded() -> None:
    """While a page is being written, not more calls go out than there are places for."""
    service = _Service({f"z6-{number}": 30 for number in range(20)})
    fleet = _fleet(list(service.newest), service.fetch, threads=3)
    taken = 0
    for _ in fleet.pages(_nothing):
        taken += 1

        assert len(service.calls) <= taken + 3
    assert taken == 60


def test_something_can_be_done_between_pages() -> None:
    """The caller has the thread to itself before each page."""
    happened: list[str] = []
    fleet = _fleet(["z6-1"], _Service({"z6-1": 15}).fetch)
    happened.extend("page" for _ in fleet.pages(lambda: happened.append("between")))

    assert happened == ["between", "page", "between", "page"]


def test_a_device_notes_what_it_read() -> None:
    """The range of mrids, the newest moment, pages and gaps, of what is kept only."""
    fleet = _fleet(["z6-1"], _Service({"z6-1": 0}).fetch)
    device = fleet.devices[0]
    device.note({}, Step())

    assert (device.pages, device.mrids, device.newest, device.missing) == (1, None, None, 0)

    device.note({5: 500, 7: 700, 6: 900}, Step(missing=2))

    assert (device.pages, device.mrids, device.newest, device.missing) == (2, (5, 7), 900, 2)

    device.note({8: 800, 9: 900, 10: 1000}, Step(below_mrid=9, missing=1))

    assert (device.pages, device.mrids, device.newest, device.missing) == (3, (5, 8), 900, 3)

    device.note({1: 2000}, Step(below_mrid=0))

    assert (device.pages, device.mrids, device.newest) == (4, (5, 8), 900)


def test_a_gap_is_told_with_the_devices_name(caplog: pytest.LogCaptureFixture) -> None:
    """What a person should know of a page is a warning that names the device."""
    service = _Service({"z6-1": 12}, z6_1=[_body("z6-1", [4, 5, 6, 7, 8, 9, 10], 12)])
    fleet = _fleet(["z6-1"], service.fetch)

    assert _read(fleet) == {"z6-1": list(range(4, 13))}
    assert _messages(caplog, logging.WARNING) == ["z6-1: 3 records up to mrid 10 do not exist: a gap"]
    assert fleet.devices[0].missing == 3


# Trouble of one device

BROKEN = ServiceFailedError("no answer within 120 s")


@pytest.mark.parametrize(
    "trouble",
    [
        BROKEN,
        ServiceFailedError("the service failed (503 Service Unavailable: '')"),
        b"",
        b"<html>Back soon</html>",
        _body("z6-1", [1, 2, 3], 25)[:-20],
    ],
)
def test_what_may_succeed_later_is_tried_again(trouble: bytes | Exception, caplog: pytest.LogCaptureFixture) -> None:
    """No answer, a server's error, and a body that is not JSON cost an attempt, and nothing is lost."""
    service = _Service({"z6-1": 15, "z6-2": 15}, z6_1=[trouble, trouble])
    fleet = _fleet(list(service.newest), service.fetch)

    assert _read(fleet) == {"z6-1": list(range(1, 16)), "z6-2": list(range(1, 16))}
    assert [start for device_sn, start in service.calls if device_sn == "z6-1"] == [1, 1, 1, 11]

    warnings = _messages(caplog, logging.WARNING)

    assert [warning.rsplit("; ", 1)[1] for warning in warnings] == [
        "attempt 1 failed, it tries again",
        "attempt 2 failed, it tries again",
    ]
    assert all(warning.startswith("z6-1: ") for warning in warnings)
    assert _messages(caplog, logging.ERROR) == []


def _without_mrid() -> bytes:
    return _body("z6-1", [1], 1).replace(b'"mrid": 1, ', b"")


@pytest.mark.parametrize(
    ("troubles", "failure", "calls"),
    [
        pytest.param([BROKEN] * 3, "no answer within 120 s; given up after 3 attempts", 3, id="failed too often"),
        pytest.param([b""] * 3, "the answer is not JSON: ''; given up after 3 attempts", 3, id="never JSON"),
        pytest.param([DeviceRefusedError("404 Not Found")], "404 Not Found", 1, id="refused"),
        pytest.param(
            [_without_mrid()],
            "the answer is not what the service sends: Object missing required field `mrid` - "
            "at `$.data[...][0].readings[0]`",
            1,
            id="another shape",
        ),
        pytest.param(
            [_body("z6-9", [1], 1)],
            "the answer is about another device: metadata.device_sn is 'z6-9'",
            1,
            id="another device",
        ),
        pytest.param(
            [_body("z6-1", [0, 1], 20)],
            "the answer ignores start_mrid: asked for mrid 1 and up, got mrid 0",
            1,
            id="start_mrid ignored",
        ),
        pytest.param(
            [_body("z6-1", [1], None)],
            "the answer has records, but its pagination.max_mrid is null",
            1,
            id="contradiction",
        ),
        pytest.param(
            [LockedOutError("Too many calls.", seconds=0)] * 20,
            "Too many calls.; locked out 20 times in a row",
            20,
            id="locked out for ever",
        ),
    ],
)
def test_a_device_that_fails_stops_no_other(
    troubles: list[bytes | Exception], failure: str, calls: int, caplog: pytest.LogCaptureFixture
) -> None:
    """A failed device has a reason, which is told once; no record of its page is brought; the rest is read."""
    service = _Service({"z6-1": 15, "z6-2": 25, "z6-3": 5}, z6_1=troubles)
    fleet = _fleet(list(service.newest), service.fetch)

    assert _read(fleet) == {"z6-1": [], "z6-2": list(range(1, 26)), "z6-3": list(range(1, 6))}
    assert _end(fleet) == {
        "z6-1": (Phase.FAILED, failure),
        "z6-2": (Phase.DONE, None),
        "z6-3": (Phase.DONE, None),
    }
    assert _messages(caplog, logging.ERROR) == [f"z6-1 failed: {failure}"]
    assert len([device_sn for device_sn, _ in service.calls if device_sn == "z6-1"]) == calls
    assert fleet.token_error is None


def test_what_a_device_brought_before_it_failed_stays() -> None:
    """A failure on the second page leaves the first, and its bookmark."""
    service = _Service({"z6-1": 25}, z6_1=[_body("z6-1", range(1, 11), 25), DeviceRefusedError("403 Forbidden")])
    fleet = _fleet(["z6-1"], service.fetch)
    pages = list(fleet.pages(_nothing))

    assert [page.bookmark for page in pages] == [10]
    assert _end(fleet) == {"z6-1": (Phase.FAILED, "403 Forbidden")}


@pytest.mark.parametrize(
    ("message", "device_call_limit", "who"),
    [
        ("Exceeded request limit of 1 call per 60 seconds.", 1, "the device"),
        ("Exceeded request limit of 60 calls per 60 seconds.", 1, "the account"),
        ("Exceeded request limit of 5 calls per 60 seconds.", 5, "the device"),
        ("Exceeded request limit of 1 call per 60 seconds for this user.", 1, "the account"),
        ("Too many calls.", 1, "the device"),
        ("This account is over its limit.", 1, "the account"),
    ],
)
def test_a_lock_out_is_the_devices_or_the_accounts(
    message: str, device_call_limit: int, who: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The service's words say whose: by naming the account, or a limit that is not the device's."""
    service = _Service({"z6-1": 5}, z6_1=[LockedOutError(message, seconds=0)])
    fleet = _fleet(["z6-1"], service.fetch, device_call_limit=device_call_limit)

    assert _read(fleet) == {"z6-1": [1, 2, 3, 4, 5]}
    assert _messages(caplog, logging.WARNING) == [f"z6-1: {who} is locked out for 1e-06 s: {message}"]


# The end of all


def test_a_refused_token_stops_all_with_one_call() -> None:
    """The token is wrong for every device: nobody else is asked."""
    service = _Service(
        {f"z6-{number}": 25 for number in range(20)},
        z6_0=[TokenRefusedError("the service refuses the token (401 Unauthorized: Invalid token.)")],
    )
    # By this clock the first call's head start lasts until its answer is there.
    fleet = _fleet(list(service.newest), service.fetch, threads=16, clock=lambda: 0.0)

    assert _read(fleet) == {device_sn: [] for device_sn in service.newest}
    assert str(fleet.token_error) == "the service refuses the token (401 Unauthorized: Invalid token.)"
    assert service.calls == [("z6-0", 1)]
    assert fleet.devices[0].turn.phase is Phase.FAILED


@pytest.mark.parametrize("error", [ZeroDivisionError("a fault of ours"), KeyError("x")])
def test_an_unexpected_error_of_a_thread_is_not_swallowed(error: Exception) -> None:
    """What no one foresaw ends the run where it can be seen."""
    service = _Service({"z6-1": 25, "z6-2": 25}, z6_1=[error])
    fleet = _fleet(list(service.newest), service.fetch)

    with pytest.raises(type(error)) as caught:
        _read(fleet)
    assert caught.value is error


def test_stopping_ends_the_reading_after_the_page_at_hand() -> None:
    """A signal's handler stops the fleet; what was brought is brought, and no page follows."""
    service = _Service({"z6-1": 10_000, "z6-2": 10_000})
    fleet = _fleet(list(service.newest), service.fetch)
    pages: list[DevicePage] = []
    for page in fleet.pages(_nothing):
        pages.append(page)
        fleet.stop()

    assert len(pages) == 1
    assert fleet.stopped


def test_stopping_before_the_start_reads_nothing() -> None:
    """A signal that comes early is heeded."""
    service = _Service({"z6-1": 25})
    fleet = _fleet(["z6-1"], service.fetch)
    fleet.stop()

    assert _read(fleet) == {"z6-1": []}


def test_stopping_does_not_wait_for_a_call_that_hangs() -> None:
    """A service that does not answer can't keep a run from ending: the pages end while the call is under way."""
    hangs, let_go, ended = threading.Event(), threading.Event(), threading.Event()
    service = _Service({"z6-1": 10, "z6-2": 10})

    def fetch(device_sn: str, page: PageRequest, on_sent: Callable[[], None]) -> bytes:
        if device_sn == "z6-2":
            hangs.set()
            let_go.wait()
        return service.fetch(device_sn, page, on_sent)

    fleet = _fleet(["z6-1", "z6-2"], fetch)
    pages: list[str] = []

    def read() -> None:
        for page in fleet.pages(_nothing):
            pages.append(page.device.device_sn)
            hangs.wait()
            fleet.stop()
        ended.set()

    threading.Thread(target=read).start()
    ended_while_it_hung = ended.wait(HANGS)
    phases = [device.turn.phase for device in fleet.devices]
    let_go.set()

    assert ended_while_it_hung
    assert pages == ["z6-1"]
    assert phases == [Phase.DONE, Phase.CALLED]


def test_a_reader_that_goes_away_ends_the_calls() -> None:
    """When the pages are not wanted any more, no further call goes out."""
    service = _Service({f"z6-{number}": 10_000 for number in range(5)})
    fleet = _fleet(list(service.newest), service.fetch, threads=2)
    pages = fleet.pages(_nothing)
    next(iter(pages))
    pages.close()  # type: ignore[attr-defined]

    assert len(service.calls) <= 4
