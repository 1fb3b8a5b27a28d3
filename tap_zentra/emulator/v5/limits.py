"""When v5 refuses a call for having been called too often; knows no clock, it is told the time."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tap_zentra.emulator.v5.options import Budget

DEVICE_BURST = 5
"""The service's own: 5 calls at once, then 1 a minute, and 5 again after 300 s of rest (METER's documentation)."""

Bucket = tuple[str, str]


class Gcra:
    """The generic cell rate algorithm: a burst of calls, then one in each interval; rest brings the burst back.

    Args:
        interval: Seconds between two calls that never have to wait.
        burst: Calls at once.
    """

    def __init__(self, interval: float, burst: int) -> None:
        self._interval = interval
        self._credit = (burst - 1) * interval
        self._due = -math.inf
        self._locked_until = -math.inf

    def opens_at(self) -> float:
        """Return the first moment at which a call is allowed."""
        return max(self._due - self._credit, self._locked_until)

    def count(self, now: float) -> None:
        """Count a call."""
        self._due = max(self._due, now) + self._interval

    def lock(self, until: float) -> None:
        """Allow no call before then."""
        self._locked_until = max(self._locked_until, until)


class CallBudgets:
    """The limits of v5: of each device over all callers, and of the device list for each key.

    Args:
        interval: Seconds in which one more call is allowed.
        burst: Calls at once.
        budget: What has a budget of its own.
        lockout: A refused call locks for so many seconds from then on; 0: refused calls do not count.
    """

    def __init__(self, *, interval: float, burst: int, budget: Budget = "device", lockout: float = 0.0) -> None:
        self._interval = interval
        self._burst = burst
        self._budget = budget
        self._lockout = lockout
        self._gates: dict[Bucket, Gcra] = {}
        self._locked_until = -math.inf

    def admit(self, device_sn: str | None, now: float, *, late: float = 0.0, caller: str = "") -> float:
        """Count a call, or refuse it.

        Args:
            device_sn: None: the device list.
            now: Seconds on any clock that never goes back.
            late: Seconds by which the call may have come earlier than now: in doubt, the client has kept to the limit.
            caller: Whose key it is.

        Returns:
            Seconds after which a call is allowed; 0: this one was.
        """
        gate = self._gate(device_sn, caller)
        if max(gate.opens_at(), self._locked_until) <= now:
            gate.count(now - late)
            return 0.0
        if self._lockout:
            gate.lock(now + self._lockout)
        return max(gate.opens_at(), self._locked_until) - now

    def lock(self, device_sn: str | None, seconds: float, now: float) -> None:
        """Refuse calls for a device (None: for the list) for some time."""
        self._gate(device_sn, "").lock(now + seconds)

    def lock_everything(self, seconds: float, now: float) -> None:
        """Refuse all calls for some time."""
        self._locked_until = max(self._locked_until, now + seconds)

    def _gate(self, device_sn: str | None, caller: str) -> Gcra:
        return self._gates.setdefault(self._bucket(device_sn, caller), Gcra(self._interval, self._burst))

    def _bucket(self, device_sn: str | None, caller: str) -> Bucket:
        if self._budget == "all":
            return ("all", "")
        if device_sn is None:
            return ("list", caller)
        return ("device", device_sn) if self._budget == "device" else ("key", caller)
