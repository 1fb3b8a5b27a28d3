"""What 429 responses mean: who waits and for how long, how many calls may follow, and when no more of them help.

A limit may be shared with other programs, or be the account's although its words name a device. Then the refusals set
the pace, not the size of the fleet. Knows neither network nor real clock: every moment is a number of seconds on one
monotonic clock, which the caller reads.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tap_zentra.calls.limits import LONG_AGO

if TYPE_CHECKING:
    from tap_zentra.calls.limits import CallLimits
    from tap_zentra.calls.schedule import Turn

REFUSALS_IN_A_ROW = 20
"""So many 429 responses in a row give a device up, if `SILENT_WINDOWS` have passed too, so that a run always ends."""

SILENT_WINDOWS = 20
"""Windows in which no call of the fleet brings anything but a 429, after which asking again seems useless."""

DEVICES_IN_A_ROW = 3
"""So many devices that are refused one after the other without a cause of their own have one in common."""

SHORTEST_LOCK_OUT = 1.0
"""Seconds, or the window if that is shorter."""

LONGEST_WAIT = 5
"""Windows: the longest time that a lock-out is heeded, or that a failed call is put off."""

SHARED = (
    "three devices in a row were refused although none had used up its own limit: either other programs share the "
    "limit, or it is the account's"
)
USED_UP = "does another program use up the limit? stop it, or run it at another time"
USED_UP_AGAIN = "the limit has been used up again since the account's last pause"


@dataclass(frozen=True)
class LockOut:
    """What a 429 makes wait.

    Attributes:
        seconds: For how long.
        account: Whether the whole account waits, not the device alone.
        why: Why the account waits although the service does not name it; None if there is nothing to explain.
        is_news: Whether it is more than the echo of a lock-out of the account that is known already.
    """

    seconds: float
    account: bool
    why: str | None
    is_news: bool


class Refusals:
    """What a fleet's calls have met of 429 responses and of others, and what follows from it."""

    def __init__(self, limits: CallLimits, *, window: float, max_calls: int, now: float) -> None:
        """Start with no call sent.

        Args:
            limits: Keep the lock-outs; another stream's fleet may share them, and lock the account too.
            window: The length of the limits' windows, in seconds.
            max_calls: Calls that may be under way at one time.
            now: The moment from which the fleet is without a response.
        """
        self._limits = limits
        self._window = window
        self._shortest = min(SHORTEST_LOCK_OUT, window)
        # With fewer answers than this, the refusals that it takes to notice a shared limit would outnumber them.
        self._answers_to_trust = max_calls + DEVICES_IN_A_ROW - 1
        self._answered_at = now
        self._refused_in_a_row = 0
        self._devices_in_a_row: set[str] = set()
        # Since the account's last lock-out, if there was one:
        self._locked_until = LONG_AGO
        self._under_way: set[Turn] = set()
        self._answers = math.inf

    @property
    def is_careful(self) -> bool:
        """Whether the account was locked, and too few calls have gone through since to trust its limit again."""
        return self._answers < self._answers_to_trust

    def allow_call(self) -> bool:
        """Return whether a call may follow before another response.

        After a lock-out of the account one goes first, and each that goes through lets another one go beside it.
        """
        self._heed_account_lock()
        return len(self._under_way) < max(1, self._answers)

    def sent(self, turn: Turn) -> None:
        """Take note of a call."""
        self._under_way.add(turn)

    def answered(self, turn: Turn, now: float) -> None:
        """Take note of a call that ended in anything but a 429."""
        if self._was_sent_since_lock(turn):
            self._answers += 1
        turn.lock_outs = turn.refused_as_first = 0
        self._answered_at = now
        self._refused_in_a_row = 0
        self._devices_in_a_row.clear()

    def refused(self, turn: Turn, seconds: float | None, now: float, *, account: bool) -> LockOut:
        """Take note of a 429 and lock the device, or the account.

        Args:
            turn: Whose call it was.
            seconds: How long the lock-out lasts, as the service says; None if it does not.
            now: The moment of the response.
            account: Whether the service says that it is the account's.
        """
        is_recent = self._was_sent_since_lock(turn)
        why = self._why_account(turn) if is_recent else None  # else it tells nothing that the lock-out did not
        locks_account = account or why is not None
        bounded = min(max(self._window if seconds is None else seconds, self._shortest), LONGEST_WAIT * self._window)
        is_news = is_recent or now + bounded > self._locked_until + self._shortest
        # Refused although nothing was called since the account's lock-out: the cause may be the device's own.
        turn.refused_as_first += is_recent and not self._answers
        if locks_account:
            self._limits.lock_account(now + bounded)
            self._heed_account_lock()
        else:
            self._limits.lock_device(turn.device_sn, now + bounded)
        turn.lock_outs += 1
        self._refused_in_a_row += 1
        return LockOut(bounded, locks_account, None if account else why, is_news)

    def is_hopeless(self, turn: Turn) -> bool:
        """Return whether to give up a device, which has just been refused."""
        return self._is_silent(turn) and turn.lock_outs >= REFUSALS_IN_A_ROW

    def is_hopeless_for_all(self, turn: Turn) -> bool:
        """Return whether to give up all devices that wait, now that this one has been refused too."""
        return self._is_silent(turn) and self._refused_in_a_row >= REFUSALS_IN_A_ROW

    def in_words(self, turn: Turn, words: str) -> str:
        """Return why a device is given up, with what the service said last."""
        silence = f"the service has refused every call for {SILENT_WINDOWS * self._window:g} s; {USED_UP}"
        if turn.lock_outs:
            times = "once" if turn.lock_outs == 1 else f"{turn.lock_outs} times in a row"
            return "; ".join(filter(None, [words, f"refused {times}, and {silence}"]))
        not_called = f"{'no further call' if turn.calls else 'no call'} was made"
        return "; ".join([": ".join(filter(None, [not_called, words])), silence])

    def _is_silent(self, turn: Turn) -> bool:
        # Measured to when the call was sent: the response may have waited long for a slow target to take pages.
        return turn.sent_at - self._answered_at >= SILENT_WINDOWS * self._window

    def _why_account(self, turn: Turn) -> str | None:
        """Return why a refusal seems to be the account's, whatever its words; None if it does not."""
        if self.is_careful:
            return USED_UP_AGAIN
        if not turn.refused_as_first:
            self._devices_in_a_row.add(turn.device_sn)
        return SHARED if len(self._devices_in_a_row) >= DEVICES_IN_A_ROW else None

    def _was_sent_since_lock(self, turn: Turn) -> bool:
        """Take a call from those under way; return whether it was sent since the account's last lock-out."""
        self._heed_account_lock()
        is_recent = turn in self._under_way
        self._under_way.discard(turn)
        return is_recent

    def _heed_account_lock(self) -> None:
        """Begin anew if the account was locked, be it by another stream's fleet."""
        locked_until = self._limits.account_locked_until()
        if locked_until > self._locked_until:
            self._locked_until = locked_until
            self._under_way.clear()
            self._answers = 0
