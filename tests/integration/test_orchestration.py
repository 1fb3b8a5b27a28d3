"""The Dagster definitions: several accounts, loaded side by side into one PostgreSQL."""

from __future__ import annotations

import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
import yaml

from tap_zentra.emulator import Device, Emulator
from tests.integration.projects import PROGRAMS, REPOSITORY, MeltanoProject
from tests.integration.support import Postgres, stored
from tests.support import PATIENCE, gate

if TYPE_CHECKING:
    from collections.abc import Callable

    from tools.loaders.environments import Environments

    Emulate = Callable[..., Emulator]

pytestmark = pytest.mark.warehouse

DAGSTER = "dagster==1.13.29"


def _settings(account: str, emulator: Emulator) -> dict[str, str]:
    return {name.replace("TAP_ZENTRA_", f"{account}_"): value for name, value in emulator.environment.items()}


@pytest.fixture
def scaled(project: MeltanoProject) -> MeltanoProject:
    """A project that has taken docs/scaling.md's steps."""
    shutil.copytree(REPOSITORY / "examples" / "dagster", project.folder / "examples" / "dagster")
    path = project.folder / "meltano.yml"
    definition = yaml.safe_load(path.read_text(encoding="utf-8"))
    definition["include_paths"] = ["examples/dagster/accounts.meltano.yml"]
    path.write_text(yaml.safe_dump(definition, sort_keys=False, allow_unicode=True), encoding="utf-8")
    home = project.folder / "dagster"
    home.mkdir()
    (home / "dagster.yaml").write_text("telemetry:\n  enabled: false\n", encoding="utf-8")
    return project


def test_two_accounts_are_loaded_side_by_side(
    scaled: MeltanoProject, emulate: Emulate, environments: Environments, postgres: Postgres
) -> None:
    """Both fleets are read at the same time into one table, which then equals both services."""
    north = emulate(Device("z6-00001", records=40), Device("z6-00002", records=10), seed=1)
    south = emulate(Device("z6-00101", records=40), Device("z6-00102", records=10), seed=2)
    variables = {
        **_settings("ZENTRA_NORTH", north),
        **_settings("ZENTRA_SOUTH", south),
        # Without look-back each record is sent once, so that what is asked for can be counted.
        "ZENTRA_NORTH_MRID_LOOKBACK": "0",
        "TARGET_POSTGRES_DEFAULT_TARGET_SCHEMA": postgres.schema,
        "DAGSTER_HOME": str(scaled.folder / "dagster"),
        "PATH": os.pathsep.join((str(environments.programs(DAGSTER)), str(PROGRAMS), os.environ["PATH"])),
    }
    first = scaled.meltano("run", "zentra-north", "target-postgres", **variables)
    assert first.exit_code == 0, first.log
    north.grow(40)
    north.let_window_pass()

    command = "exec dagster job execute -f examples/dagster/definitions.py -j fleets"
    # Neither gets an answer before both have called.
    with gate(north, first_held=1) as northern, gate(south, first_held=1) as southern, ThreadPoolExecutor() as threads:
        running = threads.submit(scaled.bash, command, **variables)
        both_have_called = northern.reached.wait(PATIENCE) and southern.reached.wait(PATIENCE)
        northern.open()
        southern.open()
        done = running.result()

    assert both_have_called
    assert done.exit_code == 0, done.log
    assert postgres.rows() == stored(north) | stored(south)
    assert {key[0] for key in postgres.of("devices").rows()} == {*north.device_sns, *south.device_sns}
    assert {key[0] for key in postgres.of("sensors").rows()} == {*north.device_sns, *south.device_sns}
    assert sum(call.records for call in north.calls) == 130
    assert north.token not in done.log
