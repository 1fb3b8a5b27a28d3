"""When the service refuses a call for having been called too often; knows no clock, it is told the time."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from email.utils import formatdate
from typing import Literal

WINDOW = 60.0
USER_LIMIT = 60
DEVICE_LIMIT = 1
"""The service's own: 60 calls in 60 seconds for the account, one of them for each device (METER's documentation)."""

RetryAfter = Literal["none", "seconds", "date"]
"""The form of the header `Retry-After`."""

LimitWords = Literal["own", "device"]
"""How a refusal by the account's limit is told: as what it is, or as if it were by the device's limit."""


@dataclass(frozen=True)
class Refusal:
    """Why a call is refused, and for how long.

    Attributes:
        limit: Calls that are told to be allowed in the window.
        window: Seconds.
        seconds: Until the next call is allowed.
    """

    limit: int
    window: float
    seconds: float

    @property
    def whole_seconds(self) -> int:
        """Seconds as the service tells them: whole, rounded up, at least 1."""
        return max(1, math.ceil(self.seconds))

    @property
    def detail(self) -> str:
        """The service's words for it."""
        return (
            f"Exceeded request limit of {_plural(self.limit, 'call')} per {_plural(self.window, 'second')}. "
            f"Lock out expires in {_plural(self.whole_seconds, 'second')}."
        )

    def headers(self, form: RetryAfter, time: float) -> dict[str, str]:
        """Return the header `Retry-After`; `time` is now in seconds since 1970-01-01."""
        if form == "none":
            return {}
        if form == "seconds":
            return {"Retry-After": str(self.whole_seconds)}
        return {"Retry-After": formatdate(math.ceil(time + self.seconds), usegmt=True)}


class CallLimits:
    """Both limits over sliding windows: of each device and of the account.

    Args:
        window: Seconds.
        user_limit: Calls of the account in any window.
        device_limit: Calls for each device in any window.
        extend_lockouts: A refused call locks for a whole window from then on. Otherwise refused calls do not
            count.
        limit_words: Of the account's refusals.
    """

    def __init__(
        self,
        *,
        window: float,
        user_limit: int,
        device_limit: int,
        extend_lockouts: bool = False,
        limit_words: LimitWords = "own",
    ) -> None:
        self._window = window
        self._device_limit = device_limit
        self._extend_lockouts = extend_lockouts
        told = user_limit if limit_words == "own" else device_limit
        self._account = _Gate(user_limit, window, told)
        self._devices: dict[str, _Gate] = {}

    def admit(self, device_sn: str | None, now: float, *, late: float = 0.0) -> Refusal | None:
        """Count a call, or say why it is refused.

        A call is allowed again exactly one window after the call that stands in its way. Where both limits
        are exceeded, the account's is told.

        Args:
            device_sn: None: the call names no device, so only the account's limit holds.
            now: Seconds on any clock that never goes back.
            late: Seconds by which the call may have come earlier than now. Its window then begins so much earlier:
                in doubt, the client has kept to the limit.
        """
        gates = [self._gate(name) for name in ([None] if device_sn is None else [None, device_sn])]
        for gate in gates:
            if gate.opens_at() > now:
                if self._extend_lockouts:
                    gate.lock(now + self._window)
                return Refusal(gate.told, self._window, gate.opens_at() - now)
        for gate in gates:
            gate.calls.append(now - late)
        return None

    def lock(self, device_sn: str | None, seconds: float, now: float) -> Refusal:
        """Lock a device, or the account when `device_sn` is None, and return how that is told."""
        gate = self._gate(device_sn)
        gate.lock(now + seconds)
        return Refusal(gate.told, self._window, seconds)

    def _gate(self, device_sn: str | None) -> _Gate:
        if device_sn is None:
            return self._account
        return self._devices.setdefault(device_sn, _Gate(self._device_limit, self._window, self._device_limit))


class _Gate:
    def __init__(self, limit: int, window: float, told: int) -> None:
        self.limit = limit
        self.told = told
        self.calls: deque[float] = deque(maxlen=limit)
        self._window = window
        self._locked_until = -math.inf

    def opens_at(self) -> float:
        full = len(self.calls) == self.limit
        return max(self._locked_until, self.calls[0] + self._window if full else -math.inf)

    def lock(self, until: float) -> None:
        self._locked_until = max(self._locked_until, until)


def _plural(amount: float, unit: str) -> str:
    return f"{amount:g} {unit}" if amount == 1 else f"{amount:g} {unit}s"
