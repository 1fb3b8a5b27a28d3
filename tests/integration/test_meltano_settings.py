"""The settings of meltano.yml as Meltano hands them on."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import pytest

from tap_zentra.settings import read_settings
from tests.integration.projects import REPOSITORY, MeltanoProject, copy_repository

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.warehouse


@pytest.fixture
def project(tmp_path: Path) -> MeltanoProject:
    """A Meltano project with this repository's meltano.yml, and nothing installed."""
    return MeltanoProject(copy_repository(tmp_path / "project"), {})


def _config(project: MeltanoProject, plugin: str, **variables: str) -> dict[str, Any]:
    outcome = project.meltano("config", "--unsafe", "print", plugin, **variables)
    config: dict[str, Any] = json.loads(outcome.stdout)
    return config


@pytest.mark.parametrize("text", ['["z6-1", "z6-2"]', "z6-1,z6-2", "z6-1 z6-2", "z6-1\nz6-2\n"])
def test_all_forms_of_serial_numbers_arrive(project: MeltanoProject, text: str) -> None:
    """From the environment through Meltano, a JSON list, commas, blanks and line ends are the same devices."""
    lists = {"TAP_ZENTRA_DEVICE_SNS": text, "TAP_ZENTRA_REREAD_DEVICE_SNS": text}
    settings = read_settings(_config(project, "tap-zentra", **lists, TAP_ZENTRA_AUTH_TOKEN="x"))

    assert settings.device_sns == settings.reread_device_sns == ("z6-1", "z6-2")


STATION = {"device_sn": "z6-1", "port_number": 1, "model_type": "ETo", "elevation": 806, "latitude": 32.25}


@pytest.mark.parametrize("form", ["JSON in the environment", "a list in meltano.yml"])
def test_both_forms_of_environment_models_arrive(form: str, project: MeltanoProject) -> None:
    """From the environment or the project's file through Meltano, the weather stations are the same."""
    variables = {"TAP_ZENTRA_AUTH_TOKEN": "x", "TAP_ZENTRA_DEVICE_SNS": "z6-1"}
    if form == "a list in meltano.yml":
        project.change("tap-zentra", config={"env_models": [STATION]})
    else:
        variables["TAP_ZENTRA_ENV_MODELS"] = json.dumps([STATION])

    settings = read_settings(_config(project, "tap-zentra", **variables))

    assert [asdict(station) for station in settings.env_models] == [STATION | {"wind_measurement_height": 2}]


def test_every_kind_of_setting_arrives_from_the_environment(project: MeltanoProject) -> None:
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


def test_the_defaults_are_settings_that_the_tap_takes(project: MeltanoProject) -> None:
    """With a token and a device alone, everything has a valid value."""
    config = _config(project, "tap-zentra", TAP_ZENTRA_AUTH_TOKEN="x", TAP_ZENTRA_DEVICE_SNS="z6-1")

    assert read_settings(config).api_url == "https://zentracloud.com"


def test_meltano_leaves_the_file_as_it_is(project: MeltanoProject) -> None:
    """Using Meltano does not make a clone differ from the repository."""
    for arguments in (("set", "tap-zentra", "server", "eu"), ("unset", "tap-zentra", "server")):
        assert project.meltano("config", *arguments).exit_code == 0

    assert (project.folder / "meltano.yml").read_text() == (REPOSITORY / "meltano.yml").read_text()
