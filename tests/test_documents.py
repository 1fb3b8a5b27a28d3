"""The documents, and what Meltano knows of the tap, say what the code says."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tap_zentra.emulator import fleet
from tap_zentra.settings import BELONGS_TO_CLASSIC, SCHEMA, read_settings
from tap_zentra.singer.sensors import SENSORS, SENSORS_BY_MRID, SENSORS_KEY
from tap_zentra.tap import BATCH_FORMATS
from tap_zentra.v4.devices import DEVICES
from tap_zentra.v4.env_model import ENV_MODEL_DATA, ENV_MODEL_DATA_KEY
from tap_zentra.v4.readings import READINGS, READINGS_KEY
from tap_zentra.v5.devices import DEVICES_V5
from tap_zentra.v5.readings import READINGS_V5, READINGS_V5_KEY
from tests.in_process import sync
from tests.integration.documents import example
from tools.models import DOCUMENT, with_models
from tools.plugin import LOCK_FILE

if TYPE_CHECKING:
    from collections.abc import Callable

    from tap_zentra.emulator import Emulator
    from tests.support import Tap

PROJECT = Path(__file__).parent.parent
README = (PROJECT / "README.md").read_text(encoding="utf-8")


def between(marker: str) -> list[str]:
    """Return the lines of the README between two comments."""
    part = re.search(rf"<!-- {marker} -->\n(.*?)<!-- /{marker} -->", README, re.DOTALL)
    assert part is not None
    return part[1].splitlines()


def test_the_readme_describes_every_setting() -> None:
    """The README's table of settings is the settings' own names, defaults and descriptions."""
    rows = ["| setting | default | |", "|---|---|---|"]
    for name, setting in SCHEMA["properties"].items():
        default = (
            "required" if name in SCHEMA["required"] else f"`{setting['default']}`" if "default" in setting else ""
        )
        shown = re.sub("`(True|False)`", lambda match: match[0].lower(), default)
        rows.append(f"| `{name}` | {shown} | {setting['description']} |")

    assert between("settings") == rows


@pytest.mark.parametrize(
    ("marker", "schema", "key"),
    [("columns", READINGS, READINGS_KEY), ("columns-v5", READINGS_V5, READINGS_V5_KEY)],
    ids=["readings", "readings_v5"],
)
def test_the_readme_describes_every_column(marker: str, schema: dict[str, Any], key: tuple[str, ...]) -> None:
    """The README's tables of columns are the schemas' own names, types and descriptions, the key in bold."""
    rows = ["| column | type | |", "|---|---|---|"]
    for name, column in schema["properties"].items():
        shown = f"**`{name}`**" if name in key else f"`{name}`"
        kinds = [column.get("format", kind) if kind == "string" else kind for kind in column["type"]]
        rows.append(f"| {shown} | {' or '.join(kinds)} | {column['description']} |")

    assert between(marker) == rows


NEW_TABLES: dict[str, tuple[dict[str, Any], dict[str, Any], tuple[str, ...]]] = {
    "devices": (DEVICES, DEVICES_V5, ("device_sn",)),
    "sensors": (SENSORS_BY_MRID, SENSORS, SENSORS_KEY),
    "env_model_data": (ENV_MODEL_DATA, ENV_MODEL_DATA, ENV_MODEL_DATA_KEY),
}
"""Of each stream beside the readings the schema with v4, that with v5, and the key."""

WAREHOUSE_TYPES = {
    "string": ("text", "VARCHAR"),
    "date-time": ("timestamp without time zone", "TIMESTAMP_NTZ(9)"),
    "integer": ("bigint", "NUMBER(38,0)"),
    "number": ("numeric", "FLOAT"),
    "boolean": ("boolean", "BOOLEAN"),
    "object": ("jsonb", "VARIANT"),
}
"""PostgreSQL's and Snowflake's."""


def table_of(stream: str) -> list[str]:
    """Return the lines of a stream's table in docs/tables.md, by its schemas."""
    v4, v5, key = NEW_TABLES[stream]
    rows = ["| column | service | PostgreSQL | Snowflake | |", "|---|---|---|---|---|"]
    for name, column in (v4["properties"] | v5["properties"]).items():
        shown = f"**`{name}`**" if name in key else f"`{name}`"
        served = [api for api, schema in (("v4", v4), ("v5", v5)) if name in schema["properties"]]
        types = " | ".join(WAREHOUSE_TYPES[column.get("format", column["type"][0])])
        rows.append(f"| {shown} | {served[0] if len(served) == 1 else ''} | {types} | {column['description']} |")
    return rows


@pytest.mark.parametrize("stream", NEW_TABLES)
def test_the_tables_beside_the_readings_are_documented(stream: str) -> None:
    """docs/tables.md has the schemas' columns, the key in bold, and which service has a column that is not of both."""
    text = (PROJECT / "docs" / "tables.md").read_text(encoding="utf-8")
    section = text.partition(f"\n## `{stream}`\n")[2].partition("\n## ")[0]

    assert [line for line in section.splitlines() if line.startswith("|")] == table_of(stream)


def test_the_example_of_a_weather_station_is_valid() -> None:
    """It says what the description of the setting says, in the form of meltano.yml."""
    given = yaml.safe_load(example("env-models"))["config"]["env_models"]
    settings = read_settings({"auth_token": "secret", "device_sns": ["z6-12345"], "env_models": given})

    assert str(given).replace("'", '"') in SCHEMA["properties"]["env_models"]["description"]
    assert len(settings.env_models) == 1


def test_the_readme_names_the_settings_that_v5_does_not_have() -> None:
    """Whoever is moved to ZENTRA Cloud 2.0 reads which settings have to go."""
    [named] = re.findall(r"Settings that v5 does not have \((.*?)\) must be left out", README, re.DOTALL)

    assert tuple(re.findall(r"`(\w+)`", named)) == BELONGS_TO_CLASSIC


PACKAGE = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
SOURCE = f"{PACKAGE['urls']['Source']}/blob/main/"
DOCUMENTS = [*PROJECT.glob("*.md"), *PROJECT.glob("docs/*.md"), *PROJECT.glob("benchmarks/*.md")]


def links_of(text: str) -> list[str]:
    """Return where a document's links lead, those included that are defined at its end."""
    return [
        inline or defined for inline, defined in re.findall(r"\]\(([^)\s]+)\)|^\[[\w-]+\]: (\S+)$", text, re.MULTILINE)
    ]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: str(document.relative_to(PROJECT)))
def test_links_within_the_documents_lead_somewhere(document: Path) -> None:
    """A file that is linked to exists, and so does its section."""
    own = document.read_text(encoding="utf-8")
    for link in links_of(own):
        target, _, anchor = link.partition("#")
        if target.startswith(SOURCE):
            path = PROJECT / target.removeprefix(SOURCE)
        elif "://" in target:
            continue
        else:
            path = document.parent / target if target else document
        assert path.exists(), link
        if anchor:
            titles = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in titles}, link


def test_the_readme_s_links_work_on_the_package_index() -> None:
    """It shows the README without the repository, so a relative path would lead nowhere there."""
    assert [link for link in links_of(README) if not link.startswith(("https://", "#"))] == []
    used = {name for _, name in re.findall(r"\[([^]]+)\]\[([\w-]+)\]", README)}
    assert used == set(re.findall(r"^\[([\w-]+)\]: ", README, re.MULTILINE))


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: str(document.relative_to(PROJECT)))
def test_no_document_installs_the_tap_from_the_package_index(document: Path) -> None:
    """It is not there yet: whoever installed it by its name alone would get nothing, or something else."""
    text = document.read_text(encoding="utf-8")

    assert re.findall(r"\binstall\b[^\n]*?['\" ]tap-zentra(?:\[\w+\])?['\"`]?(?!\S| @)[^\n]*", text) == []


def output(name: str) -> list[str]:
    """Return the lines that the README shows of a run."""
    found = re.search(rf"<!-- output: {name} -->\n```text\n(.*?)\n```", README, re.DOTALL)
    assert found is not None
    return found[1].splitlines()


def _shape(line: str) -> str:
    """Return a line of a log as it is at any time: without its beginning, its numbers and its alignment."""
    return re.sub(r"\d+", "0", " ".join(line.rpartition(" | ")[2].split()))


def test_the_readme_shows_what_a_run_says(emulate: Callable[..., Emulator], tap: Tap) -> None:
    """The table on its first screen is that of a real run, but for the time."""
    run = tap.sync(emulate(*fleet(3, [480, 2000, 96], end=datetime.now(UTC))))

    shown = [_shape(line) for line in output("summary")]
    said = [_shape(line) for line in run.stderr.splitlines()]
    assert said[said.index(shown[0]) :][: len(shown)] == shown


def test_the_readme_shows_readings_as_they_arrive(emulate: Callable[..., Emulator]) -> None:
    """The rows on its first screen are those of a real run."""
    run = sync(emulate(*fleet(1, 480, end=datetime(2026, 6, 1, 12, tzinfo=UTC))))

    header, _, *rows = ([cell.strip() for cell in line.split("|")] for line in output("rows"))
    as_shown = [
        record | {"timestamp_utc": f"{datetime.fromisoformat(record['timestamp_utc']):%Y-%m-%d %H:%M:%S}"}
        for record in run.records
    ]
    arrived = [[str(record[column]) for column in header] for record in as_shown]
    assert rows
    assert [row for row in rows if row not in arrived] == []


def test_the_models_are_documented() -> None:
    """docs/models.md has what each model and each of its columns says of itself."""
    document = DOCUMENT.read_text(encoding="utf-8")

    assert document == with_models(document), "write it anew with `python -m tools.models`"


def test_the_changelog_begins_with_the_version_of_the_package() -> None:
    """Whoever gets a version finds out what it changes."""
    newest = re.search(r"^## (\S+)", (PROJECT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)

    assert newest is not None
    assert newest[1] == PACKAGE["version"]


def meltano_settings() -> dict[str, dict[str, Any]]:
    """Return the settings of tap-zentra that Meltano knows, by name."""
    return {setting["name"]: setting for setting in json.loads(LOCK_FILE.read_text(encoding="utf-8"))["settings"]}


@pytest.mark.parametrize("name", SCHEMA["properties"])
def test_meltano_knows_every_setting(name: str) -> None:
    """Meltano has each setting with its default, description and secrecy."""
    setting, schema = meltano_settings()[name], SCHEMA["properties"][name]

    assert setting["description"] == schema["description"]
    assert setting.get("value") == schema.get("default")
    assert setting.get("sensitive", False) == schema.get("secret", False)
    assert [option["value"] for option in setting.get("options", [])] == schema.get("enum", [])


def test_a_person_can_read_meltano_yml() -> None:
    """It has at most 200 lines: what is chosen here. Each of its plugins has a lock file, and nothing else has one."""
    text = (PROJECT / "meltano.yml").read_text(encoding="utf-8")
    plugins = yaml.safe_load(text)["plugins"]
    wanted = {
        PROJECT / "plugins" / kind / f"{plugin['name']}--{plugin['variant']}.lock"
        for kind in plugins
        for plugin in plugins[kind]
        if "inherit_from" not in plugin
    }

    assert len(text.splitlines()) <= 200
    assert set((PROJECT / "plugins").rglob("*.lock")) == wanted


def test_meltano_offers_the_batch_formats_that_work() -> None:
    """And none that the tap refuses."""
    options = meltano_settings()["batch_config.encoding.format"]["options"]

    assert [option["value"] for option in options] == BATCH_FORMATS


def test_the_justfile_runs_the_tests_as_the_readme_does() -> None:
    """What is run stands in two places; both say the same."""
    found = re.search(r"<!-- command: test -->\n```sh\n.*?\.uv/bin/uv run (.*?)\n```", README, re.DOTALL)
    assert found is not None
    justfile = (PROJECT / "justfile").read_text(encoding="utf-8")
    filled = justfile.replace("{{ run }}", "--quiet --all-extras").replace(' "$@"', "")

    assert f"\n    {found[1]}\n" in filled


def test_contributing_lists_every_recipe() -> None:
    """Whoever reads how to work on the code learns of all that there is to run."""
    listed = subprocess.run(
        (Path(sys.executable).with_name("just"), "--summary"), cwd=PROJECT, capture_output=True, text=True, check=True
    )
    contributing = (PROJECT / "CONTRIBUTING.md").read_text(encoding="utf-8")

    assert listed.stdout.split()
    assert [recipe for recipe in listed.stdout.split() if f"`{recipe}`" not in contributing] == []
