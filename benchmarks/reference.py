"""What the same work costs otherwise: msgspec alone, the SDK's default path, batchers alone. Runs in its own process.

`python -m benchmarks.reference msgspec|sdk|batches|sdk-batches RESULT --pages N`, output to the null device.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import click
import msgspec
from singer_sdk import Stream, Tap
from singer_sdk import typing as th
from singer_sdk.contrib.batch_encoder_jsonl import JSONLinesBatcher
from singer_sdk.helpers._batch import BatchConfig

from benchmarks.canned import PROTOTYPE, build
from tap_zentra.singer.batch import GzipBatcher
from tap_zentra.v4.places import Places
from tap_zentra.v4.readings import READINGS, READINGS_KEY, reading_records
from tap_zentra.v4.responses import decode_page, timestamps_by_mrid

if sys.version_info >= (3, 12):
    from typing import override
else:
    from typing_extensions import override

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from singer_sdk.batch import BaseBatcher

RECORDS = 2000


class MemoryStream(Stream):
    """Records from memory, written as the SDK does by default.

    Attributes:
        records: The records.
    """

    name = "readings"
    schema: ClassVar[dict[str, Any]] = READINGS
    primary_keys = READINGS_KEY
    replication_key = "mrid"
    records: ClassVar[list[dict[str, Any]]] = []

    @property
    @override
    def partitions(self) -> list[dict[str, Any]]:
        return [{"device_sn": PROTOTYPE}]

    @override
    def get_records(self, context: Mapping[str, Any] | None) -> Iterable[dict[str, Any]]:
        return self.records


class MemoryTap(Tap):
    """One stream, from memory."""

    name = "tap-memory"
    config_jsonschema = th.PropertiesList().to_dict()

    @override
    def discover_streams(self) -> list[Stream]:
        return [MemoryStream(self)]


def seconds_of_msgspec(bodies: list[bytes], records: list[dict[str, Any]]) -> float:
    """Return the seconds that msgspec takes to decode bodies, untyped, and to encode the messages of their records."""
    encoder = msgspec.json.Encoder()
    extracted = "2026-01-01T00:00:00+00:00"
    messages = [
        {"type": "RECORD", "stream": "readings", "record": record, "time_extracted": extracted} for record in records
    ]
    portions = [messages[first : first + 1000] for first in range(0, len(messages), 1000)]
    begun = time.process_time()
    for body in bodies:
        msgspec.json.decode(body)
    for portion in portions:
        sys.stdout.buffer.write(encoder.encode_lines(portion))
    return time.process_time() - begun


def seconds_of_sdk(records: list[dict[str, Any]]) -> float:
    """Return the seconds that the SDK's default path takes for records."""
    MemoryStream.records = records
    tap = MemoryTap(config={})
    begun = time.process_time()
    tap.sync_all()
    return time.process_time() - begun


def seconds_of_batches(kind: type[BaseBatcher], records: list[dict[str, Any]]) -> float:
    """Return the seconds that a batcher takes for records."""
    with tempfile.TemporaryDirectory() as folder:
        storage = {"root": Path(folder).as_uri()}
        config = BatchConfig.from_dict({"encoding": {"format": "jsonl", "compression": "gzip"}, "storage": storage})
        begun = time.process_time()
        for _ in kind("tap-memory", "readings", config).get_batches(iter(records)):
            pass
        return time.process_time() - begun


SECONDS_OF: dict[str, Callable[[list[dict[str, Any]]], float]] = {
    "sdk": seconds_of_sdk,
    "batches": partial(seconds_of_batches, GzipBatcher),
    "sdk-batches": partial(seconds_of_batches, JSONLinesBatcher),
}
"""The ways that begin with the records."""


@click.command()
@click.argument("way", type=click.Choice(["msgspec", *SECONDS_OF]))
@click.argument("result", type=click.Path(path_type=Path))
@click.option("--pages", type=int, required=True)
def main(way: str, result: Path, pages: int) -> None:
    """Measure one way and write its readings a second into a file."""
    # NaN, which is not JSON, is nothing for msgspec.
    bodies = [body.replace(b'"value":NaN', b'"value":null') for body in build(pages, RECORDS)]
    pages_of_readings = [decode_page(body) for body in bodies]
    records = [
        record
        for page in pages_of_readings
        for record in reading_records(Places().series(page), PROTOTYPE, wanted=timestamps_by_mrid(page))
    ]
    seconds = seconds_of_msgspec(bodies, records) if way == "msgspec" else SECONDS_OF[way](records)
    result.write_text(json.dumps(len(records) / seconds))


if __name__ == "__main__":
    main()
