"""Stream `devices`: one record for each device, whatever became of it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from tap_zentra.calls.schedule import Phase, Turn
from tap_zentra.singer.bookmarks import Bookmark
from tap_zentra.singer.devices import CUT_SHORT, moment_or_none
from tap_zentra.singer.pages import DeviceProgress
from tap_zentra.tap import TapZentra
from tap_zentra.v4.devices import DEVICES, DevicesStream

if TYPE_CHECKING:
    from tap_zentra.singer.run import Run

NOON = 1_769_860_800
"""2026-01-31T12:00:00Z."""


def _stream(*, why_not_asked: str | None = None) -> DevicesStream:
    stream = DevicesStream(TapZentra(config={"auth_token": "x", "device_sns": "z6-1"}))
    stream.run = cast("Run", SimpleNamespace(why_not_asked=why_not_asked))
    return stream


def _turn(
    phase: Phase = Phase.DONE,
    *,
    about: str = "",
    calls: int = 1,
    failure: str | None = None,
    readings: int = 0,
    **more: Any,
) -> DeviceProgress:
    return DeviceProgress(Turn("z6-1", about, phase=phase, calls=calls, failure=failure), readings=readings, **more)


def _record(*turns: DeviceProgress, why_not_asked: str | None = None) -> dict[str, Any]:
    (record,) = _stream(why_not_asked=why_not_asked).last([turns], NOON + 0.5)
    return record


def test_a_device_that_was_read_is_told_of() -> None:
    """By what the run has read, and what is known of it from runs before; in the order of the columns."""
    known = {"device_name": "Meadow", "first_mrid": 3, "first_reading": NOON - 86_400}
    record = _record(
        _turn(calls=4, readings=48, bookmark=Bookmark(99), newest=NOON - 900, known=known),
        _turn(about="ETo, port 1", readings=7),
    )

    assert record == {
        "device_sn": "z6-1",
        "device_name": "Meadow",
        "outcome": "current",
        "error": None,
        "first_reading_utc": "2026-01-30T12:00:00+00:00",
        "last_reading_utc": "2026-01-31T11:45:00+00:00",
        "readings_read": 48,
        "calls": 5,
        "synced_at": "2026-01-31T12:00:00+00:00",
        "first_mrid": 3,
        "last_mrid": 99,
    }
    assert list(record) == list(DEVICES["properties"])


@pytest.mark.parametrize(
    ("turns", "outcome", "error"),
    [
        ([_turn()], "current", None),
        ([_turn(Phase.FAILED, failure="gone")], "failed", "gone"),
        ([_turn(Phase.WAITING)], "failed", CUT_SHORT),
        ([_turn(Phase.CALLED)], "failed", CUT_SHORT),
        ([_turn(Phase.WAITING, calls=0)], "not asked", "why"),
        ([_turn(), _turn(Phase.FAILED, about="ETo, port 1", failure="no port")], "failed", "ETo, port 1: no port"),
        (
            [_turn(Phase.FAILED, failure="gone"), _turn(Phase.FAILED, about="ETo, port 1", failure="no port")],
            "failed",
            "gone; ETo, port 1: no port",
        ),
        ([_turn(), _turn(Phase.WAITING, about="ETo, port 1", calls=0)], "not asked", "why"),
        ([_turn(Phase.FAILED, failure="gone"), _turn(Phase.WAITING, about="ETo", calls=0)], "failed", "gone"),
    ],
)
def test_a_device_that_was_not_read_says_why(turns: list[DeviceProgress], outcome: str, error: str | None) -> None:
    """One failure of any stream is enough for an alert, and none hides another."""
    record = _record(*turns, why_not_asked="why")

    assert (record["outcome"], record["error"]) == (outcome, error)


def test_nothing_is_made_up_of_a_device_that_nothing_is_known_of() -> None:
    """Whatever a state holds that someone has edited."""
    record = _record(_turn(known={"first_reading": "yesterday"}))

    unknown = ("device_name", "first_reading_utc", "last_reading_utc", "first_mrid", "last_mrid")
    assert [record[name] for name in unknown] == [None] * len(unknown)


@pytest.mark.parametrize(
    ("seconds", "moment"), [(0, "1970-01-01T00:00:00+00:00"), (-1, None), ("0", None), (None, None)]
)
def test_only_a_moment_is_one(seconds: object, moment: str | None) -> None:
    """Seconds since 1970."""
    assert moment_or_none(seconds) == moment
