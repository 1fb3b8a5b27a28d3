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

Made by `.venv/bin/python -m tools.loaders`, which sends the tap's output, that of API v4 (`readings`) and that of v5
(`readings_v5`), through each loader: a backfill, and what is new after it. Then it reads back what is stored and
compares it, value by value. Finally it sends the backfill once more, as a run does that repeats one that was cut off.

"""
FOOT = """
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
```

(With v5, name the stream `readings_v5`, and add `sensor_name`.)
"""
COLUMNS = ("loader", "version", "stream", "rows sent", "rows found", "values equal", "rows that come again", "verdict")


def row(finding: Finding) -> tuple[str, ...]:
    """One loader's row of the table."""
    verdict = "**loses data: do not use it**" if finding.loses else finding.note
    if finding.loses and not any(finding.exit_codes):
        verdict += " (and says that all is well)"
    return (
        finding.name,
        finding.version,
        finding.stream,
        f"{finding.sent:,}",
        f"{finding.found:,}",
        "yes" if finding.equal else "**no**",
        finding.repeated,
        verdict,
    )


def findings() -> Sequence[Finding]:
    """Check all loaders; nothing is left but their environments, in `.meltano/environments`."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        runs = [two_runs(folder, stream) for stream in STREAMS]
        with Warehouse(folder / ".warehouse", fsync=False) as warehouse:
            checked = []
            for destination in destinations(Environments(PROJECT / ".meltano" / "environments"), warehouse):
                for of_stream in runs:
                    place = folder / destination.name / of_stream[0].stream
                    place.mkdir(parents=True)
                    checked.append(check(destination, of_stream, place))
            return checked


def page(found: Sequence[Finding]) -> str:
    """Return docs/loaders.md."""
    lines = [COLUMNS, ("---",) * len(COLUMNS), *map(row, found)]
    return HEAD + "".join(f"| {' | '.join(line)} |\n" for line in lines) + FOOT


if __name__ == "__main__":
    text = page(findings())
    (PROJECT / "docs").mkdir(exist_ok=True)
    (PROJECT / "docs" / "loaders.md").write_text(text, encoding="utf-8")
    print(text)  # noqa: T201 - what the command is for
