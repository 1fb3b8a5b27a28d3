"""The demo, which the README begins with, in a copy of the repository."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.integration.projects import REPOSITORY, copy_repository
from tests.support import PATIENCE
from tools.demo.apis import APIS, GROWTH, SILENT

pytestmark = pytest.mark.warehouse

HEADINGS = (
    "Meltano installs tap-zentra",
    "First load",
    "Second load",
    "Meltano installs dbt",
    "Tables to look at",
    "Next",
)
# Those that had made records longest ago first.
ALIVE = ("z6-00004", "z6-00001", "z6-00002", "z6-00005")
COMMAND = (sys.executable, "-m", "tools.demo")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what the demo needs, so that neither state nor data of the repository's folder are touched."""
    return copy_repository(tmp_path_factory.mktemp("demo") / "project", "tools", "notebook")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home; only the package cache and the packagers' settings stay where they are."""
    monkeypatch.setenv("UV_CACHE_DIR", os.environ.get("UV_CACHE_DIR", str(Path.home() / ".cache" / "uv")))
    monkeypatch.setenv("XDG_CONFIG_HOME", os.environ.get("XDG_CONFIG_HOME", str(Path.home() / ".config")))
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def _processes_of(project: Path) -> list[str]:
    commands = (process.info["cmdline"] or [] for process in psutil.process_iter(["cmdline"]))
    return [" ".join(command) for command in commands if any(str(project) in word for word in command)]


def _tell(project: Path, *options: str) -> str:
    answer = subprocess.run(
        (*COMMAND, *options), cwd=project, capture_output=True, text=True, timeout=PATIENCE, check=False
    )

    assert answer.returncode == 0, answer.stdout + answer.stderr
    return answer.stdout


def _totals(told: str) -> list[list[int]]:
    lines = re.findall(r"^all +(.*)$", told, re.MULTILINE)
    return [[int(number.replace(",", "")) for number in line.split()] for line in lines]


def _rows_beside_the_readings(told: str) -> list[int]:
    return [int(rows.replace(",", "")) for rows in re.findall(r"([\d,]+) rows in zentra_demo\.", told)]


def _attention(told: str) -> list[tuple[str, str]]:
    """Return the devices of the table that says which need attention, and what it says of them."""
    table = told.partition("== Which devices need attention")[2].partition("==")[0]
    return re.findall(r"^(z6-\d+) +(\w+) ", table, re.MULTILINE)


def _advised_psql(told: str, project: Path, query: str) -> str:
    advice = re.search(r"^  (\S+ -m \S+ psql)$", told, re.MULTILINE)
    assert advice is not None
    command = (*advice[1].split(), "-A", "-t", "-c", query)
    return subprocess.run(command, cwd=project, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize(
    ("version", "options", "of_the_device"),
    [
        pytest.param("v4", [], 0, id="v4 unless told otherwise"),
        # Its reception, which v4 does not tell.
        pytest.param("v5", ["--api", "v5"], 1, id="v5"),
        pytest.param("v4", ["--api", "v4"], 0, id="v4 after both"),
    ],
)
def test_two_loads_bring_everything_once_and_can_be_repeated(
    project: Path, home: Path, version: str, options: list[str], of_the_device: int
) -> None:
    """The first load brings all, the second what is new, also in a later demo; tables are made of them.

    What is advised works, and nothing is left behind.
    """
    told = _tell(project, *options)

    table = APIS[version].table
    values = {device: len(device.series) + of_the_device for device in APIS[version].devices()}
    held = sum(device.records * each for device, each in values.items())
    grown = sum(GROWTH.get(device.device_sn, 0) * each for device, each in values.items())
    assert f"It provides API {version}," in told
    places = [told.index(f"== {heading}") for heading in HEADINGS if f"== {heading}" in told]
    assert places == sorted(places)
    assert _totals(told) == [[0, held, held, held], [held, held + grown, grown, held + grown]]
    assert f"{table} has {held + grown:,} rows" in told
    assert re.search(r"^Air Temperature +1 +-?\d+(\.\d+)? +°C +\d{4}-\d\d-\d\d \d\d:\d\d$", told, re.MULTILINE)
    assert [rows for rows in _rows_beside_the_readings(told) if rows == 0] == []
    assert len(_rows_beside_the_readings(told)) == len(APIS[version].others)
    assert _attention(told) == [(SILENT, "silent"), *((device, "alive") for device in ALIVE)]
    assert re.search(r"^\d{4}-\d\d-\d\d +0\.\d{3} .* m³/m³ ", told.partition("zentra_daily)")[2], re.MULTILINE)
    assert list(home.iterdir()) == []
    assert _processes_of(project) == []
    assert (project / "meltano.yml").read_text() == (REPOSITORY / "meltano.yml").read_text()
    assert _advised_psql(told, project, f"table {table}").count("\n") == held + grown
    built = _advised_psql(told, project, "select sum(readings + flagged) from zentra_demo.zentra_daily")
    assert int(built) == held + grown


@pytest.mark.long
def test_the_advised_line_shows_the_page(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As it is printed, but written into a file instead of a server, the page has the demo's devices."""
    monkeypatch.setenv("UV", str(shutil.which("uv")))
    advice = re.search(r"^  (DBT_POSTGRES_SCHEMA=.* marimo) run (\S+)$", _tell(project), re.MULTILINE)
    assert advice is not None

    command = f"{advice[1]} export html {advice[2]} --output page.html"
    done = subprocess.run(command, shell=True, cwd=project, capture_output=True, text=True, check=False)  # noqa: S602

    assert done.returncode == 0, done.stdout + done.stderr
    page = (project / "page.html").read_text(encoding="utf-8")
    assert {device for device in (SILENT, *ALIVE) if device not in page} == set()


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_leaves_nothing_running(project: Path, number: signal.Signals) -> None:
    """Ctrl-C in the middle of a load ends the load, the database and the demo, without a traceback."""
    process = subprocess.Popen(COMMAND, cwd=project, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("== First load"):
            break
    process.send_signal(number)
    _, errors = process.communicate(timeout=PATIENCE)

    assert process.returncode == 128 + number
    assert "Traceback" not in errors
    assert _processes_of(project) == []
