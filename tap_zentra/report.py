"""Progress lines and the closing summary: what became of each device, for the person who reads the log."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from tap_zentra.schedule import Phase

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Sequence

    from tap_zentra.fleet import Device
    from tap_zentra.settings import Settings

PROGRESS_INTERVAL = 10.0
"""Seconds between two progress lines."""


STALE = 86_400.0
"""Seconds: a device whose newest reading is older is silent, as far as anyone can see."""


def seconds_left(records_left: Sequence[float], settings: Settings) -> float:
    """Return how long the call limits make a run last yet, in seconds; infinite while a device was not asked.

    Args:
        records_left: Records that each device has still to be asked for.
        settings: Page size and call limits.
    """
    pages = [math.ceil(left / settings.page_size) if math.isfinite(left) else math.inf for left in records_left]
    windows = max(sum(pages) / settings.user_call_limit, max(pages, default=0) / settings.device_call_limit)
    return windows * settings.call_limit_window


def duration(seconds: float) -> str:
    """Return a duration in the unit that a person would choose: `45 s`, `12 min`, `3.5 h`, `2.1 d`."""
    if math.isinf(seconds):
        return "not known yet"
    for limit, length, unit in ((60, 1, "s"), (3600, 60, "min"), (48 * 3600, 3600, "h")):
        if seconds < limit:
            return f"{seconds / length:.{int(unit == 'h')}f} {unit}"
    return f"{seconds / 86_400:.1f} d"


class Report:
    """Says how a run goes and how it ended."""

    def __init__(
        self,
        devices: Sequence[Device],
        logger: logging.Logger,
        *,
        settings: Settings,
        clock: Callable[[], float],
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Make a report on devices that change while the run goes on.

        Args:
            devices: What becomes of each device.
            logger: Where the lines go.
            settings: Page size and call limits, which say how long the rest takes.
            clock: Monotonic, in seconds.
            now: The time of day, with its zone.
        """
        self._devices = devices
        self._logger = logger
        self._settings = settings
        self._clock = clock
        self._now = now
        self._started = self._said = clock()

    def progress(self) -> None:
        """Say how far the run is, if it is time to."""
        now = self._clock()
        if now - self._said < PROGRESS_INTERVAL:
            return
        self._said = now
        over = [device for device in self._devices if device.turn.phase in {Phase.DONE, Phase.FAILED}]
        readings = sum(device.readings for device in self._devices)
        left = seconds_left([device.turn.left for device in self._devices if device not in over], self._settings)
        self._logger.info(
            "%d of %d devices done, %d pages, %d readings (%.0f/s), time left: %s",
            len(over),
            len(self._devices),
            sum(device.pages for device in self._devices),
            readings,
            readings / (now - self._started),
            duration(left),
        )

    def summary(self) -> None:
        """Say what became of each device, one line each."""
        header = ("device", "state", "readings", "mrids", "newest reading (UTC)", "age", "calls", "waited", "")
        rows = [header, *(self._row(device) for device in self._devices)]
        widths = [max(len(row[column]) for row in rows) for column in range(len(header))]
        for row in rows:
            self._logger.info("%s", "  ".join(map(str.ljust, row, widths)).rstrip())
        states = [state(device) for device in self._devices]
        self._logger.info(
            "%d devices: %d current, %d with gaps, %d failed; %d readings in %s",
            len(states),
            states.count("current"),
            states.count("gap"),
            states.count("failed"),
            sum(device.readings for device in self._devices),
            duration(self._clock() - self._started),
        )
        self._warn()

    def _warn(self) -> None:
        """Name the devices that were read without a fault and may not be well all the same."""
        silent = [f"{device.device_sn} ({self._age(device)})" for device in self._devices if self._is_silent(device)]
        if silent:
            self._logger.warning(
                "%d devices are silent, no reading of the last %s is known: %s",
                len(silent),
                duration(STALE),
                ", ".join(silent),
            )
        back = [
            f"{device.device_sn} (behind mrid {device.paginator.went_back})"
            for device in self._devices
            if _went_back(device)
        ]
        if back:
            self._logger.warning("%d devices whose newest mrid went backwards: %s", len(back), ", ".join(back))

    def _is_silent(self, device: Device) -> bool:
        if device.turn.phase is not Phase.DONE or self._settings.end_date is not None:  # newer ones are not wanted
            return False
        return device.newest is None or self._now().timestamp() - device.newest > STALE

    def _age(self, device: Device) -> str:
        if device.newest is None:
            bookmark = device.paginator.bookmark
            return "no record" if bookmark is None else f"nothing since mrid {bookmark}"
        return duration(max(0.0, self._now().timestamp() - device.newest))

    def _row(self, device: Device) -> tuple[str, ...]:
        newest = None if device.newest is None else datetime.fromtimestamp(device.newest, tz=UTC)
        if device.turn.phase is Phase.DONE and device.mrids is None:
            mrids = "nothing new"
        else:
            mrids = "-" if device.mrids is None else f"{device.mrids[0]} to {device.mrids[1]}"
        return (
            device.device_sn,
            state(device),
            str(device.readings),
            mrids,
            "-" if newest is None else f"{newest:%Y-%m-%d %H:%M:%S}",
            "-" if newest is None else self._age(device),
            str(device.turn.calls),
            duration(device.turn.waited),
            ", ".join(["silent"] * self._is_silent(device) + ["mrid went backwards"] * _went_back(device)),
        )


def _went_back(device: Device) -> bool:
    return device.turn.phase is Phase.DONE and device.paginator.went_back is not None


def state(device: Device) -> str:
    """Return what became of a device: `current`, `gap` (current, with records missing) or `failed`."""
    if device.turn.phase is not Phase.DONE:
        return "failed"
    return "gap" if device.missing else "current"
