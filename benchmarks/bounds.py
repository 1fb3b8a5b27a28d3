"""How long a sync takes at best, and one device after the other; pure.

`pages` is the number of calls that each device needs. A sync's length is the time from its first call to its last.
"""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

USER_LIMIT = 60
"""Calls of an account in a window."""


def lower_bound(pages: Sequence[int], *, window: float, user_limit: int) -> float:
    """Return the least time, in seconds, that the call limits allow.

    Each device may be called once in a window, and the account `user_limit` times.
    """
    return window * max(max(pages) - 1, math.ceil(sum(pages) / user_limit) - 1)


def lower_bound_v5(pages: Sequence[int], *, window: float, burst: int = 5) -> float:
    """Return the least time, in seconds, that the limits of API v5 allow.

    Each device may be called `burst` times at once and then once in a window, and the account has no limit.
    """
    return window * max(0, max(pages) - burst)


def sequential_v5(pages: Sequence[int], *, window: float, burst: int = 5) -> float:
    """Return the least time, in seconds, of a client that reads one device after the other from API v5."""
    return window * sum(max(0, count - burst) for count in pages)


def sequential(pages: Sequence[int], *, window: float, user_limit: int) -> float:
    """Return the time, in seconds, of a client that reads one device after the other.

    It waits for a window between the pages of a device, and for the account's limit where it meets that; its calls
    themselves take no time.
    """
    now = 0.0
    calls: deque[float] = deque(maxlen=user_limit)
    for count in pages:
        for page in range(count):
            if page:
                now += window
            if len(calls) == user_limit:
                now = max(now, calls[0] + window)
            calls.append(now)
    return now
