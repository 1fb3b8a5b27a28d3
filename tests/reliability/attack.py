"""A run against a fleet of which each device gets another bad answer, and what it said of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from tap_zentra.emulator import Emulator
    from tests.support import Run


@dataclass(frozen=True)
class Attack:
    """One run against a fleet of which each device gets another bad answer.

    Attributes:
        emulator: The service.
        run: What the run left behind.
        device_sns: The device that got each answer, by the answer's name.
    """

    emulator: Emulator
    run: Run
    device_sns: dict[str, str]

    about: ClassVar[str] = ""
    """What of a device got it, as a line of the log names it."""

    def failure(self, name: str) -> str | None:
        """Return what is said of the failure of the device that got an answer; None when it did not fail."""
        start = f"{self.device_sns[name]}{self.about} failed: "
        lines = [line.partition(start)[2] for line in self.run.stderr.splitlines() if start in line]
        assert lines == [] or lines[0] == lines[-1]
        return lines[-1] if lines else None
