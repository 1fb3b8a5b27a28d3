"""Any fleet in ZENTRA Cloud 2.0, any sequence of runs: together they bring exactly what the service holds."""

from __future__ import annotations

import os
from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tap_zentra.emulator import PROFILE_STATION, STANDARD_STATION, Device, Emulator
from tap_zentra.singer import run as sync_run
from tap_zentra.singer import writer
from tap_zentra.v5.readings import READINGS_V5_KEY
from tests.in_process import run_v5
from tests.support import TOKEN, is_reading, last_state, readings_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from tests.support import Key, Rows

FLEETS = int(os.environ.get("RELIABILITY_FLEETS", "2000"))
"""How many fleets the long form tries."""

DAY = 86_400
NOW = datetime(2030, 1, 1, tzinfo=UTC).timestamp()
"""When the first run begins: every record whose clock was right has been made before."""

SENSORS = (STANDARD_STATION[:1], STANDARD_STATION[-2:], PROFILE_STATION[-2:])
"""Some sensors of one port each, and probes with several values for one port."""


@dataclass(frozen=True)
class Change:
    """What happens to a device after a call of a run, or before the run (call 0).

    Attributes:
        device: Its place in the fleet.
        call: After which call.
        records: How many it makes.
        withheld: Of these the last so many arrive only after the run; 0: all arrive at once.
    """

    device: int
    call: int
    records: int
    withheld: int


@dataclass(frozen=True)
class Runs:
    """A fleet, what the service is like, and what happens in a sequence of runs.

    Attributes:
        devices: The fleet before the first run.
        service: What the service is like, as the emulator's options.
        token_lifetime: Pages that can be read by token before one is refused.
        part: Readings that are written in one go.
        bookmarks: Where some devices start.
        changes: For each run what happens in it.
        cuts: For each run after which share of its messages the target is gone; 1: it stays.
        pauses: Seconds from each run to the next.
    """

    devices: list[Device]
    service: dict[str, Any]
    token_lifetime: int
    part: int
    bookmarks: dict[str, int]
    changes: list[list[Change]]
    cuts: list[float]
    pauses: list[int]


@st.composite
def services_of_any_kind(draw: st.DrawFn) -> dict[str, Any]:
    """Draw what nobody knows of the service."""
    reading_ids = draw(st.booleans())
    return {
        "empty_months": draw(st.sampled_from(["page", "skipped"])),
        "end": draw(st.sampled_from(["inclusive", "exclusive"])),
        "logger_port": draw(st.sampled_from(["minus-one", "null"])),
        "timestamps": draw(st.sampled_from(["int", "float"])),
        "unit_spelling": draw(st.sampled_from(["plain", "superscript"])),
        "positions": draw(st.booleans()),
        "reading_ids": reading_ids,
        # Without ids, nobody can tell a value that comes twice from two depths that read the same.
        "duplicates": reading_ids and draw(st.booleans()),
        "next_url": draw(st.booleans()),
        "late_values": draw(st.sampled_from(["none", "none", "absent", "null"])),
        "odd_fields": draw(st.sampled_from([False, False, False, True])),
        "entry_order": draw(st.sampled_from(["steady", "shuffled"])),
        "list_limit": draw(st.sampled_from([1, 2, 1000])),
        "list_pagination": draw(st.sampled_from(["present", "missing"])),
    }


@st.composite
def devices_of_any_kind(draw: st.DrawFn, number: int, service: dict[str, Any]) -> Device:
    """Draw a device: its length, gaps, silences of months, a wrong clock, sensors and errors."""
    records = draw(st.integers(0, 45))
    gaps = draw(st.lists(st.tuples(st.integers(1, 60), st.integers(0, 10)), max_size=2))
    first, length = draw(st.integers(1, 45)), draw(st.integers(0, 5))
    # Behind a device's newest reading nobody finds what is stamped years before it: so only what is there at first.
    last = min(first + length, records)
    clock = [(first, last, draw(st.sampled_from([-400_000_000, -3600, 3600, 1_262_304_000])))] if first <= last else []
    # Where a moment may lack depths, nobody can tell them apart but by a position.
    known = service["late_values"] != "absent" or service["positions"]
    return Device(
        f"z6-{number:05}",
        records=records,
        interval=draw(st.sampled_from([900, 21_600, 2 * DAY])),
        gaps=tuple((first, first + length) for first, length in gaps),
        silences=draw(
            st.lists(st.tuples(st.integers(1, 60), st.sampled_from([DAY, 35 * DAY, 100 * DAY])), max_size=2).map(tuple)
        ),
        clock=tuple(clock) if draw(st.booleans()) else (),
        tz_offset=draw(st.sampled_from([-28_800, 0, 20_700])),
        sensors=draw(st.sampled_from(SENSORS if known else SENSORS[:2])),
        error_rate=draw(st.sampled_from([0.0, 0.3, 1.0])),
    )


@st.composite
def sequences_of_runs(draw: st.DrawFn) -> Runs:
    """Draw a fleet and what happens to it."""
    service = draw(services_of_any_kind())
    devices = [draw(devices_of_any_kind(number, service)) for number in range(draw(st.integers(1, 5)))]
    change = st.builds(
        Change, st.integers(0, len(devices) - 1), st.integers(0, 8), st.integers(1, 25), st.integers(0, 9)
    )
    runs = draw(st.integers(1, 4))
    return Runs(
        devices=devices,
        service=service,
        token_lifetime=draw(st.sampled_from([0, 0, 1, 2])),
        part=draw(st.sampled_from([7, 60, 1000])),
        bookmarks={
            device.device_sn: device.timestamp(draw(st.integers(1, device.records)))
            for device in devices
            if device.records and draw(st.booleans())
        },
        changes=[draw(st.lists(change, max_size=4)) for _ in range(runs)],
        cuts=[draw(st.just(1.0) | st.floats(0, 1)) for _ in range(runs)],
        pauses=[draw(st.sampled_from([3600, 2 * DAY])) for _ in range(runs)],
    )


@pytest.fixture(scope="module", autouse=True)
def _state_behind_every_part() -> Iterator[None]:
    """The more STATE messages, the more claims to be checked."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sync_run, "STATE_INTERVAL", 0.0)
        patch.setattr(writer, "STATE_SHARE", 1.0)
        yield


def _by_key(records: Iterable[dict[str, Any]]) -> Rows:
    rows: Rows = {}
    for record in records:
        key = tuple(record[column] for column in READINGS_V5_KEY)
        assert key not in rows
        rows[key] = record
    return rows


def _moment(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def _bookmarks(state: dict[str, Any]) -> dict[str, float]:
    partitions = state.get("bookmarks", {}).get("readings_v5", {}).get("partitions", [])
    return {one["context"]["device_sn"]: _moment(one["replication_key_value"]) for one in partitions}


def _changes(emulator: Emulator, changes: list[Change]) -> Callable[[int], None]:
    def after_call(number: int) -> None:
        for change in changes:
            if change.call == number:
                device_sn = emulator.device_sns[change.device]
                if withheld := min(change.withheld, change.records):
                    last = emulator.device(device_sn).next_mrid + change.records - 1
                    emulator.withhold(device_sn, last + 1 - withheld, last)
                emulator.grow(change.records, device_sn)

    return after_call


def _state(starts: dict[str, int]) -> dict[str, Any]:
    partitions = [
        {
            "context": {"device_sn": device_sn},
            "replication_key": "timestamp_utc",
            "replication_key_value": datetime.fromtimestamp(moment, UTC).isoformat(),
        }
        for device_sn, moment in starts.items()
    ]
    return {"bookmarks": {"readings_v5": {"partitions": partitions}}}


def _held(emulator: Emulator, starts: Mapping[str, float], until: float) -> Rows:
    """Return what runs from these bookmarks should have brought until a moment."""
    rows = _by_key(emulator.readings_v5())
    return {key: row for key, row in rows.items() if starts.get(key[0], -1) < _moment(key[1]) <= until}


def _require_true_states(messages: list[dict[str, Any]], there: Rows, had: Rows) -> None:
    """Require of every STATE that all that it claims has been received before it, of what was there from the first."""
    received = set(had)
    unclaimed: dict[str, deque[tuple[float, Key]]] = {}
    for key in sorted(there, key=lambda key: _moment(key[1])):
        unclaimed.setdefault(key[0], deque()).append((_moment(key[1]), key))
    for message in messages:
        if is_reading(message):
            received.add(tuple(message["record"][column] for column in READINGS_V5_KEY))
        elif message["type"] == "STATE":
            for device_sn, bookmark in _bookmarks(message["value"]).items():
                waiting = unclaimed.get(device_sn, deque())
                while waiting and waiting[0][0] <= bookmark:
                    assert waiting.popleft()[1] in received


def check(runs: Runs) -> None:
    """Run the sequence, then once more to the end, and compare what came with what there is."""
    emulator = Emulator(runs.devices, token=TOKEN, **runs.service)
    state = _state(runs.bookmarks)
    had: Rows = {}
    now = NOW
    for changes, cut, pause in zip([*runs.changes, []], [*runs.cuts, 1.0], [*runs.pauses, 0], strict=True):
        for device_sn in emulator.device_sns:
            emulator.deliver(device_sn)
        after_call = _changes(emulator, changes)
        after_call(0)
        # What has come behind a bookmark meanwhile is found only once it has been read again.
        there = _held(emulator, runs.bookmarks | _bookmarks(state), now)
        messages = run_v5(
            emulator,
            state,
            after_call,
            now=now,
            token_lifetime=runs.token_lifetime,
            lookback_days=400,
            max_attempts=1000,
        )
        records = readings_of(messages)
        assert len(_by_key(records)) == len(records)
        _require_true_states(messages, there, had)
        received = messages[: round(cut * len(messages))]
        had |= _by_key(readings_of(received))
        state = last_state(received, state)
        # The last run comes so late that each device is asked again, whether or not the list knows anything new.
        now += pause + (2 * DAY if changes == runs.changes[-1] else 0)
    had = {key: row for key, row in had.items() if _moment(key[1]) > runs.bookmarks.get(key[0], -1)}
    assert had == _held(emulator, runs.bookmarks, now)


@settings(derandomize=True, deadline=None, max_examples=60)
@given(runs=sequences_of_runs())
def test_any_sequence_of_runs_brings_exactly_the_fleet(runs: Runs) -> None:
    """However a fleet looks and grows, and wherever runs are cut off: nothing is missing, doubled or claimed early."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tap_zentra.v5.readings.RECORDS_AT_ONCE", runs.part)
        check(runs)


@pytest.mark.long
@settings(deadline=None, max_examples=FLEETS)
@given(runs=sequences_of_runs())
def test_many_sequences_of_runs_bring_exactly_the_fleet(runs: Runs) -> None:
    """The same for some thousand fleets, other ones each time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tap_zentra.v5.readings.RECORDS_AT_ONCE", runs.part)
        check(runs)
