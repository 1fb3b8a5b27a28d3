"""The models in DuckDB, over files of target-jsonl, and in fakesnow, which stands for Snowflake.

Both hold the same: a fleet that was read twice whole, so that files have its rows twice, some of them corrected, and
then by v5. In fakesnow all of that is built at once: it has no temporary tables of dbt's kind, which later runs need.
"""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.integration.documents import column_types
from tests.integration.transform_truth import KEYS, Row, Truth, require_equal, utc
from tests.integration.transforms import (
    AHEAD,
    ALIVE,
    DBT_SNOWFLAKE,
    MOVED_AT_NIGHT,
    OFTEN,
    REFUSED,
    SET_BACK,
    STATIONS,
    Built,
    Dbt,
    Found,
    Held,
    duckdb_dbt,
    old_devices,
    read_files,
    snowflake_dbt,
    young_devices,
)
from tests.support import Tap, emulators
from tools.loaders.check import STREAMS, Messages
from tools.loaders.project import loader

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tools.loaders.environments import Environments

pytestmark = pytest.mark.warehouse

CHANGED, MOVED = "z6-00003", "z6-00004"
FEW = (CHANGED, MOVED, REFUSED, OFTEN, SET_BACK, MOVED_AT_NIGHT, ALIVE, AHEAD)
MAKE_TABLES = Path(__file__).with_name("transform_tables.py")


@dataclass(frozen=True)
class Sent:
    """What the tap has written.

    Attributes:
        runs: Its messages: of v4, of v4 again some records later, and of v5, whose readings are compact.
        compact: Readings of v4 of some devices in the compact form, another record later.
        held: What tables should hold after the second and after the third.
    """

    runs: tuple[Messages, ...]
    compact: Messages
    held: tuple[Held, Held]

    def devices(self, runs: int) -> list[Row]:
        """Return what a table `devices` that replaces rows has after so many runs."""
        rows: dict[str, Row] = {}
        for run in self.runs[:runs]:
            for row in run.records("devices"):
                moments = {name: utc(row[name]) for name in ("synced_at", "subscription_expires_at") if row.get(name)}
                rows[row["device_sn"]] = rows.get(row["device_sn"], {}) | row | moments
        return list(rows.values())


@dataclass(frozen=True)
class Step:
    """What a run of dbt has made, and what it should have."""

    built: Built
    compiled: Mapping[str, str] = field(repr=False)
    found: Found = field(repr=False)
    truth: Truth = field(repr=False)


@pytest.fixture(scope="module")
def sent(tmp_path_factory: pytest.TempPathFactory) -> Sent:
    """Three runs of the tap."""
    now = datetime.now(UTC).replace(second=0, microsecond=0)
    devices = [device for device in (*old_devices(), *young_devices(now)) if device.device_sn in FEW]
    stations = [station for station in STATIONS if station["device_sn"] in FEW]
    tap = Tap(tmp_path_factory.mktemp("runs"))
    with emulators() as start:
        emulator = start(*devices, late_values="null")
        first = tap.sync(emulator, env_models=json.dumps(stations))
        for device_sn in (OFTEN, CHANGED):
            emulator.grow(3, device_sn)
        again = tap.sync(emulator, env_models=json.dumps(stations))
        emulator.grow(1, CHANGED)
        compact = tap.sync(emulator, device_sns=f"{OFTEN},{CHANGED}", compact_readings=True)
        old, both = Held(), Held()
        for held in (old, both):
            held.load_v4(emulator, stations=stations)
        emulator.grow(3, MOVED)
        emulator.grow(2, AHEAD)
        moved = tap.sync(emulator, api_version="v5", start_date="2025-10-01", compact_readings=True)
        both.load_v5(emulator)
    assert [run.exit_code for run in (first, again, compact, moved)] == [1, 1, 0, 1], moved.stderr
    runs = (Messages("v4", first.stdout), Messages("v4", again.stdout), Messages("v5", moved.stdout))
    return Sent(runs, Messages("v4", compact.stdout).only(["records"]), (old, both))


def build(dbt: Dbt, sent: Sent, step: int) -> Step:
    """Build what is new at a step; return what is there then."""
    # Tests of rows are the same everywhere, and slow in fakesnow.
    built = dbt.build("run", "--threads", "1") if dbt.before else dbt.build()
    found = read_files(dbt, sent.devices(step + 2))
    return Step(built, dbt.compiled, found, sent.held[step].truth(found))


@dataclass(frozen=True)
class Files:
    """Files of target-jsonl, and dbt for them.

    Attributes:
        folder: Where the files are.
        target: What writes them.
        dbt: dbt, with a DuckDB for its models.
    """

    folder: Path
    target: Path
    dbt: Dbt

    def load(self, messages: Messages, *, in_new_files: bool = False) -> None:
        """Append what the tap has written, or begin files of this moment with it."""
        config = {"destination_path": str(self.folder), "do_timestamp_file": in_new_files}
        path = self.dbt.folder / "config.json"
        path.write_text(json.dumps(config), encoding="utf-8")
        command = (self.target, "--config", path)
        subprocess.run(command, input=messages.text, text=True, check=True, capture_output=True)


@pytest.fixture(scope="module")
def files(environments: Environments, tmp_path_factory: pytest.TempPathFactory) -> Files:
    """No files yet."""
    folder = tmp_path_factory.mktemp("duckdb")
    files = folder / "files"
    files.mkdir()
    target = environments.programs(loader("target-jsonl")["pip_url"]) / "target-jsonl"
    return Files(files, target, duckdb_dbt(environments, files, folder))


@pytest.fixture(scope="module")
def duckdb(sent: Sent, files: Files) -> Step:
    """DuckDB's models after both runs of v4, and the one whose readings are compact."""
    files.load(sent.runs[0])
    files.load(sent.runs[1])
    files.load(sent.compact)
    return build(files.dbt, sent, 0)


@pytest.fixture(scope="module")
def duckdb_later(sent: Sent, files: Files, duckdb: Step) -> Step:  # noqa: ARG001 - it comes first
    """What they are after that of v5."""
    files.load(sent.runs[2], in_new_files=True)
    return build(files.dbt, sent, 1)


@dataclass(frozen=True)
class Snowflake:
    """What has been built in fakesnow.

    Attributes:
        step: The build.
        later: The SQL that a run after it would have.
    """

    step: Step
    later: Mapping[str, str] = field(repr=False)


@pytest.fixture(scope="module")
def snowflake(sent: Sent, environments: Environments, tmp_path_factory: pytest.TempPathFactory) -> Snowflake:
    """Snowflake's models of all that was sent, as far as fakesnow is like Snowflake."""
    folder = tmp_path_factory.mktemp("snowflake")
    held, devices = sent.held[1], sent.devices(3)
    v5 = sent.runs[2].records("records_v5")
    rows = {"readings": held.v4.values(), "records_v5": v5, "env_model_data": held.days.values()}
    tables = {name: _table(folder / name, told) for name, told in {**rows, "devices": devices}.items()}
    (folder / "tables.json").write_text(json.dumps(tables), encoding="utf-8")
    databases = folder / "databases"
    databases.mkdir()
    python = environments.programs(*DBT_SNOWFLAKE) / "python"
    subprocess.run((python, MAKE_TABLES, databases, folder / "tables.json"), check=True, capture_output=True)

    dbt = snowflake_dbt(environments, databases, folder)
    step = build(dbt, sent, 1)
    compiled = dbt.build("compile", "--threads", "1")
    assert compiled.exit_code == 0, compiled.log
    return Snowflake(step, dbt.compiled)


def _table(file: Path, rows: Iterable[Row]) -> dict[str, Any]:
    """Write the rows of a table, and return their file and its columns, those of both services."""
    types = {
        column: kind
        for api in STREAMS
        for column, kind in column_types("Snowflake", file.name, api).items()
        if column != "extra"
    }
    lines = [json.dumps({column: _told(row.get(column)) for column in types}) for row in rows]
    file.write_text("\n".join(lines), encoding="utf-8")
    return {"types": types, "file": str(file)}


def _told(value: object) -> object:
    """Return a value as a table without zones gets it."""
    text = value.isoformat() if isinstance(value, datetime) else value
    return utc(text).isoformat() if isinstance(text, str) and re.match(r"\d{4}-\d\d-\d\dT", text) else text


@pytest.fixture(params=["duckdb", pytest.param("duckdb_later", marks=pytest.mark.long), "snowflake"])
def step(request: pytest.FixtureRequest) -> Step:
    """A step in DuckDB, or the only one in fakesnow."""
    built: Step | Snowflake = request.getfixturevalue(request.param)
    return built.step if isinstance(built, Snowflake) else built


def test_dbt_builds_all_models_and_all_their_tests_pass(step: Step) -> None:
    """Nothing fails or is left out, and the only warning is of devices that need attention."""
    assert step.built.named("fail", "error", "skipped") == [], step.built.log
    assert set(step.built.named("warn")) <= {"devices_that_need_attention"}
    assert step.built.exit_code == 0, step.built.log


@pytest.mark.parametrize("model", KEYS)
def test_a_model_holds_what_the_readings_give_without_sql(model: str, step: Step) -> None:
    """All rows and all columns, and nothing else: the same as in PostgreSQL."""
    require_equal(model, step.found.models.get(model, []), step.truth.of(model))


PARSE = """
import json, sqlglot, sys
from sqlglot import exp
unknown = {}
for name, sql in json.load(sys.stdin).items():
    [tree] = sqlglot.parse(sql, read="snowflake")
    unknown[name] = sorted({one.name.lower() for one in tree.find_all(exp.Anonymous)}) + sorted(
        {one.sql() for one in tree.find_all(exp.Is) if isinstance(one.expression, exp.Boolean)}
    )
print(json.dumps(unknown))
"""


@pytest.mark.parametrize("run", ["first", "later"])
def test_snowflake_has_all_words_that_its_models_use(
    run: str, snowflake: Snowflake, environments: Environments
) -> None:
    """Not what fakesnow hands on to DuckDB unread: functions that sqlglot doesn't know, and `is true`."""
    python = environments.programs(*DBT_SNOWFLAKE) / "python"
    compiled = snowflake.step.compiled if run == "first" else snowflake.later
    done = subprocess.run(
        (python, "-c", PARSE), input=json.dumps(compiled), capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert set(KEYS) <= set(found)
    assert {name: words for name, words in found.items() if words} == {}
    assert ("distinct from" in compiled["stg_zentra__readings"]) == (run == "later")
