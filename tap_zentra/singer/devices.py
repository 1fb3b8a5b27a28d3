"""Stream `devices`: what became of each device in a run, and how it is; knows no API."""

from __future__ import annotations

import sys
from abc import abstractmethod
from typing import TYPE_CHECKING, Any

from singer_sdk import typing as th

from tap_zentra.calls.schedule import Outcome, Turn
from tap_zentra.singer import columns
from tap_zentra.singer.moments import iso_timestamp
from tap_zentra.singer.pages import DeviceProgress, outcome_of
from tap_zentra.singer.stream import FollowingStream

if sys.version_info >= (3, 12):
    from typing import override
else:
    from typing_extensions import override

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

COLUMNS = (
    columns.DEVICE_SN,
    columns.DEVICE_NAME,
    th.Property(
        "outcome",
        th.StringType,
        description="Outcome for the device: `current` (everything was read), `failed`, or `not asked` (no call made).",
    ),
    th.Property("error", th.StringType, description="Why it failed or was not asked."),
    th.Property("first_reading_utc", th.DateTimeType, description="Time of its first reading, UTC, as far as known."),
    th.Property(
        "last_reading_utc",
        th.DateTimeType,
        description="Time of its newest known reading, UTC; readings that a wrong clock has stamped in the future do "
        "not count.",
    ),
    th.Property("readings_read", th.IntegerType, description="Number of readings that the run wrote."),
    th.Property("calls", th.IntegerType, description="Number of calls that the run made for the device."),
    th.Property("synced_at", th.DateTimeType, description="When the run ended, UTC."),
)
"""Columns that devices have whichever API they come from."""

CUT_SHORT = "the run ended before everything was read"
"""What is said of a device that nothing else is known to be wrong with."""


class DevicesStream(FollowingStream):
    """What became of each device: one record for each at the end of a run, also where it failed."""

    name = "devices"
    primary_keys = ("device_sn",)

    @abstractmethod
    def details(self, device: DeviceProgress, now: float) -> dict[str, Any]:
        """Return what the API tells of a device: name, first and last reading, and the columns of its own.

        Args:
            device: What became of it.
            now: The moment at which the run ends, in seconds since 1970.
        """

    @override
    def last(self, devices: Iterable[Sequence[DeviceProgress]], now: float) -> Iterator[dict[str, Any]]:
        for turns in devices:
            record = {
                "device_sn": turns[0].turn.device_sn,
                "outcome": outcome_of(turns).value,
                "error": self._error(turns),
                "readings_read": sum(device.readings for device in turns if not device.turn.about),
                "calls": sum(device.turn.calls for device in turns),
                "synced_at": iso_timestamp(int(now)),
                **self.details(_of_readings(turns), now),
            }
            yield {name: record[name] for name in self.schema["properties"]}  # in the order of the columns

    def _error(self, turns: Sequence[DeviceProgress]) -> str | None:
        """Return why not all of a device was read."""
        of_turns = [
            f"{device.turn.about}: {_failure(device)}" if device.turn.about else _failure(device)
            for device in turns
            if device.outcome is Outcome.FAILED
        ]
        if not of_turns and outcome_of(turns) is Outcome.NOT_ASKED:
            return self.run.why_not_asked
        return "; ".join(of_turns) or None


def moment_or_none(seconds: object) -> str | None:
    """Return a moment in seconds since 1970 as ISO 8601; None where it is none, as in a state that was edited."""
    return iso_timestamp(seconds) if isinstance(seconds, int) and seconds >= 0 else None


def _of_readings(turns: Sequence[DeviceProgress]) -> DeviceProgress:
    """Return what is known of a device by its readings: nothing where only something else of it is read."""
    first = turns[0]
    return DeviceProgress(Turn(first.turn.device_sn)) if first.turn.about else first


def _failure(device: DeviceProgress) -> str:
    return device.turn.failure or CUT_SHORT
