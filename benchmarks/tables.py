"""Results as tables that a person reads in a terminal and that Markdown shows; knows not what they mean."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tabulate import tabulate

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass
class Table:
    """The results of one benchmark.

    Attributes:
        title: What was measured.
        header: Names of the columns.
        rows: One for each thing that was measured.
        faults: Calls that broke a limit and readings that went missing; there should be none.
    """

    title: str
    header: Sequence[str]
    rows: list[Sequence[str]] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def add(self, *cells: str) -> None:
        """Add a row."""
        self.rows.append(cells)

    def note(self, name: str, *groups: Sequence[str]) -> None:
        """Take note of the faults of a run."""
        self.faults += [f"{name}: {fault}" for faults in groups for fault in faults]

    def __str__(self) -> str:
        table = tabulate(self.rows, self.header, tablefmt="github", disable_numparse=True)
        return f"### {self.title}\n\n{table}"


def judged(value: float, limit: float, text: str) -> str:
    """Return a figure that should be at most `limit`, with a remark if it is not."""
    return text if value <= limit else f"**{text}** (missed)"
