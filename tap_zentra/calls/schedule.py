"""Which device is called next, and when: the order of calls, without threads, network or the real clock.

Every moment is a number of seconds on one monotonic clock, which the caller reads.
"""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import backoff

from tap_zentra.calls.errors import counted
from tap_zentra.calls.refusals import LONGEST_WAIT, Refusals

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable

    from tap_zentra.calls.limits import CallLimits
    from tap_zentra.calls.refusals import LockOut

HEAD_START = 0.5
"""Seconds that the very first call is alone, so that a wrong token costs one call and not one for each thread."""


class Phase(enum.Enum):
    """Where a device stands in this run."""

    WAITING = enum.auto()
    CALLED = enum.auto()
    DONE = enum.auto()
    FAILED = enum.auto()


class Outcome(enum.StrEnum):
    """What became of a device in this run."""

    CURRENT = "current"
    """It was read to its end."""
    FAILED = "failed"
    """It was not, be it for a failure or because the run ended before."""
    NOT_ASKED = "not asked"
    """Nobody has called for it: nothing of it was wanted, or the run ended before."""


@dataclass(eq=False)
class Turn:
    """A device's place in the order of calls.

    Attributes:
        device_sn: Serial number.
        about: What of the device is read, where it has several turns.
        calls_left: Calls still to be made, as far as known; infinite for a device that was not asked yet.
        phase: Where the device stands.
        calls: Calls that were sent.
        waited: Seconds between being ready for a call and sending it.
        failure: Why the device was given up.
        ready_since: When the device began to wait for its next call.
        sent_at: When its last call went out.
        not_before: The end of a failed call's delay.
        attempts: Attempts of the page at hand that have failed.
        lock_outs: 429 responses since the last other response.
        refused_as_first: How many of them met the first call after a lock-out of the account.
        delays: How long the next failed calls are put off at most.
    """

    device_sn: str
    about: str = ""
    calls_left: float = math.inf
    phase: Phase = Phase.WAITING
    calls: int = 0
    waited: float = 0.0
    failure: str | None = None
    ready_since: float = 0.0
    sent_at: float = -math.inf
    not_before: float = -math.inf
    attempts: int = 0
    lock_outs: int = 0
    refused_as_first: int = 0
    delays: Generator[float, Any, None] | None = field(default=None, repr=False)

    @property
    def name(self) -> str:
        """What people know it by."""
        return f"{self.device_sn} ({self.about})" if self.about else self.device_sn

    @property
    def outcome(self) -> Outcome:
        """What has become of the device, should the run be over."""
        if self.phase is Phase.DONE:
            return Outcome.CURRENT
        return Outcome.NOT_ASKED if self.phase is Phase.WAITING and not self.calls else Outcome.FAILED


def calls_left_by_device(turns: Iterable[Turn]) -> dict[str, float]:
    """Return how many calls each device has yet to make, in all of its turns: they share its limit."""
    left: dict[str, float] = {}
    for turn in turns:
        left[turn.device_sn] = left.get(turn.device_sn, 0) + turn.calls_left
    return left


class Schedule:
    """The order of calls to a fleet.

    Among the devices that may be called now, the one with the most calls left, in all of its turns, goes first: that
    comes closest to the shortest possible run. A call occupies one of `max_calls` places until its response has been
    taken.

    What the service refuses (429) is no failed attempt: `refusals` knows what follows from it.

    Attributes:
        turns: The devices' places.
        closed: Whether nothing may be sent any more.
    """

    def __init__(
        self,
        turns: Iterable[Turn],
        limits: CallLimits,
        *,
        window: float,
        max_calls: int,
        max_attempts: int,
        now: float,
        jitter: Callable[[float], float] = backoff.full_jitter,
    ) -> None:
        """Make the order; nobody has been called yet.

        Args:
            turns: Places in the order; of devices with equally many calls left, the first one goes first.
            limits: The call limits, shared with everything that calls for the account.
            window: The length of the limits' windows, in seconds.
            max_calls: Calls that may be under way, or whose response has not been taken yet, at one time.
            max_attempts: Attempts of one page before its device is given up.
            now: The moment from which the devices wait for their first call.
            jitter: Draws the actual delay from the longest one.
        """
        self.turns = list(turns)
        self.closed = False
        self._waiting = dict.fromkeys(self.turns)
        for turn in self.turns:
            turn.ready_since = now
        self._limits = limits
        self._window = window
        self._refusals = Refusals(limits, window=window, max_calls=max_calls, now=now)
        self._max_calls = max_calls
        self._max_attempts = max_attempts
        self._jitter = jitter
        self._calls = 0
        self._first_sent_at: float | None = None
        self._responded = False

    @property
    def finished(self) -> bool:
        """Whether no call is to come, and none is under way that matters."""
        return self.closed or not (self._waiting or self._calls)

    def next_call(self, now: float, has_room: Callable[[Turn], bool] = lambda _: True) -> Turn | float | None:
        """Choose the device to call now, and count the call.

        Args:
            now: The moment.
            has_room: Tells whether there is room for what the call of a device will bring.

        Returns:
            The device's turn; or, when none may be called, the moment to ask again; or None when only a response
            can change that.
        """
        if self.closed or not self._waiting or self._calls >= self._max_calls or not self._refusals.allow_call():
            return None
        free_at = max(self._limits.account_free_at(), self._head_start_until())
        if free_at > now:
            return free_at
        chosen = self._choose(now)
        if not isinstance(chosen, Turn):
            return chosen
        if not has_room(chosen):  # asked before the call is counted: sent later, it would be too late for the limits
            return None
        if not self._limits.take(chosen.device_sn, now):  # another stream has just used the limit up
            return self.next_call(now, has_room)
        self._send(chosen, now)
        return chosen

    def sent(self, turn: Turn, now: float) -> None:
        """Take note of the moment at which a call has really gone out."""
        self._limits.recount(turn.device_sn, turn.sent_at, now)
        turn.sent_at = now

    def go_on(self, turn: Turn, calls_left: float, now: float) -> None:
        """Take note of a page behind which there is more: its device waits for its next turn."""
        self._take_page(turn, calls_left, now)
        self._wait(turn, now)

    def finish(self, turn: Turn, now: float) -> None:
        """Take note of a device's last page."""
        self._take_page(turn, 0, now)
        turn.phase = Phase.DONE

    def try_again(self, turn: Turn, reason: str, now: float) -> int | None:
        """Take note of a call without a result; return how many there were, or None when the device was given up."""
        self._take_answer(turn, now)
        turn.attempts += 1
        if turn.attempts >= self._max_attempts:
            self._fail(turn, f"{reason}; gave up after {counted(turn.attempts, 'attempt')}")
            return None
        if turn.delays is None:
            turn.delays = backoff.expo(factor=self._window / 2, max_value=LONGEST_WAIT * self._window)
            next(turn.delays)  # the generator's first value is no delay
        turn.not_before = now + self._jitter(next(turn.delays))
        self._wait(turn, now)
        return turn.attempts

    def lock_out(
        self, turn: Turn, reason: str, seconds: float | None, now: float, *, account: bool
    ) -> LockOut | list[Turn]:
        """Take note of a 429; return what waits now, or which devices were given up: this one or all that waited."""
        self._take_response()
        lock_out = self._refusals.refused(turn, seconds, now, account=account)
        self._wait(turn, now)
        if self._refusals.is_hopeless_for_all(turn):
            given_up = list(self._waiting)
        elif self._refusals.is_hopeless(turn):
            given_up = [turn]
        else:
            return lock_out
        for one in given_up:
            self._fail(one, self._refusals.in_words(one, reason))
        return given_up

    def give_up(self, turn: Turn, reason: str, now: float) -> None:
        """Take note of a response that ends a device's run."""
        self._take_answer(turn, now)
        self._fail(turn, reason)

    def withdraw(self, turn: Turn, reason: str) -> None:
        """Let a device not be called any more; a call that is under way matters to nobody."""
        if turn in self._waiting:
            self._fail(turn, reason)

    def close(self) -> None:
        """Send nothing any more."""
        self.closed = True

    def _choose(self, now: float) -> Turn | float:
        """Return the device to call now; or, when none may be called, the moment from which one may."""
        chosen: Turn | None = None
        earliest = math.inf
        left = calls_left_by_device(self._waiting)
        for turn in self._candidates():
            may_go_at = max(turn.not_before, self._limits.device_free_at(turn.device_sn))
            if may_go_at > now:
                earliest = min(earliest, may_go_at)
            elif chosen is None or left[turn.device_sn] > left[chosen.device_sn]:
                chosen = turn
        return earliest if chosen is None else chosen

    def _candidates(self) -> Iterable[Turn]:
        """Return the devices that wait; with care, only those that were refused least as the first after a lock-out.

        A device that another program uses would otherwise lock the account again and again: it is often free first.
        """
        if not self._refusals.is_careful:
            return self._waiting
        fewest = min(turn.refused_as_first for turn in self._waiting)
        return [turn for turn in self._waiting if turn.refused_as_first == fewest]

    def _head_start_until(self) -> float:
        if self._responded or self._first_sent_at is None:
            return -math.inf
        return self._first_sent_at + HEAD_START

    def _send(self, turn: Turn, now: float) -> None:
        del self._waiting[turn]
        self._refusals.sent(turn)
        self._calls += 1
        if self._first_sent_at is None:
            self._first_sent_at = now
        turn.phase = Phase.CALLED
        turn.sent_at = now
        turn.calls += 1
        turn.waited += now - turn.ready_since

    def _take_page(self, turn: Turn, calls_left: float, now: float) -> None:
        self._take_answer(turn, now)
        turn.calls_left = calls_left
        turn.attempts = 0
        turn.delays = None

    def _take_answer(self, turn: Turn, now: float) -> None:
        """Take anything but a 429."""
        self._take_response()
        self._refusals.answered(turn, now)

    def _take_response(self) -> None:
        self._calls -= 1
        self._responded = True

    def _wait(self, turn: Turn, now: float) -> None:
        turn.phase = Phase.WAITING
        turn.ready_since = now
        self._waiting[turn] = None

    def _fail(self, turn: Turn, reason: str) -> None:
        self._waiting.pop(turn, None)
        turn.phase = Phase.FAILED
        turn.failure = reason
