"""Snowflake: as far as fakesnow goes, which is all but the load itself, and the load with a real account."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.integration.documents import column_types
from tests.integration.support import KEYS
from tools.loaders.check import Messages, same_readings
from tools.loaders.project import loader
from tools.loaders.runs import two_runs

if TYPE_CHECKING:
    from tools.loaders.environments import Environments

pytestmark = pytest.mark.warehouse

FAKESNOW = "fakesnow==0.12.1"
READER = Path(__file__).with_name("snowflake_reader.py")


@pytest.fixture(scope="module")
def programs(environments: Environments) -> Path:
    """The target that meltano.yml names, with fakesnow beside it."""
    return environments.programs(loader("target-snowflake")["pip_url"], FAKESNOW)


@pytest.fixture(scope="module", params=list(KEYS))
def backfill(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Messages:
    """The tap's output for a small fleet, of each stream."""
    return two_runs(tmp_path_factory.mktemp("runs"), request.param)[0]


@pytest.fixture(scope="module")
def loaded(programs: Path, backfill: Messages, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A folder with what the target has made, `database` and `batches`, and its last words.

    fakesnow stands for the service; neither it nor the target is altered. It does not know PUT, so the target
    fails there.
    """
    folder = tmp_path_factory.mktemp("snowflake")
    for name in ("database", "batches"):
        (folder / name).mkdir()
    config = {
        **loader("target-snowflake")["config"],
        "account": "made-up",
        "user": "made-up",
        "password": "made up",
        "database": "METER",
        "warehouse": "LOADING",
        "add_record_metadata": False,
        "clean_up_batch_files": False,
        "batch_config": {
            "encoding": {"format": "jsonl", "compression": "gzip"},
            "storage": {"root": f"file://{folder}/batches"},
        },
    }
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    done = subprocess.run(
        (programs / "fakesnow", "-d", folder / "database", programs / "target-snowflake", "--config", "config.json"),
        cwd=folder,
        input=backfill.text,
        capture_output=True,
        text=True,
        check=False,
    )
    return folder, done.stderr


def test_the_table_is_what_an_analyst_expects(programs: Path, loaded: tuple[Path, str], backfill: Messages) -> None:
    """The target connects, makes the schema and the table, with the types of docs/tables.md, and its key."""
    folder, log = loaded
    command = (programs / "python", READER, folder / "database", backfill.stream.upper())
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 0, log + done.stderr
    found = json.loads(done.stdout)
    types = {name.lower(): kind.replace("(16777216)", "") for name, kind in found["types"].items()}
    assert types == column_types("Snowflake", backfill.stream)
    assert found["key"] == [name.upper() for name in KEYS[backfill.stream]]


def test_the_files_to_be_staged_hold_every_reading(loaded: tuple[Path, str], backfill: Messages) -> None:
    """What the target would copy into the table is what the tap has sent, all values equal."""
    folder, log = loaded
    files = [gzip.decompress(path.read_bytes()) for path in sorted((folder / "batches").iterdir())]
    staged = [json.loads(line) for file in files for line in file.splitlines()]

    assert same_readings(backfill.stream, staged, backfill.records), log


def test_the_load_itself_is_where_fakesnow_ends(loaded: tuple[Path, str], backfill: Messages) -> None:
    """The target gets as far as its stage; when this fails, fakesnow can do more, and so can these tests."""
    _, log = loaded

    assert "syntax error" in log
    assert f"@~/target-snowflake/{backfill.stream}-" in log


ACCOUNT = {
    name.removeprefix("SNOWFLAKE_").lower(): value
    for name, value in os.environ.items()
    if name.startswith("SNOWFLAKE_")
}
LIVE_SCHEMA = f"TAP_ZENTRA_TEST_{os.getpid()}"


@pytest.mark.live
@pytest.mark.skipif("account" not in ACCOUNT, reason="no SNOWFLAKE_ACCOUNT, _USER, _DATABASE, … to load into")
def test_a_real_account_holds_every_reading_after_two_loads(programs: Path, backfill: Messages, tmp_path: Path) -> None:
    """Stage, COPY and MERGE: each reading is there once, also when it is sent again; the schema is removed."""
    config: dict[str, Any] = ACCOUNT | {"default_target_schema": LIVE_SCHEMA, "add_record_metadata": False}
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    query = (
        programs / "python",
        READER.with_name("snowflake_live.py"),
        tmp_path / "config.json",
        LIVE_SCHEMA,
        backfill.stream,
    )
    try:
        for _ in range(2):
            subprocess.run(
                (programs / "target-snowflake", "--config", "config.json"),
                cwd=tmp_path,
                input=backfill.text,
                text=True,
                check=True,
            )
        found = subprocess.run((*query, "select"), capture_output=True, text=True, check=True).stdout
    finally:
        subprocess.run((*query, "drop"), check=True)

    assert same_readings(backfill.stream, json.loads(found), backfill.records)
