"""The tap as a plugin of a project that is not this repository: added to an empty one, offline."""

from __future__ import annotations

import functools
import json
import shutil
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tap_zentra.emulator import Device
from tests.integration.projects import REPOSITORY, MeltanoProject
from tests.support import by_key, held
from tools.plugin import DEFINITION, LOCK_FILE, VARIANT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tap_zentra.emulator import Emulator

pytestmark = pytest.mark.warehouse


OFFLINE = {"MELTANO_HUB_URL": "http://127.0.0.1:9"}
"""MeltanoHub is where nobody listens, so that whatever needs it fails."""


@pytest.fixture(scope="module")
def initialised(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `meltano init` makes."""
    folder = tmp_path_factory.mktemp("empty")
    _succeeds(MeltanoProject(folder, OFFLINE), "init", "project")
    return folder / "project"


@pytest.fixture
def empty(initialised: Path, tmp_path: Path) -> MeltanoProject:
    """A project without plugins, for this test alone."""
    return MeltanoProject(shutil.copytree(initialised, tmp_path / "project"), OFFLINE)


@pytest.fixture
def address() -> Iterator[str]:
    """Where the definition is on the web, as far as a project can tell."""
    handler = functools.partial(_Quiet, directory=str(DEFINITION.parent))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever).start()
        yield f"http://127.0.0.1:{server.server_port}/{DEFINITION.name}"
        server.shutdown()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing."""


def _succeeds(project: MeltanoProject, *arguments: str, **variables: str) -> str:
    outcome = project.meltano(*arguments, **variables)
    assert outcome.exit_code == 0, outcome.log
    return outcome.stdout


def _config(project: MeltanoProject) -> dict[str, Any]:
    config: dict[str, Any] = json.loads(_succeeds(project, "config", "print", "tap-zentra"))
    return config


def _extractor(project: MeltanoProject) -> dict[str, Any]:
    text = (project.folder / "meltano.yml").read_text(encoding="utf-8")
    [extractor] = yaml.safe_load(text)["plugins"]["extractors"]
    return dict(extractor)


def test_a_file_adds_the_tap_to_an_empty_project(empty: MeltanoProject, emulate: Callable[..., Emulator]) -> None:
    """Added from the definition and installed from a clone, it reads the service."""
    emulator = emulate(Device("z6-00001", records=5))
    _succeeds(empty, "add", "tap-zentra", "--no-install", "--from-ref", str(DEFINITION))
    empty.change("tap-zentra", pip_url=str(REPOSITORY))
    _succeeds(empty, "install", "tap-zentra")

    lines = _succeeds(empty, "invoke", "tap-zentra", **emulator.environment).splitlines()

    messages = [json.loads(line) for line in lines]
    records = [one["record"] for one in messages if one["type"] == "RECORD" and one["stream"] == "readings"]
    assert by_key(records) == held(emulator)


def test_an_address_adds_the_tap_with_all_its_settings(empty: MeltanoProject, address: str) -> None:
    """A project gets from a URL what stands in the file; where the tap is installed from is a place that there is."""
    _succeeds(empty, "add", "tap-zentra", "--no-install", "--from-ref", address)
    definition = yaml.safe_load(DEFINITION.read_text(encoding="utf-8"))
    extractor = _extractor(empty)

    assert extractor["settings"] == definition["settings"]
    assert extractor["pip_url"].startswith("git+https://")
    assert _config(empty) == {
        setting["name"]: setting["value"] for setting in definition["settings"] if "value" in setting
    }


def test_the_lock_file_does_the_same_on_three_lines(empty: MeltanoProject) -> None:
    """A project that has it needs no more than the tap's name, variant and place in its meltano.yml."""
    [head, *_] = DEFINITION.read_text(encoding="utf-8").split("\nname: ")
    lines = "".join(line.removeprefix("#") + "\n" for line in head.splitlines())
    advice = lines.partition(" plugins:")[2].partition("\n\n")[0]
    folder = empty.folder / "plugins" / "extractors"
    folder.mkdir(parents=True)
    shutil.copy(LOCK_FILE, folder)
    with (empty.folder / "meltano.yml").open("a", encoding="utf-8") as file:
        file.write(f"plugins:{advice}\n")

    assert _extractor(empty)["variant"] == VARIANT
    assert _config(empty)["api_version"] == "v4"
