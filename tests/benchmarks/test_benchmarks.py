"""The benchmarks' own arithmetic; CI runs their quick form as a whole."""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks.batch import check
from benchmarks.bounds import lower_bound, lower_bound_v5, sequential, sequential_v5
from benchmarks.calls import calls_of_devices, limit_faults, makespan, of_devices, read_calls
from benchmarks.canned import PROTOTYPE, build, readings_in
from benchmarks.output import Messages, missing_faults, readings_told
from benchmarks.tables import Table, judged
from tap_zentra.v4.responses import decode_page, timestamps_by_mrid

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("pages", "windows"),
    [
        ([1], 0),
        ([6], 5),
        ([18] * 60, 17),
        ([1] * 60, 0),
        ([1] * 61, 1),
        ([1] * 200, 3),
        ([40] + [1] * 119, 39),
        ([2, 3] * 60, 4),
    ],
)
def test_the_lower_bound_is_the_longest_device_or_the_accounts_limit(pages: list[int], windows: int) -> None:
    """A device takes a window for each further page, and the account one for each further 60 calls."""
    assert lower_bound(pages, window=2, user_limit=60) == 2 * windows


@pytest.mark.parametrize(
    ("pages", "windows"), [([1], 0), ([6], 5), ([3] * 3, 6), ([18] * 60, 1020), ([1] * 60, 0), ([1] * 200, 3)]
)
def test_a_sequential_client_waits_between_the_pages_of_each_device(pages: list[int], windows: int) -> None:
    """It waits for nothing between two devices, unless the account's limit is met."""
    assert sequential(pages, window=2, user_limit=60) == 2 * windows


@pytest.mark.parametrize(
    ("pages", "windows", "one_by_one"), [([1], 0, 0), ([5], 0, 0), ([20], 15, 15), ([20] * 60, 15, 900), ([1, 7], 2, 2)]
)
def test_the_lower_bound_of_v5_is_the_longest_device(pages: list[int], windows: int, one_by_one: int) -> None:
    """A burst costs nothing, and devices share no limit."""
    assert lower_bound_v5(pages, window=2) == 2 * windows
    assert sequential_v5(pages, window=2) == 2 * one_by_one


def test_a_call_log_tells_makespan_calls_and_broken_limits(tmp_path: Path) -> None:
    """Calls count by their arrival; a 429 breaks a limit only when no fault was asked for."""
    log = tmp_path / "calls.log"
    moments = (
        ("03.5", "a", 200, None),
        ("01.0", "a", 200, None),
        ("02.0", "b", 429, "lockout"),
        ("03.0", "b", 429, None),
    )
    lines = [
        {"time": f"2026-01-01T00:00:{second}00+00:00", "device_sn": device_sn, "status": status, "injected": injected}
        for second, device_sn, status, injected in moments
    ]
    log.write_text("".join(json.dumps(line) + "\n" for line in lines))

    calls = read_calls(log)

    assert of_devices(calls) == calls
    assert makespan(calls) == 2.5
    assert calls_of_devices(calls) == [2, 2]
    assert limit_faults(calls) == ["1 calls broke a limit, the first for b"]
    assert limit_faults(calls[:2]) == []


def record(mrid: int, measurement: str = "Water Content") -> dict[str, Any]:
    """Return a record of a device; only its key matters here."""
    moment = f"2026-01-01T00:00:0{mrid}+00:00"
    place = {"port_number": 1, "measurement": measurement, "sub_sensor_index": 0, "value": 1.5}
    return {"device_sn": "a", "mrid": mrid, "timestamp_utc": moment, **place}


def test_messages_are_counted_by_key_and_state_by_its_bytes() -> None:
    """What came twice is seen to have come twice, what is missing is told, and other streams' records are counted."""
    messages = [
        {"type": "SCHEMA", "stream": "readings", "schema": {}},
        {"type": "RECORD", "stream": "readings", "record": record(1)},
        {"type": "RECORD", "stream": "readings", "record": record(1)},
        {"type": "RECORD", "stream": "devices", "record": {"device_sn": "a"}},
        {"type": "STATE", "value": {"bookmarks": {}}},
    ]
    lines = [json.dumps(message).encode() + b"\n" for message in messages]
    read = Messages()

    read.read(lines)  # type: ignore[arg-type]

    key = ("a", 1, "2026-01-01T00:00:01+00:00", 1, "Water Content", 0)
    assert read.readings == {key: 2}
    assert read.records == {"readings": 2, "devices": 1}
    assert (read.state_bytes, read.total_bytes) == (len(lines[4]), sum(map(len, lines)))
    assert missing_faults(read.readings, {key: 2}) == []
    assert missing_faults(read.readings, {key: 1, (*key[:-1], 1): 1}) == ["1 readings are missing, 1 are too many"]


def test_the_summary_tells_the_readings_of_each_device() -> None:
    """The line for programs is read, whatever stands before it in a log, and not the table for people."""
    stderr = (
        "… | device    state    readings  mrids\n"
        "… | z6-00001  current  48000     1 to 2000\n"
        '… | run summary: {"devices": [{"device_sn": "z6-00001", "readings": 48000}, '
        '{"device_sn": "z6-00002", "readings": 0}]}\n'
        "… | 1 device has sent no readings for more than 24 h: z6-00002 (2.0 d)\n"
    )

    assert readings_told(stderr) == {"z6-00001": 48000, "z6-00002": 0}


def test_canned_pages_are_the_emulators() -> None:
    """Each page goes on where the one before ends, and names the device's newest record."""
    pages = [decode_page(body) for body in build(3, 5)]

    assert [sorted(timestamps_by_mrid(page)) for page in pages] == [
        [1, 2, 3, 4, 5],
        [6, 7, 8, 9, 10],
        [11, 12, 13, 14, 15],
    ]
    assert [page.pagination.max_mrid for page in pages] == [15, 15, 15]
    assert readings_in(3, 5) == sum(
        len(entry.readings) for page in pages for entries in page.data.values() for entry in entries
    )
    assert {entry.metadata.device_sn for entries in pages[0].data.values() for entry in entries} == {PROTOTYPE}


def test_a_bookmark_ahead_of_its_files_is_a_fault(tmp_path: Path) -> None:
    """Every value of each record up to a bookmark must lie in a file that was named before."""
    values = readings_in(1, 1)
    records = [record(mrid, f"measurement {number}") for mrid in (1, 2) for number in range(values)]
    file = tmp_path / "a b.json.gz"
    file.write_bytes(gzip.compress("".join(json.dumps(one) + "\n" for one in records[:-1]).encode()))

    def state(mrid: int) -> dict[str, Any]:
        partition = {"context": {"device_sn": "a"}, "replication_key": "mrid", "replication_key_value": mrid}
        return {"type": "STATE", "value": {"bookmarks": {"readings": {"partitions": [partition]}}}}

    output = tmp_path / "output.jsonl"
    messages = [{"type": "BATCH", "manifest": [file.as_uri()]}, state(1), state(2)]
    output.write_text("".join(json.dumps(message) + "\n" for message in messages))

    readings, states, faults = check(output)

    assert len(readings) == 2 * values - 1
    assert states == 2
    assert faults == ["the bookmark of a is 2, but not all up to it had been written"]


def test_a_table_is_markdown_and_marks_what_was_missed() -> None:
    """A figure above its limit is told to be missed, and only that one."""
    table = Table("Speed", ("what", "ratio"))
    table.add("one", judged(1.04, 1.05, "1.04"))
    table.add("two", judged(1.06, 1.05, "1.06"))

    assert str(table).splitlines() == [
        "### Speed",
        "",
        "| what   | ratio             |",
        "|--------|-------------------|",
        "| one    | 1.04              |",
        "| two    | **1.06** (missed) |",
    ]
