"""What was read again up to a bookmark: changed since the last sync, or not; pure.

Values can come late, and can be corrected. So each sync reads the last records before the bookmark again, and the state
keeps digests of what they held, in groups: the newest record, the one before it, then 2, 4, 8, … records. What is the
same is not written again; a group that differs is.

A position is whatever a stream is read by: an mrid, or a moment.
"""

from __future__ import annotations

import base64
import bisect
import hashlib
import itertools
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

DIGEST_BYTES = 6
"""A change stays unseen once in 3e14 times, and a device's digests take some 100 bytes of the state."""

LARGEST_GROUP = 128
"""Positions of a group at most, unless said otherwise, so that a change far back writes no more than that again."""


class Overlap:
    """A device's records up to its bookmark that are read again, and those that the next sync will read again.

    Attributes:
        start: The first position that is read again; None: none is.
    """

    def __init__(
        self, bookmark: int | None, *, reach: int, state: object = None, largest_group: int = LARGEST_GROUP
    ) -> None:
        """Start at a bookmark.

        Args:
            bookmark: The last position that earlier syncs have read; None: there were none.
            reach: How many positions up to the bookmark are read again.
            state: What `as_state` returned when the bookmark was set. Of another form, or None: there are no
                digests yet, so nothing counts as changed.
            largest_group: Positions that share a digest, at most.
        """
        self._bookmark = -1 if bookmark is None else bookmark
        self._reach = reach
        self._largest_group = largest_group
        self._state = self._checked(state)
        self.start: int | None = None
        if bookmark is not None and reach > 0:
            first = 0 if self._state is None else self._state["from"]
            self.start = max(bookmark + 1 - reach, first)
        self._first_read: int | None = None
        self._contents: dict[int, bytes] = {}
        self._open_from = self.start

    @property
    def has_no_beginning(self) -> bool:
        """Whether an earlier sync has left no digests, and nothing was read again yet with which they may begin."""
        return self.start is not None and self._state is None and self._first_read is None

    def is_wanted(self, position: int, newest: int) -> bool:
        """Return whether the content of a position matters, in a page that ends at `newest`."""
        return position > newest - self._reach or self.is_open(position)

    def is_old(self, position: int) -> bool:
        """Return whether a position was read by an earlier sync."""
        return position <= self._bookmark

    def note(self, contents: Mapping[int, bytes], read_from: int | None = None) -> None:
        """Take note of what records hold: position -> content.

        Args:
            contents: Of records that were read.
            read_from: From where on all was read, of which there may be nothing yet; None: from the first record on,
                or, where there are digests, from where it was read again.
        """
        if contents and self._first_read is None:
            known = read_from if self._state is None else self.start
            self._first_read = min(contents) if known is None else known
        self._contents.update(contents)

    def is_open(self, position: int) -> bool:
        """Return whether a position's group has not been read to its end yet."""
        return self.is_old(position) and self._open_from is not None and position >= self._open_from

    def settle(self, below: int) -> set[int]:
        """Return the positions that have changed, of all groups that have now been read to their end.

        Args:
            below: Everything below this position has been read.
        """
        changed: set[int] = set()
        if self._open_from is None:
            return changed
        known = sorted(self._contents)
        for first, last, digest in self._known_groups():
            if first >= self._open_from and last < below:
                positions = _between(known, first, last)
                if _digest(self._contents, positions) != digest:
                    changed.update(positions)
                self._open_from = last + 1
        if below > self._bookmark:
            self._open_from = None
        return changed

    def as_state(self, bookmark: int) -> dict[str, Any] | None:
        """Return what the state keeps beside a bookmark: where the digests begin, and the digests, finest first."""
        if self.is_open(bookmark):  # not all has been read again yet
            return self._state
        if self._first_read is None:
            return None
        first = max(self._first_read, bookmark + 1 - self._reach)
        self._contents = {position: content for position, content in self._contents.items() if position >= first}
        known = sorted(self._contents)
        groups = _groups(first, bookmark, self._largest_group)
        digests = [_digest(self._contents, _between(known, low, high)) for low, high in groups]
        return {"from": first, "digests": digests}

    def _known_groups(self) -> Iterator[tuple[int, int, str]]:
        """Yield the groups of which there are digests, in the order of positions: first, last, digest."""
        if self._state is not None:
            groups = _groups(self._state["from"], self._bookmark, self._largest_group)
            for (first, last), digest in reversed(list(zip(groups, self._state["digests"], strict=True))):
                yield first, last, digest

    def _checked(self, state: object) -> dict[str, Any] | None:
        """Return a state if it is of this form, with a digest for each group up to the bookmark."""
        if not isinstance(state, dict):
            return None
        first, digests = state.get("from"), state.get("digests")
        if not isinstance(first, int) or first < 0 or not isinstance(digests, list):
            return None
        groups = itertools.islice(_groups(first, self._bookmark, self._largest_group), len(digests) + 1)
        return state if len(digests) == len(list(groups)) else None


def content(values: bytes) -> bytes:
    """Return what a record holds, short: of the same values always the same."""
    return hashlib.blake2b(values, digest_size=DIGEST_BYTES).digest()


def _digest(contents: Mapping[int, bytes], positions: Sequence[int]) -> str:
    """Return a digest of the records of some ascending positions, short where there are none."""
    if not positions:
        return ""
    digest = hashlib.blake2b(digest_size=DIGEST_BYTES)
    for position in positions:
        digest.update(b"%d:" % position + contents[position])
    return base64.urlsafe_b64encode(digest.digest()).decode()


def _between(positions: Sequence[int], first: int, last: int) -> Sequence[int]:
    """Return those of some ascending positions that lie from the first to the last."""
    return positions[bisect.bisect_left(positions, first) : bisect.bisect_right(positions, last)]


def _groups(first: int, bookmark: int, largest: int) -> Iterator[tuple[int, int]]:
    """Yield the first and the last position of each group, from the bookmark down to `first`."""
    last = bookmark
    for size in itertools.chain((1,), (2**n for n in itertools.count())):
        if last < first:
            return
        low = max(first, last + 1 - min(size, largest))
        yield low, last
        last = low - 1
