"""BATCH messages: gzipped JSONL files in a folder."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from typing import IO, TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from benchmarks.calls import read_calls
from benchmarks.canned import readings_in
from benchmarks.children import TAP, run
from benchmarks.output import bookmarks, keys_of, messages_of, missing_faults
from benchmarks.services import canned, serial_numbers
from benchmarks.tables import Table

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from benchmarks.output import Key

PAGE_SIZE = 2000


def measure(work: Path, *, quick: bool) -> Table:
    """Measure a sync into files, then read all of them."""
    table = Table("BATCH", ("fleet", "files", "readings/s", "readings/s of CPU", "STATE messages, all true"))
    devices, pages = (2, 1) if quick else (6, 3)
    device_sns = serial_numbers(devices)
    folder, log, output = work / "batches", work / "batch.log", work / "batch.jsonl"
    folder.mkdir()
    config = work / "batch.json"
    encoding = {"format": "jsonl", "compression": "gzip"}
    config.write_text(json.dumps({"batch_config": {"encoding": encoding, "storage": {"root": folder.as_uri()}}}))
    with canned(log, pages=pages, page_size=PAGE_SIZE) as settings:
        done = run(
            TAP,
            "--config=ENV",
            f"--config={config}",
            settings={**settings, "device_sns": json.dumps(device_sns)},
            read=lambda stream: _store(stream, output),
        )
    readings, states, faults = check(output)
    expected = dict.fromkeys(device_sns, readings_in(pages, PAGE_SIZE))
    by_device = Counter(device_sn for device_sn, *_ in readings)
    table.note("BATCH", faults, missing_faults(by_device, expected))
    total = sum(expected.values())
    seconds = done.ended - read_calls(log)[0].time.timestamp()
    files = f"{len(list(folder.iterdir()))}"
    table.add(f"{devices} × {pages}", files, f"{total / seconds:,.0f}", f"{total / done.cpu:,.0f}", f"{states}")
    return table


def check(output: Path) -> tuple[set[Key], int, list[str]]:
    """Look through the messages of a sync into files, and through the files.

    Returns:
        The keys of all readings, the number of STATE messages, and what is wrong: a STATE that was ahead of the
        files named before it, or a reading that came twice.
    """
    readings: set[Key] = set()
    count = states = 0
    mrids: dict[str, Counter[int]] = {}
    faults: list[str] = []
    with output.open("rb") as messages:
        for message in messages_of(messages):
            for url in message.manifest:
                with gzip.open(unquote(urlsplit(url).path)) as file:
                    for key in keys_of(file):
                        readings.add(key)
                        mrids.setdefault(key[0], Counter())[key[1]] += 1
                        count += 1
            if message.type == "STATE":
                states += 1
                faults += _ahead(bookmarks(message.value), mrids)
    if count != len(readings):
        faults.append(f"{count - len(readings)} readings came twice")
    return readings, states, faults


def _ahead(marks: Mapping[str, int], mrids: Mapping[str, Counter[int]]) -> list[str]:
    """Say which bookmarks are ahead of what has been named: every record up to them must be there, and whole."""
    values = readings_in(1, 1)
    return [
        f"the bookmark of {device_sn} is {mark}, but not all up to it had been written"
        for device_sn, mark in marks.items()
        if any(mrids.get(device_sn, Counter())[mrid] != values for mrid in range(1, mark + 1))
    ]


def _store(stream: IO[bytes], path: Path) -> None:
    path.write_bytes(stream.read())
