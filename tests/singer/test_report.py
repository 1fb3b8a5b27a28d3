"""Report: progress lines and the closing summary, with clocks turned by hand."""

from __future__ import annotations

import json
import logging
import math
from typing import Any

import pytest

from tap_zentra.calls.schedule import Phase, Turn
from tap_zentra.singer.bookmarks import Bookmark
from tap_zentra.singer.pages import DeviceProgress, WholePage
from tap_zentra.singer.report import SUMMARY, Progress, Report, duration
from tap_zentra.v4.api import call_limits

NOON = 1_769_860_800
"""2026-01-31T12:00:00Z."""


def _device(
    device_sn: str,
    phase: Phase,
    *,
    calls_left: float = 0,
    pages: int = 0,
    readings: int = 0,
    positions: tuple[int, int] | None = None,
    newest: int | None = None,
    gaps: tuple[int, ...] = (),
    ahead: int | None = None,
    rewritten: int = 0,
    calls: int = 0,
    waited: float = 0,
    failure: str | None = None,
) -> DeviceProgress:
    turn = Turn(device_sn, calls_left=calls_left, phase=phase, calls=calls, waited=waited, failure=failure)
    return DeviceProgress(
        turn,
        pages=pages,
        readings=readings,
        positions=positions,
        newest=newest,
        gaps=list(gaps),
        ahead=ahead,
        rewritten=rewritten,
    )


class _Told:
    """A report on some devices, its clock, and the lines that it wrote."""

    def __init__(
        self,
        caplog: pytest.LogCaptureFixture,
        *devices: DeviceProgress,
        expects_news: bool = True,
        by_mrid: bool = True,
        subscriptions: dict[str, str] | None = None,
    ) -> None:
        self.now = 1000.0
        self._caplog = caplog
        caplog.set_level(logging.INFO)
        logger = logging.getLogger("tap-zentra")
        limits = call_limits(user_limit=60, device_limit=1, window=60)
        self.progress = Progress(devices, logger, limits=limits, clock=lambda: self.now)
        self.report = Report(
            "readings",
            devices,
            logger,
            expects_news=expects_news,
            by_mrid=by_mrid,
            subscription_warning=(subscriptions or {}).get,
            now=NOON + 900.0,
        )

    @property
    def lines(self) -> list[str]:
        """Return all lines for people so far."""
        lines = [record.getMessage() for record in self._caplog.records]
        return [line for line in lines if not line.startswith(SUMMARY)]

    @property
    def for_programs(self) -> dict[str, Any]:
        """Return what the line for programs says."""
        lines = [record.getMessage() for record in self._caplog.records]
        (line,) = (line for line in lines if line.startswith(SUMMARY))
        summary: dict[str, Any] = json.loads(line.removeprefix(SUMMARY))
        return summary


# Progress


def test_progress_is_told_every_ten_seconds(caplog: pytest.LogCaptureFixture) -> None:
    """However often it is asked to, it speaks at most every 10 s, and not at the very start."""
    told = _Told(caplog, _device("z6-1", Phase.WAITING, calls_left=math.inf))
    counts = []
    for second in range(31):
        told.now = 1000.0 + second
        told.progress.say()
        told.progress.say()
        counts.append(len(told.lines))

    assert counts == [0] * 10 + [1] * 10 + [2] * 10 + [3]


def test_progress_after_a_long_page_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    """Lines that were missed are not made up for."""
    told = _Told(caplog, _device("z6-1", Phase.WAITING, calls_left=math.inf))
    told.now = 1095.0
    for _ in range(3):
        told.progress.say()

    assert len(told.lines) == 1


def test_progress_says_how_far_the_run_is(caplog: pytest.LogCaptureFixture) -> None:
    """Devices that are over, pages, readings, how fast, and how long the rest takes."""
    told = _Told(
        caplog,
        _device("z6-1", Phase.DONE, pages=3, readings=30_000),
        _device("z6-2", Phase.FAILED, calls_left=math.inf),
        _device("z6-3", Phase.WAITING, calls_left=4, pages=1, readings=10_000),
        _device("z6-4", Phase.CALLED, calls_left=1.001, pages=1, readings=500),
    )
    told.now = 1020.0
    told.progress.say()

    assert told.lines == ["2 of 4 devices done, 5 pages, 40500 readings (2025/s), time left: 4 min"]


def test_time_left_is_not_known_while_a_device_was_not_asked(caplog: pytest.LogCaptureFixture) -> None:
    """Nobody knows how much such a device has."""
    told = _Told(
        caplog, _device("z6-1", Phase.WAITING, calls_left=2), _device("z6-2", Phase.WAITING, calls_left=math.inf)
    )
    told.now = 1010.0
    told.progress.say()

    assert told.lines == ["0 of 2 devices done, 0 pages, 0 readings (0/s), time left: not yet known"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (0.4, "0 s"),
        (45, "45 s"),
        (59, "59 s"),
        (60, "1 min"),
        (725, "12 min"),
        (3599, "60 min"),
        (3600, "1.0 h"),
        (12_600, "3.5 h"),
        (47 * 3600, "47.0 h"),
        (48 * 3600, "2.0 d"),
        (181_440, "2.1 d"),
        (365 * 86_400, "365.0 d"),
        (math.inf, "not yet known"),
    ],
)
def test_a_duration_has_the_unit_that_a_person_would_choose(seconds: float, text: str) -> None:
    """Seconds below a minute, minutes below an hour, hours below two days."""
    assert duration(seconds) == text


# The end


def test_the_summary_has_a_row_for_each_device(caplog: pytest.LogCaptureFixture) -> None:
    """What became of each device, in columns, with how old its newest reading is."""
    told = _Told(
        caplog,
        _device("z6-1", Phase.DONE, readings=216, positions=(1279, 12799), newest=NOON, pages=1, calls=2, waited=61.5),
        _device(
            "z6-2", Phase.DONE, readings=24, positions=(7, 7), newest=NOON - 5 * 86_400, gaps=(7200, 14_400), calls=1
        ),
        _device("z6-3", Phase.FAILED, calls_left=math.inf, calls=5, waited=1000),
        _device("z6-4", Phase.DONE, pages=1, calls=1),
    )
    told.report.summary(seconds=90)

    assert told.lines == [
        "device  outcome  readings  mrids          newest reading (UTC)  age     gaps              calls  waited",
        "z6-1    current  216       1279 to 12799  2026-01-31 12:00:00   15 min  0                 2      1 min",
        (
            "z6-2    current  24        7 to 7         2026-01-26 12:00:00   5.0 d   2, longest 4.0 h  1      0 s     "
            "silent"
        ),
        "z6-3    failed   0         -              -                     -       0                 5      17 min",
        (
            "z6-4    current  0         nothing new    -                     -       0                 1      0 s     "
            "silent"
        ),
        "4 devices: 3 current, 1 failed; 240 readings in 2 min",
        "2 devices have sent no readings for more than 24 h: z6-2 (5.0 d), z6-4 (no readings at all)",
    ]


def test_the_summary_has_one_line_for_programs(caplog: pytest.LogCaptureFixture) -> None:
    """The same as the table, as JSON: moments and durations in seconds, null for what is not known."""
    told = _Told(
        caplog,
        _device(
            "z6-1",
            Phase.DONE,
            readings=216,
            positions=(7, 9),
            newest=NOON,
            gaps=(7200, 3700),
            rewritten=2,
            calls=2,
            waited=61.5,
        ),
        _device("z6-2", Phase.FAILED, calls=5, waited=1000, failure="404 Not Found"),
    )
    told.report.summary(seconds=90)

    assert told.for_programs == {
        "stream": "readings",
        "devices": [
            {
                "device_sn": "z6-1",
                "outcome": "current",
                "error": None,
                "readings": 216,
                "newest": NOON,
                "age": 900.0,
                "silent": False,
                "gaps": 2,
                "longest_gap": 7200,
                "ahead": None,
                "rewritten": 2,
                "went_back": False,
                "subscription": None,
                "calls": 2,
                "waited": 61.5,
            },
            {
                "device_sn": "z6-2",
                "outcome": "failed",
                "error": "404 Not Found",
                "readings": 0,
                "newest": None,
                "age": None,
                "silent": False,
                "gaps": 0,
                "longest_gap": 0,
                "ahead": None,
                "rewritten": 0,
                "went_back": False,
                "subscription": None,
                "calls": 5,
                "waited": 1000,
            },
        ],
        "totals": {
            "devices": 2,
            "current": 1,
            "failed": 1,
            "not_asked": 0,
            "readings": 216,
            "calls": 7,
            "seconds": 90.0,
        },
    }


def test_a_stream_that_is_read_by_time_tells_moments(caplog: pytest.LogCaptureFixture) -> None:
    """Where the others tell mrids."""
    told = _Told(
        caplog,
        _device("z6-1", Phase.DONE, readings=9, positions=(NOON - 3600, NOON), newest=NOON),
        _device("z6-2", Phase.DONE, newest=NOON),
        by_mrid=False,
    )
    told.report.summary(seconds=0)

    assert "new readings (UTC)" in told.lines[0]
    assert "mrid" not in " ".join(told.lines)
    assert "2026-01-31 11:00:00 to 2026-01-31 12:00:00" in told.lines[1]
    assert "nothing new" in told.lines[2]


def test_nothing_new_and_could_not_ask_never_look_alike(caplog: pytest.LogCaptureFixture) -> None:
    """A device that was not asked, or refused, is not said to have nothing new."""
    told = _Told(caplog, *(_device(f"z6-{phase.name}", phase) for phase in Phase))
    told.report.summary(seconds=0)
    rows = {line.split()[0]: line for line in told.lines}

    assert "current" in rows["z6-DONE"]
    assert "nothing new" in rows["z6-DONE"]
    for phase, outcome in ((Phase.WAITING, "not asked"), (Phase.CALLED, "failed"), (Phase.FAILED, "failed")):
        assert outcome in rows[f"z6-{phase.name}"]
        assert "nothing new" not in rows[f"z6-{phase.name}"]


def test_a_failed_device_shows_what_it_had_read(caplog: pytest.LogCaptureFixture) -> None:
    """Pages before the failure were written, and count."""
    told = _Told(caplog, _device("z6-1", Phase.FAILED, readings=48, positions=(1, 2), newest=NOON, calls=6))
    told.report.summary(seconds=0)

    row = "z6-1    failed   48        1 to 2  2026-01-31 12:00:00   15 min  0     6      0 s"

    assert told.lines[1] == row


def test_a_clock_that_is_ahead_is_named(caplog: pytest.LogCaptureFixture) -> None:
    """With the moment that can't be true, in the table and in a warning; the age goes by what can be."""
    told = _Told(
        caplog,
        _device("z6-1", Phase.DONE, newest=NOON, ahead=NOON + 10 * 86_400),
        _device("z6-2", Phase.DONE, newest=NOON),
    )
    told.report.summary(seconds=0)

    assert told.lines[1].endswith("2026-01-31 12:00:00   15 min  0     0      0 s     clock is ahead")
    assert told.lines[-1] == "1 device has a clock that is ahead: z6-1 (a reading is stamped 2026-02-10 12:00:00)"
    assert [device["ahead"] for device in told.for_programs["devices"]] == [NOON + 10 * 86_400, None]


def test_records_that_were_written_again_are_counted(caplog: pytest.LogCaptureFixture) -> None:
    """A device with nothing new may all the same bring something."""
    told = _Told(caplog, _device("z6-1", Phase.DONE, readings=72, newest=NOON, rewritten=3))
    told.report.summary(seconds=0)

    assert told.lines[1] == (
        "z6-1    current  72        nothing new  2026-01-31 12:00:00   15 min  0     0      0 s     "
        "3 records with late or corrected values"
    )


def test_a_device_notes_what_it_read() -> None:
    """The range of what is new, the newest moment, pages, gaps and the rest, page by page."""
    device = DeviceProgress(Turn("z6-1"), bookmark=Bookmark(3))
    noted = []
    for page in (
        WholePage(records=lambda: iter(()), bookmark=None),
        WholePage(
            records=lambda: iter(()),
            bookmark=Bookmark(7),
            positions=(5, 7),
            moments=[900, 1800, 2700, 90_000],
            ahead=5,
            rewritten=2,
        ),
        WholePage(
            records=lambda: iter(()), bookmark=Bookmark(8), positions=(8, 8), moments=[2700, 3600], ahead=4, rewritten=1
        ),
    ):
        device.note(page)
        noted.append((device.pages, device.positions, device.newest, list(device.gaps), device.ahead))

    assert noted == [
        (1, None, None, [], None),
        (2, (5, 7), 90_000, [87_300], 5),
        (3, (5, 8), 90_000, [87_300], 5),
    ]
    assert device.rewritten == 3


def test_a_page_of_one_record_may_end_a_gap() -> None:
    """How long is usual is known from the pages before."""
    device = DeviceProgress(Turn("z6-1"))
    for moments in ([900 * number for number in range(10)], [864_000]):
        device.note(WholePage(records=lambda: iter(()), bookmark=Bookmark(1), moments=moments))

    assert device.gaps == [864_000 - 8100]


def test_a_subscription_that_ends_is_told_of(caplog: pytest.LogCaptureFixture) -> None:
    """Also of a device that failed: that may be why."""
    told = _Told(
        caplog,
        _device("z6-1", Phase.DONE, newest=NOON),
        _device("z6-2", Phase.FAILED),
        subscriptions={"z6-2": "ended on 2026-01-20"},
    )
    told.report.summary(seconds=0)

    assert told.lines[-1] == "1 device has a subscription that has ended or ends soon: z6-2 (ended on 2026-01-20)"
    assert [device["subscription"] for device in told.for_programs["devices"]] == [
        None,
        "ended on 2026-01-20",
    ]


def test_one_device_is_told_of_in_the_singular(caplog: pytest.LogCaptureFixture) -> None:
    """So are one page, one reading and one record."""
    told = _Told(caplog, _device("z6-1", Phase.DONE, pages=1, readings=1, newest=NOON - 90_000, rewritten=1))
    told.now = 1010.0
    told.progress.say()
    told.report.summary(seconds=1)

    assert told.lines[0] == "1 of 1 device done, 1 page, 1 reading (0/s), time left: 0 s"
    assert told.lines[2].endswith("silent, 1 record with late or corrected values")
    assert told.lines[3:] == [
        "1 device: 1 current, 0 failed; 1 reading in 1 s",
        "1 device has sent no readings for more than 24 h: z6-1 (25.2 h)",
    ]


def test_progress_counts_a_device_with_several_turns_once(caplog: pytest.LogCaptureFixture) -> None:
    """It is done when all that is read of it is, and its turns share its limit."""
    readings = _device("z6-1", Phase.DONE, pages=3)
    model = DeviceProgress(Turn("z6-1", "ETo, port 1", calls_left=1))
    told = _Told(caplog, readings, model, _device("z6-2", Phase.DONE))
    told.now = 1010.0
    told.progress.say()

    assert told.lines == ["1 of 2 devices done, 3 pages, 0 readings (0/s), time left: 1 min"]
