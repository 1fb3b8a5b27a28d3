"""dbt as the benchmarks run it, in an environment of its own; knows no model."""

from __future__ import annotations

import subprocess
import time
from typing import TYPE_CHECKING

from benchmarks.children import BenchmarkError
from benchmarks.packages import installed
from tools.documents import PROJECT
from tools.environment import environment_without

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

PACKAGES = ("dbt-core<1.12", "dbt-postgres<1.12", "dbt-duckdb<1.12")


def run_dbt(work: Path, variables: Mapping[str, str], *arguments: str) -> float:
    """Run a command of dbt over `transform/`, and return its seconds; `work/target` has what it tells of itself.

    Raises:
        BenchmarkError: It failed.
    """
    dbt = installed(*PACKAGES) / "dbt"
    transform = str(PROJECT / "transform")
    own = {"DBT_TARGET_PATH": str(work / "target"), "DBT_LOG_PATH": str(work), "DBT_POSTGRES_SCHEMA": "zentra"}
    begun = time.monotonic()
    done = subprocess.run(  # noqa: S603 - no shell, and nothing that a user typed
        (dbt, "--no-use-colors", *arguments, "--project-dir", transform, "--profiles-dir", transform),
        env=environment_without("DBT_", "PG", "ZENTRA_", **variables, **own),
        capture_output=True,
        text=True,
        check=False,
    )
    seconds = time.monotonic() - begun
    if done.returncode != 0:
        raise BenchmarkError(f"dbt failed: {done.stdout[-2000:]}")
    return seconds
