"""Meltano's commands over this repository's meltano.yml: run, el, elt, state, jobs, environments, selection, maps."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tap_zentra.emulator import Device, Emulator
from tests.integration.documents import example
from tests.integration.support import KEYS, Postgres, stored
from tests.support import bookmarks
from tools.loaders.check import kind_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.integration.projects import MeltanoProject, Outcome

    Emulate = Callable[..., Emulator]

pytestmark = pytest.mark.warehouse

STATE_ID = "zentra-to-postgres"
COMMANDS = {
    "run": (("run",), ("tap-zentra", "target-postgres"), "prod:tap-zentra-to-target-postgres"),
    "el": (("el",), ("tap-zentra", "target-postgres", "--state-id", STATE_ID), STATE_ID),
    "elt": (("elt",), ("tap-zentra", "target-postgres", "--state-id", STATE_ID), STATE_ID),
}


@pytest.fixture
def emulator(emulate: Emulate) -> Emulator:
    """Two small devices."""
    return emulate(Device("z6-00001", records=20), Device("z6-00002", records=5))


def _requested(emulator: Emulator) -> Counter[str | None]:
    """How many records each device has sent so far."""
    return sum((Counter({call.device_sn: call.records}) for call in emulator.calls), Counter())


def _succeeds(outcome: Outcome) -> None:
    assert outcome.exit_code == 0, outcome.log


def _bookmarks(project: MeltanoProject, state_id: str) -> dict[str, int]:
    outcome = project.meltano("state", "get", state_id)
    _succeeds(outcome)
    state: dict[str, Any] = json.loads(outcome.stdout)["singer_state"]
    return bookmarks(state)


@pytest.mark.parametrize(
    # Meltano's other commands run the same blocks as `el` does, so the long form is enough for that one.
    "name",
    [pytest.param(name, marks=[pytest.mark.long] if name == "el" else []) for name in COMMANDS],
)
def test_a_command_loads_first_everything_then_the_new_and_again_everything_on_request(
    name: str, project: MeltanoProject, emulator: Emulator, postgres: Postgres
) -> None:
    """First run: all; next run: what is new; with --full-refresh: all again. The table is right after each."""
    (before, after, _) = COMMANDS[name]
    # Without look-back each record is sent once, so that what a command asks for can be counted.
    schema = {"TARGET_POSTGRES_DEFAULT_TARGET_SCHEMA": postgres.schema, "TAP_ZENTRA_MRID_LOOKBACK": "0"}

    _succeeds(project.sync(emulator, *before, *after, **schema))
    assert postgres.rows() == stored(emulator)

    first = _requested(emulator)
    emulator.grow(3, "z6-00002")
    _succeeds(project.sync(emulator, *before, *after, **schema))
    assert postgres.rows() == stored(emulator)
    second = _requested(emulator)
    assert second - first == {"z6-00002": 3}

    _succeeds(project.sync(emulator, *before, "--full-refresh", *after, **schema))
    assert postgres.rows() == stored(emulator)
    assert _requested(emulator) - second == {"z6-00001": 20, "z6-00002": 8}


def test_state_is_listed_shown_and_cleared(project: MeltanoProject, emulator: Emulator, postgres: Postgres) -> None:
    """A job's state has its environment's name, is one bookmark for each device, and is forgotten on request."""
    schema = {"TARGET_POSTGRES_DEFAULT_TARGET_SCHEMA": postgres.schema}
    _succeeds(project.sync(emulator, "--environment=ci", "run", "zentra-to-postgres", **schema))
    state_id = "ci:tap-zentra-to-target-postgres"

    listed = project.meltano("state", "list")
    kept = _bookmarks(project, state_id)
    _succeeds(project.meltano("state", "clear", "--force", state_id))
    cleared = project.meltano("state", "get", state_id)

    assert listed.stdout.split() == [state_id]
    assert kept == {"z6-00001": 20, "z6-00002": 5}
    assert json.loads(cleared.stdout) == {}


@pytest.mark.parametrize(
    ("environment", "schema"), [("dev", "zentra_dev"), ("ci", "zentra_ci"), ("demo", "zentra_demo"), ("prod", "zentra")]
)
def test_each_environment_has_a_schema_of_its_own(environment: str, schema: str, project: MeltanoProject) -> None:
    """What is tried out, in the demo too, never meets the rows of prod."""
    outcome = project.meltano(f"--environment={environment}", "config", "print", "target-postgres")

    _succeeds(outcome)
    assert json.loads(outcome.stdout)["default_target_schema"] == schema


def test_a_selection_and_stream_maps_shape_what_is_loaded(project: MeltanoProject, emulator: Emulator) -> None:
    """The README's example: a column is missing, the table and a column are renamed, a filter drops rows."""
    project.change("tap-zentra", **yaml.safe_load(example("shape")))

    outcome = project.sync(emulator, "run", "tap-zentra", "target-jsonl")

    _succeeds(outcome)
    lines = (project.folder / "output" / "water.jsonl").read_text(encoding="utf-8").splitlines()
    found = [json.loads(line) for line in lines]
    wanted = [row for row in emulator.readings() if row["measurement"] == "Water Content" and row["value"] is not None]
    assert sorted(row["water_content"] for row in found) == sorted(row["value"] for row in wanted)  # type: ignore[type-var]
    assert not {"local_datetime", "value"} & {column for row in found for column in row}


def test_devices_alone_take_one_call_each(project: MeltanoProject, emulator: Emulator, postgres: Postgres) -> None:
    """With `select: [devices.*]` no reading is loaded, and none that a later run with all streams would miss."""
    schema = {"TARGET_POSTGRES_DEFAULT_TARGET_SCHEMA": postgres.schema}
    project.change("tap-zentra", select=["devices.*"])
    _succeeds(project.sync(emulator, "run", "tap-zentra", "target-postgres", **schema))
    devices = postgres.of("devices").rows().values()

    assert {row["device_sn"]: row["last_mrid"] for row in devices} == {"z6-00001": 20, "z6-00002": 5}
    assert [(postgres.of(stream).types, postgres.of(stream).count()) for stream in ("readings", "sensors")] == [
        ({}, 0)
    ] * 2
    assert Counter(call.device_sn for call in emulator.calls) == {"z6-00001": 1, "z6-00002": 1}

    project.change("tap-zentra", select=["*.*"])
    _succeeds(project.sync(emulator, "run", "tap-zentra", "target-postgres", **schema))

    assert postgres.rows() == stored(emulator)


def test_meltano_lists_what_can_be_selected(project: MeltanoProject, emulator: Emulator) -> None:
    """All streams and their columns are in `meltano select --list`, and those of the key can't be left out."""
    project.change("tap-zentra", select=["devices.outcome", "sensors.*", "!sensors.depth"])

    outcome = project.sync(emulator, "select", "tap-zentra", "--list", "--all")

    _succeeds(outcome)
    found = re.findall(r"\[(\w+) *\] (\w+)\.(\w+)", outcome.stdout)
    assert {stream for _, stream, _ in found} == {"readings", "env_model_data", "devices", "sensors"}
    assert {("automatic", "devices", "device_sn"), ("selected", "devices", "outcome")} <= set(found)
    assert {("excluded", "sensors", "depth"), ("excluded", "devices", "error")} <= set(found)


def test_texts_can_be_given_a_length(project: MeltanoProject, emulator: Emulator) -> None:
    """The example of docs/loaders.md, for targets that want no text of any length in a key: all else stays."""
    before = _schemas(project, emulator)
    lengths = yaml.safe_load(example("lengths", "docs/loaders.md"))
    project.change("tap-zentra", **lengths)

    after = _schemas(project, emulator)

    assert {stream: set(columns) for stream, columns in lengths["schema"].items()} == {
        stream: {name for name in KEYS[stream] if kind_of(columns[name]) == "string"}
        for stream, columns in before.items()
    }
    assert after == {stream: {**columns, **lengths["schema"][stream]} for stream, columns in before.items()}


def _schemas(project: MeltanoProject, emulator: Emulator) -> dict[str, dict[str, Any]]:
    """Return the columns of each SCHEMA that targets get."""
    station = {"device_sn": "z6-00001", "port_number": 1, "model_type": "ETo", "elevation": 806, "latitude": 32.25}
    outcome = project.sync(emulator, "invoke", "tap-zentra", TAP_ZENTRA_ENV_MODELS=json.dumps([station]))
    _succeeds(outcome)
    messages = [json.loads(line) for line in outcome.stdout.splitlines() if line.startswith("{")]
    return {m["stream"]: m["schema"]["properties"] for m in messages if m["type"] == "SCHEMA"}


def test_metadata_make_a_run_read_everything_each_time(project: MeltanoProject, emulator: Emulator) -> None:
    """With the replication method FULL_TABLE in `metadata` bookmarks do not count."""
    project.change("tap-zentra", metadata={"readings": {"replication-method": "FULL_TABLE"}})
    for _ in range(2):
        _succeeds(project.sync(emulator, "run", "tap-zentra", "target-jsonl"))

    assert _requested(emulator) == {"z6-00001": 40, "z6-00002": 10}


@pytest.mark.parametrize("form", ["a password", "a key pair"])
def test_snowflake_is_configured_by_the_environment(form: str, project: MeltanoProject) -> None:
    """An account and either way to prove who one is arrive at target-snowflake, and nothing else."""
    account = {"account": "xy12345", "user": "LOADER", "database": "METER", "warehouse": "LOADING", "role": "LOADER"}
    proof = {"a password": {"password": "made up"}, "a key pair": {"private_key_path": "/run/secrets/snowflake.p8"}}
    variables = {f"TARGET_SNOWFLAKE_{name.upper()}": value for name, value in (account | proof[form]).items()}

    outcome = replace(project, variables={}).meltano("config", "--unsafe", "print", "target-snowflake", **variables)

    _succeeds(outcome)
    config = json.loads(outcome.stdout)
    told = {"password", "private_key", "private_key_path", "oauth_access_token"} & config.keys()
    assert {name: config[name] for name in (*account, *told)} == account | proof[form]
