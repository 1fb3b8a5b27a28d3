"""What tests in many folders share: emulators on time, the command line, a database, and Meltano projects."""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest
import requests
from filelock import FileLock

from tests.integration.projects import MeltanoProject, borrow_plugins, copy_repository
from tests.integration.support import Postgres
from tests.server import Server
from tests.support import Tap, emulators
from tools.loaders.environments import Environments
from tools.loaders.project import loader
from tools.postgres.server import Warehouse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tap_zentra.emulator import Device, Emulator

# Some machines forbid Python to keep bytecode. The tests start Meltano, the tap and targets hundreds of times, and each
# start would compile all of their modules again, which takes longer than most of these runs.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# How long an example takes says something of the machine, and nothing of the code.
hypothesis.settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("any machine")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the long forms out, unless `-m` speaks of them."""
    if "long" in config.getoption("markexpr"):
        return
    long = [item for item in items if item.get_closest_marker("long")]
    config.hook.pytest_deselected(items=long)
    items[:] = [item for item in items if item not in long]


@pytest.fixture(scope="session", autouse=True)
def _punctual_emulators() -> Iterator[None]:
    """While an emulator of this process builds an answer, it must not be late to note when the next call came."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(0.0005)
    yield
    sys.setswitchinterval(before)


@pytest.fixture
def emulate() -> Iterator[Callable[..., Emulator]]:
    """Start emulators that stop after the test and, unless faults or the test want it so, never refused a call."""
    honoured: list[Emulator] = []
    with emulators() as start:

        def start_and_keep(*devices: Device, meets_limit: bool = False, **options: Any) -> Emulator:
            emulator = start(*devices, **options)
            if not meets_limit:
                honoured.append(emulator)
            return emulator

        yield start_and_keep
    for emulator in honoured:
        # An injected lock-out may last longer than the tap heeds it.
        if not any(call.injected for call in emulator.calls):
            assert [call for call in emulator.calls if call.status == 429] == []


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Server:
    """A server in place of the network."""
    server = Server()

    def send(
        adapter: requests.adapters.HTTPAdapter, request: requests.PreparedRequest, **options: Any
    ) -> requests.Response:
        return server.send(adapter, request, **options)

    monkeypatch.setattr(requests.adapters.HTTPAdapter, "send", send)
    return server


@pytest.fixture
def tap(tmp_path: Path) -> Tap:
    """The installed command line."""
    return Tap(tmp_path)


@pytest.fixture(scope="session")
def environments(request: pytest.FixtureRequest) -> Environments:
    """The environments of all loaders, kept in pytest's cache for the next session."""
    return Environments(Path(request.config.cache.mkdir("environments")))


@pytest.fixture(scope="session")
def target_postgres(environments: Environments) -> Path:
    """The program of the version that meltano.yml names, in an environment of its own."""
    return environments.programs(loader("target-postgres")["pip_url"]) / "target-postgres"


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


@pytest.fixture
def own_postgres(target_postgres: Path, tmp_path: Path) -> Iterator[Postgres]:
    """A server that the test may kill or stop."""
    with Warehouse(tmp_path / ".warehouse", fsync=False) as server:
        yield Postgres(server, "zentra", target_postgres, tmp_path)


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """A copy of the repository in which Meltano has installed tap, targets and dbt, for all processes of a run."""
    shared = tmp_path_factory.getbasetemp() if worker_id == "master" else tmp_path_factory.getbasetemp().parent
    folder, finished = shared / "installed", shared / "installed.finished"
    with FileLock(shared / "installed.lock"):
        if not finished.exists():
            project = MeltanoProject(copy_repository(folder), {})
            outcome = project.meltano("install", "tap-zentra", "target-postgres", "target-jsonl", "dbt-postgres")
            assert outcome.exit_code == 0, outcome.log
            finished.touch()
    return folder


@pytest.fixture
def project(installed: Path, warehouse: Warehouse, tmp_path: Path) -> MeltanoProject:
    """A project with a memory of its own, whose target-postgres loads into the tests' server."""
    return MeltanoProject(borrow_plugins(installed, tmp_path / "project"), warehouse.environment)
