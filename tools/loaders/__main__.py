"""`python -m tools.loaders`: checks all loaders, and writes docs/loaders.md."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from tools.loaders.check import STREAMS, check
from tools.loaders.environments import Environments
from tools.loaders.kinds import destinations
from tools.loaders.project import PROJECT
from tools.loaders.runs import two_runs
from tools.postgres.server import Warehouse

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tools.loaders.check import Finding

HEAD = """\
# Loaders checked with this tap

Made by `.venv/bin/python -m tools.loaders`, which sends the tap's output, all streams of API v4 and all of v5, through
each loader: a backfill, and what is new after it. Then it reads back what is stored and compares it, value by value.
Finally it sends the backfill once more, as a run does that repeats one that was cut off.

Each run sends `devices` and `sensors` anew, and the newest day of `env_model_data` again: such a record replaces the
row of its key or, where a loader appends, stands behind it; then the last one counts.

"""
FOOT = """
## What to know of these

- **target-jsonl, meltanolabs-target-csv.** They append, so `devices` and `sensors` grow by their records with each run.
- **meltanolabs-target-csv.** Give it a new file for each run (`file_naming_scheme`); otherwise the next run empties the
  file. `extra` is written as Python writes it, not as JSON.
- **pipelinewise-target-postgres, target-duckdb.** They write an empty text as null. The key of `sensors` has empty
  texts where the service names no serial number, kind of sensor or units, so a run with `sensors` ends with an error.
  Give them a word, below `name: tap-zentra`:

<!-- example: words -->
```yaml
config:
  stream_maps:
    sensors:
      sensor_name: sensor_name or 'none'
      sensor_sn: sensor_sn or 'none'
      units: units or 'none'
```

## Loaders that do not fit

Those for SQL Server and ClickHouse are known from their code and were not tried here.

- **Targets for SQL Server that take a text without a length for `varchar(max)`.** Such a column can't be part of a key,
  so the table can't be created. Add lengths, as below. MeltanoLabs' target-mssql limits the columns of a key itself.
- **target-clickhouse (MeltanoLabs, shaped-ai).** `value` becomes a 32-bit float, which keeps about 7 digits. By
  default, rows that come again are duplicated.
- **target-duckdb 0.8.0.** With duckdb 1.1 and newer it takes the first row of each batch for a header and loses it, as
  the table above shows. Load into files with target-jsonl instead; DuckDB reads them as a table.

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
    *("loader", "version", "API", "stream", "records sent", "different keys", "rows found", "values equal"),
    *("rows that come again", "verdict"),
)


def row(finding: Finding) -> tuple[str, ...]:
    """One row of the table: a loader and a stream."""
    return (
        finding.name,
        finding.version,
        finding.api,
        finding.stream,
        f"{finding.sent:,}",
        f"{finding.keys:,}",
        f"{finding.found:,}",
        "yes" if finding.equal else "**no**",
        "" if finding.fails else finding.repeated,
        verdict(finding),
    )


def verdict(finding: Finding) -> str:
    """What a loader's user should know."""
    if finding.fails:
        return "**ends with an error** (see below)"
    return "**loses data: do not use it** (and says that all is well)" if finding.loses else "good"


def findings() -> Sequence[Finding]:
    """Check all loaders; nothing is left but their environments, in `.meltano/environments`."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        environments = Environments(PROJECT / ".meltano" / "environments")
        checked = []
        with Warehouse(folder / ".warehouse", fsync=False) as warehouse:
            for api in STREAMS:
                runs = two_runs(folder, api)
                for destination in destinations(environments, warehouse, f"loaders_{api}"):
                    place = folder / destination.name / api
                    place.mkdir(parents=True)
                    checked += check(destination, runs, place)
        return sorted(checked, key=lambda finding: finding.name)


def page(found: Sequence[Finding]) -> str:
    """Return docs/loaders.md."""
    lines = [COLUMNS, ("---",) * len(COLUMNS), *map(row, found)]
    return HEAD + "".join(f"| {' | '.join(line)} |\n" for line in lines) + FOOT


if __name__ == "__main__":
    text = page(findings())
    (PROJECT / "docs").mkdir(exist_ok=True)
    (PROJECT / "docs" / "loaders.md").write_text(text, encoding="utf-8")
    print(text)  # noqa: T201 - what the command is for
