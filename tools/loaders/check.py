"""A load of a small fleet through one loader: what was sent, what is found, and whether it is the same."""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from tap_zentra.v4.readings import READINGS
from tap_zentra.v5.readings import READINGS_V5

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from tools.loaders.kinds import Destination, Row


STREAMS: Mapping[str, Mapping[str, Any]] = {
    "readings": READINGS["properties"],
    "readings_v5": READINGS_V5["properties"],
}
"""Of each stream its columns."""


@dataclass(frozen=True)
class Messages:
    """The output of one run of the tap, of one stream."""

    stream: str
    text: str

    @property
    def records(self) -> list[Row]:
        """The readings that were sent."""
        messages = map(json.loads, self.text.splitlines())
        return [message["record"] for message in messages if message["type"] == "RECORD"]


@dataclass(frozen=True)
class Finding:
    """How a loader got on.

    Attributes:
        name: Of the loader.
        version: Of its package.
        stream: What was loaded.
        sent: Rows of two runs, a backfill and what was new after it.
        found: Rows that are there after them.
        equal: Whether each row that was sent is found with all its values.
        again: Rows that are there after the backfill was sent once more.
        exit_codes: Of the three loads.
        note: What else one should know.
    """

    name: str
    version: str
    stream: str
    sent: int
    found: int
    equal: bool
    again: int
    exit_codes: tuple[int, ...]
    note: str

    @property
    def loses(self) -> bool:
        """Whether rows are missing or altered although the loader says that all is well."""
        return not self.equal

    @property
    def repeated(self) -> str:
        """What rows that come again do."""
        return "replace the same rows" if self.again <= self.found else "are there twice"


def check(destination: Destination, runs: Sequence[Messages], folder: Path) -> Finding:
    """Load a backfill, what is new after it, and the backfill again.

    Args:
        destination: The loader, and a way to read what it has stored.
        runs: Output of the tap: the backfill, and the next run.
        folder: For its configuration and files; empty.
    """
    stream = runs[0].stream
    (folder / "config.json").write_text(json.dumps(destination.config), encoding="utf-8")
    codes = [_load(destination, messages, folder) for messages in runs]
    sent = [record for messages in runs for record in messages.records]
    found = destination.rows(folder, stream)
    codes.append(_load(destination, runs[0], folder))
    return Finding(
        destination.name,
        destination.version,
        stream,
        sent=len(sent),
        found=len(found),
        equal=same_readings(stream, sent, found),
        again=len(destination.rows(folder, stream)),
        exit_codes=tuple(codes),
        note=destination.note,
    )


def same_readings(stream: str, some: Iterable[Mapping[str, Any]], others: Iterable[Mapping[str, Any]]) -> bool:
    """Whether two sets of rows are the same, whatever types a loader has given the values; doubles count."""
    columns = STREAMS[stream]
    return _comparable(columns, some) == _comparable(columns, others)


def _load(destination: Destination, messages: Messages, folder: Path) -> int:
    with (folder / "log").open("a", encoding="utf-8") as log:
        return subprocess.run(  # noqa: S603 - no shell, and nothing that a user typed
            (destination.program, "--config", "config.json"),
            cwd=folder,
            input=messages.text,
            stdout=log,
            stderr=log,
            text=True,
            check=False,
        ).returncode


def _comparable(
    columns: Mapping[str, Any], rows: Iterable[Mapping[str, Any]]
) -> Counter[tuple[tuple[str, object], ...]]:
    return Counter(tuple((name, _canonical(kind, row.get(name))) for name, kind in columns.items()) for row in rows)


def _canonical(column: Mapping[str, Any], value: object) -> object:
    # A CSV file has no other word for null, which a column of the key can't be.
    if value is None or (value == "" and "null" in column["type"]):
        return None
    return _READERS[column.get("format", column["type"][0])](value)


def _moment(value: object) -> datetime:
    moment = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


_READERS: Mapping[str, Any] = {
    "string": str,
    "integer": lambda value: int(str(value)),
    "number": lambda value: float(str(value)),
    "boolean": lambda value: str(value).lower() == "true",
    "date-time": _moment,
    "object": lambda value: None if value == "null" else json.dumps(value, sort_keys=True),
}
