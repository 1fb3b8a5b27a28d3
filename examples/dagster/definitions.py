# ruff: noqa: INP001 - Dagster loads it by its path
"""Dagster's part: the fleets of several accounts, loaded side by side, every hour.

    dagster dev -f examples/dagster/definitions.py

Meltano is run as by hand (`meltano run zentra-north target-postgres`), so it has to be on the PATH.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import dagster as dg

PROJECT = next(folder for folder in Path(__file__).resolve().parents if (folder / "meltano.yml").exists())
ACCOUNTS = ("zentra-north", "zentra-south")  # as in accounts.meltano.yml
TARGET = "target-postgres"
UNDER_WAY = [dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED]


def sync_of(account: str) -> dg.OpDefinition:
    """The operation that loads what is new in one account."""

    @dg.op(name=account.replace("-", "_"), out=dg.Out(dg.Nothing))
    def sync() -> None:
        # Its words go into Dagster's log of the step; a device that failed fails the step, and no other.
        subprocess.run(("meltano", "run", account, TARGET), cwd=PROJECT, check=True)  # noqa: S603, S607 - on the PATH

    return sync


@dg.job(executor_def=dg.multiprocess_executor.configured({"max_concurrent": len(ACCOUNTS)}))
def fleets() -> None:
    """All accounts, none waiting for another."""
    for account in ACCOUNTS:
        sync_of(account)()


@dg.schedule(job=fleets, cron_schedule="17 * * * *")
def hourly(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
    """Every hour, unless the run before is still under way: two would overwrite each other's bookmarks."""
    if context.instance.get_runs(dg.RunsFilter(job_name=fleets.name, statuses=UNDER_WAY), limit=1):
        return dg.SkipReason("the run before is still under way")
    return dg.RunRequest()


definitions = dg.Definitions(jobs=[fleets], schedules=[hourly])
