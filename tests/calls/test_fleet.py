"""Fleet: threads, answers and errors, with a function in place of the network and limits that do not bind."""

from __future__ import annotations

import dataclasses
import itertools
import json
import logging
import math
import threading
import time
import weakref
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from tap_zentra.calls.errors import CallError, DeviceFailedError, LockedOutError, TokenRefusedError, TransientError
from tap_zentra.calls.fleet import Fleet
from tap_zentra.calls.memory import BodyMemory
from tap_zentra.calls.refusals import SHARED, USED_UP, Refusals
from tap_zentra.calls.schedule import Phase, Schedule, Turn
from tap_zentra.settings import read_settings
from tap_zentra.singer.bookmarks import Bookmark
from tap_zentra.v4.api import call_limits
from tap_zentra.v4.readings import ReadingsReader
from tests.calls.watched import WatchedMemory
from tests.support import HANGS, PATIENCE, a_call

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from tap_zentra.calls.memory import Call
    from tap_zentra.singer.pages import WholePage
    from tap_zentra.v4.api import Api
    from tap_zentra.v4.pagination import PageRequest

PAGE_SIZE = 10
START = Bookmark(0)
WINDOW = 1e-6
"""Seconds: so little that nothing waits."""

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

    def fetch(self, device_sn: str, page: PageRequest, call: Call) -> bytes:
        """Bring the next trouble of a device, or else its page."""
        call.on_sent()
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
    fetch: Callable[[str, PageRequest, Call], bytes],
    *,
    threads: int = 4,
    max_attempts: int = 3,
    bookmark: Bookmark | None = START,
    memory: BodyMemory | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Fleet[WholePage]:
    limits = call_limits(user_limit=10**6, device_limit=10**6, window=WINDOW)
    schedule = Schedule(
        map(Turn, device_sns),
        limits,
        window=WINDOW,
        max_calls=threads,
        max_attempts=max_attempts,
        now=0.0,
        jitter=lambda _: 0.0,
    )

    def reader(turn: Turn) -> ReadingsReader:
        api = SimpleNamespace(get_readings=lambda sn, request, call, **_: fetch(sn, request, call))
        config = {"auth_token": "x", "device_sns": turn.device_sn, "page_size": PAGE_SIZE, "mrid_lookback": 0}
        return ReadingsReader(
            turn.device_sn, cast("Api", api), read_settings(config), bookmark=bookmark, newest=None, now=2_000_000_000
        )

    return Fleet(
        {turn: reader(turn) for turn in schedule.turns},
        schedule,
        memory=memory or BodyMemory(),
        threads=threads,
        logger=logging.getLogger("tap-zentra"),
        clock=clock,
    )


def _nothing() -> None:
    """Do nothing between pages."""


def _read(fleet: Fleet[WholePage]) -> dict[str, list[int]]:
    """Read a fleet to its end; return the mrids of the records that each device brought."""
    read: dict[str, list[int]] = {turn.device_sn: [] for turn in fleet.turns}
    for turn, page in fleet.pages(_nothing):
        read[turn.device_sn] += [record["mrid"] for record in page.records()]
    return read


def _end(fleet: Fleet[WholePage]) -> dict[str, tuple[Phase, str | None]]:
    return {turn.device_sn: (turn.phase, turn.failure) for turn in fleet.turns}


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
    assert all(turn.phase is Phase.DONE for turn in fleet.turns)
    assert [turn.calls for turn in fleet.turns] == [1, 1, 1, 1, 2, 4, 10]
    assert len(service.calls) == 20
    assert not fleet.stopped
    assert fleet.token_error is None


def test_a_page_has_its_device_and_bookmark() -> None:
    """A page says whose it is, and where its device stands once it has been written."""
    fleet = _fleet(["z6-1"], _Service({"z6-1": 25}).fetch)
    pages = list(fleet.pages(_nothing))

    assert [page.bookmark and page.bookmark.value for _, page in pages] == [10, 20, 25]
    assert all(turn is fleet.turns[0] for turn, _ in pages)
    assert [record["device_sn"] for record in pages[2][1].records()] == ["z6-1"] * 5


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


class _Countdown:
    """A reader of nothing but numbers: as little as a reader can be."""

    def __init__(self, calls: int) -> None:
        self.calls_left: float = calls
        self.expected_bytes = math.inf
        self.done = False

    def call(self, call: Call) -> bytes:
        """Fetch how many are left."""
        call.on_sent()
        return b"%d" % self.calls_left

    def take(self, body: bytes | bytearray) -> int:
        """Count down; the end is said, and not guessed from what is left."""
        self.calls_left = max(0, int(body) - 1)
        self.done = int(body) == 0
        return int(body)


def test_a_fleet_reads_whatever_its_readers_read() -> None:
    """It knows nothing of what a call or a page is, and ends a device when its reader says so."""
    limits = call_limits(user_limit=10**6, device_limit=10**6, window=WINDOW)
    schedule = Schedule([Turn("a"), Turn("b")], limits, window=WINDOW, max_calls=2, max_attempts=1, now=0.0)
    readers = dict(zip(schedule.turns, [_Countdown(2), _Countdown(0)], strict=True))
    fleet = Fleet(readers, schedule, memory=BodyMemory(), threads=2, logger=logging.getLogger("tap-zentra"))

    assert sorted((turn.device_sn, page) for turn, page in fleet.pages(_nothing)) == [
        ("a", 0),
        ("a", 1),
        ("a", 2),
        ("b", 0),
    ]


# Memory

SIZE = 100
"""Bytes of a body."""


class _Sized:
    """A reader of bodies of one size, which grow as they are read."""

    def __init__(self, pages: int, *errors: Exception, expected_bytes: float = math.inf) -> None:
        self.calls_left: float = pages
        self.expected_bytes = expected_bytes
        self.done = False
        self._errors = list(errors)

    def call(self, call: Call) -> bytes:
        """Read a part of the body, then fail or read the rest."""
        call.on_sent()
        call.reserve(SIZE // 2)
        if self._errors:
            raise self._errors.pop()
        call.reserve(SIZE)
        return bytes(SIZE)

    def take(self, body: bytes | bytearray) -> int:
        """Count down; return the size of the page."""
        self.calls_left -= 1
        self.done = self.calls_left == 0
        return len(body)


def _sized_fleet(memory: BodyMemory, *readers: _Sized) -> Fleet[int]:
    limits = call_limits(user_limit=10**6, device_limit=10**6, window=WINDOW)
    schedule = Schedule(
        [Turn(f"z6-{number}") for number in range(len(readers))],
        limits,
        window=WINDOW,
        max_calls=8,
        max_attempts=3,
        now=0.0,
        jitter=lambda _: 0.0,
    )
    in_turn = dict(zip(schedule.turns, readers, strict=True))
    return Fleet(in_turn, schedule, memory=memory, threads=8, logger=logging.getLogger("tap-zentra"))


@pytest.mark.parametrize(("expected", "most"), [(SIZE, 3 * SIZE), (10, 4 * SIZE)])
def test_bodies_in_memory_are_bounded(expected: int, most: int) -> None:
    """While a page is being written only as many bodies are read as there is room for, and one; and all arrive."""
    memory = WatchedMemory(limit=3 * SIZE, expected=expected)
    fleet = _sized_fleet(memory, *(_Sized(5) for _ in range(8)))
    pages = []
    for page in fleet.pages(_nothing):
        pages.append(page)
        if len(pages) == 1:
            memory.wait_until_waiting(8)

            assert len(pages) * SIZE < memory.held <= most
    assert len(pages) == 40
    assert memory.peak <= most
    assert memory.held == 0
    assert a_call(memory=memory).reserved == SIZE


def test_a_reader_that_expects_little_does_not_wait_for_much() -> None:
    """Devices that have little to tell are all called at once, where a full page of each would be too much."""
    memory = WatchedMemory(limit=3 * SIZE, expected=3 * SIZE)
    together = threading.Barrier(8)

    class Small(_Sized):
        def call(self, call: Call) -> bytes:
            """Bring little, once all are under way."""
            together.wait(HANGS)
            call.on_sent()
            return bytes(SIZE // 8)

    fleet = _sized_fleet(memory, *(Small(1, expected_bytes=SIZE // 8) for _ in range(8)))

    assert [page for _, page in fleet.pages(_nothing)] == [SIZE // 8] * 8
    assert memory.held == 0


def test_a_call_that_waits_for_memory_is_not_counted() -> None:
    """Another stream's body is in the way: nothing is sent, and no limit used; when it goes, that is news."""
    memory = WatchedMemory(limit=SIZE, expected=SIZE)
    other = a_call(memory=memory)
    fleet = _sized_fleet(memory, _Sized(2), _Sized(1))

    def make_room() -> None:
        memory.wait_until_waiting(2)
        calls.extend(turn.calls for turn in fleet.turns)
        other.end()

    calls: list[int] = []
    threading.Thread(target=make_room).start()

    assert [size for _, size in fleet.pages(_nothing)] == [SIZE] * 3
    assert calls == [0, 0]


def test_a_page_keeps_its_memory_until_it_has_been_written() -> None:
    """What a body has become takes as much."""
    memory = WatchedMemory(limit=SIZE, expected=SIZE)
    fleet = _sized_fleet(memory, _Sized(3))

    assert [memory.held for _ in fleet.pages(_nothing)] == [SIZE] * 3
    assert memory.held == 0


def test_a_call_that_fails_gives_its_memory_back() -> None:
    """Whatever it fails of; the only room there is serves the next call."""
    memory = WatchedMemory(limit=SIZE, expected=SIZE)
    failing = _Sized(1, DeviceFailedError("404"), LockedOutError("Too many calls.", seconds=0), BROKEN)
    fleet = _sized_fleet(memory, failing, _Sized(2))

    assert [turn.device_sn for turn, _ in fleet.pages(_nothing)] == ["z6-1"] * 2
    assert fleet.turns[0].failure == "404"
    assert memory.held == 0


def test_an_error_that_waits_to_be_told_holds_no_memory() -> None:
    """It is of no size, and the main thread may be writing a page for long."""
    memory = WatchedMemory(limit=100 * SIZE, expected=SIZE)
    fleet = _sized_fleet(memory, _Sized(1), *(_Sized(1, DeviceFailedError("404")) for _ in range(7)))
    for _ in fleet.pages(_nothing):
        memory.wait_until_waiting(8)

        assert memory.held == SIZE


def test_an_error_that_waits_to_be_told_keeps_no_body() -> None:
    """What was read before a connection broke is gone, and with it what its memory was reserved for."""
    memory = WatchedMemory(limit=100 * SIZE, expected=SIZE)
    bodies: list[weakref.ref[bytearray]] = []

    class _Body(bytearray):
        """One that can be asked after."""

    class _Breaking(_Sized):
        def call(self, call: Call) -> bytes:
            body = _Body(super().call(call))
            bodies.append(weakref.ref(body))
            try:
                return bytes(int(body))
            except ValueError:
                raise DeviceFailedError("404") from None

    fleet = _sized_fleet(memory, _Sized(1), *(_Breaking(1) for _ in range(7)))
    for _ in fleet.pages(_nothing):
        memory.wait_until_waiting(8)

        assert [body() for body in bodies] == [None] * 7


@pytest.mark.parametrize("end", ["stop", "close"])
def test_a_run_that_ends_early_leaves_no_memory_taken(end: str) -> None:
    """Neither by the page at hand, nor by those that nobody will take, nor by one that comes late."""
    memory = WatchedMemory(limit=100 * SIZE, expected=SIZE)
    late, let_go = threading.Event(), threading.Event()

    class _Late(_Sized):
        def call(self, call: Call) -> bytes:
            body = super().call(call)
            late.set()
            let_go.wait()
            return body

    fleet = _sized_fleet(memory, *(_Sized(1) for _ in range(7)), _Late(1))
    before = set(threading.enumerate())
    pages = cast("Generator[object]", fleet.pages(_nothing))
    next(pages)
    late.wait()
    memory.wait_until_waiting(7)
    if end == "stop":
        fleet.stop()
        list(pages)
    else:
        pages.close()

    held_by_the_late_one = memory.held
    let_go.set()
    for thread in set(threading.enumerate()) - before:
        thread.join(PATIENCE)

    assert (held_by_the_late_one, memory.held) == (SIZE, 0)


def test_an_unexpected_error_leaves_no_memory_taken() -> None:
    """The streams that follow need it."""
    memory = WatchedMemory(limit=SIZE, expected=SIZE)
    with pytest.raises(ZeroDivisionError):
        list(_sized_fleet(memory, _Sized(1, ZeroDivisionError())).pages(_nothing))

    assert memory.held == 0


# Trouble of one device

BROKEN = TransientError("no response within 120 s")


@pytest.mark.parametrize(
    "trouble",
    [
        BROKEN,
        TransientError("the service failed (503 Service Unavailable: '')"),
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

    assert [warning.split("; ", 1)[1] for warning in warnings] == [
        "attempt 1 failed; retrying",
        "attempt 2 failed; retrying",
    ]
    assert all(warning.startswith("z6-1: ") for warning in warnings)
    assert _messages(caplog, logging.ERROR) == []


def _without_mrid() -> bytes:
    return _body("z6-1", [1], 1).replace(b'"mrid": 1, ', b"")


@pytest.mark.parametrize(
    ("troubles", "failure", "calls"),
    [
        pytest.param([BROKEN] * 3, "no response within 120 s; gave up after 3 attempts", 3, id="failed too often"),
        pytest.param([b""] * 3, "the response is not JSON: ''; gave up after 3 attempts", 3, id="never JSON"),
        pytest.param([DeviceFailedError("404 Not Found")], "404 Not Found", 1, id="refused"),
        pytest.param(
            [_without_mrid()],
            "unexpected response format: Object missing required field `mrid` - at `$.data[...][0].readings[0]`",
            1,
            id="another shape",
        ),
        pytest.param(
            [_body("z6-9", [1], 1)],
            "the response is for another device: metadata.device_sn is 'z6-9'",
            1,
            id="another device",
        ),
        pytest.param(
            [_body("z6-1", [0, 1], 20)],
            "the response ignores start_mrid: requested mrid 1 and up, got mrid 0",
            1,
            id="start_mrid ignored",
        ),
        pytest.param(
            [_body("z6-1", [1], None)],
            "the response has records, but its pagination.max_mrid is null",
            1,
            id="contradiction",
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
    service = _Service({"z6-1": 25}, z6_1=[_body("z6-1", range(1, 11), 25), DeviceFailedError("403 Forbidden")])
    fleet = _fleet(["z6-1"], service.fetch)
    pages = list(fleet.pages(_nothing))

    assert [page.bookmark and page.bookmark.value for _, page in pages] == [10]
    assert _end(fleet) == {"z6-1": (Phase.FAILED, "403 Forbidden")}


@pytest.mark.parametrize(
    ("account", "what"),
    [(False, "call limit reached; waiting"), (True, "call limit of the account reached; all devices wait")],
)
def test_a_lock_out_is_the_devices_or_the_accounts(
    what: str, caplog: pytest.LogCaptureFixture, *, account: bool
) -> None:
    """The log says whose, for how long, and in the service's words."""
    service = _Service({"z6-1": 5}, z6_1=[LockedOutError("Too many calls.", seconds=0, account=account)])
    fleet = _fleet(["z6-1"], service.fetch)

    assert _read(fleet) == {"z6-1": [1, 2, 3, 4, 5]}
    assert _messages(caplog, logging.WARNING) == [f"z6-1: {what} 1e-06 s: Too many calls."]


def test_a_limit_that_is_shared_is_explained_once(caplog: pytest.LogCaptureFixture) -> None:
    """Three devices are refused in the words of their own limit; the line of the third says what that means."""
    troubles: dict[str, list[bytes | Exception]] = {
        f"z6_{number}": [LockedOutError("Too many calls.", seconds=0)] for number in (1, 2, 3)
    }
    service = _Service({"z6-1": 5, "z6-2": 5, "z6-3": 5}, **troubles)
    fleet = _fleet(list(service.newest), service.fetch, threads=1)

    assert {device_sn: len(mrids) for device_sn, mrids in _read(fleet).items()} == service.newest
    assert _messages(caplog, logging.WARNING) == [
        "z6-1: call limit reached; waiting 1e-06 s: Too many calls.",
        "z6-2: call limit reached; waiting 1e-06 s: Too many calls.",
        f"z6-3: call limit of the account reached; all devices wait 1e-06 s: Too many calls. ({SHARED})",
    ]
    assert SHARED == (
        "three devices in a row were refused although none had used up its own limit: either other programs share the "
        "limit, or it is the account's"
    )


def test_refusals_that_change_nothing_are_not_told(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the account waits, calls that were sent before it was locked are refused too: its own line is enough."""
    refused = Refusals.refused
    monkeypatch.setattr(
        Refusals, "refused", lambda *args, **options: dataclasses.replace(refused(*args, **options), is_news=False)
    )
    service = _Service({"z6-1": 5}, z6_1=[LockedOutError("Too many calls.", seconds=0)])

    assert len(_read(_fleet(["z6-1"], service.fetch))["z6-1"]) == 5
    assert _messages(caplog, logging.WARNING) == []


def test_a_device_that_is_refused_for_ever_is_one_line(caplog: pytest.LogCaptureFixture) -> None:
    """The others are read, and the run ends."""
    service = _Service({"z6-1": 5, "z6-2": 25}, z6_1=[LockedOutError("Too many calls.", seconds=0)] * 1000)
    windows = itertools.count()
    fleet = _fleet(list(service.newest), service.fetch, clock=lambda: next(windows) * WINDOW)

    assert _read(fleet) == {"z6-1": [], "z6-2": list(range(1, 26))}

    (failure,) = _messages(caplog, logging.ERROR)

    assert failure == f"z6-1 failed: {fleet.turns[0].failure}"
    assert fleet.turns[1].phase is Phase.DONE


def test_a_service_that_refuses_everything_fails_all_in_two_lines(caplog: pytest.LogCaptureFixture) -> None:
    """One for all, one for the device that was refused last; each device has its own reason for the summary."""
    refusals: list[bytes | Exception] = [LockedOutError("Too many calls.", seconds=0)] * 1000
    service = _Service({"z6-1": 5, "z6-2": 5, "z6-3": 5}, z6_1=refusals[:], z6_2=refusals[:], z6_3=refusals[:])
    windows = itertools.count()
    fleet = _fleet(list(service.newest), service.fetch, threads=1, clock=lambda: next(windows) * WINDOW)

    assert _read(fleet) == {"z6-1": [], "z6-2": [], "z6-3": []}

    ends = _end(fleet)
    all_fail, fails = _messages(caplog, logging.ERROR)
    silence = f"times in a row, and the service has refused every call for 2e-05 s; {USED_UP}"

    assert {phase for phase, _ in ends.values()} == {Phase.FAILED}
    assert all(str(failure).endswith(silence) for _, failure in ends.values())
    assert fails in {f"{device_sn} failed: {failure}" for device_sn, (_, failure) in ends.items()}
    assert all_fail == "the service refuses every call; skipping the rest of this run for 3 devices"


def test_an_error_of_a_call_that_is_none_of_the_kinds_fails_its_device() -> None:
    """What a reader can't tell apart is an error of its device, and never a reason to call for ever."""
    service = _Service({"z6-1": 5}, z6_1=[CallError("something else")])
    fleet = _fleet(["z6-1"], service.fetch)

    assert _read(fleet) == {"z6-1": []}
    assert _end(fleet) == {"z6-1": (Phase.FAILED, "something else")}


# The end of all


def test_a_refused_token_stops_all_with_one_call() -> None:
    """The token is wrong for every device: nobody else is asked."""
    service = _Service(
        {f"z6-{number}": 25 for number in range(20)},
        z6_0=[TokenRefusedError("the service rejected the token (401 Unauthorized: Invalid token.)")],
    )
    # By this clock the first call's head start lasts until its answer is there.
    fleet = _fleet(list(service.newest), service.fetch, threads=16, clock=lambda: 0.0)

    assert _read(fleet) == {device_sn: [] for device_sn in service.newest}
    assert str(fleet.token_error) == "the service rejected the token (401 Unauthorized: Invalid token.)"
    assert service.calls == [("z6-0", 1)]
    assert fleet.turns[0].phase is Phase.FAILED


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
    pages = []
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

    def fetch(device_sn: str, page: PageRequest, call: Call) -> bytes:
        if device_sn == "z6-2":
            hangs.set()
            let_go.wait()
        return service.fetch(device_sn, page, call)

    fleet = _fleet(["z6-1", "z6-2"], fetch)
    pages: list[str] = []

    def read() -> None:
        for turn, _ in fleet.pages(_nothing):
            pages.append(turn.device_sn)
            hangs.wait()
            fleet.stop()
        ended.set()

    threading.Thread(target=read).start()
    ended_while_it_hung = ended.wait(HANGS)
    phases = [turn.phase for turn in fleet.turns]
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
