"""What the documents promise, for tests that hold it against what really happens."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tests.integration.projects import REPOSITORY
from tools.documents import example

__all__ = ["DocumentedFailure", "alike", "column_types", "example", "failures", "printed_by"]


def column_types(warehouse: str, stream: str = "readings", api: str | None = None) -> dict[str, str]:
    """Return the type of each column of a stream's table in a warehouse, as docs/tables.md has it.

    Where both services have the stream, `api` says whose columns are wanted: a column of one alone is marked so.
    """
    text = (REPOSITORY / "docs" / "tables.md").read_text(encoding="utf-8")
    section = re.split(rf"\n##+ `{stream}`\n", text)[1].partition("\n##")[0]
    rows = [[cell.strip(" `*") for cell in line.split("|")[1:-1]] for line in section.splitlines() if line[:1] == "|"]
    place = rows[0].index(warehouse)
    whose = rows[0].index("service") if "service" in rows[0] else None
    return {row[0]: row[place] for row in rows[2:] if whose is None or row[whose] in {"", api}}


@dataclass(frozen=True)
class DocumentedFailure:
    """What docs/errors.md says of a failure.

    Attributes:
        lines: The last ones that are printed.
        loaded: What was loaded.
        exit_code: Of the program that prints them.
    """

    lines: list[str]
    loaded: str
    exit_code: int


def failures() -> dict[str, DocumentedFailure]:
    """Return the rows of docs/errors.md by the names that a comment in their first cell gives them."""
    rows: dict[str, DocumentedFailure] = {}
    for line in (REPOSITORY / "docs" / "errors.md").read_text(encoding="utf-8").splitlines():
        if line.startswith("| <!-- "):
            seen, _, loaded, _, code = (cell.strip() for cell in line.strip("|").split(" | "))
            names, shown = seen.removeprefix("<!-- ").split(" -->")
            lines = [alike(one.strip("` ")) for one in shown.split("<br>")]
            rows.update(dict.fromkeys(names.split(", "), DocumentedFailure(lines, loaded, int(code))))
    return rows


def alike(text: str) -> str:
    """Return a line without what differs from run to run: addresses, moments, and numbers but for HTTP's statuses."""
    text = re.sub(r"127\.0\.0\.1:\d+", "zentracloud.com", text)
    text = re.sub(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\+00:00)?", "MOMENT", text)
    return re.sub(r"(?<![\w-])\d++(?:\.\d+)?+(?! [A-Z][a-z])", "N", text)


def printed_by(log: str) -> list[str]:
    """Return what each line of the tap's log says."""
    return [alike(line.split(" | ")[-1]) for line in log.splitlines()]
