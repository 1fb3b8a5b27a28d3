"""`python -m tools.loaders`: checks all loaders, and writes docs/loaders.md."""

from __future__ import annotations

import json
import tempfile
from collections import defaultdict
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from tools.documents import example_in
from tools.loaders.check import STREAMS, check
from tools.loaders.environments import Environments
from tools.loaders.kinds import clickhouse_destination, destinations, parquet_destination
from tools.loaders.project import PROJECT
from tools.loaders.runs import many_readings, two_runs
from tools.loaders.services import clickhouse, s3
from tools.loaders.speed import readings_per_second
from tools.postgres.server import Warehouse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from tools.loaders.check import Difference, Finding
    from tools.loaders.kinds import Destination

HEAD = """\
# Loaders checked with this tap

Made by `.venv/bin/python -m tools.loaders`. It sends the tap's output through each loader: a backfill, then what is new
in the next run. It reads back what is stored and compares it with what was sent, value by value, in all streams. Then
it sends the backfill once more, as happens when a run is killed before its state is saved.

- **values equal**: whether every record is stored with the values that were sent; otherwise the streams with records
  that are missing or changed, as [shown below](#values-that-differ).
- **duplicated by the next run**: streams in which some key is stored twice after two undisturbed runs. Readings never
  are: what a run reads again is sent only if it has changed. But each run sends `devices` and `sensors` anew, and the
  newest day of `env_model_data` again; a loader that appends keeps the old row as well, and the last one counts.
- **duplicated by a repeated run**: the same after the backfill was sent a second time.
- **readings/s**: relative to the first row, with v4: the median of three loads of the same 19,200 readings, all loaders
  in turn on one machine. Starting the loader counts too.

"""
FOOT = """
## What to know of these

- **target-jsonl, meltanolabs-target-csv, target-avro, plinxore-target-s3.** They append: nothing is ever replaced, so
  a reading that was corrected, or sent by a run that is repeated, is stored a second time. Keep the last row of each
  key when you read the files.
- **meltanolabs-target-csv.** Give it a new file for each run (`file_naming_scheme`); otherwise the next run empties the
  file. `extra` is written as Python writes it, not as JSON.
- **target-avro.** Give it a new `prefix` for each run; otherwise the next run empties the file. Install `setuptools<81`
  beside it, and set `disable_collection`, or it reports each run to its makers. It can't store `extra`.
- **plinxore-target-s3.** Checked with Parquet files and moto, which stands for S3. Moments are stored with
  milliseconds. It can't store `extra`.
- **shaped-target-clickhouse.** Do not use it for readings: **a value of null becomes 0**, so a sensor that did not
  respond seems to have measured 0, and `value` becomes a 32-bit float, which keeps about 7 digits. Checked with chDB,
  the engine of ClickHouse 26.5, behind the HTTP interface; rows were read with `final`. Set `engine_type` to
  `ReplacingMergeTree`; by default, rows that come again are duplicated. Install `setuptools<81` beside it.
- **target-duckdb.** Do not use version 0.8.0: with duckdb 1.1 and newer it takes the first row of each batch for a
  header and loses it, with exit code 0. Load into files with target-jsonl instead; DuckDB reads them as a table.

### Maps that some loaders need

Without them, a run with these streams ends with an error. Each goes below `name: tap-zentra`.

**pipelinewise-target-postgres, target-duckdb** write an empty text as null. The key of `sensors` has empty texts where
the service names no serial number, kind of sensor or units. Give them a word:

<!-- example: words -->
```yaml
config:
  stream_maps:
    sensors:
      sensor_name: sensor_name or 'none'
      sensor_sn: sensor_sn or 'none'
      units: units or 'none'
```

**target-avro, plinxore-target-s3** can't store an object whose fields the schema does not name. Leave `extra` out:

<!-- example: objects -->
```yaml
config:
  stream_maps:
    readings: {extra: __NULL__}
    env_model_data: {extra: __NULL__}
    # With v5:
    readings_v5: {extra: __NULL__}
    devices: {extra: __NULL__}
```

**shaped-target-clickhouse** makes each moment a column that may be null, which ClickHouse refuses in a key. Send the
moments of the keys as text:

<!-- example: moments -->
```yaml
config:
  stream_maps:
    readings: {timestamp_utc: str(timestamp_utc)}
    env_model_data: {timestamp_utc: str(timestamp_utc)}
    # With v5:
    readings_v5: {timestamp_utc: str(timestamp_utc)}
```

(The tap warns about a map for a stream that the API does not have; leave such lines out.)

## Loaders that do not fit

- **Targets for SQL Server that take a text without a length for `varchar(max)`** (known from their code). Such a column
  can't be part of a key, so the table can't be created. Add lengths, as below. MeltanoLabs' target-mssql limits the
  columns of a key itself.
- **target-clickhouse of MeltanoLabs** (known from its code; not on the package index). The same types as
  shaped-target-clickhouse.
- **target-sqlite 0.2.0** (tried). Does not start with Python 3.10 and newer: it requires SQLAlchemy 1.2.12.
- **target-parquet 0.0.1** (tried). Can't be installed: it requires pandas 0.24.2.
- **target-universal-file 0.0.1** (tried). Its Parquet, JSONL and XLSX files end with an error at the first record; its
  CSV files are emptied by the next run.

The tap's schema names no lengths: they would change the columns of tables that exist. Where a target needs them, add
them in your project, below `name: tap-zentra`. An entry replaces all that the schema says of its column, so it repeats
the type:

<!-- example: lengths -->
```yaml
schema:
  readings:
    device_sn: {type: [string], maxLength: 64}
    measurement: {type: [string], maxLength: 128}
  devices:
    device_sn: {type: [string], maxLength: 64}
  sensors:
    device_sn: {type: [string], maxLength: 64}
    measurement: {type: [string], maxLength: 128}
    sensor_name: {type: [string], maxLength: 64}
    sensor_sn: {type: [string], maxLength: 64}
    units: {type: [string], maxLength: 32}
  env_model_data:
    device_sn: {type: [string], maxLength: 64}
    model_type: {type: [string], maxLength: 8}
```

(With v5, name the first stream `readings_v5`, add `sensor_name` to it, and leave the last one out.)
"""
COLUMNS = (
    *("loader", "API", "readings/s", "records sent", "values equal"),
    *("duplicated by the next run", "duplicated by a repeated run", "verdict"),
)
DIFFERENCES = """
## Values that differ

The first of each column, and the first record that is missing:

"""
DIFFERENT = ("loader", "API", "stream", "key of the record", "column", "sent", "stored")
EXAMPLES = ("", "words", "objects", "moments")
SPEED_API = "v4"


def row(findings: Sequence[Finding], speeds: Mapping[str, float]) -> tuple[str, ...]:
    """One row of the table: a loader and an API."""
    first = findings[0]
    unequal = [finding for finding in findings if not finding.equal]
    speed = speeds.get(first.name) if first.api == SPEED_API else None
    return (
        f"{first.name} {first.version}",
        first.api,
        "" if speed is None else f"{speed:.2f}",
        f"{sum(finding.sent for finding in findings):,}",
        f"**no:** {_streams(unequal, findings)}" if unequal else "yes",
        _streams([finding for finding in findings if finding.doubles], findings),
        _streams([finding for finding in findings if finding.doubles_repeated], findings),
        verdict(findings),
    )


def _streams(some: Sequence[Finding], of: Sequence[Finding]) -> str:
    if len(some) == len(of):
        return "all streams"
    return ", ".join(f"`{finding.stream}`" for finding in some) or "none"


def verdict(findings: Sequence[Finding]) -> str:
    """What a loader's user should know."""
    if any(finding.fails for finding in findings):
        return "**ends with an error**"
    if not any(finding.loses for finding in findings):
        return f"good{_with_a_map(findings[0].example)}"
    missing = any(not difference.column for finding in findings for difference in finding.differences)
    return f"**{'loses' if missing else 'changes'} data: do not use it** (exits with 0)"


def _with_a_map(example: str) -> str:
    return ", with [a map](#maps-that-some-loaders-need)" if example else ""


def different(finding: Finding, difference: Difference) -> tuple[str, ...]:
    """One row of the table of differences."""
    values = ("", "**missing**") if not difference.column else map(_shown, (difference.sent, difference.found))
    key = ", ".join(map(str, difference.key))
    return (finding.name, finding.api, f"`{finding.stream}`", key, difference.column, *values)


def _shown(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)


def stream_maps(example: str) -> dict[str, Any]:
    """The stream maps of an example below; none for an empty name."""
    maps = yaml.safe_load(example_in(FOOT, example))["config"]["stream_maps"] if example else {}
    return dict(maps)


def findings(environments: Environments, api: str) -> list[Finding]:
    """Check all loaders with the streams of an API; nothing is left but their environments."""
    with _loaders(environments) as (folder, make):
        runs: dict[str, Any] = {}
        found: list[Finding] = []
        for loader in make(f"loaders_{api}"):
            place = folder / loader.name
            place.mkdir()
            if loader.example not in runs:
                runs[loader.example] = two_runs(folder, api, stream_maps(loader.example))
            found += check(loader, runs[loader.example], place)
        return found


def paces(environments: Environments) -> dict[str, float]:
    """Measure all loaders; nothing is left but their environments."""
    with _loaders(environments) as (folder, make):
        messages = {example: many_readings(folder, SPEED_API, stream_maps(example)) for example in EXAMPLES}
        measured = readings_per_second(make, messages, folder / "speed")
        return {name: pace / next(iter(measured.values())) for name, pace in measured.items()}


@contextmanager
def _loaders(environments: Environments) -> Iterator[tuple[Path, Callable[[str], list[Destination]]]]:
    """A folder, and what makes all loaders, given the name of a schema that is not there yet."""
    with (
        tempfile.TemporaryDirectory() as name,
        Warehouse(Path(name) / ".warehouse", fsync=False) as warehouse,
        clickhouse(environments, Path(name)) as clickhouse_url,
        s3(environments) as s3_url,
    ):
        yield (
            Path(name),
            lambda schema: [
                *destinations(environments, warehouse, schema),
                parquet_destination(environments, s3_url, schema),
                clickhouse_destination(environments, clickhouse_url, schema),
            ],
        )


def page(found: Iterable[Finding], speeds: Mapping[str, float]) -> str:
    """Return docs/loaders.md."""
    by_loader: dict[str, list[Finding]] = defaultdict(list)
    for finding in found:
        by_loader[finding.name].append(finding)
    ordered = [finding for findings in by_loader.values() for finding in findings]
    rows = [row(list(group), speeds) for _, group in groupby(ordered, lambda one: (one.name, one.api))]
    differing = [different(finding, one) for finding in ordered for one in finding.differences]
    return HEAD + _table(COLUMNS, rows) + DIFFERENCES + _table(DIFFERENT, differing) + FOOT


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "".join(f"| {' | '.join(line)} |\n" for line in (columns, ("---",) * len(columns), *rows))


if __name__ == "__main__":
    kept = Environments(PROJECT / ".meltano" / "environments")
    text = page([finding for api in STREAMS for finding in findings(kept, api)], paces(kept))
    (PROJECT / "docs").mkdir(exist_ok=True)
    (PROJECT / "docs" / "loaders.md").write_text(text, encoding="utf-8")
    print(text)  # noqa: T201 - what the command is for
