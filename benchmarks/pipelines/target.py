"""target-postgres alone: what each of its settings brings, and where its time goes."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

from benchmarks.packages import installed
from benchmarks.pipelines import loads
from benchmarks.pipelines.postgres import TURNS, Way, in_turns
from benchmarks.tables import Table
from tools.postgres.server import Warehouse

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from benchmarks.pipelines.loads import Source

PY_SPY = "py-spy==0.4.3"
SAMPLES_A_SECOND = 100

CHANGES: Mapping[str, Mapping[str, object]] = {
    "as in meltano.yml": {},
    "`use_copy: false`": {"use_copy": False},
    "`validate_records: true`": {"validate_records": True},
    "`add_record_metadata: true`, `activate_version: true`": {"add_record_metadata": True, "activate_version": True},
    "`batch_size_rows: 1000`": {"batch_size_rows": 1000},
    "`batch_size_rows: 50000`": {"batch_size_rows": 50_000},
    "`batch_size_rows: 200000`, more than there are": {"batch_size_rows": 200_000},
    "`load_method: upsert`, `hard_delete: true`, `interpret_content_encoding: true`": {
        "load_method": "upsert",
        "hard_delete": True,
        "interpret_content_encoding": True,
    },
    "`sanitize_null_text_characters: true`": {"sanitize_null_text_characters": True},
}
"""Settings of target-postgres that meltano.yml does not have, by what a row calls them."""

OPTIONS = {
    "`synchronous_commit=off`": {"synchronous_commit": "off"},
    "`temp_buffers=64MB`, `work_mem=64MB`": {"temp_buffers": "64MB", "work_mem": "64MB"},
}
"""Settings of its sessions in PostgreSQL, which `sqlalchemy_url` can have."""

STAGES = (
    ("merge: insert what is not there, update what is, in PostgreSQL", "upsert "),
    ("prepare the tables, make and drop the temporary one", "(prepare_table|copy_table_structure|drop_table) "),
    ("write `extra` as JSON", "JSON._make_bind_processor"),
    ("write the other columns with COPY", "_do_copy "),
    ("make rows, and keep the last one of each key", "bulk_insert_records "),
    ("commit", "process_batch "),
    ("decode the messages", "deserialize_json "),
    ("look for moments in each record, and parse them", "_parse_timestamps_in_record "),
    ("the SDK's other steps for each record", "process_lines "),
    ("start", ""),
)
"""What is told of the target's time; the first expression that is found among the functions under way counts."""


def measure_settings(work: Path, *, quick: bool) -> Table:
    """Load the same file with one setting changed after the other, in turns."""
    table = Table(
        "Settings of target-postgres",
        (
            *("settings", "readings/s", "of the first row's", "readings/s of all CPU", "of the first row's"),
            *("bytes a reading", "peak RSS"),
        ),
    )
    # Not many, because the settings are.
    source, messages = _written(work, 1 if quick else 3, 500 if quick else 2000)
    with Warehouse(work / "warehouse") as warehouse:
        ways = _changed(work, warehouse, source, messages)
        taken, held = in_turns(warehouse, ways, table, 1 if quick else TURNS)
    first = next(iter(taken.values()))
    for name, load in taken.items():
        table.add(
            name,
            f"{source.readings / load.seconds:,.0f}",
            f"{first.seconds / load.seconds:.2f}",
            f"{source.readings / load.all_cpu:,.0f}",
            f"{first.all_cpu / load.all_cpu:.2f}",
            f"{held[name].bytes_each:.0f}",
            f"{load.peak_rss / 1e6:.0f} MB",
        )
    return table


def _changed(work: Path, warehouse: Warehouse, source: Source, messages: Path) -> dict[str, Way]:
    url = warehouse.dsn.replace("postgresql:", "postgresql+psycopg:")
    changes = dict(CHANGES)
    for name, options in OPTIONS.items():
        told = "%20".join(f"-c{option}%3D{value}" for option, value in options.items())
        changes[f"{name} for its sessions"] = {"sqlalchemy_url": f"{url}&options={told}"}
    return {
        name: Way(
            lambda schema, change=change: loads.alone(  # type: ignore[misc]
                messages, loads.target_postgres(work, warehouse, schema, **change)
            ),
            source,
        )
        for name, change in changes.items()
    }


def measure_profile(work: Path, *, quick: bool) -> Table:
    """Look many times a second at what target-postgres is doing."""
    table = Table("Where the time of target-postgres goes", ("stage", "of its time"))
    # So many that the start does not count for much.
    source, messages = _written(work, 1 if quick else 10, 500 if quick else 2000)
    samples = work / "samples.txt"
    spy = installed(PY_SPY) / "py-spy"
    recording = (str(spy), "record", "--idle", f"--rate={SAMPLES_A_SECOND}", "--format=raw", f"--output={samples}")
    with Warehouse(work / "warehouse") as warehouse:
        command = loads.target_postgres(work, warehouse, "profile")
        loads.alone(messages, (*recording, "--", *command))
        table.note("profile", loads.stored(warehouse, "profile", source).faults)
    shares = by_stage(samples.read_text(encoding="utf-8"))
    for stage, _ in STAGES:
        table.add(stage, f"{shares[stage] / shares.total():.1%}")
    return table


def by_stage(samples: str) -> Counter[str]:
    """Return how many samples are of each stage.

    Args:
        samples: In each line the functions under way, the outermost first, and how often they were.
    """
    counted: Counter[str] = Counter()
    for line in samples.splitlines():
        functions, _, count = line.rpartition(" ")
        counted[next(stage for stage, sign in STAGES if re.search(sign, functions))] += int(count)
    return counted


def _written(work: Path, devices: int, records: int) -> tuple[Source, Path]:
    source, messages = loads.classic(devices, 1, records), work / "messages.jsonl"
    loads.write(source, messages)
    return source, messages
