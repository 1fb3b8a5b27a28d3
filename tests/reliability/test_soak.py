"""A month of a schedule in scaled time: a run every hour, and at its end the database equals the fleet."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pytest

from tap_zentra.emulator import Device, Emulator, fleet
from tap_zentra.emulator.faults import PASSING_KINDS
from tests.in_process import sync
from tests.integration.support import Postgres, stored
from tests.support import bookmarks, last_state

if TYPE_CHECKING:
    from tests.support import Rows

Emulate = Callable[..., Emulator]

pytestmark = pytest.mark.warehouse

RECORDS_PER_HOUR = 4
PAGE_SIZE = 20
LOOKBACK = 12
"""Records; more than an hour's, so that all that comes late is found."""


UNUSUAL = {
    "sorting": "time",
    "page_days": 21,
    "late_values": "null",
    "duplicates": True,
    "entry_order": "shuffled",
}
"""A service that is all that nobody can rule out."""


@dataclass
class Operator:
    """Who runs the schedule: the tap every hour, and the target once for several hours' messages.

    Attributes:
        emulator: The service.
        postgres: The target and its database.
        hours_per_load: How many runs' messages the target gets in one go.
        device_sns: Who is asked.
        state: What the next run of the tap begins with.
    """

    emulator: Emulator
    postgres: Postgres
    hours_per_load: int
    device_sns: list[str]
    state: dict[str, Any] = field(default_factory=dict)
    waiting: list[bytes] = field(default_factory=list)

    def run(self) -> None:
        """Run the tap once, over the network of this machine; an hour is many windows."""
        run = sync(
            self.emulator, state=self.state, device_sns=self.device_sns, page_size=PAGE_SIZE, mrid_lookback=LOOKBACK
        )
        assert run.exit_code == 0, run.stderr
        self.state = last_state(run.messages, self.state)
        self.waiting.append(run.stdout.encode())
        if len(self.waiting) >= self.hours_per_load:
            self.load()

    def load(self) -> None:
        """Let the target load what is waiting; the state that it confirms is the tap's last one."""
        if self.waiting:
            assert self.postgres.load_messages(b"".join(self.waiting)) == self.state
            self.waiting.clear()


@dataclass(frozen=True)
class Month:
    """What happens to a fleet.

    Attributes:
        hours: How long it lasts.
        swapped: A device that is replaced by one that counts from 1.
        added: One that is asked from some day on only.
        removed: One that is asked until some day only.
        renamed: One that gets another name.
        silent: One that stops measuring.
    """

    hours: int
    swapped: str
    added: str
    removed: str
    renamed: str
    silent: str

    def live(self, operator: Operator) -> Rows:
        """Let it all happen; return what the database has to hold in the end."""
        emulator = operator.emulator
        kept: Rows = {}
        for hour in range(self.hours):
            for device_sn in emulator.device_sns:
                if device_sn != self.silent or hour < self.hours // 2:
                    emulator.grow(RECORDS_PER_HOUR, device_sn)
            operator.run()
            kept |= self._change(operator, hour)
        operator.run()
        operator.load()
        return {**stored(emulator, *operator.device_sns), **kept}

    def _change(self, operator: Operator, hour: int) -> Rows:
        """Let happen what happens at this hour; return readings that only the database has from now on."""
        emulator = operator.emulator
        if hour == self.hours // 4:
            before = stored(emulator, self.swapped)
            emulator.wipe(self.swapped, records=1)
            return before
        if hour == self.hours // 3:
            operator.device_sns.append(self.added)
        elif hour == self.hours // 2:
            operator.device_sns.remove(self.removed)
            return stored(emulator, self.removed)
        elif hour == 2 * self.hours // 3:
            newest = None if emulator.late_values == "none" else emulator.device(self.renamed).max_mrid
            before = stored(emulator, self.renamed)
            emulator.rename(self.renamed, "Under the old oak")
            # The newest record is written once more, with what comes late and the new name.
            return {key: row for key, row in before.items() if row["mrid"] != newest}
        return {}


@pytest.mark.parametrize(
    ("devices", "hours", "hours_per_load"),
    [
        pytest.param(8, 24, 12, id="a day of 8 devices"),
        pytest.param(40, 720, 24, id="a month of 40 devices", marks=pytest.mark.long),
    ],
)
@pytest.mark.parametrize("unknown", [{}, UNUSUAL], ids=["as far as it is known", "unusual"])
def test_after_a_schedule_with_faults_and_changes_the_database_equals_the_fleet(  # noqa: PLR0917 - fixtures
    devices: int, hours: int, hours_per_load: int, unknown: dict[str, Any], postgres: Postgres, emulate: Emulate
) -> None:
    """A run every hour, 5 % faults; a device swapped, one added, one removed, one renamed, one silent."""
    small_devices: list[Device] = [
        replace(device, sensors=device.sensors[-1:]) for device in fleet(devices, records=10, interval=900)
    ]
    options = {"fault_rate": 0.05, "fault_kinds": PASSING_KINDS, "device_limit": 1000, "window": 0.05}
    emulator = emulate(*small_devices, **options, **unknown)
    swapped, removed, renamed, silent, *others, added = emulator.device_sns
    operator = Operator(emulator, postgres, hours_per_load, [swapped, removed, renamed, silent, *others])

    expected = Month(hours, swapped, added, removed, renamed, silent).live(operator)

    assert postgres.rows() == expected
    newest = {device_sn: emulator.device(device_sn).max_mrid for device_sn in operator.device_sns}
    kept = bookmarks(operator.state)
    assert {device_sn: kept[device_sn] for device_sn in newest} == newest
    assert removed in kept
    assert sum(call.injected is not None for call in emulator.calls) > 0.03 * len(emulator.calls)
