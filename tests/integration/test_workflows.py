"""The workflows and meltano.yml, judged by the tools that are made for it."""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING

import pytest
import yaml

from tests.integration.projects import REPOSITORY

if TYPE_CHECKING:
    from pathlib import Path

    from tools.loaders.environments import Environments

pytestmark = pytest.mark.warehouse

WORKFLOWS = REPOSITORY / ".github" / "workflows"


@pytest.fixture(scope="module")
def checkers(environments: Environments) -> Path:
    """Where the programs are."""
    return environments.programs("check-jsonschema==0.39.0", "zizmor==1.32.0")


def _accepts(*command: str | Path) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_meltano_yml_is_what_meltano_publishes_as_its_schema(checkers: Path) -> None:
    """meltano.yml passes the schema that editors use."""
    _accepts(checkers / "check-jsonschema", "--builtin-schema", "vendor.meltano", REPOSITORY / "meltano.yml")


def test_the_workflows_are_valid(checkers: Path) -> None:
    """Each workflow, and what keeps its actions up to date, passes GitHub's schema."""
    _accepts(checkers / "check-jsonschema", "--builtin-schema", "vendor.github-workflows", *WORKFLOWS.iterdir())
    dependabot = REPOSITORY / ".github" / "dependabot.yml"
    _accepts(checkers / "check-jsonschema", "--builtin-schema", "vendor.dependabot", dependabot)


def test_the_workflows_are_safe(checkers: Path) -> None:
    """Zizmor finds nothing: actions pinned by commit, least permissions, no expression within a script."""
    _accepts(checkers / "zizmor", "--offline", "--no-progress", "--pedantic", REPOSITORY / ".github")


RUNS = (
    {"github.event_name": "schedule", "github.ref": "refs/heads/main", "github.run_id": "1", "github.sha": "a"},
    {"github.event_name": "schedule", "github.ref": "refs/heads/main", "github.run_id": "2", "github.sha": "b"},
    {"github.event_name": "workflow_dispatch", "github.ref": "refs/heads/x", "github.run_id": "3", "github.sha": "c"},
)
"""Runs that GitHub may start while another one is under way."""


def test_two_syncs_never_overlap() -> None:
    """Whatever has started them, all runs of the sync are in one group, of which GitHub lets one run, to its end."""
    sync = yaml.safe_load((WORKFLOWS / "sync.yml").read_text(encoding="utf-8"))

    for job in (job for job in sync["jobs"].values() if "meltano" in yaml.safe_dump(job)):
        concurrency = job.get("concurrency", sync.get("concurrency"))
        assert isinstance(concurrency, dict), "runs of no group, or of one whose newest run ends the others"
        assert concurrency["cancel-in-progress"] is False
        assert len({_evaluated(concurrency["group"], run) for run in RUNS}) == 1


def _evaluated(text: str, run: dict[str, str]) -> str:
    """Return a text of a workflow as GitHub fills it in for a run; what is not known of a run is different in each."""
    return re.sub(
        r"\$\{\{\s*(.*?)\s*\}\}", lambda match: run.get(match[1], f"{match[1]} of run {run['github.run_id']}"), text
    )
