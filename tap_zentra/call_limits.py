"""When a call to a device may go out; knows neither the network nor the real clock.

Every moment is a number of seconds on one monotonic clock, which the caller reads.
"""

from __future__ import annotations

import math
from collections import deque

MARGIN = 0.01
"""The share of a window by which both windows are longer here: the network's jitter must not make a call early."""

LEAST_MARGIN = 0.05
"""Seconds. Jitter does not shrink with the window: a floor for windows that are scaled down to seconds."""

NEVER = -math.inf
"""The moment of a call that was never made, so that nothing has to wait for it."""


class CallLimits:
    """Two sliding windows, one for the account and one for each device, and the lock-outs of both.

    ZENTRA Cloud allows 60 calls in 60 s for an account and 1 call in 60 s for each of its devices. Whether it
    counts in a sliding or a fixed window is not documented; a sliding one satisfies both.
    """

    def __init__(self, *, user_limit: int, device_limit: int, window: float) -> None:
        """Start with nothing called.

        Args:
            user_limit: Calls that a window allows for the account.
            device_limit: Calls that a window allows for each device.
            window: Length of both windows, in seconds.
        """
        self._device_limit = device_limit
        self._span = window + max(MARGIN * window, LEAST_MARGIN)
        self._account_calls: deque[float] = deque(maxlen=user_limit)
        self._device_calls: dict[str, deque[float]] = {}
        self._account_locked_until = NEVER
        self._device_locked_until: dict[str, float] = {}

    def account_free_at(self) -> float:
        """Return the moment from which the account may call; it may lie in the past."""
        return max(self._account_locked_until, self._free_at(self._account_calls))

    def device_free_at(self, device_sn: str) -> float:
        """Return the moment from which this device may be called, as far as its own limit goes."""
        calls = self._device_calls.get(device_sn)
        return max(
            self._device_locked_until.get(device_sn, NEVER),
            NEVER if calls is None else self._free_at(calls),
        )

    def count(self, device_sn: str, sent_at: float) -> None:
        """Count a call in both windows, whatever will become of it; calls are counted in the order of time."""
        self._account_calls.append(sent_at)
        self._device_calls.setdefault(device_sn, deque(maxlen=self._device_limit)).append(sent_at)

    def recount(self, device_sn: str, planned_at: float, sent_at: float) -> None:
        """Count a call anew that went out later than it was counted: a connection had to be made first."""
        for calls in (self._account_calls, self._device_calls[device_sn]):
            if planned_at in calls:
                calls.remove(planned_at)
            calls.append(sent_at)

    def lock_device(self, device_sn: str, until: float) -> None:
        """Keep a device from being called before a moment; an earlier lock never shortens a later one."""
        self._device_locked_until[device_sn] = max(until, self._device_locked_until.get(device_sn, NEVER))

    def lock_account(self, until: float) -> None:
        """Keep every device from being called before a moment."""
        self._account_locked_until = max(until, self._account_locked_until)

    def _free_at(self, calls: deque[float]) -> float:
        """Return when the oldest of a full window's calls no longer counts."""
        return calls[0] + self._span if len(calls) == calls.maxlen else NEVER
