"""Snowflake: as far as fakesnow goes, which is all but the load itself, and the load with a real account."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tap_zentra.emulator import Device, Emulator
from tests.integration.documents import column_types, example
from tools.loaders.check import STREAMS, Messages, kind_of, same_records
from tools.loaders.project import loader
from tools.loaders.runs import two_runs

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support import Tap
    from tools.loaders.environments import Environments

    Emulate = Callable[..., Emulator]

pytestmark = pytest.mark.warehouse

FAKESNOW = "fakesnow==0.12.1"
READER = Path(__file__).with_name("snowflake_reader.py")
STATEMENTS = READER.with_name("snowflake_statements.py")
TYPES = {
    "string": "VARCHAR",
    "integer": "NUMBER(38,0)",
    "number": "FLOAT",
    "boolean": "BOOLEAN",
    "date-time": "TIMESTAMP_NTZ(9)",
    "object": "VARIANT",
}


@pytest.fixture(scope="module")
def programs(environments: Environments) -> Path:
    """The target that meltano.yml names, with fakesnow beside it."""
    return environments.programs(loader("target-snowflake")["pip_url"], FAKESNOW)


@pytest.fixture(scope="module")
def backfills(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Messages]:
    """The tap's output for a small fleet, of all streams of each API."""
    return {api: two_runs(tmp_path_factory.mktemp("runs"), api)[0] for api in STREAMS}


def load(programs: Path, messages: Messages, folder: Path) -> str:
    """Have the target make `database` and `batches` in a folder; return its last words.

    fakesnow stands for the service; neither it nor the target is altered. It does not know PUT, so the target
    fails there.
    """
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
        input=messages.text,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stderr


@pytest.mark.parametrize("api", STREAMS)
def test_the_tables_are_what_an_analyst_expects(
    api: str, programs: Path, backfills: dict[str, Messages], tmp_path: Path
) -> None:
    """The target connects, makes the schema and all tables, with the types of docs/tables.md, and their keys.

    It gets as far as its stage; when this fails, fakesnow can do more, and so can these tests.
    """
    messages, streams = backfills[api], STREAMS[api]
    log = load(programs, messages, tmp_path)
    reader = (programs / "python", READER, tmp_path / "database")
    done = subprocess.run((*reader, *map(str.upper, streams)), capture_output=True, text=True, check=False)

    assert done.returncode == 0, log + done.stderr
    tables = dict(zip(streams, json.loads(done.stdout), strict=True))
    types = {stream: _types(table) for stream, table in tables.items()}
    wanted = {
        stream: {name: TYPES[kind_of(kind)] for name, kind in messages.columns(stream).items()} for stream in streams
    }
    assert types == wanted
    assert types[streams[0]] == column_types("Snowflake", streams[0])
    assert {stream: tuple(name.lower() for name in table["key"]) for stream, table in tables.items()} == {
        stream: messages.key(stream) for stream in streams
    }
    assert "syntax error" in log
    assert any(f"@~/target-snowflake/{stream}-" in log for stream in streams)


def _types(table: dict[str, Any]) -> dict[str, str]:
    return {name.lower(): kind.replace("(16777216)", "") for name, kind in table["types"].items()}


@pytest.mark.parametrize(
    ("api", "stream"), [("v4", "readings"), ("v4", "sensors"), ("v5", "readings_v5"), ("v5", "devices")]
)
def test_the_files_to_be_staged_hold_every_record(
    api: str, stream: str, programs: Path, backfills: dict[str, Messages], tmp_path: Path
) -> None:
    """What the target would copy into a table is what the tap has sent, all values equal: empty texts, objects too.

    Each stream goes alone, for the first file that can't be staged ends the run.
    """
    alone = backfills[api].only([stream])
    log = load(programs, alone, tmp_path)
    files = [gzip.decompress(path.read_bytes()) for path in sorted((tmp_path / "batches").iterdir())]
    staged = [json.loads(line) for file in files for line in file.splitlines()]

    assert len(staged) == len(alone.records(stream)), log
    assert same_records([alone], stream, staged)


def test_batch_files_are_staged_as_they_are(programs: Path, emulate: Emulate, tap: Tap, tmp_path: Path) -> None:
    """docs/snowflake.md: the target uploads the tap's own files, and does not touch what is in them before."""
    batches = tmp_path / "own"
    batches.mkdir()
    config = yaml.safe_load(example("batch", "docs/snowflake.md"))["config"]["batch_config"]
    config["storage"]["root"] = f"file://{batches}"
    done = tap.sync(emulate(Device("z6-00001", records=30)), batch_config=json.dumps(config))
    [file] = [url for message in done.messages if message["type"] == "BATCH" for url in message["manifest"]]
    content = Path(file.removeprefix("file://")).read_bytes()

    log = load(programs, Messages("v4", done.stdout).only(["readings"]), tmp_path)

    assert done.exit_code == 0, done.stderr
    assert "'@~/target-snowflake/readings-" in log, log
    assert f"'file_uri': '{file}'" in log, log
    assert Path(file.removeprefix("file://")).read_bytes() == content
    assert list((tmp_path / "batches").iterdir()) == []


GRANTS = {
    "grants": ["use role securityadmin", "use role sysadmin", "create database", "create schema"],
    "schemas": ["use role sysadmin"],
    "readers": ["use role securityadmin"],
}


@pytest.mark.parametrize("name", GRANTS)
def test_the_statements_of_the_document_are_sql_that_snowflake_knows(name: str, programs: Path) -> None:
    """All can be parsed by sqlglot; fakesnow runs those that make the database and the schema, and knows no grants."""
    done = subprocess.run(
        (programs / "python", STATEMENTS),
        input=example(name, "docs/snowflake.md"),
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    run = [sql for sql, outcome in found if outcome == "done"]
    assert [sql for sql, begins in zip(run, GRANTS[name], strict=True) if not sql.startswith(begins)] == []
    assert {outcome for _, outcome in found} <= {"done", "not known"}


ACCOUNT = {
    name.removeprefix("SNOWFLAKE_").lower(): value
    for name, value in os.environ.items()
    if name.startswith("SNOWFLAKE_")
}
LIVE_SCHEMA = f"TAP_ZENTRA_TEST_{os.getpid()}"


@pytest.mark.live
@pytest.mark.skipif("account" not in ACCOUNT, reason="no SNOWFLAKE_ACCOUNT, _USER, _DATABASE, … to load into")
@pytest.mark.parametrize("api", STREAMS)
def test_a_real_account_holds_every_record_after_two_loads(
    api: str, programs: Path, backfills: dict[str, Messages], tmp_path: Path
) -> None:
    """Stage, COPY and MERGE: each key is there once, also when it is sent again; the schema is removed."""
    config: dict[str, Any] = ACCOUNT | {"default_target_schema": LIVE_SCHEMA, "add_record_metadata": False}
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    query = (
        programs / "python",
        READER.with_name("snowflake_live.py"),
        tmp_path / "config.json",
        LIVE_SCHEMA,
    )
    found: dict[str, list[dict[str, Any]]] = {}
    try:
        for _ in range(2):
            subprocess.run(
                (programs / "target-snowflake", "--config", "config.json"),
                cwd=tmp_path,
                input=backfills[api].text,
                text=True,
                check=True,
            )
        for stream in STREAMS[api]:
            done = subprocess.run((*query, stream, "select"), capture_output=True, text=True, check=True)
            found[stream] = json.loads(done.stdout)
    finally:
        subprocess.run((*query, "", "drop"), check=True)

    assert [stream for stream, rows in found.items() if not same_records([backfills[api]], stream, rows)] == []
    assert len(found["devices"]) == len(backfills[api].records("devices"))
