"""Loaders that others wrote, and a validator of the Singer specification, over the tap's output."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

import pytest

from tests.integration.documents import example
from tools.loaders.__main__ import FOOT, HEAD, page, stream_maps
from tools.loaders.check import STREAMS, Difference, Finding, Messages, check, differences, load
from tools.loaders.kinds import (
    DUCKDB,
    Destination,
    clickhouse_destination,
    destinations,
    duckdb_rows,
    parquet_destination,
)
from tools.loaders.project import PROJECT
from tools.loaders.runs import two_runs
from tools.loaders.services import clickhouse, s3

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tools.loaders.environments import Environments
    from tools.postgres.server import Warehouse

pytestmark = pytest.mark.warehouse

APPENDS = {"target-jsonl", "meltanolabs-target-csv", "target-avro", "plinxore-target-s3"}
REPLACES = {"meltanolabs-target-postgres", "pipelinewise-target-postgres"}
NOT_HERE = set() if sys.version_info < (3, 12) else {"pipelinewise-target-postgres"}
SERVED = {"plinxore-target-s3", "shaped-target-clickhouse"}
"""Loaders into services other than PostgreSQL, which are large to install."""
DUCKDB_LOSES, CLICKHOUSE_CHANGES = "target-duckdb", "shaped-target-clickhouse"
SMALL_KEYS = {"devices", "sensors", "env_model_data"}
"""Streams whose records come again in each run."""


@pytest.fixture(scope="module", params=list(STREAMS))
def api(request: pytest.FixtureRequest) -> str:
    """Whose streams are loaded."""
    return str(request.param)


@pytest.fixture(scope="module")
def runs(api: str, tmp_path_factory: pytest.TempPathFactory) -> list[Messages]:
    """The tap's output, of all streams of an API: a backfill, and what is new after it."""
    return two_runs(tmp_path_factory.mktemp("runs"), api)


@pytest.fixture(scope="module")
def mapped_runs(
    api: str, runs: list[Messages], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], list[Messages]]:
    """The same through the stream maps of an example of docs/loaders.md."""

    @cache
    def run(name: str) -> list[Messages]:
        return two_runs(tmp_path_factory.mktemp("mapped"), api, stream_maps(name)) if name else runs

    return run


@pytest.fixture(scope="module")
def loaders(api: str, environments: Environments, warehouse: Warehouse) -> dict[str, Destination]:
    """All loaders by name that need no service but PostgreSQL."""
    return {destination.name: destination for destination in destinations(environments, warehouse, f"loaders_{api}")}


@pytest.fixture(scope="module")
def served(
    api: str, environments: Environments, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Destination]]:
    """The others."""
    folder = tmp_path_factory.mktemp("services")
    with clickhouse(environments, folder) as clickhouse_url, s3(environments) as s3_url:
        found = [
            parquet_destination(environments, s3_url, f"loaders_{api}"),
            clickhouse_destination(environments, clickhouse_url, f"loaders_{api}"),
        ]
        yield {destination.name: destination for destination in found}


def test_all_loaders_are_tested(loaders: dict[str, Destination]) -> None:
    """What the table shows as good or bad is what the tests below hold to it."""
    assert set(loaders) == (APPENDS | REPLACES | {DUCKDB_LOSES}) - SERVED - NOT_HERE


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


@pytest.mark.parametrize("name", sorted((APPENDS | REPLACES) - SERVED))
def test_a_loader_stores_every_record_with_equal_values(
    name: str, loaders: dict[str, Destination], mapped_runs: Callable[[str], list[Messages]], tmp_path: Path
) -> None:
    """Two runs are stored whole, in all streams, and no reading twice; a repeated run does what the table says."""
    if name in NOT_HERE:
        pytest.skip("can't be installed for this Python")

    require_whole(loaders[name], mapped_runs(loaders[name].example), tmp_path)


def require_whole(loader: Destination, runs: list[Messages], folder: Path) -> None:
    """Require that a loader stores all, and doubles what the table says."""
    streams = set(STREAMS[runs[0].api])

    findings = check(loader, runs, folder)

    assert [finding.exit_codes for finding in findings if finding.fails] == [], (folder / "log").read_text("utf-8")
    assert [finding.differences for finding in findings if not finding.equal] == []
    assert {finding.stream for finding in findings} == streams
    appends = loader.name in APPENDS
    assert {finding.stream for finding in findings if finding.doubles} == (streams & SMALL_KEYS if appends else set())
    assert {finding.stream for finding in findings if finding.doubles_repeated} == (streams if appends else set())


def test_target_duckdb_loses_data(
    api: str, loaders: dict[str, Destination], mapped_runs: Callable[[str], list[Messages]], tmp_path: Path
) -> None:
    """Rows are missing, with exit code 0: the warning stays for as long as this is so."""
    loader = loaders[DUCKDB_LOSES]

    findings = check(loader, mapped_runs(loader.example), tmp_path)

    lost = {finding.stream for finding in findings if finding.loses and finding.differences[0].column == ""}
    assert not any(finding.fails for finding in findings)
    assert {STREAMS[api][0], "devices"} <= lost


def test_a_loader_that_needs_maps_fails_without_them(
    api: str, loaders: dict[str, Destination], runs: list[Messages], tmp_path: Path
) -> None:
    """What docs/loaders.md says of them is still so: the run ends with an error."""
    need = [loader for loader in loaders.values() if set(loader.fails_on) & set(STREAMS[api])]

    assert need
    for loader in need:
        place = tmp_path / loader.name
        place.mkdir()
        assert load(loader, runs[0].only(loader.fails_on), place, 0) != 0, loader.name


@pytest.mark.long
def test_parquet_files_hold_every_record_with_equal_values(
    served: dict[str, Destination], mapped_runs: Callable[[str], list[Messages]], tmp_path: Path
) -> None:
    """As the loaders above; the bucket is moto's."""
    require_whole(served["plinxore-target-s3"], mapped_runs("objects"), tmp_path)


@pytest.mark.long
def test_target_clickhouse_changes_values(
    served: dict[str, Destination], mapped_runs: Callable[[str], list[Messages]], tmp_path: Path
) -> None:
    """Null becomes 0 and numbers lose digits, with exit code 0: the warning stays for as long as this is so."""
    findings = check(served[CLICKHOUSE_CHANGES], mapped_runs("moments"), tmp_path)
    changed = [one for finding in findings for one in finding.differences if one.column == "value"]

    assert not any(finding.fails or finding.doubles or finding.doubles_repeated for finding in findings)
    assert 0 in {one.found for one in changed if one.sent is None}
    assert any(one.sent is not None for one in changed)


@pytest.mark.long
@pytest.mark.parametrize("name", sorted(SERVED))
def test_such_a_loader_fails_without_maps_too(
    name: str, served: dict[str, Destination], runs: list[Messages], tmp_path: Path
) -> None:
    """What docs/loaders.md says of these is still so: the run ends with an error."""
    # Beside what other tests have stored there: a table whose columns a map has made would take the records.
    loader = replace(served[name], config=served[name].config | {"prefix": "unmapped", "table_name": "unmapped"})

    assert load(loader, runs[0].only(loader.fails_on), tmp_path, 0) != 0


def test_differences_show_what_is_missing_and_what_is_changed(runs: list[Messages]) -> None:
    """Of each column the first value that differs, and the first record without a row; nothing when all is there."""
    stream = STREAMS[runs[0].api][0]
    sent = runs[0].records(stream)
    changed = [{**sent[1], "value": 17.5}, {**sent[2], "value": 17.5}, *sent[3:]]

    found = differences(runs[:1], stream, changed)

    assert differences(runs[:1], stream, sent) == []
    assert [(one.column, one.sent, one.found) for one in found] == [
        ("", None, None),
        ("value", sent[1]["value"], 17.5),
    ]
    assert found[0].key == tuple(sent[0][name] for name in runs[0].key(stream))


def test_the_page_has_a_row_for_each_loader_and_api() -> None:
    """Streams are named only where they differ; a changed value is shown as it was sent and as it is stored."""
    lost = Difference(("z6-1", 17), "value", None, 0)
    whole = Finding("target-a", "1", "v4", "readings", 9, 9, 9, equal=True, differences=(), again=9, exit_codes=(0,))
    double = replace(whole, stream="devices", found=12, again=15)
    other = replace(whole, name="target-b", equal=False, differences=(lost,))

    text = page([whole, double, other], {"target-a": 1.0, "target-b": 0.25})

    assert "| target-a 1 | v4 | 1.00 | 18 | yes | `devices` | `devices` | good |\n" in text
    assert "| target-b 1 | v4 | 0.25 | 9 | **no:** all streams | none | none | **changes data" in text
    assert "| target-b | v4 | `readings` | z6-1, 17 | value | null | 0 |\n" in text


def test_the_table_names_every_loader_in_its_version(api: str, loaders: dict[str, Destination]) -> None:
    """docs/loaders.md, which `python -m tools.loaders` writes, is about the versions that are tested."""
    table = (PROJECT / "docs" / "loaders.md").read_text(encoding="utf-8")
    wanted = [f"| {name} {loader.version} | {api} |" for name, loader in loaders.items()]

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
