"""Syncs of whole fleets: what arrives, in how many calls, and what is left for the next run."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from tap_zentra.emulator import Device, Emulator, Fault, Request, Response
from tap_zentra.emulator.sensors import PROFILE_STATION
from tests.in_process import sync
from tests.support import UNKNOWN, bookmarks, by_key, held, is_schema_of

Emulate = Callable[..., Emulator]

PAGE_SIZE = 40


@dataclass(frozen=True)
class Fleet:
    """Devices, and how the service cuts their pages."""

    devices: list[Device]
    options: dict[str, Any] = field(default_factory=dict)


_MIXED = [
    Device("z6-00001", records=130, sensors=PROFILE_STATION),
    Device("z6-00002", records=60, units_changed_at=35, skip_every=5),
]

FLEETS = {
    "one device": Fleet([Device("z6-00001", records=130)]),
    "12 devices of unequal length": Fleet(
        [Device(f"z6-{number:05}", records=number * 13 % 97) for number in range(1, 13)]
    ),
    "an account that may call three times a window": Fleet(
        [Device(f"z6-{number:05}", records=10 * number) for number in range(1, 6)], {"user_limit": 3}
    ),
    "gaps, pages of records": Fleet(
        [Device("z6-00001", records=200, gaps=((30, 75), (120, 190)))], {"pages": "records"}
    ),
    "gaps, pages of ids": Fleet([Device("z6-00001", records=200, gaps=((30, 75), (81, 190)))], {"pages": "ids"}),
    "a first record that is not number 1": Fleet([Device("z6-00001", records=50, first_mrid=900)]),
    "a profile probe": Fleet([Device("z6-00001", records=50, sensors=PROFILE_STATION)]),
    "a unit change": Fleet([Device("z6-00001", records=90, units_changed_at=35)]),
    "null and NaN": Fleet([Device("z6-00001", records=90, error_rate=0.2)]),
    "a device without records": Fleet([Device("z6-00001", records=0), Device("z6-00002", records=5)]),
    "mrids that are never used": Fleet([Device("z6-00001", records=130, skip_every=7)]),
    "a clock that was unset, and one that was ahead": Fleet(
        [Device("z6-00001", records=130, clock=((40, 45, -500_000_000), (90, 90, 1_262_304_000)))]
    ),
    "a clock that was put back by minutes, sorted by time": Fleet(
        [Device("z6-00001", records=130, clock=((78, 10_000, -1500),))], {"sorting": "time"}
    ),
    "three weeks of silence, pages that end at a date": Fleet(
        [Device("z6-00001", records=130, silences=((60, 30 * 86_400),))], {"page_days": 21}
    ),
} | {f"a service of which {what}": Fleet(_MIXED, options) for what, options in UNKNOWN.items()}


@pytest.mark.parametrize("fleet", FLEETS.values(), ids=FLEETS)
def test_every_reading_arrives_exactly_once_with_equal_values(fleet: Fleet, emulate: Emulate) -> None:
    """What the service holds is what comes out, for every kind of fleet."""
    emulator = emulate(*fleet.devices, **fleet.options)

    run = sync(emulator, page_size=PAGE_SIZE)

    assert run.exit_code == 0, run.stderr
    assert by_key(run.records) == held(emulator)


def test_a_backfill_costs_as_many_calls_as_pages(emulate: Emulate) -> None:
    """Each device is called ⌈records / page_size⌉ times, with no empty call at the end."""
    lengths = {"z6-00001": 80, "z6-00002": 81, "z6-00003": 1, "z6-00004": 39}
    emulator = emulate(*(Device(device_sn, records=records) for device_sn, records in lengths.items()))

    run = sync(emulator, page_size=PAGE_SIZE)

    assert run.exit_code == 0, run.stderr
    expected = {device_sn: math.ceil(records / PAGE_SIZE) for device_sn, records in lengths.items()}
    assert Counter(call.device_sn for call in emulator.calls) == expected


def test_a_second_run_emits_nothing_and_asks_each_device_once(emulate: Emulate) -> None:
    """When nothing is new, a sync costs one call for each device, and the state stays."""
    emulator = emulate(*(Device(f"z6-{number:05}", records=number) for number in range(1, 6)))
    first = sync(emulator, page_size=PAGE_SIZE)
    calls_before = len(emulator.calls)

    second = sync(emulator, state=first.state, page_size=PAGE_SIZE)

    assert second.exit_code == 0, second.stderr
    assert second.records == []
    assert second.state == first.state
    assert sorted(str(call.device_sn) for call in emulator.calls[calls_before:]) == emulator.device_sns


def test_after_growth_exactly_the_new_arrives(emulate: Emulate) -> None:
    """A sync goes on at the bookmark: first run and second run together are the whole fleet, each reading once."""
    emulator = emulate(*(Device(f"z6-{number:05}", records=30 * number) for number in range(1, 4)))
    first = sync(emulator, page_size=PAGE_SIZE)
    emulator.grow(records=55, device_sn="z6-00002")

    second = sync(emulator, state=first.state, page_size=PAGE_SIZE)

    assert second.exit_code == 0, second.stderr
    assert {record["device_sn"] for record in second.records} == {"z6-00002"}
    assert by_key(first.records + second.records) == held(emulator)


def test_a_state_as_meltano_prints_it_goes_on(emulate: Emulate) -> None:
    """Below `singer_state`, and with a serial number in another case than in device_sns: nothing comes twice."""
    emulator = emulate(Device("z6-00001", records=30))
    first = sync(emulator)
    state = {"singer_state": json.loads(json.dumps(first.state).replace("z6-00001", "Z6-00001"))}
    emulator.grow(records=5)

    second = sync(emulator, state=state)

    assert second.exit_code == 0, second.stderr
    assert by_key(first.records + second.records) == held(emulator)
    assert bookmarks(second.state) == {"Z6-00001": 35}


def test_some_devices_can_be_read_again_from_their_start(emulate: Emulate) -> None:
    """The device of reread_device_sns, in whatever case, comes once more as a whole; the others go on."""
    emulator = emulate(*(Device(f"z6-{number:05}", records=30 * number) for number in range(1, 4)))
    first = sync(emulator, page_size=PAGE_SIZE)
    emulator.grow(records=5, device_sn="z6-00003")

    second = sync(emulator, state=first.state, page_size=PAGE_SIZE, reread_device_sns="Z6-00002")

    assert second.exit_code == 0, second.stderr
    assert second.rows.keys() == {"z6-00002", "z6-00003"}
    assert second.rows["z6-00002"] == held(emulator, "z6-00002")
    assert {record["mrid"] for record in second.rows["z6-00003"].values()} == set(range(91, 96))
    assert bookmarks(second.state) == {"z6-00001": 30, "z6-00002": 60, "z6-00003": 95}


def test_a_device_that_is_read_again_begins_at_start_date(emulate: Emulate) -> None:
    """As it does on a first sync."""
    emulator = emulate(Device("z6-00001", records=200, interval=3600))
    first = sync(emulator)
    start = "2026-01-05T00:00:00+00:00"

    second = sync(emulator, state=first.state, reread_device_sns="z6-00001", start_date=start)

    assert second.all_rows == {key: row for key, row in held(emulator).items() if row["timestamp_utc"] >= start}
    assert 0 < len(second.records) < len(first.records)


@pytest.mark.parametrize("max_depth", [1, 3])
def test_flattened_records_keep_fields_that_no_column_knows(max_depth: int, emulate: Emulate) -> None:
    """With flattening `extra` is a column of JSON text, whatever is in it."""
    emulator = emulate(Device("z6-00001", records=2))

    def with_more(request: Request) -> Response:
        response = emulator.answer(request)
        body = json.loads(response.body)
        for entry in (entry for entries in body["data"].values() for entry in entries):
            entry["readings"][0]["quality"] = {"level": [1], "by": {"whom": "x"}}
        return replace(response, body=json.dumps(body).encode())

    emulator.fail(Fault(with_more))
    run = sync(emulator, flattening_enabled=True, flattening_max_depth=max_depth)

    assert run.exit_code == 0, run.stderr
    (schema,) = (message["schema"] for message in run.messages if is_schema_of(message, "readings"))
    assert schema["properties"]["extra"] == {"type": ["string", "null"]}
    assert all(record.keys() == schema["properties"].keys() for record in run.records)
    more = {record["mrid"]: record["extra"] and json.loads(record["extra"]) for record in run.records}
    assert more == {1: {"quality": {"level": [1], "by": {"whom": "x"}}}, 2: None}


def test_start_date_and_end_date_bound_the_readings(emulate: Emulate) -> None:
    """From start_date to end_date, both included, and a later sync without end_date goes on from there."""
    emulator = emulate(Device("z6-00001", records=500, interval=3600, tz_offset=-25200))
    start, end = "2026-01-05T00:00:00+00:00", "2026-01-10T12:00:00+00:00"

    first = sync(emulator, page_size=PAGE_SIZE, start_date=start, end_date=end)
    second = sync(emulator, page_size=PAGE_SIZE, start_date=start, state=first.state)

    assert (first.exit_code, second.exit_code) == (0, 0)
    since_start = {key: row for key, row in held(emulator).items() if row["timestamp_utc"] >= start}
    assert by_key(first.records) == {key: row for key, row in since_start.items() if row["timestamp_utc"] <= end}
    assert by_key(first.records + second.records) == since_start


def _without_digests(state: dict[str, Any]) -> dict[str, Any]:
    """Return a state as 0.1.0 would have left it."""
    old: dict[str, Any] = json.loads(json.dumps(state))
    for partition in old["bookmarks"]["readings"]["partitions"]:
        partition.pop("overlap", None)
        partition.pop("places", None)
    return old


def test_a_state_of_0_1_0_goes_on_without_writing_anything_again(emulate: Emulate) -> None:
    """The digests that it lacks are made, and only what is new is written."""
    emulator = emulate(Device("z6-00001", records=60, sensors=PROFILE_STATION), Device("z6-00002", records=250))
    first = sync(emulator)
    emulator.grow(5)

    second = sync(emulator, state=_without_digests(first.state))
    third = sync(emulator, state=second.state)

    assert by_key(first.records + second.records) == held(emulator)
    assert third.records == []
    assert third.state == second.state


@pytest.mark.parametrize("late_values", ["absent", "null"])
def test_values_that_come_late_arrive_with_the_next_sync(late_values: str, emulate: Emulate) -> None:
    """A newest record that was not complete is written once more, whole, and no other record is."""
    emulator = emulate(Device("z6-00001", records=60, sensors=PROFILE_STATION), late_values=late_values)
    first = sync(emulator)
    emulator.grow(1)

    second = sync(emulator, state=first.state)
    third = sync(emulator, state=second.state)

    assert by_key(first.records) | by_key(second.records) == held(emulator)
    assert {record["mrid"] for record in second.records} == {60, 61}
    assert third.records == []


def test_a_first_sync_keeps_what_a_wrong_clock_has_stamped_before_start_date(emulate: Emulate) -> None:
    """Behind the first record that counts, everything arrives, and the bookmark moves past nothing that did not."""
    emulator = emulate(Device("z6-00001", records=200, clock=((124, 126, -500_000_000),)))

    run = sync(emulator, page_size=PAGE_SIZE, start_date="2026-01-02T00:00:00Z")

    assert run.exit_code == 0
    assert by_key(run.records) == {key: row for key, row in held(emulator).items() if row["mrid"] >= 97}
