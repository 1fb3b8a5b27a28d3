"""From the body of a month to RECORD lines: the tap, and msgspec alone. Runs in a process of its own.

`python -m benchmarks.v5.ways tap|msgspec BODY RESULT`, output to the null device.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click
import msgspec

from benchmarks.v5.months import END, PROTOTYPE
from tap_zentra.settings import read_settings
from tap_zentra.singer.writer import Writer
from tap_zentra.v5.readings import ReadingsReader

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tap_zentra.v5.api import Api

STREAM = "readings_v5"
EXTRACTED = "2026-01-01T00:00:00+00:00"
NOW = 1_767_225_600.0
"""The end of the month, so that its last days are read again by the next sync."""

AT_ONCE = 1000


def new_reader() -> ReadingsReader:
    """Return the tap's reader of a device that was never read before; it makes no call."""
    settings = read_settings({"auth_token": "benchmark", "api_version": "v5", "end_date": END})
    return ReadingsReader(PROTOTYPE, cast("Api", None), settings, bookmark=None, listed=None, now=NOW)


def parts(body: bytes) -> Iterator[list[dict[str, Any]]]:
    """Yield the records that the tap makes of a page of a device that was never read before, part by part."""
    bookmark = None
    for part in new_reader().take(body).parts():
        yield part.records
        bookmark = part.bookmark
    if bookmark is not None:  # asked for within a page only when STATE is due
        bookmark()


def seconds_of_tap(body: bytes) -> float:
    """Return the seconds that the tap takes from a page to its records, written."""
    writer = Writer()
    begun = time.process_time()
    for records in parts(body):
        writer.write_records(STREAM, records, EXTRACTED)
    return time.process_time() - begun


def seconds_of_msgspec(body: bytes) -> float:
    """Return the seconds that msgspec takes to decode a page, untyped, and to encode the messages of its records."""
    encoder = msgspec.json.Encoder()
    messages = [
        {"type": "RECORD", "stream": STREAM, "record": record, "time_extracted": EXTRACTED}
        for records in parts(body)
        for record in records
    ]
    portions = [messages[first : first + AT_ONCE] for first in range(0, len(messages), AT_ONCE)]
    begun = time.process_time()
    msgspec.json.decode(body)
    for portion in portions:
        sys.stdout.buffer.write(encoder.encode_lines(portion))
    return time.process_time() - begun


@click.command()
@click.argument("way", type=click.Choice(["tap", "msgspec"]))
@click.argument("body", type=click.Path(path_type=Path))
@click.argument("result", type=click.Path(path_type=Path))
def main(way: str, body: Path, result: Path) -> None:
    """Measure one way, and write its seconds into a file.

    The second time counts: the first page of a process also pays for the memory that all others use again.
    """
    measure = seconds_of_tap if way == "tap" else seconds_of_msgspec
    content = body.read_bytes()
    measure(content)
    result.write_text(json.dumps(measure(content)))


if __name__ == "__main__":
    main()
