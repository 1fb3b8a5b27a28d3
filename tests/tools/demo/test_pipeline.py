"""How the demo runs Meltano; a shell script that tells how it was called stands in for it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from tools.demo.pipeline import DemoError, Pipeline, last_words

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def pipeline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pipeline:
    """A pipeline whose Meltano writes its arguments and its environment into the log, and fails in `install`."""
    script = tmp_path / "meltano"
    script.write_text('#!/bin/sh\necho "arguments: $*"; env; case "$*" in *install*) exit 3;; esac\n')
    script.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    return Pipeline(tmp_path, {"TAP_ZENTRA_API_URL": "http://127.0.0.1:1"})


@pytest.mark.parametrize(
    ("from_start", "command"),
    [
        pytest.param(True, "run --full-refresh tap-zentra target-postgres", id="first load"),
        pytest.param(False, "run tap-zentra target-postgres", id="next load"),
    ],
)
def test_the_pipeline_keeps_to_its_own_environment(pipeline: Pipeline, *, from_start: bool, command: str) -> None:
    """Loads run in Meltano's environment `demo` and without the user's .env; the first forgets earlier demos."""
    pipeline.run("readings", from_start=from_start)

    [arguments] = [line for line in pipeline.log.read_text().splitlines() if line.startswith("arguments:")]
    assert "--environment=demo --env-file=/dev/null" in arguments
    assert arguments.endswith(command)


def test_only_what_was_written_of_the_readings_is_counted(pipeline: Pipeline) -> None:
    """Other streams have summaries too; their records are no readings."""
    summaries = [
        f'run summary: {{"stream": "{stream}", "totals": {{"readings": {written}}}}}'
        for stream, written in (("readings", 7), ("env_model_data", 100), ("readings", 5))
    ]
    (pipeline.project / "meltano").write_text("#!/bin/sh\n" + "\n".join(f"echo '{line}'" for line in summaries))

    assert pipeline.run("readings", from_start=False) == 12


def test_the_users_own_settings_stay_out(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever points to the real service or a real database does not reach the demo's pipeline."""
    names = (
        "TAP_ZENTRA_START_DATE",
        "TARGET_POSTGRES_SQLALCHEMY_URL",
        "MELTANO_STATE_BACKEND_URI",
        "DBT_POSTGRES_SCHEMA",
    )
    for name in names:
        monkeypatch.setenv(name, "the user's own")

    pipeline.run("readings", from_start=True)
    pipeline.build()

    variables = pipeline.log.read_text().splitlines()
    assert not [line for line in variables if line.endswith("the user's own")]
    assert "TAP_ZENTRA_API_URL=http://127.0.0.1:1" in variables
    assert "MELTANO_SEND_ANONYMOUS_USAGE_STATS=false" in variables


def test_a_failure_tells_command_code_and_last_words(pipeline: Pipeline) -> None:
    """When Meltano fails, the error says where, and where to read on."""
    with pytest.raises(DemoError, match="failed with exit code 3") as caught:
        pipeline.install("tap-zentra", "target-postgres")

    assert "`meltano install tap-zentra target-postgres`" in str(caught.value)
    assert str(pipeline.log) in str(caught.value)


def test_a_missing_meltano_is_a_clear_error(pipeline: Pipeline) -> None:
    """An environment without Meltano is told as such."""
    (pipeline.project / "meltano").unlink()

    with pytest.raises(DemoError, match="Is Meltano installed here"):
        pipeline.install("tap-zentra")


def test_errors_are_the_last_words_when_there_are_any() -> None:
    """What Meltano adds after an error does not hide the error."""
    log = "1 [info     ] begins\n2 [error    ] no such device  \n3 [info     ] Need help?\n"

    assert last_words(log) == "2 [error    ] no such device"


@pytest.mark.parametrize(
    "begin",
    [
        pytest.param("Encountered an error:", id="before it has begun"),
        pytest.param("Completed with 2 errors, 0 partial successes, and 0 warnings:", id="in a model"),
    ],
)
def test_what_dbt_says_of_its_errors_comes_before_what_meltano_says(begin: str) -> None:
    """Meltano takes dbt's lines for information, and has one of its own that tells nothing."""
    dbt = [f"1 [info     ] dbt-postgres {line}" for line in (begin, "Database Error", "no such column", "Done.")]
    log = ["0 [info     ] dbt-postgres 1 of 9 OK", *dbt, "2 [error    ] meltano  Block run completed"]

    assert last_words("\n".join(log)).splitlines()[:4] == dbt


def test_the_end_is_the_last_words_when_there_are_no_errors() -> None:
    """Without errors the log's end is shown, and no more of it than one can read."""
    log = "\n".join(f"line {number}" for number in range(100))

    assert last_words(log).splitlines() == [f"line {number}" for number in range(85, 100)]
