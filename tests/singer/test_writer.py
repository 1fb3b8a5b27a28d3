"""Writer: Singer messages on standard output, and how many bytes went where."""

from __future__ import annotations

import io
import json
import sys
from datetime import UTC, datetime
from typing import Any, cast

import pytest
from singer_sdk.contrib.msgspec import MsgSpecWriter
from singer_sdk.singerlib import RecordMessage, StateMessage
from typing_extensions import override

from tap_zentra.singer.writer import OutputClosedError, Writer

EXTRACTED = datetime(2026, 1, 31, 12, 0, 0, 5, tzinfo=UTC)
RECORDS: list[dict[str, Any]] = [
    {"device_sn": "z6-1", "mrid": 112799, "value": 17.4, "units": "°C", "error_flag": False, "extra": None},
    {"device_sn": "z6-1", "mrid": 2**63 - 1, "value": 1, "units": None, "extra": {"b": [1, {"c": 'quote " and \\'}]}},
    {"device_sn": "z6-1", "mrid": 0, "value": -0.0, "units": "line\nbreak \u2028 and \U0001f321", "extra": {}},
    {"device_sn": "z6-1", "mrid": 1, "value": 1e-300, "units": "", "extra": {"big": 10**30}},
]


def _lines(output: bytes) -> list[dict[str, Any]]:
    assert output.endswith(b"\n")

    messages = [json.loads(line) for line in output.decode().split("\n")[:-1]]
    for message in messages:
        if "time_extracted" in message:
            message["time_extracted"] = datetime.fromisoformat(message["time_extracted"])
    return messages


def test_records_are_written_as_the_sdk_writes_them(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    """Many records in one go are the lines that the SDK's writer makes of each, one by one."""
    for record in RECORDS:
        MsgSpecWriter().write_message(RecordMessage(stream="readings", record=record, time_extracted=EXTRACTED))
    one_by_one = capsysbinary.readouterr().out
    Writer().write_records("readings", RECORDS, EXTRACTED.isoformat())
    in_one_go = capsysbinary.readouterr().out

    assert _lines(one_by_one) == _lines(in_one_go)
    assert len(RECORDS) == len(_lines(in_one_go))


def test_a_single_message_is_written_as_the_sdk_writes_it(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    """Messages other than many records are the SDK's, byte for byte."""
    message = StateMessage({"bookmarks": {"readings": {"partitions": []}}})
    MsgSpecWriter().write_message(message)
    of_the_sdk = capsysbinary.readouterr().out
    Writer().write_message(message)

    assert of_the_sdk == capsysbinary.readouterr().out


def test_no_records_write_nothing(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    """An empty portion leaves no line."""
    writer = Writer()
    writer.write_records("readings", [], EXTRACTED.isoformat())

    assert capsysbinary.readouterr().out == b""
    assert writer.bytes_written == 0


def test_bytes_are_counted(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    """What was written is known to the byte, and the STATE messages' share of it."""
    writer = Writer()
    writer.write_records("readings", RECORDS, EXTRACTED.isoformat())
    writer.write_message(StateMessage({"bookmarks": {"é": 1}}))
    of_states = len('{"type":"STATE","value":{"bookmarks":{"é":1}}}\n'.encode())

    assert len(capsysbinary.readouterr().out) == writer.bytes_written
    assert of_states == writer.state_bytes


def test_the_first_state_is_cheap() -> None:
    """Nobody knows yet how long a STATE message is."""
    assert Writer().state_is_cheap


@pytest.mark.usefixtures("capsysbinary")
def test_a_state_is_cheap_while_states_keep_to_their_share() -> None:
    """One more STATE as long as the last must leave all of them at a twentieth of the output."""
    writer = Writer()
    writer.write_message(StateMessage({"bookmarks": {}}))
    state = writer.state_bytes

    cheap = []
    while writer.bytes_written <= 40 * state + 1000:
        cheap.append((writer.state_is_cheap, 2 * state <= 0.05 * writer.bytes_written))
        writer.write_records("readings", RECORDS[:1], EXTRACTED.isoformat())

    assert cheap[0] == (False, False)
    assert cheap[-1] == (True, True)
    assert [expected for _, expected in cheap] == [actual for actual, _ in cheap]


class _Output(io.RawIOBase):
    """A file that takes a few bytes at a time, as an interrupted write does."""

    def __init__(self) -> None:
        self.taken = b""

    @override
    def write(self, b: Any, /) -> int:
        few = bytes(b[:7])
        self.taken += few
        return len(few)


class _ClosedPipe(io.RawIOBase):
    """A pipe whose reader has gone."""

    @override
    def write(self, b: object, /) -> int:
        raise BrokenPipeError


def _stdout(raw: io.RawIOBase) -> io.TextIOWrapper:
    """Return a standard output without a buffer of its own, as with PYTHONUNBUFFERED."""
    return io.TextIOWrapper(cast("io.BufferedWriter", raw), write_through=True)


def test_a_short_write_is_gone_on_with(monkeypatch: pytest.MonkeyPatch) -> None:
    """A line that went out in part is written to its end."""
    output = _Output()
    monkeypatch.setattr(sys, "stdout", _stdout(output))
    writer = Writer()
    writer.write_records("readings", RECORDS, EXTRACTED.isoformat())

    assert [message["record"] for message in _lines(output.taken)] == RECORDS
    assert len(output.taken) == writer.bytes_written


def test_a_closed_output_is_told_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """When the reader has gone, the run ends with a reason and counts nothing as written."""
    monkeypatch.setattr(sys, "stdout", _stdout(_ClosedPipe()))
    writer = Writer()

    with pytest.raises(OutputClosedError, match="the target closed the pipe"):
        writer.write_records("readings", RECORDS, EXTRACTED.isoformat())
    assert writer.bytes_written == 0
