"""A load of a small fleet through one loader: what was sent, what is found, and whether it is the same."""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from tools.loaders.kinds import Destination, Row


STREAMS: Mapping[str, Sequence[str]] = {
    "v4": ("readings", "env_model_data", "devices", "sensors"),
    "v5": ("readings_v5", "devices", "sensors"),
}
"""Of each API its streams."""


@dataclass(frozen=True)
class Messages:
    """The output of one run of the tap.

    Attributes:
        api: What it has read.
        text: The messages, one a line.
    """

    api: str
    text: str

    def records(self, stream: str) -> list[Row]:
        """The records of a stream that were sent."""
        return [message["record"] for message in self._of(stream) if message["type"] == "RECORD"]

    def columns(self, stream: str) -> Mapping[str, Any]:
        """The JSON schema of each column of a stream."""
        return dict(self._schema(stream)["schema"]["properties"])

    def key(self, stream: str) -> tuple[str, ...]:
        """The columns of a stream's key."""
        return tuple(self._schema(stream)["key_properties"])

    def only(self, streams: Sequence[str]) -> Messages:
        """The same run, with some of the streams selected."""
        chosen = [
            line for line in self.text.splitlines(keepends=True) if json.loads(line).get("stream") in {None, *streams}
        ]
        return Messages(self.api, "".join(chosen))

    def _schema(self, stream: str) -> dict[str, Any]:
        return next(message for message in self._of(stream) if message["type"] == "SCHEMA")

    def _of(self, stream: str) -> list[dict[str, Any]]:
        return [message for message in map(json.loads, self.text.splitlines()) if message.get("stream") == stream]


@dataclass(frozen=True)
class Finding:
    """How a loader got on with a stream.

    Attributes:
        name: Of the loader.
        version: Of its package.
        api: What was read.
        stream: What was loaded.
        sent: Records of two runs, a backfill and what was new after it.
        keys: Different keys that these have.
        found: Rows that are there after them.
        equal: Whether what was sent is found with all its values: each record, or of each key the last one.
        again: Rows that are there after the backfill was sent once more.
        exit_codes: Of the loads.
    """

    name: str
    version: str
    api: str
    stream: str
    sent: int
    keys: int
    found: int
    equal: bool
    again: int
    exit_codes: tuple[int, ...]

    @property
    def fails(self) -> bool:
        """Whether the loader ends with an error."""
        return any(self.exit_codes)

    @property
    def loses(self) -> bool:
        """Whether rows are missing or altered although the loader says that all is well."""
        return not self.equal and not self.fails

    @property
    def repeated(self) -> str:
        """What records of a key that is there already do."""
        return "replace the same rows" if self.again <= self.keys else "are there twice"


def check(destination: Destination, runs: Sequence[Messages], folder: Path) -> list[Finding]:
    """Load a backfill, what is new after it, and the backfill again; after that, alone, the streams that it fails on.

    Args:
        destination: The loader, and a way to read what it has stored.
        runs: Output of the tap: the backfill, and the next run.
        folder: For its configuration and files; empty.

    Returns:
        What became of each stream.
    """
    api = runs[0].api
    (folder / "config.json").write_text(json.dumps(destination.config), encoding="utf-8")
    streams = [stream for stream in STREAMS[api] if stream not in destination.fails_on]
    found = _check_together(destination, [messages.only(streams) for messages in runs], streams, folder)
    for stream in destination.fails_on:
        found += _check_together(destination, [messages.only([stream]) for messages in runs], [stream], folder)
    return found


def _check_together(
    destination: Destination, runs: Sequence[Messages], streams: Sequence[str], folder: Path
) -> list[Finding]:
    codes = [_load(destination, messages, folder) for messages in runs]
    found = {stream: destination.rows(folder, stream) for stream in streams}
    codes.append(_load(destination, runs[0], folder))
    return [
        Finding(
            destination.name,
            destination.version,
            runs[0].api,
            stream,
            sent=sum(len(messages.records(stream)) for messages in runs),
            keys=len(_last_of_each_key(runs, stream)),
            found=len(rows),
            equal=same_records(runs, stream, rows),
            again=len(destination.rows(folder, stream)),
            exit_codes=tuple(codes),
        )
        for stream, rows in found.items()
    ]


def same_records(runs: Sequence[Messages], stream: str, rows: Sequence[Mapping[str, Any]]) -> bool:
    """Whether rows are what was sent of a stream, whatever types a loader has given the values.

    Doubles count: rows are all records, or the last one of each key.
    """
    columns = runs[0].columns(stream)
    all_records = [record for messages in runs for record in messages.records(stream)]
    found = _comparable(columns, rows)
    return found in (_comparable(columns, all_records), _comparable(columns, _last_of_each_key(runs, stream)))


def _last_of_each_key(runs: Sequence[Messages], stream: str) -> list[Row]:
    key = runs[0].key(stream)
    last = {tuple(record[name] for name in key): record for messages in runs for record in messages.records(stream)}
    return list(last.values())


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
    return _READERS[kind_of(column)](value)


def kind_of(column: Mapping[str, Any]) -> str:
    """Return what a column holds, given its JSON schema: `date-time`, or its JSON type."""
    return str(column.get("format", column["type"][0]))


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
