"""A month of a schedule on v5, the clock in the test's hand: at its end all has arrived, and nothing twice but news."""

from __future__ import annotations

import itertools
import random
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from tap_zentra.calls.errors import TokenRefusedError, TransientError
from tap_zentra.emulator import STANDARD_STATION, Device, Emulator
from tap_zentra.singer.stream import SyncFailedError
from tests.in_process import run_v5
from tests.reliability.v5 import held, newest, standing
from tests.support import TOKEN, last_state, readings_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.support import Rows

BEGIN = datetime(2026, 2, 26, 0, 10, tzinfo=UTC)
"""When the first run begins; soon the month ends, and so a page."""

HISTORY_DAYS = 70
LOOKBACK_DAYS = 2
LATE_HOURS = 30
"""Within the look-back."""

IDLE_HOURS = 50

UNUSUAL: dict[str, Any] = {
    "late_values": "null",
    "entry_order": "shuffled",
    "positions": True,
    "reading_ids": True,
    "duplicates": True,
    "empty_months": "skipped",
    "end": "exclusive",
    "list_limit": 4,
    "list_pagination": "missing",
}
"""A service that is all that nobody can rule out."""


def hourly_device(number: int) -> Device:
    """Return a device that measures every hour, and has for months when the first run begins."""
    start = BEGIN - timedelta(days=HISTORY_DAYS, minutes=10)
    return Device(
        f"z6-{number:05}", records=24 * HISTORY_DAYS, interval=3600, start=start, sensors=STANDARD_STATION[-2:]
    )


@dataclass
class Schedule:
    """Who runs the tap every hour, and keeps all that it writes.

    Attributes:
        emulator: The service.
        fault_rate: Share of the calls that fail.
        hour: Since the first run.
        key: That the tap has; the service may have another one by now.
        state: What the next run begins with.
        moments: What was written of each moment of a device, run by run.
        rows: The last record of each key.
        calls: How many each run made.
        failed: Runs that failed.
    """

    emulator: Emulator
    fault_rate: float = 0.05
    hour: int = 0
    key: str = TOKEN
    state: dict[str, Any] = field(default_factory=dict)
    moments: dict[tuple[str, str], list[set[str]]] = field(default_factory=lambda: defaultdict(list))
    rows: Rows = field(default_factory=dict)
    calls: list[int] = field(default_factory=list)
    failed: int = 0

    def run(self) -> None:
        """Run the tap once; what a run that fails has written gets lost on its way."""
        chance = random.Random(self.hour)  # noqa: S311 - nothing secret
        self.calls.append(0)

        def after_call(number: int) -> None:
            self.calls[-1] = number
            if self.key != self.emulator.token:
                raise TokenRefusedError("the service rejected the key")
            if chance.random() < self.fault_rate:
                raise TransientError("the connection failed")

        now = (BEGIN + timedelta(hours=self.hour)).timestamp()
        settings = {"lookback_days": LOOKBACK_DAYS, "max_attempts": 100, "call_limit_window": 0.01}
        try:
            messages = run_v5(self.emulator, self.state, after_call, now=now, token_lifetime=1, **settings)
        except SyncFailedError:
            self.failed += 1
        else:
            self._keep(messages)
            self.state = last_state(messages, self.state)
        self.hour += 1

    def _keep(self, messages: Sequence[dict[str, Any]]) -> None:
        found: dict[tuple[str, str], set[str]] = defaultdict(set)
        for record in readings_of(messages):
            key = (record["device_sn"], record["timestamp_utc"])
            text = str(sorted(record.items()))
            assert text not in found[key]
            found[key].add(text)
            place = (record["port_number"], record["sensor_name"], record["measurement"], record["sub_sensor_index"])
            self.rows[*key, *place] = record
        for key, records in found.items():
            self.moments[key].append(records)


@dataclass(frozen=True)
class Month:
    """What happens to a fleet.

    Attributes:
        schedule: The runs.
        late: A device some of whose records arrive behind newer ones.
        vanishing: One that is not on the list for some time.
        silent: One that stops measuring.
        added: One that is on the list from some hour on only.
    """

    schedule: Schedule
    late: str
    vanishing: str
    silent: str
    added: str

    def live(self, hours: int) -> Schedule:
        """Let it all happen, with a run every hour."""
        emulator = self.schedule.emulator
        emulator.unlist(self.added)
        self.schedule.run()
        for hour in range(hours):
            self._measure(hour)
            self._change(hour)
            self.schedule.run()
        emulator.deliver(self.late)
        return self.schedule

    def _measure(self, hour: int) -> None:
        emulator = self.schedule.emulator
        if hour % LATE_HOURS in {3, 4, 11}:
            mrid = emulator.device(self.late).next_mrid
            emulator.withhold(self.late, mrid, mrid)
        for device_sn in emulator.device_sns:
            if device_sn != self.silent or hour < 24:
                emulator.grow(1, device_sn)
        if hour % LATE_HOURS == LATE_HOURS - 1:
            emulator.deliver(self.late)

    def _change(self, hour: int) -> None:
        emulator = self.schedule.emulator
        if hour == 7:
            emulator.unlist(self.vanishing)
        elif hour == 40:
            emulator.relist(self.vanishing)
            emulator.relist(self.added)
        elif hour % 50 == 20:
            emulator.regenerate_token()
        elif hour % 50 == 22:
            self.schedule.key = emulator.token


@pytest.mark.parametrize(
    "days", [pytest.param(4, id="four days"), pytest.param(30, id="a month", marks=pytest.mark.long)]
)
@pytest.mark.parametrize("unknown", [{}, UNUSUAL], ids=["as far as it is known", "unusual"])
def test_after_a_schedule_with_faults_and_changes_all_has_arrived_once(days: int, unknown: dict[str, Any]) -> None:
    """Records that come late, a device that vanishes and comes back, one that is silent, keys and tokens that end."""
    emulator = Emulator([hourly_device(number) for number in range(6)], token=TOKEN, **unknown)
    month = Month(Schedule(emulator), *emulator.device_sns[:4])
    schedule = month.live(24 * days)
    began_idle = len(schedule.calls)
    schedule.fault_rate = 0.0
    for _ in range(IDLE_HOURS):
        schedule.run()

    assert schedule.rows == held(emulator)
    assert standing(schedule.state) == {device_sn: newest(emulator, device_sn) for device_sn in emulator.device_sns}
    assert schedule.failed == 2 * ((24 * days + 29) // 50)
    _require_nothing_twice(schedule, month.late)
    _require_few_calls(schedule.calls[began_idle:], list_pages=3 if unknown else 1, devices=len(emulator.device_sns))


def _require_nothing_twice(schedule: Schedule, late: str) -> None:
    """Require that a moment was only written again if something of it had changed, where no other has come late.

    Beside a moment that came late, the others of the same day share its digest.
    """
    again = {key: written for key, written in schedule.moments.items() if len(written) > 1}
    assert all(
        earlier != later
        for (device_sn, _), written in again.items()
        if device_sn != late
        for earlier, later in itertools.pairwise(written)
    )
    assert any(device_sn == late for device_sn, _ in schedule.moments)


def _require_few_calls(calls: Sequence[int], *, list_pages: int, devices: int) -> None:
    """Require of runs for which there is nothing new that they ask for the list, and each device once in a day."""
    days = IDLE_HOURS // 24
    pages = 2  # the look-back may have the end of a month in it, and then a token be refused
    assert min(calls) == list_pages
    assert sum(calls) <= list_pages * len(calls) + (pages + 1) * devices * (days + 1)
    assert sum(number > list_pages for number in calls) <= devices * (days + 1)
