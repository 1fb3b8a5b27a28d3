"""The benchmarks of API v5: their bodies, their fleets, and what they count."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from benchmarks.calls import of_devices, read_calls, refused
from benchmarks.output import Messages, RecordV5, bookmarks, missing_faults
from benchmarks.v5.months import KINDS, build, first_day, readings_in
from benchmarks.v5.services import devices, expected_keys
from benchmarks.v5.ways import parts
from tap_zentra.emulator import Emulator, Request
from tap_zentra.v5.responses import decode_page

if TYPE_CHECKING:
    from pathlib import Path

KEY = ("a", "2026-01-01T00:00:01+00:00", 1, "TEROS 12", "Water Content", 0)


def test_months_are_the_emulators() -> None:
    """Each is a calendar month, names the one that follows by its number, and the last one names none."""
    kind = KINDS["quarter-hours"]

    pages = [decode_page(body) for body in build(kind, 3)]

    assert [page.next_token for page in pages] == ["1", "2", None]
    assert [len(page.moments) for page in pages] == [31 * 96, 30 * 96, 31 * 96]
    assert pages[0].moments[0] == first_day(3).timestamp()
    assert sum(len(page[second].values) for page in pages for second in page.moments) == readings_in(kind, 3)


def test_a_five_minute_device_has_a_page_of_the_size_that_the_goals_are_about() -> None:
    """Thirty series, each read every five minutes."""
    assert readings_in(KINDS["five-minutes"], 1) == 31 * 288 * 30


@pytest.mark.parametrize("identified", [False, True])
def test_the_tap_makes_a_record_of_each_value(*, identified: bool) -> None:
    """What is measured is a whole page; with ids and positions in each row if it is said so."""
    kind = KINDS["quarter-hours"]

    (body,) = build(kind, 1, identified=identified)
    records = [record for part in parts(body) for record in part]

    assert len(records) == readings_in(kind, 1)
    assert list(records[0]) == list(records[-1])
    assert all(("reading_id" in (record["extra"] or {})) is identified for record in records)
    assert body.count(b'"position":') == body.count(b'"reading_id":') == identified * len(records)


def test_the_emulator_of_a_fleet_has_as_many_pages_as_months() -> None:
    """The end of what is asked for lies in the last one."""
    months = [1, 2, 14]
    fleet = devices(months)
    with_pages = {device.device_sn: first_day(count).timestamp() for device, count in zip(fleet, months, strict=True)}

    assert {device.device_sn: device.timestamp(1) for device in fleet} == with_pages
    assert sum(expected_keys(months).values()) == sum(device.records * (len(device.series) + 1) for device in fleet)
    assert Emulator(fleet).answer(Request("/v5/devices/z6-00001/data", {"window": "1h"})).status == 200


@pytest.mark.parametrize("times", [1, 2])
def test_messages_of_v5_are_counted_by_key(times: int) -> None:
    """The key is that of `readings_v5`, and so are the bookmarks."""
    names = ("device_sn", "timestamp_utc", "port_number", "sensor_name", "measurement", "sub_sensor_index")
    partition = {"context": {"device_sn": "a"}, "replication_key_value": KEY[1]}
    messages = [
        *[{"type": "RECORD", "stream": "readings_v5", "record": dict(zip(names, KEY, strict=True))}] * times,
        {"type": "STATE", "value": {"bookmarks": {"readings_v5": {"partitions": [partition]}}}},
    ]
    read = Messages(RecordV5)

    read.read(json.dumps(message).encode() + b"\n" for message in messages)  # type: ignore[arg-type]

    assert read.readings == {KEY: times}
    assert missing_faults(read.readings, Counter([KEY])) == (
        [] if times == 1 else ["0 readings are missing, 1 are too many"]
    )
    assert bookmarks(read.state, "readings_v5") == {"a": KEY[1]}


def test_calls_of_the_device_list_are_none_of_a_device(tmp_path: Path) -> None:
    """A makespan is that of the readings; a refused call of the list is refused all the same."""
    log = tmp_path / "calls.log"
    moment = "2026-01-01T00:00:00+00:00"
    lines = [{"time": moment, "device_sn": None, "status": 429}, {"time": moment, "device_sn": "a", "status": 200}]
    log.write_text("".join(json.dumps(line) + "\n" for line in lines))

    calls = read_calls(log)

    assert [call.device_sn for call in of_devices(calls)] == ["a"]
    assert len(refused(calls)) == 1
