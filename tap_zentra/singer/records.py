"""The compact form of readings: one record for each device and time, with its readings as an array; knows no API."""

from __future__ import annotations

import sys
from operator import itemgetter
from typing import TYPE_CHECKING, Any, ClassVar

from tap_zentra.singer.stream import AccountType, FleetStream, Purpose

if sys.version_info >= (3, 12):
    from typing import override
else:
    from typing_extensions import override

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from singer_sdk import Tap

    from tap_zentra.singer.pages import DeviceProgress, Part

READINGS = "readings"
"""The column that has the readings."""


class Gathering:
    """Readings of one page, which become records: those of the same device and time belong together."""

    def __init__(self, key: Sequence[str], shared: Sequence[str]) -> None:
        """Start with no reading.

        Args:
            key: Columns by which records are told apart.
            shared: Columns that readings of a record mostly have in common, the key among them.
        """
        self._key = itemgetter(*key)
        self._shared = shared
        self._records: dict[tuple[Any, ...], dict[str, Any]] = {}

    def add(self, readings: Iterable[dict[str, Any]]) -> None:
        """Put readings where they belong; of each stays what its record does not say, and is not null."""
        for reading in readings:
            key = self._key(reading)
            record = self._records.get(key)
            if record is None:
                record = self._records[key] = {name: reading[name] for name in self._shared}
                record[READINGS] = []
            record[READINGS].append(
                {name: told for name, told in reading.items() if told is not None and told != record.get(name)}
            )

    def take(self) -> list[dict[str, Any]]:
        """Return the records, and start anew."""
        records = list(self._records.values())
        self._records = {}
        return records


class RecordsStream(FleetStream[AccountType]):
    """A stream of readings, in the compact form."""

    shared: ClassVar[Sequence[str]]
    """Columns that readings of a record mostly have in common, the key among them."""

    def __init__(self, tap: Tap, account: Callable[[], AccountType]) -> None:
        super().__init__(tap, account)
        self._gathering = Gathering(self.primary_keys, self.shared)

    @override
    def write_part(self, device: DeviceProgress, part: Part, *, write_messages: bool) -> list[dict[str, Any]]:
        """Write records once all parts have come that may have readings of theirs: that is where a bookmark moves."""
        if self.purpose is not Purpose.WRITTEN:
            return []
        self._gathering.add(part.records)
        if part.bookmark is None:
            return []
        records = self._gathering.take()
        written = self.write_some(records, write_messages=write_messages)
        device.readings += sum(len(record[READINGS]) for record in records[: len(written)])
        return written


def columns_of(columns: dict[str, Any], shared: Sequence[str]) -> dict[str, Any]:
    """Return the JSON schema of the compact form of a stream.

    Args:
        columns: JSON schema of the stream with one record for each reading.
        shared: Columns of it that readings of a record mostly have in common, the key among them.
    """
    properties = columns["properties"]
    rest = ", ".join(f"`{name}`" for name in properties if name not in shared)
    readings = {
        # Without `items`: loaders make one column of JSON of it, and not an array of the database, which is slower.
        "type": ["array", "null"],
        "description": f"Readings of the record, one object each: {rest}, as far as they are not null; and each of the "
        "other columns in which the reading differs from the record.",
    }
    return {
        **columns,
        "properties": {**{name: properties[name] for name in shared}, READINGS: readings},
        "required": [name for name in columns["required"] if name in shared],
    }
