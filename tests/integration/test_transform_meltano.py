"""Meltano builds the models: as one job with the load, in the loader's database, in each environment's schema."""

from __future__ import annotations

import json
import re
import subprocess
from collections import Counter
from dataclasses import replace
from typing import IO, TYPE_CHECKING, Any, cast

import pytest

from tap_zentra.emulator import Device, Emulator
from tests.integration.projects import MeltanoProject, borrow_plugins

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from tests.integration.support import Postgres

    Emulate = Callable[..., Emulator]
    Render = Callable[..., list[dict[str, Any]]]

pytestmark = pytest.mark.warehouse

SCHEDULE = ("schedule", "run", "hourly-readings")
RENDER = """
import json, sys
from dbt.config.profile import read_profile
from dbt.config.renderer import ProfileRenderer
from dbt_common.context import set_invocation_context
from dbt_common.exceptions import DbtBaseException

def render(output, environment):
    set_invocation_context(environment)
    try:
        return ProfileRenderer({}).render_data(read_profile(".")["zentra"]["outputs"][output])
    except DbtBaseException as error:
        return {"error": str(error)}

for request in sys.stdin:
    output, environments = json.loads(request)
    print(json.dumps([render(output, environment) for environment in environments]), flush=True)
"""


@pytest.fixture
def emulator(emulate: Emulate) -> Emulator:
    """Two devices that can be read, and one that never can."""
    return emulate(
        Device("z6-00001", records=20),
        Device("z6-00002", records=5),
        Device("z6-00003", records=5, of_another_user=True),
    )


@pytest.fixture
def project(installed: Path, own_postgres: Postgres, tmp_path: Path) -> MeltanoProject:
    """A project with the models, and a server of its own, so that the schemas may have the names of meltano.yml."""
    folder = borrow_plugins(installed, tmp_path / "project", "transform")
    return MeltanoProject(folder, own_postgres.warehouse.environment)


@pytest.fixture(scope="module")
def render(installed: Path) -> Iterator[Render]:
    """What dbt reads in profiles.yml under given environments; of an error, its text."""
    python = installed / ".meltano" / "utilities" / "dbt-postgres" / "venv" / "bin" / "python"
    with subprocess.Popen(
        (python, "-c", RENDER),
        cwd=installed / "transform",
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        requests, answers = cast("IO[str]", process.stdin), cast("IO[str]", process.stdout)

        def render(output: str, *environments: Mapping[str, str]) -> list[dict[str, Any]]:
            requests.write(json.dumps([output, environments]) + "\n")
            requests.flush()
            profiles: list[dict[str, Any]] = json.loads(answers.readline())
            return profiles

        yield render


def _made(postgres: Postgres) -> dict[str, set[str]]:
    """The names of all tables and views of the server, by schema."""
    query = "select table_schema, table_name from information_schema.tables where table_schema like 'zentra%%'"
    made: dict[str, set[str]] = {}
    for row in postgres.query(query):
        made.setdefault(row["table_schema"], set()).add(row["table_name"])
    return made


def test_the_schedule_loads_and_builds_in_the_environments_schema(
    project: MeltanoProject, emulator: Emulator, own_postgres: Postgres
) -> None:
    """With `on_device_failure: warn`, a dead device keeps nothing from being built; the models name it as failed."""
    outcome = project.sync(emulator, "--environment=dev", *SCHEDULE, TAP_ZENTRA_ON_DEVICE_FAILURE="warn")

    assert outcome.exit_code == 0, outcome.log
    made = _made(own_postgres)
    assert made.keys() == {"zentra_dev"}
    assert {"readings", "zentra_daily", "zentra_devices"} <= made["zentra_dev"]
    postgres = replace(own_postgres, schema="zentra_dev")
    devices = {row["device_sn"]: row for row in postgres.of("zentra_devices").query("select * from {}")}
    assert [name for name, row in devices.items() if row["status"] == "failed"] == ["z6-00003"]
    assert "403" in devices["z6-00003"]["error"]
    built = postgres.of("zentra_daily").query(
        "select device_sn, sum(readings + flagged)::integer as count from {} group by device_sn"
    )
    assert {row["device_sn"]: row["count"] for row in built} == Counter(
        str(row["device_sn"]) for row in emulator.readings()
    )


def test_after_a_load_that_failed_nothing_is_built(
    project: MeltanoProject, emulator: Emulator, own_postgres: Postgres
) -> None:
    """With `on_device_failure: fail` the command ends with the load: what was read is there, and no model."""
    outcome = project.sync(emulator, "run", "tap-zentra", "target-postgres", "dbt-postgres:build")

    assert outcome.exit_code != 0, outcome.log
    assert _made(own_postgres) == {"zentra": {"readings", "devices", "sensors"}}
    assert len(own_postgres.rows()) == sum(1 for _ in emulator.readings())


def test_a_build_that_cannot_connect_says_what_to_set(project: MeltanoProject) -> None:
    """An empty variable, as a secret that is not set leaves it, is as good as none; the job fails."""
    outcome = project.meltano("run", "dbt-postgres:build", TARGET_POSTGRES_HOST="")

    assert outcome.exit_code != 0
    assert "not provided: 'TARGET_POSTGRES_HOST or DBT_POSTGRES_HOST'" in outcome.log


@pytest.mark.long
@pytest.mark.parametrize(
    ("environment", "schema"), [("ci", "zentra_ci"), ("demo", "zentra_demo"), ("dev", "zentra_dev"), ("prod", "zentra")]
)
def test_dbt_is_told_each_environments_schema(environment: str, schema: str, project: MeltanoProject) -> None:
    """It connects, and would build where the loader of the same environment loads."""
    outcome = project.meltano(f"--environment={environment}", "invoke", "dbt-postgres:debug")

    assert outcome.exit_code == 0, outcome.log
    assert re.findall(r"schema: (\w+)", outcome.stdout) == [schema]


LOADER = {
    "TARGET_POSTGRES_HOST": "db.example.org",
    "TARGET_POSTGRES_USER": "loader",
    "TARGET_POSTGRES_PASSWORD": "1234",
    "TARGET_POSTGRES_DATABASE": "meter",
}
SNOWFLAKE = {
    "TARGET_SNOWFLAKE_ACCOUNT": "xy12345",
    "TARGET_SNOWFLAKE_USER": "LOADER",
    "TARGET_SNOWFLAKE_DATABASE": "METER",
    "TARGET_SNOWFLAKE_WAREHOUSE": "LOADING",
    "TARGET_SNOWFLAKE_ROLE": "LOADER",
}


def test_what_the_loader_was_told_need_not_be_said_again(render: Render) -> None:
    """The loader's variables name the database; those of dbt, where there are any, come first; digits stay text."""
    loaders, others, own, ports = render(
        "postgres",
        LOADER,
        {**LOADER, "TARGET_POSTGRES_DEFAULT_TARGET_SCHEMA": "soil", "ZENTRA_SCHEMA": "zentra_dev"},
        {**LOADER, "DBT_POSTGRES_SCHEMA": "models", "DBT_POSTGRES_USER": "17", "ZENTRA_SCHEMA": "zentra_dev"},
        {**LOADER, "TARGET_POSTGRES_PORT": "5433", "DBT_POSTGRES_SCHEMA": "", "ZENTRA_SCHEMA": "zentra_dev"},
    )

    there = {"host": "db.example.org", "user": "loader", "password": "1234", "dbname": "meter"}
    assert loaders.items() >= {**there, "port": 5432, "schema": "zentra"}.items()
    assert others["schema"] == "soil"
    assert (own["schema"], own["user"]) == ("models", "17")
    assert (ports["schema"], ports["port"]) == ("zentra_dev", 5433)


def test_a_variable_that_is_needed_is_named(render: Render) -> None:
    """Without it, or if it is empty, dbt ends with a line that says which one to set."""
    needed = {"TARGET_POSTGRES_HOST", "TARGET_POSTGRES_USER", "TARGET_POSTGRES_DATABASE"}
    missing = [{name: value for name, value in LOADER.items() if name != left_out} for left_out in sorted(needed)]
    empty = [{**LOADER, left_out: ""} for left_out in sorted(needed)]

    errors = [profile["error"] for profile in render("postgres", *missing, *empty)]

    for error, name in zip(errors, sorted(needed) * 2, strict=True):
        assert f"Env var required but not provided: '{name} or DBT_POSTGRES_" in error


def test_snowflake_takes_a_password_or_a_key_pair(render: Render) -> None:
    """Either way to prove who one is reaches dbt as the loader has it, and what is not set counts as nothing."""
    key = {"private_key_path": "/run/secrets/snowflake.p8", "private_key_passphrase": "1234"}
    with_password, with_key, without = render(
        "snowflake",
        {**SNOWFLAKE, "TARGET_SNOWFLAKE_PASSWORD": "4567"},
        {**SNOWFLAKE, **{f"TARGET_SNOWFLAKE_{name.upper()}": value for name, value in key.items()}},
        {name: value for name, value in SNOWFLAKE.items() if name != "TARGET_SNOWFLAKE_WAREHOUSE"},
    )

    proofs = ("password", "private_key", "private_key_path", "private_key_passphrase")
    assert {name: with_password[name] for name in proofs if with_password[name]} == {"password": "4567"}
    assert {name: with_key[name] for name in proofs if with_key[name]} == key
    there = {"account": "xy12345", "user": "LOADER", "database": "METER", "warehouse": "LOADING", "role": "LOADER"}
    assert with_key.items() >= {**there, "schema": "zentra"}.items()
    assert "TARGET_SNOWFLAKE_WAREHOUSE or DBT_SNOWFLAKE_WAREHOUSE" in without["error"]
