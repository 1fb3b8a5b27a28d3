"""What the tap wrote: which readings arrived, and what its summary says; knows not how it was run."""

from __future__ import annotations

import re
from collections import Counter
from typing import IO, TYPE_CHECKING, Any

import msgspec

from tap_zentra.singer.report import SUMMARY

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

Key = tuple[str, int, str, int, str, int]
KeyV5 = tuple[str, str, int, str, str, int]

READINGS = ("readings", "readings_v5")
"""Streams of readings; a run has one of them."""

BLOCK = 1 << 20


class Record(msgspec.Struct):
    """The key of a record."""

    device_sn: str
    mrid: int
    timestamp_utc: str
    port_number: int
    measurement: str
    sub_sensor_index: int

    @property
    def key(self) -> Key:
        """The columns that tell this record from every other."""
        return msgspec.structs.astuple(self)


class RecordV5(msgspec.Struct):
    """The key of a record of `readings_v5`."""

    device_sn: str
    timestamp_utc: str
    port_number: int
    sensor_name: str
    measurement: str
    sub_sensor_index: int

    @property
    def key(self) -> KeyV5:
        """The columns that tell this record from every other."""
        return msgspec.structs.astuple(self)


class Message(msgspec.Struct):
    """The fields of the messages that matter here; what a record holds depends on its stream."""

    type: str
    stream: str = ""
    record: msgspec.Raw = msgspec.Raw()
    manifest: list[str] = []
    value: dict[str, Any] = {}


_DECODE = msgspec.json.Decoder(Message).decode
_DECODE_RECORD = msgspec.json.Decoder(Record).decode


class Messages:
    """Reads all messages of a run.

    Attributes:
        readings: The keys of all records of the readings, as often as they came.
        records: How many records came of each stream, the readings included.
        total_bytes: Of all messages.
        state_bytes: Of the STATE messages among them.
        state: The last STATE.
    """

    def __init__(self, record: type[Record | RecordV5] = Record) -> None:
        self._decode_record = msgspec.json.Decoder(record).decode
        self.readings: Counter[Any] = Counter()
        self.records: Counter[str] = Counter()
        self.total_bytes = 0
        self.state_bytes = 0
        self.state: dict[str, Any] = {}

    def read(self, stream: IO[bytes]) -> None:
        """Take note of a whole output."""
        for line in stream:
            self.total_bytes += len(line)
            message = _DECODE(line)
            if message.type == "RECORD":
                self.records[message.stream] += 1
                if message.stream in READINGS:
                    self.readings[self._decode_record(message.record).key] += 1
            elif message.type == "STATE":
                self.state_bytes += len(line)
                self.state = message.value


class Lines:
    """Counts the lines of a run that writes too much to look at each.

    Attributes:
        count: How many came.
    """

    def __init__(self) -> None:
        self.count = 0

    def read(self, stream: IO[bytes]) -> None:
        """Take note of a whole output."""
        while block := stream.read(BLOCK):
            self.count += block.count(b"\n")


def messages_of(stream: Iterable[bytes]) -> Iterator[Message]:
    """Yield messages, one for each line."""
    return map(_DECODE, stream)


def keys_of(lines: Iterable[bytes]) -> Iterator[Key]:
    """Yield the keys of bare records, one for each line."""
    return (_DECODE_RECORD(line).key for line in lines)


def bookmarks(state: Mapping[str, Any], stream: str = "readings") -> dict[str, Any]:
    """Return each device's bookmark."""
    partitions = state.get("bookmarks", {}).get(stream, {}).get("partitions", [])
    return {part["context"]["device_sn"]: part["replication_key_value"] for part in partitions}


def readings_told(stderr: str) -> dict[str, int]:
    """Return how many readings of each device the summary for programs tells of."""
    (summary,) = re.findall(rf"{SUMMARY}(.*)$", stderr, re.MULTILINE)
    return {device["device_sn"]: device["readings"] for device in msgspec.json.decode(summary)["devices"]}


def missing_faults(found: Mapping[Any, int], expected: Mapping[Any, int]) -> list[str]:
    """Say what is missing and what is too much: of records by their keys, or of devices' numbers of records."""
    lost = sum((Counter(expected) - Counter(found)).values())
    extra = sum((Counter(found) - Counter(expected)).values())
    return [f"{lost} readings are missing, {extra} are too many"] if lost or extra else []
