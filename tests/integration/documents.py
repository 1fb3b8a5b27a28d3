"""What the documents promise, for tests that hold it against what really happens."""

from __future__ import annotations

import re

from tests.integration.projects import REPOSITORY


def example(name: str, document: str = "README.md") -> str:
    """Return an example of the README or another document, by the name in the comment before it."""
    text = (REPOSITORY / document).read_text(encoding="utf-8")
    found = re.search(rf"<!-- example: {name} -->\n```\w+\n(.*?)```\n", text, re.DOTALL)
    assert found is not None
    return found[1]


def column_types(warehouse: str, stream: str = "readings") -> dict[str, str]:
    """Return the type of each column of a stream's table in a warehouse, as docs/tables.md has it."""
    text = (REPOSITORY / "docs" / "tables.md").read_text(encoding="utf-8")
    section = text.partition(f"\n## `{stream}`\n")[2].partition("\n## ")[0]
    rows = [[cell.strip(" `") for cell in line.split("|")[1:-1]] for line in section.splitlines() if line[:1] == "|"]
    place = rows[0].index(warehouse)
    return {row[0]: row[place] for row in rows[2:]}
