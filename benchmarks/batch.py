"""BATCH messages: gzipped JSONL files in a folder, beside those of the SDK's own batcher for the same records."""

from __future__ import annotations

import gzip
import json
import statistics
import sys
from collections import Counter
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from benchmarks.calls import read_calls
from benchmarks.canned import readings_in
from benchmarks.children import TAP, run
from benchmarks.output import bookmarks, keys_of, messages_of, missing_faults
from benchmarks.services import canned, serial_numbers
from benchmarks.tables import Table, judged
from benchmarks.throughput import reference

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from benchmarks.output import Key

PAGE_SIZE = 2000
TO_REACH = 3
"""Times what the SDK's batcher makes of the same records."""

WAYS = {"tap": (TAP,), "tap, with the SDK's batcher": (sys.executable, "-m", "benchmarks.sdk_batcher")}


@dataclass(frozen=True)
class Sync:
    """What a sync into files took.

    Attributes:
        cpu: Seconds of computing.
        seconds: From the first call's arrival to the run's end.
        files: How many it wrote.
        size: Bytes of all of them.
        states: STATE messages among its output.
    """

    cpu: float
    seconds: float
    files: int
    size: int
    states: int


def measure(work: Path, *, quick: bool) -> Table:
    """Measure syncs into files, by the tap's batcher and by the SDK's in turn; medians count."""
    table = Table(
        "BATCH",
        (
            "what",
            "fleet",
            "files",
            "bytes a reading",
            "STATE messages, all true",
            "readings/s",
            "readings/s of CPU",
            "tap, of it by time",
            "by CPU",
            "to reach",
        ),
    )
    devices, pages, rounds = (2, 1, 1) if quick else (6, 3, 3)
    total = devices * readings_in(pages, PAGE_SIZE)
    syncs: dict[str, list[Sync]] = {name: [] for name in WAYS}
    alone: dict[str, list[float]] = {"batches": [], "sdk-batches": []}
    for number in range(rounds):
        for name, command in WAYS.items():
            folder = work / f"{number}-{len(command)}"
            folder.mkdir()
            sync, faults = _sync(folder, command, devices, pages)
            table.note(name, faults)
            syncs[name].append(sync)
        for way, found in alone.items():
            found.append(reference(work, way, 1))
    rates = {name: _rates(total, some) for name, some in syncs.items()}
    tap = rates["tap"]
    for name, (by_time, by_cpu) in rates.items():
        last = syncs[name][-1]
        table.add(
            name,
            f"{devices} × {pages}",
            f"{last.files}",
            f"{last.size / total:.1f}",
            f"{last.states}",
            f"{by_time:,.0f}",
            f"{by_cpu:,.0f}",
            *(("", "", "") if name == "tap" else (_times(tap[0] / by_time), _times(tap[1] / by_cpu), f"≥ {TO_REACH}")),
        )
    for way, name in (
        ("batches", "tap's batcher alone, from memory"),
        ("sdk-batches", "SDK's batcher alone, from memory"),
    ):
        rate = statistics.median(alone[way])
        table.add(name, *[""] * 5, f"{rate:,.0f}", "", f"{tap[1] / rate:.2f}", "")
    return table


def _times(ratio: float) -> str:
    return judged(-ratio, -TO_REACH, f"{ratio:.2f}")


def _rates(readings: int, syncs: Sequence[Sync]) -> tuple[float, float]:
    """Return readings a second, and a second of CPU."""
    return (
        statistics.median(readings / sync.seconds for sync in syncs),
        statistics.median(readings / sync.cpu for sync in syncs),
    )


def _sync(work: Path, command: Sequence[str], devices: int, pages: int) -> tuple[Sync, list[str]]:
    """Sync into files, then read all of them.

    Returns:
        What it took, and what is wrong.
    """
    device_sns = serial_numbers(devices)
    folder, log, output, config = (work / name for name in ("batches", "batch.log", "batch.jsonl", "batch.json"))
    folder.mkdir()
    encoding = {"format": "jsonl", "compression": "gzip"}
    config.write_text(json.dumps({"batch_config": {"encoding": encoding, "storage": {"root": folder.as_uri()}}}))
    with canned(log, pages=pages, page_size=PAGE_SIZE) as settings:
        done = run(
            *command,
            "--config=ENV",
            f"--config={config}",
            settings={**settings, "device_sns": json.dumps(device_sns)},
            read=lambda stream: _store(stream, output),
        )
    readings, states, faults = check(output)
    by_device = Counter(device_sn for device_sn, *_ in readings)
    faults += missing_faults(by_device, dict.fromkeys(device_sns, readings_in(pages, PAGE_SIZE)))
    seconds = done.ended - read_calls(log)[0].time.timestamp()
    sizes = [file.stat().st_size for file in folder.iterdir()]
    return Sync(done.cpu, seconds, len(sizes), sum(sizes), states), faults


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
