"""Programs from the package index, in environments of their own that are kept for the next run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.children import BenchmarkError
from tools.documents import PROJECT
from tools.loaders.environments import EnvironmentFailedError, Environments

if TYPE_CHECKING:
    from pathlib import Path


def installed(*requirements: str) -> Path:
    """Return the folder of the programs of some packages.

    Raises:
        BenchmarkError: They can't be installed.
    """
    try:
        return Environments(PROJECT / ".meltano" / "environments").programs(*requirements)
    except EnvironmentFailedError as error:
        raise BenchmarkError(str(error)) from error
