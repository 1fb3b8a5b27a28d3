"""The order of calls in simulated time: both limits at every moment, and nobody waits who may be called."""

from __future__ import annotations

import random
from collections import Counter
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from tap_zentra.calls.schedule import HEAD_START, Phase
from tests.calls.simulation import (
    ROUNDING,
    SPAN,
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

    require_limits(simulation)
    require_everything(simulation)


@settings(derandomize=True, deadline=None, max_examples=300)
@given(
    pages=st.lists(st.integers(1, 12), min_size=1, max_size=25),
    burst=st.sampled_from([1, 2, 5]),
    max_calls=st.integers(1, 20),
    slowest=st.sampled_from([0.01, 5.0, 200.0]),
    slowest_connection=st.sampled_from([0.0, 0.005, 3.0]),
    trouble=st.sampled_from([0.0, 0.2, 0.5]),
    seed=st.integers(0, 10**6),
)
def test_the_budgets_of_v5_hold_and_nobody_waits_who_may_be_called(
    *,
    pages: list[int],
    burst: int,
    max_calls: int,
    slowest: float,
    slowest_connection: float,
    trouble: float,
    seed: int,
) -> None:
    """The same where each device has a burst of calls, then one a minute, and the account has no limit."""
    draw = random.Random(seed)  # noqa: S311 - nothing secret
    world = World(
        {f"z6-{number}": count for number, count in enumerate(pages)},
        burst=burst,
        max_calls=max_calls,
        max_attempts=1000,
        latency=lambda: draw.uniform(0, slowest),
        connection=lambda: draw.uniform(0, slowest_connection),
        jitter=lambda most: draw.uniform(0, most),
        later_answers=lambda: _service(draw, trouble, growth=0.0),
    )
    simulation = Simulation(world).run()

    require_limits(simulation)
    require_everything(simulation)


@settings(derandomize=True, deadline=None, max_examples=100)
@given(
    pages=st.lists(st.integers(1, 20), min_size=1, max_size=20),
    max_calls=st.integers(1, 20),
    latency=st.sampled_from([0.0, 1.0, 30.0]),
)
def test_a_backfill_of_v5_takes_no_longer_than_it_must(pages: list[int], max_calls: int, latency: float) -> None:
    """At most as long as the longest device alone, and as all calls one by one would take that are under way together.

    Nobody could be sure of less without knowing how long each call will take.
    """
    devices = {f"z6-{number}": count for number, count in enumerate(pages)}
    simulation = Simulation(World(devices, burst=5, max_calls=max_calls, latency=lambda: latency)).run()

    longest = max(pages)
    alone = longest * latency + max(0, longest - 5) * SPAN
    assert max(0, longest - 5) * SPAN - ROUNDING <= simulation.now
    assert simulation.now <= HEAD_START + alone + sum(pages) * latency / max_calls + ROUNDING
    require_everything(simulation)


def require_everything(simulation: Simulation) -> None:
    """Require that all pages have come, and that each call was counted for its device."""
    turns = simulation.schedule.turns
    assert set(simulation.left.values()) == {0}
    assert {turn.phase for turn in turns} == {Phase.DONE}
    assert len(simulation.sent) == len(simulation.asked)
    assert Counter(device_sn for _, device_sn in simulation.sent) == {turn.device_sn: turn.calls for turn in turns}
