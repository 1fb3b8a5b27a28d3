"""The memory that the bodies of an account's calls take together; knows neither network nor real clock."""

from __future__ import annotations

import math
import threading
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Self

LIMIT = 256 * 2**20
"""Bytes of all bodies together, unless an account says otherwise."""

LATELY = 16
"""Bodies that tell how large the next one may be."""


class BodyMemory:
    """A limit on the bodies of an account, whichever stream calls for them.

    A call is made only when there is room for a body as large as the largest one lately, or for less where whoever
    calls expects less: so it is a call that waits, and not a server with its response. A body that turns out larger
    grows while *the others* are within the limit.

    So the limit and one body are the most that is ever held, and bodies never wait for each other in a circle: when a
    body grew last, the others were within the limit; since then none of them has grown, and a call was made only if all
    stayed within it. So that body can go on to its end; it is written, and leaves room for the next.

    Attributes:
        changed: The lock of what is here. Fleets share it, so that room is news for threads that wait for a call.
    """

    def __init__(self, *, limit: int = LIMIT, expected: int = 0) -> None:
        """Start with no body.

        Args:
            limit: Bytes of all bodies together.
            expected: Bytes to expect of a body before the first one has come.
        """
        self.changed = threading.Condition()
        self._limit = limit
        self._expected = expected
        self._sizes: deque[int] = deque(maxlen=LATELY)
        self._held = 0
        self._is_awaited = False

    @property
    def held(self) -> int:
        """Bytes that are reserved."""
        return self._held

    def has_room(self, at_most: float = math.inf) -> bool:
        """Return whether a call may be made now; a body larger than the limit has to be the only one.

        Args:
            at_most: Bytes that whoever calls expects of the body; infinite: they cannot tell.
        """
        with self.changed:
            has_room = self._held == 0 or self._held + self._next_size(at_most) <= self._limit
            self._is_awaited |= not has_room
            return has_room

    def start_call(self, on_sent: Callable[[], None], at_most: float = math.inf) -> Call:
        """Reserve what a body is expected to take; to be asked for only when there is room.

        Args:
            on_sent: What to do when the request has gone out.
            at_most: As `has_room` was told.
        """
        with self.changed:
            size = self._next_size(at_most)
            self._held += size
            return Call(self, on_sent, size)

    def grow(self, size: int, new_size: int) -> None:
        """Wait until a body may grow from one size to another, in bytes."""
        with self.changed:
            while self._held - size > self._limit:
                self._is_awaited = True
                self.changed.wait()
            self._held += new_size - size

    def shrink(self, by: int) -> None:
        """Give back so many bytes."""
        with self.changed:
            self._held -= by
            if self._is_awaited:
                self._is_awaited = False
                self.changed.notify_all()

    def note(self, size: int) -> None:
        """Take note of the size of a whole body, in bytes."""
        with self.changed:
            self._sizes.append(size)

    def _next_size(self, at_most: float) -> int:
        return int(min(max(self._sizes, default=self._expected), at_most))


class Call:
    """A call under way, and what is reserved for its body. As a context it gives all of that back at the end.

    Attributes:
        on_sent: To be called when the request has gone out.
        reserved: Bytes.
    """

    def __init__(self, memory: BodyMemory, on_sent: Callable[[], None], reserved: int) -> None:
        self.on_sent = on_sent
        self.reserved = reserved
        self._memory = memory

    def reserve(self, size: int) -> None:
        """Have at least so many bytes for the body; wait for them as long as it takes."""
        if size > self.reserved:
            self._memory.grow(self.reserved, size)
            self.reserved = size

    def complete(self, size: int) -> None:
        """Keep what the whole body takes, and give back the rest."""
        self._memory.note(size)
        self._keep(size)

    def end(self) -> None:
        """Give back everything."""
        self._keep(0)

    def _keep(self, size: int) -> None:
        self._memory.shrink(self.reserved - size)
        self.reserved = size

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.end()
