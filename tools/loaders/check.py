"""A load of a small fleet through one loader: what was sent, what is found, and whether it is the same."""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
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
        return [message for message in self._messages if message.get("stream") == stream]

    @cached_property
    def _messages(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.text.splitlines()]


@dataclass(frozen=True)
class Difference:
    """A value that a loader has changed, or a record that it has lost.

    Attributes:
        key: Of the record that was sent.
        column: Whose value differs; empty when the record is not there.
        sent: The value that was sent.
        found: The value that is there.
    """

    key: tuple[object, ...]
    column: str = ""
    sent: object = None
    found: object = None


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
        differences: Of each column that differs, the first value and the first null; and the first missing record.
        again: Rows that are there after the backfill was sent once more.
        exit_codes: Of the loads.
        example: Of docs/loaders.md, whose maps were used; if any.
    """

    name: str
    version: str
    api: str
    stream: str
    sent: int
    keys: int
    found: int
    equal: bool
    differences: tuple[Difference, ...]
    again: int
    exit_codes: tuple[int, ...]
    example: str = ""

    @property
    def fails(self) -> bool:
        """Whether the loader ends with an error."""
        return any(self.exit_codes)

    @property
    def loses(self) -> bool:
        """Whether rows are missing or altered although the loader says that all is well."""
        return not self.equal and not self.fails

    @property
    def doubles(self) -> bool:
        """Whether a key is there more than once after two undisturbed runs."""
        return self.found > self.keys

    @property
    def doubles_repeated(self) -> bool:
        """Whether a run that is repeated adds rows of keys that are there already."""
        return self.again > self.found


def check(destination: Destination, runs: Sequence[Messages], folder: Path) -> list[Finding]:
    """Load a backfill, what is new after it, and the backfill again.

    Args:
        destination: The loader, and a way to read what it has stored.
        runs: Output of the tap: the backfill, and the next run.
        folder: For its configuration and files; empty.

    Returns:
        What became of each stream.
    """
    api = runs[0].api
    codes = [load(destination, messages, folder, run) for run, messages in enumerate(runs)]
    found = {stream: destination.rows(folder, stream) for stream in STREAMS[api]}
    codes.append(load(destination, runs[0], folder, len(runs)))
    return [
        Finding(
            destination.name,
            destination.version,
            api,
            stream,
            sent=sum(len(messages.records(stream)) for messages in runs),
            keys=len(_last_of_each_key(runs, stream)),
            found=len(rows),
            equal=same_records(runs, stream, rows),
            differences=tuple(differences(runs, stream, rows)),
            again=len(destination.rows(folder, stream)),
            exit_codes=tuple(codes),
            example=destination.example,
        )
        for stream, rows in found.items()
    ]


def differences(runs: Sequence[Messages], stream: str, rows: Sequence[Mapping[str, Any]]) -> list[Difference]:
    """What is not as it was sent: of each column the first such value and null, and the first record without a row."""
    columns, key = runs[0].columns(stream), runs[0].key(stream)
    # The last one of a key counts.
    there = {tuple(_canonical(columns[name], row.get(name)) for name in key): row for row in rows}
    found: dict[str, Difference] = {}
    for record in _last_of_each_key(runs, stream):
        values = tuple(record[name] for name in key)
        row = there.get(tuple(_canonical(columns[name], record[name]) for name in key))
        if row is None:
            found.setdefault("", Difference(values))
            continue
        for name, kind in columns.items():
            if _canonical(kind, record.get(name)) != _canonical(kind, row.get(name)):
                # A null that became something is another matter than a number with fewer digits.
                found.setdefault(
                    f"{name} {record.get(name) is None}", Difference(values, name, record.get(name), row.get(name))
                )
    return list(found.values())


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


def load(destination: Destination, messages: Messages, folder: Path, run: int) -> int:
    """Send a run's messages through a loader in a folder; return its exit code."""
    config = json.dumps(destination.config).replace("{run}", str(run))
    (folder / "config.json").write_text(config, encoding="utf-8")
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
    known = _READERS[kind_of(column)](value)
    return json.dumps(known, sort_keys=True) if isinstance(known, dict) else known


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
    # Some keep it as text.
    "object": lambda value: json.loads(value) if isinstance(value, str) else value,
}
