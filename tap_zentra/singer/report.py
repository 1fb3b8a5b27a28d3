"""How a run goes and what became of each device: lines and a table for people, one JSON line for programs."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec

from tap_zentra.calls.errors import counted
from tap_zentra.calls.schedule import Outcome, Phase, calls_left_by_device

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Mapping, Sequence

    from tap_zentra.calls.limits import CallLimits
    from tap_zentra.singer.pages import DeviceProgress

PROGRESS_INTERVAL = 10.0
"""Seconds between two progress lines."""

STALE = 86_400.0
"""Seconds: a device whose newest reading is older is silent, as far as anyone can see."""

OUTCOME = ("device", "outcome", "readings")
FRESHNESS = ("newest reading (UTC)", "age", "gaps", "calls", "waited", "")

SUMMARY = "run summary: "
"""What the line for programs begins with; JSON follows."""


def duration(seconds: float) -> str:
    """Return a duration in the unit that a person would choose: `45 s`, `12 min`, `3.5 h`, `2.1 d`."""
    if math.isinf(seconds):
        return "not yet known"
    for limit, length, unit in ((60, 1, "s"), (3600, 60, "min"), (48 * 3600, 3600, "h")):
        if seconds < limit:
            return f"{seconds / length:.{int(unit == 'h')}f} {unit}"
    return f"{seconds / 86_400:.1f} d"


class Progress:
    """Says how a run goes, of all streams together."""

    def __init__(
        self,
        devices: Sequence[DeviceProgress],
        logger: logging.Logger,
        *,
        limits: CallLimits,
        clock: Callable[[], float],
    ) -> None:
        """Begin.

        Args:
            devices: What becomes of each device, in each of its turns.
            logger: Where the lines go.
            limits: Say how long the rest takes.
            clock: Monotonic, in seconds.
        """
        self._devices = devices
        self._logger = logger
        self._limits = limits
        self._clock = clock
        self._started = self._said = clock()

    def say(self) -> None:
        """Say how far the run is, if it is time to."""
        now = self._clock()
        if now - self._said < PROGRESS_INTERVAL:
            return
        self._said = now
        turns = [device.turn for device in self._devices]
        to_do = [turn for turn in turns if turn.phase not in {Phase.DONE, Phase.FAILED}]
        readings = sum(device.readings for device in self._devices)
        left = calls_left_by_device(to_do)
        self._logger.info(
            "%d of %s done, %s, %s (%.0f/s), time left: %s",
            len({turn.device_sn for turn in turns}) - len(left),
            counted(len({turn.device_sn for turn in turns}), "device"),
            counted(sum(device.pages for device in self._devices), "page"),
            counted(readings, "reading"),
            readings / (now - self._started),
            duration(self._limits.seconds_for(left.values())),
        )


class Report:
    """Says how a stream's run ended."""

    def __init__(
        self,
        stream: str,
        devices: Sequence[DeviceProgress],
        logger: logging.Logger,
        *,
        noun: str = "device",
        expects_news: bool = True,
        by_mrid: bool,
        now: float,
        subscription_warning: Callable[[str], str | None] = lambda _: None,
    ) -> None:
        """Make a report.

        Args:
            stream: Name of the stream.
            devices: What became of each device.
            logger: Where the lines go.
            noun: What to call one of them.
            expects_news: Whether one that has sent nothing for long is silent.
            by_mrid: Whether positions are mrids; else they are moments.
            now: The time of day, in seconds since 1970.
            subscription_warning: What is to be said of a device's subscription; None: nothing.
        """
        self._stream = stream
        self._devices = devices
        self._logger = logger
        self._noun = noun
        self._expects_news = expects_news
        self._by_mrid = by_mrid
        self._now = now
        self._subscriptions = {
            device.turn.device_sn: words
            for device in devices
            if (words := subscription_warning(device.turn.device_sn)) is not None
        }

    def summary(self, *, seconds: float) -> None:
        """Say what became of each device, one line each, and the same once more for programs.

        Args:
            seconds: How long the run took.
        """
        header = (*OUTCOME, "mrids" if self._by_mrid else "new readings (UTC)", *FRESHNESS)
        for line in _table([header, *(self._row(device) for device in self._devices)]):
            self._logger.info("%s", line)
        outcomes = [device.outcome for device in self._devices]
        not_asked = outcomes.count(Outcome.NOT_ASKED)
        self._logger.info(
            "%s: %d current, %d failed%s; %s in %s",
            counted(len(outcomes), self._noun),
            outcomes.count(Outcome.CURRENT),
            outcomes.count(Outcome.FAILED),
            f", {not_asked} not asked" if not_asked else "",
            counted(sum(device.readings for device in self._devices), "reading"),
            duration(seconds),
        )
        self._logger.info("%s%s", SUMMARY, msgspec.json.encode(self._for_programs(seconds)).decode())
        self._warn()

    def _for_programs(self, seconds: float) -> dict[str, Any]:
        """Return the summary as an object of plain values: moments in seconds since 1970, durations in seconds."""
        devices = [
            {
                "device_sn": device.turn.device_sn,
                **({"about": device.turn.about} if device.turn.about else {}),
                "outcome": device.outcome,
                "error": device.turn.failure,
                "readings": device.readings,
                "newest": device.newest,
                "age": None if device.newest is None else _age(device.newest, self._now),
                "silent": self._is_silent(device),
                "gaps": len(device.gaps),
                "longest_gap": max(device.gaps, default=0),
                "ahead": device.ahead,
                "rewritten": device.rewritten,
                "went_back": _went_back(device),
                "subscription": self._subscriptions.get(device.turn.device_sn),
                "calls": device.turn.calls,
                "waited": round(device.turn.waited, 3),
            }
            for device in self._devices
        ]
        outcomes = [device.outcome for device in self._devices]
        totals = {
            "devices": len(devices),
            **{outcome.replace(" ", "_"): outcomes.count(outcome) for outcome in Outcome},
            "readings": sum(device.readings for device in self._devices),
            "calls": sum(device.turn.calls for device in self._devices),
            "seconds": round(seconds, 3),
        }
        return {"stream": self._stream, "devices": devices, "totals": totals}

    def _warn(self) -> None:
        """Name the devices that were read without a fault and may not be well all the same."""
        self._warn_of(
            f"sent no readings for more than {STALE / 3600:g} h",
            {
                device.turn.device_sn: _age_in_words(device, self._now)
                for device in self._devices
                if self._is_silent(device)
            },
        )
        self._warn_of(
            "a clock that is ahead",
            {
                device.turn.device_sn: f"a reading is stamped {_in_words(device.ahead)}"
                for device in self._devices
                if device.ahead is not None
            },
        )
        self._warn_of(
            "a lower newest mrid than before",
            {device.turn.device_sn: f"was mrid {device.went_back}" for device in self._devices if _went_back(device)},
        )
        self._warn_of("a subscription that has ended or ends soon", self._subscriptions)
        if len(self._devices) > 1 and all(device.ahead is not None for device in self._devices):
            self._logger.warning(
                "the clocks of all devices seem to be ahead: check this computer's own, which says %s UTC",
                _in_words(int(self._now)),
            )

    def _warn_of(self, what: str, devices: Mapping[str, str]) -> None:
        """Say what some devices have, and of each the particulars."""
        if devices:
            have = f"{counted(len(devices), 'device')} {'has' if len(devices) == 1 else 'have'}"
            named = ", ".join(f"{device_sn} ({words})" for device_sn, words in devices.items())
            self._logger.warning("%s %s: %s", have, what, named)

    def _is_silent(self, device: DeviceProgress) -> bool:
        if device.outcome is not Outcome.CURRENT or not self._expects_news:
            return False
        return device.newest is None or self._now - device.newest > STALE

    def _row(self, device: DeviceProgress) -> tuple[str, ...]:
        return (
            device.turn.name,
            device.outcome,
            str(device.readings),
            self._new(device),
            "-" if device.newest is None else _in_words(device.newest),
            "-" if device.newest is None else _age_in_words(device, self._now),
            f"{len(device.gaps)}, longest {duration(max(device.gaps))}" if device.gaps else "0",
            str(device.turn.calls),
            duration(device.turn.waited),
            ", ".join(self._remarks(device)),
        )

    def _new(self, device: DeviceProgress) -> str:
        """Return where the device's new readings lie."""
        if device.positions is None:
            return "nothing new" if device.outcome is Outcome.CURRENT else "-"
        first, last = (str(one) if self._by_mrid else _in_words(one) for one in device.positions)
        return f"{first} to {last}"

    def _remarks(self, device: DeviceProgress) -> list[str]:
        changed = counted(device.rewritten, "record" if self._by_mrid else "timestamp")
        remarks = {
            "silent": self._is_silent(device),
            "clock is ahead": device.ahead is not None,
            "mrid went backwards": _went_back(device),
            f"{changed} with late or corrected values": device.rewritten > 0,
        }
        return [remark for remark, holds in remarks.items() if holds]


def _in_words(moment: int) -> str:
    return f"{datetime.fromtimestamp(moment, tz=UTC):%Y-%m-%d %H:%M:%S}"


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    # Here, because it is needed once, at the end, and every run has to start.
    from tabulate import tabulate  # noqa: PLC0415

    return [line.rstrip() for line in tabulate(rows, tablefmt="plain", disable_numparse=True).splitlines()]


def _went_back(device: DeviceProgress) -> bool:
    return device.outcome is Outcome.CURRENT and device.went_back is not None


def _age(newest: float, now: float) -> float:
    return round(max(0.0, now - newest), 3)


def _age_in_words(device: DeviceProgress, now: float) -> str:
    if device.newest is not None:
        return duration(_age(device.newest, now))
    return "no readings at all" if device.bookmark is None else f"nothing since mrid {device.bookmark.value}"
