"""Loaders that others wrote, and a validator of the Singer specification, over the tap's output."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import yaml

from tap_zentra.emulator import Device, Emulator
from tests.integration.documents import example
from tools.loaders.__main__ import FOOT, HEAD
from tools.loaders.check import STREAMS, Messages, check
from tools.loaders.kinds import DUCKDB, Destination, destinations, duckdb_rows
from tools.loaders.project import PROJECT
from tools.loaders.runs import ENV_MODELS, two_runs

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.support import Tap
    from tools.loaders.environments import Environments
    from tools.postgres.server import Warehouse

    Emulate = Callable[..., Emulator]

pytestmark = pytest.mark.warehouse

GOOD = {
    "meltanolabs-target-postgres": "replace the same rows",
    "target-jsonl": "are there twice",
    "meltanolabs-target-csv": "are there twice",
    "pipelinewise-target-postgres": "replace the same rows",
}
BAD = "target-duckdb"
NOT_HERE = () if sys.version_info < (3, 12) else ("pipelinewise-target-postgres",)
NO_EMPTY_KEYS = {"pipelinewise-target-postgres", "target-duckdb"}
"""Loaders that can't load `sensors` as it is."""


@pytest.fixture(scope="module", params=list(STREAMS))
def api(request: pytest.FixtureRequest) -> str:
    """Whose streams are loaded."""
    return str(request.param)


@pytest.fixture(scope="module")
def runs(api: str, tmp_path_factory: pytest.TempPathFactory) -> list[Messages]:
    """The tap's output, of all streams of an API: a backfill, and what is new after it."""
    return two_runs(tmp_path_factory.mktemp("runs"), api)


@pytest.fixture(scope="module")
def loaders(api: str, environments: Environments, warehouse: Warehouse) -> dict[str, Destination]:
    """All loaders by name."""
    return {destination.name: destination for destination in destinations(environments, warehouse, f"loaders_{api}")}


def test_all_loaders_are_tested(loaders: dict[str, Destination]) -> None:
    """What the table shows as good or bad is what the tests below hold to it."""
    assert set(loaders) == {*(name for name in GOOD if name not in NOT_HERE), BAD}
    assert {name for name, loader in loaders.items() if loader.fails_on} == NO_EMPTY_KEYS.difference(NOT_HERE)


def test_the_runs_have_what_loaders_may_stumble_over(runs: list[Messages]) -> None:
    """All streams; keys that are sent again in one run and in the next; empty texts in a key; objects and nulls."""
    [backfill, following] = runs
    sent = {message.get("stream") for message in map(json.loads, backfill.text.splitlines())} - {None}
    sensors = backfill.records("sensors")
    keys = Counter(tuple(row[name] for name in backfill.key("sensors")) for row in sensors)

    assert sent == set(STREAMS[backfill.api])
    assert all(messages.records(stream) for messages in runs for stream in STREAMS[backfill.api])
    assert max(keys.values()) > 1
    assert {row["device_sn"] for row in following.records("devices")} == {
        row["device_sn"] for row in backfill.records("devices")
    }
    assert {"", None} <= {value for row in sensors for value in row.values()}
    if backfill.api == "v5":
        assert any(row["extra"] for row in backfill.records("devices"))
    else:
        last = [max(row["timestamp_utc"] for row in messages.records("env_model_data")) for messages in runs]
        days = [row["timestamp_utc"] for row in following.records("env_model_data")]
        assert min(days) <= last[0] < last[1]


@pytest.mark.parametrize(("name", "repeated"), GOOD.items())
def test_a_loader_stores_every_record_with_equal_values(
    name: str, repeated: str, loaders: dict[str, Destination], runs: list[Messages], tmp_path: Path
) -> None:
    """Two runs are stored whole, every stream of them, and rows that come again do what the table says."""
    if name in NOT_HERE:
        pytest.skip("can't be installed for this Python")
    findings = check(loaders[name], runs, tmp_path)
    whole = {finding.stream for finding in findings if finding.stream not in loaders[name].fails_on}

    assert {finding.stream for finding in findings} == set(STREAMS[runs[0].api])
    assert [
        (finding.stream, finding.exit_codes) for finding in findings if finding.stream in whole and finding.fails
    ] == [], (tmp_path / "log").read_text(encoding="utf-8")
    assert {finding.stream for finding in findings if finding.equal and finding.repeated == repeated} == whole
    assert {finding.found for finding in findings if finding.stream not in whole} <= {0}


def test_target_duckdb_loses_data(loaders: dict[str, Destination], runs: list[Messages], tmp_path: Path) -> None:
    """Rows are missing, with exit code 0: the warning stays for as long as this is so."""
    findings = check(loaders[BAD], runs, tmp_path)
    loaded = [finding for finding in findings if not finding.fails]

    assert {finding.stream for finding in findings if finding.fails} == {"sensors"}
    assert {finding.stream for finding in loaded if finding.loses and finding.found < finding.keys} == {
        finding.stream for finding in loaded
    }


@pytest.mark.skipif("pipelinewise-target-postgres" in NOT_HERE, reason="can't be installed for this Python")
def test_a_word_for_empty_texts_lets_such_a_loader_take_the_sensors(
    environments: Environments, warehouse: Warehouse, emulate: Emulate, tap: Tap
) -> None:
    """The example of docs/loaders.md: all streams are loaded, with exit code 0."""
    emulator = emulate(Device("z6-00011", records=50))
    maps = yaml.safe_load(example("words", "docs/loaders.md"))["config"]["stream_maps"]
    run = tap.sync(emulator, stream_maps=json.dumps(maps), env_models=json.dumps(ENV_MODELS[:1]))
    [loader] = [one for one in destinations(environments, warehouse, "words") if one.name.startswith("pipelinewise")]

    findings = check(replace(loader, fails_on=()), [Messages("v4", run.stdout)], tap.folder)

    assert {finding.stream for finding in findings if finding.equal and not finding.fails} == set(STREAMS["v4"])


def test_the_table_names_every_loader_in_its_version_with_every_stream(
    api: str, loaders: dict[str, Destination]
) -> None:
    """docs/loaders.md, which `python -m tools.loaders` writes, is about the versions that are tested."""
    table = (PROJECT / "docs" / "loaders.md").read_text(encoding="utf-8")

    wanted = [
        f"| {name} | {loader.version} | {api} | {stream} |"
        for name, loader in loaders.items()
        for stream in STREAMS[api]
    ]
    assert [row for row in wanted if row not in table] == []
    assert table.startswith(HEAD)
    assert table.endswith(FOOT)


EXAMPLES = {"v4": ("readings", "duckdb", "README.md"), "v5": ("readings_v5", "duckdb-v5", "docs/tables.md")}
TYPES = {
    "readings": {"mrid": "BIGINT", "value": "DOUBLE", "error_flag": "BOOLEAN", "timestamp_utc": "moment"},
    "readings_v5": {"error_code": "BIGINT", "value": "DOUBLE", "error_flag": "BOOLEAN", "timestamp_utc": "moment"},
    "env_model_data": {"value": "DOUBLE", "latitude": "DOUBLE", "error_flag": "BOOLEAN", "timestamp_utc": "moment"},
    "devices": {"readings_read": "BIGINT", "calls": "BIGINT", "last_reading_utc": "moment", "synced_at": "moment"},
    "sensors": {"sub_sensor_index": "BIGINT", "first_seen_utc": "moment", "last_seen_utc": "moment"},
}


def test_duckdb_reads_the_files_of_target_jsonl(
    loaders: dict[str, Destination], runs: list[Messages], environments: Environments, tmp_path: Path
) -> None:
    """The documents' query finds every reading once, and `read_json` numbers, moments and booleans as such."""
    api = runs[0].api
    stream, *query = EXAMPLES[api]
    output = tmp_path / "output"
    output.mkdir()
    check(loaders["target-jsonl"], runs, output)
    python = environments.programs(DUCKDB, "pytz") / "python"  # for moments with a zone

    found = example(*query).rstrip().removesuffix(";")
    totals = duckdb_rows(python, tmp_path, f"({found})")

    assert sum(row["readings"] for row in totals) == sum(len(messages.records(stream)) for messages in runs)
    assert {name: _types(python, tmp_path, name) for name in STREAMS[api]} == {
        name: TYPES[name] for name in STREAMS[api]
    }


def _types(python: Path, folder: Path, stream: str) -> dict[str, str]:
    """Return which types DuckDB finds in a file."""
    columns = ", ".join(f"typeof(any_value({name})) as {name}" for name in TYPES[stream])
    [types] = duckdb_rows(python, folder, f"(select {columns} from read_json('output/{stream}.jsonl'))")  # noqa: S608 - our own names
    # With its zone only in later versions.
    return {name: "moment" if kind.startswith("TIMESTAMP") else kind for name, kind in types.items()}


def test_the_output_keeps_to_the_singer_specification(runs: list[Messages], environments: Environments) -> None:
    """The validator of Singer's own tools accepts each run, and has seen all records."""
    validator = environments.programs("singer-tools==0.4.1") / "singer-check-tap"

    for messages in runs:
        sent = sum(len(messages.records(stream)) for stream in STREAMS[messages.api])
        done = subprocess.run(validator, input=messages.text, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        assert f"{sent} record messages" in done.stdout
