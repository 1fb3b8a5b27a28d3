"""The schedule in simulated time: a loop over events, without threads or waiting, and a model of who may be called."""

from __future__ import annotations

import heapq
import itertools
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tap_zentra.calls.refusals import LockOut
from tap_zentra.calls.schedule import HEAD_START, Schedule, Turn
from tap_zentra.v4.api import call_limits
from tap_zentra.v5.api import Limits

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from tap_zentra.calls.limits import CallLimits

    Answer = Callable[["Simulation", Turn], None]

WINDOW = 60.0
SPAN = 60.6
"""A window with its margin."""

ROUNDING = 1e-9
"""Seconds by which sums of the same periods may differ."""

MOST_EVENTS = 10**6
"""A simulation that has not ended by then never will."""


def at_once() -> float:
    """Take no time."""
    return 0.0


def longest(delay: float) -> float:
    """Put a failed call off for as long as the schedule may."""
    return delay


def brings_page(simulation: Simulation, turn: Turn) -> None:
    """Answer with the device's next page."""
    simulation.left[turn.device_sn] -= 1
    simulation.go_on(turn)


def brings_page_and_grows(simulation: Simulation, turn: Turn) -> None:
    """Answer with a page, while the device records another one."""
    simulation.go_on(turn)


def fails(simulation: Simulation, turn: Turn) -> None:
    """Answer nothing of use."""
    simulation.try_again(turn, "no response within 120 s")


def refuses(simulation: Simulation, turn: Turn) -> None:
    """Answer what asking again would not change."""
    simulation.give_up(turn, "404 Not Found")


class SharedLimit:
    """A limit of the account that is told in the words of a device's; calls that it refuses do not count."""

    def __init__(self, limit: int) -> None:
        """Start with nothing called; so many calls are allowed in any window."""
        self._limit = limit
        self._calls: list[float] = []

    def __call__(self, simulation: Simulation, turn: Turn) -> None:
        """Answer with a page, or with a 429."""
        seconds = self._free_in(simulation.now)
        if seconds > 0:
            simulation.lock_out(turn, math.ceil(seconds), account=False)
        else:
            self._calls.append(simulation.now)
            brings_page(simulation, turn)

    def _free_in(self, now: float) -> float:
        return self._calls[-self._limit] + WINDOW - now if len(self._calls) >= self._limit else 0.0


class SharedBudget:
    """A budget of v5 that all devices share, told in the words of a device's; calls that it refuses do not count."""

    def __init__(self, burst: int) -> None:
        """Start rested: so many calls are allowed at once, and then one in a window."""
        self._burst = burst
        self._calls: list[float] = []

    def __call__(self, simulation: Simulation, turn: Turn) -> None:
        """Answer with a page, or with a 429."""
        opens = _opens_at(self._calls, self._burst, WINDOW)
        if opens > simulation.now:
            simulation.lock_out(turn, math.ceil(opens - simulation.now), account=False)
        else:
            self._calls.append(simulation.now)
            brings_page(simulation, turn)


def locks_out(seconds: float | None, *, account: bool = False) -> Answer:
    """Answer with a 429."""
    return lambda simulation, turn: simulation.lock_out(turn, seconds, account=account)


@dataclass(frozen=True)
class World:
    """A fleet and its service.

    Attributes:
        pages: Of each device.
        user_limit: Calls of the account in a window.
        device_limit: Calls of a device in a window.
        burst: Calls that a rested device allows at once, as v5 counts; None: as v4 counts.
        max_calls: Calls at one time.
        max_attempts: Tries of one page.
        latency: Draws the seconds from sending a call to its answer.
        connection: Draws the seconds from counting a call to sending it.
        jitter: Draws the delay of a failed call from the longest one.
        answers: What a device's first calls bring.
        later_answers: Draws what all other calls bring.
        waiting_since: The moment from which the devices wait for their first call; the run begins at 0.
    """

    pages: Mapping[str, int]
    user_limit: int = 60
    device_limit: int = 1
    burst: int | None = None
    max_calls: int = 16
    max_attempts: int = 5
    latency: Callable[[], float] = at_once
    connection: Callable[[], float] = at_once
    jitter: Callable[[float], float] = longest
    answers: Mapping[str, Sequence[Answer]] = field(default_factory=dict)
    later_answers: Callable[[], Answer] = lambda: brings_page
    waiting_since: float = 0.0


def _limits(world: World) -> CallLimits:
    if world.burst is None:
        return call_limits(user_limit=world.user_limit, device_limit=world.device_limit, window=WINDOW)
    return Limits.of(burst=world.burst, device_limit=world.device_limit, window=WINDOW).devices


def _opens_at(calls: Sequence[float], burst: int, period: float) -> float:
    """Return the first moment at which no stretch of time has more calls than a burst and one for each period."""
    recent = sorted(calls, reverse=True)
    return max((moment + (place + 2 - burst) * period for place, moment in enumerate(recent)), default=-math.inf)


class Simulation:
    """A run of the schedule, which is checked at every moment against the list of all calls.

    Attributes:
        schedule: What is checked.
        left: Pages that each device still has.
        sent: When each call went out, and to which device; in the order of their answers.
        asked: Serial numbers in the order in which the schedule chose them.
        refused: When each 429 came, and to which device.
        lock_outs: What each 429 made wait; None: devices were given up.
        now: The moment.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.left = dict(world.pages)
        self.schedule = Schedule(
            map(Turn, self.left),
            _limits(world),
            window=WINDOW,
            max_calls=world.max_calls,
            max_attempts=world.max_attempts,
            now=world.waiting_since,
            jitter=self._jitter,
        )
        self.sent: list[tuple[float, str]] = []
        self.asked: list[str] = []
        self.refused: list[tuple[float, str]] = []
        self.lock_outs: list[LockOut | None] = []
        self.now = 0.0
        self._troubles = {device_sn: iter(answers) for device_sn, answers in world.answers.items()}
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._number = itertools.count()
        self._alone_until: float | None = None
        self._under_way: dict[str, float] = {}
        self._ended: set[str] = set()
        self._not_before: dict[str, float] = {}
        self._locked_until: dict[str | None, float] = {}
        self._delay = 0.0
        self._before_lock: set[str] = set()
        self._answers = math.inf

    def run(self) -> Simulation:
        """Let the schedule call until nothing is left to call for, and require that it calls whom and when it may."""
        while not self.schedule.finished:
            may_be_called = self._who_may_be_called()
            decision = self.schedule.next_call(self.now)
            if isinstance(decision, Turn):
                assert decision.device_sn in may_be_called
                self._call(decision)
                continue
            later = math.inf if decision is None else decision
            assert may_be_called == [] or later - self.now <= ROUNDING
            assert later > self.now
            if self._events and self._events[0][0] <= later:
                self.now, _, happen = heapq.heappop(self._events)
                happen()
            else:
                assert math.isfinite(later)
                self.now = later - 1e-6
                assert self._who_may_be_called() == []
                self.now = later
            assert next(self._number) < MOST_EVENTS
        return self

    def sent_to(self, device_sn: str) -> list[float]:
        """Return when a device was called."""
        return [moment for moment, called in self.sent if called == device_sn]

    def go_on(self, turn: Turn) -> None:
        """Bring a page."""
        left = self.left[turn.device_sn]
        if left:
            self.schedule.go_on(turn, left, self.now)
        else:
            self.schedule.finish(turn, self.now)
            self._ended.add(turn.device_sn)

    def try_again(self, turn: Turn, reason: str) -> None:
        """Bring nothing."""
        if self.schedule.try_again(turn, reason, self.now) is None:
            self._ended.add(turn.device_sn)
        else:
            self._not_before[turn.device_sn] = self.now + self._delay

    def give_up(self, turn: Turn, reason: str) -> None:
        """Bring what ends the device's run."""
        self.schedule.give_up(turn, reason, self.now)
        self._ended.add(turn.device_sn)

    def lock_out(self, turn: Turn, seconds: float | None, *, account: bool) -> None:
        """Bring a 429."""
        self.refused.append((self.now, turn.device_sn))
        result = self.schedule.lock_out(turn, "Too many calls.", seconds, self.now, account=account)
        self.lock_outs.append(result if isinstance(result, LockOut) else None)
        if not isinstance(result, LockOut):
            self._ended.update(one.device_sn for one in result)
            return
        if result.account:
            self._before_lock = set(self._under_way)
            self._answers = 0
        locked = None if result.account else turn.device_sn
        self._locked_until[locked] = max(self._locked_until.get(locked, 0.0), self.now + result.seconds)

    def _at(self, moment: float, happen: Callable[[], None]) -> None:
        heapq.heappush(self._events, (moment, next(self._number), happen))

    def _call(self, turn: Turn) -> None:
        if self._alone_until is None:
            self._alone_until = self.now + HEAD_START
        self.asked.append(turn.device_sn)
        self._under_way[turn.device_sn] = self.now
        sent_at = self.now + self.world.connection()
        self._at(sent_at, lambda: self._goes_out(turn))
        self._at(sent_at + self.world.latency(), lambda: self._answer(turn))

    def _goes_out(self, turn: Turn) -> None:
        self.schedule.sent(turn, self.now)
        self._under_way[turn.device_sn] = self.now

    def _answer(self, turn: Turn) -> None:
        self.sent.append((self._under_way.pop(turn.device_sn), turn.device_sn))
        self._alone_until = -math.inf
        refused = len(self.refused)
        is_recent = turn.device_sn not in self._before_lock
        self._before_lock.discard(turn.device_sn)
        answer = next(self._troubles.get(turn.device_sn, iter(())), None) or self.world.later_answers()
        answer(self, turn)
        if is_recent and len(self.refused) == refused:
            self._answers += 1

    def _jitter(self, most: float) -> float:
        self._delay = self.world.jitter(most)
        return self._delay

    def _who_may_be_called(self) -> list[str]:
        """Return who may be called now, by the list of all calls, the lock-outs and the calls under way."""
        calls = [(moment, device_sn) for device_sn, moment in self._under_way.items()] + self.sent
        if len(self._under_way) >= self.world.max_calls or not self._free(calls, None, self.world.user_limit):
            return []
        if len(self._under_way.keys() - self._before_lock) >= max(1, self._answers):
            return []
        if self._alone_until is not None and self.now < self._alone_until:
            return []
        waiting = self.left.keys() - self._under_way.keys() - self._ended
        if self._answers < self.world.max_calls + 2:  # with care
            behind = {turn.device_sn: turn.refused_as_first for turn in self.schedule.turns}
            waiting = {device_sn for device_sn in waiting if behind[device_sn] == min(map(behind.__getitem__, waiting))}
        return [
            device_sn
            for device_sn in waiting
            if self._not_before.get(device_sn, 0.0) <= self.now
            and self._free(calls, device_sn, self.world.device_limit)
        ]

    def _free(self, calls: list[tuple[float, str]], device_sn: str | None, limit: int) -> bool:
        if self._locked_until.get(device_sn, 0.0) > self.now:
            return False
        if self.world.burst is not None:
            moments = [moment for moment, called in calls if called == device_sn]
            return _opens_at(moments, self.world.burst, SPAN) <= self.now + ROUNDING
        return sum(moment + SPAN > self.now for moment, called in calls if device_sn in {None, called}) < limit


def require_limits(simulation: Simulation) -> None:
    """Require that no window of any position holds more calls than its limit, or v5's budget allows each call."""
    world = simulation.world
    if world.burst is not None:
        for called in world.pages:
            moments = sorted(simulation.sent_to(called))
            assert all(_opens_at(moments[:n], world.burst, WINDOW) <= moment for n, moment in enumerate(moments))
        return
    for device_sn, limit in [(None, world.user_limit), *((sn, world.device_limit) for sn in world.pages)]:
        moments = sorted(moment for moment, one in simulation.sent if device_sn in {None, one})
        assert all(later - earlier > WINDOW for earlier, later in zip(moments, moments[limit:], strict=False))
