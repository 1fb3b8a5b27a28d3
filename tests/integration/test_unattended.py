"""Syncs that nobody watches: the steps of sync.yml on machines that are thrown away, and a job run twice."""

from __future__ import annotations

import json
import re
import shutil
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
import yaml

from tap_zentra.emulator import Device, Emulator, Fault
from tests.integration.projects import REPOSITORY, MeltanoProject, borrow_plugins, copy_repository
from tests.integration.support import Postgres, stored, stored_v5
from tests.support import HOUR, Run, held

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from tests.integration.projects import Outcome
    from tests.support import Tap
    from tools.postgres.server import Warehouse

    Emulate = Callable[..., Emulator]

pytestmark = pytest.mark.warehouse

INSTALL = "Install the tap and the target"
STATION = {"device_sn": "z6-00001", "port_number": 1, "model_type": "ETo", "elevation": 806, "latitude": 32.25}


@dataclass(frozen=True)
class Job:
    """The job of sync.yml, as a repository's secrets and variables fill it.

    Attributes:
        secrets: Of the repository, by name.
        variables: Of the repository and, for the service on this machine, of the runner.
    """

    secrets: Mapping[str, str] = field(repr=False)
    variables: Mapping[str, str]

    def run(self, project: MeltanoProject, *, install: bool = False) -> tuple[Outcome, str]:
        """Run its steps as the runner does; return the outcome of the sync, and the summary.

        Python and Meltano are on this machine already, and the clone is the project's folder.

        Args:
            project: The clone.
            install: Whether the tap and the target have to be installed in it.
        """
        outcomes: dict[str, Outcome] = {}
        summary = project.folder / "summary.md"
        for step in _steps((INSTALL,) * install + ("Sync", "Page", "Summary")):
            succeeded = all(outcome.exit_code == 0 for outcome in outcomes.values())
            if _is_met(step.get("if", "success()"), project.folder, succeeded=succeeded):
                variables = {name: self._filled(text) for name, text in step.get("env", {}).items()}
                variables = {**self.variables, **variables, "GITHUB_STEP_SUMMARY": str(summary)}
                outcomes[step["name"]] = project.bash(step["run"], **variables)
        failed = [outcome.log for name, outcome in outcomes.items() if name != "Sync" and outcome.exit_code != 0]
        assert not failed, failed[0]
        return outcomes["Sync"], summary.read_text(encoding="utf-8")

    def _filled(self, text: str) -> str:
        """A text with its expressions, which are secrets and variables, maybe with a default, replaced."""

        def value(match: re.Match[str]) -> str:
            found = {"secrets": self.secrets, "vars": self.variables}[match["where"]].get(match["name"], "")
            return found or match["default"] or ""

        pattern = r"\$\{\{ (?P<where>secrets|vars)\.(?P<name>\w+)(?: \|\| '(?P<default>\w*)')? \}\}"
        return re.sub(pattern, value, text)


def _steps(names: tuple[str, ...]) -> list[dict[str, Any]]:
    workflow = yaml.safe_load((REPOSITORY / ".github" / "workflows" / "sync.yml").read_text(encoding="utf-8"))
    steps = {step.get("name"): step for step in workflow["jobs"]["sync"]["steps"]}
    return [steps[name] for name in names]


def _is_met(condition: str, folder: Path, *, succeeded: bool) -> bool:
    """Whether a step is run, given whether all before it have succeeded."""
    if condition in {"success()", "always()"}:
        return succeeded or condition == "always()"
    pattern = re.fullmatch(r"hashFiles\('(.*)'\) != ''", condition)
    assert pattern is not None, f"unknown condition: {condition}"
    return succeeded and any(folder.glob(pattern[1]))


@pytest.fixture
def emulator(emulate: Emulate) -> Emulator:
    """Two small devices."""
    # The tap heeds a lock-out for five windows, and the emulator's last a second at least.
    return emulate(Device("z6-00001", records=20), Device("z6-00002", records=5), window=0.5)


@pytest.fixture
def secrets(warehouse: Warehouse, emulator: Emulator) -> dict[str, str]:
    """What the repository keeps secret, but for where Meltano's state is."""
    return {**warehouse.environment, "TAP_ZENTRA_AUTH_TOKEN": emulator.token}


def _variables(emulator: Emulator, postgres: Postgres, *more: str) -> dict[str, str]:
    there = {name: value for name, value in emulator.environment.items() if name != "TAP_ZENTRA_AUTH_TOKEN"}
    devices = ",".join((*emulator.device_sns, *more))
    return {
        **there,
        "TAP_ZENTRA_DEVICE_SNS": devices,
        # Without look-back each record is sent once, so that what a run asks for can be counted.
        "TAP_ZENTRA_MRID_LOOKBACK": "0",
        "TARGET_POSTGRES_DEFAULT_TARGET_SCHEMA": postgres.schema,
    }


def _sent(emulator: Emulator) -> int:
    return sum(call.records for call in emulator.calls)


def test_a_runner_that_forgets_everything_reads_only_what_is_new(
    emulator: Emulator, secrets: dict[str, str], postgres: Postgres, tmp_path: Path
) -> None:
    """With a state backend, each run in a fresh clone goes on where the last one, thrown away, has ended.

    It builds the tables and the page. In the second run a device fails: the job fails too, the others are loaded, the
    summary names it, and neither is built.
    """
    state = f"file://{tmp_path}/state"
    first = copy_repository(tmp_path / "first", "notebook")
    variables = {**_variables(emulator, postgres), "TAP_ZENTRA_ENV_MODELS": json.dumps([STATION])}
    job = Job({**secrets, "MELTANO_STATE_BACKEND_URI": state}, variables)
    sync, summary = job.run(MeltanoProject(first, {}), install=True)
    assert sync.exit_code == 0, sync.log
    assert "### readings: 2 current, 0 failed" in summary
    assert re.search(r"^### Tables: Done\. PASS=\d+ WARN=\d+ ERROR=0 ", summary, re.MULTILINE)
    built = postgres.of("zentra_devices").query("select device_sn, moments from {}")
    assert {row["device_sn"]: row["moments"] for row in built} == {"z6-00001": 20, "z6-00002": 5}
    assert re.search(r"^\| z6-00001 \| current \(silent\) \| \d+ \| \d+\.\d h ago \| 1 \|$", summary, re.MULTILINE)
    assert "### env_model_data: 1 current, 0 failed" in summary
    assert re.search(r"^\| z6-00001 ETo, port 1 \| current \| 2 \|", summary, re.MULTILINE)
    page = (first / "fleet.html").read_text(encoding="utf-8")
    assert {name for name in emulator.device_sns if name not in page} == set()
    assert secrets["TARGET_POSTGRES_PASSWORD"] not in page
    shutil.rmtree(first)

    before = _sent(emulator)
    emulator.grow(3, "z6-00002")
    emulator.let_window_pass()
    second = MeltanoProject(copy_repository(tmp_path / "second", "notebook"), {})
    job = Job({**secrets, "MELTANO_STATE_BACKEND_URI": state}, _variables(emulator, postgres, "z6-99999"))
    sync, summary = job.run(second, install=True)

    assert sync.exit_code != 0, sync.log
    assert "| z6-99999 | failed | 0 | not known | 1 |" in summary
    assert "z6-99999 failed" in summary.partition("### Failures")[2]
    assert "### Tables" not in summary
    assert not (second.folder / "fleet.html").exists()
    assert _sent(emulator) - before == 3
    assert postgres.rows() == stored(emulator)
    outcomes = {row["device_sn"]: row["outcome"] for row in postgres.of("devices").rows().values()}
    assert outcomes == {"z6-00001": "current", "z6-00002": "current", "z6-99999": "failed"}
    assert emulator.token not in sync.log + summary


def test_a_runner_reads_an_account_of_the_new_service(
    emulate: Emulate, warehouse: Warehouse, postgres: Postgres, installed: Path, tmp_path: Path
) -> None:
    """With the variable TAP_ZENTRA_API_VERSION alone, all devices of the key are read; the summary has them."""
    emulator = emulate(Device("z6-00001", records=20), Device("z6-00002", records=5))
    v5 = emulator.environment_v5
    chosen = {"TAP_ZENTRA_API_VERSION": v5.pop("TAP_ZENTRA_API_VERSION")}
    secrets = {**warehouse.environment, "TAP_ZENTRA_AUTH_TOKEN": v5.pop("TAP_ZENTRA_AUTH_TOKEN")}
    v5.pop("TAP_ZENTRA_DEVICE_SNS")
    there = {**v5, "TARGET_POSTGRES_DEFAULT_TARGET_SCHEMA": postgres.schema}
    job = Job({**secrets, "MELTANO_STATE_BACKEND_URI": f"file://{tmp_path}/state"}, {**there, **chosen})

    sync, summary = job.run(MeltanoProject(borrow_plugins(installed, postgres.folder / "project"), {}))

    assert sync.exit_code == 0, sync.log
    assert replace(postgres, stream="readings_v5").rows() == stored_v5(emulator)
    assert "### readings_v5: 2 current, 0 failed" in summary
    assert "| z6-00001 | current (silent) | 500 |" in summary


def test_a_runner_remembers_in_postgresql(
    emulator: Emulator, secrets: dict[str, str], postgres: Postgres, installed: Path, meltano_database: str
) -> None:
    """With PostgreSQL as Meltano's system database the same holds."""
    job = Job({**secrets, "MELTANO_DATABASE_URI": meltano_database}, _variables(emulator, postgres))
    for name in ("first", "second"):
        folder = borrow_plugins(installed, postgres.folder / name)
        sync, _ = job.run(MeltanoProject(folder, {}))
        assert sync.exit_code == 0, sync.log
        assert postgres.rows() == stored(emulator)
        shutil.rmtree(folder)
        emulator.grow(3, "z6-00002")
        emulator.let_window_pass()

    assert _sent(emulator) == 28


def test_a_sync_without_a_memory_is_refused(
    emulator: Emulator, secrets: dict[str, str], postgres: Postgres, installed: Path
) -> None:
    """A runner that would read everything each time says which secret is missing, and asks nothing."""
    project = MeltanoProject(borrow_plugins(installed, postgres.folder / "project"), {})

    sync, _ = Job(secrets, _variables(emulator, postgres)).run(project)

    assert sync.exit_code == 1
    assert "Set the secret MELTANO_STATE_BACKEND_URI" in sync.log
    assert emulator.calls == []


def test_a_job_that_runs_twice_within_a_minute_waits_and_succeeds(
    project: MeltanoProject, emulator: Emulator, postgres: Postgres
) -> None:
    """The second of two runs meets the service's lock-out, waits for its end, and reads what is new.

    The lock-outs are ordered from the emulator, so that they end before the second run gives up.
    """
    schema = {"TARGET_POSTGRES_DEFAULT_TARGET_SCHEMA": postgres.schema, "TAP_ZENTRA_MRID_LOOKBACK": "0"}
    first = project.sync(emulator, "run", "zentra-to-postgres", **schema)
    assert first.exit_code == 0, first.log

    calls = len(emulator.calls)
    emulator.grow(3, "z6-00002")
    emulator.fail(Fault("lockout", "z6-00001", times=1))
    emulator.fail(Fault("lockout", "z6-00002", times=1))
    second = project.sync(emulator, "run", "zentra-to-postgres", **schema)

    assert second.exit_code == 0, second.log
    assert Counter(call.status for call in emulator.calls[calls:]) == {200: 2, 429: 2}
    assert sum(call.records for call in emulator.calls[calls:]) == 3
    assert postgres.rows() == stored(emulator)


def test_a_run_within_the_window_of_the_run_before_waits_for_its_end(emulate: Emulate, tap: Tap) -> None:
    """Nobody orders the lock-out here: the second run calls too early, for it can't know of the first one's call."""
    emulator = emulate(Device("z6-00001", records=20), window=HOUR, meets_limit=True)
    first = tap.sync(emulator)
    emulator.grow(3)

    with tap.started(emulator, state=first.state, call_limit_window=0.5) as process:
        emulator.wait_until(lambda: emulator.calls[-1].status == 429)
        emulator.let_window_pass()
        stdout = process.stdout.read()
    second = Run(process.returncode, stdout, tap.stderr)

    assert (first.exit_code, second.exit_code) == (0, 0), second.stderr
    assert {call.status for call in emulator.calls[1:-1]} == {429}
    assert emulator.calls[-1].status == 200
    assert first.all_rows | second.all_rows == held(emulator)


@pytest.fixture
def meltano_database(postgres: Postgres) -> str:
    """A schema of the tests' server for what Meltano remembers."""
    schema = f"{postgres.schema}_meltano"
    with psycopg.connect(postgres.warehouse.dsn, autocommit=True) as connection:
        connection.execute(f"create schema {schema}".encode())
    address = postgres.warehouse.dsn.replace("postgresql://", "postgresql+psycopg://")
    return f"{address}&options=-csearch_path%3D{schema}"
