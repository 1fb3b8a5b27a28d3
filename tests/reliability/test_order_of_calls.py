"""The order of calls in simulated time: both limits at every moment, and nobody waits who may be called."""

from __future__ import annotations

import heapq
import itertools
import math
import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from tap_zentra.call_limits import LEAST_MARGIN, MARGIN, CallLimits
from tap_zentra.schedule import HEAD_START, Phase, Schedule, Turn

if TYPE_CHECKING:
    from collections.abc import Callable

WINDOW = 60.0
SPAN = WINDOW + max(MARGIN * WINDOW, LEAST_MARGIN)
RELIABLE_ATTEMPTS = 10**6


@dataclass(frozen=True)
class World:
    """A fleet and its service.

    Attributes:
        pages: Of each device.
        user_limit: Calls of the account in a window.
        device_limit: Calls of a device in a window.
        workers: Calls at one time.
        slowest: Seconds that the slowest answer takes.
        slowest_connection: Seconds between counting a call and sending it, at most.
        trouble: Share of the answers that are failures or lock-outs.
        growth: Share of the answers after which the device has grown by a page.
        seed: Of all chances.
    """

    pages: list[int]
    user_limit: int
    device_limit: int
    workers: int
    slowest: float
    slowest_connection: float
    trouble: float
    growth: float
    seed: int


WORLDS = st.builds(
    World,
    pages=st.lists(st.integers(1, 6), min_size=1, max_size=25),
    user_limit=st.integers(1, 12),
    device_limit=st.integers(1, 3),
    workers=st.integers(1, 20),
    slowest=st.sampled_from([0.01, 5.0, 200.0]),
    slowest_connection=st.sampled_from([0.0, 0.005, 3.0]),
    trouble=st.sampled_from([0.0, 0.2, 0.5]),
    growth=st.sampled_from([0.0, 0.1]),
    seed=st.integers(0, 10**6),
)


@dataclass
class Simulation:
    """A run of the schedule as a loop over events, with a model of its own of who may be called."""

    world: World
    now: float = 0.0
    sent: list[tuple[float, str]] = field(default_factory=list)
    not_before: dict[str, float] = field(default_factory=dict)
    locked_until: dict[str | None, float] = field(default_factory=dict)
    delay: float = 0.0

    def __post_init__(self) -> None:
        self.chance = random.Random(self.world.seed)  # noqa: S311 - nothing secret
        self.left = {f"z6-{number}": pages for number, pages in enumerate(self.world.pages)}
        limits = CallLimits(user_limit=self.world.user_limit, device_limit=self.world.device_limit, window=WINDOW)
        self.schedule = Schedule(
            self.left,
            limits,
            window=WINDOW,
            max_calls=self.world.workers,
            max_attempts=RELIABLE_ATTEMPTS,
            now=0.0,
            jitter=self._jitter,
        )
        self.events: list[tuple[float, int, Callable[[], None]]] = []
        self.number = itertools.count()
        self.under_way: dict[str, float] = {}
        self.alone_until = 0.0
        self.calls = 0

    def run(self) -> None:
        """Let the schedule call until nothing is left to call for."""
        while not self.schedule.finished:
            may_be_called = self._who_may_be_called()
            decision = self.schedule.next_call(self.now)
            if isinstance(decision, Turn):
                assert decision.device_sn in may_be_called
                self._call(decision)
                continue
            assert may_be_called == []
            later = math.inf if decision is None else decision
            assert later > self.now
            if self.events and self.events[0][0] <= later:
                self.now, _, happen = heapq.heappop(self.events)
                happen()
            else:
                assert math.isfinite(later)
                self.now = later - 1e-6
                assert self._who_may_be_called() == []
                self.now = later
            assert next(self.number) < RELIABLE_ATTEMPTS

    def _at(self, moment: float, happen: Callable[[], None]) -> None:
        heapq.heappush(self.events, (moment, next(self.number), happen))

    def _call(self, turn: Turn) -> None:
        self.calls += 1
        self.alone_until = self.alone_until or HEAD_START
        self.under_way[turn.device_sn] = self.now
        sent_at = self.now + self.chance.uniform(0, self.world.slowest_connection)
        self._at(sent_at, lambda: self._goes_out(turn))
        self._at(sent_at + self.chance.uniform(0, self.world.slowest), lambda: self._answer(turn))

    def _goes_out(self, turn: Turn) -> None:
        self.schedule.sent(turn, self.now)
        self.under_way[turn.device_sn] = self.now

    def _answer(self, turn: Turn) -> None:
        self.sent.append((self.under_way.pop(turn.device_sn), turn.device_sn))
        self.alone_until = -1.0
        luck = self.chance.random()
        if luck < self.world.trouble / 2:
            self.schedule.try_again(turn, "no answer", self.now)
            self.not_before[turn.device_sn] = self.now + self.delay
            return
        if luck < self.world.trouble:
            self._lock_out(turn)
            return
        self.left[turn.device_sn] -= self.chance.random() >= self.world.growth
        self.schedule.go_on(turn, self.left[turn.device_sn], self.now)

    def _lock_out(self, turn: Turn) -> None:
        account = self.chance.random() < 0.5
        locked = None if account else turn.device_sn
        turn.lock_outs = 0  # none of these devices is to be given up
        seconds = self.schedule.lock_out(turn, "429", self.chance.uniform(0, 100), self.now, account=account)
        assert seconds is not None
        self.locked_until[locked] = max(self.locked_until.get(locked, 0.0), self.now + seconds)

    def _jitter(self, longest: float) -> float:
        self.delay = self.chance.uniform(0, longest)
        return self.delay

    def _who_may_be_called(self) -> list[str]:
        """Return who may be called now, by the list of all calls, the lock-outs and the free workers."""
        moments = [(moment, device_sn) for device_sn, moment in self.under_way.items()] + self.sent
        if len(self.under_way) >= self.world.workers or not self._free(moments, None, self.world.user_limit):
            return []
        if self.now < self.alone_until:
            return []
        return [
            turn.device_sn
            for turn in self.schedule.turns
            if turn.phase is Phase.WAITING
            and self.not_before.get(turn.device_sn, 0.0) <= self.now
            and self._free(moments, turn.device_sn, self.world.device_limit)
        ]

    def _free(self, calls: list[tuple[float, str]], device_sn: str | None, limit: int) -> bool:
        if self.locked_until.get(device_sn, 0.0) > self.now:
            return False
        return sum(moment + SPAN > self.now for moment, called in calls if device_sn in {None, called}) < limit


@settings(derandomize=True, deadline=None, max_examples=500)
@given(world=WORLDS)
def test_limits_hold_and_nobody_waits_who_may_be_called(world: World) -> None:
    """Checked at every moment against the list of all calls, for any fleet, service and trouble; all arrives."""
    simulation = Simulation(world)
    simulation.run()

    assert set(simulation.left.values()) == {0}
    assert len(simulation.sent) == simulation.calls
    for device_sn, limit in [(None, world.user_limit), *((one, world.device_limit) for one in simulation.left)]:
        moments = sorted(moment for moment, called in simulation.sent if device_sn in {None, called})
        assert all(later - earlier > WINDOW for earlier, later in zip(moments, moments[limit:], strict=False))
