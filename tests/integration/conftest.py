"""What the tests of the warehouses share: one PostgreSQL server, and an environment for each program."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest

from tests.integration.projects import MeltanoProject, borrow_plugins, copy_repository
from tests.integration.support import Postgres
from tests.support import emulators
from warehouse.server import Warehouse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tap_zentra.emulator import Emulator

WINDOW = 0.5
"""Seconds that stand for the service's minute."""


@pytest.fixture
def emulate() -> Iterator[Callable[..., Emulator]]:
    """Start emulators that stop after the test."""
    with emulators(window=WINDOW) as start:
        yield start


@pytest.fixture(scope="session")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warehouse]:
    """One PostgreSQL server for all tests."""
    with Warehouse(tmp_path_factory.mktemp("server") / ".warehouse", fsync=False) as running:
        yield running


@pytest.fixture
def postgres(warehouse: Warehouse, target_postgres: Path, tmp_path: Path, request: pytest.FixtureRequest) -> Postgres:
    """A schema for this test alone."""
    # PostgreSQL cuts names off at 63 characters.
    digest = hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:8]
    return Postgres(warehouse, f"test_{digest}", target_postgres, tmp_path)


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the repository in which Meltano has installed the tap and two targets."""
    folder = copy_repository(tmp_path_factory.mktemp("meltano") / "project")
    outcome = MeltanoProject(folder, {}).meltano("install", "tap-zentra", "target-postgres", "target-jsonl")
    assert outcome.exit_code == 0, outcome.log
    return folder


@pytest.fixture
def project(installed: Path, warehouse: Warehouse, tmp_path: Path) -> MeltanoProject:
    """A project with a memory of its own, whose target-postgres loads into the tests' server."""
    return MeltanoProject(borrow_plugins(installed, tmp_path / "project"), warehouse.environment)
