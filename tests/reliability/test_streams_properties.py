"""All streams, any fleet, any cuts: together the runs bring all of it, and no STATE claims what is not there."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tap_zentra.emulator import Device, Emulator
from tap_zentra.emulator.sensors import TEROS_54
from tap_zentra.singer import pages, writer
from tap_zentra.singer import run as sync_run
from tap_zentra.singer.sensors import HOUR, SENSORS_KEY
from tests.in_process import run, run_v5
from tests.reliability.streams import (
    PROBE,
    SMALL,
    STATION,
    channels_held,
    channels_held_v5,
    channels_of,
    days_claimed,
    days_held,
    days_of,
    seconds,
    stations,
)
from tests.reliability.v5 import DAY, standing
from tests.reliability.v5 import held as held_v5
from tests.reliability.v5 import keyed as keyed_v5
from tests.support import TOKEN, bookmarks, by_key, held, is_record_of, last_state, readings_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.reliability.streams import Channels, Days
    from tests.support import Rows

NOW = 1_790_000_000.0
"""A moment in 2026, behind all that a fleet of the tests holds."""

LOOKBACK = 12
"""Records that are read again: of more than an hour, also where every second mrid is unused."""


@dataclass(frozen=True)
class Growth:
    """Records that a device makes after a call of a run, or before the run (call 0)."""

    device: int
    call: int
    records: int


@dataclass(frozen=True)
class Runs:
    """A fleet, and what happens to it in a sequence of runs.

    Attributes:
        devices: The fleet before the first run.
        service: What the service is like, as the emulator's options.
        page_size: Records of a page.
        part: Records that are written in one go.
        growths: For each run what grows in it.
        cuts: For each run after which share of its messages the tap and the target are gone; 1: they stay.
    """

    devices: list[Device]
    service: dict[str, Any]
    page_size: int
    part: int
    growths: list[list[Growth]]
    cuts: list[float]


@st.composite
def devices_of_any_kind(draw: st.DrawFn, number: int) -> Device:
    """Draw a device whose probes are swapped and moved, whose units change, and which is silent for a while."""
    refits = draw(st.lists(st.integers(2, 90), unique=True, max_size=3).map(sorted))
    probes = [
        draw(st.sampled_from([(STATION, replace(PROBE, number=9 + at, port=port)), (STATION,), (STATION, TEROS_54)]))
        for at, port in zip(range(len(refits)), draw(st.permutations([3, 4, 6])), strict=False)
    ]
    return Device(
        f"z6-{number:05}",
        records=draw(st.integers(0, 90)),
        interval=draw(st.sampled_from([900, 3600, 21_600])),
        sensors=SMALL,
        refits=tuple(zip(refits, probes, strict=True)),
        units_changed_at=draw(st.none() | st.integers(2, 90)),
        silences=draw(st.lists(st.tuples(st.integers(1, 90), st.sampled_from([DAY, 40 * DAY])), max_size=1).map(tuple)),
        gaps=tuple((first, first + 5) for first in draw(st.lists(st.integers(1, 90), max_size=1))),
        skip_every=draw(st.sampled_from([0, 0, 2])),
        tz_offset=draw(st.sampled_from([-28_800, 0, 20_700])),
        error_rate=0.0,
    )


@st.composite
def sequences_of_runs(draw: st.DrawFn, services: st.SearchStrategy[dict[str, Any]]) -> Runs:
    """Draw a fleet and what happens to it."""
    devices = [draw(devices_of_any_kind(number)) for number in range(draw(st.integers(1, 3)))]
    growth = st.builds(Growth, st.integers(0, len(devices) - 1), st.integers(0, 8), st.integers(1, 25))
    runs = draw(st.integers(1, 4))
    return Runs(
        devices=devices,
        service=draw(services),
        page_size=draw(st.integers(2, 25)),
        part=draw(st.sampled_from([3, 1000])),
        growths=[draw(st.lists(growth, max_size=3)) for _ in range(runs)],
        cuts=[draw(st.just(1.0) | st.floats(0, 1)) for _ in range(runs)],
    )


SERVICES = st.fixed_dictionaries(
    {
        "pages": st.sampled_from(["records", "ids"]),
        "sorting": st.sampled_from(["mrid", "time"]),
        "duplicates": st.booleans(),
        "entry_order": st.sampled_from(["steady", "shuffled"]),
        "empty_days": st.sampled_from(["null", "nan"]),
    }
)
SERVICES_V5 = st.fixed_dictionaries(
    {
        "empty_months": st.sampled_from(["page", "skipped"]),
        "positions": st.just(value=True),  # without, nobody can tell depths apart where one is missing
        "logger_port": st.sampled_from(["minus-one", "null"]),
        "list_limit": st.sampled_from([1, 1000]),
    }
)


@pytest.fixture(scope="module", autouse=True)
def _state_behind_every_part() -> Iterator[None]:
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


@dataclass
class Received:
    """What a target has received of all streams, in all runs."""

    readings: Rows
    channels: Channels
    days: Days

    def add(self, message: dict[str, Any], reading: Callable[[dict[str, Any]], Rows]) -> None:
        """Take a message."""
        if is_record_of(message, "sensors"):
            told = channels_of([message["record"]])
            ((key, channel),) = told.items()
            before = self.channels.get(key, channel)
            self.channels[key] = channel | {
                name: max(before[name], channel[name]) for name in channel if name.startswith("last_")
            }
        elif is_record_of(message, "env_model_data"):
            self.days |= days_of([message["record"]])
        else:
            self.readings |= reading(message)


def _require_channels(claimed: Rows, received: Channels) -> None:
    """Require that a channel has been told of that ended more than an hour before a bookmark.

    Args:
        claimed: The readings up to the bookmark of their device.
        received: What has been told of channels.
    """
    ends: dict[tuple[Any, ...], int] = {}
    newest: dict[str, int] = {}
    for row in claimed.values():
        key = tuple("" if row.get(name) is None else row[name] for name in SENSORS_KEY)
        moment = seconds(row["timestamp_utc"])
        ends[key] = max(moment, ends.get(key, 0))
        newest[key[0]] = max(moment, newest.get(key[0], 0))
    missing = [
        key
        for key, end in ends.items()
        if end < newest[key[0]] - HOUR and received.get(key, {"last_timestamp": 0})["last_timestamp"] < end
    ]
    assert missing == []


def _require_days(state: dict[str, Any], there: Days, received: Days) -> None:
    """Require that each day has been received up to that where a STATE says that its station stands."""
    at = dict(days_claimed(state))
    missing = [key for key in there if key[-1] <= at.get(key[:-1], 0) and key not in received]
    assert missing == []


def check(runs: Runs) -> None:
    """Run the sequence on v4, then once more to the end, and compare what came with what there is."""
    emulator = Emulator(runs.devices, token=TOKEN, **runs.service)
    entries = stations(emulator.device_sns)
    state: dict[str, Any] = {}
    had = Received({}, {}, {})
    for growths, cut in zip([*runs.growths, []], [*runs.cuts, 1.0], strict=True):
        after_call = _grows(emulator, growths)
        after_call(0)
        there = days_held(emulator, entries)
        messages = run(
            emulator, state, after_call, page_size=runs.page_size, mrid_lookback=LOOKBACK, env_models=entries
        )
        messages = messages[: round(cut * len(messages))]
        assert len(by_key(readings_of(messages))) == len(readings_of(messages))
        fleet = held(emulator)
        for message in messages:
            if message["type"] == "STATE":
                standing = bookmarks(message["value"])
                claimed = {key: row for key, row in fleet.items() if key[1] <= standing.get(key[0], 0)}
                assert claimed.keys() <= had.readings.keys()
                _require_channels(claimed, had.channels)
                _require_days(message["value"], there, had.days)
            elif message["type"] == "RECORD":
                had.add(message, lambda one: by_key(readings_of([one])))
        state = last_state(messages, state)
    assert had.readings == held(emulator)
    assert had.days == days_held(emulator, entries)
    _require_last_seen(had.channels, channels_held(emulator))


def check_v5(runs: Runs) -> None:
    """The same on v5."""
    emulator = Emulator(runs.devices, token=TOKEN, **runs.service)
    state: dict[str, Any] = {}
    had = Received({}, {}, {})
    now = NOW
    for growths, cut in zip([*runs.growths, []], [*runs.cuts, 1.0], strict=True):
        after_call = _grows(emulator, growths)
        after_call(0)
        messages = run_v5(emulator, state, after_call, now=now, lookback_days=1)
        messages = messages[: round(cut * len(messages))]
        fleet = held_v5(emulator)
        for message in messages:
            if message["type"] == "STATE":
                moments = {sn: seconds(moment) for sn, moment in standing(message["value"]).items()}
                claimed = {key: row for key, row in fleet.items() if seconds(key[1]) <= moments.get(key[0], 0)}
                assert claimed.keys() <= had.readings.keys()
                _require_channels({key: row | {"sensor_sn": ""} for key, row in claimed.items()}, had.channels)
            elif message["type"] == "RECORD":
                had.add(message, lambda one: keyed_v5(readings_of([one])))
        state = last_state(messages, state)
        now += 2 * DAY
    assert had.readings == held_v5(emulator)
    _require_last_seen(had.channels, channels_held_v5(emulator))


def _require_last_seen(told: Channels, there: Channels) -> None:
    """Require that each channel was told of, with its last reading."""
    ends = ("last_mrid", "last_timestamp")
    assert told.keys() == there.keys()
    for key, channel in there.items():
        assert {name: told[key].get(name) for name in ends} == {name: channel.get(name) for name in ends}


@settings(derandomize=True, max_examples=30)
@given(runs=sequences_of_runs(SERVICES))
def test_any_sequence_of_runs_brings_all_streams_whole(runs: Runs) -> None:
    """Wherever runs are cut off, no reading, day or channel is missing, and none is claimed before it was written."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pages, "RECORDS_AT_ONCE", runs.part)
        check(runs)


@settings(derandomize=True, max_examples=30)
@given(runs=sequences_of_runs(SERVICES_V5))
def test_any_sequence_of_runs_of_v5_brings_all_streams_whole(runs: Runs) -> None:
    """The same of v5, whose pages have bookmarks in their midst."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tap_zentra.v5.readings.RECORDS_AT_ONCE", runs.part)
        check_v5(runs)


@pytest.mark.long
@settings(max_examples=2000)
@given(runs=sequences_of_runs(SERVICES))
def test_many_sequences_of_runs_bring_all_streams_whole(runs: Runs) -> None:
    """The same for some thousand fleets, other ones each time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pages, "RECORDS_AT_ONCE", runs.part)
        check(runs)


@pytest.mark.long
@settings(max_examples=2000)
@given(runs=sequences_of_runs(SERVICES_V5))
def test_many_sequences_of_runs_of_v5_bring_all_streams_whole(runs: Runs) -> None:
    """The same of v5."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tap_zentra.v5.readings.RECORDS_AT_ONCE", runs.part)
        check_v5(runs)
