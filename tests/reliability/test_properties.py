"""Any fleet, any sequence of runs: together they bring exactly what the fleet holds, and no STATE is ever ahead."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tap_zentra.emulator import PROFILE_STATION, STANDARD_STATION, Device, Emulator
from tap_zentra.singer import run as sync_run
from tap_zentra.singer import writer
from tests.in_process import require_true_states, run
from tests.support import TOKEN, bookmarks, by_key, held, last_state, readings_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.support import Rows

FLEETS = int(os.environ.get("RELIABILITY_FLEETS", "2000"))
"""How many fleets the long form tries."""

SENSORS = (STANDARD_STATION[:1], STANDARD_STATION[-2:], PROFILE_STATION[-2:])
"""Some sensors of one port each, and probes with several entries for one port."""


@dataclass(frozen=True)
class Growth:
    """Records that a device makes after a call of a run, or before the run (call 0)."""

    device: int
    call: int
    records: int


@dataclass(frozen=True)
class Runs:
    """A fleet, how the service cuts its pages, and what happens in a sequence of runs.

    Attributes:
        devices: The fleet before the first run.
        service: What the service is like, as the emulator's options.
        page_size: Records of a page.
        bookmarks: Where some devices start.
        growths: For each run what grows in it.
        cuts: For each run after which share of its messages the target is gone; 1: it stays.
    """

    devices: list[Device]
    service: dict[str, Any]
    page_size: int
    bookmarks: dict[str, int]
    growths: list[list[Growth]]
    cuts: list[float]


@st.composite
def services_of_any_kind(draw: st.DrawFn) -> dict[str, Any]:
    """Draw what nobody knows of the service."""
    return {
        "pages": draw(st.sampled_from(["records", "ids"])),
        "sorting": draw(st.sampled_from(["mrid", "time", "descending"])),
        "page_days": draw(st.sampled_from([0, 0, 21])),
        "late_values": draw(st.sampled_from(["none", "none", "absent", "null"])),
        "duplicates": draw(st.booleans()),
        "odd_fields": draw(st.sampled_from([False, False, False, True])),
        "entry_order": draw(st.sampled_from(["steady", "shuffled"])),
    }


@st.composite
def wrong_clocks(draw: st.DrawFn) -> tuple[tuple[int, int, int], ...]:
    """Draw some records that a clock stamps years off, before or after its time."""
    first, length = draw(st.integers(1, 60)), draw(st.integers(0, 5))
    return ((first, first + length, draw(st.sampled_from([-400_000_000, -3600, 3600, 1_262_304_000]))),)


@st.composite
def devices_of_any_kind(draw: st.DrawFn, number: int, service: dict[str, Any]) -> Device:
    """Draw a device: its length, gaps, silences, clock, sensors, errors, and how it writes empty pages."""
    # One record alone comes in no order, so that nobody can tell the newest one of some ids from all of them.
    holes = service["sorting"] != "descending" or service["pages"] == "records"
    gaps = draw(st.lists(st.tuples(st.integers(1, 90), st.integers(0, 40)), max_size=3 if holes else 0))
    return Device(
        f"z6-{number:05}",
        records=draw(st.integers(0, 45)),
        first_mrid=draw(st.sampled_from([1, 1, 2, 37])),
        gaps=tuple((first, first + length) for first, length in gaps),
        tz_offset=draw(st.sampled_from([-28_800, 0, 20_700])),
        # Where a record may lack depths, nobody can tell them apart before there is a whole one.
        sensors=draw(st.sampled_from(SENSORS[:2] if service["late_values"] == "absent" else SENSORS)),
        skip_every=draw(st.sampled_from([0, 0, 2, 7] if holes else [0])),
        silences=draw(
            st.lists(st.tuples(st.integers(1, 60), st.sampled_from([86_400, 2_200_000])), max_size=2).map(tuple)
        ),
        # A page that ends at a date may never show what a wrong clock has stamped elsewhere.
        clock=draw(wrong_clocks()) if not service["page_days"] and draw(st.booleans()) else (),
        units_changed_at=draw(st.none() | st.integers(1, 60)),
        error_rate=draw(st.sampled_from([0.0, 0.3, 1.0])),
        empty_pages=draw(st.sampled_from(["null", "missing"])),
    )


@st.composite
def sequences_of_runs(draw: st.DrawFn) -> Runs:
    """Draw a fleet and what happens to it."""
    service = draw(services_of_any_kind())
    devices = [draw(devices_of_any_kind(number, service)) for number in range(draw(st.integers(1, 5)))]
    growth = st.builds(Growth, st.integers(0, len(devices) - 1), st.integers(0, 8), st.integers(1, 25))
    runs = draw(st.integers(1, 4))
    return Runs(
        devices=devices,
        service=service,
        page_size=draw(st.integers(2, 25)),  # one record alone comes in no order
        bookmarks={
            device.device_sn: draw(st.integers(0, device.max_mrid or 0)) for device in devices if draw(st.booleans())
        },
        growths=[draw(st.lists(growth, max_size=4)) for _ in range(runs)],
        cuts=[draw(st.just(1.0) | st.floats(0, 1)) for _ in range(runs)],
    )


@pytest.fixture(scope="module", autouse=True)
def _state_behind_every_page() -> Iterator[None]:
    """The more STATE messages, the more claims to be checked."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sync_run, "STATE_INTERVAL", 0.0)
        patch.setattr(writer, "STATE_SHARE", 1.0)
        yield


def _grows(emulator: Emulator, growths: list[Growth]) -> Callable[[int], None]:
    def after_call(number: int) -> None:
        for growth in growths:
            if growth.call == number:
                emulator.grow(growth.records, emulator.device_sns[growth.device])

    return after_call


def _state(starts: dict[str, int]) -> dict[str, Any]:
    partitions = [
        {"context": {"device_sn": device_sn}, "replication_key": "mrid", "replication_key_value": mrid}
        for device_sn, mrid in starts.items()
    ]
    return {"bookmarks": {"readings": {"partitions": partitions}}}


def _never_late(emulator: Emulator) -> Rows:
    """Return the rows that every record has from its first moment on: of the series that the newest records have."""
    rows = held(emulator)
    newest = {device_sn: emulator.device(device_sn).max_mrid for device_sn in emulator.device_sns}
    there = {(key[0], *key[3:]) for key in rows if key[1] == newest[key[0]]}
    return {key: row for key, row in rows.items() if (key[0], *key[3:]) in there}


def check(runs: Runs) -> None:
    """Run the sequence, then once more to the end, and compare what came with what there is."""
    emulator = Emulator(runs.devices, token=TOKEN, **runs.service)
    state = _state(runs.bookmarks)
    had: dict[Any, dict[str, Any]] = {}
    for growths, cut in zip([*runs.growths, []], [*runs.cuts, 1.0], strict=True):
        after_call = _grows(emulator, growths)
        after_call(0)
        messages = run(emulator, state, after_call, page_size=runs.page_size)
        records = readings_of(messages)
        assert len(by_key(records)) == len(records)
        require_true_states(messages, _never_late(emulator), had, runs.bookmarks)
        received = messages[: round(cut * len(messages))]
        had |= by_key(readings_of(received))
        state = last_state(received, state)
    expected = {key: row for key, row in held(emulator).items() if key[1] > runs.bookmarks.get(key[0], -1)}
    if runs.service["late_values"] != "none":  # the record at a bookmark may have been completed since
        had = {key: row for key, row in had.items() if key[1] > runs.bookmarks.get(key[0], -1)}
    assert had == expected
    assert Counter(key[0] for key in had) == Counter(key[0] for key in expected)
    assert bookmarks(state) == runs.bookmarks | {
        device_sn: newest for device_sn in emulator.device_sns if (newest := emulator.device(device_sn).max_mrid)
    }


@settings(derandomize=True, max_examples=60)
@given(runs=sequences_of_runs())
def test_any_sequence_of_runs_brings_exactly_the_fleet(runs: Runs) -> None:
    """However a fleet looks and grows, and wherever runs are cut off: nothing is missing, doubled or claimed early."""
    check(runs)


@pytest.mark.long
@settings(max_examples=FLEETS)
@given(runs=sequences_of_runs())
def test_many_sequences_of_runs_bring_exactly_the_fleet(runs: Runs) -> None:
    """The same for some thousand fleets, other ones each time."""
    check(runs)
