"""meltano.yml as Meltano reads it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tap_zentra.settings import read_settings

pytestmark = pytest.mark.warehouse

PROJECT = Path(__file__).resolve().parents[2]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A Meltano project with this repository's meltano.yml."""
    shutil.copy(PROJECT / "meltano.yml", tmp_path)
    return tmp_path


def _meltano(project: Path, *arguments: str, **variables: str) -> str:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MELTANO_", "TAP_", "TARGET_"))}
    quiet = {"MELTANO_CLI_DISABLE_VERSION_CHECK": "true", "XDG_STATE_HOME": str(project / "logs")}
    return subprocess.run(
        [Path(sys.executable).with_name("meltano"), "--log-level=warning", *arguments],
        cwd=project,
        env=kept | quiet | variables,
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def _config(project: Path, plugin: str, *options: str, **variables: str) -> dict[str, Any]:
    config: dict[str, Any] = json.loads(_meltano(project, *options, "config", "--unsafe", "print", plugin, **variables))
    return config


@pytest.mark.parametrize("text", ['["z6-1", "z6-2"]', "z6-1,z6-2"])
def test_both_forms_of_serial_numbers_arrive(project: Path, text: str) -> None:
    """From the environment through Meltano, a JSON list and a list with commas are the same devices."""
    config = _config(project, "tap-zentra", TAP_ZENTRA_DEVICE_SNS=text, TAP_ZENTRA_AUTH_TOKEN="x")

    assert read_settings(config).device_sns == ("z6-1", "z6-2")


def test_every_kind_of_setting_arrives_from_the_environment(project: Path) -> None:
    """Fractions, whole numbers, dates and switches pass through Meltano to the tap."""
    config = _config(
        project,
        "tap-zentra",
        TAP_ZENTRA_AUTH_TOKEN="x",
        TAP_ZENTRA_DEVICE_SNS="z6-1",
        TAP_ZENTRA_CALL_LIMIT_WINDOW="0.5",
        TAP_ZENTRA_PAGE_SIZE="10",
        TAP_ZENTRA_START_DATE="2026-01-01",
        TAP_ZENTRA_DEVICE_DEPTH="false",
    )
    settings = read_settings(config)

    assert (settings.call_limit_window, settings.page_size, settings.device_depth) == (0.5, 10, False)
    assert settings.start_date == 1767225600


def test_the_defaults_are_settings_that_the_tap_takes(project: Path) -> None:
    """With a token and a device alone, everything has a valid value."""
    config = _config(project, "tap-zentra", TAP_ZENTRA_AUTH_TOKEN="x", TAP_ZENTRA_DEVICE_SNS="z6-1")

    assert read_settings(config).api_url == "https://zentracloud.com"


def test_the_demo_loads_into_a_schema_of_its_own(project: Path) -> None:
    """The demo's rows never meet the user's."""
    schemas = [
        _config(project, "target-postgres", *options)["default_target_schema"]
        for options in ((), ("--environment=demo",))
    ]

    assert schemas == ["zentra", "zentra_demo"]


def test_meltano_leaves_the_file_as_it_is(project: Path) -> None:
    """Using Meltano does not make a clone differ from the repository."""
    _meltano(project, "config", "set", "tap-zentra", "server", "eu")
    _meltano(project, "config", "unset", "tap-zentra", "server")

    assert (project / "meltano.yml").read_text() == (PROJECT / "meltano.yml").read_text()
