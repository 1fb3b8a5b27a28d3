"""Memory for bodies that tells how much was held at most, and when every thread waits."""

from __future__ import annotations

import queue
import sys
import threading

from tap_zentra.calls.memory import BodyMemory
from tests.support import HANGS

if sys.version_info >= (3, 12):
    from typing import override
else:
    from typing_extensions import override


class WatchedMemory(BodyMemory):
    """Memory for bodies, and what became of it.

    Attributes:
        peak: Most bytes that were reserved at one time.
    """

    def __init__(self, *, limit: int, expected: int = 0) -> None:
        super().__init__(limit=limit, expected=expected)
        self.changed: _WatchedCondition = _WatchedCondition()
        self.peak = 0

    @override
    def grow(self, size: int, new_size: int) -> None:
        with self.changed:
            super().grow(size, new_size)
            self.peak = max(self.peak, self.held)

    def wait_until_waiting(self, threads: int) -> None:
        """Return when so many threads wait, and none of them has news to look at."""
        while self.changed.waiting != threads:
            self.changed.counts.get(timeout=HANGS)


class _WatchedCondition(threading.Condition):
    """A condition that counts who waits for it, from the last news on."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: queue.SimpleQueue[int] = queue.SimpleQueue()
        self._news = 0
        self._waiting = 0

    @property
    def waiting(self) -> int:
        """How many wait now."""
        with self:
            return self._waiting

    @override
    def wait(self, timeout: float | None = None) -> bool:
        news = self._news
        self._waiting += 1
        self.counts.put(self._waiting)
        has_news = super().wait(timeout)
        if news == self._news:
            self._waiting -= 1
        return has_news

    @override
    def notify_all(self) -> None:
        self._news += 1
        self._waiting = 0
        super().notify_all()
