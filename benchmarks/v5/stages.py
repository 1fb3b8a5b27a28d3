"""Where the time of a month goes, from its body to RECORD lines.

`python -m benchmarks.v5.stages BODY RESULT`, output to the null device: in a process of its own, as `ways`.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import click

from benchmarks.children import run
from benchmarks.tables import Table
from benchmarks.v5.months import KINDS, build
from benchmarks.v5.page import IDENTIFIED, PLAIN
from benchmarks.v5.ways import EXTRACTED, STREAM, new_reader
from tap_zentra.singer.writer import Writer

ROUNDS = 6
"""Of which the first one also pays for the memory that all others use again."""

STAGES = ("decode and check all rows, digests of the look-back", "make the records", "encode and write the messages")


def measure(work: Path, *, quick: bool) -> Table:
    """Measure the stages of a month without and with ids in its rows."""
    kind = KINDS["quarter-hours" if quick else "five-minutes"]
    seconds = {}
    for name in (PLAIN, IDENTIFIED):
        body, result = work / name, work / f"{name}.json"
        [content] = build(kind, 1, identified=name == IDENTIFIED)
        body.write_bytes(content)
        run(sys.executable, "-m", "benchmarks.v5.stages", str(body), str(result))
        seconds[name] = json.loads(result.read_text())
    table = Table("v5: where the time of a page goes", ("stage, seconds of CPU", *seconds))
    for number, stage in enumerate(STAGES):
        table.add(stage, *(f"{taken[number]:.3f}" for taken in seconds.values()))
    table.add("together", *(f"{sum(taken):.3f}" for taken in seconds.values()))
    return table


def stages(body: bytes) -> list[float]:
    """Return the seconds that each stage takes."""
    reader, writer = new_reader(), Writer()
    begun = time.process_time()
    page = reader.take(body)
    taken = time.process_time()
    written = 0.0
    for part in page.parts():
        at = time.process_time()
        writer.write_records(STREAM, part.records, EXTRACTED)
        written += time.process_time() - at
    return [taken - begun, time.process_time() - taken - written, written]


@click.command()
@click.argument("body", type=click.Path(path_type=Path))
@click.argument("result", type=click.Path(path_type=Path))
def main(body: Path, result: Path) -> None:
    """Measure the stages of a page, and write the least seconds of each into a file."""
    content = body.read_bytes()
    rounds = [stages(content) for _ in range(ROUNDS)][1:]
    result.write_text(json.dumps([min(one) for one in zip(*rounds, strict=True)]))


if __name__ == "__main__":
    main()
