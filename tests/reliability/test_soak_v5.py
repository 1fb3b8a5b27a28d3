"""A month of a schedule with API v5 in simulated time: a run every hour, and at its end all is there."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from tap_zentra.emulator import STANDARD_STATION, Device, Emulator
from tap_zentra.v5.readings import READINGS_V5_KEY
from tests.in_process import run_v5
from tests.support import TOKEN, by_key, last_state

if TYPE_CHECKING:
    from tests.support import Rows

START = datetime(2026, 1, 29, tzinfo=UTC)
"""Three days before the end of a month: look-backs reach into the month before."""

HOUR = 3600
PER_HOUR = 4

USUAL: dict[str, Any] = {}
UNUSUAL: dict[str, Any] = {
    "empty_months": "skipped",
    "end": "exclusive",
    "late_values": "null",
    "reading_ids": True,
    "positions": True,
    "duplicates": True,
    "entry_order": "shuffled",
    "timestamps": "float",
    "list_limit": 3,
}
"""A service that is all that nobody can rule out."""


@dataclass
class Operator:
    """Who runs the schedule: each hour the tap, and what it wrote goes into a table and to the end of a file.

    Attributes:
        emulator: The service.
        token_lifetime: Pages that can be read by token before one is refused.
        state: What the next run begins with.
        table: What a target that goes by keys holds.
        file: The keys of all that came, as often as it came.
        calls: How many calls each run made.
    """

    emulator: Emulator
    token_lifetime: int
    state: dict[str, Any] = field(default_factory=dict)
    table: Rows = field(default_factory=dict)
    file: Counter[tuple[Any, ...]] = field(default_factory=Counter)
    calls: list[int] = field(default_factory=list)

    def run(self, now: float) -> None:
        """Run the tap once."""
        numbers = [0]
        messages = run_v5(self.emulator, self.state, numbers.append, now=now, token_lifetime=self.token_lifetime)
        rows = by_key((one["record"] for one in messages if one["type"] == "RECORD"), READINGS_V5_KEY)
        self.state = last_state(messages, self.state)
        self.table |= rows
        self.file.update(rows.keys())
        self.calls.append(numbers[-1])


def _live(operator: Operator, hours: int) -> float:
    """Let the fleet measure, and what happens to devices happen; return the moment of the end."""
    emulator = operator.emulator
    out_of_reach, gone, silent, *_ = emulator.device_sns
    now = START.timestamp() + 24 * HOUR + 60
    for hour in range(hours):
        now += HOUR
        if hour == hours // 4:
            following = emulator.device(out_of_reach).next_mrid
            # What it makes in the next two hours comes after the hour behind them.
            emulator.withhold(out_of_reach, following, following + 2 * PER_HOUR - 1)
        elif hour == hours // 4 + 3:
            emulator.deliver(out_of_reach)
        elif hour == hours // 3:
            emulator.unlist(gone)
        for device_sn in emulator.device_sns:
            if device_sn != silent or hour < hours // 2:
                emulator.grow(PER_HOUR, device_sn)
        operator.run(now)
    # Late enough that each device is looked at for what came late.
    operator.run(now + 25 * HOUR)
    return now


@pytest.mark.parametrize(
    ("devices", "hours"),
    [
        pytest.param(5, 4 * 24, id="four days of 5 devices"),
        pytest.param(40, 720, id="a month of 40 devices", marks=pytest.mark.long),
    ],
)
@pytest.mark.parametrize(
    ("service", "token_lifetime"), [(USUAL, 0), (UNUSUAL, 1)], ids=["as far as it is known", "unusual"]
)
def test_after_a_schedule_with_changes_all_is_there(
    devices: int, hours: int, service: dict[str, Any], token_lifetime: int
) -> None:
    """A run every hour; a device that was out of reach, one that vanishes from the list, one that falls silent."""
    fleet = [
        Device(f"z6-{number:05}", records=96, start=START, sensors=STANDARD_STATION[-1:])
        for number in range(1, devices + 1)
    ]
    operator = Operator(Emulator(fleet, token=TOKEN, **service), token_lifetime)

    _live(operator, hours)

    emulator = operator.emulator
    gone = emulator.device_sns[1]
    there = by_key(emulator.readings_v5(), READINGS_V5_KEY)
    # Of the one that nobody names and the list lacks, what it had until then.
    assert {key: row for key, row in operator.table.items() if key[0] != gone} == {
        key: row for key, row in there.items() if key[0] != gone
    }
    assert operator.table.keys() <= there.keys()
    if not service:
        late = {key for key, times in operator.file.items() if times > 1}
        assert {key[0] for key in late} == {emulator.device_sns[0]}


def test_idle_hours_cost_a_call_and_once_a_day_one_for_each_device() -> None:
    """Nothing is new for two days of hourly runs: nothing is written, and late values could still be found."""
    fleet = [Device(f"z6-{number:05}", records=96, start=START, sensors=STANDARD_STATION[-1:]) for number in range(3)]
    operator = Operator(Emulator(fleet, token=TOKEN), 0)
    now = START.timestamp() + 24 * HOUR + 60
    operator.run(now)
    written = len(operator.file)

    for hour in range(1, 49):
        operator.run(now + hour * HOUR)

    assert len(operator.file) == written
    assert set(operator.file.values()) == {1}
    assert Counter(operator.calls[1:]) == {1: 46, 1 + len(fleet): 2}
