"""METER's own client of API v5, in an environment of its own: no package of it comes near the tap."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.children import BenchmarkError, run
from benchmarks.packages import installed

if TYPE_CHECKING:
    from benchmarks.children import Run

CLIENT = "zentracloud==0.1.4"
PROGRAM = Path(__file__).with_name("meter_client.py")


def meter(*arguments: str) -> Run:
    """Run `meter_client.py`.

    Raises:
        BenchmarkError: It failed, or the client can't be installed.
    """
    return run(_python(), str(PROGRAM), *arguments)


@lru_cache(maxsize=1)
def _python() -> str:
    try:
        return str(installed(CLIENT) / "python")
    except BenchmarkError as error:
        raise BenchmarkError(
            f"METER's client can't be installed, or use --quick, which does without it: {error}"
        ) from error
