"""The workflows and meltano.yml, judged by the tools that are made for it."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import yaml

from tests.integration.projects import REPOSITORY

if TYPE_CHECKING:
    from pathlib import Path

    from loaders.environments import Environments

pytestmark = [
    pytest.mark.warehouse,
    pytest.mark.skipif(sys.version_info < (3, 11), reason="the checkers need Python 3.11"),
]

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


def test_two_syncs_never_overlap() -> None:
    """A run of the scheduled sync waits for the one before, which is not cancelled."""
    sync = yaml.safe_load((WORKFLOWS / "sync.yml").read_text(encoding="utf-8"))

    assert sync["concurrency"] == {"group": "sync-zentra", "cancel-in-progress": False}
