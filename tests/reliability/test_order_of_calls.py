"""The order of calls in simulated time: both limits at every moment, and nobody waits who may be called."""

from __future__ import annotations

import random
from collections import Counter
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from tap_zentra.calls.schedule import Phase
from tests.calls.simulation import (
    Simulation,
    World,
    brings_page,
    brings_page_and_grows,
    fails,
    locks_out,
    require_limits,
)

if TYPE_CHECKING:
    from tests.calls.simulation import Answer


def _service(draw: random.Random, trouble: float, growth: float) -> Answer:
    """Draw an answer, of which a share are failures and lock-outs; after a share of the others devices have grown."""
    luck = draw.random()
    if luck < trouble / 2:
        return fails
    if luck < trouble:
        return locks_out(draw.uniform(0, 100), account=draw.random() < 0.5)
    return brings_page_and_grows if draw.random() < growth else brings_page


@settings(derandomize=True, deadline=None, max_examples=500)
@given(
    pages=st.lists(st.integers(1, 6), min_size=1, max_size=25),
    user_limit=st.integers(1, 12),
    device_limit=st.integers(1, 3),
    max_calls=st.integers(1, 20),
    slowest=st.sampled_from([0.01, 5.0, 200.0]),
    slowest_connection=st.sampled_from([0.0, 0.005, 3.0]),
    trouble=st.sampled_from([0.0, 0.2, 0.5]),
    growth=st.sampled_from([0.0, 0.1]),
    seed=st.integers(0, 10**6),
)
def test_limits_hold_and_nobody_waits_who_may_be_called(
    *,
    pages: list[int],
    user_limit: int,
    device_limit: int,
    max_calls: int,
    slowest: float,
    slowest_connection: float,
    trouble: float,
    growth: float,
    seed: int,
) -> None:
    """Checked at every moment against the list of all calls, for any fleet, service and trouble; all arrives."""
    draw = random.Random(seed)  # noqa: S311 - nothing secret
    world = World(
        {f"z6-{number}": count for number, count in enumerate(pages)},
        user_limit=user_limit,
        device_limit=device_limit,
        max_calls=max_calls,
        max_attempts=1000,
        latency=lambda: draw.uniform(0, slowest),
        connection=lambda: draw.uniform(0, slowest_connection),
        jitter=lambda most: draw.uniform(0, most),
        later_answers=lambda: _service(draw, trouble, growth),
    )
    simulation = Simulation(world).run()
    turns = simulation.schedule.turns

    require_limits(simulation)
    assert set(simulation.left.values()) == {0}
    assert {turn.phase for turn in turns} == {Phase.DONE}
    assert len(simulation.sent) == len(simulation.asked)
    assert Counter(device_sn for _, device_sn in simulation.sent) == {turn.device_sn: turn.calls for turn in turns}
