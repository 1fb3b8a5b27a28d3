"""What the documents promise, for tests that hold it against what really happens."""

from __future__ import annotations

from tests.integration.projects import REPOSITORY
from tools.documents import example

__all__ = ["column_types", "example"]


def column_types(warehouse: str, stream: str = "readings", api: str | None = None) -> dict[str, str]:
    """Return the type of each column of a stream's table in a warehouse, as docs/tables.md has it.

    Where both services have the stream, `api` says whose columns are wanted: a column of one alone is marked so.
    """
    text = (REPOSITORY / "docs" / "tables.md").read_text(encoding="utf-8")
    section = text.partition(f"\n## `{stream}`\n")[2].partition("\n## ")[0]
    rows = [[cell.strip(" `*") for cell in line.split("|")[1:-1]] for line in section.splitlines() if line[:1] == "|"]
    place = rows[0].index(warehouse)
    whose = rows[0].index("service") if "service" in rows[0] else None
    return {row[0]: row[place] for row in rows[2:] if whose is None or row[whose] in {"", api}}
