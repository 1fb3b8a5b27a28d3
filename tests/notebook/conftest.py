"""What the tests of the page share: a fleet whose models are built, and a browser."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from tap_zentra.emulator import PROFILE_STATION, Device, eventful_fleet
from tests.integration.support import Postgres
from tests.integration.transforms import postgres_dbt
from tests.support import emulators
from tools.browser import chromium

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser

    from tools.loaders.environments import Environments
    from tools.postgres.server import Warehouse

SCHEMA = "page"
SILENT, REFUSED, CHANGED_UNITS = "z6-00009", "z6-00008", "z6-00003"
INTERVAL = 7200


@pytest.fixture(scope="package")
def models(
    warehouse: Warehouse, target_postgres: Path, environments: Environments, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, str]:
    """The variables that name a database with the models of two weeks of a fleet, one of it silent, one refused."""
    now, folder = datetime.now(UTC).replace(microsecond=0), tmp_path_factory.mktemp("models")
    silent = Device(SILENT, name="Silent", records=84, interval=INTERVAL, start=now - timedelta(days=10))
    fleet = [*eventful_fleet(interval=INTERVAL, end=now), replace(silent, sensors=PROFILE_STATION)]
    with emulators() as start:
        load = Postgres(warehouse, SCHEMA, target_postgres, folder).load(start(*fleet), on_device_failure="warn")
    assert load.exit_codes == (0, 0), load.log
    built = postgres_dbt(environments, warehouse, SCHEMA, folder).build("run")
    assert built.exit_code == 0, built.log
    return {**warehouse.environment, "DBT_POSTGRES_SCHEMA": SCHEMA}


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """A headless Chromium."""
    with chromium() as running:
        yield running
