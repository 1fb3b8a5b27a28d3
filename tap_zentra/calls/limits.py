"""When a call may go out: limits as objects, and those of an account together; knows neither network nor real clock.

Every moment is a number of seconds on one monotonic clock, which the caller reads.
"""

from __future__ import annotations

import math
import threading
from abc import ABC, abstractmethod
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

MARGIN = 0.01
"""The share of a window by which windows are longer here: the network's jitter must not make a call early."""

LEAST_MARGIN = 0.05
"""Seconds. Jitter does not shrink with the window: a floor for windows that are scaled down to seconds."""

LONG_AGO = -math.inf
"""The moment of a call that was never made, so that nothing has to wait for it."""


def with_margin(window: float) -> float:
    """Return how long a window of so many seconds is heeded, in seconds."""
    return window + max(MARGIN * window, LEAST_MARGIN)


class Limit(ABC):
    """A limit on calls, of an account or of a device, and its lock-out."""

    def __init__(self) -> None:
        self._locked_until = LONG_AGO

    def free_at(self) -> float:
        """Return the moment from which a call may go out; it may lie in the past."""
        return max(self._locked_until, self._next_call_at())

    @property
    def locked_until(self) -> float:
        """The end of the latest lock-out; it may lie in the past."""
        return self._locked_until

    def lock(self, until: float) -> None:
        """Let no call go out before a moment; an earlier lock never shortens a later one."""
        self._locked_until = max(until, self._locked_until)

    @abstractmethod
    def count(self, sent_at: float) -> None:
        """Count a call, whatever will become of it; calls are counted in the order of time."""

    @abstractmethod
    def recount(self, planned_at: float, sent_at: float) -> None:
        """Count a call anew that went out later than it was counted: a connection had to be made first."""

    @abstractmethod
    def seconds_for(self, calls: int) -> float:
        """Return how long so many calls take at least, in seconds, after a while without calls."""

    @abstractmethod
    def _next_call_at(self) -> float: ...


class SlidingWindow(Limit):
    """So many calls in any window.

    Whether ZENTRA Cloud Classic counts in a sliding or a fixed window is not documented; a sliding one satisfies both.
    """

    def __init__(self, limit: int, window: float) -> None:
        """Start with nothing called.

        Args:
            limit: Calls that a window allows.
            window: Seconds.
        """
        super().__init__()
        self._window = window
        self._span = with_margin(window)
        self._calls: deque[float] = deque(maxlen=limit)
        self._limit = limit

    def count(self, sent_at: float) -> None:
        """Count a call; the oldest one of a full window no longer matters."""
        self._calls.append(sent_at)

    def recount(self, planned_at: float, sent_at: float) -> None:
        """Count a call at the moment at which it went out."""
        if planned_at in self._calls:
            self._calls.remove(planned_at)
        self._calls.append(sent_at)

    def seconds_for(self, calls: int) -> float:
        """Return the windows that so many calls fill, in seconds."""
        return calls / self._limit * self._window

    def _next_call_at(self) -> float:
        return self._calls[0] + self._span if len(self._calls) == self._limit else LONG_AGO


class Gcra(Limit):
    """A burst of calls, then one for each period; a rest brings the burst back (generic cell rate algorithm).

    ZENTRA Cloud 2.0 allows each device a burst of 5 and one call a minute (METER's documentation).
    """

    def __init__(self, burst: int, period: float) -> None:
        """Start rested.

        Args:
            burst: Calls that a rested device allows at once.
            period: Seconds from one call to the next once the burst is used up.
        """
        super().__init__()
        self._burst = burst
        self._period = with_margin(period)
        self._rested_at = LONG_AGO

    def count(self, sent_at: float) -> None:
        """Count a call: it puts off by a period the moment at which the whole burst is there again."""
        self._rested_at = max(self._rested_at, sent_at) + self._period

    def recount(self, planned_at: float, sent_at: float) -> None:  # noqa: ARG002 - what was planned is included
        """Count a call at the moment at which it went out, `planned_at` or later."""
        self._rested_at = max(self._rested_at, sent_at + self._period)

    def seconds_for(self, calls: int) -> float:
        """Return the periods behind the burst, in seconds."""
        return max(0, calls - self._burst) * self._period

    def _next_call_at(self) -> float:
        return self._rested_at - (self._burst - 1) * self._period


class NoLimit(Limit):
    """An account whose calls nobody counts, as METER's documentation has it of ZENTRA Cloud 2.0; it may be locked."""

    def count(self, sent_at: float) -> None:
        """Count nothing."""

    def recount(self, planned_at: float, sent_at: float) -> None:
        """Count nothing."""

    def seconds_for(self, calls: int) -> float:  # noqa: ARG002 - however many
        """Return 0: any number of calls takes no time."""
        return 0.0

    def _next_call_at(self) -> float:
        return LONG_AGO


class CallLimits:
    """The limit of an account and those of its devices; all streams share them, so they have a lock of their own."""

    def __init__(self, account: Limit, new_device: Callable[[], Limit]) -> None:
        """Start with nothing called.

        Args:
            account: The account's limit.
            new_device: Makes the limit of a device.
        """
        self._account = account
        self._new_device = new_device
        self._devices: dict[str, Limit] = {}
        self._lock = threading.Lock()

    def account_free_at(self) -> float:
        """Return the moment from which the account may call; it may lie in the past."""
        with self._lock:
            return self._account.free_at()

    def account_locked_until(self) -> float:
        """Return the end of the account's latest lock-out; it may lie in the past."""
        with self._lock:
            return self._account.locked_until

    def device_free_at(self, device_sn: str) -> float:
        """Return the moment from which this device may be called, as far as its own limit goes."""
        with self._lock:
            return self._device(device_sn).free_at()

    def take(self, device_sn: str, now: float) -> bool:
        """Count a call, if both limits allow it now."""
        with self._lock:
            limits = (self._account, self._device(device_sn))
            if any(limit.free_at() > now for limit in limits):
                return False
            for limit in limits:
                limit.count(now)
            return True

    def recount(self, device_sn: str, planned_at: float, sent_at: float) -> None:
        """Count a call anew that went out later than it was counted: a connection had to be made first."""
        with self._lock:
            for limit in (self._account, self._device(device_sn)):
                limit.recount(planned_at, sent_at)

    def lock_device(self, device_sn: str, until: float) -> None:
        """Keep a device from being called before a moment."""
        with self._lock:
            self._device(device_sn).lock(until)

    def lock_account(self, until: float) -> None:
        """Keep every device from being called before a moment."""
        with self._lock:
            self._account.lock(until)

    def seconds_for(self, calls: Iterable[float]) -> float:
        """Return how long some devices' calls take at least, in seconds; infinite where a device's are not known.

        Args:
            calls: How many each device has yet to make; a part of a call is a whole one.
        """
        known = list(calls)
        if math.inf in known:
            return math.inf
        whole = [math.ceil(count) for count in known]
        longest = max((self._new_device().seconds_for(count) for count in whole), default=0.0)
        return max(self._account.seconds_for(sum(whole)), longest)

    def _device(self, device_sn: str) -> Limit:
        if device_sn not in self._devices:
            self._devices[device_sn] = self._new_device()
        return self._devices[device_sn]
