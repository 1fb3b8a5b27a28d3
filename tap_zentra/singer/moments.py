"""Moments of readings: which can't be true, and where readings are missing; pure. All in seconds since 1970."""

from __future__ import annotations

import itertools
import statistics
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

DAY = 86_400
"""Seconds."""

SHORTEST_GAP = 3600
"""Seconds without readings that are no gap, however often a device measures."""

INTERVALS = 3
"""So many of a device's usual intervals without readings are no gap."""


def latest_moment(now: float) -> float:
    """Return the latest moment of a reading: one stamped more than a day ahead was made by a clock that is wrong."""
    return now + DAY


def longest_usual_step(moments: Sequence[int]) -> float:
    """Return how many seconds from one reading to the next are usual, given moments in the order of the records."""
    steps = [later - earlier for earlier, later in itertools.pairwise(moments) if later > earlier]
    return max(SHORTEST_GAP, INTERVALS * statistics.median(steps)) if steps else SHORTEST_GAP


def gaps(moments: Sequence[int], newest_before: int | None) -> list[int]:
    """Return the stretches of time without readings, in seconds.

    Args:
        moments: In the order of the records, those that are read again included. A clock that was put back makes no
            gap: only what is later than everything before counts.
        newest_before: Moment of the newest reading that was known before; a gap that ends there or earlier is known.
    """
    if len(moments) < 2:  # noqa: PLR2004 - one reading says nothing of what is usual
        return []
    usual = longest_usual_step(moments)
    found = []
    newest = newest_before
    for moment in moments:
        if newest is None:
            newest = moment
        if moment - newest > usual:
            found.append(moment - newest)
        newest = max(newest, moment)
    return found


def moment_of(text: str) -> int | None:
    """Return the moment that a text of the state is, in seconds since 1970; None: it is none. Without a zone: UTC."""
    try:
        moment = datetime.fromisoformat(text)
        return max(0, int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()))
    except (ValueError, OverflowError):
        return None


@lru_cache(maxsize=4096)
def iso_timestamp(seconds: int) -> str:
    """Return a moment as ISO 8601 in UTC; a page has 2000 of them for 48,000 readings."""
    return datetime.fromtimestamp(seconds, tz=UTC).isoformat()
