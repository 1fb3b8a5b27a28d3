"""Loaders that others wrote, and a validator of the Singer specification, over the tap's output."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.integration.documents import example
from tools.loaders.__main__ import FOOT, HEAD
from tools.loaders.check import STREAMS, Messages, check
from tools.loaders.kinds import DUCKDB, Destination, destinations, duckdb_rows
from tools.loaders.project import PROJECT
from tools.loaders.runs import two_runs

if TYPE_CHECKING:
    from pathlib import Path

    from tools.loaders.environments import Environments
    from tools.postgres.server import Warehouse

pytestmark = pytest.mark.warehouse

GOOD = {
    "meltanolabs-target-postgres": "replace the same rows",
    "target-jsonl": "are there twice",
    "meltanolabs-target-csv": "are there twice",
    "pipelinewise-target-postgres": "replace the same rows",
}
BAD = "target-duckdb"
NOT_HERE = () if sys.version_info < (3, 12) else ("pipelinewise-target-postgres",)


@pytest.fixture(scope="module", params=list(STREAMS))
def runs(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[Messages]:
    """The tap's output, of each stream: a backfill, and what is new after it."""
    return two_runs(tmp_path_factory.mktemp("runs"), request.param)


@pytest.fixture(scope="module")
def loaders(environments: Environments, warehouse: Warehouse) -> dict[str, Destination]:
    """All loaders by name."""
    return {destination.name: destination for destination in destinations(environments, warehouse)}


def test_all_loaders_are_tested(loaders: dict[str, Destination]) -> None:
    """What the table shows as good or bad is what the tests below hold to it."""
    assert set(loaders) == {*(name for name in GOOD if name not in NOT_HERE), BAD}


@pytest.mark.parametrize(("name", "repeated"), GOOD.items())
def test_a_loader_stores_every_reading_with_equal_values(
    name: str, repeated: str, loaders: dict[str, Destination], runs: list[Messages], tmp_path: Path
) -> None:
    """Two runs are stored whole, and rows that come again do what the table says."""
    if name in NOT_HERE:
        pytest.skip("can't be installed for this Python")
    finding = check(loaders[name], runs, tmp_path)

    assert finding.exit_codes == (0, 0, 0), (tmp_path / "log").read_text(encoding="utf-8")
    assert (finding.found, finding.equal, finding.repeated) == (finding.sent, True, repeated)


def test_target_duckdb_loses_data(loaders: dict[str, Destination], runs: list[Messages], tmp_path: Path) -> None:
    """Rows are missing, with exit code 0: the warning stays for as long as this is so."""
    finding = check(loaders[BAD], runs, tmp_path)

    assert finding.loses
    assert finding.found < finding.sent
    assert finding.exit_codes == (0, 0, 0)


def test_the_table_names_every_loader_in_its_version_with_every_stream(loaders: dict[str, Destination]) -> None:
    """docs/loaders.md, which `python -m tools.loaders` writes, is about the versions that are tested."""
    table = (PROJECT / "docs" / "loaders.md").read_text(encoding="utf-8")

    wanted = [f"| {name} | {loader.version} | {stream} |" for name, loader in loaders.items() for stream in STREAMS]
    assert [row for row in wanted if row not in table] == []
    assert table.startswith(HEAD)
    assert table.endswith(FOOT)


EXAMPLES = {"readings": ("duckdb", "README.md"), "readings_v5": ("duckdb-v5", "docs/tables.md")}
TYPES = {
    "readings": {"mrid": "BIGINT", "value": "DOUBLE", "error_flag": "BOOLEAN"},
    "readings_v5": {"error_code": "BIGINT", "value": "DOUBLE", "error_flag": "BOOLEAN"},
}


def test_duckdb_reads_the_files_of_target_jsonl(
    loaders: dict[str, Destination], runs: list[Messages], environments: Environments, tmp_path: Path
) -> None:
    """The documents' query finds every reading once, and `read_json` numbers, moments and booleans as such."""
    stream = runs[0].stream
    output = tmp_path / "output"
    output.mkdir()
    check(loaders["target-jsonl"], runs, output)
    python = environments.programs(DUCKDB, "pytz") / "python"  # for moments with a zone

    query = example(*EXAMPLES[stream]).rstrip().removesuffix(";")
    totals = duckdb_rows(python, tmp_path, f"({query})")
    columns = ", ".join(f"typeof(any_value({name})) as {name}" for name in (*TYPES[stream], "timestamp_utc"))
    found = f"(select {columns} from read_json('output/{stream}.jsonl'))"  # noqa: S608 - our own names
    [types] = duckdb_rows(python, tmp_path, found)

    assert sum(row["readings"] for row in totals) == sum(len(messages.records) for messages in runs)
    # With its zone only in later versions.
    assert types.pop("timestamp_utc") in {"TIMESTAMP", "TIMESTAMP WITH TIME ZONE"}
    assert types == TYPES[stream]


def test_the_output_keeps_to_the_singer_specification(runs: list[Messages], environments: Environments) -> None:
    """The validator of Singer's own tools accepts each run, and has seen all records."""
    validator = environments.programs("singer-tools==0.4.1") / "singer-check-tap"

    for messages in runs:
        done = subprocess.run(validator, input=messages.text, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        assert f"{len(messages.records)} record messages" in done.stdout
