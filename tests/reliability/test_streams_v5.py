"""All streams of v5 together: what goes wrong in one hides nothing of the others; devices in all their forms."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from tap_zentra.emulator import Device, Emulator, Fault, Response
from tap_zentra.singer.report import SUMMARY
from tests.in_process import sync
from tests.reliability.streams import (
    SMALL,
    V5_STREAMS,
    channels_held_v5,
    channels_of,
    outcomes,
    seconds,
)
from tests.reliability.v5 import ALL_DEVICES, DAY, V5, held, keyed, small_fleet, standing
from tests.support import is_schema_of

if TYPE_CHECKING:
    from tests.support import Run, Tap

Emulate = Callable[..., Emulator]

BROKEN_MAP = {"broken": "no_such_column + 1"}
LISTED = ("organization_id", "organization_name", "model", "connectivity_type", "subscription_status")


def require_all(run: Run, emulator: Emulator, *device_sns: str) -> None:
    """Require that a run has brought readings and channels whole, and a row for each device."""
    assert keyed(run.records) == held(emulator, *device_sns)
    assert channels_of(run.records_of("sensors")) == channels_held_v5(emulator, *device_sns)


@pytest.mark.parametrize("on_device_failure", ["fail", "warn"])
@pytest.mark.parametrize("failing", V5_STREAMS)
def test_a_stream_map_that_fails_ends_its_stream_alone(failing: str, on_device_failure: str, emulate: Emulate) -> None:
    """One line names the map, whatever the settings; the others are whole, but for what the readings are read for."""
    emulator = emulate(*small_fleet(3))

    run = sync(emulator, stream_maps={failing: BROKEN_MAP}, on_device_failure=on_device_failure, **V5)

    assert run.exit_code == 1
    assert [line.partition(":")[0] for line in run.stderr.splitlines()] == [f"stream map of {failing}"]
    assert run.records_of(failing) == []
    if failing != "readings_v5":
        assert keyed(run.records) == held(emulator)
        assert len(standing(run.state)) == 3
    if failing == "devices":
        assert channels_of(run.records_of("sensors")) == channels_held_v5(emulator)
    else:
        told = outcomes(run)
        assert list(told) == emulator.device_sns
        assert {outcome for outcome, _ in told.values()} == {"failed" if failing == "readings_v5" else "current"}


def test_a_device_that_fails_is_told_of_with_what_the_list_says(emulate: Emulate) -> None:
    """Its row says why it failed, and what the list knows; the others are whole."""
    emulator = emulate(*small_fleet(3), faults=[Fault("403", "z6-00001")])

    run = sync(emulator, **V5)

    assert run.exit_code == 1
    require_all(run, emulator, "z6-00000", "z6-00002")
    told = outcomes(run)
    assert [outcome for outcome, _ in told.values()] == ["current", "failed", "current"]
    assert "403" in str(told["z6-00001"][1])
    row = run.records_of("devices")[1]
    assert (row["model"], row["readings_read"]) == ("ZL6", 0)


@pytest.mark.parametrize("call", [2, 4])
def test_a_key_that_is_refused_in_the_middle_is_told_of_each_device(call: int, emulate: Emulate) -> None:
    """Each has a row whose error says so, unless it had been read."""
    emulator = emulate(*small_fleet(4))
    calls = 0

    def answer(request: Any) -> Response:
        nonlocal calls
        calls += 1
        return emulator.answer(request) if calls < call else Response(401, b'{"detail": "Invalid key."}')

    emulator.fail(Fault(answer))

    run = sync(emulator, max_concurrent_calls=1, on_device_failure="warn", **V5)

    assert run.exit_code == 1
    assert len(run.stderr.splitlines()) == 1
    told = outcomes(run)
    assert list(told) == emulator.device_sns
    assert all(error for outcome, error in told.values() if outcome != "current")
    assert {key[0] for key in channels_of(run.records_of("sensors"))} == {row["device_sn"] for row in run.records}


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"odd_fields": True},
        {"null_groups": True},
        {"odd_fields": True, "null_groups": True},
        {"list_limit": 1, "list_pagination": "missing"},
    ],
)
def test_every_form_of_the_list_becomes_rows(options: dict[str, Any], emulate: Emulate) -> None:
    """One for each device, with all columns of the schema and no other; the readings are as whole as ever."""
    emulator = emulate(*small_fleet(12, records=8), **options)

    run = sync(emulator, **ALL_DEVICES)

    assert run.exit_code == 0, run.stderr
    assert list(outcomes(run)) == emulator.device_sns
    (schema,) = (message["schema"] for message in run.messages if is_schema_of(message, "devices"))
    for row in run.records_of("devices"):
        assert row.keys() == schema["properties"].keys()
        assert row["device_name"]
        assert seconds(row["last_reading_utc"]) == emulator.device(row["device_sn"]).timestamp(8)
    require_all(run, emulator)


@pytest.mark.parametrize("fault", ["500", "404", "html"])
def test_a_list_that_fails_leaves_a_row_for_each_device_that_is_named(fault: str, emulate: Emulate) -> None:
    """With what the readings tell, and nothing of the list's; readings and channels are whole."""
    emulator = emulate(*small_fleet(2), faults=[Fault(fault, "devices")])

    run = sync(emulator, max_attempts=1, **V5)

    assert run.exit_code == 0, run.stderr
    require_all(run, emulator)
    assert outcomes(run) == dict.fromkeys(emulator.device_sns, ("current", None))
    for row in run.records_of("devices"):
        assert [row[name] for name in LISTED] == [None] * len(LISTED)
        assert seconds(row["last_reading_utc"]) == emulator.device(row["device_sn"]).timestamp(45)
        assert row["calls"] == 3


@pytest.mark.parametrize("fault", [[], [Fault("500", "devices")]])
def test_without_a_list_and_names_there_are_no_rows_and_the_run_fails(fault: list[Fault], emulate: Emulate) -> None:
    """Be the list empty or broken: with every stream, one line says why."""
    emulator = emulate(*([] if not fault else small_fleet(1)), faults=fault)

    run = sync(emulator, max_attempts=1, on_device_failure="warn", **ALL_DEVICES)

    assert run.exit_code == 1
    assert len(run.stderr.splitlines()) == 1
    assert run.stderr.startswith("could not read the device list" if fault else "the device list is empty")
    assert not any(message["type"] == "RECORD" for message in run.messages)


@pytest.mark.parametrize("named", [True, False])
def test_a_device_that_has_vanished_has_a_row_where_it_is_named(*, named: bool, emulate: Emulate) -> None:
    """Else there is none of it; its bookmark stays."""
    emulator = emulate(*small_fleet(2))
    settings = V5 if named else ALL_DEVICES
    first = sync(emulator, **settings)
    emulator.unlist("z6-00001")

    run = sync(emulator, **settings, state=first.state)

    assert run.exit_code == 0, run.stderr
    assert list(outcomes(run)) == (emulator.device_sns if named else ["z6-00000"])
    assert standing(run.state or first.state) == standing(first.state)
    assert run.records == []


def test_a_device_in_another_case_is_one_device(emulate: Emulate) -> None:
    """It has the row of the list, under the user's spelling, in every stream."""
    emulator = emulate(*small_fleet(2))

    run = sync(emulator, **{**V5, "device_sns": ["Z6-00001"]})

    assert run.exit_code == 0, run.stderr
    for stream in V5_STREAMS:
        assert {row["device_sn"] for row in run.records_of(stream)} == {"Z6-00001"}
    (row,) = run.records_of("devices")
    assert row["model"] == "ZL6"


def test_subscriptions_are_warned_of_at_the_end_and_for_programs(emulate: Emulate, tap: Tap) -> None:
    """Those that have ended, and those that end within a month; not the others."""
    now = datetime.now(UTC)
    ends = {"z6-00000": now - timedelta(days=3), "z6-00001": now + timedelta(days=3), "z6-00002": now + timedelta(400)}
    fleet = [
        Device(device_sn, records=5, interval=2 * DAY, sensors=SMALL, subscription_ends=end)
        for device_sn, end in ends.items()
    ]

    run = tap.sync(emulate(*fleet), **V5)

    assert run.exit_code == 0, run.stderr
    (line,) = (line for line in run.stderr.splitlines() if "a subscription that has ended or ends soon: " in line)
    assert "z6-00000 (ended on" in line
    assert "z6-00001 (ends on" in line
    assert "z6-00002" not in line
    (summary,) = (line.partition(SUMMARY)[2] for line in run.stderr.splitlines() if SUMMARY in line)
    told = {device["device_sn"]: device["subscription"] for device in json.loads(summary)["devices"]}
    assert [text and text.rpartition(" on")[0].partition(",")[0] for text in told.values()] == [
        "ended",
        "ends",
        None,
    ]
    rows = {row["device_sn"]: row["subscription_status"] for row in run.records_of("devices")}
    assert rows == {"z6-00000": "expired", "z6-00001": "active", "z6-00002": "active"}


def test_an_idle_run_brings_a_row_for_each_device_and_no_more(emulate: Emulate) -> None:
    """Not asked within the day, no channel was looked at; the newest reading is known all the same."""
    emulator = emulate(*small_fleet(2))
    first = sync(emulator, **V5)
    calls = len(emulator.calls)

    idle = sync(emulator, **V5, state=first.state)

    assert len(emulator.calls) == calls + 1
    assert (idle.records, idle.records_of("sensors")) == ([], [])
    before = {row["device_sn"]: row for row in first.records_of("devices")}
    for row in idle.records_of("devices"):
        same = {name: told for name, told in row.items() if name not in {"calls", "readings_read", "synced_at"}}
        assert same == {name: before[row["device_sn"]][name] for name in same}


def test_a_channel_was_last_seen_when_its_last_reading_was_made(emulate: Emulate) -> None:
    """Also of a probe that was taken away, in a run that brings nothing but what had been missing before that."""
    emulator = emulate(Device("z6-00001", records=60, sensors=SMALL, refits=((58, SMALL[:1]),)))
    emulator.withhold("z6-00001", 50, 51)
    first = sync(emulator, api_version="v5")
    emulator.deliver("z6-00001")
    # The list knows of nothing newer: so that it is asked all the same.
    state = json.loads(json.dumps(first.state))
    for partition in state["bookmarks"]["readings_v5"]["partitions"]:
        del partition["asked"]

    run = sync(emulator, api_version="v5", state=state)

    moments = {seconds(row["timestamp_utc"]) for row in run.records}
    assert {emulator.device("z6-00001").timestamp(mrid) for mrid in (50, 51)} <= moments
    assert emulator.device("z6-00001").timestamp(57) not in moments
    assert channels_of(run.records_of("sensors")) == channels_held_v5(emulator)
