"""What the demo prints: aligned tables, and what a load should have brought. Knows neither Meltano nor SQL."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Number
from typing import TYPE_CHECKING

from tabulate import tabulate

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True)
class Load:
    """What one load has done.

    Attributes:
        before: Rows of each device in the table before it.
        after: And after it.
        service: Values that the service holds of each device.
        written: Readings that the tap has written.
    """

    before: Mapping[str, int]
    after: Mapping[str, int]
    service: Mapping[str, int]
    written: int

    @property
    def table(self) -> str:
        """One line for each device, and one for all."""
        lines = [self._line(name, [name]) for name in self._devices]
        header = ("device", "rows before", "rows after", "new rows", "in the service")
        return aligned(header, [*lines, self._line("all", self._devices)])

    @property
    def faults(self) -> list[str]:
        """What is wrong, a sentence each; none when the table holds what the service holds, written only once."""
        faults = [
            f"{name}: {self.after.get(name, 0):,} rows in the table, "
            f"{self.service.get(name, 0):,} values in the service."
            for name in self._devices
            if self.after.get(name, 0) != self.service.get(name, 0)
        ]
        new = sum(self.after.values()) - sum(self.before.values())
        if not faults and self.written != new:
            faults.append(f"{self.written:,} readings were written, but {new:,} were new.")
        return faults

    @property
    def _devices(self) -> list[str]:
        return sorted({*self.before, *self.after, *self.service})

    def _line(self, title: str, names: Sequence[str]) -> tuple[str | int, ...]:
        before, after, service = (
            sum(counts.get(name, 0) for name in names) for counts in (self.before, self.after, self.service)
        )
        return (title, before, after, after - before, service)


def aligned(header: Sequence[str], lines: Sequence[Sequence[object]]) -> str:
    """A table as text, columns of numbers to the right, all else to the left."""
    texts = [[_text(cell) for cell in line] for line in lines]
    numbers = [all(_is_number(line[place]) for line in lines) for place in range(len(header))]
    aligns = ["right" if is_number and lines else "left" for is_number in numbers]
    return tabulate(texts, header, tablefmt="simple", disable_numparse=True, colalign=aligns)


def _is_number(cell: object) -> bool:
    return isinstance(cell, Number | None) and not isinstance(cell, bool)


def _text(cell: object) -> str:
    if cell is None:
        return "-"
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    return f"{cell:,}" if isinstance(cell, int) else str(cell)
